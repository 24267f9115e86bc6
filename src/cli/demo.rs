//! `tributary demo`: a treasury to look at, made of generated bank files that go the way of real ones.

use super::{Context, print_json};
use crate::actor::{Actor, Scope};
use crate::allocation::{self, intake, settlement, settlement_file};
use crate::app::{self, TreasuryFile};
use crate::chart;
use crate::db::seal::{hex, sha256};
use crate::db::{Db, Options, Url, Who, head};
use crate::demo::{self, DemoFile, Role};
use crate::error::{Error, Result};
use crate::expectations;
use crate::ids::Ids;
use crate::rates;
use crate::time::SetClock;
use serde_json::json;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

mod summary;

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
    let summary = summary::read(&db, &demo)?;
    let left: Vec<String> = summary.left().map(|name| folder.join(name).display().to_string()).collect();
    if context.json {
        return print_json(&json!({
            "database": url.to_string(), "files": folder.display().to_string(), "changed": changed, "new_lines": new_lines,
            "positions": summary.report, "waiting": summary.waiting.len(), "not_taken_in": left,
        }));
    }
    summary.print()?;
    say!("");
    if changed {
        let taken = demo.files.len() - demo.left().count();
        say!("{new_lines} bank lines of {taken} files went into {url}; the files are in {}.", folder.display());
    } else {
        say!("Nothing changed: {url} has this demo already, and every file was recognised as taken in before.");
    }
    say!("Next: tributary route; tributary statement breaks; tributary positions --by leaf; tributary check");
    for path in left {
        say!("      tributary settlement import {path}");
    }
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
    let bar = context.progress(u64::try_from(demo.files.len()).unwrap_or(0), "files");
    let mut new_lines = 0;
    let mut answers = Some(&demo.answers);
    for file in &demo.files {
        let Some(comes) = file.comes else { continue };
        if let Some(answers) = answers.take_if(|answers| comes > answers.at) {
            clock.set(answers.at);
            place(&db, &who, answers)?;
        }
        clock.set(comes);
        new_lines += take_in(&db, &who, file)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let changed = db.read(head)? != before;
    // Where all was there already its reader may have gone on, at a later time: what is open then is not the demo's to end.
    if changed {
        db.write("expectation.expire", &who, expectations::expire)?;
    }
    Ok((new_lines, changed))
}

/// Places what some payers have been asked about, as `route` does. Once that is done nothing of it waits any more.
fn place(db: &Db, who: &Arc<Who>, answers: &demo::Answers) -> Result<()> {
    let mut decided = Vec::new();
    for w in db.read(|conn| allocation::waiting(conn, None))? {
        let (payer, text) =
            (w.counterparty.as_deref().unwrap_or_default(), w.remittance.as_deref().unwrap_or_default());
        let leaf = answers.leaf(&w.master, payer, text, w.booked_on).map(str::to_owned);
        decided.extend(leaf.map(|leaf| (w.line, leaf)));
    }
    if decided.is_empty() {
        return Ok(());
    }
    db.write("allocation.reroute", who, move |tx| {
        let reroute = |(line, leaf): &(String, String)| allocation::reroute(tx, line, leaf, "the payer was asked");
        decided.iter().map(reroute).collect::<Result<Vec<_>>>()
    })?;
    Ok(())
}

/// Takes a file in as its command would; gives how many new lines of a bank it brought.
fn take_in(db: &Db, who: &Arc<Who>, file: &DemoFile) -> Result<u64> {
    let name = file.name.clone();
    let within = |e: Error| e.within(&file.name);
    match file.role {
        Role::Bank => {
            let bytes = || Ok(Box::new(Cursor::new(file.bytes.clone())) as Box<dyn Read>);
            Ok(intake::take_in(db, who, (&name, "demo"), &bytes, &mut |_, _| {})?.new_lines)
        }
        Role::Settlement => {
            let read = settlement_file::read(&name, &file.bytes)?;
            db.write("settlement.import", who, move |tx| settlement::import(tx, &name, &read))?;
            Ok(0)
        }
        Role::Expected => {
            let read = expectations::file::read(&file.bytes).map_err(within)?;
            db.write("expectation.add", who, move |tx| expectations::add(tx, &read)).map_err(within)?;
            Ok(0)
        }
        Role::Rates => {
            let read = rates::read(&file.bytes).map_err(|p| within(rates::Refusal::Problems(p).into()))?;
            let source = rates::source_for(Some(demo::RATES_SOURCE), &read)?;
            let sha256 = hex(&sha256(&file.bytes));
            db.write("rates.import", who, move |tx| rates::import(tx, &source, &read, &sha256)).map_err(within)?;
            Ok(0)
        }
    }
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
        let Some(first) = demo.files.iter().find(|f| f.role == Role::Bank) else { return Ok(()) };
        let known = crate::statements::file_by_content(conn, &crate::db::seal::sha256(&first.bytes))?.is_some();
        if !known && !crate::statements::files(conn, 1)?.is_empty() {
            return Err(refused(format!("the demo of another seed than {seed}, or statements of your own")));
        }
        Ok(())
    })
}
