//! Starting and stopping. The server runs on threads of its own; who starts it waits for it, or stops it.

use super::hot::Known;
use super::limits::Limits;
use super::operation::Operation;
use super::problem::Refusal;
use super::{openapi, routes, store};
use crate::access::oidc::Provider;
use crate::access::{self, Secret, secret};
use crate::banking::Profiles;
use crate::config;
use crate::db::seal::Hash;
use crate::db::{Db, Who};
use crate::error::{Error, Result};
use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, rt, web};
use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the server keeps to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From the configuration.
    pub server: config::Server,
    /// How people sign in.
    pub access: access::Settings,
    /// What banks' own files look like, such as CSV.
    pub profiles: Profiles,
    /// How events are sent.
    pub webhooks: config::Webhooks,
    /// Whether SIGTERM and SIGINT stop it; tests stop it themselves.
    pub signals: bool,
}

/// Wrong secrets that are remembered at most; then all are forgotten, and count again.
const WRONG: usize = 20_000;

/// What all requests share.
pub(super) struct State {
    pub(super) db: Arc<Db>,
    /// Shared with requests that wait in the writer's queue.
    pub(super) operations: Arc<[Operation]>,
    pub(super) settings: Settings,
    pub(super) limits: Limits,
    /// Wrong secrets, by the address that they come from.
    pub(super) guesses: Limits,
    /// Digests of the wrong ones.
    pub(super) wrong: Mutex<HashSet<Hash>>,
    /// Whose secrets were the last ones that were let in.
    pub(super) known: Known,
    /// Shared with requests that wait in the writer's queue.
    pub(super) under_way: Arc<AtomicUsize>,
    /// Those who send slowly, beside them.
    pub(super) slow: AtomicUsize,
    /// What cursors and tickets of sign-ins are signed with.
    pub(super) cursor_secret: Vec<u8>,
    pub(super) provider: Option<Provider>,
    pub(super) streams: super::live::Streams,
    /// The document, written once.
    pub(super) document: web::Bytes,
    /// The page of documentation, written when it is asked for first.
    pub(super) docs: RwLock<Option<web::Bytes>>,
}

impl State {
    /// Refuses an address that has brought too many wrong keys and sessions lately. One that was let in before is looked at all the
    /// same, for behind one address there may be many; and whoever signs in has a wait of their own, so that nobody locks others out.
    pub(super) fn refuse_guessing(&self, place: &str, secret: &Secret) -> Result<(), Refusal> {
        let known = self.known.knows(secret);
        if known || self.guesses.has(place, Instant::now()) { Ok(()) } else { Err(Refusal::TooManyRequests) }
    }

    /// A key or session was wrong. The same one again is no other guess: a machine whose key has run out asks on and on.
    pub(super) fn guessed(&self, place: &str, secret: &Secret) {
        self.known.forget(secret);
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= WRONG {
            wrong.clear();
        }
        if wrong.insert(secret.digest()) {
            let _ = self.guesses.take(place, Instant::now());
        }
    }

    /// The page of documentation.
    pub(super) fn docs(&self) -> web::Bytes {
        let made = self.docs.read().unwrap_or_else(PoisonError::into_inner).clone();
        made.unwrap_or_else(|| {
            let page = web::Bytes::from(super::docs::page(&self.operations));
            *self.docs.write().unwrap_or_else(PoisonError::into_inner) = Some(page.clone());
            page
        })
    }
}

/// A server that has been started.
pub struct Running {
    address: SocketAddr,
    /// Set when it stops: streams end by it.
    stopping: Arc<AtomicBool>,
    handle: ServerHandle,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has stopped, by a signal.
    pub fn wait(self) -> Result<()> {
        let ended = self.thread.join().map_err(|_| Error::Broken("the server's thread has panicked".to_owned()))?;
        ended.map_err(|e| Error::Broken(format!("the server has ended: {e}")))
    }

    /// Takes no more requests, finishes those that run, and ends.
    pub fn stop(self) -> Result<()> {
        self.stopping.store(true, Ordering::Release);
        let handle = self.handle.clone();
        // The future sends the command when it is made; its end is that of the thread.
        drop(handle.stop(true));
        self.wait()
    }
}

/// Starts a server on a listener.
pub fn start(db: Arc<Db>, operations: Vec<Operation>, settings: Settings, listener: TcpListener) -> Result<Running> {
    start_with(db, operations, settings, None, listener)
}

/// As [`start`], with a provider that people sign in by.
pub fn start_with(
    db: Arc<Db>,
    operations: Vec<Operation>,
    settings: Settings,
    provider: Option<Provider>,
    listener: TcpListener,
) -> Result<Running> {
    let broken = |e: std::io::Error| Error::Broken(format!("the server cannot be started: {e}"));
    let address = listener.local_addr().map_err(broken)?;
    let document = serde_json::to_string_pretty(&openapi::document(&operations));
    let document = document.map_err(|e| Error::Broken(format!("the OpenAPI document cannot be written: {e}")))?;
    let server = &settings.server;
    let stopping = stops(settings.signals).map_err(broken)?;
    let state = Arc::new(State {
        streams: super::live::Streams::new(&stopping),
        cursor_secret: cursor_secret(&db)?,
        limits: Limits::new(server.requests_per_second, server.burst),
        guesses: Limits::new(server.guesses.min(1), server.guesses),
        wrong: Mutex::default(),
        known: Known::default(),
        under_way: Arc::default(),
        slow: AtomicUsize::new(0),
        docs: RwLock::default(),
        document: document.into(),
        provider,
        db,
        operations: operations.into(),
        settings,
    });
    let (tell, told) = sync_channel(1);
    let thread = std::thread::Builder::new().name("server".to_owned()).spawn(move || {
        rt::System::new().block_on(async move {
            let running = match run(&state, listener) {
                Ok(running) => running,
                Err(e) => {
                    let _ = tell.send(Err(broken(e)));
                    return Ok(());
                }
            };
            let _ = tell.send(Ok(running.handle()));
            running.await
        })
    });
    let thread = thread.map_err(broken)?;
    let gone = |_| Error::Broken("the server's thread has ended before it began".to_owned());
    let handle = told.recv().map_err(gone)??;
    Ok(Running { address, stopping, handle, thread })
}

/// What is set when the server stops; by a signal too, where it heeds them.
fn stops(signals: bool) -> std::io::Result<Arc<AtomicBool>> {
    let stopping = Arc::new(AtomicBool::new(false));
    if signals {
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stopping))?;
        }
    }
    Ok(stopping)
}

fn run(state: &Arc<State>, listener: TcpListener) -> std::io::Result<actix_web::dev::Server> {
    let server = &state.settings.server;
    let seconds = |s: u32| Duration::from_secs(u64::from(s));
    let shared = Arc::clone(state);
    let app = move || {
        App::new()
            .app_data(web::Data::from(Arc::clone(&shared)))
            .configure(|config| routes::configure(config, &shared))
            .default_service(web::to(routes::no_such_path))
            .wrap(actix_web::middleware::from_fn(routes::rim))
    };
    let slowest = seconds(server.answer_seconds.max(1));
    let mut made = HttpServer::new(app)
        .max_connections(usize::try_from(server.connections).unwrap_or(usize::MAX))
        .client_request_timeout(seconds(server.head_seconds))
        .keep_alive(seconds(server.keep_alive_seconds))
        .client_disconnect_timeout(Duration::from_secs(1))
        .shutdown_timeout(u64::from(server.stop_seconds))
        // Beyond those of requests: for whoever asks whether this server is well, and for housekeeping.
        .worker_max_blocking_threads(usize::try_from(server.requests_at_once).unwrap_or(1).saturating_add(16))
        .on_connect(move |io, _| super::patience::cut_off(io, slowest));
    if server.workers > 0 {
        made = made.workers(usize::try_from(server.workers).unwrap_or(1));
    }
    if !state.settings.signals {
        made = made.disable_signals();
    }
    Ok(made.listen(listener)?.run())
}

/// What cursors are signed with: one for all servers on a database, made by the first.
fn cursor_secret(db: &Db) -> Result<Vec<u8>> {
    const NAME: &str = "cursors";
    if let Some(secret) = db.read(|conn| store::secret(conn, NAME))? {
        return Ok(secret);
    }
    let new = secret::random::<32>()?;
    db.write("server.secret", &Who::operator("server"), move |tx| {
        // Two servers may start at once.
        if let Some(secret) = store::secret(tx.conn(), NAME)? {
            return Ok(secret);
        }
        store::make_secret(tx.conn(), NAME, &new)?;
        Ok(new.to_vec())
    })
}
