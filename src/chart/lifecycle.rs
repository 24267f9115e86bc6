//! The life of a leaf: its states, its limits and its end.
//!
//! | state | freeze | unfreeze | close | reopen |
//! |---|---|---|---|---|
//! | open | frozen | as it is | closed, when at zero | as it is |
//! | frozen | as it is | open | closed, when at zero | refused |
//! | closed | refused | refused | as it is | open |
//!
//! All of it binds decisions. What the bank has done is posted to a frozen, expired or limited leaf all the same; a closed one
//! stays at zero, and what comes for it waits in suspense. An expiry date is the leaf's last day, in its master's time zone.

use super::{Refusal, store};
use crate::db::{Conn, Tx};
use crate::error::Result;
use crate::ledger::{self, AccountRow, Terms};
use crate::money::{Currency, Minor};
use crate::time::{Instant, end_of_day};
use chrono::NaiveDate;

/// What a leaf is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Decisions may move its money.
    Open,
    /// Decisions may not; what the bank has done is posted all the same.
    Frozen,
    /// At zero, and to stay there until it is reopened.
    Closed,
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Stops decisions.
    Freeze,
    /// Lets them go on.
    Unfreeze,
    /// Ends it.
    Close,
    /// Begins it again.
    Reopen,
}

impl State {
    /// Every state.
    pub const ALL: [State; 3] = [State::Open, State::Frozen, State::Closed];

    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Frozen => "frozen",
            State::Closed => "closed",
        }
    }

    /// From storage.
    pub fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Where a move leads; `None` when it is not allowed.
    pub fn after(self, asked: Move) -> Option<State> {
        match (self, asked) {
            (State::Open | State::Frozen, Move::Freeze) => Some(State::Frozen),
            (State::Open | State::Frozen, Move::Unfreeze) | (State::Open | State::Closed, Move::Reopen) => {
                Some(State::Open)
            }
            (_, Move::Close) => Some(State::Closed),
            (State::Closed, Move::Freeze | Move::Unfreeze) | (State::Frozen, Move::Reopen) => None,
        }
    }

    /// For messages: what can be done instead.
    pub(super) fn ways_on(self) -> &'static str {
        match self {
            State::Open => "be frozen or, at zero, closed",
            State::Frozen => "be unfrozen or, at zero, closed",
            State::Closed => "be reopened",
        }
    }
}

impl Move {
    /// Every move.
    pub const ALL: [Move; 4] = [Move::Freeze, Move::Unfreeze, Move::Close, Move::Reopen];

    /// For messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Move::Freeze => "be frozen",
            Move::Unfreeze => "be unfrozen",
            Move::Close => "be closed",
            Move::Reopen => "be reopened",
        }
    }
}

/// Moves a leaf through its life, for a reason; `false` when it was in that state already.
pub fn change_state(tx: &mut Tx<'_>, code: &str, asked: Move, reason: &str) -> Result<(State, bool)> {
    let account = leaf_account(tx.conn(), code)?;
    refuse_no_reason(reason)?;
    let state = State::parse(&account.state).unwrap_or(State::Closed);
    let Some(after) = state.after(asked) else {
        return Err(Refusal::WrongState { code: code.to_owned(), state, asked }.into());
    };
    if after == state {
        return Ok((after, false));
    }
    ledger::set_state(tx, code, after.as_str(), reason)?;
    Ok((after, true))
}

/// What is to change of a leaf's limits; amounts as text of its currency, `None` stays as it is, `Some(None)` takes the limit
/// away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitChange {
    /// Below which no decision takes what is available.
    pub floor: Option<Option<String>>,
    /// Above which no decision takes what is booked.
    pub ceiling: Option<Option<String>>,
    /// What one decision moves at most.
    pub movement_limit: Option<Option<String>>,
    /// Its last day.
    pub expires_on: Option<Option<NaiveDate>>,
}

impl LimitChange {
    /// Whether nothing is to change.
    pub fn is_empty(&self) -> bool {
        *self == LimitChange::default()
    }

    /// Its amounts, each by itself, with the name of its field.
    pub(super) fn amounts(&self) -> [(&'static str, LimitChange); 3] {
        let none = LimitChange::default;
        [
            ("floor", LimitChange { floor: self.floor.clone(), ..none() }),
            ("ceiling", LimitChange { ceiling: self.ceiling.clone(), ..none() }),
            ("movement_limit", LimitChange { movement_limit: self.movement_limit.clone(), ..none() }),
        ]
    }

    /// The terms that follow, or what is wrong with which.
    pub fn applied_to(&self, before: Terms, currency: Currency, time_zone: &str) -> Result<Terms, String> {
        let amount = |name: &str, asked: &Option<Option<String>>, stays: Option<i64>| match asked {
            None => Ok(stays),
            Some(None) => Ok(None),
            Some(Some(text)) => match Minor::parse(text, currency).and_then(|m| m.opposite().and(Ok(m))) {
                Ok(minor) => Ok(Some(minor.0)),
                Err(problem) => Err(format!("{name}: {problem}")),
            },
        };
        let expires_at = match self.expires_on {
            None => before.expires_at,
            Some(None) => None,
            Some(Some(day)) => Some(end_of_expiry(day, time_zone)?),
        };
        Ok(Terms {
            floor: amount("floor", &self.floor, before.floor)?,
            ceiling: amount("ceiling", &self.ceiling, before.ceiling)?,
            movement_limit: amount("movement limit", &self.movement_limit, before.movement_limit)?,
            expires_at,
        })
    }
}

fn end_of_expiry(day: NaiveDate, time_zone: &str) -> Result<Instant, String> {
    end_of_day(day, time_zone).ok_or_else(|| format!("expires: {day} is not a day that can be kept in {time_zone}"))
}

/// Gives a leaf other limits, for a reason; answers them, and whether they are new.
pub fn change_limits(tx: &mut Tx<'_>, code: &str, change: &LimitChange, reason: &str) -> Result<(Terms, bool)> {
    let account = leaf_account(tx.conn(), code)?;
    refuse_no_reason(reason)?;
    let bad = |what: String| Refusal::BadLimit { code: code.to_owned(), what };
    let currency = account.currency.parse().map_err(|e: crate::money::Problem| bad(e.to_string()))?;
    let time_zone = store::time_zone_of_book(tx.conn(), account.book)?;
    let terms = change.applied_to(Terms::of(&account), currency, &time_zone).map_err(bad)?;
    let changed = ledger::set_terms(tx, code, &terms, reason)?;
    Ok((terms, changed))
}

/// The account of a leaf or house leaf.
fn leaf_account(conn: &mut Conn, code: &str) -> Result<AccountRow> {
    let kind = match store::find_sub_account(conn, code)? {
        Some(found) if found.account.is_some() => return ledger::account(conn, code),
        Some(_) => "a summary of leaves".to_owned(),
        // Masters, suspense and in-transit have accounts, but no life cycle of their own.
        None => format!("an account of kind {}", ledger::account(conn, code)?.kind),
    };
    Err(Refusal::NotALeaf { code: code.to_owned(), kind }.into())
}

fn refuse_no_reason(reason: &str) -> Result<()> {
    if reason.trim().is_empty() { Err(Refusal::NoReason.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_header_is_what_happens() {
        let said = |state: State, asked: Move| match state.after(asked) {
            None => "refused",
            Some(after) if after == state => "as it is",
            Some(State::Closed) => "closed, when at zero",
            Some(after) => after.as_str(),
        };
        let header = include_str!("lifecycle.rs");
        for state in State::ALL {
            let row = format!("//! | {} | {} |", state.as_str(), Move::ALL.map(|m| said(state, m)).join(" | "));
            assert!(header.contains(&row), "{row}");
        }
    }

    #[test]
    fn limits_are_exact_amounts_of_the_currency() {
        let eur: Currency = "EUR".parse().unwrap();
        let ask = |text: &str| LimitChange { ceiling: Some(Some(text.to_owned())), ..LimitChange::default() };
        let before = Terms { floor: Some(0), ..Terms::default() };
        let terms = ask("1000.5").applied_to(before, eur, "Europe/Berlin").unwrap();
        assert_eq!(terms, Terms { ceiling: Some(100_050), ..before });
        for wrong in ["1000.555", "1,000", "", "lots", "1e9"] {
            assert!(ask(wrong).applied_to(before, eur, "Europe/Berlin").unwrap_err().starts_with("ceiling: "));
        }
    }

    #[test]
    fn a_leaf_lasts_to_the_end_of_its_last_day_where_its_master_is() {
        let last = "2026-03-31".parse().unwrap();
        let change = LimitChange { expires_on: Some(Some(last)), ..LimitChange::default() };
        let eur: Currency = "EUR".parse().unwrap();
        let at = |zone| change.applied_to(Terms::default(), eur, zone).unwrap().expires_at.unwrap().to_rfc3339();
        assert_eq!(at("Europe/Berlin"), "2026-03-31T22:00:00+00:00");
        assert_eq!(at("Asia/Tokyo"), "2026-03-31T15:00:00+00:00");
    }
}
