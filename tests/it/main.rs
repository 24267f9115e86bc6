//! All tests of the whole, in one binary: it links once.

mod chart;
mod databases;
mod demo;
mod formats;
mod positions;
mod scenarios;
mod tidy;
mod tour;
