//! Passwords: what one must be, and how it is kept.
//!
//! Length counts, and not being on the lists that attackers try first; rules about kinds of characters make people write
//! `Password1!`. Kept with argon2id; its cost is a setting that cannot go below OWASP's minimum.

use super::Refusal;
use super::secret::random;
use crate::error::{Error, Result};
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Longer ones only cost time to hash.
const LONGEST: usize = 256;

/// What attackers try first, as far as it is long enough; compared without case, blanks and the digits at the end.
const KNOWN: [&str; 32] = [
    "password",
    "passwordpassword",
    "letmein",
    "letmeinletmein",
    "qwertyuiop",
    "qwertyuiopasdfghjkl",
    "qwerty",
    "qwertyqwerty",
    "iloveyou",
    "administrator",
    "admin",
    "adminadmin",
    "welcome",
    "welcomewelcome",
    "changeme",
    "changemechangeme",
    "tributary",
    "tributarytributary",
    "treasury",
    "treasurytreasury",
    "correcthorsebatterystaple",
    "trustnoone",
    "monkeymonkey",
    "dragondragon",
    "footballfootball",
    "sunshinesunshine",
    "princessprincess",
    "secret",
    "secretsecret",
    "abcdefghijkl",
    "abcdefghijklmnopqrstuvwxyz",
    "mypassword",
];

/// Says why a password cannot be used, if so. `known` are words that the person is known by, such as the login.
pub fn judge(password: &str, shortest: usize, known: &[&str]) -> Result<(), Refusal> {
    let weak = |why: String| Err(Refusal::WeakPassword { why });
    let characters = password.chars().count();
    if characters < shortest {
        return weak(format!(
            "it has {characters} characters, and {shortest} is the least; a sentence is easy to keep"
        ));
    }
    if characters > LONGEST {
        return weak(format!("it has more than {LONGEST} characters"));
    }
    let plain: String = password.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let word = plain.trim_end_matches(|c: char| c.is_ascii_digit());
    if KNOWN.contains(&word) || KNOWN.contains(&plain.as_str()) {
        return weak("it is one that attackers try first".to_owned());
    }
    let mut distinct: Vec<char> = password.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 {
        return weak("it repeats the same few characters".to_owned());
    }
    let steps = |by: i64| {
        let codes = plain.chars().map(u32::from).map(i64::from);
        codes.clone().zip(codes.skip(1)).all(|(a, b)| b - a == by || (a, b) == (57, 48) || (a, b) == (48, 57))
    };
    if plain.chars().count() > 1 && (steps(1) || steps(-1)) {
        return weak("it only counts up or down".to_owned());
    }
    let about = |name: &&&str| name.chars().count() >= 3 && plain.replace(name.to_lowercase().as_str(), "").len() < 6;
    if known.iter().find(about).is_some() {
        return weak("it is little more than the person's own name".to_owned());
    }
    Ok(())
}

/// How costly a password's hash is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Passwords that are hashed at once: each takes memory and a core on purpose, and nobody has to be known to ask for it.
const AT_ONCE: usize = 4;
/// Those who wait for their turn, and how long at most; more are told to come again, since each holds a thread of the server.
const WAITING: usize = 64;
const LONGEST_WAIT: Duration = Duration::from_secs(5);

static TURNS: Turns = Turns { under_way: Mutex::new((0, 0)), ended: Condvar::new() };

/// Whose turn it is to hash.
struct Turns {
    /// Who hashes, and who waits.
    under_way: Mutex<(usize, usize)>,
    ended: Condvar,
}

/// One of [`AT_ONCE`], for as long as this is kept.
struct Turn<'t>(&'t Turns);

impl Turns {
    fn take(&self) -> Result<Turn<'_>> {
        let busy = || Error::Busy("many sign in at this moment; try again in a moment".to_owned());
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.1 >= WAITING {
            return Err(busy());
        }
        under_way.1 += 1;
        let waited = self.ended.wait_timeout_while(under_way, LONGEST_WAIT, |(hashing, _)| *hashing >= AT_ONCE);
        let (mut under_way, _) = waited.unwrap_or_else(PoisonError::into_inner);
        under_way.1 -= 1;
        if under_way.0 >= AT_ONCE {
            return Err(busy());
        }
        under_way.0 += 1;
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner).0 -= 1;
        self.0.ended.notify_one();
    }
}

/// Memory in KiB and passes that OWASP holds to be the least, each pair by itself.
const LEAST: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

impl Cost {
    /// What is used unless a setting says more.
    pub const USUAL: Cost = Cost { memory_kib: 19_456, passes: 2, lanes: 1 };

    /// A cost that is at least the minimum.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Cost, Refusal> {
        let enough = LEAST.iter().any(|(memory, least)| memory_kib >= *memory && passes >= *least);
        // More would let one sign-in take all of a small machine.
        let bounded = memory_kib <= 1 << 20 && passes <= 64 && (1..=16).contains(&lanes);
        if enough && bounded {
            Ok(Cost { memory_kib, passes, lanes })
        } else {
            Err(Refusal::WeakHashing { memory_kib, passes, lanes })
        }
    }

    /// For tests, which make many people: next to nothing where the program was built for testing, the usual cost in a release.
    pub fn for_tests() -> Cost {
        if cfg!(debug_assertions) { Cost { memory_kib: 64, passes: 1, lanes: 1 } } else { Cost::USUAL }
    }

    /// Whether a password was kept at this cost, and not at that of another setting.
    pub(super) fn is_of(self, kept: &str) -> bool {
        kept.contains(&format!("$m={},t={},p={}$", self.memory_kib, self.passes, self.lanes))
    }

    /// Only inside a [`Turn`].
    fn argon2(self) -> Result<Argon2<'static>> {
        let broken = |e: argon2::Error| Error::Broken(format!("argon2: {e}"));
        let params = Params::new(self.memory_kib, self.passes, self.lanes, None).map_err(broken)?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }

    /// As it is kept: with its salt and cost. Slow on purpose: never on the writer's thread.
    pub(super) fn hash(self, password: &str) -> Result<String> {
        let salt = random::<16>()?;
        let _turn = TURNS.take()?;
        let hashed = self.argon2()?.hash_password_with_salt(password.as_bytes(), &salt);
        hashed.map(|h| h.to_string()).map_err(|e| Error::Broken(format!("argon2: {e}")))
    }

    /// Whether it is the password that was kept so. Without one it takes as long and says no, so that the time does not tell who
    /// is known. Slow on purpose: never on the writer's thread.
    pub(super) fn verify(self, password: &str, kept: Option<&str>) -> Result<bool> {
        let _turn = TURNS.take()?;
        match kept {
            Some(kept) => Ok(self.argon2()?.verify_password(password.as_bytes(), kept).is_ok()),
            None => {
                let mut output = [0; 32];
                let hashed = self.argon2()?.hash_password_into(password.as_bytes(), b"nobody's salt", &mut output);
                hashed.map_err(|e| Error::Broken(format!("argon2: {e}")))?;
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_passwords_are_hashed_at_once_and_only_so_many_wait() {
        let turns = Turns { under_way: Mutex::new((0, 0)), ended: Condvar::new() };
        let mut taken: Vec<Turn<'_>> = (0..AT_ONCE).map(|_| turns.take().expect("free")).collect();
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..WAITING).map(|_| scope.spawn(|| turns.take().map(drop))).collect();
            while turns.under_way.lock().expect("ours").1 < WAITING {
                std::thread::yield_now();
            }
            assert_eq!(turns.take().err().expect("too many wait").code(), "busy");
            taken.pop();
            // Each lets the next one in.
            assert!(waiting.into_iter().all(|waits| waits.join().expect("no panic").is_ok()));
        });
        assert_eq!(*turns.under_way.lock().expect("ours"), (AT_ONCE - 1, 0));
    }

    #[test]
    fn a_password_is_long_and_not_among_the_first_that_are_tried() {
        for good in ["the heron eats at dawn", "zT9-kk2_pQ4!", "пароль из семи слов"] {
            assert_eq!(judge(good, 12, &["alice"]), Ok(()), "{good}");
        }
        let long = "ab cd ef gh".repeat(40);
        for bad in [
            "",
            "short one",
            "Password1234",
            "password 123456",
            "aaaaaaaaaaaa",
            "abababababab",
            "123456789012",
            "zyxwvutsrqpon",
            "abcdefghijklmnop",
            "Tributary2026",
            "alice1234567".get(..0).unwrap_or(""),
            "alice-alice-1",
            &long,
        ] {
            assert!(judge(bad, 12, &["alice"]).is_err(), "{bad} accepted");
        }
    }

    #[test]
    fn no_setting_goes_below_the_minimum() {
        assert_eq!(Cost::new(19_456, 2, 1), Ok(Cost::USUAL));
        for (memory, passes) in LEAST {
            assert!(Cost::new(memory, passes, 1).is_ok());
            assert!(Cost::new(memory - 1, passes, 1).is_err() && Cost::new(memory, passes - 1, 1).is_err());
        }
        assert!(Cost::new(19_456, 2, 0).is_err() && Cost::new(u32::MAX, 2, 1).is_err());
    }

    #[test]
    fn a_kept_password_is_known_again_and_no_other_is() {
        let cost = Cost::for_tests();
        let kept = cost.hash("the heron eats at dawn").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{kept}");
        assert!(cost.is_of(&kept) && !Cost::USUAL.is_of(&kept));
        assert_ne!(kept, cost.hash("the heron eats at dawn").unwrap());
        assert_eq!(cost.verify("the heron eats at dawn", Some(&kept)), Ok(true));
        // The cost that it was kept with counts, not the present setting.
        assert_eq!(Cost::USUAL.verify("the heron eats at dawn", Some(&kept)), Ok(true));
        assert_eq!(cost.verify("the heron eats at dusk", Some(&kept)), Ok(false));
        assert_eq!(cost.verify("the heron eats at dawn", None), Ok(false));
        assert_eq!(cost.verify("x", Some("not a hash")), Ok(false));
    }
}
