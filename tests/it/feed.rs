//! The feed itself on both databases: no number missing for a reader beside many writers, entries narrowed to a scope, time bounds.

use crate::databases::on_both;
use crate::given::{alice, assert_clean, day, treasury};
use std::sync::Arc;
use std::time::Duration;
use tributary::actor::Scope;
use tributary::db::Options;
use tributary::events::{self, Filter};
use tributary::ledger::{self, Basis, Cause, NewEntry, NewPosting};
use tributary::scope::Part;
use tributary::time::{Clock, SetClock};

fn scope(text: &str) -> Scope {
    Scope::from(text.parse::<Part>().expect("a scope"))
}

#[test]
fn a_reader_beside_many_writers_misses_no_number() {
    on_both(|test| {
        const WRITERS: usize = 4;
        const EACH: usize = 40;
        let db = test.open(Options::default());
        let begin = db.read(events::head).expect("a head");
        let read = std::thread::scope(|threads| {
            for writer in 0..WRITERS {
                let db = &db;
                threads.spawn(move || {
                    for n in 0..EACH {
                        let subject = format!("{writer}-{n}");
                        db.write("test", &alice(), move |tx| Ok(tx.event("test.happened", &subject, None, None)))
                            .expect("recorded");
                    }
                });
            }
            let (mut read, mut at, mut seen) = (Vec::new(), begin, db.commits().count());
            while read.len() < WRITERS * EACH {
                let page = db.read(|conn| events::page(conn, &Scope::everything(), &Filter::default(), at, 7));
                let page = page.expect("a page");
                read.extend(page.events.iter().map(|e| e.number));
                at = page.next;
                if page.is_last && read.len() < WRITERS * EACH {
                    let now = db.commits().wait(seen, Duration::from_secs(20));
                    assert!(now > seen || at > begin, "nobody told");
                    seen = now;
                }
            }
            read
        });
        let last = begin + i64::try_from(WRITERS * EACH).expect("a count");
        assert_eq!(read, (begin + 1..=last).collect::<Vec<_>>());
        assert_clean(&db);
    });
}

#[test]
fn of_many_entries_each_product_reads_of_its_own() {
    on_both(|test| {
        let db = test.open(Options::default());
        treasury(&db, 0..1);
        let account = |code: &str| db.read(|conn| ledger::account(conn, code)).expect("an account").id;
        let master = account("m00");
        let leaves = ["m00/tiktok/de/operating", "m00/douyin/de/operating"].map(account);
        let id = |number: i64| ledger::AccountId(number);
        // More than are looked up one by one.
        let entries = (0..5_000).map(|n: usize| NewEntry {
            kind: "test".to_owned(),
            basis: Basis::Fact,
            description: "a test".to_owned(),
            booked_on: day(2),
            valued_on: day(2),
            cause: Cause::new("test", &n.to_string()),
            postings: vec![
                NewPosting { account: id(master), amount: 1 },
                NewPosting { account: id(leaves[n / 2_500]), amount: -1 },
            ],
            holds: Vec::new(),
            reverses: None,
            metadata: None,
        });
        let posted = ledger::post(&db, &alice(), entries.collect()).expect("posted");
        let first = posted[0].as_ref().expect("posted").number;
        let subjects = |scope: &Scope| -> Vec<String> {
            let filter = Filter { kinds: vec!["ledger.posted".to_owned()], ..Filter::default() };
            let page = db.read(|conn| events::newest(conn, scope, &filter, 1)).expect("a page");
            page.events.into_iter().map(|e| e.subject).collect()
        };
        let half = first + 2_500;
        assert_eq!(subjects(&scope("product:tiktok")), [format!("entries {first}-{}", half - 1)]);
        assert_eq!(subjects(&scope("product:douyin")), [format!("entries {half}-{}", first + 4_999)]);
        assert_eq!(subjects(&scope("master:m00")), [format!("entries {first}-{}", first + 4_999)]);
        assert_eq!(subjects(&scope("product:capcut")), Vec::<String>::new());
        assert_eq!(subjects(&Scope::nothing()), Vec::<String>::new());
    });
}

#[test]
fn events_are_found_by_kind_subject_actor_and_time() {
    on_both(|test| {
        let clock = Arc::new(SetClock::at("2026-03-02T09:00:00Z".parse().expect("an instant")));
        let db = test.open(Options { clock: clock.clone(), ..Options::default() });
        for (n, kind) in ["a.one", "a.two", "b.one", "A.one"].into_iter().enumerate() {
            clock.set(clock.now() + chrono::TimeDelta::hours(1));
            let command = move |tx: &mut tributary::db::Tx<'_>| Ok(tx.event(kind, &format!("s{n}"), None, None));
            db.write("test", &alice(), command).expect("recorded");
        }
        let found = |filter: Filter| -> Vec<String> {
            let page = db.read(|conn| events::page(conn, &Scope::everything(), &filter, 0, 100)).expect("a page");
            let back = db.read(|conn| events::newest(conn, &Scope::everything(), &filter, 100)).expect("a page");
            assert_eq!(page.events, back.events, "{filter:?}");
            page.events.into_iter().map(|e| e.kind).collect()
        };
        let at = |text: &str| Some(text.parse().expect("an instant"));
        let kinds = |of: &[&str]| of.iter().map(|k| (*k).to_owned()).collect::<Vec<String>>();
        assert_eq!(found(Filter::default()), ["a.one", "a.two", "b.one", "A.one"]);
        assert_eq!(found(Filter { kinds: kinds(&["a."]), ..Filter::default() }), ["a.one", "a.two"]);
        assert_eq!(found(Filter { kinds: kinds(&["b", "a.t"]), ..Filter::default() }), ["a.two", "b.one"]);
        assert_eq!(found(Filter { subject: Some("s2".to_owned()), ..Filter::default() }), ["b.one"]);
        assert_eq!(found(Filter { actor: Some("operator:bob".to_owned()), ..Filter::default() }), Vec::<String>::new());
        let (from, until) = (at("2026-03-02T11:00:00Z"), at("2026-03-02T13:00:00Z"));
        assert_eq!(found(Filter { from, until, ..Filter::default() }), ["a.two", "b.one"]);
        assert_eq!(found(Filter { from: at("2027-01-01T00:00:00Z"), ..Filter::default() }), Vec::<String>::new());
        assert_eq!(found(Filter { until: at("2020-01-01T00:00:00Z"), ..Filter::default() }), Vec::<String>::new());
        assert_eq!(found(Filter { last: Some(1), ..Filter::default() }), ["a.one"]);
    });
}
