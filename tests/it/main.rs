//! All tests of the whole, in one binary: it links once.

mod access;
mod announced;
mod chart;
mod crash;
mod databases;
mod demo;
mod formats;
mod given;
mod hostile;
mod hostile_text;
mod intake;
mod interruption;
mod journal;
mod mutation;
mod nodes;
mod order;
mod other_parsers;
mod packed;
mod positions;
mod reference;
mod scenarios;
mod tampering;
mod text_formats;
mod tidy;
mod tour;
mod writer;
