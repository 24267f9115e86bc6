//! The banks: each business day's lines of a master as the bytes of a statement.
//!
//! Opening plus booked lines is closing, and closing is the next opening, through all days; statement numbers have no gap.

use super::BankFile;
use super::dice::Dice;
use super::traffic::{Day, Desk};
use super::treasury::{Master, Rest, Style};
use crate::banking::write::{Camt053, Dialect, Entry, Statement, Totals, Version, mt940};
use crate::banking::{Balance, Direction, Status};
use crate::money::Minor;
use chrono::{Datelike, Days, NaiveDate, NaiveTime, Weekday};
use std::io;

/// Days of statements, from the cut-over on.
const DAYS: usize = 90;

/// Statement numbers count from the start of the year.
const FIRST_NUMBER: u64 = 181;

/// All statements of a master, in the order of days.
pub(super) fn statements(master: &Master, seed: u64, stream: u64, first: NaiveDate) -> Vec<BankFile> {
    let mut desk = Desk::new(master, Dice::new(seed, stream));
    let mut teller = Teller { master, balance: master.opening(), number: FIRST_NUMBER };
    let mut before = None;
    let mut files = Vec::new();
    for on in first.iter_days().take(DAYS) {
        if is_open(master.plan.rest, on) {
            let mut following = on.iter_days().skip(1).filter(|d| is_open(master.plan.rest, *d));
            let ends_month = following.next().is_some_and(|next| next.month() != on.month());
            let same_month = before.filter(|b: &NaiveDate| b.month() == on.month());
            let entries = desk.day(Day { on, before: same_month, ends_month });
            files.push(teller.statement(on, &entries));
            before = Some(on);
        } else if master.plan.rest == Rest::EmptyWeekend {
            files.push(teller.statement(on, &[]));
        }
    }
    files
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
}

impl Teller<'_> {
    fn statement(&mut self, on: NaiveDate, entries: &[Entry]) -> BankFile {
        let plan = self.master.plan;
        let currency = self.master.currency;
        let balance = |amount, on| Some(Balance { amount: Minor(amount), currency, on, intermediate: false });
        let booked = entries.iter().filter(|e| e.status == Status::Booked);
        let moved: i64 = booked.map(|e| if e.direction == Direction::Credit { e.amount.0 } else { -e.amount.0 }).sum();
        let is_camt = matches!(plan.style, Style::Camt08 | Style::Camt02);
        let mut totals = Totals::default();
        entries.iter().for_each(|entry| totals.add(entry));
        let opening = balance(self.balance, on);
        self.balance += moved;
        let statement = Statement {
            id: format!("{}{}", on.format("%y%m%d"), plan.code.replace('-', "").to_ascii_uppercase()),
            number: self.number,
            page: None,
            // Made in the night after.
            created: (on + Days::new(1)).and_time(NaiveTime::MIN) + chrono::TimeDelta::minutes(255),
            account: plan.account.to_owned(),
            servicer: (plan.style != Style::German).then(|| plan.bic.to_owned()),
            related_account: None,
            currency,
            period: is_camt.then_some((on, on)),
            copy: false,
            opening,
            closing: balance(self.balance, on),
            totals: is_camt.then_some(totals),
        };
        self.number += 1;
        let bytes = written(plan.style, &statement, entries).expect("a Vec takes all");
        let end = if is_camt { "camt.053.xml" } else { "mt940.sta" };
        BankFile { master: plan.code.to_owned(), name: format!("{on}-{}.{end}", plan.code), bytes, day: on }
    }
}

fn written(style: Style, statement: &Statement, entries: &[Entry]) -> io::Result<Vec<u8>> {
    let camt = |version| {
        let message = format!("{}-{}", statement.id, statement.number);
        let mut file = Camt053::begin(Vec::new(), version, &message, statement.created)?;
        file.statement(statement, entries)?;
        file.end()
    };
    let swift = |dialect| {
        let mut bytes = Vec::new();
        mt940(&mut bytes, dialect, statement, entries)?;
        Ok(bytes)
    };
    match style {
        Style::Camt08 => camt(Version::V08),
        Style::Camt02 => camt(Version::V02),
        Style::German => swift(Dialect::German),
        Style::Slash => swift(Dialect::Slash),
    }
}
