//! The SQL of webhooks. Cursors and deliveries are housekeeping: no event, no seal.

use crate::db::schema::{events, webhook_cursors, webhook_deliveries, webhook_endpoints};
use crate::db::{Conn, broken};
use crate::error::Result;
use crate::time::{Instant, stored};
use chrono::NaiveDateTime;
use diesel::prelude::{
    BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable,
    SelectableHelper,
};
use diesel::{RunQueryDsl, delete, insert_into, update};

/// Where events are sent.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = webhook_endpoints, treat_none_as_default_value = false)]
pub(super) struct EndpointRow {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) kinds: String,
    pub(super) owner: String,
    pub(super) state: String,
    pub(super) why_off: Option<String>,
    pub(super) secret: Vec<u8>,
    pub(super) previous_secret: Option<Vec<u8>>,
    pub(super) previous_until: Option<NaiveDateTime>,
    pub(super) made_by: String,
    pub(super) made_at: NaiveDateTime,
}

/// Where sending stands.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = webhook_cursors, treat_none_as_default_value = false)]
pub(super) struct CursorRow {
    pub(super) id: String,
    pub(super) endpoint: String,
    pub(super) at: i64,
    pub(super) last: Option<i64>,
    pub(super) failures: i64,
    pub(super) due_at: Option<NaiveDateTime>,
    pub(super) lease_owner: Option<String>,
    pub(super) lease_until: Option<NaiveDateTime>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = webhook_deliveries, treat_none_as_default_value = false)]
pub(super) struct DeliveryRow {
    pub(super) id: String,
    pub(super) endpoint: String,
    pub(super) message: String,
    pub(super) event: Option<i64>,
    pub(super) attempt: i64,
    pub(super) sent_at: NaiveDateTime,
    pub(super) status: Option<i64>,
    pub(super) milliseconds: i64,
    pub(super) bytes: i64,
    pub(super) error: Option<String>,
}

pub(super) fn endpoints(conn: &mut Conn) -> Result<Vec<EndpointRow>> {
    webhook_endpoints::table.select(EndpointRow::as_select()).order(webhook_endpoints::id).load(conn).map_err(broken)
}

pub(super) fn endpoint(conn: &mut Conn, id: &str) -> Result<Option<EndpointRow>> {
    webhook_endpoints::table.find(id).select(EndpointRow::as_select()).first(conn).optional().map_err(broken)
}

pub(super) fn insert_endpoint(conn: &mut Conn, row: &EndpointRow) -> Result<()> {
    insert_into(webhook_endpoints::table).values(row).execute(conn).map(drop).map_err(broken)
}

pub(super) fn set_state(conn: &mut Conn, id: &str, why_off: Option<&str>) -> Result<()> {
    let state = if why_off.is_some() { "off" } else { "on" };
    let set = (webhook_endpoints::state.eq(state), webhook_endpoints::why_off.eq(why_off));
    update(webhook_endpoints::table.find(id)).set(set).execute(conn).map(drop).map_err(broken)
}

pub(super) fn set_secrets(conn: &mut Conn, id: &str, secret: &[u8], previous: Option<(&[u8], Instant)>) -> Result<()> {
    let set = (
        webhook_endpoints::secret.eq(secret),
        webhook_endpoints::previous_secret.eq(previous.map(|(secret, _)| secret)),
        webhook_endpoints::previous_until.eq(previous.map(|(_, until)| stored(until))),
    );
    update(webhook_endpoints::table.find(id)).set(set).execute(conn).map(drop).map_err(broken)
}

/// Removes an endpoint with all that was kept of it; its events stay.
pub(super) fn delete_endpoint(conn: &mut Conn, id: &str) -> Result<()> {
    delete(webhook_deliveries::table.filter(webhook_deliveries::endpoint.eq(id))).execute(conn).map_err(broken)?;
    delete(webhook_cursors::table.filter(webhook_cursors::endpoint.eq(id))).execute(conn).map_err(broken)?;
    delete(webhook_endpoints::table.find(id)).execute(conn).map(drop).map_err(broken)
}

// Cursors.

pub(super) fn insert_cursor(conn: &mut Conn, row: &CursorRow) -> Result<()> {
    insert_into(webhook_cursors::table).values(row).execute(conn).map(drop).map_err(broken)
}

/// The cursors of endpoints that are on, in the order in which they were made, each with its endpoint's owner.
pub(super) fn cursors_on(conn: &mut Conn) -> Result<Vec<(CursorRow, String)>> {
    use diesel::prelude::JoinOnDsl;
    webhook_cursors::table
        .inner_join(webhook_endpoints::table.on(webhook_endpoints::id.eq(webhook_cursors::endpoint)))
        .filter(webhook_endpoints::state.eq("on"))
        .select((CursorRow::as_select(), webhook_endpoints::owner))
        .order(webhook_cursors::id)
        .load(conn)
        .map_err(broken)
}

pub(super) fn cursors_of(conn: &mut Conn, endpoint: &str) -> Result<Vec<CursorRow>> {
    let own = webhook_cursors::table.filter(webhook_cursors::endpoint.eq(endpoint));
    own.select(CursorRow::as_select()).order(webhook_cursors::id).load(conn).map_err(broken)
}

pub(super) fn cursor(conn: &mut Conn, id: &str) -> Result<Option<CursorRow>> {
    webhook_cursors::table.find(id).select(CursorRow::as_select()).first(conn).optional().map_err(broken)
}

/// Takes a cursor for a worker, until an instant; `false` when another worker has it.
pub(super) fn lease(conn: &mut Conn, id: &str, owner: &str, now: Instant, until: Instant) -> Result<bool> {
    let free = webhook_cursors::table.find(id).filter(
        webhook_cursors::lease_owner
            .is_null()
            .or(webhook_cursors::lease_owner.eq(owner))
            .or(webhook_cursors::lease_until.is_null())
            .or(webhook_cursors::lease_until.le(stored(now))),
    );
    let set = (webhook_cursors::lease_owner.eq(Some(owner)), webhook_cursors::lease_until.eq(Some(stored(until))));
    Ok(update(free).set(set).execute(conn).map_err(broken)? == 1)
}

/// Moves a cursor that this worker has; `false` when it has it no longer.
pub(super) fn move_cursor(
    conn: &mut Conn,
    id: &str,
    owner: &str,
    at: i64,
    failures: i64,
    due_at: Option<Instant>,
    until: Instant,
) -> Result<bool> {
    let own = webhook_cursors::table.find(id).filter(webhook_cursors::lease_owner.eq(owner));
    let set = (
        webhook_cursors::at.eq(at),
        webhook_cursors::failures.eq(failures),
        webhook_cursors::due_at.eq(due_at.map(stored)),
        webhook_cursors::lease_until.eq(Some(stored(until))),
    );
    Ok(update(own.filter(webhook_cursors::at.le(at))).set(set).execute(conn).map_err(broken)? == 1)
}

/// Lets all cursors of an endpoint try again at once, with all attempts before them.
pub(super) fn begin_again(conn: &mut Conn, endpoint: &str) -> Result<()> {
    let own = webhook_cursors::table.filter(webhook_cursors::endpoint.eq(endpoint));
    let set = (webhook_cursors::failures.eq(0), webhook_cursors::due_at.eq(None::<NaiveDateTime>));
    update(own).set(set).execute(conn).map(drop).map_err(broken)
}

/// A range has been sent.
pub(super) fn delete_cursor(conn: &mut Conn, id: &str) -> Result<()> {
    delete(webhook_cursors::table.find(id)).execute(conn).map(drop).map_err(broken)
}

/// Gives up what this worker holds: it stops.
pub(super) fn give_back(conn: &mut Conn, owner: &str) -> Result<()> {
    let own = webhook_cursors::table.filter(webhook_cursors::lease_owner.eq(owner));
    update(own).set(webhook_cursors::lease_owner.eq(None::<String>)).execute(conn).map(drop).map_err(broken)
}

// Deliveries.

pub(super) fn insert_delivery(conn: &mut Conn, row: &DeliveryRow) -> Result<()> {
    insert_into(webhook_deliveries::table).values(row).execute(conn).map(drop).map_err(broken)
}

/// The newest attempts, the newest first; before one of them, when it is named.
pub(super) fn deliveries(
    conn: &mut Conn,
    endpoint: &str,
    before: Option<&str>,
    failed_only: bool,
    limit: i64,
) -> Result<Vec<DeliveryRow>> {
    let mut own = webhook_deliveries::table.filter(webhook_deliveries::endpoint.eq(endpoint)).into_boxed();
    if let Some(before) = before {
        own = own.filter(webhook_deliveries::id.lt(before));
    }
    if failed_only {
        own = own.filter(webhook_deliveries::error.is_not_null());
    }
    let newest = own.select(DeliveryRow::as_select()).order(webhook_deliveries::id.desc()).limit(limit);
    newest.load(conn).map_err(broken)
}

/// Forgets attempts from before an instant; how many those were.
pub(super) fn prune(conn: &mut Conn, before: Instant) -> Result<usize> {
    delete(webhook_deliveries::table.filter(webhook_deliveries::sent_at.lt(stored(before))))
        .execute(conn)
        .map_err(broken)
}

/// Whether there is an attempt from before an instant.
pub(super) fn has_old(conn: &mut Conn, before: Instant) -> Result<bool> {
    let old = webhook_deliveries::table.filter(webhook_deliveries::sent_at.lt(stored(before)));
    let found: Option<String> = old.select(webhook_deliveries::id).first(conn).optional().map_err(broken)?;
    Ok(found.is_some())
}

/// Kind, subject and what came of it, of all events of webhooks in their order.
pub(super) fn told(conn: &mut Conn) -> Result<Vec<(String, String)>> {
    let all = events::table.filter(events::kind.between("webhook.", "webhook/")).order(events::number);
    all.select((events::kind, events::subject)).load(conn).map_err(broken)
}
