//! Rates and calendars over HTTP: what everybody may know who may see them at all, since neither is anybody's money.

use super::{Asked, Quotes};
use crate::access::Permission;
use crate::calendars;
use crate::error::Result;
use crate::http::{Call, Day, Moment, Operation, Page, Paging, get};
use crate::time::{day_of, rfc3339};
use chrono::{Datelike, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of rates and calendars.
pub fn operations() -> Vec<Operation> {
    vec![
        get("/v1/rates", "rates.list", "Rates between currencies as of a day, with source and age")
            .may(Permission::RatesRead)
            .reads(list),
        get("/v1/calendars", "calendars.list", "Calendars of business days")
            .may(Permission::ChartRead)
            .reads(all_calendars),
        get("/v1/calendars/{calendar}", "calendars.show", "The holidays of one calendar in a year")
            .may(Permission::ChartRead)
            .reads(show_calendar),
    ]
}

/// Which rates.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Of this day, or the last before it; today where nothing is said.
    on: Option<Day>,
    /// Whose.
    source: Option<String>,
    /// As they were known at this instant; RFC 3339.
    known_at: Option<Moment>,
}

/// Rates of one source.
#[derive(Serialize, JsonSchema)]
struct Rates {
    /// The day that was asked for.
    on: NaiveDate,
    /// Who published them; null: there are none at all.
    source: Option<String>,
    /// What one of it buys is the rate; ISO 4217.
    base: Option<String>,
    /// By currency.
    rates: Vec<Rate>,
}

/// A rate.
#[derive(Serialize, JsonSchema)]
struct Rate {
    /// By which it can be found again.
    id: String,
    /// ISO 4217.
    currency: String,
    /// An exact decimal.
    rate: String,
    /// The day that it is of.
    date: NaiveDate,
    /// From 1; a correction is the next.
    version: i64,
    /// When it was recorded; RFC 3339.
    recorded_at: String,
    /// Business days between it and the day that was asked for.
    age: i64,
    /// Whether that is more than the treasury allows.
    stale: bool,
}

fn list(call: &Call, which: &Which) -> Result<Rates> {
    let on = which.on.map(|d| d.0).unwrap_or_else(|| day_of(call.now()));
    let asked = Asked { source: which.source.clone(), on, known_at: which.known_at.map(|at| at.0) };
    let Quotes { source, base, quotes } = call.read(|conn| super::quotes(conn, &asked))?;
    let rate = |q: super::Quote| Rate {
        rate: q.rate.to_string(),
        recorded_at: rfc3339(q.recorded_at),
        id: q.id,
        currency: q.currency,
        date: q.date,
        version: q.version,
        age: q.age,
        stale: q.stale,
    };
    Ok(Rates { on, source, base, rates: quotes.into_values().map(rate).collect() })
}

/// A calendar.
#[derive(Serialize, JsonSchema)]
struct Calendar {
    /// Its code.
    code: String,
    /// For people.
    name: String,
    /// Days of the week on which nobody works.
    weekend: String,
}

fn all_calendars(call: &Call, paging: &Paging) -> Result<Page<Calendar>> {
    let found = call.read(calendars::calendars)?.into_iter();
    let mut all: Vec<Calendar> = found.map(|c| Calendar { weekend: c.weekend(), code: c.code, name: c.name }).collect();
    all.sort_unstable_by(|a, b| a.code.cmp(&b.code));
    Ok(call.page_of(all, paging.limit, |c| c.code.clone()))
}

/// Which year.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Year {
    /// This year where nothing is said.
    #[schemars(range(min = 1900, max = 2199))]
    year: Option<i32>,
}

/// A calendar's year.
#[derive(Serialize, JsonSchema)]
struct Holidays {
    /// Its code.
    code: String,
    /// For people.
    name: String,
    /// The year.
    year: i32,
    /// Whether it says anything of that year.
    known: bool,
    /// By day.
    holidays: Vec<Holiday>,
}

/// A day on which nobody works.
#[derive(Serialize, JsonSchema)]
struct Holiday {
    /// The day.
    day: NaiveDate,
    /// For people.
    name: String,
}

fn show_calendar(call: &Call, asked: &Year) -> Result<Holidays> {
    let year = asked.year.unwrap_or_else(|| day_of(call.now()).year());
    if !(1900..=2199).contains(&year) {
        return Err(crate::http::Refusal::BadQuery { why: "year is from 1900 to 2199".to_owned() }.into());
    }
    let found = call.read(|conn| calendars::calendar(conn, call.path("calendar")))?;
    let holidays = found.holidays(year).into_iter().map(|(day, name)| Holiday { day, name: name.to_owned() }).collect();
    Ok(Holidays { known: found.knows(year), code: found.code, name: found.name, year, holidays })
}
