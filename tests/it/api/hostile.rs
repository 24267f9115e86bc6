//! Clients that are slow, send too much, speak no HTTP, or go away: each is answered clearly or cut off, everybody else is served
//! meanwhile, and the server's memory is bounded.

use super::child::{Server, announced, effects, furnished, key_of_ann, reply, request, to_the_end, within};
use super::on_both;
use crate::databases::{Engine, TestDb};
use crate::given::{alice, assert_clean, number};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};
use tributary::db::Options;

/// What a server may take in memory beyond what it had, in MiB, whatever is done to it here.
const MOST_MORE: u64 = 96;

/// A client that sends a byte a second.
struct Trickle {
    socket: TcpStream,
    rest: Vec<u8>,
}

impl Trickle {
    fn begin(server: &Server, at_once: &str, rest: &str) -> Trickle {
        let mut socket = server.connect();
        socket.write_all(at_once.as_bytes()).expect("sent");
        socket.set_nonblocking(true).expect("set");
        Trickle { socket, rest: rest.bytes().rev().collect() }
    }

    /// Sends its next byte; whether the server has cut it off.
    fn next(&mut self) -> bool {
        let byte = self.rest.pop().unwrap_or(b'x');
        let gone = |e: &std::io::Error| e.kind() != ErrorKind::WouldBlock;
        if self.socket.write_all(&[byte]).is_err_and(|e| gone(&e)) {
            return true;
        }
        let mut part = [0; 4096];
        match self.socket.read(&mut part) {
            Ok(0) => true,
            Ok(_) => false,
            Err(e) => gone(&e),
        }
    }
}

#[test]
fn five_hundred_clients_that_send_a_byte_a_second_are_cut_off_and_nobody_waits_for_them() {
    on_both(|test| {
        let (db, key) = furnished(test);
        drop(db);
        // As many as there may be requests: whoever sends slowly must not take their places.
        let server = Server::start(&test.url.to_string(), "head_seconds = 3\nbody_seconds = 3\nrequests_at_once = 300");
        assert_eq!(server.get("/v1/positions", &key).status, 200);
        let (before, _) = server.memory();
        let post = request("POST", "/v1/expectations", &key, "slow", &" ".repeat(1000));
        let post = post.trim_end_matches(' ');
        let upload = format!(
            "POST /v1/statement-files?name=x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 5000\r\n\r\n"
        );
        let head = "GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: ";
        let mut slow: Vec<Trickle> = (0..500)
            .map(|n| match n % 3 {
                0 => Trickle::begin(&server, head, ""),
                1 => Trickle::begin(&server, post, "{\"receipts\": ["),
                _ => Trickle::begin(&server, &upload, "<?xml"),
            })
            .collect();
        let begun = Instant::now();
        let mut round = 0;
        while !slow.is_empty() {
            slow.retain_mut(|client| !client.next());
            round += 1;
            // Until the next second: everybody else is served.
            while begun.elapsed() < Duration::from_secs(round) {
                let asked = Instant::now();
                let body = announced(&format!("quick-{round}"), "1.00");
                let done = server.ask("POST", "/v1/expectations", &key, &format!("quick-{round}"), &body);
                assert_eq!(done.expect("an answer").status, 200);
                assert_eq!(server.get("/v1/positions", &key).status, 200);
                assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
            }
            assert!(round < 30, "{} slow clients are still there", slow.len());
        }
        let (_, most) = server.memory();
        assert!(most < before + MOST_MORE, "{before} MiB before, {most} at most");
    });
}

#[test]
fn readers_that_never_read_are_cut_off_and_hold_no_memory() {
    on_both(|test| {
        let (db, key) = furnished(test);
        // More than what the system keeps for a connection.
        let text = "x".repeat(4000);
        for _ in 0..10 {
            let text = text.clone();
            let command = move |tx: &mut tributary::db::Tx<'_>| {
                for n in 0..500 {
                    tx.event("test.happened", &format!("{n}"), None, Some(serde_json::json!(text).to_string()));
                }
                Ok(())
            };
            db.write("test", &alice(), command).expect("recorded");
        }
        drop(db);
        let server = Server::start(&test.url.to_string(), "answer_seconds = 2");
        assert_eq!(server.get("/v1/positions", &key).status, 200);
        let ((before, _), files) = (server.memory(), server.open_files());
        let many = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(60);
        let page = request("GET", "/v1/events?limit=100", &key, "", "").replace("Connection: close\r\n", "").repeat(40);
        let stream =
            request("GET", "/v1/events?after=0", &key, "", "").replace("Host", "Accept: text/event-stream\r\nHost");
        let asking = (0..100).map(|n| match n {
            0..8 => stream.as_str(),
            8..16 => page.as_str(),
            _ => many.as_str(),
        });
        let deaf: Vec<TcpStream> = asking
            .map(|bytes| {
                let mut socket = server.connect();
                socket.write_all(bytes.as_bytes()).expect("sent");
                socket
            })
            .collect();
        within(5, "they are there", || server.open_files() > files + 50);
        assert_eq!(server.get("/v1/positions", &key).status, 200);
        within(40, "they are cut off", || server.open_files() < files + 20);
        assert_eq!(server.get("/v1/positions", &key).status, 200);
        let (_, most) = server.memory();
        assert!(most < before + MOST_MORE, "{before} MiB before, {most} at most");
        drop(deaf);
    });
}

/// Sends a body without an end until it is answered or cut off; the head of the answer.
fn endless(server: &Server, head: &str) -> String {
    let mut socket = server.connect();
    write!(socket, "{head}Transfer-Encoding: chunked\r\n\r\n").expect("sent");
    socket.set_nonblocking(true).expect("set");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let (begun, mut sent, mut said) = (Instant::now(), 0, Vec::new());
    while !said.windows(4).any(|w| w == b"\r\n\r\n") {
        // Once it is refused, what is still sent meets a closed door.
        sent += socket.write(chunk.as_bytes()).unwrap_or(0);
        let mut part = [0; 4096];
        match socket.read(&mut part) {
            Ok(0) => break,
            Ok(n) => said.extend_from_slice(&part[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        assert!(begun.elapsed() < Duration::from_secs(30) && sent < 256 << 20, "{sent} bytes went in");
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn bodies_that_are_too_large_are_refused_without_being_read() {
    on_both(|test| {
        let (db, key) = furnished(test);
        drop(db);
        let server = Server::start(&test.url.to_string(), "upload_mib = 1");
        assert_eq!(server.get("/v1/positions", &key).status, 200);
        let (before, _) = server.memory();
        for path in ["/v1/expectations", "/v1/statement-files?name=x"] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\n"
            );
            // Ten gigabytes, of which nothing comes.
            let mut declared = server.connect();
            write!(declared, "{head}Content-Length: 10737418240\r\n\r\n").expect("sent");
            let refused = reply(&mut declared).expect("an answer");
            assert_eq!((refused.status, refused.code().as_str()), (413, "body_too_large"), "{path}");
            // No end of it. The system's word that nothing more is read may overtake the answer, but not every time.
            let said: Vec<String> = (0..10).map(|_| endless(&server, &head)).collect();
            assert!(said.iter().any(|s| s.starts_with("HTTP/1.1 413")), "{path}: {said:?}");
            assert!(said.iter().all(|s| s.is_empty() || s.starts_with("HTTP/1.1 413")), "{path}: {said:?}");
            // What unpacks to a thousand times as much is not unpacked.
            let mut packed = server.connect();
            write!(packed, "{head}Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd").expect("sent");
            let refused = reply(&mut packed).expect("an answer");
            assert_eq!((refused.status, refused.code().as_str()), (415, "encoded_body"), "{path}");
        }
        assert_eq!(server.get("/v1/positions", &key).status, 200);
        let (_, most) = server.memory();
        assert!(most < before + MOST_MORE, "{before} MiB before, {most} at most");
        assert_eq!(number(&test.url, "SELECT count(*) AS value FROM idempotency_keys"), 0);
    });
}

#[test]
fn what_is_no_request_is_answered_with_4xx_or_cut_off_and_never_hangs() {
    let test = TestDb::new(Engine::Sqlite);
    let (db, key) = furnished(&test);
    drop(db);
    let server = Server::start(&test.url.to_string(), "head_seconds = 2\nbody_seconds = 2\nkeep_alive_seconds = 2");
    let (before, _) = server.memory();
    let headers: String = (0..10_000).map(|n| format!("X-H{n}: v\r\n")).collect();
    let post =
        format!("POST /v1/expectations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nIdempotency-Key: k\r\n");
    let noise: Vec<u8> = (0..70_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("10,000 headers", format!("GET /livez HTTP/1.1\r\nHost: x\r\n{headers}\r\n").into_bytes()),
        (
            "a header of 1 MB",
            format!("GET /livez HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "v".repeat(1 << 20)).into_bytes(),
        ),
        ("a URL of 1 MB", format!("GET /livez?{} HTTP/1.1\r\nHost: x\r\n\r\n", "v".repeat(1 << 20)).into_bytes()),
        ("noise", noise),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
        ("no version", b"GET /livez\r\n\r\n".to_vec()),
        ("another protocol", b"GET /livez SMTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("HTTP/2 without asking", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("an empty method", b" /livez HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("a NUL in the path", b"GET /li\0vez HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("a header without a name", b"GET /livez HTTP/1.1\r\n: x\r\n\r\n".to_vec()),
        ("a folded header", b"GET /livez HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n".to_vec()),
        ("a length that is none", format!("{post}Content-Length: ten\r\n\r\n").into_bytes()),
        ("a negative length", format!("{post}Content-Length: -1\r\n\r\n").into_bytes()),
        ("a signed length", format!("{post}Content-Length: +4\r\n\r\nabcd").into_bytes()),
        ("a length beyond all numbers", format!("{post}Content-Length: 99999999999999999999999\r\n\r\n").into_bytes()),
        ("two lengths", format!("{post}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd").into_bytes()),
        (
            "length and chunks",
            format!("{post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").into_bytes(),
        ),
        (
            "chunks twice",
            format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").into_bytes(),
        ),
        ("chunks that are none", format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n").into_bytes()),
        ("an unknown coding", format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n").into_bytes()),
        ("a body that is too short", format!("{post}Content-Length: 100\r\n\r\n{{}}").into_bytes()),
        ("a path that is none", b"GET livez HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("a head without an end", b"GET /livez HTTP/1.1\r\nHost: x\r\n".to_vec()),
    ];
    for (what, bytes) in cases {
        let begun = Instant::now();
        let said = server.raw(&bytes);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.0 4"), "{what}: {said}");
        assert!(said.matches("HTTP/1.1 ").count() <= 1, "{what}: one answer: {said}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}: {:?}", begun.elapsed());
    }
    for what in ["10,000 headers", "a header of 1 MB", "a URL of 1 MB"] {
        let bytes = match what {
            "10,000 headers" => format!("GET /livez HTTP/1.1\r\nHost: x\r\n{headers}\r\n"),
            "a URL of 1 MB" => format!("GET /livez?{} HTTP/1.1\r\nHost: x\r\n\r\n", "v".repeat(1 << 20)),
            _ => format!("GET /livez HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "v".repeat(1 << 20)),
        };
        // The answer comes through to who is still sending, unless the system's word that nothing more is read comes first.
        let answered = (0..20).any(|_| {
            let mut socket = server.connect();
            let mut writing = socket.try_clone().expect("a second handle");
            std::thread::scope(|scope| {
                scope.spawn(|| drop(writing.write_all(bytes.as_bytes())));
                to_the_end(&mut socket).starts_with("HTTP/1.1 431")
            })
        });
        assert!(answered, "{what}");
    }
    // What is odd and yet right is answered.
    let old = server.raw(b"GET /livez HTTP/1.0\r\n\r\n");
    assert!(old.starts_with("HTTP/1.0 200") || old.starts_with("HTTP/1.1 200"), "{old}");
    let many = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500);
    let last = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let said = server.raw(format!("{many}{last}").as_bytes());
    assert_eq!(said.matches("HTTP/1.1 200").count(), 501, "every one of many requests is answered");
    let body = announced("expected", "1.00");
    let mut asks = server.connect();
    let careful =
        request("POST", "/v1/expectations", &key, "expected", &body).replace("Host", "Expect: 100-continue\r\nHost");
    let (head, _) = careful.split_once("\r\n\r\n").expect("a head");
    write!(asks, "{head}\r\n\r\n").expect("sent");
    let mut first = [0; 25];
    asks.read_exact(&mut first).expect("a word");
    assert!(first.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&first));
    asks.write_all(body.as_bytes()).expect("sent");
    assert_eq!(reply(&mut asks).expect("an answer").status, 200);
    assert_eq!(server.get("/livez", &key).status, 200);
    let (_, most) = server.memory();
    assert!(most < before + MOST_MORE, "{before} MiB before, {most} at most");
}

#[test]
fn who_loses_the_connection_and_asks_again_with_the_same_key_gets_one_effect_and_its_answer() {
    on_both(|test| {
        let (db, key) = furnished(test);
        drop(db);
        let server = Server::start(&test.url.to_string(), "");
        for n in 0..24 {
            let name = format!("lost-{n}");
            let body = announced(&name, "1.00");
            let whole = request("POST", "/v1/expectations", &key, &name, &body);
            let mut socket = server.connect();
            match n % 4 {
                // In the head, in the body, before the answer, in the answer.
                0 => socket.write_all(&whole.as_bytes()[..40]).expect("sent"),
                1 => socket.write_all(&whole.as_bytes()[..whole.len() - 10]).expect("sent"),
                2 => socket.write_all(whole.as_bytes()).expect("sent"),
                _ => {
                    socket.write_all(whole.as_bytes()).expect("sent");
                    socket.read_exact(&mut [0; 1]).expect("a byte");
                }
            }
            let _ = socket.shutdown(Shutdown::Both);
            drop(socket);
            let ask = || server.ask("POST", "/v1/expectations", &key, &name, &body).expect("an answer");
            let (first, second) = (ask(), ask());
            assert_eq!(first.status, 200, "{first:?}");
            assert_eq!((first.status, &first.body), (second.status, &second.body));
        }
        assert_eq!(effects(test).len(), 24);
        drop(server);
        assert_clean(&test.open(Options::default()));
    });
}

#[test]
fn a_full_server_still_says_that_it_lives_and_refuses_the_rest_clearly() {
    let test = TestDb::new(Engine::Sqlite);
    let (db, _) = furnished(&test);
    let (_, other) = key_of_ann(&db, "ben");
    drop(db);
    let server = Server::start(&test.url.to_string(), "requests_at_once = 0\nbody_seconds = 2");
    let refused = server.get("/v1/positions", &other);
    assert_eq!((refused.status, refused.code().as_str()), (503, "server_full"));
    assert!(refused.head.contains("retry-after: "), "{refused:?}");
    assert_eq!(server.get("/livez", &other).status, 200);
    assert_eq!(server.get("/readyz", &other).status, 200);
}
