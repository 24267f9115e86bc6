//! MT940 (SWIFT customer statement) and MT942 (interim report), read line by line.
//!
//! A field begins with a known `:tag:` at the start of a line; every other line continues the field above, so that a text
//! that begins with a colon stays text. A message is a statement; it begins with `:20:` and ends with `-`, `-}`, where the
//! next begins, or where the file ends. What stands between messages is passed over. A message with floor limits or totals
//! and without balances is an interim report.
//!
//! Invariant: a message that the file cuts off (no closing balance or totals, or an opened block without its end) has no
//! [`Event::End`] and a grave problem of its own beside the file's.

mod field;
mod message;
mod narrative;
mod value;

use super::detect::application;
use super::source::Source;
use super::{Event, Problem, Severity};
use message::Draft;
use std::collections::VecDeque;
use std::io::BufRead;

pub(super) use narrative::KNOWN as CODES;

/// How many bytes a field, or the narratives of an entry together, may take: six lines by the book, a few dozen in life.
/// What is beyond is left out and told.
const FIELD_LIMIT: usize = 64 * 1024;

/// A file of MT940 messages that is being read.
pub struct Reader<R> {
    source: Source<R>,
    ready: VecDeque<Event>,
    done: bool,
    field: Option<Field>,
    message: Option<Draft>,
    /// Messages that gave a statement.
    statements: usize,
    /// A block `{4:` is open, so the message must end with `-}`.
    in_block: bool,
    /// The block before the message says that it is an MT942.
    interim_block: bool,
    /// A colon that stands alone on its line: the bank broke the tag behind it.
    lone_colon: bool,
}

/// A field that is being read.
struct Field {
    tag: &'static str,
    line: u64,
    lines: Vec<String>,
    size: usize,
    /// Lines were left out.
    overlong: bool,
}

/// The tags of MT940 and MT942.
const TAGS: [&str; 20] = [
    "20", "21", "25", "25P", "28", "28C", "60F", "60M", "61", "62F", "62M", "64", "65", "86", "13", "13D", "34F",
    "90C", "90D", "NS",
];

impl Field {
    fn add(&mut self, line: String) {
        // A line counts for more than its bytes, or empty ones would be free.
        self.size += line.len() + 16;
        self.overlong |= self.size > FIELD_LIMIT;
        if !self.overlong {
            self.lines.push(line);
        }
    }
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
    /// Reads `input` as MT940 or MT942, whatever it is.
    pub fn new(input: R) -> Self {
        Reader {
            source: Source::new(input),
            ready: VecDeque::new(),
            done: false,
            field: None,
            message: None,
            statements: 0,
            in_block: false,
            interim_block: false,
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
            let mut field = Field { tag, line: number, lines: Vec::new(), size: 0, overlong: false };
            field.add(value.to_owned());
            self.field = Some(field);
        } else if let Some(field) = &mut self.field {
            field.add(line);
        }
    }

    /// `{1:...}{2:...}{4:`: only what stands behind `{4:` belongs to the message.
    fn take_block(&mut self, line: &str, number: u64) {
        if let Some(kind) = application(line) {
            self.interim_block = kind == "942";
        }
        let Some((_, text)) = line.split_once("{4:") else {
            return;
        };
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
            let is_interim = std::mem::take(&mut self.interim_block);
            self.message = Some(Draft::new(self.statements, field.line, is_interim));
        }
        if let Some(message) = &mut self.message {
            message.take(field, &mut self.ready);
        }
    }

    fn end_message(&mut self) {
        let Some(message) = self.message.take() else { return };
        self.statements += 1;
        message.end(&mut self.ready);
    }

    /// The file ends, or cannot be read on.
    fn finish(&mut self, line: u64, problem: Option<String>) {
        let in_line = self.source.ends_in_line();
        let in_closing = self.field.as_ref().is_some_and(|f| matches!(f.tag, "62F" | "62M"));
        self.end_field();
        let open = self.message.take();
        let mut cut = problem.is_some();
        if let Some(mut message) = open {
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
        let problem = match problem {
            Some(problem) => problem,
            None if cut => "the file ends in the middle of a message: fetch it again from the bank".to_owned(),
            None if self.in_block => "the file ends in the middle of a block: fetch it again from the bank".to_owned(),
            None if self.statements == 0 => "the file holds no MT940 statement".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::banking::{Foot, Format, Head, Line, Role, Status, findings};
    use proptest::prelude::{any, prop, proptest};

    #[derive(Default)]
    struct Read {
        heads: Vec<Head>,
        lines: Vec<Line>,
        feet: Vec<Foot>,
        problems: Vec<Problem>,
    }

    impl Read {
        fn graves(&self) -> Vec<&str> {
            let graves = self.problems.iter().filter(|p| p.severity == Severity::Grave);
            graves.map(|p| p.problem.as_str()).collect()
        }
    }

    fn read(bytes: &[u8]) -> Read {
        let mut read = Read::default();
        for event in Reader::new(bytes) {
            match event {
                Event::Begin(head) => read.heads.push(*head),
                Event::Line(line) => read.lines.push(*line),
                Event::End(foot) => read.feet.push(*foot),
                Event::Problem(problem) => read.problems.push(problem),
            }
        }
        read
    }

    /// A statement with one entry, whose narrative is given.
    fn with(narrative: &str) -> Line {
        let text = format!(
            ":20:A\n:25:1\n:28C:1\n:60F:C260301EUR0,\n:61:260302C5,NTRFNONREF\n{narrative}\n:62F:C260302EUR5,\n-\n"
        );
        let mut read = read(text.as_bytes());
        assert_eq!(read.graves(), Vec::<&str>::new(), "{text}");
        read.lines.remove(0)
    }

    #[test]
    fn messages_end_in_many_ways() {
        let body = ":20:A\r\n:25:1\r\n:28C:1/1\r\n:60F:C260301EUR1,\r\n:62F:C260301EUR1,\r\n";
        let files = [
            format!("{body}{body}"),
            format!("{body}-\r\n{body}-\r\n"),
            format!("BANK\r\n940\r\n{body}-\r\nBANK\r\n{body}"),
            format!("{{1:F01X}}{{2:I940X}}{{4:\r\n{body}-}}{{5:}}{{1:F01X}}{{4:\r\n{body}-}}"),
            format!("Ä4:\r\n{body}-å\r\nÄ4:\r\n{body}-å\r\n"),
            format!("\u{1}\r\n{body}-\u{3}\r\n{}", body.replace("\r\n", "\n")),
            body.replace("\r\n:62", "\r\nno tag\r\n:62").repeat(2),
        ];
        for text in files {
            let read = read(text.as_bytes());
            assert_eq!((read.heads.len(), read.feet.len()), (2, 2), "{text}");
            assert_eq!(read.problems, [], "{text}");
            assert_eq!(read.heads[1].index, 1);
        }
    }

    #[test]
    fn a_message_that_is_cut_or_lacks_its_account_is_grave() {
        let cut = [
            ":20:A\n:25:1\n:60F:C260301EUR1,\n",
            ":20:A\n:25:1\n:60F:C260301EUR1,\n:61:260302C5,NTRFNONREF\n",
            "{1:F}{4:\n:20:A\n:25:1\n:60F:C260301EUR1,\n:62F:C260301EUR1,\n",
            ":20:A",
        ];
        for text in cut {
            let read = read(text.as_bytes());
            assert_eq!((read.heads.len(), read.feet.len()), (1, 0), "{text}");
            assert!(read.graves().iter().any(|p| p.contains("not complete")), "{text}");
            assert!(read.problems.iter().any(|p| p.statement.is_none()), "{text}");
        }
        let without_account = read(
            b":20:A\n:60F:C260301EUR1,\n:62F:C260301EUR1,\n-\n:20:B\n:25:1\n:60F:C260301EUR1,\n:62F:C260301EUR1,\n-\n",
        );
        assert_eq!(without_account.graves().len(), 1);
        assert_eq!(without_account.problems[0].statement, Some(0));
        assert!(read(b"hello").graves()[0].contains("no MT940 statement"));
    }

    #[test]
    fn an_interim_report_stands_beside_statements() {
        let statement = ":20:A\n:25:1\n:60F:C260301EUR1,\n:62F:C260301EUR1,\n-\n";
        let interim = ":20:B\n:25:1\n:34F:EUR0,\n:13D:2603021200+0100\n:61:260302C5,NTRFNONREF\n\
            :61:260302EC6,NTRFNONREF\n:90D:0EUR0,\n:90C:2EUR11,\n-\n";
        let read = read(format!("{statement}{interim}{statement}").as_bytes());
        assert_eq!(read.problems, []);
        let kinds: Vec<_> = read.heads.iter().map(|h| (h.format, h.role)).collect();
        let mt940 = (Format::Mt940, Role::Statement);
        assert_eq!(kinds, [mt940, (Format::Mt942, Role::Report), mt940]);
        let statuses: Vec<_> = read.lines.iter().map(|l| l.status).collect();
        assert_eq!(statuses, [Status::Booked, Status::Pending]);
        let declared = read.feet[1].declared;
        assert_eq!((declared.credit_count, declared.credit_sum), (Some(2), Some(1100)));
        assert_eq!((declared.debit_count, declared.debit_sum), (Some(0), Some(0)));
        assert_eq!(findings(&read.heads[1], &read.feet[1]), []);
    }

    #[test]
    fn totals_of_an_interim_report_are_proved() {
        let report = |floor: &str, totals: &str| {
            let text = format!(
                ":20:B\n:25:1\n:34F:{floor}\n:61:260302C5,NTRFNONREF\n:61:260302EC6,NTRFNONREF\n:61:260302D1,NTRFNONREF\n{totals}\n"
            );
            let read = read(text.as_bytes());
            let found = findings(&read.heads[0], &read.feet[0]);
            let severities = read.problems.iter().chain(&found).map(|p| p.severity);
            severities.max()
        };
        // With and without what is only expected: banks do both.
        assert_eq!(report("EUR0,", ":90D:1EUR1,\n:90C:2EUR11,"), None);
        assert_eq!(report("EUR0,", ":90D:1EUR1,\n:90C:1EUR5,"), None);
        for wrong in [":90C:3EUR11,", ":90C:2EUR11,01", ":90C:1EUR6,", ":90D:2EUR1,", ":90C:many", ":90D:0EUR0,"] {
            assert_eq!(report("EUR0,", wrong), Some(Severity::Quarantine), "{wrong}");
        }
        // Below a floor limit entries are counted and not listed.
        assert_eq!(report("EURC10,", ":90C:9EUR50,"), Some(Severity::Note));
    }

    #[test]
    fn an_interim_report_without_a_limit_is_known_by_its_block_or_totals() {
        let entry = ":61:260302C5,NTRFNONREF\n";
        let by_block = read(format!("{{1:F01X}}{{2:O9421200}}{{4:\n:20:B\n:25:1EUR\n{entry}-}}\n").as_bytes());
        assert_eq!((by_block.heads[0].role, by_block.problems.len()), (Role::Report, 0));
        let by_totals = read(format!(":20:B\n:25:1\n{entry}:90C:1EUR5,\n").as_bytes());
        assert_eq!((by_totals.heads[0].role, by_totals.lines.len()), (Role::Report, 1));
        // Its entries were given as a statement's before that was known.
        let too_late = read(format!(":20:B\n:25:1EUR\n{entry}:61:260302C6,NTRFNONREF\n:90C:2EUR11,\n").as_bytes());
        assert!(too_late.graves()[0].contains(":34F:"), "{:?}", too_late.problems);
        let cut = read(format!(":20:B\n:25:1\n:34F:EUR0,\n{entry}").as_bytes());
        assert!(cut.graves()[0].contains("not complete"), "{:?}", cut.problems);
    }

    #[test]
    fn lines_wait_for_a_currency_that_only_the_closing_balance_has() {
        let read =
            read(b":20:A\n:25:1\n:61:260302C5,NTRFNONREF\n:86:x\n:61:260302D2,NTRFNONREF\n:62F:C260302EUR3,\n-\n");
        assert_eq!((read.lines.len(), read.feet[0].booked_sum), (2, 300));
        assert_eq!(read.graves(), Vec::<&str>::new());
        let never = super::tests::read(b":20:A\n:25:1\n:61:260302C5,NTRFNONREF\n-\n");
        assert_eq!((never.lines.len(), never.graves().len()), (0, 2));
    }

    #[test]
    fn a_narrative_of_subfields_is_taken_apart() {
        let line = with(
            ":86:109?00RETURN?109075/629?20EREF+A1.200080779.400143254?21.4961336 KREF+K1?22MREF+M1?23SVWZ+Some a text that is fu\n\
             ?24ll and goes on ABWA+Third pa?25rty?30ABCDDEFFXXX?31DE99123?32FIRST NAME THAT IS LONG ENO?33UGH?34901",
        );
        let detail = &line.details[0];
        assert_eq!(detail.end_to_end_id.as_deref(), Some("A1.200080779.400143254.4961336"));
        assert_eq!((detail.instruction_id.as_deref(), detail.mandate_id.as_deref()), (Some("K1"), Some("M1")));
        assert_eq!(detail.remittance.as_deref(), Some("Some a text that is full and goes on"));
        assert_eq!(detail.ultimate_name.as_deref(), Some("Third party"));
        assert_eq!(detail.counterparty_name.as_deref(), Some("FIRST NAME THAT IS LONG ENOUGH"));
        assert_eq!(detail.counterparty_account.as_deref(), Some("DE99123"));
        assert_eq!(detail.return_reason.as_deref(), Some("901"));
        assert_eq!((line.code.as_deref(), line.info.as_deref()), (Some("NTRF/109"), Some("RETURN")));
        for separator in ['>', '~', '^', '+', '<'] {
            let line = with(&format!(":86: 020{s}00Text{s}20Purpose{s}32Name{s}38PL1 2", s = separator));
            assert_eq!(line.details[0].counterparty_account.as_deref(), Some("PL12"), "{separator}");
            assert_eq!(line.details[0].remittance.as_deref(), Some("Purpose"), "{separator}");
        }
    }

    #[test]
    fn a_narrative_of_codes_is_taken_apart_and_slashes_stay_in_values() {
        let line = with(
            ":86:/TRTP/SEPA/IBAN/NL02ABNA0123456789/BIC/ABNANL2A/NAME/A/B GmbH/EREF/X/Y-1/ORDP//REMI/no/or 5/2/RTRN/MS03",
        );
        let detail = &line.details[0];
        assert_eq!(detail.counterparty_name.as_deref(), Some("A/B GmbH"));
        assert_eq!(detail.end_to_end_id.as_deref(), Some("X/Y-1"));
        assert_eq!(detail.remittance.as_deref(), Some("no/or 5/2"));
        assert_eq!(detail.return_reason.as_deref(), Some("MS03"));
        let line = with(":86:/OCMT/USD5,/\nPAYMENT OF INVOICES\n/OGB/A BANK /VA/123456XXXXXX\nMORE");
        assert_eq!(line.details[0].own_account.as_deref(), Some("123456XXXXXX"));
        assert_eq!(line.details[0].remittance.as_deref(), Some("PAYMENT OF INVOICES MORE"));
        let line = with(":86:/EREF/E1//MARF/M1//CNTP/NL1/ABCNL2A/Some Name///REMI/USTD//the text/");
        let detail = &line.details[0];
        assert_eq!((detail.end_to_end_id.as_deref(), detail.mandate_id.as_deref()), (Some("E1"), Some("M1")));
        assert_eq!(
            (detail.counterparty_name.as_deref(), detail.remittance.as_deref()),
            (Some("Some Name"), Some("the text"))
        );
    }

    #[test]
    fn a_plain_narrative_is_text() {
        let line = with(":86:: starts with a colon\n:xx:is no tag\n:86:and a second one");
        assert_eq!(line.details[0].remittance.as_deref(), Some(": starts with a colon :xx:is no tag and a second one"));
        let line = with(":86:NL29INGB0006475121 j blom\n    \nSalaris");
        assert_eq!(line.details[0].counterparty_account.as_deref(), Some("NL29INGB0006475121"));
        assert_eq!(line.details[0].counterparty_name.as_deref(), Some("j blom"));
        assert_eq!(line.details[0].remittance.as_deref(), Some("Salaris"));
        assert_eq!(with(":86:").details[0].remittance, None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            Reader::new(&bytes[..]).for_each(drop);
        }

        #[test]
        fn no_fields_panic(fields in prop::collection::vec(("(20|25|28C|60F|61|86|62F|62M|:|-)", "[A-Z0-9?/+,.:é\\-\n]{0,60}"), 0..12)) {
            let text: String = fields.iter().map(|(tag, value)| format!(":{tag}:{value}\n")).collect();
            Reader::new(text.as_bytes()).for_each(drop);
            let narrative: String = fields.iter().map(|(_, value)| value.as_str()).collect();
            let full = format!(":20:A\n:60F:C260301EUR0,\n:61:260302C5,NTRF\n:86:{narrative}\n");
            Reader::new(full.as_bytes()).for_each(drop);
        }
    }
}
