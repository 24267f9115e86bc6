//! Transfers over HTTP, one and many at once. Both take the fast way of a request, on which no thread waits.

use super::{Made, NewTransfer, make};
use crate::access::Permission;
use crate::db::{Tx, Who};
use crate::error::{Error, Result};
use crate::http::{Item, Money, Operation, Refusal, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Transfers of one request, at most.
const MOST: usize = 1_000;

/// The rows of transfers.
pub fn operations() -> Vec<Operation> {
    vec![
        post("/v1/transfers", "transfers.post", "Move money from one leaf of a master to another, at once")
            .may(Permission::TransfersPost)
            .dry_runs()
            .posts(post_one),
        post("/v1/transfers/batch", "transfers.post_batch", "Make transfers, each answered by itself")
            .may(Permission::TransfersPost)
            .dry_runs()
            .posts(post_batch),
    ]
}

/// A transfer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The path of the leaf that gives.
    from: String,
    /// The path of the leaf that gets, in the same master.
    to: String,
    /// How much, in the currency of the master.
    amount: Money,
    /// What it is for, in at most 140 signs; kept for ever and seen by who sees both leaves, so no personal data.
    description: Option<String>,
    /// What you call it, in at most 140 signs.
    reference: Option<String>,
}

impl Asked {
    fn read(&self, at: &str) -> Result<NewTransfer> {
        let (amount, currency) = self.amount.read(&format!("{at}amount"))?;
        Ok(NewTransfer {
            from: self.from.clone(),
            to: self.to.clone(),
            amount,
            currency,
            description: self.description.clone(),
            reference: self.reference.clone(),
        })
    }
}

/// A transfer that was made.
#[derive(Debug, Serialize, JsonSchema)]
struct Transfer {
    /// The number of its entry.
    entry: i64,
    /// The leaf that gave.
    from: String,
    /// The leaf that got.
    to: String,
    /// How much.
    amount: Money,
    /// The day on which it is booked and valued.
    booked_on: chrono::NaiveDate,
}

impl Transfer {
    fn of(asked: &NewTransfer, made: Made) -> Transfer {
        Transfer {
            entry: made.entry,
            from: asked.from.clone(),
            to: asked.to.clone(),
            amount: Money::of(asked.amount.0, asked.currency.exponent(), asked.currency.code()),
            booked_on: made.booked_on,
        }
    }
}

fn post_one(tx: &mut Tx<'_>, items: &[Item<'_, Asked>]) -> Result<Vec<Result<Transfer>>> {
    let read: Vec<Result<NewTransfer>> = items.iter().map(|item| item.body.read("")).collect();
    let asked: Vec<(Arc<Who>, &NewTransfer)> = who_and_what(items.iter().map(|item| item.who).zip(&read));
    let mut made = make(tx, &asked)?.into_iter();
    Ok(read.into_iter().map(|transfer| answered(&transfer?, &mut made)).collect())
}

/// Those that could be read.
fn who_and_what<'r>(
    read: impl Iterator<Item = (&'r Arc<Who>, &'r Result<NewTransfer>)>,
) -> Vec<(Arc<Who>, &'r NewTransfer)> {
    read.filter_map(|(who, transfer)| Some((Arc::clone(who), transfer.as_ref().ok()?))).collect()
}

fn answered(asked: &NewTransfer, made: &mut impl Iterator<Item = Result<Made>>) -> Result<Transfer> {
    let made = made.next().unwrap_or_else(|| Err(Error::Broken("a transfer has no answer".to_owned())));
    Ok(Transfer::of(asked, made?))
}

/// Transfers, in the order in which they are to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Batch {
    /// From 1 to 1000.
    #[schemars(length(min = 1, max = 1000))]
    transfers: Vec<Asked>,
}

/// What became of each.
#[derive(Debug, Serialize, JsonSchema)]
struct Answered {
    /// In the order of the request.
    transfers: Vec<AnsweredItem>,
}

/// What became of one.
#[derive(Debug, Serialize, JsonSchema)]
struct AnsweredItem {
    /// The transfer; null when it was refused.
    transfer: Option<Transfer>,
    /// The code of the refusal.
    code: Option<String>,
    /// Why, for people.
    detail: Option<String>,
}

fn post_batch(tx: &mut Tx<'_>, items: &[Item<'_, Batch>]) -> Result<Vec<Result<Answered>>> {
    let read: Vec<Vec<Result<NewTransfer>>> = items.iter().map(|item| read_batch(item.body)).collect();
    let each = items.iter().zip(&read).flat_map(|(item, batch)| batch.iter().map(|one| (item.who, one)));
    let asked = who_and_what(each);
    let mut made = make(tx, &asked)?.into_iter();
    let before = Arc::clone(tx.who());
    let mut answers = Vec::with_capacity(items.len());
    for (item, batch) in items.iter().zip(read) {
        if !(1..=MOST).contains(&batch.len()) {
            answers.push(Err(Refusal::BadBody { why: format!("transfers: from 1 to {MOST} at once") }.into()));
            continue;
        }
        tx.act_as(item.who);
        let mut transfers = Vec::with_capacity(batch.len());
        for transfer in batch {
            let answer = match transfer.and_then(|transfer| answered(&transfer, &mut made)) {
                Ok(transfer) => AnsweredItem { transfer: Some(transfer), code: None, detail: None },
                Err(no) if no.is_answer() => {
                    tx.refused("transfers.post", &no);
                    AnsweredItem { transfer: None, code: Some(no.code().to_owned()), detail: Some(no.to_string()) }
                }
                Err(fault) => return Err(fault),
            };
            transfers.push(answer);
        }
        answers.push(Ok(Answered { transfers }));
    }
    tx.act_as(&before);
    Ok(answers)
}

/// Of too many none is read: the whole request is refused.
fn read_batch(batch: &Batch) -> Vec<Result<NewTransfer>> {
    if batch.transfers.len() > MOST {
        return Vec::new();
    }
    batch.transfers.iter().zip(0..).map(|(one, at)| one.read(&format!("transfers[{at}]."))).collect()
}
