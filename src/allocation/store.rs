//! The SQL of routes and rules.

use super::place::{Decision, Leaf, Placement, Placer};
use super::returns::Originals;
use super::reversals::Inflows;
use super::rules::{Rule, RuleFile, RuleSet};
use super::transfers::OwnMaster;
use crate::db::bulk::{self, Bulk, Cells, Moment};
use crate::db::schema::{
    accounts, entries, events, masters, postings, products, routes, rules as rules_table, sub_accounts,
};
use crate::db::{Conn, Tx, broken};
use crate::error::{Error, Result};
use crate::ledger::AccountId;
use crate::time::stored;
use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::{
    ExpressionMethods, Insertable, JoinOnDsl, NullableExpressionMethods, OptionalExtension, QueryDsl, Queryable,
    Selectable, SelectableHelper, TextExpressionMethods,
};
use diesel::sql_types::{BigInt, Date, Nullable, Text};
use diesel::{QueryResult, QueryableByName, RunQueryDsl, insert_into, sql_query};
use std::collections::{BTreeMap, HashMap};

mod history;
mod proof;
pub(super) mod settlements;

pub(super) use history::{
    StoredLine, all_open_sides, by_people, forget_sides, inflows, insert_sides, match_sides, open_sides, originals,
    posted_of, posted_page, stored_lines,
};
pub(super) use proof::unsound;

/// Routes per page of a proof.
const KEYS: i64 = 4_000;

/// A route, as it is read back.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = routes)]
#[expect(missing_docs, reason = "the migration says what each column is")]
pub struct RouteRow {
    pub line: String,
    pub seq: i64,
    pub detail: Option<i64>,
    pub amount: i64,
    pub entry: i64,
    pub evidence: String,
    pub rule: Option<String>,
    pub version: Option<i64>,
    pub matched: String,
    pub sentence: String,
    pub shares: String,
    pub suspense: bool,
    pub decided_by: String,
    pub decided_at: NaiveDateTime,
}

impl RouteRow {
    /// The postings on the shares of the master, debit positive.
    pub fn shares(&self) -> Result<Vec<(AccountId, i64)>> {
        let pairs: Vec<(i64, i64)> = serde_json::from_str(&self.shares)
            .map_err(|e| Error::Broken(format!("route {} of line {}: {e}", self.seq, self.line)))?;
        Ok(pairs.into_iter().map(|(account, amount)| (AccountId(account), amount)).collect())
    }
}

/// A version of a rule, as it is stored.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = rules_table, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column is")]
pub struct RuleRow {
    pub code: String,
    pub version: i64,
    pub priority: i64,
    pub state: String,
    pub definition: String,
    pub made_by: String,
    pub made_at: NaiveDateTime,
}

/// A line that waits in suspense, and why.
#[derive(Debug, Clone, QueryableByName, serde::Serialize)]
#[expect(missing_docs, reason = "the columns of lines and routes")]
pub struct Waiting {
    #[diesel(sql_type = Text)]
    pub line: String,
    #[diesel(sql_type = Text)]
    pub master: String,
    #[diesel(sql_type = Text)]
    pub currency: String,
    #[diesel(sql_type = Date)]
    pub booked_on: NaiveDate,
    #[diesel(sql_type = BigInt)]
    #[serde(skip)]
    pub minor: i64,
    #[diesel(sql_type = Nullable<Text>)]
    pub counterparty: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub remittance: Option<String>,
    #[diesel(sql_type = Text)]
    pub why: String,
}

/// A route about to be stored.
pub(super) struct NewRoute {
    pub(super) line: String,
    pub(super) seq: i64,
    pub(super) detail: Option<i64>,
    pub(super) amount: i64,
    pub(super) entry: i64,
    pub(super) decision: Decision,
}

impl NewRoute {
    /// The routes that an entry carried out for a line, from `seq` on.
    pub(super) fn of(line: &str, seq: i64, entry: i64, placements: Vec<Placement>) -> impl Iterator<Item = NewRoute> {
        placements.into_iter().zip(seq..).map(move |(p, seq)| NewRoute {
            line: line.to_owned(),
            seq,
            detail: p.detail,
            amount: p.amount,
            entry,
            decision: p.decision,
        })
    }
}

/// All versions of all rules, by code and version.
pub fn rule_versions(conn: &mut Conn) -> Result<Vec<RuleRow>> {
    let all = rules_table::table.select(RuleRow::as_select()).order((rules_table::code, rules_table::version));
    all.load(conn).map_err(broken)
}

/// The newest version of each rule, retired ones too, by code.
pub(super) fn newest_rules(conn: &mut Conn) -> Result<Vec<RuleRow>> {
    let all = rule_versions(conn)?;
    let mut newest: Vec<RuleRow> = Vec::with_capacity(all.len());
    for row in all {
        match newest.last_mut() {
            Some(last) if last.code == row.code => *last = row,
            _ => newest.push(row),
        }
    }
    Ok(newest)
}

/// The newest version of each rule that is in force, in the order in which they are tried.
pub fn rules(conn: &mut Conn) -> Result<Vec<RuleRow>> {
    let mut newest = newest_rules(conn)?;
    newest.retain(|r| r.state == "active");
    newest.sort_by(|a, b| (a.priority, &a.code).cmp(&(b.priority, &b.code)));
    Ok(newest)
}

pub(super) fn rule_of(row: &RuleRow) -> Result<Rule> {
    let file: RuleFile = serde_json::from_str(&row.definition)
        .map_err(|e| Error::Broken(format!("rule {} v{}: {e}", row.code, row.version)))?;
    let rule = Rule::new(file, row.version);
    // One of before rules had to say so: what may not place any more only suggests.
    let suggests = rule.suggests || !rule.when.places();
    Ok(Rule { suggests, ..rule })
}

pub(super) fn insert_rule(tx: &mut Tx<'_>, version: &super::changes::Version) -> Result<()> {
    let row = RuleRow {
        code: version.code.clone(),
        version: version.version,
        priority: version.priority,
        state: version.state.to_owned(),
        definition: version.definition.clone(),
        made_by: tx.actor().to_string(),
        made_at: stored(tx.now()),
    };
    insert_into(rules_table::table).values(&row).execute(tx.conn()).map_err(broken)?;
    Ok(())
}

type MasterColumns = (String, String, i64, i64, i64, String, NaiveDate);
type LeafColumns = (String, Option<String>, Option<String>, Option<String>, i64, String);

/// What decides on the lines of a master.
pub(super) fn placer(conn: &mut Conn, master: &str) -> Result<Placer> {
    let columns = (
        masters::code,
        masters::currency,
        masters::account,
        masters::suspense,
        masters::in_transit,
        masters::account_number,
        masters::cut_over_on,
    );
    let (code, currency, account, suspense, in_transit, own_number, cut_over_on): MasterColumns =
        masters::table.find(master).select(columns).first(conn).map_err(broken)?;
    let leaves = sub_accounts::table
        .inner_join(accounts::table.on(accounts::code.eq(sub_accounts::code)))
        .left_join(products::table.on(sub_accounts::product.eq(products::id.nullable())));
    let leaves = leaves.filter(sub_accounts::master.eq(master)).order(sub_accounts::code);
    let rows: Vec<LeafColumns> = leaves
        .select((
            sub_accounts::code,
            sub_accounts::virtual_number,
            products::code.nullable(),
            sub_accounts::market,
            accounts::id,
            accounts::state,
        ))
        .load(conn)
        .map_err(broken)?;
    let others = masters::table.filter(masters::currency.eq(&currency)).filter(masters::id.ne(master));
    let others: Vec<(String, String, String)> =
        others.select((masters::account_number, masters::id, masters::code)).load(conn).map_err(broken)?;
    let normal = |number: String| crate::chart::numbers::normalise(&number);
    let own_masters = others.into_iter().map(|(number, id, code)| (normal(number), OwnMaster { id, code }));
    let mut placer = Placer {
        master: code,
        currency: currency.parse().map_err(|e: crate::money::Problem| Error::Broken(e.to_string()))?,
        account: AccountId(account),
        suspense: AccountId(suspense),
        in_transit: AccountId(in_transit),
        own_masters: own_masters.collect(),
        originals: Originals::default(),
        inflows: Inflows::default(),
        own_number,
        cut_over_on,
        by_number: HashMap::with_capacity(rows.len()),
        by_code: HashMap::with_capacity(rows.len()),
        leaves: Vec::with_capacity(rows.len()),
        rules: RuleSet::compile(rules(conn)?.iter().map(rule_of).collect::<Result<_>>()?).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Error::Broken(format!("the stored rules cannot be used: {}", problems.join("; ")))
        })?,
        announced: super::announced::Announced::default(),
    };
    for ((code, number, product, market, account, state), place) in rows.into_iter().zip(0usize..) {
        if let Some(number) = number {
            placer.by_number.insert(crate::chart::numbers::normalise(&number), place);
        }
        placer.by_code.insert(code.clone(), place);
        placer.leaves.push(Leaf { account: AccountId(account), code, product, market, closed: state == "closed" });
    }
    Ok(placer)
}

/// The ledger accounts of a master: its own, its suspense and its in-transit.
pub(super) fn accounts_of(conn: &mut Conn, master: &str) -> Result<[AccountId; 3]> {
    let columns = (masters::account, masters::suspense, masters::in_transit);
    let found: (i64, i64, i64) = masters::table.find(master).select(columns).first(conn).map_err(broken)?;
    Ok([AccountId(found.0), AccountId(found.1), AccountId(found.2)])
}

/// The account of a leaf if it belongs to this master, and the master's code.
pub(super) fn leaf_of_master(conn: &mut Conn, master: &str, leaf: &str) -> Result<(Option<AccountId>, String)> {
    let code: String = masters::table.find(master).select(masters::code).first(conn).map_err(broken)?;
    let found = sub_accounts::table.filter(sub_accounts::master.eq(master)).filter(sub_accounts::code.eq(leaf));
    let account: Option<Option<i64>> = found.select(sub_accounts::account).first(conn).optional().map_err(broken)?;
    Ok((account.flatten().map(AccountId), code))
}

/// The code of an account.
pub(super) fn code_of(conn: &mut Conn, account: i64) -> Result<String> {
    accounts::table.find(account).select(accounts::code).first(conn).map_err(broken)
}

struct StoredRoute<'a> {
    new: &'a NewRoute,
    version: Option<i64>,
    matched: String,
    shares: String,
    suspense: i64,
    decided_by: &'a str,
    decided_at: &'a Moment,
}

impl Bulk for StoredRoute<'_> {
    type Table = routes::table;
    const TABLE: &'static str = "routes";
    const COLUMNS: &'static [&'static str] = &[
        "line",
        "seq",
        "detail",
        "amount",
        "entry",
        "evidence",
        "rule",
        "version",
        "matched",
        "sentence",
        "shares",
        "suspense",
        "decided_by",
        "decided_at",
    ];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        let decision = &self.new.decision;
        c.text(&self.new.line)?;
        c.int(&self.new.seq)?;
        c.maybe_int(&self.new.detail)?;
        c.int(&self.new.amount)?;
        c.int(&self.new.entry)?;
        c.text(decision.evidence.as_str())?;
        c.maybe_text(decision.rule.as_ref().map(|(code, _)| code.as_str()))?;
        c.maybe_int(&self.version)?;
        c.text(&self.matched)?;
        c.text(&decision.sentence)?;
        c.text(&self.shares)?;
        c.flag(&self.suspense)?;
        c.text(self.decided_by)?;
        c.moment(self.decided_at)
    }
}

pub(super) fn insert_routes(tx: &mut Tx<'_>, new: &[NewRoute]) -> Result<()> {
    let decided_by = tx.actor().to_string();
    let decided_at = Moment::from(stored(tx.now()));
    let json = |value: serde_json::Result<String>| value.map_err(|e| Error::Broken(e.to_string()));
    let mut rows = Vec::with_capacity(new.len());
    for route in new {
        let shares: Vec<(i64, i64)> = route.decision.shares.iter().map(|(a, m)| (a.0, *m)).collect();
        rows.push(StoredRoute {
            new: route,
            version: route.decision.rule.as_ref().map(|(_, version)| *version),
            matched: json(serde_json::to_string(&route.decision.matched))?,
            shares: json(serde_json::to_string(&shares))?,
            suspense: i64::from(route.decision.suspense),
            decided_by: &decided_by,
            decided_at: &decided_at,
        });
    }
    bulk::insert(tx.conn(), &rows)
}

/// The routes of a line, oldest first; the last is in force.
pub fn routes_of(conn: &mut Conn, line: &str) -> Result<Vec<RouteRow>> {
    let all = routes::table.filter(routes::line.eq(line)).order(routes::seq);
    all.select(RouteRow::as_select()).load(conn).map_err(broken)
}

/// What a master's opening left in suspense, debit positive, and how many entries the opening has made so far.
pub(super) fn opening_left(conn: &mut Conn, master: &str, suspense: i64) -> Result<(i64, i64)> {
    let of_opening = entries::table.filter(entries::cause_type.eq("opening")).filter(entries::cause_id.eq(master));
    let numbers: Vec<i64> = of_opening.select(entries::number).load(conn).map_err(broken)?;
    let on_suspense = postings::table.filter(postings::account.eq(suspense)).filter(postings::entry.eq_any(&numbers));
    let amounts: Vec<i64> = on_suspense.select(postings::amount).load(conn).map_err(broken)?;
    Ok((amounts.iter().sum(), i64::try_from(numbers.len()).unwrap_or(i64::MAX)))
}

/// Kinds of events that change nothing about who gets a line; after any other, what decides is read anew.
const DAILY: [&str; 8] =
    ["ledger.%", "line.%", "statement.%", "pending.%", "route.%", "transfer.%", "expectation.%", "command.refused"];

/// Whether something was recorded after an event that may change what decides on lines: rules, leaves, masters.
pub(super) fn decides_otherwise(conn: &mut Conn, after: i64) -> Result<bool> {
    let mut since = events::table.filter(events::number.gt(after)).into_boxed();
    for kind in DAILY {
        since = since.filter(events::kind.not_like(kind));
    }
    let found: Option<i64> = since.select(events::number).first(conn).optional().map_err(broken)?;
    Ok(found.is_some())
}

/// The condition that no newer route replaces route `r`.
const IN_FORCE: &str = "NOT EXISTS (SELECT 1 FROM routes n WHERE n.line = r.line AND n.seq > r.seq \
     AND (n.detail IS NULL OR r.detail IS NULL OR n.detail = r.detail))";

/// The lines that wait in suspense, largest amount first within each master.
pub(super) fn waiting_lines(conn: &mut Conn, master: Option<&str>) -> Result<Vec<Waiting>> {
    let sql = format!(
        "SELECT CASE WHEN r.detail IS NULL THEN l.id ELSE l.id || '/' || (r.detail + 1) END AS line, m.code AS master, \
         m.currency AS currency, l.booked_on AS booked_on, r.amount AS minor, r.sentence AS why, \
         CASE WHEN r.detail IS NULL THEN l.counterparty_name ELSE d.counterparty_name END AS counterparty, \
         CASE WHEN r.detail IS NULL THEN l.remittance ELSE d.remittance END AS remittance \
         FROM routes r JOIN lines l ON l.id = r.line JOIN masters m ON m.id = l.master \
         LEFT JOIN line_details d ON d.line = r.line AND d.place = r.detail \
         WHERE r.suspense AND {IN_FORCE} AND ($1 IS NULL OR m.code = $1) ORDER BY m.code, abs(r.amount) DESC, l.id, r.detail"
    );
    sql_query(sql).bind::<Nullable<Text>, _>(master).load(conn).map_err(broken)
}

/// The routes of one line that no newer one replaces.
#[derive(Debug, Default)]
struct InForce<'a>(BTreeMap<Option<i64>, &'a RouteRow>);

impl<'a> InForce<'a> {
    /// Puts the next route in force; gives those that it replaces.
    fn take(&mut self, newer: &'a RouteRow) -> Vec<&'a RouteRow> {
        let replaced = match newer.detail {
            None => std::mem::take(&mut self.0).into_values().collect(),
            Some(_) => [self.0.remove(&None), self.0.remove(&newer.detail)].into_iter().flatten().collect(),
        };
        self.0.insert(newer.detail, newer);
        replaced
    }
}

/// The routes of one line that are in force, by payment; `routes` are all of it, oldest first.
pub fn in_force(routes: &[RouteRow]) -> Vec<&RouteRow> {
    let mut force = InForce::default();
    for route in routes {
        force.take(route);
    }
    force.0.into_values().collect()
}
