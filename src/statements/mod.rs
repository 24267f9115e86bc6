//! Bank statements: files as received, what they say, and each line of them once.
//!
//! A file is surveyed without writing ([`survey`]), stored as it came, and accepted in one small commit that decides what
//! becomes of each of its statements; then its lines are posted in slices (by `allocation`, which knows whose money they are).
//!
//! | state of a statement | event | next | function |
//! |---|---|---|---|
//! | - | proved, account known | posting | [`accept`] |
//! | - | unreadable line, unknown account, no currency | refused | [`accept`] |
//! | - | totals or balances do not add up | quarantined | [`accept`] |
//! | - | marked as a copy | copy | [`accept`] |
//! | - | says exactly what another one said | already_imported | [`accept`] |
//! | - | another one of its number says something else | restated | [`accept`] |
//! | posting | its last line is stored | posted | [`finish_statement`] |
//!
//! Invariants: I6 (a line's identity is unique for ever), I9 (opening + lines = closing; a gap to the statement before is
//! shown until the missing one comes).

use crate::banking::{Balance, Direction, Line, Problem, Severity};
use crate::chart::MasterRow;
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::money::{Currency, Minor};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;

pub mod check;
pub mod identity;
mod store;
pub mod survey;

use identity::{Incoming, Link, Stored};
pub use store::{
    FileRow, LineRow, NewFile, NewLine, Placed, StatementRow, StoredBytes, file, file_by_content, files, insert_lines,
    line, line_details, lines_of, next_place, set_survey, statement, statements_of_file, store_file, stored_bytes,
};
use survey::{Survey, Surveyed};

/// Why a file or statement is not taken in, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// The file itself cannot be used.
    UnreadableFile { name: String, problems: String },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::UnreadableFile { .. } => "unreadable_file",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnreadableFile { name, problems } => {
                write!(f, "{name} is refused, nothing of it was posted: {problems}")
            }
        }
    }
}

/// A problem as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Remark {
    /// Where in the file.
    pub at: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

impl From<&Problem> for Remark {
    fn from(p: &Problem) -> Self {
        Remark { at: p.at.clone(), problem: p.problem.clone() }
    }
}

/// What becomes of a statement when its file is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    state: &'static str,
    master: Option<String>,
    same_as: Option<String>,
    problems: Vec<Remark>,
}

/// Decides what becomes of each statement of a stored file and writes that down. Statements that were refused when the same
/// file came before are judged again: their account may have been declared since. Gives the rows, in order.
pub fn accept(tx: &mut Tx<'_>, file: &str, survey: &Survey) -> Result<Vec<StatementRow>> {
    let mut before: HashMap<i64, StatementRow> =
        store::statements_of_file(tx.conn(), file)?.into_iter().map(|row| (row.place, row)).collect();
    let mut rows = Vec::with_capacity(survey.statements.len());
    for (surveyed, place) in survey.statements.iter().zip(0i64..) {
        let earlier = before.remove(&place);
        if let Some(row) = earlier.as_ref().filter(|row| row.state != "refused") {
            rows.push(row.clone());
            continue;
        }
        let verdict = judge(tx.conn(), surveyed)?;
        let row = store::save_statement(tx, file, place, surveyed, &verdict, earlier.as_ref())?;
        let after = serde_json::json!({
            "state": row.state, "file": file, "account": row.account_number, "same_as": row.same_as, "lines": row.line_count
        });
        let before = earlier.map(|row| serde_json::json!({ "state": row.state }).to_string());
        tx.event("statement.accepted", &row.id, before, Some(after.to_string()));
        rows.push(row);
    }
    store::set_file_state(tx, file, "accepted")?;
    Ok(rows)
}

fn judge(conn: &mut Conn, surveyed: &Surveyed) -> Result<Verdict> {
    let head = &surveyed.head;
    let mut problems: Vec<Remark> = surveyed.problems.iter().map(Remark::from).collect();
    let master = match &head.account {
        None => None,
        Some(account) => crate::chart::master_by_account(conn, account, head.currency.map(|c| c.code()))?,
    };
    let verdict = |state, master: Option<&MasterRow>, same_as, problems| Verdict {
        state,
        master: master.map(|m| m.id.clone()),
        same_as,
        problems,
    };
    if surveyed.severity() == Some(Severity::Grave) {
        return Ok(verdict("refused", master.as_ref(), None, problems));
    }
    let mut refuse = |problem: String| problems.push(Remark { at: head.at.clone(), problem });
    let Some(master) = master else {
        let account = head.account.as_deref().unwrap_or("(none)");
        let currency = head.currency.map_or("an unknown currency", |c| c.code());
        refuse(format!(
            "the account {account} in {currency} is not a master of this treasury; declare it with `tributary chart apply`, then import the file again"
        ));
        return Ok(verdict("refused", None, None, problems));
    };
    if head.currency.is_none_or(|c| c.code() != master.currency) {
        refuse(format!("the statement is in {:?}, but {} is kept in {}", head.currency, master.code, master.currency));
        return Ok(verdict("refused", Some(&master), None, problems));
    }
    if head.copy {
        return Ok(verdict("copy", Some(&master), None, problems));
    }
    if let Some(same) = store::same_content(conn, &master.id, &surveyed.content)? {
        return Ok(verdict("already_imported", Some(&master), Some(same), problems));
    }
    if surveyed.severity() == Some(Severity::Quarantine) {
        return Ok(verdict("quarantined", Some(&master), None, problems));
    }
    if let Some(other) = restates(conn, &master, surveyed)? {
        return Ok(verdict("restated", Some(&master), Some(other), problems));
    }
    Ok(verdict("posting", Some(&master), None, problems))
}

/// The statement that this one says something else about: of the same id, number, page and closing day, and not continued by it.
fn restates(conn: &mut Conn, master: &MasterRow, surveyed: &Surveyed) -> Result<Option<String>> {
    let mine = link_of(surveyed);
    if mine.number.is_none() && mine.statement_id.is_none() {
        return Ok(None);
    }
    let Some(closing_on) = mine.closing_on else { return Ok(None) };
    let others = store::links_closing_on(conn, &master.id, closing_on)?;
    let same = |o: &&Link| (o.number, &o.statement_id, o.page) == (mine.number, &mine.statement_id, mine.page);
    let continued = |o: &&Link| identity::continues(o, &mine) || identity::continues(&mine, o);
    Ok(others.iter().filter(same).find(|o| !continued(o)).map(|o| o.id.clone()))
}

fn balance_pair(balance: Option<Balance>) -> Option<(i64, bool)> {
    balance.map(|b| (b.amount.0, b.intermediate))
}

/// A format without its version: `camt.053` of `camt.053.001.08`.
fn family(version: &str) -> String {
    version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

fn link_of(surveyed: &Surveyed) -> Link {
    let head = &surveyed.head;
    Link {
        id: String::new(),
        format: family(&head.version),
        statement_id: head.id.clone(),
        number: head.number.and_then(|n| i64::try_from(n).ok()),
        page: head.page.map(i64::from),
        opening: balance_pair(head.opening),
        closing: balance_pair(surveyed.foot.closing),
        closing_on: surveyed.foot.closing.map(|b| b.on),
        days: surveyed.days,
    }
}

/// What is stored about the days of a statement that is to be posted.
#[derive(Debug, Default)]
pub struct Overlap {
    /// Lines of these days that no statement of the same chain has told of.
    pub stored: Vec<Stored>,
    /// How many lines the master had when this was read; a slice that finds another number looks again.
    pub line_count: i64,
}

/// Reads what is stored about the days of a statement.
pub fn overlap(conn: &mut Conn, statement: &StatementRow) -> Result<Overlap> {
    let Some(master) = &statement.master else { return Ok(Overlap::default()) };
    let line_count = store::line_count(conn, master)?;
    let (Some(first), Some(last)) = (statement.first_day, statement.last_day) else {
        // A quiet day.
        return Ok(Overlap { stored: Vec::new(), line_count });
    };
    let links = store::links_near(conn, master, first, last)?;
    let mine = links.iter().find(|l| l.id == statement.id).cloned().unwrap_or_default();
    let mut chain: Vec<&str> = identity::chain(&mine, &links);
    chain.push(&statement.id);
    Ok(Overlap { stored: store::lines_not_of(conn, master, (first, last), &chain)?, line_count })
}

/// Which places of a statement tell of lines that are stored already.
pub fn known_places(overlap: &Overlap, incoming: &[Incoming]) -> HashMap<u64, String> {
    identity::pair(incoming, &overlap.stored)
}

/// Lines of a statement are stored that post nothing: they are history or of nothing (new), or known from other files.
pub fn tell_of_lines(tx: &mut Tx<'_>, statement: &str, new: usize, known: usize) {
    let after = serde_json::json!({ "new": new, "known": known });
    tx.event("statement.lines", statement, None, Some(after.to_string()));
}

/// A statement's last line is stored.
pub fn finish_statement(tx: &mut Tx<'_>, row: &StatementRow, new_lines: i64) -> Result<()> {
    let (statement, told) = (row.id.as_str(), store::told(tx.conn(), &row.id)?);
    if told != row.booked_count {
        let count = row.booked_count;
        return Err(Error::Broken(format!(
            "I9: statement {statement} has {count} booked lines, but {told} were stored"
        )));
    }
    store::set_statement_state(tx, statement, "posted")?;
    let after = serde_json::json!({ "state": "posted", "new_lines": new_lines });
    tx.event("statement.posted", statement, None, Some(after.to_string()));
    Ok(())
}

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

/// A statement over several days that overlaps the one before it says nothing about a gap.
fn overlaps(a: &StatementRow, b: &StatementRow) -> bool {
    let one_day = |s: &StatementRow| s.first_day.is_some() && s.first_day == s.closing_on;
    let begins_before = a.closing_on.zip(b.first_day).is_some_and(|(closed, first)| first < closed);
    begins_before || (a.closing_on == b.closing_on && !(one_day(a) && one_day(b)))
}

/// Whether some statement up to the day of the one at `place` closes where it opens, or one before it opens there too.
fn is_reached(statement: &StatementRow, place: usize, all: &[StatementRow]) -> bool {
    let ends_there = |s: &StatementRow| {
        s.id != statement.id && s.closing == statement.opening && moved(s) && s.closing_on <= statement.closing_on
    };
    all.iter().any(ends_there) || all.iter().take(place).any(|s| s.opening == statement.opening)
}

/// A booked line of a file as a new row; `statement` and `master` say where it belongs.
pub fn new_line(statement: &StatementRow, line: &Line) -> Result<NewLine> {
    let days = survey::days(line).ok_or_else(|| Error::Broken(format!("{} has no day", line.at)))?;
    let first = line.details.first();
    let text = |of: fn(&crate::banking::Detail) -> Option<&String>| first.and_then(of).cloned();
    Ok(NewLine {
        statement: statement.id.clone(),
        place: i64::try_from(line.position).map_err(|_| Error::Broken("too many lines".to_owned()))?,
        booked_on: days.booked_on,
        valued_on: days.valued_on,
        amount: if line.direction == Direction::Credit { line.amount.0 } else { -line.amount.0 },
        identity: identity::identity(line, days.booked_on, days.valued_on),
        reversal: line.reversal,
        bank_ref: line.bank_ref.clone().or_else(|| text(|d| d.bank_ref.as_ref())),
        owner_ref: line.owner_ref.clone(),
        end_to_end_id: text(|d| d.end_to_end_id.as_ref()),
        code: line.code.clone(),
        counterparty_name: text(|d| d.counterparty_name.as_ref()),
        counterparty_account: text(|d| d.counterparty_account.as_ref()),
        ultimate_name: text(|d| d.ultimate_name.as_ref()),
        own_account: text(|d| d.own_account.as_ref()),
        creditor_reference: text(|d| d.creditor_reference.as_ref()),
        remittance: text(|d| d.remittance.as_ref()),
        info: line.info.clone(),
        return_reason: text(|d| d.return_reason.as_ref()),
        charges: first.and_then(|d| d.charges).map(|c| c.0),
        details: if line.details.len() > 1 { line.details.clone() } else { Vec::new() },
    })
}
