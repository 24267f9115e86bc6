//! Allocation: whose money is a line? Line -> route -> post -> match is one orchestration, in one commit.
//!
//! Evidence in order: a virtual account number in a field that the bank fills; what was announced (expected receipts and
//! settlement files); versioned rules by priority; else suspense.
//! Evidence that contradicts itself goes to suspense too. Every route keeps rule, version, matched fields and a sentence why.
//! A person may re-route a line with a reason: a linked entry moves the money, and both routes stay.
//!
//! [`intake`] drives a bank file from its bytes to posted lines.

use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::ledger::{self, AccountId, Basis, Cause, NewEntry, NewPosting, Posted};
use crate::statements;
use std::fmt;

pub mod announced;
pub mod check;
pub mod holds;
pub mod intake;
pub mod place;
pub mod rules;
pub mod settlement;
mod settlement_check;
pub mod settlement_file;
mod store;

use statements::LineRow;
use store::NewRoute;
pub use store::{RouteRow, RuleRow, Waiting, in_force, routes_of, rules};

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
    move_line_with(tx, of, None, decide)
}

/// As [`move_line`], with more metadata of the entry, for other systems.
fn move_line_with(
    tx: &mut Tx<'_>,
    of: &Move<'_>,
    more: Option<serde_json::Value>,
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
    let mut shares: Vec<(AccountId, i64)> = Vec::new();
    for route in &replaced {
        shares.extend(route.shares()?.into_iter().map(|(account, amount)| (account, -amount)));
    }
    shares.extend(placements.iter().flat_map(|p| &p.decision.shares));
    let shares = place::merged(&shares);
    if shares.is_empty() {
        return Err(Refusal::SameLeaf { line: line.id.clone(), leaf: of.no_change.to_owned() }.into());
    }
    let waited = replaced.iter().all(|r| r.suspense);
    let seq = newest.seq + 1;
    let [_, suspense, in_transit] = store::accounts_of(tx.conn(), &line.master)?;
    // What is unconfirmed is held wherever it goes.
    let mut held = Vec::new();
    if line.unconfirmed {
        let exempt = [suspense, in_transit];
        held.extend(replaced.iter().flat_map(|r| holds::of_route(r, exempt)).map(|h| holds::released(&h)));
        let placed = holds::of_placements(&line.id, seq, &placements, exempt);
        held.extend(placed.iter().map(|h| holds::moved(h, ledger::HoldKind::Placed)));
    }
    let mut metadata = serde_json::json!({ "line": line.id, "supersedes": newest.entry });
    if let (Some(all), Some(serde_json::Value::Object(more))) = (metadata.as_object_mut(), more) {
        all.extend(more);
    }
    let posted = ledger::post_one(
        tx,
        NewEntry {
            kind: if waited { "placement" } else { "rerouting" }.to_owned(),
            // Whose a line is that the bank has booked is a fact as soon as somebody knows it: a fee that waits is charged to
            // its leaf whatever that has. Taking it away again from a leaf is a decision.
            basis: if waited { Basis::Fact } else { Basis::Decision },
            description: format!("Line {} placed {}", line.id, of.how),
            booked_on: crate::time::day_of(tx.now()),
            valued_on: line.valued_on,
            cause: Cause { kind: "route".to_owned(), id: line.id.clone(), seq },
            postings: shares.into_iter().map(|(account, amount)| NewPosting { account, amount }).collect(),
            holds: held,
            reverses: None,
            metadata: Some(metadata.to_string()),
        },
    )?;
    let json =
        |entry: i64| Some(serde_json::json!({ "payment": of.detail.map(|d| d + 1), "entry": entry }).to_string());
    tx.event("route.changed", &line.id, json(newest.entry), json(posted.number));
    let routes: Vec<NewRoute> = NewRoute::of(&line.id, seq, posted.number, placements).collect();
    store::insert_routes(tx, &routes)?;
    Ok(posted)
}

/// A person takes back a line that was notified as booked and that no statement has: the bank did not do it after all.
pub fn withdraw_notified(tx: &mut Tx<'_>, line: &str, reason: &str) -> Result<()> {
    if reason.trim().chars().count() < 3 {
        return Err(Refusal::NoReason.into());
    }
    let line = statements::line(tx.conn(), line)?;
    if line.facet != "notified" || line.posting == "withdrawn" {
        return Err(Refusal::InStatement { line: line.id, posting: line.posting }.into());
    }
    let why = format!("{} withdrew it: {}", tx.actor(), reason.trim());
    withdraw_line(tx, &line, "by a person, as no statement has it", &why)
}

/// Takes back what a line posted, because the bank has taken the line back: a linked entry on the open period's day with the
/// line's own value date. Whose share it was is not asked again: a fact may leave a leaf below its floor.
fn withdraw(tx: &mut Tx<'_>, line: &LineRow, why: &str) -> Result<()> {
    withdraw_line(tx, line, why, why)
}

/// `why` is sealed and names nobody; `sentence` stands in the route.
fn withdraw_line(tx: &mut Tx<'_>, line: &LineRow, why: &str, sentence: &str) -> Result<()> {
    let routes = store::routes_of(tx.conn(), &line.id)?;
    if let Some(newest) = routes.last().filter(|_| line.posting == "posted") {
        let [account, suspense, in_transit] = store::accounts_of(tx.conn(), &line.master)?;
        let in_force = store::in_force(&routes);
        let mut shares = vec![(account, -line.amount)];
        for route in &in_force {
            shares.extend(route.shares()?.into_iter().map(|(account, amount)| (account, -amount)));
        }
        let held =
            in_force.iter().filter(|_| line.unconfirmed).flat_map(|r| holds::of_route(r, [suspense, in_transit]));
        let entry = NewEntry {
            kind: "withdrawal".to_owned(),
            basis: Basis::Fact,
            description: format!("Line {} taken back: {why}", line.id),
            booked_on: crate::time::day_of(tx.now()),
            valued_on: line.valued_on,
            cause: Cause::new("withdrawal", &line.id),
            postings: place::merged(&shares)
                .into_iter()
                .map(|(account, amount)| NewPosting { account, amount })
                .collect(),
            holds: held.map(|h| holds::released(&h)).collect(),
            reverses: None,
            metadata: Some(serde_json::json!({ "line": line.id, "takes_back": newest.entry }).to_string()),
        };
        let posted = ledger::post_one(tx, entry)?;
        let decision = place::Decision {
            evidence: place::Evidence::Withdrawn,
            rule: None,
            matched: Vec::new(),
            sentence: sentence.to_owned(),
            shares: Vec::new(),
            suspense: false,
        };
        let gone = vec![place::Placement { detail: None, amount: 0, decision }];
        store::insert_routes(tx, &NewRoute::of(&line.id, newest.seq + 1, posted.number, gone).collect::<Vec<_>>())?;
    }
    statements::withdraw(tx, &line.id)?;
    let after = serde_json::json!({ "posting": "withdrawn", "why": why });
    tx.event("line.withdrawn", &line.id, None, Some(after.to_string()));
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
