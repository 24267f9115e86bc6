//! Elements of camt on a writer, each as the version wants it.

use super::camt::Version;
use super::{Entry, cut};
use crate::banking::camt::is_return_code;
use crate::banking::{Detail, Direction};
use crate::money::{Currency, Minor};
use chrono::NaiveDate;
use std::borrow::Cow;
use std::io::{self, Write};

pub(super) fn mark(direction: Direction) -> &'static str {
    match direction {
        Direction::Credit => "CRDT",
        Direction::Debit => "DBIT",
    }
}

/// Codes of the external lists have up to four letters and digits; what is longer is the bank's own.
pub(super) fn is_external_code(code: &str) -> bool {
    (1..=4).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A BIC by its shape; other banks are named by their clearing number.
fn is_bic(bank: &str) -> bool {
    matches!(bank.len(), 8 | 11)
        && bank.bytes().take(6).all(|b| b.is_ascii_uppercase())
        && bank.bytes().skip(6).all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// An IBAN by the pattern of the schema.
fn is_iban(account: &str) -> bool {
    (5..=34).contains(&account.len())
        && account.bytes().take(2).all(|b| b.is_ascii_uppercase())
        && account.bytes().skip(2).take(2).all(|b| b.is_ascii_digit())
        && account.bytes().skip(4).all(|b| b.is_ascii_alphanumeric())
}

/// Elements on a writer.
pub(super) struct Xml<W> {
    pub(super) out: W,
}

impl<W: Write> Xml<W> {
    pub(super) fn raw(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    pub(super) fn open(&mut self, name: &str) -> io::Result<()> {
        write!(self.out, "<{name}>")
    }

    pub(super) fn close(&mut self, name: &str) -> io::Result<()> {
        write!(self.out, "</{name}>")
    }

    pub(super) fn leaf(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.open(name)?;
        self.raw(&escaped(text))?;
        self.close(name)
    }

    pub(super) fn optional(&mut self, name: &str, text: Option<&str>) -> io::Result<()> {
        text.map_or(Ok(()), |text| self.leaf(name, text))
    }

    pub(super) fn amount(&mut self, text: &str, currency: Currency) -> io::Result<()> {
        write!(self.out, "<Amt Ccy=\"{currency}\">{text}</Amt>")
    }

    pub(super) fn day(&mut self, name: &str, day: NaiveDate) -> io::Result<()> {
        write!(self.out, "<{name}><Dt>{day}</Dt></{name}>")
    }

    pub(super) fn account_id(&mut self, account: &str) -> io::Result<()> {
        self.raw("<Id>")?;
        if is_iban(account) {
            self.leaf("IBAN", account)?;
        } else {
            self.raw("<Othr>")?;
            self.leaf("Id", account)?;
            self.raw("</Othr>")?;
        }
        self.raw("</Id>")
    }

    pub(super) fn bank(&mut self, bank: &str, version: Version) -> io::Result<()> {
        self.raw("<FinInstnId>")?;
        match version {
            Version::V02 if is_bic(bank) => self.leaf("BIC", bank)?,
            Version::V08 if is_bic(bank) => self.leaf("BICFI", bank)?,
            _ => {
                self.raw("<ClrSysMmbId>")?;
                self.leaf("MmbId", bank)?;
                self.raw("</ClrSysMmbId>")?;
            }
        }
        self.raw("</FinInstnId>")
    }

    pub(super) fn code(&mut self, code: Option<&str>) -> io::Result<()> {
        self.raw("<BkTxCd>")?;
        let parts: Vec<&str> = code.map(|code| code.split('/').collect()).unwrap_or_default();
        match (parts.as_slice(), code) {
            ([domain, family, sub_family], _) if parts.iter().all(|part| is_external_code(part)) => {
                self.raw("<Domn>")?;
                self.leaf("Cd", domain)?;
                self.raw("<Fmly>")?;
                self.leaf("Cd", family)?;
                self.leaf("SubFmlyCd", sub_family)?;
                self.raw("</Fmly></Domn>")?;
            }
            (_, Some(code)) => {
                self.raw("<Prtry>")?;
                self.leaf("Cd", code)?;
                self.raw("</Prtry>")?;
            }
            (_, None) => {}
        }
        self.raw("</BkTxCd>")
    }

    pub(super) fn references(&mut self, detail: &Detail, version: Version) -> io::Result<()> {
        let uetr = detail.uetr.as_deref().filter(|_| version == Version::V08);
        let references = [
            ("AcctSvcrRef", detail.bank_ref.as_deref()),
            ("PmtInfId", detail.payment_info_id.as_deref()),
            ("InstrId", detail.instruction_id.as_deref()),
            ("EndToEndId", detail.end_to_end_id.as_deref()),
            ("UETR", uetr),
            ("TxId", detail.transaction_id.as_deref()),
            ("MndtId", detail.mandate_id.as_deref()),
        ];
        if references.iter().all(|(_, text)| text.is_none()) {
            return Ok(());
        }
        self.raw("<Refs>")?;
        for (name, text) in references {
            self.optional(name, text)?;
        }
        self.raw("</Refs>")
    }

    pub(super) fn charges(&mut self, charges: Minor, currency: Currency, version: Version) -> io::Result<()> {
        self.raw("<Chrgs>")?;
        match version {
            Version::V02 => self.amount(&charges.to_text(currency), currency)?,
            Version::V08 => {
                let text = charges.to_text(currency);
                write!(self.out, "<TtlChrgsAndTaxAmt Ccy=\"{currency}\">{text}</TtlChrgsAndTaxAmt>")?;
            }
        }
        self.raw("</Chrgs>")
    }

    /// Both sides, each where it belongs: the other party is the debtor of a credit, and its creditor when it comes back.
    pub(super) fn parties(&mut self, detail: &Detail, entry: &Entry, version: Version) -> io::Result<()> {
        let is_return = detail.return_reason.is_some() || is_return_code(entry.code.as_deref());
        let comes_back = is_return || entry.reversal;
        let is_credit = detail.direction.unwrap_or(entry.direction) == Direction::Credit;
        let other_is_debtor = is_credit != comes_back;
        let other = (&detail.counterparty_name, &detail.counterparty_account, &detail.ultimate_name);
        let ours = (&None, &detail.own_account, &None);
        let sides = if other_is_debtor { [("Dbtr", other), ("Cdtr", ours)] } else { [("Dbtr", ours), ("Cdtr", other)] };
        if sides.iter().any(|(_, (name, account, ultimate))| name.is_some() || account.is_some() || ultimate.is_some())
        {
            self.raw("<RltdPties>")?;
            for (side, (name, account, ultimate)) in sides {
                self.party(side, name.as_deref(), version)?;
                if let Some(account) = account {
                    write!(self.out, "<{side}Acct>")?;
                    self.account_id(account)?;
                    write!(self.out, "</{side}Acct>")?;
                }
                self.party(&format!("Ultmt{side}"), ultimate.as_deref(), version)?;
            }
            self.raw("</RltdPties>")?;
        }
        if let Some(bank) = &detail.counterparty_bank {
            let side = if other_is_debtor { "DbtrAgt" } else { "CdtrAgt" };
            self.raw("<RltdAgts>")?;
            self.open(side)?;
            self.bank(bank, version)?;
            self.close(side)?;
            self.raw("</RltdAgts>")?;
        }
        Ok(())
    }

    pub(super) fn party(&mut self, element: &str, name: Option<&str>, version: Version) -> io::Result<()> {
        let Some(name) = name else { return Ok(()) };
        let name = cut(name, 140);
        self.open(element)?;
        match version {
            Version::V02 => self.leaf("Nm", name)?,
            Version::V08 => {
                self.raw("<Pty>")?;
                self.leaf("Nm", name)?;
                self.raw("</Pty>")?;
            }
        }
        self.close(element)
    }

    pub(super) fn remittance(&mut self, detail: &Detail) -> io::Result<()> {
        if detail.remittance.is_none() && detail.creditor_reference.is_none() && detail.invoice.is_none() {
            return Ok(());
        }
        self.raw("<RmtInf>")?;
        for part in detail.remittance.as_deref().map(parts).unwrap_or_default() {
            self.leaf("Ustrd", part)?;
        }
        if detail.creditor_reference.is_some() || detail.invoice.is_some() {
            self.raw("<Strd>")?;
            if let Some(invoice) = &detail.invoice {
                self.raw("<RfrdDocInf>")?;
                self.leaf("Nb", invoice)?;
                self.raw("</RfrdDocInf>")?;
            }
            if let Some(reference) = &detail.creditor_reference {
                self.raw("<CdtrRefInf>")?;
                self.leaf("Ref", reference)?;
                self.raw("</CdtrRefInf>")?;
            }
            self.raw("</Strd>")?;
        }
        self.raw("</RmtInf>")
    }
}

/// Parts of at most 140 characters that a reader puts together to the same text: it adds a blank behind a part that is not
/// full, so a part is cut at a blank, which is left out, or else is full.
fn parts(mut text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    while text.chars().count() > 140 {
        let window = cut(text, 140);
        let part = match window.rfind(' ').filter(|at| *at > 0) {
            Some(blank) => window.get(..blank).unwrap_or(window),
            None => window,
        };
        parts.push(part);
        text = text.get(part.len()..).unwrap_or_default();
        text = text.strip_prefix(' ').unwrap_or(text);
    }
    parts.push(text);
    parts
}

/// The text with XML's own characters escaped and control characters, which XML cannot carry, as blanks.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| matches!(c, '&' | '<' | '>' | '\u{fffe}' | '\u{ffff}') || c.is_control()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}
