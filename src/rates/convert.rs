//! Amounts into another currency. Pure.
//!
//! An amount times a rate, through the source's base where both are others, is kept with 28 digits; it is rounded once, half to
//! even, when it becomes money of the other currency. A total is the sum of what was not rounded, so it may differ by a unit
//! from the sum of the figures above it, and is the nearer one.

use super::{Quote, Quotes};
use crate::money::{Currency, Minor, Problem};
use rust_decimal::{Decimal, RoundingStrategy};
use std::collections::BTreeSet;

/// Converts into one currency with one source's rates of one day.
#[derive(Debug, Clone)]
pub struct Converter<'q> {
    quotes: &'q Quotes,
    into: Currency,
}

impl<'q> Converter<'q> {
    /// Into `into`.
    pub fn new(quotes: &'q Quotes, into: Currency) -> Converter<'q> {
        Converter { quotes, into }
    }

    /// What it converts into.
    pub fn into_currency(&self) -> Currency {
        self.into
    }

    /// Whose rates it uses.
    pub fn quotes(&self) -> &'q Quotes {
        self.quotes
    }

    /// The rates that converting from a currency uses: none, one, or two through the base. `None`: one is missing.
    pub fn rates(&self, from: &str) -> Option<Vec<&'q Quote>> {
        if from == self.into.code() {
            return Some(Vec::new());
        }
        let base = self.quotes.base.as_deref()?;
        let legs = [from, self.into.code()].into_iter().filter(|code| *code != base);
        legs.map(|code| self.quotes.quotes.get(code)).collect()
    }

    /// Whether a currency is neither the base nor has a rate. Where there are no rates at all, the other ones lack them.
    pub fn lacks(&self, currency: &str) -> bool {
        match self.quotes.base.as_deref() {
            None => currency != self.into.code(),
            Some(base) => base != currency && !self.quotes.quotes.contains_key(currency),
        }
    }

    /// An amount in whole minor units, not rounded yet. `Ok(None)`: a rate is missing.
    pub fn convert(&self, minor: i128, from: Currency) -> Result<Option<Decimal>, Problem> {
        let Some(rates) = self.rates(from.code()) else { return Ok(None) };
        let mut value =
            Decimal::try_from_i128_with_scale(minor, u32::from(from.exponent())).map_err(|_| Problem::TooLarge)?;
        // Into the base by dividing, out of it by multiplying; that first, so that only one step can round at all.
        for quote in rates.iter().filter(|q| q.currency == self.into.code()) {
            value = value.checked_mul(quote.rate).ok_or(Problem::TooLarge)?;
        }
        for quote in rates.iter().filter(|q| q.currency != self.into.code()) {
            value = value.checked_div(quote.rate).ok_or(Problem::TooLarge)?;
        }
        Ok(Some(value))
    }

    /// The currencies that lack a rate so that one of these cannot be converted.
    pub fn missing<'c>(&self, from: impl IntoIterator<Item = &'c str>) -> BTreeSet<String> {
        let cannot = from.into_iter().filter(|c| self.rates(c).is_none());
        let both = cannot.flat_map(|c| [c, self.into.code()]).filter(|c| self.lacks(c));
        both.map(str::to_owned).collect()
    }
}

/// As money of a currency: the nearest whole minor unit, and of two equally near ones the even.
pub fn rounded(value: Decimal, currency: Currency) -> Result<Minor, Problem> {
    let places = u32::from(currency.exponent());
    let mut rounded = value.round_dp_with_strategy(places, RoundingStrategy::MidpointNearestEven);
    rounded.rescale(places);
    // What has no room for its decimals keeps fewer.
    if rounded.scale() != places {
        return Err(Problem::TooLarge);
    }
    Minor::from_sum(rounded.mantissa())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
    use std::collections::BTreeMap;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    /// Rates of the base EUR.
    fn quotes(rates: &[(&str, &str)]) -> Quotes {
        let quote = |(currency, rate): &(&str, &str)| Quote {
            id: format!("test/{currency}"),
            source: "test".to_owned(),
            base: "EUR".to_owned(),
            currency: (*currency).to_owned(),
            date: "2026-03-02".parse().unwrap(),
            version: 1,
            rate: rate.parse().unwrap(),
            recorded_at: "2026-03-02T16:00:00Z".parse().unwrap(),
            age: 0,
            stale: false,
        };
        let quotes: BTreeMap<String, Quote> = rates.iter().map(|r| (r.0.to_owned(), quote(r))).collect();
        Quotes { source: Some("test".to_owned()), base: Some("EUR".to_owned()), quotes }
    }

    fn converted(quotes: &Quotes, minor: i64, from: &str, into: &str) -> Option<String> {
        let (from, into) = (currency(from), currency(into));
        let value = Converter::new(quotes, into).convert(i128::from(minor), from).unwrap()?;
        Some(rounded(value, into).unwrap().to_text(into))
    }

    #[test]
    fn money_goes_through_the_base_and_a_missing_rate_is_missing() {
        let q = quotes(&[("USD", "1.08"), ("JPY", "160.25"), ("KWD", "0.3335")]);
        for (minor, from, into, expected) in [
            (10_800, "USD", "EUR", Some("100.00")),
            (10_000, "EUR", "USD", Some("108.00")),
            (10_800, "USD", "JPY", Some("16025")),
            (16_025, "JPY", "KWD", Some("33.350")),
            (-1, "USD", "EUR", Some("-0.01")),
            (123, "USD", "USD", Some("1.23")),
            (123, "VND", "VND", Some("123")),
            (100, "VND", "EUR", None),
            (100, "EUR", "VND", None),
            (0, "VND", "EUR", None),
        ] {
            assert_eq!(converted(&q, minor, from, into).as_deref(), expected, "{minor} {from} in {into}");
        }
        let none = Quotes { source: None, base: None, quotes: BTreeMap::new() };
        assert_eq!(converted(&none, 5, "USD", "EUR"), None);
        assert_eq!(converted(&none, 5, "USD", "USD").as_deref(), Some("0.05"));
    }

    #[test]
    fn halves_go_to_the_even_neighbour() {
        let eur = currency("EUR");
        for (text, expected) in [
            ("0.005", 0),
            ("0.015", 2),
            ("0.025", 2),
            ("-0.005", 0),
            ("-0.015", -2),
            ("0.0150000001", 2),
            ("0.0149", 1),
        ] {
            assert_eq!(rounded(text.parse().unwrap(), eur), Ok(Minor(expected)), "{text}");
        }
        assert_eq!(rounded(Decimal::MAX, eur), Err(Problem::TooLarge));
    }

    proptest! {
        #[test]
        fn a_conversion_is_the_exact_quotient_rounded_once(
            minor in -1_000_000_000_000_000i64..1_000_000_000_000_000, from in 1i64..10_000_000, into in 1i64..10_000_000,
        ) {
            let q = quotes(&[("USD", &Decimal::new(from, 4).to_string()), ("GBP", &Decimal::new(into, 4).to_string())]);
            let got = Converter::new(&q, currency("GBP")).convert(i128::from(minor), currency("USD")).unwrap().unwrap();
            let got = i128::from(rounded(got, currency("GBP")).unwrap().0);
            // In whole numbers: minor * into / from, half to even.
            let (exact, by) = (i128::from(minor) * i128::from(into), i128::from(from));
            let (low, rest) = (exact.div_euclid(by), exact.rem_euclid(by));
            let up = 2 * rest > by || (2 * rest == by && low.rem_euclid(2) == 1);
            prop_assert_eq!(got, low + i128::from(up));
        }

        #[test]
        fn a_total_is_nearer_than_the_sum_of_rounded_figures(amounts in prop::collection::vec(any::<i32>(), 1..50), rate in 1i64..10_000_000) {
            let q = quotes(&[("USD", &Decimal::new(rate, 5).to_string())]);
            let (usd, eur) = (currency("USD"), currency("EUR"));
            let converter = Converter::new(&q, eur);
            let each: Vec<Decimal> = amounts.iter().map(|a| converter.convert(i128::from(*a), usd).unwrap().unwrap()).collect();
            let total = converter.convert(amounts.iter().map(|a| i128::from(*a)).sum(), usd).unwrap().unwrap();
            let summed: Decimal = each.iter().sum();
            prop_assert!((summed - total).abs() < Decimal::new(1, 8));
            let of_rounded: i64 = each.iter().map(|v| rounded(*v, eur).unwrap().0).sum();
            let off = Decimal::new(of_rounded, 2) - total;
            prop_assert!(off.abs() <= Decimal::new(5, 3) * Decimal::from(amounts.len()));
            prop_assert!((Decimal::new(rounded(total, eur).unwrap().0, 2) - total).abs() <= Decimal::new(5, 3));
        }
    }
}
