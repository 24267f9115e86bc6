//! Expected receipts and settlement files at the command line: files that are wrong in many places, files that come twice,
//! the example of the documentation; and a statement whose lines all meet something.

use crate::databases::{TestDb, on_both};
use crate::given::{alice, assert_clean, camt, day, line, number, sql, statement, treasury};
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;
use std::process::Command;
use tributary::allocation::{intake, settlement, settlement_file};
use tributary::db::{Db, Options};
use tributary::expectations::{self, Announcement, Filter, State};

fn run(test: &TestDb, arguments: &[&str]) -> (bool, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    let done = command.args(["--json", "--database", &test.url.to_string()]).args(arguments).output().expect("it runs");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let said = serde_json::from_str(&text).unwrap_or_else(|e| {
        panic!("{arguments:?}: {e}: {text}{}", String::from_utf8_lossy(&done.stderr));
    });
    (done.status.success(), said)
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path.to_string_lossy().into_owned()
}

fn take_in(db: &Db, id: &str, bytes: &[u8]) {
    let open = || Ok(Box::new(std::io::Cursor::new(bytes.to_vec())) as Box<dyn Read>);
    let taken = intake::take_in(db, &alice(), (id, "test"), &open, &mut |_, _| {}).expect("taken in");
    assert!(taken.statements.iter().all(|s| s.state == "posted"), "{:?}", taken.statements);
}

#[test]
fn a_file_of_expected_receipts_is_taken_whole_or_not_at_all() {
    on_both(|test| {
        treasury(&test.open(Options::default()), 0..1);
        let folder = tempfile::tempdir().expect("a folder");
        let head = "key;leaf;amount;from;until;reference\r\n";
        let good = "A;m00/tiktok/de/operating;100.00;2026-03-01;2026-03-31;INV-A\r\n";
        let bad = "A;m00/tiktok/de/operating;1;2026-03-01;2026-03-31;INV-A\r\n\r\n\
                   B;m00/nobody;1;2026-03-01;2026-03-31;INV-B\r\n\
                   C;m00/tiktok/de/operating;1.001;2026-03-31;2026-03-01;X\r\n\
                   D;m00/tiktok/de/operating;-1;2026-03-01;2026-03-31;INV-D\r\n";
        let long = format!("E;m00/tiktok/de/operating;1;2026-03-01;2026-03-31;{}\r\n", "I".repeat(141));
        let file = written(folder.path(), "bad.csv", &format!("{head}{good}{bad}{long}"));
        let (done, said) = run(test, &["expect", "import", &file]);
        assert!(!done);
        assert_eq!(said["error"]["code"], "expectation_problems");
        let message = said["error"]["message"].as_str().expect("a sentence");
        for part in [
            "line 3: the key A is there twice",
            "line 5: m00/nobody is not a leaf",
            "line 6: amount: \"1.001\"",
            "line 6: it is expected from 2026-03-31 on, but only until 2026-03-01",
            "line 6: the reference \"X\" tells nothing apart",
            "line 7: amount -1: only what comes is expected",
            "line 8: the reference is longer than 140 signs",
        ] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
        assert_eq!(run(test, &["expect", "list"]).1, json!({ "expectations": [] }));

        let file = written(folder.path(), "good.csv", &format!("{head}{good}"));
        assert_eq!(run(test, &["expect", "import", &file]), (true, json!({ "new": 1, "known": 0 })));
        assert_eq!(run(test, &["expect", "import", &file]), (true, json!({ "new": 0, "known": 1 })));
        let other = written(folder.path(), "other.csv", &format!("{head}{}", good.replace("100.00", "100.01")));
        let (done, said) = run(test, &["expect", "import", &other]);
        assert_eq!((done, &said["error"]["code"]), (false, &json!("conflict")));
        assert!(said["error"]["message"].as_str().expect("a sentence").contains("line 2: A was announced"), "{said}");
        let (_, said) = run(test, &["expect", "list", "--state", "open"]);
        assert_eq!(said["expectations"][0]["least"], "100.00");
        assert_eq!(run(test, &["positions"]).1["positions"][0]["expected"].as_str(), Some("0.00"));
        assert_clean(&test.open(Options::default()));
    });
}

#[test]
fn the_example_of_the_documentation_is_taken() {
    on_both(|test| {
        let text = include_str!("../../docs/settlement-files.md");
        let (_, example) = text.split_once("```csv\n").expect("an example");
        let (example, _) = example.split_once("```").expect("its end");
        let read = settlement_file::read("example.csv", example.as_bytes()).expect("it is read");
        assert_eq!(read.iter().map(|s| s.lines.len()).collect::<Vec<_>>(), [3]);
        // Every column that the reader knows is described, and no other.
        let described = |name: &str| text.lines().any(|l| l.starts_with("| ") && l.contains(&format!("`{name}`")));
        let columns = example.lines().next().expect("names").split(',');
        assert!(columns.clone().all(described), "the table describes every column of the example");

        let db = test.open(Options::default());
        let mut file = String::from(
            "[[entity]]\ncode = \"us\"\nname = \"US\"\ncountry = \"US\"\n[[bank]]\ncode = \"b\"\nname = \"B\"\ncountry = \"US\"\n\
             [[master]]\ncode = \"us-usd\"\nname = \"US\"\nbank = \"b\"\nentity = \"us\"\ncurrency = \"USD\"\naccount = \"4711\"\n\
             time_zone = \"America/New_York\"\ncut_over_on = \"2026-03-01\"\nopening = \"0.00\"\n\
             numbers = { scheme = \"digits\", prefix = \"77\" }\n",
        );
        for product in ["tiktok", "capcut", "douyin"] {
            file += &format!("[[product]]\ncode = \"{product}\"\nname = \"{product}\"\n");
            file += &format!("[[sub_account]]\nmaster = \"us-usd\"\nproduct = \"{product}\"\nmarket = \"US\"\n");
        }
        file += "[[market]]\ncode = \"US\"\nname = \"US\"\n";
        tributary::app::apply(&db, &alice(), tributary::app::TreasuryFile::parse(&file).expect("TOML"))
            .expect("applied");
        let imported = db.write("settlement.import", &alice(), move |tx| settlement::import(tx, "example.csv", &read));
        assert_eq!(imported.expect("taken")[0].state, "waiting");
        assert_clean(&db);
    });
}

#[test]
fn a_settlement_goes_through_the_command_line() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let lump = line(day(2), 6_000, "nobody's");
        take_in(&db, "S1", &camt("S1", &[statement(0, "S1", 1, (2, 2), &[lump])]));
        drop(db);
        let folder = tempfile::tempdir().expect("a folder");
        let head = "settlement,master,platform,currency,total,paid_on,leaf,gross,commission,net\n";
        let file = written(
            folder.path(),
            "s.csv",
            &format!(
                "{head}P1,m00,Platform,EUR,60.00,2026-03-02,m00/tiktok/de/operating,100.00,30.00,70.00\n\
                 P1,,,,,,m00/douyin/de/operating,-10.00,,-10.00\n"
            ),
        );
        let (done, said) = run(test, &["settlement", "import", &file]);
        assert!(done && said["settlements"][0]["state"] == "waiting", "{said}");
        let (_, said) = run(test, &["settlement", "import", &file]);
        assert_eq!(said["settlements"][0]["known"], true);
        let (_, waiting) = run(test, &["route"]);
        let line = waiting["waiting"][0]["line"].as_str().expect("a line").to_owned();
        let (done, said) = run(test, &["settlement", "apply", "P1", "--line", &line]);
        assert!(done && said["state"] == "carried_out" && said["lines"][1]["net"] == "-10.00", "{said}");
        assert_eq!(run(test, &["settlement", "apply", &file, "--line", &line]).1["error"]["code"], "settlement_state");
        let (_, shown) = run(test, &["settlement", "list", "--state", "carried_out"]);
        assert_eq!(shown["settlements"][0]["settlement"], "P1");
        // The general ledger finds gross and commission with the entry.
        let entry = said["entry"].as_i64().expect("an entry").to_string();
        let (_, entry) = run(test, &["journal", "show", &entry]);
        let metadata = entry["metadata"].clone();
        let metadata = metadata.as_str().map_or(metadata.clone(), |t| serde_json::from_str(t).expect("JSON"));
        assert_eq!(
            metadata["total"],
            json!({ "gross": "90.00", "commission": "30.00", "tax": "0.00", "net": "60.00" })
        );
        assert_clean(&test.open(Options::default()));
    });
}

#[test]
fn a_statement_whose_every_line_is_expected_meets_each_once() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let (count, half) = (600, 300);
        let asked: Vec<Announcement> = (0..count)
            .map(|n| Announcement {
                at: String::new(),
                key: format!("K{n}"),
                leaf: "m00/capcut/de/operating".to_owned(),
                amount: "1.00".to_owned(),
                currency: None,
                days: (day(1), day(20)),
                reference: Some(format!("INV-{n:05}")),
                account: None,
                note: None,
                metadata: None,
            })
            .collect();
        db.write("expectation.add", &alice(), move |tx| expectations::add(tx, &asked)).expect("announced");
        // Each twice: the second of them is nobody's.
        let lines: Vec<_> = (0..2 * half).map(|n| line(day(2), 100, &format!("inv {:05}", n % half))).collect();
        take_in(&db, "S1", &camt("S1", &[statement(0, "S1", 1, (2, 2), &lines)]));
        let in_state = |state| {
            let filter = Filter { state: Some(state), ..Filter::default() };
            db.read(|conn| expectations::list(conn, &filter)).expect("read").len()
        };
        assert_eq!((in_state(State::Met), in_state(State::Open)), (half, count - half));
        let expected = "SELECT count(*) AS value FROM routes WHERE evidence = 'expected'";
        assert_eq!(number(&test.url, expected), i64::try_from(half).expect("a count"));
        // By SQL, nothing can be met by what met another one.
        let twice = "UPDATE expectations SET state = 'met', line = (SELECT min(line) FROM expectations), route = 0 WHERE key = 'K599'";
        assert!(sql(&test.url, twice).is_err());
        assert_clean(&db);
    });
}
