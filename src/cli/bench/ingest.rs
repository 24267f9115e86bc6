//! `tributary bench ingest`: a generated camt.053 from its bytes to posted positions, with interactive commands meanwhile.
//!
//! The file goes the way of every bank file: stored, proved, accepted, posted. Nine lines in ten carry a virtual account
//! number, most others are a rule's, and some nobody can place, as in a company that has begun to use virtual numbers.

use super::{decimal, percentile, rate, refuse_real_treasury, resident_mib};
use crate::actor::Scope;
use crate::allocation::{self, intake};
use crate::app::{self, TreasuryFile};
use crate::banking::write::{Camt053, Entry, Statement, Totals, Version};
use crate::banking::{Balance, Detail, Direction, Event, Reader};
use crate::chart;
use crate::cli::{Context, print_json};
use crate::db::{Db, Lane};
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::ledger::{AccountId, Basis, Cause, NewEntry, NewPosting, POST};
use crate::money::{Currency, Minor};
use crate::positions::{Moment, positions};
use crate::time::{Clock, SystemClock, day_of};
use chrono::NaiveDate;
use serde_json::json;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How taking in is measured.
#[derive(Debug, clap::Args)]
pub struct IngestArgs {
    /// Lines of the statement
    #[arg(long, default_value_t = 1_000_000)]
    lines: u64,
    /// Leaves with a virtual account number; fourteen products in two dozen markets
    #[arg(long, default_value_t = 336)]
    leaves: u64,
    /// Keep the generated file here
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// A few thousand lines only, to see that it works
    #[arg(long)]
    smoke: bool,
}

/// Between two interactive commands: a person does not ask without a pause.
const PAUSE: Duration = Duration::from_millis(20);

/// Measures, and says how it ended.
pub fn run(context: &Context, args: &IngestArgs) -> Result<()> {
    let url = context.url()?;
    let db = context.open_to_write(&url)?;
    refuse_real_treasury(&db, &url)?;
    let lines = if args.smoke { args.lines.min(5_000) } else { args.lines };
    let plan = Plan::declare(context, &db, lines, args.leaves.clamp(1, 100_000))?;
    let file = Kept::at(args.keep.as_deref(), &plan.master);
    let unwritten = |e: std::io::Error| Error::Broken(format!("cannot write {}: {e}", file.path.display()));
    plan.write(File::create(&file.path).map_err(unwritten)?).map_err(unwritten)?;
    let bare = bare_parse(&file.path, lines)?;
    let bar = context.progress(lines, "lines");
    let over = AtomicBool::new(false);
    let begin = Instant::now();
    let (taken, times) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| interactive(context, &db, &plan, &over));
        let open = || File::open(&file.path).map(|f| Box::new(f) as Box<dyn Read>);
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let taken = intake::take_in(&db, &context.who, (&name, "bench"), &open, &mut |done, _| bar.set_position(done));
        let took = begin.elapsed();
        over.store(true, Ordering::Relaxed);
        let times = asking.join().unwrap_or_else(|_| Err(Error::Broken("the interactive caller panicked".to_owned())));
        (taken.map(|t| (t, took)), times)
    });
    bar.finish_and_clear();
    let ((taken, took), mut times) = (taken?, times?);
    plan.prove(&db, &taken)?;
    times.sort_unstable();
    let per_second = rate(i64::try_from(lines).unwrap_or(i64::MAX), took);
    let tenths = per_second * 100 / bare.max(1);
    let result = json!({
        "bench": "ingest",
        "database": url.engine(),
        "settings": { "lines": lines, "leaves": plan.numbers.len(), "bytes": taken.file.size },
        "per_second": per_second,
        "interactive": { "commands": times.len(), "p50_ms": percentile(&times, 50), "p99_ms": percentile(&times, 99) },
        "rss_mib": resident_mib(),
        "compare": { "bare_parse_per_second": bare, "ratio": decimal(&format!("{}.{:02}", tenths / 100, tenths % 100)) },
    });
    if context.json {
        return print_json(&result);
    }
    say!(
        "{per_second} lines per second from bytes to positions, durable, on {url} ({lines} lines, {} bytes)",
        taken.file.size
    );
    say!("the bare parse of the same file reads {bare} lines per second; {} MiB resident at most", result["rss_mib"]);
    say!(
        "{} interactive commands meanwhile were answered within {} ms (p50), {} ms (p99)",
        times.len(),
        result["interactive"]["p50_ms"],
        result["interactive"]["p99_ms"]
    );
    Ok(())
}

/// A file that is gone afterwards, unless it is to be kept.
struct Kept {
    path: PathBuf,
    keep: bool,
}

impl Kept {
    fn at(keep: Option<&Path>, master: &str) -> Kept {
        let path = keep.map_or_else(|| std::env::temp_dir().join(format!("{master}.camt.053.xml")), Path::to_path_buf);
        Kept { path, keep: keep.is_some() }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.keep {
            // It is in the system's folder for such files, which is emptied anyway.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Only what the reader costs, on one thread.
fn bare_parse(path: &Path, lines: u64) -> Result<u64> {
    let file = File::open(path).map_err(|e| Error::Broken(format!("cannot read {}: {e}", path.display())))?;
    let begin = Instant::now();
    let read = Reader::new(BufReader::new(file)).filter(|event| matches!(event, Event::Line(_))).count();
    if read as u64 != lines {
        return Err(Error::Broken(format!("the file of {lines} lines is read as {read}")));
    }
    Ok(rate(i64::try_from(lines).unwrap_or(i64::MAX), begin.elapsed()))
}

/// What a person does meanwhile: moves a cent, and looks at what it left, again and again.
fn interactive(context: &Context, db: &Db, plan: &Plan, over: &AtomicBool) -> Result<Vec<Duration>> {
    let (mut times, mut asked) = (Vec::new(), 0i64);
    while !over.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let answers = db.write_batch(Lane::Interactive, &POST, &context.who, vec![plan.transfer(asked)])?;
        answers.into_iter().collect::<Result<Vec<_>>>()?;
        db.read(|conn| crate::ledger::account(conn, &plan.pool.1))?;
        times.push(begin.elapsed());
        asked += 1;
        std::thread::sleep(PAUSE);
    }
    Ok(times)
}

/// The treasury that is measured with.
struct Plan {
    master: String,
    account: String,
    currency: Currency,
    day: NaiveDate,
    lines: u64,
    /// Virtual account numbers of the leaves.
    numbers: Vec<String>,
    pool: (AccountId, String),
    to: AccountId,
}

/// In the house's pool before the first line, so that there is something to transfer.
const OPENING: i64 = 10_000_000_000;

impl Plan {
    fn declare(context: &Context, db: &Db, lines: u64, leaves: u64) -> Result<Plan> {
        let now = SystemClock.now();
        let run: String = Ids::random().next("b", now).chars().skip(2).collect();
        let master = format!("bench-{run}");
        let serial: u64 = run.bytes().fold(0, |n, b| (n * 31 + u64::from(b)) % 1_000_000_000);
        let day = day_of(now);
        let mut toml = format!(
            "[[entity]]\ncode = \"bench\"\nname = \"Benchmark\"\ncountry = \"DE\"\n\
             [[bank]]\ncode = \"bench\"\nname = \"Benchmark\"\ncountry = \"DE\"\n\
             [[market]]\ncode = \"DE\"\nname = \"Germany\"\n\
             [[master]]\ncode = \"{master}\"\nname = \"Hot\"\nbank = \"bench\"\nentity = \"bench\"\ncurrency = \"EUR\"\n\
             account = \"BENCH{serial:09}\"\ntime_zone = \"UTC\"\ncut_over_on = \"{day}\"\nopening = \"{}\"\n\
             opening_shares = [{{ leaf = \"{master}/house/pool\", amount = \"{}\" }}]\n\
             numbers = {{ scheme = \"digits\", prefix = \"8{serial:09}\" }}\n",
            euros(OPENING),
            euros(OPENING)
        );
        for n in 0..leaves {
            toml.push_str(&format!(
                "[[product]]\ncode = \"bench-p{n}\"\nname = \"Product {n}\"\n\
                 [[sub_account]]\nmaster = \"{master}\"\nproduct = \"bench-p{n}\"\nmarket = \"DE\"\n"
            ));
        }
        for n in 0..RULES {
            toml.push_str(&format!(
                "[[rule]]\ncode = \"{master}-r{n}\"\npriority = {}\nwhen = {{ masters = [\"{master}\"], counterparty = \"STORE {n} LTD\" }}\n\
                 to = [{{ leaf = \"{master}/bench-p0/de/operating\" }}]\n",
                100 + n
            ));
        }
        app::apply(db, &context.who, TreasuryFile::parse(&toml)?)?;
        let (row, leaves) = db.read(|conn| {
            let row = chart::master(conn, &master)?;
            let leaves = chart::leaves(conn, &row.id)?;
            Ok((row, leaves))
        })?;
        let pool = row.house("pool");
        let found = |code: &str| leaves.iter().find(|l| l.code == code).map(|l| AccountId(l.account));
        let missing = || Error::Broken(format!("{master} has no pool and no first leaf"));
        Ok(Plan {
            account: format!("BENCH{serial:09}"),
            currency: row.money()?,
            day,
            lines,
            pool: (found(&pool).ok_or_else(missing)?, pool),
            to: found(&format!("{master}/bench-p0/de/operating")).ok_or_else(missing)?,
            numbers: leaves.into_iter().filter(|l| l.product.is_some()).filter_map(|l| l.virtual_number).collect(),
            master,
        })
    }

    fn transfer(&self, asked: i64) -> NewEntry {
        NewEntry {
            kind: "transfer".to_owned(),
            basis: Basis::Decision,
            description: "A cent, asked for while a file is taken in".to_owned(),
            booked_on: self.day,
            valued_on: self.day,
            cause: Cause { kind: "bench".to_owned(), id: self.master.clone(), seq: asked },
            postings: vec![NewPosting { account: self.pool.0, amount: 1 }, NewPosting { account: self.to, amount: -1 }],
            holds: Vec::new(),
            reverses: None,
            metadata: None,
        }
    }

    fn entry(&self, n: u64) -> Entry {
        let number = usize::try_from(n.wrapping_mul(7_919)).unwrap_or(0) % self.numbers.len().max(1);
        let amount = Minor(100 + i64::try_from(n.wrapping_mul(104_729) % 1_000_000).unwrap_or(0));
        let mut detail = Detail {
            end_to_end_id: Some(format!("ORDER-{n:09}")),
            counterparty_name: Some(format!("Customer {} GmbH", n % 50_021)),
            counterparty_account: Some(format!("DE{:020}", n % 50_021)),
            remittance: Some(format!("Invoice 2026/{n:07} of the shop, thank you")),
            ..Detail::default()
        };
        match n % 20 {
            0 => {}
            1 => detail.counterparty_name = Some(format!("Store {} Ltd.", n % RULES)),
            _ => detail.own_account = self.numbers.get(number).cloned(),
        }
        // Some of it goes out again.
        let direction = if n % 10 == 9 { Direction::Debit } else { Direction::Credit };
        Entry {
            bank_ref: Some(format!("B{n:011}")),
            ..Entry::of(amount, direction, self.day, "PMNT/RCDT/ESCT", detail)
        }
    }

    fn write(&self, out: File) -> std::io::Result<()> {
        let mut totals = Totals::default();
        (0..self.lines).for_each(|n| totals.add(&self.entry(n)));
        let moved = i64::try_from(totals.credit_sum - totals.debit_sum).unwrap_or(0);
        let balance = |amount| {
            Some(Balance { amount: Minor(amount), currency: self.currency, on: self.day, intermediate: false })
        };
        let statement = Statement {
            id: "BENCH".to_owned(),
            number: 1,
            page: None,
            created: self.day.and_time(chrono::NaiveTime::MIN),
            account: self.account.clone(),
            servicer: None,
            related_account: None,
            currency: self.currency,
            period: Some((self.day, self.day)),
            copy: false,
            opening: balance(OPENING),
            closing: balance(OPENING + moved),
            totals: Some(totals),
        };
        // The master in the id, so that no two runs have the same bytes.
        let mut camt = Camt053::begin(BufWriter::new(out), Version::V08, &self.master, statement.created)?;
        camt.statement(&statement, (0..self.lines).map(|n| self.entry(n)))?;
        camt.end()?.flush()
    }

    /// All of it came, and the book is what the bank says.
    fn prove(&self, db: &Db, taken: &intake::TakenIn) -> Result<()> {
        let report = db.read(|conn| positions(conn, &Scope::everything(), Moment::default()))?;
        let master = report.masters.iter().find(|m| m.master == self.master);
        let agrees = master.and_then(|m| m.difference).is_some_and(|d| d.minor.is_zero());
        let waiting = db.read(|conn| allocation::waiting(conn, Some(&self.master)))?.len() as u64;
        if taken.new_lines == self.lines && agrees && waiting == self.lines.div_ceil(20) {
            return Ok(());
        }
        Err(Error::Broken(format!(
            "of {} lines {} were posted and {waiting} wait, and the book {} the bank",
            self.lines,
            taken.new_lines,
            if agrees { "agrees with" } else { "differs from" }
        )))
    }
}

/// Rules that each line without a virtual number is weighed by.
const RULES: u64 = 50;

fn euros(minor: i64) -> String {
    Minor(minor).to_text_with(2)
}
