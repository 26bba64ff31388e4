//! Tests that a month of a fleet passes whole through a real broker, and that zenei finds in it the seeded faults and
//! nothing else, also when it is killed on the way. Debian's mosquitto runs between `firmware-sim` and `zenei run
//! --simulated-time`; a replay of the resulting store must give the same incidents.
use crate::broker::Broker;
use crate::daemon::{Daemon, Site};
use crate::fleet::{Cause, Key, Recording, cause, difference, listed, same_incidents};
use crate::metrics::Metrics;
use crate::program::{lines, simulator, succeed, text, zenei};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;
use zenei_kit::bound::within;

/// How long the month may take to be published, and again to be processed and sealed; a guess for two busy cores.
const MONTH_WITHIN: Duration = Duration::from_secs(150);
/// Kills in one month.
const KILLS: u64 = 8;

/// The state after a month through a broker.
struct Month {
    seeded: BTreeMap<Cause, usize>,
    sent: BTreeMap<Key, u64>,
    metrics: Metrics,
    held: BTreeMap<Key, u64>,
    incidents: Vec<Value>,
    from_store: Vec<Value>,
}

impl Month {
    /// Runs the fleet's month through a broker while the daemon is killed so many times, at even shares of the month.
    fn play(kills: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let recording = Recording::make(folder.path(), "month", 1, &[]);
        let sent = recording.records();
        let expected = sent.len() as u64;
        let broker = Broker::start();
        let site = broker.site(&recording.registry);
        let mut daemon = broker.subscribed(&site);
        let again = folder.path().join("again.ndjson");
        let mut publish = simulator(["run", "--scenario", "demo", "--seed", "1", "--speed", "fast", "--mqtt"]);
        publish.arg(broker.address.to_string()).arg("--record").arg(&again);
        let publisher = Daemon::spawn(&mut publish, &folder.path().join("publisher.log"));
        for kill in 1..=kills {
            taken(&daemon, expected * kill / (kills + 1), 0);
            daemon.kill9();
            daemon = Broker::start_simulated(&site);
        }
        assert_eq!(publisher.ended_within(MONTH_WITHIN), Some(0), "the fleet could not publish");
        assert!(text(&again) == text(&recording.path), "the same seed gave another month");
        let metrics = taken(&daemon, expected, expected);
        let incidents = lines(&succeed(&mut site.zenei(&["incident", "list", "--json"])));
        daemon.end_cleanly();
        let held = listed(&succeed(&mut site.zenei(&["record", "list", "--json"])));
        let from_store = replayed_store(&site, &recording);
        let seeded = recording.faults().into_iter().map(|fault| (fault, 1)).collect();
        Self { seeded, sent, metrics, held, incidents, from_store }
    }

    /// The month without kills; run once.
    fn undisturbed() -> &'static Self {
        static MONTH: OnceLock<Month> = OnceLock::new();
        MONTH.get_or_init(|| Self::play(0))
    }

    fn check(&self) {
        assert!(self.sent.values().all(|&times| times == 1), "the simulator says a record twice");
        let metrics = &self.metrics;
        assert_eq!((metrics.stored(), metrics.pending()), (self.sent.len() as u64, 0), "{metrics:?}");
        assert_eq!((metrics.dead(), metrics.dropped()), (0, 0), "{metrics:?}");
        assert_eq!(metrics.value(r#"zenei_received_total{source="mqtt"}"#), metrics.received());
        assert_eq!(difference(&self.sent, &self.held), "");
        let mut found: BTreeMap<Cause, usize> = BTreeMap::new();
        self.incidents.iter().for_each(|incident| *found.entry(cause(incident)).or_default() += 1);
        assert_eq!(found, self.seeded, "{:#?}", self.incidents);
        assert_eq!(metrics.sum("zenei_incidents_open"), self.incidents.len() as u64);
        assert_eq!(
            same_incidents(&self.from_store),
            same_incidents(&self.incidents),
            "the store gives other incidents"
        );
    }
}

/// Waits until so many records are taken, and so many of them are stored.
fn taken(daemon: &Daemon, records: u64, stored: u64) -> Metrics {
    let found = within(MONTH_WITHIN, || {
        let metrics = daemon.metrics();
        metrics.assert_adds_up();
        // Messages that the broker resends are pending until they are read and found to be duplicates.
        let is_settled = stored == 0 || metrics.pending() == 0;
        let is_taken = metrics.received() - metrics.duplicate() >= records && metrics.stored() >= stored && is_settled;
        is_taken.then_some(metrics)
    });
    found.unwrap_or_else(|| panic!("{records} records are not taken: {:?}; {}", daemon.metrics(), daemon.log()))
}

/// The incidents of a replay of a site's store.
fn replayed_store(site: &Site, recording: &Recording) -> Vec<Value> {
    let out = site.folder.path().join("replayed");
    let mut replay = zenei(["replay"]);
    replay.arg(site.state()).arg("--out").arg(&out).arg("--registry").arg(&recording.registry);
    succeed(&mut replay);
    let entries = std::fs::read_dir(&out).expect("results are written").filter_map(Result::ok);
    let written: BTreeSet<_> = entries.map(|entry| entry.file_name()).collect();
    assert_eq!(written.len(), 4, "{written:?}");
    lines(&text(&out.join("incidents.ndjson")))
}

#[test]
fn a_month_through_a_real_broker_gives_each_record_once_and_each_fault_one_incident() {
    let month = Month::undisturbed();
    month.check();
    println!("{} records through mosquitto, {} incidents", month.sent.len(), month.incidents.len());
}

#[test]
fn kills_on_the_way_change_neither_records_nor_incidents() {
    let (undisturbed, killed) = (Month::undisturbed(), Month::play(KILLS));
    killed.check();
    assert_eq!(same_incidents(&killed.incidents), same_incidents(&undisturbed.incidents));
    let (records, duplicates) = (killed.sent.len(), killed.metrics.duplicate());
    println!(
        "{KILLS} kills within {records} records through mosquitto, {duplicates} of them sent again, the same incidents"
    );
}
