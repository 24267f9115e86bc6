//! Bank files over HTTP: a file's bytes are the body of a request, and its digest is what makes it the same file again.

use super::{Arrival, TakenIn, take_in_by};
use crate::access::Permission;
use crate::allocation::api::{FileProblem, Masters, Statement, most, problems, statement_of};
use crate::banking::{Profile, Profiles};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::http::{Call, Limit, Nothing, Operation, Page, Paging, Refusal, get, post};
use crate::scope::Scope;
use crate::statements;
use crate::time::{from_stored, rfc3339};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::{Read, Seek, Write};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// The rows of bank files.
pub fn operations() -> Vec<Operation> {
    let read = Permission::StatementsRead;
    vec![
        post(
            "/v1/statement-files",
            "statement_files.take_in",
            "Take a bank file in: its bytes are the body, and what makes it the same file again",
        )
        .may(Permission::StatementsImport)
        .streams(take_in),
        get("/v1/statement-files", "statement_files.list", "Files as they came, the newest first")
            .may(read)
            .reads(files),
        get("/v1/statement-files/{file}", "statement_files.show", "One file and its statements, by id or digest")
            .may(read)
            .reads(file),
        get("/v1/profiles", "profiles.list", "What this server knows of banks' own files, such as CSV")
            .may(read)
            .reads(all_profiles),
    ]
}

/// How a file is called, and what it is read by where it does not say itself what it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Upload {
    /// Its name where it came from.
    name: String,
    /// The name of a profile of this server's that a CSV or BAI2 file is read by; without one, CSV is read by the profile whose header it has.
    profile: Option<String>,
    /// The text of a profile (TOML) that comes with the file.
    profile_toml: Option<String>,
}

/// The profiles that a file is read by.
fn profiles_for(call: &Call, upload: &Upload) -> Result<Profiles> {
    let bad = |why: String| Error::from(Refusal::BadQuery { why });
    match (&upload.profile, &upload.profile_toml) {
        (None, None) => Ok(call.profiles().clone()),
        (Some(name), None) => call.profiles().by_name(name).cloned().map(Profiles::named).ok_or_else(|| {
            bad(format!("there is no profile {name} here: /v1/profiles lists them, and profile_toml brings one along"))
        }),
        (None, Some(text)) => Profile::parse(text).map(Profiles::named).map_err(|problem| Error::Refused {
            code: "unusable_profile",
            message: format!("profile_toml: {}", problem.trim_end()),
        }),
        (Some(_), Some(_)) => Err(bad("profile or profile_toml: a file is read by one".to_owned())),
    }
}

/// A profile that this server has.
#[derive(Serialize, JsonSchema)]
struct FileProfile {
    /// By which a file that is sent can name it.
    name: String,
    /// Of which files it tells: `csv` or `bai2`.
    format: String,
    /// All of it, as TOML.
    toml: String,
}

fn all_profiles(call: &Call, paging: &Paging) -> Result<Page<FileProfile>> {
    let mut all = Vec::new();
    // A profile tells of a bank's accounts, whoever they are of.
    for p in call.profiles().all().iter().filter(|_| call.scope().is_everything()) {
        let format = p.format().as_str().to_owned();
        all.push(FileProfile { name: p.name().to_owned(), format, toml: p.text().to_owned() });
    }
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(call.page_of(all, paging.limit, |p| p.name.clone()))
}

/// A file, and what became of it.
#[derive(Serialize, JsonSchema)]
struct BankFile {
    /// Its id; null while it is being stored.
    id: Option<String>,
    /// SHA-256 of its bytes, hexadecimal.
    sha256: String,
    /// Its name where it came from.
    name: String,
    /// `taking_in`, `storing`, `accepted` or `refused`.
    state: String,
    /// Such as `camt.053`.
    format: Option<String>,
    /// How it came.
    channel: Option<String>,
    /// Whether its sender was verified, and how.
    origin: Option<String>,
    /// Bytes.
    size: i64,
    /// When; RFC 3339.
    received_at: Option<String>,
    /// What is wrong with the file itself.
    problems: Vec<FileProblem>,
    /// In the order of the file.
    statements: Vec<Statement>,
    /// Whether lines of it are still being posted.
    posting: bool,
}

/// A file may tell of any master, so it takes the whole treasury to take one in, and to see one.
fn take_in(call: &Call, upload: &Upload, body: &mut dyn Read) -> Result<BankFile> {
    call.scope().need_everything("a bank file, which may tell of any master,")?;
    let name = upload.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err(Refusal::BadQuery { why: "name is the file's name: 1 to 200 signs".to_owned() }.into());
    }
    let profiles = profiles_for(call, upload)?;
    let broken = |e: std::io::Error| Error::Broken(format!("an upload cannot be kept: {e}"));
    // Read twice: once for the digest by which it is known, once to store it. So it is put aside first.
    let mut aside = tempfile::tempfile().map_err(broken)?;
    let mut size = 0i64;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read = body.read(&mut chunk).map_err(|e| Refusal::of_read(&e))?;
        let Some(part) = chunk.get(..read).filter(|p| !p.is_empty()) else { break };
        aside.write_all(part).map_err(broken)?;
        size = size.saturating_add(i64::try_from(part.len()).unwrap_or(i64::MAX));
    }
    if size == 0 {
        return Err(Refusal::no_file().into());
    }
    aside.rewind().map_err(broken)?;
    let (sha256, _) = crate::db::seal::sha256_of(&aside).map_err(broken)?;
    let sha256 = crate::db::seal::hex(&sha256);
    let (done, ends) = sync_channel(1);
    let (db, who, of) = (call.shared_db(), Arc::clone(call.who()), name.clone());
    std::thread::spawn(move || {
        let open = || -> std::io::Result<Box<dyn Read>> {
            let mut again = aside.try_clone()?;
            again.rewind()?;
            Ok(Box::new(again))
        };
        let arrival = Arrival { name: &of, channel: "http", profiles: &profiles };
        let taken = take_in_by(&db, &who, &arrival, &open, &mut |_, _| {});
        if let Err(e) = &taken {
            tracing::info!(%e, "a file that came over HTTP was not taken in");
        }
        // Whoever asked may be gone; the file says what became of it.
        let _ = done.send(taken.map(|TakenIn { file, .. }| file.id));
    });
    match ends.recv_timeout(LONG) {
        Ok(taken) => {
            let id = taken?;
            call.read(|conn| file_seen(conn, call.scope(), &id))
        }
        Err(RecvTimeoutError::Timeout) => {
            Ok(BankFile { state: "taking_in".to_owned(), posting: true, size, ..BankFile::unknown(name, sha256) })
        }
        Err(RecvTimeoutError::Disconnected) => {
            Err(Error::Broken("the thread that took a file in has ended".to_owned()))
        }
    }
}

/// What takes longer goes on by itself.
const LONG: Duration = Duration::from_secs(10);

impl BankFile {
    fn unknown(name: String, sha256: String) -> BankFile {
        BankFile {
            id: None,
            sha256,
            name,
            state: String::new(),
            format: None,
            channel: None,
            origin: None,
            size: 0,
            received_at: None,
            problems: Vec::new(),
            statements: Vec::new(),
            posting: false,
        }
    }
}

fn bank_file(conn: &mut Conn, masters: &Masters, f: statements::FileRow) -> Result<BankFile> {
    let statements: Vec<Statement> =
        statements::statements_of_file(conn, &f.id)?.into_iter().map(|s| statement_of(masters, s)).collect();
    Ok(BankFile {
        posting: f.state == "storing" || statements.iter().any(|s| s.state == "posting"),
        id: Some(f.id),
        state: f.state,
        format: Some(f.format),
        channel: Some(f.channel),
        origin: Some(f.origin),
        size: f.size,
        received_at: Some(rfc3339(from_stored(f.received_at))),
        problems: problems(&f.problems),
        statements,
        ..BankFile::unknown(f.name, f.sha256)
    })
}

/// By id, or by the digest of its bytes.
fn file_seen(conn: &mut Conn, scope: &Scope, id: &str) -> Result<BankFile> {
    let absent = || Error::NotFound(format!("there is no file {id}"));
    if !scope.is_everything() {
        return Err(absent());
    }
    let masters = Masters::of(conn, scope)?;
    let digest = (id.len() == 64).then(|| {
        let byte = |at: usize| u8::from_str_radix(id.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..32).map(|n| byte(n * 2)).collect();
        bytes.and_then(|b| <[u8; 32]>::try_from(b).ok())
    });
    let row = match digest.flatten() {
        Some(digest) => statements::file_by_content(conn, &digest)?.ok_or_else(absent)?,
        None => statements::file(conn, id).map_err(|e| if e.code() == "not_found" { absent() } else { e })?,
    };
    bank_file(conn, &masters, row)
}

fn file(call: &Call, _: &Nothing) -> Result<BankFile> {
    call.read(|conn| file_seen(conn, call.scope(), call.path("file")))
}

fn files(call: &Call, paging: &Paging) -> Result<Page<BankFile>> {
    let limit = Limit::of(paging.limit);
    let (items, more) = call.read(|conn| {
        if !call.scope().is_everything() {
            return Ok((Vec::new(), false));
        }
        let masters = Masters::of(conn, call.scope())?;
        let rows = statements::files_page(conn, call.position(), most(limit))?;
        let more = rows.len() > limit;
        let items = rows.into_iter().take(limit).map(|f| bank_file(conn, &masters, f)).collect::<Result<Vec<_>>>()?;
        Ok((items, more))
    })?;
    let next = items.last().filter(|_| more).and_then(|f| f.id.clone());
    Ok(call.page(items, next))
}
