//! Set-based inserts: many rows of one table, as fast as each database takes them.
//!
//! A row says its cells once ([`Bulk::cells`]); PostgreSQL receives them as one binary `COPY` (or, where existing rows
//! change, as `unnest` of arrays), SQLite as cached prepared statements of a fixed number of rows. Measured: one round trip per row
//! costs PostgreSQL a factor of eighteen, and a freshly prepared statement SQLite a third.

use super::conn::{Conn, broken};
use crate::error::Result;
use chrono::{Datelike, NaiveDate, NaiveDateTime};
use diesel::pg::{CopyFormat, CopyTarget, PgConnection};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Bool, Date, Nullable, Text, Timestamp};
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel::{ExecuteCopyFromDsl, QueryResult, RunQueryDsl, Table, copy_from};
use std::io::Write;
use std::marker::PhantomData;

/// A date with its text, which SQLite stores: formatting it once per distinct day instead of once per row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    date: NaiveDate,
    text: String,
}

impl Day {
    /// `2026-03-02`.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl From<NaiveDate> for Day {
    fn from(date: NaiveDate) -> Self {
        Day { date, text: date.format("%Y-%m-%d").to_string() }
    }
}

/// An instant with its text, likewise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    at: NaiveDateTime,
    text: String,
}

impl From<NaiveDateTime> for Moment {
    fn from(at: NaiveDateTime) -> Self {
        // As diesel writes a timestamp on SQLite, so that both ways of writing compare alike.
        Moment { at, text: at.format("%F %T%.f").to_string() }
    }
}

/// Takes the cells of a row, one after another, in the order of the columns.
pub trait Cells<'b> {
    /// A whole number.
    fn int(&mut self, value: &'b i64) -> QueryResult<()>;
    /// A whole number or NULL.
    fn maybe_int(&mut self, value: &'b Option<i64>) -> QueryResult<()>;
    /// Yes (1) or no (0).
    fn flag(&mut self, value: &'b i64) -> QueryResult<()>;
    /// Text.
    fn text(&mut self, value: &'b str) -> QueryResult<()>;
    /// Text or NULL.
    fn maybe_text(&mut self, value: Option<&'b str>) -> QueryResult<()>;
    /// Bytes.
    fn bytes(&mut self, value: &'b [u8]) -> QueryResult<()>;
    /// A date.
    fn day(&mut self, value: &'b Day) -> QueryResult<()>;
    /// A date or NULL.
    fn maybe_day(&mut self, value: Option<&'b Day>) -> QueryResult<()>;
    /// An instant.
    fn moment(&mut self, value: &'b Moment) -> QueryResult<()>;
    /// An instant or NULL.
    fn maybe_moment(&mut self, value: Option<&'b Moment>) -> QueryResult<()>;
}

/// A row of one table.
pub trait Bulk {
    /// Its table.
    type Table: Table + Default + CopyTarget<Table = Self::Table> + 'static;
    /// The table's name.
    const TABLE: &'static str;
    /// All its columns, in the order of the table.
    const COLUMNS: &'static [&'static str];
    /// What to do where the key is already there, for [`upsert`]: everything after the values.
    const CONFLICT: &'static str = "";

    /// Hands out the row's cells, in the order of the columns.
    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()>;
}

/// From how many rows on PostgreSQL takes them faster by `COPY`, which costs a round trip more than a statement.
const COPY_ROWS: usize = 200;

/// Rows per prepared statement on SQLite: more save calls, until binding dominates.
const LITE_ROWS: usize = 24;

/// And of the rest.
const LITE_FEW: usize = 5;

/// Inserts rows. A key that is already there is an error of the whole call.
pub fn insert<R: Bulk>(conn: &mut Conn, rows: &[R]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    match conn {
        Conn::Pg(c) if rows.len() >= COPY_ROWS => copy_in(c, rows),
        Conn::Pg(c) => unnest(c, rows),
        Conn::Lite(c) => insert_lite(c, rows),
    }
    .map_err(broken)
}

/// Inserts rows, or changes those whose key is there as [`Bulk::CONFLICT`] says. No key may come twice in one call.
pub fn upsert<R: Bulk>(conn: &mut Conn, rows: &[R]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    match conn {
        Conn::Pg(c) => unnest(c, rows),
        Conn::Lite(c) => insert_lite(c, rows),
    }
    .map_err(broken)
}

fn insert_lite<R: Bulk>(c: &mut SqliteConnection, rows: &[R]) -> QueryResult<()> {
    let (chunks, rest) = rows.as_chunks::<LITE_ROWS>();
    for chunk in chunks {
        Rows::<R, LITE_ROWS>(chunk).execute(c)?;
    }
    // What a commit of some tens of commands leaves over is not worth a statement for each row.
    let (chunks, rest) = rest.as_chunks::<LITE_FEW>();
    for chunk in chunks {
        Rows::<R, LITE_FEW>(chunk).execute(c)?;
    }
    for row in rest {
        Rows::<R, 1>(std::slice::from_ref(row)).execute(c)?;
    }
    Ok(())
}

/// `N` rows in one statement. Its text is the same each time, so diesel prepares it once per connection.
struct Rows<'a, R, const N: usize>(&'a [R]);

/// What tells the statements of different tables and lengths apart in the statement cache.
struct RowsId<T, const N: usize>(PhantomData<T>);

impl<R: Bulk, const N: usize> QueryId for Rows<'_, R, N> {
    type QueryId = RowsId<R::Table, N>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<R, const N: usize> RunQueryDsl<SqliteConnection> for Rows<'_, R, N> {}

impl<R: Bulk, const N: usize> QueryFragment<Sqlite> for Rows<'_, R, N> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        insert_into_sql::<R, Sqlite>("INSERT OR FAIL", &mut out);
        out.push_sql(" VALUES ");
        for (i, row) in self.0.iter().enumerate() {
            out.push_sql(if i == 0 { "(" } else { ",(" });
            row.cells(&mut LiteCells { out: out.reborrow(), first: true })?;
            out.push_sql(")");
        }
        out.push_sql(R::CONFLICT);
        Ok(())
    }
}

/// `INSERT INTO table (columns)`.
///
/// On SQLite `verb` is `INSERT OR FAIL`: a statement that fails then need not undo its own first rows, so SQLite keeps no
/// journal of the pages that each statement touches. Nothing is lost by it, since an error here always undoes the whole commit.
fn insert_into_sql<R: Bulk, DB: diesel::backend::Backend>(verb: &str, out: &mut AstPass<'_, '_, DB>)
where
    DB::QueryBuilder: diesel::query_builder::QueryBuilder<DB>,
{
    out.push_sql(verb);
    out.push_sql(" INTO ");
    out.push_sql(R::TABLE);
    for (i, column) in R::COLUMNS.iter().enumerate() {
        out.push_sql(if i == 0 { " (" } else { ", " });
        out.push_sql(column);
    }
    out.push_sql(")");
}

struct LiteCells<'a, 'b> {
    out: AstPass<'a, 'b, Sqlite>,
    first: bool,
}

impl LiteCells<'_, '_> {
    fn comma(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push_sql(",");
        }
    }
}

/// A NULL that outlives every row.
const NO_TEXT: &Option<&str> = &None;

impl<'b> Cells<'b> for LiteCells<'_, 'b> {
    fn int(&mut self, value: &'b i64) -> QueryResult<()> {
        self.comma();
        self.out.push_bind_param::<BigInt, i64>(value)
    }

    fn maybe_int(&mut self, value: &'b Option<i64>) -> QueryResult<()> {
        self.comma();
        self.out.push_bind_param::<Nullable<BigInt>, Option<i64>>(value)
    }

    fn flag(&mut self, value: &'b i64) -> QueryResult<()> {
        self.int(value)
    }

    fn text(&mut self, value: &'b str) -> QueryResult<()> {
        self.comma();
        self.out.push_bind_param::<Text, str>(value)
    }

    fn maybe_text(&mut self, value: Option<&'b str>) -> QueryResult<()> {
        match value {
            Some(value) => self.text(value),
            None => {
                self.comma();
                self.out.push_bind_param::<Nullable<Text>, Option<&str>>(NO_TEXT)
            }
        }
    }

    fn bytes(&mut self, value: &'b [u8]) -> QueryResult<()> {
        self.comma();
        self.out.push_bind_param::<Binary, [u8]>(value)
    }

    fn day(&mut self, value: &'b Day) -> QueryResult<()> {
        self.text(&value.text)
    }

    fn maybe_day(&mut self, value: Option<&'b Day>) -> QueryResult<()> {
        self.maybe_text(value.map(|d| d.text.as_str()))
    }

    fn moment(&mut self, value: &'b Moment) -> QueryResult<()> {
        self.text(&value.text)
    }

    fn maybe_moment(&mut self, value: Option<&'b Moment>) -> QueryResult<()> {
        self.maybe_text(value.map(|m| m.text.as_str()))
    }
}

/// Bytes of `COPY` data sent at a time.
const COPY_CHUNK: usize = 256 * 1024;

fn copy_in<R: Bulk>(c: &mut PgConnection, rows: &[R]) -> QueryResult<()> {
    let columns = i16::try_from(R::COLUMNS.len()).unwrap_or(0);
    let send = |out: &mut dyn Write| -> QueryResult<()> {
        let io = |e: std::io::Error| diesel::result::Error::SerializationError(Box::new(e));
        let mut cells = PgCells(Vec::with_capacity(COPY_CHUNK + 4096));
        // Header of the binary format: signature, no flags, no extension.
        cells.0.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        for row in rows {
            cells.0.extend_from_slice(&columns.to_be_bytes());
            row.cells(&mut cells)?;
            if cells.0.len() >= COPY_CHUNK {
                out.write_all(&cells.0).map_err(io)?;
                cells.0.clear();
            }
        }
        cells.0.extend_from_slice(&(-1i16).to_be_bytes());
        out.write_all(&cells.0).map_err(io)
    };
    copy_from(R::Table::default())
        .from_raw_data(R::Table::default(), send)
        .with_format(CopyFormat::Binary)
        .execute(c)?;
    Ok(())
}

/// Cells in PostgreSQL's binary format: a length, then the bytes.
struct PgCells(Vec<u8>);

impl PgCells {
    fn cell(&mut self, bytes: &[u8]) -> QueryResult<()> {
        let length = i32::try_from(bytes.len()).map_err(|e| diesel::result::Error::SerializationError(Box::new(e)))?;
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn null(&mut self) -> QueryResult<()> {
        self.0.extend_from_slice(&(-1i32).to_be_bytes());
        Ok(())
    }
}

/// PostgreSQL counts days and microseconds from this day.
fn pg_epoch() -> NaiveDate {
    NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default()
}

impl<'b> Cells<'b> for PgCells {
    fn int(&mut self, value: &'b i64) -> QueryResult<()> {
        self.cell(&value.to_be_bytes())
    }

    fn maybe_int(&mut self, value: &'b Option<i64>) -> QueryResult<()> {
        match value {
            Some(value) => self.cell(&value.to_be_bytes()),
            None => self.null(),
        }
    }

    fn flag(&mut self, value: &'b i64) -> QueryResult<()> {
        self.cell(&[u8::from(*value != 0)])
    }

    fn text(&mut self, value: &'b str) -> QueryResult<()> {
        self.cell(value.as_bytes())
    }

    fn maybe_text(&mut self, value: Option<&'b str>) -> QueryResult<()> {
        match value {
            Some(value) => self.cell(value.as_bytes()),
            None => self.null(),
        }
    }

    fn bytes(&mut self, value: &'b [u8]) -> QueryResult<()> {
        self.cell(value)
    }

    fn day(&mut self, value: &'b Day) -> QueryResult<()> {
        let days = value.date.num_days_from_ce() - pg_epoch().num_days_from_ce();
        self.cell(&days.to_be_bytes())
    }

    fn maybe_day(&mut self, value: Option<&'b Day>) -> QueryResult<()> {
        match value {
            Some(value) => self.day(value),
            None => self.null(),
        }
    }

    fn moment(&mut self, value: &'b Moment) -> QueryResult<()> {
        let micros = (value.at - pg_epoch().and_time(chrono::NaiveTime::MIN)).num_microseconds().unwrap_or(i64::MAX);
        self.cell(&micros.to_be_bytes())
    }

    fn maybe_moment(&mut self, value: Option<&'b Moment>) -> QueryResult<()> {
        match value {
            Some(value) => self.moment(value),
            None => self.null(),
        }
    }
}

/// One column of several rows, for `unnest`.
enum Column {
    Ints(Vec<Option<i64>>),
    Flags(Vec<bool>),
    Texts(Vec<Option<String>>),
    Blobs(Vec<Vec<u8>>),
    Days(Vec<Option<NaiveDate>>),
    Moments(Vec<Option<NaiveDateTime>>),
}

/// Rows turned into columns.
#[derive(Default)]
struct Columns {
    columns: Vec<Column>,
    next: usize,
}

impl Columns {
    fn put(&mut self, add: impl FnOnce(&mut Column) -> bool, new: impl FnOnce() -> Column) -> QueryResult<()> {
        match self.columns.get_mut(self.next) {
            None => self.columns.push(new()),
            Some(column) => assert!(add(column), "a column of a bulk row has one type"),
        }
        self.next += 1;
        Ok(())
    }
}

macro_rules! put {
    ($self:ident, $kind:ident, $value:expr) => {{
        let value = $value;
        let again = value.clone();
        $self.put(
            |c| match c {
                Column::$kind(v) => {
                    v.push(value);
                    true
                }
                _ => false,
            },
            || Column::$kind(vec![again]),
        )
    }};
}

impl<'b> Cells<'b> for Columns {
    fn int(&mut self, value: &'b i64) -> QueryResult<()> {
        put!(self, Ints, Some(*value))
    }

    fn maybe_int(&mut self, value: &'b Option<i64>) -> QueryResult<()> {
        put!(self, Ints, *value)
    }

    fn flag(&mut self, value: &'b i64) -> QueryResult<()> {
        put!(self, Flags, *value != 0)
    }

    fn text(&mut self, value: &'b str) -> QueryResult<()> {
        put!(self, Texts, Some(value.to_owned()))
    }

    fn maybe_text(&mut self, value: Option<&'b str>) -> QueryResult<()> {
        put!(self, Texts, value.map(str::to_owned))
    }

    fn bytes(&mut self, value: &'b [u8]) -> QueryResult<()> {
        put!(self, Blobs, value.to_vec())
    }

    fn day(&mut self, value: &'b Day) -> QueryResult<()> {
        put!(self, Days, Some(value.date))
    }

    fn maybe_day(&mut self, value: Option<&'b Day>) -> QueryResult<()> {
        put!(self, Days, value.map(|d| d.date))
    }

    fn moment(&mut self, value: &'b Moment) -> QueryResult<()> {
        put!(self, Moments, Some(value.at))
    }

    fn maybe_moment(&mut self, value: Option<&'b Moment>) -> QueryResult<()> {
        put!(self, Moments, value.map(|m| m.at))
    }
}

fn unnest<R: Bulk>(c: &mut PgConnection, rows: &[R]) -> QueryResult<()> {
    let mut columns = Columns::default();
    for row in rows {
        columns.next = 0;
        row.cells(&mut columns)?;
    }
    Unnest::<R> { columns: columns.columns, row: PhantomData }.execute(c)?;
    Ok(())
}

struct Unnest<R> {
    columns: Vec<Column>,
    row: PhantomData<R>,
}

/// As [`RowsId`], for PostgreSQL.
struct UnnestId<T>(PhantomData<T>);

impl<R: Bulk> QueryId for Unnest<R> {
    type QueryId = UnnestId<R::Table>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<R> RunQueryDsl<PgConnection> for Unnest<R> {}

impl<R: Bulk> QueryFragment<diesel::pg::Pg> for Unnest<R> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        insert_into_sql::<R, diesel::pg::Pg>("INSERT", &mut out);
        out.push_sql(" SELECT * FROM unnest(");
        for (i, column) in self.columns.iter().enumerate() {
            if i > 0 {
                out.push_sql(", ");
            }
            match column {
                Column::Ints(v) => out.push_bind_param::<Array<Nullable<BigInt>>, Vec<Option<i64>>>(v)?,
                Column::Flags(v) => out.push_bind_param::<Array<Bool>, Vec<bool>>(v)?,
                Column::Texts(v) => out.push_bind_param::<Array<Nullable<Text>>, Vec<Option<String>>>(v)?,
                Column::Blobs(v) => out.push_bind_param::<Array<Binary>, Vec<Vec<u8>>>(v)?,
                Column::Days(v) => out.push_bind_param::<Array<Nullable<Date>>, Vec<Option<NaiveDate>>>(v)?,
                Column::Moments(v) => {
                    out.push_bind_param::<Array<Nullable<Timestamp>>, Vec<Option<NaiveDateTime>>>(v)?
                }
            }
        }
        out.push_sql(")");
        out.push_sql(R::CONFLICT);
        Ok(())
    }
}
