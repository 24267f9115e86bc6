//! What a report or notification calls booked may be spent only when the books of the day have it: until then each credit is
//! held on the leaf that it went to. A hold is named for the line, the route and the leaf, so it is found again without a
//! table of its own, and goes with the money when that is placed elsewhere. What waits in suspense cannot be spent anyway.

use super::place::{Placement, Placer, merged};
use super::store::RouteRow;
use crate::ledger::{AccountId, HoldKind, HoldMove};

/// How the ids of such holds begin.
pub const PREFIX: &str = "unconfirmed:";

/// A credit that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    account: AccountId,
    id: String,
    amount: i64,
}

/// The credits of a route that are held, unless they lie on one of the `exempt` accounts: suspense and in-transit.
pub(super) fn of(line: &str, seq: i64, shares: &[(AccountId, i64)], exempt: [AccountId; 2]) -> Vec<Held> {
    let credits = merged(shares).into_iter().filter(|(account, amount)| *amount < 0 && !exempt.contains(account));
    let held = credits.map(|(account, amount)| Held {
        account,
        id: format!("{PREFIX}{line}:{seq}:{}", account.0),
        amount: amount.saturating_neg(),
    });
    held.collect()
}

pub(super) fn of_placements(line: &str, seq: i64, placements: &[Placement], exempt: [AccountId; 2]) -> Vec<Held> {
    placements.iter().zip(seq..).flat_map(|(p, seq)| of(line, seq, &p.decision.shares, exempt)).collect()
}

pub(super) fn of_route(route: &RouteRow, exempt: [AccountId; 2]) -> Vec<Held> {
    of(&route.line, route.seq, &route.shares().unwrap_or_default(), exempt)
}

pub(super) fn moved(held: &Held, kind: HoldKind) -> HoldMove {
    HoldMove { account: held.account, hold: held.id.clone(), kind, amount: held.amount }
}

pub(super) fn released(held: &Held) -> HoldMove {
    moved(held, HoldKind::Released)
}

impl Placer {
    fn exempt(&self) -> [AccountId; 2] {
        [self.suspense, self.in_transit]
    }

    /// What a route of this master holds while its line is unconfirmed.
    pub(super) fn holds(&self, route: &RouteRow) -> Vec<Held> {
        of_route(route, self.exempt())
    }

    /// What placements are to hold, as routes from `seq` on.
    pub(super) fn holds_of(&self, line: &str, seq: i64, placements: &[Placement]) -> Vec<Held> {
        of_placements(line, seq, placements, self.exempt())
    }
}
