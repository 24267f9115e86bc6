//! What the name of a file in such a folder says: whether it is still being written, which pattern it fits, what belongs to
//! it, and what it is called once it is set aside. Pure.

use crate::db::seal::{Hash, hex};
use std::ffi::OsStr;

/// Ends of names that gateways give to a file until it is complete.
const TEMPORARY: [&str; 19] = [
    ".part",
    ".partial",
    ".filepart",
    ".tmp",
    ".temp",
    ".download",
    ".crdownload",
    ".opdownload",
    ".uploading",
    ".upload",
    ".inprogress",
    ".in-progress",
    ".incomplete",
    ".writing",
    ".transfer",
    ".swp",
    ".lock",
    ".lck",
    "~",
];

/// The longest name that is given: most file systems end at 255 bytes, and a report's name is longer than its file's.
const LONGEST: usize = 200;

/// What lies beside a file and belongs to it, by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Companion {
    /// `X.sha256`
    Checksum,
    /// `X.sig`
    Signature,
    /// `X.done`
    Marker,
}

/// The file that a name belongs to, and as what.
pub fn companion(name: &str) -> Option<(&str, Companion)> {
    let ends = [(".sha256", Companion::Checksum), (".sig", Companion::Signature), (".done", Companion::Marker)];
    ends.into_iter().find_map(|(end, what)| {
        let at = name.len().checked_sub(end.len()).filter(|at| *at > 0 && name.is_char_boundary(*at))?;
        let (of, last) = name.split_at(at);
        last.eq_ignore_ascii_case(end).then_some((of, what))
    })
}

/// Why a name is one of a file that is not complete, if it is.
pub fn temporary(name: &str) -> Option<&'static str> {
    if name.starts_with('.') {
        return Some("hidden: gateways write to such names until a file is complete");
    }
    let lower = name.to_ascii_lowercase();
    let end = TEMPORARY.iter().any(|end| lower.ends_with(end)) || lower.starts_with("~$");
    end.then_some("a temporary name: it is taken once the gateway gives it its own")
}

/// Whether a name fits a pattern: `*` stands for any characters, `?` for one; upper and lower case are the same.
pub fn fits(pattern: &str, name: &str) -> bool {
    let of = |text: &str| -> Vec<char> { text.chars().flat_map(char::to_lowercase).collect() };
    let (pattern, name) = (of(pattern), of(name));
    // Where the last star stood, and what it is taken to stand for so far.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == name.get(n) => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// A name for people: what would move their cursor, or is no text at all, is shown and not done.
pub fn shown(name: &OsStr) -> String {
    name.to_string_lossy()
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// How many digits of its digest stand in the name of a file that is set aside.
pub const DIGEST: usize = 16;

/// The name that a file has once it is set aside: its own with the beginning of its digest, so that a name that comes every
/// day is no trouble and the same file again is the same name.
pub fn aside(name: &str, digest: &Hash, again: u32) -> String {
    let (before, end) = around(name);
    let digest: String = hex(digest).chars().take(DIGEST).collect();
    let again = if again == 0 { String::new() } else { format!("-{again}") };
    format!("{before}{digest}{again}{end}")
}

/// What stands before and behind the digest in that name.
pub fn around(name: &str) -> (String, String) {
    // What separates folders in some system, and what no terminal should get.
    let clean: String = name.chars().map(|c| if c.is_control() || "/\\:".contains(c) { '_' } else { c }).collect();
    let (stem, end) = match clean.rfind('.').filter(|at| *at > 0 && clean.len() - at <= 12) {
        Some(at) => clean.split_at(at),
        None => (clean.as_str(), ""),
    };
    let room = LONGEST - DIGEST - end.len() - 4;
    let cut = (0..=room.min(stem.len())).rev().find(|at| stem.is_char_boundary(*at)).unwrap_or(0);
    (format!("{}-", stem.get(..cut).unwrap_or_default()), end.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn names_of_gateways_are_left_until_they_are_complete() {
        for name in [".x.xml", "x.xml.part", "X.XML.FILEPART", "x.tmp", "x.xml~", "~$x.xlsx", ".", "x.xml.tmp"] {
            assert!(temporary(name).is_some(), "{name}");
        }
        for name in ["x.xml", "part.xml", "tmp", "x.partner.sta", "STMT.20260302"] {
            assert!(temporary(name).is_none(), "{name}");
        }
    }

    #[test]
    fn patterns_are_read_as_people_mean_them() {
        for (pattern, name) in [
            ("*", "anything"),
            ("*.xml", "A.XML"),
            ("camt*.xml", "camt.053-7.xml"),
            ("*053*", "x053"),
            ("?.sta", "ä.sta"),
            ("*.*", "a.b"),
            ("a*b*c", "a-b-b-c"),
            ("exact", "exact"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*.xml", "a.xml.bak"), ("?.sta", "ab.sta"), ("a*b", "ac"), ("", "a"), ("exact", "exac")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn what_belongs_to_a_file_says_so_by_its_end() {
        assert_eq!(companion("a.xml.sha256"), Some(("a.xml", Companion::Checksum)));
        assert_eq!(companion("A.STA.SIG"), Some(("A.STA", Companion::Signature)));
        assert_eq!(companion("a.done"), Some(("a", Companion::Marker)));
        for name in ["a.xml", ".done", "done", "ä", ""] {
            assert_eq!(companion(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_that_is_set_aside_keeps_its_end_and_does_no_harm() {
        assert_eq!(aside("monday.sta", &[0xab; 32], 0), "monday-abababababababab.sta");
        assert_eq!(aside("monday.sta", &[0xab; 32], 2), "monday-abababababababab-2.sta");
        assert_eq!(aside("STATEMENT", &[0; 32], 0), "STATEMENT-0000000000000000");
        assert_eq!(aside("a/../\n\u{1b}b.xml", &[0; 32], 0), "a_..___b-0000000000000000.xml");
        let long = aside(&format!("{}.xml", "ä".repeat(300)), &[0; 32], 0);
        assert!(long.len() <= LONGEST && long.ends_with("-0000000000000000.xml"), "{long}");
    }

    proptest! {
        #[test]
        fn no_name_makes_a_panic(name in ".{0,300}", pattern in "[a*?.]{0,12}") {
            let (_, _, fitting) = (temporary(&name), companion(&name), fits(&pattern, &name));
            prop_assert!(!fitting || pattern.contains(['*', '?']) || pattern.eq_ignore_ascii_case(&name));
            prop_assert!(aside(&name, &[7; 32], 99).len() <= LONGEST);
        }
    }
}
