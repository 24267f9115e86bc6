//! Payments of ours that come back: whose money they are, by what went out under the same end-to-end id. Pure.
//!
//! Until payments are made here, what went out is a debit line of the same master. A return is a new fact, often less than
//! was sent: it goes to the *returned* leaf of the product that paid, the one whose purpose is `returned`, so that it is not
//! spent again before somebody has looked at it. A product without such a leaf gets it back where it was paid from.
//!
//! Exact and unique, or a person: nothing is decided by an id under which several payments went out, or more comes back than
//! went out.

use super::place::{Decision, Evidence, Leaf, Payment, Placement, Placer};
use crate::ledger::AccountId;
use crate::money::Minor;
use crate::statements::NewLine;
use std::collections::{BTreeSet, HashMap};

/// The purpose of a leaf for what comes back.
const RETURNED: &str = "returned";

/// A debit of ours, and whose money it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// Its line, and which payment of it.
    pub line: String,
    /// See `line`.
    pub detail: Option<i64>,
    /// Unsigned.
    pub amount: i64,
    /// Postings on the shares of the master, debit positive.
    pub shares: Vec<(AccountId, i64)>,
}

/// Debits by end-to-end id.
#[derive(Debug, Clone, Default)]
pub struct Originals(HashMap<String, Vec<Original>>);

impl Originals {
    /// One more.
    pub fn add(&mut self, end_to_end_id: &str, original: Original) {
        let known = self.0.entry(end_to_end_id.to_owned()).or_default();
        if !known.iter().any(|o| (&o.line, o.detail) == (&original.line, original.detail)) {
            known.push(original);
        }
    }
}

/// Whether money comes back that we sent: the bank says why, calls it so by its code, or takes its own debit back.
pub fn is_return(payment: &Payment<'_>) -> bool {
    let named = |code: &str| code.split('/').any(|part| part == "RRTN" || part == "NRTI");
    let line = payment.line;
    payment.amount > 0
        && (payment.return_reason().is_some() || line.reversal || line.code.as_deref().is_some_and(named))
}

/// Whether a debit is a payment of ours: one that goes back to its payer, and what the bank takes back, are none.
pub fn went_out(reversal: bool, return_reason: Option<&str>) -> bool {
    !reversal && return_reason.is_none()
}

/// The end-to-end ids that come back with a line.
pub fn sought(line: &NewLine) -> Vec<&str> {
    if line.details.is_empty() {
        let payment = Payment::of(line);
        return payment.end_to_end_id().filter(|_| is_return(&payment)).into_iter().collect();
    }
    // Whether a payment of a mixed batch is a credit is asked when it is decided.
    let payment = |detail| Payment { line, detail: Some(detail), amount: line.amount.saturating_abs(), charges: None };
    let returned = line.details.iter().map(payment).filter(is_return);
    returned.filter_map(|p| p.end_to_end_id()).collect()
}

impl Placer {
    /// Remembers what went out with a line, for what comes back later in the same commit.
    pub fn remember(&mut self, id: &str, line: &NewLine, placements: &[Placement]) {
        if !went_out(line.reversal, line.return_reason.as_deref()) {
            return;
        }
        for placed in placements.iter().filter(|p| p.amount < 0) {
            let detail = placed.detail.and_then(|d| usize::try_from(d).ok()).and_then(|d| line.details.get(d));
            let end_to_end_id = match (placed.detail, line.details.is_empty()) {
                (None, true) => line.end_to_end_id.as_deref(),
                (None, false) => None,
                (Some(_), _) => detail.and_then(|d| d.end_to_end_id.as_deref()),
            };
            // A batch that is placed as one has its payments' ids all the same.
            let of_batch = line.details.iter().zip(0i64..).filter(|_| placed.detail.is_none());
            let of_batch =
                of_batch.filter_map(|(d, place)| Some((d.end_to_end_id.as_deref()?, Some(place), d.amount?.0)));
            let own = end_to_end_id.map(|id| (id, placed.detail, placed.amount.saturating_neg()));
            for (end_to_end_id, detail, amount) in own.into_iter().chain(of_batch) {
                let shares = placed.decision.shares.clone();
                self.originals.add(end_to_end_id, Original { line: id.to_owned(), detail, amount, shares });
            }
        }
    }

    /// What a payment that comes back says.
    pub(super) fn by_return(&self, payment: &Payment<'_>) -> Option<Decision> {
        if !is_return(payment) {
            return None;
        }
        let id = payment.end_to_end_id()?;
        let matched = vec![("end_to_end_id", id.to_owned())];
        let wait = |why: String| Some(Decision { matched: matched.clone(), ..self.wait(payment.amount, why) });
        let original = match self.originals.0.get(id).map_or([].as_slice(), Vec::as_slice) {
            [] => return None,
            [one] => one,
            several => {
                let count = several.len();
                return wait(format!(
                    "it comes back under {id}, under which {count} payments went out: a person says which"
                ));
            }
        };
        let line = &original.line;
        if payment.amount > original.amount {
            let (back, out) =
                (Minor(payment.amount).to_text(self.currency), Minor(original.amount).to_text(self.currency));
            return wait(format!(
                "it comes back under {id}, but {back} is more than the {out} that went out with {line}"
            ));
        }
        let leaf = match self.paid_from(original) {
            Ok(leaf) => leaf,
            Err(why) => return wait(format!("it comes back under {id}, but {line}, with which it went out, {why}")),
        };
        let (target, how) = self.returned_leaf(leaf);
        let other = self.by_virtual_number(payment).filter(|d| !d.suspense).and_then(|d| d.shares.first().copied());
        if let Some(other) = other.and_then(|(account, _)| self.leaf_of(account)).filter(|o| o.product != leaf.product)
        {
            let (paid, other) = (&leaf.code, &other.code);
            return wait(format!(
                "it comes back under {id}, which {paid} has paid, but its virtual account number names {other}"
            ));
        }
        if target.closed {
            return wait(format!("it comes back under {id} and belongs on {}, which is closed", target.code));
        }
        Some(Decision {
            evidence: Evidence::Return,
            rule: None,
            sentence: format!("our payment {id} comes back, which went out with {line} from {}; {how}", leaf.code),
            matched,
            shares: vec![(target.account, -payment.amount)],
            suspense: false,
        })
    }

    /// The leaf that a payment was of: of several, what they have in common, apart from what the house bore of it.
    fn paid_from(&self, original: &Original) -> Result<&Leaf, String> {
        let account = |wanted: AccountId| original.shares.iter().any(|(account, _)| *account == wanted);
        if account(self.suspense) {
            return Err("waits in suspense itself".to_owned());
        }
        if account(self.in_transit) {
            return Err("is a transfer between own masters".to_owned());
        }
        let leaves: Vec<&Leaf> = original.shares.iter().filter_map(|(account, _)| self.leaf_of(*account)).collect();
        let of_products: Vec<&&Leaf> = leaves.iter().filter(|l| l.product.is_some()).collect();
        let products: BTreeSet<&Option<String>> = of_products.iter().map(|l| &l.product).collect();
        match (of_products.as_slice(), leaves.as_slice()) {
            ([first, ..], _) if products.len() == 1 => Ok(first),
            ([], [house]) => Ok(house),
            _ => Err("was of several leaves".to_owned()),
        }
    }

    /// Where what a leaf has paid goes when it comes back, and why there.
    fn returned_leaf<'a>(&'a self, paid: &'a Leaf) -> (&'a Leaf, String) {
        let Some(product) = &paid.product else {
            return (paid, "the house gets it back".to_owned());
        };
        let is_returned =
            |l: &&Leaf| l.code.rsplit('/').next() == Some(RETURNED) && l.product.as_ref() == Some(product);
        let returned: Vec<&Leaf> = self.leaves.iter().filter(is_returned).collect();
        let of_market = returned.iter().find(|l| l.market == paid.market).copied();
        let only = if let [only] = returned.as_slice() { Some(*only) } else { None };
        match of_market.or(only) {
            Some(leaf) => (leaf, format!("{} takes what comes back to {product}", leaf.code)),
            None => (paid, format!("{product} has no leaf with the purpose {RETURNED} for it, so it goes back there")),
        }
    }

    fn leaf_of(&self, account: AccountId) -> Option<&Leaf> {
        self.leaves.iter().find(|l| l.account == account)
    }
}
