//! Access on both databases, past what stories show: that nothing secret and no name is kept where it must not be, that a code or
//! an invitation lets one in and not two, that rights given past the front door are found, and the command line.

use crate::databases::{TestDb, on_both};
use crate::given::{sql, texts};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tributary::access::{
    self, Cost, Holder, Joined, Joining, NewKey, NewPerson, Opened, Permission, Secret, Settings, SignIn, totp,
};
use tributary::actor::{Actor, Scope};
use tributary::app;
use tributary::db::{Db, Options, Who, head};
use tributary::error::{Error, Result};
use tributary::scope::Part;
use tributary::time::SetClock;

pub const PASSWORD: &str = "the heron eats at dawn";
const TOTP: [u8; 20] = [3; 20];

fn settings() -> Settings {
    let hours = chrono::TimeDelta::hours;
    Settings { cost: Cost::for_tests(), shortest_password: 12, idle: hours(1), longest: hours(8) }
}

fn operator() -> Arc<Who> {
    Who::operator("otto")
}

/// A clock that stands, so that a test says which code is which.
pub fn opened(test: &TestDb) -> (Arc<SetClock>, Db) {
    let clock = Arc::new(SetClock::at("2026-03-02T09:00:00Z".parse().expect("an instant")));
    (clock.clone(), test.open(Options { clock, ..Options::default() }))
}

fn joining(db: &Db, invitation: &Secret, person: Option<NewPerson>) -> Joining {
    Joining {
        invitation: invitation.clone(),
        person,
        password: Secret::given(PASSWORD),
        totp: TOTP,
        code: totp::code_at(&TOTP, db.clock().now()),
    }
}

/// Adds somebody with roles, who joins.
pub fn person(db: &Db, login: &str, roles: &[&str]) -> Joined {
    let invitation = access::invitation().expect("a secret");
    let new = NewPerson { login: login.to_owned(), name: format!("Name of {login}") };
    let (secret, roles) = (invitation.clone(), roles.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>());
    let add = move |tx: &mut tributary::db::Tx<'_>| {
        let (id, _) = access::add(tx, &new, &secret)?;
        roles.iter().try_for_each(|r| access::grant(tx, Holder::Person(&id), r, &Part::default()).map(drop))
    };
    db.write("person.add", &operator(), add).expect("added");
    access::join(db, &settings(), &joining(db, &invitation, None)).expect("joined")
}

fn sign_in(db: &Db, login: &str, code: &str, place: &str) -> Result<Opened> {
    let asked = SignIn {
        login: login.to_owned(),
        password: Secret::given(PASSWORD),
        code: Secret::given(code),
        place: place.to_owned(),
        device: "a test".to_owned(),
    };
    access::sign_in(db, &settings(), &asked)
}

fn key(db: &Db, owner: &str, role: &'static str) -> (String, Secret) {
    let (id, secret) = NewKey::secret(db).expect("a secret");
    let roles = vec![(role.to_owned(), Part::default())];
    let new = NewKey { name: "erp".to_owned(), owner: owner.to_owned(), days: 90, roles, id: id.clone() };
    let given = secret.clone();
    db.write("key.create", &operator(), move |tx| access::create_key(tx, &new, &given)).expect("made");
    (id, secret)
}

fn later(clock: &SetClock, minute: u32) {
    clock.set(format!("2026-03-02T09:{minute:02}:00Z").parse().expect("an instant"));
}

#[test]
fn no_secret_is_kept_and_no_name_stands_in_an_event() {
    on_both(|test| {
        let (clock, db) = opened(test);
        let joined = person(&db, "ann@example.com", &["administrator"]);
        person(&db, "ben@example.com", &["treasurer"]);
        later(&clock, 1);
        let code = totp::code_at(&TOTP, db.clock().now());
        let session = sign_in(&db, "Ann@Example.com", &code, "10.0.0.1").expect("signed in");
        for wrong in 0..6 {
            let _ = sign_in(&db, "ben@example.com", &wrong.to_string(), "10.0.0.2");
        }
        let ben = db.read(|conn| access::person_by_login(conn, "ben@example.com")).expect("ben").id;
        let (_, key) = key(&db, &ben, "bank-gateway");
        let taken = NewPerson { login: "ben@example.com".to_owned(), name: "Name of ben".to_owned() };
        let invitation = access::invitation().expect("a secret");
        let no = db.write("person.add", &operator(), move |tx| access::add(tx, &taken, &invitation));
        assert_eq!(no.map_err(|e| e.code()), Err("login_taken"));
        let events = texts(
            &test.url,
            "SELECT actor || kind || subject || coalesce(before, '') || coalesce(after, '') AS value FROM events",
        )
        .concat();
        assert!(events.contains("person.joined") && events.contains("sign_in.waits") && events.contains("key.made"));
        for personal in ["ann@", "ben@", "Name of", "10.0.0."] {
            assert!(!events.contains(personal), "{personal} in {events}");
        }
        let kept = texts(
            &test.url,
            "SELECT login || name || coalesce(password, '') AS value FROM people UNION ALL \
             SELECT id || device FROM sessions UNION ALL SELECT id || name FROM api_keys",
        );
        let all = kept.concat() + &events;
        let mut secrets = vec![PASSWORD.to_owned(), session.secret.reveal().to_owned(), key.reveal().to_owned()];
        secrets.extend(joined.recovery_codes.iter().map(|c| c.reveal().to_owned()));
        for secret in secrets {
            assert!(!all.contains(&secret), "a secret is kept");
        }
        assert_eq!(app::check(&db, |_, _| {}), Ok(Vec::new()));
    });
}

#[test]
fn failures_and_last_use_are_kept_without_a_seal() {
    on_both(|test| {
        let (clock, db) = opened(test);
        person(&db, "ann", &["auditor"]);
        later(&clock, 1);
        let code = totp::code_at(&TOTP, db.clock().now());
        let session = sign_in(&db, "ann", &code, "desk").expect("signed in");
        let before = db.read(head).expect("a head");
        for _ in 0..4 {
            assert_eq!(
                sign_in(&db, "ann", "000000", "elsewhere").map(drop).map_err(|e| e.code()),
                Err("sign_in_refused")
            );
        }
        later(&clock, 3);
        let now = db.clock().now();
        let admitted = db.read(|conn| access::admit(conn, &session.secret, now)).expect("let in");
        access::touch(&db, &admitted).expect("kept");
        let open = db.read(|conn| access::sessions(conn, &session.person, now)).expect("sessions");
        assert_eq!(open.iter().map(|s| s.last_used_at >= now).collect::<Vec<_>>(), [true]);
        assert_eq!(db.read(head).expect("a head"), before);
    });
}

#[test]
fn of_many_who_bring_the_same_code_one_comes_in() {
    on_both(|test| {
        let (clock, db) = opened(test);
        let joined = person(&db, "ann", &["auditor"]);
        later(&clock, 1);
        let code = totp::code_at(&TOTP, db.clock().now());
        let paper = joined.recovery_codes.first().expect("a code").reveal().to_owned();
        for code in [code, paper] {
            let attempt = |i: usize| sign_in(&db, "ann", &code, &i.to_string());
            let attempt = &attempt;
            let came_in = std::thread::scope(|scope| {
                let tries: Vec<_> = (0..8).map(|i| scope.spawn(move || attempt(i))).collect();
                tries.into_iter().map(|t| t.join().expect("no panic")).filter(Result::is_ok).count()
            });
            assert_eq!(came_in, 1);
        }
    });
}

#[test]
fn of_many_who_have_the_first_invitation_one_becomes_administrator() {
    on_both(|test| {
        let (_, db) = opened(test);
        let [old, invitation] = [(), ()].map(|()| access::invitation().expect("a secret"));
        for secret in [old.clone(), invitation.clone()] {
            db.write("person.first", &operator(), move |tx| access::first(tx, &secret)).expect("invited");
        }
        let first = |login: &str| Some(NewPerson { login: login.to_owned(), name: "First".to_owned() });
        let by_old = access::join(&db, &settings(), &joining(&db, &old, first("old")));
        assert_eq!(by_old.map(drop).map_err(|e| e.code()), Err("bad_invitation"));
        let join = |i: usize| access::join(&db, &settings(), &joining(&db, &invitation, first(&format!("p{i}"))));
        let join = &join;
        let joined = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..6).map(|i| scope.spawn(move || join(i))).collect();
            tries.into_iter().map(|t| t.join().expect("no panic")).filter(Result::is_ok).count()
        });
        assert_eq!(joined, 1);
        let no = db.write("person.first", &operator(), move |tx| access::first(tx, &invitation));
        assert_eq!(no.map_err(|e| e.code()), Err("not_first"));
        let people = db.read(access::people).expect("people");
        let grants = db.read(access::grants_of).expect("grants");
        assert_eq!((people.len(), grants.len(), grants[0].role.as_str()), (1, 1, "administrator"));
        assert_eq!(app::check(&db, |_, _| {}), Ok(Vec::new()));
    });
}

#[test]
fn an_invitation_ends_at_its_hour() {
    on_both(|test| {
        let (clock, db) = opened(test);
        let secret = access::invitation().expect("a secret");
        let given = secret.clone();
        let until = db.write("person.first", &operator(), move |tx| access::first(tx, &given)).expect("invited");
        let ask = || db.read(|conn| access::invited(conn, &secret, db.clock().now()));
        clock.set(until - chrono::TimeDelta::milliseconds(1));
        assert!(ask().is_ok());
        clock.set(until);
        assert_eq!(ask().map_err(|e| e.code()), Err("bad_invitation"));
    });
}

#[test]
fn rights_given_past_the_front_door_are_found() {
    on_both(|test| {
        let (_, db) = opened(test);
        let ann = person(&db, "ann", &["requester"]).person;
        let (key, _) = key(&db, &ann, "product-client");
        let (a, b) = (ann.clone(), key.clone());
        let role = "[[role]]\ncode = \"desk\"\nname = \"Desk\"\npermissions = [\"positions.read\"]\n";
        db.write("roles.apply", &operator(), move |tx| access::apply_roles(tx, role)).expect("in force");
        assert_eq!(app::check(&db, |_, _| {}), Ok(Vec::new()));
        let row = |id: &str, person: &str, key: &str, role: &str| {
            format!(
                "INSERT INTO grants (id, person, api_key, role, scope, made_by, made_at) \
                 VALUES ('{id}', {person}, {key}, '{role}', 'all', 'x', '2026-03-02 09:00:00')"
            )
        };
        for (change, back, invariant) in [
            (
                row("g1", &format!("'{a}'"), "NULL", "administrator"),
                "DELETE FROM grants WHERE id = 'g1'".to_owned(),
                "I7",
            ),
            (row("g2", "NULL", &format!("'{b}'"), "approver"), "DELETE FROM grants WHERE id = 'g2'".to_owned(), "I7"),
            (row("g3", &format!("'{a}'"), "NULL", "auditor"), "DELETE FROM grants WHERE id = 'g3'".to_owned(), "I10"),
            (
                format!("UPDATE grants SET scope = 'product:x' WHERE person = '{a}'"),
                format!("UPDATE grants SET scope = 'all' WHERE person = '{a}'"),
                "I10",
            ),
            ("UPDATE people SET state = 'disabled'".to_owned(), "UPDATE people SET state = 'active'".to_owned(), "I10"),
            (
                "UPDATE roles SET permissions = 'positions.read roles.change'".to_owned(),
                "UPDATE roles SET permissions = 'positions.read'".to_owned(),
                "I10",
            ),
            (
                "UPDATE api_keys SET owner = owner, revoked_at = '2026-03-02 09:00:00'".to_owned(),
                "UPDATE api_keys SET revoked_at = NULL".to_owned(),
                "I10",
            ),
        ] {
            sql(&test.url, &change).expect("changed");
            let found = app::check(&db, |_, _| {}).expect("a proof");
            assert!(found.iter().any(|v| v.invariant == invariant), "{change}: {found:?}");
            sql(&test.url, &back).expect("put back");
            assert_eq!(app::check(&db, |_, _| {}), Ok(Vec::new()), "{back}");
        }
    });
}

#[test]
fn whoever_is_not_signed_in_changes_nothing() {
    on_both(|test| {
        let (_, db) = opened(test);
        let ann = person(&db, "ann", &["treasurer"]).person;
        let (key, _) = key(&db, &ann, "product-client");
        for actor in [Actor::person("ps_nobody"), Actor::person(&ann), Actor::key(&key)] {
            let who = Arc::new(Who { actor: actor.clone(), scope: Scope::everything() });
            let id = ann.clone();
            let no = db.write("person.disable", &who, move |tx| access::disable(tx, &id)).expect_err("refused");
            assert!(matches!(no.code(), "forbidden" | "not_signed_in"), "{actor}: {no}");
            let given = key.clone();
            let no = db.write("key.revoke", &who, move |tx| access::revoke_key(tx, &given)).expect_err("refused");
            assert!(matches!(no.code(), "forbidden" | "not_signed_in"), "{actor}: {no}");
        }
        let rights = db.read(|conn| access::admit(conn, &Secret::given("trt_nothing"), db.clock().now()));
        assert_eq!(rights.map_err(|e| e.code()), Err("not_signed_in"));
        assert!(access::Rights::default().need(Permission::PositionsRead).is_err());
    });
}

/// The binary, with these lines on its standard input.
pub fn tributary(test: &TestDb, arguments: &[&str], lines: &[&str]) -> (i32, String, String) {
    let url = match &test.url {
        tributary::db::Url::Lite(path) => format!("sqlite://{}", path.display()),
        tributary::db::Url::Pg(url) => url.clone(),
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(["--json", "--database", &url])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut input = child.stdin.take().expect("standard input");
    for line in lines {
        writeln!(input, "{line}").expect("it reads");
    }
    input.flush().expect("it reads");
    let mut errors = BufReader::new(child.stderr.take().expect("standard error"));
    let mut said = String::new();
    // Joining shows a secret, and asks for the code that an app shows for it.
    if arguments == ["people", "join"] {
        while errors.read_line(&mut said).expect("text") > 0 {
            let last = said.lines().last().unwrap_or_default().trim();
            if last.len() == 32 && last.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
                let code = totp::code_at(&base32(last), chrono::Utc::now());
                writeln!(input, "{code}").expect("it reads");
                break;
            }
        }
    }
    drop(input);
    errors.read_to_string(&mut said).expect("text");
    let output = child.wait_with_output().expect("it ends");
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stdout).expect("text"), said)
}

fn base32(text: &str) -> Vec<u8> {
    let places = text.bytes().map(|b| u64::from(if b.is_ascii_uppercase() { b - b'A' } else { b - b'2' + 26 }));
    let bits: Vec<u64> = places.flat_map(|p| (0..5).rev().map(move |i| (p >> i) & 1)).collect();
    bits.chunks_exact(8).map(|c| c.iter().fold(0u8, |byte, bit| (byte << 1) | u8::from(*bit == 1))).collect()
}

#[test]
fn the_command_line_goes_from_nobody_to_a_key_that_is_let_in() {
    on_both(|test| {
        let json = |(code, out, err): (i32, String, String)| -> serde_json::Value {
            assert_eq!(code, 0, "{err}");
            serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
        };
        let refused = |(code, out, _): (i32, String, String)| -> String {
            assert_eq!(code, 1, "{out}");
            let answer: serde_json::Value = serde_json::from_str(&out).expect("JSON");
            answer["error"]["code"].as_str().expect("a code").to_owned()
        };
        let first = json(tributary(test, &["people", "first"], &[]));
        let invitation = first["invitation"].as_str().expect("a secret");
        let weak = tributary(test, &["people", "join"], &[invitation, "ann", "Ann", "password1234"]);
        // Where the password is weak, the code has been asked for already: nothing was changed.
        assert_eq!(refused(weak), "weak_password");
        let joined = json(tributary(test, &["people", "join"], &[invitation, "ann", "Ann", PASSWORD]));
        assert_eq!(joined["recovery_codes"].as_array().map(Vec::len), Some(10));
        let code = joined["recovery_codes"][0].as_str().expect("a code");
        let signed_in = json(tributary(test, &["people", "sign-in", "ann"], &[PASSWORD, code]));
        let secret = signed_in["secret"].as_str().expect("a secret");
        let me = json(tributary(test, &["people", "whoami"], &[secret]));
        assert!(me["may"].as_array().expect("a list").iter().any(|m| m["permission"] == "people.manage"), "{me}");
        assert_eq!(refused(tributary(test, &["people", "disable", "ann"], &[])), "last_administrator");
        json(tributary(test, &["people", "add", "bob", "--name", "Bob", "--role", "requester"], &[]));
        let made = json(tributary(test, &["keys", "create", "erp", "--owner", "bob", "--role", "product-client"], &[]));
        // The owner has not joined yet.
        let key = made["key"].as_str().expect("a key");
        assert_eq!(refused(tributary(test, &["people", "whoami"], &[key])), "not_signed_in");
        assert_eq!(
            refused(tributary(
                test,
                &["keys", "grant", made["id"].as_str().expect("an id"), "approver", "--scope", "all"],
                &[]
            )),
            "people_only"
        );
        assert_eq!(refused(tributary(test, &["people", "grant", "bob", "administrator"], &[])), "conflicting_duties");
        assert_eq!(refused(tributary(test, &["people", "sign-in", "ann"], &[PASSWORD])), "no_answer");
        let people = json(tributary(test, &["people", "list"], &[]));
        assert_eq!((&people[0]["login"], &people[1]["state"]), (&"ann".into(), &"invited".into()));
        assert_eq!(json(tributary(test, &["check"], &[]))["ok"], true);
    });
}

#[test]
fn a_configuration_that_weakens_passwords_is_refused() {
    let mut access = tributary::config::load(None).expect("defaults").access;
    assert!(Settings::of(&access).is_ok());
    access.argon2_memory_kib = 1_024;
    assert_eq!(Settings::of(&access).map_err(|e: Error| e.code()), Err("weak_hashing"));
    let mut access = tributary::config::load(None).expect("defaults").access;
    access.shortest_password = 6;
    assert_eq!(Settings::of(&access).map_err(|e: Error| e.code()), Err("bad_access_setting"));
}
