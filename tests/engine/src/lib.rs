//! Where a test finds a ClickHouse, and how it starts and ends. Starts `zenei-engine` with a folder of its own, or uses
//! the server of `ZENEI_CLICKHOUSE_URL`. Must not know what a test stores in it. Called by tests and benches alone:
//! nothing of the product depends on this package.
//!
//! The engine is ClickHouse 26.7 as a library, so its SQL, types, codecs, merges and deduplication are the real ones.
//! Not there: users, roles, quotas, row policies, sessions and temporary tables, Keeper, replicated and distributed
//! tables, `query_log`, asynchronous inserts (they are accepted and run at once), TLS, `compress=1`, `PARALLEL WITH`,
//! and errors in the middle of an answer: an answer is complete before it is sent, and a body is complete before it is
//! inserted, so that an insert whose connection breaks leaves nothing, where a server may have kept blocks of it.
//!
//! ```no_run
//! # fn a_test() {
//! let Some(engine) = zenei_engine::Engine::for_test() else { return };
//! let url = engine.url(); // for `clickhouse::Client::with_url`
//! # }
//! ```
pub mod engine;
pub mod library;

pub use engine::{Engine, StartError};
