//! Settlement files over HTTP. A settlement shares a lump of a master's out among products, so who sees the master sees it.

use super::{Shown, ShownShare};
use crate::access::Permission;
use crate::allocation::api::line_seen;
use crate::allocation::settlement_file;
use crate::chart;
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::four_eyes::{self, Change, Done};
use crate::http::{Asked, Call, Limit, Money, Nothing, Operation, Page, Refusal, get, post};
use crate::scope::Scope;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The rows of settlements.
pub fn operations() -> Vec<Operation> {
    let read = Permission::SettlementsRead;
    vec![
        get("/v1/settlements", "settlements.list", "Settlements, the newest payment first").may(read).reads(list),
        get("/v1/settlements/{settlement}", "settlements.show", "One settlement with its shares").may(read).reads(show),
        post(
            "/v1/settlements",
            "settlements.import",
            "Take a settlement file in; what it shares out is found, or waits",
        )
        .may(Permission::SettlementsImport)
        .dry_runs()
        .writes(import),
        post("/v1/settlements/{settlement}/apply", "settlements.apply", "Carry a settlement out on a line")
            .may(Permission::SettlementsApply)
            .dry_runs()
            .writes(apply),
        post("/v1/settlements/{settlement}/cancel", "settlements.cancel", "Give a settlement up that waits")
            .may(Permission::SettlementsApply)
            .dry_runs()
            .writes(cancel),
    ]
}

/// Which settlements.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only of this master.
    master: Option<String>,
    /// Only in this state: `waiting`, `carried_out` or `cancelled`.
    state: Option<String>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

/// How much of a lump each product gets.
#[derive(Serialize, JsonSchema)]
struct SettlementShown {
    /// The platform's name for it.
    settlement: String,
    /// `waiting`, `carried_out` or `cancelled`.
    state: String,
    /// Who pays.
    platform: String,
    /// Code of the master.
    master: String,
    /// The lump.
    total: Money,
    /// When the platform has paid it.
    paid_on: NaiveDate,
    /// The reference that the payment carries.
    reference: Option<String>,
    /// The line that it shares out.
    line: Option<String>,
    /// The entry that carried it out.
    entry: Option<i64>,
    /// The file that it came in.
    file: String,
    /// Who took it in.
    made_by: String,
    /// Who carried it out or cancelled it.
    decided_by: Option<String>,
    /// Why it was cancelled.
    reason: Option<String>,
    /// Empty in a list.
    shares: Vec<SettlementShare>,
}

/// What a leaf gets.
#[derive(Serialize, JsonSchema)]
struct SettlementShare {
    /// The leaf's path.
    leaf: String,
    /// What was sold.
    gross: Money,
    /// What the platform keeps.
    commission: Money,
    /// What it keeps for the tax office.
    tax: Money,
    /// What is left.
    net: Money,
    /// The platform's name for what was sold.
    item: Option<String>,
    /// When.
    item_date: Option<NaiveDate>,
}

fn shown(s: Shown) -> SettlementShown {
    let money = |amount: String| Money { amount, currency: s.currency.clone() };
    let share = |l: ShownShare| SettlementShare {
        leaf: l.leaf,
        gross: money(l.gross),
        commission: money(l.commission),
        tax: money(l.tax),
        net: money(l.net),
        item: l.item,
        item_date: l.item_date,
    };
    SettlementShown {
        shares: s.lines.into_iter().map(share).collect(),
        total: Money { amount: s.total, currency: s.currency.clone() },
        settlement: s.settlement,
        state: s.state,
        platform: s.platform,
        master: s.master,
        paid_on: s.paid_on,
        reference: s.reference,
        line: s.line,
        entry: s.entry,
        file: s.file,
        made_by: s.made_by,
        decided_by: s.decided_by,
        reason: s.reason,
    }
}

fn list(call: &Call, which: &Which) -> Result<Page<SettlementShown>> {
    if which.state.as_deref().is_some_and(|s| !["waiting", "carried_out", "cancelled"].contains(&s)) {
        return Err(Refusal::BadQuery { why: "state is waiting, carried_out or cancelled".to_owned() }.into());
    }
    let all = call.read(|conn| {
        let masters: HashSet<String> = chart::masters_seen(conn, call.scope())?.into_iter().map(|m| m.code).collect();
        let all = super::list(conn, None, which.state.as_deref())?.into_iter();
        let asked = |s: &Shown| which.master.as_ref().is_none_or(|m| *m == s.master);
        Ok(all.filter(|s| masters.contains(&s.master) && asked(s)).collect::<Vec<_>>())
    })?;
    let start: usize = match call.position().map(str::parse).transpose() {
        Ok(start) => start.unwrap_or(0),
        Err(_) => return Err(Refusal::BadCursor { why: "it is of an earlier version" }.into()),
    };
    let (limit, count) = (Limit::of(which.limit), all.len());
    let items = all.into_iter().skip(start).take(limit).map(shown).collect();
    let end = start.saturating_add(limit);
    Ok(call.page(items, (count > end).then(|| end.to_string())))
}

/// A settlement whose master is seen.
fn seen(conn: &mut Conn, scope: &Scope, code: &str) -> Result<Shown> {
    let absent = || Error::NotFound(format!("there is no settlement {code}"));
    let found = super::show(conn, code).map_err(|e| if e.code() == "not_found" { absent() } else { e })?;
    let masters = chart::masters_seen(conn, scope)?;
    masters.iter().any(|m| m.code == found.master).then_some(found).ok_or_else(absent)
}

fn show(call: &Call, _: &Nothing) -> Result<SettlementShown> {
    call.read(|conn| seen(conn, call.scope(), call.path("settlement"))).map(shown)
}

/// A settlement file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SettlementText {
    /// Its name where it came from.
    name: String,
    /// The text of the CSV.
    csv: String,
}

/// What became of a file.
#[derive(Serialize, JsonSchema)]
struct SettlementsTaken {
    /// In the order of the file.
    settlements: Vec<SettlementTaken>,
    /// The proposal that waits for approval; null where all is done.
    proposal: Option<String>,
}

/// What became of a settlement.
#[derive(Serialize, JsonSchema)]
struct SettlementTaken {
    /// The platform's name for it.
    settlement: String,
    /// `waiting`, `carried_out` or `cancelled`.
    state: String,
    /// Whether it was known with the same content.
    known: bool,
    /// The line that it shares out.
    line: Option<String>,
    /// The entry that carried it out.
    entry: Option<i64>,
    /// Why it waits.
    why: Option<String>,
}

fn import(tx: &mut Tx<'_>, asked: &Asked<Nothing, SettlementText>) -> Result<SettlementsTaken> {
    tx.scope().need_everything("a settlement file, which may share out among any products,")?;
    // What cannot be read is said as such, before anybody is asked to approve it.
    settlement_file::read(&asked.body.name, asked.body.csv.as_bytes())?;
    let (name, sheet) = (asked.body.name.clone(), asked.body.csv.clone());
    let (done, proposal) = four_eyes::submit_in(tx, &Change::Settlement { name, sheet, line: None })?.parts();
    let taken = if let Some(Done::Settlement(taken)) = done { taken } else { Vec::new() };
    let one = |i: super::Imported| SettlementTaken {
        settlement: i.settlement,
        state: i.state,
        known: i.known,
        line: i.line,
        entry: i.entry,
        why: i.why,
    };
    Ok(SettlementsTaken { settlements: taken.into_iter().map(one).collect(), proposal })
}

/// The line that a settlement shares out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OnLine {
    /// Its id.
    line: String,
}

/// A settlement that is to be carried out.
#[derive(Serialize, JsonSchema)]
struct SettlementApplied {
    /// The settlement, as it is now.
    #[serde(flatten)]
    settlement: SettlementShown,
    /// The proposal that waits for approval; null where it is carried out.
    proposal: Option<String>,
}

fn apply(tx: &mut Tx<'_>, asked: &Asked<Nothing, OnLine>) -> Result<SettlementApplied> {
    let (scope, code) = (tx.scope().clone(), asked.path("settlement"));
    seen(tx.conn(), &scope, code)?;
    line_seen(tx.conn(), &scope, &asked.body.line)?;
    let change = Change::SettlementLine { settlement: code.to_owned(), line: asked.body.line.clone() };
    let (_, proposal) = four_eyes::submit_in(tx, &change)?.parts();
    Ok(SettlementApplied { settlement: shown(seen(tx.conn(), &scope, code)?), proposal })
}

/// Why it is given up.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CancelReason {
    /// In a few words; kept.
    #[schemars(length(min = 3))]
    reason: String,
}

fn cancel(tx: &mut Tx<'_>, asked: &Asked<Nothing, CancelReason>) -> Result<SettlementShown> {
    let (scope, code) = (tx.scope().clone(), asked.path("settlement"));
    seen(tx.conn(), &scope, code)?;
    super::cancel(tx, code, &asked.body.reason)?;
    seen(tx.conn(), &scope, code).map(shown)
}
