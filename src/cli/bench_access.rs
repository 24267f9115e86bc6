//! `tributary bench access`: what each request pays for the question whose secret it brings and what that one may do.

use super::{Context, print_json};
use crate::access::{self, Cost, Holder, Joining, NewKey, NewPerson, Permission, Secret, Settings, SignIn};
use crate::db::Db;
use crate::error::Result;
use crate::scope::Part;
use crate::time::{Clock, SystemClock};
use chrono::TimeDelta;
use serde_json::json;
use std::time::{Duration, Instant};

/// How access is measured.
#[derive(Debug, clap::Args)]
pub struct AccessArgs {
    /// Requests with a session, and as many with a key
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    /// A few hundred only, to see that it works
    #[arg(long)]
    smoke: bool,
}

/// What a question took, in microseconds.
fn micros(times: &mut [Duration]) -> serde_json::Value {
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).map_or(0, Duration::as_micros);
    json!({ "p50_us": at(50), "p99_us": at(99) })
}

/// Runs it.
pub(super) fn run(context: &Context, args: &AccessArgs, db: &Db) -> Result<()> {
    let requests = if args.smoke { args.requests.min(500) } else { args.requests };
    let hours = TimeDelta::hours;
    let settings = Settings { cost: Cost::USUAL, shortest_password: 12, idle: hours(1), longest: hours(1) };
    let begin = Instant::now();
    let (session, person) = somebody(context, db, &settings)?;
    let joined_and_signed_in = begin.elapsed();
    let key = their_key(context, db, &person)?;
    let mut result = json!({ "bench": "access", "database": db.url().engine(), "settings": { "requests": requests } });
    for (name, secret) in [("session", &session), ("key", &key)] {
        let mut times = Vec::with_capacity(requests);
        // Within one snapshot, as a request has it: the question is part of what the request reads.
        db.read(|conn| {
            for _ in 0..requests {
                let asked = Instant::now();
                access::admit(conn, secret, SystemClock.now())?.who(Permission::PositionsRead)?;
                times.push(asked.elapsed());
            }
            Ok(())
        })?;
        result[name] = micros(&mut times);
    }
    result["password_ms"] = json!((joined_and_signed_in / 2).as_millis());
    if context.json {
        return print_json(&result);
    }
    for name in ["session", "key"] {
        say!("a {name} is admitted within {} us (p50), {} us (p99)", result[name]["p50_us"], result[name]["p99_us"]);
    }
    say!("setting or checking a password takes {} ms, on purpose", result["password_ms"]);
    Ok(())
}

/// Somebody with three roles, signed in.
pub(super) fn somebody(context: &Context, db: &Db, settings: &Settings) -> Result<(Secret, String)> {
    let invitation = access::invitation()?;
    let login = format!("bench-{}", SystemClock.now().timestamp_micros());
    let new = NewPerson { login: login.clone(), name: "Bench".to_owned() };
    let secret = invitation.clone();
    db.write("bench.person", &context.who, move |tx| {
        let (id, _) = access::add(tx, &new, &secret)?;
        for role in ["auditor", "reconciler", "product-viewer"] {
            access::grant(tx, Holder::Person(&id), role, &Part::default())?;
        }
        Ok(())
    })?;
    let (password, totp) = (access::invitation()?, access::new_totp_secret()?);
    let code = access::totp::code_at(&totp, SystemClock.now());
    let joining = Joining { invitation, person: None, password: password.clone(), totp, code };
    let joined = access::join(db, settings, &joining)?;
    // The code by which they joined counts no longer.
    let code = joined.recovery_codes.first().cloned().unwrap_or(password.clone());
    let asked = SignIn { login, password, code, place: "bench".to_owned(), device: "bench".to_owned() };
    let opened = access::sign_in(db, settings, &asked)?;
    Ok((opened.secret, opened.person))
}

fn their_key(context: &Context, db: &Db, owner: &str) -> Result<Secret> {
    let (id, secret) = NewKey::secret(db)?;
    let roles = vec![("product-client".to_owned(), Part::default())];
    let name = format!("bench-{}", SystemClock.now().timestamp_micros());
    let new = NewKey { name, owner: owner.to_owned(), days: 1, roles, id };
    let given = secret.clone();
    db.write("bench.key", &context.who, move |tx| access::create_key(tx, &new, &given))?;
    Ok(secret)
}
