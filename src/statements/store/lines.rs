//! Lines: each once, with the messages that told of it and the payments inside it.

use crate::banking::{Detail, Direction};
use crate::db::bulk::{self, Bulk, Cells, Day};
use crate::db::schema::{line_details as details_table, line_facets, lines, masters};
use crate::db::{Conn, Tx, broken};
use crate::error::{Error, Result};
use crate::statements::identity::{Identity, Stored};
use chrono::NaiveDate;
use diesel::dsl::max;
use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel::{QueryResult, RunQueryDsl, update};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Keys per `IN` list.
const KEYS: usize = 5_000;

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
    pub charges: Option<i64>,
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
    pub charges: Option<i64>,
    /// Only of a batch: more than one.
    pub details: Vec<Detail>,
}

/// Lines of a master within some days that none of these statements has told of, oldest first.
pub(in crate::statements) fn lines_not_of(
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
        "charges",
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
        c.int(&self.detail_count)?;
        c.maybe_int(&line.charges)
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
    charges: Option<i64>,
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
        "ultimate_name",
        "charges",
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
            &d.ultimate_name,
        ] {
            c.maybe_text(text.as_deref())?;
        }
        c.maybe_int(&self.charges)
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
            StoredDetail {
                line: &placed.id,
                place,
                amount: detail.amount.map(|a| sign * a.0),
                charges: detail.charges.map(|c| c.0),
                detail,
            }
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
