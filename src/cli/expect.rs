//! `tributary expect`: what should come, before the bank tells of it.

use super::table::{grouped, table};
use super::{Context, approvals, print_json, remote};
use crate::error::{Error, Result};
use crate::expectations::{self, Announced, Announcement, Filter, Refusal, State, file};
use crate::four_eyes::{Change, Done};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What is to be done with expected receipts.
#[derive(Debug, clap::Subcommand)]
pub enum Expect {
    /// Announce a receipt: a payment that fits goes to the leaf that waits for it
    Add(Add),
    /// Announce those of a CSV file, all or none; the same file again changes nothing
    Import {
        /// Columns: key, leaf, amount, from, until; and as needed currency, reference, account, note, metadata
        file: PathBuf,
    },
    /// List what is expected, by its last day
    List {
        /// Only of this master
        #[arg(long)]
        master: Option<String>,
        /// Only of this leaf
        #[arg(long)]
        leaf: Option<String>,
        /// Only those that are open, met, expired or cancelled
        #[arg(long, value_parser = parse_state)]
        state: Option<State>,
        /// How many to list
        #[arg(long, default_value_t = 1_000)]
        limit: i64,
    },
    /// Give one up, open or expired
    Cancel {
        /// Its key, or its id where leaves have receipts of one key
        key: String,
        /// Why, in a few words
        #[arg(long)]
        reason: String,
        /// Through the server, as the person who has signed in with `tributary login`
        #[arg(long)]
        server: bool,
    },
    /// Wait for one again that was met by something else
    Reopen {
        /// Its key or id
        key: String,
        /// Why, in a few words
        #[arg(long)]
        reason: String,
        /// Through the server, as the person who has signed in with `tributary login`
        #[arg(long)]
        server: bool,
    },
    /// Say that a line is what was expected; it is placed on the leaf that waits, unless it is there
    Meet {
        /// Its key or id
        key: String,
        /// The line; LINE/3 is the third payment of one
        #[arg(long)]
        line: String,
        /// Why, in a few words
        #[arg(long)]
        reason: String,
        /// Through the server, as the person who has signed in with `tributary login`
        #[arg(long)]
        server: bool,
    },
    /// End those whose last day is over: each is a break with a name
    Expire,
}

/// A receipt.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// What it will be known by: announcing it again under its key changes nothing
    #[arg(long)]
    key: String,
    /// The leaf that waits, such as de-eur/tiktok/de/operating
    #[arg(long)]
    leaf: String,
    /// 250.00, or bounds: 240.00..260.00
    #[arg(long)]
    amount: String,
    /// ISO 4217; must be the master's
    #[arg(long)]
    currency: Option<String>,
    /// First booking day
    #[arg(long, value_parser = parse_day)]
    from: chrono::NaiveDate,
    /// Last booking day
    #[arg(long, value_parser = parse_day)]
    until: chrono::NaiveDate,
    /// End-to-end id, creditor reference, or the whole of the remittance text
    #[arg(long)]
    reference: Option<String>,
    /// The account that it will come from
    #[arg(long)]
    account: Option<String>,
    /// For people
    #[arg(long)]
    note: Option<String>,
    /// JSON for other systems
    #[arg(long)]
    metadata: Option<String>,
}

fn parse_state(text: &str) -> std::result::Result<State, String> {
    State::parse(text).ok_or_else(|| "open, met, expired or cancelled".to_owned())
}

fn parse_day(text: &str) -> std::result::Result<chrono::NaiveDate, String> {
    crate::sheet::day(text).ok_or_else(|| "a day such as 2026-03-02".to_owned())
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &Expect) -> Result<()> {
    match command {
        Expect::Add(add) => announce(context, vec![announcement(add)]),
        Expect::Import { file } => {
            let read = file::read(&read_sheet(file)?).map_err(|e| e.within(file.display()))?;
            announce(context, read).map_err(|e| e.within(file.display()))
        }
        Expect::List { master, leaf, state, limit } => {
            let (master, leaf) = (master.clone(), leaf.clone());
            list(context, &Filter { master, leaf, state: *state, id: None, limit: Some(*limit) })
        }
        Expect::Cancel { key, reason, server: true } => decide_on_server(context, key, "cancel", reason),
        Expect::Cancel { key, reason, server: false } => {
            decide(context, "expectation.cancel", key, reason, expectations::cancel, "cancelled")
        }
        Expect::Reopen { key, reason, server: true } => decide_on_server(context, key, "reopen", reason),
        Expect::Reopen { key, reason, server: false } => {
            decide(context, "expectation.reopen", key, reason, expectations::reopen, "open again")
        }
        Expect::Meet { key, line, reason, server: true } => {
            let path = format!("/v1/expectations/{}/meet", remote::part(key));
            let done = |_: &Value| format!("{key} is met by line {line}");
            remote::change(context, &path, &json!({ "line": line, "reason": reason }), done)
        }
        Expect::Meet { key, line, reason, server: false } => {
            let db = context.open_treasury()?;
            // The proposal names it for ever, also when another leaf announces one of this key meanwhile.
            let expectation = db.read(|conn| expectations::find(conn, key))?.id;
            let (line_of, reason) = (line.clone(), reason.clone());
            let change = Change::Meeting { expectation, line: line_of, reason };
            if approvals::submit(context, &db, change)?.is_none() {
                return Ok(());
            }
            said(context, key, "met", &format!("{key} is met by line {line}"))
        }
        Expect::Expire => expire(context),
    }
}

/// The bytes of a sheet; one that is larger than any that people make is refused before it fills the memory.
pub fn read_sheet(path: &Path) -> Result<Vec<u8>> {
    const MOST: u64 = 256 << 20;
    let failed = |e: std::io::Error| Error::NotFound(format!("cannot read {}: {e}", path.display()));
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MOST {
        return Err(Error::NotFound(format!("{} has {size} bytes; a sheet has {MOST} at most", path.display())));
    }
    std::fs::read(path).map_err(failed)
}

fn announcement(add: &Add) -> Announcement {
    Announcement {
        at: String::new(),
        key: add.key.trim().to_owned(),
        leaf: add.leaf.clone(),
        amount: add.amount.clone(),
        currency: add.currency.clone(),
        days: (add.from, add.until),
        reference: add.reference.clone(),
        account: add.account.clone(),
        note: add.note.clone(),
        metadata: add.metadata.clone(),
    }
}

fn announce(context: &Context, asked: Vec<Announcement>) -> Result<()> {
    let db = context.open_treasury()?;
    let change = Change::Expectations { receipts: asked };
    let Some(done) = approvals::submit(context, &db, change)? else { return Ok(()) };
    let Done::Expectations(Announced { new, known }) = done else { return Err(approvals::other(&done)) };
    if context.json {
        return print_json(&json!({ "new": new, "known": known }));
    }
    match (new, known) {
        (0, _) => say!("Nothing new: {known} known already."),
        (_, 0) => say!("{new} expected."),
        _ => say!("{new} expected, {known} known already."),
    }
    Ok(())
}

fn decide(
    context: &Context,
    name: &'static str,
    key: &str,
    reason: &str,
    command: fn(&mut crate::db::Tx<'_>, &str, &str) -> Result<()>,
    became: &str,
) -> Result<()> {
    let db = context.open_treasury()?;
    let (of, why) = (key.to_owned(), reason.to_owned());
    db.write(name, &context.who, move |tx| command(tx, &of, &why))?;
    said(context, key, became, &format!("{key} is {became}"))
}

fn decide_on_server(context: &Context, key: &str, what: &str, reason: &str) -> Result<()> {
    let path = format!("/v1/expectations/{}/{what}", remote::part(key));
    remote::change(context, &path, &json!({ "reason": reason }), |answer| {
        format!("{key} is {}", answer["state"].as_str().unwrap_or_default())
    })
}

fn said(context: &Context, key: &str, state: &str, sentence: &str) -> Result<()> {
    if context.json {
        return print_json(&json!({ "key": key, "state": state.split(' ').next() }));
    }
    say!("{sentence}");
    Ok(())
}

fn expire(context: &Context) -> Result<()> {
    let db = context.open_treasury()?;
    let keys = db.write("expectation.expire", &context.who, expectations::expire)?;
    if context.json {
        return print_json(&json!({ "expired": keys }));
    }
    for key in &keys {
        say!("{key} has not come");
    }
    match keys.len() {
        0 => say!("Nothing has expired."),
        1 => {
            say!("1 has expired; `tributary expect list --state expired` shows it, `tributary expect cancel` ends it.")
        }
        n => say!(
            "{n} have expired; `tributary expect list --state expired` shows them, `tributary expect cancel` ends one."
        ),
    }
    Ok(())
}

fn list(context: &Context, filter: &Filter) -> Result<()> {
    if filter.limit.is_some_and(|l| l < 1) {
        return Err(Refusal::Problems { problems: vec!["--limit is 1 or more".to_owned()] }.into());
    }
    let all = context.open_to_read()?.read(|conn| expectations::list(conn, filter))?;
    if context.json {
        return print_json(&json!({ "expectations": all }));
    }
    if all.is_empty() {
        say!("Nothing is expected, as far as was asked.");
        return Ok(());
    }
    let mut shown = table(&[
        "key",
        "state",
        "leaf",
        ">amount",
        "",
        "from",
        "until",
        "~by reference, account",
        "~what became of it",
    ]);
    for e in all {
        let amount =
            if e.least == e.most { grouped(&e.least) } else { format!("{}..{}", grouped(&e.least), grouped(&e.most)) };
        let known_by: Vec<String> = [e.reference, e.counterparty_account].into_iter().flatten().collect();
        let met = e.line.map(|line| format!("line {line}"));
        let became: Vec<String> = [met, e.since, e.reason].into_iter().flatten().collect();
        shown.add_row([
            e.key,
            e.state,
            e.leaf,
            amount,
            e.currency,
            e.first_on.to_string(),
            e.last_on.to_string(),
            known_by.join(", "),
            became.join("; "),
        ]);
    }
    say!("{shown}");
    Ok(())
}
