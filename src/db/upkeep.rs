//! What a database needs beside the writer, on a thread and connection of its own. Nothing rests on it: it only keeps things quick.
//!
//! On SQLite, bringing commits from the write-ahead log into the database file. SQLite does this inside the COMMIT that fills the log;
//! whoever waits for that one then waits for some tens of megabytes. Done beside the writer, it takes the other core, and the
//! COMMIT that still has to do it (`wal_autocheckpoint` stays set: only the writer can find the moment at which the log begins
//! anew) has little left. What is not brought over yet is in the log, which is durable by then.
//!
//! On PostgreSQL, ANALYZE of tables that have outgrown what the planner knows of them. A statement that was planned for a table of a
//! few rows goes through all of it once there are a million; the server's own round comes once a minute, and a first bank file
//! brings a million lines within that minute.

use super::conn::{Conn, Url};
use diesel::prelude::QueryableByName;
use diesel::sql_types::{Integer, Text};
use diesel::{PgConnection, RunQueryDsl, SqliteConnection, sql_query};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pages in the log from which on bringing them over is worth waking the disk: 4 MiB.
const WORTH_IT: i32 = 1_024;

/// Tables are looked at this often, while there are commits.
const LOOK: Duration = Duration::from_millis(250);

/// Tables that are more than twice as long as when the planner last learnt of them. Only those that this role may analyze.
const OUTGROWN: &str = "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind = 'r' AND n.nspname = current_schema() AND pg_has_role(c.relowner, 'USAGE') \
     AND pg_relation_size(c.oid) > 2 * current_setting('block_size')::bigint * greatest(c.relpages, 8) ORDER BY 1";

/// Tells the thread that there was a commit; it ends when this is gone.
pub(super) struct Nudge(SyncSender<()>);

impl Nudge {
    pub(super) fn commit(&self) {
        match self.0.try_send(()) {
            // It has not seen the one before yet, or could not open the database: then it does more next time.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// How the log stands, in pages.
#[derive(QueryableByName)]
struct Log {
    #[diesel(sql_type = Integer)]
    log: i32,
    #[diesel(sql_type = Integer)]
    checkpointed: i32,
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Starts the thread.
pub(super) fn start(url: &Url) -> std::io::Result<(Nudge, JoinHandle<()>)> {
    let (nudge, commits) = sync_channel(1);
    let url = url.clone();
    let thread = std::thread::Builder::new().name("upkeep".to_owned()).spawn(move || serve(&url, &commits))?;
    Ok((Nudge(nudge), thread))
}

fn serve(url: &Url, commits: &Receiver<()>) {
    let (mut conn, mut looked) = (None, Instant::now());
    while commits.recv().is_ok() {
        if let Url::Pg(_) = url
            && looked.elapsed() < LOOK
        {
            continue;
        }
        looked = Instant::now();
        if conn.is_none() {
            conn = Conn::open(url).ok();
        }
        let done = match conn.as_mut() {
            Some(Conn::Lite(c)) => check_point(c),
            Some(Conn::Pg(c)) => analyze(c),
            None => Ok(()),
        };
        if done.is_err() {
            conn = None;
        }
    }
}

fn check_point(c: &mut SqliteConnection) -> diesel::QueryResult<()> {
    let mut asked = |how: &str| sql_query(format!("PRAGMA wal_checkpoint({how})")).get_result::<Log>(c);
    let log = asked("NOOP")?;
    if log.log - log.checkpointed >= WORTH_IT {
        // Passive: waits for nobody and makes nobody wait. When it cannot, the next one does more.
        asked("PASSIVE")?;
    }
    Ok(())
}

fn analyze(c: &mut PgConnection) -> diesel::QueryResult<()> {
    for table in sql_query(OUTGROWN).load::<Named>(c)? {
        sql_query(format!("ANALYZE {}", table.name)).execute(c)?;
    }
    Ok(())
}
