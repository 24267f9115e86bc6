//! What a person had decided on a line that the statement has with another amount: the line in its place goes where the person
//! had placed it, with the sentence why. Pure but for the reading.
//!
//! Where the money belongs is what the person knew, and that is no other with another amount. Of a batch that holds for each
//! payment that is the same one again; where that cannot be told, the line waits and the sentence names what was decided.

use super::place::{Decision, Evidence, Placement, Placer};
use super::store::{self, RouteRow};
use crate::banking::Detail;
use crate::db::Conn;
use crate::error::Result;
use crate::ledger::AccountId;
use crate::statements::NewLine;

/// Decisions of people on a line that another one replaces.
#[derive(Debug)]
pub(super) struct Decided {
    line: String,
    by_people: Vec<RouteRow>,
    details: Vec<Detail>,
}

/// What people had decided on a line, if they had.
pub(super) fn decided(conn: &mut Conn, line: &str) -> Result<Option<Decided>> {
    let Some(stored) = store::stored_lines(conn, &[line.to_owned()])?.pop() else { return Ok(None) };
    let in_force = store::in_force(&stored.routes).into_iter();
    let by_people: Vec<RouteRow> = in_force.filter(|r| r.evidence == "person" && !r.suspense).cloned().collect();
    let of = Decided { line: stored.id, by_people, details: stored.line.details };
    Ok((!of.by_people.is_empty()).then_some(of))
}

impl Placer {
    /// Places a line as people had placed the one that it replaces.
    pub(super) fn follow(&self, line: &NewLine, decided: &Decided, placed: Vec<Placement>) -> Result<Vec<Placement>> {
        let mut unclear = Vec::new();
        let mut placed = placed;
        for route in &decided.by_people {
            let shares = route.shares()?;
            let [(account, _)] = shares.as_slice() else { continue };
            if route.detail.is_none() {
                let decision = self.as_decided(decided, route, *account, line.amount);
                // Its own evidence names the same leaf: that is the better proof.
                let same = matches!(placed.as_slice(), [one] if one.decision.shares == decision.shares);
                return Ok(if same { placed } else { vec![Placement { detail: None, amount: line.amount, decision }] });
            }
            let again = placed.iter_mut().find(|p| p.detail == route.detail && decided.is_same(line, p.detail));
            match again {
                Some(payment) => payment.decision = self.as_decided(decided, route, *account, payment.amount),
                None => unclear.push(format!("{} ({})", self.code_of(*account), route.sentence)),
            }
        }
        if unclear.is_empty() {
            return Ok(placed);
        }
        let why = format!(
            "it replaces {}, of which people had placed payments on {}; which of its payments these are cannot be told",
            decided.line,
            unclear.join(", ")
        );
        Ok(vec![Placement { detail: None, amount: line.amount, decision: self.wait(line.amount, why) }])
    }

    fn as_decided(&self, decided: &Decided, route: &RouteRow, account: AccountId, amount: i64) -> Decision {
        let (line, said) = (&decided.line, &route.sentence);
        let leaf = self.leaves.iter().find(|l| l.account == account);
        if leaf.is_none_or(|l| l.closed) {
            let why =
                format!("it replaces {line}, which was on {}, a leaf that is closed: {said}", self.code_of(account));
            return self.wait(amount, why);
        }
        Decision {
            evidence: Evidence::Person,
            rule: None,
            matched: vec![("replaces", line.clone())],
            sentence: format!("it replaces {line}, of which {said}"),
            shares: vec![(account, -amount)],
            suspense: false,
        }
    }

    fn code_of(&self, account: AccountId) -> &str {
        self.leaves.iter().find(|l| l.account == account).map_or("a leaf", |l| l.code.as_str())
    }
}

impl Decided {
    /// Whether a payment of the new line is the one of the old that stood in its place: the same but for its amount.
    fn is_same(&self, line: &NewLine, detail: Option<i64>) -> bool {
        let at = detail.and_then(|d| usize::try_from(d).ok());
        let Some((old, new)) = at.and_then(|at| self.details.get(at).zip(line.details.get(at))) else { return false };
        let known = |d: &Detail| (d.end_to_end_id.clone(), d.counterparty_account.clone(), d.remittance.clone());
        known(old) == known(new) && (old.end_to_end_id.is_some() || old.amount == new.amount)
    }
}
