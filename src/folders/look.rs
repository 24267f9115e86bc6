//! What lies in such a folder, and what of it is complete. Reads names and sizes, and never a file itself.
//!
//! A file is still when neither its size nor its times have changed for the declared time: by what the file system says of
//! its last change, and by what an earlier look has seen, since some gateways give a file its final times at the beginning.
//! A last change that lies in the future is of another machine's clock; then only what was seen counts.

use super::names::{self, Companion};
use super::{Folder, aside};
use crate::config::{Demand, Ready};
use crate::time::Instant;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Which file this is and how it stands: another one under the same name, or more bytes in it, is told from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    device: u64,
    number: u64,
    size: u64,
    modified: (i64, i64),
    /// Set by the system at every change of bytes, name or rights.
    touched: (i64, i64),
}

impl Fingerprint {
    pub(super) fn of(metadata: &Metadata) -> Fingerprint {
        Fingerprint {
            device: metadata.dev(),
            number: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            touched: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether this is that file under another name.
    pub(super) fn is_renamed(&self, before: &Fingerprint) -> bool {
        *self == Fingerprint { touched: self.touched, ..*before }
    }

    /// Of what lies at a place now.
    pub(super) fn at(path: &Path) -> io::Result<Fingerprint> {
        fs::symlink_metadata(path).map(|m| Fingerprint::of(&m))
    }
}

/// Opens a file that was seen to be a regular one. What came under its name since, a link or a pipe on which opening would
/// hang, is an error; so is one that changed, which is told by [`io::ErrorKind::ResourceBusy`].
pub(super) fn open(path: &Path, seen: &Fingerprint) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || Fingerprint::of(&metadata) != *seen {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "it changed since it was seen"));
    }
    Ok(file)
}

/// What is to be done with what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Complete.
    Ready,
    /// Not yet, and why.
    Waits(String),
    /// Never, and why.
    LeftAlone(String),
}

/// Something in the folder.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its name.
    pub name: OsString,
    /// Bytes.
    pub size: u64,
    /// When it was changed last, as the file system says.
    pub changed_at: Option<Instant>,
    /// What is to be done with it.
    pub state: State,
    pub(super) print: Fingerprint,
    /// What lies beside it and belongs to it.
    pub(super) companions: Vec<(Companion, OsString)>,
    /// The file that it belongs to, as what, when that is not here.
    pub(super) orphan_of: Option<(OsString, Companion)>,
}

impl Found {
    /// Its name for people.
    pub fn shown(&self) -> String {
        names::shown(&self.name)
    }

    pub(super) fn companion(&self, what: Companion) -> Option<&OsString> {
        self.companions.iter().find(|(is, _)| *is == what).map(|(_, name)| name)
    }
}

/// What earlier looks have seen of a folder.
#[derive(Debug, Default)]
pub struct Memory {
    seen: HashMap<OsString, Sighting>,
    /// Files that could not be moved: when, and as what.
    pub(super) stuck: HashMap<OsString, (Fingerprint, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Sighting {
    print: Fingerprint,
    since: Instant,
    /// It was seen to change, or its last change lies in the future.
    moving: bool,
}

impl Memory {
    /// A file was moved away: what comes under its name is another one.
    pub(super) fn forget(&mut self, moved: &Found) {
        let beside = moved.companions.iter().map(|(_, name)| name);
        for name in beside.chain([&moved.name]) {
            self.seen.remove(name);
        }
    }

    /// Since when a file is as it is now.
    fn since(&mut self, name: &OsStr, print: Fingerprint, changed: &Changed, now: Instant) -> Instant {
        let before = self.seen.get(name).copied();
        let sighting = match before {
            Some(seen) if seen.print == print => seen,
            _ => Sighting { print, since: now, moving: before.is_some() },
        };
        self.seen.insert(name.to_owned(), sighting);
        match changed.last {
            Some(last) if !changed.ahead && sighting.moving => last.max(sighting.since),
            Some(last) if !changed.ahead => last,
            _ => sighting.since,
        }
    }
}

/// When a file was changed last.
struct Changed {
    last: Option<Instant>,
    /// Its bytes changed at a time that has not come yet.
    ahead: bool,
}

impl Changed {
    fn of(metadata: &Metadata, now: Instant) -> Changed {
        let at = |s: i64, n: i64| DateTime::<Utc>::from_timestamp(s, u32::try_from(n).unwrap_or(0));
        let modified = at(metadata.mtime(), metadata.mtime_nsec());
        // Set by the system alone, so it tells of a file whose time of change was set back; it may be of a server's clock.
        let touched = at(metadata.ctime(), metadata.ctime_nsec()).filter(|at| *at <= now);
        Changed { last: modified.max(touched), ahead: modified.is_some_and(|at| at > now) }
    }
}

/// What lies in a folder at an instant, by name. What belongs to a file that is there is not listed by itself, nor are the
/// folders that its files are moved to.
pub fn look(folder: &Folder, memory: &mut Memory, now: Instant) -> io::Result<Vec<Found>> {
    let mut entries: Vec<(OsString, io::Result<Metadata>)> = Vec::new();
    for entry in fs::read_dir(&folder.incoming)? {
        let entry = entry?;
        // Never follows a link.
        entries.push((entry.file_name(), entry.metadata()));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    memory.seen.retain(|name, _| entries.binary_search_by(|(n, _)| n.cmp(name)).is_ok());
    memory.stuck.retain(|name, _| entries.binary_search_by(|(n, _)| n.cmp(name)).is_ok());
    let files: Vec<OsString> = entries.iter().filter(|(_, m)| is_file(m)).map(|(name, _)| name.clone()).collect();
    let mut beside: HashMap<OsString, Vec<(Companion, OsString)>> = HashMap::new();
    for name in &files {
        let text = name.to_string_lossy();
        if let Some((of, what)) = names::companion(&text).filter(|_| names::temporary(&text).is_none()) {
            beside.entry(OsString::from(of)).or_default().push((what, name.clone()));
        }
    }
    let metadata_of: HashMap<&OsString, &Metadata> =
        entries.iter().filter_map(|(name, m)| Some((name, m.as_ref().ok()?))).collect();
    let mut found = Vec::new();
    for (name, metadata) in &entries {
        let metadata = match metadata {
            Ok(metadata) => metadata,
            // Gone since the folder was read: another watcher, or the gateway gave it its own name.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => {
                let why = format!("the system says nothing of it: {e}");
                found.push(Found::unknown(name, why));
                continue;
            }
        };
        let path = folder.incoming.join(name);
        if metadata.is_dir() && [&folder.archive, &folder.refused].iter().any(|own| own.starts_with(&path)) {
            continue;
        }
        let text = name.to_string_lossy();
        let belongs = metadata.is_file() && names::temporary(&text).is_none();
        let orphan_of = names::companion(&text).filter(|_| belongs).map(|(of, what)| (OsString::from(of), what));
        if orphan_of.as_ref().is_some_and(|(of, _)| files.binary_search(of).is_ok()) {
            continue;
        }
        let companions = beside.get(name).cloned().unwrap_or_default();
        let state = match &orphan_of {
            Some((of, _)) => State::Waits(format!("belongs to {}, which is not here", names::shown(of))),
            None => judge(folder, memory, (name, metadata), &companions, &metadata_of, now),
        };
        let changed_at = Changed::of(metadata, now).last;
        let print = Fingerprint::of(metadata);
        found.push(Found { name: name.clone(), size: metadata.len(), changed_at, state, print, companions, orphan_of });
    }
    Ok(found)
}

fn is_file(metadata: &io::Result<Metadata>) -> bool {
    metadata.as_ref().is_ok_and(Metadata::is_file)
}

impl Found {
    fn unknown(name: &OsStr, why: String) -> Found {
        let print = Fingerprint { device: 0, number: 0, size: 0, modified: (0, 0), touched: (0, 0) };
        let (name, state) = (name.to_owned(), State::LeftAlone(why));
        Found { name, size: 0, changed_at: None, state, print, companions: Vec::new(), orphan_of: None }
    }
}

fn judge(
    folder: &Folder,
    memory: &mut Memory,
    (name, metadata): (&OsStr, &Metadata),
    companions: &[(Companion, OsString)],
    all: &HashMap<&OsString, &Metadata>,
    now: Instant,
) -> State {
    let text = name.to_string_lossy();
    if let Some(why) = no_file(metadata) {
        return State::LeftAlone(why.to_owned());
    }
    if let Some(why) = names::temporary(&text) {
        return State::LeftAlone(why.to_owned());
    }
    if !folder.names.iter().any(|pattern| names::fits(pattern, &text)) {
        return State::LeftAlone(format!("its name fits none of {}", folder.names.join(", ")));
    }
    let one = |what: Companion| companions.iter().find(|(is, _)| *is == what).map(|(_, name)| name);
    for (what, demand, end) in
        [(Companion::Checksum, folder.checksum, ".sha256"), (Companion::Signature, folder.signature, ".sig")]
    {
        if demand == Demand::Required && one(what).is_none() {
            let shown = names::shown(name);
            return State::Waits(format!("this folder asks for {shown}{end} beside it, which is not here yet"));
        }
    }
    if let Some((stuck, at)) = memory.stuck.get(name)
        && *stuck == Fingerprint::of(metadata)
        && now >= *at
        && now - *at < aside::TRY_AGAIN
    {
        return State::Waits("it could not be moved away; that is tried again every minute".to_owned());
    }
    match folder.ready {
        Ready::Marker => match one(Companion::Marker).and_then(|marker| all.get(marker)) {
            None => State::Waits(format!("not complete: {}.done is not here yet", names::shown(name))),
            // One of a file of the same name that was here before.
            Some(marker) if (marker.mtime(), marker.mtime_nsec()) < (metadata.mtime(), metadata.mtime_nsec()) => {
                State::Waits(format!("not complete: {}.done is older than it", names::shown(name)))
            }
            Some(_) => State::Ready,
        },
        Ready::Still => {
            let beside = companions.iter().filter_map(|(_, name)| Some((name.as_os_str(), *all.get(name)?)));
            let mut since = None;
            for (name, metadata) in beside.chain([(name, metadata)]) {
                let changed = Changed::of(metadata, now);
                since = since.max(Some(memory.since(name, Fingerprint::of(metadata), &changed, now)));
            }
            let still = since.map_or(folder.still, |since| now - since);
            if still < folder.still {
                let seconds = folder.still.num_seconds();
                return State::Waits(format!(
                    "it changed {} s ago; it is taken when still for {seconds} s",
                    still.num_seconds()
                ));
            }
            if metadata.len() == 0 {
                return State::Waits("it is empty: nothing was written to it yet".to_owned());
            }
            State::Ready
        }
    }
}

/// What it is, when it is no regular file.
fn no_file(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() {
        None
    } else if kind.is_symlink() {
        Some("a symbolic link: it may lead anywhere, so it is not followed; drop the file itself")
    } else if kind.is_dir() {
        Some("a folder: folders in it are not looked into")
    } else if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
        Some("a pipe, socket or device, and no file")
    } else {
        Some("no regular file")
    }
}
