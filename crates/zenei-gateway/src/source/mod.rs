//! Where do messages come from? One file per source: a broker, the ingress, the radio. Each puts messages into the
//! appender's queue; the broker's subscriber and the ingress acknowledge a message once it is durable, and the radio
//! acknowledges nothing. Must not know records, the detector or the store. Called by the gateway's start.
pub mod ble;
pub mod ingress;
pub mod mqtt;
pub mod topic;

use mqtt::status::BrokerStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// The counters of the sources, outside the ledger of records; since the start of the process.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "each name says what is counted")]
pub struct Counters {
    pub ingress_connections: AtomicU64,
    pub ingress_refused: AtomicU64,
    pub ingress_protocol_errors: AtomicU64,
    /// Clients of version 5 that said no name, and got one.
    pub ingress_nameless: AtomicU64,
    /// How it stands with the broker.
    pub broker: BrokerStatus,
    /// Connections on which the broker accepted the login.
    pub mqtt_connections: AtomicU64,
    /// Connections on which the broker had lost the session: the messages that it held for this gateway are lost.
    pub mqtt_sessions_lost: AtomicU64,
    /// Connections that ended, or that could not be made; refused logins among them.
    pub mqtt_errors: AtomicU64,
    pub mqtt_logins_refused: AtomicU64,
    /// Answers to SUBSCRIBE that did not grant each filter.
    pub mqtt_subscriptions_refused: AtomicU64,
    /// Packets that MQTT does not allow and that were got past; a message among them was kept.
    pub mqtt_unreadable: AtomicU64,
}

/// Adds one and returns the new count.
pub(crate) fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}

/// Signals a source to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(crate) fn new(receiver: watch::Receiver<bool>) -> Self {
        Self(receiver)
    }

    /// Returns once the gateway stops. Safe to cancel.
    pub(crate) async fn wait(&mut self) {
        // A sender that is gone is a gateway that is gone.
        drop(self.0.wait_for(|&stop| stop).await);
    }
}
