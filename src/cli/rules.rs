//! `tributary rules`: the rules and their versions, what a change would move among stored lines, and putting it in force.

use super::table::{grouped, table};
use super::{Context, approvals, print_json, remote};
use crate::allocation::backtest::{self, Applied, Bounds, Change, Report};
use crate::allocation::changes::{RulesFile, Version};
use crate::allocation::{self, RuleRow};
use crate::error::{Error, Result};
use crate::four_eyes::{Change as Asked, Done};
use crate::money::Minor;
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What to do with the rules.
#[derive(Debug, clap::Subcommand)]
pub enum Rules {
    /// The rules in force, in the order in which they are tried
    List {
        /// Retired ones too
        #[arg(long)]
        all: bool,
    },
    /// Every version of a rule: what it said, who made it and when
    Show {
        /// The rule's code
        code: String,
    },
    /// Show what a changed file of rules would move among stored lines; nothing is written
    Test {
        /// TOML with [[rule]] tables, and retire = ["code"] for those that are no longer tried
        file: PathBuf,
        #[command(flatten)]
        days: Days,
        /// Line by line
        #[arg(long)]
        lines: bool,
    },
    /// Put a file of rules in force for lines to come; with --reroute also for stored ones
    Apply {
        /// TOML with [[rule]] tables, and retire = ["code"] for those that are no longer tried
        file: PathBuf,
        /// Move stored lines as `rules test` has shown
        #[arg(long, requires = "digest")]
        reroute: bool,
        /// The digest that `rules test` has shown, for the same file and days
        #[arg(long, requires = "reroute")]
        digest: Option<String>,
        #[command(flatten)]
        days: Days,
        /// Through the server, as the person who has signed in with `tributary login`
        #[arg(long)]
        server: bool,
    },
    /// Try a rule no longer; lines that it has placed stay where they are
    Retire {
        /// The rule's code
        code: String,
    },
}

/// Which stored lines.
#[derive(Debug, clap::Args)]
pub struct Days {
    /// From this booking day
    #[arg(long, value_name = "DAY")]
    from: Option<NaiveDate>,
    /// Up to this booking day
    #[arg(long, value_name = "DAY")]
    to: Option<NaiveDate>,
    /// Also lines that people have placed
    #[arg(long)]
    including_decided_by_people: bool,
}

impl Days {
    fn bounds(&self) -> Bounds {
        Bounds { from: self.from, to: self.to, decided_by_people: self.including_decided_by_people }
    }

    fn given(&self) -> bool {
        self.bounds() != Bounds::default()
    }
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &Rules) -> Result<()> {
    match command {
        Rules::List { all } => list(context, *all),
        Rules::Show { code } => show(context, code),
        Rules::Test { file, days, lines } => test(context, &read(file)?, &days.bounds(), *lines),
        Rules::Apply { file, digest, days, server: true, .. } if digest.is_some() || !days.given() => {
            apply_on_server(context, &read(file)?, digest.as_deref(), &days.bounds())
        }
        Rules::Apply { file, digest: Some(digest), days, .. } => reroute(context, read(file)?, days.bounds(), digest),
        Rules::Apply { days, .. } if days.given() => Err(Error::Refused {
            code: "bad_rules",
            message: "days and people say which stored lines to move: give --reroute and --digest with them".to_owned(),
        }),
        Rules::Apply { file, .. } => apply(context, read(file)?),
        Rules::Retire { code } => apply(context, RulesFile { retire: vec![code.clone()], ..RulesFile::default() }),
    }
}

fn read(path: &Path) -> Result<RulesFile> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Error::NotFound(format!("cannot read {}: {e}", path.display())))?;
    RulesFile::parse(&text).map_err(|e| e.within(path.display()))
}

fn list(context: &Context, all: bool) -> Result<()> {
    let rows = context.open_to_read()?.read(|conn| {
        let mut rows = allocation::rules(conn)?;
        if all {
            let versions = allocation::rule_versions(conn)?;
            let newest = versions.chunk_by(|a, b| a.code == b.code).filter_map(|v| v.last());
            rows.extend(newest.filter(|r| r.state != "active").cloned());
        }
        Ok(rows)
    })?;
    if context.json {
        return print_json(&json!({ "rules": rows.iter().map(version_json).collect::<Vec<_>>() }));
    }
    if rows.is_empty() {
        say!("There are no rules; `tributary rules apply FILE.toml` makes some (docs/rules.md).");
        return Ok(());
    }
    let mut shown = table(&["rule", ">version", ">priority", "state", "~when", "~to"]);
    for row in &rows {
        let definition = definition(row);
        shown.add_row([
            row.code.clone(),
            row.version.to_string(),
            row.priority.to_string(),
            state(row, &definition).to_owned(),
            words(&definition["when"]),
            targets(&definition["to"]),
        ]);
    }
    say!("{shown}");
    Ok(())
}

fn show(context: &Context, code: &str) -> Result<()> {
    let mut rows = context.open_to_read()?.read(allocation::rule_versions)?;
    rows.retain(|r| r.code == code);
    if rows.is_empty() {
        return Err(Error::NotFound(format!("there is no rule {code}; `tributary rules list` shows all")));
    }
    if context.json {
        return print_json(&json!({ "rule": code, "versions": rows.iter().map(version_json).collect::<Vec<_>>() }));
    }
    let mut shown = table(&[">version", "state", ">priority", "~when", "~to", "by", "at"]);
    for row in &rows {
        let definition = definition(row);
        shown.add_row([
            row.version.to_string(),
            state(row, &definition).to_owned(),
            row.priority.to_string(),
            words(&definition["when"]),
            targets(&definition["to"]),
            row.made_by.clone(),
            crate::time::rfc3339(crate::time::from_stored(row.made_at)),
        ]);
    }
    say!("{shown}");
    Ok(())
}

fn definition(row: &RuleRow) -> Value {
    serde_json::from_str(&row.definition).unwrap_or_default()
}

fn state<'a>(row: &'a RuleRow, definition: &Value) -> &'a str {
    if row.state == "active" && definition["suggests"] == json!(true) { "suggests" } else { &row.state }
}

/// Conditions in a line: `masters us-usd, counterparty "APPLE"`.
fn words(when: &Value) -> String {
    let word = |value: &Value| match value {
        Value::String(text) => format!("\"{text}\""),
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        other => other.to_string(),
    };
    let all = when.as_object().into_iter().flatten().map(|(field, value)| format!("{field} {}", word(value)));
    all.collect::<Vec<_>>().join(", ")
}

/// Targets in a line: `us-usd/tiktok/us/operating 60 %, us-usd/house/pool rest`.
fn targets(to: &Value) -> String {
    let target = |to: &Value| {
        let text = |field: &str| to[field].as_str().map(str::to_owned);
        let share = text("percent").map(|p| format!(" {p} %"));
        let share = share.or(text("amount").map(|a| format!(" {a}"))).or(text("up_to").map(|a| format!(" up to {a}")));
        let share = share.or((to["rest"] == json!(true)).then(|| " rest".to_owned())).unwrap_or_default();
        format!("{}{share}", text("leaf").unwrap_or_default())
    };
    to.as_array().into_iter().flatten().map(target).collect::<Vec<_>>().join(", ")
}

/// New versions of rules as a proposal shows them: what each said before, and what it would say.
pub(super) fn print_versions(versions: &[Value]) {
    let mut lines = table(&["rule", ">version", "", ">priority", "~when", "~to"]);
    for v in versions {
        let code = v["rule"].as_str().unwrap_or_default().to_owned();
        for (what, definition) in [("before", &v["before"]), ("after", &v["after"])] {
            let version = v["version"].as_i64().unwrap_or_default() - i64::from(what == "before");
            let cells = match definition {
                Value::Null if what == "before" => continue,
                Value::Null => ["retired".to_owned(), String::new(), String::new()],
                said => [said["priority"].to_string(), words(&said["when"]), targets(&said["to"])],
            };
            let [priority, when, to] = cells;
            lines.add_row([code.clone(), version.to_string(), what.to_owned(), priority, when, to]);
        }
    }
    say!("{lines}");
}

fn version_json(row: &RuleRow) -> Value {
    json!({
        "code": row.code, "version": row.version, "priority": row.priority, "state": row.state, "definition": definition(row),
        "made_by": row.made_by, "made_at": crate::time::rfc3339(crate::time::from_stored(row.made_at)),
    })
}

fn apply_on_server(context: &Context, file: &RulesFile, digest: Option<&str>, bounds: &Bounds) -> Result<()> {
    let body = json!({
        "rules": file.rule, "retire": file.retire, "digest": digest, "from": bounds.from, "to": bounds.to,
        "decided_by_people": bounds.decided_by_people,
    });
    remote::change(context, "/v1/rules", &body, |answer| {
        let all = answer["versions"].as_array().into_iter().flatten();
        let one = |v: &Value| format!("rule {} v{}: in force", v["code"].as_str().unwrap_or("?"), v["version"]);
        let all: Vec<String> = all.map(one).collect();
        if all.is_empty() { "no rule changes: all are as they were".to_owned() } else { all.join("\n") }
    })
}

fn apply(context: &Context, file: RulesFile) -> Result<()> {
    let db = context.open_treasury()?;
    let Some(done) = approvals::submit(context, &db, Asked::Rules(file))? else { return Ok(()) };
    let Done::Rules(versions) = done else { return Err(approvals::other(&done)) };
    if context.json {
        return print_json(&json!({ "versions": versions.iter().map(made_json).collect::<Vec<_>>() }));
    }
    say_versions(&versions, "in force");
    if !versions.is_empty() {
        say!("Lines that are stored stay where they are; `tributary rules test` shows what a change would move.");
    }
    Ok(())
}

fn made_json(version: &Version) -> Value {
    json!({ "code": version.code, "version": version.version, "state": version.state })
}

pub(super) fn say_versions(versions: &[Version], what: &str) {
    if versions.is_empty() {
        say!("no rule changes: all are as they were");
    }
    for v in versions {
        let became = if v.state == "active" { what } else { v.state };
        say!("rule {} v{}: {became}", v.code, v.version);
    }
}

fn amount(currency: &str, minor: i128) -> Result<String> {
    let currency = currency.parse().map_err(|e: crate::money::Problem| Error::Broken(e.to_string()))?;
    let minor = Minor::from_sum(minor).map_err(|e| Error::Broken(e.to_string()))?;
    Ok(minor.to_text(currency))
}

fn test(context: &Context, file: &RulesFile, bounds: &Bounds, by_line: bool) -> Result<()> {
    let db = context.open_to_read()?;
    let mut changes: Vec<Change> = Vec::new();
    let report = db.read(|conn| {
        backtest::run(conn, file, bounds, &mut |change| {
            if by_line {
                changes.push(change);
            }
            Ok(())
        })
    })?;
    if context.json {
        let mut shown = report_json(&report)?;
        if by_line {
            shown["moves"] = Value::Array(changes.iter().map(change_json).collect::<Result<_>>()?);
        }
        return print_json(&shown);
    }
    say_versions(&report.versions, "would be in force");
    if by_line && !changes.is_empty() {
        let mut shown = table(&["line", "booked", ">amount", "", "~counterparty", "from", "to", ">moves"]);
        for change in &changes {
            for flow in &change.flows {
                shown.add_row([
                    change.line.clone(),
                    change.booked_on.to_string(),
                    grouped(amount(&change.currency, change.amount.into())?),
                    change.currency.clone(),
                    change.counterparty.clone().unwrap_or_default(),
                    flow.from.clone(),
                    flow.to.clone(),
                    grouped(amount(&change.currency, flow.minor.into())?),
                ]);
            }
        }
        say!("\n{shown}");
    }
    say_report(&report)?;
    if report.moved > 0 {
        say!(
            "\nNothing was moved. `tributary rules apply FILE --reroute --digest {}` moves exactly this.",
            report.digest
        );
    }
    Ok(())
}

/// What moves in all, by leaves and by products.
fn say_report(report: &Report) -> Result<()> {
    if report.moved == 0 {
        say!("\n{} stored lines were looked at, and none moves", report.lines);
    } else {
        let mut shown = table(&["master", "from", "to", ">moves", ">amount", ""]);
        for t in &report.totals {
            let (from, to) = (t.from.0.clone(), t.to.0.clone());
            let sum = grouped(amount(&t.currency, t.minor)?);
            shown.add_row([t.master.clone(), from, to, t.moves.to_string(), sum, t.currency.clone()]);
        }
        say!("\n{shown}");
        let mut shown = table(&["from product", "to product", ">moves", ">amount", ""]);
        for ((from, to, currency), (moves, minor)) in report.by_product() {
            shown.add_row([from, to, moves.to_string(), grouped(amount(&currency, minor)?), currency]);
        }
        say!("\n{shown}");
        say!(
            "\n{} of {} stored lines move; {} of them wait now and are placed, {} are placed now and wait",
            report.moved,
            report.lines,
            report.newly_placed,
            report.newly_waiting
        );
    }
    if report.stuck > 0 {
        say!(
            "{} lines stay where they are: a rule holds for them and cannot place, since its leaf is closed or not there",
            report.stuck
        );
    }
    Ok(())
}

fn report_json(report: &Report) -> Result<Value> {
    let mut totals = Vec::with_capacity(report.totals.len());
    for t in &report.totals {
        totals.push(json!({
            "master": t.master, "currency": t.currency, "from": t.from.0, "from_product": t.from.1, "to": t.to.0,
            "to_product": t.to.1, "moves": t.moves, "amount": amount(&t.currency, t.minor)?,
        }));
    }
    Ok(json!({
        "versions": report.versions.iter().map(made_json).collect::<Vec<_>>(), "lines": report.lines, "moved": report.moved,
        "newly_placed": report.newly_placed, "newly_waiting": report.newly_waiting, "stuck": report.stuck, "totals": totals,
        "digest": report.digest,
    }))
}

fn change_json(change: &Change) -> Result<Value> {
    let mut flows = Vec::with_capacity(change.flows.len());
    for flow in &change.flows {
        let moves = amount(&change.currency, flow.minor.into())?;
        flows.push(json!({ "from": flow.from, "to": flow.to, "amount": moves }));
    }
    let why: Vec<&str> = change.placements.iter().map(|p| p.decision.sentence.as_str()).collect();
    Ok(json!({
        "line": change.line, "master": change.master, "currency": change.currency, "booked_on": change.booked_on,
        "amount": amount(&change.currency, change.amount.into())?, "counterparty": change.counterparty, "flows": flows, "why": why,
    }))
}

fn reroute(context: &Context, file: RulesFile, bounds: Bounds, digest: &str) -> Result<()> {
    let db = context.open_treasury()?;
    let asked = Asked::BackTest { file, bounds, digest: digest.to_owned() };
    let Some(done) = approvals::submit(context, &db, asked)? else { return Ok(()) };
    let Done::BackTest(applied) = done else { return Err(approvals::other(&done)) };
    if context.json {
        let Applied { report, moved, refused } = *applied;
        let mut shown = report_json(&report)?;
        shown["rerouted"] = json!(moved);
        let refused = refused.iter().map(|r| json!({ "line": r.line, "code": r.code, "message": r.why }));
        shown["refused"] = Value::Array(refused.collect());
        return print_json(&shown);
    }
    say_applied(&applied)
}

/// What applying a back-test has done.
pub(super) fn say_applied(applied: &Applied) -> Result<()> {
    let Applied { report, moved, refused } = applied;
    say_versions(&report.versions, "in force");
    say_report(report)?;
    say!("{moved} lines are moved");
    if !refused.is_empty() {
        let mut shown = table(&["line", "refused", "~why"]);
        for r in refused {
            shown.add_row([&r.line, &r.code, &r.why]);
        }
        say!("\n{shown}\n{} lines stay where they are; the rules are in force all the same.", refused.len());
    }
    Ok(())
}
