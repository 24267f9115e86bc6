//! Which expected receipts a payment fits, pure.
//!
//! A payment fits when something corroborates it (the expected reference stands in a field of its own, or it comes from the
//! expected account) *and* its amount and booking day are within the bounds. Amount and day alone prove nothing: round
//! amounts are common, and a product must not be given another one's money because it waits for as much.
//!
//! What a payment names by reference goes before whom it comes from: a payer with several open invoices says which he pays.
//! References are compared whole, without blanks, `/`, `-`, `.` and case: never a part of one.

use super::state::State;
use chrono::NaiveDate;
use std::collections::HashMap;

/// The shortest reference, as compared: shorter ones are found by chance.
pub const SHORTEST_REFERENCE: usize = 4;

/// What banks write where there is no reference.
const NO_REFERENCE: [&str; 4] = ["NOTPROVIDED", "NONREF", "NOREF", "NOTPROV"];

/// A reference or account as it is compared; `None` when nothing can be told from it.
pub fn key(text: &str) -> Option<String> {
    let key = crate::chart::numbers::normalise(text);
    (key.chars().count() >= SHORTEST_REFERENCE && !NO_REFERENCE.contains(&key.as_str())).then_some(key)
}

/// An expected receipt, as far as matching needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its id.
    pub id: String,
    /// Its own key.
    pub key: String,
    /// The ledger account of the leaf that waits.
    pub account: i64,
    /// Bounds of the amount in minor units.
    pub amount: (i64, i64),
    /// Bounds of the booking day.
    pub days: (NaiveDate, NaiveDate),
    /// The reference, as compared.
    pub reference: Option<String>,
    /// The counterparty's account, as compared.
    pub counterparty: Option<String>,
    /// Where it stands.
    pub state: State,
}

/// What a payment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<'a> {
    /// Signed minor units: a credit is positive.
    pub amount: i64,
    /// Booking day.
    pub booked_on: NaiveDate,
    /// Its references: field, value and key.
    pub references: Vec<(&'static str, &'a str, String)>,
    /// The counterparty's account and its key.
    pub counterparty: Option<(&'a str, String)>,
}

impl<'a> Told<'a> {
    /// From the fields of a payment, of which those that say nothing are left out.
    pub fn new(
        (amount, booked_on): (i64, NaiveDate),
        references: &[(&'static str, Option<&'a str>)],
        counterparty: Option<&'a str>,
    ) -> Told<'a> {
        let references = references.iter().filter_map(|(field, text)| Some((*field, (*text)?, key((*text)?)?)));
        Told {
            amount,
            booked_on,
            references: references.collect(),
            counterparty: counterparty.and_then(|text| Some((text, key(text)?))),
        }
    }

    /// The field that carries a reference, and what it says.
    pub fn carries(&self, reference: &str) -> Option<(&'static str, &'a str)> {
        self.references.iter().find(|(_, _, key)| key == reference).map(|(field, text, _)| (*field, *text))
    }
}

/// An expected receipt that a payment fits, and the field that corroborates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit<'a> {
    /// Which.
    pub expected: &'a Expected,
    /// The field of the payment.
    pub field: &'static str,
    /// What it says.
    pub value: &'a str,
}

/// The expected receipts that payments of some days may meet.
#[derive(Debug, Clone, Default)]
pub struct Awaited {
    all: Vec<Expected>,
    by_own_key: HashMap<(i64, String), usize>,
    by_reference: HashMap<String, Vec<usize>>,
    by_counterparty: HashMap<String, Vec<usize>>,
}

impl Awaited {
    /// Makes them findable.
    pub fn new(all: Vec<Expected>) -> Awaited {
        let mut awaited = Awaited { all, ..Awaited::default() };
        for (place, e) in awaited.all.iter().enumerate() {
            awaited.by_own_key.insert((e.account, e.key.clone()), place);
            if let Some(key) = &e.reference {
                awaited.by_reference.entry(key.clone()).or_default().push(place);
            }
            if let Some(key) = &e.counterparty {
                awaited.by_counterparty.entry(key.clone()).or_default().push(place);
            }
        }
        awaited
    }

    /// Whether nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What a payment fits, in the order of their ids.
    pub fn fits<'a>(&'a self, told: &'a Told<'_>) -> Vec<Fit<'a>> {
        let within = |e: &Expected| {
            e.state.after(super::Event::Meet).is_some()
                && (e.amount.0..=e.amount.1).contains(&told.amount)
                && (e.days.0..=e.days.1).contains(&told.booked_on)
        };
        let at = |places: Option<&Vec<usize>>| -> Vec<usize> { places.cloned().unwrap_or_default() };
        let mut named: Vec<(usize, &'static str, &str)> = Vec::new();
        for (field, value, key) in &told.references {
            named.extend(at(self.by_reference.get(key)).into_iter().map(|place| (place, *field, *value)));
        }
        // Who names one that it does not fit pays something else than what is expected from him: a person looks into it.
        if named.is_empty()
            && let Some((value, key)) = &told.counterparty
        {
            let from = at(self.by_counterparty.get(key)).into_iter();
            named.extend(from.map(|place| (place, "counterparty_account", *value)));
        }
        named.sort_unstable();
        named.dedup_by_key(|(place, ..)| *place);
        let fit = |(place, field, value)| Some(Fit { expected: self.all.get(place)?, field, value });
        named.into_iter().filter_map(fit).filter(|f| within(f.expected)).collect()
    }

    /// What a payment names by reference and can still meet, of whatever amount and day.
    pub fn named<'a>(&'a self, told: &'a Told<'_>) -> impl Iterator<Item = &'a Expected> {
        let places = told.references.iter().filter_map(|(_, _, key)| self.by_reference.get(key)).flatten();
        places.filter_map(|place| self.all.get(*place)).filter(|e| e.state.after(super::Event::Meet).is_some())
    }

    /// A payment has met the one of this account with this key: no other one can.
    pub fn take(&mut self, account: i64, key: &str) {
        if let Some(taken) = self.by_own_key.get(&(account, key.to_owned())).and_then(|place| self.all.get_mut(*place))
        {
            taken.state = State::Met;
        }
    }

    /// The id of the one of this account with this key.
    pub fn id(&self, account: i64, key: &str) -> Option<&str> {
        self.by_own_key.get(&(account, key.to_owned())).and_then(|place| self.all.get(*place)).map(|e| e.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, n).unwrap()
    }

    fn expected(id: &str, amount: (i64, i64), reference: Option<&str>, counterparty: Option<&str>) -> Expected {
        Expected {
            id: id.to_owned(),
            key: id.to_uppercase(),
            account: 7,
            amount,
            days: (day(2), day(4)),
            reference: reference.and_then(key),
            counterparty: counterparty.and_then(key),
            state: State::Open,
        }
    }

    fn told<'a>(amount: i64, on: u32, reference: &'a str, from: &'a str) -> Told<'a> {
        Told::new((amount, day(on)), &[("end_to_end_id", Some(reference))], Some(from))
    }

    fn found(awaited: &Awaited, told: &Told<'_>) -> Vec<String> {
        awaited.fits(told).iter().map(|f| format!("{} by {}", f.expected.id, f.field)).collect()
    }

    #[test]
    fn a_reference_is_compared_whole_and_without_separators() {
        let awaited = Awaited::new(vec![expected("a", (100, 100), Some("Inv-2026/0815"), None)]);
        assert_eq!(found(&awaited, &told(100, 2, "INV 2026 0815", "")), ["a by end_to_end_id"]);
        for other in ["INV 2026 08", "INV 2026 08151", "NOTPROVIDED", ""] {
            assert_eq!(found(&awaited, &told(100, 2, other, "")), [""; 0], "{other}");
        }
    }

    #[test]
    fn amount_and_day_alone_fit_nothing_and_both_bounds_hold() {
        let awaited = Awaited::new(vec![expected("a", (90, 110), Some("INV-1"), Some("DE89 3704"))]);
        assert_eq!(found(&awaited, &told(100, 3, "OTHER", "OTHER")), [""; 0]);
        for (amount, on, fits) in
            [(90, 2, true), (110, 4, true), (89, 3, false), (111, 3, false), (100, 1, false), (100, 5, false)]
        {
            assert_eq!(!found(&awaited, &told(amount, on, "INV1", "")).is_empty(), fits, "{amount} on {on}");
            assert_eq!(!found(&awaited, &told(amount, on, "", "de893704")).is_empty(), fits, "{amount} on {on}");
        }
    }

    #[test]
    fn what_is_named_goes_before_whom_it_comes_from() {
        let both = |reference| expected(reference, (100, 100), Some(reference), Some("DE89"));
        let awaited = Awaited::new(vec![both("INV-1"), both("INV-2")]);
        assert_eq!(found(&awaited, &told(100, 3, "INV-2", "DE89")), ["INV-2 by end_to_end_id"]);
        assert_eq!(found(&awaited, &told(100, 3, "", "DE89")).len(), 2);
        // It names one that it does not fit: it is not given to the other either.
        assert_eq!(found(&awaited, &told(99, 3, "INV-2", "DE89")), [""; 0]);
    }

    #[test]
    fn one_is_met_once_also_within_a_slice() {
        let mut awaited = Awaited::new(vec![expected("a", (100, 100), Some("INV-1"), None)]);
        awaited.take(8, "A");
        assert_eq!(
            (awaited.id(8, "A"), found(&awaited, &told(100, 3, "INV-1", "")).len()),
            (None, 1),
            "another account"
        );
        awaited.take(7, "A");
        assert_eq!(awaited.id(7, "A"), Some("a"));
        assert_eq!(found(&awaited, &told(100, 3, "INV-1", "")), [""; 0]);
    }

    proptest::proptest! {
        #[test]
        fn what_fits_does_not_depend_on_the_order(amounts: Vec<(u8, u8)>, amount: u8) {
            let make = |(n, (a, b)): (usize, &(u8, u8))| {
                let bounds = (i64::from(*a.min(b)), i64::from(*a.max(b)));
                expected(&format!("{n}"), bounds, Some("INV-1"), None)
            };
            let mut all: Vec<Expected> = amounts.iter().enumerate().map(make).collect();
            let told = told(i64::from(amount), 3, "INV-1", "");
            let mut forth = found(&Awaited::new(all.clone()), &told);
            all.reverse();
            let mut back = found(&Awaited::new(all), &told);
            forth.sort();
            back.sort();
            proptest::prop_assert_eq!(forth, back);
        }
    }
}
