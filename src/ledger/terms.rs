//! The terms of an account: what decisions on it must keep to, besides its state.
//!
//! Terms bind decisions and never facts (I4). They stand with the account, so that posting reads them with it; each change is
//! an event, from which `check` proves that a stored term was not changed behind our back and that past decisions kept to it.

use super::{AccountKind, AccountRow, Refusal, store};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::money::{Currency, Minor};
use crate::time::{Instant, from_stored, rfc3339};
use serde_json::{Value, json};

/// The kind of the events that tell of changed terms.
pub(super) const EVENT: &str = "account.terms";

/// Minor units on the account's normal side; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Below which no decision takes what is available.
    pub floor: Option<i64>,
    /// Above which no decision takes what is booked.
    pub ceiling: Option<i64>,
    /// What one decision moves or reserves at most.
    pub movement_limit: Option<i64>,
    /// From when on no decision is taken.
    pub expires_at: Option<Instant>,
}

impl Terms {
    /// What an account of a kind begins with.
    pub fn of_kind(kind: AccountKind) -> Terms {
        Terms { floor: kind.floor(), ..Terms::default() }
    }

    /// Those that are stored.
    pub fn of(account: &AccountRow) -> Terms {
        Terms {
            floor: account.floor,
            ceiling: account.ceiling,
            movement_limit: account.movement_limit,
            expires_at: account.expires_at.map(from_stored),
        }
    }

    /// Why no balance could keep to them.
    pub fn problem(&self, currency: Currency) -> Option<String> {
        let text = |minor: i64| format!("{} {currency}", Minor(minor).to_text(currency));
        if let Some(limit) = self.movement_limit.filter(|limit| *limit <= 0) {
            return Some(format!("a limit of {} lets nothing move; freeze the account instead", text(limit)));
        }
        let ceiling = self.ceiling.filter(|ceiling| *ceiling < self.floor.unwrap_or(0).max(0))?;
        Some(format!("a ceiling of {} is below its floor, or below zero", text(ceiling)))
    }

    /// As events keep them: exact decimals, and an instant.
    pub(super) fn to_json(self, exponent: i64) -> Value {
        let exponent = u8::try_from(exponent).unwrap_or(0);
        let text = |minor: Option<i64>| minor.map(|m| Minor(m).to_text_with(exponent));
        json!({
            "floor": text(self.floor), "ceiling": text(self.ceiling), "movement_limit": text(self.movement_limit),
            "expires_at": self.expires_at.map(rfc3339),
        })
    }

    /// What [`Terms::to_json`] wrote; what cannot be read is no limit, and `check` finds that it differs.
    pub(super) fn from_json(json: &Value, account: &AccountRow) -> Terms {
        let currency = account.currency.parse::<Currency>().ok();
        let amount = |key: &str| Some(Minor::parse(json[key].as_str()?, currency?).ok()?.0);
        Terms {
            floor: amount("floor"),
            ceiling: amount("ceiling"),
            movement_limit: amount("movement_limit"),
            expires_at: json["expires_at"].as_str().and_then(|text| text.parse().ok()),
        }
    }
}

/// Gives an account other terms; `false` when they are what they were. A balance that breaks them stays: from then on no
/// decision makes it worse.
pub fn set_terms(tx: &mut Tx<'_>, code: &str, terms: &Terms, reason: &str) -> Result<bool> {
    let account = store::account(tx.conn(), code)?;
    let before = Terms::of(&account);
    if before == *terms {
        return Ok(false);
    }
    let currency = account.currency.parse().map_err(|e: crate::money::Problem| Error::Broken(e.to_string()))?;
    if let Some(what) = terms.problem(currency) {
        return Err(Refusal::LimitsContradict { account: account.code, what }.into());
    }
    store::update_terms(tx, account.id, terms)?;
    tell(tx, &account.code, (&before, terms), account.exponent, reason);
    Ok(true)
}

/// The event of a change.
pub(super) fn tell(tx: &mut Tx<'_>, code: &str, (before, after): (&Terms, &Terms), exponent: i64, reason: &str) {
    let mut told = after.to_json(exponent);
    told["reason"] = json!(reason);
    tx.event(EVENT, code, Some(before.to_json(exponent).to_string()), Some(told.to_string()));
}
