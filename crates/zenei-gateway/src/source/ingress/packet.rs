//! The bytes of MQTT v3.1.1 as a server that is only published to needs them. Strict: what the standard forbids is
//! refused here, with what was found, so that no later room meets it. Topics and payloads are slices of what was read,
//! never copies. Must not know a socket. Called by the ingress.
use crate::source::topic::{BadTopicName, TopicName};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The largest packet, in bytes behind the fixed header: twice the largest payload of the telemetry contract, so that
/// one that is somewhat too large can still be taken, acknowledged and kept as a dead letter instead of being sent
/// again for ever.
pub const MAX_PACKET_BYTES: usize = 128 * 1024;

/// The longest client id taken, in bytes. The standard demands 23; a guess at what hubs use, with room.
pub const MAX_CLIENT_ID_BYTES: usize = 256;

/// A packet that a client may send to this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// The first packet of a connection.
    Connect(Connect),
    /// A message.
    Publish(Publish),
    /// A wish to hear, which is refused: how many filters it has.
    Subscribe {
        /// Packet id.
        id: u16,
        /// How many filters.
        filters: usize,
    },
    /// The end of a wish to hear.
    Unsubscribe {
        /// Packet id.
        id: u16,
    },
    /// Are you there?
    PingReq,
    /// Goodbye.
    Disconnect,
}

/// The first packet of a connection. Will, user name and password are checked for form and not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Who it says it is; may be empty where `clean_session` is set.
    pub client_id: Box<str>,
    /// Whether an earlier session is forgotten.
    pub clean_session: bool,
    /// Seconds within which the client will send something; 0 is no promise.
    pub keep_alive_s: u16,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Checked: UTF-8, not empty, no wildcard, no U+0000.
    pub topic: TopicName,
    /// The bytes.
    pub payload: Bytes,
    /// The packet id to acknowledge; `None` for QoS 0.
    pub id: Option<u16>,
}

/// Why a packet is refused; all but the two that CONNACK can say close the connection without a word, as the standard
/// demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More bytes than allowed.
    #[error("a packet says it has {found} bytes; at most {MAX_PACKET_BYTES} are allowed")]
    TooLarge {
        /// What it says.
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
    /// QoS 2, which this server does not speak, or 3, which nobody does.
    #[error("quality of service {found}; 0 and 1 are taken")]
    Qos {
        /// What was asked.
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
        /// What it asks for; 0 for a protocol of another name.
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

/// Takes the next whole packet off the front of `read`; `None` where it is not all there yet.
///
/// # Errors
/// See [`Malformed`]; the connection can't go on after one.
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

/// What the first byte alone forbids; looked at before the rest has come, so that a client of another protocol is not
/// waited for.
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

/// The remaining length and how many bytes it stands in.
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

/// Reads the filters of a subscription and forgets them: how many there were.
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

/// What CONNACK answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectReply {
    /// Welcome; whether a session of this client was known.
    Accepted {
        /// Whether a session of this client was known.
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
mod tests {
    use super::*;
    use zenei_kit::Dice;

    /// What `take` makes of these bytes, as one line.
    fn check(bytes: &[u8], expected: &str) {
        let mut read = BytesMut::from(bytes);
        let found = match take(&mut read) {
            Ok(None) => "more".to_owned(),
            Ok(Some(packet)) => format!("{packet:?}"),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{bytes:02x?}\n found {found}\n wanted {expected}");
    }

    /// CONNECT with these flags, level and what follows the keep alive.
    fn connect_bytes(level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, flags, 0, 60];
        body.extend_from_slice(rest);
        let mut packet = vec![0x10, u8::try_from(body.len()).unwrap()];
        packet.extend_from_slice(&body);
        packet
    }

    #[test]
    fn connect_is_read_and_what_it_may_not_say_is_refused() {
        check(
            &connect_bytes(4, 2, &[0, 1, b'a']),
            "Connect(Connect { client_id: \"a\", clean_session: true, keep_alive_s: 60 })",
        );
        check(&connect_bytes(4, 2, &[0, 0]), "client_id: \"\"");
        check(&connect_bytes(4, 0, &[0, 0]), "the client id has 0 bytes");
        check(&connect_bytes(5, 2, &[0, 1, b'a']), "protocol level 5");
        check(&connect_bytes(3, 2, &[0, 1, b'a']), "protocol level 3");
        check(&[0x10, 14, 0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, 2, 0, 60, 0, 0], "protocol level 0");
        check(&connect_bytes(4, 3, &[0, 1, b'a']), "CONNECT has the flags 0b00000011");
        check(&connect_bytes(4, 0x42, &[0, 1, b'a', 0, 0]), "CONNECT has the flags");
        check(&connect_bytes(4, 0x1e, &[0, 1, b'a']), "CONNECT has the flags");
        check(&connect_bytes(4, 0x22, &[0, 1, b'a']), "CONNECT has the flags");
        check(&connect_bytes(4, 0xc6, &[0, 1, b'a', 0, 1, b't', 0, 0, 0, 1, b'u', 0, 1, b'p']), "client_id: \"a\"");
        check(&connect_bytes(4, 0xc6, &[0, 1, b'a', 0, 1, b't', 0, 0, 0, 1, b'u']), "ends within its password");
        check(&connect_bytes(4, 2, &[0, 1, b'a', 9]), "1 bytes follow the last field");
        check(&connect_bytes(4, 2, &[0, 9, b'a']), "ends within its client id");
        check(&connect_bytes(4, 2, &[0, 1, 0xff]), "the client id is no valid text");
        check(&connect_bytes(4, 2, &[0, 1, 0]), "the client id is no valid text");
        check(&[0x11, 0], "packet type 1 has the flags");
    }

    #[test]
    fn publish_is_read_and_what_it_may_not_say_is_refused() {
        check(&[0x30, 4, 0, 1, b't', b'x'], "payload: b\"x\", id: None");
        check(&[0x3b, 6, 0, 1, b't', 1, 2, b'x'], "payload: b\"x\", id: Some(258)");
        check(&[0x32, 5, 0, 1, b't', 0, 1], "payload: b\"\", id: Some(1)");
        check(&[0x32, 5, 0, 1, b't', 0, 0], "the packet id is 0");
        check(&[0x34, 5, 0, 1, b't', 0, 1], "quality of service 2");
        check(&[0x36, 5, 0, 1, b't', 0, 1], "quality of service 3");
        check(&[0x30, 3, 0, 1, b'#'], "the topic is empty or has");
        check(&[0x30, 3, 0, 1, b'+'], "the topic is empty or has");
        check(&[0x30, 3, 0, 1, 0], "the topic is empty or has");
        check(&[0x30, 2, 0, 0], "the topic is empty or has");
        check(&[0x30, 3, 0, 1, 0xff], "the topic is no valid text");
        check(&[0x30, 3, 0, 9, b't'], "ends within its topic");
        check(&[0x30, 0], "ends within its topic");
        check(&[0x32, 4, 0, 1, b't', 0], "ends within its packet id");
    }

    #[test]
    fn subscriptions_are_read_so_that_they_can_be_refused() {
        check(&[0x82, 6, 0, 7, 0, 1, b'#', 1], "Subscribe { id: 7, filters: 1 }");
        check(&[0x82, 10, 0, 7, 0, 1, b'#', 1, 0, 1, b'a', 0], "Subscribe { id: 7, filters: 2 }");
        check(&[0x82, 6, 0, 7, 0, 1, b'#', 3], "quality of service 3");
        check(&[0x82, 2, 0, 7], "names no filter");
        check(&[0x80, 6, 0, 7, 0, 1, b'#', 1], "packet type 8 has the flags");
        check(&[0xa2, 5, 0, 7, 0, 1, b'#'], "Unsubscribe { id: 7 }");
    }

    #[test]
    fn lengths_that_lie_wait_or_are_refused_but_never_allocate_more_than_the_cap() {
        check(&[], "more");
        check(&[0x30], "more");
        check(&[0x30, 0x80], "more");
        check(&[0x30, 0x80, 0x80, 0x80], "more");
        check(&[0x30, 0x80, 0x80, 0x80, 0x80], "more than 4 bytes");
        check(&[0x30, 0xff, 0xff, 0xff, 0x7f], "says it has 268435455 bytes");
        check(&[0x30, 0x81, 0x80, 0x08], "says it has 131073 bytes");
        check(&[0x30, 0x80, 0x80, 0x08], "more");
    }

    #[test]
    fn packets_that_only_a_server_sends_are_refused() {
        for kind in [0_u8, 2, 4, 5, 6, 7, 9, 11, 13, 15] {
            check(&[kind << 4, 0], &format!("packet type {kind} is not taken"));
        }
        check(&[0xc0, 0], "PingReq");
        check(&[0xe0, 0], "Disconnect");
        check(&[0xc0, 1, 0], "1 bytes follow");
    }

    #[test]
    fn any_bytes_are_read_without_a_panic_and_each_packet_takes_something() {
        let mut dice = Dice(1);
        for round in 0..50_000 {
            let mut bytes: Vec<u8> = (0..64).map(|_| dice.byte()).collect();
            let kinds = [0x10, 0x30, 0x32, 0x82, 0xa2];
            bytes[0] = kinds[round % kinds.len()];
            bytes[1] %= 64;
            let mut read = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take(&mut read) {
                assert!(read.len() < bytes.len());
                bytes.truncate(read.len());
            }
        }
    }

    #[test]
    fn a_packet_split_anywhere_is_the_same_packet() {
        let whole = [0x32, 8, 0, 2, b't', b'/', 0, 9, b'h', b'i'];
        for cut in 0..whole.len() {
            let mut read = BytesMut::from(&whole[..cut]);
            assert_eq!(take(&mut read), Ok(None), "cut at {cut}");
            read.extend_from_slice(&whole[cut..]);
            let Ok(Some(Packet::Publish(publish))) = take(&mut read) else { panic!("cut at {cut}") };
            assert_eq!((publish.topic.as_str(), &publish.payload[..], publish.id), ("t/", &b"hi"[..], Some(9)));
        }
    }

    #[test]
    fn replies_have_the_bytes_of_the_standard() {
        let mut out = BytesMut::new();
        put_connack(&mut out, ConnectReply::Accepted { session_present: true });
        put_connack(&mut out, ConnectReply::BadProtocol);
        put_puback(&mut out, 258);
        put_suback_refused(&mut out, 7, 2);
        put_unsuback(&mut out, 8);
        put_pingresp(&mut out);
        let expected =
            [&[0x20, 2, 1, 0, 0x20, 2, 0, 1, 0x40, 2, 1, 2][..], &[0x90, 4, 0, 7, 0x80, 0x80, 0xb0, 2, 0, 8, 0xd0, 0]];
        assert_eq!(&out[..], expected.concat());
        out.clear();
        put_suback_refused(&mut out, 7, 200);
        assert_eq!(&out[..3], &[0x90, 0xca, 0x01]);
        assert_eq!(out.len(), 205);
    }
}
