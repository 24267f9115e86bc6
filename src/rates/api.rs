//! Rates and calendars over HTTP: what everybody may know who may see them at all, since neither is anybody's money.

use super::{Asked, Converter, Quotes, Refusal, rounded};
use crate::access::Permission;
use crate::calendars::{self, Roll};
use crate::db::Tx;
use crate::db::seal::{hex, sha256};
use crate::error::{Error, Result};
use crate::http::{self, Call, Day, Limit, Moment, Money, Nothing, Operation, Page, Paging, get, post, put};
use crate::money::{Currency, Minor};
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
        post(
            "/v1/rates",
            "rates.import",
            "Take a file of rates in: CSV, or the ECB's XML; the same again changes nothing",
        )
        .may(Permission::RatesImport)
        .dry_runs()
        .takes(import),
        get("/v1/rates/history", "rates.history", "All versions of a currency's rates, by day")
            .may(Permission::RatesRead)
            .reads(history),
        get("/v1/rates/convert", "rates.convert", "An amount in another currency, and by which rates")
            .may(Permission::RatesRead)
            .reads(convert),
        post("/v1/calendars", "calendars.import", "Declare the holidays of whole years from a CSV: date,name")
            .may(Permission::ChartChange)
            .dry_runs()
            .takes(import_calendar),
        get("/v1/calendars/{calendar}/days/{day}", "calendars.day", "What a day is, and the business days next to it")
            .may(Permission::ChartRead)
            .reads(day_of_calendar),
        get("/v1/settings", "settings.show", "The reporting currency, and whose rates count how long")
            .may(Permission::ChartRead)
            .configuration()
            .reads(show_settings),
        put("/v1/settings", "settings.change", "Set the reporting currency, and whose rates count how long")
            .may(Permission::ChartChange)
            .configuration()
            .dry_runs()
            .writes(change_settings),
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

fn rate(q: super::Quote) -> Rate {
    Rate {
        rate: q.rate.to_string(),
        recorded_at: rfc3339(q.recorded_at),
        id: q.id,
        currency: q.currency,
        date: q.date,
        version: q.version,
        age: q.age,
        stale: q.stale,
    }
}

fn list(call: &Call, which: &Which) -> Result<Rates> {
    let on = which.on.map(|d| d.0).unwrap_or_else(|| day_of(call.now()));
    let asked = Asked { source: which.source.clone(), on, known_at: which.known_at.map(|at| at.0) };
    let Quotes { source, base, quotes } = call.read(|conn| super::quotes(conn, &asked))?;
    Ok(Rates { on, source, base, rates: quotes.into_values().map(rate).collect() })
}

/// Whose rates a file has.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Source {
    /// Such as `house`; the ECB's XML is of `ecb` where nothing is said.
    source: Option<String>,
}

/// What a file of rates has brought.
#[derive(Serialize, JsonSchema)]
struct ImportedRates {
    /// Whose rates.
    source: String,
    /// What one of it buys is the rate; ISO 4217.
    base: String,
    /// Rates of a currency and day that had none.
    new: usize,
    /// Rates that were there already.
    unchanged: usize,
    /// Rates that are another version now.
    corrected: Vec<CorrectedRate>,
    /// The first day of the file.
    first_day: Option<NaiveDate>,
    /// The last one.
    last_day: Option<NaiveDate>,
    /// Currencies of the file that are not in use, and were passed over.
    passed_over: Vec<String>,
}

/// A rate that was published otherwise before.
#[derive(Serialize, JsonSchema)]
struct CorrectedRate {
    /// ISO 4217.
    currency: String,
    /// The day that it is of.
    date: NaiveDate,
    /// From 2.
    version: i64,
    /// The rate of the version before; an exact decimal.
    before: String,
    /// The rate now; an exact decimal.
    after: String,
}

fn import(tx: &mut Tx<'_>, asked: &http::Asked<Source, Vec<u8>>) -> Result<ImportedRates> {
    tx.scope().need_everything("rates, which count for everybody,")?;
    let file = super::read(&asked.body).map_err(Refusal::Problems)?;
    let source = super::source_for(asked.query.source.as_deref(), &file)?;
    let done = super::import(tx, &source, &file, &hex(&sha256(&asked.body)))?;
    let corrected = |c: super::Correction| CorrectedRate {
        currency: c.currency,
        date: c.date,
        version: c.version,
        before: c.before,
        after: c.after,
    };
    Ok(ImportedRates {
        source: done.source,
        base: done.base,
        new: done.new,
        unchanged: done.unchanged,
        corrected: done.corrected.into_iter().map(corrected).collect(),
        first_day: done.days.map(|(first, _)| first),
        last_day: done.days.map(|(_, last)| last),
        passed_over: file.passed_over.into_iter().collect(),
    })
}

/// Which rates of one currency.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WhichHistory {
    /// ISO 4217.
    currency: String,
    /// Whose.
    source: Option<String>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

/// One version of a rate.
#[derive(Serialize, JsonSchema)]
struct RateVersion {
    /// By which it can be found again.
    id: String,
    /// The day that it is of.
    date: NaiveDate,
    /// From 1; a correction is the next.
    version: i64,
    /// An exact decimal.
    rate: String,
    /// When it was recorded; RFC 3339.
    recorded_at: String,
}

/// More versions than a currency has in a hundred years.
const MOST_VERSIONS: i64 = 100_000;

fn history(call: &Call, which: &WhichHistory) -> Result<Page<RateVersion>> {
    let currency = currency("currency", &which.currency)?;
    let rows = call.read(|conn| {
        let asked = Asked { source: which.source.clone(), on: day_of(call.now()), known_at: None };
        let found = super::quotes(conn, &asked)?;
        found.source.map_or(Ok(Vec::new()), |source| super::history(conn, &source, currency.code(), MOST_VERSIONS))
    })?;
    let one = |r: super::RateRow| RateVersion {
        id: r.id(),
        date: r.day,
        version: r.version,
        recorded_at: rfc3339(r.recorded_at()),
        rate: r.rate,
    };
    let all: Vec<RateVersion> = rows.into_iter().rev().map(one).collect();
    Ok(call.page_of(all, which.limit, |r| format!("{} {:010}", r.date, r.version)))
}

fn currency(name: &str, text: &str) -> Result<Currency> {
    text.parse().map_err(|e| http::Refusal::BadQuery { why: format!("{name}: {e}") }.into())
}

/// What is to be converted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Converting {
    /// An exact decimal, such as 1250.00.
    amount: String,
    /// Its currency; ISO 4217.
    from: String,
    /// The other currency; ISO 4217.
    into: String,
    /// With the rates of this day, or the last before it; today where nothing is said.
    on: Option<Day>,
    /// Whose rates.
    source: Option<String>,
    /// As they were known at this instant; RFC 3339.
    known_at: Option<Moment>,
}

/// An amount in another currency.
#[derive(Serialize, JsonSchema)]
struct Converted {
    /// What was asked for.
    amount: Money,
    /// The same in the other currency, rounded once; null where a rate is missing.
    converted: Option<Money>,
    /// The day that was asked for.
    on: NaiveDate,
    /// The rates behind it.
    rates: Vec<Rate>,
    /// Currencies that have no rate.
    missing_rates: Vec<String>,
}

fn convert(call: &Call, asked: &Converting) -> Result<Converted> {
    let (from, into) = (currency("from", &asked.from)?, currency("into", &asked.into)?);
    let bad = |e: crate::money::Problem| http::Refusal::BadQuery { why: format!("amount: {e}") };
    let minor = Minor::parse(&asked.amount, from).map_err(bad)?;
    let on = asked.on.map_or_else(|| day_of(call.now()), |d| d.0);
    let which = Asked { source: asked.source.clone(), on, known_at: asked.known_at.map(|at| at.0) };
    let found = call.read(|conn| super::quotes(conn, &which))?;
    let converter = Converter::new(&found, into);
    let value = converter.convert(i128::from(minor.0), from).map_err(bad)?;
    let converted = value.map(|v| rounded(v, into)).transpose().map_err(bad)?;
    let lacking = [from, into].into_iter().filter(|c| converted.is_none() && converter.lacks(c.code()));
    let mut missing_rates: Vec<String> = lacking.map(|c| c.code().to_owned()).collect();
    missing_rates.dedup();
    let used = converter.rates(from.code()).unwrap_or_default();
    Ok(Converted {
        amount: Money::of(minor.0, from.exponent(), from.code()),
        converted: converted.map(|m| Money::of(m.0, into.exponent(), into.code())),
        on,
        rates: used.into_iter().cloned().map(rate).collect(),
        missing_rates,
    })
}

/// The settings of the whole treasury.
#[derive(Serialize, JsonSchema)]
struct Settings {
    /// The currency that positions are shown in as well; ISO 4217.
    reporting_currency: Option<String>,
    /// Whose rates count; null: of the only source that there is.
    rates_source: Option<String>,
    /// How many business days old a rate may be without being marked.
    rates_stale_after: i64,
    /// The calendar by which a rate ages.
    rates_calendar: String,
}

fn settings_of(s: &super::Settings) -> Settings {
    Settings {
        reporting_currency: s.reporting_currency.clone(),
        rates_source: s.source.clone(),
        rates_stale_after: s.stale_after(),
        rates_calendar: s.calendar().to_owned(),
    }
}

fn show_settings(call: &Call, _: &Nothing) -> Result<Settings> {
    call.read(super::settings).map(|s| settings_of(&s))
}

/// Settings that are to be others; what is null or not there stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSettings {
    /// ISO 4217.
    reporting_currency: Option<String>,
    /// Its code: letters a to z, digits and -.
    rates_source: Option<String>,
    /// Business days.
    #[schemars(range(min = 0, max = 366))]
    rates_stale_after: Option<i64>,
    /// A calendar's code.
    rates_calendar: Option<String>,
}

fn change_settings(tx: &mut Tx<'_>, asked: &http::Asked<Nothing, NewSettings>) -> Result<Settings> {
    tx.scope().need_everything("settings, which are everybody's,")?;
    let before = super::settings(tx.conn())?;
    asked.expect_unchanged(&settings_of(&before))?;
    let new = &asked.body;
    let table = super::RatesTable {
        source: new.rates_source.clone(),
        stale_after: new.rates_stale_after,
        calendar: new.rates_calendar.clone(),
    };
    super::apply_settings(tx, new.reporting_currency.as_deref(), Some(&table))?;
    super::settings(tx.conn()).map(|s| settings_of(&s))
}

/// Which calendar a file declares.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Declaring {
    /// Its code, such as `jp-tokyo`; it is made where it is not there.
    code: String,
    /// For people; what it is called stays where nothing is said.
    name: Option<String>,
}

/// What came of a declaration.
#[derive(Serialize, JsonSchema)]
struct DeclaredCalendar {
    /// Its code.
    code: String,
    /// Whether it has other days now.
    changed: bool,
}

fn import_calendar(tx: &mut Tx<'_>, asked: &http::Asked<Declaring, Vec<u8>>) -> Result<DeclaredCalendar> {
    tx.scope().need_everything("calendars, which are everybody's,")?;
    let Declaring { code, name } = &asked.query;
    let problems = |all: Vec<String>| Error::from(calendars::Refusal::Problems(all));
    let text =
        std::str::from_utf8(&asked.body).map_err(|_| problems(vec!["the file is not UTF-8; save it so".to_owned()]))?;
    let declared = calendars::read_csv(code, name.as_deref(), text).map_err(problems)?;
    let changed = calendars::apply_one(tx, &declared)?;
    Ok(DeclaredCalendar { code: code.clone(), changed })
}

/// With a number of business days.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Adding {
    /// So many business days later, or earlier where it is negative.
    #[schemars(range(min = -2600, max = 2600))]
    add: Option<i32>,
}

/// A day of a calendar. Days next to it are null where the calendar says nothing of them.
#[derive(Serialize, JsonSchema)]
struct CalendarDay {
    /// The calendar's code.
    calendar: String,
    /// The day.
    day: NaiveDate,
    /// Whether banks work.
    business_day: bool,
    /// The holiday that it is.
    holiday: Option<String>,
    /// Whether the calendar says anything of that year.
    known: bool,
    /// The business day before it.
    previous: Option<NaiveDate>,
    /// The business day after it.
    next: Option<NaiveDate>,
    /// Itself or the next business day.
    following: Option<NaiveDate>,
    /// The same, but never in another month.
    modified_following: Option<NaiveDate>,
    /// Itself or the business day before.
    preceding: Option<NaiveDate>,
    /// `add` business days from it.
    added: Option<NaiveDate>,
}

fn day_of_calendar(call: &Call, asked: &Adding) -> Result<CalendarDay> {
    if asked.add.is_some_and(|count| !(-2600..=2600).contains(&count)) {
        return Err(http::Refusal::BadQuery { why: "add is from -2600 to 2600".to_owned() }.into());
    }
    let text = call.path("day");
    let day = Day::try_from(text.to_owned()).map_err(|_| Error::NotFound(format!("there is no day {text}")))?.0;
    let found = call.read(|conn| calendars::calendar(conn, call.path("calendar")))?;
    Ok(CalendarDay {
        business_day: found.is_business_day(day),
        holiday: found.holiday(day).map(ToOwned::to_owned),
        known: found.knows(day.year()),
        previous: found.previous(day),
        next: found.next(day),
        following: found.roll(day, Roll::Following),
        modified_following: found.roll(day, Roll::ModifiedFollowing),
        preceding: found.roll(day, Roll::Preceding),
        added: asked.add.and_then(|count| found.add(day, count)),
        calendar: found.code,
        day,
    })
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
