//! All tests of the whole, in one binary: it links once.

mod chart;
mod crash;
mod databases;
mod demo;
mod formats;
mod given;
mod intake;
mod interruption;
mod journal;
mod nodes;
mod positions;
mod reference;
mod scenarios;
mod tampering;
mod tidy;
mod tour;
mod writer;
