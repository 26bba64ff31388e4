//! The tail compared with a pipeline that received every record itself: state and anomalies are equal, in whatever
//! order shipments arrive and wherever the tail is killed.
use super::{Stopped, TailConfig, Worker};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use tokio::sync::watch;
use zenei_detect::{
    Anomaly, Batch, Desk, DeskError, Findings, Fleet, Heard, Pipeline, Portion, Row, Rules, Unreadable,
};
use zenei_kit::scattered;
use zenei_store::clickhouse::{EachHeard, Feed, GatewayProgress, Past, RecordsError, ServerError};
use zenei_store::control::{TailProgress, TailStep, Tailed};
use zenei_store::disk::SimDisk;
use zenei_store::parquet::ReadError;
use zenei_store::{Control, ParquetStore, SealPlan, Sealed, StoredBatch};
use zenei_wire::{
    Body, CentiCelsius, DeviceTime, EngineTime, GatewayTime, Milliamps, Millivolts, Name, Op, OpKind, OpResult, Record,
    State,
};

const LOCKS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const HOUR_MS: i64 = 3_600_000;
const DAYS: i64 = 40;

/// The records that a gateway receives in forty days: three locks of its own, and the other gateway's last lock a
/// moment later. One lock's friction grows each day. Some records come out of order, and some are never received here.
fn heard_by(gateway: &str) -> Vec<Heard<'static>> {
    let locks = if gateway == "gw-a" { 0..3 } else { 2..6 };
    let mut heard = Vec::new();
    for (hour, at) in (0..DAYS * 24).flat_map(|hour| locks.clone().map(move |at| (hour, at))) {
        let noise = scattered(hour as u64 * 7 + at as u64 * 3);
        let seq = hour as u32;
        let is_here =
            at != 2 || !scattered(noise + gateway.len() as u64 + u64::from(gateway == "gw-b")).is_multiple_of(9);
        if !is_here {
            continue;
        }
        let rub = if at == 2 || at == 4 { 1.0 + 0.002 * (hour - 300).max(0) as f64 } else { 1.0 };
        let body = if hour % 3 == 0 {
            let temp_c = Some(CentiCelsius(1_800 + (hour % 24 * 20) as i16));
            Body::State(State { battery_mv: Some(Millivolts(2_900)), temp_c, ..State::default() })
        } else {
            Body::Op(Op {
                duration_ms: Some((800.0 * rub) as u16 + (noise % 40) as u16),
                peak_ma: Some(Milliamps(600)),
                mean_ma: Some(Milliamps(300 + (noise % 10) as u16)),
                battery_min_mv: Some(Millivolts(2_400 + (noise % 20) as u16)),
                ..Op::of(if hour % 2 == 0 { OpKind::Lock } else { OpKind::Unlock }, OpResult::Ok)
            })
        };
        // Up to an hour and a half late: some come behind their successors.
        let late_ms = if noise.is_multiple_of(11) { (noise % 5_400_000) as i64 } else { (noise % 50_000) as i64 };
        let at_ms = hour * HOUR_MS + at as i64 * 1_000 + late_ms + i64::from(gateway == "gw-b") * 300;
        heard.push(said(LOCKS[at], seq, hour * HOUR_MS, at_ms, body));
    }
    heard.sort_by_key(|heard| heard.heard_at);
    (0..).zip(&mut heard).for_each(|(offset, heard)| heard.offset = offset);
    heard
}

fn said(lock: &'static str, seq: u32, ts_ms: i64, heard_ms: i64, body: Body<'static>) -> Heard<'static> {
    let record = Record {
        ts: DeviceTime(ts_ms),
        boot: Some(1),
        seq: Some(seq),
        model: None,
        hw_rev: None,
        lot: None,
        fw: None,
        service: None,
        gw: None,
        client_version: None,
        uptime_s: None,
        body,
        unknown_fields: 0,
    };
    Heard {
        site: Name::new("tokyo-01").unwrap(),
        device: Name::new(lock).unwrap(),
        record,
        identity: 0,
        heard_at: GatewayTime(heard_ms),
        offset: 0,
        index: 0,
        authenticated: true,
    }
}

fn end() -> EngineTime {
    EngineTime((DAYS * 24 + 4) * HOUR_MS)
}

/// A range that a gateway sealed and shipped.
#[derive(Clone)]
struct Range {
    gateway: &'static str,
    to: Sealed,
    rows: Vec<Row>,
}

/// The shipments of a gateway: the rows of its own intake, sealed every few hours.
fn shipped_by(gateway: &'static str, fleet: &mut Fleet) -> Vec<Range> {
    let (mut pipeline, mut batch, mut findings) = (Pipeline::new(None), Batch::default(), Findings::default());
    let mut ranges = Vec::new();
    let heard = heard_by(gateway);
    let mut seal = |pipeline: &Pipeline, batch: &mut Batch, to: Sealed| {
        let renamed = |row: &Row| Row {
            device: fleet.number(pipeline.fleet().device_id(row.device)),
            site: fleet.intern(pipeline.fleet().word(row.site).unwrap()),
            ..row.clone()
        };
        ranges.push(Range { gateway, to, rows: batch.rows.iter().map(renamed).collect() });
        batch.clear();
    };
    for part in heard.chunks(41) {
        let last = part.last().unwrap();
        let to = Sealed { offset: last.offset + 1, advanced_to: EngineTime(last.heard_at.ms()) };
        pipeline.take(Portion { heard: part, ..Portion::default() }, &mut batch, &mut findings);
        pipeline.advance(to.advanced_to, &mut batch, &mut findings);
        seal(&pipeline, &mut batch, to);
    }
    pipeline.advance(end(), &mut batch, &mut findings);
    seal(&pipeline, &mut batch, Sealed { offset: heard.len() as u64, advanced_to: end() });
    ranges
}

/// A feed of which a part has arrived. It may fail, and its memory may be limited to a time.
#[derive(Clone)]
struct FakeFeed {
    fleet: Arc<Fleet>,
    ranges: Arc<Vec<Range>>,
    /// How many of each gateway's ranges have arrived.
    come: Arc<[AtomicU64; 2]>,
    fails: Arc<Mutex<Vec<u64>>>,
    asked: Arc<AtomicU64>,
    by_time_alone: bool,
}

impl FakeFeed {
    fn new() -> Self {
        let mut fleet = Fleet::new();
        let mut ranges = shipped_by("gw-a", &mut fleet);
        ranges.extend(shipped_by("gw-b", &mut fleet));
        Self {
            fleet: Arc::new(fleet),
            ranges: Arc::new(ranges),
            come: Arc::default(),
            fails: Arc::default(),
            asked: Arc::default(),
            by_time_alone: false,
        }
    }

    fn come(&self) -> Vec<&Range> {
        let mut seen = [0, 0];
        let is_here = |range: &&Range| {
            let gateway = usize::from(range.gateway == "gw-b");
            seen[gateway] += 1;
            seen[gateway] <= self.come[gateway].load(Ordering::SeqCst)
        };
        self.ranges.iter().filter(is_here).collect()
    }

    fn all_have_come(&self) -> bool {
        self.come().len() == self.ranges.len()
    }

    /// The ranges that have arrived before the step with this number: of one gateway always a bit more, of the other
    /// according to `other`.
    fn reveal(&self, step: u64, other: impl Fn(u64) -> u64) {
        self.come[0].fetch_max(1 + step * 3 + scattered(step) % 5, Ordering::SeqCst);
        self.come[1].fetch_max(other(step), Ordering::SeqCst);
    }
}

impl Feed for FakeFeed {
    fn told(&self, known: &BTreeMap<String, Sealed>, limit: u64) -> Result<Vec<GatewayProgress>, RecordsError> {
        let mut told: Vec<GatewayProgress> = Vec::new();
        for range in self.come() {
            if known.get(range.gateway).is_none_or(|known| range.to > *known) {
                let first = range.rows.iter().map(|row| row.heard_at).min();
                let heard_from = first.unwrap_or(GatewayTime(range.to.advanced_to.ms()));
                let (gateway, rows) = (range.gateway.to_owned(), range.rows.len() as u64);
                told.push(GatewayProgress { gateway, to: range.to, rows, heard_from });
            }
        }
        told.truncate(usize::try_from(limit).unwrap());
        Ok(told)
    }

    fn nth(
        &self,
        known: &BTreeMap<String, Sealed>,
        after: Option<EngineTime>,
        up_to: EngineTime,
        rows: u64,
    ) -> Result<Option<GatewayTime>, RecordsError> {
        let mut times: Vec<i64> = Vec::new();
        for range in self.come().iter().filter(|range| known.get(range.gateway).is_some_and(|known| range.to <= *known))
        {
            let within = |at: &i64| *at <= up_to.ms() && after.is_none_or(|after| *at > after.ms());
            times.extend(range.rows.iter().map(|row| row.heard_at.ms()).filter(within));
        }
        times.sort_unstable();
        Ok(times.get(usize::try_from(rows - 1).unwrap()).map(|at| GatewayTime(*at)))
    }

    fn rows(
        &self,
        before: &Tailed,
        step: &TailStep,
        each: &mut dyn FnMut(&StoredBatch) -> Result<(), ReadError>,
    ) -> Result<(), RecordsError> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        let mut after = before.clone();
        after.take(step);
        let mut rows = Vec::new();
        for range in self.come() {
            let known = |tailed: &Tailed| tailed.gateways.get(range.gateway).is_some_and(|to| range.to <= *to);
            for row in &range.rows {
                let at = Some(EngineTime(row.heard_at.ms()));
                let in_slice = at > before.up_to && at <= step.up_to && (self.by_time_alone || known(&after));
                let behind = at <= before.up_to && known(&after) && !known(before) && !self.by_time_alone;
                if in_slice || behind {
                    rows.push((row.heard_at, range.gateway, row.offset, row.index, row.clone()));
                }
            }
        }
        rows.sort_by_key(|row| (row.0, row.1, row.2, row.3));
        let rows: Vec<Row> = rows.into_iter().map(|row| row.4).collect();
        let store = ParquetStore::open(Arc::new(SimDisk::new(0)), Path::new("/feed")).unwrap();
        let plan = SealPlan { from: 0, to: Sealed { offset: 1, advanced_to: EngineTime(1) } };
        store.seal(&plan, &self.fleet, &rows, &[], &[], "gw").unwrap();
        let breaks = self.fails.lock().unwrap().contains(&number);
        for batch in store.batches(None).unwrap() {
            each(&batch.unwrap())?;
        }
        if breaks {
            return Err(RecordsError::Server(ServerError::Unknown { text: "it broke off".to_owned() }));
        }
        Ok(())
    }

    fn unreadable(&self, _: &Tailed, _: &TailStep) -> Result<Vec<Unreadable>, RecordsError> {
        Ok(Vec::new())
    }

    fn past(&self, _: Past, _: &mut EachHeard<'_>) -> Result<Option<EngineTime>, RecordsError> {
        Ok(None)
    }
}

/// Stores each anomaly once, by id and time (a lasting one is reported again later), and demands that a repeated one is
/// the same.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<(Vec<Anomaly>, u64)>>);

impl Desk for Kept {
    fn take(&mut self, _: EngineTime, findings: &Findings, _: &Pipeline) -> Result<(), DeskError> {
        let mut kept = self.0.lock().unwrap();
        for anomaly in &findings.anomalies {
            match kept.0.iter().find(|known| (known.id, known.at) == (anomaly.id, anomaly.at)) {
                Some(known) => {
                    assert_eq!(known, anomaly);
                    kept.1 += 1;
                }
                None => kept.0.push(anomaly.clone()),
            }
        }
        Ok(())
    }
}

/// A desk's machine.
struct Machine {
    folder: tempfile::TempDir,
    disk: SimDisk,
    feed: FakeFeed,
    kept: Kept,
}

#[derive(Debug, PartialEq)]
struct Outcome {
    anomalies: Vec<Anomaly>,
    state: Vec<u8>,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, disk: SimDisk::new(0), feed: FakeFeed::new(), kept: Kept::default() }
    }

    /// A worker that ends where it would wait.
    fn worker(&self) -> Option<Worker<FakeFeed>> {
        let rules = Rules::embedded().unwrap();
        let digest = rules.digest();
        let config = TailConfig {
            control: Control::open(&self.folder.path().join("control.db")).unwrap(),
            disk: Arc::new(self.disk.clone()),
            snapshots: "/tail".into(),
            pipeline: Box::new(move |bytes| match bytes {
                Some(bytes) => Pipeline::restore(bytes, Some(rules.clone())),
                None => Ok(Pipeline::new(Some(rules.clone()))),
            }),
            rules: digest,
            registry: Vec::new(),
            history_ms: 0,
        };
        let shown = watch::channel(TailProgress::default()).0;
        Worker::recover(config, self.feed.clone(), Box::new(self.kept.clone()), &at_once(), shown).ok()
    }

    /// Runs to the end; it is killed before each of these steps, without a checkpoint.
    fn run(&self, other: impl Fn(u64) -> u64 + Copy, kills: &[u64]) -> Outcome {
        let mut worker = self.worker();
        let mut killed = Vec::new();
        loop {
            let Some(mut alive) = worker.take() else {
                worker = self.worker();
                continue;
            };
            let number = alive.at.next_step;
            if kills.contains(&number) && !killed.contains(&number) {
                killed.push(number);
                continue;
            }
            if number % 13 == 12 {
                alive.checkpoint().unwrap();
            }
            self.feed.reveal(number, other);
            match alive.step(&at_once()) {
                Ok(false) if self.feed.all_have_come() => {
                    let state = alive.pipeline.snapshot().unwrap();
                    return Outcome { anomalies: self.kept.0.lock().unwrap().0.clone(), state };
                }
                // A step that finds nothing has no number: the next ranges must arrive all the same.
                Ok(false) => {
                    self.feed.come[0].fetch_add(1, Ordering::SeqCst);
                    self.feed.come[1].fetch_add(1, Ordering::SeqCst);
                    worker = Some(alive);
                }
                Ok(true) => worker = Some(alive),
                Err(_) => {}
            }
        }
    }
}

/// A stop that was requested already: every wait ends.
fn at_once() -> Stopped {
    Stopped(mpsc::channel().1)
}

/// One gateway that received everything itself, in the same order.
fn direct() -> Outcome {
    let mut heard: Vec<(&str, Heard<'_>)> = heard_by("gw-a").into_iter().map(|heard| ("gw-a", heard)).collect();
    heard.extend(heard_by("gw-b").into_iter().map(|heard| ("gw-b", heard)));
    heard.sort_by_key(|(gateway, heard)| (heard.heard_at, *gateway, heard.offset));
    let heard: Vec<Heard<'_>> = heard.into_iter().map(|(_, heard)| heard).collect();
    let (mut batch, mut findings) = (Batch::default(), Findings::default());
    let mut pipeline = Pipeline::new(Some(Rules::embedded().unwrap()));
    pipeline.take(Portion { heard: &heard, ..Portion::default() }, &mut batch, &mut findings);
    pipeline.advance(end().plus_ms(-zenei_detect::intake::HOLE_WAIT_MS), &mut batch, &mut findings);
    assert!(batch.duplicates > 500 && batch.late > 10, "{} {}", batch.duplicates, batch.late);
    Outcome { anomalies: findings.anomalies, state: pipeline.snapshot().unwrap() }
}

/// The other gateway ships now and then, and was there from the start.
fn beside(step: u64) -> u64 {
    1 + step * 4 - step * 4 % 10
}

/// The other gateway appears when many of the first one's records are taken.
fn later(step: u64) -> u64 {
    if step < 15 { 0 } else { (step - 15) * 9 }
}

#[test]
fn two_gateways_records_give_what_one_gateway_that_heard_all_of_them_gives() {
    let direct = direct();
    assert!(direct.anomalies.len() > 2, "{:?}", direct.anomalies);
    let tailed = Machine::new().run(beside, &[]);
    assert_eq!(tailed.anomalies, direct.anomalies);
    assert!(tailed.state == direct.state, "the states differ");
}

#[test]
fn kills_anywhere_change_neither_anomalies_nor_state_also_where_a_gateway_comes_late() {
    for other in [beside, later] {
        let undisturbed = Machine::new().run(other, &[]);
        assert!(undisturbed.anomalies.len() > 2);
        let machine = Machine::new();
        *machine.feed.fails.lock().unwrap() = (0..8).map(|number| number * 5 + scattered(number) % 4).collect();
        let kills: Vec<u64> = (0..8).map(|number| number * 4 + scattered(number) % 4).collect();
        let disturbed = machine.run(other, &kills);
        assert_eq!(disturbed.anomalies, undisturbed.anomalies);
        assert!(disturbed.state == undisturbed.state, "the states differ");
        assert!(machine.kept.0.lock().unwrap().1 > 0, "no anomaly came again: the kills were none");
    }
}

#[test]
fn a_cursor_over_time_alone_skips_what_comes_behind_and_is_caught() {
    let right = Machine::new().run(later, &[]);
    let mut machine = Machine::new();
    machine.feed.by_time_alone = true;
    assert!(machine.run(later, &[]).state != right.state, "the negative control of the tests above");
}
