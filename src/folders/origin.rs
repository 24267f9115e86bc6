//! What proves that a file is whole, and whose it is: the checksum and the signature beside it. Pure but for reading bytes.
//!
//! A checksum proves that nothing was lost on the way; anybody can make one. An Ed25519 signature over the same bytes, by a
//! key that the configuration names, proves who sent them. The file is read once for both, whatever its size.

use super::Refusal;
use crate::db::seal::{Hash, hex, sha256, unhex};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// How a public key begins in the form that `openssl pkey -pubout` writes (RFC 8410); its 32 bytes follow.
const WRAPPED: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public key that may sign, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What the configuration calls it.
    pub name: String,
    key: VerifyingKey,
}

impl Key {
    /// Reads a key: base64 or hexadecimal of its 32 bytes, or what stands between the lines of a PEM file.
    pub fn parse(name: &str, text: &str) -> Result<Key, String> {
        let what =
            "not an Ed25519 public key: give base64 of its 32 bytes, or what stands between the lines of its PEM file";
        let text: String = text.split_whitespace().collect();
        let bytes = unhex(&text).or_else(|| STANDARD.decode(&text).ok()).ok_or(what)?;
        let bytes = bytes.strip_prefix(WRAPPED.as_slice()).unwrap_or(&bytes);
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| what.to_owned())?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| what.to_owned())?;
        // Anybody can sign for one of these.
        if key.is_weak() {
            return Err("a key of which anybody can make signatures".to_owned());
        }
        Ok(Key { name: name.to_owned(), key })
    }
}

/// What a file is, from one reading: its digest, its length, and which key has signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Of its bytes.
    pub digest: Hash,
    /// How many.
    pub size: u64,
    /// The key that has signed it.
    pub signed_by: Option<Key>,
}

/// Reads a file to its end.
pub fn prove(mut input: impl Read, signature: Option<&Signature>, keys: &[Key]) -> io::Result<Proof> {
    let mut digest = Sha256::new();
    let stream = |k: &'_ Key| signature.and_then(|s| k.key.verify_stream(s).ok());
    let mut streams: Vec<_> = keys.iter().filter_map(|k| Some((k, stream(k)?))).collect();
    let (mut buffer, mut size) = (vec![0; 64 * 1024], 0u64);
    loop {
        let read = match input.read(&mut buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            break;
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        digest.update(bytes);
        streams.iter_mut().for_each(|(_, stream)| stream.update(bytes));
        size += u64::try_from(read).unwrap_or(0);
    }
    let signed_by =
        streams.into_iter().find_map(|(key, stream)| stream.finalize_and_verify().ok().map(|()| key.clone()));
    Ok(Proof { digest: digest.finalize().into(), size, signed_by })
}

/// Reads a signature: its 64 bytes, or base64 of them.
pub fn signature(bytes: &[u8]) -> Result<Signature, Refusal> {
    if let Ok(raw) = <[u8; 64]>::try_from(bytes) {
        return Ok(Signature::from_bytes(&raw));
    }
    let text: String = String::from_utf8_lossy(bytes).split_whitespace().collect();
    let raw = STANDARD.decode(text).ok().and_then(|raw| <[u8; 64]>::try_from(raw).ok());
    raw.map(|raw| Signature::from_bytes(&raw)).ok_or_else(|| Refusal::WrongSignature {
        why: "the signature beside it is neither 64 bytes nor base64 of them: a detached Ed25519 signature is"
            .to_owned(),
    })
}

/// Whether a checksum file says that the file of this name has this digest.
pub fn matches_checksum(text: &[u8], name: &str, digest: &Hash) -> Result<(), Refusal> {
    let wrong = |why: String| Err(Refusal::WrongChecksum { why });
    let text = String::from_utf8_lossy(text);
    let sums: Vec<(String, Option<String>)> = text.lines().filter_map(sum).collect();
    if sums.is_empty() {
        return wrong("the checksum file beside it has no SHA-256 in it, as `sha256sum` writes it".to_owned());
    }
    let own = hex(digest);
    // A line that names another file speaks of that, unless it is the only one: gateways rename files.
    let named: Vec<_> = sums.iter().filter(|(_, of)| of.as_deref() == Some(name)).collect();
    let asked: Vec<_> = match (named.is_empty(), sums.as_slice()) {
        (false, _) => named,
        (true, [only]) => vec![only],
        (true, several) => several.iter().filter(|(_, of)| of.is_none()).collect(),
    };
    if asked.iter().any(|(sum, _)| *sum == own) {
        return Ok(());
    }
    match asked.first() {
        None => wrong(format!("the checksum file beside it speaks of other files only, and not of {name}")),
        Some((sum, _)) => wrong(format!(
            "its SHA-256 is {own}, but the checksum file beside it says {sum}: bytes were lost or changed on the way"
        )),
    }
}

/// A line of a checksum file: the digest, and the name of its file without its folders.
fn sum(line: &str) -> Option<(String, Option<String>)> {
    let is_sum = |t: &str| t.len() == 64 && t.bytes().all(|b| b.is_ascii_hexdigit());
    let base = |name: &str| name.rsplit(['/', '\\']).next().unwrap_or(name).to_owned();
    let line = line.trim_start_matches('\u{feff}').trim();
    // As the BSDs write it: SHA256 (name) = digest
    if let Some((name, sum)) = line.strip_prefix("SHA256 (").and_then(|rest| rest.rsplit_once(") = ")) {
        return is_sum(sum).then(|| (sum.to_ascii_lowercase(), Some(base(name))));
    }
    // A backslash at the front says that the name is escaped.
    let line = line.trim_start_matches('\\');
    let (sum, name) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let name = name.trim_start().trim_start_matches('*');
    is_sum(sum).then(|| (sum.to_ascii_lowercase(), Some(base(name)).filter(|n| !n.is_empty())))
}

/// How an origin is written down.
pub fn in_words(checksum: bool, signed_by: Option<&Key>) -> String {
    let fingerprint = |key: &Key| hex(&sha256(key.key.as_bytes())).chars().take(16).collect::<String>();
    match (signed_by, checksum) {
        (Some(key), _) => format!("signed by {} (ed25519 {})", key.name, fingerprint(key)),
        (None, true) => "complete by its checksum".to_owned(),
        (None, false) => crate::statements::UNVERIFIED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    fn key(seed: u8) -> (SigningKey, Key) {
        let secret = SigningKey::from_bytes(&[seed; 32]);
        let public = Key::parse(&format!("k{seed}"), &STANDARD.encode(secret.verifying_key().as_bytes())).unwrap();
        (secret, public)
    }

    #[test]
    fn a_signature_is_of_one_key_and_of_exactly_these_bytes() {
        let ((secret, public), (_, other)) = (key(1), key(2));
        let bytes = vec![b'x'; 200_000];
        let signed = secret.sign(&bytes);
        let by = |bytes: &[u8], keys: &[Key]| {
            let name = prove(bytes, Some(&signed), keys).unwrap().signed_by.map(|k| k.name);
            name.unwrap_or_default()
        };
        assert_eq!(by(&bytes, &[other.clone(), public.clone()]), "k1");
        assert_eq!(by(&bytes, &[other]), "");
        assert_eq!(by(&bytes[1..], &[public]), "");
        for text in [signed.to_bytes().to_vec(), STANDARD.encode(signed.to_bytes()).into_bytes()] {
            assert_eq!(signature(&text).unwrap(), signed);
        }
        let wrapped = STANDARD.encode(signed.to_bytes());
        let (a, b) = wrapped.split_at(64);
        assert_eq!(signature(format!("{a}\r\n{b}\n").as_bytes()).unwrap(), signed);
        assert!(signature(b"half of it").is_err());
    }

    #[test]
    fn a_key_is_read_as_base64_as_hexadecimal_and_out_of_a_pem_file() {
        let (secret, public) = key(1);
        let raw = secret.verifying_key();
        let wrapped = [WRAPPED.as_slice(), raw.as_bytes()].concat();
        for text in [hex(raw.as_bytes()), STANDARD.encode(&wrapped), format!(" {}\n", STANDARD.encode(raw.as_bytes()))]
        {
            assert_eq!(Key::parse("k1", &text).unwrap(), public);
        }
        // RFC 8032, 7.1, test 1.
        let known = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let key = Key::parse("rfc", known).unwrap();
        let signed = unhex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b").unwrap();
        assert!(prove([].as_slice(), Some(&signature(&signed).unwrap()), &[key]).unwrap().signed_by.is_some());
        for wrong in ["", "zz", &"00".repeat(32), &"00".repeat(31), "MCowBQYDK2VwAyEA", "ä"] {
            assert!(Key::parse("k", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_checksum_file_is_read_as_the_tools_write_it() {
        let digest = sha256(b"abc");
        let (sum, other) = (hex(&digest), hex(&sha256(b"x")));
        for good in [
            format!("{sum}\n"),
            format!("{sum}  a.xml\n"),
            format!("{} *a.xml\r\n", sum.to_uppercase()),
            format!("\u{feff}{sum}  out/a.xml\n"),
            format!("SHA256 (a.xml) = {sum}\n"),
            format!("\\{sum}  a.xml\n"),
            format!("# made today\n{other}  b.xml\n{sum}  a.xml\n"),
            // The gateway has renamed the file.
            format!("{sum}  its-name-at-the-bank.xml\n"),
        ] {
            assert_eq!(matches_checksum(good.as_bytes(), "a.xml", &digest), Ok(()), "{good}");
        }
        for (bad, why) in [
            (String::new(), "no SHA-256"),
            ("d41d8cd98f00b204e9800998ecf8427e  a.xml".to_owned(), "no SHA-256"),
            (format!("{other}  a.xml"), "but the checksum file beside it says"),
            (format!("{other}  a.xml\n{sum}  b.xml"), "but the checksum file beside it says"),
            (format!("{sum}  b.xml\n{sum}  c.xml"), "speaks of other files only"),
        ] {
            let said = matches_checksum(bad.as_bytes(), "a.xml", &digest).unwrap_err().to_string();
            assert!(said.contains(why), "{bad}: {said}");
        }
    }
}
