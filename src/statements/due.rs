//! Which statements should be here by now, and which of them are not.
//!
//! A master may say until when its messages are expected (`statement_by`, `report_by` of the treasury file), on the business
//! days of its calendar, by the clocks of its time zone: the *statement* of a business day by that time of the next one, a
//! *report* of the day so far by that time of the day itself. A statement that is not here by its time is missing, unless a
//! later one shows that nothing is: its opening is the closing before, so the bank had nothing to tell in between.

use super::alarms;
use super::store::{self, Came};
use crate::banking::Role;
use crate::calendars::{self, Calendar};
use crate::chart::{self, MasterRow};
use crate::db::Conn;
use crate::error::Result;
use crate::time::{Instant, day_in, from_stored, local};
use chrono::{NaiveDate, NaiveTime};
use serde::Serialize;

/// What a master expects of its bank.
#[derive(Debug, Clone)]
pub struct Expectation<'m> {
    /// Statements or reports.
    pub role: Role,
    /// Until when, by local clocks.
    pub by: NaiveTime,
    /// Whose clocks.
    pub time_zone: &'m str,
    /// On which days.
    pub calendar: &'m Calendar,
    /// From this day on.
    pub since: NaiveDate,
}

/// A message that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Due {
    /// The day that it tells of.
    pub day: NaiveDate,
    /// Until when it was to be here.
    #[serde(serialize_with = "as_rfc3339")]
    pub due_at: Instant,
}

fn as_rfc3339<S: serde::Serializer>(at: &Instant, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::time::rfc3339(*at))
}

fn as_maybe_rfc3339<S: serde::Serializer>(at: &Option<Instant>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    at.map(crate::time::rfc3339).serialize(serializer)
}

/// A message that is due and not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The master's code.
    pub master: String,
    /// `statement` or `report`.
    pub role: &'static str,
    /// The day that it tells of, and until when it was to be here.
    #[serde(flatten)]
    pub due: Due,
    /// The calendar that made it a business day.
    pub calendar: String,
    /// When its absence was recorded.
    #[serde(serialize_with = "as_maybe_rfc3339")]
    pub told_at: Option<Instant>,
}

/// A message that was missing when it was due, and is not any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Late {
    /// The master's code.
    pub master: String,
    /// `statement` or `report`.
    pub role: String,
    /// The day that it tells of, and until when it was to be here.
    #[serde(flatten)]
    pub due: Due,
    /// `came`, `nothing_booked` or `not_expected`.
    pub ended: String,
    /// When that was seen.
    #[serde(serialize_with = "as_rfc3339")]
    pub ended_at: Instant,
}

/// What became of a message that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is here.
    Came,
    /// A later one shows that there was nothing to tell.
    Quiet,
    /// It is not here.
    Missing,
}

/// A message of a master that was due, and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) role: Role,
    pub(super) due: Due,
    pub(super) answer: Answer,
}

/// What was due, and what of it is not here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DueList {
    /// How many messages were due.
    pub expected: usize,
    /// By master, role and day.
    pub missing: Vec<Missing>,
    /// Those that were recorded as missing and are not any more.
    pub late: Vec<Late>,
    /// Masters that say nothing of when their messages are expected.
    pub without_expectation: Vec<String>,
}

/// Everything that was due by an instant, in order. Pure.
pub fn due(e: &Expectation<'_>, until: Instant) -> Vec<Due> {
    let mut dues = Vec::new();
    let mut next = e.calendar.roll(e.since, calendars::Roll::Following);
    while let Some(day) = next {
        let of = if e.role == Role::Report { Some(day) } else { e.calendar.next(day) };
        let due_at = of.and_then(|of| local(of, e.by, e.time_zone));
        match due_at.filter(|at| *at <= until) {
            Some(due_at) => dues.push(Due { day, due_at }),
            // Nothing later is due earlier; without a time zone nothing ever is.
            None => break,
        }
        next = e.calendar.next(day);
    }
    dues
}

/// Those that are not here. `gaps` are the days after which and before which statements are known to be missing, `proved` the
/// newest day up to which, but for the gaps, each statement begins where the one before ended. Pure.
pub fn unanswered(
    role: Role,
    dues: Vec<Due>,
    came: &[Came],
    gaps: &[(NaiveDate, NaiveDate)],
    proved: Option<NaiveDate>,
) -> Vec<Due> {
    let answers = answers(role, dues, came, gaps, proved).into_iter();
    answers.filter(|(_, answer)| *answer == Answer::Missing).map(|(due, _)| due).collect()
}

/// What became of each; see [`unanswered`]. Pure.
pub fn answers(
    role: Role,
    dues: Vec<Due>,
    came: &[Came],
    gaps: &[(NaiveDate, NaiveDate)],
    proved: Option<NaiveDate>,
) -> Vec<(Due, Answer)> {
    let tells_of = |c: &Came, day: NaiveDate| {
        let lines = c.first_day.zip(c.last_day).is_some_and(|(first, last)| (first..=last).contains(&day));
        // A report need not have balances or lines: it is of the day on which it came.
        c.role == role && (lines || c.closing_on == Some(day) || (role == Role::Report && c.received_on == day))
    };
    let quiet = |day: NaiveDate| {
        let in_gap = gaps.iter().any(|(from, to)| *from <= day && day < *to);
        role == Role::Statement && proved.is_some_and(|last| day < last) && !in_gap
    };
    let answer = |due: &Due| match () {
        () if came.iter().any(|c| tells_of(c, due.day)) => Answer::Came,
        () if quiet(due.day) => Answer::Quiet,
        () => Answer::Missing,
    };
    dues.into_iter().map(|due| (due, answer(&due))).collect()
}

/// What the masters' expectations say by an instant, from a day on where one is given.
pub fn due_list(conn: &mut Conn, only: Option<&str>, since: Option<NaiveDate>, until: Instant) -> Result<DueList> {
    let masters = match only {
        Some(code) => vec![chart::master(conn, code)?],
        None => chart::masters(conn)?,
    };
    due_of(conn, masters, since, until)
}

/// As [`due_list`], of some masters.
pub fn due_of(conn: &mut Conn, masters: Vec<MasterRow>, since: Option<NaiveDate>, until: Instant) -> Result<DueList> {
    let told = alarms::recorded(conn)?;
    let mut list = DueList::default();
    for master in masters {
        if expected_of(&master).is_empty() {
            list.without_expectation.push(master.code.clone());
        }
        for judged in judged(conn, &master, since, until)? {
            list.expected += 1;
            if judged.answer == Answer::Missing {
                let told_at = told.since(&master.id, judged.role, judged.due.day);
                let (role, calendar) = (judged.role.as_str(), master.calendar.clone());
                list.missing.push(Missing { master: master.code.clone(), role, due: judged.due, calendar, told_at });
            }
        }
        list.late.extend(told.late(&master, since, until));
    }
    Ok(list)
}

/// What a master says of when its messages are expected.
fn expected_of(master: &MasterRow) -> Vec<(Role, NaiveTime)> {
    let times = [(Role::Statement, &master.statement_by), (Role::Report, &master.report_by)];
    times.into_iter().filter_map(|(role, by)| Some((role, time_of(by.as_deref()?)?))).collect()
}

/// Each message of a master that was due by an instant, and what became of it.
pub(super) fn judged(
    conn: &mut Conn,
    master: &MasterRow,
    since: Option<NaiveDate>,
    until: Instant,
) -> Result<Vec<Judged>> {
    let expected = expected_of(master);
    if expected.is_empty() {
        return Ok(Vec::new());
    }
    let calendar = calendars::calendar(conn, &master.calendar)?;
    let came = store::came(conn, &master.id, |at| day_in(from_stored(at), &master.time_zone))?;
    let gaps = super::gaps(conn, master)?.into_iter().map(|g| (g.closed_on, g.next_closed_on));
    let gaps: Vec<(NaiveDate, NaiveDate)> = gaps.collect();
    let proved = came.iter().filter(|c| c.posted && c.role == Role::Statement).filter_map(|c| c.closing_on).max();
    let since = since.unwrap_or(master.cut_over_on).max(master.cut_over_on);
    let mut all = Vec::new();
    for (role, by) in expected {
        let e = Expectation { role, by, time_zone: &master.time_zone, calendar: &calendar, since };
        let answers = answers(role, due(&e, until), &came, &gaps, proved);
        let of = |(due, answer)| Judged { role, due, answer };
        all.extend(answers.into_iter().map(of));
    }
    Ok(all)
}

/// `09:00`, as the chart stored it.
fn time_of(text: &str) -> Option<NaiveTime> {
    NaiveTime::parse_from_str(text, "%H:%M").ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn expectation(calendar: &Calendar, role: Role, since: NaiveDate) -> Expectation<'_> {
        Expectation { role, by: "09:00:00".parse().unwrap(), time_zone: "Europe/Berlin", calendar, since }
    }

    fn came(on: &str) -> Came {
        let on = day(on);
        Came {
            role: Role::Statement,
            posted: true,
            first_day: None,
            last_day: None,
            closing_on: Some(on),
            received_on: on,
        }
    }

    #[test]
    fn a_statement_is_due_on_the_next_business_day_and_a_report_on_the_day_itself() {
        let target = Calendar::built_in("target").unwrap();
        let days = |role, until: &str| -> Vec<String> {
            let dues = due(&expectation(&target, role, day("2026-04-01")), until.parse().unwrap());
            dues.iter().map(|d| format!("{} by {}", d.day, d.due_at.to_rfc3339())).collect()
        };
        // Good Friday is the 3rd, Easter Monday the 6th; Berlin has summer time.
        let expected = ["2026-04-01 by 2026-04-02T07:00:00+00:00", "2026-04-02 by 2026-04-07T07:00:00+00:00"];
        assert_eq!(days(Role::Statement, "2026-04-07T07:00:00Z"), expected);
        assert_eq!(days(Role::Statement, "2026-04-07T06:59:59Z"), expected[..1]);
        assert_eq!(days(Role::Report, "2026-04-01T07:00:00Z"), ["2026-04-01 by 2026-04-01T07:00:00+00:00"]);
        assert!(days(Role::Statement, "2026-04-01T12:00:00Z").is_empty());
    }

    #[test]
    fn a_statement_is_missing_until_it_comes_or_a_later_one_shows_that_nothing_is() {
        let weekdays = Calendar::built_in("weekdays").unwrap();
        let e = expectation(&weekdays, Role::Statement, day("2026-03-02"));
        let until: Instant = "2026-03-06T12:00:00Z".parse().unwrap();
        let missing = |came: &[Came], gaps: &[(NaiveDate, NaiveDate)], proved: Option<&str>| -> Vec<String> {
            let found = unanswered(Role::Statement, due(&e, until), came, gaps, proved.map(day));
            found.iter().map(|d| d.day.to_string()).collect()
        };
        assert_eq!(missing(&[], &[], None), ["2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"]);
        let two = [came("2026-03-02"), came("2026-03-04")];
        // Nothing was booked on the 3rd, or something was.
        assert_eq!(missing(&two, &[], Some("2026-03-04")), ["2026-03-05"]);
        let gap = [(day("2026-03-02"), day("2026-03-04"))];
        assert_eq!(missing(&two, &gap, Some("2026-03-04")), ["2026-03-03", "2026-03-05"]);
        // In quarantine it has come, and proves nothing.
        let held = Came { posted: false, ..came("2026-03-05") };
        assert_eq!(missing(&[held], &[], None), ["2026-03-02", "2026-03-03", "2026-03-04"]);
        // A report is no statement.
        let report = Came { role: Role::Report, ..came("2026-03-02") };
        assert_eq!(missing(&[report], &[], None).len(), 4);
        // One statement of several days.
        let week = Came { first_day: Some(day("2026-03-02")), last_day: Some(day("2026-03-05")), ..came("2026-03-05") };
        assert!(missing(&[week], &[], None).is_empty());
    }

    proptest! {
        #[test]
        fn each_business_day_is_due_once_and_never_before_its_time(from in 0u64..900, hours in 0i64..5_000) {
            let target = Calendar::built_in("target").unwrap();
            let since = day("2026-01-01").checked_add_days(chrono::Days::new(from)).unwrap();
            let until = since.and_hms_opt(0, 0, 0).unwrap().and_utc() + chrono::TimeDelta::hours(hours);
            let dues = due(&expectation(&target, Role::Statement, since), until);
            prop_assert!(dues.iter().all(|d| target.is_business_day(d.day) && d.due_at <= until && d.day >= since));
            prop_assert!(dues.windows(2).all(|w| target.next(w[0].day) == Some(w[1].day) && w[0].due_at < w[1].due_at));
            // More time makes more due, and takes nothing back.
            let later = due(&expectation(&target, Role::Statement, since), until + chrono::TimeDelta::days(3));
            prop_assert_eq!(&later[..dues.len()], &dues[..]);
        }
    }
}
