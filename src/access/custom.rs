//! A treasury's own roles, from a TOML file: put in force all or nothing, and only when everybody who has one of them could
//! still be given it.

use super::Refusal;
use super::grants::{Holder, administrators, authority, keep_an_administrator, refuse_conflict, refuse_own};
use super::permission::{Permission, Permissions};
use super::role::{self, Role, built_in_roles};
use super::store::{self, RoleRow};
use crate::db::{Conn, Tx};
use crate::error::Result;
use serde_json::json;

/// All roles: those that come with Tributary, then the treasury's own by code.
pub fn roles(conn: &mut Conn) -> Result<Vec<Role>> {
    let own = store::custom_roles(conn)?.into_iter().map(|row| Role {
        permissions: Permissions::from_text(&row.permissions),
        code: row.code,
        name: row.name,
        built_in: false,
    });
    Ok(built_in_roles().chain(own).collect())
}

/// What applying a file of roles has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct AppliedRoles {
    /// Codes of roles that are new or allow something else.
    pub changed: Vec<String>,
    /// Codes of roles that are gone.
    pub retired: Vec<String>,
}

/// Puts a file of roles in force.
pub fn apply_roles(tx: &mut Tx<'_>, text: &str) -> Result<AppliedRoles> {
    if !authority(tx, Permission::RolesChange)?.is_everything() {
        return Err(Refusal::AboveOwn { own: "less than the whole treasury".to_owned() }.into());
    }
    let (roles, retire) = role::read(text).map_err(Refusal::BadRoles)?;
    let before = administrators(tx.conn())?;
    let mut applied = AppliedRoles::default();
    for role in &roles {
        if change(tx, role)? {
            applied.changed.push(role.code.clone());
        }
    }
    for code in retire {
        retire_role(tx, &code)?;
        applied.retired.push(code);
    }
    keep_an_administrator(tx.conn(), &before)?;
    Ok(applied)
}

/// What a role is, as its events have it.
pub(super) fn content(row: &RoleRow) -> String {
    json!({ "name": row.name, "permissions": row.permissions }).to_string()
}

fn change(tx: &mut Tx<'_>, role: &Role) -> Result<bool> {
    let row = RoleRow { code: role.code.clone(), name: role.name.clone(), permissions: role.permissions.to_text() };
    let before = store::custom_role(tx.conn(), &role.code)?;
    if before.as_ref() == Some(&row) {
        return Ok(false);
    }
    store::put_role(tx.conn(), &row)?;
    // Everybody who has it is judged with what it now allows.
    for grant in store::open_grants(tx.conn())?.into_iter().filter(|g| g.role == role.code) {
        if let Some(person) = &grant.person {
            refuse_own(tx, person)?;
            refuse_conflict(tx.conn(), Holder::Person(person), &role.code, role.permissions)?;
        }
        if let Some(key) = &grant.api_key {
            refuse_conflict(tx.conn(), Holder::Key(key), &role.code, role.permissions)?;
        }
    }
    tx.event("role.changed", &role.code, before.as_ref().map(content), Some(content(&row)));
    Ok(true)
}

fn retire_role(tx: &mut Tx<'_>, code: &str) -> Result<()> {
    let unknown = || Refusal::UnknownRole { role: code.to_owned() };
    let row = store::custom_role(tx.conn(), code)?.ok_or_else(unknown)?;
    let holders = store::open_grants(tx.conn())?.iter().filter(|g| g.role == code).count();
    if holders > 0 {
        return Err(Refusal::RoleHeld { role: code.to_owned(), holders }.into());
    }
    store::delete_role(tx.conn(), code)?;
    tx.event("role.retired", code, Some(content(&row)), None);
    Ok(())
}
