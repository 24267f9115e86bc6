//! Values as MT940 writes them: days without a century, amounts with a decimal comma or whatever a bank makes of it.

use crate::money::{Currency, Minor};
use chrono::NaiveDate;

/// `YYMMDD`. February 30 is seen: it becomes the month's last day, with a note.
pub(super) fn date(text: &str) -> Result<(NaiveDate, Option<String>), String> {
    let wrong = || format!("\"{text}\" is no date of the form YYMMDD");
    if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|d| d.parse::<u32>().ok()).unwrap_or(0);
    let year = i32::try_from(number(0..2)).unwrap_or(0);
    // Statements are kept for decades, and none is older than the message.
    let year = if year >= 80 { 1900 + year } else { 2000 + year };
    clamped(year, number(2..4), number(4..6)).ok_or_else(wrong)
}

pub(super) fn clamped(year: i32, month: u32, day: u32) -> Option<(NaiveDate, Option<String>)> {
    if let Some(date) = NaiveDate::from_ymd_opt(year, month, day) {
        return Some((date, None));
    }
    if !(29..=31).contains(&day) {
        return None;
    }
    let date = (28..day).rev().find_map(|day| NaiveDate::from_ymd_opt(year, month, day))?;
    Some((date, Some(format!("{year}-{month:02} has no day {day}; {date} is taken"))))
}

/// Reads an amount as banks write it: `500`, `500,`, `0,7`, `1.234,56`, `000000001147.95`; no sign.
pub(super) fn amount_of(text: &str, currency: Currency) -> Result<Minor, String> {
    let text = text.trim();
    let wrong = || format!("\"{}\" is no amount: digits and a decimal comma are meant", shortened(text));
    if !text.bytes().all(|b| b.is_ascii_digit() || b == b',' || b == b'.') || !text.bytes().any(|b| b.is_ascii_digit())
    {
        return Err(wrong());
    }
    let (comma, dot) = (text.rfind(','), text.rfind('.'));
    let decimal = match (comma, dot) {
        (Some(comma), Some(dot)) => Some(comma.max(dot)),
        (Some(comma), None) => Some(comma),
        // A lone dot marks thousands when exactly three digits follow it that the currency has no decimals for.
        (None, Some(dot)) if text.len() - dot - 1 == 3 && currency.exponent() != 3 => None,
        (None, dot) => dot,
    };
    let (whole, fraction) = match decimal {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, ""),
    };
    let digits: String = whole.chars().filter(char::is_ascii_digit).collect();
    let separators = whole.chars().filter(|c| !c.is_ascii_digit()).collect::<Vec<_>>();
    let grouped = whole.split([',', '.']).skip(1).all(|group| group.len() == 3);
    let mixed = separators.windows(2).any(|pair| matches!(pair, [a, b] if a != b));
    if !grouped || mixed {
        return Err(wrong());
    }
    let whole = if digits.is_empty() { "0" } else { &digits };
    let plain = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    Minor::parse(&plain, currency).map_err(|problem| problem.to_string())
}

/// For messages.
pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(40).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur() -> Currency {
        "EUR".parse().unwrap()
    }

    #[test]
    fn amounts_are_read_as_banks_write_them() {
        let cases = [
            ("500", 50_000),
            ("500,", 50_000),
            ("0,7", 70),
            (",7", 70),
            ("1.234,56", 123_456),
            ("1,234.56", 123_456),
            ("1.234.567", 123_456_700),
            ("1.234", 123_400),
            ("000000001147,95", 114_795),
            ("000000000300.00", 30_000),
            ("12,340", 1234),
        ];
        for (text, minor) in cases {
            assert_eq!(amount_of(text, eur()), Ok(Minor(minor)), "{text}");
        }
        for text in ["", ",", "-5", "11 27421,94", "1,2,3", "1.2.3", "12.34,56", "1e3", "12,345", "١"] {
            assert!(amount_of(text, eur()).is_err(), "{text}");
        }
        assert_eq!(amount_of("1.234", "KWD".parse().unwrap()), Ok(Minor(1234)));
        assert_eq!(amount_of("1234,", "JPY".parse().unwrap()), Ok(Minor(1234)));
    }
}
