//! Two imports at once: what one of them has read before the other wrote is asked again, and each line is there once.

use crate::databases::on_both;
use crate::given::{alice, assert_clean, camt, day, line, number, statement, sum, treasury};
use crate::walk::{Form, Message, Told, file};
use std::io::{Cursor, Read};
use tributary::allocation::intake::{self, TakenIn};
use tributary::banking::Profiles;
use tributary::banking::write::{Entry, Statement};
use tributary::db::seal::sha256;
use tributary::db::{Db, Options};
use tributary::error::Result;
use tributary::{ledger, statements};

fn take_in(db: &Db, bytes: &[u8], progress: &mut dyn FnMut(u64, u64)) -> Result<TakenIn> {
    let open = || Ok(Box::new(Cursor::new(bytes.to_vec())) as Box<dyn Read>);
    intake::take_in(db, &alice(), ("a file", "test"), &open, progress)
}

/// A part of a day: its lines, and what had moved before it.
fn part(name: &str, number: u64, moved: i64, lines: &[Entry]) -> (Statement, Vec<Entry>) {
    let (mut head, lines) = statement(0, name, number, (1, 1), lines);
    for balance in [&mut head.opening, &mut head.closing] {
        balance.as_mut().expect("a balance").amount.0 += moved;
    }
    (head, lines)
}

fn notification(told: &[Entry]) -> Vec<u8> {
    let (head, lines) = statement(0, "EARLY", 900, (1, 1), told);
    let form = Form::Camt(Told::Notification);
    file(form, "EARLY", &[&Message { form, head, lines }])
}

/// One of two equal payments was notified. Each part of the day has one of them: while the first is taken in, the second comes
/// and finds the notified one; so the first must not find it too.
#[test]
fn two_parts_of_a_day_at_once_never_pair_with_one_notified_line() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let equal = || line(day(1), 12_500, "tiktok order");
        take_in(&db, &notification(&[equal()]), &mut |_, _| {}).expect("taken in");
        let mut first: Vec<Entry> = (0..600).map(|n| line(day(1), 100 + n, &format!("tiktok {n}"))).collect();
        first.push(equal());
        let second = [equal()];
        let booked = [&first[..], &second[..]].concat();
        let parts =
            [part("P1", 1, 0, &first), part("P2", 2, sum(&first), &second)].map(|p| camt(&p.0.id.clone(), &[p]));
        let mut between = true;
        let taken = take_in(&db, &parts[0], &mut |_, _| {
            if std::mem::take(&mut between) {
                let other = take_in(&db, &parts[1], &mut |_, _| {}).expect("taken in");
                assert_eq!((other.new_lines, other.known_lines), (0, 1));
            }
        });
        let taken = taken.expect("taken in");
        assert_eq!((taken.new_lines, taken.known_lines, between), (601, 0, false));
        assert_eq!(number(&test.url, "SELECT count(*) AS value FROM lines"), 602);
        let master = db.read(|conn| ledger::account(conn, "m00")).expect("an account");
        assert_eq!(master.natural(), 100_000 + sum(&booked));
        assert_clean(&db);
    });
}

/// A person takes back what was notified while the statement that has it is taken in: it is booked after all, and posts.
#[test]
fn a_line_that_is_withdrawn_while_its_statement_is_taken_in_posts_by_the_statement() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let equal = || line(day(1), 12_500, "tiktok order");
        let early = take_in(&db, &notification(&[equal()]), &mut |_, _| {}).expect("taken in");
        let early = db.read(|conn| statements::lines_of(conn, &early.statements[0].id)).expect("lines");
        let mut booked: Vec<Entry> = (0..600).map(|n| line(day(1), 100 + n, &format!("tiktok {n}"))).collect();
        booked.push(equal());
        let mut between = true;
        let taken = take_in(&db, &camt("S1", &[part("S1", 1, 0, &booked)]), &mut |_, _| {
            if std::mem::take(&mut between) {
                let id = early[0].id.clone();
                let taken_back = db.write("allocation.withdraw", &alice(), move |tx| {
                    tributary::allocation::withdraw_notified(tx, &id, "they said so")
                });
                taken_back.expect("withdrawn");
            }
        });
        assert_eq!(taken.expect("taken in").new_lines, 601);
        let master = db.read(|conn| ledger::account(conn, "m00")).expect("an account");
        assert_eq!(master.natural(), 100_000 + sum(&booked));
        assert_clean(&db);
    });
}

/// A file of several chunks.
fn long_file() -> Vec<u8> {
    let booked: Vec<Entry> = (0..2_500).map(|n| line(day(1), 100 + n, &format!("tiktok {n}"))).collect();
    let bytes = camt("LONG", &[part("LONG", 1, 0, &booked)]);
    assert!(bytes.len() > 1024 * 1024, "{} bytes are two chunks at most", bytes.len());
    bytes
}

/// Reads bytes, and does something at one of them.
struct Halfway<'a, F> {
    bytes: &'a [u8],
    read: usize,
    at: usize,
    then: F,
}

impl<'a, F: FnMut()> Halfway<'a, F> {
    fn new(bytes: &'a [u8], at: usize, then: F) -> Self {
        Halfway { bytes, read: 0, at, then }
    }
}

impl<F: FnMut()> Read for Halfway<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.read += read;
        if self.read >= self.at {
            (self.then)();
        }
        Ok(read)
    }
}

fn store(
    db: &Db,
    new: &statements::NewFile,
    input: impl Read,
) -> tributary::error::Result<(statements::FileRow, Option<statements::Proven>)> {
    statements::store_file(db, &alice(), new, &Profiles::default(), input)
}

fn new_file(bytes: &[u8]) -> statements::NewFile {
    let (name, channel, origin) = ("long".to_owned(), "test".to_owned(), statements::UNVERIFIED.to_owned());
    statements::NewFile { name, channel, origin, sha256: sha256(bytes), size: bytes.len() as i64 }
}

/// Between the survey of one process and its commit another one stores the file that it knows by the same digest, but which
/// has changed while it was read.
#[test]
fn nothing_is_accepted_that_is_not_what_was_surveyed() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let bytes = long_file();
        let mut changed = bytes.clone();
        let last = changed.iter().rposition(|b| *b == b'1').expect("a figure");
        changed[last] = b'2';
        let new = new_file(&bytes);
        let (row, proven) = store(&db, &new, &bytes[..]).expect("stored");
        let proven = proven.expect("proved while it was stored");
        store(&db, &new, &changed[..]).expect_err("other bytes than their digest says");
        let no =
            db.write("statement.accept", &alice(), move |tx| statements::accept(tx, &proven)).expect_err("refused");
        assert!(no.to_string().contains("changed while it was read"), "{no}");
        assert!(statements::prove(&db, &row, &Profiles::default()).is_err(), "the bytes are others");
        // Read anew it is what it was, also where an attempt of other bytes has left more.
        store(&db, &new, &[&changed[..], &changed[..]].concat()[..]).expect_err("other bytes than their digest says");
        assert_eq!(take_in(&db, &bytes, &mut |_, _| {}).expect("taken in").new_lines, 2_500);
        assert_clean(&db);
    });
}

/// What was read on the way is no proof of what somebody else has written there meanwhile.
#[test]
fn what_another_process_changes_while_a_file_is_stored_is_read_again() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let bytes = long_file();
        let mut changed = bytes.clone();
        let first = changed.iter().position(|b| *b == b'1').expect("a figure");
        changed[first] = b'2';
        let (new, half) = (new_file(&bytes), bytes.len() / 2);
        let within = Halfway::new(&bytes, half, || {
            store(&db, &new, &changed[..half]).expect_err("other bytes than their digest says");
        });
        let (row, proven) = store(&db, &new, within).expect("stored");
        assert!(proven.is_none(), "the first chunk is not ours any more");
        assert!(statements::prove(&db, &row, &Profiles::default()).is_err(), "the bytes are others");
        assert_eq!(take_in(&db, &bytes, &mut |_, _| {}).expect("taken in").new_lines, 2_500);
        assert_clean(&db);
    });
}

/// Both write the same chunks, so neither spoils what the other reads, and whoever is later finds it done.
#[test]
fn two_that_store_one_file_at_once_do_not_disturb_each_other() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let bytes = long_file();
        let (row, proven) = store(&db, &new_file(&bytes), &bytes[..]).expect("stored");
        // The other one has read half of its file when this one accepts.
        let half = bytes.len() / 2;
        let mut accept = Some(proven.expect("proved while it was stored"));
        let within = Halfway::new(&bytes, half, || {
            if let Some(proven) = accept.take() {
                let rows = db.write("statement.accept", &alice(), move |tx| statements::accept(tx, &proven));
                assert_eq!(rows.expect("accepted").len(), 1);
            }
        });
        store(&db, &new_file(&bytes), within).expect("stored");
        assert_eq!(db.read(|conn| statements::file(conn, &row.id)).expect("a file").state, "accepted");
        assert_clean(&db);
    });
}

#[test]
fn check_finds_a_file_whose_stored_bytes_were_changed() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let file = take_in(&db, &long_file(), &mut |_, _| {}).expect("taken in").file;
        assert_clean(&db);
        crate::given::sql(&test.url, "DELETE FROM statement_chunks WHERE seq = 1").expect("deleted");
        let found = tributary::app::check(&db, |_, _| {}).expect("check runs");
        let said: Vec<String> = found.into_iter().map(|v| format!("{} {}", v.invariant, v.what)).collect();
        assert_eq!(
            said,
            [format!("I2 the stored bytes of file {} are not those that came as {}", file.id, file.sha256)]
        );
    });
}
