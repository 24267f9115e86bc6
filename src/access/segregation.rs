//! Which duties must be in different hands: the table, and what follows from it for one person's roles.
//!
//! `no`: one person never holds both. `item`: one person may hold both, but not on the same request, payment or day; the
//! features that decide on items ask [`between`]. `two`: two people are needed for each change. Pure.
//!
//! | | request | approve | payee-change | payee-approve | release | reconcile | access-admin | rules |
//! |---|---|---|---|---|---|---|---|---|
//! | request | - | item | no | item | item | yes | no | no |
//! | approve | item | - | no | yes | item | item | no | no |
//! | payee-change | no | no | - | item | no | yes | no | no |
//! | payee-approve | item | yes | item | - | yes | yes | no | no |
//! | release | item | item | no | yes | - | no | no | no |
//! | reconcile | yes | item | yes | yes | no | - | no | no |
//! | access-admin | no | no | no | no | no | no | two | no |
//! | rules | no | no | no | no | no | no | no | - |

use super::permission::{Duty, Permissions};
use std::fmt;

/// How two duties stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separation {
    /// One person may do both.
    Together,
    /// One person may hold both, but not do both to the same thing.
    PerItem,
    /// No person holds both.
    PerPerson,
}

/// How two duties stand to each other; the same both ways round.
pub fn between(a: Duty, b: Duty) -> Separation {
    use Duty::{AccessAdmin, Approve, PayeeApprove, PayeeChange, Reconcile, Release, Request, Rules};
    match (a.min(b), a.max(b)) {
        // Administrators change each other's rights, two for each change.
        (AccessAdmin, AccessAdmin) => Separation::PerItem,
        (x, y) if x == y => Separation::Together,
        (_, AccessAdmin | Rules) => Separation::PerPerson,
        (Request | Approve, PayeeChange) | (PayeeChange, Release) | (Release, Reconcile) => Separation::PerPerson,
        (Request, Approve | PayeeApprove | Release) | (Approve, Release | Reconcile) | (PayeeChange, PayeeApprove) => {
            Separation::PerItem
        }
        _ => Separation::Together,
    }
}

/// Two duties that one person must not hold both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict(pub Duty, pub Duty);

impl Conflict {
    /// The rule's name: `request/access-admin`.
    pub fn rule(self) -> String {
        format!("{}/{}", self.0.code(), self.1.code())
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: who {} is not who {}", self.rule(), self.0.who(), self.1.who())
    }
}

/// The first conflict within what one person would hold, whatever the scopes: a person's duties are theirs everywhere, for
/// scopes change more often than habits.
pub fn conflict(held: Permissions) -> Option<Conflict> {
    let duties: Vec<Duty> = Duty::ALL.into_iter().filter(|d| held.iter().any(|p| p.duty() == Some(*d))).collect();
    let pairs = duties.iter().enumerate().flat_map(|(i, a)| duties.iter().skip(i + 1).map(move |b| (*a, *b)));
    pairs.into_iter().find(|(a, b)| between(*a, *b) == Separation::PerPerson).map(|(a, b)| Conflict(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::permission::Permission;

    #[test]
    fn the_table_in_the_header_is_what_holds() {
        let header = include_str!("segregation.rs");
        let docs = include_str!("../../docs/access.md");
        for a in Duty::ALL {
            let cell = |b: Duty| match between(a, b) {
                Separation::PerItem if a == b => "two",
                Separation::Together if a == b => "-",
                Separation::Together => "yes",
                Separation::PerItem => "item",
                Separation::PerPerson => "no",
            };
            let row = format!("//! | {} | {} |", a.code(), Duty::ALL.map(cell).join(" | "));
            assert!(header.contains(&row) && docs.contains(row.trim_start_matches("//! ")), "{row}");
            for b in Duty::ALL {
                assert_eq!(between(a, b), between(b, a));
            }
        }
    }

    #[test]
    fn a_conflict_names_its_rule() {
        let held = Permissions::from_iter([Permission::RequestsApprove, Permission::RulesChange]);
        let conflict = conflict(held).unwrap();
        assert_eq!(conflict.rule(), "approve/rules");
        assert!(conflict.to_string().contains("who approves requests or changes is not who changes rules"));
        assert_eq!(
            super::conflict(Permissions::from_iter([Permission::RequestsApprove, Permission::PayeesApprove])),
            None
        );
    }
}
