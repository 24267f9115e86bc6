//! What must always hold of expectations, whoever wrote to the database.
//!
//! I8: what met one is a route that gave its leaf the money; that route is in force, or a person or the bank has changed it
//! since. I10: what was announced, and where each one stands, is what its events say.

use super::State;
use super::store::{self, ExpectationRow, Routed, Told};
use crate::db::Db;
use crate::error::Result;
use crate::ledger::check::Violation;
use std::collections::{HashMap, HashSet};

/// Who may take from a leaf again what met its expectation: a person, also by the back-test of a rule that had placed it
/// there, and the bank, which takes back its line.
const MAY_CHANGE: [&str; 4] = ["person", "rule", "none", "withdrawn"];

/// Proves all expectations, page by page.
pub fn check(db: &Db) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    let (mut after, mut seen) = (String::new(), HashSet::new());
    loop {
        let (page, told, routes) = db.read(|conn| {
            let page = store::page(conn, &after)?;
            let ids: Vec<String> = page.iter().map(|row| row.id.clone()).collect();
            let (told, routes) = (store::told_of(conn, &ids)?, store::routes_of(conn, &page)?);
            Ok((page, told, routes))
        })?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        let mut by_id: HashMap<&str, Vec<&Told>> = HashMap::new();
        for event in &told {
            by_id.entry(event.0.as_str()).or_default().push(event);
        }
        for row in &page {
            violations.extend(as_told(row, by_id.get(row.id.as_str()).map_or(&[], Vec::as_slice)));
            violations.extend(as_routed(row, &routes));
        }
        seen.extend(page.into_iter().map(|row| row.id));
    }
    for id in db.read(store::announced)?.into_iter().filter(|id| !seen.contains(id)) {
        violations.push(Violation::new("I10", format!("expectation {id} was announced and is gone")));
    }
    Ok(violations)
}

fn as_told(row: &ExpectationRow, told: &[&Told]) -> Option<Violation> {
    let announced = row.announced();
    let as_announced =
        |t: &&Told| (t.1.as_str(), &t.2, t.3.as_deref()) == ("expectation.added", &row.made_by, Some(&announced));
    if told.first().is_none_or(|first| !as_announced(first)) {
        return Some(Violation::new(
            "I10",
            format!("expectation {} is not what its event says was announced", row.key),
        ));
    }
    // The first event tells of the content, each later one of where it stands.
    let standing = match told {
        [_] => {
            let unmet = row.line.is_none() && row.detail.is_none() && row.route.is_none();
            row.state == State::Open.as_str() && unmet && row.reason.is_none()
        }
        [.., last] => last.3.as_deref() == Some(row.standing().as_str()),
        [] => false,
    };
    (!standing).then(|| Violation::new("I10", format!("expectation {} is not where its events say", row.key)))
}

fn as_routed(row: &ExpectationRow, routes: &[Routed]) -> Option<Violation> {
    let (line, route) = (row.line.as_ref()?, row.route?);
    let wrong =
        |what: &str| Some(Violation::new("I8", format!("expectation {} was met by line {line}, {what}", row.key)));
    let gives = |shares: &str| {
        let shares: Vec<(i64, i64)> = serde_json::from_str(shares).unwrap_or_default();
        shares.iter().any(|(account, amount)| *account == row.account && *amount < 0)
    };
    let of_line = || routes.iter().filter(|(of, ..)| of == line);
    match of_line().find(|(_, seq, ..)| *seq == route) {
        Some((_, _, detail, _, shares)) if *detail == row.detail && gives(shares) => {}
        _ => return wrong("of which no route gave its leaf the money"),
    }
    let touches = |detail: &Option<i64>| detail.is_none() || row.detail.is_none() || *detail == row.detail;
    match of_line().rfind(|(_, seq, detail, ..)| *seq > route && touches(detail)) {
        Some((_, _, _, evidence, shares)) if !gives(shares) && !MAY_CHANGE.contains(&evidence.as_str()) => {
            wrong(&format!("which was taken from its leaf by {evidence}"))
        }
        _ => None,
    }
}
