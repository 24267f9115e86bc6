//! Policies: who has to approve. `all_of`, `any_of` and `in_order` over leaves of a role or permission and a count. Pure.
//!
//! Each person fills one place of a policy at most, so that "one of these and one of those" takes two people also where one of
//! them could be both. The maker fills none. The places are filled in the order of the approvals: each approval takes a place
//! whose predecessors are filled, or none; what can be reached so is looked at in full, so the answer does not depend on which
//! place somebody happens to take first. A policy that cannot be understood is met by nobody.

use crate::access::{Permission, Permissions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Places of a policy, at most: what could be reached is looked at in full.
const MOST_PLACES: usize = 8;
/// Ways to meet a policy, at most.
const MOST_WAYS: usize = 32;

/// By what a person may take a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// Whoever has this role, built in or the treasury's own.
    Role(String),
    /// Whoever has this permission, by whatever role.
    Permission(Permission),
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whom::Role(code) => write!(f, "with the role {code}"),
            Whom::Permission(permission) => write!(f, "with the permission {permission}"),
        }
    }
}

/// Who has to approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// Every one of these.
    AllOf(Vec<Policy>),
    /// One of these, whichever.
    AnyOf(Vec<Policy>),
    /// Every one, and each only after the one before it.
    InOrder(Vec<Policy>),
    /// So many different people.
    Leaf {
        /// Of whom.
        whom: Whom,
        /// How many.
        count: usize,
    },
    /// What cannot be understood: nobody meets it.
    Never,
}

/// A policy as TOML and JSON write it: exactly one of the fields, and a count beside `role` or `permission`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Needs {
    /// Every one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_of: Option<Vec<Needs>>,
    /// One of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any_of: Option<Vec<Needs>>,
    /// Every one, in this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_order: Option<Vec<Needs>>,
    /// Whoever has this role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whoever has this permission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// How many of them; 1 where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
}

impl Needs {
    /// What it means, or what is wrong with it.
    pub fn read(&self) -> Result<Policy, String> {
        let policy = self.node()?;
        let ways = policy.ways().map_err(|()| {
            format!(
                "it has more than {MOST_WAYS} ways to be met, or one of more than {MOST_PLACES} people: make it simpler"
            )
        })?;
        debug_assert!(!ways.is_empty());
        Ok(policy)
    }

    fn node(&self) -> Result<Policy, String> {
        let several = |parts: &Vec<Needs>, what: &str| {
            if parts.is_empty() {
                return Err(format!("{what} is empty, which nobody could meet"));
            }
            parts.iter().map(Needs::node).collect::<Result<Vec<_>, _>>()
        };
        if self.count.is_some() && self.role.is_none() && self.permission.is_none() {
            return Err("a count stands beside a role or permission".to_owned());
        }
        match (&self.all_of, &self.any_of, &self.in_order, &self.role, &self.permission) {
            (Some(parts), None, None, None, None) => several(parts, "all_of").map(Policy::AllOf),
            (None, Some(parts), None, None, None) => several(parts, "any_of").map(Policy::AnyOf),
            (None, None, Some(parts), None, None) => several(parts, "in_order").map(Policy::InOrder),
            (None, None, None, Some(role), None) => self.leaf(Whom::Role(role.clone())),
            (None, None, None, None, Some(code)) => {
                let permission: Permission = code.parse()?;
                if !permission.people_only() {
                    return Err(format!(
                        "{permission} is what keys may have too, so it decides nothing; name one for people only, such as {}",
                        Permission::ChangesApprove
                    ));
                }
                self.leaf(Whom::Permission(permission))
            }
            _ => Err("it says exactly one of all_of, any_of, in_order, role and permission".to_owned()),
        }
    }

    fn leaf(&self, whom: Whom) -> Result<Policy, String> {
        match self.count.unwrap_or(1) {
            0 => Err("a count of 0 would let the maker decide alone".to_owned()),
            count if count > MOST_PLACES => Err(format!("a count is {MOST_PLACES} at most")),
            count => Ok(Policy::Leaf { whom, count }),
        }
    }
}

/// One way to meet a policy: places, and which must be filled before which.
#[derive(Debug, Clone, Default)]
struct Way<'p> {
    places: Vec<&'p Whom>,
    before: Vec<(usize, usize)>,
}

impl<'p> Way<'p> {
    fn join(&self, other: &Way<'p>, in_order: bool) -> Way<'p> {
        let shift = self.places.len();
        let mut joined = self.clone();
        joined.places.extend(&other.places);
        joined.before.extend(other.before.iter().map(|(a, b)| (a + shift, b + shift)));
        if in_order {
            let pairs = (0..shift).flat_map(|a| (shift..joined.places.len()).map(move |b| (a, b)));
            joined.before.extend(pairs.collect::<Vec<_>>());
        }
        joined
    }

    fn full(&self) -> u32 {
        (1 << self.places.len()) - 1
    }

    /// Every set of places that the approvals, one after another, can have filled.
    fn reached(&self, approvals: usize, may: &dyn Fn(usize, &Whom) -> bool) -> BTreeSet<u32> {
        let mut reached = BTreeSet::from([0u32]);
        for approval in 0..approvals {
            let mut more = Vec::new();
            for (place, whom) in self.places.iter().enumerate() {
                if !may(approval, whom) {
                    continue;
                }
                let needed = self.before.iter().filter(|(_, b)| *b == place).fold(0, |set, (a, _)| set | (1 << a));
                let free = reached.iter().filter(|set| *set & (1 << place) == 0 && *set & needed == needed);
                more.extend(free.map(|set| set | (1 << place)));
            }
            reached.extend(more);
        }
        reached
    }

    /// The places that the best of it leaves open.
    fn open(&self, approvals: usize, may: &dyn Fn(usize, &Whom) -> bool) -> Vec<&'p Whom> {
        let reached = self.reached(approvals, may);
        let best = reached.into_iter().max_by_key(|set| set.count_ones()).unwrap_or(0);
        let open = self.places.iter().enumerate().filter(|(place, _)| best & (1 << place) == 0);
        open.map(|(_, whom)| *whom).collect()
    }
}

impl Policy {
    /// So many people of one kind.
    pub fn leaf(whom: Whom, count: usize) -> Policy {
        Policy::Leaf { whom, count }
    }

    /// From storage; what cannot be read is met by nobody.
    pub fn from_json(text: &str) -> Policy {
        let needs: Option<Needs> = serde_json::from_str(text).ok();
        needs.and_then(|n| n.read().ok()).unwrap_or(Policy::Never)
    }

    /// As stored and shown to programs.
    pub fn needs(&self) -> Needs {
        let several = |parts: &[Policy]| Some(parts.iter().map(Policy::needs).collect());
        match self {
            Policy::AllOf(parts) => Needs { all_of: several(parts), ..Needs::default() },
            Policy::AnyOf(parts) => Needs { any_of: several(parts), ..Needs::default() },
            Policy::InOrder(parts) => Needs { in_order: several(parts), ..Needs::default() },
            Policy::Leaf { whom, count } => {
                let mut needs = Needs { count: Some(*count), ..Needs::default() };
                match whom {
                    Whom::Role(role) => needs.role = Some(role.clone()),
                    Whom::Permission(permission) => needs.permission = Some(permission.code().to_owned()),
                }
                needs
            }
            Policy::Never => Needs::default(),
        }
    }

    /// Everybody whom it names.
    pub fn names(&self) -> Vec<&Whom> {
        match self {
            Policy::AllOf(parts) | Policy::AnyOf(parts) | Policy::InOrder(parts) => {
                parts.iter().flat_map(Policy::names).collect()
            }
            Policy::Leaf { whom, .. } => vec![whom],
            Policy::Never => Vec::new(),
        }
    }

    /// The permissions that it names.
    pub fn permissions(&self) -> Permissions {
        let named = self.names().into_iter().filter_map(|whom| match whom {
            Whom::Permission(permission) => Some(*permission),
            Whom::Role(_) => None,
        });
        named.collect()
    }

    /// The fewest people who can meet it; `None`: nobody can.
    pub fn fewest(&self) -> Option<usize> {
        self.ways().ok()?.iter().map(|way| way.places.len()).min()
    }

    /// Whether these approvals, in this order and each of another person, meet it. `may` says whether one of them may take a
    /// place of this kind; it must say no to the maker.
    pub fn is_met(&self, approvals: usize, may: &dyn Fn(usize, &Whom) -> bool) -> bool {
        let ways = self.ways().unwrap_or_default();
        ways.iter().any(|way| way.reached(approvals, may).contains(&way.full()))
    }

    /// Whether the last of these approvals brings it nearer.
    pub fn is_helped(&self, approvals: usize, may: &dyn Fn(usize, &Whom) -> bool) -> bool {
        let ways = self.ways().unwrap_or_default();
        ways.iter().any(|way| way.open(approvals, may).len() < way.open(approvals.saturating_sub(1), may).len())
    }

    /// Who is still needed, for people; the shortest ways first.
    pub fn missing(&self, approvals: usize, may: &dyn Fn(usize, &Whom) -> bool) -> String {
        let ways = self.ways().unwrap_or_default();
        let mut open: Vec<(usize, String)> = Vec::new();
        for way in &ways {
            let places = way.open(approvals, may);
            let glue = if way.before.is_empty() { " and " } else { ", then " };
            let runs = places.chunk_by(|a, b| a == b);
            let said: Vec<String> = runs.filter_map(|run| Some(format!("{} {}", run.len(), run.first()?))).collect();
            open.push((places.len(), said.join(glue)));
        }
        open.sort();
        open.dedup();
        let all: Vec<String> = open.into_iter().take(3).map(|(_, said)| said).collect();
        if all.is_empty() {
            "what nobody can give: its policy cannot be understood".to_owned()
        } else {
            all.join(", or ")
        }
    }

    /// The ways to meet it; an error when there are too many, or too many people in one.
    fn ways(&self) -> Result<Vec<Way<'_>>, ()> {
        let ways = match self {
            Policy::Never => Vec::new(),
            Policy::Leaf { whom, count } => vec![Way { places: vec![whom; *count], before: Vec::new() }],
            Policy::AnyOf(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    all.extend(part.ways()?);
                }
                all
            }
            Policy::AllOf(parts) | Policy::InOrder(parts) => {
                let in_order = matches!(self, Policy::InOrder(_));
                let mut all = vec![Way::default()];
                for part in parts {
                    let of_part = part.ways()?;
                    if all.len() * of_part.len() > MOST_WAYS {
                        return Err(());
                    }
                    all = all.iter().flat_map(|way| of_part.iter().map(|o| way.join(o, in_order))).collect();
                }
                all
            }
        };
        let fits = ways.len() <= MOST_WAYS && ways.iter().all(|way| (1..=MOST_PLACES).contains(&way.places.len()));
        if fits || matches!(self, Policy::Never) { Ok(ways) } else { Err(()) }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |p: &Policy| match p {
            Policy::Leaf { .. } | Policy::Never => p.to_string(),
            several => format!("({several})"),
        };
        let joined = |parts: &[Policy], glue: &str| parts.iter().map(part).collect::<Vec<_>>().join(glue);
        match self {
            Policy::AllOf(parts) => f.write_str(&joined(parts, " and ")),
            Policy::AnyOf(parts) => f.write_str(&joined(parts, " or ")),
            Policy::InOrder(parts) => f.write_str(&joined(parts, ", then ")),
            Policy::Leaf { whom, count } => write!(f, "{count} {whom}"),
            Policy::Never => f.write_str("nobody"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use proptest::{collection, sample};

    fn role(code: &str, count: usize) -> Policy {
        Policy::leaf(Whom::Role(code.to_owned()), count)
    }

    /// A person who approves: the roles that they have.
    type Person = Vec<&'static str>;

    fn may(people: &[Person]) -> impl Fn(usize, &Whom) -> bool + '_ {
        |approval, whom| matches!(whom, Whom::Role(code) if people[approval].contains(&code.as_str()))
    }

    fn met(policy: &Policy, people: &[Person]) -> bool {
        policy.is_met(people.len(), &may(people))
    }

    fn policies(in_order: bool) -> impl Strategy<Value = Policy> {
        let leaf = (sample::select(vec!["a", "b", "c"]), 1..=2usize).prop_map(|(code, count)| role(code, count));
        leaf.prop_recursive(2, 6, 3, move |inner| {
            let parts = || collection::vec(inner.clone(), 1..=2);
            let last = parts().prop_map(move |p| if in_order { Policy::InOrder(p) } else { Policy::AllOf(p) });
            prop_oneof![parts().prop_map(Policy::AllOf), parts().prop_map(Policy::AnyOf), last]
        })
        .prop_filter("small enough", |p| p.needs().read().is_ok())
    }

    fn people() -> impl Strategy<Value = Vec<Person>> {
        collection::vec(sample::subsequence(vec!["a", "b", "c"], 0..=3), 0..=6)
    }

    proptest! {
        #[test]
        fn an_approval_more_never_undoes_what_was_met(policy in policies(true), people in people(), more: sample::Index) {
            let fewer = more.index(people.len() + 1);
            prop_assert!(!met(&policy, &people[..fewer]) || met(&policy, &people));
        }

        #[test]
        fn the_order_of_approvals_matters_only_to_in_order(policy in policies(false), people in people(), seed in any::<u64>()) {
            let mut other = people.clone();
            for (i, swap) in (1..other.len()).rev().zip(1u64..) {
                other.swap(i, usize::try_from(seed.rotate_left(u32::try_from(swap * 7).unwrap()) % 97).unwrap() % (i + 1));
            }
            prop_assert_eq!(met(&policy, &people), met(&policy, &other));
        }

        #[test]
        fn nobody_who_may_not_counts(policy in policies(true), count in 0..6usize) {
            prop_assert!(!policy.is_met(count, &|_, _| false));
        }

        #[test]
        fn the_maker_who_may_take_no_place_changes_nothing(policy in policies(true), people in people(), at: sample::Index) {
            let mut with_maker = people.clone();
            with_maker.insert(at.index(people.len() + 1), Vec::new());
            prop_assert_eq!(met(&policy, &with_maker), met(&policy, &people));
        }

        #[test]
        fn a_policy_is_met_when_nobody_is_missing(policy in policies(true), people in people()) {
            let ways = policy.ways().unwrap();
            let none_open = ways.iter().any(|way| way.open(people.len(), &may(&people)).is_empty());
            prop_assert_eq!(met(&policy, &people), none_open);
            prop_assert!(!met(&policy, &people) || people.len() >= policy.fewest().unwrap());
        }

        #[test]
        fn a_policy_comes_back_from_storage_as_it_was(policy in policies(true)) {
            let text = serde_json::to_string(&policy.needs()).unwrap();
            prop_assert_eq!(Policy::from_json(&text), policy);
        }
    }

    #[test]
    fn one_person_fills_one_place() {
        let both = Policy::AllOf(vec![role("a", 1), role("b", 1)]);
        assert!(!met(&both, &[vec!["a", "b"]]));
        assert!(met(&both, &[vec!["a", "b"], vec!["a"]]) && met(&both, &[vec!["a"], vec!["a", "b"]]));
    }

    #[test]
    fn what_comes_out_of_order_does_not_help() {
        let order = Policy::InOrder(vec![role("a", 2), role("b", 1)]);
        let late: [Person; 3] = [vec!["a"], vec!["b"], vec!["a"]];
        assert!(!order.is_helped(2, &may(&late)) && !met(&order, &late));
        assert!(met(&order, &[vec!["a"], vec!["a"], vec!["b"]]));
        assert_eq!(order.missing(1, &may(&late)), "1 with the role a, then 1 with the role b");
        assert_eq!(order.to_string(), "2 with the role a, then 1 with the role b");
    }

    #[test]
    fn what_cannot_be_understood_is_met_by_nobody() {
        let wrong = [
            "",
            "{}",
            "{\"count\":1}",
            "{\"all_of\":[]}",
            "{\"permission\":\"money.print\"}",
            "{\"role\":\"a\",\"count\":0}",
            "{\"permission\":\"positions.read\"}",
            "{\"role\":\"a\",\"permission\":\"changes.approve\"}",
            "{\"role\":\"a\",\"count\":9}",
        ];
        for text in wrong {
            let policy = Policy::from_json(text);
            assert!(!policy.is_met(9, &|_, _| true), "{text}");
            assert_eq!(policy.fewest(), None);
        }
        let deep =
            (0..6).fold(role("a", 1), |p, _| Policy::AllOf(vec![Policy::AnyOf(vec![p.clone(), role("b", 1)]), p]));
        assert!(deep.needs().read().is_err());
    }
}
