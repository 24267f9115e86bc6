//! I9: what was taken in still adds up, line by line. I2, I10: what was decided, proved and told of it is as its events say,
//! and the bytes of each file are those that came.

use super::store;
use crate::db::Db;
use crate::db::seal::{hex, sha256_of};
use crate::error::{Error, Result};
use crate::ledger::check::Violation;

/// Each posted statement's opening plus its stored lines is its closing; each line belongs to a statement.
pub fn check(db: &Db) -> Result<Vec<Violation>> {
    let (wrong, orphans) = db.read(store::unsound)?;
    let unsealed = db
        .read(store::unsealed)?
        .into_iter()
        .chain(db.read(store::unsealed_origins)?)
        .map(|what| Violation::new("I2", what));
    let wrong = wrong.into_iter().map(|what| Violation::new("I9", what));
    let orphans = orphans.into_iter().map(|id| Violation::new("I6", format!("line {id} belongs to no statement")));
    let untold = db.read(store::untold_alarms)?.into_iter().map(|what| Violation::new("I10", what));
    let altered = altered_files(db)?.into_iter().map(|what| Violation::new("I2", what));
    Ok(wrong.chain(orphans).chain(untold).chain(unsealed).chain(altered).collect())
}

/// Accepted files whose stored bytes are not those of their digest; read chunk by chunk, page by page of files.
fn altered_files(db: &Db) -> Result<Vec<String>> {
    let (mut altered, mut after) = (Vec::new(), String::new());
    loop {
        let page = db.read(|conn| store::accepted_after(conn, &after))?;
        let Some((last, _)) = page.last() else { return Ok(altered) };
        after.clone_from(last);
        for (id, sha256) in page {
            let (digest, _) = sha256_of(store::stored_bytes(db, &id))
                .map_err(|e| Error::Broken(format!("cannot read the stored file {id}: {e}")))?;
            if hex(&digest) != sha256 {
                altered.push(format!("the stored bytes of file {id} are not those that came as {sha256}"));
            }
        }
    }
}
