//! The plumbing's SQL: keys of requests with their answers, and what this database's servers sign with.

use crate::db::schema::{idempotency_keys, server_secrets};
use crate::db::{Conn, broken};
use crate::error::Result;
use diesel::prelude::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel::{RunQueryDsl, insert_into};

/// A request that was answered under a key.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = idempotency_keys)]
pub(super) struct KeyRow {
    pub(super) principal: String,
    pub(super) key: String,
    pub(super) operation: String,
    pub(super) digest: Vec<u8>,
    pub(super) status: i64,
    pub(super) answer: String,
    pub(super) made_at: chrono::NaiveDateTime,
}

/// What a principal's key was answered with.
pub(super) fn kept(conn: &mut Conn, principal: &str, key: &str) -> Result<Option<KeyRow>> {
    idempotency_keys::table.find((principal, key)).select(KeyRow::as_select()).first(conn).optional().map_err(broken)
}

/// Keeps an answer under its key.
pub(super) fn keep(conn: &mut Conn, row: &KeyRow) -> Result<()> {
    insert_into(idempotency_keys::table).values(row).execute(conn).map(drop).map_err(broken)
}

/// A secret of this database.
pub(super) fn secret(conn: &mut Conn, name: &str) -> Result<Option<Vec<u8>>> {
    server_secrets::table.find(name).select(server_secrets::value).first(conn).optional().map_err(broken)
}

/// Makes it.
pub(super) fn make_secret(conn: &mut Conn, name: &str, value: &[u8]) -> Result<()> {
    let row = (server_secrets::name.eq(name), server_secrets::value.eq(value));
    insert_into(server_secrets::table).values(row).execute(conn).map(drop).map_err(broken)
}
