//! Sign-in by a provider on both databases, against one of the test's own: who comes in, and all the ways in which nobody does.

mod provider;

use crate::api::{Got, PASSWORD, Sent, Served, TOTP};
use crate::databases::{TestDb, on_both};
use crate::given::{alice, assert_clean, number, sql, texts};
use provider::{CLIENT, CLIENT_SECRET, Idp, Signed, parameters};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use tributary::access::oidc::{self, Provider, Settings};
use tributary::access::{self, NewPerson, totp};
use tributary::config::{self, Oidc, SecondFactor};
use tributary::doctor::{self, State};
use tributary::time::{Clock, SystemClock};

/// A configuration for this provider.
fn configured(issuer: &str, folder: &std::path::Path) -> Oidc {
    let mut oidc = config::load(None).expect("the defaults").oidc;
    let secret = folder.join("client-secret");
    std::fs::write(&secret, format!("{CLIENT_SECRET}\n")).expect("written");
    oidc.client_secret_file = secret.to_string_lossy().into_owned();
    oidc.issuer = issuer.to_owned();
    oidc.name = "Staff".to_owned();
    oidc.client_id = CLIENT.to_owned();
    oidc.redirect_url = "https://treasury.example.com/v1/sign-in/oidc/callback".to_owned();
    oidc.timeout_seconds = 1;
    oidc
}

fn made(issuer: &str, change: impl FnOnce(&mut Oidc)) -> Provider {
    let folder = tempfile::tempdir().expect("a folder");
    let mut oidc = configured(issuer, folder.path());
    change(&mut oidc);
    Provider::new(Settings::of(&oidc).expect("a configuration").expect("a provider"))
}

/// The provider is relied on for the second factor.
fn relied_on(oidc: &mut Oidc) {
    oidc.second_factor = SecondFactor::Provider;
    oidc.amr_values = vec!["mfa".to_owned()];
}

fn with_mfa(claims: &mut Value) {
    claims["amr"] = json!(["pwd", "mfa"]);
}

/// A browser: what it carries.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn takes(&mut self, got: &Got) {
        for (_, cookie) in got.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, rest) = cookie.split_once('=').expect("a cookie");
            let (value, how) = rest.split_once(';').expect("how");
            assert!(
                name.starts_with("__Host-") && how.contains("Path=/;") && how.contains("Secure; HttpOnly"),
                "{cookie}"
            );
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    fn asks(&mut self, served: &Served, method: &str, path: &str, body: Option<Value>) -> Got {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let headers = vec![("cookie", cookies.as_str()), ("sec-fetch-site", "same-origin")];
        let got = served.ask(method, path, &Sent { body, headers, ..Sent::default() });
        self.takes(&got);
        got
    }

    /// Begins a sign-in: where the browser is sent.
    fn begins(&mut self, served: &Served, more: &str) -> String {
        let got = self.asks(served, "GET", &format!("/v1/sign-in/oidc{more}"), None);
        assert_eq!((got.status, got.text.as_str()), (303, ""), "{got:?}");
        got.header("location").expect("a location").to_owned()
    }

    fn comes_back(&mut self, served: &Served, with: &BTreeMap<String, String>) -> Got {
        let pairs: Vec<String> = with.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.asks(served, "GET", &format!("/v1/sign-in/oidc/callback?{}", pairs.join("&")), None)
    }

    /// All of it, as far as the answer to the callback.
    fn signs_in(
        &mut self,
        served: &Served,
        idp: &Idp,
        subject: &str,
        how: Signed,
        change: impl FnOnce(&mut Value),
    ) -> Got {
        let location = self.begins(served, "");
        let back = idp.sends_back(&location, (subject, served.db.clock().now()), how, change);
        self.comes_back(served, &back)
    }
}

fn link(served: &Served, idp: &Idp, person: &str, subject: &str) -> String {
    let (issuer, person, subject) = (idp.issuer.clone(), person.to_owned(), subject.to_owned());
    let linked = served.db.write("identity.link", &alice(), move |tx| oidc::link(tx, &issuer, &subject, &person));
    linked.expect("linked")
}

fn code_now(served: &Served) -> String {
    served.clock.set(served.db.clock().now() + chrono::TimeDelta::minutes(1));
    totp::code_at(&TOTP, served.db.clock().now())
}

fn sessions(test: &TestDb) -> i64 {
    number(&test.url, "SELECT count(*) AS value FROM sessions WHERE ended_at IS NULL")
}

#[test]
fn somebody_linked_comes_in_by_the_provider_and_the_apps_code() {
    on_both(|test| {
        let idp = Idp::new();
        let served = Served::with_provider(test, made(&idp.issuer, |_| {}));
        let (ann, before) = served.person("ann", &[("treasurer", "all")]);
        link(&served, &idp, &ann, "sub-of-ann");
        assert_eq!(served.get("/v1/me", &before).code(), "not_signed_in", "linking ends sessions");
        let mut browser = Browser::default();
        let got = browser.signs_in(&served, &idp, "sub-of-ann", Signed::Rs256, |_| {});
        assert_eq!((got.status, &got.json()["needs_code"], &got.json()["session"]), (200, &json!(true), &Value::Null));
        assert_eq!(sessions(test), 0);
        let no = browser.asks(&served, "POST", "/v1/sign-in/oidc/code", Some(json!({ "code": "000000" })));
        assert_eq!((no.status, no.code().as_str()), (422, "wrong_code"));
        let held = browser.cookies.clone();
        let code = json!({ "code": code_now(&served) });
        let session = browser.asks(&served, "POST", "/v1/sign-in/oidc/code", Some(code));
        assert_eq!((session.status, &session.json()["person"]), (200, &json!(ann)), "{session:?}");
        assert_eq!(browser.cookies[oidc::SIGN_IN_COOKIE], "", "nothing is left to carry");
        let me = browser.asks(&served, "GET", "/v1/me", None);
        assert_eq!((me.status, &me.json()["name"]), (200, &json!("Name of ann")));
        // What was carried opens nothing again, with another code.
        let mut thief = Browser { cookies: held };
        let again = json!({ "code": code_now(&served) });
        let got = thief.asks(&served, "POST", "/v1/sign-in/oidc/code", Some(again));
        assert_eq!((got.status, got.code().as_str()), (401, "sign_in_not_begun"));
        let events = texts(
            &test.url,
            "SELECT actor || kind || subject || coalesce(before, '') || coalesce(after, '') AS value FROM events",
        )
        .concat();
        assert!(events.contains("\"by\":\"oidc\"") && events.contains("identity.linked"), "{events}");
        assert!(!events.contains("sub-of-ann") && !events.contains("example.com"), "personal data is sealed: {events}");
        assert_clean(&served.db);
    });
}

#[test]
fn guesses_at_the_code_wait_as_those_at_a_password_do() {
    on_both(|test| {
        let idp = Idp::new();
        let served = Served::with_provider(test, made(&idp.issuer, |_| {}));
        let (ann, _) = served.person("ann", &[]);
        link(&served, &idp, &ann, "a");
        let mut browser = Browser::default();
        browser.signs_in(&served, &idp, "a", Signed::Rs256, |_| {});
        let mut guess =
            || browser.asks(&served, "POST", "/v1/sign-in/oidc/code", Some(json!({ "code": "000000" }))).code();
        let said: Vec<String> = (0..6).map(|_| guess()).collect();
        assert_eq!(said[4..], ["wrong_code", "sign_in_waits"]);
        assert_clean(&served.db);
    });
}

#[test]
fn a_provider_that_is_relied_on_for_the_second_factor_opens_the_session_itself() {
    on_both(|test| {
        let idp = Idp::new();
        let served = Served::with_provider(test, made(&idp.issuer, relied_on));
        let (ann, _) = served.person("ann", &[("treasurer", "all")]);
        link(&served, &idp, &ann, "a");
        let mut browser = Browser::default();
        let location = browser.begins(&served, "?return_to=/docs%3Fx=1");
        let back = idp.sends_back(&location, ("a", served.db.clock().now()), Signed::Es256, with_mfa);
        let got = browser.comes_back(&served, &back);
        assert_eq!((got.status, got.header("location"), got.text.as_str()), (303, Some("/docs?x=1"), ""), "{got:?}");
        let session =
            got.headers.iter().find(|(n, v)| n == "set-cookie" && v.starts_with("__Host-tributary=")).expect("one");
        assert!(session.1.ends_with("SameSite=Lax"), "{session:?}");
        assert_eq!(browser.asks(&served, "GET", "/v1/me", None).status, 200);
        // Where it does not say that it has seen one, the app's code is asked for.
        let got = Browser::default().signs_in(&served, &idp, "a", Signed::Es256, |_| {});
        assert_eq!(got.json()["needs_code"], true);
        assert_clean(&served.db);
    });
}

#[test]
fn an_answer_counts_once_in_the_browser_that_has_asked_and_for_ten_minutes() {
    on_both(|test| {
        let idp = Idp::new();
        let served = Served::with_provider(test, made(&idp.issuer, relied_on));
        let (ann, _) = served.person("ann", &[]);
        link(&served, &idp, &ann, "a");
        let mut browser = Browser::default();
        let location = browser.begins(&served, "");
        let back = || idp.sends_back(&location, ("a", served.db.clock().now()), Signed::Rs256, with_mfa);
        let refused = |browser: &mut Browser, back: &BTreeMap<String, String>, why: &str| {
            let got = browser.comes_back(&served, back);
            assert_eq!((got.status, got.code().as_str()), (401, "sign_in_not_begun"), "{why}");
        };
        let with = |name: &str, value: &str| {
            let mut other = back();
            other.insert(name.to_owned(), value.to_owned());
            other
        };
        refused(&mut browser, &with("state", "another"), "another state");
        let mut without = back();
        without.remove("state");
        refused(&mut browser, &without, "no state");
        refused(&mut browser, &with("iss", "https://other.example"), "another provider's answer");
        refused(&mut Browser::default(), &back(), "a browser that has not begun");
        let mut other = Browser::default();
        other.begins(&served, "");
        refused(&mut other, &back(), "a browser that has begun another");
        let denied = browser.comes_back(&served, &with("error", "access_denied%3Cscript%3E"));
        assert_eq!(denied.code(), "provider_refused");
        assert!(denied.text.contains("access_denied") && !denied.text.contains("<script>"));
        assert_eq!(sessions(test), 0);
        let held = Browser { cookies: browser.cookies.clone() };
        let first = back();
        assert_eq!(browser.comes_back(&served, &with("iss", &idp.issuer)).status, 200);
        assert_eq!(sessions(test), 1);
        let mut again = Browser { cookies: held.cookies.clone() };
        refused(&mut again, &first, "a ticket that was used, with a code that was not");
        let mut late = Browser::default();
        let location = late.begins(&served, "");
        let mut back = idp.sends_back(&location, ("a", served.db.clock().now()), Signed::Rs256, with_mfa);
        back.insert("code".to_owned(), "code-1".to_owned());
        let got = late.comes_back(&served, &back);
        assert_eq!((got.status, got.code().as_str()), (401, "provider_code_refused"), "a code of another sign-in");
        served.clock.set(served.db.clock().now() + chrono::TimeDelta::minutes(10));
        refused(&mut late, &back, "after ten minutes");
        assert_eq!(sessions(test), 1);
        assert_clean(&served.db);
    });
}

#[test]
fn a_token_that_proves_nothing_lets_nobody_in() {
    type Change = fn(&mut Value);
    let wrong: [(&str, Signed, Change); 20] = [
        ("by a key that is not the provider's", Signed::ByOther, |_| {}),
        ("by a key that is not published", Signed::ByUnknown, |_| {}),
        ("not signed", Signed::None, |_| {}),
        ("by the client's secret", Signed::BySecret, |_| {}),
        ("by the public key as if it were a secret", Signed::ByPublicKey, |_| {}),
        ("another nonce", Signed::Rs256, |c| c["nonce"] = json!("another")),
        ("no nonce", Signed::Rs256, |c| drop(c.as_object_mut().and_then(|c| c.remove("nonce")))),
        ("for somebody else", Signed::Rs256, |c| c["aud"] = json!("another")),
        ("for somebody else too, and not meant for us", Signed::Rs256, |c| c["aud"] = json!([CLIENT, "another"])),
        ("asked for by somebody else", Signed::Rs256, |c| c["azp"] = json!("another")),
        ("for nobody", Signed::Rs256, |c| c["aud"] = json!([])),
        ("of another issuer", Signed::Rs256, |c| c["iss"] = json!("https://other.example")),
        ("of two issuers", Signed::Rs256, |c| c["iss"] = json!([c["iss"], "https://other.example"])),
        ("expired", Signed::Rs256, |c| c["exp"] = json!(c["iat"].as_i64().expect("iat") - 60)),
        ("without an end", Signed::Rs256, |c| c["exp"] = json!("never")),
        ("of the future", Signed::Rs256, |c| c["iat"] = json!(c["exp"])),
        ("good only later", Signed::Rs256, |c| c["nbf"] = json!(c["exp"])),
        ("nobody's", Signed::Rs256, |c| c["sub"] = json!("")),
        ("of no text", Signed::Rs256, |c| c["sub"] = json!(7)),
        ("of a name with control characters", Signed::Rs256, |c| c["sub"] = json!("a\u{0}b")),
    ];
    on_both(|test| {
        let idp = Idp::new();
        let served = Served::with_provider(test, made(&idp.issuer, relied_on));
        let (ann, _) = served.person("ann", &[]);
        link(&served, &idp, &ann, "a");
        let seals = served.db.read(tributary::db::head).expect("a head").seal;
        for (what, how, change) in wrong {
            let got = Browser::default().signs_in(&served, &idp, "a", how, |claims| {
                with_mfa(claims);
                change(claims);
            });
            assert_eq!((got.status, got.code().as_str()), (401, "id_token_refused"), "{what}: {got:?}");
        }
        assert_eq!(sessions(test), 0);
        assert_eq!(served.db.read(tributary::db::head).expect("a head").seal, seals, "nobody fills the record");
        let several = |claims: &mut Value| {
            with_mfa(claims);
            (claims["aud"], claims["azp"]) = (json!([CLIENT, "another"]), json!(CLIENT));
        };
        assert_eq!(Browser::default().signs_in(&served, &idp, "a", Signed::Rs256, several).status, 200);
        assert_clean(&served.db);
    });
}

#[test]
fn nobody_comes_in_who_is_not_linked_active_and_of_a_domain_that_may() {
    on_both(|test| {
        let idp = Idp::new();
        let provider = made(&idp.issuer, |oidc| {
            relied_on(oidc);
            oidc.email_domains = vec!["Example.com".to_owned()];
        });
        let served = Served::with_provider(test, provider);
        let (ann, _) = served.person("a@example.com", &[]);
        let come = |subject: &str, change: fn(&mut Value)| {
            Browser::default().signs_in(&served, &idp, subject, Signed::Rs256, |claims| {
                with_mfa(claims);
                change(claims);
            })
        };
        // Their login is that very address, which links nobody.
        let got = come("a", |_| {});
        assert_eq!((got.status, got.code().as_str()), (403, "unknown_identity"));
        assert!(got.text.contains("the subject a of"), "who is to be linked is said: {}", got.text);
        link(&served, &idp, &ann, "a");
        assert_eq!(come("a", |_| {}).status, 200);
        type Change = fn(&mut Value);
        let wrong: [Change; 5] = [
            |c| c["email_verified"] = json!(false),
            |c| drop(c.as_object_mut().and_then(|c| c.remove("email_verified"))),
            |c| c["email"] = json!("a@example.com.evil.test"),
            |c| c["email"] = json!("example.com"),
            |c| c["email"] = Value::Null,
        ];
        for change in wrong {
            let got = come("a", change);
            assert_eq!((got.status, got.code().as_str()), (403, "email_refused"));
        }
        let id = ann.clone();
        served.db.write("person.disable", &alice(), move |tx| access::disable(tx, &id)).expect("disabled");
        assert_eq!(come("a", |_| {}).code(), "unknown_identity", "disabling ends links");
        // A link that has come to a disabled person past the front door lets nobody in either.
        let put = "UPDATE identities SET unlinked_at = NULL, unlinked_by = NULL";
        sql(&test.url, put).expect("changed");
        let got = come("a", |_| {});
        assert_eq!((got.status, got.code().as_str()), (403, "person_not_active"));
        assert_eq!(number(&test.url, "SELECT count(*) AS value FROM events WHERE kind = 'sign_in.refused'"), 1);
        assert_eq!(sessions(test), 0);
    });
}

#[test]
fn who_is_invited_joins_by_the_provider_once_and_with_a_second_factor() {
    on_both(|test| {
        let idp = Idp::new();
        let served = Served::with_provider(test, made(&idp.issuer, relied_on));
        let invite = |login: &str| {
            let (secret, new) =
                (access::invitation().expect("a secret"), NewPerson { login: login.to_owned(), name: "N".to_owned() });
            let given = secret.clone();
            let added =
                served.db.write("person.add", &alice(), move |tx| access::add(tx, &new, &given)).expect("added");
            (added.0, secret.reveal().to_owned())
        };
        let come = |invitation: &str, subject: &str, change: fn(&mut Value)| {
            let mut browser = Browser::default();
            let location = browser.begins(&served, &format!("?invitation={invitation}"));
            let back = idp.sends_back(&location, (subject, served.db.clock().now()), Signed::Rs256, change);
            browser.comes_back(&served, &back)
        };
        let (ben, invitation) = invite("ben");
        assert_eq!(come(&invitation, "b", |_| {}).code(), "second_factor_missing");
        let got = come(&invitation, "b", with_mfa);
        assert_eq!((got.status, &got.json()["session"]["person"]), (200, &json!(ben)), "{got:?}");
        assert_eq!(come(&invitation, "c", with_mfa).code(), "bad_invitation", "it counts once");
        let (_, second) = invite("cid");
        assert_eq!(come(&second, "b", with_mfa).code(), "already_linked", "nobody is two people");
        assert_eq!(come("tri_made-up", "d", with_mfa).code(), "bad_invitation");
        assert_eq!(Browser::default().signs_in(&served, &idp, "b", Signed::Rs256, with_mfa).status, 200);
        // There is no password by which ben would come in.
        let body = json!({ "login": "ben", "password": PASSWORD, "code": code_now(&served) });
        let got = served.ask("POST", "/v1/sign-in", &Sent { body: Some(body), ..Sent::default() });
        assert_eq!(got.code(), "sign_in_refused");
        assert_clean(&served.db);
    });
}

#[test]
fn a_provider_that_is_down_silent_or_another_is_said_in_bounded_time() {
    on_both(|test| {
        let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let down = format!("http://{nobody}/staff");
        let ask = |provider: Provider| {
            // A database each: a server that has ended may hold its own a moment longer.
            let own = TestDb::new(test.engine);
            let served = Served::with_provider(&own, provider);
            let begun = std::time::Instant::now();
            let got = served.ask("GET", "/v1/sign-in/oidc", &Sent::default());
            let took = begun.elapsed();
            assert!(took < std::time::Duration::from_secs(10), "it took {took:?}");
            assert_eq!((got.status, got.code().as_str()), (503, "provider_unreachable"));
            assert!(got.text.contains("Staff") && !got.text.contains("127.0.0.1"), "{}", got.text);
        };
        ask(made(&down, |_| {}));
        let idp = Idp::new();
        idp.fall_silent();
        ask(made(&idp.issuer, |_| {}));
        type Change = fn(&mut Value);
        let other: [Change; 4] = [
            |d| d["issuer"] = json!("https://other.example"),
            |d| d["token_endpoint"] = json!("http://idp.example.com/token"),
            |d| d["code_challenge_methods_supported"] = json!(["plain"]),
            |d| *d = json!([]),
        ];
        for change in other {
            let idp = Idp::new();
            idp.describes(change);
            ask(made(&idp.issuer, |_| {}));
        }
    });
}

#[test]
fn it_asks_for_keys_once_and_knows_both_ways_to_prove_itself() {
    on_both(|test| {
        let idp = Idp::new();
        idp.describes(|d| d["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]));
        let served = Served::with_provider(test, made(&idp.issuer, relied_on));
        let (ann, _) = served.person("ann", &[]);
        link(&served, &idp, &ann, "a");
        for _ in 0..3 {
            assert_eq!(Browser::default().signs_in(&served, &idp, "a", Signed::Rs256, with_mfa).status, 200);
        }
        // Keys that somebody makes up do not make it ask again and again.
        for _ in 0..3 {
            Browser::default().signs_in(&served, &idp, "a", Signed::ByUnknown, with_mfa);
        }
        let asked = |what: &str| idp.asked().iter().filter(|path| path.ends_with(what)).count();
        assert_eq!((asked("openid-configuration"), asked("/keys")), (1, 1));
    });
}

#[test]
fn only_paths_of_this_server_are_returned_to_and_only_parameters_of_ours_are_taken() {
    on_both(|test| {
        let idp = Idp::new();
        let served = Served::with_provider(test, made(&idp.issuer, |_| {}));
        for evil in ["https://evil.example", "//evil.example", "/%5Cevil.example", "docs", "/%0d%0aX:%20y"] {
            let got = served.ask("GET", &format!("/v1/sign-in/oidc?return_to={evil}"), &Sent::default());
            assert_eq!((got.status, got.code().as_str()), (400, "bad_return_to"), "{evil}");
        }
        let got = served.ask("GET", "/v1/sign-in/oidc?redirect_uri=https://evil.example", &Sent::default());
        assert_eq!((got.status, got.code().as_str()), (400, "bad_query"));
        let location = Browser::default().begins(&served, "");
        let asked = parameters(location.split_once('?').expect("parameters").1);
        assert_eq!(asked["redirect_uri"], "https://treasury.example.com/v1/sign-in/oidc/callback");
        assert!(!location.contains(CLIENT_SECRET) && asked["state"] != asked["nonce"]);
    });
}

#[test]
fn where_no_provider_is_configured_there_is_none() {
    on_both(|test| {
        let served = Served::on(test);
        for (method, path) in [
            ("GET", "/v1/sign-in/oidc"),
            ("GET", "/v1/sign-in/oidc/callback?code=1&state=2"),
            ("POST", "/v1/sign-in/oidc/code"),
        ] {
            let body = (method == "POST").then(|| json!({ "code": "123456" }));
            let got = served.ask(method, path, &Sent { body, ..Sent::default() });
            assert_eq!((got.status, got.code().as_str()), (404, "oidc_off"), "{path}");
        }
    });
}

#[test]
fn links_are_made_and_ended_by_administrators_and_proved() {
    on_both(|test| {
        let idp = Idp::new();
        let served = Served::with_provider(test, made(&idp.issuer, relied_on));
        let (ann, _) = served.person("ann", &[("treasurer", "all")]);
        let (own, admin) = served.person("root", &[("administrator", "all")]);
        let at = |person: &str| format!("/v1/people/{person}/identities");
        let subject = |subject: &str| json!({ "issuer": idp.issuer, "subject": subject });
        let made = served.post(&at(&ann), &admin, "1", subject("a"));
        assert_eq!((made.status, &made.json()["id"]), (201, &Value::Null), "ann has a role: it waits: {made:?}");
        assert_eq!(served.post(&at(&ann), &admin, "1", subject("a")).json(), made.json(), "once under a key");
        assert_eq!(Browser::default().signs_in(&served, &idp, "a", Signed::Rs256, with_mfa).code(), "unknown_identity");
        served.approved(made);
        let id = served.get(&at(&ann), &admin).json()["items"][0]["id"].as_str().expect("an id").to_owned();
        assert_eq!(served.post(&at(&ann), &admin, "2", subject("b")).code(), "already_linked", "one each");
        assert_eq!(served.post(&at(&own), &admin, "3", subject("r")).code(), "own_rights");
        let (ben, _) = served.person("ben", &[]);
        assert_eq!(served.post(&at(&ben), &admin, "4", subject("a")).code(), "already_linked", "nobody is two people");
        assert_eq!(served.post(&at(&ben), &admin, "5", subject(" ")).code(), "bad_subject");
        let listed = served.get(&at(&ann), &admin).json();
        assert_eq!(listed["items"][0]["subject"], "a");
        assert_eq!(Browser::default().signs_in(&served, &idp, "a", Signed::Rs256, with_mfa).status, 200);
        assert_clean(&served.db);
        // Whoever writes a link into the database, or makes one another's, is found.
        sql(&test.url, "UPDATE identities SET subject = 'evil'").expect("changed");
        let found = access::check::check(&served.db).expect("checked");
        assert!(found.iter().any(|(invariant, what)| *invariant == "I10" && what.contains(&id)), "{found:?}");
        sql(&test.url, "UPDATE identities SET subject = 'a'").expect("changed");
        let ended = served.ask(
            "DELETE",
            &format!("{}/{id}", at(&ann)),
            &Sent { token: Some(&admin), body: Some(json!({})), ..Sent::default() },
        );
        assert_eq!((ended.status, ended.json()), (200, json!({ "changed": true })));
        assert_eq!(Browser::default().signs_in(&served, &idp, "a", Signed::Rs256, with_mfa).code(), "unknown_identity");
        link(&served, &idp, &ann, "a");
        let (person, secret) = (ann.clone(), access::invitation().expect("a secret"));
        served
            .db
            .write("person.reset", &alice(), move |tx| access::reset(tx, &person, &secret.digest()))
            .expect("reset");
        assert_eq!(Browser::default().signs_in(&served, &idp, "a", Signed::Rs256, with_mfa).code(), "unknown_identity");
        assert_clean(&served.db);
    });
}

#[test]
fn the_doctor_says_whether_the_provider_can_be_read() {
    on_both(|test| {
        let (idp, folder) = (Idp::new(), tempfile::tempdir().expect("a folder"));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let look = |change: fn(&mut Oidc)| {
            let mut config = config::load(None).expect("the defaults");
            config.oidc = configured(&idp.issuer, folder.path());
            change(&mut config.oidc);
            let found = doctor::examine(Ok(config), &test.url, &clock);
            found.into_iter().find(|f| f.about == "sign-in").map(|f| (f.state, f.found))
        };
        assert_eq!(look(|_| {}), Some((State::Well, "Staff answers, with its keys".to_owned())));
        assert_eq!(look(|c| c.issuer.clear()), None);
        let (state, said) = look(|c| c.issuer = c.issuer.replace("staff", "elsewhere")).expect("a finding");
        assert!(state == State::Wrong && said.contains("answers 404"), "{said}");
        let (state, said) = look(|c| c.client_id.clear()).expect("a finding");
        assert!(state == State::Wrong && said.contains("client_id"), "{said}");
    });
}
