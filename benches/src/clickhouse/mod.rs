//! What does ClickHouse cost: bytes a row, time an insert, time a question? Each against a real engine. Called by the
//! bench of the same name.
pub mod codecs;
pub mod formats;
mod ground;
pub mod questions;

pub use ground::Ground;
