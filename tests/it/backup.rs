//! A treasury as one file, and back, on either database.

use crate::databases::{BOTH, Engine, TestDb, on_both};
use crate::given::{Dice, alice, assert_clean, camt, lines, number, sql, statement, texts, treasury};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use tributary::allocation::intake;
use tributary::backup::{back_up, restore};
use tributary::db::{Db, Options, Url};
use tributary::error::Error;

/// A treasury with two masters and some days of statements, one of which brings what nobody can place.
fn filled(db: &Db) {
    treasury(db, 0..2);
    let mut dice = Dice::new(7);
    for master in 0..2 {
        let booked = lines(&mut dice, 1..=4, 6);
        for day in 1..=4 {
            let bytes = camt(&format!("M{master}-{day}"), &[statement(master, "S", day, (day, day), &booked)]);
            let open = || Ok(Box::new(std::io::Cursor::new(bytes.clone())) as Box<dyn Read>);
            intake::take_in(db, &alice(), (&format!("{master}-{day}.xml"), "test"), &open, &mut |_, _| {})
                .expect("taken in");
        }
    }
}

/// A place where a database may come to be: on SQLite no file, on PostgreSQL one without rows.
fn nothing_yet(engine: Engine) -> TestDb {
    let db = TestDb::new(engine);
    if let Url::Lite(path) = &db.url {
        std::fs::remove_file(path).expect("an empty database");
    }
    db
}

/// Every row of every table of a SQLite file, as SQLite shows it.
fn rows(file: &Path) -> BTreeMap<String, Vec<String>> {
    let url = Url::Lite(file.to_owned());
    let tables = texts(
        &url,
        "SELECT name AS value FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_\\_%' ESCAPE '\\'",
    );
    let all = tables.into_iter().map(|table| {
        let columns =
            texts(&url, &format!("SELECT 'quote(' || name || ')' AS value FROM pragma_table_info('{table}')"));
        let row = columns.join(" || ',' || ");
        let rows = texts(&url, &format!("SELECT {row} AS value FROM {table} ORDER BY 1"));
        (table, rows)
    });
    all.collect()
}

#[test]
fn what_is_restored_to_either_database_is_what_was_backed_up_row_for_row() {
    on_both(|from| {
        let folder = tempfile::tempdir().expect("a folder");
        let db = from.open(Options::default());
        filled(&db);
        let first = folder.path().join("first.sqlite");
        // The server is at work: `db` stays open for writing.
        let made = back_up(&db, &first, &mut |_, _| {}).expect("backed up");
        let head = db.read(tributary::db::head).expect("the head");
        assert_eq!(made.head, head, "the copy ends with the newest seal");
        let told = rows(&first);
        assert!(told["postings"].len() > 90 && told["statement_chunks"].len() == 8, "there is something in it");
        for engine in BOTH {
            let to = nothing_yet(engine);
            assert_eq!(restore(&first, &to.url, &alice(), &mut |_, _| {}), Ok(head.clone()), "to {engine}");
            let again = to.open(Options::default());
            assert_clean(&again);
            let second = folder.path().join(format!("from {engine}.sqlite"));
            back_up(&again, &second, &mut |_, _| {}).expect("backed up again");
            // That it was restored is recorded, and nothing else differs.
            let mut differs = rows(&second);
            for (table, rows) in &told {
                let now = differs.get_mut(table).expect("the table");
                now.retain(|row| !rows.contains(row));
            }
            differs.retain(|_, rows| !rows.is_empty());
            let kinds: Vec<(&str, usize)> = differs.iter().map(|(table, rows)| (table.as_str(), rows.len())).collect();
            assert_eq!(kinds, [("events", 1), ("seals", 1)], "to {engine}");
            assert!(differs["events"][0].contains("database.restored"));
        }
    });
}

#[test]
fn nothing_is_written_over_and_what_is_no_backup_is_refused() {
    on_both(|from| {
        let folder = tempfile::tempdir().expect("a folder");
        let db = from.open(Options::default());
        treasury(&db, 0..1);
        let file = folder.path().join("b.sqlite");
        back_up(&db, &file, &mut |_, _| {}).expect("backed up");
        let code = |answer: Result<(), Error>| answer.expect_err("refused").code();
        assert_eq!(code(back_up(&db, &file, &mut |_, _| {}).map(drop)), "backup_exists");
        assert_eq!(code(restore(&file, &from.url, &alice(), &mut |_, _| {}).map(drop)), "restore_over");
        let fresh = nothing_yet(from.engine);
        for (name, bytes) in
            [("empty", &b""[..]), ("text", b"not a database at all, however long it may come to be"), ("absent", b"")]
        {
            let wrong = folder.path().join(name);
            if name != "absent" {
                std::fs::write(&wrong, bytes).expect("written");
            }
            assert_eq!(code(restore(&wrong, &fresh.url, &alice(), &mut |_, _| {}).map(drop)), "not_a_backup", "{name}");
        }
        let nowhere =
            back_up(&db, &folder.path().join("no folder").join("b.sqlite"), &mut |_, _| {}).expect_err("refused");
        assert!(nowhere.to_string().ends_with("make it first"), "{nowhere}");
        let left: Vec<_> =
            std::fs::read_dir(folder.path()).expect("the folder").flatten().map(|f| f.file_name()).collect();
        assert_eq!(left.len(), 3, "no part stays behind: {left:?}");
        // After all that it can still be restored to.
        restore(&file, &fresh.url, &alice(), &mut |_, _| {}).expect("restored");
    });
}

#[test]
fn a_copy_that_does_not_prove_itself_is_not_kept() {
    on_both(|from| {
        let folder = tempfile::tempdir().expect("a folder");
        let db = from.open(Options::default());
        filled(&db);
        let newest = number(&from.url, "SELECT max(account) AS value FROM balances WHERE credits > 0");
        sql(&from.url, &format!("UPDATE balances SET credits = credits + 1 WHERE account = {newest}"))
            .expect("damaged");
        let refused = back_up(&db, &folder.path().join("b.sqlite"), &mut |_, _| {}).expect_err("refused");
        assert_eq!(refused.code(), "unproved_copy", "{refused}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    });
}

#[test]
#[cfg(unix)]
fn nobody_else_reads_a_backup() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let from = TestDb::new(Engine::Sqlite);
    let file = folder.path().join("b.sqlite");
    back_up(&from.open(Options::default()), &file, &mut |_, _| {}).expect("backed up");
    assert_eq!(std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
}
