//! Which messages does the configured broker have for this gateway? A subscriber that loses no message that the broker
//! still holds: a persistent session; acknowledgements in order of receipt, after the message is durable; one
//! connection at a time, dropped with all that belongs to it on any error, so that no acknowledgement reaches a
//! connection on which its message did not come. It is never deaf and believed healthy: no message stops those behind
//! it, and a subscription counts once the broker has granted it. The client is zenei's own because a general one closes
//! the connection at a packet that MQTT does not allow, which the broker then sends again, for ever. Must not know what
//! a payload means. Called by the gateway's start.
mod back_off;
pub mod config;
mod connection;
mod greeting;
mod limits;
mod packet;
pub mod probe;
pub mod status;
mod subscription;
#[cfg(test)]
mod tests;
mod writing;

use crate::source::{Counters, Stop, count};
use crate::spool::Inlet;
use back_off::BackOff;
use config::MqttConfig;
use connection::{Connection, End};
pub use greeting::{GreetError, LoginRefused};
use greeting::{Link, greet};
pub(crate) use limits::MqttLimits;
use status::BrokerState;
use std::sync::Arc;
use subscription::Subscription;
use zenei_store::clock::Elapsed;

/// A subscriber of one broker.
pub(crate) struct Subscriber {
    pub(crate) config: MqttConfig,
    pub(crate) inlet: Inlet,
    pub(crate) counters: Arc<Counters>,
    pub(crate) limits: MqttLimits,
}

impl Subscriber {
    /// Receives until the gateway stops, over as many connections as needed.
    pub(crate) async fn run(self, mut stop: Stop) {
        let (least, most) = self.limits.connect_again;
        let mut waits = BackOff::new(least, most);
        let mut subscription = Subscription::new(&self.config.topics);
        loop {
            let lived = Elapsed::start();
            let end = self.connection(&mut subscription, &mut stop).await;
            let reason = zenei_store::with_causes(&end);
            self.counters.broker.set(self.state_after(&end, reason.clone()));
            if matches!(end, End::Stopping) {
                return;
            }
            count(&self.counters.mqtt_errors);
            let wait = waits.next(lived.so_far() >= self.limits.good_after);
            tracing::warn!(reason, wait_ms = wait.as_millis(), host = %self.config.host, "the broker is not connected");
            tokio::select! {
                () = stop.wait() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One connection, gone at its end.
    async fn connection(&self, subscription: &mut Subscription, stop: &mut Stop) -> End {
        let (keep_alive, within) = (self.limits.keep_alive, self.limits.greet_within);
        let greeted = tokio::select! {
            greeted = greet(&self.config, false, keep_alive, within) => greeted,
            () = stop.wait() => return End::Stopping,
        };
        let link = match greeted {
            Ok(link) => link,
            Err(error) => return error.into(),
        };
        self.connected(&link, subscription);
        let connection = Connection { inlet: &self.inlet, counters: &self.counters, limits: self.limits };
        connection.run(link, subscription, stop).await
    }

    fn connected(&self, link: &Link, subscription: &mut Subscription) {
        let session_present = link.session_present;
        count(&self.counters.mqtt_connections);
        self.counters.broker.set(BrokerState::Connected);
        tracing::info!(host = %self.config.host, session_present, "the broker is connected");
        if subscription.connected(session_present) {
            count(&self.counters.mqtt_sessions_lost);
            tracing::warn!(host = %self.config.host, "the broker lost the session: what it held meanwhile is lost");
        }
    }

    fn state_after(&self, end: &End, reason: String) -> BrokerState {
        match end {
            End::Greet(GreetError::Refused(_)) => {
                count(&self.counters.mqtt_logins_refused);
                BrokerState::LoginRefused { reason }
            }
            End::Stopping
            | End::Greet(
                GreetError::Unreachable(_)
                | GreetError::Broke(_)
                | GreetError::Closed
                | GreetError::NoBroker
                | GreetError::Silent { .. },
            )
            | End::Closed
            | End::Io(_)
            | End::Silent { .. }
            | End::CutAtSubscribe(_)
            | End::NoSubAck { .. }
            | End::Broken(_)
            | End::Unsent(_) => BrokerState::Away { reason },
        }
    }
}
