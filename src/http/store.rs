//! The plumbing's SQL: keys of requests with their answers, and what this database's servers sign with.

use crate::db::bulk::{self, Bulk, Cells, Moment};
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

/// What a principal's keys were answered with, of those that were used.
pub(super) fn kept_of(conn: &mut Conn, principal: &str, keys: &[&str]) -> Result<Vec<KeyRow>> {
    if let [key] = keys {
        return Ok(kept(conn, principal, key)?.into_iter().collect());
    }
    let mut found = Vec::new();
    for some in keys.chunks(KEYS) {
        let of = idempotency_keys::table.filter(idempotency_keys::principal.eq(principal));
        let of = of.filter(idempotency_keys::key.eq_any(some)).select(KeyRow::as_select());
        found.extend(of.load(conn).map_err(broken)?);
    }
    Ok(found)
}

/// Keys per `IN` list: far below both databases' limits of bound values.
const KEYS: usize = 5_000;

struct BulkKey<'a> {
    row: &'a KeyRow,
    made_at: Moment,
}

impl Bulk for BulkKey<'_> {
    type Table = idempotency_keys::table;
    const TABLE: &'static str = "idempotency_keys";
    const COLUMNS: &'static [&'static str] =
        &["principal", "key", "operation", "digest", "status", "answer", "made_at"];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> diesel::QueryResult<()> {
        c.text(&self.row.principal)?;
        c.text(&self.row.key)?;
        c.text(&self.row.operation)?;
        c.bytes(&self.row.digest)?;
        c.int(&self.row.status)?;
        c.text(&self.row.answer)?;
        c.moment(&self.made_at)
    }
}

/// Keeps answers under their keys.
pub(super) fn keep_all(conn: &mut Conn, rows: &[KeyRow]) -> Result<()> {
    let rows: Vec<BulkKey<'_>> = rows.iter().map(|row| BulkKey { row, made_at: Moment::from(row.made_at) }).collect();
    bulk::insert(conn, &rows)
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
