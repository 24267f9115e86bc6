//! Whose money each bank line is: line, route, post. See [`rules`] for the part that is data.

pub mod rules;
