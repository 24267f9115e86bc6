//! The journal: the only writer of balances.
//!
//! An [`entry`](NewEntry) is a balanced set of postings, with the movements of holds that go with it; it never changes. What
//! the bank has done is a *fact* and is posted always; what we decide is a *decision* and respects floors and freezes.
//! A command is: lock, read, decide, write, record. Deciding is pure ([`engine`]); [`store`] reads and writes.
//!
//! Amounts are signed minor units, debit positive. Masters are assets; their shares (leaves, house, suspense, in-transit) are
//! credit balances, so the shares of a master sum to it (I5) because each entry sums to zero within its book (I1).

use crate::db::{Asked, Db, Kind, Lane, Tx, Who};
use crate::error::{Error, Result};
use chrono::NaiveDate;
use foldhash::{HashMap, HashMapExt};
use std::sync::Arc;

pub mod check;
pub mod engine;
mod inclusion;
mod store;
mod terms;

pub use engine::Refusal;
pub use inclusion::{Inclusion, inclusion};
pub use store::{
    AccountRow, BookRow, DayBasis, EntryView, HoldView, PostingView, account, accounts, accounts_by_code, all_as_known,
    all_as_of, all_as_of_and_known, all_held_at, as_known, as_of, as_of_and_known, entries, entries_on, entry,
    entry_at, entry_by_cause, open_holds, postings_page, statement,
};
pub use terms::{Terms, set_terms};

/// A ledger account, by its number in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub i64);

/// What an account is, hence its normal side and whether a floor is its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountKind {
    /// A real bank account: an asset.
    Master,
    /// A product's share of a master.
    Leaf,
    /// The treasury's own share: pool, fees, interest.
    House,
    /// Bank lines whose owner is not known yet.
    Suspense,
    /// Sent, and not yet debited by the bank.
    InTransit,
    /// Not cash: loans, accruals.
    Memo,
}

impl AccountKind {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            AccountKind::Master => "master",
            AccountKind::Leaf => "leaf",
            AccountKind::House => "house",
            AccountKind::Suspense => "suspense",
            AccountKind::InTransit => "in_transit",
            AccountKind::Memo => "memo",
        }
    }

    /// From storage.
    pub fn parse(text: &str) -> Option<Self> {
        use AccountKind::{House, InTransit, Leaf, Master, Memo, Suspense};
        [Master, Leaf, House, Suspense, InTransit, Memo].into_iter().find(|k| k.as_str() == text)
    }

    /// Whether the account grows by debits (assets) rather than by credits (shares of them).
    pub fn is_debit_normal(self) -> bool {
        matches!(self, AccountKind::Master | AccountKind::Memo)
    }

    /// Below what no decision takes an account of this kind; only what belongs to somebody has such a floor.
    pub fn floor(self) -> Option<i64> {
        matches!(self, AccountKind::Leaf | AccountKind::House).then_some(0)
    }

    /// A debit-positive balance as people read it: positive on the account's normal side.
    pub fn natural(self, debit_positive: i64) -> i64 {
        if self.is_debit_normal() { debit_positive } else { debit_positive.saturating_neg() }
    }
}

/// Why an entry is posted: floors and freezes bind decisions only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Basis {
    /// The bank has done it.
    Fact,
    /// We decide it.
    Decision,
}

impl Basis {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Basis::Fact => "fact",
            Basis::Decision => "decision",
        }
    }
}

/// What made an entry, once and for ever (I6): a statement line, an opening, a request, and a sequence for causes that make several.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cause {
    /// `line`, `opening`, `route`, `reversal`, `request`...
    pub kind: String,
    /// Its id.
    pub id: String,
    /// From 0.
    pub seq: i64,
}

impl Cause {
    /// The first entry of a cause.
    pub fn new(kind: &str, id: &str) -> Cause {
        Cause { kind: kind.to_owned(), id: id.to_owned(), seq: 0 }
    }
}

/// One signed amount on one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewPosting {
    /// Where.
    pub account: AccountId,
    /// Minor units, debit positive, never zero.
    pub amount: i64,
}

/// How a hold moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldKind {
    /// Reserved.
    Placed,
    /// Spent by the posting beside it.
    Consumed,
    /// Given back.
    Released,
    /// Given back because its time was over.
    Expired,
}

impl HoldKind {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            HoldKind::Placed => "placed",
            HoldKind::Consumed => "consumed",
            HoldKind::Released => "released",
            HoldKind::Expired => "expired",
        }
    }

    /// Whether it adds to what is held.
    pub fn adds(self) -> bool {
        matches!(self, HoldKind::Placed)
    }
}

/// A movement of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldMove {
    /// The account on which it is held.
    pub account: AccountId,
    /// The hold's id.
    pub hold: String,
    /// What happens to it.
    pub kind: HoldKind,
    /// Minor units, positive.
    pub amount: i64,
}

/// An entry to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// What it is: `opening`, `inflow`, `outflow`, `placement`, `transfer`, `reversal`, `hold`...
    pub kind: String,
    /// Fact or decision.
    pub basis: Basis,
    /// For people; no personal data, since it is sealed.
    pub description: String,
    /// Accounting day.
    pub booked_on: NaiveDate,
    /// Day from which it counts for interest and availability.
    pub valued_on: NaiveDate,
    /// What made it.
    pub cause: Cause,
    /// The postings, in order; zero within each book.
    pub postings: Vec<NewPosting>,
    /// Movements of holds.
    pub holds: Vec<HoldMove>,
    /// The entry that this one takes back, posting by posting.
    pub reverses: Option<i64>,
    /// JSON for other systems.
    pub metadata: Option<String>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// Its number.
    pub number: i64,
    /// The same cause with the same content was posted before; nothing was changed now.
    pub replayed: bool,
}

/// Posts entries; each is answered on its own.
pub static POST: Kind<NewEntry, Posted> = Kind { name: "ledger.post", run: post_asked };

/// Posts entries durably: what comes back `Ok` is on disk.
pub fn post(db: &Db, who: &Arc<Who>, entries: Vec<NewEntry>) -> Result<Vec<Result<Posted>>> {
    db.write_batch(Lane::Interactive, &POST, who, entries)
}

fn post_asked(tx: &mut Tx<'_>, asked: &[Asked<NewEntry>]) -> Result<Vec<Result<Posted>>> {
    let items: Vec<Item<'_>> = asked.iter().map(|a| Item { actor: a.who.actor.as_str(), entry: &a.item }).collect();
    let answers = post_items(tx, &items)?;
    tell_posted(tx, &answers);
    for (asked, answer) in asked.iter().zip(&answers) {
        if let Err(no) = answer {
            let cause = &asked.item.cause;
            let subject = format!("{}:{}:{}", cause.kind, cause.id, cause.seq);
            let after = serde_json::json!({ "code": no.code(), "message": no.to_string() });
            tx.act_as(&asked.who);
            tx.event("ledger.refused", &subject, None, Some(after.to_string()));
        }
    }
    Ok(answers)
}

/// Posts entries inside a command that does more in the same commit.
pub fn post_in(tx: &mut Tx<'_>, entries: &[NewEntry]) -> Result<Vec<Result<Posted>>> {
    let actor = tx.actor().clone();
    let items: Vec<Item<'_>> = entries.iter().map(|entry| Item { actor: actor.as_str(), entry }).collect();
    let answers = post_items(tx, &items)?;
    tell_posted(tx, &answers);
    Ok(answers)
}

/// As [`post_in`], each entry in the name of somebody; what stands side by side in one name is one event of theirs.
pub fn post_for(tx: &mut Tx<'_>, entries: &[(Arc<Who>, NewEntry)]) -> Result<Vec<Result<Posted>>> {
    let items: Vec<Item<'_>> = entries.iter().map(|(who, entry)| Item { actor: who.actor.as_str(), entry }).collect();
    let answers = post_items(tx, &items)?;
    let before = Arc::clone(tx.who());
    let mut rest = answers.as_slice();
    for of_one in entries.chunk_by(|(a, _), (b, _)| a.actor == b.actor) {
        let (theirs, others) = rest.split_at(of_one.len().min(rest.len()));
        rest = others;
        if let Some((who, _)) = of_one.first() {
            tx.act_as(who);
            tell_posted(tx, theirs);
        }
    }
    tx.act_as(&before);
    Ok(answers)
}

/// One event for all entries that are new; their numbers follow each other.
fn tell_posted(tx: &mut Tx<'_>, answers: &[Result<Posted>]) {
    let mut fresh = answers.iter().flatten().filter(|posted| !posted.replayed).map(|posted| posted.number);
    if let Some(first) = fresh.next() {
        let subject = format!("entries {first}-{}", fresh.next_back().unwrap_or(first));
        tx.event("ledger.posted", &subject, None, None);
    }
}

/// Posts one entry inside a command; a refusal of it refuses the command.
pub fn post_one(tx: &mut Tx<'_>, entry: NewEntry) -> Result<Posted> {
    let mut answers = post_in(tx, &[entry])?;
    answers.pop().unwrap_or_else(|| Err(Error::Broken("no answer".to_owned())))
}

/// An entry and who asks for it.
pub(crate) struct Item<'a> {
    actor: &'a str,
    entry: &'a NewEntry,
}

fn post_items(tx: &mut Tx<'_>, items: &[Item<'_>]) -> Result<Vec<Result<Posted>>> {
    let known = store::known_causes(tx.conn(), items)?;
    let now = tx.now();
    let mut state = store::load(tx.conn(), items, &known, now)?;
    let first = tx.entry_numbers(0)?.start;
    let mut decided: Vec<engine::Decided<'_>> = Vec::with_capacity(items.len());
    let mut answers = Vec::with_capacity(items.len());
    let mut fresh: HashMap<&Cause, (i64, &NewEntry)> = HashMap::with_capacity(items.len());
    for item in items {
        let entry = item.entry;
        let before = fresh.get(&entry.cause).map(|(number, same)| (*number, *same == entry));
        if let Some((number, same)) =
            before.or_else(|| known.get(&entry.cause).map(|k| (k.number, k.content == *entry)))
        {
            answers.push(replay(number, same, &entry.cause));
            continue;
        }
        let number = first + i64::try_from(decided.len()).unwrap_or(i64::MAX);
        match state.decide(number, item.actor, entry) {
            Err(no) => answers.push(Err(no.into())),
            Ok(done) => {
                decided.push(done);
                fresh.insert(&entry.cause, (number, entry));
                answers.push(Ok(Posted { number, replayed: false }));
            }
        }
    }
    store::write(tx, &decided, &state)?;
    Ok(answers)
}

fn replay(number: i64, same: bool, cause: &Cause) -> Result<Posted> {
    if same {
        return Ok(Posted { number, replayed: true });
    }
    Err(Error::Conflict(format!(
        "{} {} was posted before with other content, as entry {number}; a new fact needs a cause of its own",
        cause.kind, cause.id
    )))
}

/// The entry that takes `number` back: the same postings with the other sign, linked, at most once per entry.
/// It is booked on `booked_on` (the open period) and keeps the original value date.
pub fn reversal_of(original: &EntryView, booked_on: NaiveDate, reason: &str) -> Result<NewEntry> {
    let mut postings = Vec::with_capacity(original.postings.len());
    for p in &original.postings {
        let amount = p.amount.checked_neg().ok_or_else(|| Refusal::Overflow { account: p.account.to_string() });
        postings.push(NewPosting { account: AccountId(p.account), amount: amount? });
    }
    if !original.holds.is_empty() {
        return Err(Refusal::ReversesHolds { entry: original.number }.into());
    }
    let number = original.number.to_string();
    Ok(NewEntry {
        kind: "reversal".to_owned(),
        basis: if original.basis == "fact" { Basis::Fact } else { Basis::Decision },
        description: format!("Reversal of entry {number}: {reason}"),
        booked_on,
        valued_on: original.valued_on,
        cause: Cause::new("reversal", &number),
        postings,
        holds: Vec::new(),
        reverses: Some(original.number),
        metadata: None,
    })
}

/// Reverses an entry inside a command.
pub fn reverse(tx: &mut Tx<'_>, number: i64, booked_on: NaiveDate, reason: &str) -> Result<Posted> {
    let original = store::entry(tx.conn(), number)?;
    let reversal = reversal_of(&original, booked_on, reason)?;
    post_one(tx, reversal)
}

/// Opens a book: a set of accounts that must balance by itself.
pub fn open_book(tx: &mut Tx<'_>, code: &str, kind: &str, currency: &str) -> Result<i64> {
    store::insert_book(tx, code, kind, currency)
}

/// An account to be opened.
#[derive(Debug, Clone)]
pub struct NewAccount<'a> {
    /// The book that it belongs to.
    pub book: i64,
    /// Its path.
    pub code: &'a str,
    /// Its currency.
    pub currency: crate::money::Currency,
    /// What it is.
    pub kind: AccountKind,
}

/// Opens an account with a zero balance and the terms of its kind.
pub fn open_account(tx: &mut Tx<'_>, new: &NewAccount<'_>) -> Result<AccountId> {
    let mut openings = Openings::begin(tx)?;
    let account = openings.add(tx, new, None);
    openings.write(tx)?;
    Ok(account)
}

/// Accounts to be opened with zero balances: they have their numbers at once and are written in one go. Whoever adds some writes
/// them before anything refers to them.
#[derive(Debug)]
pub struct Openings {
    next: i64,
    rows: Vec<store::NewAccountRow>,
}

impl Openings {
    /// None yet.
    pub fn begin(tx: &mut Tx<'_>) -> Result<Openings> {
        Ok(Openings { next: store::newest_account(tx.conn())? + 1, rows: Vec::new() })
    }

    /// One more, with the terms of its kind unless it has its own.
    pub fn add(&mut self, tx: &mut Tx<'_>, new: &NewAccount<'_>, terms: Option<Terms>) -> AccountId {
        let of_kind = Terms::of_kind(new.kind);
        let terms = terms.unwrap_or(of_kind);
        self.rows.push(store::NewAccountRow::new(self.next, new, &terms));
        if terms != of_kind {
            terms::tell(tx, new.code, (&of_kind, &terms), i64::from(new.currency.exponent()), "declared with the leaf");
        }
        self.next += 1;
        AccountId(self.next - 1)
    }

    /// Writes those that were added since the last time.
    pub fn write(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        store::insert_accounts(tx, &std::mem::take(&mut self.rows))
    }
}

/// Opens, freezes or closes an account, for a reason. Only an account at zero, without holds, can be closed.
pub fn set_state(tx: &mut Tx<'_>, code: &str, state: &str, reason: &str) -> Result<()> {
    let account = store::account(tx.conn(), code)?;
    if state == "closed" && (account.booked() != 0 || account.held != 0) {
        let balance = crate::money::Minor(account.natural()).to_text_with(u8::try_from(account.exponent).unwrap_or(0));
        return Err(Refusal::NotAtZero {
            account: code.to_owned(),
            balance: format!("{balance} {}", account.currency),
        }
        .into());
    }
    store::update_state(tx, &account, state, reason)
}
