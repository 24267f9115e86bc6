//! Folders that banks drop files into: what stories cannot tell. Crashes, two at once, what lies there that is no file, what
//! the file system refuses, the other kinds of files, and the binary itself.

use crate::databases::{TestDb, on_both};
use crate::given::{self, alice, assert_clean, camt, line, number, statement, texts};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tributary::allocation::intake;
use tributary::banking::Profiles;
use tributary::config;
use tributary::db::{Db, Options, Url};
use tributary::folders::{self, Desk, Folder, Memory, Outcome, State, Taken};
use tributary::statements;
use tributary::time::{Instant, SetClock};

/// When all of this happens: files that came a minute before are still.
fn now() -> Instant {
    "2026-03-20T12:00:00Z".parse().expect("an instant")
}

fn clock() -> Arc<SetClock> {
    Arc::new(SetClock::at(now()))
}

fn open(test: &TestDb) -> Db {
    let db = test.open(Options { clock: clock(), ..Options::default() });
    given::treasury(&db, 0..1);
    db
}

/// A folder of its own, with further keys.
fn folder(root: &Path, keys: &str) -> Folder {
    let mut text = format!("[rhein]\n{keys}\n");
    for place in ["incoming", "archive", "refused"] {
        text.push_str(&format!("{place} = {:?}\n", root.join(place)));
    }
    fs::create_dir_all(root.join("incoming")).expect("a folder");
    let settings: BTreeMap<String, config::Folder> = toml::from_str(&text).expect("settings");
    folders::declared(&settings, &[]).expect("a folder").pop().expect("one")
}

/// Puts a file into a folder, a minute ago.
fn put(folder: &Folder, name: &str, bytes: &[u8]) {
    let path = folder.incoming.join(name);
    fs::write(&path, bytes).expect("written");
    let file = File::options().write(true).open(&path).expect("it is there");
    file.set_modified((now() - chrono::TimeDelta::seconds(60)).into()).expect("a time");
}

/// The statement of a day of March with one line.
fn bank_file(on: u64) -> Vec<u8> {
    let booked: Vec<_> = (2..=on).map(|n| line(given::day(n), 1_000, "tiktok order")).collect();
    let id = format!("S{on}");
    camt(&id, &[statement(0, &id, on, (on, on), &booked)])
}

fn take(db: &Db, folder: &Folder) -> tributary::error::Result<Vec<Taken>> {
    take_with(db, folder, &|| false)
}

fn take_with(db: &Db, folder: &Folder, stop: &dyn Fn() -> bool) -> tributary::error::Result<Vec<Taken>> {
    let (who, profiles, mut all) = (alice(), Profiles::default(), Vec::new());
    let desk = Desk { db, who: &who, profiles: &profiles };
    folders::take(&desk, folder, &mut Memory::default(), stop, &mut |t| all.push(t.clone()))?;
    Ok(all)
}

fn outcomes(all: &[Taken]) -> Vec<(&str, Outcome)> {
    all.iter().map(|t| (t.file.as_str(), t.outcome)).collect()
}

/// Names in a folder of the day, without what begins with a dot.
fn names(place: &Path) -> Vec<String> {
    let day = place.join("2026-03-20");
    let Ok(entries) = fs::read_dir(day) else { return Vec::new() };
    let mut all: Vec<String> =
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    all.sort();
    all
}

#[test]
fn a_crash_between_taking_and_moving_leads_to_the_same_end() {
    on_both(|test| {
        let (db, root) = (open(test), tempfile::tempdir().expect("a folder"));
        let folder = folder(root.path(), "");
        let bytes = bank_file(2);
        put(&folder, "a.xml", &bytes);
        // Taken in, and then the machine is gone.
        let path = folder.incoming.join("a.xml");
        let open = || Ok(Box::new(File::open(&path)?) as Box<dyn Read>);
        intake::take_in(&db, &alice(), ("a.xml", "folder:rhein"), &open, &mut |_, _| {}).expect("taken in");
        let head = db.read(tributary::db::head).expect("a head");
        let all = take(&db, &folder).expect("a look");
        assert_eq!(outcomes(&all), [("a.xml", Outcome::AlreadyTaken)]);
        assert_eq!(db.read(tributary::db::head).expect("a head").seal, head.seal, "nothing changed");
        let archived = names(&folder.archive);
        assert_eq!(archived.len(), 1);
        assert!(archived[0].starts_with("a-") && archived[0].ends_with(".xml"), "{archived:?}");
        assert_eq!(fs::read(folder.archive.join("2026-03-20").join(&archived[0])).expect("it is there"), bytes);
        assert!(take(&db, &folder).expect("a look").is_empty());
        assert_clean(&db);
    });
}

#[test]
fn what_a_crash_left_beside_a_moved_file_is_moved_after_it() {
    on_both(|test| {
        let (db, root) = (open(test), tempfile::tempdir().expect("a folder"));
        let folder = folder(root.path(), "ready = 'marker'");
        put(&folder, "daily.xml", &bank_file(2));
        put(&folder, "daily.xml.done", b"");
        assert_eq!(outcomes(&take(&db, &folder).expect("a look")), [("daily.xml", Outcome::Taken)]);
        let [file, marker] = names(&folder.archive).try_into().expect("the file and its marker");
        assert_eq!(marker, format!("{file}.done"));
        // As after a crash: the marker is back, and was there before its file was moved.
        let day = folder.archive.join("2026-03-20");
        fs::rename(day.join(&marker), folder.incoming.join("daily.xml.done")).expect("moved");
        fs::rename(day.join(&file), day.join("x"))
            .and_then(|()| fs::rename(day.join("x"), day.join(&file)))
            .expect("moved");
        assert!(take(&db, &folder).expect("a look").is_empty());
        assert_eq!(names(&folder.archive), [file.clone(), marker]);
        // One that comes now is the next file's.
        put(&folder, "daily.xml.done", b"");
        assert_eq!(outcomes(&take(&db, &folder).expect("a look")), [("daily.xml.done", Outcome::Waits)]);
    });
}

#[test]
fn two_watchers_at_once_take_each_file_once() {
    on_both(|test| {
        let (db, root) = (open(test), tempfile::tempdir().expect("a folder"));
        let folder = folder(root.path(), "");
        for on in 2..=16 {
            put(&folder, &format!("{on:02}.xml"), &bank_file(on));
        }
        put(&folder, "junk.xml", b"this is no bank file");
        std::thread::scope(|scope| {
            let looks: Vec<_> = (0..2).map(|_| scope.spawn(|| take(&db, &folder))).collect();
            for look in looks {
                let all = look.join().expect("no panic").expect("a look");
                assert!(all.iter().all(|t| t.outcome != Outcome::Failed), "{all:?}");
            }
        });
        // What one has left to the other.
        take(&db, &folder).expect("a look");
        assert_eq!(names(&folder.archive).len(), 15);
        assert_eq!(names(&folder.refused).len(), 2);
        assert_eq!(fs::read_dir(&folder.incoming).expect("a folder").count(), 0);
        assert_eq!(number(&test.url, "SELECT COUNT(*) AS value FROM lines"), 15);
        assert_clean(&db);
    });
}

#[test]
fn what_is_no_file_is_left_alone_and_said() {
    on_both(|test| {
        let (db, root) = (open(test), tempfile::tempdir().expect("a folder"));
        let folder = folder(root.path(), "");
        let incoming = &folder.incoming;
        fs::create_dir(incoming.join("a-folder")).expect("a folder");
        put(&folder, "real.xml", &bank_file(2));
        fs::rename(incoming.join("real.xml"), root.path().join("real.xml")).expect("moved");
        std::os::unix::fs::symlink(root.path().join("real.xml"), incoming.join("b-link.xml")).expect("a link");
        assert!(Command::new("mkfifo").arg(incoming.join("c-pipe.xml")).status().expect("mkfifo runs").success());
        put(&folder, "d.xml.filepart", b"half of a statem");
        put(&folder, ".e.xml", b"half of a statem");
        put(&folder, "f.xml", b"");
        put(&folder, "g.xml.sha256", b"of a file that is not here");
        // Names that are no text, or would move a terminal's cursor, do no harm.
        let odd = incoming.join(std::ffi::OsStr::from_bytes(b"h\xff\x1b[2J\n.xml"));
        fs::write(&odd, bank_file(2)).expect("written");
        let file = File::options().write(true).open(&odd).expect("it is there");
        file.set_modified((now() - chrono::TimeDelta::seconds(60)).into()).expect("a time");
        put(&folder, "z.xml", &bank_file(3));
        let all = take(&db, &folder).expect("a look");
        let left = Outcome::LeftAlone;
        let expected = [
            (".e.xml", left),
            ("a-folder", left),
            ("b-link.xml", left),
            ("c-pipe.xml", left),
            ("d.xml.filepart", left),
            ("f.xml", Outcome::Waits),
            ("g.xml.sha256", Outcome::Waits),
            ("h\u{fffd}\\u{1b}[2J\\n.xml", Outcome::Taken),
            ("z.xml", Outcome::Taken),
        ];
        assert_eq!(outcomes(&all), expected);
        assert_eq!(
            names(&folder.archive)[0],
            "h\u{fffd}_[2J_-".to_owned() + &all[7].sha256.as_ref().expect("a digest")[..16] + ".xml"
        );
        assert!(incoming.join("b-link.xml").symlink_metadata().expect("it is there").is_symlink());
        assert_clean(&db);
    });
}

#[test]
fn a_file_that_changes_under_the_hands_waits_and_nothing_of_it_is_lost() {
    on_both(|test| {
        let (db, root) = (open(test), tempfile::tempdir().expect("a folder"));
        let folder = folder(root.path(), "");
        put(&folder, "a.xml", &bank_file(2));
        // After the folder was read, and before the file is.
        let changes = || {
            put(&folder, "a.xml", &bank_file(3));
            false
        };
        assert_eq!(outcomes(&take_with(&db, &folder, &changes).expect("a look")), [("a.xml", Outcome::Waits)]);
        assert!(names(&folder.archive).is_empty());
        assert_eq!(outcomes(&take(&db, &folder).expect("a look")), [("a.xml", Outcome::Taken)]);
        // Gone meanwhile: another watcher's.
        put(&folder, "b.xml", &bank_file(2));
        let goes = || fs::remove_file(folder.incoming.join("b.xml")).is_err();
        assert!(take_with(&db, &folder, &goes).expect("a look").is_empty());
        // Stopped between two files.
        put(&folder, "c.xml", &bank_file(2));
        assert!(take_with(&db, &folder, &|| true).expect("a look").is_empty());
        assert!(folder.incoming.join("c.xml").exists());
    });
}

#[test]
fn a_file_is_still_by_what_was_seen_of_it_too() {
    let (root, seconds) = (tempfile::tempdir().expect("a folder"), chrono::TimeDelta::seconds);
    let folder = folder(root.path(), "still_seconds = 30");
    put(&folder, "a.xml", b"x");
    let mut memory = Memory::default();
    let mut ready = |at: Instant| folders::look(&folder, &mut memory, at).expect("a look")[0].state == State::Ready;
    assert!(!ready(now() - seconds(31)));
    assert!(ready(now() - seconds(30)));
    // A gateway that writes on and sets the time back each time.
    put(&folder, "a.xml", b"xx");
    assert!(!ready(now()));
    assert!(!ready(now() + seconds(29)));
    assert!(ready(now() + seconds(30)));
    // Of a clock that is ahead: only what is seen counts.
    put(&folder, "b.xml", b"x");
    let file = File::options().write(true).open(folder.incoming.join("b.xml")).expect("it is there");
    file.set_modified((now() + seconds(3_600)).into()).expect("a time");
    let mut memory = Memory::default();
    let mut ready = |at: Instant| folders::look(&folder, &mut memory, at).expect("a look")[1].state == State::Ready;
    assert!(!ready(now()));
    assert!(ready(now() + seconds(30)));
}

#[test]
fn nothing_is_taken_that_could_not_be_moved_away() {
    on_both(|test| {
        let (db, root) = (open(test), tempfile::tempdir().expect("a folder"));
        let folder = folder(root.path(), "");
        put(&folder, "a.xml", &bank_file(2));
        // A file where the archive should be, as a full or read-only disk: no folder of the day can be made.
        fs::write(&folder.archive, b"no folder").expect("written");
        let no = take(&db, &folder).expect_err("it cannot be archived");
        assert!(no.to_string().contains("nothing is taken until that is mended"), "{no}");
        assert_eq!(number(&test.url, "SELECT COUNT(*) AS value FROM statement_files"), 0);
        fs::remove_file(&folder.archive).expect("gone");
        assert_eq!(outcomes(&take(&db, &folder).expect("a look")), [("a.xml", Outcome::Taken)]);
        // No such folder.
        fs::remove_dir_all(&folder.incoming).expect("gone");
        assert_eq!(take(&db, &folder).expect_err("there is none").code(), "not_found");
    });
}

#[test]
fn a_disk_that_goes_away_in_the_middle_loses_nothing() {
    on_both(|test| {
        let (db, root) = (open(test), tempfile::tempdir().expect("a folder"));
        let folder = folder(root.path(), "");
        put(&folder, "a.xml", &bank_file(2));
        put(&folder, "junk.xml", b"this is no bank file");
        // After everything was found to be in order.
        let goes = || {
            for place in [&folder.archive, &folder.refused] {
                let _ = fs::remove_dir_all(place);
                fs::write(place, b"no folder").expect("written");
            }
            false
        };
        let all = take_with(&db, &folder, &goes).expect("a look");
        assert_eq!(outcomes(&all), [("a.xml", Outcome::Failed), ("junk.xml", Outcome::Failed)]);
        assert!(all[0].said.contains("1 new line") && all[0].said.contains("could not be moved away"), "{all:?}");
        for place in [&folder.archive, &folder.refused] {
            fs::remove_file(place).expect("gone");
        }
        let all = take(&db, &folder).expect("a look");
        assert_eq!(outcomes(&all), [("a.xml", Outcome::AlreadyTaken), ("junk.xml", Outcome::Refused)]);
        assert_eq!((names(&folder.archive).len(), names(&folder.refused).len()), (1, 2));
        assert_eq!(number(&test.url, "SELECT COUNT(*) AS value FROM lines"), 1);
        assert_clean(&db);
    });
}

#[test]
fn a_file_that_may_not_be_read_holds_up_no_other() {
    use std::os::unix::fs::PermissionsExt;
    on_both(|test| {
        let (db, root) = (open(test), tempfile::tempdir().expect("a folder"));
        let folder = folder(root.path(), "");
        put(&folder, "a.xml", &bank_file(2));
        put(&folder, "b.xml", &bank_file(3));
        let a = folder.incoming.join("a.xml");
        fs::set_permissions(&a, fs::Permissions::from_mode(0o000)).expect("set");
        // The system's administrator may read anything.
        let expected = if File::open(&a).is_ok() { Outcome::Taken } else { Outcome::Failed };
        let all = take(&db, &folder).expect("a look");
        assert_eq!(outcomes(&all), [("a.xml", expected), ("b.xml", Outcome::Taken)]);
        assert!(expected == Outcome::Taken || all[0].said.contains("the right to read it"), "{all:?}");
    });
}

#[test]
fn a_refused_file_lies_aside_with_a_report_and_an_event() {
    on_both(|test| {
        let (db, root) = (open(test), tempfile::tempdir().expect("a folder"));
        let folder = folder(root.path(), "");
        let whole = bank_file(2);
        put(&folder, "a.xml", &whole[..whole.len() - 200]);
        let all = take(&db, &folder).expect("a look");
        assert_eq!((all[0].outcome, all[0].code), (Outcome::Refused, Some("unreadable_file")));
        let report = fs::read_to_string(all[0].report.as_ref().expect("a report")).expect("text");
        for part in
            ["REFUSED: a.xml", "folder rhein", "What is wrong (unreadable_file)", "\nWhere\n", "What to do", "again"]
        {
            assert!(report.contains(part), "{part} in {report}");
        }
        let seen =
            texts(&test.url, "SELECT after AS value FROM events WHERE kind = 'folder.refused' AND subject = 'rhein'");
        assert!(seen.len() == 1 && seen[0].contains("unreadable_file") && !seen[0].contains("a.xml"), "{seen:?}");
        // Mended, under the same name.
        put(&folder, "a.xml", &whole);
        assert_eq!(outcomes(&take(&db, &folder).expect("a look")), [("a.xml", Outcome::Taken)]);
        let files = db.read(|conn| statements::files(conn, 9)).expect("files");
        assert_eq!((files[0].channel.as_str(), files[0].origin.as_str()), ("folder:rhein", "unverified"));
        assert_clean(&db);
    });
}

#[test]
fn settlements_expectations_and_rates_come_by_folder_too() {
    on_both(|test| {
        let (db, root) = (open(test), tempfile::tempdir().expect("a folder"));
        let of = |kind: &str, more: &str| folder(&root.path().join(kind), &format!("kind = '{kind}'\n{more}"));
        let rates = of("rates", "source = 'house'");
        put(&rates, "r.csv", b"date,base,currency,rate\n2026-03-19,EUR,USD,1.08\n");
        put(&rates, "wrong.csv", b"date,base,currency,rate\n2026-03-19,EUR,USD,dear\n");
        let all = take(&db, &rates).expect("a look");
        assert_eq!(outcomes(&all), [("r.csv", Outcome::Taken), ("wrong.csv", Outcome::Refused)]);
        assert_eq!(all[1].code, Some("bad_rates"));
        let expected = of("expectations", "");
        let leaf = "m00/tiktok/de/operating";
        put(
            &expected,
            "e.csv",
            format!("key,leaf,amount,from,until\nE1,{leaf},5.00,2026-03-01,2026-04-01\n").as_bytes(),
        );
        assert_eq!(outcomes(&take(&db, &expected).expect("a look")), [("e.csv", Outcome::Taken)]);
        let settlements = of("settlements", "");
        let sheet = format!(
            "settlement,master,platform,currency,total,paid_on,leaf,gross,net\nA1,m00,Apple,EUR,9.00,2026-03-19,{leaf},9.00,9.00\n"
        );
        put(&settlements, "s.csv", sheet.as_bytes());
        let all = take(&db, &settlements).expect("a look");
        assert_eq!(outcomes(&all), [("s.csv", Outcome::Taken)], "{all:?}");
        // The same files again change nothing, other content under the same name is refused.
        put(&settlements, "s.csv", sheet.as_bytes());
        put(&settlements, "t.csv", sheet.replace("9.00", "8.00").as_bytes());
        let all = take(&db, &settlements).expect("a look");
        assert_eq!(outcomes(&all), [("s.csv", Outcome::AlreadyTaken), ("t.csv", Outcome::Refused)]);
        assert_eq!(number(&test.url, "SELECT COUNT(*) AS value FROM events WHERE kind = 'folder.taken'"), 4);
        assert_clean(&db);
    });
}

#[test]
fn an_origin_or_alarm_that_is_tampered_with_is_found() {
    on_both(|test| {
        let (db, root) = (open(test), tempfile::tempdir().expect("a folder"));
        let folder = folder(root.path(), "checksum = 'required'");
        put(&folder, "a.xml", &bank_file(2));
        let sum = tributary::db::seal::hex(&tributary::db::seal::sha256(&bank_file(2)));
        put(&folder, "a.xml.sha256", sum.as_bytes());
        assert_eq!(take(&db, &folder).expect("a look")[0].origin.as_deref(), Some("complete by its checksum"));
        assert_clean(&db);
        let found = |change: &str, back: &str| {
            given::sql(&test.url, change).expect("changed");
            let found = tributary::app::check(&db, |_, _| {}).expect("check runs");
            given::sql(&test.url, back).expect("changed back");
            assert_clean(&db);
            found.iter().map(|v| v.what.clone()).collect::<Vec<_>>().join("; ")
        };
        let set = |origin: &str| format!("UPDATE statement_files SET origin = '{origin}'");
        let said = found(&set("signed by bank (ed25519 0)"), &set("complete by its checksum"));
        assert!(said.contains("but its event says \"complete by its checksum\""), "{said}");
        let alarm = "INSERT INTO missing_statements SELECT id, 'statement', '2026-03-02', '2026-03-03 08:00:00', \
                     '2026-03-03 08:00:00', NULL, NULL FROM masters";
        let said = found(alarm, "DELETE FROM missing_statements");
        assert!(said.contains("the alarm of the statement of 2026-03-02 of m00 has no event"), "{said}");
    });
}

/// The binary, with a configuration of its own.
struct Binary {
    root: tempfile::TempDir,
    url: String,
}

impl Binary {
    fn new(test: &TestDb) -> Binary {
        let url = match &test.url {
            Url::Lite(path) => format!("sqlite://{}", path.display()),
            Url::Pg(url) => url.clone(),
        };
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("in")).expect("a folder");
        let text = "[folder.rhein]\nincoming = 'in'\narchive = 'archive'\nrefused = 'refused'\nstill_seconds = 0\n\
                    [folder.gone]\nincoming = 'nowhere'\narchive = 'archive'\nrefused = 'refused'\n";
        fs::write(root.path().join("tributary.toml"), text).expect("written");
        Binary { root, url }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.args(args).args(["--database", &self.url]).current_dir(self.root.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> (String, String, Option<i32>) {
        let done = self.command(args).output().expect("the binary runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (text(done.stdout), text(done.stderr), done.status.code())
    }

    fn incoming(&self, name: &str) -> PathBuf {
        self.root.path().join("in").join(name)
    }
}

#[test]
fn the_commands_list_take_and_say_what_is_wrong() {
    on_both(|test| {
        drop(open(test));
        let binary = Binary::new(test);
        fs::write(binary.incoming("a.xml"), bank_file(2)).expect("written");
        let (text, ..) = binary.run(&["folder", "list", "rhein", "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(listed["folders"][0]["files"][0]["state"], "ready");
        // One folder that is not there holds up no other, and is said.
        let (text, _, code) = binary.run(&["folder", "take", "--json"]);
        let taken: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&taken["files"][0]["outcome"], code), (&"taken".into(), Some(1)));
        assert!(taken["problems"][0].as_str().expect("a problem").contains("nowhere"), "{taken}");
        let (text, _, code) = binary.run(&["folder", "take", "rhein"]);
        assert_eq!((text.as_str(), code), ("nothing has come\n", Some(0)));
        let (_, problem, code) = binary.run(&["folder", "take", "main"]);
        assert_eq!((problem.contains("declares gone, rhein"), code), (true, Some(1)), "{problem}");
        let (shown, ..) = binary.run(&["statement", "show"]);
        assert!(shown.contains("a.xml"), "{shown}");
    });
}

#[test]
fn a_watch_takes_what_comes_and_ends_between_two_files() {
    on_both(|test| {
        drop(open(test));
        let binary = Binary::new(test);
        let mut child =
            binary.command(&["folder", "watch", "rhein", "--every", "1", "--json"]).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        for on in 2..=4 {
            // As a careful gateway does: under another name first.
            fs::write(binary.incoming("x.part"), bank_file(on)).expect("written");
            fs::rename(binary.incoming("x.part"), binary.incoming("daily.xml")).expect("renamed");
            let said = loop {
                let line = lines.next().expect("it goes on").expect("text");
                let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
                if said["file"] == "daily.xml" {
                    break said;
                }
            };
            assert_eq!(said["outcome"], "taken", "{said}");
        }
        // While nothing comes, others may write.
        let (_, problem, code) =
            binary.run(&["chart", "freeze", "m00/tiktok/de/operating", "--reason", "a test of it"]);
        assert_eq!(code, Some(0), "{problem}");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        assert!(child.wait().expect("it ends").success());
        let db = test.open(Options::default());
        assert_eq!(number(&test.url, "SELECT COUNT(*) AS value FROM lines"), 3);
        assert_clean(&db);
    });
}
