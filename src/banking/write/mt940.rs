//! MT940 with the narrative of German banks or with slash codes.

use super::{Entry, Statement, cut};
use crate::banking::mt940::CODES;
use crate::banking::{Balance, Detail, Direction, Status};
use crate::money::{Currency, Minor};
use std::borrow::Borrow;
use std::io::{self, Write};

/// How `:86:` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// GVC code and subfields. It carries neither our own account nor a structured reference.
    German,
    /// Codes between slashes, with a virtual account under `/VA/`.
    Slash,
}

/// Columns of a line of `:86:`, and of a subfield in it.
const LINE: usize = 65;
const SUBFIELD: usize = 27;

/// Writes a message; its lines are pulled one by one, and those that are not booked are left out, since an MT940 has none.
/// Messages one after another make a file.
pub fn mt940<E: Borrow<Entry>>(
    out: &mut impl Write,
    dialect: Dialect,
    statement: &Statement,
    entries: impl IntoIterator<Item = E>,
) -> io::Result<()> {
    let currency = statement.currency;
    let account = match &statement.servicer {
        Some(servicer) => format!("{servicer}/{}", statement.account),
        None => statement.account.clone(),
    };
    let (page, _) = statement.page.unwrap_or((1, true));
    write!(out, ":20:{}\r\n:25:{account}\r\n:28C:{:05}/{page:03}\r\n", cut(&statement.id, 16), statement.number)?;
    if let Some(opening) = statement.opening {
        balance(out, "60", opening)?;
    }
    for entry in entries {
        let entry = entry.borrow();
        if entry.status == Status::Booked {
            booking(out, entry, currency)?;
            narrative(out, dialect, entry)?;
        }
    }
    if let Some(closing) = statement.closing {
        balance(out, "62", closing)?;
    }
    out.write_all(b"-\r\n")
}

fn balance(out: &mut impl Write, tag: &str, balance: Balance) -> io::Result<()> {
    let letter = if balance.intermediate { 'M' } else { 'F' };
    let mark = if balance.amount.0 < 0 { 'D' } else { 'C' };
    let amount = comma(balance.amount, balance.currency).replace('-', "");
    write!(out, ":{tag}{letter}:{mark}{}{}{amount}\r\n", balance.on.format("%y%m%d"), balance.currency)
}

/// An amount always has its decimal comma.
fn comma(amount: Minor, currency: Currency) -> String {
    let text = amount.to_text(currency);
    if text.contains('.') { text.replace('.', ",") } else { format!("{text},") }
}

fn booking(out: &mut impl Write, entry: &Entry, currency: Currency) -> io::Result<()> {
    // The mark of a reversal names the booking that is reversed.
    let mark = match (entry.direction, entry.reversal) {
        (Direction::Credit, false) => "C",
        (Direction::Debit, false) => "D",
        (Direction::Debit, true) => "RC",
        (Direction::Credit, true) => "RD",
    };
    let (kind, _) = code(entry);
    let owner = entry.owner_ref.as_deref().map_or("NONREF", |reference| cut(reference, 16));
    let valued = entry.valued_on.format("%y%m%d");
    let booked = entry.booked_on.format("%m%d");
    write!(out, ":61:{valued}{booked}{mark}{}{kind}{owner}", comma(entry.amount, currency))?;
    if let Some(reference) = &entry.bank_ref {
        write!(out, "//{}", cut(reference, 16))?;
    }
    out.write_all(b"\r\n")?;
    if let Some(charges) = only_detail(entry).and_then(|d| d.charges) {
        write!(out, "/CHGS/{currency}{}/\r\n", comma(charges, currency))?;
    }
    Ok(())
}

/// The type of four letters and the GVC.
fn code(entry: &Entry) -> (&str, Option<&str>) {
    let (kind, gvc) = entry.code.as_deref().map_or(("NMSC", None), |code| match code.split_once('/') {
        Some((kind, gvc)) => (kind, Some(gvc)),
        None => (code, None),
    });
    let is_kind =
        kind.len() == 4 && kind.starts_with(['N', 'S', 'F']) && kind.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_gvc = |gvc: &&str| gvc.len() == 3 && gvc.bytes().all(|b| b.is_ascii_digit());
    (if is_kind { kind } else { "NTRF" }, gvc.filter(is_gvc))
}

/// A batch has no place for its payments.
fn only_detail(entry: &Entry) -> Option<&Detail> {
    match entry.details.as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

fn narrative(out: &mut impl Write, dialect: Dialect, entry: &Entry) -> io::Result<()> {
    let batch;
    let detail = match only_detail(entry) {
        Some(detail) => detail,
        None => {
            let count = entry.details.len();
            let payment_info_id = entry.details.first().and_then(|d| d.payment_info_id.clone());
            let remittance = (count > 0).then(|| format!("{count} PAYMENTS"));
            batch = Detail { payment_info_id, remittance, ..Detail::default() };
            &batch
        }
    };
    let lines = match dialect {
        Dialect::German => german(detail, entry),
        Dialect::Slash => slash(detail, entry),
    };
    for (i, line) in lines.iter().enumerate() {
        write!(out, "{}{line}\r\n", if i == 0 { ":86:" } else { "" })?;
    }
    Ok(())
}

/// `166?00BOOKING TEXT?20EREF+...?21SVWZ+...?30BIC?31IBAN?32NAME?33NAME`
fn german(detail: &Detail, entry: &Entry) -> Vec<String> {
    let default = if entry.direction == Direction::Credit { "166" } else { "116" };
    let mut text = code(entry).1.unwrap_or(default).to_owned();
    let mut add = |number: &str, value: &str| {
        if !value.is_empty() {
            text.push('?');
            text.push_str(number);
            text.push_str(value);
        }
    };
    add("00", &plain(entry.info.as_deref().map_or("", |info| cut(info, SUBFIELD))));
    let mut purpose = String::new();
    let references = [
        ("EREF+", detail.end_to_end_id.as_deref()),
        ("KREF+", detail.instruction_id.as_deref().or(detail.payment_info_id.as_deref())),
        ("MREF+", detail.mandate_id.as_deref()),
        ("SVWZ+", detail.remittance.as_deref()),
        (if entry.direction == Direction::Credit { "ABWA+" } else { "ABWE+" }, detail.ultimate_name.as_deref()),
    ];
    for (tag, value) in references {
        if let Some(value) = value {
            if !purpose.is_empty() {
                purpose.push(' ');
            }
            purpose.push_str(tag);
            purpose.push_str(&plain(value));
        }
    }
    let numbers = (20..=29).chain(60..=63);
    for (number, part) in numbers.zip(chunks(&purpose, SUBFIELD)) {
        add(&number.to_string(), &part);
    }
    add("30", &plain(detail.counterparty_bank.as_deref().unwrap_or_default()));
    add("31", &plain(detail.counterparty_account.as_deref().unwrap_or_default()));
    let name = plain(detail.counterparty_name.as_deref().unwrap_or_default());
    for (number, part) in ["32", "33"].iter().zip(chunks(&name, SUBFIELD)) {
        add(number, &part);
    }
    add("34", &plain(detail.return_reason.as_deref().filter(|reason| *reason != "unspecified").unwrap_or_default()));
    chunks(&text, LINE)
}

/// `/IBAN/../NAME/../EREF/../REMI/..`
fn slash(detail: &Detail, entry: &Entry) -> Vec<String> {
    let structured = detail.creditor_reference.as_ref().map(|reference| format!("STRD/CUR/{reference}"));
    let ultimate = detail.ultimate_name.as_ref().map(|name| format!("/NAME/{}", without_codes(name)));
    let values = [
        ("TRTP", entry.info.as_deref().map(without_codes)),
        ("IBAN", detail.counterparty_account.as_deref().map(without_codes)),
        ("BIC", detail.counterparty_bank.as_deref().map(without_codes)),
        ("NAME", detail.counterparty_name.as_deref().map(without_codes)),
        ("EREF", detail.end_to_end_id.as_deref().map(without_codes)),
        ("KREF", detail.instruction_id.as_deref().map(without_codes)),
        ("PREF", detail.payment_info_id.as_deref().map(without_codes)),
        ("MARF", detail.mandate_id.as_deref().map(without_codes)),
        ("PURP", detail.purpose.as_deref().map(without_codes)),
        ("RTRN", detail.return_reason.as_deref().map(without_codes)),
        ("VA", detail.own_account.as_deref().map(without_codes)),
        ("REMI", structured),
        ("REMI", detail.remittance.as_deref().map(without_codes)),
        ("ULTD", ultimate),
    ];
    let mut text = String::new();
    for (code, value) in values {
        if let Some(value) = value {
            text.push_str(&format!("/{code}/{value}"));
        }
    }
    wrapped(&text)
}

/// What a payer writes must not become a code of the bank's: a known code in a text loses its slashes.
fn without_codes(value: &str) -> String {
    let mut value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // The slash before a value is ours: without the blank, a text of "VA" would begin a code. Readers trim it.
    if CODES.iter().any(|code| value.strip_prefix(code).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))) {
        value.insert(0, ' ');
    }
    if !value.contains('/') {
        return value;
    }
    for code in CODES {
        let marked = format!("/{code}/");
        while value.contains(&marked) {
            value = value.replace(&marked, &format!(" {code} "));
        }
    }
    value.trim_end_matches('/').to_owned()
}

/// The separator of subfields cannot stand in one.
fn plain(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { ' ' } else { c }).map(|c| if c == '?' { '.' } else { c }).collect()
}

/// Pieces of a fixed width.
fn chunks(text: &str, width: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(width).map(|chunk| chunk.iter().collect()).collect()
}

/// Lines of the full width, which a reader puts together as they are; where a line would end or begin with what the format
/// gives a meaning to, the break is at the blank before, which a reader puts back.
fn wrapped(mut text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    while text.chars().count() > LINE {
        let window = cut(text, LINE);
        let after = text.get(window.len()..).unwrap_or_default();
        let is_clean = !window.ends_with(' ') && !after.starts_with([' ', ':', '-', '{']);
        let blank = window.trim_end().rfind(' ').filter(|at| !is_clean && *at > 0);
        let line = blank.and_then(|at| window.get(..at)).unwrap_or(window);
        lines.push(line.to_owned());
        text = text.get(line.len()..).unwrap_or_default();
        if blank.is_some() {
            text = text.trim_start_matches(' ');
        }
    }
    if !text.is_empty() {
        lines.push(text.to_owned());
    }
    lines
}
