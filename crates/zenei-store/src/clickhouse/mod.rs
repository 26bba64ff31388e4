//! ClickHouse as the store: ships sealed ranges and findings to it, reads records back, and erases locks. Must not know
//! how records are received or evaluated. Called by the gateway's process, the desk's tail, the lab, and the commands
//! `record list`, `replay`, `forget` and `schema`.
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
