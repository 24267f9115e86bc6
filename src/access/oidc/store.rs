//! The SQL of sign-in by a provider.

use crate::db::schema::{identities, used_sign_ins};
use crate::db::{Conn, broken};
use crate::error::Result;
use crate::time::{Instant, stored};
use chrono::NaiveDateTime;
use diesel::prelude::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel::{RunQueryDsl, delete, insert_into, update};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = identities, treat_none_as_default_value = false)]
pub(super) struct IdentityRow {
    pub(super) id: String,
    pub(super) person: String,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) salt: Vec<u8>,
    pub(super) made_by: String,
    pub(super) made_at: NaiveDateTime,
    pub(super) unlinked_by: Option<String>,
    pub(super) unlinked_at: Option<NaiveDateTime>,
}

/// All that ever were.
pub(super) fn identities(conn: &mut Conn) -> Result<Vec<IdentityRow>> {
    identities::table.select(IdentityRow::as_select()).order(identities::id).load(conn).map_err(broken)
}

/// Those of a person that are linked.
pub(super) fn identities_of(conn: &mut Conn, person: &str) -> Result<Vec<IdentityRow>> {
    let linked = identities::table.filter(identities::person.eq(person)).filter(identities::unlinked_at.is_null());
    linked.select(IdentityRow::as_select()).order(identities::id).load(conn).map_err(broken)
}

/// The one that is linked with this name.
pub(super) fn identity_by_subject(conn: &mut Conn, issuer: &str, subject: &str) -> Result<Option<IdentityRow>> {
    let linked = identities::table
        .filter(identities::issuer.eq(issuer))
        .filter(identities::subject.eq(subject))
        .filter(identities::unlinked_at.is_null());
    linked.select(IdentityRow::as_select()).first(conn).optional().map_err(broken)
}

pub(super) fn insert_identity(conn: &mut Conn, row: &IdentityRow) -> Result<()> {
    insert_into(identities::table).values(row).execute(conn).map(drop).map_err(broken)
}

pub(super) fn unlink_identity(conn: &mut Conn, id: &str, by: &str, now: Instant) -> Result<()> {
    let set = (identities::unlinked_by.eq(Some(by)), identities::unlinked_at.eq(Some(stored(now))));
    update(identities::table.find(id)).set(set).execute(conn).map(drop).map_err(broken)
}

pub(super) fn is_used(conn: &mut Conn, digest: &[u8]) -> Result<bool> {
    let found: Option<Vec<u8>> =
        used_sign_ins::table.find(digest).select(used_sign_ins::digest).first(conn).optional().map_err(broken)?;
    Ok(found.is_some())
}

/// Keeps that a sign-in has come to its end, and forgets those from before an instant. Whether it had not before.
pub(super) fn use_up(conn: &mut Conn, digest: &[u8], now: Instant, forget_before: Instant) -> Result<bool> {
    delete(used_sign_ins::table.filter(used_sign_ins::used_at.lt(stored(forget_before))))
        .execute(conn)
        .map_err(broken)?;
    if is_used(conn, digest)? {
        return Ok(false);
    }
    let row = (used_sign_ins::digest.eq(digest), used_sign_ins::used_at.eq(stored(now)));
    insert_into(used_sign_ins::table).values(row).execute(conn).map_err(broken)?;
    Ok(true)
}
