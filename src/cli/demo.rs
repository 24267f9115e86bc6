//! `tributary demo`: a treasury to look at, made of generated bank files that go the way of real ones.

use super::table::{grouped, table};
use super::{Context, positions, print_json};
use crate::actor::{Actor, Scope};
use crate::allocation::{self, intake};
use crate::app::{self, TreasuryFile};
use crate::chart;
use crate::db::{Db, Options, Url, Who, head};
use crate::demo;
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::money::Minor;
use crate::time::SetClock;
use chrono::{NaiveTime, TimeDelta};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// What the demo is made of.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Another seed, other bank files; the same seed always gives the same treasury
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Where to keep the generated bank files, one folder per master [default: beside the database]
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// End after printing, which is all the demo does until there are pages to serve
    #[arg(long)]
    no_serve: bool,
}

/// Makes the demo, or says that it is there already.
pub fn run(context: &Context, args: &Demo) -> Result<()> {
    let url = context.url()?;
    let demo = demo::generate(args.seed);
    refuse_other_treasury(&url, &demo, args.seed)?;
    let folder = args.files.clone().unwrap_or_else(|| beside(&url));
    demo.write_to(&folder)
        .map_err(|e| Error::Broken(format!("cannot keep the bank files in {}: {e}", folder.display())))?;
    let clock = Arc::new(SetClock::at(demo.began_at()));
    let (new_lines, changed) = fill(context, &url, args.seed, &demo, &clock)?;
    let db = context.open_to_read()?;
    let shown = db.read(|conn| {
        Ok((crate::positions::positions(conn, &context.who.scope, None)?, allocation::waiting(conn, None)?))
    })?;
    let (report, waiting) = shown;
    if context.json {
        return print_json(&json!({
            "database": url.to_string(), "files": folder.display().to_string(), "changed": changed, "new_lines": new_lines,
            "positions": report, "waiting": waiting.len(),
        }));
    }
    positions::print(&report, demo.ended_on())?;
    print_waiting(&waiting)?;
    say!("");
    if changed {
        say!(
            "{new_lines} bank lines of {} files went into {url}; the files are in {}.",
            demo.files.len(),
            folder.display()
        );
    } else {
        say!("Nothing changed: {url} has this demo already, and every file was recognised as taken in before.");
    }
    say!("Next: tributary positions --by leaf; tributary route; tributary statement show; tributary check");
    Ok(())
}

fn beside(url: &Url) -> PathBuf {
    match url {
        Url::Lite(path) => path.with_extension("bank-files"),
        Url::Pg(_) => PathBuf::from("tributary.bank-files"),
    }
}

/// Takes everything in through the door that every bank file takes, at the instants at which it would have come.
fn fill(context: &Context, url: &Url, seed: u64, demo: &demo::Demo, clock: &Arc<SetClock>) -> Result<(u64, bool)> {
    let ids = ids_for(url, seed)?;
    let db = Db::open(url, Options { clock: clock.clone(), ids: Arc::new(ids), faults: None, ..Options::default() })?;
    let who = Arc::new(Who { actor: Actor::system("demo"), scope: Scope::everything() });
    let file = TreasuryFile::parse(&demo.treasury_toml)?;
    let before = db.read(head)?;
    app::apply(&db, &who, file)?;
    intake::resume(&db, &who, &mut |_, _| {})?;
    let bar = context.progress(u64::try_from(demo.files.len()).unwrap_or(0), "bank files");
    let mut new_lines = 0;
    for (file, second) in demo.files.iter().zip(0i64..) {
        // The bank's file of a day comes on the next morning.
        let morning = NaiveTime::from_hms_opt(6, 0, 0).unwrap_or_default();
        clock.set((file.day + TimeDelta::days(1)).and_time(morning).and_utc() + TimeDelta::seconds(second));
        let bytes = || Ok(Box::new(Cursor::new(file.bytes.clone())) as Box<dyn Read>);
        let taken = intake::take_in(&db, &who, (&file.name, "demo"), &bytes, &mut |_, _| {})?;
        new_lines += taken.new_lines;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((new_lines, db.read(head)? != before))
}

/// The same ids for the same seed on an empty database; after a demo that was interrupted, others than those it used.
fn ids_for(url: &Url, seed: u64) -> Result<Ids> {
    let db = Db::open(url, Options::default())?;
    let seals = db.read(head)?.seal;
    Ok(Ids::seeded(seed ^ (u64::try_from(seals).unwrap_or(0) << 32)))
}

/// Before anything is written: the database is empty, or has this very demo.
fn refuse_other_treasury(url: &Url, demo: &demo::Demo, seed: u64) -> Result<()> {
    let db = Db::open(url, Options::default())?;
    let file = TreasuryFile::parse(&demo.treasury_toml)?;
    let refused = |what: String| Error::Refused {
        code: "demo_on_treasury",
        message: format!(
            "{url} holds {what}; give the demo a database of its own, such as --database sqlite://demo.sqlite"
        ),
    };
    db.read(|conn| {
        let masters = chart::masters(conn)?;
        if let Some(other) = masters.iter().find(|m| !file.master.iter().any(|f| f.code == m.code)) {
            return Err(refused(format!("another treasury (master {})", other.code)));
        }
        if masters.is_empty() && !crate::ledger::accounts(conn)?.is_empty() {
            return Err(refused("accounts of another kind (a benchmark's?)".to_owned()));
        }
        let Some(first) = demo.files.first() else { return Ok(()) };
        let known = crate::statements::file_by_content(conn, &crate::db::seal::sha256(&first.bytes))?.is_some();
        if !known && !crate::statements::files(conn, 1)?.is_empty() {
            return Err(refused(format!("the demo of another seed than {seed}, or statements of your own")));
        }
        Ok(())
    })
}

/// What waits, by master and reason, the most money first: the lines themselves are in `tributary route`.
fn print_waiting(waiting: &[allocation::Waiting]) -> Result<()> {
    if waiting.is_empty() {
        say!("Nothing waits in suspense.");
        return Ok(());
    }
    let mut sums: BTreeMap<(&str, &str, String), (u64, i128)> = BTreeMap::new();
    for line in waiting {
        let sum = sums.entry((&line.master, &line.currency, reason(&line.why))).or_default();
        *sum = (sum.0 + 1, sum.1 + i128::from(line.minor));
    }
    let mut shown = table(&["waits in suspense of", ">lines", ">amount", "currency", "~why"]);
    for ((master, currency, why), (lines, minor)) in sums {
        let money = currency.parse().map_err(|e: crate::money::Problem| Error::Broken(e.to_string()))?;
        let amount = Minor::from_sum(minor).map(|m| grouped(m.to_text(money))).unwrap_or_default();
        shown.add_row([master.to_owned(), lines.to_string(), amount, currency.to_owned(), why]);
    }
    say!("{shown}");
    Ok(())
}

/// A reason without the details that differ from line to line, so that equal reasons come together.
fn reason(why: &str) -> String {
    let word = |w: &str| if w.chars().any(|c| c.is_ascii_digit()) { "...".to_owned() } else { w.to_owned() };
    let general = why.split(':').next().unwrap_or(why);
    general.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
