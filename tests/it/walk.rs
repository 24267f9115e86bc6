//! Walks: masters of one database, each with what its bank has booked and with messages that tell of it, in an order of its own.
//!
//! The thousand histories that a promise is held against would cost a thousand databases; here each has a master of its own
//! instead, and the next message of several masters comes in one file, as banks send them. Masters share nothing but the
//! journal, so a walk goes as if it were alone, and the proof over everything runs once for all of them.
//!
//! What must be the same, whatever the order: for each master the sorted posted lines (booking day, value day, amount, text,
//! end-to-end id, what placed it, the leaf), the balance of the master, its difference to its bank, and the proof. Ids and the
//! numbers of entries follow the order of arrival and are no part of it.

use crate::databases::{Engine, TestDb};
use crate::given::{self, account_number, alice, assert_clean, day, statement, sum, treasury};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use tributary::allocation::intake::{self, TakenIn};
use tributary::banking::Role;
use tributary::banking::write::{Camt, Dialect, Entry, Statement, Version, mt940};
use tributary::db::{Db, Options};
use tributary::error::Result;
use tributary::positions::positions;
use tributary::{ledger, statements};

/// How many masters share a file: each costs a commit for each of them, and three for itself.
const TOGETHER: usize = 25;

/// How many masters share a database.
const MASTERS: usize = 50;

/// Walks many histories, some in each database, and two databases at a time: `history` makes one from its seed for a master,
/// and `ends` is asked of each database beside [`assert_ends_as_the_bank`].
pub fn all(
    engine: Engine,
    histories: usize,
    history: impl Fn(u64, usize) -> Walk + Sync,
    ends: impl Fn(&TestDb, &Db, &[Walk]) + Sync,
) {
    let next = AtomicUsize::new(0);
    let run = || loop {
        let first = next.fetch_add(MASTERS, Ordering::Relaxed);
        if first >= histories {
            return;
        }
        let seeds = first..histories.min(first + MASTERS);
        let walks: Vec<Walk> = seeds.map(|seed| history(seed as u64, seed - first)).collect();
        let test = TestDb::new(engine);
        let db = go(&test, &walks);
        assert_ends_as_the_bank(&test, &db, &walks);
        ends(&test, &db, &walks);
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(run);
        run();
        if let Err(panic) = other.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// camt.052, .053 or .054, by its role.
    Camt(Told),
    /// MT940.
    Mt,
}

/// What a camt is to the account; as [`Role`], in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    Report,
    Statement,
    Notification,
}

/// A message of the bank about one master.
#[derive(Debug, Clone)]
pub struct Message {
    pub form: Form,
    pub head: Statement,
    pub lines: Vec<Entry>,
}

impl Message {
    /// A statement of some days, of all that the bank has booked.
    pub fn of_days(form: Form, master: usize, id: &str, number: u64, days: (u64, u64), booked: &[Entry]) -> Message {
        let (head, lines) = statement(master, id, number, days, booked);
        Message { form, head, lines }
    }

    /// A report or notification of some lines; such a message has no balances of its own.
    pub fn early(told: Told, master: usize, id: &str, number: u64, lines: Vec<Entry>) -> Message {
        let (head, _) = statement(master, id, number, (1, 1), &[]);
        Message {
            form: Form::Camt(told),
            head: Statement { opening: None, closing: None, totals: None, ..head },
            lines,
        }
    }
}

/// What became of the account of one master, and how it is told.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// What the bank has booked in the end.
    pub booked: Vec<Entry>,
    /// What it sends, in the order of arrival.
    pub messages: Vec<Message>,
    /// Equal payments were told early and their days came in any order: which of them posted on which day is not asked.
    pub any_day: bool,
}

/// Takes in bytes.
pub fn take_in(db: &Db, name: &str, bytes: &[u8]) -> Result<TakenIn> {
    let open = || Ok(Box::new(Cursor::new(bytes.to_vec())) as Box<dyn Read>);
    intake::take_in(db, &alice(), (name, "test"), &open, &mut |_, _| {})
}

/// A file of messages of one form.
pub fn file(form: Form, name: &str, messages: &[&Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Form::Camt(told) = form else {
        for message in messages {
            mt940(&mut bytes, Dialect::Slash, &message.head, &message.lines).expect("memory takes it");
        }
        return bytes;
    };
    let role = match told {
        Told::Report => Role::Report,
        Told::Statement => Role::Statement,
        Told::Notification => Role::Notification,
    };
    let created = messages.first().expect("a message").head.created;
    let mut file = Camt::begin_as(role, &mut bytes, Version::V08, name, created).expect("memory takes it");
    for message in messages {
        file.statement(&message.head, &message.lines).expect("memory takes it");
    }
    file.end().expect("memory takes it");
    bytes
}

/// Opens the database, makes a master for each walk, and takes in what their banks send. Each message must be posted, or be
/// known because one before said exactly the same.
pub fn go(test: &TestDb, walks: &[Walk]) -> Db {
    let db = test.open(Options::default());
    treasury(&db, 0..walks.len());
    send(&db, walks);
    db
}

/// Takes in what the banks of masters that are there send.
pub fn send(db: &Db, walks: &[Walk]) {
    for (group, some) in walks.chunks(TOGETHER).enumerate() {
        for step in 0..some.iter().map(|w| w.messages.len()).max().unwrap_or(0) {
            let mut by_form: BTreeMap<Form, Vec<&Message>> = BTreeMap::new();
            for message in some.iter().filter_map(|w| w.messages.get(step)) {
                by_form.entry(message.form).or_default().push(message);
            }
            for (form, messages) in by_form {
                let name = format!("G{group}S{step}");
                let taken = take_in(db, &name, &file(form, &name, &messages)).expect("taken in");
                for (row, message) in taken.statements.iter().zip(&messages) {
                    let fine = ["posted", "already_imported"].contains(&row.state.as_str());
                    assert!(fine, "{}: {} is {}: {}", message.head.account, message.head.id, row.state, row.problems);
                }
            }
        }
    }
}

/// A posted line: all of it that does not depend on the order of arrival.
fn facts(e: &Entry, master: usize) -> String {
    let d = &e.details[0];
    let text = d.remittance.as_deref().unwrap_or_default();
    let product = ["tiktok", "douyin", "capcut"].into_iter().find(|p| text.starts_with(p));
    let placed = match product {
        Some(product) => format!("rule|m{master:02}/{product}/de/operating"),
        None => format!("none|m{master:02}/suspense"),
    };
    let end_to_end = d.end_to_end_id.as_deref().unwrap_or_default();
    format!("{}|{}|{}|{text}|{end_to_end}|{placed}", e.booked_on, e.valued_on, sum(std::slice::from_ref(e)))
}

/// The same of every posted line, by the account of its master.
fn posted(test: &TestDb) -> BTreeMap<String, Vec<String>> {
    let rows = given::texts(
        &test.url,
        "SELECT m.account_number || '#' || CAST(l.booked_on AS TEXT) || '|' || CAST(l.valued_on AS TEXT) || '|' || \
         CAST(l.amount AS TEXT) || '|' || COALESCE(l.remittance, '') || '|' || COALESCE(l.end_to_end_id, '') || '|' || \
         r.evidence || '|' || a.code AS value \
         FROM lines l JOIN masters m ON m.id = l.master \
         JOIN routes r ON r.line = l.id AND r.seq = (SELECT max(seq) FROM routes n WHERE n.line = l.id) \
         JOIN postings p ON p.entry = r.entry AND p.account <> m.account JOIN accounts a ON a.id = p.account \
         WHERE l.posting = 'posted'",
    );
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let (account, facts) = row.split_once('#').expect("an account");
        all.entry(account.to_owned()).or_default().push(facts.to_owned());
    }
    all.values_mut().for_each(|lines| lines.sort());
    all
}

/// Each master ends where its bank does: each line once, on its leaf; the balance; nothing unexplained; all proofs hold.
pub fn assert_ends_as_the_bank(test: &TestDb, db: &Db, walks: &[Walk]) {
    let mut posted = posted(test);
    let report = db.read(|conn| positions(conn, &tributary::actor::Scope::everything(), None)).expect("positions");
    let accounts = db.read(ledger::accounts).expect("accounts");
    let balances: BTreeMap<&str, i64> = accounts.iter().map(|a| (a.code.as_str(), a.natural())).collect();
    for (master, walk) in walks.iter().enumerate() {
        let mut expected: Vec<String> = walk.booked.iter().map(|e| facts(e, master)).collect();
        let mut found = posted.remove(&account_number(master)).unwrap_or_default();
        if walk.any_day {
            let without_days = |l: &String| l.splitn(3, '|').last().map(str::to_owned);
            (expected, found) =
                (expected.iter().filter_map(without_days).collect(), found.iter().filter_map(without_days).collect());
            found.sort();
        }
        expected.sort();
        assert_eq!(
            found,
            expected,
            "walk {master} ends with other lines than its bank (left: ours):\n{}",
            walk.story()
        );
        let code = format!("m{master:02}");
        assert_eq!(balances[code.as_str()], 100_000 + sum(&walk.booked), "walk {master}:\n{}", walk.story());
        let shown = report.masters.iter().find(|m| m.master == code).expect("a master");
        let difference = shown.difference.map(|d| d.to_string());
        assert_eq!(difference.as_deref().unwrap_or("0.00"), "0.00", "walk {master}:\n{}", walk.story());
    }
    assert_eq!(posted, BTreeMap::new());
    assert_clean(db);
}

/// No days are missing on any master.
pub fn assert_no_gaps(db: &Db, walks: &[Walk]) {
    let gaps = db.read(statements::all_gaps).expect("gaps");
    let Some(first) = gaps.first() else { return };
    let master: usize = first.master.trim_start_matches('m').parse().expect("a master");
    panic!("{first}, though all has come:\n{}", walks[master].story());
}

impl Walk {
    /// What a failure shows.
    fn story(&self) -> String {
        let line = |e: &Entry| format!("    {} {}", facts(e, 0), e.bank_ref.as_deref().unwrap_or_default());
        let told = |m: &Message| {
            let lines: Vec<String> = m.lines.iter().map(line).collect();
            let balance = |b: &Option<tributary::banking::Balance>| b.map(|b| b.amount.0);
            let (opening, closing) = (balance(&m.head.opening), balance(&m.head.closing));
            let period = m.head.period.map(|(first, last)| format!("{first} to {last}")).unwrap_or_default();
            format!("  {:?} {} {period} {opening:?} {closing:?}\n{}", m.form, m.head.id, lines.join("\n"))
        };
        self.messages.iter().map(told).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn a_message_that_lacks_a_line_is_found_out() {
    crate::databases::on_both(|test| {
        let booked = vec![given::line(day(1), 100, "tiktok"), given::line(day(1), 200, "douyin")];
        let camt = Form::Camt(Told::Statement);
        let message = Message::of_days(camt, 0, "S", 1, (1, 1), &booked[..1]);
        let walks = [Walk { booked, messages: vec![message], any_day: false }];
        let db = go(test, &walks);
        let found =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| assert_ends_as_the_bank(test, &db, &walks)));
        assert!(found.is_err());
    });
}
