//! `tributary bench`: figures that anyone can repeat, on the database that is given.

use super::{Context, print_json};
use crate::db::{Db, Lane, Url, Who, textbook};
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::ledger::{self, AccountId, AccountKind, Basis, Cause, NewAccount, NewEntry, NewPosting, POST};
use crate::time::{Clock, SystemClock, day_of};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

mod events;
mod http;
mod ingest;

/// What is to be measured.
#[derive(Debug, clap::Subcommand)]
pub enum Bench {
    /// Posting to the journal: entries per second, durable, all features on, one hot master on one side of every entry
    Post(PostArgs),
    /// Taking in: a generated camt.053 from its bytes to positions, with interactive commands meanwhile
    Ingest(ingest::IngestArgs),
    /// The feed: from an event's commit to a reader of the stream
    Events(events::EventsArgs),
    /// Single transfers over HTTP by many clients at once, each durable when it is answered
    Http(http::HttpArgs),
    /// Admitting a session or key: what each request pays
    Access(super::bench_access::AccessArgs),
}

/// How posting is measured.
#[derive(Debug, clap::Args)]
pub struct PostArgs {
    /// Entries in all
    #[arg(long, default_value_t = 400_000)]
    entries: i64,
    /// Entries per call
    #[arg(long, default_value_t = 8_000)]
    batch: i64,
    /// Callers at once, each waiting for its answer
    #[arg(long, default_value_t = 2)]
    clients: i64,
    /// Leaves on the other side of the hot master
    #[arg(long, default_value_t = 1_000)]
    leaves: i64,
    /// Keys in random order instead of by time: the unique index then grows everywhere
    #[arg(long)]
    random_keys: bool,
    /// Also run the textbook approach on the same database and print the ratio
    #[arg(long)]
    compare: bool,
    /// A few thousand entries only, to see that it works
    #[arg(long)]
    smoke: bool,
}

/// Runs a benchmark.
pub fn run(context: &Context, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Post(args) => post(context, args),
        Bench::Ingest(args) => ingest::run(context, args),
        Bench::Events(args) => events::run(context, args),
        Bench::Http(args) => http::run(context, args),
        Bench::Access(args) => {
            let url = context.url()?;
            let db = context.open_to_write(&url)?;
            refuse_real_treasury(&db, &url)?;
            super::bench_access::run(context, args, &db)
        }
    }
}

fn post(context: &Context, args: &PostArgs) -> Result<()> {
    let url = context.url()?;
    let db = context.open_to_write(&url)?;
    refuse_real_treasury(&db, &url)?;
    let total = if args.smoke { args.entries.min(4_000) } else { args.entries };
    let batch = args.batch.clamp(1, total.max(1));
    let (master, leaves) = open_accounts(&db, &context.who, args.leaves.max(1))?;
    let plan = Plan { master, leaves, ids: Ids::random(), random_keys: args.random_keys };
    let bar = context.progress(u64::try_from(total).unwrap_or(0), "entries");
    let given = AtomicI64::new(0);
    let begin = Instant::now();
    let times = std::thread::scope(|scope| {
        let client = || -> Result<Vec<Duration>> {
            let mut times = Vec::new();
            loop {
                let first = given.fetch_add(batch, Ordering::Relaxed);
                if first >= total {
                    return Ok(times);
                }
                let items = plan.entries(first, batch.min(total - first));
                let (count, asked) = (items.len(), Instant::now());
                let answers = db.write_batch(Lane::Interactive, &POST, &context.who, items)?;
                times.push(asked.elapsed());
                answers.into_iter().collect::<Result<Vec<_>>>()?;
                bar.inc(count as u64);
            }
        };
        let clients: Vec<_> = (0..args.clients.max(1)).map(|_| scope.spawn(client)).collect();
        let join = |t: std::thread::ScopedJoinHandle<'_, Result<Vec<Duration>>>| {
            t.join().unwrap_or_else(|_| Err(Error::Broken("a client panicked".to_owned())))
        };
        clients.into_iter().map(join).collect::<Result<Vec<_>>>()
    });
    let mut times: Vec<Duration> = times?.into_iter().flatten().collect();
    let per_second = rate(total, begin.elapsed());
    bar.finish_and_clear();
    times.sort_unstable();
    let mut result = json!({
        "bench": "post",
        "database": url.engine(),
        "settings": { "entries": total, "batch": batch, "clients": args.clients, "leaves": args.leaves, "random_keys": args.random_keys },
        "per_second": per_second,
        "p50_ms": percentile(&times, 50),
        "p99_ms": percentile(&times, 99),
        "rss_mib": resident_mib(),
    });
    drop(db);
    if args.compare {
        let seconds = if args.smoke { 1 } else { 5 };
        // Row locks gain from company on PostgreSQL; SQLite has one writer in any case.
        let clients = if matches!(url, Url::Pg(_)) { 8 } else { 1 };
        let textbook = textbook::entries_per_second(&url, clients, args.leaves.max(1), Duration::from_secs(seconds))?;
        let tenths = per_second * 10 / textbook.max(1);
        let ratio = decimal(&format!("{}.{}", tenths / 10, tenths % 10));
        result["compare"] = json!({ "textbook_per_second": textbook, "ratio": ratio });
    }
    if context.json {
        return print_json(&result);
    }
    say!(
        "{per_second} entries per second, durable, on {url} ({total} entries in batches of {batch}, {} callers)",
        args.clients
    );
    say!(
        "a batch was answered within {} ms (p50), {} ms (p99); {} MiB resident at most",
        result["p50_ms"],
        result["p99_ms"],
        result["rss_mib"]
    );
    if let Some(compare) = result.get("compare") {
        say!(
            "{} times the textbook approach, which reached {} on the same database",
            compare["ratio"],
            compare["textbook_per_second"]
        );
    }
    Ok(())
}

/// Entries that cannot be taken away again do not belong into somebody's books.
fn refuse_real_treasury(db: &Db, url: &Url) -> Result<()> {
    let accounts = db.read(ledger::accounts)?;
    if accounts.iter().all(|a| a.code.starts_with("bench-")) {
        return Ok(());
    }
    Err(Error::Refused {
        code: "bench_on_treasury",
        message: format!(
            "{url} holds a treasury, and what a benchmark posts stays for ever; give it a database of its own, such as --database sqlite://bench.sqlite"
        ),
    })
}

fn open_accounts(db: &Db, who: &Arc<Who>, leaves: i64) -> Result<(AccountId, Vec<AccountId>)> {
    let currency = "EUR".parse().map_err(|e: crate::money::Problem| Error::Broken(e.to_string()))?;
    db.write("bench.accounts", who, move |tx| {
        let name = format!("bench-{}", tx.id("run"));
        let book = ledger::open_book(tx, &name, "cash", "EUR")?;
        let mut open = |code: &str, kind| ledger::open_account(tx, &NewAccount { book, code, currency, kind });
        let master = open(&name, AccountKind::Master)?;
        let leaves = (0..leaves).map(|i| open(&format!("{name}/leaf-{i}"), AccountKind::Leaf));
        Ok((master, leaves.collect::<Result<_>>()?))
    })
}

struct Plan {
    master: AccountId,
    leaves: Vec<AccountId>,
    ids: Ids,
    random_keys: bool,
}

impl Plan {
    fn entries(&self, first: i64, count: i64) -> Vec<NewEntry> {
        let now = SystemClock.now();
        let today = day_of(now);
        let one = |i: i64| {
            let mut id = self.ids.next("ln", now);
            if self.random_keys {
                // The low bits first: the same ids in an order that has nothing to do with time.
                id = id.chars().rev().collect();
            }
            let amount = 100 + i % 10_000;
            // A multiplicative step visits the leaves in no order that an index would like.
            let leaf = usize::try_from(i.wrapping_mul(7_919)).unwrap_or(0) % self.leaves.len();
            NewEntry {
                kind: "inflow".to_owned(),
                basis: Basis::Fact,
                description: "Inflow routed by virtual account number".to_owned(),
                booked_on: today,
                valued_on: today,
                cause: Cause { kind: "line".to_owned(), id, seq: 0 },
                postings: vec![
                    NewPosting { account: self.master, amount },
                    NewPosting { account: self.leaves[leaf], amount: -amount },
                ],
                holds: Vec::new(),
                reverses: None,
                metadata: None,
            }
        };
        (first..first + count).map(one).collect()
    }
}

fn rate(count: i64, time: Duration) -> u64 {
    u64::try_from(u128::try_from(count).unwrap_or(0) * 1_000_000 / time.as_micros().max(1)).unwrap_or(0)
}

/// Milliseconds with three decimals, as a JSON number.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    let micros = sorted.get(index).map_or(0, Duration::as_micros);
    decimal(&format!("{}.{:03}", micros / 1_000, micros % 1_000))
}

/// A measured figure as a JSON number; it is not money, and nothing is computed with it.
fn decimal(text: &str) -> f64 {
    text.parse().unwrap_or_default()
}

/// The most memory that this process ever had in RAM, where the system tells.
fn resident_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1_024)
}
