//! From the bytes of a bank file to posted lines, through any crash.
//!
//! 1. The bytes are stored as they came, in chunks, under their digest. The same bytes again are found by it.
//! 2. What is stored is surveyed: every statement proved, nothing written.
//! 3. One small commit accepts: what becomes of each statement, and a job with a cursor.
//! 4. Slices of lines are paired with what is known, routed and posted; the cursor moves in the same commit.
//!
//! A crash at any point loses nothing: the next attempt, by this or another process, goes on at the cursor.

use super::place::{Placement, Placer, merged};
use super::store::{self, NewRoute};
use crate::banking::{Event, Reader, Severity, Status};
use crate::db::jobs::{self, Job, Owner};
use crate::db::{Db, Tx, Who};
use crate::error::{Error, Result};
use crate::ledger::{self, Basis, Cause, NewEntry, NewPosting};
use crate::statements::identity::Incoming;
use crate::statements::survey::{Survey, survey};
use crate::statements::{self, FileRow, NewLine, Placed, Refusal, Remark, StatementRow};
use crate::time::Clock as _;
use serde::Serialize;
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The kind of job that posts the lines of a file.
const JOB: &str = "statement.post";

/// Lines of the first slice; later ones follow from how long it took.
const FIRST_SLICE: usize = 400;

/// What a slice should take, so that interactive work never waits long behind one.
const SLICE_TIME: Duration = Duration::from_millis(10);

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

/// Takes a file in. `open` is called more than once. `progress` is told how many lines are done of how many.
pub fn take_in(
    db: &Db,
    who: &Arc<Who>,
    (name, channel): (&str, &str),
    open: &dyn Fn() -> std::io::Result<Box<dyn Read>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<TakenIn> {
    let broken = |e: std::io::Error| Error::Broken(format!("cannot read {name}: {e}"));
    let (sha256, size) = crate::db::seal::sha256_of(open().map_err(broken)?).map_err(broken)?;
    let known = db.read(|conn| statements::file_by_content(conn, &sha256))?.filter(|f| f.state == "accepted");
    let (file, fresh) = match known {
        Some(file) => (file, false),
        None => {
            let new = statements::NewFile { name: name.to_owned(), channel: channel.to_owned(), sha256, size };
            (statements::store_file(db, who, &new, open().map_err(broken)?)?, true)
        }
    };
    // What was refused may fit now, and what was given up is taken up again.
    let unfinished = |s: &StatementRow| s.state == "refused" || s.state == "posting";
    let again = fresh || db.read(|conn| statements::statements_of_file(conn, &file.id))?.iter().any(unfinished);
    let owner = worker();
    let job = if again { accept(db, who, &file, &owner)? } else { lease(db, who, &file.id, &owner)? };
    let (new_lines, known_lines) = job.map_or(Ok((0, 0)), |job| post_through(db, who, job, &owner, progress))?;
    db.read(|conn| {
        let file = statements::file(conn, &file.id)?;
        let statements = statements::statements_of_file(conn, &file.id)?;
        Ok(TakenIn { already: !fresh && new_lines == 0, file, statements, new_lines, known_lines })
    })
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

/// Surveys what is stored and accepts or refuses it. Gives the job of posting it, if there is something to post.
fn accept(db: &Db, who: &Arc<Who>, file: &FileRow, owner: &Owner) -> Result<Option<Job>> {
    let failed = |e: std::io::Error| Error::Broken(format!("cannot read the stored {}: {e}", file.name));
    let (digest, _) = crate::db::seal::sha256_of(statements::stored_bytes(db, &file.id)).map_err(failed)?;
    if crate::db::seal::hex(&digest) != file.sha256 {
        let what = format!("{} changed while it was read; import it again when it is complete", file.name);
        return Err(Error::Conflict(what));
    }
    let survey: Arc<Survey> = Arc::new(survey(statements::stored_bytes(db, &file.id)));
    let (id, name) = (file.id.clone(), file.name.clone());
    let refused = survey.refused().then(|| {
        let remarks: Vec<Remark> = survey.problems.iter().map(Remark::from).collect();
        let problems: Vec<String> = remarks.iter().map(|r| format!("{}: {}", r.at, r.problem)).collect();
        Refusal::UnreadableFile { name, problems: problems.join("; ") }
    });
    let owner = owner.clone();
    let job = db.write("statement.accept", who, move |tx| {
        statements::set_survey(tx, &id, &survey)?;
        if survey.refused() {
            return Ok(None);
        }
        let rows = statements::accept(tx, &id, &survey)?;
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
    let mut run = Run { db, who, owner, job, cursor: at, slice: FIRST_SLICE, done: 0, new: 0, known: 0, total };
    for (at, row) in rows.iter().enumerate() {
        match row.state.as_str() {
            "posted" => run.done += booked(row),
            "posting" => {
                // From what is stored, not from the cursor, which fences but may have been set for another statement.
                let from = db.read(|conn| statements::next_place(conn, &row.id))?;
                let next = rows.iter().skip(at + 1).find(|r| r.state == "posting").map(|r| r.place);
                if let Err(e) = run.statement(row, from, next, progress) {
                    return Ok(((run.new, run.known), Err(e)));
                }
            }
            _ => {}
        }
    }
    Ok(((run.new, run.known), Ok(())))
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
    slice: usize,
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
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let mut overlap = self.db.read(|conn| statements::overlap(conn, row))?;
        let mut known = HashMap::new();
        if !overlap.stored.is_empty() {
            // Only a statement about days that are known needs all of its lines at once, and of each only a digest.
            let mut incoming: Vec<Incoming> = Vec::new();
            for line in booked_lines(self.db, &row.file, row.place, from) {
                let line = line?;
                let NewLine { booked_on: day, amount, identity, .. } = statements::new_line(row, &line)?;
                incoming.push(Incoming { place: line.position, day, amount, identity });
            }
            known = statements::known_places(&overlap, &incoming);
        }
        let mut lines = booked_lines(self.db, &row.file, row.place, from).peekable();
        let before = self.new;
        loop {
            let mut slice =
                Slice { row: row.clone(), expected_lines: overlap.line_count, new: Vec::new(), again: Vec::new() };
            let mut after = Cursor { statement: row.place, line: u64::MAX };
            for line in lines.by_ref().take(self.slice) {
                let line = line?;
                after.line = line.position + 1;
                let new = statements::new_line(row, &line)?;
                match known.remove(&line.position) {
                    Some(id) => slice.again.push((new, id)),
                    None => slice.new.push(new),
                }
            }
            let last = lines.peek().is_none();
            if last {
                after = next.map_or(after, |statement| Cursor { statement, line: 0 });
            }
            let (new, again) = (slice.new.len(), slice.again.len());
            let ended = last.then_some(self.new - before + new as u64);
            self.commit(slice, after, ended, last && next.is_none())?;
            overlap.line_count += i64::try_from(new).unwrap_or(0);
            self.new += new as u64;
            self.known += again as u64;
            self.done += (new + again) as u64;
            progress(self.done, self.total);
            if last {
                return Ok(());
            }
        }
    }

    /// `ended`: how many lines of the statement were new, when this slice is its last.
    fn commit(&mut self, slice: Slice, after: Cursor, ended: Option<u64>, ends_file: bool) -> Result<()> {
        let count = slice.new.len() + slice.again.len();
        let (job, owner, after) = (self.job.clone(), self.owner.clone(), to_json(&after)?);
        let from = std::mem::replace(&mut self.cursor, after.clone());
        let begin = Instant::now();
        self.db.write_slice("statement.post", self.who, move |tx| {
            // First of all: whoever finds the cursor elsewhere is not the one to post these lines.
            if ends_file {
                jobs::finish(tx, &job, &owner, &from, &after)?
            } else {
                jobs::advance(tx, &job, &owner, &from, &after)?
            }
            slice.post(tx)?;
            if let Some(new) = ended {
                statements::finish_statement(tx, &slice.row, i64::try_from(new).unwrap_or(0))?;
            }
            Ok(())
        })?;
        // Towards slices of the right length, without jumping after one odd measurement.
        if count == self.slice {
            let micros = begin.elapsed().as_micros().max(1);
            let fitting = self.slice as u128 * SLICE_TIME.as_micros() / micros;
            self.slice =
                usize::try_from(fitting).unwrap_or(FIRST_SLICE).clamp(self.slice / 2, self.slice * 2).clamp(100, 4_000);
        }
        Ok(())
    }
}

/// Lines that are posted in one commit.
struct Slice {
    row: StatementRow,
    expected_lines: i64,
    new: Vec<NewLine>,
    again: Vec<(NewLine, String)>,
}

impl Slice {
    fn post(&self, tx: &mut Tx<'_>) -> Result<()> {
        let Some(master) = self.row.master.as_deref() else {
            return Err(Error::Broken(format!("{} has no master", self.row.id)));
        };
        let mut placer = super::placer(tx.conn(), master)?;
        super::look_up(tx.conn(), master, &mut placer, self.new.iter())?;
        let mut sides = Vec::new();
        let mut stored = Vec::with_capacity(self.new.len());
        let mut entries = Vec::with_capacity(self.new.len());
        let mut decisions = Vec::with_capacity(self.new.len());
        for line in &self.new {
            let id = tx.id("ln");
            let posting = match line {
                l if l.amount == 0 => "none",
                l if l.booked_on < placer.cut_over_on => "history",
                _ => "posted",
            };
            if posting == "posted" {
                let placements = placer.place(line);
                placer.remember(&id, line, &placements);
                sides.extend(placer.sides(master, &id, line, &placements));
                entries.push(entry(&placer, &id, line, &placements));
                decisions.push((id.clone(), placements));
            }
            stored.push((line.clone(), Placed { id, posting }));
        }
        let posted = ledger::post_in(tx, &entries)?;
        let mut routes = Vec::with_capacity(decisions.len());
        for ((line, placements), posted) in decisions.into_iter().zip(posted) {
            let posted = posted.map_err(|no| no.within(format!("line {line}")))?;
            routes.extend(NewRoute::of(&line, 0, posted.number, placements));
        }
        if entries.is_empty() && !(stored.is_empty() && self.again.is_empty()) {
            // Only known lines, or history: without this the commit would have no seal (I10), and nobody could find out
            // whether it was kept when its answer is lost.
            statements::tell_of_lines(tx, &self.row.id, stored.len(), self.again.len());
        }
        statements::insert_lines(tx, master, self.expected_lines, &stored, &self.again)?;
        store::insert_routes(tx, &routes)?;
        super::transfers::take_in(tx, &sides)
    }
}

/// What the bank has done, as an entry: the master on one side, the shares on the other.
fn entry(placer: &Placer, id: &str, line: &NewLine, placements: &[Placement]) -> NewEntry {
    let kind = match line {
        l if l.reversal => "bank_reversal",
        l if l.return_reason.is_some() => "return",
        l if l.amount > 0 => "inflow",
        _ => "outflow",
    };
    let how = match placements {
        [Placement { decision, .. }] => decision.how(),
        parts => {
            let waiting = parts.iter().filter(|p| p.decision.suspense).count();
            let placed = parts.len() - waiting;
            match waiting {
                0 => format!("placed payment by payment, {placed} of them"),
                _ => format!("placed payment by payment, {placed} of them; {waiting} wait in suspense"),
            }
        }
    };
    let master = NewPosting { account: placer.account, amount: line.amount };
    let shares = merged(placements.iter().flat_map(|p| &p.decision.shares));
    let shares = shares.into_iter().map(|(account, amount)| NewPosting { account, amount });
    NewEntry {
        kind: kind.to_owned(),
        basis: Basis::Fact,
        description: format!("{kind} {how}"),
        booked_on: line.booked_on,
        valued_on: line.valued_on,
        cause: Cause::new("line", id),
        postings: std::iter::once(master).chain(shares).collect(),
        holds: Vec::new(),
        reverses: None,
        metadata: None,
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
        booked_lines(db, &row.file, row.place, 0).map(|line| statements::new_line(row, &*line?)).collect()
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

/// The booked lines of one statement of a stored file, from a position on. The statement was read to its end when it was
/// accepted, so anything but reaching its end again is a fault, and never the end of its lines.
fn booked_lines<'a>(
    db: &'a Db,
    file: &str,
    place: i64,
    from: u64,
) -> impl Iterator<Item = Result<Box<crate::banking::Line>>> + use<'a> {
    let place = usize::try_from(place).unwrap_or(usize::MAX);
    let (mut at, mut over) = (None, false);
    let mut events = Reader::new(statements::stored_bytes(db, file));
    let file = file.to_owned();
    std::iter::from_fn(move || {
        while !over {
            match events.next() {
                Some(Event::Begin(_)) => at = Some(at.map_or(0, |n: usize| n + 1)),
                Some(Event::Line(line)) if at == Some(place) => {
                    if line.status == Status::Booked && line.position >= from {
                        return Some(Ok(line));
                    }
                }
                Some(Event::End(_)) if at == Some(place) => over = true,
                Some(Event::Problem(p)) if p.severity == Severity::Grave && p.statement.is_none_or(|s| s == place) => {
                    over = true;
                    let what = format!("the stored file {file} cannot be read on at {}: {}", p.at, p.problem);
                    return Some(Err(Error::Broken(what)));
                }
                Some(_) => {}
                None => {
                    over = true;
                    return Some(Err(Error::Broken(format!("the stored file {file} ends too early"))));
                }
            }
        }
        None
    })
}
