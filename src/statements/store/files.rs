//! Files as received: rows, and bytes in chunks.

use super::Remark;
use crate::banking::{Profile, Profiles, Reader};
use crate::db::schema::{events, statement_chunks, statement_files};
use crate::db::seal::{Hash, Hashing, hex};
use crate::db::{Conn, Db, Tx, Who, broken};
use crate::error::{Error, Result};
use crate::statements::survey::{self, Survey};
use crate::time::stored;
use chrono::NaiveDateTime;
use diesel::prelude::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel::{RunQueryDsl, delete, insert_into, update};
use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// The origin of a file of which nothing proves who sent it.
pub const UNVERIFIED: &str = "unverified";

/// Bytes of a file per stored chunk.
const CHUNK: usize = 512 * 1024;

/// A file as received.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = statement_files, treat_none_as_default_value = false)]
pub struct FileRow {
    /// Its id.
    pub id: String,
    /// Digest of its bytes, hexadecimal.
    pub sha256: String,
    /// Its name where it came from.
    pub name: String,
    /// How it came.
    pub channel: String,
    /// Whether its sender was verified, and how.
    pub origin: String,
    /// Its format, or `unknown`.
    pub format: String,
    /// Bytes.
    pub size: i64,
    /// When.
    pub received_at: NaiveDateTime,
    /// The text of the declared profile that it is read by, where its format needs one.
    pub profile: Option<String>,
    /// `storing`, `accepted`, `refused`.
    pub state: String,
    /// JSON: problems of the file itself.
    pub problems: String,
    /// Grows with each change of its stored bytes.
    pub revision: i64,
}

/// The file with these bytes, if it came before.
pub fn file_by_content(conn: &mut Conn, sha256: &Hash) -> Result<Option<FileRow>> {
    let same = statement_files::table.filter(statement_files::sha256.eq(hex(sha256))).select(FileRow::as_select());
    same.first(conn).optional().map_err(broken)
}

/// A file by its id.
pub fn file(conn: &mut Conn, id: &str) -> Result<FileRow> {
    let found = statement_files::table.find(id).select(FileRow::as_select()).first(conn).optional().map_err(broken)?;
    found.ok_or_else(|| Error::NotFound(format!("there is no file {id}; `tributary statement show` lists them")))
}

/// All files, newest first.
pub fn files(conn: &mut Conn, limit: i64) -> Result<Vec<FileRow>> {
    let newest = statement_files::table.order(statement_files::id.desc()).limit(limit);
    newest.select(FileRow::as_select()).load(conn).map_err(broken)
}

/// Files before an id, newest first.
pub fn files_page(conn: &mut Conn, before: Option<&str>, limit: i64) -> Result<Vec<FileRow>> {
    let newest = statement_files::table.order(statement_files::id.desc()).select(FileRow::as_select()).limit(limit);
    match before {
        Some(before) => newest.filter(statement_files::id.lt(before)).load(conn).map_err(broken),
        None => newest.load(conn).map_err(broken),
    }
}

/// What is known of a file before it is stored.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Its name.
    pub name: String,
    /// How it came.
    pub channel: String,
    /// How its sender was verified, or [`UNVERIFIED`].
    pub origin: String,
    /// Digest of its bytes.
    pub sha256: Hash,
    /// Bytes.
    pub size: i64,
}

/// Stores a file's bytes, and surveys them on the way: what is stored was then read once, by two. Gives no proof when somebody
/// else stored something of this file at the same time: then it is for [`prove`] to read what stands there.
///
/// Housekeeping: nothing follows from them until the file is accepted, and a crash leaves chunks that the next attempt
/// completes. Two that store the same bytes at once write the same chunks; who writes others, because the file changed after
/// its digest was taken, moves the file's revision, and what was read before is not accepted.
pub fn store_file(
    db: &Db,
    who: &Arc<Who>,
    new: &NewFile,
    profiles: &Profiles,
    input: impl Read,
) -> Result<(FileRow, Option<Proven>)> {
    let mut chunks = Chunks { name: &new.name, input };
    // Most files are of one chunk: one commit.
    let (first, ahead) = (chunks.next()?, chunks.next()?);
    let only = ahead.is_empty();
    let (bytes, file) = (Arc::clone(&first), new.clone());
    let (row, began) = db.write("statement.store", who, move |tx| {
        let row = begin_storing(tx, &file)?;
        let began = insert_chunk(tx, &row.id, 0, &bytes)?;
        let ended = if only { end_at(tx, &row.id, 1)? } else { began };
        Ok((row, began.then(ended)))
    })?;
    if row.state == "accepted" {
        return Ok((row, None));
    }
    let (survey, sha256, revision) = if only {
        let mut bytes = Hashing::new(first.as_slice());
        let survey = survey::survey(io::BufReader::new(&mut bytes), profiles);
        (survey, bytes.finish(), Some(began.to))
    } else {
        let (hand, handed) = sync_channel(HANDED);
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let mut bytes = Hashing::new(Handed { chunks: handed, at: io::Cursor::default() });
                let survey = survey::survey(io::BufReader::with_capacity(READ, &mut bytes), profiles);
                (survey, bytes.finish())
            });
            let revision = store_rest(db, who, &row.id, (first, ahead, began), &mut chunks, hand)?;
            let (survey, sha256) = reading.join().map_err(|_| Error::Broken("the survey panicked".to_owned()))?;
            Ok::<_, Error>((survey, sha256, revision))
        })?
    };
    let sha256 = sha256.map_err(|e| Error::Broken(format!("cannot read {}: {e}", new.name)))?;
    if sha256 != new.sha256 {
        return Err(changed(&new.name));
    }
    let proven = revision.map(|revision| Proven { survey, file: row.id.clone(), revision });
    Ok((row, proven))
}

/// Stores what follows the first chunk, and hands all of it to whoever reads it. Gives the revision that the file has then, when
/// nobody else has changed it meanwhile.
fn store_rest(
    db: &Db,
    who: &Arc<Who>,
    file: &str,
    (first, mut ahead, began): (Chunk, Chunk, Revised),
    chunks: &mut Chunks<'_, impl Read>,
    hand: SyncSender<Chunk>,
) -> Result<Option<i64>> {
    let (mut revised, mut alone) = (began, true);
    // Who stops reading needs no more of it.
    let _ = hand.send(first);
    for seq in 1i64.. {
        if ahead.is_empty() {
            break;
        }
        let _ = hand.send(Arc::clone(&ahead));
        let (file, bytes) = (file.to_owned(), std::mem::replace(&mut ahead, chunks.next()?));
        let last = ahead.is_empty();
        let next = db.write_slice("statement.store", who, move |tx| {
            let stored = insert_chunk(tx, &file, seq, &bytes)?;
            Ok(if last { stored.then(end_at(tx, &file, seq + 1)?) } else { stored })
        })?;
        alone &= revised.to == next.from;
        revised = next;
    }
    Ok(alone.then_some(revised.to))
}

/// A part of a file, as it is stored.
type Chunk = Arc<Vec<u8>>;

/// How many chunks the survey may be behind.
const HANDED: usize = 4;

/// Bytes that a reader of a file takes at once.
const READ: usize = 64 * 1024;

/// The parts of a file that comes.
struct Chunks<'a, R> {
    name: &'a str,
    input: R,
}

impl<R: Read> Chunks<'_, R> {
    /// The next one; empty behind the last.
    fn next(&mut self) -> Result<Chunk> {
        let mut bytes = Vec::with_capacity(CHUNK);
        let limit = u64::try_from(CHUNK).unwrap_or(u64::MAX);
        let read = self.input.by_ref().take(limit).read_to_end(&mut bytes);
        read.map_err(|e| Error::Broken(format!("cannot read {}: {e}", self.name)))?;
        Ok(Arc::new(bytes))
    }
}

/// Reads what is handed over, up to its end.
struct Handed {
    chunks: Receiver<Chunk>,
    at: io::Cursor<Bytes>,
}

/// A chunk as a cursor reads it.
#[derive(Default)]
struct Bytes(Chunk);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Read for Handed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.at.read(out)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            match self.chunks.recv() {
                Ok(next) => self.at = io::Cursor::new(Bytes(next)),
                Err(_) => return Ok(0),
            }
        }
    }
}

/// The revision of a file before and after a change.
#[derive(Debug, Clone, Copy)]
struct Revised {
    from: i64,
    to: i64,
}

impl Revised {
    fn then(self, next: Revised) -> Revised {
        Revised { from: self.from, to: next.to }
    }
}

/// Whether the bytes of a file are proved already: another import of the same was quicker, and they stay as they are.
fn is_proved(tx: &mut Tx<'_>, file: &str) -> Result<bool> {
    let state = statement_files::table.find(file).select(statement_files::state).first::<String>(tx.conn());
    Ok(state.map_err(broken)? == "accepted")
}

fn revision(tx: &mut Tx<'_>, file: &str) -> Result<i64> {
    statement_files::table.find(file).select(statement_files::revision).first(tx.conn()).map_err(broken)
}

fn bytes_changed(tx: &mut Tx<'_>, file: &str) -> Result<()> {
    let next = statement_files::revision.eq(statement_files::revision + 1);
    update(statement_files::table.find(file)).set(next).execute(tx.conn()).map_err(broken)?;
    Ok(())
}

/// An attempt of other bytes, or in chunks of another size, may have left more.
fn end_at(tx: &mut Tx<'_>, file: &str, seq: i64) -> Result<Revised> {
    let from = revision(tx, file)?;
    let beyond = statement_chunks::table.filter(statement_chunks::file.eq(file)).filter(statement_chunks::seq.ge(seq));
    if is_proved(tx, file)? || delete(beyond).execute(tx.conn()).map_err(broken)? == 0 {
        return Ok(Revised { from, to: from });
    }
    bytes_changed(tx, file)?;
    Ok(Revised { from, to: from + 1 })
}

fn insert_chunk(tx: &mut Tx<'_>, file: &str, seq: i64, bytes: &[u8]) -> Result<Revised> {
    let from = revision(tx, file)?;
    // Housekeeping may be done twice when the answer to its commit was lost.
    let there = statement_chunks::table.find((file, seq)).select(statement_chunks::bytes);
    let there: Option<Vec<u8>> = there.first(tx.conn()).optional().map_err(broken)?;
    if there.as_deref() == Some(bytes) || is_proved(tx, file)? {
        return Ok(Revised { from, to: from });
    }
    if there.is_some() {
        delete(statement_chunks::table.find((file, seq))).execute(tx.conn()).map_err(broken)?;
    }
    bytes_changed(tx, file)?;
    let chunk = (statement_chunks::file.eq(file), statement_chunks::seq.eq(seq), statement_chunks::bytes.eq(bytes));
    insert_into(statement_chunks::table).values(chunk).execute(tx.conn()).map_err(broken)?;
    Ok(Revised { from, to: from + 1 })
}

fn begin_storing(tx: &mut Tx<'_>, new: &NewFile) -> Result<FileRow> {
    if let Some(row) = file_by_content(tx.conn(), &new.sha256)? {
        // What is stored of it stays: another process may be storing it at this moment.
        return set_origin(tx, row, &new.origin);
    }
    let row = FileRow {
        id: tx.id("file"),
        sha256: hex(&new.sha256),
        name: new.name.clone(),
        channel: new.channel.clone(),
        origin: UNVERIFIED.to_owned(),
        format: "unknown".to_owned(),
        size: new.size,
        profile: None,
        received_at: stored(tx.now()),
        state: "storing".to_owned(),
        problems: "[]".to_owned(),
        revision: 0,
    };
    insert_into(statement_files::table).values(&row).execute(tx.conn()).map_err(broken)?;
    set_origin(tx, row, &new.origin)
}

/// A file that is known comes again, by a channel that may prove more than the one that it came by first.
pub fn verify_origin(db: &Db, who: &Arc<Who>, file: &FileRow, origin: &str) -> Result<()> {
    if strength(origin) <= strength(&file.origin) {
        return Ok(());
    }
    let (id, origin) = (file.id.clone(), origin.to_owned());
    db.write("statement.origin", who, move |tx| {
        let row = self::file(tx.conn(), &id)?;
        set_origin(tx, row, &origin).map(drop)
    })
}

/// Writes down what is now known of a file's sender; what was proved before is never taken back.
fn set_origin(tx: &mut Tx<'_>, row: FileRow, origin: &str) -> Result<FileRow> {
    if strength(origin) <= strength(&row.origin) {
        return Ok(row);
    }
    let set = statement_files::origin.eq(origin);
    update(statement_files::table.find(&row.id)).set(set).execute(tx.conn()).map_err(broken)?;
    let before = serde_json::json!({ "origin": row.origin }).to_string();
    let after = serde_json::json!({ "origin": origin, "sha256": row.sha256 }).to_string();
    tx.event("statement.origin_verified", &row.id, Some(before), Some(after));
    Ok(FileRow { origin: origin.to_owned(), ..row })
}

/// A signature proves who sent a file, a checksum only that it is complete.
fn strength(origin: &str) -> u8 {
    match origin {
        UNVERIFIED => 0,
        _ if origin.starts_with("signed") => 2,
        _ => 1,
    }
}

/// Files of which is written down where they are from otherwise than the events have sealed it: for `check`.
pub(in crate::statements) fn unsealed_origins(conn: &mut Conn) -> Result<Vec<String>> {
    let told = events::table.filter(events::kind.eq("statement.origin_verified")).order(events::number);
    let told: Vec<(String, Option<String>)> =
        told.select((events::subject, events::after)).load(conn).map_err(broken)?;
    let mut sealed: HashMap<String, String> = HashMap::new();
    for (file, after) in told {
        let after: serde_json::Value = serde_json::from_str(&after.unwrap_or_default()).unwrap_or_default();
        sealed.insert(file, after["origin"].as_str().unwrap_or_default().to_owned());
    }
    let rows = statement_files::table.select((statement_files::id, statement_files::origin));
    let rows: Vec<(String, String)> = rows.order(statement_files::id).load(conn).map_err(broken)?;
    let mut wrong = Vec::new();
    for (id, origin) in rows {
        let sealed = sealed.remove(&id).unwrap_or_else(|| UNVERIFIED.to_owned());
        if sealed != origin {
            wrong.push(format!("the origin of file {id} is {origin:?}, but its event says {sealed:?}"));
        }
    }
    wrong.extend(sealed.into_keys().map(|id| format!("file {id}, whose origin was sealed, is gone")));
    Ok(wrong)
}

/// What a stored file was proved to say, and of which bytes that was read.
#[derive(Debug)]
pub struct Proven {
    /// What it says.
    pub survey: Survey,
    file: String,
    revision: i64,
}

impl Proven {
    /// The file.
    pub fn file(&self) -> &str {
        &self.file
    }
}

/// Surveys a stored file: in one reading it is proved to be what came, and read.
pub fn prove(db: &Db, file: &FileRow, profiles: &Profiles) -> Result<Proven> {
    let failed = |e: io::Error| Error::Broken(format!("cannot read the stored {}: {e}", file.name));
    // Before the first byte: who changes one after this moves it.
    let revision = db.read(|conn| self::file(conn, &file.id))?.revision;
    let mut bytes = Hashing::new(stored_bytes(db, &file.id));
    let survey = survey::survey(io::BufReader::new(&mut bytes), profiles);
    if hex(&bytes.finish().map_err(failed)?) != file.sha256 {
        return Err(changed(&file.name));
    }
    Ok(Proven { survey, file: file.id.clone(), revision })
}

/// Whether the stored bytes are still those that were surveyed: asked in the commit that accepts them.
pub(in crate::statements) fn is_as_proved(tx: &mut Tx<'_>, proven: &Proven) -> Result<()> {
    let row = file(tx.conn(), &proven.file)?;
    if row.revision == proven.revision { Ok(()) } else { Err(changed(&row.name)) }
}

fn changed(name: &str) -> Error {
    Error::Conflict(format!("{name} changed while it was read; import it again when it is complete"))
}

/// The accepted files after this one, by id, a page of them; with their digests: for `check`.
pub(in crate::statements) fn accepted_after(conn: &mut Conn, after: &str) -> Result<Vec<(String, String)>> {
    let page =
        statement_files::table.filter(statement_files::state.eq("accepted")).filter(statement_files::id.gt(after));
    let page = page.select((statement_files::id, statement_files::sha256)).order(statement_files::id).limit(1_000);
    page.load(conn).map_err(broken)
}

/// What the survey says of the file itself.
pub(in crate::statements) fn set_file_state(tx: &mut Tx<'_>, file: &str, state: &str) -> Result<()> {
    update(statement_files::table.find(file))
        .set(statement_files::state.eq(state))
        .execute(tx.conn())
        .map_err(broken)?;
    Ok(())
}

/// Writes down the file's format and problems.
pub fn set_survey(tx: &mut Tx<'_>, file: &str, survey: &Survey) -> Result<()> {
    let remarks: Vec<Remark> = survey.problems.iter().map(Remark::from).collect();
    let problems = serde_json::to_string(&remarks).map_err(|e| Error::Broken(e.to_string()))?;
    let format = survey.format.map_or("unknown", |f| f.as_str());
    let profile = survey.profile.as_deref();
    let set = (
        statement_files::format.eq(format),
        statement_files::problems.eq(problems),
        statement_files::profile.eq(profile),
    );
    update(statement_files::table.find(file)).set(set).execute(tx.conn()).map_err(broken)?;
    if survey.refused() {
        set_file_state(tx, file, "refused")?;
        let after = serde_json::json!({ "problems": remarks });
        tx.event("statement.file_refused", file, None, Some(after.to_string()));
    }
    Ok(())
}

/// The bytes of a stored file, read chunk by chunk in short snapshots.
pub struct StoredBytes<'a> {
    db: &'a Db,
    file: String,
    seq: i64,
    chunk: io::Cursor<Vec<u8>>,
}

/// Reads a stored file.
pub fn stored_bytes<'a>(db: &'a Db, file: &str) -> io::BufReader<StoredBytes<'a>> {
    io::BufReader::with_capacity(READ, StoredBytes { db, file: file.to_owned(), seq: 0, chunk: io::Cursor::default() })
}

/// Reads the events of a stored file, by the profile that it was surveyed with.
pub fn stored_events<'a>(db: &'a Db, file: &FileRow) -> Result<Reader<io::BufReader<StoredBytes<'a>>>> {
    let profile = file.profile.as_deref().map(Profile::parse).transpose();
    let profile = profile.map_err(|e| Error::Broken(format!("the stored profile of {}: {e}", file.name)))?;
    let profiles = profile.map(Profiles::named).unwrap_or_default();
    Ok(Reader::with_profiles(stored_bytes(db, &file.id), &profiles))
}

impl Read for StoredBytes<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.chunk.read(out)?;
        if read > 0 || out.is_empty() {
            return Ok(read);
        }
        let (file, seq) = (&self.file, self.seq);
        let next = self.db.read(|conn| {
            let chunk = statement_chunks::table.find((file, seq)).select(statement_chunks::bytes);
            chunk.first::<Vec<u8>>(conn).optional().map_err(broken)
        });
        match next.map_err(io::Error::other)? {
            None => Ok(0),
            Some(bytes) => {
                self.seq += 1;
                self.chunk = io::Cursor::new(bytes);
                self.chunk.read(out)
            }
        }
    }
}
