//! The TOML that describes a treasury, as it is written ([`ChartFile`]) and as it is meant ([`Chart`]).
//!
//! Two sets of structs on purpose: the file has text in every field, the chart has amounts, dates and schemes. The way from
//! one to the other is `reading.rs`.

use super::lifecycle::LimitChange;
use super::numbers::Scheme;
use crate::money::{Currency, Minor};
use chrono::{NaiveDate, NaiveTime};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Free text for other systems, on anything.
pub type Metadata = BTreeMap<String, String>;

/// The tables of a chart, as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChartFile {
    /// `[[entity]]`
    pub entity: Vec<EntityTable>,
    /// `[[bank]]`
    pub bank: Vec<BankTable>,
    /// `[[product]]`
    pub product: Vec<ProductTable>,
    /// `[[market]]`
    pub market: Vec<MarketTable>,
    /// `[[master]]`
    pub master: Vec<MasterTable>,
    /// `[[sub_account]]`
    pub sub_account: Vec<SubAccountTable>,
}

/// A legal entity.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the file's, shown in docs and demo")]
pub struct EntityTable {
    pub code: String,
    pub name: String,
    pub country: String,
    pub metadata: Option<Metadata>,
}

/// A bank.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the file's, shown in docs and demo")]
pub struct BankTable {
    pub code: String,
    pub name: String,
    pub bic: Option<String>,
    pub country: String,
    pub metadata: Option<Metadata>,
}

/// A line of business.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the file's, shown in docs and demo")]
pub struct ProductTable {
    pub code: String,
    pub name: String,
    pub metadata: Option<Metadata>,
}

/// A country of a product's business.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the file's, shown in docs and demo")]
pub struct MarketTable {
    pub code: String,
    pub name: String,
}

/// A real bank account.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the file's, shown in docs and demo")]
pub struct MasterTable {
    pub code: String,
    pub name: String,
    pub bank: String,
    pub entity: String,
    pub currency: String,
    pub account: String,
    pub time_zone: String,
    pub cut_over_on: String,
    pub opening: String,
    pub numbers: NumbersTable,
    /// Absent: all of it waits in suspense, or the master is there already.
    pub opening_shares: Option<Vec<ShareTable>>,
    /// Business days; absent: as it is, at first Monday to Friday.
    pub calendar: Option<String>,
    /// Until when the statement of the business day before is here, such as `09:00`; `none` takes it away.
    pub statement_by: Option<String>,
    /// Until when a report of the day itself is here.
    pub report_by: Option<String>,
    pub metadata: Option<Metadata>,
}

/// How a master's virtual account numbers are built.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the file's, shown in docs and demo")]
pub struct NumbersTable {
    pub scheme: String,
    pub prefix: String,
}

/// Whose part of the opening balance.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the file's, shown in docs and demo")]
pub struct ShareTable {
    pub leaf: String,
    pub amount: String,
}

/// A leaf of a product in a market.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the file's, shown in docs and demo")]
pub struct SubAccountTable {
    pub master: String,
    pub product: String,
    pub market: String,
    pub purpose: Option<String>,
    pub owner: Option<String>,
    pub name: Option<String>,
    /// Limits of decisions, as `tributary chart limit` sets them; absent: as they are, `none`: no limit.
    pub floor: Option<String>,
    pub ceiling: Option<String>,
    pub movement_limit: Option<String>,
    /// Its last day.
    pub expires_on: Option<String>,
    pub metadata: Option<Metadata>,
}

/// A chart without problems: every field has its type, every reference its target.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// In the order of the file, as all below.
    pub entities: Vec<Entity>,
    /// Banks.
    pub banks: Vec<Bank>,
    /// Products.
    pub products: Vec<Product>,
    /// Markets.
    pub markets: Vec<Market>,
    /// Masters.
    pub masters: Vec<Master>,
    /// Leaves of products.
    pub leaves: Vec<Leaf>,
}

/// What may change later: the name, and metadata as JSON. What a file does not say stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// For people.
    pub name: Option<String>,
    /// JSON with sorted keys.
    pub metadata: Option<String>,
}

/// A legal entity.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the file")]
pub struct Entity {
    pub code: String,
    pub label: Label,
    pub country: String,
}

/// A bank.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the file")]
pub struct Bank {
    pub code: String,
    pub label: Label,
    pub bic: Option<String>,
    pub country: String,
}

/// A line of business.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the file")]
pub struct Product {
    pub code: String,
    pub label: Label,
}

/// A country of a product's business.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the file")]
pub struct Market {
    pub code: String,
    pub label: Label,
}

/// A real bank account.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the file")]
pub struct Master {
    pub code: String,
    pub label: Label,
    pub bank: String,
    pub entity: String,
    pub currency: Currency,
    /// Normalised.
    pub account: String,
    pub time_zone: String,
    pub cut_over_on: NaiveDate,
    pub opening: Minor,
    pub scheme: Scheme,
    pub prefix: String,
    /// Leaf and amount; what is left waits in suspense.
    pub shares: Option<Vec<(String, Minor)>>,
    /// What is left.
    pub unplaced: Minor,
    pub schedule: ScheduleChange,
}

/// A master's business days, and until when its messages are to be here. What a file does not say stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleChange {
    /// Code of a calendar.
    pub calendar: Option<String>,
    /// Local time; `Some(None)`: not expected any more.
    pub statement_by: Option<Option<NaiveTime>>,
    /// Likewise, of reports.
    pub report_by: Option<Option<NaiveTime>>,
}

/// A leaf of a product in a market.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the file")]
pub struct Leaf {
    /// The path: `de-eur/tiktok/de/operating`.
    pub code: String,
    pub master: String,
    pub product: String,
    pub market: String,
    pub purpose: String,
    pub owner: Option<String>,
    pub label: Label,
    pub limits: LimitChange,
}
