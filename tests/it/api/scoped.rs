//! Of what is proposed, each sees their own; and lists that are cut into pages in the database give each item once, whatever the scope.

use super::live::Following;
use super::open::{send, walked};
use super::{Served, on_both, receipt};
use crate::given::{assert_clean, camt, day, line, statement};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn field(items: &[Value], name: &str) -> Vec<String> {
    items.iter().map(|i| i[name].as_str().map_or_else(|| i[name].to_string(), ToOwned::to_owned)).collect()
}

#[test]
fn an_event_about_a_proposal_is_there_for_who_sees_every_place_where_it_acts() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let (_, tia) = served.person("tia", &[("product-client", "product:tiktok")]);
        let (_, dou) = served.person("dou", &[("product-client", "product:douyin")]);
        let (_, mas) = served.person("mas", &[("auditor", "master:m00")]);
        let (_, far) = served.person("far", &[("auditor", "master:m01")]);
        let (_, all) = served.person("all", &[("auditor", "all")]);
        let (status, mut stream) = Following::begin(&served, &dou, "?kind=proposal.", None);
        assert_eq!(status, 200);
        let propose = |key: &str, leaves: &[&str]| -> String {
            let one = |leaf: &&str| receipt(&format!("{key}-{}", &leaf[4..7]), leaf, "10.00")["receipts"][0].clone();
            let body = json!({ "receipts": leaves.iter().map(one).collect::<Vec<_>>() });
            let got = served.post("/v1/expectations", &ann, key, body);
            got.json()["proposal"].as_str().unwrap_or_else(|| panic!("{got:?}")).to_owned()
        };
        let (tiktok, douyin) = ("m00/tiktok/de/operating", "m00/douyin/de/operating");
        let own = propose("k1", &[tiktok]);
        let both = propose("k2", &[tiktok, douyin]);
        let foreign = propose("k3", &[douyin]);
        let told =
            |token: &str| -> Vec<String> { field(&walked(&served, token, "/v1/events?kind=proposal.", 2), "subject") };
        assert_eq!(told(&tia), [own.as_str()]);
        assert_eq!(told(&dou), [foreign.as_str()]);
        assert_eq!(
            stream.next().map(|(_, e)| e["subject"].clone()),
            Some(json!(foreign)),
            "the stream passes by the others"
        );
        assert_eq!(told(&mas), [own.as_str(), &both, &foreign]);
        assert_eq!(told(&mas), told(&all));
        assert_eq!(told(&far), Vec::<String>::new());
        // What others decide of it as well.
        served.approved(served.post(
            "/v1/expectations",
            &ann,
            "k1",
            json!({ "receipts": [receipt("k1-tik", tiktok, "10.00")["receipts"][0]] }),
        ));
        let kinds = |token: &str| field(&walked(&served, token, "/v1/events?kind=proposal.", 2), "kind");
        assert_eq!(kinds(&tia), ["proposal.made", "proposal.approved", "proposal.carried_out"]);
        assert_eq!(kinds(&dou), ["proposal.made"]);
        assert!(walked(&served, &dou, "/v1/events", 50).iter().all(|e| !e.to_string().contains(&own)));
        // And a change of rules or roles is of the treasury as a whole.
        let (_, kim) = served.person("kim", &[("rule-keeper", "all")]);
        let rule = json!({ "rules": [{ "code": "fees", "priority": 9, "when": { "counterparty": "BANK" }, "to": [{ "leaf": "{master}/house/fees" }] }] });
        let rules = served.post("/v1/rules", &kim, "ru", rule);
        let id = rules.json()["proposal"].as_str().unwrap_or_else(|| panic!("{rules:?}")).to_owned();
        assert!(told(&all).contains(&id) && !told(&mas).contains(&id) && !told(&tia).contains(&id));
        assert_clean(&served.db);
    });
}

#[test]
fn pages_of_entries_suspense_and_proposals_have_each_item_once_in_every_scope() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let (_, one) = served.person("one", &[("treasurer", "product:tiktok"), ("auditor", "product:tiktok")]);
        let (_, mas) = served.person("mas", &[("auditor", "master:m00")]);
        let words = ["tiktok", "douyin", "unknown", "capcut", "unknown"];
        for (master, on) in [(0, 2), (1, 2), (0, 3)] {
            let booked: Vec<_> = (0..20)
                .map(|n: usize| {
                    line(day(on), 100 * i64::try_from(n % 3 + 1).expect("cents"), &format!("{} {n}", words[n % 5]))
                })
                .collect();
            let all: Vec<_> = if on == 3 {
                (0..20)
                    .map(|n: usize| {
                        line(day(2), 100 * i64::try_from(n % 3 + 1).expect("cents"), &format!("{} {n}", words[n % 5]))
                    })
                    .chain(booked)
                    .collect()
            } else {
                booked
            };
            let file = camt(&format!("M{master}{on}"), &[statement(master, &format!("S{on}"), on - 1, (on, on), &all)]);
            assert_eq!(
                send(&served, "/v1/statement-files?name=x", &ann, None, &file).json()["statements"][0]["state"],
                "posted"
            );
        }
        for token in [&ann, &one, &mas] {
            let whole = field(&walked(&served, token, "/v1/entries", 1000), "number");
            let distinct: BTreeSet<&String> = whole.iter().collect();
            assert_eq!(distinct.len(), whole.len());
            for limit in [1, 3, 7, whole.len()] {
                assert_eq!(field(&walked(&served, token, "/v1/entries", limit), "number"), whole, "pages of {limit}");
            }
            let numbers: Vec<i64> = whole.iter().map(|n| n.parse().expect("a number")).collect();
            assert!(numbers.windows(2).all(|w| w[0] > w[1]), "the newest first: {numbers:?}");
        }
        let count = |token: &str| walked(&served, token, "/v1/entries", 9).len();
        // Twelve lines of tiktok's in three files; the master's own see the opening as well.
        assert_eq!((count(&one), count(&mas)), (12, 41));

        let whole = field(&walked(&served, &ann, "/v1/suspense", 1000), "line");
        assert_eq!((whole.len(), whole.iter().collect::<BTreeSet<_>>().len()), (24, 24));
        for limit in [1, 5] {
            assert_eq!(field(&walked(&served, &ann, "/v1/suspense", limit), "line"), whole);
        }
        // What is placed while somebody reads makes them miss nothing.
        let first = served.get("/v1/suspense?limit=5", &ann).json();
        let place = json!({ "lines": [{ "line": whole[0], "to": "m00/capcut/de/operating", "reason": "the payer has called" }] });
        assert_eq!(served.post("/v1/lines/route", &ann, "p", place).json()["lines"][0]["code"], Value::Null);
        let cursor = first["next_cursor"].as_str().expect("more");
        let second = served.get(&format!("/v1/suspense?cursor={cursor}"), &ann).json();
        assert_eq!(field(second["items"].as_array().expect("items"), "line"), whole[5..10]);

        for n in 0..9 {
            let leaf = ["m00/tiktok/de/operating", "m00/douyin/de/operating", "m01/tiktok/de/operating"][n % 3];
            let asked =
                served.post("/v1/expectations", &ann, &format!("x{n}"), receipt(&format!("x{n}"), leaf, "10.00"));
            if n % 2 == 0 {
                served.approved(asked);
            }
        }
        for (token, ended, expected) in [(&ann, true, 9), (&ann, false, 4), (&one, true, 6), (&one, false, 2)] {
            let path = format!("/v1/proposals?ended={ended}");
            let whole = field(&walked(&served, token, &path, 1000), "proposal");
            assert_eq!((whole.len(), whole.iter().collect::<BTreeSet<_>>().len()), (expected, expected));
            for limit in [1, 2, expected] {
                assert_eq!(field(&walked(&served, token, &path, limit), "proposal"), whole);
            }
        }
        assert_clean(&served.db);
    });
}

#[test]
fn where_a_line_went_that_had_met_a_receipt_is_told_to_whom_the_master_is_open() {
    on_both(|test| {
        let served = Served::on(test);
        let (tiktok, douyin) = ("m00/tiktok/de/operating", "m00/douyin/de/operating");
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let (_, tia) = served.person("tia", &[("product-client", "product:tiktok")]);
        served.approved(served.post("/v1/expectations", &tia, "k", receipt("K1", tiktok, "10.00")));
        let file = camt("M1", &[statement(0, "S1", 1, (2, 2), &[line(day(2), 1_000, "INV-K1")])]);
        send(&served, "/v1/statement-files?name=x", &ann, None, &file);
        let told = |token: &str| served.get("/v1/expectations/K1", token).json();
        assert_eq!((&told(&tia)["state"], &told(&tia)["since"]), (&json!("met"), &Value::Null));
        let of = told(&tia)["line"].as_str().expect("a line").to_owned();
        let move_it = json!({ "lines": [{ "line": of, "to": douyin, "reason": "paid to the wrong one of us" }] });
        served.approved(served.post("/v1/lines/route", &ann, "m", move_it));
        let to_all = told(&ann)["since"].to_string();
        assert!(to_all.contains(douyin) || to_all.contains("wrong one"), "{to_all}");
        assert_eq!(told(&tia)["since"], "the line was moved since");
        assert_eq!(walked(&served, &tia, "/v1/expectations", 9)[0]["since"], "the line was moved since");
        assert_clean(&served.db);
    });
}
