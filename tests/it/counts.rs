//! Equal lines keep their count (F-04, F-05), and what was taken back, rejected or merged stays so (F-07).

use crate::databases::{BOTH, TestDb, on_both};
use crate::given::{Dice, alice, assert_clean, day, line, sum, treasury};
use crate::walk::{self, Form, Message, Told, Walk, assert_ends_as_the_bank, assert_no_gaps, file, take_in};
use std::sync::Arc;
use tributary::allocation::{self, intake};
use tributary::banking::write::{Entry, Statement};
use tributary::db::{Db, Options};
use tributary::statements;
use tributary::time::SetClock;

const CAMT: Form = Form::Camt(Told::Statement);

/// How often a payment comes on one day: from twice to fifty times.
const MOST: u64 = 50;

/// How a bank tells of a day: see `equal_lines_keep_their_count_however_they_are_told`.
const WAYS: u64 = 6;

/// `k` equal payments on one day, another before and behind them, and a payment like them on the day before.
fn equal(k: u64, with_refs: bool) -> Vec<Entry> {
    let mut booked = vec![line(day(1), 1_250, "tiktok subscription"), line(day(2), 700, "tiktok before")];
    booked.extend((0..k).map(|_| line(day(2), 1_250, "tiktok subscription")));
    booked.push(line(day(2), -300, "douyin after"));
    if with_refs {
        for (entry, n) in booked.iter_mut().zip(1..) {
            entry.bank_ref = Some(format!("REF{n}"));
        }
    }
    booked
}

/// One statement over pages: each page lists some of its lines, and carries its balance to the next.
fn pages(whole: &Message, cuts: &[usize]) -> Vec<Message> {
    let mut pages = Vec::new();
    let mut from = 0;
    let ends: Vec<usize> = cuts.iter().copied().chain([whole.lines.len()]).collect();
    for (end, page) in ends.iter().zip(1..) {
        let lines = whole.lines[from..*end].to_vec();
        let mut head =
            Statement { page: Some((page, page as usize == ends.len())), totals: None, ..whole.head.clone() };
        let before = sum(&whole.lines[..from]);
        if let (Some(opening), Some(closing)) = (head.opening.as_mut(), head.closing.as_mut()) {
            closing.amount.0 = opening.amount.0 + before + sum(&lines);
            closing.intermediate = *end < whole.lines.len();
            opening.amount.0 += before;
            opening.intermediate = from > 0;
        }
        pages.push(Message { form: whole.form, head, lines });
        from = *end;
    }
    pages
}

/// Each line as the bank sends it with another file: with another reference.
fn renumbered(lines: &[Entry]) -> Vec<Entry> {
    let anew =
        |(e, n): (&Entry, usize)| Entry { bank_ref: e.bank_ref.as_ref().map(|_| format!("NEW{n}")), ..e.clone() };
    lines.iter().zip(0..).map(anew).collect()
}

/// F-04: the day comes as a statement, and then again: under another id with other references; as MT940; over pages in any
/// order; after a notification of each payment; after reports that tell of more and more of the day; within a whole week.
#[test]
fn equal_lines_keep_their_count_however_they_are_told() {
    for engine in BOTH {
        let count = usize::try_from((MOST - 1) * WAYS * 2).expect("a count");
        walk::all(engine, count, equal_history, |_, db, walks| assert_no_gaps(db, walks));
    }
}

fn equal_history(seed: u64, master: usize) -> Walk {
    let dice = &mut Dice::new(seed);
    let (k, way, with_refs) = (2 + seed / (2 * WAYS), seed / 2 % WAYS, seed.is_multiple_of(2));
    let booked = equal(k, with_refs);
    let told = |form, id: &str, number, days| Message::of_days(form, master, id, number, days, &booked);
    let (first, whole) = (told(CAMT, "D1", 1, (1, 1)), told(CAMT, "D2", 2, (2, 2)));
    let mut messages = vec![first];
    match way {
        0 => {
            let lines = renumbered(&whole.lines);
            let head = Statement { id: "D2-AGAIN".to_owned(), number: 3, ..whole.head.clone() };
            messages.extend([whole.clone(), Message { form: CAMT, head, lines }]);
        }
        1 => messages.extend([told(Form::Mt, "M2", 2, (2, 2)), whole.clone()]),
        2 => {
            let place = |dice: &mut Dice| 1 + usize::try_from(dice.below(k)).expect("a place");
            let (one, other) = (place(dice), place(dice));
            let mut parts = pages(&whole, &if one == other { vec![one] } else { vec![one.min(other), one.max(other)] });
            dice.shuffle(&mut parts);
            messages.extend(parts.iter().cloned().chain([told(Form::Mt, "M2", 2, (2, 2))]));
        }
        3 => {
            // Each by itself, as an instant payment is told, but for some that only the statement tells of.
            let early = whole.lines.iter().zip(1..).filter(|_| dice.below(4) > 0).collect::<Vec<_>>();
            let note = |(e, n): (&Entry, u64)| {
                Message::early(Told::Notification, master, &format!("N{n}"), n, vec![e.clone()])
            };
            messages.extend(early.into_iter().map(note).chain([whole.clone()]));
        }
        4 => {
            let steps = [1, k / 2 + 1, k + 2].map(|n| usize::try_from(n).expect("a count"));
            for (to, n) in steps.into_iter().zip(1..) {
                messages.push(Message::early(Told::Report, master, &format!("R{n}"), n, whole.lines[..to].to_vec()));
            }
            messages.push(whole.clone());
        }
        _ => messages.extend([told(CAMT, "WEEK", 7, (1, 7)), whole.clone(), told(Form::Mt, "M2", 2, (2, 2))]),
    }
    Walk { booked, messages, any_day: false }
}

/// F-05: the same payer pays the same on days that follow each other; whatever was notified, and in whatever order the days come.
#[test]
fn equal_payments_on_days_that_follow_are_all_kept() {
    for engine in BOTH {
        let history = |seed, master| {
            let dice = &mut Dice::new(seed);
            let days = 2 + dice.below(4);
            let booked: Vec<Entry> = (2..2 + days).map(|d| line(day(d), 1_250, "tiktok subscription")).collect();
            let notified: Vec<bool> = booked.iter().map(|_| dice.below(2) == 0).collect();
            let mut messages = Vec::new();
            for ((n, entry), notified) in (1..).zip(&booked).zip(notified) {
                let on = n + 1;
                if notified {
                    messages.push(Message::early(Told::Notification, master, &format!("N{n}"), n, vec![entry.clone()]));
                }
                messages.push(Message::of_days(CAMT, master, &format!("S{n}"), n, (on, on), &booked));
            }
            let any_day = dice.below(2) == 0;
            if any_day {
                dice.shuffle(&mut messages);
            }
            Walk { booked, messages, any_day }
        };
        walk::all(engine, 200, history, |_, db, walks| assert_no_gaps(db, walks));
    }
}

/// A treasury of one master and a bank that sends one message after the other.
struct Bank<'a> {
    test: &'a TestDb,
    db: Db,
}

impl<'a> Bank<'a> {
    fn new(test: &'a TestDb) -> Bank<'a> {
        let clock = SetClock::at("2026-03-02T20:00:00Z".parse().expect("an instant"));
        let db = test.open(Options { clock: Arc::new(clock), ..Options::default() });
        treasury(&db, 0..1);
        Bank { test, db }
    }

    /// Takes in a message and gives what became of it; `blanks` make other bytes of the same message.
    fn send(&self, message: &Message, blanks: usize) -> statements::StatementRow {
        let mut bytes = file(message.form, &message.head.id, &[message]);
        bytes.extend(std::iter::repeat_n(b'\n', blanks));
        take_in(&self.db, &message.head.id, &bytes).expect("taken in").statements.remove(0)
    }

    fn sent(&self, message: &Message, blanks: usize) -> String {
        self.send(message, blanks).state
    }

    /// The books are those of a bank that has booked this.
    fn is(&self, booked: &[Entry]) {
        let walk = Walk { booked: booked.to_vec(), messages: Vec::new(), any_day: false };
        assert_ends_as_the_bank(self.test, &self.db, &[walk]);
    }
}

fn of_day(form: Form, id: &str, number: u64, on: u64, booked: &[Entry]) -> Message {
    Message::of_days(form, 0, id, number, (on, on), booked)
}

#[test]
fn what_the_bank_took_back_stays_so_when_it_is_told_again() {
    on_both(|test| {
        let bank = Bank::new(test);
        let back = Entry { reversal: true, ..line(day(3), -25_000, "tiktok order") };
        let booked = [line(day(2), 25_000, "tiktok order"), back];
        let (first, second) = (of_day(CAMT, "S1", 1, 2, &booked), of_day(CAMT, "S2", 2, 3, &booked));
        assert_eq!([bank.sent(&first, 0), bank.sent(&second, 0)], ["posted", "posted"]);
        bank.is(&booked);
        let again = [
            of_day(CAMT, "S1-NEW", 7, 2, &booked),
            of_day(Form::Mt, "M2", 2, 3, &booked),
            Message::of_days(CAMT, 0, "WEEK", 9, (1, 7), &booked),
        ];
        assert_eq!([bank.sent(&first, 1), bank.sent(&second, 2)], ["already_imported", "already_imported"]);
        for message in again {
            assert_eq!(bank.sent(&message, 0), "posted");
        }
        bank.is(&booked);
    });
}

#[test]
fn what_a_person_rejected_stays_so_when_it_is_told_again() {
    on_both(|test| {
        let bank = Bank::new(test);
        let booked = [line(day(2), 25_000, "tiktok order")];
        let mut wrong = of_day(CAMT, "S1", 1, 2, &booked);
        wrong.head.closing.as_mut().expect("a balance").amount.0 += 1;
        let row = bank.send(&wrong, 0);
        assert_eq!(row.state, "quarantined");
        let id = row.id.clone();
        let reject =
            move |tx: &mut tributary::db::Tx<'_>| statements::reject_waiting(tx, &id, "the bank sends it anew");
        bank.db.write("statement.decide", &alice(), reject).expect("rejected");
        let again = bank.send(&wrong, 1);
        assert_eq!((again.state.as_str(), again.same_as), ("already_imported", Some(row.id)));
        assert_eq!(bank.sent(&wrong, 0), "rejected");
        bank.is(&[]);
        // What the bank sends anew is another statement.
        assert_eq!(bank.sent(&of_day(CAMT, "S1", 1, 2, &booked), 0), "posted");
        bank.is(&booked);
    });
}

#[test]
fn what_was_restated_stays_so_when_the_earlier_one_is_told_again() {
    on_both(|test| {
        let bank = Bank::new(test);
        let (wrong, right) = ([line(day(2), 25_000, "tiktok order")], [line(day(2), 25_500, "tiktok order")]);
        let (first, second) = (of_day(CAMT, "S1", 1, 2, &wrong), of_day(CAMT, "S1", 1, 2, &right));
        assert_eq!(bank.sent(&first, 0), "posted");
        let row = bank.send(&second, 0);
        assert_eq!(row.state, "restated");
        let by_letter = "the bank corrected it by letter";
        intake::accept_waiting(&bank.db, &alice(), &row.id, by_letter, &mut |_, _| {}).expect("accepted");
        bank.is(&right);
        assert_eq!([bank.sent(&first, 1), bank.sent(&second, 1)], ["already_imported", "already_imported"]);
        assert_eq!(bank.sent(&of_day(Form::Mt, "M1", 1, 2, &right), 0), "posted");
        bank.is(&right);
    });
}

/// The bank corrects a statement, and then its correction: what it had first is booked again.
#[test]
fn a_correction_that_is_corrected_posts_what_was_taken_back() {
    on_both(|test| {
        let bank = Bank::new(test);
        let told = |amounts: &[i64]| -> Vec<Entry> {
            amounts.iter().map(|amount| line(day(2), *amount, &format!("tiktok order {amount}"))).collect()
        };
        assert_eq!(bank.sent(&of_day(CAMT, "S1", 1, 2, &told(&[25_000])), 0), "posted");
        for booked in [told(&[25_500]), told(&[25_000, 1_000])] {
            let row = bank.send(&of_day(CAMT, "S1", 1, 2, &booked), 0);
            assert_eq!(row.state, "restated");
            let by_letter = "the bank corrected it by letter";
            intake::accept_waiting(&bank.db, &alice(), &row.id, by_letter, &mut |_, _| {}).expect("accepted");
            bank.is(&booked);
        }
    });
}

#[test]
fn what_no_statement_had_stays_withdrawn_until_one_has_it() {
    on_both(|test| {
        let bank = Bank::new(test);
        let booked = [line(day(2), 25_000, "tiktok order")];
        let early = |told, id: &str| Message::early(told, 0, id, 1, booked.to_vec());
        let row = bank.send(&early(Told::Notification, "N1"), 0);
        let notified = bank.db.read(|conn| statements::lines_of(conn, &row.id)).expect("its lines").remove(0).id;
        let withdraw =
            move |tx: &mut tributary::db::Tx<'_>| allocation::withdraw_notified(tx, &notified, "the bank took it back");
        bank.db.write("allocation.withdraw", &alice(), withdraw).expect("withdrawn");
        bank.is(&[]);
        assert_eq!(bank.sent(&early(Told::Notification, "N1"), 1), "already_imported");
        assert_eq!(bank.sent(&early(Told::Report, "R1"), 0), "posted");
        bank.is(&[]);
        // The bank has booked it after all: that is a fact, and posts.
        assert_eq!(bank.sent(&of_day(CAMT, "S1", 1, 2, &booked), 0), "posted");
        bank.is(&booked);
        assert_eq!(bank.sent(&of_day(CAMT, "S1", 1, 2, &booked), 1), "already_imported");
        bank.is(&booked);
    });
}

#[test]
fn another_payment_of_an_amount_that_was_corrected_is_posted() {
    on_both(|test| {
        let bank = Bank::new(test);
        let paid = |amount, id: &str| {
            let mut entry = line(day(2), amount, "tiktok order");
            entry.details[0].end_to_end_id = (!id.is_empty()).then(|| id.to_owned());
            entry
        };
        let told = Message::early(Told::Notification, 0, "N1", 1, vec![paid(25_000, "E1")]);
        assert_eq!(bank.sent(&told, 0), "posted");
        let mut booked = vec![paid(24_750, "E1")];
        assert_eq!(bank.sent(&of_day(CAMT, "S1", 1, 2, &booked), 0), "posted");
        bank.is(&booked);
        // The second statement of that day.
        booked.push(paid(25_000, ""));
        let mut evening = of_day(CAMT, "S2", 2, 2, &booked);
        evening.lines.remove(0);
        (evening.head.totals, evening.head.opening) = (None, of_day(CAMT, "S1", 1, 2, &booked[..1]).head.closing);
        assert_eq!(bank.sent(&evening, 0), "posted");
        bank.is(&booked);
        assert_eq!(bank.sent(&told, 1), "already_imported");
        bank.is(&booked);
        assert_clean(&bank.db);
    });
}
