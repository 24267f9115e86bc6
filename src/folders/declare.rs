//! From the settings to folders that can be worked: everything that is wrong is said at once, with its key.

use super::{Folder, Key, Refusal};
use crate::config;
use crate::config::{Demand, FolderKind};
use crate::error::Result;
use chrono::TimeDelta;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The longest time that a file may be asked to be still: an hour is a slip for seconds already.
const LONGEST_STILL: u32 = 24 * 60 * 60;

/// The folders of a configuration, or those of them that are named.
pub fn declared(settings: &BTreeMap<String, config::Folder>, only: &[String]) -> Result<Vec<Folder>> {
    let known = || settings.keys().cloned().collect();
    if let Some(name) = only.iter().find(|name| !settings.contains_key(*name)) {
        return Err(Refusal::UnknownFolder { name: name.clone(), known: known() }.into());
    }
    let mut problems = Vec::new();
    let all: Vec<Folder> = settings.iter().map(|(name, of)| folder(name, of, &mut problems)).collect();
    // Two that share a folder would take each other's files, and each other's refused ones for new.
    let mut places: Vec<(PathBuf, String)> = Vec::new();
    for f in &all {
        places.push((real(&f.incoming), format!("[folder.{}] incoming", f.name)));
    }
    for f in &all {
        for (place, key) in [(&f.archive, "archive"), (&f.refused, "refused")] {
            if let Some((_, other)) = places.iter().take(all.len()).find(|(path, _)| *path == real(place)) {
                problems.push(format!("[folder.{}] {key}: is the same folder as {other}", f.name));
            }
        }
    }
    for (n, (path, key)) in places.iter().enumerate() {
        if let Some((_, other)) = places.iter().take(n).find(|(p, _)| p == path) {
            problems.push(format!("{key}: is the same folder as {other}"));
        }
    }
    if !problems.is_empty() {
        return Err(Refusal::BadFolder { problems }.into());
    }
    Ok(all.into_iter().filter(|f| only.is_empty() || only.contains(&f.name)).collect())
}

/// The place itself, however it is written, where it is there.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

fn folder(name: &str, of: &config::Folder, problems: &mut Vec<String>) -> Folder {
    let mut wrong = |key: &str, what: String| problems.push(format!("[folder.{name}] {key}: {what}"));
    let is_code = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 40 || !name.chars().all(is_code) {
        wrong("name", "a name is of the letters a to z, digits and -, 40 at most".to_owned());
    }
    for (key, path) in [("incoming", &of.incoming), ("archive", &of.archive), ("refused", &of.refused)] {
        if path.as_os_str().is_empty() {
            wrong(key, "say which folder".to_owned());
        }
    }
    if of.names.is_empty() || of.names.iter().any(String::is_empty) {
        wrong("names", "say which files, such as [\"*.xml\"]; leave it out for all".to_owned());
    }
    if of.still_seconds > LONGEST_STILL {
        wrong("still_seconds", format!("{LONGEST_STILL} at most, which is a day"));
    }
    let mut keys = Vec::new();
    for (key, text) in &of.keys {
        match Key::parse(key, text) {
            Ok(key) => keys.push(key),
            Err(what) => wrong(&format!("keys.{key}"), what),
        }
    }
    if of.signature == Demand::Required && of.keys.is_empty() {
        wrong("signature", "is required, but keys says of nobody who may sign".to_owned());
    }
    if of.source.as_ref().is_some_and(|s| !s.is_empty()) && of.kind != FolderKind::Rates {
        wrong("source", "only rates have one".to_owned());
    }
    Folder {
        name: name.to_owned(),
        incoming: of.incoming.clone(),
        archive: of.archive.clone(),
        refused: of.refused.clone(),
        kind: of.kind,
        names: of.names.clone(),
        ready: of.ready,
        still: TimeDelta::seconds(i64::from(of.still_seconds)),
        checksum: of.checksum,
        signature: of.signature,
        keys,
        profiles: of.profiles.clone().filter(|p| !p.as_os_str().is_empty()),
        source: of.source.clone().filter(|s| !s.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> BTreeMap<String, config::Folder> {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn everything_wrong_with_folders_is_said_at_once() {
        let text = "[Rhein]\nincoming = 'a'\narchive = 'a'\nrefused = ''\nnames = []\nsignature = 'required'\nsource = 'ECB'\n\
                    [b]\nincoming = 'a'\narchive = 'x'\nrefused = 'y'\nstill_seconds = 999999\nkeys = { k = 'zz' }\n";
        let said = declared(&settings(text), &[]).unwrap_err().to_string();
        for part in [
            "[folder.Rhein] name: ",
            "[folder.Rhein] refused: say which folder",
            "[folder.Rhein] names: ",
            "[folder.Rhein] signature: is required",
            "[folder.Rhein] source: ",
            "[folder.b] still_seconds: ",
            "[folder.b] keys.k: ",
            "[folder.Rhein] archive: is the same folder as [folder.Rhein] incoming",
            "[folder.b] incoming: is the same folder as [folder.Rhein] incoming",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
        let good = settings(
            "[a]\nincoming = 'i'\narchive = 'x'\nrefused = 'x'\n[b]\nincoming = 'j'\narchive = 'x'\nrefused = 'y'\n",
        );
        assert_eq!(declared(&good, &["b".to_owned()]).unwrap().len(), 1);
        assert_eq!(declared(&good, &["c".to_owned()]).unwrap_err().code(), "unknown_folder");
    }
}
