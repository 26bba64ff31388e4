//! The packets of MQTT v3.1.1 as a subscriber reads and writes them. Lenient where the ingress's are strict: a packet
//! that the standard forbids comes from the broker again on each connection that is closed because of it, so that here
//! each packet whose end can be found is taken, with a note of what is wrong with it. Topics and payloads are slices of
//! the bytes read. Must not know a socket. Called by the greeting, the connection and the probe.
use crate::source::topic::{BadTopicName, TopicName};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use zenei_wire::MAX_PAYLOAD_BYTES;

/// The most bytes behind the fixed header that are kept of one packet: the longest topic with its length, a packet id,
/// and one byte more than a payload may have, which proves that it is too large. What follows is read and thrown away,
/// so that no length of a packet ends the connection.
pub(super) const MAX_KEPT_BYTES: usize = 2 + u16::MAX as usize + 2 + MAX_PAYLOAD_BYTES + 1;

/// A packet from a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// The answer to CONNECT.
    ConnAck {
        /// Whether the broker goes on with an earlier session.
        session_present: bool,
        /// 0: accepted.
        code: u8,
    },
    /// A message.
    Publish(Publish),
    /// The answer to SUBSCRIBE: a code for each filter.
    SubAck {
        /// Packet id of the SUBSCRIBE.
        id: u16,
        /// The codes, in the order of the filters.
        codes: Bytes,
    },
    /// The release of a message at QoS 2.
    PubRel {
        /// Its packet id.
        id: u16,
    },
    /// The answer to PINGREQ.
    PingResp,
    /// A packet with nothing that a subscriber could use.
    Unusable,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Publish {
    /// Its topic; where MQTT does not allow it, as [`TopicName::of_any`] writes it.
    pub(super) topic: TopicName,
    /// Its bytes, cut where the packet is longer than [`MAX_KEPT_BYTES`].
    pub(super) payload: Bytes,
    /// What it must be answered with once it is durable; `None` with QoS 0.
    pub(super) ack: Option<Ack>,
}

/// An acknowledgement, with its packet id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    /// Of a message at QoS 1.
    Puback(u16),
    /// Of a message at QoS 2.
    Pubrec(u16),
    /// Of the release of a message at QoS 2.
    Pubcomp(u16),
}

/// What is wrong with a packet that was taken all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error(transparent)]
    Topic(#[from] BadTopicName),
    #[error("a message has quality of service 3, which MQTT does not have; it is taken as 1")]
    Qos,
    #[error("the packet id is 0; 1 to 65535 are allowed")]
    PacketId,
    #[error("packet type {kind} has the flags {found:#06b}, which are not allowed")]
    Flags { kind: u8, found: u8 },
    #[error("packet type {found} came; a broker sends CONNACK, PUBLISH, PUBREL, SUBACK and PINGRESP")]
    Type { found: u8 },
    #[error("packet type {kind} answers nothing that was sent on this connection")]
    Unasked { kind: u8 },
    #[error("packet type {kind} ends within its first fields")]
    Short { kind: u8 },
}

/// A length of more than four bytes: where the next packet begins can't be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a packet's length has more than 4 bytes; where the next packet begins is not known")]
pub(super) struct BadLength;

/// A packet, and what is wrong with it.
pub(super) type Taken = (Packet, Option<Flaw>);

/// Cuts the bytes of one connection into packets.
#[derive(Debug, Default)]
pub(super) struct Framer {
    /// Bytes of a long packet that are still to be thrown away.
    skip: usize,
    /// The first byte and the kept part of that packet.
    long: Option<(u8, Bytes)>,
}

impl Framer {
    /// Takes the next whole packet from the front of `read`; `None` where it is incomplete.
    ///
    /// # Errors
    /// [`BadLength`]; the connection can't continue after it.
    pub(super) fn take(&mut self, read: &mut BytesMut) -> Result<Option<Taken>, BadLength> {
        let thrown = self.skip.min(read.len());
        read.advance(thrown);
        self.skip -= thrown;
        if self.skip > 0 {
            return Ok(None);
        }
        if let Some((first, body)) = self.long.take() {
            return Ok(Some(parse(first, body)));
        }
        let Some(first) = read.first().copied() else {
            return Ok(None);
        };
        let Some((length, header)) = remaining_length(read.get(1..).unwrap_or_default())? else {
            return Ok(None);
        };
        let kept = 1 + header + length.min(MAX_KEPT_BYTES);
        if read.len() < kept {
            read.reserve(kept - read.len());
            return Ok(None);
        }
        let mut body = read.split_to(kept).freeze();
        body.advance(1 + header);
        if length > MAX_KEPT_BYTES {
            self.skip = length - MAX_KEPT_BYTES;
            self.long = Some((first, body));
            return self.take(read);
        }
        Ok(Some(parse(first, body)))
    }
}

/// The remaining length and the number of bytes that encode it.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, BadLength> {
    let mut length = 0;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    if bytes.len() >= 4 { Err(BadLength) } else { Ok(None) }
}

fn parse(first: u8, mut body: Bytes) -> Taken {
    let (kind, flags) = (first >> 4, first & 0x0f);
    let packet = match kind {
        2 => connack(&mut body),
        3 => publish(flags, body.clone()),
        6 => number(&mut body).map(|id| (Packet::PubRel { id }, wrong_flags(kind, flags, 0b0010))),
        9 => number(&mut body).map(|id| (Packet::SubAck { id, codes: body }, None)),
        13 => Some((Packet::PingResp, None)),
        found => return (Packet::Unusable, Some(Flaw::Type { found })),
    };
    match packet {
        Some((packet, None)) if kind != 3 && kind != 6 => (packet, wrong_flags(kind, flags, 0)),
        Some(taken) => taken,
        None => (Packet::Unusable, Some(Flaw::Short { kind })),
    }
}

fn wrong_flags(kind: u8, found: u8, allowed: u8) -> Option<Flaw> {
    (found != allowed).then_some(Flaw::Flags { kind, found })
}

fn connack(body: &mut Bytes) -> Option<Taken> {
    let (session, code) = (body.try_get_u8().ok()?, body.try_get_u8().ok()?);
    Some((Packet::ConnAck { session_present: session & 1 == 1, code }, None))
}

fn publish(flags: u8, mut body: Bytes) -> Option<Taken> {
    let length = usize::from(number(&mut body)?);
    if body.len() < length {
        return None;
    }
    let name = body.split_to(length);
    let (topic, topic_flaw) = match TopicName::new(name.clone()) {
        Ok(topic) => (topic, None),
        Err(error) => (TopicName::of_any(name), Some(Flaw::Topic(error))),
    };
    let qos = (flags >> 1) & 0b11;
    let ack = match qos {
        0 => None,
        2 => Some(Ack::Pubrec(number(&mut body)?)),
        _ => Some(Ack::Puback(number(&mut body)?)),
    };
    let id_flaw = match ack {
        Some(Ack::Puback(0) | Ack::Pubrec(0)) => Some(Flaw::PacketId),
        Some(Ack::Puback(_) | Ack::Pubrec(_) | Ack::Pubcomp(_)) | None => None,
    };
    let flaw = topic_flaw.or(id_flaw).or((qos == 3).then_some(Flaw::Qos));
    Some((Packet::Publish(Publish { topic, payload: body, ack }), flaw))
}

fn number(body: &mut Bytes) -> Option<u16> {
    body.try_get_u16().ok()
}

/// What a CONNECT says.
#[derive(Clone, Copy)]
pub(super) struct Connect<'a> {
    pub(super) client_id: &'a str,
    pub(super) clean_session: bool,
    /// Seconds.
    pub(super) keep_alive_s: u16,
    pub(super) login: Option<(&'a str, &'a str)>,
}

/// Writes CONNECT. Texts have at most 65,535 bytes.
pub(super) fn put_connect(out: &mut BytesMut, connect: Connect<'_>) {
    let Connect { client_id, clean_session, keep_alive_s, login } = connect;
    let login_bytes = login.map_or(0, |(user, password)| 4 + user.len() + password.len());
    let flags = if login.is_some() { 0xc0 } else { 0 } | u8::from(clean_session) << 1;
    put_header(out, 0x10, 10 + 2 + client_id.len() + login_bytes);
    out.put_slice(b"\0\x04MQTT\x04");
    out.put_u8(flags);
    out.put_u16(keep_alive_s);
    put_text(out, client_id);
    if let Some((user, password)) = login {
        put_text(out, user);
        put_text(out, password);
    }
}

/// Writes SUBSCRIBE at QoS 1. Filters have at most 65,535 bytes.
pub(super) fn put_subscribe<'a>(out: &mut BytesMut, id: u16, filters: impl Iterator<Item = &'a str> + Clone) {
    put_header(out, 0x82, 2 + filters.clone().map(|filter| filter.len() + 3).sum::<usize>());
    out.put_u16(id);
    for filter in filters {
        put_text(out, filter);
        out.put_u8(1);
    }
}

/// Writes an acknowledgement.
pub(super) fn put_ack(out: &mut BytesMut, ack: Ack) {
    let (first, id) = match ack {
        Ack::Puback(id) => (0x40, id),
        Ack::Pubrec(id) => (0x50, id),
        Ack::Pubcomp(id) => (0x70, id),
    };
    let [high, low] = id.to_be_bytes();
    out.put_slice(&[first, 2, high, low]);
}

/// Writes PINGREQ.
pub(super) fn put_pingreq(out: &mut BytesMut) {
    out.put_slice(&[0xc0, 0]);
}

/// Writes DISCONNECT.
pub(super) fn put_disconnect(out: &mut BytesMut) {
    out.put_slice(&[0xe0, 0]);
}

fn put_header(out: &mut BytesMut, first: u8, mut length: usize) {
    out.put_u8(first);
    while length >= 0x80 {
        out.put_u8(0x80 | u8::try_from(length & 0x7f).unwrap_or(0x7f));
        length >>= 7;
    }
    out.put_u8(u8::try_from(length).unwrap_or(0x7f));
}

fn put_text(out: &mut BytesMut, text: &str) {
    // The configuration refuses longer ones.
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
