//! The journal under load and against a model written plainly: one effect per cause, no leaf below zero, and every balance, now,
//! dated and as it was known, as adding up by hand says.

use crate::databases::on_both;
use crate::given::{self, Book, Dice, alice, assert_clean, book, day, entry, inflow, post, transfer};
use chrono::{NaiveDate, TimeDelta};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tributary::db::{Db, Options};
use tributary::ledger::{self, Basis, HoldKind, HoldMove};
use tributary::ledger::{self as balances, DayBasis};
use tributary::time::{Clock, Instant, SetClock};

#[test]
fn the_same_cause_replays_its_answer_and_other_content_conflicts() {
    on_both(|test| {
        let db = test.open(Options::default());
        let book = book(&db, "b", 2);
        let first = post(&db, inflow(&book, 0, 100, "a")).expect("posted");
        let again = post(&db, inflow(&book, 0, 100, "a")).expect("replayed");
        assert_eq!((again.number, first.replayed, again.replayed), (first.number, false, true));
        // In one batch too, and by whoever asks.
        let twice = vec![inflow(&book, 0, 7, "b"), inflow(&book, 0, 7, "b"), inflow(&book, 1, 7, "b")];
        let answers = ledger::post(&db, &given::alice(), twice).expect("answers");
        let replayed: Vec<Option<bool>> = answers.iter().map(|a| a.as_ref().ok().map(|p| p.replayed)).collect();
        assert_eq!(replayed, [Some(false), Some(true), None]);
        let mut others = vec![inflow(&book, 0, 101, "a"), inflow(&book, 1, 100, "a")];
        others.extend(std::iter::repeat_n(inflow(&book, 0, 100, "a"), 3));
        let (n, last) = (others.len(), day(9));
        others[n - 3].description = "other words".to_owned();
        (others[n - 2].valued_on, others[n - 1].booked_on) = (last, last);
        for other in others {
            assert_eq!(post(&db, other).expect_err("a conflict").code(), "conflict");
        }
        let leaf = db.read(|conn| ledger::account(conn, "b/0")).expect("a leaf");
        assert_eq!((leaf.natural(), leaf.postings), (107, 2));
        assert_clean(&db);
    });
}

#[test]
fn sixty_four_with_one_cause_have_one_effect() {
    on_both(|test| {
        let db = test.open(Options::default());
        let book = book(&db, "b", 1);
        let answers: Vec<ledger::Posted> = std::thread::scope(|scope| {
            let ask = |_| scope.spawn(|| post(&db, inflow(&book, 0, 5, "one")).expect("an answer"));
            let threads: Vec<_> = (0..64).map(ask).collect();
            threads.into_iter().map(|t| t.join().expect("no panic")).collect()
        });
        assert_eq!(answers.iter().filter(|a| !a.replayed).count(), 1);
        assert!(answers.iter().all(|a| a.number == answers[0].number));
        assert_eq!(db.read(|conn| ledger::account(conn, "b/0")).expect("a leaf").natural(), 5);
        assert_clean(&db);
    });
}

#[test]
fn of_sixty_four_holds_exactly_those_that_are_covered_succeed() {
    on_both(|test| {
        let db = test.open(Options::default());
        let book = book(&db, "b", 1);
        for (covered, round) in [(1, 0), (17, 1), (40, 2)] {
            let before = db.read(|conn| ledger::account(conn, "b/0")).expect("a leaf");
            let free = before.natural() - before.held;
            post(&db, inflow(&book, 0, covered * 30 + 29 - free, &format!("{round}"))).expect("posted");
            let granted: usize = std::thread::scope(|scope| {
                let hold = |n: u32| {
                    let mut hold = entry(&format!("{round} {n}"), Basis::Decision, &[]);
                    let id = format!("{round} {n}");
                    hold.holds =
                        vec![HoldMove { account: book.leaves[0], hold: id, kind: HoldKind::Placed, amount: 30 }];
                    let db = &db;
                    scope.spawn(move || match post(db, hold) {
                        Ok(_) => 1,
                        Err(no) => usize::from(no.code() != "insufficient_funds") * 1_000,
                    })
                };
                let threads: Vec<_> = (0..64).map(hold).collect();
                threads.into_iter().map(|t| t.join().expect("no panic")).sum()
            });
            assert_eq!(i64::try_from(granted), Ok(covered));
        }
        assert_clean(&db);
    });
}

#[test]
fn readers_see_the_constant_total_while_money_moves() {
    on_both(|test| {
        let db = test.open(Options::default());
        let book = book(&db, "b", 10);
        let total = 10_000;
        for leaf in 0..10 {
            post(&db, inflow(&book, leaf, total / 10, &format!("start {leaf}"))).expect("posted");
        }
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let ends = given::Ends(&over);
            let reader = scope.spawn(|| {
                let mut seen = 0;
                while !over.load(Ordering::SeqCst) || seen == 0 {
                    let accounts = db.read(ledger::accounts).expect("a snapshot");
                    let leaves = accounts.iter().filter(|a| a.code.contains('/'));
                    assert!(leaves.clone().all(|a| a.natural() >= 0), "{accounts:?}");
                    assert_eq!(leaves.map(ledger::AccountRow::natural).sum::<i64>(), total);
                    seen += 1;
                }
            });
            let writers: Vec<_> = (0..8)
                .map(|thread| {
                    let (db, book) = (&db, &book);
                    scope.spawn(move || move_money(db, book, thread))
                })
                .collect();
            let moved: usize = writers.into_iter().map(|w| w.join().expect("no panic")).sum();
            drop(ends);
            reader.join().expect("every snapshot was right");
            assert!(moved > 0);
        });
        assert_clean(&db);
    });
}

/// Random transfers, some too large; gives how many went through.
fn move_money(db: &Db, book: &Book, thread: u64) -> usize {
    let mut dice = Dice::new(thread);
    let mut moved = 0;
    for n in 0..60 {
        let from = usize::try_from(dice.below(10)).expect("a leaf");
        let to = (from + 1 + usize::try_from(dice.below(9)).expect("a leaf")) % 10;
        let amount = 1 + i64::try_from(dice.below(1_500)).expect("cents");
        match post(db, transfer(book, from, to, amount, &format!("{thread} {n}"))) {
            Ok(_) => moved += 1,
            Err(no) => assert_eq!(no.code(), "insufficient_funds"),
        }
    }
    moved
}

#[test]
fn what_does_not_fit_64_bits_is_refused() {
    on_both(|test| {
        let db = test.open(Options::default());
        let book = book(&db, "b", 2);
        post(&db, inflow(&book, 0, i64::MAX - 10, "nearly all")).expect("posted");
        for (amount, cause) in [(11, "a"), (i64::MAX, "b")] {
            assert_eq!(post(&db, inflow(&book, 0, amount, cause)).expect_err("refused").code(), "overflow");
        }
        // The turnover, not only the balance: the master's debits are used up although the leaf could take it.
        assert_eq!(post(&db, inflow(&book, 1, 11, "c")).expect_err("refused").code(), "overflow");
        post(&db, inflow(&book, 1, 10, "d")).expect("the last that fits");
        assert_clean(&db);
    });
}

/// An entry as the model remembers it.
struct Kept {
    number: i64,
    recorded: Instant,
    booked: NaiveDate,
    valued: NaiveDate,
    postings: Vec<(i64, i64)>,
    reversed: bool,
}

/// The journal by hand: everything that was posted, added up anew for each question.
#[derive(Default)]
struct Model(Vec<Kept>);

impl Model {
    fn sum(&self, account: i64, counts: impl Fn(&Kept) -> bool) -> i128 {
        let of = |k: &Kept| k.postings.iter().filter(|p| p.0 == account).map(|p| i128::from(p.1)).sum::<i128>();
        self.0.iter().filter(|k| counts(k)).map(of).sum()
    }

    /// What a decision may still take from a leaf.
    fn has(&self, leaf: i64) -> i128 {
        -self.sum(leaf, |_| true)
    }
}

/// One random operation: money in or out, a transfer, a reversal; some are back-dated and some too large.
fn operate(db: &Db, book: &Book, model: &mut Model, dice: &mut Dice, n: u64, now: Instant) {
    let leaf = |dice: &mut Dice| usize::try_from(dice.below(4)).expect("a leaf");
    let amount = 1 + i64::try_from(dice.below(1_000)).expect("cents");
    let (from, to, cause) = (leaf(dice), leaf(dice), format!("{n:04}"));
    let mut new = match dice.below(10) {
        0..=3 => inflow(book, from, amount, &cause),
        4 => inflow(book, from, -amount, &cause),
        5 if !model.0.is_empty() => {
            let place = usize::try_from(dice.below(model.0.len() as u64)).expect("an entry");
            let original = db.read(|conn| ledger::entry(conn, model.0[place].number)).expect("an entry");
            let reversal = ledger::reversal_of(&original, day(1 + dice.below(20)), "a slip").expect("no holds");
            if model.0[place].reversed {
                // Already posted with the same or another day: never a second effect.
                assert!(post(db, reversal).map_or_else(|no| no.code() == "conflict", |posted| posted.replayed));
                return;
            }
            reversal
        }
        _ => transfer(book, from, (from + to % 3 + 1) % 4, amount, &cause),
    };
    if new.reverses.is_none() {
        (new.booked_on, new.valued_on) = (day(1 + dice.below(20)), day(1 + dice.below(25)));
    }
    let postings: Vec<(i64, i64)> = new.postings.iter().map(|p| (p.account.0, p.amount)).collect();
    let leaves = postings.iter().filter(|(account, _)| *account != book.master.0);
    let allowed = new.basis == Basis::Fact
        || leaves.clone().all(|(account, amount)| *amount < 0 || model.has(*account) >= i128::from(*amount));
    let (booked, valued, reverses) = (new.booked_on, new.valued_on, new.reverses);
    let answer = post(db, new);
    assert_eq!(answer.is_ok(), allowed, "operation {n}: {answer:?}");
    let Ok(posted) = answer else { return };
    if let Some(original) = model.0.iter_mut().find(|k| Some(k.number) == reverses) {
        original.reversed = true;
    }
    model.0.push(Kept { number: posted.number, recorded: now, booked, valued, postings, reversed: false });
}

#[test]
fn balances_of_every_kind_are_as_adding_up_says() {
    on_both(|test| {
        let clock = Arc::new(SetClock::at("2026-03-02T22:00:00Z".parse().expect("an instant")));
        let db = test.open(Options { clock: Arc::<SetClock>::clone(&clock), ..Options::default() });
        let book = book(&db, "b", 4);
        let (mut model, mut dice) = (Model::default(), Dice::new(12));
        for n in 0..500 {
            // Past several midnights; each operation is recorded at an instant of its own.
            clock.set(clock.now() + TimeDelta::minutes(1 + i64::try_from(dice.below(20)).expect("minutes")));
            operate(&db, &book, &mut model, &mut dice, n, clock.now());
        }
        assert!(model.0.len() > 300 && model.0.iter().any(|k| k.reversed), "{} entries", model.0.len());
        let accounts = [&[book.master], &book.leaves[..]].concat();
        let instants: Vec<Instant> = model.0.iter().step_by(29).map(|k| k.recorded).collect();
        let ask = |conn: &mut tributary::db::Conn| {
            for account in accounts.iter().map(|a| a.0) {
                for number in 0..=26 {
                    let on = day(1) + chrono::Days::new(number) - chrono::Days::new(1);
                    let booked = balances::as_of(conn, account, DayBasis::Booking, on)?;
                    assert_eq!(i128::from(booked), model.sum(account, |k| k.booked <= on), "{account} booked by {on}");
                    let valued = balances::as_of(conn, account, DayBasis::Value, on)?;
                    assert_eq!(i128::from(valued), model.sum(account, |k| k.valued <= on), "{account} valued by {on}");
                }
                for at in &instants {
                    let known = balances::as_known(conn, account, *at)?;
                    assert_eq!(i128::from(known), model.sum(account, |k| k.recorded <= *at), "{account} known at {at}");
                    let both = balances::as_of_and_known(conn, account, DayBasis::Value, day(12), *at)?;
                    let counts = |k: &Kept| k.valued <= day(12) && k.recorded <= *at;
                    assert_eq!(i128::from(both), model.sum(account, counts), "{account} valued by then, known at {at}");
                }
            }
            Ok(())
        };
        db.read(ask).expect("read");
        let stored: BTreeMap<i64, i64> =
            db.read(ledger::accounts).expect("read").iter().map(|a| (a.id, a.booked())).collect();
        for (account, booked) in stored {
            assert_eq!(i128::from(booked), model.sum(account, |_| true));
        }
        assert_totals(&test.url, &model);
        assert_clean(&db);
    });
}

/// Each stored total of a day is the sum of that day's postings.
#[track_caller]
fn assert_totals(url: &tributary::db::Url, model: &Model) {
    let query = "SELECT account || ' ' || CAST(day AS TEXT) || ' ' || CAST(SUM(booked_debits) AS BIGINT) || ' ' || \
                 CAST(SUM(booked_credits) AS BIGINT) || ' ' || CAST(SUM(valued_debits) AS BIGINT) || ' ' || \
                 CAST(SUM(valued_credits) AS BIGINT) AS value FROM day_totals GROUP BY account, day ORDER BY account, day";
    let mut sums: BTreeMap<(i64, NaiveDate), [i128; 4]> = BTreeMap::new();
    for kept in &model.0 {
        for (account, amount) in &kept.postings {
            let side = usize::from(*amount < 0);
            sums.entry((*account, kept.booked)).or_default()[side] += i128::from(amount.abs());
            sums.entry((*account, kept.valued)).or_default()[2 + side] += i128::from(amount.abs());
        }
    }
    let told = sums.iter().map(|((account, on), [a, b, c, d])| format!("{account} {on} {a} {b} {c} {d}"));
    assert_eq!(given::texts(url, query), told.collect::<Vec<_>>());
}

#[test]
fn whoever_asks_is_recorded_with_each_entry() {
    on_both(|test| {
        let db = test.open(Options::default());
        let book = book(&db, "b", 1);
        for (name, cause) in [("alice", "a"), ("bob", "b")] {
            let who = tributary::db::Who::operator(name);
            ledger::post(&db, &who, vec![inflow(&book, 0, 1, cause)]).expect("answers").remove(0).expect("posted");
        }
        let actors = given::texts(&test.url, "SELECT actor AS value FROM entries ORDER BY number");
        assert_eq!(actors, ["operator:alice", "operator:bob"]);
        assert_eq!(alice().actor.as_str(), "operator:alice");
        assert_clean(&db);
    });
}
