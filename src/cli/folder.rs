//! `tributary folder`: what banks and their gateways drop into folders, listed, taken once, or watched.

use super::folder_watch::{self, Watch};
use super::profile;
use super::table::{grouped, table};
use super::{Context, print_json};
use crate::allocation::intake;
use crate::banking::Profiles;
use crate::config;
use crate::db::{Db, Who};
use crate::error::{Error, Result};
use crate::folders::{self, Desk, Found, Memory, Outcome, State, Taken};
use crate::time::{Clock, Instant, SystemClock, rfc3339};
use serde_json::{Value, json};
use std::sync::Arc;

/// What is to be done with folders.
#[derive(Debug, clap::Subcommand)]
pub enum Folder {
    /// Show the declared folders and what lies in each, without touching it
    List {
        /// Only these folders
        names: Vec<String>,
    },
    /// Look into the folders once and take in what is complete
    Take {
        /// Only these folders
        names: Vec<String>,
    },
    /// Keep taking in what comes, and record statements that are due and not here, until stopped (Ctrl-C, SIGTERM)
    Watch(Watch),
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &Folder) -> Result<()> {
    match command {
        Folder::List { names } => list(context, names),
        Folder::Take { names } => take(context, names),
        Folder::Watch(watch) => folder_watch::run(context, watch),
    }
}

/// A declared folder, and how its files are read.
pub struct Declared {
    /// The folder.
    pub folder: folders::Folder,
    /// What its CSV files look like.
    pub profiles: Profiles,
}

/// The folders of the configuration, or those that are named.
pub fn declared(context: &Context, names: &[String]) -> Result<Vec<Declared>> {
    let settings = config::load(context.config.as_deref())?;
    let folders = folders::declared(&settings.folder, names)?;
    let with_profiles = |folder: folders::Folder| {
        let general = (!settings.statements.profiles.is_empty()).then(|| settings.statements.profiles.clone().into());
        let place = folder.profiles.clone().or(general);
        let profiles = place.map_or_else(|| Ok(Profiles::default()), |place| profile::folder_of(&place))?;
        Ok(Declared { folder, profiles })
    };
    folders.into_iter().map(with_profiles).collect()
}

/// What lies in a folder; of what came after its file, that.
fn looked_into(folder: &folders::Folder, now: Instant) -> std::io::Result<Vec<Found>> {
    let mut found = folders::look(folder, &mut Memory::default(), now)?;
    for one in &mut found {
        if let Some(why) = folders::came_late(folder, one, now) {
            one.state = State::Waits(why);
        }
    }
    Ok(found)
}

fn list(context: &Context, names: &[String]) -> Result<()> {
    let all = declared(context, names)?;
    let now = SystemClock.now();
    let looked: Vec<_> = all.iter().map(|d| (&d.folder, looked_into(&d.folder, now))).collect();
    if context.json {
        let shown = looked.iter().map(|(folder, found)| {
            let files: Vec<Value> = found.iter().flatten().map(found_json).collect();
            json!({ "name": folder.name, "kind": folder.kind, "incoming": folder.incoming, "archive": folder.archive,
                "refused": folder.refused, "checksum": folder.checksum, "signature": folder.signature,
                "problem": found.as_ref().err().map(ToString::to_string), "files": files })
        });
        return print_json(&json!({ "folders": shown.collect::<Vec<_>>() }));
    }
    if looked.is_empty() {
        say!("No folder is declared; docs/folders.md says how.");
    }
    for (folder, found) in &looked {
        match found {
            Err(e) => say!("{}: cannot look into {}: {e}", folder.name, folder.incoming.display()),
            Ok(found) if found.is_empty() => say!("{}: nothing lies in {}", folder.name, folder.incoming.display()),
            Ok(found) => {
                say!("{}: {}", folder.name, folder.incoming.display());
                let mut shown = table(&["file", ">bytes", "changed", "state", "~why"]);
                for f in found {
                    let (state, why) = state(&f.state);
                    let changed = f.changed_at.map(|at| at.format("%F %T").to_string()).unwrap_or_default();
                    shown.add_row([f.shown(), grouped(f.size), changed, state.replace('_', " "), why.to_owned()]);
                }
                say!("{shown}");
            }
        }
    }
    Ok(())
}

fn state(state: &State) -> (&'static str, &str) {
    match state {
        State::Ready => ("ready", ""),
        State::Waits(why) => ("waits", why),
        State::LeftAlone(why) => ("left_alone", why),
    }
}

fn found_json(f: &Found) -> Value {
    let (state, why) = state(&f.state);
    json!({ "file": f.shown(), "bytes": f.size, "changed_at": f.changed_at.map(rfc3339), "state": state, "why": why })
}

fn take(context: &Context, names: &[String]) -> Result<()> {
    let all = declared(context, names)?;
    if all.is_empty() {
        return Err(Error::NotFound("no folder is declared in the configuration; docs/folders.md says how".to_owned()));
    }
    let db = context.open_treasury()?;
    intake::resume(&db, &context.who, &mut |_, _| {})?;
    let (mut dealt, mut problems): (Vec<Taken>, Vec<String>) = (Vec::new(), Vec::new());
    for declared in &all {
        let mut told = |taken: &Taken| {
            if !context.json && taken.outcome != Outcome::LeftAlone {
                say!("{}", sentence(taken));
            }
            dealt.push(taken.clone());
        };
        if let Err(e) = one_round(&db, &context.who, declared, &mut Memory::default(), &|| false, &mut told) {
            // Others go on.
            problems.push(e.to_string());
        }
    }
    let left = dealt.iter().filter(|t| t.outcome == Outcome::LeftAlone).count();
    if context.json {
        print_json(&json!({ "files": dealt, "problems": problems }))?;
    } else {
        problems.iter().for_each(|p| eprintln!("tributary: {p}"));
        match (dealt.len(), left) {
            (0, _) if problems.is_empty() => say!("nothing has come"),
            (_, 0) => {}
            (_, left) => say!("{left} left alone; `tributary folder list` says why"),
        }
    }
    let wrong = dealt.iter().filter(|t| t.wants_attention()).count();
    match (wrong, problems.as_slice()) {
        (0, []) => Ok(()),
        (0, several) => Err(Error::Broken(format!("{} of {} folders could not be worked", several.len(), all.len()))),
        (wrong, _) => Err(Error::Refused {
            code: "not_all_taken_in",
            message: format!("{wrong} of {} files were not taken in whole; the reasons stand above", dealt.len()),
        }),
    }
}

/// One look over one folder.
pub fn one_round(
    db: &Db,
    who: &Arc<Who>,
    declared: &Declared,
    memory: &mut Memory,
    stop: &dyn Fn() -> bool,
    told: &mut dyn FnMut(&Taken),
) -> Result<()> {
    let desk = Desk { db, who, profiles: &declared.profiles };
    folders::take(&desk, &declared.folder, memory, stop, told)
}

/// What became of a file, in a line or two.
pub fn sentence(taken: &Taken) -> String {
    let outcome = match taken.outcome {
        Outcome::Taken => "taken",
        Outcome::AlreadyTaken => "known",
        Outcome::PartlyTaken => "NOT POSTED IN WHOLE",
        Outcome::Refused => "REFUSED",
        Outcome::Waits => "waits",
        Outcome::LeftAlone => "left alone",
        Outcome::Failed => "FAILED",
    };
    let mut text = format!("{}: {}: {outcome}: {}", taken.folder, taken.file, taken.said);
    if let Some(origin) = taken.origin.as_ref().filter(|o| *o != crate::statements::UNVERIFIED) {
        text.push_str(&format!("; {origin}"));
    }
    if let Some(report) = &taken.report {
        text.push_str(&format!("\n  see {}", report.display()));
    }
    text
}
