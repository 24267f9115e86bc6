//! `tributary events`: the feed for people, and for whatever reads lines of JSON. The audit trail.

use super::table::table;
use super::{Context, print_line};
use crate::db::Db;
use crate::error::Result;
use crate::events::{self, Event, Filter};
use crate::scope::Scope;
use crate::time::Instant;
use serde_json::Value;
use std::time::Duration;

/// Events of a page.
const PAGE: usize = 1_000;
/// How often another process's database is looked at for what is new.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Which events.
#[derive(Debug, clap::Args)]
pub struct Events {
    /// All after this number; 0 for all there are [default: only the newest]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
    after: Option<i64>,
    /// Only kinds that begin so, such as statement or account.state; may be given several times
    #[arg(long, value_name = "PREFIX")]
    kind: Vec<String>,
    /// Only what happened to this: an account's code, a line's id, a role ...
    #[arg(long)]
    subject: Option<String>,
    /// Only what this actor did, such as operator:alice or person:ps_...
    #[arg(long)]
    actor: Option<String>,
    /// Recorded at this instant or later: 2026-03-02T09:00:00Z
    #[arg(long, value_name = "INSTANT")]
    from: Option<Instant>,
    /// Recorded before this instant
    #[arg(long, value_name = "INSTANT")]
    until: Option<Instant>,
    /// How many of the newest, when neither --after nor --from says where to begin
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    newest: u16,
    /// Go on with what is recorded from now on, until Ctrl-C
    #[arg(long)]
    follow: bool,
}

/// Runs the command.
pub fn run(context: &Context, args: &Events) -> Result<()> {
    let db = context.open_to_read()?;
    let filter = Filter {
        kinds: args.kind.clone(),
        subject: args.subject.clone(),
        actor: args.actor.clone(),
        from: args.from,
        until: args.until,
        last: None,
    };
    let mut printer = Printer { json: context.json, printed: 0 };
    let mut at = match args.after.or(args.from.map(|_| 0)) {
        Some(after) => after,
        None => {
            let page = db.read(|conn| events::newest(conn, &Scope::everything(), &filter, usize::from(args.newest)))?;
            printer.print(&page.events);
            page.next
        }
    };
    loop {
        let is_last = forth(&db, &filter, &mut at, &mut printer)?;
        if is_last && !args.follow {
            break;
        }
        if is_last {
            std::thread::sleep(LOOK_EVERY);
        }
    }
    if printer.printed == 0 && !context.json {
        eprintln!("tributary: no event is such; `tributary events --after 0` lists all");
    }
    Ok(())
}

/// Prints the next page; whether it was the last for now.
fn forth(db: &Db, filter: &Filter, at: &mut i64, printer: &mut Printer) -> Result<bool> {
    let page = db.read(|conn| events::page(conn, &Scope::everything(), filter, *at, PAGE))?;
    printer.print(&page.events);
    *at = page.next;
    Ok(page.is_last)
}

struct Printer {
    json: bool,
    printed: usize,
}

impl Printer {
    fn print(&mut self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        self.printed += events.len();
        if self.json {
            events.iter().for_each(|e| print_line(format_args!("{}", e.to_json())));
            return;
        }
        let mut lines = table(&[">number", "recorded at", "by", "what", "to", "~said"]);
        for e in events {
            let at = e.recorded_at.format("%Y-%m-%d %H:%M:%S").to_string();
            lines.add_row([&e.number.to_string(), &at, &e.actor, &e.kind, &e.subject, &said(e)]);
        }
        say!("{lines}");
    }
}

/// What an event says, in a line: what is other than before, or what is there.
fn said(event: &Event) -> String {
    let read = |text: &Option<String>| text.as_deref().and_then(|t| serde_json::from_str::<Value>(t).ok());
    let (before, after) = (read(&event.before), read(&event.after));
    let Some(Value::Object(after)) = &after else {
        return after.or(before).map(|v| short(&v)).unwrap_or_default();
    };
    let was = |name: &str| before.as_ref().and_then(|b| b.get(name));
    let changed = after.iter().filter(|(name, value)| was(name) != Some(*value) && !value.is_null());
    let words = changed.map(|(name, value)| match was(name).filter(|v| !v.is_null()) {
        Some(was) => format!("{name}: {} -> {}", short(was), short(value)),
        None => format!("{name}: {}", short(value)),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// A value without quotes, cut where a table would drown in it.
fn short(value: &Value) -> String {
    const MOST: usize = 80;
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text,
    }
}
