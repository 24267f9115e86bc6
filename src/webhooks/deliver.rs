//! The worker behind the cursors. It reads the feed as the endpoint's owner, sends one message after the other and moves the
//! cursor after each; what is not taken is tried again on the schedule, and holds up what follows, so that the order is kept.
//!
//! A cursor is leased to one worker, on whatever node: two would send everything twice. What a filter leaves out moves the
//! cursor only now and then: until that is written it is looked through again after a crash, which costs a moment.

use super::send::{Client, Message, Sent};
use super::store::{self, CursorRow, DeliveryRow, EndpointRow};
use super::{Settings, kinds, schedule, turn_off};
use crate::access::secret::random;
use crate::access::{self, Permission};
use crate::actor::{Actor, Scope};
use crate::db::{Conn, Db, Who};
use crate::error::{Error, Result};
use crate::events::{self, Event, Filter};
use crate::time::{Instant, from_stored, rfc3339, stored};
use chrono::TimeDelta;
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A cursor is another worker's when the one that has it was silent for so long. Longer than a receiver may take.
const LEASE: TimeDelta = TimeDelta::seconds(180);
/// Messages that are read at once.
const SOME: usize = 20;
/// A cursor that left out so many events is moved.
const LEFT_OUT: i64 = 10_000;
/// How often commits of other processes, and attempts that are due, are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Commits are looked at together that come within so long of each other.
const BREATH: Duration = Duration::from_millis(50);
/// How long a stop waits for messages that are under way.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Endpoints that are sent to at once.
const AT_ONCE: usize = 16;
/// How many of them an owner may have whatever others have; more only while as many are left for somebody else.
const OF_RIGHT: usize = 4;
/// How often old deliveries are forgotten.
const PRUNE_EVERY: TimeDelta = TimeDelta::hours(1);
/// A message beyond this leaves out what was before and after: receivers ask for it by its number.
const BODY_BYTES: usize = 20_000;

/// Sends events to endpoints.
pub struct Courier {
    db: Arc<Db>,
    client: Client,
    settings: Settings,
    /// Under which it leases cursors.
    name: String,
    who: Arc<Who>,
    /// How far the feed was looked through for a cursor.
    looked: Mutex<HashMap<String, i64>>,
    pruned_at: Mutex<Option<Instant>>,
    has_leased: AtomicBool,
    /// No further message is begun.
    stop: AtomicBool,
}

/// What one round has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Messages that were taken.
    pub sent: usize,
    /// Messages that were not.
    pub failed: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is to be sent for a cursor now.
struct Work {
    endpoint: EndpointRow,
    cursor: CursorRow,
    scope: Scope,
    page: events::Page,
}

/// What one look at a cursor gives.
enum Look {
    /// Nothing to do for now.
    Nothing,
    /// The owner of this endpoint may see nothing any more.
    Blind(String),
    /// This.
    Work(Box<Work>),
}

/// What came of a message.
enum Outcome {
    Taken,
    NotTaken,
    /// The cursor is another's, or the endpoint is gone.
    Lost,
}

impl Courier {
    /// A worker of this process.
    pub fn new(db: Arc<Db>, settings: Settings) -> Result<Courier> {
        let nonce: String = random::<8>()?.iter().map(|b| format!("{b:02x}")).collect();
        Ok(Courier {
            client: Client::new(settings.allowed.clone(), settings.timeout),
            settings,
            // A SQLite file has one writing process: what the one before had is ours.
            name: if db.url().engine() == "sqlite" { "the writer".to_owned() } else { nonce },
            db,
            who: Arc::new(Who { actor: Actor::system("webhooks"), scope: Scope::everything() }),
            looked: Mutex::default(),
            pruned_at: Mutex::default(),
            has_leased: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        })
    }

    /// Sends all that is due, one endpoint after the other.
    pub fn round(&self) -> Result<Round> {
        self.prune()?;
        let mut round = Round::default();
        for (cursor, _) in self.db.read(store::cursors_on)? {
            self.work(&cursor.id, &mut round)?;
        }
        self.give_back()?;
        Ok(round)
    }

    /// Leaves what it has leased to others.
    fn give_back(&self) -> Result<()> {
        if !self.has_leased.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let name = self.name.clone();
        self.db.write_slice("webhook.stop", &self.who, move |tx| store::give_back(tx.conn(), &name))
    }

    /// Sends what is due for a cursor.
    fn work(&self, id: &str, round: &mut Round) -> Result<()> {
        loop {
            let work = match self.db.read(|conn| self.look(conn, id))? {
                Look::Nothing => return Ok(()),
                Look::Blind(id) => {
                    let why = "its owner may see no events any more";
                    return self.db.write("webhook.disable", &self.who, move |tx| {
                        let is_on = store::endpoint(tx.conn(), &id)?.is_some_and(|e| e.state == "on");
                        if is_on { turn_off(tx, &id, why) } else { Ok(()) }
                    });
                }
                Look::Work(work) => work,
            };
            if work.page.events.is_empty() {
                self.leave_out(&work)?;
                if work.page.is_last || self.is_over(&work) {
                    return Ok(());
                }
                continue;
            }
            if !self.lease(&work.cursor)? {
                return Ok(());
            }
            for event in &work.page.events {
                if self.stop.load(Ordering::Acquire) {
                    return Ok(());
                }
                // What was read may by now be more than its owner may see.
                if self.db.read(|conn| scope_of(conn, &work.endpoint.owner, self.db.clock().now()))? != work.scope {
                    break;
                }
                match self.deliver(&work, event)? {
                    Outcome::Taken => round.sent += 1,
                    Outcome::NotTaken => {
                        round.failed += 1;
                        return Ok(());
                    }
                    Outcome::Lost => return Ok(()),
                }
            }
        }
    }

    /// What is to be done for a cursor now.
    fn look(&self, conn: &mut Conn, id: &str) -> Result<Look> {
        let Some(cursor) = store::cursor(conn, id)? else { return Ok(Look::Nothing) };
        let Some(endpoint) = store::endpoint(conn, &cursor.endpoint)? else { return Ok(Look::Nothing) };
        let now = self.db.clock().now();
        let waits = cursor.due_at.is_some_and(|due| now < from_stored(due));
        let others = cursor.lease_owner.as_deref().is_some_and(|owner| owner != self.name)
            && cursor.lease_until.is_some_and(|until| now < from_stored(until));
        if endpoint.state != "on" || waits || others {
            return Ok(Look::Nothing);
        }
        let scope = scope_of(conn, &endpoint.owner, now)?;
        if scope == Scope::nothing() {
            return Ok(Look::Blind(endpoint.id));
        }
        let filter = Filter { kinds: kinds(&endpoint), last: cursor.last, ..Filter::default() };
        let after = cursor.at.max(lock(&self.looked).get(id).copied().unwrap_or(0));
        let page = events::page(conn, &scope, &filter, after, SOME)?;
        if page.events.is_empty() && page.next == after && cursor.last.is_none() {
            return Ok(Look::Nothing);
        }
        Ok(Look::Work(Box::new(Work { endpoint, cursor, scope, page })))
    }

    fn is_over(&self, work: &Work) -> bool {
        work.cursor.last.is_some_and(|last| work.page.next >= last)
    }

    /// Nothing of what was looked through is for the endpoint.
    fn leave_out(&self, work: &Work) -> Result<()> {
        let (id, next) = (work.cursor.id.clone(), work.page.next);
        if self.is_over(work) {
            lock(&self.looked).remove(&id);
            return self.db.write_slice("webhook.replay", &self.who, move |tx| store::delete_cursor(tx.conn(), &id));
        }
        lock(&self.looked).insert(id.clone(), next);
        if next - work.cursor.at < LEFT_OUT || !self.lease(&work.cursor)? {
            return Ok(());
        }
        let name = self.name.clone();
        self.db.write_slice("webhook.cursor", &self.who, move |tx| {
            let until = tx.now() + LEASE;
            store::move_cursor(tx.conn(), &id, &name, next, 0, None, until).map(drop)
        })
    }

    /// Makes sure that the cursor is ours.
    fn lease(&self, cursor: &CursorRow) -> Result<bool> {
        let now = self.db.clock().now();
        let long_enough = now + LEASE / 2;
        if cursor.lease_owner.as_deref() == Some(&self.name)
            && cursor.lease_until.is_some_and(|until| long_enough < from_stored(until))
        {
            return Ok(true);
        }
        let (id, name) = (cursor.id.clone(), self.name.clone());
        self.has_leased.store(true, Ordering::Release);
        self.db.write_slice("webhook.lease", &self.who, move |tx| {
            let now = tx.now();
            store::lease(tx.conn(), &id, &name, now, now + LEASE)
        })
    }

    /// Sends one event and keeps what came of it.
    fn deliver(&self, work: &Work, event: &Event) -> Result<Outcome> {
        let message = message_of(event);
        let attempt = if event.number == first_number(work) { work.cursor.failures + 1 } else { 1 };
        let at = self.db.clock().now();
        let sent = self.client.send(&work.endpoint.url, &secrets(&work.endpoint, at), &message, at.timestamp());
        let is_taken = sent.error.is_none();
        let [chance] = random::<1>()?;
        let again = schedule::wait(attempt, chance).filter(|_| sent.status != Some(410));
        let (cursor, endpoint, name) = (work.cursor.id.clone(), work.endpoint.id.clone(), self.name.clone());
        let number = event.number;
        let kept = self.db.write_slice("webhook.delivered", &self.who, move |tx| {
            let now = tx.now();
            let (until, place) = (now + LEASE, if is_taken { number } else { number - 1 });
            let (failures, due) = if is_taken { (0, None) } else { (attempt, again.map(|wait| now + wait)) };
            if !store::move_cursor(tx.conn(), &cursor, &name, place, failures, due, until)? {
                return Ok(false);
            }
            let row = row(tx.id("wd"), &endpoint, &message, Some(number), attempt, at, &sent);
            store::insert_delivery(tx.conn(), &row)?;
            if !is_taken && again.is_none() {
                let why = match sent.status {
                    Some(410) => "the receiver says that it is gone (410)".to_owned(),
                    _ => format!("event {number} was not taken in {attempt} attempts"),
                };
                turn_off(tx, &endpoint, &why)?;
            }
            Ok(true)
        })?;
        Ok(match (kept, is_taken) {
            (false, _) => Outcome::Lost,
            (true, true) => Outcome::Taken,
            (true, false) => Outcome::NotTaken,
        })
    }

    /// Forgets old deliveries, now and then.
    fn prune(&self) -> Result<()> {
        let now = self.db.clock().now();
        if lock(&self.pruned_at).is_some_and(|at| now - at < PRUNE_EVERY) {
            return Ok(());
        }
        let before = now - self.settings.keep;
        if self.db.read(|conn| store::has_old(conn, before))? {
            self.db.write_slice("webhook.prune", &self.who, move |tx| store::prune(tx.conn(), before).map(drop))?;
        }
        *lock(&self.pruned_at) = Some(now);
        Ok(())
    }
}

/// The event whose failures the cursor counts: the first that is sent after it.
fn first_number(work: &Work) -> i64 {
    work.page.events.first().map_or(0, |e| e.number)
}

/// Where the owner of an endpoint may see events now.
fn scope_of(conn: &mut Conn, owner: &str, now: Instant) -> Result<Scope> {
    let rights = access::rights_now(conn, &Actor::from_stored(owner), now)?;
    Ok(rights.scope(Permission::EventsSubscribe))
}

/// The secrets that sign now.
fn secrets(endpoint: &EndpointRow, now: Instant) -> Vec<Vec<u8>> {
    let previous = endpoint.previous_secret.clone();
    let previous = previous.filter(|_| endpoint.previous_until.is_some_and(|until| now < from_stored(until)));
    std::iter::once(endpoint.secret.clone()).chain(previous).collect()
}

fn row(
    id: String,
    endpoint: &str,
    message: &Message,
    event: Option<i64>,
    attempt: i64,
    at: Instant,
    sent: &Sent,
) -> DeliveryRow {
    DeliveryRow {
        id,
        endpoint: endpoint.to_owned(),
        message: message.id.clone(),
        event,
        attempt,
        sent_at: stored(at),
        status: sent.status.map(i64::from),
        milliseconds: sent.milliseconds,
        bytes: i64::try_from(message.body.len()).unwrap_or(i64::MAX),
        error: sent.error.clone(),
    }
}

/// The message of an event: type, timestamp and data, as the standard advises.
fn message_of(event: &Event) -> Message {
    let mut body = json!({ "type": event.kind, "timestamp": rfc3339(event.recorded_at), "data": event.to_json() });
    if body.to_string().len() > BODY_BYTES {
        body["data"]["before"] = serde_json::Value::Null;
        body["data"]["after"] = serde_json::Value::Null;
        body["data"]["left_out"] = json!(["before", "after"]);
    }
    Message { id: format!("ev_{}", event.number), body: body.to_string() }
}

/// Tests under way at once: each holds a request for as long as its receiver takes.
const TESTS_AT_ONCE: usize = 4;

static TESTS: AtomicUsize = AtomicUsize::new(0);

struct Testing;

impl Testing {
    fn begin() -> Result<Testing> {
        let testing = Testing;
        if TESTS.fetch_add(1, Ordering::AcqRel) < TESTS_AT_ONCE {
            return Ok(testing);
        }
        Err(Error::Busy("other webhooks are tested at this moment; try again in a moment".to_owned()))
    }
}

impl Drop for Testing {
    fn drop(&mut self) {
        TESTS.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Sends a test to an endpoint, on or off, and keeps what came of it in its log.
pub fn test(db: &Db, who: &Arc<Who>, settings: &Settings, id: &str) -> Result<Sent> {
    let owner = (!who.scope.is_everything()).then_some(&who.actor);
    let endpoint = db.read(|conn| {
        let seen = super::endpoint(conn, owner, id)?;
        store::endpoint(conn, &seen.id)?.ok_or_else(|| super::absent(id))
    })?;
    let _testing = Testing::begin()?;
    let at = db.clock().now();
    let nonce: String = random::<16>()?.iter().map(|b| format!("{b:02x}")).collect();
    let body = json!({ "type": "webhook.test", "timestamp": rfc3339(at), "data": { "webhook": endpoint.id } });
    let message = Message { id: format!("test_{nonce}"), body: body.to_string() };
    let client = Client::new(settings.allowed.clone(), settings.timeout);
    let sent = client.send(&endpoint.url, &secrets(&endpoint, at), &message, at.timestamp());
    let kept = sent.clone();
    db.write_slice("webhook.test", who, move |tx| {
        if store::endpoint(tx.conn(), &endpoint.id)?.is_none() {
            return Ok(());
        }
        let row = row(tx.id("wd"), &endpoint.id, &message, None, 1, at, &kept);
        store::insert_delivery(tx.conn(), &row)
    })?;
    Ok(sent)
}

/// A worker that runs on threads of its own.
pub struct Running {
    courier: Arc<Courier>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.courier.stop.store(true, Ordering::Release);
        self.courier.db.commits().wake();
        if let Some(thread) = self.thread.take() {
            // It says itself what goes wrong.
            let _ = thread.join();
        }
    }
}

/// Starts the worker: until it is dropped, events are sent as they are recorded.
pub fn start(db: Arc<Db>, settings: Settings) -> Result<Running> {
    let courier = Arc::new(Courier::new(db, settings)?);
    let own = Arc::clone(&courier);
    let thread = std::thread::Builder::new().name("webhooks".to_owned()).spawn(move || run(&own));
    let thread = thread.map_err(|e| Error::Broken(format!("cannot start the thread of webhooks: {e}")))?;
    Ok(Running { courier, thread: Some(thread) })
}

/// Gives each cursor that has something to do a thread, so that a slow receiver holds nobody up but itself.
fn run(courier: &Arc<Courier>) {
    let busy: Arc<Mutex<HashMap<String, String>>> = Arc::default();
    let mut seen = courier.db.commits().count();
    while !courier.stop.load(Ordering::Acquire) {
        let due = courier.prune().and_then(|()| courier.db.read(|conn| due(courier, conn, &busy)));
        let due = due.unwrap_or_else(|fault| {
            tracing::warn!(%fault, "webhooks wait for the database");
            Vec::new()
        });
        for (id, owner) in due {
            lock(&busy).insert(id.clone(), owner);
            let (courier, own, name) = (Arc::clone(courier), Arc::clone(&busy), id.clone());
            let sends = std::thread::Builder::new().name("webhook".to_owned()).spawn(move || {
                if let Err(fault) = courier.work(&name, &mut Round::default()) {
                    tracing::warn!(%fault, cursor = name, "a webhook could not be worked on; it is tried again");
                }
                lock(&own).remove(&name);
            });
            if sends.is_err() {
                lock(&busy).remove(&id);
            }
        }
        seen = courier.db.commits().wait(seen, LOOK_EVERY);
        std::thread::sleep(BREATH);
    }
    // What is under way is let to its end, for a while; what is cut off is sent again under the same id.
    let begun = std::time::Instant::now();
    while !lock(&busy).is_empty() && begun.elapsed() < LAST_WORDS {
        std::thread::sleep(BREATH);
    }
    if let Err(fault) = courier.give_back() {
        tracing::warn!(%fault, "leases of webhooks run out by themselves");
    }
}

/// Cursors on which nobody works and that have something to send or to leave out.
fn due(courier: &Courier, conn: &mut Conn, busy: &Mutex<HashMap<String, String>>) -> Result<Vec<(String, String)>> {
    let mut taken = lock(busy).clone();
    let mut found = Vec::new();
    for (cursor, owner) in store::cursors_on(conn)? {
        if has_turn(&taken, &cursor.id, &owner) && !matches!(courier.look(conn, &cursor.id)?, Look::Nothing) {
            taken.insert(cursor.id.clone(), owner.clone());
            found.push((cursor.id, owner));
        }
    }
    Ok(found)
}

/// Whether a cursor of this owner may be worked on beside those that are: nobody's slow receivers take all turns.
fn has_turn(taken: &HashMap<String, String>, cursor: &str, owner: &str) -> bool {
    let own = taken.values().filter(|of| *of == owner).count();
    let room = if own < OF_RIGHT { AT_ONCE } else { AT_ONCE - OF_RIGHT };
    taken.len() < room && !taken.contains_key(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_of_many_slow_receivers_leaves_turns_to_others() {
        let mut taken = HashMap::new();
        let mut takes = |cursor: &str, owner: &str| {
            let may = has_turn(&taken, cursor, owner);
            if may {
                taken.insert(cursor.to_owned(), owner.to_owned());
            }
            may
        };
        assert!(takes("a0", "a") && !takes("a0", "a"), "one worker each");
        let of_one = (1..20).filter(|n| takes(&format!("a{n}"), "a")).count();
        assert_eq!(of_one + 1, AT_ONCE - OF_RIGHT);
        let of_others = (0..20).filter(|n| takes(&format!("b{n}"), "b")).count();
        assert_eq!(of_others, OF_RIGHT);
    }

    #[test]
    fn so_many_endpoints_are_tested_at_once_and_the_next_when_one_is_done() {
        let mut under_way: Vec<Testing> = (0..TESTS_AT_ONCE).map(|_| Testing::begin().unwrap()).collect();
        for _ in 0..3 {
            assert!(matches!(Testing::begin(), Err(Error::Busy(_))));
        }
        under_way.pop();
        under_way.push(Testing::begin().unwrap());
        assert!(Testing::begin().is_err());
    }
}
