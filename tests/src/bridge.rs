//! Tests that Debian's mosquitto bridges to the ingress in both versions of MQTT, and that nothing is lost where zenei
//! is killed while the bridge sends: what is not acknowledged is sent again.
use crate::broker::Broker;
use crate::daemon::Site;
use crate::fleet::listed;
use crate::program::succeed;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;
use zenei_kit::bound::within;
use zenei_kit::mqtt::Client;

/// How long the bridge may take to connect again and to send what it kept: it waits for up to five seconds between two
/// attempts; the rest is a guess for a busy machine.
const SENT_WITHIN: Duration = Duration::from_secs(60);
const COUNT: u64 = 300;

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|taken| taken.local_addr()).expect("a port is free")
}

/// The numbers of the records that zenei has, after a kill in the middle, of those that were published to a broker that
/// bridges in this version.
fn bridged(version: &str) -> Vec<u32> {
    let address = free_address();
    let site = Site::new(&format!(
        "[gateway]\nid = 'gw-test'\nsite = 'site-test'\n[ingress]\nlisten = '{address}'\n[desk]\nenabled = false"
    ));
    let broker = Broker::start_with(&format!(
        "connection zenei\naddress {address}\ntopic bitlock/v1/# out 1\nbridge_protocol_version {version}\n\
         cleansession false\nnotifications false\ntry_private false\nrestart_timeout 1 5\n"
    ));
    let mut daemon = site.start();
    let mut lock = Client::connect(broker.address, "lock").expect("the broker takes a client");
    for seq in 0..COUNT {
        let payload = format!(r#"{{"ts":{},"boot":1,"seq":{seq},"battery_mv":2874}}"#, 1_777_626_000_123 + seq);
        lock.publish("bitlock/v1/site-test/BL1/state", payload.as_bytes()).expect("the broker acknowledges");
        if seq == COUNT / 2 {
            let some = within(SENT_WITHIN, || (daemon.metrics().received() > 0).then_some(()));
            some.unwrap_or_else(|| panic!("{version}: nothing came: {}", daemon.log()));
            daemon.kill9();
            daemon = site.start();
        }
    }
    let all = within(SENT_WITHIN, || Some(daemon.metrics()).filter(|of| of.received() - of.duplicate() >= COUNT));
    let metrics = all.unwrap_or_else(|| panic!("{version}: {:?}: {}", daemon.metrics(), daemon.log()));
    metrics.assert_adds_up();
    assert_eq!(metrics.dead(), 0, "{version}");
    daemon.end_cleanly();
    let found = listed(&succeed(&mut site.zenei(&["record", "list", "--json"])));
    found.keys().filter_map(|key| key.seq).collect()
}

#[test]
fn a_bridge_of_either_version_loses_nothing_over_a_kill() {
    for version in ["mqttv311", "mqttv50"] {
        let numbers = bridged(version);
        assert!(numbers.iter().copied().eq(0..COUNT as u32), "{version}: {numbers:?}");
    }
}
