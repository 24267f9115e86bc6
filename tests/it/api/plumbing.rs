//! What holds for every request, whatever it asks for.

use super::{PASSWORD, Sent, Served, TOTP, on_both, receipt};
use crate::given::alice;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use tributary::access::{self, Holder, totp};

#[test]
fn a_person_signs_in_is_known_and_signs_out() {
    on_both(|test| {
        let served = Served::on(test);
        served.person("ann", &[("treasurer", "all")]);
        served.clock.set(served.db.clock().now() + chrono::TimeDelta::minutes(1));
        let code = totp::code_at(&TOTP, served.db.clock().now());
        let wrong = json!({ "login": "ann", "password": "not the heron at all", "code": code });
        let got = served.ask("POST", "/v1/sign-in", &Sent { body: Some(wrong), ..Sent::default() });
        assert_eq!((got.status, got.code().as_str()), (401, "sign_in_refused"));
        let right = json!({ "login": "ann", "password": PASSWORD, "code": code });
        let got = served.ask("POST", "/v1/sign-in", &Sent { body: Some(right), ..Sent::default() });
        let token = got.json()["token"].as_str().expect("a token").to_owned();
        let cookie = got.header("set-cookie").expect("a cookie");
        for part in ["__Host-tributary=", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let me = served.get("/v1/me", &token).json();
        assert_eq!(me["name"], "Name of ann");
        assert!(me["permissions"].as_array().expect("a list").iter().any(|p| p["permission"] == "lines.route"));
        let out = served.ask("POST", "/v1/sign-out", &Sent { token: Some(&token), ..Sent::default() });
        assert_eq!(out.json(), json!({ "ended": true }));
        assert_eq!(served.get("/v1/me", &token).code(), "not_signed_in");
    });
}

#[test]
fn a_cookie_reads_and_changes_nothing_from_another_site() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, token) = served.person("ann", &[("treasurer", "all")]);
        let cookie = format!("__Host-tributary={token}");
        let ask = |method, path, more: &[(&'static str, &'static str)]| {
            let mut headers = vec![("cookie", cookie.as_str())];
            headers.extend(more);
            served.ask(method, path, &Sent { headers, ..Sent::default() }).status
        };
        assert_eq!(ask("GET", "/v1/me", &[("sec-fetch-site", "cross-site")]), 200);
        assert_eq!(ask("POST", "/v1/sign-out", &[("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(ask("POST", "/v1/sign-out", &[]), 403);
        assert_eq!(ask("POST", "/v1/sign-out", &[("sec-fetch-site", "same-origin")]), 200);
    });
}

#[test]
fn a_revoked_key_and_a_revoked_role_count_from_the_next_request() {
    on_both(|test| {
        let served = Served::on(test);
        let (ann, token) = served.person("ann", &[("treasurer", "all")]);
        let (id, key) = served.key(&ann, &[("product-viewer", "product:tiktok")]);
        assert_eq!(served.get("/v1/positions", &key).status, 200);
        served.db.write("key.revoke", &alice(), move |tx| access::revoke_key(tx, &id)).expect("revoked");
        assert_eq!(served.get("/v1/positions", &key).code(), "not_signed_in");
        assert_eq!(served.get("/v1/positions", &token).status, 200);
        let revoke = move |tx: &mut tributary::db::Tx<'_>| access::revoke(tx, Holder::Person(&ann), "treasurer", None);
        served.db.write("role.revoke", &alice(), revoke).expect("revoked");
        assert_eq!(served.get("/v1/positions", &token).code(), "forbidden");
    });
}

#[test]
fn what_cannot_be_is_refused_with_a_problem_that_says_how_to_mend_it() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, token) = served.person("ann", &[("treasurer", "all")]);
        let code = |method: &str, path: &str, sent: &Sent<'_>| {
            let got = served.ask(method, path, sent);
            (got.status, got.code())
        };
        let is = |status: u16, code: &str| (status, code.to_owned());
        let nobody = Sent::default();
        let ann = Sent { token: Some(&token), ..Sent::default() };
        assert_eq!(code("GET", "/v1/positions", &nobody), is(401, "no_credentials"));
        assert_eq!(
            code("GET", "/v1/positions", &Sent { token: Some("trt_0"), ..Sent::default() }),
            is(401, "not_signed_in")
        );
        assert_eq!(code("GET", "/v1/nothing", &ann), is(404, "no_such_path"));
        assert_eq!(code("GET", "/", &nobody), is(404, "no_such_path"));
        let wrong_method = served.ask("PUT", "/v1/positions", &ann);
        assert_eq!((wrong_method.status, wrong_method.code().as_str()), (405, "method_not_allowed"));
        assert_eq!(wrong_method.header("allow"), Some("OPTIONS, GET, HEAD"));
        assert_eq!(code("GET", "/v1/positions?page=2", &ann), is(400, "bad_query"));
        assert_eq!(code("GET", "/v1/positions?as_of=yesterday", &ann), is(400, "bad_query"));
        assert_eq!(code("GET", "/v1/positions?as_of=%2B262142-12-31", &ann), is(400, "bad_query"));
        assert_eq!(code("GET", "/v1/positions?as_of=2026-03-01&as_of=2026-03-02", &ann), is(400, "bad_query"));
        for limit in ["0", "-1", "1001", "1000000000"] {
            assert_eq!(code("GET", &format!("/v1/expectations?limit={limit}"), &ann), is(400, "bad_query"));
        }
        let send = |body: serde_json::Value, key: Option<&'static str>, headers: Vec<(&'static str, &'static str)>| {
            let sent = Sent { token: Some(&token), key, body: Some(body), headers };
            code("POST", "/v1/expectations", &sent)
        };
        let good = || receipt("a1", "m00/tiktok/de/operating", "10.00");
        assert_eq!(send(good(), None, Vec::new()), is(400, "idempotency_key_missing"));
        assert_eq!(send(good(), Some("ä"), Vec::new()), is(400, "bad_header"));
        assert_eq!(send(good(), Some("k1"), vec![("content-type", "text/plain")]), is(415, "unsupported_body"));
        let mut odd = good();
        odd["receipts"][0]["colour"] = "red".into();
        assert_eq!(send(odd, Some("k2"), Vec::new()), is(400, "bad_body"));
        assert_eq!(
            send(receipt("a1", "m00/tiktok/de/operating", "10.005"), Some("k3"), Vec::new()),
            is(400, "bad_body")
        );
        let long = receipt("a1", "m00/tiktok/de/operating", &"1".repeat(2 << 20));
        assert_eq!(send(long, Some("k4"), Vec::new()), is(413, "body_too_large"));
        assert_eq!(
            served.post("/v1/expectations", &token, "k1", good()).status,
            200,
            "none of these has used the key up"
        );
    });
}

#[test]
fn every_answer_protects_browsers_and_carries_the_id_of_its_request() {
    on_both(|test| {
        let served = Served::on(test);
        for path in ["/livez", "/v1/positions", "/nothing", "/docs", "/openapi.json"] {
            let got = served.ask("GET", path, &Sent { headers: vec![("x-request-id", "my-own.1")], ..Sent::default() });
            assert_eq!(got.header("x-request-id"), Some("my-own.1"));
            assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
            assert!(got.header("content-security-policy").is_some_and(|p| p.contains("frame-ancestors 'none'")));
        }
        let odd =
            served.ask("GET", "/livez", &Sent { headers: vec![("x-request-id", "a b<script>")], ..Sent::default() });
        assert!(odd.header("x-request-id").is_some_and(|id| id.starts_with("req_")));
        assert_eq!(served.ask("GET", "/readyz", &Sent::default()).json()["state"], "ready");
        let head = served.ask("HEAD", "/livez", &Sent::default());
        assert_eq!((head.status, head.text.as_str()), (200, ""));
        assert_eq!(
            served.ask("OPTIONS", "/v1/expectations", &Sent::default()).header("allow"),
            Some("OPTIONS, GET, HEAD, POST")
        );
    });
}

#[test]
fn too_many_requests_of_one_principal_wait_while_others_do_not() {
    on_both(|test| {
        let served = Served::with(test, |s| (s.requests_per_second, s.burst) = (1, 3));
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let (_, ben) = served.person("ben", &[("treasurer", "all")]);
        let statuses: Vec<u16> = (0..6).map(|_| served.get("/v1/me", &ann).status).collect();
        assert!(statuses.starts_with(&[200, 200, 200]) && statuses.contains(&429), "{statuses:?}");
        let slow = served.get("/v1/me", &ann);
        assert!(slow.status == 200 || slow.header("retry-after").is_some());
        assert_eq!(served.get("/v1/me", &ben).status, 200);
    });
}

#[test]
fn an_address_that_brings_wrong_secrets_is_slowed_down_and_who_was_let_in_goes_on_there() {
    on_both(|test| {
        let served = Served::with(test, |s| s.guesses = 3);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        assert_eq!(served.get("/v1/me", &ann).status, 200);
        let same: Vec<u16> = (0..8).map(|_| served.get("/v1/me", "tri_ran_out").status).collect();
        assert_eq!(same, [401; 8], "one wrong secret is one guess, however often it comes");
        let wrong = |n: usize| served.get("/v1/me", &format!("tri_wrong{n}")).status;
        let statuses: Vec<u16> = (0..8).map(wrong).collect();
        assert!(statuses.starts_with(&[401, 401]) && statuses.contains(&429), "{statuses:?}");
        // Who signs in waits for nobody else's guesses, and is known from then on.
        let fresh = served.sign_in("ann");
        let body = json!({ "login": "ann", "password": "a wrong password", "code": "000000" });
        let sent = Sent { body: Some(body), ..Sent::default() };
        assert_ne!(served.ask("POST", "/v1/sign-in", &sent).status, 429);
        served.clock.set(served.db.clock().now() + chrono::TimeDelta::minutes(1));
        let own =
            json!({ "login": "ann", "password": PASSWORD, "code": totp::code_at(&TOTP, served.db.clock().now()) });
        let signed = served.ask("POST", "/v1/sign-in", &Sent { body: Some(own), ..Sent::default() });
        let token = signed.json()["token"].as_str().unwrap_or_else(|| panic!("{signed:?}")).to_owned();
        let more: Vec<u16> = (0..9).map(|n| wrong(100 + n)).collect();
        assert!(more.contains(&429), "{more:?}");
        assert_eq!((wrong(200), served.get("/v1/me", &token).status), (429, 200), "let in at its first request");
        drop(fresh);
        assert_eq!(served.get("/v1/me", &ann).status, 200, "a session that was let in is none's guess");
        assert_eq!(served.ask("GET", "/livez", &Sent::default()).status, 200);
    });
}

#[test]
fn a_request_whose_body_never_ends_or_whose_head_never_comes_is_let_go() {
    on_both(|test| {
        let served = Served::with(test, |s| (s.head_seconds, s.body_seconds, s.keep_alive_seconds) = (1, 1, 1));
        let (_, token) = served.person("ann", &[("treasurer", "all")]);
        let raw = |text: &str| {
            let mut stream = TcpStream::connect(served.address()).expect("connected");
            stream.write_all(text.as_bytes()).expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("answered, and closed");
            answer
        };
        let slow = raw(&format!(
            "POST /v1/expectations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Idempotency-Key: k\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{{"
        ));
        assert!(slow.starts_with("HTTP/1.1 408") && slow.contains("body_too_slow"), "{slow}");
        assert!(raw("GET /livez HTTP/1.1\r\nHost: x\r\n").starts_with("HTTP/1.1 408"));
        let many: String = (0..10_000).map(|n| format!("X-H{n}: v\r\n")).collect();
        assert!(raw(&format!("GET /livez HTTP/1.1\r\nHost: x\r\n{many}\r\n")).starts_with("HTTP/1.1 4"));
        assert_eq!(served.ask("GET", "/livez", &Sent::default()).status, 200);
    });
}
