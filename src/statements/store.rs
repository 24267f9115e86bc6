//! The SQL of files, statements and lines.

mod due;
mod files;
mod lines;

pub use due::Came;
pub(super) use due::came;
pub(super) use files::set_file_state;
pub use files::{FileRow, NewFile, StoredBytes, file, file_by_content, files, set_survey, store_file, stored_bytes};
pub(super) use lines::lines_not_of;
pub use lines::{LineRow, NewLine, Placed, insert_lines, line, line_details, lines_of};

use super::identity::Link;
use super::survey::Surveyed;
use super::{Remark, Verdict};
use crate::banking::Balance;
use crate::db::schema::{line_facets, lines as lines_table, masters, statements};
use crate::db::seal::Hash;
use crate::db::{Conn, Tx, broken};
use crate::error::{Error, Result};
use chrono::NaiveDate;
use diesel::dsl::max;
use diesel::prelude::{
    ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel::{QueryableByName, RunQueryDsl, delete, insert_into, sql_query, update};

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
            format: super::family(&self.format),
            statement_id: self.statement_id.clone(),
            number: self.number,
            page: self.page,
            opening: self.opening.map(|o| (o, self.opening_carried)),
            closing: self.closing.map(|c| (c, self.closing_carried)),
            closing_on: self.closing_on,
            days: self.first_day.zip(self.last_day),
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

/// How many lines are stored of which a statement tells.
pub(super) fn told(conn: &mut Conn, statement: &str) -> Result<i64> {
    let first = lines_table::table.filter(lines_table::statement.eq(statement)).count();
    let again = line_facets::table.filter(line_facets::statement.eq(statement)).count();
    let (first, again): (i64, i64) = (first.get_result(conn).map_err(broken)?, again.get_result(conn).map_err(broken)?);
    Ok(first + again)
}

/// The place behind the last line of a statement that is stored: where its posting goes on.
pub fn next_place(conn: &mut Conn, statement: &str) -> Result<u64> {
    let first = lines_table::table.filter(lines_table::statement.eq(statement)).select(max(lines_table::place));
    let again = line_facets::table.filter(line_facets::statement.eq(statement)).select(max(line_facets::place));
    let (first, again): (Option<i64>, Option<i64>) =
        (first.first(conn).map_err(broken)?, again.first(conn).map_err(broken)?);
    Ok(first.max(again).and_then(|place| u64::try_from(place).ok()).map_or(0, |place| place + 1))
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
    // The databases differ in where NULL sorts.
    let order = (
        statements::closing_on,
        statements::number.is_null(),
        statements::number,
        statements::page.is_null(),
        statements::page,
        statements::id,
    );
    some.order(order).select(StatementRow::as_select()).load(conn).map_err(broken)
}

/// How many lines a master has.
pub(super) fn line_count(conn: &mut Conn, master: &str) -> Result<i64> {
    masters::table.find(master).select(masters::line_count).first(conn).map_err(broken)
}

/// Statements whose own arithmetic does not hold although they were taken in, and lines that no such statement tells of: for
/// `check`.
pub(super) fn unsound(conn: &mut Conn) -> Result<(Vec<String>, Vec<String>)> {
    let posted = statements::table.filter(statements::state.eq("posted")).order(statements::id);
    let rows: Vec<StatementRow> = posted.select(StatementRow::as_select()).load(conn).map_err(broken)?;
    let mut wrong = Vec::new();
    for row in rows {
        let columns = (lines_table::amount, lines_table::booked_on);
        let mut told: Vec<(i64, NaiveDate)> =
            lines_table::table.filter(lines_table::statement.eq(&row.id)).select(columns).load(conn).map_err(broken)?;
        let again = line_facets::table.inner_join(lines_table::table.on(lines_table::id.eq(line_facets::line)));
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
