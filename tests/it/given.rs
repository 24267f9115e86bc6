//! What tests begin with: accounts with money on them, a treasury, bank files, SQL past the front door, seeded chance.
//!
//! Everything is made the way production makes it: accounts by commands, a treasury from TOML, files by the writers of bank
//! formats. Only [`sql`] goes round, to look at tables and to damage them.

use chrono::NaiveDate;
use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tributary::app;
use tributary::banking::write::{Camt053, Dialect, Entry, Statement, Totals, Version, mt940};
use tributary::banking::{Balance, Detail, Direction};
use tributary::db::{Conn, Db, Url, Who};
use tributary::ledger::{self, AccountId, AccountKind, Basis, Cause, NewAccount, NewEntry, NewPosting};
use tributary::money::{Currency, Minor};
use tributary::on;

/// Who acts in tests.
pub fn alice() -> Arc<Who> {
    Who::operator("alice")
}

/// A day of March 2026, or after it.
pub fn day(number: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, 1).expect("a day") + chrono::Days::new(number - 1)
}

/// Nothing is wrong with the database.
#[track_caller]
pub fn assert_clean(db: &Db) {
    assert_eq!(app::check(db, |_, _| {}).expect("check runs"), []);
}

/// Chance that a seed repeats.
pub struct Dice(ChaCha12Rng);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(ChaCha12Rng::seed_from_u64(seed))
    }

    /// A number from 0 up to, and without, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let place = usize::try_from(self.below(from.len() as u64)).expect("a place");
        &from[place]
    }

    /// In another order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, usize::try_from(self.below(last as u64 + 1)).expect("a place"));
        }
    }
}

/// A book with a master and leaves, without a chart.
#[derive(Debug, Clone)]
pub struct Book {
    pub master: AccountId,
    pub leaves: Vec<AccountId>,
}

/// A book with this many leaves, empty.
pub fn book(db: &Db, code: &'static str, leaves: usize) -> Book {
    let eur: Currency = "EUR".parse().expect("a currency");
    let opened = db.write("book.open", &alice(), move |tx| {
        let book = ledger::open_book(tx, code, "cash", "EUR")?;
        let account = |code: &str, kind| ledger::open_account(tx, &NewAccount { book, code, currency: eur, kind });
        let mut account = account;
        let master = account(code, AccountKind::Master)?;
        let leaves = (0..leaves).map(|n| account(&format!("{code}/{n}"), AccountKind::Leaf));
        Ok(Book { master, leaves: leaves.collect::<Result<_, _>>()? })
    });
    opened.expect("a book")
}

/// Money comes in from outside: a fact.
pub fn inflow(book: &Book, leaf: usize, amount: i64, cause: &str) -> NewEntry {
    entry(cause, Basis::Fact, &[(book.master, amount), (book.leaves[leaf], -amount)])
}

/// We move money between leaves: a decision.
pub fn transfer(book: &Book, from: usize, to: usize, amount: i64, cause: &str) -> NewEntry {
    entry(cause, Basis::Decision, &[(book.leaves[from], amount), (book.leaves[to], -amount)])
}

/// Any entry, on the second of March.
pub fn entry(cause: &str, basis: Basis, postings: &[(AccountId, i64)]) -> NewEntry {
    NewEntry {
        kind: "test".to_owned(),
        basis,
        description: "a test".to_owned(),
        booked_on: day(2),
        valued_on: day(2),
        cause: Cause::new("test", cause),
        postings: postings.iter().map(|(account, amount)| NewPosting { account: *account, amount: *amount }).collect(),
        holds: Vec::new(),
        reverses: None,
        metadata: None,
    }
}

/// Posts one entry.
pub fn post(db: &Db, entry: NewEntry) -> tributary::error::Result<ledger::Posted> {
    ledger::post(db, &alice(), vec![entry])?.pop().expect("one answer")
}

/// The account number of a master of [`treasury`].
pub fn account_number(master: usize) -> String {
    format!("40000{master:05}")
}

/// Makes masters `m00`, `m01`, ... in EUR from the first of March 2026, each with 1,000.00 on its pool and with leaves of
/// three products, which rules find by the word in the text.
pub fn treasury(db: &Db, masters: std::ops::Range<usize>) {
    let file = app::TreasuryFile::parse(&treasury_text(masters)).expect("a treasury");
    app::apply(db, &alice(), file).expect("the treasury is made");
}

/// The TOML of [`treasury`].
pub fn treasury_text(masters: std::ops::Range<usize>) -> String {
    let mut text = String::from(
        "[[entity]]\ncode = \"acme\"\nname = \"Acme GmbH\"\ncountry = \"DE\"\n\
         [[bank]]\ncode = \"bank\"\nname = \"Bank\"\nbic = \"DEUTDEFF\"\ncountry = \"DE\"\n\
         [[market]]\ncode = \"DE\"\nname = \"Germany\"\n",
    );
    for (product, priority) in ["tiktok", "douyin", "capcut"].iter().zip(1..) {
        text += &format!(
            "[[product]]\ncode = \"{product}\"\nname = \"{product}\"\n[[rule]]\ncode = \"{product}\"\npriority = {priority}\n\
             [rule.when]\ncounterparty = \"PAYER\"\nremittance = \"{product}\"\n[[rule.to]]\nleaf = \"{{master}}/{product}/de/operating\"\n"
        );
    }
    for master in masters {
        text += &format!(
            "[[master]]\ncode = \"m{master:02}\"\nname = \"Master {master}\"\nbank = \"bank\"\nentity = \"acme\"\ncurrency = \"EUR\"\n\
             account = \"{}\"\ntime_zone = \"Europe/Berlin\"\ncut_over_on = \"2026-03-01\"\nopening = \"1000.00\"\n\
             numbers = {{ scheme = \"digits\", prefix = \"70{master:04}\" }}\n\
             opening_shares = [{{ leaf = \"m{master:02}/house/pool\", amount = \"1000.00\" }}]\n",
            account_number(master)
        );
        for product in ["tiktok", "douyin", "capcut"] {
            text += &format!("[[sub_account]]\nmaster = \"m{master:02}\"\nproduct = \"{product}\"\nmarket = \"DE\"\n");
        }
    }
    text
}

/// What the bank has booked on a day: the truth that its files tell in parts.
pub fn line(on: NaiveDate, amount: i64, text: &str) -> Entry {
    let direction = if amount < 0 { Direction::Debit } else { Direction::Credit };
    let amount = Minor(amount.abs());
    let detail = Detail {
        amount: Some(amount),
        counterparty_name: Some("PAYER".to_owned()),
        counterparty_account: Some("99887766".to_owned()),
        remittance: Some(text.to_owned()),
        ..Detail::default()
    };
    Entry::of(amount, direction, on, "NTRF", detail)
}

/// Random lines of some days: credits mostly, for three products and nobody, some of them equal.
pub fn lines(dice: &mut Dice, days: std::ops::RangeInclusive<u64>, each: usize) -> Vec<Entry> {
    let mut all = Vec::new();
    for number in days {
        for _ in 0..each {
            let cents = i64::try_from(dice.below(90_000)).expect("cents") - 20_000;
            let text = format!("{} order {}", dice.pick(&["tiktok", "douyin", "capcut", "unknown"]), dice.below(1_000));
            all.push(line(day(number), if cents == 0 { 1 } else { cents }, &text));
            if dice.below(8) == 0 {
                all.extend(all.last().cloned());
            }
        }
    }
    all
}

fn signed(entry: &Entry) -> i64 {
    if entry.direction == Direction::Debit { -entry.amount.0 } else { entry.amount.0 }
}

/// The sum of lines, credits positive.
pub fn sum(lines: &[Entry]) -> i64 {
    lines.iter().map(signed).sum()
}

/// A statement of some days of a master: its head and the lines of those days, from all that the bank has booked since its
/// opening of 1,000.00.
pub fn statement(master: usize, id: &str, number: u64, days: (u64, u64), booked: &[Entry]) -> (Statement, Vec<Entry>) {
    let (first, last) = (day(days.0), day(days.1));
    let before: Vec<Entry> = booked.iter().filter(|e| e.booked_on < first).cloned().collect();
    let within: Vec<Entry> = booked.iter().filter(|e| (first..=last).contains(&e.booked_on)).cloned().collect();
    let currency: Currency = "EUR".parse().expect("a currency");
    let opening = 100_000 + sum(&before);
    let balance = |amount, on| Some(Balance { amount: Minor(amount), currency, on, intermediate: false });
    let mut totals = Totals::default();
    within.iter().for_each(|e| totals.add(e));
    let head = Statement {
        id: id.to_owned(),
        number,
        page: None,
        created: last.and_hms_opt(20, 0, 0).expect("an evening"),
        account: account_number(master),
        servicer: None,
        related_account: None,
        currency,
        period: Some((first, last)),
        copy: false,
        opening: balance(opening, first),
        closing: balance(opening + sum(&within), last),
        totals: Some(totals),
    };
    (head, within)
}

/// A camt.053 of these statements.
pub fn camt(message: &str, statements: &[(Statement, Vec<Entry>)]) -> Vec<u8> {
    let created = statements.first().expect("a statement").0.created;
    let mut file = Camt053::begin(Vec::new(), Version::V08, message, created).expect("memory takes it");
    for (head, lines) in statements {
        file.statement(head, lines).expect("memory takes it");
    }
    file.end().expect("memory takes it")
}

/// An MT940 of these statements.
pub fn mt(statements: &[(Statement, Vec<Entry>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (head, lines) in statements {
        mt940(&mut bytes, Dialect::Slash, head, lines).expect("memory takes it");
    }
    bytes
}

/// Sets a flag when it goes, also by a panic: threads of a scope that go on until it is set would otherwise keep a test that has failed
/// for ever.
pub struct Ends<'f>(pub &'f AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// SQL past the front door.
#[track_caller]
pub fn sql(url: &Url, text: &str) -> Result<(), String> {
    let mut conn = Conn::open(url).map_err(|e| e.to_string())?;
    on!(&mut conn, c => c.batch_execute(text)).map_err(|e| e.to_string())
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    value: String,
}

/// The `value` that a query gives: a whole number.
#[track_caller]
pub fn number(url: &Url, query: &str) -> i64 {
    let mut conn = Conn::open(url).expect("a connection");
    let row: NumberRow = sql_query(query).get_result(&mut conn).unwrap_or_else(|e| panic!("{query}: {e}"));
    row.value
}

/// The `value` of each row that a query gives: texts.
#[track_caller]
pub fn texts(url: &Url, query: &str) -> Vec<String> {
    let mut conn = Conn::open(url).expect("a connection");
    let rows: Vec<TextRow> = sql_query(query).load(&mut conn).unwrap_or_else(|e| panic!("{query}: {e}"));
    rows.into_iter().map(|r| r.value).collect()
}

#[test]
fn a_shuffle_keeps_everything_and_repeats_by_its_seed() {
    let shuffled = |seed| {
        let mut all: Vec<u32> = (0..50).collect();
        Dice::new(seed).shuffle(&mut all);
        all
    };
    assert_eq!(shuffled(1), shuffled(1));
    assert_ne!(shuffled(1), shuffled(2));
    let mut sorted = shuffled(3);
    sorted.sort_unstable();
    assert_eq!(sorted, (0..50).collect::<Vec<u32>>());
}
