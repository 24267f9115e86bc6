//! The steps of a sign-in by a provider: the browser is sent there with a ticket; comes back with a code; and, unless the provider has
//! seen a second factor and is relied on for it, brings a code of the app.
//!
//! Whoever only begins leaves nothing in the database. Once the provider has vouched for somebody, the ticket is used up in the very
//! commit that decides what comes of it, so that of two who bring the same answer one comes in.

use super::identities;
use super::provider::{Provider, encoded, tidy};
use super::store::{self, IdentityRow};
use super::ticket::{Key, LASTS, Step, Ticket};
use super::token::{Expected, Said};
use super::{Refusal, Settings};
use crate::access::people::{joined_by_provider, open_invitation};
use crate::access::secret::Secret;
use crate::access::sign_in::{Counted, Opened, open, second_factor};
use crate::access::{self, store as people};
use crate::actor::{Actor, Scope};
use crate::config::SecondFactor;
use crate::db::{Db, Tx, Who};
use crate::error::{Error, Result};
use crate::time::Instant;
use std::sync::Arc;

/// A sign-in that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Where the browser goes.
    pub location: String,
    /// What it carries, in [`super::SIGN_IN_COOKIE`].
    pub ticket: String,
}

/// Begins: `return_to` is a path of this server for after it; `invitation` lets somebody join. `secret` is what all servers on the
/// database share.
pub fn begin(
    provider: &Provider,
    secret: &[u8],
    now: Instant,
    return_to: Option<&str>,
    invitation: Option<&str>,
) -> Result<Begun> {
    if !return_to.is_none_or(is_own_path) {
        return Err(Refusal::BadReturn.into());
    }
    let (settings, key) = (&provider.settings, Key::of(secret));
    let discovery = provider.discovery()?;
    let step = Step::Begun { invitation: invitation.map(ToOwned::to_owned) };
    let ticket = Ticket::new(step, return_to.map(ToOwned::to_owned), now)?;
    let mut asked = vec![
        ("response_type", "code".to_owned()),
        ("client_id", settings.client_id.clone()),
        ("redirect_uri", settings.redirect_url.clone()),
        ("scope", settings.scope.clone()),
        ("state", ticket.state(&key)),
        ("nonce", ticket.nonce(&key)),
        ("code_challenge", ticket.challenge(&key)),
        ("code_challenge_method", "S256".to_owned()),
    ];
    if !settings.acr_values.is_empty() {
        asked.push(("acr_values", settings.acr_values.join(" ")));
    }
    let asked: Vec<String> = asked.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let at = &discovery.authorization_endpoint;
    let sign = if at.contains('?') { '&' } else { '?' };
    Ok(Begun { location: format!("{at}{sign}{}", asked.join("&")), ticket: ticket.text(&key)? })
}

/// Whether this leads nowhere but to this server.
fn is_own_path(path: &str) -> bool {
    let other_host = path.starts_with("//") || path.contains('\\');
    path.starts_with('/') && !other_host && path.len() <= 500 && path.bytes().all(|b| b.is_ascii_graphic())
}

/// What came back from the provider, by way of the browser.
#[derive(Debug, Clone, Default)]
pub struct Answered<'a> {
    /// Given back to the provider for an ID token.
    pub code: Option<&'a str>,
    /// Of the ticket.
    pub state: Option<&'a str>,
    /// Why there is no code.
    pub error: Option<&'a str>,
    /// The provider, as it names itself.
    pub issuer: Option<&'a str>,
    /// The ticket.
    pub ticket: Option<&'a str>,
    /// As the person will know the session again.
    pub device: &'a str,
}

/// What came of it.
#[derive(Debug)]
pub enum Came {
    /// A session, and where the browser wanted to go.
    Opened(Opened, Option<String>),
    /// The app's code is missing; the browser carries this ticket until then.
    NeedsCode {
        /// In the place of the one before.
        ticket: String,
        /// It counts until then.
        expires_at: Instant,
    },
}

/// What the commit decides. A "no" that uses the ticket up is an answer of the command and not its refusal, which would undo that.
enum Decided {
    Opened { session: String, person: String, expires_at: Instant },
    NeedsCode { person: String, identity: String },
    No(Refusal),
}

/// Takes the provider's answer.
pub fn finish(
    db: &Db,
    access: &access::Settings,
    provider: &Provider,
    secret: &[u8],
    answered: &Answered<'_>,
) -> Result<Came> {
    let (settings, key, now) = (&provider.settings, Key::of(secret), db.clock().now());
    let ticket = answered.ticket.and_then(|text| Ticket::read(text, &key, now)).ok_or(Refusal::NotBegun)?;
    let Step::Begun { invitation } = &ticket.step else { return Err(Refusal::NotBegun.into()) };
    let is_ours = |state: &str| access::secret::same(state.as_bytes(), ticket.state(&key).as_bytes());
    if !answered.state.is_some_and(is_ours) || db.read(|conn| store::is_used(conn, &ticket.digest()))? {
        return Err(Refusal::NotBegun.into());
    }
    // Another provider's answer in the place of this one's (RFC 9207).
    let must_name_itself = provider.discovery()?.authorization_response_iss_parameter_supported;
    if answered.issuer.map_or(must_name_itself, |issuer| issuer != settings.issuer) {
        return Err(Refusal::NotBegun.into());
    }
    let Some(code) = answered.code.filter(|_| answered.error.is_none()) else {
        return Err(Refusal::ProviderRefused { error: tidy(answered.error.unwrap_or("no_code")) }.into());
    };
    let nonce = ticket.nonce(&key);
    let expected = Expected {
        issuer: &settings.issuer,
        client_id: &settings.client_id,
        nonce: &nonce,
        subject_claim: &settings.subject_claim,
        now,
    };
    let said = provider.exchange(code, &ticket.verifier(&key), &expected)?;
    refuse_email(settings, &said)?;
    let session = Secret::random("trt_")?;
    let decided = decide(db, access, settings, &ticket, invitation.as_deref(), said, &session, answered.device)?;
    match decided {
        Decided::Opened { session: id, person, expires_at } => {
            let opened = Opened { secret: session, session: id, person, expires_at, recovery_codes_left: None };
            Ok(Came::Opened(opened, ticket.return_to))
        }
        Decided::NeedsCode { person, identity } => {
            let next = Ticket::new(Step::Proved { person, identity }, ticket.return_to, now)?;
            Ok(Came::NeedsCode { ticket: next.text(&key)?, expires_at: now + LASTS })
        }
        Decided::No(why) => Err(why.into()),
    }
}

fn refuse_email(settings: &Settings, said: &Said) -> Result<(), Refusal> {
    let domain = said.email.as_deref().and_then(|email| Some(email.rsplit_once('@')?.1));
    let all = &settings.email_domains;
    let fits = all.is_empty() || domain.is_some_and(|domain| all.iter().any(|d| d == domain));
    if fits { Ok(()) } else { Err(Refusal::EmailRefused) }
}

/// Whether the provider is relied on for a second factor, and says that it has seen one.
fn is_second_factor(settings: &Settings, said: &Said) -> bool {
    let by_acr = said.acr.as_ref().is_some_and(|acr| settings.acr_values.contains(acr));
    let by_amr = said.amr.iter().any(|amr| settings.amr_values.contains(amr));
    settings.second_factor == SecondFactor::Provider && (by_acr || by_amr)
}

#[expect(clippy::too_many_arguments, reason = "one commit decides on all of it")]
fn decide(
    db: &Db,
    access: &access::Settings,
    settings: &Settings,
    ticket: &Ticket,
    invitation: Option<&str>,
    said: Said,
    session: &Secret,
    device: &str,
) -> Result<Decided> {
    let is_whole = is_second_factor(settings, &said);
    let known = db.read(|conn| store::identity_by_subject(conn, &settings.issuer, &said.subject))?;
    let actor = match (&known, invitation) {
        (_, Some(_)) => Actor::system("invitation"),
        (Some(identity), None) => Actor::person(&identity.person),
        (None, None) => Actor::system("sign-in"),
    };
    // Slow on purpose, so it is done before the writer is asked.
    let unknowable = match invitation {
        Some(_) if is_whole => Some(access.cost.hash(Secret::random("")?.reveal())?),
        _ => None,
    };
    let who = Arc::new(Who { actor, scope: Scope::nothing() });
    let (used, session, issuer, device) =
        (ticket.digest(), session.digest(), settings.issuer.clone(), device.to_owned());
    let (invitation, access) = (invitation.map(Secret::given), *access);
    db.write("session.open", &who, move |tx| {
        let now = tx.now();
        if !store::use_up(tx.conn(), &used, now, now - LASTS)? {
            return Ok(Decided::No(Refusal::NotBegun));
        }
        let unknown = Refusal::UnknownIdentity { issuer: issuer.clone(), subject: said.subject.clone() };
        let person = match (&invitation, store::identity_by_subject(tx.conn(), &issuer, &said.subject)?) {
            (Some(invitation), linked) => {
                let Some(unknowable) = &unknowable else { return Ok(Decided::No(Refusal::SecondFactorMissing)) };
                let Some(person) = join(tx, invitation, unknowable, linked.as_ref())? else {
                    return Ok(Decided::No(Refusal::AlreadyLinked));
                };
                identities::insert(tx, &issuer, &said.subject, &person)?;
                person
            }
            (None, None) => return Ok(Decided::No(unknown)),
            (None, Some(identity)) => {
                // Linked to somebody else since it was looked at: what would be recorded is not theirs.
                if known.as_ref().is_none_or(|k| k.id != identity.id) {
                    return Ok(Decided::No(unknown));
                }
                if people::person(tx.conn(), &identity.person)?.is_none_or(|p| p.state != "active") {
                    let why = serde_json::json!({ "why": "not_active", "by": "oidc" }).to_string();
                    tx.event("sign_in.refused", &identity.person, None, Some(why));
                    return Ok(Decided::No(Refusal::NotActive));
                }
                if !is_whole {
                    return Ok(Decided::NeedsCode { person: identity.person, identity: identity.id });
                }
                identity.person
            }
        };
        let (session, expires_at) = open(tx, &person, &session, &device, &access, Some("oidc"))?;
        Ok(Decided::Opened { session, person, expires_at })
    })
}

/// Joins by an invitation. `None`: the identity is somebody's already.
fn join(
    tx: &mut Tx<'_>,
    invitation: &Secret,
    unknowable: &str,
    linked: Option<&IdentityRow>,
) -> Result<Option<String>> {
    let now = tx.now();
    let invitation = open_invitation(tx.conn(), invitation, now)?;
    if linked.is_some() {
        return Ok(None);
    }
    joined_by_provider(tx, &invitation, unknowable).map(Some)
}

/// Brings the app's code, or a recovery code. Failures count as those of a sign-in with a password do.
pub fn with_code(
    db: &Db,
    access: &access::Settings,
    secret: &[u8],
    ticket: Option<&str>,
    code: &Secret,
    (place, device): (&str, &str),
) -> Result<(Opened, Option<String>)> {
    let (key, now) = (Key::of(secret), db.clock().now());
    let ticket = ticket.and_then(|text| Ticket::read(text, &key, now)).ok_or(Refusal::NotBegun)?;
    let Step::Proved { person, identity } = ticket.step.clone() else { return Err(Refusal::NotBegun.into()) };
    let login = db.read(|conn| people::person(conn, &person))?.map(|p| p.login).unwrap_or_default();
    let counted = Counted::of(&login, place);
    let session = Secret::random("trt_")?;
    let who = Arc::new(Who { actor: Actor::person(&person), scope: Scope::nothing() });
    let (used, digest, code, device, access) =
        (ticket.digest(), session.digest(), code.clone(), device.to_owned(), *access);
    let id = person.clone();
    let opened: Result<(String, Instant, Option<i64>), Error> = db.write("session.open", &who, move |tx| {
        let now = tx.now();
        if let Some(until) = counted.waits_until(tx.conn(), now)? {
            return Ok(Err(access::Refusal::SignInWaits { until }.into()));
        }
        let linked = store::identities_of(tx.conn(), &id)?.iter().any(|row| row.id == identity);
        let active = people::person(tx.conn(), &id)?.filter(|p| p.state == "active" && linked);
        let Some(row) = active else { return Ok(Err(Refusal::NotActive.into())) };
        if store::is_used(tx.conn(), &used)? {
            return Ok(Err(Refusal::NotBegun.into()));
        }
        let Some(factor) = second_factor(tx, &row, &code)? else {
            if counted.count(tx.conn(), now)?.is_some() {
                tx.event("sign_in.waits", &id, None, None);
            }
            return Ok(Err(access::Refusal::WrongCode.into()));
        };
        store::use_up(tx.conn(), &used, now, now - LASTS)?;
        counted.forgive(tx.conn(), now)?;
        let (session, expires_at) = open(tx, &id, &digest, &device, &access, Some("oidc"))?;
        Ok(Ok((session, expires_at, factor.codes_left(tx.conn(), &id)?)))
    })?;
    let (id, expires_at, recovery_codes_left) = opened?;
    Ok((Opened { secret: session, session: id, person, expires_at, recovery_codes_left }, ticket.return_to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_server_is_returned_to() {
        for own in ["/", "/docs", "/v1/me?x=1"] {
            assert!(is_own_path(own), "{own}");
        }
        for other in
            ["", "docs", "//evil.example", "/\\evil.example", "https://evil.example/", "/a b", "/\r\nx: y", "/\t/x"]
        {
            assert!(!is_own_path(other), "{other}");
        }
    }
}
