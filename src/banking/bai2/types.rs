//! What the type code of a BAI2 entry means for the account's money.
//!
//! The standard gives a range to credits and one to debits. What each bank defines for itself, and loans, whose direction
//! the standard leaves open, need a table; nothing is guessed, since a wrong guess would turn a payment round.

use super::record::shortened;
use crate::banking::Direction;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What an entry of a type does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Money moves.
    Moves(Direction),
    /// The bank takes back a booking of its own.
    Reversal(Direction),
    /// A payment comes back.
    Returned(Direction),
    /// No money moves.
    Information,
}

impl Meaning {
    pub(super) fn direction(self) -> Direction {
        match self {
            Meaning::Moves(direction) | Meaning::Reversal(direction) | Meaning::Returned(direction) => direction,
            Meaning::Information => Direction::Credit,
        }
    }
}

/// A bank's own types.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Types(BTreeMap<String, Own>);

/// What a table says of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Own {
    Credit,
    Debit,
    CreditReversal,
    DebitReversal,
    ReturnedCredit,
    ReturnedDebit,
    Information,
}

impl Types {
    pub(super) fn new(own: BTreeMap<String, Own>) -> Types {
        Types(own)
    }

    /// What a type means; the bank's table comes first, the standard's ranges after it.
    pub(super) fn meaning(&self, code: &str) -> Result<Meaning, String> {
        if let Some(own) = self.0.get(code) {
            return Ok(match own {
                Own::Credit => Meaning::Moves(Direction::Credit),
                Own::Debit => Meaning::Moves(Direction::Debit),
                Own::CreditReversal => Meaning::Reversal(Direction::Debit),
                Own::DebitReversal => Meaning::Reversal(Direction::Credit),
                Own::ReturnedCredit => Meaning::Returned(Direction::Debit),
                Own::ReturnedDebit => Meaning::Returned(Direction::Credit),
                Own::Information => Meaning::Information,
            });
        }
        let number = Some(code).filter(|c| c.len() == 3 && c.bytes().all(|b| b.is_ascii_digit()));
        let Some(number) = number.and_then(|c| c.parse::<u16>().ok()) else {
            return Err(format!("\"{}\" is no type of an entry: three digits are meant", shortened(code)));
        };
        match number {
            252 | 258 => Ok(Meaning::Reversal(Direction::Credit)),
            255 | 257 => Ok(Meaning::Returned(Direction::Credit)),
            552 | 558 => Ok(Meaning::Reversal(Direction::Debit)),
            555 | 557 => Ok(Meaning::Returned(Direction::Debit)),
            100..=399 => Ok(Meaning::Moves(Direction::Credit)),
            400..=699 => Ok(Meaning::Moves(Direction::Debit)),
            890 => Ok(Meaning::Information),
            700..=799 => Err(format!(
                "the type {code} is of a loan, whose direction the standard leaves open: say in a profile for this bank whether it is a credit or a debit"
            )),
            900..=999 => Err(format!(
                "the type {code} is this bank's own: say in a profile for this bank whether it is a credit or a debit"
            )),
            _ => Err(format!("the type {code} is of a balance or of nothing that is known, and no entry")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_follows_from_the_range_and_is_never_guessed() {
        let standard = Types::default();
        let cases = [
            ("142", Meaning::Moves(Direction::Credit)),
            ("399", Meaning::Moves(Direction::Credit)),
            ("400", Meaning::Moves(Direction::Debit)),
            ("698", Meaning::Moves(Direction::Debit)),
            ("252", Meaning::Reversal(Direction::Credit)),
            ("552", Meaning::Reversal(Direction::Debit)),
            ("257", Meaning::Returned(Direction::Credit)),
            ("555", Meaning::Returned(Direction::Debit)),
            ("890", Meaning::Information),
        ];
        for (code, meaning) in cases {
            assert_eq!(standard.meaning(code), Ok(meaning), "{code}");
        }
        for code in ["920", "999", "720", "010", "099", "1000", "", "14", "1x2", "800"] {
            assert!(standard.meaning(code).is_err(), "{code}");
        }
        let own = Types::new(BTreeMap::from([("920".to_owned(), Own::Debit)]));
        assert_eq!(own.meaning("920"), Ok(Meaning::Moves(Direction::Debit)));
        assert!(own.meaning("921").unwrap_err().contains("profile"));
    }
}
