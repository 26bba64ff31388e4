//! Tests of an outage of ClickHouse: hubs publish at a fixed rate while the engine first refuses connections and then
//! stalls in the middle of its work. No record may be lost or duplicated, memory must not grow, and incidents are
//! opened meanwhile. Times and rates are printed, never asserted. `ZENEI_OUTAGE_S=60` sets the length in seconds of
//! each outage and of the calm before it.
#![expect(clippy::print_stdout, reason = "figures are shown beside what is asserted")]
use crate::between::Spoil;
use crate::clickhouse::{Difference, Ground, shipped_all};
use crate::daemon::Daemon;
use crate::hub::{Hubs, Load};
use crate::metrics::get;
use crate::stopwatch::Stopwatch;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::time::Duration;
use zenei_kit::bound::{Deadline, look_again, within};

/// Seconds of each outage, and of the calm before it, by default.
const OUTAGE_S: u64 = 15;
/// How long any step may take on a busy machine. A guess.
const STEP_WITHIN: Duration = Duration::from_secs(300);
/// Records a second.
const LINE_RATE: u64 = 5_000;
/// A lock sends a record every hour of its own time: days pass in seconds, so that a test finds what takes days to
/// find.
const LOAD: Load =
    Load { hubs: 4, locks: 100, window: 400, records_per_s: Some(LINE_RATE), step_ms: 3_600_000, seed: 3 };
/// Records of many days are received in minutes, and recede further into the past each day.
const STORE: &str = "seal_s = 2\n[store.clickhouse.keep_days]\nrecord = 20000\noperation = 20000\nmotor_profile = 20000\ncohort_hour = 20000\nfeed = 20000";

struct Run {
    ground: Ground,
    daemon: Daemon,
    hubs: Hubs,
    outage: Duration,
}

/// The highest memory use in a time.
#[derive(Clone, Copy, Debug, Default)]
struct Peak(u64);

impl Peak {
    fn mib(self) -> f64 {
        self.0 as f64 / f64::from(1 << 20)
    }
}

impl Run {
    fn start(outage: Duration) -> Option<Self> {
        let ground = Ground::new(Spoil::Nothing, STORE)?;
        let daemon = ground.site.spawn(ground.site.zenei(&["run"]).arg("--simulated-time")).listening();
        let hubs = Hubs::start(LOAD);
        hubs.speak_to(Some(daemon.ingress()));
        Some(Self { ground, daemon, hubs, outage })
    }

    /// Watches the memory for as long as an outage takes.
    fn watch(&self) -> Peak {
        let over = Deadline::after(self.outage);
        let mut peak = Peak::default();
        while !over.is_over() {
            peak.0 = peak.0.max(self.daemon.rss_bytes());
            look_again();
        }
        peak
    }

    fn shipped(&self) -> u64 {
        self.daemon.metrics().value("zenei_shipped_total")
    }

    fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let so = within(STEP_WITHIN, || is_so().then_some(()));
        so.unwrap_or_else(|| {
            panic!("{what}: not within {STEP_WITHIN:?}: {:?}: {}", self.daemon.metrics(), self.daemon.log())
        });
    }

    /// The number of incidents.
    fn incidents(&self) -> usize {
        let (status, body) = get(self.daemon.address("http://"), "/api/v1/incidents");
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("incidents are JSON");
        answer["incidents"].as_array().expect("incidents are a list").len()
    }

    /// One outage from the calm before it to the last waiting record.
    fn suffer(&self, what: &str, weak: usize, begin: impl FnOnce(&Ground), end: impl FnOnce(&Ground)) {
        let before = self.watch();
        let (shipped, opened) = (self.shipped(), self.incidents());
        begin(&self.ground);
        let (inserts, heard) = (self.ground.between.inserts(), self.daemon.metrics());
        self.hubs.weaken(weak);
        let during = self.watch();
        self.wait("an incident is opened meanwhile", || self.incidents() > opened);
        let metrics = self.daemon.metrics();
        metrics.assert_adds_up();
        assert!(metrics.stored() > heard.stored() && metrics.received() > heard.received(), "{metrics:?}");
        let (waiting, taken) = (metrics.value("zenei_ship_lag_records"), self.shipped() - shipped);
        assert!(waiting > 0, "nothing waited: that was no outage: {metrics:?}");
        println!(
            "{what}: {waiting} records wait, {taken} of the last insert; at most {:.1} MiB before, {:.1} MiB meanwhile",
            before.mib(),
            during.mib()
        );
        assert!(during.0 as f64 <= before.0 as f64 * 1.1, "memory grew by more than a tenth: {before:?}, {during:?}");
        end(&self.ground);
        self.wait("an insert comes through", || self.ground.between.inserts().answered > inserts.answered);
        let (clock, shipped) = (Stopwatch::start(), self.shipped());
        self.wait("what waited is shipped", || self.daemon.metrics().value("zenei_ship_lag_records") <= 3 * LINE_RATE);
        let (seconds, caught_up) = (clock.seconds(), self.shipped() - shipped);
        let rate = caught_up as f64 / seconds;
        println!(
            "{what}: {caught_up} records caught up in {seconds:.1} s: {rate:.0} a second, {:.1} times the line rate",
            rate / LINE_RATE as f64
        );
    }
}

fn signal(ground: &Ground, signal: Signal) {
    let id = ground.engine().process_id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    kill_process(id.expect("an engine of our own has a process"), signal).expect("an own process takes signals");
}

#[test]
fn an_outage_loses_and_doubles_nothing_and_memory_stays_flat_while_incidents_are_opened() {
    let asked = std::env::var("ZENEI_OUTAGE_S").ok();
    let outage_s = asked.map_or(OUTAGE_S, |text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}")));
    let Some(run) = Run::start(Duration::from_secs(outage_s)) else { return };
    // Some days of each lock's own past as a baseline; and the memory then holds everything that one minute brings.
    run.wait("something is shipped", || run.shipped() > 20 * LINE_RATE);
    run.suffer("refused", 1, |ground| ground.between.refuse(), |ground| ground.between.take_again());
    run.suffer("stopped", 2, |ground| signal(ground, Signal::STOP), |ground| signal(ground, Signal::CONT));
    let Run { ground, daemon, hubs, .. } = run;
    let seconds = hubs.seconds();
    let said = hubs.settle();
    let records: u64 = said.iter().map(|lock| u64::from(lock.records)).sum();
    println!("{records} records in {seconds:.0} s: {:.0} a second", records as f64 / seconds);
    let shipped = within(STEP_WITHIN, || shipped_all(&daemon, records));
    shipped.unwrap_or_else(|| panic!("{records} records are not shipped: {:?}: {}", daemon.metrics(), daemon.log()));
    daemon.end_cleanly();
    assert_eq!(ground.difference(&said), Difference::default());
}
