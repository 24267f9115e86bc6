//! The SQL of declared calendars.

use super::days::{Calendar, Day};
use crate::db::schema::{calendar_holidays, calendars};
use crate::db::{Conn, broken};
use crate::error::Result;
use chrono::NaiveDate;
use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel::{RunQueryDsl, delete, insert_into, update};

type Row = (String, String, String);

fn with_holidays(conn: &mut Conn, (code, name, weekend): Row) -> Result<Calendar> {
    let holidays = calendar_holidays::table.filter(calendar_holidays::calendar.eq(&code));
    let holidays: Vec<(NaiveDate, String)> =
        holidays.select((calendar_holidays::day, calendar_holidays::name)).load(conn).map_err(broken)?;
    let weekend = weekend.split(',').filter_map(Day::parse).collect();
    Ok(Calendar { code, name, weekend, rule: None, holidays: holidays.into_iter().collect() })
}

pub(super) fn calendar(conn: &mut Conn, code: &str) -> Result<Option<Calendar>> {
    let row: Option<Row> = calendars::table.find(code).first(conn).optional().map_err(broken)?;
    row.map(|row| with_holidays(conn, row)).transpose()
}

pub(super) fn calendars(conn: &mut Conn) -> Result<Vec<Calendar>> {
    let rows: Vec<Row> = calendars::table.order(calendars::code).load(conn).map_err(broken)?;
    rows.into_iter().map(|row| with_holidays(conn, row)).collect()
}

/// Writes a calendar in place of what there was of it.
pub(super) fn save(conn: &mut Conn, calendar: &Calendar) -> Result<()> {
    let weekend = calendar.weekend.iter().map(|d| d.as_str()).collect::<Vec<_>>().join(",");
    let row = (calendars::name.eq(&calendar.name), calendars::weekend.eq(&weekend));
    if update(calendars::table.find(&calendar.code)).set(row).execute(conn).map_err(broken)? == 0 {
        let row =
            (calendars::code.eq(&calendar.code), calendars::name.eq(&calendar.name), calendars::weekend.eq(&weekend));
        insert_into(calendars::table).values(row).execute(conn).map_err(broken)?;
    }
    let of_calendar = calendar_holidays::table.filter(calendar_holidays::calendar.eq(&calendar.code));
    delete(of_calendar).execute(conn).map_err(broken)?;
    for (day, name) in &calendar.holidays {
        let row = (
            calendar_holidays::calendar.eq(&calendar.code),
            calendar_holidays::day.eq(day),
            calendar_holidays::name.eq(name),
        );
        insert_into(calendar_holidays::table).values(row).execute(conn).map_err(broken)?;
    }
    Ok(())
}
