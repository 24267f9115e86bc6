//! Settings: built-in defaults, a file, the environment; the later wins. `config/default.toml` lists and explains all.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The database.
    pub database: Database,
    /// How bank files are read.
    pub statements: Statements,
    /// Folders that files are dropped into, by name.
    #[serde(default)]
    pub folder: BTreeMap<String, Folder>,
    /// How people prove who they are.
    pub access: Access,
    /// People sign in by a provider.
    pub oidc: Oidc,
    /// The HTTP server.
    pub server: Server,
    /// Sending events to other systems.
    pub webhooks: Webhooks,
    /// What a server says of itself.
    pub log: Log,
    /// Traces for OpenTelemetry.
    pub traces: Traces,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite://...` or `postgres://...`.
    pub url: String,
}

/// `[statements]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statements {
    /// The folder of profiles for CSV files and banks' own types; empty: none.
    pub profiles: String,
}

/// `[folder.NAME]`: a folder that a bank or its gateway drops files into.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// Where the files come.
    pub incoming: PathBuf,
    /// Where files go that were taken in.
    pub archive: PathBuf,
    /// Where files go that were refused, each with a report.
    pub refused: PathBuf,
    /// What the files are.
    #[serde(default)]
    pub kind: FolderKind,
    /// Patterns of names, with `*` and `?`.
    #[serde(default = "any_name")]
    pub names: Vec<String>,
    /// What says that a file is complete.
    #[serde(default)]
    pub ready: Ready,
    /// How long a file must not have changed, where being still says that it is complete.
    #[serde(default = "still_seconds")]
    pub still_seconds: u32,
    /// Whether a checksum file comes beside each file.
    #[serde(default)]
    pub checksum: Demand,
    /// Whether a detached signature comes beside each file.
    #[serde(default)]
    pub signature: Demand,
    /// The public keys that may sign, by name.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// The folder of profiles for its CSV files, in place of the general one.
    pub profiles: Option<PathBuf>,
    /// Whose rates they are, in a folder of rates.
    pub source: Option<String>,
}

/// What the files of a folder are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderKind {
    /// Bank statements.
    #[default]
    Statements,
    /// Settlement files of app stores and marketplaces.
    Settlements,
    /// Expected receipts.
    Expectations,
    /// Rates between currencies.
    Rates,
}

/// What says that a file is complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// It has not changed for some time.
    #[default]
    Still,
    /// A file of its name and `.done` lies beside it.
    Marker,
}

/// Whether something is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// It is not looked at.
    Never,
    /// It must be right where it is there.
    #[default]
    IfThere,
    /// Without it a file waits.
    Required,
}

fn any_name() -> Vec<String> {
    vec!["*".to_owned()]
}

fn still_seconds() -> u32 {
    10
}

/// `[access]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Memory of argon2id, in KiB.
    pub argon2_memory_kib: u32,
    /// Passes of argon2id.
    pub argon2_passes: u32,
    /// Lanes of argon2id.
    pub argon2_lanes: u32,
    /// Characters of the shortest password.
    pub shortest_password: i64,
    /// A session that is not used for so long ends.
    pub session_idle_minutes: i64,
    /// A session ends after so long.
    pub session_minutes: i64,
}

/// `[oidc]`: people sign in by a provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// The provider, as it names itself; empty: nobody signs in by one.
    pub issuer: String,
    /// What people call it.
    pub name: String,
    /// What the provider calls this treasury.
    pub client_id: String,
    /// The file with the secret that the provider has given; empty: the environment's, or none.
    pub client_secret_file: String,
    /// Where the provider sends people back to.
    pub redirect_url: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The claim that names a person for ever.
    pub subject_claim: String,
    /// Only verified addresses of these domains; empty: whoever is linked.
    pub email_domains: Vec<String>,
    /// Who asks for the second factor.
    pub second_factor: SecondFactor,
    /// Values of `acr`, one of which says that there was a second factor; asked for.
    pub acr_values: Vec<String>,
    /// Values of `amr`, one of which says so.
    pub amr_values: Vec<String>,
    /// The provider answers within so long.
    pub timeout_seconds: u32,
}

/// Who asks for the second factor of somebody who signs in by a provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactor {
    /// Tributary: a code, as with a password.
    #[default]
    Totp,
    /// The provider, where it says so; else Tributary.
    Provider,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// From which level on.
    pub level: LogLevel,
    /// How it is written.
    pub format: LogFormat,
}

/// Levels of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object a line.
    Json,
}

/// `[traces]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// The collector; empty: none.
    pub endpoint: String,
    /// What this server is called there.
    pub service: String,
    /// How many of a hundred traces that begin here are kept.
    pub sample_percent: u8,
}

/// `[webhooks]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Whether an endpoint on this machine may be without TLS.
    pub allow_http_loopback: bool,
    /// Networks that are not of the internet and that endpoints may be in.
    pub allow_networks: Vec<String>,
    /// A receiver answers within so long.
    pub timeout_seconds: u32,
    /// How long the log of deliveries is kept.
    pub keep_deliveries_days: u32,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port.
    pub listen: String,
    /// Proxies of one's own, whose word on where a request comes from counts.
    pub trusted_proxies: Vec<IpAddr>,
    /// Threads that talk to connections; 0: one for each core.
    pub workers: u32,
    /// Connections of each of them at most.
    pub connections: u32,
    /// Requests under way at most; more are told to come again.
    pub requests_at_once: u32,
    /// Requests of one principal a second; 0: no limit.
    pub requests_per_second: u32,
    /// How many of them at once.
    pub burst: u32,
    /// Wrong secrets of one address at once; 0: no limit.
    pub guesses: u32,
    /// The largest body, in KiB.
    pub body_kib: u64,
    /// The largest file, in MiB.
    pub upload_mib: u64,
    /// The head of a request must have come within so long.
    pub head_seconds: u32,
    /// Its body too, or a file's next part.
    pub body_seconds: u32,
    /// A client that takes nothing of its answer for so long is cut off.
    pub answer_seconds: u32,
    /// A connection on which nothing is asked is kept for so long.
    pub keep_alive_seconds: u32,
    /// How long a stop waits for what runs.
    pub stop_seconds: u32,
}

/// Reads the settings. Without `file`, `tributary.toml` in the current folder is used when it is there.
pub fn load(file: Option<&Path>) -> Result<Config> {
    let defaults = config::File::from_str(include_str!("../config/default.toml"), config::FileFormat::Toml);
    let chosen = match file {
        Some(path) => config::File::from(path).format(config::FileFormat::Toml).required(true),
        None => config::File::from(Path::new("tributary.toml")).format(config::FileFormat::Toml).required(false),
    };
    let mut built = config::Config::builder().add_source(defaults).add_source(chosen);
    if let Ok(url) = std::env::var("TRIBUTARY_DATABASE_URL") {
        built = built.set_override("database.url", url).map_err(refused)?;
    }
    let read = built.build().and_then(config::Config::try_deserialize);
    read.map_err(refused)
}

fn refused(e: config::ConfigError) -> Error {
    Error::Refused { code: "configuration", message: format!("the configuration cannot be used: {e}") }
}
