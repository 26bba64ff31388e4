//! A lock whose clock is wrong by minutes or more: a step, or an accumulated drift.
//!
//! The difference between a record's own time and the time of its receipt is delay plus clock error. A delay is never
//! negative and varies; a clock error is the same in each record. Records received at one moment (a backlog) count as
//! one, by the freshest of them; for a lock that sends often the moments are spaced so that together they cover the
//! observation time that the rule requires. Must not know incidents or stores. Called by the engine.
use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen};
use super::running::{Detect, Glance, Running, Spec, Window};
use crate::anomaly::Findings;
use crate::fleet::DeviceIx;
use crate::kind::{DetectorKind, Parameter};
use crate::lock::RecordRef;
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{HOUR_MS, MINUTE_MS};
use serde::{Deserialize, Serialize};
use zenei_wire::{Body, EventKind};

/// Records received within so long are one moment.
const MOMENT_MS: i64 = MINUTE_MS;
/// Moments that must agree.
const MOMENTS: usize = 8;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "clock_error",
        symptom: Symptom::Clock,
        looks_at: "by how much a lock's clock differs from the gateway's, where the difference is the same in each \
                   record and so is no delay",
        parameters: &[
            Parameter {
                name: "error_minutes",
                unit: "min",
                range: 0.1..=525_600.0,
                meaning: "the least error of a clock that is a finding",
            },
            Parameter {
                name: "spread_minutes",
                unit: "min",
                range: 0.01..=1_440.0,
                meaning: "how much the differences may vary and still be a clock's, not a delay's",
            },
            Parameter {
                name: "observed_minutes",
                unit: "min",
                range: 0.0..=10_080.0,
                meaning: "how long the error must have been seen",
            },
        ],
        reads_field: false,
    },
    reset_by: &[EventKind::Installed],
    every_ms: HOUR_MS,
    counts_late_errors: false,
    counts_unreadable: false,
    make: |spec, rule| Clock::start(spec, rule, Params::of(rule)),
};

type Clock = Running<Params, State>;

struct Params {
    error_min_ms: i64,
    spread_max_ms: i64,
    observed_min_ms: i64,
}

/// The state that a snapshot stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    suspects: Suspects,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    /// A ring.
    moments: [Moment; MOMENTS],
    /// The index of the next moment, which replaces the oldest one.
    next: u8,
    count: u8,
    alarm_ms: Option<i64>,
}

/// The freshest record of one moment; `behind_ms` is positive where the clock is behind or the record was delayed.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Moment {
    heard_ms: i64,
    behind_ms: i64,
    record: RecordRef,
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        let minutes = |name| Ok((rule.parameter(name)? * MINUTE_MS as f64) as i64);
        Ok(Self {
            error_min_ms: minutes("error_minutes")?,
            spread_max_ms: minutes("spread_minutes")?,
            observed_min_ms: minutes("observed_minutes")?,
        })
    }
}

impl Detect for Clock {
    /// Removes the state: the id belongs to another lock now.
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
    }

    /// Takes a record of any kind but an advertisement, which has its gateway's time.
    fn row(&mut self, glance: &Glance<'_>) {
        if matches!(glance.row.body, Body::Adv(_)) {
            return;
        }
        let lane = lane(&mut self.state.lanes, glance.device);
        let heard_ms = glance.row.heard_at.ms();
        let behind_ms = heard_ms.saturating_sub(glance.row.ts.ms());
        let moment = Moment { heard_ms, behind_ms, record: glance.record };
        let at = lane.newest();
        let is_full = usize::from(lane.count) == MOMENTS;
        // For a lock that sends often: without the oldest moment, the others must still reach back far enough.
        let second_ms = lane.moments[(usize::from(lane.next) + 1) % MOMENTS].heard_ms;
        let is_short = is_full && heard_ms - second_ms < self.params.observed_min_ms;
        let moment_ms =
            if is_short { MOMENT_MS.max(self.params.observed_min_ms / (MOMENTS as i64 - 1)) } else { MOMENT_MS };
        let newest = &mut lane.moments[at];
        if lane.count > 0 && (heard_ms - newest.heard_ms).abs() < moment_ms {
            if behind_ms < newest.behind_ms {
                *newest = Moment { heard_ms: newest.heard_ms, ..moment };
            }
            return;
        }
        lane.moments[usize::from(lane.next)] = moment;
        lane.next = (lane.next + 1) % MOMENTS as u8;
        lane.count = (lane.count + 1).min(MOMENTS as u8);
        if lane.error(self.params.error_min_ms, self.params.spread_max_ms).is_some() {
            self.state.suspects.add(glance.device);
        } else if usize::from(lane.count) == MOMENTS {
            lane.alarm_ms = None;
        }
    }

    /// Judges the locks whose clocks looked wrong in this window.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        for device in self.state.suspects.take() {
            let at = device.0 as usize;
            let (lane, lock) = (&mut self.state.lanes[at], &locks[at]);
            let Some(behind_ms) = lane.error(self.params.error_min_ms, self.params.spread_max_ms) else { continue };
            let since_ms = lane.moments[usize::from(lane.next)].heard_ms;
            let observed = lane.moments[lane.newest()].heard_ms - since_ms >= self.params.observed_min_ms;
            if !observed || lock.maintenance || !report::is_due(lane.alarm_ms, now, REPEAT_MS) {
                continue;
            }
            lane.alarm_ms = Some(now.ms());
            let value = (behind_ms as f64 / 1_000.0).abs();
            let threshold = self.params.error_min_ms as f64 / 1_000.0;
            let side = if behind_ms > 0 { "behind" } else { "ahead" };
            let why = format!(
                "the lock's clock is {} {side} in each of its last {MOMENTS} moments of hearing; what varies less \
                 than {} is no delay",
                text(behind_ms.abs()),
                text(self.params.spread_max_ms)
            );
            let seen = Seen { value, baseline: 0.0, threshold, unit: "s", since_ms, confidence: 0.95, why };
            let (newer, older) = lane.moments.split_at(usize::from(lane.next));
            let records = older.iter().chain(newer).map(|moment| moment.record);
            findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
        }
    }
}

impl Lane {
    /// The index of the newest moment.
    fn newest(&self) -> usize {
        (usize::from(self.next) + MOMENTS - 1) % MOMENTS
    }

    /// The error that all moments agree upon, ms; positive: behind.
    fn error(&self, error_min_ms: i64, spread_max_ms: i64) -> Option<i64> {
        // Most clocks are right, and the newest moment alone shows that.
        let newest = self.moments[self.newest()];
        if usize::from(self.count) < MOMENTS || newest.behind_ms.saturating_abs() < error_min_ms {
            return None;
        }
        let behind = || self.moments.iter().map(|moment| moment.behind_ms);
        let (least_ms, most_ms) = (behind().min()?, behind().max()?);
        if most_ms <= -error_min_ms {
            // Ahead of the time of receipt: no delay explains it, and delays only hide part of it.
            return Some(least_ms);
        }
        let agree = most_ms.saturating_sub(least_ms) <= spread_max_ms;
        (least_ms >= error_min_ms && agree).then_some(least_ms)
    }
}

fn text(ms: i64) -> String {
    match ms / 60_000 {
        minutes @ 0..120 => format!("{minutes} min"),
        minutes @ 120..2_880 => format!("{:.1} h", minutes as f64 / 60.0),
        minutes => format!("{:.1} days", minutes as f64 / 1_440.0),
    }
}
