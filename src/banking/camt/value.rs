//! Values as camt writes them: amounts with a currency, dates with or without a time, numbers, yes and no.

use crate::banking::Direction;
use crate::money::{Currency, Minor};
use chrono::NaiveDate;

/// An amount that stands in the file, or why it cannot be used.
pub(super) type Amount = Result<(Minor, Currency), String>;

/// The `Ccy` attribute of the element that is being read.
#[derive(Debug, Clone)]
pub(super) enum CurrencyMark {
    Absent,
    Known(Currency),
    Unknown(String),
}

/// Reads `Amt`: never negative, may be zero. `12.5`, `.5` and `+5` are decimals of XML Schema.
pub(super) fn amount(text: &str, mark: &CurrencyMark) -> Amount {
    let currency = match mark {
        CurrencyMark::Known(currency) => *currency,
        CurrencyMark::Absent => return Err("the amount has no currency: the attribute Ccy is missing".to_owned()),
        CurrencyMark::Unknown(code) => {
            return Err(format!("the amount's currency \"{}\" is not in ISO 4217", shortened(code)));
        }
    };
    let minor = decimal(text, currency)?;
    if minor.0 < 0 {
        return Err(format!("the amount {} is negative: the direction belongs in CdtDbtInd", shortened(text)));
    }
    Ok((minor, currency))
}

/// Reads a decimal of XML Schema exactly.
pub(super) fn decimal(text: &str, currency: Currency) -> Result<Minor, String> {
    if let Ok(minor) = Minor::parse(text, currency) {
        return Ok(minor);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.strip_suffix('.').unwrap_or(digits);
    let zero = if digits.starts_with('.') { "0" } else { "" };
    Minor::parse(&format!("{sign}{zero}{digits}"), currency).map_err(|problem| problem.to_string())
}

/// The date part of `Dt` or `DtTm`, as written: no zone shifts it.
pub(super) fn date(text: &str) -> Option<NaiveDate> {
    let day = text.get(..10)?;
    let bytes = day.as_bytes();
    let number = |range: std::ops::Range<usize>| day.get(range).and_then(|d| d.parse::<u32>().ok());
    let shaped = bytes.iter().enumerate().all(|(i, b)| if i == 4 || i == 7 { *b == b'-' } else { b.is_ascii_digit() });
    if !shaped {
        return None;
    }
    let year = i32::try_from(number(0..4)?).ok()?;
    NaiveDate::from_ymd_opt(year, number(5..7)?, number(8..10)?)
}

/// `true`, `1`.
pub(super) fn yes(text: &str) -> bool {
    matches!(text, "true" | "1" | "TRUE" | "True")
}

/// `CRDT`, `DBIT`.
pub(super) fn direction(text: &str) -> Option<Direction> {
    match text {
        "CRDT" => Some(Direction::Credit),
        "DBIT" => Some(Direction::Debit),
        _ => None,
    }
}

/// A sequence number; leading zeros are seen.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// An identification with its blanks removed; `None` when nothing is left.
pub(super) fn compact(text: &str) -> Option<String> {
    let kept: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    (!kept.is_empty()).then_some(kept)
}

/// A reference, unless it says that there is none.
pub(super) fn reference(text: &str) -> Option<String> {
    let none = text.is_empty() || text.eq_ignore_ascii_case("NOTPROVIDED") || text.eq_ignore_ascii_case("NOT PROVIDED");
    (!none).then(|| text.to_owned())
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
    fn decimals_are_those_of_xml_schema() {
        let known = CurrencyMark::Known(eur());
        for (text, minor) in
            [("12.5", 1250), (".5", 50), ("5.", 500), ("+5", 500), ("0", 0), ("18.150", 1815), ("007", 700)]
        {
            assert_eq!(amount(text, &known), Ok((Minor(minor), eur())), "{text}");
        }
        for text in ["", ".", "-5", "1,00", "1e3", "12.345", "+-5", "++5"] {
            assert!(amount(text, &known).is_err(), "{text}");
        }
        assert!(amount("5", &CurrencyMark::Absent).is_err());
        assert!(amount("5", &CurrencyMark::Unknown("EURO".to_owned())).is_err());
    }

    #[test]
    fn a_date_is_the_day_as_written() {
        let day = NaiveDate::from_ymd_opt(2014, 12, 31);
        for text in ["2014-12-31", "2014-12-31Z", "2014-12-31T23:59:59-10:00", "2014-12-31+01:00"] {
            assert_eq!(date(text), day, "{text}");
        }
        for text in ["", "2014-13-31", "2014-02-30", "31.12.2014", "2014/12/31", "+014-12-31", "2014-1é-31"] {
            assert_eq!(date(text), None, "{text}");
        }
    }
}
