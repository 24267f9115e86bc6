//! The database goes away under load and comes back: what is asked meanwhile is answered clearly and soon, what was acknowledged is
//! there, nothing is there twice, and the server is well again by itself.

use super::child::{Reply, Server, announced, effects, furnished, within};
use crate::databases::{Engine, TestDb};
use crate::given::{Ends, assert_clean};
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tributary::db::{Options, Url};

/// A way to PostgreSQL that can be cut: connections break, and new ones are refused.
struct Way {
    address: SocketAddr,
    to: String,
    open: Arc<Mutex<Vec<TcpStream>>>,
    listening: Option<(Arc<AtomicBool>, std::thread::JoinHandle<()>)>,
}

impl Way {
    fn to(server: &str) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut way = Way { address, to: server.to_owned(), open: Arc::default(), listening: None };
        way.listen(listener);
        way
    }

    fn listen(&mut self, listener: TcpListener) {
        let over = Arc::new(AtomicBool::new(false));
        let (ends, open, to) = (Arc::clone(&over), Arc::clone(&self.open), self.to.clone());
        let thread = std::thread::spawn(move || {
            for socket in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(here), Ok(there)) = (socket, TcpStream::connect(&to)) else { continue };
                for (from, to) in [(&here, &there), (&there, &here)] {
                    let (mut from, mut to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
                    std::thread::spawn(move || {
                        let mut part = [0; 16 << 10];
                        while let Ok(n) = from.read(&mut part) {
                            if n == 0 || to.write_all(&part[..n]).is_err() {
                                break;
                            }
                        }
                        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                    });
                }
                open.lock().expect("no panic").extend([here, there]);
            }
        });
        self.listening = Some((over, thread));
    }

    fn cut(&mut self) {
        if let Some((over, thread)) = self.listening.take() {
            over.store(true, Ordering::SeqCst);
            // Wakes it; with it its port is closed.
            drop(TcpStream::connect(self.address));
            thread.join().expect("it ends");
        }
        for socket in self.open.lock().expect("no panic").drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn restore(&mut self) {
        let mut listener = TcpListener::bind(self.address);
        within(20, "the port is free again", || {
            listener = TcpListener::bind(self.address);
            listener.is_ok()
        });
        self.listen(listener.expect("the port"));
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.cut();
    }
}

/// The host and port of `postgres://user@host:port/name`, and the same URL by another way.
fn parts(url: &str) -> (&str, &str, &str) {
    let (before, rest) = url.rsplit_once('@').expect("a user");
    let (server, name) = rest.split_once('/').expect("a name");
    (before, server, name)
}

/// What became of the requests of a load.
#[derive(Default)]
struct Log {
    acknowledged: Mutex<Vec<(String, Reply)>>,
    refused: AtomicUsize,
    slowest_refusal: Mutex<Duration>,
    odd: Mutex<Vec<String>>,
}

/// Posts one receipt after the other until it is over, each until it is answered with 200.
fn load(server: &Server, key: &str, client: usize, over: &AtomicBool, log: &Log) {
    for n in 0.. {
        let name = format!("load-{client}-{n}");
        let body = announced(&name, "1.00");
        loop {
            let asked = Instant::now();
            let Some(answer) = server.ask("POST", "/v1/expectations", key, &name, &body) else {
                log.odd.lock().expect("no panic").push(format!("{name}: no answer"));
                return;
            };
            match answer.status {
                200 => {
                    log.acknowledged.lock().expect("no panic").push((name, answer));
                    break;
                }
                503 if answer.code() == "busy" && answer.head.contains("retry-after: ") => {
                    log.refused.fetch_add(1, Ordering::Relaxed);
                    let mut slowest = log.slowest_refusal.lock().expect("no panic");
                    *slowest = asked.elapsed().max(*slowest);
                }
                _ => {
                    log.odd.lock().expect("no panic").push(format!("{name}: {answer:?}"));
                    return;
                }
            }
            if over.load(Ordering::SeqCst) {
                // What was never acknowledged may have happened or not.
                return;
            }
            // A client that comes again does so a little later.
            std::thread::sleep(Duration::from_millis(50));
        }
        if over.load(Ordering::SeqCst) {
            return;
        }
    }
}

/// What must hold when everything is over.
fn prove(test: &TestDb, server: Server, key: &str, log: &Log) {
    assert!(log.odd.lock().expect("no panic").is_empty(), "{:?}", log.odd.lock().expect("no panic"));
    let acknowledged = log.acknowledged.lock().expect("no panic");
    let rows = effects(test);
    let there: BTreeSet<&String> = rows.iter().collect();
    assert_eq!(there.len(), rows.len(), "nothing is there twice");
    for (name, answer) in acknowledged.iter() {
        assert!(there.contains(name), "{name} was acknowledged and is not there");
        if name.ends_with('0') {
            let body = announced(name, "1.00");
            let again = server.ask("POST", "/v1/expectations", key, name, &body).expect("an answer");
            assert_eq!((again.status, &again.body), (200, &answer.body), "{name}");
        }
    }
    drop(server);
    assert_clean(&test.open(Options::default()));
}

#[test]
fn a_database_that_is_away_under_load_is_said_so_and_nothing_acknowledged_is_lost_or_done_twice() {
    // TRIBUTARY_OUTAGE_SECONDS=60 for as long as the issue says.
    let seconds = std::env::var("TRIBUTARY_OUTAGE_SECONDS").map_or(6, |s| s.parse::<u64>().expect("a number"));
    let test = TestDb::new(Engine::Postgres);
    let (db, key) = furnished(&test);
    drop(db);
    let Url::Pg(url) = &test.url else { panic!("PostgreSQL") };
    let (before, server, name) = parts(url);
    let mut way = Way::to(server);
    let server = Server::start(&format!("{before}@{}/{name}", way.address), "");
    let (log, over) = (Log::default(), AtomicBool::new(false));
    let count = |log: &Log| log.acknowledged.lock().expect("no panic").len();
    std::thread::scope(|scope| {
        let _ends = Ends(&over);
        let (server, key) = (&server, &key);
        for client in 0..32 {
            let (log, over) = (&log, &over);
            scope.spawn(move || load(server, key, client, over, log));
        }
        within(60, "work is under way", || count(&log) > 200);
        let (memory, _) = server.memory();
        way.cut();
        let cut = Instant::now();
        let known = |log: &Log| log.refused.load(Ordering::Relaxed) > 32;
        within(30, "everybody is told", || known(&log));
        while cut.elapsed() < Duration::from_secs(seconds) {
            let begun = Instant::now();
            assert_eq!(server.get("/livez", key).status, 200);
            assert!(begun.elapsed() < Duration::from_secs(2), "/livez after {:?}", begun.elapsed());
            let ready = server.get("/readyz", key);
            assert_eq!((ready.status, ready.code().as_str()), (503, "busy"));
            let read = server.get("/v1/positions", key);
            assert_eq!((read.status, read.code().as_str()), (503, "busy"));
            assert!(
                !read.body.contains(&way.address.port().to_string()),
                "where the database is, is nobody's business"
            );
        }
        let (_, most) = server.memory();
        assert!(most < memory + 96, "{memory} MiB before, {most} at most");
        let so_far = count(&log);
        way.restore();
        let restored = Instant::now();
        within(10, "it is ready by itself", || server.get("/readyz", key).status == 200);
        within(20, "work goes on", || {
            let odd = log.odd.lock().expect("no panic");
            assert!(odd.is_empty(), "{odd:?}");
            count(&log) > so_far + 100
        });
        println!(
            "away for {seconds} s: {} refused, the slowest after {:?}; well again after {:?}; {memory} MiB before, {most} at most",
            log.refused.load(Ordering::Relaxed),
            log.slowest_refusal.lock().expect("no panic"),
            restored.elapsed()
        );
    });
    let slowest = *log.slowest_refusal.lock().expect("no panic");
    assert!(slowest < Duration::from_secs(20), "an answer took {slowest:?}");
    prove(&test, server, &key, &log);
}

#[test]
fn a_file_that_another_program_keeps_locked_is_said_so_and_work_goes_on_when_it_is_free() {
    let test = TestDb::new(Engine::Sqlite);
    let (db, key) = furnished(&test);
    drop(db);
    let server = Server::start(&test.url.to_string(), "");
    let (log, over) = (Log::default(), AtomicBool::new(false));
    let count = |log: &Log| log.acknowledged.lock().expect("no panic").len();
    std::thread::scope(|scope| {
        let _ends = Ends(&over);
        let (server, key) = (&server, &key);
        for client in 0..32 {
            let (log, over) = (&log, &over);
            scope.spawn(move || load(server, key, client, over, log));
        }
        within(60, "work is under way", || count(&log) > 200);
        let Url::Lite(path) = &test.url else { panic!("SQLite") };
        let mut locked = SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("opened");
        locked.batch_execute("PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE").expect("locked");
        within(30, "everybody is told", || log.refused.load(Ordering::Relaxed) > 32);
        // What only reads goes on.
        assert_eq!(server.get("/v1/positions", key).status, 200);
        assert_eq!(server.get("/livez", key).status, 200);
        let so_far = count(&log);
        drop(locked);
        within(15, "work goes on", || count(&log) > so_far + 100);
    });
    let slowest = *log.slowest_refusal.lock().expect("no panic");
    assert!(slowest < Duration::from_secs(20), "an answer took {slowest:?}");
    prove(&test, server, &key, &log);
}

#[test]
fn a_disk_that_takes_no_more_is_said_so_and_nothing_is_half_written() {
    let test = TestDb::new(Engine::Sqlite);
    let (db, key) = furnished(&test);
    drop(db);
    // Nothing that is written there may grow beyond this, as on a disk that is full.
    let server = Server::start_within(&test.url.to_string(), "", 4);
    let log = Log::default();
    let post = |name: &str| {
        let body = announced(name, "1.00");
        server.ask("POST", "/v1/expectations", &key, name, &body).expect("an answer")
    };
    let full = (0..20_000).find_map(|n| {
        let name = format!("fill-{n}");
        let answer = post(&name);
        if answer.status == 200 {
            log.acknowledged.lock().expect("no panic").push((name, answer));
            return None;
        }
        Some(answer)
    });
    let full = full.expect("it is full at last");
    assert_eq!((full.status, full.code().as_str()), (503, "busy"), "{full:?}");
    assert!(full.json()["detail"].as_str().is_some_and(|d| d.contains("the disk of the database")), "{full:?}");
    assert!(full.head.contains("retry-after: "), "{full:?}");
    assert_eq!(server.get("/livez", &key).status, 200);
    assert_eq!(server.get("/v1/positions", &key).status, 200, "what only reads goes on");
    drop(server);
    let server = Server::start(&test.url.to_string(), "");
    prove(&test, server, &key, &log);
}
