//! A provider of the test's own: a real server on this machine, which knows PKCE, takes each code once and signs real tokens.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, EcdsaKeyPair, KeyPair, RsaKeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use tributary::time::Instant;

pub const CLIENT: &str = "tributary-test";
pub const CLIENT_SECRET: &str = "a secret: of this test+";

/// For tests only: it has signed nothing else, ever.
const RSA: &str = include_str!("key-for-tests.txt");

fn keys() -> &'static (RsaKeyPair, EcdsaKeyPair, EcdsaKeyPair) {
    static KEYS: LazyLock<(RsaKeyPair, EcdsaKeyPair, EcdsaKeyPair)> = LazyLock::new(|| {
        let der = STANDARD.decode(RSA.replace('\n', "")).expect("base64");
        let ec = || {
            let (kind, random) = (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
            let made = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key");
            EcdsaKeyPair::from_pkcs8(kind, made.as_ref(), &random).expect("a key")
        };
        (RsaKeyPair::from_der(&der).expect("a key"), ec(), ec())
    });
    &KEYS
}

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    Rs256,
    Es256,
    /// By a key that is not the provider's, under the name of its own.
    ByOther,
    /// By a key that it does not publish, under a name of its own.
    ByUnknown,
    /// Not at all.
    None,
    /// With the secret that both know.
    BySecret,
    /// With what anybody can read: the RSA key as if it were a secret.
    ByPublicKey,
}

/// What somebody who is at the provider brings back to it: claims, and how they are signed.
#[derive(Debug, Clone)]
struct Code {
    challenge: String,
    claims: Value,
    signed: Signed,
}

#[derive(Default)]
struct Script {
    codes: BTreeMap<String, Code>,
    discovery: Value,
    asked: Vec<String>,
    silent: bool,
}

/// A provider.
pub struct Idp {
    pub issuer: String,
    script: Arc<Mutex<Script>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Idp {
    pub fn new() -> Idp {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let issuer = format!("http://{}/staff", listener.local_addr().expect("an address"));
        let discovery = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"], "code_challenge_methods_supported": ["plain", "S256"],
        });
        let script = Arc::new(Mutex::new(Script { discovery, ..Script::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&script), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            // Those who get no answer are kept, so that they wait for one.
            let mut waiting = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                if shared.lock().expect("a script").silent {
                    waiting.push(stream);
                } else {
                    let _ = serve(&stream, &shared);
                }
            }
        });
        Idp { issuer, script, stop, thread: Some(thread) }
    }

    /// It takes connections, and says nothing from now on.
    pub fn fall_silent(&self) {
        self.script.lock().expect("a script").silent = true;
    }

    /// It says other things of itself from now on.
    pub fn describes(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.script.lock().expect("a script").discovery);
    }

    /// What was asked of it.
    pub fn asked(&self) -> Vec<String> {
        self.script.lock().expect("a script").asked.clone()
    }

    /// Somebody who was sent here signs in: the parameters with which they are sent back. `change` is for what a provider should not say.
    pub fn sends_back(
        &self,
        location: &str,
        (subject, now): (&str, Instant),
        signed: Signed,
        change: impl FnOnce(&mut Value),
    ) -> BTreeMap<String, String> {
        let begin = format!("{}/authorize?tenant=1&", self.issuer);
        let asked = parameters(location.strip_prefix(&begin).unwrap_or_else(|| panic!("{location}")));
        assert_eq!((asked["client_id"].as_str(), asked["response_type"].as_str()), (CLIENT, "code"));
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|s| s == "openid"));
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT, "sub": subject, "nonce": asked["nonce"],
            "iat": now.timestamp(), "exp": now.timestamp() + 300,
            "email": format!("{subject}@example.com"), "email_verified": true,
        });
        change(&mut claims);
        let mut script = self.script.lock().expect("a script");
        let code = format!("code-{}", script.codes.len());
        let challenge = asked["code_challenge"].clone();
        script.codes.insert(code.clone(), Code { challenge, claims, signed });
        BTreeMap::from([("code".to_owned(), code), ("state".to_owned(), asked["state"].clone())])
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let address = self.issuer.trim_start_matches("http://").split('/').next().unwrap_or_default();
        drop(TcpStream::connect(address));
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Names and values behind a question mark, or of a form.
pub fn parameters(text: &str) -> BTreeMap<String, String> {
    let plain = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let hex = [rest.next().expect("hex"), rest.next().expect("hex")];
                    u8::from_str_radix(std::str::from_utf8(&hex).expect("hex"), 16).expect("hex")
                }
                other => other,
            });
        }
        String::from_utf8(bytes).expect("text")
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (plain(name), plain(value))).collect()
}

fn serve(stream: &TcpStream, script: &Mutex<Script>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut line, mut length, mut authorization) = (String::new(), String::new(), 0, String::new());
    reader.read_line(&mut first).ok()?;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => authorization = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut script = script.lock().expect("a script");
    script.asked.push(path.clone());
    let (status, answer) = match path.as_str() {
        "/staff/.well-known/openid-configuration" => (200, script.discovery.clone()),
        "/staff/keys" => (200, published()),
        "/staff/token" => {
            let form = parameters(std::str::from_utf8(&body).ok()?);
            token(&mut script, &form, &authorization)
        }
        _ => (404, json!({})),
    };
    let answer = answer.to_string();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}", answer.len());
    let mut stream = stream;
    write!(stream, "{head}\r\nconnection: close\r\n\r\n{answer}").ok()
}

/// Gives a token for a code: once, to the client that knows its secret and the verifier.
fn token(script: &mut Script, form: &BTreeMap<String, String>, authorization: &str) -> (u16, Value) {
    let encoded = "a%20secret%3A%20of%20this%20test%2B";
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{encoded}")));
    let by_form = form.get("client_secret").map(String::as_str) == Some(CLIENT_SECRET);
    if authorization != basic && !by_form {
        return (401, json!({ "error": "invalid_client" }));
    }
    let allowed: BTreeSet<&str> =
        ["grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret"].into();
    assert!(form.keys().all(|name| allowed.contains(name.as_str())), "{form:?}");
    let Some(code) = script.codes.get_mut(&form["code"]) else { return (400, json!({ "error": "invalid_grant" })) };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    // A code that was used has no challenge left.
    if std::mem::take(&mut code.challenge) != challenge {
        return (400, json!({ "error": "invalid_grant", "error_description": "<b>used</b>" }));
    }
    (200, json!({ "access_token": "x", "token_type": "Bearer", "id_token": signed(&code.claims, code.signed) }))
}

fn published() -> Value {
    let (rsa, ec, _) = keys();
    let rsa = PublicKeyComponents::<Vec<u8>>::from(rsa.public_key());
    let point = ec.public_key().as_ref();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "keys": [
        { "kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": text(&rsa.n), "e": text(&rsa.e) },
        { "kty": "EC", "kid": "e", "use": "sig", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) },
        { "kty": "RSA", "kid": "enc", "use": "enc", "n": text(&rsa.n), "e": text(&rsa.e) },
        { "kty": "OKP", "kid": "of tomorrow", "crv": "X448", "x": "AA" },
    ] })
}

fn signed(claims: &Value, how: Signed) -> String {
    let (rsa, ec, other) = keys();
    let (alg, kid) = match how {
        Signed::Rs256 => ("RS256", "r"),
        Signed::Es256 | Signed::ByOther => ("ES256", "e"),
        Signed::ByUnknown => ("ES256", "x"),
        Signed::None => ("none", "r"),
        Signed::BySecret | Signed::ByPublicKey => ("HS256", "r"),
    };
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({ "alg": alg, "kid": kid, "typ": "JWT" })), part(claims));
    let random = SystemRandom::new();
    let by = |key: &EcdsaKeyPair| key.sign(&random, text.as_bytes()).expect("signed").as_ref().to_vec();
    let with = |secret: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let signature = match how {
        Signed::Rs256 => {
            let mut signature = vec![0; rsa.public().modulus_len()];
            rsa.sign(&signature::RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).expect("signed");
            signature
        }
        Signed::Es256 => by(ec),
        Signed::ByOther | Signed::ByUnknown => by(other),
        Signed::None => Vec::new(),
        Signed::BySecret => with(CLIENT_SECRET.as_bytes()),
        Signed::ByPublicKey => with(rsa.public_key().as_ref()),
    };
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
