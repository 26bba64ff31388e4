//! The driver over a simulated disk that loses power at every step.
use super::{Driver, Parts, Progress, Saved};
use crate::driver::SealLimits;
use crate::spool::{AppenderQueue, DurableUpTo, Ignored, queue};
use crate::{GatewayConfig, MqttConfig};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use zenei_detect::Pipeline;
use zenei_kit::QuietDesk;
use zenei_store::disk::{Loss, SimDisk};
use zenei_store::parquet::StoredRecord;
use zenei_store::{
    Control, DeadLetter, Layout, Ledger, ParquetStore, PipelineMaker, Sealed, Source, Spool, SpoolMessage, SpoolOptions,
};
use zenei_wire::{EngineTime, GatewayTime};

/// Messages between two seals.
const PORTION: u64 = 36;

/// The received messages: time, topic, payload.
fn heard() -> Vec<(i64, String, String)> {
    let mut all = Vec::new();
    for n in 0..60_i64 {
        let device = n % 4;
        let topic = format!("bitlock/v1/tokyo-01/BL{device}/{}", if n % 3 == 0 { "error" } else { "state" });
        let seq = n / 4;
        let body = match n % 15 {
            13 => "no record".to_owned(),
            7 => format!(r#"[{{"ts":{n},"boot":1,"seq":{seq},"code":"jam"}},{{"boot":1}}]"#),
            _ => format!(r#"{{"ts":{n},"boot":1,"seq":{seq},"code":"jam","uptime_s":1}}"#),
        };
        all.push((1_000 * n + if n > 40 { 200_000 } else { 0 }, topic.clone(), body.clone()));
        if n % 10 == 9 {
            all.push((1_000 * n + if n > 40 { 200_000 } else { 0 }, topic, body));
        }
    }
    all.push((300_000, "bitlock/v1/tokyo-01/BL9".to_owned(), "{}".to_owned()));
    // A lock loses its counters, another one gets a new board: six records, of which two use numbers of before.
    for seq in 2..7_i64 {
        let at_ms = 301_000 + 1_000 * seq;
        let body = format!(r#"{{"ts":{at_ms},"boot":1,"seq":{seq},"code":"jam"}}"#);
        all.push((at_ms, "bitlock/v1/tokyo-01/BL2/error".to_owned(), body));
    }
    let installed = r#"{"ts":309000,"boot":1,"seq":0,"event":"installed"}"#.to_owned();
    all.push((309_000, "bitlock/v1/tokyo-01/BL0/event".to_owned(), installed));
    all
}

/// A machine whose disk can lose its power and whose control database is on a real one.
struct World {
    disk: SimDisk,
    folder: tempfile::TempDir,
}

/// The state at the end.
#[derive(Debug, PartialEq)]
struct Outcome {
    rows: Vec<StoredRecord>,
    dead: Vec<DeadLetter>,
    ledger: Ledger,
    state: Vec<u8>,
}

impl World {
    fn new(seed: u64) -> Self {
        let world = Self { disk: SimDisk::new(seed), folder: tempfile::tempdir().unwrap() };
        let mut spool = world.spool();
        for group in heard().chunks(7) {
            let messages: Vec<SpoolMessage<'_>> = group
                .iter()
                .map(|(heard_at, topic, payload)| SpoolMessage {
                    heard_at: GatewayTime(*heard_at),
                    source: Source::Mqtt,
                    authenticated: true,
                    topic,
                    payload: payload.as_bytes(),
                })
                .collect();
            spool.append_group(&messages).unwrap();
        }
        spool.close().unwrap();
        world
    }

    fn layout(&self) -> Layout {
        Layout::new(Path::new("/state"))
    }

    fn control(&self) -> Control {
        Control::open(&self.folder.path().join("control.db")).unwrap()
    }

    fn spool(&self) -> Spool {
        let options = SpoolOptions { segment_bytes: 1 << 10, ..SpoolOptions::default() };
        Spool::open(Arc::new(self.disk.clone()), &self.layout().spool(), options).unwrap().0
    }

    fn driver(&self) -> Result<(Driver, AppenderQueue), super::RecoverError> {
        let durable = DurableUpTo::new(0, GatewayTime(0));
        // A seal that fails is not retried.
        durable.change(|view| view.closed = true);
        self.driver_before(Arc::new(durable))
    }

    fn driver_before(&self, durable: Arc<DurableUpTo>) -> Result<(Driver, AppenderQueue), super::RecoverError> {
        let control = self.control();
        let saved = Saved::read(&control)?;
        let (inlet, commands) = queue();
        let pipeline: PipelineMaker =
            Box::new(|bytes| bytes.map_or_else(|| Ok(Pipeline::new(None)), |bytes| Pipeline::restore(bytes, None)));
        let (host, client_id) = ("broker".to_owned(), "gw".to_owned());
        let mqtt = Some(MqttConfig { host, port: 1_883, client_id, topics: Vec::new(), login: None });
        let seal = SealLimits { rows: 1, dead_letter_bytes: 1, age: Duration::from_secs(3_600), idle_ms: None };
        let parts = Parts {
            config: GatewayConfig { mqtt, seal, ..GatewayConfig::new("/state", "gw", pipeline) },
            disk: Arc::new(self.disk.clone()),
            layout: self.layout(),
            control,
            desk: Box::new(QuietDesk),
            radio: Arc::default(),
            durable,
            inlet,
            ignored: Arc::new(Ignored::default()),
            published: watch::channel(Ledger::default()).0,
            progress: watch::channel(Progress::default()).0,
        };
        Ok((Driver::recover(parts, saved)?, commands))
    }

    /// One run of the process: recovers, processes everything in portions, seals after each. Returns the error, if one
    /// occurs.
    fn live(&self) -> Result<Outcome, String> {
        let text = |error: &dyn std::error::Error| zenei_store::with_causes(error);
        let mut spool = {
            let options = SpoolOptions { segment_bytes: 1 << 10, ..SpoolOptions::default() };
            let opened = Spool::open(Arc::new(self.disk.clone()), &self.layout().spool(), options);
            opened.map_err(|error| text(&error))?.0
        };
        let (mut driver, commands) = self.driver().map_err(|error| text(&error))?;
        driver.finish_plan().map_err(|error| text(&error))?;
        let end = heard().len() as u64;
        for portion in 1..=end.div_ceil(PORTION) {
            let mut view = driver.durable.view();
            view.end = (portion * PORTION).min(end);
            driver.process(view).map_err(|error| text(&error))?;
            if let Some(before) = commands.released() {
                spool.release(before).map_err(|error| text(&error))?;
            }
            driver.publish();
            driver.ledger.balance().unwrap();
        }
        // Time alone releases the records that still wait at a hole.
        driver.advance(EngineTime(600_000)).map_err(|error| text(&error))?;
        driver.seal().map_err(|error| text(&error))?;
        driver.publish();
        driver.ledger.balance().unwrap();
        let state = driver.pipeline.snapshot().unwrap();
        let store = ParquetStore::open_read_only(Arc::new(self.disk.clone()), &self.layout().parquet());
        let rows = store.read_all(None).unwrap().collect::<Result<_, _>>().unwrap();
        let dead = store.dead_letters(None).unwrap().collect::<Result<_, _>>().unwrap();
        Ok(Outcome { rows, dead, ledger: driver.ledger.clone(), state })
    }
}

#[test]
fn an_undisturbed_run_stores_each_record_once_and_counts_the_rest() {
    let outcome = World::new(1).live().unwrap();
    let ledger = &outcome.ledger;
    assert_eq!(ledger.received_total(), 60 + 6 + 4 + 1 + 6);
    assert_eq!((ledger.duplicate, ledger.dead_letter_total(), ledger.pending), (6, 4 + 4 + 1, 0));
    assert_eq!((ledger.stored, outcome.rows.len(), outcome.dead.len()), (62, 62, 9));
    assert_eq!((ledger.reused, ledger.lives), (2, 2));
}

#[test]
fn power_lost_at_any_step_changes_neither_rows_nor_counts_nor_state() {
    let undisturbed = World::new(1).live().unwrap();
    let mut crashes = 0;
    for calls in 0.. {
        let world = World::new(calls);
        world.disk.power_off_after(calls);
        let first = world.live();
        world.disk.crash(Loss::Drawn);
        if first.is_ok() {
            break;
        }
        crashes += 1;
        // At times a second crash, during recovery.
        if calls % 3 == 0 {
            world.disk.power_off_after(calls % 7);
            drop(world.live());
            world.disk.crash(Loss::Drawn);
        }
        assert_eq!(world.live().as_ref(), Ok(&undisturbed), "after {calls} calls");
    }
    assert!(crashes > 20, "only {crashes} places to crash at");
}

#[test]
fn a_disk_whose_syncs_do_nothing_is_caught() {
    let undisturbed = World::new(1).live().unwrap();
    let caught = |calls: u64| {
        let world = World::new(calls);
        world.disk.ignore_syncs();
        world.disk.power_off_after(calls);
        drop(world.live());
        world.disk.crash(Loss::All);
        world.live().as_ref() != Ok(&undisturbed)
    };
    assert!((10..40).any(caught), "the negative control of the test above");
}

#[test]
fn a_plan_that_does_not_go_on_from_the_checkpoint_is_refused() {
    let world = World::new(1);
    let mut control = world.control();
    let txn = control.begin().unwrap();
    let to = Sealed { offset: 9, advanced_to: EngineTime(1) };
    txn.plan_seal(&zenei_store::SealPlan { from: 5, to }).unwrap();
    txn.commit().unwrap();
    drop(control);
    let error = world.driver().err().unwrap().to_string();
    assert_eq!(error, "a range from 5 on was to be sealed, but the checkpoint stands at 0");
}

#[test]
fn a_store_without_its_control_database_is_refused_and_nothing_of_it_is_removed() {
    let mut world = World::new(1);
    let stored = world.live().unwrap();
    let kept = world.folder;
    let held = |world: &World| {
        let folders = ["records", "dead_letters", "gaps"].map(|table| world.layout().parquet().join(table));
        let list = |folder: &std::path::PathBuf| zenei_store::disk::Disk::list(&world.disk, folder).unwrap();
        let states = zenei_store::disk::Disk::list(&world.disk, &world.layout().snapshots()).unwrap();
        (folders.iter().map(list).collect::<Vec<_>>(), states)
    };
    world.folder = tempfile::tempdir().unwrap();
    let before = held(&world);
    let files: usize = before.0.iter().map(Vec::len).sum();
    let error = world.driver().err().unwrap().to_string();
    let expected = format!("/state/parquet holds {files} sealed files beyond the checkpoint, which stands at offset 0");
    assert!(error.starts_with(&expected) && error.contains("/state/control.db is missing"), "{error}");
    assert_eq!(held(&world), before);
    // With its own control database, it continues.
    world.folder = kept;
    assert_eq!(world.live().unwrap(), stored);
}

#[test]
fn what_waits_in_the_spool_after_a_restart_is_shown_as_pending_before_it_is_read() {
    let world = World::new(1);
    let left = heard().len() as u64;
    let durable = Arc::new(DurableUpTo::new(left, GatewayTime(0)));
    let (mut driver, _commands) = world.driver_before(Arc::clone(&durable)).unwrap();
    let shown = |driver: &Driver| {
        let ledger = driver.published.borrow().clone();
        ledger.balance().unwrap();
        (ledger.pending, ledger.received_total())
    };
    assert_eq!(shown(&driver), (left, left));
    // Meanwhile a hub has published two more.
    durable.change(|view| {
        view.end = left + 2;
        view.appended[Source::Ingress] = 2;
    });
    driver.publish();
    assert_eq!(driver.published.borrow().received, [(Source::Mqtt, left), (Source::Ingress, 2)].into());
    assert_eq!(shown(&driver), (left + 2, left + 2));
    driver.step(left).unwrap();
    driver.publish();
    let ledger = driver.published.borrow().clone();
    ledger.balance().unwrap();
    assert_eq!(driver.next, left);
    assert_eq!(ledger.received, [(Source::Mqtt, 77), (Source::Ingress, 2)].into(), "arrays are counted by record now");
    assert_eq!(driver.ledger.received_total(), 77, "the checkpoint counts what was read");
}

#[test]
fn time_in_which_nothing_is_heard_is_sealed_where_that_is_wished() {
    for (idle_ms, expected) in [(Some(60_000), 1), (None, 0)] {
        let world = World { disk: SimDisk::new(1), folder: tempfile::tempdir().unwrap() };
        world.spool().close().unwrap();
        let (mut driver, _commands) = world.driver().unwrap();
        driver.limits.idle_ms = idle_ms;
        for now_ms in [59_999, 60_000] {
            driver.advance(EngineTime(now_ms)).unwrap();
            driver.seal().unwrap();
        }
        driver.seal().unwrap();
        let sealed = driver.control.checkpoint().unwrap().map(|checkpoint| checkpoint.sealed);
        let idle = Sealed { offset: 0, advanced_to: EngineTime(60_000) };
        assert_eq!(sealed, (expected == 1).then_some(idle));
        let states = zenei_store::disk::Disk::list(&world.disk, &world.layout().snapshots()).unwrap_or_default();
        assert_eq!(states.len(), expected);
        driver.ledger.balance().unwrap();
    }
}

#[test]
fn a_full_disk_holds_the_seal_up_until_there_is_room() {
    let world = World::new(1);
    let undisturbed = World::new(1).live().unwrap();
    let (mut driver, _commands) = world.driver().unwrap();
    let durable = Arc::clone(&driver.durable);
    durable.change(|view| (view.closed, view.end) = (false, heard().len() as u64));
    world.disk.set_capacity(Some(0));
    let shown = driver.published.subscribe();
    let driving = std::thread::spawn(move || {
        driver.process(driver.durable.view()).unwrap();
        driver.advance(EngineTime(600_000)).unwrap();
        driver.seal().unwrap();
        driver.ledger.clone()
    });
    let started = zenei_store::clock::Elapsed::start();
    while world.control().seal_plan().unwrap().is_none() {
        assert!(started.so_far() < crate::testing::BOUND, "no range was planned");
        std::thread::yield_now();
    }
    // Messages received while the seal is retried show as pending.
    durable.change(|view| view.end += 1_000);
    while !shown.borrow().balance().is_ok_and(|()| shown.borrow().pending >= 1_000) {
        assert!(started.so_far() < crate::testing::BOUND, "the lag stands still");
        std::thread::yield_now();
    }
    assert!(!driving.is_finished());
    world.disk.set_capacity(None);
    let ledger = driving.join().unwrap();
    assert_eq!(
        (ledger.stored, ledger.received_total()),
        (undisturbed.ledger.stored, undisturbed.ledger.received_total())
    );
}
