//! How long a sign-in waits after failures: long enough that guessing is hopeless, never so that one can lock another out.
//!
//! Failures count per login *and* place that they come from, so that guesses from elsewhere do not touch a person at the usual
//! desk. Guesses from many places together slow down places from which that person has never signed in; those from which they
//! have stay free. A wait ends by itself, never lasts longer than [`LONGEST`], and an attempt during it does not make it longer.
//! Logins that nobody has wait just the same. Pure.

use crate::time::Instant;
use chrono::TimeDelta;

/// Failures from one place without a wait.
const FREE: i64 = 5;
/// Failures from all places together without a wait.
const FREE_TOGETHER: i64 = 50;
const FIRST: TimeDelta = TimeDelta::seconds(30);
/// No wait is longer.
pub(super) const LONGEST: TimeDelta = TimeDelta::minutes(15);
/// After so long without a failure they are forgotten; a place from which somebody has signed in is remembered longer.
pub(super) const FORGOTTEN: TimeDelta = TimeDelta::hours(24);
/// How long a place is remembered from which somebody has signed in.
pub(super) const REMEMBERED: TimeDelta = TimeDelta::days(90);

/// Failures of a login from one place, or from all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many since the last success, or since they were forgotten.
    pub count: i64,
    /// When the last one was.
    pub last: Option<Instant>,
    /// Whether that person has signed in from there.
    pub known: bool,
}

fn wait(count: i64, free: i64) -> TimeDelta {
    let doublings = count - free;
    if doublings < 0 {
        return TimeDelta::zero();
    }
    let factor = 1i32 << doublings.clamp(0, 10);
    (FIRST * factor).min(LONGEST)
}

impl Failures {
    /// What still counts at an instant.
    pub(super) fn at(self, now: Instant) -> Failures {
        match self.last {
            Some(last) if now - last < FORGOTTEN => self,
            _ => Failures { count: 0, ..self },
        }
    }

    fn free_at(self, free: i64) -> Option<Instant> {
        let wait = wait(self.count, free);
        (wait > TimeDelta::zero()).then_some(self.last? + wait)
    }
}

/// Until when a sign-in from this place has to wait, if it has to.
pub fn waits_until(here: Failures, everywhere: Failures, now: Instant) -> Option<Instant> {
    let (here, everywhere) = (here.at(now), everywhere.at(now));
    let together = if here.known { None } else { everywhere.free_at(FREE_TOGETHER) };
    here.free_at(FREE).max(together).filter(|until| *until > now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn waits_grow_end_and_are_forgotten() {
        let last = at("2026-03-02T09:00:00Z");
        let after = |count, seconds| {
            let here = Failures { count, last: Some(last), known: false };
            waits_until(here, Failures::default(), last + TimeDelta::seconds(seconds)).is_some()
        };
        assert!(!after(4, 0));
        assert!(after(5, 29) && !after(5, 30));
        assert!(after(6, 59) && !after(6, 60));
        assert!(after(1_000, 899) && !after(1_000, 900));
    }

    #[test]
    fn guesses_from_elsewhere_do_not_touch_a_place_that_is_known() {
        let now = at("2026-03-02T09:00:00Z");
        let many = Failures { count: 10_000, last: Some(now), known: false };
        let desk = Failures { known: true, ..Failures::default() };
        assert_eq!(waits_until(desk, many, now), None);
        assert_eq!(waits_until(Failures::default(), many, now), Some(now + LONGEST));
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_longest(here in 0i64.., together in 0i64.., known in proptest::bool::ANY) {
            let now = at("2026-03-02T09:00:00Z");
            let of = |count, known| Failures { count, last: Some(now), known };
            let until = waits_until(of(here, known), of(together, false), now);
            prop_assert!(until.is_none_or(|until| until <= now + LONGEST));
        }
    }
}
