//! Nobody comes to be somebody else alone, nor to hold a key that asks in another's name.

use super::{Got, Sent, Served, on_both, receipt};
use crate::given::{assert_clean, number};
use serde_json::{Value, json};

fn text(got: &Got, name: &str) -> String {
    got.json()[name].as_str().unwrap_or_else(|| panic!("{got:?}")).to_owned()
}

#[test]
fn an_administrator_alone_gets_no_way_in_as_somebody_who_has_a_role() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, amy) = served.person("amy", &[("administrator", "all")]);
        let (_, bob) = served.person("bob", &[("administrator", "all")]);
        let (tom, at_work) = served.person("tom", &[("treasurer", "all")]);
        let begin = |secret: &str| {
            let sent = Sent { body: Some(json!({ "invitation": secret })), ..Sent::default() };
            served.ask("POST", "/v1/join/begin", &sent)
        };
        let reset = served.post(&format!("/v1/people/{tom}/reset"), &amy, "r1", json!({}));
        assert_eq!((reset.status, &reset.json()["invited_until"]), (201, &Value::Null), "{reset:?}");
        let (invitation, proposal) = (text(&reset, "secret"), text(&reset, "proposal"));
        assert_eq!(begin(&invitation).code(), "bad_invitation", "nothing has changed yet");
        assert_eq!(served.get("/v1/me", &at_work).status, 200);
        // What is decided on says who that is and what they may do, and nothing that lets anybody in.
        let path = format!("/v1/proposals/{proposal}");
        let shown = served.get(&path, &bob).json();
        assert_eq!(shown["effect"]["before"]["person"], tom.as_str(), "{shown}");
        assert_eq!(shown["effect"]["before"]["roles"], json!(["treasurer@all"]));
        assert!(!shown.to_string().contains(&invitation));
        let decide =
            |token: &str| served.post(&format!("{path}/approve"), token, "a", json!({ "digest": shown["digest"] }));
        assert_eq!(decide(&amy).code(), "own_proposal");
        assert_eq!(decide(&at_work).code(), "own_rights", "nor the one whom it is about");
        let done = decide(&bob);
        assert_eq!(done.json()["carried_out"], true, "{done:?}");
        assert_eq!((begin(&invitation).status, served.get("/v1/me", &at_work).status), (200, 401));
        // A rejected one never counts.
        let (eve, _) = served.person("eve", &[("approver", "all")]);
        let second = served.post(&format!("/v1/people/{eve}/reset"), &amy, "r2", json!({}));
        let path = format!("/v1/proposals/{}", text(&second, "proposal"));
        let digest = served.get(&path, &bob).json()["digest"].clone();
        let why = json!({ "digest": digest, "reason": "she sits beside me" });
        assert_eq!(served.post(&format!("{path}/reject"), &bob, "no", why).status, 200);
        assert_eq!(begin(&text(&second, "secret")).code(), "bad_invitation");
        assert_clean(&served.db);
    });
}

#[test]
fn a_rotated_key_may_do_nothing_before_another_person_has_approved_it() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, amy) = served.person("amy", &[("administrator", "all")]);
        let (tom, _) = served.person("tom", &[("requester", "product:tiktok")]);
        let (id, before) = served.key(&tom, &[("product-client", "product:tiktok")]);
        let made = served.post(&format!("/v1/keys/{id}/rotate"), &amy, "k1", json!({ "days": 30 }));
        let next = text(&made, "secret");
        assert_eq!(made.json()["proposals"].as_array().map(Vec::len), Some(1), "{made:?}");
        assert_eq!(served.get("/v1/expectations", &next).status, 403, "it may do nothing yet");
        assert_eq!(served.get("/v1/expectations", &before).status, 200, "and the one before goes on");
        served.approved(made);
        assert_eq!(served.get("/v1/expectations", &next).status, 200);
        assert_clean(&served.db);
    });
}

#[test]
fn a_key_of_a_receipt_is_its_leafs_and_tells_nobody_what_another_product_expects() {
    on_both(|test| {
        let served = Served::on(test);
        let (tiktok, douyin) = ("m00/tiktok/de/operating", "m00/douyin/de/operating");
        let (_, tia) = served.person("tia", &[("product-client", "product:tiktok")]);
        let (_, dou) = served.person("dou", &[("product-client", "product:douyin")]);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        served.approved(served.post("/v1/expectations", &tia, "k", receipt("INV-1", tiktok, "10.00")));
        // Tried out or in earnest, a key that another product uses is like one that nobody uses.
        let tried = |key: &str, name: &str| {
            let got = served.post("/v1/expectations?dry_run=true", &dou, name, receipt(key, douyin, "99.00"));
            (got.status, got.text.replace(key, "KEY"))
        };
        assert_eq!(tried("INV-1", "t1").0, 200);
        assert_eq!(tried("INV-1", "t2").1.len(), tried("INV-9", "t3").1.len());
        served.approved(served.post("/v1/expectations", &dou, "k", receipt("INV-1", douyin, "99.00")));
        assert_eq!(number(&test.url, "SELECT count(*) AS value FROM expectations WHERE key = 'INV-1'"), 2);
        // Each finds its own by the key; who sees both names one by its id.
        for (token, leaf) in [(&tia, tiktok), (&dou, douyin)] {
            assert_eq!(served.get("/v1/expectations/INV-1", token).json()["leaf"], leaf);
        }
        let both = served.get("/v1/expectations/INV-1", &ann);
        assert_eq!(both.code(), "expectation_several", "{both:?}");
        assert!(both.text.contains(&format!("{tiktok} (ex_")), "each with its id: {both:?}");
        let ids: Vec<String> = served.get("/v1/expectations", &ann).json()["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|e| e["id"].as_str().expect("an id").to_owned())
            .collect();
        assert_eq!(ids.len(), 2);
        for id in &ids {
            assert_eq!(served.get(&format!("/v1/expectations/{id}"), &ann).json()["id"], id.as_str());
        }
        // One's own again with other content is a conflict still, and its end is nobody else's.
        let other = served.post("/v1/expectations", &dou, "k2", receipt("INV-1", douyin, "98.00"));
        assert_eq!(
            (other.status, other.json()["detail"].to_string().contains("other content")),
            (409, true),
            "{other:?}"
        );
        let why = json!({ "reason": "paid by card" });
        assert_eq!(served.post("/v1/expectations/INV-1/cancel", &dou, "c", why).json()["leaf"], douyin);
        assert_eq!(served.get("/v1/expectations/INV-1", &tia).json()["state"], "open");
        assert_clean(&served.db);
    });
}
