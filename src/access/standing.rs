//! What somebody may do now who is not asking: for what was set up in their name and works while they are away.

use super::grants::rights_of;
use super::keys::rights_of_key;
use super::rights::Rights;
use super::store;
use crate::actor::{Actor, Principal};
use crate::db::Conn;
use crate::error::Result;
use crate::time::Instant;

/// The rights of an actor at this moment; none when they are disabled, revoked or were never there.
pub fn standing(conn: &mut Conn, actor: &Actor, now: Instant) -> Result<Rights> {
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
