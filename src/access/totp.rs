//! One-time codes by time (RFC 6238): six digits that change every 30 seconds, as authenticator apps show them.
//!
//! A code of the step before or after is taken too, for clocks differ; but each step only once, and none before the last one
//! that was used, so that a code that somebody has seen is worth nothing. Pure.

use super::secret::{authenticator_text, same};
use crate::time::Instant;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Seconds of a step.
const STEP: i64 = 30;
/// Steps before and after the present one that are taken too.
const SLACK: i64 = 1;
/// Bytes of a secret: the hash's own length, as the RFC advises.
pub(super) const SECRET: usize = 20;

/// The code of a step.
fn code(secret: &[u8], step: i64) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret) else { return String::new() };
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let offset = usize::from(digest.last().copied().unwrap_or(0) & 15);
    let word = digest.iter().skip(offset).take(4).fold(0u32, |word, b| (word << 8) | u32::from(*b));
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}

fn step_at(now: Instant) -> i64 {
    now.timestamp().div_euclid(STEP)
}

/// The code that an app shows at an instant.
pub fn code_at(secret: &[u8], now: Instant) -> String {
    code(secret, step_at(now))
}

/// The step whose code this is; `None` when it is of no step near now, or of one not after the last one used.
pub(super) fn step_of(secret: &[u8], given: &str, now: Instant, last_used: Option<i64>) -> Option<i64> {
    let present = step_at(now);
    let given: String = given.chars().filter(|c| !c.is_whitespace()).collect();
    // All steps are looked at, so that the time does not tell which one it was.
    let mut found = None;
    for step in present - SLACK..=present + SLACK {
        let fits = same(code(secret, step).as_bytes(), given.as_bytes());
        if fits && last_used.is_none_or(|last| step > last) && found.is_none() {
            found = Some(step);
        }
    }
    found
}

/// The secret as people type it, and as a link that apps read.
pub fn for_apps(secret: &[u8], login: &str) -> (String, String) {
    let text = authenticator_text(secret);
    let label: String = login
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect();
    let link = format!("otpauth://totp/Tributary:{label}?secret={text}&issuer=Tributary");
    (text, link)
}

/// The secret back from the text that [`for_apps`] gives; spaces and small letters are no matter.
pub fn from_app(text: &str) -> Option<[u8; SECRET]> {
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(SECRET), 0u32, 0u32);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace()) {
        let value = match c.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        held = (held << 5 | u32::from(value)) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        chrono::DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = b"12345678901234567890";
        for (seconds, expected) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (2_000_000_000, "279037")]
        {
            assert_eq!(code_at(secret, at(seconds)), expected);
        }
    }

    #[test]
    fn a_code_counts_once_and_no_older_one_after_it() {
        let secret = b"12345678901234567890";
        let now = at(1_234_567_890);
        let step = step_of(secret, "005 924", now, None).unwrap();
        assert_eq!(step_of(secret, "005924", now, Some(step)), None);
        assert_eq!(step_of(secret, &code(secret, step - 1), now, Some(step)), None);
        assert_eq!(step_of(secret, &code(secret, step + 1), now, Some(step)), Some(step + 1));
        assert_eq!(step_of(secret, &code(secret, step + 2), now, None), None);
        for wrong in ["", "5924", "0059240", "００５９２４"] {
            assert_eq!(step_of(secret, wrong, now, None), None);
        }
    }

    #[test]
    fn the_link_takes_any_login() {
        let (text, link) = for_apps(b"12345678901234567890", "a b@c");
        assert_eq!(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(from_app("gezd gnbv gy3t qojq gezd gnbv gy3t qojq").as_ref(), Some(b"12345678901234567890"));
        for wrong in ["", "GEZD", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ0", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGE"] {
            assert_eq!(from_app(wrong), None, "{wrong}");
        }
        assert!(link.starts_with("otpauth://totp/Tributary:a%20b%40c?secret=GEZ"), "{link}");
    }
}
