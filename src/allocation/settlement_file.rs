//! Settlement files, pure: a CSV file that says how much of a lump each product gets, or every problem with its line.
//!
//! One row per product, grouped by `settlement`; what speaks of the whole settlement may stand in its first row only. The
//! columns are described for finance people in `docs/settlement-files.md`, whose example a test reads.
//!
//! Nothing is rounded and nothing is made to fit: each row must say net = gross - commission - tax to the cent, and the nets
//! must sum to the total.

use super::Refusal;
use crate::error::Result;
use crate::money::{Currency, Minor};
use crate::sheet::{self, Problem, Row};
use chrono::NaiveDate;
use std::collections::HashMap;

const NEEDED: [&str; 8] = ["settlement", "master", "platform", "currency", "total", "paid_on", "gross", "net"];
const OTHERS: [&str; 9] =
    ["reference", "payer_account", "leaf", "product", "market", "commission", "tax", "item", "item_date"];

/// A settlement as its file says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Line of the file where it begins.
    pub at: u64,
    /// The platform's name for it.
    pub code: String,
    /// Code of the master that the lump comes to.
    pub master: String,
    /// Who pays, as the bank writes the name.
    pub platform: String,
    /// And from which account.
    pub payer_account: Option<String>,
    /// The reference that the payment carries.
    pub reference: Option<String>,
    /// Its currency.
    pub currency: Currency,
    /// The lump, signed minor units.
    pub total: i64,
    /// When the platform has paid it.
    pub paid_on: NaiveDate,
    /// What each product gets.
    pub lines: Vec<Share>,
}

/// What one product gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Line of the file.
    pub at: u64,
    /// Whose money it is.
    pub of: Of,
    /// What customers have paid.
    pub gross: i64,
    /// What the platform keeps.
    pub commission: i64,
    /// What it withholds.
    pub tax: i64,
    /// What is left; negative when refunds exceed sales.
    pub net: i64,
    /// The platform's own reference of this row.
    pub item: Option<String>,
    /// Its day.
    pub item_date: Option<NaiveDate>,
}

/// How a row names a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// By its path.
    Leaf(String),
    /// By product and market: the leaf of both in the settlement's master.
    Product(String, String),
}

/// Reads a file with one settlement or several.
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<Settlement>> {
    let refused = |problems: &[Problem]| {
        let problems = problems.iter().map(ToString::to_string).collect();
        Refusal::SettlementProblems { name: name.to_owned(), problems }
    };
    let rows = sheet::read(bytes, &NEEDED, &OTHERS).map_err(|problems| refused(&problems))?;
    let mut problems = Vec::new();
    let mut found: Vec<Settlement> = Vec::new();
    // A settlement whose first row cannot be read has rows that can be.
    let mut places: HashMap<&str, Option<usize>> = HashMap::new();
    for row in &rows {
        let Some(code) = row.need("settlement", &mut problems) else { continue };
        if !places.contains_key(code) {
            let place = head(row, code, &mut problems).map(|settlement| {
                found.push(settlement);
                found.len() - 1
            });
            places.insert(code, place);
        }
        let Some(settlement) = places.get(code).copied().flatten().and_then(|place| found.get_mut(place)) else {
            continue;
        };
        same_head(row, settlement, &mut problems);
        settlement.lines.extend(share(row, settlement.currency, &mut problems));
    }
    if problems.is_empty() {
        problems.extend(found.iter().filter_map(sums_up));
    }
    if problems.is_empty() { Ok(found) } else { Err(refused(&problems).into()) }
}

/// What a row says of the settlement as a whole.
fn head(row: &Row, code: &str, problems: &mut Vec<Problem>) -> Option<Settlement> {
    let [master, platform, currency, total, paid_on] =
        ["master", "platform", "currency", "total", "paid_on"].map(|column| row.need(column, problems));
    let paid_on = paid_on.and_then(|_| row.day("paid_on", problems));
    if platform.is_some_and(|name| super::announced::name_key(name).len() < 3) {
        problems.push(
            row.problem("platform needs three letters or digits at least, as the bank writes the name".to_owned()),
        );
    }
    for column in ["reference", "payer_account"] {
        if let Some(text) = row.get(column)
            && crate::expectations::matching::key(text).is_none()
        {
            problems.push(row.problem(format!("{column} {text:?} tells nothing apart")));
        }
    }
    let currency: Option<Currency> = currency.and_then(|text| {
        let parsed = text.parse();
        parsed.map_err(|e: crate::money::Problem| problems.push(row.problem(format!("currency: {e}")))).ok()
    });
    let total = total.zip(currency).and_then(|(_, currency)| amount(row, "total", currency, problems));
    if total == Some(0) {
        problems.push(row.problem("total is zero: there is nothing to share out".to_owned()));
    }
    Some(Settlement {
        at: row.line,
        code: code.to_owned(),
        master: master?.to_owned(),
        platform: platform?.to_owned(),
        payer_account: row.get("payer_account").map(str::to_owned),
        reference: row.get("reference").map(str::to_owned),
        currency: currency?,
        total: total?,
        paid_on: paid_on?,
        lines: Vec::new(),
    })
}

/// A later row may leave out what the first says of the settlement, and must not contradict it.
fn same_head(row: &Row, s: &Settlement, problems: &mut Vec<Problem>) {
    let total = Minor(s.total).to_text(s.currency);
    let said = [
        ("master", s.master.as_str()),
        ("platform", &s.platform),
        ("currency", s.currency.code()),
        ("total", &total),
        ("paid_on", &s.paid_on.to_string()),
        ("reference", s.reference.as_deref().unwrap_or_default()),
        ("payer_account", s.payer_account.as_deref().unwrap_or_default()),
    ]
    .map(|(column, text)| (column, text.to_owned()));
    for (column, before) in said {
        let equal = |text: &str| match column {
            "total" => Minor::parse(text, s.currency).is_ok_and(|m| m.0 == s.total),
            _ => text == before,
        };
        if let Some(text) = row.get(column).filter(|text| !equal(text)) {
            let (at, code) = (s.at, &s.code);
            problems.push(
                row.problem(format!("{column} is {text:?}, but line {at} says {before:?} for settlement {code}")),
            );
        }
    }
}

fn share(row: &Row, currency: Currency, problems: &mut Vec<Problem>) -> Option<Share> {
    let before = problems.len();
    let of = match (row.get("leaf"), row.get("product"), row.get("market")) {
        (Some(leaf), None, None) => Some(Of::Leaf(leaf.to_owned())),
        (None, Some(product), Some(market)) => Some(Of::Product(product.to_owned(), market.to_owned())),
        _ => {
            problems.push(row.problem("whose money is it? Give either leaf, or product and market".to_owned()));
            None
        }
    };
    let [gross, net] = ["gross", "net"].map(|column| {
        row.need(column, problems)?;
        amount(row, column, currency, problems)
    });
    // Many platforms withhold nothing, and then leave the cell empty.
    let [commission, tax] = ["commission", "tax"].map(|column| amount(row, column, currency, problems).unwrap_or(0));
    let item_date = row.day("item_date", problems);
    if problems.len() > before {
        return None;
    }
    let (gross, net) = (gross?, net?);
    let left = i128::from(gross) - i128::from(commission) - i128::from(tax);
    if left != i128::from(net) {
        let text = |minor: i128| Minor::from_sum(minor).map_or_else(|e| e.to_string(), |m| m.to_text(currency));
        problems.push(row.problem(format!(
            "gross - commission - tax is {}, but net is {}: a difference of {}",
            text(left),
            text(i128::from(net)),
            text(i128::from(net) - left)
        )));
        return None;
    }
    Some(Share {
        at: row.line,
        of: of?,
        gross,
        commission,
        tax,
        net,
        item: row.get("item").map(str::to_owned),
        item_date,
    })
}

fn amount(row: &Row, column: &str, currency: Currency, problems: &mut Vec<Problem>) -> Option<i64> {
    let text = row.get(column)?;
    match Minor::parse(text, currency) {
        Ok(minor) => Some(minor.0),
        Err(e) => {
            problems.push(row.problem(format!("{column}: {e}")));
            None
        }
    }
}

/// The nets of all rows make the lump.
fn sums_up(s: &Settlement) -> Option<Problem> {
    let sum: i128 = s.lines.iter().map(|l| i128::from(l.net)).sum();
    let total = i128::from(s.total);
    if sum == total {
        return None;
    }
    let text = |minor: i128| Minor::from_sum(minor).map_or_else(|e| e.to_string(), |m| m.to_text(s.currency));
    let (code, currency) = (&s.code, s.currency.code());
    let problem = format!(
        "the net amounts of settlement {code} sum to {} {currency}, but its total is {}: a difference of {}",
        text(sum),
        text(total),
        text(sum - total)
    );
    Some(Problem { line: s.at, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "settlement,master,platform,currency,total,paid_on,leaf,product,market,gross,commission,tax,net\n";

    fn problems(rows: &str) -> Vec<String> {
        let no = read("f.csv", format!("{HEAD}{rows}").as_bytes()).unwrap_err();
        assert_eq!(no.code(), "settlement_problems");
        let text = no.to_string();
        let (_, problems) = text.split_once(": ").unwrap();
        problems.split("; ").map(str::to_owned).collect()
    }

    #[test]
    fn a_settlement_is_read_whole() {
        let rows =
            "S1,us-usd,Apple Inc.,USD,60.00,2026-03-05,a/b,,,100.00,30.00,,70.00\nS1,,,,,,,capcut,US,-10,0,0,-10.00\n";
        let found = read("f.csv", format!("{HEAD}{rows}").as_bytes()).unwrap();
        let [s] = found.as_slice() else { panic!("one settlement") };
        assert_eq!((s.total, s.lines.len(), s.lines[0].tax), (6_000, 2, 0));
        assert_eq!(s.lines[1].of, Of::Product("capcut".to_owned(), "US".to_owned()));
    }

    #[test]
    fn sums_hold_to_the_cent() {
        assert_eq!(
            problems("S1,m,Apple,USD,60.00,2026-03-05,a,,,100.00,30.00,10.00,59.99\n"),
            ["line 2: gross - commission - tax is 60.00, but net is 59.99: a difference of -0.01"]
        );
        assert_eq!(
            problems("S1,m,Apple,USD,60.00,2026-03-05,a,,,60.01,,,60.01\n"),
            ["line 2: the net amounts of settlement S1 sum to 60.01 USD, but its total is 60.00: a difference of 0.01"]
        );
        let huge = "9223372036854775807";
        assert_eq!(problems(&format!("S1,m,Apple,JPY,1,2026-03-05,a,,,{huge},-{huge},,{huge}\n")).len(), 1);
    }

    #[test]
    fn every_problem_is_told_with_its_line() {
        let rows = "S1,m,Apple,EURO,x,2026-3-5,,,,1,,,1\nS1,m,Apple,EUR,1.00,2026-03-05,a,,,1,,,1\n,,,,,,a,,,1,,,1\n\
                    S2,m,Apple,EUR,1.001,2026-03-05,a,b,,1,,,1\nS3,m,Apple,EUR,2.00,2026-03-05,a,,,1.00,,,1.00\nS3,n,,,,,a,,,1,5,x,\n";
        let told = problems(rows);
        for (line, what) in [
            (2, "paid_on"),
            (2, "currency"),
            (4, "settlement is empty"),
            (5, "total"),
            (7, "master is"),
            (7, "tax"),
            (7, "net is empty"),
        ] {
            let there = told.iter().any(|p| p.starts_with(&format!("line {line}: ")) && p.contains(what));
            assert!(there, "line {line}, {what}: {told:#?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-SmA1,.\n]{0,80}") {
            let _ = read("f.csv", format!("{HEAD}{text}").as_bytes());
        }
    }
}
