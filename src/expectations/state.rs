//! The life of an expected receipt, pure.
//!
//! | state | event | next | function |
//! |---|---|---|---|
//! | - | a product announces it | open | [`super::add`] |
//! | open | a payment meets it | met | [`super::meet`] |
//! | open | its last day is over | expired: a break with a name | [`super::expire`] |
//! | open | nobody waits for it any more | cancelled | [`super::cancel`] |
//! | expired | the bank tells late of a payment of its days | met | [`super::meet`] |
//! | expired | a person has looked into the break | cancelled | [`super::cancel`] |
//! | met | a person says that it was not this payment | open | [`super::reopen`] |
//! | met | the bank takes back what met it | open | [`super::free`] |
//!
//! Everything else is refused; `tests/golden/expectations/states.txt` shows the whole matrix.

use std::fmt;

/// Where an expected receipt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It is waited for.
    Open,
    /// A payment met it.
    Met,
    /// Its days went by without it.
    Expired,
    /// Nobody waits for it any more.
    Cancelled,
}

/// What happens to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A payment meets it.
    Meet,
    /// Its last day is over.
    Expire,
    /// A person gives it up.
    Cancel,
    /// A person says that what met it was something else.
    Reopen,
    /// The bank takes back what met it.
    TakeBack,
}

impl State {
    /// All of them.
    pub const ALL: [State; 4] = [State::Open, State::Met, State::Expired, State::Cancelled];

    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Met => "met",
            State::Expired => "expired",
            State::Cancelled => "cancelled",
        }
    }

    /// From storage.
    pub fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// The state after an event; `None`: it cannot happen.
    pub fn after(self, event: Event) -> Option<State> {
        match (self, event) {
            (State::Open | State::Expired, Event::Meet) => Some(State::Met),
            (State::Open, Event::Expire) => Some(State::Expired),
            (State::Open | State::Expired, Event::Cancel) => Some(State::Cancelled),
            (State::Met, Event::Reopen | Event::TakeBack) => Some(State::Open),
            (State::Met | State::Cancelled, Event::Meet | Event::Cancel)
            | (State::Met | State::Expired | State::Cancelled, Event::Expire)
            | (State::Open | State::Expired | State::Cancelled, Event::Reopen | Event::TakeBack) => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 5] = [Event::Meet, Event::Expire, Event::Cancel, Event::Reopen, Event::TakeBack];

    /// As people say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::Meet => "met",
            Event::Expire => "expired",
            Event::Cancel => "cancelled",
            Event::Reopen => "opened again",
            Event::TakeBack => "taken back",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_is_the_golden_one() {
        let mut matrix = format!("{:<12}", "");
        for event in Event::ALL {
            matrix.push_str(&format!(" {:<14}", event.as_str()));
        }
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
            matrix.push_str(&format!("\n{state:<12}"));
            for event in Event::ALL {
                matrix.push_str(&format!(" {:<14}", state.after(event).map_or("-", State::as_str)));
            }
        }
        let matrix: String = matrix.lines().map(|l| format!("{}\n", l.trim_end())).collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/expectations/states.txt");
        if std::env::var("UPDATE").is_ok_and(|u| u == "1") {
            std::fs::write(path, &matrix).unwrap();
        }
        assert_eq!(matrix, std::fs::read_to_string(path).unwrap());
    }
}
