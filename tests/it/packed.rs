//! Archives for tests: zip and gzip as banks pack them, and as nobody should.

#![expect(clippy::unwrap_used, reason = "memory takes what is written to it")]

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use std::io::Write;

/// How a zip is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Lengths stand before each member, which is deflated.
    Deflated,
    /// Not packed at all.
    Stored,
    /// Lengths stand behind each member: what writes to a stream does not know them before.
    Streamed,
}

/// A zip archive; its members have the names that are given.
pub fn zip(how: How, members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = Zip::default();
    for (name, bytes) in members {
        zip.add(how, name, bytes);
    }
    zip.end()
}

/// A gzip file.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zip archive that is being written.
#[derive(Debug, Default)]
pub struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
}

impl Zip {
    /// Adds a member.
    pub fn add(&mut self, how: How, name: &str, bytes: &[u8]) {
        let mut crc = Crc::new();
        crc.update(bytes);
        let packed = match how {
            How::Stored => bytes.to_vec(),
            How::Deflated | How::Streamed => {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        };
        let offset = word(self.bytes.len());
        let sums = [crc.sum().to_le_bytes(), word(packed.len()), word(bytes.len())].concat();
        let streamed = how == How::Streamed;
        let flags = if streamed { [8, 0] } else { [0, 0] };
        let method = if how == How::Stored { [0, 0] } else { [8, 0] };
        let head = [[20, 0], flags, method, [0, 0], [0, 0]].concat();
        let lengths = [short(name.len()), [0, 0]].concat();
        let before = if streamed { vec![0; 12] } else { sums.clone() };
        self.bytes.extend([&b"PK\x03\x04"[..], &head, &before, &lengths, name.as_bytes(), &packed].concat());
        if streamed {
            self.bytes.extend([&b"PK\x07\x08"[..], &sums].concat());
        }
        let tail = [&[0; 10][..], &offset, name.as_bytes()].concat();
        self.directory.extend([&b"PK\x01\x02\x14\x00"[..], &head, &sums, &lengths, &tail].concat());
        self.count = self.count.wrapping_add(1);
    }

    /// The archive, with its directory.
    pub fn end(mut self) -> Vec<u8> {
        let count = self.count.to_le_bytes();
        let (length, offset) = (word(self.directory.len()), word(self.bytes.len()));
        self.bytes.append(&mut self.directory);
        self.bytes.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &length, &offset, &[0, 0]].concat());
        self.bytes
    }
}

fn word(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_le_bytes()
}

fn short(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap().to_le_bytes()
}
