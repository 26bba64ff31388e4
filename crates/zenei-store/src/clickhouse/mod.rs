//! ClickHouse as the store: sealed ranges are shipped to it, and read back. Knows the tables of [`crate::schema`].
mod columns;
#[cfg(test)]
mod fake;
mod reader;
mod self_test;
mod server;
mod shard;
pub mod ship;
mod trouble;

pub use reader::{RecordsError, each_record};
pub use self_test::{SelfTestError, self_test};
pub use server::{Server, ServerAddress, Timeouts};
pub use ship::{Ended, Go, ShipError, ShipOptions, Shipped, Shipper, shipped};
pub use trouble::{MAX_TEXT_CHARS, Trouble, Verdict};
