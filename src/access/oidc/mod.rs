//! Sign-in by a provider: OpenID Connect, authorization code with PKCE (`S256`), for people; off unless it is configured.
//!
//! The provider says who somebody is; who that is *here* a link says, which an administrator has made: by hand, or with an invitation
//! by which the person joins. An address of e-mail links nobody, and nobody comes to be or to have rights by signing in. What
//! is opened is the same session as with a password, and it takes a second factor as well: the provider's, where the
//! configuration relies on it and the token says so, else ours.
//!
//! | File | What |
//! | --- | --- |
//! | `ticket.rs` | what a browser carries from step to step: signed, for ten minutes, used once (pure) |
//! | `token.rs` | what an ID token says, once it is proved (pure) |
//! | `provider.rs` | talking to the provider: discovery, keys, the code; bounded in time and size |
//! | `sign_in.rs` | the steps: begin, the provider's answer, the code |
//! | `identities.rs` | links, and their proof |
//! | `api.rs` | all of it over HTTP |

use crate::config::{self, SecondFactor};
use crate::error::Result;
use std::fmt;
use std::time::Duration;
use ureq::http::Uri;

pub mod api;
mod identities;
mod provider;
mod sign_in;
mod store;
mod ticket;
mod token;

pub use identities::{Identity, identities, link, people_with_identity, unlink};
pub(super) use identities::{check, unlink_all};
pub use provider::Provider;
pub use sign_in::{Answered, Begun, Came, begin, finish, with_code};

/// The cookie that a sign-in travels in; `Lax`, for it must come along when the provider sends the browser back.
pub const SIGN_IN_COOKIE: &str = "__Host-tributary-sign-in";

/// Where the provider sends people back to.
const CALLBACK: &str = "/v1/sign-in/oidc/callback";

/// The environment's name for the secret that the provider has given.
const SECRET_VARIABLE: &str = "TRIBUTARY_OIDC_CLIENT_SECRET";

/// Where the provider is and what is asked of it.
#[derive(Clone)]
pub struct Settings {
    issuer: String,
    name: String,
    client_id: String,
    client_secret: Option<super::Secret>,
    redirect_url: String,
    scope: String,
    subject_claim: String,
    email_domains: Vec<String>,
    second_factor: SecondFactor,
    acr_values: Vec<String>,
    amr_values: Vec<String>,
    timeout: Duration,
}

impl Settings {
    /// From the configuration; `None` where no provider is configured.
    pub fn of(config: &config::Oidc) -> Result<Option<Settings>> {
        if config.issuer.is_empty() {
            return Ok(None);
        }
        let bad = |name: &str, why: &str| Refusal::BadSetting { what: format!("[oidc] {name}: {why}") };
        check_url(&config.issuer, false).map_err(|why| bad("issuer", why))?;
        let back = check_url(&config.redirect_url, false).map_err(|why| bad("redirect_url", why))?;
        if back.path() != CALLBACK || back.query().is_some() {
            return Err(bad("redirect_url", &format!("it must end in {CALLBACK}")).into());
        }
        if config.client_id.is_empty() {
            return Err(bad("client_id", "it is what the provider calls this treasury, and is not set").into());
        }
        let relies = config.second_factor == SecondFactor::Provider;
        if relies && config.acr_values.is_empty() && config.amr_values.is_empty() {
            let why = "relying on the provider takes acr_values or amr_values that say it has seen one";
            return Err(bad("second_factor", why).into());
        }
        let is_word = |word: &String| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        if !config.scopes.iter().chain(&config.acr_values).all(is_word) {
            return Err(bad("scopes, acr_values", "each is one word").into());
        }
        if !(1..=60).contains(&config.timeout_seconds) {
            return Err(bad("timeout_seconds", "it is from 1 to 60").into());
        }
        let others = config.scopes.iter().map(String::as_str).filter(|s| *s != "openid");
        Ok(Some(Settings {
            issuer: config.issuer.clone(),
            name: config.name.clone(),
            client_id: config.client_id.clone(),
            client_secret: client_secret(config)?,
            redirect_url: config.redirect_url.clone(),
            scope: std::iter::once("openid").chain(others).collect::<Vec<_>>().join(" "),
            subject_claim: config.subject_claim.clone(),
            email_domains: config.email_domains.iter().map(|d| d.trim_start_matches('@').to_lowercase()).collect(),
            second_factor: config.second_factor,
            acr_values: config.acr_values.clone(),
            amr_values: config.amr_values.clone(),
            timeout: Duration::from_secs(u64::from(config.timeout_seconds)),
        }))
    }

    /// The provider, as it names itself.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

fn client_secret(config: &config::Oidc) -> Result<Option<super::Secret>> {
    if config.client_secret_file.is_empty() {
        let given = std::env::var(SECRET_VARIABLE).ok().filter(|s| !s.trim().is_empty());
        return Ok(given.map(|s| super::Secret::given(&s)));
    }
    let read = std::fs::read_to_string(&config.client_secret_file);
    let what = |why: String| Refusal::BadSetting { what: format!("[oidc] client_secret_file: {why}") };
    let secret = read.map_err(|e| what(format!("{} cannot be read: {e}", config.client_secret_file)))?;
    if secret.trim().is_empty() {
        return Err(what(format!("{} is empty", config.client_secret_file)).into());
    }
    Ok(Some(super::Secret::given(&secret)))
}

/// The parts of an address that may be asked or sent to: https, or this machine.
fn check_url(url: &str, with_query: bool) -> Result<Uri, &'static str> {
    let uri: Uri = url.parse().map_err(|_| "it is not a URL")?;
    let authority = uri.authority().ok_or("it has no host")?;
    if authority.as_str().contains('@') || url.contains('#') || (uri.query().is_some() && !with_query) {
        return Err("it takes no name, password, query or fragment");
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_loopback(&uri) => Ok(uri),
        _ => Err("it must begin with https://"),
    }
}

/// Whether an address is on this machine, where it may be without TLS.
fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|a| a.to_canonical().is_loopback())
}

/// Whether this can name somebody for ever.
fn is_subject(text: &str) -> bool {
    (1..=255).contains(&text.len()) && !text.chars().any(char::is_control) && text.trim() == text
}

/// Why somebody does not come in by a provider, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// A setting that cannot be.
    BadSetting { what: String },
    /// No provider is configured.
    Off,
    /// Where to go afterwards is no path of this server.
    BadReturn,
    /// The answer belongs to no sign-in that this browser has begun, to an old one, or to one that was used.
    NotBegun,
    /// The provider says no.
    ProviderRefused { error: String },
    /// It does not answer, or what cannot be used.
    ProviderUnreachable { name: String },
    /// More people wait for it than it is asked for at once.
    ProviderBusy,
    /// The code was used, or is none of the provider's.
    CodeRefused,
    /// The ID token is not believed.
    TokenRefused { why: &'static str },
    /// No verified address in a domain that may come in.
    EmailRefused,
    /// Nobody is linked to it.
    UnknownIdentity { issuer: String, subject: String },
    /// Who is linked has not joined, or is disabled.
    NotActive,
    /// Joining by the provider takes its second factor.
    SecondFactorMissing,
    /// A subject that cannot be.
    BadSubject,
    /// The identity or the person is linked already.
    AlreadyLinked,
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::BadSetting { .. } => "bad_oidc_setting",
            Refusal::Off => "oidc_off",
            Refusal::BadReturn => "bad_return_to",
            Refusal::NotBegun => "sign_in_not_begun",
            Refusal::ProviderRefused { .. } => "provider_refused",
            Refusal::ProviderUnreachable { .. } => "provider_unreachable",
            Refusal::ProviderBusy => "provider_busy",
            Refusal::CodeRefused => "provider_code_refused",
            Refusal::TokenRefused { .. } => "id_token_refused",
            Refusal::EmailRefused => "email_refused",
            Refusal::UnknownIdentity { .. } => "unknown_identity",
            Refusal::NotActive => "person_not_active",
            Refusal::SecondFactorMissing => "second_factor_missing",
            Refusal::BadSubject => "bad_subject",
            Refusal::AlreadyLinked => "already_linked",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::BadSetting { what } => f.write_str(what),
            Refusal::Off => f.write_str("nobody signs in by a provider here: [oidc] of the configuration names none; POST /v1/sign-in takes a password"),
            Refusal::BadReturn => f.write_str("return_to is a path of this server, such as /docs"),
            Refusal::NotBegun => f.write_str("this browser has begun no sign-in that this belongs to, or more than ten minutes ago, or it was used already; begin again at /v1/sign-in/oidc"),
            Refusal::ProviderRefused { error } => write!(f, "the provider did not sign you in ({error}); begin again at /v1/sign-in/oidc"),
            Refusal::ProviderUnreachable { name } => write!(f, "{name} does not answer, or not as a provider does; try again in a moment, or sign in with a password (the log and `tributary doctor` say more)"),
            Refusal::ProviderBusy => f.write_str("many people are signing in at this moment; try again in a moment"),
            Refusal::CodeRefused => f.write_str("the provider does not take the code that it has given: it was used, or is too old; begin again at /v1/sign-in/oidc"),
            Refusal::TokenRefused { why } => write!(f, "what the provider says of you is not believed: {why}"),
            Refusal::EmailRefused => f.write_str("the provider names no verified address of yours in a domain that may come in here"),
            Refusal::UnknownIdentity { issuer, subject } => write!(f, "the provider knows you, and nobody here is linked to that; an administrator links you (`tributary people link LOGIN SUBJECT`) to the subject {subject} of {issuer}, or gives you an invitation"),
            Refusal::NotActive => f.write_str("the person that this identity is linked to does not come in: not joined yet, or disabled; ask an administrator"),
            Refusal::SecondFactorMissing => f.write_str("the provider does not say that it has seen a second factor, without which nobody joins by it; join with `tributary people join`, and have an administrator link you"),
            Refusal::BadSubject => f.write_str("a subject is 1 to 255 bytes, as the provider writes it, with no blank around it"),
            Refusal::AlreadyLinked => f.write_str("this identity, or this person, is linked to another one of that provider; unlink it first"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut config::Oidc)) -> config::Oidc {
        let mut oidc = config::load(None).unwrap().oidc;
        oidc.issuer = "https://login.example.com/staff".to_owned();
        oidc.client_id = "tributary".to_owned();
        oidc.redirect_url = format!("https://treasury.example.com{CALLBACK}");
        change(&mut oidc);
        oidc
    }

    #[test]
    fn a_configuration_without_an_issuer_is_off_and_a_whole_one_is_on() {
        assert!(Settings::of(&config(|c| c.issuer.clear())).unwrap().is_none());
        let settings = Settings::of(&config(|c| c.scopes = vec!["email".to_owned(), "openid".to_owned()]));
        assert_eq!(settings.unwrap().unwrap().scope, "openid email");
    }

    #[test]
    fn a_setting_that_would_weaken_or_break_it_is_refused_by_name() {
        type Change = fn(&mut config::Oidc);
        let wrong: [(Change, &str); 9] = [
            (|c| c.issuer = "http://login.example.com".to_owned(), "issuer"),
            (|c| c.issuer = "https://a:b@login.example.com".to_owned(), "issuer"),
            (|c| c.redirect_url = "https://treasury.example.com/elsewhere".to_owned(), "redirect_url"),
            (|c| c.redirect_url = format!("http://treasury.example.com{CALLBACK}"), "redirect_url"),
            (|c| c.client_id.clear(), "client_id"),
            (|c| c.second_factor = SecondFactor::Provider, "second_factor"),
            (|c| c.scopes = vec!["two words".to_owned()], "scopes"),
            (|c| c.timeout_seconds = 0, "timeout_seconds"),
            (|c| c.client_secret_file = "there/is/none".to_owned(), "client_secret_file"),
        ];
        for (change, name) in wrong {
            let no = Settings::of(&config(change)).err().expect(name);
            assert!(no.code() == "bad_oidc_setting" && no.to_string().contains(name), "{name}: {no}");
        }
    }
}
