//! Positions over HTTP.

use super::{Amount, MasterLine, Moment, Position, positions, positions_in};
use crate::access::Permission;
use crate::error::Result;
use crate::http::{self, Call, Day, Money, Operation, get};
use crate::money::Currency;
use crate::rates;
use crate::time::{day_of, rfc3339};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of positions.
pub fn operations() -> Vec<Operation> {
    vec![
        get("/v1/positions", "positions.show", "What each product has, and each master against its bank")
            .may(Permission::PositionsRead)
            .reads(show),
    ]
}

/// Which moment, and in which currency as well.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// As of the end of this booking day; now where nothing is said.
    as_of: Option<Day>,
    /// As it was known at this instant, before later corrections; RFC 3339.
    known_at: Option<http::Moment>,
    /// In this currency too, with the rates of that day; ISO 4217.
    #[serde(rename = "in")]
    into: Option<String>,
    /// Whose rates.
    rates: Option<String>,
}

/// All positions and masters at one moment.
#[derive(Serialize, JsonSchema)]
struct Positions {
    /// The day that was asked for; null: now.
    as_of: Option<NaiveDate>,
    /// The instant that was asked for; RFC 3339. Null: now.
    known_at: Option<String>,
    /// The currency that all is converted into as well.
    reporting_currency: Option<String>,
    /// Currencies that have no rate into that one.
    missing_rates: Vec<String>,
    /// By product, market, currency, master and sub-account.
    positions: Vec<PositionLine>,
    /// By code.
    masters: Vec<MasterStanding>,
}

/// What one leaf of a product has.
#[derive(Serialize, JsonSchema)]
struct PositionLine {
    /// Code of the product.
    product: String,
    /// ISO 3166.
    market: String,
    /// Code of the master.
    master: String,
    /// Path of the leaf.
    sub_account: String,
    /// What is posted.
    booked: Money,
    /// What is reserved.
    held: Money,
    /// What may be spent.
    available: Money,
    /// What expected receipts that are open will bring at least; null as of a day.
    expected: Option<Money>,
    /// `booked` in the reporting currency, where there is one and a rate into it.
    booked_in_reporting: Option<Money>,
}

/// A master against its bank.
#[derive(Serialize, JsonSchema)]
struct MasterStanding {
    /// Its code.
    master: String,
    /// Booked at the end of `bank_as_of`, or of the day asked for (or now) when the bank has told of no closing balance.
    book: Money,
    /// The newest closing balance that the bank has told of, up to the day asked for; null as known at an instant.
    bank_closing: Option<Money>,
    /// Its day.
    bank_as_of: Option<NaiveDate>,
    /// `bank_closing` less `book`, both of the same day.
    difference: Option<Money>,
    /// Lines whose owner is not known yet.
    suspense: Money,
    /// Sent, and not yet debited by the bank.
    in_transit: Money,
    /// All house leaves together.
    house: Money,
}

fn money(amount: Amount, currency: &str) -> Money {
    Money::of(amount.minor.0, amount.exponent, currency)
}

fn position(p: Position, into: Option<&str>) -> PositionLine {
    let booked_in_reporting = p.in_reporting.and_then(|r| r.booked).zip(into).map(|(b, into)| money(b, into));
    PositionLine {
        booked: money(p.booked, &p.currency),
        held: money(p.held, &p.currency),
        available: money(p.available, &p.currency),
        expected: p.expected.map(|e| money(e, &p.currency)),
        booked_in_reporting,
        product: p.product,
        market: p.market,
        master: p.master,
        sub_account: p.sub_account,
    }
}

fn master(m: MasterLine) -> MasterStanding {
    let of = |amount: Amount| money(amount, &m.currency);
    MasterStanding {
        book: of(m.book),
        bank_closing: m.bank_closing.map(of),
        bank_as_of: m.bank_as_of,
        difference: m.difference.map(of),
        suspense: of(m.suspense),
        in_transit: of(m.in_transit),
        house: of(m.house),
        master: m.master,
    }
}

fn show(call: &Call, asked: &Which) -> Result<Positions> {
    let into: Option<Currency> = asked
        .into
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|e| http::Refusal::BadQuery { why: format!("in: {e}") })?;
    let as_of = asked.as_of.map(|d| d.0);
    let on = as_of.unwrap_or_else(|| day_of(asked.known_at.map_or_else(|| call.now(), |at| at.0)));
    let moment = Moment { as_of, known_at: asked.known_at.map(|at| at.0) };
    let report = call.read(|conn| match into {
        None => positions(conn, call.scope(), moment),
        Some(into) => {
            let rates = rates::Asked { source: asked.rates.clone(), on, known_at: moment.known_at };
            positions_in(conn, call.scope(), moment, into, &rates)
        }
    })?;
    let into = report.reporting_currency.as_deref();
    Ok(Positions {
        as_of: report.as_of,
        known_at: report.known_at.map(rfc3339),
        missing_rates: report.reporting.as_ref().map(|r| r.missing_rates.clone()).unwrap_or_default(),
        positions: report.positions.into_iter().map(|p| position(p, into)).collect(),
        masters: report.masters.into_iter().map(master).collect(),
        reporting_currency: report.reporting_currency.clone(),
    })
}
