//! Proof that an entry is in its seal: the hashes beside the way from its leaf up to the root (RFC 6962), so that whoever knows the
//! seal's root can convince themselves without reading anything else.

use super::store::{events_between, seals_after};
use super::{entries, entry};
use crate::db::seal::{Encoding, Hash, leaf_path, root};
use crate::db::{Conn, event_leaf};
use crate::error::{Error, Result};

/// That an entry is in its seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The entry.
    pub entry: i64,
    /// The seal that covers it.
    pub seal: i64,
    /// The leaf that the entry's stored columns give.
    pub leaf: Hash,
    /// Its place among the leaves of the seal, from 0.
    pub place: usize,
    /// How many leaves the seal has.
    pub leaves: usize,
    /// The hashes beside the way up, from the leaf on.
    pub path: Vec<Hash>,
    /// The seal's root, as it is stored.
    pub root: Vec<u8>,
    /// Whether leaf and path lead to it.
    pub holds: bool,
}

/// Proves that an entry is in its seal.
pub fn inclusion(conn: &mut Conn, number: i64) -> Result<Inclusion> {
    let seal = entry(conn, number)?.seal;
    let row = seals_after(conn, seal.saturating_sub(1), seal, 1)?.pop();
    let row = row.ok_or_else(|| Error::Broken(format!("I11: entry {number} names seal {seal}, which is not there")))?;
    let mut encoding = Encoding::new("tributary.entry.1");
    let mut leaves: Vec<Hash> = Vec::new();
    let mut place = 0;
    for (at, e) in entries(conn, row.first_entry, row.last_entry)?.iter().enumerate() {
        if e.number == number {
            place = at;
        }
        leaves.push(e.leaf(&mut encoding));
    }
    for e in events_between(conn, row.first_event, row.last_event)? {
        leaves.push(event_leaf(e.number, &e.actor, &e.kind, &e.subject, e.before.as_deref(), e.after.as_deref()));
    }
    let leaf = leaves.get(place).copied().unwrap_or_default();
    let holds = root(&leaves).as_slice() == row.root.as_slice();
    Ok(Inclusion {
        entry: number,
        seal,
        leaf,
        place,
        leaves: leaves.len(),
        path: leaf_path(&leaves, place),
        root: row.root,
        holds,
    })
}
