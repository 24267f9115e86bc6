//! `tributary positions`: what each product has, and how each master stands against its bank.

use super::table::{grouped, table};
use super::{Context, print_json};
use crate::error::Result;
use crate::positions::{MasterLine, Report, Total, positions};
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
    let (report, gaps) = context.open_to_read()?.read(|conn| {
        let gaps = if context.json { Vec::new() } else { statements::all_gaps(conn)? };
        Ok((positions(conn, args.as_of)?, gaps))
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
    Ok(())
}

/// The products' totals, and each master against its bank as seen on a day.
pub fn print(report: &Report, today: NaiveDate) -> Result<()> {
    print_totals("product", &report.totals()?);
    print_masters(&report.masters, today);
    Ok(())
}

fn print_totals(heading: &str, totals: &[Total]) {
    let mut lines = table(&[heading, "currency", ">leaves", ">booked", ">held", ">available"]);
    for t in totals {
        let (booked, held, available) = (grouped(t.booked), grouped(t.held), grouped(t.available));
        lines.add_row([&t.product, &t.currency, &t.leaves.to_string(), &booked, &held, &available]);
    }
    say!("{lines}");
}

fn print_leaves(report: &Report) {
    let mut lines = table(&["leaf", "currency", ">booked", ">held", ">available"]);
    for p in &report.positions {
        lines.add_row([&p.sub_account, &p.currency, &grouped(p.booked), &grouped(p.held), &grouped(p.available)]);
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
