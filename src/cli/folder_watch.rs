//! `tributary folder watch`: looks again and again until it is told to stop.
//!
//! The database is opened only while there is something to write: on SQLite that takes the writer's lock, and other
//! commands must get their turn. Whatever goes wrong is said once, and tried again at the next look.

use super::folder::{self, Declared};
use super::{Context, print_line};
use crate::allocation::intake;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::folders::{self, Memory, Outcome, State, Taken};
use crate::statements::alarms;
use crate::time::{Clock, Instant, SystemClock};
use chrono::TimeDelta;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How often statements that are due are looked for: they are due by the minute.
const ALARMS_EVERY: TimeDelta = TimeDelta::seconds(60);

/// How to watch.
#[derive(Debug, clap::Args)]
pub struct Watch {
    /// Only these folders
    names: Vec<String>,
    /// Seconds from one look to the next
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

/// Watches.
pub fn run(context: &Context, args: &Watch) -> Result<()> {
    let declared = folder::declared(context, &args.names)?;
    if declared.is_empty() {
        return Err(Error::NotFound("no folder is declared in the configuration; docs/folders.md says how".to_owned()));
    }
    // A mistyped database is said at once, and not at the first file.
    drop(context.open_to_read()?);
    let (stop, stopped) = on_signals()?;
    let mut watcher = Watcher {
        context,
        memories: declared.iter().map(|_| Memory::default()).collect(),
        declared,
        stop,
        said: BTreeMap::new(),
        alarms_at: None,
        unfinished: true,
    };
    if !context.json {
        let names: Vec<&str> = watcher.declared.iter().map(|d| d.folder.name.as_str()).collect();
        eprintln!("tributary: watching {}, every {} s; Ctrl-C ends it", names.join(", "), args.every);
    }
    loop {
        watcher.round();
        match stopped.recv_timeout(Duration::from_secs(args.every)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if !context.json {
        eprintln!("tributary: stopped; nothing is half done");
    }
    Ok(())
}

/// Set and told at the first SIGINT or SIGTERM; the second one ends the program at once, which loses nothing either.
pub(super) fn on_signals() -> Result<(Arc<AtomicBool>, Receiver<()>)> {
    let failed = |e: std::io::Error| Error::Broken(format!("cannot listen to signals: {e}"));
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop)).map_err(failed)?;
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let (tell, told) = channel();
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _ = tell.send(());
        }
    });
    Ok((stop, told))
}

struct Watcher<'a> {
    context: &'a Context,
    declared: Vec<Declared>,
    memories: Vec<Memory>,
    stop: Arc<AtomicBool>,
    /// What was said last of each thing, so that it is said once.
    said: BTreeMap<String, String>,
    alarms_at: Option<Instant>,
    /// Whether there may be imports that a crash interrupted.
    unfinished: bool,
}

impl Watcher<'_> {
    fn round(&mut self) {
        let now = SystemClock.now();
        let mut still_said = Vec::new();
        if self.unfinished {
            let db = self.context.open_treasury();
            let done = db.and_then(|db| intake::resume(&db, &self.context.who, &mut |_, _| {})).map(drop);
            self.unfinished = done.is_err();
            self.problem("interrupted imports", done, &mut still_said);
        }
        for at in 0..self.declared.len() {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.folder(at, now, &mut still_said);
        }
        if self.alarms_at.is_none_or(|at| now - at >= ALARMS_EVERY || now < at) {
            self.alarms_at = Some(now);
            let done = self.alarms(now);
            self.problem("alarms", done, &mut still_said);
        }
        // What is not so any more is said again when it is so again.
        self.said.retain(|key, _| still_said.contains(key) || key == "alarms");
    }

    fn folder(&mut self, at: usize, now: Instant, still_said: &mut Vec<String>) {
        let (Some(declared), Some(memory)) = (self.declared.get(at), self.memories.get_mut(at)) else { return };
        let name = declared.folder.name.clone();
        let looked = folders::look(&declared.folder, memory, now);
        let looked = looked.map(|found| folders::without_leftovers(&declared.folder, found, now));
        let something = looked.as_ref().map_or(true, |f| f.iter().any(|f| f.state == State::Ready));
        let (mut heard, stop) = (Vec::new(), Arc::clone(&self.stop));
        let mut told = |taken: &Taken| heard.push(taken.clone());
        let done = match looked {
            // Nothing to write: the database is left to others.
            Ok(found) if !something => {
                found.iter().filter_map(|f| folders::stays(&declared.folder, f)).for_each(|t| told(&t));
                Ok(())
            }
            _ => self.context.open_treasury().and_then(|db| {
                folder::one_round(self.context, &db, declared, memory, &|| stop.load(Ordering::Relaxed), &mut told)
            }),
        };
        for taken in heard {
            self.tell(&taken, still_said);
        }
        self.problem(&format!("folder {name}"), done, still_said);
    }

    /// Records which statements are due and not here, or came after all.
    fn alarms(&self, now: Instant) -> Result<()> {
        let changes = self.context.open_to_read()?.read(|conn| alarms::changes(conn, now))?;
        if changes.is_empty() {
            return Ok(());
        }
        let db: Db = self.context.open_treasury()?;
        for change in alarms::record(&db, &self.context.who, now)? {
            if self.context.json {
                print_line(format_args!("{}", json!({ "alarm": change })));
            } else {
                print_line(format_args!("{change}"));
            }
        }
        Ok(())
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
        if self.context.json {
            print_line(format_args!("{}", json!(taken)));
        } else {
            print_line(format_args!("{}", folder::sentence(taken)));
        }
    }

    fn problem(&mut self, key: &str, done: Result<()>, still_said: &mut Vec<String>) {
        let Err(e) = done else {
            self.said.remove(key);
            return;
        };
        still_said.push(key.to_owned());
        let what = format!("{key}: {e}; tried again at the next look");
        if self.said.insert(key.to_owned(), what.clone()).as_ref() != Some(&what) {
            eprintln!("tributary: {what}");
        }
    }
}
