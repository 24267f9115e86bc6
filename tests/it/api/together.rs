//! Several servers on one PostgreSQL: what one has done counts for the other at once, and neither needs the other.

use super::child::{Server, announced, effects, furnished, key_of_ann, request, signed_in, within};
use crate::databases::{Engine, TestDb};
use crate::given::{Ends, assert_clean};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tributary::db::Options;

fn count_one(of: &AtomicUsize) {
    of.fetch_add(1, Ordering::Relaxed);
}

fn two(test: &TestDb) -> [Server; 2] {
    [(); 2].map(|()| Server::start(&test.url.to_string(), ""))
}

#[test]
fn the_same_key_at_two_servers_at_once_has_one_effect_and_equal_answers() {
    let test = TestDb::new(Engine::Postgres);
    let (_, key) = furnished(&test);
    let servers = two(&test);
    for n in 0..20 {
        let name = format!("both-{n}");
        let body = announced(&name, "1.00");
        let start = Barrier::new(4);
        let ask = |server: &Server| {
            start.wait();
            server.ask("POST", "/v1/expectations", &key, &name, &body).expect("an answer")
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let ask = &ask;
            let asking = servers.iter().chain(&servers).map(|server| scope.spawn(move || ask(server)));
            // All are there before the first is waited for.
            let asking: Vec<_> = asking.collect();
            asking.into_iter().map(|t| t.join().expect("answered")).collect()
        });
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (200, &answers[0].body), "{name}");
        }
        let firsts = answers.iter().filter(|a| !a.head.contains("idempotency-replayed")).count();
        assert_eq!(firsts, 1, "{name}: one has done it, the others repeat its answer");
    }
    assert_eq!(effects(&test).len(), 20);
    let other = announced("both-0", "2.00");
    for server in &servers {
        let refused = server.ask("POST", "/v1/expectations", &key, "both-0", &other).expect("an answer");
        assert_eq!((refused.status, refused.code().as_str()), (409, "conflict"));
    }
    drop(servers);
    assert_clean(&test.open(Options::default()));
}

#[test]
fn a_right_that_one_server_takes_away_is_gone_at_the_other_with_the_next_request() {
    let test = TestDb::new(Engine::Postgres);
    let (db, _) = furnished(&test);
    let (key, secret) = key_of_ann(&db, "ben");
    let (_, admin) = signed_in(&db, "admin", &["administrator"]);
    let (ann, session) = signed_in(&db, "cleo", &["treasurer"]);
    drop(db);
    let [a, b] = two(&test);
    for server in [&a, &b] {
        assert_eq!(server.get("/v1/positions", &secret).status, 200);
        assert_eq!(server.get("/v1/positions", &session).status, 200);
    }
    let done = a.ask("POST", &format!("/v1/keys/{key}/revoke"), &admin, "k1", "{}").expect("an answer");
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(b.get("/v1/positions", &secret).code(), "not_signed_in");
    let role = json!({ "role": "treasurer", "scope": "all" }).to_string();
    let done = a.ask("POST", &format!("/v1/people/{ann}/grants/revoke"), &admin, "k2", &role).expect("an answer");
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(b.get("/v1/positions", &session).code(), "forbidden");
    assert_eq!(a.get("/v1/positions", &session).code(), "forbidden");
}

#[test]
fn a_reader_at_one_server_sees_what_another_has_committed_and_goes_on_there() {
    let test = TestDb::new(Engine::Postgres);
    let (_, key) = furnished(&test);
    let [a, b] = two(&test);
    let mut socket = b.connect();
    let asked = request("GET", "/v1/events?kind=proposal", &key, "", "");
    socket.write_all(asked.replace("Host", "Accept: text/event-stream\r\nHost").as_bytes()).expect("sent");
    let mut lines = BufReader::new(socket).lines().map(|l| l.expect("a line"));
    assert!(lines.any(|l| l.starts_with("retry:")), "it has begun");
    for name in ["first", "second"] {
        let body = announced(name, "1.00");
        assert_eq!(a.ask("POST", "/v1/expectations", &key, name, &body).expect("an answer").status, 200);
        let seen = lines.find(|l| l.starts_with("data: ")).expect("an event");
        assert!(seen.contains("proposal"), "{seen}");
    }
    // A page of A, the next one of B, and so on: nothing twice, nothing missing.
    let all = a.get("/v1/events?limit=1000", &key).json()["items"].as_array().expect("items").len();
    let (mut seen, mut path) = (0, "/v1/events?limit=3".to_owned());
    for server in [&a, &b].into_iter().cycle() {
        let page = server.get(&path, &key).json();
        seen += page["items"].as_array().unwrap_or_else(|| panic!("{page}")).len();
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/events?cursor={cursor}");
    }
    assert_eq!(seen, all);
}

#[test]
fn the_end_of_one_server_in_the_middle_of_its_work_does_not_stop_the_other() {
    let test = TestDb::new(Engine::Postgres);
    let (_, key) = furnished(&test);
    let [mut a, b] = two(&test);
    let (over, done) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 2]);
    let (at, key) = (a.address, &key);
    std::thread::scope(|scope| {
        let _ends = Ends(&over);
        for client in 0..16 {
            let (over, done, b) = (&over, &done, &b);
            scope.spawn(move || {
                for n in 0.. {
                    let name = format!("{client}-{n}");
                    let body = announced(&name, "1.00");
                    // Whoever loses A comes to B with the same key.
                    let first = if client % 2 == 0 {
                        Server::ask_at(at, "POST", "/v1/expectations", key, &name, &body)
                    } else {
                        None
                    };
                    let answer = first.inspect(|_| count_one(&done[0])).unwrap_or_else(|| {
                        let answer = b.ask("POST", "/v1/expectations", key, &name, &body).expect("B answers");
                        count_one(&done[1]);
                        answer
                    });
                    assert_eq!(answer.status, 200, "{answer:?}");
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
        let count = |n: usize| done[n].load(Ordering::Relaxed);
        within(30, "both work", || count(0) > 50 && count(1) > 50);
        a.kill();
        let so_far = count(1);
        within(10, "the other goes on", || count(1) > so_far + 200);
    });
    assert_eq!(b.get("/readyz", key).status, 200);
    let all = done.iter().map(|d| d.load(Ordering::Relaxed)).sum::<usize>();
    assert_eq!(effects(&test).len(), all, "each has one effect, at whichever server");
    drop((a, b));
    assert_clean(&test.open(Options::default()));
}
