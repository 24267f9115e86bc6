//! Signing in: login, password and a code; every "no" is the same "no", and takes as long for a login that nobody has.
//!
//! The password is checked before the writer is asked, for it is slow on purpose; inside the commit it is made sure that it is
//! still that password. A failure is counted without an event: an attacker must not be able to fill a record that is kept for
//! ever. That a person's sign-in has to wait is recorded, once per wait, and so is each session.

use super::people::tidy_login;
use super::secret::Secret;
use super::store::{self, PersonRow, SessionRow};
use super::throttle::{FORGOTTEN, Failures, REMEMBERED, waits_until};
use super::{Refusal, Settings, totp};
use crate::actor::{Actor, Scope};
use crate::db::seal::{Hash, sha256};
use crate::db::{Conn, Db, Tx, Who};
use crate::error::Result;
use crate::time::{Instant, stored};
use std::sync::Arc;

/// What somebody signs in with.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// Who they say they are.
    pub login: String,
    /// The password.
    pub password: Secret,
    /// What the app shows, or a recovery code.
    pub code: Secret,
    /// Where it comes from, such as a network: failures count by it. Kept as a digest only.
    pub place: String,
    /// As the person will know the session again, such as `Firefox on Linux`.
    pub device: String,
}

/// A session that was opened.
#[derive(Debug, Clone)]
pub struct Opened {
    /// To be shown, or put into the cookie, once.
    pub secret: Secret,
    /// The session's id.
    pub session: String,
    /// Whose it is.
    pub person: String,
    /// It ends then at the latest.
    pub expires_at: Instant,
    /// Recovery codes that are left, where one was used.
    pub recovery_codes_left: Option<i64>,
}

/// The place of all places together.
const EVERYWHERE: &[u8] = b"";

/// Whose failures from where, as digests.
pub(super) struct Counted {
    login: Hash,
    place: Hash,
}

impl Counted {
    pub(super) fn of(login: &str, place: &str) -> Counted {
        let login = tidy_login(login);
        // The login is part of it: equal places of two people do not look equal.
        let place = format!("{login}\u{0}{place}");
        Counted { login: sha256(login.as_bytes()), place: sha256(place.as_bytes()) }
    }

    fn failures(&self, conn: &mut Conn, place: &[u8]) -> Result<Failures> {
        let found = store::failures(conn, &self.login, place)?;
        Ok(found.map(|(count, last, known)| Failures { count, last: Some(last), known }).unwrap_or_default())
    }

    pub(super) fn waits_until(&self, conn: &mut Conn, now: Instant) -> Result<Option<Instant>> {
        let (here, everywhere) = (self.failures(conn, &self.place)?, self.failures(conn, EVERYWHERE)?);
        Ok(waits_until(here, everywhere, now))
    }

    /// One failure more; until when the next attempt from here waits, where it begins to.
    pub(super) fn count(&self, conn: &mut Conn, now: Instant) -> Result<Option<Instant>> {
        for place in [self.place.as_slice(), EVERYWHERE] {
            let before = self.failures(conn, place)?.at(now);
            store::set_failures(conn, &self.login, place, before.count.saturating_add(1), now, before.known)?;
        }
        store::forget_failures(conn, now - FORGOTTEN, now - REMEMBERED)?;
        self.waits_until(conn, now)
    }

    /// The person has come in from here: from now on guesses from elsewhere do not matter here.
    pub(super) fn forgive(&self, conn: &mut Conn, now: Instant) -> Result<()> {
        store::set_failures(conn, &self.login, &self.place, 0, now, true)
    }
}

/// What becomes of an attempt. A "no" is counted, so it is an answer of the command and not its refusal, which would undo that.
enum Attempt {
    Opened { session: String, expires_at: Instant, recovery_codes_left: Option<i64> },
    Waits(Instant),
    Refused,
}

/// Signs in. Slow, by the cost of the password's hash.
pub fn sign_in(db: &Db, settings: &Settings, asked: &SignIn) -> Result<Opened> {
    let counted = Counted::of(&asked.login, &asked.place);
    let now = db.clock().now();
    let login = tidy_login(&asked.login);
    let (waits, person) =
        db.read(|conn| Ok((counted.waits_until(conn, now)?, store::person_by_login(conn, &login)?)))?;
    if let Some(until) = waits {
        return Err(Refusal::SignInWaits { until }.into());
    }
    let person = person.filter(|p| p.state == "active");
    let kept = person.as_ref().and_then(|p| p.password.clone());
    let fits = settings.cost.verify(asked.password.reveal(), kept.as_deref())?;
    // A setting that costs more reaches everybody as they come.
    let again = match &kept {
        Some(kept) if fits && !settings.cost.is_of(kept) => Some(settings.cost.hash(asked.password.reveal())?),
        _ => None,
    };
    let actor = person.as_ref().map_or_else(|| Actor::system("sign-in"), |p| Actor::person(&p.id));
    let who = Arc::new(Who { actor, scope: Scope::nothing() });
    let secret = Secret::random("trt_")?;
    let (digest, code, device, settings) = (secret.digest(), asked.code.clone(), asked.device.clone(), *settings);
    let id = person.as_ref().map(|p| p.id.clone());
    let attempt = db.write("session.open", &who, move |tx| {
        let now = tx.now();
        if let Some(until) = counted.waits_until(tx.conn(), now)? {
            return Ok(Attempt::Waits(until));
        }
        let person = match &id {
            Some(id) if fits => store::person(tx.conn(), id)?.filter(|p| p.state == "active" && p.password == kept),
            _ => None,
        };
        let factor = match &person {
            Some(person) => second_factor(tx, person, &code)?,
            None => None,
        };
        let (Some(person), Some(factor)) = (person, factor) else {
            let waits = counted.count(tx.conn(), now)?.is_some();
            if let (true, Some(id)) = (waits, &id) {
                tx.event("sign_in.waits", id, None, None);
            }
            return Ok(Attempt::Refused);
        };
        counted.forgive(tx.conn(), now)?;
        if let Some(password) = &again {
            store::set_password(tx.conn(), &person.id, password)?;
        }
        let (session, expires_at) = open(tx, &person.id, &digest, &device, &settings, None)?;
        let recovery_codes_left = factor.codes_left(tx.conn(), &person.id)?;
        Ok(Attempt::Opened { session, expires_at, recovery_codes_left })
    })?;
    match (attempt, person) {
        (Attempt::Opened { session, expires_at, recovery_codes_left }, Some(person)) => {
            Ok(Opened { secret, session, person: person.id, expires_at, recovery_codes_left })
        }
        (Attempt::Waits(until), _) => Err(Refusal::SignInWaits { until }.into()),
        _ => Err(Refusal::SignInRefused.into()),
    }
}

pub(super) enum Factor {
    Code,
    Recovery,
}

impl Factor {
    /// Recovery codes that are left, where one was used.
    pub(super) fn codes_left(&self, conn: &mut Conn, person: &str) -> Result<Option<i64>> {
        match self {
            Factor::Code => Ok(None),
            Factor::Recovery => store::recovery_codes_left(conn, person).map(Some),
        }
    }
}

/// Uses a code up, in the commit that opens the session: of two who bring the same one, one comes in.
pub(super) fn second_factor(tx: &mut Tx<'_>, person: &PersonRow, code: &Secret) -> Result<Option<Factor>> {
    let now = tx.now();
    let Some(secret) = &person.totp else { return Ok(None) };
    if let Some(step) = totp::step_of(secret, code.reveal(), now, person.totp_step) {
        store::set_totp_step(tx.conn(), &person.id, step)?;
        return Ok(Some(Factor::Code));
    }
    let written = Secret::given(&code.reveal().to_lowercase());
    if store::use_recovery_code(tx.conn(), &person.id, &written.digest(), now)? {
        tx.event("recovery_code.used", &person.id, None, None);
        return Ok(Some(Factor::Recovery));
    }
    Ok(None)
}

/// Opens a session; `by` is what vouched for the person in the place of a password.
pub(super) fn open(
    tx: &mut Tx<'_>,
    person: &str,
    digest: &Hash,
    device: &str,
    settings: &Settings,
    by: Option<&str>,
) -> Result<(String, Instant)> {
    let now = tx.now();
    let expires_at = now + settings.longest;
    let row = SessionRow {
        id: tx.id("ses"),
        hash: digest.to_vec(),
        person: person.to_owned(),
        device: device.chars().filter(|c| !c.is_control()).take(100).collect(),
        made_at: stored(now),
        last_used_at: stored(now),
        idle_seconds: settings.idle.num_seconds(),
        expires_at: stored(expires_at),
        ended_at: None,
    };
    store::insert_session(tx.conn(), &row)?;
    let mut said = serde_json::json!({ "person": person });
    if let Some(by) = by {
        said["by"] = by.into();
    }
    tx.event("session.opened", &row.id, None, Some(said.to_string()));
    Ok((row.id, expires_at))
}
