//! Who may do what, over HTTP: joining by an invitation, coming back after a reset, roles of the treasury's own, roles of keys.

use super::open::send;
use super::{PASSWORD, Sent, Served, on_both};
use crate::given::{assert_clean, texts};
use serde_json::{Value, json};
use tributary::access::totp;

/// Joins by an invitation, as a client does: the second factor, once it was given back.
fn joins(served: &Served, invitation: &str) -> [u8; 20] {
    let ask = |path: &str, body: Value| served.ask("POST", path, &Sent { body: Some(body), ..Sent::default() });
    let begun = ask("/v1/join/begin", json!({ "invitation": invitation })).json();
    let text = begun["totp"].as_str().unwrap_or_else(|| panic!("{begun}"));
    assert!(begun["link"].as_str().is_some_and(|l| l.starts_with("otpauth://totp/Tributary:eve")), "{begun}");
    let secret = totp::from_app(text).expect("a second factor");
    let body = |code: &str, password: &str| json!({ "invitation": invitation, "password": password, "totp": text, "code": code });
    let code = totp::code_at(&secret, served.db.clock().now());
    assert_eq!(ask("/v1/join", body(&code, "short")).status, 422);
    let wrong = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(ask("/v1/join", body(wrong, PASSWORD)).status, ask("/v1/join", body(wrong, PASSWORD)).status);
    let joined = ask("/v1/join", body(&code, PASSWORD));
    assert_eq!(joined.json()["recovery_codes"].as_array().map(Vec::len), Some(10), "{joined:?}");
    assert_ne!(ask("/v1/join", body(&code, PASSWORD)).status, 200, "an invitation counts once");
    assert_ne!(ask("/v1/join/begin", json!({ "invitation": invitation })).status, 200);
    secret
}

fn signs_in(served: &Served, secret: &[u8; 20]) -> super::Got {
    served.clock.set(served.db.clock().now() + chrono::TimeDelta::minutes(1));
    let code = totp::code_at(secret, served.db.clock().now());
    let body = json!({ "login": "eve", "password": PASSWORD, "code": code });
    served.ask("POST", "/v1/sign-in", &Sent { body: Some(body), ..Sent::default() })
}

#[test]
fn a_person_joins_by_an_invitation_is_reset_and_comes_back_and_nobody_else_learns_a_secret() {
    on_both(|test| {
        let served = Served::on(test);
        let (own, amy) = served.person("amy", &[("administrator", "all")]);
        let added = served.post("/v1/people", &amy, "p1", json!({ "login": "eve", "name": "Eve" })).json();
        let (id, invitation) = (added["id"].as_str().expect("an id"), added["secret"].as_str().expect("a secret"));
        let first = joins(&served, invitation);
        let session = signs_in(&served, &first);
        assert_eq!(session.status, 200, "{session:?}");
        let eve = session.json()["token"].as_str().expect("a token").to_owned();
        let path = format!("/v1/people/{id}/sessions");
        let open = served.get(&path, &amy).json()["items"].clone();
        assert_eq!(open.as_array().map(Vec::len), Some(1), "{open}");
        let one = format!("{path}/{}", open[0]["id"].as_str().expect("an id"));
        let end = |path: &str| served.ask("DELETE", path, &Sent { token: Some(&amy), ..Sent::default() });
        assert_eq!(end(&one).json()["ended"], true);
        assert_eq!((end(&one).status, served.get("/v1/me", &eve).status), (404, 401));

        let again = signs_in(&served, &first).json()["token"].as_str().expect("a token").to_owned();
        let reset = served.post(&format!("/v1/people/{id}/reset"), &amy, "r1", json!({}));
        assert_eq!((reset.status, served.get("/v1/me", &again).status), (201, 200), "it waits: {reset:?}");
        let kept = served.post(&format!("/v1/people/{id}/reset"), &amy, "r1", json!({})).json();
        assert_eq!((&kept["secret"], &kept["proposal"]), (&Value::Null, &reset.json()["proposal"]));
        let reset = served.approved(reset);
        assert_eq!(served.get("/v1/me", &again).status, 401);
        assert_ne!(signs_in(&served, &first).status, 200, "the password is gone");
        let second = joins(&served, reset.json()["secret"].as_str().expect("a secret"));
        assert_ne!(first, second);
        assert_eq!(signs_in(&served, &second).status, 200);
        assert_ne!(
            served.post(&format!("/v1/people/{own}/reset"), &amy, "r2", json!({})).status,
            201,
            "nobody resets themselves"
        );
        let events = texts(&test.url, "SELECT COALESCE(after, '') || COALESCE(before, '') AS value FROM events");
        assert!(
            events.iter().all(|e| !e.contains("Eve") && !e.contains(invitation)),
            "personal data stays out of events"
        );
        assert_clean(&served.db);
    });
}

#[test]
fn policies_are_shown_and_changed_by_four_eyes() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, kim) = served.person("kim", &[("rule-keeper", "all")]);
        let (_, ann) = served.person("ann", &[("approver", "all")]);
        let (_, ben) = served.person("ben", &[("approver", "all")]);
        let of = |kind: &str| {
            let all = served.get("/v1/policies?limit=1000", &kim).json()["items"].clone();
            let found = all.as_array().expect("items").iter().find(|p| p["kind"] == kind).cloned();
            found.unwrap_or_else(|| panic!("{all}"))
        };
        assert_eq!(of("limits")["version"], 0);
        let send = |key: &str, text: &str| send(&served, "/v1/policies", &kim, Some(key), text.as_bytes());
        assert_eq!(send("p0", "policy = 1").code(), "bad_policies");
        let text = "[[policy]]\nkind = \"limits\"\nexpires_days = 3\nneeds = { role = \"approver\" }\n";
        let asked = send("p1", text).json();
        let id = asked["proposal"].as_str().unwrap_or_else(|| panic!("{asked}"));
        let path = format!("/v1/proposals/{id}");
        let digest = served.get(&path, &ann).json()["digest"].clone();
        let approve =
            |token: &str| served.post(&format!("{path}/approve"), token, "a", json!({ "digest": digest })).json();
        assert_eq!((&approve(&ann)["carried_out"], &of("limits")["version"]), (&json!(false), &json!(0)));
        assert_eq!(approve(&ben)["carried_out"], true);
        let now = of("limits");
        assert_eq!((&now["version"], &now["expires_days"]), (&json!(1), &json!(3)), "{now}");
        assert_clean(&served.db);
    });
}

#[test]
fn roles_of_the_treasurys_own_are_made_given_to_keys_and_retired_by_four_eyes() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, amy) = served.person("amy", &[("administrator", "all")]);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let (owner, _) = served.person("owner", &[]);
        let (key, secret) = served.key(&owner, &[("product-viewer", "product:tiktok")]);
        let clerk =
            |permission: &str| json!({ "roles": [{ "code": "clerk", "name": "Clerk", "permissions": [permission] }] });
        assert_eq!(served.post("/v1/roles", &ann, "o0", clerk("rates.read")).code(), "forbidden");
        assert_eq!(served.post("/v1/roles", &amy, "o1", clerk("rates.eat")).code(), "bad_roles");
        assert_eq!(served.post("/v1/roles", &amy, "o2", json!({})).code(), "bad_roles");
        let asked = served.post("/v1/roles", &amy, "o3", clerk("suspense.read"));
        assert_eq!(served.get("/v1/roles/clerk", &amy).status, 404, "it waits");
        served.approved(asked);
        let role = served.get("/v1/roles/clerk", &amy).json();
        assert_eq!((&role["permissions"], &role["built_in"]), (&json!(["suspense.read"]), &json!(false)));
        assert!(served.get("/v1/permissions?limit=1000", &ann).text.contains("\"suspense.read\""));

        let body = json!({ "role": "clerk", "scope": "master:m00" });
        assert_eq!(served.get("/v1/suspense", &secret).status, 403);
        let path = format!("/v1/keys/{key}/grants");
        served.approved(served.post(&path, &amy, "g1", body.clone()));
        assert_eq!(served.get("/v1/suspense", &secret).status, 200, "from the next request on");
        let retire = json!({ "retire": ["clerk"] });
        assert_eq!(served.post("/v1/roles", &amy, "t1", retire.clone()).code(), "role_held");
        assert_eq!(served.post(&format!("{path}/revoke"), &amy, "g2", body.clone()).json()["changed"], true);
        assert_eq!(served.post(&format!("{path}/revoke"), &amy, "g3", body).status, 404);
        assert_eq!(served.get("/v1/suspense", &secret).status, 403);
        served.approved(served.post("/v1/roles", &amy, "t2", retire));
        assert_eq!(served.get("/v1/roles/clerk", &amy).status, 404);
        assert_clean(&served.db);
    });
}
