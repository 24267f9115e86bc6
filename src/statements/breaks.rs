//! What the bank's messages leave open, each by its name: an unexplained difference is a break, and none is silent.

use super::{ShownGap, alarms, store};
use crate::db::Conn;
use crate::error::Result;
use chrono::NaiveDate;
use serde::Serialize;

/// One break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Break {
    /// `missing_days`, `quarantined`, `restated`, `contradiction`, `not_in_statement`, `never_came`, `not_here`, `receipt_expired`.
    pub kind: &'static str,
    /// The master's code.
    pub master: String,
    /// What it is about: a statement, a line, an announced line, or days.
    pub subject: String,
    /// The day that it is of: a booking or closing day, or the last one on which something was waited for.
    pub day: Option<NaiveDate>,
    /// What it is, and what to do, for people.
    pub what: String,
}

/// All breaks, by master, kind and subject.
pub fn breaks(conn: &mut Conn) -> Result<Vec<Break>> {
    let mut all: Vec<Break> = super::all_gaps(conn)?.into_iter().map(of_gap).collect();
    all.extend(store::open_questions(conn)?);
    for (master, alarm) in alarms::open(conn)? {
        let (role, day, due_at) =
            (&alarm.role, alarm.day, crate::time::rfc3339(crate::time::from_stored(alarm.due_at)));
        let what = format!("the {role} of {day} was due by {due_at} and is not here; ask the bank, then import it");
        all.push(Break { kind: "not_here", master, subject: format!("{role} of {day}"), day: Some(day), what });
    }
    all.sort_by(|a, b| (&a.master, a.kind, &a.subject).cmp(&(&b.master, b.kind, &b.subject)));
    Ok(all)
}

fn of_gap(gap: ShownGap) -> Break {
    let what = format!("{gap}; it closes by itself when the missing statement is imported");
    Break {
        kind: "missing_days",
        subject: format!("{} to {}", gap.closed_on, gap.next_closed_on),
        day: Some(gap.next_closed_on),
        master: gap.master,
        what,
    }
}
