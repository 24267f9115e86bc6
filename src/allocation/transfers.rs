//! Transfers between own masters: each side stands in its master's in-transit account until the other has come.
//!
//! Two masters are two books, so no entry crosses from one to the other: the bank's line is the only thing that moves a
//! master. A debit whose counterparty is another master goes against in-transit there, the credit against in-transit here. So
//! the in-transit accounts of a currency sum to what is under way (negative: it has left and not arrived), in whatever order
//! the statements come.
//!
//! When both sides have come, each is cleared in its own book: from the leaf that a rule names for the line, else from the
//! treasury's pool. A side that a person or a virtual account number has placed before stays where it is.
//!
//! Two sides match when they are of the same two masters and the same amount, and of the same end-to-end id or, where one of
//! them has none, valued within five days of each other; of several that do, the nearest and then the oldest one is taken.
//! They are of one size between the same two ends, so which of them it is moves no money.

use super::place::{Decision, Evidence, Payment, Placement, Placer};
use super::store::{self, NewRoute};
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::ledger::{self, Basis};
use crate::statements::NewLine;
use chrono::NaiveDate;
use std::collections::HashMap;

pub mod api;

/// Days between the value dates of two sides, at most.
const DAYS: u64 = 5;

/// As stored in place of the number of a payment: the line as a whole.
pub(super) const WHOLE: i64 = -1;

/// Another master of this treasury.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnMaster {
    /// Its id.
    pub id: String,
    /// Its code.
    pub code: String,
}

/// One side of a transfer between own masters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The line.
    pub line: String,
    /// Which payment of it; [`WHOLE`] for the line.
    pub detail: i64,
    /// Id of the line's master.
    pub master: String,
    /// Id of the master on the other side.
    pub other: String,
    /// Signed: a credit to us is positive.
    pub amount: i64,
    /// The bank's value date.
    pub valued_on: NaiveDate,
    /// Where the bank gives it.
    pub end_to_end_id: Option<String>,
}

impl Side {
    /// How well another side fits: less is better; `None`: it does not.
    fn distance(&self, other: &Side) -> Option<(bool, u64)> {
        if (&self.master, &self.other, Some(self.amount)) != (&other.other, &other.master, other.amount.checked_neg()) {
            return None;
        }
        let days = self.valued_on.signed_duration_since(other.valued_on).num_days().unsigned_abs();
        match (&self.end_to_end_id, &other.end_to_end_id) {
            (Some(mine), Some(its)) if mine == its => Some((false, days)),
            (Some(_), Some(_)) => None,
            _ => (days <= DAYS).then_some((true, days)),
        }
    }
}

/// The side that matches best, of those that wait for theirs.
pub fn best<'a>(side: &Side, open: &'a [Side]) -> Option<&'a Side> {
    let fitting = open.iter().filter_map(|o| side.distance(o).map(|distance| (distance, o)));
    fitting.min_by_key(|(distance, o)| (*distance, o.valued_on, &o.line, o.detail)).map(|(_, o)| o)
}

impl Placer {
    /// What a payment says whose counterparty is another master.
    pub(super) fn by_own_transfer(&self, payment: &Payment<'_>) -> Option<Decision> {
        let (other, number) = self.own_master(payment)?;
        let way = if payment.amount > 0 { "comes from" } else { "goes to" };
        Some(Decision {
            evidence: Evidence::OwnTransfer,
            rule: None,
            matched: vec![("counterparty_account", number.to_owned())],
            sentence: format!("it {way} our own master {}, and is in transit until both sides have come", other.code),
            shares: vec![(self.in_transit, payment.amount.checked_neg()?)],
            suspense: false,
        })
    }

    /// The other master that a payment names as its counterparty. What comes back or is taken back is no transfer.
    fn own_master<'p>(&self, payment: &Payment<'p>) -> Option<(&OwnMaster, &'p str)> {
        let number = payment.counterparty_account()?;
        let other = self.own_masters.get(&crate::chart::numbers::normalise(number))?;
        let plain = payment.amount != 0 && !payment.line.reversal && payment.return_reason().is_none();
        (plain && !super::returns::is_return(payment)).then_some((other, number))
    }

    /// The sides that a line brings, wherever its money was placed.
    pub fn sides(&self, master: &str, id: &str, line: &NewLine, placements: &[Placement]) -> Vec<Side> {
        let side = |detail: Option<i64>, payment: &Payment<'_>| {
            let (other, _) = self.own_master(payment)?;
            Some(Side {
                line: id.to_owned(),
                detail: detail.unwrap_or(WHOLE),
                master: master.to_owned(),
                other: other.id.clone(),
                amount: payment.amount,
                valued_on: line.valued_on,
                end_to_end_id: payment.end_to_end_id().map(str::to_owned),
            })
        };
        let of = |placed: &Placement| match placed.detail.and_then(|d| usize::try_from(d).ok()) {
            Some(place) => {
                let detail = line.details.get(place)?;
                side(placed.detail, &Payment { line, detail: Some(detail), amount: placed.amount, charges: None })
            }
            // All payments of a batch that is in transit as one have the same counterparty.
            None if line.details.is_empty() || placed.decision.evidence == Evidence::OwnTransfer => {
                side(None, &Payment::of(line))
            }
            None => None,
        };
        placements.iter().filter_map(of).collect()
    }

    /// Which leaf gave or gets what was in transit.
    fn cleared(&self, payment: &Payment<'_>, other: &Side) -> Option<Decision> {
        let come = format!("both sides of a transfer between own masters have come, the other one with {}", other.line);
        let mut matched = vec![("transfer", other.line.clone())];
        if let Some(ruled) = self.by_rule(payment).filter(|d| !d.suspense) {
            matched.extend(ruled.matched);
            let sentence = format!("{come}; {}", ruled.sentence);
            return Some(Decision { evidence: Evidence::OwnTransfer, matched, sentence, ..ruled });
        }
        let pool = self.leaf(&format!("{}/house/pool", self.master)).filter(|pool| !pool.closed)?;
        Some(Decision {
            evidence: Evidence::OwnTransfer,
            rule: None,
            matched,
            sentence: format!("{come}; no rule names a leaf, so it is the pool's"),
            shares: vec![(pool.account, payment.amount.checked_neg()?)],
            suspense: false,
        })
    }
}

/// Stores the sides that came in this commit, and clears those whose other side is there.
pub(super) fn take_in(tx: &mut Tx<'_>, sides: &[Side]) -> Result<()> {
    if sides.is_empty() {
        return Ok(());
    }
    store::insert_sides(tx.conn(), sides)?;
    let mut placers: HashMap<String, Placer> = HashMap::new();
    for side in sides {
        let open = store::open_sides(tx.conn(), side)?;
        let Some(other) = best(side, &open) else { continue };
        store::match_sides(tx.conn(), side, other)?;
        for (one, its) in [(side, other), (other, side)] {
            if !placers.contains_key(&one.master) {
                placers.insert(one.master.clone(), store::placer(tx.conn(), &one.master)?);
            }
            let placer = placers.get(&one.master).ok_or_else(|| Error::Broken("a placer went missing".to_owned()))?;
            clear(tx, placer, one, its)?;
        }
    }
    Ok(())
}

/// Moves what stands in transit for a side to its leaf.
fn clear(tx: &mut Tx<'_>, placer: &Placer, side: &Side, other: &Side) -> Result<()> {
    let found = store::stored_lines(tx.conn(), std::slice::from_ref(&side.line))?;
    let Some(stored) = found.first() else { return Ok(()) };
    let detail = (side.detail != WHOLE).then_some(side.detail);
    let in_force = store::in_force(&stored.routes);
    let Some(route) = in_force.into_iter().find(|r| r.detail == detail) else { return Ok(()) };
    let newest = stored.routes.last().map_or(0, |r| r.seq);
    // A person was here before.
    if route.evidence != Evidence::OwnTransfer.as_str() || !route.shares()?.iter().any(|s| s.0 == placer.in_transit) {
        return Ok(());
    }
    let place = detail.and_then(|d| usize::try_from(d).ok());
    let of_batch = place.and_then(|p| stored.line.details.get(p));
    let charges = of_batch.map_or(stored.line.charges, |d| d.charges.map(|c| c.0));
    let payment = Payment { line: &stored.line, detail: of_batch, amount: side.amount, charges };
    let Some(decision) = placer.cleared(&payment, other) else { return Ok(()) };
    let placements = vec![Placement { detail, amount: side.amount, decision }];
    let change = super::moves::Replacing {
        line: &stored.id,
        valued_on: stored.line.valued_on,
        replaced: &[route],
        newest: (newest, route.entry),
        kind: "clearing",
        basis: Basis::Fact,
        how: "as a transfer between own masters whose sides have both come",
        unconfirmed: stored.unconfirmed.then_some([placer.suspense, placer.in_transit]),
        more: None,
    };
    let Some(entry) = change.entry(crate::time::day_of(tx.now()), &placements)? else { return Ok(()) };
    let posted = ledger::post_one(tx, entry)?;
    let after = serde_json::json!({ "entry": posted.number, "other": other.line });
    tx.event("transfer.cleared", &side.line, None, Some(after.to_string()));
    let routes: Vec<NewRoute> = NewRoute::of(&side.line, newest + 1, posted.number, placements).collect();
    store::insert_routes(tx, &routes)
}

/// The bank takes a line back: its other side, if that has come, waits again for the line that comes instead.
pub(super) fn forget(tx: &mut Tx<'_>, line: &str) -> Result<()> {
    store::forget_sides(tx.conn(), line)
}

/// The sides whose other side has not come, oldest first: master, the other master, and the side.
pub fn under_way(conn: &mut Conn) -> Result<Vec<Side>> {
    store::all_open_sides(conn)
}

#[cfg(test)]
mod tests {
    use super::{Side, best};
    use proptest::prelude::{Strategy, prop, prop_assert_eq, proptest};

    fn side(out: bool, day: u32, id: Option<&str>, amount: i64) -> Side {
        let (master, other) = if out { ("a", "b") } else { ("b", "a") };
        Side {
            line: format!("ln-{day}-{}", id.unwrap_or("")),
            detail: -1,
            master: master.to_owned(),
            other: other.to_owned(),
            amount: if out { -amount } else { amount },
            valued_on: chrono::NaiveDate::from_ymd_opt(2026, 3, day).unwrap(),
            end_to_end_id: id.map(str::to_owned),
        }
    }

    #[test]
    fn an_id_that_both_have_decides_and_else_the_nearest_day() {
        let out = side(true, 10, Some("X"), 100);
        let found = |open: &[Side]| best(&out, open).map(|s| s.line.clone());
        assert_eq!(found(&[side(false, 10, None, 100), side(false, 30, Some("X"), 100)]).as_deref(), Some("ln-30-X"));
        assert_eq!(found(&[side(false, 10, Some("Y"), 100)]), None);
        assert_eq!(found(&[side(false, 14, None, 100), side(false, 11, None, 100)]).as_deref(), Some("ln-11-"));
        assert_eq!(found(&[side(false, 12, None, 100), side(false, 8, None, 100)]).as_deref(), Some("ln-8-"));
        assert_eq!(found(&[side(false, 16, None, 100)]), None);
        assert_eq!(found(&[side(false, 10, None, 99), side(true, 10, None, 100)]), None);
    }

    /// Takes sides in as they come; gives how many are left open, of each direction.
    fn left(order: &[Side]) -> (usize, usize) {
        let mut open: Vec<Side> = Vec::new();
        for side in order {
            match best(side, &open).cloned() {
                Some(other) => open.retain(|o| *o != other),
                None => open.push(side.clone()),
            }
        }
        (open.iter().filter(|s| s.amount < 0).count(), open.iter().filter(|s| s.amount > 0).count())
    }

    fn some_sides() -> impl Strategy<Value = (Vec<Side>, Vec<Side>)> {
        // Equal amounts within five days: whichever are paired, the same number is.
        prop::collection::vec((0usize..2, 1u32..6), 0..10).prop_flat_map(|all| {
            let sides: Vec<Side> = all
                .into_iter()
                .enumerate()
                .map(|(n, (out, day))| Side { line: format!("ln-{n}"), ..side(out == 1, day, None, 100) })
                .collect();
            (proptest::prelude::Just(sides.clone()), proptest::prelude::Just(sides).prop_shuffle())
        })
    }

    proptest! {
        #[test]
        fn what_is_under_way_does_not_depend_on_the_order((one, other) in some_sides()) {
            prop_assert_eq!(left(&one), left(&other));
        }
    }
}
