//! Money: whole minor units of one ISO 4217 currency, exact from text to text.
//!
//! In the journal an amount is [`Minor`], an `i64`; sums are `i128`. Text is parsed exactly: what the currency cannot hold
//! ("12.345" USD) is refused, never rounded. Overflow is an error, never a wrap or a panic. No float touches money.

#![deny(clippy::as_conversions, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use rust_decimal::Decimal;
use std::fmt;
use std::str::FromStr;

/// A currency of ISO 4217 that has minor units: `EUR` 2, `JPY` 0, `KWD` 3, `CLF` 4. Metals and test codes have none and are refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency {
    iso: iso_currency::Currency,
    exponent: u8,
}

impl Currency {
    /// The three letters.
    pub fn code(self) -> &'static str {
        self.iso.code()
    }

    /// Decimals of the currency: how many digits of a [`Minor`] stand behind the point.
    pub fn exponent(self) -> u8 {
        self.exponent
    }

    /// The English name in ISO 4217.
    pub fn name(&self) -> &str {
        self.iso.name()
    }
}

impl FromStr for Currency {
    type Err = Problem;

    fn from_str(code: &str) -> Result<Self, Problem> {
        let iso = iso_currency::Currency::from_code(code).ok_or_else(|| Problem::Currency(code.to_owned()))?;
        let exponent =
            iso.exponent().and_then(|e| u8::try_from(e).ok()).ok_or_else(|| Problem::Currency(code.to_owned()))?;
        Ok(Currency { iso, exponent })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why a text is not an amount, or a sum not a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Not a currency of ISO 4217 with minor units.
    Currency(String),
    /// Not digits, with at most one point, with at most one minus in front.
    NotANumber(String),
    /// More decimals than the currency has, and not all of them zero.
    TooPrecise {
        /// The text as given, shortened.
        text: String,
        /// The currency.
        currency: Currency,
    },
    /// Beyond what 64 bits of minor units hold.
    TooLarge,
    /// Shares that cannot be handed out: none, a negative one, or all zero.
    Shares,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Currency(code) => {
                write!(f, "\"{}\" is not a currency code of ISO 4217 such as EUR or JPY", shortened(code))
            }
            Problem::NotANumber(text) => {
                write!(
                    f,
                    "\"{}\" is not an amount: write digits with a decimal point, such as 1234.50",
                    shortened(text)
                )
            }
            Problem::TooPrecise { text, currency } => {
                write!(f, "\"{text}\" has more decimals than {currency} has ({})", currency.exponent())
            }
            Problem::TooLarge => {
                f.write_str("the amount is too large: 64 bits of minor units hold up to 9223372036854775807")
            }
            Problem::Shares => f.write_str("the shares of a split must be zero or more and not all zero"),
        }
    }
}

impl std::error::Error for Problem {}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(40).chain("...".chars()).collect() }
}

/// A signed amount in whole minor units of a currency that its holder knows: cents, yen, fils.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Minor(pub i64);

impl Minor {
    /// Nothing.
    pub const ZERO: Minor = Minor(0);

    /// The sum, or [`Problem::TooLarge`].
    pub fn plus(self, other: Minor) -> Result<Minor, Problem> {
        self.0.checked_add(other.0).map(Minor).ok_or(Problem::TooLarge)
    }

    /// The difference, or [`Problem::TooLarge`].
    pub fn minus(self, other: Minor) -> Result<Minor, Problem> {
        self.0.checked_sub(other.0).map(Minor).ok_or(Problem::TooLarge)
    }

    /// The same amount with the other sign; `i64::MIN` has no opposite.
    pub fn opposite(self) -> Result<Minor, Problem> {
        self.0.checked_neg().map(Minor).ok_or(Problem::TooLarge)
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The exact sum of any number of amounts.
    pub fn sum(amounts: impl IntoIterator<Item = Minor>) -> i128 {
        // 2^64 amounts of 2^63 each would be needed to overflow.
        amounts.into_iter().fold(0i128, |sum, a| sum.saturating_add(i128::from(a.0)))
    }

    /// Narrows an exact sum, or [`Problem::TooLarge`].
    pub fn from_sum(sum: i128) -> Result<Minor, Problem> {
        i64::try_from(sum).map(Minor).map_err(|_| Problem::TooLarge)
    }

    /// As a decimal text of `currency`, with all its decimals: `-0.05`, `1234.50`, `1000` (JPY).
    pub fn to_text(self, currency: Currency) -> String {
        self.to_text_with(currency.exponent())
    }

    /// As [`Minor::to_text`], for an exponent read from the database.
    pub fn to_text_with(self, exponent: u8) -> String {
        let places = usize::from(exponent);
        let digits = self.0.unsigned_abs().to_string();
        let sign = if self.0 < 0 { "-" } else { "" };
        if places == 0 {
            return format!("{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = places.saturating_add(1));
        let (whole, fraction) = padded.split_at(padded.len().saturating_sub(places));
        format!("{sign}{whole}.{fraction}")
    }

    /// Reads a decimal text exactly. Decimals beyond the currency's are accepted when they are zeros; a sign other than one
    /// leading minus, blanks, separators of thousands and exponents are not.
    pub fn parse(text: &str, currency: Currency) -> Result<Minor, Problem> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let point_without_decimals = unsigned.ends_with('.');
        if whole.is_empty() || !digits(whole) || !digits(fraction) || point_without_decimals {
            return Err(Problem::NotANumber(text.to_owned()));
        }
        let places = usize::from(currency.exponent());
        let (kept, surplus) = fraction.split_at(fraction.len().min(places));
        if surplus.bytes().any(|b| b != b'0') {
            return Err(Problem::TooPrecise { text: shortened(text), currency });
        }
        let negative = text.len() != unsigned.len();
        let padding = std::iter::repeat_n(b'0', places.saturating_sub(kept.len()));
        let mut value: i64 = 0;
        for digit in whole.bytes().chain(kept.bytes()).chain(padding) {
            let digit = i64::from(digit.saturating_sub(b'0'));
            // Built on the side of the sign, so that i64::MIN can be read as well as printed.
            let step = if negative { digit.checked_neg() } else { Some(digit) };
            value = value.checked_mul(10).zip(step).and_then(|(v, d)| v.checked_add(d)).ok_or(Problem::TooLarge)?;
        }
        Ok(Minor(value))
    }

    /// As a [`Decimal`], for rates, percentages and interest.
    pub fn to_decimal(self, currency: Currency) -> Decimal {
        Decimal::new(self.0, u32::from(currency.exponent()))
    }

    /// Splits by shares with the largest remainder: the parts sum to the whole exactly, and none is off by a whole unit.
    /// Equal remainders go to the earlier part. A negative amount splits as its opposite does.
    pub fn split(self, shares: &[Decimal]) -> Result<Vec<Minor>, Problem> {
        if shares.iter().any(|s| s.is_sign_negative() && !s.is_zero()) || shares.iter().all(|s| s.is_zero()) {
            return Err(Problem::Shares);
        }
        // Shares become whole numbers of one scale, so that every step is integer arithmetic.
        let scale = shares.iter().map(|s| s.normalize().scale()).max().unwrap_or(0);
        let mut weights: Vec<i128> = Vec::with_capacity(shares.len());
        for share in shares {
            let share = share.normalize();
            let raise = 10i128.checked_pow(scale.saturating_sub(share.scale())).ok_or(Problem::TooLarge)?;
            weights.push(share.mantissa().checked_mul(raise).ok_or(Problem::TooLarge)?);
        }
        let total = weights.iter().try_fold(0i128, |t, w| t.checked_add(*w)).ok_or(Problem::TooLarge)?;
        let whole = i128::from(self.0).abs();
        let mut parts: Vec<(i128, i128)> = Vec::with_capacity(weights.len());
        for weight in &weights {
            let product = whole.checked_mul(*weight).ok_or(Problem::TooLarge)?;
            let part = product.checked_div(total).zip(product.checked_rem(total)).ok_or(Problem::Shares)?;
            parts.push(part);
        }
        let handed = parts.iter().fold(0i128, |t, p| t.saturating_add(p.0));
        let left = usize::try_from(whole.saturating_sub(handed)).map_err(|_| Problem::TooLarge)?;
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|i| (std::cmp::Reverse(parts.get(*i).map_or(0, |p| p.1)), *i));
        for index in order.into_iter().take(left) {
            if let Some(part) = parts.get_mut(index) {
                part.0 = part.0.saturating_add(1);
            }
        }
        let sign = i128::from(self.0.signum()).max(-1);
        parts.into_iter().map(|p| Minor::from_sum(p.0.saturating_mul(sign))).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        reason = "the oracle of a property may be plain"
    )]

    use super::*;
    use iso_currency::IntoEnumIterator;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    fn all_currencies() -> Vec<Currency> {
        iso_currency::Currency::iter().filter_map(|c| c.code().parse().ok()).collect()
    }

    #[test]
    fn every_currency_of_iso_4217_has_its_decimals() {
        let all = all_currencies();
        assert!(all.len() >= 160, "only {} currencies", all.len());
        let expected = [
            ("JPY", 0),
            ("KRW", 0),
            ("EUR", 2),
            ("HUF", 2),
            ("KWD", 3),
            ("IQD", 3),
            ("TND", 3),
            ("CLF", 4),
            ("UYW", 4),
        ];
        for (code, exponent) in expected {
            assert_eq!(currency(code).exponent(), exponent, "{code}");
        }
        for code in ["XAU", "XXX", "XTS", "eur", "", "EURO", "€"] {
            assert!(matches!(code.parse::<Currency>(), Err(Problem::Currency(_))), "{code} accepted");
        }
    }

    #[test]
    fn every_currency_prints_and_reads_its_extremes() {
        for currency in all_currencies() {
            for value in [0, 1, -1, 9, 10, -10, 99, 100, 12_345, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1] {
                let text = Minor(value).to_text(currency);
                assert_eq!(Minor::parse(&text, currency), Ok(Minor(value)), "{currency} {text}");
            }
        }
    }

    #[test]
    fn what_the_currency_cannot_hold_is_refused_never_rounded() {
        let usd = currency("USD");
        assert!(matches!(Minor::parse("12.345", usd), Err(Problem::TooPrecise { .. })));
        assert!(matches!(Minor::parse("1.5", currency("JPY")), Err(Problem::TooPrecise { .. })));
        assert_eq!(Minor::parse("12.34000", usd), Ok(Minor(1234)));
        assert_eq!(Minor::parse("1.0", currency("JPY")), Ok(Minor(1)));
        assert_eq!(Minor::parse("-0", usd), Ok(Minor(0)));
        assert_eq!(Minor::parse("007", usd), Ok(Minor(700)));
        let refused = [
            "", "-", "+1", " 1", "1 ", "1,00", "1_000", ".5", "5.", "1.2.3", "--1", "1e3", "NaN", "Infinity", "١٢٣",
            "0x10", "1\0", "−1",
        ];
        for text in refused {
            assert!(matches!(Minor::parse(text, usd), Err(Problem::NotANumber(_))), "{text:?} accepted");
        }
        for text in
            ["92233720368547758.08", "-92233720368547758.09", "1000000000000000000000000000000", &"9".repeat(1_000_000)]
        {
            assert_eq!(Minor::parse(text, usd), Err(Problem::TooLarge), "{}", shortened(text));
        }
    }

    #[test]
    fn overflow_is_an_error() {
        assert_eq!(Minor(i64::MAX).plus(Minor(1)), Err(Problem::TooLarge));
        assert_eq!(Minor(i64::MIN).minus(Minor(1)), Err(Problem::TooLarge));
        assert_eq!(Minor(i64::MIN).opposite(), Err(Problem::TooLarge));
        assert_eq!(Minor::from_sum(Minor::sum([Minor(i64::MAX), Minor(1)])), Err(Problem::TooLarge));
        assert_eq!(Minor::from_sum(Minor::sum([Minor(i64::MAX), Minor(1), Minor(-1)])), Ok(Minor(i64::MAX)));
    }

    #[test]
    fn one_unit_over_n_parts_is_one_unit() {
        for n in 1..=1_000usize {
            let parts = Minor(1).split(&vec![Decimal::ONE; n]).unwrap();
            assert_eq!(Minor::sum(parts.iter().copied()), 1);
            assert_eq!(parts.first(), Some(&Minor(1)));
        }
    }

    #[test]
    fn shares_that_cannot_be_handed_out_are_refused() {
        for shares in [&[][..], &[Decimal::ZERO][..], &[Decimal::ONE, Decimal::NEGATIVE_ONE][..]] {
            assert_eq!(Minor(100).split(shares), Err(Problem::Shares));
        }
        let thirds = [Decimal::new(333, 1), Decimal::new(333, 1), Decimal::new(334, 1)];
        assert_eq!(Minor(100).split(&thirds), Ok(vec![Minor(33), Minor(33), Minor(34)]));
    }

    proptest! {
        #[test]
        fn printing_and_reading_is_identity(value in any::<i64>(), pick in any::<prop::sample::Index>()) {
            let all = all_currencies();
            let currency = all[pick.index(all.len())];
            let text = Minor(value).to_text(currency);
            prop_assert_eq!(Minor::parse(&text, currency), Ok(Minor(value)));
            // The other exact decimal of this crate agrees on what the text means.
            prop_assert_eq!(Decimal::from_str_exact(&text).unwrap(), Minor(value).to_decimal(currency));
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,40}|[-+0-9.,eE ]{0,30}") {
            let _ = Minor::parse(&text, currency("KWD"));
        }

        #[test]
        fn a_split_sums_to_the_whole_and_no_part_is_off_by_a_unit(
            value in any::<i64>(),
            shares in prop::collection::vec((0i64..1_000_000, 0u32..6), 1..40),
        ) {
            let shares: Vec<Decimal> = shares.into_iter().map(|(m, s)| Decimal::new(m, s)).collect();
            match Minor(value).split(&shares) {
                Err(problem) => {
                    prop_assert_eq!(problem, Problem::Shares);
                    prop_assert!(shares.iter().all(|s| s.is_zero()));
                }
                Ok(parts) => {
                    prop_assert_eq!(Minor::sum(parts.iter().copied()), i128::from(value));
                    let scaled: Vec<i128> = shares.iter().map(|s| { let mut s = *s; s.rescale(6); s.mantissa() }).collect();
                    let total: i128 = scaled.iter().sum();
                    for (part, share) in parts.iter().zip(&scaled) {
                        prop_assert!((i128::from(part.0) * total - i128::from(value) * share).abs() < total);
                        prop_assert!(*share != 0 || part.is_zero());
                    }
                }
            }
        }

        #[test]
        fn a_negative_amount_splits_as_its_opposite(value in 0..i64::MAX, shares in prop::collection::vec(1u32..1000, 1..9)) {
            let shares: Vec<Decimal> = shares.into_iter().map(Decimal::from).collect();
            let up = Minor(value).split(&shares).unwrap();
            let down = Minor(-value).split(&shares).unwrap();
            prop_assert!(up.iter().zip(&down).all(|(u, d)| u.0 == -d.0));
        }
    }

    #[test]
    fn the_exponent_alone_prints_the_same() {
        assert_eq!(Minor(-5).to_text_with(2), "-0.05");
        assert_eq!(Minor(5).to_text_with(0), "5");
        assert_eq!(Minor(12_345).to_text_with(currency("KWD").exponent()), "12.345");
    }
}
