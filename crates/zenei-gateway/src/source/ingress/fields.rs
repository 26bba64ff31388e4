//! The fields of MQTT packets: numbers, texts, and the properties of version 5. A property that the standard does not
//! allow in its packet, or that comes twice, is refused. Must not know a packet's meaning. Called by `packet`.
use super::malformed::Malformed;
use bytes::{Buf as _, Bytes};

pub(super) fn byte(body: &mut Bytes, field: &'static str) -> Result<u8, Malformed> {
    body.try_get_u8().map_err(|_| Malformed::Short { field })
}

pub(super) fn number(body: &mut Bytes, field: &'static str) -> Result<u16, Malformed> {
    body.try_get_u16().map_err(|_| Malformed::Short { field })
}

pub(super) fn packet_id(body: &mut Bytes) -> Result<u16, Malformed> {
    match number(body, "packet id")? {
        0 => Err(Malformed::PacketId),
        id => Ok(id),
    }
}

/// A field with its length before it.
pub(super) fn field(body: &mut Bytes, field: &'static str) -> Result<Bytes, Malformed> {
    let length = usize::from(number(body, field)?);
    if body.len() < length {
        return Err(Malformed::Short { field });
    }
    Ok(body.split_to(length))
}

pub(super) fn text(body: &mut Bytes, name: &'static str) -> Result<Box<str>, Malformed> {
    let bytes = field(body, name)?;
    match str::from_utf8(&bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.into()),
        Ok(_) | Err(_) => Err(Malformed::Utf8 { field: name }),
    }
}

/// A length of one to four bytes, seven bits in each, and the number of bytes that encode it; `None` where it is
/// incomplete.
pub(super) fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    if bytes.len() >= 4 { Err(Malformed::Length) } else { Ok(None) }
}

/// The packet whose properties are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Connect,
    Will,
    Publish,
    Subscribe,
    Unsubscribe,
    Disconnect,
}

/// The properties that this server acts on; the others are checked and not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    /// For how many seconds a session lasts after its connection.
    pub(super) session_expiry_s: Option<u32>,
    /// The largest packet that the client takes, in bytes.
    pub(super) packet_max: Option<u32>,
    /// A topic by its number.
    pub(super) topic_alias: Option<u16>,
    /// A way to log in that needs several packets.
    pub(super) has_method: bool,
}

/// A property's value by its form.
enum Form {
    Byte,
    Two,
    Four,
    Length,
    Text,
    Bytes,
    Pair,
}

/// The form of a property where the standard allows it in this packet (table 2-4).
fn form(id: u8, of: Of) -> Option<Form> {
    let (form, packets): (Form, &[Of]) = match id {
        0x01 => (Form::Byte, &[Of::Publish, Of::Will]),
        0x02 => (Form::Four, &[Of::Publish, Of::Will]),
        0x03 | 0x08 => (Form::Text, &[Of::Publish, Of::Will]),
        0x09 => (Form::Bytes, &[Of::Publish, Of::Will]),
        0x0b => (Form::Length, &[Of::Subscribe]),
        0x11 => (Form::Four, &[Of::Connect, Of::Disconnect]),
        0x15 => (Form::Text, &[Of::Connect]),
        0x16 => (Form::Bytes, &[Of::Connect]),
        0x17 | 0x19 => (Form::Byte, &[Of::Connect]),
        0x18 => (Form::Four, &[Of::Will]),
        0x1f => (Form::Text, &[Of::Disconnect]),
        0x21 | 0x22 => (Form::Two, &[Of::Connect]),
        0x23 => (Form::Two, &[Of::Publish]),
        0x26 => (Form::Pair, &[Of::Connect, Of::Will, Of::Publish, Of::Subscribe, Of::Unsubscribe, Of::Disconnect]),
        0x27 => (Form::Four, &[Of::Connect]),
        _ => return None,
    };
    packets.contains(&of).then_some(form)
}

/// Reads the properties at the front of `body`: their length and as many bytes.
pub(super) fn properties(body: &mut Bytes, of: Of) -> Result<Properties, Malformed> {
    let short = Malformed::Short { field: "properties" };
    let (bytes, header) = length(body)?.ok_or_else(|| short.clone())?;
    body.advance(header);
    if body.len() < bytes {
        return Err(short);
    }
    let (mut rest, mut found, mut seen) = (body.split_to(bytes), Properties::default(), 0_u64);
    while !rest.is_empty() {
        let id = byte(&mut rest, "property")?;
        let form = form(id, of).ok_or(Malformed::Property { found: id })?;
        // All ids are below 64. People's own properties may come as often as they like.
        if id != 0x26 && seen & (1 << id) != 0 {
            return Err(Malformed::Twice { found: id });
        }
        seen |= 1 << id;
        value(&mut rest, id, &form, &mut found)?;
    }
    if seen & (1 << 0x16) != 0 && !found.has_method {
        return Err(Malformed::Value { property: 0x16 });
    }
    Ok(found)
}

fn value(rest: &mut Bytes, id: u8, form: &Form, found: &mut Properties) -> Result<(), Malformed> {
    let short = |_| Malformed::Short { field: "property" };
    let bad = Malformed::Value { property: id };
    match form {
        Form::Byte if byte(rest, "property")? > 1 => return Err(bad),
        Form::Byte => {}
        Form::Two => {
            let value = number(rest, "property")?;
            match (id, value) {
                // A receive maximum of 0, and the alias 0.
                (0x21 | 0x23, 0) => return Err(bad),
                (0x23, alias) => found.topic_alias = Some(alias),
                (_, _) => {}
            }
        }
        Form::Four => {
            let value = rest.try_get_u32().map_err(short)?;
            match (id, value) {
                (0x27, 0) => return Err(bad),
                (0x27, most) => found.packet_max = Some(most),
                (0x11, seconds) => found.session_expiry_s = Some(seconds),
                (_, _) => {}
            }
        }
        Form::Length => match length(rest)? {
            Some((0, _)) => return Err(bad),
            Some((_, header)) => rest.advance(header),
            None => return Err(Malformed::Short { field: "property" }),
        },
        Form::Text => {
            let text = text(rest, "property")?;
            found.has_method |= id == 0x15;
            // A topic to answer to is a topic.
            if id == 0x08 && (text.is_empty() || text.contains(['+', '#'])) {
                return Err(bad);
            }
        }
        Form::Bytes => _ = field(rest, "property")?,
        Form::Pair => {
            text(rest, "property")?;
            text(rest, "property")?;
        }
    }
    Ok(())
}
