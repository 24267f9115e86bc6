//! BAI2, OFX and CSV files that mean harm, or were cut: refused or held back, soon and without filling the memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use tributary::banking::{Event, Format, Profile, Profiles, Reader, Severity, findings};

fn golden(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap()
}

fn examples() -> Profiles {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/csv");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    Profiles::declared(files.iter().map(|f| Profile::parse(&fs::read_to_string(f).unwrap()).unwrap()).collect())
}

/// How many statements would be posted as they are: they end, and nothing but notes speaks against them or the file.
fn postable(bytes: &[u8]) -> usize {
    let (mut heads, mut ended, mut held, mut refused) = (Vec::new(), Vec::new(), Vec::new(), false);
    for event in Reader::with_profiles(bytes, &examples()) {
        match event {
            Event::Begin(head) => heads.push(*head),
            Event::End(foot) => {
                let head = heads.last().unwrap();
                ended.push(head.index);
                held.extend(
                    findings(head, &foot)
                        .into_iter()
                        .filter(|p| p.severity > Severity::Note)
                        .filter_map(|p| p.statement),
                );
            }
            Event::Problem(p) if p.severity > Severity::Note => match p.statement {
                Some(index) => held.push(index),
                None => refused |= p.severity == Severity::Grave,
            },
            _ => {}
        }
    }
    if refused { 0 } else { ended.iter().filter(|index| !held.contains(index)).count() }
}

#[test]
fn a_file_cut_at_any_percent_posts_nothing() {
    for name in [
        "bai2/harbour/prior-and-same-day.bai",
        "ofx/harbour/sgml-bank-and-card.ofx",
        "ofx/alpine/xml-with-correction.ofx",
    ] {
        let bytes = golden(name);
        let whole = bytes.trim_ascii_end().len();
        for percent in 0..100 {
            assert_eq!(postable(&bytes[..whole * percent / 100]), 0, "{name} cut at {percent}%");
        }
    }
}

#[test]
fn a_csv_file_cut_inside_of_a_row_posts_nothing() {
    // Where it is cut between rows, nothing in the file itself can tell: the next one's opening balance does.
    for name in ["csv/nordbank/march.csv", "csv/wallet/activity.csv"] {
        let bytes = golden(name);
        for cut in (0..bytes.len() - 1).filter(|cut| !matches!(bytes.get(cut.saturating_sub(1)), Some(b'\n' | b'\r'))) {
            let at_row_end = matches!(bytes.get(cut), Some(b'\n' | b'\r'));
            // The cell of a last column may be cut where nothing proves it: a currency is proved by being one.
            assert!(at_row_end || postable(&bytes[..cut]) == 0, "{name} cut at {cut}");
        }
    }
}

#[test]
fn what_is_written_over_a_file_does_not_panic_and_is_not_silent() {
    for name in ["bai2/harbour/several-on-a-line.bai", "ofx/harbour/sgml-bank-and-card.ofx", "csv/polder/statement.csv"]
    {
        let bytes = golden(name);
        for at in (0..bytes.len()).step_by(7) {
            for odd in [0, 0xFF, b'/', b'<', b'"', b'\n', b'9'] {
                let mut changed = bytes.clone();
                changed[at] = odd;
                let mut events = Reader::with_profiles(&changed[..], &examples()).peekable();
                assert!(events.peek().is_some(), "{name}: {odd} at {at}");
                events.for_each(drop);
            }
        }
    }
}

/// A file that never ends, and how much of it may be read.
struct Endless {
    start: &'static [u8],
    again: &'static [u8],
    at: usize,
    left: usize,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if !self.start.is_empty() {
            return self.start.read(out);
        }
        self.left = self.left.checked_sub(out.len()).expect("it is read on and on");
        for byte in out.iter_mut() {
            *byte = self.again[self.at % self.again.len()];
            self.at += 1;
        }
        Ok(out.len())
    }
}

#[test]
fn a_token_without_end_is_refused_after_a_megabyte() {
    let cases: [(Format, &[u8], &[u8]); 6] = [
        (Format::Bai2, b"", b"x"),
        (Format::Bai2, b"01,A,B,260303,0600,1,80,,2/\n02,B,A,1,260302,,USD,2/\n03,1,", b"9"),
        (Format::Bai2, b"01,A,B,260303,0600,1,80,,2/\n", b"88,"),
        (Format::Ofx, b"<OFX><STMTRS><MEMO>", b"x"),
        (Format::Ofx, b"<OFX><!-- ", b"- >"),
        (Format::Ofx, b"<OFX ", b"a=b "),
    ];
    for (format, start, again) in cases {
        let endless = Endless { start, again, at: 0, left: 8 << 20 };
        let events: Vec<Event> = Reader::open(format, BufReader::new(endless)).collect();
        assert!(events.len() < 50, "{}", events.len());
        assert!(events.iter().any(|e| matches!(e, Event::Problem(p) if p.severity == Severity::Grave)), "{events:?}");
    }
}

#[test]
fn chains_and_nesting_are_read_through_in_small_pieces() {
    let head = "01,A,B,260303,0600,1,80,,2/\n02,B,A,1,260302,,USD,2/\n03,1,,010,0/\n16,142,5,,,,\n";
    let bai2 = format!("{head}{}", "88,and on and on and on\n".repeat(200_000));
    let ofx = format!("<OFX><STMTRS>{}", "<STMTTRN><X><PAYEE>".repeat(100_000));
    for (format, text) in [(Format::Bai2, bai2), (Format::Ofx, ofx)] {
        let mut problems = 0;
        for event in Reader::open(format, text.as_bytes()) {
            match event {
                Event::Line(line) => {
                    assert!(line.details[0].remittance.as_ref().is_none_or(|text| text.len() <= 65_536));
                }
                Event::Problem(p) => {
                    problems += 1;
                    assert!(p.problem.len() < 1000);
                }
                _ => {}
            }
        }
        assert!((1..5000).contains(&problems), "{problems}");
    }
}
