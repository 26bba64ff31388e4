//! The ingress, tested by the bytes that clients send and receive.
use super::IngressLimits;
use crate::spool::AckPolicy;
use crate::testing::{BOUND, Bench, Setup};
use std::sync::atomic::Ordering;
use std::time::Duration;
use zenei_kit::mqtt::{CLEAN_SESSION, Raw, connect, connect5, packet, publish, publish5};

const TOPIC: &str = "bitlock/v1/tokyo-01/BL1/state";
/// No byte before the end of the connection.
const NOTHING: [u8; 0] = [];

fn bench() -> Bench {
    Bench::start(Setup::default())
}

/// Sends bytes on a new connection, behind a CONNECT where `greeted`, and returns what comes until the server closes.
fn until_closed(bench: &Bench, greeted: bool, bytes: &[u8]) -> Vec<u8> {
    let mut client = bench.client();
    if greeted {
        client.greet("hostile");
    }
    client.send(bytes);
    client.read_to_end()
}

#[test]
fn hostile_packets_close_their_connection_and_no_other() {
    let bench = bench();
    let mut neighbour = bench.client();
    neighbour.greet("neighbour");
    let after_connect: &[(&str, Vec<u8>)] = &[
        ("a second CONNECT", connect("hostile", 2, 60)),
        ("QoS 2", vec![0x34, 5, 0, 1, b't', 0, 1]),
        ("QoS 3", vec![0x36, 5, 0, 1, b't', 0, 1]),
        ("packet id 0", publish(TOPIC, Some(0), b"{}")),
        ("a wildcard in a topic", publish("bitlock/v1/+/BL1/state", Some(1), b"{}")),
        ("a topic that is no UTF-8", vec![0x30, 4, 0, 2, 0xc3, 0x28]),
        ("an empty topic", publish("", None, b"{}")),
        ("a packet larger than the cap", vec![0x30, 0x81, 0x80, 0x08]),
        ("the largest length there is", vec![0x30, 0xff, 0xff, 0xff, 0x7f]),
        ("a length of five bytes", vec![0x30, 0x80, 0x80, 0x80, 0x80]),
        ("a packet that only a server sends", vec![0x40, 2, 0, 1]),
        ("reserved flags", vec![0xc1, 0]),
        ("a packet type that nobody sends", vec![0xf0, 0]),
        ("a subscription without a filter", vec![0x82, 2, 0, 1]),
    ];
    for (what, bytes) in after_connect {
        assert_eq!(until_closed(&bench, true, bytes), NOTHING, "{what}");
    }
    let before_connect: &[(&str, Vec<u8>, &[u8])] = &[
        ("PUBLISH before CONNECT", publish(TOPIC, Some(1), b"{}"), &[]),
        ("PINGREQ before CONNECT", vec![0xc0, 0], &[]),
        ("MQTT 6", vec![0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 6, 2, 0, 60, 0, 1, b'a'], &[0x20, 2, 0, 1]),
        ("an empty client id that wants a session", connect("", 0, 60), &[0x20, 2, 0, 2]),
        ("reserved connect flag", connect("a", 3, 60), &[]),
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec(), &[]),
    ];
    for (what, bytes, answer) in before_connect {
        assert_eq!(until_closed(&bench, false, bytes), *answer, "{what}");
    }
    neighbour.send(&publish(TOPIC, Some(7), b"{}"));
    assert_eq!(neighbour.read(4), [0x40, 2, 0, 7]);
    let counters = std::sync::Arc::clone(&bench.counters);
    assert_eq!(bench.finish().len(), 1);
    let errors = counters.ingress_protocol_errors.load(Ordering::Relaxed);
    assert_eq!(errors, (after_connect.len() + before_connect.len()) as u64);
}

#[test]
fn no_puback_leaves_before_the_sync_has_returned() {
    let bench = bench();
    let mut client = bench.client();
    client.greet("hub");
    bench.disk.hold(true);
    client.send(&publish(TOPIC, Some(1), b"{}"));
    bench.disk.wait_for_sync();
    client.assert_silent();
    bench.disk.hold(false);
    assert_eq!(client.read(4), [0x40, 2, 0, 1]);
    assert_eq!(bench.finish().len(), 1);
}

#[test]
fn the_unsafe_policy_acknowledges_what_no_sync_has_covered() {
    let bench = Bench::start(Setup { policy: AckPolicy::BeforeWrite, ..Setup::default() });
    let mut client = bench.client();
    client.greet("hub");
    bench.disk.hold(true);
    client.send(&publish(TOPIC, Some(1), b"{}"));
    assert_eq!(client.read(4), [0x40, 2, 0, 1], "the negative control of the test above");
    bench.disk.hold(false);
    bench.finish();
}

#[test]
fn pubacks_come_in_order_of_receipt_and_every_message_is_kept_once() {
    let bench = bench();
    let mut client = bench.client();
    client.greet("hub");
    // Not in ascending order, both lanes of the spool, ignored topics and QoS 0 in between.
    let ids: Vec<u16> = (1..=2_000_u16).map(|n| n.wrapping_mul(7_919) | 1).collect();
    let topics = [TOPIC, "bitlock/v1/tokyo-01/BL1/error", "else/where", "bitlock/v1/tokyo-01/gw/online"];
    let mut bytes = Vec::new();
    for (n, &id) in ids.iter().enumerate() {
        bytes.extend(publish(topics[n % topics.len()], Some(id), n.to_string().as_bytes()));
        if n % 10 == 0 {
            bytes.extend(publish(TOPIC, None, b"quiet"));
        }
    }
    let expected: Vec<u8> = ids.iter().flat_map(|id| [&[0x40, 2], &id.to_be_bytes()[..]].concat()).collect();
    client.send(&bytes);
    assert_eq!(client.read(4 * ids.len()), expected);
    assert_eq!(bench.ignored.foreign.load(Ordering::Relaxed), 500);
    assert_eq!(bench.ignored.online.load(Ordering::Relaxed), 500);
    let kept = bench.finish();
    assert_eq!(kept.len(), 1_000 + 200);
    let numbers: Vec<usize> =
        kept.iter().filter_map(|message| str::from_utf8(&message.payload).unwrap().parse().ok()).collect();
    assert!(numbers.is_sorted(), "one connection's messages keep their order");
    assert!(kept.iter().all(|message| message.authenticated), "loopback may speak");
}

#[test]
fn a_message_cut_into_single_bytes_is_the_same_message() {
    let bench = bench();
    let mut client = bench.client();
    for byte in [connect("hub", 2, 60), publish(TOPIC, Some(9), b"{}"), vec![0xc0, 0]].concat() {
        client.send(&[byte]);
    }
    assert_eq!(client.read(10), [0x20, 2, 0, 0, 0x40, 2, 0, 9, 0xd0, 0]);
    assert_eq!(bench.finish().len(), 1);
}

#[test]
fn a_payload_over_the_contract_is_acknowledged_and_cut_to_what_shows_it() {
    let bench = bench();
    let mut client = bench.client();
    client.greet("hub");
    client.send(&publish(TOPIC, Some(3), &vec![b' '; 100 * 1024]));
    assert_eq!(client.read(4), [0x40, 2, 0, 3]);
    assert_eq!(bench.finish()[0].payload.len(), zenei_wire::MAX_PAYLOAD_BYTES + 1);
}

#[test]
fn without_certificates_only_this_machine_may_speak_for_locks() {
    for (peer, expected) in [
        ("127.0.0.1:1", true),
        ("127.9.9.9:1", true),
        ("[::1]:1", true),
        ("[::ffff:127.0.0.1]:1", true),
        ("192.168.0.7:1", false),
        ("[::ffff:192.168.0.7]:1", false),
        ("[fe80::1]:1", false),
    ] {
        assert_eq!(super::may_speak(peer.parse().unwrap()), expected, "{peer}");
    }
}

#[test]
fn subscriptions_are_refused_and_pings_answered() {
    let bench = bench();
    let mut client = bench.client();
    client.greet("hub");
    client.send(&[0x82, 10, 0, 7, 0, 1, b'#', 1, 0, 1, b'a', 0]);
    assert_eq!(client.read(6), [0x90, 4, 0, 7, 0x80, 0x80]);
    client.send(&[0xa2, 5, 0, 8, 0, 1, b'#']);
    assert_eq!(client.read(4), [0xb0, 2, 0, 8]);
    client.send(&[0xc0, 0]);
    assert_eq!(client.read(2), [0xd0, 0]);
    client.send(&[0xe0, 0]);
    assert_eq!(client.read_to_end(), NOTHING);
    bench.finish();
}

#[test]
fn a_client_id_that_comes_again_closes_the_older_connection() {
    let bench = bench();
    let mut older = bench.client();
    older.greet("hub");
    // Often, without a pause: the older connection's task may still be between its answer and its first read.
    for _ in 0..200 {
        let mut newer = bench.client();
        newer.greet("hub");
        assert_eq!(older.read_to_end(), NOTHING);
        older = newer;
    }
    older.send(&publish(TOPIC, Some(1), b"{}"));
    assert_eq!(older.read(4), [0x40, 2, 0, 1]);
    bench.finish();
}

#[test]
fn a_session_is_present_when_the_client_asked_for_one_before() {
    let bench = bench();
    let mut answers = Vec::new();
    for flags in [0, 0, 2, 0] {
        let mut client = bench.client();
        client.send(&connect("hub", flags, 60));
        answers.push(client.read(4)[2]);
    }
    assert_eq!(answers, [0, 1, 0, 0]);
    bench.finish();
}

#[test]
fn a_client_that_is_silent_longer_than_it_promised_is_closed() {
    let bench = bench();
    let mut client = bench.client();
    client.send(&connect("hub", 2, 1));
    assert_eq!(client.read(4), [0x20, 2, 0, 0]);
    client.send(&[0x30, 100, 0]);
    assert_eq!(client.read_to_end(), NOTHING, "half a packet does not count as a sign of life");
    bench.finish();
}

#[test]
fn whoever_says_nothing_or_only_half_a_connect_is_closed_in_time() {
    let limits = IngressLimits { connect_within: Duration::from_millis(50), ..IngressLimits::default() };
    let bench = Bench::start(Setup { limits, ..Setup::default() });
    assert_eq!(until_closed(&bench, false, &[]), NOTHING);
    assert_eq!(until_closed(&bench, false, &connect("hub", 2, 60)[..5]), NOTHING);
    bench.finish();
}

#[test]
fn a_packet_that_trickles_in_without_keep_alive_is_given_up() {
    let limits = IngressLimits { packet_within: Duration::from_millis(50), ..IngressLimits::default() };
    let bench = Bench::start(Setup { limits, ..Setup::default() });
    let mut client = bench.client();
    client.send(&connect("hub", 2, 0));
    assert_eq!(client.read(4), [0x20, 2, 0, 0]);
    client.send(&[0x30, 100, 0]);
    assert_eq!(client.read_to_end(), NOTHING);
    bench.finish();
}

#[test]
fn beyond_the_cap_connections_are_refused_until_one_ends() {
    let limits = IngressLimits { connections: 1, ..IngressLimits::default() };
    let bench = Bench::start(Setup { limits, ..Setup::default() });
    let mut first = bench.client();
    first.greet("first");
    assert_eq!(bench.client().read_to_end(), NOTHING);
    assert_eq!(bench.counters.ingress_refused.load(Ordering::Relaxed), 1);
    first.send(&[0xe0, 0]);
    assert_eq!(first.read_to_end(), NOTHING);
    let waited = zenei_store::clock::Elapsed::start();
    // The place is free a moment after the socket is.
    loop {
        let mut next = Raw::connect(bench.address);
        next.send(&connect("next", 2, 60));
        if next.read_to_end_or(4) == [0x20, 2, 0, 0] {
            break;
        }
        assert!(waited.so_far() < BOUND, "the place was never freed");
    }
    bench.finish();
}

#[test]
fn while_the_queue_is_full_reading_stops_and_nothing_is_lost() {
    let bench = bench();
    let mut client = bench.client();
    client.greet("hub");
    bench.disk.hold(true);
    let payload = vec![b'x'; 60 * 1024];
    let count = 2 * crate::spool::QUEUE_BYTES / payload.len();
    let writer = std::thread::spawn({
        let address = bench.address;
        let bytes: Vec<u8> =
            (1..=count).flat_map(|n| publish(TOPIC, Some(u16::try_from(n).unwrap()), &payload)).collect();
        move || {
            let mut client = Raw::connect(address);
            client.greet("other hub");
            client.send(&bytes);
            client.read(4 * count).chunks(4).map(|ack| u16::from_be_bytes([ack[2], ack[3]])).collect::<Vec<_>>()
        }
    });
    bench.disk.wait_for_sync();
    // Neither a queue of QUEUE_BYTES nor the sockets' buffers take all of it: the writer can't have ended.
    assert!(!writer.is_finished());
    bench.disk.hold(false);
    let acks = writer.join().unwrap();
    assert!(acks.iter().copied().eq(1..=u16::try_from(count).unwrap()));
    assert_eq!(bench.finish().len(), count);
}

#[test]
fn what_was_heard_before_a_stop_is_still_acknowledged() {
    let bench = bench();
    let mut client = bench.client();
    client.greet("hub");
    client.send(&publish(TOPIC, Some(5), b"{}"));
    assert_eq!(client.read(4), [0x40, 2, 0, 5]);
    let kept = bench.finish();
    assert_eq!(kept.len(), 1);
    assert_eq!(client.read_to_end(), NOTHING);
}

/// A connection of version 5 that has its answer; returns the answer too.
fn greet5(bench: &Bench, client_id: &str, flags: u8, properties: &[u8]) -> (Raw, Vec<u8>) {
    let mut client = bench.client();
    client.send(&connect5(client_id, flags, 60, properties));
    let head = client.read(2);
    let body = client.read(usize::from(head[1]));
    assert_eq!((head[0], body[1]), (0x20, 0), "{client_id} is accepted: {body:?}");
    (client, body)
}

#[test]
fn version_5_publishes_with_properties_and_is_acknowledged_in_order() {
    let bench = bench();
    let (mut client, answer) = greet5(&bench, "hub", CLEAN_SESSION, &[]);
    assert_eq!(answer, [0, 0, 13, 0x24, 1, 0x27, 0, 2, 0, 4, 0x28, 0, 0x29, 0, 0x2a, 0], "QoS 1, and no subscription");
    let properties = [0x01, 1, 0x02, 0, 0, 0, 9, 0x26, 0, 1, b'k', 0, 1, b'v'];
    client.send(&publish5(TOPIC, Some(2), &properties, b"{}"));
    client.send(&publish5(TOPIC, Some(1), &[], b"[]"));
    client.send(&packet(0x82, &[0, 7, 0, 0, 1, b'#', 1]));
    client.send(&packet(0xa2, &[0, 8, 0, 0, 1, b'#']));
    client.send(&[0xc0, 0]);
    assert_eq!(client.read(8), [0x40, 2, 0, 2, 0x40, 2, 0, 1]);
    assert_eq!(client.read(6), [0x90, 4, 0, 7, 0, 0x87]);
    assert_eq!(client.read(6), [0xb0, 4, 0, 8, 0, 0x11]);
    assert_eq!(client.read(2), [0xd0, 0]);
    client.send(&[0xe0, 0]);
    assert_eq!(client.read_to_end(), NOTHING, "a goodbye is not answered");
    let kept = bench.finish();
    assert_eq!(kept.iter().map(|message| &message.payload[..]).collect::<Vec<_>>(), [b"{}", b"[]"]);
}

#[test]
fn a_connection_of_version_5_that_ends_is_told_why() {
    let bench = bench();
    for (what, bytes, code) in [
        ("a topic alias", publish5(TOPIC, Some(1), &[0x23, 0, 1], b"{}"), 0x94),
        ("QoS 2", vec![0x34, 5, 0, 1, b't', 0, 1], 0x9b),
        ("a second CONNECT", connect5("hub", CLEAN_SESSION, 60, &[]), 0x82),
        ("a wildcard in a topic", publish5("a/#", Some(1), &[], b"{}"), 0x90),
        ("a topic that is no UTF-8", vec![0x30, 5, 0, 2, 0xc3, 0x28, 0], 0x81),
        ("a packet larger than the cap", vec![0x30, 0x81, 0x80, 0x08], 0x95),
        ("AUTH", vec![0xf0, 0], 0x81),
        ("a session that CONNECT did not ask for", packet(0xe0, &[0, 5, 0x11, 0, 0, 0, 9]), 0x82),
    ] {
        let (mut client, _) = greet5(&bench, "hub", CLEAN_SESSION, &[]);
        client.send(&publish5(TOPIC, Some(9), &[], b"{}"));
        client.send(&bytes);
        let answer = client.read_to_end();
        assert_eq!(answer[..4], [0x40, 2, 0, 9], "{what}: what came before is acknowledged first");
        assert_eq!((answer[4], answer[6]), (0xe0, code), "{what}: {answer:x?}");
    }
    let (mut older, _) = greet5(&bench, "hub", CLEAN_SESSION, &[]);
    let (mut newer, _) = greet5(&bench, "hub", CLEAN_SESSION, &[]);
    assert_eq!(older.read_to_end(), [0xe0, 2, 0x8e, 0], "taken over");
    assert_eq!(bench.finish().len(), 8);
    assert_eq!(newer.read_to_end(), [0xe0, 2, 0x8b, 0], "the gateway stops");
}

#[test]
fn a_connect_of_version_5_that_cannot_be_taken_is_answered_with_its_reason() {
    let bench = bench();
    for (bytes, code) in [
        (connect5("hub", CLEAN_SESSION, 60, &[0x15, 0, 1, b'x']), 0x8c),
        (connect5("hub", 3, 60, &[]), 0x81),
        (connect5(&"x".repeat(257), CLEAN_SESSION, 60, &[]), 0x85),
        (connect5("hub", CLEAN_SESSION, 60, &[0x21, 0, 0]), 0x82),
    ] {
        let answer = until_closed(&bench, false, &bytes);
        assert_eq!((answer[0], answer[3]), (0x20, code), "{answer:x?}");
    }
    bench.finish();
}

#[test]
fn a_session_of_version_5_lasts_where_it_is_asked_for_and_until_the_client_ends_it() {
    let bench = bench();
    let expiry = [0x11, 0, 0, 0, 60];
    let (_, first) = greet5(&bench, "hub", 0, &expiry);
    assert_eq!((first[0], &first[3..8]), (0, &[0x11, 255, 255, 255, 255][..]), "it lasts for ever, and says so");
    let (mut second, answer) = greet5(&bench, "hub", 0, &expiry);
    assert_eq!(answer[0], 1, "present");
    second.send(&packet(0xe0, &[0, 5, 0x11, 0, 0, 0, 0]));
    assert_eq!(second.read_to_end(), NOTHING);
    let (_, third) = greet5(&bench, "hub", 0, &expiry);
    assert_eq!(third[0], 0, "its client ended it");
    let (_, fourth) = greet5(&bench, "hub", 0, &[]);
    assert_eq!(fourth[0], 1, "present for this connection, and not after it");
    let (_, fifth) = greet5(&bench, "hub", 0, &[]);
    assert_eq!(fifth[0], 0);
    bench.finish();
}

#[test]
fn clients_of_version_5_without_a_name_get_one_each() {
    let bench = bench();
    let name = |answer: &[u8]| {
        let at = 3;
        assert_eq!(answer[at], 0x12);
        String::from_utf8(answer[at + 3..at + 3 + usize::from(answer[at + 2])].to_vec()).unwrap()
    };
    let ((mut one, first), (mut two, second)) = (greet5(&bench, "", 0, &[]), greet5(&bench, "", 0, &[]));
    assert_ne!(name(&first), name(&second));
    for client in [&mut one, &mut two] {
        client.send(&publish5(TOPIC, Some(1), &[], b"{}"));
        assert_eq!(client.read(4), [0x40, 2, 0, 1]);
    }
    bench.finish();
}
