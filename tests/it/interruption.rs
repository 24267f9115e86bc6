//! Imports that are cut short on purpose and taken up again: nothing is lost, nothing comes twice, and a fault is never taken
//! for the end of a file.

use crate::databases::{TestDb, on_both};
use crate::given::{self, Dice, alice, assert_clean, camt, lines, statement, treasury};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tributary::allocation::intake::{self, TakenIn};
use tributary::db::{Db, Fault, FaultPoint, Faults, Options};
use tributary::error::Result;
use tributary::time::{Clock, SetClock, SystemClock};

fn take_in(db: &Db, bytes: &[u8]) -> Result<TakenIn> {
    let open = || Ok(Box::new(std::io::Cursor::new(bytes.to_vec())) as Box<dyn Read>);
    intake::take_in(db, &alice(), ("cut", "test"), &open, &mut |_, _| {})
}

/// Takes a file in on a database whose commits all fail after so many: enough to store and accept it and to post some lines.
fn cut_short(test: &TestDb, bytes: &[u8], commits: usize) {
    let left = Arc::new(AtomicUsize::new(usize::MAX));
    let counted = Arc::clone(&left);
    let faults: Faults = Arc::new(move |point| {
        let ended = point == FaultPoint::BeforeCommit
            && counted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err();
        ended.then_some(Fault::Error)
    });
    let db = test.open(Options { faults: Some(faults), ..Options::default() });
    treasury(&db, 0..1);
    left.store(commits, Ordering::SeqCst);
    take_in(&db, bytes).expect_err("the database has stopped");
}

/// Opens the database again a minute later, when the lease of the worker that was cut short has run out.
fn later(test: &TestDb) -> Db {
    let clock = SetClock::at(SystemClock.now() + chrono::TimeDelta::minutes(1));
    test.open(Options { clock: Arc::new(clock), ..Options::default() })
}

fn stored(test: &TestDb) -> i64 {
    given::number(&test.url, "SELECT count(*) AS value FROM lines")
}

#[test]
fn a_statement_that_fits_later_does_not_send_another_one_back_to_its_beginning() {
    on_both(|test| {
        let booked = lines(&mut Dice::new(21), 1..=2, 500);
        // The first of the two is of an account that nobody has declared yet.
        let told = [statement(1, "U", 1, (1, 1), &booked), statement(0, "K", 1, (1, 2), &booked)];
        let all = (told[0].1.len() + told[1].1.len()) as i64;
        let bytes = camt("TWO", &told);
        let chunks = bytes.len().div_ceil(512 * 1024);
        cut_short(test, &bytes, chunks + 2);
        let before = stored(test);
        assert!(before > 0 && before < told[1].1.len() as i64, "{before} lines");
        let db = later(test);
        treasury(&db, 1..2);
        let taken = take_in(&db, &bytes).expect("taken up again");
        assert!(taken.statements.iter().all(|s| s.state == "posted"));
        assert_eq!(stored(test), all);
        assert_clean(&db);
    });
}

#[test]
fn a_part_of_a_stored_file_that_cannot_be_read_is_not_the_end_of_its_lines() {
    on_both(|test| {
        let booked = lines(&mut Dice::new(22), 1..=2, 700);
        let bytes = camt("LONG", &[statement(0, "K", 1, (1, 2), &booked)]);
        let chunks = bytes.len().div_ceil(512 * 1024);
        assert!(chunks > 1, "{} bytes are one chunk", bytes.len());
        cut_short(test, &bytes, chunks + 2);
        let before = stored(test);
        assert!(before > 0 && before < booked.len() as i64, "{before} lines");
        let last = chunks - 1;
        let sql = |text: &str| given::sql(&test.url, text).expect(text);
        sql(&format!("UPDATE statement_chunks SET seq = 1000 WHERE seq = {last}"));
        let db = later(test);
        // What can still be read is posted, but not as if it were all.
        intake::resume(&db, &alice(), &mut |_, _| {}).expect("the other imports go on");
        assert!(stored(test) < booked.len() as i64);
        let open = "SELECT count(*) AS value FROM statements WHERE state = 'posting'";
        assert_eq!(given::number(&test.url, open), 1);
        sql(&format!("UPDATE statement_chunks SET seq = {last} WHERE seq = 1000"));
        intake::resume(&db, &alice(), &mut |_, _| {}).expect("goes on");
        assert_eq!(stored(test), booked.len() as i64);
        assert_clean(&db);
    });
}
