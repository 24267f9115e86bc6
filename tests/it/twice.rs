//! Every bank file taken in twice (F-01): the second time nothing changes, and the answer links to the first.

use crate::databases::{Engine, TestDb};
use crate::fixtures::{Fixture, treasury_of};
use crate::formats::folder;
use crate::given::{self, assert_clean};
use crate::packed::gzip;
use tributary::banking::may_hold_statements;
use tributary::db::{self, Db, Options};
use tributary::ledger;

/// Files of which at least one statement must be posted, the corpus included.
const LEAST: usize = 60;

/// What money and lines there are: nothing of it may change. (A file whose account is still unknown is judged again each time,
/// which is an event, so the head alone would not do.)
fn state(test: &TestDb, db: &Db) -> (i64, [i64; 4], Vec<(String, i64)>) {
    let entries = db.read(db::head).expect("a head").entry;
    let count = |table: &str| given::number(&test.url, &format!("SELECT count(*) AS value FROM {table}"));
    let counts = ["lines", "line_facets", "pending_lines", "statements"].map(count);
    let accounts = db.read(ledger::accounts).expect("accounts");
    (entries, counts, accounts.iter().map(|a| (a.code.clone(), a.natural())).collect())
}

/// Takes a file in twice, and a third time in other bytes. Whether anything of it was posted.
fn twice(test: &TestDb, db: &Db, fixture: &Fixture) -> bool {
    let name = &fixture.name;
    let Ok(first) = fixture.take_in(db, &fixture.bytes) else {
        let before = state(test, db);
        let again = fixture.take_in(db, &fixture.bytes).map(|t| t.file.state);
        assert_eq!(again.expect_err("refused again").code(), "unreadable_file", "{name}");
        assert_eq!(state(test, db), before, "{name} is refused, and still something changed");
        return false;
    };
    let whole = first.statements.iter().all(|s| s.state != "refused");
    let (before, hash) = (state(test, db), db.read(db::head).expect("a head").hash);
    let again = fixture.take_in(db, &fixture.bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!((again.already, &again.file.id, again.new_lines), (true, &first.file.id, 0), "{name}");
    assert_eq!(state(test, db), before, "{name}");
    if whole {
        assert_eq!(db.read(db::head).expect("a head").hash, hash, "{name}: the journal is not what it was");
    }
    if may_hold_statements(&fixture.bytes) {
        // An archive in an archive is not unpacked.
        return first.statements.iter().any(|s| s.state == "posted");
    }
    // Other bytes that say the same.
    let packed = fixture.take_in(db, &gzip(&fixture.bytes)).unwrap_or_else(|e| panic!("{name}, packed: {e}"));
    assert_eq!(packed.new_lines, 0, "{name}");
    for (s, as_before) in packed.statements.iter().zip(&first.statements) {
        if s.state == "already_imported" {
            let link = as_before.same_as.as_ref().unwrap_or(&as_before.id);
            let linked = if as_before.state == "already_imported" { link } else { &as_before.id };
            assert_eq!(s.same_as.as_ref(), Some(linked), "{name}");
        } else {
            assert!(["refused", "copy"].contains(&s.state.as_str()), "{name}: {}", s.state);
            assert_eq!(s.state, as_before.state, "{name}");
        }
    }
    let after = state(test, db);
    assert_eq!((after.0, &after.1[..3], &after.2), (before.0, &before.1[..3], &before.2), "{name}");
    first.statements.iter().any(|s| s.state == "posted")
}

/// On SQLite each file meets a treasury of its own; on PostgreSQL all of them meet one, as they would in production.
#[test]
fn every_file_taken_in_twice_leaves_the_books_as_they_were() {
    let fixtures = Fixture::all();
    let mut posted = 0;
    for fixture in &fixtures {
        let test = TestDb::new(Engine::Sqlite);
        let db = test.open(Options::default());
        treasury_of(&db, &[fixture]);
        posted += usize::from(twice(&test, &db, fixture));
        assert_clean(&db);
    }
    let least = if folder("TRIBUTARY_CORPUS").is_some() { LEAST } else { 16 };
    assert!(posted >= least, "only {posted} of {} files were posted", fixtures.len());
    let test = TestDb::new(Engine::Postgres);
    let db = test.open(Options::default());
    treasury_of(&db, &fixtures.iter().collect::<Vec<_>>());
    for fixture in &fixtures {
        twice(&test, &db, fixture);
    }
    assert_clean(&db);
}
