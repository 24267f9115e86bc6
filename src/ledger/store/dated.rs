//! Dated balances: as of a booking or value day, and as known at an instant.
//!
//! Day totals answer the first in days instead of postings. They are kept per day of recording too, so a balance as known at
//! an instant adds the totals recorded before its day and the few entries recorded since midnight.

use crate::db::schema::{day_totals, entries, postings, seals};
use crate::db::{Conn, broken};
use crate::error::Result;
use crate::time::{Instant, day_of, stored};
use chrono::{NaiveDate, NaiveTime};
use diesel::prelude::{ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl};
use diesel::sql_types::{BigInt, Date};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use std::collections::HashMap;

/// Which day of an entry a dated balance goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayBasis {
    /// The accounting day.
    Booking,
    /// The value date.
    Value,
}

#[derive(QueryableByName)]
struct SumRow {
    #[diesel(sql_type = BigInt)]
    account: i64,
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// The newest entry recorded at or before an instant; 0 when there was none.
pub fn entry_at(conn: &mut Conn, instant: Instant) -> Result<i64> {
    let newest = seals::table.filter(seals::recorded_at.le(stored(instant))).order(seals::recorded_at.desc());
    let newest: Option<i64> = newest.select(seals::last_entry).first(conn).optional().map_err(broken)?;
    Ok(newest.unwrap_or(0))
}

/// An account's balance as it was known at an instant, debit positive: one seek.
pub fn as_known(conn: &mut Conn, account: i64, instant: Instant) -> Result<i64> {
    let last = entry_at(conn, instant)?;
    let newest = postings::table.filter(postings::account.eq(account)).filter(postings::entry.le(last));
    let newest = newest.order((postings::entry.desc(), postings::leg.desc()));
    let balance: Option<i64> = newest.select(postings::balance_after).first(conn).optional().map_err(broken)?;
    Ok(balance.unwrap_or(0))
}

/// An account's balance as of the end of a day, debit positive, from all that is known now.
pub fn as_of(conn: &mut Conn, account: i64, basis: DayBasis, day: NaiveDate) -> Result<i64> {
    let days = day_totals::table.filter(day_totals::account.eq(account)).filter(day_totals::day.le(day));
    let rows: Vec<Sums> = days.select(SUMS).load(conn).map_err(broken)?;
    Ok(net(&rows, basis))
}

/// As [`as_of`], from what was known at an instant.
pub fn as_of_and_known(
    conn: &mut Conn,
    account: i64,
    basis: DayBasis,
    day: NaiveDate,
    instant: Instant,
) -> Result<i64> {
    let today = day_of(instant);
    let days = day_totals::table.filter(day_totals::account.eq(account)).filter(day_totals::day.le(day));
    let rows: Vec<Sums> = days.filter(day_totals::recorded_on.lt(today)).select(SUMS).load(conn).map_err(broken)?;
    // The instant's own day is not over: its entries are added one by one.
    let midnight = today.and_time(NaiveTime::MIN).and_utc() - chrono::TimeDelta::microseconds(1);
    let (after, last) = (entry_at(conn, midnight)?, entry_at(conn, instant)?);
    let fresh = postings::table.inner_join(entries::table.on(entries::number.eq(postings::entry)));
    let fresh =
        fresh.filter(postings::account.eq(account)).filter(postings::entry.gt(after)).filter(postings::entry.le(last));
    let fresh: Vec<(i64, NaiveDate, NaiveDate)> =
        fresh.select((postings::amount, entries::booked_on, entries::valued_on)).load(conn).map_err(broken)?;
    let counts = |booked: NaiveDate, valued: NaiveDate| match basis {
        DayBasis::Booking => booked <= day,
        DayBasis::Value => valued <= day,
    };
    let fresh: i64 =
        fresh.iter().filter(|(_, booked, valued)| counts(*booked, *valued)).map(|(amount, ..)| amount).sum();
    Ok(net(&rows, basis) + fresh)
}

type Sums = (i64, i64, i64, i64);
const SUMS: (
    day_totals::booked_debits,
    day_totals::booked_credits,
    day_totals::valued_debits,
    day_totals::valued_credits,
) = (day_totals::booked_debits, day_totals::booked_credits, day_totals::valued_debits, day_totals::valued_credits);

/// Lifetime sums of an account fit 64 bits (the engine refuses otherwise), so any part of them does.
fn net(rows: &[Sums], basis: DayBasis) -> i64 {
    let one = |r: &Sums| match basis {
        DayBasis::Booking => r.0 - r.1,
        DayBasis::Value => r.2 - r.3,
    };
    rows.iter().map(one).sum()
}

/// The balances of all accounts as of the end of a day, debit positive; accounts without movements are left out.
pub fn all_as_of(conn: &mut Conn, basis: DayBasis, day: NaiveDate) -> Result<HashMap<i64, i64>> {
    let columns = match basis {
        DayBasis::Booking => "booked_debits - booked_credits",
        DayBasis::Value => "valued_debits - valued_credits",
    };
    let sql = format!(
        "SELECT account, CAST(SUM({columns}) AS BIGINT) AS value FROM day_totals WHERE day <= $1 GROUP BY account"
    );
    let rows: Vec<SumRow> = sql_query(sql).bind::<Date, _>(day).load(conn).map_err(broken)?;
    Ok(rows.into_iter().map(|r| (r.account, r.value)).collect())
}

/// As [`all_as_of`], from what was known at an instant: see [`as_of_and_known`].
pub fn all_as_of_and_known(
    conn: &mut Conn,
    basis: DayBasis,
    day: NaiveDate,
    instant: Instant,
) -> Result<HashMap<i64, i64>> {
    let (columns, of_entry) = match basis {
        DayBasis::Booking => ("booked_debits - booked_credits", "booked_on"),
        DayBasis::Value => ("valued_debits - valued_credits", "valued_on"),
    };
    let today = day_of(instant);
    let midnight = today.and_time(NaiveTime::MIN).and_utc() - chrono::TimeDelta::microseconds(1);
    let (after, last) = (entry_at(conn, midnight)?, entry_at(conn, instant)?);
    let sql = format!(
        "SELECT account, CAST(SUM(value) AS BIGINT) AS value FROM (\
         SELECT account, SUM({columns}) AS value FROM day_totals WHERE day <= $1 AND recorded_on < $2 GROUP BY account \
         UNION ALL SELECT p.account, SUM(p.amount) FROM postings p JOIN entries e ON e.number = p.entry \
         WHERE p.entry > $3 AND p.entry <= $4 AND e.{of_entry} <= $5 GROUP BY p.account) AS both_parts GROUP BY account"
    );
    let rows = sql_query(sql).bind::<Date, _>(day).bind::<Date, _>(today);
    let rows = rows.bind::<BigInt, _>(after).bind::<BigInt, _>(last).bind::<Date, _>(day);
    let rows: Vec<SumRow> = rows.load(conn).map_err(broken)?;
    Ok(rows.into_iter().map(|r| (r.account, r.value)).collect())
}

/// The balances of all accounts after an entry, debit positive: one seek for each account, however many postings there are.
pub fn all_as_known(conn: &mut Conn, last_entry: i64) -> Result<HashMap<i64, i64>> {
    newest(conn, "postings", "balance_after", last_entry)
}

/// What was held on all accounts after an entry: one seek for each account; those without holds are left out.
pub fn all_held_at(conn: &mut Conn, last_entry: i64) -> Result<HashMap<i64, i64>> {
    newest(conn, "holds", "held_after", last_entry)
}

/// What the newest movement of each account up to an entry has left.
fn newest(conn: &mut Conn, movements: &str, left: &str, last_entry: i64) -> Result<HashMap<i64, i64>> {
    let sql = format!(
        "SELECT a.id AS account, COALESCE((SELECT m.{left} FROM {movements} m WHERE m.account = a.id AND m.entry <= $1 \
         ORDER BY m.entry DESC, m.leg DESC LIMIT 1), 0) AS value FROM accounts a"
    );
    let rows: Vec<SumRow> = sql_query(sql).bind::<BigInt, _>(last_entry).load(conn).map_err(broken)?;
    Ok(rows.into_iter().filter(|r| r.value != 0).map(|r| (r.account, r.value)).collect())
}
