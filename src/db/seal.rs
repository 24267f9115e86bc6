//! Seals: what one commit added, hashed onto the seal before it. Pure.
//!
//! Two trees, both as RFC 6962 section 2.1 (SHA-256; leaves prefixed 0x00, nodes 0x01): one within a seal over its entries
//! and events, one over all seals. The second is carried from seal to seal by its *peaks*, the roots of its perfect subtrees
//! from the largest to the smallest, so that a commit costs a few hashes whatever the journal's length.

use crate::time::{Instant, rfc3339};
use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// SHA-256 of some bytes, such as a file's.
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// SHA-256 and length of everything that a reader gives, in constant space.
pub fn sha256_of(mut input: impl std::io::Read) -> std::io::Result<(Hash, i64)> {
    let mut h = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok((h.finalize().into(), size)),
            n => {
                h.update(buffer.get(..n).unwrap_or_default());
                size += i64::try_from(n).unwrap_or(0);
            }
        }
    }
}

/// A reader that hashes what goes through it, so that what was read and what was hashed are the same bytes.
pub struct Hashing<R> {
    input: R,
    hasher: Sha256,
}

impl<R: std::io::Read> Hashing<R> {
    /// Hashes what is read from `input`.
    pub fn new(input: R) -> Self {
        Hashing { input, hasher: Sha256::new() }
    }

    /// Reads what nobody has asked for yet, and gives the SHA-256 of everything.
    pub fn finish(mut self) -> std::io::Result<Hash> {
        std::io::copy(&mut self, &mut std::io::sink())?;
        Ok(self.hasher.finalize().into())
    }
}

impl<R: std::io::Read> std::io::Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Lower-case hexadecimal, as digests are shown.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{b:02x}");
        text
    })
}

/// What hexadecimal digits of either case say; `None` where it is not that, two digits for each byte.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pair = |pair: &[u8]| if let [a, b] = pair { Some(digit(*a)? << 4 | digit(*b)?) } else { None };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// The hash of a leaf's bytes.
pub fn leaf(bytes: &[u8]) -> Hash {
    let mut h = Sha256::new();
    h.update([0u8]);
    h.update(bytes);
    h.finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut h = Sha256::new();
    h.update([1u8]);
    h.update(left);
    h.update(right);
    h.finalize().into()
}

/// The Merkle tree hash over leaf hashes; of none, the hash of nothing.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut peaks = Peaks::default();
    for leaf in leaves {
        peaks.push(*leaf);
    }
    peaks.root()
}

/// The hashes beside the way from a leaf up to the root, from below (RFC 6962, 2.1.1).
pub fn leaf_path(leaves: &[Hash], place: usize) -> Vec<Hash> {
    if leaves.len() < 2 || place >= leaves.len() {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, beside) = match place.checked_sub(left.len()) {
        None => (leaf_path(left, place), root(right)),
        Some(place) => (leaf_path(right, place), root(left)),
    };
    path.push(beside);
    path
}

/// The root that a leaf and the hashes beside its way lead to; `None` when there are too many or too few of them.
pub fn root_by_path(leaf: &Hash, place: usize, leaves: usize, path: &[Hash]) -> Option<Hash> {
    let Some((beside, below)) = path.split_last() else { return (leaves == 1 && place == 0).then_some(*leaf) };
    if leaves < 2 || place >= leaves {
        return None;
    }
    let left = leaves.next_power_of_two() / 2;
    match place.checked_sub(left) {
        None => Some(node(&root_by_path(leaf, place, left, below)?, beside)),
        Some(place) => Some(node(beside, &root_by_path(leaf, place, leaves - left, below)?)),
    }
}

/// A growing tree, as the roots of its perfect subtrees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peaks {
    size: u64,
    hashes: Vec<Hash>,
}

impl Peaks {
    /// The tree of `size` leaves whose peaks were stored; `None` when the bytes cannot be such peaks.
    pub fn from_stored(size: u64, bytes: &[u8]) -> Option<Peaks> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        let fits = rest.is_empty() && u64::from(size.count_ones()) == hashes.len() as u64;
        fits.then(|| Peaks { size, hashes: hashes.to_vec() })
    }

    /// As stored: the peaks one after another.
    pub fn to_stored(&self) -> Vec<u8> {
        self.hashes.concat()
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each trailing one of the size is a perfect subtree that the new leaf completes to one of twice its width.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node(&left, &hash);
            }
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The Merkle tree hash.
    pub fn root(&self) -> Hash {
        let mut rest = self.hashes.iter().rev();
        match rest.next() {
            None => sha256(&[]),
            Some(last) => rest.fold(*last, |right, left| node(left, &right)),
        }
    }
}

/// What a seal says, before it is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealContent {
    /// Gapless from 1.
    pub number: i64,
    /// Never before that of the seal before it.
    pub recorded_at: Instant,
    /// First and last entry; last is first - 1 when there is none.
    pub entries: (i64, i64),
    /// First and last event, likewise.
    pub events: (i64, i64),
    /// Root over the leaves of the entries, then of the events.
    pub root: Hash,
    /// The hash of the seal before it; zeros for the first.
    pub previous: Hash,
}

impl SealContent {
    /// The seal's hash: the leaf of its versioned, length-prefixed encoding.
    pub fn hash(&self) -> Hash {
        let mut e = Encoding::new("tributary.seal.1");
        e.int(self.number).text(&rfc3339(self.recorded_at));
        e.int(self.entries.0).int(self.entries.1).int(self.events.0).int(self.events.1);
        e.bytes(&self.root).bytes(&self.previous);
        leaf(e.as_bytes())
    }
}

/// The canonical bytes of a record: every value with its length in front, so that no two records share an encoding.
#[derive(Debug, Default)]
pub struct Encoding(Vec<u8>);

impl Encoding {
    /// Starts a record of a kind and version.
    pub fn new(version: &str) -> Self {
        let mut e = Encoding(Vec::with_capacity(256));
        e.text(version);
        e
    }

    /// Starts over with another record in the same memory.
    pub fn restart(&mut self, version: &str) -> &mut Self {
        self.0.clear();
        self.text(version)
    }

    /// A signed whole number: eight bytes, big-endian.
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.0.push(8);
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Text or bytes: their length (eight bytes, after a marker), then they.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.0.push(9);
        self.0.extend_from_slice(&(value.len() as u64).to_be_bytes());
        self.0.extend_from_slice(value);
        self
    }

    /// UTF-8 text.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// Text that may be absent, which differs from empty.
    pub fn optional(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => {
                self.0.push(0);
                self
            }
        }
    }

    /// The record so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert_eq, prop_assert_ne, proptest};

    /// RFC 6962 section 2.1 as it is written: split at the largest power of two below n.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(&[]),
            [one] => *one,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node(&mth(&leaves[..k]), &mth(&leaves[k..]))
            }
        }
    }

    #[test]
    fn the_tree_is_that_of_rfc_6962() {
        // Published test vectors of certificate transparency: the empty tree and the leaf of no bytes.
        assert_eq!(hex(&root(&[])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(&leaf(&[])), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        let leaves: Vec<Hash> = (0..70u8).map(|i| leaf(&[i])).collect();
        for n in 0..leaves.len() {
            assert_eq!(root(&leaves[..n]), mth(&leaves[..n]), "{n} leaves");
        }
    }

    proptest! {
        #[test]
        fn a_leaf_is_proved_by_its_path_and_by_no_other(n in 1usize..200, place in 0usize..200) {
            let leaves: Vec<Hash> = (0..n).map(|i| leaf(&i.to_be_bytes())).collect();
            let place = place % n;
            let path = leaf_path(&leaves, place);
            prop_assert_eq!(root_by_path(&leaves[place], place, n, &path), Some(root(&leaves)));
            prop_assert_ne!(root_by_path(&leaf(b"other"), place, n, &path), Some(root(&leaves)));
            prop_assert_eq!(root_by_path(&leaves[place], place, n + n.next_power_of_two(), &path), None);
        }

        #[test]
        fn peaks_survive_storage(n in 0u64..300) {
            let mut peaks = Peaks::default();
            (0..n).for_each(|i| peaks.push(leaf(&i.to_be_bytes())));
            let back = Peaks::from_stored(n, &peaks.to_stored());
            prop_assert_eq!(back.as_ref(), Some(&peaks));
            prop_assert_eq!(Peaks::from_stored(n + 1, &peaks.to_stored()).is_some(), (n + 1).count_ones() == n.count_ones());
        }

        #[test]
        fn no_two_records_share_an_encoding(a in prop::collection::vec(".{0,6}", 0..5), b in prop::collection::vec(".{0,6}", 0..5)) {
            let encode = |texts: &[String]| { let mut e = Encoding::new("t"); texts.iter().for_each(|t| { e.text(t); }); e.0 };
            if a == b { prop_assert_eq!(encode(&a), encode(&b)); } else { prop_assert_ne!(encode(&a), encode(&b)); }
        }
    }
}
