//! Who of a provider is who here. A link is made by an administrator, or by the invitation of one; it lets somebody in as that person,
//! as a password would, so it takes what resetting one takes, and all sessions of the person end with it: nobody comes to be
//! somebody else unseen.

use super::store::{self, IdentityRow};
use super::{Refusal, is_subject};
use crate::access::Permission;
use crate::access::grants::{authority, refuse_above, refuse_own};
use crate::access::secret::random;
use crate::access::store as people;
use crate::db::seal::sha256;
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::time::{Instant, from_stored, stored};
use std::collections::{BTreeMap, BTreeSet};

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// By which it can be ended.
    pub id: String,
    /// The provider, as it names itself.
    pub issuer: String,
    /// The person, as it names them.
    pub subject: String,
    /// When it was made.
    pub made_at: Instant,
}

/// The links of a person.
pub fn identities(conn: &mut Conn, person: &str) -> Result<Vec<Identity>> {
    let view = |row: IdentityRow| Identity {
        id: row.id,
        issuer: row.issuer,
        subject: row.subject,
        made_at: from_stored(row.made_at),
    };
    Ok(store::identities_of(conn, person)?.into_iter().map(view).collect())
}

/// Who has one.
pub fn people_with_identity(conn: &mut Conn) -> Result<BTreeSet<String>> {
    let linked = store::identities(conn)?.into_iter().filter(|row| row.unlinked_at.is_none());
    Ok(linked.map(|row| row.person).collect())
}

/// What events say of a link: whom it is of, and a digest of the rest, which may have to be erased.
fn content(row: &IdentityRow) -> String {
    let mut text = row.salt.clone();
    text.extend_from_slice(format!("{}\0{}", row.issuer, row.subject).as_bytes());
    let digest: Vec<String> = sha256(&text).iter().map(|b| format!("{b:02x}")).collect();
    serde_json::json!({ "person": row.person, "digest": digest.concat() }).to_string()
}

/// Links an identity to a person, whose sessions all end. Answers the link's id.
pub fn link(tx: &mut Tx<'_>, issuer: &str, subject: &str, person: &str) -> Result<String> {
    let own = authority(tx, Permission::PeopleManage)?;
    let absent = || Error::NotFound(format!("there is no person {person}"));
    people::person(tx.conn(), person)?.ok_or_else(absent)?;
    refuse_own(tx, person)?;
    refuse_above(tx, &own, person)?;
    let id = insert(tx, issuer, subject, person)?;
    let now = tx.now();
    if people::end_sessions(tx.conn(), person, now)? > 0 {
        tx.event("sessions.ended", person, None, None);
    }
    Ok(id)
}

pub(super) fn insert(tx: &mut Tx<'_>, issuer: &str, subject: &str, person: &str) -> Result<String> {
    if !is_subject(subject) {
        return Err(Refusal::BadSubject.into());
    }
    let taken = store::identity_by_subject(tx.conn(), issuer, subject)?.is_some();
    if taken || store::identities_of(tx.conn(), person)?.iter().any(|row| row.issuer == issuer) {
        return Err(Refusal::AlreadyLinked.into());
    }
    let row = IdentityRow {
        id: tx.id("idn"),
        person: person.to_owned(),
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        salt: random::<16>()?.to_vec(),
        made_by: tx.actor().to_string(),
        made_at: stored(tx.now()),
        unlinked_by: None,
        unlinked_at: None,
    };
    store::insert_identity(tx.conn(), &row)?;
    tx.event("identity.linked", &row.id, None, Some(content(&row)));
    Ok(row.id)
}

/// Ends one link of a person.
pub fn unlink(tx: &mut Tx<'_>, person: &str, id: &str) -> Result<()> {
    let own = authority(tx, Permission::PeopleManage)?;
    let absent = || Error::NotFound(format!("there is no identity {id}"));
    store::identities_of(tx.conn(), person)?.iter().find(|row| row.id == id).ok_or_else(absent)?;
    refuse_own(tx, person)?;
    refuse_above(tx, &own, person)?;
    end(tx, id)
}

/// Ends all links of somebody who is reset or disabled.
pub(in crate::access) fn unlink_all(tx: &mut Tx<'_>, person: &str) -> Result<()> {
    for row in store::identities_of(tx.conn(), person)? {
        end(tx, &row.id)?;
    }
    Ok(())
}

fn end(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    let (by, now) = (tx.actor().to_string(), tx.now());
    store::unlink_identity(tx.conn(), id, &by, now)?;
    tx.event("identity.unlinked", id, None, None);
    Ok(())
}

/// Finds links that no event tells of, or of another person or identity (I10).
pub(in crate::access) fn check(conn: &mut Conn, found: &mut Vec<crate::access::check::Finding>) -> Result<()> {
    let mut linked: BTreeMap<String, String> = BTreeMap::new();
    let mut unlinked = BTreeSet::new();
    for (kind, id, after) in people::events(conn, &["identity.linked", "identity.unlinked"])? {
        if kind == "identity.linked" {
            linked.insert(id, after.unwrap_or_default());
        } else {
            unlinked.insert(id);
        }
    }
    for row in store::identities(conn)? {
        let as_told = linked.remove(&row.id) == Some(content(&row));
        if !as_told || unlinked.contains(&row.id) != row.unlinked_at.is_some() {
            found.push(("I10", format!("identity {} is not what its events tell", row.id)));
        }
    }
    found.extend(linked.into_keys().map(|id| ("I10", format!("events tell of identity {id}, which is not there"))));
    Ok(())
}
