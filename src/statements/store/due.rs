//! Which messages of a master came, as far as being due goes, and which were missing when they were due.

use crate::banking::Role;
use crate::db::schema::{events, masters, missing_statements, statement_files, statements};
use crate::db::{Conn, Tx, broken};
use crate::error::{Error, Result};
use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::{ExpressionMethods, Insertable, JoinOnDsl, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel::{RunQueryDsl, delete, insert_into};
use std::collections::HashMap;

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    /// Statement or report.
    pub role: Role,
    /// Taken in whole; what is in quarantine has come, but its balances prove nothing.
    pub posted: bool,
    /// First and last booking day of its lines.
    pub first_day: Option<NaiveDate>,
    /// See there.
    pub last_day: Option<NaiveDate>,
    /// The day of its closing balance.
    pub closing_on: Option<NaiveDate>,
    /// The local day on which it came.
    pub received_on: NaiveDate,
}

type Row = (String, String, Option<NaiveDate>, Option<NaiveDate>, Option<NaiveDate>, NaiveDateTime);

/// Every message of a master that is posted, being posted or held in quarantine.
pub(in crate::statements) fn came(
    conn: &mut Conn,
    master: &str,
    local_day: impl Fn(NaiveDateTime) -> NaiveDate,
) -> Result<Vec<Came>> {
    let here = statements::table.inner_join(statement_files::table.on(statement_files::id.eq(statements::file)));
    let here = here.filter(statements::master.eq(master));
    let here = here.filter(statements::state.eq_any(["posting", "posted", "quarantined"]));
    let columns = (
        statements::role,
        statements::state,
        statements::first_day,
        statements::last_day,
        statements::closing_on,
        statement_files::received_at,
    );
    let rows: Vec<Row> = here.order(statements::id).select(columns).load(conn).map_err(broken)?;
    let one = |(role, state, first_day, last_day, closing_on, received_at): Row| {
        let role = Role::parse(&role).ok_or_else(|| Error::Broken(format!("a statement's role is {role}")))?;
        let (posted, received_on) = (state != "quarantined", local_day(received_at));
        Ok(Came { role, posted, first_day, last_day, closing_on, received_on })
    };
    rows.into_iter().map(one).collect()
}

/// A message that was missing when its time was over.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = missing_statements, treat_none_as_default_value = false)]
pub struct AlarmRow {
    pub master: String,
    pub role: String,
    pub day: NaiveDate,
    pub due_at: NaiveDateTime,
    pub told_at: NaiveDateTime,
    pub ended: Option<String>,
    pub ended_at: Option<NaiveDateTime>,
}

/// Every alarm there was, by master, role and day.
pub(in crate::statements) fn alarms(conn: &mut Conn) -> Result<Vec<AlarmRow>> {
    let order = (missing_statements::master, missing_statements::role, missing_statements::day);
    missing_statements::table.order(order).select(AlarmRow::as_select()).load(conn).map_err(broken)
}

/// Writes an alarm down, in place of an earlier one about the same message.
pub(in crate::statements) fn set_alarm(tx: &mut Tx<'_>, row: &AlarmRow) -> Result<()> {
    let same = missing_statements::table.find((&row.master, &row.role, row.day));
    delete(same).execute(tx.conn()).map_err(broken)?;
    insert_into(missing_statements::table).values(row).execute(tx.conn()).map_err(broken)?;
    Ok(())
}

/// Alarms that no event tells of, and events of alarms that are not there: for `check`.
pub(in crate::statements) fn untold_alarms(conn: &mut Conn) -> Result<Vec<String>> {
    let kinds = ["statement.missing", "statement.no_longer_missing"];
    let told = events::table.filter(events::kind.eq_any(kinds)).order(events::number);
    let told: Vec<(String, Option<String>)> =
        told.select((events::subject, events::after)).load(conn).map_err(broken)?;
    // The newest of each message is in force: how it ended, if it did.
    let mut sealed: HashMap<(String, String, String), Option<String>> = HashMap::new();
    for (master, after) in told {
        let after: serde_json::Value = serde_json::from_str(&after.unwrap_or_default()).unwrap_or_default();
        let text = |key: &str| after[key].as_str().map(str::to_owned);
        let key = (master, text("role").unwrap_or_default(), text("day").unwrap_or_default());
        sealed.insert(key, text("why"));
    }
    let codes = masters::table.select((masters::id, masters::code)).load::<(String, String)>(conn).map_err(broken)?;
    let codes: HashMap<String, String> = codes.into_iter().collect();
    let mut wrong = Vec::new();
    for row in alarms(conn)? {
        let master = codes.get(&row.master).cloned().unwrap_or_default();
        let what = format!("the alarm of the {} of {} of {master}", row.role, row.day);
        match sealed.remove(&(master, row.role, row.day.to_string())) {
            Some(ended) if ended == row.ended => {}
            Some(_) => wrong.push(format!("{what} ended otherwise than its event says")),
            None => wrong.push(format!("{what} has no event")),
        }
    }
    let gone =
        sealed.into_keys().map(|(master, role, day)| format!("the alarm of the {role} of {day} of {master} is gone"));
    wrong.extend(gone);
    wrong.sort();
    Ok(wrong)
}
