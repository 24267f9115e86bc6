//! All tests of the whole, in one binary: it links once.

mod crash;
mod databases;
mod formats;
mod given;
mod intake;
mod journal;
mod nodes;
mod tampering;
mod tidy;
mod writer;
