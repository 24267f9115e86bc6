//! Webhooks: events sent to other systems, signed as Standard Webhooks says, each at least once and in order.
//!
//! An endpoint belongs to whoever made it and is sent what they may see at the moment of sending: a role that was taken away
//! counts from the next message on. The feed itself is the outbox. Behind it stands a cursor for each endpoint, which moves
//! after a message was taken; a crash in between sends it again, under the same `webhook-id`.
//!
//! | state | what happens | next | function |
//! |---|---|---|---|
//! | - | somebody adds it | on | [`add`] |
//! | on | a message is not taken ten times over three days, or answered 410 | off, with an event | `deliver` |
//! | on | its owner may see no events any more | off, with an event | `deliver` |
//! | on, off | somebody turns it off, or on: it goes on where it stood | off, on | [`disable`], [`enable`] |
//! | on, off | somebody removes it | - | [`remove`] |
//!
//! | File | What |
//! | --- | --- |
//! | `address.rs` | where messages may go: https, the internet (pure) |
//! | `sign.rs`, `schedule.rs` | signatures; when it is tried again (pure) |
//! | `send.rs` | one message to one endpoint |
//! | `deliver.rs` | the worker behind the cursors |
//! | `api.rs` | all of it over HTTP |

use crate::access::Secret;
use crate::access::secret::random;
use crate::actor::Actor;
use crate::config;
use crate::db::{Conn, Db, Tx};
use crate::error::{Error, Result};
use crate::events;
use crate::time::{Instant, from_stored, rfc3339, stored};
use chrono::TimeDelta;
use serde_json::json;
use std::fmt;

mod address;
pub mod api;
mod deliver;
mod schedule;
mod send;
mod sign;
mod store;

pub use address::{Allowed, Network};
pub use deliver::{Courier, Round, Running, start, test};
pub use send::Sent;

use store::{CursorRow, EndpointRow};

/// Bytes of a secret.
const SECRET: usize = 32;
/// Endpoints of one owner at most.
const MOST_OF_ONE: usize = 20;
/// Ranges that one endpoint is sent again at once at most.
const MOST_REPLAYS: usize = 5;
/// Hours for which a rotated secret still signs at most.
const MOST_HOURS: i64 = 168;

/// What is set for the whole treasury, from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What may be sent to beyond the internet.
    pub allowed: Allowed,
    /// How long a receiver may take.
    pub timeout: std::time::Duration,
    /// How long deliveries are kept.
    pub keep: TimeDelta,
}

impl Settings {
    /// From the configuration.
    pub fn of(config: &config::Webhooks) -> Result<Settings> {
        let within = |name: &str, value: u32, most: u32| {
            let bad = || Refusal::BadSetting { what: format!("[webhooks] {name} = {value} is not from 1 to {most}") };
            if (1..=most).contains(&value) { Ok(value) } else { Err(bad()) }
        };
        let seconds = within("timeout_seconds", config.timeout_seconds, 60)?;
        let days = within("keep_deliveries_days", config.keep_deliveries_days, 366)?;
        Ok(Settings {
            allowed: send::allowed(config)?,
            timeout: std::time::Duration::from_secs(u64::from(seconds)),
            keep: TimeDelta::days(i64::from(days)),
        })
    }
}

impl Settings {
    /// Refuses an address that these settings would never send to; what a name stands for is seen when it is looked up.
    pub fn refuse(&self, url: &str) -> Result<()> {
        let is_http = |uri: ureq::http::Uri| uri.scheme_str() == Some("http");
        let checked = address::check_url(url).and_then(|uri| match is_http(uri) && !self.allowed.http_loopback {
            true => Err("http to this machine needs allow_http_loopback in [webhooks] of the configuration".to_owned()),
            false => Ok(()),
        });
        let checked = checked.and_then(|()| {
            let uri = address::check_url(url)?;
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let named = if host == "localhost" { "127.0.0.1" } else { host };
            // A name is looked up when it is sent to; an address is what it is.
            let Ok(address) = named.parse() else { return Ok(()) };
            address::check_address(address, uri.scheme_str() == Some("https"), &self.allowed)
        });
        checked.map_err(|why| Refusal::BadUrl { why }.into())
    }
}

/// Why a webhook is refused, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// A setting that cannot be.
    BadSetting { what: String },
    /// An address that cannot be an endpoint.
    BadUrl { why: String },
    /// A kind that no event can have.
    BadKind { kind: String },
    /// One owner has too many.
    TooManyWebhooks,
    /// A range of events that cannot be.
    BadRange { head: i64 },
    /// An old secret would sign for too long.
    BadOverlap,
    /// Too many ranges wait to be sent again.
    TooManyReplays,
    /// It is off.
    WebhookOff { why: String },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::BadSetting { .. } => "bad_webhook_setting",
            Refusal::BadUrl { .. } => "bad_webhook_url",
            Refusal::BadKind { .. } => "bad_event_kind",
            Refusal::TooManyWebhooks => "too_many_webhooks",
            Refusal::BadRange { .. } => "bad_event_range",
            Refusal::BadOverlap => "bad_overlap",
            Refusal::TooManyReplays => "too_many_replays",
            Refusal::WebhookOff { .. } => "webhook_off",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::BadSetting { what } => f.write_str(what),
            Refusal::BadUrl { why } => write!(
                f,
                "this address cannot be an endpoint: {why}; an endpoint is such as https://example.com/tributary"
            ),
            Refusal::BadKind { kind } => write!(
                f,
                "no event's kind begins with \"{kind}\"; write it as statement. or account.state: letters, points and _"
            ),
            Refusal::TooManyWebhooks => write!(f, "nobody has more than {MOST_OF_ONE} endpoints; remove one first"),
            Refusal::BadRange { head } => write!(
                f,
                "the range must be from an event to one that is not before it, both from 1 to {head}, the newest"
            ),
            Refusal::BadOverlap => write!(f, "the old secret may sign beside the new one for 0 to {MOST_HOURS} hours"),
            Refusal::TooManyReplays => {
                write!(f, "{MOST_REPLAYS} ranges wait to be sent again already; come again when one is done")
            }
            Refusal::WebhookOff { why } => {
                write!(f, "the endpoint is off ({why}); turn it on first (`tributary webhooks enable`)")
            }
        }
    }
}

/// An endpoint that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEndpoint {
    /// Its id, from [`new_secret`].
    pub id: String,
    /// Where to.
    pub url: String,
    /// How kinds begin; none: all.
    pub kinds: Vec<String>,
    /// Whose it is.
    pub owner: Actor,
}

/// An endpoint, as its owner sees it. Its secret is never shown again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: String,
    /// Where to.
    pub url: String,
    /// How kinds begin; none: all.
    pub kinds: Vec<String>,
    /// Whose it is.
    pub owner: String,
    /// `on`, `off`.
    pub state: String,
    /// Why it is off.
    pub why_off: Option<String>,
    /// The event up to which all is sent.
    pub at: i64,
    /// How often the next message was not taken.
    pub failures: i64,
    /// When it is tried again, after a failure.
    pub due_at: Option<Instant>,
    /// Ranges that are sent again: where each stands, and its end.
    pub replays: Vec<(i64, i64)>,
    /// Until when the secret before signs too.
    pub previous_until: Option<Instant>,
    /// When it was made.
    pub made_at: Instant,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id; later ones are greater.
    pub id: String,
    /// The message: the same for the same event.
    pub message: String,
    /// The event; none: a test.
    pub event: Option<i64>,
    /// From 1.
    pub attempt: i64,
    /// When.
    pub sent_at: Instant,
    /// The answer's status.
    pub status: Option<i64>,
    /// How long it took.
    pub milliseconds: i64,
    /// Of the body.
    pub bytes: i64,
    /// Why it was not taken.
    pub error: Option<String>,
}

/// Id and secret of an endpoint. Made before the command, which may run twice.
pub fn new_secret(db: &Db) -> Result<(String, Secret)> {
    let id = crate::ids::Ids::random().next("wh", db.clock().now());
    Ok((id, Secret::given(&sign::secret_text(&random::<SECRET>()?))))
}

fn bytes_of(secret: &Secret) -> Result<Vec<u8>> {
    sign::secret_of(secret.reveal()).ok_or_else(|| Error::Broken("a secret of a webhook is none".to_owned()))
}

fn absent(id: &str) -> Error {
    Error::NotFound(format!("there is no webhook {id}; `tributary webhooks list` lists them"))
}

/// An endpoint that the actor may touch: their own; all of them, where their scope has no bounds.
fn own(tx: &mut Tx<'_>, id: &str) -> Result<EndpointRow> {
    let row = store::endpoint(tx.conn(), id)?.ok_or_else(|| absent(id))?;
    let is_own = row.owner == tx.actor().as_str() || tx.scope().is_everything();
    if is_own { Ok(row) } else { Err(absent(id)) }
}

/// Makes an endpoint. It is sent what is recorded from now on.
pub fn add(tx: &mut Tx<'_>, new: &NewEndpoint, secret: &Secret) -> Result<()> {
    address::check_url(&new.url).map_err(|why| Refusal::BadUrl { why })?;
    let fits = |kind: &str| {
        !kind.is_empty() && kind.len() <= 60 && kind.bytes().all(|b| b.is_ascii_lowercase() || b"._".contains(&b))
    };
    if let Some(kind) = new.kinds.iter().find(|kind| !fits(kind)) {
        return Err(Refusal::BadKind { kind: kind.clone() }.into());
    }
    let owner = new.owner.as_str();
    if store::endpoints(tx.conn())?.iter().filter(|e| e.owner == owner).count() >= MOST_OF_ONE {
        return Err(Refusal::TooManyWebhooks.into());
    }
    let row = EndpointRow {
        id: new.id.clone(),
        url: new.url.clone(),
        kinds: new.kinds.join(" "),
        owner: owner.to_owned(),
        state: "on".to_owned(),
        why_off: None,
        secret: bytes_of(secret)?,
        previous_secret: None,
        previous_until: None,
        made_by: tx.actor().to_string(),
        made_at: stored(tx.now()),
    };
    store::insert_endpoint(tx.conn(), &row)?;
    // That it was added is the first that it is told, where it sees that.
    let cursor = cursor(tx, &row.id, tx.last_event(), None);
    store::insert_cursor(tx.conn(), &cursor)?;
    let after = json!({ "to": address::origin(&row.url), "kinds": new.kinds, "owner": owner });
    tx.event("webhook.added", &row.id, None, Some(after.to_string()));
    Ok(())
}

fn cursor(tx: &Tx<'_>, endpoint: &str, at: i64, last: Option<i64>) -> CursorRow {
    let (id, endpoint) = (tx.id("wc"), endpoint.to_owned());
    CursorRow { id, endpoint, at, last, failures: 0, due_at: None, lease_owner: None, lease_until: None }
}

/// Gives an endpoint another secret; the one before signs beside it for some hours.
pub fn rotate(tx: &mut Tx<'_>, id: &str, secret: &Secret, hours: i64) -> Result<()> {
    let row = own(tx, id)?;
    if !(0..=MOST_HOURS).contains(&hours) {
        return Err(Refusal::BadOverlap.into());
    }
    let until = tx.now() + TimeDelta::hours(hours);
    let previous = (hours > 0).then_some((row.secret.as_slice(), until));
    store::set_secrets(tx.conn(), id, &bytes_of(secret)?, previous)?;
    let after = json!({ "previous_until": previous.map(|(_, until)| rfc3339(until)) });
    tx.event("webhook.rotated", id, None, Some(after.to_string()));
    Ok(())
}

/// Turns an endpoint off; `false` when it was.
pub fn disable(tx: &mut Tx<'_>, id: &str) -> Result<bool> {
    let row = own(tx, id)?;
    if row.state == "off" {
        return Ok(false);
    }
    turn_off(tx, id, "turned off by a person")?;
    Ok(true)
}

fn turn_off(tx: &mut Tx<'_>, id: &str, why: &str) -> Result<()> {
    store::set_state(tx.conn(), id, Some(why))?;
    tx.event("webhook.disabled", id, None, Some(json!({ "why": why }).to_string()));
    Ok(())
}

/// Turns an endpoint on: it goes on where it stood, so nothing is lost; `false` when it was.
pub fn enable(tx: &mut Tx<'_>, id: &str) -> Result<bool> {
    let row = own(tx, id)?;
    store::begin_again(tx.conn(), id)?;
    if row.state == "on" {
        return Ok(false);
    }
    store::set_state(tx.conn(), id, None)?;
    tx.event("webhook.enabled", id, None, None);
    Ok(true)
}

/// Removes an endpoint, with its log.
pub fn remove(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    let row = own(tx, id)?;
    store::delete_endpoint(tx.conn(), id)?;
    let before = json!({ "to": address::origin(&row.url), "owner": row.owner });
    tx.event("webhook.removed", id, Some(before.to_string()), None);
    Ok(())
}

/// Sends the events of a range again, as far as they are for the endpoint, beside what is recorded from now on.
pub fn replay(tx: &mut Tx<'_>, id: &str, first: i64, last: i64) -> Result<()> {
    let row = own(tx, id)?;
    if let Some(why) = row.why_off {
        return Err(Refusal::WebhookOff { why }.into());
    }
    let head = events::head(tx.conn())?;
    if first < 1 || last < first || last > head {
        return Err(Refusal::BadRange { head }.into());
    }
    let open = store::cursors_of(tx.conn(), id)?.into_iter().filter(|c| c.last.is_some()).count();
    if open >= MOST_REPLAYS {
        return Err(Refusal::TooManyReplays.into());
    }
    let cursor = cursor(tx, id, first - 1, Some(last));
    store::insert_cursor(tx.conn(), &cursor)?;
    tx.event("webhook.replayed", id, None, Some(json!({ "first": first, "last": last }).to_string()));
    Ok(())
}

fn kinds(row: &EndpointRow) -> Vec<String> {
    row.kinds.split(' ').filter(|k| !k.is_empty()).map(ToOwned::to_owned).collect()
}

/// The endpoints of an owner; without one, all.
pub fn endpoints(conn: &mut Conn, owner: Option<&Actor>) -> Result<Vec<Endpoint>> {
    let mut all = Vec::new();
    for row in store::endpoints(conn)?.into_iter().filter(|row| owner.is_none_or(|o| o.as_str() == row.owner)) {
        let cursors = store::cursors_of(conn, &row.id)?;
        let live = cursors.iter().find(|c| c.last.is_none());
        all.push(Endpoint {
            kinds: kinds(&row),
            at: live.map_or(0, |c| c.at),
            failures: live.map_or(0, |c| c.failures),
            due_at: live.and_then(|c| c.due_at).map(from_stored),
            replays: cursors.iter().filter_map(|c| Some((c.at, c.last?))).collect(),
            previous_until: row.previous_until.map(from_stored),
            made_at: from_stored(row.made_at),
            id: row.id,
            url: row.url,
            owner: row.owner,
            state: row.state,
            why_off: row.why_off,
        });
    }
    Ok(all)
}

/// An endpoint of an owner; without one, of anybody.
pub fn endpoint(conn: &mut Conn, owner: Option<&Actor>, id: &str) -> Result<Endpoint> {
    endpoints(conn, owner)?.into_iter().find(|e| e.id == id).ok_or_else(|| absent(id))
}

/// The newest attempts of an endpoint, the newest first.
pub fn deliveries(
    conn: &mut Conn,
    owner: Option<&Actor>,
    id: &str,
    (before, failed_only, limit): (Option<&str>, bool, usize),
) -> Result<Vec<Delivery>> {
    let endpoint = endpoint(conn, owner, id)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = store::deliveries(conn, &endpoint.id, before, failed_only, limit)?;
    let delivery = |row: store::DeliveryRow| Delivery {
        id: row.id,
        message: row.message,
        event: row.event,
        attempt: row.attempt,
        sent_at: from_stored(row.sent_at),
        status: row.status,
        milliseconds: row.milliseconds,
        bytes: row.bytes,
        error: row.error,
    };
    Ok(rows.into_iter().map(delivery).collect())
}

/// I10: each endpoint is in the state that its events tell of.
pub fn check(db: &Db) -> Result<Vec<(&'static str, String)>> {
    let (told, rows) = db.read(|conn| Ok((store::told(conn)?, store::endpoints(conn)?)))?;
    let mut states = std::collections::BTreeMap::new();
    for (kind, id) in told {
        match kind.as_str() {
            "webhook.added" | "webhook.enabled" => drop(states.insert(id, "on")),
            "webhook.disabled" => drop(states.insert(id, "off")),
            "webhook.removed" => drop(states.remove(&id)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for row in rows {
        if states.remove(&row.id) != Some(row.state.as_str()) {
            found.push(("I10", format!("webhook {} is {}, which is not what its events tell", row.id, row.state)));
        }
    }
    found.extend(states.into_keys().map(|id| ("I10", format!("events tell of webhook {id}, which is not there"))));
    Ok(found)
}
