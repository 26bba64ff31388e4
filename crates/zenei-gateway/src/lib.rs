//! The edge that hears.
//!
//! This crate answers: how does what locks and hubs say reach the spool, the detector and the store, without losing what was acknowledged? It must not know
//! what an incident is, or how people are told: findings go to a [`Desk`](zenei_detect::Desk) that the caller brings. Called by the binary and by the end-to-end tests.
mod appender;
mod driver;
mod gateway;
mod horizon;
mod seal_limits;
pub mod source;
mod stamp;
#[cfg(test)]
mod testing;

pub use appender::{AckPolicy, Closed};
pub use driver::{DriverError, Progress, RecoverError, SealError};
pub use gateway::{Gateway, GatewayConfig, GatewayError, Running, StartError};
pub use seal_limits::SealLimits;
pub use source::Counters;
pub use source::ingress::IngressLimits;
pub use source::mqtt::{MqttConfig, MqttConfigError};
