//! Random streams of a few locks, each with troubles of its own, as the engine shows them to a detector; and what the fast detectors say of them.
//! Numbers are drawn, not simulated: what matters here is that fast and slow see the same.
use crate::anomaly::{Anomaly, Evidence};
use crate::batch::{Labels, Row};
use crate::detect::lock::{Lock, Operation, RecordRef};
use crate::detect::profile::Profiles;
use crate::detect::{Detector, Glance};
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::line::Findings;
use crate::rules::{Rule, Rules};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use std::borrow::Cow;
use zenei_wire::{
    Body, Bytes, CentiCelsius, DeviceTime, EngineTime, ErrorReport, Event, EventKind, GatewayTime, Milliamps,
    Millivolts, Op, OpKind, OpResult, Percent, Profile, ResetReason, State,
};

const HOUR_MS: i64 = 3_600_000;
const LOCKS: usize = 12;
const DAYS: i64 = 26;
/// Every stream begins on a day's border, far from 0.
const START_MS: i64 = 20_000 * 24 * HOUR_MS;

/// A record with what the engine knows of its lock by then.
pub(super) struct Said {
    pub(super) device: DeviceIx,
    pub(super) lock: Lock,
    pub(super) row: Row,
    pub(super) operation: Option<Operation>,
    pub(super) code: Sym,
    pub(super) hole: bool,
    pub(super) record: RecordRef,
    pub(super) now_ms: i64,
}

/// What a detector is told, in order.
pub(super) enum Moment {
    Said(Box<Said>),
    /// An hour ends; how the locks stand.
    Close(EngineTime, Vec<Lock>),
}

/// A stream.
pub(super) struct Stream {
    pub(super) fleet: Fleet,
    pub(super) moments: Vec<Moment>,
}

/// A finding, as far as fast and slow must agree.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) scope: String,
    pub(super) at_ms: i64,
    pub(super) since_ms: i64,
    pub(super) numbers: [f64; 3],
    pub(super) evidence: Vec<(String, u32, u32)>,
}

impl Found {
    /// A finding about one lock, with its value, baseline and threshold.
    pub(super) fn of(
        stream: &Stream,
        device: DeviceIx,
        at_ms: i64,
        since_ms: i64,
        numbers: [f64; 3],
        records: &[RecordRef],
    ) -> Self {
        let scope = stream.fleet.device_id(device).to_owned();
        let evidence = records.iter().map(|record| (scope.clone(), record.boot, record.seq)).collect();
        Self { scope, at_ms, since_ms: since_ms.min(at_ms - 1), numbers, evidence }
    }

    fn fast(anomaly: &Anomaly) -> Self {
        let of = |record: &Evidence| (record.device_id.clone(), record.boot, record.seq);
        Self {
            scope: anomaly.scope.value.clone(),
            at_ms: anomaly.at.ms(),
            since_ms: anomaly.at.ms() - anomaly.window_ms,
            numbers: [anomaly.value, anomaly.baseline, anomaly.threshold],
            evidence: anomaly.evidence.iter().map(of).collect(),
        }
    }

    fn agrees(&self, other: &Self) -> bool {
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 2e-3 * (1.0 + a.abs().max(b.abs()));
        (&self.scope, self.at_ms, self.since_ms, &self.evidence)
            == (&other.scope, other.at_ms, other.since_ms, &other.evidence)
            && self.numbers.iter().zip(&other.numbers).all(near)
    }
}

/// On random streams, the fast detector of this embedded rule must say what the slow one says; over all streams they must say something.
pub(super) fn agree(rule: &str, slow: impl Fn(&Rule, &Stream) -> Vec<Found>) {
    let rules = Rules::embedded().unwrap();
    let rule = rules.get(rule).unwrap();
    // Fixed, so that no run meets a sum that single precision puts on the other side of its limit.
    let config = ProptestConfig {
        cases: 12,
        max_shrink_iters: 0,
        rng_seed: RngSeed::Fixed(4),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let said = std::cell::Cell::new(0);
    let run = TestRunner::new(config).run(&any::<u64>(), |seed| {
        let stream = stream(seed);
        let fast = fast(rule, &stream);
        let mut slow = slow(rule, &stream);
        slow.sort_by(|a, b| (a.at_ms, &a.scope).cmp(&(b.at_ms, &b.scope)));
        said.set(said.get() + slow.len());
        for at in 0..fast.len().max(slow.len()) {
            let both = (fast.get(at), slow.get(at));
            let agrees = both.0.zip(both.1).is_some_and(|(fast, slow)| fast.agrees(slow));
            prop_assert!(agrees, "seed {seed}, finding {at}: fast and slow say {both:#?}");
        }
        Ok(())
    });
    run.unwrap();
    assert!(said.get() > 0, "no stream has anything to find");
}

fn fast(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (mut detector, mut findings) = (Detector::new(rule), Findings::default());
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => detector.row(&Glance {
                device: said.device,
                lock: &said.lock,
                row: &said.row,
                operation: said.operation.as_ref(),
                code: said.code,
                hole: said.hole,
                record: said.record,
                now_ms: said.now_ms,
            }),
            Moment::Close(now, locks) => detector.close(*now, locks, &stream.fleet, &mut findings),
        }
    }
    let mut found: Vec<Found> = findings.anomalies.iter().map(Found::fast).collect();
    found.sort_by(|a, b| (a.at_ms, &a.scope).cmp(&(b.at_ms, &b.scope)));
    found
}

/// Random numbers (Knuth's multiplier, high bits).
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn gauss(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn is(&mut self, chance: f64) -> bool {
        self.uniform() < chance
    }

    /// From when a lock has a trouble, days; most have none.
    fn trouble(&mut self) -> f64 {
        if self.is(0.3) { 6.0 + 12.0 * self.uniform() } else { f64::INFINITY }
    }
}

/// What a lock is like: from when it has which trouble.
struct Character {
    rubs: f64,
    ages: f64,
    wears: f64,
    jams: f64,
    restarts: f64,
    leaks: f64,
    drains: f64,
    errs: f64,
    clock: f64,
    loses: f64,
    falls_silent: f64,
    lacks_field: f64,
    updated: f64,
    buggy: bool,
}

fn character(dice: &mut Dice, buggy: bool) -> Character {
    Character {
        rubs: dice.trouble(),
        ages: dice.trouble(),
        wears: dice.trouble(),
        jams: dice.trouble(),
        restarts: dice.trouble(),
        leaks: dice.trouble(),
        drains: dice.trouble(),
        errs: dice.trouble(),
        clock: dice.trouble(),
        loses: dice.trouble(),
        falls_silent: dice.trouble(),
        lacks_field: dice.trouble(),
        updated: if dice.is(0.5) { 8.0 } else { f64::INFINITY },
        buggy,
    }
}

/// A stream of [`DAYS`] days.
fn stream(seed: u64) -> Stream {
    let mut dice = Dice(seed);
    let mut made =
        Making { fleet: Fleet::new(), profiles: Profiles::default(), locks: Vec::new(), moments: Vec::new() };
    // Of half the streams the new version is a bad one.
    let buggy = dice.is(0.5);
    let mut making: Vec<OneLock> = (0..LOCKS).map(|at| OneLock::new(at, character(&mut dice, buggy))).collect();
    for hour in 0..DAYS * 24 {
        for lock in &mut making {
            lock.hour(hour, &mut dice, &mut made);
        }
        made.moments.push(Moment::Close(EngineTime(START_MS + (hour + 1) * HOUR_MS), made.locks.clone()));
    }
    Stream { fleet: made.fleet, moments: made.moments }
}

/// What the engine keeps between records.
struct Making {
    fleet: Fleet,
    profiles: Profiles,
    locks: Vec<Lock>,
    moments: Vec<Moment>,
}

struct OneLock {
    at: usize,
    of: Character,
    boot: u32,
    seq: u32,
    boot_hour: i64,
    reset: ResetReason,
}

impl OneLock {
    fn new(at: usize, of: Character) -> Self {
        Self { at, of, boot: 1, seq: 0, boot_hour: -100, reset: ResetReason::PowerOn }
    }

    fn hour(&mut self, hour: i64, dice: &mut Dice, made: &mut Making) {
        let day = hour as f64 / 24.0;
        let silent = (self.of.falls_silent..self.of.falls_silent + 4.0).contains(&day) || dice.is(0.02);
        if dice.is(if day >= self.of.restarts { 0.1 } else { 0.002 }) {
            (self.boot, self.seq, self.boot_hour) = (self.boot + 1, 0, hour);
            self.reset = if dice.is(0.7) { ResetReason::Watchdog } else { ResetReason::Brownout };
        }
        if silent {
            return;
        }
        if dice.is(0.5) {
            let body = self.state(hour, day, dice);
            self.say(hour, 5, body, dice, made);
        }
        if dice.is(0.3) {
            let body = self.op(hour, day, dice);
            self.say(hour, 20, body, dice, made);
        }
        let errs = if day >= self.of.errs { 0.15 } else { 0.01 };
        if dice.is(if self.of.buggy && day >= self.of.updated { 6.0 * errs } else { errs }) {
            let code = if dice.is(0.5) { "motor_stall" } else { "ble_disconnect" };
            self.say(
                hour,
                40,
                Body::Error(ErrorReport { code: Cow::Borrowed(code), count: 1, detail: None }),
                dice,
                made,
            );
        }
        if dice.is(0.0005) {
            let event = if dice.is(0.5) { EventKind::MaintenanceStart } else { EventKind::MaintenanceEnd };
            self.say(hour, 50, Body::Event(Event { event, fw_from: None, fw_to: None }), dice, made);
        }
    }

    fn state(&self, hour: i64, day: f64, dice: &mut Dice) -> Body<'static> {
        let drained = 30.0 * ((day - self.of.drains).max(0.0) / 10.0);
        let temp = 18.0 + 5.0 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
        let leaked = if day >= self.of.leaks { 60.0 * (hour - self.boot_hour) as f64 } else { 0.0 };
        Body::State(State {
            battery_mv: Some(Millivolts(
                (2_950.0 - 1.2 * day - 4.0 * drained + 0.8 * (temp - 20.0) + 2.0 * dice.gauss()) as u16,
            )),
            battery_pct: Some(Percent((85.0 - 0.2 * day - drained + 0.3 * dice.gauss()).clamp(0.0, 100.0) as u8)),
            temp_c: (day < self.of.lacks_field).then_some(CentiCelsius((temp * 100.0) as i16)),
            free_heap_b: Some(Bytes((40_000.0 - leaked + 150.0 * dice.gauss()).max(100.0) as u32)),
            reset_reason: Some(self.reset),
            ..State::default()
        })
    }

    fn op(&self, hour: i64, day: f64, dice: &mut Dice) -> Body<'static> {
        let temp = 18.0 + 5.0 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
        let load =
            (1.0 + 0.05 * (day - self.of.rubs).max(0.0)) * (-0.007 * (temp - 20.0)).exp() * (0.04 * dice.gauss()).exp();
        let ohm = 0.9
            * (1.0 + 0.06 * (day - self.of.ages).max(0.0))
            * (-0.02 * (temp - 20.0)).exp()
            * (0.04 * dice.gauss()).exp();
        let tooth = 10.0 * (day - self.of.wears).clamp(0.0, 9.0);
        let peak = 600.0 * (0.04 * dice.gauss()).exp();
        let bad = dice.is(if day >= self.of.jams { 0.25 } else { 0.004 });
        let bump = |at: usize| if (9..12).contains(&at) { tooth } else { 0.0 };
        let samples: Vec<u16> = (0..18)
            .map(|at| ((280.0 + 300.0 * (-(at as f64)).exp() + bump(at)) * load * (0.01 * dice.gauss()).exp()) as u16)
            .collect();
        Body::Op(Op {
            op: if dice.is(0.5) { OpKind::Lock } else { OpKind::Unlock },
            source: None,
            result: if bad && dice.is(0.5) { OpResult::Jam } else { OpResult::Ok },
            latency_ms: Some(zenei_wire::Millis(1_200)),
            duration_ms: Some(if bad { 1_900 } else { 710 }),
            peak_ma: Some(Milliamps(peak as u16)),
            mean_ma: Some(Milliamps((300.0 * load) as u16)),
            current_ma: Profile::new(&samples),
            sample_ms: Some(40),
            battery_min_mv: Some(Millivolts((2_950.0 - peak * ohm).max(0.0) as u16)),
            angle_err_deg: None,
        })
    }

    fn say(&mut self, hour: i64, minute: i64, body: Body<'static>, dice: &mut Dice, made: &mut Making) {
        let day = hour as f64 / 24.0;
        if dice.is(if day >= self.of.loses { 0.08 } else { 0.0005 }) {
            self.seq += 1;
            return;
        }
        let now_ms = START_MS + hour * HOUR_MS + minute * 60_000 + self.at as i64 * 1_000;
        let ts_ms = now_ms - 300 - if day >= self.of.clock { 1_200_000 } else { (dice.uniform() * 9_000.0) as i64 };
        let device = made.fleet.number(&format!("L{}", self.at));
        let word = |fleet: &mut Fleet, all: &[&str]| fleet.intern(all[self.at % all.len()]);
        let labels = Labels {
            model: word(&mut made.fleet, &["mini", "mini", "mini", "pro"]),
            hw_rev: made.fleet.intern("C2"),
            fw: made.fleet.intern(if day >= self.of.updated { "2.0" } else { "1.9" }),
            gw: word(&mut made.fleet, &["gw-1", "gw-2"]),
            ..Labels::default()
        };
        let row = Row {
            device,
            site: word(&mut made.fleet, &["north", "south"]),
            boot: Some(self.boot),
            seq: Some(self.seq),
            identity: 0,
            ts: DeviceTime(ts_ms),
            heard_at: GatewayTime(now_ms),
            released_at: EngineTime(now_ms),
            offset: 0,
            index: 0,
            late: false,
            authenticated: true,
            labels,
            uptime_s: Some(((hour - self.boot_hour) * 3_600) as u32),
            body,
        };
        self.seq += 1;
        made.take(row, now_ms);
    }
}

impl Making {
    /// What the engine does with a record before it shows it to the detectors.
    fn take(&mut self, row: Row, now_ms: i64) {
        let (device, record) = (row.device, RecordRef::of(&row));
        let at = device.0 as usize;
        if self.locks.len() <= at {
            self.locks.resize(at + 1, Lock::default());
        }
        let code = match &row.body {
            Body::Error(error) => self.fleet.intern(&error.code),
            Body::State(_) | Body::Op(_) | Body::Event(_) | Body::Gateway(_) | Body::Adv(_) => Sym::NONE,
        };
        let lock = &mut self.locks[at];
        let hole = lock.heard(&row);
        let mut operation = None;
        match &row.body {
            Body::State(state) => lock.state(state, row.ts.ms()),
            Body::Op(op) => {
                let shape = self.profiles.take(device, op);
                operation = lock.operation(op, row.ts.ms()).map(|operation| Operation { shape, ..operation });
            }
            Body::Event(event) => lock.maintenance = event.event == EventKind::MaintenanceStart,
            Body::Error(_) | Body::Gateway(_) | Body::Adv(_) => {}
        }
        let lock = *lock;
        self.moments.push(Moment::Said(Box::new(Said { device, lock, row, operation, code, hole, record, now_ms })));
    }
}
