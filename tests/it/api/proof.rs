//! The proof over HTTP: started, followed to its end, kept; wrong books are named; one that was left in the middle says so.

use super::child::within;
use super::{Sent, Served, on_both};
use crate::given::{alice, sql};
use serde_json::{Value, json};
use std::sync::Arc;
use tributary::db::Db;
use tributary::db::jobs::{self, Owner};
use tributary::doctor;
use tributary::time::Clock;

fn start(served: &Served, token: &str) -> Value {
    let got = served.ask("POST", "/v1/check", &Sent { token: Some(token), ..Sent::default() });
    assert_eq!((got.status, got.header("location")), (202, Some("/v1/check")), "{got:?}");
    got.json()
}

fn to_the_end(served: &Served, token: &str) -> Value {
    let mut proof = Value::Null;
    within(60, "it ends", || {
        proof = served.get("/v1/check", token).json();
        proof["state"] != "running"
    });
    proof
}

#[test]
fn a_proof_is_started_followed_and_kept_and_names_what_is_wrong() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, token) = served.person("ann", &[("auditor", "all")]);
        assert_eq!(served.get("/v1/check", &token).json()["state"], "never");
        let begun = start(&served, &token);
        assert!(["running", "done"].contains(&begun["state"].as_str().expect("a state")), "{begun}");
        let proof = to_the_end(&served, &token);
        assert_eq!((&proof["state"], &proof["ok"], &proof["violations"]), (&json!("done"), &json!(true), &json!([])));
        assert!(proof["entries"].as_i64() > Some(0) && proof["entries"] == proof["entries_of"], "{proof}");
        assert_eq!(served.get("/v1/check", &token).json(), proof, "it is kept");
        let id = proof["job"].as_str().expect("a job");
        let job = served.get(&format!("/v1/jobs/{id}"), &token).json();
        assert_eq!((&job["kind"], &job["state"]), (&json!("check"), &json!("done")), "{job}");
        assert_eq!(job["progress"].get("violations"), None, "what is wrong is for who may prove it");
        // Somebody has written to the database by hand.
        sql(&test.url, "UPDATE balances SET debits = debits + 1").expect("written");
        start(&served, &token);
        let proof = to_the_end(&served, &token);
        assert_eq!((&proof["state"], &proof["ok"]), (&json!("done"), &json!(false)), "{proof}");
        assert_eq!(proof["violations"][0]["invariant"], "I3", "{proof}");
        // It is for those who see everything and may prove it.
        let (_, other) = served.person("ben", &[("treasurer", "all")]);
        let (_, corner) = served.person("cleo", &[("auditor", "product:tiktok")]);
        for token in [&other, &corner] {
            let sent = Sent { token: Some(token), ..Sent::default() };
            assert_eq!(served.ask("POST", "/v1/check", &sent).code(), "forbidden");
            assert_eq!(served.get("/v1/check", token).code(), "forbidden");
        }
    });
}

/// A proof whose server has ended in the middle of it.
fn left(db: &Db) {
    let owner = Owner::new("of a server that has ended");
    let leave = move |tx: &mut tributary::db::Tx<'_>| {
        jobs::add(
            tx,
            "check",
            "treasury",
            "{\"entries\":3,\"entries_of\":9,\"violations_found\":0,\"violations\":[]}",
        )?;
        jobs::lease(tx, "check", "treasury", &owner).map(drop)
    };
    db.write("test", &alice(), leave).expect("left");
}

#[test]
fn a_proof_that_was_left_in_the_middle_says_so_and_what_to_do_and_is_begun_anew() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, token) = served.person("ann", &[("auditor", "all")]);
        left(&served.db);
        let proof = served.get("/v1/check", &token).json();
        assert_eq!((&proof["state"], &proof["entries"]), (&json!("running"), &json!(3)), "{proof}");
        assert_eq!(start(&served, &token)["entries"], 3, "whoever starts it finds the one that runs");
        served.clock.set(served.clock.now() + chrono::TimeDelta::minutes(11));
        let proof = served.get("/v1/check", &token).json();
        assert_eq!(proof["state"], "interrupted", "{proof}");
        let why = proof["problem"].as_str().expect("why");
        assert!(why.contains("has ended; start it again"), "{why}");
        let clock: Arc<dyn Clock> = served.clock.clone();
        let found = doctor::examine(tributary::config::load(None), &test.url, &clock);
        let of_work = found.iter().find(|f| f.about == "work").expect("work");
        assert!(of_work.mend.as_deref().is_some_and(|m| m.contains("POST /v1/check")), "{of_work:?}");
        start(&served, &token);
        let proof = to_the_end(&served, &token);
        assert_eq!((&proof["state"], &proof["ok"], &proof["problem"]), (&json!("done"), &json!(true), &Value::Null));
        assert!(proof["entries"].as_i64() != Some(3), "{proof}");
    });
}
