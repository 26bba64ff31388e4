//! The embedded store: Parquet files, one per table and sealed range, which DuckDB, polars and ClickHouse read without
//! conversion. Must not know servers. Called by the gateway's driver, the shipper, the desk's tail, the lab, and the
//! commands that read a store; the parts are in their own files.
//!
//! A file's name is its range and the time to which intake was advanced with it: `records/{from}-{to}-{ms}.parquet`.
//! Names sort in the order of sealing. A table gets no file for a range in which it has no row. Equal rows give equal
//! bytes, so sealing a range again after a crash replaces a file by an equal one.
mod batch;
mod erase;
mod error;
mod files;
mod others;
mod own;
mod ranges;
mod record;
mod rows;
mod store;
mod table;
mod value;
mod words;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod version_tests;

pub use batch::StoredBatch;
pub use erase::{EraseError, OfLock};
pub use error::{ReadError, SealError};
pub use others::{DeadLetters, Gaps, StoredGap};
pub use ranges::SealedRange;
pub use record::{StoredRecord, to_json};
pub use rows::{Numbering, Rows};
pub use store::{Batches, ParquetStore, SealedFiles};
