//! `tributary settlement`: how much of a lump each product gets, as the platform's file says.

use super::expect::read_sheet;
use super::table::{grouped, table};
use super::{Context, approvals, print_json, remote};
use crate::allocation::settlement::{self, Imported, Shown};
use crate::allocation::settlement_file;
use crate::error::{Error, Result};
use crate::four_eyes::{Change, Done};
use serde_json::json;
use std::path::{Path, PathBuf};

/// What is to be done with settlement files.
#[derive(Debug, clap::Subcommand)]
pub enum Settlement {
    /// Take a settlement file in; its lump is shared out at once when it waits, else when it comes
    Import {
        /// A CSV file; docs/settlement-files.md describes its columns
        file: PathBuf,
        /// Through the server, as the person who has signed in with `tributary login`
        #[arg(long)]
        server: bool,
    },
    /// List settlements, newest payment first
    List {
        /// Only of this master
        #[arg(long)]
        master: Option<String>,
        /// Only those that are waiting, carried_out or cancelled
        #[arg(long, value_parser = ["waiting", "carried_out", "cancelled"])]
        state: Option<String>,
    },
    /// Show one with its lines
    Show {
        /// The platform's name for it
        id: String,
    },
    /// Share out a line that you name, of exactly the settlement's amount
    Apply {
        /// A settlement that waits, by its name, or its file
        settlement: String,
        /// The line; LINE/3 is the third payment of one
        #[arg(long)]
        line: String,
        /// Through the server, as the person who has signed in with `tributary login`; of a settlement that was imported
        #[arg(long)]
        server: bool,
    },
    /// Give up a settlement that waits
    Cancel {
        /// The platform's name for it
        id: String,
        /// Why, in a few words
        #[arg(long)]
        reason: String,
        /// Through the server, as the person who has signed in with `tributary login`
        #[arg(long)]
        server: bool,
    },
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &Settlement) -> Result<()> {
    match command {
        Settlement::Import { file, server: true } => import_on_server(context, file),
        Settlement::Import { file, server: false } => import(context, file),
        Settlement::List { master, state } => list(context, master.as_deref(), state.as_deref()),
        Settlement::Show { id } => show(context, id),
        Settlement::Apply { settlement, line, server: true } => {
            let path = format!("/v1/settlements/{}/apply", remote::part(settlement));
            remote::change(context, &path, &json!({ "line": line }), |answer| {
                format!("settlement {settlement} shares out line {line} by entry {}", answer["entry"])
            })
        }
        Settlement::Apply { settlement, line, server: false } => apply(context, settlement, line),
        Settlement::Cancel { id, reason, server: true } => {
            let path = format!("/v1/settlements/{}/cancel", remote::part(id));
            remote::change(context, &path, &json!({ "reason": reason }), |_| format!("settlement {id} is cancelled"))
        }
        Settlement::Cancel { id, reason, server: false } => {
            let db = context.open_treasury()?;
            let (code, why) = (id.clone(), reason.clone());
            db.write("settlement.cancel", &context.who, move |tx| settlement::cancel(tx, &code, &why))?;
            if context.json {
                return print_json(&json!({ "settlement": id, "state": "cancelled" }));
            }
            say!("settlement {id} is cancelled");
            Ok(())
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

/// A file as it is proposed; one that is no CSV in UTF-8 has problems that reading it tells.
fn sheet(name: &str, bytes: Vec<u8>) -> Result<(Vec<settlement_file::Settlement>, String)> {
    let read = settlement_file::read(name, &bytes)?;
    let text = String::from_utf8(bytes).map_err(|e| Error::NotFound(format!("{name} is not UTF-8: {e}")))?;
    Ok((read, text))
}

fn import_on_server(context: &Context, path: &Path) -> Result<()> {
    let name = file_name(path);
    let (_, csv) = sheet(&name, read_sheet(path)?)?;
    remote::change(context, "/v1/settlements", &json!({ "name": name, "csv": csv }), |answer| {
        let all = answer["settlements"].as_array().into_iter().flatten();
        let one = |s: &serde_json::Value| {
            format!("settlement {} is {}", s["settlement"].as_str().unwrap_or("?"), s["state"].as_str().unwrap_or("?"))
        };
        all.map(one).collect::<Vec<_>>().join("\n")
    })
}

fn import(context: &Context, path: &Path) -> Result<()> {
    let name = file_name(path);
    let (_, sheet) = sheet(&name, read_sheet(path)?)?;
    let db = context.open_treasury()?;
    let change = Change::Settlement { name, sheet, line: None };
    let Some(done) = approvals::submit(context, &db, change)? else { return Ok(()) };
    let Done::Settlement(imported) = done else { return Err(approvals::other(&done)) };
    print_imported(context, &imported)
}

fn print_imported(context: &Context, imported: &[Imported]) -> Result<()> {
    if context.json {
        return print_json(&json!({ "settlements": imported }));
    }
    for s in imported {
        let before = if s.known { ", as it was: the same file came before and nothing was changed" } else { "" };
        match (s.state.as_str(), &s.line, s.entry) {
            ("carried_out", Some(line), Some(entry)) => {
                say!("settlement {} shares out line {line} by entry {entry}{before}", s.settlement);
            }
            (state, ..) => {
                let why = s.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                say!("settlement {} is {state}{before}{why}", s.settlement);
            }
        }
    }
    Ok(())
}

fn apply(context: &Context, settlement: &str, line: &str) -> Result<()> {
    let path = Path::new(settlement);
    let (code, change) = if path.is_file() {
        let name = file_name(path);
        let (read, sheet) = sheet(&name, read_sheet(path)?)?;
        let [only] = read.as_slice() else {
            return Err(Error::NotFound(format!(
                "{name} has {} settlements; import it, then apply each by its name",
                read.len()
            )));
        };
        let code = only.code.clone();
        // In one commit, so that the line that a person names is not beaten by one that is found.
        (code, Change::Settlement { name, sheet, line: Some(line.to_owned()) })
    } else {
        let of = line.to_owned();
        (settlement.to_owned(), Change::SettlementLine { settlement: settlement.to_owned(), line: of })
    };
    let db = context.open_treasury()?;
    if approvals::submit(context, &db, change)?.is_none() {
        return Ok(());
    }
    let shown = context.open_to_read()?.read(|conn| settlement::show(conn, &code))?;
    if context.json {
        return print_json(&shown);
    }
    say!("settlement {code} shares out line {line} by entry {}", shown.entry.unwrap_or_default());
    Ok(())
}

fn list(context: &Context, master: Option<&str>, state: Option<&str>) -> Result<()> {
    let all = context.open_to_read()?.read(|conn| settlement::list(conn, master, state))?;
    if context.json {
        return print_json(&json!({ "settlements": all }));
    }
    if all.is_empty() {
        say!("There are no settlements, as far as was asked.");
        return Ok(());
    }
    let mut shown = table(&["settlement", "state", "platform", "master", ">total", "", "paid on", "~line"]);
    for s in &all {
        shown.add_row([
            s.settlement.clone(),
            s.state.clone(),
            s.platform.clone(),
            s.master.clone(),
            grouped(&s.total),
            s.currency.clone(),
            s.paid_on.to_string(),
            became(s),
        ]);
    }
    say!("{shown}");
    Ok(())
}

fn became(s: &Shown) -> String {
    let parts = [s.line.as_ref(), s.since.as_ref(), s.reason.as_ref()];
    parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("; ")
}

fn show(context: &Context, id: &str) -> Result<()> {
    let s = context.open_to_read()?.read(|conn| settlement::show(conn, id))?;
    if context.json {
        return print_json(&s);
    }
    say!(
        "settlement {} of {}: {} {} to {}, paid on {}",
        s.settlement,
        s.platform,
        grouped(&s.total),
        s.currency,
        s.master,
        s.paid_on
    );
    say!("{}, imported from {} by {}", s.state.replace('_', " "), s.file, s.made_by);
    if let (Some(line), Some(entry), Some(by)) = (&s.line, s.entry, &s.decided_by) {
        say!("line {line} was shared out by entry {entry}, by {by}");
    }
    for more in [&s.since, &s.reason].into_iter().flatten() {
        say!("{more}");
    }
    let mut lines = table(&["leaf", ">gross", ">commission", ">tax", ">net", "item", "day"]);
    for l in &s.lines {
        lines.add_row([
            l.leaf.clone(),
            grouped(&l.gross),
            grouped(&l.commission),
            grouped(&l.tax),
            grouped(&l.net),
            l.item.clone().unwrap_or_default(),
            l.item_date.map(|d| d.to_string()).unwrap_or_default(),
        ]);
    }
    say!("{lines}");
    Ok(())
}
