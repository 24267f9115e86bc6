//! When a message is sent again that was not taken: ten attempts over three days, as Standard Webhooks advises. Pure.

use chrono::TimeDelta;

/// Seconds from one attempt to the next: 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 hours; 75 h 35 min 5 s in all.
const WAITS: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// How long to wait after so many failures of one message; `None` after the last. A twentieth more or less by chance, so that
/// messages that failed together do not come together again.
pub(super) fn wait(failures: i64, chance: u8) -> Option<TimeDelta> {
    let seconds = WAITS.get(usize::try_from(failures).ok()?.checked_sub(1)?)?;
    let percent = 95 + i64::from(chance) * 10 / 255;
    Some(TimeDelta::milliseconds(seconds * 10 * percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_is_down_for_seventy_hours_misses_nothing_and_after_eighty_it_is_given_up() {
        let whole = |chance| (1..).map_while(|failures| wait(failures, chance)).sum::<TimeDelta>();
        assert_eq!((1..).map_while(|failures| wait(failures, 0)).count(), 9, "ten attempts");
        assert!(whole(0) > TimeDelta::hours(70) && whole(255) < TimeDelta::hours(80));
        assert_eq!(wait(0, 0), None);
        assert_eq!(wait(1, 128), Some(TimeDelta::seconds(5)));
    }
}
