//! The subscriber, tested by the bytes that a broker sends and receives. The broker is played by each test.
use super::config::MqttConfig;
use super::status::BrokerState;
use super::{MqttLimits, Subscriber};
use crate::source::Stop;
use crate::spool::AckPolicy;
use crate::testing::{BOUND, Bench, Setup};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use zenei_kit::bound::within;
use zenei_kit::mqtt::{Broker, Raw, answer_subscribe, packet, publish};
use zenei_store::StoredMessage;

const TOPIC: &str = "bitlock/v1/tokyo-01/BL1/state";
/// 施錠 as GBK writes it: no UTF-8.
const GBK: &[u8] = b"bitlock/v1/tokyo-01/\xca\xa9\xe5V/state";

/// A subscriber whose broker is the test.
struct Play {
    bench: Bench,
    broker: Broker,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

fn limits() -> MqttLimits {
    let short = (Duration::from_millis(5), Duration::from_millis(20));
    MqttLimits { ask_again: short, connect_again: short, ..MqttLimits::default() }
}

impl Play {
    fn start(topics: &[&str], limits: MqttLimits, policy: AckPolicy) -> Self {
        let bench = Bench::start(Setup { policy, ..Setup::default() });
        let broker = Broker::new();
        let port = broker.address().port();
        let topics = topics.iter().map(|&topic| topic.to_owned()).collect();
        let config = MqttConfig { host: "127.0.0.1".to_owned(), port, client_id: "gw".to_owned(), topics, login: None };
        let (inlet, counters) = (bench.inlet.clone(), Arc::clone(&bench.counters));
        let (stop, stopped) = watch::channel(false);
        let task = bench.runtime.spawn(Subscriber { config, inlet, counters, limits }.run(Stop::new(stopped)));
        Self { bench, broker, stop, task }
    }

    fn usual() -> Self {
        Self::start(&["bitlock/v1/#"], limits(), AckPolicy::AfterDurable)
    }

    /// The next connection, its subscription granted.
    fn granted(&self) -> Raw {
        let mut gateway = self.broker.accept(false, 0);
        answer_subscribe(&mut gateway, &[1]);
        gateway
    }

    fn wait_for(&self, is_it: impl Fn(&BrokerState) -> bool) -> BrokerState {
        let found = within(BOUND, || Some(self.bench.counters.broker.now()).filter(&is_it));
        found.unwrap_or_else(|| panic!("{:?}", self.bench.counters.broker.now()))
    }

    fn unreadable(&self) -> u64 {
        self.bench.counters.mqtt_unreadable.load(Ordering::Relaxed)
    }

    fn connections(&self) -> u64 {
        self.bench.counters.mqtt_connections.load(Ordering::Relaxed)
    }

    /// Stops the subscriber and everything behind it; returns what is durable.
    fn finish(self) -> Vec<StoredMessage> {
        self.stop.send_replace(true);
        self.bench.runtime.block_on(async { tokio::time::timeout(BOUND, self.task).await }).unwrap().unwrap();
        self.bench.finish()
    }
}

fn good(id: u16) -> Vec<u8> {
    publish(TOPIC, Some(id), format!(r#"{{"ts":{id}}}"#).as_bytes())
}

/// A PUBLISH with this first byte, topic and packet id.
fn odd(first: u8, topic: &[u8], id: u16) -> Vec<u8> {
    let length = u16::try_from(topic.len()).unwrap().to_be_bytes();
    packet(first, &[&length[..], topic, &id.to_be_bytes(), b"{\"ts\":1}"].concat())
}

fn puback(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40, 2, high, low]
}

#[test]
fn a_refused_subscription_is_asked_for_again_while_an_old_session_delivers() {
    let play = Play::usual();
    let mut gateway = play.broker.accept(true, 0);
    answer_subscribe(&mut gateway, &[0x80]);
    let state = play.wait_for(|state| matches!(state, BrokerState::NotGranted { .. }));
    assert!(state.is_connected() && !state.is_subscribed());
    let BrokerState::NotGranted { reason } = state else { panic!() };
    assert!(reason.contains("'bitlock/v1/#' is refused (0x80)"), "{reason}");
    gateway.send(&good(1));
    // The next SUBSCRIBE may come before or after the PUBACK.
    let (mut is_acked, mut is_asked) = (false, false);
    while !(is_acked && is_asked) {
        let next = gateway.read_packet();
        is_acked |= next == puback(1);
        if next[0] == 0x82 {
            gateway.send(&packet(0x90, &[next[2], next[3], if is_acked { 1 } else { 0x80 }]));
            is_asked = is_acked;
        }
    }
    play.wait_for(BrokerState::is_subscribed);
    gateway.assert_silent();
    assert_eq!(play.connections(), 1);
    assert!(play.bench.counters.mqtt_subscriptions_refused.load(Ordering::Relaxed) >= 1);
    assert_eq!(play.finish().len(), 1);
}

#[test]
fn a_subscription_whose_answer_was_lost_is_asked_for_again_and_a_granted_one_is_not() {
    let play = Play::usual();
    // The link is cut right after CONNACK, then between SUBSCRIBE and SUBACK; the broker has a session each time.
    drop(play.broker.accept(false, 0));
    let mut cut = play.broker.accept(true, 0);
    assert_eq!(cut.read_packet()[0], 0x82);
    drop(cut);
    let what = "instead of an answer to SUBSCRIBE";
    play.wait_for(|state| matches!(state, BrokerState::Away { reason } if reason.contains(what)));
    let mut third = play.broker.accept(true, 0);
    let state = play.bench.counters.broker.now();
    assert!(!state.is_subscribed(), "not before its SUBACK: {state:?}");
    answer_subscribe(&mut third, &[1]);
    play.wait_for(BrokerState::is_subscribed);
    drop(third);
    let mut fourth = play.broker.accept(true, 0);
    play.wait_for(BrokerState::is_subscribed);
    fourth.assert_silent();
    drop(fourth);
    let mut fifth = play.broker.accept(false, 0);
    answer_subscribe(&mut fifth, &[1]);
    play.wait_for(BrokerState::is_subscribed);
    assert!(play.finish().is_empty());
}

#[test]
fn of_several_filters_those_not_granted_are_asked_for_again() {
    let play = Play::start(&["a/#", "b", "c"], limits(), AckPolicy::AfterDurable);
    let mut gateway = play.broker.accept(false, 0);
    assert_eq!(answer_subscribe(&mut gateway, &[1, 0x80, 0]), b"\0\x03a/#\x01\0\x01b\x01\0\x01c\x01");
    let state = play.wait_for(|state| matches!(state, BrokerState::NotGranted { .. }));
    let BrokerState::NotGranted { reason } = state else { panic!() };
    assert!(reason.contains("'b' is refused") && reason.contains("'c' is granted with QoS 0 only"), "{reason}");
    assert_eq!(answer_subscribe(&mut gateway, &[1, 1]), b"\0\x01b\x01\0\x01c\x01");
    play.wait_for(BrokerState::is_subscribed);
    play.finish();
}

#[test]
fn a_suback_that_never_comes_ends_the_connection_and_the_next_one_asks_again() {
    let play =
        Play::start(&["#"], MqttLimits { suback_within: Duration::from_secs(1), ..limits() }, AckPolicy::AfterDurable);
    let mut mute = play.broker.accept(false, 0);
    assert_eq!(mute.read_packet()[0], 0x82);
    assert_eq!(mute.read_to_end(), [0xe0, 0], "a goodbye");
    let mut gateway = play.broker.accept(true, 0);
    answer_subscribe(&mut gateway, &[1]);
    play.wait_for(BrokerState::is_subscribed);
    play.finish();
}

#[test]
fn a_refused_login_is_told_from_a_connection_that_fails() {
    let play = Play::usual();
    for (code, what) in [(4, "bad user name or password"), (5, "not authorised"), (9, "does not have")] {
        let mut refused = play.broker.accept(false, code);
        assert_eq!(refused.read_to_end(), [0; 0]);
        let is_it =
            |state: &BrokerState| matches!(state, BrokerState::LoginRefused { reason } if reason.contains(what));
        assert!(!play.wait_for(is_it).is_connected());
    }
    let (mut other, _) = play.broker.connected();
    other.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    play.wait_for(|state| matches!(state, BrokerState::Away { reason } if reason.contains("no MQTT broker")));
    assert_eq!(play.bench.counters.mqtt_logins_refused.load(Ordering::Relaxed), 3);
    drop(other);
    let gateway = play.granted();
    play.wait_for(BrokerState::is_subscribed);
    drop(gateway);
    play.finish();
}

#[test]
fn a_poison_message_at_the_head_of_a_backlog_is_kept_acknowledged_and_got_past() {
    let play = Play::usual();
    let mut gateway = play.granted();
    // Sent again, as a broker does with what a client before did not acknowledge.
    gateway.send(&[odd(0x3a, GBK, 1), good(2), odd(0x32, GBK, 3), good(4)].concat());
    assert_eq!(gateway.read(16), [puback(1), puback(2), puback(3), puback(4)].concat());
    assert_eq!((play.connections(), play.unreadable()), (1, 2));
    let stored = play.finish();
    let topics: Vec<&str> = stored.iter().map(|message| message.topic.as_str()).collect();
    // Two of the bytes happen to be a letter.
    let bad = r"bitlock/v1/tokyo-01/ʩ\xe5V/state";
    assert_eq!(topics, [bad, TOPIC, bad, TOPIC]);
    assert_eq!(&stored[0].payload[..], b"{\"ts\":1}");
}

/// Whether a poison message is acknowledged while no sync has returned.
fn is_acknowledged_early(policy: AckPolicy) -> bool {
    let play = Play::start(&["#"], limits(), policy);
    let mut gateway = play.granted();
    play.bench.disk.hold(true);
    gateway.send(&odd(0x32, GBK, 1));
    let is_early = match policy {
        AckPolicy::AfterDurable => {
            play.bench.disk.wait_for_sync();
            gateway.assert_silent();
            false
        }
        AckPolicy::BeforeWrite => gateway.read(4) == puback(1),
    };
    play.bench.disk.hold(false);
    if !is_early {
        assert_eq!(gateway.read(4), puback(1));
    }
    assert_eq!(play.finish().len(), 1);
    is_early
}

#[test]
fn a_poison_message_is_acknowledged_after_it_is_durable() {
    assert!(!is_acknowledged_early(AckPolicy::AfterDurable));
}

/// The negative control of the test above.
#[test]
fn the_unsafe_policy_acknowledges_a_poison_message_before() {
    assert!(is_acknowledged_early(AckPolicy::BeforeWrite));
}

#[test]
fn no_message_of_any_form_ends_the_connection_or_stops_the_next_one() {
    let play = Play::usual();
    let mut gateway = play.granted();
    let huge = publish(TOPIC, Some(9), &vec![b'x'; 17 << 20]);
    let poison = [
        ("a wildcard", odd(0x32, b"bitlock/v1/s/+/state", 9), 1),
        ("all wildcards", odd(0x32, b"#", 9), 1),
        ("U+0000", odd(0x32, b"bitlock/v1/s/d\0/state", 9), 1),
        ("an empty topic", odd(0x32, b"", 9), 1),
        ("the longest topic, no text", odd(0x32, &[0xff; 65_535], 9), 1),
        ("quality of service 3", odd(0x36, TOPIC.as_bytes(), 9), 1),
        ("a payload that no buffer holds", huge, 0),
        ("a retained one", odd(0x33, GBK, 9), 1),
    ];
    let count = poison.len();
    for (number, (what, bytes, unreadable)) in poison.into_iter().enumerate() {
        let (before, id) = (play.unreadable(), u16::try_from(number).unwrap() + 100);
        gateway.send(&[bytes, good(id)].concat());
        assert_eq!(gateway.read(8), [puback(9), puback(id)].concat(), "{what}");
        assert_eq!(play.unreadable() - before, unreadable, "{what}");
    }
    // Without an acknowledgement: packet id 0 is sent back, and QoS 0 asks for none.
    gateway.send(&[odd(0x32, TOPIC.as_bytes(), 0), odd(0x30, GBK, 7), good(8)].concat());
    assert_eq!(gateway.read(8), [puback(0), puback(8)].concat());
    assert_eq!(play.connections(), 1);
    // Two of them are on topics of others and are no records: counted by the appender.
    let foreign = Arc::clone(&play.bench.ignored);
    let kept = play.finish().len() as u64;
    assert_eq!(kept + foreign.foreign.load(Ordering::Relaxed), 2 * count as u64 + 3);
}

#[test]
fn a_packet_that_no_broker_sends_is_got_past_and_counted() {
    let play = Play::usual();
    let mut gateway = play.granted();
    let odd: [&[u8]; 9] = [
        &[0x00, 0],
        &[0xf0, 1, 7],
        &[0xd5, 0],
        &[0x20, 2, 0, 5],
        &[0x90, 3, 9, 9, 0x80],
        &[0x32, 1, 0],
        &[0x32, 6, 0, 200, b't', 0, 1, b'x'],
        &[0x82, 5, 0, 1, 0, 0, 1],
        &[0x40, 2, 0, 1],
    ];
    for (number, bytes) in odd.iter().enumerate() {
        let id = u16::try_from(number).unwrap() + 1;
        gateway.send(&[bytes, &good(id)[..]].concat());
        assert_eq!(gateway.read(4), puback(id), "{bytes:?}");
        assert_eq!(play.unreadable(), u64::from(id), "{bytes:?}");
    }
    assert!(play.bench.counters.broker.now().is_subscribed(), "an answer to nothing changes nothing");
    // Where the end of a packet can't be found, the next connection begins anew.
    gateway.send(&[0x30, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(gateway.read_to_end(), [0xe0, 0]);
    let mut second = play.broker.accept(true, 0);
    second.send(&good(77));
    assert_eq!(second.read(4), puback(77));
    assert_eq!(play.finish().len(), odd.len() + 1);
}

#[test]
fn a_message_at_qos_2_is_received_once_durable_and_released_also_on_a_later_connection() {
    let play = Play::usual();
    let mut gateway = play.granted();
    play.bench.disk.hold(true);
    gateway.send(&[odd(0x34, TOPIC.as_bytes(), 5), good(6)].concat());
    play.bench.disk.wait_for_sync();
    gateway.assert_silent();
    play.bench.disk.hold(false);
    assert_eq!(gateway.read(8), [[0x50, 2, 0, 5], puback(6)].concat());
    drop(gateway);
    let mut gateway = play.broker.accept(true, 0);
    gateway.send(&[0x62, 2, 0, 5, 0x62, 2, 0, 99]);
    assert_eq!(gateway.read(8), [0x70, 2, 0, 5, 0x70, 2, 0, 99], "also where nothing is known of it");
    assert_eq!(play.connections(), 2);
    assert_eq!(play.finish().len(), 2);
}

#[test]
fn pings_and_the_subscription_do_not_wait_for_a_slow_disk_and_a_dead_link_is_noticed() {
    let limits = MqttLimits { keep_alive: Duration::from_secs(2), ..limits() };
    let play = Play::start(&["#"], limits, AckPolicy::AfterDurable);
    let mut gateway = play.broker.accept(true, 0);
    play.bench.disk.hold(true);
    gateway.send(&good(1));
    play.bench.disk.wait_for_sync();
    let subscribe = gateway.read_packet();
    assert_eq!(subscribe[0], 0x82);
    assert_eq!(gateway.read(2), [0xc0, 0]);
    play.bench.disk.hold(false);
    // What is durable is still acknowledged; then nothing but pings comes until the link is given up.
    let rest = gateway.read_to_end();
    assert!(rest.windows(4).any(|bytes| bytes == puback(1)) && rest.ends_with(&[0xe0, 0]), "{rest:?}");
    let gateway = play.granted();
    play.wait_for(BrokerState::is_subscribed);
    drop(gateway);
    assert_eq!(play.finish().len(), 1);
}

#[test]
fn what_came_before_a_stop_is_acknowledged_before_the_goodbye() {
    let play = Play::usual();
    let mut gateway = play.granted();
    play.bench.disk.hold(true);
    gateway.send(&[good(1), good(2)].concat());
    play.bench.disk.wait_for_sync();
    play.stop.send_replace(true);
    play.bench.disk.hold(false);
    assert_eq!(gateway.read_to_end(), [&puback(1)[..], &puback(2), &[0xe0, 0]].concat());
    assert_eq!(play.finish().len(), 2);
}
