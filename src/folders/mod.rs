//! Folders that a bank or its gateway drops files into: each file is taken in once, then moved away.
//!
//! | what lies there | what happens | where it goes |
//! |---|---|---|
//! | a file that is still being written, or has no marker yet | it waits | stays |
//! | one whose checksum or signature is asked for and is not there yet | it waits | stays |
//! | one with a wrong checksum or signature | refused, with an event; nothing of it is read | refused, with a report |
//! | one that cannot be read, or is of an unknown account | refused | refused, with a report |
//! | one of which some statements are refused or wait for a person | taken | archive, with a report |
//! | one that is taken in, now or before | taken | archive |
//! | a checksum or signature of one that was taken without it | that file is verified by it | beside it |
//! | a link, a folder, a device, a temporary name, another pattern | left alone, and said | stays |
//!
//! The order is: prove the bytes, take them in, move the file. A crash between the last two changes nothing: the file is
//! found again, it is known by its digest, and moved. So do two watchers no harm: the second finds it known, or gone. A file
//! is moved only if it is the one whose bytes were read; what came under its name meanwhile is another file.
//!
//! Folders are asked again and again, and not told by the system: that works on every file system, also those of others.

use crate::config::{Demand, FolderKind, Ready};
use chrono::TimeDelta;
use std::fmt;
use std::path::PathBuf;

mod aside;
mod declare;
mod kinds;
mod late;
mod look;
mod names;
mod origin;
mod report;
mod take;

pub use aside::without_leftovers;
pub use declare::declared;
pub use late::came_late;
pub use look::{Found, Memory, State, look};
pub use origin::Key;
pub use take::{Desk, Outcome, Taken, stays, take};

/// A folder as it is declared, checked.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Its name.
    pub name: String,
    /// Where files come.
    pub incoming: PathBuf,
    /// Where they go when they were taken in.
    pub archive: PathBuf,
    /// Where they go when they were refused.
    pub refused: PathBuf,
    /// What they are.
    pub kind: FolderKind,
    /// Patterns of their names.
    pub names: Vec<String>,
    /// What says that one is complete.
    pub ready: Ready,
    /// How long one must not have changed.
    pub still: TimeDelta,
    /// Whether a checksum is asked for.
    pub checksum: Demand,
    /// Whether a signature is asked for.
    pub signature: Demand,
    /// Who may sign.
    pub keys: Vec<Key>,
    /// Where its profiles are, when not where all are.
    pub profiles: Option<PathBuf>,
    /// Whose rates come.
    pub source: Option<String>,
}

/// Why a folder or a file in it is refused, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// A folder is declared in a way that cannot work.
    BadFolder { problems: Vec<String> },
    /// There is none of that name.
    UnknownFolder { name: String, known: Vec<String> },
    /// The checksum beside a file is that of another one.
    WrongChecksum { why: String },
    /// The signature beside a file is not one of the keys'.
    WrongSignature { why: String },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::BadFolder { .. } => "bad_folder",
            Refusal::UnknownFolder { .. } => "unknown_folder",
            Refusal::WrongChecksum { .. } => "wrong_checksum",
            Refusal::WrongSignature { .. } => "wrong_signature",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::BadFolder { problems } => {
                write!(f, "the folders of the configuration cannot be used: {}", problems.join("; "))
            }
            Refusal::UnknownFolder { name, known } if known.is_empty() => write!(
                f,
                "there is no folder {name}: the configuration declares none; [folder.{name}] does (docs/folders.md)"
            ),
            Refusal::UnknownFolder { name, known } => {
                write!(f, "there is no folder {name}; the configuration declares {}", known.join(", "))
            }
            Refusal::WrongChecksum { why } | Refusal::WrongSignature { why } => f.write_str(why),
        }
    }
}
