//! What an ID token says, once it is proved: signed by a key of the provider, by it, for us, for this sign-in, and still good. Pure.
//!
//! Reading and checking tokens is `jsonwebtoken`'s, the cryptography `ring`'s. Only signatures by a private key count: a token that is
//! not signed, or by a secret that both know, is refused whatever it says.

use crate::time::Instant;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::signature::Verifier;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, Validation, decode, decode_header};
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::{Map, Value};

/// How much the clocks of two machines may differ, in seconds.
const SLACK: i64 = 60;

/// What a token has to say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) subject_claim: &'a str,
    pub(super) now: Instant,
}

/// What it says of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) subject: String,
    /// Only a verified one.
    pub(super) email: Option<String>,
    pub(super) acr: Option<String>,
    pub(super) amr: Vec<String>,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Its key is none of these: the provider may have a new one.
    UnknownKey,
    /// For good.
    For(&'static str),
}

/// Proves a token.
pub(super) fn prove(token: &str, keys: &JwkSet, expected: &Expected<'_>) -> Result<Said, Doubt> {
    // Only the first one counts; another one could only be the same.
    let _ = RING.install_default();
    let header = decode_header(token).map_err(|_| Doubt::For("it is no signed ID token"))?;
    let family = header.alg.family();
    if family == AlgorithmFamily::Hmac {
        return Err(Doubt::For("it is signed by a secret and not by a key"));
    }
    if header.crit.is_some() || header.typ.as_deref().is_some_and(|t| !t.eq_ignore_ascii_case("jwt")) {
        return Err(Doubt::For("it is another kind of token"));
    }
    let key = key_for(keys, header.kid.as_deref(), header.alg)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| Doubt::For("its key cannot be used"))?;
    let mut validation = Validation::new(header.alg);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.client_id]);
    // By our own clock, below.
    validation.validate_exp = false;
    let claims = decode::<Map<String, Value>>(token, &key, &validation).map_err(|e| Doubt::For(why(&e)))?.claims;
    judge(&claims, expected)
}

fn why(e: &Error) -> &'static str {
    match e.kind() {
        ErrorKind::InvalidSignature => "its signature is by none of the provider's keys",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::InvalidAudience => "it is for somebody else",
        ErrorKind::MissingRequiredClaim(_) => "it does not say who, by whom, for whom and until when",
        ErrorKind::InvalidAlgorithm => "its signature is of a kind that its key does not make",
        _ => "it cannot be read",
    }
}

/// The key that a token names; the only one that could be meant, where it names none.
fn key_for<'k>(keys: &'k JwkSet, kid: Option<&str>, algorithm: Algorithm) -> Result<&'k Jwk, Doubt> {
    let fits = |key: &&Jwk| {
        let common = &key.common;
        let is_of_kind = matches!(
            (&key.algorithm, algorithm.family()),
            (AlgorithmParameters::RSA(_), AlgorithmFamily::Rsa)
                | (AlgorithmParameters::EllipticCurve(_), AlgorithmFamily::Ec)
                | (AlgorithmParameters::OctetKeyPair(_), AlgorithmFamily::Ed)
        );
        is_of_kind
            && common.public_key_use.as_ref().is_none_or(|u| *u == PublicKeyUse::Signature)
            && common.key_algorithm.is_none_or(|a| Algorithm::try_from(a).is_ok_and(|a| a == algorithm))
            && kid.is_none_or(|kid| common.key_id.as_deref() == Some(kid))
    };
    let mut found = keys.keys.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => Err(Doubt::For("it does not say which of several keys has signed it")),
        (None, _) => Err(Doubt::UnknownKey),
    }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
}

/// Seconds since 1970, with or without decimals.
fn seconds(claims: &Map<String, Value>, name: &str) -> Option<i64> {
    let value = claims.get(name).filter(|v| v.is_number())?;
    value.as_i64().or_else(|| value.to_string().split('.').next()?.parse().ok())
}

fn judge(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<Said, Doubt> {
    let now = expected.now.timestamp();
    if text(claims, "iss") != Some(expected.issuer) {
        return Err(Doubt::For("it is of another issuer"));
    }
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    let meant = text(claims, "azp");
    if meant.is_some_and(|azp| azp != expected.client_id) || (several && meant.is_none()) {
        return Err(Doubt::For("it is for somebody else"));
    }
    match seconds(claims, "exp") {
        Some(until) if now < until.saturating_add(SLACK) => {}
        _ => return Err(Doubt::For("it has expired")),
    }
    let Some(issued) = seconds(claims, "iat") else { return Err(Doubt::For("it does not say when it was made")) };
    let begins = claims.get("nbf").map_or(Some(issued), |_| seconds(claims, "nbf"));
    if issued.max(begins.unwrap_or(i64::MAX)) > now.saturating_add(SLACK) {
        return Err(Doubt::For("it counts only later: the clock of this machine or of the provider is wrong"));
    }
    if text(claims, "nonce") != Some(expected.nonce) {
        return Err(Doubt::For("it is of another sign-in"));
    }
    let subject = text(claims, expected.subject_claim).unwrap_or_default();
    if !super::is_subject(subject) {
        return Err(Doubt::For("the claim that names the person is not there, or cannot be a name"));
    }
    let is_verified = match claims.get("email_verified") {
        Some(Value::Bool(is)) => *is,
        Some(Value::String(is)) => is == "true",
        _ => false,
    };
    let amr = claims.get("amr").and_then(Value::as_array).into_iter().flatten();
    Ok(Said {
        subject: subject.to_owned(),
        email: text(claims, "email").filter(|_| is_verified).map(str::to_lowercase),
        acr: text(claims, "acr").map(ToOwned::to_owned),
        amr: amr.filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
    })
}

/// `jsonwebtoken` with the cryptography of `ring`, for looking at signatures only.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(Looking::new(*algorithm, key)?)),
    // For making JWKs, which is not done here.
    key_utils: KeyUtils::new_unimplemented(),
};

enum How {
    Rsa(&'static RsaParameters),
    Other(&'static dyn VerificationAlgorithm),
}

/// Looks at the signatures of one key.
struct Looking {
    algorithm: Algorithm,
    how: How,
    key: DecodingKey,
}

impl Looking {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Looking, Error> {
        let how = match algorithm {
            Algorithm::RS256 => How::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => How::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => How::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => How::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => How::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => How::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => How::Other(&signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => How::Other(&signature::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => How::Other(&signature::ED25519),
            _ => return Err(ErrorKind::InvalidAlgorithm.into()),
        };
        if key.family() != algorithm.family() {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Ok(Looking { algorithm, how, key: key.clone() })
    }
}

impl Verifier<Vec<u8>> for Looking {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> Result<(), jsonwebtoken::signature::Error> {
        let looked = match (&self.how, self.key.kind()) {
            (How::Rsa(how), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(how, message, given)
            }
            (How::Other(how), DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(*how, key).verify(message, given)
            }
            _ => return Err(jsonwebtoken::signature::Error::new()),
        };
        looked.map_err(|_| jsonwebtoken::signature::Error::new())
    }
}

impl JwtVerifier for Looking {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
