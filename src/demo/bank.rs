//! The banks: each business day's lines of a master as the bytes of a statement.
//!
//! Opening plus booked lines is closing, and closing is the next opening, through all days; statement numbers have no gap.

use super::dice::Dice;
use super::packed::zip;
use super::traffic::{Day, Desk, Invoice, Lump};
use super::treasury::{Master, Rest, Style};
use super::{DemoFile, Role};
use crate::banking::write::{Camt, Dialect, Entry, Statement, Totals, Version, mt940};
use crate::banking::{self, Balance, Direction, Status};
use crate::money::Minor;
use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Weekday};
use std::io;

/// Days of statements, from the cut-over on.
const DAYS: usize = 90;

/// Statement numbers count from the start of the year.
const FIRST_NUMBER: u64 = 181;

/// A statement that its bank sends again two days later, with one payment on another virtual account.
const RESTATED: (&str, &str) = ("gb-gbp", "2026-09-23");

/// Statements of a week of holidays, which come together in one archive.
const PACKED: (&str, &str, &str) = ("jp-jpy", "2026-08-12", "2026-08-14");

/// Whose bank has told of the day after the last statement: which message, and how many receipts it only expects.
const MORNING: [(&str, banking::Role, u64); 3] = [
    ("de-eur", banking::Role::Notification, 0),
    ("us-usd", banking::Role::Notification, 0),
    ("fr-eur", banking::Role::Report, 4),
];

/// What happened on a master: what its bank has sent, and what others will tell of it.
pub(super) struct Quarter {
    pub(super) files: Vec<DemoFile>,
    pub(super) lumps: Vec<Lump>,
    pub(super) invoices: Vec<Invoice>,
}

/// All that a bank sends, in the order of days.
pub(super) fn quarter(master: &Master, seed: u64, stream: u64, first: NaiveDate) -> Quarter {
    let mut desk = Desk::new(master, Dice::new(seed, stream));
    let at = TimeDelta::seconds(i64::try_from(stream).unwrap_or(0));
    let mut teller = Teller { master, balance: master.opening(), number: FIRST_NUMBER, at };
    let mut before = None;
    let mut files = Vec::new();
    for on in first.iter_days().take(DAYS) {
        if is_open(master.plan.rest, on) {
            let mut following = on.iter_days().skip(1).filter(|d| is_open(master.plan.rest, *d));
            let ends_month = following.next().is_some_and(|next| next.month() != on.month());
            let same_month = before.filter(|b: &NaiveDate| b.month() == on.month());
            let entries = desk.day(Day { on, before: same_month, ends_month });
            let statement = teller.day(on, &entries);
            if (master.plan.code, on.to_string().as_str()) == RESTATED {
                files.extend(teller.restated(&statement, &entries));
            }
            files.push(teller.file(&statement, &entries));
            before = Some(on);
        } else if master.plan.rest == Rest::EmptyWeekend {
            let statement = teller.day(on, &[]);
            files.push(teller.file(&statement, &[]));
        }
    }
    if let Some((_, role, pending)) = MORNING.into_iter().find(|m| m.0 == master.plan.code) {
        let on = first + Days::new(u64::try_from(DAYS).unwrap_or(0));
        let entries = desk.morning(on, pending);
        files.push(teller.morning(on, role, &entries));
    }
    if master.plan.code == PACKED.0 {
        pack(&mut files);
    }
    Quarter { files, lumps: desk.lumps, invoices: desk.invoices }
}

/// Puts the statements of some days into one archive, which comes with the last of them.
fn pack(files: &mut Vec<DemoFile>) {
    let packed = |f: &DemoFile| (PACKED.1..=PACKED.2).contains(&f.day.to_string().as_str());
    let members: Vec<DemoFile> = files.extract_if(.., |f| packed(f)).collect();
    let Some(last) = members.last() else { return };
    let by_name: Vec<(&str, &[u8])> = members.iter().map(|f| (f.name.as_str(), f.bytes.as_slice())).collect();
    let bytes = zip(&by_name).expect("a Vec takes all");
    let name = format!("{}-to-{}-{}.zip", PACKED.1, PACKED.2, PACKED.0);
    files.push(DemoFile { name, bytes, ..last.clone() });
    files.sort_by_key(|f| f.comes);
}

fn is_open(rest: Rest, on: NaiveDate) -> bool {
    match rest {
        Rest::Weekend | Rest::EmptyWeekend => !matches!(on.weekday(), Weekday::Sat | Weekday::Sun),
        Rest::Friday => !matches!(on.weekday(), Weekday::Fri | Weekday::Sat),
    }
}

/// Who writes the statements of a master and knows its balance.
struct Teller<'m> {
    master: &'m Master,
    balance: i64,
    number: u64,
    /// How much later than the first bank this one sends.
    at: TimeDelta,
}

impl Teller<'_> {
    /// The statement of the next day, without its lines.
    fn day(&mut self, on: NaiveDate, entries: &[Entry]) -> Statement {
        let opening = self.balance;
        self.balance += moved(entries);
        // Made in the night after.
        let created = (on + Days::new(1)).and_time(NaiveTime::MIN) + TimeDelta::minutes(255);
        let statement = self.statement(on, created, (opening, self.balance), entries);
        self.number += 1;
        statement
    }

    fn statement(
        &self,
        on: NaiveDate,
        created: NaiveDateTime,
        (opening, closing): (i64, i64),
        entries: &[Entry],
    ) -> Statement {
        let plan = self.master.plan;
        let currency = self.master.currency;
        let balance = |amount| Some(Balance { amount: Minor(amount), currency, on, intermediate: false });
        let mut totals = Totals::default();
        entries.iter().for_each(|entry| totals.add(entry));
        Statement {
            id: format!("{}{}", on.format("%y%m%d"), plan.code.replace('-', "").to_ascii_uppercase()),
            number: self.number,
            page: None,
            created,
            account: plan.account.to_owned(),
            servicer: (plan.style != Style::German).then(|| plan.bic.to_owned()),
            related_account: None,
            currency,
            period: self.is_camt().then_some((on, on)),
            copy: false,
            opening: balance(opening),
            closing: balance(closing),
            totals: self.is_camt().then_some(totals),
        }
    }

    fn is_camt(&self) -> bool {
        matches!(self.master.plan.style, Style::Camt08 | Style::Camt02)
    }

    /// The statement as a file, which comes on the next morning.
    fn file(&self, statement: &Statement, entries: &[Entry]) -> DemoFile {
        let plan = self.master.plan;
        let day = statement.closing.map_or_else(|| statement.created.date(), |b| b.on);
        let bytes = written(plan.style, statement, entries).expect("a Vec takes all");
        let end = if self.is_camt() { "camt.053.xml" } else { "mt940.sta" };
        self.sent(day, format!("{day}-{}.{end}", plan.code), bytes, (1, 6))
    }

    /// So many days after its day, at this hour.
    fn sent(&self, day: NaiveDate, name: String, bytes: Vec<u8>, (days, hour): (i64, i64)) -> DemoFile {
        let comes = (day + TimeDelta::days(days)).and_time(NaiveTime::MIN) + TimeDelta::hours(hour) + self.at;
        let role = Role::Bank;
        DemoFile { folder: self.master.plan.code.to_owned(), name, bytes, day, role, comes: Some(comes.and_utc()) }
    }

    /// The same statement once more: the bank has found that it had credited the wrong virtual account.
    fn restated(&self, statement: &Statement, entries: &[Entry]) -> Option<DemoFile> {
        let mut entries = entries.to_vec();
        let is_of = |e: &&mut Entry| e.status == Status::Booked && e.details.len() == 1 && !e.reversal;
        let mut details = entries.iter_mut().filter(is_of).filter_map(|e| e.details.first_mut());
        let detail = details.find(|d| d.own_account.is_some() && d.return_reason.is_none())?;
        let was = detail.own_account.clone();
        let mut leaves = self.master.leaves.iter().filter(|leaf| leaf.is_operating());
        let other = leaves.find(|leaf| Some(&leaf.number) != was.as_ref())?;
        detail.own_account = Some(other.number.clone());
        let created = statement.created + TimeDelta::days(1);
        let file = self.file(&Statement { created, ..statement.clone() }, &entries);
        let name = file.name.replace(".camt", ".restated.camt");
        Some(self.sent(file.day, name, file.bytes, (2, 7)))
    }

    /// What the bank tells of a day that is not over.
    fn morning(&self, on: NaiveDate, role: banking::Role, entries: &[Entry]) -> DemoFile {
        let code = self.master.plan.code;
        let created = on.and_time(NaiveTime::MIN) + TimeDelta::hours(11);
        let now = self.balance + moved(entries);
        let mut statement = self.statement(on, created, (self.balance, now), entries);
        // They are counted apart from the statements.
        statement.number = 1;
        statement.id.push('M');
        let version = if self.master.plan.style == Style::Camt02 { Version::V02 } else { Version::V08 };
        let bytes = camt(role, version, &statement, entries).expect("a Vec takes all");
        let format = if role == banking::Role::Report { "camt.052" } else { "camt.054" };
        self.sent(on, format!("{on}-{code}.{format}.xml"), bytes, (0, 11))
    }
}

/// What booked lines add up to.
fn moved(entries: &[Entry]) -> i64 {
    let booked = entries.iter().filter(|e| e.status == Status::Booked);
    booked.map(|e| if e.direction == Direction::Credit { e.amount.0 } else { -e.amount.0 }).sum()
}

fn camt(role: banking::Role, version: Version, statement: &Statement, entries: &[Entry]) -> io::Result<Vec<u8>> {
    let message = format!("{}-{}", statement.id, statement.number);
    let mut file = Camt::begin_as(role, Vec::new(), version, &message, statement.created)?;
    file.statement(statement, entries)?;
    file.end()
}

fn written(style: Style, statement: &Statement, entries: &[Entry]) -> io::Result<Vec<u8>> {
    let swift = |dialect| {
        let mut bytes = Vec::new();
        mt940(&mut bytes, dialect, statement, entries)?;
        Ok(bytes)
    };
    match style {
        Style::Camt08 => camt(banking::Role::Statement, Version::V08, statement, entries),
        Style::Camt02 => camt(banking::Role::Statement, Version::V02, statement, entries),
        Style::German => swift(Dialect::German),
        Style::Slash => swift(Dialect::Slash),
    }
}
