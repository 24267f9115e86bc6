//! Bank formats against files: our own golden files, the corpus of real ones, and the schemas of ISO 20022.
//!
//! Golden files stand in `tests/golden/<format>/<bank>/`, each with the `inspect` output that it should give beside it;
//! `UPDATE=1` rewrites those, and the diff is the review. The corpus and the schemas are not in the repository:
//! `TRIBUTARY_CORPUS` and `TRIBUTARY_SCHEMAS` say where they are. Without them these tests say that they did not run; under
//! `CI` they fail instead.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use chrono::{Days, NaiveDate};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tributary::banking::inspect::{Inspection, inspect_with};
use tributary::banking::write::{Camt, Entry, Statement, Totals, Version};
use tributary::banking::{
    Balance, Detail, Direction, Event, Foot, Head, Line, Problem, Profile, Profiles, Reader, Role, Severity, Status,
    findings,
};
use tributary::chart::numbers::{looks_like_iban, normalise, verify};
use tributary::money::{Currency, Minor};

#[test]
fn golden_files_give_what_stands_beside_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut seen = 0;
    let mut wrong = Vec::new();
    for file in files_below(&root) {
        if file.extension().is_some_and(|e| e == "json") {
            continue;
        }
        seen += 1;
        let mut found = serde_json::to_string_pretty(&inspected(&file)).unwrap();
        found.push('\n');
        let beside = file.with_extension("json");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&beside, &found).unwrap();
        } else if fs::read_to_string(&beside).ok().as_deref() != Some(&found) {
            wrong.push(beside);
        }
    }
    assert!(seen >= 16, "only {seen} golden files below {}", root.display());
    assert!(wrong.is_empty(), "these differ; UPDATE=1 rewrites them: {wrong:?}");
}

/// Files that people learn from have account numbers that could be: a wrong check digit hides that nobody looks at them.
#[test]
fn ibans_in_golden_files_have_the_right_check_digits() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in files_below(&root).into_iter().filter(|f| f.extension().is_some_and(|e| e == "json")) {
        let text = fs::read_to_string(&file).unwrap();
        for found in text.lines().filter_map(|l| l.trim().split_once("account\": \"")).map(|(_, rest)| rest) {
            let number = normalise(found.trim_end_matches([',', '"']));
            if looks_like_iban(&number) {
                seen += 1;
                if !verify(&number) {
                    wrong.push(format!("{}: {number}", file.display()));
                }
            }
        }
    }
    assert!(seen >= 20, "only {seen} IBANs below {}", root.display());
    assert!(wrong.is_empty(), "wrong check digits: {wrong:#?}");
}

#[test]
fn golden_files_cut_anywhere_are_told() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for file in files_below(&root) {
        if file.extension().is_none_or(|e| e != "xml") {
            continue;
        }
        let bytes = fs::read(&file).unwrap();
        let whole = bytes.trim_ascii_end().len();
        for percent in 0..100 {
            let read = Read::of(bytes.get(..whole * percent / 100).unwrap());
            assert!(read.is_refused(), "{} cut at {percent}% gives no grave problem", file.display());
        }
    }
}

#[test]
fn the_corpus_is_read_or_refused_with_a_reason() {
    let Some(corpus) = folder("TRIBUTARY_CORPUS") else {
        return;
    };
    let mut counts = BTreeMap::new();
    let folders = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir());
    let groups: Vec<String> = folders.map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
    // What is plain text has a test of its own, with what its columns mean (text_formats).
    for group in groups.iter().map(String::as_str).filter(|name| !["bai2", "ofx"].contains(name)) {
        for file in files_below(&corpus.join(group)) {
            let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default().to_owned();
            if matches!(extension.as_str(), "json" | "yml" | "pydata") {
                continue;
            }
            let bytes = fs::read(&file).unwrap();
            let read = Read::of(&bytes);
            *counts.entry(group).or_insert(0) += 1;
            read.assert_consistent(&file);
            let is_readable = matches!(group, "camt052" | "camt053" | "camt054" | "mt940" | "mt942");
            assert!(is_readable || read.is_refused(), "{} is neither read nor refused", file.display());
            // A problem without a place helps nobody.
            assert!(
                read.problems.iter().all(|p| p.at.contains("line ") && !p.problem.is_empty()),
                "{}",
                file.display()
            );
            for cut in 0..20 {
                Read::of(bytes.get(..bytes.len() * cut / 20).unwrap());
            }
        }
    }
    for (group, least) in [
        ("camt052", 8),
        ("camt053", 20),
        ("camt054", 17),
        ("mt940", 40),
        ("mt940-fragments", 14),
        ("mt942", 1),
        ("envelope", 3),
        ("mt10x", 1),
        ("pacs", 7),
        ("csv", 14),
        ("pain001", 1),
        ("pain002", 1),
        ("pain008", 1),
    ] {
        assert!(counts.get(group).is_some_and(|count| *count >= least), "{group}: {counts:?}");
    }
}

#[test]
fn the_corpus_is_read_as_other_parsers_read_it() {
    let Some(corpus) = folder("TRIBUTARY_CORPUS") else {
        return;
    };
    let mut compared = 0;
    for group in ["camt053", "mt940"] {
        for file in files_below(&corpus.join(group)) {
            let expected = match file.extension().and_then(|e| e.to_str()) {
                Some("xml") => Expected::of_json(&file.with_extension("json")),
                Some("sta") => Expected::of_yaml(&file.with_extension("yml")),
                _ => None,
            };
            if let Some(expected) = expected {
                expected.assert_agrees(&Read::of(&fs::read(&file).unwrap()), &file);
                compared += 1;
            }
        }
    }
    assert!(compared >= 15, "only {compared} files have expectations beside them");
}

#[test]
fn written_camt_is_valid_by_the_schema() {
    let Some(schemas) = folder("TRIBUTARY_SCHEMAS") else {
        return;
    };
    if Command::new("xmllint").arg("--version").output().is_err() {
        return absent("xmllint is not installed");
    }
    let folder = std::env::temp_dir().join(format!("tributary-schema-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let roles = [("camt.052", Role::Report), ("camt.053", Role::Statement), ("camt.054", Role::Notification)];
    let versions = [("001.02", Version::V02), ("001.08", Version::V08)];
    for ((format, role), (number, version)) in roles.into_iter().flat_map(|r| versions.map(|v| (r, v))) {
        let name = format!("{format}.{number}");
        let file = folder.join(format!("{name}.xml"));
        fs::write(&file, every_feature(role, version)).unwrap();
        let schema = schemas.join(format).join(format!("{name}.xsd"));
        let outcome =
            Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).arg(&schema).arg(&file).output().unwrap();
        assert!(outcome.status.success(), "{name}: {}", String::from_utf8_lossy(&outcome.stderr));
        let read = Read::of(&fs::read(&file).unwrap());
        assert_eq!(read.statements.len(), 2);
        assert_eq!(read.problems, []);
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// A file with everything that can be written.
fn every_feature(role: Role, version: Version) -> Vec<u8> {
    let currency: Currency = "EUR".parse().unwrap();
    let on = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
    let plain = full_detail();
    let returned = Detail {
        return_reason: Some("AC04".to_owned()),
        counterparty_bank: Some("37040044".to_owned()),
        ..plain.clone()
    };
    let unspecified = Detail { return_reason: Some("unspecified".to_owned()), ..Detail::default() };
    let mut entries = vec![
        Entry::of(Minor(25_000), Direction::Credit, on, "PMNT/RCDT/ESCT", plain.clone()),
        Entry::of(Minor(25_000), Direction::Debit, on, "NMSC+201", Detail { direction: None, ..plain.clone() }),
        Entry::of(Minor(1), Direction::Credit, on, "PMNT/ICDT/RRTN", returned),
        Entry::of(Minor(0), Direction::Debit, on, "PMNT/IDDT/UPDD", unspecified),
        Entry { details: Vec::new(), code: None, ..Entry::of(Minor(7), Direction::Debit, on, "", Detail::default()) },
        Entry {
            details: vec![plain.clone(), plain.clone()],
            ..Entry::of(Minor(50_000), Direction::Credit, on, "PMNT/RCDT/ESCT", plain)
        },
    ];
    for (entry, status) in entries.iter_mut().zip([Status::Booked, Status::Booked, Status::Pending, Status::Info]) {
        entry.status = status;
        entry.reversal = status == Status::Pending;
        entry.bank_ref = Some("BANK-1".to_owned());
        entry.owner_ref = Some("OWN-1".to_owned());
        entry.info = Some("info".to_owned());
    }
    let mut totals = Totals::default();
    entries.iter().for_each(|entry| totals.add(entry));
    let balance = |amount, intermediate| Some(Balance { amount: Minor(amount), currency, on, intermediate });
    let whole = Statement {
        id: "STMT-1".to_owned(),
        number: 42,
        page: Some((1, true)),
        created: on.and_hms_opt(18, 0, 0).unwrap(),
        account: "DE89370400440532013000".to_owned(),
        servicer: Some("COBADEFFXXX".to_owned()),
        related_account: Some("0532013000".to_owned()),
        currency,
        period: Some((on, on + Days::new(1))),
        copy: false,
        opening: balance(-100, false),
        closing: balance(-100 + 25_000 - 25_000 - 7 + 50_000, false),
        totals: Some(totals),
    };
    let page = Statement {
        account: "0532013000".to_owned(),
        opening: balance(5, true),
        closing: balance(5, true),
        totals: None,
        ..whole.clone()
    };
    let mut file = Camt::begin_as(role, Vec::new(), version, "MSG-1", whole.created).unwrap();
    file.statement(&whole, &entries).unwrap();
    file.statement(&page, Vec::<Entry>::new()).unwrap();
    file.end().unwrap()
}

/// A detail with every field.
fn full_detail() -> Detail {
    Detail {
        amount: Some(Minor(25_000)),
        direction: Some(Direction::Credit),
        end_to_end_id: Some("E2E-1".to_owned()),
        instruction_id: Some("I-1".to_owned()),
        transaction_id: Some("T-1".to_owned()),
        uetr: Some("8a562c67-ca16-48ba-b074-65581be6f001".to_owned()),
        payment_info_id: Some("P-1".to_owned()),
        mandate_id: Some("M-1".to_owned()),
        bank_ref: Some("B-1".to_owned()),
        counterparty_name: Some("Müller & Söhne <GmbH>".to_owned()),
        counterparty_account: Some("DE02120300000000202051".to_owned()),
        counterparty_bank: Some("BYLADEM1001".to_owned()),
        ultimate_name: Some("Behind It AG".to_owned()),
        own_account: Some("9900001234".to_owned()),
        creditor_reference: Some("RF18539007547034".to_owned()),
        invoice: Some("INV-7".to_owned()),
        remittance: Some("Order 77 ".repeat(40).trim().to_owned()),
        info: Some("more".to_owned()),
        return_reason: None,
        purpose: Some("SALA".to_owned()),
        charges: Some(Minor(50)),
    }
}

/// A folder outside of the repository, when its variable is set.
pub(crate) fn folder(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_dir());
    if found.is_none() {
        absent(&format!("{variable} names no folder"));
    }
    found
}

/// A test that cannot run says so; where everything is meant to be installed, that is a failure.
fn absent(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}");
    eprintln!("did not run: {what}");
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// The profiles that come with the program; each has its sample among the golden files.
pub(crate) fn declared_profiles() -> Profiles {
    let files = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/csv"));
    let profile = |file: &PathBuf| Profile::parse(&fs::read_to_string(file).unwrap()).unwrap();
    Profiles::declared(files.iter().map(profile).collect())
}

fn inspected(file: &Path) -> Inspection {
    inspect_with(fs::File::open(file).map(std::io::BufReader::new).unwrap(), &declared_profiles())
}

/// All of a file.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) statements: Vec<(Head, Vec<Line>, Option<Foot>)>,
    pub(crate) problems: Vec<Problem>,
}

impl Read {
    pub(crate) fn of(bytes: &[u8]) -> Read {
        let mut read = Read::default();
        for event in Reader::new(bytes) {
            match event {
                Event::Begin(head) => {
                    assert_eq!(head.index, read.statements.len(), "statements are numbered as they come");
                    read.statements.push((*head, Vec::new(), None));
                }
                Event::Line(line) => read.statements.last_mut().expect("a line stands in a statement").1.push(*line),
                Event::End(foot) => {
                    let (head, _, end) = read.statements.last_mut().expect("an end has a begin");
                    assert!(end.is_none(), "a statement ends once");
                    read.problems.extend(findings(head, &foot));
                    *end = Some(*foot);
                }
                Event::Problem(problem) => read.problems.push(problem),
            }
        }
        read
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.problems.iter().any(|p| p.severity == Severity::Grave)
    }

    /// Counts and sums are those of the lines; a statement without an end is refused, and so is one with unreadable lines.
    fn assert_consistent(&self, file: &Path) {
        let place = file.display();
        assert!(!self.statements.is_empty() || self.is_refused(), "{place}: nothing, in silence");
        for (index, (head, lines, foot)) in self.statements.iter().enumerate() {
            let refused = self.problems.iter().any(|p| p.statement == Some(index) && p.severity == Severity::Grave);
            let Some(foot) = foot else {
                assert!(refused, "{place}: statement {index} has no end, in silence");
                continue;
            };
            let sum = |direction| Minor::sum(lines.iter().filter(|l| l.direction == direction).map(|l| l.amount));
            assert_eq!(foot.credit_total, sum(Direction::Credit), "{place}");
            assert_eq!(foot.debit_total, sum(Direction::Debit), "{place}");
            let unread = foot.line_count - u64::try_from(lines.len()).unwrap();
            assert!(refused || (unread == 0 && head.account.is_some() && head.currency.is_some()), "{place}");
            assert!(lines.iter().all(|l| l.booked_on.is_some() && !l.details.is_empty() && l.amount.0 >= 0), "{place}");
        }
    }
}

/// What another parser found in a file, as far as it is simple to take over: signed amounts in minor units by statement
/// order, with or without their signs, and balances.
struct Expected {
    amounts: Vec<i64>,
    signed: bool,
    balances: Vec<i64>,
}

impl Expected {
    /// The two JSON dialects of the corpus: a dump of objects with getters, and the document itself.
    fn of_json(path: &Path) -> Option<Expected> {
        let value: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).ok()?).unwrap();
        let mut expected = Expected { amounts: Vec::new(), signed: false, balances: Vec::new() };
        if let Some(entries) = value.get("getEntries").and_then(|e| e.as_array()) {
            for entry in entries {
                let amount: i64 = entry["getAmount"]["getAmount"].as_str()?.parse().unwrap();
                expected.amounts.push(amount);
            }
        } else {
            for statement in value["Document"]["BkToCstmrStmt"]["Stmt"].as_array()? {
                for entry in statement["Ntry"].as_array()? {
                    let amount = minor(entry["Amt"]["#text"].as_str()?)?;
                    let debit = entry["CdtDbtInd"] == "DBIT";
                    expected.amounts.push(if debit { -amount } else { amount });
                }
            }
        }
        Some(expected)
    }

    /// A YAML dump of objects: amounts stand behind their class, in the order balances, then transactions.
    fn of_yaml(path: &Path) -> Option<Expected> {
        let text = fs::read_to_string(path).ok()?;
        let mut expected = Expected { amounts: Vec::new(), signed: true, balances: Vec::new() };
        let (mut in_transactions, mut in_amount) = (false, false);
        for line in text.lines() {
            in_transactions |= line.starts_with("transactions:");
            if line.contains("decimal.Decimal") {
                in_amount = true;
            } else if std::mem::take(&mut in_amount) {
                let digits = line.trim().trim_start_matches("- ").trim_matches('\'');
                let amount = minor(digits)?;
                if in_transactions { expected.amounts.push(amount) } else { expected.balances.push(amount) }
            }
        }
        Some(expected)
    }

    /// The other parser may read less (the last of several messages) and lose signs; never other amounts.
    fn assert_agrees(&self, read: &Read, file: &Path) {
        let place = file.display();
        let refused = read.is_refused();
        let lines = read.statements.iter().flat_map(|(_, lines, _)| lines);
        let sign = |amount: i64| if self.signed { amount } else { amount.abs() };
        let found: Vec<i64> = lines.map(|line| sign(line.signed().0)).collect();
        let expected: Vec<i64> = self.amounts.iter().map(|amount| sign(*amount)).collect();
        if refused {
            assert!(found.iter().all(|amount| expected.contains(amount)), "{place}: {found:?} instead of {expected:?}");
        } else if self.signed {
            assert_eq!(found, expected, "{place}");
        } else {
            assert!(found.ends_with(&expected), "{place}: {found:?} instead of {expected:?}");
        }
        let mut balances: Vec<i64> = Vec::new();
        for (head, _, foot) in &read.statements {
            balances.extend(head.opening.map(|b| b.amount.0));
            balances.extend(foot.as_ref().and_then(|f| f.closing).map(|b| b.amount.0));
        }
        for balance in &self.balances {
            let known = balances.iter().any(|b| b.abs() == balance.abs());
            // Available balances are told there and not here.
            assert!(known || self.balances.len() > balances.len(), "{place}: balance {balance} is not in {balances:?}");
        }
    }
}

/// Two decimals, as all files with expectations have.
fn minor(text: &str) -> Option<i64> {
    let euro: Currency = "EUR".parse().ok()?;
    Minor::parse(text, euro).ok().map(|minor| minor.0)
}
