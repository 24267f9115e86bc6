//! The fields of an MT940 that have a fixed shape: account, number, balances and the entry `:61:`.

use super::value::{amount_of, clamped, date};
use crate::banking::{Balance, Direction};
use crate::money::{Currency, Minor};
use chrono::{Datelike, NaiveDate};

/// What `:25:` says: who keeps the account, the account, and the currency that some banks put behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) servicer: Option<String>,
    pub(super) account: Option<String>,
    pub(super) currency: Option<Currency>,
}

/// Reads `IBAN`, `BIC/account`, `BLZ/account`, `BIC/account/CCY`, each also with a currency behind it. The BIC of `:25P:`
/// stands on a line of its own.
pub(super) fn account(lines: &[String]) -> Account {
    let first = lines.first().map_or("", |line| line.trim());
    let mut parts: Vec<&str> = first.split('/').map(str::trim).filter(|part| !part.is_empty()).collect();
    let mut found = Account::default();
    if parts.len() > 1
        && let Some(currency) = parts.last().and_then(|last| last.parse().ok())
    {
        found.currency = Some(currency);
        parts.pop();
    }
    let (servicer, account) = match parts.as_slice() {
        [] => (None, ""),
        [account] => (None, *account),
        [servicer, .., account] => (Some((*servicer).to_owned()), *account),
    };
    let bic = lines.get(1).map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
    found.servicer = servicer.or(bic);
    let (account, suffix) = without_currency(account);
    found.currency = found.currency.or(suffix);
    let account: String = account.chars().filter(|c| !c.is_whitespace()).collect();
    found.account = (!account.is_empty()).then_some(account);
    found
}

/// `1291.99.348EUR`, `NL34RABO0142623393 EUR`: a currency directly behind a digit or a blank is not the account's.
fn without_currency(text: &str) -> (&str, Option<Currency>) {
    let Some((account, suffix)) = text.len().checked_sub(3).and_then(|at| text.split_at_checked(at)) else {
        return (text, None);
    };
    let behind = account.chars().last().is_some_and(|c| c.is_ascii_digit() || c.is_whitespace());
    match suffix.parse() {
        Ok(currency) if behind => (account.trim_end(), Some(currency)),
        _ => (text, None),
    }
}

/// `00035/001`: the statement's number and page; page 0 is none.
pub(super) fn number(text: &str) -> (Option<u64>, Option<u32>) {
    let mut parts = text.split('/').map(str::trim);
    let number = parts.next().and_then(|n| n.parse().ok());
    (number, parts.next().and_then(|p| p.parse().ok()).filter(|page| *page > 0))
}

/// Reads `C110522EUR3236,28`; a day that its month does not have is clamped and told as a note.
pub(super) fn balance(text: &str, intermediate: bool) -> Result<(Balance, Option<String>), String> {
    let text = text.trim();
    let (mark, rest) = text.split_at_checked(1).ok_or("it is empty")?;
    let credit = match mark {
        "C" => true,
        "D" => false,
        other => return Err(format!("\"{other}\" is neither C nor D")),
    };
    let (day, rest) = rest.split_at_checked(6).ok_or("it has no date")?;
    let (on, note) = date(day)?;
    let (code, amount) = rest.split_at_checked(3).ok_or("it has no currency")?;
    let currency: Currency = code.parse().map_err(|problem: crate::money::Problem| problem.to_string())?;
    let minor = amount_of(amount, currency)?;
    let amount = if credit { minor } else { Minor(-minor.0) };
    Ok((Balance { amount, currency, on, intermediate }, note))
}

/// Reads `EURD1000,` and `EUR0,`: the limit below which entries are not listed.
pub(super) fn floor(text: &str) -> Result<(Currency, Minor), String> {
    let (code, rest) = text.split_at_checked(3).ok_or("it has no currency")?;
    let currency: Currency = code.parse().map_err(|problem: crate::money::Problem| problem.to_string())?;
    let amount = rest.strip_prefix(['C', 'D']).unwrap_or(rest);
    Ok((currency, amount_of(amount, currency)?))
}

/// Reads `12EUR500,25`: how many and their sum.
pub(super) fn totals(text: &str) -> Result<(u64, Currency, Minor), String> {
    let mut rest = text;
    let count = take(&mut rest, usize::MAX, |c| c.is_ascii_digit());
    let count = count.parse().map_err(|_| "it does not begin with a count".to_owned())?;
    let (code, amount) = rest.split_at_checked(3).ok_or("it has no currency")?;
    let currency: Currency = code.parse().map_err(|problem: crate::money::Problem| problem.to_string())?;
    Ok((count, currency, amount_of(amount, currency)?))
}

/// What `:61:` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) valued_on: NaiveDate,
    pub(super) booked_on: Option<NaiveDate>,
    pub(super) direction: Direction,
    pub(super) reversal: bool,
    /// Expected, not booked (`EC`, `ED`).
    pub(super) expected: bool,
    pub(super) amount: Minor,
    pub(super) kind: Option<String>,
    pub(super) owner_ref: Option<String>,
    pub(super) bank_ref: Option<String>,
    /// A name behind a reference that is padded to its 16 places.
    pub(super) name: Option<String>,
    pub(super) supplement: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Reads `:61:` and its supplement; gives what cannot be read, and why.
pub(super) fn entry(lines: &[String], currency: Currency) -> Result<Entry, String> {
    let mut lines = lines.to_vec();
    // Some banks break the line between the mark and the amount.
    if lines.len() > 1
        && lines[0].trim_end().ends_with(|c: char| c.is_ascii_alphabetic())
        && lines[0].trim_end().len() <= 13
    {
        let first = lines.remove(0);
        lines[0].insert_str(0, first.trim_end());
    }
    let mut rest = lines.first().map_or("", String::as_str).trim_start();
    let mut notes = Vec::new();
    let day = take(&mut rest, 6, |c| c.is_ascii_digit());
    let (valued_on, note) = date(day).map_err(|problem| format!("the value date: {problem}"))?;
    notes.extend(note);
    let booked_on = entry_date(&mut rest, valued_on, &mut notes);
    let (direction, reversal, expected) = mark(&mut rest)?;
    let funds = rest.trim_start();
    // The third letter of the currency may stand between mark and amount.
    rest = match funds.chars().next() {
        Some(c) if c.is_ascii_alphabetic() => funds.get(1..).unwrap_or_default().trim_start(),
        _ => funds,
    };
    let digits = take(&mut rest, usize::MAX, |c| c.is_ascii_digit() || c == ',' || c == '.');
    if digits.is_empty() {
        return Err("the entry has no amount".to_owned());
    }
    let amount = amount_of(digits, currency)?;
    let rest = rest.trim_start();
    let (kind, rest) = kind(rest);
    let (owner, bank) = rest.split_once("//").map_or((rest, None), |(owner, bank)| (owner, Some(bank)));
    let (owner, name) = without_name(owner);
    let supplement = lines.iter().skip(1).map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    Ok(Entry {
        valued_on,
        booked_on,
        direction,
        reversal,
        expected,
        amount,
        kind,
        owner_ref: reference(owner),
        bank_ref: bank.and_then(reference),
        name,
        supplement,
        notes,
    })
}

/// `MMDD`, or four blanks, or nothing; in the year that puts it nearest to the value date.
fn entry_date(rest: &mut &str, valued_on: NaiveDate, notes: &mut Vec<String>) -> Option<NaiveDate> {
    let digits = take(rest, 4, |c| c.is_ascii_digit());
    if digits.len() != 4 {
        *rest = rest.trim_start();
        if !digits.is_empty() {
            notes.push(format!("the entry date \"{digits}\" is not of the form MMDD; the value date is taken"));
        }
        return None;
    }
    let month = digits.get(..2).and_then(|m| m.parse().ok()).unwrap_or(0);
    let day = digits.get(2..).and_then(|d| d.parse().ok()).unwrap_or(0);
    let years = [valued_on.year(), valued_on.year() - 1, valued_on.year() + 1];
    let exact = years.iter().filter_map(|year| NaiveDate::from_ymd_opt(*year, month, day));
    let nearest = exact.min_by_key(|date| date.signed_duration_since(valued_on).num_days().abs());
    // The 29th of February exists in one of four years: only a near one is meant.
    if let Some(date) = nearest.filter(|date| date.signed_duration_since(valued_on).num_days().abs() < 190) {
        return Some(date);
    }
    match clamped(valued_on.year(), month, day) {
        Some((date, note)) => {
            notes.extend(note);
            Some(date)
        }
        None => {
            notes.push(format!("the entry date \"{digits}\" is not of the form MMDD; the value date is taken"));
            None
        }
    }
}

/// `C`, `D`, `RC`, `RD`, `EC`, `ED`: the effective direction, whether it is a reversal, whether it is only expected.
fn mark(rest: &mut &str) -> Result<(Direction, bool, bool), String> {
    let text = rest.trim_start();
    let (length, outcome) = match text.as_bytes() {
        // The reversal of a credit lowers the balance.
        [b'R', b'C', ..] => (2, (Direction::Debit, true, false)),
        [b'R', b'D', ..] => (2, (Direction::Credit, true, false)),
        [b'E', b'C', ..] => (2, (Direction::Credit, false, true)),
        [b'E', b'D', ..] => (2, (Direction::Debit, false, true)),
        [b'C', ..] => (1, (Direction::Credit, false, false)),
        [b'D', ..] => (1, (Direction::Debit, false, false)),
        _ => return Err("the entry has no direction: C, D, RC or RD is meant".to_owned()),
    };
    *rest = text.get(length..).unwrap_or_default();
    Ok(outcome)
}

/// `NTRF`, `N166`, `S103`, `FMSC`; entries without one go on with the reference.
fn kind(rest: &str) -> (Option<String>, &str) {
    let code = rest.split_at_checked(4);
    match code {
        Some((code, after))
            if code.starts_with(['N', 'S', 'F'])
                && code.bytes().all(|b| b.is_ascii_alphanumeric())
                && !(rest.trim_end() == "NONREF" || rest.starts_with("NONREF//")) =>
        {
            (Some(code.to_owned()), after)
        }
        _ => (None, rest),
    }
}

/// Older files pad the reference to 16 places and put the other party's name behind it.
fn without_name(owner: &str) -> (&str, Option<String>) {
    let Some((at, _)) = owner.char_indices().nth(16) else {
        return (owner, None);
    };
    let (reference, name) = owner.split_at(at);
    if reference.ends_with(' ') && !name.trim().is_empty() {
        (reference, Some(name.trim().to_owned()))
    } else {
        (owner, None)
    }
}

/// A reference, unless it says that there is none or only where it stands.
fn reference(text: &str) -> Option<String> {
    let text = text.trim();
    let pointers = ["", "N", "NONREF", "EREF", "EREF+", "PREF", "MARF", "MREF", "KREF", "KREF+"];
    (!pointers.contains(&text)).then(|| text.to_owned())
}

/// Takes up to `most` characters that fit.
fn take<'a>(rest: &mut &'a str, most: usize, fits: impl Fn(char) -> bool) -> &'a str {
    let end =
        rest.char_indices().take(most).take_while(|(_, c)| fits(*c)).last().map_or(0, |(at, c)| at + c.len_utf8());
    let (taken, after) = rest.split_at(end);
    *rest = after;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, proptest};

    fn eur() -> Currency {
        "EUR".parse().unwrap()
    }

    fn day(y: i32, m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(y, m, d).unwrap()
    }

    fn read(text: &str) -> Result<Entry, String> {
        entry(&text.lines().map(str::to_owned).collect::<Vec<_>>(), eur())
    }

    #[test]
    fn accounts_lose_their_bank_and_currency() {
        let read = |text: &str| account(&text.lines().map(str::to_owned).collect::<Vec<_>>());
        let cases = [
            ("DE12345678900022805304", None, "DE12345678900022805304", None),
            ("45050050/76198810", Some("45050050"), "76198810", None),
            ("BPHKPLPK/320000546101", Some("BPHKPLPK"), "320000546101", None),
            ("UBRTHUHB/123456789150ABC002/HUF", Some("UBRTHUHB"), "123456789150ABC002", Some("HUF")),
            ("1291.99.348EUR", None, "1291.99.348", Some("EUR")),
            ("NL34RABO0142623393 EUR", None, "NL34RABO0142623393", Some("EUR")),
            ("GB29 NWBK 6016 1331 9268 19\nNWBKGB2L", Some("NWBKGB2L"), "GB29NWBK60161331926819", None),
            ("808XXXXXX292", None, "808XXXXXX292", None),
            ("KY99ABCEUR", None, "KY99ABCEUR", None),
        ];
        for (text, servicer, number, currency) in cases {
            let found = read(text);
            assert_eq!(found.servicer.as_deref(), servicer, "{text}");
            assert_eq!(found.account.as_deref(), Some(number), "{text}");
            assert_eq!(found.currency.map(Currency::code), currency, "{text}");
        }
        assert_eq!(read("").account, None);
    }

    #[test]
    fn the_mark_gives_the_effective_direction() {
        let cases = [
            ("2603020302C10,NTRFNONREF", Direction::Credit, false),
            ("2603020302CR10,NTRFNONREF", Direction::Credit, false),
            ("2603020302D10,NTRFNONREF", Direction::Debit, false),
            ("2603020302DD10,NTRFNONREF", Direction::Debit, false),
            ("2603020302RC10,NTRFNONREF", Direction::Debit, true),
            ("2603020302RCR10,NTRFNONREF", Direction::Debit, true),
            ("2603020302RD10,NTRFNONREF", Direction::Credit, true),
            ("2603020302RDR10,NTRFNONREF", Direction::Credit, true),
            ("260302    D10,NTRFNONREF", Direction::Debit, false),
            ("2603020302CR\n10,N062NONREF", Direction::Credit, false),
        ];
        for (text, direction, reversal) in cases {
            let entry = read(text).unwrap();
            assert_eq!((entry.direction, entry.reversal, entry.amount), (direction, reversal, Minor(1000)), "{text}");
        }
        for text in ["2603020302X10,", "2603020302", "2613020302C10,", "26030C10,", "", "2603020302CEUR"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_entry_date_takes_the_nearest_year() {
        let cases = [
            ("2512311231C1,", day(2025, 12, 31), None),
            ("2512310102C1,", day(2026, 1, 2), None),
            ("2601021231C1,", day(2025, 12, 31), None),
            ("2602280230C1,", day(2026, 2, 28), Some("2026-02 has no day 30")),
            ("2403010229C1,", day(2024, 2, 29), None),
        ];
        for (text, date, note) in cases {
            let entry = read(text).unwrap();
            assert_eq!(entry.booked_on, Some(date), "{text}");
            assert_eq!(entry.notes.len(), usize::from(note.is_some()), "{text}");
            assert!(note.is_none_or(|n| entry.notes[0].starts_with(n)), "{:?}", entry.notes);
        }
        assert_eq!(read("260230C1,").unwrap().valued_on, day(2026, 2, 28));
        assert_eq!(read("2602019999C1,").unwrap().booked_on, None);
    }

    #[test]
    fn references_and_supplements_are_told_apart() {
        let cases = [
            ("260302C1,NTRFNONREF//BANK-1", None, Some("BANK-1"), None),
            ("260302C1,NTRFOWN/1//BANK//2\nmore", Some("OWN/1"), Some("BANK//2"), None),
            ("260302C1,NONREF", None, None, None),
            ("260302C1,//19239782213", None, Some("19239782213"), None),
            ("260302C1,N0600733959555      T-MOBILE BV    ", Some("0733959555"), None, Some("T-MOBILE BV")),
            ("260302C12,35 NRTIKREF+//201602", None, Some("201602"), None),
            ("260302C1,NSTON", None, None, None),
        ];
        for (text, owner, bank, name) in cases {
            let entry = read(text).unwrap();
            assert_eq!(entry.owner_ref.as_deref(), owner, "{text}");
            assert_eq!(entry.bank_ref.as_deref(), bank, "{text}");
            assert_eq!(entry.name.as_deref(), name, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,60}|[0-9CDRNé,./ ]{0,40}", more in prop::collection::vec("\\PC{0,40}", 0..3)) {
            let lines: Vec<String> = std::iter::once(text.clone()).chain(more).collect();
            let _ = entry(&lines, eur());
            let _ = account(&lines);
            let _ = balance(&text, false);
            let _ = number(&text);
        }
    }
}
