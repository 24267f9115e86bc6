//! Stories that a treasurer can read, one text file each in `tests/scenarios`: what happens, and after `->` what comes of it.
//!
//! Each story runs on SQLite and on PostgreSQL and must say the same on both; each ends with the proof of `app::check`.
//! `UPDATE=1` writes what comes of each step into the files, where the diff is the review; `SCENARIO=name` runs one story.
//! The language is described at the end of `docs/accounting.md`, which shows some of the files as they are here.
//!
//! | File | What |
//! | --- | --- |
//! | `script.rs` | the language: lines to steps, and results back into the text (pure) |
//! | `world.rs` | what a story has made so far: a database, a clock, and its names for things |
//! | `verbs.rs` | the table of verbs, each calling one command of the library |
//! | `chart.rs`, `bank.rs`, `journal.rs`, `questions.rs` | the verbs |

mod bank;
mod chart;
mod journal;
mod questions;
mod script;
mod verbs;
mod world;

use crate::databases::{BOTH, Engine};
use script::Script;
use std::fs;
use std::path::{Path, PathBuf};
use world::World;

#[test]
fn every_story_is_true_on_both_databases() {
    let update = std::env::var("UPDATE").is_ok_and(|u| u == "1");
    let only = std::env::var("SCENARIO").ok();
    let mut failures = Vec::new();
    let paths = stories();
    assert!(!paths.is_empty(), "the stories are not there");
    for path in paths.iter().filter(|p| only.as_deref().is_none_or(|name| name_of(p).contains(name))) {
        // The text is read again for each engine: what the first one wrote must hold on the second.
        for (engine, rewrite) in BOTH.into_iter().zip([update, false]) {
            if let Err(failure) = tell(path, engine, rewrite) {
                failures.push(format!("on {engine}: {failure}"));
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{} of {} stories fail:\n\n{}", failures.len(), paths.len(), failures.join("\n\n"));
}

#[test]
fn every_story_begins_with_the_fact_that_it_shows() {
    let begins = |p: &PathBuf| fs::read_to_string(p).is_ok_and(|text| text.starts_with("# ") && text.ends_with('\n'));
    let wrong: Vec<String> = stories().iter().filter(|p| !begins(p)).map(|p| name_of(p)).collect();
    assert!(wrong.is_empty(), "these need a first line such as `# A fee goes to the house.`: {}", wrong.join(", "));
}

/// Blocks that begin with three backticks and `scenario FILE` are the text of that file.
#[test]
fn the_docs_show_stories_as_they_are() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut shown = 0;
    for entry in fs::read_dir(docs).expect("the folder docs").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a text");
        for block in text.split("```scenario ").skip(1) {
            let (file, rest) = block.split_once('\n').expect("the name of a file");
            let (content, _) = rest.split_once("```").expect("the end of a block");
            let story = fs::read_to_string(folder().join(file.trim())).unwrap_or_else(|e| panic!("{file}: {e}"));
            assert_eq!(content, story, "{} does not show {file} as it is", path.display());
            shown += 1;
        }
    }
    assert!(shown > 0, "docs/accounting.md shows no story");
}

/// Plays one story; the error names file, line, what was expected and what came.
fn tell(path: &Path, engine: Engine, rewrite: bool) -> Result<(), String> {
    let name = name_of(path);
    let text = fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
    let at = |line: usize, problem: String| format!("tests/scenarios/{name}:{line}: {problem}");
    let mut script = Script::parse(&text).map_err(|(line, problem)| at(line, problem))?;
    let mut world = World::new(engine);
    let mut outcomes = Vec::with_capacity(script.steps.len());
    for step in &script.steps {
        let outcome = verbs::run(&mut world, step).map_err(|problem| at(step.line, problem))?;
        if !rewrite {
            step.holds(&outcome).map_err(|problem| at(step.line, problem))?;
        }
        outcomes.push(outcome);
    }
    let end = text.lines().count();
    match questions::violations(&world).map_err(|problem| at(end, problem))? {
        found if found.is_empty() => {}
        found => return Err(at(end, format!("the story ends with violations:\n  {}", found.join("\n  ")))),
    }
    if rewrite {
        let updated = script.update(&outcomes).map_err(|(line, problem)| at(line, problem))?;
        if updated != text {
            fs::write(path, updated).map_err(|e| format!("{name}: {e}"))?;
        }
    }
    Ok(())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn stories() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("the folder tests/scenarios").flatten();
    let mut paths: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "txt")).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
