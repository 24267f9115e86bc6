//! The lines of a stored file as they are posted: read once from its beginning, statement after statement, by a thread that
//! runs ahead of the writer.

use crate::banking::{Event, Line, Severity, Status};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::statements::{self, NewLine, StatementRow, survey};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Lines that are handed from the reader to the writer at once, and how many times that the reader may be ahead.
const HEAP: usize = 250;
const READ_AHEAD: usize = 8;

/// A line as it goes into a slice.
pub(super) struct Told {
    pub(super) position: u64,
    /// Else it is announced only.
    pub(super) booked: bool,
    pub(super) line: NewLine,
}

impl Told {
    fn of(row: &StatementRow, line: &Line) -> Result<Told> {
        let booked = line.status == Status::Booked;
        Ok(Told { position: line.position, booked, line: statements::new_line(row, line)? })
    }
}

/// A line of the statement at this place, or its end.
type Heard = (i64, Option<Told>);

/// What the reader hands on.
pub(super) struct Ahead(std::iter::Flatten<std::sync::mpsc::IntoIter<Vec<Result<Heard>>>>);

impl Ahead {
    /// The lines of the next statement, which stands at `place`.
    pub(super) fn lines_of(&mut self, place: i64) -> impl Iterator<Item = Result<Told>> + '_ {
        let lines = std::iter::from_fn(move || match self.0.next() {
            Some(Ok((at, told))) if at == place => told.map(Ok),
            Some(Ok((at, _))) => Some(Err(Error::Broken(format!("statement {at} was read in place of {place}")))),
            Some(Err(e)) => Some(Err(e)),
            None => Some(Err(Error::Broken(format!("the reader of statement {place} stopped")))),
        });
        // What stands behind the end is of the next statement.
        lines.fuse()
    }
}

/// Runs `post` while the lines of these statements of a file, each from a position on, are read ahead of it.
pub(super) fn reading<A>(db: &Db, file: &str, wanted: &[(&StatementRow, u64)], post: impl FnOnce(Ahead) -> A) -> A {
    std::thread::scope(|scope| {
        let (ahead, come): (_, Receiver<Vec<Result<Heard>>>) = sync_channel(READ_AHEAD);
        scope.spawn(move || read(db, file, wanted, &ahead));
        post(Ahead(come.into_iter().flatten()))
    })
}

/// Hands lines on in heaps, until they are at their end or nobody takes them any more.
fn read(db: &Db, file: &str, wanted: &[(&StatementRow, u64)], ahead: &SyncSender<Vec<Result<Heard>>>) {
    let row_at = |place: i64| {
        let found = wanted.iter().find(|(row, _)| row.place == place).map(|(row, _)| *row);
        found.ok_or_else(|| Error::Broken(format!("nobody asked for statement {place}")))
    };
    let places = wanted.iter().map(|(row, from)| (row.place, *from)).collect();
    let mut lines = match told(db, file, places) {
        Ok(lines) => lines,
        Err(e) => return ahead.send(vec![Err(e)]).unwrap_or_default(),
    };
    let mut row: Option<&StatementRow> = None;
    let mut heard = |(place, line): (i64, Option<Box<Line>>)| -> Result<Heard> {
        let Some(line) = line else { return Ok((place, None)) };
        let of = match row.filter(|r| r.place == place) {
            Some(of) => of,
            None => row.insert(row_at(place)?),
        };
        Ok((place, Some(Told::of(of, &line)?)))
    };
    loop {
        let heap: Vec<Result<Heard>> = lines.by_ref().take(HEAP).map(|line| line.and_then(&mut heard)).collect();
        if heap.is_empty() || ahead.send(heap).is_err() {
            return;
        }
    }
}

/// The booked and pending lines of one statement of a stored file, from a position on.
pub(super) fn told_lines<'a>(
    db: &'a Db,
    file: &str,
    place: i64,
    from: u64,
) -> Result<impl Iterator<Item = Result<Box<Line>>> + use<'a>> {
    let lines = told(db, file, vec![(place, from)])?;
    Ok(lines.map_while(|heard| heard.map(|(_, line)| line).transpose()))
}

/// The booked and pending lines of some statements of a stored file, in the order of their places, each from a position on
/// and followed by its end. They were read to their end when they were accepted, so anything but reaching that end again is
/// a fault, and never the end of their lines.
fn told<'a>(
    db: &'a Db,
    file: &str,
    wanted: Vec<(i64, u64)>,
) -> Result<impl Iterator<Item = Result<(i64, Option<Box<Line>>)>> + use<'a>> {
    let mut wanted = wanted.into_iter().peekable();
    let mut at: Option<usize> = None;
    let mut events = statements::stored_events(db, &db.read(|conn| statements::file(conn, file))?)?;
    let file = file.to_owned();
    Ok(std::iter::from_fn(move || {
        loop {
            let (place, from) = *wanted.peek()?;
            let asked = usize::try_from(place).ok();
            let here = at.is_some() && at == asked;
            let fault = match events.next() {
                Some(Event::Begin(_)) => {
                    at = Some(at.map_or(0, |n| n + 1));
                    continue;
                }
                Some(Event::Line(line)) if here => {
                    let counts = matches!(line.status, Status::Booked | Status::Pending);
                    // One that is announced for no day at all cannot be shown or waited for.
                    if counts && survey::days(&line).is_some() && line.position >= from {
                        return Some(Ok((place, Some(line))));
                    }
                    continue;
                }
                Some(Event::End(_)) if here => {
                    wanted.next();
                    return Some(Ok((place, None)));
                }
                Some(Event::Problem(p))
                    if p.severity == Severity::Grave && p.statement.is_none_or(|s| Some(s) == asked) =>
                {
                    format!("the stored file {file} cannot be read on at {}: {}", p.at, p.problem)
                }
                Some(_) => continue,
                None => format!("the stored file {file} ends too early"),
            };
            wanted = Vec::new().into_iter().peekable();
            return Some(Err(Error::Broken(fault)));
        }
    }))
}
