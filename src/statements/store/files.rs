//! Files as received: rows, and bytes in chunks.

use super::Remark;
use crate::banking::{Profile, Profiles, Reader};
use crate::db::schema::{events, statement_chunks, statement_files};
use crate::db::seal::{Hash, hex};
use crate::db::{Conn, Db, Tx, Who, broken};
use crate::error::{Error, Result};
use crate::statements::survey::Survey;
use crate::time::stored;
use chrono::NaiveDateTime;
use diesel::prelude::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel::{RunQueryDsl, delete, insert_into, update};
use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;

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

/// Stores a file's bytes. Housekeeping: nothing follows from them until the file is accepted, and a crash leaves chunks that
/// the next attempt replaces.
pub fn store_file(db: &Db, who: &Arc<Who>, new: &NewFile, mut input: impl Read) -> Result<FileRow> {
    let mut next = || -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(CHUNK);
        let limit = u64::try_from(CHUNK).unwrap_or(u64::MAX);
        let read = input.by_ref().take(limit).read_to_end(&mut bytes);
        read.map_err(|e| Error::Broken(format!("cannot read {}: {e}", new.name))).map(|_| bytes)
    };
    let first = next()?;
    let row = db.write("statement.store", who, {
        let new = new.clone();
        move |tx| {
            let row = begin_storing(tx, &new)?;
            if row.state != "accepted" {
                insert_chunk(tx, &row.id, 0, &first)?;
            }
            Ok(row)
        }
    })?;
    if row.state == "accepted" {
        return Ok(row);
    }
    for seq in 1i64.. {
        let bytes = next()?;
        if bytes.is_empty() {
            break;
        }
        let file = row.id.clone();
        db.write_slice("statement.store", who, move |tx| insert_chunk(tx, &file, seq, &bytes))?;
    }
    Ok(row)
}

fn insert_chunk(tx: &mut Tx<'_>, file: &str, seq: i64, bytes: &[u8]) -> Result<()> {
    // Another import of the same bytes was quicker: what it has proved stays as it is.
    let state = statement_files::table.find(file).select(statement_files::state).first::<String>(tx.conn());
    if state.map_err(broken)? == "accepted" {
        return Ok(());
    }
    // Housekeeping may be done twice when the answer to its commit was lost.
    delete(statement_chunks::table.find((file, seq))).execute(tx.conn()).map_err(broken)?;
    let chunk = (statement_chunks::file.eq(file), statement_chunks::seq.eq(seq), statement_chunks::bytes.eq(bytes));
    insert_into(statement_chunks::table).values(chunk).execute(tx.conn()).map_err(broken)?;
    Ok(())
}

fn begin_storing(tx: &mut Tx<'_>, new: &NewFile) -> Result<FileRow> {
    if let Some(row) = file_by_content(tx.conn(), &new.sha256)? {
        // Taken in meanwhile by another process: its bytes are in use.
        if row.state != "accepted" {
            let old = statement_chunks::table.filter(statement_chunks::file.eq(&row.id));
            delete(old).execute(tx.conn()).map_err(broken)?;
        }
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
    io::BufReader::with_capacity(
        64 * 1024,
        StoredBytes { db, file: file.to_owned(), seq: 0, chunk: io::Cursor::default() },
    )
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
