//! Signed places in lists. A cursor carries the list, its filters, who asked and the place, and a signature by a secret of the
//! database: changed by anybody, or brought by somebody else or to another list, it is refused.

use super::problem::Refusal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What a cursor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The operation's id.
    #[serde(rename = "o")]
    pub(super) operation: String,
    /// The path that was asked.
    #[serde(rename = "u")]
    pub(super) path: String,
    /// Whom it was given to.
    #[serde(rename = "w")]
    pub(super) principal: String,
    /// Names and values of the list's parameters.
    #[serde(rename = "q")]
    pub(super) query: Vec<(String, String)>,
    /// Where the next page begins.
    #[serde(rename = "p")]
    pub(super) position: String,
}

fn mac(secret: &[u8], text: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(b"tributary.cursor.1\0");
    mac.update(text);
    Some(mac)
}

impl Cursor {
    pub(super) fn sign(&self, secret: &[u8]) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        let tag = mac(secret, &text).map(|m| m.finalize().into_bytes().to_vec()).unwrap_or_default();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(tag))
    }

    pub(super) fn read(signed: &str, secret: &[u8]) -> Result<Cursor, Refusal> {
        let no = || Refusal::BadCursor { why: "it is not one of ours, or was changed" };
        let (text, tag) = signed.split_once('.').ok_or_else(no)?;
        let text = URL_SAFE_NO_PAD.decode(text).map_err(|_| no())?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| no())?;
        mac(secret, &text).ok_or_else(no)?.verify_slice(&tag).map_err(|_| no())?;
        serde_json::from_slice(&text).map_err(|_| no())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_by_its_own_secret_and_unchanged_only() {
        let cursor = Cursor {
            operation: "entries.list".to_owned(),
            path: "/v1/entries".to_owned(),
            principal: "key:1".to_owned(),
            query: vec![("limit".to_owned(), "10".to_owned())],
            position: "17".to_owned(),
        };
        let signed = cursor.sign(b"secret");
        assert_eq!(Cursor::read(&signed, b"secret"), Ok(cursor.clone()));
        assert!(Cursor::read(&signed, b"other").is_err());
        let forged = Cursor { position: "18".to_owned(), ..cursor }.sign(b"guess");
        let (text, _) = forged.split_once('.').unwrap();
        let (_, tag) = signed.split_once('.').unwrap();
        for wrong in [format!("{text}.{tag}"), text.to_owned(), String::new(), "a.b".to_owned(), format!("{signed}A")] {
            assert!(Cursor::read(&wrong, b"secret").is_err(), "{wrong}");
        }
    }
}
