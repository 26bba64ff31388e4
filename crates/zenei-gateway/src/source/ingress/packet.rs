//! The packets of MQTT v3.1.1 that a publish-only server reads and writes. Strict: a packet that the standard forbids
//! is refused here with the offending value, so that no later code meets it. Topics and payloads are slices of the
//! bytes read, never copies. Must not know a socket. Called by the ingress.
use crate::source::topic::{BadTopicName, TopicName};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The largest packet, in bytes behind the fixed header: twice the largest payload of the telemetry contract, so that a
/// payload that is somewhat too large is accepted, acknowledged and stored as a dead letter instead of being sent again
/// for ever.
pub const MAX_PACKET_BYTES: usize = 128 * 1024;

/// The longest accepted client id, in bytes. The standard demands 23; a guess at what hubs use, with a margin.
pub const MAX_CLIENT_ID_BYTES: usize = 256;

/// A packet that a client may send to this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// The first packet of a connection.
    Connect(Connect),
    /// A message.
    Publish(Publish),
    /// A subscription, which is refused, with the number of its filters.
    Subscribe {
        /// Packet id.
        id: u16,
        /// How many filters.
        filters: usize,
    },
    /// The end of a subscription.
    Unsubscribe {
        /// Packet id.
        id: u16,
    },
    /// Are you there?
    PingReq,
    /// Goodbye.
    Disconnect,
}

/// The first packet of a connection. Will, user name and password are checked for form and not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The client id; may be empty where `clean_session` is set.
    pub client_id: Box<str>,
    /// Whether an earlier session is discarded.
    pub clean_session: bool,
    /// Seconds within which the client must send something; 0 sets no bound.
    pub keep_alive_s: u16,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Checked: UTF-8, not empty, no wildcard, no U+0000.
    pub topic: TopicName,
    /// The bytes.
    pub payload: Bytes,
    /// The packet id to acknowledge; `None` with QoS 0.
    pub id: Option<u16>,
}

/// Why a packet is refused. Two errors are answered by a CONNACK; all others close the connection without an answer, as
/// the standard demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More bytes than allowed.
    #[error("a packet says it has {found} bytes; at most {MAX_PACKET_BYTES} are allowed")]
    TooLarge {
        /// The packet's length.
        found: usize,
    },
    /// A remaining length of more than four bytes.
    #[error("the remaining length has more than 4 bytes")]
    Length,
    /// A packet type that a client may not send, or that this server does not take.
    #[error("packet type {found} is not taken; CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT are")]
    Type {
        /// The type, 0 to 15.
        found: u8,
    },
    /// Flags in the fixed header that this type may not have.
    #[error("packet type {kind} has the flags {found:#06b}, which are not allowed")]
    Flags {
        /// The type.
        kind: u8,
        /// The flags.
        found: u8,
    },
    /// QoS 2, which this server does not support, or 3, which does not exist.
    #[error("quality of service {found}; 0 and 1 are taken")]
    Qos {
        /// The requested QoS.
        found: u8,
    },
    /// The packet ends within a field.
    #[error("the packet ends within its {field}")]
    Short {
        /// The field.
        field: &'static str,
    },
    /// Bytes after the last field.
    #[error("{found} bytes follow the last field")]
    Trailing {
        /// How many.
        found: usize,
    },
    /// A text that is no UTF-8, or has U+0000.
    #[error("the {field} is no valid text")]
    Utf8 {
        /// The field.
        field: &'static str,
    },
    /// A topic name that MQTT does not allow.
    #[error(transparent)]
    Topic(#[from] BadTopicName),
    /// Packet id 0.
    #[error("the packet id is 0; 1 to 65535 are allowed")]
    PacketId,
    /// Another protocol or version: CONNACK 0x01.
    #[error("protocol level {found}; MQTT v3.1.1 (level 4) is spoken")]
    Protocol {
        /// The requested level; 0 for a protocol of another name.
        found: u8,
    },
    /// Flags of CONNECT that contradict one another or that are reserved.
    #[error("CONNECT has the flags {found:#010b}, which are not allowed")]
    ConnectFlags {
        /// The flags.
        found: u8,
    },
    /// An empty client id without a clean session, or one that is too long: CONNACK 0x02.
    #[error("the client id has {found} bytes; 1 to {MAX_CLIENT_ID_BYTES} are allowed, and 0 with a clean session")]
    ClientId {
        /// How many bytes it has.
        found: usize,
    },
    /// SUBSCRIBE or UNSUBSCRIBE without a filter.
    #[error("a subscription names no filter")]
    NoFilter,
}

/// Takes the next whole packet from the front of `read`; `None` where it is incomplete.
///
/// # Errors
/// See [`Malformed`]; the connection can't continue after one.
pub fn take(read: &mut BytesMut) -> Result<Option<Packet>, Malformed> {
    let Some(first) = read.first().copied() else {
        return Ok(None);
    };
    check_first(first >> 4, first & 0x0f)?;
    let Some((length, header)) = remaining_length(read.get(1..).unwrap_or_default())? else {
        return Ok(None);
    };
    if length > MAX_PACKET_BYTES {
        return Err(Malformed::TooLarge { found: length });
    }
    let whole = 1 + header + length;
    if read.len() < whole {
        read.reserve(whole - read.len());
        return Ok(None);
    }
    let mut body = read.split_to(whole).freeze();
    body.advance(1 + header);
    parse(first >> 4, first & 0x0f, body).map(Some)
}

/// Checks the first byte before the rest has come, so that the server does not wait for a client of another protocol.
fn check_first(kind: u8, flags: u8) -> Result<(), Malformed> {
    let allowed = match kind {
        1 | 12 | 14 => 0,
        3 => {
            let qos = (flags >> 1) & 0b11;
            return if qos > 1 { Err(Malformed::Qos { found: qos }) } else { Ok(()) };
        }
        8 | 10 => 0b0010,
        found => return Err(Malformed::Type { found }),
    };
    if flags == allowed { Ok(()) } else { Err(Malformed::Flags { kind, found: flags }) }
}

/// The remaining length and the number of bytes that encode it.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    if bytes.len() >= 4 { Err(Malformed::Length) } else { Ok(None) }
}

fn parse(kind: u8, flags: u8, mut body: Bytes) -> Result<Packet, Malformed> {
    let packet = match kind {
        1 => Packet::Connect(connect(&mut body)?),
        3 => return publish(flags, body).map(Packet::Publish),
        8 => {
            let id = packet_id(&mut body)?;
            Packet::Subscribe { id, filters: filters(&mut body, true)? }
        }
        10 => {
            let id = packet_id(&mut body)?;
            filters(&mut body, false)?;
            Packet::Unsubscribe { id }
        }
        12 => Packet::PingReq,
        14 => Packet::Disconnect,
        found => return Err(Malformed::Type { found }),
    };
    if !body.is_empty() {
        return Err(Malformed::Trailing { found: body.len() });
    }
    Ok(packet)
}

fn publish(flags: u8, mut body: Bytes) -> Result<Publish, Malformed> {
    let has_id = flags & 0b0110 != 0;
    let topic = TopicName::new(field(&mut body, "topic")?)?;
    let id = if has_id { Some(packet_id(&mut body)?) } else { None };
    Ok(Publish { topic, payload: body, id })
}

fn connect(body: &mut Bytes) -> Result<Connect, Malformed> {
    let protocol = field(body, "protocol name")?;
    let level = byte(body, "protocol level")?;
    if &protocol[..] != b"MQTT" {
        return Err(Malformed::Protocol { found: 0 });
    }
    if level != 4 {
        return Err(Malformed::Protocol { found: level });
    }
    let flags = byte(body, "connect flags")?;
    let has = |bit: u8| flags & bit != 0;
    let (user, password, will, clean_session) = (has(0x80), has(0x40), has(0x04), has(0x02));
    let will_qos = (flags >> 3) & 0b11;
    let will_is_bare = !will && (will_qos != 0 || has(0x20));
    if has(0x01) || will_qos == 3 || will_is_bare || (password && !user) {
        return Err(Malformed::ConnectFlags { found: flags });
    }
    let keep_alive_s = number(body, "keep alive")?;
    let client_id = text(body, "client id")?;
    if will {
        TopicName::new(field(body, "will topic")?)?;
        field(body, "will message")?;
    }
    if user {
        text(body, "user name")?;
    }
    if password {
        field(body, "password")?;
    }
    if client_id.len() > MAX_CLIENT_ID_BYTES || (client_id.is_empty() && !clean_session) {
        return Err(Malformed::ClientId { found: client_id.len() });
    }
    Ok(Connect { client_id, clean_session, keep_alive_s })
}

/// Checks the filters of a subscription and returns their number.
fn filters(body: &mut Bytes, with_qos: bool) -> Result<usize, Malformed> {
    let mut count = 0;
    while !body.is_empty() {
        text(body, "topic filter")?;
        if with_qos {
            let qos = byte(body, "quality of service")?;
            if qos > 2 {
                return Err(Malformed::Qos { found: qos });
            }
        }
        count += 1;
    }
    if count == 0 { Err(Malformed::NoFilter) } else { Ok(count) }
}

fn byte(body: &mut Bytes, field: &'static str) -> Result<u8, Malformed> {
    body.try_get_u8().map_err(|_| Malformed::Short { field })
}

fn number(body: &mut Bytes, field: &'static str) -> Result<u16, Malformed> {
    body.try_get_u16().map_err(|_| Malformed::Short { field })
}

fn packet_id(body: &mut Bytes) -> Result<u16, Malformed> {
    match number(body, "packet id")? {
        0 => Err(Malformed::PacketId),
        id => Ok(id),
    }
}

/// A field with its length before it.
fn field(body: &mut Bytes, field: &'static str) -> Result<Bytes, Malformed> {
    let length = usize::from(number(body, field)?);
    if body.len() < length {
        return Err(Malformed::Short { field });
    }
    Ok(body.split_to(length))
}

fn text(body: &mut Bytes, name: &'static str) -> Result<Box<str>, Malformed> {
    let bytes = field(body, name)?;
    match str::from_utf8(&bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.into()),
        Ok(_) | Err(_) => Err(Malformed::Utf8 { field: name }),
    }
}

/// The answer in a CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectReply {
    /// Accepted; whether a session of this client existed.
    Accepted {
        /// Whether a session of this client existed.
        session_present: bool,
    },
    /// 0x01.
    BadProtocol,
    /// 0x02.
    BadClientId,
    /// 0x03.
    Unavailable,
}

/// Writes CONNACK.
pub fn put_connack(out: &mut BytesMut, reply: ConnectReply) {
    let (session, code) = match reply {
        ConnectReply::Accepted { session_present } => (u8::from(session_present), 0),
        ConnectReply::BadProtocol => (0, 1),
        ConnectReply::BadClientId => (0, 2),
        ConnectReply::Unavailable => (0, 3),
    };
    out.put_slice(&[0x20, 2, session, code]);
}

/// Writes PUBACK.
pub fn put_puback(out: &mut BytesMut, id: u16) {
    let [high, low] = id.to_be_bytes();
    out.put_slice(&[0x40, 2, high, low]);
}

/// Writes SUBACK that refuses every filter.
pub fn put_suback_refused(out: &mut BytesMut, id: u16, filters: usize) {
    out.put_u8(0x90);
    let mut length = filters + 2;
    while length >= 0x80 {
        out.put_u8(u8::try_from(length & 0x7f).unwrap_or(0x7f) | 0x80);
        length >>= 7;
    }
    out.put_u8(u8::try_from(length).unwrap_or(0x7f));
    out.put_u16(id);
    out.put_bytes(0x80, filters);
}

/// Writes UNSUBACK.
pub fn put_unsuback(out: &mut BytesMut, id: u16) {
    let [high, low] = id.to_be_bytes();
    out.put_slice(&[0xb0, 2, high, low]);
}

/// Writes PINGRESP.
pub fn put_pingresp(out: &mut BytesMut) {
    out.put_slice(&[0xd0, 0]);
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
