//! The reader of MQTT packets: it reads the standard's examples, and refuses each breach with its place.
use super::*;
use zenei_kit::Dice;

/// The result of `take` for these bytes in version 3.1.1, as one line.
fn check(bytes: &[u8], expected: &str) {
    check_in(Version::V3, bytes, expected);
}

fn check_in(version: Version, bytes: &[u8], expected: &str) {
    let mut read = BytesMut::from(bytes);
    let found = match take(&mut read, version) {
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
        "Connect { version: V3, client_id: \"a\", clean_start: true, lasts: false, keep_alive_s: 60 }",
    );
    check(&connect_bytes(4, 2, &[0, 0]), "client_id: \"\"");
    check(&connect_bytes(4, 0, &[0, 0]), "the client id has 0 bytes");
    check(&connect_bytes(6, 2, &[0, 1, b'a']), "protocol \"MQTT\" of level 6");
    check(&connect_bytes(3, 2, &[0, 1, b'a']), "protocol \"MQTT\" of level 3");
    check(&[0x10, 14, 0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, 2, 0, 60, 0, 0], "protocol \"MQIsdp\" of level 3");
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
    check(&[0xa2, 5, 0, 7, 0, 1, b'#'], "Unsubscribe { id: 7, filters: 1 }");
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
        let version = if round % 2 == 0 { Version::V3 } else { Version::V5 };
        let mut read = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = take(&mut read, version) {
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
        assert_eq!(take(&mut read, Version::V3), Ok(None), "cut at {cut}");
        read.extend_from_slice(&whole[cut..]);
        let Ok(Some(Packet::Publish(publish))) = take(&mut read, Version::V3) else { panic!("cut at {cut}") };
        assert_eq!((publish.topic.as_str(), &publish.payload[..], publish.id), ("t/", &b"hi"[..], Some(9)));
    }
}

/// CONNECT of version 5 with these flags and properties, and the client id `a`.
fn connect5(flags: u8, properties: &[u8]) -> Vec<u8> {
    zenei_kit::mqtt::connect5("a", flags, 60, properties)
}

#[test]
fn version_5_connects_with_its_properties_and_what_it_may_not_say_is_refused() {
    let is = |lasts: bool| format!("version: V5, client_id: \"a\", clean_start: true, lasts: {lasts}");
    check(&connect5(2, &[]), &is(false));
    check(&connect5(2, &[0x11, 0, 0, 0, 0]), &is(false));
    check(&connect5(2, &[0x11, 0, 0, 0, 9]), &is(true));
    check(&connect5(0, &[]), "clean_start: false, lasts: false");
    check(&connect5(2, &[0x21, 0, 9, 0x27, 0, 0, 1, 0, 0x22, 0, 9, 0x19, 1, 0x17, 0]), &is(false));
    check(&connect5(2, &[0x26, 0, 1, b'k', 0, 1, b'v', 0x26, 0, 1, b'k', 0, 1, b'w']), &is(false));
    check(&zenei_kit::mqtt::connect5("", 0, 60, &[]), "client_id: \"\"");
    check(&connect5(0x42, &[]), "CONNECT: the packet ends within its password");
    check(&connect5(3, &[]), "CONNECT: CONNECT has the flags 0b00000011");
    check(&connect5(2, &[0x21, 0, 0]), "property 0x21 has a value");
    check(&connect5(2, &[0x27, 0, 0, 0, 0]), "property 0x27 has a value");
    check(&connect5(2, &[0x27, 0, 0, 0, 99]), "takes packets of at most 99 bytes; 256 are needed");
    check(&connect5(2, &[0x17, 2]), "property 0x17 has a value");
    check(&connect5(2, &[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1]), "property 0x11 comes twice");
    check(&connect5(2, &[0x23, 0, 1]), "property 0x23 is not allowed");
    check(&connect5(2, &[0x7f]), "property 0x7f is not allowed");
    check(&connect5(2, &[0xff]), "property 0xff is not allowed");
    check(&connect5(2, &[0x11, 0]), "ends within its property");
    check(&connect5(2, &[0x15, 0, 1, b'x']), "names a method to authenticate");
    check(&connect5(2, &[0x16, 0, 1, b'x']), "property 0x16 has a value");
    let will = [&[0x06, 0, 60, 0, 0, 1, b'a', 5, 0x18, 0, 0, 0, 1][..], &[0, 1, b't', 0, 1, b'm']].concat();
    let body = [&[0, 4, b'M', b'Q', b'T', b'T', 5][..], &will].concat();
    check(&zenei_kit::mqtt::packet(0x10, &body), &is(false));
}

#[test]
fn version_5_publishes_with_properties_and_no_alias() {
    let check = |bytes: &[u8], expected: &str| check_in(Version::V5, bytes, expected);
    check(&[0x30, 5, 0, 1, b't', 0, b'x'], "payload: b\"x\", id: None");
    check(&[0x32, 9, 0, 1, b't', 1, 2, 2, 0x01, 1, b'x'], "payload: b\"x\", id: Some(258)");
    check(&[0x30, 7, 0, 0, 3, 0x23, 0, 1, b'x'], "topic alias 1; none is allowed");
    check(&[0x30, 8, 0, 1, b't', 3, 0x23, 0, 1, b'x'], "topic alias 1; none is allowed");
    check(&[0x30, 8, 0, 1, b't', 3, 0x23, 0, 0, b'x'], "property 0x23 has a value");
    check(&[0x30, 6, 0, 1, b't', 2, 0x0b, 1], "property 0x0b is not allowed");
    check(&[0x30, 8, 0, 1, b't', 4, 0x08, 0, 1, b'+'], "property 0x08 has a value");
    check(&[0x30, 5, 0, 1, b't', 9, b'x'], "ends within its properties");
    check(&[0x30, 3, 0, 1, b't'], "ends within its properties");
    check(&[0x34, 6, 0, 1, b't', 0, 1, 0], "quality of service 2");
}

#[test]
fn version_5_subscribes_and_leaves_with_its_options() {
    let check = |bytes: &[u8], expected: &str| check_in(Version::V5, bytes, expected);
    check(&[0x82, 7, 0, 7, 0, 0, 1, b'#', 0x2d], "Subscribe { id: 7, filters: 1 }");
    check(&[0x82, 9, 0, 7, 2, 0x0b, 5, 0, 1, b'#', 0], "Subscribe { id: 7, filters: 1 }");
    check(&[0x82, 9, 0, 7, 2, 0x0b, 0, 0, 1, b'#', 0], "property 0x0b has a value");
    check(&[0x82, 7, 0, 7, 0, 0, 1, b'#', 0x40], "a subscription has the options 0b01000000");
    check(&[0x82, 7, 0, 7, 0, 0, 1, b'#', 0x30], "a subscription has the options 0b00110000");
    check(&[0x82, 7, 0, 7, 0, 0, 1, b'#', 0x03], "quality of service 3");
    check(&[0xa2, 6, 0, 7, 0, 0, 1, b'#'], "Unsubscribe { id: 7, filters: 1 }");
    check(&[0xe0, 0], "Disconnect { expiry_s: None }");
    check(&[0xe0, 1, 4], "Disconnect { expiry_s: None }");
    check(&[0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0], "Disconnect { expiry_s: Some(0) }");
    check(&[0xe0, 7, 0, 5, 0x27, 0, 0, 0, 1], "property 0x27 is not allowed");
    check(&[0xe0, 3, 0, 0, 9], "1 bytes follow");
}
