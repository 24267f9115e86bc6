//! What questions go by besides the books, on both databases: calendars, rates, positions in one currency, sheets of
//! sub-accounts, statements that are due.

use crate::chart::{FILE, apply, day, holds, who};
use crate::databases::on_both;
use crate::given::{sql, texts};
use serde_json::Value;
use std::io::{Cursor, Read};
use std::process::Command;
use std::sync::Arc;
use tributary::allocation::intake;
use tributary::calendars;
use tributary::chart;
use tributary::db::{Db, Options, Url, head};
use tributary::error::{Error, Result};
use tributary::ledger;
use tributary::positions::{Report, positions_in};
use tributary::rates::{self, Asked, Imported};
use tributary::scope::Scope;
use tributary::statements::due;
use tributary::time::SetClock;

/// The treasury of the tests, with a calendar of its own for Tokyo and settings.
fn with_settings() -> String {
    let top = "reporting_currency = \"EUR\"\n[rates]\nsource = \"house\"\nstale_after = 1\ncalendar = \"target\"\n\
               [[calendar]]\ncode = \"jp\"\nname = \"Japan\"\nholidays = { \"2026-07-20\" = \"Marine Day\" }\n";
    let zone = "time_zone = \"Asia/Tokyo\"";
    format!("{top}{}", FILE.replace(zone, &format!("{zone}\ncalendar = \"jp\"\nstatement_by = \"09:00\"")))
}

fn at(instant: &str) -> (Arc<SetClock>, Options) {
    let clock = Arc::new(SetClock::at(instant.parse().expect("an instant")));
    (clock.clone(), Options { clock, ..Options::default() })
}

fn import(db: &Db, source: &'static str, csv: &str) -> Result<Imported> {
    let file = rates::read(csv.as_bytes()).map_err(rates::Refusal::Problems)?;
    db.write("rates.import", &who(), move |tx| rates::import(tx, source, &file, "sha"))
}

fn asked(on: &str) -> Asked {
    Asked { source: None, on: day(on), known_at: None }
}

#[test]
fn a_master_follows_its_calendar_which_is_declared_once() {
    on_both(|test| {
        let db = test.open(Options::default());
        apply(&db, &with_settings()).unwrap();
        let before = db.read(head).unwrap();
        assert!(apply(&db, &with_settings()).unwrap().nothing_new());
        assert_eq!(db.read(head).unwrap(), before);
        let master = db.read(|conn| chart::master(conn, "jp-jpy")).unwrap();
        let schedule = (master.calendar.as_str(), master.statement_by.as_deref(), master.report_by);
        assert_eq!(schedule, ("jp", Some("09:00"), None));
        assert_eq!(db.read(|conn| chart::master(conn, "de-eur")).unwrap().calendar, "weekdays");
        let jp = db.read(|conn| calendars::calendar(conn, "jp")).unwrap();
        assert!(!jp.is_business_day(day("2026-07-20")) && jp.is_business_day(day("2026-07-21")));
        assert!(jp.knows(2026) && !jp.knows(2027));
        // Another day of the year takes the place of the first; an event tells of both.
        apply(&db, "[[calendar]]\ncode = \"jp\"\nholidays = { \"2026-07-21\" = \"Marine Day\" }\n").unwrap();
        let jp = db.read(|conn| calendars::calendar(conn, "jp")).unwrap();
        assert!(jp.is_business_day(day("2026-07-20")) && !jp.is_business_day(day("2026-07-21")));
        let told = texts(
            &test.url,
            "SELECT before AS value FROM events WHERE kind = 'calendar.declared' AND before IS NOT NULL",
        );
        assert!(told.len() == 1 && told[0].contains("2026-07-20"), "{told:?}");
        // What cannot be is named with its place, and none of it is taken.
        let bad = with_settings().replace("\"jp\"\nstatement_by = \"09:00\"", "\"mars\"\nstatement_by = \"9:00\"");
        let no = apply(&db, &bad).unwrap_err().to_string();
        assert!(
            no.contains("calendar: there is no calendar \"mars\"") && no.contains("statement_by: \"9:00\""),
            "{no}"
        );
        let no = apply(&db, "[[calendar]]\ncode = \"target\"\nweekend = [\"someday\"]\n").unwrap_err();
        assert_eq!(no.code(), "bad_calendar");
        holds(&db);
    });
}

#[test]
fn a_rate_is_never_changed_and_a_correction_is_the_next_version() {
    on_both(|test| {
        let (clock, options) = at("2026-07-03T16:00:00Z");
        let db = test.open(options);
        apply(&db, FILE).unwrap();
        let csv =
            "date,base,currency,rate\n2026-07-01,EUR,USD,1.0500\n2026-07-03,EUR,USD,1.0800\n2026-07-03,EUR,JPY,160\n";
        assert_eq!(import(&db, "house", csv).unwrap().new, 3);
        let before = db.read(head).unwrap();
        let again = import(&db, "house", &csv.replace("1.0500", "1.05")).unwrap();
        assert_eq!((again.new, again.corrected.len(), again.unchanged), (0, 0, 3));
        assert_eq!(db.read(head).unwrap(), before, "the same file again changes nothing");
        clock.set("2026-07-04T09:00:00Z".parse().unwrap());
        let corrected = import(&db, "house", &csv.replace("1.0800", "1.0900")).unwrap();
        assert_eq!((corrected.new, corrected.corrected[0].version), (0, 2));
        let quote = |asked: &Asked| db.read(|conn| rates::quotes(conn, asked)).unwrap().quotes["USD"].clone();
        let now = quote(&asked("2026-07-06"));
        assert_eq!((now.id.as_str(), now.rate.to_string()), ("house/USD/2026-07-03/2", "1.0900".to_owned()));
        // Friday's rate is one business day old on Monday.
        assert_eq!((now.age, now.stale), (1, false));
        assert!(quote(&asked("2026-07-08")).stale);
        let known_at = Some("2026-07-03T20:00:00Z".parse().unwrap());
        assert_eq!(quote(&Asked { known_at, ..asked("2026-07-06") }).id, "house/USD/2026-07-03/1");
        assert_eq!(quote(&asked("2026-07-02")).id, "house/USD/2026-07-01/1");
        assert!(db.read(|conn| rates::quotes(conn, &asked("2026-06-30"))).unwrap().quotes.is_empty());
        // Whoever changes one past the door is refused by the database itself.
        for attack in ["UPDATE rates SET rate = '1'", "DELETE FROM rates"] {
            assert!(sql(&test.url, attack).unwrap_err().contains("I2: rates are append-only"), "{attack}");
        }
        let code = |result: Result<Imported>| result.map(|_| ()).map_err(|e| e.code());
        let head_line = "date,base,currency,rate\n";
        assert_eq!(code(import(&db, "house", &format!("{head_line}2026-07-01,USD,EUR,0.9\n"))), Err("conflict"));
        assert_eq!(code(import(&db, "house", &format!("{head_line}2062-07-01,EUR,USD,1.1\n"))), Err("bad_rates"));
        import(&db, "other", &format!("{head_line}2026-07-01,USD,EUR,0.9\n")).unwrap();
        let two = db.read(|conn| rates::quotes(conn, &asked("2026-07-06"))).unwrap_err();
        assert_eq!(two.code(), "which_rates");
        holds(&db);
    });
}

#[test]
fn positions_in_one_currency_name_their_rates_and_miss_what_is_missing() {
    on_both(|test| {
        let db = test.open(Options::default());
        let file = with_settings().replace(
            "opening = \"-5000\"",
            "opening = \"50000\"\nopening_shares = [ { leaf = \"jp-jpy/tiktok/jp/operating\", amount = \"50000\" } ]",
        );
        apply(&db, &file).unwrap();
        let csv = "date,base,currency,rate\n2026-06-30,EUR,JPY,150\n2026-07-03,EUR,JPY,160\n2026-07-03,EUR,USD,1.25\n";
        import(&db, "house", csv).unwrap();
        let report = |into: &str, on: &str| -> Report {
            db.read(|conn| positions_in(conn, &Scope::everything(), Some(day(on)), into.parse().unwrap(), &asked(on)))
                .unwrap()
        };
        let eur = report("EUR", "2026-07-03");
        let totals = &eur.reporting.as_ref().unwrap().totals;
        let text = |amount: Option<tributary::positions::Amount>| amount.map(|a| a.to_string());
        let of = |all: &[tributary::positions::TotalInReporting], name: &str| {
            text(all.iter().find(|t| t.of == name).unwrap().booked)
        };
        // 60 EUR and 50000 / 160.
        assert_eq!(of(&totals.by_product, "tiktok").as_deref(), Some("372.50"));
        assert_eq!(of(&totals.by_market, "JP").as_deref(), Some("312.50"));
        assert_eq!(of(&totals.by_currency, "EUR").as_deref(), Some("60.00"));
        assert_eq!(text(totals.all.booked).as_deref(), Some("372.50"));
        let jpy = eur.positions.iter().find(|p| p.currency == "JPY").unwrap().in_reporting.as_ref().unwrap();
        assert_eq!(
            (text(jpy.booked).as_deref(), jpy.rates.as_slice()),
            (Some("312.50"), &["house/JPY/2026-07-03/1".to_owned()][..])
        );
        // Through the base; and with the last rate before the day.
        assert_eq!(text(report("USD", "2026-07-03").reporting.unwrap().totals.all.booked).as_deref(), Some("465.62"));
        let earlier = report("EUR", "2026-07-02").reporting.unwrap();
        assert_eq!(text(earlier.totals.all.booked).as_deref(), Some("393.33"));
        // No rate of the dollar yet: its leaf is missing, and spoils no total, since it is at zero.
        assert_eq!(earlier.missing_rates, ["USD"]);
        let gbp = report("GBP", "2026-07-03");
        let reporting = gbp.reporting.as_ref().unwrap();
        assert_eq!((reporting.missing_rates.as_slice(), reporting.totals.all.booked), (&["GBP".to_owned()][..], None));
        assert!(gbp.positions.iter().all(|p| p.in_reporting.as_ref().unwrap().booked.is_none()));
        // The command uses the settings by default.
        let shown: Value =
            serde_json::from_str(&run(&test.url, &["positions", "--as-of", "2026-07-03", "--json"]).0).unwrap();
        assert_eq!(
            (&shown["reporting_currency"], &shown["totals"]["all"]["booked"]),
            (&"EUR".into(), &"372.50".into())
        );
        assert_eq!(shown["rates"].as_array().unwrap().len(), 2);
        let (text, _) = run(&test.url, &["positions", "--in", "GBP", "--as-of", "2026-07-03"]);
        assert!(text.contains("missing, not zero") && text.contains(" total     JPY"), "{text}");
    });
}

/// What a command prints, and whether it succeeded.
fn run(url: &Url, args: &[&str]) -> (String, bool) {
    let url = match url {
        Url::Lite(path) => format!("sqlite://{}", path.display()),
        Url::Pg(url) => url.clone(),
    };
    let done = Command::new(env!("CARGO_BIN_EXE_tributary")).args(args).args(["--database", &url]).output();
    let done = done.expect("the binary runs");
    (String::from_utf8(done.stdout).expect("UTF-8"), done.status.success())
}

fn import_sheet(db: &Db, text: &str) -> Result<chart::Applied> {
    let sheet = chart::read_sheet(text).map_err(chart::Refusal::Sheet)?;
    db.write("chart.import", &who(), move |tx| chart::import(tx, &sheet))
}

#[test]
fn ten_thousand_sub_accounts_are_made_at_once_and_come_back_as_the_same_sheet() {
    on_both(|test| {
        let db = test.open(Options::default());
        apply(&db, FILE).unwrap();
        let row = |n: u32| format!("de-eur/tiktok/de/x{n},=Name {n},bd-jp,-1.00,1000.00,5.00,2030-12-31,{n},\n");
        let rows: String = (0..10_000).map(row).collect();
        let sheet =
            format!("code,name,owner,floor,ceiling,movement_limit,expires_on,metadata.n,metadata.cost_centre\n{rows}");
        let applied = import_sheet(&db, &sheet).unwrap();
        assert_eq!(applied.leaves.len(), 10_000);
        let before = db.read(head).unwrap();
        let exported = db.read(|conn| chart::export(conn, None)).unwrap();
        assert_eq!(exported.lines().count(), 1 + 10_004);
        assert!(exported.contains(",'=Name 7,leaf,tiktok,DE,bd-jp,-1.00,1000.00,5.00,2030-12-31,"));
        for same in [sheet.as_str(), exported.as_str()] {
            assert!(import_sheet(&db, same).unwrap().nothing_new());
        }
        assert_eq!(db.read(head).unwrap(), before);
        let account = db.read(|conn| ledger::account(conn, "de-eur/tiktok/de/x7")).unwrap();
        assert_eq!((account.floor, account.ceiling, account.movement_limit), (Some(-100), Some(100_000), Some(500)));
        // The sheet is how they are changed, too: a column that is not there stays, an empty cell takes away.
        let changed = import_sheet(&db, "code,name,ceiling,metadata.n\nde-eur/tiktok/de/x7,Seven,,\n").unwrap();
        assert_eq!(changed.updated, ["sub_account de-eur/tiktok/de/x7", "limits of de-eur/tiktok/de/x7"]);
        let account = db.read(|conn| ledger::account(conn, "de-eur/tiktok/de/x7")).unwrap();
        assert_eq!((account.floor, account.ceiling, account.movement_limit), (Some(-100), None, Some(500)));
        holds(&db);
    });
}

#[test]
fn a_sheet_with_problems_names_each_line_and_changes_nothing() {
    on_both(|test| {
        let db = test.open(Options::default());
        apply(&db, FILE).unwrap();
        let count = || db.read(ledger::accounts).unwrap().len();
        let before = count();
        let bad = "code,product,owner,ceiling,virtual_number\nde-eur/tiktok/de/fine,,,1.00,\nde-eur/nope/de/a,,,,\n\
                   de-eur/tiktok/de/b,capcut,,,\nxx/tiktok/de/c,,nobody,,\nde-eur/tiktok/de/operating,,bd-jp,1.005,DE1\n\
                   de-eur/tiktok/de/d,,,-1,\nde-eur/tiktok/de/fine,,,,\n";
        let Err(Error::Refused { code, message }) = import_sheet(&db, bad) else { panic!("refused") };
        let lines: Vec<&str> = message.lines().skip(1).map(|l| l.trim().split(": ").next().unwrap()).collect();
        assert_eq!(code, "bad_sheet");
        assert_eq!(
            lines,
            ["line 3", "line 4", "line 5", "line 5", "line 6", "line 6", "line 7", "line 8"],
            "{message}"
        );
        let other_owner =
            import_sheet(&db, "code,owner\nde-eur/tiktok/de/new,\nde-eur/tiktok/de/operating,bd-jp\n").unwrap_err();
        assert!(other_owner.to_string().contains("line 3: owner: it is bd-de and cannot change"), "{other_owner}");
        assert_eq!(count(), before);
        holds(&db);
    });
}

#[test]
fn a_statement_that_is_not_here_by_its_time_is_missing_until_it_comes() {
    on_both(|test| {
        let db = test.open(Options::default());
        let zone = "time_zone = \"Europe/Berlin\"";
        apply(&db, &FILE.replace(zone, &format!("{zone}\ncalendar = \"target\"\nstatement_by = \"09:00\""))).unwrap();
        let missing = |at: &str| -> Vec<String> {
            let list = db.read(|conn| due::due_list(conn, None, None, at.parse().unwrap())).unwrap();
            assert_eq!(list.without_expectation, ["jp-jpy", "jp-usd"]);
            list.missing.iter().map(|m| format!("{} {}", m.master, m.due.day)).collect()
        };
        assert!(missing("2026-07-02T06:59:59Z").is_empty());
        assert_eq!(missing("2026-07-02T07:00:00Z"), ["de-eur 2026-07-01"]);
        let take_in = |number: u32, on: &str, opening: &str, closing: &str| {
            let text = format!(
                ":20:S{number}\r\n:25:37040044/0532013000EUR\r\n:28C:{number}/1\r\n:60F:C{on}EUR{opening}\r\n\
                 :61:{on}{}C10,00NTRFNONREF//B{number}\r\n:62F:C{on}EUR{closing}\r\n-\r\n",
                &on[2..]
            );
            let open = || Ok(Box::new(Cursor::new(text.clone().into_bytes())) as Box<dyn Read>);
            let taken = intake::take_in(&db, &who(), ("s.sta", "test"), &open, &mut |_, _| {}).expect("a statement");
            assert!(taken.statements.iter().all(|s| s.state == "posted"), "{:?}", taken.statements);
        };
        take_in(1, "260701", "1000,00", "1010,00");
        assert!(missing("2026-07-02T07:00:00Z").is_empty());
        // Nothing was booked on the 2nd, which the statement of the 3rd shows; of the 6th one is missing.
        assert_eq!(missing("2026-07-03T07:00:00Z"), ["de-eur 2026-07-02"]);
        take_in(2, "260703", "1010,00", "1020,00");
        assert!(missing("2026-07-06T07:00:00Z").is_empty());
        take_in(4, "260707", "1030,00", "1040,00");
        assert_eq!(missing("2026-07-08T07:00:00Z"), ["de-eur 2026-07-06"]);
        let (text, ok) = run(&test.url, &["statement", "due", "--fail", "--at", "2026-07-08T07:00:00Z"]);
        assert!(!ok && text.contains("de-eur   statement   2026-07-06"), "{text}");
        take_in(3, "260706", "1020,00", "1030,00");
        assert!(run(&test.url, &["statement", "due", "--fail", "--at", "2026-07-08T07:00:00Z"]).1);
    });
}

#[test]
fn the_description_of_the_treasury_file_names_every_key() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("a file");
    let described = [read("docs/treasury-file.md"), read("docs/rules.md")];
    // In the text as `key` or `key = value`, in the head of a table as [[key]], in an example at the beginning of a line.
    let names = |text: &str, f: &str| {
        let forms =
            [format!("`{f}`"), format!("`{f} ="), format!("`[[{f}]]`"), format!("`[{f}]`"), format!("\n{f} = ")];
        forms.iter().any(|form| text.contains(form))
    };
    let mut missing = Vec::new();
    for (path, page) in [
        ("src/chart/file.rs", 0),
        ("src/calendars/declare.rs", 0),
        ("src/rates/settings.rs", 0),
        ("src/app.rs", 0),
        ("src/allocation/rules.rs", 1),
    ] {
        let text = read(path);
        // The structs that are read from the file, and their fields.
        let read_from_file =
            text.split("#[derive(").skip(1).filter(|s| s.split(")]").next().is_some_and(|d| d.contains("Deserialize")));
        for of in read_from_file {
            let body =
                of.split_once('{').map(|(_, rest)| rest.split("\n}").next().unwrap_or_default()).unwrap_or_default();
            let fields =
                body.lines().filter_map(|l| l.trim().strip_prefix("pub ")?.split_once(':').map(|(name, _)| name));
            let named = |f: &str| if f == "returned" { "return" } else { f }.to_owned();
            missing.extend(fields.map(named).filter(|f| !names(&described[page], f)));
        }
    }
    assert!(missing.is_empty(), "docs/treasury-file.md and docs/rules.md do not describe {missing:?}");
    assert!(described[0].matches('`').count() > 100);
}

#[test]
fn the_example_of_the_description_is_a_treasury() {
    on_both(|test| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/treasury-file.md");
        let text = std::fs::read_to_string(path).expect("the description");
        let example = text.split("```toml\n").nth(1).and_then(|t| t.split("```").next()).expect("an example");
        let db = test.open(Options::default());
        let applied = apply(&db, example).unwrap();
        assert_eq!((applied.masters.len(), applied.leaves.len()), (1, 2));
        holds(&db);
    });
}
