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

/// Which part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// How many a page has.
    pub limit: Option<Limit>,
    // Read by the plumbing; here it is a documented parameter.
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// No parameters, or no body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Why something is decided or done.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// In a few words; kept.
    #[schemars(length(min = 1))]
    pub reason: String,
}

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

/// The years that a request may speak of: a ledger's, and with four digits, so that text sorts as days do.
const YEARS: std::ops::RangeInclusive<i32> = 1900..=2199;

/// A day as a request gives it: 2026-03-02, from 1900 to 2199.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Day(pub chrono::NaiveDate);

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Day, String> {
        let day = (text.len() == 10).then(|| text.parse::<chrono::NaiveDate>().ok()).flatten();
        let day = day.filter(|d| YEARS.contains(&chrono::Datelike::year(d)));
        day.map(Day).ok_or_else(|| format!("{text:?} is no day such as 2026-03-02, from 1900 to 2199"))
    }
}

impl JsonSchema for Day {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date" })
    }
}

/// An instant as a request gives it: RFC 3339, from 1900 to 2199.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Moment(pub crate::time::Instant);

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Moment, String> {
        let at = text.parse::<crate::time::Instant>().ok().filter(|at| YEARS.contains(&chrono::Datelike::year(at)));
        at.map(Moment).ok_or_else(|| format!("{text:?} is no instant such as 2026-03-02T18:00:00Z, from 1900 to 2199"))
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_instants_are_of_years_with_four_digits() {
        let day = |text: &str| Day::try_from(text.to_owned()).is_ok();
        assert!(day("2026-03-02") && day("1900-01-01") && day("2199-12-31"));
        for no in ["2026-3-2", "0001-01-01", "9999-12-31", "+262142-12-31", "-262143-01-01", "2026-02-30", ""] {
            assert!(!day(no), "{no}");
        }
        let moment = |text: &str| Moment::try_from(text.to_owned()).is_ok();
        assert!(moment("2026-03-02T18:00:00Z") && moment("2026-03-02T18:00:00.123456+01:00"));
        assert!(!moment("2026-03-02") && !moment("9999-12-31T23:59:59Z") && !moment("+262142-12-31T23:59:59Z"));
    }

    #[test]
    fn money_is_read_exactly_or_not_at_all() {
        let money = |amount: &str, currency: &str| Money { amount: amount.to_owned(), currency: currency.to_owned() };
        assert_eq!(money("12.34", "USD").read("amount").map(|(m, _)| m.0), Ok(1_234));
        for (amount, currency) in [("12.345", "USD"), ("1", "usd"), ("1e3", "EUR"), ("1.5", "JPY"), ("", "EUR")] {
            let no = money(amount, currency).read("receipts[0].amount").unwrap_err();
            assert!(no.code() == "bad_body" && no.to_string().contains("receipts[0].amount"), "{no}");
        }
    }
}
