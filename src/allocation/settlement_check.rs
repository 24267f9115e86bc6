//! What must always hold of settlements, whoever wrote to the database.
//!
//! I8: the entry that carried one out posts exactly its lines, and the route of its line says so. I10: what was imported, and
//! where each one stands, is what its events say.

use super::place::merged;
use super::store::settlements::{self as rows, SettlementRow, ShareRow, Told};
use crate::db::Conn;
use crate::error::Result;
use crate::ledger::AccountId;
use crate::ledger::check::Violation;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Proves all settlements: one for each platform, master and month or day.
pub(super) fn check(conn: &mut Conn) -> Result<Vec<Violation>> {
    let (all, told) = (rows::all(conn)?, rows::told(conn)?);
    let mut by_id: HashMap<&str, Vec<&Told>> = HashMap::new();
    for event in told.iter().filter(|t| t.1 != "settlement.held_back") {
        by_id.entry(event.0.as_str()).or_default().push(event);
    }
    let mut violations = Vec::new();
    for row in &all {
        let shares = rows::shares(conn, &row.id)?;
        let events = by_id.get(row.id.as_str()).map_or(&[][..], Vec::as_slice);
        match as_told(row, &shares, events) {
            None => violations.extend(as_posted(conn, row, &shares)?),
            // What is not as it was imported can be compared with nothing.
            found => violations.extend(found),
        }
    }
    let there: HashSet<&str> = all.iter().map(|row| row.id.as_str()).collect();
    let gone = by_id.keys().filter(|id| !there.contains(*id) && id.starts_with("se_")).copied().map(str::to_owned);
    let mut gone: Vec<String> = gone.chain(rows::orphans(conn)?).collect();
    gone.sort();
    gone.dedup();
    violations
        .extend(gone.into_iter().map(|id| Violation::new("I10", format!("settlement {id} was imported and is gone"))));
    Ok(violations)
}

fn as_told(row: &SettlementRow, shares: &[ShareRow], told: &[&Told]) -> Option<Violation> {
    let wrong = |what: &str| Some(Violation::new("I10", format!("settlement {} {what}", row.code)));
    let imported = row.imported(shares);
    let first = told.first().map(|t| (t.1.as_str(), &t.2, t.3.as_deref()));
    if first != Some(("settlement.imported", &row.made_by, Some(&imported))) {
        return wrong("is not what its event says was imported");
    }
    let standing = match told {
        [_] => {
            let untouched = row.line.is_none() && row.detail.is_none() && row.route.is_none() && row.entry.is_none();
            row.state == "waiting" && untouched && row.decided_by.is_none() && row.reason.is_none()
        }
        [.., last] => last.3.as_deref() == Some(row.standing().as_str()),
        [] => false,
    };
    if standing { None } else { wrong("is not where its events say") }
}

fn as_posted(conn: &mut Conn, row: &SettlementRow, shares: &[ShareRow]) -> Result<Option<Violation>> {
    let (Some(line), Some(route), Some(entry)) = (&row.line, row.route, row.entry) else { return Ok(None) };
    let (legs, found) = rows::carried_out(conn, entry, line, route)?;
    let suspense = AccountId(rows::suspense(conn, &row.master)?);
    let nets = shares.iter().map(|s| (AccountId(s.account), -s.net));
    let lines: Vec<(AccountId, i64)> = std::iter::once((suspense, row.total)).chain(nets).collect();
    let expected: BTreeMap<i64, i64> =
        merged(&lines).into_iter().map(|(account, amount)| (account.0, amount)).collect();
    let posted: BTreeMap<i64, i64> = legs.iter().copied().collect();
    let says_so = found == Some(("settlement".to_owned(), entry, row.detail));
    if says_so && posted == expected && posted.len() == legs.len() {
        return Ok(None);
    }
    let what = format!("settlement {} is not what entry {entry} and route {route} of line {line} say", row.code);
    Ok(Some(Violation::new("I8", what)))
}
