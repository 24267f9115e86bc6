//! What a `Stmt` says of itself: account, period, balances, declared totals; and the sums of its entries.

use super::tag::Tag;
use super::value::{self, Amount, CurrencyMark};
use crate::banking::{Balance, Direction, Foot, Format, Head, Line, Problem, Role, Severity, Status};
use crate::money::Currency;
use chrono::NaiveDate;

/// What stands outside the statements and belongs to all of a message.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// By the name of its element; what a namespace says beside it can be wrong.
    pub(super) format: Format,
    /// No statement has begun in it.
    pub(super) is_empty: bool,
    pub(super) version: Option<String>,
    pub(super) id: Option<String>,
    pub(super) page: Option<u32>,
    pub(super) last_page: Option<bool>,
    pub(super) copy: bool,
    created: Option<NaiveDate>,
}

impl Default for Message {
    fn default() -> Self {
        Message {
            format: Format::Camt053,
            is_empty: true,
            version: None,
            id: None,
            page: None,
            last_page: None,
            copy: false,
            created: None,
        }
    }
}

impl Message {
    /// Takes a value of `GrpHdr`.
    pub(super) fn take(&mut self, path: &[Tag], text: &str) {
        match path {
            [Tag::CreDtTm] => self.created = value::date(text),
            [Tag::MsgId] => self.id = Some(text.to_owned()),
            [Tag::MsgPgntn, Tag::PgNb] => self.page = text.parse().ok(),
            [Tag::MsgPgntn, Tag::LastPgInd] => self.last_page = Some(value::yes(text)),
            _ => {}
        }
    }
}

/// A statement that is being read.
#[derive(Debug)]
pub(super) struct Draft {
    head: Head,
    foot: Foot,
    iban: Option<String>,
    other_account: Option<String>,
    servicers: [Option<String>; 3],
    declared: [Option<String>; 3],
    bal: BalanceDraft,
    balances: Balances,
    /// When the bank made it.
    created: Option<NaiveDate>,
    /// Whether the head has been given out.
    pub(super) begun: bool,
    /// Problems met before the head was given out.
    pub(super) early: Vec<Problem>,
    /// Entries seen, also those that could not be read.
    pub(super) entries: u64,
}

impl Draft {
    pub(super) fn new(index: usize, at: String, message: &Message) -> Self {
        let format = message.format;
        let version = message.version.clone().filter(|version| version.starts_with(format.as_str()));
        let role = match format {
            Format::Camt052 => Role::Report,
            Format::Camt054 => Role::Notification,
            _ => Role::Statement,
        };
        let head = Head {
            index,
            at,
            format,
            role,
            version: version.unwrap_or_else(|| format.as_str().to_owned()),
            message_id: message.id.clone(),
            account: None,
            servicer: None,
            related_account: None,
            currency: None,
            id: None,
            number: None,
            page: message.page,
            last_page: message.last_page,
            copy: message.copy,
            from: None,
            to: None,
            opening: None,
        };
        Draft {
            head,
            foot: Foot::default(),
            iban: None,
            other_account: None,
            servicers: [None, None, None],
            declared: [None, None, None],
            bal: BalanceDraft::default(),
            balances: Balances { ends_in_interim: role == Role::Report, ..Balances::default() },
            created: message.created,
            begun: false,
            early: Vec::new(),
            entries: 0,
        }
    }

    pub(super) fn index(&self) -> usize {
        self.head.index
    }

    /// `Stmt`, `Rpt`, `Ntfctn`.
    pub(super) fn element(&self) -> &'static str {
        element(self.head.format)
    }

    pub(super) fn role(&self) -> Role {
        self.head.role
    }

    /// The day on which the bank made it.
    pub(super) fn created(&self) -> Option<NaiveDate> {
        self.created
    }

    pub(super) fn currency(&self) -> Option<Currency> {
        self.head.currency
    }

    /// The day that a line without any date is taken to be of.
    pub(super) fn day(&self) -> Option<NaiveDate> {
        self.balances.closing().or(self.head.opening).map(|b| b.on).or(self.head.to)
    }

    pub(super) fn account(&self) -> Option<&str> {
        self.iban.as_deref().or(self.other_account.as_deref())
    }

    /// Takes a value that stands outside of the entries; gives what is wrong with it.
    pub(super) fn take(&mut self, path: &[Tag], text: &str, mark: &CurrencyMark) -> Option<Problem> {
        let head = &mut self.head;
        match path {
            [Tag::Id] => head.id = Some(text.to_owned()),
            [Tag::LglSeqNb] => head.number = value::number(text).or(head.number),
            // The legal number comes after the electronic one and wins.
            [Tag::ElctrncSeqNb] => head.number = head.number.or(value::number(text)),
            [Tag::CreDtTm] => self.created = value::date(text),
            [Tag::StmtPgntn | Tag::RptPgntn | Tag::NtfctnPgntn, Tag::PgNb] => head.page = text.parse().ok(),
            [Tag::StmtPgntn | Tag::RptPgntn | Tag::NtfctnPgntn, Tag::LastPgInd] => {
                head.last_page = Some(value::yes(text))
            }
            [Tag::CpyDplctInd] => head.copy = true,
            [Tag::FrToDt, Tag::FrDtTm | Tag::FrDt] => head.from = value::date(text),
            [Tag::FrToDt, Tag::ToDtTm | Tag::ToDt] => head.to = value::date(text),
            [Tag::RltdAcct, Tag::Id, rest @ ..] if names_account(rest) => head.related_account = value::compact(text),
            [Tag::Acct, Tag::Id, Tag::IBAN] => self.iban = value::compact(text),
            [Tag::Acct, Tag::Id, rest @ ..] if names_account(rest) => self.other_account = value::compact(text),
            [Tag::Acct, Tag::Ccy] => match text.parse() {
                Ok(currency) => head.currency = Some(currency),
                Err(_) => {
                    return Some(self.problem("Acct, Ccy", format!("\"{text}\" is no currency"), Severity::Grave));
                }
            },
            [Tag::Acct, Tag::Svcr, Tag::FinInstnId, rest @ ..] => {
                if let Some(slot) = servicer_rank(rest).and_then(|rank| self.servicers.get_mut(rank)) {
                    *slot = Some(text.to_owned());
                }
            }
            [Tag::Bal, rest @ ..] => self.bal.take(rest, text, mark),
            [Tag::TxsSummry, rest @ ..] => self.take_declared(rest, text),
            _ => {}
        }
        None
    }

    /// `Stmt, Acct, Ccy` and the like, with the place of the statement before it.
    pub(super) fn problem(&self, place: &str, problem: String, severity: Severity) -> Problem {
        let at = if place.is_empty() { self.head.at.clone() } else { format!("{}, {place}", self.head.at) };
        Problem { statement: Some(self.head.index), at, problem, severity }
    }

    fn take_declared(&mut self, path: &[Tag], text: &str) {
        let declared = &mut self.foot.declared;
        let count = value::number(text);
        match path {
            [Tag::TtlNtries, Tag::NbOfNtries] => declared.count = count,
            [Tag::TtlCdtNtries, Tag::NbOfNtries] => declared.credit_count = count,
            [Tag::TtlDbtNtries, Tag::NbOfNtries] => declared.debit_count = count,
            [Tag::TtlNtries, Tag::Sum] => self.declared[0] = Some(text.to_owned()),
            [Tag::TtlCdtNtries, Tag::Sum] => self.declared[1] = Some(text.to_owned()),
            [Tag::TtlDbtNtries, Tag::Sum] => self.declared[2] = Some(text.to_owned()),
            _ => {}
        }
    }

    /// A `Bal` ends; gives what is wrong with it, as `line 12` would say where.
    pub(super) fn end_balance(&mut self, line: u64) -> Option<Problem> {
        let bal = std::mem::take(&mut self.bal);
        let kind = bal.kind.as_deref().and_then(Kind::of)?;
        let code = bal.kind.clone().unwrap_or_default();
        match bal.read() {
            Ok((balance, opening_only_in)) => {
                // The account's own currency comes first in the file; without one the first booked balance decides.
                self.head.currency = self.head.currency.or(Some(opening_only_in));
                self.balances.take(kind, balance);
                if !self.begun {
                    self.head.opening = self.balances.opening();
                    return None;
                }
                let text = format!("the balance {code} stands after the entries and was read too late to be used");
                (self.balances.opening() != self.head.opening).then(|| self.placed(line, &code, text))
            }
            Err(text) => Some(self.placed(line, &code, text)),
        }
    }

    fn placed(&self, line: u64, code: &str, text: String) -> Problem {
        let at = format!("line {line}, {} {}, Bal {code}", self.element(), self.head.index + 1);
        Problem { statement: Some(self.head.index), at, problem: text, severity: Severity::Quarantine }
    }

    /// The head as far as it is known, with what is gravely missing in it. `line_currency` is the first entry's.
    pub(super) fn begin(&mut self, line_currency: Option<Currency>) -> (Head, Vec<Problem>) {
        self.begun = true;
        let account = self.account().map(str::to_owned);
        self.head.account = account;
        self.head.servicer = self.servicers.iter_mut().find_map(Option::take);
        self.head.currency = self.head.currency.or(line_currency);
        let mut problems = std::mem::take(&mut self.early);
        if self.head.account.is_none() {
            let text = "the statement does not say of which account it is".to_owned();
            problems.push(self.problem("Acct, Id", text, Severity::Grave));
        }
        if self.head.currency.is_none() {
            let text = "neither account nor balances nor entries say the currency".to_owned();
            problems.push(self.problem("Acct, Ccy", text, Severity::Grave));
        }
        (self.head.clone(), problems)
    }

    /// Adds an entry that could be read to the sums.
    pub(super) fn count(&mut self, line: &Line) {
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
        if line.status == Status::Booked {
            self.foot.booked_sum += i128::from(line.signed().0);
        }
    }

    /// The foot, with what is wrong with the declared totals.
    pub(super) fn end(&mut self) -> (Foot, Vec<Problem>) {
        let mut foot = std::mem::take(&mut self.foot);
        let mut problems = Vec::new();
        if let Some(currency) = self.head.currency {
            let slots = [&mut foot.declared.sum, &mut foot.declared.credit_sum, &mut foot.declared.debit_sum];
            for (slot, text) in slots.into_iter().zip(&self.declared) {
                let Some(text) = text else { continue };
                match value::decimal(text, currency) {
                    Ok(sum) => *slot = Some(i128::from(sum.0)),
                    Err(text) => problems.push(self.problem("TxsSummry", text, Severity::Quarantine)),
                }
            }
        }
        foot.line_count = self.entries;
        foot.closing = self.balances.closing();
        (foot, problems)
    }
}

/// The element of a message that tells of one account.
pub(super) fn element(format: Format) -> &'static str {
    match format {
        Format::Camt052 => "Rpt",
        Format::Camt054 => "Ntfctn",
        _ => "Stmt",
    }
}

/// The ways in which an account other than an IBAN is named, over the versions.
fn names_account(path: &[Tag]) -> bool {
    matches!(path, [Tag::IBAN | Tag::BBAN | Tag::UPIC] | [Tag::Othr | Tag::PrtryAcct, Tag::Id])
}

/// The best name of a bank is its BIC, then its clearing number, then what it calls itself.
pub(super) fn servicer_rank(path: &[Tag]) -> Option<usize> {
    match path {
        [Tag::BIC | Tag::BICFI] | [Tag::CmbndId, Tag::BIC] => Some(0),
        [Tag::ClrSysMmbId, Tag::MmbId | Tag::Id] | [Tag::CmbndId, Tag::ClrSysMmbId, Tag::Id] => Some(1),
        [Tag::Nm] | [Tag::NmAndAdr, Tag::Nm] | [Tag::CmbndId, Tag::Nm] | [Tag::Othr, Tag::Id] => Some(2),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Opening,
    PreviousClosing,
    Closing,
    Interim,
}

impl Kind {
    /// Booked balances only; available, forward and expected ones are not the book's.
    fn of(code: &str) -> Option<Kind> {
        match code {
            "OPBD" => Some(Kind::Opening),
            "PRCD" => Some(Kind::PreviousClosing),
            "CLBD" => Some(Kind::Closing),
            "ITBD" => Some(Kind::Interim),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
struct BalanceDraft {
    kind: Option<String>,
    amount: Option<Amount>,
    direction: Option<Direction>,
    on: Option<NaiveDate>,
}

impl BalanceDraft {
    fn take(&mut self, path: &[Tag], text: &str, mark: &CurrencyMark) {
        match path {
            [Tag::Tp, Tag::CdOrPrtry, Tag::Cd | Tag::Prtry] | [Tag::Tp, Tag::Cd | Tag::Prtry] => {
                self.kind = Some(text.to_owned());
            }
            [Tag::Amt] => self.amount = Some(value::amount(text, mark)),
            [Tag::CdtDbtInd] => self.direction = value::direction(text),
            [Tag::Dt] | [Tag::Dt, Tag::Dt | Tag::DtTm] => self.on = self.on.or(value::date(text)),
            _ => {}
        }
    }

    fn read(self) -> Result<(Balance, Currency), String> {
        let (minor, currency) = self.amount.unwrap_or_else(|| Err("the balance has no amount".to_owned()))?;
        let amount = match self.direction.ok_or("the balance has no direction: CdtDbtInd is missing")? {
            Direction::Credit => minor,
            Direction::Debit => minor.opposite().map_err(|problem| problem.to_string())?,
        };
        let on = self.on.ok_or("the balance has no date")?;
        Ok((Balance { amount, currency, on, intermediate: false }, currency))
    }
}

/// The booked balances of a statement, of which an opening and a closing one are chosen.
///
/// A statement over several days may have a pair for each day: the earliest opening and the latest closing bracket its
/// entries. A page that is not the last has `ITBD` where its neighbour continues; in a report it is where the day stands.
#[derive(Debug, Default)]
struct Balances {
    /// A lone `ITBD` is the balance at the end of what is told.
    ends_in_interim: bool,
    opening: Option<Balance>,
    previous: Option<Balance>,
    closing: Option<Balance>,
    interim_first: Option<Balance>,
    interim_last: Option<Balance>,
}

impl Balances {
    fn take(&mut self, kind: Kind, balance: Balance) {
        let earliest = |slot: &mut Option<Balance>| {
            if slot.is_none_or(|known| balance.on < known.on) {
                *slot = Some(balance);
            }
        };
        let latest = |slot: &mut Option<Balance>| {
            if slot.is_none_or(|known| balance.on >= known.on) {
                *slot = Some(balance);
            }
        };
        match kind {
            Kind::Opening => earliest(&mut self.opening),
            Kind::PreviousClosing => earliest(&mut self.previous),
            Kind::Closing => latest(&mut self.closing),
            Kind::Interim if self.interim_first.is_none() => self.interim_first = Some(balance),
            Kind::Interim => self.interim_last = Some(balance),
        }
    }

    fn opening(&self) -> Option<Balance> {
        let interim = match (self.closing, self.interim_last) {
            // One interim balance beside a closing one, or the first of two, is where the page begins.
            (Some(_), _) | (None, Some(_)) => self.interim_first,
            (None, None) => None,
        };
        self.opening.or(self.previous).or(interim.map(intermediate))
    }

    fn closing(&self) -> Option<Balance> {
        let starts = self.ends_in_interim || self.opening.or(self.previous).is_some();
        let interim = if starts { self.interim_last.or(self.interim_first) } else { self.interim_last };
        self.closing.or(interim.map(intermediate))
    }
}

fn intermediate(balance: Balance) -> Balance {
    Balance { intermediate: true, ..balance }
}
