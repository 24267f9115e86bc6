//! Four eyes: what is proposed and decided stays as it was, whoever changes it by SQL is found, and the command line asks a person
//! to sign in.

use crate::access::{PASSWORD, opened, person, tributary};
use crate::databases::{Engine, TestDb, on_both};
use crate::given::{assert_clean, number, sql, treasury};
use crate::tampering::drop_protection;
use std::sync::Arc;
use tributary::access::Joined;
use tributary::actor::Actor;
use tributary::app;
use tributary::approvals::{self, PoliciesFile};
use tributary::db::{Db, Options, Who};
use tributary::four_eyes::{self, Approved, Came, Change, Limits};
use tributary::scope::Scope;

const LEAF: &str = "m00/tiktok/de/operating";

fn who(person: &Joined) -> Arc<Who> {
    Arc::new(Who { actor: Actor::person(&person.person), scope: Scope::nothing() })
}

fn propose(db: &Db, maker: &Joined, change: Change) -> (String, String) {
    match four_eyes::submit(db, &who(maker), change).expect("proposed") {
        Came::Waits(id) => {
            let now = db.clock().now();
            let shown = db.read(|conn| approvals::show(conn, &Actor::operator("otto"), &id, now)).expect("shown");
            (id, shown.digest)
        }
        Came::Done(done) => panic!("done at once: {done:?}"),
    }
}

fn floor(amount: &str) -> Change {
    let (floor, reason) = (Some(amount.to_owned()), "a test of it".to_owned());
    Change::Limits(Limits { leaf: LEAF.to_owned(), floor, reason, ..Limits::default() })
}

/// A proposal that was carried out by two, one that was rejected, one that is void, one that is open with one approval.
fn prepared(test: &TestDb) -> Db {
    let (_, db) = opened(test);
    treasury(&db, 0..1);
    let rick = person(&db, "rick", &["rule-keeper"]);
    let [ann, ben, cai] = ["ann", "ben", "cai"].map(|login| person(&db, login, &["approver"]));
    let two = "[[policy]]\nkind = \"limits\"\nneeds = { permission = \"changes.approve\", count = 2 }\n";
    let policies = Change::Policies(PoliciesFile::parse(two).expect("a file"));
    for change in [policies, floor("1.00")] {
        let (id, digest) = propose(&db, &rick, change);
        assert_eq!(four_eyes::approve(&db, &who(&ann), &id, &digest, "read it"), Ok(Approved::Waits));
        let done = four_eyes::approve(&db, &who(&ben), &id, &digest[..12], "").expect("approved");
        assert!(matches!(done, Approved::CarriedOut(_)), "{done:?}");
    }
    let (id, digest) = propose(&db, &rick, floor("2.00"));
    four_eyes::reject(&db, &who(&cai), &id, &digest, "not now").expect("rejected");
    propose(&db, &rick, floor("3.00"));
    let (id, digest) = propose(&db, &rick, floor("4.00"));
    four_eyes::approve(&db, &who(&cai), &id, &digest, "").expect("approved");
    assert_clean(&db);
    db
}

#[test]
fn the_database_keeps_what_was_proposed_and_decided() {
    on_both(|test| {
        let db = prepared(test);
        for attack in [
            "UPDATE proposals SET content = '{}' WHERE state = 'open'",
            "UPDATE proposals SET policy = '{}' WHERE state = 'open'",
            "UPDATE proposals SET state = 'open', ended_at = NULL WHERE state = 'rejected'",
            "DELETE FROM proposals",
            "UPDATE decisions SET decision = 'approve'",
            "DELETE FROM decisions",
            "UPDATE approval_policies SET needs = '{}'",
            "DELETE FROM approval_policies",
        ] {
            let no = sql(&test.url, attack).expect_err(attack);
            assert!(no.contains("append-only") || no.contains("what is proposed never changes"), "{attack}: {no}");
        }
        let twice = "INSERT INTO decisions SELECT proposal, place + 7, person, digest, decision, reason, decided_at FROM decisions";
        sql(&test.url, twice).expect_err("each person decides once");
        assert_clean(&db);
    });
}

#[test]
fn whoever_changes_a_proposal_or_a_decision_by_sql_is_found() {
    on_both(|test| {
        let db = prepared(test);
        drop_protection(test);
        let run = |text: &str| sql(&test.url, text).unwrap_or_else(|e| panic!("{text}: {e}"));
        if test.engine == Engine::Postgres {
            run("ALTER TABLE decisions DROP CONSTRAINT decisions_proposal_fkey");
        }
        for table in ["proposals", "decisions", "approval_policies"] {
            run(&format!("CREATE TABLE {table}_kept AS SELECT * FROM {table}"));
        }
        let texts = ["kind", "subject", "digest", "targets", "policy", "maker"];
        let changed =
            texts.map(|column| format!("UPDATE proposals SET {column} = {column} || ' ' WHERE state = 'approved'"));
        let other = [
            "UPDATE proposals SET content = '{}' WHERE state = 'approved'",
            "UPDATE proposals SET effect = '{}' WHERE state = 'approved'",
            "UPDATE proposals SET maker_person = NULL",
            "UPDATE proposals SET maker_person = (SELECT person FROM decisions WHERE proposal = id AND place = 1) WHERE state = 'approved'",
            "UPDATE proposals SET expires_at = made_at",
            "UPDATE proposals SET state = 'open', ended_at = NULL WHERE state = 'rejected'",
            "UPDATE proposals SET state = 'approved', ended_at = made_at WHERE state = 'open'",
            "UPDATE proposals SET state = 'withdrawn' WHERE state = 'void'",
            "DELETE FROM proposals WHERE state = 'void'",
            "DELETE FROM decisions WHERE place = 2",
            "DELETE FROM decisions WHERE decision = 'reject'",
            "UPDATE decisions SET digest = 'x'",
            "UPDATE decisions SET decision = 'approve'",
            "UPDATE decisions SET person = (SELECT maker_person FROM proposals WHERE id = proposal) WHERE place = 1",
            "UPDATE approval_policies SET needs = '{}'",
            "UPDATE approval_policies SET expires_days = 99",
            "DELETE FROM approval_policies",
        ];
        let mut unseen = Vec::new();
        for attack in changed.iter().map(String::as_str).chain(other) {
            run(attack);
            if app::check(&db, |_, _| {}).expect("check goes on").is_empty() {
                unseen.push(attack);
            }
            for table in ["decisions", "proposals", "approval_policies"] {
                run(&format!("DELETE FROM {table}"));
            }
            for table in ["proposals", "decisions", "approval_policies"] {
                run(&format!("INSERT INTO {table} SELECT * FROM {table}_kept"));
            }
        }
        assert!(unseen.is_empty(), "check does not see\n  {}", unseen.join("\n  "));
        assert_clean(&db);
    });
}

/// The document that the binary prints, and how it ended.
fn said(answer: (i32, String, String)) -> (i32, serde_json::Value) {
    let (code, out, err) = answer;
    (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}")))
}

#[test]
fn the_command_line_proposes_and_a_person_who_signs_in_decides() {
    on_both(|test| {
        let (_, db) = opened(test);
        treasury(&db, 0..1);
        let [ann, ben] = ["ann", "ben"].map(|login| person(&db, login, &["approver"]));
        person(&db, "eve", &["administrator"]);
        drop(db);
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let rules = file("rules.toml", "retire = [\"tiktok\"]\n");
        let limit = ["chart", "limit", LEAF, "--ceiling", "900.00", "--reason", "the board's paper"];
        for (number, arguments) in [&["rules", "apply", &rules][..], &limit].into_iter().enumerate() {
            let (code, asked) = said(tributary(test, arguments, &[]));
            let waits = &asked["waiting_for_approval"];
            assert_eq!((code, &waits["state"]), (0, &"open".into()), "{asked}");
            let (id, digest) = (waits["proposal"].as_str().expect("an id"), waits["digest"].as_str().expect("one"));
            let decide = |digest: &str, login: &str, lines: &[&str]| {
                let arguments = ["approvals", "approve", id, "--digest", digest, "--login", login];
                said(tributary(test, &arguments, lines))
            };
            // Before anybody signs in: a code counts once.
            let (code, no) = decide("0123456789abcdef", "ann", &[]);
            assert_eq!((code, &no["error"]["code"]), (1, &"other_content".into()), "{no}");
            let (code, done) = decide(digest, "ann", &[PASSWORD, ann.recovery_codes[number].reveal()]);
            assert_eq!((code, &done["state"]), (0, &"approved".into()), "{done}");
        }
        // A chart file cannot go around it, and a person is added whose role waits.
        let chart = file(
            "chart.toml",
            "[[sub_account]]\nmaster = \"m00\"\nproduct = \"tiktok\"\nmarket = \"DE\"\npurpose = \"operating\"\nfloor = \"none\"\n",
        );
        let (code, no) = said(tributary(test, &["chart", "apply", &chart], &[]));
        assert_eq!((code, &no["error"]["code"]), (1, &"propose_instead".into()), "{no}");
        let add = ["people", "add", "dan", "--name", "Dan", "--role", "treasurer"];
        let (code, added) = said(tributary(test, &add, &[]));
        assert_eq!((code, added["waiting_for_approval"].as_array().map(Vec::len)), (0, Some(1)), "{added}");
        let (_, people) = said(tributary(test, &["people", "list"], &[]));
        let dan = people.as_array().expect("people").iter().find(|p| p["login"] == "dan").expect("dan");
        assert_eq!(dan["roles"], serde_json::json!([]));
        let id = added["waiting_for_approval"][0].as_str().expect("an id");
        let (_, shown) = said(tributary(test, &["approvals", "show", id], &[]));
        let digest = shown["digest"].as_str().expect("a digest");
        let reject =
            ["approvals", "reject", id, "--digest", digest, "--login", "ben", "--reason", "he leaves next week"];
        let (code, done) = said(tributary(test, &reject, &[PASSWORD, ben.recovery_codes[0].reveal()]));
        assert_eq!((code, &done["state"]), (0, &"rejected".into()), "{done}");
        let (_, list) = said(tributary(test, &["approvals", "list"], &[]));
        assert_eq!(list["proposals"], serde_json::json!([]));
        // What lies in a folder is proposed too; the file itself is taken.
        let inside = |name: &str| folder.path().join(name);
        std::fs::create_dir(inside("in")).expect("a folder");
        let [incoming, archive, refused] = ["in", "archive", "refused"].map(inside);
        let config = format!(
            "[folder.erp]\nkind = 'expectations'\nincoming = {incoming:?}\narchive = {archive:?}\nrefused = {refused:?}\nstill_seconds = 0\n"
        );
        let config = file("tributary.toml", &config);
        let receipts = format!("key,leaf,amount,from,until,reference\nE1,{LEAF},10.00,2026-03-01,2026-03-09,INV-77\n");
        std::fs::write(inside("in/receipts.csv"), receipts).expect("written");
        let (code, taken) = said(tributary(test, &["--config", &config, "folder", "take"], &[]));
        assert_eq!((code, &taken["files"][0]["outcome"]), (0, &"taken".into()), "{taken}");
        assert!(taken.to_string().contains("waits for approval pr_"), "{taken}");
        let (_, list) = said(tributary(test, &["expect", "list"], &[]));
        assert_eq!(list["expectations"], serde_json::json!([]));
        // Each was signed out again.
        assert_eq!(number(&test.url, "SELECT count(*) AS value FROM sessions WHERE ended_at IS NULL"), 0);
        assert_clean(&test.open(Options::default()));
    });
}
