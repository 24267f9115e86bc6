//! The server as its operator starts it, in a process of its own: its memory is its own, it can be killed, and others of its kind
//! can stand beside it. And raw sockets, to say what no decent client says.

use super::{PASSWORD, TOTP, settings};
use crate::databases::TestDb;
use crate::given::{alice, texts, treasury};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tributary::access::{self, Holder, Joining, NewKey, NewPerson, Secret, SignIn, totp};
use tributary::db::{Db, Options};
use tributary::scope::Part;
use tributary::time::{Clock, SystemClock};

/// What a machine may have: it announces, brings bank files, and reads the feed.
const KEY_ROLES: [&str; 2] = ["product-client", "bank-gateway"];

/// A treasury with two masters and Ann, who may do the day's work and read all; a key of hers.
pub fn furnished(test: &TestDb) -> (Db, String) {
    let db = test.open(Options::default());
    treasury(&db, 0..2);
    let key = key_of_ann(&db, "ann");
    (db, key.1)
}

/// Somebody with roles everywhere, who can sign in; their id.
pub fn joined(db: &Db, login: &str, roles: &'static [&'static str]) -> String {
    let invitation = access::invitation().expect("a secret");
    let (secret, new) = (invitation.clone(), NewPerson { login: login.to_owned(), name: format!("Name of {login}") });
    let person = db.write("person.add", &alice(), move |tx| {
        let (id, _) = access::add(tx, &new, &secret)?;
        roles.iter().try_for_each(|role| access::grant(tx, Holder::Person(&id), role, &Part::default()).map(drop))?;
        Ok(id)
    });
    // The code of the step before: the present one is for signing in.
    let code = totp::code_at(&TOTP, SystemClock.now() - chrono::TimeDelta::seconds(30));
    let joining = Joining { invitation, person: None, password: Secret::given(PASSWORD), totp: TOTP, code };
    access::join(db, &settings(), &joining).expect("joined");
    person.expect("added")
}

/// As [`joined`], and signed in; their id and the session's token.
pub fn signed_in(db: &Db, login: &str, roles: &'static [&'static str]) -> (String, String) {
    let person = joined(db, login, roles);
    let asked = SignIn {
        login: login.to_owned(),
        password: Secret::given(PASSWORD),
        code: Secret::given(&totp::code_at(&TOTP, SystemClock.now())),
        place: "a test".to_owned(),
        device: "a test".to_owned(),
    };
    let session = access::sign_in(db, &settings(), &asked).expect("signed in");
    (person, session.secret.reveal().to_owned())
}

/// Somebody with a key: its id and its secret.
pub fn key_of_ann(db: &Db, login: &str) -> (String, String) {
    let owner = joined(db, login, &KEY_ROLES);
    let (id, secret) = NewKey::secret(db).expect("a secret");
    let roles = KEY_ROLES.map(|role| (role.to_owned(), Part::default())).to_vec();
    let new = NewKey { name: login.to_owned(), owner, days: 90, roles, id: id.clone() };
    let given = secret.clone();
    db.write("key.create", &alice(), move |tx| access::create_key(tx, &new, &given)).expect("made");
    (id, secret.reveal().to_owned())
}

/// A server in a process of its own; killed when it is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// What it has said when it began.
    pub said: Value,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// On a database, with lines of `[server]` in its configuration.
    pub fn start(url: &str, lines: &str) -> Server {
        Server::begin(Command::new(env!("CARGO_BIN_EXE_tributary")), url, lines)
    }

    /// As [`Server::start`], where no file can grow beyond so many MiB.
    pub fn start_within(url: &str, lines: &str, mib: u64) -> Server {
        let mut shell = Command::new("bash");
        let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", mib << 10);
        shell.args(["-c", &limited, env!("CARGO_BIN_EXE_tributary")]);
        Server::begin(shell, url, lines)
    }

    fn begin(mut command: Command, url: &str, lines: &str) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("tributary.toml");
        std::fs::write(&config, format!("[server]\nworkers = 2\nrequests_per_second = 0\nguesses = 0\n{lines}\n"))
            .expect("written");
        let mut child = command
            .args(["--database", url, "--json", "--config"])
            .arg(&config)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut said = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        while !said.trim_end().ends_with('}') {
            assert!(out.read_line(&mut said).expect("a line") > 0, "it ended: {said}");
        }
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let at = said["listening"].as_str().expect("an address").trim_start_matches("http://");
        Server { child, address: at.parse().expect("an address"), said, _folder: folder }
    }

    /// What it has in memory, in MiB: now, and at most since it began.
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let of = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name)).expect("a line");
            line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") >> 10
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// How many files and sockets it has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("it ends");
    }

    /// A connection on which nothing takes longer than a minute.
    pub fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).expect("connected");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        socket.set_write_timeout(Some(Duration::from_secs(60))).expect("set");
        socket
    }

    /// Sends bytes as they are on a connection of their own, and gives all that comes until the server ends it.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut socket = self.connect();
        // It may have ended the connection before it has read all.
        let _ = socket.write_all(bytes);
        to_the_end(&mut socket)
    }

    /// Asks; status, headers and body. `None`: there was no whole answer.
    pub fn ask(&self, method: &str, path: &str, key: &str, idempotency: &str, body: &str) -> Option<Reply> {
        Server::ask_at(self.address, method, path, key, idempotency, body)
    }

    /// As [`Server::ask`], wherever it was.
    pub fn ask_at(at: SocketAddr, method: &str, path: &str, key: &str, idempotency: &str, body: &str) -> Option<Reply> {
        let mut socket = TcpStream::connect(at).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
        socket.write_all(request(method, path, key, idempotency, body).as_bytes()).ok()?;
        reply(&mut socket)
    }

    pub fn get(&self, path: &str, key: &str) -> Reply {
        self.ask("GET", path, key, "", "").expect("an answer")
    }
}

/// A request as text, after which the connection ends.
pub fn request(method: &str, path: &str, key: &str, idempotency: &str, body: &str) -> String {
    let idempotency = match idempotency {
        "" => String::new(),
        key => format!("Idempotency-Key: {key}\r\n"),
    };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n{idempotency}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A receipt that is announced from today on: the body of a request with one effect.
pub fn announced(key: &str, amount: &str) -> String {
    let today = SystemClock.now().date_naive();
    let last = today + chrono::TimeDelta::days(30);
    let (amount, reference) = (serde_json::json!({ "amount": amount, "currency": "EUR" }), format!("INV-{key}"));
    serde_json::json!({ "receipts": [{
        "key": key, "leaf": "m00/tiktok/de/operating", "amount": amount,
        "first_on": today.to_string(), "last_on": last.to_string(), "reference": reference,
    }] })
    .to_string()
}

/// The keys of all receipts that were announced, one for each request that took effect: announcing takes four eyes, so its effect is
/// a proposal.
pub fn effects(test: &TestDb) -> Vec<String> {
    let contents = texts(&test.url, "SELECT content AS value FROM proposals ORDER BY id");
    let key = |content: &String| {
        let (_, rest) = content.split_once("\"key\":\"").unwrap_or_else(|| panic!("{content}"));
        rest.split('"').next().expect("a key").to_owned()
    };
    contents.iter().map(key).collect()
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn code(&self) -> String {
        assert!(self.head.contains("application/problem+json"), "{self:?}");
        self.json()["code"].as_str().expect("a code").to_owned()
    }
}

/// The answer that comes on a connection; `None` where it breaks off.
pub fn reply(socket: &mut TcpStream) -> Option<Reply> {
    let mut bytes = Vec::new();
    let mut part = [0; 16 << 10];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).ok()?.to_lowercase();
            let status = head.split(' ').nth(1)?.parse().ok()?;
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length:"))
                .map_or(0, |l| l.trim().parse::<usize>().expect("a length"));
            while bytes.len() < end + 4 + length {
                match socket.read(&mut part) {
                    Ok(0) | Err(_) => return None,
                    Ok(n) => bytes.extend_from_slice(&part[..n]),
                }
            }
            let body = String::from_utf8(bytes[end + 4..end + 4 + length].to_vec()).ok()?;
            return Some(Reply { status, head, body });
        }
        match socket.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&part[..n]),
        }
    }
}

/// All that comes until the other side ends the connection.
pub fn to_the_end(socket: &mut TcpStream) -> String {
    let (mut bytes, mut part) = (Vec::new(), [0; 16 << 10]);
    loop {
        match socket.read(&mut part) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&part[..n]),
            Err(e) => {
                let waited = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut].contains(&e.kind());
                assert!(!waited, "it hangs after {:?}", String::from_utf8_lossy(&bytes));
                break;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for something that is bound to come.
#[track_caller]
pub fn within(seconds: u64, what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(seconds), "{what}: not within {seconds} s");
        std::thread::sleep(Duration::from_millis(20));
    }
}
