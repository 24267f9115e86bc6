//! From bank files to posted lines: whatever comes, in whichever order and as often, each line is there once.
//!
//! Files are made from one truth, all that the bank has booked; the tests say which part of it each file tells.

use crate::databases::{BOTH, on_both};
use crate::given::{self, Dice, alice, assert_clean, camt, day, line, lines, mt, statement, sum, treasury};
use crate::walk::{self, Form, Message, Told, Walk};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tributary::allocation::intake::{self, TakenIn};
use tributary::app::{self, TreasuryFile};
use tributary::banking::write::{Entry, Statement};
use tributary::db::{self, Db, Fault, FaultPoint, Faults, Options, Url};
use tributary::error::Result;
use tributary::positions::{Moment, Report, positions};
use tributary::scope::Scope;
use tributary::statements::{self, Gap};
use tributary::{chart, ledger};

fn take_in_with(db: &Db, name: &str, bytes: &[u8], progress: &mut dyn FnMut(u64, u64)) -> Result<TakenIn> {
    let bytes = bytes.to_vec();
    let open = || Ok(Box::new(std::io::Cursor::new(bytes.clone())) as Box<dyn Read>);
    intake::take_in(db, &alice(), (name, "test"), &open, progress)
}

fn take_in(db: &Db, name: &str, bytes: &[u8]) -> Result<TakenIn> {
    take_in_with(db, name, bytes, &mut |_, _| {})
}

/// What became of each statement.
fn states(taken: &TakenIn) -> Vec<&str> {
    taken.statements.iter().map(|s| s.state.as_str()).collect()
}

fn head(db: &Db) -> db::Head {
    db.read(db::head).expect("a head")
}

/// Every account's balance on its normal side, by code; those at zero are left out.
fn balances(db: &Db) -> BTreeMap<String, i64> {
    let accounts = db.read(ledger::accounts).expect("accounts");
    accounts.into_iter().filter(|a| a.natural() != 0).map(|a| (a.code.clone(), a.natural())).collect()
}

/// The multiset of lines: master, day, amount and text of each, sorted.
fn stored_lines(url: &Url) -> Vec<String> {
    let mut all = given::texts(
        url,
        "SELECT m.code || ' ' || CAST(l.booked_on AS TEXT) || ' ' || l.amount || ' ' || l.remittance AS value \
         FROM lines l JOIN masters m ON m.id = l.master",
    );
    all.sort();
    all
}

/// The same of what the bank has booked on the account of one master.
fn booked_lines(master: usize, booked: &[Entry]) -> Vec<String> {
    let text = |e: &Entry| e.details[0].remittance.clone().expect("a text");
    let told = |e: &Entry| format!("m{master:02} {} {} {}", e.booked_on, sum(std::slice::from_ref(e)), text(e));
    let mut all: Vec<String> = booked.iter().map(told).collect();
    all.sort();
    all
}

/// A camt.053 about some days, with an id and number of its own.
fn window(number: u64, days: (u64, u64), booked: &[Entry]) -> Vec<u8> {
    let id = format!("W{number}");
    camt(&id, &[statement(0, &id, number, days, booked)])
}

#[test]
fn the_same_file_again_changes_nothing() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let booked = lines(&mut Dice::new(1), 1..=3, 10);
        for bytes in [window(1, (1, 1), &booked), mt(&[statement(0, "S2", 2, (2, 3), &booked)])] {
            let first = take_in(&db, "a", &bytes).expect("taken in");
            assert_eq!((states(&first), first.already, first.known_lines), (vec!["posted"], false, 0));
            let before = (head(&db), balances(&db));
            for name in ["a", "another name"] {
                let again = take_in(&db, name, &bytes).expect("taken in");
                assert_eq!((again.already, again.new_lines, again.known_lines), (true, 0, 0));
                assert_eq!(again.file.id, first.file.id);
                assert_eq!((head(&db), balances(&db)), before);
            }
        }
        assert_eq!(stored_lines(&test.url), booked_lines(0, &booked));
        assert_eq!(balances(&db)["m00"], 100_000 + sum(&booked));
        assert_clean(&db);
    });
}

#[test]
fn a_rule_that_is_put_in_force_while_a_file_is_taken_in_holds_for_the_lines_to_come() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let booked: Vec<Entry> = (0..1_500).map(|n| line(day(1), 100 + n, "NOBODY KNOWS")).collect();
        let rule = "[[rule]]\ncode = \"later\"\npriority = 1\nwhen = { masters = [\"m00\"] }\nto = [{ leaf = \"m00/house/pool\" }]";
        let mut applied = false;
        let taken = take_in_with(&db, "long", &window(1, (1, 1), &booked), &mut |_, _| {
            if !std::mem::replace(&mut applied, true) {
                app::apply(&db, &alice(), TreasuryFile::parse(rule).expect("a rule")).expect("applied");
            }
        });
        assert_eq!(taken.expect("taken in").new_lines, 1_500);
        let by = |evidence: &str| {
            given::number(&test.url, &format!("SELECT count(*) AS value FROM routes WHERE evidence = '{evidence}'"))
        };
        assert!(by("none") > 0 && by("rule") > 0, "{} wait, {} by the rule", by("none"), by("rule"));
        assert_eq!(by("none") + by("rule"), 1_500);
        assert_clean(&db);
    });
}

#[test]
fn overlapping_windows_tell_of_each_line_once() {
    on_both(|test| {
        let booked = lines(&mut Dice::new(2), 1..=60, 6);
        for length in [7, 14, 30] {
            let test = crate::databases::TestDb::new(test.engine);
            let db = test.open(Options::default());
            treasury(&db, 0..1);
            let mut windows: Vec<u64> = (1..=61 - length).step_by(5).collect();
            windows.push(61 - length);
            Dice::new(length).shuffle(&mut windows);
            for (number, first) in windows.iter().zip(1..) {
                let taken = take_in(&db, "window", &window(first, (*number, number + length - 1), &booked));
                let taken = taken.expect("taken in");
                assert!(["posted", "already_imported"].contains(&states(&taken)[0]), "{:?}", taken.statements);
            }
            assert_eq!(stored_lines(&test.url), booked_lines(0, &booked), "windows of {length} days");
            assert_eq!(balances(&db)["m00"], 100_000 + sum(&booked));
            assert_clean(&db);
        }
    });
}

#[test]
fn a_balance_that_no_account_can_hold_is_refused() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        for cents in [i64::MIN + 1, i64::MAX, i64::MAX / 2 + 1] {
            let mut told = statement(0, "X", 1, (1, 1), &[]);
            for balance in [&mut told.0.opening, &mut told.0.closing] {
                balance.as_mut().expect("a balance").amount.0 = cents;
            }
            let taken = take_in(&db, "absurd", &camt(&format!("M{cents}"), &[told])).expect("taken in");
            assert_eq!(states(&taken), ["refused"]);
        }
        assert_eq!(db.read(statements::all_gaps).expect("gaps"), []);
        db.read(|conn| positions(conn, &Scope::everything(), Moment::default())).expect("positions");
        assert_clean(&db);
    });
}

#[test]
fn a_day_that_is_sent_again_with_other_balances_tells_of_the_same_lines() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let booked = vec![line(day(1), 25_000, "ORDER 1"), line(day(1), 4_000, "ORDER 2")];
        let first = statement(0, "X", 1, (1, 1), &booked);
        let mut again = first.clone();
        for balance in [&mut again.0.opening, &mut again.0.closing] {
            balance.as_mut().expect("a balance").amount.0 += 500;
        }
        take_in(&db, "first", &unnumbered(&camt("A", &[first]))).expect("taken in");
        let taken = take_in(&db, "again", &unnumbered(&camt("B", &[again]))).expect("taken in");
        assert_eq!(states(&taken), ["restated"]);
        let why = "they corrected the day before";
        let row = intake::accept_waiting(&db, &alice(), &taken.statements[0].id, why, &mut |_, _| {});
        assert_eq!(row.expect("accepted").state, "posted");
        let posted = "SELECT count(*) AS value FROM lines WHERE posting = 'posted'";
        assert_eq!((given::number(&test.url, posted), stored_lines(&test.url).len()), (2, 2));
        assert_clean(&db);
    });
}

/// The bank numbers nothing.
fn unnumbered(camt: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(camt.to_vec()).expect("UTF-8");
    let (before, rest) = text.split_once("<ElctrncSeqNb>").expect("a number");
    let (_, after) = rest.split_once("</ElctrncSeqNb>").expect("its end");
    format!("{before}{after}").into_bytes()
}

#[test]
fn rolling_windows_of_an_account_that_nets_to_zero_tell_of_each_line_once() {
    on_both(|test| {
        for order in [[0, 1], [1, 0]] {
            let test = crate::databases::TestDb::new(test.engine);
            let db = test.open(Options::default());
            treasury(&db, 0..1);
            let flows =
                |d: u64| [line(day(d), 5_000, &format!("tiktok {d}")), line(day(d), -5_000, &format!("sweep {d}"))];
            let booked: Vec<Entry> = (2..=9).flat_map(flows).collect();
            let files = [window(1, (2, 8), &booked), window(2, (3, 9), &booked)];
            for n in order {
                take_in(&db, "window", &files[n]).expect("taken in");
            }
            assert_eq!(stored_lines(&test.url), booked_lines(0, &booked));
            assert_eq!(balances(&db)["m00"], 100_000);
            assert_clean(&db);
        }
    });
}

#[test]
fn statements_of_one_day_without_numbers_are_its_parts() {
    on_both(|test| {
        // Equal lines, told in three parts and once as a whole day; in every order.
        let booked: Vec<Entry> = (0..3).map(|_| line(day(2), 10_000, "tiktok")).collect();
        let part = |name: &str, from: usize, to: usize| {
            let (mut head, lines) = statement(0, name, 1, (2, 2), &booked[from..to]);
            let moved = i64::try_from(from).expect("few") * 10_000;
            for balance in [&mut head.opening, &mut head.closing] {
                balance.as_mut().expect("a balance").amount.0 += moved;
            }
            unnumbered(&camt(name, &[(head, lines)]))
        };
        let files = [part("MORNING", 0, 1), part("NOON", 1, 2), part("EVENING", 2, 3), part("DAY", 0, 3)];
        let next_day = unnumbered(&window(1, (3, 3), &[booked.clone(), vec![line(day(3), 500, "tiktok")]].concat()));
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for whole in [false, true] {
                let test = crate::databases::TestDb::new(test.engine);
                let db = test.open(Options::default());
                treasury(&db, 0..1);
                for n in order.into_iter().chain(whole.then_some(3)) {
                    take_in(&db, "part", &files[n]).expect("taken in");
                }
                assert_eq!(stored_lines(&test.url), booked_lines(0, &booked), "{order:?}, {whole}");
                let (report, gaps) = db.read(against_bank).expect("positions");
                let m = &report.masters[0];
                let shown = [m.bank_closing, m.difference].map(|a| a.expect("a closing").to_string());
                assert_eq!(
                    (shown, gaps),
                    (["1300.00".to_owned(), "0.00".to_owned()], Vec::new()),
                    "{order:?}, {whole}"
                );
                take_in(&db, "next day", &next_day).expect("taken in");
                assert_eq!(db.read(against_bank).expect("gaps").1, Vec::new(), "{order:?}, {whole}");
                assert_clean(&db);
            }
        }
    });
}

fn against_bank(conn: &mut db::Conn) -> Result<(Report, Vec<Gap>)> {
    let master = chart::master(conn, "m00")?;
    Ok((positions(conn, &Scope::everything(), Moment::default())?, statements::gaps(conn, &master)?))
}

/// One month of one bank, which twenty masters hear of in as many orders: in one database, since masters share nothing.
#[test]
fn the_order_of_files_does_not_matter() {
    let booked = lines(&mut Dice::new(3), 1..=30, 5);
    for engine in BOTH {
        let history = |seed: u64, master| {
            let daily = |n| Message::of_days(Form::Camt(Told::Statement), master, &format!("D{n}"), n, (n, n), &booked);
            let mut messages: Vec<Message> = (1..=30).map(daily).collect();
            // The first seed is the order of days.
            if seed > 0 {
                Dice::new(seed).shuffle(&mut messages);
            }
            Walk { booked: booked.clone(), messages, any_day: false }
        };
        walk::all(engine, 20, history, |_, db, walks| {
            walk::assert_no_gaps(db, walks);
            let balances = balances(db);
            let of = |master: usize| -> Vec<(&str, i64)> {
                let own = format!("m{master:02}");
                let own = balances.iter().filter_map(|(code, cents)| Some((code.strip_prefix(&own)?, *cents)));
                own.collect()
            };
            assert!((1..walks.len()).all(|master| of(master) == of(0)), "{balances:?}");
        });
    }
}

#[test]
fn equal_lines_keep_their_count_through_other_files() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let (mut booked, mut number) = (Vec::new(), 0);
        for k in 2..=20 {
            // On one day the same payment k times, and on each side of it another.
            let on = day(k);
            booked.push(line(on, 700, "tiktok before"));
            booked.extend((0..k).map(|_| line(on, 1_250, "tiktok subscription")));
            booked.push(line(on, -300, "douyin after"));
        }
        let mut told = |days: (u64, u64), as_mt: bool| {
            number += 1;
            let id = format!("E{number}");
            let told = [statement(0, &id, number, days, &booked)];
            let bytes = if as_mt { mt(&told) } else { camt(&id, &told) };
            take_in(&db, &id, &bytes).expect("taken in")
        };
        for k in 2..=20 {
            let first = told((k, k), false);
            assert_eq!((first.new_lines, first.known_lines), (k + 2, 0));
            let again = told((k, k), k % 2 == 0);
            assert_eq!((again.new_lines, again.known_lines), (0, k + 2), "{k} equal lines");
        }
        let all = u64::try_from(booked.len()).expect("a count");
        for as_mt in [false, true] {
            let whole = told((1, 31), as_mt);
            assert_eq!((whole.new_lines, whole.known_lines), (0, all));
        }
        assert_eq!(stored_lines(&test.url), booked_lines(0, &booked));
        assert_clean(&db);
    });
}

#[test]
fn an_unknown_account_holds_up_only_its_own_statement() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..19);
        let mut dice = Dice::new(4);
        let booked: Vec<Vec<Entry>> = (0..20).map(|_| lines(&mut dice, 1..=1, 5)).collect();
        let told = |m: usize| statement(m, &format!("A{m}"), 1, (1, 1), &booked[m]);
        let bytes = camt("TWENTY", &(0..20).map(told).collect::<Vec<(Statement, Vec<Entry>)>>());
        let first = take_in(&db, "twenty", &bytes).expect("taken in");
        assert_eq!(states(&first), [vec!["posted"; 19], vec!["refused"]].concat());
        assert!(first.statements[19].problems.contains(&given::account_number(19)), "{:?}", first.statements[19]);
        assert_clean(&db);
        let before = head(&db);
        // Still unknown: judged again, with the same result.
        assert_eq!(states(&take_in(&db, "twenty", &bytes).expect("taken in"))[19], "refused");
        assert_eq!(head(&db).entry, before.entry);
        treasury(&db, 19..20);
        let again = take_in(&db, "twenty", &bytes).expect("taken in");
        assert_eq!(states(&again), vec!["posted"; 20]);
        assert_eq!((again.already, again.new_lines), (false, booked[19].len() as u64));
        let expected: Vec<String> = (0..20).flat_map(|m| booked_lines(m, &booked[m])).collect();
        assert_eq!(stored_lines(&test.url), expected);
        assert_clean(&db);
    });
}

#[test]
fn a_truncated_file_is_refused_whole() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..2);
        let mut dice = Dice::new(5);
        let booked = [lines(&mut dice, 1..=1, 20), lines(&mut dice, 1..=1, 20)];
        let told = [statement(0, "T0", 1, (1, 1), &booked[0]), statement(1, "T1", 1, (1, 1), &booked[1])];
        let before = (head(&db).entry, balances(&db));
        let whole = camt("CUT", &told);
        for percent in [10, 40, 60, 90, 99] {
            // At 60 percent and more the first statement is whole, and still the file is not.
            let cut = &whole[..whole.trim_ascii_end().len() * percent / 100];
            let no = take_in(&db, "cut", cut).expect_err("refused");
            assert_eq!(no.code(), "unreadable_file", "at {percent} percent: {no}");
            assert_eq!((head(&db).entry, balances(&db)), before);
        }
        assert_eq!(given::number(&test.url, "SELECT count(*) AS value FROM lines"), 0);
        assert_eq!(states(&take_in(&db, "whole", &whole).expect("taken in")), ["posted", "posted"]);
        assert_clean(&db);
    });
}

#[test]
fn a_large_file_posts_in_slices_and_says_how_far_it_is() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let booked: Vec<Entry> = lines(&mut Dice::new(6), 1..=2, 1_500).into_iter().take(3_000).collect();
        let seals = head(&db).seal;
        let mut steps = Vec::new();
        let bytes = window(1, (1, 2), &booked);
        let taken = take_in_with(&db, "large", &bytes, &mut |done, of| steps.push((done, of))).expect("taken in");
        assert_eq!((taken.new_lines, states(&taken)), (3_000, vec!["posted"]));
        assert!(steps.len() > 2, "{steps:?}");
        assert!(steps.windows(2).all(|s| s[0].0 < s[1].0), "{steps:?}");
        assert!(steps.iter().all(|s| s.1 == 3_000) && steps.last() == Some(&(3_000, 3_000)), "{steps:?}");
        // A seal for accepting, and one for each slice.
        assert_eq!(usize::try_from(head(&db).seal - seals), Ok(1 + steps.len()));
        assert_clean(&db);
    });
}

/// The answer to two of three COMMITs goes missing: the writer finds out what happened, or does again what makes no seal, and
/// no slice is posted twice or given up.
#[test]
fn an_import_goes_through_although_commits_are_not_answered() {
    on_both(|test| {
        let commits = AtomicUsize::new(0);
        let lost: Faults = Arc::new(move |point| {
            let lost = point == FaultPoint::AfterCommit && commits.fetch_add(1, Ordering::SeqCst) % 3 < 2;
            lost.then_some(Fault::Error)
        });
        let db = test.open(Options { faults: Some(lost), ..Options::default() });
        treasury(&db, 0..1);
        // Some of it is history, which posts nothing, and at the end all of it is known.
        let mut booked = lines(&mut Dice::new(10), 1..=2, 400);
        for entry in booked.iter_mut().take(500) {
            entry.booked_on = day(1) - chrono::Days::new(40);
        }
        let told = statement(0, "OLD", 1, (1, 2), &booked).0;
        let before = day(1) - chrono::Days::new(50);
        let sum = sum(&booked);
        let mut told = Statement { period: Some((before, day(2))), ..told };
        if let (Some(opening), Some(closing)) = (told.opening.as_mut(), told.closing.as_mut()) {
            (opening.on, closing.amount.0) = (before, opening.amount.0 + sum);
        }
        told.totals = None;
        let count = booked.len() as u64;
        let first = take_in(&db, "first", &camt("FIRST", &[(told.clone(), booked.clone())])).expect("taken in");
        assert_eq!((states(&first), first.new_lines), (vec!["posted"], count));
        told.id = "AGAIN".to_owned();
        let again = take_in(&db, "again", &camt("AGAIN", &[(told, booked.clone())])).expect("taken in");
        assert_eq!((states(&again), again.new_lines, again.known_lines), (vec!["posted"], 0, count));
        assert_eq!(stored_lines(&test.url), booked_lines(0, &booked));
        assert_clean(&db);
    });
}

#[test]
fn a_statement_that_comes_as_camt_and_as_mt940_posts_once() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let booked = lines(&mut Dice::new(7), 1..=4, 10);
        for (days, camt_first) in [((1, 2), true), ((3, 4), false)] {
            let told = [statement(0, &format!("B{}", days.0), days.0, days, &booked)];
            let mut files = [camt("BOTH", &told), mt(&told)];
            if !camt_first {
                files.reverse();
            }
            let count = told[0].1.len() as u64;
            assert_eq!(take_in(&db, "first", &files[0]).expect("taken in").new_lines, count);
            let before = (head(&db).entry, balances(&db));
            let second = take_in(&db, "second", &files[1]).expect("taken in");
            assert_eq!(second.new_lines, 0, "{:?}", second.statements);
            assert_eq!((head(&db).entry, balances(&db)), before);
        }
        assert_eq!(stored_lines(&test.url), booked_lines(0, &booked));
        assert_clean(&db);
    });
}

#[test]
fn a_statement_that_contradicts_itself_waits_in_quarantine() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..2);
        let booked = lines(&mut Dice::new(8), 1..=2, 5);
        let mut wrong_sum = statement(0, "Q1", 1, (1, 1), &booked);
        wrong_sum.0.totals.as_mut().expect("totals").credit_sum += 1;
        let mut wrong_count = statement(0, "Q2", 2, (1, 1), &booked);
        wrong_count.0.totals.as_mut().expect("totals").debit_count += 1;
        let mut wrong_closing = statement(0, "Q3", 3, (1, 1), &booked);
        wrong_closing.0.closing.as_mut().expect("a balance").amount.0 += 1;
        let right = statement(1, "Q4", 4, (2, 2), &booked);
        let expected = booked_lines(1, &right.1);
        let bytes = camt("QUARANTINE", &[wrong_sum, wrong_count, wrong_closing, right]);
        let taken = take_in(&db, "wrong", &bytes).expect("taken in");
        assert_eq!(states(&taken), ["quarantined", "quarantined", "quarantined", "posted"]);
        assert!(taken.statements[..3].iter().all(|s| s.problems.len() > 2), "each says what is wrong");
        assert_eq!(stored_lines(&test.url), expected);
        assert_eq!(balances(&db)["m00"], 100_000);
        assert_clean(&db);
    });
}

/// F-12: what a bank declares of all its lines together, without telling credits from debits.
#[test]
fn declared_totals_that_are_wrong_by_a_line_or_a_cent_hold_a_statement_back() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let booked = lines(&mut Dice::new(12), 1..=1, 5);
        let (count, cents) = (booked.len(), booked.iter().map(|line| line.amount.0).sum::<i64>());
        let with_totals = |id: &str, count: usize, cents: i64| {
            let file = String::from_utf8(camt(id, &[statement(0, id, 1, (1, 1), &booked)])).expect("text");
            let sum = format!("{}.{:02}", cents / 100, cents % 100);
            let (before, rest) = file.split_once("<TtlNtries>").expect("totals of all");
            let (_, after) = rest.split_once("</TtlNtries>").expect("their end");
            let told = format!("<TtlNtries><NbOfNtries>{count}</NbOfNtries><Sum>{sum}</Sum></TtlNtries>");
            format!("{before}{told}{after}").into_bytes()
        };
        for (id, count, cents, state) in [
            ("T1", count + 1, cents, "quarantined"),
            ("T2", count, cents + 1, "quarantined"),
            ("T3", count, cents, "posted"),
        ] {
            let taken = take_in(&db, id, &with_totals(id, count, cents)).expect("taken in");
            assert_eq!(states(&taken), [state], "{id}: {:?}", taken.statements);
        }
        assert_eq!(stored_lines(&test.url), booked_lines(0, &booked));
        assert_clean(&db);
    });
}

#[test]
fn a_bank_may_use_the_ids_of_last_year_again() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let mut dice = Dice::new(9);
        let mut booked = lines(&mut dice, 1..=3, 5);
        booked.extend(lines(&mut dice, 366..=368, 5));
        for first in [1, 366] {
            for n in 0..3 {
                let id = format!("STMT{n}");
                let days = (first + n, first + n);
                let taken =
                    take_in(&db, &id, &camt(&id, &[statement(0, &id, n + 1, days, &booked)])).expect("taken in");
                assert_eq!(states(&taken), ["posted"]);
            }
        }
        assert_eq!(stored_lines(&test.url), booked_lines(0, &booked));
        // The same id on the same day with other content is another matter.
        let other = statement(0, "STMT0", 1, (1, 1), &lines(&mut dice, 1..=1, 5));
        assert_eq!(states(&take_in(&db, "restated", &camt("R", &[other])).expect("taken in")), ["restated"]);
        assert_clean(&db);
    });
}
