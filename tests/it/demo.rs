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

#[test]
fn the_demo_is_the_same_on_both_databases_and_a_second_run_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut exports = Vec::new();
    for engine in BOTH {
        let db = TestDb::new(engine);
        let files = folder.path().join(engine.to_string());
        let files = files.to_str().expect("UTF-8");
        let first = text(tributary(&db, &["demo", "--no-serve", "--seed", "11", "--files", files]));
        assert!(first.contains("bank lines of"), "{first}");
        let positions = text(tributary(&db, &["positions", "--json"]));
        let journal = text(tributary(&db, &["journal", "export"]));
        let second = text(tributary(&db, &["demo", "--no-serve", "--seed", "11", "--files", files]));
        assert!(second.contains("Nothing changed"), "{second}");
        assert_eq!(positions, text(tributary(&db, &["positions", "--json"])));
        assert_eq!(journal, text(tributary(&db, &["journal", "export"])));
        tributary(&db, &["check", "--json"]);
        let masters: serde_json::Value = serde_json::from_str(&positions).expect("JSON");
        for master in masters["masters"].as_array().expect("masters") {
            let difference = master["difference"].as_str().expect("a bank closing");
            assert!(difference.bytes().all(|b| b"0.".contains(&b)), "{master}");
        }
        exports.push((positions, journal, files_below(Path::new(files))));
    }
    let [sqlite, postgres] = exports.as_slice() else { panic!("two databases") };
    assert!(sqlite.0 == postgres.0, "positions differ between the databases");
    assert!(sqlite.1 == postgres.1, "journals differ between the databases");
    assert!(sqlite.2 == postgres.2, "the generated bank files differ");
}
