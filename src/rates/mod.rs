//! Rates between currencies: dated, with their source, never changed.
//!
//! A source (a central bank, a bank, a book of house rates) publishes rates against one base; any two of its currencies compare
//! through it. What was published stays: a correction is the next version of that day's rate, with its own instant, so a report
//! that names its rates ([`Quote::id`]) can be made again. A rate that is not there is missing and never zero; one that is
//! older than the treasury allows is marked.
//!
//! | File | What |
//! | --- | --- |
//! | `read.rs` | files of rates: CSV and the ECB's XML (pure) |
//! | `convert.rs` | amounts into another currency, exact until the end (pure) |
//! | `settings.rs` | reporting currency, whose rates, when one is too old |

use crate::calendars;
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::time::{Instant, day_of, rfc3339};
use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;

pub mod api;
mod convert;
mod read;
mod settings;
mod store;

pub use convert::{Converter, rounded};
pub use read::{ECB, FileOfRates, Problem, Published, read};
pub use settings::{RatesTable, Settings, apply_settings, settings};
pub use store::{RateRow, history, sources};

/// Why rates are not taken in or cannot be told, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// A file has problems; all of them are named, and nothing of it was taken.
    Problems(Vec<Problem>),
    /// Settings that cannot be used.
    BadSettings(Vec<String>),
    /// A file that does not say whose rates they are.
    NoSource,
    /// There are rates of several sources, and nothing says whose count.
    WhichRates { sources: Vec<String> },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::Problems(_) => "bad_rates",
            Refusal::BadSettings(_) => "bad_settings",
            Refusal::NoSource => "no_source",
            Refusal::WhichRates { .. } => "which_rates",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Problems(problems) => {
                let (count, s) = (problems.len(), if problems.len() == 1 { "" } else { "s" });
                write!(f, "the file of rates has {count} problem{s}, and nothing was changed:")?;
                problems.iter().take(100).try_for_each(|p| write!(f, "\n  {p}"))?;
                if count > 100 { write!(f, "\n  and {} more", count - 100) } else { Ok(()) }
            }
            Refusal::BadSettings(problems) => {
                f.write_str("the settings cannot be used, and nothing was changed:")?;
                problems.iter().try_for_each(|p| write!(f, "\n  {p}"))
            }
            Refusal::NoSource => f.write_str("say whose rates these are with --source, such as --source house"),
            Refusal::WhichRates { sources } => write!(
                f,
                "there are rates of {}; say whose count with --source, or with source under [rates] of the treasury file",
                sources.join(", ")
            ),
        }
    }
}

/// A rate as it is used: so many units of `currency` for one unit of `base`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quote {
    /// `ecb/USD/2026-03-02/1`: by this it can be found again.
    pub id: String,
    /// Who published it.
    pub source: String,
    /// The source's base.
    pub base: String,
    /// The other currency.
    pub currency: String,
    /// The day that it is of.
    pub date: NaiveDate,
    /// From 1; a correction is the next.
    pub version: i64,
    /// An exact decimal, as text in JSON.
    #[serde(serialize_with = "as_text")]
    pub rate: Decimal,
    /// When it was recorded here.
    #[serde(serialize_with = "as_rfc3339")]
    pub recorded_at: Instant,
    /// How many business days it is older than the day that was asked for.
    pub age: i64,
    /// Whether that is more than the treasury allows.
    pub stale: bool,
}

fn as_text<S: serde::Serializer>(rate: &Decimal, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(rate)
}

fn as_rfc3339<S: serde::Serializer>(at: &Instant, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

/// What taking a file in has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Whose rates.
    pub source: String,
    /// Their base.
    pub base: String,
    /// Rates of a currency and day that had none.
    pub new: usize,
    /// Rates that are another version now: currency, day, before, after.
    pub corrected: Vec<Correction>,
    /// Rates that were there already.
    pub unchanged: usize,
    /// First and last day of the file.
    pub days: Option<(NaiveDate, NaiveDate)>,
}

/// A rate that was published otherwise before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Correction {
    pub currency: String,
    pub date: NaiveDate,
    pub version: i64,
    pub before: String,
    pub after: String,
}

/// How many corrections an event names; it tells how many there are.
const NAMED: usize = 200;

/// Takes a file's rates in: new ones, and corrections as new versions. The same again changes nothing.
pub fn import(tx: &mut Tx<'_>, source: &str, file: &FileOfRates, sha256: &str) -> Result<Imported> {
    // Midnight comes earlier in the east: tomorrow's rate may be there, next month's is a slip.
    let latest = day_of(tx.now()).checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX);
    let late = file.rates.iter().filter(|r| r.date > latest);
    let late =
        late.map(|r| Problem { line: r.line, problem: format!("the rate is of {}, which is still to come", r.date) });
    let late: Vec<Problem> = late.collect();
    if !late.is_empty() {
        return Err(Refusal::Problems(late).into());
    }
    match store::base_of(tx.conn(), source)? {
        None => store::insert_source(tx.conn(), source, &file.base)?,
        Some(base) if base == file.base => {}
        Some(base) => {
            return Err(Error::Conflict(format!(
                "the rates of {source} are against {base}, and this file's against {}; give them a source of their own",
                file.base
            )));
        }
    }
    let mut done = Imported { source: source.to_owned(), base: file.base.clone(), ..Imported::default() };
    done.days = file.rates.iter().map(|r| r.date).min().zip(file.rates.iter().map(|r| r.date).max());
    let Some((first, last)) = done.days else { return Ok(done) };
    let there = store::newest(tx.conn(), source, first, last)?;
    let mut rows = Vec::new();
    for published in &file.rates {
        let version = match there.get(&(published.currency.clone(), published.date)) {
            None => 1,
            Some((_, before)) if *before == published.rate => {
                done.unchanged += 1;
                continue;
            }
            Some((version, before)) => {
                done.corrected.push(Correction {
                    currency: published.currency.clone(),
                    date: published.date,
                    version: version + 1,
                    before: before.to_string(),
                    after: published.rate.to_string(),
                });
                version + 1
            }
        };
        rows.push((published, version));
    }
    done.new = rows.len() - done.corrected.len();
    if rows.is_empty() {
        return Ok(done);
    }
    store::insert(tx, source, &rows)?;
    let named = done.corrected.get(..done.corrected.len().min(NAMED)).unwrap_or_default();
    let after = json!({
        "base": done.base, "sha256": sha256, "new": done.new, "corrected": done.corrected.len(), "unchanged": done.unchanged,
        "first_day": first, "last_day": last, "corrections": named,
    });
    tx.event("rates.imported", source, None, Some(after.to_string()));
    Ok(done)
}

/// Which rates a question is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Whose; else those of the settings, else of the only source that there is.
    pub source: Option<String>,
    /// Of this day, or the last before it.
    pub on: NaiveDate,
    /// As they were known at this instant.
    pub known_at: Option<Instant>,
}

/// A source's rates as of a day: for each of its currencies the newest that is not after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotes {
    /// Who published them; `None`: there are no rates at all.
    pub source: Option<String>,
    /// Their base.
    pub base: Option<String>,
    /// By currency, without the base.
    pub quotes: BTreeMap<String, Quote>,
}

/// The rates that a question is about. That there are none is an answer.
pub fn quotes(conn: &mut Conn, asked: &Asked) -> Result<Quotes> {
    let settings = settings(conn)?;
    let Some(source) = source_of(conn, asked.source.as_deref().or(settings.source.as_deref()))? else {
        return Ok(Quotes { source: None, base: None, quotes: BTreeMap::new() });
    };
    let calendar = calendars::calendar(conn, settings.calendar())?;
    let base = store::base_of(conn, &source)?.ok_or_else(|| {
        Error::NotFound(format!("there are no rates of {source}; `tributary rates import` takes some in"))
    })?;
    let mut quotes = BTreeMap::new();
    for row in store::as_of(conn, &source, asked.on, asked.known_at)? {
        let age = calendar.business_days_between(row.day, asked.on);
        let quote = Quote {
            id: row.id(),
            base: base.clone(),
            date: row.day,
            version: row.version,
            rate: row.decimal()?,
            recorded_at: row.recorded_at(),
            age,
            stale: age > settings.stale_after(),
            source: row.source,
            currency: row.currency,
        };
        quotes.insert(quote.currency.clone(), quote);
    }
    Ok(Quotes { source: Some(source), base: Some(base), quotes })
}

/// The source that a file's rates are kept under: the one that is asked for, else that of the file's form.
pub fn source_for(asked: Option<&str>, file: &FileOfRates) -> Result<String> {
    let source = asked.or(file.source).ok_or(Refusal::NoSource)?;
    if !settings::is_code(source) {
        let what = format!("--source: \"{source}\" is not a code: letters a to z, digits and -, at most 40");
        return Err(Refusal::BadSettings(vec![what]).into());
    }
    Ok(source.to_owned())
}

fn source_of(conn: &mut Conn, named: Option<&str>) -> Result<Option<String>> {
    if let Some(named) = named {
        return Ok(Some(named.to_owned()));
    }
    let mut sources: Vec<String> = store::sources(conn)?.into_iter().map(|(code, _)| code).collect();
    if sources.len() > 1 {
        return Err(Refusal::WhichRates { sources }.into());
    }
    Ok(sources.pop())
}
