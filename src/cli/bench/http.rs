//! `tributary bench http`: single transfers over HTTP by many clients at once, each durable when it is answered, all out of one
//! leaf of one master, against the real server with everything on.
//!
//! The server is this process; the clients are a process of their own, a loop over sockets that does as little as can be, so that
//! what they cost can be told apart. Both share the machine, as the figures of the issue have it. When the time is over every
//! transfer that was acknowledged must be in the journal, none besides, and the proof over everything must hold.

use super::{decimal, percentile, refuse_real_treasury, resident_mib};
use crate::access::{self, Cost, Holder, NewKey, NewPerson, Secret};
use crate::app::{self, TreasuryFile};
use crate::banking::Profiles;
use crate::cli::{Context, print_json};
use crate::config;
use crate::db::{Db, head};
use crate::error::{Error, Result};
use crate::http;
use crate::ids::Ids;
use crate::scope::Part;
use crate::time::{Clock, SystemClock, day_of};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

mod clients;

/// How the API is measured.
#[derive(Debug, clap::Args)]
pub struct HttpArgs {
    /// Clients at once, each waiting for its answer
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=2_000))]
    clients: u16,
    /// How long it is measured, after a second that does not count
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=3_600))]
    seconds: u16,
    /// API keys that the clients share
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    keys: u16,
    /// Leaves on the other side of the hot one
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    leaves: u32,
    /// Idempotency keys in random order, such as UUIDs of version 4, instead of by time, such as those of version 7
    #[arg(long)]
    random_keys: bool,
    /// Also send the same by the way of a request on which a thread waits, and print the ratio
    #[arg(long)]
    compare: bool,
    /// One second only, to see that it works
    #[arg(long)]
    smoke: bool,
    /// Be the clients of such a run: what to do comes on standard input
    #[arg(long, hide = true)]
    as_clients: bool,
}

/// What the clients are to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    address: SocketAddr,
    /// API keys, which must not stand on a command line.
    keys: Vec<String>,
    clients: u16,
    seconds: u16,
    from: String,
    to: Vec<String>,
    /// What sends a request by the ordinary way.
    query: String,
    /// What makes the idempotency keys of this run its own.
    run: String,
    random_keys: bool,
}

/// What the clients have seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Seen {
    /// Acknowledged in all.
    made: i64,
    /// Acknowledged while it was measured.
    measured: u64,
    /// Any other answers, and the first of them.
    others: u64,
    other: Option<String>,
    p50_us: u64,
    p99_us: u64,
    cpu_ms: Option<u64>,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &HttpArgs) -> Result<()> {
    if args.as_clients {
        return clients::run();
    }
    let url = context.url()?;
    let db = Arc::new(context.open_to_write(&url)?);
    refuse_real_treasury(&db, &url)?;
    let seconds = if args.smoke { 1 } else { args.seconds };
    let plan = Plan::declare(context, &db, args.leaves, args.keys)?;
    let hours = TimeDelta::hours;
    let access = access::Settings { cost: Cost::USUAL, shortest_password: 12, idle: hours(1), longest: hours(1) };
    let config::Config { mut server, webhooks, .. } = config::load(context.config.as_deref())?;
    // What a principal may ask protects a server in production; here one asks all the time.
    server.requests_per_second = 0;
    server.requests_at_once = server.requests_at_once.max(u32::from(args.clients) * 2);
    let settings = http::Settings { server, access, profiles: Profiles::default(), webhooks, signals: false };
    let broken = |e: std::io::Error| Error::Broken(format!("the benchmark's server cannot listen: {e}"));
    let listener = TcpListener::bind("127.0.0.1:0").map_err(broken)?;
    let running = http::start(Arc::clone(&db), app::operations(), settings, listener)?;
    let order = |query: &str| Order {
        address: running.address(),
        keys: plan.keys.iter().map(|key| key.reveal().to_owned()).collect(),
        clients: args.clients,
        seconds,
        from: plan.from.clone(),
        to: plan.to.clone(),
        query: query.to_owned(),
        run: Ids::random().next("b", SystemClock.now()),
        random_keys: args.random_keys,
    };
    let measured = measure(&db, &order(""))?;
    let ordinary = if args.compare { Some(measure(&db, &order("?dry_run=false"))?) } else { None };
    running.stop()?;
    prove(&db)?;
    let mut result = json!({
        "bench": "http",
        "database": url.engine(),
        "settings": { "clients": args.clients, "seconds": seconds, "keys": args.keys, "leaves": args.leaves, "random_keys": args.random_keys },
        "per_second": measured.per_second,
        "p50_ms": measured.p50_ms,
        "p99_ms": measured.p99_ms,
        "rss_mib": resident_mib(),
        "commits_per_second": measured.commits_per_second,
        "cpu_us_per_request": { "server": measured.server_us, "clients": measured.clients_us },
    });
    if let Some(ordinary) = &ordinary {
        let tenths = measured.per_second * 10 / ordinary.per_second.max(1);
        result["compare"] = json!({
            "waiting_thread_per_second": ordinary.per_second,
            "waiting_thread_p99_ms": ordinary.p99_ms,
            "ratio": decimal(&format!("{}.{}", tenths / 10, tenths % 10)),
        });
    }
    if context.json {
        return print_json(&result);
    }
    let Measured { per_second, p50_ms, p99_ms, .. } = measured;
    say!("{per_second} transfers per second over HTTP, durable, on {url} ({} clients, one hot leaf)", args.clients);
    say!("answered within {p50_ms} ms (p50), {p99_ms} ms (p99); {} MiB resident at most", result["rss_mib"]);
    if let Some(ordinary) = ordinary {
        say!("{} times what a thread for each request reaches: {}", result["compare"]["ratio"], ordinary.per_second);
    }
    Ok(())
}

struct Measured {
    per_second: u64,
    p50_ms: f64,
    p99_ms: f64,
    commits_per_second: u64,
    server_us: Option<u64>,
    clients_us: Option<u64>,
}

/// One run of the clients.
fn measure(db: &Db, order: &Order) -> Result<Measured> {
    let broken = |what: String| Error::Broken(format!("the benchmark's clients: {what}"));
    let before = db.read(head)?;
    let cpu = clients::cpu_ms();
    let program = std::env::current_exe().map_err(|e| broken(e.to_string()))?;
    let mut child = Command::new(program)
        .args(["bench", "http", "--as-clients"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| broken(e.to_string()))?;
    let text = serde_json::to_vec(order).map_err(|e| broken(e.to_string()))?;
    let mut stdin = child.stdin.take().ok_or_else(|| broken("no standard input".to_owned()))?;
    stdin.write_all(&text).map_err(|e| broken(e.to_string()))?;
    drop(stdin);
    let output = child.wait_with_output().map_err(|e| broken(e.to_string()))?;
    let seen: Seen = serde_json::from_slice(&output.stdout)
        .map_err(|e| broken(format!("{e}: {}", String::from_utf8_lossy(&output.stdout))))?;
    let after = db.read(head)?;
    if let Some(other) = seen.other {
        return Err(broken(format!("{} answers were others, such as {other}", seen.others)));
    }
    if after.entry - before.entry != seen.made {
        let there = after.entry - before.entry;
        return Err(broken(format!("{} transfers were acknowledged, and the journal has {there} more", seen.made)));
    }
    let all = u64::try_from(seen.made).unwrap_or(0).max(1);
    let per_request = |ms: u64| ms.saturating_mul(1_000) / all;
    let seconds = u64::from(order.seconds).max(1);
    Ok(Measured {
        per_second: seen.measured / seconds,
        p50_ms: percentile(&[Duration::from_micros(seen.p50_us)], 0),
        p99_ms: percentile(&[Duration::from_micros(seen.p99_us)], 0),
        commits_per_second: u64::try_from(after.seal - before.seal).unwrap_or(0) / (seconds + 1),
        server_us: clients::cpu_ms().zip(cpu).map(|(now, then)| per_request(now.saturating_sub(then))),
        clients_us: seen.cpu_ms.map(per_request),
    })
}

fn prove(db: &Db) -> Result<()> {
    match app::check(db, |_, _| {})?.first() {
        None => Ok(()),
        Some(wrong) => Err(Error::Broken(format!("{}: {}", wrong.invariant, wrong.what))),
    }
}

/// The treasury that is measured with, and who asks.
struct Plan {
    from: String,
    to: Vec<String>,
    keys: Vec<Secret>,
}

impl Plan {
    fn declare(context: &Context, db: &Db, leaves: u32, keys: u16) -> Result<Plan> {
        let now = SystemClock.now();
        let run: String = Ids::random().next("b", now).chars().skip(2).collect();
        let master = format!("bench-{run}");
        let serial: u64 = run.bytes().fold(0, |n, b| (n * 31 + u64::from(b)) % 1_000_000_000);
        let mut toml = format!(
            "[[entity]]\ncode = \"bench\"\nname = \"Benchmark\"\ncountry = \"DE\"\n\
             [[bank]]\ncode = \"bench\"\nname = \"Benchmark\"\ncountry = \"DE\"\n\
             [[market]]\ncode = \"DE\"\nname = \"Germany\"\n\
             [[master]]\ncode = \"{master}\"\nname = \"Hot\"\nbank = \"bench\"\nentity = \"bench\"\ncurrency = \"EUR\"\n\
             account = \"BENCH{serial:09}\"\ntime_zone = \"UTC\"\ncut_over_on = \"{}\"\nopening = \"{OPENING}\"\n\
             opening_shares = [{{ leaf = \"{master}/house/pool\", amount = \"{OPENING}\" }}]\n\
             numbers = {{ scheme = \"digits\", prefix = \"8{serial:09}\" }}\n",
            day_of(now)
        );
        for n in 0..leaves {
            toml.push_str(&format!(
                "[[product]]\ncode = \"bench-p{n}\"\nname = \"Product {n}\"\n\
                 [[sub_account]]\nmaster = \"{master}\"\nproduct = \"bench-p{n}\"\nmarket = \"DE\"\n"
            ));
        }
        app::apply(db, &context.who, TreasuryFile::parse(&toml)?)?;
        let owner = owner(context, db, &run)?;
        let keys = (0..keys).map(|n| key(context, db, (&owner, &master), n)).collect::<Result<_>>()?;
        let to = (0..leaves).map(|n| format!("{master}/bench-p{n}/de/operating")).collect();
        Ok(Plan { from: format!("{master}/house/pool"), to, keys })
    }
}

/// In the pool, so that no run uses it up.
const OPENING: &str = "10000000000.00";

/// Whose the keys are.
fn owner(context: &Context, db: &Db, run: &str) -> Result<String> {
    let invitation = access::invitation()?;
    let new = NewPerson { login: format!("bench-{run}"), name: "Bench".to_owned() };
    let secret = invitation.clone();
    let id = db.write("bench.person", &context.who, move |tx| Ok(access::add(tx, &new, &secret)?.0))?;
    let totp = access::new_totp_secret()?;
    let code = access::totp::code_at(&totp, SystemClock.now());
    let joining = access::Joining { invitation, person: None, password: access::invitation()?, totp, code };
    let hours = TimeDelta::hours;
    let settings = access::Settings { cost: Cost::USUAL, shortest_password: 12, idle: hours(1), longest: hours(1) };
    access::join(db, &settings, &joining)?;
    Ok(id)
}

/// A key of a machine that moves money in this master.
fn key(context: &Context, db: &Db, (owner, master): (&str, &str), n: u16) -> Result<Secret> {
    let (id, secret) = NewKey::secret(db)?;
    let (given, owner, scope) = (secret.clone(), owner.to_owned(), format!("master:{master}"));
    let part: Part = scope.parse().map_err(Error::Broken)?;
    let name = format!("bench-{n}-{}", SystemClock.now().timestamp_micros());
    db.write("bench.key", &context.who, move |tx| {
        let new = NewKey { name: name.clone(), owner: owner.clone(), days: 1, roles: Vec::new(), id: id.clone() };
        access::create_key(tx, &new, &given)?;
        access::grant(tx, Holder::Key(&id), "ledger-client", &part)
    })?;
    Ok(secret)
}
