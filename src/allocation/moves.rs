//! Moving what a line posted: to another leaf, by a linked entry that replaces its routes, or back to the bank, when the bank
//! takes the line back. Nothing is overwritten: the routes that were stay, and the entry names the one that it replaces.
//!
//! What is unconfirmed is held wherever it goes, so a move takes its holds along.

use super::freed::{self, Freed};
use super::store::{self, NewRoute, RouteRow};
use super::{Refusal, holds, place, transfers};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ledger::{self, AccountId, Basis, Cause, HoldKind, NewEntry, NewPosting, Posted};
use crate::statements::{self, LineRow};
use chrono::NaiveDate;

/// A change of the routes of a line.
pub(super) struct Move<'a> {
    pub(super) line: &'a LineRow,
    /// Which payment; `None`: the line as a whole.
    pub(super) detail: Option<i64>,
    /// How, for the journal: `on de-eur/tiktok by a person`.
    pub(super) how: &'a str,
    /// Where it would be already, when nothing changes.
    pub(super) no_change: &'a str,
}

/// Replaces routes of a line by others, in one linked entry: what they gave is taken back, what is decided now is given.
/// `decide` is given the routes that are replaced and who decides.
pub(super) fn move_line(
    tx: &mut Tx<'_>,
    of: &Move<'_>,
    decide: impl FnOnce(&[&RouteRow], &str) -> Vec<place::Placement>,
) -> Result<Posted> {
    move_line_with(tx, of, None, decide)
}

/// As [`move_line`], with more metadata of the entry, for other systems.
pub(super) fn move_line_with(
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
    let [_, suspense, in_transit] = store::accounts_of(tx.conn(), &line.master)?;
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
        unconfirmed: line.unconfirmed.then_some([suspense, in_transit]),
        more,
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
pub(super) struct Replacing<'a> {
    pub(super) line: &'a str,
    pub(super) valued_on: NaiveDate,
    pub(super) replaced: &'a [&'a RouteRow],
    /// Sequence and entry of the line's newest route.
    pub(super) newest: (i64, i64),
    pub(super) kind: &'a str,
    pub(super) basis: Basis,
    /// See [`Move::how`].
    pub(super) how: &'a str,
    /// Of a line that no statement has yet: the shares whose money need not be held, suspense and in-transit.
    pub(super) unconfirmed: Option<[AccountId; 2]>,
    /// More metadata of the entry, for other systems.
    pub(super) more: Option<serde_json::Value>,
}

impl Replacing<'_> {
    /// What the replaced routes gave is taken back, what is decided now is given; `None` when that is the same.
    pub(super) fn entry(&self, today: NaiveDate, placements: &[place::Placement]) -> Result<Option<NewEntry>> {
        let mut shares: Vec<(AccountId, i64)> = Vec::new();
        for route in self.replaced {
            shares.extend(route.shares()?.into_iter().map(|(account, amount)| (account, -amount)));
        }
        shares.extend(placements.iter().flat_map(|p| &p.decision.shares));
        let shares = place::merged(&shares);
        if shares.is_empty() {
            return Ok(None);
        }
        let (seq, entry) = (self.newest.0 + 1, self.newest.1);
        let mut held = Vec::new();
        if let Some(exempt) = self.unconfirmed {
            held.extend(self.replaced.iter().flat_map(|r| holds::of_route(r, exempt)).map(|h| holds::released(&h)));
            let placed = holds::of_placements(self.line, seq, placements, exempt);
            held.extend(placed.iter().map(|h| holds::moved(h, HoldKind::Placed)));
        }
        let mut metadata = serde_json::json!({ "line": self.line, "supersedes": entry });
        if let (Some(all), Some(serde_json::Value::Object(more))) = (metadata.as_object_mut(), &self.more) {
            all.extend(more.clone());
        }
        Ok(Some(NewEntry {
            kind: self.kind.to_owned(),
            basis: self.basis,
            description: format!("Line {} placed {}", self.line, self.how),
            booked_on: today,
            valued_on: self.valued_on,
            cause: Cause { kind: "route".to_owned(), id: self.line.to_owned(), seq },
            postings: shares.into_iter().map(|(account, amount)| NewPosting { account, amount }).collect(),
            holds: held,
            reverses: None,
            metadata: Some(metadata.to_string()),
        }))
    }
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
    withdraw_line(tx, &line, "by a person, as no statement has it", &why)?.look_again(tx)
}

/// Takes back what a line posted, because the bank has taken the line back: a linked entry with the line's own dates. Whose
/// share it was is not asked again: a fact may leave a leaf below its floor.
/// Gives what rested on it and waits again.
pub(super) fn withdraw(tx: &mut Tx<'_>, line: &LineRow, why: &str) -> Result<Freed> {
    withdraw_line(tx, line, why, why)
}

/// `why` is sealed and names nobody; `sentence` stands in the route.
fn withdraw_line(tx: &mut Tx<'_>, line: &LineRow, why: &str, sentence: &str) -> Result<Freed> {
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
            // Its own day is open, since nothing closes days yet: what the book had at its end is what the bank says.
            booked_on: line.booked_on,
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
    transfers::forget(tx, &line.id)?;
    let freed = freed::free(tx, line)?;
    statements::withdraw(tx, &line.id)?;
    let after = serde_json::json!({ "posting": "withdrawn", "why": why });
    tx.event("line.withdrawn", &line.id, None, Some(after.to_string()));
    Ok(freed)
}
