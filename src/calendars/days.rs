//! A calendar, and every question about days. Pure.

use super::{TARGET, WEEKDAYS};
use chrono::{Datelike, Days, NaiveDate, Weekday};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Which days are business days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Its code: `target`, `jp-tokyo`.
    pub code: String,
    /// For people.
    pub name: String,
    /// Days of the week on which nobody works; at most six.
    pub(super) weekend: BTreeSet<Day>,
    /// Holidays that follow from a rule.
    pub(super) rule: Option<Rule>,
    /// Holidays that were declared.
    pub(super) holidays: BTreeMap<NaiveDate, String>,
}

/// Holidays that follow from the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// 1 January, Good Friday, Easter Monday, 1 May, 25 and 26 December.
    Target,
}

/// A day of the week, from Monday (0): chrono's own has no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(u8);

/// As declarations and the database write the days of the week.
const WEEK: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Day {
    pub(super) fn parse(text: &str) -> Option<Day> {
        WEEK.into_iter().zip(0..).find(|(name, _)| *name == text).map(|(_, n)| Day(n))
    }

    pub(super) fn as_str(self) -> &'static str {
        WEEK.get(usize::from(self.0)).copied().unwrap_or("sun")
    }

    fn of(weekday: Weekday) -> Day {
        Day(u8::try_from(weekday.num_days_from_monday()).unwrap_or(0))
    }
}

/// What becomes of a day on which nobody works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roll {
    /// The next business day.
    Following,
    /// The next business day, or the one before where that would be in another month.
    ModifiedFollowing,
    /// The business day before.
    Preceding,
}

impl Calendar {
    /// A calendar that needs no data.
    pub fn built_in(code: &str) -> Option<Calendar> {
        let (name, rule) = match code {
            WEEKDAYS => ("Monday to Friday", None),
            TARGET => ("TARGET, the euro's settlement system", Some(Rule::Target)),
            _ => return None,
        };
        Some(Calendar {
            code: code.to_owned(),
            name: name.to_owned(),
            weekend: saturday_and_sunday(),
            rule,
            holidays: BTreeMap::new(),
        })
    }

    /// Whether it is built in.
    pub fn is_built_in(&self) -> bool {
        Calendar::built_in(&self.code).is_some()
    }

    /// The days of the week on which nobody works: `sat, sun`.
    pub fn weekend(&self) -> String {
        self.weekend.iter().map(|d| d.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Whether something is known of a year's holidays; where not, only weekends are kept free.
    pub fn knows(&self, year: i32) -> bool {
        self.is_built_in() || self.holidays.keys().any(|day| day.year() == year)
    }

    /// The name of the holiday that a day is.
    pub fn holiday(&self, day: NaiveDate) -> Option<&str> {
        let declared = self.holidays.get(&day).map(String::as_str);
        declared.or_else(|| self.rule.and_then(|Rule::Target| target(day)))
    }

    /// The holidays of a year, in order, on whatever day of the week they fall.
    pub fn holidays(&self, year: i32) -> Vec<(NaiveDate, &str)> {
        let first = NaiveDate::from_ymd_opt(year, 1, 1);
        let days = first.into_iter().flat_map(|first| first.iter_days()).take_while(|day| day.year() == year);
        days.filter_map(|day| self.holiday(day).map(|name| (day, name))).collect()
    }

    /// Whether business is done on a day.
    pub fn is_business_day(&self, day: NaiveDate) -> bool {
        !self.weekend.contains(&Day::of(day.weekday())) && self.holiday(day).is_none()
    }

    /// The first business day after a day; `None` at the end of time.
    pub fn next(&self, day: NaiveDate) -> Option<NaiveDate> {
        let mut day = day.succ_opt()?;
        while !self.is_business_day(day) {
            day = day.succ_opt()?;
        }
        Some(day)
    }

    /// The last business day before a day.
    pub fn previous(&self, day: NaiveDate) -> Option<NaiveDate> {
        let mut day = day.pred_opt()?;
        while !self.is_business_day(day) {
            day = day.pred_opt()?;
        }
        Some(day)
    }

    /// The day itself if it is a business day, else another as the convention says.
    pub fn roll(&self, day: NaiveDate, convention: Roll) -> Option<NaiveDate> {
        if self.is_business_day(day) {
            return Some(day);
        }
        match convention {
            Roll::Following => self.next(day),
            Roll::Preceding => self.previous(day),
            Roll::ModifiedFollowing => match self.next(day) {
                Some(next) if (next.year(), next.month()) == (day.year(), day.month()) => Some(next),
                _ => self.previous(day),
            },
        }
    }

    /// `count` business days later, or earlier when it is negative; none is the day itself, or the next business day.
    pub fn add(&self, day: NaiveDate, count: i32) -> Option<NaiveDate> {
        if count == 0 {
            return self.roll(day, Roll::Following);
        }
        let step = |day| if count > 0 { self.next(day) } else { self.previous(day) };
        (0..count.unsigned_abs()).try_fold(day, |day, _| step(day))
    }

    /// How many business days lie after `from`, up to and with `to`: the age of something of `from` on `to`.
    pub fn business_days_between(&self, from: NaiveDate, to: NaiveDate) -> i64 {
        let days = from.iter_days().skip(1).take_while(|day| *day <= to).filter(|day| self.is_business_day(*day));
        i64::try_from(days.count()).unwrap_or(i64::MAX)
    }

    /// Name, weekend and the holidays of those years of which `other` has any: what an event tells.
    pub(super) fn changed_years(&self, other: &Calendar) -> Value {
        let years: BTreeSet<i32> = other.holidays.keys().map(Datelike::year).collect();
        let told: BTreeMap<String, &String> = self
            .holidays
            .iter()
            .filter(|(day, _)| years.contains(&day.year()))
            .map(|(day, name)| (day.to_string(), name))
            .collect();
        json!({ "name": self.name, "weekend": self.weekend(), "holidays": told })
    }
}

pub(super) fn saturday_and_sunday() -> BTreeSet<Day> {
    BTreeSet::from([Day(5), Day(6)])
}

fn target(day: NaiveDate) -> Option<&'static str> {
    match (day.month(), day.day()) {
        (1, 1) => return Some("New Year's Day"),
        (5, 1) => return Some("Labour Day"),
        (12, 25) => return Some("Christmas Day"),
        (12, 26) => return Some("26 December"),
        _ => {}
    }
    let easter = easter(day.year())?;
    if Some(day) == easter.checked_sub_days(Days::new(2)) {
        return Some("Good Friday");
    }
    (Some(day) == easter.checked_add_days(Days::new(1))).then_some("Easter Monday")
}

/// Easter Sunday of the Gregorian calendar: the Sunday after the first full moon of spring as the church's tables have it.
fn easter(year: i32) -> Option<NaiveDate> {
    let golden = year.rem_euclid(19);
    let century = year.div_euclid(100);
    let leap_centuries = century.div_euclid(4);
    let lunar = (century + 8).div_euclid(25);
    let moon = (19 * golden + century - leap_centuries - (century - lunar + 1).div_euclid(3) + 15).rem_euclid(30);
    let of_century = year.rem_euclid(100);
    let to_sunday =
        (32 + 2 * century.rem_euclid(4) + 2 * of_century.div_euclid(4) - moon - of_century.rem_euclid(4)).rem_euclid(7);
    let late = (golden + 11 * moon + 22 * to_sunday).div_euclid(451);
    let days = moon + to_sunday - 7 * late + 114;
    let (month, day) = (days.div_euclid(31), days.rem_euclid(31) + 1);
    NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn easter_is_where_the_tables_have_it() {
        let known = [
            "1818-03-22",
            "1943-04-25",
            "1961-04-02",
            "2000-04-23",
            "2008-03-23",
            "2011-04-24",
            "2019-04-21",
            "2024-03-31",
            "2025-04-20",
            "2026-04-05",
            "2027-03-28",
            "2028-04-16",
            "2038-04-25",
            "2100-03-28",
            "2285-03-22",
        ];
        for text in known {
            assert_eq!(easter(day(text).year()), Some(day(text)));
        }
    }

    #[test]
    fn target_has_six_holidays_each_year() {
        let target = Calendar::built_in(TARGET).unwrap();
        let of_2027: Vec<String> = target.holidays(2027).into_iter().map(|(day, _)| day.to_string()).collect();
        assert_eq!(of_2027, ["2027-01-01", "2027-03-26", "2027-03-29", "2027-05-01", "2027-12-25", "2027-12-26"]);
        assert!((1999..2200).all(|year| target.holidays(year).len() == 6));
        assert!(!target.is_business_day(day("2026-04-03")) && target.is_business_day(day("2026-04-07")));
        // Ascension and the German Unity Day are business days of TARGET.
        assert!(target.is_business_day(day("2026-05-14")) && target.is_business_day(day("2028-10-03")));
    }

    #[test]
    fn days_roll_as_conventions_say() {
        let target = Calendar::built_in(TARGET).unwrap();
        // The end of a month on a Saturday; Easter.
        for (from, following, modified, preceding) in [
            ("2027-07-31", "2027-08-02", "2027-07-30", "2027-07-30"),
            ("2027-03-27", "2027-03-30", "2027-03-30", "2027-03-25"),
            ("2026-12-26", "2026-12-28", "2026-12-28", "2026-12-24"),
            ("2026-03-04", "2026-03-04", "2026-03-04", "2026-03-04"),
        ] {
            let roll = |convention| target.roll(day(from), convention).unwrap().to_string();
            let got = [Roll::Following, Roll::ModifiedFollowing, Roll::Preceding].map(roll);
            assert_eq!(got, [following, modified, preceding], "{from}");
        }
        assert_eq!(target.add(day("2026-12-23"), 2), Some(day("2026-12-28")));
        assert_eq!(target.add(day("2026-12-28"), -2), Some(day("2026-12-23")));
        assert_eq!(target.add(day("2026-12-25"), 0), Some(day("2026-12-28")));
        assert_eq!(target.business_days_between(day("2026-12-24"), day("2026-12-29")), 2);
        assert_eq!(target.next(NaiveDate::MAX), None);
    }

    fn any_calendar() -> impl Strategy<Value = Calendar> {
        let weekend = prop::collection::btree_set((0u8..7).prop_map(Day), 0..=6);
        let holidays = prop::collection::btree_map((0u64..1500).prop_map(at), "[a-z]{1,8}".boxed(), 0..200);
        (any::<bool>(), weekend, holidays).prop_map(|(target, weekend, holidays)| Calendar {
            code: "c".to_owned(),
            name: "C".to_owned(),
            weekend,
            rule: target.then_some(Rule::Target),
            holidays,
        })
    }

    fn at(offset: u64) -> NaiveDate {
        day("2026-01-01").checked_add_days(Days::new(offset)).unwrap()
    }

    proptest! {
        #[test]
        fn the_next_business_day_is_the_first_one_after(calendar in any_calendar(), offset in 0u64..1500) {
            let (from, next) = (at(offset), calendar.next(at(offset)).unwrap());
            prop_assert!(next > from && calendar.is_business_day(next));
            prop_assert!(from.iter_days().skip(1).take_while(|d| *d < next).all(|d| !calendar.is_business_day(d)));
            // Back again: to the day itself, or to the business day before it.
            prop_assert_eq!(calendar.previous(next), calendar.roll(from, Roll::Preceding));
            prop_assert_eq!(calendar.business_days_between(from, next), 1);
        }

        #[test]
        fn a_rolled_day_is_a_business_day_and_rolling_again_leaves_it(calendar in any_calendar(), offset in 0u64..1500) {
            for convention in [Roll::Following, Roll::ModifiedFollowing, Roll::Preceding] {
                let rolled = calendar.roll(at(offset), convention).unwrap();
                prop_assert!(calendar.is_business_day(rolled));
                prop_assert_eq!(calendar.roll(rolled, convention), Some(rolled));
            }
        }

        #[test]
        fn adding_counts_business_days_and_can_be_taken_back(calendar in any_calendar(), offset in 0u64..1500, n in 1i32..40) {
            let from = calendar.roll(at(offset), Roll::Following).unwrap();
            let to = calendar.add(from, n).unwrap();
            prop_assert_eq!(calendar.business_days_between(from, to), i64::from(n));
            prop_assert_eq!(calendar.add(to, -n), Some(from));
            let halves = calendar.add(calendar.add(from, n / 2).unwrap(), n - n / 2);
            prop_assert_eq!(halves, Some(to));
        }
    }
}
