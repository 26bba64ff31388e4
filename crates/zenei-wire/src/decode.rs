//! Decodes a topic and its payload into records: the one entry point for JSON and CBOR. Must not know who sent the
//! message, or when. Called by the store's decoder of messages (which `run`, `replay`, `record list`, `scan` and the
//! lab share), by the gateway's time stamp, and by simulators and tests.
use crate::decoded::Records;
use crate::digest::Id;
use crate::ids::Name;
use crate::limits::MAX_PAYLOAD_BYTES;
use crate::refusal::{Reason, Refusal};
use crate::time::DeviceTime;
use crate::topic::Topic;
use crate::{cbor, json};
use alloc::format;

/// Decodes one message: one record, or an array of up to 1,000. Never empty.
///
/// JSON where the first byte is `{`, `[` or white space, or where there is none; CBOR otherwise. (As CBOR those bytes
/// would be integers and byte strings, which are no message.) An empty array, or a value that is neither object nor
/// array, is `bad_json` or `bad_cbor`; an element of an array that is no object is refused alone as `wrong_type`. A
/// text in CBOR that is no UTF-8 is `bad_utf8`, as in JSON. A field that comes twice: each one is checked, the last one
/// counts.
///
/// # Errors
/// Where the message as a whole can't be read (`too_large`, `bad_utf8`, `bad_json`, `bad_cbor`, `too_deep`,
/// `too_many_records`; the first in the order of the bytes); it then counts as one dead letter. A single bad record of
/// an array is refused in its own [`DecodedRecord`](crate::DecodedRecord).
pub fn decode<'a>(topic: &Topic<'a>, payload: &'a [u8]) -> Result<Records<'a>, Refusal> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        let detail = format!("the payload has {} bytes; {MAX_PAYLOAD_BYTES} are allowed", payload.len());
        return Err(Refusal::new(Reason::TooLarge, detail));
    }
    // Filled in place: a record is some 400 bytes, and moving it from hand to hand would cost more than reading it.
    let mut records = Records::new();
    match payload.first() {
        None | Some(b'{' | b'[' | b' ' | b'\t' | b'\n' | b'\r') => json::decode(topic, payload, &mut records)?,
        Some(_) => cbor::decode(topic, payload, &mut records)?,
    }
    Ok(records)
}

/// Identity of a record without `(boot, seq)`: [`Id::of`] device id, `ts` (8 bytes, big endian) and the record's bytes.
pub fn event_identity(device: Name<'_>, ts: DeviceTime, raw: &[u8]) -> u128 {
    Id::of(&[device.as_str().as_bytes(), &ts.ms().to_be_bytes(), raw]).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Kind;
    use crate::topic::Heading;
    use alloc::borrow::Cow;
    use alloc::string::{String, ToString as _};

    fn topic(kind: Kind) -> Topic<'static> {
        match Topic::parse("bitlock/v1/tokyo-01/BL0000123/state") {
            Ok(Heading::Record(topic)) => Topic { kind, ..topic },
            other => panic!("a record's topic reads as {other:?}"),
        }
    }

    fn refusal(payload: &[u8]) -> String {
        match decode(&topic(Kind::State), payload) {
            Err(refusal) => refusal.to_string(),
            Ok(records) => records[0].record.as_ref().unwrap_err().to_string(),
        }
    }

    #[test]
    fn a_refusal_says_what_was_found_and_what_is_allowed() {
        for (payload, expected) in [
            ("{\"ts\":1", "bad_json: the end at byte 7; a comma or the closing bracket is allowed"),
            ("{\"ts\":\u{e9}}", "bad_json: '\\xc3' at byte 6; a value is allowed"),
            ("[[[[[", "too_deep: a deeper level at byte 4; 4 levels are allowed"),
            ("{}", "missing_field: ts is absent or null; it is required"),
            ("{\"battery_mv\":-5}", "out_of_range: battery_mv is -5; an integer from 0 to 65535 is allowed"),
            ("{\"temp_c\":1e9}", "out_of_range: temp_c is 1e9; a number from -327.68 to 327.67 is allowed"),
            (
                "{\"lock_state\":\"a\\u001b[31m\"}",
                "bad_string: lock_state is \"a\\u{1b}[31m\"; a text of at most 256 bytes without control characters is allowed",
            ),
            (
                "{\"device_id\":\"BL9\"}",
                "identity_mismatch: device_id is \"BL9\"; only the topic's id, BL0000123, is allowed",
            ),
        ] {
            assert_eq!(refusal(payload.as_bytes()), expected, "{payload}");
        }
        assert_eq!(refusal(b"\xa1\x62ts"), "bad_cbor: the end at byte 4; an item is allowed");
        let too_large = alloc::vec![b' '; MAX_PAYLOAD_BYTES + 1];
        assert_eq!(refusal(&too_large), "too_large: the payload has 65537 bytes; 65536 are allowed");
    }

    #[test]
    fn a_refusal_holds_at_most_64_bytes_of_the_input() {
        let long = format!("{{\"fw\":\"{}\"}}", "錠".repeat(1000));
        let shown = refusal(long.as_bytes());
        let quoted = shown.split('"').nth(1).unwrap();
        assert!(quoted.len() <= 64 && quoted.is_ascii(), "{shown}");
    }

    #[test]
    fn texts_without_escapes_are_borrowed() {
        for payload in [&b"{\"ts\":1,\"fw\":\"3.2.1\"}"[..], b"\xa2\x62ts\x01\x62fw\x653.2.1"] {
            let records = decode(&topic(Kind::State), payload).unwrap();
            assert!(matches!(records[0].record.as_ref().unwrap().fw, Some(Cow::Borrowed("3.2.1"))));
        }
    }

    #[test]
    fn each_record_of_an_array_has_its_own_bytes() {
        let records = decode(&topic(Kind::State), b" [ {\"ts\":1} , 7 ,{\"ts\":\"x\"}] ").unwrap();
        let raw: alloc::vec::Vec<_> = records.iter().map(|decoded| decoded.raw).collect();
        assert_eq!(raw, [&b"{\"ts\":1}"[..], b"7", b"{\"ts\":\"x\"}"]);
    }

    #[test]
    fn an_advertisement_is_no_message() {
        let records = decode(&topic(Kind::Adv), b"{\"ts\":1}").unwrap();
        assert_eq!(records[0].record.as_ref().unwrap_err().reason, Reason::UnknownKind);
    }

    #[test]
    fn an_identity_depends_on_each_of_its_parts() {
        let name = |text| Name::new(text).unwrap();
        let identity = event_identity(name("BL1"), DeviceTime(1), b"{}");
        assert_eq!(identity, event_identity(name("BL1"), DeviceTime(1), b"{}"));
        assert_ne!(identity, event_identity(name("BL2"), DeviceTime(1), b"{}"));
        assert_ne!(identity, event_identity(name("BL1"), DeviceTime(2), b"{}"));
        assert_ne!(identity, event_identity(name("BL1"), DeviceTime(1), b"{ }"));
        // SHA-256 of 00000003 "BL1" 00000008 0000000000000001 00000002 "{}", its first 16 bytes; stored identities must
        // not change.
        assert_eq!(format!("{identity:032x}"), "8c9a56811ff9b20f5463a72eb61e8ff6");
    }
}
