//! What holds against a real ClickHouse engine: tables, tokens, views, and records that come back as they went in. Asks
//! the server of `ZENEI_CLICKHOUSE_URL`, else an engine of its own; each test has a database of its own. Where there is
//! neither, the tests say so and return.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]
mod cohorts;
mod engine;
mod feed;
mod findings;
mod ground;
mod records;
mod rows;
mod shards;
mod tables;
mod tokens;
