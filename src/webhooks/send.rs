//! One message to one endpoint: over TLS, to an address that was looked up once and checked, without redirects, with bounds on
//! time and on what is read of the answer.
//!
//! The connection goes to the very address that was checked: were the name looked up again, whoever answers for it could name
//! a private address the second time.

use super::address::{Allowed, check_address, check_url};
use super::sign::signatures;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, http::Uri};

/// An address is looked up again after so long; until then the connection may be used again.
const ADDRESSES_HOLD: Duration = Duration::from_secs(60);
/// What is read of an answer: its status says all, the rest only lets the connection be used again.
const ANSWER_BYTES: u64 = 16 * 1024;
/// The names of an answer's headers and what they say.
const HEADER_BYTES: usize = 16 * 1024;
/// Characters of an error that are kept.
const ERROR_CHARS: usize = 200;

/// A message, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The same however often it is sent.
    pub(super) id: String,
    /// JSON.
    pub(super) body: String,
}

/// What came of sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The answer's status; none when there was no answer.
    pub status: Option<u16>,
    /// How long it took.
    pub milliseconds: i64,
    /// Why it was not taken; none: it was.
    pub error: Option<String>,
}

/// Sends messages.
pub(super) struct Client {
    allowed: Allowed,
    timeout: Duration,
    tls: TlsConfig,
    /// By address of the endpoint: what talks to it, and since when.
    agents: Mutex<HashMap<String, (Agent, Instant)>>,
}

impl Client {
    pub(super) fn new(allowed: Allowed, timeout: Duration) -> Client {
        Client { allowed, timeout, tls: crate::tls::of_the_system(), agents: Mutex::default() }
    }

    /// Sends a message signed by each of the secrets.
    pub(super) fn send(&self, url: &str, secrets: &[Vec<u8>], message: &Message, timestamp: i64) -> Sent {
        let begun = Instant::now();
        let answered = self.try_send(url, secrets, message, timestamp);
        let milliseconds = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        let (status, error) = match answered {
            Ok(status) if (200..300).contains(&status) => (Some(status), None),
            Ok(status) if (300..400).contains(&status) => {
                (Some(status), Some("it answered with a redirect, which is not followed".to_owned()))
            }
            Ok(status) => (Some(status), Some(format!("it answered {status}"))),
            Err(why) => (None, Some(why.chars().take(ERROR_CHARS).collect())),
        };
        Sent { status, milliseconds, error }
    }

    fn try_send(&self, url: &str, secrets: &[Vec<u8>], message: &Message, timestamp: i64) -> Result<u16, String> {
        let uri = check_url(url)?;
        let agent = self.agent(url, &uri)?;
        let signature = signatures(secrets.iter().map(Vec::as_slice), &message.id, timestamp, &message.body);
        let request = agent
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", signature);
        let mut answer = request.send(&message.body).map_err(|e| {
            // The address may have moved: the next attempt looks it up again.
            self.forget(url);
            e.to_string()
        })?;
        let status = answer.status().as_u16();
        if answer.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec().is_err() {
            self.forget(url);
        }
        Ok(status)
    }

    fn agents(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Agent, Instant)>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, url: &str) {
        self.agents().remove(url);
    }

    fn agent(&self, url: &str, uri: &Uri) -> Result<Agent, String> {
        let kept = self.agents().get(url).filter(|(_, since)| since.elapsed() < ADDRESSES_HOLD).map(|(a, _)| a.clone());
        if let Some(agent) = kept {
            return Ok(agent);
        }
        let is_https = uri.scheme_str() == Some("https");
        let addresses = look_up(uri, is_https, self.timeout)?;
        for address in &addresses {
            check_address(address.ip(), is_https, &self.allowed)?;
        }
        let config = Config::builder()
            .https_only(is_https)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A proxy would look the name up itself.
            .proxy(None)
            .user_agent(concat!("Tributary/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(self.timeout))
            .max_response_header_size(HEADER_BYTES)
            .tls_config(self.tls.clone())
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), Pinned(addresses));
        let mut agents = self.agents();
        agents.retain(|_, (_, since)| since.elapsed() < ADDRESSES_HOLD);
        agents.insert(url.to_owned(), (agent.clone(), Instant::now()));
        Ok(agent)
    }
}

/// The addresses of a host. On a thread of its own, since the system's look-up knows no bound in time.
fn look_up(uri: &Uri, is_https: bool, longest: Duration) -> Result<Vec<SocketAddr>, String> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let (tell, told) = sync_channel(1);
    let name = host.clone();
    let asked = std::thread::Builder::new().name("look-up".to_owned()).spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // Nobody may wait any more.
        let _ = tell.send(found);
    });
    asked.map_err(|e| format!("its address cannot be looked up: {e}"))?;
    let found = told.recv_timeout(longest).map_err(|_| format!("the address of {host} was not found in time"))?;
    let mut found = found.map_err(|e| format!("the address of {host} cannot be found: {e}"))?;
    found.truncate(16);
    if found.is_empty() { Err(format!("{host} has no address")) } else { Ok(found) }
}

/// Answers with the addresses that were checked, whatever the name resolves to by now.
#[derive(Debug)]
struct Pinned(Vec<SocketAddr>);

impl Resolver for Pinned {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        self.0.iter().for_each(|address| addresses.push(*address));
        Ok(addresses)
    }
}

/// As the configuration has it.
pub(super) fn allowed(config: &crate::config::Webhooks) -> Result<Allowed> {
    let network = |text: &String| {
        text.parse().map_err(|why| -> Error {
            super::Refusal::BadSetting { what: format!("[webhooks] allow_networks: {why}") }.into()
        })
    };
    let networks = config.allow_networks.iter().map(network).collect::<Result<_>>()?;
    Ok(Allowed { http_loopback: config.allow_http_loopback, networks })
}
