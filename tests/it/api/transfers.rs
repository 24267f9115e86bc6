//! Transfers over HTTP: money moves between leaves of one master, many requests in one commit, each answered by itself.

use super::{Got, Sent, Served, on_both};
use crate::databases::TestDb;
use crate::given::{alice, assert_clean, number};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tributary::access::{self, Holder};
use tributary::ledger;

const POOL: &str = "m00/house/pool";
const TIKTOK: &str = "m00/tiktok/de/operating";
const DOUYIN: &str = "m00/douyin/de/operating";

fn body(from: &str, to: &str, amount: &str) -> Value {
    json!({ "from": from, "to": to, "amount": { "amount": amount, "currency": "EUR" } })
}

/// A server, and the key of a machine that moves money there; asked once before, so that it is known.
fn served(test: &TestDb, scope: &str) -> (Served, String, String) {
    let served = Served::on(test);
    let (owner, _) = served.person("owner", &[]);
    let (id, key) = served.key(&owner, &[("ledger-client", scope)]);
    assert_eq!(served.get("/v1/me", &key).status, 200);
    (served, id, key)
}

fn available(served: &Served, leaf: &str) -> i64 {
    served.db.read(|conn| ledger::account(conn, leaf)).expect("an account").natural()
}

fn at_once(requests: usize, ask: impl Fn(usize) -> Got + Sync) -> Vec<Got> {
    std::thread::scope(|scope| {
        let ask = &ask;
        let asked: Vec<_> = (0..requests).map(|n| scope.spawn(move || ask(n))).collect();
        asked.into_iter().map(|a| a.join().expect("answered")).collect()
    })
}

#[test]
fn a_transfer_moves_money_between_leaves_and_is_an_entry_of_its_asker() {
    on_both(|test| {
        let (served, id, key) = served(test, "master:m00");
        let mut asked = body(POOL, TIKTOK, "12.34");
        asked["reference"] = json!("order 7");
        asked["description"] = json!("Advance for July");
        let made = served.post("/v1/transfers", &key, "t1", asked);
        assert_eq!(made.status, 200, "{made:?}");
        assert_eq!(made.json()["amount"], json!({ "amount": "12.34", "currency": "EUR" }));
        assert_eq!((available(&served, POOL), available(&served, TIKTOK)), (98_766, 1_234));
        let entry = made.json()["entry"].as_i64().expect("a number");
        let entry = served.db.read(|conn| ledger::entry(conn, entry)).expect("an entry");
        assert_eq!((entry.kind.as_str(), entry.basis.as_str()), ("transfer", "decision"));
        assert_eq!((entry.actor, entry.description.as_str()), (format!("key:{id}"), "Advance for July"));
        assert_eq!(entry.metadata.as_deref(), Some(r#"{"reference":"order 7"}"#));
        let told = "SELECT count(*) AS value FROM events WHERE kind = 'ledger.posted' AND actor LIKE 'key:%'";
        assert_eq!(number(&test.url, told), 1);
        assert_clean(&served.db);
    });
}

#[test]
fn sixty_four_equal_transfers_at_once_have_one_effect_and_equal_answers() {
    on_both(|test| {
        let (served, _, key) = served(test, "all");
        let answers = at_once(64, |_| served.post("/v1/transfers", &key, "one", body(POOL, TIKTOK, "10.00")));
        let said: BTreeSet<(u16, String)> = answers.iter().map(Got::said).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(answers[0].status, 200, "{answers:?}");
        assert_eq!(answers.iter().filter(|a| a.header("idempotency-replayed").is_none()).count(), 1);
        assert_eq!(available(&served, TIKTOK), 1_000);
        assert_eq!(number(&test.url, "SELECT count(*) AS value FROM idempotency_keys"), 1);
        // By the ordinary way too: what is kept is the same.
        let sent =
            Sent { token: Some(&key), key: Some("one"), body: Some(body(POOL, TIKTOK, "10.00")), headers: vec![] };
        assert_eq!(served.ask("POST", "/v1/transfers", &sent).said(), answers[0].said());
        assert_clean(&served.db);
    });
}

#[test]
fn sixty_four_transfers_at_once_each_take_effect_and_none_goes_below_the_floor() {
    on_both(|test| {
        let (served, _, key) = served(test, "all");
        let answers =
            at_once(64, |n| served.post("/v1/transfers", &key, &format!("t{n}"), body(POOL, TIKTOK, "30.00")));
        let made = answers.iter().filter(|a| a.status == 200).count();
        let entries: BTreeSet<i64> = answers.iter().filter_map(|a| a.json()["entry"].as_i64()).collect();
        assert_eq!((made, entries.len()), (33, 33), "1,000.00 are 33 times 30.00");
        assert_eq!((available(&served, POOL), available(&served, TIKTOK)), (1_000, 99_000));
        for no in answers.iter().filter(|a| a.status != 200) {
            assert_eq!((no.status, no.code().as_str()), (422, "insufficient_funds"), "{no:?}");
            assert!(no.header("x-request-id").is_some());
        }
        let refused = "SELECT count(*) AS value FROM events WHERE kind = 'command.refused' AND actor LIKE 'key:%'";
        assert_eq!(number(&test.url, refused), 31, "each refusal is recorded, in the name of who asked");
        assert_eq!(number(&test.url, "SELECT count(*) AS value FROM idempotency_keys"), 64, "refusals are kept too");
        assert_clean(&served.db);
    });
}

#[test]
fn a_reused_key_with_another_transfer_is_a_conflict_also_at_once() {
    on_both(|test| {
        let (served, _, key) = served(test, "all");
        let ask = |n: usize| served.post("/v1/transfers", &key, "one", body(POOL, TIKTOK, ["1.00", "2.00"][n % 2]));
        let answers = at_once(32, ask);
        let made: BTreeSet<String> = answers.iter().filter(|a| a.status == 200).map(|a| a.said().1).collect();
        assert_eq!(made.len(), 1, "{answers:?}");
        let conflicts: Vec<&Got> = answers.iter().filter(|a| a.status != 200).collect();
        assert!(conflicts.len() == 16 && conflicts.iter().all(|c| (c.status, c.code().as_str()) == (409, "conflict")));
        let there = available(&served, TIKTOK);
        assert!(there == 100 || there == 200, "{there}");
        let other =
            served.post("/v1/transfers/batch", &key, "one", json!({ "transfers": [body(POOL, TIKTOK, "1.00")] }));
        assert_eq!(other.status, 409, "another operation is another request");
        assert_clean(&served.db);
    });
}

#[test]
fn a_revoked_key_and_a_revoked_role_count_from_the_next_transfer() {
    on_both(|test| {
        let (served, id, key) = served(test, "all");
        let ask = |key: &str, n: &str| served.post("/v1/transfers", key, n, body(POOL, TIKTOK, "1.00")).said();
        assert_eq!(ask(&key, "t1").0, 200);
        let (owner, _) = served.person("other", &[]);
        let (second, other) = served.key(&owner, &[("ledger-client", "all")]);
        assert_eq!((ask(&other, "t1").0, ask(&other, "t2").0), (200, 200));
        let revoke =
            move |tx: &mut tributary::db::Tx<'_>| access::revoke(tx, Holder::Key(&second), "ledger-client", None);
        served.db.write("role.revoke", &alice(), revoke).expect("revoked");
        assert_eq!(ask(&other, "t3").0, 403);
        assert_eq!(ask(&other, "t1").0, 403, "what was answered before is not theirs to read again");
        served.db.write("key.revoke", &alice(), move |tx| access::revoke_key(tx, &id)).expect("revoked");
        assert_eq!((ask(&key, "t2").0, ask(&key, "t1").0, ask("trs_live_none", "t1").0), (401, 401, 401));
        assert_eq!(available(&served, TIKTOK), 300);
        assert_clean(&served.db);
    });
}

#[test]
fn a_foreign_leaf_is_answered_like_one_that_is_not_there() {
    on_both(|test| {
        let (served, _, key) = served(test, "product:tiktok");
        let ask = |to: &str, n: &str| {
            let (status, text) = served.post("/v1/transfers", &key, n, body(TIKTOK, to, "1.00")).said();
            (status, text.replace(to, "IT"))
        };
        assert_eq!(ask(DOUYIN, "f"), ask("m00/none", "a"));
        assert_eq!(ask(DOUYIN, "f2").0, 404);
        // As the giver, and among many.
        let batch = |from: &str, n: &str| {
            let got = served.post("/v1/transfers/batch", &key, n, json!({ "transfers": [body(from, TIKTOK, "1.00")] }));
            got.said().1.replace(from, "IT")
        };
        assert_eq!(batch(POOL, "f3"), batch("m00/none", "a3"));
        assert_eq!(ask("m00/\0", "n").0, 404, "no code has a NUL, and PostgreSQL takes no text with one");
        assert!(batch(POOL, "f4").contains("not_found"));
        assert_clean(&served.db);
    });
}

#[test]
fn what_cannot_be_moved_is_refused_with_its_reason() {
    on_both(|test| {
        let (served, _, key) = served(test, "all");
        let code = |n: &str, asked: Value| {
            let got = served.post("/v1/transfers", &key, n, asked);
            (got.status, got.code())
        };
        let no = |code: &str| (422, code.to_owned());
        assert_eq!(code("1", body("m00", TIKTOK, "1.00")), no("transfer_not_a_leaf"));
        assert_eq!(code("2", body(TIKTOK, "m00/suspense", "1.00")), no("transfer_not_a_leaf"));
        assert_eq!(code("3", body(POOL, POOL, "1.00")), no("transfer_to_itself"));
        assert_eq!(code("4", body(POOL, "m01/tiktok/de/operating", "1.00")), no("transfer_between_masters"));
        assert_eq!(code("5", body(POOL, TIKTOK, "0.00")), no("transfer_not_positive"));
        assert_eq!(code("6", body(POOL, TIKTOK, "-1.00")), no("transfer_not_positive"));
        let usd = json!({ "from": POOL, "to": TIKTOK, "amount": { "amount": "1.00", "currency": "USD" } });
        assert_eq!(code("7", usd), no("transfer_currency"));
        let mut text = body(POOL, TIKTOK, "1.00");
        text["reference"] = json!("two\nlines");
        assert_eq!(code("8", text), no("transfer_text"));
        assert_eq!(code("9", body(POOL, TIKTOK, "1.005")), (400, "bad_body".to_owned()));
        assert_eq!(code("10", json!({ "from": POOL })), (400, "bad_body".to_owned()));
        assert_eq!(code("11", body(POOL, TIKTOK, "92233720368547758.07")), no("insufficient_funds"));
        served.db.write("t", &alice(), |tx| ledger::set_state(tx, TIKTOK, "frozen", "a test")).expect("frozen");
        assert_eq!(code("12", body(POOL, TIKTOK, "1.00")), no("account_frozen"));
        assert_eq!(available(&served, POOL), 100_000);
        assert_clean(&served.db);
    });
}

#[test]
fn a_batch_is_answered_item_by_item_and_a_refused_one_stops_no_other() {
    on_both(|test| {
        let (served, _, key) = served(test, "all");
        let wrong = json!({ "from": POOL, "to": TIKTOK, "amount": { "amount": "1.005", "currency": "EUR" } });
        let all = json!({ "transfers": [
            body(POOL, TIKTOK, "600.00"), body(POOL, DOUYIN, "600.00"), wrong, body(TIKTOK, DOUYIN, "100.00")
        ] });
        let sent = Sent { token: Some(&key), body: Some(all.clone()), ..Sent::default() };
        let dry = served.ask("POST", "/v1/transfers/batch?dry_run=true", &sent);
        assert_eq!(available(&served, POOL), 100_000, "a dry run moves nothing");
        let got = served.post("/v1/transfers/batch", &key, "b1", all.clone());
        assert_eq!((got.status, got.said()), (200, dry.said()));
        let answered = got.json();
        let items = answered["transfers"].as_array().expect("items").iter();
        let codes: Vec<Option<&str>> = items.map(|i| i["code"].as_str()).collect();
        assert_eq!(codes, [None, Some("insufficient_funds"), Some("bad_body"), None], "{answered}");
        assert_eq!((available(&served, TIKTOK), available(&served, DOUYIN)), (50_000, 10_000));
        assert_eq!(served.post("/v1/transfers/batch", &key, "b1", all).said(), got.said());
        assert_eq!(served.post("/v1/transfers/batch", &key, "b2", json!({ "transfers": [] })).code(), "bad_body");
        let many: Vec<Value> = (0..1_001).map(|_| body(POOL, TIKTOK, "0.01")).collect();
        assert_eq!(served.post("/v1/transfers/batch", &key, "b3", json!({ "transfers": many })).code(), "bad_body");
        assert_eq!(available(&served, POOL), 40_000);
        assert_clean(&served.db);
    });
}

#[test]
fn a_person_moves_money_of_one_owner_and_between_owners_only_a_key_does() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let ask = |n: &str, from: &str, to: &str| served.post("/v1/transfers", &ann, n, body(from, to, "1.00"));
        let no = ask("1", POOL, TIKTOK);
        assert_eq!((no.status, no.code().as_str()), (422, "transfer_between_owners"), "{no:?}");
        assert_eq!(ask("2", POOL, "m00/house/fees").status, 200, "the treasury's own leaves");
        assert_eq!(ask("3", TIKTOK, DOUYIN).code(), "transfer_between_owners");
        let (_, viewer) = served.person("vic", &[("product-client", "all")]);
        let no = served.post("/v1/transfers", &viewer, "1", body(POOL, "m00/house/fees", "1.00"));
        assert_eq!((no.status, no.code().as_str()), (403, "forbidden"));
        assert_clean(&served.db);
    });
}

#[test]
fn transfers_of_several_keys_at_once_are_each_in_their_own_name() {
    on_both(|test| {
        let served = Served::on(test);
        let keys: Vec<(String, String)> = (0..4)
            .map(|n| {
                let (owner, _) = served.person(&format!("owner{n}"), &[]);
                let key = served.key(&owner, &[("ledger-client", "all")]);
                assert_eq!(served.get("/v1/me", &key.1).status, 200);
                key
            })
            .collect();
        // The same text of a key is each principal's own.
        let answers = at_once(64, |n| {
            served.post("/v1/transfers", &keys[n % 4].1, &format!("t{}", n / 4), body(POOL, TIKTOK, "1.00"))
        });
        assert!(answers.iter().all(|a| a.status == 200), "{answers:?}");
        assert_eq!(available(&served, TIKTOK), 6_400);
        for (id, _) in &keys {
            let own = format!("SELECT count(*) AS value FROM entries WHERE actor = 'key:{id}'");
            assert_eq!(number(&test.url, &own), 16);
            let told =
                format!("SELECT count(*) AS value FROM events WHERE kind = 'ledger.posted' AND actor = 'key:{id}'");
            assert!((1..=16).contains(&number(&test.url, &told)));
        }
        assert_clean(&served.db);
    });
}

#[test]
fn that_a_key_was_used_is_kept_without_a_commit_of_its_own() {
    on_both(|test| {
        let (served, id, key) = served(test, "all");
        served.clock.set(served.db.clock().now() + chrono::TimeDelta::minutes(5));
        let seals = || number(&test.url, "SELECT count(*) AS value FROM seals");
        let before = seals();
        assert_eq!(served.post("/v1/transfers", &key, "t1", body(POOL, TIKTOK, "1.00")).status, 200);
        assert_eq!(seals(), before + 1);
        let now = served.db.clock().now();
        let used = served.db.read(|conn| access::keys(conn, now)).expect("keys");
        assert_eq!(used.iter().find(|k| k.id == id).and_then(|k| k.last_used_at), Some(now));
    });
}
