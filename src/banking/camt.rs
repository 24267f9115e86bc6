//! camt.052, .053 and .054 (ISO 20022 account report, statement and notification), every version from 01 on, read as a
//! stream.
//!
//! The three differ in the names of two elements and in what they mean to the account ([`super::Role`]); entries are the same.
//! Elements are matched by their local names on the path below the message, so prefixes, missing namespaces, envelopes and
//! several documents in one file need no special case. Unknown elements are passed over. One `Ntry` is in memory at a time.
//!
//! Invariants: a statement whose end tag was not seen has no [`Event::End`] and a grave problem of its own beside the
//! file's; a DOCTYPE, a path that nests too deep and a token longer than the source
//! allows end the reading.

mod detail;
mod entry;
mod statement;
mod tag;
mod value;
mod walk;

use super::source::Source;
use super::{Event, Problem, Severity};
use quick_xml::{Error as XmlError, events::Event as Xml};
use std::collections::VecDeque;
use std::io::BufRead;
use walk::Walk;

pub(super) use detail::is_return_code;

/// How many bytes one entry may take, in which its [`entry::DETAIL_LIMIT`] details fit.
const ENTRY_LIMIT: u64 = 128 << 20;

/// A file of camt messages that is being read.
pub struct Reader<R> {
    xml: quick_xml::Reader<Source<R>>,
    buffer: Vec<u8>,
    ready: VecDeque<Event>,
    done: bool,
    walk: Walk,
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
    /// Reads `input` as camt, whatever it is.
    pub fn new(input: R) -> Self {
        let mut xml = quick_xml::Reader::from_reader(Source::new(input));
        let config = xml.config_mut();
        config.expand_empty_elements = true;
        // A company's "A & B" is seen unescaped.
        config.allow_dangling_amp = true;
        Reader { xml, buffer: Vec::new(), ready: VecDeque::new(), done: false, walk: Walk::default() }
    }

    /// Reads on by one piece of markup.
    fn step(&mut self) {
        self.buffer.clear();
        self.xml.get_mut().mark();
        let line = self.xml.get_ref().line();
        let at = self.xml.buffer_position();
        let walk = &mut self.walk;
        let outcome = match self.xml.read_event_into(&mut self.buffer) {
            Ok(Xml::Start(start)) => walk.open(&start, line, at, &mut self.ready),
            Ok(Xml::End(_)) => {
                walk.close(line, &mut self.ready);
                Ok(())
            }
            Ok(Xml::Text(text)) if walk.path.is_empty() => outside(&text),
            Ok(Xml::Text(text)) => walk.add(&text),
            Ok(Xml::CData(text)) => walk.add(&text),
            Ok(Xml::GeneralRef(reference)) => walk.add_reference(&reference),
            Ok(Xml::DocType(_)) => Err("a DOCTYPE is not allowed in a bank file and was not read".to_owned()),
            Ok(Xml::Eof) => {
                self.done = true;
                return self.finish(line, None);
            }
            Ok(_) => Ok(()),
            Err(error) => Err(in_words(&error)),
        };
        let too_much = walk.entry.is_some() && at.saturating_sub(walk.entry_start) > ENTRY_LIMIT;
        let outcome = if too_much { Err(format!("an entry is longer than {ENTRY_LIMIT} bytes")) } else { outcome };
        self.tell_mended(line);
        if let Err(problem) = outcome {
            self.done = true;
            self.finish(line, Some(problem));
        }
    }

    /// The file ends here, by its end or by what makes it unreadable.
    fn finish(&mut self, line: u64, problem: Option<String>) {
        let cut = problem.is_some() || !self.walk.path.is_empty();
        if cut && let Some(statement) = self.walk.statement.take() {
            self.walk.cut(statement, line, &mut self.ready);
        }
        let problem = match problem {
            Some(problem) => problem,
            None if cut => "the file ends in the middle: fetch it again from the bank".to_owned(),
            None if self.walk.statements == 0 && !self.walk.foreign => match &self.walk.root {
                None => "the file holds nothing".to_owned(),
                Some(root) => format!("the file holds no camt.052, .053 or .054; its first element is \"{root}\""),
            },
            None => return,
        };
        self.ready.push_back(Event::Problem(Problem {
            statement: None,
            at: format!("line {line}"),
            problem,
            severity: Severity::Grave,
        }));
    }

    fn tell_mended(&mut self, line: u64) {
        if self.walk.mended_told || self.xml.get_ref().mended() == 0 {
            return;
        }
        self.walk.mended_told = true;
        self.ready.push_back(Event::Problem(Problem {
            statement: None,
            at: format!("line {line}"),
            problem: "the file says that it is UTF-8 and is not; what is not was read as Windows-1252".to_owned(),
            severity: Severity::Note,
        }));
    }
}

/// Between and behind documents stand blanks, and what transmissions pad with; more would be of a document that is lost.
fn outside(text: &str) -> Result<(), String> {
    match text.trim_matches(|c: char| c.is_whitespace() || c.is_control()) {
        "" => Ok(()),
        text => Err(format!("\"{}\" stands outside of the document", value::shortened(text))),
    }
}

/// What the parser found, for people.
fn in_words(error: &XmlError) -> String {
    match error {
        XmlError::Io(error) => format!("the file cannot be read: {error}"),
        other => format!("the file is no well-formed XML from here on: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::banking::{Direction, Line};
    use proptest::prelude::{any, prop, proptest};

    const HEAD: &str = "<Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>EUR</Ccy></Acct>";
    const ENTRY: &str = "<Ntry><Amt Ccy='EUR'>1.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>\
        <BookgDt><Dt>2026-03-02</Dt></BookgDt></Ntry>";

    fn document(statements: &str) -> String {
        format!("<Document xmlns='urn:x:camt.053.001.02'><BkToCstmrStmt>{statements}</BkToCstmrStmt></Document>")
    }

    fn stmt(body: &str) -> String {
        format!("<Stmt><Id>S</Id>{body}</Stmt>")
    }

    fn events(text: &str) -> Vec<Event> {
        Reader::new(text.as_bytes()).collect()
    }

    fn lines(text: &str) -> Vec<Line> {
        let events = events(text).into_iter();
        events.filter_map(|event| if let Event::Line(line) = event { Some(*line) } else { None }).collect()
    }

    fn graves(text: &str) -> Vec<Problem> {
        let problems = events(text).into_iter().filter_map(|e| if let Event::Problem(p) = e { Some(p) } else { None });
        problems.filter(|p| p.severity == Severity::Grave).collect()
    }

    fn ends(text: &str) -> usize {
        events(text).iter().filter(|event| matches!(event, Event::End(_))).count()
    }

    #[test]
    fn what_is_mandatory_and_missing_refuses_its_statement_only() {
        let good = stmt(&format!("{HEAD}{ENTRY}"));
        let without = |part: &str| stmt(&format!("{HEAD}{}", ENTRY.replace(part, "")));
        let cases = [
            (without("<Amt Ccy='EUR'>1.50</Amt>"), "Stmt 2, Ntry 1, Amt"),
            (without(" Ccy='EUR'"), "Stmt 2, Ntry 1, Amt"),
            (without("<CdtDbtInd>CRDT</CdtDbtInd>"), "Stmt 2, Ntry 1, CdtDbtInd"),
            (without("<BookgDt><Dt>2026-03-02</Dt></BookgDt>"), "Stmt 2, Ntry 1, BookgDt"),
            (stmt(ENTRY), "Stmt 2, Acct, Id"),
            (stmt(&HEAD.replace("<Ccy>EUR</Ccy>", "")), "Stmt 2, Acct, Ccy"),
            (stmt(&format!("{HEAD}{}", ENTRY.replace("1.50", "1.505"))), "Stmt 2, Ntry 1, Amt"),
            (stmt(&format!("{HEAD}{}", ENTRY.replace("'EUR'", "'SEK'"))), "Stmt 2, Ntry 1, Amt"),
        ];
        for (bad, place) in cases {
            let text = document(&format!("{good}{bad}{good}"));
            let graves = graves(&text);
            assert!(graves.iter().all(|p| p.statement == Some(1)), "{graves:?}");
            assert!(graves.iter().any(|p| p.at.ends_with(place)), "{place}: {graves:?}");
            assert_eq!(ends(&text), 3);
        }
        assert_eq!(graves(&document(&good)), []);
    }

    #[test]
    fn hostile_files_end_the_reading() {
        let hostile = [
            format!("<!DOCTYPE a [<!ENTITY b 'c'>]>{}", document(&stmt(HEAD))),
            document(&stmt(&"<a>".repeat(1000))),
            document(&stmt(&format!("{HEAD}<Ntry>{}", "<b>".repeat(99)))),
            document(&stmt(&format!("<Nm>{}", "x".repeat(3 << 20)))),
            format!("<Document><BkToCstmrStmt a='{}'", "x".repeat(3 << 20)),
            "<".repeat(3 << 20),
            document(&stmt(&format!("{HEAD}<Ntry>{}</Ntry>", "<TxDtls></TxDtls>".repeat(entry::DETAIL_LIMIT + 1)))),
        ];
        for text in hostile {
            let graves = graves(&text);
            assert!(graves.iter().any(|p| p.statement.is_none()), "{graves:?}");
            assert_eq!(ends(&text), 0);
        }
    }

    #[test]
    fn documents_in_envelopes_and_beside_others_are_found() {
        let inner = format!("<BkToCstmrStmt>{}</BkToCstmrStmt>", stmt(HEAD));
        let found = [
            format!("<n:Document xmlns:n='x'>{}</n:Document>", inner.replace('<', "<n:").replace("<n:/", "</n:")),
            format!("<e><AppHdr><MsgDefIdr>camt.053.001.08</MsgDefIdr></AppHdr><Document>{inner}</Document></e>"),
            format!("<Document><BkToCstmrStmtV01>{}</BkToCstmrStmtV01></Document>", stmt(HEAD)),
            inner.clone(),
        ];
        for text in found {
            assert_eq!((ends(&text), graves(&text)), (1, vec![]), "{text}");
        }
        let other = "<Document xmlns='urn:x:pain.002.001.03'><CstmrPmtStsRpt><GrpHdr/></CstmrPmtStsRpt></Document>";
        let both = format!("<e>{other}<Document>{inner}</Document><Document>{inner}</Document></e>");
        assert_eq!(ends(&both), 2);
        assert!(graves(&both)[0].problem.starts_with("this is a pain.002"), "{:?}", graves(&both));
        assert_eq!(graves(other).len(), 1);
    }

    #[test]
    fn text_is_what_the_file_means() {
        let named = |name: &str| {
            let party = format!(
                "<NtryDtls><TxDtls><RltdPties><Dbtr><Nm>{name}</Nm></Dbtr></RltdPties></TxDtls></NtryDtls></Ntry>"
            );
            let text = document(&stmt(&format!("{HEAD}{}", ENTRY.replace("</Ntry>", &party))));
            lines(&text)[0].details[0].counterparty_name.clone().unwrap()
        };
        assert_eq!(named("A &amp; B &#x41;&#66; &lt;"), "A & B AB <");
        assert_eq!(named("A & B"), "A & B");
        assert_eq!(named("<![CDATA[A <& B]]>"), "A <& B");
        assert_eq!(named("\n   A<!-- no -->B\n  C "), "AB C");
        assert_eq!(named("x &unknown; y"), "x &unknown; y");
    }

    #[test]
    fn who_the_other_party_is() {
        let dbtr = "<Dbtr><Nm>D</Nm></Dbtr>";
        let cdtr = "<Cdtr><Nm>C</Nm></Cdtr>";
        let own_dbtr = "<DbtrAcct><Id><IBAN>DE02120300000000202051</IBAN></Id></DbtrAcct>";
        let own_cdtr = "<CdtrAcct><Id><IBAN>DE02120300000000202051</IBAN></Id></CdtrAcct>";
        let returned = "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>";
        let both = format!("{dbtr}{cdtr}");
        let cases = [
            ("CRDT", both.clone(), "", Some("D")),
            ("DBIT", both.clone(), "", Some("C")),
            ("CRDT", cdtr.to_owned(), "", None),
            ("CRDT", both.clone(), returned, Some("C")),
            ("DBIT", both.clone(), returned, Some("D")),
            ("CRDT", dbtr.to_owned(), returned, Some("D")),
            ("CRDT", format!("{both}{own_cdtr}"), returned, Some("D")),
            ("CRDT", format!("{both}{own_dbtr}"), returned, Some("C")),
        ];
        for (mark, parties, more, name) in cases {
            let detail = format!("<NtryDtls><TxDtls><RltdPties>{parties}</RltdPties>{more}</TxDtls></NtryDtls></Ntry>");
            let entry = ENTRY.replace("</Ntry>", &detail).replace("CRDT", mark);
            let line = lines(&document(&stmt(&format!("{HEAD}{entry}")))).remove(0);
            assert_eq!(line.details[0].counterparty_name.as_deref(), name, "{mark} {parties} {more}");
            assert_eq!(line.direction == Direction::Credit, mark == "CRDT");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            Reader::new(&bytes[..]).for_each(drop);
        }

        #[test]
        fn no_damage_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = document(&stmt(&format!("{HEAD}{ENTRY}{ENTRY}"))).into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.remove(cut.index(bytes.len()));
            Reader::new(&bytes[..]).for_each(drop);
        }
    }
}
