//! Which messages does the configured broker have for this gateway? A subscriber that loses no message that the broker
//! still holds: a persistent session; manual acknowledgements, in order of receipt, after the message is durable; and
//! one event loop per connection, dropped on any error, so that no acknowledgement reaches a connection on which its
//! message did not come. Must not know what a payload means. Called by the gateway's start.
use crate::source::topic::TopicName;
use crate::source::{Counters, Stop, count};
use crate::spool::{Inlet, Message, Receipt};
use bytes::Bytes;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS, SubscribeFilter, SubscribeReasonCode};
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use zenei_store::Source;
use zenei_store::clock::Elapsed;

/// The longest wait before the next attempt to connect.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// The first wait; doubled for each failure in a row. A guess.
const BACK_OFF_MIN: Duration = Duration::from_millis(500);
/// A connection that lived this long counts as good: the next wait starts small again. A guess.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// How long the last acknowledgements may take when the gateway stops. A guess.
const FAREWELL_WITHIN: Duration = Duration::from_secs(5);
/// The keep alive sent to the broker. A guess: a dead link is noticed within a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Requests that wait for the event loop; acknowledgements beyond it wait in their own task, never in the one that
/// polls.
const REQUESTS: usize = 1_024;
/// The largest packet accepted from the broker. Far above the contract: a packet that a subscriber refuses breaks the
/// connection, and the broker would send it again on each next one, for ever. A payload above the contract's 64 KiB
/// becomes a dead letter. A broker that passes larger packets than this is configured wrongly.
const MAX_PACKET_BYTES: usize = 16 * 1024 * 1024;

/// The broker and its topics.
#[derive(Clone)]
pub struct MqttConfig {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Stable over restarts; under it the broker stores the messages that this gateway missed. Not empty.
    pub client_id: String,
    /// Topic filters, at least one.
    pub topics: Vec<String>,
    /// User name and password.
    pub login: Option<(String, String)>,
}

impl std::fmt::Debug for MqttConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, client_id, topics, login } = self;
        let user = login.as_ref().map(|(user, _)| user);
        let mut shown = f.debug_struct("MqttConfig");
        shown.field("host", host).field("port", port).field("client_id", client_id);
        shown.field("topics", topics).field("user", &user).finish_non_exhaustive()
    }
}

/// Why a broker can't be used as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MqttConfigError {
    /// An empty client id.
    #[error("the client id is empty; one that stays the same over restarts is needed")]
    NoClientId,
    /// No filter, or one that MQTT does not allow.
    #[error("the topic filter '{filter}' is not allowed; at least one filter such as 'bitlock/v1/#' is needed")]
    Filter {
        /// The refused filter; empty where there is none.
        filter: String,
    },
}

impl MqttConfig {
    /// Whether the client id and the filters can be used.
    ///
    /// # Errors
    /// [`MqttConfigError::NoClientId`] and [`MqttConfigError::Filter`].
    pub fn check(&self) -> Result<(), MqttConfigError> {
        // rumqttc refuses a leading space by a panic.
        if self.client_id.is_empty() || self.client_id.starts_with(' ') {
            return Err(MqttConfigError::NoClientId);
        }
        match self.topics.iter().find(|filter| !rumqttc::valid_filter(filter)) {
            Some(filter) => Err(MqttConfigError::Filter { filter: filter.clone() }),
            None if self.topics.is_empty() => Err(MqttConfigError::Filter { filter: String::new() }),
            None => Ok(()),
        }
    }

    fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(self.client_id.as_str(), self.host.as_str(), self.port);
        options.set_clean_session(false).set_manual_acks(true).set_keep_alive(KEEP_ALIVE);
        options.set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES);
        if let Some((user, password)) = &self.login {
            options.set_credentials(user.as_str(), password.as_str());
        }
        options
    }
}

/// Why a connection to the broker ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the gateway stops")]
    Stopping,
    #[error("the broker refused the subscription")]
    Unsubscribed,
    #[error("a request could not be queued on a new connection")]
    Queue(#[from] rumqttc::ClientError),
    #[error("the connection failed")]
    Connection(#[source] Box<rumqttc::ConnectionError>),
}

/// A subscriber of one broker.
pub(crate) struct Subscriber {
    pub(crate) config: MqttConfig,
    pub(crate) inlet: Inlet,
    pub(crate) counters: Arc<Counters>,
}

impl Subscriber {
    /// Receives until the gateway stops, over as many connections as needed.
    pub(crate) async fn run(self, mut stop: Stop) {
        let mut waits = BackOff::default();
        let mut subscribed = false;
        loop {
            let lived = Elapsed::start();
            let end = self.connection(&mut subscribed, stop.clone()).await;
            self.counters.mqtt_connected.store(false, Ordering::Relaxed);
            self.counters.mqtt_subscribed.store(false, Ordering::Relaxed);
            if matches!(end, End::Stopping) {
                return;
            }
            count(&self.counters.mqtt_errors);
            let wait = waits.next(lived.so_far() >= GOOD_AFTER);
            let reason = zenei_store::with_causes(&end);
            tracing::warn!(reason, wait_ms = wait.as_millis(), host = %self.config.host, "the broker is not connected");
            tokio::select! {
                () = stop.wait() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One connection: one event loop, one client, both gone at its end.
    async fn connection(&self, subscribed: &mut bool, mut stop: Stop) -> End {
        let (client, event_loop) = AsyncClient::new(self.config.options(), REQUESTS);
        // Bounded by the protocol: a broker has at most 65,535 packet ids in flight. A bound here could stop the poll
        // that the acknowledgements need.
        let (unacked, queue) = mpsc::unbounded_channel();
        let mut acks = tokio::spawn(acknowledge(client.clone(), queue));
        // Polled to its end or dropped as a whole, never one branch of a select around single polls, which would lose
        // packets.
        let end = tokio::select! {
            end = self.poll(event_loop, &client, unacked, subscribed) => end,
            () = stop.wait() => End::Stopping,
        };
        if tokio::time::timeout(FAREWELL_WITHIN, &mut acks).await.is_err() {
            acks.abort();
        }
        end
    }

    async fn poll(
        &self,
        mut event_loop: EventLoop,
        client: &AsyncClient,
        unacked: mpsc::UnboundedSender<(Publish, Receipt)>,
        subscribed: &mut bool,
    ) -> End {
        loop {
            let event = match event_loop.poll().await {
                Ok(event) => event,
                Err(error) => return End::Connection(Box::new(error)),
            };
            let step = match event {
                Event::Incoming(Packet::Publish(publish)) => self.take(publish, &unacked).await,
                Event::Incoming(Packet::ConnAck(ack)) => self.connected(ack.session_present, client, subscribed),
                Event::Incoming(Packet::SubAck(ack)) => self.granted(&ack.return_codes),
                // Pings, and packets that this client sends.
                Event::Incoming(_) | Event::Outgoing(_) => Ok(()),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    fn connected(&self, session_present: bool, client: &AsyncClient, subscribed: &mut bool) -> Result<(), End> {
        count(&self.counters.mqtt_connections);
        self.counters.mqtt_connected.store(true, Ordering::Relaxed);
        tracing::info!(host = %self.config.host, session_present, "the broker is connected");
        if *subscribed && !session_present {
            count(&self.counters.mqtt_sessions_lost);
            tracing::warn!(host = %self.config.host, "the broker lost the session: what it held meanwhile is lost");
        }
        // On the first connection of a process also where the session is there: the filters may have changed since.
        if !*subscribed || !session_present {
            let filter = |path: &String| SubscribeFilter::new(path.clone(), QoS::AtLeastOnce);
            client.try_subscribe_many(self.config.topics.iter().map(filter))?;
        } else {
            // The session has kept it.
            self.counters.mqtt_subscribed.store(true, Ordering::Relaxed);
        }
        *subscribed = true;
        Ok(())
    }

    fn granted(&self, codes: &[SubscribeReasonCode]) -> Result<(), End> {
        accepted(codes)?;
        self.counters.mqtt_subscribed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Passes a message on; waits, and so stops polling, while the appender has no room.
    async fn take(&self, publish: Publish, unacked: &mpsc::UnboundedSender<(Publish, Receipt)>) -> Result<(), End> {
        let message = match TopicName::new(Bytes::copy_from_slice(publish.topic.as_bytes())) {
            Ok(topic) => Some(Message::new(topic, publish.payload.clone())),
            Err(error) => {
                tracing::warn!(%error, "the broker sent a topic that MQTT does not allow");
                None
            }
        };
        // A message without a usable topic is still queued, so that it is acknowledged in order.
        let put = self.inlet.put(Source::Mqtt, true, message.into_iter().collect()).await;
        let receipt = put.map_err(|_| End::Stopping)?;
        if publish.qos == QoS::AtMostOnce {
            return Ok(());
        }
        let light = Publish { payload: Bytes::new(), ..publish };
        unacked.send((light, receipt)).map_err(|_| End::Stopping)
    }
}

fn accepted(codes: &[SubscribeReasonCode]) -> Result<(), End> {
    let refused = codes.iter().any(|code| matches!(code, SubscribeReasonCode::Failure));
    if refused { Err(End::Unsubscribed) } else { Ok(()) }
}

/// Acknowledges in order of receipt, each message after it is durable, through the client of the connection on which it
/// came. On a closed connection nothing can be sent any more, and the broker will send the messages again.
async fn acknowledge(client: AsyncClient, mut queue: mpsc::UnboundedReceiver<(Publish, Receipt)>) {
    while let Some((publish, receipt)) = queue.recv().await {
        if receipt.durable().await.is_err() || client.ack(&publish).await.is_err() {
            return;
        }
    }
}

/// Doubling waits with jitter, so that a site's gateways don't all come back at once.
#[derive(Debug, Default)]
struct BackOff {
    failures: u32,
}

impl BackOff {
    fn next(&mut self, was_good: bool) -> Duration {
        self.failures = if was_good { 1 } else { self.failures.saturating_add(1) };
        let full = BACK_OFF_MIN.saturating_mul(1 << (self.failures - 1).min(16)).min(BACK_OFF_MAX);
        // Between half and all of it. The standard library seeds each of these anew; no more randomness is needed.
        let share = std::hash::RandomState::new().build_hasher().finish() % 512;
        full / 2 + full.saturating_mul(u32::try_from(share).unwrap_or(0)) / 1_024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_thirty_seconds_with_jitter_and_start_again_after_a_good_connection() {
        let mut waits = BackOff::default();
        let first = waits.next(false);
        assert!(first >= BACK_OFF_MIN / 2 && first <= BACK_OFF_MIN, "{first:?}");
        let last = (0..40).map(|_| waits.next(false)).last().unwrap();
        assert!(last >= BACK_OFF_MAX / 2 && last <= BACK_OFF_MAX, "{last:?}");
        let again = waits.next(true);
        assert!(again <= BACK_OFF_MIN, "{again:?}");
    }

    #[test]
    fn a_password_is_never_shown() {
        let login = Some(("gateway".to_owned(), "canary".to_owned()));
        let config = MqttConfig { host: "h".into(), port: 1, client_id: "c".into(), topics: vec!["#".into()], login };
        let shown = format!("{config:?}");
        assert!(shown.contains("gateway") && !shown.contains("canary"), "{shown}");
    }
}
