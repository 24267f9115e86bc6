//! I6 and I8: every posting on a master comes from one line, and every line is routed or waits in suspense; so
//! for settlements.

use super::{settlement_check, store};
use crate::db::Db;
use crate::error::Result;
use crate::ledger::check::Violation;

/// Lines, routes and the journal say the same.
pub fn check(db: &Db) -> Result<Vec<Violation>> {
    let found = db.read(store::unsound)?;
    let mut violations: Vec<Violation> =
        found.into_iter().map(|(invariant, what)| Violation::new(invariant, what)).collect();
    violations.extend(db.read(settlement_check::check)?);
    Ok(violations)
}
