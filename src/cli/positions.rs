//! `tributary positions`: what each product has, and how each master stands against its bank.

use super::rates::print_quotes;
use super::table::{grouped, table};
use super::{Context, print_json};
use crate::db::Conn;
use crate::error::Result;
use crate::expectations;
use crate::money::Currency;
use crate::positions::{
    Amount, MasterLine, Moment, Report, Reporting, Total, TotalInReporting, Totals, positions, positions_in,
};
use crate::rates;
use crate::scope::Scope;
use crate::statements;
use crate::time::{Clock, Instant, SystemClock, day_of, rfc3339};
use chrono::NaiveDate;

/// What to show.
#[derive(Debug, clap::Args)]
pub struct Positions {
    /// As of the end of this booking day, such as 2026-07-31 [default: now]
    #[arg(long, value_name = "DATE")]
    as_of: Option<NaiveDate>,
    /// As it was known at this instant, such as 2026-07-31T18:00:00Z, before later corrections
    #[arg(long, value_name = "INSTANT")]
    known_at: Option<Instant>,
    /// What a line of the first table stands for
    #[arg(long, value_enum, default_value_t = By::Product)]
    by: By,
    /// In this currency too, such as EUR, with the rates of that day [default: the treasury file's reporting_currency]
    #[arg(long = "in", value_name = "CURRENCY")]
    into: Option<Currency>,
    /// Whose rates [default: those of the settings, or of the only source]
    #[arg(long, value_name = "SOURCE")]
    rates: Option<String>,
    /// Rates as they were known at this instant, before later corrections [default: --known-at]
    #[arg(long, value_name = "INSTANT")]
    rates_known_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// A product in one currency
    Product,
    /// A market in one currency
    Market,
    /// A currency
    Currency,
    /// A product in one master
    Master,
    /// A leaf
    Leaf,
}

/// Shows positions.
pub fn run(context: &Context, args: &Positions) -> Result<()> {
    let today = day_of(args.known_at.unwrap_or_else(|| SystemClock.now()));
    let asked = rates::Asked {
        source: args.rates.clone(),
        on: args.as_of.unwrap_or(today),
        known_at: args.rates_known_at.or(args.known_at),
    };
    let (report, gaps, missing) = context.open_to_read()?.read(|conn| {
        let gaps = if context.json || args.known_at.is_some() { Vec::new() } else { statements::all_gaps(conn)? };
        let missing =
            if args.as_of.is_some() || args.known_at.is_some() { 0 } else { expectations::counts(conn)?.expired };
        Ok((report(conn, &context.who.scope, args, &asked)?, gaps, missing))
    })?;
    if context.json {
        return print_json(&report);
    }
    if report.masters.is_empty() {
        say!(
            "There is no treasury here yet: `tributary demo` makes one to look at, `tributary chart apply FILE.toml` makes yours."
        );
        return Ok(());
    }
    if let Some(day) = report.as_of {
        say!("As of the end of {day}");
    }
    if let Some(at) = report.known_at {
        say!("As known at {}", rfc3339(at));
    }
    match args.by {
        By::Product => print_totals("product", &report.totals()?, &report, |t| &t.by_product)?,
        By::Market => print_totals("market", &report.totals_by_market()?, &report, |t| &t.by_market)?,
        By::Currency => print_totals("", &[], &report, |t| &t.by_currency)?,
        By::Master => print_totals("product in master", &report.totals_by_master()?, &report, |t| &t.by_master)?,
        By::Leaf => print_leaves(&report)?,
    }
    print_rates(&report);
    say!("");
    print_masters(&report.masters, asked.on);
    // What comes after the day asked for is not of its picture.
    for gap in gaps.iter().filter(|g| args.as_of.is_none_or(|day| g.next_closed_on <= day)) {
        say!("{gap}");
    }
    match missing {
        0 => {}
        1 => say!("1 expected receipt has not come in its days; `tributary expect list --state expired` shows it"),
        n => say!(
            "{n} expected receipts have not come in their days; `tributary expect list --state expired` shows them"
        ),
    }
    Ok(())
}

/// Converted where a currency is asked for or set. That nothing says whose rates count is a note, unless it was asked for.
fn report(conn: &mut Conn, scope: &Scope, args: &Positions, asked: &rates::Asked) -> Result<Report> {
    let moment = Moment { as_of: args.as_of, known_at: args.known_at };
    if let Some(into) = args.into {
        return positions_in(conn, scope, moment, into, asked);
    }
    let set = rates::settings(conn)?.reporting_currency.and_then(|code| code.parse().ok());
    let Some(into) = set else { return positions(conn, scope, moment) };
    match positions_in(conn, scope, moment, into, asked) {
        Err(no) if no.code() == "which_rates" => {
            eprintln!("tributary: {no}");
            positions(conn, scope, moment)
        }
        other => other,
    }
}

/// The column of what is expected stands there once something is.
fn headings<'a>(first: &[&'a str], expected: impl IntoIterator<Item = Option<Amount>>) -> (Vec<&'a str>, bool) {
    let some = expected.into_iter().flatten().any(|e| !e.minor.is_zero());
    let last: &[&str] = if some { &[">available", ">expected"] } else { &[">available"] };
    ([first, &[">booked", ">held"], last].concat(), some)
}

fn amounts(booked: Amount, held: Amount, available: Amount, expected: Option<Amount>, shown: bool) -> Vec<String> {
    let expected = expected.filter(|_| shown).map(grouped);
    [booked, held, available].map(grouped).into_iter().chain(expected).collect()
}

/// A line for each, then the totals of each currency; in the reporting currency a line for each name and for all.
fn print_totals(
    heading: &str,
    totals: &[Total],
    report: &Report,
    pick: fn(&Totals) -> &Vec<TotalInReporting>,
) -> Result<()> {
    let all = report.totals_by_currency()?;
    let (headings, shown) = headings(&[heading, "currency", ">leaves"], all.iter().map(|t| t.expected));
    let mut lines = table(&headings);
    for t in totals.iter().chain(&all) {
        let names = vec![t.product.clone(), t.currency.clone(), t.leaves.to_string()];
        lines.add_row([names, amounts(t.booked, t.held, t.available, t.expected, shown)].concat());
    }
    say!("{lines}");
    let (Some(reporting), Some(currency)) = (&report.reporting, &report.reporting_currency) else { return Ok(()) };
    let of = if heading.is_empty() || heading == "product in master" { "of" } else { heading };
    say!("\nIn {currency}, each figure and each total rounded once");
    let mut lines = table(&[of, ">leaves", ">booked", ">held", ">available", "~no rate of"]);
    for t in pick(&reporting.totals).iter().chain([&reporting.totals.all]) {
        let name = if t.of == "all" { "total" } else { &t.of };
        lines.add_row([
            name.to_owned(),
            t.leaves.to_string(),
            or_missing(t.booked),
            or_missing(t.held),
            or_missing(t.available),
            t.missing_rates.join(", "),
        ]);
    }
    say!("{lines}");
    Ok(())
}

fn or_missing(amount: Option<Amount>) -> String {
    amount.map_or_else(|| "missing".to_owned(), grouped)
}

/// The rates behind the figures; those that are too old are marked.
fn print_rates(report: &Report) {
    let Some(reporting) = &report.reporting else { return };
    if !reporting.rates.is_empty() {
        say!("");
        print_quotes(reporting.rates.iter());
    }
    let stale: Vec<&str> = reporting.rates.iter().filter(|q| q.stale).map(|q| q.currency.as_str()).collect();
    if !stale.is_empty() {
        say!(
            "The rates of {} are older than they should be; `tributary rates import` takes newer ones in.",
            stale.join(", ")
        );
    }
    if !reporting.missing_rates.is_empty() {
        let missing = reporting.missing_rates.join(", ");
        say!(
            "There is no rate of {missing} on {} or before: figures that need one are missing, not zero.",
            reporting.rates_on
        );
    }
}

fn print_leaves(report: &Report) -> Result<()> {
    let all = report.totals_by_currency()?;
    let (mut headings, shown) = headings(&["leaf", "currency"], all.iter().map(|t| t.expected));
    let into = report.reporting_currency.as_deref().map(|c| [format!(">booked in {c}"), format!(">available in {c}")]);
    headings.extend(into.iter().flatten().map(String::as_str));
    let mut lines = table(&headings);
    for p in &report.positions {
        let mut row = vec![p.sub_account.clone(), p.currency.clone()];
        row.extend(amounts(p.booked, p.held, p.available, p.expected, shown));
        row.extend(p.in_reporting.iter().flat_map(|c| [or_missing(c.booked), or_missing(c.available)]));
        lines.add_row(row);
    }
    for t in all {
        let names = vec!["total".to_owned(), t.currency.clone()];
        lines.add_row([names, amounts(t.booked, t.held, t.available, t.expected, shown)].concat());
    }
    if let Some(Reporting { totals: Totals { all, .. }, .. }) = &report.reporting {
        let mut row = vec![String::new(); headings.len() - 2];
        row.splice(..1, ["total".to_owned()]);
        row.extend([or_missing(all.booked), or_missing(all.available)]);
        lines.add_row(row);
    }
    say!("{lines}");
    Ok(())
}

fn print_masters(masters: &[MasterLine], today: NaiveDate) {
    let headings = [
        "master",
        "currency",
        ">book",
        ">bank closing",
        "of",
        ">days ago",
        ">difference",
        ">suspense",
        ">in transit",
        ">house",
    ];
    let mut lines = table(&headings);
    for m in masters {
        let shown = |amount: Option<_>| amount.map_or_else(|| "-".to_owned(), grouped);
        lines.add_row([
            m.master.clone(),
            m.currency.clone(),
            grouped(m.book),
            shown(m.bank_closing),
            m.bank_as_of.map_or_else(|| "-".to_owned(), |d| d.to_string()),
            m.bank_as_of.map_or_else(|| "-".to_owned(), |d| (today - d).num_days().to_string()),
            shown(m.difference),
            grouped(m.suspense),
            grouped(m.in_transit),
            grouped(m.house),
        ]);
    }
    say!("{lines}");
    if masters.iter().any(|m| m.bank_closing.is_some()) {
        say!(
            "book: as of the bank's day beside it, so that both tell of the same lines; without one, of now or the day asked for"
        );
    }
}
