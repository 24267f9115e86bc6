//! The report that lies beside a file of which not everything was taken: for the person who finds it, without Tributary at hand.

use super::Folder;
use super::take::Outcome;
use crate::db::seal::{Hash, hex};
use crate::statements::Remark;
use crate::time::{Instant, rfc3339};
use std::fmt::Write;

/// What a report is about.
pub(super) struct About<'a> {
    pub(super) folder: &'a Folder,
    pub(super) name: &'a str,
    pub(super) at: Instant,
    pub(super) digest: &'a Hash,
    pub(super) origin: &'a str,
    pub(super) outcome: Outcome,
    pub(super) code: &'a str,
    pub(super) said: &'a str,
    pub(super) remarks: &'a [Remark],
}

/// The text of a report.
pub(super) fn text(about: &About<'_>) -> String {
    let About { folder, name, at, digest, origin, outcome, code, said, remarks } = about;
    let refused = *outcome == Outcome::Refused;
    // Whoever finds this does not know where Tributary was started.
    let incoming = std::path::absolute(&folder.incoming).unwrap_or_else(|_| folder.incoming.clone());
    let incoming = incoming.display();
    let mut out = String::new();
    let mut line = |text: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{text}");
    };
    line(format!("{}: {name}", if refused { "REFUSED" } else { "NOT POSTED IN WHOLE" }));
    line(String::new());
    line(format!("came by   folder {}, {incoming}", folder.name));
    line(format!("read at   {}", rfc3339(*at)));
    line(format!("SHA-256   {}", hex(*digest)));
    line(format!("origin    {origin}"));
    line(String::new());
    line(format!("What is wrong ({code})"));
    line(format!("  {said}"));
    if !remarks.is_empty() {
        line(String::new());
        line("Where".to_owned());
        remarks.iter().for_each(|r| line(format!("  {}: {}", r.at, r.problem)));
    }
    line(String::new());
    line("What to do".to_owned());
    line(format!("  {}", mend(code, refused)));
    if refused {
        line(format!("  Then drop the file into {incoming} again; it may have the same name."));
    } else {
        line(format!("  Where a statement is refused, mend that and drop the file into {incoming} again:"));
        line("  what was posted stays as it is, and nothing is posted twice.".to_owned());
    }
    out
}

fn mend(code: &str, refused: bool) -> &'static str {
    match code {
        "wrong_checksum" => "Ask the sender to send file and checksum again: what came is not what was sent.",
        "wrong_signature" => {
            "Do not take it by hand before you know who sent it. Ask the bank, by a way that you know; if it has a new key, add it to the keys of the folder."
        }
        "unreadable_file" => "Ask the sender for the file again, or mend it where it says above.",
        _ if refused => "Mend what is said above: in the file, or in the treasury where that is what is missing.",
        _ => {
            "Decide on what waits (`tributary statement breaks` lists it); mend what was refused, and drop the file again."
        }
    }
}
