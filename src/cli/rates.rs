//! `tributary rates`: rates between currencies with their source, day and age.

use super::table::{grouped, table};
use super::{Context, print_json};
use crate::db::seal::{hex, sha256};
use crate::error::{Error, Result};
use crate::money::{Currency, Minor};
use crate::rates::{self, Asked, Converter, Imported, Quote, Quotes, Refusal, rounded};
use crate::time::{Clock, Instant, SystemClock, day_of, rfc3339};
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What to do with rates.
#[derive(Debug, clap::Subcommand)]
pub enum Rates {
    /// Take a file of rates in: CSV with the headings date,base,currency,rate, or XML of the ECB's reference rates
    Import {
        /// The file
        file: PathBuf,
        /// Whose rates they are, such as house [default for the ECB's XML: ecb]
        #[arg(long)]
        source: Option<String>,
    },
    /// The rates of a day, or the last before it; with a currency, all its versions
    Show {
        /// Only this currency, the newest day first, with every version
        currency: Option<Currency>,
        #[command(flatten)]
        which: Which,
        /// How many versions of one currency
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        limit: i64,
    },
    /// An amount in another currency, and by which rates
    Convert {
        /// The amount, such as 1250.00
        #[arg(allow_hyphen_values = true)]
        amount: String,
        /// Its currency
        from: Currency,
        /// The other currency
        into: Currency,
        #[command(flatten)]
        which: Which,
    },
}

/// Whose rates, and of when.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Whose rates [default: those of the settings, or of the only source]
    #[arg(long)]
    source: Option<String>,
    /// Of this day, or the last before it [default: today]
    #[arg(long, value_name = "DATE")]
    on: Option<NaiveDate>,
    /// As they were known at this instant, before later corrections
    #[arg(long, value_name = "INSTANT")]
    known_at: Option<Instant>,
}

impl Which {
    fn asked(&self) -> Asked {
        let on = self.on.unwrap_or_else(|| day_of(SystemClock.now()));
        Asked { source: self.source.clone(), on, known_at: self.known_at }
    }
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &Rates) -> Result<()> {
    match command {
        Rates::Import { file, source } => import(context, file, source.as_deref()),
        Rates::Show { currency: None, which, .. } => show(context, which),
        Rates::Show { currency: Some(currency), which, limit } => history(context, *currency, which, *limit),
        Rates::Convert { amount, from, into, which } => convert(context, amount, (*from, *into), which),
    }
}

fn import(context: &Context, path: &Path, source: Option<&str>) -> Result<()> {
    let bytes = std::fs::read(path).map_err(|e| Error::NotFound(format!("cannot read {}: {e}", path.display())))?;
    let file = rates::read(&bytes).map_err(|p| Error::from(Refusal::Problems(p)).within(path.display()))?;
    let source = rates::source_for(source, &file)?;
    let passed_over: Vec<String> = file.passed_over.iter().cloned().collect();
    let db = context.open_treasury()?;
    let sha256 = hex(&sha256(&bytes));
    let done = db.write("rates.import", &context.who, move |tx| rates::import(tx, &source, &file, &sha256));
    let done = done.map_err(|e| e.within(path.display()))?;
    if context.json {
        let mut shown = serde_json::to_value(&done).map_err(|e| Error::Broken(e.to_string()))?;
        shown["passed_over"] = json!(passed_over);
        return print_json(&shown);
    }
    print_imported(path, &done);
    if !passed_over.is_empty() {
        say!("passed over, since no such currency is in use: {}", passed_over.join(", "));
    }
    Ok(())
}

fn print_imported(path: &Path, done: &Imported) {
    let Imported { source, base, new, corrected, unchanged, .. } = done;
    let days = done.days.map(|(first, last)| format!(" of {first} to {last}")).unwrap_or_default();
    if *new == 0 && corrected.is_empty() {
        say!("{}: nothing new: all {unchanged} rates of {source}{days} are there already", path.display());
        return;
    }
    let corrections = corrected.len();
    say!(
        "{}: rates of {source} against {base}{days}: {new} new, {corrections} corrected, {unchanged} as before",
        path.display()
    );
    for c in corrected.iter().take(20) {
        say!("  {} of {}: {} instead of {}, version {}", c.currency, c.date, c.after, c.before, c.version);
    }
    if corrections > 20 {
        say!("  and {} more", corrections - 20);
    }
}

fn show(context: &Context, which: &Which) -> Result<()> {
    let asked = which.asked();
    let found = context.open_to_read()?.read(|conn| rates::quotes(conn, &asked))?;
    if context.json {
        let quotes: Vec<&Quote> = found.quotes.values().collect();
        return print_json(&json!({ "on": asked.on, "source": found.source, "base": found.base, "rates": quotes }));
    }
    let (Some(source), Some(base)) = (&found.source, &found.base) else {
        say!("There are no rates yet: `tributary rates import FILE` takes some in.");
        return Ok(());
    };
    say!("Rates of {source} on {}: what one {base} buys", asked.on);
    print_quotes(found.quotes.values());
    Ok(())
}

/// A table of rates with their day and age.
pub fn print_quotes<'q>(quotes: impl Iterator<Item = &'q Quote>) {
    let mut lines = table(&["rate", "currency", ">rate of one base", "base", "of", ">business days ago", ""]);
    for q in quotes {
        let stale = if q.stale { "stale" } else { "" };
        let (rate, date, age) = (q.rate.to_string(), q.date.to_string(), q.age.to_string());
        lines.add_row([&q.id, &q.currency, &rate, &q.base, &date, &age, stale]);
    }
    say!("{lines}");
}

fn history(context: &Context, currency: Currency, which: &Which, limit: i64) -> Result<()> {
    let (source, rows) = context.open_to_read()?.read(|conn| {
        let found = rates::quotes(conn, &which.asked())?;
        let Some(source) = found.source else {
            return Err(Error::NotFound("there are no rates yet; `tributary rates import` takes some in".to_owned()));
        };
        let rows = rates::history(conn, &source, currency.code(), limit)?;
        Ok((source, rows))
    })?;
    let rows = rows.into_iter().filter(|r| which.on.is_none_or(|on| r.day <= on));
    let rows: Vec<_> = rows.filter(|r| which.known_at.is_none_or(|at| r.recorded_at() <= at)).collect();
    if context.json {
        let one = |r: &rates::RateRow| json!({ "id": r.id(), "date": r.day, "version": r.version, "rate": r.rate, "recorded_at": rfc3339(r.recorded_at()) });
        return print_json(&json!({
            "source": source, "currency": currency.code(), "rates": rows.iter().map(one).collect::<Vec<Value>>(),
        }));
    }
    if rows.is_empty() {
        say!("{source} has no rate of {currency}");
        return Ok(());
    }
    let mut lines = table(&["rate", "of", ">version", ">rate", "recorded"]);
    for r in &rows {
        lines.add_row([r.id(), r.day.to_string(), r.version.to_string(), r.rate.clone(), rfc3339(r.recorded_at())]);
    }
    say!("{lines}");
    Ok(())
}

fn convert(context: &Context, amount: &str, (from, into): (Currency, Currency), which: &Which) -> Result<()> {
    let refused = |e: crate::money::Problem| Error::Refused { code: "bad_amount", message: e.to_string() };
    let minor = Minor::parse(amount, from).map_err(refused)?;
    let asked = which.asked();
    let found: Quotes = context.open_to_read()?.read(|conn| rates::quotes(conn, &asked))?;
    let converter = Converter::new(&found, into);
    let value = converter.convert(i128::from(minor.0), from).map_err(refused)?;
    let converted = value.map(|v| rounded(v, into).map(|m| m.to_text(into))).transpose().map_err(refused)?;
    let used = converter.rates(from.code()).unwrap_or_default();
    let missing: BTreeSet<&str> =
        [from.code(), into.code()].into_iter().filter(|c| converter.lacks(c)).filter(|_| converted.is_none()).collect();
    if context.json {
        print_json(&json!({
            "amount": minor.to_text(from), "currency": from.code(), "on": asked.on, "in": into.code(),
            "converted": converted, "rates": used, "missing_rates": missing,
        }))?;
    }
    match converted {
        Some(_) if context.json => Ok(()),
        Some(converted) => {
            say!("{} {from} are {} {into} on {}", grouped(minor.to_text(from)), grouped(converted), asked.on);
            if !used.is_empty() {
                print_quotes(used.into_iter());
            }
            Ok(())
        }
        None => {
            let missing: Vec<&str> = missing.into_iter().collect();
            let message = format!("there is no rate of {} on {} or before", missing.join(" and "), asked.on);
            Err(Error::NotFound(message))
        }
    }
}
