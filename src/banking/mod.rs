//! Bank formats: bytes to statements and back. Pure: no clock, no database, no knowledge of whose account it is.
//!
//! A [`Reader`] gives one [`Event`] after another and holds one line in memory at a time, so a statement of a million lines
//! is read in constant space. It collects: a file gives all that can be read of it, and every problem with its place.
//! A *grave* problem makes its statement unusable (a line without amount, direction or date cannot be posted), a
//! *quarantine* needs a person, a *note* only wants to be known. Nothing here decides what is posted; that is `statements`.
//!
//! Read [`Reader`] first, then the event types below it; `camt` and `mt940` each turn one format into them, and `archive`
//! unpacks what comes zipped.

use crate::money::{Currency, Minor};
use chrono::NaiveDate;
use std::fmt;

mod archive;
pub mod bai2;
pub mod camt;
pub mod csv;
mod detect;
mod findings;
pub mod inspect;
pub mod mt940;
pub mod ofx;
mod profile;
mod reader;
mod source;
pub mod write;

pub use detect::{detect, may_hold_statements};
pub use findings::findings;
pub use profile::{Profile, Profiles};
pub use reader::Reader;

/// How many first bytes are looked at to recognise a file: an envelope's header, or the preamble of an MT940.
const HEAD: u64 = 8 * 1024;

/// A bank format that Tributary reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ISO 20022 account report, during the day, all versions.
    Camt052,
    /// ISO 20022 bank-to-customer statement, end of day, all versions.
    Camt053,
    /// ISO 20022 debit and credit notification, all versions.
    Camt054,
    /// SWIFT customer statement message.
    Mt940,
    /// SWIFT interim transaction report.
    Mt942,
    /// Cash management balance reporting, version 2.
    Bai2,
    /// Open Financial Exchange, 1 (SGML) and 2 (XML).
    Ofx,
    /// Delimited text, by a declared profile.
    Csv,
}

impl Format {
    /// As stored and printed: `camt.053`, `mt940`.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Camt052 => "camt.052",
            Format::Camt053 => "camt.053",
            Format::Camt054 => "camt.054",
            Format::Mt940 => "mt940",
            Format::Mt942 => "mt942",
            Format::Bai2 => "bai2",
            Format::Ofx => "ofx",
            Format::Csv => "csv",
        }
    }
}

/// What a message is to the account: whether it proves a day, or only tells of it early or in more detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The books of a day: camt.053, MT940, BAI2 prior day, OFX, CSV. Its lines prove opening to closing.
    Statement,
    /// The day so far: camt.052, MT942, BAI2 same day. What it calls booked may be told again by the next one.
    Report,
    /// Single bookings as they happen, or the payments inside a batch: camt.054.
    Notification,
}

impl Role {
    /// As stored and printed: `statement`, `report`, `notification`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Statement => "statement",
            Role::Report => "report",
            Role::Notification => "notification",
        }
    }

    /// What [`Role::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Role> {
        [Role::Statement, Role::Report, Role::Notification].into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One step through a file: statements do not nest, lines stand between the begin and the end of theirs.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A statement begins.
    Begin(Box<Head>),
    /// A line of the statement that began last.
    Line(Box<Line>),
    /// The statement that began last is complete.
    End(Box<Foot>),
    /// Something is wrong at a place.
    Problem(Problem),
}

/// Something wrong or odd in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Zero-based index of the statement in the file; `None` when it is about the file itself: with [`Severity::Grave`], a
    /// part of it that belongs to no statement cannot be read. Statements that ended before stay good.
    pub statement: Option<usize>,
    /// Where: `line 12`, `line 12, Stmt 1, Ntry 3, Amt`.
    pub at: String,
    /// What is wrong and how to mend it, for people.
    pub problem: String,
    /// What it means for the statement (or file).
    pub severity: Severity,
}

/// What a problem means for its statement; the worst of a statement's problems decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is held up.
    Note,
    /// The statement contradicts itself: nothing of it is posted until a person accepts it.
    Quarantine,
    /// The statement (or file) cannot be used.
    Grave,
}

impl Severity {
    /// `note`, `quarantine`, `grave`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Quarantine => "quarantine",
            Severity::Grave => "grave",
        }
    }
}

/// What a statement says of itself before its first line.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Zero-based position of the statement in its file, the same as in [`Problem::statement`].
    pub index: usize,
    /// Where it begins, for messages: `line 12, Stmt 1`; in an archive `"day.xml", line 12, Stmt 1`.
    pub at: String,
    /// The format.
    pub format: Format,
    /// What the message is to the account; of a format alone it does not follow (BAI2 has both).
    pub role: Role,
    /// The exact version where the format has one: `camt.053.001.08`; else the format's name.
    pub version: String,
    /// The message that carried it: `GrpHdr/MsgId`; for MT940 `:20:`.
    pub message_id: Option<String>,
    /// The account, blanks removed, as the bank writes it: IBAN, or `Othr/Id`, or the account part of `:25:`.
    pub account: Option<String>,
    /// The bank: BIC, or clearing number, as the file gives it.
    pub servicer: Option<String>,
    /// The physical account when the statement is of a virtual one (`RltdAcct`).
    pub related_account: Option<String>,
    /// From the account, else the balances, else the lines.
    pub currency: Option<Currency>,
    /// The statement's id: `Stmt/Id`; for MT940 the `:28C:` as written.
    pub id: Option<String>,
    /// The statement's number: `LglSeqNb`, else `ElctrncSeqNb`; the number of `:28C:`.
    pub number: Option<u64>,
    /// Page within the statement, from 1.
    pub page: Option<u32>,
    /// Whether this is the last page; `None` when the file does not say. An MT940 says it at its end only: by whether
    /// [`Foot::closing`] is intermediate.
    pub last_page: Option<bool>,
    /// Marked as a copy or duplicate (`CpyDplctInd`): never posted.
    pub copy: bool,
    /// First and last day, when the file says (`FrToDt`).
    pub from: Option<NaiveDate>,
    /// See `from`.
    pub to: Option<NaiveDate>,
    /// The opening booked balance.
    pub opening: Option<Balance>,
}

/// A booked balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Signed: a credit balance is positive.
    pub amount: Minor,
    /// As the balance says; other than the account's in some real files, which then is a finding.
    pub currency: Currency,
    /// The day it is of.
    pub on: NaiveDate,
    /// Carried between the pages of one statement (`:60M:`, `:62M:`, `ITBD`), not the day's own.
    pub intermediate: bool,
}

/// What a statement says of itself after its last line, and what its lines add up to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Foot {
    /// The closing booked balance.
    pub closing: Option<Balance>,
    /// Lines of any status, also those that could not be read.
    pub line_count: u64,
    /// Credit lines of any status that could be read.
    pub credit_count: u64,
    /// Debit lines of any status that could be read.
    pub debit_count: u64,
    /// Sum of the amounts of all credit lines of any status, unsigned.
    pub credit_total: i128,
    /// Sum of the amounts of all debit lines of any status, unsigned.
    pub debit_total: i128,
    /// Signed sum of the booked lines: what moves opening to closing.
    pub booked_sum: i128,
    /// What the file declares of its own lines (`TxsSummry`), where it does.
    pub declared: Declared,
}

/// Totals that a file declares; each is checked when it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Declared {
    /// `TtlNtries/NbOfNtries`.
    pub count: Option<u64>,
    /// `TtlNtries/Sum`.
    pub sum: Option<i128>,
    /// `TtlCdtNtries/NbOfNtries`.
    pub credit_count: Option<u64>,
    /// `TtlCdtNtries/Sum`.
    pub credit_sum: Option<i128>,
    /// `TtlDbtNtries/NbOfNtries`.
    pub debit_count: Option<u64>,
    /// `TtlDbtNtries/Sum`.
    pub debit_sum: Option<i128>,
}

/// Which way a line moves the account's money, as seen by its holder: the *effective* direction, reversals included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Money comes in.
    Credit,
    /// Money goes out.
    Debit,
}

impl Direction {
    /// `credit`, `debit`.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Credit => "credit",
            Direction::Debit => "debit",
        }
    }
}

/// Whether the bank has booked a line. Only booked lines are ever posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Booked.
    Booked,
    /// Pending or future.
    Pending,
    /// For information.
    Info,
}

impl Status {
    /// `booked`, `pending`, `info`.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Booked => "booked",
            Status::Pending => "pending",
            Status::Info => "info",
        }
    }
}

/// A line of a statement: camt `Ntry`, MT940 `:61:` with its `:86:`.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Zero-based position in its statement.
    pub position: u64,
    /// Where it stands in the file, for messages: `line 120, Stmt 1, Ntry 3`.
    pub at: String,
    /// Unsigned.
    pub amount: Minor,
    /// The account's currency; a line in another one is a grave problem of its statement.
    pub currency: Currency,
    /// The effective direction.
    pub direction: Direction,
    /// Booked or not.
    pub status: Status,
    /// The bank takes back an earlier booking (`RvslInd`, `RC`, `RD`).
    pub reversal: bool,
    /// The bank's booking day as written, no zone shift; where the file has none, the value date, else the closing date's day.
    pub booked_on: Option<NaiveDate>,
    /// The value date.
    pub valued_on: Option<NaiveDate>,
    /// The bank's reference of the booking: `AcctSvcrRef`, `:61:` after `//`.
    pub bank_ref: Option<String>,
    /// The account owner's reference: `NtryRef`, `:61:` before `//` unless `NONREF`.
    pub owner_ref: Option<String>,
    /// Bank transaction code: `PMNT/RCDT/ESCT`, else `NMSC+201` (proprietary), `NTRF` (MT940), `NTRF/166` (with GVC).
    pub code: Option<String>,
    /// What the bank adds to the line: `AddtlNtryInf`, GVC booking text.
    pub info: Option<String>,
    /// The details; at least one. A line with one detail is an ordinary payment; with more, a batch.
    pub details: Vec<Detail>,
}

impl Line {
    /// The amount with its sign: credits positive.
    pub fn signed(&self) -> Minor {
        match self.direction {
            Direction::Credit => self.amount,
            // An unsigned amount always has an opposite.
            Direction::Debit => Minor(-self.amount.0),
        }
    }
}

/// One payment inside a line: camt `TxDtls`; MT940 lines have one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detail {
    /// Unsigned, in the account's currency; `None` when the file does not say for this detail.
    pub amount: Option<Minor>,
    /// Direction, where the file gives it for the detail.
    pub direction: Option<Direction>,
    /// `EndToEndId`, `EREF`; `NOTPROVIDED` is `None`.
    pub end_to_end_id: Option<String>,
    /// `InstrId`, `KREF`.
    pub instruction_id: Option<String>,
    /// `TxId`.
    pub transaction_id: Option<String>,
    /// `UETR`.
    pub uetr: Option<String>,
    /// `PmtInfId` of our own payment file.
    pub payment_info_id: Option<String>,
    /// `MndtId`, `MREF`.
    pub mandate_id: Option<String>,
    /// `AcctSvcrRef` of the detail.
    pub bank_ref: Option<String>,
    /// The other party: debtor of a credit, creditor of a debit. On a return the parties keep the roles of the original
    /// payment, so it is the other way round there, unless the file names one party only.
    pub counterparty_name: Option<String>,
    /// Its account, blanks removed.
    pub counterparty_account: Option<String>,
    /// Its bank: BIC or clearing number.
    pub counterparty_bank: Option<String>,
    /// On whose behalf the other party acts: `UltmtDbtr` of a credit, `UltmtCdtr` of a debit.
    pub ultimate_name: Option<String>,
    /// Our side's account as the bank fills it: `CdtrAcct` of a credit, `DbtrAcct` of a debit; `/VA/` in MT940. A virtual
    /// account number stands here when the bank books into the master.
    pub own_account: Option<String>,
    /// Structured creditor reference (`CdtrRefInf/Ref`), blanks removed.
    pub creditor_reference: Option<String>,
    /// Number of an invoice or other document (`RfrdDocInf/Nb`); the first when there are several.
    pub invoice: Option<String>,
    /// Unstructured text, joined in order, without a separator where a part is full.
    pub remittance: Option<String>,
    /// What the bank adds to the detail: `AddtlTxInf`, `AddtlRmtInf`, the text of `:86:` that belongs to no field.
    pub info: Option<String>,
    /// Reason of a return (`RtrInf/Rsn`, GVC text key), which marks the detail as one; `unspecified` when none is given.
    pub return_reason: Option<String>,
    /// Purpose code.
    pub purpose: Option<String>,
    /// Charges that the bank shows inside the detail or line, unsigned, account currency.
    pub charges: Option<Minor>,
}
