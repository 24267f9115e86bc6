//! The HTTP API on both databases, through a real server: who is let in, what takes effect once, what is refused and how, and
//! the document that says so.

mod administration;
mod bounded;
mod child;
mod document;
mod examples;
mod hostile;
mod known;
mod live;
mod metrics;
pub mod open;
mod outage;
mod plumbing;
mod proof;
mod rights;
mod rounds;
mod scoped;
mod takeover;
mod tls;
mod together;
mod transfers;
mod work;
mod writes;

use crate::databases::{TestDb, on_both};
use crate::given::{alice, treasury};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::{Arc, OnceLock};
use tributary::access::oidc::Provider;
use tributary::access::{self, Cost, Holder, Joining, NewKey, NewPerson, Secret, Settings, SignIn, totp};
use tributary::banking::{Profile, Profiles};
use tributary::db::{Db, Options, Tx};
use tributary::scope::Part;
use tributary::time::SetClock;
use tributary::{app, config, http};

pub const PASSWORD: &str = "the heron eats at dawn";
pub const TOTP: [u8; 20] = [3; 20];

/// A treasury with two masters, and a server on it.
pub struct Served {
    pub db: Arc<Db>,
    pub clock: Arc<SetClock>,
    running: Option<http::Running>,
    base: String,
    agent: ureq::Agent,
    /// The session of somebody who approves, once there is one.
    approver: OnceLock<String>,
}

/// An answer, as a client has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Got {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The code of a problem, which has the right form.
    #[track_caller]
    pub fn code(&self) -> String {
        let problem = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(problem["status"], self.status, "{problem}");
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"), "{problem}");
        let code = problem["code"].as_str().expect("a code").to_owned();
        assert_eq!(problem["type"], format!("urn:tributary:problem:{code}"));
        assert!(problem["detail"].as_str().is_some_and(|d| d.len() > 10), "{problem}");
        code
    }

    /// All that it says but the id of the request.
    pub fn said(&self) -> (u16, String) {
        let mut json = self.json();
        if let Some(problem) = json.as_object_mut() {
            problem.remove("request_id");
        }
        (self.status, json.to_string())
    }
}

/// What is sent.
#[derive(Clone, Default)]
pub struct Sent<'a> {
    pub token: Option<&'a str>,
    pub key: Option<&'a str>,
    pub body: Option<Value>,
    pub headers: Vec<(&'a str, &'a str)>,
}

impl Served {
    /// On this database, with a treasury.
    pub fn on(test: &TestDb) -> Served {
        Served::with(test, |_| {})
    }

    /// As [`Served::on`], with other settings.
    pub fn with(test: &TestDb, change: impl FnOnce(&mut config::Server)) -> Served {
        Served::built(test, change, None)
    }

    /// As [`Served::on`], with a provider that people sign in by.
    pub fn with_provider(test: &TestDb, provider: Provider) -> Served {
        Served::built(test, |_| {}, Some(provider))
    }

    fn built(test: &TestDb, change: impl FnOnce(&mut config::Server), provider: Option<Provider>) -> Served {
        let clock = Arc::new(SetClock::at("2026-03-02T09:00:00Z".parse().expect("an instant")));
        let db = Arc::new(test.open(Options { clock: clock.clone(), ..Options::default() }));
        treasury(&db, 0..2);
        let config::Config { mut server, mut webhooks, .. } = config::load(None).expect("the defaults");
        webhooks.allow_http_loopback = true;
        (server.workers, server.requests_per_second, server.guesses) = (2, 0, 0);
        change(&mut server);
        let wallet = include_str!("../../config/csv/wallet.toml");
        let profiles = Profiles::declared(vec![Profile::parse(wallet).expect("a profile")]);
        let settings = http::Settings { server, access: settings(), profiles, webhooks, signals: false };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let running =
            http::start_with(Arc::clone(&db), app::operations(), settings, provider, listener).expect("a server");
        let base = format!("http://{}", running.address());
        let agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
        Served { db, clock, running: Some(running), base, agent, approver: OnceLock::new() }
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.running.as_ref().expect("it runs").address()
    }

    /// Asks, and gives the answer.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, sent: &Sent<'_>) -> Got {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = sent.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(key) = sent.key {
            request = request.header("idempotency-key", key);
        }
        for (name, value) in &sent.headers {
            request = request.header(*name, *value);
        }
        let body = sent.body.as_ref().map(Value::to_string);
        if body.is_some() && !sent.headers.iter().any(|(n, _)| *n == "content-type") {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(body.unwrap_or_default()).expect("a request");
        let mut response = self.agent.run(request).unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        let headers = response.headers().iter();
        let headers = headers.map(|(n, v)| (n.as_str().to_owned(), v.to_str().unwrap_or("?").to_owned())).collect();
        let text = response.body_mut().read_to_string().expect("text");
        Got { status: response.status().as_u16(), headers, text }
    }

    #[track_caller]
    pub fn get(&self, path: &str, token: &str) -> Got {
        self.ask("GET", path, &Sent { token: Some(token), ..Sent::default() })
    }

    #[track_caller]
    pub fn post(&self, path: &str, token: &str, key: &str, body: Value) -> Got {
        self.ask("POST", path, &Sent { token: Some(token), key: Some(key), body: Some(body), ..Sent::default() })
    }

    /// Somebody with roles in scopes, who has signed in: their id and the session's token.
    pub fn person(&self, login: &str, grants: &[(&str, &str)]) -> (String, String) {
        let (db, invitation) = (&self.db, access::invitation().expect("a secret"));
        let new = NewPerson { login: login.to_owned(), name: format!("Name of {login}") };
        let secret = invitation.clone();
        let grants: Vec<(String, Part)> =
            grants.iter().map(|(role, scope)| ((*role).to_owned(), scope.parse().expect("a scope"))).collect();
        let add = move |tx: &mut Tx<'_>| {
            let (id, _) = access::add(tx, &new, &secret)?;
            grants.iter().try_for_each(|(r, s)| access::grant(tx, Holder::Person(&id), r, s).map(drop))?;
            Ok(id)
        };
        let id = db.write("person.add", &alice(), add).expect("added");
        let code = totp::code_at(&TOTP, db.clock().now());
        let joining = Joining { invitation, person: None, password: Secret::given(PASSWORD), totp: TOTP, code };
        access::join(db, &settings(), &joining).expect("joined");
        (id, self.sign_in(login))
    }

    /// Another session, a minute later: a code counts once.
    pub fn sign_in(&self, login: &str) -> String {
        self.clock.set(self.db.clock().now() + chrono::TimeDelta::minutes(1));
        let asked = SignIn {
            login: login.to_owned(),
            password: Secret::given(PASSWORD),
            code: Secret::given(&totp::code_at(&TOTP, self.db.clock().now())),
            place: "a test".to_owned(),
            device: "a test".to_owned(),
        };
        access::sign_in(&self.db, &settings(), &asked).expect("signed in").secret.reveal().to_owned()
    }

    /// Approves every proposal that an answer names, as somebody else than who has asked; gives that answer.
    #[track_caller]
    pub fn approved(&self, got: Got) -> Got {
        let proposals = proposals(&got.json());
        assert!(!proposals.is_empty(), "nothing waits: {got:?}");
        let approver = self.approver.get_or_init(|| self.person("approver", &[("approver", "all")]).1);
        for id in proposals {
            let path = format!("/v1/proposals/{id}");
            let digest = self.get(&path, approver).json()["digest"].clone();
            let done = self.post(&format!("{path}/approve"), approver, &id, json!({ "digest": digest })).json();
            assert_eq!(done["carried_out"], true, "{done}");
        }
        got
    }

    /// A key of a person's: its id and secret.
    pub fn key(&self, owner: &str, grants: &[(&str, &str)]) -> (String, String) {
        let (id, secret) = NewKey::secret(&self.db).expect("a secret");
        let roles = grants.iter().map(|(role, scope)| ((*role).to_owned(), scope.parse().expect("a scope"))).collect();
        let name = format!("k{}", id.len() + id.bytes().map(usize::from).sum::<usize>());
        let new = NewKey { name, owner: owner.to_owned(), days: 90, roles, id: id.clone() };
        let given = secret.clone();
        self.db.write("key.create", &alice(), move |tx| access::create_key(tx, &new, &given)).expect("made");
        (id, secret.reveal().to_owned())
    }
}

/// The proposals that an answer names, wherever.
fn proposals(answer: &Value) -> Vec<String> {
    match answer {
        Value::String(id) if id.starts_with("pr_") => vec![id.clone()],
        Value::Array(all) => all.iter().flat_map(proposals).collect(),
        Value::Object(all) => all.values().flat_map(proposals).collect(),
        _ => Vec::new(),
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().expect("it ends");
        }
    }
}

/// Cheap passwords, long sessions.
pub fn settings() -> Settings {
    let hours = chrono::TimeDelta::hours;
    Settings { cost: Cost::for_tests(), shortest_password: 12, idle: hours(7), longest: hours(8) }
}

/// A receipt that somebody announces.
pub fn receipt(key: &str, leaf: &str, amount: &str) -> Value {
    serde_json::json!({ "receipts": [{
        "key": key, "leaf": leaf, "amount": { "amount": amount, "currency": "EUR" },
        "first_on": "2026-03-02", "last_on": "2026-03-31", "reference": format!("INV-{key}"),
    }] })
}
