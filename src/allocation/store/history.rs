//! The SQL of what earlier lines say about later ones: what went out and comes back, the two sides of transfers, what people
//! decided, and stored lines as they were when they came.

use super::{RouteRow, in_force};
use crate::allocation::returns::{self, Original};
use crate::allocation::reversals::{Inflow, TAKES_BACK};
use crate::allocation::transfers::Side;
use crate::banking::{Detail, Direction};
use crate::db::bulk::{self, Bulk, Cells, Day};
use crate::db::schema::{line_details, lines, own_transfers, routes};
use crate::db::{Conn, broken};
use crate::error::Result;
use crate::ledger::AccountId;
use crate::money::Minor;
use crate::statements::{LineRow, NewLine};
use chrono::NaiveDate;
use diesel::dsl::sql;
use diesel::prelude::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, Selectable,
    SelectableHelper,
};
use diesel::sql_types::Bool;
use diesel::{QueryResult, RunQueryDsl, delete, update};
use std::collections::{HashMap, HashSet};

/// Keys per `IN` list.
const KEYS: usize = 1_000;

/// A stored line as it was when it came, with all its routes, oldest first.
#[derive(Debug, Clone)]
pub(in crate::allocation) struct StoredLine {
    pub(in crate::allocation) id: String,
    pub(in crate::allocation) line: NewLine,
    /// No statement has it yet.
    pub(in crate::allocation) unconfirmed: bool,
    pub(in crate::allocation) routes: Vec<RouteRow>,
}

/// A payment of a batch, as it is read back.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = line_details)]
struct DetailRow {
    line: String,
    amount: Option<i64>,
    end_to_end_id: Option<String>,
    bank_ref: Option<String>,
    counterparty_name: Option<String>,
    counterparty_account: Option<String>,
    own_account: Option<String>,
    creditor_reference: Option<String>,
    remittance: Option<String>,
    return_reason: Option<String>,
    ultimate_name: Option<String>,
    charges: Option<i64>,
}

impl DetailRow {
    fn into_detail(self) -> Detail {
        Detail {
            amount: self.amount.map(|a| Minor(a.saturating_abs())),
            direction: self.amount.map(|a| if a < 0 { Direction::Debit } else { Direction::Credit }),
            end_to_end_id: self.end_to_end_id,
            bank_ref: self.bank_ref,
            counterparty_name: self.counterparty_name,
            counterparty_account: self.counterparty_account,
            ultimate_name: self.ultimate_name,
            own_account: self.own_account,
            creditor_reference: self.creditor_reference,
            remittance: self.remittance,
            return_reason: self.return_reason,
            charges: self.charges.map(Minor),
            ..Detail::default()
        }
    }
}

fn as_it_came(row: LineRow, details: Vec<Detail>) -> NewLine {
    NewLine {
        statement: row.statement,
        place: row.place,
        booked_on: row.booked_on,
        valued_on: row.valued_on,
        amount: row.amount,
        // It is known already, and nobody asks again.
        identity: Default::default(),
        reversal: row.reversal,
        bank_ref: row.bank_ref,
        owner_ref: row.owner_ref,
        end_to_end_id: row.end_to_end_id,
        code: row.code,
        counterparty_name: row.counterparty_name,
        counterparty_account: row.counterparty_account,
        ultimate_name: row.ultimate_name,
        own_account: row.own_account,
        creditor_reference: row.creditor_reference,
        remittance: row.remittance,
        info: row.info,
        return_reason: row.return_reason,
        charges: row.charges,
        details,
    }
}

/// Posted lines by their ids, in the order of booking day and id.
pub(in crate::allocation) fn stored_lines(conn: &mut Conn, ids: &[String]) -> Result<Vec<StoredLine>> {
    let mut all = Vec::with_capacity(ids.len());
    for some in ids.chunks(KEYS) {
        let rows = lines::table.filter(lines::id.eq_any(some)).order((lines::booked_on, lines::id));
        let rows = rows.select(LineRow::as_select()).load(conn).map_err(broken)?;
        all.extend(with_all(conn, rows)?);
    }
    Ok(all)
}

/// A page of a master's posted lines of some days, in the order of booking day and id; `after` is the last of the page before.
pub(in crate::allocation) fn posted_page(
    conn: &mut Conn,
    master: &str,
    (from, to): (Option<NaiveDate>, Option<NaiveDate>),
    after: Option<&(NaiveDate, String)>,
) -> Result<Vec<StoredLine>> {
    let mut page = lines::table.filter(lines::master.eq(master)).filter(lines::posting.eq("posted")).into_boxed();
    if let Some(from) = from {
        page = page.filter(lines::booked_on.ge(from));
    }
    if let Some(to) = to {
        page = page.filter(lines::booked_on.le(to));
    }
    if let Some((day, id)) = after {
        let same_day = lines::booked_on.eq(*day).and(lines::id.gt(id.clone()));
        // The first bound is for the index, which an `OR` alone would not use.
        page = page.filter(lines::booked_on.ge(*day)).filter(lines::booked_on.gt(*day).or(same_day));
    }
    let page = page.order((lines::booked_on, lines::id)).limit(i64::try_from(KEYS).unwrap_or(i64::MAX));
    let rows = page.select(LineRow::as_select()).load(conn).map_err(broken)?;
    with_all(conn, rows)
}

/// A page of the posted lines that a statement was the first to tell of, in order: batches, and lines of an amount within
/// these bounds. `after` is the place of the last of the page before.
pub(in crate::allocation) fn posted_of(
    conn: &mut Conn,
    statement: &str,
    (least, most): (i64, i64),
    after: i64,
) -> Result<Vec<StoredLine>> {
    let fits = lines::amount.between(least, most).or(lines::detail_count.gt(1));
    let page = lines::table.filter(lines::statement.eq(statement)).filter(lines::place.gt(after)).filter(fits);
    let page = page.filter(lines::posting.eq("posted")).order(lines::place);
    let page = page.limit(i64::try_from(KEYS).unwrap_or(i64::MAX));
    let rows = page.select(LineRow::as_select()).load(conn).map_err(broken)?;
    with_all(conn, rows)
}

fn with_all(conn: &mut Conn, rows: Vec<LineRow>) -> Result<Vec<StoredLine>> {
    let ids: Vec<&str> = rows.iter().map(|r| r.id.as_str()).collect();
    let all = routes::table.filter(routes::line.eq_any(&ids)).order((routes::line, routes::seq));
    let all: Vec<RouteRow> = all.select(RouteRow::as_select()).load(conn).map_err(broken)?;
    let mut routes_by_line: HashMap<String, Vec<RouteRow>> = HashMap::with_capacity(rows.len());
    for route in all {
        routes_by_line.entry(route.line.clone()).or_default().push(route);
    }
    let batches: Vec<&str> = rows.iter().filter(|r| r.detail_count > 1).map(|r| r.id.as_str()).collect();
    let mut details: HashMap<String, Vec<Detail>> = HashMap::new();
    if !batches.is_empty() {
        let all = line_details::table.filter(line_details::line.eq_any(&batches));
        let all = all.order((line_details::line, line_details::place)).select(DetailRow::as_select());
        let all: Vec<DetailRow> = all.load(conn).map_err(broken)?;
        for row in all {
            details.entry(row.line.clone()).or_default().push(row.into_detail());
        }
    }
    let with = |row: LineRow| {
        let (id, unconfirmed) = (row.id.clone(), row.unconfirmed);
        let routes = routes_by_line.remove(&id).unwrap_or_default();
        let line = as_it_came(row, details.remove(&id).unwrap_or_default());
        StoredLine { id, line, unconfirmed, routes }
    };
    Ok(rows.into_iter().map(with).collect())
}

/// A debit under an end-to-end id: line, payment of it, id, amount, whether it is a reversal, why it went back.
type Debit = (String, Option<i64>, Option<String>, i64, bool, Option<String>);

/// What went out of a master under these end-to-end ids.
pub(in crate::allocation) fn originals(conn: &mut Conn, master: &str, ids: &[&str]) -> Result<Vec<(String, Original)>> {
    let mut originals = Vec::new();
    for some in ids.chunks(KEYS) {
        let mut found = debits(conn, master, some)?;
        found.retain(|(.., reversal, why)| returns::went_out(*reversal, why.as_deref()));
        for (line, detail, id, amount, ..) in found {
            let all = super::routes_of(conn, &line)?;
            let route = in_force(&all).into_iter().find(|r| r.detail.is_none() || r.detail == detail);
            let (Some(id), Some(route)) = (id, route) else { continue };
            let shares = route.shares()?;
            originals.push((id, Original { line, detail, amount: amount.saturating_neg(), shares }));
        }
    }
    Ok(originals)
}

fn debits(conn: &mut Conn, master: &str, ids: &[&str]) -> Result<Vec<Debit>> {
    // The literals are those of the partial indexes, which SQLite uses for nothing else.
    let of_lines = lines::table
        .filter(sql::<Bool>("lines.amount < 0 AND lines.end_to_end_id IS NOT NULL"))
        .filter(lines::end_to_end_id.eq_any(ids))
        .filter(lines::master.eq(master))
        .filter(lines::posting.eq("posted"))
        .filter(lines::detail_count.eq(1));
    let columns = (lines::id, lines::end_to_end_id, lines::amount, lines::reversal, lines::return_reason);
    type Line = (String, Option<String>, i64, bool, Option<String>);
    let rows: Vec<Line> = of_lines.select(columns).order(lines::id).load(conn).map_err(broken)?;
    let mut found: Vec<Debit> =
        rows.into_iter().map(|(line, id, amount, reversal, why)| (line, None, id, amount, reversal, why)).collect();
    let of_batches = line_details::table
        .inner_join(lines::table.on(lines::id.eq(line_details::line)))
        .filter(sql::<Bool>("line_details.amount < 0 AND line_details.end_to_end_id IS NOT NULL"))
        .filter(line_details::end_to_end_id.eq_any(ids))
        .filter(lines::master.eq(master))
        .filter(lines::posting.eq("posted"));
    let columns = (
        line_details::line,
        line_details::place,
        line_details::end_to_end_id,
        line_details::amount,
        lines::reversal,
        line_details::return_reason,
    );
    type Payment = (String, i64, Option<String>, Option<i64>, bool, Option<String>);
    let in_order = of_batches.select(columns).order((line_details::line, line_details::place));
    let rows: Vec<Payment> = in_order.load(conn).map_err(broken)?;
    found.extend(rows.into_iter().filter_map(|(line, place, id, amount, reversal, why)| {
        amount.map(|amount| (line, Some(place), id, amount, reversal, why))
    }));
    Ok(found)
}

/// How long a bank may take an inflow back: eight weeks of a direct debit that was authorised, and some days.
const REVERSIBLE_DAYS: u64 = 65;

/// Of how many lines of a master, rounded up to whole days, an inflow is looked for at most: an index by reference would cost
/// each line of each import more than the few reversals are worth.
const REVERSIBLE_LINES: i64 = 200_000;

/// Inflows of these amounts that may be taken back from a day on, the newest first; and the names of those that were.
pub(in crate::allocation) fn inflows(
    conn: &mut Conn,
    master: &str,
    day: NaiveDate,
    amounts: &[i64],
) -> Result<(Vec<Inflow>, HashSet<String>)> {
    let of_master = || lines::table.filter(lines::master.eq(master));
    let newest = of_master().order((lines::booked_on.desc(), lines::id.desc())).select(lines::booked_on);
    let bound: Option<NaiveDate> = newest.offset(REVERSIBLE_LINES).first(conn).optional().map_err(broken)?;
    let from = day.checked_sub_days(chrono::Days::new(REVERSIBLE_DAYS)).unwrap_or(day);
    let from = bound.map_or(from, |bound| bound.max(from));
    let both: Vec<i64> = amounts.iter().flat_map(|a| [*a, a.saturating_neg()]).collect();
    let mut ids: Vec<String> = Vec::new();
    for some in both.chunks(KEYS) {
        let whole = of_master().filter(lines::booked_on.ge(from)).filter(lines::amount.eq_any(some));
        let whole: Vec<String> = whole.select(lines::id).load(conn).map_err(broken)?;
        let parts = line_details::table.inner_join(lines::table.on(lines::id.eq(line_details::line)));
        let parts = parts.filter(lines::master.eq(master)).filter(lines::booked_on.ge(from));
        let parts = parts.filter(lines::detail_count.gt(1)).filter(line_details::amount.eq_any(some));
        let parts: Vec<String> = parts.select(lines::id).load(conn).map_err(broken)?;
        ids.extend(whole.into_iter().chain(parts));
    }
    ids.sort_unstable();
    ids.dedup();
    let (mut found, mut taken_back) = (Vec::new(), HashSet::new());
    for stored in stored_lines(conn, &ids)?.into_iter().rev() {
        let line = &stored.line;
        for route in in_force(&stored.routes) {
            let matched: Vec<(String, String)> = serde_json::from_str(&route.matched).unwrap_or_default();
            taken_back.extend(matched.into_iter().filter(|(field, _)| field == TAKES_BACK).map(|(_, name)| name));
            if route.amount <= 0 || line.reversal || route.evidence == "withdrawn" {
                continue;
            }
            let detail = route.detail.and_then(|d| usize::try_from(d).ok()).and_then(|d| line.details.get(d));
            found.push(Inflow {
                name: route.detail.map_or_else(|| stored.id.clone(), |d| format!("{}/{}", stored.id, d + 1)),
                amount: route.amount,
                end_to_end_id: detail.map_or(&line.end_to_end_id, |d| &d.end_to_end_id).clone(),
                bank_ref: detail.map_or(&line.bank_ref, |d| &d.bank_ref).clone(),
                shares: route.shares()?,
            });
        }
    }
    Ok((found, taken_back))
}

struct StoredSide<'a> {
    side: &'a Side,
    valued_on: Day,
}

impl Bulk for StoredSide<'_> {
    type Table = own_transfers::table;
    const TABLE: &'static str = "own_transfers";
    const COLUMNS: &'static [&'static str] = &[
        "line",
        "detail",
        "master",
        "other",
        "amount",
        "valued_on",
        "end_to_end_id",
        "matched_line",
        "matched_detail",
    ];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        c.text(&self.side.line)?;
        c.int(&self.side.detail)?;
        c.text(&self.side.master)?;
        c.text(&self.side.other)?;
        c.int(&self.side.amount)?;
        c.day(&self.valued_on)?;
        c.maybe_text(self.side.end_to_end_id.as_deref())?;
        c.maybe_text(None)?;
        c.maybe_int(&None)
    }
}

/// Stores sides, unmatched.
pub(in crate::allocation) fn insert_sides(conn: &mut Conn, sides: &[Side]) -> Result<()> {
    let day = |side: &Side| Day::from(side.valued_on);
    let rows: Vec<StoredSide<'_>> = sides.iter().map(|side| StoredSide { side, valued_on: day(side) }).collect();
    bulk::insert(conn, &rows)
}

/// A side, as it is read back.
#[derive(Queryable, Selectable)]
#[diesel(table_name = own_transfers)]
struct SideRow {
    line: String,
    detail: i64,
    master: String,
    other: String,
    amount: i64,
    valued_on: NaiveDate,
    end_to_end_id: Option<String>,
}

impl From<SideRow> for Side {
    fn from(row: SideRow) -> Side {
        let SideRow { line, detail, master, other, amount, valued_on, end_to_end_id } = row;
        Side { line, detail, master, other, amount, valued_on, end_to_end_id }
    }
}

fn open_between(conn: &mut Conn, master: &str, other: &str, amount: i64) -> Result<Vec<Side>> {
    let open = own_transfers::table
        .filter(own_transfers::matched_line.is_null())
        .filter(own_transfers::master.eq(master))
        .filter(own_transfers::other.eq(other))
        .filter(own_transfers::amount.eq(amount));
    let rows: Vec<SideRow> = open.select(SideRow::as_select()).load(conn).map_err(broken)?;
    Ok(rows.into_iter().map(Side::from).collect())
}

/// The sides that may be the other one of this; none when it is matched already.
pub(in crate::allocation) fn open_sides(conn: &mut Conn, side: &Side) -> Result<Vec<Side>> {
    if !open_between(conn, &side.master, &side.other, side.amount)?.contains(side) {
        return Ok(Vec::new());
    }
    open_between(conn, &side.other, &side.master, side.amount.saturating_neg())
}

/// All sides whose other side has not come, oldest first.
pub(in crate::allocation) fn all_open_sides(conn: &mut Conn) -> Result<Vec<Side>> {
    let open = own_transfers::table.filter(own_transfers::matched_line.is_null());
    let open = open.order((own_transfers::valued_on, own_transfers::line, own_transfers::detail));
    let rows: Vec<SideRow> = open.select(SideRow::as_select()).load(conn).map_err(broken)?;
    Ok(rows.into_iter().map(Side::from).collect())
}

/// Writes down that two sides are of one transfer.
pub(in crate::allocation) fn match_sides(conn: &mut Conn, one: &Side, other: &Side) -> Result<()> {
    for (of, its) in [(one, other), (other, one)] {
        let row = own_transfers::table
            .filter(own_transfers::line.eq(&of.line))
            .filter(own_transfers::detail.eq(of.detail))
            .filter(own_transfers::matched_line.is_null());
        let matched = (own_transfers::matched_line.eq(&its.line), own_transfers::matched_detail.eq(its.detail));
        update(row).set(matched).execute(conn).map_err(broken)?;
    }
    Ok(())
}

/// Takes the sides of a line out, and opens those that they were matched with.
pub(in crate::allocation) fn forget_sides(conn: &mut Conn, line: &str) -> Result<()> {
    let own = own_transfers::table.filter(own_transfers::line.eq(line));
    // By their own keys, which have an index.
    let others: Vec<Option<String>> = own.select(own_transfers::matched_line).load(conn).map_err(broken)?;
    let others: Vec<String> = others.into_iter().flatten().collect();
    let others =
        own_transfers::table.filter(own_transfers::line.eq_any(others)).filter(own_transfers::matched_line.eq(line));
    let unmatched = (own_transfers::matched_line.eq(None::<String>), own_transfers::matched_detail.eq(None::<i64>));
    update(others).set(unmatched).execute(conn).map_err(broken)?;
    delete(own_transfers::table.filter(own_transfers::line.eq(line))).execute(conn).map_err(broken)?;
    Ok(())
}

/// What a person decided on a line, or on one payment of it.
#[derive(Debug, Clone)]
pub(in crate::allocation) struct ByPerson {
    pub(in crate::allocation) line: NewLine,
    pub(in crate::allocation) detail: Option<i64>,
    pub(in crate::allocation) account: AccountId,
}

/// The decisions of people on lines of a master that are in force and name one leaf; of the newest `limit` at most.
pub(in crate::allocation) fn by_people(conn: &mut Conn, master: &str, limit: i64) -> Result<Vec<ByPerson>> {
    let decided = routes::table
        .inner_join(lines::table.on(lines::id.eq(routes::line)))
        .filter(sql::<Bool>("routes.evidence = 'person'"))
        .filter(lines::master.eq(master))
        .order((lines::booked_on.desc(), lines::id))
        .select(lines::id)
        .limit(limit);
    let mut ids: Vec<String> = decided.load(conn).map_err(broken)?;
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::new();
    for stored in stored_lines(conn, &ids)? {
        for route in in_force(&stored.routes).into_iter().filter(|r| r.evidence == "person" && !r.suspense) {
            if let [(account, _)] = route.shares()?.as_slice() {
                found.push(ByPerson { line: stored.line.clone(), detail: route.detail, account: *account });
            }
        }
    }
    Ok(found)
}
