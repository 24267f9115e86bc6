//! Positions in one currency: every figure with the rates that made it. Pure.
//!
//! Each figure is converted by itself and rounded once; a total converts the exact sums of its currencies and is rounded once, so
//! it may differ by a unit from the figures above it. Where a rate is missing the figure is missing too, and so is each total
//! that it belongs to, unless all of that currency in it is zero.

use super::{Amount, Report, too_large};
use crate::error::Result;
use crate::money::Currency;
use crate::rates::{Converter, Quote, rounded};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A position in the reporting currency; `None`: a rate is missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct InReporting {
    /// What is posted.
    pub booked: Option<Amount>,
    /// What is reserved.
    pub held: Option<Amount>,
    /// What may be spent.
    pub available: Option<Amount>,
    /// Ids of the rates: none where it is the reporting currency itself, two through the base.
    pub rates: Vec<String>,
}

/// What a report says of its conversion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reporting {
    /// The day whose rates were asked for.
    pub rates_on: NaiveDate,
    /// The rates that were used, by currency.
    pub rates: Vec<Quote>,
    /// Currencies that lack a rate.
    pub missing_rates: Vec<String>,
    /// Sums.
    pub totals: Totals,
}

/// Sums in the reporting currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// By code.
    pub by_product: Vec<TotalInReporting>,
    /// By ISO 3166.
    pub by_market: Vec<TotalInReporting>,
    /// By ISO 4217.
    pub by_currency: Vec<TotalInReporting>,
    /// By code.
    pub by_master: Vec<TotalInReporting>,
    /// Of all products.
    pub all: TotalInReporting,
}

/// A sum in the reporting currency; `None`: a rate is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TotalInReporting {
    /// What it is of.
    pub of: String,
    /// Leaves in all.
    pub leaves: usize,
    /// What is posted.
    pub booked: Option<Amount>,
    /// What is reserved.
    pub held: Option<Amount>,
    /// What may be spent.
    pub available: Option<Amount>,
    /// Currencies that lack a rate, and without which there is no sum.
    pub missing_rates: Vec<String>,
}

/// Converts every position of a report, in place, and adds the totals.
pub fn convert(report: &mut Report, converter: &Converter<'_>, on: NaiveDate) -> Result<()> {
    let into = converter.into_currency();
    let mut used: BTreeMap<&str, &Quote> = BTreeMap::new();
    for p in &mut report.positions {
        let from = currency(&p.currency)?;
        let rates = converter.rates(&p.currency).unwrap_or_default();
        let figure = |amount: Amount| -> Result<Option<Amount>> {
            let value = converter.convert(i128::from(amount.minor.0), from).map_err(too_large)?;
            value.map(|value| amount_of(value, into)).transpose()
        };
        let (booked, held, available) = (figure(p.booked)?, figure(p.held)?, figure(p.available)?);
        let ids = rates.iter().map(|q| q.id.clone()).collect();
        used.extend(rates.into_iter().map(|q| (q.currency.as_str(), q)));
        p.in_reporting = Some(InReporting { booked, held, available, rates: ids });
    }
    let totals = |name: fn(&super::Position) -> &str| -> Result<Vec<TotalInReporting>> {
        let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
        for p in &report.positions {
            groups.entry(name(p)).or_default().add(p);
        }
        groups.into_iter().map(|(of, group)| group.total(of, converter)).collect()
    };
    let mut all = Group::default();
    report.positions.iter().for_each(|p| all.add(p));
    let missing = converter.missing(report.positions.iter().map(|p| p.currency.as_str()));
    let totals = Totals {
        by_product: totals(|p| &p.product)?,
        by_market: totals(|p| &p.market)?,
        by_currency: totals(|p| &p.currency)?,
        by_master: totals(|p| &p.master)?,
        all: all.total("all", converter)?,
    };
    report.reporting_currency = Some(into.code().to_owned());
    report.reporting = Some(Reporting {
        rates_on: on,
        rates: used.into_values().cloned().collect(),
        missing_rates: missing.into_iter().collect(),
        totals,
    });
    Ok(())
}

/// Exact sums by currency: booked and held.
#[derive(Default)]
struct Group<'r> {
    leaves: usize,
    sums: BTreeMap<&'r str, (i128, i128)>,
}

impl<'r> Group<'r> {
    fn add(&mut self, p: &'r super::Position) {
        self.leaves += 1;
        let (booked, held) = self.sums.entry(&p.currency).or_default();
        *booked += i128::from(p.booked.minor.0);
        *held += i128::from(p.held.minor.0);
    }

    fn total(self, of: &str, converter: &Converter<'_>) -> Result<TotalInReporting> {
        let counting = || self.sums.iter().filter(|(_, (booked, held))| (*booked, *held) != (0, 0));
        let missing: BTreeSet<String> = converter.missing(counting().map(|(currency, _)| *currency));
        let sum = |pick: fn(&(i128, i128)) -> i128| -> Result<Option<Amount>> {
            let mut total = Decimal::ZERO;
            for (code, sums) in counting() {
                let value = converter.convert(pick(sums), currency(code)?).map_err(too_large)?;
                let Some(value) = value else { return Ok(None) };
                total = total.checked_add(value).ok_or_else(|| too_large(crate::money::Problem::TooLarge))?;
            }
            amount_of(total, converter.into_currency()).map(Some)
        };
        Ok(TotalInReporting {
            of: of.to_owned(),
            leaves: self.leaves,
            booked: sum(|(booked, _)| *booked)?,
            held: sum(|(_, held)| *held)?,
            available: sum(|(booked, held)| booked - held)?,
            missing_rates: missing.into_iter().collect(),
        })
    }
}

fn amount_of(value: Decimal, into: Currency) -> Result<Amount> {
    rounded(value, into).map(|minor| Amount { minor, exponent: into.exponent() }).map_err(too_large)
}

fn currency(code: &str) -> Result<Currency> {
    code.parse().map_err(too_large)
}
