//! The verbs of folders that the bank of the story drops its files into, and of the alarm when none comes.

use super::bank::bytes_of;
use super::script::{Outcome, Step};
use super::world::{World, answer};
use ed25519_dalek::{Signer, SigningKey};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use tributary::banking::Profiles;
use tributary::config;
use tributary::db::seal::{hex, sha256};
use tributary::folders::{self, Desk, Folder, Memory, Outcome as Became};
use tributary::statements::alarms;
use tributary::time::Clock;

/// The folders of a story.
#[derive(Default)]
pub struct Folders {
    root: Option<tempfile::TempDir>,
    declared: BTreeMap<String, (Folder, Memory)>,
}

/// The key of the story's bank.
fn bank_key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// `folder rhein names="*.xml" ready=marker checksum=required signature=required`
pub fn folder(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = step.need_name()?.to_owned();
    let root = match &world.folders.root {
        Some(root) => root.path().to_owned(),
        None => {
            let root = tempfile::tempdir().map_err(|e| e.to_string())?;
            world.folders.root.insert(root).path().to_owned()
        }
    };
    let root = root.join(&name);
    fs::create_dir_all(root.join("incoming")).map_err(|e| e.to_string())?;
    let mut text = format!("[{name}]\nkeys = {{ bank = \"{}\" }}\n", hex(bank_key(1).verifying_key().as_bytes()));
    for place in ["incoming", "archive", "refused"] {
        text.push_str(&format!("{place} = {:?}\n", root.join(place)));
    }
    for key in ["ready", "checksum", "signature", "kind"] {
        if let Some(value) = step.words.get(key) {
            text.push_str(&format!("{key} = {value:?}\n"));
        }
    }
    if let Some(pattern) = step.words.get("names") {
        text.push_str(&format!("names = [{pattern:?}]\n"));
    }
    let settings: BTreeMap<String, config::Folder> = toml::from_str(&text).map_err(|e| e.to_string())?;
    answer(folders::declared(&settings, &[]), |declared| {
        world.folders.declared.extend(declared.into_iter().map(|f| (f.name.clone(), (f, Memory::default()))));
        Outcome::Done(Vec::new())
    })
}

/// `drop S1 into=rhein as=monday.xml checksum=right signature=right|forged marker half`: a statement that was written `later`
/// comes into the folder. Without `as=` its own name; `beside`: only what belongs to it.
pub fn drop(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = step.need_name()?.to_owned();
    let written = world.written.get(&name).map(|w| w.file.clone());
    let into = incoming(world, step.words.need("into")?)?;
    let file =
        step.words.get("as").map_or(written.ok_or_else(|| format!("there is no statement {name}"))?, str::to_owned);
    let bytes = bytes_of(world, &[name])?;
    let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
    let put = |end: &str, bytes: &[u8]| {
        let path = into.join(format!("{file}{end}"));
        fs::write(&path, bytes).and_then(|()| File::options().write(true).open(&path)).and_then(|f| {
            // The story's clock, and not the machine's.
            f.set_modified(world.clock.now().into())
        })
    };
    let failed = |e: std::io::Error| e.to_string();
    if !step.words.has("beside") {
        put("", if step.words.has("half") { half } else { &bytes }).map_err(failed)?;
    }
    match step.words.get("checksum") {
        None => {}
        Some("right") => put(".sha256", format!("{}  {file}\n", hex(&sha256(&bytes))).as_bytes()).map_err(failed)?,
        Some(_) => put(".sha256", format!("{}  {file}\n", hex(&sha256(half))).as_bytes()).map_err(failed)?,
    }
    match step.words.get("signature") {
        None => {}
        Some("right") => put(".sig", &bank_key(1).sign(&bytes).to_bytes()).map_err(failed)?,
        Some(_) => put(".sig", &bank_key(2).sign(&bytes).to_bytes()).map_err(failed)?,
    }
    if step.words.has("marker") {
        put(".done", b"").map_err(failed)?;
    }
    Ok(Outcome::Done(Vec::new()))
}

fn incoming(world: &World, folder: &str) -> Result<PathBuf, String> {
    let found = world.folders.declared.get(folder).ok_or_else(|| format!("there is no folder {folder}"))?;
    Ok(found.0.incoming.clone())
}

/// `look rhein`: what comes of what lies there.
pub fn look(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = step.need_name()?;
    let who = World::who(&step.words);
    let (folder, memory) = world.folders.declared.get_mut(name).ok_or_else(|| format!("there is no folder {name}"))?;
    let profiles = Profiles::default();
    let desk = Desk { db: &world.db, who: &who, profiles: &profiles };
    let (mut said, mut ids) = (Vec::new(), Vec::new());
    let done = folders::take(&desk, folder, memory, &|| false, &mut |taken| {
        let outcome = match taken.outcome {
            Became::Taken => "taken",
            Became::AlreadyTaken => "known",
            Became::PartlyTaken => "not posted in whole",
            Became::Refused => "refused",
            Became::Waits => "waits",
            Became::LeftAlone => "left alone",
            Became::Failed => "failed",
        };
        let origin =
            taken.origin.as_ref().filter(|o| *o != "unverified").map_or_else(String::new, |o| format!("; {o}"));
        said.push(format!("{} {outcome}: {}{origin}", taken.file, taken.said));
        if let Some(id) = taken.detail["id"].as_str() {
            ids.push((id.to_owned(), taken.file.clone()));
        }
    });
    for (id, file) in ids {
        world.call(&id, &file);
    }
    let said: Vec<String> = said.iter().map(|s| world.named(s)).collect();
    answer(done, |()| if said.is_empty() { Outcome::said("nothing") } else { Outcome::Done(said) })
}

/// `alarm`: records what is due and not here, and says what is new.
pub fn alarm(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let told = alarms::record(&world.db, &World::who(&step.words), world.clock.now());
    answer(told, |told| {
        let said: Vec<String> =
            told.iter().map(|c| format!("{} {} of {}: {}", c.master, c.role, c.day, c.what)).collect();
        if said.is_empty() { Outcome::said("nothing new") } else { Outcome::Done(said) }
    })
}
