//! The journal proves itself: every stored number is computed again from what it follows from.
//!
//! One pass over seals, entries and events in their order, in pages and outside any long transaction, up to a fixed seal;
//! then one short snapshot that folds what came since and compares the balances and day totals with the fold. Whoever changes
//! a posting, entry, hold, balance, total, event or seal by SQL is named here.

use super::store::{self, AccountRow, DaySums, EntryView, EventRow, SealRow};
use super::{AccountKind, Terms, terms};
use crate::db::seal::{Encoding, Hash, Peaks, SealContent, root};
use crate::db::{Conn, Db, event_leaf};
use crate::error::Result;
use crate::time::{day_of, from_stored};
use chrono::{NaiveDate, NaiveDateTime};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

/// Entries or events per page.
const PAGE: i64 = 4_000;

/// Something that must never be, named by the number of the invariant that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// `I1` to `I11`.
    pub invariant: &'static str,
    /// What is wrong and where.
    pub what: String,
}

impl Violation {
    /// A violation of an invariant.
    pub fn new(invariant: &'static str, what: impl Into<String>) -> Violation {
        Violation { invariant, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// Enough violations to act on; a damaged journal could name millions.
const MANY: usize = 1_000;

/// Proves I1 to I6, I10 and I11 as far as the journal itself can. `progress` is told how many entries are done of how many.
pub fn check(db: &Db, mut progress: impl FnMut(i64, i64)) -> Result<Vec<Violation>> {
    let (last_seal, last_entry) = db.read(store::end)?;
    let mut fold = Fold::new(db.read(store::accounts)?);
    while fold.seal < last_seal && fold.violations.len() < MANY {
        db.read(|conn| fold.page(conn, last_seal))?;
        progress(fold.entry, last_entry);
    }
    db.read(|conn| {
        // What came since, and then everything that can move, within one snapshot.
        let (last_seal, _) = store::end(conn)?;
        fold.add_accounts(store::accounts(conn)?);
        while fold.seal < last_seal && fold.violations.len() < MANY {
            fold.page(conn, last_seal)?;
        }
        fold.compare(conn)
    })?;
    Ok(fold.violations)
}

fn state_in(after: Option<&str>) -> String {
    let after: Option<serde_json::Value> = after.and_then(|json| serde_json::from_str(json).ok());
    after.and_then(|a| a["state"].as_str().map(str::to_owned)).unwrap_or_default()
}

/// What an account comes to, by its postings so far.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    debits: i64,
    credits: i64,
    held: i64,
    postings: i64,
}

/// Where an account stands, on its normal side.
#[derive(Debug, Clone, Copy)]
struct Had {
    booked: i64,
    available: i64,
}

impl Had {
    fn of(kind: AccountKind, sums: &Sums) -> Had {
        let booked = kind.natural(sums.debits - sums.credits);
        Had { booked, available: booked - sums.held }
    }
}

/// The journal folded up to a seal.
struct Fold {
    accounts: HashMap<i64, AccountRow>,
    /// Their numbers by code.
    codes: HashMap<String, i64>,
    sums: HashMap<i64, Sums>,
    holds: HashMap<String, i64>,
    days: HashMap<(i64, NaiveDate, NaiveDate), DaySums>,
    books: BTreeMap<i64, i128>,
    postings: i64,
    hold_moves: i64,
    reversed: HashSet<i64>,
    /// The newest state of an account that an event tells of, by code.
    states: HashMap<String, String>,
    /// The terms of an account whose terms changed, by code: all that were in force at some moment of the seal at hand, the
    /// newest last.
    terms: HashMap<String, Vec<Terms>>,
    seal: i64,
    entry: i64,
    event: i64,
    hash: Hash,
    peaks: Peaks,
    recorded_at: Option<NaiveDateTime>,
    encoding: Encoding,
    violations: Vec<Violation>,
}

impl Fold {
    fn new(accounts: Vec<AccountRow>) -> Fold {
        let mut fold = Fold {
            accounts: HashMap::new(),
            codes: HashMap::new(),
            sums: HashMap::new(),
            holds: HashMap::new(),
            days: HashMap::new(),
            books: BTreeMap::new(),
            postings: 0,
            hold_moves: 0,
            reversed: HashSet::new(),
            states: HashMap::new(),
            terms: HashMap::new(),
            seal: 0,
            entry: 0,
            event: 0,
            hash: [0; 32],
            peaks: Peaks::default(),
            recorded_at: None,
            encoding: Encoding::default(),
            violations: Vec::new(),
        };
        fold.add_accounts(accounts);
        fold
    }

    fn add_accounts(&mut self, accounts: Vec<AccountRow>) {
        self.codes.extend(accounts.iter().map(|a| (a.code.clone(), a.id)));
        self.accounts.extend(accounts.into_iter().map(|a| (a.id, a)));
    }

    fn wrong(&mut self, invariant: &'static str, what: String) {
        self.violations.push(Violation::new(invariant, what));
    }

    /// Numbers that should be there and are not.
    fn missing(&mut self, what: &str, first: i64, last: i64) {
        match last.saturating_sub(first) {
            ..0 => {}
            0 => self.wrong("I11", format!("{what} {first} is missing")),
            _ => self.wrong("I11", format!("{what} {first} to {last} are missing")),
        }
    }

    /// Folds the next page of whole seals, up to seal `upto`.
    fn page(&mut self, conn: &mut Conn, upto: i64) -> Result<()> {
        let rows = store::seals_after(conn, self.seal, upto, 256)?;
        if rows.is_empty() {
            self.wrong("I11", format!("seal {} is missing", self.seal + 1));
            self.seal = upto;
            return Ok(());
        }
        let (first_entry, first_event) = (self.entry, self.event);
        for row in rows {
            if row.number != self.seal + 1 {
                self.wrong("I11", format!("seal {} is missing", self.seal + 1));
            }
            self.seal_up(conn, &row)?;
            if self.entry - first_entry + self.event - first_event > PAGE || self.violations.len() >= MANY {
                break;
            }
        }
        Ok(())
    }

    /// Checks one seal and everything that it covers.
    fn seal_up(&mut self, conn: &mut Conn, row: &SealRow) -> Result<()> {
        let number = row.number;
        if row.first_entry != self.entry + 1 || row.first_event != self.event + 1 {
            let want = (self.entry + 1, self.event + 1);
            self.wrong(
                "I11",
                format!(
                    "seal {number} begins at entry {} and event {}, not at {want:?}",
                    row.first_entry, row.first_event
                ),
            );
        }
        if self.recorded_at.is_some_and(|before| row.recorded_at <= before) {
            self.wrong("I11", format!("seal {number} is recorded before the seal before it"));
        }
        // Events first: a group may hold both a change of terms and decisions under the old or the new ones.
        let mut of_events = Vec::new();
        self.fold_events(conn, row, &mut of_events)?;
        let mut leaves = Vec::new();
        let mut first = row.first_entry;
        while first <= row.last_entry && self.violations.len() < MANY {
            let last = row.last_entry.min(first.saturating_add(PAGE - 1));
            self.fold_entries(conn, row, (first, last), &mut leaves)?;
            first = last.saturating_add(1);
        }
        leaves.append(&mut of_events);
        for terms in self.terms.values_mut() {
            terms.drain(..terms.len().saturating_sub(1));
        }
        let content = SealContent {
            number,
            recorded_at: from_stored(row.recorded_at),
            entries: (row.first_entry, row.last_entry),
            events: (row.first_event, row.last_event),
            root: root(&leaves),
            previous: self.hash,
        };
        if row.root != content.root.as_slice() {
            self.wrong(
                "I2",
                format!(
                    "seal {number} does not cover what is stored: entries {}-{} or events {}-{} were changed",
                    row.first_entry, row.last_entry, row.first_event, row.last_event
                ),
            );
        }
        let as_stored = SealContent { root: row.root.as_slice().try_into().unwrap_or_default(), ..content };
        if row.hash != as_stored.hash() {
            self.wrong("I11", format!("seal {number} was changed, or does not follow from seal {}", number - 1));
        }
        self.hash = row.hash.as_slice().try_into().unwrap_or_default();
        self.peaks.push(self.hash);
        if row.peaks != self.peaks.to_stored() {
            self.wrong("I11", format!("the tree over seals was changed at seal {number}"));
        }
        self.seal = number;
        self.entry = row.last_entry;
        self.event = row.last_event;
        self.recorded_at = Some(row.recorded_at);
        Ok(())
    }

    fn fold_entries(
        &mut self,
        conn: &mut Conn,
        seal: &SealRow,
        (first, last): (i64, i64),
        leaves: &mut Vec<Hash>,
    ) -> Result<()> {
        let views = store::entries(conn, first, last)?;
        let mut expected = first;
        for view in &views {
            self.missing("entry", expected, view.number.saturating_sub(1));
            expected = view.number.saturating_add(1);
            if view.seal != seal.number {
                self.wrong(
                    "I11",
                    format!("entry {} names seal {}, but seal {} covers it", view.number, view.seal, seal.number),
                );
            }
            leaves.push(view.leaf(&mut self.encoding));
            self.fold_entry(view, day_of(from_stored(seal.recorded_at)));
        }
        self.missing("entry", expected, last);
        Ok(())
    }

    fn fold_entry(&mut self, entry: &EntryView, recorded_on: NaiveDate) {
        let number = entry.number;
        let mut books: Vec<(i64, i128)> = Vec::with_capacity(1);
        let mut had: Vec<(i64, Had)> = Vec::with_capacity(2);
        let legs = entry.postings.iter().zip(0..).all(|(p, leg)| p.leg == leg);
        if !legs || !entry.holds.iter().zip(0..).all(|(h, leg)| h.leg == leg) {
            // The seal covers the order of postings and holds, which their legs give.
            self.wrong("I2", format!("the legs of entry {number} are not numbered from 0 on"));
        }
        for p in &entry.postings {
            let Some(account) = self.accounts.get(&p.account) else {
                self.wrong("I3", format!("entry {number} posts to account {}, which is not there", p.account));
                continue;
            };
            let (book, kind, code) = (account.book, account.kind(), account.code.clone());
            match books.iter_mut().find(|(b, _)| *b == book) {
                Some((_, sum)) => *sum += i128::from(p.amount),
                None => books.push((book, i128::from(p.amount))),
            }
            let sums = self.sums.entry(p.account).or_default();
            if !had.iter().any(|(a, _)| *a == p.account) {
                had.push((p.account, Had::of(kind, sums)));
            }
            if p.amount >= 0 {
                sums.debits = sums.debits.saturating_add(p.amount)
            } else {
                sums.credits = sums.credits.saturating_sub(p.amount)
            }
            sums.postings += 1;
            let after = sums.debits.saturating_sub(sums.credits);
            if after != p.balance_after {
                self.wrong(
                    "I3",
                    format!("entry {number} leaves {code} at {}, but its postings sum to {after}", p.balance_after),
                );
            }
            let same_day = entry.booked_on == entry.valued_on;
            self.days.entry((p.account, entry.booked_on, recorded_on)).or_default().add(p.amount, true, same_day);
            if !same_day {
                self.days.entry((p.account, entry.valued_on, recorded_on)).or_default().add(p.amount, false, true);
            }
            self.postings += 1;
        }
        for (book, sum) in books {
            if sum != 0 {
                self.wrong("I1", format!("entry {number} is off by {sum} in book {book}"));
            }
            *self.books.entry(book).or_default() += sum;
        }
        self.fold_holds(entry, &mut had);
        if entry.basis == "decision" {
            self.check_limits(entry, &had);
        }
        if entry.reverses.is_some_and(|target| !self.reversed.insert(target)) {
            self.wrong("I2", format!("entry {number} reverses an entry that was reversed before"));
        }
    }

    fn fold_holds(&mut self, entry: &EntryView, had: &mut Vec<(i64, Had)>) {
        for h in &entry.holds {
            let change = if h.kind == "placed" { h.amount } else { -h.amount };
            let kind = self.accounts.get(&h.account).map_or(AccountKind::Leaf, AccountRow::kind);
            let sums = self.sums.entry(h.account).or_default();
            if !had.iter().any(|(a, _)| *a == h.account) {
                had.push((h.account, Had::of(kind, sums)));
            }
            sums.held = sums.held.saturating_add(change);
            let held = sums.held;
            if held != h.held_after {
                self.wrong(
                    "I3",
                    format!(
                        "entry {} leaves {} held on account {}, but its holds sum to {held}",
                        entry.number, h.held_after, h.account
                    ),
                );
            }
            let left = self.holds.entry(h.hold.clone()).or_default();
            *left = left.saturating_add(change);
            if *left < 0 {
                self.wrong("I3", format!("entry {} takes more from hold {} than was placed", entry.number, h.hold));
            }
            self.hold_moves += 1;
        }
    }

    /// I4, as the engine decided it then, under any of the terms that were in force in its seal.
    fn check_limits(&mut self, entry: &EntryView, had: &[(i64, Had)]) {
        let mut wrong = Vec::new();
        for (id, had) in had {
            let Some(account) = self.accounts.get(id) else { continue };
            let of_kind = [Terms::of_kind(account.kind())];
            let terms = self.terms.get(&account.code).map_or(&of_kind[..], Vec::as_slice);
            let has = Had::of(account.kind(), &self.sums.get(id).copied().unwrap_or_default());
            let below = |t: &Terms| t.floor.is_some_and(|floor| has.available < floor);
            let above = |t: &Terms| t.ceiling.is_some_and(|ceiling| has.booked > ceiling);
            if has.available < had.available && terms.iter().all(below) {
                wrong.push(format!("took {} to {}, below its floor", account.code, has.available));
            }
            if has.booked > had.booked && terms.iter().all(above) {
                wrong.push(format!("took {} to {}, above its ceiling", account.code, has.booked));
            }
        }
        for what in wrong {
            self.wrong("I4", format!("decision {} {what}", entry.number));
        }
    }

    fn fold_events(&mut self, conn: &mut Conn, seal: &SealRow, leaves: &mut Vec<Hash>) -> Result<()> {
        let mut expected = seal.first_event;
        while expected <= seal.last_event && self.violations.len() < MANY {
            let last = seal.last_event.min(expected.saturating_add(PAGE - 1));
            let rows: Vec<EventRow> = store::events_between(conn, expected, last)?;
            for e in rows {
                self.missing("event", expected, e.number.saturating_sub(1));
                expected = e.number.saturating_add(1);
                if e.seal != seal.number {
                    self.wrong(
                        "I11",
                        format!("event {} names seal {}, but seal {} covers it", e.number, e.seal, seal.number),
                    );
                }
                if e.kind == "account.state" {
                    self.states.insert(e.subject.clone(), state_in(e.after.as_deref()));
                }
                if e.kind == terms::EVENT {
                    self.fold_terms(&e);
                }
                leaves.push(event_leaf(
                    e.number,
                    &e.actor,
                    &e.kind,
                    &e.subject,
                    e.before.as_deref(),
                    e.after.as_deref(),
                ));
            }
            self.missing("event", expected, last);
            expected = last.saturating_add(1);
        }
        Ok(())
    }

    fn fold_terms(&mut self, e: &EventRow) {
        let Some(account) = self.codes.get(&e.subject).and_then(|id| self.accounts.get(id)) else {
            return self.wrong("I10", format!("event {} gives terms to {}, which is not there", e.number, e.subject));
        };
        let json =
            |text: &Option<String>| text.as_deref().and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
        let after = Terms::from_json(&json(&e.after), account);
        let of_kind = Terms::of_kind(account.kind());
        self.terms.entry(e.subject.clone()).or_insert_with(|| vec![of_kind]).push(after);
    }

    /// Compares everything that moves with the fold; `conn` is a snapshot at which the fold is complete.
    fn compare(&mut self, conn: &mut Conn) -> Result<()> {
        let accounts = store::accounts(conn)?;
        let counts = store::counts(conn)?;
        if [counts.accounts, counts.balances].iter().any(|n| usize::try_from(*n) != Ok(accounts.len())) {
            let what =
                format!("{} accounts and {} balances are stored; each has one", counts.accounts, counts.balances);
            self.wrong("I3", what);
        }
        for account in accounts {
            self.compare_terms(&account);
            let want = self.sums.get(&account.id).copied().unwrap_or_default();
            let same = (account.debits, account.credits, account.held, account.postings)
                == (want.debits, want.credits, want.held, want.postings);
            if !same {
                let what = format!(
                    "the balance of {} says debits {}, credits {}, held {}, postings {}; its movements say {want:?}",
                    account.code, account.debits, account.credits, account.held, account.postings
                );
                self.wrong("I3", what);
            }
        }
        for (book, sum) in std::mem::take(&mut self.books) {
            if sum != 0 {
                self.wrong("I5", format!("book {book} is off by {sum}: its shares do not sum to its master"));
            }
        }
        self.compare_days(conn)?;
        let (postings, holds, entries, events) = (self.postings, self.hold_moves, self.entry, self.event);
        for (invariant, what, stored, belong) in [
            ("I3", "postings", counts.postings, postings),
            ("I3", "movements of holds", counts.holds, holds),
            ("I11", "entries", counts.entries, entries),
            ("I11", "events", counts.events, events),
        ] {
            if stored != belong {
                self.wrong(invariant, format!("{stored} {what} are stored, but {belong} are sealed"));
            }
        }
        Ok(())
    }

    /// What decisions on an account go by follows from its kind, its currency and the events of its state.
    fn compare_terms(&mut self, account: &AccountRow) {
        let code = &account.code;
        let state = self.states.get(code).map_or("open", String::as_str);
        if account.state != state {
            self.wrong("I10", format!("{code} is {}, but by its events it is {state}", account.state));
        }
        let of_kind = Terms::of_kind(account.kind());
        let terms = self.terms.get(code).and_then(|t| t.last()).copied().unwrap_or(of_kind);
        if Terms::of(account) != terms {
            self.wrong("I4", format!("{code} has the terms {:?}, but by its events {terms:?}", Terms::of(account)));
        }
        let exponent = account.currency.parse().map(|c: crate::money::Currency| i64::from(c.exponent()));
        if exponent.as_ref().ok() != Some(&account.exponent) {
            let (currency, exponent) = (&account.currency, account.exponent);
            self.wrong(
                "I3",
                format!("{code} is kept with {exponent} decimals, which is not how {currency} is written"),
            );
        }
    }

    fn compare_days(&mut self, conn: &mut Conn) -> Result<()> {
        for (account, day, recorded_on, stored) in store::day_totals(conn)? {
            let want = self.days.remove(&(account, day, recorded_on)).unwrap_or_default();
            if stored != want {
                self.wrong("I3", format!("the totals of account {account} on {day}, recorded {recorded_on}, say {stored:?}; its postings say {want:?}"));
            }
        }
        for (account, day, recorded_on) in std::mem::take(&mut self.days).into_keys() {
            self.wrong("I3", format!("the totals of account {account} on {day}, recorded {recorded_on}, are missing"));
        }
        Ok(())
    }
}
