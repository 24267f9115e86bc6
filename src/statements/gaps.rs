//! I9 between statements: the closing of one is the opening of the next, or days are missing, which is shown until they come.

use super::{StatementRow, store};
use crate::chart::MasterRow;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::money::{Currency, Minor};
use chrono::NaiveDate;
use serde::Serialize;
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
            let (code, missing) = (master.code.clone(), opening - master.opening);
            gaps.push(Gap { master: code, closed_on: master.cut_over_on, next_closed_on, missing });
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
            gaps.push(Gap { master: master.code.clone(), closed_on, next_closed_on, missing: opening - closing });
        }
    }
    Ok(gaps)
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
    /// ISO 4217.
    pub currency: String,
}

impl fmt::Display for ShownGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShownGap { master, closed_on, next_closed_on, missing, currency } = self;
        write!(f, "{master}: no statement between {closed_on} and {next_closed_on}; {missing} {currency} are missing")
    }
}

/// The gaps of all masters, by code and day.
pub fn all_gaps(conn: &mut Conn) -> Result<Vec<ShownGap>> {
    let mut all = Vec::new();
    for master in crate::chart::masters(conn)? {
        let currency: Currency = master.currency.parse().map_err(|e| Error::Broken(format!("{}: {e}", master.code)))?;
        all.extend(gaps(conn, &master)?.into_iter().map(|gap| ShownGap {
            master: gap.master,
            closed_on: gap.closed_on,
            next_closed_on: gap.next_closed_on,
            missing: Minor(gap.missing).to_text(currency),
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
