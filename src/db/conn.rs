//! One connection to either database, and every setting that durability rests on.
//!
//! `Conn` is the whole code's connection: diesel's `MultiConnection` derives it, and [`on!`] reaches what the derive does
//! not (multi-row insert, `on_conflict`, two texts). Settings that could lose an acknowledged commit are refused at start.

use crate::error::{Error, Result};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::sqlite::SqliteConnection;
use diesel::{Connection, QueryableByName, RunQueryDsl, sql_query};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A connection to SQLite or PostgreSQL.
#[derive(diesel::MultiConnection)]
pub enum Conn {
    /// PostgreSQL through libpq.
    Pg(PgConnection),
    /// SQLite, bundled.
    Lite(SqliteConnection),
}

/// The same expression, type-checked and compiled once per backend: no limit of `MultiConnection` applies inside.
#[macro_export]
macro_rules! on {
    ($conn:expr, $c:ident => $e:expr) => {
        match $conn {
            $crate::db::Conn::Pg($c) => $e,
            $crate::db::Conn::Lite($c) => $e,
        }
    };
}

/// Which database a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Url {
    /// `sqlite://path/to/file` or a plain path that ends in `.sqlite` or `.db`.
    Lite(PathBuf),
    /// `postgres://user@host/name`, kept as given.
    Pg(String),
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Url::Pg(text.to_owned()));
        }
        let path = text.strip_prefix("sqlite://").unwrap_or(text);
        let plain = path.ends_with(".sqlite") || path.ends_with(".db");
        let special = path.is_empty()
            || path.starts_with("sqlite:")
            || path.contains("://")
            || path.contains(":memory:")
            || path.starts_with("file:");
        if special || (path == text && !plain) {
            return Err(Error::Refused {
                code: "database_url",
                message: format!(
                    "\"{}\" is not a database: write sqlite://path/to/file.sqlite or postgres://user@host/name",
                    shown(text)
                ),
            });
        }
        Ok(Url::Lite(PathBuf::from(path)))
    }
}

/// What of a mistyped URL can be shown: a password may stand in it.
fn shown(text: &str) -> &str {
    text.split_once("://").map_or(text, |(scheme, _)| scheme)
}

impl std::fmt::Display for Url {
    /// Engine, user, host and name only: passwords may stand before the host and in the parameters.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Url::Lite(path) => write!(f, "sqlite://{}", path.display()),
            Url::Pg(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
                let rest = rest.split('?').next().unwrap_or(rest);
                match rest.rsplit_once('@') {
                    Some((user, host)) => write!(f, "{scheme}://{}@{host}", user.split(':').next().unwrap_or("")),
                    None => write!(f, "{scheme}://{rest}"),
                }
            }
        }
    }
}

impl Url {
    /// `sqlite` or `postgres`.
    pub fn engine(&self) -> &'static str {
        match self {
            Url::Lite(_) => "sqlite",
            Url::Pg(_) => "postgres",
        }
    }
}

/// How much of the database SQLite keeps in memory per connection, in KiB: the journal's hot pages of a busy day. No more, because
/// a COMMIT that has divided pages of an index goes through all that are kept; the rest is in the system's own cache.
const SQLITE_CACHE_KIB: i64 = 16 * 1024;

/// The advisory lock that makes writers of all nodes stand in line: "trib" in ASCII.
const WRITER_LOCK: i64 = 0x7472_6962;

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct FlagRow {
    #[diesel(sql_type = Bool)]
    value: bool,
}

impl Conn {
    /// Opens a connection with all settings made. The database need not have tables yet.
    pub fn open(url: &Url) -> Result<Conn> {
        match url {
            Url::Lite(path) => {
                let text = path.to_str().ok_or_else(|| Error::Broken(format!("{} is not UTF-8", path.display())))?;
                let failed = |e: &dyn std::fmt::Display| Error::Broken(format!("cannot open {}: {e}", path.display()));
                let mut c = SqliteConnection::establish(text).map_err(|e| failed(&e))?;
                // The busy timeout first: every later statement may meet another process's lock.
                let settings = format!(
                    "PRAGMA busy_timeout = 5000; PRAGMA mmap_size = 0; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                     PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -{SQLITE_CACHE_KIB}; \
                     PRAGMA wal_autocheckpoint = 16000; PRAGMA temp_store = MEMORY;"
                );
                c.batch_execute(&settings).map_err(|e| failed(&e))?;
                Ok(Conn::Lite(c))
            }
            Url::Pg(text) => {
                let failed = |e: &dyn std::fmt::Display| {
                    let hint =
                        if text.contains("sslmode=") { " (TLS needs a build with `--features tls`)" } else { "" };
                    Error::Broken(format!("cannot reach {url}: {e}{hint}"))
                };
                let mut c = PgConnection::establish(&bounded(text)).map_err(|e| failed(&e))?;
                // A server that stands still with the writer's lock in its hand must not make all others wait for ever.
                c.batch_execute("SET TIME ZONE 'UTC'; SET client_min_messages = warning; SET lock_timeout = '10s'")
                    .map_err(|e| failed(&e))?;
                Ok(Conn::Pg(c))
            }
        }
    }

    /// Refuses settings under which an acknowledged commit can be lost or two writers can meet.
    pub fn refuse_unsafe_settings(&mut self) -> Result<()> {
        match self {
            Conn::Lite(c) => {
                let number = |c: &mut SqliteConnection, sql: &str| {
                    sql_query(sql).get_result::<NumberRow>(c).map(|r| r.value).map_err(broken)
                };
                let version = number(c, "SELECT CAST(replace(sqlite_version(), '.', '0') AS INTEGER) AS value")?;
                // 3.51.3 fixed a corruption when a write met a checkpoint; "3.51.3" reads 305103 here.
                let version_ok = sqlite_version_number(c)? >= 3_051_003;
                if !version_ok {
                    return Err(unsafe_setting(&format!(
                        "SQLite {version} is older than 3.51.3, which can corrupt a WAL database"
                    )));
                }
                let mode = sql_query("SELECT journal_mode AS value FROM pragma_journal_mode")
                    .get_result::<TextRow>(c)
                    .map_err(broken)?;
                if mode.value != "wal" {
                    return Err(unsafe_setting(
                        "SQLite could not switch to WAL here (a network or read-only file system?)",
                    ));
                }
                if number(c, "SELECT synchronous AS value FROM pragma_synchronous")? < 2 {
                    return Err(unsafe_setting("SQLite runs with synchronous below FULL"));
                }
                if number(c, "SELECT foreign_keys AS value FROM pragma_foreign_keys")? != 1 {
                    return Err(unsafe_setting("this SQLite was built without foreign keys"));
                }
            }
            Conn::Pg(c) => {
                for (setting, unsafe_values) in [
                    ("fsync", &["off"][..]),
                    ("full_page_writes", &["off"][..]),
                    ("synchronous_commit", &["off", "local"][..]),
                ] {
                    let row = sql_query("SELECT current_setting($1) AS value").bind::<Text, _>(setting);
                    let value = row.get_result::<TextRow>(c).map_err(broken)?.value;
                    if unsafe_values.contains(&value.as_str()) {
                        return Err(unsafe_setting(&format!(
                            "PostgreSQL runs with {setting} = {value} for this role, so an acknowledged commit can be lost; \
                             set it to on (ALTER ROLE ... SET, or postgresql.conf) and start again"
                        )));
                    }
                }
                let standby =
                    sql_query("SELECT pg_is_in_recovery() AS value").get_result::<FlagRow>(c).map_err(broken)?;
                if standby.value {
                    return Err(unsafe_setting("this PostgreSQL is a standby; decisions are made on the primary only"));
                }
                let encoding = sql_query("SELECT current_setting('server_encoding') AS value")
                    .get_result::<TextRow>(c)
                    .map_err(broken)?;
                if encoding.value != "UTF8" {
                    return Err(unsafe_setting(&format!(
                        "the database's encoding is {}; create it with ENCODING 'UTF8'",
                        encoding.value
                    )));
                }
            }
        }
        Ok(())
    }

    /// Proves that the writer's lock shuts a second session out: a proxy that shares one session among clients would not.
    /// On SQLite the sibling lock file and `BEGIN IMMEDIATE` do this.
    pub fn prove_lock(first: &mut Conn, second: &mut Conn) -> Result<()> {
        let (Conn::Pg(a), Conn::Pg(b)) = (first, second) else { return Ok(()) };
        // A lock of its own, so that the proof does not wait for a writer at work.
        let probe = WRITER_LOCK + 1;
        let attempt = |c: &mut PgConnection| {
            let sql = format!("SELECT pg_try_advisory_xact_lock({probe}) AS value");
            sql_query(sql).get_result::<FlagRow>(c).map(|r| r.value).map_err(broken)
        };
        a.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({probe})")).map_err(broken)?;
        b.batch_execute("BEGIN").map_err(broken)?;
        let shut_out = attempt(b);
        a.batch_execute("ROLLBACK").map_err(broken)?;
        let free = attempt(b);
        b.batch_execute("ROLLBACK").map_err(broken)?;
        match (shut_out?, free?) {
            (false, true) => Ok(()),
            (true, _) => Err(unsafe_setting(
                "PostgreSQL's advisory lock did not shut a second session out (a statement-pooling proxy?)",
            )),
            // Another node proves its lock at this moment; that it holds it is proof enough that the lock works.
            (false, false) => Ok(()),
        }
    }

    /// The migrations that were applied to this database; none when there has been none.
    pub(super) fn applied_versions(&mut self) -> Result<Vec<String>> {
        let there = match self {
            Conn::Lite(_) => "SELECT count(*) AS value FROM sqlite_master WHERE name = '__diesel_schema_migrations'",
            Conn::Pg(_) => "SELECT count(to_regclass('__diesel_schema_migrations')) AS value",
        };
        let there = on!(self, c => sql_query(there).get_result::<NumberRow>(c)).map_err(broken)?.value > 0;
        if !there {
            return Ok(Vec::new());
        }
        let versions = "SELECT CAST(version AS TEXT) AS value FROM __diesel_schema_migrations";
        let rows = on!(self, c => sql_query(versions).load::<TextRow>(c)).map_err(broken)?;
        Ok(rows.into_iter().map(|r| r.value).collect())
    }

    /// Begins a write and takes the writer's lock.
    pub(super) fn begin_write(&mut self) -> diesel::QueryResult<()> {
        match self {
            Conn::Lite(c) => c.batch_execute("BEGIN IMMEDIATE"),
            // Whatever the role's default: a snapshot taken before the lock is ours would not show what the last holder wrote.
            Conn::Pg(c) => c.batch_execute(&format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock({WRITER_LOCK})"
            )),
        }
    }

    /// Begins a read: one snapshot for all its statements.
    pub(super) fn begin_read(&mut self) -> diesel::QueryResult<()> {
        match self {
            Conn::Lite(c) => c.batch_execute("BEGIN DEFERRED"),
            Conn::Pg(c) => c.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        }
    }

    /// Plain SQL without rows: `COMMIT`, `ROLLBACK`, savepoints.
    pub(super) fn run(&mut self, sql: &str) -> diesel::QueryResult<()> {
        on!(self, c => c.batch_execute(sql))
    }
}

fn sqlite_version_number(c: &mut SqliteConnection) -> Result<i64> {
    let text = sql_query("SELECT sqlite_version() AS value").get_result::<TextRow>(c).map_err(broken)?.value;
    let mut parts = text.split('.').map(|p| p.parse::<i64>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    Ok(part() * 1_000_000 + part() * 1_000 + part())
}

fn unsafe_setting(what: &str) -> Error {
    Error::Refused { code: "unsafe_database", message: format!("refusing to work on this database: {what}") }
}

/// How long is waited for a PostgreSQL that does not answer at all, where its URL does not say it: a network that swallows what is
/// sent would otherwise be noticed after minutes.
const PATIENCE: [(&str, &str); 5] = [
    ("connect_timeout", "5"),
    ("tcp_user_timeout", "10000"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
];

fn bounded(url: &str) -> String {
    let mut bounded = url.to_owned();
    for (name, value) in PATIENCE {
        if !url.contains(&format!("{name}=")) {
            bounded.push(if bounded.contains('?') { '&' } else { '?' });
            bounded.push_str(&format!("{name}={value}"));
        }
    }
    bounded
}

/// What the database says when it, and not what it was asked for, is the reason: the same may succeed in a moment. Neither engine
/// gives these a kind of their own in diesel, and with them goes what people are told.
const PASSING: [(&str, &str); 9] = [
    ("database is locked", "another program keeps the database locked"),
    ("database or disk is full", "the disk of the database is full"),
    ("readonly database", "the database cannot be written to: its file is read-only"),
    ("disk I/O error", "the disk of the database fails"),
    ("No space left on device", "the disk of the database is full"),
    ("lock timeout", "another server keeps the database locked"),
    ("the database system is", AWAY),
    ("terminating connection", AWAY),
    ("connection slots", "the database takes no more connections"),
];

/// What is said while there is no database to talk to.
pub(super) const AWAY: &str = "the database cannot be reached";

/// For people who cannot mend it; the log has what the database has said.
pub(super) fn for_a_moment(why: &str, said: &dyn std::fmt::Display) -> Error {
    tracing::warn!(%said, "{why}");
    Error::Busy(format!("{why}; nothing was changed, try again in a moment"))
}

/// Whether another program has this SQLite file locked.
pub(super) fn is_locked(e: &diesel::result::Error) -> bool {
    matches!(e, diesel::result::Error::DatabaseError(_, said) if said.message().contains("database is locked"))
}

/// A database error that no caller can act on, as ours.
pub fn broken(e: diesel::result::Error) -> Error {
    use diesel::result::DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
    if let diesel::result::Error::DatabaseError(kind, said) = &e {
        let said = said.message();
        let passing = PASSING.iter().find(|(part, _)| said.contains(part)).map(|(_, why)| *why);
        let lost = matches!(kind, ClosedConnection | UnableToSendCommand).then_some(AWAY);
        if let Some(why) = lost.or(passing) {
            return for_a_moment(why, &said);
        }
    }
    Error::Broken(format!("database: {e}"))
}

/// The file beside a SQLite database whose lock keeps a second writing process out. A sibling, because closing any other
/// descriptor of the database file itself would drop SQLite's own locks on it.
pub(super) fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postgres_that_does_not_answer_is_waited_for_no_longer_than_its_url_says() {
        let url = bounded("postgres://me@host/db");
        assert!(url.starts_with("postgres://me@host/db?connect_timeout=5&tcp_user_timeout=10000"), "{url}");
        let url = bounded("postgres://me@host/db?connect_timeout=60");
        assert!(url.contains("?connect_timeout=60&tcp_user_timeout") && !url.contains("connect_timeout=5"), "{url}");
    }

    #[test]
    fn a_url_names_one_database_and_hides_its_password() {
        assert_eq!("sqlite://a/b.sqlite".parse(), Ok(Url::Lite("a/b.sqlite".into())));
        assert_eq!("demo.sqlite".parse(), Ok(Url::Lite("demo.sqlite".into())));
        let pg: Url = "postgres://me:secret@host:5433/db".parse().unwrap();
        assert_eq!(pg.to_string(), "postgres://me@host:5433/db");
        let pg: Url = "postgres://host/db?user=me&password=secret".parse().unwrap();
        assert_eq!(pg.to_string(), "postgres://host/db");
        let mistyped = "postgress://me:secret@host/db".parse::<Url>().unwrap_err();
        assert!(!mistyped.to_string().contains("secret"), "{mistyped}");
        for wrong in ["", "sqlite://", "mysql://x/y", "sqlite://:memory:", ":memory:", "statement.xml"] {
            assert!(wrong.parse::<Url>().is_err(), "{wrong} accepted");
        }
    }
}
