//! What the files of a folder are, and the command that takes each kind in: the same one as by hand.

use super::take::{Desk, Outcome};
use super::{Folder, take};
use crate::allocation::{self, intake};
use crate::banking;
use crate::config::FolderKind;
use crate::db::seal::{Hash, hex, sha256};
use crate::error::{Error, Result};
use crate::expectations;
use crate::four_eyes::{self, Came, Change, Done};
use crate::rates;
use crate::statements::{self, Remark, StatementRow, survey};
use serde_json::{Value, json};
use std::io::{self, BufReader, Read};

/// The largest sheet that is read: beyond what people make.
const LARGEST_SHEET: u64 = 256 << 20;

/// A file that was proved, and how to read it.
pub(super) struct Proved<'a> {
    pub(super) name: &'a str,
    pub(super) digest: &'a Hash,
    pub(super) origin: &'a str,
    pub(super) open: &'a dyn Fn() -> io::Result<Box<dyn Read>>,
}

/// What became of what a file says.
pub(super) struct Told {
    pub(super) outcome: Outcome,
    /// For people, in a few words.
    pub(super) said: String,
    /// Why something of it was not taken.
    pub(super) code: Option<&'static str>,
    pub(super) remarks: Vec<Remark>,
    /// For programs.
    pub(super) detail: Value,
}

/// Takes the content of a file in. An answer of the world's, "no", is told; an error is a fault, or for later.
pub(super) fn take_in(desk: &Desk<'_>, folder: &Folder, file: &Proved<'_>) -> Result<Told> {
    let done = match folder.kind {
        FolderKind::Statements => of_statements(desk, folder, file),
        FolderKind::Settlements => of_settlements(desk, folder, file),
        FolderKind::Expectations => of_expectations(desk, folder, file),
        FolderKind::Rates => of_rates(desk, folder, file),
    };
    let (code, message) = match done {
        // Of a statement a conflict says that the file is being written to.
        Err(e @ Error::Conflict(_)) if folder.kind == FolderKind::Statements => return Err(e),
        Err(e @ (Error::Refused { .. } | Error::NotFound(_) | Error::Conflict(_) | Error::Forbidden(_))) => {
            (e.code(), e.to_string())
        }
        done => return done,
    };
    let stored = desk.db.read(|conn| statements::file_by_content(conn, file.digest))?;
    let kept = stored.filter(|_| folder.kind == FolderKind::Statements).map(|f| read_remarks(&f.problems));
    let remarks = kept.filter(|r| !r.is_empty()).unwrap_or_default();
    Ok(Told { outcome: Outcome::Refused, said: message, code: Some(code), remarks, detail: Value::Null })
}

fn read_remarks(json: &str) -> Vec<Remark> {
    serde_json::from_str(json).unwrap_or_default()
}

fn of_statements(desk: &Desk<'_>, folder: &Folder, file: &Proved<'_>) -> Result<Told> {
    if let Some(remarks) = no_bank_file(desk, file)? {
        let why = remarks.first().map_or_else(|| "it is no bank file".to_owned(), |r| r.problem.clone());
        let said = format!("{} is refused, nothing of it was posted: {why}", file.name);
        let code = Some("unreadable_file");
        return Ok(Told { outcome: Outcome::Refused, said, code, remarks, detail: Value::Null });
    }
    let channel = format!("folder:{}", folder.name);
    let arrival = intake::Arrival { name: file.name, channel: &channel, profiles: desk.profiles };
    let proved = Some(intake::Proved { origin: file.origin, sha256: file.digest });
    let taken = intake::take_in_from(desk.db, desk.who, &arrival, proved, file.open, &mut |_, _| {})?;
    let held = |s: &&StatementRow| ["refused", "quarantined", "restated"].contains(&s.state.as_str());
    let held: Vec<&StatementRow> = taken.statements.iter().filter(held).collect();
    let refused = held.iter().filter(|s| s.state == "refused").count();
    let lines = match (taken.new_lines, taken.known_lines) {
        _ if taken.already => format!("already imported as {}", taken.file.id),
        (1, known) => format!("1 new line, {known} known from other files"),
        (new, known) => format!("{new} new lines, {known} known from other files"),
    };
    let (outcome, code, said) = match (held.len(), taken.statements.len()) {
        (0, _) if taken.already => (Outcome::AlreadyTaken, None, lines),
        (0, _) => (Outcome::Taken, None, lines),
        (_, all) if refused == all => {
            let why = held.first().and_then(|s| read_remarks(&s.problems).pop()).map(|r| r.problem);
            let why = why.unwrap_or_else(|| "its statements are refused".to_owned());
            (Outcome::Refused, Some("not_all_taken_in"), format!("nothing of it was posted: {why}"))
        }
        (some, all) => {
            let not = if all == 1 { "its statement is".to_owned() } else { format!("{some} of {all} statements are") };
            let said = format!("{lines}; {not} not posted");
            (Outcome::PartlyTaken, Some("not_all_taken_in"), said)
        }
    };
    let remarks = held.iter().flat_map(|s| of_statement(s)).collect();
    let statement = |s: &StatementRow| {
        json!({ "id": s.id, "state": s.state, "account": s.account_number, "currency": s.currency, "closing_on": s.closing_on,
            "lines": s.line_count, "same_as": s.same_as, "problems": read_remarks(&s.problems) })
    };
    let detail = json!({
        "id": taken.file.id, "new_lines": taken.new_lines, "known_lines": taken.known_lines,
        "statements": taken.statements.iter().map(statement).collect::<Vec<_>>(),
    });
    Ok(Told { outcome, said, code, remarks, detail })
}

/// Why nothing of a statement was posted, and what to do about it.
fn of_statement(s: &StatementRow) -> Vec<Remark> {
    let account = s.account_number.as_deref().unwrap_or("without an account");
    let what = match s.state.as_str() {
        "restated" => format!(
            "restates {} with other content; `tributary statement show {}` shows the difference, then `tributary statement accept` or `reject` it",
            s.same_as.as_deref().unwrap_or("another one"),
            s.id
        ),
        "quarantined" => format!(
            "contradicts itself and waits; ask the bank, then `tributary statement accept {}` or `reject` it",
            s.id
        ),
        _ => "is refused".to_owned(),
    };
    let head = Remark { at: format!("statement {account}"), problem: format!("{what}. Nothing of it was posted") };
    std::iter::once(head).chain(read_remarks(&s.problems)).collect()
}

/// What is wrong with a file that is none of a bank: found without storing it. What merely does not look like one from its
/// beginning is read to its end before that is said.
fn no_bank_file(desk: &Desk<'_>, file: &Proved<'_>) -> Result<Option<Vec<Remark>>> {
    let failed = |e: io::Error| Error::Broken(format!("cannot read {}: {e}", file.name));
    let mut first = Vec::new();
    (file.open)().and_then(|f| f.take(8 * 1024).read_to_end(&mut first)).map_err(failed)?;
    if desk.profiles.detect(&first).is_some() || banking::may_hold_statements(&first) {
        return Ok(None);
    }
    let found = survey::survey(BufReader::new((file.open)().map_err(failed)?), desk.profiles);
    Ok(found.refused().then(|| found.problems.iter().map(Remark::from).collect()))
}

fn of_settlements(desk: &Desk<'_>, folder: &Folder, file: &Proved<'_>) -> Result<Told> {
    let bytes = sheet(file)?;
    allocation::settlement_file::read(file.name, &bytes)?;
    let not_text = |e| Error::NotFound(format!("{} is not UTF-8: {e}", file.name));
    let sheet = String::from_utf8(bytes).map_err(not_text)?;
    let change = Change::Settlement { name: file.name.to_owned(), sheet, line: None };
    let done = match submit(desk, note(folder, file), change)? {
        Came::Waits(id) => return Ok(waits(&id)),
        Came::Done(Done::Settlement(done)) => done,
        Came::Done(other) => return Err(unlike(&other)),
    };
    let states: Vec<String> = done.iter().map(|s| format!("{} {}", s.settlement, s.state.replace('_', " "))).collect();
    let already = done.iter().all(|s| s.known);
    Ok(taken(already, format!("settlement {}", states.join(", ")), json!({ "settlements": done })))
}

fn of_expectations(desk: &Desk<'_>, folder: &Folder, file: &Proved<'_>) -> Result<Told> {
    let receipts = expectations::file::read(&sheet(file)?)?;
    let done = match submit(desk, note(folder, file), Change::Expectations { receipts })? {
        Came::Waits(id) => return Ok(waits(&id)),
        Came::Done(Done::Expectations(done)) => done,
        Came::Done(other) => return Err(unlike(&other)),
    };
    let said = format!("{} expected, {} known already", done.new, done.known);
    Ok(taken(done.new == 0, said, json!({ "new": done.new, "known": done.known })))
}

/// Does what a file asks for, or proposes it, and keeps where the file came from in the same commit.
fn submit(desk: &Desk<'_>, note: take::Note, change: Change) -> Result<Came> {
    desk.db.write(change.command(), desk.who, move |tx| {
        let came = four_eyes::submit_in(tx, &change)?;
        note.of(tx);
        Ok(came)
    })
}

fn unlike(done: &Done) -> Error {
    Error::Broken(format!("another kind of change was carried out: {done:?}"))
}

/// What a file asks for takes four eyes; the file itself is taken in, and is not needed again.
fn waits(id: &str) -> Told {
    taken(false, format!("waits for approval {id}"), json!({ "waiting_for_approval": id }))
}

fn of_rates(desk: &Desk<'_>, folder: &Folder, file: &Proved<'_>) -> Result<Told> {
    let read = rates::read(&sheet(file)?).map_err(rates::Refusal::Problems)?;
    let source = rates::source_for(folder.source.as_deref(), &read)?;
    let (sum, note) = (hex(file.digest), note(folder, file));
    let done = desk.db.write("rates.import", desk.who, move |tx| {
        let done = rates::import(tx, &source, &read, &sum)?;
        note.of(tx);
        Ok(done)
    })?;
    let said = format!(
        "rates of {}: {} new, {} corrected, {} as before",
        done.source,
        done.new,
        done.corrected.len(),
        done.unchanged
    );
    let detail = serde_json::to_value(&done).map_err(|e| Error::Broken(e.to_string()))?;
    Ok(taken(done.new == 0 && done.corrected.is_empty(), said, detail))
}

fn taken(already: bool, said: String, detail: Value) -> Told {
    let outcome = if already { Outcome::AlreadyTaken } else { Outcome::Taken };
    Told { outcome, said, code: None, remarks: Vec::new(), detail }
}

fn note(folder: &Folder, file: &Proved<'_>) -> take::Note {
    take::Note::new("folder.taken", folder, file.digest, json!({ "origin": file.origin }))
}

/// The bytes of a sheet, which are those that were proved.
fn sheet(file: &Proved<'_>) -> Result<Vec<u8>> {
    let failed = |e: io::Error| Error::Broken(format!("cannot read {}: {e}", file.name));
    let mut bytes = Vec::new();
    (file.open)().and_then(|f| f.take(LARGEST_SHEET + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST_SHEET {
        return Err(Error::NotFound(format!("{} is larger than any sheet: {LARGEST_SHEET} bytes at most", file.name)));
    }
    if sha256(&bytes) != *file.digest {
        return Err(Error::Busy(format!("{} changed while it was read", file.name)));
    }
    Ok(bytes)
}
