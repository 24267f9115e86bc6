//! Deciding, pure: may this entry be posted on these balances, and what are they then?
//!
//! No IO, clock or randomness. Refusals stand in the order in which they are checked; an entry that is refused changes nothing.

#![deny(clippy::as_conversions, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{AccountKind, Basis, HoldKind, NewEntry};
use foldhash::HashMap;
use std::fmt;

/// Why an entry is not posted, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// Neither postings nor movements of holds.
    Empty,
    /// A posting names an account that is not there.
    UnknownAccount { account: String },
    /// A posting or a hold of nothing.
    ZeroAmount { account: String },
    /// I1: the postings do not sum to zero within a book.
    Unbalanced { book: i64, off_by: String },
    /// The entry to be reversed is not there.
    ReversesNothing { entry: i64 },
    /// A reversal that is not the exact opposite.
    NotTheOpposite { entry: i64 },
    /// An entry is reversed at most once.
    AlreadyReversed { entry: i64 },
    /// Movements of holds are taken back by other movements, not by a reversal.
    ReversesHolds { entry: i64 },
    /// A decision on a closed account.
    AccountClosed { account: String },
    /// A decision on a frozen account.
    AccountFrozen { account: String },
    /// A decision on an account whose time is over.
    AccountExpired { account: String },
    /// A decision that would move a real bank account: only the bank does.
    MovesMaster { account: String },
    /// A decision on suspense that is not the placing of a line or of an opening.
    MovesSuspense { account: String },
    /// A hold of that id exists already.
    HoldExists { hold: String },
    /// No such hold on that account, or less left in it.
    HoldExceeded { hold: String, left: i64 },
    /// A decision moves or reserves more than the account lets one decision.
    OverMovementLimit { account: String, limit: String, asked: String },
    /// I4: a decision would take an account below its floor.
    InsufficientFunds { account: String, available: String, needed: String },
    /// I4: a decision would take an account above its ceiling.
    AboveCeiling { account: String, ceiling: String, room: String, asked: String },
    /// A balance or the lifetime turnover would not fit 64 bits.
    Overflow { account: String },
    /// Only an account at zero can be closed.
    NotAtZero { account: String, balance: String },
    /// Limits that no balance could keep to.
    LimitsContradict { account: String, what: String },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::Empty => "empty_entry",
            Refusal::UnknownAccount { .. } => "unknown_account",
            Refusal::ZeroAmount { .. } => "zero_amount",
            Refusal::Unbalanced { .. } => "unbalanced",
            Refusal::ReversesNothing { .. } => "reverses_nothing",
            Refusal::NotTheOpposite { .. } => "not_the_opposite",
            Refusal::AlreadyReversed { .. } => "already_reversed",
            Refusal::ReversesHolds { .. } => "reverses_holds",
            Refusal::AccountClosed { .. } => "account_closed",
            Refusal::AccountFrozen { .. } => "account_frozen",
            Refusal::AccountExpired { .. } => "account_expired",
            Refusal::MovesMaster { .. } => "moves_master",
            Refusal::MovesSuspense { .. } => "moves_suspense",
            Refusal::HoldExists { .. } => "hold_exists",
            Refusal::HoldExceeded { .. } => "hold_exceeded",
            Refusal::OverMovementLimit { .. } => "over_movement_limit",
            Refusal::InsufficientFunds { .. } => "insufficient_funds",
            Refusal::AboveCeiling { .. } => "above_ceiling",
            Refusal::Overflow { .. } => "overflow",
            Refusal::NotAtZero { .. } => "not_at_zero",
            Refusal::LimitsContradict { .. } => "limits_contradict",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Empty => f.write_str("an entry needs postings or movements of holds"),
            Refusal::UnknownAccount { account } => write!(f, "there is no account {account}"),
            Refusal::ZeroAmount { account } => write!(f, "a posting or hold of nothing on {account}"),
            Refusal::Unbalanced { book, off_by } => {
                write!(
                    f,
                    "I1: the entry is off by {off_by} minor units in book {book}; debits and credits must be equal"
                )
            }
            Refusal::ReversesNothing { entry } => write!(f, "there is no entry {entry} to reverse"),
            Refusal::NotTheOpposite { entry } => {
                write!(f, "a reversal has the postings of entry {entry} with the other sign, and no others")
            }
            Refusal::AlreadyReversed { entry } => write!(f, "entry {entry} is reversed already"),
            Refusal::ReversesHolds { entry } => {
                write!(f, "entry {entry} moves holds; release or place them instead of reversing it")
            }
            Refusal::AccountClosed { account } => write!(f, "{account} is closed"),
            Refusal::AccountFrozen { account } => {
                write!(f, "{account} is frozen; `tributary chart unfreeze` lets it be used again")
            }
            Refusal::AccountExpired { account } => {
                write!(f, "{account} has expired; `tributary chart limit {account} --expires DATE` gives it more time")
            }
            Refusal::MovesMaster { account } => {
                write!(
                    f,
                    "{account} is a bank account: only what the bank has done moves it, and its statement tells of that"
                )
            }
            Refusal::MovesSuspense { account } => {
                write!(f, "{account} holds what nobody could place; place its lines with `tributary route` instead")
            }
            Refusal::HoldExists { hold } => write!(f, "the hold {hold} is there already"),
            Refusal::HoldExceeded { hold, left } => write!(f, "the hold {hold} has only {left} minor units left"),
            Refusal::OverMovementLimit { account, limit, asked } => {
                write!(f, "{account} lets one decision move {limit} at most, and {asked} is asked for")
            }
            Refusal::AboveCeiling { account, ceiling, room, asked } => {
                write!(f, "I4: {account} has room for {room} below its ceiling of {ceiling}, and {asked} is to come")
            }
            Refusal::InsufficientFunds { account, available, needed } => {
                write!(f, "I4: {account} has {available} available and {needed} is needed")
            }
            Refusal::Overflow { account } => {
                write!(f, "the balance or turnover of {account} would exceed 64 bits of minor units")
            }
            Refusal::NotAtZero { account, balance } => {
                write!(f, "{account} holds {balance}; only an account at zero, without holds, can be closed")
            }
            Refusal::LimitsContradict { account, what } => write!(f, "{account}: {what}"),
        }
    }
}

/// The causes of decisions that place what waits in suspense: a line's route, and what an opening left over (I8).
const PLACING: [&str; 2] = ["route", "opening"];

/// What deciding needs to know of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: i64,
    /// Its path, for messages.
    pub code: String,
    /// Its book.
    pub book: i64,
    /// Decimals of its currency.
    pub exponent: u8,
    /// What it is.
    pub kind: AccountKind,
    /// Below which no decision takes it.
    pub floor: Option<i64>,
    /// Above which no decision takes it.
    pub ceiling: Option<i64>,
    /// What one decision moves at most.
    pub movement_limit: Option<i64>,
    /// Its time is over: no decision touches it.
    pub expired: bool,
    /// Frozen: no decision touches it.
    pub frozen: bool,
    /// Closed.
    pub closed: bool,
    /// Its balance.
    pub balance: Balance,
    /// Whether this state moved it.
    pub touched: bool,
}

/// The moving part of an account. Lifetime sums, so that nothing that is summed per day can overflow unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// All debits ever.
    pub debits: i64,
    /// All credits ever.
    pub credits: i64,
    /// Held now.
    pub held: i64,
    /// Postings ever.
    pub postings: i64,
}

impl Balance {
    /// Debits minus credits; both are at least zero, so this cannot overflow.
    pub fn booked(self) -> i64 {
        self.debits.saturating_sub(self.credits)
    }

    fn post(self, amount: i64) -> Option<Balance> {
        let (debits, credits) = match amount {
            0.. => (self.debits.checked_add(amount)?, self.credits),
            _ => (self.debits, self.credits.checked_sub(amount)?),
        };
        Some(Balance { debits, credits, postings: self.postings.checked_add(1)?, ..self })
    }

    fn hold(self, kind: HoldKind, amount: i64) -> Option<Balance> {
        let held = if kind.adds() {
            self.held.checked_add(amount)?
        } else {
            self.held.checked_sub(amount).filter(|h| *h >= 0)?
        };
        Some(Balance { held, ..self })
    }

    /// What a decision may spend: on the normal side, without what is held.
    pub fn available(self, kind: AccountKind) -> i64 {
        kind.natural(self.booked()).saturating_sub(self.held)
    }
}

/// What is left of a hold, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// The account on which it is.
    pub account: i64,
    /// Placed minus consumed, released and expired.
    pub left: i64,
}

/// An entry that was decided, and the balances after each of its movements.
#[derive(Debug)]
pub struct Decided<'a> {
    /// Its number.
    pub number: i64,
    /// Who asked for it.
    pub actor: &'a str,
    /// What was asked.
    pub entry: &'a NewEntry,
    /// Debit-positive balance after each posting.
    pub balances_after: Vec<i64>,
    /// Held after each movement of a hold.
    pub held_after: Vec<i64>,
}

/// The part of the journal that a batch of entries touches.
#[derive(Debug, Default)]
pub struct State {
    accounts: Vec<Account>,
    places: HashMap<i64, usize>,
    holds: HashMap<String, Hold>,
    /// Entries that are to be reversed: their postings, and whether one did already.
    reversible: HashMap<i64, (Vec<(i64, i64)>, bool)>,
}

impl State {
    /// The state of these accounts, holds and entries to be reversed.
    pub fn new(
        accounts: Vec<Account>,
        holds: HashMap<String, Hold>,
        reversible: HashMap<i64, (Vec<(i64, i64)>, bool)>,
    ) -> State {
        let places = accounts.iter().enumerate().map(|(place, a)| (a.id, place)).collect();
        State { accounts, places, holds, reversible }
    }

    /// The accounts that decided entries moved.
    pub fn touched(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter().filter(|a| a.touched)
    }

    fn account(&self, id: i64) -> Option<(usize, &Account)> {
        let place = *self.places.get(&id)?;
        Some((place, self.accounts.get(place)?))
    }

    /// Decides one entry and, when it may be posted, moves the balances.
    pub fn decide<'a>(&mut self, number: i64, actor: &'a str, entry: &'a NewEntry) -> Result<Decided<'a>, Refusal> {
        if entry.postings.is_empty() && entry.holds.is_empty() {
            return Err(Refusal::Empty);
        }
        self.check_shape(entry)?;
        self.check_reversal(entry)?;
        if entry.basis == Basis::Decision {
            self.check_open(entry)?;
        }
        let holds = self.check_holds(entry)?;
        // The new balances of the accounts touched, by place: a handful, so a list beats a map.
        let mut moved: Vec<(usize, Balance)> = Vec::with_capacity(entry.postings.len());
        let mut balances_after = Vec::with_capacity(entry.postings.len());
        for posting in &entry.postings {
            let after = self.move_balance(&mut moved, posting.account.0, |b| b.post(posting.amount))?;
            balances_after.push(after.booked());
        }
        let mut held_after = Vec::with_capacity(entry.holds.len());
        for hold in &entry.holds {
            let after = self.move_balance(&mut moved, hold.account.0, |b| b.hold(hold.kind, hold.amount))?;
            held_after.push(after.held);
        }
        if entry.basis == Basis::Decision {
            self.check_movement_limits(entry, &moved)?;
            self.check_floors(&moved)?;
            self.check_ceilings(&moved)?;
        }
        self.apply(entry, moved, holds);
        Ok(Decided { number, actor, entry, balances_after, held_after })
    }

    fn check_shape(&self, entry: &NewEntry) -> Result<(), Refusal> {
        let mut sums: Vec<(i64, i128)> = Vec::with_capacity(1);
        let touched = entry
            .postings
            .iter()
            .map(|p| (p.account, p.amount))
            .chain(entry.holds.iter().map(|h| (h.account, h.amount)));
        for (id, amount) in touched {
            let Some((_, account)) = self.account(id.0) else {
                return Err(Refusal::UnknownAccount { account: id.0.to_string() });
            };
            if amount == 0 || amount == i64::MIN {
                return Err(Refusal::ZeroAmount { account: account.code.clone() });
            }
        }
        for posting in &entry.postings {
            let book = self.account(posting.account.0).map_or(0, |(_, a)| a.book);
            match sums.iter_mut().find(|(b, _)| *b == book) {
                Some((_, sum)) => *sum = sum.saturating_add(i128::from(posting.amount)),
                None => sums.push((book, i128::from(posting.amount))),
            }
        }
        match sums.into_iter().find(|(_, sum)| *sum != 0) {
            None => Ok(()),
            Some((book, sum)) => Err(Refusal::Unbalanced { book, off_by: sum.to_string() }),
        }
    }

    fn check_reversal(&self, entry: &NewEntry) -> Result<(), Refusal> {
        let Some(target) = entry.reverses else { return Ok(()) };
        let Some((postings, reversed)) = self.reversible.get(&target) else {
            return Err(Refusal::ReversesNothing { entry: target });
        };
        let mirrored = entry.postings.iter().map(|p| (p.account.0, p.amount.checked_neg()));
        let opposite =
            entry.holds.is_empty() && mirrored.eq(postings.iter().map(|(account, amount)| (*account, Some(*amount))));
        if !opposite {
            return Err(Refusal::NotTheOpposite { entry: target });
        }
        if *reversed { Err(Refusal::AlreadyReversed { entry: target }) } else { Ok(()) }
    }

    fn check_open(&self, entry: &NewEntry) -> Result<(), Refusal> {
        let ids = entry.postings.iter().map(|p| p.account).chain(entry.holds.iter().map(|h| h.account));
        for (_, account) in ids.filter_map(|id| self.account(id.0)) {
            if account.closed {
                return Err(Refusal::AccountClosed { account: account.code.clone() });
            }
            if account.frozen {
                return Err(Refusal::AccountFrozen { account: account.code.clone() });
            }
            if account.expired {
                return Err(Refusal::AccountExpired { account: account.code.clone() });
            }
            if account.kind == AccountKind::Master {
                return Err(Refusal::MovesMaster { account: account.code.clone() });
            }
            if account.kind == AccountKind::Suspense && !PLACING.contains(&entry.cause.kind.as_str()) {
                return Err(Refusal::MovesSuspense { account: account.code.clone() });
            }
        }
        Ok(())
    }

    /// What the holds of the entry become.
    fn check_holds(&self, entry: &NewEntry) -> Result<Vec<(String, Hold)>, Refusal> {
        let mut after: Vec<(String, Hold)> = Vec::with_capacity(entry.holds.len());
        for movement in &entry.holds {
            let account = movement.account.0;
            if movement.amount < 0 {
                return Err(Refusal::ZeroAmount { account: account.to_string() });
            }
            let changed = after.iter().rev().find(|(id, _)| *id == movement.hold).map(|(_, h)| *h);
            let now = changed.or_else(|| self.holds.get(&movement.hold).copied());
            let left = match (now, movement.kind.adds()) {
                (Some(_), true) => return Err(Refusal::HoldExists { hold: movement.hold.clone() }),
                (None, true) => movement.amount,
                (Some(hold), false) if hold.account == account && hold.left >= movement.amount => {
                    hold.left.saturating_sub(movement.amount)
                }
                (now, false) => {
                    let left = now.filter(|h| h.account == account).map_or(0, |h| h.left);
                    return Err(Refusal::HoldExceeded { hold: movement.hold.clone(), left });
                }
            };
            after.push((movement.hold.clone(), Hold { account, left }));
        }
        Ok(after)
    }

    fn move_balance(
        &self,
        moved: &mut Vec<(usize, Balance)>,
        id: i64,
        change: impl FnOnce(Balance) -> Option<Balance>,
    ) -> Result<Balance, Refusal> {
        let Some((place, account)) = self.account(id) else {
            return Err(Refusal::UnknownAccount { account: id.to_string() });
        };
        let earlier = moved.iter().position(|(p, _)| *p == place);
        let before = earlier.and_then(|i| moved.get(i)).map_or(account.balance, |(_, b)| *b);
        let after = change(before).ok_or_else(|| Refusal::Overflow { account: account.code.clone() })?;
        match earlier.and_then(|i| moved.get_mut(i)) {
            Some(slot) => slot.1 = after,
            None => moved.push((place, after)),
        }
        Ok(after)
    }

    /// I4: what takes from an account must leave it at its floor or above. What adds to it may leave it below.
    fn check_floors(&self, moved: &[(usize, Balance)]) -> Result<(), Refusal> {
        for (place, after) in moved {
            let Some(account) = self.accounts.get(*place) else { continue };
            let Some(floor) = account.floor else { continue };
            let (had, has) = (account.balance.available(account.kind), after.available(account.kind));
            if has < had && has < floor {
                let text = |minor: i64| crate::money::Minor(minor).to_text_with(account.exponent);
                return Err(Refusal::InsufficientFunds {
                    account: account.code.clone(),
                    available: text(had.saturating_sub(floor)),
                    needed: text(had.saturating_sub(has)),
                });
            }
        }
        Ok(())
    }

    /// I4: what adds to an account must leave it at its ceiling or below. What takes from it may leave it above.
    fn check_ceilings(&self, moved: &[(usize, Balance)]) -> Result<(), Refusal> {
        for (place, after) in moved {
            let Some(account) = self.accounts.get(*place) else { continue };
            let Some(ceiling) = account.ceiling else { continue };
            let natural = |balance: Balance| account.kind.natural(balance.booked());
            let (had, has) = (natural(account.balance), natural(*after));
            if has > had && has > ceiling {
                let text = |minor: i64| crate::money::Minor(minor).to_text_with(account.exponent);
                return Err(Refusal::AboveCeiling {
                    account: account.code.clone(),
                    ceiling: text(ceiling),
                    room: text(ceiling.saturating_sub(had).max(0)),
                    asked: text(has.saturating_sub(had)),
                });
            }
        }
        Ok(())
    }

    /// What a decision moves on an account, either way, and each hold that it places.
    fn check_movement_limits(&self, entry: &NewEntry, moved: &[(usize, Balance)]) -> Result<(), Refusal> {
        for (place, after) in moved {
            let Some(account) = self.accounts.get(*place) else { continue };
            let Some(limit) = account.movement_limit else { continue };
            let net = i128::from(after.booked()).saturating_sub(i128::from(account.balance.booked()));
            let placed = entry.holds.iter().filter(|h| h.kind.adds() && h.account.0 == account.id);
            let largest = placed.map(|h| i128::from(h.amount)).max().unwrap_or(0).max(net.abs());
            if largest > i128::from(limit) {
                let text = |minor: i64| crate::money::Minor(minor).to_text_with(account.exponent);
                return Err(Refusal::OverMovementLimit {
                    account: account.code.clone(),
                    limit: text(limit),
                    asked: text(i64::try_from(largest).unwrap_or(i64::MAX)),
                });
            }
        }
        Ok(())
    }

    fn apply(&mut self, entry: &NewEntry, moved: Vec<(usize, Balance)>, holds: Vec<(String, Hold)>) {
        for (place, balance) in moved {
            if let Some(account) = self.accounts.get_mut(place) {
                account.balance = balance;
                account.touched = true;
            }
        }
        self.holds.extend(holds);
        if let Some((_, reversed)) = entry.reverses.and_then(|target| self.reversible.get_mut(&target)) {
            *reversed = true;
        }
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
