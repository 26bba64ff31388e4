//! An engine, a database of the bench's own in it, and a shipper to it. Called by the benches of ClickHouse.
use crate::stream::{GATEWAY, Stream};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use zenei_engine::Engine;
use zenei_store::clickhouse::{Ended, Go, Server, ServerAddress, ShipOptions, Shipper, Timeouts};
use zenei_store::disk::RealDisk;
use zenei_store::schema::{Form, Retention, apply};
use zenei_store::{Control, ParquetStore};

/// Long enough for simulated records, whose times recede further into the past each day.
const FOR_EVER: Retention = Retention {
    record: 20_000,
    operation: 20_000,
    motor_profile: 20_000,
    dead_letter: 20_000,
    gap: 20_000,
    decision: 20_000,
    cohort_hour: 20_000,
    feed: 20_000,
};

/// The server and the names of the tables.
#[derive(Debug)]
pub struct Ground {
    engine: &'static Engine,
    /// The server.
    pub server: Server,
    form: Form,
}

impl Ground {
    /// Tables in a database of their own; `None`, with a line on standard error, where there is no engine.
    pub fn new(database: &str) -> Option<Self> {
        let engine = Engine::for_test()?;
        let server = Server::new(&address(engine), Timeouts::default()).expect("a client can be made");
        let form = Form::new(database, None, FOR_EVER).expect("a good name");
        let ground = Self { engine, server, form };
        ground.execute("DROP DATABASE IF EXISTS {db}");
        apply(&ground.server, &ground.form).expect("the tables can be made");
        Some(ground)
    }

    /// The engine's process id; `None` for an external server, whose CPU time can't be read here.
    pub fn process_id(&self) -> Option<u32> {
        self.engine.process_id()
    }

    /// The engine's URL.
    pub fn url(&self) -> &str {
        self.engine.url()
    }

    /// The database.
    pub fn database(&self) -> &str {
        self.form.database()
    }

    /// Runs a statement in which `{db}` is the database.
    pub fn execute(&self, sql: &str) {
        let sql = sql.replace("{db}", self.form.database());
        self.server.execute(&sql, &[]).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// The rows of an answer to a query in which `{db}` is the database.
    pub fn ask<T: DeserializeOwned>(&self, sql: &str) -> Vec<T> {
        let sql = sql.replace("{db}", self.form.database());
        let sql = format!("{sql} SETTINGS output_format_json_quote_64bit_integers = 0");
        self.server.lines(&sql, &[]).unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    /// Ships a stream from its beginning; returns the number of records taken.
    pub fn ship(&self, stream: &Stream) -> u64 {
        let layout = stream.layout();
        let store = ParquetStore::open_read_only(Arc::new(RealDisk), &layout.parquet());
        let mut control = Control::in_memory().expect("a database in memory");
        let sealed = Control::open_read_only(&layout.control()).and_then(|control| control.checkpoint());
        let checkpoint = sealed.expect("a control database").expect("a checkpoint");
        let txn = control.begin().expect("a transaction");
        txn.checkpoint(&checkpoint).and_then(|()| txn.commit()).expect("a checkpoint can be written");
        let server = Server::new(&address(self.engine), Timeouts::default()).expect("a client can be made");
        let options = ShipOptions {
            gateway_id: GATEWAY.to_owned(),
            keep_ms: i64::MAX,
            max_rows: 50_000,
            memory: None,
            feed: false,
            mends: false,
        };
        let mut shipper = Shipper::new(store, control, server, self.form.clone(), options);
        assert_eq!(shipper.ship(&mut |_| Go::Stop).expect("the stream can be shipped"), Ended::Done);
        shipper.shipped().expect("a cursor").records
    }
}

fn address(engine: &Engine) -> ServerAddress {
    ServerAddress { url: engine.url().to_owned(), user: "default".to_owned(), password: String::new() }
}
