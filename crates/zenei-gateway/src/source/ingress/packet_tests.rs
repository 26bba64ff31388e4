//! The reader of MQTT packets: it reads the standard's examples, and refuses each breach with its place.
use super::*;
use zenei_kit::Dice;

/// The result of `take` for these bytes, as one line.
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
