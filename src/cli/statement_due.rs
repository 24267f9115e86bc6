//! `tributary statement due`: statements that should be here and are not; that they are missing is recorded.

use super::table::table;
use super::{Context, print_json};
use crate::error::{Error, Result};
use crate::statements::alarms;
use crate::statements::due::{self, DueList};
use crate::time::{Clock, Instant, SystemClock, rfc3339};
use chrono::NaiveDate;
use serde_json::json;

/// How many are listed for people; with --json all are.
const LISTED: usize = 50;

/// Which are asked for.
#[derive(Debug, clap::Args)]
pub struct Due {
    /// Only of this master
    #[arg(long, value_name = "CODE")]
    master: Option<String>,
    /// Only of this day and later [default: the master's cut-over]
    #[arg(long, value_name = "DATE")]
    since: Option<NaiveDate>,
    /// Due by this instant, such as 2026-03-03T09:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT")]
    at: Option<Instant>,
    /// Exit with 1 when one is missing
    #[arg(long)]
    fail: bool,
}

/// Lists them.
pub fn run(context: &Context, args: &Due) -> Result<()> {
    let until = args.at.unwrap_or_else(|| SystemClock.now());
    // What would be due at another time is only asked.
    if args.at.is_none() {
        record(context, until)?;
    }
    let list = context.open_to_read()?.read(|conn| due::due_list(conn, args.master.as_deref(), args.since, until))?;
    if context.json {
        let mut shown = serde_json::to_value(&list).map_err(|e| Error::Broken(e.to_string()))?;
        shown["at"] = json!(rfc3339(until));
        print_json(&shown)?;
    } else {
        print(&list);
    }
    if args.fail && !list.missing.is_empty() {
        let count = list.missing.len();
        let message = format!(
            "{count} statement{} should be here and {}",
            if count == 1 { "" } else { "s" },
            if count == 1 { "is not" } else { "are not" }
        );
        return Err(Error::Refused { code: "statements_missing", message });
    }
    Ok(())
}

/// Records what is missing now, once for each message. Where that cannot be, since another process is writing or
/// the caller may only read, it is left to the next look: the list is as true without it.
fn record(context: &Context, now: Instant) -> Result<()> {
    if context.open_to_read()?.read(|conn| alarms::changes(conn, now))?.is_empty() {
        return Ok(());
    }
    match context.open_treasury().and_then(|db| alarms::record(&db, &context.who, now)) {
        Ok(_) => {}
        Err(e) => eprintln!("tributary: not recorded now: {e}"),
    }
    Ok(())
}

fn print(list: &DueList) {
    if !list.missing.is_empty() {
        let mut lines = table(&["master", "missing", "of", "due by", "recorded at", "calendar"]);
        for m in list.missing.iter().take(LISTED) {
            let (day, due_at) = (m.due.day.to_string(), rfc3339(m.due.due_at));
            let told = m.told_at.map(rfc3339).unwrap_or_default();
            lines.add_row([m.master.as_str(), m.role, &day, &due_at, &told, &m.calendar]);
        }
        say!("{lines}");
    }
    if list.missing.len() > LISTED {
        say!("and {} more; --since DATE leaves older ones out", list.missing.len() - LISTED);
    }
    if !list.late.is_empty() {
        let mut lines = table(&["master", "was missing", "of", "due by", "what became of it", "seen at"]);
        for l in list.late.iter().rev().take(LISTED) {
            let (day, due_at, seen) = (l.due.day.to_string(), rfc3339(l.due.due_at), rfc3339(l.ended_at));
            lines.add_row([l.master.as_str(), &l.role, &day, &due_at, &l.ended.replace('_', " "), &seen]);
        }
        say!("{lines}");
    }
    say!("{} were due, {} are missing", list.expected, list.missing.len());
    if !list.without_expectation.is_empty() {
        let codes = list.without_expectation.join(", ");
        say!("nothing is expected of {codes}: statement_by in the treasury file says until when");
    }
}
