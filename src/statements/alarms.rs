//! The alarm of statements that are due and not here: recorded once for each message, with an event, and once more when it
//! comes, or when it turns out that there was nothing to tell.
//!
//! | state | event | next | event recorded |
//! |---|---|---|---|
//! | - | its time is over, it is not here | missing | `statement.missing` |
//! | missing | it is here | came | `statement.no_longer_missing` |
//! | missing | a later statement begins where the one before it ended | nothing_booked | the same |
//! | missing | calendar or expectation are others now | not_expected | the same |
//! | came, nothing_booked, not_expected | it is missing again (it was rejected, or was history) | missing | `statement.missing` |
//!
//! What is missing follows from what is stored ([`super::due`]); the alarm only remembers what was told, so that the same
//! absence is told once, whoever looks, and how often.

use super::due::{self, Answer, Due, Late};
use super::store::{self, AlarmRow};
use crate::banking::Role;
use crate::chart::{self, MasterRow};
use crate::db::{Conn, Db, Tx, Who};
use crate::error::Result;
use crate::time::{Instant, from_stored, rfc3339, stored};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The master's code.
    pub master: String,
    /// `statement` or `report`.
    pub role: String,
    /// The day that it tells of.
    pub day: NaiveDate,
    /// Until when it was to be here, in RFC 3339.
    pub due_at: String,
    /// `missing`, `came`, `nothing_booked` or `not_expected`.
    pub what: &'static str,
    #[serde(skip)]
    row: AlarmRow,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { master, role, day, due_at, what, .. } = self;
        match *what {
            "missing" => write!(f, "{master}: MISSING: the {role} of {day}, due by {due_at}; ask the bank"),
            "came" => write!(f, "{master}: the {role} of {day}, due by {due_at}, has come"),
            "nothing_booked" => {
                write!(f, "{master}: the {role} of {day} is not missing: a later one shows that nothing was booked")
            }
            _ => write!(f, "{master}: the {role} of {day} is not expected any more"),
        }
    }
}

/// What is to be told at an instant and was not told yet.
pub fn changes(conn: &mut Conn, now: Instant) -> Result<Vec<Change>> {
    let mut rows: HashMap<(String, String, NaiveDate), AlarmRow> = HashMap::new();
    for row in store::alarms(conn)? {
        rows.insert((row.master.clone(), row.role.clone(), row.day), row);
    }
    let mut all = Vec::new();
    for master in chart::masters(conn)? {
        for judged in due::judged(conn, &master, None, now)? {
            let Due { day, due_at } = judged.due;
            let before = rows.remove(&(master.id.clone(), judged.role.as_str().to_owned(), day));
            let is_open = before.as_ref().is_some_and(|row| row.ended.is_none());
            let what = match (judged.answer, is_open) {
                (Answer::Missing, false) => "missing",
                (Answer::Came, true) => "came",
                (Answer::Quiet, true) => "nothing_booked",
                _ => continue,
            };
            all.push(change(&master, judged.role.as_str(), (day, stored(due_at)), before, what, now));
        }
        // What is not due by its own time any more.
        let mut gone: Vec<AlarmRow> =
            rows.values().filter(|r| r.master == master.id && r.ended.is_none()).cloned().collect();
        gone.sort_by(|a, b| (a.day, &a.role).cmp(&(b.day, &b.role)));
        for row in gone.into_iter().filter(|r| from_stored(r.due_at) <= now) {
            let (role, of) = (row.role.clone(), (row.day, row.due_at));
            all.push(change(&master, &role, of, Some(row), "not_expected", now));
        }
    }
    Ok(all)
}

fn change(
    master: &MasterRow,
    role: &str,
    (day, due_at): (NaiveDate, chrono::NaiveDateTime),
    before: Option<AlarmRow>,
    what: &'static str,
    now: Instant,
) -> Change {
    let missing = what == "missing";
    let row = AlarmRow {
        master: master.id.clone(),
        role: role.to_owned(),
        day,
        due_at,
        told_at: before.filter(|_| !missing).map_or(stored(now), |row| row.told_at),
        ended: (!missing).then(|| what.to_owned()),
        ended_at: (!missing).then(|| stored(now)),
    };
    let (master, role) = (master.code.clone(), role.to_owned());
    Change { master, role, day, due_at: rfc3339(from_stored(due_at)), what, row }
}

/// Records what is to be told, each with its event, and gives it.
pub fn record(db: &Db, who: &Arc<Who>, now: Instant) -> Result<Vec<Change>> {
    db.write("statement.alarms", who, move |tx| record_in(tx, now))
}

fn record_in(tx: &mut Tx<'_>, now: Instant) -> Result<Vec<Change>> {
    let all = changes(tx.conn(), now)?;
    for change in &all {
        store::set_alarm(tx, &change.row)?;
        let message = serde_json::json!({ "role": change.role, "day": change.day, "due_at": change.due_at });
        if change.what == "missing" {
            tx.event("statement.missing", &change.master, None, Some(message.to_string()));
        } else {
            let after = serde_json::json!({ "role": change.role, "day": change.day, "why": change.what });
            let before = Some(message.to_string());
            tx.event("statement.no_longer_missing", &change.master, before, Some(after.to_string()));
        }
    }
    Ok(all)
}

/// Alarms that were told and hold still, with the master's code.
pub(super) fn open(conn: &mut Conn) -> Result<Vec<(String, AlarmRow)>> {
    let rows: Vec<AlarmRow> = store::alarms(conn)?.into_iter().filter(|r| r.ended.is_none()).collect();
    let Some(until) = rows.iter().map(|r| r.due_at).max() else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for master in chart::masters(conn)? {
        let of_master = |r: &&AlarmRow| r.master == master.id;
        if !rows.iter().any(|r| of_master(&r)) {
            continue;
        }
        // What came since it was told is no break, also before somebody records that.
        let missing = due::judged(conn, &master, None, from_stored(until))?.into_iter();
        let missing: Vec<(Role, NaiveDate)> =
            missing.filter(|j| j.answer == Answer::Missing).map(|j| (j.role, j.due.day)).collect();
        let holds = |r: &&AlarmRow| missing.iter().any(|(role, day)| role.as_str() == r.role && *day == r.day);
        all.extend(rows.iter().filter(of_master).filter(holds).map(|r| (master.code.clone(), r.clone())));
    }
    Ok(all)
}

/// What was told so far.
pub(super) struct Recorded(Vec<AlarmRow>);

/// Reads it.
pub(super) fn recorded(conn: &mut Conn) -> Result<Recorded> {
    store::alarms(conn).map(Recorded)
}

impl Recorded {
    /// When the absence of a message was told, if it was and holds.
    pub(super) fn since(&self, master: &str, role: Role, day: NaiveDate) -> Option<Instant> {
        let same = |r: &&AlarmRow| r.master == master && r.role == role.as_str() && r.day == day && r.ended.is_none();
        self.0.iter().find(same).map(|r| from_stored(r.told_at))
    }

    /// The messages of a master that were missing for a time.
    pub(super) fn late(&self, master: &MasterRow, since: Option<NaiveDate>, until: Instant) -> Vec<Late> {
        let of = self.0.iter().filter(|r| r.master == master.id && since.is_none_or(|since| r.day >= since));
        let late = of.filter_map(|r| {
            let (ended, ended_at) = (r.ended.clone()?, from_stored(r.ended_at?));
            let due = Due { day: r.day, due_at: from_stored(r.due_at) };
            Some(Late { master: master.code.clone(), role: r.role.clone(), due, ended, ended_at })
        });
        late.filter(|l| l.ended_at <= until).collect()
    }
}
