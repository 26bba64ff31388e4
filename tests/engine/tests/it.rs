//! Does the unmodified `clickhouse` crate get from the engine what it gets from a server? With `ZENEI_CLICKHOUSE_URL`
//! the same tests ask a server; those of the process itself have an engine of their own.
#![expect(clippy::unwrap_used, reason = "all of it is tests; the lint knows only the functions that are marked so")]
mod clickhouse_client;
mod http;
mod process;
