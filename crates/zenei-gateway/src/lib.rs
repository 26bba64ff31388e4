//! The edge that hears.
//!
//! This crate answers: how does what locks and hubs say reach the spool, the detector and the store, without losing what was acknowledged? It must not know
//! what an incident is, or how people are told: findings go to a [`Desk`] that the caller brings. Called by the binary and by the end-to-end tests.
mod appender;
pub mod clock;
mod desk;
mod driver;
pub mod forget;
mod gateway;
mod horizon;
mod seal_limits;
pub mod source;
mod stamp;
pub mod tail;
#[cfg(test)]
mod testing;

pub use appender::{AckPolicy, Closed};
pub use clock::Clock;
pub use desk::{Desk, DeskError};
pub use driver::{DriverError, PipelineMaker, Progress, RecoverError, SealError};
pub use gateway::{Gateway, GatewayConfig, GatewayError, Running, StartError};
pub use seal_limits::SealLimits;
pub use source::Counters;
pub use source::ingress::IngressLimits;
pub use source::mqtt::{MqttConfig, MqttConfigError};
pub use tail::{Tail, TailConfig, TailError};

/// An error and its causes on one line, for logs.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
