//! One MT940 or MT942 message: its fields as they come by, its lines, and what they add up to.

use super::field::{self, Account};
use super::narrative::{self, Story};
use super::value;
use super::{FIELD_LIMIT, Field};
use crate::banking::findings::remember;
use crate::banking::{Balance, Declared, Direction, Event, Foot, Format, Head, Line, Problem, Role, Severity, Status};
use crate::money::Currency;
use std::collections::VecDeque;

/// How many entries wait for a currency that only the closing balance gives.
const WAITING_LIMIT: usize = 1000;

/// A message that is being read.
#[derive(Debug)]
pub(super) struct Draft {
    index: usize,
    line: u64,
    reference: Option<String>,
    account: Account,
    statement_id: Option<String>,
    currency: Option<Currency>,
    opening: Option<Balance>,
    closing: Option<Balance>,
    /// A closing balance was there, readable or not.
    closed: bool,
    /// Fields of an MT942 were there.
    interim: bool,
    /// `:34F:` is above zero: entries below it are not listed.
    has_floor: bool,
    /// `:90C:` or `:90D:` was there, readable or not.
    has_totals: bool,
    /// What they say.
    declared: Declared,
    /// Counts and sums of the booked entries alone.
    booked: Foot,
    /// What the head said, once it was given.
    role: Role,
    begun: bool,
    early: Vec<Problem>,
    entry: Option<EntryFields>,
    /// Entries before the currency is known.
    waiting: Vec<EntryFields>,
    too_many: bool,
    foot: Foot,
}

/// `:61:` and its `:86:`.
#[derive(Debug)]
struct EntryFields {
    line: u64,
    booked: Vec<String>,
    story: Vec<String>,
    /// Bytes of the narratives.
    size: usize,
    overlong: bool,
}

impl Draft {
    pub(super) fn new(index: usize, line: u64, interim: bool) -> Self {
        Draft {
            index,
            line,
            reference: None,
            account: Account::default(),
            statement_id: None,
            currency: None,
            opening: None,
            closing: None,
            closed: false,
            interim,
            has_floor: false,
            has_totals: false,
            declared: Declared::default(),
            booked: Foot::default(),
            role: Role::Statement,
            begun: false,
            early: Vec::new(),
            entry: None,
            waiting: Vec::new(),
            too_many: false,
            foot: Foot::default(),
        }
    }

    /// Whether what ends a message was there: a closing balance, or the totals of an interim report.
    pub(super) fn is_closed(&self) -> bool {
        self.closed || self.has_totals
    }

    /// Whether it is an MT942, which has floor limits or totals and no balances.
    fn is_interim(&self) -> bool {
        self.interim && self.opening.is_none() && !self.closed
    }

    /// Takes a field.
    pub(super) fn take(&mut self, field: Field, ready: &mut VecDeque<Event>) {
        let Field { tag, line, lines, size, overlong } = field;
        let first = lines.first().map_or("", |line| line.trim()).to_owned();
        match tag {
            "61" => {
                self.end_entry(ready);
                self.entry = Some(EntryFields { line, booked: lines, story: Vec::new(), size: 0, overlong });
                return;
            }
            // A narrative behind a balance is the statement's.
            "86" => {
                if let Some(entry) = &mut self.entry {
                    entry.size += size;
                    entry.overlong |= overlong || entry.size > FIELD_LIMIT;
                    if entry.size <= FIELD_LIMIT {
                        entry.story.extend(lines);
                    }
                }
                return;
            }
            _ => self.end_entry(ready),
        }
        match tag {
            "20" => self.reference = (!first.is_empty()).then_some(first),
            "25" | "25P" => self.account = field::account(&lines),
            "28" | "28C" => self.statement_id = (!first.is_empty()).then_some(first),
            "60F" | "60M" => self.opening = self.take_balance(tag, line, &first, ready),
            "62F" | "62M" => {
                self.closed = true;
                let balance = self.take_balance(tag, line, &first, ready);
                self.closing = balance.or(self.closing);
                self.end_waiting(ready);
            }
            "34F" => self.take_floor(line, &first, ready),
            "90C" | "90D" => self.take_totals(tag, line, &first, ready),
            _ => {}
        }
    }

    fn take_balance(&mut self, tag: &str, line: u64, text: &str, ready: &mut VecDeque<Event>) -> Option<Balance> {
        match field::balance(text, tag.ends_with('M')) {
            Ok((balance, note)) => {
                if let Some(note) = note {
                    self.tell(line, tag, note, Severity::Note, ready);
                }
                self.currency = self.currency.or(Some(balance.currency));
                Some(balance)
            }
            Err(problem) => {
                let text = format!("the balance \"{}\" cannot be read: {problem}", value::shortened(text));
                self.tell(line, tag, text, Severity::Quarantine, ready);
                None
            }
        }
    }

    /// Entries below the limit are not in the message; the field also says the currency.
    fn take_floor(&mut self, line: u64, text: &str, ready: &mut VecDeque<Event>) {
        self.interim = true;
        match field::floor(text) {
            Ok((currency, amount)) => {
                self.currency = self.currency.or(Some(currency));
                self.has_floor |= amount.0 > 0;
            }
            Err(problem) => {
                let text = format!("the floor limit \"{}\" cannot be read: {problem}", value::shortened(text));
                self.tell(line, "34F", text, Severity::Note, ready);
            }
        }
    }

    /// How many debits or credits there are and their sum, which the entries must prove.
    fn take_totals(&mut self, tag: &str, line: u64, text: &str, ready: &mut VecDeque<Event>) {
        (self.interim, self.has_totals) = (true, true);
        match field::totals(text) {
            Ok((count, currency, sum)) => {
                self.currency = self.currency.or(Some(currency));
                let (count, sum) = (Some(count), Some(i128::from(sum.0)));
                if tag == "90C" {
                    (self.declared.credit_count, self.declared.credit_sum) = (count, sum);
                } else {
                    (self.declared.debit_count, self.declared.debit_sum) = (count, sum);
                }
            }
            Err(problem) => {
                let text = format!("the totals \"{}\" cannot be read: {problem}", value::shortened(text));
                self.tell(line, tag, text, Severity::Quarantine, ready);
            }
        }
        self.end_waiting(ready);
    }

    /// The declared totals as far as the entries must agree with them.
    fn provable(&mut self, ready: &mut VecDeque<Event>) -> Declared {
        let mut declared = self.declared;
        if !self.is_interim() {
            return Declared::default();
        }
        // Some banks count what is only expected and some do not.
        let (all, booked) = (&self.foot, &self.booked);
        if (declared.credit_count, declared.credit_sum) == (Some(booked.credit_count), Some(booked.credit_total)) {
            (declared.credit_count, declared.credit_sum) = (Some(all.credit_count), Some(all.credit_total));
        }
        if (declared.debit_count, declared.debit_sum) == (Some(booked.debit_count), Some(booked.debit_total)) {
            (declared.debit_count, declared.debit_sum) = (Some(all.debit_count), Some(all.debit_total));
        }
        let agrees = |said: Option<u64>, sum: Option<i128>, count: u64, total: i128| {
            said.is_none_or(|said| said == count) && sum.is_none_or(|said| said == total)
        };
        let credits_agree = agrees(declared.credit_count, declared.credit_sum, all.credit_count, all.credit_total);
        let debits_agree = agrees(declared.debit_count, declared.debit_sum, all.debit_count, all.debit_total);
        if self.has_floor && !(credits_agree && debits_agree) {
            let text = "it declares other totals than its entries have; some are below its floor limit and not listed";
            self.tell(self.line, "34F", text.to_owned(), Severity::Note, ready);
            return Declared::default();
        }
        declared
    }

    /// The entry at hand is complete, because another field begins.
    fn end_entry(&mut self, ready: &mut VecDeque<Event>) {
        let Some(entry) = self.entry.take() else { return };
        let currency = self.currency.or(self.account.currency);
        match currency {
            Some(currency) => self.give(entry, currency, ready),
            None if self.waiting.len() < WAITING_LIMIT => self.waiting.push(entry),
            None => self.too_many = true,
        }
    }

    /// Entries that waited for the currency, which is known now.
    fn end_waiting(&mut self, ready: &mut VecDeque<Event>) {
        if let Some(currency) = self.currency.or(self.account.currency) {
            for entry in std::mem::take(&mut self.waiting) {
                self.give(entry, currency, ready);
            }
        }
    }

    fn give(&mut self, entry: EntryFields, currency: Currency, ready: &mut VecDeque<Event>) {
        self.begin(ready);
        let ordinal = self.foot.line_count;
        self.foot.line_count += 1;
        let at = format!("line {}, statement {}, :61: {}", entry.line, self.index + 1, ordinal + 1);
        let mut tell = |problem: String, severity: Severity| {
            ready.push_back(Event::Problem(Problem { statement: Some(self.index), at: at.clone(), problem, severity }));
        };
        let read = match field::entry(&entry.booked, currency) {
            Ok(read) => read,
            Err(problem) => return tell(problem, Severity::Grave),
        };
        if entry.overlong {
            tell("the text of the entry is too long; its end was left out".to_owned(), Severity::Note);
        }
        for note in &read.notes {
            tell(note.clone(), Severity::Note);
        }
        let story = narrative::read(&entry.story, currency);
        let line = into_line(read, story, currency, ordinal, at);
        self.count(&line);
        ready.push_back(Event::Line(Box::new(line)));
    }

    fn count(&mut self, line: &Line) {
        let amount = i128::from(line.amount.0);
        let booked = (line.status == Status::Booked).then_some(&mut self.booked);
        for foot in std::iter::once(&mut self.foot).chain(booked) {
            match line.direction {
                Direction::Credit => {
                    foot.credit_total += amount;
                    foot.credit_count += 1;
                }
                Direction::Debit => {
                    foot.debit_total += amount;
                    foot.debit_count += 1;
                }
            }
        }
        if line.status == Status::Booked {
            self.foot.booked_sum += i128::from(line.signed().0);
        }
    }

    fn begin(&mut self, ready: &mut VecDeque<Event>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let (number, page) = self.statement_id.as_deref().map_or((None, None), field::number);
        let currency = self.currency.or(self.account.currency);
        let at = format!("line {}, statement {}", self.line, self.index + 1);
        let (format, role) = match self.is_interim() {
            true => (Format::Mt942, Role::Report),
            false => (Format::Mt940, Role::Statement),
        };
        self.role = role;
        let head = Head {
            index: self.index,
            at: at.clone(),
            format,
            role,
            version: format.as_str().to_owned(),
            message_id: self.reference.clone(),
            account: self.account.account.clone(),
            servicer: self.account.servicer.clone(),
            related_account: None,
            currency,
            id: self.statement_id.clone(),
            number,
            page,
            last_page: None,
            copy: false,
            from: None,
            to: None,
            opening: self.opening,
        };
        let mut problems = std::mem::take(&mut self.early);
        let mut grave = |problem: &str| {
            let problem = problem.to_owned();
            problems.push(Problem { statement: Some(self.index), at: at.clone(), problem, severity: Severity::Grave });
        };
        if head.account.is_none() {
            grave("the statement does not say of which account it is: :25: is missing");
        }
        if currency.is_none() {
            grave("neither a balance nor the account says the currency of the statement");
        }
        ready.push_back(Event::Begin(Box::new(head)));
        ready.extend(problems.into_iter().map(Event::Problem));
    }

    /// The message is complete.
    pub(super) fn end(mut self, ready: &mut VecDeque<Event>) {
        self.settle(ready);
        let declared = self.provable(ready);
        let foot = Foot { closing: self.closing, declared, ..self.foot };
        ready.push_back(Event::End(Box::new(foot)));
    }

    /// The file ends inside of the message.
    pub(super) fn cut(mut self, line: u64, ready: &mut VecDeque<Event>) {
        self.settle(ready);
        let problem = format!("the statement is not complete: its file cannot be read beyond line {line}");
        let at = format!("line {}, statement {}", self.line, self.index + 1);
        let statement = Some(self.index);
        ready.push_back(Event::Problem(Problem { statement, at, problem, severity: Severity::Grave }));
    }

    /// The file ends within the closing balance, whose last digits may be missing: without an opening balance nothing
    /// would show that.
    pub(super) fn ends_in_closing(&mut self, ready: &mut VecDeque<Event>) {
        if self.opening.is_none() {
            let text = "the file ends in the closing balance, and no opening balance proves it".to_owned();
            self.tell(self.line, "62", text, Severity::Quarantine, ready);
        }
    }

    /// Gives what is still held.
    fn settle(&mut self, ready: &mut VecDeque<Event>) {
        self.end_entry(ready);
        self.end_waiting(ready);
        self.begin(ready);
        if self.is_interim() && self.role != Role::Report {
            let text = "these are the totals of an interim report, which must say so before its entries with :34F:";
            self.tell(self.line, "90", text.to_owned(), Severity::Grave, ready);
        }
        let unread = self.waiting.len();
        if unread > 0 {
            self.foot.line_count += u64::try_from(unread).unwrap_or(u64::MAX);
            let at = self.line;
            self.tell(
                at,
                "61",
                format!("{unread} lines cannot be read, since no currency is known"),
                Severity::Grave,
                ready,
            );
        }
        if self.too_many {
            let text = format!("more than {WAITING_LIMIT} entries stand before any currency");
            self.tell(self.line, "61", text, Severity::Grave, ready);
        }
    }

    /// Tells at once, or behind the head when that was not given out yet.
    fn tell(&mut self, line: u64, tag: &str, problem: String, severity: Severity, ready: &mut VecDeque<Event>) {
        let at = format!("line {line}, statement {}, :{tag}:", self.index + 1);
        let problem = Problem { statement: Some(self.index), at, problem, severity };
        if self.begun {
            ready.push_back(Event::Problem(problem));
        } else {
            remember(&mut self.early, problem);
        }
    }
}

fn into_line(read: field::Entry, story: Story, currency: Currency, position: u64, at: String) -> Line {
    let Story { mut detail, code, info, text_key } = story;
    let mut infos: Vec<String> = info.into_iter().collect();
    detail.amount = Some(read.amount);
    for supplement in read.supplement {
        take_supplement(&supplement, &mut detail, currency, &mut infos);
    }
    if let Some(name) = read.name {
        // The reference before a padded name is the other party's account.
        let account = read.owner_ref.as_deref().filter(|r| r.bytes().skip(1).all(|b| b.is_ascii_digit()));
        detail.counterparty_account = detail.counterparty_account.or(account.map(str::to_owned));
        detail.counterparty_name = detail.counterparty_name.or(Some(name));
    }
    if read.kind.as_deref() == Some("NRTI") && detail.return_reason.is_none() {
        detail.return_reason = Some(text_key.unwrap_or_else(|| "unspecified".to_owned()));
    }
    let code = match (read.kind, code) {
        (Some(kind), Some(code)) => Some(format!("{kind}/{code}")),
        (kind, code) => kind.or(code),
    };
    Line {
        position,
        at,
        amount: read.amount,
        currency,
        direction: read.direction,
        status: if read.expected { Status::Pending } else { Status::Booked },
        reversal: read.reversal,
        booked_on: Some(read.booked_on.unwrap_or(read.valued_on)),
        valued_on: Some(read.valued_on),
        bank_ref: read.bank_ref,
        owner_ref: read.owner_ref,
        code,
        info: (!infos.is_empty()).then(|| infos.join(" ")),
        details: vec![detail],
    }
}

/// The line below `:61:`: original amount and charges, the other party's account, or a text.
fn take_supplement(text: &str, detail: &mut crate::banking::Detail, currency: Currency, infos: &mut Vec<String>) {
    if text.starts_with("/OCMT/") || text.starts_with("/CHGS/") {
        if let Some((_, charges)) = text.split_once("/CHGS/") {
            detail.charges = detail.charges.or(narrative::charge(charges, currency));
        }
        return;
    }
    let digits = text.strip_prefix('P').unwrap_or(text);
    let is_number = digits.len() >= 7 && digits.bytes().all(|b| b.is_ascii_digit());
    if narrative::is_iban(text) || is_number {
        let is_some = digits.bytes().any(|b| b != b'0');
        if is_some && detail.counterparty_account.is_none() {
            detail.counterparty_account = Some(text.to_owned());
        }
        return;
    }
    infos.push(narrative::single_blanks(text));
}
