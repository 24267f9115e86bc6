//! What is done again and again, by `folder watch` and by a server: folders are looked into, statements that are due and not here are
//! told, work that a crash interrupted goes on, and what has had its time ends.
//!
//! Whatever goes wrong is said once, and tried again at the next look.

use super::folder::{self, Declared};
use super::{Context, print_line};
use crate::allocation::intake;
use crate::approvals;
use crate::db::{Db, Who};
use crate::error::Result;
use crate::expectations;
use crate::folders::{self, Memory, Outcome, State, Taken};
use crate::statements::alarms;
use crate::time::{Clock, Instant, SystemClock};
use chrono::TimeDelta;
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often what is due by the minute is looked for.
const EVERY_MINUTE: TimeDelta = TimeDelta::seconds(60);

/// Whose database it is that rounds are made on.
pub(super) enum Treasury<'a> {
    /// Opened only while there is something to write: on SQLite that takes the writer's lock, and other commands must get their
    /// turn. What is done is printed.
    Shared(&'a Context),
    /// A server's own, open anyway. What is done is logged.
    Served(&'a Db),
}

enum Opened<'a> {
    Now(Db),
    Anyway(&'a Db),
}

impl Deref for Opened<'_> {
    type Target = Db;

    fn deref(&self) -> &Db {
        match self {
            Opened::Now(db) => db,
            Opened::Anyway(db) => db,
        }
    }
}

impl<'a> Treasury<'a> {
    fn to_write(&self) -> Result<Opened<'a>> {
        Ok(match self {
            Treasury::Shared(context) => Opened::Now(context.open_treasury()?),
            Treasury::Served(db) => Opened::Anyway(db),
        })
    }

    fn to_read(&self) -> Result<Opened<'a>> {
        Ok(match self {
            Treasury::Shared(context) => Opened::Now(context.open_to_read()?),
            Treasury::Served(db) => Opened::Anyway(db),
        })
    }

    /// News that is nobody's fault: `shown` as a document, `sentence` for people.
    fn tell(&self, shown: &serde_json::Value, sentence: &str) {
        match self {
            Treasury::Shared(context) if context.json => print_line(format_args!("{shown}")),
            Treasury::Shared(_) => print_line(format_args!("{sentence}")),
            Treasury::Served(_) => tracing::info!("{sentence}"),
        }
    }

    fn warn(&self, what: &str) {
        match self {
            Treasury::Shared(_) => eprintln!("tributary: {what}"),
            Treasury::Served(_) => tracing::warn!("{what}"),
        }
    }
}

/// Rounds on one database, and what they remember.
pub(super) struct Rounds<'a> {
    treasury: Treasury<'a>,
    who: &'a Arc<Who>,
    declared: Vec<Declared>,
    memories: Vec<Memory>,
    stop: &'a AtomicBool,
    /// What was said last of each thing, so that it is said once.
    said: BTreeMap<String, String>,
    minute_at: Option<Instant>,
    /// Whether there may be imports that a crash interrupted.
    unfinished: bool,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(
        treasury: Treasury<'a>,
        who: &'a Arc<Who>,
        declared: Vec<Declared>,
        stop: &'a AtomicBool,
    ) -> Rounds<'a> {
        let memories = declared.iter().map(|_| Memory::default()).collect();
        Rounds { treasury, who, declared, memories, stop, said: BTreeMap::new(), minute_at: None, unfinished: true }
    }

    /// Looks once at everything whose turn it is.
    pub(super) fn make(&mut self) {
        let now = SystemClock.now();
        let mut still_said = Vec::new();
        if self.unfinished {
            let db = self.treasury.to_write();
            let done = db.and_then(|db| intake::resume(&db, self.who, &mut |_, _| {})).map(drop);
            self.unfinished = done.is_err();
            self.problem("interrupted imports", done, &mut still_said);
        }
        for at in 0..self.declared.len() {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.folder(at, now, &mut still_said);
        }
        if self.minute_at.is_none_or(|at| now - at >= EVERY_MINUTE || now < at) {
            self.minute_at = Some(now);
            let done = self.alarms(now);
            self.problem("alarms", done, &mut still_said);
            let done = self.expire();
            self.problem("what has had its time", done, &mut still_said);
        }
        // What is not so any more is said again when it is so again.
        let each_minute = |key: &str| key == "alarms" || key == "what has had its time";
        self.said.retain(|key, _| still_said.contains(key) || each_minute(key));
    }

    fn folder(&mut self, at: usize, now: Instant, still_said: &mut Vec<String>) {
        let (Some(declared), Some(memory)) = (self.declared.get(at), self.memories.get_mut(at)) else { return };
        let name = declared.folder.name.clone();
        let looked = folders::look(&declared.folder, memory, now);
        let looked = looked.map(|found| folders::without_leftovers(&declared.folder, found, now));
        let something = looked.as_ref().map_or(true, |f| f.iter().any(|f| f.state == State::Ready));
        let (mut heard, stop) = (Vec::new(), self.stop);
        let mut told = |taken: &Taken| heard.push(taken.clone());
        let done = match looked {
            // Nothing to write: the database is left to others.
            Ok(found) if !something => {
                found.iter().filter_map(|f| folders::stays(&declared.folder, f)).for_each(|t| told(&t));
                Ok(())
            }
            _ => self.treasury.to_write().and_then(|db| {
                folder::one_round(&db, self.who, declared, memory, &|| stop.load(Ordering::Relaxed), &mut told)
            }),
        };
        for taken in heard {
            self.tell(&taken, still_said);
        }
        self.problem(&format!("folder {name}"), done, still_said);
    }

    /// Records which statements are due and not here, or came after all.
    fn alarms(&self, now: Instant) -> Result<()> {
        let changes = self.treasury.to_read()?.read(|conn| alarms::changes(conn, now))?;
        if changes.is_empty() {
            return Ok(());
        }
        let db = self.treasury.to_write()?;
        for change in alarms::record(&db, self.who, now)? {
            self.treasury.tell(&json!({ "alarm": change }), &change.to_string());
        }
        Ok(())
    }

    /// Ends expected receipts and proposals whose time is over. A server does: others would keep the writer's lock from each other each
    /// minute, and have `expect expire`.
    fn expire(&self) -> Result<()> {
        let Treasury::Served(db) = &self.treasury else { return Ok(()) };
        for key in db.write("expectation.expire", self.who, expectations::expire)? {
            let what = format!("the receipt {key} was expected until now and has not come");
            self.treasury.tell(&json!({ "expired": key }), &what);
        }
        db.write("proposal.expire", self.who, approvals::expire).map(drop)
    }

    /// Says what became of a file; what stays as it is, is said once.
    fn tell(&mut self, taken: &Taken, still_said: &mut Vec<String>) {
        if matches!(taken.outcome, Outcome::Waits | Outcome::LeftAlone | Outcome::Failed) {
            let key = format!("{}/{}", taken.folder, taken.file);
            still_said.push(key.clone());
            // How long ago something changed is another figure at each look, and the same news.
            let what: String = taken.said.chars().filter(|c| !c.is_ascii_digit()).collect();
            if self.said.insert(key, what.clone()).as_ref() == Some(&what) {
                return;
            }
        }
        self.treasury.tell(&json!(taken), &folder::sentence(taken));
    }

    fn problem(&mut self, key: &str, done: Result<()>, still_said: &mut Vec<String>) {
        let Err(e) = done else {
            self.said.remove(key);
            return;
        };
        still_said.push(key.to_owned());
        let what = format!("{key}: {e}; tried again at the next look");
        if self.said.insert(key.to_owned(), what.clone()).as_ref() != Some(&what) {
            self.treasury.warn(&what);
        }
    }
}
