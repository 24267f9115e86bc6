//! A treasury as one file: made beside a working server, proved before it counts, and made into a database again.
//!
//! The file is always SQLite, whatever it was made from, so a treasury that began on SQLite moves to PostgreSQL, or back, by a
//! backup and a restore. It holds everything that the database holds: whoever has it can read all of it.

use crate::app;
use crate::db::{Db, Head, Url, Who, copy, head, seal};
use crate::error::{Error, Result};
use crate::time::SystemClock;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a treasury is not backed up or restored, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// There is a file of that name.
    BackupExists { path: PathBuf },
    /// What would be restored to is there already.
    RestoreOver { what: String },
    /// The copy is damaged.
    Unproved { violations: usize, first: String },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::BackupExists { .. } => "backup_exists",
            Refusal::RestoreOver { .. } => "restore_over",
            Refusal::Unproved { .. } => "unproved_copy",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::BackupExists { path } => {
                write!(f, "{} is there already, and a backup replaces nothing; give another name", path.display())
            }
            Refusal::RestoreOver { what } => write!(
                f,
                "{what} is there already, and a restore replaces nothing; name a database that is not there (SQLite) or empty (PostgreSQL)"
            ),
            Refusal::Unproved { violations, first } => write!(
                f,
                "the copy does not prove itself ({violations} violations, first: {first}), so it was not kept; `tributary check` says more of where it was made from"
            ),
        }
    }
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where it lies.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// What it hashes to.
    pub sha256: seal::Hash,
    /// The newest seal in it.
    pub head: Head,
}

/// Makes a backup of a treasury that may be at work. The file has its name only when it is whole, durable and proved.
pub fn back_up(db: &Db, to: &Path, progress: copy::Progress<'_>) -> Result<Backup> {
    if to.exists() {
        return Err(Refusal::BackupExists { path: to.to_owned() }.into());
    }
    let part = Part::beside(to)?;
    copy::to_file(db.url(), &part.0, progress)?;
    let head = prove(&part.0)?;
    let unread = |e: std::io::Error| Error::Broken(format!("cannot read {}: {e}", part.0.display()));
    let file = File::open(&part.0).map_err(unread)?;
    file.sync_all().map_err(unread)?;
    let (sha256, bytes) = seal::sha256_of(file).map_err(unread)?;
    part.becomes(to)?;
    Ok(Backup { path: to.to_owned(), bytes: u64::try_from(bytes).unwrap_or(0), sha256, head })
}

/// Makes a database from a backup, proves it, and records that it was restored. Gives the newest seal that the backup had.
pub fn restore(file: &Path, to: &Url, who: &Arc<Who>, progress: copy::Progress<'_>) -> Result<Head> {
    let over = || Refusal::RestoreOver { what: to.to_string() };
    let head = match to {
        Url::Lite(path) => {
            // A log that a lost database has left would be played into this one.
            let left = ["", "-wal", "-journal"].map(|end| with_end(path, end));
            if let Some(there) = left.iter().find(|p| p.exists()) {
                return Err(Refusal::RestoreOver { what: there.display().to_string() }.into());
            }
            let part = Part::beside(path)?;
            copy::from_file(file, &Url::Lite(part.0.clone()), progress)?;
            let head = prove(&part.0)?;
            part.becomes(path)?;
            head
        }
        Url::Pg(_) => {
            copy::from_file(file, to, progress)
                .map_err(|e| if let Error::Conflict(_) = e { over().into() } else { e })?;
            proved(&Db::open_to_read(to, Arc::new(SystemClock))?)?
        }
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Db::open(to, crate::db::Options::default())?.write("database.restore", who, move |tx| {
        let after = serde_json::json!({ "file": name, "seal": tx.seal() - 1 });
        tx.event("database.restored", "database", None, Some(after.to_string()));
        Ok(())
    })?;
    Ok(head)
}

fn prove(file: &Path) -> Result<Head> {
    proved(&Db::open_to_read(&Url::Lite(file.to_owned()), Arc::new(SystemClock))?)
}

fn proved(db: &Db) -> Result<Head> {
    let violations = app::check(db, |_, _| {})?;
    match violations.first() {
        None => db.read(head),
        Some(first) => Err(Refusal::Unproved { violations: violations.len(), first: first.to_string() }.into()),
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// A file that is being made: gone unless it gets its name.
struct Part(PathBuf);

impl Part {
    fn beside(path: &Path) -> Result<Part> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|f| !f.is_dir()) {
            return Err(Error::NotFound(format!("the folder {} does not exist; make it first", folder.display())));
        }
        let part = Part(with_end(path, &format!(".{}.part", std::process::id())));
        part.remove();
        let failed = |e: std::io::Error| Error::Broken(format!("cannot write {}: {e}", part.0.display()));
        let mut made = std::fs::OpenOptions::new();
        made.write(true).create_new(true);
        // It holds everything: nobody else reads it. An empty file is as good as none to SQLite.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut made, 0o600);
        made.open(&part.0).map_err(failed)?;
        Ok(part)
    }

    fn becomes(self, path: &Path) -> Result<()> {
        let failed = |e: std::io::Error| Error::Broken(format!("cannot give {} its name: {e}", path.display()));
        // A link, not a rename: it replaces nothing that has come meanwhile.
        std::fs::hard_link(&self.0, path).map_err(failed)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    fn remove(&self) {
        for end in ["", "-wal", "-shm", ".lock"] {
            // What is not there need not go.
            let _ = std::fs::remove_file(with_end(&self.0, end));
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.remove();
    }
}
