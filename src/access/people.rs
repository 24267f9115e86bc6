//! People: added by an administrator, joined by themselves. Nobody ever knows another's password, and there is no default one:
//! who is added gets an invitation, by which they set password and second factor. A person is an id that never changes; login and
//! name are kept beside it, and never in an event.

use super::grants::{administrators, authority, keep_an_administrator, refuse_above, refuse_own};
use super::password::judge;
use super::permission::Permission;
use super::role::ADMINISTRATOR;
use super::secret::{Secret, random};
use super::store::{self, GrantRow, InvitationRow, PersonRow};
use super::{Refusal, Settings, grants, oidc, totp};
use crate::actor::{Actor, Scope};
use crate::db::{Conn, Db, Tx, Who};
use crate::error::{Error, Result};
use crate::time::{Instant, from_stored, stored};
use chrono::TimeDelta;
use std::sync::Arc;

pub mod api;

/// How long an invitation waits.
const INVITED_FOR: TimeDelta = TimeDelta::hours(72);
/// How long the first administrator's waits: it gives everything to whoever has it.
const FIRST_FOR: TimeDelta = TimeDelta::hours(1);
/// How many recovery codes a person gets.
const RECOVERY_CODES: usize = 10;

/// Who is to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPerson {
    /// By which they sign in; kept in lower case.
    pub login: String,
    /// For people.
    pub name: String,
}

impl NewPerson {
    /// With a login that can be one.
    fn tidy(&self) -> Result<NewPerson, Refusal> {
        let login = tidy_login(&self.login);
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_@+".contains(c);
        if login.is_empty() || login.len() > 100 || !login.chars().all(fits) {
            return Err(Refusal::BadPerson {
                why: "a login is letters a to z, digits and .-_@+, 100 at most, such as alice or alice@example.com",
            });
        }
        let name = self.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            return Err(Refusal::BadPerson { why: "a name is one line of 1 to 200 characters" });
        }
        Ok(NewPerson { login, name })
    }
}

/// As logins are kept and compared.
pub(super) fn tidy_login(login: &str) -> String {
    login.trim().to_lowercase()
}

/// A person, as an administrator sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonView {
    /// For ever.
    pub id: String,
    /// By which they sign in.
    pub login: String,
    /// For people.
    pub name: String,
    /// `invited`, `active`, `disabled`.
    pub state: String,
    /// When they were added.
    pub made_at: Instant,
    /// Recovery codes that were not used.
    pub recovery_codes: i64,
}

fn view(conn: &mut Conn, row: PersonRow) -> Result<PersonView> {
    let recovery_codes = store::recovery_codes_left(conn, &row.id)?;
    let made_at = from_stored(row.made_at);
    Ok(PersonView { id: row.id, login: row.login, name: row.name, state: row.state, made_at, recovery_codes })
}

/// All people, by login.
pub fn people(conn: &mut Conn) -> Result<Vec<PersonView>> {
    let rows = store::people_by_login(conn)?;
    rows.into_iter().map(|row| view(conn, row)).collect()
}

/// Those whose rights lie within a scope, with their grants in force, by login. Somebody without any right is the whole treasury's.
pub fn people_seen(conn: &mut Conn, scope: &Scope) -> Result<Vec<(PersonView, Vec<GrantRow>)>> {
    let grants = store::open_grants(conn)?;
    let mut seen = Vec::new();
    for person in people(conn)? {
        let own: Vec<GrantRow> = grants.iter().filter(|g| g.person.as_ref() == Some(&person.id)).cloned().collect();
        let reach: Scope = own.iter().filter_map(|g| g.scope.parse::<crate::scope::Part>().ok()).collect();
        if scope.is_everything() || (!own.is_empty() && reach.is_within(scope)) {
            seen.push((person, own));
        }
    }
    Ok(seen)
}

/// The person with this login. A read, so that a mistyped login, which may be a password, is not recorded.
pub fn person_by_login(conn: &mut Conn, login: &str) -> Result<PersonView> {
    let found = store::person_by_login(conn, &tidy_login(login))?;
    let row = found.ok_or_else(|| {
        Error::NotFound(format!("there is nobody with the login {login}; `tributary people list` lists them"))
    })?;
    view(conn, row)
}

/// Whether this is somebody who has never come in: their first invitation waits, or has run out.
pub fn never_joined(conn: &mut Conn, id: &str) -> Result<bool> {
    let invited = store::person(conn, id)?.is_some_and(|person| person.state == "invited");
    Ok(invited && !store::events(conn, &["person.joined"])?.iter().any(|(_, subject, _)| subject == id))
}

/// A secret for an invitation. Made before the command, which may run twice.
pub fn invitation() -> Result<Secret> {
    Secret::random("tri_")
}

fn invite(tx: &mut Tx<'_>, person: Option<&str>, digest: &[u8; 32], lasts: TimeDelta) -> Result<Instant> {
    let expires_at = tx.now() + lasts;
    let row = InvitationRow {
        hash: digest.to_vec(),
        person: person.map(ToOwned::to_owned),
        made_by: tx.actor().to_string(),
        made_at: stored(tx.now()),
        expires_at: stored(expires_at),
    };
    store::replace_invitation(tx.conn(), &row)?;
    Ok(expires_at)
}

/// The invitation of the first administrator: only while nobody is there. Asked for again, the one before counts no longer.
/// Answers until when it waits.
pub fn first(tx: &mut Tx<'_>, secret: &Secret) -> Result<Instant> {
    if store::anybody(tx.conn())? {
        return Err(Refusal::NotFirst.into());
    }
    let until = invite(tx, None, &secret.digest(), FIRST_FOR)?;
    tx.event("person.first_invited", "first", None, None);
    Ok(until)
}

/// Adds a person without any role, who joins by the invitation. Answers their id and until when it waits.
pub fn add(tx: &mut Tx<'_>, new: &NewPerson, secret: &Secret) -> Result<(String, Instant)> {
    authority(tx, Permission::PeopleManage)?;
    let new = new.tidy()?;
    let id = insert(tx, &new)?;
    let until = invite(tx, Some(&id), &secret.digest(), INVITED_FOR)?;
    Ok((id, until))
}

fn insert(tx: &mut Tx<'_>, new: &NewPerson) -> Result<String> {
    if store::person_by_login(tx.conn(), &new.login)?.is_some() {
        return Err(Refusal::LoginTaken.into());
    }
    let row = PersonRow {
        id: tx.id("ps"),
        login: new.login.clone(),
        name: new.name.clone(),
        state: "invited".to_owned(),
        password: None,
        totp: None,
        totp_step: None,
        made_by: tx.actor().to_string(),
        made_at: stored(tx.now()),
    };
    store::insert_person(tx.conn(), &row)?;
    tx.event("person.added", &row.id, None, Some(state("invited")));
    Ok(row.id)
}

/// What an event says of a person: the state, and nothing that would have to be erased.
fn state(state: &str) -> String {
    serde_json::json!({ "state": state }).to_string()
}

fn there(tx: &mut Tx<'_>, id: &str) -> Result<PersonRow> {
    store::person(tx.conn(), id)?.ok_or_else(|| Error::NotFound(format!("there is no person {id}")))
}

/// Takes a person's password and second factor away, ends their sessions, and lets them come back by a new invitation; a disabled
/// person too. Roles stay. `digest` is that of the invitation, which whoever has asked for this holds. Answers until when it waits.
pub fn reset(tx: &mut Tx<'_>, id: &str, digest: &[u8; 32]) -> Result<Instant> {
    let own = authority(tx, Permission::PeopleManage)?;
    let person = there(tx, id)?;
    refuse_own(tx, id)?;
    refuse_above(tx, &own, id)?;
    leave(tx, &person, "invited")?;
    tx.event("person.reset", id, Some(state(&person.state)), Some(state("invited")));
    invite(tx, Some(id), digest, INVITED_FOR)
}

/// Shuts a person out, from the next request on, with the keys that they own; `false` when they were already. Roles stay, for the
/// record and for the day on which they come back.
pub fn disable(tx: &mut Tx<'_>, id: &str) -> Result<bool> {
    let own = authority(tx, Permission::PeopleManage)?;
    let person = there(tx, id)?;
    refuse_own(tx, id)?;
    refuse_above(tx, &own, id)?;
    if person.state == "disabled" {
        return Ok(false);
    }
    let before = administrators(tx.conn())?;
    leave(tx, &person, "disabled")?;
    keep_an_administrator(tx.conn(), &before)?;
    tx.event("person.disabled", id, Some(state(&person.state)), Some(state("disabled")));
    Ok(true)
}

fn leave(tx: &mut Tx<'_>, person: &PersonRow, into: &str) -> Result<()> {
    let now = tx.now();
    store::set_person(tx.conn(), &person.id, into, None, None)?;
    store::replace_recovery_codes(tx.conn(), &person.id, &[])?;
    store::end_invitations(tx.conn(), Some(&person.id))?;
    oidc::unlink_all(tx, &person.id)?;
    if store::end_sessions(tx.conn(), &person.id, now)? > 0 {
        tx.event("sessions.ended", &person.id, None, None);
    }
    Ok(())
}

/// Whose invitation it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// Login and name; `None`: the first administrator, who chooses them.
    pub person: Option<NewPerson>,
}

/// Whose invitation this is, when it still counts.
pub fn invited(conn: &mut Conn, secret: &Secret, now: Instant) -> Result<Invited> {
    let row = open_invitation(conn, secret, now)?;
    let person = match row.person {
        None => None,
        Some(id) => store::person(conn, &id)?.map(|p| NewPerson { login: p.login, name: p.name }),
    };
    Ok(Invited { person })
}

pub(super) fn open_invitation(conn: &mut Conn, secret: &Secret, now: Instant) -> Result<InvitationRow> {
    let found = store::invitation(conn, &secret.digest())?.filter(|row| from_stored(row.expires_at) > now);
    found.ok_or_else(|| Refusal::BadInvitation.into())
}

/// A new second factor, for the person's app: it counts once a code of it was given back.
pub fn new_totp_secret() -> Result<[u8; totp::SECRET]> {
    random()
}

/// What somebody joins with.
#[derive(Clone)]
pub struct Joining {
    /// The invitation.
    pub invitation: Secret,
    /// The first administrator's own choice; everybody else has a login already.
    pub person: Option<NewPerson>,
    /// The new password.
    pub password: Secret,
    /// The second factor that their app has.
    pub totp: [u8; totp::SECRET],
    /// What the app shows.
    pub code: String,
}

/// Who has joined.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The person's id.
    pub person: String,
    /// To be shown once.
    pub recovery_codes: Vec<Secret>,
}

/// Joins: sets password and second factor, once. Slow, for the password is hashed here, before the writer is asked.
pub fn join(db: &Db, settings: &Settings, joining: &Joining) -> Result<Joined> {
    let now = db.clock().now();
    let invited = db.read(|conn| invited(conn, &joining.invitation, now))?;
    let person = match (invited.person, &joining.person) {
        (Some(person), _) => person,
        (None, Some(chosen)) => chosen.tidy()?,
        (None, None) => {
            return Err(Refusal::BadPerson { why: "the first administrator chooses a login and a name" }.into());
        }
    };
    let known = [person.login.as_str(), person.name.as_str()];
    judge(joining.password.reveal(), settings.shortest_password, &known)?;
    let password = settings.cost.hash(joining.password.reveal())?;
    let recovery_codes = (0..RECOVERY_CODES).map(|_| Secret::on_paper()).collect::<Result<Vec<_>>>()?;
    let digests: Vec<[u8; 32]> = recovery_codes.iter().map(Secret::digest).collect();
    let who = Arc::new(Who { actor: Actor::system("invitation"), scope: Scope::everything() });
    let joining = joining.clone();
    let id = db.write("person.join", &who, move |tx| {
        let now = tx.now();
        let invitation = open_invitation(tx.conn(), &joining.invitation, now)?;
        let step = totp::step_of(&joining.totp, &joining.code, now, None).ok_or(Refusal::WrongCode)?;
        let (id, is_first) = match &invitation.person {
            Some(id) => (id.clone(), false),
            None if store::anybody(tx.conn())? => return Err(Refusal::NotFirst.into()),
            None => (insert(tx, &person)?, true),
        };
        store::set_person(tx.conn(), &id, "active", Some(&password), Some((&joining.totp, step)))?;
        store::replace_recovery_codes(tx.conn(), &id, &digests)?;
        store::end_invitations(tx.conn(), invitation.person.as_deref())?;
        tx.event("person.joined", &id, Some(state("invited")), Some(state("active")));
        if is_first {
            first_administrator(tx, &id)?;
        }
        Ok(id)
    })?;
    Ok(Joined { person: id, recovery_codes })
}

/// Joins without a password: a provider lets the person in. `unknowable` is the hash of one that nobody knows, and the second factor is
/// one that no app has, so nothing else does. Answers who that is.
pub(super) fn joined_by_provider(tx: &mut Tx<'_>, invitation: &InvitationRow, unknowable: &str) -> Result<String> {
    // The first administrator has a password, for the day on which no provider answers.
    let id = invitation.person.clone().ok_or(Refusal::BadInvitation)?;
    store::set_person(tx.conn(), &id, "active", Some(unknowable), Some((&new_totp_secret()?, 0)))?;
    store::replace_recovery_codes(tx.conn(), &id, &[])?;
    store::end_invitations(tx.conn(), Some(&id))?;
    tx.event("person.joined", &id, Some(state("invited")), Some(state("active")));
    Ok(id)
}

fn first_administrator(tx: &mut Tx<'_>, person: &str) -> Result<()> {
    let row = GrantRow {
        id: tx.id("gr"),
        person: Some(person.to_owned()),
        api_key: None,
        role: ADMINISTRATOR.to_owned(),
        scope: "all".to_owned(),
        made_by: tx.actor().to_string(),
        made_at: stored(tx.now()),
        revoked_by: None,
        revoked_at: None,
    };
    store::insert_grant(tx.conn(), &row)?;
    tx.event("grant.made", &row.id, None, Some(grants::content(&row)));
    Ok(())
}
