//! The engine: released rows in, anomalies and decisions out, on windows of an hour and a day of its own time.
//!
//! Answers when each detector sees what. It must not know where rows come from or what an incident is. Late rows and rows of sources that may not speak for a lock
//! never reach a detector's state. Called by `line`.
use crate::batch::Row;
use crate::detect::DetectorKind;
use crate::detect::drift::{Drift, DriftState, Measure};
use crate::detect::firmware_errors::{self, FirmwareErrors};
use crate::detect::lock::{Lock, RecordRef};
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::line::Findings;
use crate::rules::Rules;
use serde::{Deserialize, Serialize};
use zenei_wire::{Body, EngineTime, EventKind, Id};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// All locks and all detectors.
pub struct Engine {
    rules: Rules,
    drifts: Vec<Drift>,
    firmware: Vec<FirmwareErrors>,
    locks: Vec<Lock>,
    /// End of the last closed hour; `None` before the first row.
    closed: Option<EngineTime>,
    now: EngineTime,
    /// Whether a row came since the day began: an idle stretch is skipped, not walked hour by hour.
    moved: bool,
}

/// What a snapshot keeps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct EngineState {
    drifts: Vec<(Id, DriftState)>,
    firmware: Vec<(Id, firmware_errors::State)>,
    locks: Vec<Lock>,
    closed: Option<EngineTime>,
    now: EngineTime,
    moved: bool,
}

impl Engine {
    /// An engine without history.
    pub fn new(rules: Rules) -> Self {
        let mut drifts = Vec::new();
        let mut firmware = Vec::new();
        for rule in rules.iter() {
            match rule.detector {
                DetectorKind::BatteryResistance => drifts.push(Drift::new(rule, Measure::Resistance)),
                DetectorKind::MotorEffort => drifts.push(Drift::new(rule, Measure::Effort)),
                DetectorKind::FirmwareErrors => firmware.push(FirmwareErrors::new(rule)),
            }
        }
        let (locks, now) = (Vec::new(), EngineTime::default());
        Self { rules, drifts, firmware, locks, closed: None, now, moved: false }
    }

    /// Takes released rows in order, each at its own `released_at`; then time goes on to `now`.
    pub fn ingest(&mut self, rows: &[Row], now: EngineTime, fleet: &mut Fleet, findings: &mut Findings) {
        for row in rows {
            self.advance(row.released_at, fleet, findings);
            if row.authenticated {
                self.take(row, fleet);
            }
        }
        self.advance(now, fleet, findings);
    }

    /// Closes the windows that end up to `now`, each at its own end.
    pub fn advance(&mut self, now: EngineTime, fleet: &Fleet, findings: &mut Findings) {
        self.now = self.now.max(now);
        while let Some(end) = self.next_deadline() {
            if end > self.now {
                break;
            }
            self.close(end, fleet, findings);
        }
        if let Some(closed) = &mut self.closed
            && !self.moved
        {
            let hour = EngineTime(self.now.ms().div_euclid(HOUR_MS) * HOUR_MS);
            *closed = hour.max(*closed);
        }
    }

    /// When the next window ends that a row fell into.
    pub fn next_deadline(&self) -> Option<EngineTime> {
        // At the end of time no window ends any more.
        self.closed
            .filter(|closed| self.moved && closed.ms() < i64::MAX - HOUR_MS)
            .map(|closed| closed.plus_ms(HOUR_MS))
    }

    /// The rules it runs.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(crate) fn state(&self) -> EngineState {
        EngineState {
            drifts: self.drifts.iter().map(|drift| (drift.rule().digest(), drift.state().clone())).collect(),
            firmware: self.firmware.iter().map(|of| (of.rule().digest(), of.state().clone())).collect(),
            locks: self.locks.clone(),
            closed: self.closed,
            now: self.now,
            moved: self.moved,
        }
    }

    /// Goes on from a state that an engine gave, with each rule that is as it was then.
    pub(crate) fn restore(&mut self, state: EngineState) {
        for (rule, state) in state.drifts {
            if let Some(drift) = self.drifts.iter_mut().find(|drift| drift.rule().digest() == rule) {
                drift.restore(state);
            }
        }
        for (rule, state) in state.firmware {
            if let Some(firmware) = self.firmware.iter_mut().find(|firmware| firmware.rule().digest() == rule) {
                firmware.restore(state);
            }
        }
        self.locks = state.locks;
        self.closed = state.closed;
        self.now = state.now;
        self.moved = state.moved;
    }

    fn close(&mut self, end: EngineTime, fleet: &Fleet, findings: &mut Findings) {
        let (mut shadow, live) = (Findings::default(), findings);
        for firmware in &mut self.firmware {
            firmware.close_hour(end, fleet, &mut shadow);
        }
        if end.ms().rem_euclid(DAY_MS) == 0 {
            // The battery first: what it explains of the motor is no finding of its own.
            let mut weak = vec![false; self.locks.len()];
            for drift in self.drifts.iter_mut().filter(|drift| drift.measure() == Measure::Resistance) {
                drift.close_day(end, &self.locks, &[], fleet, &mut shadow);
                weak.iter_mut().enumerate().for_each(|(at, weak)| *weak |= drift.alarming(at));
            }
            for drift in self.drifts.iter_mut().filter(|drift| drift.measure() == Measure::Effort) {
                drift.close_day(end, &self.locks, &weak, fleet, &mut shadow);
            }
            for firmware in &mut self.firmware {
                firmware.close_day(end, &self.locks);
            }
            self.moved = false;
        }
        for anomaly in shadow.anomalies {
            self.rules.admit(anomaly, |lock| fleet.word(self.locks.get(fleet.find(lock)?.0 as usize)?.site), live);
        }
        live.decisions.append(&mut shadow.decisions);
        self.closed = Some(end);
    }

    fn take(&mut self, row: &Row, fleet: &mut Fleet) {
        let device = row.device;
        let at = device.0 as usize;
        if self.locks.len() <= at {
            self.locks.resize(at + 1, Lock::default());
        }
        let now_ms = row.released_at.ms();
        self.closed.get_or_insert(EngineTime(now_ms.div_euclid(HOUR_MS) * HOUR_MS));
        self.moved = true;
        let record = RecordRef::of(row);
        if row.late {
            if let Body::Error(error) = &row.body {
                let code = fleet.intern(&error.code);
                self.firmware.iter_mut().for_each(|firmware| firmware.error(device, code, record, now_ms));
            }
            return;
        }
        let lock = &mut self.locks[at];
        lock.heard_ms = now_ms;
        lock.labels = row.labels;
        lock.site = row.site;
        self.firmware.iter_mut().for_each(|firmware| firmware.heard(device, lock, now_ms));
        match &row.body {
            Body::State(state) => lock.state(state, row.ts.ms()),
            Body::Op(op) => {
                if let Some(operation) = lock.operation(op, row.ts.ms()) {
                    let lock = &self.locks[at];
                    self.drifts.iter_mut().for_each(|drift| drift.operation(device, lock, &operation, record, now_ms));
                }
            }
            Body::Error(error) => {
                let code: Sym = fleet.intern(&error.code);
                self.firmware.iter_mut().for_each(|firmware| firmware.error(device, code, record, now_ms));
            }
            Body::Event(event) => self.event(event.event, device),
            Body::Adv(adv) => lock.advertised(adv, row.ts.ms()),
            Body::Gateway(_) => {}
        }
    }

    /// What happened to a lock makes some of what was learned of it void (telemetry contract).
    fn event(&mut self, event: EventKind, device: DeviceIx) {
        let lock = &mut self.locks[device.0 as usize];
        match event {
            EventKind::Installed => {
                lock.installed();
                self.drifts.iter_mut().for_each(|drift| drift.reset(device));
                self.firmware.iter_mut().for_each(|firmware| firmware.reset(device));
            }
            EventKind::BatteryReplaced => {
                lock.battery_replaced();
                self.reset_drifts(Measure::Resistance, device);
            }
            EventKind::Moved => self.reset_drifts(Measure::Effort, device),
            EventKind::MaintenanceStart => lock.maintenance = true,
            EventKind::MaintenanceEnd => lock.maintenance = false,
            EventKind::OtaStarted | EventKind::OtaDone => {}
        }
    }

    fn reset_drifts(&mut self, measure: Measure, device: DeviceIx) {
        self.drifts.iter_mut().filter(|drift| drift.measure() == measure).for_each(|drift| drift.reset(device));
    }
}
