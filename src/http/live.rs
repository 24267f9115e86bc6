//! The feed of events over HTTP: pages of it, and a stream that goes on as commits happen (`text/event-stream`).
//!
//! A stream reads the feed itself, from the number it stands at, whenever a commit is told of and once a second besides; so it can
//! miss nothing, and holds no more than the page that it is sending. Commits of other servers on the same database are looked for by
//! one thread for all streams, while there are any. On each of these reads it is asked again who reads and what
//! they may see: a revoked key ends the stream. A reader that leaves a page lying for long is dropped, and comes back with
//! `Last-Event-ID`.

use super::call::Call;
use super::headers;
use super::json::{Limit, Moment, Page};
use super::operation::{Operation, get};
use super::problem::Refusal;
use super::server::State;
use crate::access::{self, Permission, Secret};
use crate::db::Listening;
use crate::error::{Error, Result};
use crate::events::{self, Event, Filter};
use actix_web::http::header::HeaderMap;
use actix_web::{HttpResponse, rt, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Streams of one principal at once.
const MOST_OF_ONE: usize = 8;
/// Streams of this server at once.
const MOST: usize = 512;
/// Events of one part of a stream: what a reader that is slow makes us keep.
const PART: usize = 100;
/// Something is sent at least so often, so that a proxy keeps the connection and a reader knows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often lost rights are looked for, and commits that nobody has told of.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often commits of other servers are looked for, while there are streams.
const LOOK_BESIDE: Duration = Duration::from_millis(20);
/// A reader that does not take a part in so long is dropped.
const SLOWEST: Duration = Duration::from_secs(30);
/// Commits are read together that come within so long of each other.
const BREATH: Duration = Duration::from_millis(5);

/// The rows of the feed.
pub fn operations() -> Vec<Operation> {
    vec![
        get(
            "/v1/events",
            "events.list",
            "What has happened, in one order; with Accept: text/event-stream as it happens",
        )
        .may(Permission::EventsRead)
        .reads(list),
    ]
}

/// Whether this request is answered by a stream.
pub(super) fn is_wanted(operation: &Operation, headers: &HeaderMap) -> bool {
    let accepts = || headers::maybe(headers, "accept").is_some_and(|accept| accept.contains("text/event-stream"));
    operation.id == "events.list" && accepts()
}

/// Which events.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only those after this number. A stream begins with what comes next when neither this nor `Last-Event-ID` is given.
    after: Option<i64>,
    /// Only kinds that begin so; several with commas between.
    kind: Option<String>,
    /// Only what happened to this.
    subject: Option<String>,
    /// Only what this actor did.
    actor: Option<String>,
    /// Only what was recorded at this instant or later; RFC 3339.
    from: Option<Moment>,
    /// Only what was recorded before this instant.
    until: Option<Moment>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl Which {
    fn filter(&self) -> Filter {
        let kinds = self.kind.iter().flat_map(|k| k.split(',')).map(|k| k.trim().to_owned());
        Filter {
            kinds: kinds.filter(|k| !k.is_empty()).collect(),
            subject: self.subject.clone(),
            actor: self.actor.clone(),
            from: self.from.map(|at| at.0),
            until: self.until.map(|at| at.0),
            last: None,
        }
    }
}

/// A recorded change.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct Recorded {
    /// Its place in the feed.
    number: i64,
    /// The seal that covers it.
    seal: i64,
    /// When; RFC 3339.
    recorded_at: String,
    /// By whom: `person:ID`, `key:ID`, `operator:NAME` or `system:PART`.
    actor: String,
    /// What.
    kind: String,
    /// To what.
    subject: String,
    /// What was there before.
    before: Option<serde_json::Value>,
    /// What is there now.
    after: Option<serde_json::Value>,
}

fn recorded(event: &Event) -> Recorded {
    let document =
        |text: &Option<String>| text.as_deref().map(|t| serde_json::from_str(t).unwrap_or_else(|_| t.into()));
    Recorded {
        number: event.number,
        seal: event.seal,
        recorded_at: crate::time::rfc3339(event.recorded_at),
        actor: event.actor.clone(),
        kind: event.kind.clone(),
        subject: event.subject.clone(),
        before: document(&event.before),
        after: document(&event.after),
    }
}

fn list(call: &Call, which: &Which) -> Result<Page<Recorded>> {
    let after = call.position_number()?.or(which.after).unwrap_or(0);
    let filter = which.filter();
    let page = call.read(|conn| events::page(conn, call.scope(), &filter, after, Limit::of(which.limit)))?;
    let next = (!page.is_last).then(|| page.next.to_string());
    Ok(call.page(page.events.iter().map(recorded).collect(), next))
}

impl Call {
    /// Set when the server stops: long work ends by it.
    pub fn stopping(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.state.streams.stopping)
    }
}

/// The streams of a server.
pub(super) struct Streams {
    /// How many each principal has.
    open: Mutex<HashMap<String, usize>>,
    /// Whether the server stops: then they end.
    stopping: Arc<AtomicBool>,
    /// Whether commits of other servers are looked for.
    looking: AtomicBool,
}

impl Streams {
    pub(super) fn new(stopping: &Arc<AtomicBool>) -> Streams {
        Streams { open: Mutex::default(), stopping: Arc::clone(stopping), looking: AtomicBool::new(false) }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<String, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the streams of a principal, for as long as it is kept.
struct Slot {
    state: Arc<State>,
    principal: String,
}

impl Slot {
    fn take(state: &Arc<State>, principal: &str) -> Result<Slot> {
        let mut open = state.streams.open();
        let (all, own): (usize, usize) = (open.values().sum(), open.get(principal).copied().unwrap_or_default());
        if own >= MOST_OF_ONE || all >= MOST {
            return Err(Refusal::TooManyStreams { most: MOST_OF_ONE }.into());
        }
        open.insert(principal.to_owned(), own + 1);
        drop(open);
        look_beside(state);
        Ok(Slot { state: Arc::clone(state), principal: principal.to_owned() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.state.streams.open();
        let left = open.get_mut(&self.principal).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            open.remove(&self.principal);
        }
    }
}

/// Looks for commits of other servers as long as there are streams, and tells of them as of one's own.
fn look_beside(state: &Arc<State>) {
    if !state.db.is_shared() || state.streams.looking.swap(true, Ordering::AcqRel) {
        return;
    }
    let looker = Arc::clone(state);
    let started = std::thread::Builder::new().name("feed".to_owned()).spawn(move || {
        let mut seen = 0;
        loop {
            // A database that is away for a moment has no commits.
            let head = looker.db.read(events::head).unwrap_or(seen);
            if head > seen {
                seen = head;
                looker.db.commits().wake();
            }
            std::thread::sleep(LOOK_BESIDE);
            let open = looker.streams.open();
            if open.is_empty() || looker.streams.stopping.load(Ordering::Acquire) {
                // Said while the streams are locked: the next one that opens finds nobody looking.
                looker.streams.looking.store(false, Ordering::Release);
                return;
            }
        }
    });
    if started.is_err() {
        state.streams.looking.store(false, Ordering::Release);
    }
}

/// What a stream reads, and where it stands.
struct Reader {
    state: Arc<State>,
    secret: Secret,
    filter: Filter,
    at: i64,
}

impl Reader {
    /// Who reads now, and the events after the number it stands at.
    fn read(&self) -> Result<(String, events::Page)> {
        let now = self.state.db.clock().now();
        self.state.db.read(|conn| {
            let admitted = access::admit(conn, &self.secret, now)?;
            let who = admitted.who(Permission::EventsRead)?;
            let page = events::page(conn, &who.scope, &self.filter, self.at, PART)?;
            Ok((who.actor.to_string(), page))
        })
    }
}

/// A stream under way.
struct Stream {
    reader: Arc<Mutex<Reader>>,
    told: Arc<Notify>,
    _listening: Listening,
    slot: Slot,
    /// When the last part was handed over.
    sent_at: std::time::Instant,
    /// Whether there is more to read at once.
    more: bool,
    begun: bool,
}

/// Answers with a stream.
pub(super) async fn answer(state: Arc<State>, headers: &HeaderMap, query: &str, place: String) -> Result<HttpResponse> {
    let credentials = headers::credentials(headers).ok_or(Refusal::NoCredentials)?;
    let bad = |e: actix_web::error::QueryPayloadError| Refusal::BadQuery {
        why: format!(
            "the parameters cannot be used: {}",
            e.to_string().trim_start_matches("Query deserialize error: ")
        ),
    };
    let which = web::Query::<Which>::from_query(query).map_err(bad)?.into_inner();
    if which.cursor.is_some() || which.limit.is_some() {
        return Err(Refusal::BadQuery { why: "a stream takes no cursor and no limit".to_owned() }.into());
    }
    let texts = [&which.kind, &which.subject, &which.actor];
    if texts.into_iter().flatten().any(|text| text.contains('\0')) {
        // PostgreSQL takes no text with it.
        return Err(Refusal::BadQuery { why: "a parameter is not text".to_owned() }.into());
    }
    let number = |text: String| {
        let why = "is the number of the last event that was read";
        text.trim().parse::<i64>().map_err(|_| Refusal::BadHeader { name: "Last-Event-ID", why })
    };
    // What the reader has seen last is newer than what its first request began with.
    let after = headers::maybe(headers, "last-event-id").map(number).transpose()?.or(which.after);
    let told = Arc::new(Notify::new());
    let listening = state.db.commits().listen({
        let told = Arc::clone(&told);
        move || told.notify_one()
    });
    let mut reader = Reader { state: Arc::clone(&state), secret: credentials.secret, filter: which.filter(), at: 0 };
    let first = web::block(move || {
        reader.state.refuse_guessing(&place, &reader.secret)?;
        reader.at = match after {
            Some(after) => after,
            None => reader.state.db.read(events::head)?,
        };
        let (principal, _) = reader.read().inspect_err(|error| {
            if error.code() == "not_signed_in" {
                reader.state.guessed(&place, &reader.secret);
            }
        })?;
        let admitted =
            reader.state.db.read(|conn| access::admit(conn, &reader.secret, reader.state.db.clock().now()))?;
        reader.state.known.keep(&reader.secret, &admitted.actor);
        access::touch(&reader.state.db, &admitted)?;
        reader.state.limits.take(&principal, std::time::Instant::now()).map_err(|_| Refusal::TooManyRequests)?;
        Ok::<_, Error>((principal, reader))
    });
    let (principal, reader) = first.await.map_err(|_| Error::Busy("the server is stopping".to_owned()))??;
    let stream = Stream {
        reader: Arc::new(Mutex::new(reader)),
        told,
        _listening: listening,
        slot: Slot::take(&state, &principal)?,
        sent_at: std::time::Instant::now(),
        more: true,
        begun: false,
    };
    let parts = futures_util::stream::unfold(stream, |mut stream| async move {
        let part = stream.next().await?;
        Some((Ok::<_, actix_web::Error>(part), stream))
    });
    Ok(HttpResponse::Ok()
        .insert_header(("content-type", "text/event-stream"))
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Box::pin(parts)))
}

impl Stream {
    /// The next part; `None` ends the stream.
    async fn next(&mut self) -> Option<web::Bytes> {
        if !self.begun {
            // The head goes out at once, and says how soon to come back.
            self.begun = true;
            return Some(web::Bytes::from_static(b"retry: 1000\n\n"));
        }
        // It is asked for when the part before has left us.
        let taken = self.sent_at.elapsed();
        if taken > SLOWEST {
            return None;
        }
        if let Some(rest) = BREATH.checked_sub(taken) {
            rt::time::sleep(rest).await;
        }
        let asked = std::time::Instant::now();
        loop {
            if self.slot.state.streams.stopping.load(Ordering::Acquire) {
                return None;
            }
            if !self.more {
                // A telling that came since the last read is kept, so none is missed.
                let _ = rt::time::timeout(LOOK_EVERY, self.told.notified()).await;
            }
            let reader = Arc::clone(&self.reader);
            let read = web::block(move || {
                let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                let read = reader.read();
                if let Ok((_, page)) = &read {
                    reader.at = page.next;
                }
                read
            });
            let page = match read.await {
                Ok(Ok((_, page))) => page,
                // A database that is away for a moment ends the stream too: the reader comes back with what it has.
                Ok(Err(_)) | Err(_) => return None,
            };
            self.more = !page.is_last;
            if !page.events.is_empty() {
                self.sent_at = std::time::Instant::now();
                return Some(web::Bytes::from(text_of(&page.events)));
            }
            if asked.elapsed() > HEARTBEAT {
                self.sent_at = std::time::Instant::now();
                return Some(web::Bytes::from_static(b":\n\n"));
            }
            if !self.more {
                rt::time::sleep(BREATH).await;
            }
        }
    }
}

/// Events as a stream has them.
fn text_of(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        text.push_str(&format!("id: {}\nevent: {}\ndata: {}\n\n", event.number, event.kind, event.to_json()));
    }
    text
}
