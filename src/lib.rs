//! Tributary: a centralized treasury. See `ARCHITECTURE.md` for the map.

pub mod actor;
pub mod app;
pub mod chart;
pub mod cli;
pub mod config;
pub mod db;
pub mod error;
pub mod ids;
pub mod ledger;
pub mod money;
pub mod positions;
pub mod time;
