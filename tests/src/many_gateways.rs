//! Tests that one desk over many gateways reaches the results of one gateway that receives everything. One recording
//! goes to two gateways, by site, with one lock in twenty received by both; both ship to one engine; a desk with
//! `source = "clickhouse"` detects on the shipped records. It must open the incidents of a gateway that receives the
//! whole recording itself, and so must a replay of the tables. Negative controls: where the records received by both
//! can't be recognised as the same, the desk takes more of them; without the records of one gateway, the incidents
//! differ.
use crate::daemon::{Daemon, Site};
use crate::fleet::{Recording, same_incidents};
use crate::program::{lines, succeed, text};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use zenei_engine::Engine;
use zenei_kit::bound::within;
use zenei_kit::mqtt::{Client, Packet, Publish};
use zenei_store::clickhouse::{Server, ServerAddress, Timeouts};
use zenei_wire::recording::{Line, parse_line};

/// How long a month may take to be published, processed, shipped and tailed; a guess for two busy cores.
const MONTH_WITHIN: Duration = Duration::from_secs(400);
/// Messages in flight.
const WINDOW: usize = 200;
/// How long a gateway may have waited for a record at a hole, ms (telemetry contract): the newest are left for later.
const HOLE_WAIT_MS: u64 = 120_000;

/// A message of the recording.
struct Said {
    site: String,
    device: String,
    topic: String,
    payload: Vec<u8>,
}

fn said(recording: &Recording) -> Vec<Said> {
    let messages = text(&recording.path);
    let one = |line: &str| {
        let Ok(Line::Message { topic, payload, .. }) = parse_line(line) else { panic!("no message: {line}") };
        let levels: Vec<&str> = topic.split('/').collect();
        let (site, device) = (levels[2].to_owned(), levels[3].to_owned());
        Said { site, device, topic: topic.to_string(), payload: payload.to_vec() }
    };
    messages.lines().map(one).collect()
}

/// From the middle of the month on one lock's heartbeats are unreadable; its other records stay the same. Returns the
/// lock, which has no other fault.
fn spoil(recording: &Recording, messages: &mut [Said]) -> String {
    let faulty: BTreeSet<String> = recording.faults().into_iter().map(|(_, _, device)| device).collect();
    let heartbeats = messages.iter().filter(|said| said.topic.ends_with("/state"));
    let sound = heartbeats.map(|said| &said.device).find(|device| !faulty.contains(*device));
    let device = sound.expect("most locks are sound").clone();
    let half = messages.len() / 2;
    for said in messages[half..].iter_mut().filter(|said| said.device == device && said.topic.ends_with("/state")) {
        let payload = String::from_utf8(core::mem::take(&mut said.payload)).expect("JSON is text");
        said.payload = payload.replace("\"battery_mv\":", "\"battery_mv\":-").into_bytes();
    }
    device
}

/// Publishes messages in their order, each until it is acknowledged.
fn publish(address: SocketAddr, name: &str, messages: &[&Said]) {
    let mut client = Client::connect(address, name).expect("the gateway takes a connection");
    let (mut sent, mut acked) = (0, 0);
    let id = |number: usize| (number % 60_000) as u16 + 1;
    while acked < messages.len() {
        let until = messages.len().min(acked + WINDOW);
        let next = messages[sent..until].iter().enumerate().map(|(at, said)| Publish {
            id: id(sent + at),
            dup: false,
            retain: false,
            topic: &said.topic,
            payload: &said.payload,
        });
        client.send(next).expect("the gateway takes messages");
        sent = until;
        let mut answer = Some(client.receive().expect("the gateway answers"));
        while let Some(packet) = answer {
            assert_eq!(packet, Packet::PubAck { id: id(acked) });
            acked += 1;
            answer = client.take();
        }
    }
}

/// A gateway that receives all of these messages, with time that follows them.
fn heard(site: &Site, name: &str, messages: &[&Said]) -> Daemon {
    let daemon = site.spawn(&mut site.zenei(&["run", "--simulated-time"])).listening();
    publish(daemon.ingress(), name, messages);
    let all = within(MONTH_WITHIN, || {
        let metrics = daemon.metrics();
        (metrics.received() > 0 && metrics.pending() == 0).then_some(())
    });
    all.unwrap_or_else(|| panic!("{name} does not keep up: {:?}; {}", daemon.metrics(), daemon.log()));
    daemon
}

fn incidents(site: &Site) -> Vec<Value> {
    lines(&succeed(&mut site.zenei(&["incident", "list", "--json"])))
}

/// The engine, and the records that two gateways have shipped to it.
struct Shipped {
    engine: Engine,
    store: String,
    registry: String,
}

impl Shipped {
    fn server(&self) -> Server {
        let url = self.engine.url().to_owned();
        let address = ServerAddress { url, user: "default".to_owned(), password: String::new() };
        Server::new(&address, Timeouts::default()).expect("a client can be made")
    }

    fn number(&self, sql: &str) -> u64 {
        let sql = format!("{sql} SETTINGS output_format_json_quote_64bit_integers = 0");
        let rows: Vec<Value> = self.server().lines(&sql, &[]).unwrap_or_else(|error| panic!("{error}: {sql}"));
        rows[0]["n"].as_u64().unwrap_or_else(|| panic!("no number: {sql}: {rows:?}"))
    }

    /// Changes the feed.
    fn change(&self, how: &str) {
        let sql = format!("ALTER TABLE zenei.feed {how} SETTINGS mutations_sync = 2");
        self.server().execute(&sql, &[]).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// Two gateways that receive the messages of the locks in `both`, and half of the sites each.
    fn by_two_gateways(
        folder: &Path,
        recording: &Recording,
        messages: &[Said],
        both: &BTreeSet<String>,
    ) -> Option<Self> {
        let engine = Engine::for_test_in(&folder.join("engine"))?;
        let registry = format!("[registry]\nfile = '{}'", recording.registry.display());
        let keep = "keep_days = { record = 20000, operation = 20000, motor_profile = 20000 }";
        let store = format!("[store.clickhouse]\nurl = '{}'\n{keep}", engine.url());
        let shipped = Self { engine, store, registry };
        let sites: BTreeSet<&str> = messages.iter().map(|said| said.site.as_str()).collect();
        let first: BTreeSet<&str> = sites.iter().copied().take(sites.len() / 2).collect();
        for (name, is_first) in [("gw-a", true), ("gw-b", false)] {
            let own = |said: &&Said| first.contains(said.site.as_str()) == is_first || both.contains(&said.device);
            let site = Site::new(&format!(
                "[gateway]\nid = '{name}'\n[ingress]\nlisten = '127.0.0.1:0'\n{}\n[store]\nkind = 'clickhouse'\n{}",
                shipped.registry, shipped.store
            ));
            let own: Vec<&Said> = messages.iter().filter(own).collect();
            assert!(own.len() > messages.len() / 4 && own.len() < messages.len() * 3 / 4, "{name} hears {}", own.len());
            let daemon = heard(&site, name, &own);
            let stored = daemon.metrics().stored();
            let all = within(MONTH_WITHIN, || (daemon.metrics().value("zenei_shipped_total") >= stored).then_some(()));
            all.unwrap_or_else(|| panic!("{name} does not ship: {}", daemon.log()));
            daemon.end_cleanly();
        }
        Some(shipped)
    }

    /// The time up to which the desk can have read everything, ms.
    fn up_to_ms(&self) -> u64 {
        let last = "SELECT gateway, toUInt64(max(toUnixTimestamp64Milli(sealed_at))) AS at FROM zenei.shipment GROUP BY gateway";
        self.number(&format!("SELECT min(at) AS n FROM ({last})")) - HOLE_WAIT_MS
    }

    /// How many different shipped records the desk can have read.
    fn records(&self) -> u64 {
        let heard = format!("heard_at <= fromUnixTimestamp64Milli({}, 'UTC')", self.up_to_ms());
        self.number(&format!("SELECT uniqExact(device_id, boot, seq, identity) AS n FROM zenei.feed WHERE {heard}"))
    }

    /// The incidents of a desk that has taken everything that both gateways have shipped, and how many records it took
    /// as new.
    fn desk(&self, duplicates: bool) -> (Site, Vec<Value>, u64) {
        let site = Site::new(&format!(
            "[gateway]\nid = 'desk'\n[desk]\nenabled = true\n[detect]\nsource = 'clickhouse'\n{}\n{}",
            self.registry, self.store
        ));
        let up_to_ms = self.up_to_ms();
        let daemon = site.spawn(&mut site.zenei(&["run"])).listening();
        let all = within(MONTH_WITHIN, || {
            (daemon.metrics().value("zenei_tail_up_to_seconds") >= up_to_ms / 1_000).then_some(())
        });
        all.unwrap_or_else(|| panic!("the desk does not keep up: {:?}; {}", daemon.metrics(), daemon.log()));
        let metrics = daemon.metrics();
        let [taken, again] = ["records", "duplicate"].map(|what| metrics.value(&format!("zenei_tail_{what}_total")));
        assert_eq!(again > 0, duplicates, "{metrics:?}");
        daemon.end_cleanly();
        let found = incidents(&site);
        (site, found, taken - again)
    }
}

fn by_one_gateway(recording: &Recording, messages: &[Said]) -> Vec<Value> {
    let site = Site::new(&format!(
        "[gateway]\nid = 'gw-whole'\n[ingress]\nlisten = '127.0.0.1:0'\n[desk]\nenabled = true\n[registry]\nfile = '{}'",
        recording.registry.display()
    ));
    let daemon = heard(&site, "gw-whole", &messages.iter().collect::<Vec<_>>());
    let found = incidents(&site);
    daemon.end_cleanly();
    found
}

/// One lock in twenty, and those with a fault of their own among them.
fn shared(recording: &Recording, messages: &[Said]) -> BTreeSet<String> {
    let devices: BTreeSet<&str> = messages.iter().map(|said| said.device.as_str()).collect();
    let mut both: BTreeSet<String> = devices.into_iter().step_by(20).map(str::to_owned).collect();
    let faults = recording.faults();
    both.extend(faults.iter().filter(|(_, kind, _)| kind == "device").map(|(_, _, device)| device.clone()));
    both
}

fn replayed(site: &Site, out: &Path) -> Vec<Value> {
    let mut replay = site.zenei(&["replay", "--clickhouse"]);
    succeed(replay.arg("--out").arg(out));
    lines(&text(&out.join("incidents.ndjson")))
}

#[test]
fn two_gateways_and_a_desk_over_clickhouse_open_the_incidents_of_one_gateway_that_heard_all() {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::make(folder.path(), "month", 1, &[]);
    let mut messages = said(&recording);
    let unreadable = spoil(&recording, &mut messages);
    let both = shared(&recording, &messages);
    let Some(shipped) = Shipped::by_two_gateways(folder.path(), &recording, &messages, &both) else { return };
    let expected = same_incidents(&by_one_gateway(&recording, &messages));
    assert_eq!(expected.len(), recording.faults().len() + 1, "{expected:#?}");
    assert!(expected.iter().any(|incident| format!("{incident:?}").contains(&unreadable)), "{expected:#?}");
    let records = shipped.records();
    let (site, found, taken) = shipped.desk(true);
    assert_eq!(same_incidents(&found), expected);
    assert_eq!(taken, records, "the desk does not take each record once");
    assert_eq!(same_incidents(&replayed(&site, &folder.path().join("out"))), expected, "the tables give others");

    // Where the desk can't recognise that both received the same records, it takes more.
    let names: Vec<String> = both.iter().map(|device| format!("'{device}'")).collect();
    shipped.change(&format!(
        "UPDATE has_boot = false, has_seq = false, identity = lower(hex(cityHash64(boot, seq)))
         WHERE gateway = 'gw-b' AND device_id IN ({})",
        names.join(", ")
    ));
    let (_, _, taken) = shipped.desk(false);
    assert!(
        taken > records + records / 100,
        "this test would not see records that are taken twice: {taken}, {records}"
    );

    // Where a cursor skips the records of one gateway, the desk must find different incidents.
    shipped.change("DELETE WHERE gateway = 'gw-b'");
    let (_, found, _) = shipped.desk(false);
    assert_ne!(same_incidents(&found), expected, "this test would not see what a cursor skips");
}
