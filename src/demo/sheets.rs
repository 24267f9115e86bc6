//! What others than banks send, as CSV: how app stores share out their lumps, which invoices are expected, what currencies cost.

use super::bank::Quarter;
use super::dice::Dice;
use super::traffic::Lump;
use super::treasury::{Master, PLANS, RATES_SOURCE, weight};
use super::{DemoFile, Role};
use crate::money::{Currency, Minor};
use crate::time::Instant;
use chrono::{Datelike, Days, IsoWeek, NaiveDate, NaiveTime, TimeDelta, Weekday};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What is sold in app stores.
const IN_STORES: [&str; 11] =
    ["tiktok", "douyin", "capcut", "toutiao", "xigua", "lemon8", "hypic", "gauth", "fizzo", "jianying", "doubao"];

/// An open invoice is waited for so many days.
const PATIENCE: Days = Days::new(28);

fn at(day: NaiveDate, hour: i64) -> Instant {
    (day.and_time(NaiveTime::MIN) + TimeDelta::hours(hour)).and_utc()
}

fn named(week: IsoWeek) -> String {
    format!("{}-W{:02}", week.year(), week.week())
}

/// A settlement file per store and week. Apple's come the day before its money, Google's three days after; those of the last
/// week have not been taken in yet.
pub(super) fn settlements(quarters: &[(&Master, Quarter)], dice: &mut Dice) -> Vec<DemoFile> {
    let mut sheets: BTreeMap<(&str, IsoWeek), (NaiveDate, String)> = BTreeMap::new();
    for (master, lump) in quarters.iter().flat_map(|(master, quarter)| quarter.lumps.iter().map(|l| (*master, l))) {
        let heading = "settlement,master,platform,payer_account,reference,currency,total,paid_on,product,market,gross,commission,tax,net,item\n";
        let key = (lump.store, lump.on.iso_week());
        let (_, text) = sheets.entry(key).or_insert_with(|| (lump.on, heading.to_owned()));
        settlement(text, master, lump, dice).expect("a String takes all");
    }
    let last: BTreeMap<&str, IsoWeek> = sheets.keys().copied().collect();
    let file = |((store, week), (paid_on, text)): ((&str, IsoWeek), (NaiveDate, String))| {
        let comes = if store == "apple" { at(paid_on - Days::new(1), 15) } else { at(paid_on + Days::new(3), 10) };
        DemoFile {
            folder: "settlements".to_owned(),
            name: format!("{store}-{}.csv", named(week)),
            bytes: text.into_bytes(),
            day: paid_on,
            role: Role::Settlement,
            comes: (last.get(store) != Some(&week)).then_some(comes),
        }
    };
    sheets.into_iter().map(file).collect()
}

/// The rows of one lump: each product by how big it is, one now and then with more refunds than sales.
fn settlement(out: &mut String, master: &Master, lump: &Lump, dice: &mut Dice) -> std::fmt::Result {
    let plan = master.plan;
    let text = |minor: i64| Minor(minor).to_text(master.currency);
    let sold = |leaf: &&super::treasury::Leaf| leaf.is_operating() && IN_STORES.contains(&leaf.product);
    let leaves: Vec<_> = master.leaves.iter().filter(sold).collect();
    let lots: Vec<i64> = leaves
        .iter()
        .map(|leaf| {
            let main = if leaf.market == plan.markets[0] { 3 } else { 1 };
            i64::try_from(weight(leaf.product)).unwrap_or(1) * main * dice.between(70, 130)
        })
        .collect();
    // The smallest has the refunds.
    let smallest = lots.iter().zip(0usize..).min().map_or(0, |(_, at)| at);
    let refunds = if leaves.len() > 1 && dice.chance(40) { lump.amount / dice.between(300, 900) } else { 0 };
    let of: i64 = lots.iter().zip(0usize..).filter(|(_, at)| refunds == 0 || *at != smallest).map(|(lot, _)| lot).sum();
    let mut nets: Vec<i64> = lots.iter().map(|lot| (lump.amount + refunds) / of * lot).collect();
    if refunds > 0 {
        nets[smallest] = -refunds;
    }
    // What the division leaves goes to the largest.
    let largest = lots.iter().zip(0usize..).max().map_or(0, |(_, at)| at);
    nets[largest] += lump.amount - nets.iter().sum::<i64>();
    let code = format!("{}-{}-{}", lump.store, plan.code, named(lump.on.iso_week())).to_ascii_uppercase();
    for ((leaf, net), nth) in leaves.iter().zip(nets).zip(1..) {
        if nth == 1 {
            write!(out, "{code},{},{},{},", plan.code, lump.payer.name, lump.payer.account)?;
            write!(out, "{},{},{},{},", lump.reference, plan.currency, text(lump.amount), lump.on)?;
        } else {
            write!(out, "{code},,,,,,,,")?;
        }
        let commission = net * 3 / 7;
        let tax = if matches!(plan.currency, "JPY" | "BRL") { net / 50 } else { 0 };
        let gross = text(net + commission + tax);
        let (product, market) = (leaf.product, leaf.market);
        write!(out, "{product},{market},{gross},{},{},{},", text(commission), text(tax), text(net))?;
        writeln!(out, "R{}{nth:02}", lump.on.format("%y%m%d"))?;
    }
    Ok(())
}

/// The invoices of each week, as their products announce them on the Monday after, or when the demo ends.
pub(super) fn expected(quarters: &[(&Master, Quarter)], end: Instant) -> Vec<DemoFile> {
    let mut sheets: BTreeMap<IsoWeek, (NaiveDate, String)> = BTreeMap::new();
    for (master, invoice) in quarters.iter().flat_map(|(m, quarter)| quarter.invoices.iter().map(|i| (*m, i))) {
        let heading = "key,leaf,amount,from,until,currency,reference,account,note\n";
        let monday = invoice.on.week(Weekday::Mon).first_day();
        let (_, text) = sheets.entry(invoice.on.iso_week()).or_insert_with(|| (monday, heading.to_owned()));
        let (plan, number) = (master.plan, &invoice.number);
        let (leaf, amount) = (&master.leaves[invoice.leaf].code, Minor(invoice.amount).to_text(master.currency));
        let until = invoice.on + PATIENCE;
        let told = writeln!(
            text,
            "{}-{number},{leaf},{amount},{},{until},{},{number},{},{}",
            plan.code, invoice.on, plan.currency, invoice.payer.account, invoice.payer.name
        );
        told.expect("a String takes all");
    }
    let file = |(week, (monday, text)): (IsoWeek, (NaiveDate, String))| DemoFile {
        folder: "expected".to_owned(),
        name: format!("invoices-{}.csv", named(week)),
        bytes: text.into_bytes(),
        day: monday,
        role: Role::Expected,
        comes: Some(at(monday + Days::new(7), 5).min(end)),
    };
    sheets.into_iter().map(file).collect()
}

/// What a euro costs in each currency, a file per week that comes in the evening of its last day.
pub(super) fn rates(dice: &mut Dice, first: NaiveDate, end: Instant) -> Vec<DemoFile> {
    let mut priced: BTreeMap<&str, i64> = PLANS.iter().map(|p| (p.currency, p.euro * 1_000)).collect();
    priced.remove("EUR");
    let mut sheets: BTreeMap<IsoWeek, (NaiveDate, String)> = BTreeMap::new();
    let open = |day: &NaiveDate| !matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
    for day in first.iter_days().take_while(|day| at(*day, 18) < end).filter(open) {
        let heading = "date,base,currency,rate\n";
        let (last, text) = sheets.entry(day.iso_week()).or_insert_with(|| (day, heading.to_owned()));
        *last = day;
        for (code, price) in &mut priced {
            *price += *price * dice.between(-40, 40) / 10_000;
            let exponent = code.parse::<Currency>().map_or(2, Currency::exponent);
            let rate = Decimal::new(*price / 10, u32::from(exponent) + 2);
            writeln!(text, "{day},EUR,{code},{rate}").expect("a String takes all");
        }
    }
    let file = |(week, (last, text)): (IsoWeek, (NaiveDate, String))| DemoFile {
        folder: "rates".to_owned(),
        name: format!("{RATES_SOURCE}-{}.csv", named(week)),
        bytes: text.into_bytes(),
        day: last,
        role: Role::Rates,
        comes: Some(at(last, 18)),
    };
    sheets.into_iter().map(file).collect()
}
