//! A zip archive, as a bank packs several statements into one file: deflated members, lengths before each, no times of day.

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use std::io::{self, Write};

/// The archive of these members, by name.
pub(super) fn zip(members: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes)?;
        let packed = encoder.finish()?;
        let mut crc = Crc::new();
        crc.update(bytes);
        let offset = word(out.len())?;
        // Version 2.0, no flags, deflated, no time; then checksum, both lengths, and the length of the name.
        let head = [20, 0, 0, 0, 8, 0, 0, 0, 0x21, 0];
        let sums = [crc.sum().to_le_bytes(), word(packed.len())?, word(bytes.len())?].concat();
        let lengths = [short(name.len())?, [0, 0]].concat();
        out.extend([&b"PK\x03\x04"[..], &head, &sums, &lengths, name.as_bytes(), &packed].concat());
        let tail = [&[0; 10][..], &offset, name.as_bytes()].concat();
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &head, &sums, &lengths, &tail].concat());
    }
    let (count, length, offset) = (short(members.len())?, word(directory.len())?, word(out.len())?);
    out.append(&mut directory);
    out.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &length, &offset, &[0, 0]].concat());
    Ok(out)
}

fn word(number: usize) -> io::Result<[u8; 4]> {
    u32::try_from(number).map(u32::to_le_bytes).map_err(io::Error::other)
}

fn short(number: usize) -> io::Result<[u8; 2]> {
    u16::try_from(number).map(u16::to_le_bytes).map_err(io::Error::other)
}
