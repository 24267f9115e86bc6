//! How a bank reports on a master, where it is not the usual way.

use super::store;
use crate::db::{Conn, Tx};
use crate::error::Result;
use serde::Serialize;

/// Choices of a profile: how each is stored and written.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $text:literal),+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$case_doc])* $case),+ }

        impl $name {
            /// As stored and written.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$case => $text),+ }
            }

            /// Reads it back.
            pub fn parse(text: &str) -> Option<$name> {
                [$($name::$case),+].into_iter().find(|c| c.as_str() == text)
            }
        }
    };
}

choice! {
    /// What a credit is worth that a report or notification calls booked.
    Notified {
        /// It is held until a statement has it: the usual way.
        Unconfirmed = "unconfirmed",
        /// It may be spent at once: instant rails, on which what is booked stays booked.
        Final = "final"
    }
}

choice! {
    /// How the reports of a day (camt.052, MT942, BAI2 same day) follow each other.
    Reports {
        /// Each tells of the whole day so far: of equal lines the larger count is the truth.
        Cumulative = "cumulative",
        /// Each tells of what came since the one before: equal lines add up.
        Delta = "delta"
    }
}

choice! {
    /// What becomes of a statement whose totals or balances contradict its lines.
    Contradictions {
        /// It waits in quarantine until a person decides.
        Wait = "wait",
        /// It is posted, and the contradiction stays on record.
        Accept = "accept"
    }
}

/// How a bank reports on a master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// What notified credits are worth.
    pub notified: Notified,
    /// How reports follow each other.
    pub reports: Reports,
    /// What becomes of contradictions.
    pub contradictions: Contradictions,
}

impl Default for Profile {
    fn default() -> Self {
        Profile { notified: Notified::Unconfirmed, reports: Reports::Cumulative, contradictions: Contradictions::Wait }
    }
}

/// The profile of a master.
pub fn profile(conn: &mut Conn, master: &str) -> Result<Profile> {
    let master = crate::chart::master(conn, master)?;
    store::profile(conn, &master.id)
}

/// The profile of the master with this id.
pub fn profile_of(conn: &mut Conn, master: &str) -> Result<Profile> {
    store::profile(conn, master)
}

/// Sets the profile of a master; what was posted before stays as it is. Says whether that changed anything.
pub fn set_profile(tx: &mut Tx<'_>, master: &str, new: Profile) -> Result<bool> {
    let master = crate::chart::master(tx.conn(), master)?;
    let before = store::profile(tx.conn(), &master.id)?;
    if before == new {
        return Ok(false);
    }
    store::set_profile(tx, &master.id, &new)?;
    let json = |p: &Profile| serde_json::to_string(p).unwrap_or_default();
    tx.event("statement.profile", &master.code, Some(json(&before)), Some(json(&new)));
    Ok(true)
}
