//! The SQL of files, statements and lines.

mod due;
mod files;
mod lines;
mod notices;
mod questions;
mod seen;

pub use due::Came;
pub(super) use due::{AlarmRow, alarms, came, set_alarm, untold_alarms};
pub use files::{
    FileRow, NewFile, Proven, StoredBytes, UNVERIFIED, file, file_by_content, files, files_page, prove, set_survey,
    store_file, stored_bytes, stored_events, verify_origin,
};
pub(super) use files::{accepted_after, is_as_proved, set_file_state, unsealed_origins};
pub use lines::{
    LineRow, NewLine, Placed, add_details, booked_already, confirm, insert_lines, line, line_details, lines_by_id,
    lines_of, withdraw,
};
pub(super) use lines::{add_notified, lines_not_of, lines_of_others, lines_only_of, move_to_their_days};
pub use notices::{PendingRow, expire_pending, insert_pending, meet_pending, open_pending};
pub(super) use notices::{profile, set_profile};
pub(super) use questions::open_questions;
pub use seen::{StatementFilter, lines_page, statements_page};

use super::identity::Link;
use super::survey::Surveyed;
use super::{Remark, Verdict};
use crate::banking::Balance;
use crate::db::schema::{events, line_facets, lines as lines_table, masters, statements};
use crate::db::seal::{Encoding, Hash, hex, sha256};
use crate::db::{Conn, Tx, broken};
use crate::error::{Error, Result};
use crate::time::stored;
use chrono::{NaiveDate, NaiveDateTime};
use diesel::dsl::max;
use diesel::prelude::{
    ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel::{QueryableByName, RunQueryDsl, delete, insert_into, sql_query, update};
use std::collections::HashMap;

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
    pub role: String,
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
    pub decided_by: Option<String>,
    pub decided_at: Option<NaiveDateTime>,
    pub reason: Option<String>,
}

impl StatementRow {
    /// Whether it is the books of a day, which alone confirm lines and prove balances.
    pub fn proves(&self) -> bool {
        self.role == STATEMENT
    }

    pub(super) fn link(&self) -> Link {
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

impl StatementRow {
    /// Digest of what does not change once it was judged: sealed in its event, so that a change shows. Its id salts it.
    pub(super) fn digest(&self) -> String {
        let mut e = Encoding::new("statement.row.1");
        let carried = [i64::from(self.opening_carried), i64::from(self.closing_carried)];
        let day = |d: Option<NaiveDate>| d.map(|d| d.to_string());
        e.text(&self.id).text(&self.file).int(self.place).text(&self.format).text(&self.role).bytes(&self.content);
        let texts = [&self.master, &self.account_number, &self.currency, &self.message_id, &self.statement_id];
        for text in texts {
            e.optional(text.as_deref());
        }
        let days = [self.opening_on, self.closing_on, self.first_day, self.last_day];
        for d in days {
            e.optional(day(d).as_deref());
        }
        let figures = [self.number, self.page, self.opening, self.closing];
        for figure in figures {
            e.optional(figure.map(|n| n.to_string()).as_deref());
        }
        let counts = [self.line_count, self.booked_count, self.credit_total, self.debit_total];
        for count in counts.into_iter().chain(carried) {
            e.int(count);
        }
        e.text(&self.problems);
        hex(&sha256(e.as_bytes()))
    }

    /// What was decided on it when it waited, as its event has it.
    pub(super) fn decision(&self) -> Option<serde_json::Value> {
        let (by, at, reason) = (&self.decided_by, self.decided_at, &self.reason);
        if by.is_none() && at.is_none() && reason.is_none() {
            return None;
        }
        let (at, reason) = (at.map(|at| at.to_string()), format!("{} {reason:?}", self.id));
        let reason = hex(&sha256(reason.as_bytes()));
        Some(serde_json::json!({ "by": by, "at": at, "reason": reason, "same_as": self.same_as }))
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
        role: s.head.role.as_str().to_owned(),
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
        decided_at: verdict.decided_by.as_ref().map(|_| stored(tx.now())),
        decided_by: verdict.decided_by.clone(),
        reason: None,
    };
    insert_into(statements::table).values(&row).execute(tx.conn()).map_err(broken)?;
    Ok(row)
}

/// Writes down what a person decided on a statement that waited.
pub(super) fn decide(
    tx: &mut Tx<'_>,
    row: &StatementRow,
    state: &str,
    same_as: Option<&str>,
    reason: &str,
) -> Result<()> {
    let set = (
        statements::state.eq(state),
        statements::same_as.eq(same_as),
        statements::decided_by.eq(Some(tx.actor().to_string())),
        statements::decided_at.eq(Some(stored(tx.now()))),
        statements::reason.eq(Some(reason.trim())),
    );
    update(statements::table.find(&row.id)).set(set).execute(tx.conn()).map_err(broken)?;
    let now = statement(tx.conn(), &row.id)?;
    let before = serde_json::json!({ "state": row.state }).to_string();
    let after = serde_json::json!({ "state": state, "decision": now.decision() }).to_string();
    tx.event("statement.decided", &row.id, Some(before), Some(after));
    Ok(())
}

/// Statements that differ from what the events sealed of them when they were judged and decided on: for `check`.
pub(super) fn unsealed(conn: &mut Conn) -> Result<Vec<String>> {
    let rows: Vec<StatementRow> =
        statements::table.order(statements::id).select(StatementRow::as_select()).load(conn).map_err(broken)?;
    let kinds = ["statement.accepted", "statement.decided"];
    let told = events::table.filter(events::kind.eq_any(kinds)).order(events::number);
    let told: Vec<(String, Option<String>)> =
        told.select((events::subject, events::after)).load(conn).map_err(broken)?;
    // The newest of each kind is in force.
    let mut sealed: HashMap<String, (Option<serde_json::Value>, Option<serde_json::Value>)> = HashMap::new();
    for (subject, after) in told {
        let after: serde_json::Value = serde_json::from_str(&after.unwrap_or_default()).unwrap_or_default();
        let of = sealed.entry(subject).or_default();
        if let Some(row) = after.get("row") {
            of.0 = Some(row.clone());
        }
        if let Some(decision) = after.get("decision").filter(|d| !d.is_null()) {
            of.1 = Some(decision.clone());
        }
    }
    let mut wrong = Vec::new();
    for row in rows {
        let (digest, decision) = sealed.remove(&row.id).unwrap_or_default();
        if digest != Some(serde_json::Value::String(row.digest())) {
            wrong.push(format!("statement {} is not what was sealed of it when it was judged", row.id));
        }
        if decision != row.decision() {
            wrong.push(format!("what was decided on statement {} is not what was sealed", row.id));
        }
    }
    Ok(wrong)
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

/// The states of what has been told and decided on, or waits to be: the same again says nothing new.
const TOLD: [&str; 6] = ["posting", "posted", "quarantined", "restated", "rejected", "superseded"];

/// The role of end-of-day statements, which alone prove balances.
const STATEMENT: &str = "statement";

/// The statement of this master that said exactly this, when it was taken in.
pub(super) fn same_content(conn: &mut Conn, master: &str, content: &Hash) -> Result<Option<String>> {
    let same = statements::table.filter(statements::content.eq(content.to_vec())).filter(statements::master.eq(master));
    let same = same.filter(statements::state.eq_any(TOLD));
    same.select(statements::id).order(statements::id).first(conn).optional().map_err(broken)
}

/// The taken-in statements of a master that close on this day.
pub(super) fn links_closing_on(conn: &mut Conn, master: &str, day: NaiveDate) -> Result<Vec<Link>> {
    let some = statements::table.filter(statements::master.eq(master)).filter(statements::closing_on.eq(day));
    let some = some.filter(statements::role.eq(STATEMENT));
    let some = some.filter(statements::state.eq_any(["posting", "posted"])).order(statements::id);
    let rows: Vec<StatementRow> = some.select(StatementRow::as_select()).load(conn).map_err(broken)?;
    Ok(rows.iter().map(StatementRow::link).collect())
}

/// The taken-in messages of a master that have the id of this one, or its number where it has none.
pub(super) fn links_of_message(conn: &mut Conn, master: &str, role: &str, like: &Link) -> Result<Vec<Link>> {
    let some = statements::table.filter(statements::master.eq(master)).filter(statements::role.eq(role));
    let some = some.filter(statements::state.eq_any(["posting", "posted"])).order(statements::id);
    let some = some.select(StatementRow::as_select()).into_boxed();
    let some = match &like.statement_id {
        Some(id) => some.filter(statements::statement_id.eq(id)),
        None => some.filter(statements::number.eq(like.number)),
    };
    let rows: Vec<StatementRow> = some.load(conn).map_err(broken)?;
    Ok(rows.iter().map(StatementRow::link).collect())
}

/// The taken-in pages of the report that this is one of, with lines of these days; not the one whose place it takes.
pub(super) fn pages_near(
    conn: &mut Conn,
    mine: &StatementRow,
    master: &str,
    (first, last): (NaiveDate, NaiveDate),
) -> Result<Vec<String>> {
    let Some(message) = &mine.message_id else { return Ok(Vec::new()) };
    let some = statements::table.filter(statements::master.eq(master)).filter(statements::last_day.ge(first));
    let some = some.filter(statements::first_day.le(last)).filter(statements::role.eq(&mine.role));
    let some = some.filter(statements::state.eq_any(["posting", "posted"])).filter(statements::message_id.eq(message));
    let rows: Vec<(String, Option<String>)> =
        some.select((statements::id, statements::statement_id)).load(conn).map_err(broken)?;
    let is_page = |(id, of): &(String, Option<String>)| *of == mine.statement_id && Some(id) != mine.same_as.as_ref();
    Ok(rows.into_iter().filter(is_page).map(|(id, _)| id).collect())
}

/// The taken-in statements of a master with lines of these days.
pub(super) fn links_near(conn: &mut Conn, master: &str, first: NaiveDate, last: NaiveDate) -> Result<Vec<Link>> {
    let some = statements::table.filter(statements::master.eq(master)).filter(statements::last_day.ge(first));
    let some = some.filter(statements::first_day.le(last)).filter(statements::state.eq_any(["posting", "posted"]));
    let some = some.filter(statements::role.eq(STATEMENT));
    let rows: Vec<StatementRow> =
        some.order(statements::id).select(StatementRow::as_select()).load(conn).map_err(broken)?;
    Ok(rows.iter().map(StatementRow::link).collect())
}

/// The posted statements of a master with balances, by day.
pub(super) fn posted_by_day(conn: &mut Conn, master: &str) -> Result<Vec<StatementRow>> {
    let some = statements::table.filter(statements::master.eq(master)).filter(statements::state.eq("posted"));
    let some = some.filter(statements::closing_on.is_not_null()).filter(statements::opening.is_not_null());
    let some = some.filter(statements::role.eq(STATEMENT));
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

/// What the lines that a statement tells of moved from a day on.
pub(super) fn moved_since(conn: &mut Conn, statement: &str, day: NaiveDate) -> Result<i128> {
    let since = lines_table::booked_on.ge(day);
    let first = lines_table::table.filter(lines_table::statement.eq(statement)).filter(since);
    let first: Vec<i64> = first.select(lines_table::amount).load(conn).map_err(broken)?;
    let again = line_facets::table.inner_join(lines_table::table.on(lines_table::id.eq(line_facets::line)));
    let again = again.filter(line_facets::statement.eq(statement)).filter(since);
    let again: Vec<i64> = again.select(lines_table::amount).load(conn).map_err(broken)?;
    Ok(first.into_iter().chain(again).map(i128::from).sum())
}

/// How many lines a master has.
pub(super) fn line_count(conn: &mut Conn, master: &str) -> Result<i64> {
    masters::table.find(master).select(masters::line_count).first(conn).map_err(broken)
}

/// How often what a master's lines are paired by has changed: lines that were stored, confirmed by a message or taken back.
pub fn revision(conn: &mut Conn, master: &str) -> Result<i64> {
    masters::table.find(master).select(masters::revision).first(conn).map_err(broken)
}

/// The lines of a master are about to change by what was paired when they were at this revision. Another one means that
/// somebody else was here meanwhile, and a conflict: which lines are new is to be asked again.
pub fn claim(tx: &mut Tx<'_>, master: &str, revision: i64) -> Result<()> {
    let as_read = masters::table.filter(masters::id.eq(master)).filter(masters::revision.eq(revision));
    let claimed = update(as_read).set(masters::revision.eq(revision + 1)).execute(tx.conn()).map_err(broken)?;
    if claimed == 1 {
        return Ok(());
    }
    Err(Error::Conflict("another import stored or confirmed lines of this account meanwhile".to_owned()))
}

/// Statements whose own arithmetic does not hold although they were taken in, and lines that no such statement tells of: for
/// `check`.
pub(super) fn unsound(conn: &mut Conn) -> Result<(Vec<String>, Vec<String>)> {
    let posted = statements::table.filter(statements::state.eq("posted")).order(statements::id);
    let rows: Vec<StatementRow> = posted.select(StatementRow::as_select()).load(conn).map_err(broken)?;
    let mut wrong = Vec::new();
    for row in rows {
        let columns = (lines_table::amount, lines_table::booked_on);
        let first: Vec<(i64, NaiveDate)> =
            lines_table::table.filter(lines_table::statement.eq(&row.id)).select(columns).load(conn).map_err(broken)?;
        let again = line_facets::table.inner_join(lines_table::table.on(lines_table::id.eq(line_facets::line)));
        let again = again.filter(line_facets::statement.eq(&row.id)).select(columns);
        let again: Vec<(i64, NaiveDate)> = again.load(conn).map_err(broken)?;
        wrong.extend(row.contradiction(&first, &again).map(|what| format!("statement {} {what}", row.id)));
    }
    // A line or facet whose statement is gone, held back, or of another master.
    let sql = "SELECT l.id AS line FROM lines l LEFT JOIN statements s ON s.id = l.statement \
               WHERE s.id IS NULL OR s.master IS NULL OR s.master <> l.master OR s.state NOT IN ('posting', 'posted', 'superseded') \
               UNION SELECT f.line FROM line_facets f LEFT JOIN statements s ON s.id = f.statement \
               LEFT JOIN lines l ON l.id = f.line WHERE s.id IS NULL OR l.id IS NULL OR s.master IS NULL \
               OR s.master <> l.master OR s.state NOT IN ('posting', 'posted', 'superseded') LIMIT 100";
    let orphans: Vec<Orphan> = sql_query(sql).load(conn).map_err(broken)?;
    Ok((wrong, orphans.into_iter().map(|o| o.line).collect()))
}

#[derive(QueryableByName)]
struct Orphan {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

impl StatementRow {
    /// What its stored lines, by amount and booking day, say otherwise than the statement: those that it told of first, and
    /// those that others had told of.
    fn contradiction(&self, first: &[(i64, NaiveDate)], again: &[(i64, NaiveDate)]) -> Option<String> {
        let (count, stored) = (self.booked_count, first.len() + again.len());
        if i64::try_from(stored) != Ok(count) {
            return Some(format!("has {count} booked lines, but {stored} are stored"));
        }
        let sum = |sign: i64| {
            first.iter().chain(again).filter(|(a, _)| a.signum() == sign).map(|(a, _)| i128::from(*a)).sum::<i128>()
        };
        let (credits, debits) = (sum(1), -sum(-1));
        // Only the books of a day prove balances, and not those that were accepted although they contradict themselves.
        let proves = self.proves() && self.decided_by.is_none();
        if let (true, Some(opening), Some(closing)) = (proves, self.opening, self.closing)
            && i128::from(opening) + credits - debits != i128::from(closing)
        {
            return Some(": opening plus its stored lines is not its closing balance".to_owned());
        }
        // Its totals are over all lines, and only booked ones are stored.
        let totals = (i128::from(self.credit_total), i128::from(self.debit_total));
        if self.line_count < count || (self.line_count == count && totals != (credits, debits)) {
            return Some("has other totals than its stored lines".to_owned());
        }
        let days = (first.iter().map(|(_, day)| *day).min(), first.iter().map(|(_, day)| *day).max());
        // What another message told of first keeps the day that it said.
        let is_within = days.0.zip(self.first_day).is_none_or(|(of_lines, first)| of_lines >= first)
            && days.1.zip(self.last_day).is_none_or(|(of_lines, last)| of_lines <= last);
        let fits = if again.is_empty() { days == (self.first_day, self.last_day) } else { is_within };
        (!fits).then(|| "is of other days than its stored lines".to_owned())
    }
}
