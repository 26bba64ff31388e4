//! Where is a ClickHouse for a test, and how does it start and end? Starts `zenei-engine` with a folder of its own, or names the server of
//! `ZENEI_CLICKHOUSE_URL`. Must not know what a test keeps in it. Called by tests alone: nothing of the product depends on this package.
pub mod engine;
pub mod library;

pub use engine::{Engine, StartError};
