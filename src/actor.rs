//! Who acts, and what they may see: carried by every transaction from the first day.

use std::fmt;

/// Who caused a change, as events and entries record it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor(String);

impl Actor {
    /// A person at the command line of the machine that holds the database.
    pub fn operator(name: &str) -> Self {
        Actor(format!("operator:{name}"))
    }

    /// A part of Tributary that works by itself, such as the import of a statement.
    pub fn system(part: &str) -> Self {
        Actor(format!("system:{part}"))
    }

    /// As stored: `operator:alice`, `system:demo`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the actor may see and touch. An operator of the database file has everything; roles narrow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Reach);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    Everything,
}

impl Scope {
    /// The whole treasury: the operator's.
    pub fn everything() -> Self {
        Scope(Reach::Everything)
    }
}
