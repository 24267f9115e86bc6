//! What a CSV reader must tell of whole files.

use super::*;
use crate::banking::{Foot, Format, Head, Line, Profiles, Status};
use crate::money::Minor;
use proptest::prelude::{any, prop, prop_assert, proptest};

#[derive(Default)]
struct Seen {
    heads: Vec<Head>,
    lines: Vec<Line>,
    feet: Vec<Foot>,
    problems: Vec<Problem>,
}

impl Seen {
    fn worse(&self) -> Vec<(Severity, Option<usize>)> {
        let worse = self.problems.iter().filter(|p| p.severity != Severity::Note);
        worse.map(|p| (p.severity, p.statement)).collect()
    }

    fn says(&self, text: &str) -> bool {
        self.problems.iter().any(|p| p.problem.contains(text))
    }

    fn signed(&self) -> Vec<i64> {
        self.lines.iter().map(|line| line.signed().0).collect()
    }
}

fn read(profile: &str, bytes: &[u8]) -> Seen {
    let profile = Profile::parse(profile).unwrap_or_else(|e| panic!("{e}"));
    let mut seen = Seen::default();
    for event in Reader::new(bytes, Arc::new(profile)) {
        match event {
            Event::Begin(head) => seen.heads.push(*head),
            Event::Line(line) => seen.lines.push(*line),
            Event::End(foot) => seen.feet.push(*foot),
            Event::Problem(problem) => seen.problems.push(problem),
        }
    }
    for (head, foot) in seen.heads.iter().zip(&seen.feet) {
        seen.problems.extend(crate::banking::findings(head, foot).into_iter().filter(|p| p.severity != Severity::Note));
    }
    seen
}

const PROFILE: &str = "
format = 'csv'
name = 'harbour'
[file]
delimiter = ';'
header = ['Date', 'Text', 'Name', 'Amount', 'Balance']
footer = ['Total']
[account]
number = 'DE02 1203'
currency = 'EUR'
[dates]
formats = ['DD.MM.YYYY']
booked_on = 'Date'
[amount]
decimal = ','
thousands = '.'
column = 'Amount'
balance = 'Balance'
[fields]
remittance = ['Text']
counterparty_name = 'Name'
";

const FILE: &str = "\u{feff}Date;Text;Name;Amount;Balance
02.03.2026;\"Order; \"\"77\"\"\";ACME;1.250,00;2.250,00

03.03.2026;Fee;;-5,50;2.244,50
;;;;
Total;;;1.244,50;
";

fn with(from: &str, to: &str) -> String {
    assert!(PROFILE.contains(from), "{from}");
    PROFILE.replacen(from, to, 1)
}

#[test]
fn a_column_of_balances_gives_opening_and_closing_and_proves_each_row() {
    let seen = read(PROFILE, FILE.as_bytes());
    assert_eq!(seen.problems, []);
    let head = &seen.heads[0];
    assert_eq!((head.account.as_deref(), head.currency), (Some("DE021203"), "EUR".parse().ok()));
    assert_eq!(head.opening.map(|b| b.amount), Some(Minor(100_000)));
    let closing = seen.feet[0].closing.expect("a balance");
    assert_eq!((closing.amount, closing.on.to_string()), (Minor(224_450), "2026-03-03".to_owned()));
    assert_eq!(seen.signed(), [125_000, -550]);
    assert_eq!(seen.lines[0].details[0].remittance.as_deref(), Some("Order; \"77\""));
    assert_eq!(seen.lines[1].at, "line 4");
    let broken = read(PROFILE, FILE.replace("2.244,50", "2.244,51").as_bytes());
    assert_eq!(broken.worse(), [(Severity::Quarantine, Some(0)); 2]);
    assert_eq!(broken.problems[0].at, "line 4");
    for (from, to) in [("\n", "\r\n"), ("Fee;;-5,50;2.244,50", "Fee;\"a\nb\";-5,50;2.244,50"), ("ACME", "\"A\nB\"")] {
        let seen = read(PROFILE, FILE.replace(from, to).as_bytes());
        assert_eq!(seen.lines[1].at, if from == "ACME" { "line 5" } else { "line 4" }, "{to:?}");
    }
}

#[test]
fn a_file_whose_newest_row_is_first_is_given_out_oldest_first() {
    let mut rows: Vec<&str> = FILE.lines().collect();
    rows.swap(1, 3);
    let newest = rows.join("\n") + "\n";
    let seen = read(&with("delimiter = ';'", "delimiter = ';'\norder = 'newest_first'"), newest.as_bytes());
    assert_eq!((seen.problems.len(), seen.signed()), (0, vec![125_000, -550]));
    assert_eq!(seen.heads[0].opening.map(|b| b.amount), Some(Minor(100_000)));
    let wrong = read(PROFILE, newest.as_bytes());
    assert!(wrong.says("is the newest row first?") && !wrong.worse().is_empty());
}

#[test]
fn accounts_and_currencies_of_columns_become_statements() {
    let profile = with("number = 'DE02 1203'\ncurrency = 'EUR'", "number_column = 'Text'\ncurrency_column = 'Name'");
    let rows = |order: [&str; 3]| format!("Date;Text;Name;Amount;Balance\n{}\n", order.join("\n"));
    let [a, b, c] = ["02.03.2026;A;EUR;1,00;1,00", "02.03.2026;A;EUR;2,00;3,00", "02.03.2026;A;USD;5,00;5,00"];
    let seen = read(&profile, rows([a, b, c]).as_bytes());
    assert_eq!((seen.worse().len(), seen.heads.len(), seen.heads[1].currency), (0, 2, "USD".parse().ok()));
    let mixed = rows([a, c, b]);
    assert!(read(&profile, mixed.as_bytes()).says("set file.mixed_accounts"));
    let profile = profile.replace("footer", "mixed_accounts = true\nfooter");
    let seen = read(&profile, mixed.as_bytes());
    assert_eq!((seen.worse().len(), seen.signed()), (0, vec![100, 200, 500]));
    let nobody = read(&profile, rows([a, "02.03.2026;;EUR;1,00;1,00", b]).as_bytes());
    assert!(nobody.worse().contains(&(Severity::Grave, None)));
    let nothing = read(&profile, b"Date;Text;Name;Amount;Balance\n");
    assert_eq!(nothing.worse(), [(Severity::Grave, None)]);
    let quiet = read(PROFILE, b"Date;Text;Name;Amount;Balance\n");
    assert_eq!((quiet.worse().len(), quiet.heads.len(), quiet.feet.len()), (0, 1, 1));
}

#[test]
fn direction_comes_from_sign_mark_or_column() {
    let file = |rows: &str| format!("Date;Text;Name;Amount;Balance\n{rows}\n");
    let marked = with(
        "column = 'Amount'\nbalance = 'Balance'",
        "column = 'Amount'\nmark = 'Balance'\ncredit_marks = ['C']\ndebit_marks = ['D']",
    );
    let seen = read(&marked, file("02.03.2026;;;1,00;C\n02.03.2026;;;2,00;D").as_bytes());
    assert_eq!((seen.worse().len(), seen.signed()), (0, vec![100, -200]));
    let signed = file("02.03.2026;;;-1,00;C");
    assert!(read(&marked, signed.as_bytes()).says("amount.signs"));
    assert_eq!(read(&marked.replace("mark =", "signs = 'ignored'\nmark ="), signed.as_bytes()).signed(), [100]);
    assert!(read(&marked, file("02.03.2026;;;1,00;X").as_bytes()).says("credit_marks"));
    let pair = with("column = 'Amount'\nbalance = 'Balance'", "credit = 'Amount'\ndebit = 'Balance'");
    let seen = read(&pair, file("02.03.2026;;;1,00;\n02.03.2026;;;0,00;2,00\n02.03.2026;;;0,00;0,00").as_bytes());
    assert_eq!((seen.worse().len(), seen.signed()), (0, vec![100, -200, 0]));
    for (row, says) in [("1,00;2,00", "both"), (";", "neither"), (";-2,00", "amount.signs")] {
        assert!(read(&pair, file(&format!("02.03.2026;;;{row}")).as_bytes()).says(says), "{row}");
    }
    let negative = pair.replace("debit =", "signs = 'debits_negative'\ndebit =");
    assert_eq!(read(&negative, file("02.03.2026;;;;-2,00").as_bytes()).signed(), [-200]);
    assert!(read(&negative, file("02.03.2026;;;;2,00").as_bytes()).says("no minus"));
    let inverse = with("column = 'Amount'\nbalance = 'Balance'", "column = 'Amount'\ninverse = true");
    assert_eq!(read(&inverse, file("02.03.2026;;;5,00;\n02.03.2026;;;-7,00;").as_bytes()).signed(), [-500, 700]);
}

#[test]
fn only_what_a_status_calls_booked_moves_the_balance() {
    let profile =
        format!("{PROFILE}[status]\ncolumn = 'Name'\nbooked = ['ok']\npending = ['open']\nleave_out = ['no']\n");
    let file = |name: &str| {
        format!(
            "Date;Text;Name;Amount;Balance\n02.03.2026;;ok;1,00;1,00\n03.03.2026;;{name};5,00;\n04.03.2026;;ok;2,00;3,00\n"
        )
    };
    let pending = read(&profile, file("open").as_bytes());
    assert_eq!((pending.worse().len(), pending.lines[1].status, pending.feet[0].booked_sum), (0, Status::Pending, 300));
    assert_eq!(read(&profile, file("no").as_bytes()).signed(), [100, 200]);
    assert!(read(&profile, file("new").as_bytes()).says("status \"new\""));
}

#[test]
fn cells_above_and_below_the_rows_say_account_and_balances() {
    let profile = with(
        "number = 'DE02 1203'\ncurrency = 'EUR'",
        "number_cell = { row = 'Account', column = 1, after = ':' }\ncurrency_cell = { row = 'Account', column = 2 }",
    )
    .replace(
        "balance = 'Balance'",
        "closing_cell = { row = 'End', column = 4 }\nopening_cell = { row = 'Start', column = 4 }",
    )
    .replace("delimiter", "skip_rows = 2\ndelimiter");
    let file =
        "Account : 08 15;EUR\nEnd;;;1.001,00\nDate;Text;Name;Amount;Balance\n02.03.2026;;;1,00;\nStart;;;1.000,00;\n";
    let seen = read(&profile, file.as_bytes());
    assert_eq!(seen.worse(), []);
    assert_eq!(seen.heads[0].account.as_deref(), Some("0815"));
    assert_eq!(seen.feet[0].closing.map(|b| b.amount), Some(Minor(100_100)));
    assert_eq!(
        read(&profile, file.replace("1.000,00", "1.000,01").as_bytes()).worse(),
        [(Severity::Quarantine, Some(0))]
    );
    assert_eq!(read(&profile, file.replace("1.000,00", "abc").as_bytes()).worse(), [(Severity::Quarantine, Some(0))]);
    assert!(read(&profile, file.replace("EUR", "Euro").as_bytes()).worse().contains(&(Severity::Grave, None)));
}

#[test]
fn a_row_that_does_not_fit_is_grave_with_all_that_is_wrong() {
    let file = |row: &str| format!("Date;Text;Name;Amount;Balance\n{row}\n");
    for (row, count) in [
        ("02.03.2026;a;b", 1),
        ("02.03.2026;a;b;1,00;1,00;more", 1),
        ("30.02.2026;a;b;1,005;x", 3),
        (";a;b;;1,00", 2),
        ("02.03.2026;a;b;1\u{0}1,00;1,00", 1),
        ("02.03.2026;a;b;99999999999999999999,00;1,00", 1),
    ] {
        let seen = read(PROFILE, file(row).as_bytes());
        let graves = seen.worse().iter().filter(|p| **p == (Severity::Grave, Some(0))).count();
        assert_eq!((graves, seen.feet.len()), (count, 1), "{row}: {:?}", seen.problems);
    }
    assert_eq!(read(PROFILE, file("02.03.2026;a\u{0}b;c;1,0000;1,00;;").as_bytes()).worse(), []);
}

#[test]
fn a_file_that_was_cut_or_changed_is_told() {
    let read = |text: &str| read(PROFILE, text.as_bytes());
    assert!(read("Date;Text;Name;Betrag;Balance\n").says("column 4 is \"Betrag\" and should be \"Amount\""));
    assert!(read("").says("ends before its header"));
    assert!(read("Date;Text;Name;Amount;Balance\n02.03.2026;\"a;b;1,00;1,00\n").says("inside of quotes"));
    assert_eq!(read("Date;Text;Name;Amount;Balance\n02.03.2026;5\" pipe;b;1,00;1,00\n").worse(), []);
    // Balances prove the last row, else its missing line end speaks against it.
    assert_eq!(read("Date;Text;Name;Amount;Balance\n02.03.2026;a;b;1,00;1,00").worse(), []);
    let unproved = with("balance = 'Balance'", "");
    let cut = b"Date;Text;Name;Amount;Balance\n02.03.2026;a;b;1,00;";
    assert_eq!(super::tests::read(&unproved, cut).worse(), [(Severity::Quarantine, Some(0))]);
    let usual = unproved.replace("footer", "last_row_unterminated = true\nfooter");
    assert_eq!(super::tests::read(&usual, cut).worse(), []);
}

#[test]
fn an_encoding_is_declared_and_a_wrong_one_told() {
    let latin: Vec<u8> =
        "Date;Text;Name;Amount;Balance\n02.03.2026;a;M\u{fc}ller;1,00;1,00\n".chars().map(|c| c as u8).collect();
    let declared = with("delimiter", "encoding = 'windows-1252'\ndelimiter");
    let name = |seen: &Seen| seen.lines[0].details[0].counterparty_name.clone();
    let seen = read(&declared, &latin);
    assert_eq!((name(&seen).as_deref(), seen.problems.len()), (Some("Müller"), 0));
    let seen = read(PROFILE, &latin);
    assert_eq!(name(&seen).as_deref(), Some("Müller"));
    assert!(seen.says("file.encoding"));
    let greek = with("delimiter", "encoding = 'iso-8859-7'\ndelimiter");
    assert_eq!(name(&read(&greek, &latin)).as_deref(), Some("Mόller"));
}

#[test]
fn what_cannot_be_meant_in_a_profile_is_told_by_its_key() {
    for (from, to, says) in [
        ("delimiter = ';'", "delimiter = ';;'", "file.delimiter"),
        ("delimiter = ';'", "delimiter = '\"'", "file.quote"),
        ("delimiter = ';'", "delimitor = ';'", "unknown field `delimitor`"),
        ("delimiter = ';'", "encoding = 'klingon'", "file.encoding"),
        ("delimiter = ';'", "columns = 5", "file: give either header"),
        (
            "header = ['Date', 'Text', 'Name', 'Amount', 'Balance']",
            "columns = 5",
            "dates.booked_on: the file has no header",
        ),
        ("'Amount', 'Balance']", "'Amount', 'Amount']", "twice"),
        ("footer = ['Total']", "footer = ['']", "file.footer"),
        ("number = 'DE02 1203'", "", "account: give one of number"),
        ("currency = 'EUR'", "currency = 'EURO'", "account.currency"),
        ("currency = 'EUR'", "currency = 'EUR'\ncurrency_column = 2", "account: give one of currency"),
        ("'DD.MM.YYYY'", "", "dates.formats"),
        ("'DD.MM.YYYY'", "'dd.mm.yyyy'", "dates.formats"),
        ("booked_on = 'Date'", "booked_on = 'Day'", "dates.booked_on: the header has no \"Day\""),
        ("booked_on = 'Date'", "booked_on = 6", "no column 6"),
        ("booked_on = 'Date'", "booked_on = 0", "its number from 1"),
        ("booked_on = 'Date'", "", "missing field `booked_on`"),
        ("decimal = ','", "decimal = ';'", "amount.decimal"),
        ("thousands = '.'", "thousands = ','", "amount.thousands"),
        ("column = 'Amount'", "", "amount: give either column"),
        ("column = 'Amount'", "credit = 'Amount'", "amount: give either column"),
        ("column = 'Amount'", "column = 'Amount'\nmark = 'Text'", "amount.mark"),
        ("column = 'Amount'", "column = 'Amount'\nsigns = 'ignored'", "amount.signs"),
        ("balance = 'Balance'", "balance = 'Saldo'", "amount.balance"),
        ("name = 'harbour'", "", "missing field `name`"),
    ] {
        let refused = Profile::parse(&with(from, to)).expect_err(to);
        assert!(refused.contains(says), "{to}: {refused}");
    }
}

#[test]
fn a_file_is_read_by_the_profile_whose_header_it_has() {
    let profile = |text: &str| crate::banking::Profile::parse(text).unwrap();
    let [one, other] = [profile(PROFILE), profile(&PROFILE.replace("'Text'", "'Info'"))];
    let both = Profiles::declared(vec![other.clone(), one.clone()]);
    let reader = crate::banking::Reader::with_profiles(FILE.as_bytes(), &both);
    assert_eq!((reader.format(), reader.profile()), (Some(Format::Csv), Some(&one)));
    assert_eq!(crate::banking::Profile::parse(one.text()), Ok(one.clone()));
    assert_eq!(both.detect(FILE.as_bytes()), Some(Format::Csv));
    assert_eq!(Profiles::default().detect(FILE.as_bytes()), None);
    let problems = |profiles: &Profiles, bytes: &[u8]| {
        let events = crate::banking::Reader::with_profiles(bytes, profiles);
        let problems = events.filter_map(|e| if let Event::Problem(p) = e { Some(p.problem) } else { None });
        problems.collect::<Vec<_>>().join("\n")
    };
    let twice = Profiles::declared(vec![one.clone(), profile(&PROFILE.replace("harbour", "port"))]);
    assert!(problems(&twice, FILE.as_bytes()).contains("harbour and port have this header"));
    assert!(problems(&Profiles::named(other), FILE.as_bytes()).contains("the header is not the one"));
    assert!(problems(&Profiles::default(), FILE.as_bytes()).contains("no bank file that is known"));
    // What says itself what it is needs no profile.
    let swift = b":20:A\n:25:1\n:28C:1\n:60F:C260301EUR1,\n:62F:C260301EUR1,\n-\n";
    assert_eq!(crate::banking::Reader::with_profiles(&swift[..], &Profiles::named(one)).format(), Some(Format::Mt940));
}

#[test]
fn a_row_without_end_is_refused_with_bounded_memory() {
    struct Endless(&'static [u8], u64);
    impl io::Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let taken = self.0.read(out)?;
            if taken > 0 {
                return Ok(taken);
            }
            self.1 += out.len() as u64;
            assert!(self.1 < 8 << 20, "more is read than a row may take");
            out.fill(b'x');
            Ok(out.len())
        }
    }
    for start in
        [&b"Date;Text;Name;Amount;Balance\n02.03.2026;"[..], b"Date;Text;Name;Amount;Balance\n02.03.2026;\"", b""]
    {
        let profile = Arc::new(Profile::parse(PROFILE).unwrap());
        let events: Vec<Event> = Reader::new(io::BufReader::new(Endless(start, 0)), profile).collect();
        assert!(matches!(events.last(), Some(Event::Problem(p)) if p.severity == Severity::Grave), "{events:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(PROFILE, &bytes);
        read(PROFILE, &[FILE.as_bytes(), &bytes].concat());
    }

    #[test]
    fn no_rows_panic_and_every_statement_ends_or_is_grave(rows in prop::collection::vec("[0-9.;,\"\n -]{0,30}", 0..20)) {
        let seen = read(PROFILE, format!("{FILE}{}", rows.join("\n")).as_bytes());
        prop_assert!(seen.feet.len() == seen.heads.len() || seen.worse().iter().any(|(s, _)| *s == Severity::Grave));
    }

    #[test]
    fn no_profile_panics(text in "[a-z_ ='\"\\[\\]\n.;0-9]{0,200}") {
        let _ = crate::banking::Profile::parse(&text);
    }
}
