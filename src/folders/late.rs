//! A checksum or signature that comes after its file, in a folder that takes files without one (`if_there`): the file was taken
//! unverified by then. It is verified now, in the archive: what it proves is kept with the file, and what it contradicts is said.

use super::aside;
use super::look::{self, Fingerprint, Found};
use super::names::Companion;
use super::origin;
use super::report::{self, About};
use super::take::{Desk, Note, Outcome, Taken, companion, nobody_signed};
use super::{Folder, Refusal};
use crate::config::{Demand, FolderKind};
use crate::db::seal::{Hash, hex};
use crate::error::{Error, Refusal as _, Result};
use crate::statements;
use crate::time::Instant;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// What belongs to a file that was taken without it, as what.
fn belongs<'a>(folder: &Folder, found: &'a Found) -> Option<(&'a OsString, Companion)> {
    let (of, what) = found.orphan_of.as_ref()?;
    let is_looked_at = match what {
        Companion::Checksum => folder.checksum == Demand::IfThere,
        // Without keys there is nothing to prove a signature by.
        Companion::Signature => folder.signature == Demand::IfThere && !folder.keys.is_empty(),
        Companion::Marker => false,
    };
    is_looked_at.then_some((of, *what))
}

/// Why something lies there although its file was taken, for whoever lists the folder; `None` when its file was not.
pub fn came_late(folder: &Folder, found: &Found, now: Instant) -> Option<String> {
    let (of, _) = belongs(folder, found)?;
    let of = of.to_string_lossy();
    let taken = !aside::moved(&folder.archive, &of, now).is_empty();
    taken.then(|| format!("came after {of}, which was taken without it; that is verified by it when it is still"))
}

/// What an archived file is proved to be.
struct Proof {
    path: PathBuf,
    digest: Hash,
    words: Result<String, Refusal>,
}

/// Verifies a file that was taken by what came after it; `None` when that is nothing of the kind, or is still being written.
pub(super) fn verify(desk: &Desk<'_>, folder: &Folder, found: &Found, now: Instant) -> Result<Option<Taken>> {
    let Some((of, what)) = belongs(folder, found) else { return Ok(None) };
    let (of, shown) = (of.to_string_lossy(), found.shown());
    if found.size == 0 || found.changed_at.is_none_or(|at| now - at < folder.still) {
        return Ok(None);
    }
    let mut newest = None;
    for path in aside::moved(&folder.archive, &of, now) {
        let proof = prove(folder, found, (&of, what), path);
        let proof = proof.map_err(|e| Error::Broken(format!("folder {}: {shown}: {e}", folder.name)))?;
        if proof.words.is_ok() {
            return right(desk, folder, found, (&of, what), proof).map(Some);
        }
        newest = newest.or(Some(proof));
    }
    newest.map(|proof| wrong(desk, folder, found, (&of, what), proof)).transpose()
}

fn prove(folder: &Folder, found: &Found, (of, what): (&str, Companion), path: PathBuf) -> io::Result<Proof> {
    let bytes = companion(&folder.incoming.join(&found.name))?;
    let signature = (what == Companion::Signature).then(|| origin::signature(&bytes));
    let file = look::open(&path, &Fingerprint::at(&path)?)?;
    let proof = origin::prove(&file, signature.as_ref().and_then(|s| s.as_ref().ok()), &folder.keys)?;
    let words = match (signature, proof.signed_by) {
        (None, _) => origin::matches_checksum(&bytes, of, &proof.digest).map(|()| origin::in_words(true, None)),
        (Some(Err(wrong)), _) => Err(wrong),
        (Some(Ok(_)), None) => Err(nobody_signed(&folder.keys)),
        (Some(Ok(_)), Some(key)) => Ok(origin::in_words(false, Some(&key))),
    };
    Ok(Proof { path, digest: proof.digest, words })
}

fn right(
    desk: &Desk<'_>,
    folder: &Folder,
    found: &Found,
    (of, what): (&str, Companion),
    proof: Proof,
) -> Result<Taken> {
    let words = proof.words.unwrap_or_default();
    if folder.kind == FolderKind::Statements
        && let Some(file) = desk.db.read(|conn| statements::file_by_content(conn, &proof.digest))?
    {
        statements::verify_origin(desk.db, desk.who, &file, &words)?;
    }
    let said = format!("came after {of}, which was taken without it, and is right");
    aside::companions(&folder.incoming, &[(what, found.name.clone())], &proof.path);
    Ok(Taken {
        origin: Some(words),
        sha256: Some(hex(&proof.digest)),
        moved_to: Some(proof.path),
        ..Taken::stays(folder, found.shown(), Outcome::Taken, said)
    })
}

fn wrong(
    desk: &Desk<'_>,
    folder: &Folder,
    found: &Found,
    (of, what): (&str, Companion),
    proof: Proof,
) -> Result<Taken> {
    let Some(wrong) = proof.words.err() else { return Err(Error::Broken("a proof is right and wrong".to_owned())) };
    let (code, name) = (wrong.code(), found.shown());
    let said = format!("came after {of}, which was taken without it, and contradicts what was taken: {wrong}");
    let note = Note::new("folder.contradicted", folder, &proof.digest, json!({ "code": code }));
    desk.db.write("folder.contradict", desk.who, move |tx| {
        note.of(tx);
        Ok(())
    })?;
    let about = About {
        folder,
        name: &name,
        at: desk.db.clock().now(),
        digest: &proof.digest,
        origin: statements::UNVERIFIED,
        outcome: Outcome::Refused,
        code,
        said: &said,
        remarks: &[],
    };
    let mut beside = proof.path.clone().into_os_string();
    beside.push(".late");
    // Not over a proof that is right and lies beside the file already.
    let beside = PathBuf::from(beside);
    let report = aside::write_report(&beside, &report::text(&about));
    let report = report.map_err(|why| Error::Broken(format!("folder {}: {why}", folder.name)))?;
    aside::companions(&folder.incoming, &[(what, found.name.clone())], &beside);
    Ok(Taken {
        code: Some(code),
        sha256: Some(hex(&proof.digest)),
        moved_to: Some(proof.path),
        report: Some(report),
        detail: Value::Null,
        ..Taken::stays(folder, name, Outcome::Refused, said)
    })
}
