//! How messages reach a broker, or zenei's own ingress: MQTT 3.1.1 at QoS 1 over a blocking socket, pipelined, resent
//! until acknowledged. A lock's messages stay on one connection, in order. Must not know the simulation or a clock.
//! Called by `firmware-sim run`, the demo and tests.
use crate::message::Message;
use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::v4::{self, Connect, ConnectReturnCode, Packet, Publish};
use rumqttc::mqttbytes::{self, QoS};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// How many messages may be unacknowledged by default: mosquitto's `max_inflight_messages` for QoS 1 is 20, its queue
/// beyond it 1,000.
const WINDOW: usize = 100;
/// Keep-alive that is announced, seconds.
const KEEP_ALIVE_S: u16 = 60;
/// How long one read waits before a PINGREQ goes out; well below the keep-alive.
const PATIENCE: Duration = Duration::from_secs(10);
/// After how many such waits in a row the peer counts as gone.
const PATIENCE_TIMES: u32 = 6;
/// Pause before another attempt to connect; a guess that gives a restarted broker time to start.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// Bytes that are encoded before they are written; a few socket buffers.
const OUTBOX_BYTES: usize = 256 * 1024;
/// The largest packet that is sent or read: the contract's payload, topic and headers.
const PACKET_BYTES_MAX: usize = 128 * 1024;

/// Why messages could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The address has no host and port, or none that can be resolved.
    #[error("{addr} can't be resolved; a host and port like 127.0.0.1:1883 is wanted")]
    Resolve {
        /// The address.
        addr: String,
        /// Why, where the system reports it.
        source: io::Error,
    },
    /// No server listens there.
    #[error("{addr} can't be reached; is a broker, or zenei's ingress, listening there?")]
    Connect {
        /// The address.
        addr: String,
        /// Why.
        source: io::Error,
    },
    /// The broker refuses this client.
    #[error("{addr} refuses the client {client_id}: {code:?}")]
    Refused {
        /// The address.
        addr: String,
        /// The client id.
        client_id: String,
        /// The broker's answer.
        code: ConnectReturnCode,
    },
    /// The connection broke, and the allowed number of reconnections did not help.
    #[error("the connection to {addr} broke with {unacked} messages unacknowledged")]
    Lost {
        /// The address.
        addr: String,
        /// How many messages have no PUBACK.
        unacked: usize,
        /// Why.
        source: io::Error,
    },
    /// The received or outgoing bytes are not MQTT 3.1.1.
    #[error("{addr}: MQTT 3.1.1 was broken: {source}")]
    Protocol {
        /// The address.
        addr: String,
        /// What is wrong.
        source: mqttbytes::Error,
    },
}

/// One connection.
#[derive(Debug)]
pub struct Publisher {
    addr: String,
    client_id: String,
    window: usize,
    reconnects: u32,
    stream: TcpStream,
    inbox: BytesMut,
    next_id: u16,
}

impl Publisher {
    /// Connects with a clean session, a window of 100 and no reconnecting.
    ///
    /// # Errors
    /// Where the address can't be reached, or the broker refuses; see [`PublishError`].
    pub fn connect(addr: &str, client_id: &str) -> Result<Self, PublishError> {
        let stream = open(addr, client_id)?;
        let (addr, client_id) = (addr.to_owned(), client_id.to_owned());
        Ok(Self { addr, client_id, window: WINDOW, reconnects: 0, stream, inbox: BytesMut::new(), next_id: 1 })
    }

    /// Sets how many messages may be unacknowledged, 1 to 60,000; more than 100 only where the peer queues them.
    #[must_use]
    pub fn with_window(mut self, window: usize) -> Self {
        self.window = window.clamp(1, 60_000);
        self
    }

    /// Reconnects up to so many times in a row when the connection breaks, and resends, marked DUP, the messages
    /// without a PUBACK.
    #[must_use]
    pub fn with_reconnects(mut self, reconnects: u32) -> Self {
        self.reconnects = reconnects;
        self
    }

    /// Publishes all messages in order; returns when every PUBACK is in.
    ///
    /// # Errors
    /// Where the connection breaks for good; some of the messages may then have arrived.
    pub fn publish_all(&mut self, messages: &[Message]) -> Result<(), PublishError> {
        self.publish_some(messages, |_| true)
    }

    /// Keeps an idle connection alive: to be called at least every 60 s between calls of [`Publisher::publish_all`].
    ///
    /// # Errors
    /// Where the connection breaks for good.
    pub fn ping(&mut self) -> Result<(), PublishError> {
        match self.beat() {
            Ok(()) => Ok(()),
            Err(broken) => self.reconnect(broken, 0),
        }
    }

    fn publish_some(&mut self, messages: &[Message], mine: impl Fn(&Message) -> bool) -> Result<(), PublishError> {
        let mut waiting = messages.iter().filter(|message| mine(message)).peekable();
        let mut flight: VecDeque<(u16, &Message)> = VecDeque::new();
        let mut outbox = BytesMut::new();
        let (mut silent, mut broken_in_a_row) = (0, 0);
        while waiting.peek().is_some() || !flight.is_empty() {
            while flight.len() < self.window && outbox.len() < OUTBOX_BYTES {
                let Some(message) = waiting.next() else { break };
                let id = self.take_id();
                self.encode(message, id, false, &mut outbox)?;
                flight.push_back((id, message));
            }
            let turn = self.stream.write_all(&outbox).and_then(|()| {
                outbox.clear();
                self.hear(&mut silent)
            });
            if let Err(broken) = turn {
                broken_in_a_row += 1;
                if broken_in_a_row > self.reconnects {
                    return Err(self.lost(broken, flight.len()));
                }
                self.reconnect(broken, flight.len())?;
                outbox.clear();
                silent = 0;
                for (id, message) in &flight {
                    self.encode(message, *id, true, &mut outbox)?;
                }
                continue;
            }
            if self.take_acks(&mut flight)? {
                broken_in_a_row = 0;
            }
        }
        Ok(())
    }

    /// Reads the available bytes, waiting for them at most as long as a sound broker may be silent.
    fn hear(&mut self, silent: &mut u32) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "the other side closed the connection")),
            Ok(count) => {
                *silent = 0;
                self.inbox.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                *silent += 1;
                if *silent > PATIENCE_TIMES {
                    return Err(io::Error::new(ErrorKind::TimedOut, "no answer, not even to PINGREQ, within 60 s"));
                }
                self.beat()
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the acknowledged messages; returns whether there were any.
    fn take_acks(&mut self, flight: &mut VecDeque<(u16, &Message)>) -> Result<bool, PublishError> {
        let before = flight.len();
        loop {
            match Packet::read(&mut self.inbox, PACKET_BYTES_MAX) {
                Ok(Packet::PubAck(ack)) => {
                    // Brokers acknowledge in order, so the first is nearly always the one.
                    if let Some(at) = flight.iter().position(|(id, _)| *id == ack.pkid) {
                        flight.remove(at);
                    }
                }
                Ok(_) => {}
                Err(mqttbytes::Error::InsufficientBytes(_)) => return Ok(flight.len() < before),
                Err(source) => return Err(PublishError::Protocol { addr: self.addr.clone(), source }),
            }
        }
    }

    fn encode(&self, message: &Message, id: u16, dup: bool, outbox: &mut BytesMut) -> Result<(), PublishError> {
        let payload = Bytes::copy_from_slice(&message.payload);
        let mut publish = Publish::from_bytes(message.topic.as_str(), QoS::AtLeastOnce, payload);
        (publish.pkid, publish.dup, publish.retain) = (id, dup, message.retain);
        let written = publish.write(outbox);
        written.map(drop).map_err(|source| PublishError::Protocol { addr: self.addr.clone(), source })
    }

    fn beat(&mut self) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        // A PINGREQ is two fixed bytes: writing it to memory can't fail.
        let _ = v4::PingReq.write(&mut bytes);
        self.stream.write_all(&bytes)
    }

    fn reconnect(&mut self, broken: io::Error, unacked: usize) -> Result<(), PublishError> {
        for attempt in 1..=self.reconnects {
            match open(&self.addr, &self.client_id) {
                Ok(stream) => {
                    (self.stream, self.inbox) = (stream, BytesMut::new());
                    return Ok(());
                }
                Err(PublishError::Connect { .. }) if attempt < self.reconnects => {
                    std::thread::park_timeout(RECONNECT_PAUSE);
                }
                Err(PublishError::Connect { source, .. }) => return Err(self.lost(source, unacked)),
                Err(error) => return Err(error),
            }
        }
        Err(self.lost(broken, unacked))
    }

    fn lost(&self, source: io::Error, unacked: usize) -> PublishError {
        PublishError::Lost { addr: self.addr.clone(), unacked, source }
    }

    /// The next packet id, 1 to 65,535. The window is smaller than that, so an id in flight never comes up again.
    fn take_id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.checked_add(1).unwrap_or(1);
        id
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let mut bytes = BytesMut::new();
        // Without a DISCONNECT a broker would log an error; a broker that is gone needs none.
        let _ = v4::Disconnect.write(&mut bytes).map(|_| self.stream.write_all(&bytes));
    }
}

fn open(addr: &str, client_id: &str) -> Result<TcpStream, PublishError> {
    let resolve = |source| PublishError::Resolve { addr: addr.into(), source };
    let mut last = None;
    for candidate in addr.to_socket_addrs().map_err(resolve)? {
        match TcpStream::connect_timeout(&candidate, PATIENCE).and_then(|stream| shake_hands(stream, client_id)) {
            Ok((stream, ConnectReturnCode::Success)) => return Ok(stream),
            Ok((_, code)) => {
                return Err(PublishError::Refused { addr: addr.into(), client_id: client_id.into(), code });
            }
            Err(error) => last = Some(error),
        }
    }
    let source = last.unwrap_or_else(|| io::Error::new(ErrorKind::NotFound, "the name has no address"));
    Err(PublishError::Connect { addr: addr.into(), source })
}

fn shake_hands(mut stream: TcpStream, client_id: &str) -> io::Result<(TcpStream, ConnectReturnCode)> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let invalid = |error: mqttbytes::Error| io::Error::new(ErrorKind::InvalidData, error);
    let mut connect = Connect::new(client_id);
    connect.keep_alive = KEEP_ALIVE_S;
    let mut bytes = BytesMut::new();
    connect.write(&mut bytes).map_err(invalid)?;
    stream.write_all(&bytes)?;
    bytes.clear();
    loop {
        match Packet::read(&mut bytes, PACKET_BYTES_MAX) {
            Ok(Packet::ConnAck(ack)) => return Ok((stream, ack.code)),
            Ok(_) => return Err(io::Error::new(ErrorKind::InvalidData, "the first answer is no CONNACK")),
            Err(mqttbytes::Error::InsufficientBytes(_)) => {}
            Err(error) => return Err(invalid(error)),
        }
        // Byte by byte: what follows the CONNACK belongs to the publisher.
        let mut one = [0; 1];
        stream.read_exact(&mut one)?;
        bytes.extend_from_slice(&one);
    }
}

/// Several connections that share the locks among them.
#[derive(Debug)]
pub struct Publishers(Vec<Publisher>);

impl Publishers {
    /// Opens `connections` (1 or more) named `{client_id}-0`, `{client_id}-1`, …, each changed by `adjust`.
    ///
    /// # Errors
    /// Where one can't be opened.
    pub fn connect(
        addr: &str,
        client_id: &str,
        connections: usize,
        adjust: impl Fn(Publisher) -> Publisher,
    ) -> Result<Self, PublishError> {
        let open = |number| Publisher::connect(addr, &format!("{client_id}-{number}")).map(&adjust);
        (0..connections.max(1)).map(open).collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Publishes all messages, each lock's in order on its own connection; returns when every PUBACK is in.
    ///
    /// # Errors
    /// The first connection's that broke for good.
    pub fn publish_all(&mut self, messages: &[Message]) -> Result<(), PublishError> {
        let count = self.0.len();
        if let [only] = self.0.as_mut_slice() {
            return only.publish_all(messages);
        }
        std::thread::scope(|scope| {
            let share = |(number, publisher): (usize, &'_ mut Publisher)| {
                publisher.publish_some(messages, |message| message.lock % count == number)
            };
            let running: Vec<_> = self.0.iter_mut().enumerate().map(|one| scope.spawn(move || share(one))).collect();
            let broken = |_| Err(self_panicked());
            running.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(broken))
        })
    }

    /// Keeps idle connections alive, see [`Publisher::ping`].
    ///
    /// # Errors
    /// The first connection's that broke for good.
    pub fn ping(&mut self) -> Result<(), PublishError> {
        self.0.iter_mut().try_for_each(Publisher::ping)
    }
}

fn self_panicked() -> PublishError {
    let source = io::Error::other("the publishing thread panicked");
    PublishError::Lost { addr: "the broker".into(), unacked: 0, source }
}

#[cfg(test)]
mod tests;
