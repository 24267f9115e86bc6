//! What was known at an instant, before the bank corrected itself: positions and statements of accounts, over HTTP and by the command line.

use super::open::send;
use super::{Served, on_both};
use crate::given::{assert_clean, camt, day, line, statement};
use serde_json::{Value, json};
use std::process::Command;

/// What tiktok has in the first master.
fn tiktok(report: &Value) -> String {
    let all = report["positions"].as_array().unwrap_or_else(|| panic!("{report}"));
    let own = all.iter().find(|p| p["sub_account"] == "m00/tiktok/de/operating").expect("its leaf");
    let booked = &own["booked"];
    booked["amount"].as_str().or(booked.as_str()).expect("an amount").to_owned()
}

#[test]
fn a_correction_of_a_day_that_is_over_changes_that_day_and_not_what_was_known_of_it() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let take = |token: &str, message: &str, cents: i64| {
            let file = camt(message, &[statement(0, "S1", 1, (2, 2), &[line(day(2), cents, "tiktok 1")])]);
            send(&served, "/v1/statement-files?name=x", token, None, &file).json()["statements"][0].clone()
        };
        assert_eq!(take(&ann, "M1", 25_000)["state"], "posted");
        served.clock.set("2026-03-05T09:00:00Z".parse().expect("an instant"));
        let ann = served.sign_in("ann");
        let restated = take(&ann, "M2", 25_500);
        assert_eq!(restated["state"], "restated", "{restated}");
        let path = format!("/v1/statements/{}/accept", restated["id"].as_str().expect("an id"));
        let accepted = served.post(&path, &ann, "a", json!({ "reason": "the bank has corrected it" }));
        assert_eq!(accepted.status, 200, "{accepted:?}");

        let at = |query: &str| tiktok(&served.get(&format!("/v1/positions{query}"), &ann).json());
        assert_eq!(at(""), "255.00");
        assert_eq!(at("?as_of=2026-03-02"), "255.00");
        assert_eq!(at("?known_at=2026-03-04T00:00:00Z"), "250.00");
        assert_eq!(at("?as_of=2026-03-02&known_at=2026-03-04T00:00:00Z"), "250.00");
        assert_eq!(at("?as_of=2026-03-02&known_at=2026-03-05T23:00:00Z"), "255.00");
        assert_eq!(at("?as_of=2026-03-01&known_at=2026-03-05T23:00:00Z"), "0.00");
        assert_eq!(at("?known_at=2026-03-01T00:00:00Z"), "0.00");
        let then = served.get("/v1/positions?known_at=2026-03-04T00:00:00Z", &ann).json();
        let master = &then["masters"][0];
        assert_eq!((&master["book"]["amount"], &master["bank_closing"]), (&json!("1250.00"), &Value::Null), "{then}");
        assert_eq!(
            (&then["known_at"], &then["positions"][0]["expected"]),
            (&json!("2026-03-04T00:00:00.000000Z"), &Value::Null)
        );

        let of_march = |more: &str| {
            let path =
                format!("/v1/accounts/m00%2Ftiktok%2Fde%2Foperating/statement?from=2026-03-01&to=2026-03-31{more}");
            let shown = served.get(&path, &ann).json();
            let postings = shown["postings"]["items"].as_array().map(Vec::len);
            (shown["closing"]["amount"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned(), postings)
        };
        assert_eq!(of_march(""), ("255.00".to_owned(), Some(3)));
        assert_eq!(of_march("&known_at=2026-03-04T00:00:00Z"), ("250.00".to_owned(), Some(1)));

        let cli = |more: &[&str]| {
            let url = test.url.to_string();
            let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
            let done = command.args(["--database", &url, "--json", "positions"]).args(more).output().expect("it runs");
            tiktok(&serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {done:?}")))
        };
        assert_eq!(cli(&["--as-of", "2026-03-02"]), "255.00");
        assert_eq!(cli(&["--as-of", "2026-03-02", "--known-at", "2026-03-04T00:00:00Z"]), "250.00");
        assert_clean(&served.db);
    });
}
