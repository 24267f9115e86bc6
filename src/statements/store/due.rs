//! Which messages of a master came, as far as being due goes.

use crate::banking::Role;
use crate::db::schema::{statement_files, statements};
use crate::db::{Conn, broken};
use crate::error::Result;
use chrono::{NaiveDate, NaiveDateTime};
use diesel::RunQueryDsl;
use diesel::prelude::{ExpressionMethods, JoinOnDsl, QueryDsl};

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
        statements::format,
        statements::state,
        statements::first_day,
        statements::last_day,
        statements::closing_on,
        statement_files::received_at,
    );
    let rows: Vec<Row> = here.order(statements::id).select(columns).load(conn).map_err(broken)?;
    let one = |(format, state, first_day, last_day, closing_on, received_at): Row| Came {
        role: role_of(&format),
        posted: state != "quarantined",
        first_day,
        last_day,
        closing_on,
        received_on: local_day(received_at),
    };
    Ok(rows.into_iter().map(one).collect())
}

/// What a message is, by the name of its format.
fn role_of(format: &str) -> Role {
    let format = format.to_ascii_lowercase();
    if format.starts_with("camt.052") || format.starts_with("mt942") {
        Role::Report
    } else if format.starts_with("camt.054") {
        Role::Notification
    } else {
        Role::Statement
    }
}
