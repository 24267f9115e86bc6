//! What a BAI2 reader must tell of whole files.

use super::*;
use crate::banking::{Direction, Foot, Head, Line, Role, Status};
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
    /// Severities and statements of all problems but notes.
    fn worse(&self) -> Vec<(Severity, Option<usize>)> {
        let worse = self.problems.iter().filter(|p| p.severity != Severity::Note);
        worse.map(|p| (p.severity, p.statement)).collect()
    }

    fn says(&self, text: &str) -> bool {
        self.problems.iter().any(|p| p.problem.contains(text))
    }
}

fn read_with(text: &[u8], profile: Option<&Profile>) -> Read {
    let mut read = Read::default();
    for event in Reader::new(text, profile) {
        match event {
            Event::Begin(head) => read.heads.push(*head),
            Event::Line(line) => read.lines.push(*line),
            Event::End(foot) => read.feet.push(*foot),
            Event::Problem(problem) => read.problems.push(problem),
        }
    }
    read
}

fn read(text: &str) -> Read {
    read_with(text.as_bytes(), None)
}

/// Two accounts of one group; everything agrees.
const WHOLE: &str = "\
01,HARBUS33,TRIBUTARY,260303,0600,1,80,,2/
02,TRIBUTARY,HARBUS33,1,260302,2359,USD,2/
03,4000123456,,010,1000000,,,015,1224500,,/
88,100,250000,1,,400,25500,2,/
16,142,250000,Z,BANK1,OWN1,ORIG CO NAME:ACME CORP  ORIG ID:123 INV A/B, C/
16,495,25000,V,260303,,BANK2,,WIRE OUT/
88,TO SOMEBODY/
16,698,500,0,,,/
49,2775500,7/
03,4000654321,EUR,010,-500,,,015,-500,,/
49,-1000,2/
98,2774500,2,11/
99,2774500,1,13/
";

/// With one record in place of another.
fn with(from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from), "{from}");
    WHOLE.replacen(from, to, 1)
}

/// One entry in a statement that is not proved.
fn entry(record: &str) -> Read {
    read(&with("16,698,500,0,,,/", record))
}

#[test]
fn a_whole_file_is_read_and_agrees_on_every_level() {
    let read = read(WHOLE);
    assert_eq!(read.problems, []);
    let [first, second] = &read.heads[..] else { panic!("two statements") };
    assert_eq!((first.account.as_deref(), first.servicer.as_deref()), (Some("4000123456"), Some("HARBUS33")));
    assert_eq!(first.message_id.as_deref(), Some("HARBUS33/TRIBUTARY/260303/1"));
    assert_eq!((first.currency, second.currency), ("USD".parse().ok(), "EUR".parse().ok()));
    assert_eq!(first.opening.map(|b| (b.amount, b.on.to_string())), Some((Minor(1_000_000), "2026-03-02".to_owned())));
    assert_eq!(read.feet[0].closing.map(|b| b.amount), Some(Minor(1_224_500)));
    assert_eq!(second.opening.map(|b| b.amount), Some(Minor(-500)));
    assert_eq!((read.feet[0].booked_sum, first.role), (224_500, Role::Statement));
    for (head, foot) in read.heads.iter().zip(&read.feet) {
        assert_eq!(crate::banking::findings(head, foot), []);
    }
    let [credit, wire, fee] = &read.lines[..] else { panic!("three lines") };
    assert_eq!((credit.bank_ref.as_deref(), credit.owner_ref.as_deref()), (Some("BANK1"), Some("OWN1")));
    assert_eq!(credit.details[0].remittance.as_deref(), Some("ORIG CO NAME:ACME CORP ORIG ID:123 INV A/B, C"));
    assert_eq!(credit.details[0].counterparty_name.as_deref(), Some("ACME CORP"));
    assert_eq!((wire.direction, wire.valued_on), (Direction::Debit, "2026-03-03".parse().ok()));
    assert_eq!(wire.details[0].remittance.as_deref(), Some("WIRE OUT TO SOMEBODY"));
    assert_eq!((fee.code.as_deref(), fee.details[0].remittance.as_deref()), (Some("698"), None));
}

#[test]
fn a_cent_or_a_record_too_many_quarantines_what_it_is_about() {
    let all = vec![(Severity::Quarantine, Some(0)), (Severity::Quarantine, Some(1))];
    let cases = [
        ("49,2775500,7/", "49,2775501,7/", vec![(Severity::Quarantine, Some(0))]),
        ("49,2775500,7/", "49,2775500,8/", vec![(Severity::Quarantine, Some(0))]),
        ("49,-1000,2/", "49,1000,2/", vec![(Severity::Quarantine, Some(1))]),
        ("98,2774500,2,11/", "98,2774499,2,11/", all.clone()),
        ("98,2774500,2,11/", "98,2774500,3,11/", all.clone()),
        ("98,2774500,2,11/", "98,2774500,2,10/", all.clone()),
        ("99,2774500,1,13/", "99,2774500,1,12/", all.clone()),
        ("99,2774500,1,13/", "99,2774500,2,13/", all.clone()),
        ("99,2774500,1,13/", "99,1,1,13/", all.clone()),
        // A changed amount is told once, where it stands: the levels above agree with what the account declares.
        ("16,698,500,0", "16,698,501,0", vec![(Severity::Quarantine, Some(0))]),
        // A lost record too, even where totals would agree.
        ("88,TO SOMEBODY/\n", "", [vec![(Severity::Quarantine, Some(0))], all.clone(), all].concat()),
    ];
    for (from, to, expected) in cases {
        assert_eq!(read(&with(from, to)).worse(), expected, "{from} -> {to}");
    }
}

#[test]
fn totals_of_an_account_are_held_against_its_entries_and_never_posted() {
    let read = read(&with("400,25500,2,", "400,25500,3,"));
    let told = crate::banking::findings(&read.heads[0], &read.feet[0]);
    assert!(
        told.iter().any(|p| p.severity == Severity::Quarantine && p.problem.contains("3 debit entries")),
        "{told:?}"
    );
}

#[test]
fn a_group_says_whether_it_is_posted_and_of_which_day() {
    for (status, severity) in
        [("2", Severity::Grave), ("3", Severity::Quarantine), ("4", Severity::Grave), ("7", Severity::Grave)]
    {
        let read = read(&with("HARBUS33,1,", &format!("HARBUS33,{status},")));
        assert_eq!(read.worse(), [(severity, Some(0)), (severity, Some(1))], "status {status}");
    }
    for (modifier, role) in [("1", Role::Statement), ("", Role::Statement), ("3", Role::Report), ("4", Role::Report)] {
        let read = read(&with("USD,2/\n03", &format!("USD,{modifier}/\n03")));
        assert!(read.heads.iter().all(|h| h.role == role), "modifier {modifier}");
    }
    let unknown = read(&with("260302,2359", ",2359"));
    assert_eq!(unknown.worse(), [(Severity::Grave, Some(0)), (Severity::Grave, Some(1))]);
    let dollars = read(&with("2359,USD,2", "2359,,2"));
    assert_eq!((dollars.heads[0].currency, dollars.worse().len()), ("USD".parse().ok(), 0));
    assert!(dollars.says("by the standard that is USD"));
}

#[test]
fn minor_units_are_those_of_the_currency() {
    for (code, opening) in [("JPY", "1000000"), ("KWD", "1000.000"), ("USD", "10000.00")] {
        let read = read(&with("4000123456,,", &format!("4000123456,{code},")));
        let balance = read.heads[0].opening.expect("a balance");
        assert_eq!(balance.amount.to_text(balance.currency), opening);
    }
    assert_eq!(read(&with("4000654321,EUR", "4000654321,XXX")).worse(), [(Severity::Grave, Some(1))]);
}

#[test]
fn a_type_says_direction_reversal_and_return() {
    for (code, direction, reversal, returned) in [
        ("252", Direction::Credit, true, false),
        ("257", Direction::Credit, false, true),
        ("552", Direction::Debit, true, false),
        ("555", Direction::Debit, false, true),
        ("206", Direction::Credit, false, false),
    ] {
        let read = entry(&format!("16,{code},500,0,,,/"));
        let line = &read.lines[2];
        let found = (line.direction, line.reversal, line.details[0].return_reason.is_some());
        assert_eq!(found, (direction, reversal, returned), "{code}");
    }
    let informs = entry("16,890,500,0,,,NOTHING MOVES/");
    assert_eq!((informs.lines[2].status, informs.lines[2].amount), (Status::Info, Minor::ZERO));
    assert_eq!(informs.feet[0].booked_sum, 225_000);
    let own = "16,920,500,0,,,/";
    assert!(entry(own).says("bank's own: say in a profile"));
    let profile = Profile::parse("format='bai2'\nname='x'\nbanks=['HARBUS33']\ntypes={920='debit'}").unwrap();
    assert!(profile.fits(WHOLE) && !profile.fits(&WHOLE.replace("HARBUS33", "OTHER")));
    let read = read_with(with("16,698,500,0,,,/", own).as_bytes(), Some(&profile));
    assert_eq!(read.problems, []);
    assert!(Profile::parse("format='bai2'\nname='x'\ntypes={92='debit'}").is_err());
}

#[test]
fn an_entry_without_clear_money_is_grave() {
    for record in [
        "16,142,,0,,,/",
        "16,142,12.34,0,,,/",
        "16,142,-500,0,,,/",
        "16,142,99999999999999999999,0,,,/",
        "16,142,5\u{0}00,0,,,/",
        "16,14,500,0,,,/",
        "16,010,500,0,,,/",
        "16,720,500,0,,,/",
        "16,142,500,Q,,,/",
        "16,142,500,D,3,0,500,,,/",
        "16,",
    ] {
        let read = entry(record);
        assert!(read.worse().contains(&(Severity::Grave, Some(0))), "{record}: {:?}", read.problems);
    }
}

#[test]
fn records_that_stand_nowhere_or_are_missing_are_told() {
    for (from, to) in [
        ("01,HARBUS33,TRIBUTARY,260303,0600,1,80,,2/\n", ""),
        ("02,TRIBUTARY,HARBUS33,1,260302,2359,USD,2/\n", ""),
        ("03,4000654321,EUR,010,-500,,,015,-500,,/\n", ""),
        ("49,2775500,7/\n", ""),
        ("98,2774500,2,11/\n", ""),
        ("99,2774500,1,13/\n", ""),
        ("99,2774500,1,13/\n", "99,2774500,1,13/\nmore"),
        ("03,4000654321,", "03,,"),
        ("010,-500,,,", "010,-500,x,,"),
        ("010,-500,,,", "010,5.00,,,"),
        ("015,-500,,", "15,-500,,"),
    ] {
        let read = read(&with(from, to));
        assert!(read.worse().iter().any(|(severity, _)| *severity == Severity::Grave), "without {from}");
        assert_eq!(read.heads.len(), if from.starts_with("03,4000654321,EUR") { 1 } else { 2 }, "{from}");
    }
    assert!(read("hello").says("no account of BAI2"));
}

#[test]
fn a_file_cut_anywhere_is_never_taken_for_whole() {
    for cut in 0..WHOLE.trim_end().len() - 1 {
        let read = read(&WHOLE[..cut]);
        let held = |index: usize| read.worse().iter().any(|(_, s)| s.is_none_or(|s| s == index));
        assert!(!read.worse().is_empty() && (0..read.heads.len()).all(held), "cut at {cut}");
    }
}

#[test]
fn a_chain_of_continuations_without_end_takes_bounded_memory() {
    let chain = |record: &str| {
        let text =
            with("16,698,500,0,,,/", &format!("{record}\n{}", "88,0123456789012345678901234567890/\n".repeat(10_000)));
        read(&text)
    };
    let text = chain("16,698,500,0,,,/");
    assert!(text.says("its end was left out") && text.lines[2].details[0].remittance.as_ref().unwrap().len() <= 65_536);
    let text = WHOLE.replacen("88,100,250000,1,,400,25500,2,/", &"88,100,1,1,/\n".repeat(10_000), 1);
    assert!(read(&text).says("too long"));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_with(&bytes, None);
    }

    #[test]
    fn no_records_panic_and_every_statement_ends_or_is_grave(
        records in prop::collection::vec("(01|02|03|16|49|88|98|99|34),[0-9SVDZ,/.+-]{0,40}/?", 0..30),
    ) {
        let read = read(&records.join("\n"));
        prop_assert!(read.feet.len() == read.heads.len() || read.worse().iter().any(|(s, _)| *s == Severity::Grave));
    }
}
