//! Webhooks over HTTP: everybody keeps their own endpoints; who sees the whole treasury keeps all.

use super::{Delivery, Endpoint, NewEndpoint};
use crate::access::Permission;
use crate::actor::Actor;
use crate::db::Tx;
use crate::error::Result;
use crate::http::{Answer, Asked, Call, Limit, Made, Nothing, Operation, Page, delete, get, post};
use crate::time::rfc3339;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of webhooks.
pub fn operations() -> Vec<Operation> {
    let may = Permission::EventsSubscribe;
    vec![
        get("/v1/webhooks", "webhooks.list", "Endpoints that events are sent to").may(may).reads(list),
        get("/v1/webhooks/{webhook}", "webhooks.show", "One endpoint, and how far it is").may(may).reads(show),
        post(
            "/v1/webhooks",
            "webhooks.add",
            "Have events sent to an address, from now on; the answer has the secret, once",
        )
        .may(may)
        .answers(201)
        .makes(made)
        .writes(add),
        post(
            "/v1/webhooks/{webhook}/rotate",
            "webhooks.rotate",
            "Another secret; the one before signs beside it for a while",
        )
        .may(may)
        .makes(made)
        .writes(rotate),
        post("/v1/webhooks/{webhook}/replay", "webhooks.replay", "Send the events of a range again")
            .may(may)
            .writes(replay),
        post(
            "/v1/webhooks/{webhook}/test",
            "webhooks.test",
            "Send it a message now that tells of nothing, and say how that went",
        )
        .may(may)
        .does::<Nothing, Tested>(test),
        post("/v1/webhooks/{webhook}/enable", "webhooks.enable", "Turn it on: it goes on where it stood")
            .may(may)
            .writes(enable),
        post("/v1/webhooks/{webhook}/disable", "webhooks.disable", "Turn it off").may(may).writes(disable),
        delete("/v1/webhooks/{webhook}", "webhooks.remove", "Remove it, with its log").may(may).writes(remove),
        get("/v1/webhooks/{webhook}/deliveries", "webhooks.deliveries", "What was sent to it, the newest first")
            .may(may)
            .reads(deliveries),
    ]
}

fn made(call: &Call) -> Result<Made> {
    let (id, secret) = super::new_secret(call.db())?;
    Ok(Made { id, secret })
}

/// Whose endpoints the caller may see: their own; all, where their scope has no bounds.
fn whose(call: &Call) -> Option<&Actor> {
    (!call.scope().is_everything()).then_some(&call.who().actor)
}

/// An endpoint.
#[derive(Serialize, JsonSchema)]
struct Webhook {
    /// Its id.
    id: String,
    /// Where to.
    url: String,
    /// How the kinds begin that it is sent; empty: all.
    kinds: Vec<String>,
    /// Whose it is: it is sent what they may see.
    owner: String,
    /// `on` or `off`.
    state: String,
    /// Why it is off.
    why_off: Option<String>,
    /// The event up to which all is sent.
    sent_up_to: i64,
    /// How often the next message was not taken.
    failures: i64,
    /// When it is tried again; RFC 3339.
    next_attempt_at: Option<String>,
    /// Until when the secret before signs too; RFC 3339.
    previous_secret_until: Option<String>,
    /// RFC 3339.
    made_at: String,
}

fn webhook(e: Endpoint) -> Webhook {
    Webhook {
        id: e.id,
        url: e.url,
        kinds: e.kinds,
        owner: e.owner,
        state: e.state,
        why_off: e.why_off,
        sent_up_to: e.at,
        failures: e.failures,
        next_attempt_at: e.due_at.map(rfc3339),
        previous_secret_until: e.previous_until.map(rfc3339),
        made_at: rfc3339(e.made_at),
    }
}

/// Which of a list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

fn list(call: &Call, which: &Which) -> Result<Page<Webhook>> {
    let all = call.read(|conn| super::endpoints(conn, whose(call)))?;
    Ok(call.page_of(all.into_iter().map(webhook).collect(), which.limit, |w: &Webhook| w.id.clone()))
}

fn show(call: &Call, _: &Nothing) -> Result<Webhook> {
    call.read(|conn| super::endpoint(conn, whose(call), call.path("webhook"))).map(webhook)
}

/// An endpoint that is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewWebhook {
    /// An https address of the internet.
    #[schemars(length(min = 1, max = 2000))]
    url: String,
    /// How the kinds begin that it is sent, such as `statement.`; none: all.
    #[serde(default)]
    #[schemars(length(max = 50))]
    kinds: Vec<String>,
}

/// A secret that was made.
#[derive(Serialize, JsonSchema)]
struct WebhookSecret {
    /// Of the endpoint.
    id: String,
    /// With which its receiver verifies messages; given once, null when the same request is sent again.
    secret: Option<String>,
}

fn add(tx: &mut Tx<'_>, asked: &Asked<Nothing, NewWebhook>) -> Result<WebhookSecret> {
    let made = asked.made()?;
    let owner = tx.actor().clone();
    let new = NewEndpoint { id: made.id.clone(), url: asked.body.url.clone(), kinds: asked.body.kinds.clone(), owner };
    super::add(tx, &new, &made.secret)?;
    Ok(WebhookSecret { id: new.id, secret: None })
}

/// How a secret is changed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// Hours for which the one before signs too: 24 where nothing is said.
    #[serde(default = "a_day")]
    #[schemars(range(min = 0, max = 168))]
    hours: i64,
}

fn a_day() -> i64 {
    24
}

fn rotate(tx: &mut Tx<'_>, asked: &Asked<Nothing, Rotation>) -> Result<WebhookSecret> {
    let id = asked.path("webhook");
    super::rotate(tx, id, &asked.made()?.secret, asked.body.hours)?;
    Ok(WebhookSecret { id: id.to_owned(), secret: None })
}

/// A range of events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EventRange {
    /// The number of the first.
    #[schemars(range(min = 1))]
    first: i64,
    /// The number of the last.
    #[schemars(range(min = 1))]
    last: i64,
}

/// What came of a change of an endpoint.
#[derive(Serialize, JsonSchema)]
struct WebhookChange {
    /// Whether it was otherwise before.
    changed: bool,
}

fn replay(tx: &mut Tx<'_>, asked: &Asked<Nothing, EventRange>) -> Result<WebhookChange> {
    super::replay(tx, asked.path("webhook"), asked.body.first, asked.body.last)?;
    Ok(WebhookChange { changed: true })
}

fn enable(tx: &mut Tx<'_>, asked: &Asked<Nothing, Nothing>) -> Result<WebhookChange> {
    Ok(WebhookChange { changed: super::enable(tx, asked.path("webhook"))? })
}

fn disable(tx: &mut Tx<'_>, asked: &Asked<Nothing, Nothing>) -> Result<WebhookChange> {
    Ok(WebhookChange { changed: super::disable(tx, asked.path("webhook"))? })
}

fn remove(tx: &mut Tx<'_>, asked: &Asked<Nothing, Nothing>) -> Result<WebhookChange> {
    super::remove(tx, asked.path("webhook"))?;
    Ok(WebhookChange { changed: true })
}

/// One attempt.
#[derive(Serialize, JsonSchema)]
struct Attempt {
    /// The header `webhook-id`: the same for the same event.
    message: String,
    /// The event; null: a test.
    event: Option<i64>,
    /// From 1.
    attempt: i64,
    /// RFC 3339.
    sent_at: String,
    /// The answer's status; null: no answer.
    status: Option<i64>,
    /// How long it took.
    milliseconds: i64,
    /// Of the body.
    bytes: i64,
    /// Why it was not taken; null: it was.
    error: Option<String>,
}

fn attempt(d: &Delivery) -> Attempt {
    Attempt {
        message: d.message.clone(),
        event: d.event,
        attempt: d.attempt,
        sent_at: rfc3339(d.sent_at),
        status: d.status,
        milliseconds: d.milliseconds,
        bytes: d.bytes,
        error: d.error.clone(),
    }
}

/// How a test went.
#[derive(Serialize, JsonSchema)]
struct Tested {
    /// Whether the receiver has taken it.
    taken: bool,
    /// What it was answered.
    status: Option<i64>,
    /// How long that took.
    milliseconds: i64,
    /// Why it was not taken; null: it was.
    error: Option<String>,
}

/// Waits for the receiver, as long as any message does; the attempt stands in the log of deliveries.
fn test(call: &Call, _: &Nothing) -> Result<Answer> {
    let settings = super::Settings::of(call.webhooks())?;
    let sent = super::test(call.db(), call.who(), &settings, call.path("webhook"))?;
    let tested = Tested {
        taken: sent.error.is_none(),
        status: sent.status.map(i64::from),
        milliseconds: sent.milliseconds,
        error: sent.error,
    };
    Answer::json(200, &tested)
}

/// Which attempts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WhichAttempts {
    /// Only those that were not taken.
    failed: Option<bool>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

fn deliveries(call: &Call, which: &WhichAttempts) -> Result<Page<Attempt>> {
    let limit = Limit::of(which.limit);
    let asked = (call.position(), which.failed == Some(true), limit + 1);
    let mut all = call.read(|conn| super::deliveries(conn, whose(call), call.path("webhook"), asked))?;
    let more = all.len() > limit;
    all.truncate(limit);
    let next = if more { all.last().map(|d| d.id.clone()) } else { None };
    Ok(call.page(all.iter().map(attempt).collect(), next))
}
