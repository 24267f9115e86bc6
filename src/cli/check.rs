//! `tributary check`: the treasury proves itself.

use super::{Context, print_json};
use crate::app;
use crate::error::{Error, Result};
use serde_json::json;

/// Runs it.
pub fn run(context: &Context) -> Result<()> {
    let db = context.open_to_read()?;
    let bar = context.progress(0, "entries");
    let violations = app::check(&db, |done, total| {
        bar.set_length(u64::try_from(total).unwrap_or(0));
        bar.set_position(u64::try_from(done).unwrap_or(0));
    })?;
    bar.finish_and_clear();
    let head = db.read(crate::db::head)?;
    if context.json {
        print_json(&json!({ "ok": violations.is_empty(), "violations": violations }))?;
    } else {
        for v in &violations {
            say!("{v}");
        }
        if violations.is_empty() {
            say!(
                "{} entries, {} events and {} seals prove themselves; nothing is wrong.",
                head.entry,
                head.event,
                head.seal
            );
        }
    }
    if violations.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        code: "violations",
        message: format!("{} violations; move no money before they are understood", violations.len()),
    })
}
