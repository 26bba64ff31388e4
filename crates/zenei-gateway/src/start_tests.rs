//! A whole gateway in this process: messages that go in at the socket come out of the store, over restarts.
use super::{start as start_gateway, start_on};
use crate::source::mqtt::config::MqttConfig;
use crate::testing::{BOUND, HeldDisk};
use crate::{GatewayConfig, GatewayError, Running, StartError};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::runtime::Runtime;
use zenei_detect::{Desk, DeskError, Findings, Pipeline};
use zenei_kit::QuietDesk;
use zenei_kit::mqtt::{Raw, publish};
use zenei_store::clock::Clock;
use zenei_store::disk::{Disk, RealDisk};
use zenei_store::layout::LockError;
use zenei_store::{Layout, Ledger, ParquetStore};
use zenei_wire::{EngineTime, GatewayTime};

struct Failing;

impl Desk for Failing {
    fn take(&mut self, _: EngineTime, _: &Findings, pipeline: &Pipeline) -> Result<(), DeskError> {
        if pipeline.fleet().is_empty() { Ok(()) } else { Err("the desk burns".into()) }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn within<F: Future>(runtime: &Runtime, future: F) -> F::Output {
    runtime.block_on(async { tokio::time::timeout(BOUND, future).await }).expect("within the bound")
}

fn config(state_dir: &Path) -> GatewayConfig {
    let pipeline = Box::new(|bytes: Option<&[u8]>| match bytes {
        Some(bytes) => Pipeline::restore(bytes, None),
        None => Ok(Pipeline::new(None)),
    });
    GatewayConfig {
        clock: Clock::simulated(GatewayTime(1_000)),
        ingress: Some("127.0.0.1:0".parse().unwrap()),
        ..GatewayConfig::new(state_dir, "gw-1", pipeline)
    }
}

fn start(runtime: &Runtime, state_dir: &Path) -> Running {
    let _within = runtime.enter();
    start_gateway(config(state_dir), QuietDesk).unwrap()
}

fn client(running: &Running) -> Raw {
    let mut client = Raw::connect(running.ingress_addr().unwrap());
    client.greet("hub");
    client
}

/// Publishes records of one lock and waits for their acknowledgements.
fn tell(client: &mut Raw, seqs: std::ops::Range<u16>) {
    for seq in seqs.clone() {
        let body = format!(r#"{{"ts":{seq},"boot":1,"seq":{seq}}}"#);
        client.send(&publish("bitlock/v1/tokyo-01/BL1/state", Some(seq + 1), body.as_bytes()));
    }
    client.read(4 * seqs.len());
}

fn stored_seqs(state_dir: &Path) -> Vec<u32> {
    let layout = Layout::new(state_dir);
    let store = ParquetStore::open_read_only(Arc::new(RealDisk), &layout.parquet());
    store.read_all(None).unwrap().filter_map(|record| record.unwrap().record.seq).collect()
}

#[test]
fn what_is_published_is_stored_once_over_restarts_and_the_counts_go_on() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let running = start(&runtime, folder.path());
    let mut hub = client(&running);
    tell(&mut hub, 0..10);
    hub.send(&publish("else/where", Some(1), b"x"));
    hub.send(&publish("bitlock/v1/tokyo-01/BL1/state", Some(2), b"no record"));
    hub.read(8);
    let progress = within(&runtime, running.drain()).unwrap();
    assert_eq!(progress.processed, 11);
    assert_eq!(running.ledger().borrow().pending, 10);
    let progress = within(&runtime, running.seal()).unwrap();
    assert_eq!(progress.sealed, 11);
    assert_eq!(stored_seqs(folder.path()), (0..10).collect::<Vec<u32>>());
    let ledger = within(&runtime, running.stop()).unwrap();
    assert_eq!((ledger.received_total(), ledger.stored, ledger.dead_letter_total()), (11, 10, 1));
    assert_eq!(ledger.ignored_foreign, 1);

    let running = start(&runtime, folder.path());
    let shown: Ledger = running.ledger().borrow().clone();
    assert_eq!((shown.received_total(), shown.stored, shown.ignored_foreign), (11, 10, 1));
    // Some records that it has sent before, and more.
    tell(&mut client(&running), 5..20);
    let ledger = within(&runtime, running.stop()).unwrap();
    assert_eq!((ledger.received_total(), ledger.stored, ledger.duplicate), (26, 20, 5));
    ledger.balance().unwrap();
    assert_eq!(stored_seqs(folder.path()), (0..20).collect::<Vec<u32>>());
}

#[test]
fn a_hole_is_waited_for_in_the_clocks_time_and_survives_a_restart() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let running = start(&runtime, folder.path());
    let mut hub = client(&running);
    tell(&mut hub, 0..1);
    tell(&mut hub, 3..4);
    let ledger = within(&runtime, running.stop()).unwrap();
    assert_eq!((ledger.stored, ledger.pending), (1, 1), "held at the hole, but kept");
    let running = start(&runtime, folder.path());
    within(&runtime, running.tick(GatewayTime(200_000))).unwrap();
    within(&runtime, running.seal()).unwrap();
    assert_eq!(stored_seqs(folder.path()), [0, 3], "sealed though nothing new was heard");
    let ledger = within(&runtime, running.stop()).unwrap();
    assert_eq!((ledger.stored, ledger.pending, ledger.gaps), (2, 0, 2));
}

#[test]
fn a_gateway_that_is_dropped_loses_nothing_acknowledged() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let running = start(&runtime, folder.path());
    tell(&mut client(&running), 0..10);
    drop(running);
    let started = zenei_store::clock::Elapsed::start();
    let running = loop {
        let _within = runtime.enter();
        match start_gateway(config(folder.path()), QuietDesk) {
            Ok(running) => break running,
            Err(StartError::Lock(LockError::Taken { .. })) => assert!(started.so_far() < BOUND),
            Err(error) => panic!("{error}"),
        }
    };
    within(&runtime, running.stop()).unwrap();
    assert_eq!(stored_seqs(folder.path()), (0..10).collect::<Vec<u32>>());
}

#[test]
fn two_gateways_never_share_a_state_directory() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let running = start(&runtime, folder.path());
    let within_runtime = runtime.enter();
    let error = start_gateway(config(folder.path()), QuietDesk).err().unwrap();
    assert!(matches!(error, StartError::Lock(LockError::Taken { .. })), "{error}");
    drop(within_runtime);
    within(&runtime, running.stop()).unwrap();
    within(&runtime, start(&runtime, folder.path()).stop()).unwrap();
}

#[test]
fn a_desk_that_fails_stops_the_gateway_and_nothing_acknowledged_is_lost() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let running = {
        let _within = runtime.enter();
        start_gateway(config(folder.path()), Failing).unwrap()
    };
    tell(&mut client(&running), 0..1);
    let error = within(&runtime, running.failed());
    assert!(zenei_store::with_causes(&error).ends_with("the desk burns"), "{error}");
    assert!(matches!(within(&runtime, running.drain()), Err(GatewayError::Driver(_))));
    assert!(matches!(within(&runtime, running.stop()), Err(GatewayError::Driver(_))));
    within(&runtime, start(&runtime, folder.path()).stop()).unwrap();
    assert_eq!(stored_seqs(folder.path()), [0]);
}

#[test]
fn outside_of_a_runtime_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(start_gateway(config(folder.path()), QuietDesk), Err(StartError::NoRuntime)));
}

/// A broker that a test plays, byte by byte.
struct Broker(std::net::TcpListener);

impl Broker {
    /// The next connection of the gateway, its CONNECT answered, its SUBSCRIBE answered where one must come.
    fn accept(&self, session_present: bool, subscribes: bool) -> Raw {
        let (socket, _) = self.0.accept().unwrap();
        let mut gateway = Raw::from_socket(socket);
        let connect = gateway.read_packet();
        assert_eq!((connect[0], connect[7 + 2] & 0x02), (0x10, 0), "a persistent session");
        gateway.send(&[0x20, 2, u8::from(session_present), 0]);
        if subscribes {
            let subscribe = gateway.read_packet();
            assert_eq!((subscribe[0], subscribe.last()), (0x82, Some(&1)), "QoS 1");
            gateway.send(&[0x90, 3, subscribe[2], subscribe[3], 1]);
        }
        gateway
    }
}

fn record(id: u16) -> Vec<u8> {
    let body = format!(r#"{{"ts":{id},"boot":1,"seq":{}}}"#, id - 1);
    publish("bitlock/v1/tokyo-01/BL1/state", Some(id), body.as_bytes())
}

/// A gateway that hears this broker and nothing else.
fn start_with(runtime: &Runtime, broker: &Broker, state_dir: &Path, disk: Arc<dyn Disk>) -> Running {
    let port = broker.0.local_addr().unwrap().port();
    let (host, client_id, topics) = ("127.0.0.1".to_owned(), "gw".to_owned(), vec!["bitlock/v1/#".to_owned()]);
    let mqtt = Some(MqttConfig { host, port, client_id, topics, login: None });
    let _within = runtime.enter();
    let config = GatewayConfig { mqtt, ingress: None, ..config(state_dir) };
    start_on(config, QuietDesk, disk).unwrap()
}

#[test]
fn a_topic_that_is_no_text_is_a_dead_letter_and_stops_nothing_behind_it() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let broker = Broker(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let running = start_with(&runtime, &broker, folder.path(), Arc::new(RealDisk));
    let mut gateway = broker.accept(false, true);
    let mut poison = publish("bitlock/v1/tokyo-01/BLx/state", Some(2), b"{\"ts\":1}");
    let at = poison.iter().position(|&byte| byte == b'x').unwrap();
    poison[at] = 0xd5;
    let wild = publish("bitlock/v1/tokyo-01/+/state", Some(3), b"{\"ts\":1}");
    gateway.send(&[record(1), poison, wild, record(4)].concat());
    assert_eq!(gateway.read(16), [0x40, 2, 0, 1, 0x40, 2, 0, 2, 0x40, 2, 0, 3, 0x40, 2, 0, 4]);
    let ledger = within(&runtime, running.stop()).unwrap();
    ledger.balance().unwrap();
    assert_eq!((ledger.received_total(), ledger.stored, ledger.pending), (4, 1, 1), "it waits at the hole of 1 and 2");
    assert_eq!(ledger.dead_letter.get(&zenei_wire::Reason::BadTopic), Some(&2));
}

#[test]
fn the_broker_hears_acknowledgements_in_order_after_durability_and_never_on_another_connection() {
    let (runtime, folder, disk) = (runtime(), tempfile::tempdir().unwrap(), HeldDisk::new());
    let broker = Broker(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let running = start_with(&runtime, &broker, folder.path(), Arc::new(disk.clone()));
    let mut first = broker.accept(false, true);
    first.send(&[record(1), record(2)].concat());
    assert_eq!(first.read(8), [0x40, 2, 0, 1, 0x40, 2, 0, 2]);
    disk.hold(true);
    first.send(&[record(3), record(4)].concat());
    disk.wait_for_sync();
    first.assert_silent();
    drop(first);
    // The broker sends the unacknowledged messages again, under the same ids for other messages.
    let mut second = broker.accept(true, false);
    disk.hold(false);
    second.assert_silent();
    second.send(&[record(4), record(3)].concat());
    assert_eq!(second.read(8), [0x40, 2, 0, 4, 0x40, 2, 0, 3]);
    drop(second);
    let mut third = broker.accept(false, true);
    third.send(&record(5));
    assert_eq!(third.read(4), [0x40, 2, 0, 5]);
    let counters = running.counters();
    assert_eq!(counters.mqtt_sessions_lost.load(Ordering::Relaxed), 1);
    assert_eq!(counters.mqtt_connections.load(Ordering::Relaxed), 3);
    let ledger = within(&runtime, running.stop()).unwrap();
    assert_eq!((ledger.received_total(), ledger.stored, ledger.duplicate), (7, 5, 2));
}
