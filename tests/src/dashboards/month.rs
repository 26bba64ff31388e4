//! A month of a simulated fleet in the tables of a real engine: published to a daemon that detects and ships, with
//! seeded faults, messages that can't be read, missing records, a hub's own report, and people who work on incidents.
//! Must not know a dashboard. Called by the tests of the dashboards.
use crate::daemon::{Daemon, Site};
use crate::program::{lines, simulator, succeed, text};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use zenei_engine::Engine;
use zenei_kit::bound::within;
use zenei_kit::mqtt::Client;
use zenei_store::clickhouse::{Server, ServerAddress, ServerError, Timeouts};

/// How long a month may take to be published, processed and shipped; a guess for two busy cores.
const MONTH_WITHIN: Duration = Duration::from_secs(400);
/// Locks of the fleet: the fewest with which the seeded firmware fault is found. Tried out.
const LOCKS: &str = "200";

/// The tables, and what of them the tests need to know.
pub(super) struct Month {
    server: Server,
    /// The time of the first record, s since 1970.
    pub(super) began_s: u64,
    /// A little after the last record.
    pub(super) until_s: u64,
    /// When the last shipment came, by the server's clock.
    pub(super) shipped_s: u64,
    /// A lock with a seeded fault of its motor.
    pub(super) faulty: String,
    _site: Site,
    _daemon: Daemon,
    _engine: Engine,
    _folder: TempDir,
}

impl Month {
    /// `None` where there is no engine.
    pub(super) fn simulated() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let engine = Engine::for_test_in(&folder.path().join("engine"))?;
        let [registry, truth] = ["locks.csv", "truth"].map(|name| folder.path().join(name));
        let fleet = |more: &[&str]| {
            let mut command = simulator(["run", "--scenario", "demo", "--seed", "1", "--locks", LOCKS]);
            command.args(more).arg("--registry").arg(&registry).arg("--truth").arg(&truth);
            succeed(&mut command);
        };
        fleet(&["--days", "0.01"]);
        let site = site(&engine, &registry);
        let daemon = site.spawn(&mut site.zenei(&["run", "--simulated-time"])).listening();
        fleet(&["--duplicate-share", "0.01", "--mqtt", &daemon.ingress().to_string()]);
        let faulty = lines(&text(&truth)).into_iter().find(|fault| fault["family"] == "H1");
        let faulty = faulty.and_then(|fault| Some(fault["devices"][0].as_str()?.to_owned()));
        let address =
            ServerAddress { url: engine.url().to_owned(), user: "default".to_owned(), password: String::new() };
        let server = Server::new(&address, Timeouts::default()).expect("a client can be made");
        let mut month = Self {
            server,
            began_s: 0,
            until_s: 0,
            shipped_s: 0,
            faulty: faulty.expect("a motor's fault is seeded"),
            _site: site,
            _daemon: daemon,
            _engine: engine,
            _folder: folder,
        };
        month.all_shipped();
        month.began_s = month.number("SELECT toUnixTimestamp(min(heard_at)) AS n FROM zenei.record");
        let last_ms = month.number("SELECT toUnixTimestamp64Milli(max(heard_at)) AS n FROM zenei.record");
        publish_oddities(&month._daemon, &month.faulty, last_ms);
        month.until_s = last_ms / 1_000 + 900;
        work_on_incidents(&month._site);
        month.all_shipped();
        let events =
            "SELECT countIf(kind IN ('acknowledged', 'temp_fix_done', 'verdict')) AS n FROM zenei.incident_event";
        month.reaches(events, 5);
        month.shipped_s = month.number("SELECT toUnixTimestamp(max(shipped_at)) AS n FROM zenei.shipment");
        Some(month)
    }

    /// The rows of an answer.
    pub(super) fn ask(&self, sql: &str) -> Result<Vec<Value>, ServerError> {
        self.server.lines(&format!("{sql} SETTINGS output_format_json_quote_64bit_integers = 0"), &[])
    }

    /// Adds so many operations that jammed at one site in the last hour.
    pub(super) fn jam(&self, operations: u32) {
        let sql = format!(
            "INSERT INTO zenei.operation (device_id, ts_ms, site, heard_at, released_at, gateway, op, result)
             SELECT concat('jam-', toString(number)), 0, 'tokyo-01', fromUnixTimestamp64Milli({ms}), fromUnixTimestamp64Milli({ms}), 'gw-test', 'lock', 'jam'
             FROM numbers({operations})",
            ms = (self.until_s - 3_600) * 1_000
        );
        self.server.execute(&sql, &[]).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    fn number(&self, sql: &str) -> u64 {
        let rows = self.ask(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        rows[0]["n"].as_u64().unwrap_or_else(|| panic!("no number n: {sql}: {rows:?}"))
    }

    fn reaches(&self, sql: &str, at_least: u64) {
        let reached = within(MONTH_WITHIN, || (self.number(sql) >= at_least).then_some(()));
        reached.unwrap_or_else(|| panic!("not {at_least}: {sql}; {}", self._daemon.log()));
    }

    /// Waits until all that was received is sealed and shipped.
    fn all_shipped(&self) {
        let all = within(MONTH_WITHIN, || {
            let metrics = self._daemon.metrics();
            let shipped = metrics.value("zenei_shipped_total") >= metrics.stored();
            (metrics.received() > 0 && metrics.pending() == 0 && shipped).then_some(())
        });
        all.unwrap_or_else(|| panic!("not shipped: {:?}; {}", self._daemon.metrics(), self._daemon.log()));
    }
}

/// A site that hears, detects and ships; what is old by the clock of this machine stays.
fn site(engine: &Engine, registry: &Path) -> Site {
    let tables = ["record", "operation", "motor_profile", "dead_letter", "gap", "decision", "cohort_hour"];
    let days: Vec<String> = tables.iter().map(|table| format!("{table} = 20000")).collect();
    Site::new(&format!(
        "[gateway]\nid = 'gw-test'\nsite = 'site-test'\n[ingress]\nlisten = '127.0.0.1:0'\n[desk]\nenabled = true\n\
         [registry]\nfile = '{}'\n[store]\nkind = 'clickhouse'\n[store.clickhouse]\nurl = '{}'\nkeep_days = {{ {} }}",
        registry.display(),
        engine.url(),
        days.join(", ")
    ))
}

/// Messages that can't be read, a hole in one lock's numbers, a hub's report, and heartbeats that move time past the
/// hole.
fn publish_oddities(daemon: &Daemon, faulty: &str, last_ms: u64) {
    let mut client = Client::connect(daemon.ingress(), "oddities").expect("the gateway takes a connection");
    let mut say = |topic: String, payload: String| {
        client.publish(&topic, payload.as_bytes()).expect("the gateway takes a message");
    };
    let state = |device: &str| format!("bitlock/v1/tokyo-01/{device}/state");
    let heartbeat = |ts_ms: u64, seq: u32| {
        format!(
            r#"{{"ts":{ts_ms},"boot":900,"seq":{seq},"battery_mv":2800,"battery_pct":80,"temp_c":10.0,"rssi_dbm":-60}}"#
        )
    };
    say(state(faulty), "{bad".to_owned());
    say(state(faulty), heartbeat(last_ms + 1_000, 1).replace("2800", "-2800"));
    say(state(faulty), heartbeat(last_ms + 2_000, 2));
    say(state(faulty), heartbeat(last_ms + 3_000, 9));
    let report = format!(
        r#"{{"ts":{},"boot":1,"seq":1,"gateway_id":"gw-tokyo-01-1","version":"1.4.0","queue_depth":2,"publish_errors":0,"api_errors":1,"api_latency_ms":180,"locks_heard":12}}"#,
        last_ms + 4_000
    );
    say("bitlock/v1/tokyo-01/gw-tokyo-01-1/gateway".to_owned(), report);
    // Eight locks must have reached a time before it counts, and a hole is waited for 120 s.
    for (seq, later_ms) in [(1, 300_000), (2, 600_000)] {
        for number in 1..=12 {
            say(state(&format!("BL000{number:04}")), heartbeat(last_ms + later_ms, seq));
        }
    }
}

/// People acknowledge, mend and judge the incidents; one of them stays as it is.
fn work_on_incidents(site: &Site) {
    let found = lines(&succeed(&mut site.zenei(&["incident", "list", "--json"])));
    let ids: Vec<&str> = found.iter().filter_map(|incident| incident["id"].as_str()).collect();
    let [first, second, third, ..] = ids[..] else { panic!("fewer than three incidents: {found:?}") };
    let steps: [&[&str]; 6] = [
        &["ack", first],
        &["temp-fix", first],
        &["status", first, "fixing"],
        &["ack", second],
        &["verdict", second, "true"],
        &["verdict", third, "false_positive"],
    ];
    for step in steps {
        succeed(site.zenei(&[&["incident"], step].concat()).args(["--by", "sato"]));
    }
}
