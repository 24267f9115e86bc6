//! What banks announce, and how each bank reports.

use crate::db::schema::{bank_profiles, pending_lines};
use crate::db::{Conn, Tx, broken};
use crate::error::{Error, Result};
use crate::statements::identity::Keys;
use crate::statements::profile::{Contradictions, Notified, Profile, Reports};
use chrono::NaiveDate;
use diesel::prelude::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel::{RunQueryDsl, delete, insert_into, update};

/// A pending line.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = pending_lines, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column is")]
pub struct PendingRow {
    pub id: String,
    pub master: String,
    pub statement: String,
    pub place: i64,
    pub expected_on: NaiveDate,
    pub amount: i64,
    pub identity: Vec<u8>,
    pub bank_ref: Option<String>,
    pub end_to_end_id: Option<String>,
    pub counterparty_name: Option<String>,
    pub counterparty_account: Option<String>,
    pub remittance: Option<String>,
    pub state: String,
    pub line: Option<String>,
}

impl PendingRow {
    /// By what it may be found again.
    pub fn keys(&self) -> Keys {
        Keys::of(self.end_to_end_id.as_deref(), self.bank_ref.as_deref(), self.counterparty_account.as_deref())
    }
}

/// What a bank has announced on a master and not brought yet, oldest first.
pub fn open_pending(conn: &mut Conn, master: &str) -> Result<Vec<PendingRow>> {
    let open = pending_lines::table.filter(pending_lines::master.eq(master)).filter(pending_lines::state.eq("open"));
    open.order((pending_lines::expected_on, pending_lines::id))
        .select(PendingRow::as_select())
        .load(conn)
        .map_err(broken)
}

/// Stores what is announced for the first time.
pub fn insert_pending(tx: &mut Tx<'_>, new: &[PendingRow]) -> Result<()> {
    for row in new {
        insert_into(pending_lines::table).values(row).execute(tx.conn()).map_err(broken)?;
    }
    Ok(())
}

/// A booked line has brought what was announced.
pub fn meet_pending(tx: &mut Tx<'_>, pending: &str, line: &str) -> Result<()> {
    let set = (pending_lines::state.eq("met"), pending_lines::line.eq(Some(line)));
    update(pending_lines::table.find(pending)).set(set).execute(tx.conn()).map_err(broken)?;
    Ok(())
}

/// What was announced for days up to this one, and never came: a named break from now on. Gives how many.
pub fn expire_pending(tx: &mut Tx<'_>, master: &str, up_to: NaiveDate) -> Result<usize> {
    let due = pending_lines::table.filter(pending_lines::master.eq(master)).filter(pending_lines::state.eq("open"));
    let due = due.filter(pending_lines::expected_on.le(up_to));
    update(due).set(pending_lines::state.eq("expired")).execute(tx.conn()).map_err(broken)
}

/// The profile of a master, or the usual one.
pub(in crate::statements) fn profile(conn: &mut Conn, master: &str) -> Result<Profile> {
    type Row = (String, String, String);
    let columns = (bank_profiles::notified, bank_profiles::reports, bank_profiles::contradictions);
    let row: Option<Row> = bank_profiles::table.find(master).select(columns).first(conn).optional().map_err(broken)?;
    let Some((notified, reports, contradictions)) = row else { return Ok(Profile::default()) };
    let unknown = || Error::Broken(format!("the profile of master {master} has an unknown value"));
    Ok(Profile {
        notified: Notified::parse(&notified).ok_or_else(unknown)?,
        reports: Reports::parse(&reports).ok_or_else(unknown)?,
        contradictions: Contradictions::parse(&contradictions).ok_or_else(unknown)?,
    })
}

pub(in crate::statements) fn set_profile(tx: &mut Tx<'_>, master: &str, new: &Profile) -> Result<()> {
    delete(bank_profiles::table.find(master)).execute(tx.conn()).map_err(broken)?;
    let row = (
        bank_profiles::master.eq(master),
        bank_profiles::notified.eq(new.notified.as_str()),
        bank_profiles::reports.eq(new.reports.as_str()),
        bank_profiles::contradictions.eq(new.contradictions.as_str()),
    );
    insert_into(bank_profiles::table).values(row).execute(tx.conn()).map_err(broken)?;
    Ok(())
}
