//! Bank files that came to harm, through the whole of the import (F-10, F-12): refused with the place, or held back for a
//! person, and never a line of money stored.

use crate::databases::{TestDb, on_both};
use crate::fixtures::{Fixture, treasury_of};
use crate::given::{self, assert_clean};
use crate::packed::{How, gzip, zip};
use tributary::db::{self, Db, Options, Url};

/// Files of all formats and dialects, and from which percent on each is whole: the first MT940 says more behind the closing
/// balance that proves it.
const FILES: [(&str, usize); 10] = [
    ("camt053/fjord/prefixed-v08.xml", 100),
    ("camt052/harbour/report-beside-statement-v08.xml", 100),
    ("camt054/alpine/qr-batch-v08.xml", 100),
    ("mt940/nordbank/gvc.sta", 95),
    ("mt940/polder/slash-codes.sta", 100),
    ("mt942/nordbank/midday.sta", 100),
    ("bai2/harbour/prior-and-same-day.bai", 100),
    ("ofx/harbour/sgml-bank-and-card.ofx", 100),
    ("ofx/alpine/xml-with-correction.ofx", 100),
    ("csv/nordbank/march.csv", 100),
];

/// How many lines and entries there are.
fn money(url: &Url, db: &Db) -> [i64; 3] {
    let count = |table: &str| given::number(url, &format!("SELECT count(*) AS value FROM {table}"));
    [count("lines"), count("pending_lines"), db.read(db::head).expect("a head").entry]
}

/// What became of a damaged file.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Refused as a whole.
    Refused,
    /// Each statement waits for a person, is refused with its reason, or is the same as one that waits.
    Held,
    /// Something of it was posted.
    Taken,
}

/// What became of these bytes: whatever it is, no line and no entry of it is there, and what is refused says where.
#[track_caller]
fn end_of(url: &Url, db: &Db, fixture: &Fixture, bytes: &[u8], what: &str) -> End {
    let (name, before) = (&fixture.name, money(url, db));
    let end = match fixture.take_in(db, bytes) {
        Err(no) => {
            assert_eq!(no.code(), "unreadable_file", "{name}, {what}: {no}");
            let text = no.to_string();
            let reason = text.split_once("nothing of it was posted: ").map(|(_, reason)| reason);
            let at = reason.and_then(|r| r.split_once(": ")).map(|(at, _)| at).unwrap_or_default();
            assert!(at.contains(|c: char| c.is_ascii_digit()), "{name}, {what}, says no place: {no}");
            End::Refused
        }
        Ok(taken) if taken.statements.iter().all(|s| ["quarantined", "refused"].contains(&s.state.as_str())) => {
            assert!(taken.statements.iter().all(|s| s.problems.contains("\"at\":")), "{name}, {what}");
            assert!(!taken.statements.is_empty(), "{name}, {what}: nothing, in silence");
            End::Held
        }
        Ok(taken) if taken.statements.iter().all(|s| s.state == "already_imported") => End::Held,
        Ok(_) => return End::Taken,
    };
    assert_eq!(money(url, db), before, "{name}, {what}: something of it was stored");
    end
}

/// F-10. Where the cut goes through the closing balance or the totals behind all lines, the file may be whole but for them: it
/// waits for a person, as each statement that contradicts itself.
#[test]
fn a_file_cut_at_any_percent_is_refused_with_its_place_and_posts_nothing() {
    on_both(|test| {
        let fixtures: Vec<Fixture> = FILES.iter().map(|(name, _)| Fixture::golden(name)).collect();
        let db = test.open(Options::default());
        treasury_of(&db, &fixtures.iter().collect::<Vec<_>>());
        for (fixture, (name, whole_from)) in fixtures.iter().zip(FILES) {
            let whole = fixture.bytes.trim_ascii_end();
            let mut held = 0;
            for percent in 0..whole_from {
                let cut = &whole[..whole.len() * percent / 100];
                let end = end_of(&test.url, &db, fixture, cut, &format!("cut at {percent}%"));
                assert_ne!(end, End::Taken, "{name} cut at {percent}%");
                held += usize::from(end == End::Held);
            }
            assert!(held == 0 || (name.starts_with("mt940") && held <= 3), "{name}: {held} cuts are only held back");
        }
        // Whole, each is taken in.
        for fixture in &fixtures {
            let taken = fixture.take_in(&db, &fixture.bytes).unwrap_or_else(|e| panic!("{}: {e}", fixture.name));
            // The one with a correction of an earlier line waits for a person.
            let expected = if fixture.name.contains("correction") { "quarantined" } else { "posted" };
            assert!(taken.statements.iter().any(|s| s.state == expected), "{}: {:?}", fixture.name, taken.statements);
        }
        assert_clean(&db);
    });
}

#[test]
fn what_is_no_statement_or_has_more_behind_it_is_refused_whole() {
    on_both(|test| {
        let camt = Fixture::golden("camt053/fjord/prefixed-v08.xml");
        let text = String::from_utf8(camt.bytes.clone()).expect("UTF-8");
        let db = test.open(Options::default());
        treasury_of(&db, &[&camt]);
        let pain = "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:pain.001.001.09'><CstmrCdtTrfInitn/></Document>";
        // A statement in the envelope of a report: a reader of one kind would find nothing in it, and call that success.
        let misplaced = text.replace("BkToCstmrStmt", "BkToCstmrAcctRpt").replace("camt.053", "camt.052");
        let no_statement =
            "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'><BkToCstmrStmt/></Document>";
        let twice = [camt.bytes.trim_ascii_end(), b"<Document>"].concat();
        let cases: [(&str, &[u8]); 9] = [
            ("empty", b""),
            ("blank", b" \r\n\xEF\xBB\xBF "),
            ("a payment file", pain.as_bytes()),
            ("a PDF", b"%PDF-1.7 1 0 obj"),
            ("a web page", b"<!DOCTYPE html><html></html>"),
            ("a statement in a report", misplaced.as_bytes()),
            ("without a statement", no_statement.as_bytes()),
            ("with garbage behind it", &twice),
            ("packed, with garbage behind it", &[gzip(&camt.bytes), b"more".to_vec()].concat()),
        ];
        for (what, bytes) in cases {
            assert_eq!(end_of(&test.url, &db, &camt, bytes, what), End::Refused, "{what}");
        }
        assert_eq!(camt.take_in(&db, &camt.bytes).expect("taken in").statements[0].state, "posted");
        assert_clean(&db);
    });
}

/// A file that was saved anew in another encoding, or packed, says the same: it is known.
#[test]
fn a_file_in_another_encoding_is_the_same_statement() {
    on_both(|test| {
        for name in ["camt053/fjord/prefixed-v08.xml", "mt940/nordbank/gvc.sta"] {
            let fixture = Fixture::golden(name);
            let text = String::from_utf8(fixture.bytes.clone()).expect("UTF-8");
            let text = text.replacen(" encoding=\"UTF-8\"", "", 1).replace("\r\n", "\n");
            let test = TestDb::new(test.engine);
            let db = test.open(Options::default());
            treasury_of(&db, &[&fixture]);
            let first = fixture.take_in(&db, &fixture.bytes).expect("taken in").statements.remove(0);
            assert_eq!(first.state, "posted", "{name}");
            let before = money(&test.url, &db);
            let units: Vec<u16> = text.encode_utf16().collect();
            let utf16 = |mark: &[u8], of: fn(u16) -> [u8; 2]| {
                [mark, &units.iter().flat_map(|u| of(*u)).collect::<Vec<_>>()].concat()
            };
            let windows = text.replace('\n', "\r\n");
            let variants = [
                ("LF", text.clone().into_bytes()),
                ("CRLF", windows.clone().into_bytes()),
                ("a byte order mark", [b"\xEF\xBB\xBF", text.as_bytes()].concat()),
                ("UTF-16, big end first", utf16(b"\xFE\xFF", u16::to_be_bytes)),
                ("UTF-16, little end first", utf16(b"\xFF\xFE", u16::to_le_bytes)),
                ("ISO-8859-1", text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin")).collect()),
                ("zip", zip(How::Streamed, &[("a", text.as_bytes())])),
            ];
            for (what, bytes) in variants {
                let again = fixture.take_in(&db, &bytes).unwrap_or_else(|e| panic!("{name} in {what}: {e}"));
                let known = again.already || again.statements[0].same_as.as_ref() == Some(&first.id);
                assert!(known && again.new_lines == 0, "{name} in {what}: {:?}", again.statements);
            }
            assert_eq!(money(&test.url, &db), before, "{name}");
            assert_clean(&db);
        }
    });
}

/// F-12: what a file declares, and with what it is made wrong by one cent or one entry.
const DECLARED: [(&str, &str, &str); 6] = [
    ("mt940/nordbank/gvc.sta", ":62F:C260302EUR9572,65", ":62F:C260302EUR9572,66"),
    ("mt942/nordbank/midday.sta", ":90C:2EUR212,", ":90C:2EUR212,01"),
    ("mt942/nordbank/midday.sta", ":90C:2EUR212,", ":90C:3EUR212,"),
    ("bai2/harbour/prior-and-same-day.bai", "49,4395500,11/", "49,4395501,11/"),
    ("bai2/harbour/prior-and-same-day.bai", "49,4395500,11/", "49,4395500,12/"),
    ("camt053/fjord/prefixed-v08.xml", "460.25", "460.26"),
];

#[test]
fn a_total_that_is_wrong_by_one_posts_nothing_of_its_statement() {
    on_both(|test| {
        for (name, right, wrong) in DECLARED {
            let fixture = Fixture::golden(name);
            let text = String::from_utf8(fixture.bytes.clone()).expect("UTF-8");
            assert!(text.contains(right), "{name} does not say {right}");
            let test = TestDb::new(test.engine);
            let db = test.open(Options::default());
            treasury_of(&db, &[&fixture]);
            let damaged = text.replacen(right, wrong, 1);
            let states: Vec<String> = match fixture.take_in(&db, damaged.as_bytes()) {
                Ok(taken) => taken.statements.into_iter().map(|s| s.state).collect(),
                Err(no) => vec![no.code().to_owned()],
            };
            let held = ["quarantined", "refused", "unreadable_file"];
            assert!(held.contains(&states[0].as_str()), "{name} with {wrong}: {states:?}");
            assert!(!states.iter().any(|s| s == "posting"), "{name} with {wrong}: {states:?}");
            assert_clean(&db);
        }
    });
}
