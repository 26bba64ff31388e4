//! What holds for any payload of a topic, whichever of the two codecs reads it. Must not know the syntax. Called by the
//! targets `json` and `cbor`.
use zenei_wire::{Heading, Kind, Record, Records, Refusal, Topic, cbor, decode, json};

/// The decoder that is checked; the product's own is [`decode`].
pub(crate) type Decode = for<'a> fn(&Topic<'a>, &'a [u8]) -> Result<Records<'a>, Refusal>;
type Encode = fn(&Topic<'_>, &Record<'_>, &mut Vec<u8>);

/// The longest text of a refusal, bytes: its quotation is short, however long the input is.
const MAX_DETAIL_BYTES: usize = 300;

/// The topic of a record of this kind.
pub(crate) fn topic(kind: Kind) -> Topic<'static> {
    match Topic::parse("bitlock/v1/tokyo-01/BL0000123/state") {
        Ok(Heading::Record(topic)) => Topic { kind, ..topic },
        other => panic!("the topic of a record reads as {other:?}"),
    }
}

/// Checks this payload under each kind of record that has a topic.
pub(crate) fn check(payload: &[u8], decode: Decode) {
    for &kind in Kind::ALL.iter().filter(|kind| kind.has_topic()) {
        match decode(&topic(kind), payload) {
            Ok(records) => check_records(kind, payload, &records, decode),
            Err(refusal) => check_refusal(&refusal),
        }
    }
}

fn check_records(kind: Kind, payload: &[u8], records: &Records<'_>, decode: Decode) {
    assert!(!records.is_empty(), "a message that is taken has a record or a refusal");
    let mut behind = 0;
    for decoded in records {
        let at = decoded.raw.as_ptr().addr().wrapping_sub(payload.as_ptr().addr());
        let end = at.checked_add(decoded.raw.len()).filter(|end| *end <= payload.len());
        let end = end.unwrap_or_else(|| panic!("the bytes of a record are no part of the payload"));
        assert!(at >= behind && !decoded.raw.is_empty(), "records have bytes of their own, in the payload's order");
        behind = end;
        match &decoded.record {
            Ok(record) => check_record(kind, record, decode),
            Err(refusal) => check_refusal(refusal),
        }
        check_alone(kind, decoded, records.len(), decode);
    }
}

/// A record can be written by both codecs, and is read back unchanged.
fn check_record(kind: Kind, record: &Record<'_>, decode: Decode) {
    assert_eq!(record.body.kind(), kind);
    for encode in [json::encode as Encode, cbor::encode as Encode] {
        let mut again = Vec::new();
        encode(&topic(kind), record, &mut again);
        let decoded = decode(&topic(kind), &again).expect("what is written is a message");
        assert_eq!((decoded.len(), decoded[0].raw), (1, again.as_slice()), "it is one record");
        let expected = Record { unknown_fields: 0, ..record.clone() };
        assert_eq!(decoded[0].record.as_ref(), Ok(&expected), "what is read can be written and read again");
    }
}

/// The bytes of an element mean the same alone as within their message. An element that is not an object has a meaning
/// in an array only.
fn check_alone(kind: Kind, element: &zenei_wire::DecodedRecord<'_>, count: usize, decode: Decode) {
    match decode(&topic(kind), element.raw) {
        Ok(alone) if alone.len() == 1 && alone[0].raw == element.raw => {
            assert_eq!(alone[0].record.is_ok(), element.record.is_ok(), "its own bytes say the same");
            assert!(alone[0].record.is_err() || alone[0].record == element.record, "its own bytes say the same");
        }
        Ok(_) | Err(_) => assert!(count > 1 || element.record.is_err(), "a record's bytes are a message"),
    }
}

fn check_refusal(refusal: &Refusal) {
    assert!(refusal.detail.len() <= MAX_DETAIL_BYTES, "a refusal is short: {}", refusal.detail);
    assert!(!refusal.detail.contains(char::is_control), "what a refusal quotes is escaped");
}

/// The product's decoder.
pub(crate) fn product<'a>(topic: &Topic<'a>, payload: &'a [u8]) -> Result<Records<'a>, Refusal> {
    decode(topic, payload)
}
