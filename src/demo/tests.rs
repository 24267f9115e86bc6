//! The demo is the same for the same seed, its files are sound, and its treasury can place nearly all of its lines.

use super::traffic::slipped;
use super::treasury::{self, Master, PLANS};
use super::{Demo, DemoFile, Role, generate};
use crate::allocation::rules::{Facts, Rule, RuleSet};
use crate::allocation::settlement_file::{self, Of, Settlement};
use crate::app::TreasuryFile;
use crate::banking::{self, Balance, Detail, Event, Head, Line, Reader, Severity, Status, findings};
use crate::chart::numbers;
use crate::chart::reading::Known;
use crate::expectations::{self, Announcement};
use crate::money::{Currency, Minor};
use crate::rates;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

static DEMO: LazyLock<Demo> = LazyLock::new(|| generate(7));

struct Read {
    head: Head,
    lines: Vec<Line>,
    closing: Option<Balance>,
}

/// The statements of a file, which has no problem but notes.
fn read(file: &DemoFile) -> Vec<Read> {
    let (name, mut all) = (&file.name, Vec::<Read>::new());
    for event in Reader::new(file.bytes.as_slice()) {
        match event {
            Event::Begin(head) => all.push(Read { head: *head, lines: Vec::new(), closing: None }),
            Event::Line(line) => all.last_mut().unwrap().lines.push(*line),
            Event::End(foot) => {
                let last = all.last_mut().unwrap();
                let told = findings(&last.head, &foot);
                assert!(told.is_empty(), "{name}: {told:?}");
                last.closing = foot.closing;
            }
            Event::Problem(problem) => assert_eq!(problem.severity, Severity::Note, "{name}: {problem:?}"),
        }
    }
    assert!(!all.is_empty(), "{name} has no statement");
    all
}

fn of_role(role: Role) -> impl Iterator<Item = &'static DemoFile> {
    DEMO.files.iter().filter(move |file| file.role == role)
}

/// What was announced: the leaf by master, reference and amount.
fn invoices() -> BTreeMap<(String, String, i64), String> {
    let rows = of_role(Role::Expected).flat_map(|file| expectations::file::read(&file.bytes).unwrap());
    let invoice = |row: Announcement| {
        let master = row.leaf.split('/').next().unwrap().to_owned();
        let amount = Minor::parse(&row.amount, row.currency.unwrap().parse().unwrap()).unwrap();
        ((master, row.reference.unwrap(), amount.0), row.leaf)
    };
    rows.map(invoice).collect()
}

/// The settlements of files that come, or of those that do not.
fn settlements(taken_in: bool) -> Vec<Settlement> {
    let files = of_role(Role::Settlement).filter(|file| file.comes.is_some() == taken_in);
    files.flat_map(|file| settlement_file::read(&file.name, &file.bytes).unwrap()).collect()
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
    let (mut lines, mut pending, mut reversals, mut returns, mut batches, mut empty) = (0, 0, 0, 0, 0, 0);
    let mut roles: BTreeMap<&str, usize> = BTreeMap::new();
    for (file, read) in of_role(Role::Bank).flat_map(|file| read(file).into_iter().map(move |read| (file, read))) {
        let master = &masters[file.folder.as_str()];
        let known = [numbers::KnownAccount {
            number: master.plan.account,
            currency: master.plan.currency,
            bic: Some(master.plan.bic),
        }];
        assert_eq!(
            numbers::recognise(&known, read.head.account.as_deref().unwrap(), Some(master.plan.currency)),
            Some(0)
        );
        *roles.entry(read.head.role.as_str()).or_default() += 1;
        if read.head.role != banking::Role::Statement {
            assert_eq!(file.comes.unwrap().date_naive(), file.day, "{}", file.name);
            pending += read.lines.iter().filter(|line| line.status == Status::Pending).count();
            continue;
        }
        let (opening, closing) = (read.head.opening.unwrap(), read.closing.unwrap());
        let before = last.get(master.plan.code).copied();
        let (closed, number) = before.unwrap_or((Minor(master.opening()), read.head.number.unwrap() - 1));
        if file.name.contains(".restated.") {
            assert!(read.head.number.unwrap() <= number, "{}", file.name);
            continue;
        }
        assert_eq!((opening.amount, read.head.number), (closed, Some(number + 1)), "{}", file.name);
        assert!(read.lines.iter().all(|l| l.booked_on == Some(closing.on)), "{}", file.name);
        last.insert(master.plan.code, (closing.amount, number + 1));
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
    assert_eq!((roles["report"], roles["notification"]), (1, 2));
    let days: BTreeSet<String> = of_role(Role::Bank).map(|file| file.day.to_string()).collect();
    assert_eq!(
        days.first().zip(days.last()).map(|(first, end)| (first.as_str(), end.as_str())),
        Some(("2026-07-01", "2026-09-29"))
    );
}

#[test]
fn what_comes_is_in_the_order_of_time_and_what_is_left_comes_last() {
    let names: BTreeSet<(&str, &str)> = DEMO.files.iter().map(|f| (f.folder.as_str(), f.name.as_str())).collect();
    assert_eq!(names.len(), DEMO.files.len());
    let came: Vec<_> = DEMO.files.iter().map_while(|file| file.comes).collect();
    assert!(came.is_sorted() && came.first().is_some_and(|first| *first > DEMO.began_at()));
    let left: Vec<&str> = DEMO.left().map(|file| file.name.as_str()).collect();
    assert_eq!(left, ["apple-2026-W39.csv", "google-2026-W39.csv"]);
    assert_eq!(came.len() + left.len(), DEMO.files.len());
    let of = |end: &str| DEMO.files.iter().filter(|file| file.name.contains(end)).count();
    assert_eq!((of(".zip"), of(".restated.")), (1, 1));
}

#[test]
fn stores_share_out_their_lumps_and_some_products_give_back() {
    let masters = treasury::masters();
    let (taken_in, left) = (settlements(true), settlements(false));
    assert!(taken_in.len() > 150 && left.len() > 10, "{} {}", taken_in.len(), left.len());
    let mut negative = 0;
    for s in taken_in.iter().chain(&left) {
        let master = masters.iter().find(|m| m.plan.code == s.master).unwrap();
        let mut leaves = BTreeSet::new();
        for share in &s.lines {
            let Of::Product(product, market) = &share.of else { panic!("{share:?}") };
            assert!(master.leaves.iter().any(|l| l.product == product && l.market == market && l.is_operating()));
            assert!(leaves.insert((product, market)), "{} names {product} in {market} twice", s.code);
            negative += usize::from(share.net < 0);
        }
    }
    assert!(negative > 30, "{negative}");
}

#[test]
fn there_is_a_rate_of_each_currency_for_each_working_day() {
    let read: Vec<_> = of_role(Role::Rates).flat_map(|file| rates::read(&file.bytes).unwrap().rates).collect();
    let days: BTreeSet<_> = read.iter().map(|rate| rate.date).collect();
    assert_eq!((read.len(), days.len()), (7 * 64, 64));
    assert_eq!(days.last().unwrap().to_string(), "2026-09-28");
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

/// What the treasury knows when a payment comes.
struct Knows {
    rules: RuleSet,
    invoices: BTreeMap<(String, String, i64), String>,
    /// By master and sum: each leaf its net.
    lumps: BTreeMap<(String, i64), Vec<(String, Minor)>>,
}

impl Knows {
    /// Where the treasury would put a payment, the best evidence first.
    fn place(&self, master: &Master, line: &Line, detail: &Detail, amount: Minor) -> Vec<(String, Minor)> {
        let code = master.plan.code;
        if amount.0 > 0 && (detail.return_reason.is_some() || line.reversal) {
            let returned = master.leaves.iter().find(|l| l.purpose == "returned").unwrap();
            return vec![(returned.code.clone(), amount)];
        }
        let written = [&detail.own_account, &detail.creditor_reference];
        let by_number = master.leaves.iter().find(|l| written.iter().any(|w| w.as_deref() == Some(l.number.as_str())));
        if let Some(leaf) = by_number {
            return vec![(leaf.code.clone(), amount)];
        }
        let reference = detail.end_to_end_id.clone().unwrap_or_default();
        if let Some(leaf) = self.invoices.get(&(code.to_owned(), reference, amount.0)) {
            return vec![(leaf.clone(), amount)];
        }
        if let Some(shares) = self.lumps.get(&(code.to_owned(), amount.0)) {
            return shares.clone();
        }
        if PLANS.iter().any(|plan| detail.counterparty_account.as_deref() == Some(plan.account)) {
            return vec![(format!("{code}/house/pool"), amount)];
        }
        let references: Vec<&str> = [&detail.end_to_end_id, &line.owner_ref, &line.bank_ref]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let facts = Facts {
            counterparty_name: detail.counterparty_name.as_deref(),
            remittance: detail.remittance.as_deref(),
            info: line.info.as_deref(),
            references: &references,
            code: line.code.as_deref(),
            reversal: line.reversal,
            return_reason: detail.return_reason.as_deref(),
            ..Facts::new(code, line.currency, amount)
        };
        let matched = self.rules.first_match(&facts);
        matched.map(|m| m.shares(code, amount, master.currency).unwrap()).unwrap_or_default()
    }
}

/// The settlements that come, by what they are carried out on.
fn lumps(masters: &[Master]) -> BTreeMap<(String, i64), Vec<(String, Minor)>> {
    let shares = |s: Settlement| {
        let master = masters.iter().find(|m| m.plan.code == s.master).unwrap();
        let leaf = |of: &Of| {
            let Of::Product(product, market) = of else { panic!("{of:?}") };
            let is_it = |l: &&treasury::Leaf| l.is_operating() && l.product == product && l.market == market;
            master.leaves.iter().find(is_it).unwrap().code.clone()
        };
        let nets = s.lines.iter().map(|share| (leaf(&share.of), Minor(share.net))).collect();
        ((s.master, s.total), nets)
    };
    settlements(true).into_iter().map(shares).collect()
}

#[test]
fn nearly_every_line_finds_its_leaf_and_hardly_any_leaf_goes_below_zero() {
    let masters = treasury::masters();
    let knows = Knows { rules: rules(), invoices: invoices(), lumps: lumps(&masters) };
    let mut balances: BTreeMap<String, i64> = BTreeMap::new();
    for master in &masters {
        balances.extend(master.leaves.iter().map(|l| (l.code.clone(), l.opening)));
        balances.insert(format!("{}/house/pool", master.plan.code), master.pool);
        balances.insert(format!("{}/house/fees", master.plan.code), master.fees);
    }
    let (mut placed, mut waiting) = (0, 0);
    let mut used = BTreeSet::new();
    let mut suspense: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for (file, read) in of_role(Role::Bank).flat_map(|file| read(file).into_iter().map(move |read| (file, read))) {
        if read.head.role != banking::Role::Statement || file.name.contains(".restated.") {
            continue;
        }
        let master = masters.iter().find(|m| m.plan.code == file.folder).unwrap();
        let waits = suspense.entry(master.plan.code).or_default();
        waits.1 = read.closing.unwrap().amount.0;
        for line in read.lines.iter().filter(|l| l.status == Status::Booked) {
            let sign = line.signed().0.signum();
            let parts: i64 = line.details.iter().filter_map(|d| d.amount).map(|a| a.0).sum();
            let whole = line.details.len() == 1 || parts != line.amount.0;
            let details = if whole { &line.details[..1] } else { &line.details[..] };
            for detail in details {
                let amount = if whole { line.signed() } else { Minor(detail.amount.unwrap().0 * sign) };
                let shares = knows.place(master, line, detail, amount);
                if shares.is_empty() {
                    waiting += 1;
                    waits.0 += amount.0;
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
    // People place some of it; it is of a size that one believes either way.
    assert!(
        suspense.values().all(|(waits, book)| waits * 1_000 > book * 5 && waits * 1_000 < book * 45),
        "{suspense:?}"
    );
    let below: Vec<_> = balances.iter().filter(|(_, b)| **b < 0).collect();
    assert!(below.len() < 4, "{below:?}");
    assert!(used.len() > 150, "{} leaves are used", used.len());
    let met: BTreeSet<&String> = knows.invoices.values().collect();
    assert!(met.len() > 50, "invoices of {} leaves only", met.len());
}

#[test]
fn a_file_that_is_there_with_the_same_bytes_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo { files: DEMO.files[..20].to_vec(), ..DEMO.clone() };
    demo.write_to(folder.path()).unwrap();
    let path = folder.path().join(&demo.files[3].folder).join(&demo.files[3].name);
    let other = folder.path().join(&demo.files[4].folder).join(&demo.files[4].name);
    std::fs::write(&other, b"something else").unwrap();
    let written = std::fs::metadata(&path).unwrap().modified().unwrap();
    demo.write_to(folder.path()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), written);
    assert_eq!(std::fs::read(&other).unwrap(), demo.files[4].bytes);
    assert!(folder.path().join("treasury.toml").is_file());
}
