//! Sessions, and the question of every request: whose secret is this, and what may they do now?
//!
//! Nothing is cached: a session that was ended, a person who was disabled, a role that was changed or a key that was revoked
//! counts from the next request on. The digest is looked up, never the secret, so how long that takes tells nothing of it.

use super::Refusal;
use super::grants::{authority, refuse_above, rights_of};
use super::keys::{admit_key, judge_key};
use super::permission::Permission;
use super::rights::Rights;
use super::secret::{Secret, key_id};
use super::store::{self, SessionFound, SessionRow};
use crate::actor::{Actor, Principal};
use crate::db::seal::Hash;
use crate::db::{Conn, Db, Tx, Who};
use crate::error::{Error, Result};
use crate::time::{Instant, from_stored};
use chrono::TimeDelta;
use std::sync::Arc;

/// How exactly it is kept when a session or key was last used: not each request is worth a write.
pub(super) const USE_IS_KEPT_TO: TimeDelta = TimeDelta::seconds(60);

/// Who was let in, and what they may do at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// As events will record it.
    pub actor: Actor,
    /// The session, or the key.
    pub through: String,
    /// What they may do, and where.
    pub rights: Rights,
    /// Whether [`touch`] has something to write.
    pub(super) is_stale: bool,
}

impl Admitted {
    /// Whether [`touch`] has something to write.
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Who asks, with the scope in which this may be done: what every read and write takes. Refused when it may be done nowhere.
    pub fn who(&self, permission: Permission) -> Result<Arc<Who>> {
        Ok(Arc::new(Who { actor: self.actor.clone(), scope: self.rights.need(permission)? }))
    }
}

/// Lets the bearer of a session's secret or of an API key in. One statement.
pub fn admit(conn: &mut Conn, secret: &Secret, now: Instant) -> Result<Admitted> {
    if let Some(id) = key_id(secret.reveal()) {
        return admit_key(conn, id, secret, now);
    }
    let found = store::session_by_hash(conn, &secret.digest())?;
    found.map_or_else(|| Err(Refusal::NotSignedIn.into()), |found| judge_session(found, now))
}

/// As [`admit`], of many at once, each answered by itself and in their order: two statements, however many there are.
pub fn admit_all(conn: &mut Conn, secrets: &[&Secret], now: Instant) -> Result<Vec<Result<Admitted>>> {
    if let [one] = secrets {
        return Ok(vec![match admit(conn, one, now) {
            Err(fault) if !fault.is_answer() => return Err(fault),
            answer => answer,
        }]);
    }
    let ids: Vec<&str> = secrets.iter().filter_map(|s| key_id(s.reveal())).collect();
    let mut keys = store::keys_with_rights(conn, &ids)?;
    let digests: Vec<Hash> = secrets.iter().filter(|s| key_id(s.reveal()).is_none()).map(|s| s.digest()).collect();
    let mut sessions = store::sessions_by_hash(conn, &digests)?;
    let one = |secret: &&Secret| {
        let admitted = match key_id(secret.reveal()) {
            Some(id) => keys.remove(id).map(|found| judge_key(found, secret, now)),
            None => sessions.remove(secret.digest().as_slice()).map(|found| judge_session(found, now)),
        };
        admitted.unwrap_or_else(|| Err(Refusal::NotSignedIn.into()))
    };
    Ok(secrets.iter().map(one).collect())
}

fn judge_session((session, state, held): SessionFound, now: Instant) -> Result<Admitted> {
    if state != "active" || !is_open(&session, now) {
        return Err(Refusal::NotSignedIn.into());
    }
    let rights = rights_of(&held);
    Ok(Admitted {
        actor: Actor::person(&session.person),
        is_stale: now - from_stored(session.last_used_at) >= USE_IS_KEPT_TO.min(idle(&session) / 4),
        through: session.id,
        rights,
    })
}

fn idle(session: &SessionRow) -> TimeDelta {
    TimeDelta::seconds(session.idle_seconds)
}

/// Whether a session counts: at its end it does no longer.
fn is_open(session: &SessionRow, now: Instant) -> bool {
    session.ended_at.is_none()
        && now < from_stored(session.expires_at)
        && now < from_stored(session.last_used_at) + idle(session)
}

/// Keeps that a session or key was used, where that is due: housekeeping, so no event and no seal.
pub fn touch(db: &Db, admitted: &Admitted) -> Result<()> {
    if !admitted.is_stale {
        return Ok(());
    }
    let who = Arc::new(Who { actor: admitted.actor.clone(), scope: crate::actor::Scope::nothing() });
    let (through, is_key) = (admitted.through.clone(), matches!(admitted.actor.principal(), Principal::Key(_)));
    db.write("access.touch", &who, move |tx| {
        let now = tx.now();
        if is_key { store::touch_key(tx.conn(), &through, now) } else { store::touch_session(tx.conn(), &through, now) }
    })
}

/// As [`touch`], inside a commit that is made in any case.
pub fn touch_in(tx: &mut Tx<'_>, admitted: &Admitted) -> Result<()> {
    let now = tx.now();
    match admitted.actor.principal() {
        _ if !admitted.is_stale => Ok(()),
        Principal::Key(_) => store::touch_key(tx.conn(), &admitted.through, now),
        _ => store::touch_session(tx.conn(), &admitted.through, now),
    }
}

/// A session that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// By which it can be ended.
    pub id: String,
    /// As the surface called it.
    pub device: String,
    /// When it was opened.
    pub made_at: Instant,
    /// To the minute.
    pub last_used_at: Instant,
    /// It ends then at the latest.
    pub expires_at: Instant,
}

/// A person's sessions that count, the oldest first.
pub fn sessions(conn: &mut Conn, person: &str, now: Instant) -> Result<Vec<SessionView>> {
    let open = store::sessions_of(conn, person)?.into_iter().filter(|s| is_open(s, now));
    let view = |s: SessionRow| SessionView {
        made_at: from_stored(s.made_at),
        last_used_at: from_stored(s.last_used_at),
        expires_at: from_stored(s.expires_at),
        id: s.id,
        device: s.device,
    };
    Ok(open.map(view).collect())
}

/// Everybody may end their own; others' may who manages people whose reach is within their own.
fn refuse_foreign(tx: &mut Tx<'_>, person: &str) -> Result<()> {
    if tx.actor().principal() == Principal::Person(person) {
        return Ok(());
    }
    let own = authority(tx, Permission::PeopleManage)?;
    refuse_above(tx, &own, person)
}

/// Ends one session; `false` when it was ended before.
pub fn end_session(tx: &mut Tx<'_>, id: &str) -> Result<bool> {
    let absent = || Error::NotFound(format!("there is no session {id}"));
    let session = store::session(tx.conn(), id)?.ok_or_else(absent)?;
    // To who may not end it, it is as if it were not there.
    refuse_foreign(tx, &session.person).map_err(|_| absent())?;
    if session.ended_at.is_some() {
        return Ok(false);
    }
    let now = tx.now();
    store::end_session(tx.conn(), id, now)?;
    tx.event("session.ended", id, None, None);
    Ok(true)
}

/// Ends all sessions of a person; how many that were.
pub fn end_sessions(tx: &mut Tx<'_>, person: &str) -> Result<usize> {
    let absent = || Error::NotFound(format!("there is no person {person}"));
    store::person(tx.conn(), person)?.ok_or_else(absent)?;
    refuse_foreign(tx, person)?;
    let now = tx.now();
    let ended = store::end_sessions(tx.conn(), person, now)?;
    if ended > 0 {
        tx.event("sessions.ended", person, None, None);
    }
    Ok(ended)
}
