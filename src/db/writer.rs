//! The writer: the one door through which everything is written, one thread per process.
//!
//! Callers put commands into one of two lanes and wait. The writer takes whatever arrived while the last commit was on its
//! way, runs each command alone under the writer's lock, seals once, commits once and answers all: nobody waits for a timer,
//! and one fsync carries hundreds of commands. The interactive lane goes first; after each of its groups one slice of bulk
//! work gets a commit of its own, so that neither starves.
//!
//! | what happens to a group | what the writer does |
//! |---|---|
//! | a command says no | its savepoint is undone, the refusal is recorded and answered; the group goes on |
//! | the database cannot be reached, or is locked, before anything is begun | all are answered "busy": it would be the same for each alone |
//! | a fault or panic before COMMIT | the group is rolled back and its commands are run one by one |
//! | an error at COMMIT | unknown: reconnect, take the lock, look whether our seal is there with our hash; present: answer, absent: run again |
//! | the same, for housekeeping without a seal | do it again: it must be such that twice is as good as once |
//! | the database cannot be reached to find out | the answer is "unknown": ask again with the same key; nothing is run again |

use super::commits::Commits;
use super::conn::{AWAY, Conn, Url, broken, for_a_moment, is_locked};
use super::seal::Hash;
use super::tx::{Tx, Who, seal_is_there};
use super::upkeep::Nudge;
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::time::Clock;
use crate::traces;
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many items one commit takes at most, so that the first of them does not wait for ever.
const GROUP_ITEMS: usize = 16_384;

/// How long the writer tries to learn the fate of a commit before it answers "unknown".
const RESOLVE_ATTEMPTS: u32 = 25;

/// Which lane a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Somebody waits for the answer.
    Interactive,
    /// Long work, in slices of some tens of milliseconds.
    Bulk,
}

/// A place at which tests make the writer fail. Never set in production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPoint {
    /// The transaction has begun, nothing is written.
    AfterBegin,
    /// Everything is written, COMMIT has not been sent.
    BeforeCommit,
    /// COMMIT succeeded, nobody has been answered: the caller sees an error at COMMIT.
    AfterCommit,
}

/// What happens at a [`FaultPoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The statement there fails.
    Error,
    /// A bug there panics.
    Panic,
}

/// Decides at each point whether something fails.
pub type Faults = Arc<dyn Fn(FaultPoint) -> Option<Fault> + Send + Sync>;

/// One answer for each item.
pub type Answers<A> = Vec<Result<A>>;

/// What a hot command does with its items.
pub type Run<T, A> = fn(&mut Tx<'_>, &[Asked<T>]) -> Result<Answers<A>>;

/// A hot command: many items, each answered on its own, written set-based.
pub struct Kind<T: 'static, A: 'static> {
    /// For logs and metrics.
    pub name: &'static str,
    /// Runs all items in order; the outer error is a fault of the machine, an inner one the answer to its item. It must not
    /// write anything for an item that it refuses.
    pub run: Run<T, A>,
}

/// An item of a hot command and who asks for it.
pub struct Asked<T> {
    /// Who asks.
    pub who: Arc<Who>,
    /// What for.
    pub item: T,
}

/// One or more commands that are run together.
trait Work: Send {
    /// How many items it counts for.
    fn items(&self) -> usize;
    /// Takes another command into this one, or gives it back when it is of another kind.
    fn merge(&mut self, other: Box<dyn Work>) -> Option<Box<dyn Work>>;
    /// The commands that were merged, each by itself.
    fn split(self: Box<Self>) -> Vec<Box<dyn Work>>;
    /// Runs. An error is a fault of the machine: the group is rolled back.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()>;
    /// Answers all callers: what `run` left, or this fault.
    fn answer(self: Box<Self>, fault: Option<Error>);
    /// For `merge`.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    /// For `merge`.
    fn merges_with(&self, kind: &'static str) -> bool;
    /// For `merge`.
    fn kind(&self) -> Option<&'static str>;
}

/// Takes the answers to a caller who does not wait on a thread of its own. Dropped uncalled when the writer is gone.
pub type Tell<A> = Box<dyn FnOnce(Result<Answers<A>>) + Send>;

struct Batch<T: 'static, A: 'static> {
    kind: &'static Kind<T, A>,
    asked: Vec<Asked<T>>,
    /// How many of the items are whose.
    callers: Vec<(usize, Tell<A>)>,
    answers: Vec<Result<A>>,
}

impl<T: Send + Sync + 'static, A: Send + 'static> Work for Batch<T, A> {
    fn items(&self) -> usize {
        self.asked.len()
    }

    fn kind(&self) -> Option<&'static str> {
        Some(self.kind.name)
    }

    fn merges_with(&self, kind: &'static str) -> bool {
        self.kind.name == kind
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn merge(&mut self, other: Box<dyn Work>) -> Option<Box<dyn Work>> {
        if !other.kind().is_some_and(|k| self.merges_with(k)) {
            return Some(other);
        }
        // Names of kinds are unique: they are statics of this crate.
        if let Ok(other) = other.into_any().downcast::<Self>() {
            self.asked.extend(other.asked);
            self.callers.extend(other.callers);
        }
        None
    }

    fn split(mut self: Box<Self>) -> Vec<Box<dyn Work>> {
        let mut rest = self.asked.into_iter();
        let parts = self.callers.drain(..).map(|(count, caller)| {
            let asked: Vec<_> = rest.by_ref().take(count).collect();
            let part = Batch { kind: self.kind, asked, callers: vec![(count, caller)], answers: Vec::new() };
            Box::new(part) as Box<dyn Work>
        });
        parts.collect()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        self.answers = (self.kind.run)(tx, &self.asked)?;
        assert!(self.answers.len() == self.asked.len(), "{}: one answer for each item", self.kind.name);
        Ok(())
    }

    fn answer(self: Box<Self>, fault: Option<Error>) {
        let mut answers = self.answers.into_iter();
        for (count, tell) in self.callers {
            tell(match &fault {
                None => Ok(answers.by_ref().take(count).collect()),
                Some(fault) => Err(fault.clone()),
            });
        }
    }
}

struct One<F, A> {
    name: &'static str,
    who: Arc<Who>,
    command: F,
    caller: SyncSender<Result<A>>,
    answer: Option<Result<A>>,
}

impl<F, A> Work for One<F, A>
where
    F: Fn(&mut Tx<'_>) -> Result<A> + Send + 'static,
    A: Send + 'static,
{
    fn items(&self) -> usize {
        1
    }

    fn kind(&self) -> Option<&'static str> {
        None
    }

    fn merges_with(&self, _: &'static str) -> bool {
        false
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn merge(&mut self, other: Box<dyn Work>) -> Option<Box<dyn Work>> {
        Some(other)
    }

    fn split(self: Box<Self>) -> Vec<Box<dyn Work>> {
        vec![self]
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        tx.act_as(&self.who);
        self.answer = Some(tx.attempt(self.name, &self.command)?);
        Ok(())
    }

    fn answer(self: Box<Self>, fault: Option<Error>) {
        let answer = match fault {
            Some(fault) => Err(fault),
            None => self.answer.unwrap_or_else(|| Err(Error::Broken(format!("{}: no answer", self.name)))),
        };
        // A caller that has gone away needs no answer.
        let _ = self.caller.send(answer);
    }
}

#[derive(Default)]
struct Lanes {
    interactive: VecDeque<Box<dyn Work>>,
    bulk: VecDeque<Box<dyn Work>>,
    items: [usize; 2],
    bulk_is_next: bool,
    closed: bool,
}

/// Where callers leave commands for the writer.
pub(super) struct Queue {
    lanes: Mutex<Lanes>,
    arrived: Condvar,
    /// How many items a lane holds before callers are told `busy`.
    limit: usize,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Queue {
        Queue { lanes: Mutex::default(), arrived: Condvar::new(), limit }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, lane: Lane, work: Box<dyn Work>) -> Result<()> {
        let mut lanes = self.lanes();
        if lanes.closed {
            return Err(Error::Busy("the writer is stopping; try again in a moment".to_owned()));
        }
        let place = lane as usize;
        let waiting = lanes.items.get(place).copied().unwrap_or(0);
        // A command larger than the whole queue still goes in when nothing else waits.
        if waiting > 0 && waiting + work.items() > self.limit {
            return Err(Error::Busy(format!("{waiting} commands wait already; try again in a moment")));
        }
        if let Some(items) = lanes.items.get_mut(place) {
            *items += work.items();
        }
        match lane {
            Lane::Interactive => lanes.interactive.push_back(work),
            Lane::Bulk => lanes.bulk.push_back(work),
        }
        self.arrived.notify_one();
        Ok(())
    }

    /// Runs one command for a caller, who waits for the answer. The command may run more than once, but takes effect once.
    pub(super) fn one<A: Send + 'static>(
        &self,
        lane: Lane,
        name: &'static str,
        who: &Arc<Who>,
        command: impl Fn(&mut Tx<'_>) -> Result<A> + Send + 'static,
    ) -> Result<A> {
        let (caller, answer) = sync_channel(1);
        self.put(lane, Box::new(One { name, who: Arc::clone(who), command, caller, answer: None }))?;
        answer.recv().unwrap_or_else(|_| Err(Error::Broken("the writer stopped".to_owned())))
    }

    /// Runs many items for a caller, who waits for the answers.
    pub(super) fn batch<T: Send + Sync + 'static, A: Send + 'static>(
        &self,
        lane: Lane,
        kind: &'static Kind<T, A>,
        who: &Arc<Who>,
        items: Vec<T>,
    ) -> Result<Answers<A>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let (caller, answer) = sync_channel(1);
        // A caller that has gone away needs no answer.
        let tell = Box::new(move |answers| drop(caller.send(answers)));
        self.submit(lane, kind, who, items, tell)?;
        answer.recv().unwrap_or_else(|_| Err(Error::Broken("the writer stopped".to_owned())))
    }

    /// As [`Queue::batch`], for a caller who does not wait: `tell` is called from the writer's thread, and must be quick.
    pub(super) fn submit<T: Send + Sync + 'static, A: Send + 'static>(
        &self,
        lane: Lane,
        kind: &'static Kind<T, A>,
        who: &Arc<Who>,
        items: Vec<T>,
        tell: Tell<A>,
    ) -> Result<()> {
        let callers = vec![(items.len(), tell)];
        let asked = items.into_iter().map(|item| Asked { who: Arc::clone(who), item }).collect();
        self.put(lane, Box::new(Batch { kind, asked, callers, answers: Vec::new() }))
    }

    /// The writer's thread is gone: whoever waits is told so instead of waiting for ever.
    fn abandon(&self) {
        let mut lanes = self.lanes();
        lanes.closed = true;
        lanes.interactive.clear();
        lanes.bulk.clear();
    }

    /// Whether it still takes commands.
    pub(super) fn is_open(&self) -> bool {
        !self.lanes().closed
    }

    /// Lets the writer finish what waits, then stop.
    pub(super) fn close(&self) {
        self.lanes().closed = true;
        self.arrived.notify_all();
    }

    /// What goes into the next commit; `None` when the queue is closed and empty.
    fn take(&self) -> Option<Vec<Box<dyn Work>>> {
        let mut lanes = self.lanes();
        loop {
            // Whoever comes first, the turn is used up: bulk work never gets two slices while somebody waits.
            let bulk_is_next = std::mem::take(&mut lanes.bulk_is_next);
            let bulk_turn = lanes.interactive.is_empty() || bulk_is_next;
            if bulk_turn && let Some(work) = lanes.bulk.pop_front() {
                lanes.items[1] = lanes.items[1].saturating_sub(work.items());
                return Some(vec![work]);
            }
            if !lanes.interactive.is_empty() {
                break;
            }
            if lanes.closed {
                return None;
            }
            lanes = self.arrived.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
        let mut group: Vec<Box<dyn Work>> = Vec::new();
        let mut items = 0;
        while let Some(work) = lanes.interactive.pop_front() {
            items += work.items();
            lanes.items[0] = lanes.items[0].saturating_sub(work.items());
            let left = group.iter_mut().try_fold(work, |work, earlier| earlier.merge(work));
            group.extend(left);
            let next = lanes.interactive.front().map_or(0, |w| w.items());
            if items + next > GROUP_ITEMS {
                break;
            }
        }
        lanes.bulk_is_next = true;
        Some(group)
    }
}

/// The thread's own state.
pub(super) struct Writer {
    pub(super) url: Url,
    pub(super) conn: Option<Conn>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<Ids>,
    pub(super) faults: Option<Faults>,
    /// Whether the present group's transaction has begun.
    pub(super) begun: bool,
    /// Told of each commit.
    pub(super) upkeep: Nudge,
    /// Told of each commit that was sealed.
    pub(super) commits: Arc<Commits>,
}

/// Why a group is not known to be committed.
enum Loss {
    /// Nothing was changed: its commands can be run again.
    Undone(Error),
    /// Nothing was begun, and that is the database's doing: each alone would meet the same.
    Away(Error),
    /// It may have been kept: run again, its commands could take effect twice.
    Unknown(Error),
}

enum Outcome {
    Committed,
    /// Nothing was committed.
    Failed(Error),
    /// COMMIT was sent and its answer is missing or an error.
    Unknown(Option<(i64, Hash)>, Error),
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(super) fn serve(mut self, queue: &Queue) {
        struct Abandon<'a>(&'a Queue);
        impl Drop for Abandon<'_> {
            fn drop(&mut self) {
                self.0.abandon();
            }
        }
        let _abandon = Abandon(queue);
        while let Some(group) = queue.take() {
            traces::commit(group.len()).in_scope(|| self.settle(group));
            self.upkeep.commit();
        }
    }

    /// Runs a group to its end and answers everybody in it.
    fn settle(&mut self, mut group: Vec<Box<dyn Work>>) {
        let fault = match self.commit(&mut group) {
            Ok(()) => return group.into_iter().for_each(|w| w.answer(None)),
            Err(Loss::Unknown(fault) | Loss::Away(fault)) => {
                return group.into_iter().for_each(|w| w.answer(Some(fault.clone())));
            }
            Err(Loss::Undone(fault)) => fault,
        };
        tracing::warn!(%fault, commands = group.len(), "a group was rolled back; running its commands one by one");
        let mut away = None;
        for work in group.into_iter().flat_map(Work::split) {
            if away.is_some() {
                work.answer(away.clone());
                continue;
            }
            let mut single = vec![work];
            let fault = self.commit(&mut single).err().map(|loss| match loss {
                Loss::Undone(fault) | Loss::Unknown(fault) => fault,
                Loss::Away(fault) => away.insert(fault).clone(),
            });
            single.into_iter().for_each(|w| w.answer(fault.clone()));
        }
    }

    fn commit(&mut self, group: &mut [Box<dyn Work>]) -> Result<(), Loss> {
        let mut lost = Loss::Undone(Error::Broken("never tried".to_owned()));
        // Each round either ends here or follows a commit that may have to be done again.
        for _ in 0..3 {
            match self.try_commit(group) {
                Outcome::Committed => return Ok(()),
                Outcome::Failed(fault) => {
                    if !self.begun {
                        return Err(Loss::Away(fault));
                    }
                    self.roll_back();
                    return Err(Loss::Undone(fault));
                }
                Outcome::Unknown(Some((number, hash)), fault) => {
                    tracing::warn!(%fault, number, "the outcome of a commit is unknown; looking for its seal");
                    self.conn = None;
                    if self.resolve(number, &hash).map_err(Loss::Unknown)? {
                        self.commits.tell();
                        return Ok(());
                    }
                    // It is known not to be there: what the database has said of itself can be told as it is.
                    let what = "the database lost three commits in a row; nothing was changed, try again in a moment";
                    let is_passing = matches!(fault, Error::Busy(_));
                    lost = Loss::Undone(if is_passing { fault } else { Error::Busy(what.to_owned()) });
                }
                Outcome::Unknown(None, fault) => {
                    tracing::warn!(%fault, "the outcome of housekeeping is unknown; doing it again");
                    self.conn = None;
                    lost = Loss::Unknown(fault.within("three commits in a row were not answered"));
                }
            }
        }
        Err(lost)
    }

    fn try_commit(&mut self, group: &mut [Box<dyn Work>]) -> Outcome {
        let ran = catch_unwind(AssertUnwindSafe(|| self.run(group)));
        let seal = match ran {
            Ok(Ok(seal)) => seal,
            Ok(Err(fault)) => return Outcome::Failed(fault),
            Err(panic) => return Outcome::Failed(fault_of(panic.as_ref(), "nothing was changed")),
        };
        let Some(conn) = self.conn.as_mut() else { return Outcome::Failed(Error::Broken("no connection".to_owned())) };
        let faults = self.faults.as_ref();
        let committed = catch_unwind(AssertUnwindSafe(|| {
            conn.run("COMMIT").map_err(broken).and_then(|()| fault_at(faults, FaultPoint::AfterCommit))
        }));
        match committed.unwrap_or_else(|panic| Err(fault_of(panic.as_ref(), "at COMMIT"))) {
            Ok(()) => {
                // Before anybody is answered: the feed is as early as the answer.
                if seal.is_some() {
                    self.commits.tell();
                }
                Outcome::Committed
            }
            Err(fault) => Outcome::Unknown(seal, fault),
        }
    }

    fn run(&mut self, group: &mut [Box<dyn Work>]) -> Result<Option<(i64, Hash)>> {
        self.begun = false;
        if let Some(conn) = self.conn.as_mut()
            && let Err(e) = conn.begin_write()
        {
            // A file that another program has locked would be as locked for a new connection.
            if is_locked(&e) {
                return Err(broken(e));
            }
            // A connection that died between two commits is replaced; if that fails too, it is the caller's to know.
            self.conn = None;
        }
        if self.conn.is_none() {
            let mut conn = Conn::open(&self.url).map_err(|e| for_a_moment(AWAY, &e))?;
            conn.refuse_unsafe_settings()?;
            conn.begin_write().map_err(broken)?;
            self.conn = Some(conn);
        }
        self.begun = true;
        let Some(conn) = self.conn.as_mut() else { return Err(Error::Broken("no connection".to_owned())) };
        fault_at(self.faults.as_ref(), FaultPoint::AfterBegin)?;
        let nobody =
            Arc::new(Who { actor: crate::actor::Actor::system("writer"), scope: crate::actor::Scope::everything() });
        let mut tx = Tx::begin(conn, self.clock.as_ref(), &self.ids, nobody)?;
        for work in group {
            work.run(&mut tx)?;
        }
        let seal = tx.seal_up()?;
        fault_at(self.faults.as_ref(), FaultPoint::BeforeCommit)?;
        Ok(seal)
    }

    fn roll_back(&mut self) {
        let failed = self.conn.as_mut().is_none_or(|c| c.run("ROLLBACK").is_err());
        if failed {
            self.conn = None;
        }
    }

    /// Whether a commit whose answer was lost has happened.
    fn resolve(&mut self, number: i64, hash: &Hash) -> Result<bool> {
        let mut last = Error::Broken("never tried".to_owned());
        for attempt in 0..RESOLVE_ATTEMPTS {
            let found = Conn::open(&self.url).and_then(|mut conn| {
                conn.refuse_unsafe_settings()?;
                // Behind the lock: whatever our lost session still does is over once we hold it.
                conn.begin_write().map_err(broken)?;
                let found = seal_is_there(&mut conn, number, hash)?;
                conn.run("ROLLBACK").map_err(broken)?;
                Ok((conn, found))
            });
            match found {
                Ok((conn, found)) => {
                    self.conn = Some(conn);
                    return Ok(found);
                }
                Err(e) => last = e,
            }
            std::thread::sleep(Duration::from_millis(25 * u64::from(attempt.min(40))));
        }
        tracing::error!(%last, number, "whether this seal was kept is unknown");
        Err(Error::Busy(
            "the database went away while this was made durable, and whether it was is not known yet; ask again with the same key".to_owned(),
        ))
    }
}

/// A panic of ours, as an error.
fn fault_of(panic: &(dyn Any + Send), when: &str) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Error::Broken(format!("a fault in Tributary ({when}): {text}"))
}

fn fault_at(faults: Option<&Faults>, point: FaultPoint) -> Result<()> {
    match faults.and_then(|f| f(point)) {
        None => Ok(()),
        Some(Fault::Error) => Err(Error::Broken(format!("injected at {point:?}"))),
        Some(Fault::Panic) => panic!("injected at {point:?}"),
    }
}
