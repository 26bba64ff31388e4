//! Free memory that shrinks while the firmware runs, and how soon it is used up.
//!
//! Within one boot the free memory may fall: a firmware fills its caches in the first hours, so these are left out. The
//! finding is not the fall but its consequence: at the present rate the memory is used up before a fix could be rolled
//! out. Must not know incidents or stores. Called by the engine.
use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen};
use super::running::{Detect, Glance, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::Findings;
use crate::estimate::fall::Fall;
use crate::fleet::DeviceIx;
use crate::kind::{DetectorKind, Parameter};
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};
use serde::{Deserialize, Serialize};
use zenei_wire::{Body, EventKind};

/// Allocators hand out steps of 8 bytes and more.
const STEP_B: f64 = 8.0;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "memory_leak",
        symptom: Symptom::Memory,
        looks_at: "how far free memory has fallen within one boot, once the start is over, and when it would be used \
                   up",
        parameters: &[
            Parameter {
                name: "settle_hours",
                unit: "h",
                range: 0.0..=720.0,
                meaning: "how long after a start memory is still being taken for use",
            },
            Parameter {
                name: "share_per_day",
                unit: "1/d",
                range: 0.0..=1.0,
                meaning: "what of the free memory a healthy lock may lose a day",
            },
            Parameter {
                name: "share_min",
                unit: "1",
                range: 0.001..=1.0,
                meaning: "the least loss beyond that which is a finding",
            },
            Parameter {
                name: "sigmas",
                unit: "sigma",
                range: 1.0..=100.0,
                meaning: "how many standard deviations of its noise a departure must have",
            },
            Parameter {
                name: "horizon_days",
                unit: "d",
                range: 1.0..=365.0,
                meaning: "memory that lasts longer than this at its present rate is no finding",
            },
        ],
        reads_field: false,
    },
    reset_by: &[EventKind::Installed],
    every_ms: 2 * HOUR_MS,
    counts_late_errors: false,
    counts_unreadable: false,
    make: |spec, rule| Leak::start(spec, rule, Params::of(rule)),
};

type Leak = Running<Params, State>;

struct Params {
    settle_ms: i64,
    share_per_day: f64,
    share_min: f64,
    sigmas: f64,
    horizon_days: f64,
}

/// The state that a snapshot stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    suspects: Suspects,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    started: bool,
    boot: Option<u32>,
    booted_ms: i64,
    first_b: f32,
    heap: Fall,
    trail: Trail,
    alarm_ms: Option<i64>,
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        Ok(Self {
            settle_ms: (rule.parameter("settle_hours")? * HOUR_MS as f64) as i64,
            share_per_day: rule.parameter("share_per_day")?,
            share_min: rule.parameter("share_min")?,
            sigmas: rule.parameter("sigmas")?,
            horizon_days: rule.parameter("horizon_days")?,
        })
    }
}

impl Detect for Leak {
    /// Removes the state: the id belongs to another lock now.
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
    }

    /// Takes a heartbeat.
    fn row(&mut self, glance: &Glance<'_>) {
        let Body::State(state) = &glance.row.body else { return };
        let Some(heap) = state.free_heap_b else { return };
        let lane = lane(&mut self.state.lanes, glance.device);
        let now_ms = glance.now_ms;
        if !lane.started || lane.boot != glance.row.boot {
            let up_ms = glance.row.uptime_s.map_or(0, |seconds| i64::from(seconds) * 1_000);
            let alarm_ms = lane.alarm_ms;
            *lane =
                Lane { started: true, boot: glance.row.boot, booted_ms: now_ms - up_ms, alarm_ms, ..Lane::default() };
        }
        if now_ms - lane.booted_ms < self.params.settle_ms {
            return;
        }
        if lane.heap.count() == 0 {
            lane.first_b = heap.0 as f32;
        }
        let allowed = self.params.share_per_day * f64::from(lane.first_b);
        lane.heap.add(f64::from(heap.0), now_ms, allowed, STEP_B);
        if lane.heap.depth() > 2.0 * lane.heap.noise_of_depth() {
            lane.trail.add(glance.record, now_ms);
            if lane.heap.depth() >= self.params.share_min * f64::from(lane.first_b) {
                self.state.suspects.add(glance.device);
            }
        } else if lane.heap.depth() <= 0.0 {
            lane.trail.clear();
        }
    }

    /// Judges the locks whose last heartbeat was low; called every few hours.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        for device in self.state.suspects.take() {
            let (lane, lock) = (&mut self.state.lanes[device.0 as usize], &locks[device.0 as usize]);
            if lock.maintenance {
                continue;
            }
            let depth_b = lane.heap.depth();
            let limit_b =
                (self.params.share_min * f64::from(lane.first_b)).max(self.params.sigmas * lane.heap.noise_of_depth());
            if lane.heap.count() <= 10 || depth_b < limit_b {
                continue;
            }
            let (value, since_ms) = (lane.heap.value(), lane.heap.since_ms());
            let days = ((now.ms() - since_ms) as f64 / DAY_MS as f64).max(0.1);
            let per_day = depth_b / days + self.params.share_per_day * f64::from(lane.first_b);
            let left_days = value / per_day;
            if left_days > self.params.horizon_days || !report::is_due(lane.alarm_ms, now, REPEAT_MS) {
                continue;
            }
            lane.alarm_ms = Some(now.ms());
            let baseline = lane.heap.reference();
            let why = format!(
                "free memory falls by {per_day:.0} bytes a day since {days:.1} days in one boot: {value:.0} of \
                 {baseline:.0} bytes are left, used up in \
                 {left_days:.1} days"
            );
            let sure = report::confidence(depth_b, limit_b);
            let threshold = baseline - limit_b;
            let seen = Seen { value, baseline, threshold, unit: "bytes", since_ms, confidence: sure, why };
            let records = lane.trail.records();
            findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
        }
    }
}
