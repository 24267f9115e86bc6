//! Long work that survives a crash: a row says how far it is, and that row moves in the same commit as the work.
//!
//! | state | event | next | function |
//! |---|---|---|---|
//! | - | work accepted | ready | [`add`] |
//! | ready | a worker leases it | ready, leased | [`lease`] |
//! | ready, leased | a slice is done, the cursor stands where the worker left it | ready, leased | [`advance`] |
//! | ready, leased | its worker meets a fault | ready | [`give_back`] |
//! | ready, leased | the lease runs out (its worker died) | ready | - |
//! | ready, leased | the last slice is done | done | [`finish`] |
//! | ready, leased | the work cannot go on | failed | [`fail`] |
//! | done, failed | more to do for its subject | ready | [`add`] |

use super::conn::{Conn, broken};
use super::schema::jobs;
use super::tx::Tx;
use crate::error::{Error, Result};
use crate::time::{Instant, stored};
use chrono::{NaiveDateTime, TimeDelta};
use diesel::prelude::{
    BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable,
    SelectableHelper,
};
use diesel::{RunQueryDsl, insert_into, update};

/// How long a worker may be silent before another takes over. Two workers at once would do no harm, only waste: each slice
/// checks in its own commit that the lease is still its own.
const LEASE: TimeDelta = TimeDelta::seconds(10);

/// A piece of long work.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = jobs, treat_none_as_default_value = false)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// What is to be done.
    pub kind: String,
    /// To what; once per kind.
    pub subject: String,
    /// `ready`, `done`, `failed`.
    pub state: String,
    /// How far it is, as JSON that its kind understands.
    pub cursor: String,
    /// Who works on it.
    pub lease_owner: Option<String>,
    /// Until when nobody else may.
    pub lease_until: Option<NaiveDateTime>,
    /// When it was accepted.
    pub created_at: NaiveDateTime,
    /// Why it failed.
    pub problem: Option<String>,
}

/// Accepts work. A job that is over is opened again when there is more to do for its subject; one that is not over stays as
/// it is, wherever its cursor stands.
pub fn add(tx: &mut Tx<'_>, kind: &str, subject: &str, cursor: &str) -> Result<String> {
    let before = jobs::table.filter(jobs::kind.eq(kind)).filter(jobs::subject.eq(subject));
    let before: Option<(String, String)> =
        before.select((jobs::id, jobs::state)).first(tx.conn()).optional().map_err(broken)?;
    if let Some((id, state)) = before {
        if state != "ready" {
            let nobody = jobs::lease_owner.eq(None::<String>);
            let set = (jobs::state.eq("ready"), jobs::cursor.eq(cursor), nobody, jobs::problem.eq(None::<String>));
            update(jobs::table.find(&id)).set(set).execute(tx.conn()).map_err(broken)?;
        }
        return Ok(id);
    }
    let job = Job {
        id: tx.id("job"),
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        state: "ready".to_owned(),
        cursor: cursor.to_owned(),
        lease_owner: None,
        lease_until: None,
        created_at: stored(tx.now()),
        problem: None,
    };
    insert_into(jobs::table).values(&job).execute(tx.conn()).map_err(broken)?;
    Ok(job.id)
}

/// Takes a job for `owner`: `None` when it is over or somebody else works on it.
pub fn lease(tx: &mut Tx<'_>, kind: &str, subject: &str, owner: &Owner) -> Result<Option<Job>> {
    let now = tx.now();
    let open = jobs::table.select(Job::as_select()).filter(jobs::kind.eq(kind)).filter(jobs::subject.eq(subject));
    let Some(job) = open.filter(jobs::state.eq("ready")).first(tx.conn()).optional().map_err(broken)? else {
        return Ok(None);
    };
    let others = job.lease_owner.as_deref().filter(|o| *o != owner.0 && !owner.knows_dead(o));
    if others.is_some() && job.lease_until.is_some_and(|until| until > stored(now)) {
        return Ok(None);
    }
    let lease = (jobs::lease_owner.eq(&owner.0), jobs::lease_until.eq(stored(now + LEASE)));
    update(jobs::table.find(&job.id)).set(lease).execute(tx.conn()).map_err(broken)?;
    Ok(Some(job))
}

/// Moves a job's cursor from where the worker left it, together with the work that it counts, and renews the lease. A
/// conflict when the lease was lost or the cursor stands elsewhere: then this slice is another's.
pub fn advance(tx: &mut Tx<'_>, job: &Job, owner: &Owner, from: &str, to: &str) -> Result<()> {
    change(tx, job, owner, from, ("ready", to, None))
}

/// The work is done.
pub fn finish(tx: &mut Tx<'_>, job: &Job, owner: &Owner, from: &str, to: &str) -> Result<()> {
    change(tx, job, owner, from, ("done", to, None))
}

/// The work cannot go on, and why.
pub fn fail(tx: &mut Tx<'_>, job: &Job, owner: &Owner, at: &str, problem: &str) -> Result<()> {
    change(tx, job, owner, at, ("failed", at, Some(problem)))
}

/// Gives a lease back before its time, so that whoever tries again need not wait for it to run out.
pub fn give_back(tx: &mut Tx<'_>, id: &str, owner: &Owner) -> Result<()> {
    let mine = jobs::table.filter(jobs::id.eq(id)).filter(jobs::lease_owner.eq(&owner.0));
    update(mine).set(jobs::lease_owner.eq(None::<String>)).execute(tx.conn()).map_err(broken)?;
    Ok(())
}

fn change(
    tx: &mut Tx<'_>,
    job: &Job,
    owner: &Owner,
    from: &str,
    (state, to, problem): (&str, &str, Option<&str>),
) -> Result<()> {
    let until = stored(tx.now() + LEASE);
    let mine = jobs::table.filter(jobs::id.eq(&job.id)).filter(jobs::lease_owner.eq(&owner.0));
    let mine = mine.filter(jobs::state.eq("ready")).filter(jobs::cursor.eq(from));
    let set = (jobs::state.eq(state), jobs::cursor.eq(to), jobs::lease_until.eq(until), jobs::problem.eq(problem));
    match update(mine).set(set).execute(tx.conn()).map_err(broken)? {
        1 => Ok(()),
        _ => Err(Error::Conflict(format!("another worker took {} over; it goes on there", job.id))),
    }
}

/// A worker: one run of work in one process, told apart from every other by a number drawn for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(String);

impl Owner {
    /// A new worker in the present process.
    pub fn new(nonce: &str) -> Owner {
        Owner(format!("{}:{}:{nonce}", machine(), std::process::id()))
    }

    /// Whether `other` was a process of this machine that is gone: its work can be taken over at once.
    fn knows_dead(&self, other: &str) -> bool {
        let mut parts = other.split(':');
        let (Some(there), Some(pid)) = (parts.next(), parts.next()) else { return false };
        !there.is_empty()
            && self.0.starts_with(&format!("{there}:"))
            && !std::path::Path::new("/proc").join(pid).exists()
    }
}

/// One machine from one boot to the next, and within it one space of process numbers: containers have their own. Elsewhere
/// than on Linux it is empty, and the lease alone decides.
fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    match std::fs::read_link("/proc/self/ns/pid") {
        Ok(space) if !boot.is_empty() => format!("{}-{}", boot.trim(), space.display().to_string().replace(':', "")),
        _ => String::new(),
    }
}

/// The job of a kind for its subject, over or not.
pub fn of(conn: &mut Conn, kind: &str, subject: &str) -> Result<Option<Job>> {
    let found = jobs::table.select(Job::as_select()).filter(jobs::kind.eq(kind)).filter(jobs::subject.eq(subject));
    found.first(conn).optional().map_err(broken)
}

/// Whether there is a job that is not over.
pub fn is_open(conn: &mut Conn, kind: &str, subject: &str) -> Result<bool> {
    let open =
        jobs::table.filter(jobs::kind.eq(kind)).filter(jobs::subject.eq(subject)).filter(jobs::state.eq("ready"));
    let found: Option<String> = open.select(jobs::id).first(conn).optional().map_err(broken)?;
    Ok(found.is_some())
}

/// Jobs of any kind that have failed, or were accepted before an instant and have had nobody who works on them since.
pub fn not_done(conn: &mut Conn, before: Instant) -> Result<Vec<Job>> {
    let before = stored(before);
    let idle = jobs::lease_until.is_null().or(jobs::lease_until.lt(before));
    let waits = jobs::state.eq("ready").and(jobs::created_at.lt(before)).and(idle);
    let all = jobs::table.filter(jobs::state.eq("failed").or(waits)).order((jobs::created_at, jobs::id));
    all.select(Job::as_select()).load(conn).map_err(broken)
}

/// The jobs of a kind that are not over, oldest first.
pub fn unfinished(conn: &mut Conn, kind: &str) -> Result<Vec<Job>> {
    let open = jobs::table.select(Job::as_select()).filter(jobs::kind.eq(kind)).filter(jobs::state.eq("ready"));
    open.order(jobs::id).load(conn).map_err(broken)
}

/// Jobs before an id, the newest first; those that are over too.
pub fn page(conn: &mut Conn, before: Option<&str>, limit: i64) -> Result<Vec<Job>> {
    let newest = jobs::table.select(Job::as_select()).order(jobs::id.desc()).limit(limit);
    match before {
        Some(before) => newest.filter(jobs::id.lt(before)).load(conn).map_err(broken),
        None => newest.load(conn).map_err(broken),
    }
}

/// The job with this id.
pub fn job(conn: &mut Conn, id: &str) -> Result<Job> {
    let found = jobs::table.find(id).select(Job::as_select()).first(conn).optional().map_err(broken)?;
    found.ok_or_else(|| Error::NotFound(format!("there is no job {id}")))
}
