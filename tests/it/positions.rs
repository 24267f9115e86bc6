//! Positions on both databases: masters against what their bank says, on the bank's day, and holds as of a day.

use crate::chart::{FILE, apply, day, holds, who};
use crate::databases::on_both;
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Cursor, Read};
use std::process::Command;
use std::sync::Arc;
use tributary::allocation::intake;
use tributary::chart;
use tributary::db::{Db, Options, Url};
use tributary::ledger::{self, AccountId, Basis, Cause, HoldKind, HoldMove, NewEntry};
use tributary::positions::{Amount, MasterLine, Report, positions};
use tributary::scope::Scope;
use tributary::time::SetClock;

/// One MT940 statement of master de-eur with one credit to an account number.
fn statement(number: u32, on: &str, opening: &str, credit: &str, closing: &str, to: &str) -> String {
    format!(
        ":20:S{number}\r\n:25:37040044/0532013000EUR\r\n:28C:{number}/1\r\n:60F:C{on}EUR{opening}\r\n\
         :61:{on}{}C{credit}NTRFNONREF//B{number}\r\n:86:166?00GUTSCHRIFT?20Inflow?31{to}\r\n:62F:C{on}EUR{closing}\r\n-\r\n",
        &on[2..]
    )
}

fn take_in(db: &Db, name: &str, text: &str) {
    let open = || Ok(Box::new(Cursor::new(text.as_bytes().to_vec())) as Box<dyn Read>);
    let taken = intake::take_in(db, &who(), (name, "test"), &open, &mut |_, _| {}).expect("a statement");
    assert!(taken.statements.iter().all(|s| s.state == "posted"), "{:?}", taken.statements);
}

fn report(db: &Db, as_of: Option<&str>) -> Report {
    db.read(|conn| positions(conn, &Scope::everything(), as_of.map(day))).expect("positions")
}

/// Book, bank closing, its day, difference.
fn against_bank(master: &MasterLine) -> (String, Option<String>, Option<NaiveDate>, Option<String>) {
    let text = |amount: Option<Amount>| amount.map(|a| a.to_string());
    (master.book.to_string(), text(master.bank_closing), master.bank_as_of, text(master.difference))
}

#[test]
fn a_master_stands_against_the_newest_closing_on_its_own_day() {
    on_both(|test| {
        let db = test.open(Options::default());
        apply(&db, FILE).unwrap();
        take_in(&db, "1.sta", &statement(1, "260701", "1000,00", "100,00", "1100,00", "4711"));
        let first = ("1100.00".into(), Some("1100.00".into()), Some(day("2026-07-01")), Some("0.00".into()));
        assert_eq!(against_bank(&report(&db, None).masters[0]), first);
        // The statement of the 2nd, which brought 50, is missing: exactly that is the difference.
        take_in(&db, "3.sta", &statement(3, "260703", "1150,00", "10,00", "1160,00", "4711"));
        let third = ("1110.00".into(), Some("1160.00".into()), Some(day("2026-07-03")), Some("50.00".into()));
        assert_eq!(against_bank(&report(&db, None).masters[0]), third);
        assert_eq!(against_bank(&report(&db, Some("2026-12-31")).masters[0]), third);
        // As of a day before it, the bank had told of the first only.
        assert_eq!(against_bank(&report(&db, Some("2026-07-02")).masters[0]), first);
        // Before the cut-over, the bank's balances are history.
        let before = ("0.00".into(), None, None, None);
        assert_eq!(against_bank(&report(&db, Some("2026-06-30")).masters[0]), before);
        // It comes late: newest is by day, not by arrival.
        take_in(&db, "2.sta", &statement(2, "260702", "1100,00", "50,00", "1150,00", "4711"));
        let agreed = ("1160.00".into(), Some("1160.00".into()), Some(day("2026-07-03")), Some("0.00".into()));
        assert_eq!(against_bank(&report(&db, None).masters[0]), agreed);
        assert_eq!(report(&db, None).masters[0].suspense.to_string(), "200.00");
        holds(&db);
    });
}

fn tributary(url: &Url, args: &[&str]) -> String {
    let url = match url {
        Url::Lite(path) => format!("sqlite://{}", path.display()),
        Url::Pg(url) => url.clone(),
    };
    let done = Command::new(env!("CARGO_BIN_EXE_tributary")).args(args).args(["--database", &url]).output();
    let done = done.expect("the binary runs");
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("UTF-8")
}

#[test]
fn commands_show_gaps_and_balances_of_a_moment() {
    on_both(|test| {
        let clock = Arc::new(SetClock::at("2026-07-01T20:00:00Z".parse().unwrap()));
        let db = test.open(Options { clock: clock.clone(), ..Options::default() });
        apply(&db, FILE).unwrap();
        take_in(&db, "1.sta", &statement(1, "260701", "1000,00", "100,00", "1100,00", "4711"));
        clock.set("2026-07-03T20:00:00Z".parse().unwrap());
        take_in(&db, "3.sta", &statement(3, "260703", "1150,00", "10,00", "1160,00", "4711"));
        let gap = "de-eur: no statement between 2026-07-01 and 2026-07-03; 50.00 EUR are missing\n";
        assert!(tributary(&test.url, &["positions"]).ends_with(gap));
        assert!(!tributary(&test.url, &["positions", "--as-of", "2026-07-02"]).contains("no statement"));
        assert!(tributary(&test.url, &["statement", "show"]).ends_with(gap));
        let json = |args: &[&str]| -> Value {
            serde_json::from_str(&tributary(&test.url, &[args, &["--json"]].concat())).expect("JSON")
        };
        let keys: Vec<String> = json(&["positions"]).as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            BTreeSet::from_iter(keys),
            ["as_of", "masters", "positions", "reporting_currency"].map(String::from).into()
        );
        let gap = json!({
            "master": "de-eur", "closed_on": "2026-07-01", "next_closed_on": "2026-07-03", "missing": "50.00", "currency": "EUR"
        });
        assert_eq!(json(&["statement", "show"])["gaps"], json!([gap]));
        // It opens with 40.
        let booked = |args: &[&str]| json(&[&["accounts", "show", "de-eur/suspense"], args].concat())["booked"].clone();
        assert_eq!(booked(&["--as-of", "2026-07-02"]), "140.00");
        assert_eq!(booked(&["--as-of", "2026-07-03", "--basis", "value"]), "150.00");
        assert_eq!(booked(&["--known-at", "2026-07-02T00:00:00Z"]), "140.00");
        assert_eq!(booked(&["--as-of", "2026-07-03", "--known-at", "2026-07-02T00:00:00+00:00"]), "140.00");
        let at = ["accounts", "show", "de-eur/suspense", "--as-of", "2026-07-03", "--known-at", "2026-07-04T00:00:00Z"];
        let said = "de-eur/suspense: 150.00 EUR booked as of the end of 2026-07-03 by booking day as known at 2026-07-04T00:00:00.000000Z\n";
        assert_eq!(tributary(&test.url, &at), said);
    });
}

#[test]
fn what_is_held_is_not_available_and_counts_from_its_day() {
    on_both(|test| {
        let clock = Arc::new(SetClock::at("2026-07-01T06:00:00Z".parse().unwrap()));
        let db = test.open(Options { clock: clock.clone(), ..Options::default() });
        apply(&db, FILE).unwrap();
        clock.set("2026-07-02T23:59:59.999999Z".parse().unwrap());
        let leaf = "de-eur/tiktok/de/operating";
        let account = db.read(|conn| ledger::account(conn, leaf)).unwrap().id;
        let hold = HoldMove { account: AccountId(account), hold: "h1".into(), kind: HoldKind::Placed, amount: 2_550 };
        let entry = NewEntry {
            kind: "hold".into(),
            basis: Basis::Decision,
            description: "Hold".into(),
            booked_on: day("2026-07-02"),
            valued_on: day("2026-07-02"),
            cause: Cause::new("test", "hold"),
            postings: Vec::new(),
            holds: vec![hold],
            reverses: None,
            metadata: None,
        };
        ledger::post(&db, &who(), vec![entry]).unwrap().remove(0).unwrap();
        let amounts = |as_of| {
            let all = report(&db, as_of).positions;
            let p = all.into_iter().find(|p| p.sub_account == leaf).unwrap();
            [p.booked, p.held, p.available].map(|a| a.to_string())
        };
        assert_eq!(amounts(None), ["60.00", "25.50", "34.50"]);
        assert_eq!(amounts(Some("2026-07-02")), ["60.00", "25.50", "34.50"]);
        assert_eq!(amounts(Some("2026-07-01")), ["60.00", "0.00", "60.00"]);
        let totals = report(&db, None).totals().unwrap();
        let tiktok = |currency: &str| totals.iter().find(|t| t.product == "tiktok" && t.currency == currency).unwrap();
        assert_eq!(tiktok("EUR").available.to_string(), "34.50");
        assert_eq!(tiktok("JPY").booked.to_string(), "0");
        holds(&db);
    });
}

#[test]
fn a_leaf_made_later_stands_in_its_place() {
    on_both(|test| {
        let db = test.open(Options::default());
        apply(&db, FILE).unwrap();
        apply(&db, "[[sub_account]]\nmaster = \"de-eur\"\nproduct = \"capcut\"\nmarket = \"DE\"\n").unwrap();
        let report = report(&db, None);
        let keys = report.positions.iter().map(|p| (&p.product, &p.market, &p.currency, &p.master, &p.sub_account));
        assert!(keys.is_sorted());
        assert_eq!(report.positions.len(), 5);
        let master = db.read(|conn| chart::master(conn, "de-eur")).unwrap();
        let leaves = db.read(|conn| chart::leaves(conn, &master.id)).unwrap();
        assert_eq!(leaves.len(), 3 + 5);
    });
}
