//! Whether this server lives, and whether it can work: what a supervisor and a load balancer ask.

use super::call::Call;
use super::json::Nothing;
use super::operation::{Operation, get};
use crate::db;
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

/// It answers, so it lives.
#[derive(Debug, Serialize, JsonSchema)]
struct Live {
    /// `live`
    state: &'static str,
    /// Of this program.
    version: &'static str,
}

/// It can work.
#[derive(Debug, Serialize, JsonSchema)]
struct Ready {
    /// `ready`
    state: &'static str,
    /// The newest seal.
    seal: i64,
}

/// The rows of health, and of the feed.
pub fn operations() -> Vec<Operation> {
    let mut rows = vec![
        get("/livez", "livez", "Whether the process answers").reads(live),
        get("/readyz", "readyz", "Whether the database is reached and commands are taken").reads(ready),
    ];
    rows.extend(super::live::operations());
    rows
}

fn live(_: &Call, _: &Nothing) -> Result<Live> {
    Ok(Live { state: "live", version: env!("CARGO_PKG_VERSION") })
}

fn ready(call: &Call, _: &Nothing) -> Result<Ready> {
    if !call.db().takes_writes() {
        return Err(Error::Busy("this server takes no commands: its writer has stopped".to_owned()));
    }
    // The tables were brought up to date when the database was opened; a head that can be read says that they are there.
    let unreachable = |_| Error::Busy("the database cannot be reached".to_owned());
    let head = call.read(db::head).map_err(unreachable)?;
    Ok(Ready { state: "ready", seal: head.seal })
}
