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
//! | quarantined, restated | a person accepts it | posting | [`accept_waiting`] |
//! | quarantined, restated | a person rejects it | rejected | [`reject_waiting`] |
//! | posting | its last line is stored | posted | [`finish_statement`] |
//! | posted | the last line of one that restates it is stored | superseded | [`supersede`] |
//!
//! A message is a *statement* (the books of a day), a *report* (the day so far) or a *notification*. What the latter two call
//! booked is posted too, once and at the first word of it, and stays unconfirmed until a statement has it. What any of them
//! calls pending is shown and never posted ([`pending`]).
//!
//! Invariants: I6 (one place of one message tells of one line, for ever), I9 (opening + lines = closing; a gap to the statement before is
//! shown until the missing one comes).

use crate::banking::{Balance, Direction, Line, Problem, Role, Severity};
use crate::chart::{MasterRow, Masters};
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::fmt;

pub mod alarms;
pub mod api;
pub mod breaks;
pub mod check;
pub mod due;
mod gaps;
pub mod identity;
pub mod pending;
mod profile;
mod store;
pub mod survey;

pub use breaks::{Break, breaks};
pub use gaps::{Gap, ShownGap, all_gaps, gaps, gaps_of};
use identity::{Incoming, Keys, Known, Link, NEAR, Stored};
pub use profile::{Contradictions, Notified, Profile, Reports, profile, profile_of, set_profile};
pub use store::{
    FileRow, LineRow, NewFile, NewLine, PendingRow, Placed, Proven, StatementFilter, StatementRow, StoredBytes,
    UNVERIFIED, add_details, booked_already, claim, confirm, expire_pending, file, file_by_content, files, files_page,
    insert_lines, insert_pending, line, line_details, lines_by_id, lines_of, lines_page, meet_pending, next_place,
    open_pending, prove, revision, statement, statements_of_file, statements_page, store_file, stored_bytes,
    stored_events, verify_origin, withdraw,
};
use survey::Surveyed;

/// Why a file or statement is not taken in, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// The file itself cannot be used.
    UnreadableFile { name: String, problems: String },
    /// A person's decision says why.
    NoReason,
    /// Only what is quarantined or restated waits for a decision.
    NotWaiting { statement: String, state: String },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::UnreadableFile { .. } => "unreadable_file",
            Refusal::NoReason => "no_reason",
            Refusal::NotWaiting { .. } => "not_waiting",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnreadableFile { name, problems } => {
                write!(f, "{name} is refused, nothing of it was posted: {problems}")
            }
            Refusal::NoReason => f.write_str("say why with a reason of a few words; it is kept with the decision"),
            Refusal::NotWaiting { statement, state } => write!(
                f,
                "statement {statement} is {state}; only one that is quarantined or restated waits to be accepted or rejected"
            ),
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
    /// What accepted it although it contradicts itself, when the bank's profile says so.
    decided_by: Option<String>,
}

/// Writes down what a stored file was proved to be, and decides what becomes of each of its statements. Those that were refused
/// when the same file came before are judged again: their account may have been declared since. Gives the rows, in order; none
/// of a file that is refused.
pub fn accept(tx: &mut Tx<'_>, proven: &Proven) -> Result<Vec<StatementRow>> {
    store::is_as_proved(tx, proven)?;
    let (file, survey) = (proven.file(), &proven.survey);
    store::set_survey(tx, file, survey)?;
    if survey.refused() {
        return Ok(Vec::new());
    }
    let mut before: HashMap<i64, StatementRow> =
        store::statements_of_file(tx.conn(), file)?.into_iter().map(|row| (row.place, row)).collect();
    let masters = Masters::load(tx.conn())?;
    let mut rows = Vec::with_capacity(survey.statements.len());
    for (surveyed, place) in survey.statements.iter().zip(0i64..) {
        let earlier = before.remove(&place);
        if let Some(row) = earlier.as_ref().filter(|row| row.state != "refused") {
            rows.push(row.clone());
            continue;
        }
        let verdict = judge(tx.conn(), &masters, surveyed)?;
        let row = store::save_statement(tx, file, place, surveyed, &verdict, earlier.as_ref())?;
        let after = serde_json::json!({
            "state": row.state, "file": file, "same_as": row.same_as, "lines": row.line_count, "row": row.digest(),
            "decision": row.decision()
        });
        let before = earlier.map(|row| serde_json::json!({ "state": row.state }).to_string());
        tx.event("statement.accepted", &row.id, before, Some(after.to_string()));
        rows.push(row);
    }
    store::set_file_state(tx, file, "accepted")?;
    Ok(rows)
}

/// Half of what an amount can be, so that the difference of two balances is an amount.
const LARGEST_BALANCE: u64 = i64::MAX.unsigned_abs() / 2;

fn judge(conn: &mut Conn, masters: &Masters, surveyed: &Surveyed) -> Result<Verdict> {
    let head = &surveyed.head;
    let mut problems: Vec<Remark> = surveyed.problems.iter().map(Remark::from).collect();
    let master = match &head.account {
        None => None,
        Some(account) => masters.by_account(account, head.currency.map(|c| c.code())),
    };
    let verdict = |state, master: Option<&MasterRow>, same_as, problems| Verdict {
        state,
        master: master.map(|m| m.id.clone()),
        same_as,
        problems,
        decided_by: None,
    };
    if surveyed.severity() == Some(Severity::Grave) {
        return Ok(verdict("refused", master, None, problems));
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
        return Ok(verdict("refused", Some(master), None, problems));
    }
    let balances = [head.opening, surveyed.foot.closing];
    if let Some(balance) = balances.into_iter().flatten().find(|b| b.amount.0.unsigned_abs() > LARGEST_BALANCE) {
        let amount = balance.amount.to_text(balance.currency);
        refuse(format!(
            "it has a balance of {amount}, which no account can hold; ask the bank for a statement that is right"
        ));
        return Ok(verdict("refused", Some(master), None, problems));
    }
    if head.copy {
        return Ok(verdict("copy", Some(master), None, problems));
    }
    if let Some(same) = store::same_content(conn, &master.id, &surveyed.content)? {
        return Ok(verdict("already_imported", Some(master), Some(same), problems));
    }
    let contradicts = surveyed.severity() == Some(Severity::Quarantine);
    let profile = store::profile(conn, &master.id)?;
    if contradicts && profile.contradictions == Contradictions::Wait {
        return Ok(verdict("quarantined", Some(master), None, problems));
    }
    if let Some(other) = restates(conn, &master.id, head.role.as_str(), &link_of(surveyed), &profile)? {
        return Ok(verdict("restated", Some(master), Some(other), problems));
    }
    let decided_by = contradicts.then(|| format!("profile of {}", master.code));
    Ok(Verdict { decided_by, ..verdict("posting", Some(master), None, problems) })
}

/// The statement that this one says something else about: of the same id, number, page and closing day, and not continued by
/// it. Of reports, which say more and more of a day under one id, and of notifications only those that add up can be restated.
fn restates(conn: &mut Conn, master: &str, role: &str, mine: &Link, profile: &Profile) -> Result<Option<String>> {
    if mine.number.is_none() && mine.statement_id.is_none() {
        return Ok(None);
    }
    let same = |o: &&Link| (o.number, &o.statement_id, o.page) == (mine.number, &mine.statement_id, mine.page);
    if role != Role::Statement.as_str() {
        let adds = role == Role::Notification.as_str() || profile.reports == Reports::Delta;
        let others = if adds { store::links_of_message(conn, master, role, mine)? } else { Vec::new() };
        return Ok(others.iter().filter(|o| o.id != mine.id).find(same).map(|o| o.id.clone()));
    }
    let Some(closing_on) = mine.closing_on else { return Ok(None) };
    let others = store::links_closing_on(conn, master, closing_on)?;
    let continued = |o: &&Link| identity::continues(o, mine) || identity::continues(mine, o);
    Ok(others.iter().filter(|o| o.id != mine.id).filter(same).find(|o| !continued(o)).map(|o| o.id.clone()))
}

/// A person accepts a statement that waits: it is posted, in place of the one that it restates if there is one.
pub fn accept_waiting(tx: &mut Tx<'_>, id: &str, reason: &str) -> Result<StatementRow> {
    let row = waiting(tx.conn(), id, reason)?;
    let Some(master) = row.master.clone() else { return Err(Error::Broken(format!("{id} has no master"))) };
    let profile = store::profile(tx.conn(), &master)?;
    let restated = restates(tx.conn(), &master, &row.role, &row.link(), &profile)?;
    store::decide(tx, &row, "posting", restated.as_deref(), reason)?;
    store::statement(tx.conn(), id)
}

/// A person rejects a statement that waits: it stays as evidence, and nothing of it is ever posted.
pub fn reject_waiting(tx: &mut Tx<'_>, id: &str, reason: &str) -> Result<()> {
    let row = waiting(tx.conn(), id, reason)?;
    store::decide(tx, &row, "rejected", row.same_as.as_deref(), reason)
}

fn waiting(conn: &mut Conn, id: &str, reason: &str) -> Result<StatementRow> {
    if reason.trim().chars().count() < 3 {
        return Err(Refusal::NoReason.into());
    }
    let row = store::statement(conn, id)?;
    match row.state.as_str() {
        "quarantined" | "restated" => Ok(row),
        state => Err(Refusal::NotWaiting { statement: id.to_owned(), state: state.to_owned() }.into()),
    }
}

/// Another statement has taken the place of this one. Gives the lines that now no statement tells of.
pub fn supersede(tx: &mut Tx<'_>, earlier: &str, by: &StatementRow) -> Result<Vec<LineRow>> {
    store::set_statement_state(tx, earlier, "superseded")?;
    let after = serde_json::json!({ "state": "superseded", "by": by.id });
    tx.event("statement.superseded", earlier, None, Some(after.to_string()));
    store::lines_only_of(tx.conn(), earlier, &by.id)
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
    /// See [`claim`].
    pub revision: i64,
}

/// Reads what is stored about the days of a statement, report or notification.
pub fn overlap(conn: &mut Conn, statement: &StatementRow) -> Result<Overlap> {
    let Some(master) = &statement.master else { return Ok(Overlap::default()) };
    let (line_count, revision) = (store::line_count(conn, master)?, store::revision(conn, master)?);
    let (Some(first), Some(last)) = (statement.first_day, statement.last_day) else {
        // A quiet day.
        return Ok(Overlap { stored: Vec::new(), line_count, revision });
    };
    let near = (first.checked_sub_signed(NEAR).unwrap_or(first), last.checked_add_signed(NEAR).unwrap_or(last));
    if statement.role == Role::Statement.as_str() {
        let links = store::links_near(conn, master, first, last)?;
        let mine = links.iter().find(|l| l.id == statement.id).cloned().unwrap_or_default();
        let mut chain: Vec<&str> = identity::chain(&mine, &links);
        // What it takes the place of tells of the same lines, however its balances look.
        chain.retain(|id| Some(*id) != statement.same_as.as_deref());
        chain.push(&statement.id);
        let mut stored = store::lines_not_of(conn, master, (first, last), &chain)?;
        store::add_notified(conn, master, near, &chain, &mut stored)?;
        store::move_to_their_days(conn, master, (first, last), &chain, &mut stored)?;
        // What was taken back because no statement had it, or as this one says otherwise, is booked after all: that posts.
        stored.retain(|s| !s.only_told);
        if let Some(earlier) = &statement.same_as {
            // A person takes its word for what is booked, also where that was taken back before; and it tells of the lines of
            // the statement whose place it takes only where it says the same.
            stored.retain(|s| !s.exact);
            let restated: HashSet<String> =
                store::lines_only_of(conn, earlier, &statement.id)?.into_iter().map(|l| l.id).collect();
            stored.iter_mut().filter(|s| restated.contains(&s.id)).for_each(|s| s.exact = true);
        }
        return Ok(Overlap { stored, line_count, revision });
    }
    // Pages of one report, and messages that each tell of something else, tell of different lines.
    let adds = statement.role == Role::Notification.as_str() || store::profile(conn, master)?.reports == Reports::Delta;
    let mut stored = if adds {
        store::lines_of_others(conn, statement, master, near)?
    } else {
        let mut told = store::pages_near(conn, statement, master, near)?;
        told.push(statement.id.clone());
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        store::lines_not_of(conn, master, near, &told)?
    };
    stored.iter_mut().for_each(|s| s.loose = true);
    Ok(Overlap { stored, line_count, revision })
}

/// Which places of a statement tell of lines that are stored already.
pub fn known_places(overlap: &Overlap, incoming: &[Incoming]) -> HashMap<u64, Known> {
    identity::pair(incoming, &overlap.stored)
}

/// A line of the file at hand, as pairing needs it.
pub fn incoming(line: &NewLine, place: u64) -> Incoming {
    let keys = Keys::of(line.end_to_end_id.as_deref(), line.bank_ref.as_deref(), line.counterparty_account.as_deref());
    Incoming { place, day: line.booked_on, amount: line.amount, identity: line.identity, keys }
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
