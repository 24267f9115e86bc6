//! `tributary bench events`: how long an event takes from its commit to a reader of the stream, through a real server, while the
//! journal is being posted to.

use super::super::bench_access::somebody;
use super::{Context, Plan, open_accounts, percentile, print_json, refuse_real_treasury, resident_mib};
use crate::access::{self, Cost, Secret};
use crate::app;
use crate::banking::Profiles;
use crate::config;
use crate::db::{Db, Lane};
use crate::error::{Error, Result};
use crate::http;
use crate::ids::Ids;
use crate::ledger::POST;
use chrono::TimeDelta;
use serde_json::json;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// How the feed is measured.
#[derive(Debug, clap::Args)]
pub struct EventsArgs {
    /// Events, one commit each
    #[arg(long, default_value_t = 1_000)]
    events: usize,
    /// Readers of the stream at once, 8 at most
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=8))]
    readers: u8,
    /// Entries of each batch that is posted all the while; 0: nothing else happens
    #[arg(long, default_value_t = 100)]
    load: i64,
    /// Commit them at another server of the same database (PostgreSQL)
    #[arg(long)]
    elsewhere: bool,
    /// A few events only, to see that it works
    #[arg(long)]
    smoke: bool,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &EventsArgs) -> Result<()> {
    let url = context.url()?;
    let db = Arc::new(context.open_to_write(&url)?);
    refuse_real_treasury(&db, &url)?;
    let events = if args.smoke { args.events.min(50) } else { args.events };
    let hours = TimeDelta::hours;
    let access = access::Settings { cost: Cost::USUAL, shortest_password: 12, idle: hours(1), longest: hours(1) };
    let (session, _) = somebody(context, &db, &access)?;
    let config::Config { server, webhooks, .. } = config::load(context.config.as_deref())?;
    let settings = http::Settings { server, access, profiles: Profiles::default(), webhooks, signals: false };
    let broken = |e: std::io::Error| Error::Broken(format!("the benchmark's server cannot be reached: {e}"));
    let listener = TcpListener::bind("127.0.0.1:0").map_err(broken)?;
    let running = http::start(Arc::clone(&db), app::operations(), settings, listener)?;
    let (tell, told) = channel();
    for _ in 0..args.readers {
        let reader = follow(running.address(), &session).map_err(broken)?;
        let tell = tell.clone();
        std::thread::spawn(move || read(reader, &tell));
    }
    drop(tell);
    let elsewhere = args.elsewhere.then(|| context.open_to_write(&url)).transpose()?;
    let committed = commit(context, elsewhere.as_ref().unwrap_or(&db), events, args.load)?;
    let mut times = Vec::with_capacity(events * usize::from(args.readers));
    while times.len() < events * usize::from(args.readers) {
        let (event, at) = told
            .recv_timeout(Duration::from_secs(10))
            .map_err(|_| Error::Broken("events did not come within ten seconds".to_owned()))?;
        times.extend(committed.get(&event).map(|commit: &Instant| at.saturating_duration_since(*commit)));
    }
    running.stop()?;
    times.sort_unstable();
    let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
    if context.json {
        return print_json(&json!({
            "bench": "events", "database": url.engine(),
            "settings": { "events": events, "readers": args.readers, "load": args.load, "elsewhere": args.elsewhere },
            "p50_ms": p50, "p99_ms": p99, "rss_mib": resident_mib(),
        }));
    }
    say!("an event is with each of {} readers {p50} ms (p50), {p99} ms (p99) after its commit, on {url}", args.readers);
    Ok(())
}

/// Commits events one after the other; when each of them was done.
fn commit(context: &Context, db: &Db, events: usize, load: i64) -> Result<HashMap<usize, Instant>> {
    let stop = AtomicBool::new(false);
    let (master, leaves) = open_accounts(db, &context.who, 100)?;
    let plan = Plan { master, leaves, ids: Ids::random(), random_keys: false };
    std::thread::scope(|scope| {
        if load > 0 {
            scope.spawn(|| {
                let mut first = 0;
                while !stop.load(Ordering::Relaxed) {
                    // What goes wrong here shows in the figures of the events too.
                    drop(db.write_batch(Lane::Interactive, &POST, &context.who, plan.entries(first, load)));
                    first += load;
                }
            });
        }
        let done = (0..events).map(|event| {
            let subject = event.to_string();
            db.write("bench.event", &context.who, move |tx| Ok(tx.event("bench.event", &subject, None, None)))?;
            Ok((event, Instant::now()))
        });
        let done = done.collect();
        stop.store(true, Ordering::Relaxed);
        done
    })
}

/// Opens a stream, which has begun when this comes back.
fn follow(address: SocketAddr, session: &Secret) -> std::io::Result<BufReader<TcpStream>> {
    let mut socket = TcpStream::connect(address)?;
    let head = "GET /v1/events?kind=bench. HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream";
    write!(socket, "{head}\r\nAuthorization: Bearer {}\r\n\r\n", session.reveal())?;
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    while !line.starts_with("retry:") {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::Error::other("the stream ended before it began"));
        }
    }
    Ok(reader)
}

/// Tells of each event when it is there.
fn read(mut reader: BufReader<TcpStream>, tell: &Sender<(usize, Instant)>) {
    let mut line = String::new();
    loop {
        line.clear();
        if !reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            return;
        }
        let at = Instant::now();
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let Ok(event) = serde_json::from_str::<serde_json::Value>(data) else { continue };
        let number = event["subject"].as_str().and_then(|s| s.parse().ok());
        if number.is_some_and(|number| tell.send((number, at)).is_err()) {
            return;
        }
    }
}
