//! The SQL of files, statements and lines.

use super::identity::{Identity, Link, Stored};
use super::survey::{Survey, Surveyed};
use super::{Remark, Verdict};
use crate::banking::{Balance, Detail, Direction};
use crate::db::bulk::{self, Bulk, Cells, Day};
use crate::db::schema::{
    line_details as details_table, line_facets, lines, masters, statement_chunks, statement_files, statements,
};
use crate::db::seal::{Hash, hex};
use crate::db::{Conn, Db, Tx, Who, broken};
use crate::error::{Error, Result};
use crate::time::stored;
use chrono::{NaiveDate, NaiveDateTime};
use diesel::dsl::max;
use diesel::prelude::{
    ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel::{QueryResult, QueryableByName, RunQueryDsl, delete, insert_into, sql_query, update};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read};
use std::sync::Arc;

/// Bytes of a file per stored chunk.
const CHUNK: usize = 512 * 1024;

/// Keys per `IN` list.
const KEYS: usize = 5_000;

/// A file as received.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = statement_files, treat_none_as_default_value = false)]
pub struct FileRow {
    /// Its id.
    pub id: String,
    /// Digest of its bytes, hexadecimal.
    pub sha256: String,
    /// Its name where it came from.
    pub name: String,
    /// How it came.
    pub channel: String,
    /// Whether its sender was verified, and how.
    pub origin: String,
    /// Its format, or `unknown`.
    pub format: String,
    /// Bytes.
    pub size: i64,
    /// When.
    pub received_at: NaiveDateTime,
    /// `storing`, `accepted`, `refused`.
    pub state: String,
    /// JSON: problems of the file itself.
    pub problems: String,
}

/// A statement of a file.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = statements, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column is")]
pub struct StatementRow {
    pub id: String,
    pub file: String,
    pub place: i64,
    pub master: Option<String>,
    pub account_number: Option<String>,
    pub currency: Option<String>,
    pub format: String,
    pub message_id: Option<String>,
    pub statement_id: Option<String>,
    pub number: Option<i64>,
    pub page: Option<i64>,
    pub opening: Option<i64>,
    pub opening_on: Option<NaiveDate>,
    pub opening_carried: bool,
    pub closing: Option<i64>,
    pub closing_on: Option<NaiveDate>,
    pub closing_carried: bool,
    pub first_day: Option<NaiveDate>,
    pub last_day: Option<NaiveDate>,
    pub line_count: i64,
    pub booked_count: i64,
    pub credit_total: i64,
    pub debit_total: i64,
    pub content: Vec<u8>,
    pub state: String,
    pub same_as: Option<String>,
    pub problems: String,
}

impl StatementRow {
    fn link(&self) -> Link {
        Link {
            id: self.id.clone(),
            statement_id: self.statement_id.clone(),
            number: self.number,
            page: self.page,
            opening: self.opening.map(|o| (o, self.opening_carried)),
            closing: self.closing.map(|c| (c, self.closing_carried)),
            closing_on: self.closing_on,
        }
    }
}

/// A line, as it is read back.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = lines)]
#[expect(missing_docs, reason = "the migration says what each column is")]
pub struct LineRow {
    pub id: String,
    pub master: String,
    pub statement: String,
    pub place: i64,
    pub booked_on: NaiveDate,
    pub valued_on: NaiveDate,
    pub amount: i64,
    pub facet: String,
    pub posting: String,
    pub reversal: bool,
    pub bank_ref: Option<String>,
    pub owner_ref: Option<String>,
    pub end_to_end_id: Option<String>,
    pub code: Option<String>,
    pub counterparty_name: Option<String>,
    pub counterparty_account: Option<String>,
    pub ultimate_name: Option<String>,
    pub own_account: Option<String>,
    pub creditor_reference: Option<String>,
    pub remittance: Option<String>,
    pub info: Option<String>,
    pub return_reason: Option<String>,
    pub detail_count: i64,
}

/// A booked line of a file that is about to be stored.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the migration says what each column is")]
pub struct NewLine {
    pub statement: String,
    pub place: i64,
    pub booked_on: NaiveDate,
    pub valued_on: NaiveDate,
    pub amount: i64,
    pub identity: Identity,
    pub reversal: bool,
    pub bank_ref: Option<String>,
    pub owner_ref: Option<String>,
    pub end_to_end_id: Option<String>,
    pub code: Option<String>,
    pub counterparty_name: Option<String>,
    pub counterparty_account: Option<String>,
    pub ultimate_name: Option<String>,
    pub own_account: Option<String>,
    pub creditor_reference: Option<String>,
    pub remittance: Option<String>,
    pub info: Option<String>,
    pub return_reason: Option<String>,
    /// Only of a batch: more than one.
    pub details: Vec<Detail>,
}

/// The file with these bytes, if it came before.
pub fn file_by_content(conn: &mut Conn, sha256: &Hash) -> Result<Option<FileRow>> {
    let same = statement_files::table.filter(statement_files::sha256.eq(hex(sha256))).select(FileRow::as_select());
    same.first(conn).optional().map_err(broken)
}

/// A file by its id.
pub fn file(conn: &mut Conn, id: &str) -> Result<FileRow> {
    let found = statement_files::table.find(id).select(FileRow::as_select()).first(conn).optional().map_err(broken)?;
    found.ok_or_else(|| Error::NotFound(format!("there is no file {id}; `tributary statement show` lists them")))
}

/// All files, newest first.
pub fn files(conn: &mut Conn, limit: i64) -> Result<Vec<FileRow>> {
    let newest = statement_files::table.order(statement_files::id.desc()).limit(limit);
    newest.select(FileRow::as_select()).load(conn).map_err(broken)
}

/// What is known of a file before it is stored.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Its name.
    pub name: String,
    /// How it came.
    pub channel: String,
    /// Digest of its bytes.
    pub sha256: Hash,
    /// Bytes.
    pub size: i64,
}

/// Stores a file's bytes. Housekeeping: nothing follows from them until the file is accepted, and a crash leaves chunks that
/// the next attempt replaces.
pub fn store_file(db: &Db, who: &Arc<Who>, new: &NewFile, mut input: impl Read) -> Result<FileRow> {
    let row = db.write("statement.store", who, {
        let new = new.clone();
        move |tx| begin_storing(tx, &new)
    })?;
    let mut seq = 0i64;
    loop {
        let mut bytes = Vec::with_capacity(CHUNK);
        let limit = u64::try_from(CHUNK).unwrap_or(u64::MAX);
        input
            .by_ref()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|e| Error::Broken(format!("cannot read {}: {e}", new.name)))?;
        if bytes.is_empty() {
            return Ok(row);
        }
        let file = row.id.clone();
        db.write_slice("statement.store", who, move |tx| {
            // Housekeeping may be done twice when the answer to its commit was lost.
            delete(statement_chunks::table.find((&file, seq))).execute(tx.conn()).map_err(broken)?;
            let chunk =
                (statement_chunks::file.eq(&file), statement_chunks::seq.eq(seq), statement_chunks::bytes.eq(&bytes));
            insert_into(statement_chunks::table).values(chunk).execute(tx.conn()).map_err(broken)?;
            Ok(())
        })?;
        seq += 1;
    }
}

fn begin_storing(tx: &mut Tx<'_>, new: &NewFile) -> Result<FileRow> {
    if let Some(row) = file_by_content(tx.conn(), &new.sha256)? {
        delete(statement_chunks::table.filter(statement_chunks::file.eq(&row.id)))
            .execute(tx.conn())
            .map_err(broken)?;
        return Ok(row);
    }
    let row = FileRow {
        id: tx.id("file"),
        sha256: hex(&new.sha256),
        name: new.name.clone(),
        channel: new.channel.clone(),
        // Until channels verify their senders, nothing that came is proved to be the bank's own.
        origin: "unverified".to_owned(),
        format: "unknown".to_owned(),
        size: new.size,
        received_at: stored(tx.now()),
        state: "storing".to_owned(),
        problems: "[]".to_owned(),
    };
    insert_into(statement_files::table).values(&row).execute(tx.conn()).map_err(broken)?;
    Ok(row)
}

/// What the survey says of the file itself.
pub(super) fn set_file_state(tx: &mut Tx<'_>, file: &str, state: &str) -> Result<()> {
    update(statement_files::table.find(file))
        .set(statement_files::state.eq(state))
        .execute(tx.conn())
        .map_err(broken)?;
    Ok(())
}

/// Writes down the file's format and problems.
pub fn set_survey(tx: &mut Tx<'_>, file: &str, survey: &Survey) -> Result<()> {
    let remarks: Vec<Remark> = survey.problems.iter().map(Remark::from).collect();
    let problems = serde_json::to_string(&remarks).map_err(|e| Error::Broken(e.to_string()))?;
    let format = survey.format.map_or("unknown", |f| f.as_str());
    let set = (statement_files::format.eq(format), statement_files::problems.eq(problems));
    update(statement_files::table.find(file)).set(set).execute(tx.conn()).map_err(broken)?;
    if survey.refused() {
        set_file_state(tx, file, "refused")?;
        let after = serde_json::json!({ "problems": remarks });
        tx.event("statement.file_refused", file, None, Some(after.to_string()));
    }
    Ok(())
}

/// The bytes of a stored file, read chunk by chunk in short snapshots.
pub struct StoredBytes<'a> {
    db: &'a Db,
    file: String,
    seq: i64,
    chunk: io::Cursor<Vec<u8>>,
}

/// Reads a stored file.
pub fn stored_bytes<'a>(db: &'a Db, file: &str) -> io::BufReader<StoredBytes<'a>> {
    io::BufReader::with_capacity(
        64 * 1024,
        StoredBytes { db, file: file.to_owned(), seq: 0, chunk: io::Cursor::default() },
    )
}

impl Read for StoredBytes<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.chunk.read(out)?;
        if read > 0 || out.is_empty() {
            return Ok(read);
        }
        let (file, seq) = (&self.file, self.seq);
        let next = self.db.read(|conn| {
            let chunk = statement_chunks::table.find((file, seq)).select(statement_chunks::bytes);
            chunk.first::<Vec<u8>>(conn).optional().map_err(broken)
        });
        match next.map_err(io::Error::other)? {
            None => Ok(0),
            Some(bytes) => {
                self.seq += 1;
                self.chunk = io::Cursor::new(bytes);
                self.chunk.read(out)
            }
        }
    }
}

/// Writes a statement and its verdict down, in place of an earlier verdict if there was one.
pub(super) fn save_statement(
    tx: &mut Tx<'_>,
    file: &str,
    place: i64,
    s: &Surveyed,
    verdict: &Verdict,
    earlier: Option<&StatementRow>,
) -> Result<StatementRow> {
    if let Some(earlier) = earlier {
        delete(statements::table.find(&earlier.id)).execute(tx.conn()).map_err(broken)?;
    }
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    // A total that does not fit was found by the survey, and the statement is refused.
    let total = |n: i128| i64::try_from(n).unwrap_or(i64::MAX);
    let amount = |b: Option<Balance>| b.map(|b| b.amount.0);
    let carried = |b: Option<Balance>| b.is_some_and(|b| b.intermediate);
    let (opening, closing) = (s.head.opening, s.foot.closing);
    let row = StatementRow {
        id: earlier.map_or_else(|| tx.id("st"), |e| e.id.clone()),
        file: file.to_owned(),
        place,
        master: verdict.master.clone(),
        account_number: s.head.account.clone(),
        currency: s.head.currency.map(|c| c.code().to_owned()),
        format: s.head.version.clone(),
        message_id: s.head.message_id.clone(),
        statement_id: s.head.id.clone(),
        number: s.head.number.and_then(|n| i64::try_from(n).ok()),
        page: s.head.page.map(i64::from),
        opening: amount(opening),
        opening_on: opening.map(|b| b.on),
        opening_carried: carried(opening),
        closing: amount(closing),
        closing_on: closing.map(|b| b.on),
        closing_carried: carried(closing),
        first_day: s.days.map(|d| d.0),
        last_day: s.days.map(|d| d.1),
        line_count: whole(s.foot.line_count),
        booked_count: whole(s.booked_count),
        credit_total: total(s.foot.credit_total),
        debit_total: total(s.foot.debit_total),
        content: s.content.to_vec(),
        state: verdict.state.to_owned(),
        same_as: verdict.same_as.clone(),
        problems: serde_json::to_string(&verdict.problems).map_err(|e| Error::Broken(e.to_string()))?,
    };
    insert_into(statements::table).values(&row).execute(tx.conn()).map_err(broken)?;
    Ok(row)
}

pub(super) fn set_statement_state(tx: &mut Tx<'_>, id: &str, state: &str) -> Result<()> {
    update(statements::table.find(id)).set(statements::state.eq(state)).execute(tx.conn()).map_err(broken)?;
    Ok(())
}

/// A statement by its id.
pub fn statement(conn: &mut Conn, id: &str) -> Result<StatementRow> {
    let found = statements::table.find(id).select(StatementRow::as_select()).first(conn).optional().map_err(broken)?;
    found.ok_or_else(|| Error::NotFound(format!("there is no statement {id}; `tributary statement show` lists them")))
}

/// The statements of a file, in order.
pub fn statements_of_file(conn: &mut Conn, file: &str) -> Result<Vec<StatementRow>> {
    let all = statements::table.filter(statements::file.eq(file)).order(statements::place);
    all.select(StatementRow::as_select()).load(conn).map_err(broken)
}

/// The statement of this master that said exactly this, when it was taken in.
pub(super) fn same_content(conn: &mut Conn, master: &str, content: &Hash) -> Result<Option<String>> {
    let same = statements::table.filter(statements::content.eq(content.to_vec())).filter(statements::master.eq(master));
    let same = same.filter(statements::state.eq_any(["posting", "posted", "quarantined", "restated"]));
    same.select(statements::id).order(statements::id).first(conn).optional().map_err(broken)
}

/// The taken-in statements of a master that close on this day.
pub(super) fn links_closing_on(conn: &mut Conn, master: &str, day: NaiveDate) -> Result<Vec<Link>> {
    let some = statements::table.filter(statements::master.eq(master)).filter(statements::closing_on.eq(day));
    let some = some.filter(statements::state.eq_any(["posting", "posted"])).order(statements::id);
    let rows: Vec<StatementRow> = some.select(StatementRow::as_select()).load(conn).map_err(broken)?;
    Ok(rows.iter().map(StatementRow::link).collect())
}

/// The taken-in statements of a master with lines of these days.
pub(super) fn links_near(conn: &mut Conn, master: &str, first: NaiveDate, last: NaiveDate) -> Result<Vec<Link>> {
    let some = statements::table.filter(statements::master.eq(master)).filter(statements::last_day.ge(first));
    let some = some.filter(statements::first_day.le(last)).filter(statements::state.eq_any(["posting", "posted"]));
    let rows: Vec<StatementRow> =
        some.order(statements::id).select(StatementRow::as_select()).load(conn).map_err(broken)?;
    Ok(rows.iter().map(StatementRow::link).collect())
}

/// The posted statements of a master with balances, by day.
pub(super) fn posted_by_day(conn: &mut Conn, master: &str) -> Result<Vec<StatementRow>> {
    let some = statements::table.filter(statements::master.eq(master)).filter(statements::state.eq("posted"));
    let some = some.filter(statements::closing_on.is_not_null()).filter(statements::opening.is_not_null());
    let order = (statements::closing_on, statements::number, statements::page, statements::id);
    // Every column of the order but the last may be NULL: numbers and pages come with all of a bank's statements or none.
    some.order(order).select(StatementRow::as_select()).load(conn).map_err(broken)
}

/// How many lines a master has.
pub(super) fn line_count(conn: &mut Conn, master: &str) -> Result<i64> {
    masters::table.find(master).select(masters::line_count).first(conn).map_err(broken)
}

/// Lines of a master within some days that none of these statements has told of, oldest first.
pub(super) fn lines_not_of(
    conn: &mut Conn,
    master: &str,
    (first, last): (NaiveDate, NaiveDate),
    chain: &[&str],
) -> Result<Vec<Stored>> {
    type Row = (String, NaiveDate, i64, Vec<u8>, String);
    let some = lines::table
        .filter(lines::master.eq(master))
        .filter(lines::booked_on.between(first, last))
        .order((lines::booked_on, lines::id));
    let columns = (lines::id, lines::booked_on, lines::amount, lines::identity, lines::statement);
    let rows: Vec<Row> = some.select(columns).load(conn).map_err(broken)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let told = line_facets::table.filter(line_facets::statement.eq_any(chain)).select(line_facets::line);
    let told: HashSet<String> = told.load(conn).map_err(broken)?.into_iter().collect();
    let others =
        rows.into_iter().filter(|(id, .., statement)| !chain.contains(&statement.as_str()) && !told.contains(id));
    Ok(others
        .map(|(id, day, amount, identity, _)| Stored {
            id,
            day,
            amount,
            identity: identity.as_slice().try_into().unwrap_or_default(),
        })
        .collect())
}

struct StoredLine<'a> {
    id: &'a str,
    master: &'a str,
    line: &'a NewLine,
    booked_on: &'a Day,
    valued_on: &'a Day,
    ordinal: i64,
    posting: &'static str,
    reversal: i64,
    detail_count: i64,
}

impl Bulk for StoredLine<'_> {
    type Table = lines::table;
    const TABLE: &'static str = "lines";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "master",
        "statement",
        "place",
        "booked_on",
        "valued_on",
        "amount",
        "identity",
        "ordinal",
        "facet",
        "posting",
        "reversal",
        "bank_ref",
        "owner_ref",
        "end_to_end_id",
        "code",
        "counterparty_name",
        "counterparty_account",
        "ultimate_name",
        "own_account",
        "creditor_reference",
        "remittance",
        "info",
        "return_reason",
        "detail_count",
    ];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        let line = self.line;
        c.text(self.id)?;
        c.text(self.master)?;
        c.text(&line.statement)?;
        c.int(&line.place)?;
        c.day(self.booked_on)?;
        c.day(self.valued_on)?;
        c.int(&line.amount)?;
        c.bytes(&line.identity)?;
        c.int(&self.ordinal)?;
        c.text("booked")?;
        c.text(self.posting)?;
        c.flag(&self.reversal)?;
        for text in [
            &line.bank_ref,
            &line.owner_ref,
            &line.end_to_end_id,
            &line.code,
            &line.counterparty_name,
            &line.counterparty_account,
            &line.ultimate_name,
            &line.own_account,
            &line.creditor_reference,
            &line.remittance,
            &line.info,
            &line.return_reason,
        ] {
            c.maybe_text(text.as_deref())?;
        }
        c.int(&self.detail_count)
    }
}

struct StoredFacet<'a> {
    line: &'a str,
    statement: &'a str,
    place: i64,
}

impl Bulk for StoredFacet<'_> {
    type Table = line_facets::table;
    const TABLE: &'static str = "line_facets";
    const COLUMNS: &'static [&'static str] = &["statement", "place", "line", "kind"];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        c.text(self.statement)?;
        c.int(&self.place)?;
        c.text(self.line)?;
        c.text("booked")
    }
}

struct StoredDetail<'a> {
    line: &'a str,
    place: i64,
    amount: Option<i64>,
    detail: &'a Detail,
}

impl Bulk for StoredDetail<'_> {
    type Table = details_table::table;
    const TABLE: &'static str = "line_details";
    const COLUMNS: &'static [&'static str] = &[
        "line",
        "place",
        "amount",
        "end_to_end_id",
        "bank_ref",
        "counterparty_name",
        "counterparty_account",
        "own_account",
        "creditor_reference",
        "remittance",
        "return_reason",
    ];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        let d = self.detail;
        c.text(self.line)?;
        c.int(&self.place)?;
        c.maybe_int(&self.amount)?;
        for text in [
            &d.end_to_end_id,
            &d.bank_ref,
            &d.counterparty_name,
            &d.counterparty_account,
            &d.own_account,
            &d.creditor_reference,
            &d.remittance,
            &d.return_reason,
        ] {
            c.maybe_text(text.as_deref())?;
        }
        Ok(())
    }
}

/// Where a new line goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its id.
    pub id: String,
    /// `none` (of nothing), `history` (before the cut-over) or `posted`.
    pub posting: &'static str,
}

/// Stores new lines of a master, and the facets of lines that are there already. `expected_lines` is how many lines the
/// master had when the pairing was made: another number means that somebody else was here meanwhile, and a conflict.
pub fn insert_lines(
    tx: &mut Tx<'_>,
    master: &str,
    expected_lines: i64,
    new: &[(NewLine, Placed)],
    again: &[(NewLine, String)],
) -> Result<()> {
    let grown = i64::try_from(new.len()).unwrap_or(i64::MAX);
    let counted = masters::table.filter(masters::id.eq(master)).filter(masters::line_count.eq(expected_lines));
    let counted =
        update(counted).set(masters::line_count.eq(expected_lines + grown)).execute(tx.conn()).map_err(broken)?;
    if counted != 1 {
        return Err(Error::Conflict("another import stored lines of this account meanwhile".to_owned()));
    }
    let mut ordinals = next_ordinals(tx.conn(), master, new)?;
    let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
    for date in new.iter().flat_map(|(l, _)| [l.booked_on, l.valued_on]) {
        days.entry(date).or_insert_with(|| Day::from(date));
    }
    let day = |date: &NaiveDate| days.get(date).ok_or_else(|| Error::Broken("a day went missing".to_owned()));
    let mut rows = Vec::with_capacity(new.len());
    let mut details = Vec::new();
    for (line, placed) in new {
        let next = ordinals.entry(line.identity).or_insert(0);
        rows.push(StoredLine {
            id: &placed.id,
            master,
            line,
            booked_on: day(&line.booked_on)?,
            valued_on: day(&line.valued_on)?,
            ordinal: *next,
            posting: placed.posting,
            reversal: i64::from(line.reversal),
            detail_count: i64::try_from(line.details.len().max(1)).unwrap_or(i64::MAX),
        });
        *next += 1;
        details.extend(line.details.iter().zip(0i64..).map(|(detail, place)| {
            let sign = if detail.direction.map_or(line.amount < 0, |d| d == Direction::Debit) { -1 } else { 1 };
            StoredDetail { line: &placed.id, place, amount: detail.amount.map(|a| sign * a.0), detail }
        }));
    }
    let facets: Vec<StoredFacet<'_>> = again
        .iter()
        .map(|(line, id)| StoredFacet { line: id, statement: &line.statement, place: line.place })
        .collect();
    bulk::insert(tx.conn(), &rows)?;
    bulk::insert(tx.conn(), &details)?;
    bulk::insert(tx.conn(), &facets)
}

fn next_ordinals(conn: &mut Conn, master: &str, new: &[(NewLine, Placed)]) -> Result<HashMap<Identity, i64>> {
    let mut found = HashMap::new();
    // Lines of days beyond the newest one stored cannot have equals: the common case of a daily statement.
    let newest: Option<NaiveDate> =
        lines::table.filter(lines::master.eq(master)).select(max(lines::booked_on)).first(conn).map_err(broken)?;
    let Some(newest) = newest else { return Ok(found) };
    let identities: HashSet<Identity> =
        new.iter().filter(|(l, _)| l.booked_on <= newest).map(|(l, _)| l.identity).collect();
    let identities: Vec<Vec<u8>> = identities.into_iter().map(|i| i.to_vec()).collect();
    for some in identities.chunks(KEYS) {
        let equals = lines::table.filter(lines::master.eq(master)).filter(lines::identity.eq_any(some));
        let rows: Vec<(Vec<u8>, i64)> = equals.select((lines::identity, lines::ordinal)).load(conn).map_err(broken)?;
        for (identity, ordinal) in rows {
            let next = found.entry(identity.as_slice().try_into().unwrap_or_default()).or_insert(0);
            *next = (ordinal + 1).max(*next);
        }
    }
    Ok(found)
}

/// A line by its id.
pub fn line(conn: &mut Conn, id: &str) -> Result<LineRow> {
    let found = lines::table.find(id).select(LineRow::as_select()).first(conn).optional().map_err(broken)?;
    found.ok_or_else(|| Error::NotFound(format!("there is no line {id}; `tributary route` lists those that wait")))
}

/// The lines that a statement was the first to tell of, in order.
pub fn lines_of(conn: &mut Conn, statement: &str) -> Result<Vec<LineRow>> {
    let all = lines::table.filter(lines::statement.eq(statement)).order(lines::place);
    all.select(LineRow::as_select()).load(conn).map_err(broken)
}

/// The payments inside a batch line: amount, end-to-end id, counterparty, remittance.
#[expect(clippy::type_complexity, reason = "a row of four columns")]
pub fn line_details(
    conn: &mut Conn,
    line: &str,
) -> Result<Vec<(Option<i64>, Option<String>, Option<String>, Option<String>)>> {
    let all = details_table::table.filter(details_table::line.eq(line)).order(details_table::place);
    let columns = (
        details_table::amount,
        details_table::end_to_end_id,
        details_table::counterparty_name,
        details_table::remittance,
    );
    all.select(columns).load(conn).map_err(broken)
}

/// Statements whose own arithmetic does not hold although they were taken in, and lines that no such statement tells of: for
/// `check`.
pub(super) fn unsound(conn: &mut Conn) -> Result<(Vec<String>, Vec<String>)> {
    let posted = statements::table.filter(statements::state.eq("posted")).order(statements::id);
    let rows: Vec<StatementRow> = posted.select(StatementRow::as_select()).load(conn).map_err(broken)?;
    let mut wrong = Vec::new();
    for row in rows {
        let columns = (lines::amount, lines::booked_on);
        let mut told: Vec<(i64, NaiveDate)> =
            lines::table.filter(lines::statement.eq(&row.id)).select(columns).load(conn).map_err(broken)?;
        let again = line_facets::table.inner_join(lines::table.on(lines::id.eq(line_facets::line)));
        let again = again.filter(line_facets::statement.eq(&row.id)).select(columns);
        told.extend(again.load::<(i64, NaiveDate)>(conn).map_err(broken)?);
        wrong.extend(row.contradiction(&told).map(|what| format!("statement {} {what}", row.id)));
    }
    // A line or facet whose statement is gone, held back, or of another master.
    let sql = "SELECT l.id AS line FROM lines l LEFT JOIN statements s ON s.id = l.statement \
               WHERE s.id IS NULL OR s.master IS NULL OR s.master <> l.master OR s.state NOT IN ('posting', 'posted') \
               UNION SELECT f.line FROM line_facets f LEFT JOIN statements s ON s.id = f.statement \
               LEFT JOIN lines l ON l.id = f.line WHERE s.id IS NULL OR l.id IS NULL OR s.master IS NULL \
               OR s.master <> l.master OR s.state NOT IN ('posting', 'posted') LIMIT 100";
    let orphans: Vec<Orphan> = sql_query(sql).load(conn).map_err(broken)?;
    Ok((wrong, orphans.into_iter().map(|o| o.line).collect()))
}

#[derive(QueryableByName)]
struct Orphan {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

impl StatementRow {
    /// What its stored lines, by amount and booking day, say otherwise than the statement.
    fn contradiction(&self, told: &[(i64, NaiveDate)]) -> Option<String> {
        let (count, stored) = (self.booked_count, told.len());
        if i64::try_from(stored) != Ok(count) {
            return Some(format!("has {count} booked lines, but {stored} are stored"));
        }
        let sum =
            |sign: i64| told.iter().filter(|(a, _)| a.signum() == sign).map(|(a, _)| i128::from(*a)).sum::<i128>();
        let (credits, debits) = (sum(1), -sum(-1));
        if let (Some(opening), Some(closing)) = (self.opening, self.closing)
            && i128::from(opening) + credits - debits != i128::from(closing)
        {
            return Some(": opening plus its stored lines is not its closing balance".to_owned());
        }
        // Its totals are over all lines, and only booked ones are stored.
        let totals = (i128::from(self.credit_total), i128::from(self.debit_total));
        if self.line_count < count || (self.line_count == count && totals != (credits, debits)) {
            return Some("has other totals than its stored lines".to_owned());
        }
        let days = (told.iter().map(|(_, day)| *day).min(), told.iter().map(|(_, day)| *day).max());
        (days != (self.first_day, self.last_day)).then(|| "is of other days than its stored lines".to_owned())
    }
}
