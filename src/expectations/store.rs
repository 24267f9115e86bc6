//! The SQL of expectations.

use super::matching::{Expected, key};
use super::state::State;
use super::{Announcement, Filter};
use crate::db::bulk::{self, Bulk, Cells, Day, Moment};
use crate::db::schema::{accounts, events, expectations, masters, routes, sub_accounts};
use crate::db::seal::{Encoding, Hash, hex, sha256};
use crate::db::{Conn, Tx, broken};
use crate::error::{Error, Result};
use crate::time::stored;
use chrono::{NaiveDate, NaiveDateTime};
use diesel::dsl::sql;
use diesel::prelude::{
    ExpressionMethods, JoinOnDsl, NullableExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable,
    SelectableHelper,
};
use diesel::sql_types::BigInt;
use diesel::{QueryResult, RunQueryDsl, TextExpressionMethods, update};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Keys per `IN` list.
const KEYS: usize = 5_000;

/// Rows per page of a proof.
const PAGE: i64 = 4_000;

/// An expectation, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = expectations)]
#[expect(missing_docs, reason = "the migration says what each column is")]
pub struct ExpectationRow {
    pub id: String,
    pub key: String,
    pub master: String,
    pub account: i64,
    pub least: i64,
    pub most: i64,
    pub first_on: NaiveDate,
    pub last_on: NaiveDate,
    pub reference: Option<String>,
    pub reference_key: Option<String>,
    pub counterparty_account: Option<String>,
    pub counterparty_key: Option<String>,
    pub note: Option<String>,
    pub metadata: Option<String>,
    pub state: String,
    pub line: Option<String>,
    pub detail: Option<i64>,
    pub route: Option<i64>,
    pub reason: Option<String>,
    pub made_by: String,
    pub made_at: NaiveDateTime,
}

impl ExpectationRow {
    /// A new one; who made it and when is stamped on it when it is stored.
    pub(super) fn new(a: &Announcement, leaf: &LeafRow, (least, most): (i64, i64)) -> ExpectationRow {
        ExpectationRow {
            id: String::new(),
            key: a.key.clone(),
            master: leaf.master.clone(),
            account: leaf.account,
            least,
            most,
            first_on: a.days.0,
            last_on: a.days.1,
            reference_key: a.reference.as_deref().and_then(key),
            reference: a.reference.clone(),
            counterparty_key: a.account.as_deref().and_then(key),
            counterparty_account: a.account.clone(),
            note: a.note.clone(),
            metadata: a.metadata.clone(),
            state: State::Open.as_str().to_owned(),
            line: None,
            detail: None,
            route: None,
            reason: None,
            made_by: String::new(),
            made_at: NaiveDateTime::default(),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> Result<State> {
        State::parse(&self.state)
            .ok_or_else(|| Error::Broken(format!("{} is {}, which is no state", self.key, self.state)))
    }

    /// The digest of what was announced: everything that never changes.
    pub(super) fn content(&self) -> Hash {
        let mut e = Encoding::new("tributary.expectation.1");
        e.text(&self.key).text(&self.master).int(self.account).int(self.least).int(self.most);
        e.text(&self.first_on.to_string()).text(&self.last_on.to_string());
        for text in [&self.reference, &self.reference_key, &self.counterparty_account, &self.counterparty_key] {
            e.optional(text.as_deref());
        }
        e.optional(self.note.as_deref()).optional(self.metadata.as_deref());
        sha256(e.as_bytes())
    }

    /// What was announced, for its first event: the digest, and when.
    pub(super) fn announced(&self) -> String {
        let at = crate::time::rfc3339(crate::time::from_stored(self.made_at));
        serde_json::json!({ "state": "open", "content": hex(&self.content()), "at": at }).to_string()
    }

    /// What changes, for events: the state, and what met it. A reason may name a person, so only its digest is sealed.
    pub(super) fn standing(&self) -> String {
        let reason = self.reason.as_ref().map(|r| hex(&sha256(r.as_bytes())));
        serde_json::json!({
            "state": self.state, "line": self.line, "payment": self.detail.map(|d| d + 1), "route": self.route, "reason_sha256": reason
        })
        .to_string()
    }
}

impl Bulk for StoredRow<'_> {
    type Table = expectations::table;
    const TABLE: &'static str = "expectations";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "key",
        "master",
        "account",
        "least",
        "most",
        "first_on",
        "last_on",
        "reference",
        "reference_key",
        "counterparty_account",
        "counterparty_key",
        "note",
        "metadata",
        "state",
        "line",
        "detail",
        "route",
        "reason",
        "made_by",
        "made_at",
    ];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        let row = self.row;
        c.text(&row.id)?;
        c.text(&row.key)?;
        c.text(&row.master)?;
        c.int(&row.account)?;
        c.int(&row.least)?;
        c.int(&row.most)?;
        c.day(&self.first_on)?;
        c.day(&self.last_on)?;
        c.maybe_text(row.reference.as_deref())?;
        c.maybe_text(row.reference_key.as_deref())?;
        c.maybe_text(row.counterparty_account.as_deref())?;
        c.maybe_text(row.counterparty_key.as_deref())?;
        c.maybe_text(row.note.as_deref())?;
        c.maybe_text(row.metadata.as_deref())?;
        c.text(&row.state)?;
        c.maybe_text(row.line.as_deref())?;
        c.maybe_int(&row.detail)?;
        c.maybe_int(&row.route)?;
        c.maybe_text(row.reason.as_deref())?;
        c.text(&row.made_by)?;
        c.moment(&self.made_at)
    }
}

struct StoredRow<'a> {
    row: &'a ExpectationRow,
    first_on: Day,
    last_on: Day,
    made_at: Moment,
}

/// A leaf that may wait for something.
#[derive(Debug, Clone)]
pub(super) struct LeafRow {
    pub(super) master: String,
    pub(super) currency: String,
    pub(super) account: i64,
    pub(super) closed: bool,
}

/// All leaves and house leaves, by code.
pub(super) fn leaves(conn: &mut Conn) -> Result<HashMap<String, LeafRow>> {
    let all = sub_accounts::table.inner_join(accounts::table.on(sub_accounts::account.eq(accounts::id.nullable())));
    let columns = (sub_accounts::code, sub_accounts::master, accounts::currency, accounts::id, accounts::state);
    let rows: Vec<(String, String, String, i64, String)> = all.select(columns).load(conn).map_err(broken)?;
    let leaf = |(code, master, currency, account, state): (String, String, String, i64, String)| {
        (code, LeafRow { master, currency, account, closed: state == "closed" })
    };
    Ok(rows.into_iter().map(leaf).collect())
}

/// Gives a new row its id, and says who made it and when.
pub(super) fn stamp(tx: &mut Tx<'_>, row: &mut ExpectationRow) {
    row.id = tx.id("ex");
    row.made_by = tx.actor().to_string();
    row.made_at = stored(tx.now());
}

pub(super) fn insert(conn: &mut Conn, new: &[ExpectationRow]) -> Result<()> {
    let rows = new.iter().map(|row| StoredRow {
        row,
        first_on: Day::from(row.first_on),
        last_on: Day::from(row.last_on),
        made_at: Moment::from(row.made_at),
    });
    let rows: Vec<StoredRow<'_>> = rows.collect();
    bulk::insert(conn, &rows)
}

/// Those with these keys that are there, by account and key.
pub(super) fn by_keys<'a>(
    conn: &mut Conn,
    keys: impl Iterator<Item = &'a str>,
) -> Result<HashMap<(i64, String), ExpectationRow>> {
    let keys: Vec<&str> = keys.collect();
    let mut found = HashMap::new();
    for some in keys.chunks(KEYS) {
        let rows = expectations::table.filter(expectations::key.eq_any(some)).select(ExpectationRow::as_select());
        let rows: Vec<ExpectationRow> = rows.load(conn).map_err(broken)?;
        found.extend(rows.into_iter().map(|row| ((row.account, row.key.clone()), row)));
    }
    Ok(found)
}

/// Those that a name may mean: the one with this id, else all with this key, each with its leaf.
pub(super) fn named(conn: &mut Conn, name: &str) -> Result<Vec<(ExpectationRow, String)>> {
    let all = || {
        let with_leaf = expectations::table.inner_join(accounts::table.on(accounts::id.eq(expectations::account)));
        with_leaf.select((ExpectationRow::as_select(), accounts::code)).order(accounts::code)
    };
    if let Some(found) = all().filter(expectations::id.eq(name)).first(conn).optional().map_err(broken)? {
        return Ok(vec![found]);
    }
    all().filter(expectations::key.eq(name)).load(conn).map_err(broken)
}

pub(super) fn by_id(conn: &mut Conn, id: &str) -> Result<ExpectationRow> {
    expectations::table.find(id).select(ExpectationRow::as_select()).first(conn).map_err(broken)
}

/// Those that a line has met, by one of its payments each.
pub(super) fn met_by(conn: &mut Conn, line: &str) -> Result<Vec<ExpectationRow>> {
    let met = expectations::table.filter(expectations::line.eq(line)).order(expectations::route);
    met.select(ExpectationRow::as_select()).load(conn).map_err(broken)
}

/// Stores what has changed of a row that was in this state.
pub(super) fn save(conn: &mut Conn, row: &ExpectationRow, was: State) -> Result<()> {
    let of = expectations::table.filter(expectations::id.eq(&row.id)).filter(expectations::state.eq(was.as_str()));
    let saved = update(of)
        .set((
            expectations::state.eq(&row.state),
            expectations::line.eq(&row.line),
            expectations::detail.eq(row.detail),
            expectations::route.eq(row.route),
            expectations::reason.eq(&row.reason),
        ))
        .execute(conn)
        .map_err(broken)?;
    if saved == 1 { Ok(()) } else { Err(Error::Broken(format!("{} was not {was} any more", row.key))) }
}

/// Those that are open and whose last day is before another, oldest first.
pub(super) fn open_until(conn: &mut Conn, day: NaiveDate) -> Result<Vec<ExpectationRow>> {
    let open = expectations::table.filter(expectations::state.eq(State::Open.as_str()));
    let open = open.filter(expectations::last_on.lt(day)).order((expectations::last_on, expectations::id));
    open.select(ExpectationRow::as_select()).load(conn).map_err(broken)
}

/// Those that a payment can still meet.
const AWAITED: [&str; 2] = ["open", "expired"];

/// Whether a payment of these days may meet something: asked for each slice of lines, and mostly answered by the index.
pub(super) fn awaits_some(conn: &mut Conn, master: &str, (first, last): (NaiveDate, NaiveDate)) -> Result<bool> {
    for state in AWAITED {
        let some = expectations::table.filter(expectations::master.eq(master)).filter(expectations::state.eq(state));
        let some = some.filter(expectations::last_on.ge(first)).filter(expectations::first_on.le(last));
        let found: Option<String> = some.select(expectations::id).first(conn).optional().map_err(broken)?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What payments of these days with these references and counterparties may meet, by id. Asked by what corroborates it, so
/// that a hundred thousand open invoices cost no more than the lines that are there.
pub(super) fn awaited(
    conn: &mut Conn,
    master: &str,
    (first, last): (NaiveDate, NaiveDate),
    references: &HashSet<String>,
    counterparties: &HashSet<String>,
) -> Result<Vec<Expected>> {
    let mut found: BTreeMap<String, Expected> = BTreeMap::new();
    let mut take = |rows: Vec<ExpectationRow>| -> Result<()> {
        for row in rows {
            let state = row.state()?;
            if AWAITED.contains(&row.state.as_str()) && row.last_on >= first && row.first_on <= last {
                found.insert(row.id.clone(), row.expected(state));
            }
        }
        Ok(())
    };
    let of_master = || expectations::table.filter(expectations::master.eq(master));
    let references: Vec<&String> = references.iter().collect();
    for some in references.chunks(KEYS) {
        let rows = of_master().filter(expectations::reference_key.eq_any(some)).select(ExpectationRow::as_select());
        take(rows.load(conn).map_err(broken)?)?;
    }
    let counterparties: Vec<&String> = counterparties.iter().collect();
    for some in counterparties.chunks(KEYS) {
        let rows = of_master().filter(expectations::counterparty_key.eq_any(some)).select(ExpectationRow::as_select());
        take(rows.load(conn).map_err(broken)?)?;
    }
    Ok(found.into_values().collect())
}

impl ExpectationRow {
    fn expected(self, state: State) -> Expected {
        Expected {
            id: self.id,
            key: self.key,
            account: self.account,
            amount: (self.least, self.most),
            days: (self.first_on, self.last_on),
            reference: self.reference_key,
            counterparty: self.counterparty_key,
            state,
        }
    }
}

/// Expectations with the codes of leaf and master and the currency, by last day.
pub(super) fn list(conn: &mut Conn, filter: &Filter) -> Result<Vec<(ExpectationRow, String, String, String)>> {
    let mut all = expectations::table
        .inner_join(accounts::table.on(accounts::id.eq(expectations::account)))
        .inner_join(masters::table.on(masters::id.eq(expectations::master)))
        .order((expectations::last_on, expectations::key, expectations::id))
        .select((ExpectationRow::as_select(), accounts::code, masters::code, masters::currency))
        .limit(filter.limit.unwrap_or(i64::MAX))
        .into_boxed();
    if let Some(master) = &filter.master {
        all = all.filter(masters::code.eq(master));
    }
    if let Some(leaf) = &filter.leaf {
        all = all.filter(accounts::code.eq(leaf));
    }
    if let Some(state) = filter.state {
        all = all.filter(expectations::state.eq(state.as_str()));
    }
    if let Some(id) = &filter.id {
        all = all.filter(expectations::id.eq(id));
    }
    all.load(conn).map_err(broken)
}

/// Of what was met by a route that is not in force any more: what has replaced it, by the id of the expectation.
pub(super) fn moved_since<'a>(
    conn: &mut Conn,
    rows: impl Iterator<Item = &'a ExpectationRow>,
) -> Result<HashMap<String, String>> {
    let met: Vec<&ExpectationRow> = rows.filter(|row| row.line.is_some()).collect();
    let mut moved = HashMap::new();
    for some in met.chunks(KEYS) {
        let lines: HashSet<&str> = some.iter().filter_map(|row| row.line.as_deref()).collect();
        let of_lines = routes::table.filter(routes::line.eq_any(lines)).order((routes::line, routes::seq));
        let columns = (routes::line, routes::seq, routes::detail, routes::evidence, routes::sentence);
        let all: Vec<(String, i64, Option<i64>, String, String)> =
            of_lines.select(columns).load(conn).map_err(broken)?;
        for row in some {
            let newest = all.iter().rev().find(|(line, seq, detail, ..)| {
                Some(line) == row.line.as_ref()
                    && Some(*seq) > row.route
                    && (detail.is_none() || row.detail.is_none() || *detail == row.detail)
            });
            if let Some((_, _, _, evidence, sentence)) = newest {
                moved.insert(row.id.clone(), format!("the line was moved since ({evidence}): {sentence}"));
            }
        }
    }
    Ok(moved)
}

/// How many are in each state that people look after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Waited for.
    pub open: i64,
    /// Breaks: their days went by.
    pub expired: i64,
}

/// How many are open, and how many expired.
pub fn counts(conn: &mut Conn) -> Result<Counts> {
    let mut count = |state: State| -> Result<i64> {
        expectations::table.filter(expectations::state.eq(state.as_str())).count().get_result(conn).map_err(broken)
    };
    Ok(Counts { open: count(State::Open)?, expired: count(State::Expired)? })
}

/// What is expected at least, in minor units, by ledger account.
pub fn expected_by_account(conn: &mut Conn) -> Result<HashMap<i64, i64>> {
    let open = expectations::table.filter(expectations::state.eq(State::Open.as_str())).group_by(expectations::account);
    // A sum of whole numbers is a numeric on PostgreSQL.
    let total = sql::<BigInt>("CAST(SUM(least) AS BIGINT)");
    let rows: Vec<(i64, i64)> = open.select((expectations::account, total)).load(conn).map_err(broken)?;
    Ok(rows.into_iter().collect())
}

/// A page of all expectations, by id.
pub(super) fn page(conn: &mut Conn, after: &str) -> Result<Vec<ExpectationRow>> {
    let page = expectations::table.filter(expectations::id.gt(after)).order(expectations::id).limit(PAGE);
    page.select(ExpectationRow::as_select()).load(conn).map_err(broken)
}

/// What an event says of an expectation: subject, kind, actor, how it is after.
pub(super) type Told = (String, String, String, Option<String>);

/// What events say of these expectations, oldest first.
pub(super) fn told_of(conn: &mut Conn, ids: &[String]) -> Result<Vec<Told>> {
    let of_them = events::table.filter(events::subject.eq_any(ids)).filter(events::kind.like("expectation.%"));
    let columns = (events::subject, events::kind, events::actor, events::after);
    of_them.order(events::number).select(columns).load(conn).map_err(broken)
}

/// Ids that events say were announced.
pub(super) fn announced(conn: &mut Conn) -> Result<Vec<String>> {
    let added = events::table.filter(events::kind.eq("expectation.added")).order(events::number);
    added.select(events::subject).load(conn).map_err(broken)
}

/// A route, as far as the proof needs it: line, seq, payment, evidence and shares.
pub(super) type Routed = (String, i64, Option<i64>, String, String);

/// All routes of the lines that met these, oldest first.
pub(super) fn routes_of(conn: &mut Conn, rows: &[ExpectationRow]) -> Result<Vec<Routed>> {
    let lines: HashSet<&str> = rows.iter().filter_map(|row| row.line.as_deref()).collect();
    let of_lines = routes::table.filter(routes::line.eq_any(lines)).order((routes::line, routes::seq));
    let columns = (routes::line, routes::seq, routes::detail, routes::evidence, routes::shares);
    of_lines.select(columns).load(conn).map_err(broken)
}
