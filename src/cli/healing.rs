//! `tributary statement accept|reject|withdraw|breaks|profile`: what people decide where the bank's messages disagree.

use super::table::table;
use super::{Context, print_json, remote};
use crate::allocation::{self, intake};
use crate::error::{Error, Result};
use crate::statements::{self, Contradictions, Notified, Profile, Reports};
use serde_json::{Value, json};

/// A decision on a statement that waits.
#[derive(Debug, clap::Args)]
pub struct Decide {
    /// The statement's id, as `tributary statement breaks` lists it
    statement: String,
    /// Why, kept with the decision
    #[arg(long)]
    reason: String,
    /// Through the server, as the person who has signed in with `tributary login`
    #[arg(long)]
    server: bool,
}

impl Decide {
    /// The same decision, asked of the server.
    fn through_the_server(&self, context: &Context, what: &str) -> Result<()> {
        let path = format!("/v1/statements/{}/{what}", remote::part(&self.statement));
        remote::change(context, &path, &json!({ "reason": self.reason }), |answer| {
            format!("statement {} is {}", self.statement, answer["state"].as_str().unwrap_or_default())
        })
    }
}

/// A line to be taken back.
#[derive(Debug, clap::Args)]
pub struct Withdraw {
    /// The line's id, as `tributary statement breaks` lists it
    line: String,
    /// Why, kept with the line's routes
    #[arg(long)]
    reason: String,
    /// Through the server, as the person who has signed in with `tributary login`
    #[arg(long)]
    server: bool,
}

/// How a bank reports on a master.
#[derive(Debug, clap::Args)]
pub struct SetProfile {
    /// The master's code
    master: String,
    /// What a credit is worth that a report or notification calls booked: unconfirmed (held until a statement has it) or final
    #[arg(long, value_parser = ["unconfirmed", "final"])]
    notified: Option<String>,
    /// Whether each report of a day tells of all of it so far (cumulative) or of what is new (delta)
    #[arg(long, value_parser = ["cumulative", "delta"])]
    reports: Option<String>,
    /// What becomes of a statement that contradicts itself: wait (for a person) or accept
    #[arg(long, value_parser = ["wait", "accept"])]
    contradictions: Option<String>,
}

pub fn accept(context: &Context, decide: &Decide) -> Result<()> {
    if decide.server {
        return decide.through_the_server(context, "accept");
    }
    let db = context.open_treasury()?;
    let bar = context.progress(0, "lines");
    let row = intake::accept_waiting(&db, &context.who, &decide.statement, &decide.reason, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    if context.json {
        return print_json(&json!({ "statement": row.id, "state": row.state, "in_place_of": row.same_as }));
    }
    match &row.same_as {
        Some(earlier) => say!("statement {} is {} in place of {earlier}", row.id, row.state),
        None => say!("statement {} is {}", row.id, row.state),
    }
    Ok(())
}

pub fn reject(context: &Context, decide: &Decide) -> Result<()> {
    if decide.server {
        return decide.through_the_server(context, "reject");
    }
    let db = context.open_treasury()?;
    let (id, reason) = (decide.statement.clone(), decide.reason.clone());
    db.write("statement.decide", &context.who, move |tx| statements::reject_waiting(tx, &id, &reason))?;
    if context.json {
        return print_json(&json!({ "statement": decide.statement, "state": "rejected" }));
    }
    say!("statement {} is rejected; nothing of it is posted", decide.statement);
    Ok(())
}

pub fn withdraw(context: &Context, asked: &Withdraw) -> Result<()> {
    if asked.server {
        let path = format!("/v1/lines/{}/withdraw", remote::part(&asked.line));
        let done = |_: &Value| format!("line {} is withdrawn", asked.line);
        return remote::change(context, &path, &json!({ "reason": asked.reason }), done);
    }
    let db = context.open_treasury()?;
    let (line, reason) = (asked.line.clone(), asked.reason.clone());
    db.write("allocation.withdraw", &context.who, move |tx| allocation::withdraw_notified(tx, &line, &reason))?;
    if context.json {
        return print_json(&json!({ "line": asked.line, "posting": "withdrawn" }));
    }
    say!("line {} is withdrawn", asked.line);
    Ok(())
}

pub fn breaks(context: &Context) -> Result<()> {
    let db = context.open_to_read()?;
    let all = db.read(statements::breaks)?;
    if context.json {
        return print_json(&json!({ "breaks": all }));
    }
    if all.is_empty() {
        say!("nothing is open");
        return Ok(());
    }
    let mut shown = table(&["master", "break", "day", "of", "~what"]);
    for b in all {
        let day = b.day.map_or_else(String::new, |day| day.to_string());
        shown.add_row([b.master, b.kind.replace('_', " "), day, b.subject, b.what]);
    }
    say!("{shown}");
    Ok(())
}

pub fn profile(context: &Context, asked: &SetProfile) -> Result<()> {
    let changes = asked.notified.is_some() || asked.reports.is_some() || asked.contradictions.is_some();
    let db = if changes { context.open_treasury()? } else { context.open_to_read()? };
    let present = db.read(|conn| statements::profile(conn, &asked.master))?;
    let unknown = || Error::Broken("the command line let an unknown value through".to_owned());
    let chosen = |text: &Option<String>| text.clone();
    let new = Profile {
        notified: chosen(&asked.notified).map_or(Ok(present.notified), |t| Notified::parse(&t).ok_or_else(unknown))?,
        reports: chosen(&asked.reports).map_or(Ok(present.reports), |t| Reports::parse(&t).ok_or_else(unknown))?,
        contradictions: chosen(&asked.contradictions)
            .map_or(Ok(present.contradictions), |t| Contradictions::parse(&t).ok_or_else(unknown))?,
    };
    if changes {
        let master = asked.master.clone();
        db.write("statement.profile", &context.who, move |tx| statements::set_profile(tx, &master, new))?;
    }
    if context.json {
        return print_json(&json!({ "master": asked.master, "profile": new }));
    }
    say!(
        "{}: notified credits are {}, reports are {}, contradictions {}",
        asked.master,
        new.notified.as_str(),
        new.reports.as_str(),
        new.contradictions.as_str()
    );
    Ok(())
}
