//! What an OFX reader must tell of whole files.

use super::*;
use crate::money::Minor;
use proptest::prelude::{any, prop, prop_assert, proptest};

#[derive(Default)]
struct Read {
    heads: Vec<Head>,
    lines: Vec<Line>,
    feet: Vec<Foot>,
    problems: Vec<Problem>,
}

impl Read {
    fn worse(&self) -> Vec<(Severity, Option<usize>)> {
        let worse = self.problems.iter().filter(|p| p.severity != Severity::Note);
        worse.map(|p| (p.severity, p.statement)).collect()
    }

    fn says(&self, text: &str) -> bool {
        self.problems.iter().any(|p| p.problem.contains(text))
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

/// Version 1: leaves are not closed, the last entry ends without a line of its own.
const SGML: &str = "OFXHEADER:100\r\nDATA:OFXSGML\r\nVERSION:102\r\nENCODING:USASCII\r\nCHARSET:1252\r\n\r\n\
<OFX><SIGNONMSGSRSV1><SONRS><STATUS><CODE>0<SEVERITY>INFO</STATUS><FI><ORG>HARBOUR<FID>1</FI></SONRS></SIGNONMSGSRSV1>
<BANKMSGSRSV1><STMTTRNRS><TRNUID>1<STATUS><CODE>0<SEVERITY>INFO</STATUS>
<STMTRS><CURDEF>USD<BANKACCTFROM><BANKID>121000<ACCTID>4000 123456<ACCTTYPE>CHECKING</BANKACCTFROM>
<BANKTRANLIST><DTSTART>20260301<DTEND>20260302
<STMTTRN><TRNTYPE>CREDIT<DTPOSTED>20260302120000[-5:EST]<DTAVAIL>20260303<TRNAMT>+2500,00<FITID>F1<NAME>M\u{fc}ller &amp; Co<MEMO>Order 77<BANKACCTTO><BANKID>9<ACCTID>55 66</BANKACCTTO></STMTTRN>
<STMTTRN><TRNTYPE>CHECK<DTPOSTED>20260302<TRNAMT>-5.5<FITID>F2<CHECKNUM>319<PAYEE><NAME>Joe</PAYEE><MEMO></STMTTRN>
</BANKTRANLIST><LEDGERBAL><BALAMT>12244.50<DTASOF>20260302</LEDGERBAL><AVAILBAL><BALAMT>1<DTASOF>20260302</AVAILBAL></STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>
";

/// The same in version 2.
const XML: &str = "<?xml version='1.0' encoding='ISO-8859-1'?><?OFX OFXHEADER='200'?>
<OFX><SIGNONMSGSRSV1><SONRS><FI><ORG>HARBOUR</ORG></FI></SONRS></SIGNONMSGSRSV1>
<BANKMSGSRSV1><STMTTRNRS><STMTRS><CURDEF>USD</CURDEF>
<BANKACCTFROM><BANKID>121000</BANKID><ACCTID>4000 123456</ACCTID></BANKACCTFROM>
<BANKTRANLIST><DTSTART>20260301</DTSTART><DTEND>20260302</DTEND>
<STMTTRN><TRNTYPE>CREDIT</TRNTYPE><DTPOSTED>20260302</DTPOSTED><DTAVAIL>20260303</DTAVAIL><TRNAMT>2500.00</TRNAMT>
<FITID>F1</FITID><NAME>M\u{fc}ller &#38; Co</NAME><MEMO><![CDATA[Order ]]>77</MEMO>
<BANKACCTTO><BANKID>9</BANKID><ACCTID>55 66</ACCTID></BANKACCTTO></STMTTRN>
<STMTTRN><TRNTYPE>CHECK</TRNTYPE><DTPOSTED>20260302</DTPOSTED><TRNAMT>-5.50</TRNAMT><FITID>F2</FITID>
<CHECKNUM>319</CHECKNUM><PAYEE><NAME>Joe</NAME></PAYEE><MEMO/></STMTTRN>
</BANKTRANLIST><LEDGERBAL><BALAMT>12244.50</BALAMT><DTASOF>20260302</DTASOF></LEDGERBAL></STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>
";

/// In Latin-1, as both headers allow.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn with(from: &str, to: &str) -> Read {
    assert!(SGML.contains(from), "{from}");
    read(&latin(&SGML.replacen(from, to, 1)))
}

#[test]
fn both_versions_say_the_same() {
    let [one, two] = [SGML, XML].map(|text| read(&latin(text)));
    for read in [&one, &two] {
        assert_eq!(read.problems, []);
        let head = &read.heads[0];
        assert_eq!((head.account.as_deref(), head.servicer.as_deref()), (Some("4000123456"), Some("121000")));
        assert_eq!((head.opening, head.to), (None, "2026-03-02".parse().ok()));
        let closing = read.feet[0].closing.expect("a balance");
        assert_eq!((closing.amount, closing.on.to_string()), (Minor(1_224_450), "2026-03-02".to_owned()));
        let [credit, cheque] = &read.lines[..] else { panic!("two lines") };
        assert_eq!((credit.amount, credit.direction), (Minor(250_000), Direction::Credit));
        assert_eq!((credit.booked_on, credit.valued_on), ("2026-03-02".parse().ok(), "2026-03-03".parse().ok()));
        let detail = &credit.details[0];
        assert_eq!(detail.counterparty_name.as_deref(), Some("Müller & Co"));
        assert_eq!(
            (detail.counterparty_account.as_deref(), detail.remittance.as_deref()),
            (Some("5566"), Some("Order 77"))
        );
        assert_eq!((credit.bank_ref.as_deref(), credit.code.as_deref()), (Some("F1"), Some("CREDIT")));
        assert_eq!((cheque.signed(), cheque.owner_ref.as_deref()), (Minor(-550), Some("319")));
        assert_eq!(cheque.details[0].counterparty_name.as_deref(), Some("Joe"));
    }
    let but_places = |lines: Vec<Line>| lines.into_iter().map(|l| Line { at: String::new(), ..l }).collect::<Vec<_>>();
    assert_eq!(but_places(one.lines), but_places(two.lines));
}

#[test]
fn what_the_bank_corrects_is_told_and_a_deletion_posts_nothing() {
    let replaced = with("<FITID>F2", "<FITID>F2<CORRECTFITID>F0<CORRECTACTION>REPLACE");
    assert_eq!(replaced.worse(), [(Severity::Quarantine, Some(0))]);
    assert!(replaced.says("replaces the entry F0"));
    let deleted = with("<FITID>F2", "<FITID>F2<CORRECTFITID>F0<CORRECTACTION>DELETE");
    assert_eq!((deleted.worse().len(), deleted.lines[1].status), (1, Status::Info));
    assert_eq!(deleted.feet[0].booked_sum, 250_000);
}

#[test]
fn what_is_missing_or_contradicts_is_told_at_its_place() {
    for (from, to) in [
        ("<CURDEF>USD", ""),
        ("<CURDEF>USD", "<CURDEF>XXX"),
        ("<ACCTID>4000 123456", ""),
        ("<TRNAMT>-5.5", ""),
        ("<TRNAMT>-5.5", "<TRNAMT>-5.555"),
        ("<TRNAMT>-5.5", "<TRNAMT>-5\u{0}5"),
        ("<TRNAMT>-5.5", "<TRNAMT>99999999999999999999"),
        ("<DTPOSTED>20260302<", "<DTPOSTED>20260230<"),
        ("<DTPOSTED>20260302<", "<"),
        ("<PAYEE>", "<CURRENCY><CURRATE>1.1<CURSYM>CAD</CURRENCY><PAYEE>"),
    ] {
        let read = with(from, to);
        let graves = read.problems.iter().filter(|p| p.severity == Severity::Grave);
        assert!(
            graves.clone().count() > 0 && graves.clone().all(|p| p.statement == Some(0)),
            "{to}: {:?}",
            read.problems
        );
        assert_eq!(read.feet.len(), 1);
    }
    for (from, to) in [
        ("<TRNAMT>+2500,00", "<TRNAMT>-2500,00"),
        ("<TRNTYPE>CHECK<DTPOSTED>20260302<TRNAMT>-5.5", "<TRNTYPE>DEBIT<DTPOSTED>20260302<TRNAMT>5.5"),
        ("<BALAMT>12244.50", "<BALAMT>12,244"),
        ("<DTASOF>20260302</LEDGERBAL>", "</LEDGERBAL>"),
    ] {
        assert_eq!(with(from, to).worse(), [(Severity::Quarantine, Some(0))], "{to}");
    }
    let pending = with("<TRNTYPE>CHECK", "<TRNTYPE>HOLD");
    assert_eq!((pending.lines[1].status, pending.feet[0].booked_sum), (Status::Pending, 250_000));
}

#[test]
fn an_answer_that_is_an_error_is_no_silence() {
    let error = "<OFX><STMTTRNRS><STATUS><CODE>2000<SEVERITY>ERROR<MESSAGE>General error</STATUS></STMTTRNRS></OFX>";
    let alone = read(error.as_bytes());
    assert_eq!(alone.worse(), [(Severity::Grave, None)]);
    assert!(alone.says("error 2000: General error"));
    let beside = with("<BANKMSGSRSV1>", &error.replace("<OFX>", "").replace("</OFX>", "<BANKMSGSRSV1>"));
    assert_eq!((beside.worse(), beside.feet.len()), (vec![(Severity::Quarantine, None)], 1));
    let investment = read(&latin(&SGML.replace("STMTRS>", "INVSTMTRS>")));
    assert!(investment.says("investment account") && investment.feet.len() == 1);
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for text in [SGML, XML] {
        let bytes = latin(text);
        for cut in 0..bytes.trim_ascii_end().len() {
            let read = read(&bytes[..cut]);
            assert!(read.worse().contains(&(Severity::Grave, None)), "cut at {cut}");
            assert!(read.feet.len() >= read.heads.len() || read.worse().contains(&(Severity::Grave, Some(0))));
        }
    }
    assert!(read(format!("{}rest", SGML.replace('\u{fc}', "u")).as_bytes()).says("behind the end"));
    let twice = read(&latin(&format!("{SGML}{SGML}")));
    assert_eq!((twice.worse().len(), twice.feet.len()), (0, 2));
}

#[test]
fn hostile_markup_is_refused_or_harmless() {
    let bomb = "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'>]><OFX></OFX>";
    assert!(read(bomb.as_bytes()).says("document type"));
    let deep = SGML.replace("<BANKTRANLIST>", &"<X>".repeat(100_000));
    assert_eq!(read(&latin(&deep)).worse(), []);
    let nested = with("<STMTTRN>", &"<STMTTRN>".repeat(1000));
    assert!(nested.says("begins inside of another one"));
    for endless in ["<OFX><MEMO>", "<OFX><", "<OFX><!--", "<OFX><![CDATA["] {
        let text = format!("{endless}{}", "x".repeat(3 << 20));
        let read = read(text.as_bytes());
        assert!(read.worse().contains(&(Severity::Grave, None)), "{endless}");
        assert!(read.problems.iter().all(|p| p.problem.len() < 1000));
    }
    let cyrillic = SGML.replace("CHARSET:1252", "CHARSET:1251").replace('\u{fc}', "\u{ff}");
    assert_eq!(read(&latin(&cyrillic)).lines[0].details[0].counterparty_name.as_deref(), Some("Mяller & Co"));
    let wide: Vec<u8> = SGML.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(&[&b"\xFF\xFE"[..], &wide].concat()).lines.len(), 2);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&bytes);
    }

    #[test]
    fn no_tags_panic_and_every_statement_ends_or_is_grave(
        tags in prop::collection::vec(
            "</?(OFX|STMTRS|CCSTMTRS|STMTTRN|STATUS|BANKACCTFROM|LEDGERBAL|CURRENCY|PAYEE)>|<(CURDEF|ACCTID|TRNAMT|DTPOSTED|BALAMT|DTASOF|NAME)>[-0-9.,A-Z&;]{0,10}",
            0..40,
        ),
    ) {
        let read = read(tags.concat().as_bytes());
        prop_assert!(read.feet.len() == read.heads.len() || read.worse().iter().any(|(s, _)| *s == Severity::Grave));
    }
}
