//! Packed bank files: the members of a zip archive and what a gzip file holds, unpacked as a stream.
//!
//! A file comes as a stream that cannot be wound back, from a channel or from stored pieces, so a zip is read from its first
//! member on and its directory, which stands at the end, only proves what was read. (The crate `zip` reads streams too, but
//! not members whose length stands behind them, which is what Java programs write.) Nothing is ever written out, so that
//! names are for messages only.
//!
//! What is packed can be a trap, so there are [`LIMITS`]. Archives in archives and encrypted members are refused.
//!
//! Invariant: an archive whose end was not seen, or that holds another thing than its directory says, ends with an error.

mod zip;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What may come out of an archive.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// How many members it may have.
    members: u64,
    /// How many bytes all members together may be.
    size: u64,
    /// How many times as large as it is packed a member may be. Generated files, whose lines differ in little, come to 75.
    ratio: u64,
    /// Up to so many bytes nobody asks how well a member was packed.
    free: u64,
}

const LIMITS: Limits = Limits { members: 10_000, size: 4 << 30, ratio: 100, free: 4 << 20 };

/// How many bytes are unpacked at a time.
const PIECE: usize = 32 * 1024;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    /// Members with names.
    Zip,
    /// One stream, or several that continue each other.
    Gzip,
}

/// A packed file that is being read, member after member.
pub(super) struct Archive<R>(Arc<Mutex<Unpacker<R>>>);

/// What a member holds. It ends for good when the archive goes on to the next one.
pub(super) struct Member<R> {
    /// As the archive has it, if it has names; for messages only.
    pub(super) name: Option<String>,
    unpacker: Arc<Mutex<Unpacker<R>>>,
    number: u64,
    piece: Vec<u8>,
    used: usize,
}

impl<R: BufRead> Archive<R> {
    pub(super) fn new(container: Container, input: R) -> Self {
        Self::within(LIMITS, container, input)
    }

    fn within(limits: Limits, container: Container, input: R) -> Self {
        Archive(Arc::new(Mutex::new(Unpacker {
            input: Counted { input, at: 0 },
            container,
            limits,
            members: 0,
            unpacked: 0,
            current: None,
            read: zip::Contents::default(),
            state: State::Open,
        })))
    }

    /// The next member; `None` at the end. What is left of the one before is passed over.
    /// An error ends the archive; one that a member met while it was read is not told again.
    pub(super) fn next_member(&mut self) -> Option<Result<Member<R>, String>> {
        let mut unpacker = lock(&self.0);
        let name = match unpacker.next_member() {
            Ok(Some(name)) => name,
            Ok(None) => return None,
            Err(error) => return Some(Err(error.to_string())),
        };
        let number = unpacker.members;
        drop(unpacker);
        Some(Ok(Member { name, unpacker: Arc::clone(&self.0), number, piece: Vec::new(), used: 0 }))
    }

    /// How far into the packed file the reading is.
    pub(super) fn at(&self) -> u64 {
        lock(&self.0).input.at
    }
}

/// A panic of another thread cannot have left it half-changed: there is no other thread.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R: BufRead> Read for Member<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Member<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used >= self.piece.len() {
            let mut unpacker = lock(&self.unpacker);
            self.piece.resize(PIECE, 0);
            self.used = 0;
            let read = if unpacker.members == self.number { unpacker.read(&mut self.piece) } else { Ok(0) };
            self.piece.truncate(*read.as_ref().unwrap_or(&0));
            read?;
        }
        Ok(self.piece.get(self.used..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.used = (self.used + count).min(self.piece.len());
    }
}

struct Unpacker<R> {
    input: Counted<R>,
    container: Container,
    limits: Limits,
    members: u64,
    /// Bytes that all members gave.
    unpacked: u64,
    current: Option<Current>,
    /// What the members were, to be compared with the directory.
    read: zip::Contents,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The end was reached, or an error was told.
    Done,
}

/// The member that is being read.
struct Current {
    body: Body,
    crc: Crc,
    /// Bytes it gave, and bytes it took.
    unpacked: u64,
    packed: u64,
    /// What a zip says of it.
    header: zip::Header,
}

enum Body {
    Stored,
    Deflated(Box<Decompress>),
    /// All of it was read; what stands behind it was not.
    Ended,
}

impl<R: BufRead> Unpacker<R> {
    fn next_member(&mut self) -> io::Result<Option<Option<String>>> {
        let outcome = self.begin_member();
        if !matches!(outcome, Ok(Some(_))) {
            self.state = State::Done;
        }
        outcome
    }

    fn begin_member(&mut self) -> io::Result<Option<Option<String>>> {
        let mut rest = vec![0; PIECE];
        while self.state == State::Open && self.read(&mut rest)? > 0 {}
        if self.state == State::Done {
            return Ok(None);
        }
        match self.container {
            Container::Gzip => {
                if self.members > 0 {
                    return Ok(None);
                }
                self.gzip_header()?;
                self.begin(zip::Header::default());
                Ok(Some(None))
            }
            Container::Zip => loop {
                let Some(header) = zip::next_header(&mut self.input, &self.read)? else {
                    return Ok(None);
                };
                if self.members >= self.limits.members {
                    return Err(wrong(format!("the archive has more than {} members", self.limits.members)));
                }
                let name = header.name();
                let (is_folder, is_litter) = (header.is_folder(), header.is_litter());
                self.begin(header);
                if !is_folder && !is_litter {
                    return Ok(Some(Some(name)));
                }
                while self.read(&mut rest)? > 0 {
                    if is_folder {
                        return Err(wrong(format!("\"{name}\" in the archive is a folder and holds bytes")));
                    }
                }
            },
        }
    }

    fn begin(&mut self, header: zip::Header) {
        let body = if header.stored { Body::Stored } else { Body::Deflated(Box::new(Decompress::new(false))) };
        self.members += 1;
        self.current = Some(Current { body, crc: Crc::new(), unpacked: 0, packed: 0, header });
    }

    /// Unpacks a piece of the member; zero at its end. An error is the last thing that it says.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let outcome = self.unpack(out);
        if outcome.is_err() {
            self.state = State::Done;
            self.current = None;
        }
        outcome
    }

    fn unpack(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(current) = &mut self.current else { return Ok(0) };
            let count = match &mut current.body {
                Body::Stored => {
                    let left = current.header.packed.unwrap_or(0) - current.packed;
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
                    let count = self.input.read(out.get_mut(..most).unwrap_or_default())?;
                    if count == 0 && most > 0 {
                        return Err(cut());
                    }
                    current.packed += widened(count);
                    if count == 0 {
                        current.body = Body::Ended;
                    }
                    count
                }
                Body::Deflated(inflater) => {
                    let most = current.header.packed.map_or(u64::MAX, |packed| packed - current.packed);
                    let (taken, given, ended) = inflate(inflater, &mut self.input, most, out)?;
                    current.packed += taken;
                    if ended {
                        current.body = Body::Ended;
                    }
                    given
                }
                Body::Ended => {
                    if self.end_member()? {
                        continue;
                    }
                    return Ok(0);
                }
            };
            if count > 0 {
                current.crc.update(out.get(..count).unwrap_or_default());
                current.unpacked += widened(count);
                self.unpacked += widened(count);
                check_size(&self.limits, current, self.unpacked)?;
                return Ok(count);
            }
        }
    }

    /// Reads and proves what stands behind a member; whether the member goes on, as a gzip file can.
    fn end_member(&mut self) -> io::Result<bool> {
        let Some(mut current) = self.current.take() else { return Ok(false) };
        match self.container {
            Container::Zip => {
                zip::end_member(&mut self.input, &current)?;
                self.read.add(&current.header, current.crc.sum());
                Ok(false)
            }
            Container::Gzip => {
                let trailer: [u8; 8] = self.input.array()?;
                let (crc, size) = trailer.split_at(4);
                let is_whole = crc == current.crc.sum().to_le_bytes() && size == current.crc.amount().to_le_bytes();
                if !is_whole {
                    return Err(damaged());
                }
                let is_continued = self.gzip_continues()?;
                if is_continued {
                    current.crc = Crc::new();
                    current.body = Body::Deflated(Box::new(Decompress::new(false)));
                    self.current = Some(current);
                }
                Ok(is_continued)
            }
        }
    }

    /// Whether another stream follows; tapes pad with zeros.
    fn gzip_continues(&mut self) -> io::Result<bool> {
        loop {
            let next = self.input.fill_buf()?;
            match next.first() {
                None => return Ok(false),
                Some(0x1F) => {
                    self.gzip_header()?;
                    return Ok(true);
                }
                Some(0) => self.input.consume(1),
                Some(_) => return Err(behind()),
            }
        }
    }

    fn gzip_header(&mut self) -> io::Result<()> {
        const HAS_CRC: u8 = 2;
        const HAS_EXTRA: u8 = 4;
        const TEXTS: [u8; 2] = [8, 16];
        let [a, b, method, flags, ..]: [u8; 10] = self.input.array()?;
        if [a, b, method] != [0x1F, 0x8B, 8] || flags & 0xE0 != 0 {
            return Err(wrong("this is no gzip file that can be read: its header is wrong".to_owned()));
        }
        if flags & HAS_EXTRA != 0 {
            let length = u16::from_le_bytes(self.input.array()?);
            self.input.pass(u64::from(length))?;
        }
        for text in TEXTS {
            while flags & text != 0 && self.input.array::<1>()? != [0] {}
        }
        if flags & HAS_CRC != 0 {
            self.input.pass(2)?;
        }
        Ok(())
    }
}

/// Unpacks what fits into `out`: bytes taken, bytes given, whether the stream ended.
fn inflate<R: BufRead>(
    inflater: &mut Decompress,
    input: &mut Counted<R>,
    most: u64,
    out: &mut [u8],
) -> io::Result<(u64, usize, bool)> {
    let packed = input.fill_buf()?;
    let length = packed.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    let is_last = length == 0;
    let (taken, given) = (inflater.total_in(), inflater.total_out());
    let status = inflater
        .decompress(packed.get(..length).unwrap_or_default(), out, FlushDecompress::None)
        .map_err(|_| damaged())?;
    let (taken, given) = (inflater.total_in() - taken, inflater.total_out() - given);
    input.consume(usize::try_from(taken).unwrap_or(length));
    let ended = status == Status::StreamEnd;
    if taken == 0 && given == 0 && !ended {
        return Err(if is_last && most > 0 { cut() } else { damaged() });
    }
    Ok((taken, usize::try_from(given).unwrap_or(0), ended))
}

fn check_size(limits: &Limits, current: &Current, all: u64) -> io::Result<()> {
    if all > limits.size {
        return Err(wrong(format!("the archive unpacks to more than {} bytes", limits.size)));
    }
    if current.unpacked > limits.free && current.unpacked / limits.ratio > current.packed {
        let text = format!("it unpacks to more than {} times its size, as no bank file does", limits.ratio);
        return Err(wrong(text));
    }
    Ok(())
}

fn wrong(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn cut() -> io::Error {
    wrong("the archive ends in the middle: fetch it again from the bank".to_owned())
}

fn damaged() -> io::Error {
    wrong("the archive is damaged: fetch it again from the bank".to_owned())
}

fn behind() -> io::Error {
    wrong("there are bytes behind the end of the archive that belong to nothing".to_owned())
}

fn widened(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The packed bytes and how many were taken.
struct Counted<R> {
    input: R,
    at: u64,
}

impl<R: BufRead> Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        loop {
            match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                // Asked again, for the borrow of the first answer cannot leave the loop.
                Ok(_) => return self.input.fill_buf(),
            }
        }
    }

    fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.at += widened(count);
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut from = self.fill_buf()?;
        let count = from.read(out)?;
        self.consume(count);
        Ok(count)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut array = [0; N];
        self.exactly(&mut array)?;
        Ok(array)
    }

    fn exactly(&mut self, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            let count = self.read(out)?;
            if count == 0 {
                return Err(cut());
            }
            out = out.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Passes over so many bytes.
    fn pass(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let here = self.fill_buf()?.len();
            if here == 0 {
                return Err(cut());
            }
            let step = here.min(usize::try_from(count).unwrap_or(usize::MAX));
            self.consume(step);
            count -= widened(step);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(limits: Limits, packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut archive = Archive::within(limits, Container::Gzip, packed);
        let mut member = archive.next_member().unwrap().map_err(wrong)?;
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes)?;
        assert!(archive.next_member().is_none());
        Ok(bytes)
    }

    #[test]
    fn what_comes_out_has_a_limit() {
        let noise: Vec<u8> = (0..100_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        assert_eq!(unpacked(LIMITS, &gzip(&noise)).unwrap(), noise);
        let small = Limits { size: 300_000, ..LIMITS };
        assert!(unpacked(small, &gzip(&noise)).unwrap_err().to_string().contains("more than 300000 bytes"));
        // Streams that continue each other count together.
        let halves = [gzip(&noise[..200_000]), gzip(&noise[200_000..])].concat();
        assert_eq!(unpacked(LIMITS, &halves).unwrap(), noise);
        assert!(unpacked(small, &halves).is_err());
        let zeros = gzip(&vec![0; 300_000]);
        assert!(unpacked(LIMITS, &zeros).is_ok());
        let strict = Limits { free: 100_000, ..LIMITS };
        assert!(unpacked(strict, &zeros).unwrap_err().to_string().contains("100 times"));
    }

    #[test]
    fn a_gzip_header_may_have_all_its_fields() {
        let packed = gzip(b"inside");
        let mut with_fields = packed.clone();
        with_fields[3] = 2 | 4 | 8 | 16;
        with_fields.splice(10..10, *b"\x03\x00abcname\0comment\0xx");
        assert_eq!(unpacked(LIMITS, &with_fields).unwrap(), b"inside");
        with_fields[3] |= 0x80;
        assert!(unpacked(LIMITS, &with_fields).is_err());
        assert_eq!(unpacked(LIMITS, &[packed.clone(), vec![0; 512]].concat()).unwrap(), b"inside");
        assert!(unpacked(LIMITS, &[packed.clone(), b"more".to_vec()].concat()).is_err());
        for at in 0..packed.len() {
            assert!(unpacked(LIMITS, &packed[..at]).is_err(), "cut at {at}");
        }
    }
}
