//! Tributary: a centralized treasury. See `ARCHITECTURE.md` for the map.

pub mod actor;
pub mod db;
pub mod error;
pub mod ids;
pub mod money;
pub mod time;
