//! `tributary positions`: what each product has, and how each master stands against its bank.

use super::table::{grouped, table};
use super::{Context, print_json};
use crate::error::Result;
use crate::expectations;
use crate::positions::{Amount, MasterLine, Report, Total, positions};
use crate::statements;
use crate::time::{Clock, SystemClock, day_of};
use chrono::NaiveDate;

/// What to show.
#[derive(Debug, clap::Args)]
pub struct Positions {
    /// As of the end of this booking day, such as 2026-07-31 [default: now]
    #[arg(long, value_name = "DATE")]
    as_of: Option<NaiveDate>,
    /// What a line of the first table stands for
    #[arg(long, value_enum, default_value_t = By::Product)]
    by: By,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// A product in one currency
    Product,
    /// A product in one master
    Master,
    /// A leaf
    Leaf,
}

/// Shows positions.
pub fn run(context: &Context, args: &Positions) -> Result<()> {
    let (report, gaps, missing) = context.open_to_read()?.read(|conn| {
        let gaps = if context.json { Vec::new() } else { statements::all_gaps(conn)? };
        let missing = if args.as_of.is_some() { 0 } else { expectations::counts(conn)?.expired };
        Ok((positions(conn, args.as_of)?, gaps, missing))
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
    match args.by {
        By::Product => print_totals("product", &report.totals()?),
        By::Master => print_totals("product in master", &report.totals_by_master()?),
        By::Leaf => print_leaves(&report),
    }
    say!("");
    print_masters(&report.masters, args.as_of.unwrap_or_else(|| day_of(SystemClock.now())));
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

/// The products' totals, and each master against its bank as seen on a day.
pub fn print(report: &Report, today: NaiveDate) -> Result<()> {
    print_totals("product", &report.totals()?);
    print_masters(&report.masters, today);
    Ok(())
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

fn print_totals(heading: &str, totals: &[Total]) {
    let (headings, shown) = headings(&[heading, "currency", ">leaves"], totals.iter().map(|t| t.expected));
    let mut lines = table(&headings);
    for t in totals {
        let names = vec![t.product.clone(), t.currency.clone(), t.leaves.to_string()];
        lines.add_row([names, amounts(t.booked, t.held, t.available, t.expected, shown)].concat());
    }
    say!("{lines}");
}

fn print_leaves(report: &Report) {
    let (headings, shown) = headings(&["leaf", "currency"], report.positions.iter().map(|p| p.expected));
    let mut lines = table(&headings);
    for p in &report.positions {
        let names = vec![p.sub_account.clone(), p.currency.clone()];
        lines.add_row([names, amounts(p.booked, p.held, p.available, p.expected, shown)].concat());
    }
    say!("{lines}");
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
