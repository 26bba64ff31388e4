//! Does a month of a fleet come through a real broker whole, and does zenei find in it what was seeded, and nothing else? Debian's mosquitto between
//! `firmware-sim` and `zenei run --simulated-time`; the same incidents again from the store that it left.
use crate::bound::within;
use crate::daemon::{Daemon, Site};
use crate::fleet::{Cause, Recording, cause, difference, listed, same_incidents};
use crate::mqtt_client::Client;
use crate::program::{lines, run_within, simulator, succeed, text, zenei};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where Debian puts it.
const MOSQUITTO: &str = "/usr/sbin/mosquitto";
/// How long a broker may take to listen; a guess.
const BROKER_WITHIN: Duration = Duration::from_secs(20);
/// How long the month may take to be published, and again to be processed and sealed; a guess for two busy cores.
const MONTH_WITHIN: Duration = Duration::from_secs(150);

/// A broker that is killed when dropped.
struct Broker {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Broker {
    fn start() -> Self {
        // Between the look for a free port and its use another process may take it: a broker that ends at once is started on another port.
        let started = (0..5).find_map(|_| Self::try_start());
        started.expect("mosquitto does not start, five times: apt-get install mosquitto")
    }

    fn try_start() -> Option<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|taken| taken.local_addr());
        let address = address.expect("a port is free");
        let folder = tempfile::tempdir().expect("a folder can be made");
        let config = folder.path().join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location {}/\n\
             max_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 1000\nlog_dest stderr\nlog_type error\n",
            address.port(),
            folder.path().display()
        );
        std::fs::write(&config, text).expect("a configuration can be written");
        let mut command = Command::new(MOSQUITTO);
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{MOSQUITTO}: {error}: apt-get install mosquitto"));
        let mut broker = Self { child, address, _folder: folder };
        let state = within(BROKER_WITHIN, || {
            let ended = broker.child.try_wait().expect("a child can be waited for").is_some();
            if ended { Some(false) } else { TcpStream::connect(address).ok().map(|_| true) }
        });
        (state == Some(true)).then_some(broker)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // One that has ended already can't be killed; that is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon that has subscribed. A retained last will tells: it comes with the subscription, and is no record.
fn subscribed(site: &Site, broker: &Broker) -> Daemon {
    let mut client = Client::connect(broker.address, "probe").expect("the broker takes a client");
    client.publish_retained("bitlock/v1/site-test/gw-probe/online", b"1").expect("the broker keeps a last will");
    let daemon = site.spawn(&mut site.zenei(&["run", "--simulated-time"])).listening();
    let online = r#"zenei_ignored_messages_total{topic="online"}"#;
    let heard = within(BROKER_WITHIN, || (daemon.metrics().value(online) > 0).then_some(()));
    heard.unwrap_or_else(|| panic!("no subscription within {BROKER_WITHIN:?}: {}", daemon.log()));
    daemon
}

#[test]
fn a_month_through_a_real_broker_gives_each_record_once_and_each_fault_one_incident() {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::make(folder.path(), "month", 1, &[]);
    let sent = recording.records();
    assert!(sent.values().all(|&times| times == 1), "the simulator says a record twice");
    let broker = Broker::start();
    let site = Site::new(&format!(
        "[gateway]\nid = 'gw-test'\nsite = 'site-test'\n[mqtt]\nurl = 'mqtt://{}'\nclient_id = 'zenei-test'\ntopics = ['bitlock/v1/#']\n\
         [registry]\nfile = '{}'\n[desk]\nenabled = true",
        broker.address,
        recording.registry.display()
    ));
    let daemon = subscribed(&site, &broker);
    let address = broker.address.to_string();
    let again = folder.path().join("again.ndjson");
    let mut publish = simulator(["run", "--scenario", "demo", "--seed", "1", "--speed", "fast", "--mqtt", &address]);
    publish.arg("--record").arg(&again);
    let ended = run_within(&mut publish, MONTH_WITHIN);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(text(&again) == text(&recording.path), "the same seed gave another month");

    let expected = sent.len() as u64;
    let stored = within(MONTH_WITHIN, || {
        let metrics = daemon.metrics();
        metrics.assert_adds_up();
        (metrics.received() - metrics.duplicate() >= expected && metrics.pending() == 0).then_some(metrics)
    });
    let metrics = stored.unwrap_or_else(|| panic!("{expected} records are not stored: {:?}", daemon.metrics()));
    assert_eq!(metrics.stored(), expected, "{metrics:?}");
    assert_eq!((metrics.dead(), metrics.dropped()), (0, 0), "{metrics:?}");
    assert_eq!(metrics.value(r#"zenei_received_total{source="mqtt"}"#), metrics.received());

    let live = lines(&succeed(&mut site.zenei(&["incident", "list", "--json"])));
    let mut found: BTreeMap<Cause, usize> = BTreeMap::new();
    live.iter().for_each(|incident| *found.entry(cause(incident)).or_default() += 1);
    let seeded: BTreeMap<Cause, usize> = recording.faults().into_iter().map(|fault| (fault, 1)).collect();
    assert_eq!(found, seeded, "{live:#?}");
    assert_eq!(metrics.sum("zenei_incidents_open"), live.len() as u64);
    daemon.end_cleanly();

    let held = listed(&succeed(&mut site.zenei(&["record", "list", "--json"])));
    assert_eq!(difference(&sent, &held), "");
    assert_eq!(
        same_incidents(&replayed_store(&site, &recording)),
        same_incidents(&live),
        "the store gives other incidents"
    );
    println!("{expected} records through mosquitto, {} incidents", live.len());
}

/// The incidents that the store of a site leads to.
fn replayed_store(site: &Site, recording: &Recording) -> Vec<serde_json::Value> {
    let out = site.folder.path().join("replayed");
    let mut replay = zenei(["replay"]);
    replay.arg(site.state()).arg("--out").arg(&out).arg("--registry").arg(&recording.registry);
    succeed(&mut replay);
    let written: BTreeSet<_> = std::fs::read_dir(&out)
        .expect("results are written")
        .filter_map(Result::ok)
        .map(|file| file.file_name())
        .collect();
    assert_eq!(written.len(), 4, "{written:?}");
    lines(&text(&out.join("incidents.ndjson")))
}
