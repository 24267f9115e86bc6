//! What the subject of an event names, and ranges of entries. Pure.
//!
//! A kind that nobody has told of here is of the treasury as a whole: what is forgotten is seen by too few, never by too many.

use crate::scope::{Placed, Target};
use serde::Deserialize;

/// What the subject of a kind of event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Names {
    /// The code of an account or of a node above accounts.
    Account,
    /// A range of entries.
    Entries,
    /// The id of an expected receipt.
    Expectation,
    /// The id of a settlement file.
    Settlement,
    /// The id of a line that is announced and not booked.
    PendingLine,
    /// The id of a line.
    Line,
    /// The id of a statement.
    Statement,
    /// The id of a proposal, which acts in one or several places.
    Proposal,
    /// The code of a master.
    Master,
    /// The code of a product.
    Product,
    /// The code of an entity.
    Entity,
    /// Something of the treasury as a whole.
    Treasury,
}

/// What the subject of this kind names.
pub(super) fn names(kind: &str) -> Names {
    match kind {
        "account.state" | "account.terms" | "chart.sub_account" => Names::Account,
        "ledger.posted" => Names::Entries,
        "pending.expired" => Names::PendingLine,
        "line.withdrawn" | "route.changed" | "route.refused" | "transfer.cleared" => Names::Line,
        "statement.accepted"
        | "statement.decided"
        | "statement.lines"
        | "statement.posted"
        | "statement.superseded" => Names::Statement,
        "chart.master"
        | "chart.schedule"
        | "opening.placed"
        | "statement.missing"
        | "statement.no_longer_missing"
        | "statement.profile" => Names::Master,
        "chart.product" => Names::Product,
        "chart.entity" => Names::Entity,
        _ if kind.starts_with("expectation.") => Names::Expectation,
        _ if kind.starts_with("settlement.") => Names::Settlement,
        _ if kind.starts_with("proposal.") => Names::Proposal,
        _ => Names::Treasury,
    }
}

/// Where something stands, by codes. A proposal keeps its places so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Place {
    pub(super) product: Option<String>,
    pub(super) entity: Option<String>,
    pub(super) master: Option<String>,
    pub(super) path: Option<String>,
}

impl Place {
    /// What is of a master as a whole.
    pub(super) fn master(code: String, entity: Option<String>) -> Place {
        Place { product: None, entity, path: Some(code.clone()), master: Some(code) }
    }
}

impl Placed for Place {
    fn target(&self) -> Target<'_> {
        Target {
            product: self.product.as_deref(),
            entity: self.entity.as_deref(),
            master: self.master.as_deref(),
            path: self.path.as_deref(),
        }
    }
}

/// The first and the last entry that a subject such as `entries 5-9` names.
pub(super) fn entries(subject: &str) -> Option<(i64, i64)> {
    let (first, last) = subject.strip_prefix("entries ")?.split_once('-')?;
    let range = (first.parse().ok()?, last.parse().ok()?);
    (range.0 <= range.1).then_some(range)
}

/// The subject that names these entries, which are in order: `entries 5-9, 12-12`.
pub(super) fn subject_of(numbers: impl IntoIterator<Item = i64>) -> String {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            Some((_, last)) if *last == number => {}
            _ => ranges.push((number, number)),
        }
    }
    let ranges: Vec<String> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
    format!("entries {}", ranges.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_entries_is_read_and_what_is_none_is_not() {
        assert_eq!(entries("entries 5-9"), Some((5, 9)));
        for wrong in ["entries 9-5", "entries 5", "5-9", "entries a-b", ""] {
            assert_eq!(entries(wrong), None, "{wrong}");
        }
        assert_eq!(subject_of([5, 6, 7, 9, 12, 12, 13]), "entries 5-7, 9-9, 12-13");
    }

    #[test]
    fn what_nobody_told_of_is_of_the_treasury_as_a_whole() {
        assert_eq!(names("something.new"), Names::Treasury);
        assert_eq!((names("proposal.made"), names("policy.version")), (Names::Proposal, Names::Treasury));
        assert_eq!((names("expectation.met"), names("account.terms")), (Names::Expectation, Names::Account));
    }
}
