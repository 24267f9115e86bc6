//! The demo is the same for the same seed, its files are sound, and its treasury can place nearly all of its lines.

use super::traffic::slipped;
use super::treasury::{self, Master, PLANS};
use super::{Demo, generate};
use crate::allocation::rules::{Facts, Rule, RuleSet};
use crate::app::TreasuryFile;
use crate::banking::{Balance, Detail, Event, Head, Line, Reader, Status, findings};
use crate::chart::numbers;
use crate::chart::reading::Known;
use crate::money::{Currency, Minor};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

static DEMO: LazyLock<Demo> = LazyLock::new(|| generate(7));

struct Read {
    head: Head,
    lines: Vec<Line>,
    closing: Balance,
}

/// The only statement of a file, which has no problem.
fn read(bytes: &[u8], name: &str) -> Read {
    let (mut head, mut lines, mut closing) = (None, Vec::new(), None);
    for event in Reader::new(bytes) {
        match event {
            Event::Begin(begun) => assert!(head.replace(*begun).is_none(), "{name} has two statements"),
            Event::Line(line) => lines.push(*line),
            Event::End(foot) => {
                let told = findings(head.as_ref().unwrap(), &foot);
                assert!(told.is_empty(), "{name}: {told:?}");
                closing = foot.closing;
            }
            Event::Problem(problem) => panic!("{name}: {problem:?}"),
        }
    }
    Read { head: head.unwrap(), lines, closing: closing.unwrap() }
}

fn treasury_file() -> TreasuryFile {
    TreasuryFile::parse(&DEMO.treasury_toml).unwrap_or_else(|problem| panic!("{problem}"))
}

fn rules() -> RuleSet {
    let compiled = RuleSet::compile(treasury_file().rule.into_iter().map(|r| Rule::new(r, 1)).collect());
    compiled.unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_others() {
    assert_eq!(*DEMO, generate(7));
    let other = generate(8);
    assert_eq!(DEMO.treasury_toml, other.treasury_toml);
    assert_eq!(DEMO.files.len(), other.files.len());
    let with_lines = |demo: &Demo| demo.files.iter().map(|f| f.bytes.clone()).collect::<BTreeSet<_>>();
    let shared = with_lines(&DEMO).intersection(&with_lines(&other)).count();
    assert!(shared < 40, "{shared} files are the same");
}

#[test]
fn every_file_is_sound_and_the_balances_chain() {
    let masters: BTreeMap<&str, Master> = treasury::masters().into_iter().map(|m| (m.plan.code, m)).collect();
    let mut last: BTreeMap<&str, (Minor, u64)> = BTreeMap::new();
    let mut names = BTreeSet::new();
    let (mut lines, mut pending, mut reversals, mut returns, mut batches, mut empty) = (0, 0, 0, 0, 0, 0);
    for file in &DEMO.files {
        assert!(names.insert((&file.master, &file.name)));
        let read = read(&file.bytes, &file.name);
        let master = &masters[file.master.as_str()];
        let known = [numbers::KnownAccount {
            number: master.plan.account,
            currency: master.plan.currency,
            bic: Some(master.plan.bic),
        }];
        assert_eq!(
            numbers::recognise(&known, read.head.account.as_deref().unwrap(), Some(master.plan.currency)),
            Some(0)
        );
        let opening = read.head.opening.unwrap();
        let before = last.get(master.plan.code).copied();
        let (closed, number) = before.unwrap_or((Minor(master.opening()), read.head.number.unwrap() - 1));
        assert_eq!((opening.amount, read.head.number), (closed, Some(number + 1)), "{}", file.name);
        assert_eq!(read.closing.on, file.day);
        assert!(read.lines.iter().all(|l| l.booked_on == Some(file.day)), "{}", file.name);
        last.insert(master.plan.code, (read.closing.amount, number + 1));
        empty += usize::from(read.lines.is_empty());
        for line in &read.lines {
            lines += 1;
            pending += usize::from(line.status == Status::Pending);
            reversals += usize::from(line.reversal);
            returns += usize::from(line.details[0].return_reason.is_some());
            batches += usize::from(line.details.len() > 1);
        }
    }
    assert!((18_000..24_000).contains(&lines), "{lines} lines");
    assert!(
        pending > 100 && reversals > 20 && returns > 100 && batches > 200,
        "{pending} {reversals} {returns} {batches}"
    );
    assert!(empty > 40, "{empty} empty statements");
    assert!(last.values().all(|(closing, _)| closing.0 > 0));
    assert!(DEMO.files.windows(2).all(|w| w[0].day <= w[1].day));
    let (first, end) = (DEMO.files[0].day.to_string(), DEMO.files[DEMO.files.len() - 1].day.to_string());
    assert_eq!((first.as_str(), end.as_str()), ("2026-07-01", "2026-09-28"));
}

#[test]
fn the_treasury_is_as_large_as_promised_and_its_numbers_are_right() {
    let read = treasury_file().into_chart().read(&Known::default());
    let chart = read.unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!((chart.products.len(), chart.markets.len(), chart.masters.len()), (14, 24, 11));
    assert!((150..=200).contains(&chart.leaves.len()), "{} leaves", chart.leaves.len());
    let planned = treasury::masters();
    let codes = planned.iter().flat_map(|m| m.leaves.iter().map(|l| l.code.as_str()));
    assert!(chart.leaves.iter().map(|l| l.code.as_str()).eq(codes));
    assert!(chart.masters.iter().zip(&planned).all(|(read, m)| read.opening == Minor(m.opening())));
    let currencies: BTreeSet<&str> = PLANS.iter().map(|p| p.currency).collect();
    let exponents: BTreeSet<u8> = currencies.iter().map(|c| c.parse::<Currency>().unwrap().exponent()).collect();
    assert_eq!((currencies.len(), exponents), (8, BTreeSet::from([0, 2, 3])));
    for master in treasury::masters() {
        assert!(numbers::verify(master.plan.account), "{}", master.plan.account);
        for leaf in &master.leaves {
            assert!(numbers::verify(&leaf.number), "{}", leaf.number);
            assert!(!numbers::verify(&slipped(&leaf.number)), "{}", slipped(&leaf.number));
        }
    }
    // What rules and opening shares name is there.
    let leaves: BTreeSet<String> =
        treasury::masters().iter().flat_map(|m| m.leaves.iter().map(|l| l.code.clone())).collect();
    let house = ["pool", "fees", "interest"];
    for rule in rules().rules() {
        for to in &rule.to {
            let masters =
                rule.when.masters.clone().unwrap_or_else(|| PLANS.iter().map(|p| p.code.to_owned()).collect());
            let code = to.leaf.replace("{master}", &masters[0]);
            let is_house = house.iter().any(|h| code.ends_with(&format!("/house/{h}")));
            assert!(is_house || leaves.contains(&code), "{} of rule {}", to.leaf, rule.code);
        }
    }
}

/// Where the treasury would put a payment: by its virtual number, else by the rules.
fn place(master: &Master, rules: &RuleSet, line: &Line, detail: &Detail, amount: Minor) -> Vec<(String, Minor)> {
    let written = [&detail.own_account, &detail.creditor_reference];
    let by_number = master.leaves.iter().find(|l| written.iter().any(|w| w.as_deref() == Some(l.number.as_str())));
    if let Some(leaf) = by_number {
        return vec![(leaf.code.clone(), amount)];
    }
    let references: Vec<&str> =
        [&detail.end_to_end_id, &line.owner_ref, &line.bank_ref].into_iter().flatten().map(String::as_str).collect();
    let facts = Facts {
        counterparty_name: detail.counterparty_name.as_deref(),
        remittance: detail.remittance.as_deref(),
        info: line.info.as_deref(),
        references: &references,
        code: line.code.as_deref(),
        reversal: line.reversal,
        return_reason: detail.return_reason.as_deref(),
        ..Facts::new(master.plan.code, line.currency, amount)
    };
    rules.first_match(&facts).map(|m| m.shares(master.plan.code, amount, master.currency).unwrap()).unwrap_or_default()
}

#[test]
fn nearly_every_line_finds_its_leaf_and_hardly_any_leaf_goes_below_zero() {
    let rules = rules();
    let masters = treasury::masters();
    let mut balances: BTreeMap<String, i64> = BTreeMap::new();
    for master in &masters {
        balances.extend(master.leaves.iter().map(|l| (l.code.clone(), l.opening)));
        balances.insert(format!("{}/house/pool", master.plan.code), master.pool);
        balances.insert(format!("{}/house/fees", master.plan.code), master.fees);
    }
    let (mut placed, mut waiting) = (0, 0);
    let mut used = BTreeSet::new();
    for file in &DEMO.files {
        let master = masters.iter().find(|m| m.plan.code == file.master).unwrap();
        for line in read(&file.bytes, &file.name).lines.iter().filter(|l| l.status == Status::Booked) {
            let sign = line.signed().0.signum();
            let parts: i64 = line.details.iter().filter_map(|d| d.amount).map(|a| a.0).sum();
            let whole = line.details.len() == 1 || parts != line.amount.0;
            let details = if whole { &line.details[..1] } else { &line.details[..] };
            for detail in details {
                let amount = if whole { line.signed() } else { Minor(detail.amount.unwrap().0 * sign) };
                let shares = place(master, &rules, line, detail, amount);
                if shares.is_empty() {
                    waiting += 1;
                } else {
                    placed += 1;
                }
                for (leaf, part) in shares {
                    *balances.entry(leaf.clone()).or_default() += part.0;
                    used.insert(leaf);
                }
            }
        }
    }
    assert!(waiting > 200 && waiting * 25 < placed, "{waiting} wait, {placed} are placed");
    let below: Vec<_> = balances.iter().filter(|(_, b)| **b < 0).collect();
    assert!(below.len() < 4, "{below:?}");
    assert!(used.len() > 150, "{} leaves are used", used.len());
}

#[test]
fn a_file_that_is_there_with_the_same_bytes_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo { treasury_toml: DEMO.treasury_toml.clone(), files: DEMO.files[..20].to_vec() };
    demo.write_to(folder.path()).unwrap();
    let path = folder.path().join(&demo.files[3].master).join(&demo.files[3].name);
    let other = folder.path().join(&demo.files[4].master).join(&demo.files[4].name);
    std::fs::write(&other, b"something else").unwrap();
    let written = std::fs::metadata(&path).unwrap().modified().unwrap();
    demo.write_to(folder.path()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), written);
    assert_eq!(std::fs::read(&other).unwrap(), demo.files[4].bytes);
    assert!(folder.path().join("treasury.toml").is_file());
}
