//! A treasury to look at: fourteen products in two dozen markets, eleven bank accounts, ninety days of statements.
//!
//! The files are what banks, app stores and products would send, byte for byte, and the treasury file is what a person would
//! write; nothing goes into a database by a side door. The same seed gives the same bytes on every machine.
//!
//! | File | What |
//! | --- | --- |
//! | `treasury.rs`, `rulebook.rs` | who there is, and by which rules; the treasury file |
//! | `traffic.rs`, `traffic/dealings.rs` | what happens in a day, and what does not happen every day |
//! | `bank.rs`, `packed.rs` | the day as a statement; statements in an archive |
//! | `sheets.rs` | what others send as CSV: settlements, expected receipts, rates |
//! | `decisions.rs` | whose money is what nobody could place, as people found out |
//! | `names.rs`, `wording.rs`, `dice.rs` | who pays, in which words, and chance |

use crate::time::Instant;
use chrono::{NaiveDate, NaiveTime, TimeDelta};
use std::io;
use std::path::Path;

mod bank;
mod decisions;
mod dice;
mod names;
mod packed;
mod rulebook;
mod sheets;
#[cfg(test)]
mod tests;
mod traffic;
mod treasury;
mod wording;

/// A treasury file, and what banks and others sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demo {
    /// Chart, rules and settings.
    pub treasury_toml: String,
    /// By the moment at which they come; last, what nobody has taken in yet.
    pub files: Vec<DemoFile>,
    /// What people decided between them.
    pub answers: Answers,
}

/// A file as somebody sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoFile {
    /// Where it is kept: the code of the master, or what it is.
    pub folder: String,
    /// The file's name, unique in its folder.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// The day that it is of.
    pub day: NaiveDate,
    /// Which command takes it in.
    pub role: Role,
    /// When it is taken in; `None`: it is left for the reader of the demo to do so.
    pub comes: Option<Instant>,
}

/// What a file is to the treasury.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `statement import`
    Bank,
    /// `settlement import`
    Settlement,
    /// `expect import`
    Expected,
    /// `rates import --source`
    Rates,
}

pub use decisions::Answers;
/// Whose rates the files of rates are.
pub use treasury::RATES_SOURCE;

/// Makes the demo of a seed: the same for the same seed.
pub fn generate(seed: u64) -> Demo {
    let masters = treasury::masters();
    let first: NaiveDate = treasury::CUT_OVER.parse().expect("the cut-over is a date");
    let quarter = |(stream, master)| (master, bank::quarter(master, seed, stream, first));
    let quarters: Vec<_> = (0u64..).zip(&masters).map(quarter).collect();
    let mut files: Vec<DemoFile> = quarters.iter().flat_map(|(_, quarter)| quarter.files.clone()).collect();
    let last = files.iter().filter_map(|f| f.comes).max().unwrap_or_default();
    files.extend(sheets::settlements(&quarters, &mut dice::Dice::new(seed, 100)));
    files.extend(sheets::expected(&quarters, last));
    files.extend(sheets::rates(&mut dice::Dice::new(seed, 101), first, last));
    // Stable: what comes at one moment keeps its order.
    files.sort_by_key(|file| (file.comes.is_none(), file.comes));
    Demo { treasury_toml: treasury::toml(&masters), files, answers: decisions::answers(&masters) }
}

impl Demo {
    /// The noon before the first day, when the treasury is set up.
    pub fn began_at(&self) -> Instant {
        let first: NaiveDate = treasury::CUT_OVER.parse().unwrap_or_default();
        (first - TimeDelta::days(1)).and_time(NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default()).and_utc()
    }

    /// When all files are in.
    pub fn ended_at(&self) -> Instant {
        self.files.iter().filter_map(|f| f.comes).max().unwrap_or_default()
    }

    /// The files that nobody has taken in yet.
    pub fn left(&self) -> impl Iterator<Item = &DemoFile> {
        self.files.iter().filter(|f| f.comes.is_none())
    }

    /// Keeps the files in their folders, the treasury file beside them. A file that is there with the same bytes is left
    /// alone, so that a second run shows as no change.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        keep(&folder.join("treasury.toml"), self.treasury_toml.as_bytes())?;
        for file in &self.files {
            let inside = folder.join(&file.folder);
            std::fs::create_dir_all(&inside)?;
            keep(&inside.join(&file.name), &file.bytes)?;
        }
        Ok(())
    }
}

fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match std::fs::read(path) {
        Ok(there) if there == bytes => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => std::fs::write(path, bytes),
    }
}
