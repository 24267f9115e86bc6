//! I9: what was taken in still adds up, line by line. I2, I10: what was decided, proved and told of it is as its events say.

use super::store;
use crate::db::Db;
use crate::error::Result;
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
    Ok(wrong.chain(orphans).chain(untold).chain(unsealed).collect())
}
