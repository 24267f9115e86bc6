//! Shapes that several features give and take.

use super::problem::Refusal;
use crate::error::Result;
use crate::money::{Currency, Minor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount of money: exact decimal text with the currency it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Such as 12.34 or -0.05; never more decimals than the currency has.
    #[schemars(regex(pattern = r"^-?[0-9]+(\.[0-9]+)?$"))]
    pub amount: String,
    /// ISO 4217.
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: String,
}

impl Money {
    /// Of minor units.
    pub fn of(minor: i64, exponent: u8, currency: &str) -> Money {
        Money { amount: Minor(minor).to_text_with(exponent), currency: currency.to_owned() }
    }

    /// Read exactly: what has more decimals than its currency is refused, never rounded. `at` names the place in the body.
    pub fn read(&self, at: &str) -> Result<(Minor, Currency)> {
        let bad = |why: String| Refusal::BadBody { why: format!("{at}: {why}") };
        let currency: Currency = self.currency.parse().map_err(|e| bad(format!("{e}")))?;
        let minor = Minor::parse(&self.amount, currency).map_err(|e| bad(format!("{e}")))?;
        Ok((minor, currency))
    }
}

/// Some of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// To be given as `cursor` for what follows; null at the end. It carries the filters of the list.
    pub next_cursor: Option<String>,
}

/// No parameters, or no body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// How many items a page has: from 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u16")]
pub struct Limit(u16);

impl Limit {
    /// As a number of items; 100 where nothing is said.
    pub fn of(limit: Option<Limit>) -> usize {
        limit.map_or(100, |l| usize::from(l.0))
    }
}

impl TryFrom<u16> for Limit {
    type Error = &'static str;

    fn try_from(number: u16) -> Result<Limit, &'static str> {
        if (1..=1000).contains(&number) { Ok(Limit(number)) } else { Err("limit is from 1 to 1000") }
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 })
    }
}
