//! How the treasury stands, for a monitoring system.

use super::open::send;
use super::{Served, on_both};
use crate::given::{camt, day, line, statement};

#[test]
fn machines_are_watched_without_seeing_money_and_auditors_see_amounts() {
    on_both(|test| {
        let served = Served::on(test);
        let (_, operator) = served.person("op", &[("operator", "all")]);
        let (_, auditor) = served.person("aud", &[("auditor", "all")]);
        let (_, part) = served.person("part", &[("operator", "all"), ("product-viewer", "product:tiktok")]);
        let told = served.get("/metrics", &operator);
        assert_eq!((told.status, told.header("content-type")), (200, Some("text/plain; version=0.0.4")));
        assert!(told.text.contains("\ntributary_missing_statements 0\n") && told.text.contains("\ntributary_entries "));
        for without in [&told.text, &served.get("/metrics", &part).text] {
            assert!(!without.contains("_amount"), "{without}");
        }
        let all = served.get("/metrics", &auditor).text;
        assert!(all.contains("tributary_book_amount{master=\"m00\",currency=\"EUR\"} 1000.00\n"), "{all}");
        // Each line is a comment, or a name with labels and a number.
        for line in all.lines().filter(|l| !l.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            assert!(name.starts_with("tributary_") && value.parse::<f64>().is_ok(), "{line}");
        }
        assert_eq!(served.get("/metrics?colour=red", &auditor).code(), "bad_query");
        let (_, nobody) = served.person("nobody", &[]);
        assert_eq!(served.get("/metrics", &nobody).status, 403);
    });
}

#[test]
fn the_age_of_the_oldest_break_of_each_master_is_told() {
    on_both(|test| {
        let served = Served::on(test);
        let (owner, ann) = served.person("ann", &[("treasurer", "all")]);
        let (_, machine) = served.key(&owner, &[("monitor", "all")]);
        assert!(!served.get("/metrics", &machine).text.contains("open_break_oldest_days{"), "nothing is open");
        let bank = [line(day(2), 100, "tiktok a"), line(day(3), 700, "tiktok b"), line(day(4), 50, "tiktok c")];
        for (id, number, on) in [("S1", 1, 2), ("S3", 3, 4)] {
            let file = camt(id, &[statement(0, id, number, (on, on), &bank)]);
            assert_eq!(send(&served, "/v1/statement-files?name=x", &ann, None, &file).status, 200);
        }
        served.clock.set("2026-03-10T12:00:00Z".parse().expect("an instant"));
        let told = served.get("/metrics", &machine).text;
        assert!(told.contains("tributary_open_breaks{master=\"m00\",kind=\"missing_days\"} 1\n"), "{told}");
        assert!(told.contains("tributary_open_break_oldest_days{master=\"m00\"} 6\n"), "{told}");
    });
}
