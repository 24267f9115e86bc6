//! Requests that change something: each takes effect once, a dry run takes none, and all of it is recorded.

use super::{Sent, Served, on_both, receipt};
use crate::given::{assert_clean, number};
use std::collections::BTreeSet;

#[test]
fn sixty_four_equal_requests_at_once_have_one_effect_and_equal_answers() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, token) = served.person("ann", &[("treasurer", "all")]);
        let body = receipt("a1", "m00/tiktok/de/operating", "10.00");
        let answers: Vec<(u16, String)> = std::thread::scope(|scope| {
            let ask = || served.post("/v1/expectations", &token, "one", body.clone()).said();
            let asked: Vec<_> = (0..64).map(|_| scope.spawn(ask)).collect();
            asked.into_iter().map(|a| a.join().expect("answered")).collect()
        });
        assert_eq!(answers.iter().collect::<BTreeSet<_>>().len(), 1, "{answers:?}");
        assert!(answers[0].0 == 200 && answers[0].1.contains("pr_"), "{answers:?}");
        assert_eq!(number(&test.url, "SELECT count(*) AS value FROM proposals"), 1);
        assert_eq!(number(&test.url, "SELECT count(*) AS value FROM idempotency_keys"), 1);
        // The key's answer is the one of then, whatever came of the proposal.
        let again = || served.post("/v1/expectations", &token, "one", body.clone());
        served.approved(again());
        assert_eq!(again().said(), answers[0]);
        assert_eq!(number(&test.url, "SELECT count(*) AS value FROM expectations"), 1);
        assert_clean(&served.db);
    });
}

#[test]
fn a_reused_key_with_another_body_is_a_conflict_and_keys_are_each_principals_own() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let (_, ben) = served.person("ben", &[("treasurer", "all")]);
        let announce = |token: &str, key: &str| {
            served.post("/v1/expectations", token, "one", receipt(key, "m00/tiktok/de/operating", "10.00"))
        };
        assert_eq!(announce(&ann, "a1").status, 200);
        let other = announce(&ann, "a2");
        assert_eq!((other.status, other.code().as_str()), (409, "conflict"));
        assert!(other.json()["detail"].as_str().is_some_and(|d| d.contains("expectations.announce")), "{other:?}");
        assert_eq!(announce(&ben, "a2").status, 200, "ben's key is another one");
        let again = announce(&ann, "a1");
        assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
        // For ever: also when years have gone by.
        served.clock.set(served.db.clock().now() + chrono::TimeDelta::days(400));
        let ann = served.sign_in("ann");
        assert_eq!(announce(&ann, "a1").header("idempotency-replayed"), Some("true"));
    });
}

#[test]
fn a_refusal_is_kept_under_its_key_and_recorded_once() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, token) = served.person("ann", &[("treasurer", "all")]);
        let wrong = || served.post("/v1/expectations", &token, "one", receipt("a1", "m00/nothing", "10.00"));
        let refusals = || number(&test.url, "SELECT count(*) AS value FROM events WHERE kind = 'command.refused'");
        let before = refusals();
        let first = wrong();
        assert_eq!((first.status, first.code().as_str()), (422, "expectation_problems"));
        assert_eq!(wrong().said(), first.said());
        assert_eq!(refusals(), before + 1);
        assert_clean(&served.db);
    });
}

#[test]
fn a_dry_run_gives_the_answer_and_writes_nothing() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, token) = served.person("ann", &[("treasurer", "all")]);
        let seals = || number(&test.url, "SELECT count(*) AS value FROM seals");
        let before = seals();
        let body = receipt("a1", "m00/tiktok/de/operating", "10.00");
        let sent = Sent { token: Some(&token), body: Some(body), ..Sent::default() };
        let dry = served.ask("POST", "/v1/expectations?dry_run=true", &sent);
        assert!(dry.status == 200 && dry.json()["proposal"].is_string(), "it would wait: {dry:?}");
        assert_eq!((seals(), number(&test.url, "SELECT count(*) AS value FROM proposals")), (before, 0));
        assert_eq!(served.ask("POST", "/v1/expectations?dry_run=perhaps", &sent).code(), "bad_query");
        assert_eq!(served.get("/v1/expectations", &token).json()["items"].as_array().map(Vec::len), Some(0));
        assert_clean(&served.db);
    });
}

#[test]
fn a_list_is_walked_by_signed_cursors_that_carry_its_filters() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let (_, ben) = served.person("ben", &[("treasurer", "all")]);
        for n in 0..7 {
            let body = receipt(&format!("a{n}"), "m00/tiktok/de/operating", "10.00");
            served.approved(served.post("/v1/expectations", &ann, &format!("k{n}"), body));
        }
        let mut keys = Vec::new();
        let mut path = "/v1/expectations?limit=3&state=open".to_owned();
        let mut first = None;
        loop {
            let page = served.get(&path, &ann).json();
            keys.extend(
                page["items"].as_array().expect("items").iter().map(|i| i["key"].as_str().expect("a key").to_owned()),
            );
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            first.get_or_insert_with(|| cursor.to_owned());
            path = format!("/v1/expectations?cursor={cursor}");
        }
        assert_eq!(keys, (0..7).map(|n| format!("a{n}")).collect::<Vec<_>>());
        let cursor = first.expect("more than one page");
        let code = |path: &str, token: &str| served.get(path, token).code();
        assert_eq!(code(&format!("/v1/expectations?cursor={cursor}x"), &ann), "bad_cursor");
        assert_eq!(code(&format!("/v1/expectations?cursor=x{cursor}"), &ann), "bad_cursor");
        assert_eq!(code(&format!("/v1/expectations?cursor={cursor}"), &ben), "bad_cursor");
        assert_eq!(code(&format!("/v1/expectations?cursor={cursor}&state=met"), &ann), "bad_cursor");
        assert_eq!(served.get(&format!("/v1/expectations?cursor={cursor}&state=open"), &ann).status, 200);
    });
}
