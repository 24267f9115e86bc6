//! All tests of the whole, in one binary: it links once.

mod chart;
mod crash;
mod databases;
mod demo;
mod formats;
mod given;
mod hostile_text;
mod intake;
mod interruption;
mod journal;
mod nodes;
mod positions;
mod scenarios;
mod tampering;
mod text_formats;
mod tidy;
mod tour;
mod writer;
