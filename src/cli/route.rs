//! `tributary route`: what waits in suspense and why, and placing it by a person.

use super::table::{grouped, table};
use super::{Context, print_json};
use crate::allocation;
use crate::error::{Error, Result};
use crate::money::Minor;
use serde_json::{Value, json};

/// How a line is routed.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Route {
    /// The line to place; left out: the lines that wait, and why
    line: Option<String>,
    /// The leaf whose money it is, such as de-eur/tiktok/de/operating
    #[arg(long, requires = "line", value_name = "LEAF")]
    to: Option<String>,
    /// Why, in a few words; kept with the route
    #[arg(long, requires = "to")]
    reason: Option<String>,
    /// Only lines of this master
    #[arg(long)]
    master: Option<String>,
}

/// Runs it.
pub fn run(context: &Context, args: &Route) -> Result<()> {
    match (&args.line, &args.to) {
        (Some(line), Some(leaf)) => place(context, line, leaf, args.reason.as_deref().unwrap_or_default()),
        (Some(line), None) => show(context, line),
        (None, _) => waiting(context, args.master.as_deref()),
    }
}

fn place(context: &Context, line: &str, leaf: &str, reason: &str) -> Result<()> {
    let db = context.open_treasury()?;
    let posted = {
        let (line, leaf, reason) = (line.to_owned(), leaf.to_owned(), reason.to_owned());
        db.write("allocation.reroute", &context.who, move |tx| allocation::reroute(tx, &line, &leaf, &reason))?
    };
    if context.json {
        return print_json(&json!({ "line": line, "to": leaf, "entry": posted.number }));
    }
    say!("line {line} is placed on {leaf} by entry {}", posted.number);
    Ok(())
}

fn show(context: &Context, line: &str) -> Result<()> {
    if line.starts_with("opening:") {
        // It has no routes: it waits until it is placed as a whole.
        return waiting(context, line.strip_prefix("opening:"));
    }
    let db = context.open_to_read()?;
    let routes = db.read(|conn| {
        let line = line.split('/').next().unwrap_or(line);
        crate::statements::line(conn, line)?;
        allocation::routes_of(conn, line)
    })?;
    if context.json {
        let all: Vec<Value> = routes
            .iter()
            .map(|r| {
                json!({
                    "seq": r.seq, "payment": r.detail.map(|d| d + 1), "entry": r.entry, "evidence": r.evidence, "rule": r.rule, "version": r.version,
                    "matched": serde_json::from_str::<Value>(&r.matched).unwrap_or_default(), "why": r.sentence, "suspense": r.suspense,
                    "decided_by": r.decided_by, "decided_at": crate::time::rfc3339(crate::time::from_stored(r.decided_at)),
                })
            })
            .collect();
        return print_json(&json!({ "line": line, "routes": all }));
    }
    let mut shown = table(&[">entry", ">payment", "evidence", "decided by", "~why"]);
    for r in routes {
        shown.add_row([r.entry.to_string(), payment(&r), r.evidence, r.decided_by, r.sentence]);
    }
    say!("{shown}");
    Ok(())
}

fn payment(route: &allocation::RouteRow) -> String {
    route.detail.map_or_else(|| "all".to_owned(), |d| (d + 1).to_string())
}

fn waiting(context: &Context, master: Option<&str>) -> Result<()> {
    let db = context.open_to_read()?;
    let lines = db.read(|conn| {
        if let Some(code) = master {
            crate::chart::master(conn, code)?;
        }
        allocation::waiting(conn, master)
    })?;
    let amount = |currency: &str, minor: i64| -> Result<String> {
        let currency = currency.parse().map_err(|e: crate::money::Problem| Error::Broken(e.to_string()))?;
        Ok(Minor(minor).to_text(currency))
    };
    if context.json {
        let mut all = Vec::with_capacity(lines.len());
        for l in &lines {
            let mut one = serde_json::to_value(l).map_err(|e| Error::Broken(e.to_string()))?;
            one["amount"] = Value::String(amount(&l.currency, l.minor)?);
            all.push(one);
        }
        return print_json(&json!({ "waiting": all }));
    }
    if lines.is_empty() {
        say!("Nothing waits in suspense.");
        return Ok(());
    }
    let mut shown =
        table(&["line", "master", "booked", ">amount", "", "~counterparty", "~remittance", "~why it waits"]);
    for l in &lines {
        let amount = grouped(&amount(&l.currency, l.minor)?);
        shown.add_row([
            l.line.clone(),
            l.master.clone(),
            l.booked_on.to_string(),
            amount,
            l.currency.clone(),
            l.counterparty.clone().unwrap_or_default(),
            l.remittance.clone().unwrap_or_default(),
            l.why.clone(),
        ]);
    }
    say!("{shown}");
    let count = if lines.len() == 1 { "1 line waits".to_owned() } else { format!("{} lines wait", lines.len()) };
    say!("{count}; `tributary route LINE --to LEAF --reason WHY` places one.");
    Ok(())
}
