//! `tributary calendar`: on which days a bank works.

use super::table::table;
use super::{Context, print_json};
use crate::calendars::{self, Calendar as Days, Roll};
use crate::error::{Error, Result};
use crate::time::{Clock, SystemClock, day_of};
use chrono::{Datelike, NaiveDate};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What to do with calendars.
#[derive(Debug, clap::Subcommand)]
pub enum Calendar {
    /// List calendars, or show one: the holidays of a year, or what a day is and which business days are next to it
    Show {
        /// The calendar, such as target; left out: all of them
        code: Option<String>,
        /// The year whose holidays are shown [default: this one]
        #[arg(long, requires = "code", value_parser = clap::value_parser!(i32).range(1583..=9999))]
        year: Option<i32>,
        /// A day to be looked at, such as 2027-03-26
        #[arg(long, requires = "code", value_name = "DATE", conflicts_with = "year")]
        day: Option<NaiveDate>,
        /// With --day: so many business days later, or earlier when negative
        #[arg(long, requires = "day", value_name = "DAYS", allow_hyphen_values = true, value_parser = clap::value_parser!(i32).range(-2600..=2600))]
        add: Option<i32>,
    },
    /// Declare the holidays of whole years from a CSV with the headings date,name
    Import {
        /// The calendar's code, such as jp-tokyo; it is made when it is not there
        code: String,
        /// The CSV
        file: PathBuf,
        /// Its name, for people
        #[arg(long)]
        name: Option<String>,
    },
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &Calendar) -> Result<()> {
    match command {
        Calendar::Show { code: None, .. } => list(context),
        Calendar::Show { code: Some(code), day: Some(day), add, .. } => show_day(context, code, *day, *add),
        Calendar::Show { code: Some(code), year, .. } => show(context, code, *year),
        Calendar::Import { code, file, name } => import(context, code, file, name.as_deref()),
    }
}

fn list(context: &Context) -> Result<()> {
    let all = context.open_to_read()?.read(calendars::calendars)?;
    if context.json {
        let one =
            |c: &Days| json!({ "code": c.code, "name": c.name, "weekend": c.weekend(), "built_in": c.is_built_in() });
        return print_json(&json!({ "calendars": all.iter().map(one).collect::<Vec<_>>() }));
    }
    let mut lines = table(&["calendar", "~name", "weekend", "from"]);
    for c in &all {
        let from = if c.is_built_in() { "built in" } else { "declared" };
        lines.add_row([&c.code, &c.name, &c.weekend(), from]);
    }
    say!("{lines}");
    Ok(())
}

/// A calendar that is built in needs no database.
fn found(context: &Context, code: &str) -> Result<Days> {
    match Days::built_in(code) {
        Some(built_in) => Ok(built_in),
        None => context.open_to_read()?.read(|conn| calendars::calendar(conn, code)),
    }
}

fn show(context: &Context, code: &str, year: Option<i32>) -> Result<()> {
    let calendar = found(context, code)?;
    let year = year.unwrap_or_else(|| day_of(SystemClock.now()).year());
    let holidays = calendar.holidays(year);
    let days =
        NaiveDate::from_ymd_opt(year, 1, 1).into_iter().flat_map(|d| d.iter_days()).take_while(|d| d.year() == year);
    let business_days = days.filter(|d| calendar.is_business_day(*d)).count();
    if context.json {
        let one = |(day, name): &(NaiveDate, &str)| json!({ "day": day, "name": name, "weekday": weekday(*day) });
        return print_json(&json!({
            "code": calendar.code, "name": calendar.name, "weekend": calendar.weekend(), "year": year,
            "known": calendar.knows(year), "business_days": business_days,
            "holidays": holidays.iter().map(one).collect::<Vec<Value>>(),
        }));
    }
    say!("{} ({}), free on {}", calendar.code, calendar.name, calendar.weekend());
    if !calendar.knows(year) {
        say!(
            "No holidays are declared for {year}: each day of the week counts. `tributary calendar import` declares them."
        );
    }
    let mut lines = table(&["holiday", "weekday", "~name"]);
    for (day, name) in holidays {
        lines.add_row([&day.to_string(), weekday(day), name]);
    }
    say!("{lines}\n{year} has {business_days} business days");
    Ok(())
}

fn show_day(context: &Context, code: &str, day: NaiveDate, add: Option<i32>) -> Result<()> {
    let calendar = found(context, code)?;
    let is = calendar.is_business_day(day);
    let why = match calendar.holiday(day) {
        Some(name) => format!("no business day: {name}"),
        None if is => "a business day".to_owned(),
        None => "no business day: weekend".to_owned(),
    };
    let mut next_to = vec![
        ("previous", calendar.previous(day)),
        ("next", calendar.next(day)),
        ("following", calendar.roll(day, Roll::Following)),
        ("modified_following", calendar.roll(day, Roll::ModifiedFollowing)),
        ("preceding", calendar.roll(day, Roll::Preceding)),
    ];
    if let Some(count) = add {
        next_to.push(("added", calendar.add(day, count)));
    }
    if context.json {
        let mut shown =
            json!({ "code": calendar.code, "day": day, "business_day": is, "known": calendar.knows(day.year()) });
        for (key, day) in next_to {
            shown[key] = json!(day);
        }
        return print_json(&shown);
    }
    say!("{day} ({}) is {why}", weekday(day));
    for (key, found) in next_to {
        let found = found.map_or_else(|| "none".to_owned(), |d| format!("{d} ({})", weekday(d)));
        say!("  {}: {found}", key.replace('_', " "));
    }
    Ok(())
}

fn weekday(day: NaiveDate) -> &'static str {
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
        .get(usize::try_from(day.weekday().num_days_from_monday()).unwrap_or(0))
        .copied()
        .unwrap_or_default()
}

fn import(context: &Context, code: &str, path: &Path, name: Option<&str>) -> Result<()> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Error::NotFound(format!("cannot read {}: {e}", path.display())))?;
    let declared = calendars::read_csv(code, name, &text).map_err(calendars::Refusal::Problems);
    let declared = declared.map_err(|e| Error::from(e).within(path.display()))?;
    let db = context.open_treasury()?;
    let changed = db.write("calendar.import", &context.who, move |tx| calendars::apply_one(tx, &declared))?;
    if context.json {
        return print_json(&json!({ "code": code, "changed": changed }));
    }
    say!("{code}: {}", if changed { "declared; `tributary calendar show` shows it" } else { "nothing new" });
    Ok(())
}
