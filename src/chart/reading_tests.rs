//! What a chart file must say, and that each problem names its place.

use super::*;

/// The smallest file that has one of everything.
const GOOD: &str = r#"
    [[entity]]
    code = "bd-de"
    name = "ByteDance Germany GmbH"
    country = "DE"
    [[bank]]
    code = "deutsche"
    name = "Deutsche Bank"
    bic = "DEUT DE FF"
    country = "DE"
    [[product]]
    code = "tiktok"
    name = "TikTok"
    [[market]]
    code = "DE"
    name = "Germany"
    [[master]]
    code = "de-eur"
    name = "EUR Frankfurt"
    bank = "deutsche"
    entity = "bd-de"
    currency = "EUR"
    account = "de89 3704 0044 0532 0130 00"
    time_zone = "Europe/Berlin"
    cut_over_on = "2026-07-01"
    opening = "-10.5"
    numbers = { scheme = "iban", prefix = "DE50070010" }
    opening_shares = [ { leaf = "de-eur/house/pool", amount = "1" }, { leaf = "de-eur/tiktok/de/operating", amount = "-2" } ]
    [[sub_account]]
    master = "de-eur"
    product = "tiktok"
    market = "DE"
    metadata = { b = "2", a = "1" }
"#;

fn read(text: &str, known: &Known) -> Result<Chart, Vec<Problem>> {
    toml::from_str::<ChartFile>(text).unwrap().read(known)
}

/// `table item, field` of each problem of the good file after one change.
fn problems(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    let problems = read(&GOOD.replacen(from, to, 1), &Known::default()).err().unwrap_or_default();
    problems.into_iter().map(|p| format!("{} {}, {}", p.table, p.item, p.field)).collect()
}

#[test]
fn a_good_file_is_read_as_it_is_meant() {
    let chart = read(GOOD, &Known::default()).unwrap();
    let (master, leaf) = (&chart.masters[0], &chart.leaves[0]);
    assert_eq!(master.account, "DE89370400440532013000");
    assert_eq!((master.opening, master.unplaced), (Minor(-1050), Minor(-950)));
    assert_eq!(chart.banks[0].bic.as_deref(), Some("DEUTDEFF"));
    assert_eq!(leaf.code, "de-eur/tiktok/de/operating");
    assert_eq!(leaf.label.metadata.as_deref(), Some(r#"{"a":"1","b":"2"}"#));
}

#[test]
fn each_problem_has_its_place() {
    for (from, to, expected) in [
        ("code = \"bd-de\"", "code = \"BD\"", vec!["entity \"BD\", code", "master \"de-eur\", entity"]),
        ("country = \"DE\"", "country = \"XX\"", vec!["entity \"bd-de\", country"]),
        ("DEUT DE FF", "DEUT1", vec!["bank \"deutsche\", bic"]),
        ("name = \"TikTok\"", "name = \" \"", vec!["product \"tiktok\", name"]),
        (
            "code = \"DE\"",
            "code = \"de\"",
            vec!["market \"de\", code", "sub_account \"de-eur/tiktok/de/operating\", market"],
        ),
        ("currency = \"EUR\"", "currency = \"XAU\"", vec!["master \"de-eur\", currency"]),
        ("de89", "de88", vec!["master \"de-eur\", account"]),
        ("Europe/Berlin", "Berlin", vec!["master \"de-eur\", time_zone"]),
        ("2026-07-01", "2026-7-1", vec!["master \"de-eur\", cut_over_on"]),
        ("\"-10.5\"", "\"-10.505\"", vec!["master \"de-eur\", opening"]),
        ("\"-10.5\"", "\"92233720368547758.07\"", vec!["master \"de-eur\", opening_shares"]),
        ("\"-10.5\"", "\"-92233720368547758.08\"", vec!["master \"de-eur\", opening"]),
        ("\"iban\"", "\"upi\"", vec!["master \"de-eur\", numbers.scheme"]),
        ("\"DE50070010\"", "\"50070010\"", vec!["master \"de-eur\", numbers.prefix"]),
        ("house/pool", "house/bar", vec!["master \"de-eur\", opening_shares"]),
        ("de-eur/house/pool", "fr-eur/house/pool", vec!["master \"de-eur\", opening_shares"]),
        ("de-eur/house/pool", "de-eur/tiktok/de/operating", vec!["master \"de-eur\", opening_shares"]),
        ("\"1\"", "\"0.00\"", vec!["master \"de-eur\", opening_shares"]),
        (
            "master = \"de-eur\"",
            "purpose = \"a b\"\nowner = \"x\"\nmaster = \"us-usd\"",
            vec![
                "sub_account \"us-usd/tiktok/de/a b\", master",
                "sub_account \"us-usd/tiktok/de/a b\", purpose",
                "sub_account \"us-usd/tiktok/de/a b\", owner",
                "master \"de-eur\", opening_shares",
            ],
        ),
        (
            "code = \"tiktok\"",
            "code = \"house\"",
            vec!["product \"house\", code", "sub_account \"de-eur/tiktok/de/operating\", product"],
        ),
    ] {
        assert_eq!(problems(from, to), expected, "{from} -> {to}");
    }
}

#[test]
fn what_is_defined_twice_or_shared_by_two_masters_is_a_problem() {
    let twice = "[[product]]\ncode = \"tiktok\"\nname = \"Again\"\n[[product]]";
    assert_eq!(problems("[[product]]", twice), ["product \"tiktok\", code"]);
    let start = GOOD.find("[[master]]").unwrap();
    let master = &GOOD[start..GOOD.find("opening_shares").unwrap()];
    let second = master.replace("\"de-eur\"", "\"de-eur-2\"");
    assert_eq!(
        problems("[[sub_account]]", &format!("{second}[[sub_account]]")),
        ["master \"de-eur-2\", account", "master \"de-eur-2\", numbers.prefix"]
    );
}

#[test]
fn references_may_point_to_what_is_there_already() {
    let leaf = &GOOD[GOOD.find("[[sub_account]]").unwrap()..];
    assert_eq!(read(leaf, &Known::default()).map(drop).map_err(|p| p.len()), Err(3));
    let mut known = Known::default();
    let there = KnownMaster { account: ("1234".to_owned(), "EUR".to_owned()), range: None };
    known.masters.insert("de-eur".to_owned(), there);
    known.products.insert("tiktok".to_owned());
    known.markets.insert("DE".to_owned());
    assert!(read(leaf, &known).is_ok());
}
