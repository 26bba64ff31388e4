//! Any number that a lock's records carry, watched as a stream: values that are rare in this lock's own stream.
//!
//! A rule names the field. Each lock has a stream of its own (about 3 kB), which learns level, spread, steps, daily
//! rhythm and usual values online, with the tuning that the lab measured on a public benchmark of streams. It uses no
//! physics: a detector that models the number is better. Values that arrive during maintenance of the lock are left
//! out. Must not know incidents or stores. Called by the engine.
use super::lanes::{forget, lane};
use super::report::{self, Seen};
use super::running::{Detect, Glance, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::Findings;
use crate::estimate::stream::{Alarm, Stream, Tuning};
use crate::field::NumericField;
use crate::fleet::DeviceIx;
use crate::kind::{DetectorKind, Parameter};
use crate::lock::RecordRef;
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::HOUR_MS;
use serde::{Deserialize, Serialize};
use zenei_wire::EventKind;

/// From this share of the threshold on a record belongs to a departure. A guess: evidence rises within some values.
const BEGINS: f64 = 0.25;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "stream",
        symptom: Symptom::Stream,
        looks_at: "one number of one kind of record, lock by lock: how far it is from where the lock's own values \
                   stand, how large a step it makes, how restless it is of late, how unusual it is at this time of \
                   day, and how often such values were seen; what is rare in several of these, or for a while, is a \
                   finding",
        parameters: &[
            Parameter {
                name: "values_min",
                unit: "1",
                range: 0.0..=1e6,
                meaning: "how many values of a lock are learned before one can be a finding",
            },
            Parameter {
                name: "rarity_min",
                unit: "1",
                range: 0.1..=100.0,
                meaning: "how rare the last values must be together: a smoothed sum of decimal logarithms",
            },
            Parameter {
                name: "rest_values",
                unit: "1",
                range: 0.0..=1e6,
                meaning: "how many values after a finding the next one may come, so that one event is found once",
            },
        ],
        reads_field: true,
    },
    reset_by: &[EventKind::Installed, EventKind::BatteryReplaced, EventKind::Moved],
    every_ms: HOUR_MS,
    counts_late: false,
    counts_unreadable: false,
    make: |spec, rule| Watch::start(spec, rule, Params::of(rule)),
};

type Watch = Running<Params, State>;

/// The values that a rule gives the detector.
struct Params {
    field: NumericField,
    values_min: u32,
    rarity_min: f64,
    rest_values: u32,
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        Ok(Self {
            field: rule.field.ok_or(MissingParameter { name: "field" })?,
            values_min: rule.parameter("values_min")? as u32,
            rarity_min: rule.parameter("rarity_min")?,
            rest_values: rule.parameter("rest_values")? as u32,
        })
    }
}

/// The state that a snapshot stores.
#[derive(Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    /// Alarms of this hour, in the order of their records.
    alarms: Vec<Raised>,
}

/// One lock; without a value it takes no memory.
#[derive(Default, Serialize, Deserialize)]
struct Lane {
    watched: Option<Box<Watched>>,
}

#[derive(Serialize, Deserialize)]
struct Watched {
    stream: Stream,
    alarm: Alarm,
    trail: Trail,
}

#[derive(Serialize, Deserialize)]
struct Raised {
    device: DeviceIx,
    value: f64,
    /// The stream's level before the value.
    stood_at: f64,
    evidence: f64,
    since_ms: i64,
    records: Vec<RecordRef>,
}

impl Detect for Watch {
    /// Takes a record that has the field.
    fn row(&mut self, glance: &Glance<'_>) {
        let Some(value) = self.params.field.read(&glance.row.body) else { return };
        if glance.lock.maintenance {
            return;
        }
        let Params { values_min, rarity_min, rest_values, .. } = self.params;
        let watched = lane(&mut self.state.lanes, glance.device).watched.get_or_insert_with(|| {
            let (stream, alarm) = (Stream::new(&Tuning::MEASURED), Alarm::new(rarity_min, rest_values));
            Box::new(Watched { stream, alarm, trail: Trail::default() })
        });
        let stood_at = watched.stream.stands_at();
        let is_known = watched.stream.seen() >= values_min;
        let evidence = watched.stream.add(value, glance.now_ms);
        if evidence < BEGINS * rarity_min {
            watched.trail.clear();
        } else {
            watched.trail.add(glance.record, glance.now_ms);
        }
        if is_known && watched.alarm.score(evidence) >= Alarm::SCORE {
            let since_ms = watched.trail.since_ms().unwrap_or(glance.now_ms);
            let records = watched.trail.records().collect();
            self.state.alarms.push(Raised { device: glance.device, value, stood_at, evidence, since_ms, records });
        }
    }

    /// Removes the state: with another lock, battery or door the usual values of the field are unknown.
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
        self.state.alarms.retain(|raised| raised.device != device);
    }

    /// Reports the alarms of the hour.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, fleet, .. } = window;
        let Params { field, rarity_min, .. } = self.params;
        for raised in core::mem::take(&mut self.state.alarms) {
            let Raised { device, value, stood_at, evidence, since_ms, records } = raised;
            let unit = field.unit();
            let why = format!(
                "{field} is {value} {unit} where this lock's own values stand at {stood_at:.2} {unit}; such values are \
                 rare in its stream: {evidence:.2}, limit {rarity_min}"
            );
            // The value that would have been rare enough, if evidence were proportional to distance.
            let threshold = stood_at + (value - stood_at) * rarity_min / evidence;
            let confidence = report::confidence(evidence, rarity_min);
            let seen = Seen { value, baseline: stood_at, threshold, unit, since_ms, confidence, why };
            findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Row, test_row};
    use crate::detect::running::Detector;
    use crate::fleet::{Fleet, Sym};
    use crate::lock::Lock;
    use crate::rules::Rules;
    use zenei_wire::{Body, EngineTime, Millivolts, State as Heartbeat};

    const RULE: &str = include_str!("../../tests/reference/rules/stream.toml");
    const EVERY_MS: i64 = 300_000;

    /// A restless voltage that falls at the 3,000th value.
    fn value(at: u32) -> u16 {
        let restless = (u64::from(at).wrapping_mul(6_364_136_223_846_793_005) >> 33) % 21;
        2_900 + restless as u16 - if at >= 3_000 { 150 } else { 0 }
    }

    fn row(at: u32) -> Row {
        let at_ms = i64::from(at) * EVERY_MS;
        test_row(
            DeviceIx(0),
            at,
            at_ms,
            Body::State(Heartbeat { battery_mv: Some(Millivolts(value(at))), ..Heartbeat::default() }),
        )
    }

    fn show(detector: &mut dyn Detector, at: u32, lock: &Lock) {
        let row = row(at);
        let (record, now_ms) = (RecordRef::of(&row), row.released_at.ms());
        let device = row.device;
        detector.row(&Glance { device, lock, row: &row, operation: None, code: Sym::NONE, missing: 0, record, now_ms });
    }

    /// The numbers of the records at which the detector of this rule raises an alarm.
    fn alarms(text: &str) -> Vec<u32> {
        let mut fleet = Fleet::new();
        fleet.number("A");
        let (lock, mut findings) = (Lock::default(), Findings::default());
        let mut detector = Rules::parse([("stream.toml", text)]).unwrap().detectors().remove(0);
        for at in 0..4_000 {
            show(&mut *detector, at, &lock);
            let now = EngineTime(i64::from(at) * EVERY_MS);
            detector.close(Window { now, locks: &[lock], fleet: &fleet }, &mut findings);
        }
        findings.anomalies.iter().map(|anomaly| (anomaly.at.ms() / EVERY_MS) as u32).collect()
    }

    #[test]
    fn it_raises_the_alarms_of_the_core_that_the_benchmark_measures() {
        let tuning = Tuning::MEASURED;
        let text = RULE.replace("state.temp_c", "state.battery_mv");
        assert!(text.contains(&format!("value = {}", tuning.threshold)), "the rule has the measured numbers");
        assert!(text.contains(&format!("value = {}", tuning.rest)), "the rule has the measured numbers");
        let (mut stream, mut alarm) = (Stream::new(&tuning), Alarm::new(tuning.threshold, tuning.rest));
        let core: Vec<u32> = (0..4_000)
            .filter(|&at| alarm.score(stream.add(f64::from(value(at)), i64::from(at) * EVERY_MS)) >= Alarm::SCORE)
            .collect();
        assert_eq!(alarms(&text), core);
        assert!(core.iter().any(|at| (3_000..3_020).contains(at)), "{core:?}");
    }

    #[test]
    fn a_lock_is_learned_first_and_maintenance_is_left_out() {
        let text = RULE.replace("state.temp_c", "state.battery_mv").replace("value = 0\n", "value = 3_500\n");
        assert!(text.contains("3_500") && alarms(&text).iter().all(|&at| at >= 3_500));
        let mut detector = Rules::parse([("stream.toml", RULE)]).unwrap().detectors().remove(0);
        let before = detector.state().unwrap();
        let mut lock = Lock::default();
        lock.maintenance = true;
        show(&mut *detector, 0, &lock);
        assert_eq!(detector.state().unwrap(), before);
    }
}
