//! Whoever changes the journal by SQL is found: every column of every table of it, one value at a time, rows taken away and
//! rows put in. The tables and columns come from the catalog, so that a new column is tested from its first day.
//!
//! First the database itself refuses: what is append-only says so. Then, as an administrator could, triggers and constraints
//! are dropped and only `check` is left.

use crate::databases::{Engine, TestDb, on_both};
use crate::given::{self, Dice, alice, assert_clean, camt, day, line, number, sql, statement, texts, treasury};
use std::io::Read;
use tributary::allocation::{self, intake, settlement, settlement_file};
use tributary::app;
use tributary::db::{Db, Options};
use tributary::expectations;
use tributary::ledger::{self, AccountId, HoldKind, HoldMove};

/// Whose every column is proved.
const JOURNAL: [&str; 7] = ["seals", "events", "entries", "postings", "holds", "balances", "day_totals"];

/// Whose columns are proved as far as money depends on them.
const TREASURY: [&str; 7] =
    ["accounts", "lines", "routes", "statements", "expectations", "settlements", "settlement_lines"];

/// Columns of [`TREASURY`] that no seal covers, by table: what the bank wrote beside days and amounts, for which the file as
/// received is the proof, and why a line was routed, which may name persons and is therefore not sealed. No balance follows
/// from them.
const UNPROVED: [(&str, &[&str]); 4] = [
    ("accounts", &[]),
    (
        "lines",
        &[
            "place",
            "identity",
            "reversal",
            "bank_ref",
            "owner_ref",
            "end_to_end_id",
            "code",
            "counterparty_name",
            "counterparty_account",
            "ultimate_name",
            "own_account",
            "creditor_reference",
            "remittance",
            "info",
            "return_reason",
            "detail_count",
            "charges",
        ],
    ),
    ("routes", &["evidence", "rule", "version", "matched", "sentence"]),
    ("statements", &["same_as"]),
];

/// A treasury with everything in it that can be tampered with.
fn prepared(test: &TestDb) {
    let db = test.open(Options::default());
    treasury(&db, 0..2);
    let booked: Vec<_> = ["tiktok 1", "douyin 2", "nobody's", "capcut 4", "tiktok 1"]
        .iter()
        .zip(1..)
        .flat_map(|(text, n)| [line(day(2), 10_000 * n, text), line(day(3), -100 * n, text)])
        .collect();
    for (number, days) in [(1, (2, 2)), (2, (3, 3)), (3, (2, 3))] {
        let id = format!("S{number}");
        let bytes = camt(&id, &[statement(0, &id, number, days, &booked)]);
        let open = || Ok(Box::new(std::io::Cursor::new(bytes.clone())) as Box<dyn Read>);
        intake::take_in(&db, &alice(), (&id, "test"), &open, &mut |_, _| {}).expect("taken in");
    }
    let waiting = db.read(|conn| allocation::waiting(conn, None)).expect("read").remove(0).line;
    let placed = waiting.clone();
    let place = move |tx: &mut tributary::db::Tx<'_>| {
        allocation::reroute(tx, &waiting, "m00/tiktok/de/operating", "the payer called").map(drop)
    };
    db.write("route.place", &alice(), place).expect("placed");
    announce(&db, placed);
    move_holds(&db);
    let refused = |_: &mut tributary::db::Tx<'_>| Err::<(), _>(ledger::Refusal::Empty.into());
    db.write("test.refused", &alice(), refused).expect_err("refused");
    assert_clean(&db);
}

/// Expected receipts that are met by this line, cancelled and open; settlements that are carried out, cancelled and waiting.
fn announce(db: &Db, line: String) {
    let csv = "key,leaf,amount,from,until,reference,account,note,metadata\n\
        A,m00/tiktok/de/operating,300.00,2026-03-01,2026-03-09,INV-A,DE89370400440532013000,a note,{}\n\
        B,m00/douyin/de/operating,1.00..2.00,2026-03-01,2026-03-09,,,,\n\
        C,m00/douyin/de/operating,5.00,2026-03-01,2026-03-09,INV-C,DE89370400440532013000,a note,{}\n";
    let asked = expectations::file::read(csv.as_bytes()).expect("a file");
    let head = "settlement,master,platform,currency,total,paid_on,payer_account,reference,leaf,gross,commission,tax,net,item,item_date";
    let row = |code: &str, total: &str| {
        format!(
            "{code},m00,Platform,EUR,{total},2026-03-01,DE89370400440532013000,REF-1,m00/tiktok/de/operating,{total},0,0,{total},i,2026-03-01"
        )
    };
    let csv = [head.to_owned(), row("S1", "-3.00"), row("S2", "-4.00"), row("S3", "-5.00")].join("\n");
    let read = settlement_file::read("f.csv", csv.as_bytes()).expect("a file");
    let waits = db.read(|conn| allocation::waiting(conn, None)).expect("read").remove(0).line;
    let all = move |tx: &mut tributary::db::Tx<'_>| {
        expectations::add(tx, &asked)?;
        allocation::announced::meet(tx, "A", &line, "the payer called")?;
        expectations::cancel(tx, "B", "not needed")?;
        settlement::import(tx, "f.csv", &read)?;
        settlement::apply(tx, "S1", &waits)?;
        settlement::cancel(tx, "S2", "not needed")
    };
    db.write("test.announced", &alice(), all).expect("announced");
}

/// Transfers, holds in all their kinds, and a reversal.
fn move_holds(db: &Db) {
    let account = |code: &str| AccountId(db.read(|conn| ledger::account(conn, code)).expect("an account").id);
    let (from, to) = (account("m00/tiktok/de/operating"), account("m00/douyin/de/operating"));
    let mut number = 0;
    let mut post = |postings: &[(AccountId, i64)], holds: &[(&str, HoldKind, i64)]| {
        number += 1;
        let mut entry = given::entry(&number.to_string(), ledger::Basis::Decision, postings);
        (entry.booked_on, entry.valued_on) = (day(4), day(5));
        entry.metadata = Some("{}".to_owned());
        entry.holds = holds
            .iter()
            .map(|(hold, kind, amount)| HoldMove {
                account: from,
                hold: (*hold).to_owned(),
                kind: *kind,
                amount: *amount,
            })
            .collect();
        given::post(db, entry).expect("posted").number
    };
    post(&[], &[("h1", HoldKind::Placed, 900), ("h2", HoldKind::Placed, 50)]);
    post(&[(from, 400), (to, -400)], &[("h1", HoldKind::Consumed, 400)]);
    post(&[], &[("h1", HoldKind::Released, 100), ("h2", HoldKind::Expired, 20)]);
    let taken_back = post(&[(from, 7), (to, -7)], &[]);
    let reverse = move |tx: &mut tributary::db::Tx<'_>| ledger::reverse(tx, taken_back, day(6), "a slip").map(drop);
    db.write("entry.reverse", &alice(), reverse).expect("reversed");
}

/// A column, as both catalogs know it.
struct Column {
    table: String,
    name: String,
    kind: String,
}

/// All columns of these tables, with their types in PostgreSQL.
fn columns(tables: &[&str]) -> Vec<Column> {
    let postgres = TestDb::new(Engine::Postgres);
    let query = "SELECT table_name || ' ' || column_name || ' ' || split_part(data_type, ' ', 1) AS value \
                 FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position";
    let all = texts(&postgres.url, query).into_iter().filter_map(|text| {
        let [table, name, kind] = text.splitn(3, ' ').collect::<Vec<_>>().try_into().expect("three words");
        let column = Column { table: table.to_owned(), name: name.to_owned(), kind: kind.to_owned() };
        tables.contains(&table).then_some(column)
    });
    let all: Vec<Column> = all.collect();
    assert!(tables.iter().all(|t| all.iter().any(|c| c.table == *t)), "every table is in the catalog");
    all
}

/// Another value of a column's type, as an expression of the present one.
fn other_value(engine: Engine, column: &Column) -> String {
    let Column { table, name, kind } = column;
    // Values that pass for real ones, where states and kinds have a list.
    let plausible = match (table.as_str(), name.as_str()) {
        ("accounts", "kind") => Some("CASE kind WHEN 'leaf' THEN 'house' ELSE 'leaf' END"),
        ("accounts", "state") => Some("CASE state WHEN 'open' THEN 'closed' ELSE 'open' END"),
        ("accounts", "currency") => Some("'USD'"),
        ("lines", "posting") => Some("CASE posting WHEN 'posted' THEN 'history' ELSE 'posted' END"),
        ("lines", "facet") => Some("'notified'"),
        ("statements", "state") => Some("CASE state WHEN 'posted' THEN 'quarantined' ELSE 'posted' END"),
        ("entries", "basis") => Some("CASE basis WHEN 'fact' THEN 'decision' ELSE 'fact' END"),
        ("holds", "kind") => Some("CASE kind WHEN 'released' THEN 'expired' ELSE 'released' END"),
        ("expectations", "state") => Some("CASE state WHEN 'open' THEN 'cancelled' ELSE 'open' END"),
        ("settlements", "state") => Some("CASE state WHEN 'waiting' THEN 'cancelled' ELSE 'waiting' END"),
        ("routes", "evidence") => Some("CASE evidence WHEN 'rule' THEN 'person' ELSE 'rule' END"),
        _ => None,
    };
    if let Some(expression) = plausible {
        return expression.to_owned();
    }
    match (kind.as_str(), engine) {
        ("bigint", _) => format!("COALESCE({name} + 1, 1)"),
        ("text", _) => format!("COALESCE({name} || 'x', 'x')"),
        ("boolean", _) => format!("NOT {name}"),
        ("date", Engine::Sqlite) => format!("date({name}, '+400 days')"),
        ("date", Engine::Postgres) => format!("{name} + 400"),
        ("timestamp", _) => "'2001-02-03 04:05:06'".to_owned(),
        ("bytea", Engine::Sqlite) => format!("zeroblob(length({name}))"),
        ("bytea", Engine::Postgres) => format!("decode(repeat('00', length({name})), 'hex')"),
        (other, _) => panic!("{table}.{name} is {other}: say how to change it"),
    }
}

/// A table under attack: rows can be changed past all constraints, and put back.
struct Victim<'a> {
    test: &'a TestDb,
    table: String,
    key: String,
}

impl<'a> Victim<'a> {
    fn new(test: &'a TestDb, table: &str) -> Self {
        let query = match test.engine {
            Engine::Sqlite => {
                format!("SELECT name AS value FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk")
            }
            Engine::Postgres => format!(
                "SELECT column_name::text AS value FROM information_schema.key_column_usage \
                 WHERE table_name = '{table}' AND constraint_name = '{table}_pkey' ORDER BY ordinal_position"
            ),
        };
        let key = texts(&test.url, &query).join(", ");
        let victim = Victim { test, table: table.to_owned(), key };
        victim.run(&format!("CREATE TABLE IF NOT EXISTS {table}_kept AS SELECT * FROM {table}")).expect("kept");
        victim
    }

    fn run(&self, statements: &str) -> Result<(), String> {
        let lawless = match self.test.engine {
            Engine::Sqlite => "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON",
            Engine::Postgres => "SET session_replication_role = replica",
        };
        sql(&self.test.url, &format!("{lawless}; {statements}"))
    }

    fn rows(&self) -> u64 {
        u64::try_from(number(&self.test.url, &format!("SELECT count(*) AS value FROM {}", self.table)))
            .expect("a count")
    }

    /// One row, by its key.
    fn row(&self, place: u64) -> String {
        let Victim { table, key, .. } = self;
        format!("({key}) = (SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {place})")
    }

    fn restore(&self) {
        let table = &self.table;
        self.run(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM {table}_kept")).expect("restored");
    }

    /// Whether check sees what is done here, after which it is undone; says what it saw.
    fn is_seen(&self, db: &Db, attack: &str) -> bool {
        self.run(attack).unwrap_or_else(|e| panic!("{attack}: {e}"));
        let seen = app::check(db, |_, _| {}).unwrap_or_else(|e| panic!("{attack}: check gives up: {e}"));
        self.restore();
        !seen.is_empty()
    }
}

/// As an administrator would, before going to work.
pub fn drop_protection(test: &TestDb) {
    let queries = match test.engine {
        Engine::Sqlite => vec!["SELECT 'DROP TRIGGER ' || name AS value FROM sqlite_master WHERE type = 'trigger'"],
        Engine::Postgres => vec![
            "SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) AS value FROM pg_trigger WHERE NOT tgisinternal",
            "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS value FROM pg_constraint \
             WHERE contype = 'c' AND conrelid > 0 AND connamespace = 'public'::regnamespace",
        ],
    };
    for statement in queries.into_iter().flat_map(|query| texts(&test.url, query)) {
        sql(&test.url, &statement).expect("dropped");
    }
}

#[test]
fn the_database_refuses_to_change_what_is_append_only() {
    on_both(|test| {
        prepared(test);
        for table in ["seals", "events", "entries", "postings", "holds"] {
            let before = number(&test.url, &format!("SELECT count(*) AS value FROM {table}"));
            assert!(before > 0, "{table} has rows to protect");
            let column = columns(&[table]).remove(0).name;
            for attack in [format!("UPDATE {table} SET {column} = {column}"), format!("DELETE FROM {table}")] {
                let no = sql(&test.url, &attack).expect_err("refused");
                assert!(no.contains(&format!("I2: {table} are append-only")), "{attack}: {no}");
            }
            assert_eq!(number(&test.url, &format!("SELECT count(*) AS value FROM {table}")), before);
        }
        assert_clean(&test.open(Options::default()));
    });
}

#[test]
fn every_changed_value_is_seen() {
    let columns = columns(&[&JOURNAL[..], &TREASURY[..]].concat());
    on_both(|test| {
        prepared(test);
        drop_protection(test);
        let db = test.open(Options::default());
        let mut dice = Dice::new(11);
        let mut unseen = Vec::new();
        for column in &columns {
            let Column { table, name, .. } = column;
            let victim = Victim::new(test, table);
            if UNPROVED.iter().any(|(of, columns)| of == table && columns.contains(&name.as_str())) {
                continue;
            }
            // A few rows of each: the first and last are special, and chance finds what nobody thought of.
            let rows = victim.rows();
            assert!(rows > 1, "{table} has rows to change");
            let places = [0, rows - 1, dice.below(rows), dice.below(rows)];
            for place in places {
                let row = victim.row(place);
                let value = other_value(test.engine, column);
                // The row after may have this key already.
                let attack = format!("UPDATE {table} SET {name} = {value} WHERE {row}");
                let far = attack.replace(" + 1,", " + 1000003,");
                let attack = if victim.run(&format!("BEGIN; {attack}; ROLLBACK")).is_ok() { attack } else { far };
                if !victim.is_seen(&db, &attack) {
                    unseen.push(format!("{table}.{name} in row {place}"));
                }
            }
        }
        assert!(unseen.is_empty(), "check does not see a change of\n  {}", unseen.join("\n  "));
        assert_clean(&db);
    });
}

#[test]
fn rows_taken_away_or_put_in_are_seen() {
    on_both(|test| {
        prepared(test);
        drop_protection(test);
        let db = test.open(Options::default());
        let mut unseen = Vec::new();
        for table in [&JOURNAL[..], &TREASURY[..]].concat() {
            let victim = Victim::new(test, table);
            let all = columns(&[table]);
            for place in 0..victim.rows() {
                let row = victim.row(place);
                if !victim.is_seen(&db, &format!("DELETE FROM {table} WHERE {row}")) {
                    unseen.push(format!("row {place} taken out of {table}"));
                }
            }
            // The same again under another key.
            let unique = ["code", "key", "identity", "cause_id", "file", "place", "reverses"];
            let copied: Vec<String> = all
                .iter()
                .map(|c| match &c.name {
                    name if victim.key.split(", ").next() == Some(name) || unique.contains(&name.as_str()) => {
                        match c.kind.as_str() {
                            "bigint" => format!("{name} + 1000003"),
                            "bytea" => other_value(test.engine, c),
                            _ => format!("{name} || 'x'"),
                        }
                    }
                    name => name.clone(),
                })
                .collect();
            let row = victim.row(victim.rows() - 1);
            let attack = format!("INSERT INTO {table} SELECT {} FROM {table} WHERE {row}", copied.join(", "));
            if !victim.is_seen(&db, &attack) {
                unseen.push(format!("a row put into {table}"));
            }
        }
        assert!(unseen.is_empty(), "check does not see\n  {}", unseen.join("\n  "));
        assert_clean(&db);
    });
}
