//! Statements that heal (F-02, F-03, F-06): whatever order messages come in, however they overlap and whatever changes
//! between the first word of a booking and the last, the books end as the bank's.
//!
//! How many histories: a thousand on SQLite; on PostgreSQL fifty, because the same pure pairing decides there and a commit
//! costs more; `HISTORIES=1000 tests/run --fast --test it -- healing` tells a thousand there too. The seed of a history is its number,
//! so a failure repeats.

use crate::databases::{BOTH, Engine};
use crate::given::{Dice, day, line};
use crate::walk::{self, Form, Message, Told, Walk, assert_no_gaps};
use tributary::banking::Status;
use tributary::banking::write::Entry;
use tributary::money::Minor;

/// Histories of each kind.
fn histories(engine: Engine) -> usize {
    let asked = std::env::var("HISTORIES").ok().and_then(|n| n.parse().ok());
    asked.unwrap_or(match engine {
        Engine::Sqlite => 1_000,
        Engine::Postgres => 50,
    })
}

const CAMT: Form = Form::Camt(Told::Statement);

/// Up to two bookings on each of some days, some of them equal to the one before, and quiet days.
fn bookings(dice: &mut Dice, days: u64) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    for number in 1..=days {
        for _ in 0..dice.below(3) {
            if let (Some(last), 0) = (all.last(), dice.below(5)) {
                let again = Entry { booked_on: day(number), valued_on: day(number), ..last.clone() };
                all.push(again);
                continue;
            }
            let amount = i64::try_from(dice.below(2_000)).expect("cents") - 500;
            let text = format!("{} order {}", dice.pick(&["tiktok", "douyin", "capcut", "unknown"]), dice.below(50));
            all.push(line(day(number), if amount == 0 { 1 } else { amount }, &text));
        }
    }
    all
}

/// F-02.
#[test]
fn thirty_daily_files_end_the_same_in_any_order() {
    for engine in BOTH {
        let history = |seed, master| {
            let dice = &mut Dice::new(seed);
            let booked = bookings(dice, 30);
            let daily = |n: u64| Message::of_days(CAMT, master, &format!("D{n}"), n, (n, n), &booked);
            let mut messages: Vec<Message> = (1..=30).map(daily).collect();
            dice.shuffle(&mut messages);
            Walk { booked, messages, any_day: false }
        };
        walk::all(engine, histories(engine), history, |_, db, walks| assert_no_gaps(db, walks));
    }
}

/// F-03: windows of one length, each beginning within the one before, in any order; some banks send them as MT940, and some
/// send one of them again under another id.
#[test]
fn windows_of_a_week_a_fortnight_and_a_month_tell_of_each_line_once() {
    for engine in BOTH {
        let history = |seed: u64, master| {
            let dice = &mut Dice::new(seed);
            let length = [7, 14, 30][usize::try_from(seed % 3).expect("a place")];
            let days = length + 10;
            let booked = bookings(dice, days);
            let mut messages = Vec::new();
            let mut first = 1;
            loop {
                let last = (first + length - 1).min(days);
                let form = if dice.below(4) == 0 { Form::Mt } else { CAMT };
                for _ in 0..=dice.below(6) / 5 {
                    let number = messages.len() as u64 + 1;
                    let id = format!("W{number}");
                    messages.push(Message::of_days(form, master, &id, number, (first, last), &booked));
                }
                if last == days {
                    break;
                }
                first += 1 + dice.below(length.min(9));
            }
            dice.shuffle(&mut messages);
            Walk { booked, messages, any_day: false }
        };
        walk::all(engine, histories(engine), history, |_, db, walks| assert_no_gaps(db, walks));
    }
}

/// F-06: a payment is announced (camt.052), perhaps booked early (camt.054), and at last in the books of its day (camt.053).
/// Meanwhile one of these changes: its day, the bank's reference, the wording, or its amount, by a fee. Beside it runs
/// another payment of the same amount. A booking keeps the day on which it was first told as booked: it posts once.
#[test]
fn what_was_pending_is_booked_once_whatever_changes() {
    for engine in BOTH {
        walk::all(engine, histories(engine), pending_history, |test, _, walks| {
            let open = "SELECT count(*) AS value FROM pending_lines WHERE state <> 'met' OR line IS NULL";
            assert_eq!(crate::given::number(&test.url, open), 0, "each announced line is linked to the booked one");
            // To the line, or to the one in whose place it stands, when it was notified with another amount.
            let linked = "SELECT count(*) AS value FROM pending_lines p JOIN lines l ON p.line IN (l.id, l.replaces) \
                          AND l.master = p.master AND l.end_to_end_id = p.end_to_end_id AND l.posting = 'posted'";
            assert_eq!(crate::given::number(&test.url, linked), 2 * walks.len() as i64);
        });
    }
}

fn pending_history(seed: u64, master: usize) -> Walk {
    let dice = &mut Dice::new(seed);
    let sign = if dice.below(4) == 0 { -1 } else { 1 };
    let amount = sign * (1_000 + i64::try_from(dice.below(5_000)).expect("cents"));
    let payment = |id: &str, on: u64, amount: i64, reference: u64| {
        let mut entry = line(day(on), amount, &format!("tiktok {id}"));
        entry.details[0].end_to_end_id = Some(format!("E2E-{seed}-{id}"));
        entry.bank_ref = Some(format!("B{reference}"));
        entry
    };
    let (first, second) = (2 + dice.below(3), 2 + dice.below(3));
    let announced = [payment("A", first, amount, 1), payment("B", second, amount, 2)];
    let mut booked = announced.clone();
    let changed = &mut booked[usize::try_from(dice.below(2)).expect("a place")];
    let later = changed.booked_on + chrono::Days::new(1 + dice.below(3));
    match dice.below(4) {
        0 => (changed.booked_on, changed.valued_on) = (later, later),
        1 => changed.bank_ref = Some(format!("C{seed}")),
        2 => changed.details[0].counterparty_name = Some("PAYER (WORDED ANEW)".to_owned()),
        _ => {
            let less = amount - sign * (1 + i64::try_from(dice.below(300)).expect("cents"));
            changed.amount = Minor(less.abs());
            changed.details[0].amount = Some(changed.amount);
        }
    }
    let mut messages = Vec::new();
    let pending = announced.iter().map(|e| Entry { status: Status::Pending, ..e.clone() });
    let report = |n: u64, lines| Message::early(Told::Report, master, &format!("R{n}"), n, lines);
    messages.push(report(1, pending.clone().collect()));
    if dice.below(2) == 0 {
        // The next report still announces both, in other words for the bank.
        let again = pending.map(|e| Entry { bank_ref: Some("NEW".to_owned()), ..e });
        messages.push(report(2, again.collect()));
    }
    let early = usize::try_from(dice.below(4)).expect("a place");
    if let Some(told) = announced.get(early) {
        messages.push(Message::early(Told::Notification, master, "N1", 1, vec![told.clone()]));
    }
    let daily = |n: u64| Message::of_days(CAMT, master, &format!("S{n}"), n, (n, n), &booked);
    messages.extend((1..=9).map(daily).filter(|m| !m.lines.is_empty()));
    let mut posted = booked.to_vec();
    if let (Some(told), Some(line)) = (announced.get(early), posted.get_mut(early))
        && told.amount == line.amount
    {
        (line.booked_on, line.valued_on) = (told.booked_on, told.valued_on);
    }
    Walk { booked: posted, messages, any_day: false }
}
