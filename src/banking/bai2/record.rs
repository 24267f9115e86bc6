//! Records of a BAI2 file: how a physical line holds them, and how their fields are read.
//!
//! Fields end at commas, records at a slash, and `88` goes on with the record above it. The text of an entry is its last field
//! and may hold commas and slashes; only what looks like a whole record behind a slash ends it.

use crate::money::{Currency, Minor};
use chrono::NaiveDate;

/// How many bytes a record and its continuations may take. Text beyond is left out and told; fields beyond are grave.
pub(super) const RECORD_LIMIT: usize = 64 * 1024;

/// The kinds of records, by their codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    File,
    Group,
    Account,
    Entry,
    AccountEnd,
    More,
    GroupEnd,
    FileEnd,
}

impl Code {
    fn of(text: &str) -> Option<Code> {
        Some(match text {
            "01" => Code::File,
            "02" => Code::Group,
            "03" => Code::Account,
            "16" => Code::Entry,
            "49" => Code::AccountEnd,
            "88" => Code::More,
            "98" => Code::GroupEnd,
            "99" => Code::FileEnd,
            _ => return None,
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Code::File => "01",
            Code::Group => "02",
            Code::Account => "03",
            Code::Entry => "16",
            Code::AccountEnd => "49",
            Code::More => "88",
            Code::GroupEnd => "98",
            Code::FileEnd => "99",
        }
    }
}

/// What a physical line holds: a record, or something else.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// `None`: no record that is known.
    pub(super) code: Option<Code>,
    /// What stands behind the code, without the slash.
    pub(super) body: &'a str,
    /// A slash ended it.
    pub(super) ended: bool,
}

/// Takes a physical line apart.
pub(super) fn pieces(line: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let Some(code) = rest.get(..2).and_then(Code::of).filter(|_| rest.get(2..3) == Some(",")) else {
            found.push(Piece { code: None, body: rest, ended: false });
            break;
        };
        let body = rest.get(3..).unwrap_or_default();
        let end = match code {
            Code::Entry | Code::More => {
                let mut slashes = body.match_indices('/').map(|(at, _)| at);
                slashes.find(|at| body.get(at + 1..).is_some_and(|behind| begins_record(behind.trim_start())))
            }
            _ => body.find('/'),
        };
        let (body, behind, ended) = match end {
            Some(at) => (body.get(..at), body.get(at + 1..), true),
            None => (body.strip_suffix('/').or(Some(body)), None, body.ends_with('/')),
        };
        found.push(Piece { code: Some(code), body: body.unwrap_or_default(), ended });
        rest = behind.unwrap_or_default().trim_start();
    }
    found
}

/// Whether a text behind a slash is a record and no text: its code and the shape of its first fields.
fn begins_record(text: &str) -> bool {
    let Some(code) = text.get(..2).and_then(Code::of).filter(|_| text.get(2..3) == Some(",")) else { return false };
    let mut fields = text.get(3..).unwrap_or_default().split([',', '/']);
    let commas = text.split('/').next().unwrap_or_default().matches(',').count();
    let mut is = |rule: fn(&str) -> bool| fields.next().is_some_and(|f| rule(f.trim()));
    let digits = |f: &str| !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit());
    match code {
        // Type, amount (none where no money moves), funds type, and at least one reference and a text.
        Code::Entry => {
            commas >= 5
                && is(|f| f.len() == 3 && f.bytes().all(|b| b.is_ascii_digit()))
                && is(|f| f.bytes().all(|b| b.is_ascii_digit()))
        }
        Code::AccountEnd | Code::GroupEnd | Code::FileEnd => {
            is(|f| f.trim_start_matches(['+', '-']).bytes().all(|b| b.is_ascii_digit()) && !f.is_empty()) && is(digits)
        }
        _ => true,
    }
}

/// A record with its continuations.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) code: Code,
    pub(super) line: u64,
    bodies: Vec<String>,
    size: usize,
    /// How many physical records it takes: its own and its continuations.
    pub(super) count: u64,
    /// Bytes were left out.
    pub(super) overlong: bool,
    /// A slash ended its last piece.
    pub(super) ended: bool,
}

impl Record {
    pub(super) fn new(code: Code, line: u64, body: &str, ended: bool) -> Record {
        let mut record = Record { code, line, bodies: Vec::new(), size: 0, count: 1, overlong: false, ended };
        record.add(body, ended);
        record
    }

    pub(super) fn add(&mut self, body: &str, ended: bool) {
        self.ended = ended;
        // A piece counts for more than its bytes, or empty ones would be free.
        self.size = self.size.saturating_add(body.len() + 32);
        let fits = self.size <= RECORD_LIMIT;
        self.overlong |= !fits;
        if fits || self.bodies.is_empty() {
            self.bodies.push(body.chars().take(RECORD_LIMIT).collect());
        }
    }

    pub(super) fn fields(&self) -> Fields<'_> {
        Fields { bodies: &self.bodies, rest: None }
    }
}

/// Reads one field after another; a continuation begins with a new field.
pub(super) struct Fields<'a> {
    bodies: &'a [String],
    /// What is left of the body at hand.
    rest: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// The next field without blanks around it; `None` at the end of the record.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        let text = self.body()?;
        let (field, rest) = match text.split_once(',') {
            Some((field, rest)) => (field, Some(rest)),
            None => (text, None),
        };
        self.rest = rest;
        Some(field.trim())
    }

    /// The next field; empty at the end of the record.
    pub(super) fn text(&mut self) -> &'a str {
        self.next().unwrap_or_default()
    }

    /// The next field when it says something.
    pub(super) fn some(&mut self) -> Option<String> {
        Some(self.text()).filter(|f| !f.is_empty()).map(str::to_owned)
    }

    /// All that is left, as the pieces that it came in.
    pub(super) fn remaining(mut self) -> Vec<&'a str> {
        let mut left: Vec<&str> = Vec::new();
        left.extend(self.rest.take());
        left.extend(self.bodies.iter().map(String::as_str));
        left
    }

    /// How many fields are left.
    pub(super) fn count(&self) -> usize {
        self.rest.iter().copied().chain(self.bodies.iter().map(String::as_str)).map(|b| b.split(',').count()).sum()
    }

    fn body(&mut self) -> Option<&'a str> {
        if let Some(rest) = self.rest.take() {
            return Some(rest);
        }
        let (first, others) = self.bodies.split_first()?;
        self.bodies = others;
        Some(first)
    }
}

/// Reads the fields that a funds type brings, so that what follows is not shifted. Gives the value date, which only `V` has.
pub(super) fn funds(fields: &mut Fields<'_>) -> Result<Option<NaiveDate>, String> {
    let kind = fields.text();
    match kind {
        "" | "Z" | "z" | "0" | "1" | "2" => Ok(None),
        "S" | "s" => {
            for _ in 0..3 {
                let part = fields.text();
                if !is_amount(part) && !part.is_empty() {
                    return Err(format!("funds type S is followed by \"{}\", not by three amounts", shortened(part)));
                }
            }
            Ok(None)
        }
        "V" | "v" => {
            let (day, time) = (fields.text(), fields.text());
            if !time.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("funds type V has \"{}\" for a time", shortened(time)));
            }
            if day.is_empty() { Ok(None) } else { date(day).map(Some) }
        }
        "D" | "d" => {
            let count = fields.text();
            let pairs: usize =
                count.parse().map_err(|_| format!("funds type D has \"{}\" for a count", shortened(count)))?;
            for _ in 0..pairs {
                let (Some(days), Some(amount)) = (fields.next(), fields.next()) else {
                    return Err(format!("funds type D says {pairs} pairs of days and amount, and has fewer"));
                };
                if !days.bytes().all(|b| b.is_ascii_digit()) || !is_amount(amount) {
                    return Err("funds type D is followed by pairs of days and amount, which these are not".to_owned());
                }
            }
            Ok(None)
        }
        other => Err(format!("\"{}\" is no funds type: Z, 0, 1, 2, S, V and D are known", shortened(other))),
    }
}

fn is_amount(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// An amount in minor units, which BAI2 writes without a decimal point, with or without a sign.
pub(super) fn amount(text: &str, currency: Option<Currency>) -> Result<Minor, String> {
    if !is_amount(text) {
        let of = currency.map_or(String::new(), |c| format!(" of {c}"));
        let text = shortened(text);
        return Err(format!("\"{text}\" is no amount: BAI2 writes whole minor units{of}, without a decimal point"));
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let too_large = || format!("the amount {} is too large", shortened(text));
    unsigned.parse::<i64>().map(Minor).map_err(|_| too_large())
}

/// `YYMMDD`; some banks write the century too.
pub(super) fn date(text: &str) -> Result<NaiveDate, String> {
    let wrong = || format!("\"{}\" is no date of the form YYMMDD", shortened(text));
    let all_digits = text.bytes().all(|b| b.is_ascii_digit());
    let full = match text.len() {
        6 if all_digits => format!("20{text}"),
        8 if all_digits && text.starts_with("20") => text.to_owned(),
        _ => return Err(wrong()),
    };
    NaiveDate::parse_from_str(&full, "%Y%m%d").map_err(|_| wrong())
}

pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(40).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(line: &str) -> Vec<(Option<&'static str>, &str, bool)> {
        pieces(line).into_iter().map(|p| (p.code.map(Code::as_str), p.body, p.ended)).collect()
    }

    #[test]
    fn several_records_stand_on_one_line_and_a_text_keeps_its_slashes() {
        assert_eq!(
            codes("16,142,2500,Z,,,A/B, C/ 16,142,500,Z,,,D/"),
            [(Some("16"), "142,2500,Z,,,A/B, C", true), (Some("16"), "142,500,Z,,,D", true)]
        );
        assert_eq!(
            codes("88,  x/   49,-1600,11/  03,1,,010,00/"),
            [(Some("88"), "  x", true), (Some("49"), "-1600,11", true), (Some("03"), "1,,010,00", true)]
        );
        assert_eq!(codes("16,142,1,,,,INV 7/16, part 2"), [(Some("16"), "142,1,,,,INV 7/16, part 2", false)]);
        assert_eq!(codes("16,142,1,,,,A/49,50 EUR/"), [(Some("16"), "142,1,,,,A/49,50 EUR", true)]);
        assert_eq!(codes("49,1,2/   "), [(Some("49"), "1,2", true)]);
        assert_eq!(codes("34,x/"), [(None, "34,x/", false)]);
        assert_eq!(codes("49,1,2/ rest"), [(Some("49"), "1,2", true), (None, "rest", false)]);
    }

    #[test]
    fn a_funds_type_takes_its_own_fields_and_no_more() {
        let cases = [
            ("Z,next", None),
            (",next", None),
            ("1,next", None),
            ("S,1,,3,next", None),
            ("V,060316,,next", Some("2006-03-16")),
            ("V,,,next", None),
            ("V,060316,1200,next", Some("2006-03-16")),
            ("D,2,0,100,1,200,next", None),
            ("D,0,next", None),
        ];
        for (text, day) in cases {
            let record = Record::new(Code::Entry, 1, text, true);
            let mut fields = record.fields();
            assert_eq!(funds(&mut fields), Ok(day.map(|d| d.parse().unwrap())), "{text}");
            assert_eq!(fields.next(), Some("next"), "{text}");
        }
        for text in ["9500", "S,a,b,c", "V,99,", "V,060316,x", "D,x", "D,5,0,1", "D,999999999999", "D,-1"] {
            let record = Record::new(Code::Entry, 1, text, true);
            assert!(funds(&mut record.fields()).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_whole_minor_units() {
        for (text, minor) in [("000", 0), ("+000000000208500", 208_500), ("-1500000", -1_500_000)] {
            assert_eq!(amount(text, None), Ok(Minor(minor)));
        }
        for text in ["", "-", "12.34", "1,5", "1e3", "99999999999999999999", "+-1", "1 0", "١"] {
            assert!(amount(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn a_continuation_begins_with_a_new_field() {
        let mut record = Record::new(Code::Account, 1, "1,EUR,015", true);
        record.add("500,,", true);
        let mut fields = record.fields();
        let all: Vec<&str> = std::iter::from_fn(|| fields.next()).collect();
        assert_eq!(all, ["1", "EUR", "015", "500", "", ""]);
    }
}
