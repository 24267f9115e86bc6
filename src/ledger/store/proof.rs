//! What `check` reads: everything as it is stored, in the order in which it was written.

use super::DaySums;
use crate::db::schema::{accounts, balances, day_totals as day_totals_table, entries, events, holds, postings, seals};
use crate::db::{Conn, broken};
use crate::error::Result;
use chrono::{NaiveDate, NaiveDateTime};
use diesel::RunQueryDsl;
use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper};

#[derive(Queryable, Selectable)]
#[diesel(table_name = seals)]
pub(in crate::ledger) struct SealRow {
    pub(in crate::ledger) number: i64,
    pub(in crate::ledger) recorded_at: NaiveDateTime,
    pub(in crate::ledger) first_entry: i64,
    pub(in crate::ledger) last_entry: i64,
    pub(in crate::ledger) first_event: i64,
    pub(in crate::ledger) last_event: i64,
    pub(in crate::ledger) root: Vec<u8>,
    pub(in crate::ledger) hash: Vec<u8>,
    pub(in crate::ledger) peaks: Vec<u8>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = events)]
pub(in crate::ledger) struct EventRow {
    pub(in crate::ledger) number: i64,
    pub(in crate::ledger) seal: i64,
    pub(in crate::ledger) actor: String,
    pub(in crate::ledger) kind: String,
    pub(in crate::ledger) subject: String,
    pub(in crate::ledger) before: Option<String>,
    pub(in crate::ledger) after: Option<String>,
}

/// The newest seal and entry, 0 before the first. Not [`crate::db::head`], which refuses a damaged seal: it is to be named.
pub(in crate::ledger) fn newest(conn: &mut Conn) -> Result<(i64, i64)> {
    let newest = seals::table.select((seals::number, seals::last_entry)).order(seals::number.desc());
    Ok(newest.first(conn).optional().map_err(broken)?.unwrap_or((0, 0)))
}

/// The next seals after a number, up to another.
pub(in crate::ledger) fn seals_after(conn: &mut Conn, after: i64, upto: i64, limit: i64) -> Result<Vec<SealRow>> {
    let next = seals::table.filter(seals::number.gt(after)).filter(seals::number.le(upto));
    next.order(seals::number).limit(limit).select(SealRow::as_select()).load(conn).map_err(broken)
}

/// The events from `first` to `last`, in order.
pub(in crate::ledger) fn events_between(conn: &mut Conn, first: i64, last: i64) -> Result<Vec<EventRow>> {
    let page = events::table.filter(events::number.between(first, last)).order(events::number);
    page.select(EventRow::as_select()).load(conn).map_err(broken)
}

/// Account, day, day of recording, sums.
pub(in crate::ledger) type DayTotal = (i64, NaiveDate, NaiveDate, DaySums);

/// All day totals.
pub(in crate::ledger) fn day_totals(conn: &mut Conn) -> Result<Vec<DayTotal>> {
    type Row = (i64, NaiveDate, NaiveDate, i64, i64, i64, i64);
    let rows: Vec<Row> = day_totals_table::table.load(conn).map_err(broken)?;
    let total = |(account, day, recorded_on, booked_debits, booked_credits, valued_debits, valued_credits): Row| {
        (account, day, recorded_on, DaySums { booked_debits, booked_credits, valued_debits, valued_credits })
    };
    Ok(rows.into_iter().map(total).collect())
}

/// How many rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) struct Counts {
    pub(in crate::ledger) postings: i64,
    pub(in crate::ledger) holds: i64,
    pub(in crate::ledger) entries: i64,
    pub(in crate::ledger) events: i64,
    pub(in crate::ledger) accounts: i64,
    pub(in crate::ledger) balances: i64,
}

/// How many rows there are, whether or not anything refers to them.
pub(in crate::ledger) fn counts(conn: &mut Conn) -> Result<Counts> {
    Ok(Counts {
        postings: postings::table.count().get_result(conn).map_err(broken)?,
        holds: holds::table.count().get_result(conn).map_err(broken)?,
        entries: entries::table.count().get_result(conn).map_err(broken)?,
        events: events::table.count().get_result(conn).map_err(broken)?,
        accounts: accounts::table.count().get_result(conn).map_err(broken)?,
        balances: balances::table.count().get_result(conn).map_err(broken)?,
    })
}
