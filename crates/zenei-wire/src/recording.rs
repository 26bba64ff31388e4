//! Reads and writes one line of a recording: a message or an advertisement with the time at which it was received. The
//! bytes of a payload come back exactly as they were received, so that a replay refuses the same messages as the
//! daemon. Must not know files or gzip, nor the meaning of a payload. Called by `scan --record` and by simulators
//! (which write) and by `replay` and `scan` (which read).
use crate::fault::Fault;
use crate::json::cursor::Cursor;
use crate::json::quoted;
use crate::refusal::Reason;
use crate::time::GatewayTime;
use crate::units::DbMilliwatts;
use crate::value::{Value, excerpt};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt::Write as _;

/// The deepest nesting of a line. It is far deeper than a message may be, because a message that is too deep is
/// recorded too; it is bounded, because the reader is recursive. A guess: serde_json's limit.
const MAX_LINE_DEPTH: usize = 128;

/// The content of one line of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A message that came by MQTT.
    Message {
        /// Its topic, unchecked.
        topic: Cow<'a, str>,
        /// `recv_ms`: when it was received.
        heard_at: GatewayTime,
        /// Its bytes, exactly.
        payload: Cow<'a, [u8]>,
    },
    /// An advertisement that came over the air.
    Advertisement {
        /// The sender's address.
        address: Cow<'a, str>,
        /// `recv_ms`: when it was received.
        heard_at: GatewayTime,
        /// Its signal strength, if the receiver reported it.
        rssi_dbm: Option<DbMilliwatts>,
        /// The service data under UUID 0xFCD2.
        service_data: Vec<u8>,
    },
}

/// Why a line can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// Not one JSON object.
    #[error("the line is no JSON object: {detail}")]
    Syntax {
        /// What was found where, and what was allowed.
        detail: String,
    },
    /// A field that a line needs.
    #[error("the line has no {field}; it is required")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field of another type.
    #[error("{field} is no {allowed}")]
    WrongType {
        /// Its name.
        field: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// More than one of `payload`, `payload_b64` and `service_data`: which one was received is ambiguous.
    #[error("the line has {first} and {second}; only one of payload, payload_b64 and service_data is allowed")]
    Ambiguous {
        /// One of them.
        first: &'static str,
        /// Another one.
        second: &'static str,
    },
    /// Text that does not decode.
    #[error("{field} is \"{found}\", which is no {allowed}")]
    Encoding {
        /// Its name.
        field: &'static str,
        /// Its start, escaped.
        found: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

/// Reads one line, with or without its line break. Unknown fields are skipped.
///
/// # Errors
/// See [`RecordingError`].
pub fn parse_line(line: &str) -> Result<Line<'_>, RecordingError> {
    let fields = Fields::read(line)
        .map_err(|fault| RecordingError::Syntax { detail: fault.refusal(Reason::BadJson, line.as_bytes()).detail })?;
    let recv_ms = fields.recv_ms.ok_or(RecordingError::Missing { field: "recv_ms" })?;
    let Value::Int(recv_ms) = recv_ms else {
        return Err(RecordingError::WrongType { field: "recv_ms", allowed: "integer of milliseconds since 1970" });
    };
    let heard_at = GatewayTime(recv_ms);
    match (fields.payload, fields.payload_b64, fields.service_data) {
        (Some(payload), None, None) => {
            let topic = text("topic", fields.topic)?;
            Ok(Line::Message { topic, heard_at, payload: Cow::Borrowed(payload) })
        }
        (None, Some(payload), None) => {
            let topic = text("topic", fields.topic)?;
            let payload = text("payload_b64", Some(payload))?;
            let bytes = STANDARD.decode(&*payload).map_err(|_| encoding("payload_b64", &payload, "padded base64"))?;
            Ok(Line::Message { topic, heard_at, payload: Cow::Owned(bytes) })
        }
        (None, None, Some(service_data)) => {
            let address = text("address", fields.address)?;
            let hex = text("service_data", Some(service_data))?;
            let service_data = unhex(&hex).ok_or_else(|| encoding("service_data", &hex, "hex in pairs of digits"))?;
            Ok(Line::Advertisement { address, heard_at, rssi_dbm: rssi(fields.rssi_dbm)?, service_data })
        }
        (None, None, None) => Err(RecordingError::Missing { field: "payload, payload_b64 or service_data" }),
        (Some(_), Some(_), _) => Err(RecordingError::Ambiguous { first: "payload", second: "payload_b64" }),
        (Some(_), None, Some(_)) => Err(RecordingError::Ambiguous { first: "payload", second: "service_data" }),
        (None, Some(_), Some(_)) => Err(RecordingError::Ambiguous { first: "payload_b64", second: "service_data" }),
    }
}

/// Adds a message as one line with its line break: the payload as it is where it is one JSON text on one line, with
/// nothing around it; else in base64.
pub fn write_line(topic: &str, heard_at: GatewayTime, payload: &[u8], out: &mut String) {
    out.push_str("{\"topic\":");
    quoted(topic, |piece| out.push_str(piece));
    // Writing to a text can't fail.
    let _ = write!(out, ",\"recv_ms\":{}", heard_at.ms());
    match one_json_text(payload) {
        Some(json) => {
            out.push_str(",\"payload\":");
            out.push_str(json);
        }
        None => {
            out.push_str(",\"payload_b64\":\"");
            STANDARD.encode_string(payload, out);
            out.push('"');
        }
    }
    out.push_str("}\n");
}

/// Adds an advertisement as one line with its line break.
pub fn write_advertisement(
    address: &str,
    heard_at: GatewayTime,
    rssi_dbm: Option<DbMilliwatts>,
    service_data: &[u8],
    out: &mut String,
) {
    // Writing to a text can't fail.
    let _ = write!(out, "{{\"recv_ms\":{},\"address\":", heard_at.ms());
    quoted(address, |piece| out.push_str(piece));
    if let Some(rssi) = rssi_dbm {
        let _ = write!(out, ",\"rssi_dbm\":{}", rssi.0);
    }
    out.push_str(",\"service_data\":\"");
    for byte in service_data {
        let _ = write!(out, "{byte:02x}");
    }
    out.push_str("\"}\n");
}

/// The fields of a line as they stand there; of one that comes twice the last.
#[derive(Default)]
struct Fields<'a> {
    topic: Option<Value<'a>>,
    recv_ms: Option<Value<'a>>,
    payload: Option<&'a [u8]>,
    payload_b64: Option<Value<'a>>,
    address: Option<Value<'a>>,
    rssi_dbm: Option<Value<'a>>,
    service_data: Option<Value<'a>>,
}

impl<'a> Fields<'a> {
    fn read(line: &'a str) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(line, MAX_LINE_DEPTH);
        let mut fields = Self::default();
        cursor.space();
        if cursor.peek() != b'{' {
            return Err(cursor.fault("an object"));
        }
        let mut more = cursor.open(b'}', 1)?;
        while more {
            let name = cursor.name()?;
            let slot = match &*name {
                "topic" => Some(&mut fields.topic),
                "recv_ms" => Some(&mut fields.recv_ms),
                "payload_b64" => Some(&mut fields.payload_b64),
                "address" => Some(&mut fields.address),
                "rssi_dbm" => Some(&mut fields.rssi_dbm),
                "service_data" => Some(&mut fields.service_data),
                _ => None,
            };
            let start = cursor.at();
            match slot {
                Some(slot) if !matches!(cursor.peek(), b'{' | b'[') => *slot = Some(cursor.scalar()?),
                Some(slot) => {
                    cursor.skip(1)?;
                    *slot = Some(Value::Map);
                }
                None => {
                    cursor.skip(1)?;
                    if name == "payload" {
                        fields.payload = Some(cursor.since(start));
                    }
                }
            }
            more = cursor.more(b'}')?;
        }
        cursor.end()?;
        Ok(fields)
    }
}

fn text<'a>(field: &'static str, value: Option<Value<'a>>) -> Result<Cow<'a, str>, RecordingError> {
    match value {
        Some(Value::Text(text)) => Ok(text),
        Some(_) => Err(RecordingError::WrongType { field, allowed: "text" }),
        None => Err(RecordingError::Missing { field }),
    }
}

fn rssi(value: Option<Value<'_>>) -> Result<Option<DbMilliwatts>, RecordingError> {
    let wrong = RecordingError::WrongType { field: "rssi_dbm", allowed: "integer from -128 to 127" };
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Int(number)) => i8::try_from(number).map(|rssi| Some(DbMilliwatts(rssi))).map_err(|_| wrong),
        Some(_) => Err(wrong),
    }
}

fn encoding(field: &'static str, found: &str, allowed: &'static str) -> RecordingError {
    RecordingError::Encoding { field, found: excerpt(found), allowed }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// The payload as a text, where a line can hold it so that the same bytes are read back.
fn one_json_text(payload: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(payload).ok()?;
    if payload.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return None;
    }
    let mut cursor = Cursor::new(text, MAX_LINE_DEPTH);
    // One level deeper, as it will stand in the line. White space before a value is no value, and what follows it would
    // be lost.
    cursor.skip(1).ok()?;
    (cursor.at() == payload.len()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    const TOPIC: &str = "bitlock/v1/tokyo-01/BL0000123/state";

    fn written(payload: &[u8]) -> String {
        let mut out = String::new();
        write_line(TOPIC, GatewayTime(1_777_626_000_123), payload, &mut out);
        out
    }

    fn check(line: &str, expected: &str) {
        assert_eq!(parse_line(line).unwrap_err().to_string(), expected, "{line}");
    }

    #[test]
    fn a_json_payload_stands_in_the_line_as_it_is() {
        let payload = br#"{"ts": 1.50e3 , "x":[ ]}"#;
        let line = written(payload);
        assert_eq!(
            line,
            "{\"topic\":\"bitlock/v1/tokyo-01/BL0000123/state\",\"recv_ms\":1777626000123,\"payload\":{\"ts\": 1.50e3 , \"x\":[ ]}}\n"
        );
        let expected = Line::Message {
            topic: TOPIC.into(),
            heard_at: GatewayTime(1_777_626_000_123),
            payload: Cow::Borrowed(payload.as_slice()),
        };
        assert_eq!(parse_line(&line), Ok(expected));
    }

    #[test]
    fn what_is_no_json_on_one_line_stands_in_base64() {
        for payload in
            [&b""[..], b"\xa1\x62ts\x00", b"{\"ts\":1", b"{\"ts\":1} ", b" {\"ts\":1}", b"{\n}", b"[1],[2]", b"\xff"]
        {
            let line = written(payload);
            assert!(line.contains("\"payload_b64\":"), "{line}");
            let Ok(Line::Message { payload: read, .. }) = parse_line(&line) else {
                panic!("not read back: {line}");
            };
            assert_eq!(read, payload);
        }
    }

    #[test]
    fn a_payload_deeper_than_a_message_may_be_is_recorded_as_it_is() {
        let payload = format!("{}{}", "[".repeat(20), "]".repeat(20));
        let line = written(payload.as_bytes());
        assert!(line.contains("\"payload\":[["));
        assert!(matches!(parse_line(&line), Ok(Line::Message { payload: read, .. }) if *read == *payload.as_bytes()));
        let bottomless = "[".repeat(100_000);
        assert!(parse_line(&format!("{{\"payload\":{bottomless}")).is_err());
        assert!(written(bottomless.as_bytes()).contains("payload_b64"));
    }

    #[test]
    fn an_advertisement_reads_back() {
        let mut line = String::new();
        let data = [0x40, 0x00, 0x07, 0xff];
        write_advertisement("C0:FF:EE:00:00:01", GatewayTime(5), Some(DbMilliwatts(-67)), &data, &mut line);
        assert_eq!(
            line,
            "{\"recv_ms\":5,\"address\":\"C0:FF:EE:00:00:01\",\"rssi_dbm\":-67,\"service_data\":\"400007ff\"}\n"
        );
        let expected = Line::Advertisement {
            address: "C0:FF:EE:00:00:01".into(),
            heard_at: GatewayTime(5),
            rssi_dbm: Some(DbMilliwatts(-67)),
            service_data: data.to_vec(),
        };
        assert_eq!(parse_line(&line), Ok(expected));
        let unknown_strength = r#"{"recv_ms":5,"address":"a","rssi_dbm":null,"service_data":""}"#;
        assert!(matches!(parse_line(unknown_strength), Ok(Line::Advertisement { rssi_dbm: None, .. })));
    }

    #[test]
    fn a_broken_line_says_what_is_wrong() {
        check("", "the line is no JSON object: the end at byte 0; an object is allowed");
        check("[]", "the line is no JSON object: '[' at byte 0; an object is allowed");
        check("{} x", "the line is no JSON object: 'x' at byte 3; only the end of the message is allowed");
        check("{}", "the line has no recv_ms; it is required");
        check(r#"{"recv_ms":"5"}"#, "recv_ms is no integer of milliseconds since 1970");
        check(r#"{"recv_ms":5}"#, "the line has no payload, payload_b64 or service_data; it is required");
        check(r#"{"recv_ms":5,"payload":{}}"#, "the line has no topic; it is required");
        check(r#"{"recv_ms":5,"payload":{},"topic":[]}"#, "topic is no text");
        check(
            r#"{"recv_ms":5,"topic":"t","payload":{},"payload_b64":""}"#,
            "the line has payload and payload_b64; only one of payload, payload_b64 and service_data is allowed",
        );
        check(r#"{"recv_ms":5,"topic":"t","payload_b64":"@"}"#, "payload_b64 is \"@\", which is no padded base64");
        check(
            r#"{"recv_ms":5,"address":"a","service_data":"abc"}"#,
            "service_data is \"abc\", which is no hex in pairs of digits",
        );
        check(
            r#"{"recv_ms":5,"address":"a","service_data":"","rssi_dbm":-129}"#,
            "rssi_dbm is no integer from -128 to 127",
        );
    }

    proptest! {
        #[test]
        fn any_message_reads_back_exactly(
            topic: String, recv_ms: i64, payload in prop_oneof![any::<Vec<u8>>(), "[\\[\\]{}\":,0-9 a-z\n]{0,20}".prop_map(String::into_bytes)],
        ) {
            let mut line = String::new();
            write_line(&topic, GatewayTime(recv_ms), &payload, &mut line);
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1), "it is one line");
            let expected = Line::Message { topic: topic.into(), heard_at: GatewayTime(recv_ms), payload: payload.into() };
            prop_assert_eq!(parse_line(&line), Ok(expected));
        }

        #[test]
        fn any_text_is_read_without_panic(line: String, inner: String) {
            let _ = parse_line(&line);
            let framed = format!("{{\"recv_ms\":1,\"topic\":\"t\",{inner}}}");
            let _ = parse_line(&framed);
        }
    }
}
