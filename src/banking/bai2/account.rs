//! One account of a BAI2 group, which is a statement: its balances, its entries, and what they add up to.

use super::record::{Fields, Record, amount, date, funds, shortened};
use super::types::{Meaning, Types};
use crate::banking::{Balance, Declared, Detail, Direction, Event, Foot, Format, Head, Line, Problem, Role};
use crate::banking::{Severity, Status};
use crate::money::{Currency, Minor};
use chrono::NaiveDate;
use std::collections::VecDeque;

/// What the group says of all its accounts.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) originator: Option<String>,
    pub(super) as_of: Option<NaiveDate>,
    pub(super) currency: Option<String>,
    /// The books of the day, or the day so far.
    pub(super) same_day: bool,
    /// What is wrong with the group is wrong with each of its statements.
    pub(super) problems: Vec<(String, String, Severity)>,
    /// The first statement of it.
    pub(super) first: usize,
    /// Control totals as they should be, and as the accounts give them.
    pub(super) found: i128,
    pub(super) declared: i128,
    pub(super) accounts: u64,
    pub(super) records: u64,
}

/// An account that is being read.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) index: usize,
    line: u64,
    currency: Option<Currency>,
    as_of: Option<NaiveDate>,
    role: Role,
    closing: Option<Balance>,
    foot: Foot,
    /// Signed sum of all amounts, which the `49` repeats.
    pub(super) control: i128,
    /// An amount could not be read, so the sum is not known.
    pub(super) unread: bool,
    pub(super) records: u64,
}

/// A balance or a total of an `03`.
struct Summary {
    kind: String,
    amount: Option<Minor>,
    count: Option<u64>,
}

impl Account {
    /// Begins a statement with its `03`.
    pub(super) fn begin(
        index: usize,
        record: &Record,
        group: &Group,
        message_id: Option<String>,
        second_version: bool,
        ready: &mut VecDeque<Event>,
    ) -> Account {
        let role = if group.same_day { Role::Report } else { Role::Statement };
        let mut account = Account {
            index,
            line: record.line,
            currency: None,
            as_of: group.as_of,
            role,
            closing: None,
            foot: Foot::default(),
            control: 0,
            unread: false,
            records: 0,
        };
        let mut told: Vec<(String, Severity)> = Vec::new();
        let mut fields = record.fields();
        let number = fields.some();
        account.currency = currency(fields.some(), group, &mut told);
        if number.is_none() {
            told.push(("the 03 names no account".to_owned(), Severity::Grave));
        }
        if record.overlong {
            told.push(("the 03 and its 88 are too long to be read".to_owned(), Severity::Grave));
        }
        let summaries = match summaries(record, second_version, account.currency) {
            Ok(summaries) => summaries,
            Err(problem) => {
                account.unread = true;
                told.push((problem, Severity::Grave));
                Vec::new()
            }
        };
        let opening = account.take_summaries(&summaries, &mut told);
        let head = Head {
            index,
            at: account.at(),
            format: Format::Bai2,
            role,
            version: Format::Bai2.as_str().to_owned(),
            message_id,
            account: number.map(|n| n.replace(' ', "")),
            servicer: group.originator.clone(),
            related_account: None,
            currency: account.currency,
            id: None,
            number: None,
            page: None,
            last_page: None,
            copy: false,
            from: group.as_of,
            to: group.as_of,
            opening,
        };
        ready.push_back(Event::Begin(Box::new(head)));
        for (at, problem, severity) in &group.problems {
            let at = at.clone();
            ready.push_back(problem_event(index, at, problem.clone(), *severity));
        }
        for (problem, severity) in told {
            ready.push_back(problem_event(index, account.at(), problem, severity));
        }
        account
    }

    fn at(&self) -> String {
        format!("line {}, account {}", self.line, self.index + 1)
    }

    /// Balances and totals: 010 opening, 015 closing, 100 and 400 the sums of credits and debits. Others are looked at for
    /// the control total only.
    fn take_summaries(&mut self, all: &[Summary], told: &mut Vec<(String, Severity)>) -> Option<Balance> {
        let mut opening: Option<Balance> = None;
        let mut declared = Declared::default();
        for summary in all {
            let Some(minor) = summary.amount else { continue };
            self.control = self.control.saturating_add(i128::from(minor.0));
            let balance = self.currency.zip(self.as_of).map(|(currency, on)| Balance {
                amount: minor,
                currency,
                on,
                intermediate: false,
            });
            let slot = match summary.kind.as_str() {
                "010" => &mut opening,
                "015" => &mut self.closing,
                "100" => {
                    declared.credit_sum = Some(i128::from(minor.0));
                    declared.credit_count = summary.count;
                    continue;
                }
                "400" => {
                    declared.debit_sum = Some(i128::from(minor.0));
                    declared.debit_count = summary.count;
                    continue;
                }
                _ => continue,
            };
            if slot.is_some() && *slot != balance {
                let text = format!("the 03 gives two different balances of type {}", summary.kind);
                told.push((text, Severity::Quarantine));
            }
            *slot = balance;
        }
        // What a report has summed up so far and what it lists since its last one need not be the same.
        if self.role == Role::Statement {
            self.foot.declared = declared;
        }
        opening
    }

    /// Takes a `16`.
    pub(super) fn entry(&mut self, record: &Record, types: &Types, second_version: bool, ready: &mut VecDeque<Event>) {
        let ordinal = self.foot.line_count;
        self.foot.line_count += 1;
        let at = format!("line {}, account {}, entry {}", record.line, self.index + 1, ordinal + 1);
        if record.overlong {
            let text = "the text of the entry is too long; its end was left out".to_owned();
            ready.push_back(problem_event(self.index, at.clone(), text, Severity::Note));
        }
        let mut fields = record.fields();
        let (kind, figure) = (fields.text(), fields.text());
        let meaning = types.meaning(kind);
        let minor = match (&meaning, figure) {
            (Ok(Meaning::Information), "") => Ok(Minor(0)),
            _ => amount(figure, self.currency),
        };
        match &minor {
            Ok(minor) => self.control = self.control.saturating_add(i128::from(minor.0)),
            Err(_) => self.unread = true,
        }
        let read = meaning.and_then(|meaning| {
            let minor = minor?;
            if figure.starts_with('-') {
                let text = format!("the amount {figure} has a sign, but the type of an entry says its direction");
                return Err(text);
            }
            let currency = self.currency.ok_or("the entry has no currency that is known")?;
            let valued_on = funds(&mut fields)?;
            Ok(Read { kind: kind.to_owned(), meaning, amount: minor, currency, valued_on })
        });
        let read = match read {
            Ok(read) => read,
            Err(problem) => return ready.push_back(problem_event(self.index, at, problem, Severity::Grave)),
        };
        if matches!(kind, "100" | "400") {
            let text = format!("the entry has the type {kind}, which is a total and no single booking");
            ready.push_back(problem_event(self.index, at.clone(), text, Severity::Quarantine));
        }
        let line = read.into_line(fields, (ordinal, at), self.as_of, second_version);
        self.count(&line);
        ready.push_back(Event::Line(Box::new(line)));
    }

    fn count(&mut self, line: &Line) {
        // What tells of no money is of neither side.
        if line.status == Status::Info {
            return;
        }
        let amount = i128::from(line.amount.0);
        match line.direction {
            Direction::Credit => {
                self.foot.credit_total += amount;
                self.foot.credit_count += 1;
            }
            Direction::Debit => {
                self.foot.debit_total += amount;
                self.foot.debit_count += 1;
            }
        }
        self.foot.booked_sum += i128::from(line.signed().0);
    }

    /// The `49` is there, or the file goes on without it. Gives the control total as the account gives it.
    pub(super) fn end(self, record: Option<&Record>, second_version: bool, ready: &mut VecDeque<Event>) -> i128 {
        let Account { index, control, unread, records, .. } = self;
        let at = self.at();
        let mut tell = |problem: String, severity: Severity| {
            ready.push_back(problem_event(index, at.clone(), problem, severity));
        };
        let mut declared = control;
        match record {
            None => tell("the account has no 49 at its end, so it is not complete".to_owned(), Severity::Grave),
            Some(record) => {
                let mut fields = record.fields();
                let (total, count) = (fields.text(), fields.text());
                match amount(total, self.currency) {
                    Ok(total) => declared = i128::from(total.0),
                    Err(problem) => tell(format!("line {}: the 49: {problem}", record.line), Severity::Quarantine),
                }
                if declared != control && !unread {
                    let text = format!(
                        "line {}: the control total of the 49 is {declared}, but the amounts add up to {control}: the file was changed or is not complete",
                        record.line
                    );
                    tell(text, Severity::Quarantine);
                }
                if second_version && let Some(text) = wrong_count(record, count, records) {
                    tell(text, Severity::Quarantine);
                }
            }
        }
        let foot = Foot { closing: self.closing, ..self.foot };
        ready.push_back(Event::End(Box::new(foot)));
        declared
    }

    /// The file ends inside of the account.
    pub(super) fn cut(self, line: u64, ready: &mut VecDeque<Event>) {
        let problem = format!("the statement is not complete: its file cannot be read beyond line {line}");
        ready.push_back(problem_event(self.index, self.at(), problem, Severity::Grave));
    }
}

/// An entry whose money is clear.
struct Read {
    kind: String,
    meaning: Meaning,
    amount: Minor,
    currency: Currency,
    valued_on: Option<NaiveDate>,
}

impl Read {
    /// The rest of the record: references and text. Files before version 2 have one reference only.
    fn into_line(
        self,
        mut fields: Fields<'_>,
        (position, at): (u64, String),
        booked_on: Option<NaiveDate>,
        second_version: bool,
    ) -> Line {
        let reference = |text: &str| Some(text).filter(|t| t.bytes().any(|b| b != b'0')).map(str::to_owned);
        let short = !second_version && fields.count() < 3;
        let bank_ref = reference(fields.text());
        let owner_ref = if short { None } else { reference(fields.text()) };
        let text = single_blanks(&fields.remaining().join(" "));
        let informs = self.meaning == Meaning::Information;
        let amount = if informs { Minor::ZERO } else { self.amount };
        let told = (informs && !self.amount.is_zero()).then(|| self.amount.to_text(self.currency));
        let detail = Detail {
            amount: Some(amount),
            counterparty_name: originator(&text),
            return_reason: matches!(self.meaning, Meaning::Returned(_)).then(|| "unspecified".to_owned()),
            remittance: Some(text).filter(|t| !t.is_empty()),
            ..Detail::default()
        };
        Line {
            position,
            at,
            amount,
            currency: self.currency,
            direction: self.meaning.direction(),
            status: if informs { Status::Info } else { Status::Booked },
            reversal: matches!(self.meaning, Meaning::Reversal(_)),
            booked_on: booked_on.or(self.valued_on),
            valued_on: self.valued_on,
            bank_ref,
            owner_ref,
            code: Some(self.kind),
            info: told.map(|told| format!("for information: {told}")),
            details: vec![detail],
        }
    }
}

/// Who a clearing's text says it is from. What follows a label ends at the next one.
fn originator(text: &str) -> Option<String> {
    const LABELS: [&str; 9] = [
        "ORIG ID:",
        "DESC DATE:",
        "CO ENTRY DESCR:",
        "ENTRY DESCR:",
        "SEC:",
        "TRACE#:",
        "EED:",
        "IND ID:",
        "IND NAME:",
    ];
    let (_, behind) = text.split_once("ORIG CO NAME:")?;
    let end = LABELS.iter().filter_map(|label| behind.find(label)).min().unwrap_or(behind.len());
    behind.get(..end).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty() && name.chars().count() <= 140)
}

/// The account's currency, else the group's, else the dollar, as the standard has it.
fn currency(own: Option<String>, group: &Group, told: &mut Vec<(String, Severity)>) -> Option<Currency> {
    let Some(code) = own.or_else(|| group.currency.clone()) else {
        told.push((
            "neither account nor group names a currency: by the standard that is USD".to_owned(),
            Severity::Note,
        ));
        return "USD".parse().ok();
    };
    match code.parse() {
        Ok(currency) => Some(currency),
        Err(problem) => {
            told.push((format!("the currency: {problem}"), Severity::Grave));
            None
        }
    }
}

/// The balances and totals of an `03`. Version 2 has four fields for each; older files have two.
fn summaries(record: &Record, second_version: bool, currency: Option<Currency>) -> Result<Vec<Summary>, String> {
    let behind = || {
        let mut fields = record.fields();
        fields.text();
        fields.text();
        fields
    };
    let fours = quads(behind(), currency);
    match fours {
        Err(_) if !second_version => pairs(behind(), currency),
        other => other,
    }
}

fn quads(mut fields: Fields<'_>, currency: Option<Currency>) -> Result<Vec<Summary>, String> {
    let mut all = Vec::new();
    while let Some(kind) = fields.next() {
        // Empty ones stand for nothing, and some banks write a comma too many before a continuation.
        if kind.is_empty() {
            continue;
        }
        let (kind, minor) = (known_kind(kind)?, optional_amount(fields.text(), currency)?);
        let count = match fields.text() {
            "" => None,
            text => Some(text.parse().map_err(|_| format!("\"{}\" is no count of entries", shortened(text)))?),
        };
        funds(&mut fields)?;
        all.push(Summary { kind, amount: minor, count });
    }
    Ok(all)
}

fn pairs(mut fields: Fields<'_>, currency: Option<Currency>) -> Result<Vec<Summary>, String> {
    let mut all = Vec::new();
    while let Some(kind) = fields.next() {
        if kind.is_empty() {
            continue;
        }
        let (kind, amount) = (known_kind(kind)?, optional_amount(fields.text(), currency)?);
        all.push(Summary { kind, amount, count: None });
    }
    Ok(all)
}

fn known_kind(text: &str) -> Result<String, String> {
    let is_kind = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    if is_kind { Ok(text.to_owned()) } else { Err(format!("\"{}\" is no type of a balance or total", shortened(text))) }
}

fn optional_amount(text: &str, currency: Option<Currency>) -> Result<Option<Minor>, String> {
    if text.is_empty() { Ok(None) } else { amount(text, currency).map(Some) }
}

/// What a record count says other than what was counted.
pub(super) fn wrong_count(record: &Record, declared: &str, found: u64) -> Option<String> {
    let code = record.code.as_str();
    match declared.parse::<u64>() {
        Ok(said) if said == found => None,
        Ok(said) => Some(format!("line {}: the {code} counts {said} records, and there are {found}", record.line)),
        Err(_) => Some(format!("line {}: the {code} has \"{}\" for a count", record.line, shortened(declared))),
    }
}

/// The day of a group.
pub(super) fn as_of(text: &str) -> Result<NaiveDate, String> {
    if text.is_empty() { Err("the group has no as-of date, so its entries have no day".to_owned()) } else { date(text) }
}

fn single_blanks(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn problem_event(index: usize, at: String, problem: String, severity: Severity) -> Event {
    Event::Problem(Problem { statement: Some(index), at, problem, severity })
}
