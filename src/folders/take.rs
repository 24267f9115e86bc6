//! One look over a folder, and everything in it that is complete dealt with.

use super::aside::{self, Original, Stays};
use super::kinds::{self, Proved, Told};
use super::late;
use super::look::{self, Fingerprint, Found, Memory, State};
use super::names::Companion;
use super::origin::{self, Key};
use super::report::{self, About};
use super::{Folder, Refusal};
use crate::banking::Profiles;
use crate::config::Demand;
use crate::db::seal::{Hash, hex};
use crate::db::{Db, Tx, Who};
use crate::error::{Error, Result};
use crate::statements::Remark;
use serde::Serialize;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// The largest checksum file or signature that is read.
const LARGEST_COMPANION: u64 = 64 << 10;

/// What a folder is worked with.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The treasury, which also says what time it is.
    pub db: &'a Db,
    /// Who acts.
    pub who: &'a Arc<Who>,
    /// How files are read that do not say it themselves.
    pub profiles: &'a Profiles,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Taken in, and moved to the archive.
    Taken,
    /// The same bytes were taken in before; moved to the archive.
    AlreadyTaken,
    /// Something of it was refused or waits for a person; in the archive, with a report.
    PartlyTaken,
    /// Nothing of it was taken; set aside with a report.
    Refused,
    /// It stays, and is looked at again.
    Waits,
    /// It stays, and is none of ours.
    LeftAlone,
    /// The machine says no; it stays, or lies where it says.
    Failed,
}

/// A file of a folder, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Taken {
    /// The folder's name.
    pub folder: String,
    /// The file's name.
    pub file: String,
    /// What became of it.
    pub outcome: Outcome,
    /// For people.
    pub said: String,
    /// Why not all of it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// How its sender was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Of its bytes, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where it lies now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<PathBuf>,
    /// The report beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<PathBuf>,
    /// What its command answered.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

impl Taken {
    pub(super) fn stays(folder: &Folder, file: String, outcome: Outcome, said: String) -> Taken {
        let folder = folder.name.clone();
        let (code, origin, sha256, moved_to, report) = (None, None, None, None, None);
        Taken { folder, file, outcome, said, code, origin, sha256, moved_to, report, detail: Value::Null }
    }

    /// Whether a person should look at it.
    pub fn wants_attention(&self) -> bool {
        matches!(self.outcome, Outcome::PartlyTaken | Outcome::Refused | Outcome::Failed)
    }
}

/// Looks at a folder once and deals with what is complete, file by file; `told` hears of each at once, and `stop` is asked
/// before each. An error concerns the folder as a whole, or the database.
pub fn take(
    desk: &Desk<'_>,
    folder: &Folder,
    memory: &mut Memory,
    stop: &dyn Fn() -> bool,
    told: &mut dyn FnMut(&Taken),
) -> Result<()> {
    let now = desk.db.clock().now();
    let found = look::look(folder, memory, now).map_err(|e| unreadable(folder, &e))?;
    let found = aside::without_leftovers(folder, found, now);
    let mut left = Vec::with_capacity(found.len());
    for one in found {
        match late::verify(desk, folder, &one, now)? {
            Some(dealt) => {
                memory.forget(&one);
                told(&dealt);
            }
            None => {
                let state = late::came_late(folder, &one, now).map_or(one.state.clone(), State::Waits);
                left.push(Found { state, ..one });
            }
        }
    }
    let found = left;
    if !found.iter().any(|f| f.state == State::Ready) {
        found.iter().filter_map(|f| stays(folder, f)).for_each(|t| told(&t));
        return Ok(());
    }
    // Before anything is taken: a file that cannot be moved away would be taken again and again.
    let fault = |what: String| Error::Broken(format!("folder {}: {what}", folder.name));
    aside::prove_writable(&folder.incoming).map_err(fault)?;
    let archive = aside::folder_of_day(&folder.archive, now).map_err(fault)?;
    let refused = aside::folder_of_day(&folder.refused, now).map_err(fault)?;
    let round = Round { desk, folder, archive, refused };
    for found in &found {
        if stop() {
            return Ok(());
        }
        let dealt = match stays(folder, found) {
            Some(stays) => Some(stays),
            None => round.one(found)?,
        };
        if let Some(dealt) = dealt {
            if dealt.outcome == Outcome::Failed {
                memory.stuck.insert(found.name.clone(), (found.print, now));
            }
            if dealt.moved_to.is_some() {
                memory.forget(found);
            }
            told(&dealt);
        }
    }
    Ok(())
}

/// Why a folder cannot be looked at.
pub(super) fn unreadable(folder: &Folder, e: &io::Error) -> Error {
    Error::NotFound(format!(
        "folder {}: cannot look into {}: {e}; make it, or mend incoming in the configuration",
        folder.name,
        folder.incoming.display()
    ))
}

/// What is said of something that stays; `None` of a file that is complete.
pub fn stays(folder: &Folder, found: &Found) -> Option<Taken> {
    let (outcome, why) = match &found.state {
        State::Ready => return None,
        State::Waits(why) => (Outcome::Waits, why),
        State::LeftAlone(why) => (Outcome::LeftAlone, why),
    };
    Some(Taken::stays(folder, found.shown(), outcome, why.clone()))
}

/// An event about a file: by its digest, since its name may say whose it is.
#[derive(Debug, Clone)]
pub(super) struct Note {
    kind: &'static str,
    folder: String,
    after: String,
}

impl Note {
    pub(super) fn new(kind: &'static str, folder: &Folder, digest: &Hash, mut after: Value) -> Note {
        after["sha256"] = json!(hex(digest));
        after["kind"] = json!(folder.kind);
        Note { kind, folder: folder.name.clone(), after: after.to_string() }
    }

    pub(super) fn of(&self, tx: &mut Tx<'_>) {
        tx.event(self.kind, &self.folder, None, Some(self.after.clone()));
    }
}

/// A round through a folder, and the day's folders for what it finds.
struct Round<'a> {
    desk: &'a Desk<'a>,
    folder: &'a Folder,
    archive: PathBuf,
    refused: PathBuf,
}

/// What was proved of a file before it is taken.
struct Origin {
    digest: Hash,
    words: String,
    /// What is wrong with its checksum or signature.
    wrong: Option<Refusal>,
}

impl Round<'_> {
    /// Deals with a complete file; `None` when somebody else was faster.
    fn one(&self, found: &Found) -> Result<Option<Taken>> {
        let path = self.folder.incoming.join(&found.name);
        let stays = |outcome, said: String| Ok(Some(Taken::stays(self.folder, found.shown(), outcome, said)));
        let origin = match self.prove(&path, found) {
            Ok(Some(origin)) => origin,
            Ok(None) => {
                return stays(Outcome::Waits, "it changed while it was read; it is taken when it is still".to_owned());
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => return stays(Outcome::Waits, e.to_string()),
            Err(e) => {
                let mend = "give the user that Tributary runs as the right to read it";
                return stays(Outcome::Failed, format!("cannot be read: {e}; {mend}"));
            }
        };
        let told = match &origin.wrong {
            Some(wrong) => told_wrong(wrong),
            None => {
                let failed: Rc<Failure> = Rc::default();
                let open = || -> io::Result<Box<dyn Read>> {
                    let inner = look::open(&path, &found.print).inspect_err(|e| note(&failed, e))?;
                    Ok(Box::new(Watched { inner, failed: Rc::clone(&failed) }))
                };
                let name = found.shown();
                let file = Proved { name: &name, digest: &origin.digest, origin: &origin.words, open: &open };
                match kinds::take_in(self.desk, self.folder, &file) {
                    Ok(told) => told,
                    Err(e @ (Error::Busy(_) | Error::Conflict(_))) => return stays(Outcome::Waits, e.to_string()),
                    Err(e) => match failed.take() {
                        // The file's fault, not the database's: others go on.
                        Some(_) if !path.exists() => return Ok(None),
                        Some((io::ErrorKind::ResourceBusy, why)) => return stays(Outcome::Waits, why),
                        Some((_, why)) => return stays(Outcome::Failed, format!("cannot be read: {why}")),
                        None => return Err(e.within(format!("folder {}: {name}", self.folder.name))),
                    },
                }
            }
        };
        self.put_away(found, &path, &origin, told)
    }

    /// Reads a file and what lies beside it; `None` when it changed meanwhile.
    fn prove(&self, path: &Path, found: &Found) -> io::Result<Option<Origin>> {
        let folder = self.folder;
        let beside = |what, demand: Demand| found.companion(what).filter(|_| demand != Demand::Never);
        let read = |name: Option<&OsString>| name.map(|n| companion(&folder.incoming.join(n))).transpose();
        let checksum = read(beside(Companion::Checksum, folder.checksum))?;
        // Without keys there is nothing to prove a signature by.
        let signature = beside(Companion::Signature, folder.signature).filter(|_| !folder.keys.is_empty());
        let signature = read(signature)?.map(|bytes| origin::signature(&bytes));
        let file = look::open(path, &found.print)?;
        let proof = origin::prove(&file, signature.as_ref().and_then(|s| s.as_ref().ok()), &folder.keys)?;
        let unchanged = Fingerprint::of(&file.metadata()?) == found.print && Fingerprint::at(path)? == found.print;
        if !unchanged || proof.size != found.size {
            return Ok(None);
        }
        let name = found.name.to_string_lossy();
        let checked = checksum.as_ref().map(|text| origin::matches_checksum(text, &name, &proof.digest));
        let wrong = match (&checked, &signature, &proof.signed_by) {
            (Some(Err(wrong)), ..) | (_, Some(Err(wrong)), _) => Some(wrong.clone()),
            (_, Some(Ok(_)), None) => Some(nobody_signed(&folder.keys)),
            _ => None,
        };
        let signed_by = proof.signed_by.as_ref().filter(|_| wrong.is_none());
        let words = origin::in_words(checked.is_some() && wrong.is_none(), signed_by);
        Ok(Some(Origin { digest: proof.digest, words, wrong }))
    }

    /// Moves a file that was dealt with, with a report where not all of it was taken.
    fn put_away(&self, found: &Found, path: &Path, origin: &Origin, told: Told) -> Result<Option<Taken>> {
        let day = if told.outcome == Outcome::Refused { &self.refused } else { &self.archive };
        let mut taken = Taken {
            code: told.code,
            origin: Some(origin.words.clone()),
            sha256: Some(hex(&origin.digest)),
            detail: told.detail,
            ..Taken::stays(self.folder, found.shown(), told.outcome, told.said)
        };
        let target = match aside::target(day, &found.name.to_string_lossy(), &origin.digest) {
            Ok(target) => target,
            Err(why) => return Ok(Some(stuck(taken, &why))),
        };
        // Event, report, file: what was set aside is never without the two. One that could not be moved is told once.
        if taken.outcome == Outcome::Refused && !aside::is_stuck(&target) {
            let note = Note::new("folder.refused", self.folder, &origin.digest, json!({ "code": taken.code }));
            self.desk.db.write("folder.refuse", self.desk.who, move |tx| {
                note.of(tx);
                Ok(())
            })?;
        }
        let report = taken.code.map(|code| self.report(&target, found, origin, (&taken, code), &told.remarks));
        let report = match report.transpose() {
            Ok(report) => report,
            Err(why) => return Ok(Some(stuck(taken, &why))),
        };
        match aside::set_aside(Original { path, print: &found.print, digest: &origin.digest }, &target) {
            Ok(()) => {}
            Err(Stays::Gone) => return Ok(None),
            Err(Stays::Changed) => {
                taken.said.push_str("; another file came under its name meanwhile, and is looked at next");
                return Ok(Some(taken));
            }
            Err(Stays::Failed(why)) => return Ok(Some(stuck(taken, &why))),
        }
        aside::companions(&self.folder.incoming, &found.companions, &target);
        (taken.moved_to, taken.report) = (Some(target), report);
        Ok(Some(taken))
    }

    fn report(
        &self,
        target: &Path,
        found: &Found,
        origin: &Origin,
        (taken, code): (&Taken, &str),
        remarks: &[Remark],
    ) -> Result<PathBuf, String> {
        let (name, at) = (found.shown(), self.desk.db.clock().now());
        let about = About {
            folder: self.folder,
            name: &name,
            at,
            digest: &origin.digest,
            origin: &origin.words,
            outcome: taken.outcome,
            code,
            said: &taken.said,
            remarks,
        };
        aside::write_report(target, &report::text(&about))
    }
}

/// Dealt with, but still there: found again, it is known.
fn stuck(taken: Taken, why: &str) -> Taken {
    let said = format!("{}; but it could not be moved away: {why}", taken.said);
    Taken { outcome: Outcome::Failed, said, ..taken }
}

fn told_wrong(wrong: &Refusal) -> Told {
    use crate::error::Refusal as _;
    let (said, code) = (wrong.to_string(), Some(wrong.code()));
    Told { outcome: Outcome::Refused, said, code, remarks: Vec::new(), detail: Value::Null }
}

pub(super) fn nobody_signed(keys: &[Key]) -> Refusal {
    let names: Vec<&str> = keys.iter().map(|k| k.name.as_str()).collect();
    let why = format!(
        "the signature beside it was not made over these bytes by any of the keys of this folder ({}): the file was changed, or somebody else signed it",
        names.join(", ")
    );
    Refusal::WrongSignature { why }
}

/// What lies beside a file: small, and a regular file like it.
pub(super) fn companion(path: &Path) -> io::Result<Vec<u8>> {
    let file = look::open(path, &Fingerprint::at(path)?)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_COMPANION).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn note(failed: &Failure, e: &io::Error) {
    *failed.borrow_mut() = Some((e.kind(), e.to_string()));
}

/// How reading a file failed, if it did.
type Failure = RefCell<Option<(io::ErrorKind, String)>>;

/// A file that remembers that reading it failed, so that it can be told from a fault of the database.
struct Watched {
    inner: std::fs::File,
    failed: Rc<Failure>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        read.inspect_err(|e| {
            if e.kind() != io::ErrorKind::Interrupted {
                note(&self.failed, e);
            }
        })
    }
}
