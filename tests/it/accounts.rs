//! Statements of many accounts and many years (F-08, F-09), and money between them (F-11).

use crate::databases::{BOTH, TestDb, on_both};
use crate::given::{self, Dice, account_number, alice, assert_clean, camt, day, line, lines, statement, sum, treasury};
use crate::walk::{Form, Message, Told, Walk, assert_ends_as_the_bank, file, take_in};
use std::collections::BTreeMap;
use tributary::banking::write::{Entry, Statement};
use tributary::chart::{self, Move};
use tributary::db::{Db, Options};
use tributary::{allocation, ledger, statements};

const CAMT: Form = Form::Camt(Told::Statement);

fn balances(db: &Db) -> BTreeMap<String, i64> {
    let accounts = db.read(ledger::accounts).expect("accounts");
    accounts.into_iter().map(|a| (a.code.clone(), a.natural())).collect()
}

/// F-09: each statement of a file to its own account, in whatever order they stand, and the one of nobody to no account.
#[test]
fn a_file_of_fifty_accounts_goes_to_each_its_own() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..50);
        let mut dice = Dice::new(50);
        let mut booked: Vec<Vec<Entry>> = (0..51).map(|_| lines(&mut dice, 1..=1, 3)).collect();
        let message = |m: usize| Message::of_days(CAMT, m, "SAME-ID", 1, (1, 1), &booked[m]);
        let mut messages: Vec<Message> = (0..51).map(message).collect();
        dice.shuffle(&mut messages);
        let all: Vec<&Message> = messages.iter().collect();
        let taken = take_in(&db, "fifty", &file(CAMT, "FIFTY", &all)).expect("taken in");
        for (row, message) in taken.statements.iter().zip(&messages) {
            let expected = if message.head.account == account_number(50) { "refused" } else { "posted" };
            assert_eq!(
                (row.account_number.as_deref(), row.state.as_str()),
                (Some(message.head.account.as_str()), expected)
            );
        }
        booked.truncate(50);
        let walks: Vec<Walk> = booked.into_iter().map(|booked| Walk { booked, ..Walk::default() }).collect();
        assert_ends_as_the_bank(test, &db, &walks);
    });
}

/// F-09: what the bank books for a closed leaf is a fact and waits in suspense.
#[test]
fn money_for_a_closed_leaf_waits_in_suspense() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let close = |tx: &mut tributary::db::Tx<'_>| {
            chart::change_state(tx, "m00/tiktok/de/operating", Move::Close, "the product ends")
        };
        db.write("leaf.close", &alice(), close).expect("closed");
        let booked = [line(day(1), 5_000, "tiktok order"), line(day(1), 7_000, "douyin order")];
        let told = camt("S", &[statement(0, "S", 1, (1, 1), &booked)]);
        assert_eq!(take_in(&db, "S", &told).expect("taken in").statements[0].state, "posted");
        let balances = balances(&db);
        let of = |code: &str| balances[code];
        assert_eq!([of("m00"), of("m00/suspense"), of("m00/tiktok/de/operating")], [112_000, 5_000, 0]);
        let waiting = db.read(|conn| allocation::waiting(conn, None)).expect("what waits");
        assert_eq!(waiting.len(), 1);
        assert_clean(&db);
    });
}

/// F-08: what a bank does with its numbers and balances, and what is told of it.
#[test]
fn numbers_and_balances_that_do_not_follow_are_named_and_nothing_is_skipped() {
    on_both(|test| {
        let gaps = |db: &Db| -> Vec<String> {
            db.read(statements::all_gaps)
                .expect("gaps")
                .iter()
                .map(|g| format!("{} {:?}", g.missing, g.numbers))
                .collect()
        };
        let flows = |d: u64| [line(day(d), 5_000, "tiktok order"), line(day(d), -5_000, "tiktok sweep")];
        let moving = |d: u64| vec![line(day(d), 100 + i64::try_from(d).expect("a day"), "douyin order")];
        // The third of the bank's statements comes last: its lines net to nothing, or they do not.
        for (third, expected) in [(flows(3).to_vec(), "0.00 Some((3, 3))"), (moving(3), "1.03 None")] {
            let test = TestDb::new(test.engine);
            let db = test.open(Options::default());
            treasury(&db, 0..1);
            let booked: Vec<Entry> = [moving(1), moving(2), third, moving(4), moving(5)].concat();
            let told = |n: u64| camt(&format!("S{n}"), &[statement(0, &format!("S{n}"), n, (n, n), &booked)]);
            for n in [5, 1, 4, 2] {
                assert_eq!(take_in(&db, "day", &told(n)).expect("taken in").statements[0].state, "posted");
            }
            assert_eq!(gaps(&db), [expected]);
            assert_eq!(take_in(&db, "day", &told(3)).expect("taken in").statements[0].state, "posted");
            assert_eq!(gaps(&db), Vec::<String>::new());
            // The next year begins anew, with the ids and numbers of this one.
            let later: Vec<Entry> = [booked.clone(), moving(307), moving(308)].concat();
            for (n, on) in [(1, 307), (2, 308)] {
                let id = format!("S{n}");
                let told = camt(&id, &[statement(0, &id, n, (on, on), &later)]);
                assert_eq!(take_in(&db, "next year", &told).expect("taken in").statements[0].state, "posted");
            }
            assert_eq!(gaps(&db), Vec::<String>::new());
            assert_eq!(balances(&db)["m00"], 100_000 + sum(&later));
            assert_clean(&db);
        }
    });
}

/// A payment between two own masters, as the bank of one of them tells it.
fn between(on: u64, amount: i64, other: usize, id: &str) -> Entry {
    let mut entry = line(day(on), amount, "own transfer");
    entry.details[0].counterparty_account = Some(account_number(other));
    entry.details[0].counterparty_name = Some("Acme GmbH".to_owned());
    entry.details[0].end_to_end_id = Some(id.to_owned());
    entry
}

/// F-11: transfers in both directions, some of the same amount, that leave on one day and arrive later; the statements of both
/// banks come in any order. When all have come, nothing is in transit any more.
#[test]
fn transfers_between_own_masters_leave_nothing_in_transit_in_any_order() {
    for engine in BOTH {
        let test = TestDb::new(engine);
        let db = test.open(Options::default());
        let pairs = 20;
        treasury(&db, 0..2 * pairs);
        for pair in 0..pairs {
            let (a, b) = (2 * pair, 2 * pair + 1);
            let dice = &mut Dice::new(pair as u64);
            let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
            for n in 0..8 {
                let (on, amount) = (2 + dice.below(4), 1_000 * (1 + i64::try_from(dice.below(3)).expect("cents")));
                let (arrives, id) = (on + dice.below(3), format!("OWN-{pair}-{n}"));
                let to_b = dice.below(2) == 0;
                let (from, to) = if to_b { (&mut of_a, &mut of_b) } else { (&mut of_b, &mut of_a) };
                let (from_other, to_other) = if to_b { (b, a) } else { (a, b) };
                from.push(between(on, -amount, from_other, &id));
                to.push(between(arrives, amount, to_other, &id));
            }
            let mut files: Vec<(Statement, Vec<Entry>)> = Vec::new();
            for (master, booked) in [(a, &of_a), (b, &of_b)] {
                files.extend((1..=8).map(|d| statement(master, &format!("P{master}D{d}"), d, (d, d), booked)));
            }
            dice.shuffle(&mut files);
            for told in files {
                let id = told.0.id.clone();
                let taken = take_in(&db, &id, &camt(&id, &[told])).expect("taken in");
                assert_eq!(taken.statements[0].state, "posted", "{id}");
            }
            let balances = balances(&db);
            for (master, booked) in [(a, &of_a), (b, &of_b)] {
                let of = |rest: &str| balances[&format!("m{master:02}{rest}")];
                assert_eq!([of(""), of("/in-transit"), of("/suspense")], [100_000 + sum(booked), 0, 0], "pair {pair}");
            }
        }
        let open = "SELECT count(*) AS value FROM own_transfers WHERE matched_line IS NULL";
        assert_eq!(given::number(&test.url, open), 0);
        assert_clean(&db);
    }
}
