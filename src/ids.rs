//! Ids: text with a prefix that says what they name, ordered by time.
//!
//! Ordered, because a unique index that grows at its end costs a fraction of one that grows everywhere; text, because
//! both databases compare it by bytes. The source is injected: tests and the demo set its seed and get the same ids again.
//! Journal numbers (entries, events, seals, accounts) are not ids: they are gapless and given by the writer.

use crate::time::Instant;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, PoisonError};

/// Crockford's base 32 in lower case: no i, l, o, u, so that an id can be read out over the telephone.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A source of ids. One per process; sharing it is cheap.
#[derive(Debug)]
pub struct Ids(Mutex<State>);

#[derive(Debug)]
struct State {
    random: ChaCha12Rng,
    last_ms: u64,
    /// 80 bits that only grow within one millisecond, so that ids made in order sort in order.
    tail: u128,
}

impl Ids {
    /// Ids that nobody can foresee in practice and that two processes do not share.
    pub fn random() -> Self {
        let mut seed = [0u8; 32];
        for part in seed.chunks_mut(8) {
            // The standard library's hasher keys come from the operating system's random source.
            let word = RandomState::new().build_hasher().finish().to_le_bytes();
            part.copy_from_slice(&word);
        }
        Ids::from_rng(ChaCha12Rng::from_seed(seed))
    }

    /// The same ids for the same seed and the same instants.
    pub fn seeded(seed: u64) -> Self {
        Ids::from_rng(ChaCha12Rng::seed_from_u64(seed))
    }

    fn from_rng(random: ChaCha12Rng) -> Self {
        Ids(Mutex::new(State { random, last_ms: 0, tail: 0 }))
    }

    /// A new id such as `ln_01k9v3...`: 48 bits of milliseconds, then 80 bits, in base 32. Later calls give greater ids.
    pub fn next(&self, prefix: &str, now: Instant) -> String {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = u64::try_from(now.timestamp_millis()).unwrap_or(0) & 0xffff_ffff_ffff;
        if ms > state.last_ms {
            state.last_ms = ms;
            // The top bit stays free, so that counting up within a millisecond cannot run over.
            state.tail = (u128::from(state.random.next_u64() >> 1) << 16) | u128::from(state.random.next_u32() >> 16);
        } else {
            state.tail += 1 + u128::from(state.random.next_u32() >> 8);
        }
        let mut bits = (u128::from(state.last_ms) << 80) | (state.tail & ((1 << 80) - 1));
        let mut text = [b'0'; 26];
        for place in text.iter_mut().rev() {
            *place = usize::try_from(bits & 31).ok().and_then(|i| ALPHABET.get(i)).copied().unwrap_or(b'0');
            bits >>= 5;
        }
        let mut id = String::with_capacity(prefix.len() + 27);
        id.push_str(prefix);
        id.push('_');
        id.extend(text.iter().map(|b| char::from(*b)));
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_in_order_sort_in_order_even_when_the_clock_steps_back() {
        let ids = Ids::random();
        let t: Instant = "2026-03-02T09:00:00Z".parse().unwrap();
        let times = [0, 0, 0, 5, 5, -1000, 7, 7, -50, 9];
        let made: Vec<String> = times
            .iter()
            .cycle()
            .take(5_000)
            .map(|ms| ids.next("ln", t + chrono::TimeDelta::milliseconds(*ms)))
            .collect();
        assert!(made.windows(2).all(|w| w[0] < w[1]));
        assert!(made[0].starts_with("ln_") && made[0].len() == 29);
    }

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let t: Instant = "2026-03-02T09:00:00Z".parse().unwrap();
        let (a, b) = (Ids::seeded(7), Ids::seeded(7));
        assert_eq!(a.next("x", t), b.next("x", t));
        assert_ne!(a.next("x", t), Ids::seeded(8).next("x", t));
    }
}
