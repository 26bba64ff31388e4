//! The edge that hears.
//!
//! This crate answers: how does what locks and hubs say reach the spool, the detector and the store, without losing
//! what was acknowledged? It must not know what an incident is, or how people are told: findings go to a
//! [`Desk`](zenei_detect::Desk) that the caller brings. Called by the binary and by the end-to-end tests.
mod config;
mod driver;
mod processing;
mod running;
pub mod source;
mod spool;
mod start;
mod start_error;
#[cfg(test)]
mod testing;

pub use config::GatewayConfig;
pub use driver::{DriverError, Progress, RecoverError, SealError, SealLimits};
pub use running::{GatewayError, Running};
pub use source::Counters;
pub use source::ingress::IngressLimits;
pub use source::mqtt::{MqttConfig, MqttConfigError};
pub use spool::{AckPolicy, Closed};
pub use start::start;
pub use start_error::StartError;
