//! `tributary keys`: API keys, for the operator of the machine.

use super::people::{RoleIn, done, role_json, say_waiting};
use super::table::table;
use super::{Context, approvals, print_json};
use crate::access::{self, Holder, KeyView, NewKey};
use crate::error::Result;
use crate::four_eyes::{self, Change, Done, Grant};
use crate::scope::Part;
use crate::time::{Clock, Instant, SystemClock, rfc3339};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is to be done with keys.
#[derive(Debug, clap::Subcommand)]
pub enum Keys {
    /// Make a key and print it, once
    Create {
        /// The machine that will hold it, such as tiktok-erp
        name: String,
        /// The login of the person whose asking its asking is
        #[arg(long)]
        owner: String,
        /// A role, and where it holds: product-client@product:tiktok
        #[arg(long = "role", value_name = "ROLE[@SCOPE]", required = true)]
        roles: Vec<RoleIn>,
        /// Days that it lasts, 366 at most
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
    /// Make the next key of a name, with the owner and roles of the present one, and print it, once
    Rotate {
        /// The machine that holds it
        name: String,
        /// Days that it lasts, 366 at most
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
    /// List keys with their roles
    List {
        /// Those that count no longer too
        #[arg(long)]
        all: bool,
    },
    /// End a key from now on
    Revoke {
        /// Its id, which stands in it behind trs_live_
        id: String,
    },
    /// Give a key one more role
    Grant {
        /// Its id
        id: String,
        /// The role's code
        role: String,
        /// Where: all, product:CODE, entity:CODE, master:CODE, subtree:PATH; joined by + where all must hold
        #[arg(long)]
        scope: Part,
    },
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &Keys) -> Result<()> {
    match command {
        Keys::Create { name, owner, roles, days } => create(context, name, owner, roles, *days),
        Keys::Rotate { name, days } => rotate(context, name, *days),
        Keys::List { all } => list(context, *all),
        Keys::Revoke { id } => {
            let (db, key) = (context.open_treasury()?, id.clone());
            let changed = db.write("key.revoke", &context.who, move |tx| access::revoke_key(tx, &key))?;
            let sentence = if changed { "The key counts no longer." } else { "The key was revoked before." };
            done(context, json!({ "key": id, "changed": changed }), sentence)
        }
        Keys::Grant { id, role, scope } => {
            let db = context.open_treasury()?;
            let change = Change::Grant(Grant::to(Holder::Key(id), role, scope));
            let Some(did) = approvals::submit(context, &db, change)? else { return Ok(()) };
            let Done::Grant(changed) = did else { return Err(approvals::other(&did)) };
            let how = if changed { "has now" } else { "had already" };
            let what = json!({ "key": id, "role": role, "scope": scope.to_string(), "changed": changed });
            done(context, what, &format!("The key {how} the role {role} in {scope}."))
        }
    }
}

fn create(context: &Context, name: &str, owner: &str, roles: &[RoleIn], days: i64) -> Result<()> {
    let db = context.open_treasury()?;
    let owner = db.read(|conn| access::person_by_login(conn, owner))?;
    let (id, secret) = NewKey::secret(&db)?;
    let roles = roles.iter().map(|r| (r.role.clone(), r.scope.clone())).collect();
    let new = NewKey { name: name.to_owned(), owner: owner.id, days, roles, id: id.clone() };
    let added = db.write("key.create", &context.who, {
        let secret = secret.clone();
        move |tx| four_eyes::create_key(tx, &new, &secret)
    })?;
    print_key(context, &id, &secret, added.until, &added.waiting)
}

fn rotate(context: &Context, name: &str, days: i64) -> Result<()> {
    let db = context.open_treasury()?;
    let (id, secret) = NewKey::secret(&db)?;
    let added = db.write("key.rotate", &context.who, {
        let (name, id, secret) = (name.to_owned(), id.clone(), secret.clone());
        move |tx| four_eyes::rotate_key(tx, &name, days, &id, &secret)
    })?;
    print_key(context, &id, &secret, added.until, &added.waiting)?;
    eprintln!(
        "The one before counts until it is revoked: change the machine to this one, then `tributary keys revoke`."
    );
    Ok(())
}

fn print_key(context: &Context, id: &str, secret: &access::Secret, until: Instant, waiting: &[String]) -> Result<()> {
    if context.json {
        let mut shown = json!({ "id": id, "key": secret.reveal(), "expires_at": rfc3339(until) });
        if !waiting.is_empty() {
            shown["waiting_for_approval"] = json!(waiting);
        }
        return print_json(&shown);
    }
    say!("The key, which is shown only now and counts until {}:\n", rfc3339(until));
    say!("    {}", secret.reveal());
    say_waiting(waiting);
    Ok(())
}

fn list(context: &Context, all: bool) -> Result<()> {
    let (keys, grants, people) = context
        .open_to_read()?
        .read(|conn| Ok((access::keys(conn, SystemClock.now())?, access::grants_of(conn)?, access::people(conn)?)))?;
    let logins: BTreeMap<&str, &str> = people.iter().map(|p| (p.id.as_str(), p.login.as_str())).collect();
    let login = |k: &KeyView| logins.get(k.owner.as_str()).copied().unwrap_or("?").to_owned();
    let keys: Vec<&KeyView> = keys.iter().filter(|k| all || k.state == "live").collect();
    let of = |k: &KeyView| grants.iter().filter(|g| g.api_key.as_deref() == Some(&k.id)).collect::<Vec<_>>();
    if context.json {
        let shown = keys.iter().map(|k| {
            json!({
                "id": k.id, "name": k.name, "owner": login(k), "state": k.state, "made_at": rfc3339(k.made_at),
                "expires_at": rfc3339(k.expires_at), "last_used_at": k.last_used_at.map(rfc3339),
                "roles": of(k).into_iter().map(role_json).collect::<Vec<Value>>(),
            })
        });
        return print_json(&shown.collect::<Vec<_>>());
    }
    if keys.is_empty() {
        say!("There is no {}key: `tributary keys create` makes one.", if all { "" } else { "live " });
        return Ok(());
    }
    let mut lines = table(&["name", "owner", "state", "~roles", "ends", "last used", "id"]);
    for k in keys {
        let roles: Vec<String> = of(k).iter().map(|g| format!("{}@{}", g.role, g.scope)).collect();
        let used = k.last_used_at.map_or_else(|| "never".to_owned(), rfc3339);
        let row = [&k.name, &login(k), k.state, &roles.join(", "), &rfc3339(k.expires_at), &used, &k.id];
        lines.add_row(row);
    }
    say!("{lines}");
    Ok(())
}
