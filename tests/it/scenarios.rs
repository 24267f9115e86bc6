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
//! | `access.rs`, `chart.rs`, `bank.rs`, `folders.rs`, `rules.rs`, `healing.rs`, `announced.rs`, `approvals.rs`, `journal.rs`, `questions.rs`, `reference.rs` | the verbs |

mod access;
mod announced;
mod approvals;
mod bank;
mod chart;
mod folders;
mod healing;
mod journal;
mod questions;
mod reference;
mod rules;
mod script;
mod verbs;
mod world;

use crate::databases::{BOTH, Engine};
use script::Script;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use world::World;

/// Stories told at once.
const TELLERS: usize = 4;

#[test]
fn every_story_is_true_on_both_databases() {
    let update = updates();
    let only = std::env::var("SCENARIO").ok();
    let chosen = stories().into_iter().filter(|p| only.as_deref().is_none_or(|name| name_of(p).contains(name)));
    let left = Mutex::new(chosen);
    let failures = Mutex::new(Vec::new());
    // A story mostly waits for its disk.
    std::thread::scope(|scope| {
        for _ in 0..TELLERS {
            scope.spawn(|| {
                loop {
                    // The lock must not outlast this statement.
                    let next = left.lock().map(|mut paths| paths.next());
                    let Ok(Some(path)) = next else { return };
                    // The text is read again for each engine: what the first one wrote must hold on the second.
                    for (engine, rewrite) in BOTH.into_iter().zip([update, false]) {
                        if let Err(failure) = tell(&path, engine, rewrite) {
                            failures.lock().expect("no teller panics").push(format!("on {engine}: {failure}"));
                            break;
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no teller panics");
    assert!(failures.is_empty(), "{} stories fail:\n\n{}", failures.len(), failures.join("\n\n"));
    if update {
        show_in_docs();
    }
}

#[test]
fn every_story_begins_with_the_fact_that_it_shows() {
    let begins = |p: &PathBuf| fs::read_to_string(p).is_ok_and(|text| text.starts_with("# ") && text.ends_with('\n'));
    let wrong: Vec<String> = stories().iter().filter(|p| !begins(p)).map(|p| name_of(p)).collect();
    assert!(wrong.is_empty(), "these need a first line such as `# A fee goes to the house.`: {}", wrong.join(", "));
}

#[test]
fn the_docs_show_stories_as_they_are() {
    let mut shown = 0;
    for path in docs() {
        let text = fs::read_to_string(&path).expect("a text");
        let (now, blocks) = with_stories(&text);
        assert!(updates() || now == text, "{} shows a story otherwise than it is; UPDATE=1 mends it", path.display());
        shown += blocks;
    }
    assert!(shown > 0, "docs/accounting.md shows no story");
}

fn show_in_docs() {
    for path in docs() {
        let text = fs::read_to_string(&path).expect("a text");
        fs::write(&path, with_stories(&text).0).expect("docs can be written");
    }
}

/// A text in which blocks that begin with three backticks and `scenario FILE` are that file, and how many there are.
fn with_stories(text: &str) -> (String, usize) {
    let mut blocks = text.split("```scenario ");
    let mut now = blocks.next().unwrap_or_default().to_owned();
    let mut count = 0;
    for block in blocks {
        let (file, rest) = block.split_once('\n').expect("the name of a file");
        let (_, behind) = rest.split_once("```").expect("the end of a block");
        let story = fs::read_to_string(folder().join(file.trim())).unwrap_or_else(|e| panic!("{file}: {e}"));
        now.push_str(&format!("```scenario {file}\n{story}```{behind}"));
        count += 1;
    }
    (now, count)
}

fn updates() -> bool {
    std::env::var("UPDATE").is_ok_and(|u| u == "1")
}

fn docs() -> Vec<PathBuf> {
    files_with("md", Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"))
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
    files_with("txt", folder())
}

fn files_with(extension: &str, folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
    assert!(!paths.is_empty(), "there is nothing in {}", folder.display());
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
