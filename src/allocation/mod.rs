//! Allocation: whose money is a line? Line -> route -> post -> match is one orchestration, in one commit.
//!
//! Evidence in order: a virtual account number in a field that the bank fills; versioned rules by priority; else suspense.
//! Evidence that contradicts itself goes to suspense too. Every route keeps rule, version, matched fields and a sentence why.
//! A person may re-route a line with a reason: a linked entry moves the money, and both routes stay.
//!
//! [`intake`] drives a bank file from its bytes to posted lines.

use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::ledger::{self, AccountId, Basis, Cause, NewEntry, NewPosting, Posted};
use crate::statements;
use std::fmt;

pub mod check;
pub mod intake;
pub mod place;
pub mod rules;
mod store;

pub use store::{RouteRow, RuleRow, Waiting, routes_of, rules};

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
        }
    }
}

/// Puts new versions of rules in force, all or none; a rule that is as it was keeps its version. Gives how many changed.
pub fn apply_rules(tx: &mut Tx<'_>, files: Vec<rules::RuleFile>) -> Result<usize> {
    let present = store::rules(tx.conn())?;
    let mut changed = Vec::new();
    let mut all = Vec::new();
    for file in files {
        let before = present.iter().find(|r| r.code == file.code);
        let definition = serde_json::to_string(&file).map_err(|e| Error::Broken(e.to_string()))?;
        let same = before.is_some_and(|b| b.definition == definition);
        let version = before.map_or(1, |b| if same { b.version } else { b.version + 1 });
        if !same {
            changed.push((file.code.clone(), version, file.priority, definition, before.map(|b| b.definition.clone())));
        }
        all.push(rules::Rule::new(file, version));
    }
    let kept = present
        .iter()
        .filter(|r| !all.iter().any(|n| n.code == r.code))
        .map(store::rule_of)
        .collect::<Result<Vec<_>>>()?;
    all.extend(kept);
    if let Err(problems) = rules::RuleSet::compile(all) {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        return Err(Refusal::BadRules { problems: problems.join("; ") }.into());
    }
    let count = changed.len();
    for (code, version, priority, definition, before) in changed {
        store::insert_rule(tx, &code, version, priority, &definition)?;
        // A rule may name a person and an account: the event, which is sealed, has only a digest of it.
        let digest = |text: &str| serde_json::json!({ "sha256": crate::db::seal::hex(&crate::db::seal::sha256(text.as_bytes())) });
        let before = before.map(|b| digest(&b).to_string());
        tx.event("rule.version", &format!("{code} v{version}"), before, Some(digest(&definition).to_string()));
    }
    Ok(count)
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

/// Moves a line's money to another leaf of its master, by a person with a reason: a linked entry with the bank's value date,
/// booked today. From suspense it always can be, since the bank has booked it; from another leaf only what that leaf still has.
pub fn reroute(tx: &mut Tx<'_>, line: &str, leaf: &str, reason: &str) -> Result<Posted> {
    if reason.trim().chars().count() < 3 {
        return Err(Refusal::NoReason.into());
    }
    if let Some(master) = line.strip_prefix(OPENING) {
        return place_opening(tx, master, leaf, reason);
    }
    let line = statements::line(tx.conn(), line)?;
    let newest = store::routes_of(tx.conn(), &line.id)?.pop();
    let Some(newest) = newest.filter(|_| line.posting == "posted") else {
        return Err(Refusal::NothingPosted { line: line.id }.into());
    };
    let (target, master) = store::leaf_of_master(tx.conn(), &line.master, leaf)?;
    let Some(target) = target else { return Err(Refusal::NotALeaf { leaf: leaf.to_owned(), master }.into()) };
    refuse_closed(tx.conn(), leaf)?;
    let shares = newest.shares()?;
    if matches!(shares.as_slice(), [(account, _)] if *account == target) {
        return Err(Refusal::SameLeaf { line: line.id, leaf: leaf.to_owned() }.into());
    }
    // Shares are credits to the leaves as they were posted: taking them back is the opposite, then all of it goes to the target.
    let mut postings: Vec<NewPosting> = Vec::with_capacity(shares.len() + 1);
    for (account, amount) in &shares {
        postings.push(NewPosting { account: *account, amount: -*amount });
    }
    let whole: i64 = shares.iter().map(|(_, amount)| amount).sum();
    postings.push(NewPosting { account: target, amount: whole });
    let seq = newest.seq + 1;
    let posted = ledger::post_one(
        tx,
        NewEntry {
            kind: if newest.suspense { "placement" } else { "rerouting" }.to_owned(),
            // Whose a line is that the bank has booked is a fact as soon as somebody knows it: a fee that waits is charged to
            // its leaf whatever that has. Taking it away again from a leaf is a decision.
            basis: if newest.suspense { Basis::Fact } else { Basis::Decision },
            description: format!("Line {} placed on {leaf} by a person", line.id),
            booked_on: crate::time::day_of(tx.now()),
            valued_on: line.valued_on,
            cause: Cause { kind: "route".to_owned(), id: line.id.clone(), seq },
            postings,
            holds: Vec::new(),
            reverses: None,
            metadata: Some(serde_json::json!({ "line": line.id, "supersedes": newest.entry }).to_string()),
        },
    )?;
    let route = store::NewRoute {
        line: line.id.clone(),
        seq,
        entry: posted.number,
        decision: place::Decision {
            evidence: place::Evidence::Person,
            rule: None,
            matched: Vec::new(),
            sentence: format!("{} placed it: {}", tx.actor(), reason.trim()),
            shares: vec![(target, whole)],
            suspense: false,
        },
    };
    store::insert_routes(tx, &[route])?;
    let json = |leaf: &str| Some(serde_json::json!({ "shares": leaf }).to_string());
    tx.event("route.changed", &line.id, json(&newest.shares), json(leaf));
    Ok(posted)
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
