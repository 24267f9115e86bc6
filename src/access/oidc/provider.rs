//! Talking to the provider: what it says of itself, its keys, and what it gives for a code. Over TLS (plain only on this machine),
//! without redirects, with bounds on time, on what is read and on how many wait for it. What it says of itself is kept for an
//! hour; a key that is not known is looked for again, though not at every word of somebody who makes keys up.

use super::token::{Doubt, Expected, Said, prove};
use super::{Refusal, Settings, check_url, is_loopback};
use crate::error::Result;
use crate::tls;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::Agent;

const KNOWN_FOR: Duration = Duration::from_secs(3_600);
/// Keys are not asked for again sooner.
const KEYS_AGAIN: Duration = Duration::from_secs(10);
/// What is read of an answer at most.
const ANSWER_BYTES: u64 = 256 * 1024;
/// People who wait for the provider at once: it must not take all threads of a server when it is slow.
const AT_ONCE: usize = 16;

/// What a provider says of itself.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Discovery {
    issuer: String,
    pub(super) authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

#[derive(Default)]
struct Known {
    discovery: Option<(Arc<Discovery>, Instant)>,
    keys: Option<(Arc<JwkSet>, Instant)>,
}

/// What the provider has not done, for the log and for the operator; a sentence of its own for everybody else.
struct Trouble(String);

/// A provider that people sign in by.
pub struct Provider {
    pub(super) settings: Settings,
    agent: Agent,
    known: Mutex<Known>,
    under_way: AtomicUsize,
}

/// Counts somebody who waits for the provider.
struct Waiting<'p>(&'p AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Provider {
    /// Nothing is asked of it yet.
    pub fn new(settings: Settings) -> Provider {
        let local = settings.issuer.parse().is_ok_and(|uri| is_loopback(&uri));
        let config = Agent::config_builder()
            .https_only(!local)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("Tributary/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(settings.timeout))
            .tls_config(tls::of_the_system());
        let config = if local { config.proxy(None) } else { config };
        Provider { settings, agent: config.build().into(), known: Mutex::default(), under_way: AtomicUsize::new(0) }
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether it can be read; the error says why not, for the operator.
    pub fn look(&self) -> Result<(), String> {
        let said = |Trouble(what)| what;
        let discovery = self.ask_discovery().map_err(said)?;
        self.ask_keys(&discovery).map(drop).map_err(said)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) -> Result<Waiting<'_>, Refusal> {
        let waiting = Waiting(&self.under_way);
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= AT_ONCE { Err(Refusal::ProviderBusy) } else { Ok(waiting) }
    }

    /// For who is not its operator.
    fn unreachable(&self, Trouble(what): Trouble) -> Refusal {
        tracing::warn!(
            issuer = self.settings.issuer,
            what,
            "the provider that people sign in by does not answer as it should"
        );
        Refusal::ProviderUnreachable { name: self.settings.name.clone() }
    }

    /// What it says of itself.
    pub(super) fn discovery(&self) -> Result<Arc<Discovery>, Refusal> {
        let kept = self.known().discovery.clone();
        if let Some((discovery, _)) = kept.filter(|(_, since)| since.elapsed() < KNOWN_FOR) {
            return Ok(discovery);
        }
        let _waiting = self.wait()?;
        let discovery = Arc::new(self.ask_discovery().map_err(|e| self.unreachable(e))?);
        self.known().discovery = Some((Arc::clone(&discovery), Instant::now()));
        Ok(discovery)
    }

    /// Gives a code back, and answers what the ID token says that comes for it.
    pub(super) fn exchange(&self, code: &str, verifier: &str, expected: &Expected<'_>) -> Result<Said, Refusal> {
        let discovery = self.discovery()?;
        let _waiting = self.wait()?;
        let token = self.ask_token(&discovery, code, verifier)?;
        let mut keys = self.keys(&discovery, false)?;
        let mut proved = prove(&token, &keys, expected);
        if proved == Err(Doubt::UnknownKey) {
            keys = self.keys(&discovery, true)?;
            proved = prove(&token, &keys, expected);
        }
        proved.map_err(|doubt| Refusal::TokenRefused {
            why: match doubt {
                Doubt::UnknownKey => "its signature is by none of the provider's keys",
                Doubt::For(why) => why,
            },
        })
    }

    fn keys(&self, discovery: &Discovery, again: bool) -> Result<Arc<JwkSet>, Refusal> {
        let kept = self.known().keys.clone();
        let longest = if again { KEYS_AGAIN } else { KNOWN_FOR };
        if let Some((keys, _)) = kept.filter(|(_, since)| since.elapsed() < longest) {
            return Ok(keys);
        }
        let keys = Arc::new(self.ask_keys(discovery).map_err(|e| self.unreachable(e))?);
        self.known().keys = Some((Arc::clone(&keys), Instant::now()));
        Ok(keys)
    }

    fn ask_discovery(&self) -> Result<Discovery, Trouble> {
        let issuer = self.settings.issuer.as_str();
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovery: Discovery = self.get(&url)?;
        if discovery.issuer != issuer {
            return Err(Trouble(format!("{url} is of the issuer {}, and [oidc] issuer is {issuer}", discovery.issuer)));
        }
        let local = issuer.parse().is_ok_and(|uri| is_loopback(&uri));
        for endpoint in [&discovery.authorization_endpoint, &discovery.token_endpoint, &discovery.jwks_uri] {
            let uri = check_url(endpoint, true).map_err(|why| Trouble(format!("{url} names {endpoint}: {why}")))?;
            if !local && uri.scheme_str() != Some("https") {
                return Err(Trouble(format!("{url} names {endpoint}, which is without TLS")));
            }
        }
        if discovery.code_challenge_methods_supported.as_ref().is_some_and(|all| !all.iter().any(|m| m == "S256")) {
            return Err(Trouble(format!("{url} says that the provider does not know PKCE with S256")));
        }
        Ok(discovery)
    }

    fn ask_keys(&self, discovery: &Discovery) -> Result<JwkSet, Trouble> {
        self.get(&discovery.jwks_uri)
    }

    fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, Trouble> {
        let asked = self.agent.get(url).header("accept", "application/json").call();
        let mut answer = asked.map_err(|e| Trouble(format!("{url} cannot be read: {e}")))?;
        if answer.status().as_u16() != 200 {
            return Err(Trouble(format!("{url} answers {}", answer.status().as_u16())));
        }
        read(&mut answer).map_err(|e| Trouble(format!("{url}: {e}")))
    }

    fn ask_token(&self, discovery: &Discovery, code: &str, verifier: &str) -> Result<String, Refusal> {
        let settings = &self.settings;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", settings.redirect_url.as_str()),
            ("code_verifier", verifier),
        ];
        let mut request = self.agent.post(&discovery.token_endpoint).header("accept", "application/json");
        let methods = discovery.token_endpoint_auth_methods_supported.as_deref();
        // Where the provider says nothing, it takes this one (OpenID Connect Discovery 1.0, section 3).
        let by_header = methods.is_none_or(|all| all.iter().any(|m| m == "client_secret_basic"));
        match &settings.client_secret {
            Some(secret) if by_header => {
                let pair = format!("{}:{}", encoded(&settings.client_id), encoded(secret.reveal()));
                request = request.header("authorization", format!("Basic {}", STANDARD.encode(pair)));
            }
            Some(secret) => {
                form.extend([("client_id", settings.client_id.as_str()), ("client_secret", secret.reveal())])
            }
            None => form.push(("client_id", settings.client_id.as_str())),
        }
        let asked = request.send_form(form);
        let trouble = |what: String| self.unreachable(Trouble(format!("{}: {what}", discovery.token_endpoint)));
        let mut answer = asked.map_err(|e| trouble(e.to_string()))?;
        let status = answer.status().as_u16();
        if status != 200 {
            #[derive(Deserialize)]
            struct No {
                error: String,
            }
            let no = read::<No>(&mut answer).map(|no| no.error).unwrap_or_default();
            return Err(match no.as_str() {
                "invalid_grant" => Refusal::CodeRefused,
                other => trouble(format!("it answers {status} {}", tidy(other))),
            });
        }
        #[derive(Deserialize)]
        struct Given {
            id_token: String,
        }
        read::<Given>(&mut answer).map(|given| given.id_token).map_err(trouble)
    }
}

fn read<T: DeserializeOwned>(answer: &mut ureq::http::Response<ureq::Body>) -> Result<T, String> {
    let bytes = answer.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec().map_err(|e| e.to_string())?;
    serde_json::from_slice(&bytes).map_err(|e| format!("it cannot be read: {e}"))
}

/// A word of the protocol, as somebody else has written it: short, and of letters that do no harm.
pub(super) fn tidy(word: &str) -> String {
    word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect()
}

/// Text as it stands in a form or a query.
pub(super) fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}
