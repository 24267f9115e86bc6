//! What is open and what people set, over HTTP: breaks, gaps and missing statements; a line that no statement has is taken back; CSV by a
//! profile; calendars, rates, settings and sheets of sub-accounts come as files. Each is the command of the command line.

use super::{Got, Sent, Served, on_both};
use crate::given::{account_number, alice, assert_clean, camt, day, line, number, statement, treasury_text};
use serde_json::{Value, json};
use tributary::app;
use tributary::banking::write::Entry;

/// Sends the bytes of a file.
#[track_caller]
pub fn send(served: &Served, path: &str, token: &str, key: Option<&str>, bytes: &[u8]) -> Got {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request =
        agent.post(format!("http://{}{path}", served.address())).header("authorization", format!("Bearer {token}"));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let mut response = request.send(bytes).expect("answered");
    let headers = response.headers().iter();
    let headers = headers.map(|(n, v)| (n.as_str().to_owned(), v.to_str().unwrap_or("?").to_owned())).collect();
    let text = response.body_mut().read_to_string().expect("text");
    Got { status: response.status().as_u16(), headers, text }
}

fn items(got: &Got) -> Vec<Value> {
    got.json()["items"].as_array().unwrap_or_else(|| panic!("{got:?}")).clone()
}

/// All items of a list, page by page.
pub fn walked(served: &Served, token: &str, path: &str, limit: usize) -> Vec<Value> {
    let mut all = Vec::new();
    let with = |more: &str| format!("{path}{}{more}", if path.contains('?') { '&' } else { '?' });
    let mut next = with(&format!("limit={limit}"));
    loop {
        let page = served.get(&next, token).json();
        let some = page["items"].as_array().unwrap_or_else(|| panic!("{page}"));
        let more = page["next_cursor"].as_str();
        assert!(if more.is_some() { some.len() == limit } else { some.len() <= limit }, "{page}");
        all.extend(some.iter().cloned());
        let Some(cursor) = more else { return all };
        next = format!("{}?cursor={cursor}", path.split('?').next().unwrap_or(path));
    }
}

/// A camt.054: one credit that is booked on the second of March.
fn notification(remittance: &str) -> String {
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.054.001.08\"><BkToCstmrDbtCdtNtfctn>\
         <GrpHdr><MsgId>N1</MsgId><CreDtTm>2026-03-02T12:00:00</CreDtTm></GrpHdr><Ntfctn><Id>N1</Id>\
         <CreDtTm>2026-03-02T12:00:00</CreDtTm><Acct><Id><Othr><Id>4000000000</Id></Othr></Id><Ccy>EUR</Ccy></Acct>\
         <Ntry><Amt Ccy=\"EUR\">12.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>\
         <BookgDt><Dt>2026-03-02</Dt></BookgDt><ValDt><Dt>2026-03-02</Dt></ValDt>\
         <BkTxCd><Prtry><Cd>NTRF</Cd></Prtry></BkTxCd><NtryDtls><TxDtls><RltdPties><Dbtr><Pty><Nm>PAYER</Nm></Pty></Dbtr></RltdPties>\
         <RmtInf><Ustrd>{remittance}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry></Ntfctn></BkToCstmrDbtCdtNtfctn></Document>"
    )
}

#[test]
fn gaps_breaks_and_missing_statements_are_listed_by_master_and_close_when_what_is_missing_comes() {
    on_both(|test| {
        let served = Served::on(test);
        let expecting = treasury_text(0..2).replace("time_zone = ", "statement_by = \"09:00\"\ntime_zone = ");
        app::apply(&served.db, &alice(), app::TreasuryFile::parse(&expecting).expect("TOML")).expect("applied");
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let (_, one) = served.person("one", &[("treasurer", "master:m01")]);
        let due = |token: &str, more: &str| {
            served.get(&format!("/v1/missing-statements?at=2026-03-05T12:00:00Z{more}"), token).json()
        };
        let all = due(&ann, "");
        assert_eq!((&all["expected"], all["missing"]["items"].as_array().map(Vec::len)), (&json!(6), Some(6)), "{all}");
        assert_eq!(due(&ann, "&master=m01&since=2026-03-03")["expected"], 2);
        let foreign = due(&one, "");
        assert_eq!((&foreign["expected"], foreign["missing"]["items"].as_array().map(Vec::len)), (&json!(3), Some(3)));
        let bank = [line(day(2), 100, "tiktok a"), line(day(3), 700, "tiktok b"), line(day(4), 50, "tiktok c")];
        let take = |id: &str, number: u64, on: u64| {
            let file = camt(id, &[statement(0, id, number, (on, on), &bank)]);
            assert_eq!(send(&served, "/v1/statement-files?name=x", &ann, None, &file).status, 200);
        };
        take("S1", 1, 2);
        take("S3", 3, 4);
        let gaps = items(&served.get("/v1/gaps", &ann));
        assert_eq!((gaps.len(), &gaps[0]["missing"]["amount"], &gaps[0]["master"]), (1, &json!("7.00"), &json!("m00")));
        assert!(gaps[0]["what"].as_str().is_some_and(|w| w.contains("2026-03-04")), "{gaps:?}");
        assert!(items(&served.get("/v1/gaps?master=m01", &ann)).is_empty());
        let kinds = |token: &str, more: &str| -> Vec<String> {
            let all = walked(&served, token, &format!("/v1/breaks{more}"), 1);
            all.iter().map(|b| b["kind"].as_str().expect("a kind").to_owned()).collect()
        };
        assert_eq!(kinds(&ann, ""), ["missing_days"]);
        assert_eq!((kinds(&ann, "?kind=restated").len(), kinds(&one, "").len()), (0, 0));
        assert_eq!(due(&ann, "&master=m00")["missing"]["items"][0]["day"], "2026-03-03");
        take("S2", 2, 3);
        assert!(items(&served.get("/v1/gaps", &ann)).is_empty() && kinds(&ann, "").is_empty());
        assert_eq!(due(&ann, "&master=m00")["missing"]["items"], json!([]));
        assert_eq!(served.get("/v1/late-statements", &ann).json()["items"], json!([]), "nobody had recorded it");
        assert_clean(&served.db);
    });
}

#[test]
fn a_transfer_between_own_masters_is_listed_until_its_other_side_comes() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let (_, one) = served.person("one", &[("treasurer", "master:m00")]);
        let (_, two) = served.person("two", &[("treasurer", "master:m01")]);
        let side = |amount: i64, other: usize| {
            let mut side = line(day(2), amount, "between our accounts");
            side.details[0].counterparty_account = Some(account_number(other));
            side
        };
        let take = |master: usize, booked: Entry| {
            let id = format!("S{master}");
            let file = camt(&id, &[statement(master, &id, 1, (2, 2), &[booked])]);
            assert_eq!(send(&served, "/v1/statement-files?name=x", &ann, None, &file).status, 200);
        };
        take(0, side(-7_500, 1));
        let told = |token: &str| items(&served.get("/v1/own-transfers", token));
        let all = told(&ann);
        assert_eq!((all.len(), &all[0]["amount"]["amount"], &all[0]["other"]), (1, &json!("-75.00"), &json!("m01")));
        assert_eq!((told(&one)[0]["other"].clone(), told(&two).len()), (Value::Null, 0), "of each what is theirs");
        assert!(items(&served.get("/v1/own-transfers?master=m01", &ann)).is_empty());
        take(1, side(7_500, 0));
        assert!(told(&ann).is_empty());
        assert_clean(&served.db);
    });
}

#[test]
fn a_notified_line_is_taken_back_once_by_whoever_may_and_a_bank_reports_as_its_profile_says() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let (_, kim) = served.person("kim", &[("rule-keeper", "all")]);
        let file = send(&served, "/v1/statement-files?name=n", &ann, None, notification("tiktok 1").as_bytes()).json();
        let id = file["statements"][0]["id"].as_str().unwrap_or_else(|| panic!("{file}"));
        let line = served.get(&format!("/v1/statements/{id}/lines"), &ann).json()["items"][0]["id"].clone();
        let path = format!("/v1/lines/{}/withdraw", line.as_str().expect("a line"));
        let booked =
            || served.get("/v1/accounts/m00%2Ftiktok%2Fde%2Foperating", &ann).json()["booked"]["amount"].clone();
        assert_eq!(booked(), "12.00");
        assert_eq!(served.post(&path, &kim, "w0", json!({ "reason": "the bank says so" })).code(), "forbidden");
        assert_eq!(served.post(&path, &ann, "w1", json!({ "reason": "" })).code(), "no_reason");
        let dry = Sent { token: Some(&ann), body: Some(json!({ "reason": "the bank says so" })), ..Sent::default() };
        assert_eq!(served.ask("POST", &format!("{path}?dry_run=true"), &dry).json()["posting"], "withdrawn");
        assert_eq!(booked(), "12.00");
        let done = served.post(&path, &ann, "w2", json!({ "reason": "the bank says so" }));
        assert_eq!((done.status, &done.json()["posting"]), (200, &json!("withdrawn")));
        assert_eq!(booked(), "0.00");
        assert_eq!(served.post(&path, &ann, "w3", json!({ "reason": "the bank says so" })).status, 422);

        let path = "/v1/masters/m00/statement-profile";
        let read = served.get(path, &kim);
        assert_eq!(
            read.json(),
            json!({ "notified": "unconfirmed", "reports": "cumulative", "contradictions": "wait" })
        );
        let tag = read.header("etag").expect("an ETag").to_owned();
        let put = |token: &str, tag: &str, notified: &str| {
            let body = json!({ "notified": notified, "reports": "delta", "contradictions": "wait" });
            served.ask(
                "PUT",
                path,
                &Sent { token: Some(token), body: Some(body), headers: vec![("if-match", tag)], key: None },
            )
        };
        assert_eq!(put(&ann, &tag, "final").code(), "forbidden");
        assert_eq!(put(&kim, &tag, "maybe").code(), "bad_body");
        assert_eq!(put(&kim, &tag, "final").status, 200);
        assert_eq!(put(&kim, &tag, "unconfirmed").code(), "precondition_failed");
        send(
            &served,
            "/v1/statement-files?name=n",
            &ann,
            None,
            notification("tiktok 2").replace("N1", "N2").as_bytes(),
        );
        let leaf = served.get("/v1/accounts/m00%2Ftiktok%2Fde%2Foperating", &ann).json();
        assert_eq!((&leaf["booked"]["amount"], &leaf["held"]["amount"]), (&json!("12.00"), &json!("0.00")), "{leaf}");
        assert_clean(&served.db);
    });
}

const PROFILE: &str = "format = \"csv\"\nname = \"mine\"\n[file]\nheader = [\"Day\", \"Text\", \"Amount\", \"Balance\"]\n\
    [account]\nnumber = \"4000000000\"\ncurrency = \"EUR\"\n[dates]\nformats = [\"YYYY-MM-DD\"]\nbooked_on = \"Day\"\n\
    [amount]\ndecimal = \".\"\ncolumn = \"Amount\"\nbalance = \"Balance\"\n[fields]\nremittance = [\"Text\"]\n";

#[test]
fn csv_is_read_by_a_profile_of_the_server_or_by_one_that_comes_along() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let csv = b"Day,Text,Amount,Balance\n2026-03-02,nobody knows,45.00,1045.00\n";
        let take = |more: &str| send(&served, &format!("/v1/statement-files?name=a.csv{more}"), &ann, None, csv);
        assert_eq!(take("").code(), "unreadable_file");
        assert_eq!(take("&profile=none").code(), "bad_query");
        assert_eq!(take("&profile_toml=x").code(), "unusable_profile");
        let along: String = PROFILE.bytes().map(|b| format!("%{b:02X}")).collect();
        let taken = take(&format!("&profile_toml={along}")).json();
        assert_eq!((&taken["format"], &taken["statements"][0]["state"]), (&json!("csv"), &json!("posted")), "{taken}");
        assert_eq!(items(&served.get("/v1/suspense", &ann))[0]["amount"]["amount"], "45.00");
        let known = items(&served.get("/v1/profiles", &ann));
        assert_eq!((known.len(), &known[0]["name"], &known[0]["format"]), (1, &json!("wallet"), &json!("csv")));
        let wallet = "Date,Time,Name,Type,Status,Currency,Gross,Fee,Net,Transaction ID,Reference,Balance\n\
                      03/02/2026,10:00,A,Sale,Completed,EUR,5.00,0.00,5.00,T1,R1,5.00\n";
        for more in ["", "&profile=wallet"] {
            let path = format!("/v1/statement-files?name=w{more}");
            let taken = send(
                &served,
                &path,
                &ann,
                None,
                format!("{wallet}{}", if more.is_empty() { "" } else { "\n" }).as_bytes(),
            );
            assert!(taken.text.contains("treasury@example.com"), "it is nobody's account: {taken:?}");
        }
        assert_clean(&served.db);
    });
}

#[test]
fn rates_calendars_settings_and_sheets_are_changed_by_files_that_change_nothing_twice() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, ann) = served.person("ann", &[("treasurer", "all")]);
        let (_, kim) = served.person("kim", &[("rule-keeper", "all")]);
        let rates = b"date,base,currency,rate\n2026-03-02,EUR,USD,1.1000\n";
        let take = |key: &str, bytes: &[u8]| send(&served, "/v1/rates?source=house", &ann, Some(key), bytes);
        assert_eq!(take("r1", rates).json()["new"], 1);
        let again = take("r2", rates).json();
        assert_eq!((&again["new"], &again["unchanged"]), (&json!(0), &json!(1)), "{again}");
        let other = b"date,base,currency,rate\n2026-03-02,EUR,USD,1.2500\n";
        let dry = send(&served, "/v1/rates?source=house&dry_run=true", &ann, None, other).json();
        assert_eq!(dry["corrected"][0]["after"], "1.2500", "{dry}");
        let into = || {
            served.get("/v1/rates/convert?amount=100.00&from=EUR&into=USD", &ann).json()["converted"]["amount"].clone()
        };
        assert_eq!(into(), "110.00");
        assert_eq!(take("r3", other).status, 200);
        assert_eq!(into(), "125.00");
        assert_eq!(walked(&served, &ann, "/v1/rates/history?currency=USD", 1).len(), 2);
        assert_eq!(take("r4", b"").code(), "bad_body");
        assert_eq!(take("r5", b"x,y\n1,2\n").status, 422);

        let holidays = b"date,name\n2026-05-05,Children's Day\n";
        let import =
            |key: &str| send(&served, "/v1/calendars?code=jp-tokyo&name=Tokyo", &kim, Some(key), holidays).json();
        assert_eq!((import("c1")["changed"].clone(), import("c2")["changed"].clone()), (json!(true), json!(false)));
        let of = served.get("/v1/calendars/jp-tokyo/days/2026-05-04?add=1", &ann).json();
        assert_eq!((&of["next"], &of["added"]), (&json!("2026-05-06"), &json!("2026-05-06")), "{of}");
        assert_eq!(served.get("/v1/calendars/jp-tokyo/days/today", &ann).status, 404);

        let read = served.get("/v1/settings", &kim);
        let tag = read.header("etag").expect("an ETag").to_owned();
        let put = |body: Value, tag: &str| {
            served.ask(
                "PUT",
                "/v1/settings",
                &Sent { token: Some(&kim), body: Some(body), headers: vec![("if-match", tag)], key: None },
            )
        };
        assert_eq!(put(json!({ "reporting_currency": "EURO" }), &tag).status, 422);
        let set = put(json!({ "reporting_currency": "EUR", "rates_calendar": "jp-tokyo" }), &tag).json();
        assert_eq!((&set["reporting_currency"], &set["rates_stale_after"]), (&json!("EUR"), &json!(2)), "{set}");
        assert_eq!(put(json!({ "rates_stale_after": 1 }), &tag).code(), "precondition_failed");

        let sheet = "code,name\nm00/tiktok/de/ads,Ads\nm00/tiktok/de/shop,Shop\n";
        let leaves = || number(&test.url, "SELECT count(*) AS value FROM sub_accounts");
        let before = leaves();
        let post = |key: &str, text: &str| send(&served, "/v1/chart/sheet", &kim, Some(key), text.as_bytes());
        assert_eq!(post("s0", &format!("{sheet}m00/nobody/de/x,X\n")).status, 422);
        assert_eq!(leaves(), before, "all or nothing");
        let made = post("s1", sheet).json();
        assert_eq!((made["leaves"].as_array().map(Vec::len), leaves()), (Some(2), before + 2), "{made}");
        assert_eq!(post("s2", sheet).json()["nothing_new"], true);
        let csv = served.get("/v1/chart/sheet", &ann);
        assert!(csv.header("content-type").is_some_and(|t| t.starts_with("text/csv")), "{csv:?}");
        assert_eq!(post("s3", &csv.text).json()["nothing_new"], true, "what is exported is what is imported");
        assert_clean(&served.db);
    });
}
