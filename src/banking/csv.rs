//! CSV by a declared profile, read row by row.
//!
//! The profile says everything: which cells, which signs, which days, whose account. What it does not say is not guessed, and
//! a row that it does not fit makes the statement grave. A column of balances proves every row.
//!
//! Files whose newest row is first, or whose accounts are mixed, cannot be given out as they come: their rows are held, up to
//! [`HELD_LIMIT`], and given out oldest first, one account after another.

mod profile;
mod row;
mod statement;
mod value;

use super::source::Source;
use super::{Event, Problem, Severity};
use crate::money::Currency;
use ::csv::{ReaderBuilder, StringRecord};
use profile::{Cell, Order};
use row::{Fixed, Places, Row, Rows};
use statement::{Draft, Outside};
use std::collections::{HashSet, VecDeque};
use std::io::{self, BufRead, Read};
use std::sync::Arc;

pub use profile::Profile;

/// How many bytes of rows are held where they have to be put in order.
const HELD_LIMIT: usize = 32 * 1024 * 1024;

/// How many accounts a file may hold.
const ACCOUNT_LIMIT: usize = 10_000;

/// A CSV file that is being read.
pub struct Reader<R> {
    rows: ::csv::Reader<Watched<R>>,
    profile: Arc<Profile>,
    places: Places,
    ready: VecDeque<Event>,
    begun: bool,
    done: bool,
    /// Texts of the cells outside of the rows.
    outside: Found,
    fixed: Fixed,
    draft: Option<Draft>,
    held: Vec<Row>,
    held_size: usize,
    ended: HashSet<(Option<String>, Option<Currency>)>,
    statements: usize,
    /// The last row has too few cells.
    short: bool,
}

/// What the cells outside of the rows say.
#[derive(Debug, Default)]
struct Found {
    account: Option<String>,
    currency: Option<String>,
    opening: Option<String>,
    closing: Option<String>,
}

/// Whether a file that begins so has the header of a profile.
pub(super) fn fits(profile: &Arc<Profile>, head: &[u8]) -> bool {
    profile.file.header.is_some() && Reader::new(head, Arc::clone(profile)).read_header().is_ok()
}

/// Whether the first bytes are those of a workbook: a zip archive of its parts, or the container of the old format.
pub(super) fn is_workbook(head: &[u8]) -> bool {
    let has = |part: &[u8]| head.windows(part.len()).any(|w| w == part);
    let zip = head.starts_with(b"PK\x03\x04")
        && (has(b"xl/")
            || has(b"[Content_Types].xml")
            || has(b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet"));
    zip || head.starts_with(b"\xD0\xCF\x11\xE0")
}

/// Why a workbook is refused.
pub(super) const WORKBOOK: &str = "this is a workbook (XLSX, XLS or ODS), whose cells hold rounded numbers and no text: have the bank send CSV, or save it as CSV in UTF-8, and read that by a profile";

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
    /// Reads `input` by a profile, whatever it looks like.
    pub fn new(input: R, profile: Arc<Profile>) -> Self {
        let (delimiter, quote) = (profile.delimiter().unwrap_or(b','), profile.quote());
        let watched = Watched {
            source: Source::with_encoding(input, profile.encoding()),
            delimiter,
            quote,
            within: Within::FieldStart,
            last: b'\n',
            count: 0,
            crlf: false,
        };
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(delimiter).quoting(quote.is_some());
        if let Some(quote) = quote {
            builder.quote(quote);
        }
        let account = &profile.account;
        let fixed = Fixed {
            account: account.number.as_ref().map(|n| n.replace(' ', "")),
            currency: account.currency.as_ref().and_then(|c| c.parse().ok()),
        };
        Reader {
            rows: builder.from_reader(watched),
            places: Places::new(&profile),
            profile,
            ready: VecDeque::new(),
            begun: false,
            done: false,
            outside: Found::default(),
            fixed,
            draft: None,
            held: Vec::new(),
            held_size: 0,
            ended: HashSet::new(),
            statements: 0,
            short: false,
        }
    }

    fn step(&mut self) {
        if !std::mem::replace(&mut self.begun, true)
            && let Err((line, problem)) = self.read_header()
        {
            self.done = true;
            return self.tell_file(line, problem, Severity::Grave);
        }
        match self.next_row() {
            Ok(Some((line, cells))) => self.take(&cells, line),
            Ok(None) => self.finish(),
            Err(problem) => {
                self.done = true;
                let line = self.rows.position().line();
                if let Some(draft) = self.draft.take() {
                    draft.cut(line, &mut self.ready);
                }
                self.tell_file(line, problem, Severity::Grave);
            }
        }
    }

    /// The next row that is not empty, and the line where it begins.
    fn next_row(&mut self) -> Result<Option<(u64, StringRecord)>, String> {
        let mut cells = StringRecord::new();
        loop {
            self.rows.get_mut().source.mark();
            match self.rows.read_record(&mut cells) {
                Ok(true) if cells.iter().all(|cell| cell.trim().is_empty()) => {}
                Ok(true) => return Ok(Some((self.line_of(&cells), cells))),
                Ok(false) => return Ok(None),
                Err(error) => return Err(format!("the file cannot be read: {error}")),
            }
        }
    }

    /// The line where a row that was just read begins. The splitter counts line ends that it has seen: of CR LF it has not
    /// seen the LF yet, and blank lines above a row are the row's to it.
    fn line_of(&self, cells: &StringRecord) -> u64 {
        let (seen, watched) = (self.rows.position(), self.rows.get_ref());
        let at_end = seen.byte() == watched.count && watched.last != b'\n';
        let last = if at_end || watched.crlf { seen.line() } else { seen.line().saturating_sub(1) };
        let inside: usize = cells.iter().map(|cell| cell.matches('\n').count()).sum();
        last.saturating_sub(u64::try_from(inside).unwrap_or(0)).max(1)
    }

    /// Passes over the rows above the header and compares the header with the profile's.
    fn read_header(&mut self) -> Result<(), (u64, String)> {
        let ends = |what: &str| (1, format!("the file ends before {what}"));
        for _ in 0..self.profile.file.skip_rows {
            let (_, cells) = self.next_row().map_err(|e| (1, e))?.ok_or_else(|| ends("its header"))?;
            self.take_outside(&cells);
        }
        let profile = Arc::clone(&self.profile);
        let Some(header) = &profile.file.header else { return Ok(()) };
        let (line, cells) = self.next_row().map_err(|e| (1, e))?.ok_or_else(|| ends("its header"))?;
        let found: Vec<&str> = cells.iter().map(str::trim).collect();
        let filled = found.iter().rposition(|c| !c.is_empty()).map_or(0, |at| at + 1);
        let said: Vec<&str> = header.iter().map(|c| c.trim()).collect();
        let wanted = said.iter().rposition(|c| !c.is_empty()).map_or(0, |at| at + 1);
        if found.get(..filled) == said.get(..wanted) {
            return Ok(());
        }
        let differs = said.iter().zip(found.iter().chain(std::iter::repeat(&""))).position(|(a, b)| a != b);
        let at = differs.unwrap_or(said.len());
        let cell = |row: &[&str]| row.get(at).copied().unwrap_or_default().chars().take(60).collect::<String>();
        Err((
            line,
            format!(
                "the header is not the one of the profile {}: column {} is \"{}\" and should be \"{}\"",
                profile.name,
                at + 1,
                cell(&found),
                cell(&said)
            ),
        ))
    }

    fn take(&mut self, cells: &StringRecord, line: u64) {
        if self.take_outside(cells) {
            return;
        }
        self.short = cells.len() < self.profile.width();
        self.settle_cells(line);
        let rows = Rows { profile: &self.profile, places: &self.places, fixed: &self.fixed };
        let Some(row) = rows.read(cells, line) else { return };
        if self.profile.file.order == Order::OldestFirst && !self.profile.file.mixed_accounts {
            return self.give(row);
        }
        // A line takes a multiple of its text.
        self.held_size += 600 + cells.as_slice().len() * 2;
        if self.held_size > HELD_LIMIT {
            self.done = true;
            let text = "the file is too large to be put in order: ask the bank for one that begins with the oldest row, of one account";
            return self.tell_file(line, text.to_owned(), Severity::Grave);
        }
        self.held.push(row);
    }

    /// Whether a row is one that the profile names, and none of the lines; takes what its cells say.
    fn take_outside(&mut self, cells: &StringRecord) -> bool {
        let profile = Arc::clone(&self.profile);
        let first = cells.get(0).unwrap_or_default().trim();
        let mut named = profile.file.footer.iter().any(|text| first.starts_with(text.trim()));
        let slots = [
            (&profile.account.number_cell, &mut self.outside.account),
            (&profile.account.currency_cell, &mut self.outside.currency),
            (&profile.amount.opening_cell, &mut self.outside.opening),
            (&profile.amount.closing_cell, &mut self.outside.closing),
        ];
        for (cell, slot) in slots {
            let Some(Cell { row, column, after }) = cell else { continue };
            if !first.starts_with(row.trim()) {
                continue;
            }
            named = true;
            let text = row::text(cells, column.checked_sub(1)).unwrap_or_default();
            let value = match after {
                Some(after) => text.split_once(after.trim()).map(|(_, behind)| behind),
                None => Some(text.as_str()),
            };
            let value = value.map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned);
            *slot = slot.take().or(value);
        }
        named
    }

    /// Account and currency from cells above the rows.
    fn settle_cells(&mut self, line: u64) {
        if self.fixed.account.is_none() {
            self.fixed.account = self.outside.account.as_ref().map(|text| text.replace(' ', ""));
        }
        if let (None, Some(text)) = (self.fixed.currency, self.outside.currency.take()) {
            match text.parse() {
                Ok(currency) => self.fixed.currency = Some(currency),
                Err(problem) => self.tell_file(line, format!("account.currency_cell: {problem}"), Severity::Grave),
            }
        }
    }

    fn balances(&self, currency: Option<Currency>) -> Outside {
        let mut outside = Outside::default();
        let Some(currency) = currency else { return outside };
        let cells = [
            ("opening_cell", &self.outside.opening, &mut outside.opening),
            ("closing_cell", &self.outside.closing, &mut outside.closing),
        ];
        for (key, text, slot) in cells {
            match text.as_ref().map(|text| self.profile.amount.numbers.amount(text, currency)) {
                Some(Ok(amount)) => *slot = Some(amount),
                Some(Err(problem)) => outside.problem = Some(format!("amount.{key}: {problem}")),
                None => {}
            }
        }
        outside
    }

    /// Gives a row to its statement.
    fn give(&mut self, row: Row) {
        // A row of nobody may be anybody's, so no statement of the file is complete without it.
        let account = &self.profile.account;
        let nobody = row.account.is_none() && account.number_column.is_some()
            || row.currency.is_none() && account.currency_column.is_some();
        if nobody {
            let mut problem = "the row does not say its account and currency, so it belongs to none".to_owned();
            for (more, _) in &row.problems {
                problem.push_str("; ");
                problem.push_str(more);
            }
            return self.tell_file(row.line, problem, Severity::Grave);
        }
        if self.draft.as_ref().is_some_and(|draft| !draft.is_of(&row)) {
            self.end_statement(false);
        }
        if self.draft.is_none() {
            let key = (row.account.clone(), row.currency);
            if self.ended.contains(&key) {
                let problem = "rows of this account and currency stand further up, behind them those of another: set file.mixed_accounts in the profile".to_owned();
                self.tell_file(row.line, problem, Severity::Grave);
            }
            self.begin_statement(row.line, key, Some(&row));
        }
        if let Some(draft) = &mut self.draft {
            draft.take(row, &mut self.ready);
        }
    }

    fn begin_statement(&mut self, line: u64, key: (Option<String>, Option<Currency>), first: Option<&Row>) {
        let outside = self.balances(key.1);
        let place = (self.statements, line);
        self.draft = Some(Draft::begin(place, key, first, &self.profile, outside, &mut self.ready));
        self.statements += 1;
    }

    fn end_statement(&mut self, unterminated: bool) {
        let Some(draft) = self.draft.take() else { return };
        if self.ended.len() >= ACCOUNT_LIMIT {
            self.done = true;
            let line = self.rows.position().line();
            self.tell_file(line, format!("the file has more than {ACCOUNT_LIMIT} accounts"), Severity::Grave);
        }
        self.ended.insert((draft.account.clone(), draft.currency));
        let outside = self.balances(draft.currency);
        draft.end(outside, self.profile.file.order, unterminated, &mut self.ready);
    }

    /// The file ends.
    fn finish(&mut self) {
        self.done = true;
        let line = self.rows.position().line();
        let (unclosed, mended) = {
            let watched = self.rows.get_ref();
            (watched.within == Within::Quoted, watched.source.mended())
        };
        let in_row = !matches!(self.rows.get_ref().last, b'\n' | b'\r');
        let unterminated = in_row && !self.profile.file.last_row_unterminated;
        self.settle_cells(line);
        if unclosed {
            let text = "the file ends inside of quotes: it was cut off, or a quote is missing".to_owned();
            self.tell_file(line, text, Severity::Grave);
        }
        if in_row && self.short {
            self.tell_file(
                line,
                "the file ends inside of a row: fetch it again from the bank".to_owned(),
                Severity::Grave,
            );
        }
        let account = &self.profile.account;
        let several = account.number_column.is_some() || account.currency_column.is_some();
        let held = self.profile.file.mixed_accounts || self.profile.file.order == Order::NewestFirst;
        if unterminated && several && held {
            // Put in order, the last row may be of any statement.
            let text = "the last row has no line end, so the file may be cut off: fetch it again, or set file.last_row_unterminated where this bank's files end so";
            self.tell_file(line, text.to_owned(), Severity::Grave);
        }
        self.give_held();
        if self.statements == 0 {
            if self.fixed.account.is_some() && self.fixed.currency.is_some() {
                // A quiet time.
                self.begin_statement(line, (self.fixed.account.clone(), self.fixed.currency), None);
            } else {
                self.tell_file(line, "the file has a header and no lines".to_owned(), Severity::Grave);
            }
        }
        self.end_statement(unterminated);
        if mended > 0 {
            let encoding = &self.profile.file.encoding;
            let text =
                format!("{mended} bytes are not {encoding}, and were read as windows-1252: is file.encoding right?");
            self.tell_file(line, text, Severity::Note);
        }
    }

    /// Gives out what was held: oldest first, one account after another.
    fn give_held(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        if self.profile.file.order == Order::NewestFirst {
            held.reverse();
        }
        if self.profile.file.mixed_accounts {
            let mut order: Vec<(Option<String>, Option<Currency>)> = Vec::new();
            let mut seen = HashSet::new();
            for row in &held {
                let key = (row.account.clone(), row.currency);
                if seen.insert(key.clone()) {
                    order.push(key);
                }
            }
            let places: std::collections::HashMap<_, _> = order.into_iter().zip(0usize..).collect();
            // The sort is stable: within an account the order stays.
            held.sort_by_key(|row| places.get(&(row.account.clone(), row.currency)).copied());
        }
        for row in held {
            self.give(row);
        }
    }

    fn tell_file(&mut self, line: u64, problem: String, severity: Severity) {
        let at = format!("line {}", line.max(1));
        self.ready.push_back(Event::Problem(Problem { statement: None, at, problem, severity }));
    }
}

/// The text of a file on its way to the splitter, which says neither that a quote stayed open nor how the file ended.
struct Watched<R> {
    source: Source<R>,
    delimiter: u8,
    quote: Option<u8>,
    within: Within,
    last: u8,
    /// How many bytes went by.
    count: u64,
    /// Lines end with CR LF.
    crlf: bool,
}

/// Where in a row the last byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    FieldStart,
    Plain,
    Quoted,
    /// Behind a quote that ends the cell, or is the first of two.
    MaybeEnded,
}

impl<R: BufRead> Read for Watched<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(out)?;
        for byte in out.iter().take(count) {
            let is_quote = Some(*byte) == self.quote;
            let ends = *byte == self.delimiter || matches!(byte, b'\n' | b'\r');
            self.within = match self.within {
                Within::FieldStart | Within::MaybeEnded if is_quote => Within::Quoted,
                Within::Quoted if is_quote => Within::MaybeEnded,
                Within::Quoted => Within::Quoted,
                _ if ends => Within::FieldStart,
                _ => Within::Plain,
            };
            self.crlf |= self.last == b'\r' && *byte == b'\n';
            self.last = *byte;
            self.count += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
