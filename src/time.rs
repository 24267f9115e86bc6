//! Time that is given, never taken: every part that needs "now" is handed a [`Clock`].
//!
//! Instants are UTC with microseconds, which is what both databases store; a finer instant would come back changed.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound, TimeDelta, TimeZone, Utc};
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

/// The instant at which clocks of a time zone show this day and time. Where they jump over it, the first instant after the
/// jump; where they show it twice, the first. `None`: no such time zone, or beyond the calendar.
pub fn local(day: NaiveDate, time: NaiveTime, time_zone: &str) -> Option<Instant> {
    let zone: chrono_tz::Tz = time_zone.parse().ok()?;
    let asked = day.and_time(time);
    // No zone has ever jumped by more than a day.
    (0..=25 * 4).find_map(|quarters| {
        let local = asked.checked_add_signed(TimeDelta::minutes(15 * quarters))?;
        zone.from_local_datetime(&local).earliest().map(|at| at.with_timezone(&Utc))
    })
}

/// When a day ends in a time zone, which is when the next one begins.
pub fn end_of_day(day: NaiveDate, time_zone: &str) -> Option<Instant> {
    local(day.succ_opt()?, NaiveTime::MIN, time_zone)
}

/// The day that clocks of a time zone show at an instant; UTC's where there is no such zone.
pub fn day_in(instant: Instant, time_zone: &str) -> NaiveDate {
    time_zone
        .parse::<chrono_tz::Tz>()
        .map_or_else(|_| day_of(instant), |zone| instant.with_timezone(&zone).date_naive())
}

/// The last day before an instant at which something ends, as clocks of a time zone show it.
pub fn last_day_before(end: Instant, time_zone: &str) -> NaiveDate {
    day_in(end - TimeDelta::microseconds(1), time_zone)
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

    #[test]
    fn a_time_that_a_zone_jumps_over_is_the_first_after_the_jump() {
        let on = |day: &str, time: &str, zone: &str| local(day.parse().unwrap(), time.parse().unwrap(), zone);
        assert_eq!(on("2026-03-02", "09:00:00", "Europe/Berlin"), Some(at("2026-03-02T08:00:00Z")));
        assert_eq!(on("2026-03-29", "02:30:00", "Europe/Berlin"), Some(at("2026-03-29T01:00:00Z")));
        assert_eq!(on("2026-10-25", "02:30:00", "Europe/Berlin"), Some(at("2026-10-25T00:30:00Z")));
        assert_eq!(on("2026-03-02", "09:00:00", "Mars/Olympus"), None);
        // A day that this zone never had.
        assert_eq!(on("2011-12-30", "09:00:00", "Pacific/Apia"), Some(at("2011-12-30T10:00:00Z")));
        let day: NaiveDate = "2026-03-28".parse().unwrap();
        assert_eq!(last_day_before(end_of_day(day, "Europe/Berlin").unwrap(), "Europe/Berlin"), day);
    }
}
