//! The demo, run as a newcomer runs it: on both databases, twice, and the two say the same to the byte.

use crate::databases::{BOTH, TestDb};
use std::path::Path;
use std::process::{Command, Output};

fn tributary(db: &TestDb, args: &[&str]) -> Output {
    let url = match &db.url {
        tributary::db::Url::Lite(path) => format!("sqlite://{}", path.display()),
        tributary::db::Url::Pg(url) => url.clone(),
    };
    let done = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(args)
        .args(["--database", &url])
        .output()
        .expect("the binary runs");
    assert!(done.status.success(), "{args:?} on {}: {}", db.engine, String::from_utf8_lossy(&done.stderr));
    done
}

fn text(output: Output) -> String {
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files_below(&path));
        } else {
            all.push((
                path.file_name().expect("a name").to_string_lossy().into_owned(),
                std::fs::read(&path).expect("a file"),
            ));
        }
    }
    all.sort();
    all
}

/// Every master agrees with its bank; a little of each waits; something is held, expected and came back.
fn assert_believable(report: &serde_json::Value) {
    let digits = |amount: &serde_json::Value| -> i64 {
        let text = amount.as_str().expect("an amount");
        text.replace('.', "").parse().expect("digits")
    };
    for master in report["masters"].as_array().expect("masters") {
        assert_eq!(digits(&master["difference"]), 0, "{master}");
        let (waits, book) = (digits(&master["suspense"]), digits(&master["book"]));
        assert!(waits * 1_000 > book * 5 && waits * 1_000 < book * 40, "{master}");
    }
    let positions = report["positions"].as_array().expect("positions");
    let some = |figure: &str, of: &str| {
        positions.iter().any(|p| p["sub_account"].as_str().is_some_and(|c| c.contains(of)) && digits(&p[figure]) > 0)
    };
    // Told by camt.054 and camt.052 of the day after the last statement.
    assert!(some("held", "de-eur/") && some("held", "us-usd/") && some("held", "fr-eur/"));
    assert!(some("expected", "/operating") && some("booked", "/returned"));
    assert_eq!(report["reporting_currency"], "EUR");
    assert_eq!(report["missing_rates"], serde_json::json!([]));
}

/// What the program can do occurs in the demo, by what its commands tell.
fn assert_everything_occurs(db: &TestDb) {
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&text(tributary(db, &[args, &["--json"]].concat()))).expect("JSON")
    };
    let count = |args: &[&str], of: &str| json(args)[of].as_array().map_or(0, Vec::len);
    for state in ["met", "expired", "open"] {
        assert!(count(&["expect", "list", "--state", state], "expectations") > 10, "{state}");
    }
    assert!(count(&["settlement", "list", "--state", "carried_out"], "settlements") > 150);
    assert_eq!(count(&["settlement", "list", "--state", "waiting"], "settlements"), 0);
    assert_eq!(count(&["route", "transfers"], "under_way"), 1);
    let breaks = json(&["statement", "breaks"])["breaks"].clone();
    let kinds: Vec<&str> = breaks.as_array().expect("breaks").iter().filter_map(|b| b["kind"].as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "restated").count(), 1);
    let expired = count(&["expect", "list", "--state", "expired"], "expectations");
    assert_eq!(kinds.iter().filter(|kind| **kind == "receipt_expired").count(), expired);
    assert_eq!(kinds.len(), expired + 1, "{kinds:?}");
    let suggested = json(&["route", "suggest"])["waiting"].clone();
    let has_some = |line: &&serde_json::Value| line["suggestions"].as_array().is_some_and(|s| !s.is_empty());
    assert!(suggested.as_array().expect("lines").iter().filter(has_some).count() > 20);
}

#[test]
fn the_demo_is_the_same_on_both_databases_and_a_second_run_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut exports = Vec::new();
    for engine in BOTH {
        let db = TestDb::new(engine);
        let files = folder.path().join(engine.to_string());
        let files = files.to_str().expect("UTF-8");
        let first = text(tributary(&db, &["demo", "--no-serve", "--files", files]));
        assert!(first.contains("bank lines of"), "{first}");
        assert!(first.lines().all(|line| line.trim_end().chars().count() <= 100 || line.contains(files)), "{first}");
        let (tables, _) = first.rsplit_once("\n\n").expect("tables, then where the files are");
        let tables = tables.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&tables), "the README shows other tables than these:\n{tables}");
        let positions = text(tributary(&db, &["positions", "--json"]));
        let journal = text(tributary(&db, &["journal", "export"]));
        let second = text(tributary(&db, &["demo", "--no-serve", "--files", files]));
        assert!(second.contains("Nothing changed"), "{second}");
        assert_eq!(positions, text(tributary(&db, &["positions", "--json"])));
        assert_eq!(journal, text(tributary(&db, &["journal", "export"])));
        tributary(&db, &["check", "--json"]);
        assert_believable(&serde_json::from_str(&positions).expect("JSON"));
        assert_everything_occurs(&db);
        exports.push((positions, journal, files_below(Path::new(files))));
        // Its reader goes on, and a run after that leaves everything as it is.
        tributary(&db, &["settlement", "import", &format!("{files}/settlements/apple-2026-W39.csv")]);
        let placed = text(tributary(&db, &["journal", "export"]));
        let third = text(tributary(&db, &["demo", "--no-serve", "--files", files]));
        assert!(third.contains("Nothing changed") && !third.contains("apple-2026-W39.csv"), "{third}");
        assert_eq!(placed, text(tributary(&db, &["journal", "export"])));
    }
    let [sqlite, postgres] = exports.as_slice() else { panic!("two databases") };
    assert!(sqlite.0 == postgres.0, "positions differ between the databases");
    assert!(sqlite.1 == postgres.1, "journals differ between the databases");
    assert!(sqlite.2 == postgres.2, "the generated bank files differ");
}
