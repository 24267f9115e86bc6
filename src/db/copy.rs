//! A treasury copied whole from one database to another, also from PostgreSQL to SQLite and back.
//!
//! Both have the same tables and columns (a test holds that), so rows travel as text and bytes and become what the target's
//! catalog says. Everything is read in one snapshot and written in one transaction; references between tables are taken off
//! before and proved after, so that no order of tables or rows has to be found.

use super::conn::{Conn, Url, broken};
use super::{known_versions, migrate, refuse_newer};
use crate::error::{Error, Result};
use crate::on;
use diesel::Connection;
use diesel::deserialize::{self, QueryableByName};
use diesel::pg::{Pg, PgConnection, PgRowByRowLoadingMode};
use diesel::row::{Field, NamedRow};
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel::{RunQueryDsl, sql_query};
use std::path::Path;

/// Rows that are written at once, at most.
const ROWS: usize = 2_000;

/// Values that one statement of SQLite binds, at most; its limit is 32,766.
const LITE_VALUES: usize = 2_000;

/// Bytes of rows that are gathered before they are written, about.
const BYTES: usize = 4 * 1024 * 1024;

/// What the migrations remember; each database has its own.
const MIGRATIONS: &str = "__diesel_schema_migrations";

/// A table and its columns in this database.
struct Table {
    name: String,
    columns: Vec<Column>,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    /// As the database's catalog calls it.
    #[diesel(sql_type = Text)]
    kind: String,
}

impl Column {
    fn is_bytes(&self) -> bool {
        self.kind == "bytea" || self.kind.eq_ignore_ascii_case("blob")
    }

    /// Reads the column as text (`t0`) or bytes (`b0`), as SQLite stores it.
    fn read_from_pg(&self, place: usize) -> String {
        let name = quoted(&self.name);
        match self.kind.as_str() {
            "bytea" => format!("{name} AS b{place}"),
            "boolean" => format!("{name}::int::text AS t{place}"),
            // Six digits, three or none: as every instant on SQLite is written, where text is compared as text.
            "timestamp without time zone" => format!(
                "regexp_replace(regexp_replace(to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US'), '(\\.\\d{{3}})000$', '\\1'), '\\.000$', '') AS t{place}"
            ),
            _ => format!("{name}::text AS t{place}"),
        }
    }

    fn read_from_lite(&self, place: usize) -> String {
        let name = quoted(&self.name);
        if self.is_bytes() { format!("{name} AS b{place}") } else { format!("CAST({name} AS TEXT) AS t{place}") }
    }
}

/// A value on its way.
enum Cell {
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl Cell {
    fn size(&self) -> usize {
        match self {
            Cell::Text(text) => text.as_ref().map_or(0, String::len),
            Cell::Bytes(bytes) => bytes.as_ref().map_or(0, Vec::len),
        }
    }
}

/// A row on its way.
struct Row(Vec<Cell>);

/// The same for each backend, which diesel's traits do not say at once.
macro_rules! row_from {
    ($backend:ty) => {
        impl QueryableByName<$backend> for Row {
            fn build<'a>(row: &impl NamedRow<'a, $backend>) -> deserialize::Result<Self> {
                let cell = |place: usize| {
                    let field = diesel::row::Row::get(row, place).ok_or("a column is missing")?;
                    let name = field.field_name().ok_or("a column has no name")?.to_owned();
                    // A row of SQLite lends one field at a time.
                    drop(field);
                    if name.starts_with('b') {
                        NamedRow::get::<Nullable<Binary>, _>(row, &name).map(Cell::Bytes)
                    } else {
                        NamedRow::get::<Nullable<Text>, _>(row, &name).map(Cell::Text)
                    }
                };
                (0..row.field_count()).map(cell).collect::<deserialize::Result<_>>().map(Row)
            }
        }
    };
}
row_from!(Pg);
row_from!(Sqlite);

/// Told the table that is being copied, and how many rows are done in all.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64);

/// Writes the whole database, as it is at one moment, into a SQLite file that is not there yet. Nobody waits for it: readers and
/// the writer go on.
pub fn to_file(from: &Url, file: &Path, progress: Progress<'_>) -> Result<()> {
    let mut source = Conn::open(from)?;
    if let Conn::Lite(c) = &mut source {
        return vacuum_into(c, file);
    }
    let mut target = Conn::open(&Url::Lite(file.to_owned()))?;
    migrate(&mut target)?;
    source.begin_read().map_err(broken)?;
    rows(&mut source, &mut target, progress)?;
    one_file(&mut target)
}

/// Makes the database that `to` names from such a file. On SQLite nothing may be there; on PostgreSQL the tables are made, and
/// must be empty.
pub fn from_file(file: &Path, to: &Url, progress: Progress<'_>) -> Result<()> {
    let mut source = open_unchanged(file)?;
    match to {
        Url::Lite(path) => {
            let Conn::Lite(c) = &mut source else { return Ok(()) };
            vacuum_into(c, path)?;
            // Brings a copy of an older Tributary up to date.
            let mut target = Conn::open(to)?;
            migrate(&mut target)?;
            one_file(&mut target)
        }
        Url::Pg(_) => {
            let applied = source.applied_versions()?;
            if known_versions(&source)?.iter().any(|version| !applied.contains(version)) {
                let what = "this is a copy from an older Tributary: restore it to a SQLite file, which brings it up to date, \
                            then `tributary backup` that one and restore it here";
                return Err(Error::Refused { code: "schema_outdated", message: what.to_owned() });
            }
            let mut target = Conn::open(to)?;
            target.refuse_unsafe_settings()?;
            migrate(&mut target)?;
            source.begin_read().map_err(broken)?;
            rows(&mut source, &mut target, progress).map(drop)
        }
    }
}

/// Opens a file that is only read: no log or lock is made beside it, and it may lie on a medium that cannot be written.
fn open_unchanged(file: &Path) -> Result<Conn> {
    let failed = |e: &dyn std::fmt::Display| {
        let message = format!(
            "{} is no copy of a treasury ({e}); give a file that `tributary backup` has written",
            file.display()
        );
        Error::Refused { code: "not_a_backup", message }
    };
    let path = std::fs::canonicalize(file).map_err(|e| failed(&e))?;
    let text = path.to_str().ok_or_else(|| failed(&"its name is not UTF-8"))?;
    let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let c = SqliteConnection::establish(&format!("file:{escaped}?mode=ro&immutable=1")).map_err(|e| failed(&e))?;
    let mut conn = Conn::Lite(c);
    let applied = refuse_newer(&mut conn).map_err(|e| match e {
        Error::Broken(e) => failed(&e),
        e => e,
    })?;
    if applied.is_empty() { Err(failed(&"it has no tables of Tributary")) } else { Ok(conn) }
}

fn vacuum_into(c: &mut SqliteConnection, file: &Path) -> Result<()> {
    let text = file.to_str().ok_or_else(|| Error::Broken(format!("{} is not UTF-8", file.display())))?;
    let failed = |e| broken(e).within(format!("cannot write {}", file.display()));
    sql_query("VACUUM INTO ?").bind::<Text, _>(text).execute(c).map(drop).map_err(failed)
}

/// Brings the log into the file, so that the file alone is the database.
fn one_file(conn: &mut Conn) -> Result<()> {
    conn.run("PRAGMA wal_checkpoint(TRUNCATE)").map_err(broken)
}

/// Copies all rows of `from`, which is in a snapshot, to `to`, whose tables are there and empty. `progress` is told the table
/// and how many rows are done in all.
fn rows(from: &mut Conn, to: &mut Conn, progress: Progress<'_>) -> Result<u64> {
    let (sources, targets) = (tables(from)?, tables(to)?);
    if let Conn::Lite(c) = to {
        // Means nothing inside a transaction.
        on(c, "PRAGMA foreign_keys = OFF")?;
    }
    to.begin_write().map_err(broken)?;
    let copied = fill(from, to, &sources, &targets, progress);
    to.run(if copied.is_ok() { "COMMIT" } else { "ROLLBACK" }).map_err(broken)?;
    if let Conn::Lite(c) = to {
        on(c, "PRAGMA foreign_keys = ON")?;
    }
    copied
}

fn on(c: &mut SqliteConnection, sql: &str) -> Result<()> {
    diesel::connection::SimpleConnection::batch_execute(c, sql).map_err(broken)
}

fn fill(from: &mut Conn, to: &mut Conn, sources: &[Table], targets: &[Table], progress: Progress<'_>) -> Result<u64> {
    let references = take_off_references(to)?;
    let mut done = 0;
    for target in targets {
        let source = sources.iter().find(|s| s.name == target.name);
        let source =
            source.ok_or_else(|| Error::Broken(format!("the copied database has no table {}", target.name)))?;
        let count = format!("SELECT count(*) AS value FROM {}", quoted(&target.name));
        if on!(to, c => sql_query(count).get_result::<Count>(c)).map_err(broken)?.value > 0 {
            return Err(Error::Conflict(format!("the table {} is not empty; nothing was copied", target.name)));
        }
        done += copy(from, to, source, target, done, progress)?;
    }
    prove_references(to, &references)?;
    Ok(done)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Statement {
    #[diesel(sql_type = Text)]
    sql: String,
}

/// On PostgreSQL: drops the references between tables. Gives what makes them again.
fn take_off_references(to: &mut Conn) -> Result<Vec<String>> {
    let Conn::Pg(c) = to else { return Ok(Vec::new()) };
    let each = |c: &mut PgConnection, what: &str| -> Result<Vec<String>> {
        let all = sql_query(format!(
            "SELECT {what} AS sql FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace ORDER BY conname"
        ));
        Ok(all.load::<Statement>(c).map_err(broken)?.into_iter().map(|s| s.sql).collect())
    };
    let again = each(
        c,
        "format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))",
    )?;
    for sql in each(c, "format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)")? {
        sql_query(sql).execute(c).map_err(broken)?;
    }
    Ok(again)
}

fn prove_references(to: &mut Conn, references: &[String]) -> Result<()> {
    match to {
        Conn::Pg(c) => references.iter().try_for_each(|sql| sql_query(sql).execute(c).map(drop)).map_err(broken),
        Conn::Lite(c) => {
            let wrong = sql_query("SELECT \"table\" AS sql FROM pragma_foreign_key_check LIMIT 1");
            match wrong.load::<Statement>(c).map_err(broken)?.first() {
                None => Ok(()),
                Some(table) => Err(Error::Broken(format!("rows of {} refer to what is not there", table.sql))),
            }
        }
    }
}

fn copy(
    from: &mut Conn,
    to: &mut Conn,
    source: &Table,
    target: &Table,
    before: u64,
    progress: Progress<'_>,
) -> Result<u64> {
    let column = |wanted: &Column| {
        let found = source.columns.iter().find(|c| c.name == wanted.name);
        found.ok_or_else(|| Error::Broken(format!("{} of the copied database has no {}", source.name, wanted.name)))
    };
    let columns: Vec<&Column> = target.columns.iter().map(column).collect::<Result<_>>()?;
    let (mut heap, mut size, mut done) = (Vec::new(), 0, 0);
    let mut put = |row: Row| -> Result<()> {
        size += row.0.iter().map(Cell::size).sum::<usize>();
        heap.push(row);
        done += 1;
        if heap.len() >= ROWS || size >= BYTES {
            insert(to, target, std::mem::take(&mut heap))?;
            size = 0;
            progress(&target.name, before + done);
        }
        Ok(())
    };
    match from {
        Conn::Pg(c) => {
            let list: Vec<String> = columns.iter().enumerate().map(|(n, c)| c.read_from_pg(n)).collect();
            let all = sql_query(format!("SELECT {} FROM {}", list.join(", "), quoted(&source.name)));
            for row in all.load_iter::<Row, PgRowByRowLoadingMode>(c).map_err(broken)? {
                put(row.map_err(broken)?)?;
            }
        }
        Conn::Lite(c) => {
            let list: Vec<String> = columns.iter().enumerate().map(|(n, c)| c.read_from_lite(n)).collect();
            let all = sql_query(format!("SELECT {} FROM {}", list.join(", "), quoted(&source.name)));
            for row in all.load_iter::<Row, diesel::connection::DefaultLoadingMode>(c).map_err(broken)? {
                put(row.map_err(broken)?)?;
            }
        }
    }
    insert(to, target, heap)?;
    progress(&target.name, before + done);
    Ok(done)
}

fn insert(to: &mut Conn, table: &Table, rows: Vec<Row>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    match to {
        Conn::Pg(c) => insert_pg(c, table, rows),
        Conn::Lite(c) => insert_lite(c, table, rows),
    }
    .map_err(broken)
}

fn names(table: &Table) -> String {
    table.columns.iter().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", ")
}

fn insert_lite(c: &mut SqliteConnection, table: &Table, rows: Vec<Row>) -> diesel::QueryResult<()> {
    let width = table.columns.len();
    let marks = format!("({})", vec!["?"; width].join(", "));
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let some: Vec<Row> = rows.by_ref().take((LITE_VALUES / width.max(1)).max(1)).collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES {}",
            quoted(&table.name),
            names(table),
            vec![marks.as_str(); some.len()].join(", ")
        );
        // Numbers travel as text; the tables are STRICT, which takes only what is a number without loss.
        let mut insert = sql_query(sql).into_boxed::<Sqlite>();
        for cell in some.into_iter().flat_map(|row| row.0) {
            insert = match cell {
                Cell::Text(text) => insert.bind::<Nullable<Text>, _>(text),
                Cell::Bytes(bytes) => insert.bind::<Nullable<Binary>, _>(bytes),
            };
        }
        insert.execute(c)?;
    }
    Ok(())
}

fn insert_pg(c: &mut PgConnection, table: &Table, rows: Vec<Row>) -> diesel::QueryResult<()> {
    let mut texts: Vec<Vec<Option<String>>> = table.columns.iter().map(|_| Vec::new()).collect();
    let mut blobs: Vec<Vec<Option<Vec<u8>>>> = table.columns.iter().map(|_| Vec::new()).collect();
    for row in rows {
        for ((cell, texts), blobs) in row.0.into_iter().zip(&mut texts).zip(&mut blobs) {
            match cell {
                Cell::Text(text) => texts.push(text),
                Cell::Bytes(bytes) => blobs.push(bytes),
            }
        }
    }
    let places = || table.columns.iter().enumerate();
    let casts: Vec<String> = places().map(|(n, c)| format!("u.c{n}::{}", c.kind)).collect();
    let arrays: Vec<String> =
        places().map(|(n, c)| format!("${}::{}[]", n + 1, if c.is_bytes() { "bytea" } else { "text" })).collect();
    let columns: Vec<String> = places().map(|(n, _)| format!("c{n}")).collect();
    let sql = format!(
        "INSERT INTO {} ({}) SELECT {} FROM unnest({}) AS u({})",
        quoted(&table.name),
        names(table),
        casts.join(", "),
        arrays.join(", "),
        columns.join(", ")
    );
    let mut insert = sql_query(sql).into_boxed::<Pg>();
    for ((column, texts), blobs) in table.columns.iter().zip(texts).zip(blobs) {
        insert = if column.is_bytes() {
            insert.bind::<Array<Nullable<Binary>>, _>(blobs)
        } else {
            insert.bind::<Array<Nullable<Text>>, _>(texts)
        };
    }
    insert.execute(c).map(drop)
}

fn tables(conn: &mut Conn) -> Result<Vec<Table>> {
    let sql = match conn {
        Conn::Pg(_) => {
            "SELECT c.table_name::text AS table_name, c.column_name::text AS name, c.data_type::text AS kind \
             FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name) \
             WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' \
             ORDER BY c.table_name, c.ordinal_position"
        }
        Conn::Lite(_) => {
            "SELECT t.name AS table_name, c.name AS name, c.type AS kind FROM sqlite_master t JOIN pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid"
        }
    };
    let columns: Vec<Column> = on!(conn, c => sql_query(sql).load(c)).map_err(broken)?;
    let mut tables: Vec<Table> = Vec::new();
    for column in columns.into_iter().filter(|c| c.table_name != MIGRATIONS) {
        match tables.last_mut().filter(|t| t.name == column.table_name) {
            Some(table) => table.columns.push(column),
            None => tables.push(Table { name: column.table_name.clone(), columns: vec![column] }),
        }
    }
    Ok(tables)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
