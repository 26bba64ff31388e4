//! Which client or service makes requests fail? An operation that somebody asks for by an app or from afar fails where
//! it ends in a timeout or a refusal, or so late that a person has given up, or where the lock tells with it of an
//! error that neither its drive nor its firmware makes; a gateway tells how many of its calls to the service fail.
//!
//! Operations are judged, not locks: each hour the failed ones of a client are compared with what their locks' own
//! shares let expect, as other clients fare in the same service at the same time; those of a service likewise, as the
//! same clients fare in other services. Where nothing else is there to compare with, the own past remains. A lock's
//! failures count once in six hours; one gateway, or one firmware version whose locks are ill, accuses nobody. What one
//! value explains is not counted for another. Must not know incidents or stores. Called by the engine.
mod count;
mod hubs;
mod judge;
mod watch;

use super::codes;
use super::lanes::{forget, lane};
use super::running::{Detect, Glance, Running, Spec, Window};
use crate::anomaly::Findings;
use crate::batch::Row;
use crate::fleet::{DeviceIx, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::RecordRef;
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::HOUR_MS;
use count::{Cell, Count, Value};
use hubs::Hubs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use watch::Watch;
use zenei_wire::{Body, DeviceTime, EventKind, Op, OpResult, OpSource};

/// Imagined requests at the fleet's share in a lock's own. A guess: some weeks of use.
const OWN_WEIGHT: f64 = 50.0;
/// Imagined requests at the prior share in the fleet's.
const FLEET_WEIGHT: f64 = 2_000.0;
/// A lock's failure counts again after so many hours: a lock that is ill by itself fails each time. A guess.
const FAILS_EVERY_H: i32 = 6;
/// An error that is told within so long after a request, by the lock's clock, ms, is what the request met. A guess: a
/// lock tells both at once.
const TOLD_WITH_MS: i64 = 60_000;
/// What remains of an hour's counts in the pace of the next: a day and a half counts. A guess.
const PACE_KEPT: f64 = 0.97;
/// Imagined failures at the expected rate in the pace of others. A guess.
const PACE_WEIGHT: f64 = 10.0;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "requests",
        symptom: Symptom::Requests,
        looks_at: "requests by app or from afar that fail, or with which the lock tells of an error outside of it, by \
                   client version and by service, against what the locks' own shares let expect as others fare at the \
                   same time; and failed calls that gateways report",
        parameters: &[
            Parameter {
                name: "prior_share",
                unit: "1",
                range: 1e-6..=0.5,
                meaning: "the share of failed requests that is normal before the fleet has taught it",
            },
            Parameter {
                name: "late_seconds",
                unit: "s",
                range: 0.1..=600.0,
                meaning: "a request that takes so much longer than the motor runs has failed for who asked",
            },
            Parameter {
                name: "least_excess",
                unit: "1",
                range: 0.0..=1.0,
                meaning: "so many more of the requests than expected may fail: nobody notices, and clients and services \
                          differ",
            },
            Parameter {
                name: "limit",
                unit: "nat",
                range: 1.0..=100.0,
                meaning: "how much evidence (the natural logarithm of a likelihood ratio) is a finding",
            },
            Parameter {
                name: "min_locks",
                unit: "1",
                range: 1.0..=1e6,
                meaning: "how many locks a finding has at least, where no gateways report it",
            },
        ],
        reads_field: false,
    },
    reset_by: &[EventKind::Installed],
    every_ms: HOUR_MS,
    counts_late: false,
    counts_unreadable: false,
    make: |spec, rule| Requests::start(spec, rule, Params::of(rule)),
};

type Requests = Running<Params, State>;

struct Params {
    prior_share: f64,
    late_ms: f64,
    least_excess: f64,
    limit: f64,
    min_locks: usize,
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        Ok(Self {
            prior_share: rule.parameter("prior_share")?,
            late_ms: 1e3 * rule.parameter("late_seconds")?,
            least_excess: rule.parameter("least_excess")?,
            limit: rule.parameter("limit")?,
            min_locks: rule.parameter("min_locks")? as usize,
        })
    }
}

/// The state that a snapshot stores.
#[derive(Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    fleet: Count,
    /// Of this hour.
    hour: BTreeMap<Cell, Count>,
    failures: Vec<Failure>,
    /// Of late, by service and client.
    lately: BTreeMap<(Sym, Sym), Count>,
    hubs: Hubs,
    watches: BTreeMap<Value, Watch>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Lane {
    requests: f32,
    failed: f32,
    /// The hour of the last failure that counted, since 1970.
    hour: i32,
    /// The second of its last request by its own clock, since 1970; `None` before the first.
    asked_s: Option<NonZeroU32>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Failure {
    device: DeviceIx,
    cell: Cell,
    record: RecordRef,
}

impl Detect for Requests {
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
    }

    /// Takes an operation that somebody asked for through a client, or what it met.
    fn row(&mut self, glance: &Glance<'_>) {
        if glance.lock.maintenance {
            return;
        }
        match &glance.row.body {
            Body::Op(op) if is_request(op) => self.asked(glance, has_failed(op, self.params.late_ms)),
            Body::Error(error) if !codes::is_of_lock(&error.code) => self.met(glance),
            Body::Op(_) | Body::Error(_) | Body::State(_) | Body::Event(_) | Body::Gateway(_) | Body::Adv(_) => {}
        }
    }

    fn gateway(&mut self, row: &Row) {
        if let Body::Gateway(report) = &row.body {
            self.state.hubs.take(row.device, report, RecordRef::of(row));
        }
    }

    /// Judges the hour.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let hour = core::mem::take(&mut self.state.hour);
        self.state.lately.values_mut().for_each(|count| {
            count.requests *= PACE_KEPT;
            count.failed *= PACE_KEPT;
            count.expected *= PACE_KEPT;
        });
        for (&cell, count) in &hour {
            self.state.lately.entry((cell.service, cell.client)).or_default().add(count);
        }
        self.state.lately.retain(|_, count| count.requests > 1e-3);
        self.weigh(&hour, window.now);
        self.judge(window, findings);
        self.state.failures.clear();
        self.state.hubs.next_hour();
    }

    fn close_day(&mut self, window: Window<'_>) {
        self.state.hubs.place(window);
    }
}

impl Requests {
    /// Takes a request, and whether it has failed.
    fn asked(&mut self, glance: &Glance<'_>, has_failed: bool) {
        let share = self.share();
        let lane = lane(&mut self.state.lanes, glance.device);
        let own = (f64::from(lane.failed) + OWN_WEIGHT * share) / (f64::from(lane.requests) + OWN_WEIGHT);
        lane.requests += 1.0;
        lane.asked_s = second(glance.row.ts);
        self.count(glance, &Count { requests: 1.0, failed: 0.0, expected: own });
        if has_failed {
            self.failed(glance);
        }
    }

    /// Takes an error: where the lock was asked for something just before, that has failed. An error that is told
    /// before its request is not seen to belong to it.
    fn met(&mut self, glance: &Glance<'_>) {
        let asked_s = lane(&mut self.state.lanes, glance.device).asked_s;
        if is_told_with(asked_s, second(glance.row.ts)) {
            self.failed(glance);
        }
    }

    /// Counts a failure, if the lock had none of late.
    fn failed(&mut self, glance: &Glance<'_>) {
        let hour = glance.now_ms.div_euclid(HOUR_MS) as i32;
        let lane = lane(&mut self.state.lanes, glance.device);
        if hour - lane.hour < FAILS_EVERY_H {
            return;
        }
        lane.failed += 1.0;
        lane.hour = hour;
        let cell = Cell::of(&glance.row.labels);
        self.state.failures.push(Failure { device: glance.device, cell, record: glance.record });
        self.count(glance, &Count { requests: 0.0, failed: 1.0, expected: 0.0 });
    }

    fn count(&mut self, glance: &Glance<'_>, count: &Count) {
        self.state.fleet.add(count);
        self.state.hour.entry(Cell::of(&glance.row.labels)).or_default().add(count);
    }

    /// The share of requests that fail in the fleet.
    fn share(&self) -> f64 {
        let Count { requests, failed, .. } = self.state.fleet;
        (failed + FLEET_WEIGHT * self.params.prior_share) / (requests + FLEET_WEIGHT)
    }
}

/// The second of a record by the lock's clock, since 1970; `None` where the clock was not set.
fn second(ts: DeviceTime) -> Option<NonZeroU32> {
    u32::try_from(ts.ms().div_euclid(1_000)).ok().and_then(NonZeroU32::new)
}

/// Whether an error that is told in this second is what the last request met.
fn is_told_with(asked_s: Option<NonZeroU32>, told_s: Option<NonZeroU32>) -> bool {
    let late_s = asked_s.zip(told_s).and_then(|(asked, told)| told.get().checked_sub(asked.get()));
    late_s.is_some_and(|late_s| i64::from(late_s) * 1_000 <= TOLD_WITH_MS)
}

/// Whether somebody asked for it through a client.
fn is_request(op: &Op) -> bool {
    matches!(op.source, Some(OpSource::App | OpSource::Remote))
}

/// Whether who asked was served: not where the request ran into a limit of time, was refused, or ended so much later
/// than the motor ran.
fn has_failed(op: &Op, late_ms: f64) -> bool {
    let waited = op.latency_ms.map_or(0.0, |ms| f64::from(ms.0)) - f64::from(op.duration_ms.unwrap_or(0));
    match op.result {
        OpResult::Timeout | OpResult::Rejected => true,
        OpResult::Ok => waited > late_ms,
        // A door or a person stopped it.
        OpResult::Jam | OpResult::Stall | OpResult::Aborted => false,
    }
}

#[cfg(test)]
mod tests;
