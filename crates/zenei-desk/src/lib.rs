//! The desk: the edge that informs people.
//!
//! This crate answers three things: what follows from the records of many gateways (the [`tail`]); what becomes of the
//! engine's findings (the [`driver`]: incidents and decisions, stored in one transaction); and how people and machines
//! read the result ([`http`]). It must not know how findings are made or how records are received. Called by the
//! binary: `run`, `demo`, `replay`, `rules test`, and `incident`, which reads the `log`. Stored times come from the
//! records, not from a clock.

mod candidates;
pub mod causes;
pub mod chart;
pub mod driver;
pub mod http;
pub mod incidents;
pub mod local;
pub mod log;
pub mod notify;
mod own_fault;
pub mod page;
pub mod request;
pub mod route;
pub mod shared;
pub mod spending;
pub mod tail;

pub use driver::{Attempt, DeskDriver, Seen, TakeError, Taken};
pub use http::{
    Gate, GateSettings, Guarded, Handles, Metric, MetricValue, OwnMetrics, Part, Readiness, ServeError, Traffic, serve,
};
pub use incidents::Incidents;
pub use local::LocalError;
pub use log::{IncidentLog, OpenError};
pub use notify::inward::Inward;
pub use request::{Refusal, Request};
pub use route::Route;
pub use shared::{DeskClock, SharedDesk};
pub use tail::{Tail, TailConfig, TailError};
