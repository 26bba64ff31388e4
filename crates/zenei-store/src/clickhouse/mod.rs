//! ClickHouse as the store: sealed ranges are shipped to it, and read back. Knows the tables of [`crate::schema`].
mod server;
mod trouble;

pub use server::{Server, ServerAddress, Timeouts};
pub use trouble::{MAX_TEXT_CHARS, Trouble, Verdict};
