//! Tests that the unmodified `clickhouse` crate gets from the engine what it gets from a server. With
//! `ZENEI_CLICKHOUSE_URL` the same tests query a server; those of the process itself start an engine of their own.
#![expect(clippy::unwrap_used, reason = "all of it is tests; the lint knows only the functions that are marked so")]
mod clickhouse_client;
mod http;
mod process;
