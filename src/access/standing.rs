//! What somebody is at this moment who is not asking: the roles and permissions that they hold, and where. For those who ask
//! others to decide, and for what was set up in somebody's name and works while they are away.

use super::grants::{permissions_of, rights_of};
use super::keys::rights_of_key;
use super::permission::{Permission, Permissions};
use super::rights::Rights;
use super::store::{self, Held};
use crate::actor::{Actor, Principal, Scope};
use crate::db::Conn;
use crate::error::Result;
use crate::scope::{Part, Target};
use crate::time::Instant;

/// An active person with what they hold now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Their id.
    pub person: String,
    held: Vec<(String, Permissions, Part)>,
}

impl Standing {
    fn of(person: String, held: Vec<Held>) -> Standing {
        // A scope that cannot be read gives nothing.
        let read = |(role, scope, custom): Held| {
            let permissions = permissions_of(&role, custom.as_deref());
            Some((role, permissions, scope.parse().ok()?))
        };
        Standing { person, held: held.into_iter().filter_map(read).collect() }
    }

    /// Where they have a role.
    pub fn role(&self, role: &str) -> Scope {
        self.held.iter().filter(|(code, ..)| code == role).map(|(_, _, part)| part.clone()).collect()
    }

    /// Where they may do something.
    pub fn permission(&self, permission: Permission) -> Scope {
        self.held.iter().filter(|(_, held, _)| held.has(permission)).map(|(_, _, part)| part.clone()).collect()
    }
}

/// Whether a scope covers all of these.
pub fn covers_all<'t>(scope: &Scope, mut targets: impl Iterator<Item = Target<'t>>) -> bool {
    targets.all(|target| scope.covers(&target))
}

/// A person as they are now; `None` when they are not there, have not joined or are disabled.
pub fn standing(conn: &mut Conn, person: &str) -> Result<Option<Standing>> {
    match store::person(conn, person)? {
        Some(row) if row.state == "active" => {
            let held = store::held_by_person(conn, person)?;
            Ok(Some(Standing::of(row.id, held)))
        }
        _ => Ok(None),
    }
}

/// All active people.
pub fn standings(conn: &mut Conn) -> Result<Vec<Standing>> {
    let all = store::active_with_held(conn)?;
    Ok(all.into_iter().map(|(person, held)| Standing::of(person, held)).collect())
}

/// The person that an actor is: a key counts as its owner; an operator or a part of Tributary is none.
pub fn person_of(conn: &mut Conn, actor: &Actor) -> Result<Option<String>> {
    match actor.principal() {
        Principal::Person(id) => Ok(Some(id.to_owned())),
        Principal::Key(id) => Ok(store::key(conn, id)?.map(|key| key.owner)),
        Principal::Operator(_) | Principal::System(_) => Ok(None),
    }
}

/// Where an actor may do this at this moment; nothing for a person who is not active, and for a key that counts no longer.
pub fn scope_of(conn: &mut Conn, actor: &Actor, permission: Permission, now: Instant) -> Result<Scope> {
    Ok(match actor.principal() {
        Principal::System(_) => Scope::everything(),
        _ => rights_now(conn, actor, now)?.scope(permission),
    })
}

/// The rights of an actor at this moment; none when they are disabled, revoked or were never there.
pub fn rights_now(conn: &mut Conn, actor: &Actor, now: Instant) -> Result<Rights> {
    match actor.principal() {
        Principal::Operator(_) => Ok(Rights::everything()),
        Principal::System(_) => Ok(Rights::default()),
        Principal::Key(id) => rights_of_key(conn, id, now),
        Principal::Person(id) => match store::person(conn, id)? {
            Some(person) if person.state == "active" => Ok(rights_of(&store::held_by_person(conn, id)?)),
            _ => Ok(Rights::default()),
        },
    }
}
