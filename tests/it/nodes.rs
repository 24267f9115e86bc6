//! More than one process, node or version on one database, and the settings that durability rests on.

use crate::databases::{BOTH, Engine, TestDb, on_both};
use crate::given::{self, assert_clean, book, inflow, post, transfer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tributary::db::{self, Db, Head, Options};
use tributary::ledger;

fn head(db: &Db) -> Head {
    db.read(db::head).expect("a head")
}

#[test]
fn a_sqlite_file_has_one_writing_process_and_any_number_of_readers() {
    let test = TestDb::new(Engine::Sqlite);
    let first = test.open(Options::default());
    given::treasury(&first, 0..1);
    let no = Db::open(&test.url, Options::default()).err().expect("refused");
    assert_eq!(no.code(), "busy");
    assert!(no.to_string().contains("another Tributary process is writing to"), "{no}");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.args(arguments).args(["--database", &test.url.to_string()]).output().expect("it runs")
    };
    let folder = tempfile::tempdir().expect("a folder");
    let chart = folder.path().join("chart.toml");
    std::fs::write(&chart, given::treasury_text(1..2)).expect("written");
    let chart = chart.to_str().expect("UTF-8");
    let writing = run(&["chart", "apply", chart]);
    let said = String::from_utf8_lossy(&writing.stderr);
    assert_eq!(writing.status.code(), Some(1), "{said}");
    assert!(said.contains("another Tributary process is writing to"), "{said}");
    for reading in [&["check"][..], &["positions", "--json"], &["chart", "show"]] {
        let done = run(reading);
        assert!(done.status.success(), "{reading:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    drop(first);
    let writing = run(&["chart", "apply", chart]);
    assert!(writing.status.success(), "{}", String::from_utf8_lossy(&writing.stderr));
}

#[test]
fn two_nodes_on_one_postgres_lose_no_update() {
    let test = TestDb::new(Engine::Postgres);
    let nodes = [test.open(Options::default()), test.open(Options::default())];
    let book = book(&nodes[0], "b", 2);
    post(&nodes[0], inflow(&book, 0, 800, "start")).expect("posted");
    let before = head(&nodes[0]);
    std::thread::scope(|scope| {
        for (node, db) in nodes.iter().enumerate() {
            for thread in 0..4 {
                let book = &book;
                scope.spawn(move || {
                    for n in 0..100 {
                        // The two threads of a pair, one on each node, race for the same cause.
                        let shared = n % 10 == 0;
                        let cause = if shared { format!("{thread} {n}") } else { format!("{node} {thread} {n}") };
                        post(db, transfer(book, 0, 1, 1, &cause)).expect("posted");
                    }
                });
            }
        }
    });
    for db in &nodes {
        assert_eq!(head(db).entry - before.entry, 760);
        let leaf = db.read(|conn| ledger::account(conn, "b/1")).expect("a leaf");
        assert_eq!(leaf.natural(), 760);
    }
    assert_eq!(given::number(&test.url, "SELECT max(number) - count(*) AS value FROM seals"), 0);
    assert_clean(&nodes[1]);
}

/// How long something may take that takes moments: beyond it the test has failed, and does not wait for ever.
const LONGEST: Duration = Duration::from_secs(120);

/// The backend that holds the writer's lock, found and ended in one statement; `false` when nobody holds it at this moment.
fn end_the_writer(test: &TestDb) -> bool {
    let ended = "SELECT count(*) AS value FROM (SELECT pg_terminate_backend(l.pid) FROM pg_locks l \
                 JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted \
                 AND l.objid = 1953655138 AND a.datname = current_database()) x";
    given::number(&test.url, ended) > 0
}

#[test]
fn what_postgres_acknowledged_survives_the_end_of_the_writers_session() {
    let test = TestDb::new(Engine::Postgres);
    let db = test.open(Options::default());
    let book = book(&db, "b", 2);
    let over = AtomicBool::new(false);
    let (acknowledge, acknowledged) = channel();
    let mut kept: Vec<(String, i64)> = Vec::new();
    std::thread::scope(|scope| {
        let ends = given::Ends(&over);
        for thread in 0..4 {
            let (db, book, over, acknowledge) = (&db, &book, &over, acknowledge.clone());
            scope.spawn(move || {
                for n in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let cause = format!("{thread} {n}");
                    // Who is told of an error asks again with the same cause.
                    let number = loop {
                        match post(db, inflow(book, 0, 1, &cause)) {
                            Ok(posted) => break posted.number,
                            Err(e) => assert_eq!(e.code(), "busy", "{e}"),
                        }
                    };
                    acknowledge.send((cause, number)).expect("the test listens");
                }
            });
        }
        for blow in 0..20 {
            let begun = Instant::now();
            while !end_the_writer(&test) {
                assert!(begun.elapsed() < LONGEST, "the writer was not met at work for blow {blow}");
                kept.extend(acknowledged.try_iter());
            }
            // Work goes on before the next blow.
            for _ in 0..25 {
                kept.push(acknowledged.recv_timeout(LONGEST).expect("work goes on"));
            }
        }
        drop(ends);
        drop(acknowledge);
        kept.extend(acknowledged.iter());
    });
    for (cause, number) in &kept {
        let cause = ledger::Cause::new("test", cause);
        let found = db.read(|conn| ledger::entry_by_cause(conn, &cause)).expect("read");
        assert_eq!(found.map(|e| e.number), Some(*number), "{cause:?}");
    }
    assert_eq!(
        head(&db).entry,
        i64::try_from(kept.len()).expect("a count"),
        "nothing is there that nobody was told of"
    );
    assert_clean(&db);
}

#[test]
fn a_postgres_that_may_lose_commits_is_refused() {
    for setting in ["synchronous_commit = off", "synchronous_commit = local"] {
        for of in ["ALTER DATABASE {} SET", "ALTER ROLE CURRENT_USER IN DATABASE {} SET"] {
            let test = TestDb::new(Engine::Postgres);
            let name = given::texts(&test.url, "SELECT current_database()::text AS value").remove(0);
            given::sql(&test.url, &format!("{} {setting}", of.replace("{}", &name))).expect("set");
            let no = Db::open(&test.url, Options::default()).err().expect("refused");
            assert_eq!(no.code(), "unsafe_database", "{setting}");
            assert!(no.to_string().contains("synchronous_commit"), "{no}");
        }
    }
}

#[test]
fn a_database_of_a_newer_version_is_refused_untouched() {
    on_both(|test| {
        drop(test.open(Options::default()));
        let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')";
        given::sql(&test.url, newer).expect("inserted");
        let clock = Arc::new(tributary::time::SystemClock);
        for refused in [Db::open(&test.url, Options::default()), Db::open_to_read(&test.url, clock)] {
            let no = refused.err().expect("refused");
            assert_eq!(no.code(), "schema_newer", "{no}");
            assert!(no.to_string().contains("99990101000000"), "{no}");
        }
    });
}

#[test]
fn both_databases_have_the_same_tables_columns_and_indexes() {
    let [sqlite, postgres] = BOTH.map(TestDb::new);
    drop((sqlite.open(Options::default()), postgres.open(Options::default())));
    let lite = |query| given::texts(&sqlite.url, query);
    let pg = |query| given::texts(&postgres.url, query);
    let columns = [
        lite(
            "SELECT t.name || '.' || c.cid || ' ' || c.name || CASE WHEN c.\"notnull\" THEN '' ELSE ' or null' END AS value \
             FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' \
             AND t.name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY 1",
        ),
        // Numbered anew: PostgreSQL keeps the places of columns that were dropped.
        pg(
            "SELECT table_name || '.' || (row_number() OVER (PARTITION BY table_name ORDER BY ordinal_position) - 1) || ' ' || column_name || \
            CASE is_nullable WHEN 'NO' THEN '' ELSE ' or null' END COLLATE \"C\" AS value FROM information_schema.columns \
            WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%' ORDER BY 1",
        ),
    ];
    assert!(columns[0].len() > 150, "{} columns", columns[0].len());
    assert_eq!(columns[0], columns[1]);
    let indexes = [
        lite(
            "SELECT tbl_name || ' ' || name AS value FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1",
        ),
        pg(
            "SELECT (i.tablename || ' ' || i.indexname) COLLATE \"C\" AS value FROM pg_indexes i WHERE schemaname = 'public' \
            AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname) ORDER BY 1",
        ),
    ];
    assert!(indexes[0].len() > 10, "{:?}", indexes[0]);
    assert_eq!(indexes[0], indexes[1]);
    let protected = [
        lite("SELECT DISTINCT tbl_name AS value FROM sqlite_master WHERE type = 'trigger' ORDER BY 1"),
        pg(
            "SELECT DISTINCT tgrelid::regclass::text COLLATE \"C\" AS value FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
        ),
    ];
    assert_eq!(protected[0], protected[1]);
}

#[test]
fn a_table_that_has_outgrown_its_statistics_is_analyzed_while_it_is_written_to() {
    let test = TestDb::new(Engine::Postgres);
    let db = test.open(Options::default());
    // Only what is tested here may do it.
    given::sql(&test.url, "ALTER TABLE entries SET (autovacuum_enabled = off)").expect("our own table");
    let known =
        || given::number(&test.url, "SELECT reltuples::bigint AS value FROM pg_class WHERE relname = 'entries'");
    let (book, before) = (given::book(&db, "de-eur", 1), known());
    for round in 1..=200 {
        let cause = |n: i32| format!("{round:03}-{n:04}");
        let some = (0..1_000).map(|n| given::inflow(&book, 0, 1, &cause(n))).collect();
        ledger::post(&db, &given::alice(), some).expect("posted");
        if known() > before.max(0) {
            return;
        }
    }
    panic!("after 200,000 entries the planner still knows of {}", known());
}
