//! On SQLite: brings commits from the write-ahead log into the database file, on a thread and connection of its own.
//!
//! SQLite does this inside the COMMIT that fills the log; whoever waits for that one then waits for some tens of megabytes. Done beside
//! the writer, it takes the other core, and the COMMIT that still has to do it (`wal_autocheckpoint` stays set: only the
//! writer can find the moment at which the log begins anew) has little left. Nothing rests on it: what is not brought over yet
//! is in the log, which is durable by then.

use super::conn::{Conn, Url};
use diesel::prelude::QueryableByName;
use diesel::sql_types::Integer;
use diesel::{RunQueryDsl, sql_query};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Pages in the log from which on bringing them over is worth waking the disk: 4 MiB.
const WORTH_IT: i32 = 1_024;

/// Tells the thread that there was a commit; it ends when this is gone.
pub(super) struct Nudge(SyncSender<()>);

impl Nudge {
    pub(super) fn commit(&self) {
        match self.0.try_send(()) {
            // It has not seen the one before yet, or could not open the database: then COMMIT does its work.
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

/// Starts the thread; `None` on PostgreSQL, which does this by itself.
pub(super) fn start(url: &Url) -> std::io::Result<Option<(Nudge, JoinHandle<()>)>> {
    let Url::Lite(_) = url else { return Ok(None) };
    let (nudge, commits) = sync_channel(1);
    let url = url.clone();
    let thread = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || {
        let mut conn = None;
        while commits.recv().is_ok() {
            if conn.is_none() {
                conn = Conn::open(&url).ok();
            }
            if let Some(Conn::Lite(c)) = conn.as_mut() {
                let asked =
                    |c: &mut _, how: &str| sql_query(format!("PRAGMA wal_checkpoint({how})")).get_result::<Log>(c).ok();
                let waiting = asked(c, "NOOP").map_or(0, |log| log.log - log.checkpointed);
                if waiting >= WORTH_IT {
                    // Passive: waits for nobody and makes nobody wait. When it cannot, the next one does more.
                    asked(c, "PASSIVE");
                }
            }
        }
    })?;
    Ok(Some((Nudge(nudge), thread)))
}
