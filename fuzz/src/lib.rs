//! What the product promises of bytes that nobody checked.
//!
//! This crate answers: which promises hold for any bytes? A module for each target: its `check` takes any bytes and
//! panics where a promise is broken. It must not know who makes the bytes up. Called by libFuzzer (`targets/`), and by
//! `smoke` over the committed corpus inside `cargo test`.
pub mod advertisement;
pub mod cbor;
mod input;
pub mod json;
mod message;
#[cfg(test)]
mod mutate;
pub mod packet;
#[cfg(test)]
mod smoke;
pub mod spool;
pub mod topic;
