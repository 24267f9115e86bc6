//! The feed: every recorded change and refusal in one gapless order. Audit, webhooks and live updates are readers of it.
//!
//! A reader stands at a number and asks for what comes after it. What is foreign to its scope is not there; the entries that
//! one posting has made are there as far as they touch accounts of the scope. Where the subject of an event stands in the
//! treasury is looked up when it is read, for all events of a page at once, so an event that a product was not yet part of
//! when it was recorded is read by who may read it today.
//!
//! | File | What |
//! | --- | --- |
//! | `place.rs` | what the subject of each kind names; ranges of entries (pure) |
//! | `store.rs` | the SQL |
//!
//! A reader in this process is woken by [`Commits`](crate::db::Commits); commits of other processes are found by looking again.

use crate::db::Conn;
use crate::error::Result;
use crate::scope::{Guarded, Placed, Scope, Target};
use crate::time::{Instant, rfc3339};
use serde_json::{Value, json};

mod place;
mod store;

use place::{Names, Place, names};
use store::Way;

/// How many numbers one page looks through at most: a filter that finds little must not hold a snapshot for long.
const LOOKED_THROUGH: i64 = 50_000;
/// How many rows are read at once at least: in a narrow scope few of them are seen.
const SOME: usize = 200;

/// Which events, apart from where they stand. An empty filter is met by all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of these is how the kind begins; none: any kind.
    pub kinds: Vec<String>,
    /// To exactly this.
    pub subject: Option<String>,
    /// By exactly this actor.
    pub actor: Option<String>,
    /// Recorded at this instant or later.
    pub from: Option<Instant>,
    /// Recorded before this instant.
    pub until: Option<Instant>,
    /// This number is the last.
    pub last: Option<i64>,
}

/// A recorded change, as somebody may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the feed, from 1, without gaps.
    pub number: i64,
    /// The seal that covers it.
    pub seal: i64,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// Who caused it.
    pub actor: String,
    /// What happened.
    pub kind: String,
    /// To what.
    pub subject: String,
    /// JSON, where there was a before.
    pub before: Option<String>,
    /// JSON.
    pub after: Option<String>,
}

impl Event {
    /// As a document: the same in every surface.
    pub fn to_json(&self) -> Value {
        let document = |text: &Option<String>| {
            let text = text.as_deref()?;
            // All of ours is JSON; what is not would still be shown.
            Some(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())))
        };
        json!({
            "number": self.number, "seal": self.seal, "recorded_at": rfc3339(self.recorded_at), "actor": self.actor,
            "kind": self.kind, "subject": self.subject, "before": document(&self.before), "after": document(&self.after),
        })
    }
}

/// Some events in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Those that meet the filter and lie in the scope; there may be none of them although more follow.
    pub events: Vec<Event>,
    /// After which number the next page begins.
    pub next: i64,
    /// Whether all that is recorded was looked at.
    pub is_last: bool,
}

/// The events after a number, in their order, `limit` of them at most.
pub fn page(conn: &mut Conn, scope: &Scope, filter: &Filter, after: i64, limit: usize) -> Result<Page> {
    let head = store::head(conn)?;
    let (first, last) = store::bounds(conn, filter, head)?;
    // Whoever comes with a number from the future has read another database; they wait for what comes after it.
    let begin = after.max(first - 1);
    let (mut at, mut events) = (begin, Vec::new());
    while at < last && events.len() < limit && at - begin < LOOKED_THROUGH {
        let (rows, looked) = store::rows(conn, filter, (at + 1, last), limit.max(SOME), Way::Onwards)?;
        events.extend(seen(conn, scope, rows)?);
        at = looked;
    }
    if events.len() > limit {
        events.truncate(limit);
        // Only what is on the page has been read.
        at = events.last().map_or(begin, |e: &Event| e.number);
    }
    Ok(Page { events, next: at, is_last: at >= last })
}

/// The newest events, in their order, `limit` of them at most.
pub fn newest(conn: &mut Conn, scope: &Scope, filter: &Filter, limit: usize) -> Result<Page> {
    let head = store::head(conn)?;
    let (first, last) = store::bounds(conn, filter, head)?;
    let (mut at, mut events) = (last + 1, Vec::new());
    while at > first && events.len() < limit {
        let (rows, looked) = store::rows(conn, filter, (first, at - 1), limit.max(SOME), Way::Back)?;
        events.extend(seen(conn, scope, rows)?);
        at = looked;
    }
    events.truncate(limit);
    events.reverse();
    Ok(Page { events, next: last.max(0), is_last: true })
}

/// The number of the newest event; 0 before the first.
pub fn head(conn: &mut Conn) -> Result<i64> {
    store::head(conn)
}

/// Those of some events that lie in the scope, in the same order; of what was posted, the entries that touch accounts of the scope.
fn seen(conn: &mut Conn, scope: &Scope, events: Vec<Event>) -> Result<Vec<Event>> {
    if scope.is_everything() || events.is_empty() {
        return Ok(events);
    }
    let places = store::places(conn, &events)?;
    let entries = store::entries_seen(conn, &events, |place| scope.covers(&place.target()))?;
    let proposals = store::proposals_seen(conn, &events, |place| scope.covers(&place.target()))?;
    let narrowed = events.into_iter().filter_map(|event| {
        let what = names(&event.kind);
        if let (Names::Entries, Some((first, last))) = (what, place::entries(&event.subject)) {
            let mut touched = entries.range(first..=last).copied().peekable();
            touched.peek()?;
            return Some(Event { subject: place::subject_of(touched), ..event });
        }
        if what == Names::Proposal {
            return proposals.contains(&event.subject).then_some(event);
        }
        let stands = places.get(&(what, event.subject.clone())).cloned().unwrap_or_default();
        Guarded::new(At { place: stands, event }).seen_by(scope).map(|at| at.event)
    });
    Ok(narrowed.collect())
}

/// An event, where it stands.
struct At {
    place: Place,
    event: Event,
}

impl Placed for At {
    fn target(&self) -> Target<'_> {
        self.place.target()
    }
}
