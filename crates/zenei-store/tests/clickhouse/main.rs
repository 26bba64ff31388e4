//! Tests against a real ClickHouse engine: tables, tokens, views, and records that come back unchanged. They use the
//! server of `ZENEI_CLICKHOUSE_URL`, else an engine that they start; each test has its own database. Without either,
//! the tests report that on standard error and return; where `CI` or `ZENEI_REQUIRE_ENGINE` is set, they fail.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]
mod cohorts;
mod engine;
mod feed;
mod findings;
mod ground;
mod history;
mod mends;
mod records;
mod rows;
mod shards;
mod tables;
mod tokens;
