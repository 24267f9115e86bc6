//! The one reader of all formats: recognises a file by its content and pulls its events.

use super::detect::{Kind, recognise, refusal};
use super::{Event, Format, Problem, Severity, camt, mt940};
use std::io::{BufRead, Chain, Cursor, Read};

/// How many first bytes are looked at to recognise a file: an envelope's header, or the preamble of an MT940.
const HEAD: usize = 8 * 1024;

/// How many problems of one severity are told of one statement, so that a broken file of a million lines stays small.
const PROBLEM_LIMIT: usize = 1000;

/// The events of a bank file, one after another, in constant space.
///
/// ```
/// # use tributary::banking::{Event, Reader};
/// let file = b":20:A\r\n:25:DE02120300000000202051\r\n:28C:1/1\r\n:60F:C260301EUR10,\r\n:62F:C260301EUR10,\r\n-\r\n";
/// let ends = Reader::new(&file[..]).filter(|event| matches!(event, Event::End(_))).count();
/// assert_eq!(ends, 1);
/// ```
pub struct Reader<R> {
    inner: Inner<R>,
    format: Option<Format>,
    told: Told,
    /// Given before the next event of the file.
    held: Option<Event>,
}

enum Inner<R> {
    Camt(Box<camt::Reader<Whole<R>>>),
    Mt940(Box<mt940::Reader<Whole<R>>>),
    Refused(Option<Problem>),
}

/// The first bytes, which have been looked at, and the rest.
type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

impl<R: BufRead> Reader<R> {
    /// Reads a file of whatever format; one that cannot be read gives a single grave problem.
    pub fn new(input: R) -> Self {
        Self::start(None, input)
    }

    /// Reads a file as `format`, whatever its content looks like.
    pub fn open(format: Format, input: R) -> Self {
        Self::start(Some(format), input)
    }

    /// The format; `None` when the file is refused.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    fn start(format: Option<Format>, mut input: R) -> Self {
        let mut head = Vec::with_capacity(HEAD);
        let limit = u64::try_from(HEAD).unwrap_or(u64::MAX);
        if let Err(error) = input.by_ref().take(limit).read_to_end(&mut head) {
            return Self::refuse(format!("the file cannot be read: {error}"));
        }
        let kind = match format {
            Some(Format::Camt053) => Kind::Xml,
            Some(Format::Mt940) => Kind::Mt940,
            None => recognise(&head),
        };
        let whole = Cursor::new(head).chain(input);
        let (inner, format) = match kind {
            Kind::Xml => (Inner::Camt(Box::new(camt::Reader::new(whole))), Format::Camt053),
            Kind::Mt940 => (Inner::Mt940(Box::new(mt940::Reader::new(whole))), Format::Mt940),
            Kind::Empty => return Self::refuse("the file is empty".to_owned()),
            Kind::Foreign(what) => return Self::refuse(refusal(&what)),
            Kind::Unknown => {
                let text = "this is no bank file that is known: camt.053 and MT940 statements can be read".to_owned();
                return Self::refuse(text);
            }
        };
        Reader { inner, format: Some(format), told: Told::default(), held: None }
    }

    fn refuse(problem: String) -> Self {
        let problem = Problem { statement: None, at: "line 1".to_owned(), problem, severity: Severity::Grave };
        Reader { inner: Inner::Refused(Some(problem)), format: None, told: Told::default(), held: None }
    }

    fn pull(&mut self) -> Option<Event> {
        match &mut self.inner {
            Inner::Camt(reader) => reader.next(),
            Inner::Mt940(reader) => reader.next(),
            Inner::Refused(problem) => problem.take().map(Event::Problem),
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.held.take() {
            return Some(event);
        }
        loop {
            match self.pull() {
                Some(Event::Problem(problem)) => {
                    if self.told.takes(&problem) {
                        return Some(Event::Problem(problem));
                    }
                }
                Some(end @ Event::End(_)) => {
                    let Some(more) = self.told.rest() else { return Some(end) };
                    self.held = Some(end);
                    return Some(Event::Problem(more));
                }
                other => return other,
            }
        }
    }
}

/// How many problems have been told, by severity, of the statement at hand.
#[derive(Default)]
struct Told {
    statement: Option<usize>,
    counts: [usize; 3],
    dropped: usize,
}

impl Told {
    /// Each severity has a limit of its own, so that a thousand notes never hide a grave problem.
    fn takes(&mut self, problem: &Problem) -> bool {
        if problem.statement != self.statement {
            *self = Told { statement: problem.statement, ..Told::default() };
        }
        let [notes, quarantines, graves] = &mut self.counts;
        let count = match problem.severity {
            Severity::Note => notes,
            Severity::Quarantine => quarantines,
            Severity::Grave => graves,
        };
        *count += 1;
        let within = *count <= PROBLEM_LIMIT;
        self.dropped += usize::from(!within);
        within
    }

    /// What stands in for the problems that were not told.
    fn rest(&mut self) -> Option<Problem> {
        let dropped = std::mem::take(&mut self.dropped);
        (dropped > 0).then(|| Problem {
            statement: self.statement,
            at: "end of the statement".to_owned(),
            problem: format!("{dropped} more problems of this statement are not listed"),
            severity: Severity::Note,
        })
    }
}
