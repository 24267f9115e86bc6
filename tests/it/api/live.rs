//! The feed as a stream, read from a plain socket: nothing missing after a break, nothing foreign, ended when rights are.

use super::{Sent, Served, on_both};
use crate::given::alice;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;
use tributary::{access, ledger};

/// A stream under way.
pub struct Following(BufReader<TcpStream>);

impl Following {
    /// Asks for a stream; the status of the answer, and what follows it.
    pub fn begin(served: &Served, token: &str, query: &str, last: Option<i64>) -> (u16, Following) {
        let mut socket = TcpStream::connect(served.address()).expect("connected");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
        let last = last.map(|n| format!("Last-Event-ID: {n}\r\n")).unwrap_or_default();
        write!(
            socket,
            "GET /v1/events{query} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer {token}\r\n{last}\r\n"
        )
        .expect("sent");
        let mut reader = BufReader::new(socket);
        let mut line = String::new();
        reader.read_line(&mut line).expect("a status");
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        // The first part of a stream says that it has begun.
        while status == 200 && !line.starts_with("retry:") {
            line.clear();
            assert!(reader.read_line(&mut line).expect("a line") > 0, "it ended before it began");
        }
        (status, Following(reader))
    }

    /// The next event: its number and what it says; `None` at the end.
    pub fn next(&mut self) -> Option<(i64, serde_json::Value)> {
        let (mut line, mut number) = (String::new(), 0);
        loop {
            line.clear();
            if self.0.read_line(&mut line).expect("a line") == 0 {
                return None;
            }
            if let Some(id) = line.strip_prefix("id: ") {
                number = id.trim().parse().expect("a number");
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some((number, serde_json::from_str(data).expect("JSON")));
            }
            // What ends a stream in chunks.
            if line == "0\r\n" {
                return None;
            }
        }
    }

    fn some(&mut self, count: usize) -> Vec<i64> {
        (0..count).map(|_| self.next().expect("an event").0).collect()
    }
}

fn happen(served: &Served, subject: &str) -> i64 {
    let subject = subject.to_owned();
    served.db.write("test", &alice(), move |tx| Ok(tx.event("test.happened", &subject, None, None))).expect("recorded")
}

fn freeze(served: &Served, leaf: &'static str) {
    let command = move |tx: &mut tributary::db::Tx<'_>| ledger::set_state(tx, leaf, "frozen", "a test");
    served.db.write("account.freeze", &alice(), command).expect("frozen");
}

#[test]
fn a_stream_has_every_event_once_in_order_and_goes_on_after_the_last_one_read() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, token) = served.person("ann", &[("auditor", "all")]);
        let (status, mut stream) = Following::begin(&served, &token, "", None);
        assert_eq!(status, 200);
        let first: Vec<i64> = (0..30).map(|n| happen(&served, &format!("thing {n}"))).collect();
        assert_eq!(stream.some(30), first);
        drop(stream);
        let second: Vec<i64> = (0..30).map(|n| happen(&served, &format!("thing {n}"))).collect();
        let (_, mut stream) = Following::begin(&served, &token, "?kind=test.", first.last().copied());
        assert_eq!(stream.some(30), second);
        let last = happen(&served, "last");
        assert_eq!(stream.some(1), [last]);
        // From the beginning, nothing is missing.
        let (_, mut stream) = Following::begin(&served, &token, "?after=0", None);
        assert_eq!(stream.some(usize::try_from(last).expect("a count")), (1..=last).collect::<Vec<_>>());
        // The pages say the same.
        let (mut numbers, mut path) = (Vec::new(), "/v1/events?limit=7".to_owned());
        loop {
            let page = served.get(&path, &token).json();
            numbers.extend(page["items"].as_array().expect("items").iter().filter_map(|e| e["number"].as_i64()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/v1/events?cursor={cursor}");
        }
        assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    });
}

#[test]
fn a_stream_has_nothing_foreign_and_ends_when_its_reader_may_read_no_more() {
    on_both(|test| {
        let served = Served::on(test);
        let (owner, _) = served.person("ann", &[("product-viewer", "product:tiktok")]);
        let (key, token) = served.key(&owner, &[("auditor", "product:tiktok")]);
        let (_, mut stream) = Following::begin(&served, &token, "", None);
        freeze(&served, "m00/douyin/de/operating");
        freeze(&served, "m00/tiktok/de/operating");
        freeze(&served, "m01/capcut/de/operating");
        freeze(&served, "m01/tiktok/de/operating");
        let subjects: Vec<String> =
            (0..2).map(|_| stream.next().expect("an event").1["subject"].as_str().expect("text").to_owned()).collect();
        assert_eq!(subjects, ["m00/tiktok/de/operating", "m01/tiktok/de/operating"]);
        served.db.write("key.revoke", &alice(), move |tx| access::revoke_key(tx, &key)).expect("revoked");
        assert_eq!(stream.next(), None);
        let (status, _) = Following::begin(&served, &token, "", None);
        assert_eq!(status, 401);
    });
}

#[test]
fn a_principal_has_so_many_streams_and_a_wrong_question_is_refused() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, token) = served.person("ann", &[("auditor", "all")]);
        let (_, other) = served.person("ben", &[("auditor", "all")]);
        let streams: Vec<_> = (0..8).map(|_| Following::begin(&served, &token, "", None)).collect();
        assert!(streams.iter().all(|(status, _)| *status == 200));
        assert_eq!(Following::begin(&served, &token, "", None).0, 429);
        assert_eq!(Following::begin(&served, &other, "", None).0, 200);
        let ask = |path: &str, token: Option<&str>, headers| {
            served.ask("GET", path, &Sent { token, headers, ..Sent::default() }).code()
        };
        let stream = ("accept", "text/event-stream");
        assert_eq!(ask("/v1/events?limit=3", Some(&other), vec![stream]), "bad_query");
        assert_eq!(ask("/v1/events?nothing=3", Some(&other), vec![stream]), "bad_query");
        assert_eq!(ask("/v1/events", Some(&other), vec![stream, ("last-event-id", "x")]), "bad_header");
        assert_eq!(ask("/v1/events", None, vec![stream]), "no_credentials");
        assert_eq!(ask("/v1/events?from=yesterday", Some(&other), vec![]), "bad_query");
        drop(streams);
    });
}
