//! Damage by a seed: golden files, files of the corpus and archives of both are changed in ways in which files get changed,
//! and read. The same run everywhere, on the stable compiler; `fuzz/` looks further.
//!
//! Whatever comes: no panic, the reader ends, its events nest, and each statement ends or the file says gravely why not.
//! `MUTATIONS=n` asks for more rounds than the few of a usual run.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use crate::formats::files_below;
use crate::order::read_in_order;
use crate::packed::{How, gzip, zip};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Rounds over all files, unless `MUTATIONS` says otherwise.
const ROUNDS: u64 = 3;

/// Files beyond this are cut before they are changed, so that a round stays short.
const LONGEST: usize = 48 * 1024;

#[test]
fn no_damage_makes_the_reader_panic_or_lose_its_order() {
    let rounds = std::env::var("MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let seeds = seeds();
    assert!(seeds.len() >= 20, "only {} files to begin with", seeds.len());
    for round in 0..rounds {
        for (number, (name, bytes)) in seeds.iter().enumerate() {
            let seed = round << 20 | u64::try_from(number).unwrap();
            let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed));
            let other = &seeds[chance.below(seeds.len())].1;
            let mut damaged = bytes.clone();
            for _ in 0..=chance.below(4) {
                damage(&mut damaged, other, &mut chance);
            }
            let (plain, packed) = (damaged, chance.below(4));
            let file = match packed {
                0 => gzip(&plain),
                1 => zip(How::Streamed, &[("a", &plain), ("b", bytes)]),
                _ => plain,
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| read_in_order(&file)));
            let wrong = match outcome {
                Ok(Ok(())) => continue,
                Ok(Err(wrong)) => wrong,
                Err(_) => "it panics".to_owned(),
            };
            let kept = std::env::temp_dir().join(format!("tributary-damaged-{seed}"));
            fs::write(&kept, &file).unwrap();
            panic!("{name}, seed {seed}: {wrong}; the file is kept as {}", kept.display());
        }
    }
}

/// The files to begin with.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")];
    // Files of formats that are not read yet are refused and cost nothing.
    folders.extend(std::env::var_os("TRIBUTARY_CORPUS").map(PathBuf::from).filter(|path| path.is_dir()));
    let files = folders.iter().flat_map(|folder| files_below(folder));
    let files = files
        .filter(|f| f.extension().is_none_or(|e| !["json", "yml", "pydata", "md", "toml"].iter().any(|x| e == *x)));
    files
        .map(|file| {
            let mut bytes = fs::read(&file).unwrap();
            bytes.truncate(LONGEST);
            (file.display().to_string(), bytes)
        })
        .collect()
}

struct Chance(ChaCha8Rng);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    /// A place in the bytes and one up to `most` behind it.
    fn range(&mut self, length: usize, most: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        from..(from + self.below(most)).min(length)
    }
}

/// One change.
fn damage(bytes: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    let length = bytes.len();
    match chance.below(9) {
        // Bits flip.
        0 => {
            for _ in 0..=chance.below(8) {
                let at = chance.below(length);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << chance.below(8);
                }
            }
        }
        // The file is cut.
        1 => bytes.truncate(chance.below(length + 1)),
        // A piece is lost, comes twice, comes many times, or comes from another file.
        2 => drop(bytes.drain(chance.range(length, 400))),
        3 => {
            let piece = bytes[chance.range(length, 2000)].to_vec();
            let at = chance.below(length + 1);
            bytes.splice(at..at, piece);
        }
        4 => {
            let piece = bytes[chance.range(length, 40)].repeat(chance.below(300));
            let at = chance.below(length + 1);
            bytes.splice(at..at, piece);
        }
        5 => {
            let piece = other[chance.range(other.len(), 1000)].to_vec();
            let place = chance.range(length, 200);
            bytes.splice(place, piece);
        }
        // A number becomes another one.
        6 => {
            let numbers =
                ["0", "-1", "99999999999999999999", "9223372036854775807", "0.005", "1e9", ",", "", "٣", "NaN"];
            let start = chance.below(length + 1);
            let Some(at) = bytes.iter().skip(start).position(u8::is_ascii_digit).map(|at| at + start) else { return };
            let digits = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
            bytes.splice(at..at + digits, numbers[chance.below(numbers.len())].bytes());
        }
        // Two lines change places.
        7 => {
            let mut lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
            let (a, b) = (chance.below(lines.len()), chance.below(lines.len()));
            lines.swap(a, b);
            *bytes = lines.join(&b'\n');
        }
        // What means something stands where it should not.
        _ => {
            let pieces = [
                "\n:20:",
                "\n:61:",
                "\n:62F:",
                "\n:86:",
                "-}",
                "{4:",
                "\n-\n",
                "<Ntry>",
                "</Ntry>",
                "<Stmt>",
                "</Document>",
                "<![CDATA[",
                "<!DOCTYPE a>",
                "&",
                "<",
                "\0",
                "\u{feff}",
                "\n88,",
                "/",
                "\n16,",
                "<STMTTRN>",
                "\"",
                ";",
            ];
            let at = chance.below(length + 1);
            bytes.splice(at..at, pieces[chance.below(pieces.len())].bytes());
        }
    }
}
