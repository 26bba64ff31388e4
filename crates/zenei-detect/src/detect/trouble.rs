//! Operations that end badly, or that needed more than one attempt, more often than they should: a brush without
//! contact, a bolt that meets an obstacle.
//!
//! An operation is troubled when it ends in a jam, a stall or a timeout, when the motor ran far longer than usual in
//! this direction of the lock, or when it ran longer without taking more current: friction costs both, a failed attempt
//! costs time alone. Troubled operations within a few minutes count as one: a person tries again. Their share is
//! compared with the larger of the model's share and the lock's own past share drawn to it, the less the more locks of
//! the model differ. A lock that is used often has more chances of a false alarm, and needs more evidence. A lock's
//! first operations are learned, not judged: what it does from the start is normal for it. Must not know incidents or
//! stores. Called by the engine.
use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen};
use super::running::{Detect, Glance, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::Findings;
use crate::estimate::excess::{ALTERNATIVES, Excess};
use crate::fleet::{DeviceIx, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::{DIRECTIONS, direction};
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_wire::{Body, EngineTime, EventKind, OpResult};

/// Operations that determine the usual run time of a lock's motor in one direction.
const FIRST: f32 = 8.0;
/// Weight of a new operation in the mean and the noise of the run time.
const SHARE: f32 = 0.03;
/// Least relative noise of the run time: the control loop's tick of some milliseconds in several hundred.
const NOISE_MIN: f32 = 0.012;
/// First relative noise. A guess that the lock's own operations replace.
const NOISE_FIRST: f32 = 0.05;
/// A current that is higher by less than this (logarithm) counts as no higher: the resolution of a current sense and
/// the scatter of a mean.
const IDLE_MA: f32 = 0.04;
/// Standard deviations of the run time that are unusual where the current is no higher.
const IDLE_SIGMAS: f32 = 4.0;
/// One operation moves the mean by at most so many times the noise.
const CLIP: f32 = 3.0;
/// Operations of a lock that are learned, not judged: three days of use. A guess.
const LEARNED: f32 = 20.0;
/// Imagined operations at the model's share in a lock's own, where locks differ no more than by chance; a guess: a
/// month of use.
const OWN_WEIGHT: f64 = 200.0;
/// Imagined locks that differ so little, until the model's own have shown how they differ. A guess.
const ALIKE: f64 = 50.0;
/// Imagined operations at the prior share in a model's.
const MODEL_WEIGHT: f64 = 2_000.0;
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
                   was needed, against the lock's own share and its model's",
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
    counts_late_errors: false,
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
    troubled: f64,
    operations: f64,
    /// Locks whose first operations are learned, the mean over them of the troubled share, and of its square, as sums.
    locks: f64,
    shares: f64,
    squares: f64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    directions: [Drive; DIRECTIONS],
    troubled: f32,
    operations: f32,
    /// When the first operation was.
    first_ms: i64,
    excess: Excess,
    since_operations: u32,
    since_troubled: u32,
    /// Times with trouble, at least half a day apart; counted up to two.
    days_troubled: u8,
    day_ms: i64,
    last_ms: Option<i64>,
    trail: Trail,
    alarm_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Drive {
    log_ms: f32,
    /// 0 until an operation has reported a current.
    log_ma: f32,
    noise: f32,
    count: f32,
}

impl Model {
    fn share(&self, prior: f64) -> f64 {
        (self.troubled + MODEL_WEIGHT * prior) / (self.operations + MODEL_WEIGHT)
    }

    /// Takes a lock's first operations. Of a binomial count k of n, k (k - 1) / (n (n - 1)) is the square of the share
    /// without bias.
    fn learn(&mut self, troubled: f64) {
        let operations = f64::from(LEARNED);
        self.locks += 1.0;
        self.shares += troubled / operations;
        self.squares += troubled * (troubled - 1.0) / (operations * (operations - 1.0));
    }

    /// How many operations at the model's share a lock's own are worth: the sum of a beta distribution's parameters
    /// with the mean and variance that the locks' shares have.
    fn own_weight(&self, share: f64) -> f64 {
        let alike = share * share + share * (1.0 - share) / (OWN_WEIGHT + 1.0);
        let locks = self.locks + ALIKE;
        let mean = (self.shares + ALIKE * share) / locks;
        let variance = (self.squares + ALIKE * alike) / locks - mean * mean;
        let weight = mean * (1.0 - mean) / variance.max(f64::MIN_POSITIVE) - 1.0;
        weight.clamp(1.0, OWN_WEIGHT)
    }
}

impl Lane {
    /// How often the lock is used, operations a day.
    fn per_day(&self, now: EngineTime) -> f64 {
        let days = (now.ms() - self.first_ms) as f64 / DAY_MS as f64;
        f64::from(self.operations) / days.max(1.0)
    }
}

/// The limits beyond which a run time is suspicious.
#[derive(Clone, Copy, Debug)]
struct Longer {
    /// Logarithm of how much longer, whatever the current.
    far: f32,
    /// The same where the current is no higher.
    idle: f32,
    /// The least excess in standard deviations.
    sigmas: f32,
}

impl Drive {
    /// Takes the run time and the mean current; returns whether the run was longer than the lock needs.
    fn add(&mut self, duration_ms: f64, mean_ma: Option<f64>, longer: Longer) -> bool {
        let log = |value: f64| libm::log(value.max(1.0)) as f32;
        if self.log_ma == 0.0 {
            self.log_ma = mean_ma.map_or(0.0, log);
        }
        let (log_ms, log_ma) = (log(duration_ms), mean_ma.map_or(self.log_ma, log));
        if self.count < FIRST {
            self.count += 1.0;
            self.noise = NOISE_FIRST;
            let first = self.count == 1.0;
            // The first operations may include a troubled one: a median would be better, a mean of bounded steps is
            // enough.
            let toward =
                |mean: f32, value: f32| if first { value } else { mean + (value - mean).clamp(-0.1, 0.1) / self.count };
            (self.log_ms, self.log_ma) = (toward(self.log_ms, log_ms), toward(self.log_ma, log_ma));
            return false;
        }
        let (slower, harder) = (log_ms - self.log_ms, log_ma - self.log_ma);
        let is_far = slower > longer.far.max(longer.sigmas * self.noise);
        let is_idle = mean_ma.is_some() && harder < IDLE_MA && slower > longer.idle.max(IDLE_SIGMAS * self.noise);
        let reach = CLIP * self.noise;
        let bounded = slower.clamp(-reach, reach);
        self.log_ms += SHARE * bounded;
        self.log_ma += SHARE * harder.clamp(-0.1, 0.1);
        if !(is_far || is_idle) {
            // For a Gaussian the mean of |x| is 0.8σ.
            self.noise = (self.noise + SHARE * (1.25 * bounded.abs() - self.noise)).max(NOISE_MIN);
        }
        is_far || is_idle
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
        let troubled = match op.result {
            OpResult::Ok => op.duration_ms.is_some_and(|duration| {
                let mean_ma = op.mean_ma.map(|mean| f64::from(mean.0));
                lane.directions[direction].add(f64::from(duration), mean_ma, self.params.longer)
            }),
            OpResult::Jam | OpResult::Stall | OpResult::Timeout => true,
            // The motor is not the cause: a refused request, or a supply that failed.
            OpResult::Rejected | OpResult::Aborted => return,
        };
        let now_ms = glance.now_ms;
        let again = lane.last_ms.is_some_and(|last_ms| now_ms - last_ms < self.params.debounce_ms);
        if troubled {
            lane.last_ms = Some(now_ms);
        }
        if glance.lock.maintenance || (troubled && again) {
            return;
        }
        let model = self.state.models.entry(glance.lock.labels.model).or_default();
        let share = model.share(self.params.prior_share);
        if lane.operations >= LEARNED {
            let weight = model.own_weight(share);
            let own = (f64::from(lane.troubled) + weight * share) / (f64::from(lane.operations) + weight);
            let normal = own.max(share);
            lane.excess.add(f64::from(u8::from(troubled)), normal, suspected(normal));
        }
        if lane.excess.evidence() < self.params.limit {
            // A found trouble is not learned as normal; a suspected one is, because otherwise the normal share would be
            // too low.
            if lane.operations == 0.0 {
                lane.first_ms = now_ms;
            }
            lane.troubled += f32::from(u8::from(troubled));
            lane.operations += 1.0;
            model.troubled += f64::from(u8::from(troubled));
            model.operations += 1.0;
            if lane.operations == LEARNED {
                model.learn(f64::from(lane.troubled));
            }
        }
        if lane.excess.evidence() <= 0.0 {
            (lane.since_operations, lane.since_troubled, lane.days_troubled, lane.alarm_ms) = (0, 0, 0, None);
            lane.trail.clear();
            return;
        }
        lane.since_operations += 1;
        if troubled {
            lane.since_troubled += 1;
            if lane.days_troubled == 0 || (lane.days_troubled == 1 && now_ms - lane.day_ms >= DAY_MS / 2) {
                (lane.days_troubled, lane.day_ms) = (lane.days_troubled + 1, now_ms);
            }
            lane.trail.add(glance.record, now_ms);
            if lane.excess.evidence() >= self.params.limit {
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
            let evidence = lane.excess.evidence();
            let limit =
                self.params.limit + LIMIT_BY_USE * libm::log((lane.per_day(now) / self.params.usual_per_day).max(1.0));
            let due = report::is_due(lane.alarm_ms, now, REPEAT_MS);
            // A single bad day may be a parcel in the door; evidence far beyond the limit is not.
            let lasts = lane.days_troubled >= 2 || evidence >= 2.0 * limit;
            if evidence < limit || lane.since_troubled < self.params.count_min || !lasts || !due {
                continue;
            }
            lane.alarm_ms = Some(now.ms());
            let model = self.state.models.get(&lock.labels.model).copied().unwrap_or_default();
            let share = model.share(self.params.prior_share);
            let operations = f64::from(lane.since_operations.max(1));
            let value = 100.0 * f64::from(lane.since_troubled) / operations;
            let baseline = 100.0 * share;
            let threshold = (value * limit / evidence).max(baseline);
            let since_ms = lane.trail.since_ms().unwrap_or(now.ms());
            let why = format!(
                "{} of {} operations jammed, stalled or needed more than one attempt, against {baseline:.2} % on \
                 locks of its model; evidence e^{evidence:.1}, \
                 limit e^{limit:.1}",
                lane.since_troubled, lane.since_operations
            );
            let sure = report::confidence(evidence, limit);
            let seen = Seen { value, baseline, threshold, unit: "percent", since_ms, confidence: sure, why };
            let records = lane.trail.records();
            findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
        }
    }
}

/// The shares of a faulty lock: five times the normal one, or so often that people notice.
fn suspected(normal: f64) -> [f64; ALTERNATIVES] {
    [(5.0 * normal).min(0.9), 0.1, 0.3]
}
