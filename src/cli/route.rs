//! `tributary route`: what waits in suspense and why, what suggests itself for it, and placing it by a person.

use super::table::{grouped, table};
use super::{Context, approvals, print_json, remote};
use crate::allocation;
use crate::allocation::suggest::{Reason, Suggestion};
use crate::error::{Error, Result};
use crate::four_eyes::{Change, Done};
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
    /// Place it through the server, as the person who has signed in with `tributary login`
    #[arg(long, requires = "to")]
    server: bool,
    /// Only lines of this master
    #[arg(long)]
    master: Option<String>,
    #[command(subcommand)]
    ask: Option<Ask>,
}

/// What else there is to ask.
#[derive(Debug, clap::Subcommand)]
enum Ask {
    /// For what waits: the leaves that people chose for lines like it, with the reason; nothing is placed
    Suggest {
        /// Only for this line
        line: Option<String>,
        /// Only for lines of this master
        #[arg(long)]
        master: Option<String>,
    },
    /// Transfers between own masters of which only one side has come
    Transfers,
}

/// Runs it.
pub fn run(context: &Context, args: &Route) -> Result<()> {
    match (&args.ask, &args.line, &args.to) {
        (Some(Ask::Suggest { line, master }), ..) => suggest(context, line.as_deref(), master.as_deref()),
        (Some(Ask::Transfers), ..) => transfers(context),
        (None, Some(line), Some(leaf)) if args.server => {
            place_on_server(context, line, leaf, args.reason.as_deref().unwrap_or_default())
        }
        (None, Some(line), Some(leaf)) => place(context, line, leaf, args.reason.as_deref().unwrap_or_default()),
        (None, Some(line), None) => show(context, line),
        (None, None, _) => waiting(context, args.master.as_deref()),
    }
}

fn place(context: &Context, line: &str, leaf: &str, reason: &str) -> Result<()> {
    let db = context.open_treasury()?;
    let change = Change::Reroute { line: line.to_owned(), leaf: leaf.to_owned(), reason: reason.to_owned() };
    let Some(done) = approvals::submit(context, &db, change)? else { return Ok(()) };
    let Done::Reroute(posted) = done else { return Err(approvals::other(&done)) };
    if context.json {
        return print_json(&json!({ "line": line, "to": leaf, "entry": posted.number }));
    }
    say!("line {line} is placed on {leaf} by entry {}", posted.number);
    Ok(())
}

fn place_on_server(context: &Context, line: &str, leaf: &str, reason: &str) -> Result<()> {
    let body = json!({ "lines": [{ "line": line, "to": leaf, "reason": reason }] });
    let answer = remote::ask("POST", "/v1/lines/route", Some(&body), None)?;
    let item = &answer["lines"][0];
    if let Some(code) = item["code"].as_str() {
        return Err(remote::refused(code, item["detail"].as_str().unwrap_or_default()));
    }
    if context.json {
        return print_json(&json!({ "line": line, "to": leaf, "entry": item["entry"], "proposal": item["proposal"] }));
    }
    match item["proposal"].as_str() {
        Some(id) => say!("It waits for approval as {id}; somebody else decides on it at the server."),
        None => say!("line {line} is placed on {leaf} by entry {}", item["entry"]),
    }
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

fn amount(currency: &str, minor: i64) -> Result<String> {
    let currency = currency.parse().map_err(|e: crate::money::Problem| Error::Broken(e.to_string()))?;
    Ok(Minor(minor).to_text(currency))
}

fn suggest(context: &Context, line: Option<&str>, master: Option<&str>) -> Result<()> {
    let found = context.open_to_read()?.read(|conn| {
        if let Some(code) = master {
            crate::chart::master(conn, code)?;
        }
        allocation::recall::suggestions(conn, master, line)
    })?;
    if context.json {
        let mut all = Vec::with_capacity(found.len());
        for (waits, suggested) in &found {
            let reason = |r: &Reason| json!({ "by": r.by.as_str(), "count": r.count, "of": r.of, "last": r.last, "why": r.sentence });
            let leaf =
                |s: &Suggestion| json!({ "leaf": s.leaf, "reasons": s.reasons.iter().map(reason).collect::<Vec<_>>() });
            all.push(json!({
                "line": waits.line, "master": waits.master, "currency": waits.currency, "amount": amount(&waits.currency, waits.minor)?,
                "counterparty": waits.counterparty, "suggestions": suggested.iter().map(leaf).collect::<Vec<_>>(),
            }));
        }
        return print_json(&json!({ "waiting": all }));
    }
    if found.is_empty() {
        say!("No line waits in suspense.");
        return Ok(());
    }
    let mut shown = table(&["line", ">amount", "", "~counterparty", "leaf", "~because"]);
    let (mut with, mut without) = (0u64, 0u64);
    for (waits, suggested) in &found {
        let sum = grouped(&amount(&waits.currency, waits.minor)?);
        let party = waits.counterparty.clone().unwrap_or_default();
        *(if suggested.is_empty() { &mut without } else { &mut with }) += 1;
        // A line of which nothing is known is only shown when it is the one that was asked for.
        if suggested.is_empty() && line.is_some() {
            shown.add_row([
                waits.line.clone(),
                sum,
                waits.currency.clone(),
                party,
                "-".to_owned(),
                "nothing like it was placed by a person".to_owned(),
            ]);
            continue;
        }
        for (place, s) in suggested.iter().enumerate() {
            let of_line = |text: &str| if place == 0 { text.to_owned() } else { String::new() };
            let because = s.reasons.iter().map(|r| r.sentence.as_str()).collect::<Vec<_>>().join("; ");
            shown.add_row([
                of_line(&waits.line),
                of_line(&sum),
                of_line(&waits.currency),
                of_line(&party),
                s.leaf.clone(),
                because,
            ]);
        }
    }
    if with > 0 || line.is_some() {
        say!("{shown}");
    }
    say!(
        "{with} of {} waiting lines have suggestions; `tributary route LINE --to LEAF --reason WHY` places one.",
        with + without
    );
    Ok(())
}

fn transfers(context: &Context) -> Result<()> {
    let (open, masters) = context
        .open_to_read()?
        .read(|conn| Ok((allocation::transfers::under_way(conn)?, crate::chart::masters(conn)?)))?;
    let of = |id: &str| masters.iter().find(|m| m.id == id);
    let code = |id: &str| of(id).map_or_else(|| id.to_owned(), |m| m.code.clone());
    let mut rows = Vec::with_capacity(open.len());
    for side in &open {
        let currency = of(&side.master).map_or("", |m| m.currency.as_str());
        rows.push((side, currency, amount(currency, side.amount)?));
    }
    if context.json {
        let all = rows.iter().map(|(side, currency, amount)| {
            json!({
                "line": side.line, "payment": (side.detail >= 0).then_some(side.detail + 1), "master": code(&side.master),
                "other": code(&side.other), "valued_on": side.valued_on, "amount": amount, "currency": currency,
                "end_to_end_id": side.end_to_end_id,
            })
        });
        return print_json(&json!({ "under_way": all.collect::<Vec<_>>() }));
    }
    if rows.is_empty() {
        say!("Of each transfer between own masters both sides have come.");
        return Ok(());
    }
    let mut shown = table(&["line", "on", "other side", "valued", ">amount", "", "has"]);
    for (side, currency, amount) in &rows {
        let has = if side.amount < 0 { "left, not arrived" } else { "arrived, not left" };
        shown.add_row([
            side.line.clone(),
            code(&side.master),
            code(&side.other),
            side.valued_on.to_string(),
            grouped(amount),
            (*currency).to_owned(),
            has.to_owned(),
        ]);
    }
    say!("{shown}");
    Ok(())
}

fn waiting(context: &Context, master: Option<&str>) -> Result<()> {
    let db = context.open_to_read()?;
    let lines = db.read(|conn| {
        if let Some(code) = master {
            crate::chart::master(conn, code)?;
        }
        allocation::waiting(conn, master)
    })?;
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
