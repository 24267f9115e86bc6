//! Suggestions for what waits, pure: which leaves people have chosen for lines like it, and why each is shown. They place
//! nothing; a person does.
//!
//! Lines are alike when the counterparty's account, its name or the reference are the same once case, blanks and punctuation
//! are ignored; of a reference also its figures, which count on from line to line. A leaf stands at its strongest reason: an
//! account before a rule that only suggests, that before a reference, that before a name; among equals first what was chosen
//! more consistently, then more often, then more recently.

use super::place::Payment;
use super::rules::normalise;
use chrono::NaiveDate;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// What makes two lines alike, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    /// The counterparty's account.
    Account,
    /// A rule that only suggests.
    Rule,
    /// The shape of the reference.
    Reference,
    /// The counterparty's name.
    Name,
}

impl By {
    /// As printed: `account`, `rule`, `reference`, `name`.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Account => "account",
            By::Rule => "rule",
            By::Reference => "reference",
            By::Name => "name",
        }
    }
}

/// What a payment can be recognised by: what is compared, and what is shown of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(Vec<(By, String, String)>);

impl Keys {
    /// Of a payment.
    pub fn of(payment: &Payment<'_>) -> Keys {
        let reference = payment.end_to_end_id().or(payment.creditor_reference());
        let texts = [
            (By::Account, payment.counterparty_account(), normalise as fn(&str) -> String),
            (By::Reference, reference, shape),
            (By::Name, payment.counterparty_name(), normalise),
        ];
        let key = |(by, text, of): (By, Option<&str>, fn(&str) -> String)| {
            let text = text?;
            Some((by, of(text), text.to_owned())).filter(|(_, key, _)| !key.is_empty())
        };
        Keys(texts.into_iter().filter_map(key).collect())
    }
}

/// A reference without its figures: `TT-2026-0077` has the shape of `TT-2026-0078`. One of figures alone has none.
fn shape(reference: &str) -> String {
    let mut shape = String::new();
    for c in normalise(reference).chars() {
        let c = if c.is_numeric() { '#' } else { c };
        if c != '#' || !shape.ends_with('#') {
            shape.push(c);
        }
    }
    if shape.chars().filter(|c| *c != '#').count() < 2 { String::new() } else { shape }
}

/// What people have decided, counted by what lines are recognised by.
#[derive(Debug, Clone, Default)]
pub struct Memory(HashMap<(By, String), BTreeMap<String, (u64, NaiveDate)>>);

impl Memory {
    /// A line like this went to a leaf.
    pub fn add(&mut self, keys: &Keys, leaf: &str, on: NaiveDate) {
        for (by, key, _) in &keys.0 {
            let leaves = self.0.entry((*by, key.clone())).or_default();
            let seen = leaves.entry(leaf.to_owned()).or_insert((0, on));
            *seen = (seen.0 + 1, seen.1.max(on));
        }
    }
}

/// Why a leaf is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What is alike.
    pub by: By,
    /// Lines like this that went to the leaf ...
    pub count: u64,
    /// ... of all lines like this.
    pub of: u64,
    /// The newest of them.
    pub last: Option<NaiveDate>,
    /// For people.
    pub sentence: String,
}

/// A leaf, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The code of the leaf.
    pub leaf: String,
    /// The strongest first; there is at least one.
    pub reasons: Vec<Reason>,
}

/// Ranks the leaves for a payment. `ruled` are leaves that a rule which only suggests names, with its sentence.
pub fn rank(memory: &Memory, keys: &Keys, ruled: &[(String, String)]) -> Vec<Suggestion> {
    let mut leaves: BTreeMap<&str, Vec<Reason>> = BTreeMap::new();
    for (leaf, sentence) in ruled {
        let sentence = sentence.clone();
        leaves.entry(leaf).or_default().push(Reason { by: By::Rule, count: 1, of: 1, last: None, sentence });
    }
    for (by, key, shown) in &keys.0 {
        let Some(seen) = memory.0.get(&(*by, key.clone())) else { continue };
        let of: u64 = seen.values().map(|(count, _)| count).sum();
        for (leaf, (count, last)) in seen {
            let alike = match by {
                By::Account => format!("from or to account {shown}"),
                By::Reference => format!("with a reference like {shown}"),
                By::Name | By::Rule => format!("from or to \"{shown}\""),
            };
            let lines = if of == 1 { "line" } else { "lines" };
            let sentence = format!("people placed {count} of {of} {lines} {alike} there, last one of {last}");
            leaves.entry(leaf).or_default().push(Reason { by: *by, count: *count, of, last: Some(*last), sentence });
        }
    }
    let all = leaves.into_iter().map(|(leaf, mut reasons)| {
        reasons.sort_by_key(strength);
        Suggestion { leaf: leaf.to_owned(), reasons }
    });
    let mut ranked: Vec<Suggestion> = all.collect();
    // Equal ones stay in the order of their codes.
    ranked.sort_by_key(|s| s.reasons.first().map(strength));
    ranked
}

/// What sorts first is stronger. A share is compared in ten thousandths.
fn strength(reason: &Reason) -> (By, Reverse<u64>, Reverse<u64>, Reverse<Option<NaiveDate>>) {
    let share = reason.count.saturating_mul(10_000).checked_div(reason.of).unwrap_or(0);
    (reason.by, Reverse(share), Reverse(reason.count), Reverse(reason.last))
}

#[cfg(test)]
mod tests {
    use super::{By, Keys, Memory, rank, shape};
    use chrono::NaiveDate;
    use proptest::prelude::{Just, Strategy, prop, prop_assert, prop_assert_eq, proptest};

    fn day(n: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, n).unwrap()
    }

    fn keys(account: &str, reference: &str, name: &str) -> Keys {
        let all = [(By::Account, account), (By::Reference, reference), (By::Name, name)];
        Keys(all.into_iter().filter(|(_, k)| !k.is_empty()).map(|(by, k)| (by, k.to_owned(), k.to_owned())).collect())
    }

    #[test]
    fn figures_of_a_reference_do_not_count() {
        assert_eq!(shape("TT-2026-0077"), "tt#");
        assert_eq!(shape("tt 1"), shape("TT/99999"));
        assert_eq!(shape("A1B2"), "a#b#");
        assert_eq!(shape("4711"), "");
        assert_eq!(shape("R-1"), "");
    }

    #[test]
    fn an_account_comes_before_a_rule_and_that_before_a_reference_and_a_name() {
        let mut memory = Memory::default();
        for n in 1..=12 {
            memory.add(&keys("de1", "", "shop"), "a", day(n));
        }
        memory.add(&keys("de2", "", "shop"), "b", day(13));
        memory.add(&keys("", "tt#", ""), "c", day(14));
        let ruled = [("d".to_owned(), "rule says".to_owned())];
        let found = rank(&memory, &keys("de1", "tt#", "shop"), &ruled);
        let order: Vec<&str> = found.iter().map(|s| s.leaf.as_str()).collect();
        assert_eq!(order, ["a", "d", "c", "b"]);
        assert_eq!(
            found[0].reasons[0].sentence,
            "people placed 12 of 12 lines from or to account de1 there, last one of 2026-03-12"
        );
        assert_eq!((found[3].reasons[0].count, found[3].reasons[0].of), (1, 13));
        assert_eq!(rank(&memory, &keys("de9", "", "nobody"), &[]), []);
    }

    type Past = Vec<(Keys, String, NaiveDate)>;

    fn some_past() -> impl Strategy<Value = (Past, Past)> {
        let one = ("[ab]{0,1}", "[xy]{0,1}", "[mn]{0,1}", "[pqr]", 1u32..28);
        let one =
            one.prop_map(|(account, reference, name, leaf, on)| (keys(&account, &reference, &name), leaf, day(on)));
        prop::collection::vec(one, 0..30).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
    }

    proptest! {
        #[test]
        fn the_ranking_follows_from_what_was_decided_and_not_from_its_order((one, other) in some_past(), account in "[abc]", name in "[mno]") {
            let memory = |past: &[(Keys, String, NaiveDate)]| {
                let mut memory = Memory::default();
                for (keys, leaf, on) in past {
                    memory.add(keys, leaf, *on);
                }
                memory
            };
            let asked = keys(&account, "x", &name);
            let found = rank(&memory(&one), &asked, &[]);
            prop_assert_eq!(&found, &rank(&memory(&other), &asked, &[]));
            for (by, key, _) in &asked.0 {
                // Every decision on a line like this counts once, and no other does.
                let alike: Vec<&(Keys, String, NaiveDate)> =
                    one.iter().filter(|(k, ..)| k.0.iter().any(|(b, text, _)| b == by && text == key)).collect();
                let told: u64 = found.iter().flat_map(|s| &s.reasons).filter(|r| r.by == *by).map(|r| r.count).sum();
                prop_assert_eq!(usize::try_from(told).unwrap(), alike.len());
                for suggestion in &found {
                    if let Some(reason) = suggestion.reasons.iter().find(|r| r.by == *by) {
                        let here = alike.iter().filter(|(_, leaf, _)| *leaf == suggestion.leaf);
                        prop_assert_eq!(reason.last, here.map(|(.., on)| *on).max());
                    }
                }
            }
            prop_assert!(found.iter().all(|s| !s.reasons.is_empty()));
            // No leaf stands before one with a stronger reason.
            let strongest: Vec<By> = found.iter().map(|s| s.reasons[0].by).collect();
            prop_assert!(strongest.is_sorted());
        }
    }
}
