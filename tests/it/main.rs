//! All tests of the whole, in one binary: it links once.

mod databases;
mod formats;
mod given;
mod tidy;
mod writer;
