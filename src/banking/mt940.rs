//! MT940 (SWIFT customer statement), read line by line.
//!
//! A field begins with a known `:tag:` at the start of a line; every other line continues the field above, so that a text
//! that begins with a colon stays text. A message is a statement; it begins with `:20:` and ends with `-`, `-}`, where the
//! next begins, or where the file ends. What stands between messages is passed over.
//!
//! Invariant: a message that the file cuts off (no closing balance, or an opened block without its end) has no
//! [`Event::End`] and a grave problem of its own beside the file's.

mod field;
mod message;
mod narrative;

use super::detect::refusal;
use super::source::Source;
use super::{Event, Problem, Severity};
use message::Draft;
use std::collections::VecDeque;
use std::io::BufRead;

/// How many lines one field may have; a narrative has six by the book and a few dozen in life.
const FIELD_LINES: usize = 1000;

/// A file of MT940 messages that is being read.
pub struct Reader<R> {
    source: Source<R>,
    ready: VecDeque<Event>,
    done: bool,
    field: Option<Field>,
    message: Option<Draft>,
    /// Messages that gave a statement.
    statements: usize,
    /// Something was told of a message that is no statement.
    foreign: bool,
    /// A block `{4:` is open, so the message must end with `-}`.
    in_block: bool,
    /// A colon that stands alone on its line: the bank broke the tag behind it.
    lone_colon: bool,
}

/// A field that is being read.
struct Field {
    tag: &'static str,
    line: u64,
    lines: Vec<String>,
}

/// The tags of MT940, and of MT942 so that it is recognised.
const TAGS: [&str; 20] = [
    "20", "21", "25", "25P", "28", "28C", "60F", "60M", "61", "62F", "62M", "64", "65", "86", "13", "13D", "34F", "90C", "90D",
    "NS",
];

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
    /// Reads `input` as MT940, whatever it is.
    pub fn new(input: R) -> Self {
        Reader {
            source: Source::new(input),
            ready: VecDeque::new(),
            done: false,
            field: None,
            message: None,
            statements: 0,
            foreign: false,
            in_block: false,
            lone_colon: false,
        }
    }

    /// Reads on by one line.
    fn step(&mut self) {
        let number = self.source.line();
        let mut line = String::new();
        match self.source.read_line(&mut line) {
            Ok(true) => {
                // Transmission leaves control characters at the ends of blocks.
                if line.contains(|c: char| c.is_control()) {
                    line = line.replace('\t', " ").replace(|c: char| c.is_control(), "");
                }
                self.take_line(line, number);
            }
            Ok(false) => {
                self.done = true;
                self.finish(number, None);
            }
            Err(error) => {
                self.done = true;
                self.finish(number, Some(format!("the file cannot be read: {error}")));
            }
        }
    }

    fn take_line(&mut self, line: String, number: u64) {
        let line = if std::mem::take(&mut self.lone_colon) { format!(":{line}") } else { line };
        if is_block(&line) {
            self.take_block(&line, number);
        } else if let Some(rest) = end_of_message(&line) {
            self.end_field();
            self.end_message();
            self.in_block = false;
            if !rest.is_empty() {
                self.take_block(rest, number);
            }
        } else if line.trim_end() == ":" {
            self.lone_colon = true;
        } else if let Some((tag, value)) = tagged(&line) {
            self.end_field();
            self.field = Some(Field { tag, line: number, lines: vec![value.to_owned()] });
        } else if let Some(field) = &mut self.field
            && field.lines.len() < FIELD_LINES
        {
            field.lines.push(line);
        }
    }

    /// `{1:...}{2:...}{4:`: only what stands behind `{4:` belongs to the message.
    fn take_block(&mut self, line: &str, number: u64) {
        let Some((_, text)) = line.split_once("{4:") else { return };
        self.end_field();
        self.end_message();
        self.in_block = true;
        if !text.trim().is_empty() {
            self.take_line(text.to_owned(), number);
        }
    }

    fn end_field(&mut self) {
        let Some(field) = self.field.take() else { return };
        let closed = self.message.as_ref().is_some_and(Draft::is_closed);
        let begins = match field.tag {
            "20" => true,
            "25" | "25P" | "60F" | "60M" => closed,
            _ => false,
        };
        if begins {
            self.end_message();
        }
        if self.message.is_none() {
            // What stands outside of a message without beginning one is no statement's.
            if matches!(field.tag, "64" | "65" | "86" | "NS") {
                return;
            }
            self.message = Some(Draft::new(self.statements, field.line));
        }
        if let Some(message) = &mut self.message {
            message.take(field.tag, field.line, field.lines, &mut self.ready);
        }
    }

    fn end_message(&mut self) {
        let Some(message) = self.message.take() else { return };
        if message.is_interim() {
            self.refuse_interim(&message);
            return;
        }
        self.statements += 1;
        message.end(&mut self.ready);
    }

    fn refuse_interim(&mut self, message: &Draft) {
        self.foreign = true;
        self.ready.push_back(Event::Problem(Problem {
            statement: None,
            at: format!("line {}", message.line()),
            problem: refusal("MT942 interim report"),
            severity: Severity::Grave,
        }));
    }

    /// The file ends, or cannot be read on.
    fn finish(&mut self, line: u64, problem: Option<String>) {
        let in_line = self.source.ends_in_line();
        let in_closing = self.field.as_ref().is_some_and(|f| matches!(f.tag, "62F" | "62M"));
        self.end_field();
        let open = self.message.take();
        let mut cut = problem.is_some();
        match open {
            Some(message) if message.is_interim() => self.refuse_interim(&message),
            Some(mut message) => {
                self.statements += 1;
                let whole = message.is_closed() && !self.in_block && problem.is_none();
                if whole {
                    if in_line && in_closing {
                        message.ends_in_closing(&mut self.ready);
                    }
                    message.end(&mut self.ready);
                } else {
                    cut = true;
                    message.cut(line, &mut self.ready);
                }
            }
            None => {}
        }
        let problem = match problem {
            Some(problem) => problem,
            None if cut => "the file ends in the middle of a message: fetch it again from the bank".to_owned(),
            None if self.in_block => "the file ends in the middle of a block: fetch it again from the bank".to_owned(),
            None if self.statements == 0 && !self.foreign => "the file holds no MT940 statement".to_owned(),
            None => return,
        };
        let at = format!("line {line}");
        self.ready.push_back(Event::Problem(Problem { statement: None, at, problem, severity: Severity::Grave }));
    }
}

/// The tag that a line begins with, and what follows it.
fn tagged(line: &str) -> Option<(&'static str, &str)> {
    let rest = line.trim_start().strip_prefix(':')?;
    let (tag, value) = rest.split_once(':')?;
    TAGS.iter().find(|known| **known == tag).map(|known| (*known, value))
}

/// `{1:`, `{4:` and the like at the start of a line.
fn is_block(line: &str) -> bool {
    let line = line.trim_start();
    let mut bytes = line.bytes();
    bytes.next() == Some(b'{') && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric()) && bytes.next() == Some(b':')
}

/// A line that ends a message, and what follows on it. In national seven-bit codes the brace is a letter.
fn end_of_message(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix('-')?;
    let mut letters = rest.chars();
    match (letters.next(), letters.next()) {
        (None, _) => Some(""),
        (Some('}'), _) => Some(rest.get(1..).unwrap_or_default()),
        (Some(letter), None) if !letter.is_ascii() => Some(""),
        _ => None,
    }
}
