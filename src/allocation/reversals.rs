//! Inflows that the bank takes back: each goes from where it was placed, in the same shares. Pure.
//!
//! The evidence is that the bank says that it takes something back (its mark of a reversal, the reason of a return, or its code),
//! that a reference which it carries over names exactly one inflow of the master, that the amount is exactly that inflow's, and
//! that it was not taken back before. Anything less decides nothing: a virtual account number or a rule may still name the
//! leaf, and else the line waits and says which inflow it may be.

use super::place::{Decision, Evidence, Payment, Placement, Placer};
use crate::expectations::matching::key;
use crate::ledger::AccountId;
use crate::statements::NewLine;
use std::collections::HashSet;

/// An inflow, and whose money it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inflow {
    /// Its line, `LINE/3` when it is the third payment of one.
    pub name: String,
    /// Signed, more than zero.
    pub amount: i64,
    /// Of the payment, from its order to its return.
    pub end_to_end_id: Option<String>,
    /// The bank's, of the booking.
    pub bank_ref: Option<String>,
    /// Postings on the shares of the master, debit positive.
    pub shares: Vec<(AccountId, i64)>,
}

/// What may be taken back with the lines at hand.
#[derive(Debug, Clone, Default)]
pub struct Inflows {
    /// Whether anything is: else nothing needs to be remembered.
    asked: bool,
    all: Vec<Inflow>,
    taken_back: HashSet<String>,
}

impl Inflows {
    /// What is stored: inflows, and the names of those that were taken back.
    pub fn of(all: Vec<Inflow>, taken_back: HashSet<String>) -> Inflows {
        Inflows { asked: true, all, taken_back }
    }
}

/// How a route says which inflow it takes back.
pub const TAKES_BACK: &str = "takes_back";

/// Whether the bank says that it takes an inflow back.
pub fn takes_back(payment: &Payment<'_>) -> bool {
    let named = |code: &str| code.split('/').any(|part| ["RRTN", "NRTI", "RPCR"].contains(&part));
    let line = payment.line;
    payment.amount < 0
        && (line.reversal || payment.return_reason().is_some() || line.code.as_deref().is_some_and(named))
}

/// The payments of a line by which the bank may take inflows back: their amounts.
pub fn sought(line: &NewLine) -> Vec<i64> {
    let all = if line.details.is_empty() {
        vec![Payment::of(line)]
    } else {
        let payment = |detail| Payment { line, detail: Some(detail), amount: line.amount, charges: None };
        line.details.iter().map(payment).collect()
    };
    let amount = |p: &Payment<'_>| p.detail.and_then(|d| d.amount).map_or(line.amount.saturating_neg(), |a| a.0);
    all.iter().filter(|p| takes_back(p)).map(amount).collect()
}

impl Placer {
    /// Remembers what came in or was taken back with a line, for what is taken back later in the same commit.
    pub(super) fn remember_inflows(&mut self, id: &str, line: &NewLine, placements: &[Placement]) {
        if !self.inflows.asked {
            return;
        }
        for placed in placements {
            let named = placed.decision.matched.iter().find(|(field, _)| *field == TAKES_BACK);
            if let Some((_, name)) = named {
                self.inflows.taken_back.insert(name.clone());
            } else if placed.amount > 0 && !line.reversal {
                let detail = placed.detail.and_then(|d| usize::try_from(d).ok()).and_then(|d| line.details.get(d));
                self.inflows.all.push(Inflow {
                    name: placed.detail.map_or_else(|| id.to_owned(), |d| format!("{id}/{}", d + 1)),
                    amount: placed.amount,
                    end_to_end_id: detail.map_or(&line.end_to_end_id, |d| &d.end_to_end_id).clone(),
                    bank_ref: detail.map_or(&line.bank_ref, |d| &d.bank_ref).clone(),
                    shares: placed.decision.shares.clone(),
                });
            }
        }
    }

    /// What a payment that the bank takes back says; an error says why nothing follows from it.
    pub(super) fn by_reversal(&self, payment: &Payment<'_>) -> Option<Result<Decision, String>> {
        if !takes_back(payment) {
            return None;
        }
        let own_ref = payment.detail.map_or(payment.line.bank_ref.as_deref(), |d| d.bank_ref.as_deref());
        let references = [("end_to_end_id", payment.end_to_end_id()), ("bank_ref", own_ref)];
        let carried = |inflow: &Inflow| {
            let its = [&inflow.end_to_end_id, &inflow.bank_ref];
            let same = |mine: Option<&str>, its: &Option<String>| {
                mine.and_then(key).is_some_and(|mine| its.as_deref().and_then(key) == Some(mine))
            };
            let found = references.iter().zip(its).find(|((_, mine), its)| same(*mine, its));
            found.map(|((field, value), _)| (*field, value.unwrap_or_default().to_owned()))
        };
        let named: Vec<(&Inflow, (&'static str, String))> =
            self.inflows.all.iter().filter_map(|i| Some((i, carried(i)?))).collect();
        let exact = named.iter().filter(|(i, _)| Some(i.amount) == payment.amount.checked_neg());
        let exact: Vec<&(&Inflow, (&'static str, String))> = exact.collect();
        let names = |all: &[&str]| all.join(", ");
        Some(match exact.as_slice() {
            [] => Err(self.maybe(payment, &named.iter().map(|(i, _)| i.name.as_str()).collect::<Vec<_>>())),
            [(inflow, _)] if self.inflows.taken_back.contains(&inflow.name) => Err(format!(
                "the bank takes something back under the reference of {}, which it took back before",
                inflow.name
            )),
            [(inflow, by)] => self.taken_back(payment, inflow, by),
            several => {
                let several: Vec<&str> = several.iter().map(|(i, _)| i.name.as_str()).collect();
                Err(format!("the bank takes something back under a reference of several inflows: {}", names(&several)))
            }
        })
    }

    /// What it may be, for the person who decides.
    fn maybe(&self, payment: &Payment<'_>, named: &[&str]) -> String {
        if !named.is_empty() {
            let named = named.join(", ");
            return format!("the bank takes something back under the reference of {named}, of another amount");
        }
        let alike =
            |i: &&Inflow| Some(i.amount) == payment.amount.checked_neg() && !self.inflows.taken_back.contains(&i.name);
        let alike: Vec<&str> = self.inflows.all.iter().filter(alike).map(|i| i.name.as_str()).collect();
        match alike.as_slice() {
            [] => "the bank takes something back, and no inflow of its amount is known".to_owned(),
            [one] => format!(
                "the bank takes something back without a reference that names it; {one} has its amount, which proves nothing"
            ),
            [first, ..] => {
                let count = alike.len();
                format!(
                    "the bank takes something back without a reference that names it; {count} inflows have its amount, the last one {first}"
                )
            }
        }
    }

    fn taken_back(
        &self,
        payment: &Payment<'_>,
        inflow: &Inflow,
        (field, value): &(&'static str, String),
    ) -> Result<Decision, String> {
        let (name, what) = (&inflow.name, if *field == "bank_ref" { "bank reference" } else { "end-to-end id" });
        let account = |wanted: AccountId| inflow.shares.iter().any(|(account, _)| *account == wanted);
        let matched = vec![(TAKES_BACK, name.clone()), (*field, value.clone())];
        if account(self.in_transit) {
            return Err(format!("the bank takes {name} back, which is a transfer between own masters"));
        }
        if account(self.suspense) {
            let why = format!("the bank takes {name} back, which waits in suspense itself (its {what} is {value})");
            return Ok(Decision { matched, ..self.wait(payment.amount, why) });
        }
        let closed = |a: &AccountId| self.leaves.iter().find(|l| l.account == *a).filter(|l| l.closed);
        if let Some(leaf) = inflow.shares.iter().find_map(|(a, _)| closed(a)) {
            return Err(format!("the bank takes {name} back, which was on {}, and that is closed", leaf.code));
        }
        let number = self.by_virtual_number(payment).filter(|d| !d.suspense);
        if let Some((other, _)) = number.as_ref().and_then(|d| d.shares.first())
            && !account(*other)
        {
            let other = self.leaves.iter().find(|l| l.account == *other).map_or("another leaf", |l| l.code.as_str());
            let why = format!(
                "the bank takes {name} back (its {what} is {value}), but its virtual account number names {other}, where {name} is not"
            );
            return Ok(self.wait(payment.amount, why));
        }
        Ok(Decision {
            evidence: Evidence::Return,
            rule: None,
            matched,
            sentence: format!(
                "the bank takes {name} back: its {what} is {value}, and its amount is the same; it goes from where that was placed"
            ),
            shares: inflow.shares.iter().map(|(account, amount)| (*account, -amount)).collect(),
            suspense: false,
        })
    }
}
