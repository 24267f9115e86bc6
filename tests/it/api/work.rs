//! The day's work over HTTP: a bank file comes in, a line that waits is placed, a statement of an account is read, limits are
//! changed, a key is made; and the same through the binary, by a person who signs in at a server.

use super::{PASSWORD, Sent, Served, TOTP, on_both, settings};
use crate::databases::{Engine, TestDb};
use crate::given::{alice, assert_clean, camt, day, line, number, statement, treasury};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use tributary::access::{self, Holder, Joining, NewPerson, Secret, totp};
use tributary::allocation::{self, intake};
use tributary::db::Options;
use tributary::expectations::{self, Announcement};
use tributary::scope::Part;
use tributary::time::{Clock, SystemClock};

fn bank_file() -> Vec<u8> {
    let booked = [line(day(2), 12_300, "tiktok order 7"), line(day(2), 4_500, "nobody knows")];
    camt("M1", &[statement(0, "S1", 1, (2, 2), &booked)])
}

/// Sends bytes as they are.
fn upload(served: &Served, path: &str, token: &str, bytes: &[u8]) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request =
        agent.post(format!("http://{}{path}", served.address())).header("authorization", format!("Bearer {token}"));
    let mut response = request.send(bytes).expect("answered");
    let text = response.body_mut().read_to_string().expect("text");
    (response.status().as_u16(), serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn a_bank_file_is_taken_in_once_and_its_money_found_and_placed() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let take = |bytes: &[u8]| upload(&served, "/v1/statement-files?name=s1.xml", &ann, bytes);
        let (status, file) = take(&bank_file());
        assert_eq!(
            (status, &file["state"], &file["statements"][0]["state"]),
            (200, &json!("accepted"), &json!("posted")),
            "{file}"
        );
        assert_eq!(take(&bank_file()).1["id"], file["id"], "the same bytes are the same file");
        let digest = file["sha256"].as_str().expect("a digest");
        assert_eq!(served.get(&format!("/v1/statement-files/{digest}"), &ann).json()["id"], file["id"]);
        assert_eq!(take(b"no bank file").1["code"], "unreadable_file");
        assert_eq!(take(b"").1["code"], "bad_body");

        let waiting = served.get("/v1/suspense?suggest=true", &ann).json();
        assert_eq!(waiting["items"][0]["amount"], json!({ "amount": "45.00", "currency": "EUR" }), "{waiting}");
        let id = waiting["items"][0]["line"].as_str().expect("a line").to_owned();
        let to = |leaf: &str| json!({ "lines": [{ "line": id, "to": leaf, "reason": "the payer has called" }] });
        let sent = Sent { token: Some(&ann), body: Some(to("m00/capcut/de/operating")), ..Sent::default() };
        let dry = served.ask("POST", "/v1/lines/route?dry_run=true", &sent).json();
        assert_eq!(dry["lines"][0]["code"], Value::Null, "{dry}");
        let routed = served.post("/v1/lines/route", &ann, "r1", to("m00/capcut/de/operating")).json();
        assert_eq!(routed, dry, "a dry run has said what would come");
        assert_eq!(
            served.post("/v1/lines/route", &ann, "r2", to("m00/capcut/de/operating")).json()["lines"][0]["code"],
            "same_leaf"
        );
        let shown = served.get(&format!("/v1/lines/{id}"), &ann).json();
        assert_eq!(shown["routes"][1]["to"], json!(["m00/capcut/de/operating"]), "{shown}");

        let entry = routed["lines"][0]["entry"].as_i64().expect("an entry");
        let proof = served.get(&format!("/v1/entries/{entry}/proof"), &ann).json();
        assert_eq!((&proof["holds"], &proof["entry"]), (&json!(true), &json!(entry)), "{proof}");
        assert_eq!(served.get(&format!("/v1/entries/{entry}"), &ann).json()["kind"], "placement");
        let account = "/v1/accounts/m00%2Fcapcut%2Fde%2Foperating";
        let of_march = served.get(&format!("{account}/statement?from=2026-03-01&to=2026-03-31"), &ann).json();
        assert_eq!(of_march["closing"]["amount"], "45.00", "{of_march}");
        assert_eq!(of_march["postings"]["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(served.get("/v1/seals?limit=2", &ann).code(), "forbidden");
        assert_clean(&served.db);
    });
}

#[test]
fn a_file_beyond_the_limit_is_refused_before_it_is_kept() {
    on_both(|test| {
        let served = Served::with(test, |s| s.upload_mib = 1);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let (status, problem) = upload(&served, "/v1/statement-files?name=big", &ann, &vec![b' '; (1 << 20) + 1]);
        assert_eq!((status, &problem["code"]), (413, &json!("body_too_large")));
        assert_eq!(number(&test.url, "SELECT count(*) AS value FROM statement_files"), 0);
    });
}

#[test]
fn limits_are_changed_by_whoever_has_read_them_last() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, kim) = served.person("kim", &[("rule-keeper", "all")]);
        let path = "/v1/sub-accounts/m00%2Ftiktok%2Fde%2Foperating/limits";
        let read = served.get(path, &kim);
        let tag = read.header("etag").expect("an ETag").to_owned();
        let put = |tag: Option<&str>, ceiling: &str| {
            let body = json!({ "floor": { "amount": "0.00", "currency": "EUR" }, "ceiling": { "amount": ceiling, "currency": "EUR" }, "reason": "a new ceiling" });
            let headers = tag.map(|t| ("if-match", t)).into_iter().collect();
            served.ask("PUT", path, &Sent { token: Some(&kim), body: Some(body), headers, ..Sent::default() })
        };
        assert_eq!(put(None, "100.00").code(), "if_match_missing");
        let asked = served.approved(put(Some(&tag), "100.00"));
        assert_eq!(asked.json()["ceiling"], Value::Null, "nothing has changed until others approve");
        let stale = put(Some(&tag), "200.00");
        assert_eq!((stale.status, stale.code().as_str()), (412, "precondition_failed"));
        let now = served.get(path, &kim);
        assert_eq!(now.json()["ceiling"]["amount"], "100.00");
        let known = vec![("if-none-match", now.header("etag").expect("an ETag"))];
        let same = served.ask("GET", path, &Sent { token: Some(&kim), headers: known, ..Sent::default() });
        assert_eq!((same.status, same.text.as_str()), (304, ""));
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let freeze = |key: &str, reason: &str| {
            served.post("/v1/sub-accounts/m00%2Ftiktok%2Fde%2Foperating/freeze", &ann, key, json!({ "reason": reason }))
        };
        assert_eq!(
            freeze("f1", "a suspicion").json(),
            json!({ "sub_account": "m00/tiktok/de/operating", "state": "frozen", "changed": true })
        );
        assert_eq!(freeze("f2", "again").json()["changed"], false);
    });
}

#[test]
fn a_secret_is_answered_once_and_kept_nowhere() {
    on_both(|test| {
        let served = Served::on(test);
        let (owner, _) = served.person("ann", &[("treasurer", "all")]);
        let (_, admin) = served.person("admin", &[("administrator", "all")]);
        let body = json!({ "name": "erp", "owner": owner, "days": 30, "roles": [{ "role": "product-viewer", "scope": "product:tiktok" }] });
        let make = || served.post("/v1/keys", &admin, "k1", body.clone());
        let first = make();
        let secret = first.json()["secret"].as_str().expect("the key").to_owned();
        assert_eq!(first.status, 201);
        assert_eq!(served.get("/v1/positions", &secret).code(), "forbidden", "its roles wait for approval");
        served.approved(make());
        assert_eq!(served.get("/v1/positions", &secret).status, 200);
        let again = make();
        assert_eq!(
            (again.status, &again.json()["secret"], &again.json()["id"]),
            (201, &Value::Null, &first.json()["id"])
        );
        let kept = crate::given::texts(&test.url, "SELECT answer AS value FROM idempotency_keys").concat();
        assert!(!kept.contains(&secret) && kept.contains(first.json()["id"].as_str().expect("an id")));
        let id = first.json()["id"].as_str().expect("an id").to_owned();
        assert_eq!(served.post(&format!("/v1/keys/{id}/revoke"), &admin, "k2", json!({})).json()["changed"], true);
        assert_eq!(served.get("/v1/positions", &secret).code(), "not_signed_in");
        assert_clean(&served.db);
    });
}

#[test]
fn a_rule_is_tried_before_it_is_in_force() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, kim) = served.person("kim", &[("rule-keeper", "all")]);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        upload(&served, "/v1/statement-files?name=s1.xml", &ann, &bank_file());
        let rule = json!({ "code": "nobody", "priority": 9, "when": { "remittance": "nobody knows", "counterparty": "PAYER" }, "to": [{ "leaf": "{master}/capcut/de/operating" }] });
        let send = |path: &str, key: &str, body: Value| served.post(path, &kim, key, body);
        let ask = |path: &str, key: &str, body: Value| send(path, key, body).json();
        let tested = ask("/v1/rules/test", "t", json!({ "rules": [rule] }));
        assert_eq!(
            (&tested["moved"], &tested["totals"][0]["amount"]["amount"]),
            (&json!(1), &json!("45.00")),
            "{tested}"
        );
        assert_eq!(tested["totals"][0]["to_product"], "capcut");
        let by_line = |list: Value| ask("/v1/rules/test", "l", json!({ "rules": [rule], "list": list }));
        let listed = by_line(json!(10));
        assert_eq!((&tested["list"], &listed["digest"]), (&json!([]), &tested["digest"]));
        let one = &listed["list"][0];
        assert_eq!((&one["amount"]["amount"], &one["counterparty"]), (&json!("45.00"), &json!("PAYER")), "{listed}");
        assert_eq!(one["moves"][0]["to"], "m00/capcut/de/operating");
        let beyond = ask("/v1/rules/test", "l2", json!({ "rules": [rule], "list": 10, "list_after": 1 }));
        assert_eq!((&beyond["list"], by_line(json!(1001))["code"].as_str()), (&json!([]), Some("bad_body")));
        let asked = send("/v1/rules", "a", json!({ "rules": [rule], "digest": tested["digest"] }));
        assert_eq!((&asked.json()["moved"], served.get("/v1/rules/nobody", &kim).status), (&json!(0), 404));
        served.approved(asked);
        assert_eq!(served.get("/v1/suspense", &ann).json()["items"], json!([]));
        assert_eq!(served.get("/v1/rules/nobody", &kim).json()["versions"][0]["version"], 1);
        let odd = ask("/v1/rules", "o", json!({ "rules": [{ "code": "x", "colour": 1 }] }));
        assert!(odd["detail"].as_str().is_some_and(|d| d.contains("rules[0]")), "{odd}");
        assert_clean(&served.db);
    });
}

/// The server as people start it, killed when it is dropped.
struct Binary {
    child: Child,
    at: String,
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(test: &TestDb) -> Binary {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(["--database", &test.url.to_string(), "--json", "serve", "--listen", "127.0.0.1:0"])
        .env("TRIBUTARY_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut said = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("its output"));
    while !said.trim_end().ends_with('}') {
        assert!(out.read_line(&mut said).expect("a line") > 0, "it ended: {said}");
    }
    let said: Value = serde_json::from_str(&said).expect("JSON");
    Binary { child, at: said["listening"].as_str().expect("an address").to_owned() }
}

pub fn cli(home: &std::path::Path, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(arguments)
        .env("XDG_CONFIG_HOME", home)
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("written");
    let done = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

fn awaited(key: &str) -> Announcement {
    Announcement {
        at: String::new(),
        key: key.to_owned(),
        leaf: "m00/tiktok/de/operating".to_owned(),
        amount: "7.00".to_owned(),
        currency: None,
        days: (day(1), day(9)),
        reference: None,
        account: Some("DE02120300000000202051".to_owned()),
        note: None,
        metadata: None,
    }
}

/// What moves money, each by its own command, as the person who has signed in.
fn does_money_work_at_the_server(home: &std::path::Path, first: &str, second: &str) {
    let ask = |arguments: &[&str]| cli(home, &[arguments, &["--server"]].concat(), "");
    let (ended, out, err) = ask(&["route", first, "--to", "m00/tiktok/de/operating", "--reason", "the payer called"]);
    assert!(ended == Some(0) && out.contains("is placed on m00/tiktok/de/operating by entry"), "{out}{err}");
    let (ended, out, err) = ask(&["expect", "meet", "INV/1", "--line", second, "--reason", "the payer called"]);
    assert!(ended == Some(0) && out.contains("INV/1 is met by line"), "{out}{err}");
    let (ended, out, err) = ask(&["expect", "cancel", "INV/2", "--reason", "paid by card"]);
    assert!(ended == Some(0) && out.contains("INV/2 is cancelled"), "{out}{err}");
    let csv = "settlement,master,platform,currency,total,paid_on,leaf,gross,net\nSET-1,m00,Apple,EUR,99.00,2026-03-04,m00/tiktok/de/operating,99.00,99.00\n";
    std::fs::write(home.join("apple.csv"), csv).expect("written");
    let (ended, out, err) = ask(&["settlement", "import", "apple.csv"]);
    assert!(ended == Some(0) && out.contains("It waits for approval as pr_"), "{out}{err}");
    let (ended, _, err) = ask(&["settlement", "apply", "SET-1", "--line", first]);
    assert!(ended == Some(1) && err.contains("SET-1"), "nothing of it is there yet: {err}");
    for decision in ["accept", "reject"] {
        let (ended, _, err) = ask(&["statement", decision, "stm_none", "--reason", "a test"]);
        assert!(ended == Some(1) && err.contains("there is no statement stm_none"), "{err}");
    }
    let (ended, _, err) = ask(&["statement", "withdraw", first, "--reason", "a test"]);
    assert!(ended == Some(1) && !err.is_empty(), "a statement has it: {err}");
    std::fs::write(home.join("rules.toml"), "[[rule]]\ncode = \"a\"\npriority = 1\nto = [{ leaf = \"m00/house/pool\" }]\n[rule.when]\ncounterparty = \"A\"\n").expect("written");
    let (ended, _, err) = ask(&["rules", "apply", "rules.toml"]);
    assert!(ended == Some(1) && err.contains("rules.change"), "a treasurer keeps no rules: {err}");
}

#[test]
fn a_person_signs_in_at_a_server_places_a_line_and_signs_out_and_sigterm_ends_it_in_peace() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let test = TestDb::new(engine);
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let invitation = access::invitation().expect("a secret");
        let secret = invitation.clone();
        db.write("person.add", &alice(), move |tx| {
            let new = NewPerson { login: "ann".to_owned(), name: "Ann".to_owned() };
            let (id, _) = access::add(tx, &new, &secret)?;
            access::grant(tx, Holder::Person(&id), "treasurer", &Part::default())
        })
        .expect("added");
        // The code of the step before: the present one is for signing in.
        let now = SystemClock.now();
        let code = totp::code_at(&TOTP, now - chrono::TimeDelta::seconds(30));
        let joining = Joining { invitation, person: None, password: Secret::given(PASSWORD), totp: TOTP, code };
        access::join(&db, &settings(), &joining).expect("joined");
        let booked = [line(day(2), 4_500, "nobody knows"), line(day(2), 700, "nor this")];
        let bytes = camt("M1", &[statement(0, "S1", 1, (2, 2), &booked)]);
        let file = || Ok(Box::new(std::io::Cursor::new(bytes.clone())) as Box<dyn std::io::Read>);
        intake::take_in(&db, &alice(), ("s1.xml", "test"), &file, &mut |_, _| {}).expect("taken in");
        let lines = db.read(|conn| allocation::waiting(conn, None)).expect("read");
        let [first, second] = [4_500, 700]
            .map(|minor| lines.iter().find(|l| l.minor == minor).map(|l| l.line.clone()).expect("it waits"));
        db.write("expectation.add", &alice(), |tx| expectations::add(tx, &[awaited("INV/1"), awaited("INV/2")]))
            .expect("added");
        drop(db);
        let mut server = serve(&test);
        let home = tempfile::tempdir().expect("a folder");
        let code = totp::code_at(&TOTP, SystemClock.now());
        let (ended, out, err) =
            cli(home.path(), &["login", "--server", &server.at, "--login", "ann"], &format!("{PASSWORD}\n{code}\n"));
        assert_eq!(ended, Some(0), "{out}{err}");
        let file = home.path().join("tributary/session.json");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("a file").permissions());
        assert_eq!(mode & 0o777, 0o600);
        let (_, me, _) = cli(home.path(), &["call", "GET", "/v1/me"], "");
        assert!(me.contains("lines.route"), "{me}");
        let (ended, _, err) =
            cli(home.path(), &["route", "ln_none", "--to", "m00/house/pool", "--reason", "a test", "--server"], "");
        assert!(ended == Some(1) && err.contains("there is no line ln_none"), "{err}");
        does_money_work_at_the_server(home.path(), &first, &second);
        let (ended, _, err) = cli(home.path(), &["call", "GET", "/v1/nothing"], "");
        assert!(ended == Some(1) && err.contains("no_such_path"), "{err}");
        assert_eq!(cli(home.path(), &["logout"], "").0, Some(0));
        assert!(!file.exists());
        let (ended, _, err) = cli(home.path(), &["call", "GET", "/v1/me"], "");
        assert!(ended == Some(1) && err.contains("tributary login"), "{err}");
        let id = server.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        assert!(server.child.wait().expect("it ends").success(), "SIGTERM ends it in peace");
    }
}
