//! I9 between statements: the closing of one is the opening of the next, or days are missing, which is shown until they come.

use super::{StatementRow, store};
use crate::chart::MasterRow;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::money::{Currency, Minor};
use chrono::{Datelike, NaiveDate};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A stretch of days of which no statement has come: the closing before it is not the opening after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The master's code.
    pub master: String,
    /// The statement before the gap closed on this day (before the first one: the cut-over) ...
    pub closed_on: NaiveDate,
    /// ... and the one after it closed on that.
    pub next_closed_on: NaiveDate,
    /// What the missing statements moved, in minor units.
    pub missing: i64,
    /// The first and the last number of those that the bank has given and that have not come, where only its numbers tell.
    pub numbers: Option<(i64, i64)>,
}

/// The gaps between a master's posted statements; each closes by itself when the missing statement comes (I9).
pub fn gaps(conn: &mut Conn, master: &MasterRow) -> Result<Vec<Gap>> {
    let mut gaps = Vec::new();
    let statements = in_turn(store::posted_by_day(conn, &master.id)?);
    if let Some(first) = statements.first()
        && let (Some(opening), Some(next_closed_on)) = (first.opening, first.closing_on)
    {
        // Before the cut-over lies history, which nobody promised to tell of.
        let is_after = first.first_day.unwrap_or(next_closed_on) >= master.cut_over_on;
        if is_after && opening != master.opening && !is_reached(first, 0, &statements) {
            let (code, missing) = (master.code.clone(), opening.saturating_sub(master.opening));
            gaps.push(Gap { master: code, closed_on: master.cut_over_on, next_closed_on, missing, numbers: None });
        }
    }
    for (place, pair) in statements.windows(2).enumerate() {
        let [a, b] = pair else { continue };
        let (Some(closing), Some(closed_on)) = (a.closing, a.closing_on) else { continue };
        let (Some(opening), Some(next_closed_on)) = (b.opening, b.closing_on) else { continue };
        // A day that was told whole and in parts may end with either.
        let ends_there = |s: &StatementRow| s.closing_on == Some(closed_on) && s.closing == Some(opening) && moved(s);
        if opening == closing || overlaps(a, b) || (closed_on < next_closed_on && statements.iter().any(ends_there)) {
            continue;
        }
        // Of the statements of one day, which tell of it in parts, whole or twice, any may be the one before.
        let touches = closed_on == next_closed_on || b.first_day == Some(closed_on);
        // Two windows that both tell of the whole of one day: the later one opens where the earlier stood before that day.
        let tells_again = closed_on < next_closed_on
            && b.first_day == Some(closed_on)
            && i128::from(closing) - store::moved_since(conn, &a.id, closed_on)? == i128::from(opening);
        if tells_again {
            continue;
        }
        if !touches || !(opening == master.opening || is_reached(b, place + 1, &statements)) {
            let (master, missing) = (master.code.clone(), opening.saturating_sub(closing));
            gaps.push(Gap { master, closed_on, next_closed_on, missing, numbers: None });
        }
    }
    gaps.extend(gaps_in_numbers(&master.code, &statements));
    gaps.sort_by_key(|g| (g.next_closed_on, g.closed_on));
    Ok(gaps)
}

/// Statements whose lines net to zero are missed by their numbers only. Each format has its own numbers. They begin anew with
/// the year, may stay the same for ever, and where they are days of the year they leave out weekends.
fn gaps_in_numbers(master: &str, statements: &[StatementRow]) -> Vec<Gap> {
    let mut formats: BTreeMap<String, Vec<&StatementRow>> = BTreeMap::new();
    for statement in statements.iter().filter(|s| s.number.is_some()) {
        formats.entry(super::family(&statement.format)).or_default().push(statement);
    }
    let mut gaps = Vec::new();
    for same_format in formats.values() {
        for pair in same_format.windows(2) {
            let [a, b] = pair else { continue };
            let (Some(number), Some(next)) = (a.number, b.number) else { continue };
            let (Some(closed_on), Some(next_closed_on)) = (a.closing_on, b.closing_on) else { continue };
            // In whatever format: some banks count all that they send.
            let came = |n: i64| statements.iter().any(|s| s.number == Some(n) && s.closing_on >= Some(closed_on));
            let begins_later = closed_on < next_closed_on
                && b.first_day.is_none_or(|first| first > closed_on)
                && b.opening_on.is_none_or(|opened| opened >= closed_on);
            let skipped =
                next.checked_sub(number).filter(|s| (2..MANY).contains(s) && closed_on.year() == next_closed_on.year());
            if let Some(step) = skipped
                && a.closing == b.opening
                && begins_later
                && !(step == (next_closed_on - closed_on).num_days()
                    && only_a_weekend_between(closed_on, next_closed_on))
                && !(number + 1..next).all(came)
            {
                let numbers = Some((number + 1, next - 1));
                gaps.push(Gap { master: master.to_owned(), closed_on, next_closed_on, missing: 0, numbers });
            }
        }
    }
    gaps
}

/// A step in numbers from which on they count something else than statements.
const MANY: i64 = 400;

fn only_a_weekend_between(a: NaiveDate, b: NaiveDate) -> bool {
    a.iter_days().skip(1).take_while(|day| *day < b).all(|day| day.weekday().number_from_monday() > 5)
}

/// A gap with its currency, as commands show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownGap {
    /// The master's code.
    pub master: String,
    /// See [`Gap::closed_on`].
    pub closed_on: NaiveDate,
    /// See [`Gap::next_closed_on`].
    pub next_closed_on: NaiveDate,
    /// What the missing statements moved.
    pub missing: String,
    /// See [`Gap::numbers`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<(i64, i64)>,
    /// ISO 4217.
    pub currency: String,
}

impl fmt::Display for ShownGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShownGap { master, closed_on, next_closed_on, missing, numbers, currency } = self;
        if let Some((first, last)) = numbers {
            let which = if first == last {
                format!("statement {first} has")
            } else {
                format!("statements {first} to {last} have")
            };
            return write!(
                f,
                "{master}: {which} not come, by the numbers of those that closed on {closed_on} and {next_closed_on}; the balances agree"
            );
        }
        write!(f, "{master}: no statement between {closed_on} and {next_closed_on}; {missing} {currency} are missing")
    }
}

/// The gaps of all masters, by code and day.
pub fn all_gaps(conn: &mut Conn) -> Result<Vec<ShownGap>> {
    let masters = crate::chart::masters(conn)?;
    gaps_of(conn, &masters)
}

/// As [`all_gaps`], of some masters.
pub fn gaps_of(conn: &mut Conn, masters: &[MasterRow]) -> Result<Vec<ShownGap>> {
    let mut all = Vec::new();
    for master in masters {
        let currency: Currency = master.currency.parse().map_err(|e| Error::Broken(format!("{}: {e}", master.code)))?;
        all.extend(gaps(conn, master)?.into_iter().map(|gap| ShownGap {
            master: gap.master,
            closed_on: gap.closed_on,
            next_closed_on: gap.next_closed_on,
            missing: Minor(gap.missing).to_text(currency),
            numbers: gap.numbers,
            currency: master.currency.clone(),
        }));
    }
    Ok(all)
}

/// Statements by day; those of one day without numbers, which came in any order, as their balances follow each other.
fn in_turn(by_day: Vec<StatementRow>) -> Vec<StatementRow> {
    let mut all: Vec<StatementRow> = Vec::with_capacity(by_day.len());
    for day in by_day.chunk_by(|a, b| a.closing_on == b.closing_on && a.number.is_none() && b.number.is_none()) {
        let mut left: Vec<&StatementRow> = day.iter().collect();
        while !left.is_empty() {
            let reached = all.last().and_then(|s| s.closing);
            let opens_there = left.iter().position(|s| s.opening == reached);
            let begins = |s: &&StatementRow| !left.iter().any(|o| o.id != s.id && moved(o) && o.closing == s.opening);
            let next = opens_there.or_else(|| left.iter().position(begins)).unwrap_or(0);
            all.push(left.remove(next).clone());
        }
    }
    all
}

fn moved(statement: &StatementRow) -> bool {
    statement.opening != statement.closing
}

/// A statement over several days that overlaps the one before it says nothing about a gap. Where its first days are quiet, only
/// the day of its opening balance tells.
fn overlaps(a: &StatementRow, b: &StatementRow) -> bool {
    let one_day = |s: &StatementRow| s.first_day.is_some() && s.first_day == s.closing_on;
    let begins_before = |day: Option<NaiveDate>| a.closing_on.zip(day).is_some_and(|(closed, first)| first < closed);
    begins_before(b.first_day)
        || begins_before(b.opening_on)
        || (a.closing_on == b.closing_on && !(one_day(a) && one_day(b)))
}

/// Whether some statement up to the day of the one at `place` closes where it opens, or one before it opens there too.
fn is_reached(statement: &StatementRow, place: usize, all: &[StatementRow]) -> bool {
    let ends_there = |s: &StatementRow| {
        s.id != statement.id && s.closing == statement.opening && moved(s) && s.closing_on <= statement.closing_on
    };
    all.iter().any(ends_there) || all.iter().take(place).any(|s| s.opening == statement.opening)
}
