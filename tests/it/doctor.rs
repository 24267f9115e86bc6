//! One look at configuration, database, work and access.

use crate::databases::{Engine, TestDb, on_both};
use crate::given::{sql, treasury};
use std::sync::Arc;
use tributary::config;
use tributary::db::{Options, Url};
use tributary::doctor::{Finding, State, examine};
use tributary::error::Error;
use tributary::time::{Clock, Instant, SystemClock};

fn looked(url: &Url) -> Vec<Finding> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    examine(config::load(None), url, &clock)
}

#[track_caller]
fn one(found: &[Finding], about: &str, text: &str) -> State {
    let found = found.iter().find(|f| f.about == about && f.found.contains(text));
    let found = found.unwrap_or_else(|| panic!("nothing says \"{text}\" about {about}"));
    assert!(found.state == State::Well || found.mend.is_some(), "what mends it: {found:?}");
    found.state
}

#[test]
fn a_treasury_that_is_well_has_nothing_wrong() {
    on_both(|db| {
        treasury(&db.open(Options::default()), 0..1);
        let found = looked(&db.url);
        assert!(found.iter().all(|f| f.state != State::Wrong), "{found:?}");
        assert_eq!(one(&found, "journal", "the newest of"), State::Well);
        assert_eq!(one(&found, "access", "there is nobody yet"), State::Look);
    });
}

#[test]
fn what_is_not_there_and_what_cannot_be_read_is_said_and_the_rest_is_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let found = looked(&Url::Lite(folder.path().join("none.sqlite")));
    assert_eq!(one(&found, "database", "there is no database at"), State::Wrong);
    assert!(found.iter().all(|f| f.about != "journal"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = Err(Error::Refused { code: "configuration", message: "no such setting: databse".to_owned() });
    let found = examine(config, &Url::Lite(folder.path().join("none.sqlite")), &clock);
    assert_eq!(one(&found, "configuration", "databse"), State::Wrong);
}

#[test]
fn a_clock_behind_the_journal_is_wrong() {
    #[derive(Debug)]
    struct Behind;
    impl Clock for Behind {
        fn now(&self) -> Instant {
            SystemClock.now() - chrono::TimeDelta::hours(2)
        }
    }
    on_both(|db| {
        treasury(&db.open(Options::default()), 0..1);
        let clock: Arc<dyn Clock> = Arc::new(Behind);
        assert_eq!(one(&examine(config::load(None), &db.url, &clock), "journal", "later than"), State::Wrong);
    });
}

#[test]
fn work_that_nobody_goes_on_with_is_told() {
    on_both(|db| {
        treasury(&db.open(Options::default()), 0..1);
        let old = "2026-01-01 00:00:00";
        let job = format!(
            "INSERT INTO jobs (id, kind, subject, state, cursor, created_at) VALUES ('jb_1', 'statement.post', 'file_1', 'ready', '{{}}', '{old}')"
        );
        sql(&db.url, &job).expect("stored");
        assert_eq!(one(&looked(&db.url), "work", "file_1 is not done"), State::Look);
    });
}

#[test]
#[cfg(unix)]
fn a_database_that_everybody_can_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let db = TestDb::new(Engine::Sqlite);
    treasury(&db.open(Options::default()), 0..1);
    let Url::Lite(path) = &db.url else { return };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).expect("set");
    assert_eq!(one(&looked(&db.url), "disk", "everybody"), State::Look);
}
