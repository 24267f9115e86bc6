//! What people decided before on lines like those that wait now: suggestions with their reasons, never a placing.

use super::place::{Payment, Placer};
use super::store;
use super::suggest::{Keys, Memory, Suggestion, rank};
use super::{Waiting, line_and_payment};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::ledger::AccountId;
use crate::money::Minor;
use crate::statements::NewLine;
use std::collections::HashMap;

/// Decisions of people that suggestions look back on, per master.
const REMEMBERED: i64 = 20_000;

/// What waits, and for each the leaves that suggest themselves, the strongest reason first. `line` is one of what waits.
pub fn suggestions(
    conn: &mut Conn,
    master: Option<&str>,
    line: Option<&str>,
) -> Result<Vec<(Waiting, Vec<Suggestion>)>> {
    let mut waiting = store::waiting_lines(conn, master)?;
    if let Some(line) = line {
        let payment_of = |w: &Waiting| w.line.split_once('/').is_some_and(|(id, _)| id == line);
        waiting.retain(|w| w.line == line || payment_of(w));
        if waiting.is_empty() {
            return Err(Error::NotFound(format!("{line} does not wait; `tributary route` lists what does")));
        }
    }
    let mut found = Vec::with_capacity(waiting.len());
    let mut known: HashMap<String, (Placer, Memory)> = HashMap::new();
    for some in waiting.chunks(1_000) {
        let ids: Vec<String> = some.iter().map(|w| w.line.split('/').next().unwrap_or(&w.line).to_owned()).collect();
        let stored = store::stored_lines(conn, &ids)?;
        let stored: HashMap<&str, &NewLine> = stored.iter().map(|s| (s.id.as_str(), &s.line)).collect();
        for (waits, id) in some.iter().zip(&ids) {
            if !known.contains_key(&waits.master) {
                known.insert(waits.master.clone(), remembered(conn, &waits.master)?);
            }
            let (Some((placer, memory)), Some(line)) = (known.get(&waits.master), stored.get(id.as_str())) else {
                continue;
            };
            let (_, detail) = line_and_payment(&waits.line)?;
            let detail = detail.and_then(|d| usize::try_from(d).ok()).and_then(|d| line.details.get(d));
            let payment = Payment { line, detail, amount: waits.minor, charges: None };
            let ruled: Vec<(String, String)> = placer.suggested(&payment).map_or_else(Vec::new, |rule| {
                let shares = rule.shares(&waits.master, Minor(waits.minor), placer.currency);
                shares.unwrap_or_default().into_iter().map(|(leaf, _)| (leaf, rule.sentence())).collect()
            });
            let mut ranked = rank(memory, &Keys::of(&payment), &ruled);
            ranked.retain(|s| placer.leaf(&s.leaf).is_some_and(|leaf| !leaf.closed));
            found.push((waits.clone(), ranked));
        }
    }
    Ok(found)
}

/// What people have decided on lines of a master.
fn remembered(conn: &mut Conn, master: &str) -> Result<(Placer, Memory)> {
    let id = crate::chart::master(conn, master)?.id;
    let placer = store::placer(conn, &id)?;
    let codes: HashMap<AccountId, &str> = placer.leaves.iter().map(|l| (l.account, l.code.as_str())).collect();
    let mut memory = Memory::default();
    for decided in store::by_people(conn, &id, REMEMBERED)? {
        let Some(leaf) = codes.get(&decided.account) else { continue };
        let line = &decided.line;
        let detail = decided.detail.and_then(|d| usize::try_from(d).ok()).and_then(|d| line.details.get(d));
        let payment = Payment { detail, ..Payment::of(line) };
        memory.add(&Keys::of(&payment), leaf, line.booked_on);
    }
    Ok((placer, memory))
}
