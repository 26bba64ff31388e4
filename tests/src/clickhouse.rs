//! How what ClickHouse stores differs from what the hubs sent: an engine, a site that ships to it through the proxy
//! `between`, and the count of what arrived. Must not know the content of rows, only the tables' names. Called by the
//! tests of shipping (`ship_*`).
use crate::between::{Between, Spoil};
use crate::daemon::{Daemon, Site, address_in};
use crate::hub::Lock;
use serde_json::Value;
use std::collections::BTreeMap;
use tempfile::TempDir;
use zenei_engine::Engine;
use zenei_store::clickhouse::{Server, ServerAddress, Timeouts};

/// The tables that rows of records go to.
pub(crate) const TABLES: [&str; 3] = ["record", "operation", "motor_profile"];

/// An engine of its own in a folder, and a site that ships to it.
pub(crate) struct Ground {
    pub(crate) site: Site,
    pub(crate) between: Between,
    engine: Option<Engine>,
    /// The folder of the engine's tables.
    folder: TempDir,
}

/// How the rows in ClickHouse differ from the sent records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Sent records that are in no table.
    pub(crate) lost: u64,
    /// Additional rows of records that are already there.
    pub(crate) doubled: u64,
    /// Profiles too few or too many.
    pub(crate) profiles: i64,
    /// Rows of the feed too few or too many.
    pub(crate) feed: i64,
    /// Values of the views that differ from the sent records: (name, sent, found).
    pub(crate) cohorts: Vec<(String, u64, u64)>,
}

impl Ground {
    /// A site with these keys in `[store]`; `None` where there is no engine.
    pub(crate) fn new(spoil: Spoil, store: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let engine = Engine::for_test_in(&folder.path().join("engine"))?;
        let between = Between::start(address_in(engine.url(), "http://"), spoil);
        let url = between.url();
        let site = Site::new(&format!(
            "[gateway]\nid = 'gw-test'\nsite = 'site-test'\n[ingress]\nlisten = '127.0.0.1:0'\n[desk]\nenabled = true\n\
             [store]\nkind = 'clickhouse'\n{store}\n[store.clickhouse]\nurl = '{url}'"
        ));
        Some(Self { site, between, engine: Some(engine), folder })
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("an engine runs")
    }

    /// Kills the engine as a crash would, and starts it again in the same folder.
    pub(crate) fn crash_engine(&mut self) {
        self.engine.take().expect("an engine runs").kill();
        let engine = Engine::start_in(&self.folder.path().join("engine")).expect("the engine starts again");
        self.between.move_to(address_in(engine.url(), "http://"));
        self.engine = Some(engine);
    }

    /// Runs a statement on the engine itself, past the proxy.
    pub(crate) fn execute(&self, sql: &str) {
        self.server().execute(sql, &[]).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// The rows of a query's answer, each an object.
    pub(crate) fn ask(&self, sql: &str) -> Vec<Value> {
        let sql = format!("{sql} SETTINGS output_format_json_quote_64bit_integers = 0");
        self.server().lines(&sql, &[]).unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    /// The one number of a query's one row, by its name `n`.
    pub(crate) fn number(&self, sql: &str) -> u64 {
        let rows = self.ask(sql);
        rows.first().and_then(|row| row["n"].as_u64()).unwrap_or_else(|| panic!("no number n: {sql}: {rows:?}"))
    }

    fn server(&self) -> Server {
        let url = self.engine().url().to_owned();
        let address = ServerAddress { url, user: "default".to_owned(), password: String::new() };
        Server::new(&address, Timeouts::default()).expect("a client can be made")
    }

    /// Compares the rows of the tables, and the values of the views, with the sent records.
    pub(crate) fn difference(&self, said: &[Lock]) -> Difference {
        let heard =
            "SELECT device_id, boot, seq FROM zenei.record UNION ALL SELECT device_id, boot, seq FROM zenei.operation";
        let rows = self.ask(&format!(
            "SELECT device_id, count() AS rows, uniqExact(boot, seq) AS records FROM ({heard}) GROUP BY device_id"
        ));
        let number = |row: &Value, name: &str| row[name].as_u64().unwrap_or_else(|| panic!("no {name}: {row}"));
        let mut found: BTreeMap<String, (u64, u64)> = rows
            .iter()
            .map(|row| {
                (row["device_id"].as_str().unwrap_or("").to_owned(), (number(row, "rows"), number(row, "records")))
            })
            .collect();
        let mut difference = Difference::default();
        for lock in said {
            let (rows, records) = found.remove(&lock.device).unwrap_or((0, 0));
            difference.lost += u64::from(lock.records).saturating_sub(records);
            difference.doubled += rows - records;
        }
        assert!(found.is_empty(), "locks that nobody spoke for: {found:?}");
        let total = |of: fn(&Lock) -> u32| said.iter().map(|lock| u64::from(of(lock))).sum::<u64>();
        let profiles = self.number("SELECT count() AS n FROM zenei.motor_profile");
        difference.profiles = profiles as i64 - total(|lock| lock.operations) as i64;
        let records = total(|lock| lock.records);
        let feed = self.ask("SELECT count() AS rows, uniqExact(device_id, boot, seq) AS records FROM zenei.feed");
        let [rows, different] = ["rows", "records"].map(|name| number(&feed[0], name));
        difference.feed = rows as i64 - records as i64;
        assert!(different <= records, "the feed has {different} records of {records}");
        let cohorts = self.ask(
            "SELECT sum(records) AS records, sum(operations) AS operations, sumMap(errors)['jam'] AS jams,
                 uniqCombined64Merge(12)(locks) AS locks
             FROM zenei.cohort_hour WHERE dimension = 'site' AND value = 'site-test'",
        );
        let speaking = said.iter().filter(|lock| lock.records > 0).count() as u64;
        let expected = [
            ("records", records),
            ("operations", total(|lock| lock.operations)),
            ("jams", total(|lock| lock.errors)),
            ("locks", speaking),
        ];
        for (what, said) in expected {
            let found = number(&cohorts[0], what);
            // More than 128 locks are counted by a sketch, whose standard error is 1.6 %: three of them are allowed.
            let allowed = if what == "locks" && said > 128 { said / 20 } else { 0 };
            if found.abs_diff(said) > allowed {
                difference.cohorts.push((what.to_owned(), said, found));
            }
        }
        difference
    }
}

/// Waits until all sent records are in ClickHouse, by the daemon's own count.
pub(crate) fn shipped_all(daemon: &Daemon, records: u64) -> Option<()> {
    let metrics = daemon.metrics();
    metrics.assert_adds_up();
    (metrics.value("zenei_shipped_total") >= records && metrics.value("zenei_ship_lag_records") == 0).then_some(())
}
