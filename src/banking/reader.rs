//! The one reader of all formats: recognises a file by its content and pulls its events.

use super::detect::{Kind, recognise, refusal};
use super::{Event, Format, Problem, Profile, Profiles, Severity, bai2, camt, csv, mt940, ofx};
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
    profile: Option<Profile>,
    told: Told,
    /// Given before the next event of the file.
    held: Option<Event>,
}

enum Inner<R> {
    Camt(Box<camt::Reader<Whole<R>>>),
    Mt940(Box<mt940::Reader<Whole<R>>>),
    Bai2(Box<bai2::Reader<Whole<R>>>),
    Ofx(Box<ofx::Reader<Whole<R>>>),
    Csv(Box<csv::Reader<Whole<R>>>),
    Refused(Option<Problem>),
}

/// The first bytes, which have been looked at, and the rest.
type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

impl<R: BufRead> Reader<R> {
    /// Reads a file of whatever format; one that cannot be read gives a single grave problem.
    pub fn new(input: R) -> Self {
        Self::start(None, &Profiles::default(), input)
    }

    /// Reads a file of whatever format, CSV by the profile among these that it fits.
    pub fn with_profiles(input: R, profiles: &Profiles) -> Self {
        Self::start(None, profiles, input)
    }

    /// Reads a file as `format`, whatever its content looks like.
    pub fn open(format: Format, input: R) -> Self {
        Self::start(Some(format), &Profiles::default(), input)
    }

    /// The format; `None` when the file is refused.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// The profile that the file is read by; what it says is to be kept with the file.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    fn start(format: Option<Format>, profiles: &Profiles, mut input: R) -> Self {
        let mut head = Vec::with_capacity(HEAD);
        let limit = u64::try_from(HEAD).unwrap_or(u64::MAX);
        if let Err(error) = input.by_ref().take(limit).read_to_end(&mut head) {
            return Self::refuse(format!("the file cannot be read: {error}"));
        }
        let kind = match format {
            Some(Format::Camt053) => Kind::Xml,
            Some(Format::Mt940) => Kind::Mt940,
            Some(Format::Bai2) => Kind::Bai2,
            Some(Format::Ofx) => Kind::Ofx,
            Some(other) => Kind::Foreign(format!("{other} file")),
            None => recognise(&head),
        };
        let profile = match &kind {
            Kind::Bai2 => profiles.of_bai2(&head),
            Kind::Unknown => profiles.of_csv(&head),
            _ => Ok(None),
        };
        let profile = match profile {
            Ok(profile) => profile,
            Err(problem) => return Self::refuse(problem),
        };
        let by_csv = profile.as_ref().and_then(Profile::csv);
        let whole = Cursor::new(head).chain(input);
        let (inner, format) = match kind {
            Kind::Bai2 => {
                let own = profile.as_ref().and_then(Profile::bai2);
                (Inner::Bai2(Box::new(bai2::Reader::new(whole, own))), Format::Bai2)
            }
            Kind::Ofx => (Inner::Ofx(Box::new(ofx::Reader::new(whole))), Format::Ofx),
            Kind::Workbook => return Self::refuse(csv::WORKBOOK.to_owned()),
            Kind::Xml => (Inner::Camt(Box::new(camt::Reader::new(whole))), Format::Camt053),
            Kind::Mt940 => (Inner::Mt940(Box::new(mt940::Reader::new(whole))), Format::Mt940),
            Kind::Empty => return Self::refuse("the file is empty".to_owned()),
            Kind::Foreign(what) => return Self::refuse(refusal(&what)),
            Kind::Unknown => match by_csv {
                Some(csv) => (Inner::Csv(Box::new(csv::Reader::new(whole, csv))), Format::Csv),
                None => {
                    let text = "this is no bank file that is known: camt.053, MT940, BAI2 and OFX statements can be read, and CSV by a declared profile whose header it has (see --profile)";
                    return Self::refuse(text.to_owned());
                }
            },
        };
        Reader { inner, format: Some(format), profile, told: Told::default(), held: None }
    }

    fn refuse(problem: String) -> Self {
        let problem = Problem { statement: None, at: "line 1".to_owned(), problem, severity: Severity::Grave };
        Reader { inner: Inner::Refused(Some(problem)), format: None, profile: None, told: Told::default(), held: None }
    }

    fn pull(&mut self) -> Option<Event> {
        match &mut self.inner {
            Inner::Camt(reader) => reader.next(),
            Inner::Mt940(reader) => reader.next(),
            Inner::Bai2(reader) => reader.next(),
            Inner::Ofx(reader) => reader.next(),
            Inner::Csv(reader) => reader.next(),
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
            (b"PK\x03\x04abc", "this is a zip archive or spreadsheet;"),
            (b"OFXHEADER:100\n", "the file ends before </OFX>"),
            (b"OFXHEADER:100\n<OFX></OFX>", "the file holds no statement of an account"),
            (b"01,A,B,260301,0000,1,,,2/\n02,B,A,1,260301,,EUR,2/\n", "the file ends without its last record 99"),
            (b"PK\x03\x04 [Content_Types].xml", "this is a workbook"),
            (b":20:A\n:25:1\n:34F:EUR0,\n", "this is an MT942 interim report;"),
            (b"<Document><CstmrPmtStsRpt><GrpHdr/></CstmrPmtStsRpt></Document>", "this is a pain.002"),
            (
                b"<Document xmlns='urn:x:camt.054.001.08'><BkToCstmrDbtCdtNtfctn/></Document>",
                "this is a camt.054.001.08;",
            ),
            (b"<html><body/></html>", "this is a web page;"),
            (b"<a/>", "the file holds no camt.053 statement"),
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
        let far = b"x".repeat(2 * HEAD);
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
