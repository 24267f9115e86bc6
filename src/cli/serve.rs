//! `tributary serve`: the HTTP server, until a signal stops it.

use super::profile::ProfileArgs;
use super::{Context, print_json};
use crate::access::{self, oidc};
use crate::actor::{Actor, Scope};
use crate::allocation::intake;
use crate::app;
use crate::config;
use crate::db::{Db, Who};
use crate::error::{Error, Result};
use crate::http;
use crate::webhooks;
use serde_json::json;
use std::net::TcpListener;
use std::sync::Arc;

/// Where to listen.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Address and port; port 0 takes any that is free [default: the configuration's, 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

/// Serves.
pub fn run(context: &Context, args: &Serve) -> Result<()> {
    let config = config::load(context.config.as_deref())?;
    let access = access::Settings::of(&config.access)?;
    let listen = args.listen.clone().unwrap_or_else(|| config.server.listen.clone());
    let provider = oidc::Settings::of(&config.oidc)?.map(oidc::Provider::new);
    let sending = webhooks::Settings::of(&config.webhooks)?;
    let url = context.url()?;
    let listener = TcpListener::bind(&listen).map_err(|e| Error::Refused {
        code: "cannot_listen",
        message: format!("cannot listen on {listen}: {e}; --listen takes another address, such as 127.0.0.1:8081"),
    })?;
    // Before anybody hears that it serves: the tables are brought up to date here.
    let db = Arc::new(context.open_to_write(&url)?);
    go_on(&db);
    let profiles = ProfileArgs::default().read(context)?;
    let settings = http::Settings { server: config.server, access, profiles, webhooks: config.webhooks, signals: true };
    let running = http::start_with(Arc::clone(&db), app::operations(), settings, provider, listener)?;
    // Sends events until the server has stopped.
    let _webhooks = webhooks::start(Arc::clone(&db), sending)?;
    let at = format!("http://{}", running.address());
    if context.json {
        print_json(&json!({ "listening": at }))?;
    } else {
        say!("Tributary serves {url} at {at}; the API is described at {at}/docs. Ctrl-C stops it.");
    }
    running.wait()
}

/// Files whose posting a crash has interrupted go on, beside all else.
fn go_on(db: &Arc<Db>) {
    let db = Arc::clone(db);
    std::thread::spawn(move || {
        let who = Arc::new(Who { actor: Actor::system("serve"), scope: Scope::everything() });
        if let Err(e) = intake::resume(&db, &who, &mut |_, _| {}) {
            tracing::warn!(%e, "interrupted imports cannot go on");
        }
    });
}
