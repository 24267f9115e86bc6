//! The one reader of all formats: recognises a file by its content and pulls its events.

use super::archive::{Archive, Member};
use super::detect::{Kind, recognise, refusal};
use super::{Event, Format, HEAD, Problem, Profile, Profiles, Severity, bai2, camt, csv, mt940, ofx};
use std::collections::VecDeque;
use std::io::{self, BufRead, Chain, Cursor, Read};

/// How many events are looked at to find the first statement, which says the format.
const LOOK_AHEAD: usize = 100;

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
    /// The archive of which `inner` reads a member.
    archive: Option<Archive<Head<R>>>,
    /// The place of the member in messages.
    place: Option<String>,
    /// What each member is read as, whatever it looks like.
    forced: Option<Format>,
    profiles: Profiles,
    /// The profile of what is read now, or was read last.
    profile: Option<Profile>,
    format: Option<Format>,
    /// Statements that began, in all members.
    statements: usize,
    /// Statements in the members before.
    before: usize,
    grave: bool,
    told: Told,
    /// Read already, and to be given first.
    ahead: VecDeque<Event>,
    /// Given before the next event of the file.
    held: Option<Event>,
}

enum Inner<R> {
    Camt(Box<camt::Reader<Whole<R>>>),
    Mt940(Box<mt940::Reader<Whole<R>>>),
    Bai2(Box<bai2::Reader<Whole<R>>>),
    Ofx(Box<ofx::Reader<Whole<R>>>),
    Csv(Box<csv::Reader<Whole<R>>>),
    Told(Option<Problem>),
}

/// The first bytes, which have been looked at, and the rest.
type Head<R> = Chain<Cursor<Vec<u8>>, R>;
type Whole<R> = Chain<Cursor<Vec<u8>>, Feed<R>>;

/// Where the rest of a file comes from.
enum Feed<R> {
    File(R),
    Member(Member<Head<R>>),
}

impl<R: BufRead> Read for Feed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Feed::File(input) => input.read(out),
            Feed::Member(member) => member.read(out),
        }
    }
}

impl<R: BufRead> BufRead for Feed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Feed::File(input) => input.fill_buf(),
            Feed::Member(member) => member.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Feed::File(input) => input.consume(count),
            Feed::Member(member) => member.consume(count),
        }
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads a file of whatever format; one that cannot be read gives a single grave problem.
    pub fn new(input: R) -> Self {
        Self::start(None, &Profiles::default(), input)
    }

    /// Reads a file of whatever format, CSV by the profile among these that it fits.
    pub fn with_profiles(input: R, profiles: &Profiles) -> Self {
        Self::start(None, profiles, input)
    }

    /// Reads a file, or each member of an archive, as `format`, whatever its content looks like.
    pub fn open(format: Format, input: R) -> Self {
        Self::start(Some(format), &Profiles::default(), input)
    }

    /// The format, of several the first; `None` when the file is refused.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// The profile that the file is read by; what it says is to be kept with the file.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    fn start(forced: Option<Format>, profiles: &Profiles, mut input: R) -> Self {
        let mut reader = Reader {
            inner: Inner::Told(None),
            archive: None,
            place: None,
            forced,
            profiles: profiles.clone(),
            profile: None,
            format: None,
            statements: 0,
            before: 0,
            grave: false,
            told: Told::default(),
            ahead: VecDeque::new(),
            held: None,
        };
        match head_of(&mut input) {
            Err(error) => reader.inner = refused(cannot_be_read(&error)),
            Ok(head) => match recognise(&head) {
                Kind::Packed(container) => {
                    reader.archive = Some(Archive::new(container, Cursor::new(head).chain(input)));
                }
                kind => reader.inner = reader.reads(kind, head, Feed::File(input)),
            },
        }
        while reader.format.is_none() && reader.ahead.len() < LOOK_AHEAD {
            let Some(event) = reader.read_on() else { break };
            reader.ahead.push_back(event);
        }
        reader
    }

    fn pull(&mut self) -> Option<Event> {
        self.ahead.pop_front().or_else(|| self.read_on())
    }

    /// The next event of the file; places and numbers of statements are those in the whole file.
    fn read_on(&mut self) -> Option<Event> {
        loop {
            let event = match &mut self.inner {
                Inner::Camt(reader) => reader.next(),
                Inner::Mt940(reader) => reader.next(),
                Inner::Bai2(reader) => reader.next(),
                Inner::Ofx(reader) => reader.next(),
                Inner::Csv(reader) => reader.next(),
                Inner::Told(problem) => problem.take().map(Event::Problem),
            };
            if let Some(event) = event {
                return Some(self.placed(event));
            }
            self.inner = self.next_member()?;
        }
    }

    /// The next member of the archive, or what is wrong with it; `None` when the file is no archive or at its end.
    fn next_member(&mut self) -> Option<Inner<R>> {
        let archive = self.archive.as_mut()?;
        self.before = self.statements;
        self.place = None;
        let Some(next) = archive.next_member() else {
            self.archive = None;
            let holds_nothing = self.statements == 0 && !self.grave;
            return holds_nothing.then(|| refused("the archive holds no bank file".to_owned()));
        };
        let mut member = match next {
            Ok(next) => next,
            Err(error) => {
                let at = format!("byte {} of the archive", archive.at());
                self.archive = None;
                return Some(Inner::Told(Some(Problem { at, ..problem(cannot_be_read(&error)) })));
            }
        };
        self.place = member.name.take().map(|name| format!("\"{name}\""));
        Some(match head_of(&mut member) {
            Err(error) => refused(cannot_be_read(&error)),
            Ok(head) => match recognise(&head) {
                Kind::Packed(_) => refused("an archive in an archive is not unpacked: do it by hand".to_owned()),
                // Banks put a printed form beside the statement.
                Kind::Foreign(what) if what.starts_with("PDF") || what.starts_with("web") => {
                    let text = format!("{}, and was passed over", refusal(&what));
                    Inner::Told(Some(Problem { severity: Severity::Note, ..problem(text) }))
                }
                kind => self.reads(kind, head, Feed::Member(member)),
            },
        })
    }

    /// The reader of a format, forced or recognised by its first bytes.
    fn reads(&mut self, kind: Kind, head: Vec<u8>, rest: Feed<R>) -> Inner<R> {
        let kind = match self.forced {
            Some(Format::Camt052 | Format::Camt053 | Format::Camt054) => Kind::Xml,
            Some(Format::Mt940 | Format::Mt942) => Kind::Mt940,
            Some(Format::Bai2) => Kind::Bai2,
            Some(Format::Ofx) => Kind::Ofx,
            Some(Format::Csv) => Kind::Unknown,
            None => kind,
        };
        let profile = match &kind {
            Kind::Bai2 => self.profiles.of_bai2(&head),
            Kind::Unknown => self.profiles.of_csv(&head),
            _ => Ok(None),
        };
        self.profile = match profile {
            Ok(profile) => profile,
            Err(problem) => return refused(problem),
        };
        let whole = Cursor::new(head).chain(rest);
        match kind {
            Kind::Xml => Inner::Camt(Box::new(camt::Reader::new(whole))),
            Kind::Mt940 => Inner::Mt940(Box::new(mt940::Reader::new(whole))),
            Kind::Bai2 => {
                let own = self.profile.as_ref().and_then(Profile::bai2);
                Inner::Bai2(Box::new(bai2::Reader::new(whole, own)))
            }
            Kind::Ofx => Inner::Ofx(Box::new(ofx::Reader::new(whole))),
            Kind::Workbook => refused(csv::WORKBOOK.to_owned()),
            Kind::Empty => refused("the file is empty".to_owned()),
            Kind::Packed(_) => refused(refusal("archive")),
            Kind::Foreign(what) => refused(refusal(&what)),
            Kind::Unknown => match self.profile.as_ref().and_then(Profile::csv) {
                Some(csv) => Inner::Csv(Box::new(csv::Reader::new(whole, csv))),
                None => refused(
                    "this is no bank file that is known: camt.052, .053 and .054, MT940 and MT942, BAI2 and OFX can be \
                     read, and CSV by a declared profile whose header it has (see --profile)"
                        .to_owned(),
                ),
            },
        }
    }

    fn placed(&mut self, mut event: Event) -> Event {
        let at = match &mut event {
            Event::Begin(head) => {
                head.index += self.before;
                self.statements = head.index + 1;
                self.format = self.format.or(Some(head.format));
                Some(&mut head.at)
            }
            Event::Line(line) => Some(&mut line.at),
            Event::End(_) => None,
            Event::Problem(problem) => {
                self.grave |= problem.severity == Severity::Grave;
                problem.statement = problem.statement.map(|index| index + self.before);
                Some(&mut problem.at)
            }
        };
        if let (Some(at), Some(place)) = (at, &self.place) {
            *at = format!("{place}, {at}");
        }
        event
    }
}

/// The first bytes of what is to be read.
fn head_of(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    input.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

fn refused<R>(text: String) -> Inner<R> {
    Inner::Told(Some(problem(text)))
}

fn problem(problem: String) -> Problem {
    Problem { statement: None, at: "line 1".to_owned(), problem, severity: Severity::Grave }
}

fn cannot_be_read(error: &impl std::fmt::Display) -> String {
    format!("the file cannot be read: {error}")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(bytes: &[u8]) -> Vec<Problem> {
        Reader::new(bytes).filter_map(|event| if let Event::Problem(p) = event { Some(p) } else { None }).collect()
    }

    #[test]
    fn what_cannot_be_read_gives_one_grave_problem_that_says_what_it_is() {
        let cases = [
            (&b""[..], "the file is empty"),
            (b" \r\n ", "the file is empty"),
            (b"PK\x03\x04abc", "the file cannot be read: the archive ends in the middle"),
            (b"\x1F\x8B\x08", "the file cannot be read: the archive ends in the middle"),
            (b"BZh9", "this is a bzip2 archive;"),
            (b"<Document><CstmrPmtStsRpt><GrpHdr/></CstmrPmtStsRpt></Document>", "this is a pain.002"),
            (b"<html><body/></html>", "this is a web page;"),
            (b"<a/>", "the file holds no camt.052, .053 or .054"),
            (b"Date;Amount\n", "this is no bank file that is known"),
        ];
        for (bytes, start) in cases {
            let problems = problems(bytes);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!((problems[0].severity, problems[0].statement), (Severity::Grave, None));
            assert!(problems[0].problem.starts_with(start), "{:?}", problems[0].problem);
        }
    }

    #[test]
    fn a_flood_of_problems_is_counted_and_the_grave_one_is_told() {
        let mut text = "<Document><BkToCstmrStmt><Stmt><Acct><Id><IBAN>DE1</IBAN></Id><Ccy>EUR</Ccy></Acct>".to_owned();
        let entry =
            "<Ntry><Amt Ccy='EUR'>1</Amt><CdtDbtInd>CRDT</CdtDbtInd><BookgDt><Dt>2026-03-02</Dt></BookgDt></Ntry>";
        text.push_str(&entry.repeat(PROBLEM_LIMIT + 5));
        text.push_str("<Ntry/></Stmt></BkToCstmrStmt></Document>");
        let problems = problems(text.as_bytes());
        assert_eq!(problems.iter().filter(|p| p.severity == Severity::Note).count(), PROBLEM_LIMIT + 1);
        assert!(problems.iter().any(|p| p.severity == Severity::Grave));
        assert!(problems.last().unwrap().problem.starts_with("6 more problems"), "{:?}", problems.last());
    }

    #[test]
    fn a_failing_disk_is_a_grave_problem() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("the disk is gone"))
            }
        }
        let started = &b":20:A\n:25:1\n:60F:C260301EUR1,\n"[..];
        let far = b"x".repeat(16 * 1024);
        for input in [&b""[..], &[started, &far].concat()] {
            let reader = Reader::new(std::io::BufReader::new(input.chain(Failing)));
            let last = reader.last();
            assert!(
                matches!(&last, Some(Event::Problem(p)) if p.severity == Severity::Grave && p.problem.contains("disk")),
                "{last:?}"
            );
        }
    }
}
