//! The edge that tells people.
//!
//! This crate answers: what becomes of what the engine found (the [`driver`]: incidents and decisions, kept in one transaction), and how people and
//! machines can look at it ([`http`]). It must not know how findings are made, nor where records come from. Called by the binary for `run`,
//! `demo` and `replay`; time comes with each call.

pub mod driver;
pub mod http;
pub mod incidents;
#[cfg(test)]
mod samples;

pub use driver::{DeskDriver, OpenError, TakeError, Taken};
pub use http::{Figure, Figures, Handles, ServeError, Value, serve};
pub use incidents::Incidents;
