//! What people decided in the demo: at the end of August they asked some of the payers whom nobody could place, and placed what
//! had come from them. What those payers send afterwards has suggestions; the others still wait.

use super::names;
use super::treasury;
use crate::time::Instant;
use chrono::{NaiveDate, TimeDelta};
use std::collections::BTreeMap;

/// How many payers there are on each master whom nobody knows, and how many of them were asked.
pub(super) const UNKNOWN: u64 = 12;
const ASKED: u64 = 7;

/// Their numbers begin here.
pub(super) const FIRST_UNKNOWN: u64 = 1_000;

/// What they write.
pub(super) const TEXTS: [&str; 5] =
    ["Payment as agreed", "Thank you", "Q3 balance", "see e-mail of last week", "Transfer"];

/// When the answers were in, in the afternoon.
const DECIDED_ON: &str = "2026-08-31";

/// Whose money the payments of some payers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// When they were in.
    pub at: Instant,
    /// Leaf by master and name of the payer.
    leaves: BTreeMap<(String, String), String>,
}

/// The same for each seed, as the payers are.
pub(super) fn answers(masters: &[treasury::Master]) -> Answers {
    let day: NaiveDate = DECIDED_ON.parse().unwrap_or_default();
    let mut leaves = BTreeMap::new();
    for master in masters {
        let operating: Vec<_> = master.leaves.iter().filter(|leaf| leaf.is_operating()).collect();
        for (number, leaf) in (FIRST_UNKNOWN..FIRST_UNKNOWN + ASKED).zip(operating.iter().cycle()) {
            let name = names::party(master.plan, number).name;
            leaves.insert((master.plan.code.to_owned(), name), leaf.code.clone());
        }
    }
    Answers { at: (day.and_time(chrono::NaiveTime::MIN) + TimeDelta::hours(15)).and_utc(), leaves }
}

impl Answers {
    /// The leaf of a payment that says nothing useful, booked before the answers were in.
    pub fn leaf(&self, master: &str, payer: &str, text: &str, booked_on: NaiveDate) -> Option<&str> {
        let asked = TEXTS.contains(&text) && booked_on < self.at.date_naive();
        let leaf = self.leaves.get(&(master.to_owned(), payer.to_owned()));
        leaf.filter(|_| asked).map(String::as_str)
    }
}
