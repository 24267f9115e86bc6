//! The SQL of settlements.

use super::super::announced::Lump;
use super::super::settlement_file::Settlement;
use super::IN_FORCE;
use crate::db::bulk::{self, Bulk, Cells, Day};
use crate::db::schema::{
    accounts, events, masters, postings, products, routes, settlement_lines, settlements, sub_accounts,
};
use crate::db::seal::{Encoding, Hash, hex, sha256};
use crate::db::{Conn, Tx, broken};
use crate::error::{Error, Result};
use crate::money::Currency;
use crate::time::stored;
use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::{
    ExpressionMethods, Insertable, JoinOnDsl, NullableExpressionMethods, OptionalExtension, QueryDsl, Queryable,
    Selectable, SelectableHelper,
};
use diesel::sql_types::{BigInt, Date, Nullable, Text};
use diesel::{QueryResult, QueryableByName, RunQueryDsl, TextExpressionMethods, insert_into, sql_query, update};
use std::collections::{HashMap, HashSet};

/// A settlement, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = settlements, treat_none_as_default_value = false)]
pub struct SettlementRow {
    pub id: String,
    pub code: String,
    pub master: String,
    pub platform: String,
    pub payer_account: Option<String>,
    pub reference: Option<String>,
    pub total: i64,
    pub paid_on: NaiveDate,
    pub state: String,
    pub line: Option<String>,
    pub detail: Option<i64>,
    pub route: Option<i64>,
    pub entry: Option<i64>,
    pub file_name: String,
    pub made_by: String,
    pub made_at: NaiveDateTime,
    pub decided_by: Option<String>,
    pub reason: Option<String>,
}

/// A line of a settlement, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = settlement_lines)]
pub struct ShareRow {
    pub settlement: String,
    pub place: i64,
    pub account: i64,
    pub gross: i64,
    pub commission: i64,
    pub tax: i64,
    pub net: i64,
    pub reference: Option<String>,
    pub happened_on: Option<NaiveDate>,
}

impl SettlementRow {
    /// A new one; its id, its file and who imported it come when it is stored.
    pub(in crate::allocation) fn new(s: &Settlement, master: &str) -> SettlementRow {
        SettlementRow {
            id: String::new(),
            code: s.code.clone(),
            master: master.to_owned(),
            platform: s.platform.clone(),
            payer_account: s.payer_account.clone(),
            reference: s.reference.clone(),
            total: s.total,
            paid_on: s.paid_on,
            state: "waiting".to_owned(),
            line: None,
            detail: None,
            route: None,
            entry: None,
            file_name: String::new(),
            made_by: String::new(),
            made_at: NaiveDateTime::default(),
            decided_by: None,
            reason: None,
        }
    }

    /// The digest of what the file says: everything that never changes.
    pub(in crate::allocation) fn content(&self, shares: &[ShareRow]) -> Hash {
        let mut e = Encoding::new("tributary.settlement.1");
        e.text(&self.code).text(&self.master).text(&self.platform).optional(self.payer_account.as_deref());
        e.optional(self.reference.as_deref()).int(self.total).text(&self.paid_on.to_string());
        for s in shares {
            e.int(s.place).int(s.account).int(s.gross).int(s.commission).int(s.tax).int(s.net);
            e.optional(s.reference.as_deref()).optional(s.happened_on.map(|d| d.to_string()).as_deref());
        }
        sha256(e.as_bytes())
    }

    /// What was imported, for its first event.
    pub(in crate::allocation) fn imported(&self, shares: &[ShareRow]) -> String {
        let at = crate::time::rfc3339(crate::time::from_stored(self.made_at));
        let (code, content, lines) = (&self.code, hex(&self.content(shares)), shares.len());
        serde_json::json!({ "settlement": code, "content": content, "lines": lines, "file": self.file_name, "at": at })
            .to_string()
    }

    /// Where it stands, for events. A reason may name a person, so only its digest is sealed.
    pub(in crate::allocation) fn standing(&self) -> String {
        let reason = self.reason.as_ref().map(|r| hex(&sha256(r.as_bytes())));
        serde_json::json!({
            "state": self.state, "line": self.line, "payment": self.detail.map(|d| d + 1), "route": self.route, "entry": self.entry,
            "decided_by": self.decided_by, "reason_sha256": reason
        })
        .to_string()
    }
}

struct StoredShare<'a> {
    row: &'a ShareRow,
    settlement: &'a str,
    happened_on: Option<Day>,
}

impl Bulk for StoredShare<'_> {
    type Table = settlement_lines::table;
    const TABLE: &'static str = "settlement_lines";
    const COLUMNS: &'static [&'static str] =
        &["settlement", "place", "account", "gross", "commission", "tax", "net", "reference", "happened_on"];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        c.text(self.settlement)?;
        c.int(&self.row.place)?;
        c.int(&self.row.account)?;
        c.int(&self.row.gross)?;
        c.int(&self.row.commission)?;
        c.int(&self.row.tax)?;
        c.int(&self.row.net)?;
        c.maybe_text(self.row.reference.as_deref())?;
        c.maybe_day(self.happened_on.as_ref())
    }
}

/// A leaf that a settlement may name.
#[derive(Debug, Clone, Queryable)]
pub(in crate::allocation) struct LeafRow {
    pub(in crate::allocation) code: String,
    pub(in crate::allocation) account: i64,
    pub(in crate::allocation) state: String,
    pub(in crate::allocation) product: Option<String>,
    pub(in crate::allocation) market: Option<String>,
}

/// The leaves and house leaves of a master.
pub(in crate::allocation) fn leaves(conn: &mut Conn, master: &str) -> Result<Vec<LeafRow>> {
    let all = sub_accounts::table
        .inner_join(accounts::table.on(sub_accounts::account.eq(accounts::id.nullable())))
        .left_join(products::table.on(sub_accounts::product.eq(products::id.nullable())))
        .filter(sub_accounts::master.eq(master))
        .order(sub_accounts::code);
    let columns = (sub_accounts::code, accounts::id, accounts::state, products::code.nullable(), sub_accounts::market);
    all.select(columns).load(conn).map_err(broken)
}

/// The settlement of this name, if there is one.
pub(in crate::allocation) fn find(conn: &mut Conn, code: &str) -> Result<Option<SettlementRow>> {
    let found = settlements::table.filter(settlements::code.eq(code)).select(SettlementRow::as_select());
    found.first(conn).optional().map_err(broken)
}

/// The settlement of this name.
pub(in crate::allocation) fn need(conn: &mut Conn, code: &str) -> Result<SettlementRow> {
    find(conn, code)?.ok_or_else(|| {
        Error::NotFound(format!("there is no settlement {code}; `tributary settlement list` lists those that came"))
    })
}

/// Settlements, newest payment first.
pub(in crate::allocation) fn list(
    conn: &mut Conn,
    master: Option<&str>,
    state: Option<&str>,
) -> Result<Vec<SettlementRow>> {
    let mut all = settlements::table.select(SettlementRow::as_select()).into_boxed();
    if let Some(master) = master {
        all = all.filter(settlements::master.eq(master.to_owned()));
    }
    if let Some(state) = state {
        all = all.filter(settlements::state.eq(state.to_owned()));
    }
    all.order((settlements::paid_on.desc(), settlements::code)).load(conn).map_err(broken)
}

/// The lines of a settlement, in order.
pub(in crate::allocation) fn shares(conn: &mut Conn, settlement: &str) -> Result<Vec<ShareRow>> {
    let all = settlement_lines::table.filter(settlement_lines::settlement.eq(settlement));
    all.order(settlement_lines::place).select(ShareRow::as_select()).load(conn).map_err(broken)
}

pub(in crate::allocation) fn insert(tx: &mut Tx<'_>, row: &mut SettlementRow, shares: &[ShareRow]) -> Result<()> {
    row.id = tx.id("se");
    row.made_by = tx.actor().to_string();
    row.made_at = stored(tx.now());
    insert_into(settlements::table).values(&*row).execute(tx.conn()).map_err(broken)?;
    let shares =
        shares.iter().map(|s| StoredShare { row: s, settlement: &row.id, happened_on: s.happened_on.map(Day::from) });
    let shares: Vec<StoredShare<'_>> = shares.collect();
    bulk::insert(tx.conn(), &shares)
}

/// What becomes of a settlement.
pub(in crate::allocation) struct Fate<'a> {
    pub(in crate::allocation) state: &'static str,
    /// Line, payment, route, entry.
    pub(in crate::allocation) at: Option<(&'a str, Option<i64>, i64, i64)>,
    pub(in crate::allocation) reason: Option<&'a str>,
}

/// Stores what becomes of a settlement, if it is as it was read; gives it as it is then.
pub(in crate::allocation) fn change(tx: &mut Tx<'_>, row: &SettlementRow, fate: &Fate<'_>) -> Result<SettlementRow> {
    let after = SettlementRow {
        state: fate.state.to_owned(),
        line: fate.at.map(|(line, ..)| line.to_owned()),
        detail: fate.at.and_then(|(_, detail, ..)| detail),
        route: fate.at.map(|(.., route, _)| route),
        entry: fate.at.map(|(.., entry)| entry),
        decided_by: Some(tx.actor().to_string()),
        reason: fate.reason.map(str::to_owned),
        ..row.clone()
    };
    let of = settlements::table.filter(settlements::id.eq(&row.id)).filter(settlements::state.eq(&row.state));
    let changed = update(of)
        .set((
            settlements::state.eq(&after.state),
            settlements::line.eq(&after.line),
            settlements::detail.eq(after.detail),
            settlements::route.eq(after.route),
            settlements::entry.eq(after.entry),
            settlements::decided_by.eq(&after.decided_by),
            settlements::reason.eq(&after.reason),
        ))
        .execute(tx.conn())
        .map_err(broken)?;
    if changed == 1 {
        Ok(after)
    } else {
        Err(Error::Broken(format!("settlement {} is not {} any more", row.code, row.state)))
    }
}

/// The settlements that share out a line, by one of its payments each.
pub(in crate::allocation) fn carried_out_on(conn: &mut Conn, line: &str) -> Result<Vec<SettlementRow>> {
    let on = settlements::table.filter(settlements::line.eq(line)).order(settlements::route);
    on.select(SettlementRow::as_select()).load(conn).map_err(broken)
}

/// The settlements of a master that wait for their lump: asked for each slice of lines, answered by the index.
pub(in crate::allocation) fn lumps(conn: &mut Conn, master: &str) -> Result<Vec<Lump>> {
    let waiting = settlements::table.filter(settlements::master.eq(master)).filter(settlements::state.eq("waiting"));
    let waiting: Vec<SettlementRow> =
        waiting.order(settlements::id).select(SettlementRow::as_select()).load(conn).map_err(broken)?;
    Ok(waiting.iter().map(SettlementRow::lump).collect())
}

/// A line, or a payment of one, that waits in suspense.
#[derive(Debug, Clone, QueryableByName)]
pub(in crate::allocation) struct WaitingLine {
    #[diesel(sql_type = Text)]
    pub(in crate::allocation) line: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(in crate::allocation) detail: Option<i64>,
    #[diesel(sql_type = BigInt)]
    pub(in crate::allocation) amount: i64,
    #[diesel(sql_type = Date)]
    pub(in crate::allocation) booked_on: NaiveDate,
    #[diesel(sql_type = Nullable<Text>)]
    pub(in crate::allocation) end_to_end_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(in crate::allocation) creditor_reference: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(in crate::allocation) remittance: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(in crate::allocation) counterparty_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(in crate::allocation) counterparty_account: Option<String>,
}

/// What waits in a master, of exactly this amount and booked within these days; the index on days finds it. What the bank
/// takes back or sends back is no lump.
pub(in crate::allocation) fn waiting_lines(
    conn: &mut Conn,
    master: &str,
    amount: i64,
    (first, last): (NaiveDate, NaiveDate),
) -> Result<Vec<WaitingLine>> {
    let of_either = |column: &str| format!("CASE WHEN r.detail IS NULL THEN l.{column} ELSE d.{column} END");
    let columns = ["end_to_end_id", "creditor_reference", "remittance", "counterparty_name", "counterparty_account"];
    let columns: Vec<String> = columns.iter().map(|c| format!("{} AS {c}", of_either(c))).collect();
    let sql = format!(
        "SELECT r.line AS line, r.detail AS detail, r.amount AS amount, l.booked_on AS booked_on, {} \
         FROM lines l JOIN routes r ON r.line = l.id LEFT JOIN line_details d ON d.line = r.line AND d.place = r.detail \
         WHERE l.master = $1 AND l.booked_on >= $2 AND l.booked_on <= $3 AND r.amount = $4 AND r.suspense AND NOT l.reversal \
         AND {} IS NULL AND {IN_FORCE} ORDER BY l.id, r.detail",
        columns.join(", "),
        of_either("return_reason")
    );
    let query = sql_query(sql).bind::<Text, _>(master).bind::<Date, _>(first).bind::<Date, _>(last);
    query.bind::<BigInt, _>(amount).load(conn).map_err(broken)
}

/// The currency of a master, by id.
pub(in crate::allocation) fn currency(conn: &mut Conn, master: &str) -> Result<Currency> {
    let code: String = masters::table.find(master).select(masters::currency).first(conn).map_err(broken)?;
    code.parse().map_err(|e: crate::money::Problem| Error::Broken(e.to_string()))
}

/// The code of a master, by id.
pub(in crate::allocation) fn master_code(conn: &mut Conn, master: &str) -> Result<String> {
    masters::table.find(master).select(masters::code).first(conn).map_err(broken)
}

fn accounts_of(shares: &[ShareRow]) -> HashSet<i64> {
    shares.iter().map(|s| s.account).collect()
}

/// Codes of the leaves, by account.
pub(in crate::allocation) fn codes(conn: &mut Conn, shares: &[ShareRow]) -> Result<HashMap<i64, String>> {
    let of = accounts::table.filter(accounts::id.eq_any(accounts_of(shares)));
    let rows: Vec<(i64, String)> = of.select((accounts::id, accounts::code)).load(conn).map_err(broken)?;
    Ok(rows.into_iter().collect())
}

/// Those of the leaves that are closed.
pub(in crate::allocation) fn closed(conn: &mut Conn, shares: &[ShareRow]) -> Result<Vec<String>> {
    let of = accounts::table.filter(accounts::id.eq_any(accounts_of(shares))).filter(accounts::state.eq("closed"));
    of.select(accounts::code).order(accounts::code).load(conn).map_err(broken)
}

/// What events say of settlements, oldest first: subject, kind, actor, how it is after.
pub(in crate::allocation) type Told = (String, String, String, Option<String>);

/// What all events say of settlements.
pub(in crate::allocation) fn told(conn: &mut Conn) -> Result<Vec<Told>> {
    let all = events::table.filter(events::kind.like("settlement.%")).order(events::number);
    all.select((events::subject, events::kind, events::actor, events::after)).load(conn).map_err(broken)
}

/// All settlements that stand in the table, by id.
pub(in crate::allocation) fn all(conn: &mut Conn) -> Result<Vec<SettlementRow>> {
    settlements::table.order(settlements::id).select(SettlementRow::as_select()).load(conn).map_err(broken)
}

/// Lines of settlements that are not there.
pub(in crate::allocation) fn orphans(conn: &mut Conn) -> Result<Vec<String>> {
    let all =
        settlement_lines::table.left_join(settlements::table.on(settlements::id.eq(settlement_lines::settlement)));
    let lost = all.filter(settlements::id.is_null()).select(settlement_lines::settlement).distinct();
    lost.load(conn).map_err(broken)
}

/// The postings of an entry, by account; and evidence and entry of the route that carried a settlement out.
#[expect(clippy::type_complexity, reason = "postings, and a route of two columns")]
pub(in crate::allocation) fn carried_out(
    conn: &mut Conn,
    entry: i64,
    line: &str,
    route: i64,
) -> Result<(Vec<(i64, i64)>, Option<(String, i64, Option<i64>)>)> {
    let legs = postings::table.filter(postings::entry.eq(entry)).order(postings::account);
    let legs = legs.select((postings::account, postings::amount)).load(conn).map_err(broken)?;
    let route = routes::table.find((line, route)).select((routes::evidence, routes::entry, routes::detail));
    Ok((legs, route.first(conn).optional().map_err(broken)?))
}

/// The suspense account of a master.
pub(in crate::allocation) fn suspense(conn: &mut Conn, master: &str) -> Result<i64> {
    masters::table.find(master).select(masters::suspense).first(conn).map_err(broken)
}
