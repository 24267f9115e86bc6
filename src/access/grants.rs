//! Who gets which role, and where. What is refused, in the order of checking: a role or scope that is not there; one's own
//! rights; beyond one's own scope; what a key must not hold; two duties that must be in different hands; taking the treasury's
//! last administrator away. All of it is judged in the commit that changes it, by what is stored there.
//!
//! An operator of the database file may do all of this but what the last three refuse: they bind everybody.

use super::permission::{Permission, Permissions};
use super::rights::Rights;
use super::role::built_in;
use super::store::{self, GrantRow, Held};
use super::{Refusal, segregation};
use crate::actor::{Principal, Scope};
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::scope::Part;
use crate::time::stored;
use serde_json::json;
use std::collections::BTreeSet;

/// Who has a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder<'a> {
    /// A person, by id.
    Person(&'a str),
    /// An API key, by id.
    Key(&'a str),
}

impl Holder<'_> {
    fn said(self) -> String {
        match self {
            Holder::Person(id) => format!("person {id}"),
            Holder::Key(id) => format!("key {id} with its owner"),
        }
    }
}

/// What a role allows; a role that is no longer there allows nothing.
pub(super) fn permissions_of(role: &str, custom: Option<&str>) -> Permissions {
    built_in(role).unwrap_or_else(|| custom.map(Permissions::from_text).unwrap_or_default())
}

/// The rights that grants give. A scope that cannot be read gives none.
pub(super) fn rights_of(held: &[Held]) -> Rights {
    let grant = |(role, scope, custom): &Held| Some((permissions_of(role, custom.as_deref()), scope.parse().ok()?));
    Rights::of(held.iter().filter_map(grant))
}

/// In which scope the actor of this commit may do this, by what is stored now.
pub(super) fn authority(tx: &mut Tx<'_>, permission: Permission) -> Result<Scope> {
    let actor = tx.actor().clone();
    match actor.principal() {
        Principal::Operator(_) | Principal::System(_) => Ok(Scope::everything()),
        Principal::Person(id) => match store::person(tx.conn(), id)? {
            Some(person) if person.state == "active" => {
                rights_of(&store::held_by_person(tx.conn(), id)?).need(permission)
            }
            _ => Err(Refusal::NotSignedIn.into()),
        },
        Principal::Key(_) => Err(Error::Forbidden(format!("a key never has the permission {permission}"))),
    }
}

/// Refuses an actor who is this person.
pub(super) fn refuse_own(tx: &Tx<'_>, person: &str) -> Result<()> {
    if tx.actor().principal() == Principal::Person(person) { Err(Refusal::OwnRights.into()) } else { Ok(()) }
}

/// Refuses to touch a person who reaches further than the actor: who resets a password could take it.
pub(super) fn refuse_above(tx: &mut Tx<'_>, own: &Scope, person: &str) -> Result<()> {
    let reach = rights_of(&store::held_by_person(tx.conn(), person)?).reach();
    if reach.is_within(own) { Ok(()) } else { Err(Refusal::AboveOwn { own: own.to_string() }.into()) }
}

/// As [`refuse_above`], for a key.
pub(super) fn refuse_key_above(tx: &mut Tx<'_>, own: &Scope, key: &str) -> Result<()> {
    let reach = rights_of(&store::held_by_key(tx.conn(), key)?).reach();
    if reach.is_within(own) { Ok(()) } else { Err(Refusal::AboveOwn { own: own.to_string() }.into()) }
}

/// All that a person holds, with the keys that they own: what their machines ask for, they have asked for.
pub(super) fn duties_of(conn: &mut Conn, person: &str) -> Result<Permissions> {
    let own = rights_of(&store::held_by_person(conn, person)?).permissions();
    Ok(own.with(rights_of(&store::held_by_keys_of(conn, person)?).permissions()))
}

/// The people who may say who may do what in the whole treasury, and can: they have joined and are not disabled.
pub(super) fn administrators(conn: &mut Conn) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for person in store::people_by_login(conn)?.into_iter().filter(|p| p.state == "active") {
        let rights = rights_of(&store::held_by_person(conn, &person.id)?);
        if rights.scope(Permission::PeopleManage).is_everything() {
            found.insert(person.id);
        }
    }
    Ok(found)
}

/// Refuses a change after which nobody is left of those who were there before.
pub(super) fn keep_an_administrator(conn: &mut Conn, before: &BTreeSet<String>) -> Result<()> {
    if !before.is_empty() && administrators(conn)?.is_empty() {
        return Err(Refusal::LastAdministrator.into());
    }
    Ok(())
}

/// What a role that may be given allows.
pub(super) fn role_permissions(conn: &mut Conn, role: &str) -> Result<Permissions> {
    if let Some(permissions) = built_in(role) {
        return Ok(permissions);
    }
    let unknown = || Refusal::UnknownRole { role: role.to_owned() }.into();
    let custom = store::custom_role(conn, role)?.ok_or_else(unknown);
    custom.map(|row: store::RoleRow| Permissions::from_text(&row.permissions))
}

fn refuse_missing(conn: &mut Conn, scope: &Part) -> Result<()> {
    for (kind, code) in scope.bounds() {
        if store::missing_bound(conn, kind, code)? {
            return Err(Refusal::UnknownScope { what: format!("{kind} {code}") }.into());
        }
    }
    Ok(())
}

/// Refuses what a key must not hold, and two duties in one hand.
pub(super) fn refuse_conflict(conn: &mut Conn, holder: Holder<'_>, role: &str, more: Permissions) -> Result<()> {
    let person = match holder {
        Holder::Person(id) => id.to_owned(),
        Holder::Key(id) => {
            if let Some(permission) = more.iter().find(|p| p.people_only()) {
                return Err(Refusal::PeopleOnly { role: role.to_owned(), permission }.into());
            }
            let absent = || Error::NotFound(format!("there is no key {id}"));
            store::key(conn, id)?.ok_or_else(absent)?.owner
        }
    };
    match segregation::conflict(duties_of(conn, &person)?.with(more)) {
        Some(conflict) => Err(Refusal::ConflictingDuties { holder: holder.said(), conflict }.into()),
        None => Ok(()),
    }
}

/// Gives a role in a scope; `false` when the holder has exactly that already.
pub fn grant(tx: &mut Tx<'_>, holder: Holder<'_>, role: &str, scope: &Part) -> Result<bool> {
    let own = match holder {
        Holder::Person(id) => {
            let own = authority(tx, Permission::PeopleManage)?;
            let person =
                store::person(tx.conn(), id)?.ok_or_else(|| Error::NotFound(format!("there is no person {id}")))?;
            if person.state == "disabled" {
                return Err(Refusal::PersonDisabled { person: id.to_owned() }.into());
            }
            own
        }
        Holder::Key(_) => authority(tx, Permission::KeysManage)?,
    };
    let permissions = role_permissions(tx.conn(), role)?;
    refuse_missing(tx.conn(), scope)?;
    match holder {
        Holder::Person(id) => refuse_own(tx, id)?,
        // What one's key may do, one may do oneself.
        Holder::Key(id) => {
            if let Some(key) = store::key(tx.conn(), id)? {
                refuse_own(tx, &key.owner)?;
            }
        }
    }
    if !Scope::from(scope.clone()).is_within(&own) {
        return Err(Refusal::AboveOwn { own: own.to_string() }.into());
    }
    refuse_conflict(tx.conn(), holder, role, permissions)?;
    let (person, api_key) = match holder {
        Holder::Person(id) => (Some(id.to_owned()), None),
        Holder::Key(id) => (None, Some(id.to_owned())),
    };
    let text = scope.to_string();
    let same = |g: &GrantRow| g.person == person && g.api_key == api_key && g.role == role && g.scope == text;
    if store::open_grants(tx.conn())?.iter().any(same) {
        return Ok(false);
    }
    let row = GrantRow {
        id: tx.id("gr"),
        person,
        api_key,
        role: role.to_owned(),
        scope: text,
        made_by: tx.actor().to_string(),
        made_at: stored(tx.now()),
        revoked_by: None,
        revoked_at: None,
    };
    store::insert_grant(tx.conn(), &row)?;
    tx.event("grant.made", &row.id, None, Some(content(&row)));
    Ok(true)
}

/// What a grant says, as its event has it.
pub(super) fn content(g: &GrantRow) -> String {
    json!({ "person": g.person, "key": g.api_key, "role": g.role, "scope": g.scope }).to_string()
}

/// Takes a role away: in this scope, or wherever the holder has it. Answers how many grants that were.
pub fn revoke(tx: &mut Tx<'_>, holder: Holder<'_>, role: &str, scope: Option<&Part>) -> Result<usize> {
    let own = match holder {
        Holder::Person(_) => authority(tx, Permission::PeopleManage)?,
        Holder::Key(_) => authority(tx, Permission::KeysManage)?,
    };
    if let Holder::Person(id) = holder {
        refuse_own(tx, id)?;
    }
    let text = scope.map(Part::to_string);
    let of_holder = |g: &GrantRow| match holder {
        Holder::Person(id) => g.person.as_deref() == Some(id),
        Holder::Key(id) => g.api_key.as_deref() == Some(id),
    };
    let meant = |g: &GrantRow| of_holder(g) && g.role == role && text.as_deref().is_none_or(|t| t == g.scope);
    let found: Vec<GrantRow> = store::open_grants(tx.conn())?.into_iter().filter(meant).collect();
    if found.is_empty() {
        return Err(Error::NotFound(format!("{} does not have the role {role} there", holder.said())));
    }
    let before = administrators(tx.conn())?;
    for grant in &found {
        let within = grant.scope.parse::<Part>().is_ok_and(|part| Scope::from(part).is_within(&own));
        if !within && !own.is_everything() {
            return Err(Refusal::AboveOwn { own: own.to_string() }.into());
        }
        let (by, now) = (tx.actor().to_string(), tx.now());
        store::revoke_grant(tx.conn(), &grant.id, &by, now)?;
        tx.event("grant.revoked", &grant.id, Some(content(grant)), None);
    }
    keep_an_administrator(tx.conn(), &before)?;
    Ok(found.len())
}

/// All grants in force.
pub fn grants_of(conn: &mut Conn) -> Result<Vec<GrantRow>> {
    store::open_grants(conn)
}
