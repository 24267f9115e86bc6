//! API keys: for machines that read and ask. A key belongs to a person, whose asking its asking is; it never approves.
//!
//! Keys of one name take turns: two of them may be live, so that a machine changes to the new one before the old one is revoked.
//! A key ends on its day, when it was not used for long, and when its owner is disabled.

use super::Refusal;
use super::grants::{Holder, authority, grant, refuse_key_above, rights_of};
use super::permission::Permission;
use super::rights::Rights;
use super::secret::{Secret, new_key, same};
use super::sessions::{Admitted, USE_IS_KEPT_TO};
use super::store::{self, KeyFound, KeyRow};
use crate::actor::Actor;
use crate::db::{Conn, Db, Tx};
use crate::error::{Error, Result};
use crate::scope::Part;
use crate::time::{Instant, from_stored, stored};
use chrono::TimeDelta;
use serde_json::json;

/// Days that a key lasts at most.
const MOST_DAYS: i64 = 366;
/// A key that nobody has used for so long counts no longer: somebody has forgotten it.
const UNUSED: TimeDelta = TimeDelta::days(60);
/// Keys of one name that may be live.
const LIVE: usize = 2;

/// A key that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// The machine's name.
    pub name: String,
    /// The id of the person whose it is.
    pub owner: String,
    /// How many days it lasts.
    pub days: i64,
    /// Roles, and where.
    pub roles: Vec<(String, Part)>,
    /// Its id and secret, from [`NewKey::secret`].
    pub id: String,
}

impl NewKey {
    /// Id and secret of a key. Made before the command, which may run twice.
    pub fn secret(db: &Db) -> Result<(String, Secret)> {
        let id = crate::ids::Ids::random().next("", db.clock().now());
        let id = id.trim_start_matches('_').to_owned();
        let secret = new_key(&id)?;
        Ok((id, secret))
    }
}

/// A key, as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyView {
    /// As it stands in the key itself.
    pub id: String,
    /// The machine's name.
    pub name: String,
    /// The id of its owner.
    pub owner: String,
    /// `live`, `expired`, `unused`, `revoked`.
    pub state: &'static str,
    /// When it was made.
    pub made_at: Instant,
    /// Its end.
    pub expires_at: Instant,
    /// To the minute.
    pub last_used_at: Option<Instant>,
}

/// What a key is at an instant; at its end it is live no longer.
fn state(key: &KeyRow, now: Instant) -> &'static str {
    let used = from_stored(key.last_used_at.unwrap_or(key.made_at));
    if key.revoked_at.is_some() {
        "revoked"
    } else if now >= from_stored(key.expires_at) {
        "expired"
    } else if now >= used + UNUSED {
        "unused"
    } else {
        "live"
    }
}

/// All keys, by name and age; those that count no longer too.
pub fn keys(conn: &mut Conn, now: Instant) -> Result<Vec<KeyView>> {
    let view = |k: KeyRow| KeyView {
        state: state(&k, now),
        made_at: from_stored(k.made_at),
        expires_at: from_stored(k.expires_at),
        last_used_at: k.last_used_at.map(from_stored),
        id: k.id,
        name: k.name,
        owner: k.owner,
    };
    Ok(store::keys(conn)?.into_iter().map(view).collect())
}

/// Lets the bearer of a key in.
pub(super) fn admit_key(conn: &mut Conn, id: &str, secret: &Secret, now: Instant) -> Result<Admitted> {
    let found = store::key_with_rights(conn, id)?;
    found.map_or_else(|| Err(Refusal::NotSignedIn.into()), |found| judge_key(found, secret, now))
}

/// Whether this key, which its bearer has named, is the one of the secret, and counts.
pub(super) fn judge_key((key, owner, held): KeyFound, secret: &Secret, now: Instant) -> Result<Admitted> {
    if !same(&key.hash, &secret.digest()) || state(&key, now) != "live" || owner != "active" {
        return Err(Refusal::NotSignedIn.into());
    }
    let rights = rights_of(&held).without_people_only();
    let is_stale = key.last_used_at.is_none_or(|used| now - from_stored(used) >= USE_IS_KEPT_TO);
    Ok(Admitted { actor: Actor::key(&key.id), through: key.id, rights, is_stale })
}

/// What a key may do now; nothing when it counts no longer.
pub(super) fn rights_of_key(conn: &mut Conn, id: &str, now: Instant) -> Result<Rights> {
    let Some((key, owner, held)) = store::key_with_rights(conn, id)? else { return Ok(Rights::default()) };
    let counts = state(&key, now) == "live" && owner == "active";
    Ok(if counts { rights_of(&held).without_people_only() } else { Rights::default() })
}

/// Makes a key with its roles. Its end.
pub fn create_key(tx: &mut Tx<'_>, new: &NewKey, secret: &Secret) -> Result<Instant> {
    authority(tx, Permission::KeysManage)?;
    let absent = || Error::NotFound(format!("there is no person {}", new.owner));
    let owner = store::person(tx.conn(), &new.owner)?.ok_or_else(absent)?;
    if owner.state == "disabled" {
        return Err(Refusal::PersonDisabled { person: new.owner.clone() }.into());
    }
    let letters = new.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !letters || new.name.is_empty() || new.name.len() > 40 {
        return Err(Refusal::BadKeyName.into());
    }
    if !(1..=MOST_DAYS).contains(&new.days) {
        return Err(Refusal::BadExpiry { most: MOST_DAYS }.into());
    }
    let now = tx.now();
    if store::keys_named(tx.conn(), &new.name)?.iter().filter(|k| state(k, now) == "live").count() >= LIVE {
        return Err(Refusal::TwoKeysLive { name: new.name.clone() }.into());
    }
    let expires_at = now + TimeDelta::days(new.days);
    let row = KeyRow {
        id: new.id.clone(),
        name: new.name.clone(),
        owner: new.owner.clone(),
        hash: secret.digest().to_vec(),
        made_by: tx.actor().to_string(),
        made_at: stored(now),
        expires_at: stored(expires_at),
        last_used_at: None,
        revoked_at: None,
    };
    store::insert_key(tx.conn(), &row)?;
    tx.event("key.made", &row.id, None, Some(json!({ "name": row.name, "owner": row.owner }).to_string()));
    for (role, scope) in &new.roles {
        grant(tx, Holder::Key(&row.id), role, scope)?;
    }
    Ok(expires_at)
}

/// The next key of a name, with the owner and roles of the newest live one: to be made.
pub fn next_key(tx: &mut Tx<'_>, name: &str, days: i64, id: &str) -> Result<NewKey> {
    authority(tx, Permission::KeysManage)?;
    let now = tx.now();
    let absent = || {
        Error::NotFound(format!(
            "there is no live key of the name {name} that has a role; one that waits for its roles has none yet"
        ))
    };
    // The next key of one whose roles wait would have none for ever.
    let mut found = None;
    for key in store::keys_named(tx.conn(), name)?.into_iter().filter(|k| state(k, now) == "live") {
        let held = store::held_by_key(tx.conn(), &key.id)?;
        if !held.is_empty() {
            found = Some((key, held));
        }
    }
    let (before, held) = found.ok_or_else(absent)?;
    let mut roles = Vec::new();
    for (role, scope, _) in held {
        let part = scope.parse().map_err(|e: String| Error::Broken(format!("key {}: {e}", before.id)))?;
        roles.push((role, part));
    }
    Ok(NewKey { name: name.to_owned(), owner: before.owner, days, roles, id: id.to_owned() })
}

/// Ends a key, from the next request on; `false` when it was revoked before.
pub fn revoke_key(tx: &mut Tx<'_>, id: &str) -> Result<bool> {
    let own = authority(tx, Permission::KeysManage)?;
    let absent = || Error::NotFound(format!("there is no key {id}; `tributary keys list` lists them"));
    let key = store::key(tx.conn(), id)?.ok_or_else(absent)?;
    refuse_key_above(tx, &own, id)?;
    if key.revoked_at.is_some() {
        return Ok(false);
    }
    let now = tx.now();
    store::revoke_key(tx.conn(), id, now)?;
    tx.event("key.revoked", id, None, None);
    Ok(true)
}
