//! The edge that tells people.
//!
//! This crate answers: what do many gateways' records lead to (the [`tail`]), what becomes of what the engine found
//! (the [`driver`]: incidents and decisions, kept in one transaction), and how can people and machines look at it
//! ([`http`])? It must not know how findings are made, nor how records are heard. Called by the binary for `run`,
//! `demo` and `replay`; what is stored has its time from the records.

pub mod driver;
pub mod http;
pub mod incidents;
pub mod log;
pub mod tail;

pub use driver::{DeskDriver, TakeError, Taken};
pub use http::{Handles, Metric, MetricValue, OwnMetrics, ServeError, serve};
pub use incidents::Incidents;
pub use log::{IncidentLog, OpenError};
pub use tail::{Tail, TailConfig, TailError};
