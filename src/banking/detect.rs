//! What a file is, by its first bytes and never by its name; and how a file that cannot be read yet is refused.

use super::source::first_text;
use super::{Format, bai2, csv};

/// What the first bytes of a file say that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but blanks.
    Empty,
    /// XML: which message it carries may stand further on, behind an envelope.
    Xml,
    /// SWIFT fields of a statement.
    Mt940,
    /// A file header of BAI2.
    Bai2,
    /// A header or root element of OFX.
    Ofx,
    /// A spreadsheet, which is refused with a way out.
    Workbook,
    /// A known format that cannot be read yet, or a container.
    Foreign(String),
    /// None of these.
    Unknown,
}

/// The format of a file by its first bytes; a few kilobytes are enough. `None` when it is none that can be read, or when
/// an envelope hides the message in it: [`super::Reader`] then looks further and says what the file is.
pub fn detect(first_bytes: &[u8]) -> Option<Format> {
    match recognise(first_bytes) {
        Kind::Mt940 => Some(Format::Mt940),
        Kind::Bai2 => Some(Format::Bai2),
        Kind::Ofx => Some(Format::Ofx),
        Kind::Xml => {
            let text = first_text(first_bytes);
            (text.contains("BkToCstmrStmt") || text.contains("camt.053")).then_some(Format::Camt053)
        }
        Kind::Empty | Kind::Workbook | Kind::Foreign(_) | Kind::Unknown => None,
    }
}

pub(super) fn recognise(head: &[u8]) -> Kind {
    if csv::is_workbook(head) {
        return Kind::Workbook;
    }
    if let Some(container) = container(head) {
        return Kind::Foreign(container.to_owned());
    }
    let text = first_text(head);
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}');
    if text.is_empty() {
        return Kind::Empty;
    }
    if text.starts_with("OFXHEADER") || (text.starts_with('<') && (text.contains("<OFX>") || text.contains("<?OFX"))) {
        return Kind::Ofx;
    }
    if text.starts_with('<') {
        let lower = text.get(..200).unwrap_or(text).to_ascii_lowercase();
        let is_page = lower.starts_with("<!doctype html") || lower.starts_with("<html");
        return if is_page { Kind::Foreign("web page".to_owned()) } else { Kind::Xml };
    }
    if bai2::is_bai2(text) {
        return Kind::Bai2;
    }
    swift(text)
}

/// Archives and documents, by their magic numbers.
fn container(head: &[u8]) -> Option<&'static str> {
    let magic: [(&[u8], &str); 7] = [
        (b"PK\x03\x04", "zip archive or spreadsheet"),
        (b"PK\x05\x06", "zip archive"),
        (b"\x1F\x8B", "gzip archive"),
        (b"BZh", "bzip2 archive"),
        (b"%PDF", "PDF document"),
        (b"\xD0\xCF\x11\xE0", "spreadsheet"),
        (b"-----BEGIN", "signed or encrypted file"),
    ];
    magic.iter().find(|(bytes, _)| head.starts_with(bytes)).map(|(_, name)| *name)
}

fn swift(text: &str) -> Kind {
    let has = |tags: &[&str]| text.lines().any(|line| tags.iter().any(|tag| line.trim_start().starts_with(tag)));
    let balances = [":60F:", ":60M:", ":62F:", ":62M:"];
    let application = text.find("{2:").and_then(|at| text.get(at + 4..at + 7));
    if has(&balances) {
        return Kind::Mt940;
    }
    if has(&[":34F:", ":90C:", ":90D:"]) || application == Some("942") {
        return Kind::Foreign("MT942 interim report".to_owned());
    }
    if let Some(number) = application
        && number.bytes().all(|b| b.is_ascii_digit())
        && !matches!(number, "940" | "950")
        && !has(&[":61:"])
    {
        return Kind::Foreign(format!("MT{number}"));
    }
    if has(&[":32A:", ":32B:"]) {
        return Kind::Foreign("SWIFT payment message".to_owned());
    }
    let tags = [":20:", ":21:", ":25:", ":25P:", ":28:", ":28C:", ":61:", ":64:", ":65:", ":86:", ":940:", ":NS:"];
    if has(&tags) || application.is_some() { Kind::Mt940 } else { Kind::Unknown }
}

/// The message that an element below `Document` opens, when it is one that banks and companies exchange.
pub(super) fn message_name(element: &str) -> Option<&'static str> {
    // The first versions carry their number in the name of the element.
    let name = element.strip_suffix("V01").or_else(|| element.strip_suffix("V02")).unwrap_or(element);
    Some(match name {
        "BkToCstmrAcctRpt" => "camt.052 intraday report",
        "BkToCstmrDbtCdtNtfctn" => "camt.054 notification",
        "CstmrCdtTrfInitn" => "pain.001 payment order",
        "CstmrPmtStsRpt" => "pain.002 payment status",
        "CstmrPmtRvsl" => "pain.007 reversal",
        "CstmrDrctDbtInitn" => "pain.008 direct debit order",
        "FIToFIPmtStsRpt" => "pacs.002 payment status",
        "PmtRtr" => "pacs.004 payment return",
        "FIToFICstmrCdtTrf" => "pacs.008 credit transfer",
        "RsltnOfInvstgtn" => "camt.029 resolution",
        "CstmrPmtCxlReq" => "camt.055 cancellation request",
        "FIToFIPmtCxlReq" => "camt.056 cancellation request",
        "AcctRptgReq" => "camt.060 report request",
        _ => return None,
    })
}

/// The sentence with which a known format is refused.
pub(super) fn refusal(what: &str) -> String {
    // Letters that are spoken with a vowel first.
    let article = if what.starts_with(['A', 'E', 'F', 'I', 'M', 'O', 'X']) { "an" } else { "a" };
    format!("this is {article} {what}; it cannot be read yet (camt.053 and MT940 statements can)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_content() {
        let camt =
            b"\xEF\xBB\xBF<?xml version='1.0'?>\n<d:Document xmlns:d='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'>";
        assert_eq!(detect(camt), Some(Format::Camt053));
        for swift in [
            &b":20:X\r\n:25:1"[..],
            b"{1:F01X}{2:O940X}{4:\n:20:X",
            b"ABNANL2A\n940\nABNANL2A\n:20:X\n:60F:C",
            b"\x01\n:20:X",
        ] {
            assert_eq!(detect(swift), Some(Format::Mt940), "{}", String::from_utf8_lossy(swift));
        }
        for bai2 in [&b"01,BANK,US,200101,0000,1,,,2/\n02,"[..], b"01,,BNZA/\r\n88,160122/", b"16,A\n88,B\n03,C"] {
            assert_eq!(detect(bai2), Some(Format::Bai2), "{}", String::from_utf8_lossy(bai2));
        }
        for ofx in [&b"\n\nOFXHEADER:100"[..], b"<?xml version='1.0'?><?OFX OFXHEADER='200'?><OFX>"] {
            assert_eq!(detect(ofx), Some(Format::Ofx), "{}", String::from_utf8_lossy(ofx));
        }
        for other in
            [&b""[..], b" \n", b"<a/>", b"PK\x03\x04", b"Date;Amount", b"01,A\n03,B", b"16,A\n17,B\n18,C", b"\x00\x00"]
        {
            assert_eq!(detect(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn what_cannot_be_read_yet_has_a_name() {
        let cases = [
            (&b":20:X\n:34F:EURD0,\n:61:"[..], "MT942"),
            (b"{1:F01X}{2:O103X}{4:\n:20:X\n:32A:2", "MT103"),
            (b"PK\x03\x04", "zip"),
        ];
        for (bytes, name) in cases {
            assert!(matches!(recognise(bytes), Kind::Foreign(what) if what.contains(name)), "{name}");
        }
    }
}
