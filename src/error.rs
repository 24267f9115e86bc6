//! The few kinds of failure that a caller can act on.
//!
//! A feature says its business "no" with a `Refusal` enum of its own, whose variants stand in the order in which they are
//! checked. Here it becomes one kind, [`Error::Refused`], which keeps the stable code and the sentence: no error enum
//! nests another, and no caller has to know the features below it. Database errors become one of these once, in `db`.

use std::fmt;

/// What a command answers when it does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A business rule says no. `code` is stable snake_case; `message` is a sentence for people.
    Refused {
        /// Stable, snake_case, documented.
        code: &'static str,
        /// What was refused, why, and how to mend it.
        message: String,
    },
    /// There is no such thing, or none that the caller may see.
    NotFound(String),
    /// The caller may not do this.
    Forbidden(String),
    /// The same key or identity was used before with other content.
    Conflict(String),
    /// Too much is under way; the same call may succeed in a moment.
    Busy(String),
    /// A fault of the machine, the database or of ours. Nothing was changed unless the message says so.
    Broken(String),
}

/// The result of every command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A business "no" of one feature.
pub trait Refusal: fmt::Display {
    /// The stable snake_case code, documented in `docs/refusals.md`.
    fn code(&self) -> &'static str;
}

impl<R: Refusal> From<R> for Error {
    fn from(refusal: R) -> Self {
        Error::Refused { code: refusal.code(), message: refusal.to_string() }
    }
}

impl Error {
    /// The stable code by which a program tells failures apart.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Refused { code, .. } => code,
            Error::NotFound(_) => "not_found",
            Error::Forbidden(_) => "forbidden",
            Error::Conflict(_) => "conflict",
            Error::Busy(_) => "busy",
            Error::Broken(_) => "broken",
        }
    }

    /// Whether the world said no (an answer), rather than the machine failing (a fault).
    pub fn is_answer(&self) -> bool {
        !matches!(self, Error::Broken(_) | Error::Busy(_))
    }

    /// Puts what was being done before the message, so that it says where.
    pub fn within(self, what: impl fmt::Display) -> Self {
        match self {
            Error::Refused { code, message } => Error::Refused { code, message: format!("{what}: {message}") },
            Error::NotFound(m) => Error::NotFound(format!("{what}: {m}")),
            Error::Forbidden(m) => Error::Forbidden(format!("{what}: {m}")),
            Error::Conflict(m) => Error::Conflict(format!("{what}: {m}")),
            Error::Busy(m) => Error::Busy(format!("{what}: {m}")),
            Error::Broken(m) => Error::Broken(format!("{what}: {m}")),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused { message, .. } => f.write_str(message),
            Error::NotFound(m) | Error::Forbidden(m) | Error::Conflict(m) | Error::Busy(m) | Error::Broken(m) => {
                f.write_str(m)
            }
        }
    }
}

impl std::error::Error for Error {}
