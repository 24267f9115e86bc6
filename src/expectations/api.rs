//! Expected receipts over HTTP.

use super::{Announced, Announcement, Filter, Shown, State};
use crate::access::Permission;
use crate::chart;
use crate::db::Tx;
use crate::error::Result;
use crate::four_eyes::{self, Change, Done};
use crate::http::{Asked, Call, Day, Limit, Money, Nothing, Operation, Page, Refusal, Why, get, post};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of expected receipts.
pub fn operations() -> Vec<Operation> {
    vec![
        get("/v1/expectations", "expectations.list", "What is expected, by its last day")
            .may(Permission::ExpectationsRead)
            .reads(list),
        get("/v1/expectations/{key}", "expectations.show", "One expected receipt")
            .may(Permission::ExpectationsRead)
            .reads(show),
        post("/v1/expectations", "expectations.announce", "Announce receipts, all or none")
            .may(Permission::ExpectationsChange)
            .dry_runs()
            .writes(announce),
        post("/v1/expectations/{key}/cancel", "expectations.cancel", "Give one up, open or expired")
            .may(Permission::ExpectationsChange)
            .dry_runs()
            .writes(cancel),
        post(
            "/v1/expectations/{key}/reopen",
            "expectations.reopen",
            "Wait again for one that was met by something else",
        )
        .may(Permission::ExpectationsMeet)
        .dry_runs()
        .writes(reopen),
    ]
}

/// Which of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only of this master.
    master: Option<String>,
    /// Only of this leaf.
    leaf: Option<String>,
    /// Only in this state: `open`, `met`, `expired` or `cancelled`.
    state: Option<String>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

/// An expected receipt.
#[derive(Serialize, JsonSchema)]
struct Expectation {
    /// For ever; it names this one where leaves have receipts of one key.
    id: String,
    /// Its own key, among those of its leaf.
    key: String,
    /// `open`, `met`, `expired` or `cancelled`.
    state: String,
    /// Code of the master.
    master: String,
    /// The leaf that waits.
    leaf: String,
    /// The lower bound of the amount.
    least: Money,
    /// The upper bound; the same when the amount is exact.
    most: Money,
    /// First booking day.
    first_on: NaiveDate,
    /// Last booking day.
    last_on: NaiveDate,
    /// The reference that it is known by.
    reference: Option<String>,
    /// The account that it comes from.
    counterparty_account: Option<String>,
    /// For people.
    note: Option<String>,
    /// For other systems.
    metadata: Option<serde_json::Value>,
    /// The line that met it, `LINE/3` when it is the third payment of one.
    line: Option<String>,
    /// What became of that line since, when it is not where it met this any more.
    since: Option<String>,
    /// Why it was cancelled or opened again.
    reason: Option<String>,
    /// Who announced it.
    made_by: String,
}

fn expectation(s: Shown) -> Expectation {
    Expectation {
        least: Money { amount: s.least, currency: s.currency.clone() },
        most: Money { amount: s.most, currency: s.currency },
        id: s.id,
        key: s.key,
        state: s.state,
        master: s.master,
        leaf: s.leaf,
        first_on: s.first_on,
        last_on: s.last_on,
        reference: s.reference,
        counterparty_account: s.counterparty_account,
        note: s.note,
        metadata: s.metadata,
        line: s.line,
        since: s.since,
        reason: s.reason,
        made_by: s.made_by,
    }
}

fn list(call: &Call, which: &Which) -> Result<Page<Expectation>> {
    let state = which.state.as_deref().map(|text| {
        let unknown = || Refusal::BadQuery { why: "state is open, met, expired or cancelled".to_owned() };
        State::parse(text).ok_or_else(unknown)
    });
    let filter = Filter {
        master: which.master.clone(),
        leaf: which.leaf.clone(),
        state: state.transpose()?,
        ..Filter::default()
    };
    let place = |e: &Expectation| format!("{}\0{}\0{}", e.last_on, e.key, e.id);
    let all = call.read(|conn| super::list_seen(conn, call.scope(), &filter))?;
    Ok(call.page_of(all.into_iter().map(expectation).collect(), which.limit, place))
}

fn show(call: &Call, _: &Nothing) -> Result<Expectation> {
    call.read(|conn| super::show_seen(conn, call.scope(), call.path("key"))).map(expectation)
}

/// Receipts to be announced.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Announcing {
    /// All are taken, or none.
    #[schemars(length(min = 1, max = 1000))]
    receipts: Vec<Receipt>,
}

/// A receipt to be announced.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Receipt {
    /// What it will be known by among those of its leaf: announcing it again under its key changes nothing.
    #[schemars(length(min = 1, max = 100))]
    key: String,
    /// The leaf that waits, such as `de-eur/tiktok/de/operating`.
    leaf: String,
    /// The amount, or its lower bound.
    amount: Money,
    /// The upper bound, where the amount is not exact.
    up_to: Option<Money>,
    /// First booking day.
    first_on: Day,
    /// Last booking day.
    last_on: Day,
    /// End-to-end id, creditor reference, or the whole of the remittance text.
    reference: Option<String>,
    /// The account that it will come from.
    counterparty_account: Option<String>,
    /// For people.
    note: Option<String>,
    /// For other systems.
    metadata: Option<serde_json::Value>,
}

/// What came of announcing.
#[derive(Serialize, JsonSchema)]
struct AnnouncedAnswer {
    /// New ones.
    new: usize,
    /// Those that were known, with the same content.
    known: usize,
    /// The proposal that waits for approval; null where all is done.
    proposal: Option<String>,
}

fn announcement(at: usize, receipt: &Receipt) -> Result<Announcement> {
    let place = format!("receipts[{at}]");
    receipt.amount.read(&format!("{place}.amount"))?;
    let mut amount = receipt.amount.amount.clone();
    if let Some(up_to) = &receipt.up_to {
        up_to.read(&format!("{place}.up_to"))?;
        if up_to.currency != receipt.amount.currency {
            return Err(Refusal::BadBody { why: format!("{place}: both bounds are of one currency") }.into());
        }
        amount = format!("{amount}..{}", up_to.amount);
    }
    Ok(Announcement {
        at: format!("{place}: "),
        key: receipt.key.clone(),
        leaf: receipt.leaf.clone(),
        amount,
        currency: Some(receipt.amount.currency.clone()),
        days: (receipt.first_on.0, receipt.last_on.0),
        reference: receipt.reference.clone(),
        account: receipt.counterparty_account.clone(),
        note: receipt.note.clone(),
        metadata: receipt.metadata.as_ref().map(ToString::to_string),
    })
}

fn announce(tx: &mut Tx<'_>, asked: &Asked<Nothing, Announcing>) -> Result<AnnouncedAnswer> {
    let receipts = &asked.body.receipts;
    if receipts.is_empty() || receipts.len() > 1000 {
        return Err(Refusal::BadBody { why: "receipts: from 1 to 1000 at once".to_owned() }.into());
    }
    let all: Result<Vec<Announcement>> = receipts.iter().enumerate().map(|(at, r)| announcement(at, r)).collect();
    let all = all?;
    let scope = tx.scope().clone();
    chart::refuse_unseen(tx.conn(), &scope, all.iter().map(|a| a.leaf.as_str()))?;
    let (done, proposal) = four_eyes::submit_in(tx, &Change::Expectations { receipts: all })?.parts();
    let Announced { new, known } =
        if let Some(Done::Expectations(announced)) = done { announced } else { Announced { new: 0, known: 0 } };
    Ok(AnnouncedAnswer { new, known, proposal })
}

fn cancel(tx: &mut Tx<'_>, asked: &Asked<Nothing, Why>) -> Result<Expectation> {
    decide(tx, asked, super::cancel)
}

fn reopen(tx: &mut Tx<'_>, asked: &Asked<Nothing, Why>) -> Result<Expectation> {
    decide(tx, asked, super::reopen)
}

fn decide(
    tx: &mut Tx<'_>,
    asked: &Asked<Nothing, Why>,
    command: fn(&mut Tx<'_>, &str, &str) -> Result<()>,
) -> Result<Expectation> {
    let (scope, key) = (tx.scope().clone(), asked.path("key"));
    let id = super::show_seen(tx.conn(), &scope, key)?.id;
    command(tx, &id, &asked.body.reason)?;
    super::show_seen(tx.conn(), &scope, &id).map(expectation)
}
