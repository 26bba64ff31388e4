//! A publisher of MQTT 3.1.1 in the fewest lines, so that a test sees every packet itself: nothing is resent, nothing is acknowledged behind its back.
//! Knows no record. Called by the end-to-end tests.
use std::io::{self, Error, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take; a guess, far above the slowest sync of a disk.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    ConnAck {
        code: u8,
    },
    PubAck {
        id: u16,
    },
    SubAck {
        codes: Vec<u8>,
    },
    PingResp,
    /// First byte of a packet that a publisher does not expect.
    Other(u8),
}

/// A message at QoS 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publish<'a> {
    /// Packet id, from 1 on.
    pub(crate) id: u16,
    /// Sent before, on another connection.
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
}

impl Client {
    /// Connects with a clean session.
    pub(crate) fn connect(address: SocketAddr, client_id: &str) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, inbox: Vec::new() };
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 0b10, 0, 60];
        put_text(&mut body, client_id);
        let mut bytes = Vec::new();
        put_packet(&mut bytes, 0x10, &body);
        client.stream.write_all(&bytes)?;
        let answer = client.next()?;
        if answer == (Packet::ConnAck { code: 0 }) {
            return Ok(client);
        }
        Err(Error::other(format!("the connection was answered with {answer:?}")))
    }

    /// Sends messages at once, without waiting for an answer.
    pub(crate) fn send<'a>(&mut self, messages: impl IntoIterator<Item = Publish<'a>>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for message in messages {
            let mut body = Vec::with_capacity(message.topic.len() + message.payload.len() + 4);
            put_text(&mut body, message.topic);
            body.extend(message.id.to_be_bytes());
            body.extend_from_slice(message.payload);
            put_packet(&mut bytes, 0x32 | u8::from(message.dup) << 3 | u8::from(message.retain), &body);
        }
        self.stream.write_all(&bytes)
    }

    /// Publishes one message and waits for its PUBACK.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) -> io::Result<()> {
        self.put(Publish { id: 1, dup: false, retain: false, topic, payload })
    }

    /// Publishes one message that the broker keeps, and waits for its PUBACK.
    pub(crate) fn publish_retained(&mut self, topic: &str, payload: &[u8]) -> io::Result<()> {
        self.put(Publish { id: 1, dup: false, retain: true, topic, payload })
    }

    fn put(&mut self, message: Publish<'_>) -> io::Result<()> {
        self.send([message])?;
        let answer = self.next()?;
        if answer == (Packet::PubAck { id: message.id }) {
            return Ok(());
        }
        Err(Error::other(format!("the message was answered with {answer:?}")))
    }

    /// Asks to hear a topic; gives the answer.
    pub(crate) fn subscribe(&mut self, filter: &str) -> io::Result<Packet> {
        let mut body = vec![0, 9];
        put_text(&mut body, filter);
        body.push(1);
        let mut bytes = Vec::new();
        put_packet(&mut bytes, 0x82, &body);
        self.stream.write_all(&bytes)?;
        self.next()
    }

    /// Asks whether the other side is there; gives the answer.
    pub(crate) fn ping(&mut self) -> io::Result<Packet> {
        self.stream.write_all(&[0xc0, 0])?;
        self.next()
    }

    /// The next packet, waited for.
    pub(crate) fn next(&mut self) -> io::Result<Packet> {
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

    /// The next packet that was read already.
    pub(crate) fn take(&mut self) -> Option<Packet> {
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

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("texts of MQTT have at most 65,535 bytes");
    bytes.extend(length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn put_packet(bytes: &mut Vec<u8>, first: u8, body: &[u8]) {
    bytes.push(first);
    let mut rest = body.len();
    while rest >= 0x80 {
        bytes.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend_from_slice(body);
}
