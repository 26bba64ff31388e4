//! The ground of a test: a database that is empty at first, a state directory, a shipper between them. Called by the
//! tests of this folder.
use super::engine;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use zenei_detect::{Fleet, Gap, Row};
use zenei_store::clickhouse::{Ended, Go, Server, ServerAddress, ShipOptions, Shipped, Shipper, Timeouts};
use zenei_store::disk::SimDisk;
use zenei_store::schema::{Applied, Form, Retention, apply};
use zenei_store::{Checkpoint, Control, DeadLetter, ParquetStore, SealPlan, Sealed};
use zenei_wire::EngineTime;

pub(crate) const GATEWAY: &str = "gw-tokyo-01";
/// A time within the range of calendars: 2026-05-01T09:00:00Z.
pub(crate) const NOON_MS: i64 = 1_777_626_000_000;

/// The rows of tests are of one day, which lies further back each day.
pub(crate) const FOR_EVER: Retention = Retention {
    record: 20_000,
    operation: 20_000,
    motor_profile: 20_000,
    dead_letter: 20_000,
    gap: 20_000,
    decision: 20_000,
    cohort_hour: 20_000,
    feed: 20_000,
};

/// The most waits between looks at what the server has; an insert that the server does not take waits more often.
const MAX_WAITS: u32 = 30;

/// The waits of a shipper that may look.
pub(crate) fn looking() -> impl FnMut(std::time::Duration) -> Go {
    let mut waits = 0;
    move |_| {
        waits += 1;
        if waits <= MAX_WAITS { Go::On } else { Go::Stop }
    }
}

pub(crate) struct Ground {
    pub(crate) server: Server,
    pub(crate) form: Form,
    disk: SimDisk,
    address: ServerAddress,
    sealed: u64,
    /// Whether its shippers look after a doubtful insert, and each after its start.
    pub(crate) mends: bool,
}

impl Ground {
    /// The ground under this name with all tables; `None` if there is no server.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let ground = Self::empty(name)?;
        ground.apply();
        Some(ground)
    }

    /// As [`Ground::new`], without any table.
    pub(crate) fn empty(name: &str) -> Option<Self> {
        Some(Self::empty_at(engine::url()?, name))
    }

    /// As [`Ground::empty`], on this server.
    pub(crate) fn empty_at(url: String, name: &str) -> Self {
        let address = ServerAddress { url, user: "default".into(), password: String::new() };
        let server = Server::new(&address, Timeouts::default()).unwrap();
        let database = format!("zenei_test_{name}");
        server.execute(&format!("DROP DATABASE IF EXISTS {database}"), &[]).unwrap();
        let form = Form::new(&database, None, FOR_EVER).unwrap();
        Self { server, form, disk: SimDisk::new(0), address, sealed: 0, mends: true }
    }

    /// Another client of the same server.
    pub(crate) fn another_server(&self) -> Server {
        Server::new(&self.address, Timeouts::default()).unwrap()
    }

    pub(crate) fn apply(&self) -> Applied {
        apply(&self.server, &self.form).unwrap()
    }

    pub(crate) fn store(&self) -> ParquetStore {
        ParquetStore::open(Arc::new(self.disk.clone()), Path::new("/store")).unwrap()
    }

    /// Seals a range of these rows.
    pub(crate) fn seal(&mut self, fleet: &Fleet, rows: &[Row], gaps: &[Gap], dead: &[DeadLetter]) {
        let (from, plan) = (self.sealed * 1000, self.place(self.sealed + 1));
        self.store().seal(&SealPlan { from, to: plan }, fleet, rows, gaps, dead, GATEWAY).unwrap();
        self.sealed += 1;
    }

    fn place(&self, number: u64) -> Sealed {
        Sealed { offset: number * 1000, advanced_to: EngineTime(NOON_MS + i64::try_from(number).unwrap()) }
    }

    /// A shipper whose cursor is after the first `shipped` ranges.
    pub(crate) fn shipper(&self, shipped: u64) -> Shipper {
        self.shipper_of(GATEWAY, shipped)
    }

    /// As [`Ground::shipper`], for a gateway of another name that received the same records.
    pub(crate) fn shipper_of(&self, gateway_id: &str, shipped: u64) -> Shipper {
        let mut control = Control::in_memory().unwrap();
        let txn = control.begin().unwrap();
        txn.checkpoint(&Checkpoint { sealed: self.place(self.sealed), ..Checkpoint::default() }).unwrap();
        if shipped > 0 {
            let to = self.place(shipped);
            txn.set_cursor("ship/offset", to.offset).unwrap();
            txn.set_cursor("ship/advanced_to_ms", u64::try_from(to.advanced_to.ms()).unwrap()).unwrap();
        }
        txn.commit().unwrap();
        let server = Server::new(&self.address, Timeouts::default()).unwrap();
        let options = ShipOptions {
            gateway_id: gateway_id.into(),
            keep_ms: i64::MAX,
            max_rows: 0,
            memory: None,
            feed: true,
            mends: self.mends,
        };
        Shipper::new(self.store(), control, server, self.form.clone(), options)
    }

    /// Ships everything.
    pub(crate) fn ship(&self) -> Shipped {
        self.ship_beyond(0)
    }

    /// Ships the ranges beyond the first `shipped`.
    pub(crate) fn ship_beyond(&self, shipped: u64) -> Shipped {
        let mut shipper = self.shipper(shipped);
        assert_eq!(shipper.ship(&mut looking()).unwrap(), Ended::Done);
        shipper.shipped().unwrap()
    }

    /// The answer to a query, in which `{db}` is the database.
    pub(crate) fn ask<T: DeserializeOwned>(&self, sql: &str) -> Vec<T> {
        let sql = sql.replace("{db}", self.form.database());
        self.server.lines(&format!("{sql} SETTINGS output_format_json_quote_64bit_integers = 0"), &[]).unwrap()
    }

    /// The one number that a query of `count() AS n` answers.
    pub(crate) fn count(&self, of: &str) -> u64 {
        let rows: Vec<std::collections::BTreeMap<String, u64>> = self.ask(&format!("SELECT count() AS n FROM {of}"));
        rows[0]["n"]
    }
}
