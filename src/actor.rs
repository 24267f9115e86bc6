//! Who acts, and what they may see: carried by every transaction from the first day.

use std::fmt;

pub use crate::scope::Scope;

/// Who caused a change, as events and entries record it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor(String);

/// What kind of actor it is, with its id or name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal<'a> {
    /// Somebody at the machine that holds the database.
    Operator(&'a str),
    /// A part of Tributary.
    System(&'a str),
    /// A person who has signed in, by id.
    Person(&'a str),
    /// A machine with an API key, by the key's id.
    Key(&'a str),
}

impl Actor {
    /// A person at the command line of the machine that holds the database.
    pub fn operator(name: &str) -> Self {
        Actor(format!("operator:{name}"))
    }

    /// A part of Tributary that works by itself, such as the import of a statement.
    pub fn system(part: &str) -> Self {
        Actor(format!("system:{part}"))
    }

    /// A person who has signed in. By id: names change and can be erased, what is sealed cannot.
    pub fn person(id: &str) -> Self {
        Actor(format!("person:{id}"))
    }

    /// A machine with an API key.
    pub fn key(id: &str) -> Self {
        Actor(format!("key:{id}"))
    }

    /// One that was stored.
    pub fn from_stored(text: &str) -> Self {
        Actor(text.to_owned())
    }

    /// As stored: `operator:alice`, `system:demo`, `person:ps_01k9...`, `key:01k9...`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Which of the four it is.
    pub fn principal(&self) -> Principal<'_> {
        match self.0.split_once(':') {
            Some(("operator", name)) => Principal::Operator(name),
            Some(("person", id)) => Principal::Person(id),
            Some(("key", id)) => Principal::Key(id),
            Some((_, part)) => Principal::System(part),
            None => Principal::System(&self.0),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
