//! Settings: built-in defaults, a file, the environment; the later wins. `config/default.toml` lists and explains all.

use crate::error::{Error, Result};
use serde::Deserialize;
use std::path::Path;

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The database.
    pub database: Database,
    /// How bank files are read.
    pub statements: Statements,
    /// How people prove who they are.
    pub access: Access,
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
