//! What is set for the whole treasury: the reporting currency, whose rates count, and when one is too old.

use super::{Refusal, store};
use crate::calendars;
use crate::db::{Conn, Tx};
use crate::error::Result;
use crate::money::Currency;
use serde::Deserialize;
use serde_json::json;

const REPORTING_CURRENCY: &str = "reporting_currency";
const SOURCE: &str = "rates.source";
const STALE_AFTER: &str = "rates.stale_after";
const CALENDAR: &str = "rates.calendar";

/// A rate of the day before the day before is usual on a morning after a holiday; an older one deserves a look.
const DEFAULT_STALE_AFTER: i64 = 2;

/// `[rates]` of the treasury file, as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the file's, described in docs/treasury-file.md")]
pub struct RatesTable {
    pub source: Option<String>,
    /// In business days.
    pub stale_after: Option<i64>,
    pub calendar: Option<String>,
}

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// ISO 4217.
    pub reporting_currency: Option<String>,
    /// Whose rates count.
    pub source: Option<String>,
    stale_after: Option<i64>,
    calendar: Option<String>,
}

impl Settings {
    /// How many business days old a rate may be without being marked.
    pub fn stale_after(&self) -> i64 {
        self.stale_after.unwrap_or(DEFAULT_STALE_AFTER)
    }

    /// The calendar by which a rate ages.
    pub fn calendar(&self) -> &str {
        self.calendar.as_deref().unwrap_or(calendars::WEEKDAYS)
    }
}

/// As they are.
pub fn settings(conn: &mut Conn) -> Result<Settings> {
    let mut stored = store::settings(conn)?;
    Ok(Settings {
        reporting_currency: stored.remove(REPORTING_CURRENCY),
        source: stored.remove(SOURCE),
        stale_after: stored.remove(STALE_AFTER).and_then(|text| text.parse().ok()),
        calendar: stored.remove(CALENDAR),
    })
}

/// Makes the settings what a treasury file says; what it does not say stays. Answers the names of those that changed.
pub fn apply_settings(tx: &mut Tx<'_>, currency: Option<&str>, table: Option<&RatesTable>) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let none = RatesTable::default();
    let table = table.unwrap_or(&none);
    if let Some(Err(e)) = currency.map(str::parse::<Currency>) {
        problems.push(format!("reporting_currency: {e}"));
    }
    if let Some(days) = table.stale_after.filter(|days| !(0..=366).contains(days)) {
        problems.push(format!("[rates], stale_after: {days} is not a number of business days from 0 to 366"));
    }
    if let Some(code) = &table.calendar
        && calendars::calendar(tx.conn(), code).is_err()
    {
        problems.push(format!("[rates], calendar: there is no calendar \"{code}\"; add [[calendar]] with that code"));
    }
    if let Some(source) = table.source.as_deref().filter(|s| !is_code(s)) {
        problems.push(format!("[rates], source: \"{source}\" is not a code: letters a to z, digits and -"));
    }
    if !problems.is_empty() {
        return Err(Refusal::BadSettings(problems).into());
    }
    let stale_after = table.stale_after.map(|days| days.to_string());
    let mut changed = Vec::new();
    let stored = store::settings(tx.conn())?;
    for (name, asked) in [
        (REPORTING_CURRENCY, currency),
        (SOURCE, table.source.as_deref()),
        (STALE_AFTER, stale_after.as_deref()),
        (CALENDAR, table.calendar.as_deref()),
    ] {
        let Some(value) = asked.filter(|value| stored.get(name).map(String::as_str) != Some(value)) else { continue };
        store::set(tx.conn(), name, value)?;
        let before = stored.get(name).map(|before| json!({ "value": before }).to_string());
        tx.event("setting.changed", name, before, Some(json!({ "value": value }).to_string()));
        changed.push(name.to_owned());
    }
    Ok(changed)
}

/// Whether a text can be the code of a source.
pub(super) fn is_code(text: &str) -> bool {
    let fits = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    fits && !text.is_empty() && text.len() <= 40 && !text.starts_with('-')
}
