//! The proof over everything as work of its own: it is started, tells how far it is, and keeps what it has found until the next one.
//!
//! There is one at a time, whichever server it runs on: who starts it while it runs gets the one that runs. It is a job
//! (`db::jobs`) whose lease is renewed while it lives, so a server that ends in the middle of it is noticed; then it is not
//! gone on with, since a proof is worth what it has seen in one go, but begun anew by whoever asks for it.

use super::api::Violated;
use crate::access::Permission;
use crate::db::jobs::{self, Job, Owner};
use crate::db::{Db, Who};
use crate::doctor;
use crate::error::{Error, Result};
use crate::http::{Answer, Call, Nothing, Operation, get, post};
use crate::ids::Ids;
use crate::ledger::check::Violation;
use crate::time::{rfc3339, stored};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// The kind of job.
pub const JOB: &str = "check";
/// There is one treasury in a database.
const SUBJECT: &str = "treasury";
/// How often it is told how far it is; well within the lease of a job.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// Violations that are kept in full. More say nothing more, and are counted.
const KEPT: usize = 100;

/// The rows of the proof.
pub(super) fn operations() -> Vec<Operation> {
    vec![
        post(
            "/v1/check",
            "check.start",
            "Prove that every stored number follows from what it was made of: starts it, or finds the one that runs",
        )
        .may(Permission::ProofRun)
        .answers(202)
        .does::<Nothing, Proof>(start),
        get("/v1/check", "check.show", "How far the proof is, and what it has found")
            .may(Permission::ProofRun)
            .reads(show),
    ]
}

/// The newest proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct Proof {
    /// `never` where there was none yet, `running`, `done`, or `interrupted` before its end.
    state: String,
    /// Why it was interrupted, and what to do.
    problem: Option<String>,
    /// The job's id.
    job: Option<String>,
    /// How far it is.
    #[serde(flatten)]
    found: Found,
}

/// What is kept of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Found {
    /// When it began; RFC 3339.
    started_at: Option<String>,
    /// When it ended.
    ended_at: Option<String>,
    /// Entries of the journal that are proved. What else there is follows after them.
    entries: i64,
    /// Of so many.
    entries_of: i64,
    /// Whether nothing is wrong; null until it is done.
    ok: Option<bool>,
    /// How many things are.
    violations_found: usize,
    /// The first hundred of them.
    violations: Vec<Violated>,
}

impl Found {
    fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::Broken(format!("a proof cannot be kept: {e}")))
    }
}

fn shown(job: Option<Job>, now: chrono::NaiveDateTime) -> Proof {
    let Some(job) = job else {
        return Proof { state: "never".to_owned(), problem: None, job: None, found: Found::default() };
    };
    let found: Found = serde_json::from_str(&job.cursor).unwrap_or_default();
    let is_left = job.lease_until.is_none_or(|until| until < now);
    let (state, problem) = match job.state.as_str() {
        "done" => ("done", None),
        "ready" if !is_left => ("running", None),
        _ => {
            let why = job.problem.unwrap_or_else(|| "the server that ran it has ended".to_owned());
            ("interrupted", Some(format!("{why}; {}", doctor::mend_of(JOB))))
        }
    };
    Proof { state: state.to_owned(), problem, job: Some(job.id), found }
}

fn show(call: &Call, _: &Nothing) -> Result<Proof> {
    call.scope().need_everything("the proof")?;
    let job = call.read(|conn| jobs::of(conn, JOB, SUBJECT))?;
    Ok(shown(job, stored(call.now())))
}

fn start(call: &Call, _: &Nothing) -> Result<Answer> {
    call.scope().need_everything("the proof")?;
    begin(&call.shared_db(), call.who(), &call.stopping())?;
    Ok(Answer::json(202, &show(call, &Nothing {})?)?.with("Location", "/v1/check".to_owned()))
}

/// Begins one, unless one runs.
fn begin(db: &Arc<Db>, who: &Arc<Who>, stopping: &Arc<AtomicBool>) -> Result<()> {
    let owner = Owner::new(&Ids::random().next("w", db.clock().now()));
    let (mine, began) = (owner.clone(), rfc3339(db.clock().now()));
    let job = db.write("check.start", who, move |tx| {
        let fresh = Found { started_at: Some(began.clone()), ..Found::default() }.text()?;
        jobs::add(tx, JOB, SUBJECT, &fresh)?;
        let Some(job) = jobs::lease(tx, JOB, SUBJECT, &mine)? else { return Ok(None) };
        // One that was left in the middle begins anew.
        jobs::advance(tx, &job, &mine, &job.cursor, &fresh)?;
        Ok(Some(Job { cursor: fresh, ..job }))
    })?;
    if let Some(job) = job {
        let run = Run { db: Arc::clone(db), who: Arc::clone(who), stopping: Arc::clone(stopping), owner, job };
        std::thread::spawn(move || run.follow());
    }
    Ok(())
}

/// A proof under way.
struct Run {
    db: Arc<Db>,
    who: Arc<Who>,
    stopping: Arc<AtomicBool>,
    owner: Owner,
    job: Job,
}

impl Run {
    fn follow(self) {
        let mut found: Found = serde_json::from_str(&self.job.cursor).unwrap_or_default();
        let mut at = self.job.cursor.clone();
        let counts = Arc::new([AtomicI64::new(0), AtomicI64::new(0)]);
        let (tell, told) = sync_channel(1);
        let (db, counting) = (Arc::clone(&self.db), Arc::clone(&counts));
        std::thread::spawn(move || {
            let count = |done, all| {
                let [d, a] = counting.as_ref();
                d.store(done, Ordering::Relaxed);
                a.store(all, Ordering::Relaxed);
            };
            // Who waits for it may have gone.
            let _ = tell.send(super::check(&db, count));
        });
        loop {
            let ended = match told.recv_timeout(TOLD_EVERY) {
                Ok(ended) => Some(ended),
                Err(RecvTimeoutError::Disconnected) => Some(Err(Error::Broken("a fault of ours ended it".to_owned()))),
                Err(RecvTimeoutError::Timeout) if self.stopping.load(Ordering::Acquire) => {
                    Some(Err(Error::Busy("the server was stopped".to_owned())))
                }
                Err(RecvTimeoutError::Timeout) => None,
            };
            let [done, all] = counts.as_ref();
            (found.entries, found.entries_of) = (done.load(Ordering::Relaxed), all.load(Ordering::Relaxed));
            let is_end = ended.is_some();
            match self.tell(&mut found, &at, ended) {
                Ok(text) => at = text,
                // Another server has taken it over, since nothing was heard of us for so long.
                Err(Error::Conflict(_)) => return,
                Err(e) => tracing::warn!(%e, "how far a proof is could not be told"),
            }
            if is_end {
                return;
            }
        }
    }

    /// Keeps how far it is, or how it ended.
    fn tell(&self, found: &mut Found, at: &str, ended: Option<Result<Vec<Violation>>>) -> Result<String> {
        let problem = match ended {
            None => None,
            Some(Ok(violations)) => {
                found.ok = Some(violations.is_empty());
                found.violations_found = violations.len();
                found.violations = violations.into_iter().take(KEPT).map(Violated::from).collect();
                found.ended_at = Some(rfc3339(self.db.clock().now()));
                None
            }
            Some(Err(e)) => {
                found.ended_at = Some(rfc3339(self.db.clock().now()));
                Some(e.to_string())
            }
        };
        let (job, owner, from) = (self.job.clone(), self.owner.clone(), at.to_owned());
        let (to, is_end) = (found.text()?, found.ended_at.is_some());
        let text = to.clone();
        self.db.write("check.advance", &self.who, move |tx| match &problem {
            Some(why) => {
                jobs::advance(tx, &job, &owner, &from, &to)?;
                jobs::fail(tx, &job, &owner, &to, why)
            }
            None if is_end => jobs::finish(tx, &job, &owner, &from, &to),
            None => jobs::advance(tx, &job, &owner, &from, &to),
        })?;
        Ok(text)
    }
}
