//! What the demo prints at its end: what each product has, each bank account against its bank, and what a person would do
//! next. Short enough for one screen and narrow enough for a hundred columns; the commands that it names show the rest.

use crate::allocation::{self, Waiting, settlement_file};
use crate::cli::table::{grouped, table};
use crate::db::{Conn, Db};
use crate::demo::{Demo, DemoFile};
use crate::error::{Error, Result};
use crate::expectations;
use crate::money::Currency;
use crate::positions::{MasterLine, Moment, Report, positions_in};
use crate::rates::{self, Asked, Converter, rounded};
use crate::statements;
use crate::time::day_of;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// In which all is added up: that of the demo's treasury file.
const IN: &str = "EUR";

/// Where everything stands.
pub struct Summary<'d> {
    pub report: Report,
    pub waiting: Vec<Waiting>,
    tasks: Vec<Task>,
    expected: BTreeMap<String, Money>,
    /// Settlement files that share out what waits.
    left: Vec<&'d DemoFile>,
}

/// Something for a person to look at.
struct Task {
    what: &'static str,
    count: usize,
    sum: Money,
    look: &'static str,
}

/// A sum in one currency, or that there is none: a rate is missing, or nothing to add up.
#[derive(Clone, Copy)]
struct Money(Option<Decimal>);

impl Money {
    fn add(&mut self, other: Option<Decimal>) {
        self.0 = self.0.zip(other).and_then(|(sum, more)| sum.checked_add(more));
    }

    fn text(self, currency: Currency) -> String {
        let minor = self.0.and_then(|sum| rounded(sum, currency).ok());
        minor.map(|minor| grouped(minor.to_text(currency))).unwrap_or_default()
    }
}

const NOTHING: Money = Money(Some(Decimal::ZERO));

fn currency(code: &str) -> Result<Currency> {
    code.parse().map_err(|e: crate::money::Problem| Error::Broken(e.to_string()))
}

/// Reads it, with the rates of the demo's last day.
pub fn read<'d>(db: &Db, demo: &'d Demo) -> Result<Summary<'d>> {
    let into = currency(IN)?;
    let asked = Asked { source: None, on: day_of(demo.ended_at()), known_at: None };
    let mut lumps = Vec::new();
    for file in demo.left() {
        let read = settlement_file::read(&file.name, &file.bytes)?;
        lumps.push((file, read.into_iter().map(|s| (s.master, s.total)).collect::<BTreeSet<_>>()));
    }
    db.read(|conn| {
        let report = positions_in(conn, &crate::actor::Scope::everything(), Moment::default(), into, &asked)?;
        let quotes = rates::quotes(conn, &asked)?;
        let converter = Converter::new(&quotes, into);
        let waiting = allocation::waiting(conn, None)?;
        let is_of = |w: &Waiting, lumps: &BTreeSet<(String, i64)>| lumps.contains(&(w.master.clone(), w.minor));
        let mut tasks = of_waiting(&waiting, &converter, |w| lumps.iter().any(|(_, lumps)| is_of(w, lumps)))?;
        tasks.extend(others(conn, &report, &converter)?);
        tasks.retain(|task| task.count > 0);
        let mut expected = BTreeMap::new();
        for p in &report.positions {
            let minor = p.expected.map_or(0, |amount| amount.minor.0);
            let value = convert(&converter, minor, &p.currency)?;
            expected.entry(p.product.clone()).or_insert(NOTHING).add(value);
        }
        let left = lumps.iter().filter(|(_, lumps)| waiting.iter().any(|w| is_of(w, lumps)));
        let left = left.map(|(file, _)| *file).collect();
        Ok(Summary { report, waiting, tasks, expected, left })
    })
}

fn convert(converter: &Converter<'_>, minor: i64, from: &str) -> Result<Option<Decimal>> {
    converter.convert(i128::from(minor), currency(from)?).map_err(|e| Error::Broken(e.to_string()))
}

/// What waits in suspense, by what a person would do about it.
fn of_waiting(waiting: &[Waiting], converter: &Converter<'_>, is_lump: impl Fn(&Waiting) -> bool) -> Result<Vec<Task>> {
    let mut tasks = [
        ("app stores' sums; their files are below", "settlement import"),
        ("another amount than the invoice", "expect list --state expired"),
        ("a virtual account that does not exist", "route"),
        ("payers who do not say what for", "route suggest"),
        ("openings that were nobody's", "route"),
    ]
    .map(|(what, look)| Task { what, count: 0, sum: NOTHING, look });
    for line in waiting {
        let place = match line.why.as_str() {
            _ if is_lump(line) => 0,
            why if why.contains(" expects ") => 1,
            why if why.starts_with("the bank booked it to ") => 2,
            why if why.starts_with("the part of the opening balance") => 4,
            _ => 3,
        };
        tasks[place].count += 1;
        tasks[place].sum.add(convert(converter, line.minor, &line.currency)?);
    }
    Ok(tasks.into())
}

/// What else is open.
fn others(conn: &mut Conn, report: &Report, converter: &Converter<'_>) -> Result<Vec<Task>> {
    let restated = statements::breaks(conn)?.iter().filter(|b| b.kind == "restated").count();
    let missing = usize::try_from(expectations::counts(conn)?.expired).unwrap_or(0);
    let masters: BTreeMap<String, String> =
        crate::chart::masters(conn)?.into_iter().map(|m| (m.id, m.currency)).collect();
    let under_way = allocation::transfers::under_way(conn)?;
    let mut in_transit = NOTHING;
    for side in &under_way {
        let from = masters.get(&side.master).map_or(IN, String::as_str);
        in_transit.add(convert(converter, side.amount.saturating_abs(), from)?);
    }
    let held = report.positions.iter().filter(|p| p.held.minor.0 != 0).count();
    let mut unconfirmed = NOTHING;
    for p in &report.positions {
        unconfirmed.add(convert(converter, p.held.minor.0, &p.currency)?);
    }
    Ok(vec![
        Task {
            what: "invoices that were not paid in time",
            count: missing,
            sum: Money(None),
            look: "expect list --state expired",
        },
        Task {
            what: "a statement that its bank sent again",
            count: restated,
            sum: Money(None),
            look: "statement breaks",
        },
        Task {
            what: "under way between own accounts",
            count: under_way.len(),
            sum: in_transit,
            look: "route transfers",
        },
        Task {
            what: "leaves with money in no statement yet",
            count: held,
            sum: unconfirmed,
            look: "positions --by leaf",
        },
    ])
}

impl Summary<'_> {
    /// The settlement files that would share out what waits, as they lie in the folder.
    pub fn left(&self) -> impl Iterator<Item = String> {
        self.left.iter().map(|file| format!("{}/{}", file.folder, file.name))
    }

    /// The tables.
    pub fn print(&self) -> Result<()> {
        let into = currency(IN)?;
        self.print_products(into);
        say!("");
        self.print_masters();
        say!("");
        let mut shown = table(&["for you to look at", ">count", &format!(">{IN}"), "tributary ..."]);
        for t in &self.tasks {
            shown.add_row([t.what.to_owned(), t.count.to_string(), t.sum.text(into), t.look.to_owned()]);
        }
        say!("{shown}");
        Ok(())
    }

    fn print_products(&self, into: Currency) {
        let Some(reporting) = &self.report.reporting else { return };
        let (totals, rates) = (&reporting.totals, &reporting.rates);
        let of = rates.iter().map(|rate| rate.date).max().map(|day| format!(", at the rates of {day}"));
        say!("What each product has in all its currencies, in {IN}{}", of.unwrap_or_default());
        let mut shown = table(&["product", ">leaves", ">booked", ">held", ">available", ">expected"]);
        let mut all = NOTHING;
        self.expected.values().for_each(|sum| all.add(sum.0));
        for t in totals.by_product.iter().chain([&totals.all]) {
            let name = if t.of == "all" { "total" } else { &t.of };
            let figures = [t.booked, t.held, t.available].map(|f| f.map(grouped).unwrap_or_default());
            let expected = self.expected.get(&t.of).unwrap_or(&all).text(into);
            shown.add_row([vec![name.to_owned(), t.leaves.to_string()], figures.into(), vec![expected]].concat());
        }
        say!("{shown}");
    }

    fn print_masters(&self) {
        let days: BTreeSet<_> = self.report.masters.iter().filter_map(|m| m.bank_as_of).collect();
        let days = days.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        say!("Each bank account against the bank's own statement of {days}");
        let headings = ["master", "", ">book", ">bank closing", ">difference", ">in transit", ">suspense", ">of book"];
        let mut shown = table(&headings);
        for m in &self.report.masters {
            let figure = |amount: Option<_>| amount.map_or_else(|| "-".to_owned(), grouped);
            shown.add_row([
                m.master.clone(),
                m.currency.clone(),
                grouped(m.book),
                figure(m.bank_closing),
                figure(m.difference),
                grouped(m.in_transit),
                grouped(m.suspense),
                share(m),
            ]);
        }
        say!("{shown}");
    }
}

/// Suspense in tenths of a percent of the book: how much of the money nobody has placed yet.
fn share(m: &MasterLine) -> String {
    let (part, book) = (i128::from(m.suspense.minor.0) * 1_000, i128::from(m.book.minor.0));
    if book <= 0 {
        return String::new();
    }
    let tenths = (part + book / 2) / book;
    format!("{}.{} %", tenths / 10, (tenths % 10).abs())
}
