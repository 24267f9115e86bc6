//! Webhooks on both databases, against a receiver of the standard library's sockets: order, signatures, crashes, what is refused,
//! dead receivers, scope, ranges sent again.

use crate::api::Served;
use crate::databases::{TestDb, on_both};
use crate::given::{alice, assert_clean, treasury};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tributary::access::{self, Secret};
use tributary::actor::{Actor, Scope};
use tributary::db::{Db, Fault, FaultPoint, Options, Who};
use tributary::error::Result;
use tributary::events::{self, Filter};
use tributary::ledger;
use tributary::time::{Clock, SetClock};
use tributary::webhooks::{self, Allowed, Courier, Delivery, Endpoint, NewEndpoint, Round, Settings};

/// A request, as the receiver has it.
#[derive(Debug, Clone)]
struct Heard {
    headers: Vec<(String, String)>,
    body: String,
}

impl Heard {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn number(&self) -> i64 {
        self.json()["data"]["number"].as_i64().expect("a number")
    }

    /// Verified as a receiver does, by nothing of ours.
    fn is_signed_by(&self, secret: &Secret) -> bool {
        let key = STANDARD.decode(secret.reveal().strip_prefix("whsec_").expect("a secret")).expect("base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
        for part in [self.header("webhook-id"), ".", self.header("webhook-timestamp"), ".", &self.body] {
            mac.update(part.as_bytes());
        }
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').any(|s| s == expected)
    }
}

type Answering = Box<dyn Fn(&Heard) -> String + Send + Sync>;

/// A receiver on this machine.
struct Receiver {
    url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Receiver {
    /// It takes everything.
    fn new() -> Receiver {
        Receiver::answering(Box::new(|_| "200 OK".to_owned()))
    }

    /// It answers with this status, and what of headers stands behind it.
    fn answering(answer: Answering) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/hook?token=t", listener.local_addr().expect("an address"));
        let (heard, stop) = (Arc::<Mutex<Vec<Heard>>>::default(), Arc::new(AtomicBool::new(false)));
        let (own, stopped) = (Arc::clone(&heard), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(|s| s.ok()) {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                let Some(request) = hear(&stream) else { continue };
                let status = answer(&request);
                own.lock().expect("heard").push(request);
                let _ = write!(&stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        Receiver { url, heard, stop, thread: Some(thread) }
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("heard").clone()
    }

    fn numbers(&self) -> Vec<i64> {
        self.heard().iter().map(Heard::number).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let address = self.url.trim_start_matches("http://").split('/').next().unwrap_or_default();
        drop(TcpStream::connect(address));
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn hear(stream: &TcpStream) -> Option<Heard> {
    let mut reader = BufReader::new(stream);
    let (mut headers, mut line) = (Vec::new(), String::new());
    reader.read_line(&mut line).ok()?;
    assert!(line.starts_with("POST /hook?token=t HTTP/1.1"), "{line}");
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut heard = Heard { headers, body: String::new() };
    let mut body = vec![0; heard.header("content-length").parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    heard.body = String::from_utf8(body).ok()?;
    Some(heard)
}

/// A database with a clock that stands.
struct Given {
    clock: Arc<SetClock>,
    db: Arc<Db>,
}

impl Given {
    fn new(test: &TestDb) -> Given {
        Given::with(test, Options::default())
    }

    fn with(test: &TestDb, options: Options) -> Given {
        let clock = Arc::new(SetClock::at("2026-03-02T09:00:00Z".parse().expect("an instant")));
        let db = Arc::new(test.open(Options { clock: clock.clone(), ..options }));
        treasury(&db, 0..1);
        Given { clock, db }
    }

    fn pass(&self, seconds: i64) {
        self.clock.set(self.clock.now() + chrono::TimeDelta::seconds(seconds));
    }
}

fn settings() -> Settings {
    Settings {
        allowed: Allowed { http_loopback: true, networks: Vec::new() },
        timeout: std::time::Duration::from_secs(5),
        keep: chrono::TimeDelta::days(30),
    }
}

fn add(db: &Db, url: &str, kinds: &[&str], owner: Actor) -> (String, Secret) {
    let (id, secret) = webhooks::new_secret(db).expect("a secret");
    let kinds = kinds.iter().map(|k| (*k).to_owned()).collect();
    let new = NewEndpoint { id: id.clone(), url: url.to_owned(), kinds, owner };
    let given = secret.clone();
    db.write("webhook.add", &alice(), move |tx| webhooks::add(tx, &new, &given)).expect("added");
    (id, secret)
}

/// Something happens, and is recorded under this number.
fn happen(db: &Db, subject: &str) -> i64 {
    let subject = subject.to_owned();
    db.write("test", &alice(), move |tx| Ok(tx.event("test.happened", &subject, None, None))).expect("recorded")
}

fn round(db: &Arc<Db>) -> Round {
    Courier::new(Arc::clone(db), settings()).expect("a courier").round().expect("a round")
}

fn endpoint(db: &Db, id: &str) -> Endpoint {
    db.read(|conn| webhooks::endpoint(conn, None, id)).expect("an endpoint")
}

fn log(db: &Db, id: &str) -> Vec<Delivery> {
    let mut all = db.read(|conn| webhooks::deliveries(conn, None, id, (None, false, 100))).expect("a log");
    all.reverse();
    all
}

fn change<A: Send + 'static>(
    db: &Db,
    id: &str,
    command: impl Fn(&mut tributary::db::Tx<'_>, &str) -> Result<A> + Send + 'static,
) -> Result<A> {
    let id = id.to_owned();
    db.write("webhook.change", &alice(), move |tx| command(tx, &id))
}

#[test]
fn events_are_sent_once_each_in_their_order_and_signed() {
    on_both(|test| {
        let (given, receiver) = (Given::new(test), Receiver::new());
        let db = &given.db;
        happen(db, "before it was there");
        let (id, secret) = add(db, &receiver.url, &["test."], alice().actor.clone());
        let numbers: Vec<i64> = (0..50).map(|n| happen(db, &format!("thing {n}"))).collect();
        assert_eq!(round(db), Round { sent: 50, failed: 0 });
        assert_eq!(round(db), Round::default());
        assert_eq!(receiver.numbers(), numbers);
        for heard in receiver.heard() {
            assert!(heard.is_signed_by(&secret), "{heard:?}");
            assert_eq!(heard.header("webhook-id"), format!("ev_{}", heard.number()));
            assert_eq!(heard.header("webhook-timestamp"), given.clock.now().timestamp().to_string());
            assert_eq!(heard.json()["type"], "test.happened");
        }
        assert_eq!(endpoint(db, &id).at, *numbers.last().expect("some"));
        assert!(log(db, &id).iter().all(|d| d.status == Some(200) && d.error.is_none() && d.attempt == 1));
        assert_clean(db);
    });
}

#[test]
fn a_crash_between_sending_and_the_cursor_sends_again_under_the_same_id() {
    on_both(|test| {
        let crashed = Arc::new(AtomicBool::new(false));
        let fails = Arc::clone(&crashed);
        let faults: tributary::db::Faults = Arc::new(move |at| {
            (at == FaultPoint::BeforeCommit && fails.load(Ordering::Acquire)).then_some(Fault::Error)
        });
        let given = Given::with(test, Options { faults: Some(faults), ..Options::default() });
        let db = &given.db;
        let (crash, once) = (Arc::clone(&crashed), AtomicBool::new(true));
        // The database goes away the moment the message is there, once.
        let receiver = Receiver::answering(Box::new(move |heard| {
            if heard.json()["data"]["subject"] == "second" && once.swap(false, Ordering::AcqRel) {
                crash.store(true, Ordering::Release);
            }
            "204 No Content".to_owned()
        }));
        let (id, _) = add(db, &receiver.url, &["test."], alice().actor.clone());
        let (first, second) = (happen(db, "first"), happen(db, "second"));
        let third = happen(db, "third");
        let died = Courier::new(Arc::clone(db), settings()).expect("a courier").round();
        assert!(died.is_err(), "{died:?}");
        crashed.store(false, Ordering::Release);
        assert_eq!(receiver.numbers(), [first, second]);
        // Another worker, once the lease of the dead one has run out.
        given.pass(200);
        assert_eq!(round(db), Round { sent: 2, failed: 0 });
        let ids: Vec<String> = receiver.heard().iter().map(|h| h.header("webhook-id").to_owned()).collect();
        assert_eq!(ids, [first, second, second, third].map(|n| format!("ev_{n}")));
        assert_eq!(endpoint(db, &id).at, third);
        assert_clean(db);
    });
}

#[test]
fn a_redirect_is_not_followed_and_a_private_address_is_not_reached() {
    on_both(|test| {
        let given = Given::new(test);
        let db = &given.db;
        let elsewhere = Receiver::new();
        let to = elsewhere.url.clone();
        let receiver = Receiver::answering(Box::new(move |_| format!("307 Temporary Redirect\r\nlocation: {to}")));
        let (redirects, _) = add(db, &receiver.url, &["test."], alice().actor.clone());
        let private: Vec<String> = ["https://10.1.2.3/", "https://169.254.169.254/latest", "https://[fd00:ec2::254]/"]
            .into_iter()
            .map(|url| add(db, url, &["test."], alice().actor.clone()).0)
            .collect();
        happen(db, "thing");
        assert_eq!(round(db), Round { sent: 0, failed: 4 });
        let tried = log(db, &redirects);
        assert_eq!((tried.len(), tried[0].status), (1, Some(307)), "{tried:?}");
        assert_eq!((receiver.heard().len(), elsewhere.heard().len()), (1, 0));
        for id in private {
            let tried = log(db, &id);
            assert!(
                tried[0].error.as_deref().is_some_and(|e| e.contains("not an address of the internet")),
                "{tried:?}"
            );
        }
        // Without the setting, this machine is out of reach too.
        let strict = Settings { allowed: Allowed::default(), ..settings() };
        let sent = webhooks::test(db, &alice(), &strict, &redirects).expect("a test");
        assert!(sent.error.is_some_and(|e| e.contains("without TLS")) && receiver.heard().len() == 1);
    });
}

#[test]
fn a_dead_endpoint_is_tried_for_three_days_then_turned_off_and_loses_nothing() {
    on_both(|test| {
        let given = Given::new(test);
        let db = &given.db;
        let taken = Arc::new(AtomicBool::new(false));
        let takes = Arc::clone(&taken);
        let receiver = Receiver::answering(Box::new(move |_| {
            (if takes.load(Ordering::Acquire) { "200 OK" } else { "503 Service Unavailable" }).to_owned()
        }));
        let (id, _) = add(db, &receiver.url, &["test."], alice().actor.clone());
        let begun = given.clock.now();
        let numbers = [happen(db, "first"), happen(db, "second")];
        for attempt in 1..=10 {
            assert_eq!(round(db), Round { sent: 0, failed: 1 }, "attempt {attempt}");
            assert_eq!(round(db), Round::default(), "not before its time");
            if let Some(due) = endpoint(db, &id).due_at {
                given.clock.set(due);
            }
        }
        assert!(given.clock.now() - begun > chrono::TimeDelta::hours(70));
        let off = endpoint(db, &id);
        assert_eq!(
            (off.state.as_str(), off.why_off),
            ("off", Some(format!("event {} was not taken in 10 attempts", numbers[0])))
        );
        assert_eq!(log(db, &id).iter().map(|d| d.attempt).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
        let filter = Filter { kinds: vec!["webhook.disabled".to_owned()], ..Filter::default() };
        let told = db.read(|conn| events::page(conn, &Scope::everything(), &filter, 0, 10)).expect("events").events;
        assert_eq!((told.len(), told[0].subject.as_str()), (1, id.as_str()));
        taken.store(true, Ordering::Release);
        given.pass(100_000);
        assert_eq!(round(db), Round::default(), "it is off");
        change(db, &id, webhooks::enable).expect("on");
        let third = happen(db, "third");
        assert_eq!(round(db), Round { sent: 3, failed: 0 });
        assert_eq!(receiver.numbers()[10..], [numbers[0], numbers[1], third]);
        // The log is kept for thirty days.
        given.pass(31 * 86_400);
        round(db);
        assert_eq!(log(db, &id).len(), 0);
        assert_clean(db);
    });
}

#[test]
fn an_answer_of_gone_turns_an_endpoint_off_at_once() {
    on_both(|test| {
        let given = Given::new(test);
        let receiver = Receiver::answering(Box::new(|_| "410 Gone".to_owned()));
        let (id, _) = add(&given.db, &receiver.url, &["test."], alice().actor.clone());
        happen(&given.db, "thing");
        assert_eq!(round(&given.db), Round { sent: 0, failed: 1 });
        assert_eq!(endpoint(&given.db, &id).state, "off");
    });
}

#[test]
fn a_range_is_sent_again_and_a_rotated_secret_signs_beside_the_new_one() {
    on_both(|test| {
        let (given, receiver) = (Given::new(test), Receiver::new());
        let db = &given.db;
        let (id, old) = add(db, &receiver.url, &["test."], alice().actor.clone());
        let numbers: Vec<i64> = (0..5).map(|n| happen(db, &format!("thing {n}"))).collect();
        round(db);
        let (first, last) = (numbers[1], numbers[3]);
        for wrong in [(0, 1), (last, first), (1, last + 100)] {
            let no = change(db, &id, move |tx, id| webhooks::replay(tx, id, wrong.0, wrong.1)).expect_err("a range");
            assert_eq!(no.code(), "bad_event_range");
        }
        change(db, &id, move |tx, id| webhooks::replay(tx, id, first, last)).expect("again");
        let (_, new) = webhooks::new_secret(db).expect("a secret");
        let given_secret = new.clone();
        change(db, &id, move |tx, id| webhooks::rotate(tx, id, &given_secret, 24)).expect("rotated");
        assert_eq!(round(db), Round { sent: 3, failed: 0 });
        assert_eq!(receiver.numbers()[5..], numbers[1..4]);
        assert!(receiver.heard()[5..].iter().all(|h| h.is_signed_by(&old) && h.is_signed_by(&new)));
        assert_eq!(receiver.heard()[5].header("webhook-id"), format!("ev_{first}"));
        assert_eq!(endpoint(db, &id).replays, []);
        given.pass(25 * 3_600);
        happen(db, "later");
        round(db);
        let newest = receiver.heard().pop().expect("one");
        assert!(newest.is_signed_by(&new) && !newest.is_signed_by(&old));
        change(db, &id, webhooks::remove).expect("removed");
        assert_clean(db);
    });
}

#[test]
fn an_endpoint_is_sent_what_its_owner_may_see_now_and_nothing_else() {
    on_both(|test| {
        let (served, receiver) = (Served::on(test), Receiver::new());
        let db = &served.db;
        let (person, _) = served.person("ann", &[("product-client", "product:tiktok")]);
        let (id, _) = add(db, &receiver.url, &[], Actor::person(&person));
        let freeze = |leaf: &'static str| {
            let command = move |tx: &mut tributary::db::Tx<'_>| ledger::set_state(tx, leaf, "frozen", "a test");
            db.write("account.freeze", &alice(), command).expect("frozen");
        };
        freeze("m00/douyin/de/operating");
        freeze("m00/tiktok/de/operating");
        freeze("m01/capcut/de/operating");
        round(db);
        let subjects: Vec<String> = receiver
            .heard()
            .iter()
            .map(|h| h.json()["data"]["subject"].as_str().expect("a subject").to_owned())
            .collect();
        assert_eq!(subjects, ["m00/tiktok/de/operating"]);
        // Taken away, it counts from the next message on.
        let who = person.clone();
        let scope = "product:tiktok".parse().expect("a scope");
        let _: usize = db
            .write("role.revoke", &alice(), move |tx| {
                access::revoke(tx, access::Holder::Person(&who), "product-client", Some(&scope))
            })
            .expect("revoked");
        freeze("m01/tiktok/de/operating");
        assert_eq!(round(db), Round::default());
        assert_eq!(endpoint(db, &id).why_off.as_deref(), Some("its owner may see no events any more"));
        assert_eq!(receiver.heard().len(), 1);
    });
}

#[test]
fn a_worker_sends_what_is_recorded_while_it_runs() {
    on_both(|test| {
        let (given, receiver) = (Given::new(test), Receiver::new());
        let db = &given.db;
        let (id, _) = add(db, &receiver.url, &["test."], alice().actor.clone());
        let running = webhooks::start(Arc::clone(db), settings()).expect("it runs");
        let numbers: Vec<i64> = (0..5).map(|n| happen(db, &format!("thing {n}"))).collect();
        let last = *numbers.last().expect("some");
        let begun = std::time::Instant::now();
        while endpoint(db, &id).at < last {
            assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", endpoint(db, &id));
            std::thread::yield_now();
        }
        drop(running);
        assert_eq!(receiver.numbers(), numbers);
        assert_clean(db);
    });
}

#[test]
fn an_endpoint_is_tested_over_http_by_its_owner_who_hears_how_it_went() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, tia) = served.person("tia", &[("product-client", "product:tiktok")]);
        let (_, dou) = served.person("dou", &[("product-client", "product:douyin")]);
        let well = Receiver::new();
        let ill = Receiver::answering(Box::new(|_| "500 Internal Server Error".to_owned()));
        let add = |key: &str, url: &str| {
            let added = served.post("/v1/webhooks", &tia, key, serde_json::json!({ "url": url }));
            assert_eq!(added.status, 201, "{added:?}");
            let added = added.json();
            (
                added["id"].as_str().expect("an id").to_owned(),
                Secret::given(added["secret"].as_str().expect("a secret")),
            )
        };
        let ((good, secret), (bad, _)) = (add("a1", &well.url), add("a2", &ill.url));
        let ask =
            |token: &str, id: &str| served.post(&format!("/v1/webhooks/{id}/test"), token, "t", serde_json::json!({}));
        let told = ask(&tia, &good).json();
        assert_eq!(
            (&told["taken"], &told["status"], &told["error"]),
            (&true.into(), &200.into(), &serde_json::Value::Null)
        );
        let heard = well.heard();
        assert_eq!((heard.len(), &heard[0].json()["type"]), (1, &"webhook.test".into()));
        assert!(heard[0].is_signed_by(&secret));
        let failed = ask(&tia, &bad).json();
        assert_eq!((&failed["taken"], &failed["status"]), (&false.into(), &500.into()), "{failed}");
        assert!(failed["error"].is_string());
        let log = served.get(&format!("/v1/webhooks/{bad}/deliveries?failed=true"), &tia).json();
        assert_eq!(log["items"].as_array().map(Vec::len), Some(1), "{log}");
        assert_eq!((ask(&dou, &good).status, ask(&dou, "wh_none").status, well.heard().len()), (404, 404, 1));
        assert_clean(&served.db);
    });
}

#[test]
fn nobody_touches_an_endpoint_of_somebody_else() {
    on_both(|test| {
        let given = Given::new(test);
        let db = &given.db;
        let (id, _) = add(db, "https://example.com/", &[], Actor::person("ps_1"));
        let other = Arc::new(Who {
            actor: Actor::person("ps_2"),
            scope: "product:tiktok".parse::<tributary::scope::Part>().map(Scope::from).expect("a scope"),
        });
        let foreign = db.write("webhook.remove", &other, {
            let id = id.clone();
            move |tx| webhooks::remove(tx, &id)
        });
        let absent = db.write("webhook.remove", &other, |tx| webhooks::remove(tx, "wh_none"));
        assert_eq!(foreign.expect_err("foreign").code(), absent.expect_err("absent").code());
        assert_eq!(db.read(|conn| webhooks::endpoints(conn, Some(&other.actor))).expect("a list"), []);
        for (url, kinds, code) in [
            ("http://example.com/", vec![], "bad_webhook_url"),
            ("https://example.com/", vec!["Statement %".to_owned()], "bad_event_kind"),
        ] {
            let (new_id, secret) = webhooks::new_secret(db).expect("a secret");
            let new = NewEndpoint { id: new_id, url: url.to_owned(), kinds, owner: Actor::person("ps_2") };
            let no = db.write("webhook.add", &other, move |tx| webhooks::add(tx, &new, &secret)).expect_err("refused");
            assert_eq!(no.code(), code);
        }
    });
}

#[test]
fn an_address_that_would_never_be_sent_to_is_refused_when_it_is_made_an_endpoint() {
    let mut config = tributary::config::load(None).expect("the defaults").webhooks;
    let settings = |config: &_| Settings::of(config).expect("settings");
    let never = [
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://[::1]/x",
        "https://10.1.2.3/",
        "https://169.254.169.254/",
    ];
    for url in never {
        let no = settings(&config).refuse(url).expect_err("refused");
        assert!(no.code() == "bad_webhook_url" && no.to_string().contains("allow_networks"), "{url}: {no}");
    }
    settings(&config).refuse("https://example.com/x").expect("a name is looked up when it is sent to");
    config.allow_networks = vec!["10.0.0.0/8".to_owned()];
    settings(&config).refuse("https://10.1.2.3/").expect("it is named");
}
