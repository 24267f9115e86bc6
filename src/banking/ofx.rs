//! OFX, versions 1 (SGML) and 2 (XML), read token by token.
//!
//! Every statement of a file is one of ours: bank accounts and cards. OFX has a closing balance only, so a statement proves
//! nothing by itself; references of entries (`FITID`) are kept and never trusted alone, since some banks use them again.
//!
//! Invariant: a statement that the file cuts off has no [`Event::End`] and a grave problem of its own beside the file's.

mod entry;
mod markup;

use super::source::Source;
use super::{Balance, Direction, Event, Foot, Format, Head, Line, Problem, Role, Severity, Status};
use crate::money::Currency;
use encoding_rs::Encoding;
use entry::{Entry, Inside, amount, date, shortened};
use markup::Token;
use std::collections::VecDeque;
use std::io::BufRead;

/// An OFX file that is being read.
pub struct Reader<R> {
    source: Source<R>,
    ready: VecDeque<Event>,
    done: bool,
    /// `<OFX>` is open.
    open: bool,
    /// An `<OFX>` was there.
    seen: bool,
    /// The leaf whose text comes next, or came in part.
    leaf: Option<(u64, String, String)>,
    part: Part,
    answer: Answer,
    /// What a bank answered instead of a statement.
    refusals: Vec<(u64, String)>,
    /// The servicer of all statements, where the sign-on names it.
    servicer: Option<String>,
    statement: Option<Draft>,
    entry: Option<Entry>,
    statements: usize,
    /// Text behind the end.
    garbage: Option<u64>,
}

/// The aggregate that leaves belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Nothing,
    Status,
    Institution,
    Account,
    OwnBalance,
    OtherBalance,
    Entry(Inside),
}

/// The status of the answer at hand.
#[derive(Debug, Default)]
struct Answer {
    code: String,
    severity: String,
    message: String,
}

/// A statement that is being read.
#[derive(Debug, Default)]
struct Draft {
    line: u64,
    index: usize,
    begun: bool,
    early: Vec<Problem>,
    currency: Option<String>,
    account: Option<String>,
    bank: Option<String>,
    from: Option<String>,
    to: Option<String>,
    balance: Option<String>,
    balance_on: Option<String>,
    balance_line: u64,
    known_currency: Option<Currency>,
    /// Of securities.
    invested: bool,
    pending_list: bool,
    foot: Foot,
}

/// The encoding that the header of version 1 declares, where it is none that is recognised anyway.
fn declared_encoding(head: &[u8]) -> Option<&'static Encoding> {
    let text = String::from_utf8_lossy(head);
    let header = text.split('<').next().unwrap_or_default();
    let value = header.split_once("CHARSET:")?.1.split_whitespace().next()?.to_ascii_lowercase();
    // The usual ones are what is taken for bytes that are no UTF-8; many files are UTF-8 and say something else.
    if matches!(value.as_str(), "" | "none" | "1252" | "windows-1252" | "iso-8859-1" | "8859-1" | "us-ascii" | "utf-8")
    {
        return None;
    }
    let known = |label: &str| Encoding::for_label(label.as_bytes());
    known(&value).or_else(|| known(&format!("windows-{value}"))).filter(|e| e.is_ascii_compatible())
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.done {
                return None;
            }
            self.step();
        }
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads `input` as OFX, whatever it is.
    pub fn new(mut input: R) -> Self {
        let encoding = input.fill_buf().ok().and_then(declared_encoding);
        let source = match encoding {
            Some(encoding) => Source::with_encoding(input, encoding),
            None => Source::new(input),
        };
        Reader {
            source,
            ready: VecDeque::new(),
            done: false,
            open: false,
            seen: false,
            leaf: None,
            part: Part::Nothing,
            answer: Answer::default(),
            refusals: Vec::new(),
            servicer: None,
            statement: None,
            entry: None,
            statements: 0,
            garbage: None,
        }
    }

    fn step(&mut self) {
        match markup::next(&mut self.source) {
            Ok((line, Token::Open(name))) => {
                self.end_leaf();
                self.open(line, name);
            }
            Ok((_, Token::Close(name))) => {
                let own = self.leaf.as_ref().is_some_and(|(_, leaf, _)| *leaf == name);
                self.end_leaf();
                if !own {
                    self.close(&name);
                }
            }
            Ok((line, Token::Text(text))) => self.take_text(line, &text),
            Ok((_, Token::Instruction(_))) => {}
            Ok((line, Token::Declaration)) => {
                let text = "the file declares a document type or entities, which no bank file needs: it is refused";
                self.finish(line, Some(text.to_owned()));
            }
            Ok((line, Token::Torn | Token::End)) => self.finish(line, None),
            Err(error) => {
                let line = self.source.line();
                self.finish(line, Some(format!("the file cannot be read: {error}")));
            }
        }
    }

    fn take_text(&mut self, line: u64, text: &str) {
        if let Some((_, _, value)) = &mut self.leaf {
            value.push_str(text);
        } else if !self.open && self.seen && !is_header(text) {
            self.garbage = self.garbage.or(Some(line));
        }
    }

    fn open(&mut self, line: u64, name: String) {
        match name.as_str() {
            "OFX" => {
                self.open = true;
                self.seen = true;
            }
            "STMTTRNRS" | "CCSTMTTRNRS" | "INVSTMTTRNRS" => self.answer = Answer::default(),
            "STMTRS" | "CCSTMTRS" | "INVSTMTRS" => self.begin_statement(line, name == "INVSTMTRS"),
            "BANKTRANLISTP" => self.statement.iter_mut().for_each(|s| s.pending_list = true),
            "STMTTRN" | "STMTTRNP" => self.begin_entry(line, name == "STMTTRNP"),
            _ => {
                let part = part_of(&name, self.entry.is_some());
                match part {
                    Some(part) => {
                        if part == Part::Status {
                            self.answer = Answer::default();
                        }
                        if let (Part::OwnBalance, Some(statement)) = (part, &mut self.statement) {
                            statement.balance_line = line;
                        }
                        self.part = part;
                    }
                    None => self.leaf = Some((line, name, String::new())),
                }
            }
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "OFX" => {
                self.end_entry();
                self.end_statement();
                self.open = false;
            }
            "STMTRS" | "CCSTMTRS" | "INVSTMTRS" => {
                self.end_entry();
                self.end_statement();
            }
            "BANKTRANLISTP" => self.statement.iter_mut().for_each(|s| s.pending_list = false),
            "STMTTRN" | "STMTTRNP" => self.end_entry(),
            "STATUS" => {
                self.end_status();
                self.part = Part::Nothing;
            }
            _ => {
                if part_of(name, self.entry.is_some()).is_some() {
                    self.part = if self.entry.is_some() { Part::Entry(Inside::Nothing) } else { Part::Nothing };
                }
            }
        }
    }

    /// A leaf is complete, because a tag comes.
    fn end_leaf(&mut self) {
        let Some((_, name, value)) = self.leaf.take() else { return };
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        let kept = || Some(value.to_owned());
        if let (Part::Entry(inside), Some(entry)) = (self.part, &mut self.entry) {
            return entry.take(inside, &name, value);
        }
        match (self.part, name.as_str()) {
            (Part::Status, "CODE") => value.clone_into(&mut self.answer.code),
            (Part::Status, "SEVERITY") => value.clone_into(&mut self.answer.severity),
            (Part::Status, "MESSAGE") => value.clone_into(&mut self.answer.message),
            (Part::Institution, "ORG") => self.servicer = kept(),
            _ => {}
        }
        let Some(statement) = &mut self.statement else { return };
        match (self.part, name.as_str()) {
            (Part::Account, "ACCTID") => statement.account = Some(value.split_whitespace().collect()),
            (Part::Account, "BANKID" | "BROKERID") => statement.bank = kept(),
            (Part::OwnBalance, "BALAMT") => statement.balance = kept(),
            (Part::OwnBalance, "DTASOF") => statement.balance_on = kept(),
            (Part::Nothing, "CURDEF") => statement.currency = kept(),
            (Part::Nothing, "DTSTART") => statement.from = statement.from.take().or_else(kept),
            (Part::Nothing, "DTEND") => statement.to = kept(),
            _ => {}
        }
    }

    /// An answer that is an error brings no statement.
    fn end_status(&mut self) {
        let Answer { code, severity, message } = std::mem::take(&mut self.answer);
        if severity.eq_ignore_ascii_case("ERROR") {
            let line = self.source.line();
            let message = if message.is_empty() { String::new() } else { format!(": {}", message_of(&message)) };
            self.refusals.push((line, format!("the bank answered with error {}{message}", shortened(&code))));
            // A file of nothing but errors stays small.
            self.refusals.truncate(10);
        }
    }

    fn begin_statement(&mut self, line: u64, invested: bool) {
        self.end_entry();
        if let Some(open) = &mut self.statement {
            let text = "the statement has not ended when the next one begins".to_owned();
            open.tell(open.line, String::new(), text, Severity::Grave, &mut self.ready);
        }
        self.end_statement();
        self.part = Part::Nothing;
        self.statement = Some(Draft { line, index: self.statements, invested, ..Draft::default() });
        self.statements += 1;
    }

    fn begin_entry(&mut self, line: u64, pending: bool) {
        if self.entry.is_some() {
            if let Some(statement) = &mut self.statement {
                let text = "an entry begins inside of another one".to_owned();
                statement.tell(line, ", STMTTRN".to_owned(), text, Severity::Grave, &mut self.ready);
            }
            self.end_entry();
        }
        if self.statement.is_none() {
            self.tell_file(line, "an entry stands in no statement".to_owned(), Severity::Grave);
        }
        let pending = pending || self.statement.as_ref().is_some_and(|s| s.pending_list);
        self.entry = Some(Entry::new(line, pending));
        self.part = Part::Entry(Inside::Nothing);
    }

    fn end_entry(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        self.part = Part::Nothing;
        if let Some(statement) = &mut self.statement {
            statement.give(entry, self.servicer.as_deref(), &mut self.ready);
        }
    }

    fn end_statement(&mut self) {
        let Some(mut statement) = self.statement.take() else { return };
        statement.begin(None, self.servicer.as_deref(), &mut self.ready);
        statement.end(&mut self.ready);
    }

    /// The file ends, or cannot be read on.
    fn finish(&mut self, line: u64, problem: Option<String>) {
        self.done = true;
        // The entry at hand may lack its end, and is of a statement that is refused anyway.
        self.entry = None;
        let cut = self.open || !self.seen;
        if let Some(mut statement) = self.statement.take() {
            statement.begin(None, self.servicer.as_deref(), &mut self.ready);
            let text = format!("the statement is not complete: its file cannot be read beyond line {line}");
            statement.tell(statement.line, String::new(), text, Severity::Grave, &mut self.ready);
        }
        if let Some(problem) = problem {
            self.tell_file(line, problem, Severity::Grave);
        } else if cut {
            let text = "the file ends before </OFX>: fetch it again from the bank".to_owned();
            self.tell_file(line, text, Severity::Grave);
        }
        if let Some(line) = self.garbage {
            self.tell_file(line, "something that is no OFX stands behind the end".to_owned(), Severity::Grave);
        }
        let severity = if self.statements == 0 { Severity::Grave } else { Severity::Quarantine };
        let refusals = std::mem::take(&mut self.refusals);
        if refusals.is_empty() && self.statements == 0 && !cut {
            self.tell_file(line, "the file holds no statement of an account".to_owned(), Severity::Grave);
        }
        for (line, text) in refusals {
            self.tell_file(line, text, severity);
        }
    }

    fn tell_file(&mut self, line: u64, problem: String, severity: Severity) {
        let at = format!("line {line}");
        self.ready.push_back(Event::Problem(Problem { statement: None, at, problem, severity }));
    }
}

/// A bank's message can be a page.
fn message_of(text: &str) -> String {
    text.chars().take(300).collect()
}

/// The aggregates whose leaves are read.
fn part_of(name: &str, in_entry: bool) -> Option<Part> {
    Some(match name {
        "STATUS" => Part::Status,
        "FI" => Part::Institution,
        "BANKACCTFROM" | "CCACCTFROM" | "INVACCTFROM" if !in_entry => Part::Account,
        "LEDGERBAL" if !in_entry => Part::OwnBalance,
        "AVAILBAL" | "BAL" if !in_entry => Part::OtherBalance,
        "PAYEE" if in_entry => Part::Entry(Inside::Payee),
        "BANKACCTTO" | "CCACCTTO" if in_entry => Part::Entry(Inside::OtherAccount),
        "CURRENCY" if in_entry => Part::Entry(Inside::Currency),
        "ORIGCURRENCY" if in_entry => Part::Entry(Inside::OriginalCurrency),
        _ => return None,
    })
}

/// The header of a file that follows another one.
fn is_header(text: &str) -> bool {
    text.trim_start().starts_with("OFXHEADER")
}

impl Draft {
    fn give(&mut self, entry: Entry, servicer: Option<&str>, ready: &mut VecDeque<Event>) {
        self.begin(Some(&entry), servicer, ready);
        let ordinal = self.foot.line_count;
        self.foot.line_count += 1;
        let at = format!("line {}, STMTRS {}, STMTTRN {}", entry.line, self.index + 1, ordinal + 1);
        let mut told = Vec::new();
        let line = entry.into_line(self.known_currency, (ordinal, at.clone()), |problem, severity| {
            told.push(Problem { statement: Some(self.index), at: at.clone(), problem, severity });
        });
        ready.extend(told.into_iter().map(Event::Problem));
        if let Some(line) = line {
            self.count(&line);
            ready.push_back(Event::Line(Box::new(line)));
        }
    }

    fn count(&mut self, line: &Line) {
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

    /// Account and currency stand before the first entry; `first` may say the currency where the statement does not.
    fn begin(&mut self, first: Option<&Entry>, servicer: Option<&str>, ready: &mut VecDeque<Event>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let at = format!("line {}, STMTRS {}", self.line, self.index + 1);
        let mut told: Vec<(String, Severity)> = Vec::new();
        let code = match (&self.currency, first.filter(|e| e.is_at_par()).and_then(|e| e.currency.clone())) {
            (Some(code), _) => Some(code.clone()),
            (None, Some(code)) => {
                told.push((format!("CURDEF is missing; its first entry is in {code}"), Severity::Note));
                Some(code)
            }
            (None, None) => None,
        };
        match code.map(|code| code.parse::<Currency>()) {
            Some(Ok(currency)) => self.known_currency = Some(currency),
            Some(Err(problem)) => told.push((format!("CURDEF: {problem}"), Severity::Grave)),
            None => told.push(("the statement names no currency: CURDEF is missing".to_owned(), Severity::Grave)),
        }
        if self.account.is_none() {
            let text = "the statement does not say of which account it is: ACCTID is missing";
            told.push((text.to_owned(), Severity::Grave));
        }
        if self.invested {
            let text = "this is the statement of an investment account; those of banks and cards can be read";
            told.push((text.to_owned(), Severity::Grave));
        }
        let day = |text: &Option<String>| text.as_deref().and_then(|t| date(t).ok());
        let head = Head {
            index: self.index,
            at: at.clone(),
            format: Format::Ofx,
            role: Role::Statement,
            version: Format::Ofx.as_str().to_owned(),
            message_id: None,
            account: self.account.clone(),
            servicer: self.bank.clone().or_else(|| servicer.map(str::to_owned)),
            related_account: None,
            currency: self.known_currency,
            id: None,
            number: None,
            page: None,
            last_page: None,
            copy: false,
            from: day(&self.from),
            to: day(&self.to),
            opening: None,
        };
        ready.push_back(Event::Begin(Box::new(head)));
        for (problem, severity) in told {
            ready.push_back(Event::Problem(Problem { statement: Some(self.index), at: at.clone(), problem, severity }));
        }
        ready.extend(std::mem::take(&mut self.early).into_iter().map(Event::Problem));
    }

    fn end(mut self, ready: &mut VecDeque<Event>) {
        self.foot.closing = self.closing(ready);
        ready.push_back(Event::End(Box::new(std::mem::take(&mut self.foot))));
    }

    fn closing(&mut self, ready: &mut VecDeque<Event>) -> Option<Balance> {
        let (text, currency) = (self.balance.take()?, self.known_currency?);
        let amount = amount(&text, currency);
        let on = match self.balance_on.take() {
            Some(text) => date(&text),
            None => Err("the day of the balance is missing".to_owned()),
        };
        match (amount, on) {
            (Ok(amount), Ok(on)) => Some(Balance { amount, currency, on, intermediate: false }),
            (Err(problem), _) | (_, Err(problem)) => {
                self.tell(self.balance_line, ", LEDGERBAL".to_owned(), problem, Severity::Quarantine, ready);
                None
            }
        }
    }

    /// Tells at once, or behind the head when that was not given out yet.
    fn tell(&mut self, line: u64, part: String, problem: String, severity: Severity, ready: &mut VecDeque<Event>) {
        let at = format!("line {line}, STMTRS {}{part}", self.index + 1);
        let problem = Problem { statement: Some(self.index), at, problem, severity };
        if self.begun {
            ready.push_back(Event::Problem(problem));
        } else {
            self.early.push(problem);
        }
    }
}

#[cfg(test)]
mod tests;
