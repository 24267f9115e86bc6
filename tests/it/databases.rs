//! A fresh database for each test, on both engines: a file of its own, a PostgreSQL database of its own. Nothing is shared,
//! so tests run side by side and in any order, and nothing is faked: what passes here passes in production's databases.
//!
//! Without a PostgreSQL the tests fail rather than run on half of what we promise.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tributary::db::{Db, Options, Url};

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file.
    Sqlite,
    /// A database on the server that `TRIBUTARY_TEST_POSTGRES` names.
    Postgres,
}

/// Every engine that each behaviour must be the same on.
pub const BOTH: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Sqlite => "SQLite",
            Engine::Postgres => "PostgreSQL",
        })
    }
}

/// A database that lasts as long as this value. Drop every [`Db`] on it first: PostgreSQL throws out who is still connected.
pub struct TestDb {
    /// Where it is, for [`Db::open`] and `--database`.
    pub url: Url,
    /// Which engine it is on.
    pub engine: Engine,
    /// The SQLite file's folder, removed with this value.
    _folder: Option<tempfile::TempDir>,
}

impl TestDb {
    /// A database with all tables and no rows.
    pub fn new(engine: Engine) -> TestDb {
        match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let file = folder.path().join("test.sqlite");
                std::fs::write(&file, lite_template()).expect("the file is written");
                TestDb { url: Url::Lite(file), engine, _folder: Some(folder) }
            }
            Engine::Postgres => {
                let name = unique_name();
                administer(&format!("CREATE DATABASE {name} TEMPLATE {}", template()));
                TestDb { url: Url::Pg(on_server(&name)), engine, _folder: None }
            }
        }
    }

    /// Opens it for writing.
    pub fn open(&self, options: Options) -> Db {
        Db::open(&self.url, options).unwrap_or_else(|e| panic!("on {}: {e}", self.engine))
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        if let Url::Pg(url) = &self.url {
            let (_, name) = split(url);
            let dropped = PgConnection::establish(&server()).map_err(|e| e.to_string()).and_then(|mut c| {
                c.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).map_err(|e| e.to_string())
            });
            // No panic: the test may be failing already, and its own reason matters more.
            if let Err(e) = dropped {
                eprintln!("{name} was left behind: {e}");
            }
        }
    }
}

/// Runs a test once per engine, each time with a database of its own; a failure names the engine.
pub fn on_both(test: impl Fn(&TestDb)) {
    for engine in BOTH {
        let db = TestDb::new(engine);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(&db))) {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            panic!("on {engine}: {}", message.or(panic.downcast_ref::<&str>().copied()).unwrap_or("the test panicked"));
        }
    }
}

/// The bytes of a SQLite file with all tables and no rows, made once per process.
fn lite_template() -> &'static [u8] {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("template.sqlite");
        // Closed, it is one file: its log is written back.
        drop(Db::open(&Url::Lite(file.clone()), Options::default()).unwrap_or_else(|e| panic!("migrating: {e}")));
        assert!(!folder.path().join("template.sqlite-wal").exists(), "the log is written back");
        std::fs::read(&file).expect("the template is read")
    })
}

/// A database with all tables and no rows, made once per process: copying it takes as long however many migrations there
/// come to be. It stays until the server of tests/run is thrown away with everything in it.
fn template() -> &'static str {
    static TEMPLATE: OnceLock<String> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let name = format!("{}_template", unique_name());
        administer(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"));
        // Closed at once: PostgreSQL copies only what nobody is connected to.
        drop(
            Db::open(&Url::Pg(on_server(&name)), Options::default())
                .unwrap_or_else(|e| panic!("migrating {name}: {e}")),
        );
        name
    })
}

fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Several test processes may share a server, and process ids come round again.
    let since_epoch = std::time::UNIX_EPOCH.elapsed().expect("a clock past 1970").as_micros();
    format!("tributary_test_{}_{since_epoch}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn administer(sql: &str) {
    let mut conn = PgConnection::establish(&server()).expect("the PostgreSQL of TRIBUTARY_TEST_POSTGRES");
    conn.batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
}

fn server() -> String {
    std::env::var("TRIBUTARY_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("TRIBUTARY_TEST_POSTGRES is not set: run tests/run, which starts a PostgreSQL of its own")
    })
}

/// The URL of another database on the same server.
fn on_server(name: &str) -> String {
    let server = server();
    let (before, old) = split(&server);
    let parameters = server.strip_prefix(&format!("{before}{old}")).unwrap_or_default();
    format!("{before}{name}{parameters}")
}

/// The parts of `postgres://user@host:port/name?parameters`: up to the name, and the name.
fn split(url: &str) -> (&str, &str) {
    let address = url.split('?').next().unwrap_or(url);
    let slash = address.rfind('/').expect("postgres://user@host/name");
    address.split_at(slash + 1)
}

#[test]
fn every_test_has_a_fresh_database_on_each_engine() {
    on_both(|first| {
        let second = TestDb::new(first.engine);
        assert_ne!(first.url, second.url);
        for db in [first, &second] {
            let head = db.open(Options::default()).read(tributary::db::head).expect("an empty journal");
            assert_eq!((head.seal, head.entry, head.event), (0, 0, 0));
        }
    });
}

#[test]
fn a_failure_names_its_engine() {
    for failing in BOTH {
        let panic =
            catch_unwind(|| on_both(|db| assert!(db.engine != failing, "as asked"))).expect_err("one engine fails");
        assert_eq!(panic.downcast_ref::<String>(), Some(&format!("on {failing}: as asked")));
    }
}

#[test]
fn a_postgres_database_is_gone_after_its_test() {
    let url = TestDb::new(Engine::Postgres).url.clone();
    assert!(Db::open(&url, Options::default()).is_err());
}
