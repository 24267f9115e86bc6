//! The proof over access: what is stored is what the events tell (I10), no person holds two duties that are apart and no key what
//! is for people (I7), and whoever is let in has joined.

use super::custom;
use super::grants::{content, duties_of, permissions_of};
use super::oidc;
use super::segregation;
use super::store;
use crate::db::{Conn, Db};
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};

/// An invariant and what is wrong.
pub type Finding = (&'static str, String);

/// Everything that is wrong.
pub fn check(db: &Db) -> Result<Vec<Finding>> {
    db.read(|conn| {
        let mut found = Vec::new();
        people(conn, &mut found)?;
        grants(conn, &mut found)?;
        keys(conn, &mut found)?;
        oidc::check(conn, &mut found)?;
        roles(conn, &mut found)?;
        Ok(found)
    })
}

/// The last state that events tell of, by person.
fn people(conn: &mut Conn, found: &mut Vec<Finding>) -> Result<()> {
    let kinds = ["person.added", "person.joined", "person.reset", "person.disabled"];
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    for (_, person, after) in store::events(conn, &kinds)? {
        told.insert(person, after.unwrap_or_default());
    }
    for person in store::people_by_login(conn)? {
        let said = told.remove(&person.id);
        let is = serde_json::json!({ "state": person.state }).to_string();
        if said.as_deref() != Some(is.as_str()) {
            let said = said.unwrap_or_else(|| "nothing".to_owned());
            found.push(("I10", format!("person {} is {}, and events tell {said}", person.id, person.state)));
        }
        if let Some(conflict) = segregation::conflict(duties_of(conn, &person.id)?) {
            found.push(("I7", format!("person {} holds duties that are apart; {conflict}", person.id)));
        }
        if person.state != "active" && !store::sessions_of(conn, &person.id)?.is_empty() {
            found.push(("I10", format!("person {} is {} and has a session", person.id, person.state)));
        }
    }
    found.extend(told.into_keys().map(|id| ("I10", format!("events tell of person {id}, who is not there"))));
    Ok(())
}

fn grants(conn: &mut Conn, found: &mut Vec<Finding>) -> Result<()> {
    let mut made: BTreeMap<String, String> = BTreeMap::new();
    let mut revoked = BTreeSet::new();
    for (kind, grant, after) in store::events(conn, &["grant.made", "grant.revoked"])? {
        if kind == "grant.made" {
            made.insert(grant, after.unwrap_or_default());
        } else {
            revoked.insert(grant);
        }
    }
    let custom: BTreeMap<String, String> =
        store::custom_roles(conn)?.into_iter().map(|row| (row.code, row.permissions)).collect();
    for grant in store::grants(conn)? {
        if made.remove(&grant.id) != Some(content(&grant)) {
            found.push(("I10", format!("grant {} is not what its event tells", grant.id)));
        }
        if revoked.contains(&grant.id) != grant.revoked_at.is_some() {
            found.push(("I10", format!("whether grant {} is revoked is not what its events tell", grant.id)));
        }
        let held = permissions_of(&grant.role, custom.get(&grant.role).map(String::as_str));
        let for_people = held.iter().find(|p| p.people_only());
        if let (Some(key), None, Some(permission)) = (&grant.api_key, &grant.revoked_at, for_people) {
            found.push(("I7", format!("key {key} has {permission}, which only a person may have")));
        }
    }
    found.extend(made.into_keys().map(|id| ("I10", format!("an event tells of grant {id}, which is not there"))));
    Ok(())
}

fn keys(conn: &mut Conn, found: &mut Vec<Finding>) -> Result<()> {
    let mut made: BTreeMap<String, String> = BTreeMap::new();
    let mut revoked = BTreeSet::new();
    for (kind, key, after) in store::events(conn, &["key.made", "key.revoked"])? {
        if kind == "key.made" {
            made.insert(key, after.unwrap_or_default());
        } else {
            revoked.insert(key);
        }
    }
    for key in store::keys(conn)? {
        let is = serde_json::json!({ "name": key.name, "owner": key.owner }).to_string();
        if made.remove(&key.id) != Some(is) || revoked.contains(&key.id) != key.revoked_at.is_some() {
            found.push(("I10", format!("key {} is not what its events tell", key.id)));
        }
    }
    found.extend(made.into_keys().map(|id| ("I10", format!("an event tells of key {id}, which is not there"))));
    Ok(())
}

fn roles(conn: &mut Conn, found: &mut Vec<Finding>) -> Result<()> {
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    for (kind, role, after) in store::events(conn, &["role.changed", "role.retired"])? {
        match after {
            Some(after) if kind == "role.changed" => drop(told.insert(role, after)),
            _ => drop(told.remove(&role)),
        }
    }
    for row in store::custom_roles(conn)? {
        if told.remove(&row.code) != Some(custom::content(&row)) {
            found.push(("I10", format!("role {} is not what its events tell", row.code)));
        }
    }
    found.extend(told.into_keys().map(|code| ("I10", format!("events tell of role {code}, which is not there"))));
    Ok(())
}
