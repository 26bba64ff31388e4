//! The engine: released rows in, anomalies and decisions out, on windows of an hour and a day of its own time.
//!
//! It decides when each detector receives which row, and what becomes of its findings: a finding that another one
//! explains becomes a decision, and what locks share is reported once. It must not know where rows come from or what an
//! incident is. Late rows reach the detectors through `late` alone, and change nothing that is known of the lock; rows
//! of sources that may not speak for a lock never reach a detector. Called by `pipeline`.
use crate::anomaly::{Anomaly, Component, Findings};
use crate::attribution::Attribution;
use crate::batch::{Repeated, Row, UnreadableRow};
use crate::detect::profile::Profiles;
use crate::detect::running::{Detector, Glance, Late, Window};
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::lock::{Lock, Operation, RecordRef};
use crate::rules::Rules;
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};
use serde::{Deserialize, Serialize};
use zenei_wire::{Body, EngineTime, EventKind, Id};

/// For so long after its last finding a failing battery explains the motor's behaviour and a silence; lasting findings
/// are repeated weekly.
const EXPLAINS_MS: i64 = 15 * DAY_MS;
/// For so long after the last finding about a drive, further ones keep the part that the first one named.
const KEEPS_MS: i64 = 45 * DAY_MS;

/// How much of its slowness a failing battery may add to the charge of an operation, beyond what the detector takes out
/// for it: the correction may miss as much again as it corrects. A guess.
const BATTERY_EFFORT_SHARE: f64 = 2.0;
/// How much more unlike its template a current profile may be for a motor of half more travel time. A guess: a slow
/// motor divides its travel's time differently, and in the fleet benchmark empty batteries made no more than three
/// times the usual distance.
const BATTERY_SHAPE_SHARE: f64 = 6.0;
/// How much longer a travel takes from which a battery with a finding of its own explains operations that fail: a sixth
/// of the motor's speed is gone, and of the torque that it can add at a tight spot. A guess.
const WEAK_SLOWER: f64 = 0.2;

/// All locks and all detectors.
pub struct Engine {
    rules: Rules,
    detectors: Vec<Box<dyn Detector>>,
    profiles: Profiles,
    locks: Vec<Lock>,
    findings: Vec<Known>,
    attribution: Attribution,
    /// End of the last closed hour; `None` before the first row.
    closed: Option<EngineTime>,
    now: EngineTime,
    /// Whether a row came since the day began: an idle stretch is skipped, not walked hour by hour.
    moved: bool,
}

/// What arrived beside the rows and is none, each in order of time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unsaid<'a> {
    /// Records that can't be read.
    pub(crate) unreadable: &'a [UnreadableRow],
    /// Records that arrived once more.
    pub(crate) repeated: &'a [Repeated],
}

/// The earlier findings about a lock, as far as later ones depend on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    power_ms: Option<i64>,
    drive: Option<(Component, i64)>,
}

/// The state that a snapshot stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct EngineState {
    detectors: Vec<(Id, Vec<u8>)>,
    profiles: Profiles,
    locks: Vec<Lock>,
    findings: Vec<Known>,
    attribution: Attribution,
    closed: Option<EngineTime>,
    now: EngineTime,
    moved: bool,
}

impl Engine {
    /// An engine without history.
    pub fn new(rules: Rules) -> Self {
        // Findings that explain others come first.
        let mut detectors = rules.detectors();
        detectors.sort_by_key(|detector| (detector.spec().kind.symptom, detector.rule().id.clone()));
        Self {
            rules,
            detectors,
            profiles: Profiles::default(),
            locks: Vec::new(),
            findings: Vec::new(),
            attribution: Attribution::default(),
            closed: None,
            now: EngineTime::default(),
            moved: false,
        }
    }

    /// Takes released rows in order, each at its own `released_at`, and unreadable records, each at its own time; then
    /// advances the time to `now`.
    pub fn ingest(
        &mut self,
        rows: &[Row],
        unreadable: &[UnreadableRow],
        now: EngineTime,
        fleet: &mut Fleet,
        findings: &mut Findings,
    ) {
        self.ingest_all(rows, Unsaid { unreadable, repeated: &[] }, now, fleet, findings);
    }

    /// As [`Engine::ingest`], with the records that arrived once more.
    pub(crate) fn ingest_all(
        &mut self,
        rows: &[Row],
        unsaid: Unsaid<'_>,
        now: EngineTime,
        fleet: &mut Fleet,
        findings: &mut Findings,
    ) {
        let mut unreadable = unsaid.unreadable.iter().peekable();
        let mut repeated = unsaid.repeated.iter().peekable();
        for row in rows {
            while let Some(record) = unreadable.next_if(|record| record.at <= row.released_at) {
                repeated_until(&mut repeated, record.at, |again| self.repeated(again, fleet, findings));
                self.unreadable(*record, fleet, findings);
            }
            repeated_until(&mut repeated, row.released_at, |again| self.repeated(again, fleet, findings));
            self.advance(row.released_at, fleet, findings);
            if row.authenticated {
                self.take(row, fleet);
            }
        }
        for record in unreadable {
            repeated_until(&mut repeated, record.at, |again| self.repeated(again, fleet, findings));
            self.unreadable(*record, fleet, findings);
        }
        repeated.for_each(|again| self.repeated(again, fleet, findings));
        self.advance(now, fleet, findings);
    }

    fn repeated(&mut self, again: &Repeated, fleet: &Fleet, findings: &mut Findings) {
        self.advance(again.at, fleet, findings);
        if again.is_refused {
            return self.detectors.iter_mut().for_each(|detector| detector.refused(again.device, again.at));
        }
        let record = RecordRef { boot: again.place.0, seq: again.place.1, ts: again.ts.ms() };
        self.detectors.iter_mut().for_each(|detector| detector.repeated(again.device, record, again.at));
    }

    fn unreadable(&mut self, record: UnreadableRow, fleet: &Fleet, findings: &mut Findings) {
        self.advance(record.at, fleet, findings);
        self.detectors.iter_mut().for_each(|detector| detector.unreadable(record.device, record.at));
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

    /// The end of the next window that contains a row.
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

    /// On how many days locks were watched, one for each lock and day.
    pub(crate) fn lock_days(&self) -> u64 {
        self.attribution.lock_days()
    }

    pub(crate) fn state(&self) -> Result<EngineState, postcard::Error> {
        let detectors = self.detectors.iter().map(|detector| Ok((detector.rule().digest(), detector.state()?)));
        Ok(EngineState {
            detectors: detectors.collect::<Result<_, _>>()?,
            profiles: self.profiles.clone(),
            locks: self.locks.clone(),
            findings: self.findings.clone(),
            attribution: self.attribution.clone(),
            closed: self.closed,
            now: self.now,
            moved: self.moved,
        })
    }

    /// Restores the state of an engine; the detector of a rule that has changed starts anew.
    pub(crate) fn restore(&mut self, state: EngineState) -> Result<(), postcard::Error> {
        for (rule, bytes) in &state.detectors {
            if let Some(detector) = self.detectors.iter_mut().find(|detector| detector.rule().digest() == *rule) {
                detector.restore(bytes)?;
            }
        }
        self.profiles = state.profiles;
        self.locks = state.locks;
        self.findings = state.findings;
        self.attribution = state.attribution;
        self.closed = state.closed;
        self.now = state.now;
        self.moved = state.moved;
        Ok(())
    }

    fn close(&mut self, end: EngineTime, fleet: &Fleet, out: &mut Findings) {
        let (mut found, mut stands) = (Vec::new(), Findings::default());
        for at in 0..self.detectors.len() {
            let mut seen = Findings::default();
            let window = Window { now: end, locks: &self.locks, fleet };
            self.detectors[at].end_hour(window, &mut seen);
            stands.decisions.append(&mut seen.decisions);
            out.recoveries.append(&mut seen.recoveries);
            for anomaly in seen.anomalies {
                let detector = &self.detectors[at];
                let symptom = detector.symptom_of(anomaly.component).unwrap_or(detector.spec().kind.symptom);
                let device = anomaly.device_id.as_deref().and_then(|id| fleet.find(id));
                match device {
                    Some(device) => found.extend(self.relate(symptom, device, anomaly, fleet, &mut stands)),
                    None => {
                        self.attribution.note(symptom, &anomaly, fleet, end);
                        stands.anomalies.push(anomaly);
                    }
                }
            }
        }
        self.attribution.take(found, Window { now: end, locks: &self.locks, fleet }, &mut stands);
        for anomaly in stands.anomalies {
            self.rules.admit(anomaly, |lock| fleet.word(self.locks.get(fleet.find(lock)?.0 as usize)?.site), out);
        }
        out.decisions.append(&mut stands.decisions);
        if end.ms().rem_euclid(DAY_MS) == 0 {
            self.moved = false;
        }
        self.closed = Some(end);
    }

    /// Relates a finding about a lock to the earlier ones: `None` where another one explains it.
    fn relate(
        &mut self,
        symptom: Symptom,
        device: DeviceIx,
        mut anomaly: Anomaly,
        fleet: &Fleet,
        out: &mut Findings,
    ) -> Option<(Symptom, DeviceIx, Anomaly)> {
        let at = device.0 as usize;
        if self.findings.len() <= at {
            self.findings.resize(at + 1, Known::default());
        }
        let known = &mut self.findings[at];
        let now_ms = anomaly.at.ms();
        let battery = self.locks.get(at).and_then(|lock| {
            // What a lock said last still holds while it is silent; nothing renews it.
            let since_ms = if symptom == Symptom::Silence { lock.heard_ms } else { now_ms };
            let is_own = known.power_ms.is_some_and(|at_ms| since_ms - at_ms < EXPLAINS_MS);
            (is_own || self.attribution.weakens(device, lock)).then_some((lock, is_own))
        });
        if symptom.is_power() {
            known.power_ms = Some(now_ms);
        } else if battery.is_some_and(|(lock, is_own)| explained_by_battery(symptom, &anomaly, lock, is_own)) {
            let why = "the lock's battery is failing, which explains it".to_owned();
            let is_own = battery.is_some_and(|(_, is_own)| is_own);
            let whole = self.attribution.weakening(device, &self.locks[at], is_own, fleet);
            out.decisions.push(anomaly.part(whole, why));
            return None;
        } else if symptom.is_drive() {
            // One drive, one incident: the part that was named first is kept.
            if let Some((part, _)) = known.drive.filter(|(_, at_ms)| now_ms - at_ms < KEEPS_MS) {
                anomaly.component = part;
            }
            known.drive = Some((anomaly.component, now_ms));
        }
        Some((symptom, device, anomaly))
    }

    /// When a lock was last heard, by the engine's time; `None` if never.
    pub(crate) fn heard(&self, device: DeviceIx) -> Option<EngineTime> {
        let lock = self.locks.get(device.0 as usize).filter(|lock| lock.heard_ms > 0)?;
        Some(EngineTime(lock.heard_ms))
    }

    /// Removes what was learned of a lock.
    pub(crate) fn forget(&mut self, device: DeviceIx) {
        if self.locks.len() > device.0 as usize {
            self.event(EventKind::Installed, device, self.now.ms());
            self.locks[device.0 as usize] = Lock::default();
        }
    }

    fn take(&mut self, row: &Row, fleet: &mut Fleet) {
        let device = row.device;
        let at = device.0 as usize;
        if self.locks.len() <= at {
            self.locks.resize(at + 1, Lock::default());
        }
        let now_ms = row.released_at.ms();
        if matches!(row.body, Body::Gateway(_)) {
            // A gateway is no lock: its own records say how its calls fare; whether it is there its locks show.
            if !row.late {
                self.detectors.iter_mut().for_each(|detector| detector.gateway(row));
            }
            return;
        }
        self.closed.get_or_insert(EngineTime(now_ms.div_euclid(HOUR_MS) * HOUR_MS));
        self.moved = true;
        let record = RecordRef::of(row);
        let code = match &row.body {
            Body::Error(error) => fleet.intern(&error.code),
            Body::State(_) | Body::Op(_) | Body::Event(_) | Body::Adv(_) | Body::Gateway(_) => Sym::NONE,
        };
        if row.late {
            let late = Late { device, code, record, succession: row.succession, now_ms };
            self.detectors.iter_mut().for_each(|detector| detector.late(&late));
            return;
        }
        if let Body::Event(event) = &row.body {
            self.event(event.event, device, now_ms);
        }
        let lock = &mut self.locks[at];
        let missing = lock.heard(row);
        let mut operation = None;
        match &row.body {
            Body::State(state) => lock.state(state, row.ts.ms()),
            Body::Op(op) => {
                let shape = self.profiles.take(device, op);
                operation = lock.operation(op, row.ts.ms()).map(|operation| Operation { shape, ..operation });
            }
            Body::Adv(adv) => lock.advertised(adv, row.ts.ms()),
            Body::Error(_) | Body::Event(_) | Body::Gateway(_) => {}
        }
        let lock = &self.locks[at];
        let glance = Glance { device, lock, row, operation: operation.as_ref(), code, missing, record, now_ms };
        self.detectors.iter_mut().for_each(|detector| detector.row(&glance));
    }

    /// Takes an event of a lock, which resets part of what was learned of it (telemetry contract).
    fn event(&mut self, event: EventKind, device: DeviceIx, now_ms: i64) {
        let lock = &mut self.locks[device.0 as usize];
        match event {
            EventKind::Installed => {
                lock.installed();
                self.profiles.reset(device);
                self.attribution.anew(device, false);
                if let Some(known) = self.findings.get_mut(device.0 as usize) {
                    *known = Known::default();
                }
            }
            EventKind::BatteryReplaced => {
                lock.battery_replaced();
                self.attribution.anew(device, true);
                if let Some(known) = self.findings.get_mut(device.0 as usize) {
                    known.power_ms = None;
                }
            }
            EventKind::Moved => self.profiles.reset(device),
            EventKind::MaintenanceStart => lock.maintenance = true,
            EventKind::MaintenanceEnd => lock.maintenance = false,
            EventKind::OtaStarted | EventKind::OtaDone => {}
        }
        lock.visited(now_ms);
        self.detectors.iter_mut().for_each(|detector| detector.happened(event, device));
    }
}

/// Takes the repeated records that arrived up to a time.
fn repeated_until<'a>(
    repeated: &mut core::iter::Peekable<impl Iterator<Item = &'a Repeated>>,
    until: EngineTime,
    mut take: impl FnMut(&'a Repeated),
) {
    while let Some(again) = repeated.next_if(|again| again.at <= until) {
        take(again);
    }
}

/// Whether a failing battery can be the cause, by what its voltage can do: a spent one silences a lock and jams its
/// bolt; a weak one slows the motor by what it takes of the voltage, and no more. `is_own` says that the lock's own
/// battery is a finding: it jams the bolt before it is spent.
fn explained_by_battery(symptom: Symptom, anomaly: &Anomaly, lock: &Lock, is_own: bool) -> bool {
    let slower = lock.slowness() - 1.0;
    match symptom {
        Symptom::Silence => lock.is_spent(),
        Symptom::Trouble => lock.is_spent() || (is_own && slower >= WEAK_SLOWER),
        Symptom::Effort => anomaly.value <= (1.0 + BATTERY_EFFORT_SHARE * slower) * anomaly.baseline,
        Symptom::Shape => anomaly.value <= (1.0 + BATTERY_SHAPE_SHARE * slower) * anomaly.baseline,
        Symptom::Resistance
        | Symptom::Drain
        | Symptom::Errors
        | Symptom::Part
        | Symptom::Memory
        | Symptom::Clock
        | Symptom::Loss
        | Symptom::Schema
        | Symptom::Requests
        | Symptom::Stream => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_wire::{Milliamps, Millivolts, Op, OpKind, OpResult, Percent, State};

    /// Whether a finding of half more than usual about a lock with so much charge left, by its own gauge, is explained.
    fn is_explained(symptom: Symptom, percent: u8) -> bool {
        let mut lock = Lock::default();
        lock.state(&State { battery_pct: Some(Percent(percent)), ..State::default() }, 0);
        explained_by_battery(symptom, &half_more(), &lock, false)
    }

    fn half_more() -> Anomaly {
        Anomaly { value: 1.5, baseline: 1.0, ..Anomaly::of_lock("A", 1) }
    }

    #[test]
    fn a_battery_with_a_finding_of_its_own_jams_a_motor_that_it_has_slowed_and_no_other() {
        let jams = |mv, is_own| {
            let mut lock = Lock::default();
            lock.state(&State { battery_mv: Some(Millivolts(2_880)), ..State::default() }, 0);
            let mut turns = |mv| {
                let op = Op {
                    peak_ma: Some(Milliamps(600)),
                    mean_ma: Some(Milliamps(300)),
                    battery_min_mv: Some(Millivolts(mv)),
                    ..Op::of(OpKind::Lock, OpResult::Ok)
                };
                lock.operation(&op, 1);
            };
            (0..40).for_each(|_| turns(2_400));
            (0..40).for_each(|_| turns(mv));
            explained_by_battery(Symptom::Trouble, &half_more(), &lock, is_own)
        };
        assert!(jams(1_800, true), "a battery that gives a quarter less at the peak");
        assert!(!jams(1_800, false), "the same where only its like have a finding");
        assert!(!jams(2_350, true), "a motor as fast as ever has torque enough");
        assert!(jams(1_200, false), "a battery that gives half of its voltage is spent");
    }

    #[test]
    fn a_battery_explains_what_its_voltage_can_do_and_no_more() {
        for symptom in [Symptom::Silence, Symptom::Trouble] {
            assert!(is_explained(symptom, 5), "{symptom:?}: an empty battery moves no bolt and sends nothing");
            assert!(!is_explained(symptom, 30), "{symptom:?}: a third of the charge does both");
        }
        for symptom in [Symptom::Effort, Symptom::Shape, Symptom::Clock] {
            assert!(!is_explained(symptom, 5), "{symptom:?}: its voltage under load is as ever");
        }
    }

    #[test]
    fn what_a_spent_battery_explains_is_part_of_the_finding_about_the_battery() {
        let (mut engine, mut fleet) = (Engine::new(Rules::embedded().unwrap()), Fleet::new());
        let (device, mut lock) = (fleet.number("A"), Lock::default());
        lock.state(&State { battery_pct: Some(Percent(5)), ..State::default() }, 0);
        engine.locks = vec![lock];
        engine.findings = vec![Known { power_ms: Some(0), ..Known::default() }];
        let mut out = Findings::default();
        let trouble = Anomaly::of_lock("A", 1);
        assert!(engine.relate(Symptom::Trouble, device, trouble.clone(), &fleet, &mut out).is_none());
        let part_of = out.decisions[0].part_of.clone().unwrap();
        assert_eq!((part_of.scope, part_of.component), (trouble.scope, Component::Battery));
    }
}
