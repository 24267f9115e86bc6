//! Expectations: what should come, before the bank tells of it.
//!
//! A product announces a receipt: how much (exact or within bounds), in which days, under which reference or from whose
//! account. A payment that fits ([`matching`]) goes to the leaf that waits for it and *meets* the expectation in the same
//! commit; it is met once. The states and what moves them stand in [`state`].
//!
//! An expectation is known by its own key, which is its leaf's: the same key with the same content changes nothing, with other content
//! it is a conflict, and another leaf's key of the same letters has nothing to do with it, so that nobody learns of it. What was announced never changes, and the event that tells of it has its digest, so that `check` finds who
//! changes it by SQL; references, notes and accounts may name persons and stand in no event.
//!
//! This feature knows nothing of lines but their ids: `allocation`, which decides whose money a line is, asks it what is
//! waited for and says what was met.

use crate::chart::MasterRow;
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::money::{Currency, Minor};
use crate::scope::Scope;
use chrono::NaiveDate;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

pub mod api;
pub mod check;
pub mod file;
pub mod matching;
pub mod state;
mod store;

use matching::{Awaited, SHORTEST_REFERENCE, Told, key};
pub use state::{Event, State};
pub use store::{Counts, ExpectationRow, counts, expected_by_account};

/// Why an expectation is not taken or changed, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// Some cannot be; all problems, each with its place.
    Problems { problems: Vec<String> },
    /// A person's decision says why.
    NoReason,
    /// Receipts of several leaves have this key.
    SeveralNamed { key: String, leaves: Vec<String> },
    /// The state table does not have it.
    State { key: String, state: State, event: Event },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::Problems { .. } => "expectation_problems",
            Refusal::NoReason => "no_reason",
            Refusal::SeveralNamed { .. } => "expectation_several",
            Refusal::State { .. } => "expectation_state",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Problems { problems } => write!(f, "nothing was taken: {}", problems.join("; ")),
            Refusal::NoReason => f.write_str("say why with a reason of a few words; it is kept with the expectation"),
            Refusal::SeveralNamed { key, leaves } => {
                write!(f, "{key} is the key of receipts of {}; name the one by its id", leaves.join(", "))
            }
            Refusal::State { key, state, event } => {
                write!(f, "{key} is {state}, so it cannot be {}; `tributary expect list` shows it", event.as_str())
            }
        }
    }
}

/// A receipt that somebody announces, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// Where it stands, for problems: `line 4: `, or nothing.
    pub at: String,
    /// Its own key.
    pub key: String,
    /// The leaf that waits.
    pub leaf: String,
    /// `250.00`, or bounds: `240.00..260.00`.
    pub amount: String,
    /// ISO 4217, where it is said: it must be the master's.
    pub currency: Option<String>,
    /// First and last booking day.
    pub days: (NaiveDate, NaiveDate),
    /// End-to-end id, creditor reference or remittance reference.
    pub reference: Option<String>,
    /// The account that it will come from.
    pub account: Option<String>,
    /// For people.
    pub note: Option<String>,
    /// JSON for other systems.
    pub metadata: Option<String>,
}

/// What came of announcing receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Announced {
    /// New ones.
    pub new: usize,
    /// Those that were known, with the same content.
    pub known: usize,
}

/// A payment that meets an expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// The expectation.
    pub id: String,
    /// The line.
    pub line: String,
    /// Which of its payments; `None`: the line as a whole.
    pub detail: Option<i64>,
    /// The route by which the leaf has the money.
    pub route: i64,
    /// Why, when a person says so.
    pub reason: Option<String>,
}

/// Takes receipts that are announced, all or none. Those that are known with the same content change nothing.
pub fn add(tx: &mut Tx<'_>, asked: &[Announcement]) -> Result<Announced> {
    let leaves = store::leaves(tx.conn())?;
    let (mut problems, mut rows) = (Vec::new(), Vec::with_capacity(asked.len()));
    // One sheet that gives a key to two leaves has a slip in it.
    let mut keys = HashSet::with_capacity(asked.len());
    for a in asked {
        match judge(a, &leaves) {
            Ok(row) => rows.push(row),
            Err(found) => problems.extend(found.into_iter().map(|p| format!("{}{p}", a.at))),
        }
        if !keys.insert(a.key.as_str()) {
            problems.push(format!("{}the key {} is there twice", a.at, a.key));
        }
    }
    if !problems.is_empty() {
        return Err(Refusal::Problems { problems }.into());
    }
    let known = store::by_keys(tx.conn(), asked.iter().map(|a| a.key.as_str()))?;
    let (mut new, mut conflicts) = (Vec::new(), Vec::new());
    for (row, a) in rows.into_iter().zip(asked) {
        match known.get(&(row.account, a.key.clone())) {
            None => new.push(row),
            Some(before) if before.content() == row.content() => {}
            Some(before) => conflicts.push(format!(
                "{}{} was announced with other content by {}; cancel that one and announce this under a key of its own",
                a.at, a.key, before.made_by
            )),
        }
    }
    if !conflicts.is_empty() {
        return Err(Error::Conflict(format!("nothing was taken: {}", conflicts.join("; "))));
    }
    let known = asked.len() - new.len();
    for row in &mut new {
        store::stamp(tx, row);
        tx.event("expectation.added", &row.id, None, Some(row.announced()));
    }
    store::insert(tx.conn(), &new)?;
    Ok(Announced { new: new.len(), known })
}

/// The row of an announcement, or everything that is wrong with it.
fn judge(a: &Announcement, leaves: &HashMap<String, store::LeafRow>) -> Result<ExpectationRow, Vec<String>> {
    let mut problems = Vec::new();
    if a.key.trim().is_empty() || a.key.chars().count() > 100 {
        problems.push("the key is what it will be known by: 1 to 100 signs".to_owned());
    }
    let leaf = leaves.get(&a.leaf);
    match leaf {
        None => problems.push(format!("{} is not a leaf; `tributary chart show` lists them", a.leaf)),
        Some(leaf) if leaf.closed => problems.push(format!("{} is closed", a.leaf)),
        Some(_) => {}
    }
    let mut amount = (0, 0);
    if let Some(leaf) = leaf {
        if a.currency.as_ref().is_some_and(|c| *c != leaf.currency) {
            problems.push(format!(
                "{} is kept in {}, not in {}",
                a.leaf,
                leaf.currency,
                a.currency.as_deref().unwrap_or("")
            ));
        }
        match bounds(&a.amount, &leaf.currency) {
            Ok(bounds) => amount = bounds,
            Err(problem) => problems.push(problem),
        }
    }
    if a.days.0 > a.days.1 {
        problems.push(format!("it is expected from {} on, but only until {}", a.days.0, a.days.1));
    }
    for (what, text) in [("reference", &a.reference), ("account", &a.account)] {
        if let Some(text) = text
            && key(text).is_none()
        {
            problems.push(format!(
                "the {what} {:?} tells nothing apart: it needs {SHORTEST_REFERENCE} letters or digits at least",
                text.chars().take(40).collect::<String>()
            ));
        }
    }
    // An announcement waits for approval, is shown in lists and kept: it is a note, and no store for files.
    for (what, text, most) in [
        ("reference", &a.reference, 140),
        ("account", &a.account, 140),
        ("note", &a.note, 1_000),
        ("metadata", &a.metadata, 4_000),
    ] {
        if text.as_ref().is_some_and(|text| text.chars().count() > most) {
            problems.push(format!("the {what} is longer than {most} signs"));
        }
    }
    if let Some(Err(e)) = a.metadata.as_deref().map(serde_json::from_str::<serde::de::IgnoredAny>) {
        problems.push(format!("the metadata is not JSON: {e}"));
    }
    match leaf {
        Some(leaf) if problems.is_empty() => Ok(ExpectationRow::new(a, leaf, amount)),
        _ => Err(problems),
    }
}

/// `250.00` or `240.00..260.00`, in minor units.
fn bounds(text: &str, currency: &str) -> Result<(i64, i64), String> {
    let currency: Currency = currency.parse().map_err(|e: crate::money::Problem| e.to_string())?;
    let parse = |text: &str| Minor::parse(text.trim(), currency).map(|m| m.0).map_err(|e| format!("amount: {e}"));
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (parse(least)?, parse(most)?);
    match () {
        () if least <= 0 => Err(format!("amount {text}: only what comes is expected, and that is more than zero")),
        () if least > most => Err(format!("amount {text}: the first bound is the smaller one")),
        () => Ok((least, most)),
    }
}

/// Payments meet expectations, in the commit that gives the leaves the money.
pub fn meet(tx: &mut Tx<'_>, meetings: &[Meeting]) -> Result<()> {
    for m in meetings {
        let row = store::by_id(tx.conn(), &m.id)?;
        move_on(tx, row, Event::Meet, |row| {
            (row.line, row.detail, row.route) = (Some(m.line.clone()), m.detail, Some(m.route));
            row.reason.clone_from(&m.reason);
        })?;
    }
    Ok(())
}

/// The bank has taken a line back: what it had met is waited for again. Gives the bounds of their amounts.
pub fn free(tx: &mut Tx<'_>, line: &str) -> Result<Vec<(i64, i64)>> {
    let mut bounds = Vec::new();
    for row in store::met_by(tx.conn(), line)? {
        bounds.push((row.least, row.most));
        let reason = Some(format!("line {line}, which had met it, was taken back"));
        move_on(tx, row, Event::TakeBack, |row| {
            (row.line, row.detail, row.route, row.reason) = (None, None, None, reason.clone());
        })?;
    }
    Ok(bounds)
}

/// A person gives one up, open or expired, named by its key or id, with a reason.
pub fn cancel(tx: &mut Tx<'_>, name: &str, reason: &str) -> Result<()> {
    decide(tx, name, reason, Event::Cancel)
}

/// A person says that what met it was something else: it is waited for again.
pub fn reopen(tx: &mut Tx<'_>, name: &str, reason: &str) -> Result<()> {
    decide(tx, name, reason, Event::Reopen)
}

fn decide(tx: &mut Tx<'_>, name: &str, reason: &str, event: Event) -> Result<()> {
    if reason.trim().chars().count() < 3 {
        return Err(Refusal::NoReason.into());
    }
    let scope = tx.scope().clone();
    let row = find_seen(tx.conn(), &scope, name)?;
    let reason = Some(reason.trim().to_owned());
    move_on(tx, row, event, |row| {
        (row.line, row.detail, row.route, row.reason) = (None, None, None, reason.clone());
    })
}

/// Ends those whose last day is over in the time zone of their master. Gives their keys.
pub fn expire(tx: &mut Tx<'_>) -> Result<Vec<String>> {
    let now = tx.now();
    let mut zones: BTreeMap<String, NaiveDate> = BTreeMap::new();
    for master in crate::chart::masters(tx.conn())? {
        zones.insert(master.id.clone(), today(&master, now));
    }
    // The earliest place on earth is half a day ahead of UTC.
    let latest = crate::time::day_of(now + chrono::TimeDelta::hours(14));
    let mut keys = Vec::new();
    for row in store::open_until(tx.conn(), latest)? {
        if zones.get(&row.master).is_some_and(|today| row.last_on < *today) {
            keys.push(row.key.clone());
            move_on(tx, row, Event::Expire, |_| {})?;
        }
    }
    Ok(keys)
}

/// The day that a master's bank has.
fn today(master: &MasterRow, now: crate::time::Instant) -> NaiveDate {
    let zone: chrono_tz::Tz = master.time_zone.parse().unwrap_or(chrono_tz::UTC);
    now.with_timezone(&zone).date_naive()
}

/// One step in the life of an expectation: the state table decides, the row and an event record it.
fn move_on(tx: &mut Tx<'_>, mut row: ExpectationRow, event: Event, change: impl Fn(&mut ExpectationRow)) -> Result<()> {
    let state = row.state()?;
    let Some(next) = state.after(event) else { return Err(Refusal::State { key: row.key, state, event }.into()) };
    let before = row.standing();
    change(&mut row);
    row.state = next.as_str().to_owned();
    store::save(tx.conn(), &row, state)?;
    let kind = match event {
        Event::Meet => "expectation.met",
        Event::Expire => "expectation.expired",
        Event::Cancel => "expectation.cancelled",
        Event::Reopen => "expectation.reopened",
        Event::TakeBack => "expectation.freed",
    };
    tx.event(kind, &row.id, Some(before), Some(row.standing()));
    Ok(())
}

/// What the payments of some days may meet in a master; `told` is asked only when something is waited for.
pub fn awaited<'a>(
    conn: &mut Conn,
    master: &str,
    days: (NaiveDate, NaiveDate),
    told: impl FnOnce() -> Vec<Told<'a>>,
) -> Result<Awaited> {
    if !store::awaits_some(conn, master, days)? {
        return Ok(Awaited::default());
    }
    let (mut references, mut counterparties) = (HashSet::new(), HashSet::new());
    for t in told() {
        references.extend(t.references.into_iter().map(|(_, _, key)| key));
        counterparties.extend(t.counterparty.map(|(_, key)| key));
    }
    store::awaited(conn, master, days, &references, &counterparties).map(Awaited::new)
}

/// An expectation as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    /// For ever.
    pub id: String,
    /// Its own key, among those of its leaf.
    pub key: String,
    /// `open`, `met`, `expired` or `cancelled`.
    pub state: String,
    /// Code of the master.
    pub master: String,
    /// The leaf that waits.
    pub leaf: String,
    /// ISO 4217.
    pub currency: String,
    /// The lower bound of the amount.
    pub least: String,
    /// The upper bound; the same when the amount is exact.
    pub most: String,
    /// First booking day.
    pub first_on: NaiveDate,
    /// Last booking day.
    pub last_on: NaiveDate,
    /// The reference that it is known by.
    pub reference: Option<String>,
    /// The account that it comes from.
    pub counterparty_account: Option<String>,
    /// For people.
    pub note: Option<String>,
    /// JSON for other systems.
    pub metadata: Option<serde_json::Value>,
    /// The line that met it, `LINE/3` when it is the third payment of one.
    pub line: Option<String>,
    /// What became of that line since, when it is not where it met this any more.
    pub since: Option<String>,
    /// Why it was cancelled or opened again.
    pub reason: Option<String>,
    /// Who announced it.
    pub made_by: String,
}

/// Which expectations to show.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this master.
    pub master: Option<String>,
    /// Of this leaf.
    pub leaf: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// With this id.
    pub id: Option<String>,
    /// No more than so many.
    pub limit: Option<i64>,
}

/// Expectations by their last day, with what became of those that were met.
pub fn list(conn: &mut Conn, filter: &Filter) -> Result<Vec<Shown>> {
    if let Some(master) = &filter.master {
        crate::chart::master(conn, master)?;
    }
    shown(conn, filter)
}

fn shown(conn: &mut Conn, filter: &Filter) -> Result<Vec<Shown>> {
    let rows = store::list(conn, filter)?;
    let mut moved = store::moved_since(conn, rows.iter().map(|(row, ..)| row))?;
    let mut shown = Vec::with_capacity(rows.len());
    for (row, leaf, master, currency) in rows {
        let money: Currency = currency.parse().map_err(|e| Error::Broken(format!("{master}: {e}")))?;
        let metadata = row.metadata.as_deref().map(serde_json::from_str).transpose();
        shown.push(Shown {
            line: row
                .line
                .as_ref()
                .map(|line| row.detail.map_or_else(|| line.clone(), |d| format!("{line}/{}", d + 1))),
            since: moved.remove(&row.id),
            metadata: metadata.map_err(|e| Error::Broken(format!("the metadata of {}: {e}", row.key)))?,
            least: Minor(row.least).to_text(money),
            most: Minor(row.most).to_text(money),
            id: row.id,
            key: row.key,
            state: row.state,
            master,
            leaf,
            currency,
            first_on: row.first_on,
            last_on: row.last_on,
            reference: row.reference,
            counterparty_account: row.counterparty_account,
            note: row.note,
            reason: row.reason,
            made_by: row.made_by,
        });
    }
    Ok(shown)
}

/// As [`list`], those of accounts that the scope covers.
pub fn list_seen(conn: &mut Conn, scope: &Scope, filter: &Filter) -> Result<Vec<Shown>> {
    if scope.is_everything() {
        return list(conn, filter);
    }
    let seen: HashSet<String> = crate::chart::accounts_seen(conn, scope)?.into_iter().map(|a| a.code).collect();
    // A master that is not there lists as nothing, just as one that is foreign.
    let mut all: Vec<Shown> = shown(conn, filter)?.into_iter().filter(|shown| seen.contains(&shown.leaf)).collect();
    all.iter_mut().filter(|shown| !seen.contains(&shown.master)).for_each(without_others);
    Ok(all)
}

/// Ids of those that have expired, of accounts that the scope covers.
pub fn expired_seen(conn: &mut Conn, scope: &Scope) -> Result<HashSet<String>> {
    let expired = Filter { state: Some(State::Expired), ..Filter::default() };
    Ok(list_seen(conn, scope, &expired)?.into_iter().map(|shown| shown.id).collect())
}

/// The one that a key or id names, whoever's it is.
pub fn find(conn: &mut Conn, name: &str) -> Result<ExpectationRow> {
    find_seen(conn, &Scope::everything(), name)
}

/// The one that a key or id names among those of accounts that the scope covers.
fn find_seen(conn: &mut Conn, scope: &Scope, name: &str) -> Result<ExpectationRow> {
    let mut found = store::named(conn, name)?;
    if !scope.is_everything() {
        let seen: HashSet<i64> = crate::chart::accounts_seen(conn, scope)?.into_iter().map(|a| a.id).collect();
        found.retain(|(row, _)| seen.contains(&row.account));
    }
    if found.len() > 1 {
        let leaves = found.into_iter().map(|(row, leaf)| format!("{leaf} ({})", row.id)).collect();
        return Err(Refusal::SeveralNamed { key: name.to_owned(), leaves }.into());
    }
    found.pop().map(|(row, _)| row).ok_or_else(|| {
        Error::NotFound(format!("nothing is expected under the key {name}; `tributary expect list` lists what is"))
    })
}

/// The one that a key or id names, if the scope covers its account.
pub fn show_seen(conn: &mut Conn, scope: &Scope, name: &str) -> Result<Shown> {
    let id = find_seen(conn, scope, name)?.id;
    let filter = Filter { id: Some(id.clone()), ..Filter::default() };
    let mut found = list(conn, &filter)?.pop().ok_or_else(|| Error::Broken(format!("expectation {id} is gone")))?;
    if crate::chart::account_seen(conn, scope, &found.master).is_err() {
        without_others(&mut found);
    }
    Ok(found)
}

/// Where a line went since may be another product's affair: its rule, its leaf, what a person has written of it.
fn without_others(shown: &mut Shown) {
    if let Some(since) = &mut shown.since {
        "the line was moved since".clone_into(since);
    }
}

/// An open expectation, as far as amount and day tell: enough for a suggestion to people, never for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggested {
    /// Its key.
    pub key: String,
    /// Code of the master.
    pub master: String,
    /// The leaf that waits.
    pub leaf: String,
    amount: (i64, i64),
    days: (NaiveDate, NaiveDate),
}

impl Suggested {
    /// Whether a payment fits by amount and day.
    pub fn fits(&self, master: &str, amount: i64, on: NaiveDate) -> bool {
        self.master == master
            && (self.amount.0..=self.amount.1).contains(&amount)
            && (self.days.0..=self.days.1).contains(&on)
    }
}

/// What is open, for suggestions.
pub fn suggested(conn: &mut Conn, master: Option<&str>) -> Result<Vec<Suggested>> {
    let filter = Filter { master: master.map(str::to_owned), state: Some(State::Open), ..Filter::default() };
    let rows = store::list(conn, &filter)?;
    let suggested = |(row, leaf, master, _): (ExpectationRow, String, String, String)| Suggested {
        key: row.key,
        master,
        leaf,
        amount: (row.least, row.most),
        days: (row.first_on, row.last_on),
    };
    Ok(rows.into_iter().map(suggested).collect())
}
