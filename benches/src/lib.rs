//! What zenei's parts cost: bodies of benchmarks, which tests run small and `cargo bench` runs large. Must not know how
//! the figures are judged: goals are printed beside them. Called by the benches and by this package's own tests.
#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]
pub mod clickhouse;
pub mod cost;
pub mod pages;
pub mod replay;
pub mod stream;
