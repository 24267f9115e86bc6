//! The chart on both databases: what a file makes, that it makes it once, and that what it makes agrees with the journal.

use crate::databases::on_both;
use chrono::NaiveDate;
use diesel::connection::SimpleConnection;
use std::collections::BTreeSet;
use std::sync::Arc;
use tributary::app::{self, TreasuryFile};
use tributary::chart::{self, Applied, Move, numbers};
use tributary::db::{Conn, Db, Options, Who, head};
use tributary::error::{Error, Result};
use tributary::ledger::{self, Basis, Cause, NewEntry, NewPosting};
use tributary::positions::positions;
use tributary::scope::Scope;

/// Three masters in two banks, four leaves; openings of 1000.00 EUR, -5000 JPY and nothing.
pub const FILE: &str = r#"
[[entity]]
code = "bd-de"
name = "ByteDance Germany GmbH"
country = "DE"
[[entity]]
code = "bd-jp"
name = "ByteDance KK"
country = "JP"
[[bank]]
code = "deutsche"
name = "Deutsche Bank"
bic = "DEUTDEFF"
country = "DE"
[[bank]]
code = "mizuho"
name = "Mizuho Bank"
country = "JP"
[[product]]
code = "tiktok"
name = "TikTok"
[[product]]
code = "capcut"
name = "CapCut"
[[market]]
code = "DE"
name = "Germany"
[[market]]
code = "JP"
name = "Japan"
[[master]]
code = "de-eur"
name = "EUR Frankfurt"
bank = "deutsche"
entity = "bd-de"
currency = "EUR"
account = "DE89370400440532013000"
time_zone = "Europe/Berlin"
cut_over_on = "2026-07-01"
opening = "1000.00"
numbers = { scheme = "iban", prefix = "DE50070010" }
opening_shares = [ { leaf = "de-eur/house/pool", amount = "900.00" }, { leaf = "de-eur/tiktok/de/operating", amount = "60" } ]
[[master]]
code = "jp-jpy"
name = "JPY Tokyo"
bank = "mizuho"
entity = "bd-jp"
currency = "JPY"
account = "1234567"
time_zone = "Asia/Tokyo"
cut_over_on = "2026-07-02"
opening = "-5000"
numbers = { scheme = "rf", prefix = "JP" }
[[master]]
code = "jp-usd"
name = "USD Tokyo"
bank = "mizuho"
entity = "bd-jp"
currency = "USD"
account = "1234567"
time_zone = "Asia/Tokyo"
cut_over_on = "2026-07-02"
opening = "0"
numbers = { scheme = "digits", prefix = "77" }
[[sub_account]]
master = "de-eur"
product = "tiktok"
market = "DE"
[[sub_account]]
master = "de-eur"
product = "capcut"
market = "DE"
purpose = "payouts"
owner = "bd-jp"
metadata = { cost_centre = "4711" }
[[sub_account]]
master = "jp-jpy"
product = "tiktok"
market = "JP"
[[sub_account]]
master = "jp-usd"
product = "tiktok"
market = "JP"
"#;

/// Applies a treasury file.
pub fn apply(db: &Db, text: &str) -> Result<Applied> {
    app::apply(db, &who(), TreasuryFile::parse(text)?).map(|applied| applied.chart)
}

/// Who acts in tests.
pub fn who() -> Arc<Who> {
    Who::operator("tester")
}

/// Asserts that nothing that can be proved is wrong.
#[track_caller]
pub fn holds(db: &Db) {
    assert_eq!(app::check(db, |_, _| ()).expect("a check"), []);
}

/// A date.
pub fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

#[test]
fn a_file_makes_its_treasury_once() {
    on_both(|test| {
        let db = test.open(Options::default());
        let applied = apply(&db, FILE).unwrap();
        assert_eq!(applied.masters, ["de-eur", "jp-jpy", "jp-usd"]);
        assert_eq!(applied.leaves.len(), 4);
        holds(&db);
        let before = db.read(head).unwrap();
        assert!(apply(&db, FILE).unwrap().nothing_new());
        assert_eq!(db.read(head).unwrap(), before);
        // Half of it is nothing new either.
        let entities = &FILE[..FILE.find("[[bank]]").unwrap()];
        assert!(apply(&db, entities).unwrap().nothing_new());
    });
}

#[test]
fn openings_are_shared_out_and_the_rest_waits_in_suspense() {
    on_both(|test| {
        let db = test.open(Options::default());
        apply(&db, FILE).unwrap();
        let natural = |code: &str| db.read(|conn| ledger::account(conn, code)).unwrap().natural();
        assert_eq!(natural("de-eur"), 100_000);
        assert_eq!(natural("de-eur/house/pool"), 90_000);
        assert_eq!(natural("de-eur/tiktok/de/operating"), 6_000);
        assert_eq!(natural("de-eur/suspense"), 4_000);
        assert_eq!((natural("jp-jpy"), natural("jp-jpy/suspense")), (-5_000, -5_000));
        assert_eq!(db.read(head).unwrap().entry, 2, "an opening of nothing posts nothing");
        let report = db.read(|conn| positions(conn, &Scope::everything(), None)).unwrap();
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["positions"][1]["sub_account"], "de-eur/tiktok/de/operating");
        assert_eq!(json["positions"][1]["available"], "60.00");
        assert_eq!(json["masters"][1]["book"], "-5000");
        assert_eq!(json["masters"][0]["bank_closing"], serde_json::Value::Null);
        let eve = db.read(|conn| positions(conn, &Scope::everything(), Some(day("2026-06-30")))).unwrap();
        let cut_over = db.read(|conn| positions(conn, &Scope::everything(), Some(day("2026-07-01")))).unwrap();
        assert_eq!(eve.masters[0].book.to_string(), "0.00");
        assert_eq!(cut_over.masters[0].book.to_string(), "1000.00");
        assert_eq!(cut_over.masters[1].book.to_string(), "0");
    });
}

#[test]
fn a_contradiction_is_named_and_nothing_changes() {
    on_both(|test| {
        let db = test.open(Options::default());
        apply(&db, FILE).unwrap();
        let before = db.read(|conn| Ok((chart::masters(conn)?, chart::sub_accounts(conn)?))).unwrap();
        for (from, to, field) in [
            (
                "cut_over_on = \"2026-07-01\"",
                "cut_over_on = \"2026-08-01\"",
                "[[master]] \"de-eur\", cut_over_on: it is 2026-07-01",
            ),
            ("opening = \"1000.00\"", "opening = \"1000.01\"", "opening: it is 1000.00"),
            ("account = \"DE89370400440532013000\"", "account = \"4711\"", "account: it is DE89370400440532013000"),
            ("currency = \"JPY\"", "currency = \"KRW\"", "currency: it is JPY"),
            ("\"900.00\"", "\"901.00\"", "[[master]] \"de-eur\", opening_shares"),
            ("prefix = \"JP\"", "prefix = \"JPN\"", "numbers.prefix: it is JP"),
            ("owner = \"bd-jp\"", "owner = \"bd-de\"", "owner: it is bd-jp"),
            ("bic = \"DEUTDEFF\"", "bic = \"DEUTDEFF500\"", "[[bank]] \"deutsche\", bic"),
        ] {
            // With something new beside it: all or nothing.
            let text = format!("{}\n[[product]]\ncode = \"lark\"\nname = \"Lark\"", FILE.replacen(from, to, 1));
            match apply(&db, &text) {
                Err(Error::Conflict(message)) => assert!(message.contains(field), "{to}: {message}"),
                other => panic!("{to}: {other:?}"),
            }
        }
        let after = db.read(|conn| Ok((chart::masters(conn)?, chart::sub_accounts(conn)?))).unwrap();
        assert_eq!(before, after);
        assert_eq!(db.read(chart::products).unwrap().len(), 2);
        holds(&db);
    });
}

#[test]
fn every_problem_of_a_bad_file_is_named() {
    on_both(|test| {
        let db = test.open(Options::default());
        let bad = FILE
            .replacen("country = \"DE\"", "country = \"Germany\"", 1)
            .replacen("Europe/Berlin", "Berlin", 1)
            .replacen("opening = \"-5000\"", "opening = \"-5000.5\"", 1)
            .replacen("product = \"capcut\"", "product = \"cupcat\"", 1);
        let Err(Error::Refused { code: "chart_problems", message }) = apply(&db, &bad) else { panic!("taken") };
        for place in [
            "4 problems",
            "[[entity]] \"bd-de\", country",
            "\"de-eur\", time_zone",
            "\"jp-jpy\", opening",
            "cupcat/de/payouts\", product",
        ] {
            assert!(message.contains(place), "{place}: {message}");
        }
        assert!(db.read(chart::entities).unwrap().is_empty());
        let unknown = FILE.replacen("bic = ", "swift = ", 1);
        assert_eq!(apply(&db, &unknown).map_err(|e| e.code()), Err("treasury_file"));
    });
}

#[test]
fn names_and_metadata_may_change_with_an_event() {
    on_both(|test| {
        let db = test.open(Options::default());
        apply(&db, FILE).unwrap();
        let events = db.read(head).unwrap().event;
        let renamed = FILE
            .replacen("name = \"TikTok\"", "name = \"TikTok Global\"", 1)
            .replacen("name = \"Japan\"", "name = \"Nippon\"", 1)
            .replacen("4711", "4712", 1);
        let applied = apply(&db, &renamed).unwrap();
        assert_eq!(applied.updated, ["product tiktok", "market JP", "sub_account de-eur/capcut/de/payouts"]);
        assert_eq!(db.read(head).unwrap().event, events + 3);
        let leaf = db.read(|conn| chart::sub_account(conn, "de-eur/capcut/de/payouts")).unwrap();
        assert_eq!(leaf.metadata.as_deref(), Some(r#"{"cost_centre":"4712"}"#));
        holds(&db);
    });
}

#[test]
fn virtual_numbers_are_unique_and_later_leaves_get_the_next() {
    on_both(|test| {
        let db = test.open(Options::default());
        let first = apply(&db, FILE).unwrap();
        let more = "DE JP"
            .split(' ')
            .flat_map(|market| (0..60).map(move |i| format!("[[sub_account]]\nmaster = \"de-eur\"\nproduct = \"tiktok\"\nmarket = \"{market}\"\npurpose = \"p{i}\"\n")))
            .collect::<String>();
        let second = apply(&db, &more).unwrap();
        let numbers: Vec<&String> = first.leaves.iter().chain(&second.leaves).map(|l| &l.virtual_number).collect();
        assert_eq!(numbers.len(), 124);
        assert!(numbers.iter().all(|n| numbers::verify(n)));
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
        let master = db.read(|conn| chart::master(conn, "de-eur")).unwrap();
        assert_eq!(master.numbers_given, 122);
        let leaves = db.read(|conn| chart::leaves(conn, &master.id)).unwrap();
        assert_eq!(leaves.len(), 122 + 5);
        assert!(leaves.iter().filter(|l| l.kind == "leaf").all(|l| l.product.is_some() && l.virtual_number.is_some()));
        holds(&db);
    });
}

#[test]
fn a_range_that_is_used_up_refuses_the_whole_file() {
    on_both(|test| {
        let db = test.open(Options::default());
        let text = FILE.replacen("prefix = \"JP\"", "prefix = \"JP345678901234567\"", 1);
        apply(&db, &text).unwrap();
        let many = (0..9_999).map(|i| {
            format!("[[sub_account]]\nmaster = \"jp-jpy\"\nproduct = \"tiktok\"\nmarket = \"DE\"\npurpose = \"p{i}\"\n")
        });
        assert_eq!(apply(&db, &many.collect::<String>()).map_err(|e| e.code()), Err("numbers_used_up"));
        let master = db.read(|conn| chart::master(conn, "jp-jpy")).unwrap();
        assert_eq!(master.numbers_given, 1);
        holds(&db);
    });
}

#[test]
fn a_leaf_is_frozen_opened_and_closed_at_zero() {
    on_both(|test| {
        let db = test.open(Options::default());
        apply(&db, FILE).unwrap();
        let set = |code: &'static str, state| {
            db.write("chart.change_state", &who(), move |tx| {
                chart::change_state(tx, code, state, "a test").map(|done| done.1)
            })
        };
        let (funded, empty) = ("de-eur/tiktok/de/operating", "de-eur/capcut/de/payouts");
        assert_eq!(set(funded, Move::Freeze), Ok(true));
        assert_eq!(set(funded, Move::Freeze), Ok(false));
        assert_eq!(move_one(&db, funded, empty).map_err(|e| e.code()), Err("account_frozen"));
        assert_eq!(set(funded, Move::Close).map_err(|e| e.code()), Err("not_at_zero"));
        assert_eq!(set(funded, Move::Unfreeze), Ok(true));
        assert_eq!(set(empty, Move::Close), Ok(true));
        assert_eq!(move_one(&db, funded, empty).map_err(|e| e.code()), Err("account_closed"));
        for code in ["de-eur/tiktok", "de-eur", "de-eur/suspense"] {
            assert_eq!(set(code, Move::Freeze).map_err(|e| e.code()), Err("not_a_leaf"), "{code}");
        }
        assert_eq!(set("nowhere", Move::Freeze).map_err(|e| e.code()), Err("not_found"));
        holds(&db);
    });
}

/// Moves one unit from leaf to leaf.
fn move_one(db: &Db, from: &str, to: &str) -> Result<()> {
    let (from, to) = db.read(|conn| Ok((ledger::account(conn, from)?.id, ledger::account(conn, to)?.id)))?;
    let entry = NewEntry {
        kind: "transfer".to_owned(),
        basis: Basis::Decision,
        description: "Transfer".to_owned(),
        booked_on: day("2026-07-03"),
        valued_on: day("2026-07-03"),
        cause: Cause::new("test", "one"),
        postings: vec![
            NewPosting { account: ledger::AccountId(from), amount: 1 },
            NewPosting { account: ledger::AccountId(to), amount: -1 },
        ],
        holds: Vec::new(),
        reverses: None,
        metadata: None,
    };
    ledger::post(db, &who(), vec![entry])?.remove(0).map(drop)
}

#[test]
fn a_statement_finds_its_master() {
    on_both(|test| {
        let db = test.open(Options::default());
        apply(&db, FILE).unwrap();
        let find = |number: &str, currency| {
            db.read(chart::Masters::load).unwrap().by_account(number, currency).map(|m| m.code.clone())
        };
        assert_eq!(find("DE89 3704 0044 0532 0130 00", None).as_deref(), Some("de-eur"));
        assert_eq!(find("37040044/0532013000", Some("EUR")).as_deref(), Some("de-eur"));
        assert_eq!(find("1234567", Some("USD")).as_deref(), Some("jp-usd"));
        assert_eq!(find("1234567JPY", None).as_deref(), Some("jp-jpy"));
        assert_eq!(find("1234567", None), None);
        assert_eq!(find("1234567", Some("EUR")), None);
    });
}

#[test]
fn what_was_changed_by_sql_is_named() {
    on_both(|test| {
        let db = test.open(Options::default());
        apply(&db, FILE).unwrap();
        for (change, back, named) in [
            (
                "UPDATE sub_accounts SET virtual_number = 'DE00500700100000000001' WHERE virtual_number = 'DE53500700100000000001'",
                "UPDATE sub_accounts SET virtual_number = 'DE53500700100000000001' WHERE virtual_number = 'DE00500700100000000001'",
                "I6: the virtual account number DE00500700100000000001",
            ),
            (
                "UPDATE masters SET opening = opening + 1 WHERE code = 'jp-jpy'",
                "UPDATE masters SET opening = opening - 1 WHERE code = 'jp-jpy'",
                "I6: master jp-jpy opens with -4999",
            ),
            (
                "UPDATE accounts SET currency = 'USD' WHERE code = 'de-eur/suspense'",
                "UPDATE accounts SET currency = 'EUR' WHERE code = 'de-eur/suspense'",
                "I1: de-eur/suspense is in USD, its book in EUR",
            ),
            (
                "UPDATE sub_accounts SET code = 'de-eur/house/pond' WHERE code = 'de-eur/house/pool'",
                "UPDATE sub_accounts SET code = 'de-eur/house/pool' WHERE code = 'de-eur/house/pond'",
                "I5: master de-eur does not have its account de-eur/house/pool",
            ),
            (
                "UPDATE balances SET credits = credits + 1 WHERE account = (SELECT suspense FROM masters WHERE code = 'de-eur')",
                "UPDATE balances SET credits = credits - 1 WHERE account = (SELECT suspense FROM masters WHERE code = 'de-eur')",
                "I5: the shares of de-eur sum to 100001",
            ),
        ] {
            let run = |sql: &str| {
                let mut conn = Conn::open(&test.url).unwrap();
                tributary::on!(&mut conn, c => c.batch_execute(sql)).unwrap();
            };
            run(change);
            let found: Vec<String> = app::check(&db, |_, _| ()).unwrap().iter().map(ToString::to_string).collect();
            assert!(found.iter().any(|v| v.starts_with(named)), "{named}: {found:?}");
            run(back);
            holds(&db);
        }
    });
}
