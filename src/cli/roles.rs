//! `tributary roles`: what each role allows, and a treasury's own.

use super::people::done;
use super::table::table;
use super::{Context, approvals, print_json};
use crate::access::role::{Role, built_in_roles};
use crate::access::{self, Permission};
use crate::error::{Error, Result};
use crate::four_eyes::{Change, Done};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What is to be done with roles.
#[derive(Debug, clap::Subcommand)]
pub enum Roles {
    /// List roles, or all permissions that roles are made of
    List {
        /// Permissions instead
        #[arg(long)]
        permissions: bool,
    },
    /// Show what one role allows
    Show {
        /// Its code
        code: String,
    },
    /// Put a file of roles in force, all or nothing
    Apply {
        /// TOML with [[role]] tables (code, name, permissions), and retire = ["code"] for those that go
        file: PathBuf,
    },
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &Roles) -> Result<()> {
    match command {
        Roles::List { permissions: true } => list_permissions(context),
        Roles::List { permissions: false } => list(context),
        Roles::Show { code } => show(context, code),
        Roles::Apply { file } => apply(context, file),
    }
}

/// The built-in ones need no database.
fn all(context: &Context) -> Result<Vec<Role>> {
    match context.open_to_read() {
        Ok(db) => db.read(access::roles),
        Err(Error::NotFound(_)) => Ok(built_in_roles().collect()),
        Err(e) => Err(e),
    }
}

fn role_json(role: &Role) -> Value {
    let permissions: Vec<&str> = role.permissions.iter().map(Permission::code).collect();
    json!({ "code": role.code, "name": role.name, "built_in": role.built_in, "permissions": permissions })
}

fn list(context: &Context) -> Result<()> {
    let roles = all(context)?;
    if context.json {
        return print_json(&roles.iter().map(role_json).collect::<Vec<_>>());
    }
    let mut lines = table(&["role", "~for", "made by", ">permissions"]);
    for r in &roles {
        let made_by = if r.built_in { "Tributary" } else { "this treasury" };
        lines.add_row([&r.code, &r.name, made_by, &r.permissions.iter().count().to_string()]);
    }
    say!("{lines}");
    Ok(())
}

fn list_permissions(context: &Context) -> Result<()> {
    if context.json {
        let shown = Permission::ALL.iter().map(|p| {
            json!({
                "code": p.code(), "says": p.says(), "duty": p.duty().map(access::Duty::code),
                "people_only": p.people_only(),
            })
        });
        return print_json(&shown.collect::<Vec<_>>());
    }
    let mut lines = table(&["permission", "~allows to", "duty", "for"]);
    for p in Permission::ALL {
        let whom = if p.people_only() { "people" } else { "people and keys" };
        lines.add_row([p.code(), p.says(), p.duty().map_or("", access::Duty::code), whom]);
    }
    say!("{lines}");
    Ok(())
}

fn show(context: &Context, code: &str) -> Result<()> {
    let roles = all(context)?;
    let unknown = || access::Refusal::UnknownRole { role: code.to_owned() };
    let role = roles.iter().find(|r| r.code == code).ok_or_else(unknown)?;
    if context.json {
        return print_json(&role_json(role));
    }
    say!("{}: {}", role.code, role.name);
    let mut lines = table(&["permission", "~allows to"]);
    for p in role.permissions.iter() {
        lines.add_row([p.code(), p.says()]);
    }
    say!("{lines}");
    Ok(())
}

fn apply(context: &Context, file: &Path) -> Result<()> {
    let unreadable = |e| Error::NotFound(format!("cannot read {}: {e}", file.display()));
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let db = context.open_treasury()?;
    let Some(did) = approvals::submit(context, &db, Change::Roles { file: text })? else { return Ok(()) };
    let Done::Roles(applied) = did else { return Err(approvals::other(&did)) };
    let what = serde_json::to_value(&applied).map_err(|e| Error::Broken(e.to_string()))?;
    let sentence = match (applied.changed.as_slice(), applied.retired.as_slice()) {
        ([], []) => "Everything was so already.".to_owned(),
        (changed, []) => format!("In force from the next request on: {}.", changed.join(", ")),
        ([], retired) => format!("Retired: {}.", retired.join(", ")),
        (changed, retired) => format!("In force: {}. Retired: {}.", changed.join(", "), retired.join(", ")),
    };
    done(context, what, &sentence)
}
