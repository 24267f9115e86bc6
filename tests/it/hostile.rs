//! Files that are made to harm, or that came to harm: each is refused, or read for what it says, and nothing in it makes the
//! reader take in much more than it has looked at.
//!
//! Memory is watched by what the reader asks for: an endless file must be given up after little more than the longest token
//! that is allowed, for only what was taken can be kept.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use crate::formats::{Read, files_below};
use crate::packed::{How, Zip, gzip, zip};
use std::fs;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use tributary::banking::inspect::{Inspection, inspect};
use tributary::banking::{Event, Foot, Head, Line, Problem, Reader, Severity};

/// How much an endless token may take: the limit is one MiB of text, of which five bytes can make one, and what is buffered.
const LITTLE: u64 = 6 << 20;

const ENTRY: &str = "<Ntry><Amt Ccy='EUR'>1.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>\
    <BookgDt><Dt>2026-03-02</Dt></BookgDt><AddtlNtryInf>x</AddtlNtryInf></Ntry>";

const ACCOUNT: &str = "<Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>EUR</Ccy></Acct>";

const MT940: &str = ":20:A\r\n:25:DE02120300000000202051\r\n:28C:1/1\r\n:60F:C260301EUR1,\r\n:61:260302C5,5NTRFNONREF\r\n\
    :86:Müller\r\n:62F:C260302EUR6,5\r\n-\r\n";

fn document(inside: &str) -> String {
    format!(
        "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'><BkToCstmrStmt><Stmt>\
         {ACCOUNT}{inside}</Stmt></BkToCstmrStmt></Document>"
    )
}

fn graves(read: &Read) -> Vec<&Problem> {
    read.problems.iter().filter(|p| p.severity == Severity::Grave).collect()
}

/// Refused as a whole, for this reason, with a place.
fn assert_refused(bytes: &[u8], reason: &str) {
    let read = Read::of(bytes);
    let of_the_file = graves(&read).into_iter().find(|p| p.statement.is_none() && p.problem.contains(reason));
    let problem = of_the_file.unwrap_or_else(|| panic!("not refused because of \"{reason}\": {:?}", read.problems));
    assert!(!problem.at.is_empty() && problem.at.contains(|c: char| c.is_ascii_digit()), "{problem:?}");
    assert!(
        read.statements.iter().all(|(_, _, foot)| foot.is_none()),
        "{reason}: a statement of it was given as whole"
    );
}

/// One statement of it is whole and nothing is held against it.
fn lines_of(bytes: &[u8]) -> Vec<Line> {
    let read = Read::of(bytes);
    assert_eq!(graves(&read), Vec::<&Problem>::new());
    let [(_, lines, Some(_))] = read.statements.as_slice() else { panic!("{:?}", read.problems) };
    lines.clone()
}

/// Bytes without an end: a beginning, then a piece over and over; and how many were taken.
struct Endless {
    head: Vec<u8>,
    piece: Vec<u8>,
    given: u64,
}

impl io::Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        for byte in out.iter_mut() {
            let at = usize::try_from(self.given).unwrap();
            *byte = match self.head.get(at) {
                Some(byte) => *byte,
                None => self.piece[(at - self.head.len()) % self.piece.len()],
            };
            self.given += 1;
        }
        Ok(out.len())
    }
}

/// Reads an endless file; what was told, and how many bytes were taken until it was given up.
fn given_up(head: &str, piece: &str) -> (Vec<Problem>, u64) {
    let mut endless = Endless { head: head.as_bytes().to_vec(), piece: piece.as_bytes().to_vec(), given: 0 };
    let problems = Reader::new(BufReader::new(&mut endless)).filter_map(|event| match event {
        Event::Problem(problem) => Some(problem),
        Event::End(_) => panic!("a statement of an endless file was given as whole"),
        Event::Begin(_) | Event::Line(_) => None,
    });
    let problems = problems.collect();
    (problems, endless.given)
}

#[test]
fn a_doctype_is_refused_before_anything_in_it_is_looked_at() {
    let lol: String = (1..10).map(|n| format!("<!ENTITY l{n} '{}'>", format!("&l{};", n - 1).repeat(10))).collect();
    let body = document(ENTRY);
    let quadratic = format!("<!ENTITY a '{}'>", "a".repeat(100_000));
    let types = [
        format!("<!DOCTYPE d [<!ENTITY l0 'lol'>{lol}]>"),
        format!("<!DOCTYPE d [{quadratic}]>"),
        "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>".to_owned(),
        "<!DOCTYPE d SYSTEM 'http://example.com/d.dtd'>".to_owned(),
        "<!DOCTYPE d [<!ENTITY % p SYSTEM 'http://example.com/p'> %p;]>".to_owned(),
        "<!DOCTYPE d PUBLIC '-//X//Y' 'z'>".to_owned(),
        "<!DOCTYPE Document>".to_owned(),
    ];
    for doctype in types {
        assert_refused(format!("<?xml version='1.0'?>{doctype}{body}").as_bytes(), "DOCTYPE");
        assert_refused(format!("<e>{doctype}{body}</e>").as_bytes(), "DOCTYPE");
        let inside = body.replace("<Ntry>", &format!("{doctype}<Ntry>"));
        assert_refused(inside.as_bytes(), "DOCTYPE");
    }
}

#[test]
fn references_to_elsewhere_are_text_or_nothing() {
    let named = document(&ENTRY.replace("<AddtlNtryInf>x", "<AddtlNtryInf>a &l9; &#x41; &#0; b"));
    let line = lines_of(named.as_bytes()).remove(0);
    assert_eq!(line.info.as_deref(), Some("a &l9; A &#0; b"));
    let include = "<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='file:///etc/passwd' parse='text'/>";
    let included = document(&ENTRY.replace("<AddtlNtryInf>x", &format!("<AddtlNtryInf>{include}")));
    assert_eq!(lines_of(included.as_bytes()).remove(0).info, None);
    let stylesheet = format!("<?xml-stylesheet href='file:///etc/passwd'?>{}", document(ENTRY));
    assert_eq!(lines_of(stylesheet.as_bytes()).len(), 1);
}

#[test]
fn an_endless_token_is_given_up() {
    let open = document("").replace("</Stmt></BkToCstmrStmt></Document>", "");
    let entry = format!("{open}{}", ENTRY.split("<AddtlNtryInf>").next().unwrap());
    let endless = [
        (format!("{entry}<AddtlNtryInf>"), "text without an end "),
        (format!("{entry}<AddtlNtryInf>"), "&amp;"),
        (format!("{entry}<AddtlNtryInf>"), "&lol;"),
        (format!("{entry}<AddtlNtryInf><![CDATA["), "x"),
        (format!("{entry}<AddtlNtryInf>"), "<![CDATA[xxxxxxxxxx]]>"),
        (format!("{open}<!--"), "comment "),
        (format!("{open}<?target "), "instruction "),
        (format!("{open}<Ntry "), "a='1' "),
        (format!("{open}<Ntry a='"), "x"),
        (format!("{open}<"), "n"),
        (format!("{open}</"), "n"),
        (format!("{open}&"), "n"),
        (open.clone(), "<a>"),
        (format!("{open}<Ntry>"), "<NtryDtls>"),
        (String::new(), "<"),
        ("<?xml version='1.0' encoding='".to_owned(), "x"),
        (":20:A\n:25:1\n:60F:C260301EUR1,\n:86:".to_owned(), "x"),
        (":20:".to_owned(), ":"),
        (":20:A\n{1:".to_owned(), "x"),
    ];
    for (head, piece) in endless {
        let (problems, taken) = given_up(&head, piece);
        let last = problems.last().unwrap_or_else(|| panic!("{head:?} {piece:?}"));
        assert_eq!((last.severity, last.statement), (Severity::Grave, None), "{piece}: {problems:?}");
        assert!(last.at.starts_with("line "), "{last:?}");
        assert!(taken < LITTLE, "{taken} bytes were taken of {piece:?} without an end");
    }
}

#[test]
fn an_entry_without_an_end_is_given_up() {
    let open = document("").replace("</Stmt></BkToCstmrStmt></Document>", "");
    let (problems, taken) = given_up(&format!("{open}<Ntry>"), "<NtryDtls><TxDtls></TxDtls></NtryDtls>");
    assert!(problems.iter().any(|p| p.problem.contains("more than 50000 details")), "{problems:?}");
    assert!(taken < LITTLE, "{taken}");
}

#[test]
fn depth_and_breadth_have_limits() {
    let deep = document(&format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000)));
    assert_refused(deep.as_bytes(), "nest deeper than");
    let attributes: String = (0..1_000_000).map(|n| format!(" a{n}='1'")).collect();
    let broad = document(&ENTRY.replace("<Ntry>", &format!("<Ntry{attributes}>")));
    assert_refused(broad.as_bytes(), "longer than");
    let some: String = (0..1000).map(|n| format!(" a{n}='1'")).collect();
    assert_eq!(lines_of(document(&ENTRY.replace("<Ntry>", &format!("<Ntry{some}>"))).as_bytes()).len(), 1);
    let text = document(&ENTRY.replace("<AddtlNtryInf>x", &format!("<AddtlNtryInf>{}", "x".repeat(2 << 20))));
    assert_refused(text.as_bytes(), "longer than");
}

#[test]
fn problems_without_end_are_counted_and_not_kept() {
    let balance = "<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp></Bal>";
    let inside = format!("{}<Acct><Ccy>EURO</Ccy></Acct>{ENTRY}", balance.repeat(20_000));
    let read = Read::of(document(&inside).as_bytes());
    assert!(read.problems.len() < 1100, "{}", read.problems.len());
    assert!(graves(&read).iter().any(|p| p.problem.contains("EURO")), "the grave one among them is told");
    let swift = format!(":20:A\n:25:1\n{}:62F:C260302EUR1,\n-\n", ":60F:X\n".repeat(20_000));
    assert!(Read::of(swift.as_bytes()).problems.len() < 1100);
}

#[test]
fn huge_numbers_refuse_their_statement() {
    let nines = "9".repeat(10_000);
    let amounts =
        ["9223372036854775808", "92233720368547758.08", "1e400", "0x10", "NaN", "-0.01", "1.500000000001", &nines];
    for amount in amounts {
        let text = document(&ENTRY.replace("1.50", amount));
        let read = Read::of(text.as_bytes());
        let problem = graves(&read).first().map(|p| p.at.clone()).unwrap_or_else(|| panic!("{amount} was read"));
        assert!(problem.ends_with("Stmt 1, Ntry 1, Amt"), "{problem}");
    }
    let most = document(&ENTRY.replace("1.50", "92233720368547758.07").repeat(3));
    let read = Read::of(most.as_bytes());
    let foot = read.statements[0].2.as_ref().unwrap();
    assert_eq!(foot.credit_total, 3 * i128::from(i64::MAX), "sums are wider than amounts");
    for (tag, number) in [("ElctrncSeqNb", "99999999999999999999"), ("LglSeqNb", &nines), ("StmtPgntn><PgNb", "-1")] {
        let (open, close) = (tag, tag.split("><").collect::<Vec<_>>().join("></"));
        let close = close.split("></").collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("></");
        let text = document(&format!("<{open}>{number}</{close}>{ENTRY}"));
        assert_eq!(lines_of(text.as_bytes()).len(), 1, "{tag}");
    }
    for amount in ["9223372036854775808,", "92233720368547758,08", &format!("{nines},")] {
        let read = Read::of(MT940.replace("C5,5", &format!("C{amount}")).as_bytes());
        assert!(graves(&read)[0].at.ends_with("statement 1, :61: 1"), "{:?}", read.problems);
    }
    let count = ":20:B\n:25:1\n:34F:EUR0,\n:61:260302C5,NTRFNONREF\n:90C:99999999999999999999EUR5,\n-\n";
    assert_eq!(Read::of(count.as_bytes()).problems[0].severity, Severity::Quarantine);
}

#[test]
fn an_encoding_changes_nothing_of_what_is_said() {
    let text = "<NtryDtls><TxDtls><RmtInf><Ustrd>Bäckerei Groß</Ustrd></RmtInf></TxDtls></NtryDtls><AddtlNtryInf>";
    let xml = document(&ENTRY.replace("<AddtlNtryInf>", text));
    for text in [xml.as_str(), MT940] {
        let plain = facts(&inspect(text.as_bytes()));
        assert!(plain.contains("ä") || plain.contains("ü"), "{plain}");
        let utf16 = |big: bool| -> Vec<u8> {
            text.encode_utf16().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
        };
        let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let mut files = vec![
            [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
            [&b"\xFE\xFF"[..], &utf16(true)].concat(),
            [&b"\xFF\xFE"[..], &utf16(false)].concat(),
            utf16(true),
            utf16(false),
            latin.clone(),
            text.replace("\r\n", "\n").into_bytes(),
        ];
        if text.starts_with('<') {
            files.push([b"<?xml version='1.0' encoding='ISO-8859-1'?>", latin.as_slice()].concat());
            files.push(text.replace('>', ">\r\n").replace("Groß\r\n", "Groß").into_bytes());
        }
        for file in files {
            assert_eq!(facts(&inspect(&file[..])), plain, "{}", String::from_utf8_lossy(&file));
            assert_eq!(facts(&inspect(&gzip(&file)[..])), plain);
        }
    }
}

/// What is said, without lines of the file and the remark that something was mended.
fn facts(inspection: &Inspection) -> String {
    let value = serde_json::to_value(inspection).unwrap();
    let problems = inspection.problems.iter().map(|p| p.problem.as_str()).filter(|p| !p.contains("Windows-1252"));
    format!("{} {:?}", value["statements"], problems.collect::<Vec<_>>())
}

#[test]
fn what_is_empty_or_of_another_kind_says_so() {
    let pain = "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:pain.001.001.09'><CstmrCdtTrfInitn/></Document>";
    let misplaced = document(ENTRY).replace("BkToCstmrStmt", "BkToCstmrAcctRpt");
    let cases = [
        ("", "the file is empty"),
        (" \r\n\u{feff} ", "the file is empty"),
        (pain, "this is a pain.001.001.09"),
        ("{\"a\": 1}", "no bank file that is known"),
        ("%PDF-1.7", "PDF document"),
        ("<!DOCTYPE html><html></html>", "web page"),
        ("<Document/>", "holds no camt"),
        ("<Document><BkToCstmrStmt></BkToCstmrStmt></Document>", "holds no camt"),
        (misplaced.as_str(), "a Stmt stands in a camt.052 message"),
    ];
    for (text, reason) in cases {
        assert_refused(text.as_bytes(), reason);
    }
    let without_entries = Read::of(document("").as_bytes());
    assert!(graves(&without_entries).is_empty(), "a day without entries is a day: {:?}", without_entries.problems);
}

#[test]
fn garbage_behind_a_file_is_told() {
    let whole = document(ENTRY);
    for garbage in ["garbage", "<", "<Document>", "</Document>", "<!-- ", "x\0", "&amp;x"] {
        let read = Read::of(format!("{whole}\r\n{garbage}").as_bytes());
        let told = graves(&read).iter().any(|p| p.statement.is_none());
        assert!(told, "{garbage:?}: {:?}", read.problems);
    }
    for padding in ["\r\n\r\n", "\0\0\0", "\u{1a}", "<!-- end -->", "<?end?>"] {
        let read = Read::of(format!("{whole}{padding}").as_bytes());
        assert!(graves(&read).is_empty(), "{padding:?}: {:?}", read.problems);
    }
    for packed in [zip(How::Deflated, &[("a", whole.as_bytes())]), gzip(whole.as_bytes())] {
        let read = Read::of(&[packed, b"more".to_vec()].concat());
        assert!(graves(&read).iter().any(|p| p.problem.contains("behind the end")), "{:?}", read.problems);
    }
}

fn golden() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = files_below(&root).into_iter();
    files.filter(|f| f.extension().is_some_and(|e| e == "xml" || e == "sta")).collect()
}

/// What was given as whole, without anything that needs a person.
fn whole_statements(read: &Read) -> Vec<(Head, Vec<Line>, Foot)> {
    let held =
        |index: usize| read.problems.iter().any(|p| p.statement == Some(index) && p.severity >= Severity::Quarantine);
    let all = read.statements.iter().enumerate().filter(|(index, _)| !held(*index));
    all.filter_map(|(_, (head, lines, foot))| Some((head.clone(), lines.clone(), foot.clone()?))).collect()
}

#[test]
fn a_file_that_is_cut_anywhere_never_gives_another_statement_than_it_held() {
    for file in golden() {
        let bytes = fs::read(&file).unwrap();
        let all = whole_statements(&Read::of(&bytes));
        let is_xml = file.extension().is_some_and(|e| e == "xml");
        for percent in 0..100 {
            let cut = Read::of(&bytes[..bytes.trim_ascii_end().len() * percent / 100]);
            let place = format!("{} cut at {percent}%", file.display());
            assert!(!is_xml || graves(&cut).iter().any(|p| p.statement.is_none()), "{place} is not refused");
            for (head, lines, mut foot) in whole_statements(&cut) {
                let (_, same_lines, same_foot) =
                    all.iter().find(|(h, ..)| *h == head).unwrap_or_else(|| panic!("{place}"));
                // Totals of debits may stand without those of credits behind them.
                foot.declared = same_foot.declared;
                assert_eq!((&lines, &foot), (same_lines, same_foot), "{place}");
            }
        }
    }
}

#[test]
fn an_archive_that_is_cut_anywhere_is_refused() {
    for file in golden().into_iter().step_by(2) {
        let bytes = fs::read(&file).unwrap();
        let packed = [
            zip(How::Deflated, &[("a.xml", &bytes), ("b", &bytes)]),
            zip(How::Streamed, &[("a.xml", &bytes)]),
            zip(How::Stored, &[("a.xml", &bytes)]),
            gzip(&bytes),
        ];
        for packed in packed {
            for percent in 0..100 {
                let cut = Read::of(&packed[..packed.len() * percent / 100]);
                let refused = graves(&cut).iter().any(|p| p.statement.is_none());
                assert!(refused, "{} cut at {percent}%: {:?}", file.display(), cut.problems);
            }
        }
    }
}

#[test]
fn every_member_of_an_archive_is_read_as_if_it_came_alone() {
    let xml = document(ENTRY);
    let members: [(&str, &[u8]); 7] = [
        ("day/", b""),
        ("day/../../../etc/a.xml", xml.as_bytes()),
        ("__MACOSX/day/._a.xml", b"\0\x05\x16\x07"),
        ("print.pdf", b"%PDF-1.7 and so on"),
        ("C:\\b.sta", MT940.as_bytes()),
        (".DS_Store", b"\0\0\0\x01Bud1"),
        ("c\n.xml", xml.as_bytes()),
    ];
    for how in [How::Deflated, How::Stored, How::Streamed] {
        // What is stored needs its length before it.
        let read = Read::of(&zip(how, &members));
        assert_eq!(graves(&read), Vec::<&Problem>::new(), "{how:?}");
        let heads: Vec<_> = read.statements.iter().map(|(h, ..)| (h.index, h.format.as_str(), h.at.as_str())).collect();
        let expected = [
            (0, "camt.053", "\"day/../../../etc/a.xml\", line 1, Stmt 1"),
            (1, "mt940", "\"C:\\b.sta\", line 1, statement 1"),
            (2, "camt.053", "\"c.xml\", line 1, Stmt 1"),
        ];
        assert_eq!(heads, expected, "{how:?}");
        assert!(read.problems.iter().any(|p| p.at.starts_with("\"print.pdf\"")), "{:?}", read.problems);
        let alone = lines_of(xml.as_bytes());
        for (_, lines, _) in [&read.statements[0], &read.statements[2]] {
            assert_eq!(Line { at: String::new(), ..lines[0].clone() }, Line { at: String::new(), ..alone[0].clone() });
        }
    }
    let one_bad = zip(How::Deflated, &[("a", xml.as_bytes()), ("b", &xml.as_bytes()[..200]), ("c", MT940.as_bytes())]);
    let read = Read::of(&one_bad);
    assert!(graves(&read).iter().all(|p| p.at.starts_with("\"b\", line 1")), "{:?}", read.problems);
    assert_eq!(graves(&read)[0].statement, Some(1));
    assert_eq!(read.statements[2].0.index, 2);
}

#[test]
fn traps_in_archives_are_refused() {
    let xml = document(ENTRY);
    let one = zip(How::Deflated, &[("a.xml", xml.as_bytes())]);
    let altered = |at: usize, byte: u8| {
        let mut bytes = one.clone();
        bytes[at] = byte;
        bytes
    };
    let in_directory = one.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    let cases = [
        (zip(How::Deflated, &[("a.zip", &one)]), "archive in an archive"),
        (zip(How::Stored, &[("a.gz", &gzip(xml.as_bytes()))]), "archive in an archive"),
        (gzip(&one), "archive in an archive"),
        (gzip(&gzip(xml.as_bytes())), "archive in an archive"),
        (zip(How::Deflated, &[]), "holds no bank file"),
        (zip(How::Deflated, &[("a/", b"")]), "holds no bank file"),
        (zip(How::Stored, &[("a/", b"x")]), "is a folder and holds bytes"),
        (zip(How::Deflated, &[("print.pdf", b"%PDF-1.7")]), "holds no bank file"),
        (zip(How::Deflated, &[("empty.xml", b"")]), "the file is empty"),
        (zip(How::Deflated, &[("[Content_Types].xml", b"<Types/>")]), "workbook"),
        (altered(6, 1), "is encrypted"),
        (altered(8, 12), "packed by method 12"),
        (altered(15, one[15] ^ 1), "damaged"),
        (altered(in_directory + 46, b'z'), "names other members"),
        (one[..in_directory].iter().chain(&one[one.len() - 22..]).copied().collect(), "names other members"),
    ];
    for (bytes, reason) in cases {
        let read = Read::of(&bytes);
        let told = graves(&read).iter().any(|p| p.statement.is_none() && p.problem.contains(reason));
        assert!(told, "{reason}: {:?}", read.problems);
    }
}

#[test]
fn a_bomb_goes_off_in_a_few_mebibytes() {
    let open = document("").replace("</Stmt></BkToCstmrStmt></Document>", "");
    let bomb = format!("{open}{}", "<a></a>".repeat(4 << 20));
    for packed in [
        zip(How::Deflated, &[("a.xml", bomb.as_bytes())]),
        zip(How::Streamed, &[("a", bomb.as_bytes())]),
        gzip(bomb.as_bytes()),
    ] {
        let mut taken = Taken { input: &packed[..], count: 0 };
        let problems: Vec<Problem> = Reader::new(BufReader::with_capacity(1024, &mut taken))
            .filter_map(|event| if let Event::Problem(problem) = event { Some(problem) } else { None })
            .collect();
        assert!(problems.iter().any(|p| p.problem.contains("more than 100 times its size")), "{problems:?}");
        let (taken, all) = (taken.count, packed.len());
        assert!(taken * 4 < all, "{taken} of {all} packed bytes were unpacked before it was given up");
    }
}

/// A reader that counts what was taken.
struct Taken<'a> {
    input: &'a [u8],
    count: usize,
}

impl io::Read for Taken<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = io::Read::read(&mut self.input, out)?;
        self.count += count;
        Ok(count)
    }
}

#[test]
fn an_archive_of_ten_thousand_files_is_read_and_of_one_more_refused() {
    let mut most = Zip::default();
    for number in 0..10_000 {
        most.add(How::Stored, &format!("{number}.pdf"), b"%PDF");
    }
    let mut more = Zip::default();
    for number in 0..10_001 {
        more.add(How::Stored, &format!("{number}.sta"), MT940.as_bytes());
    }
    let most = Read::of(&most.end());
    assert!(graves(&most).iter().all(|p| p.problem.contains("holds no bank file")), "{:?}", graves(&most));
    let more = Read::of(&more.end());
    assert_eq!(more.statements.len(), 10_000);
    assert!(graves(&more).iter().any(|p| p.statement.is_none() && p.problem.contains("more than 10000 members")));
}
