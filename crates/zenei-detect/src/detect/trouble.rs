//! Operations that end badly, or that needed more than one attempt, more often than they should: a brush without
//! contact, a bolt that meets an obstacle.
//!
//! An operation is troubled when it ends in a jam, a stall or a timeout, when the motor ran far longer than usual in
//! this direction of the lock, or when it ran longer without taking more current: friction costs both, a failed attempt
//! costs time alone. Troubled operations within a few minutes count as one: a person tries again. Their share is
//! compared with the larger of the model's share and the lock's own past share drawn to it, the less the more locks of
//! the model differ. A lock that is used often has more chances of a false alarm, and needs more evidence. A lock's
//! first operations are learned, not judged: what it does from the start is normal for it. Stalls and jams are judged
//! by themselves too: a part that fails in one way stands out among what hardly ever happens. A request over the
//! network that times out while the motor runs as usual says nothing of the drive. Where the bolt ends is evidence by
//! itself (`place`): a strike that has moved shows there with each operation, long before the bolt jams. Must not know
//! incidents or stores. Called by the engine.
mod drive;
mod mix;
mod place;
mod share;

use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen};
use super::running::{Detect, Glance, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::Findings;
use crate::fleet::{DeviceIx, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::{DIRECTIONS, direction};
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use drive::{Drive, Longer};
use mix::{KINDS, Mix};
use place::{Alike, Place};
use serde::{Deserialize, Serialize};
use share::{Common, LEARNED, Share};
use std::collections::BTreeMap;
use zenei_wire::{Body, EngineTime, EventKind, Op, OpResult, OpSource};

/// What part of the normal troubles is of each kind, before the fleet has taught it. A guess: of stalls, jams and the
/// rest a third each.
const KINDS_SHARE: [f64; KINDS] = [1.0, 1.0 / 3.0, 1.0 / 3.0];
/// What the evidence of stalls alone, of jams alone and of the end position is reduced by, nat: each may be wrong a
/// tenth as often as all troubles together. A guess.
const ALONE_NAT: f64 = 2.303;
/// The additional evidence that a lock needs which is used e times as often, nat. Where troubles are independent, as
/// many more are found by chance: 1. Where they come together, on a bad day of door or weather, three of one day come
/// by chance as many times more often cubed: 3. A guess between; measured: in one fleet of three times the usual use,
/// 15 were found by chance where ten usual ones had 13, that is 2.2.
const LIMIT_BY_USE: f64 = 2.0;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "operation_trouble",
        symptom: Symptom::Trouble,
        looks_at: "how many operations end in a jam, stall or timeout, or take so much longer that a second attempt \
                   was needed, against the lock's own share and its model's; stalls and jams also by themselves; and \
                   where the bolt ends, against the lock's own usual place",
        parameters: &[
            Parameter {
                name: "prior_share",
                unit: "1",
                range: 1e-6..=0.5,
                meaning: "the share that is normal before the fleet has taught it",
            },
            Parameter {
                name: "longer",
                unit: "1",
                range: 0.01..=10.0,
                meaning: "how much longer than usual an operation is that needed a second attempt, as a share",
            },
            Parameter {
                name: "longer_idle",
                unit: "1",
                range: 0.01..=10.0,
                meaning: "the same of an operation that took no more current than usual, as a share",
            },
            Parameter {
                name: "sigmas",
                unit: "sigma",
                range: 1.0..=100.0,
                meaning: "how many standard deviations of its noise a departure must have",
            },
            Parameter {
                name: "debounce_minutes",
                unit: "min",
                range: 0.0..=1_440.0,
                meaning: "troubles within so long are one",
            },
            Parameter {
                name: "usual_per_day",
                unit: "1/d",
                range: 0.1..=10_000.0,
                meaning: "operations a day beyond which a lock needs more evidence",
            },
            Parameter {
                name: "limit",
                unit: "nat",
                range: 1.0..=100.0,
                meaning: "how much evidence (the natural logarithm of a likelihood ratio) is a finding",
            },
            Parameter {
                name: "count_min",
                unit: "1",
                range: 1.0..=1_000.0,
                meaning: "how many events a finding has at least",
            },
        ],
        reads_field: false,
    },
    reset_by: &[EventKind::Installed, EventKind::Moved],
    every_ms: HOUR_MS,
    counts_late: false,
    counts_unreadable: false,
    make: |spec, rule| Trouble::start(spec, rule, Params::of(rule)),
};

type Trouble = Running<Params, State>;

struct Params {
    prior_share: f64,
    longer: Longer,
    debounce_ms: i64,
    usual_per_day: f64,
    limit: f64,
    count_min: u32,
}

/// The state that a snapshot stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    models: BTreeMap<Sym, Model>,
    suspects: Suspects,
}

/// The statistics of a model's locks.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Model {
    kinds: [Common; KINDS],
    place: Alike,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    directions: [Drive; DIRECTIONS],
    place: Place,
    kinds: [Share; KINDS],
    /// Of the present departure.
    mix: Mix,
    operations: f32,
    /// When the first operation was.
    first_ms: i64,
    since_operations: u32,
    since_troubled: u32,
    /// Times with trouble, at least half a day apart; counted up to two.
    days_troubled: u8,
    day_ms: i64,
    last_ms: Option<i64>,
    trail: Trail,
    alarm_ms: Option<i64>,
}

impl Lane {
    /// How often the lock is used, operations a day.
    fn per_day(&self, now: EngineTime) -> f64 {
        let days = (now.ms() - self.first_ms) as f64 / DAY_MS as f64;
        f64::from(self.operations) / days.max(1.0)
    }

    /// The evidence of trouble, nat.
    fn evidence(&self) -> f64 {
        self.of_kinds().max(self.place.evidence() - ALONE_NAT)
    }

    /// The evidence of the kind of trouble that stands out most, nat; negative where there is none.
    fn of_kinds(&self) -> f64 {
        self.strongest([self.mix.against(), ALONE_NAT, ALONE_NAT])
    }

    /// Whether no departure is suspected. That the present one has the usual mix of kinds speaks against a fault, but
    /// does not end it: what is known of it would be lost.
    fn is_usual(&self) -> bool {
        self.strongest([0.0, ALONE_NAT, ALONE_NAT]) <= 0.0 && self.place.evidence() - ALONE_NAT <= 0.0
    }

    fn strongest(&self, costs: [f64; KINDS]) -> f64 {
        let each = self.kinds.iter().zip(costs).map(|(share, cost)| share.evidence() - cost);
        each.fold(f64::NEG_INFINITY, f64::max)
    }
}

impl Lane {
    /// Of which kinds an operation is troubled; `None` where it says nothing of the drive.
    fn troubles(&mut self, op: &Op, direction: usize, longer: Longer) -> Option<[bool; KINDS]> {
        let way = &mut self.directions[direction];
        Some(match op.result {
            OpResult::Ok => {
                let mean_ma = op.mean_ma.map(|mean| f64::from(mean.0));
                let slow = op.duration_ms.is_some_and(|duration| way.add(f64::from(duration), mean_ma, longer));
                [slow, false, false]
            }
            OpResult::Stall => [true, true, false],
            OpResult::Jam => [true, false, true],
            // A drive that is stuck runs to its limit, whoever asked. Where the motor ran as usual, or not at all, a
            // request over the network expired on its way.
            OpResult::Timeout if !is_local(op.source) && way.is_usual(op.duration_ms.map(f64::from), longer) => {
                return None;
            }
            OpResult::Timeout => [true, false, false],
            // The motor is not the cause: a refused request, or a supply that failed.
            OpResult::Rejected | OpResult::Aborted => return None,
        })
    }

    /// Whether the place where the bolt ends is the evidence.
    fn is_beside(&self) -> bool {
        self.place.evidence() - ALONE_NAT > self.of_kinds()
    }

    /// For people: how far from its usual place the bolt ends, where that is the evidence.
    fn beside(&self) -> String {
        if !self.is_beside() {
            return String::new();
        }
        let (usual, shift) = self.place.shift();
        format!(" the bolt ends {shift:+.1}° from its usual place ({usual:.1}°);")
    }
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        Ok(Self {
            prior_share: rule.parameter("prior_share")?,
            longer: Longer {
                far: libm::log(1.0 + rule.parameter("longer")?) as f32,
                idle: libm::log(1.0 + rule.parameter("longer_idle")?) as f32,
                sigmas: rule.parameter("sigmas")? as f32,
            },
            debounce_ms: (rule.parameter("debounce_minutes")? * MINUTE_MS as f64) as i64,
            usual_per_day: rule.parameter("usual_per_day")?,
            limit: rule.parameter("limit")?,
            count_min: rule.parameter("count_min")? as u32,
        })
    }
}

impl Detect for Trouble {
    /// Removes the state: another lock, or another door.
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
    }

    /// Takes an operation.
    fn row(&mut self, glance: &Glance<'_>) {
        let Body::Op(op) = &glance.row.body else { return };
        let Some(direction) = direction(op.op) else { return };
        let lane = lane(&mut self.state.lanes, glance.device);
        let Some(kinds) = lane.troubles(op, direction, self.params.longer) else { return };
        let (troubled, now_ms) = (kinds[0], glance.now_ms);
        let again = lane.last_ms.is_some_and(|last_ms| now_ms - last_ms < self.params.debounce_ms);
        if troubled {
            lane.last_ms = Some(now_ms);
        }
        if glance.lock.maintenance {
            return;
        }
        let Params { limit, prior_share, .. } = self.params;
        let model = self.state.models.entry(glance.lock.labels.model).or_default();
        let place = op.angle_err_deg.filter(|_| op.result == OpResult::Ok);
        let off =
            place.is_some_and(|place| lane.place.add(place.degrees(), direction, &mut model.place, limit + ALONE_NAT));
        if troubled && again {
            return;
        }
        if lane.operations >= LEARNED {
            for (at, (share, common)) in lane.kinds.iter_mut().zip(&model.kinds).enumerate() {
                share.judge(kinds[at], lane.operations, common, prior_share * KINDS_SHARE[at]);
            }
            if troubled {
                let share = |at: usize, own| model.kinds[at].share_without(own, prior_share * KINDS_SHARE[at]);
                lane.mix.add(kinds, share);
            }
        }
        if lane.evidence() < limit {
            // A found trouble is not learned as normal; a suspected one is, because otherwise the normal share would be
            // too low.
            if lane.operations == 0.0 {
                lane.first_ms = now_ms;
            }
            lane.operations += 1.0;
            for ((share, common), troubled) in lane.kinds.iter_mut().zip(&mut model.kinds).zip(kinds) {
                share.learn(troubled, lane.operations, common);
            }
        }
        if lane.is_usual() {
            (lane.since_operations, lane.since_troubled, lane.days_troubled, lane.alarm_ms) = (0, 0, 0, None);
            lane.mix = Mix::default();
            lane.trail.clear();
            return;
        }
        lane.since_operations += 1;
        if troubled || off {
            lane.since_troubled += 1;
            if lane.days_troubled == 0 || (lane.days_troubled == 1 && now_ms - lane.day_ms >= DAY_MS / 2) {
                (lane.days_troubled, lane.day_ms) = (lane.days_troubled + 1, now_ms);
            }
            lane.trail.add(glance.record, now_ms);
            if lane.evidence() >= limit {
                self.state.suspects.add(glance.device);
            }
        }
    }

    /// Judges the locks whose last trouble was beyond the limit.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        for device in self.state.suspects.take() {
            let at = device.0 as usize;
            let (lane, lock) = (&mut self.state.lanes[at], &locks[at]);
            let evidence = lane.evidence();
            let limit =
                self.params.limit + LIMIT_BY_USE * libm::log((lane.per_day(now) / self.params.usual_per_day).max(1.0));
            let due = report::is_due(lane.alarm_ms, now, REPEAT_MS);
            // A single bad day may be a parcel in the door; evidence far beyond the limit is not, and no parcel moves
            // the place where a bolt ends that is thrown.
            let lasts = lane.days_troubled >= 2 || evidence >= 2.0 * limit || lane.is_beside();
            if evidence < limit || lane.since_troubled < self.params.count_min || !lasts || !due {
                continue;
            }
            lane.alarm_ms = Some(now.ms());
            let model = self.state.models.get(&lock.labels.model).copied().unwrap_or_default();
            let baseline = 100.0 * model.kinds[0].share(self.params.prior_share);
            let operations = f64::from(lane.since_operations.max(1));
            let value = 100.0 * f64::from(lane.since_troubled) / operations;
            let threshold = (value * limit / evidence).max(baseline);
            let since_ms = lane.trail.since_ms().unwrap_or(now.ms());
            let why = format!(
                "{} of {} operations jammed, stalled, ended beside their usual place or needed more than one attempt, \
                 against {baseline:.2} % on locks of its model;{} evidence e^{evidence:.1}, limit e^{limit:.1}",
                lane.since_troubled,
                lane.since_operations,
                lane.beside(),
            );
            let sure = report::confidence(evidence, limit);
            let seen = Seen { value, baseline, threshold, unit: "percent", since_ms, confidence: sure, why };
            let records = lane.trail.records();
            findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
        }
    }
}

/// Whether somebody at the door, or the lock itself, asked for the operation.
fn is_local(source: Option<OpSource>) -> bool {
    match source {
        Some(OpSource::Keypad | OpSource::Nfc | OpSource::Auto | OpSource::Manual) => true,
        Some(OpSource::App | OpSource::Remote | OpSource::Schedule) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_mix_of_kinds_speaks_against_a_departure_and_does_not_end_it() {
        let (mut lane, common) = (Lane::default(), Common::default());
        let judge = |lane: &mut Lane, troubled| lane.kinds[0].judge(troubled, 500.0, &common, 1e-3);
        judge(&mut lane, true);
        lane.mix.add([true, false, true], |kind, _| [1e-3, 1e-5, 9e-4][kind]);
        assert!(lane.mix.against() > 0.5 && lane.evidence() > 0.0 && !lane.is_usual());
        while lane.evidence() > 0.0 {
            judge(&mut lane, false);
        }
        assert!(!lane.is_usual(), "what is known of it stays");
        (0..10_000).for_each(|_| judge(&mut lane, false));
        assert!(lane.is_usual());
    }
}
