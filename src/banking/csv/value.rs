//! Values of CSV cells as a profile says that they are written: amounts and days.

use crate::money::{Currency, Minor};
use chrono::{Datelike, NaiveDate};

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    decimal: char,
    thousands: Option<char>,
}

impl Numbers {
    pub(super) fn new(decimal: &str, thousands: Option<&str>) -> Result<Numbers, String> {
        let single = |text: &str| Some(text).filter(|t| t.chars().count() == 1).and_then(|t| t.chars().next());
        let decimal = single(decimal).filter(|c| matches!(c, '.' | ','));
        let decimal = decimal.ok_or("decimal: \".\" or \",\" is meant")?;
        let thousands = match thousands {
            None | Some("") => None,
            Some(text) => {
                let sign = single(text).filter(|c| matches!(c, '.' | ',' | ' ' | '\'' | '’') && *c != decimal);
                Some(sign.ok_or("thousands: \".\", \",\", \" \" or \"'\" is meant, and not the decimal sign")?)
            }
        };
        Ok(Numbers { decimal, thousands })
    }

    /// A signed amount. The minus may stand in front, behind, or be a pair of parentheses.
    pub(super) fn amount(self, text: &str, currency: Currency) -> Result<Minor, String> {
        let wrong = || {
            let example = if self.decimal == ',' { "1234,50" } else { "1234.50" };
            format!("\"{}\" is no amount as the profile has them, such as {example}", shortened(text))
        };
        let trimmed = text.trim();
        let (negative, unsigned) = if let Some(inside) = trimmed.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
            (true, inside)
        } else if let Some(rest) = trimmed.strip_prefix(['-', '−']).or_else(|| trimmed.strip_suffix(['-', '−'])) {
            (true, rest)
        } else {
            (false, trimmed.strip_prefix('+').or_else(|| trimmed.strip_suffix('+')).unwrap_or(trimmed))
        };
        let unsigned = unsigned.trim();
        let (whole, fraction) = unsigned.split_once(self.decimal).unwrap_or((unsigned, ""));
        let is_thousands = |c: char| match self.thousands {
            // Banks use all three blanks.
            Some(' ') => matches!(c, ' ' | '\u{a0}' | '\u{202f}'),
            Some(sign) => c == sign,
            None => false,
        };
        let groups: Vec<&str> = whole.split(is_thousands).collect();
        let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        let grouped = groups.len() == 1
            || groups.first().is_some_and(|g| (1..=3).contains(&g.len()))
                && groups.iter().skip(1).all(|g| g.len() == 3);
        if !grouped || !groups.iter().all(|g| all_digits(g)) || !all_digits(fraction) {
            return Err(wrong());
        }
        let digits = groups.concat();
        if digits.is_empty() && fraction.is_empty() {
            return Err(wrong());
        }
        let whole = if digits.is_empty() { "0" } else { &digits };
        let sign = if negative { "-" } else { "" };
        let plain = if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
        Minor::parse(&plain, currency).map_err(|problem| problem.to_string())
    }
}

/// How days are written: `DD.MM.YYYY`, `M/D/YY`, `YYYY-MM-DD hh:mm:ss`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DateFormat(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Day,
    Month,
    MonthName,
    Year,
    ShortYear,
    /// Hours, minutes and seconds are passed over.
    Clock,
    Sign(char),
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

impl DateFormat {
    pub(super) fn new(text: &str) -> Result<DateFormat, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let same: usize = rest.chars().take_while(|c| *c == first).count();
            let part = match (first, same) {
                ('D', 1 | 2) => Part::Day,
                ('M', 1 | 2) => Part::Month,
                ('M', 3) => Part::MonthName,
                ('Y', 4) => Part::Year,
                ('Y', 2) => Part::ShortYear,
                ('h' | 'm' | 's', 1 | 2) => Part::Clock,
                (c, _) if c.is_alphanumeric() && c != 'T' && c != 'Z' => {
                    return Err(format!("\"{text}\": days are written with DD, MM or MMM, YYYY or YY, and hh mm ss"));
                }
                _ => Part::Sign(first),
            };
            let taken = if matches!(part, Part::Sign(_)) { 1 } else { same };
            rest = rest.get(first.len_utf8() * taken..).unwrap_or_default();
            parts.push(part);
        }
        let count = |wanted: &[Part]| parts.iter().filter(|p| wanted.contains(p)).count();
        let whole = count(&[Part::Day]) == 1
            && count(&[Part::Month, Part::MonthName]) == 1
            && count(&[Part::Year, Part::ShortYear]) == 1;
        if whole { Ok(DateFormat(parts)) } else { Err(format!("\"{text}\": a day has one DD, one MM and one YYYY")) }
    }

    /// The day that a text means, when it is written so.
    pub(super) fn read(&self, text: &str) -> Option<NaiveDate> {
        let mut rest = text.trim();
        let (mut year, mut month, mut day) = (0, 0, 0);
        for (at, part) in self.0.iter().enumerate() {
            let last = !matches!(self.0.get(at + 1), Some(p) if !matches!(p, Part::Sign(_)));
            match part {
                Part::Sign(sign) => rest = rest.strip_prefix(*sign)?,
                Part::MonthName => {
                    let name = rest.get(..3)?.to_ascii_lowercase();
                    month = u32::try_from(MONTHS.iter().position(|m| *m == name)?).ok()? + 1;
                    rest = rest.get(3..)?;
                }
                Part::Year => year = i32::try_from(number(&mut rest, 4, true)?).ok()?,
                // Files are kept for decades, and none is older than this century.
                Part::ShortYear => year = 2000 + i32::try_from(number(&mut rest, 2, true)?).ok()?,
                Part::Month => month = number(&mut rest, 2, !last)?,
                Part::Day => day = number(&mut rest, 2, !last)?,
                Part::Clock => {
                    number(&mut rest, 2, !last)?;
                }
            }
        }
        let day = NaiveDate::from_ymd_opt(year, month, day)?;
        (rest.is_empty() && (1900..2200).contains(&day.year())).then_some(day)
    }
}

/// Takes a number of up to `digits` digits off the text; where another number follows at once, of exactly so many.
fn number(rest: &mut &str, digits: usize, exactly: bool) -> Option<u32> {
    let found = rest.bytes().take(digits).take_while(u8::is_ascii_digit).count();
    if found == 0 || (exactly && found < digits) {
        return None;
    }
    let (taken, left) = rest.split_at_checked(found)?;
    *rest = left;
    taken.parse().ok()
}

/// The day that a text means by the formats of a profile; two that read it differently mean nothing.
pub(super) fn day(text: &str, formats: &[DateFormat]) -> Result<NaiveDate, String> {
    let mut days = formats.iter().filter_map(|format| format.read(text));
    let first = days.next().ok_or_else(|| format!("\"{}\" is no day as the profile has them", shortened(text)))?;
    match days.find(|other| *other != first) {
        Some(other) => {
            Err(format!("\"{}\" is {first} by one date format of the profile and {other} by another", shortened(text)))
        }
        None => Ok(first),
    }
}

pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(40).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_the_profile_says_and_not_otherwise() {
        let eur = "EUR".parse().unwrap();
        let english = Numbers::new(".", Some(",")).unwrap();
        let german = Numbers::new(",", Some(".")).unwrap();
        let french = Numbers::new(",", Some(" ")).unwrap();
        let plain = Numbers::new(".", None).unwrap();
        let cases = [
            (english, "1,533.50", 153_350),
            (english, "-33.50", -3350),
            (english, "(33.50)", -3350),
            (english, "33.50-", -3350),
            (english, " +7 ", 700),
            (english, "12.3400", 1234),
            (german, "1.234.567,8", 123_456_780),
            (german, "−5", -500),
            (french, "1 234\u{a0}567,00", 123_456_700),
            (french, "1\u{202f}234", 123_400),
            (plain, ".5", 50),
        ];
        for (numbers, text, minor) in cases {
            assert_eq!(numbers.amount(text, eur), Ok(Minor(minor)), "{text}");
        }
        let refused = [
            (english, "1.533,50"),
            (english, "1,53.50"),
            (english, "12.345"),
            (english, "12,34"),
            (english, ",123"),
            (english, "1,,234"),
            (german, "1,5,3"),
            (plain, "1,000"),
            (plain, ""),
            (plain, "-"),
            (plain, "."),
            (plain, "--5"),
            (plain, "-5-"),
            (plain, "1e3"),
            (plain, "5 EUR"),
            (plain, "١"),
            (plain, "99999999999999999999"),
        ];
        for (numbers, text) in refused {
            assert!(numbers.amount(text, eur).is_err(), "{text}");
        }
        for (decimal, thousands) in [("", None), (";", None), (".", Some(".")), (".", Some("x")), ("..", None)] {
            assert!(Numbers::new(decimal, thousands).is_err());
        }
    }

    #[test]
    fn days_are_read_by_their_format() {
        let cases = [
            ("DD.MM.YYYY", "02.03.2026"),
            ("DD/MM/YY", "02/03/26"),
            ("MM/DD/YYYY", "3/2/2026"),
            ("YYYYMMDD", "20260302"),
            ("YYYY-MM-DD hh:mm:ss", "2026-03-02 23:50:00"),
            ("YYYY-MM-DDThh:mm:ssZ", "2026-03-02T23:50:00Z"),
            ("DD MMM YYYY", "02 Mar 2026"),
        ];
        for (format, text) in cases {
            let format = DateFormat::new(format).unwrap();
            assert_eq!(format.read(text), Some("2026-03-02".parse().unwrap()), "{text}");
        }
        let german = DateFormat::new("DD.MM.YYYY").unwrap();
        for text in ["", "02.03.26", "30.02.2026", "02.03.2026x", "2026-03-02", "02.03.9999", "٠٢.03.2026"] {
            assert_eq!(german.read(text), None, "{text}");
        }
        for format in ["", "DD.MM", "DD.MM.YYYY.YY", "DDD.MM.YYYY", "dd.MM.YYYY", "QQ"] {
            assert!(DateFormat::new(format).is_err(), "{format}");
        }
        let both = [DateFormat::new("DD/MM/YYYY").unwrap(), DateFormat::new("MM/DD/YYYY").unwrap()];
        assert!(day("03/04/2026", &both).unwrap_err().contains("another"));
        assert_eq!(day("13/04/2026", &both), Ok("2026-04-13".parse().unwrap()));
    }
}
