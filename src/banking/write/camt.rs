//! camt.052, .053 and .054 in the versions 001.02 and 001.08: they differ in names, and a notification has no balances.

use super::xml::{Xml, is_external_code, mark};
use super::{Entry, Statement, Totals, cut};
use crate::banking::findings::sum_text;
use crate::banking::{Balance, Detail, Direction, Role, Status};
use crate::money::Currency;
use std::borrow::Borrow;
use std::io::{self, Write};

/// A version of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 001.02: what most banks sent until 2025. It carries neither `UETR` nor the direction of a detail.
    V02,
    /// 001.08: the one that CBPR+ and the SEPA rulebooks name.
    V08,
}

impl Version {
    fn name(self) -> &'static str {
        match self {
            Version::V02 => "001.02",
            Version::V08 => "001.08",
        }
    }
}

/// What the messages are called, by what they are to the account: format, message, the element of one account, its pages.
fn names(role: Role) -> [&'static str; 4] {
    match role {
        Role::Report => ["camt.052", "BkToCstmrAcctRpt", "Rpt", "RptPgntn"],
        Role::Statement => ["camt.053", "BkToCstmrStmt", "Stmt", "StmtPgntn"],
        Role::Notification => ["camt.054", "BkToCstmrDbtCdtNtfctn", "Ntfctn", "NtfctnPgntn"],
    }
}

/// A camt.053, unless begun otherwise.
pub type Camt053<W> = Camt<W>;

/// A file that is being written: begin, one or more statements, end.
pub struct Camt<W> {
    xml: Xml<W>,
    role: Role,
    version: Version,
}

impl<W: Write> Camt<W> {
    /// Writes the head of a camt.053.
    pub fn begin(out: W, version: Version, message_id: &str, created: chrono::NaiveDateTime) -> io::Result<Self> {
        Self::begin_as(Role::Statement, out, version, message_id, created)
    }

    /// Writes the head of the message that has this role: camt.052 for a report, camt.054 for a notification.
    pub fn begin_as(
        role: Role,
        out: W,
        version: Version,
        message_id: &str,
        created: chrono::NaiveDateTime,
    ) -> io::Result<Self> {
        let mut xml = Xml { out };
        let [format, message, ..] = names(role);
        xml.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:")?;
        xml.raw(&format!("{format}.{}\"><{message}><GrpHdr>", version.name()))?;
        xml.leaf("MsgId", message_id)?;
        xml.leaf("CreDtTm", &created.format("%Y-%m-%dT%H:%M:%S").to_string())?;
        xml.raw("</GrpHdr>\n")?;
        Ok(Camt { xml, role, version })
    }

    /// Writes a statement, report or notification; its lines are pulled one by one. Of a notification's balances nothing is
    /// written; the closing one of a report is where the day stands.
    pub fn statement<E: Borrow<Entry>>(
        &mut self,
        statement: &Statement,
        entries: impl IntoIterator<Item = E>,
    ) -> io::Result<()> {
        let currency = statement.currency;
        self.head(statement)?;
        let closing = if self.role == Role::Report { "ITBD" } else { "CLBD" };
        for (balance, day, page) in [(statement.opening, "OPBD", "ITBD"), (statement.closing, closing, "ITBD")] {
            if let Some(balance) = balance
                && self.role != Role::Notification
            {
                self.balance(if balance.intermediate { page } else { day }, balance)?;
            }
        }
        if let Some(totals) = statement.totals {
            self.totals(totals, currency)?;
        }
        for entry in entries {
            self.entry(entry.borrow(), currency)?;
        }
        let [.., element, _] = names(self.role);
        self.xml.close(element)?;
        self.xml.raw("\n")
    }

    /// Writes the end of the message.
    pub fn end(mut self) -> io::Result<W> {
        let [_, message, ..] = names(self.role);
        self.xml.close(message)?;
        self.xml.raw("</Document>\n")?;
        self.xml.out.flush()?;
        Ok(self.xml.out)
    }

    fn head(&mut self, statement: &Statement) -> io::Result<()> {
        let version = self.version;
        let [.., element, pages] = names(self.role);
        let xml = &mut self.xml;
        xml.open(element)?;
        xml.leaf("Id", &statement.id)?;
        // Version 02 has pages for the whole message only, in a place that is written already.
        if let (Some((page, last)), Version::V08) = (statement.page, version) {
            xml.open(pages)?;
            xml.leaf("PgNb", &page.to_string())?;
            xml.leaf("LastPgInd", if last { "true" } else { "false" })?;
            xml.close(pages)?;
        }
        xml.leaf("ElctrncSeqNb", &statement.number.to_string())?;
        xml.leaf("CreDtTm", &statement.created.format("%Y-%m-%dT%H:%M:%S").to_string())?;
        if let Some((from, to)) = statement.period {
            xml.raw("<FrToDt>")?;
            xml.leaf("FrDtTm", &format!("{from}T00:00:00"))?;
            xml.leaf("ToDtTm", &format!("{to}T23:59:59"))?;
            xml.raw("</FrToDt>")?;
        }
        if statement.copy {
            xml.leaf("CpyDplctInd", "DUPL")?;
        }
        xml.raw("<Acct>")?;
        xml.account_id(&statement.account)?;
        xml.leaf("Ccy", statement.currency.code())?;
        if let Some(servicer) = &statement.servicer {
            xml.raw("<Svcr>")?;
            xml.bank(servicer, version)?;
            xml.raw("</Svcr>")?;
        }
        xml.raw("</Acct>")?;
        if let Some(account) = &statement.related_account {
            xml.raw("<RltdAcct>")?;
            xml.account_id(account)?;
            xml.raw("</RltdAcct>")?;
        }
        Ok(())
    }

    fn balance(&mut self, code: &str, balance: Balance) -> io::Result<()> {
        let xml = &mut self.xml;
        let direction = if balance.amount.0 < 0 { Direction::Debit } else { Direction::Credit };
        xml.raw("<Bal><Tp><CdOrPrtry>")?;
        xml.leaf("Cd", code)?;
        xml.raw("</CdOrPrtry></Tp>")?;
        xml.amount(&balance.amount.to_text(balance.currency).replace('-', ""), balance.currency)?;
        xml.leaf("CdtDbtInd", mark(direction))?;
        xml.day("Dt", balance.on)?;
        xml.raw("</Bal>")
    }

    fn totals(&mut self, totals: Totals, currency: Currency) -> io::Result<()> {
        let groups = [
            ("TtlNtries", totals.credit_count + totals.debit_count, totals.credit_sum + totals.debit_sum),
            ("TtlCdtNtries", totals.credit_count, totals.credit_sum),
            ("TtlDbtNtries", totals.debit_count, totals.debit_sum),
        ];
        self.xml.raw("<TxsSummry>")?;
        for (name, count, sum) in groups {
            self.xml.open(name)?;
            self.xml.leaf("NbOfNtries", &count.to_string())?;
            self.xml.leaf("Sum", &sum_text(sum, currency))?;
            self.xml.close(name)?;
        }
        self.xml.raw("</TxsSummry>\n")
    }

    fn entry(&mut self, entry: &Entry, currency: Currency) -> io::Result<()> {
        let version = self.version;
        let xml = &mut self.xml;
        xml.raw("<Ntry>")?;
        xml.optional("NtryRef", entry.owner_ref.as_deref())?;
        xml.amount(&entry.amount.to_text(currency), currency)?;
        xml.leaf("CdtDbtInd", mark(entry.direction))?;
        if entry.reversal {
            xml.leaf("RvslInd", "true")?;
        }
        let status = match entry.status {
            Status::Booked => "BOOK",
            Status::Pending => "PDNG",
            Status::Info => "INFO",
        };
        match version {
            Version::V02 => xml.leaf("Sts", status)?,
            Version::V08 => {
                xml.raw("<Sts>")?;
                xml.leaf("Cd", status)?;
                xml.raw("</Sts>")?;
            }
        }
        xml.day("BookgDt", entry.booked_on)?;
        xml.day("ValDt", entry.valued_on)?;
        xml.optional("AcctSvcrRef", entry.bank_ref.as_deref())?;
        xml.code(entry.code.as_deref())?;
        if !entry.details.is_empty() {
            xml.raw("<NtryDtls>")?;
            for detail in &entry.details {
                self.detail(detail, entry, currency)?;
            }
            self.xml.raw("</NtryDtls>")?;
        }
        self.xml.optional("AddtlNtryInf", entry.info.as_deref().map(|info| cut(info, 500)))?;
        self.xml.raw("</Ntry>\n")
    }

    fn detail(&mut self, detail: &Detail, entry: &Entry, currency: Currency) -> io::Result<()> {
        let version = self.version;
        let xml = &mut self.xml;
        xml.raw("<TxDtls>")?;
        xml.references(detail, version)?;
        if let Some(amount) = detail.amount {
            let text = amount.to_text(currency);
            match version {
                Version::V08 => xml.amount(&text, currency)?,
                Version::V02 => {
                    xml.raw("<AmtDtls><TxAmt>")?;
                    xml.amount(&text, currency)?;
                    xml.raw("</TxAmt></AmtDtls>")?;
                }
            }
        }
        if let (Some(direction), Version::V08) = (detail.direction, version) {
            xml.leaf("CdtDbtInd", mark(direction))?;
        }
        if let Some(charges) = detail.charges {
            xml.charges(charges, currency, version)?;
        }
        xml.parties(detail, entry, version)?;
        if let Some(purpose) = &detail.purpose {
            xml.raw("<Purp>")?;
            xml.leaf(if is_external_code(purpose) { "Cd" } else { "Prtry" }, purpose)?;
            xml.raw("</Purp>")?;
        }
        xml.remittance(detail)?;
        if let Some(reason) = &detail.return_reason {
            xml.raw("<RtrInf>")?;
            if reason != "unspecified" {
                xml.raw("<Rsn>")?;
                xml.leaf(if is_external_code(reason) { "Cd" } else { "Prtry" }, reason)?;
                xml.raw("</Rsn>")?;
            }
            xml.raw("</RtrInf>")?;
        }
        xml.optional("AddtlTxInf", detail.info.as_deref().map(|info| cut(info, 500)))?;
        xml.raw("</TxDtls>")
    }
}
