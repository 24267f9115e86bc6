//! What a person is at this moment, for those who ask others to decide: the roles and permissions that they hold, and where.

use super::grants::permissions_of;
use super::keys::is_live;
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
    let rights = match actor.principal() {
        Principal::Operator(_) | Principal::System(_) => Rights::everything(),
        Principal::Person(id) => {
            return Ok(standing(conn, id)?.map(|s| s.permission(permission)).unwrap_or_default());
        }
        Principal::Key(id) => match store::key_with_rights(conn, id)? {
            Some((key, owner, held)) if is_live(&key, now) && owner == "active" => {
                super::grants::rights_of(&held).without_people_only()
            }
            _ => Rights::default(),
        },
    };
    Ok(rights.scope(permission))
}
