//! The records of a zip archive: the header before each member, what stands behind it, and the directory at the end.
//!
//! Numbers are little-endian. A program can be shown another archive than ours when the directory names other members than
//! those that stand there; so the two are compared.

use super::{Counted, Current, behind, damaged, wrong};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead};

const MEMBER: [u8; 4] = *b"PK\x03\x04";
const LENGTHS: [u8; 4] = *b"PK\x07\x08";
const DIRECTORY: [u8; 4] = *b"PK\x01\x02";
const SIGNATURE: [u8; 4] = *b"PK\x05\x05";
const END: [u8; 4] = *b"PK\x05\x06";
const LONG_END: [u8; 4] = *b"PK\x06\x06";
const LONG_LOCATOR: [u8; 4] = *b"PK\x06\x07";

/// A name longer than any folder allows.
const NAME_LIMIT: u16 = 4096;

/// What stands before a member.
#[derive(Debug, Clone, Default)]
pub(super) struct Header {
    raw_name: Vec<u8>,
    pub(super) stored: bool,
    /// Its length as packed, where it is known before.
    pub(super) packed: Option<u64>,
    unpacked: Option<u64>,
    crc: Option<u32>,
    /// Checksum and lengths stand behind it.
    lengths_follow: bool,
    /// Lengths have eight bytes.
    is_long: bool,
}

impl Header {
    /// The name for messages: what cannot be shown is left out, and a long one is cut.
    pub(super) fn name(&self) -> String {
        let text = String::from_utf8_lossy(&self.raw_name);
        text.chars().filter(|c| !c.is_control()).take(80).collect()
    }

    pub(super) fn is_folder(&self) -> bool {
        self.raw_name.ends_with(b"/")
    }

    /// What operating systems leave beside the files.
    pub(super) fn is_litter(&self) -> bool {
        let name = self.raw_name.as_slice();
        let last = name.rsplit(|b| *b == b'/').next().unwrap_or_default();
        name.starts_with(b"__MACOSX/") || [&b".DS_Store"[..], b"Thumbs.db"].contains(&last)
    }
}

/// Which members there were: name and checksum of each.
#[derive(Debug, Default)]
pub(super) struct Contents(Vec<(u64, u32)>);

impl Contents {
    pub(super) fn add(&mut self, header: &Header, crc: u32) {
        self.0.push((digest(&header.raw_name), crc));
    }

    fn sorted(&self) -> Vec<(u64, u32)> {
        let mut all = self.0.clone();
        all.sort_unstable();
        all
    }
}

fn digest(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// The header of the next member; `None` when the archive has ended and its directory says what `read` says.
pub(super) fn next_header<R: BufRead>(input: &mut Counted<R>, read: &Contents) -> io::Result<Option<Header>> {
    match input.array()? {
        MEMBER => header(input, read.0.is_empty()).map(Some),
        mark => directory(input, mark, read).map(|()| None),
    }
}

fn header<R: BufRead>(input: &mut Counted<R>, is_first: bool) -> io::Result<Header> {
    const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
    const LENGTHS_FOLLOW: u16 = 1 << 3;
    let fixed: [u8; 26] = input.array()?;
    let (flags, method) = (short(&fixed, 2), short(&fixed, 4));
    let (name_length, extra_length) = (short(&fixed, 22), short(&fixed, 24));
    if name_length > NAME_LIMIT {
        return Err(wrong("a member of the archive has a name longer than any folder allows".to_owned()));
    }
    let mut raw_name = vec![0; usize::from(name_length)];
    input.exactly(&mut raw_name)?;
    let mut extra = vec![0; usize::from(extra_length)];
    input.exactly(&mut extra)?;
    let mut header = Header { raw_name, stored: method == 0, ..Header::default() };
    let name = header.name();
    if is_first && matches!(header.raw_name.as_slice(), b"[Content_Types].xml" | b"mimetype") {
        return Err(wrong("this is a spreadsheet or another office document: export it as CSV".to_owned()));
    }
    if flags & ENCRYPTED != 0 {
        return Err(wrong(format!("\"{name}\" in the archive is encrypted: unpack it with its password first")));
    }
    if !matches!(method, 0 | 8) {
        let text =
            format!("\"{name}\" in the archive is packed by method {method}; stored and deflated ones can be read");
        return Err(wrong(text));
    }
    header.lengths_follow = flags & LENGTHS_FOLLOW != 0;
    let (packed, unpacked, is_long) = lengths(&fixed, &extra)?;
    header.is_long = is_long;
    if !header.lengths_follow || packed > 0 {
        (header.packed, header.unpacked) = (Some(packed), Some(unpacked));
        header.crc = (!header.lengths_follow).then(|| long_word(&fixed, 10));
    } else if header.stored && !header.is_folder() {
        let text = format!("the archive does not say where \"{name}\" ends: pack it again with another program");
        return Err(wrong(text));
    }
    if header.stored && header.packed != header.unpacked {
        return Err(damaged());
    }
    Ok(header)
}

/// Length as packed and unpacked; where four bytes are not enough, they stand in the extra field with the number 1.
fn lengths(fixed: &[u8], extra: &[u8]) -> io::Result<(u64, u64, bool)> {
    let (packed, unpacked) = (long_word(fixed, 14), long_word(fixed, 18));
    let (mut packed, mut unpacked) = (u64::from(packed), u64::from(unpacked));
    let mut rest = extra;
    while let Some((head, after)) = rest.split_at_checked(4) {
        let (id, length) = (short(head, 0), usize::from(short(head, 2)));
        let Some((mut field, next)) = after.split_at_checked(length) else { break };
        rest = next;
        if id != 1 {
            continue;
        }
        for value in [&mut unpacked, &mut packed] {
            if *value == u64::from(u32::MAX) {
                let (number, behind) = field.split_at_checked(8).ok_or_else(damaged)?;
                *value = number.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                field = behind;
            }
        }
        return Ok((packed, unpacked, true));
    }
    Ok((packed, unpacked, false))
}

/// Reads what stands behind a member and proves it against what was read.
pub(super) fn end_member<R: BufRead>(input: &mut Counted<R>, member: &Current) -> io::Result<()> {
    let header = &member.header;
    let crc = member.crc.sum();
    if header.packed.is_some_and(|packed| packed != member.packed)
        || header.unpacked.is_some_and(|unpacked| unpacked != member.unpacked)
        || header.crc.is_some_and(|said| said != crc)
    {
        return Err(damaged());
    }
    if !header.lengths_follow {
        return Ok(());
    }
    // The mark before the checksum is optional, and a checksum can look like it.
    let mut said: [u8; 4] = input.array()?;
    if said == LENGTHS && crc.to_le_bytes() != LENGTHS {
        said = input.array()?;
    }
    let agrees = if header.is_long {
        let lengths: [u8; 16] = input.array()?;
        lengths.starts_with(&member.packed.to_le_bytes()) && lengths.ends_with(&member.unpacked.to_le_bytes())
    } else {
        // Beyond four bytes only their lower half is told.
        let lengths: [u8; 8] = input.array()?;
        let low = |length: u64| length.to_le_bytes();
        lengths.get(..4) == low(member.packed).get(..4) && lengths.get(4..) == low(member.unpacked).get(..4)
    };
    if said == crc.to_le_bytes() && agrees { Ok(()) } else { Err(damaged()) }
}

/// Reads the directory and the end, and compares them with the members that were read.
fn directory<R: BufRead>(input: &mut Counted<R>, mut mark: [u8; 4], read: &Contents) -> io::Result<()> {
    let mut named = Contents::default();
    loop {
        match mark {
            DIRECTORY => {
                let fixed: [u8; 42] = input.array()?;
                let mut raw_name = vec![0; usize::from(short(&fixed, 24).min(NAME_LIMIT))];
                input.exactly(&mut raw_name)?;
                let passed = u64::from(short(&fixed, 24).saturating_sub(NAME_LIMIT));
                input.pass(passed + u64::from(short(&fixed, 26)) + u64::from(short(&fixed, 28)))?;
                if named.0.len() > read.0.len() {
                    break;
                }
                named.add(&Header { raw_name, ..Header::default() }, long_word(&fixed, 12));
            }
            SIGNATURE => {
                let length = u16::from_le_bytes(input.array()?);
                input.pass(u64::from(length))?;
            }
            LONG_END => {
                let length = u64::from_le_bytes(input.array()?);
                input.pass(length)?;
            }
            LONG_LOCATOR => input.pass(16)?,
            END => {
                let fixed: [u8; 18] = input.array()?;
                input.pass(u64::from(short(&fixed, 16)))?;
                if !input.fill_buf()?.is_empty() {
                    return Err(behind());
                }
                break;
            }
            _ => return Err(damaged()),
        }
        mark = input.array()?;
    }
    if named.sorted() == read.sorted() {
        Ok(())
    } else {
        Err(wrong(
            "the directory of the archive names other members than it has: fetch it again from the bank".to_owned(),
        ))
    }
}

fn short(bytes: &[u8], at: usize) -> u16 {
    let byte = |at: usize| u16::from(bytes.get(at).copied().unwrap_or_default());
    byte(at) | byte(at + 1) << 8
}

fn long_word(bytes: &[u8], at: usize) -> u32 {
    u32::from(short(bytes, at)) | u32::from(short(bytes, at + 2)) << 16
}
