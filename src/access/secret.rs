//! Secrets: where they come from, how they are written, how they are kept, and how an API key is recognised.
//!
//! A session, a key and an invitation are 256 random bits. Such a secret is kept as its plain SHA-256: what cannot be guessed
//! needs no stretching, and a slow hash would be paid on every request, or be cached, which is one more thing that a revocation
//! would have to reach. Passwords are another matter (`password.rs`).

use crate::db::seal::{Hash, sha256};
use crate::error::{Error, Result};
use std::fmt;
use subtle::ConstantTimeEq;

/// Crockford's base 32, as in ids: it can be read out over the telephone.
const READABLE: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// RFC 4648's, which authenticator apps read.
const AUTHENTICATOR: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Bytes that nobody can foresee.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::Broken(format!("the system gives no random bytes, without which no secret is one: {e}")))?;
    Ok(bytes)
}

fn base32(bytes: &[u8], alphabet: &[u8; 32]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut padded = [0u8; 5];
        padded.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        let bits = padded.iter().fold(0u64, |bits, b| (bits << 8) | u64::from(*b));
        for place in 0..(chunk.len() * 8).div_ceil(5) {
            let index = usize::try_from((bits >> (35 - 5 * place)) & 31).unwrap_or(0);
            text.push(alphabet.get(index).copied().map_or('0', char::from));
        }
    }
    text
}

/// For authenticator apps.
pub(super) fn authenticator_text(bytes: &[u8]) -> String {
    base32(bytes, AUTHENTICATOR)
}

/// Whether two digests are the same, in the same time wherever they differ.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    bool::from(a.ct_eq(b))
}

/// A secret that is shown once. It does not print by accident: neither `{}` nor `{:?}` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// 256 random bits behind a prefix.
    pub(super) fn random(prefix: &str) -> Result<Secret> {
        Ok(Secret(format!("{prefix}{}", base32(&random::<32>()?, READABLE))))
    }

    /// 80 random bits as four groups, for a person to keep on paper.
    pub(super) fn on_paper() -> Result<Secret> {
        let text = base32(&random::<10>()?, READABLE);
        let groups: Vec<&str> = (0..4).filter_map(|i| text.get(4 * i..4 * i + 4)).collect();
        Ok(Secret(groups.join("-")))
    }

    /// One that somebody has given.
    pub fn given(text: &str) -> Secret {
        Secret(text.trim().to_owned())
    }

    /// To show it to whom it is for, once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// As it is kept.
    pub fn digest(&self) -> Hash {
        sha256(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Before each API key, so that scanners of source code know it for one.
const KEY_PREFIX: &str = "trs_live_";
/// Characters of a key's id, of its secret and of its checksum.
const KEY_PARTS: (usize, usize, usize) = (26, 52, 7);

/// A key as its holder has it: `trs_live_<id>_<secret><checksum>`.
pub(super) fn new_key(id: &str) -> Result<Secret> {
    let body = format!("{KEY_PREFIX}{id}_{}", base32(&random::<32>()?, READABLE));
    let checksum = base32(&crc32fast::hash(body.as_bytes()).to_be_bytes(), READABLE);
    Ok(Secret(body + &checksum))
}

/// The id in a text that is a key of ours, whether it was ever given or not; `None` for anything else, without a look at the
/// database: a scanner, or a mistyped key.
pub fn key_id(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(KEY_PREFIX)?;
    let (id, secret) = rest.split_once('_')?;
    if !secret.is_ascii() || id.len() != KEY_PARTS.0 || secret.len() != KEY_PARTS.1 + KEY_PARTS.2 {
        return None;
    }
    let (body, checksum) = text.split_at(text.len() - KEY_PARTS.2);
    (base32(&crc32fast::hash(body.as_bytes()).to_be_bytes(), READABLE) == checksum).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_32_is_that_of_the_rfc() {
        for (plain, text) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB")]
        {
            assert_eq!(authenticator_text(plain.as_bytes()), text);
        }
    }

    #[test]
    fn a_key_is_recognised_and_a_mistyped_one_is_not() {
        let id = "01k9v3zzzzzzzzzzzzzzzzzzzz";
        let key = new_key(id).unwrap();
        let text = key.reveal();
        assert_eq!((key_id(text), text.len()), (Some(id), 9 + 26 + 1 + 52 + 7));
        for at in 0..text.len() {
            let mut wrong = text.as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'7' { b'8' } else { b'7' };
            assert_eq!(key_id(std::str::from_utf8(&wrong).unwrap()), None, "at {at}");
        }
        for wrong in ["", "trs_live_", "trs_live_a_b", &text[..text.len() - 1], "trs_live_01k9v3zzzzzzzzzzzzzzzzzzzz_é"]
        {
            assert_eq!(key_id(wrong), None);
        }
    }

    #[test]
    fn a_secret_does_not_print_by_accident() {
        let secret = Secret::random("x_").unwrap();
        assert!(!format!("{secret:?}").contains(secret.reveal()));
        assert_eq!(secret.reveal().len(), 2 + 52);
        assert_ne!(secret, Secret::random("x_").unwrap());
        assert_eq!(Secret::on_paper().unwrap().reveal().len(), 19);
    }
}
