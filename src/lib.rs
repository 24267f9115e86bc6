//! Tributary: a centralized treasury. See `ARCHITECTURE.md` for the map.

pub mod access;
pub mod actor;
pub mod allocation;
pub mod app;
pub mod banking;
pub mod calendars;
pub mod chart;
pub mod cli;
pub mod config;
pub mod db;
pub mod demo;
pub mod error;
pub mod events;
pub mod expectations;
pub mod folders;
pub mod http;
pub mod ids;
pub mod ledger;
pub mod money;
pub mod positions;
pub mod rates;
pub mod scope;
pub mod sheet;
pub mod statements;
pub mod time;
pub mod webhooks;
