//! ClickHouse as the store: sealed ranges are shipped to it, and read back. Knows the tables of [`crate::schema`].
mod columns;
mod erase;
#[cfg(test)]
mod fake;
mod feed;
mod query;
mod reader;
mod self_test;
mod server;
mod server_error;
mod shard;
pub mod ship;

pub use erase::{count_naming, erase};
pub use feed::{ClickHouseFeed, Feed, GatewayProgress, Past};
pub use reader::{EachHeard, RecordsError, dead_letters, each_heard, each_record};
pub use self_test::{SelfTestError, self_test};
pub use server::{Server, ServerAddress, Timeouts};
pub use server_error::{MAX_TEXT_CHARS, Retry, ServerError};
pub use ship::findings::{FindingsError, FindingsShipper, ship_findings_anew};
pub use ship::{Ended, Go, ShipError, ShipOptions, Shipped, Shipper, shipped};
