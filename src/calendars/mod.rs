//! Business days: on which days a bank works, by calendar.
//!
//! `weekdays` (Monday to Friday) and `target` (the euro's settlement system) are rules and need no data. Others are declared
//! in the treasury file or by a CSV of holidays. A declaration that names a holiday of a year says all of that year's, so a
//! year is corrected by declaring it again; years that it does not name stay.
//!
//! | File | What |
//! | --- | --- |
//! | `days.rs` | a calendar, and every question about days (pure) |
//! | `declare.rs` | declarations as written, and every problem on the way (pure) |

use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use std::fmt;

mod days;
mod declare;
mod store;

pub use days::{Calendar, Roll};
pub use declare::{CalendarTable, Declared, read_csv};

/// The calendar of who names none.
pub const WEEKDAYS: &str = "weekdays";

/// The calendar of TARGET.
pub const TARGET: &str = "target";

/// Why calendars are not changed, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Declarations have problems; all of them are named.
    Problems(Vec<String>),
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::Problems(_) => "bad_calendar",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Problems(problems) => {
                f.write_str("the calendar cannot be used, and nothing was changed:")?;
                problems.iter().try_for_each(|p| write!(f, "\n  {p}"))
            }
        }
    }
}

/// The calendar with this code.
pub fn calendar(conn: &mut Conn, code: &str) -> Result<Calendar> {
    let found = match Calendar::built_in(code) {
        Some(built_in) => Some(built_in),
        None => store::calendar(conn, code)?,
    };
    found.ok_or_else(|| Error::NotFound(format!("there is no calendar {code}; `tributary calendar show` lists them")))
}

/// All calendars: those that are built in, then the declared ones by code.
pub fn calendars(conn: &mut Conn) -> Result<Vec<Calendar>> {
    let mut all: Vec<Calendar> = [WEEKDAYS, TARGET].into_iter().filter_map(Calendar::built_in).collect();
    all.extend(store::calendars(conn)?);
    Ok(all)
}

/// Makes declared calendars what the tables say; answers the codes of those that changed.
pub fn apply(tx: &mut Tx<'_>, tables: &[CalendarTable]) -> Result<Vec<String>> {
    let declared = declare::read(tables).map_err(Refusal::Problems)?;
    let mut changed = Vec::new();
    for calendar in &declared {
        if apply_one(tx, calendar)? {
            changed.push(calendar.code.clone());
        }
    }
    Ok(changed)
}

/// Makes one calendar what its declaration says; `false` when it is that already.
pub fn apply_one(tx: &mut Tx<'_>, declared: &Declared) -> Result<bool> {
    let before = store::calendar(tx.conn(), &declared.code)?;
    let after = declared.applied_to(before.as_ref()).map_err(|problem| Refusal::Problems(vec![problem]))?;
    if before.as_ref() == Some(&after) {
        return Ok(false);
    }
    store::save(tx.conn(), &after)?;
    // Only the years that it is about: others did not change.
    let about = declared.applied_to(None).map_err(|problem| Refusal::Problems(vec![problem]))?;
    let before = before.map(|b| b.changed_years(&about).to_string());
    tx.event("calendar.declared", &after.code, before, Some(after.changed_years(&about).to_string()));
    Ok(true)
}
