//! What `statement inspect --json` prints: a bank file as plain facts, without a database.
//!
//! The structs are the JSON: their names are a contract, amounts are decimal texts, and what the file does not carry is
//! null.

use super::findings::sum_text;
use super::{Balance, Detail, Direction, Event, Head, Line, Problem, Profiles, Reader, Severity, findings};
use chrono::NaiveDate;
use serde::Serialize;
use std::io::BufRead;

/// A file.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// `camt.053`, `mt940`; null when the file is refused.
    pub format: Option<&'static str>,
    /// Its statements, also those that cannot be used; why stands in `problems`.
    pub statements: Vec<Statement>,
    /// What is wrong or odd, with the place; in the order of the file.
    pub problems: Vec<ProblemAt>,
    /// Whether a problem is grave: part of the file would be refused. Not part of the document.
    #[serde(skip)]
    grave: bool,
}

impl Inspection {
    /// Whether all of the file would be taken in, as far as the file alone can tell.
    pub fn usable(&self) -> bool {
        !self.grave && !self.statements.is_empty()
    }
}

/// A statement, or what a report or notification says of one account.
#[derive(Debug, Clone, Serialize)]
pub struct Statement {
    /// `statement`, `report`, `notification`.
    pub role: &'static str,
    /// IBAN or account number as the bank writes it, without blanks.
    pub account: Option<String>,
    /// ISO 4217.
    pub currency: Option<&'static str>,
    /// The bank's id of the statement.
    pub id: Option<String>,
    /// Opening booked balance, signed.
    pub opening: Option<String>,
    /// Closing booked balance, signed.
    pub closing: Option<String>,
    /// Lines of any status.
    pub line_count: u64,
    /// Sum of all credits, unsigned; null without a currency.
    pub credit_total: Option<String>,
    /// Sum of all debits, unsigned; null without a currency.
    pub debit_total: Option<String>,
    /// The lines that could be read.
    pub lines: Vec<StatementLine>,
}

/// A line; the fields of a payment are those of its first detail.
#[derive(Debug, Clone, Serialize)]
pub struct StatementLine {
    /// Unsigned.
    pub amount: String,
    /// `credit`, `debit`.
    pub direction: &'static str,
    /// `booked`, `pending`, `info`.
    pub status: &'static str,
    /// The bank takes back an earlier line.
    pub reversal: bool,
    /// Booking day.
    pub booked_on: Option<NaiveDate>,
    /// Value date.
    pub valued_on: Option<NaiveDate>,
    /// The bank's reference.
    pub bank_ref: Option<String>,
    /// The payer's reference that travels with the payment.
    pub end_to_end_id: Option<String>,
    /// The other party.
    pub counterparty_name: Option<String>,
    /// Its account.
    pub counterparty_account: Option<String>,
    /// Unstructured text.
    pub remittance: Option<String>,
    /// Bank transaction code.
    pub code: Option<String>,
    /// All details; at least one.
    pub details: Vec<StatementDetail>,
}

/// A payment inside a line.
#[derive(Debug, Clone, Serialize)]
pub struct StatementDetail {
    /// Unsigned, in the account's currency.
    pub amount: Option<String>,
    /// Its own where the file gives it, else the line's.
    pub direction: &'static str,
    /// The payer's reference that travels with the payment.
    pub end_to_end_id: Option<String>,
    /// The reference of the instruction.
    pub instruction_id: Option<String>,
    /// The reference of the clearing.
    pub transaction_id: Option<String>,
    /// The unique end-to-end reference.
    pub uetr: Option<String>,
    /// The id of the batch in our payment file.
    pub payment_info_id: Option<String>,
    /// The mandate of a direct debit.
    pub mandate_id: Option<String>,
    /// The bank's reference of the detail.
    pub bank_ref: Option<String>,
    /// The other party.
    pub counterparty_name: Option<String>,
    /// Its account.
    pub counterparty_account: Option<String>,
    /// Its bank.
    pub counterparty_bank: Option<String>,
    /// On whose behalf the other party acts.
    pub ultimate_name: Option<String>,
    /// Our side's account, a virtual one where the bank fills it.
    pub own_account: Option<String>,
    /// Structured creditor reference.
    pub creditor_reference: Option<String>,
    /// Number of an invoice.
    pub invoice: Option<String>,
    /// Unstructured text.
    pub remittance: Option<String>,
    /// What the bank adds.
    pub info: Option<String>,
    /// Why the money comes back.
    pub return_reason: Option<String>,
    /// Purpose code.
    pub purpose: Option<String>,
    /// Charges, unsigned, in the account's currency.
    pub charges: Option<String>,
}

/// A problem and its place.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct ProblemAt {
    /// `line 12, Stmt 1, Ntry 3, Amt`.
    pub at: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

impl From<Problem> for ProblemAt {
    fn from(problem: Problem) -> Self {
        ProblemAt { at: problem.at, problem: problem.problem }
    }
}

/// Reads a whole bank file of whatever format. What it finds stays in memory: this is for looking, not for taking in.
pub fn inspect(input: impl BufRead) -> Inspection {
    inspect_with(input, &Profiles::default())
}

/// As [`inspect`], with the profiles that are declared.
pub fn inspect_with(input: impl BufRead, profiles: &Profiles) -> Inspection {
    let mut reader = Reader::with_profiles(input, profiles);
    let format = reader.format().map(super::Format::as_str);
    let mut inspection = Inspection { format, statements: Vec::new(), problems: Vec::new(), grave: false };
    let mut head: Option<Box<Head>> = None;
    for event in &mut reader {
        match event {
            Event::Begin(begun) => {
                inspection.statements.push(Statement::of(&begun));
                head = Some(begun);
            }
            Event::Line(line) => {
                if let Some(statement) = inspection.statements.last_mut() {
                    statement.lines.push(StatementLine::of(*line));
                    statement.line_count += 1;
                }
            }
            Event::End(foot) => {
                if let (Some(statement), Some(head)) = (inspection.statements.last_mut(), head.take()) {
                    inspection.problems.extend(findings(&head, &foot).into_iter().map(ProblemAt::from));
                    statement.closing = foot.closing.map(balance_text);
                    statement.line_count = foot.line_count;
                    statement.credit_total = head.currency.map(|c| sum_text(foot.credit_total, c));
                    statement.debit_total = head.currency.map(|c| sum_text(foot.debit_total, c));
                }
            }
            Event::Problem(problem) => {
                inspection.grave |= problem.severity == Severity::Grave;
                inspection.problems.push(problem.into());
            }
        }
    }
    // XML that holds no statement of ours is of no format that is read.
    if inspection.statements.is_empty() {
        inspection.format = None;
    }
    inspection
}

fn balance_text(balance: Balance) -> String {
    balance.amount.to_text(balance.currency)
}

impl Statement {
    /// A statement that has begun; one that is cut off stays without closing balance and totals.
    fn of(head: &Head) -> Self {
        Statement {
            role: head.role.as_str(),
            account: head.account.clone(),
            currency: head.currency.map(|c| c.code()),
            id: head.id.clone(),
            opening: head.opening.map(balance_text),
            closing: None,
            line_count: 0,
            credit_total: None,
            debit_total: None,
            lines: Vec::new(),
        }
    }
}

impl StatementLine {
    fn of(line: Line) -> Self {
        let (currency, direction) = (line.currency, line.direction);
        let details: Vec<_> = line.details.into_iter().map(|d| StatementDetail::of(d, direction, currency)).collect();
        let first = details.first();
        let of_first = |field: fn(&StatementDetail) -> &Option<String>| first.and_then(|d| field(d).clone());
        StatementLine {
            amount: line.amount.to_text(currency),
            direction: direction.as_str(),
            status: line.status.as_str(),
            reversal: line.reversal,
            booked_on: line.booked_on,
            valued_on: line.valued_on,
            bank_ref: line.bank_ref,
            end_to_end_id: of_first(|d| &d.end_to_end_id),
            counterparty_name: of_first(|d| &d.counterparty_name),
            counterparty_account: of_first(|d| &d.counterparty_account),
            remittance: of_first(|d| &d.remittance),
            code: line.code,
            details,
        }
    }
}

impl StatementDetail {
    fn of(detail: Detail, line: Direction, currency: crate::money::Currency) -> Self {
        StatementDetail {
            amount: detail.amount.map(|a| a.to_text(currency)),
            direction: detail.direction.unwrap_or(line).as_str(),
            end_to_end_id: detail.end_to_end_id,
            instruction_id: detail.instruction_id,
            transaction_id: detail.transaction_id,
            uetr: detail.uetr,
            payment_info_id: detail.payment_info_id,
            mandate_id: detail.mandate_id,
            bank_ref: detail.bank_ref,
            counterparty_name: detail.counterparty_name,
            counterparty_account: detail.counterparty_account,
            counterparty_bank: detail.counterparty_bank,
            ultimate_name: detail.ultimate_name,
            own_account: detail.own_account,
            creditor_reference: detail.creditor_reference,
            invoice: detail.invoice,
            remittance: detail.remittance,
            info: detail.info,
            return_reason: detail.return_reason,
            purpose: detail.purpose,
            charges: detail.charges.map(|a| a.to_text(currency)),
        }
    }
}
