//! Which lines are the same line. Pure.
//!
//! A line's identity is its content and its place among equals, never a bank's id alone: banks repeat and renumber those.
//! That place is counted, not stored. A statement lists all bookings of its days, so two statements about one day tell of the
//! same lines: per day and amount the *larger count* is the truth (equal lines keep their count, a file read twice adds
//! nothing). Statements that continue each other within a day (pages, a morning and an evening statement) tell of different
//! lines: their counts add up first.

use crate::banking::{Detail, Line};
use crate::db::seal::{Encoding, sha256};
use chrono::NaiveDate;
use std::collections::{HashMap, HashSet};

/// Digest of what a line says.
pub type Identity = [u8; 16];

/// The identity of a line: days, amount, direction, parties, references, text; not the bank's references, which some banks
/// make anew with each file, and not how anything is spaced or punctuated.
pub fn identity(line: &Line, booked_on: NaiveDate, valued_on: NaiveDate) -> Identity {
    let mut e = Encoding::new("line.1");
    e.text(&booked_on.to_string()).text(&valued_on.to_string()).int(line.signed().0).int(i64::from(line.reversal));
    let first = line.details.first();
    let mut text = String::new();
    let mut part = |of: fn(&Detail) -> Option<&str>| {
        text.clear();
        let there = first.and_then(of).map(|part| fold(part, &mut text));
        e.optional(there.map(|()| text.as_str()));
    };
    part(|d| d.end_to_end_id.as_deref());
    part(|d| d.counterparty_account.as_deref());
    part(|d| d.counterparty_name.as_deref());
    part(|d| d.own_account.as_deref());
    part(|d| d.creditor_reference.as_deref());
    part(|d| d.remittance.as_deref());
    let digest = sha256(e.as_bytes());
    let mut identity = [0; 16];
    identity.copy_from_slice(digest.split_at(16).0);
    identity
}

fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold(text, &mut folded);
    folded
}

/// Letters and digits only, in capitals.
fn fold(text: &str, folded: &mut String) {
    if text.is_ascii() {
        // Nearly all text of banks: without a look at the tables of Unicode for each letter.
        let kept = text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| char::from(b.to_ascii_uppercase()));
        folded.extend(kept);
    } else {
        folded.extend(text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase));
    }
}

/// By what a line may be found although its day or its text is told otherwise: digests of references, where there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keys {
    /// Of the end-to-end id, which stays with a payment from its order to its return.
    pub end_to_end: Option<u64>,
    /// Of the bank's reference of the booking.
    pub bank_ref: Option<u64>,
    /// Of the counterparty's account.
    pub account: Option<u64>,
}

impl Keys {
    /// The keys of texts, whatever their case and punctuation.
    pub fn of(end_to_end_id: Option<&str>, bank_ref: Option<&str>, account: Option<&str>) -> Keys {
        let digest = |text: &str| {
            let folded = folded(text);
            let mut first = [0; 8];
            first.copy_from_slice(sha256(folded.as_bytes()).split_at(8).0);
            (!folded.is_empty()).then(|| u64::from_be_bytes(first))
        };
        let key = |text: Option<&str>| text.and_then(digest);
        Keys { end_to_end: key(end_to_end_id), bank_ref: key(bank_ref), account: key(account) }
    }

    /// Whether both name a payment, and not the same.
    fn conflicts(&self, other: &Keys) -> bool {
        matches!((self.end_to_end, other.end_to_end), (Some(a), Some(b)) if a != b)
    }
}

/// A line of the statement at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming {
    /// Its place in the statement.
    pub place: u64,
    /// Booking day.
    pub day: NaiveDate,
    /// Signed.
    pub amount: i64,
    /// What it says.
    pub identity: Identity,
    /// See [`Keys`].
    pub keys: Keys,
}

/// A line that is stored and that no statement of the present chain has told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// Booking day.
    pub day: NaiveDate,
    /// Signed.
    pub amount: i64,
    /// What it said first.
    pub identity: Identity,
    /// See [`Keys`].
    pub keys: Keys,
    /// It may be found on another day than its own: one of the two messages told of it before the day was closed.
    pub loose: bool,
    /// No statement has it yet, so a statement may still change its amount.
    pub unconfirmed: bool,
    /// Only what says the same is this line: it was taken back, or the statement that told of it is to be replaced.
    pub exact: bool,
    /// It was taken back, and no statement ever had it.
    pub only_told: bool,
}

/// A stored line that an incoming one tells of again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// As it is.
    Same(String),
    /// With another amount, which is the right one.
    Changed(String),
}

impl Known {
    /// The stored line.
    pub fn id(&self) -> &str {
        match self {
            Known::Same(id) | Known::Changed(id) => id,
        }
    }
}

/// How far apart two messages may date one booking.
pub const NEAR: chrono::TimeDelta = chrono::TimeDelta::days(5);

/// Pairs incoming lines with stored ones, the best evidence first, each stored line once:
///
/// 1. what says the same;
/// 2. the same reference and amount on days near each other (only what one message told early);
/// 3. the same day and amount, since a bank may word a booking differently in another file, but not when an early message
///    names another payment;
/// 4. the same counterparty's account and amount on days near each other (only what was told early);
/// 5. the same payment with another amount, when only one can be meant (only what no statement has yet).
///
/// What stays unpaired is new. Gives the stored line by place.
pub fn pair<'a>(incoming: &[Incoming], stored: &'a [Stored]) -> HashMap<u64, Known> {
    let mut pairs = Pairs { found: HashMap::new(), taken: HashSet::new() };
    let near = |a: &Incoming, b: &Stored| (a.day - b.day).abs() <= NEAR && !a.keys.conflicts(&b.keys);
    pairs.stage(incoming, stored, |l| Some(l.identity), |s| Some(s.identity), |_, _| true);
    let by_key = |pairs: &mut Pairs<'a>, key: fn(&Keys) -> Option<u64>| {
        let early = |s: &Stored| key(&s.keys).filter(|_| s.loose).map(|k| (s.amount, k));
        pairs.stage(incoming, stored, |l| key(&l.keys).map(|k| (l.amount, k)), early, near);
    };
    by_key(&mut pairs, |k| k.end_to_end);
    by_key(&mut pairs, |k| k.bank_ref);
    let other_payment = |a: &Incoming, b: &Stored| b.loose && a.keys.conflicts(&b.keys);
    let day = |s: &Stored| (!s.exact).then_some((s.day, s.amount));
    pairs.stage(incoming, stored, |l| Some((l.day, l.amount)), day, |a, b| !other_payment(a, b));
    by_key(&mut pairs, |k| k.account);
    let same = |key: fn(&Keys) -> Option<u64>, a: &Keys, b: &Keys| key(a).is_some() && key(a) == key(b);
    pairs.changed(incoming, stored, |a, b| {
        let named = same(|k| k.end_to_end, a, b) || (same(|k| k.bank_ref, a, b) && same(|k| k.account, a, b));
        named && !a.conflicts(b)
    });
    pairs.found
}

struct Pairs<'a> {
    found: HashMap<u64, Known>,
    taken: HashSet<&'a str>,
}

impl<'a> Pairs<'a> {
    /// Pairs what is left by a key that both have, where `fits` too; of several stored lines the oldest.
    fn stage<K: std::hash::Hash + Eq>(
        &mut self,
        incoming: &[Incoming],
        stored: &'a [Stored],
        of: impl Fn(&Incoming) -> Option<K>,
        by: impl Fn(&Stored) -> Option<K>,
        fits: impl Fn(&Incoming, &Stored) -> bool,
    ) {
        let mut left: HashMap<K, Vec<&'a Stored>> = HashMap::new();
        // From the end, so that the oldest of equal lines is taken first.
        for line in stored.iter().rev().filter(|s| !self.taken.contains(s.id.as_str())) {
            if let Some(key) = by(line) {
                left.entry(key).or_default().push(line);
            }
        }
        for line in incoming {
            if self.found.contains_key(&line.place) {
                continue;
            }
            let Some(some) = of(line).and_then(|key| left.get_mut(&key)) else { continue };
            if let Some(place) = some.iter().rposition(|s| fits(line, s)) {
                let same = some.remove(place);
                self.taken.insert(&same.id);
                self.found.insert(line.place, Known::Same(same.id.clone()));
            }
        }
    }

    /// Pairs what no statement has yet with the one line that names the same payment with another amount.
    fn changed(&mut self, incoming: &[Incoming], stored: &'a [Stored], names: impl Fn(&Keys, &Keys) -> bool) {
        let open: Vec<&Stored> =
            stored.iter().filter(|s| s.unconfirmed && !self.taken.contains(s.id.as_str())).collect();
        if open.is_empty() {
            return;
        }
        let new: Vec<&Incoming> = incoming.iter().filter(|l| !self.found.contains_key(&l.place)).collect();
        let meant = |l: &Incoming, s: &Stored| {
            names(&l.keys, &s.keys) && l.amount.signum() == s.amount.signum() && (l.day - s.day).abs() <= NEAR
        };
        for line in open {
            let mut fitting = new.iter().filter(|l| meant(l, line));
            if let (Some(only), None) = (fitting.next(), fitting.next())
                && stored.iter().filter(|s| s.unconfirmed && meant(only, s)).count() == 1
            {
                self.found.insert(only.place, Known::Changed(line.id.clone()));
            }
        }
    }
}

/// What tells whether one statement continues another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// The statement's row.
    pub id: String,
    /// Its format without the version: a camt never continues an MT940, it tells of the same day again.
    pub format: String,
    /// The bank's id of it.
    pub statement_id: Option<String>,
    /// The bank's number of it.
    pub number: Option<i64>,
    /// Page.
    pub page: Option<i64>,
    /// Opening balance, and whether it is carried between pages.
    pub opening: Option<(i64, bool)>,
    /// Closing balance, likewise.
    pub closing: Option<(i64, bool)>,
    /// The day of its closing balance.
    pub closing_on: Option<NaiveDate>,
    /// First and last booking day of its lines.
    pub days: Option<(NaiveDate, NaiveDate)>,
}

impl Link {
    /// The day that it closes on, when all its lines are of that day.
    fn one_day(&self) -> Option<NaiveDate> {
        self.closing_on.filter(|day| self.days == Some((*day, *day)))
    }

    /// Whether it closes elsewhere than it opens.
    fn moved(&self) -> bool {
        amount(self.opening) != amount(self.closing)
    }
}

/// Whether `next` begins where `first` ended: equal balances, numbers or pages that follow each other, and days that do.
/// Balances and numbers alone would also fit two overlapping files around days that net to zero.
pub fn continues(first: &Link, next: &Link) -> bool {
    let (Some((closing, closing_carried)), Some((opening, opening_carried))) = (first.closing, next.opening) else {
        return false;
    };
    if closing != opening || first.format != next.format {
        return false;
    }
    let follows = |a: Option<i64>, b: Option<i64>| matches!((a, b), (Some(a), Some(b)) if a.checked_add(1) == Some(b));
    let same_statement = first.number == next.number && first.statement_id == next.statement_id;
    // Pages list the lines of one statement, in whatever order of days.
    if closing_carried || opening_carried {
        return closing_carried && opening_carried && (follows(first.page, next.page) || same_statement);
    }
    if same_statement && follows(first.page, next.page) {
        return true;
    }
    // Banks that number nothing send several statements a day under one number, or under none and an id of its own each; a
    // day that moved tells them apart.
    let same_day = first.closing_on.is_some() && first.closing_on == next.closing_on && first.opening != first.closing;
    let unnumbered = first.number.is_none() && next.number.is_none();
    let parts = unnumbered && first.one_day().is_some() && first.one_day() == next.one_day() && next.moved();
    comes_after(first, next) && (follows(first.number, next.number) || (same_day && (same_statement || parts)))
}

/// Whether the days of `next` begin where those of `first` end, so that none of its lines can be told by both. One day may be
/// shared, as the balances say that it was cut in two; but where a statement did not move, equal balances say nothing, and
/// two windows that both tell of the whole day look the same. Then only statements of that very day are its parts.
fn comes_after(first: &Link, next: &Link) -> bool {
    let (Some((_, last)), Some((begins, _))) = (first.days, next.days) else { return true };
    let one_day = |l: &Link| l.days == Some((last, last));
    if one_day(first) && one_day(next) && first.closing_on == next.closing_on {
        return true;
    }
    // A statement tells of all days up to the one that it closes on.
    let told = first.closing_on.map_or(last, |closed| closed.max(last));
    begins > told || (begins == told && first.moved() && next.moved())
}

fn amount(balance: Option<(i64, bool)>) -> Option<i64> {
    balance.map(|(amount, _)| amount)
}

/// Whether two statements are different parts of one day although what stands between them has not come: pages of one number,
/// or statements of two numbers, or of none, that neither open nor close alike (one that tells of the whole day opens or closes like one
/// of its parts). Without this, equal lines of two parts that come out of order would be taken for one line told twice.
fn parts_of_one_day(a: &Link, b: &Link) -> bool {
    let differ = |a: Option<i64>, b: Option<i64>| a.is_some() && b.is_some() && a != b;
    let unnumbered = a.number.is_none() && b.number.is_none() && a.page == b.page;
    let other_place = if a.number.is_some() && a.number == b.number {
        differ(a.page, b.page)
    } else {
        (unnumbered || differ(a.number, b.number))
            && differ(amount(a.opening), amount(b.opening))
            && differ(amount(a.closing), amount(b.closing))
    };
    a.format == b.format && a.one_day().is_some() && a.one_day() == b.one_day() && other_place
}

/// Whether two statements stand in the same place: a bank that sends one again under a new id tells of the same lines, though
/// both fit the statement before and the one after.
fn retells(a: &Link, b: &Link) -> bool {
    let place = |l: &Link| (l.number, l.page, l.opening, l.closing, l.closing_on);
    a.opening.is_some() && a.closing.is_some() && place(a) == place(b)
}

/// The statements that tell of other lines than `of` although they are of its days: those that it continues or that continue
/// it, near or far, and other parts of its day; `of` itself and what stands in the place of one of them not included.
pub fn chain<'a>(of: &Link, others: &'a [Link]) -> Vec<&'a str> {
    let mut found = reached(of, others, |at, other| continues(other, at));
    found.extend(reached(of, others, continues));
    // Not followed further: a part's neighbour may tell of the same lines as `of` does.
    let is_new = |o: &&Link| o.id != of.id && !found.iter().any(|f| f.id == o.id);
    let parts = others.iter().filter(is_new).filter(|o| parts_of_one_day(of, o) && !holds(of, o, others));
    let parts: Vec<&Link> = parts.filter(|o| !holds(o, of, others)).collect();
    found.into_iter().chain(parts).map(|l| l.id.as_str()).collect()
}

/// What is linked to `of`, near or far, in one direction only: two statements that both end where a third begins may tell of
/// the same lines.
fn reached<'a>(of: &Link, others: &'a [Link], linked: impl Fn(&Link, &Link) -> bool) -> Vec<&'a Link> {
    let mut found: Vec<&Link> = Vec::new();
    let mut edge: Vec<&Link> = vec![of];
    while let Some(at) = edge.pop() {
        for other in others {
            let is_new = other.id != of.id && !found.iter().any(|f| f.id == other.id);
            if is_new && linked(at, other) && !retells(of, other) && !found.iter().any(|f| retells(f, other)) {
                found.push(other);
                edge.push(other);
            }
        }
    }
    found
}

/// Whether `part` is linked, of its day, to one that opens or closes as `whole` does, so that `whole` tells of all of them.
fn holds(whole: &Link, part: &Link, others: &[Link]) -> bool {
    let of_day = |l: &&Link| l.id != whole.id && l.one_day() == whole.one_day();
    let before = reached(part, others, |at, other| continues(other, at));
    let after = reached(part, others, continues);
    before.into_iter().filter(of_day).any(|l| amount(l.opening) == amount(whole.opening))
        || after.into_iter().filter(of_day).any(|l| amount(l.closing) == amount(whole.closing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert_eq, proptest};
    use std::collections::BTreeMap;

    fn day(d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, d).unwrap()
    }

    /// As a real identity, it tells amounts apart.
    fn said(amount: i64, text: u8) -> Identity {
        let mut identity = [text; 16];
        identity[0] = amount.to_be_bytes()[7];
        identity
    }

    fn incoming(place: u64, amount: i64, text: u8) -> Incoming {
        Incoming { place, day: day(2), amount, identity: said(amount, text), keys: Keys::default() }
    }

    fn stored(id: &str, amount: i64, text: u8) -> Stored {
        let (keys, identity) = (Keys::default(), said(amount, text));
        Stored {
            id: id.to_owned(),
            day: day(2),
            amount,
            identity,
            keys,
            loose: false,
            unconfirmed: false,
            exact: false,
            only_told: false,
        }
    }

    fn same(pairs: &[(u64, &str)]) -> HashMap<u64, Known> {
        pairs.iter().map(|(place, id)| (*place, Known::Same((*id).to_owned()))).collect()
    }

    #[test]
    fn the_new_one_of_two_equal_amounts_is_the_one_that_says_something_else() {
        // A is stored; the complete day lists B first. B is new, A is A.
        let pairs = pair(&[incoming(0, 100, b'B'), incoming(1, 100, b'A')], &[stored("a", 100, b'A')]);
        assert_eq!(pairs, same(&[(1, "a")]));
    }

    #[test]
    fn a_line_that_is_worded_differently_is_still_that_line() {
        let pairs =
            pair(&[incoming(0, 100, b'x'), incoming(1, -5, b'y')], &[stored("a", 100, b'A'), stored("b", -6, b'B')]);
        assert_eq!(pairs, same(&[(0, "a")]));
    }

    #[test]
    fn what_was_told_early_is_found_by_its_references() {
        let keyed = |place, amount, d, e2e: &str| Incoming {
            day: day(d),
            keys: Keys::of(Some(e2e), None, None),
            ..incoming(place, amount, b'x')
        };
        let early = |id: &str, amount, d, e2e: &str| Stored {
            day: day(d),
            keys: Keys::of(Some(e2e), None, None),
            loose: true,
            unconfirmed: true,
            ..stored(id, amount, b'A')
        };
        // Booked a day later, beside another payment of that amount.
        let both = [keyed(0, 100, 2, "B"), keyed(1, 100, 3, "A")];
        assert_eq!(pair(&both, &[early("a", 100, 2, "A")]), same(&[(1, "a")]));
        // Less a fee; but not when two could be meant, and not another payment.
        let changed = HashMap::from([(0, Known::Changed("a".to_owned()))]);
        assert_eq!(pair(&[keyed(0, 99, 3, "A")], &[early("a", 100, 2, "A")]), changed);
        assert_eq!(pair(&[keyed(0, 99, 3, "A"), keyed(1, 98, 3, "A")], &[early("a", 100, 2, "A")]), same(&[]));
        assert_eq!(pair(&[keyed(0, 99, 3, "B")], &[early("a", 100, 2, "A")]), same(&[]));
        // What a statement has told is not changed by another, and is not looked for on other days.
        let closed = Stored { loose: false, unconfirmed: false, ..early("a", 100, 2, "A") };
        assert_eq!(pair(&[keyed(0, 99, 2, "A"), keyed(1, 100, 3, "A")], &[closed]), same(&[]));
    }

    #[test]
    fn statements_continue_each_other_by_number_or_page_and_balance() {
        let link = |id: &str, number, page, opening, closing| Link {
            id: id.to_owned(),
            number,
            page,
            opening,
            closing,
            ..Link::default()
        };
        let morning = link("1", Some(7), None, Some((0, false)), Some((100, false)));
        let evening = link("2", Some(8), None, Some((100, false)), Some((50, false)));
        let night = link("3", Some(9), None, Some((50, false)), Some((50, false)));
        let other = link("4", None, None, Some((100, false)), Some((60, false)));
        assert!(continues(&morning, &evening) && !continues(&evening, &morning) && !continues(&morning, &other));
        assert_eq!(chain(&morning, &[other, night, evening.clone()]), ["2", "3"]);
        let page1 = link("1", Some(7), Some(1), Some((0, false)), Some((100, true)));
        let page2 = link("2", Some(7), Some(2), Some((100, true)), Some((50, false)));
        assert!(continues(&page1, &page2) && !continues(&page2, &page1) && !continues(&page1, &evening));
        // The same page in another format, or sent again under another id, is not a third page.
        let camt1 = Link { id: "5".to_owned(), format: "camt.053".to_owned(), ..page1.clone() };
        assert!(!continues(&camt1, &page2) && chain(&camt1, &[page1.clone(), page2.clone()]).is_empty());
        let again = Link { id: "6".to_owned(), statement_id: Some("new".to_owned()), ..page1.clone() };
        assert_eq!(chain(&again, &[page1.clone(), page2]), ["2"]);
        // Page 3 comes before page 2, the evening before noon.
        let on = |l: Link| Link { closing_on: Some(day(2)), days: Some((day(2), day(2))), ..l };
        let page3 = on(link("7", Some(7), Some(3), Some((60, true)), Some((70, false))));
        assert_eq!(chain(&page3, &[on(page1)]), ["1"]);
        let late = on(link("8", Some(9), None, Some((60, false)), Some((70, false))));
        let whole = on(link("9", Some(10), None, Some((0, false)), Some((70, false))));
        assert_eq!(chain(&late, &[on(morning), whole]), ["1"]);
    }

    /// An end-of-day statement in camt: its lines' days, its closing day, its balances.
    fn told(id: &str, number: Option<i64>, days: (u32, u32), closing_on: u32, balances: (i64, i64)) -> Link {
        Link {
            id: id.to_owned(),
            statement_id: Some(id.to_owned()),
            number,
            opening: Some((balances.0, false)),
            closing: Some((balances.1, false)),
            closing_on: Some(day(closing_on)),
            days: Some((day(days.0), day(days.1))),
            ..Link::default()
        }
    }

    #[test]
    fn windows_that_overlap_do_not_continue_each_other() {
        let next = |days, closing_on, balances| told("2", Some(2), days, closing_on, balances);
        let week = told("1", Some(1), (2, 8), 8, (0, 0));
        assert!(!continues(&week, &next((3, 9), 9, (0, 0))) && continues(&week, &next((9, 9), 15, (0, 0))));
        // They share one day, which nets to zero ...
        assert!(!continues(&week, &next((8, 15), 15, (0, 0))) && !continues(&week, &next((8, 15), 15, (0, 7))));
        // ... or have lines on one day only, within both.
        assert!(!continues(&told("1", Some(1), (5, 5), 8, (0, 0)), &next((5, 5), 9, (0, 0))));
        assert!(!continues(&told("1", Some(1), (2, 5), 8, (0, 7)), &next((5, 9), 9, (7, 9))));
        // A day that was cut in two.
        assert!(continues(&told("1", Some(1), (2, 8), 8, (0, 7)), &next((8, 15), 15, (7, 9))));
        assert!(continues(&told("1", Some(1), (8, 8), 8, (0, 0)), &next((8, 8), 8, (0, 0))));
    }

    #[test]
    fn statements_of_a_day_without_numbers_continue_each_other() {
        let of = |id: &str, balances| told(id, None, (2, 2), 2, balances);
        let (morning, noon, evening) = (of("m", (0, 3)), of("n", (3, 5)), of("e", (5, 8)));
        let (whole, again) = (of("w", (0, 8)), of("a", (3, 5)));
        assert!(continues(&morning, &noon) && !continues(&noon, &morning) && !continues(&morning, &evening));
        assert!(!continues(&of("x", (3, 3)), &noon) && !continues(&whole, &of("y", (8, 8))));
        // Noon has not come yet, then it has; the whole day is none of the parts, and neither is one that is sent again.
        assert_eq!(chain(&evening, &[morning.clone(), whole.clone()]), ["m"]);
        let all = [morning.clone(), noon.clone(), evening.clone(), whole.clone()];
        assert_eq!(chain(&noon, &all), ["m", "e"]);
        assert_eq!(chain(&again, &all), ["m", "e"]);
        assert_eq!(chain(&whole, &all), Vec::<&str>::new());
        // What comes after the evening comes after the whole day, but that does not make them parts of it.
        let night = of("late", (8, 9));
        let all = [morning, noon, evening, whole.clone(), night.clone()];
        assert_eq!(chain(&whole, &all), ["late"]);
        assert_eq!(chain(&night, &all).len(), 4);
    }

    #[test]
    fn ascii_is_folded_as_all_text_is() {
        let ascii: String = (0..128u8).map(char::from).collect();
        let by_tables: String = ascii.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect();
        assert_eq!(folded(&ascii), by_tables);
        assert_eq!(folded("Größe-7 ß"), "GRÖSSE7SS");
    }

    proptest! {
        /// Whatever the order in which files come, each day and amount ends with the largest count that any file lists.
        #[test]
        fn counts_do_not_depend_on_the_order_of_files(
            files in prop::collection::vec(prop::collection::vec((1u8..4, 0u8..3), 0..8), 1..5),
            order in prop::collection::vec(0usize..100, 5),
        ) {
            let run = |files: Vec<&Vec<(u8, u8)>>| {
                let mut lines: Vec<Stored> = Vec::new();
                for file in files {
                    // What a line says includes its amount.
                    let says = |(amount, text): &(u8, u8)| (i64::from(*amount), 10 * amount + text);
                    let all: Vec<Incoming> = file
                        .iter()
                        .map(says)
                        .zip(0..)
                        .map(|((amount, text), place)| incoming(place, amount, text))
                        .collect();
                    let pairs = pair(&all, &lines);
                    for line in all.iter().filter(|l| !pairs.contains_key(&l.place)) {
                        lines.push(stored(&format!("{}", lines.len()), line.amount, line.identity[1]));
                    }
                }
                let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
                lines.iter().for_each(|l| *counts.entry(l.amount).or_default() += 1);
                counts
            };
            let mut shuffled: Vec<(usize, &Vec<(u8, u8)>)> = files.iter().enumerate().map(|(i, f)| (order[i], f)).collect();
            shuffled.sort_by_key(|(key, _)| *key);
            prop_assert_eq!(run(files.iter().collect()), run(shuffled.into_iter().map(|(_, f)| f).collect()));
        }
    }
}
