//! The walk through the tree: which element begins and ends where, and to whom its value goes.
//!
//! What is below a statement or an entry is told by its path alone; so an element with a known name in an unknown place is
//! passed over.

use super::tag::Tag;
use super::value::{self, CurrencyMark};
use super::{entry, statement};
use crate::banking::detect::{message_name, refusal};
use crate::banking::findings::remember;
use crate::banking::source::TOKEN_LIMIT;
use crate::banking::{Event, Format, Problem, Severity};
use crate::money::Currency;
use quick_xml::events::{BytesRef, BytesStart};
use std::collections::VecDeque;

/// How deep elements may nest. The standard needs about 15, envelopes add a few.
const DEPTH_LIMIT: usize = 64;

/// How many attributes of one element are looked at.
const ATTRIBUTE_LIMIT: usize = 32;

/// Where the reading stands in the tree, and what has been gathered there.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) path: Vec<Tag>,
    /// The length of the path at the message's element, while inside one.
    message_depth: Option<usize>,
    text: String,
    is_leaf: bool,
    mark: Option<CurrencyMark>,
    currencies: Vec<(String, Currency)>,
    message: statement::Message,
    pub(super) statement: Option<statement::Draft>,
    pub(super) entry: Option<entry::Draft>,
    pub(super) entry_start: u64,
    pub(super) statements: usize,
    pub(super) root: Option<String>,
    pub(super) foreign: bool,
    pub(super) mended_told: bool,
}

impl Walk {
    /// The path below the message's element.
    fn inside(&self) -> &[Tag] {
        self.message_depth.and_then(|depth| self.path.get(depth..)).unwrap_or_default()
    }

    pub(super) fn open(
        &mut self,
        start: &BytesStart,
        line: u64,
        at: u64,
        ready: &mut VecDeque<Event>,
    ) -> Result<(), String> {
        if self.path.len() >= DEPTH_LIMIT {
            return Err(format!("elements nest deeper than {DEPTH_LIMIT}"));
        }
        let local = start.local_name();
        let name: &str = local.as_ref();
        let mut tag = Tag::of(name.as_bytes());
        self.text.clear();
        self.is_leaf = true;
        self.mark = None;
        if self.message_depth.is_none() {
            self.open_outside(start, name, tag, line, ready);
        } else {
            if !start.attributes_raw().is_empty() {
                self.mark = Some(self.currency_mark(start));
            }
            match self.inside() {
                [] if matches!(tag, Tag::Stmt | Tag::Rpt | Tag::Ntfctn) => tag = self.begin_statement(tag, line, ready),
                [Tag::Stmt] if tag == Tag::Ntry => {
                    let ordinal = self.statement.as_ref().map_or(0, |s| s.entries);
                    self.entry = Some(entry::Draft::new(line, ordinal));
                    self.entry_start = at;
                }
                [Tag::Stmt, Tag::Ntry] | [Tag::Stmt, Tag::Ntry, Tag::NtryDtls] if tag == Tag::TxDtls => {
                    self.entry.as_mut().map_or(Ok(()), entry::Draft::begin_detail)?;
                }
                _ => {}
            }
        }
        self.path.push(tag);
        if self.message_depth.is_none()
            && let Some(format) = message_of(tag)
        {
            self.message_depth = Some(self.path.len());
            self.message.format = format;
        }
        Ok(())
    }

    /// A `Stmt` in a statement, a `Rpt` in a report, a `Ntfctn` in a notification. On the path all three are a `Stmt`, for
    /// what is below them is the same; one that stands in a message of another kind would be lost and is told.
    fn begin_statement(&mut self, tag: Tag, line: u64, ready: &mut VecDeque<Event>) -> Tag {
        let format = self.message.format;
        let meant = statement::element(format);
        let place = format!("line {line}, {meant} {}", self.statements + 1);
        let fits = match format {
            Format::Camt052 => Tag::Rpt,
            Format::Camt054 => Tag::Ntfctn,
            _ => Tag::Stmt,
        };
        if tag != fits {
            ready.push_back(Event::Problem(Problem {
                statement: None,
                at: format!("line {line}"),
                problem: format!("a {tag:?} stands in a {format} message, where a {meant} is meant; it cannot be used"),
                severity: Severity::Grave,
            }));
            return Tag::Other;
        }
        self.statement = Some(statement::Draft::new(self.statements, place, &self.message));
        self.statements += 1;
        self.message.is_empty = false;
        Tag::Stmt
    }

    /// An element that is not inside a message: an envelope, a header, a document, or another message.
    fn open_outside(&mut self, start: &BytesStart, name: &str, tag: Tag, line: u64, ready: &mut VecDeque<Event>) {
        self.root.get_or_insert_with(|| value::shortened(name));
        if self.path.is_empty() {
            self.message = statement::Message::default();
        }
        let version = version_in(start.attributes_raw());
        if version.is_some() {
            self.message.version = version;
        }
        let other = message_name(name);
        if message_of(tag).is_none() && (self.path.last() == Some(&Tag::Document) || other.is_some()) {
            let known = self.message.version.clone().filter(|v| !is_ours(v));
            let what =
                known.or(other.map(str::to_owned)).unwrap_or_else(|| format!("message \"{}\"", value::shortened(name)));
            // Elements of a foreign message may bear the names of others; one message is told once.
            if !self.foreign || self.path.last() == Some(&Tag::Document) {
                ready.push_back(Event::Problem(Problem {
                    statement: None,
                    at: format!("line {line}"),
                    problem: refusal(&what),
                    severity: Severity::Grave,
                }));
            }
            self.foreign = true;
        }
    }

    pub(super) fn close(&mut self, line: u64, ready: &mut VecDeque<Event>) {
        if std::mem::take(&mut self.is_leaf) {
            self.take_value(line, ready);
        }
        match self.inside() {
            [Tag::Stmt] => self.end_statement(ready),
            [Tag::Stmt, Tag::Bal] => {
                if let Some(problem) = self.statement.as_mut().and_then(|s| s.end_balance(line)) {
                    self.tell(problem, ready);
                }
            }
            [Tag::Stmt, Tag::Ntry] => self.end_entry(ready),
            [Tag::Stmt, Tag::Ntry, rest @ ..] => {
                let (in_detail, last) = (rest.contains(&Tag::TxDtls), rest.last().copied());
                match (last, &mut self.entry) {
                    (Some(Tag::Chrgs | Tag::Rcrd), Some(entry)) => entry.end_charge(in_detail),
                    (Some(Tag::RtrInf), Some(entry)) => entry.end_return(),
                    _ => {}
                }
            }
            _ => {}
        }
        self.path.pop();
        if self.message_depth.is_some_and(|depth| self.path.len() < depth) {
            self.message_depth = None;
            let message = std::mem::take(&mut self.message);
            if message.is_empty {
                ready.push_back(Event::Problem(Problem {
                    statement: None,
                    at: format!("line {line}"),
                    problem: format!(
                        "the {} message holds no {}: nothing is told of any account",
                        message.format,
                        statement::element(message.format)
                    ),
                    severity: Severity::Note,
                }));
            }
        }
    }

    /// An element without elements in it ends: its text goes to where its path belongs.
    fn take_value(&mut self, line: u64, ready: &mut VecDeque<Event>) {
        let text = clean(&mut self.text);
        let Some(depth) = self.message_depth else {
            match self.path.as_slice() {
                [.., Tag::AppHdr, Tag::MsgDefIdr] => self.message.version = version_in(text),
                [.., Tag::AppHdr, Tag::CpyDplct] => self.message.copy = true,
                _ => {}
            }
            return;
        };
        let mark = self.mark.take().unwrap_or(CurrencyMark::Absent);
        match self.path.get(depth..).unwrap_or_default() {
            [Tag::Stmt, Tag::Ntry, path @ ..] => {
                if let Some(entry) = &mut self.entry {
                    entry.take(path, text, &mark);
                }
            }
            [Tag::Stmt, path @ ..] => {
                let problem = self.statement.as_mut().and_then(|s| s.take(path, text, &mark));
                if let Some(problem) = problem {
                    self.tell(Problem { at: format!("line {line}, {}", after_line(&problem.at)), ..problem }, ready);
                }
            }
            [Tag::GrpHdr, path @ ..] => self.message.take(path, text),
            _ => {}
        }
    }

    fn end_entry(&mut self, ready: &mut VecDeque<Event>) {
        let (Some(entry), Some(statement)) = (self.entry.take(), &mut self.statement) else {
            return;
        };
        let around = entry::Around {
            statement: statement.index(),
            element: statement.element(),
            account: statement.account(),
            currency: statement.currency(),
            day: statement.day(),
            created: statement.created(),
            role: statement.role(),
        };
        let currency = entry.currency();
        let (line, problems) = entry.end(&around);
        statement.entries += 1;
        if !statement.begun {
            begin(statement, currency, ready);
        }
        ready.extend(problems.into_iter().map(Event::Problem));
        if let Some(line) = line {
            statement.count(&line);
            ready.push_back(Event::Line(Box::new(line)));
        }
    }

    fn end_statement(&mut self, ready: &mut VecDeque<Event>) {
        let Some(mut statement) = self.statement.take() else {
            return;
        };
        if !statement.begun {
            begin(&mut statement, None, ready);
        }
        let (foot, problems) = statement.end();
        ready.extend(problems.into_iter().map(Event::Problem));
        ready.push_back(Event::End(Box::new(foot)));
    }

    /// The file ends inside of a statement: what is known of it is given, and that it is not whole.
    pub(super) fn cut(&mut self, mut statement: statement::Draft, line: u64, ready: &mut VecDeque<Event>) {
        if !statement.begun {
            begin(&mut statement, None, ready);
        }
        let text = format!("the statement is not complete: its file cannot be read beyond line {line}");
        ready.push_back(Event::Problem(statement.problem("", text, Severity::Grave)));
    }

    fn tell(&mut self, problem: Problem, ready: &mut VecDeque<Event>) {
        match &mut self.statement {
            Some(statement) if !statement.begun => remember(&mut statement.early, problem),
            _ => ready.push_back(Event::Problem(problem)),
        }
    }

    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        if self.is_leaf {
            if self.text.len() + text.len() > TOKEN_LIMIT {
                return Err(format!("a text is longer than {} bytes", TOKEN_LIMIT));
            }
            self.text.push_str(text);
        }
        Ok(())
    }

    /// Takes a character or one of the five entities; an entity of a file's own making stays as it is written.
    pub(super) fn add_reference(&mut self, reference: &BytesRef) -> Result<(), String> {
        if let Ok(Some(character)) = reference.resolve_char_ref() {
            return self.add(character.encode_utf8(&mut [0; 4]));
        }
        let name: &str = reference;
        match name {
            "amp" => self.add("&"),
            "lt" => self.add("<"),
            "gt" => self.add(">"),
            "quot" => self.add("\""),
            "apos" => self.add("'"),
            other => self.add(&format!("&{other};")),
        }
    }

    /// The `Ccy` attribute; a currency is looked up once.
    fn currency_mark(&mut self, start: &BytesStart) -> CurrencyMark {
        let mut attributes = start.attributes();
        let found = attributes.with_checks(false).take(ATTRIBUTE_LIMIT).flatten().find(|a| a.key.as_ref() == "Ccy");
        let Some(attribute) = found else {
            return CurrencyMark::Absent;
        };
        let code = attribute.value.trim();
        if let Some((_, currency)) = self.currencies.iter().find(|(known, _)| known == code) {
            return CurrencyMark::Known(*currency);
        }
        match code.parse::<Currency>() {
            Ok(currency) => {
                self.currencies.push((code.to_owned(), currency));
                CurrencyMark::Known(currency)
            }
            Err(_) => CurrencyMark::Unknown(value::shortened(code)),
        }
    }
}

fn begin(statement: &mut statement::Draft, line_currency: Option<Currency>, ready: &mut VecDeque<Event>) {
    let (head, problems) = statement.begin(line_currency);
    ready.push_back(Event::Begin(Box::new(head)));
    ready.extend(problems.into_iter().map(Event::Problem));
}

/// The message that an element opens, of those that are read here.
fn message_of(tag: Tag) -> Option<Format> {
    match tag {
        Tag::BkToCstmrStmt | Tag::BkToCstmrStmtV01 => Some(Format::Camt053),
        Tag::BkToCstmrAcctRpt | Tag::BkToCstmrAcctRptV01 => Some(Format::Camt052),
        Tag::BkToCstmrDbtCdtNtfctn | Tag::BkToCstmrDbtCdtNtfctnV01 => Some(Format::Camt054),
        _ => None,
    }
}

/// Whether a version is one of a message that is read here.
fn is_ours(version: &str) -> bool {
    ["camt.052", "camt.053", "camt.054"].iter().any(|format| version.starts_with(format))
}

/// Trims the text and makes blanks of what no name or text should hold: line ends from pretty printing, control characters.
fn clean(text: &mut String) -> &str {
    if text.bytes().any(|b| b < b' ') || text.contains('\u{7f}') {
        *text =
            text.split(|c: char| c.is_control()).map(str::trim).filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ");
    }
    text.trim()
}

/// `camt.053.001.08` out of a namespace, a schema location or a header.
fn version_in(text: &str) -> Option<String> {
    let from = text.find("camt.").or_else(|| text.find("pain.")).or_else(|| text.find("pacs."))?;
    let rest = text.get(from..)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
    let name = rest.get(..end)?;
    Some(name.strip_suffix(".xsd").unwrap_or(name).to_owned())
}

/// A place without the line that it begins with.
fn after_line(at: &str) -> &str {
    at.split_once(", ").map_or(at, |(_, rest)| rest)
}
