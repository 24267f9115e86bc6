//! SIGKILL in the middle of an import, a hundred times: what was acknowledged is there, nothing is there twice, and the end is
//! the same as if nothing had happened.
//!
//! The child is the real binary; each line that it prints for a file is an acknowledgement. `TRIBUTARY_KILLS` sets how often
//! it is killed, `TRIBUTARY_SEED` the moments.

use crate::databases::{Engine, TestDb};
use crate::given::{self, Dice, assert_clean, camt, lines, mt, statement, sum};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tributary::db::{Db, Options};
use tributary::money::Minor;
use tributary::scope::Scope;
use tributary::time::SystemClock;
use tributary::{positions, statements};

const SMALL_FILES: u64 = 40;
const FILES: usize = 42;

/// Forty days of some forty lines for one master, two days of some 2,000 lines for another, which are posted in many slices;
/// camt and MT940 by turns. An import takes a few seconds.
fn write_files(folder: &Path) -> usize {
    let mut dice = Dice::new(1);
    let booked = lines(&mut dice, 1..=SMALL_FILES, 36);
    let many = lines(&mut dice, 1..=2, 1_800);
    let mut count = 0;
    let mut write = |name: String, master, number: u64, booked: &[_]| {
        let id = format!("S{master}N{number}");
        let told = [statement(master, &id, number, (number, number), booked)];
        count += told[0].1.len();
        let bytes = if number.is_multiple_of(4) { mt(&told) } else { camt(&id, &told) };
        std::fs::write(folder.join(name), bytes).expect("written");
    };
    for number in 1..=SMALL_FILES {
        write(format!("{number:02}.sta"), 0, number, &booked);
    }
    // Between the small files, so that kills hit all kinds of moments.
    write("20-large.xml".to_owned(), 1, 1, &many);
    write("30-large.xml".to_owned(), 1, 2, &many);
    count
}

/// A running import of a folder.
fn import(test: &TestDb, folder: &Path) -> Child {
    let url = match &test.url {
        tributary::db::Url::Lite(path) => format!("sqlite://{}", path.display()),
        tributary::db::Url::Pg(url) => url.clone(),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.args(["statement", "import"]).arg(folder).args(["--database", &url]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// What an import came to.
struct Ran {
    /// Names of the files that it acknowledged.
    acknowledged: Vec<String>,
    /// It was not killed.
    finished: bool,
}

/// Runs an import and kills it after a while, if it still runs then.
fn run(test: &TestDb, folder: &Path, kill_after: Option<Duration>) -> Ran {
    let begin = Instant::now();
    let mut child = import(test, folder);
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let (tell, told) = channel();
    let reader = std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(|l| drop(tell.send(l))));
    let mut acknowledged = Vec::new();
    loop {
        let line = match kill_after.map(|after| after.saturating_sub(begin.elapsed())) {
            None => told.recv().ok(),
            Some(left) => match told.recv_timeout(left) {
                Ok(line) => Some(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    child.kill().expect("SIGKILL");
                    break;
                }
            },
        };
        let Some(line) = line else { break };
        acknowledged.extend(acknowledgement(&line));
    }
    let end = child.wait_with_output().expect("it ends");
    reader.join().expect("the reader ends");
    acknowledged.extend(told.try_iter().filter_map(|line| acknowledgement(&line)));
    let finished = end.status.code().is_some();
    assert!(!finished || end.status.success(), "{}", String::from_utf8_lossy(&end.stderr));
    Ran { acknowledged, finished }
}

/// `/folder/01.sta: 60 new lines, 0 known from other files`.
fn acknowledgement(line: &str) -> Option<String> {
    let (path, said) = line.split_once(": ")?;
    let done = said.contains("new lines") || said.contains("already imported");
    let name = Path::new(path).file_name()?.to_str()?;
    done.then(|| name.to_owned())
}

/// Every acknowledged file is accepted, and each of its statements posted with all of its lines.
#[track_caller]
fn assert_kept<'a>(test: &TestDb, acknowledged: impl Iterator<Item = &'a String>) {
    let db = Db::open_to_read(&test.url, Arc::new(SystemClock)).expect("opens after a crash");
    let files = db.read(|conn| statements::files(conn, 1_000)).expect("read");
    for name in acknowledged {
        let file = files.iter().find(|f| f.name == *name).unwrap_or_else(|| panic!("{name} is gone"));
        assert_eq!(file.state, "accepted", "{name}");
        for told in db.read(|conn| statements::statements_of_file(conn, &file.id)).expect("read") {
            let stored = db.read(|conn| statements::lines_of(conn, &told.id)).expect("read").len();
            assert_eq!((told.state.as_str(), i64::try_from(stored)), ("posted", Ok(told.booked_count)), "{name}");
        }
    }
}

/// Everything that must not depend on crashes.
#[derive(Debug, PartialEq)]
struct Outcome {
    positions: String,
    lines: i64,
    routes: i64,
    entries: i64,
    postings: i64,
}

fn outcome(test: &TestDb) -> Outcome {
    let db = test.open(Options::default());
    assert_clean(&db);
    let report = db.read(|conn| positions::positions(conn, &Scope::everything(), None)).expect("positions");
    let count = |table: &str| given::number(&test.url, &format!("SELECT count(*) AS value FROM {table}"));
    Outcome {
        positions: serde_json::to_string(&report).expect("JSON"),
        lines: count("lines"),
        routes: count("routes"),
        entries: count("entries"),
        postings: count("postings"),
    }
}

fn fresh(engine: Engine) -> TestDb {
    let test = TestDb::new(engine);
    given::treasury(&test.open(Options::default()), 0..2);
    test
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn survives_kills(engine: Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let line_count = write_files(folder.path());
    let whole = fresh(engine);
    let begin = Instant::now();
    assert!(run(&whole, folder.path(), None).finished);
    let duration = begin.elapsed();
    let expected = outcome(&whole);
    assert_eq!(usize::try_from(expected.lines), Ok(line_count));
    assert!(expected.positions.contains(&Minor(100_000 + total()).to_text("EUR".parse().expect("EUR"))));
    let (kills, seed) = (setting("TRIBUTARY_KILLS", 100), setting("TRIBUTARY_SEED", 1));
    let (mut dice, mut killed, mut databases) = (Dice::new(seed), 0, 0);
    while killed < kills {
        databases += 1;
        let test = fresh(engine);
        let mut acknowledged = BTreeSet::new();
        loop {
            // At any moment of what is left to do, so that few runs come to their end.
            let left = (FILES - acknowledged.len()).max(FILES / 6);
            let span = duration.as_micros() * left as u128 / FILES as u128;
            let moment = Duration::from_micros(dice.below(u64::try_from(span).expect("a while")));
            let ran = run(&test, folder.path(), (killed < kills).then_some(moment));
            // Those of earlier runs are looked at again at the end.
            assert_kept(&test, ran.acknowledged.iter());
            acknowledged.extend(ran.acknowledged);
            if ran.finished {
                break;
            }
            killed += 1;
        }
        assert_eq!(acknowledged.len(), FILES);
        assert_kept(&test, acknowledged.iter());
        assert_eq!(outcome(&test), expected, "after {killed} kills with TRIBUTARY_SEED={seed}");
    }
    println!("{engine}: {killed} kills of {databases} imports that take {duration:?} each");
}

/// What the bank says the first master has at the end, less its opening.
fn total() -> i64 {
    sum(&lines(&mut Dice::new(1), 1..=SMALL_FILES, 36))
}

#[test]
fn an_import_into_sqlite_survives_kills_at_any_moment() {
    survives_kills(Engine::Sqlite);
}

#[test]
fn an_import_into_postgres_survives_kills_at_any_moment() {
    survives_kills(Engine::Postgres);
}
