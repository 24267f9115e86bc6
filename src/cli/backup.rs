//! `tributary backup` and `tributary restore`: a treasury as one file, and back.

use super::{Context, print_json};
use crate::backup;
use crate::db::seal::hex;
use crate::error::Result;
use serde_json::json;
use std::path::PathBuf;

/// What is backed up, and where to.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// The file to write; it must not be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What is restored.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The file that `tributary backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Backs up.
pub fn back_up(context: &Context, args: &Backup) -> Result<()> {
    let db = context.open_to_read()?;
    let bar = context.progress(0, "rows");
    let made = backup::back_up(&db, &args.file, &mut |_, rows| bar.set_position(rows))?;
    bar.finish_and_clear();
    if context.json {
        return print_json(&json!({
            "file": made.path, "bytes": made.bytes, "sha256": hex(&made.sha256),
            "seal": made.head.seal, "seal_hash": hex(&made.head.hash), "entries": made.head.entry, "events": made.head.event,
        }));
    }
    say!(
        "{} holds {} up to seal {} ({} entries, {} events), proved; {} bytes.",
        made.path.display(),
        db.url(),
        made.head.seal,
        made.head.entry,
        made.head.event,
        made.bytes
    );
    say!("SHA-256 {}", hex(&made.sha256));
    say!("Whoever has this file can read all of it: keep it as safe as the database.");
    Ok(())
}

/// Restores.
pub fn restore(context: &Context, args: &Restore) -> Result<()> {
    let url = context.url()?;
    let bar = context.progress(0, "rows");
    let head = backup::restore(&args.file, &url, &context.who, &mut |_, rows| bar.set_position(rows))?;
    bar.finish_and_clear();
    if context.json {
        return print_json(&json!({
            "database": url.to_string(), "seal": head.seal, "seal_hash": hex(&head.hash),
            "entries": head.entry, "events": head.event,
        }));
    }
    say!(
        "{url} is what {} holds: up to seal {} ({} entries, {} events), proved.",
        args.file.display(),
        head.seal,
        head.entry,
        head.event
    );
    say!(
        "Rights, sessions and keys are those of then: end what was revoked since (`tributary people`, `tributary keys`)."
    );
    Ok(())
}
