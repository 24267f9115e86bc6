//! Time that is given, never taken: every part that needs "now" is handed a [`Clock`].
//!
//! Instants are UTC with microseconds, which is what both databases store; a finer instant would come back changed.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SubsecRound, TimeDelta, Utc};
use std::sync::{Mutex, PoisonError};

/// A point in time, UTC, whole microseconds.
pub type Instant = DateTime<Utc>;

/// Where "now" comes from: the system in production; a set time in tests and in the demo, which lives through its ninety days.
pub trait Clock: Send + Sync {
    /// The present instant, in whole microseconds.
    fn now(&self) -> Instant;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Utc::now().trunc_subsecs(6)
    }
}

/// A clock that stands where it was set.
#[derive(Debug)]
pub struct SetClock(Mutex<Instant>);

impl SetClock {
    /// A clock that stands at `instant`.
    pub fn at(instant: Instant) -> Self {
        SetClock(Mutex::new(instant.trunc_subsecs(6)))
    }

    /// Moves the clock, forwards or backwards.
    pub fn set(&self, instant: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = instant.trunc_subsecs(6);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The instant at which a seal is recorded: the clock, or one microsecond after the seal before it, whichever is later.
/// So the journal's time never goes back, whatever the machine's clock does.
pub fn never_back(now: Instant, before: Option<Instant>) -> Instant {
    match before {
        Some(before) if now <= before => before + TimeDelta::microseconds(1),
        _ => now,
    }
}

/// As the databases store an instant: UTC without a zone.
pub fn stored(instant: Instant) -> NaiveDateTime {
    instant.naive_utc()
}

/// The instant that [`stored`] wrote.
pub fn from_stored(instant: NaiveDateTime) -> Instant {
    instant.and_utc()
}

/// RFC 3339, as JSON and exports show it.
pub fn rfc3339(instant: Instant) -> String {
    instant.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// The calendar day of an instant in UTC.
pub fn day_of(instant: Instant) -> NaiveDate {
    instant.date_naive()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn recorded_time_never_goes_back() {
        let before = at("2026-03-02T09:00:00Z");
        assert_eq!(never_back(at("2026-03-02T09:00:01Z"), Some(before)), at("2026-03-02T09:00:01Z"));
        assert_eq!(never_back(before, Some(before)), at("2026-03-02T09:00:00.000001Z"));
        assert_eq!(never_back(at("1970-01-01T00:00:00Z"), Some(before)), at("2026-03-02T09:00:00.000001Z"));
        assert_eq!(never_back(before, None), before);
    }

    #[test]
    fn a_set_clock_drops_what_no_database_keeps() {
        let clock = SetClock::at(at("2026-03-02T09:00:00.123456789Z"));
        assert_eq!(clock.now(), at("2026-03-02T09:00:00.123456Z"));
        assert_eq!(from_stored(stored(clock.now())), clock.now());
    }
}
