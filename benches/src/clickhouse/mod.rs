//! What ClickHouse costs: bytes a row, time of an insert, time of a query. Each is measured against a real engine.
//! Called by the bench of the same name.
pub mod codecs;
pub mod formats;
mod ground;
pub mod questions;

pub use ground::Ground;
