//! Properties of every record and every string of bytes: encoding and decoding are inverse, both codecs give equal
//! records, nothing panics, and other parsers agree on what is JSON and what is CBOR.
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::borrow::Cow;
use zenei_kit::Dice;
use zenei_wire::*;

fn text() -> impl Strategy<Value = Text<'static>> {
    let plain = any::<char>().prop_map(|any| if any.is_control() { '錠' } else { any });
    let any_text = vec(prop_oneof![4 => proptest::char::range(' ', '~'), 1 => plain], 0..60);
    any_text.prop_map(|chars| Cow::Owned(chars.into_iter().collect()))
}

fn label() -> impl Strategy<Value = Option<Text<'static>>> {
    option::of(text())
}

/// A body of any kind that a message has, by the contract's list of fields.
fn drawn() -> impl Strategy<Value = Body<'static>> {
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| kind.has_topic()).collect();
    (select(kinds), any::<u64>()).prop_map(|(kind, seed)| zenei_kit::body(kind, DEVICE, &mut Dice(seed)))
}

fn body() -> impl Strategy<Value = Body<'static>> {
    let error = ("[a-z][a-z0-9_]{0,47}", any::<u32>(), label())
        .prop_map(|(code, count, detail)| Body::Error(ErrorReport { code: code.into(), count, detail }));
    let event = (select(EventKind::ALL), label(), label())
        .prop_map(|(event, fw_from, fw_to)| Body::Event(Event { event, fw_from, fw_to }));
    let counts = proptest::array::uniform5(option::of(any::<u32>()));
    let gateway = (any::<bool>(), label(), counts).prop_map(|(named, version, counts)| {
        Body::Gateway(GatewayReport {
            gateway_id: named.then_some(Cow::Borrowed(DEVICE)),
            version,
            queue_depth: counts[0],
            publish_errors: counts[1],
            api_errors: counts[2],
            api_latency_ms: counts[3],
            locks_heard: counts[4],
        })
    });
    prop_oneof![2 => drawn(), 3 => prop_oneof![error, event, gateway]]
}

fn record() -> impl Strategy<Value = Record<'static>> {
    let numbers = (any::<i64>(), option::of(any::<u32>()), option::of(any::<u32>()), option::of(any::<u32>()));
    let labels = (label(), label(), label(), label(), label(), label(), label());
    (numbers, labels, body()).prop_map(|((ts, boot, seq, uptime_s), labels, body)| Record {
        ts: DeviceTime(ts),
        boot,
        seq,
        model: labels.0,
        hw_rev: labels.1,
        lot: labels.2,
        fw: labels.3,
        service: labels.4,
        gw: labels.5,
        client_version: labels.6,
        uptime_s,
        body,
        unknown_fields: 0,
    })
}

const DEVICE: &str = "BL0000123";

fn topic(kind: Kind) -> Topic<'static> {
    let name = |text| Name::new(text).expect("a name");
    Topic { site: name("tokyo-01"), device: name(DEVICE), kind }
}

type Encode = fn(&Topic<'_>, &Record<'_>, &mut Vec<u8>);
const CODECS: [Encode; 2] = [json::encode, cbor::encode];

fn encoded(encode: Encode, record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&topic(record.body.kind()), record, &mut out);
    out
}

/// A valid message with some bytes replaced, removed or doubled, and perhaps cut short.
fn damaged() -> impl Strategy<Value = (Kind, Vec<u8>)> {
    let edits = vec((any::<Index>(), any::<u8>(), 0..4u8), 0..6);
    let alphabet = select(b"{}[]\",:\\u0123456789eE+-.tfn \x00\x1f\x7f\x80\xbf\xff\x5f\x7f\x9f\xf9\xf8\xc1".as_slice());
    (record(), 0..2usize, edits, vec(alphabet, 6), option::weighted(0.2, any::<Index>())).prop_map(
        |(record, codec, edits, likely, cut)| {
            let mut bytes = encoded(CODECS[codec], &record);
            for ((at, byte, what), likely) in edits.into_iter().zip(likely) {
                let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
                match what {
                    0 if !bytes.is_empty() => bytes[at] = byte,
                    1 if !bytes.is_empty() => bytes[at] = likely,
                    2 if !bytes.is_empty() => drop(bytes.remove(at)),
                    _ => bytes.insert(at, likely),
                }
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            (record.body.kind(), bytes)
        },
    )
}

/// Properties that must hold for any bytes.
fn check_any(kind: Kind, payload: &[u8]) {
    match decode(&topic(kind), payload) {
        Ok(records) => {
            assert!(!records.is_empty(), "a message must leave a trace");
            for decoded in &records {
                let range = payload.as_ptr_range();
                assert!(range.contains(&decoded.raw.as_ptr()), "raw is a part of the payload");
                if let Ok(record) = &decoded.record {
                    assert_eq!(record.body.kind(), kind);
                    for encode in CODECS {
                        let again = encoded(encode, record);
                        let decoded_again = decode(&topic(kind), &again).expect("what we write is a message");
                        let expected = Record { unknown_fields: 0, ..record.clone() };
                        assert_eq!(decoded_again[0].record.as_ref(), Ok(&expected), "what is accepted can be written");
                    }
                }
            }
        }
        Err(refusal) => assert!(refusal.detail.len() <= 300, "a detail is short: {}", refusal.detail),
    }
    check_syntax(kind, payload);
}

/// Our verdict on the syntax against serde_json's and minicbor's. Theirs are looser here and there, so each direction
/// names its reader.
fn check_syntax(kind: Kind, payload: &[u8]) {
    let verdict = decode(&topic(kind), payload);
    if matches!(payload.first(), None | Some(b'{' | b'[' | b' ' | b'\t' | b'\n' | b'\r')) {
        if verdict.is_ok() {
            // Checks no surrogates, and no range of numbers.
            serde_json::from_slice::<serde::de::IgnoredAny>(payload).expect("what we take is JSON");
        } else if verdict.is_err_and(|refusal| refusal.reason == Reason::BadJson) {
            let value = serde_json::from_slice::<serde_json::Value>(payload);
            let no_message = |value: &serde_json::Value| value.as_array().map_or(!value.is_object(), Vec::is_empty);
            assert!(value.as_ref().map_or(true, no_message), "what we refuse is no JSON message: {value:?}");
        }
    } else if verdict.is_ok() {
        let mut reader = minicbor::Decoder::new(payload);
        reader.skip().expect("what we take is CBOR");
        assert_eq!(reader.position(), payload.len(), "what we take is one item");
    }
}

proptest! {
    #[test]
    fn a_record_decodes_to_what_was_encoded(record in record()) {
        for encode in CODECS {
            let payload = encoded(encode, &record);
            let records = decode(&topic(record.body.kind()), &payload).unwrap();
            prop_assert_eq!(records.len(), 1);
            prop_assert_eq!(records[0].record.as_ref(), Ok(&record));
            prop_assert_eq!(records[0].raw, payload.as_slice());
        }
    }

    #[test]
    fn an_array_decodes_to_its_records(first in record(), others in vec(record(), 0..8)) {
        let kind = first.body.kind();
        let mut records = vec![first];
        records.extend(others.into_iter().filter(|record| record.body.kind() == kind));
        for encode_array in [json::encode_array, cbor::encode_array] {
            let mut payload = Vec::new();
            encode_array(&topic(kind), &records, &mut payload);
            let decoded = decode(&topic(kind), &payload).unwrap();
            let read: Vec<_> = decoded.iter().map(|decoded| decoded.record.clone().unwrap()).collect();
            prop_assert_eq!(&read, &records);
            for one in &decoded {
                let alone = decode(&topic(kind), one.raw).unwrap();
                prop_assert_eq!(&alone[0].record, &one.record, "its own bytes say the same");
            }
        }
    }

    #[test]
    fn white_space_and_escapes_change_nothing(record in record()) {
        let payload = encoded(json::encode, &record);
        let value: serde_json::Value = serde_json::from_slice(&payload).expect("what we write is JSON");
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        let escape = |unit: &u16| if *unit < 0x80 { String::from(*unit as u8 as char) } else { format!("\\u{unit:04X}") };
        let units: Vec<u16> = String::from_utf8(pretty).unwrap().encode_utf16().collect();
        let escaped: String = units.iter().map(escape).collect();
        let records = decode(&topic(record.body.kind()), escaped.as_bytes()).unwrap();
        prop_assert_eq!(records[0].record.as_ref(), Ok(&record));
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        kind in select(Kind::ALL), start in select(["", "{", "[", "[{\"ts\":", "{\"ts\":1,"].as_slice()), payload in vec(any::<u8>(), 0..300),
    ) {
        let payload = [start.as_bytes(), &payload].concat();
        if kind.has_topic() {
            check_any(kind, &payload);
        } else {
            let whole = decode(&topic(kind), &payload);
            prop_assert!(whole.map_or(true, |records| records.iter().all(|decoded| decoded.record.is_err())));
        }
    }

    #[test]
    fn damaged_messages_are_read_without_panic((kind, payload) in damaged()) {
        check_any(kind, &payload);
    }

    #[test]
    fn a_message_of_another_kind_is_read_without_panic(record in record(), kind in select(Kind::ALL), codec in 0..2usize) {
        if kind.has_topic() {
            check_any(kind, &encoded(CODECS[codec], &record));
        }
    }
}

#[test]
fn every_hundredth_comes_back_from_both_codecs() {
    for hundredths in i16::MIN..=i16::MAX {
        let body = Body::State(State { temp_c: Some(CentiCelsius(hundredths)), ..State::default() });
        for encode in CODECS {
            let mut record = decode(&topic(Kind::State), b"{\"ts\":0}").unwrap()[0].record.clone().unwrap();
            record.body = body.clone();
            let payload = encoded(encode, &record);
            assert_eq!(decode(&topic(Kind::State), &payload).unwrap()[0].record.as_ref(), Ok(&record), "{hundredths}");
        }
    }
}
