//! The packets that the ingress sends, by the version of the connection. Must not know a socket. Called by the ingress.
use super::packet::{MAX_PACKET_BYTES, Malformed, Version};
use bytes::{BufMut, BytesMut};

/// The longest reason that is written, in bytes; with it a DISCONNECT stays below what a client must take.
const MAX_REASON_BYTES: usize = 160;

/// The answer to a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectReply {
    /// Accepted.
    Accepted {
        /// Whether a session of this client existed.
        session_present: bool,
        /// Whether the session that version 5 asked for lasts, which it then does for ever.
        lasts: bool,
        /// The client id that a client of version 5 is given that named none.
        assigned: Option<Box<str>>,
    },
    /// Refused: what its CONNECT says can't be taken.
    Refused(Malformed),
    /// The gateway can't serve it now.
    Unavailable,
}

/// Why a connection of version 5 is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// A packet breaks the protocol.
    Malformed(Malformed),
    /// A second CONNECT.
    SecondConnect,
    /// The client was silent for too long.
    Silent,
    /// Another connection took over the client id.
    TakenOver,
    /// The gateway stops.
    Stopping,
}

/// Writes CONNACK. A version that is not spoken is answered in the form of v3.1.1, as its standard demands.
pub fn put_connack(out: &mut BytesMut, version: Version, reply: &ConnectReply) {
    let (session, code) = match (reply, version) {
        (ConnectReply::Accepted { session_present, .. }, _) => (u8::from(*session_present), 0),
        (ConnectReply::Refused(Malformed::Protocol { .. }), Version::V3) => (0, 1),
        (ConnectReply::Refused(_), Version::V3) => (0, 2),
        (ConnectReply::Refused(malformed), Version::V5) => (0, malformed.code()),
        (ConnectReply::Unavailable, Version::V3) => (0, 3),
        (ConnectReply::Unavailable, Version::V5) => (0, 0x88),
    };
    let mut body = BytesMut::from(&[session, code][..]);
    if version == Version::V5 {
        let mut properties = BytesMut::new();
        match reply {
            ConnectReply::Accepted { lasts, assigned, .. } => {
                put_abilities(&mut properties, *lasts, assigned.as_deref())
            }
            ConnectReply::Refused(malformed) => put_reason(&mut properties, &malformed.to_string()),
            ConnectReply::Unavailable => {}
        }
        put_with_length(&mut body, &properties);
    }
    out.put_u8(0x20);
    put_with_length(out, &body);
}

/// What version 5 lets a server say that it does and does not take: QoS 0 and 1, packets up to a length, no
/// subscription of any kind. That no topic alias is allowed needs no word.
fn put_abilities(out: &mut BytesMut, lasts: bool, assigned: Option<&str>) {
    if lasts {
        out.put_slice(&[0x11, 0xff, 0xff, 0xff, 0xff]);
    }
    if let Some(assigned) = assigned {
        out.put_u8(0x12);
        put_text(out, assigned);
    }
    out.put_slice(&[0x24, 1]);
    out.put_u8(0x27);
    // The fixed header takes four bytes more at most.
    out.put_u32(u32::try_from(MAX_PACKET_BYTES + 4).unwrap_or(u32::MAX));
    out.put_slice(&[0x28, 0, 0x29, 0, 0x2a, 0]);
}

/// Writes PUBACK; that of success is the same in both versions.
pub fn put_puback(out: &mut BytesMut, id: u16) {
    let [high, low] = id.to_be_bytes();
    out.put_slice(&[0x40, 2, high, low]);
}

/// Writes SUBACK that refuses every filter: nobody may subscribe here.
pub fn put_suback_refused(out: &mut BytesMut, version: Version, id: u16, filters: usize) {
    let code = match version {
        Version::V3 => 0x80,
        Version::V5 => 0x87,
    };
    put_codes(out, version, (0x90, id), code, filters);
}

/// Writes UNSUBACK: there was no subscription.
pub fn put_unsuback(out: &mut BytesMut, version: Version, id: u16, filters: usize) {
    let filters = match version {
        Version::V3 => 0,
        Version::V5 => filters,
    };
    put_codes(out, version, (0xb0, id), 0x11, filters);
}

fn put_codes(out: &mut BytesMut, version: Version, (kind, id): (u8, u16), code: u8, count: usize) {
    let mut body = BytesMut::with_capacity(count + 3);
    body.put_u16(id);
    if version == Version::V5 {
        body.put_u8(0);
    }
    body.put_bytes(code, count);
    out.put_u8(kind);
    put_with_length(out, &body);
}

/// Writes PINGRESP.
pub fn put_pingresp(out: &mut BytesMut) {
    out.put_slice(&[0xd0, 0]);
}

/// Writes DISCONNECT with its reason; version 3.1.1 has none from a server.
pub fn put_farewell(out: &mut BytesMut, version: Version, farewell: &Farewell) {
    let (code, reason) = match farewell {
        Farewell::Malformed(malformed) => (malformed.code(), malformed.to_string()),
        Farewell::SecondConnect => (0x82, "a second CONNECT; one is allowed".to_owned()),
        Farewell::Silent => (0x8d, String::new()),
        Farewell::TakenOver => (0x8e, String::new()),
        Farewell::Stopping => (0x8b, String::new()),
    };
    if version == Version::V5 {
        let (mut body, mut properties) = (BytesMut::from(&[code][..]), BytesMut::new());
        put_reason(&mut properties, &reason);
        put_with_length(&mut body, &properties);
        out.put_u8(0xe0);
        put_with_length(out, &body);
    }
}

fn put_reason(out: &mut BytesMut, reason: &str) {
    let mut end = reason.len().min(MAX_REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    if end > 0 {
        out.put_u8(0x1f);
        put_text(out, &reason[..end]);
    }
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

/// Writes bytes behind their length, seven bits in each byte of it.
fn put_with_length(out: &mut BytesMut, bytes: &[u8]) {
    let mut length = bytes.len();
    while length >= 0x80 {
        out.put_u8(u8::try_from(length & 0x7f).unwrap_or(0x7f) | 0x80);
        length >>= 7;
    }
    out.put_u8(u8::try_from(length).unwrap_or(0x7f));
    out.put_slice(bytes);
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
