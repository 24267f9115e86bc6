//! A treasury to look at: fourteen products in two dozen markets, eleven bank accounts, ninety days of statements.
//!
//! The files are what banks would send, byte for byte, and the treasury file is what a person would write; nothing goes
//! into a database by a side door. The same seed gives the same bytes on every machine.
//!
//! | File | What |
//! | --- | --- |
//! | `treasury.rs`, `rulebook.rs` | who there is, and by which rules; the treasury file |
//! | `traffic.rs` | what happens in a day |
//! | `bank.rs` | the day as a statement |
//! | `names.rs`, `wording.rs`, `dice.rs` | who pays, in which words, and chance |

use crate::time::Instant;
use chrono::{NaiveDate, NaiveTime, TimeDelta};
use std::io;
use std::path::Path;

mod bank;
mod dice;
mod names;
mod rulebook;
#[cfg(test)]
mod tests;
mod traffic;
mod treasury;
mod wording;

/// A treasury file and what its banks sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demo {
    /// Chart and rules.
    pub treasury_toml: String,
    /// By day, then in the order of the masters.
    pub files: Vec<BankFile>,
}

/// A statement as a bank sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankFile {
    /// The code of the master.
    pub master: String,
    /// The file's name, unique in its master.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// The day that it is of.
    pub day: NaiveDate,
}

/// Makes the demo of a seed: the same for the same seed.
pub fn generate(seed: u64) -> Demo {
    let masters = treasury::masters();
    let first: NaiveDate = treasury::CUT_OVER.parse().expect("the cut-over is a date");
    let statements = |(stream, master)| bank::statements(master, seed, stream, first);
    let mut files: Vec<BankFile> = (0u64..).zip(&masters).flat_map(statements).collect();
    // Stable: within a day the masters keep their order.
    files.sort_by_key(|file| file.day);
    Demo { treasury_toml: treasury::toml(&masters), files }
}

impl Demo {
    /// The noon before the first day, when the treasury is set up.
    pub fn began_at(&self) -> Instant {
        let first = self.files.first().map_or_else(NaiveDate::default, |f| f.day);
        (first - TimeDelta::days(1)).and_time(NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default()).and_utc()
    }

    /// The day after the last, when all files are in.
    pub fn ended_on(&self) -> NaiveDate {
        self.files.last().map_or_else(NaiveDate::default, |f| f.day + TimeDelta::days(1))
    }

    /// Keeps the files in a folder: one folder for each master, the treasury file beside them. A file that is there with the
    /// same bytes is left alone, so that a second run shows as no change.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        keep(&folder.join("treasury.toml"), self.treasury_toml.as_bytes())?;
        for file in &self.files {
            let of_master = folder.join(&file.master);
            std::fs::create_dir_all(&of_master)?;
            keep(&of_master.join(&file.name), &file.bytes)?;
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
