//! Heartbeats, or heartbeat fields, that a lock used to send and that are now missing or impossible.
//!
//! A missing heartbeat is a finding only while other records of the lock still arrive, readable or not: such a lock is
//! not silent and its link is not bad, but its heartbeats can't be read any more, or the lock no longer sends them.
//! What comes at one moment (a backlog) is one record, and the wait for a heartbeat begins anew when a lock was silent
//! itself for as long as would be a finding: while it is away it sends none. Six fields are watched (`WATCHED`); a
//! value that no battery has, or that means something else than before, counts as missing: a voltage by more than a
//! factor of two from the one before (another unit), a percentage that becomes its complement while the voltage stays.
//! A field is expected once twelve heartbeats in a row had it, heartbeats once there were twelve (`STEADY`). Records
//! whose numbers are used again and again break the contract too (`numbers`). Must not know incidents or stores.
//! Called by the engine.
mod numbers;

use super::lanes::{forget, lane};
use super::report::{self, Seen};
use super::running::{Detect, Glance, Late, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::Findings;
use crate::batch::Succession;
use crate::condition::possible;
use crate::estimate::high::High;
use crate::fleet::DeviceIx;
use crate::kind::{DetectorKind, Parameter};
use crate::lock::RecordRef;
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use numbers::Again;
use serde::{Deserialize, Serialize};
use zenei_wire::{Body, EngineTime, EventKind, State as Heartbeat};

/// A field is expected once so many heartbeats in a row had it; heartbeats are expected once there were so many.
const STEADY: u8 = 12;
/// The fields of a heartbeat that are watched.
const WATCHED: [&str; 6] = ["battery_mv", "battery_pct", "temp_c", "rssi_dbm", "lock_state", "free_heap_b"];
/// From one heartbeat to the next no battery's voltage at rest changes by such a factor, also where it is replaced:
/// from empty to full it is 1.6 for alkaline cells, less for lithium. A guess between this and the nearest unit, ten.
const FACTOR: f32 = 2.0;
/// A percentage has become its complement where it lies within so many percent of it, and farther than twice as many
/// from what it was, while the voltage stays within so large a share. Guesses: a coarse gauge's step, a day's
/// temperature.
const COMPLEMENT: (u8, f32) = (6, 0.03);
/// An alarm is repeated daily while it lasts: after half a day few other records may have come, too few to open an
/// incident; a day later there are more.
const REPEAT_MS: i64 = DAY_MS;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "schema_drift",
        symptom: Symptom::Schema,
        looks_at: "heartbeats, or fields of them, that always came and come no more or can't be right, while the \
                   lock says other things; numbers of records that are used again and again",
        parameters: &[
            Parameter {
                name: "missing_min",
                unit: "1",
                range: 1.0..=255.0,
                meaning: "in how many heartbeats in a row a field must be missing",
            },
            Parameter {
                name: "overdue_hours",
                unit: "h",
                range: 1.0..=8_760.0,
                meaning: "for how long no heartbeat could be read",
            },
            Parameter {
                name: "multiple",
                unit: "1",
                range: 1.0..=100.0,
                meaning: "how many times its longest usual interval a lock must be silent",
            },
            Parameter {
                name: "others_min",
                unit: "1",
                range: 1.0..=10_000.0,
                meaning: "how many other records must have come meanwhile",
            },
            Parameter {
                name: "refused_min",
                unit: "1",
                range: 1.0..=10_000.0,
                meaning: "or how many that can't be read",
            },
        ],
        reads_field: false,
    },
    reset_by: &[EventKind::Installed],
    every_ms: 2 * HOUR_MS,
    counts_late: true,
    counts_unreadable: true,
    make: |spec, rule| Schema::start(spec, rule, Params::of(rule)),
};

type Schema = Running<Params, State>;

struct Params {
    missing_min: u8,
    overdue_ms: i64,
    multiple: f64,
    others_min: u32,
    refused_min: u32,
}

/// The state that a snapshot stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    present: [u8; WATCHED.len()],
    missing: [u8; WATCHED.len()],
    /// The last voltage (mV) and percentage of the meaning that is usual; 0 before the first.
    battery_mv: u16,
    battery_pct: u8,
    beats: u8,
    beat_ms: i64,
    /// When the lock last sent any record, readable or not.
    spoke_ms: i64,
    /// When it was heard again after it had been silent for as long as a heartbeat may be overdue.
    resumed_ms: i64,
    /// When the last of `others` came.
    other_ms: i64,
    usual: High,
    /// Other records since the next heartbeat became overdue.
    others: u32,
    /// Unreadable records since the last readable heartbeat.
    refused: u32,
    /// Heartbeats that lack an expected field, since the last one that lacks none.
    lacking: Trail,
    /// The records that `others` counts.
    spoken: Trail,
    last: RecordRef,
    alarm_ms: Option<i64>,
    /// Records whose numbers are not as expected.
    again: Option<Box<Again>>,
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        Ok(Self {
            missing_min: rule.parameter("missing_min")? as u8,
            overdue_ms: (rule.parameter("overdue_hours")? * HOUR_MS as f64) as i64,
            multiple: rule.parameter("multiple")?,
            others_min: rule.parameter("others_min")? as u32,
            refused_min: rule.parameter("refused_min")? as u32,
        })
    }
}

impl Lane {
    /// Takes the time of any record.
    fn speaks(&mut self, now_ms: i64, overdue_ms: i64) {
        if self.spoke_ms > 0 && now_ms - self.spoke_ms >= overdue_ms {
            self.resumed_ms = now_ms;
            self.others = 0;
            self.spoken.clear();
        }
        self.spoke_ms = self.spoke_ms.max(now_ms);
    }

    /// Which of the [`WATCHED`] fields a heartbeat has with a possible value of the usual meaning.
    fn read(&mut self, state: &Heartbeat) -> [bool; WATCHED.len()] {
        let (mv, pct) = (possible(state.battery_mv).map(|mv| mv.0), state.battery_pct.map(|pct| pct.0));
        let (usual_mv, usual_pct) = (f32::from(self.battery_mv), self.battery_pct);
        let far = |mv: &u16| f32::from(*mv) > FACTOR * usual_mv || FACTOR * f32::from(*mv) < usual_mv;
        let mv = mv.filter(|mv| self.battery_mv == 0 || !far(mv));
        let stays = |mv: u16| (f32::from(mv) - usual_mv).abs() <= COMPLEMENT.1 * usual_mv;
        let is_complement = |pct: &u8| {
            let (turned, moved) = (pct.abs_diff(100_u8.saturating_sub(usual_pct)), pct.abs_diff(usual_pct));
            usual_pct > 0 && turned <= COMPLEMENT.0 && moved > 2 * COMPLEMENT.0 && mv.is_some_and(stays)
        };
        let pct = pct.filter(|pct| !is_complement(pct));
        self.battery_pct = pct.unwrap_or(usual_pct);
        // While the percentage means something else, the voltage before is what it is compared with.
        if pct.is_some() || state.battery_pct.is_none() {
            self.battery_mv = mv.unwrap_or(self.battery_mv);
        }
        [
            mv.is_some(),
            pct.is_some(),
            state.temp_c.is_some(),
            state.rssi_dbm.is_some(),
            state.lock_state.is_some(),
            state.free_heap_b.is_some(),
        ]
    }

    /// Since when a heartbeat is awaited.
    fn awaits_ms(&self) -> i64 {
        self.beat_ms.max(self.resumed_ms)
    }
}

impl Detect for Schema {
    /// Removes the state: the id belongs to another lock now.
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
    }

    /// Takes a record of any kind but an advertisement.
    fn row(&mut self, glance: &Glance<'_>) {
        // An advertisement arrives by another path, and is no evidence about the path of heartbeats.
        if matches!(glance.row.body, Body::Adv(_)) {
            return;
        }
        let lane = lane(&mut self.state.lanes, glance.device);
        let now_ms = glance.now_ms;
        lane.last = glance.record;
        if glance.row.succession != Succession::Usual {
            lane.again.get_or_insert_default().add(glance.record, now_ms);
        }
        lane.speaks(now_ms, self.params.overdue_ms);
        let Body::State(state) = &glance.row.body else {
            // A record before the next heartbeat was due is no evidence: the lock may have fallen silent after it.
            let is_overdue = (now_ms - lane.awaits_ms()) as f64 > lane.usual.get();
            if is_overdue && now_ms - lane.other_ms >= MINUTE_MS {
                lane.other_ms = now_ms;
                lane.others = lane.others.saturating_add(1);
                lane.spoken.add(glance.record, now_ms);
            }
            return;
        };
        if lane.beats > 0 && now_ms - lane.beat_ms > MINUTE_MS {
            lane.usual.add((now_ms - lane.beat_ms) as f64);
        }
        (lane.beats, lane.beat_ms) = (lane.beats.saturating_add(1), now_ms);
        (lane.others, lane.refused, lane.other_ms) = (0, 0, 0);
        lane.spoken.clear();
        for (at, is_there) in lane.read(state).into_iter().enumerate() {
            if is_there {
                lane.present[at] = lane.present[at].saturating_add(1);
                lane.missing[at] = 0;
            } else if lane.present[at] >= STEADY {
                lane.missing[at] = lane.missing[at].saturating_add(1);
            } else {
                lane.present[at] = 0;
            }
        }
        if lane.missing.iter().any(|&missing| missing > 0) {
            lane.lacking.add(glance.record, now_ms);
        } else {
            lane.lacking.clear();
        }
    }

    /// Takes a late record: its numbers may not be as expected.
    fn late(&mut self, late: &Late) {
        if late.succession != Succession::Usual {
            let lane = lane(&mut self.state.lanes, late.device);
            lane.again.get_or_insert_default().add(late.record, late.now_ms);
        }
    }

    /// Takes an unreadable record.
    fn unreadable(&mut self, device: DeviceIx, now: EngineTime) {
        if let Some(lane) = self.state.lanes.get_mut(device.0 as usize) {
            lane.speaks(now.ms(), self.params.overdue_ms);
            lane.refused = lane.refused.saturating_add(1);
        }
    }

    /// Judges each lock.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        for (at, lock) in locks.iter().enumerate().take(self.state.lanes.len()) {
            let lane = &mut self.state.lanes[at];
            if let Some(again) = lane.again.as_mut().filter(|_| !lock.maintenance) {
                let told = again.judge(now, lock.heard_ms);
                findings.anomalies.extend(told.and_then(|(seen, records)| {
                    report::anomaly(&self.rule, DeviceIx(at as u32), seen, records, now, fleet)
                }));
            }
            let field = lane.missing.iter().position(|&missing| missing >= self.params.missing_min);
            let silent_ms = lane.spoke_ms - lane.awaits_ms();
            let speaks = lane.others >= self.params.others_min || lane.refused >= self.params.refused_min;
            let limit_ms = || self.params.overdue_ms.max((self.params.multiple * lane.usual.get()) as i64);
            let overdue =
                lane.beats >= STEADY && speaks && silent_ms >= self.params.overdue_ms && silent_ms >= limit_ms();
            if field.is_none() && !overdue {
                lane.alarm_ms = None;
                continue;
            }
            let due = report::is_due(lane.alarm_ms, now, REPEAT_MS);
            if !due || lock.maintenance || (now.ms() - lock.heard_ms >= DAY_MS && lane.refused == 0) {
                continue;
            }
            lane.alarm_ms = Some(now.ms());
            let seen = match field {
                Some(field) => Seen {
                    value: f64::from(lane.missing[field]),
                    baseline: 0.0,
                    threshold: f64::from(self.params.missing_min),
                    unit: "heartbeats",
                    since_ms: lane.lacking.since_ms().unwrap_or(lane.beat_ms),
                    confidence: 0.9,
                    why: format!(
                        "the field {} that stood in every heartbeat is missing or impossible in the last {}",
                        WATCHED[field], lane.missing[field]
                    ),
                },
                None => Seen {
                    value: silent_ms as f64 / HOUR_MS as f64,
                    baseline: lane.usual.get() / HOUR_MS as f64,
                    threshold: limit_ms() as f64 / HOUR_MS as f64,
                    unit: "h",
                    since_ms: lane.awaits_ms(),
                    confidence: 0.9,
                    why: format!(
                        "no heartbeat that can be read for {:.1} h, while {} other records and {} that can't be read \
                         came; the longest usual interval is {:.1} h",
                        silent_ms as f64 / HOUR_MS as f64,
                        lane.others,
                        lane.refused,
                        lane.usual.get() / HOUR_MS as f64
                    ),
                },
            };
            let trail = if field.is_some() { &lane.lacking } else { &lane.spoken };
            let mut records: Vec<RecordRef> = trail.records().collect();
            if records.is_empty() {
                // Only unreadable records arrived: the evidence is the last readable record.
                records.push(lane.last);
            }
            let (device, records) = (DeviceIx(at as u32), records.into_iter());
            findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::world::{self, HOUR_MS, Said};
    use zenei_wire::{Body, Millivolts, Op, OpKind, OpResult, Percent, State};

    /// Heartbeats each sixth hour and operations each third; `lost` says which heartbeats do not come, `heard` when an
    /// operation does.
    fn told(lost: impl Fn(usize, i64) -> bool, heard: impl Fn(usize, i64) -> i64) -> Vec<String> {
        world::told("schema-drift", 30, |lock, hour, _| {
            let at_ms = hour * HOUR_MS + lock as i64 * 60_000;
            let mut said = Vec::new();
            if hour % 6 == 0 {
                let heard_ms = if lost(lock, hour) { vec![] } else { vec![at_ms] };
                said.push(Said { ts_ms: at_ms, heard_ms, body: world::heartbeat() });
            }
            if hour % 3 == 1 {
                let body = Body::Op(Op::of(OpKind::Lock, OpResult::Ok));
                said.push(Said { ts_ms: at_ms, heard_ms: vec![heard(lock, at_ms)], body });
            }
            said
        })
    }

    #[test]
    fn a_backlog_without_heartbeats_after_an_outage_is_no_drift() {
        // A gateway is away for 30 hours; what people did comes at its return, heartbeats were not kept.
        let (from, to) = (480 * HOUR_MS, 510 * HOUR_MS);
        let away = |lock: usize, at_ms: i64| lock % 3 == 1 && (from..to).contains(&at_ms);
        let heard = |lock, at_ms| if away(lock, at_ms) { to + lock as i64 * 1_000 } else { at_ms };
        assert_eq!(told(|lock, hour| away(lock, hour * HOUR_MS), heard), Vec::<String>::new());
    }

    /// Hourly heartbeats of a battery that falls slowly; from hour 480 on `turned` changes those behind gw-1. The
    /// scopes of all findings of the rule.
    fn turned(turned: impl Fn(State) -> State) -> Vec<String> {
        world::told("schema-drift", 24, |lock, hour, dice| {
            let at_ms = hour * HOUR_MS + lock as i64 * 60_000;
            let noise = dice.one_of(7) as u16;
            let pct = 90 - lock as u8 - (hour / 100) as u8;
            let (battery_mv, battery_pct) = (Some(Millivolts(5_900 - hour as u16 / 4 + noise)), Some(Percent(pct)));
            let Body::State(beat) = world::heartbeat() else { return Vec::new() };
            let beat = State { battery_mv, battery_pct, ..beat };
            let beat = if lock % 3 == 1 && hour >= 480 { turned(beat) } else { beat };
            vec![Said { ts_ms: at_ms, heard_ms: vec![at_ms], body: Body::State(beat) }]
        })
    }

    #[test]
    fn values_that_mean_something_else_behind_one_gateway_are_one_finding_of_it() {
        let centivolts = turned(|beat| State { battery_mv: beat.battery_mv.map(|mv| Millivolts(mv.0 / 10)), ..beat });
        assert_eq!(centivolts, ["gateway gw-1"]);
        let used = turned(|beat| State { battery_pct: beat.battery_pct.map(|pct| Percent(100 - pct.0)), ..beat });
        assert_eq!(used, ["gateway gw-1"]);
    }

    #[test]
    fn a_new_battery_and_a_percentage_that_falls_with_its_voltage_mean_what_they_did() {
        let new = turned(|beat| State { battery_mv: Some(Millivolts(6_400)), battery_pct: Some(Percent(100)), ..beat });
        assert_eq!(new, Vec::<String>::new());
        let bad = turned(|beat| State { battery_mv: Some(Millivolts(4_900)), battery_pct: Some(Percent(15)), ..beat });
        assert_eq!(bad, Vec::<String>::new());
    }

    #[test]
    fn a_lock_that_is_used_and_sends_no_heartbeat_drifts() {
        assert_eq!(told(|lock, hour| lock == 3 && hour >= 480, |_, at_ms| at_ms), ["device d"]);
    }
}
