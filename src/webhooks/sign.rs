//! How a message is signed, as Standard Webhooks says: HMAC-SHA256 over id, time and body. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Before each secret, so that scanners of source code know it for one.
const PREFIX: &str = "whsec_";

/// A secret as its receiver has it.
pub(super) fn secret_text(secret: &[u8]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(secret))
}

/// The secret in a text; `None` when it is none.
pub(super) fn secret_of(text: &str) -> Option<Vec<u8>> {
    let secret = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
    (24..=64).contains(&secret.len()).then_some(secret)
}

fn signature(secret: &[u8], id: &str, timestamp: i64, body: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The header `webhook-signature`: one signature by each secret, so that a receiver may know the old one or the new one.
pub(super) fn signatures<'a>(
    secrets: impl IntoIterator<Item = &'a [u8]>,
    id: &str,
    timestamp: i64,
    body: &str,
) -> String {
    secrets.into_iter().map(|secret| signature(secret, id, timestamp, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_as_the_standard_publishes_it() {
        let secret = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, timestamp, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        let published = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signatures([secret.as_slice()], id, timestamp, body), published);
        let both = signatures([secret.as_slice(), [7; 32].as_slice()], id, timestamp, body);
        assert!(both.starts_with(&format!("{published} v1,")) && both.split(' ').count() == 2, "{both}");
    }

    #[test]
    fn a_secret_is_read_as_it_was_written_and_what_is_none_is_not() {
        assert_eq!(secret_of(&secret_text(&[9; 32])), Some(vec![9; 32]));
        for wrong in ["", "whsec_", "whsec_!!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ="] {
            assert_eq!(secret_of(wrong), None, "{wrong}");
        }
    }
}
