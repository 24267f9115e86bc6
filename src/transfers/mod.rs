//! Transfers: money moved between two leaves of one master, which the bank never sees.
//!
//! A transfer is a decision, so floors, ceilings, freezes and limits of both leaves bind it (`ledger::engine`). Whoever makes it
//! must have the permission where both leaves are. It takes effect at once, so a person may make it only where nobody else's money
//! is concerned, between leaves of one owner: one product (or the treasury itself) and one entity. Between owners it takes a
//! machine's key, whose role and scope others have approved, as what it says was decided in the system that holds it.
//!
//! Many are decided together: what they touch is read once, and each is answered by itself.

use crate::actor::Principal;
use crate::chart::{self, PlacedLeaf};
use crate::db::{Tx, Who};
use crate::error::{Error, Result};
use crate::ledger::{self, AccountId, AccountKind, Basis, Cause, NewEntry, NewPosting};
use crate::money::{Currency, Minor};
use crate::time::day_of;
use chrono::NaiveDate;
use std::fmt;
use std::sync::Arc;

pub mod api;

/// Letters of what is said of a transfer, at most.
const LONGEST: usize = 140;

/// Why a transfer is not made, in the order of checking; what the journal refuses comes after.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// An account that is no leaf.
    NotALeaf { account: String },
    /// Nothing would move.
    SameLeaf { leaf: String },
    /// Two masters: only the bank moves money between them.
    OtherMaster { from: String, to: String },
    /// An amount of another currency.
    OtherCurrency { leaf: String, currency: String, given: Currency },
    /// Nothing, or less than that.
    NotPositive,
    /// What is said of it cannot be kept.
    BadText { field: &'static str },
    /// It takes four eyes, or a machine.
    BetweenOwners { from: String, to: String },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::NotALeaf { .. } => "transfer_not_a_leaf",
            Refusal::SameLeaf { .. } => "transfer_to_itself",
            Refusal::OtherMaster { .. } => "transfer_between_masters",
            Refusal::OtherCurrency { .. } => "transfer_currency",
            Refusal::NotPositive => "transfer_not_positive",
            Refusal::BadText { .. } => "transfer_text",
            Refusal::BetweenOwners { .. } => "transfer_between_owners",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotALeaf { account } => write!(
                f,
                "{account} is no leaf of a product or of the treasury; a bank account, suspense and what is in transit are moved by the bank's lines alone"
            ),
            Refusal::SameLeaf { leaf } => write!(f, "from and to are both {leaf}; name two leaves"),
            Refusal::OtherMaster { from, to } => write!(
                f,
                "{from} and {to} lie in two bank accounts, between which only the bank moves money; name two leaves of one master"
            ),
            Refusal::OtherCurrency { leaf, currency, given } => {
                write!(f, "{leaf} holds {currency}, and the amount is in {given}; give it in {currency}")
            }
            Refusal::NotPositive => f.write_str(
                "the amount is not greater than zero; to move money back, name the leaves the other way round",
            ),
            Refusal::BadText { field } => {
                write!(
                    f,
                    "{field} is 1 to {LONGEST} letters, digits and signs on one line; leave it out where there is nothing to say"
                )
            }
            Refusal::BetweenOwners { from, to } => write!(
                f,
                "{from} and {to} have different owners, and nobody moves money between owners alone: a person re-routes a line under four eyes, a machine uses a key with a role that allows transfers.post there"
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// A transfer that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTransfer {
    /// The leaf that gives, by its path.
    pub from: String,
    /// The leaf that gets.
    pub to: String,
    /// How much.
    pub amount: Minor,
    /// Of what.
    pub currency: Currency,
    /// For people; sealed, so without personal data.
    pub description: Option<String>,
    /// What the asker calls it.
    pub reference: Option<String>,
}

/// A transfer that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Its entry.
    pub entry: i64,
    /// The day on which it is booked and valued.
    pub booked_on: NaiveDate,
}

/// Makes transfers, each in the name of who asks for it and answered by itself. Of one that is refused nothing is written.
pub fn make(tx: &mut Tx<'_>, asked: &[(Arc<Who>, &NewTransfer)]) -> Result<Vec<Result<Made>>> {
    let codes = asked.iter().flat_map(|(_, t)| [t.from.as_str(), t.to.as_str()]);
    let leaves = chart::placed(tx.conn(), codes)?;
    let today = day_of(tx.now());
    let (mut entries, mut answers) = (Vec::with_capacity(asked.len()), Vec::with_capacity(asked.len()));
    for (who, transfer) in asked {
        let seen = |code: &str| chart::placed_seen(&leaves, &who.scope, code);
        let judged = seen(&transfer.from).and_then(|from| Ok((from, seen(&transfer.to)?)));
        let judged = judged.and_then(|(from, to)| {
            judge(who, transfer, &from, &to)?;
            Ok(entry_of(tx.id("tr"), transfer, (&from, &to), today))
        });
        answers.push(judged.map(|entry| entries.push((Arc::clone(who), entry))));
    }
    let mut posted = ledger::post_for(tx, &entries)?.into_iter();
    let mut made = |()| {
        let posted = posted.next().unwrap_or_else(|| Err(Error::Broken("a transfer has no answer".to_owned())));
        posted.map(|posted| Made { entry: posted.number, booked_on: today })
    };
    Ok(answers.into_iter().map(|answer| answer.and_then(&mut made)).collect())
}

/// Whether it may be made at all, before the journal looks at balances.
fn judge(who: &Who, transfer: &NewTransfer, from: &PlacedLeaf, to: &PlacedLeaf) -> Result<(), Refusal> {
    let is_leaf = |leaf: &PlacedLeaf| matches!(leaf.kind, AccountKind::Leaf | AccountKind::House);
    if let Some(other) = [from, to].into_iter().find(|leaf| !is_leaf(leaf)) {
        return Err(Refusal::NotALeaf { account: other.code.clone() });
    }
    if from.id == to.id {
        return Err(Refusal::SameLeaf { leaf: from.code.clone() });
    }
    if from.book != to.book {
        return Err(Refusal::OtherMaster { from: from.code.clone(), to: to.code.clone() });
    }
    if from.currency != transfer.currency.code() {
        let (leaf, currency) = (from.code.clone(), from.currency.clone());
        return Err(Refusal::OtherCurrency { leaf, currency, given: transfer.currency });
    }
    if transfer.amount <= Minor::ZERO {
        return Err(Refusal::NotPositive);
    }
    for (field, text) in [("description", &transfer.description), ("reference", &transfer.reference)] {
        if text.as_deref().is_some_and(|text| !is_one_line(text)) {
            return Err(Refusal::BadText { field });
        }
    }
    let owner = |leaf: &PlacedLeaf| (leaf.place.product.clone(), leaf.place.entity.clone());
    if matches!(who.actor.principal(), Principal::Person(_)) && owner(from) != owner(to) {
        return Err(Refusal::BetweenOwners { from: from.code.clone(), to: to.code.clone() });
    }
    Ok(())
}

fn is_one_line(text: &str) -> bool {
    (1..=LONGEST).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn entry_of(id: String, transfer: &NewTransfer, (from, to): (&PlacedLeaf, &PlacedLeaf), today: NaiveDate) -> NewEntry {
    let metadata =
        transfer.reference.as_ref().map(|reference| serde_json::json!({ "reference": reference }).to_string());
    NewEntry {
        kind: "transfer".to_owned(),
        basis: Basis::Decision,
        description: transfer.description.clone().unwrap_or_else(|| "Transfer".to_owned()),
        booked_on: today,
        valued_on: today,
        cause: Cause { kind: "transfer".to_owned(), id, seq: 0 },
        // Leaves grow by credits.
        postings: vec![
            NewPosting { account: AccountId(from.id), amount: transfer.amount.0 },
            NewPosting { account: AccountId(to.id), amount: -transfer.amount.0 },
        ],
        holds: Vec::new(),
        reverses: None,
        metadata,
    }
}
