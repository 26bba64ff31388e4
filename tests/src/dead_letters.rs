//! Tests that an unreadable message becomes a dead letter with its reason, without harm to its neighbours and without
//! stopping the stream. Publishes every reason that a publisher can cause, and messages that are not records.
use crate::daemon::{Daemon, Site};
use crate::fleet::listed;
use crate::metrics::Metrics;
use crate::program::succeed;
use std::time::Duration;
use zenei_kit::bound::within;
use zenei_kit::mqtt::{Client, Packet};

/// How long a published message may take to be counted; a guess for a busy machine.
const COUNTED_WITHIN: Duration = Duration::from_secs(30);

const STATE: &str = "bitlock/v1/site-test/BL1/state";

/// A valid record of lock `BL1` with this number.
fn good(seq: u32) -> String {
    format!(r#"{{"ts":1777626000123,"boot":1,"seq":{seq},"battery_mv":2874}}"#)
}

/// One message for each reason: the reason, the topic, the payload. `unauthenticated` needs a certificate,
/// `refused_by_store` a store that refuses.
fn broken() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let state = |reason, payload: &[u8]| (reason, STATE, payload.to_vec());
    let op = r#"{"ts":1777626000123,"op":"unlock"}"#.as_bytes();
    let many = format!("[{}]", vec![r#"{"ts":1}"#; 1_001].join(","));
    let large = format!(r#"{{"ts":1,"detail":"{}"}}"#, "x".repeat(65 * 1024));
    vec![
        state("too_large", large.as_bytes()),
        state("bad_utf8", b"{\"ts\":1,\"fw\":\"\xff\xfe\"}"),
        state("bad_json", b"{\"ts\":1"),
        // A map of one pair that ends after its key.
        state("bad_cbor", &[0xa1, 0x62, b't', b's']),
        state("too_deep", br#"{"ts":1,"x":[[[[1]]]]}"#),
        state("too_many_records", many.as_bytes()),
        ("bad_topic", "bitlock/v1/site-test/state", good(0).into_bytes()),
        state("identity_mismatch", br#"{"ts":1,"device_id":"BL2"}"#),
        ("missing_field", "bitlock/v1/site-test/BL1/op", op.to_vec()),
        state("wrong_type", br#"{"ts":1,"battery_mv":"2874"}"#),
        state("out_of_range", br#"{"ts":1,"battery_pct":101}"#),
        ("bad_string", "bitlock/v1/site-test/BL1/error", br#"{"ts":1,"code":"Not A Code"}"#.to_vec()),
        ("unknown_kind", "bitlock/v1/site-test/BL1/weather", good(0).into_bytes()),
    ]
}

fn counted(daemon: &Daemon, what: &str, is_counted: impl Fn(&Metrics) -> bool) -> Metrics {
    let found = within(COUNTED_WITHIN, || Some(daemon.metrics()).filter(|metrics| is_counted(metrics)));
    let metrics = found.unwrap_or_else(|| panic!("{what} is not counted: {:?}", daemon.metrics()));
    metrics.assert_adds_up();
    metrics
}

#[test]
fn every_reason_that_a_publisher_can_cause_is_acknowledged_counted_and_harms_no_neighbour() {
    let site = Site::with_ingress();
    let daemon = site.start();
    let mut client = Client::connect(daemon.ingress(), "hub").unwrap();
    client.publish(STATE, good(0).as_bytes()).unwrap();
    for (number, (reason, topic, payload)) in broken().into_iter().enumerate() {
        client.publish(topic, &payload).unwrap_or_else(|error| panic!("{reason} has no PUBACK: {error}"));
        let sample = format!("zenei_dead_letter_total{{reason=\"{reason}\"}}");
        let metrics = counted(&daemon, reason, |metrics| metrics.value(&sample) == 1);
        assert_eq!(metrics.dead(), number as u64 + 1, "{reason}: {metrics:?}");
    }
    client.publish(STATE, good(1).as_bytes()).unwrap();
    let array = format!(r#"[{},{{"battery_mv":1}},{}]"#, good(2), good(3));
    client.publish(STATE, array.as_bytes()).unwrap();
    let dead = broken().len() as u64 + 1;
    let metrics = counted(&daemon, "everything", |metrics| metrics.received() == dead + 4);
    assert_eq!((metrics.dead(), metrics.duplicate(), metrics.dropped()), (dead, 0, 0), "{metrics:?}");
    assert_eq!(metrics.value(r#"zenei_dead_letter_total{reason="missing_field"}"#), 2, "that of the array alone");
    for never in ["unauthenticated", "refused_by_store"] {
        assert_eq!(metrics.value(&format!("zenei_dead_letter_total{{reason=\"{never}\"}}")), 0);
    }
    daemon.end_cleanly();
    let found = listed(&succeed(&mut site.zenei(&["record", "list", "--json"])));
    let numbers: Vec<_> = found.keys().map(|key| (key.device.as_str(), key.seq)).collect();
    assert_eq!(numbers, [0, 1, 2, 3].map(|seq| ("BL1", Some(seq))));
    // The counts from before the end are the same after a restart.
    let daemon = site.start();
    let metrics = counted(&daemon, "what was before", |metrics| metrics.received() == dead + 4);
    assert_eq!((metrics.stored(), metrics.pending(), metrics.dead()), (4, 0, dead), "{metrics:?}");
}

#[test]
fn what_is_no_record_stays_outside_of_the_ledger() {
    let site = Site::with_ingress();
    let daemon = site.start();
    let mut client = Client::connect(daemon.ingress(), "hub").unwrap();
    client.publish("zigbee2mqtt/lamp", b"on").unwrap();
    client.publish("bitlock/v2/site-test/BL1/state", b"{}").unwrap();
    client.publish("bitlock/v1/site-test/gw-1/online", b"1").unwrap();
    let sample = |topic: &str| format!("zenei_ignored_messages_total{{topic=\"{topic}\"}}");
    let metrics = counted(&daemon, "what is no record", |metrics| {
        metrics.value(&sample("foreign")) == 2 && metrics.value(&sample("online")) == 1
    });
    assert_eq!((metrics.received(), metrics.dead(), metrics.pending()), (0, 0, 0), "{metrics:?}");
}

#[test]
fn a_wish_to_hear_is_refused_and_publishing_goes_on() {
    let site = Site::with_ingress();
    let daemon = site.start();
    let mut client = Client::connect(daemon.ingress(), "hub").unwrap();
    // 0x80 is the failure of MQTT 3.1.1, section 3.9.3.
    assert_eq!(client.subscribe("bitlock/v1/#").unwrap(), Packet::SubAck { codes: vec![0x80] });
    assert_eq!(client.ping().unwrap(), Packet::PingResp);
    client.publish(STATE, good(0).as_bytes()).unwrap();
    counted(&daemon, "the record", |metrics| metrics.received() == 1);
}

#[test]
fn the_same_record_twice_is_one_record_and_one_duplicate() {
    let site = Site::with_ingress();
    let daemon = site.start();
    let mut client = Client::connect(daemon.ingress(), "hub").unwrap();
    for _ in 0..2 {
        client.publish(STATE, good(0).as_bytes()).unwrap();
        // Without boot and seq: the same bytes of the same lock are the same record.
        client.publish("bitlock/v1/site-test/BL2/state", br#"{"ts":1777626000123,"battery_mv":2874}"#).unwrap();
    }
    let metrics = counted(&daemon, "the duplicates", |metrics| metrics.received() == 4 && metrics.duplicate() == 2);
    assert_eq!(metrics.stored() + metrics.pending(), 2, "{metrics:?}");
    // While the daemon runs.
    let found = listed(&succeed(&mut site.zenei(&["record", "list", "--json"])));
    assert!(found.len() == 2 && found.values().all(|&times| times == 1), "{found:?}");
}
