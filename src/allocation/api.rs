//! Statements, lines, suspense and rules over HTTP: what came of the bank's files, whose money each line is, and what people decide.

use super::suggest::{Reason, Suggestion};
use super::{RouteRow, Waiting, intake};
use crate::access::Permission;
use crate::chart::{self, MasterRow};
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::four_eyes::{self, Change, Done};
use crate::http::{Answer, Asked, Call, Limit, Money, Nothing, Operation, Page, Paging, Refusal, Why, get, post};
use crate::ledger;
use crate::money::Currency;
use crate::scope::Scope;
use crate::statements::{self, LineRow, Remark, StatementFilter, StatementRow};
use crate::time::{from_stored, rfc3339};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The rows of statements, lines and suspense.
pub fn operations() -> Vec<Operation> {
    let read = Permission::StatementsRead;
    let mut all = vec![
        get("/v1/statements", "statements.list", "Statements, the newest first").may(read).reads(list),
        get("/v1/statements/{statement}", "statements.show", "One statement").may(read).reads(show),
        get(
            "/v1/statements/{statement}/lines",
            "statements.lines",
            "The lines that a statement was the first to tell of",
        )
        .may(read)
        .reads(lines),
        get(
            "/v1/statements/{statement}/difference",
            "statements.difference",
            "What a restated statement says otherwise",
        )
        .may(read)
        .reads(difference),
        post(
            "/v1/statements/{statement}/accept",
            "statements.accept",
            "Accept one that is quarantined or restated: it is posted",
        )
        .may(Permission::StatementsDecide)
        .does::<Why, Statement>(accept),
        post("/v1/statements/{statement}/reject", "statements.reject", "Reject one that is quarantined or restated")
            .may(Permission::StatementsDecide)
            .dry_runs()
            .writes(reject),
        post(
            "/v1/expectations/{key}/meet",
            "expectations.meet",
            "Say that a line is what was expected: it is placed on the leaf that waits, unless it is there",
        )
        .may(Permission::ExpectationsMeet)
        .dry_runs()
        .writes(meet),
        get("/v1/lines/{line}", "lines.show", "One line, with all routes that it has had").may(read).reads(line),
        post(
            "/v1/lines/{line}/withdraw",
            "lines.withdraw",
            "Take back a line that was notified as booked and that no statement has",
        )
        .may(Permission::StatementsDecide)
        .dry_runs()
        .writes(withdraw),
        get("/v1/suspense", "suspense.list", "What waits for an owner and why, with leaves that suggest themselves")
            .may(Permission::SuspenseRead)
            .reads(suspense),
        post("/v1/lines/route", "lines.route", "Place or re-route lines, each answered by itself")
            .may(Permission::LinesRoute)
            .dry_runs()
            .writes(route),
    ];
    all.extend(super::intake::api::operations());
    all.extend(super::settlement::api::operations());
    all.extend(super::rules::api::operations());
    all.extend(super::transfers::api::operations());
    all
}

/// The masters that a scope covers, by id; `None`: all, and what is of none.
pub(super) struct Masters(HashMap<String, MasterRow>, bool);

impl Masters {
    pub(super) fn of(conn: &mut Conn, scope: &Scope) -> Result<Masters> {
        let seen = chart::masters_seen(conn, scope)?;
        Ok(Masters(seen.into_iter().map(|m| (m.id.clone(), m)).collect(), scope.is_everything()))
    }

    pub(super) fn code(&self, id: &str) -> String {
        self.0.get(id).map(|m| m.code.clone()).unwrap_or_default()
    }

    pub(super) fn covers(&self, id: Option<&str>) -> bool {
        id.map_or(self.1, |id| self.0.contains_key(id))
    }
}

/// A statement that the scope covers.
fn statement_seen(conn: &mut Conn, scope: &Scope, id: &str) -> Result<(StatementRow, Masters)> {
    let absent = || Error::NotFound(format!("there is no statement {id}"));
    let masters = Masters::of(conn, scope)?;
    let row = statements::statement(conn, id).map_err(|e| if e.code() == "not_found" { absent() } else { e })?;
    if masters.covers(row.master.as_deref()) { Ok((row, masters)) } else { Err(absent()) }
}

/// A line that the scope covers.
pub(super) fn line_seen(conn: &mut Conn, scope: &Scope, id: &str) -> Result<(LineRow, Masters)> {
    let absent = || Error::NotFound(format!("there is no line {id}"));
    let masters = Masters::of(conn, scope)?;
    let row = statements::line(conn, id).map_err(|e| if e.code() == "not_found" { absent() } else { e })?;
    if masters.covers(Some(&row.master)) { Ok((row, masters)) } else { Err(absent()) }
}

/// A problem in a file, with its place.
#[derive(Serialize, JsonSchema)]
pub(super) struct FileProblem {
    /// Where in the file.
    at: String,
    /// What is wrong, and how to mend it.
    problem: String,
}

pub(super) fn problems(json: &str) -> Vec<FileProblem> {
    let all: Vec<Remark> = serde_json::from_str(json).unwrap_or_default();
    all.into_iter().map(|r| FileProblem { at: r.at, problem: r.problem }).collect()
}

/// A statement of a file.
#[derive(Serialize, JsonSchema)]
pub(super) struct Statement {
    /// Its id.
    id: String,
    /// The file that it came in.
    file: String,
    /// `posting`, `posted`, `quarantined`, `restated`, `refused`, `rejected`, `copy`, `already_imported` or `superseded`.
    pub(super) state: String,
    /// Code of the master; null where its account is none of ours.
    master: Option<String>,
    /// As the bank writes it.
    account_number: Option<String>,
    /// Such as `camt.053.001.08`.
    format: String,
    /// `statement`, `report` or `notification`.
    role: String,
    /// The bank's id of it.
    statement_id: Option<String>,
    /// The bank's number of it.
    number: Option<i64>,
    /// Balance before its lines.
    opening: Option<Money>,
    /// The day of it.
    opening_on: Option<NaiveDate>,
    /// Balance after its lines.
    closing: Option<Money>,
    /// The day of it.
    closing_on: Option<NaiveDate>,
    /// Lines in all.
    lines: i64,
    /// The one that says the same, or that it restates.
    same_as: Option<String>,
    /// What is wrong with it.
    problems: Vec<FileProblem>,
    /// Who accepted or rejected it.
    decided_by: Option<String>,
    /// Why.
    reason: Option<String>,
}

fn money(minor: i64, currency: Option<&str>) -> Option<Money> {
    let currency: Currency = currency?.parse().ok()?;
    Some(Money::of(minor, currency.exponent(), currency.code()))
}

pub(super) fn statement_of(masters: &Masters, s: StatementRow) -> Statement {
    let of = |minor: Option<i64>| minor.and_then(|m| money(m, s.currency.as_deref()));
    Statement {
        opening: of(s.opening),
        closing: of(s.closing),
        master: s.master.as_deref().map(|m| masters.code(m)),
        problems: problems(&s.problems),
        id: s.id,
        file: s.file,
        state: s.state,
        account_number: s.account_number,
        format: s.format,
        role: s.role,
        statement_id: s.statement_id,
        number: s.number,
        opening_on: s.opening_on,
        closing_on: s.closing_on,
        lines: s.line_count,
        same_as: s.same_as,
        decided_by: s.decided_by,
        reason: s.reason,
    }
}

/// Which statements.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only of this master.
    master: Option<String>,
    /// Only in this state, such as `quarantined`.
    state: Option<String>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

fn list(call: &Call, which: &Which) -> Result<Page<Statement>> {
    let limit = Limit::of(which.limit);
    let (rows, masters) = call.read(|conn| {
        let masters = Masters::of(conn, call.scope())?;
        let only = |m: &&MasterRow| which.master.as_ref().is_none_or(|code| *code == m.code);
        let ids: Vec<String> = masters.0.values().filter(only).map(|m| m.id.clone()).collect();
        let filter = StatementFilter {
            masters: (!masters.1 || which.master.is_some()).then_some(ids),
            state: which.state.clone(),
            before: call.position().map(ToOwned::to_owned),
        };
        Ok((statements::statements_page(conn, &filter, most(limit))?, masters))
    })?;
    let next = rows.get(limit - 1).filter(|_| rows.len() > limit).map(|s| s.id.clone());
    let items = rows.into_iter().take(limit).map(|s| statement_of(&masters, s)).collect();
    Ok(call.page(items, next))
}

/// One more than a page has: whether there is another one.
pub(super) fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

fn show(call: &Call, _: &Nothing) -> Result<Statement> {
    let (row, masters) = call.read(|conn| statement_seen(conn, call.scope(), call.path("statement")))?;
    Ok(statement_of(&masters, row))
}

/// A line that the bank reports.
#[derive(Serialize, JsonSchema)]
struct Line {
    /// Its id.
    id: String,
    /// Code of the master.
    master: String,
    /// The statement that told of it first.
    statement: String,
    /// Booking day.
    booked_on: NaiveDate,
    /// Value date.
    valued_on: NaiveDate,
    /// What came is positive.
    amount: Option<Money>,
    /// `notified` until a statement has it, then `booked`.
    facet: String,
    /// What it did in the journal.
    posting: String,
    /// Whether the bank takes an earlier one back.
    reversal: bool,
    /// The bank's reference.
    bank_ref: Option<String>,
    /// The payer's or ours.
    end_to_end_id: Option<String>,
    /// Who is on the other side.
    counterparty_name: Option<String>,
    /// Their account.
    counterparty_account: Option<String>,
    /// What the payer wrote.
    remittance: Option<String>,
    /// What the bank added.
    info: Option<String>,
    /// Payments inside a batch.
    details: i64,
}

fn line_of(masters: &Masters, l: LineRow) -> Line {
    let currency = masters.0.get(&l.master).map(|m| m.currency.as_str());
    Line {
        amount: money(l.amount, currency),
        master: masters.code(&l.master),
        id: l.id,
        statement: l.statement,
        booked_on: l.booked_on,
        valued_on: l.valued_on,
        facet: l.facet,
        posting: l.posting,
        reversal: l.reversal,
        bank_ref: l.bank_ref,
        end_to_end_id: l.end_to_end_id,
        counterparty_name: l.counterparty_name,
        counterparty_account: l.counterparty_account,
        remittance: l.remittance,
        info: l.info,
        details: l.detail_count,
    }
}

fn lines(call: &Call, paging: &Paging) -> Result<Page<Line>> {
    let (behind, limit) = (call.position_number()?.unwrap_or(-1), Limit::of(paging.limit));
    let (rows, masters) = call.read(|conn| {
        let (statement, masters) = statement_seen(conn, call.scope(), call.path("statement"))?;
        Ok((statements::lines_page(conn, &statement.id, behind, most(limit))?, masters))
    })?;
    let next = rows.get(limit - 1).filter(|_| rows.len() > limit).map(|l| l.place.to_string());
    let items = rows.into_iter().take(limit).map(|l| line_of(&masters, l)).collect();
    Ok(call.page(items, next))
}

/// What a restated statement says otherwise.
#[derive(Serialize, JsonSchema)]
struct Differences {
    /// The one that it restates; null where it restates none.
    restates: Option<String>,
    /// Line by line.
    lines: Vec<OtherLine>,
}

/// A line that only one of two statements has.
#[derive(Serialize, JsonSchema)]
struct OtherLine {
    /// `later` or `earlier`: which of them has it.
    only_in: String,
    /// Booking day.
    booked_on: NaiveDate,
    /// What came is positive.
    amount: Option<Money>,
    /// Counterparty and text.
    text: String,
}

fn difference(call: &Call, _: &Nothing) -> Result<Differences> {
    let (row, _) = call.read(|conn| statement_seen(conn, call.scope(), call.path("statement")))?;
    let Some(earlier) = row.same_as.clone().filter(|_| row.state == "restated") else {
        return Ok(Differences { restates: None, lines: Vec::new() });
    };
    let found = intake::difference(call.db(), &row, &earlier)?.into_iter().map(|d| OtherLine {
        only_in: if d.sign == '+' { "later" } else { "earlier" }.to_owned(),
        booked_on: d.day,
        amount: money(d.amount, row.currency.as_deref()),
        text: d.text,
    });
    Ok(Differences { restates: Some(earlier), lines: found.collect() })
}

/// Accepting posts in many commits, so it has its identity in the statement: one that is accepted waits no more.
fn accept(call: &Call, why: &Why) -> Result<Answer> {
    let id = call.path("statement");
    call.read(|conn| statement_seen(conn, call.scope(), id))?;
    intake::accept_waiting(call.db(), call.who(), id, &why.reason, &mut |_, _| {})?;
    let (row, masters) = call.read(|conn| statement_seen(conn, call.scope(), id))?;
    Answer::json(200, &statement_of(&masters, row))
}

fn reject(tx: &mut Tx<'_>, asked: &Asked<Nothing, Why>) -> Result<Statement> {
    let (scope, id) = (tx.scope().clone(), asked.path("statement"));
    statement_seen(tx.conn(), &scope, id)?;
    statements::reject_waiting(tx, id, &asked.body.reason)?;
    let (row, masters) = statement_seen(tx.conn(), &scope, id)?;
    Ok(statement_of(&masters, row))
}

/// A line with its routes.
#[derive(Serialize, JsonSchema)]
struct RoutedLine {
    /// The line.
    line: Line,
    /// All routes that it has had, in order; the newest of each payment is in force.
    routes: Vec<Route>,
}

/// The decision whose money a line is.
#[derive(Serialize, JsonSchema)]
struct Route {
    /// Its place among the line's routes.
    seq: i64,
    /// Which payment of a batch, from 1; null: the line as a whole.
    payment: Option<i64>,
    /// The entry that carried it out.
    entry: i64,
    /// What decided: `virtual_number`, `rule`, `person`, ...
    evidence: String,
    /// The rule.
    rule: Option<String>,
    /// Its version.
    version: Option<i64>,
    /// What matched.
    matched: Option<serde_json::Value>,
    /// For people.
    why: String,
    /// Whether it waits for an owner.
    suspense: bool,
    /// The accounts that have it.
    to: Vec<String>,
    /// Who decided.
    decided_by: String,
    /// When; RFC 3339.
    decided_at: String,
}

fn route_of(codes: &HashMap<i64, String>, r: RouteRow) -> Result<Route> {
    let mut to: Vec<String> = r.shares()?.iter().filter_map(|(a, _)| codes.get(&a.0).cloned()).collect();
    to.dedup();
    Ok(Route {
        to,
        seq: r.seq,
        payment: r.detail.map(|d| d.saturating_add(1)),
        entry: r.entry,
        evidence: r.evidence,
        rule: r.rule,
        version: r.version,
        matched: serde_json::from_str(&r.matched).ok(),
        why: r.sentence,
        suspense: r.suspense,
        decided_by: r.decided_by,
        decided_at: rfc3339(from_stored(r.decided_at)),
    })
}

fn line(call: &Call, _: &Nothing) -> Result<RoutedLine> {
    call.read(|conn| {
        let (row, masters) = line_seen(conn, call.scope(), call.path("line"))?;
        let codes: HashMap<i64, String> = ledger::accounts(conn)?.into_iter().map(|a| (a.id, a.code)).collect();
        let routes =
            super::routes_of(conn, &row.id)?.into_iter().map(|r| route_of(&codes, r)).collect::<Result<_>>()?;
        Ok(RoutedLine { line: line_of(&masters, row), routes })
    })
}

fn withdraw(tx: &mut Tx<'_>, asked: &Asked<Nothing, Why>) -> Result<Line> {
    let (scope, id) = (tx.scope().clone(), asked.path("line"));
    line_seen(tx.conn(), &scope, id)?;
    super::withdraw_notified(tx, id, &asked.body.reason)?;
    let (row, masters) = line_seen(tx.conn(), &scope, id)?;
    Ok(line_of(&masters, row))
}

/// Which of what waits.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WhichWaiting {
    /// Only of this master.
    master: Option<String>,
    /// With leaves that suggest themselves.
    suggest: Option<bool>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

/// What waits for an owner.
#[derive(Serialize, JsonSchema)]
struct WaitingLine {
    /// The line, `LINE/3` for the third payment of one, or `opening:MASTER`.
    line: String,
    /// Code of the master.
    master: String,
    /// Booking day.
    booked_on: NaiveDate,
    /// What came is positive.
    amount: Option<Money>,
    /// Who is on the other side.
    counterparty: Option<String>,
    /// What the payer wrote.
    remittance: Option<String>,
    /// Why it waits.
    why: String,
    /// The strongest first; empty where none was asked for.
    suggestions: Vec<SuggestedLeaf>,
}

/// A leaf that suggests itself. It places nothing; a person does.
#[derive(Serialize, JsonSchema)]
struct SuggestedLeaf {
    /// The leaf's path.
    leaf: String,
    /// For people, the strongest first.
    because: Vec<String>,
}

/// Its place in the list: by master, the largest amount first, then by line.
fn place_of(w: &Waiting) -> String {
    format!("{}\0{:020}\0{}", w.master, u64::MAX - w.minor.unsigned_abs(), w.line)
}

fn suspense(call: &Call, which: &WhichWaiting) -> Result<Page<WaitingLine>> {
    let limit = Limit::of(which.limit);
    let (all, mut suggested) = call.read(|conn| {
        let masters = Masters::of(conn, call.scope())?;
        let mut all: Vec<Waiting> = Vec::new();
        let mut codes: Vec<&MasterRow> = masters.0.values().collect();
        codes.sort_unstable_by(|a, b| a.code.cmp(&b.code));
        let mut suggested: HashMap<String, Vec<Suggestion>> = HashMap::new();
        for master in codes.into_iter().filter(|m| which.master.as_ref().is_none_or(|code| *code == m.code)) {
            all.extend(super::waiting(conn, Some(&master.code))?);
            if which.suggest == Some(true) {
                let found = super::recall::suggestions(conn, Some(&master.code), None)?;
                suggested.extend(found.into_iter().map(|(waits, leaves)| (waits.line, leaves)));
            }
        }
        Ok((all, suggested))
    })?;
    // By what stands on the page and not by how many stand before it: what waits changes while somebody reads.
    let mut all: Vec<(String, Waiting)> = all.into_iter().map(|w| (place_of(&w), w)).collect();
    all.retain(|(place, _)| call.position().is_none_or(|at| place.as_str() > at));
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| more).map(|(place, _)| place.clone());
    let items = all.into_iter().map(|(_, w)| {
        let leaf = |s: Suggestion| {
            let because = s.reasons.into_iter().map(|r: Reason| r.sentence).collect();
            SuggestedLeaf { leaf: s.leaf, because }
        };
        WaitingLine {
            suggestions: suggested.remove(&w.line).unwrap_or_default().into_iter().map(leaf).collect(),
            amount: money(w.minor, Some(&w.currency)),
            line: w.line,
            master: w.master,
            booked_on: w.booked_on,
            counterparty: w.counterparty,
            remittance: w.remittance,
            why: w.why,
        }
    });
    let items = items.collect();
    Ok(call.page(items, next))
}

/// Lines to be placed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Routing {
    /// Each is answered by itself.
    #[schemars(length(min = 1, max = 100))]
    lines: Vec<RouteTo>,
}

/// A line to be placed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RouteTo {
    /// The line, `LINE/3` for the third payment of one, or `opening:MASTER`.
    line: String,
    /// The leaf whose money it is, such as `de-eur/tiktok/de/operating`.
    to: String,
    /// In a few words; kept with the route.
    #[schemars(length(min = 3))]
    reason: String,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
struct Routed {
    /// In the order in which they were asked for.
    lines: Vec<RoutedItem>,
}

/// What came of one line.
#[derive(Serialize, JsonSchema)]
struct RoutedItem {
    /// The line.
    line: String,
    /// The entry that moved it; null where it was refused or waits for approval.
    entry: Option<i64>,
    /// The proposal that waits for approval.
    proposal: Option<String>,
    /// The code of the refusal.
    code: Option<String>,
    /// Why, for people.
    detail: Option<String>,
}

fn route(tx: &mut Tx<'_>, asked: &Asked<Nothing, Routing>) -> Result<Routed> {
    let wanted = &asked.body.lines;
    if wanted.is_empty() || wanted.len() > 100 {
        return Err(Refusal::BadBody { why: "lines: from 1 to 100 at once".to_owned() }.into());
    }
    let mut lines = Vec::with_capacity(wanted.len());
    for one in wanted {
        // A refused item never fails its neighbours, and is recorded like any refused command.
        let routed = tx.attempt("lines.route", |tx| route_one(tx, one))?;
        let ((entry, proposal), no) = match routed {
            Ok(done) => (done, None),
            Err(no) => ((None, None), Some(no)),
        };
        let (code, detail) = no.map(|no| (no.code().to_owned(), no.to_string())).unzip();
        lines.push(RoutedItem { line: one.line.clone(), entry, proposal, code, detail });
    }
    Ok(Routed { lines })
}

/// The entry that moves it, or the proposal that waits.
fn route_one(tx: &mut Tx<'_>, one: &RouteTo) -> Result<(Option<i64>, Option<String>)> {
    let scope = tx.scope().clone();
    match one.line.strip_prefix("opening:") {
        Some(master) => drop(chart::master_seen(tx.conn(), &scope, master)?),
        None => drop(line_seen(tx.conn(), &scope, one.line.split('/').next().unwrap_or(&one.line))?),
    }
    chart::account_seen(tx.conn(), &scope, &one.to)?;
    let RouteTo { line, to: leaf, reason } = one;
    let change = Change::Reroute { line: line.clone(), leaf: leaf.clone(), reason: reason.clone() };
    let (done, proposal) = four_eyes::submit_in(tx, &change)?.parts();
    let entry = if let Some(Done::Reroute(posted)) = done { Some(posted.number) } else { None };
    Ok((entry, proposal))
}

/// What met an expected receipt.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MetBy {
    /// The line, `LINE/3` for the third payment of one.
    line: String,
    /// In a few words; kept.
    #[schemars(length(min = 3))]
    reason: String,
}

/// An expected receipt that was met.
#[derive(Serialize, JsonSchema)]
struct Met {
    /// Its key.
    key: String,
    /// The line that met it.
    line: String,
    /// `met`, or what it was where that waits for approval.
    state: String,
    /// The proposal that waits for approval; null where it is met.
    proposal: Option<String>,
}

fn meet(tx: &mut Tx<'_>, asked: &Asked<Nothing, MetBy>) -> Result<Met> {
    let (scope, key, line) = (tx.scope().clone(), asked.path("key"), asked.body.line.as_str());
    let expected = crate::expectations::show_seen(tx.conn(), &scope, key)?;
    line_seen(tx.conn(), &scope, line.split('/').next().unwrap_or(line))?;
    let change =
        Change::Meeting { expectation: expected.id.clone(), line: line.to_owned(), reason: asked.body.reason.clone() };
    let (_, proposal) = four_eyes::submit_in(tx, &change)?.parts();
    let after = crate::expectations::show_seen(tx.conn(), &scope, &expected.id)?;
    Ok(Met { key: expected.key, line: line.to_owned(), state: after.state, proposal })
}
