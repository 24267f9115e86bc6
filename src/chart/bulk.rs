//! Many sub-accounts at once: a sheet becomes leaves, all or nothing, and leaves become a sheet.

use super::file::{Chart, ChartFile, Metadata};
use super::plan::{self, Plan};
use super::reading::Problem;
use super::sheet::{self, Line, LineProblem, Row, Sheet};
use super::store::{self, Stored};
use super::{Applied, Refusal, creation};
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::ledger::{self, AccountRow, Terms};
use crate::money::Minor;
use crate::time::last_day_before;
use std::collections::{HashMap, HashSet};

/// What importing a sheet would do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Planned {
    /// Paths of leaves that would be made.
    pub new: Vec<String>,
    /// Paths of leaves that would have another name or other metadata.
    pub relabelled: Vec<String>,
    /// Paths of leaves that would have other limits.
    pub limited: Vec<String>,
    /// How many are as the sheet says.
    pub unchanged: usize,
}

/// Says what [`import`] would do, or refuse, and does nothing.
pub fn plan_import(conn: &mut Conn, sheet: &Sheet) -> Result<Planned> {
    let stored = store::stored(conn)?;
    let chart = chart_of(sheet, &stored)?;
    let plan = plan_of(&sheet.rows, &chart, &stored)?;
    let relabelled: Vec<String> = plan.relabels.iter().map(|r| r.code.clone()).collect();
    let limited: Vec<String> = plan.limits.iter().map(|(code, _)| (*code).to_owned()).collect();
    let touched: HashSet<&String> = relabelled.iter().chain(&limited).collect();
    let new: Vec<String> = plan.leaves.iter().map(|l| l.code.clone()).collect();
    Ok(Planned { unchanged: sheet.rows.len().saturating_sub(new.len() + touched.len()), new, relabelled, limited })
}

/// Makes the leaves of a sheet and changes those that are there, all or nothing. The same sheet again changes nothing.
pub fn import(tx: &mut Tx<'_>, sheet: &Sheet) -> Result<Applied> {
    let stored = store::stored(tx.conn())?;
    let chart = chart_of(sheet, &stored)?;
    let plan = plan_of(&sheet.rows, &chart, &stored)?;
    creation::carry_out(tx, &plan, &stored)
}

fn chart_of(sheet: &Sheet, stored: &Stored) -> Result<Chart> {
    let (rows, mut wrong) = (&sheet.rows, sheet.problems.clone());
    let mut file = ChartFile::default();
    for row in rows {
        let there = stored.sub_accounts.get(&row.code);
        let mut table = row.table.clone();
        if !row.metadata.is_empty() {
            let before = there.and_then(|r| r.metadata.as_deref());
            let before: Metadata = before.and_then(|m| serde_json::from_str(m).ok()).unwrap_or_default();
            let mut merged = before.clone();
            for (key, value) in &row.metadata {
                match value {
                    Some(value) => drop(merged.insert(key.clone(), value.clone())),
                    None => drop(merged.remove(key)),
                }
            }
            table.metadata = (merged != before).then_some(merged);
        }
        if let Some(number) = &row.virtual_number {
            let is = there.and_then(|r| r.virtual_number.as_deref());
            if is != Some(number) {
                let problem = match is {
                    Some(is) => format!("virtual_number: it is {is} and cannot change; the file says {number}"),
                    None => "virtual_number: the treasury gives it; leave the cell empty".to_owned(),
                };
                wrong.push(LineProblem { line: row.line, problem });
            }
        }
        file.sub_account.push(table);
    }
    let read = file.read(&stored.known());
    wrong.extend(read.as_ref().err().into_iter().flat_map(|problems| with_lines(rows, problems)));
    wrong.sort_by_key(|p| p.line);
    match read {
        Ok(chart) if wrong.is_empty() => Ok(chart),
        _ => Err(Refusal::Sheet(wrong).into()),
    }
}

fn plan_of<'c>(rows: &[Row], chart: &'c Chart, stored: &Stored) -> Result<Plan<'c>> {
    plan::plan(chart, stored).map_err(|conflicts| Refusal::Sheet(with_lines(rows, &conflicts)).into())
}

fn with_lines(rows: &[Row], problems: &[Problem]) -> Vec<LineProblem> {
    let lines: HashMap<&str, u64> = rows.iter().map(|r| (r.code.as_str(), r.line)).collect();
    let line = |p: &Problem| lines.get(p.item.trim_matches('"')).copied().unwrap_or(0);
    let mut wrong: Vec<LineProblem> = problems
        .iter()
        .map(|p| LineProblem { line: line(p), problem: format!("{}: {}", p.field, p.problem) })
        .collect();
    wrong.sort_by_key(|p| p.line);
    wrong
}

/// The products' leaves as a sheet, of one master or of all.
pub fn export(conn: &mut Conn, master: Option<&str>) -> Result<String> {
    let stored = store::stored(conn)?;
    if let Some(code) = master {
        super::master(conn, code)?;
    }
    let accounts: HashMap<i64, AccountRow> = ledger::accounts(conn)?.into_iter().map(|a| (a.id, a)).collect();
    let mut lines = Vec::new();
    for row in store::sub_accounts(conn)?.into_iter().filter(|r| r.kind == "leaf") {
        let of =
            stored.masters.values().find(|m| m.id == row.master).filter(|m| master.is_none_or(|code| m.code == code));
        let (Some(of), Some(account)) = (of, row.account.and_then(|id| accounts.get(&id))) else { continue };
        let terms = Terms::of(account);
        let text =
            |minor: Option<i64>| minor.map(|m| Minor(m).to_text_with(u8::try_from(account.exponent).unwrap_or(0)));
        let product = row.code.split('/').nth(1).unwrap_or_default().to_owned();
        lines.push(Line {
            owner: stored.entity_code(&row.owner).to_owned(),
            metadata: row.metadata.as_deref().and_then(|m| serde_json::from_str(m).ok()).unwrap_or_default(),
            product,
            market: row.market.unwrap_or_default(),
            floor: text(terms.floor),
            ceiling: text(terms.ceiling),
            movement_limit: text(terms.movement_limit),
            expires_on: terms.expires_at.map(|end| last_day_before(end, &of.time_zone).to_string()),
            code: row.code,
            name: row.name,
            virtual_number: row.virtual_number,
        });
    }
    sheet::write(&lines).map_err(Error::Broken)
}
