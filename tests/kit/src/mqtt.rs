//! A minimal publisher of MQTT 3.1.1 that shows a test every packet: it resends nothing and acknowledges nothing by
//! itself; and a broker that a test plays. Must not know the content of a payload. Called by the tests of the gateway
//! and of the binary, by the fuzz target `packet` and by the end-to-end tests.
mod broker;
mod raw;

pub use broker::{Broker, answer_subscribe};
pub use raw::Raw;

use std::io::{self, Error, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take; a guess, far above the slowest fsync of a disk.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// One connection.
pub struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
}

/// A received packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// The answer to CONNECT.
    ConnAck {
        /// 0: accepted.
        code: u8,
    },
    /// The acknowledgement of a message at QoS 1.
    PubAck {
        /// Its packet id.
        id: u16,
    },
    /// The answer to SUBSCRIBE.
    SubAck {
        /// One for each filter; 0x80 refuses it.
        codes: Vec<u8>,
    },
    /// The answer to PINGREQ.
    PingResp,
    /// First byte of a packet that a publisher does not expect.
    Other(u8),
}

/// A message at QoS 1.
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    /// Packet id, from 1 on.
    pub id: u16,
    /// Whether it was sent before, on another connection.
    pub dup: bool,
    /// Whether the broker retains it for later subscribers.
    pub retain: bool,
    /// Its topic.
    pub topic: &'a str,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl Client {
    /// Connects with a clean session.
    pub fn connect(address: SocketAddr, client_id: &str) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, inbox: Vec::new() };
        client.stream.write_all(&connect(client_id, CLEAN_SESSION, 60))?;
        let answer = client.receive()?;
        if answer == (Packet::ConnAck { code: 0 }) {
            return Ok(client);
        }
        Err(Error::other(format!("the connection was answered with {answer:?}")))
    }

    /// Sends messages at once, without waiting for an answer.
    pub fn send<'a>(&mut self, messages: impl IntoIterator<Item = Publish<'a>>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for message in messages {
            let mut packet = publish(message.topic, Some(message.id), message.payload);
            packet[0] |= u8::from(message.dup) << 3 | u8::from(message.retain);
            bytes.extend(packet);
        }
        self.stream.write_all(&bytes)
    }

    /// Publishes one message and waits for its PUBACK.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> io::Result<()> {
        self.put(Publish { id: 1, dup: false, retain: false, topic, payload })
    }

    /// Publishes one retained message, and waits for its PUBACK.
    pub fn publish_retained(&mut self, topic: &str, payload: &[u8]) -> io::Result<()> {
        self.put(Publish { id: 1, dup: false, retain: true, topic, payload })
    }

    fn put(&mut self, message: Publish<'_>) -> io::Result<()> {
        self.send([message])?;
        let answer = self.receive()?;
        if answer == (Packet::PubAck { id: message.id }) {
            return Ok(());
        }
        Err(Error::other(format!("the message was answered with {answer:?}")))
    }

    /// Subscribes to a topic; returns the answer.
    pub fn subscribe(&mut self, filter: &str) -> io::Result<Packet> {
        let mut body = vec![0, 9];
        put_text(&mut body, filter);
        body.push(1);
        self.stream.write_all(&packet(0x82, &body))?;
        self.receive()
    }

    /// Sends a PINGREQ; returns the answer.
    pub fn ping(&mut self) -> io::Result<Packet> {
        self.stream.write_all(&[0xc0, 0])?;
        self.receive()
    }

    /// Waits for the next packet.
    pub fn receive(&mut self) -> io::Result<Packet> {
        loop {
            if let Some(packet) = self.take() {
                return Ok(packet);
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer)? {
                0 => return Err(Error::new(ErrorKind::UnexpectedEof, "the other side closed the connection")),
                count => self.inbox.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// The next packet among the bytes already read.
    pub fn take(&mut self) -> Option<Packet> {
        // Answers to a publisher are shorter than 128 bytes: their length is one byte.
        let [first, length, rest @ ..] = self.inbox.as_slice() else {
            return None;
        };
        let body = rest.get(..usize::from(*length))?;
        let packet = match (first, body) {
            (0x20, [_, code]) => Packet::ConnAck { code: *code },
            (0x40, [high, low]) => Packet::PubAck { id: u16::from_be_bytes([*high, *low]) },
            (0x90, [_, _, codes @ ..]) => Packet::SubAck { codes: codes.to_vec() },
            (0xd0, []) => Packet::PingResp,
            (first, _) => Packet::Other(*first),
        };
        let whole = 2 + body.len();
        self.inbox.drain(..whole);
        Some(packet)
    }
}

/// The flag of CONNECT for a clean session.
pub const CLEAN_SESSION: u8 = 0b10;

/// The bytes of a CONNECT of MQTT 3.1.1 with these flags.
pub fn connect(client_id: &str, flags: u8, keep_alive_s: u16) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, flags];
    body.extend(keep_alive_s.to_be_bytes());
    put_text(&mut body, client_id);
    packet(0x10, &body)
}

/// The same of version 5, with these properties.
pub fn connect5(client_id: &str, flags: u8, keep_alive_s: u16, properties: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, flags];
    body.extend(keep_alive_s.to_be_bytes());
    body.extend(behind_length(properties));
    put_text(&mut body, client_id);
    packet(0x10, &body)
}

/// The bytes of a PUBLISH of version 5, with these properties.
pub fn publish5(topic: &str, id: Option<u16>, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + properties.len() + payload.len() + 8);
    put_text(&mut body, topic);
    body.extend(id.into_iter().flat_map(u16::to_be_bytes));
    body.extend(behind_length(properties));
    body.extend_from_slice(payload);
    packet(if id.is_some() { 0x32 } else { 0x30 }, &body)
}

/// The bytes of a PUBLISH: at QoS 1 with a packet id, at QoS 0 without.
pub fn publish(topic: &str, id: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 4);
    put_text(&mut body, topic);
    body.extend(id.into_iter().flat_map(u16::to_be_bytes));
    body.extend_from_slice(payload);
    packet(if id.is_some() { 0x32 } else { 0x30 }, &body)
}

/// A packet with this first byte.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first][..], &behind_length(body)].concat()
}

/// Bytes behind their length, seven bits in each byte of it.
fn behind_length(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 4);
    let mut rest = body.len();
    while rest >= 0x80 {
        bytes.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend_from_slice(body);
    bytes
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("texts of MQTT have at most 65,535 bytes");
    bytes.extend(length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_the_bytes_of_the_standard() {
        assert_eq!(connect("a", CLEAN_SESSION, 60), *b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a");
        assert_eq!(publish("t", Some(258), b"x"), *b"\x32\x06\0\x01t\x01\x02x");
        assert_eq!(publish("t", None, b"x"), *b"\x30\x04\0\x01tx");
        let long = packet(0x30, &[0; 321]);
        assert_eq!((&long[..3], long.len()), (&[0x30, 0xc1, 0x02][..], 324));
    }
}
