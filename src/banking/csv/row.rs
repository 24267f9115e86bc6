//! One row of a CSV file: whose account it is of, and the line that it tells.

use super::profile::{Column, Profile, Signs};
use super::value::{day, shortened};
use crate::banking::{Detail, Direction, Line, Severity, Status};
use crate::money::{Currency, Minor};
use csv::StringRecord;

/// Where the columns of a profile stand.
pub(super) struct Places {
    account: Option<usize>,
    currency: Option<usize>,
    booked_on: usize,
    valued_on: Option<usize>,
    amount: Option<usize>,
    mark: Option<usize>,
    credit: Option<usize>,
    debit: Option<usize>,
    balance: Option<usize>,
    charges: Option<usize>,
    status: Option<usize>,
    bank_ref: Option<usize>,
    owner_ref: Option<usize>,
    end_to_end_id: Option<usize>,
    instruction_id: Option<usize>,
    mandate_id: Option<usize>,
    counterparty_name: Option<usize>,
    counterparty_account: Option<usize>,
    counterparty_bank: Option<usize>,
    own_account: Option<usize>,
    creditor_reference: Option<usize>,
    invoice: Option<usize>,
    code: Option<usize>,
    info: Option<usize>,
    remittance: Vec<usize>,
}

impl Places {
    /// All of them were checked with the profile.
    pub(super) fn new(profile: &Profile) -> Places {
        let at = |column: &Option<Column>| column.as_ref().and_then(|c| profile.place(c).ok());
        let Profile { account, dates, amount, status, fields, .. } = profile;
        Places {
            account: at(&account.number_column),
            currency: at(&account.currency_column),
            booked_on: profile.place(&dates.booked_on).unwrap_or(usize::MAX),
            valued_on: at(&dates.valued_on),
            amount: at(&amount.column),
            mark: at(&amount.mark),
            credit: at(&amount.credit),
            debit: at(&amount.debit),
            balance: at(&amount.balance),
            charges: at(&amount.charges),
            status: status.as_ref().and_then(|s| profile.place(&s.column).ok()),
            bank_ref: at(&fields.bank_ref),
            owner_ref: at(&fields.owner_ref),
            end_to_end_id: at(&fields.end_to_end_id),
            instruction_id: at(&fields.instruction_id),
            mandate_id: at(&fields.mandate_id),
            counterparty_name: at(&fields.counterparty_name),
            counterparty_account: at(&fields.counterparty_account),
            counterparty_bank: at(&fields.counterparty_bank),
            own_account: at(&fields.own_account),
            creditor_reference: at(&fields.creditor_reference),
            invoice: at(&fields.invoice),
            code: at(&fields.code),
            info: at(&fields.info),
            remittance: fields.remittance.iter().filter_map(|c| profile.place(c).ok()).collect(),
        }
    }
}

/// A row that tells of a line, readable or not.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) account: Option<String>,
    pub(super) currency: Option<Currency>,
    /// The line, without its position, and the balance after it.
    pub(super) entry: Option<(Line, Option<Minor>)>,
    pub(super) problems: Vec<(String, Severity)>,
}

/// Account and currency that the file, or the profile for it, gives once for all rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Fixed {
    pub(super) account: Option<String>,
    pub(super) currency: Option<Currency>,
}

/// Reads rows as a profile says.
pub(super) struct Rows<'a> {
    pub(super) profile: &'a Profile,
    pub(super) places: &'a Places,
    pub(super) fixed: &'a Fixed,
}

impl Rows<'_> {
    /// What a row tells; `None` when the profile leaves it out.
    pub(super) fn read(&self, cells: &StringRecord, line: u64) -> Option<Row> {
        let mut row = Row { line, account: None, currency: None, entry: None, problems: Vec::new() };
        let (found, width) = (cells.len(), self.profile.width());
        let surplus = cells.iter().skip(width).any(|c| !c.trim().is_empty());
        row.account = self.fixed.account.clone().or_else(|| number(cells, self.places.account));
        row.currency = self.fixed.currency;
        if let Some(code) = text(cells, self.places.currency) {
            match code.parse() {
                Ok(currency) => row.currency = Some(currency),
                Err(problem) => row.problems.push((format!("{problem}"), Severity::Grave)),
            }
        }
        if found < width || surplus {
            let text = format!("the row has {found} cells, the file {width} columns");
            row.problems.push((text, Severity::Grave));
            return Some(row);
        }
        let status = match self.status(cells) {
            Ok(status) => status?,
            Err(problem) => {
                row.problems.push((problem, Severity::Grave));
                return Some(row);
            }
        };
        row.entry = self.entry(cells, status, row.currency, line, &mut row.problems);
        Some(row)
    }

    /// `Ok(None)`: rows of this status are left out.
    fn status(&self, cells: &StringRecord) -> Result<Option<Status>, String> {
        let Some(statuses) = &self.profile.status else { return Ok(Some(Status::Booked)) };
        let said = text(cells, self.places.status).unwrap_or_default();
        let is = |list: &[String]| list.contains(&said);
        if is(&statuses.booked) {
            Ok(Some(Status::Booked))
        } else if is(&statuses.pending) {
            Ok(Some(Status::Pending))
        } else if is(&statuses.information) {
            Ok(Some(Status::Info))
        } else if is(&statuses.leave_out) {
            Ok(None)
        } else {
            let said = shortened(&said);
            Err(format!("the profile does not say what the status \"{said}\" means: put it into one of its lists"))
        }
    }

    fn entry(
        &self,
        cells: &StringRecord,
        status: Status,
        currency: Option<Currency>,
        line: u64,
        problems: &mut Vec<(String, Severity)>,
    ) -> Option<(Line, Option<Minor>)> {
        let (places, numbers) = (self.places, self.profile.amount.numbers);
        let formats = &self.profile.dates.parsed;
        let Some(currency) = currency else {
            problems.push(("the row has no currency".to_owned(), Severity::Grave));
            return None;
        };
        // All that is wrong with a row is told at once.
        let booked_on = match text(cells, Some(places.booked_on)) {
            Some(text) => day(&text, formats),
            None => Err("the row has no booking day".to_owned()),
        };
        let signed = self.signed(cells, currency);
        let balance = match text(cells, places.balance) {
            Some(text) => numbers.amount(&text, currency).map(Some).map_err(|e| format!("the balance: {e}")),
            None => Ok(None),
        };
        let wrong = [booked_on.as_ref().err(), signed.as_ref().err(), balance.as_ref().err()];
        problems.extend(wrong.into_iter().flatten().map(|problem| (problem.clone(), Severity::Grave)));
        let (booked_on, signed, balance) = (booked_on.ok()?, signed.ok()?, balance.ok()?);
        let mut note = |problem: String| problems.push((problem, Severity::Note));
        let valued_on = text(cells, places.valued_on)
            .and_then(|text| day(&text, formats).map_err(|e| note(format!("the value date: {e}"))).ok());
        let charges = text(cells, places.charges).and_then(|text| {
            let read = numbers.amount(&text, currency).and_then(|charge| magnitude(charge).ok_or_else(too_large));
            read.map_err(|e| note(format!("the charges: {e}"))).ok()
        });
        let Some(amount) = magnitude(signed) else {
            problems.push((too_large(), Severity::Grave));
            return None;
        };
        let detail = Detail { amount: Some(amount), charges: charges.filter(|c| !c.is_zero()), ..self.detail(cells) };
        let line = Line {
            position: 0,
            at: format!("line {line}"),
            amount,
            currency,
            direction: if signed.0 < 0 { Direction::Debit } else { Direction::Credit },
            status,
            reversal: false,
            booked_on: Some(booked_on),
            valued_on,
            bank_ref: text(cells, places.bank_ref),
            owner_ref: text(cells, places.owner_ref),
            code: text(cells, places.code),
            info: text(cells, places.info),
            details: vec![detail],
        };
        Some((line, balance))
    }

    fn detail(&self, cells: &StringRecord) -> Detail {
        let places = self.places;
        let remittance: Vec<String> = places.remittance.iter().filter_map(|at| text(cells, Some(*at))).collect();
        Detail {
            end_to_end_id: text(cells, places.end_to_end_id).filter(|id| id != "NOTPROVIDED"),
            instruction_id: text(cells, places.instruction_id),
            mandate_id: text(cells, places.mandate_id),
            counterparty_name: text(cells, places.counterparty_name),
            counterparty_account: number(cells, places.counterparty_account),
            counterparty_bank: text(cells, places.counterparty_bank),
            own_account: number(cells, places.own_account),
            creditor_reference: number(cells, places.creditor_reference),
            invoice: text(cells, places.invoice),
            remittance: (!remittance.is_empty()).then(|| remittance.join(" ")),
            ..Detail::default()
        }
    }

    /// The amount with the sign that it has for the account: credits positive.
    fn signed(&self, cells: &StringRecord, currency: Currency) -> Result<Minor, String> {
        let (places, rules) = (self.places, &self.profile.amount);
        let read = |at: Option<usize>| match text(cells, at) {
            Some(text) => rules.numbers.amount(&text, currency).map(Some),
            None => Ok(None),
        };
        let signed = if places.amount.is_some() {
            let amount = read(places.amount)?.ok_or("the row has no amount")?;
            match &rules.mark {
                None => i128::from(amount.0),
                Some(_) => self.by_mark(cells, unsigned(amount, rules.signs, "the mark")?)?,
            }
        } else {
            let some = |amount: Option<Minor>| amount.filter(|a| !a.is_zero());
            let (credit, debit) = (read(places.credit)?, read(places.debit)?);
            match (some(credit), some(debit)) {
                (Some(_), Some(_)) => return Err("the row has both a credit and a debit".to_owned()),
                (Some(credit), None) => unsigned(credit, rules.signs, "the column")?,
                (None, Some(debit)) if rules.signs == Signs::DebitsNegative => match debit.0 {
                    ..=0 => i128::from(debit.0),
                    _ => return Err("the debit has no minus, which the profile says that it has".to_owned()),
                },
                (None, Some(debit)) => -unsigned(debit, rules.signs, "the column")?,
                (None, None) if credit.or(debit).is_some() => 0,
                (None, None) => return Err("the row has neither a credit nor a debit".to_owned()),
            }
        };
        Minor::from_sum(if rules.inverse { -signed } else { signed }).map_err(|e| e.to_string())
    }

    fn by_mark(&self, cells: &StringRecord, amount: i128) -> Result<i128, String> {
        let rules = &self.profile.amount;
        let mark = text(cells, self.places.mark).unwrap_or_default();
        if rules.credit_marks.contains(&mark) {
            Ok(amount)
        } else if rules.debit_marks.contains(&mark) {
            Ok(-amount)
        } else {
            Err(format!("the mark \"{}\" is neither in credit_marks nor in debit_marks", shortened(&mark)))
        }
    }
}

/// An amount whose direction something else says.
fn unsigned(amount: Minor, signs: Signs, what: &str) -> Result<i128, String> {
    match signs {
        Signs::Ignored => Ok(i128::from(amount.0).abs()),
        _ if amount.0 >= 0 => Ok(i128::from(amount.0)),
        _ => Err(format!(
            "the amount has a minus, though {what} says its direction: amount.signs in the profile says what that means"
        )),
    }
}

fn magnitude(amount: Minor) -> Option<Minor> {
    amount.0.checked_abs().map(Minor)
}

fn too_large() -> String {
    "the amount is too large".to_owned()
}

/// A cell as text: single blanks, no control characters; `None` when it is empty.
pub(super) fn text(cells: &StringRecord, at: Option<usize>) -> Option<String> {
    let cell = cells.get(at?)?;
    let clean = cell.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let words: Vec<&str> = clean.collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// An account or reference: no blanks at all.
fn number(cells: &StringRecord, at: Option<usize>) -> Option<String> {
    text(cells, at).map(|t| t.replace(' ', ""))
}
