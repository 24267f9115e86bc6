//! Allocation: whose money is a line? Line -> route -> post -> match is one orchestration, in one commit.
//!
//! Evidence in order: a payment of ours that comes back; a virtual account number in a field that the bank fills; what was
//! announced (expected receipts and settlement files); a counterparty that is another master of ours; versioned rules by
//! priority; else suspense. Evidence that contradicts itself goes to suspense too. Every route keeps rule, version, matched
//! fields and a sentence why. A person may re-route a line with a reason: a linked entry moves the money, and both routes stay.
//!
//! [`intake`] drives a bank file from its bytes to posted lines; [`place`] decides on one of them, with [`returns`],
//! [`transfers`] and [`rules`]; [`changes`] puts rules in force, and [`backtest`] shows before what they would move;
//! [`recall`] and [`suggest`] help a person with what waits.

use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::ledger::{self, AccountId, Basis, Cause, NewEntry, NewPosting, Posted};
use crate::statements;
use std::fmt;

pub mod announced;
pub mod api;
pub mod backtest;
pub mod changes;
pub mod check;
pub mod holds;
pub mod intake;
mod moves;
pub mod place;
pub mod recall;
pub mod returns;
pub mod rules;
pub mod settlement;
mod settlement_check;
pub mod settlement_file;
mod store;
pub mod suggest;
pub mod transfers;

pub use moves::withdraw_notified;
use statements::NewLine;
pub use store::{RouteRow, RuleRow, Waiting, in_force, routes_of, rule_versions, rules};

/// Why a routing is not changed, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// A person's decision says why.
    NoReason,
    /// No part of the opening waits.
    NoOpeningLeft { master: String },
    /// The line posts nothing: it is history, or of nothing.
    NothingPosted { line: String },
    /// Not a leaf of the line's master.
    NotALeaf { leaf: String, master: String },
    /// It is there already.
    SameLeaf { line: String, leaf: String },
    /// Only what was notified and no statement has can be withdrawn.
    InStatement { line: String, posting: String },
    /// Rules that cannot be used.
    BadRules { problems: String },
    /// A settlement file that cannot be; all problems, each with its line.
    SettlementProblems { name: String, problems: Vec<String> },
    /// It does not wait any more.
    SettlementState { code: String, state: String },
    /// The line is somebody's already, or posts nothing.
    NotWaiting { line: String },
    /// A settlement shares out exactly its total.
    OtherAmount { line: String, amount: String, code: String, total: String },
    /// No rule has the code.
    UnknownRule { code: String },
    /// A back-test that is applied moves too much for one commit.
    TooManyMoves { most: usize },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::NoReason => "no_reason",
            Refusal::NoOpeningLeft { .. } => "no_opening_left",
            Refusal::NothingPosted { .. } => "nothing_posted",
            Refusal::NotALeaf { .. } => "not_a_leaf",
            Refusal::SameLeaf { .. } => "same_leaf",
            Refusal::InStatement { .. } => "in_statement",
            Refusal::BadRules { .. } => "bad_rules",
            Refusal::SettlementProblems { .. } => "settlement_problems",
            Refusal::SettlementState { .. } => "settlement_state",
            Refusal::NotWaiting { .. } => "not_waiting",
            Refusal::OtherAmount { .. } => "other_amount",
            Refusal::UnknownRule { .. } => "unknown_rule",
            Refusal::TooManyMoves { .. } => "too_many_moves",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoReason => f.write_str("say why with a reason of a few words; it is kept with the route"),
            Refusal::NoOpeningLeft { master } => {
                write!(f, "nothing of the opening balance of {master} waits in suspense")
            }
            Refusal::NothingPosted { line } => write!(
                f,
                "line {line} posted nothing (it is from before the cut-over, or of zero), so there is nothing to move"
            ),
            Refusal::NotALeaf { leaf, master } => {
                write!(f, "{leaf} is not a leaf of {master}; `tributary chart show --master {master}` lists them")
            }
            Refusal::SameLeaf { line, leaf } => write!(f, "line {line} is on {leaf} already"),
            Refusal::InStatement { line, posting } => write!(
                f,
                "line {line} is {posting} and the bank's statement has it, or it was withdrawn before; only what was notified and no statement has can be withdrawn"
            ),
            Refusal::BadRules { problems } => write!(f, "the rules cannot be used: {problems}"),
            Refusal::SettlementProblems { name, problems } => {
                write!(f, "{name} is refused, nothing of it was taken: {}", problems.join("; "))
            }
            Refusal::SettlementState { code, state } => {
                let state = state.replace('_', " ");
                write!(f, "settlement {code} is {state}; `tributary settlement show {code}` says by whom and why")
            }
            Refusal::NotWaiting { line } => write!(
                f,
                "line {line} does not wait in suspense; `tributary route` lists what waits, `tributary route {line}` says where it is"
            ),
            Refusal::OtherAmount { line, amount, code, total } => {
                write!(f, "line {line} is {amount}, but settlement {code} shares out {total}")
            }
            Refusal::UnknownRule { code } => write!(f, "there is no rule {code}; `tributary rules list` shows all"),
            Refusal::TooManyMoves { most } => write!(
                f,
                "more than {most} lines would move in one commit: apply them in parts, by days, with --from and --to"
            ),
        }
    }
}

/// Puts new versions of rules in force, all or none; a rule that is as it was keeps its version. Gives how many changed.
pub fn apply_rules(tx: &mut Tx<'_>, files: Vec<rules::RuleFile>) -> Result<usize> {
    Ok(changes::apply(tx, &changes::RulesFile { rule: files, retire: Vec::new() })?.len())
}

/// A closed leaf stays at zero: nobody places money there, fact or not.
fn refuse_closed(conn: &mut Conn, leaf: &str) -> Result<()> {
    match ledger::account(conn, leaf)?.state.as_str() {
        "closed" => Err(ledger::Refusal::AccountClosed { account: leaf.to_owned() }.into()),
        _ => Ok(()),
    }
}

/// How [`reroute`] and [`waiting`] name what a master's opening left in suspense: `opening:de-eur`.
const OPENING: &str = "opening:";

/// Places what a master's opening left in suspense on a leaf, by a person with a reason.
fn place_opening(tx: &mut Tx<'_>, master: &str, leaf: &str, reason: &str) -> Result<Posted> {
    let master = crate::chart::master(tx.conn(), master)?;
    let (left, entries) = store::opening_left(tx.conn(), &master.id, master.suspense)?;
    if left == 0 {
        return Err(Refusal::NoOpeningLeft { master: master.code }.into());
    }
    let Some(target) = store::leaf_of_master(tx.conn(), &master.id, leaf)?.0 else {
        return Err(Refusal::NotALeaf { leaf: leaf.to_owned(), master: master.code }.into());
    };
    refuse_closed(tx.conn(), leaf)?;
    let posted = ledger::post_one(
        tx,
        NewEntry {
            kind: "placement".to_owned(),
            basis: Basis::Decision,
            description: format!("Rest of the opening of {} placed on {leaf} by a person", master.code),
            booked_on: crate::time::day_of(tx.now()),
            valued_on: master.cut_over_on,
            cause: Cause { kind: "opening".to_owned(), id: master.id.clone(), seq: entries },
            postings: vec![
                NewPosting { account: AccountId(master.suspense), amount: -left },
                NewPosting { account: target, amount: left },
            ],
            holds: Vec::new(),
            reverses: None,
            metadata: None,
        },
    )?;
    let after = serde_json::json!({ "leaf": leaf, "entry": posted.number, "reason": reason.trim() });
    tx.event("opening.placed", &master.code, None, Some(after.to_string()));
    Ok(posted)
}

/// Moves a line's money, or that of one payment of a batch (`LINE/3`: the third), to another leaf of its master, by a person
/// with a reason: a linked entry with the bank's value date, booked today. From suspense it always can be, since the bank has
/// booked it; from another leaf only what that leaf still has.
pub fn reroute(tx: &mut Tx<'_>, line: &str, leaf: &str, reason: &str) -> Result<Posted> {
    if reason.trim().chars().count() < 3 {
        return Err(Refusal::NoReason.into());
    }
    if let Some(master) = line.strip_prefix(OPENING) {
        return place_opening(tx, master, leaf, reason);
    }
    let (of, detail) = line_and_payment(line)?;
    let line_row = statements::line(tx.conn(), of)?;
    let (target, master) = store::leaf_of_master(tx.conn(), &line_row.master, leaf)?;
    let Some(target) = target else { return Err(Refusal::NotALeaf { leaf: leaf.to_owned(), master }.into()) };
    refuse_closed(tx.conn(), leaf)?;
    let placements = |replaced: &[&RouteRow], actor: &str| {
        let amount: i64 = replaced.iter().map(|r| r.amount).sum();
        let decision = place::Decision {
            evidence: place::Evidence::Person,
            rule: None,
            matched: Vec::new(),
            sentence: format!("{actor} placed it: {}", reason.trim()),
            shares: vec![(target, -amount)],
            suspense: false,
        };
        vec![place::Placement { detail, amount, decision }]
    };
    let moved = moves::Move { line: &line_row, detail, how: &format!("on {leaf} by a person"), no_change: leaf };
    moves::move_line(tx, &moved, placements)
}

/// `LINE` or `LINE/3`: a line, and which payment of it, from 0.
fn line_and_payment(text: &str) -> Result<(&str, Option<i64>)> {
    let Some((line, payment)) = text.split_once('/') else { return Ok((text, None)) };
    match payment.parse::<i64>() {
        Ok(number) if number >= 1 => Ok((line, Some(number - 1))),
        _ => Err(Error::NotFound(format!("{payment:?} is no payment of a line; LINE/3 names the third"))),
    }
}

/// Looks up what deciding on these lines needs of earlier ones: the payments that come back with them.
fn look_up<'a>(
    conn: &mut Conn,
    master: &str,
    placer: &mut place::Placer,
    lines: impl Iterator<Item = &'a NewLine>,
) -> Result<()> {
    let mut ids: Vec<&str> = lines.flat_map(returns::sought).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(());
    }
    for (id, original) in store::originals(conn, master, &ids)? {
        placer.originals.add(&id, original);
    }
    Ok(())
}

/// What waits in suspense and why: lines, the largest amount of each master first, then what openings left over. What fits
/// something that is announced by amount and day alone is told of, as a suggestion.
pub fn waiting(conn: &mut Conn, master: Option<&str>) -> Result<Vec<Waiting>> {
    let mut all = store::waiting_lines(conn, master)?;
    announced::suggest(conn, master, &mut all)?;
    for m in crate::chart::masters(conn)?.into_iter().filter(|m| master.is_none_or(|code| code == m.code)) {
        let (left, _) = store::opening_left(conn, &m.id, m.suspense)?;
        if left != 0 {
            all.push(Waiting {
                line: format!("{OPENING}{}", m.code),
                master: m.code,
                currency: m.currency,
                booked_on: m.cut_over_on,
                minor: -left,
                counterparty: None,
                remittance: None,
                why: "the part of the opening balance for which the treasury file names no leaf".to_owned(),
            });
        }
    }
    Ok(all)
}

/// Everything that decides on the lines of a master, as it is now.
pub fn placer(conn: &mut Conn, master: &str) -> Result<place::Placer> {
    store::placer(conn, master)
}
