//! `tributary serve`: the HTTP server and its rounds (folders, alarms, what has had its time), until a signal stops it.

use super::profile::ProfileArgs;
use super::rounds::{Rounds, Treasury};
use super::{Context, folder, print_json};
use crate::access::{self, Secret, oidc};
use crate::actor::{Actor, Scope};
use crate::app;
use crate::config;
use crate::db::{Db, Url, Who};
use crate::error::{Error, Result};
use crate::http;
use crate::time::{Instant, rfc3339};
use crate::webhooks;
use serde_json::json;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// From one look at folders and clocks to the next.
const ROUND: Duration = Duration::from_secs(5);

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
    let declared = folder::declared(context, &[])?;
    let url = context.url()?;
    let listener = TcpListener::bind(&listen).map_err(|e| Error::Refused {
        code: "cannot_listen",
        message: format!("cannot listen on {listen}: {e}; --listen takes another address, such as 127.0.0.1:8081"),
    })?;
    // Before anybody hears that it serves: the tables are brought up to date here.
    let db = Arc::new(context.open_to_write(&url)?);
    let first = first_administrator(&db)?;
    let profiles = ProfileArgs::default().read(context)?;
    let settings = http::Settings { server: config.server, access, profiles, webhooks: config.webhooks, signals: true };
    let running = http::start_with(Arc::clone(&db), app::operations(), settings, provider, listener)?;
    // Sends events until the server has stopped.
    let _webhooks = webhooks::start(Arc::clone(&db), sending)?;
    let at = format!("http://{}", running.address());
    say_it_serves(context, &url, &at, first.as_ref())?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (over, is_over) = channel::<()>();
        scope.spawn({
            let (db, stop) = (&db, &stop);
            move || {
                let who = serve();
                let mut rounds = Rounds::new(Treasury::Served(db), &who, declared, stop);
                loop {
                    rounds.make();
                    if is_over.recv_timeout(ROUND) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            }
        });
        let ended = running.wait();
        stop.store(true, Ordering::Relaxed);
        drop(over);
        ended
    })
}

/// In whose name a server does what nobody has asked it for.
fn serve() -> Arc<Who> {
    Arc::new(Who { actor: Actor::system("serve"), scope: Scope::everything() })
}

/// Where nobody can sign in yet, the invitation of the first administrator: shown once, counting once, replacing the one before.
fn first_administrator(db: &Db) -> Result<Option<(Secret, Instant)>> {
    if db.read(access::anybody)? {
        return Ok(None);
    }
    let secret = access::invitation()?;
    let invited = db.write("person.first", &serve(), {
        let secret = secret.clone();
        move |tx| access::first(tx, &secret)
    });
    match invited {
        Ok(until) => Ok(Some((secret, until))),
        // Somebody has joined at another server in this very moment.
        Err(e) if e.is_answer() => Ok(None),
        Err(e) => Err(e),
    }
}

fn say_it_serves(context: &Context, url: &Url, at: &str, first: Option<&(Secret, Instant)>) -> Result<()> {
    if context.json {
        let first = first.map(|(s, until)| json!({ "invitation": s.reveal(), "expires_at": rfc3339(*until) }));
        return print_json(&json!({ "listening": at, "first_administrator": first }));
    }
    say!("Tributary serves {url} at {at}; the API is described at {at}/docs. Ctrl-C stops it.");
    if let Some((secret, until)) = first {
        say!(
            "\nNobody can sign in yet. The first administrator joins with an invitation, which is shown only now and counts once:"
        );
        say!("\n    {}\n", secret.reveal());
        say!("`tributary people join --server {at}` asks for it, until {}.", rfc3339(*until));
    }
    Ok(())
}
