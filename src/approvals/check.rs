//! The proof over approvals: what is stored is what the events tell (I10), and of each proposal that was carried out, those who
//! approved differ from its maker and from each other, are as many as its policy needs at least, and named exactly its content (I7).

use super::policies::{subject, told as policy_told};
use super::store::{self, DecisionRow, ProposalRow};
use super::{State, content, deciding};
use crate::db::{Conn, Db};
use crate::error::Result;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// An invariant and what is wrong.
pub type Finding = (&'static str, String);

/// Proposals per page.
const PAGE: i64 = 1_000;

const TOLD: [&str; 7] = [
    "proposal.made",
    "proposal.approved",
    "proposal.rejected",
    "proposal.carried_out",
    "proposal.withdrawn",
    "proposal.expired",
    "proposal.void",
];

/// What the events tell of one proposal.
#[derive(Default)]
struct Told {
    made: Option<String>,
    decided: Vec<(String, String)>,
    ended: Vec<String>,
}

/// Everything that is wrong.
pub fn check(db: &Db) -> Result<Vec<Finding>> {
    db.read(|conn| {
        let mut found = Vec::new();
        let mut told = told(conn)?;
        let mut before: Option<String> = None;
        loop {
            let page = store::page(conn, before.as_deref(), PAGE)?;
            let Some(last) = page.last() else { break };
            before = Some(last.id.clone());
            for row in page {
                let decisions = store::decisions_on(conn, &row.id)?;
                let of = told.remove(&row.id).unwrap_or_default();
                events(&row, &decisions, &of, &mut found);
                persons(&row, &decisions, &mut found);
            }
        }
        found.extend(told.into_keys().map(|id| ("I10", format!("events tell of proposal {id}, which is not there"))));
        policies(conn, &mut found)?;
        Ok(found)
    })
}

fn told(conn: &mut Conn) -> Result<BTreeMap<String, Told>> {
    let mut all: BTreeMap<String, Told> = BTreeMap::new();
    for (kind, id, after) in store::told(conn, &TOLD)? {
        let of = all.entry(id).or_default();
        let after = after.unwrap_or_default();
        match kind.as_str() {
            "proposal.made" => of.made = Some(after),
            "proposal.approved" => of.decided.push(("approve".to_owned(), after)),
            "proposal.rejected" => {
                of.decided.push(("reject".to_owned(), after));
                of.ended.push("rejected".to_owned());
            }
            "proposal.carried_out" => of.ended.push("approved".to_owned()),
            other => of.ended.push(other.trim_start_matches("proposal.").to_owned()),
        }
    }
    Ok(all)
}

fn events(row: &ProposalRow, decisions: &[DecisionRow], told: &Told, found: &mut Vec<Finding>) {
    let mut wrong = |what: &str| found.push(("I10", format!("proposal {}: {what}", row.id)));
    if told.made.as_deref() != Some(row.told().as_str()) {
        wrong("what was proposed is not what its event tells");
    }
    let ended: Vec<&str> = told.ended.iter().map(String::as_str).collect();
    let state = State::parse(&row.state);
    let is_told = match state {
        State::Open => ended.is_empty(),
        _ => ended == [state.as_str()],
    };
    if !is_told {
        wrong(&format!("it is {}, and events tell {ended:?}", row.state));
    }
    let stored: BTreeSet<(String, String)> =
        decisions.iter().map(|d| (d.decision.clone(), deciding::told(&d.person, &d.digest))).collect();
    if stored.len() != told.decided.len() || !told.decided.iter().all(|d| stored.contains(d)) {
        wrong("its decisions are not those that events tell");
    }
}

fn persons(row: &ProposalRow, decisions: &[DecisionRow], found: &mut Vec<Finding>) {
    let mut wrong = |what: String| found.push(("I7", format!("proposal {}: {what}", row.id)));
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let digest = row.kind().map(|kind| content::digest(kind, &row.subject, &json(&row.content), &json(&row.effect)));
    if digest.as_deref() != Ok(row.digest.as_str()) {
        wrong("its digest is not that of its content".to_owned());
    }
    for d in decisions {
        if row.maker_person.as_ref() == Some(&d.person) || row.maker == format!("person:{}", d.person) {
            wrong(format!("its maker {} has decided on it", d.person));
        }
        if d.digest != row.digest {
            wrong(format!("{} has decided on something else than what is proposed", d.person));
        }
    }
    let approvers: BTreeSet<&str> =
        decisions.iter().filter(|d| d.decision == "approve").map(|d| d.person.as_str()).collect();
    if row.state == State::Approved.as_str() {
        match row.policy().fewest() {
            Some(fewest) if approvers.len() >= fewest => {}
            fewest => {
                let fewest = fewest.map_or_else(|| "more than anybody".to_owned(), |n| n.to_string());
                wrong(format!("it was carried out with {} approvers, and needs {fewest}", approvers.len()));
            }
        }
    }
}

fn policies(conn: &mut Conn, found: &mut Vec<Finding>) -> Result<()> {
    let told = store::told(conn, &["policy.version"])?;
    let mut told: BTreeMap<String, String> =
        told.into_iter().map(|(_, subject, after)| (subject, after.unwrap_or_default())).collect();
    for row in store::policies(conn)? {
        if told.remove(&subject(&row)) != Some(policy_told(&row)) {
            found.push(("I10", format!("policy {} is not what its event tells", subject(&row))));
        }
    }
    found.extend(told.into_keys().map(|what| ("I10", format!("an event tells of policy {what}, which is not there"))));
    Ok(())
}
