//! What comes on one connection to the broker? Messages go to the appender, each with its acknowledgement, which leaves
//! on this connection or on none; the subscription is asked for until it is granted; what MQTT does not allow is got
//! past, counted and, where it is a message, kept. Must not know what a payload means, or why a connection is made.
//! Called by the subscriber, which drops it on any error.
use super::back_off::BackOff;
use super::greeting::{GreetError, Link, Reading};
use super::limits::MqttLimits;
use super::packet::{Ack, BadLength, Flaw, Packet, Publish, Taken};
use super::status::BrokerState;
use super::subscription::{Answered, Subscription};
use super::writing::{self, Owed, Unsent};
use crate::source::{Counters, Stop, count};
use crate::spool::{Inlet, Message};
use bytes::BytesMut;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep, timeout};
use zenei_store::Source;

/// Payload bytes of one parcel before it is passed on.
const PARCEL_BYTES: usize = 256 * 1024;
/// Parcels whose acknowledgements may wait for durability; then reading waits.
const QUEUE_PARCELS: usize = 64;
/// The most characters of a topic in the log. A guess.
const SHOWN_CHARACTERS: usize = 100;

/// Why a connection to the broker ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the gateway stops")]
    Stopping,
    #[error(transparent)]
    Greet(#[from] GreetError),
    #[error("the broker closed the connection")]
    Closed,
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the broker sent nothing for {} ms, not even the answer to a ping", within.as_millis())]
    Silent { within: Duration },
    #[error("the connection ended instead of an answer to SUBSCRIBE; the broker's access rules may not allow it")]
    CutAtSubscribe(#[source] Option<io::Error>),
    #[error("the broker did not answer SUBSCRIBE within {} ms", within.as_millis())]
    NoSubAck { within: Duration },
    #[error(transparent)]
    Broken(#[from] BadLength),
    #[error(transparent)]
    Unsent(Unsent),
}

/// Where what comes goes.
pub(super) struct Connection<'a> {
    pub(super) inlet: &'a Inlet,
    pub(super) counters: &'a Counters,
    pub(super) limits: MqttLimits,
}

/// What is waited for besides packets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The answer to SUBSCRIBE; `is_last`: for the second time.
    SubAck { is_last: bool },
    /// The next SUBSCRIBE.
    Ask,
}

/// The subscription on this connection.
struct Asking<'a> {
    subscription: &'a mut Subscription,
    waits: BackOff,
    due: Option<(Due, Pin<Box<Sleep>>)>,
    urgent: mpsc::Sender<BytesMut>,
}

/// The messages read at once, and what they must be answered with.
#[derive(Default)]
struct Gathered {
    messages: Vec<Message>,
    acks: Vec<Ack>,
    payload_bytes: usize,
}

impl Connection<'_> {
    /// Receives until the connection ends or the gateway stops; then what is durable in time is still acknowledged.
    pub(super) async fn run(&self, link: Link, subscription: &mut Subscription, stop: &mut Stop) -> End {
        let Link { mut reading, write, session_present: _ } = link;
        let (owed, owed_queue) = mpsc::channel(QUEUE_PARCELS);
        let (urgent, urgent_queue) = mpsc::channel(1);
        let mut writer = pin!(writing::write(write, owed_queue, urgent_queue, self.limits));
        let (least, most) = self.limits.ask_again;
        let asking = Asking { subscription, waits: BackOff::new(least, most), due: None, urgent };
        let end = {
            let hear = self.hear(&mut reading, asking, owed);
            tokio::select! {
                end = hear => end,
                ended = &mut writer => return ended.map_or_else(End::from, |()| End::Stopping),
                () = stop.wait() => End::Stopping,
            }
        };
        match timeout(self.limits.farewell_within, writer).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the last acknowledgements could not be sent"),
            Err(_) => tracing::debug!("the last acknowledgements were not due in time"),
        }
        end
    }

    /// Reads packets until the connection ends. Dropping this future drops the senders, which lets the writer finish.
    async fn hear(&self, reading: &mut Reading, mut asking: Asking<'_>, owed: mpsc::Sender<Owed>) -> End {
        let mut gathered = Gathered::default();
        if let Err(end) = self.ask(&mut asking).await {
            return end;
        }
        loop {
            // Everything read at once becomes one parcel.
            let end = loop {
                match reading.take() {
                    Ok(Some(taken)) => {
                        if let Err(end) = self.take(taken, &mut gathered, &mut asking, &owed).await {
                            break Some(end);
                        }
                    }
                    Ok(None) => break None,
                    Err(error) => break Some(error.into()),
                }
            };
            if let Some(end) = self.hand_on(&mut gathered, &owed).await.err().or(end) {
                return end;
            }
            let within = self.limits.dead_after();
            let waited = tokio::select! {
                read = timeout(within, reading.read()) => match read {
                    Ok(Ok(0)) => Err(asking.cut(None)),
                    Ok(read) => read.map(drop).map_err(|error| asking.cut(Some(error))),
                    Err(_) => Err(End::Silent { within }),
                },
                due = asking.due() => self.overdue(due, &mut asking).await,
            };
            if let Err(end) = waited {
                return end;
            }
        }
    }

    async fn take(
        &self,
        (packet, flaw): Taken,
        gathered: &mut Gathered,
        asking: &mut Asking<'_>,
        owed: &mpsc::Sender<Owed>,
    ) -> Result<(), End> {
        if let Some(flaw) = flaw {
            self.got_past(flaw, &packet);
        }
        match packet {
            Packet::Publish(Publish { topic, payload, ack }) => {
                gathered.payload_bytes += payload.len();
                gathered.acks.extend(ack);
                gathered.messages.push(Message::new(topic, payload));
                if gathered.payload_bytes >= PARCEL_BYTES {
                    self.hand_on(gathered, owed).await?;
                }
            }
            // Also where it was released on an earlier connection: the broker would release it for ever.
            Packet::PubRel { id } => gathered.acks.push(Ack::Pubcomp(id)),
            Packet::SubAck { id, codes } => self.answered(id, &codes, asking),
            Packet::ConnAck { .. } => self.got_past(Flaw::Unasked { kind: 2 }, &packet),
            Packet::PingResp | Packet::Unusable => {}
        }
        Ok(())
    }

    /// Passes the gathered messages to the appender, waiting while there is no room, and their acknowledgements to the
    /// writer.
    async fn hand_on(&self, gathered: &mut Gathered, owed: &mpsc::Sender<Owed>) -> Result<(), End> {
        let Gathered { messages, acks, payload_bytes: _ } = std::mem::take(gathered);
        if messages.is_empty() && acks.is_empty() {
            return Ok(());
        }
        let put = self.inlet.put(Source::Mqtt, true, messages).await;
        let receipt = put.map_err(|_| End::Stopping)?;
        if acks.is_empty() {
            return Ok(());
        }
        owed.send((acks, receipt)).await.map_err(|_| End::Stopping)
    }

    /// Counts a packet that MQTT does not allow; fewer and fewer lines, so that a publisher can't fill the log.
    fn got_past(&self, flaw: Flaw, packet: &Packet) {
        let times = count(&self.counters.mqtt_unreadable);
        let topic: String = match packet {
            Packet::Publish(publish) => publish.topic.as_str().chars().take(SHOWN_CHARACTERS).collect(),
            Packet::ConnAck { .. }
            | Packet::SubAck { .. }
            | Packet::PubRel { .. }
            | Packet::PingResp
            | Packet::Unusable => String::new(),
        };
        if times.is_power_of_two() {
            tracing::warn!(%flaw, ?topic, times, "the broker sent what MQTT does not allow; it was got past");
        } else {
            tracing::debug!(%flaw, ?topic, times, "the broker sent what MQTT does not allow; it was got past");
        }
    }

    /// Asks for what is not granted.
    async fn ask(&self, asking: &mut Asking<'_>) -> Result<(), End> {
        let Some(packet) = asking.subscription.ask() else {
            self.counters.broker.set(BrokerState::Subscribed);
            return Ok(());
        };
        asking.wait_for(Due::SubAck { is_last: false }, self.limits.suback_within);
        asking.urgent.send(packet).await.map_err(|_| End::Stopping)
    }

    fn answered(&self, id: u16, codes: &[u8], asking: &mut Asking<'_>) {
        match asking.subscription.answered(id, codes) {
            Answered::NotAsked => self.got_past(Flaw::Unasked { kind: 9 }, &Packet::Unusable),
            Answered::Granted => {
                asking.due = None;
                self.counters.broker.set(BrokerState::Subscribed);
                tracing::info!("the broker has granted the subscription");
            }
            Answered::Refused { reason } => {
                count(&self.counters.mqtt_subscriptions_refused);
                let wait = asking.waits.next(false);
                asking.wait_for(Due::Ask, wait);
                let wait_ms = wait.as_millis();
                tracing::warn!(reason, wait_ms, "the subscription is not granted; it is asked for again");
                self.counters.broker.set(BrokerState::NotGranted { reason });
            }
        }
    }

    async fn overdue(&self, due: Due, asking: &mut Asking<'_>) -> Result<(), End> {
        let within = self.limits.suback_within;
        match due {
            Due::Ask => return self.ask(asking).await,
            Due::SubAck { is_last: false } => asking.wait_for(Due::SubAck { is_last: true }, within),
            Due::SubAck { is_last: true } => return Err(End::NoSubAck { within: within * 2 }),
        }
        Ok(())
    }
}

impl Asking<'_> {
    fn wait_for(&mut self, due: Due, within: Duration) {
        self.due = Some((due, Box::pin(sleep(within))));
    }

    /// The end of a connection that the other side has closed, or that failed.
    fn cut(&self, error: Option<io::Error>) -> End {
        match (&self.due, error) {
            (Some((Due::SubAck { .. }, _)), error) => End::CutAtSubscribe(error),
            (Some((Due::Ask, _)) | None, Some(error)) => End::Io(error),
            (Some((Due::Ask, _)) | None, None) => End::Closed,
        }
    }

    /// Returns when something is due; for ever where nothing is waited for. Safe to cancel.
    async fn due(&mut self) -> Due {
        match &mut self.due {
            Some((due, at)) => {
                at.await;
                *due
            }
            None => std::future::pending().await,
        }
    }
}

impl From<Unsent> for End {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Stopping => Self::Stopping,
            Unsent::Io(_) | Unsent::NotTaken => Self::Unsent(unsent),
        }
    }
}
