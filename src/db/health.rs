//! What can be said of a database without knowing what is in it: for `tributary doctor` and for those who are asked whether it is well.

use super::conn::{Conn, Url, broken, lock_path};
use crate::error::Result;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use std::path::{Path, PathBuf};

/// The engine, as it is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Its name and version.
    pub version: String,
    /// What the database takes on the disk.
    pub bytes: i64,
    /// Whether what travels to it is encrypted; `None` where nothing travels.
    pub encrypted: Option<bool>,
}

#[derive(QueryableByName)]
struct Seen {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
    #[diesel(sql_type = BigInt)]
    encrypted: i64,
}

/// Asks the engine.
pub fn engine(conn: &mut Conn) -> Result<Engine> {
    let (sql, travels) = match conn {
        Conn::Lite(_) => (
            "SELECT 'SQLite ' || sqlite_version() AS version, page_count * page_size AS bytes, 0 AS encrypted \
             FROM pragma_page_count, pragma_page_size",
            false,
        ),
        Conn::Pg(_) => (
            "SELECT 'PostgreSQL ' || current_setting('server_version') AS version, \
             pg_database_size(current_database()) AS bytes, \
             coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)::int::bigint AS encrypted",
            true,
        ),
    };
    let Seen { version, bytes, encrypted } = crate::on!(conn, c => sql_query(sql).get_result(c)).map_err(broken)?;
    Ok(Engine { version, bytes, encrypted: travels.then_some(encrypted != 0) })
}

/// Whether a process is writing to this SQLite file at this moment; of PostgreSQL nobody can say, and several may.
pub fn is_written(url: &Url) -> Option<bool> {
    let Url::Lite(path) = url else { return None };
    let lock = std::fs::OpenOptions::new().write(true).open(lock_path(path)).ok()?;
    Some(matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
}

/// The log beside a SQLite file.
pub fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}
