//! The SQL of rates and settings.

use super::Published;
use crate::db::bulk::{self, Bulk, Cells, Day, Moment};
use crate::db::schema::{rate_sources, rates, settings};
use crate::db::{Conn, Tx, broken};
use crate::error::{Error, Result};
use crate::time::{Instant, from_stored, stored};
use chrono::{NaiveDate, NaiveDateTime};
use diesel::dsl::max;
use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel::{QueryResult, RunQueryDsl, insert_into, update};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, HashMap};

/// A rate as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = rates)]
#[expect(missing_docs, reason = "the columns; the migration says what they mean")]
pub struct RateRow {
    pub source: String,
    pub currency: String,
    pub day: NaiveDate,
    pub version: i64,
    pub rate: String,
    recorded_at: NaiveDateTime,
}

impl RateRow {
    /// By this it can be found again.
    pub fn id(&self) -> String {
        format!("{}/{}/{}/{}", self.source, self.currency, self.day, self.version)
    }

    /// When it was recorded.
    pub fn recorded_at(&self) -> Instant {
        from_stored(self.recorded_at)
    }

    /// As a number, which it was when it was stored.
    pub fn decimal(&self) -> Result<Decimal> {
        let rate = Decimal::from_str_exact(&self.rate).ok().filter(|r| r.is_sign_positive() && !r.is_zero());
        rate.ok_or_else(|| {
            Error::Broken(format!("the rate {} is stored as \"{}\", which is none", self.id(), self.rate))
        })
    }
}

/// Sources and their bases, by code.
pub fn sources(conn: &mut Conn) -> Result<Vec<(String, String)>> {
    rate_sources::table.order(rate_sources::code).load(conn).map_err(broken)
}

pub(super) fn base_of(conn: &mut Conn, source: &str) -> Result<Option<String>> {
    rate_sources::table.find(source).select(rate_sources::base).first(conn).optional().map_err(broken)
}

pub(super) fn insert_source(conn: &mut Conn, code: &str, base: &str) -> Result<()> {
    let row = (rate_sources::code.eq(code), rate_sources::base.eq(base));
    insert_into(rate_sources::table).values(row).execute(conn).map(drop).map_err(broken)
}

/// Version and rate by currency and day.
pub(super) type Newest = HashMap<(String, NaiveDate), (i64, Decimal)>;

/// The newest version of each rate of these days.
pub(super) fn newest(conn: &mut Conn, source: &str, first: NaiveDate, last: NaiveDate) -> Result<Newest> {
    let some = rates::table.filter(rates::source.eq(source)).filter(rates::day.between(first, last));
    // A later version of the same rate comes later, and takes its place.
    let rows: Vec<RateRow> = some.order(rates::version).select(RateRow::as_select()).load(conn).map_err(broken)?;
    let mut newest = HashMap::with_capacity(rows.len());
    for row in rows {
        let rate = row.decimal()?;
        newest.insert((row.currency, row.day), (row.version, rate));
    }
    Ok(newest)
}

struct NewRate<'a> {
    source: &'a str,
    currency: &'a str,
    day: Day,
    version: i64,
    rate: String,
    recorded_at: &'a Moment,
}

impl Bulk for NewRate<'_> {
    type Table = rates::table;
    const TABLE: &'static str = "rates";
    const COLUMNS: &'static [&'static str] = &["source", "currency", "day", "version", "rate", "recorded_at"];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        c.text(self.source)?;
        c.text(self.currency)?;
        c.day(&self.day)?;
        c.int(&self.version)?;
        c.text(&self.rate)?;
        c.moment(self.recorded_at)
    }
}

pub(super) fn insert(tx: &mut Tx<'_>, source: &str, rows: &[(&Published, i64)]) -> Result<()> {
    let recorded_at = Moment::from(stored(tx.now()));
    let mut new = Vec::with_capacity(rows.len());
    for (published, version) in rows {
        new.push(NewRate {
            source,
            currency: &published.currency,
            day: Day::from(published.date),
            version: *version,
            rate: published.rate.to_string(),
            recorded_at: &recorded_at,
        });
    }
    // In the order of the key.
    new.sort_unstable_by(|a, b| (a.currency, a.day.text()).cmp(&(b.currency, b.day.text())));
    bulk::insert(tx.conn(), &new)
}

/// For each currency of a source, the newest rate that is not after a day, as known at an instant.
pub(super) fn as_of(conn: &mut Conn, source: &str, on: NaiveDate, known_at: Option<Instant>) -> Result<Vec<RateRow>> {
    // Not the end of time, whose text begins with a sign on SQLite.
    let end = NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or_default().and_hms_opt(0, 0, 0).unwrap_or_default();
    let known = known_at.map_or(end, stored);
    let some =
        rates::table.filter(rates::source.eq(source)).filter(rates::day.le(on)).filter(rates::recorded_at.le(known));
    let days: Vec<(String, Option<NaiveDate>)> =
        some.group_by(rates::currency).select((rates::currency, max(rates::day))).load(conn).map_err(broken)?;
    let mut found = Vec::with_capacity(days.len());
    for (currency, day) in days {
        let Some(day) = day else { continue };
        let of_day = rates::table.filter(rates::source.eq(source)).filter(rates::currency.eq(&currency));
        let of_day = of_day.filter(rates::day.eq(day)).filter(rates::recorded_at.le(known));
        let newest = of_day.order(rates::version.desc()).select(RateRow::as_select()).first(conn);
        found.push(newest.map_err(broken)?);
    }
    Ok(found)
}

/// All versions of a currency's rates, the newest day first, at most so many.
pub fn history(conn: &mut Conn, source: &str, currency: &str, limit: i64) -> Result<Vec<RateRow>> {
    let all = rates::table.filter(rates::source.eq(source)).filter(rates::currency.eq(currency));
    let newest = all.order((rates::day.desc(), rates::version.desc())).limit(limit);
    newest.select(RateRow::as_select()).load(conn).map_err(broken)
}

/// All settings by name.
pub(super) fn settings(conn: &mut Conn) -> Result<BTreeMap<String, String>> {
    let rows: Vec<(String, String)> = settings::table.load(conn).map_err(broken)?;
    Ok(rows.into_iter().collect())
}

pub(super) fn set(conn: &mut Conn, name: &str, value: &str) -> Result<()> {
    let changed = update(settings::table.find(name)).set(settings::value.eq(value)).execute(conn).map_err(broken)?;
    if changed == 0 {
        let row = (settings::name.eq(name), settings::value.eq(value));
        insert_into(settings::table).values(row).execute(conn).map_err(broken)?;
    }
    Ok(())
}
