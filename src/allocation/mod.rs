//! Allocation: whose money is a line? Line -> route -> post -> match is one orchestration, in one commit.
//!
//! Evidence in order: a payment of ours that comes back; a virtual account number in a field that the bank fills; a
//! counterparty that is another master of ours; versioned rules by priority; else suspense. Evidence that contradicts itself
//! goes to suspense too. Every route keeps rule, version, matched fields and a sentence why. A person may re-route a line with
//! a reason: a linked entry moves the money, and both routes stay.
//!
//! [`intake`] drives a bank file from its bytes to posted lines; [`place`] decides on one of them, with [`returns`],
//! [`transfers`] and [`rules`]; [`changes`] puts rules in force, and [`backtest`] shows before what they would move;
//! [`recall`] and [`suggest`] help a person with what waits.

use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::ledger::{self, AccountId, Basis, Cause, NewEntry, NewPosting, Posted};
use crate::statements;
use chrono::NaiveDate;
use std::fmt;

pub mod backtest;
pub mod changes;
pub mod check;
pub mod intake;
pub mod place;
pub mod recall;
pub mod returns;
pub mod rules;
mod store;
pub mod suggest;
pub mod transfers;

use statements::{LineRow, NewLine};
use store::NewRoute;
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
    /// Rules that cannot be used.
    BadRules { problems: String },
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
            Refusal::BadRules { .. } => "bad_rules",
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
            Refusal::BadRules { problems } => write!(f, "the rules cannot be used: {problems}"),
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
    let moved = Move { line: &line_row, detail, how: &format!("on {leaf} by a person"), no_change: leaf };
    move_line(tx, &moved, placements)
}

/// `LINE` or `LINE/3`: a line, and which payment of it, from 0.
fn line_and_payment(text: &str) -> Result<(&str, Option<i64>)> {
    let Some((line, payment)) = text.split_once('/') else { return Ok((text, None)) };
    match payment.parse::<i64>() {
        Ok(number) if number >= 1 => Ok((line, Some(number - 1))),
        _ => Err(Error::NotFound(format!("{payment:?} is no payment of a line; LINE/3 names the third"))),
    }
}

/// A change of the routes of a line.
struct Move<'a> {
    line: &'a LineRow,
    /// Which payment; `None`: the line as a whole.
    detail: Option<i64>,
    /// How, for the journal: `on de-eur/tiktok by a person`.
    how: &'a str,
    /// Where it would be already, when nothing changes.
    no_change: &'a str,
}

/// Replaces routes of a line by others, in one linked entry: what they gave is taken back, what is decided now is given.
/// `decide` is given the routes that are replaced and who decides.
fn move_line(
    tx: &mut Tx<'_>,
    of: &Move<'_>,
    decide: impl FnOnce(&[&RouteRow], &str) -> Vec<place::Placement>,
) -> Result<Posted> {
    let (line, routes) = (of.line, store::routes_of(tx.conn(), &of.line.id)?);
    let nothing = || Refusal::NothingPosted { line: line.id.clone() };
    let newest = routes.last().filter(|_| line.posting == "posted").ok_or_else(nothing)?;
    let mut replaced = store::in_force(&routes);
    if of.detail.is_some() {
        replaced.retain(|r| r.detail == of.detail);
    }
    if replaced.is_empty() {
        return Err(Error::NotFound(format!(
            "line {} is not placed payment by payment, or has fewer payments",
            line.id
        )));
    }
    let placements = decide(&replaced, &tx.actor().to_string());
    let waited = replaced.iter().all(|r| r.suspense);
    let replacing = Replacing {
        line: &line.id,
        valued_on: line.valued_on,
        replaced: &replaced,
        newest: (newest.seq, newest.entry),
        kind: if waited { "placement" } else { "rerouting" },
        // Whose a line is that the bank has booked is a fact as soon as somebody knows it: a fee that waits is charged to
        // its leaf whatever that has. Taking it away again from a leaf is a decision.
        basis: if waited { Basis::Fact } else { Basis::Decision },
        how: of.how,
    };
    let same = || Refusal::SameLeaf { line: line.id.clone(), leaf: of.no_change.to_owned() };
    let entry = replacing.entry(crate::time::day_of(tx.now()), &placements)?.ok_or_else(same)?;
    let (newest, seq) = (newest.entry, newest.seq + 1);
    let posted = ledger::post_one(tx, entry)?;
    let json =
        |entry: i64| Some(serde_json::json!({ "payment": of.detail.map(|d| d + 1), "entry": entry }).to_string());
    tx.event("route.changed", &line.id, json(newest), json(posted.number));
    let routes: Vec<NewRoute> = NewRoute::of(&line.id, seq, posted.number, placements).collect();
    store::insert_routes(tx, &routes)?;
    Ok(posted)
}

/// Routes of a line that others replace, and how that is booked.
struct Replacing<'a> {
    line: &'a str,
    valued_on: NaiveDate,
    replaced: &'a [&'a RouteRow],
    /// Sequence and entry of the line's newest route.
    newest: (i64, i64),
    kind: &'a str,
    basis: Basis,
    /// See [`Move::how`].
    how: &'a str,
}

impl Replacing<'_> {
    /// What the replaced routes gave is taken back, what is decided now is given; `None` when that is the same.
    fn entry(&self, today: NaiveDate, placements: &[place::Placement]) -> Result<Option<NewEntry>> {
        let mut shares: Vec<(AccountId, i64)> = Vec::new();
        for route in self.replaced {
            shares.extend(route.shares()?.into_iter().map(|(account, amount)| (account, -amount)));
        }
        shares.extend(placements.iter().flat_map(|p| &p.decision.shares));
        let shares = place::merged(&shares);
        if shares.is_empty() {
            return Ok(None);
        }
        let (seq, entry) = self.newest;
        Ok(Some(NewEntry {
            kind: self.kind.to_owned(),
            basis: self.basis,
            description: format!("Line {} placed {}", self.line, self.how),
            booked_on: today,
            valued_on: self.valued_on,
            cause: Cause { kind: "route".to_owned(), id: self.line.to_owned(), seq: seq + 1 },
            postings: shares.into_iter().map(|(account, amount)| NewPosting { account, amount }).collect(),
            holds: Vec::new(),
            reverses: None,
            metadata: Some(serde_json::json!({ "line": self.line, "supersedes": entry }).to_string()),
        }))
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

/// What waits in suspense and why: lines, the largest amount of each master first, then what openings left over.
pub fn waiting(conn: &mut Conn, master: Option<&str>) -> Result<Vec<Waiting>> {
    let mut all = store::waiting_lines(conn, master)?;
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
