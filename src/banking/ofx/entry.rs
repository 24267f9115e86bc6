//! One `STMTTRN` of an OFX statement: its leaves as they come by, then a line.

use crate::banking::{Detail, Direction, Line, Severity, Status};
use crate::money::{Currency, Minor};
use chrono::{Datelike, NaiveDate};

/// The leaves of an entry, as they stand in the file.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) line: u64,
    /// Of the list of pending entries.
    pending: bool,
    kind: Option<String>,
    posted: Option<String>,
    available: Option<String>,
    amount: Option<String>,
    fitid: Option<String>,
    corrects: Option<String>,
    correction: Option<String>,
    cheque: Option<String>,
    reference: Option<String>,
    name: Option<String>,
    payee: Option<String>,
    extended: Option<String>,
    memo: Option<String>,
    other_bank: Option<String>,
    other_account: Option<String>,
    /// The currency that the amount is in, when it is not the statement's.
    pub(super) currency: Option<String>,
    rate: Option<String>,
}

/// Which aggregate inside of an entry a leaf stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    Nothing,
    Payee,
    OtherAccount,
    Currency,
    OriginalCurrency,
}

impl Entry {
    pub(super) fn new(line: u64, pending: bool) -> Entry {
        Entry { line, pending, ..Entry::default() }
    }

    /// Takes a leaf.
    pub(super) fn take(&mut self, inside: Inside, leaf: &str, value: &str) {
        let slot = match (inside, leaf) {
            (Inside::Payee, "NAME") => &mut self.payee,
            (Inside::OtherAccount, "ACCTID") => &mut self.other_account,
            (Inside::OtherAccount, "BANKID") => &mut self.other_bank,
            (Inside::Currency, "CURSYM") => &mut self.currency,
            (Inside::Currency, "CURRATE") => &mut self.rate,
            (Inside::Nothing, "TRNTYPE") => &mut self.kind,
            (Inside::Nothing, "DTPOSTED" | "DTTRAN") => &mut self.posted,
            (Inside::Nothing, "DTAVAIL") => &mut self.available,
            (Inside::Nothing, "TRNAMT") => &mut self.amount,
            (Inside::Nothing, "FITID") => &mut self.fitid,
            (Inside::Nothing, "CORRECTFITID") => &mut self.corrects,
            (Inside::Nothing, "CORRECTACTION") => &mut self.correction,
            (Inside::Nothing, "CHECKNUM") => &mut self.cheque,
            (Inside::Nothing, "REFNUM") => &mut self.reference,
            (Inside::Nothing, "NAME") => &mut self.name,
            (Inside::Nothing, "EXTDNAME") => &mut self.extended,
            (Inside::Nothing, "MEMO") => &mut self.memo,
            _ => return,
        };
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        if !value.is_empty() {
            *slot = Some(value);
        }
    }

    /// Whether its amount is in the currency that it names itself, one for one.
    pub(super) fn is_at_par(&self) -> bool {
        self.rate.as_deref().is_none_or(|rate| {
            let (whole, fraction) = rate.split_once(['.', ',']).unwrap_or((rate, ""));
            whole == "1" && fraction.bytes().all(|b| b == b'0')
        })
    }

    /// The line, or why it cannot be posted; `tell` is given what is odd about it.
    pub(super) fn into_line(
        self,
        currency: Option<Currency>,
        (position, at): (u64, String),
        mut tell: impl FnMut(String, Severity),
    ) -> Option<Line> {
        // All that is missing is told at once.
        let booked_on =
            self.posted.as_deref().map_or(Err("the entry has no day: DTPOSTED is missing".to_owned()), |text| {
                date(text).map_err(|problem| format!("DTPOSTED: {problem}"))
            });
        let signed =
            self.amount.as_deref().map_or(Err("the entry has no amount: TRNAMT is missing".to_owned()), |text| {
                let currency = currency.ok_or("the entry cannot be read without the statement's currency")?;
                Ok((amount(text, currency).map_err(|problem| format!("TRNAMT: {problem}"))?, currency))
            });
        let problems = booked_on.as_ref().err().into_iter().chain(signed.as_ref().err());
        problems.for_each(|problem| tell(problem.clone(), Severity::Grave));
        let (booked_on, (signed, currency)) = (booked_on.ok()?, signed.ok()?);
        if let Some(code) = self.currency.as_deref().filter(|code| *code != currency.code()) {
            let text = format!("the amount is in {code}, the account in {currency}: OFX gives no exact amount of it");
            tell(text, Severity::Grave);
            return None;
        }
        let Ok(unsigned) = Minor::from_sum(i128::from(signed.0).abs()) else {
            tell("TRNAMT: the amount is too large".to_owned(), Severity::Grave);
            return None;
        };
        let direction = if signed.0 < 0 { Direction::Debit } else { Direction::Credit };
        let kind = self.kind.as_deref().map(str::to_ascii_uppercase);
        match (kind.as_deref(), direction) {
            (Some("DEBIT"), Direction::Credit) if !signed.is_zero() => {
                let text = "the entry is called DEBIT and its amount has no minus: in OFX the sign says the direction";
                tell(text.to_owned(), Severity::Quarantine);
            }
            (Some("CREDIT"), Direction::Debit) => {
                let text = "the entry is called CREDIT and its amount has a minus: in OFX the sign says the direction";
                tell(text.to_owned(), Severity::Quarantine);
            }
            _ => {}
        }
        let valued_on = self
            .available
            .as_deref()
            .and_then(|text| date(text).map_err(|problem| tell(format!("DTAVAIL: {problem}"), Severity::Note)).ok());
        let deleted = self.tell_correction(&mut tell);
        let status = if deleted {
            Status::Info
        } else if self.pending || kind.as_deref() == Some("HOLD") {
            Status::Pending
        } else {
            Status::Booked
        };
        let number = |text: Option<String>| text.filter(|t| t.bytes().any(|b| b != b'0'));
        let detail = Detail {
            amount: Some(unsigned),
            counterparty_name: self.extended.or(self.payee).or(self.name),
            counterparty_account: self.other_account.map(|a| a.replace(' ', "")),
            counterparty_bank: self.other_bank,
            remittance: self.memo,
            ..Detail::default()
        };
        Some(Line {
            position,
            at,
            amount: unsigned,
            currency,
            direction,
            status,
            reversal: false,
            booked_on: Some(booked_on),
            valued_on,
            bank_ref: self.fitid,
            owner_ref: self.reference.or_else(|| number(self.cheque)),
            code: kind,
            info: None,
            details: vec![detail],
        })
    }

    /// The bank takes back or replaces what it told before. Gives whether the entry is a deletion, which is no booking.
    fn tell_correction(&self, tell: &mut impl FnMut(String, Severity)) -> bool {
        let Some(corrected) = &self.corrects else { return false };
        let deletes = self.correction.as_deref().is_some_and(|action| action.eq_ignore_ascii_case("DELETE"));
        let problem = if deletes {
            format!(
                "the bank takes back the entry {corrected}: if that was posted, it has to be reversed; this one posts nothing"
            )
        } else {
            format!("the bank replaces the entry {corrected} by this one: if that was posted, it has to be reversed")
        };
        tell(problem, Severity::Quarantine);
        deletes
    }
}

/// The day of `YYYYMMDD[HHMMSS[.XXX]][[-5:EST]]`, as it is written.
pub(super) fn date(text: &str) -> Result<NaiveDate, String> {
    let day = text.get(..8).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let day =
        day.and_then(|d| NaiveDate::parse_from_str(d, "%Y%m%d").ok()).filter(|d| (1900..2200).contains(&d.year()));
    day.ok_or_else(|| format!("\"{}\" is no date of the form YYYYMMDD", shortened(text)))
}

/// A signed amount; banks write the decimal sign as a point or a comma, and some group thousands with the other one.
pub(super) fn amount(text: &str, currency: Currency) -> Result<Minor, String> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let wrong = || format!("\"{}\" is no amount", shortened(text));
    let decimal = unsigned.rfind([',', '.']);
    let (whole, fraction) = match decimal {
        Some(at) => (unsigned.get(..at).unwrap_or_default(), unsigned.get(at + 1..).unwrap_or_default()),
        None => (unsigned, ""),
    };
    let used = decimal.and_then(|at| unsigned.get(at..at + 1)).unwrap_or_default();
    let mut groups = whole.split([',', '.']);
    let first = groups.next().unwrap_or_default();
    let grouped = whole.len() != first.len();
    // Thousands are grouped by the other sign, in threes, or not at all.
    if grouped && (whole.contains(used) || first.is_empty() || first.len() > 3 || groups.any(|g| g.len() != 3)) {
        return Err(wrong());
    }
    let digits: String = whole.chars().filter(|c| !matches!(c, ',' | '.')).collect();
    if digits.is_empty() && fraction.is_empty() {
        return Err(wrong());
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    let whole = if digits.is_empty() { "0" } else { &digits };
    let plain = if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
    Minor::parse(&plain, currency).map_err(|problem| problem.to_string())
}

pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(40).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_grouped_only_by_the_other_sign() {
        let usd = "USD".parse().unwrap();
        let cases = [
            ("-80", -8000),
            ("+00000000000115.8300", 11_583),
            ("-6,60", -660),
            (".5", 50),
            ("1,234.56", 123_456),
            ("1.234.567,8", 123_456_780),
            ("-0.00", 0),
        ];
        for (text, minor) in cases {
            assert_eq!(amount(text, usd), Ok(Minor(minor)), "{text}");
        }
        let refused = ["", "-", ".", "1,234", "115.8331", "1,23.45", "1,2,3", "--5", "1 0", "1e3", "NaN", "1.234.567"];
        for text in refused {
            assert!(amount(text, usd).is_err(), "{text}");
        }
        assert!(amount(&"9".repeat(400), usd).is_err());
        assert!(amount("-92233720368547758.09", usd).is_err());
    }

    #[test]
    fn a_date_is_kept_as_it_is_written() {
        for text in ["20130824", "20130824080000", "20130824235959.000[-8:PST]", "20130824093914:014"] {
            assert_eq!(date(text), Ok("2013-08-24".parse().unwrap()), "{text}");
        }
        for text in ["", "2013082", "20130231", "00000000", "99991231", "2013-08-24", "٢٠١٣٠٨٢٤"] {
            assert!(date(text).is_err(), "{text}");
        }
    }
}
