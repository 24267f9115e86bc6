//! `tributary webhooks`: where events are sent, for the operator of the machine.

use super::table::table;
use super::{Context, print_json};
use crate::access;
use crate::actor::{Actor, Principal};
use crate::config;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::time::rfc3339;
use crate::webhooks::{self, Courier, Delivery, Endpoint, NewEndpoint, Settings};
use serde_json::{Value, json};
use std::sync::Arc;

/// What is to be done with webhooks.
#[derive(Debug, clap::Subcommand)]
pub enum Webhooks {
    /// List endpoints, with how far each one is
    List,
    /// Make an endpoint and print its secret, once
    Add {
        /// Where to: an https address of the internet
        url: String,
        /// Only kinds that begin so, such as statement or account.state; may be given several times
        #[arg(long, value_name = "PREFIX")]
        kind: Vec<String>,
        /// The login of the person whose it is: it sees what they see [default: the operator, who sees all]
        #[arg(long, value_name = "LOGIN")]
        owner: Option<String>,
    },
    /// Give an endpoint another secret and print it, once
    Rotate {
        /// Its id
        id: String,
        /// Hours for which the one before signs too
        #[arg(long, default_value_t = 24)]
        hours: i64,
    },
    /// Send a test now, and say what came of it
    Test {
        /// Its id
        id: String,
    },
    /// Send the events of a range again
    Replay {
        /// Its id
        id: String,
        /// The number of the first event
        first: i64,
        /// The number of the last one
        last: i64,
    },
    /// Turn an endpoint on: it goes on where it stood
    Enable {
        /// Its id
        id: String,
    },
    /// Turn an endpoint off
    Disable {
        /// Its id
        id: String,
    },
    /// Remove an endpoint, with its log
    Remove {
        /// Its id
        id: String,
    },
    /// The newest attempts, and what came of each
    Deliveries {
        /// Its id
        id: String,
        /// Only those that were not taken
        #[arg(long)]
        failed: bool,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        newest: u16,
    },
    /// Send what is due, and what is recorded from now on, until Ctrl-C; `tributary serve` does this too
    Deliver {
        /// Only what is due now
        #[arg(long)]
        once: bool,
    },
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &Webhooks) -> Result<()> {
    match command {
        Webhooks::List => list(context),
        Webhooks::Add { url, kind, owner } => add(context, url, kind, owner.as_deref()),
        Webhooks::Rotate { id, hours } => rotate(context, id, *hours),
        Webhooks::Test { id } => test(context, id),
        Webhooks::Replay { id, first, last } => {
            let (first, last) = (*first, *last);
            change(
                context,
                "webhook.replay",
                id,
                move |tx, id| webhooks::replay(tx, id, first, last),
                |()| {
                    format!(
                        "Events {first} to {last} are sent again, by `tributary serve` or `tributary webhooks deliver`."
                    )
                },
            )
        }
        Webhooks::Enable { id } => change(context, "webhook.enable", id, webhooks::enable, |changed| {
            (if changed { "It is on, and goes on where it stood." } else { "It was on." }).to_owned()
        }),
        Webhooks::Disable { id } => change(context, "webhook.disable", id, webhooks::disable, |changed| {
            (if changed { "It is off; nothing is lost for it." } else { "It was off." }).to_owned()
        }),
        Webhooks::Remove { id } => {
            change(context, "webhook.remove", id, webhooks::remove, |()| "It is removed, with its log.".to_owned())
        }
        Webhooks::Deliveries { id, failed, newest } => deliveries(context, id, *failed, usize::from(*newest)),
        Webhooks::Deliver { once } => deliver(context, *once),
    }
}

fn settings(context: &Context) -> Result<Settings> {
    Settings::of(&config::load(context.config.as_deref())?.webhooks)
}

/// Carries a command out and says what came of it.
fn change<A: Send + 'static>(
    context: &Context,
    name: &'static str,
    id: &str,
    command: impl Fn(&mut Tx<'_>, &str) -> Result<A> + Send + 'static,
    sentence: impl Fn(A) -> String,
) -> Result<()> {
    let (db, endpoint) = (context.open_treasury()?, id.to_owned());
    let answer = db.write(name, &context.who, move |tx| command(tx, &endpoint))?;
    let sentence = sentence(answer);
    if context.json {
        return print_json(&json!({ "webhook": id, "done": sentence }));
    }
    say!("{sentence}");
    Ok(())
}

fn add(context: &Context, url: &str, kinds: &[String], owner: Option<&str>) -> Result<()> {
    // A setting that cannot be is said before anything is made.
    settings(context)?.refuse(url)?;
    let db = context.open_treasury()?;
    let owner = match owner {
        None => context.who.actor.clone(),
        Some(login) => Actor::person(&db.read(|conn| access::person_by_login(conn, login))?.id),
    };
    let (id, secret) = webhooks::new_secret(&db)?;
    let new = NewEndpoint { id: id.clone(), url: url.to_owned(), kinds: kinds.to_vec(), owner };
    let given = secret.clone();
    db.write("webhook.add", &context.who, move |tx| webhooks::add(tx, &new, &given))?;
    print_secret(context, &id, &secret)
}

fn rotate(context: &Context, id: &str, hours: i64) -> Result<()> {
    let db = context.open_treasury()?;
    let (_, secret) = webhooks::new_secret(&db)?;
    let (endpoint, given) = (id.to_owned(), secret.clone());
    db.write("webhook.rotate", &context.who, move |tx| webhooks::rotate(tx, &endpoint, &given, hours))?;
    print_secret(context, id, &secret)
}

fn print_secret(context: &Context, id: &str, secret: &access::Secret) -> Result<()> {
    if context.json {
        return print_json(&json!({ "id": id, "secret": secret.reveal() }));
    }
    say!("Endpoint {id}. Its receiver verifies messages with this secret, which is shown only now:\n");
    say!("    {}", secret.reveal());
    Ok(())
}

fn test(context: &Context, id: &str) -> Result<()> {
    let (settings, db) = (settings(context)?, context.open_treasury()?);
    let sent = webhooks::test(&db, &context.who, &settings, id)?;
    if context.json {
        print_json(
            &json!({ "taken": sent.error.is_none(), "status": sent.status, "milliseconds": sent.milliseconds, "error": sent.error }),
        )?;
    }
    match &sent.error {
        None if context.json => Ok(()),
        None => {
            say!("It was taken ({}), after {} ms.", sent.status.unwrap_or_default(), sent.milliseconds);
            Ok(())
        }
        Some(why) => Err(Error::Refused { code: "not_taken", message: format!("the test was not taken: {why}") }),
    }
}

/// Who it is, for people: the login where it is a person's.
fn list(context: &Context) -> Result<()> {
    let (all, people) =
        context.open_to_read()?.read(|conn| Ok((webhooks::endpoints(conn, None)?, access::people(conn)?)))?;
    if context.json {
        return print_json(&all.iter().map(endpoint_json).collect::<Vec<_>>());
    }
    if all.is_empty() {
        say!("There is no endpoint: `tributary webhooks add` makes one.");
        return Ok(());
    }
    let login = |owner: &str| match Actor::from_stored(owner).principal() {
        Principal::Person(id) => {
            people.iter().find(|p| p.id == id).map_or_else(|| owner.to_owned(), |p| p.login.clone())
        }
        _ => owner.to_owned(),
    };
    let mut lines = table(&["id", "~to", "kinds", "owner", "state", ">sent up to", "~next"]);
    for e in &all {
        let kinds = if e.kinds.is_empty() { "all".to_owned() } else { e.kinds.join(" ") };
        let mut next: Vec<String> = Vec::new();
        next.extend(e.why_off.clone());
        next.extend(e.due_at.map(|due| format!("tried {} times, again at {}", e.failures, rfc3339(due))));
        next.extend(e.replays.iter().map(|(at, last)| format!("sends {} to {last} again", at + 1)));
        lines.add_row([&e.id, &e.url, &kinds, &login(&e.owner), &e.state, &e.at.to_string(), &next.join("; ")]);
    }
    say!("{lines}");
    Ok(())
}

fn endpoint_json(e: &Endpoint) -> Value {
    let replays: Vec<Value> = e.replays.iter().map(|(at, last)| json!({ "at": at, "last": last })).collect();
    json!({
        "id": e.id, "url": e.url, "kinds": e.kinds, "owner": e.owner, "state": e.state, "why_off": e.why_off, "sent_up_to": e.at,
        "failures": e.failures, "next_attempt_at": e.due_at.map(rfc3339), "replays": replays,
        "previous_secret_until": e.previous_until.map(rfc3339), "made_at": rfc3339(e.made_at),
    })
}

fn deliveries(context: &Context, id: &str, failed: bool, newest: usize) -> Result<()> {
    let db = context.open_to_read()?;
    let all = db.read(|conn| webhooks::deliveries(conn, None, id, (None, failed, newest)))?;
    if context.json {
        let json = |d: &Delivery| {
            json!({
                "message": d.message, "event": d.event, "attempt": d.attempt, "sent_at": rfc3339(d.sent_at), "status": d.status,
                "milliseconds": d.milliseconds, "bytes": d.bytes, "error": d.error,
            })
        };
        return print_json(&all.iter().map(json).collect::<Vec<_>>());
    }
    if all.is_empty() {
        say!("Nothing was sent to it{}.", if failed { " and not taken" } else { "" });
        return Ok(());
    }
    let mut lines = table(&["sent at", "message", ">attempt", ">status", ">ms", ">bytes", "~error"]);
    for d in &all {
        let status = d.status.map_or_else(|| "-".to_owned(), |s| s.to_string());
        let (ms, bytes) = (d.milliseconds.to_string(), d.bytes.to_string());
        let error = d.error.as_deref().unwrap_or("");
        lines.add_row([&rfc3339(d.sent_at), &d.message, &d.attempt.to_string(), &status, &ms, &bytes, error]);
    }
    say!("{lines}");
    Ok(())
}

fn deliver(context: &Context, once: bool) -> Result<()> {
    let (settings, db) = (settings(context)?, Arc::new(context.open_treasury()?));
    if once {
        let round = Courier::new(db, settings)?.round()?;
        if context.json {
            return print_json(&json!({ "sent": round.sent, "failed": round.failed }));
        }
        say!("{} messages were taken, {} were not.", round.sent, round.failed);
        return Ok(());
    }
    let (_, stopped) = super::folder_watch::on_signals()?;
    let running = webhooks::start(db, settings)?;
    if !context.json {
        eprintln!("tributary: sending events as they are recorded; Ctrl-C ends it");
    }
    // The end of the channel is the signal too.
    let _ = stopped.recv();
    drop(running);
    Ok(())
}
