//! The packets of MQTT v3.1.1 and 5 that a publish-only server reads. Strict: a packet that the standard forbids is
//! refused here with the offending value, so that no later code meets it. Topics and payloads are slices of the bytes
//! read, never copies. Must not know a socket. Called by the ingress.
use super::fields::{Of, byte, field, length, number, packet_id, properties, text};
use crate::source::topic::TopicName;
use bytes::{Buf as _, Bytes, BytesMut};

pub use super::malformed::{MAX_CLIENT_ID_BYTES, MAX_PACKET_BYTES, MIN_PACKET_BYTES, Malformed, Version};

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
    /// The end of subscriptions, with the number of its filters.
    Unsubscribe {
        /// Packet id.
        id: u16,
        /// How many filters.
        filters: usize,
    },
    /// Are you there?
    PingReq,
    /// Goodbye.
    Disconnect {
        /// For how many seconds the session lasts from now on, where that changes (version 5).
        expiry_s: Option<u32>,
    },
}

/// The first packet of a connection. Will, user name and password are checked for form and not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The version that the connection speaks from here on.
    pub version: Version,
    /// The client id; may be empty where no session is kept, and in version 5.
    pub client_id: Box<str>,
    /// Whether an earlier session is discarded.
    pub clean_start: bool,
    /// Whether the session lasts after the connection.
    pub lasts: bool,
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

/// Takes the next whole packet of a connection that speaks this version from the front of `read`; `None` where it is
/// incomplete. A CONNECT is read by the version that it names.
///
/// # Errors
/// See [`Malformed`]; the connection can't continue after one.
pub fn take(read: &mut BytesMut, version: Version) -> Result<Option<Packet>, Malformed> {
    let Some(first) = read.first().copied() else {
        return Ok(None);
    };
    check_first(first >> 4, first & 0x0f)?;
    let Some((length, header)) = length(read.get(1..).unwrap_or_default())? else {
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
    parse(first >> 4, first & 0x0f, body, version).map(Some)
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

fn parse(kind: u8, flags: u8, mut body: Bytes, version: Version) -> Result<Packet, Malformed> {
    let packet = match kind {
        1 => Packet::Connect(connect(&mut body)?),
        3 => return publish(flags, body, version).map(Packet::Publish),
        8 => {
            let id = packet_id(&mut body)?;
            skip(&mut body, Of::Subscribe, version)?;
            Packet::Subscribe { id, filters: filters(&mut body, Some(version))? }
        }
        10 => {
            let id = packet_id(&mut body)?;
            skip(&mut body, Of::Unsubscribe, version)?;
            Packet::Unsubscribe { id, filters: filters(&mut body, None)? }
        }
        12 => Packet::PingReq,
        14 => disconnect(&mut body, version)?,
        found => return Err(Malformed::Type { found }),
    };
    if !body.is_empty() {
        return Err(Malformed::Trailing { found: body.len() });
    }
    Ok(packet)
}

/// Checks the properties that version 5 has and that nothing depends on here.
fn skip(body: &mut Bytes, of: Of, version: Version) -> Result<(), Malformed> {
    if version == Version::V5 {
        properties(body, of)?;
    }
    Ok(())
}

fn publish(flags: u8, mut body: Bytes, version: Version) -> Result<Publish, Malformed> {
    let has_id = flags & 0b0110 != 0;
    let topic = field(&mut body, "topic")?;
    let id = if has_id { Some(packet_id(&mut body)?) } else { None };
    if version == Version::V5
        && let Some(found) = properties(&mut body, Of::Publish)?.topic_alias
    {
        return Err(Malformed::Alias { found });
    }
    Ok(Publish { topic: TopicName::new(topic)?, payload: body, id })
}

/// A DISCONNECT; version 5 may say why, and for how long its session lasts from now on.
fn disconnect(body: &mut Bytes, version: Version) -> Result<Packet, Malformed> {
    let mut expiry_s = None;
    if version == Version::V5 && !body.is_empty() {
        byte(body, "reason code")?;
        if !body.is_empty() {
            expiry_s = properties(body, Of::Disconnect)?.session_expiry_s;
        }
    }
    Ok(Packet::Disconnect { expiry_s })
}

fn connect(body: &mut Bytes) -> Result<Connect, Malformed> {
    let protocol = field(body, "protocol name")?;
    let level = byte(body, "protocol level")?;
    let version = match (&protocol[..], level) {
        (b"MQTT", 4) => Version::V3,
        (b"MQTT", 5) => Version::V5,
        _ => {
            let name = String::from_utf8_lossy(&protocol).chars().take(16).collect::<String>().into();
            return Err(Malformed::Protocol { name, level });
        }
    };
    connect_of(body, version).map_err(|error| Malformed::Connect { version, error: error.into() })
}

fn connect_of(body: &mut Bytes, version: Version) -> Result<Connect, Malformed> {
    let flags = byte(body, "connect flags")?;
    let has = |bit: u8| flags & bit != 0;
    let (user, password, will, clean_start) = (has(0x80), has(0x40), has(0x04), has(0x02));
    let will_qos = (flags >> 3) & 0b11;
    let will_is_bare = !will && (will_qos != 0 || has(0x20));
    // Version 5 lets a password stand alone, as a token does.
    let is_bare = password && !user && version == Version::V3;
    if has(0x01) || will_qos == 3 || will_is_bare || is_bare {
        return Err(Malformed::ConnectFlags { found: flags });
    }
    let keep_alive_s = number(body, "keep alive")?;
    let asked = match version {
        Version::V3 => None,
        Version::V5 => Some(properties(body, Of::Connect)?),
    };
    let client_id = text(body, "client id")?;
    if will {
        skip(body, Of::Will, version)?;
        TopicName::new(field(body, "will topic")?)?;
        field(body, "will message")?;
    }
    if user {
        text(body, "user name")?;
    }
    if password {
        field(body, "password")?;
    }
    let is_nameless = client_id.is_empty() && version == Version::V3 && !clean_start;
    if client_id.len() > MAX_CLIENT_ID_BYTES || is_nameless {
        return Err(Malformed::ClientId { found: client_id.len() });
    }
    if let Some(found) = asked.and_then(|asked| asked.packet_max).filter(|&most| most < MIN_PACKET_BYTES) {
        return Err(Malformed::PacketMax { found });
    }
    if asked.is_some_and(|asked| asked.has_method) {
        return Err(Malformed::Method);
    }
    if !body.is_empty() {
        return Err(Malformed::Trailing { found: body.len() });
    }
    let lasts = asked.map_or(!clean_start, |asked| asked.session_expiry_s.unwrap_or(0) > 0);
    Ok(Connect { version, client_id, clean_start, lasts, keep_alive_s })
}

/// Checks the filters of a subscription, with the options of a version or without any, and returns their number.
fn filters(body: &mut Bytes, options: Option<Version>) -> Result<usize, Malformed> {
    let mut count = 0;
    while !body.is_empty() {
        text(body, "topic filter")?;
        if let Some(version) = options {
            check_options(byte(body, "quality of service")?, version)?;
        }
        count += 1;
    }
    if count == 0 { Err(Malformed::NoFilter) } else { Ok(count) }
}

fn check_options(found: u8, version: Version) -> Result<(), Malformed> {
    let qos = match version {
        Version::V3 => found,
        Version::V5 => found & 0b11,
    };
    match version {
        _ if qos > 2 => Err(Malformed::Qos { found: qos }),
        // Two reserved bits, and a way to handle retained messages that does not exist.
        Version::V5 if found & 0b1100_0000 != 0 || found & 0b0011_0000 == 0b0011_0000 => {
            Err(Malformed::Options { found })
        }
        Version::V3 | Version::V5 => Ok(()),
    }
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
