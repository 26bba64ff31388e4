//! The subscriber's packets: what is taken, however the bytes arrive, and what is written.
use super::*;
use zenei_kit::Dice;
use zenei_kit::mqtt::{packet, publish as published};

/// Everything that a stream holds, read in pieces of this size.
fn all(stream: &[u8], piece: usize) -> Vec<Taken> {
    let (mut framer, mut read, mut taken) = (Framer::default(), BytesMut::new(), Vec::new());
    for bytes in stream.chunks(piece) {
        read.extend_from_slice(bytes);
        while let Some(packet) = framer.take(&mut read).unwrap() {
            taken.push(packet);
        }
    }
    assert!(read.is_empty() && framer.skip == 0, "nothing is left");
    taken
}

fn one(bytes: &[u8]) -> Taken {
    let mut taken = all(bytes, bytes.len());
    assert_eq!(taken, all(bytes, 1), "however it arrives");
    assert_eq!(taken.len(), 1);
    taken.remove(0)
}

/// The topic, the acknowledgement and the flaw of a message.
fn message(bytes: &[u8]) -> (String, Option<Ack>, Option<Flaw>) {
    let (taken, flaw) = one(bytes);
    let Packet::Publish(publish) = taken else { panic!("{taken:?}") };
    (publish.topic.as_str().to_owned(), publish.ack, flaw)
}

#[test]
fn a_message_is_taken_whatever_its_topic_and_keeps_its_packet_id() {
    assert_eq!(message(&published("a/b", Some(7), b"x")), ("a/b".into(), Some(Ack::Puback(7)), None));
    assert_eq!(message(&published("a/b", None, b"x")), ("a/b".into(), None, None));
    let bad = |topic: &[u8]| packet(0x32, &[&[0, u8::try_from(topic.len()).unwrap()], topic, &[0, 9, b'x']].concat());
    let utf8 = Some(Flaw::Topic(BadTopicName::Utf8));
    let characters = Some(Flaw::Topic(BadTopicName::Characters));
    let ack = Some(Ack::Puback(9));
    assert_eq!(message(&bad(b"a/\xe6\x8e/b")), (r"a/\xe6\x8e/b".into(), ack, utf8));
    assert_eq!(message(&bad(b"a/+/#")), ("a/+/#".into(), ack, characters));
    assert_eq!(message(&bad(b"a\0b")), (r"a\x00b".into(), ack, characters));
    assert_eq!(message(&bad(b"")), (String::new(), ack, characters));
}

#[test]
fn a_message_of_any_quality_of_service_is_taken_and_answered() {
    let with = |first: u8, id: u16| packet(first, &[&[0, 1, b't'][..], &id.to_be_bytes(), b"x"].concat());
    assert_eq!(message(&with(0x34, 5)).1, Some(Ack::Pubrec(5)));
    assert_eq!(message(&with(0x36, 5)), ("t".into(), Some(Ack::Puback(5)), Some(Flaw::Qos)));
    assert_eq!(message(&with(0x32, 0)), ("t".into(), Some(Ack::Puback(0)), Some(Flaw::PacketId)));
    assert_eq!(message(&with(0x3b, 5)), ("t".into(), Some(Ack::Puback(5)), None), "sent again, and retained");
    assert_eq!(one(&[0x62, 2, 0, 5]), (Packet::PubRel { id: 5 }, None));
}

#[test]
fn a_packet_of_any_length_is_got_past_and_enough_is_kept_to_prove_that_it_is_too_large() {
    let stream = [published("t", Some(3), &vec![b'x'; 3 << 20]), published("u", Some(4), b"y")].concat();
    for piece in [stream.len(), 4_096, 65_537] {
        let taken = all(&stream, piece);
        let [(Packet::Publish(long), None), (Packet::Publish(next), None)] = &taken[..] else { panic!("{piece}") };
        assert_eq!((long.ack, next.ack), (Some(Ack::Puback(3)), Some(Ack::Puback(4))));
        assert!(long.payload.len() > MAX_PAYLOAD_BYTES && long.payload.len() <= MAX_KEPT_BYTES);
        assert_eq!((next.topic.as_str(), &next.payload[..]), ("u", &b"y"[..]));
    }
    let longest = published(&"t".repeat(65_535), Some(3), &vec![b'x'; 70_000]);
    let [(Packet::Publish(long), None)] = &all(&longest, 10_000)[..] else { panic!() };
    assert_eq!((long.topic.as_str().len(), long.payload.len()), (65_535, MAX_PAYLOAD_BYTES + 1));
}

#[test]
fn what_is_no_packet_of_a_broker_is_got_past_with_its_flaw() {
    for (bytes, flaw) in [
        (&[0x00, 0][..], Flaw::Type { found: 0 }),
        (&[0xf0, 1, 9], Flaw::Type { found: 15 }),
        (&[0x82, 2, 0, 1], Flaw::Type { found: 8 }),
        (&[0x32, 1, 0], Flaw::Short { kind: 3 }),
        (&[0x32, 5, 0, 9, b't', 0, 1], Flaw::Short { kind: 3 }),
        (&[0x32, 4, 0, 1, b't', 0], Flaw::Short { kind: 3 }),
        (&[0x62, 1, 0], Flaw::Short { kind: 6 }),
        (&[0x90, 0], Flaw::Short { kind: 9 }),
    ] {
        assert_eq!(one(bytes), (Packet::Unusable, Some(flaw)), "{bytes:?}");
    }
    assert_eq!(one(&[0xd1, 0]), (Packet::PingResp, Some(Flaw::Flags { kind: 13, found: 1 })));
    assert_eq!(one(&[0x60, 2, 0, 5]), (Packet::PubRel { id: 5 }, Some(Flaw::Flags { kind: 6, found: 0 })));
    let connack = Packet::ConnAck { session_present: true, code: 0 };
    assert_eq!(one(&[0x20, 2, 1, 0]), (connack, None));
    let suback = Packet::SubAck { id: 1, codes: Bytes::from_static(&[1, 0x80]) };
    assert_eq!(one(&[0x90, 4, 0, 1, 1, 0x80]), (suback, None));
}

/// What a stream holds, read in pieces of this size, up to a length without an end.
fn held(stream: &[u8], piece: usize) -> (Vec<Taken>, Option<BadLength>) {
    let (mut framer, mut read, mut taken) = (Framer::default(), BytesMut::new(), Vec::new());
    for bytes in stream.chunks(piece) {
        read.extend_from_slice(bytes);
        loop {
            match framer.take(&mut read) {
                Ok(Some(packet)) => taken.push(packet),
                Ok(None) => break,
                Err(error) => return (taken, Some(error)),
            }
        }
    }
    (taken, None)
}

#[test]
fn any_bytes_are_taken_without_a_panic_and_the_same_however_they_arrive() {
    let mut dice = Dice(1);
    for round in 0..20_000_usize {
        let mut bytes: Vec<u8> = (0..96).map(|_| dice.byte()).collect();
        let kinds = [0x20, 0x30, 0x32, 0x34, 0x36, 0x62, 0x90, 0xd0];
        (bytes[0], bytes[1]) = (kinds[round % kinds.len()], bytes[1] % 64);
        assert_eq!(held(&bytes, bytes.len()), held(&bytes, round % 7 + 1), "{bytes:?}");
    }
}

#[test]
fn only_a_length_without_an_end_ends_the_connection() {
    let mut read = BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0xff][..]);
    assert_eq!(Framer::default().take(&mut read), Err(BadLength));
    // Not all of it is there yet.
    let mut read = BytesMut::from(&[0x30, 0xff, 0xff, 0xff][..]);
    assert_eq!(Framer::default().take(&mut read), Ok(None));
}

#[test]
fn what_is_written_has_the_bytes_of_the_standard() {
    let written = |put: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        put(&mut out);
        out.to_vec()
    };
    let bare = Connect { client_id: "a", clean_session: true, keep_alive_s: 60, login: None };
    assert_eq!(written(&|out| put_connect(out, bare)), *b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a");
    let named = Connect { clean_session: false, login: Some(("u", "pw")), ..bare };
    assert_eq!(written(&|out| put_connect(out, named)), *b"\x10\x14\0\x04MQTT\x04\xc0\0\x3c\0\x01a\0\x01u\0\x02pw");
    let subscribe = written(&|out| put_subscribe(out, 258, ["a", "b/#"].into_iter()));
    assert_eq!(subscribe, *b"\x82\x0c\x01\x02\0\x01a\x01\0\x03b/#\x01");
    let long = written(&|out| put_subscribe(out, 1, std::iter::once("x".repeat(200).as_str())));
    assert_eq!((&long[..3], long.len()), (&[0x82, 0xcd, 0x01][..], 3 + 205));
    let acks = |out: &mut BytesMut| {
        [Ack::Puback(1), Ack::Pubrec(2), Ack::Pubcomp(258)].into_iter().for_each(|ack| put_ack(out, ack));
    };
    assert_eq!(written(&acks), [0x40, 2, 0, 1, 0x50, 2, 0, 2, 0x70, 2, 1, 2]);
}
