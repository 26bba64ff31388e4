//! What the product promises for unchecked bytes.
//!
//! This crate answers: which promises hold for any bytes? Each target has a module: its `check` takes any bytes and
//! panics where a promise is broken. It must not know how the bytes are generated. Called by libFuzzer (`targets/`),
//! and by `smoke` over the committed corpus inside `cargo test`.
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
