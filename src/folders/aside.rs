//! Moving a file away once it is dealt with: by rename, over file systems by a copy that is proved before the original goes.
//!
//! The name it gets is made unique by its digest. It is moved only if it is the one that was read: what came under its name
//! meanwhile goes back. A crash leaves the file at one of the two places, or whole at both.

use super::look::{self, Fingerprint, Found};
use super::{Folder, names};
use crate::db::seal::{Hash, sha256_of};
use crate::time::Instant;
use chrono::TimeDelta;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// How long a file that could not be moved is left.
pub(super) const TRY_AGAIN: TimeDelta = TimeDelta::seconds(60);

/// A file that was read: where it lies, and as what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Original<'a> {
    pub(super) path: &'a Path,
    pub(super) print: &'a Fingerprint,
    pub(super) digest: &'a Hash,
}

/// Why a file was not moved.
#[derive(Debug)]
pub(super) enum Stays {
    /// It is not there any more: somebody else moved it.
    Gone,
    /// It is not the one that was read.
    Changed,
    /// The system says no.
    Failed(String),
}

/// The folder of a day, made when it is not there, and proved to be writable.
pub(super) fn folder_of_day(folder: &Path, now: Instant) -> Result<PathBuf, String> {
    let day = folder.join(crate::time::day_of(now).to_string());
    fs::create_dir_all(&day).map_err(|e| unwritable(&day, &e))?;
    prove_writable(&day)?;
    Ok(day)
}

fn unwritable(folder: &Path, e: &io::Error) -> String {
    format!("cannot write to {}: {e}; nothing is taken until that is mended", folder.display())
}

/// Whether files can be made in a folder and taken out of it. The system's word on rights is not enough: disks are full,
/// and mounted for reading only.
pub(super) fn prove_writable(folder: &Path) -> Result<(), String> {
    let probe = folder.join(own_name());
    let made = File::create(&probe).and_then(|mut f| f.write_all(b"-").and_then(|()| f.sync_all()));
    let removed = fs::remove_file(&probe);
    made.and(removed).map_err(|e| unwritable(folder, &e))
}

/// Where a file goes: a name that is free, or has these very bytes.
pub(super) fn target(day: &Path, name: &str, digest: &Hash) -> Result<PathBuf, String> {
    for again in 0..100 {
        let path = day.join(names::aside(name, digest, again));
        match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(e) => return Err(format!("cannot look at {}: {e}", path.display())),
            Ok(file) => {
                if sha256_of(file).is_ok_and(|(there, _)| there == *digest) {
                    return Ok(path);
                }
            }
        }
    }
    Err(format!("{} holds a hundred files of the name {name} already", day.display()))
}

/// Moves a file that was read.
pub(super) fn set_aside(file: Original<'_>, target: &Path) -> Result<(), Stays> {
    match fs::rename(file.path, target) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => return copy_over(file, target),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !is_there(file.path) => return Err(Stays::Gone),
        Err(e) => return Err(Stays::Failed(format!("cannot move it to {}: {e}", target.display()))),
    }
    let moved = Fingerprint::at(target).map_err(|e| Stays::Failed(format!("{}: {e}", target.display())))?;
    if !moved.is_renamed(file.print) {
        put_back(file, target).map_err(|e| {
            Stays::Failed(format!("it changed while it was taken and lies at {} now, unread: {e}", target.display()))
        })?;
        return Err(Stays::Changed);
    }
    sync_folders(file.path, target)
}

/// Over file systems: a copy under a hidden name, proved by its digest, then the name, then the original goes.
pub(super) fn copy_over(file: Original<'_>, target: &Path) -> Result<(), Stays> {
    // Of this attempt alone: another watcher may be copying the same file to the same place.
    let hidden = target.with_file_name(own_name());
    let failed = |e: io::Error| Stays::Failed(format!("cannot copy it to {}: {e}", target.display()));
    let copied = copy(file, &hidden);
    let renamed = match &copied {
        Ok(digest) if digest == file.digest => fs::rename(&hidden, target),
        _ => Ok(()),
    };
    if !matches!(&copied, Ok(digest) if digest == file.digest) || renamed.is_err() {
        // What is half there must not be taken for the file, and nothing else would take it away.
        let _ = fs::remove_file(&hidden);
    }
    match copied {
        Ok(digest) if digest != *file.digest => return Err(Stays::Changed),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound && !is_there(file.path) => return Err(Stays::Gone),
        Err(e) => return Err(failed(e)),
    }
    renamed.map_err(failed)?;
    sync_folders(target, target)?;
    match Fingerprint::at(file.path) {
        Ok(print) if print == *file.print => {
            fs::remove_file(file.path).map_err(|e| Stays::Failed(format!("copied, but cannot be removed: {e}")))?;
            sync_folders(file.path, target)
        }
        Ok(_) => Err(Stays::Changed),
        Err(_) => Ok(()),
    }
}

fn copy(file: Original<'_>, to: &Path) -> io::Result<Hash> {
    let mut input = look::open(file.path, file.print)?;
    let mut out = OpenOptions::new().write(true).create_new(true).open(to)?;
    let tee = Tee { input: &mut input, out: &mut out };
    let (digest, _) = sha256_of(tee)?;
    out.sync_all()?;
    Ok(digest)
}

/// Writes down what is read.
struct Tee<'a> {
    input: &'a mut File,
    out: &'a mut File,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.out.write_all(buffer.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}

/// Back to where it came, and never over what lies there by now.
fn put_back(file: Original<'_>, target: &Path) -> io::Result<()> {
    if fs::hard_link(target, file.path).is_ok() {
        return fs::remove_file(target);
    }
    let folder = file.path.parent().unwrap_or(Path::new("."));
    let (name, own) = (file.path.file_name().unwrap_or_default(), target.file_name().unwrap_or_default());
    let mut other = OsString::from("again-");
    other.push(own);
    if is_there(&folder.join(&other)) {
        other.push("-");
        other.push(name);
    }
    fs::rename(target, folder.join(other))
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// A rename is durable once the folders that it changed are.
fn sync_folders(from: &Path, to: &Path) -> Result<(), Stays> {
    for path in [to, from] {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|f| f.sync_all())
            .map_err(|e| Stays::Failed(format!("{}: {e}", folder.display())))?;
    }
    Ok(())
}

/// Moves what lies beside a file to stand beside it again; one that cannot go stays, and is told of at the next look.
pub(super) fn companions(incoming: &Path, beside: &[(names::Companion, OsString)], target: &Path) {
    for (what, name) in beside {
        let end = match what {
            names::Companion::Checksum => ".sha256",
            names::Companion::Signature => ".sig",
            names::Companion::Marker => ".done",
        };
        let mut to = target.as_os_str().to_owned();
        to.push(end);
        let from = incoming.join(name);
        let moved = fs::rename(&from, &to).or_else(|e| match e.kind() {
            io::ErrorKind::CrossesDevices => copied(&from, Path::new(&to)),
            _ => Err(e),
        });
        if let Err(e) = moved.as_ref().map_err(|e| e.to_string()).copied() {
            tracing::warn!(file = %names::shown(name), %e, "what belongs to a file could not be moved with it");
        }
    }
}

/// Over file systems. What came under its name since, a link or a pipe, is not followed.
fn copied(from: &Path, to: &Path) -> io::Result<()> {
    let mut file = look::open(from, &Fingerprint::at(from)?)?;
    let hidden = to.with_file_name(own_name());
    let copied = OpenOptions::new().write(true).create_new(true).open(&hidden).and_then(|mut out| {
        io::copy(&mut file, &mut out)?;
        out.sync_all()?;
        fs::rename(&hidden, to)
    });
    if copied.is_err() {
        let _ = fs::remove_file(&hidden);
    }
    copied.and_then(|()| fs::remove_file(from))
}

/// What was found, without what belongs to files that were moved: a crash between the two left it behind, and there it would
/// be taken for the next file's of that name. It is moved after its file.
pub fn without_leftovers(folder: &Folder, found: Vec<Found>, now: Instant) -> Vec<Found> {
    let days = [now, now - TimeDelta::days(1)].map(|at| crate::time::day_of(at).to_string());
    let mut gone: Vec<OsString> = Vec::new();
    for (f, of, what) in found.iter().filter_map(|f| f.orphan_of.as_ref().map(|(of, what)| (f, of, *what))) {
        let Ok(own) = fs::symlink_metadata(folder.incoming.join(&f.name)) else { continue };
        let places = days.iter().flat_map(|day| [folder.archive.join(day), folder.refused.join(day)]);
        let file = places.filter_map(|day| moved_after(&day, (&of.to_string_lossy(), what), &own)).next();
        if let Some(file) = file {
            companions(&folder.incoming, &[(what, f.name.clone())], &file);
            gone.push(f.name.clone());
        }
    }
    found.into_iter().filter(|f| !gone.contains(&f.name)).collect()
}

/// Whether a path is of a file of this name that was moved away.
fn is_moved(path: &Path, name: &str) -> bool {
    let (before, end) = names::around(name);
    let text = path.file_name().unwrap_or_default().to_string_lossy();
    let middle = text.strip_prefix(&before).and_then(|rest| rest.strip_suffix(&end));
    middle.is_some_and(|m| m.len() == names::DIGEST && m.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// How many days back a file is looked for that something belongs to which comes late.
const LATE_DAYS: i64 = 7;

/// The files of this name that were moved to a folder within the last days, the newest first.
pub(super) fn moved(folder: &Path, name: &str, now: Instant) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for back in 0..=LATE_DAYS {
        let day = folder.join(crate::time::day_of(now - TimeDelta::days(back)).to_string());
        let files = fs::read_dir(day).into_iter().flatten().filter_map(|e| e.ok().map(|e| e.path()));
        let of_day = files.filter(|path| is_moved(path, name));
        let touched = |path: &PathBuf| fs::symlink_metadata(path).map_or((0, 0), |m| (m.ctime(), m.ctime_nsec()));
        let mut of_day: Vec<PathBuf> = of_day.collect();
        of_day.sort_by_cached_key(|path| std::cmp::Reverse(touched(path)));
        all.extend(of_day);
    }
    all
}

/// A file of this name that was moved to a folder after something that belongs to it came, by the system's own times.
/// Where the system's clock cannot tell, a proof is one that came later, and is looked at.
fn moved_after(day: &Path, (name, what): (&str, names::Companion), companion: &Metadata) -> Option<PathBuf> {
    let is_it = |path: &PathBuf| is_moved(path, name);
    let came = (companion.ctime(), companion.ctime_nsec());
    let after = |path: &PathBuf| {
        let moved = fs::symlink_metadata(path).map(|m| (m.ctime(), m.ctime_nsec()));
        moved.is_ok_and(|moved| moved > came || (moved == came && what == names::Companion::Marker))
    };
    fs::read_dir(day).ok()?.filter_map(|e| e.ok().map(|e| e.path())).find(|path| is_it(path) && after(path))
}

/// Where the report on a file lies.
fn report_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".report.txt");
    PathBuf::from(name)
}

/// Whether a file was refused before, and could not be moved.
pub(super) fn is_stuck(target: &Path) -> bool {
    is_there(&report_of(target)) && !is_there(target)
}

/// A hidden name that no other watcher uses at the same time.
fn own_name() -> String {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    format!(".tributary-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed))
}

/// Writes a report, whole or not at all.
pub(super) fn write_report(target: &Path, text: &str) -> Result<PathBuf, String> {
    let path = report_of(target);
    let hidden = path.with_file_name(own_name());
    let written = File::create(&hidden).and_then(|mut f| {
        f.write_all(text.as_bytes())?;
        f.sync_all()?;
        fs::rename(&hidden, &path)
    });
    match written {
        Ok(()) => Ok(path),
        Err(e) => {
            let _ = fs::remove_file(&hidden);
            Err(format!("cannot write the report {}: {e}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::seal::sha256;

    #[test]
    fn a_copy_over_file_systems_is_proved_before_the_original_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.sta"), folder.path().join("b.sta"));
        fs::write(&from, b"statement").unwrap();
        let print = Fingerprint::at(&from).unwrap();
        let (wrong, right) = (sha256(b"what was read"), sha256(b"statement"));
        let read = |digest| Original { path: &from, print: &print, digest };
        assert!(matches!(copy_over(read(&wrong), &to), Err(Stays::Changed)));
        assert!(from.exists() && !to.exists());
        copy_over(read(&right), &to).unwrap();
        assert_eq!((from.exists(), fs::read(&to).unwrap()), (false, b"statement".to_vec()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(set_aside(read(&wrong), &to), Err(Stays::Gone)));
    }

    /// Two watchers may copy one file at once, and none of them may write into what the other proves.
    #[test]
    fn a_copy_over_file_systems_has_a_hidden_name_of_its_own_and_leaves_none_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.sta"), folder.path().join("b.sta"));
        fs::write(&from, b"statement").unwrap();
        let print = Fingerprint::at(&from).unwrap();
        let digest = sha256(b"statement");
        // What another one is in the middle of.
        let theirs = folder.path().join(".b.sta.part");
        fs::write(&theirs, b"state").unwrap();
        // It cannot get its name: a folder has it.
        fs::create_dir_all(to.join("full")).unwrap();
        let read = Original { path: &from, print: &print, digest: &digest };
        assert!(matches!(copy_over(read, &to), Err(Stays::Failed(_))));
        let names = || {
            let all = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            let mut all: Vec<String> = all.collect();
            all.sort();
            all
        };
        assert_eq!(names(), [".b.sta.part", "a.sta", "b.sta"]);
        fs::remove_dir_all(&to).unwrap();
        copy_over(read, &to).unwrap();
        assert_eq!(names(), [".b.sta.part", "b.sta"]);
        assert_eq!((fs::read(&theirs).unwrap(), fs::read(&to).unwrap()), (b"state".to_vec(), b"statement".to_vec()));
    }

    #[test]
    fn a_file_that_came_under_the_name_meanwhile_is_not_moved() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.sta"), folder.path().join("b.sta"));
        fs::write(&from, b"first").unwrap();
        let print = Fingerprint::at(&from).unwrap();
        fs::write(folder.path().join("new"), b"second").unwrap();
        fs::rename(folder.path().join("new"), &from).unwrap();
        let read = Original { path: &from, print: &print, digest: &sha256(b"first") };
        assert!(matches!(set_aside(read, &to), Err(Stays::Changed)));
        assert_eq!((fs::read(&from).unwrap(), to.exists()), (b"second".to_vec(), false));
    }
}
