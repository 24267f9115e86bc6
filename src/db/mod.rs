//! The store: SQLite and PostgreSQL behind one door for writes and snapshots for reads. Every difference between the two
//! databases stands in this folder.
//!
//! - [`Db::write`] runs one command, [`Db::write_batch`] many items of one hot kind; both wait until what they did is durable.
//! - [`Db::read`] gives one snapshot.
//! - [`Tx`] carries who acts, what they may see and now; it hands out gapless numbers and gathers the seal.

use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::time::{Clock, SystemClock};
use crate::traces;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use std::sync::Arc;
use std::thread::JoinHandle;

pub mod bulk;
mod commits;
mod conn;
pub mod copy;
pub mod health;
pub mod jobs;
mod savepoint;
pub mod schema;
pub mod seal;
pub mod textbook;
mod tx;
mod upkeep;
mod writer;

pub use commits::{Commits, Listening};
pub use conn::{Conn, Url, broken};
pub(crate) use tx::event_leaf;
pub use tx::{Head, SealView, Tx, Who, head, seals_page};
pub use writer::{Answers, Asked, Fault, FaultPoint, Faults, Kind, Lane, Tell};

const LITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const PG_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Readers at once: more only queue up behind the same two disks and cores.
const READERS: u32 = 8;

/// What a [`Db`] is opened with.
#[derive(Clone)]
pub struct Options {
    /// Where "now" comes from.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<Ids>,
    /// Where tests make the writer fail.
    pub faults: Option<Faults>,
    /// How many items each lane of the writer holds before callers are told `busy`. Memory, not speed: what waits has been
    /// read already.
    pub queue_items: usize,
}

/// [`Options::queue_items`] by default: eight of the largest usual batches.
const QUEUE_ITEMS: usize = 65_536;

impl Default for Options {
    fn default() -> Self {
        Options { clock: Arc::new(SystemClock), ids: Arc::new(Ids::random()), faults: None, queue_items: QUEUE_ITEMS }
    }
}

/// A database: any number of readers and, when opened for writing, the writer.
pub struct Db {
    url: Url,
    readers: diesel::r2d2::Pool<Readers>,
    writing: Option<Writing>,
    clock: Arc<dyn Clock>,
    commits: Arc<Commits>,
}

struct Writing {
    queue: Arc<writer::Queue>,
    thread: Option<JoinHandle<()>>,
    /// What keeps the database quick.
    upkeep: Option<JoinHandle<()>>,
    /// Held for as long as this process may write; `None` on PostgreSQL, whose lock is per transaction.
    _lock: Option<std::fs::File>,
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has already answered its callers with that.
            let _ = thread.join();
        }
        // It ends when the writer is gone, and holds the database open until then.
        if let Some(thread) = self.upkeep.take() {
            let _ = thread.join();
        }
    }
}

impl Db {
    /// Opens a database for writing: makes it when it is not there, brings its tables up to date, refuses unsafe settings
    /// and, on SQLite, a second writing process.
    pub fn open(url: &Url, options: Options) -> Result<Db> {
        let lock = match url {
            Url::Lite(path) => Some(lock_file(path)?),
            Url::Pg(_) => None,
        };
        let mut conn = Conn::open(url)?;
        conn.refuse_unsafe_settings()?;
        if let Url::Pg(_) = url {
            Conn::prove_lock(&mut conn, &mut Conn::open(url)?)?;
        }
        migrate(&mut conn)?;
        let queue = Arc::new(writer::Queue::new(options.queue_items));
        let unstarted = |e: std::io::Error| Error::Broken(format!("cannot start the writer's threads: {e}"));
        let (nudge, upkeep) = upkeep::start(url).map_err(unstarted)?;
        let commits = Arc::new(Commits::default());
        let writer = writer::Writer {
            url: url.clone(),
            conn: Some(conn),
            clock: Arc::clone(&options.clock),
            ids: options.ids,
            faults: options.faults,
            begun: false,
            upkeep: nudge,
            commits: Arc::clone(&commits),
        };
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn({
            let queue = Arc::clone(&queue);
            move || writer.serve(&queue)
        });
        let writing = Writing { queue, thread: Some(thread.map_err(unstarted)?), upkeep: Some(upkeep), _lock: lock };
        Ok(Db { url: url.clone(), readers: readers(url)?, writing: Some(writing), clock: options.clock, commits })
    }

    /// Opens a database for reading only: works beside a running server, and takes no lock.
    pub fn open_to_read(url: &Url, clock: Arc<dyn Clock>) -> Result<Db> {
        if let Url::Lite(path) = url
            && !path.exists()
        {
            return Err(Error::NotFound(format!(
                "there is no database at {}; `tributary demo` or `tributary chart apply` makes one, --database names another",
                path.display()
            )));
        }
        let mut conn = Conn::open(url)?;
        if is_outdated(&mut conn)? {
            return Err(Error::Refused {
                code: "schema_outdated",
                message: format!(
                    "{url} has no tables yet or those of an older Tributary; a writing command such as `tributary chart apply` brings them up to date"
                ),
            });
        }
        Ok(Db { url: url.clone(), readers: readers(url)?, writing: None, clock, commits: Arc::default() })
    }

    /// Which database this is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether other servers may write to it too.
    pub fn is_shared(&self) -> bool {
        matches!(self.url, Url::Pg(_))
    }

    /// Where "now" comes from.
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Tells of the commits of this process.
    pub fn commits(&self) -> &Commits {
        &self.commits
    }

    /// Reads in one snapshot. Keep it short; long reads page up to a fixed entry number instead.
    pub fn read<A>(&self, f: impl FnOnce(&mut Conn) -> Result<A>) -> Result<A> {
        let mut conn = self.readers.get().map_err(|e| conn::for_a_moment(conn::AWAY, &e))?;
        conn.begin_read().map_err(broken)?;
        let answer = f(&mut conn);
        // If this fails the pool finds the connection broken and replaces it.
        let _ = conn.run("ROLLBACK");
        answer
    }

    /// Runs one command, alone, and waits until it is durable. `command` may be run more than once but takes effect once;
    /// when it refuses, what it wrote is undone and the refusal is recorded under `name`.
    pub fn write<A: Send + 'static>(
        &self,
        name: &'static str,
        who: &Arc<Who>,
        command: impl Fn(&mut Tx<'_>) -> Result<A> + Send + 'static,
    ) -> Result<A> {
        traces::command(name).in_scope(|| self.queue()?.one(Lane::Interactive, name, who, command))
    }

    /// As [`Db::write`], in the lane that lets interactive work go first.
    pub fn write_slice<A: Send + 'static>(
        &self,
        name: &'static str,
        who: &Arc<Who>,
        command: impl Fn(&mut Tx<'_>) -> Result<A> + Send + 'static,
    ) -> Result<A> {
        traces::command(name).in_scope(|| self.queue()?.one(Lane::Bulk, name, who, command))
    }

    /// Runs many items of a hot command and answers each on its own: a refused item never fails its neighbours.
    pub fn write_batch<T: Send + Sync + 'static, A: Send + 'static>(
        &self,
        lane: Lane,
        kind: &'static Kind<T, A>,
        who: &Arc<Who>,
        items: Vec<T>,
    ) -> Result<Answers<A>> {
        self.queue()?.batch(lane, kind, who, items)
    }

    /// As [`Db::write_batch`] in the interactive lane, for a caller who does not wait on a thread: `tell` is called with the
    /// answers from the writer's own thread, so it must be quick; it is dropped uncalled when the writer is gone.
    pub fn submit<T: Send + Sync + 'static, A: Send + 'static>(
        &self,
        kind: &'static Kind<T, A>,
        who: &Arc<Who>,
        items: Vec<T>,
        tell: Tell<A>,
    ) -> Result<()> {
        self.queue()?.submit(Lane::Interactive, kind, who, items, tell)
    }

    /// Whether commands are taken: opened for writing, and the writer's thread is there.
    pub fn takes_writes(&self) -> bool {
        self.writing.as_ref().is_some_and(|w| w.queue.is_open())
    }

    fn queue(&self) -> Result<&writer::Queue> {
        let writing = self.writing.as_ref();
        writing
            .map(|w| w.queue.as_ref())
            .ok_or_else(|| Error::Forbidden("this database was opened for reading only".to_owned()))
    }
}

fn lock_file(path: &std::path::Path) -> Result<std::fs::File> {
    let lock_path = conn::lock_path(path);
    let failed = |e: std::io::Error| Error::Broken(format!("cannot lock {}: {e}", lock_path.display()));
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty() && !f.exists()) {
        return Err(Error::NotFound(format!("the folder {} does not exist; make it first", folder.display())));
    }
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Busy(format!(
            "another Tributary process is writing to {}; wait for it or stop it (reading commands work beside it)",
            path.display()
        ))),
        Err(std::fs::TryLockError::Error(e)) => Err(failed(e)),
    }
}

fn migrate(conn: &mut Conn) -> Result<()> {
    let failed =
        |e: Box<dyn std::error::Error + Send + Sync>| Error::Broken(format!("cannot bring the tables up to date: {e}"));
    if let Conn::Pg(_) = conn {
        // Session lock: two nodes that start together migrate one after the other.
        // However long the other takes: what it does is what this one needs.
        conn.run("SET lock_timeout = 0; SELECT pg_advisory_lock(1953653100)").map_err(broken)?;
    }
    let done = match conn {
        Conn::Pg(c) => c.run_pending_migrations(PG_MIGRATIONS).map(|v| v.len()),
        Conn::Lite(c) => c.run_pending_migrations(LITE_MIGRATIONS).map(|v| v.len()),
    };
    if let Conn::Pg(_) = conn {
        conn.run("SELECT pg_advisory_unlock(1953653100); SET lock_timeout = '10s'").map_err(broken)?;
    }
    let done = done.map_err(failed)?;
    tracing::debug!(migrations = done, "tables are up to date");
    refuse_newer(conn).map(drop)
}

/// The versions of the migrations that this program brings along.
fn known_versions(conn: &Conn) -> Result<Vec<String>> {
    use diesel::migration::{Migration, MigrationSource};
    let failed =
        |e: Box<dyn std::error::Error + Send + Sync>| Error::Broken(format!("cannot read the migrations: {e}"));
    Ok(match conn {
        Conn::Pg(_) => {
            let all: Vec<Box<dyn Migration<diesel::pg::Pg>>> = PG_MIGRATIONS.migrations().map_err(failed)?;
            all.iter().map(|m| m.name().version().to_string()).collect()
        }
        Conn::Lite(_) => {
            let all: Vec<Box<dyn Migration<diesel::sqlite::Sqlite>>> = LITE_MIGRATIONS.migrations().map_err(failed)?;
            all.iter().map(|m| m.name().version().to_string()).collect()
        }
    })
}

/// Whether the tables are missing or of an older Tributary. Only reads: diesel's own question would make its table first.
fn is_outdated(conn: &mut Conn) -> Result<bool> {
    let applied = refuse_newer(conn)?;
    Ok(known_versions(conn)?.iter().any(|version| !applied.contains(version)))
}

/// A database that a newer Tributary has migrated is not ours to write to, nor to read: its columns may mean something else.
/// Gives the versions that were applied.
fn refuse_newer(conn: &mut Conn) -> Result<Vec<String>> {
    let applied = conn.applied_versions()?;
    let known = known_versions(conn)?;
    match applied.iter().find(|version| !known.contains(version)) {
        None => Ok(applied),
        Some(version) => Err(Error::Refused {
            code: "schema_newer",
            message: format!(
                "this database was brought up to date by a newer Tributary (migration {version}); use that one"
            ),
        }),
    }
}

struct Readers(Url);

impl diesel::r2d2::ManageConnection for Readers {
    type Connection = Conn;
    type Error = Error;

    fn connect(&self) -> Result<Conn> {
        Conn::open(&self.0)
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<()> {
        conn.run("SELECT 1").map_err(broken)
    }

    fn has_broken(&self, _: &mut Conn) -> bool {
        false
    }
}

fn readers(url: &Url) -> Result<diesel::r2d2::Pool<Readers>> {
    let builder = diesel::r2d2::Pool::builder().max_size(READERS).min_idle(Some(0));
    let builder = builder.connection_timeout(std::time::Duration::from_secs(5));
    builder.build(Readers(url.clone())).map_err(|e| Error::Broken(format!("cannot read {url}: {e}")))
}
