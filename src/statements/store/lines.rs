//! Lines: each once, with the messages that told of it and the payments inside it.

use super::StatementRow;
use crate::banking::{Detail, Direction, Role};
use crate::db::bulk::{self, Bulk, Cells, Day};
use crate::db::schema::{line_days, line_details as details_table, line_facets, lines, masters, statements};
use crate::db::{Conn, Tx, broken};
use crate::error::{Error, Result};
use crate::statements::identity::{Identity, Keys, Stored};
use chrono::NaiveDate;
use diesel::prelude::{
    ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel::sql_types::Text;
use diesel::{QueryResult, QueryableByName, RunQueryDsl, insert_into, sql_query, update};
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
    pub unconfirmed: bool,
    pub replaces: Option<String>,
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
    let some = lines::table
        .filter(lines::master.eq(master))
        .filter(lines::booked_on.between(first, last))
        .order((lines::booked_on, lines::id));
    let rows: Vec<PairRow> = some.select(PairRow::as_select()).load(conn).map_err(broken)?;
    not_told_by(conn, rows, chain)
}

/// Adds lines near these days that no statement has yet, and that a statement may date otherwise, to those found by day.
pub(in crate::statements) fn add_notified(
    conn: &mut Conn,
    master: &str,
    (first, last): (NaiveDate, NaiveDate),
    chain: &[&str],
    found: &mut Vec<Stored>,
) -> Result<()> {
    let some = lines::table
        .filter(lines::master.eq(master))
        .filter(lines::facet.eq("notified"))
        .filter(lines::booked_on.between(first, last))
        .order((lines::booked_on, lines::id));
    let rows: Vec<PairRow> = some.select(PairRow::as_select()).load(conn).map_err(broken)?;
    let known: HashSet<String> = found.iter().map(|s| s.id.clone()).collect();
    let near = not_told_by(conn, rows, chain)?;
    found.extend(near.into_iter().filter(|s| !known.contains(&s.id)));
    Ok(())
}

/// Puts lines that were told early where the books of the bank have them: another day's are left out, and those of these days
/// are added.
pub(in crate::statements) fn move_to_their_days(
    conn: &mut Conn,
    master: &str,
    (first, last): (NaiveDate, NaiveDate),
    chain: &[&str],
    found: &mut Vec<Stored>,
) -> Result<()> {
    let mut moved: HashMap<String, NaiveDate> = HashMap::new();
    let columns = (line_days::line, line_days::booked_on);
    // Told early for one of these days ...
    let from = line_days::table.inner_join(lines::table.on(lines::id.eq(line_days::line)));
    let from = from.filter(lines::master.eq(master)).filter(lines::booked_on.between(first, last));
    let from: Vec<(String, NaiveDate)> = from.select(columns).load(conn).map_err(broken)?;
    moved.extend(from);
    // ... or booked on one of them.
    let to = line_days::table.filter(line_days::master.eq(master)).filter(line_days::booked_on.between(first, last));
    let to: Vec<(String, NaiveDate)> = to.select(columns).load(conn).map_err(broken)?;
    moved.extend(to);
    if moved.is_empty() {
        return Ok(());
    }
    let is_within = |line: &str| moved.get(line).is_none_or(|day| (first..=last).contains(day));
    found.retain(|s| is_within(&s.id));
    let known: HashSet<String> = found.iter().map(|s| s.id.clone()).collect();
    let missing: Vec<&str> = moved.keys().map(String::as_str).filter(|l| is_within(l) && !known.contains(*l)).collect();
    for some in missing.chunks(KEYS) {
        let rows = lines::table.filter(lines::id.eq_any(some)).order((lines::booked_on, lines::id));
        let rows: Vec<PairRow> = rows.select(PairRow::as_select()).load(conn).map_err(broken)?;
        found.extend(not_told_by(conn, rows, chain)?);
    }
    for line in found.iter_mut() {
        if let Some(day) = moved.get(&line.id) {
            // What it said was of another day.
            (line.day, line.identity) = (*day, Identity::default());
        }
    }
    found.sort_by(|a, b| (a.day, &a.id).cmp(&(b.day, &b.id)));
    Ok(())
}

/// What pairing needs to know of a line.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = lines)]
struct PairRow {
    id: String,
    booked_on: NaiveDate,
    amount: i64,
    identity: Vec<u8>,
    statement: String,
    facet: String,
    posting: String,
    end_to_end_id: Option<String>,
    bank_ref: Option<String>,
    counterparty_account: Option<String>,
}

impl From<PairRow> for Stored {
    fn from(r: PairRow) -> Self {
        let open = r.facet == "notified";
        let withdrawn = r.posting == "withdrawn";
        Stored {
            day: r.booked_on,
            amount: r.amount,
            identity: r.identity.as_slice().try_into().unwrap_or_default(),
            keys: Keys::of(r.end_to_end_id.as_deref(), r.bank_ref.as_deref(), r.counterparty_account.as_deref()),
            loose: open,
            unconfirmed: open && r.posting == "posted",
            // What was taken back stays so: another line of that day and amount is not it.
            exact: withdrawn,
            only_told: open && withdrawn,
            id: r.id,
        }
    }
}

fn not_told_by(conn: &mut Conn, rows: Vec<PairRow>, chain: &[&str]) -> Result<Vec<Stored>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let told = line_facets::table.filter(line_facets::statement.eq_any(chain)).select(line_facets::line);
    let told: HashSet<String> = told.load(conn).map_err(broken)?.into_iter().collect();
    let others = rows.into_iter().filter(|r| !chain.contains(&r.statement.as_str()) && !told.contains(&r.id));
    Ok(others.map(Stored::from).collect())
}

/// Lines within some days of which no message of this one's role tells, but for the one whose place it takes: oldest first.
///
/// A bank may send a message for each payment, thousands a day. So this goes by the few messages of other roles and those that
/// are no longer in force, never through all lines of the days.
pub(in crate::statements) fn lines_of_others(
    conn: &mut Conn,
    mine: &StatementRow,
    master: &str,
    (first, last): (NaiveDate, NaiveDate),
) -> Result<Vec<Stored>> {
    let replaced = mine.same_as.as_deref().unwrap_or_default();
    let of_master = statements::table.filter(statements::master.eq(master));
    let roles = [Role::Statement, Role::Report, Role::Notification].map(Role::as_str);
    let others: Vec<&str> = roles.into_iter().filter(|role| *role != mine.role).collect();
    let near = of_master.filter(statements::role.eq_any(&others)).filter(statements::last_day.ge(first));
    let near = near.filter(statements::first_day.le(last)).select(statements::id);
    let mut from: Vec<String> = near.load(conn).map_err(broken)?;
    let superseded = of_master.filter(statements::state.eq("superseded"));
    let superseded: Vec<(String, String)> =
        superseded.select((statements::id, statements::role)).load(conn).map_err(broken)?;
    from.extend(superseded.into_iter().filter(|(_, role)| *role == mine.role).map(|(id, _)| id));
    from.extend(mine.same_as.clone());
    from.sort_unstable();
    from.dedup();
    let mut rows: Vec<PairRow> = Vec::new();
    for some in from.chunks(KEYS) {
        let of_them = lines::table.filter(lines::statement.eq_any(some)).filter(lines::booked_on.between(first, last));
        rows.extend(of_them.select(PairRow::as_select()).load::<PairRow>(conn).map_err(broken)?);
    }
    rows.sort_by(|a, b| (a.booked_on, &a.id).cmp(&(b.booked_on, &b.id)));
    let mut told: HashSet<String> = HashSet::new();
    for some in rows.chunks(KEYS) {
        let ids = some.iter().map(|r| r.id.as_str());
        let again = line_facets::table.inner_join(statements::table.on(statements::id.eq(line_facets::statement)));
        let again = again.filter(line_facets::line.eq_any(ids)).filter(statements::role.eq(&mine.role));
        let again = again.filter(statements::state.eq_any(["posting", "posted"])).filter(statements::id.ne(replaced));
        told.extend(again.select(line_facets::line).load::<String>(conn).map_err(broken)?);
    }
    Ok(rows.into_iter().filter(|r| !told.contains(&r.id)).map(Stored::from).collect())
}

struct StoredLine<'a> {
    id: &'a str,
    master: &'a str,
    line: &'a NewLine,
    booked_on: &'a Day,
    valued_on: &'a Day,
    kind: &'static str,
    placed: &'a Placed,
    reversal: i64,
    detail_count: i64,
    unconfirmed: i64,
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
        "unconfirmed",
        "replaces",
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
        c.text(self.kind)?;
        c.text(self.placed.posting)?;
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
        c.flag(&self.unconfirmed)?;
        c.maybe_text(self.placed.replaces.as_deref())?;
        c.maybe_int(&line.charges)
    }
}

struct StoredFacet<'a> {
    line: &'a str,
    statement: &'a str,
    place: i64,
    kind: &'static str,
}

impl Bulk for StoredFacet<'_> {
    type Table = line_facets::table;
    const TABLE: &'static str = "line_facets";
    const COLUMNS: &'static [&'static str] = &["statement", "place", "line", "kind"];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        c.text(self.statement)?;
        c.int(&self.place)?;
        c.text(self.line)?;
        c.text(self.kind)
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
    /// Its credits are held until a statement has it.
    pub unconfirmed: bool,
    /// The line in whose place it stands, which a statement told with another amount.
    pub replaces: Option<String>,
}

/// Stores new lines of a master, and the facets of lines that are there already. `expected_lines` is how many lines the
/// master had when the pairing was made: another number means that somebody else was here meanwhile, and a conflict. `kind` is
/// the facet that the message gives: `notified` or `booked`.
pub fn insert_lines(
    tx: &mut Tx<'_>,
    master: &str,
    expected_lines: i64,
    kind: &'static str,
    new: &[(&NewLine, Placed)],
    again: &[(&NewLine, String)],
) -> Result<()> {
    let grown = i64::try_from(new.len()).unwrap_or(i64::MAX);
    let counted = masters::table.filter(masters::id.eq(master)).filter(masters::line_count.eq(expected_lines));
    let counted =
        update(counted).set(masters::line_count.eq(expected_lines + grown)).execute(tx.conn()).map_err(broken)?;
    if counted != 1 {
        return Err(Error::Conflict("another import stored lines of this account meanwhile".to_owned()));
    }
    let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
    for date in new.iter().flat_map(|(l, _)| [l.booked_on, l.valued_on]) {
        days.entry(date).or_insert_with(|| Day::from(date));
    }
    let day = |date: &NaiveDate| days.get(date).ok_or_else(|| Error::Broken("a day went missing".to_owned()));
    let mut rows = Vec::with_capacity(new.len());
    let mut details = Vec::new();
    for (line, placed) in new {
        rows.push(StoredLine {
            id: &placed.id,
            master,
            line,
            booked_on: day(&line.booked_on)?,
            valued_on: day(&line.valued_on)?,
            kind,
            placed,
            unconfirmed: i64::from(placed.unconfirmed),
            reversal: i64::from(line.reversal),
            detail_count: i64::try_from(line.details.len().max(1)).unwrap_or(i64::MAX),
        });
        details.extend(details_of(&placed.id, line));
    }
    let facets: Vec<StoredFacet<'_>> = again
        .iter()
        .map(|(line, id)| StoredFacet { line: id, statement: &line.statement, place: line.place, kind })
        .collect();
    bulk::insert(tx.conn(), &rows)?;
    bulk::insert(tx.conn(), &details)?;
    bulk::insert(tx.conn(), &facets)
}

fn details_of<'a>(id: &'a str, line: &'a NewLine) -> impl Iterator<Item = StoredDetail<'a>> {
    line.details.iter().zip(0i64..).map(move |(detail, place)| {
        let sign = if detail.direction.map_or(line.amount < 0, |d| d == Direction::Debit) { -1 } else { 1 };
        StoredDetail {
            line: id,
            place,
            amount: detail.amount.map(|a| sign * a.0),
            charges: detail.charges.map(|c| c.0),
            detail,
        }
    })
}

/// Stores the payments inside a line that was told without them.
pub fn add_details(tx: &mut Tx<'_>, id: &str, told: &NewLine) -> Result<()> {
    bulk::insert(tx.conn(), &details_of(id, told).collect::<Vec<_>>())?;
    let count = i64::try_from(told.details.len()).unwrap_or(i64::MAX);
    update(lines::table.find(id)).set(lines::detail_count.eq(count)).execute(tx.conn()).map_err(broken)?;
    Ok(())
}

/// The statement of the day has these lines; `days` are those that it has on another day than they were told for.
pub fn confirm(tx: &mut Tx<'_>, ids: &[&str], master: &str, days: &[(&str, NaiveDate)]) -> Result<()> {
    for (line, day) in days {
        let row = (line_days::line.eq(line), line_days::master.eq(master), line_days::booked_on.eq(day));
        insert_into(line_days::table).values(row).execute(tx.conn()).map_err(broken)?;
    }
    for some in ids.chunks(KEYS) {
        let set = (lines::facet.eq("booked"), lines::unconfirmed.eq(false));
        update(lines::table.filter(lines::id.eq_any(some))).set(set).execute(tx.conn()).map_err(broken)?;
    }
    Ok(())
}

/// The places of those announced lines that are booked already: an announcement may come after what it announces.
pub fn booked_already(conn: &mut Conn, master: &str, announced: &[NewLine]) -> Result<HashSet<i64>> {
    let named: Vec<&str> = announced.iter().filter_map(|l| l.end_to_end_id.as_deref()).collect();
    let mut booked: HashSet<(String, i64)> = HashSet::new();
    for some in named.chunks(KEYS) {
        let rows = lines::table.filter(lines::master.eq(master)).filter(lines::end_to_end_id.eq_any(some));
        let rows: Vec<(Option<String>, i64)> =
            rows.select((lines::end_to_end_id, lines::amount)).load(conn).map_err(broken)?;
        booked.extend(rows.into_iter().filter_map(|(id, amount)| id.map(|id| (id, amount))));
    }
    let is_booked = |l: &&NewLine| l.end_to_end_id.clone().is_some_and(|id| booked.contains(&(id, l.amount)));
    Ok(announced.iter().filter(is_booked).map(|l| l.place).collect())
}

/// What a line posted was taken back.
pub fn withdraw(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    let set = (lines::posting.eq("withdrawn"), lines::unconfirmed.eq(false));
    update(lines::table.find(id)).set(set).execute(tx.conn()).map_err(broken)?;
    // Who has paired with it before is to look again.
    let of_line = lines::table.filter(lines::id.eq(id)).select(lines::master);
    update(masters::table.filter(masters::id.eq_any(of_line)))
        .set(masters::revision.eq(masters::revision + 1))
        .execute(tx.conn())
        .map_err(broken)?;
    Ok(())
}

/// Lines by their ids.
pub fn lines_by_id(conn: &mut Conn, ids: &[&str]) -> Result<HashMap<String, LineRow>> {
    let mut found = HashMap::with_capacity(ids.len());
    for some in ids.chunks(KEYS) {
        let rows: Vec<LineRow> =
            lines::table.filter(lines::id.eq_any(some)).select(LineRow::as_select()).load(conn).map_err(broken)?;
        found.extend(rows.into_iter().map(|l| (l.id.clone(), l)));
    }
    Ok(found)
}

/// The lines that this message told of and neither a taken-in statement of a day nor its successor does, oldest first.
pub(in crate::statements) fn lines_only_of(conn: &mut Conn, statement: &str, successor: &str) -> Result<Vec<LineRow>> {
    let sql = "SELECT t.line AS line FROM (SELECT id AS line FROM lines WHERE statement = $1 \
               UNION SELECT line FROM line_facets WHERE statement = $1) t WHERE NOT EXISTS ( \
               SELECT 1 FROM lines l JOIN statements s ON s.id = l.statement WHERE l.id = t.line AND s.id <> $1 \
               AND (s.id = $2 OR s.role = 'statement') AND s.state IN ('posting', 'posted')) AND NOT EXISTS ( \
               SELECT 1 FROM line_facets f JOIN statements s ON s.id = f.statement WHERE f.line = t.line AND s.id <> $1 \
               AND (s.id = $2 OR s.role = 'statement') AND s.state IN ('posting', 'posted')) ORDER BY t.line";
    let ids: Vec<LineId> =
        sql_query(sql).bind::<Text, _>(statement).bind::<Text, _>(successor).load(conn).map_err(broken)?;
    let ids: Vec<&str> = ids.iter().map(|l| l.line.as_str()).collect();
    let mut rows: Vec<LineRow> = lines_by_id(conn, &ids)?.into_values().collect();
    rows.sort_by(|a, b| (a.booked_on, &a.id).cmp(&(b.booked_on, &b.id)));
    Ok(rows)
}

#[derive(QueryableByName)]
struct LineId {
    #[diesel(sql_type = Text)]
    line: String,
}

/// A line by its id.
pub fn line(conn: &mut Conn, id: &str) -> Result<LineRow> {
    let found = lines::table.find(id).select(LineRow::as_select()).first(conn).optional().map_err(broken)?;
    found.ok_or_else(|| Error::NotFound(format!("there is no line {id}; `tributary route` lists those that wait, `tributary statement show ID` those of a statement")))
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
