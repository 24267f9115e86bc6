//! The SQL of routes and rules.

use super::place::{Decision, Leaf, Placement, Placer};
use super::returns::Originals;
use super::rules::{Rule, RuleFile, RuleSet};
use super::transfers::OwnMaster;
use crate::db::bulk::{self, Bulk, Cells, Moment};
use crate::db::schema::{accounts, entries, masters, postings, products, routes, rules as rules_table, sub_accounts};
use crate::db::{Conn, Tx, broken};
use crate::error::{Error, Result};
use crate::ledger::AccountId;
use crate::time::stored;
use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::{
    ExpressionMethods, Insertable, JoinOnDsl, NullableExpressionMethods, OptionalExtension, QueryDsl, Queryable,
    Selectable, SelectableHelper,
};
use diesel::sql_types::{BigInt, Date, Nullable, Text};
use diesel::{QueryResult, QueryableByName, RunQueryDsl, insert_into, sql_query};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

mod history;
pub(super) mod settlements;

pub(super) use history::{
    StoredLine, all_open_sides, by_people, forget_sides, insert_sides, match_sides, open_sides, originals, posted_page,
    stored_lines,
};

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

#[derive(QueryableByName)]
struct Finding {
    #[diesel(sql_type = Text)]
    what: String,
}

/// Lines, routes and entries that do not belong together: for `check`.
pub(super) fn unsound(conn: &mut Conn) -> Result<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    // Each pair of texts: the invariant, and a query that gives what breaks it.
    let queries = [
        (
            "I8",
            "SELECT 'line ' || l.id || ' is posted, but has no route' AS what FROM lines l \
                LEFT JOIN routes r ON r.line = l.id AND r.seq = 0 WHERE l.posting = 'posted' AND r.line IS NULL LIMIT 100"
                .to_owned(),
        ),
        (
            "I6",
            "SELECT 'line ' || r.line || ' is not what entry ' || r.entry || ' posts on its master' AS what \
                FROM routes r LEFT JOIN lines l ON l.id = r.line LEFT JOIN masters m ON m.id = l.master \
                LEFT JOIN postings p ON p.account = m.account AND p.entry = r.entry LEFT JOIN entries e ON e.number = r.entry \
                WHERE r.seq = 0 AND (p.amount IS NULL OR e.number IS NULL OR p.amount <> l.amount OR l.posting NOT IN ('posted', 'withdrawn') \
                OR e.booked_on <> l.booked_on OR e.valued_on <> l.valued_on) LIMIT 100"
                .to_owned(),
        ),
        (
            "I6",
            "SELECT 'line ' || l.id || ' is ' || l.posting || ', and was taken back ' || COUNT(r.line) || ' times' AS what \
                FROM lines l LEFT JOIN routes r ON r.line = l.id AND r.evidence = 'withdrawn' \
                LEFT JOIN masters m ON m.id = l.master LEFT JOIN postings p ON p.account = m.account AND p.entry = r.entry \
                WHERE l.posting IN ('posted', 'withdrawn') GROUP BY l.id, l.posting, l.booked_on, m.cut_over_on, l.amount \
                HAVING COUNT(r.line) <> CASE WHEN l.posting = 'withdrawn' AND l.booked_on >= m.cut_over_on AND l.amount <> 0 \
                THEN 1 ELSE 0 END OR COALESCE(SUM(p.amount + l.amount), 0) <> 0 LIMIT 100"
                .to_owned(),
        ),
        (
            "I8",
            "SELECT 'route ' || r.seq || ' of line ' || r.line || ' is of a payment that the line does not have' AS what \
                FROM routes r JOIN lines l ON l.id = r.line WHERE r.detail IS NOT NULL \
                AND (r.detail < 0 OR r.detail >= l.detail_count OR l.detail_count < 2) LIMIT 100"
                .to_owned(),
        ),
        (
            "I8",
            "SELECT 'line ' || l.id || ' stands in the place of ' || l.replaces || ', which was not taken back' AS what \
                FROM lines l LEFT JOIN lines o ON o.id = l.replaces WHERE l.replaces IS NOT NULL \
                AND (o.id IS NULL OR o.posting <> 'withdrawn' OR o.master <> l.master) LIMIT 100"
                .to_owned(),
        ),
        (
            "I8",
            "SELECT 'line ' || l.id || ' is confirmed or not as its facets say otherwise' AS what FROM lines l \
                JOIN statements s ON s.id = l.statement WHERE (l.facet = 'booked') <> (s.role = 'statement' OR EXISTS ( \
                SELECT 1 FROM line_facets f WHERE f.line = l.id AND f.kind = 'booked')) \
                OR (l.unconfirmed AND (l.facet = 'booked' OR l.posting <> 'posted' OR l.amount < 0)) LIMIT 100"
                .to_owned(),
        ),
        (
            "I8",
            "SELECT 'the hold ' || h.hold || ' is of no unconfirmed line' AS what FROM (SELECT hold, \
                SUM(CASE kind WHEN 'placed' THEN amount ELSE -amount END) AS remaining FROM holds WHERE hold LIKE 'unconfirmed:%' \
                GROUP BY hold) h WHERE h.remaining <> 0 AND NOT EXISTS (SELECT 1 FROM lines l WHERE l.unconfirmed \
                AND l.id = substr(h.hold, 13, length(l.id)) AND substr(h.hold, 13 + length(l.id), 1) = ':') LIMIT 100"
                .to_owned(),
        ),
        (
            "I10",
            "SELECT 'route ' || r.seq || ' of line ' || r.line || ' was not decided as entry ' || r.entry || ' says' AS what \
                FROM routes r LEFT JOIN entries e ON e.number = r.entry LEFT JOIN seals s ON s.number = e.seal \
                WHERE s.number IS NULL OR e.actor <> r.decided_by OR s.recorded_at <> r.decided_at OR (r.seq > 0 \
                AND NOT EXISTS (SELECT 1 FROM routes b WHERE b.line = r.line AND b.seq = r.seq - 1)) LIMIT 100"
                .to_owned(),
        ),
        (
            "I6",
            "SELECT 'entry ' || e.number || ' posts on a master without a line' AS what \
                FROM masters m JOIN postings p ON p.account = m.account JOIN entries e ON e.number = p.entry \
                LEFT JOIN routes r ON r.line = e.cause_id AND r.entry = e.number AND ((e.cause_type = 'line' AND r.seq = 0) \
                OR (e.cause_type = 'withdrawal' AND r.evidence = 'withdrawn')) \
                WHERE r.line IS NULL AND NOT (e.cause_type = 'opening' AND e.cause_id = m.id) LIMIT 100"
                .to_owned(),
        ),
        (
            "I8",
            format!(
                "SELECT 'the suspense of ' || m.code || ' is ' || (b.debits - b.credits) || ', but what waits in it sums to ' \
                || x.waiting AS what FROM masters m JOIN balances b ON b.account = m.suspense JOIN (SELECT o.id AS master, \
                COALESCE((SELECT CAST(SUM(-r.amount) AS BIGINT) FROM routes r JOIN lines l ON l.id = r.line \
                WHERE l.master = o.id AND r.suspense AND {IN_FORCE}), 0) \
                + COALESCE((SELECT CAST(SUM(p.amount) AS BIGINT) FROM entries e JOIN postings p ON p.entry = e.number \
                AND p.account = o.suspense WHERE e.cause_type = 'opening' AND e.cause_id = o.id), 0) AS waiting FROM masters o) x \
                ON x.master = m.id WHERE b.debits - b.credits <> x.waiting LIMIT 100"
            ),
        ),
        (
            "I6",
            "SELECT 'the side of a transfer in line ' || a.line || ' and its match do not name each other' AS what \
                FROM own_transfers a LEFT JOIN own_transfers b ON b.line = a.matched_line AND b.detail = a.matched_detail \
                WHERE a.matched_line IS NOT NULL AND (b.matched_line IS NULL OR b.matched_line <> a.line \
                OR b.matched_detail <> a.detail OR b.amount <> -a.amount OR b.master <> a.other) LIMIT 100"
                .to_owned(),
        ),
    ];
    for (invariant, sql) in queries {
        let rows: Vec<Finding> = sql_query(sql).load(conn).map_err(broken)?;
        found.extend(rows.into_iter().map(|f| (invariant, f.what)));
    }
    let mut after = String::new();
    while let Some(last) = unsound_shares(conn, &after, &mut found)? {
        after = last;
    }
    Ok(found)
}

/// Routes whose shares are not those that their entries post, page by page of lines; gives the last line of the page.
fn unsound_shares(conn: &mut Conn, after: &str, found: &mut Vec<(&'static str, String)>) -> Result<Option<String>> {
    let page = routes::table.filter(routes::line.gt(after)).order((routes::line, routes::seq)).limit(KEYS);
    let mut page: Vec<RouteRow> = page.select(RouteRow::as_select()).load(conn).map_err(broken)?;
    let Some(last) = page.last().map(|r| r.line.clone()) else { return Ok(None) };
    // The routes of the last line may go on beyond the page.
    page.retain(|r| r.line != last);
    page.extend(routes_of(conn, &last)?);
    let numbers: HashSet<i64> = page.iter().map(|r| r.entry).collect();
    let legs = postings::table.inner_join(accounts::table.on(accounts::id.eq(postings::account)));
    // The master itself is proved apart.
    let legs = legs.filter(postings::entry.eq_any(numbers)).filter(accounts::kind.ne("master"));
    let legs: Vec<(i64, i64, i64)> =
        legs.select((postings::entry, postings::account, postings::amount)).load(conn).map_err(broken)?;
    let mut posted: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for (entry, account, amount) in legs {
        *posted.entry((entry, account)).or_default() += amount;
    }
    let suspenses: Vec<i64> = masters::table.select(masters::suspense).load(conn).map_err(broken)?;
    for of_line in page.chunk_by(|a, b| a.line == b.line) {
        let line = of_line.first().map_or("", |r| r.line.as_str());
        let mut decided: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        let mut force = InForce::default();
        for (at, route) in of_line.iter().enumerate() {
            let shares = route.shares().unwrap_or_default();
            let given: i128 = shares.iter().map(|(_, amount)| i128::from(*amount)).sum();
            let waits = shares.iter().any(|(account, _)| suspenses.contains(&account.0));
            if given != -i128::from(route.amount) || waits != route.suspense {
                found.push(("I8", format!("route {} of line {line} does not say what its shares are", route.seq)));
            }
            let replaced = force.take(route);
            let back = replaced
                .iter()
                .flat_map(|r| r.shares().unwrap_or_default())
                .map(|(account, amount)| (account, -amount));
            for (account, amount) in route.shares().unwrap_or_default().into_iter().chain(back) {
                *decided.entry((route.entry, account.0)).or_default() += amount;
            }
            // Whenever an entry is done, all of the line is placed: as a whole, or each of its several payments.
            if of_line.get(at + 1).is_some_and(|next| next.entry == route.entry) {
                continue;
            }
            let places: Vec<Option<i64>> = force.0.keys().copied().collect();
            let each = places.len() > 1 && places.iter().zip(0i64..).all(|(place, n)| *place == Some(n));
            if places != [None] && !each {
                found.push(("I8", format!("line {line} is placed for some of its payments only")));
            }
        }
        let entries: BTreeSet<i64> = of_line.iter().map(|r| r.entry).collect();
        for entry in entries {
            let of_entry = |all: &BTreeMap<(i64, i64), i64>| -> Vec<((i64, i64), i64)> {
                let range = all.range((entry, i64::MIN)..=(entry, i64::MAX));
                range.map(|(key, amount)| (*key, *amount)).filter(|(_, amount)| *amount != 0).collect()
            };
            if of_entry(&decided) != of_entry(&posted) {
                found.push(("I8", format!("the routes of line {line} have shares that entry {entry} does not post")));
            }
        }
    }
    Ok(Some(last))
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
