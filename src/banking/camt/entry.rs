//! One `Ntry`: its values as they come by, and the line that they make.
//!
//! The elements of an entry are read in any order; only at its end are they weighed, so that everything that is wrong with
//! it is told at once.

use super::detail::{Charges, Code, Context, DetailDraft};
use super::tag::Tag;
use super::value::{self, Amount, CurrencyMark};
use crate::banking::{Direction, Line, Problem, Role, Severity, Status};
use crate::money::{Currency, Minor};
use chrono::NaiveDate;

/// How many details one entry may have. Real batches have up to tens of thousands; without a bound one entry could fill
/// the memory.
pub(super) const DETAIL_LIMIT: usize = 50_000;

/// An entry that is being read.
#[derive(Debug)]
pub(super) struct Draft {
    line: u64,
    ordinal: u64,
    reference: Option<String>,
    amount: Option<Amount>,
    direction: Option<Direction>,
    direction_text: Option<String>,
    reversal: bool,
    status: Option<String>,
    booked: Option<Day>,
    valued: Option<Day>,
    bank_ref: Option<String>,
    code: Code,
    info: Option<String>,
    charges: Charges,
    batch: Option<String>,
    details: Vec<DetailDraft>,
}

/// What surrounds an entry and decides how it is read.
pub(super) struct Around<'a> {
    pub(super) statement: usize,
    /// `Stmt`, `Rpt`, `Ntfctn`.
    pub(super) element: &'static str,
    pub(super) role: Role,
    pub(super) account: Option<&'a str>,
    pub(super) currency: Option<Currency>,
    /// Of the balances: of which day a booked entry without a date is.
    pub(super) day: Option<NaiveDate>,
    /// When the bank told of it.
    pub(super) created: Option<NaiveDate>,
}

#[derive(Debug)]
struct Day {
    text: String,
    date: Option<NaiveDate>,
}

impl Draft {
    pub(super) fn new(line: u64, ordinal: u64) -> Self {
        Draft {
            line,
            ordinal,
            reference: None,
            amount: None,
            direction: None,
            direction_text: None,
            reversal: false,
            status: None,
            booked: None,
            valued: None,
            bank_ref: None,
            code: Code::default(),
            info: None,
            charges: Charges::default(),
            batch: None,
            details: Vec::new(),
        }
    }

    /// A `TxDtls` begins; an error when there are too many.
    pub(super) fn begin_detail(&mut self) -> Result<(), String> {
        if self.details.len() >= DETAIL_LIMIT {
            return Err(format!("an entry has more than {DETAIL_LIMIT} details"));
        }
        self.details.push(DetailDraft::new(self.batch.clone()));
        Ok(())
    }

    /// Takes a value below `Ntry`.
    pub(super) fn take(&mut self, path: &[Tag], text: &str, mark: &CurrencyMark) {
        match path {
            [Tag::NtryDtls, Tag::TxDtls, rest @ ..] | [Tag::TxDtls, rest @ ..] => {
                if let Some(detail) = self.details.last_mut() {
                    detail.take(rest, text, mark);
                }
            }
            [Tag::Amt] => self.amount = Some(value::amount(text, mark)),
            [Tag::CdtDbtInd] => {
                self.direction = value::direction(text);
                self.direction_text = Some(text.to_owned());
            }
            [Tag::RvslInd] => self.reversal = value::yes(text),
            [Tag::Sts] | [Tag::Sts, Tag::Cd | Tag::Prtry] if !text.is_empty() => self.status = Some(text.to_owned()),
            [Tag::BookgDt] | [Tag::BookgDt, Tag::Dt | Tag::DtTm] => set_day(&mut self.booked, text),
            [Tag::ValDt] | [Tag::ValDt, Tag::Dt | Tag::DtTm] => set_day(&mut self.valued, text),
            [Tag::NtryRef] => self.reference = value::reference(text),
            [Tag::AcctSvcrRef] => self.bank_ref = value::reference(text),
            [Tag::BkTxCd, rest @ ..] => self.code.take(rest, text),
            [Tag::Chrgs, rest @ ..] => self.charges.take(rest, text, mark),
            [Tag::NtryDtls, Tag::Btch, Tag::PmtInfId] | [Tag::Btch, Tag::PmtInfId] => {
                self.batch = value::reference(text)
            }
            [Tag::AddtlNtryInf] => self.info = (!text.is_empty()).then(|| text.to_owned()),
            _ => {}
        }
    }

    /// A `Chrgs` or `Rcrd` ends at this level or in the last detail.
    pub(super) fn end_charge(&mut self, in_detail: bool) {
        match self.details.last_mut() {
            Some(detail) if in_detail => detail.charges.end_record(),
            _ => self.charges.end_record(),
        }
    }

    /// A `RtrInf` ends in the last detail.
    pub(super) fn end_return(&mut self) {
        if let Some(detail) = self.details.last_mut() {
            detail.end_return();
        }
    }

    /// The currency of its amount, also where it makes no line.
    pub(super) fn currency(&self) -> Option<Currency> {
        self.amount.as_ref().and_then(|amount| amount.as_ref().ok()).map(|(_, currency)| *currency)
    }

    /// The line, and all that is wrong with it; no line when it cannot be posted.
    pub(super) fn end(mut self, around: &Around) -> (Option<Line>, Vec<Problem>) {
        let mut problems = Vec::new();
        let at = format!("line {}, {} {}, Ntry {}", self.line, around.element, around.statement + 1, self.ordinal + 1);
        let mut tell = |place: &str, problem: String, severity: Severity| {
            let at = if place.is_empty() { at.clone() } else { format!("{at}, {place}") };
            problems.push(Problem { statement: Some(around.statement), at, problem, severity });
        };
        let amount = match self.amount.take() {
            Some(Ok(amount)) => Some(amount),
            Some(Err(text)) => {
                tell("Amt", text, Severity::Grave);
                None
            }
            None => {
                tell("Amt", "the entry has no amount".to_owned(), Severity::Grave);
                None
            }
        };
        if self.direction.is_none() {
            let text = match &self.direction_text {
                Some(text) => format!("\"{}\" is no direction: CRDT or DBIT is meant", value::shortened(text)),
                None => "the entry has no direction: CdtDbtInd is missing".to_owned(),
            };
            tell("CdtDbtInd", text, Severity::Grave);
        }
        if let (Some((_, currency)), Some(own)) = (amount, around.currency)
            && currency != own
        {
            tell("Amt", format!("the entry is in {currency}, the account in {own}"), Severity::Grave);
        }
        let status = self.read_status(around.role, &mut tell);
        let (booked_on, valued_on) = self.read_days(status, around, &mut tell);
        let (Some((amount, currency)), Some(direction), Some(booked_on)) = (amount, self.direction, booked_on) else {
            return (None, problems);
        };
        let line = self.into_line(at, amount, currency, direction, status, around);
        (Some(Line { booked_on: Some(booked_on), valued_on, ..line }), problems)
    }

    fn read_status(&self, role: Role, tell: &mut impl FnMut(&str, String, Severity)) -> Status {
        match self.status.as_deref() {
            Some("BOOK") => Status::Booked,
            Some("PDNG" | "FUTR") => Status::Pending,
            Some("INFO") => Status::Info,
            Some(other) => {
                let text = format!(
                    "the status \"{}\" is not known; the entry is shown and not booked",
                    value::shortened(other)
                );
                tell("Sts", text, Severity::Note);
                Status::Info
            }
            None if role == Role::Statement => {
                let text = "the entry has no status; in a statement it counts as booked".to_owned();
                tell("Sts", text, Severity::Note);
                Status::Booked
            }
            // Before the books of the day are closed, only what says that it is booked is.
            None => {
                let text = "the entry has no status; outside of a statement it counts as pending".to_owned();
                tell("Sts", text, Severity::Note);
                Status::Pending
            }
        }
    }

    /// The booking day, in its place the value date, then the day of the balances, outside of a statement the day on which
    /// the bank told of it; and the value date.
    fn read_days(
        &self,
        status: Status,
        around: &Around,
        tell: &mut impl FnMut(&str, String, Severity),
    ) -> (Option<NaiveDate>, Option<NaiveDate>) {
        for (place, day) in [("BookgDt", &self.booked), ("ValDt", &self.valued)] {
            if let Some(Day { text, date: None }) = day {
                tell(place, format!("\"{}\" is no date", value::shortened(text)), Severity::Quarantine);
            }
        }
        let booked = self.booked.as_ref().and_then(|d| d.date);
        let valued = self.valued.as_ref().and_then(|d| d.date);
        let mut day = booked.or(valued).or(around.day);
        if day.is_none() && (status != Status::Booked || around.role != Role::Statement) {
            // What is told during the day is of the day on which it is told; only a statement may be of another.
            day = around.created;
            if let Some(day) = day {
                tell("BookgDt", format!("the entry has no date; the bank told of it on {day}"), Severity::Note);
            }
        }
        if day.is_none() {
            tell("BookgDt", "neither the entry nor the balances have a date".to_owned(), Severity::Grave);
        }
        (day, valued)
    }

    fn into_line(
        mut self,
        at: String,
        amount: Minor,
        currency: Currency,
        direction: Direction,
        status: Status,
        around: &Around,
    ) -> Line {
        let only = self.details.len() <= 1;
        if self.details.is_empty() {
            self.details.push(DetailDraft::new(self.batch.take()));
        }
        let code = self.code.text().or_else(|| self.details.first().and_then(|d| d.code.text()));
        let bank_ref = self.bank_ref.or_else(|| match self.details.as_slice() {
            [single] => single.detail.bank_ref.clone(),
            _ => None,
        });
        let charges = self.charges.total(currency);
        let context =
            Context { currency, direction, code: code.as_deref(), reversal: self.reversal, account: around.account };
        let mut details = Vec::with_capacity(self.details.len());
        for draft in self.details {
            let mut detail = draft.end(&context);
            if only {
                detail.amount = detail.amount.or(Some(amount));
                detail.charges = detail.charges.or(charges);
            }
            details.push(detail);
        }
        Line {
            position: self.ordinal,
            at,
            amount,
            currency,
            direction,
            status,
            reversal: self.reversal,
            booked_on: None,
            valued_on: None,
            bank_ref,
            owner_ref: self.reference,
            code,
            info: self.info,
            details,
        }
    }
}

fn set_day(slot: &mut Option<Day>, text: &str) {
    if !text.is_empty() {
        *slot = Some(Day { text: text.to_owned(), date: value::date(text) });
    }
}
