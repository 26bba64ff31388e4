//! The gateway: the edge that receives.
//!
//! This crate answers: how do the messages of locks and hubs reach the spool, the detector and the store without
//! losing an acknowledged one? It must not know what an incident is, or how people are informed: findings go to a
//! [`Desk`](zenei_detect::Desk) that the caller supplies. Called by the binary (`run`, `demo`, `forget`; `scan` and
//! `doctor` use the radio alone) and by the end-to-end tests.
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
pub use source::mqtt::config::{MqttConfig, MqttConfigError};
pub use spool::{AckPolicy, Closed};
pub use start::start;
pub use start_error::StartError;
