//! From the bytes of a bank file to posted lines, through any crash.
//!
//! 1. The bytes are stored as they came, in chunks, under their digest. The same bytes again are found by it.
//! 2. On the way they are surveyed: every statement proved, nothing written of it.
//! 3. One small commit accepts: what becomes of each statement, and a job with a cursor.
//! 4. Slices of lines are paired with what is known, routed and posted; the cursor moves in the same commit.
//!
//! A crash at any point loses nothing: the next attempt, by this or another process, goes on at the cursor.

use crate::banking::{Profiles, Status};
use crate::db::jobs::{self, Job, Owner};
use crate::db::{Db, Who};
use crate::error::{Error, Result};
use crate::statements::identity::{Incoming, Known};
use crate::statements::{self, FileRow, NewLine, Proven, Refusal, Remark, StatementRow};
use crate::time::Clock as _;
use serde::Serialize;
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub mod api;
mod kept;
mod reading;
mod slice;

use kept::Kept;
use reading::{Ahead, Told, reading, told_lines};
use slice::{Slice, Standing};

/// The kind of job that posts the lines of a file.
const JOB: &str = "statement.post";

/// Lines of the first slice, and of the smallest; later ones follow from how long the last took. Fewer would cost more for
/// each than they save in waiting: what a commit costs whatever is in it is then most of it.
const FIRST_SLICE: usize = 400;
/// Lines of the largest slice.
const MOST_LINES: usize = 4_000;

/// What the work of a slice should take, so that interactive work never waits long behind one; waiting for the disk comes on
/// top of it, and does not become less with fewer lines.
const SLICE_TIME: Duration = Duration::from_millis(25);

/// A statement of at most so many lines is kept in memory while it is paired with what is known; a longer one is read twice.
const KEPT_LINES: i64 = 20_000;

/// What became of a file.
#[derive(Debug, Clone)]
pub struct TakenIn {
    /// The file.
    pub file: FileRow,
    /// The same bytes were taken in before; nothing changed now.
    pub already: bool,
    /// Its statements.
    pub statements: Vec<StatementRow>,
    /// Lines that were new.
    pub new_lines: u64,
    /// Lines that were known from other files.
    pub known_lines: u64,
}

/// How far a file is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Cursor {
    /// Place of the statement in the file.
    statement: i64,
    /// The next line of it.
    line: u64,
}

/// A file that has come.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Its name where it came from.
    pub name: &'a str,
    /// How it came.
    pub channel: &'a str,
    /// What says how files are to be read that do not say it themselves.
    pub profiles: &'a Profiles,
}

/// Takes a file in that needs no profile; see [`take_in_by`].
pub fn take_in(
    db: &Db,
    who: &Arc<Who>,
    (name, channel): (&str, &str),
    open: &dyn Fn() -> std::io::Result<Box<dyn Read>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<TakenIn> {
    take_in_by(db, who, &Arrival { name, channel, profiles: &Profiles::default() }, open, progress)
}

/// Takes a file in of which nothing says who sent it; see [`take_in_from`].
pub fn take_in_by(
    db: &Db,
    who: &Arc<Who>,
    arrival: &Arrival<'_>,
    open: &dyn Fn() -> std::io::Result<Box<dyn Read>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<TakenIn> {
    take_in_from(db, who, arrival, None, open, progress)
}

/// What a channel has proved of a file.
#[derive(Debug, Clone, Copy)]
pub struct Proved<'a> {
    /// How its sender was verified.
    pub origin: &'a str,
    /// The bytes of which that is proved; others are not taken.
    pub sha256: &'a crate::db::seal::Hash,
}

/// Takes a file in of which a channel has proved where it is from. `open` is called more than once. `progress` is told how
/// many lines are done of how many.
pub fn take_in_from(
    db: &Db,
    who: &Arc<Who>,
    arrival: &Arrival<'_>,
    proved: Option<Proved<'_>>,
    open: &dyn Fn() -> std::io::Result<Box<dyn Read>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<TakenIn> {
    let (begin, Arrival { name, channel, profiles }) = (Instant::now(), *arrival);
    let broken = |e: std::io::Error| Error::Broken(format!("cannot read {name}: {e}"));
    let (sha256, size) = crate::db::seal::sha256_of(open().map_err(broken)?).map_err(broken)?;
    if proved.is_some_and(|p| *p.sha256 != sha256) {
        return Err(Error::Conflict(format!("{name} changed while it was read; import it again when it is complete")));
    }
    let origin = proved.map_or(statements::UNVERIFIED, |p| p.origin);
    let known = db.read(|conn| statements::file_by_content(conn, &sha256))?.filter(|f| f.state == "accepted");
    let (file, proven, fresh) = match known {
        Some(file) => {
            statements::verify_origin(db, who, &file, origin)?;
            (file, None, false)
        }
        None => {
            let (name, channel, origin) = (name.to_owned(), channel.to_owned(), origin.to_owned());
            let new = statements::NewFile { name, channel, origin, sha256, size };
            let (file, proven) = statements::store_file(db, who, &new, profiles, open().map_err(broken)?)?;
            (file, proven, true)
        }
    };
    tracing::debug!(name, millis = begin.elapsed().as_millis(), "stored");
    // What was refused may fit now, and what was given up is taken up again.
    let unfinished = |s: &StatementRow| s.state == "refused" || s.state == "posting";
    let again = fresh || db.read(|conn| statements::statements_of_file(conn, &file.id))?.iter().any(unfinished);
    let owner = worker();
    let job = if again {
        let proven = proven.map_or_else(|| statements::prove(db, &file, profiles), Ok)?;
        accept(db, who, &file, proven, &owner)?
    } else {
        lease(db, who, &file.id, &owner)?
    };
    tracing::debug!(name, millis = begin.elapsed().as_millis(), "proved");
    let (new_lines, known_lines) = job.map_or(Ok((0, 0)), |job| post_through(db, who, job, &owner, progress))?;
    tracing::debug!(name, millis = begin.elapsed().as_millis(), new_lines, known_lines, "posted");
    db.read(|conn| {
        let file = statements::file(conn, &file.id)?;
        let statements = statements::statements_of_file(conn, &file.id)?;
        Ok(TakenIn { already: !fresh && new_lines == 0, file, statements, new_lines, known_lines })
    })
}

/// A person accepts a statement that waits: it is posted, and what only the one that it restates has told is taken back.
pub fn accept_waiting(
    db: &Db,
    who: &Arc<Who>,
    statement: &str,
    reason: &str,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<StatementRow> {
    let (id, reason, owner) = (statement.to_owned(), reason.to_owned(), worker());
    let row = {
        let owner = owner.clone();
        db.write("statement.decide", who, move |tx| {
            let row = statements::accept_waiting(tx, &id, &reason)?;
            jobs::add(tx, JOB, &row.file, &to_json(&Cursor { statement: row.place, line: 0 })?)?;
            jobs::lease(tx, JOB, &row.file, &owner)?.map_or_else(|| Err(elsewhere()), |job| Ok((row, job)))
        })?
    };
    let (row, job) = row;
    post_through(db, who, job, &owner, progress)?;
    db.read(|conn| statements::statement(conn, &row.id))
}

/// Goes on with files whose posting a crash has interrupted; those that another process works on are left to it. Gives how
/// many lines were posted.
pub fn resume(db: &Db, who: &Arc<Who>, progress: &mut dyn FnMut(u64, u64)) -> Result<u64> {
    let mut lines = 0;
    for job in db.read(|conn| jobs::unfinished(conn, JOB))? {
        let owner = worker();
        match lease(db, who, &job.subject, &owner) {
            Ok(Some(job)) => match post_through(db, who, job, &owner, progress) {
                Ok((new, _)) => lines += new,
                // One file that cannot go on holds up no other; importing it again says why.
                Err(e) => tracing::warn!(%e, "an interrupted import cannot go on"),
            },
            Ok(None) | Err(Error::Busy(_)) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(lines)
}

/// A new worker; two in one process are two.
fn worker() -> Owner {
    Owner::new(&crate::ids::Ids::random().next("w", crate::time::SystemClock.now()))
}

/// Accepts or refuses what is stored. Gives the job of posting it, if there is something to post.
fn accept(db: &Db, who: &Arc<Who>, file: &FileRow, proven: Proven, owner: &Owner) -> Result<Option<Job>> {
    let proven = Arc::new(proven);
    let survey = &proven.survey;
    let (id, name) = (file.id.clone(), file.name.clone());
    let refused = survey.refused().then(|| {
        let remarks: Vec<Remark> = survey.problems.iter().map(Remark::from).collect();
        let problems: Vec<String> = remarks.iter().map(|r| format!("{}: {}", r.at, r.problem)).collect();
        Refusal::UnreadableFile { name, problems: problems.join("; ") }
    });
    let owner = owner.clone();
    let job = db.write("statement.accept", who, move |tx| {
        let rows = statements::accept(tx, &proven)?;
        let Some(first) = rows.iter().find(|r| r.state == "posting") else { return Ok(None) };
        jobs::add(tx, JOB, &id, &to_json(&Cursor { statement: first.place, line: 0 })?)?;
        jobs::lease(tx, JOB, &id, &owner)?.map_or_else(|| Err(elsewhere()), |job| Ok(Some(job)))
    })?;
    refused.map_or(Ok(job), |refusal| Err(refusal.into()))
}

/// Takes over the posting of an accepted file, if it is not done.
fn lease(db: &Db, who: &Arc<Who>, file: &str, owner: &Owner) -> Result<Option<Job>> {
    if !db.read(|conn| jobs::is_open(conn, JOB, file))? {
        return Ok(None);
    }
    let (file, owner) = (file.to_owned(), owner.clone());
    db.write("statement.post", who, move |tx| match jobs::lease(tx, JOB, &file, &owner)? {
        Some(job) => Ok(Some(job)),
        None if !jobs::is_open(tx.conn(), JOB, &file)? => Ok(None),
        None => Err(elsewhere()),
    })
}

fn elsewhere() -> Error {
    Error::Busy("another process is posting this file; ask again in a moment".to_owned())
}

/// Posts a file to its end. When another import stored lines of the same account meanwhile, what is known is looked up
/// again and posting goes on at the cursor.
fn post_through(
    db: &Db,
    who: &Arc<Who>,
    job: Job,
    owner: &Owner,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(u64, u64)> {
    let (file, mut done, mut next) = (job.subject.clone(), (0, 0), Some(job));
    for _ in 0..8 {
        let Some(job) = next else { return Ok(done) };
        let id = job.id.clone();
        let (counts, ended) = post(db, who, job, owner.clone(), progress)?;
        done = (done.0 + counts.0, done.1 + counts.1);
        match ended {
            Ok(()) => return Ok(done),
            Err(Error::Conflict(_)) => next = lease(db, who, &file, owner)?,
            Err(no @ Error::Refused { .. }) => {
                // It would be refused again each time: the job ends here and says why, and no other file waits for it.
                give_up(db, who, &file, owner, &no)?;
                return Err(no);
            }
            Err(e) => {
                // If this fails too, the lease runs out by itself.
                let owner = owner.clone();
                let _ = db.write("statement.post", who, move |tx| jobs::give_back(tx, &id, &owner));
                return Err(e);
            }
        }
    }
    Err(Error::Busy("other imports store lines of the same account all the time; ask again in a moment".to_owned()))
}

/// Ends a job that cannot go on. Importing the file again opens it again.
fn give_up(db: &Db, who: &Arc<Who>, file: &str, owner: &Owner, why: &Error) -> Result<()> {
    let Some(job) = lease(db, who, file, owner)? else { return Ok(()) };
    let (owner, why) = (owner.clone(), why.to_string());
    db.write("statement.post", who, move |tx| {
        tx.event("job.failed", &job.subject, None, Some(serde_json::json!({ "job": job.id }).to_string()));
        jobs::fail(tx, &job, &owner, &job.cursor, &why)
    })
}

/// Posts the lines of an accepted file from its cursor on. Gives how many were new and how many known, and how it ended.
fn post(
    db: &Db,
    who: &Arc<Who>,
    job: Job,
    owner: Owner,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<((u64, u64), Result<()>)> {
    let rows = db.read(|conn| statements::statements_of_file(conn, &job.subject))?;
    let booked = |r: &StatementRow| u64::try_from(r.booked_count).unwrap_or(0);
    let total = rows.iter().filter(|r| r.state == "posting" || r.state == "posted").map(booked).sum();
    let at = job.cursor.clone();
    let mut run = Run {
        db,
        who,
        owner,
        job,
        cursor: at,
        slice: FIRST_SLICE,
        kept: Kept::default(),
        done: 0,
        new: 0,
        known: 0,
        total,
    };
    let mut wanted: Vec<(&StatementRow, u64)> = Vec::new();
    for row in rows.iter().filter(|r| r.state == "posting") {
        // From what is stored, not from the cursor, which fences but may have been set for another statement.
        wanted.push((row, db.read(|conn| statements::next_place(conn, &row.id))?));
    }
    run.done = rows.iter().filter(|r| r.state == "posted").map(booked).sum();
    let ended = reading(db, &run.job.subject.clone(), &wanted, |mut ahead| {
        for (at, (row, from)) in wanted.iter().enumerate() {
            let next = wanted.get(at + 1).map(|(row, _)| row.place);
            run.statement(row, *from, next, &mut ahead, progress)?;
        }
        Ok(())
    });
    Ok(((run.new, run.known), ended))
}

fn to_json(cursor: &Cursor) -> Result<String> {
    serde_json::to_string(cursor).map_err(|e| Error::Broken(e.to_string()))
}

/// The posting of one file.
struct Run<'a> {
    db: &'a Db,
    who: &'a Arc<Who>,
    owner: Owner,
    job: Job,
    /// Where the job's cursor stands.
    cursor: String,
    /// How many lines the next slice takes.
    slice: usize,
    kept: Kept,
    done: u64,
    new: u64,
    known: u64,
    total: u64,
}

impl Run<'_> {
    fn statement(
        &mut self,
        row: &StatementRow,
        from: u64,
        next: Option<i64>,
        ahead: &mut Ahead,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let overlap = self.db.read(|conn| statements::overlap(conn, row))?;
        let told = ahead.lines_of(row.place);
        if overlap.stored.is_empty() {
            return self.slices(row, next, Standing::of(&overlap), HashMap::new(), told, progress);
        }
        // Only a statement about days that are known needs all of its lines at once.
        if row.line_count <= KEPT_LINES {
            let told: Vec<Told> = told.collect::<Result<_>>()?;
            let booked = told.iter().filter(|t| t.booked);
            let incoming: Vec<Incoming> = booked.map(|t| statements::incoming(&t.line, t.position)).collect();
            let known = statements::known_places(&overlap, &incoming);
            return self.slices(row, next, Standing::of(&overlap), known, told.into_iter().map(Ok), progress);
        }
        // And of each only what it is paired by.
        let mut incoming: Vec<Incoming> = Vec::new();
        for line in told_lines(self.db, &row.file, row.place, from)? {
            let line = line?;
            if line.status == Status::Booked {
                incoming.push(statements::incoming(&statements::new_line(row, &line)?, line.position));
            }
        }
        let known = statements::known_places(&overlap, &incoming);
        self.slices(row, next, Standing::of(&overlap), known, told, progress)
    }

    /// Posts the lines of a statement as they come, slice by slice.
    fn slices(
        &mut self,
        row: &StatementRow,
        next: Option<i64>,
        mut standing: Standing,
        mut known: HashMap<u64, Known>,
        lines: impl Iterator<Item = Result<Told>>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let mut lines = lines.peekable();
        let before = self.new;
        loop {
            let mut slice = Slice::new(row.clone(), standing);
            let mut after = Cursor { statement: row.place, line: u64::MAX };
            for told in lines.by_ref().take(self.slice) {
                let Told { position, booked, line } = told?;
                after.line = position + 1;
                match known.remove(&position) {
                    _ if !booked => slice.pending.push(line),
                    Some(id) => slice.again.push((line, id)),
                    None => slice.new.push(line),
                }
            }
            let last = lines.peek().is_none();
            if last {
                after = next.map_or(after, |statement| Cursor { statement, line: 0 });
            }
            let (new, again) = slice.counts();
            let ended = last.then_some(self.new - before + new as u64);
            standing.revision = self.commit(slice, after, ended, last && next.is_none())?;
            standing.lines += i64::try_from(new).unwrap_or(0);
            self.new += new as u64;
            self.known += again as u64;
            self.done += (new + again) as u64;
            progress(self.done, self.total);
            if last {
                return Ok(());
            }
        }
    }

    /// `ended`: how many lines of the statement were new, when this slice is its last. Gives the revision that the lines of the
    /// master have then.
    fn commit(&mut self, slice: Slice, after: Cursor, ended: Option<u64>, ends_file: bool) -> Result<i64> {
        let count = slice.len();
        let (job, owner, after) = (self.job.clone(), self.owner.clone(), to_json(&after)?);
        let from = std::mem::replace(&mut self.cursor, after.clone());
        let (kept, worked) = (self.kept.clone(), Arc::new(AtomicU64::new(0)));
        let micros = Arc::clone(&worked);
        let revision = Arc::new(AtomicI64::new(0));
        let now_at = Arc::clone(&revision);
        self.db.write_slice("statement.post", self.who, move |tx| {
            let begin = Instant::now();
            // First of all: whoever finds the cursor elsewhere is not the one to post these lines.
            if ends_file {
                jobs::finish(tx, &job, &owner, &from, &after)?
            } else {
                jobs::advance(tx, &job, &owner, &from, &after)?
            }
            slice.post(tx, &kept)?;
            if let Some(new) = ended {
                slice::finish(tx, &slice.row, i64::try_from(new).unwrap_or(0), &kept)?;
            }
            now_at.store(slice.revision(tx)?, Ordering::Relaxed);
            micros.store(u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            Ok(())
        })?;
        // Towards slices of the right length, without jumping after one odd measurement.
        if count == self.slice {
            let micros = u128::from(worked.load(Ordering::Relaxed).max(1));
            let fitting = self.slice as u128 * SLICE_TIME.as_micros() / micros;
            self.slice = usize::try_from(fitting)
                .unwrap_or(FIRST_SLICE)
                .clamp(self.slice / 2, self.slice * 2)
                .clamp(FIRST_SLICE, MOST_LINES);
        }
        Ok(revision.load(Ordering::Relaxed))
    }
}

/// A line that one of two statements has and the other has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `+` only in the later statement, `-` only in the earlier.
    pub sign: char,
    /// Booking day.
    pub day: chrono::NaiveDate,
    /// Minor units, signed.
    pub amount: i64,
    /// Counterparty and text.
    pub text: String,
}

/// What a restated statement says otherwise than the one that it restates.
pub fn difference(db: &Db, later: &StatementRow, earlier: &str) -> Result<Vec<Difference>> {
    let earlier = db.read(|conn| statements::statement(conn, earlier))?;
    let lines_of = |row: &StatementRow| -> Result<Vec<NewLine>> {
        let told = told_lines(db, &row.file, row.place, 0)?;
        let booked = told.filter(|line| line.as_ref().is_ok_and(|l| l.status == Status::Booked) || line.is_err());
        booked.map(|line| statements::new_line(row, &*line?)).collect()
    };
    let mut left: HashMap<statements::identity::Identity, Vec<NewLine>> = HashMap::new();
    for line in lines_of(&earlier)? {
        left.entry(line.identity).or_default().push(line);
    }
    let mut found = Vec::new();
    for line in lines_of(later)? {
        if left.get_mut(&line.identity).and_then(Vec::pop).is_none() {
            found.push(told('+', &line));
        }
    }
    found.extend(left.into_values().flatten().map(|line| told('-', &line)));
    found.sort_by(|a, b| (a.day, a.sign, a.amount, &a.text).cmp(&(b.day, b.sign, b.amount, &b.text)));
    Ok(found)
}

fn told(sign: char, line: &NewLine) -> Difference {
    let texts = [&line.counterparty_name, &line.remittance, &line.info];
    let texts: Vec<&str> = texts.into_iter().filter_map(|t| t.as_deref()).collect();
    Difference { sign, day: line.booked_on, amount: line.amount, text: texts.join(", ") }
}
