//! Every operation, asked by every role: each answer is the one in the rights table, which is a file that people read. And every
//! operation that names a thing, asked for a thing of others: the answer is the one for a thing that is not there.

use super::{Sent, Served, on_both, receipt};
use crate::given::{alice, camt, day, line, statement};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tributary::access::oidc;
use tributary::access::role::built_in_roles;
use tributary::allocation::intake;
use tributary::app;
use tributary::http::{Method, Need, Operation};
use tributary::webhooks::{self, NewEndpoint};
use ureq::http::StatusCode;

/// What there is to name, by the name of a path's part; of two things with one name, by `operation group.name`.
pub type Things = BTreeMap<String, String>;

/// A treasury in which there is one of everything, all of it tiktok's or of master `m00`.
pub fn furnish(served: &Served) -> Things {
    let (owner, ann) = served.person("ann", &[("treasurer", "all")]);
    let (key, _) = served.key(&owner, &[("product-viewer", "product:tiktok")]);
    served.approved(served.post(
        "/v1/expectations",
        &ann,
        "furnish",
        receipt("a1", "m00/tiktok/de/operating", "10.00"),
    ));
    let open = served.post("/v1/expectations", &ann, "furnish-0", receipt("a2", "m00/tiktok/de/operating", "10.00"));
    let booked = [line(day(2), 12_300, "tiktok order 7"), line(day(2), 4_500, "nobody knows")];
    let bytes = camt("M1", &[statement(0, "S1", 1, (2, 2), &booked)]);
    let file = || Ok(Box::new(std::io::Cursor::new(bytes.clone())) as Box<dyn std::io::Read>);
    let taken = intake::take_in(&served.db, &alice(), ("s1.xml", "test"), &file, &mut |_, _| {}).expect("taken in");
    let statement = taken.statements.first().expect("a statement").id.clone();
    let lines = served.get(&format!("/v1/statements/{statement}/lines"), &ann).json();
    let jobs = served.get("/v1/jobs", &ann).json();
    let csv = "settlement,master,platform,currency,total,paid_on,leaf,gross,net\nSET-1,m00,Apple,EUR,99.00,2026-03-04,m00/tiktok/de/operating,99.00,99.00\n";
    served.approved(served.post("/v1/settlements", &ann, "furnish-2", json!({ "name": "a.csv", "csv": csv })));
    let (linked, operator) = (owner.clone(), alice());
    let identity = served.db.write("identity.link", &operator, move |tx| oidc::link(tx, "https://id", "ann", &linked));
    let identity = identity.expect("linked");
    let text = |v: &Value| v.as_str().expect("text").to_owned();
    let leaf = "m00%2Ftiktok%2Fde%2Foperating".to_owned();
    let proposal = text(&open.json()["proposal"]);
    let things = [
        ("entity", "acme".to_owned()),
        ("bank", "bank".to_owned()),
        ("product", "tiktok".to_owned()),
        ("master", "m00".to_owned()),
        ("sub_account", leaf.clone()),
        ("account", leaf),
        ("expectations.key", "a1".to_owned()),
        ("key_grants.key", key.clone()),
        ("keys.key", key),
        ("entries.number", "3".to_owned()),
        ("seals.number", "1".to_owned()),
        ("person", owner),
        ("session", "ses_0".to_owned()),
        ("identity", identity),
        ("job", text(&jobs["items"][0]["id"])),
        ("statement", statement),
        ("line", text(&lines["items"][0]["id"])),
        ("file", taken.file.id),
        ("settlement", "SET-1".to_owned()),
        ("calendar", "target".to_owned()),
        ("day", "2026-03-02".to_owned()),
        ("rule", "tiktok".to_owned()),
        ("role", "treasurer".to_owned()),
        ("webhook", endpoint(served)),
        ("proposal", proposal),
    ];
    things.into_iter().map(|(name, thing)| (name.to_owned(), thing)).collect()
}

/// An endpoint of the operator's.
fn endpoint(served: &Served) -> String {
    let (id, secret) = webhooks::new_secret(&served.db).expect("a secret");
    let owner = alice().actor.clone();
    let new = NewEndpoint { id: id.clone(), url: "https://example.com/".to_owned(), kinds: Vec::new(), owner };
    served.db.write("webhook.add", &alice(), move |tx| webhooks::add(tx, &new, &secret)).expect("added");
    id
}

pub fn named<'t>(operation: &Operation, name: &str, things: &'t Things) -> &'t str {
    let group = operation.id.split('.').next().expect("a group");
    let found = things.get(&format!("{group}.{name}")).or_else(|| things.get(name));
    found.unwrap_or_else(|| panic!("{} names {name}: give it a thing in this test", operation.id))
}

/// The path with these things in it, and the parameters that must be there.
pub fn path(operation: &Operation, thing: impl Fn(&str) -> String) -> String {
    let mut path = operation.path.to_owned();
    for name in operation.path_names() {
        path = path.replace(&format!("{{{name}}}"), &thing(name));
    }
    match operation.id {
        "accounts.statement" => path + "?from=2026-03-01&to=2026-03-31",
        "statement_files.take_in" => path + "?name=x",
        "calendars.import" => path + "?code=x",
        "rates.history" => path + "?currency=EUR",
        "rates.convert" => path + "?amount=1.00&from=EUR&into=EUR",
        _ => path,
    }
}

pub fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/api/golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let agreed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(agreed, text, "{} differs; UPDATE=1 rewrites it, the diff is the review", path.display());
}

pub fn may(operation: &Operation, role: &tributary::access::role::Role) -> bool {
    match operation.need {
        Need::Nobody | Need::SignedIn => true,
        Need::Permission(permission) => role.permissions.has(permission),
    }
}

#[test]
fn the_rights_table_is_the_one_that_was_agreed_on() {
    let roles: Vec<_> = built_in_roles().collect();
    let mut text = String::from("What each built-in role may ask for over HTTP. No role: what needs none.\n\n");
    for operation in app::operations() {
        let need = match operation.need {
            Need::Nobody => "anybody".to_owned(),
            Need::SignedIn => "signed in".to_owned(),
            Need::Permission(permission) => {
                let who: Vec<&str> = roles.iter().filter(|r| may(&operation, r)).map(|r| r.code.as_str()).collect();
                format!("{permission}: {}", who.join(", "))
            }
        };
        text += &format!("{} {}\n    {}: {need}\n", operation.method, operation.path, operation.id);
    }
    golden("rights.txt", &text);
}

/// A body that is refused after everything about rights was asked: nothing is changed by the walk.
pub fn refused_body(operation: &Operation) -> Option<Value> {
    (operation.method != Method::Get && !operation.takes_file()).then(|| json!({ "no such field": 1 }))
}

#[test]
fn every_operation_answers_every_role_as_the_rights_table_says() {
    on_both(|test| {
        let served = Served::on(test);
        let things = furnish(&served);
        let nobody = served.person("nobody", &[]).1;
        let roles: Vec<_> = built_in_roles().collect();
        let holders: Vec<(String, String)> = roles
            .iter()
            .map(|role| (role.code.clone(), served.person(&format!("has-{}", role.code), &[(&role.code, "all")]).1))
            .collect();
        for operation in app::operations() {
            let at = path(&operation, |name| named(&operation, name, &things).to_owned());
            let ask = |token: Option<&str>| {
                let sent = Sent { token, key: Some("walk"), body: refused_body(&operation), headers: Vec::new() };
                served.ask(operation.method.text(), &at, &sent)
            };
            let without = ask(None).status;
            assert_eq!(without == 401, operation.need != Need::Nobody, "{} without a secret: {without}", operation.id);
            let bare = ask(Some(&nobody)).status;
            assert_eq!(
                bare == 403,
                matches!(operation.need, Need::Permission(_)),
                "{} without a role: {bare}",
                operation.id
            );
            for (role, (code, token)) in roles.iter().zip(&holders) {
                if operation.need == Need::Nobody
                    || operation.id == "session.close"
                    || operation.id == "statement_files.take_in"
                {
                    continue;
                }
                let got = ask(Some(token));
                let said = format!("{} as {code}: {} {}", operation.id, got.status, got.text);
                if !may(&operation, role) {
                    assert_eq!((got.status, got.code().as_str()), (403, "forbidden"), "{said}");
                } else if operation.id == "proposals.show" {
                    // Whether somebody may know of one depends on what it is about, not only on a permission.
                    assert!([200, 404].contains(&got.status), "{said}");
                } else if operation.method == Method::Get {
                    assert_eq!(got.status, StatusCode::OK, "{said}");
                } else {
                    assert!([400, 428].contains(&got.status), "{said}");
                }
            }
        }
    });
}

/// A body that an operation takes, so that what it is asked for is looked up.
pub fn good_body(operation: &Operation) -> Option<Value> {
    Some(match operation.id {
        "limits.change" => json!({ "floor": { "amount": "0.00", "currency": "EUR" }, "reason": "a test of rights" }),
        "grants.make" | "grants.revoke" => json!({ "role": "product-viewer", "scope": "product:capcut+master:m01" }),
        "expectations.meet" => json!({ "line": "ln_0", "reason": "a test of rights" }),
        "settlements.apply" => json!({ "line": "ln_0" }),
        "proposals.approve" | "proposals.reject" => json!({ "digest": "0123456789ab", "reason": "a test" }),
        "statement_profiles.change" => {
            json!({ "notified": "final", "reports": "delta", "contradictions": "accept" })
        }
        "keys.rotate" => json!({ "days": 9 }),
        "key_grants.make" | "key_grants.revoke" => {
            json!({ "role": "product-viewer", "scope": "product:capcut+master:m01" })
        }
        "people.reset"
        | "identities.unlink"
        | "person_sessions.end"
        | "people.disable"
        | "people.end_sessions"
        | "keys.revoke"
        | "sessions.end" => json!({}),
        "identities.link" => json!({ "issuer": "https://id", "subject": "x" }),
        "webhooks.replay" => json!({ "first": 1, "last": 1 }),
        id if id.starts_with("webhooks.") => json!({}),
        _ => json!({ "reason": "a test of rights" }),
    })
}

/// Who may do this at all among the roles, and where: in a corner that has nothing of what the walk asks for.
const CORNER: &str = "product:capcut+master:m01";

#[test]
fn a_foreign_thing_is_answered_like_one_that_is_not_there() {
    on_both(|test| {
        let served = Served::on(test);
        let things = furnish(&served);
        let all: Vec<(String, String)> = built_in_roles()
            .map(|role| (role.code.clone(), served.person(&format!("c-{}", role.code), &[(&role.code, CORNER)]).1))
            .collect();
        let roles: Vec<_> = built_in_roles().collect();
        let mut asked = 0;
        for operation in app::operations().iter().filter(|o| !o.path_names().is_empty()) {
            // These are nobody's: whoever may see them at all sees all of them.
            if ["entities.show", "calendars.show", "calendars.day", "roles.show"].contains(&operation.id) {
                continue;
            }
            for (_, (code, token)) in roles.iter().zip(&all).filter(|(r, _)| may(operation, r)) {
                let ask = |at: &str, key: &str| {
                    let body = (operation.method != Method::Get).then(|| good_body(operation)).flatten();
                    let headers = vec![("if-match", "\"0\"")];
                    let got = served.ask(
                        operation.method.text(),
                        at,
                        &Sent { token: Some(token), key: Some(key), body, headers },
                    );
                    let (status, text) = got.said();
                    (status, text, got.header("etag").is_some())
                };
                let absent_thing = |name: &str| {
                    if name == "number" { "999999".to_owned() } else { "there-is-none".to_owned() }
                };
                let foreign =
                    ask(&path(operation, |n| named(operation, n, &things).to_owned()), &format!("f-{}", operation.id));
                let absent = ask(&path(operation, absent_thing), &format!("a-{}", operation.id));
                let without = |(status, text, etag): (u16, String, bool), thing: &str| {
                    let plain = thing.replace("%2F", "/");
                    let ends = |end: &str| (format!("{plain}{end}"), format!("IT{end}"));
                    let (quote, semicolon) = (ends("\""), ends(";"));
                    (status, text.replace(&quote.0, &quote.1).replace(&semicolon.0, &semicolon.1), etag)
                };
                let name = operation.path_names()[0];
                let foreign = without(foreign, named(operation, name, &things));
                let absent = without(absent, &absent_thing(name));
                assert_eq!(foreign, absent, "{} as {code}", operation.id);
                assert_eq!(foreign.0, 404, "{} as {code}: {foreign:?}", operation.id);
                asked += 1;
            }
        }
        assert!(asked > 50, "{asked} questions only");
    });
}

#[test]
fn no_list_names_what_is_foreign() {
    on_both(|test| {
        let served = Served::on(test);
        furnish(&served);
        let roles: Vec<_> = built_in_roles().collect();
        let all: Vec<String> =
            roles.iter().map(|role| served.person(&format!("c-{}", role.code), &[(&role.code, CORNER)]).1).collect();
        for operation in app::operations().iter().filter(|o| o.method == Method::Get && o.path_names().is_empty()) {
            if operation.need == Need::Nobody {
                continue;
            }
            for (role, token) in roles.iter().zip(&all).filter(|(r, _)| may(operation, r)) {
                let got = served.get(&path(operation, |name| name.to_owned()), token);
                assert!([200, 403].contains(&got.status), "{} as {}: {}", operation.id, role.code, got.text);
                for foreign in ["tiktok", "douyin", "m00", "Name of ann", "123.00", "nobody knows", "SET-1"] {
                    assert!(
                        !got.text.contains(foreign),
                        "{} tells {} of {foreign}: {}",
                        operation.id,
                        role.code,
                        got.text
                    );
                }
            }
        }
    });
}

#[test]
fn a_foreign_line_is_placed_by_nobody_who_does_not_see_it() {
    on_both(|test| {
        let served = Served::on(test);
        let things = furnish(&served);
        let (_, token) = served.person("corner", &[("treasurer", "master:m01")]);
        let route = |line: &str, to: &str, key: &str| {
            let body = json!({ "lines": [{ "line": line, "to": to, "reason": "a test of rights" }] });
            let got = served.post("/v1/lines/route", &token, key, body);
            let item = got.json()["lines"][0].clone();
            (got.status, item["code"].clone(), item["detail"].as_str().unwrap_or_default().replace(line, "IT"))
        };
        let foreign = route(&things["line"], "m01/tiktok/de/operating", "f");
        assert_eq!(foreign, route("li_none", "m01/tiktok/de/operating", "a"));
        assert_eq!((foreign.0, foreign.1), (200, json!("not_found")));
        // Announcing for a foreign leaf is refused as for one that is not there.
        let (_, client) = served.person("client", &[("product-client", "product:capcut")]);
        let announce = |leaf: &str, key: &str| {
            let (status, text) = served.post("/v1/expectations", &client, key, receipt("z1", leaf, "10.00")).said();
            (status, text.replace(leaf, "IT"))
        };
        assert_eq!(announce("m00/tiktok/de/operating", "f"), announce("m00/none", "a"));
        assert_eq!(announce("m00/tiktok/de/operating", "f").0, 404);
        assert_eq!(announce("m00/capcut/de/operating", "own").0, 200);
    });
}
