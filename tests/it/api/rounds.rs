//! What a server does of itself: its rounds, and how the first administrator comes in.

use super::PASSWORD;
use super::child::{Server, key_of_ann};
use super::work::cli;
use crate::databases::{TestDb, on_both};
use crate::given::{self, alice, camt, day, line, number, statement};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tributary::access::totp;
use tributary::app;
use tributary::db::Options;
use tributary::expectations::{self, Announcement};
use tributary::time::{Clock, SetClock, SystemClock};

/// Until something is so, however slow the machine is.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}: not within two minutes");
    }
}

fn count(test: &TestDb, table: &str, which: &str) -> i64 {
    number(&test.url, &format!("SELECT count(*) AS value FROM {table} WHERE {which}"))
}

#[test]
fn a_server_takes_what_lies_in_its_folders_tells_of_what_is_missing_and_ends_what_has_had_its_time() {
    on_both(|test| {
        let on_the_second = day(2).and_hms_opt(9, 0, 0).expect("a morning").and_utc();
        let db = test.open(Options { clock: Arc::new(SetClock::at(on_the_second)), ..Options::default() });
        let file = given::treasury_text(0..1).replace("time_zone = ", "statement_by = \"09:00\"\ntime_zone = ");
        app::apply(&db, &alice(), app::TreasuryFile::parse(&file).expect("a treasury")).expect("made");
        let expected = Announcement {
            at: String::new(),
            key: "K1".to_owned(),
            leaf: "m00/capcut/de/operating".to_owned(),
            amount: "1.00".to_owned(),
            currency: None,
            days: (day(1), day(20)),
            reference: Some("INV-1".to_owned()),
            account: None,
            note: None,
            metadata: None,
        };
        db.write("expectation.add", &alice(), move |tx| expectations::add(tx, std::slice::from_ref(&expected)))
            .expect("announced");
        drop(db);
        let (_, key) = key_of_ann(&test.open(Options::default()), "ann");
        assert_eq!((count(test, "missing_statements", "ended IS NULL"), count(test, "lines", "amount <> 0")), (0, 0));
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(place("incoming")).expect("made");
        let marked = camt("S1", &[statement(0, "S1", 1, (2, 2), &[line(day(2), 100, "tiktok")])]);
        std::fs::write(place("incoming/monday.xml"), marked).expect("written");
        std::fs::write(place("incoming/monday.xml.done"), "").expect("written");
        let declared = format!(
            "[folder.bank]\nincoming = {:?}\narchive = {:?}\nrefused = {:?}\nready = \"marker\"",
            place("incoming"),
            place("archive"),
            place("refused")
        );
        let server = Server::start(&test.url.to_string(), &declared);
        until("the file is taken", || count(test, "lines", "posting = 'posted'") == 1);
        until("what is missing is told", || count(test, "missing_statements", "ended IS NULL") > 0);
        until("the receipt has expired", || count(test, "expectations", "state = 'expired'") == 1);
        assert_eq!(count(test, "events", "kind = 'statement.missing' AND actor <> 'system:serve'"), 0);
        assert!(!std::path::Path::new(&place("incoming/monday.xml")).exists(), "it lies in the archive");
        let shown = server.get("/v1/expectations/K1", &key);
        assert!(shown.body.contains("expired"), "{}", shown.body);
    });
}

#[test]
fn a_server_that_nobody_can_sign_in_at_invites_the_first_administrator_who_joins_beside_it() {
    on_both(|test| {
        drop(test.open(Options::default()));
        let earlier = Server::start(&test.url.to_string(), "");
        let invitation = |server: &Server| {
            server.said["first_administrator"]["invitation"].as_str().expect("an invitation").to_owned()
        };
        let replaced = invitation(&earlier);
        drop(earlier);
        let server = Server::start(&test.url.to_string(), "");
        let at = format!("http://{}", server.address);
        let home = tempfile::tempdir().expect("a folder");
        let (ended, _, err) = cli(home.path(), &["people", "join", "--server", &at], &format!("{replaced}\n"));
        assert!(ended == Some(1) && err.contains("invitation"), "{err}");
        let mut joining = Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(["--json", "people", "join", "--server", &at])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut given = joining.stdin.take().expect("its input");
        write!(given, "{}\nroot\nRuth Root\n{PASSWORD}\n", invitation(&server)).expect("written");
        given.flush().expect("written");
        let mut told = BufReader::new(joining.stderr.take().expect("its words")).lines();
        let secret = told.by_ref().find_map(|l| totp::from_app(l.expect("text").trim())).expect("a second factor");
        writeln!(given, "{}", totp::code_at(&secret, SystemClock.now())).expect("written");
        drop(given);
        let rest: Vec<String> = told.map(|l| l.expect("text")).collect();
        let mut said = String::new();
        joining.stdout.take().expect("its answer").read_to_string(&mut said).expect("text");
        assert!(joining.wait().expect("it ends").success(), "{said}{rest:?}");
        let said: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(said["recovery_codes"].as_array().map(Vec::len), Some(10), "{said}");
        assert_eq!(count(test, "grants", "role = 'administrator' AND scope = 'all'"), 1);
        drop(server);
        let again = Server::start(&test.url.to_string(), "");
        assert!(again.said["first_administrator"].is_null(), "{}", again.said);
    });
}
