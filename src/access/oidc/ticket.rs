//! What a browser carries between the steps of a sign-in: signed by the server and read by nobody else, so that the server keeps
//! nothing for whoever has only begun, and cannot be filled with it.
//!
//! The values of the protocol come from the ticket's random part under the server's key: `state` ties the provider's answer to this
//! browser, `nonce` the ID token, and the PKCE verifier the code. None can be known without the key. Pure but for chance.

use crate::access::secret::{random, same};
use crate::error::{Error, Result};
use crate::time::Instant;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How long a step of a sign-in may take.
pub(super) const LASTS: TimeDelta = TimeDelta::minutes(10);

/// What tickets are signed with.
pub(super) struct Key([u8; 32]);

impl Key {
    /// Out of the secret that all servers on a database share.
    pub(super) fn of(secret: &[u8]) -> Key {
        Key(mac(secret, "oidc", &[]))
    }
}

fn mac(key: &[u8], what: &str, of: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    mac.update(what.as_bytes());
    mac.update(&[0]);
    mac.update(of);
    mac.finalize().into_bytes().into()
}

/// How far the sign-in is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    /// The browser was sent to the provider, perhaps to join by an invitation.
    Begun { invitation: Option<String> },
    /// The provider has vouched for this person; a code is asked for.
    Proved { person: String, identity: String },
}

/// What a browser carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticket {
    pub(super) step: Step,
    /// A path of this server, for after it.
    pub(super) return_to: Option<String>,
    /// Seconds since 1970.
    expires: i64,
    random: [u8; 32],
}

impl Ticket {
    pub(super) fn new(step: Step, return_to: Option<String>, now: Instant) -> Result<Ticket> {
        Ok(Ticket { step, return_to, expires: (now + LASTS).timestamp(), random: random()? })
    }

    /// As the browser carries it.
    pub(super) fn text(&self, key: &Key) -> Result<String> {
        let body = serde_json::to_vec(self).map_err(|e| Error::Broken(format!("a ticket cannot be written: {e}")))?;
        let signature = mac(&key.0, "ticket", &body);
        Ok(format!("{}.{}", URL_SAFE_NO_PAD.encode(&body), URL_SAFE_NO_PAD.encode(signature)))
    }

    /// `None` when it is none of ours, or too old.
    pub(super) fn read(text: &str, key: &Key, now: Instant) -> Option<Ticket> {
        let (body, signature) = text.split_once('.')?;
        let (body, signature) = (URL_SAFE_NO_PAD.decode(body).ok()?, URL_SAFE_NO_PAD.decode(signature).ok()?);
        if !same(&mac(&key.0, "ticket", &body), &signature) {
            return None;
        }
        let ticket: Ticket = serde_json::from_slice(&body).ok()?;
        (now.timestamp() < ticket.expires).then_some(ticket)
    }

    fn value(&self, key: &Key, what: &str) -> String {
        URL_SAFE_NO_PAD.encode(mac(&key.0, what, &self.random))
    }

    pub(super) fn state(&self, key: &Key) -> String {
        self.value(key, "state")
    }

    pub(super) fn nonce(&self, key: &Key) -> String {
        self.value(key, "nonce")
    }

    /// RFC 7636: 43 characters of base64url.
    pub(super) fn verifier(&self, key: &Key) -> String {
        self.value(key, "verifier")
    }

    /// The challenge of the verifier, `S256`.
    pub(super) fn challenge(&self, key: &Key) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier(key).as_bytes()))
    }

    /// By which it is known that it was used.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.random).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn a_ticket_is_read_as_it_was_written_until_it_expires() {
        let (key, now) = (Key::of(&[1; 32]), at("2026-03-02T09:00:00Z"));
        let step = Step::Begun { invitation: Some("tri_x".to_owned()) };
        let ticket = Ticket::new(step, Some("/docs".to_owned()), now).unwrap();
        let text = ticket.text(&key).unwrap();
        assert_eq!(Ticket::read(&text, &key, now + TimeDelta::seconds(599)).as_ref(), Some(&ticket));
        assert_eq!(Ticket::read(&text, &key, now + LASTS), None);
        assert_eq!(Ticket::read(&text, &Key::of(&[2; 32]), now), None);
    }

    #[test]
    fn a_ticket_that_was_changed_anywhere_is_none() {
        let (key, now) = (Key::of(&[1; 32]), at("2026-03-02T09:00:00Z"));
        let ticket = Ticket::new(Step::Begun { invitation: None }, None, now).unwrap();
        let text = ticket.text(&key).unwrap();
        for at in 0..text.len() - 1 {
            let mut wrong = text.as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(Ticket::read(std::str::from_utf8(&wrong).unwrap(), &key, now), None, "at {at}");
        }
        for none in ["", ".", "a.b", "é.é"] {
            assert_eq!(Ticket::read(none, &key, now), None);
        }
    }

    #[test]
    fn what_the_protocol_carries_differs_by_ticket_and_by_use() {
        let (key, now) = (Key::of(&[1; 32]), at("2026-03-02T09:00:00Z"));
        let of = || Ticket::new(Step::Begun { invitation: None }, None, now).unwrap();
        let (a, b) = (of(), of());
        let all = [a.state(&key), a.nonce(&key), a.verifier(&key), a.challenge(&key), b.state(&key), b.nonce(&key)];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert!(different.len() == all.len() && all.iter().all(|v| v.len() == 43), "{all:?}");
    }
}
