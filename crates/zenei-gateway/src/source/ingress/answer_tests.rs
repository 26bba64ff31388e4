//! The bytes of answers, as the standards write them.
use super::*;

fn written(put: impl Fn(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    put(&mut out);
    out.to_vec()
}

fn accepted(session_present: bool, lasts: bool, assigned: Option<&str>) -> ConnectReply {
    ConnectReply::Accepted { session_present, lasts, assigned: assigned.map(Into::into) }
}

#[test]
fn answers_of_version_3_have_the_bytes_of_the_standard() {
    let protocol = Malformed::Protocol { name: "MQTT".into(), level: 6 };
    let connack = |reply: &ConnectReply| written(|out| put_connack(out, Version::V3, reply));
    assert_eq!(connack(&accepted(true, true, None)), [0x20, 2, 1, 0]);
    assert_eq!(connack(&ConnectReply::Refused(protocol)), [0x20, 2, 0, 1]);
    assert_eq!(connack(&ConnectReply::Unavailable), [0x20, 2, 0, 3]);
    assert_eq!(written(|out| put_puback(out, 258)), [0x40, 2, 1, 2]);
    assert_eq!(written(|out| put_suback_refused(out, Version::V3, 7, 2)), [0x90, 4, 0, 7, 0x80, 0x80]);
    assert_eq!(written(|out| put_unsuback(out, Version::V3, 8, 3)), [0xb0, 2, 0, 8]);
    assert_eq!(written(put_pingresp), [0xd0, 0]);
    assert!(written(|out| put_farewell(out, Version::V3, &Farewell::Stopping)).is_empty());
    let many = written(|out| put_suback_refused(out, Version::V3, 7, 200));
    assert_eq!((&many[..3], many.len()), (&[0x90, 0xca, 0x01][..], 205));
}

#[test]
fn answers_of_version_5_say_what_is_not_taken_and_why() {
    let connack = |reply: &ConnectReply| written(|out| put_connack(out, Version::V5, reply));
    let abilities = [0x24, 1, 0x27, 0, 2, 0, 4, 0x28, 0, 0x29, 0, 0x2a, 0];
    assert_eq!(connack(&accepted(false, false, None)), [&[0x20, 16, 0, 0, 13][..], &abilities].concat());
    let named = [&[0x20, 25, 1, 0, 22, 0x11, 255, 255, 255, 255, 0x12, 0, 1, b'z'][..], &abilities].concat();
    assert_eq!(connack(&accepted(true, true, Some("z"))), named);
    let method = Malformed::Connect { version: Version::V5, error: Malformed::Method.into() };
    assert_eq!(connack(&ConnectReply::Refused(method))[2..4], [0, 0x8c]);
    assert_eq!(connack(&ConnectReply::Unavailable), [0x20, 3, 0, 0x88, 0]);
    assert_eq!(written(|out| put_suback_refused(out, Version::V5, 7, 2)), [0x90, 5, 0, 7, 0, 0x87, 0x87]);
    assert_eq!(written(|out| put_unsuback(out, Version::V5, 8, 2)), [0xb0, 5, 0, 8, 0, 0x11, 0x11]);
    assert_eq!(written(|out| put_farewell(out, Version::V5, &Farewell::TakenOver)), [0xe0, 2, 0x8e, 0]);
    let alias = Farewell::Malformed(Malformed::Alias { found: 7 });
    let farewell = written(|out| put_farewell(out, Version::V5, &alias));
    assert_eq!(farewell[2], 0x94);
    assert!(farewell.ends_with(b"topic alias 7; none is allowed, as CONNACK says"), "{farewell:?}");
}

#[test]
fn no_answer_of_version_5_is_longer_than_every_client_takes() {
    let long = Malformed::Protocol { name: "\u{1F511}".repeat(16).into(), level: 255 };
    let reply = ConnectReply::Refused(long.clone());
    let named = accepted(true, true, Some(&format!("zenei-{}", "0".repeat(32))));
    for bytes in [
        written(|out| put_farewell(out, Version::V5, &Farewell::Malformed(long.clone()))),
        written(|out| put_connack(out, Version::V5, &reply)),
        written(|out| put_connack(out, Version::V5, &named)),
    ] {
        assert!(bytes.len() <= crate::source::ingress::packet::MIN_PACKET_BYTES as usize, "{}", bytes.len());
    }
}
