//! Records of one lock that never arrived, while those of its neighbours did.
//!
//! A hole in the lock's sequence is one loss however wide it is, and an hour counts at most one. The rate is compared
//! with the lock's own and the fleet's; an hour in which several locks of one gateway have holes is attributed to the
//! gateway. A record that arrived and can't be read leaves a hole that is no loss. A hole counts only after a later
//! heartbeat: where heartbeats stop and other records go on, the lock no longer sends them, or sends them elsewhere.
//! Duplicates are no evidence: brokers redeliver, and two gateways may receive one lock. Must not know incidents or
//! stores. Called by the engine.
use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen};
use super::running::{Detect, Glance, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::Findings;
use crate::estimate::excess::Excess;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::RecordRef;
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::HOUR_MS;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use zenei_wire::{Body, EngineTime, EventKind};

/// Imagined records at the prior share in the fleet's.
const FLEET_WEIGHT: f64 = 20_000.0;
/// Imagined records at the fleet's share in a lock's own.
const OWN_WEIGHT: f64 = 300.0;
/// The least share of holes that is normal: no radio link is better. A guess.
const SHARE_MIN: f64 = 1e-4;
/// From so many locks of one gateway with holes in one hour on, the holes are attributed to the gateway.
const TOGETHER: u32 = 3;
/// How long after the last unreadable record its hole may appear: until the lock's next record, at the slowest
/// heartbeat (6 h, telemetry contract).
const REFUSED_MS: i64 = 7 * HOUR_MS;
/// The most holes that wait for a heartbeat; further ones are not needed.
const WAITS_MAX: usize = 8;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "record_loss",
        symptom: Symptom::Loss,
        looks_at: "holes in a lock's numbers, against the fleet's share, where its gateway's other locks have none",
        parameters: &[
            Parameter {
                name: "prior_share",
                unit: "1",
                range: 1e-6..=0.5,
                meaning: "the share that is normal before the fleet has taught it",
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
    reset_by: &[EventKind::Installed],
    every_ms: HOUR_MS,
    counts_late_errors: false,
    counts_unreadable: true,
    make: |spec, rule| Loss::start(spec, rule, Params::of(rule)),
};

type Loss = Running<Params, State>;

struct Params {
    prior_share: f64,
    limit: f64,
    count_min: u32,
}

/// The state that a snapshot stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    bad: f64,
    records: f64,
    suspects: Suspects,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    /// Records since the lock was last weighed.
    records: u32,
    /// A hole in this hour.
    hole: Option<RecordRef>,
    /// Holes that wait for a heartbeat, one an hour.
    waits: SmallVec<[RecordRef; 2]>,
    beaten: bool,
    /// Records that can't be read and whose hole has not shown yet, and when the last one came, ms.
    refused: u32,
    refused_ms: i64,
    own_bad: f32,
    own_records: f32,
    excess: Excess,
    since_records: u32,
    holes: u32,
    trail: Trail,
    alarm_ms: Option<i64>,
}

impl Lane {
    /// How many of the missing records are lost; the others arrived and can't be read.
    fn lost(&mut self, missing: u32, now_ms: i64) -> u32 {
        self.forget_refused(now_ms);
        let explained = missing.min(self.refused);
        self.refused -= explained;
        missing - explained
    }

    /// Drops the unreadable records where none arrived for `REFUSED_MS`: they explain no later hole.
    fn forget_refused(&mut self, now_ms: i64) {
        if now_ms.saturating_sub(self.refused_ms) >= REFUSED_MS {
            self.refused = 0;
        }
    }
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        Ok(Self {
            prior_share: rule.parameter("prior_share")?,
            limit: rule.parameter("limit")?,
            count_min: rule.parameter("count_min")? as u32,
        })
    }
}

impl Detect for Loss {
    /// Removes the state: the id belongs to another lock now.
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
    }

    /// Takes a record of any kind that has a sequence; `glance.missing` is the number of records missing before it.
    fn row(&mut self, glance: &Glance<'_>) {
        if glance.row.seq.is_none() {
            return;
        }
        let lane = lane(&mut self.state.lanes, glance.device);
        lane.records = lane.records.saturating_add(1);
        self.state.records += 1.0;
        if lane.lost(glance.missing, glance.now_ms) > 0 {
            lane.hole = Some(glance.record);
        }
        // A heartbeat that is itself behind a hole shows that not all heartbeats are missing.
        let waits = lane.hole.is_some() || !lane.waits.is_empty();
        lane.beaten |= waits && matches!(glance.row.body, Body::State(_));
        if waits {
            self.state.suspects.add(glance.device);
        }
    }

    /// Takes an unreadable record: the hole that it leaves is no loss. It may be a heartbeat, so it confirms a hole
    /// before it as a readable heartbeat does.
    fn unreadable(&mut self, device: DeviceIx, now: EngineTime) {
        if let Some(lane) = self.state.lanes.get_mut(device.0 as usize) {
            lane.forget_refused(now.ms());
            lane.refused = lane.refused.saturating_add(1);
            lane.refused_ms = lane.refused_ms.max(now.ms());
            lane.beaten |= lane.hole.is_some() || !lane.waits.is_empty();
        }
    }

    /// Ends the hour: separates a gateway's holes from a lock's, then judges. Only locks with holes are judged: a sum
    /// of log likelihood ratios that restarts at 0 gives the same result when records without a hole are added
    /// together.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        let suspects = self.state.suspects.take();
        let mut behind: BTreeMap<Sym, u32> = BTreeMap::new();
        for device in &suspects {
            if self.state.lanes[device.0 as usize].hole.is_some() {
                *behind.entry(locks[device.0 as usize].behind()).or_default() += 1;
            }
        }
        for device in suspects {
            let (at, lock) = (device.0 as usize, &locks[device.0 as usize]);
            let lane = &mut self.state.lanes[at];
            let together = behind.get(&lock.behind()).copied().unwrap_or(0) >= TOGETHER;
            let hole = lane.hole.take();
            if together || lock.maintenance {
                lane.waits.clear();
                // A heartbeat after a hole that is no loss is no evidence about the next hole.
                lane.beaten = false;
                continue;
            }
            if let Some(hole) = hole.filter(|_| lane.waits.len() < WAITS_MAX) {
                lane.waits.push(hole);
            }
            if core::mem::take(&mut lane.beaten) && !lane.waits.is_empty() {
                self.weigh(at, now);
                self.judge(at, now, fleet, findings);
            }
        }
    }
}

impl Loss {
    fn share(&self) -> f64 {
        (self.state.bad + FLEET_WEIGHT * self.params.prior_share) / (self.state.records + FLEET_WEIGHT)
    }

    fn weigh(&mut self, at: usize, now: EngineTime) {
        let fleet = self.share();
        let lane = &mut self.state.lanes[at];
        let holes = core::mem::take(&mut lane.waits);
        let records = f64::from(core::mem::take(&mut lane.records).max(1));
        let bad = holes.len() as f64;
        let own = (f64::from(lane.own_bad) + OWN_WEIGHT * fleet) / (f64::from(lane.own_records) + OWN_WEIGHT);
        let normal = own.max(fleet).max(SHARE_MIN);
        let suspected = |records: f64| [0.03, 0.1, 0.3].map(|share| share * records);
        // First the records that arrived, then the holes, each with the record that showed it.
        let well = (records - bad).max(0.0);
        lane.excess.add(0.0, normal * well, suspected(well));
        if lane.excess.evidence() <= 0.0 {
            // A departure is learned as normal when it is over without an alarm: earlier it would dilute its own
            // evidence.
            if lane.alarm_ms.is_none() {
                lane.own_bad += lane.holes as f32;
                lane.own_records += lane.since_records as f32 + well as f32;
            }
            (lane.since_records, lane.holes, lane.alarm_ms) = (0, 0, None);
            lane.trail.clear();
            lane.since_records += bad as u32;
        } else {
            lane.since_records += records as u32;
        }
        lane.excess.add(bad, normal * bad, suspected(bad));
        if lane.excess.evidence() < self.params.limit {
            self.state.bad += bad;
        }
        lane.holes += holes.len() as u32;
        holes.into_iter().for_each(|record| lane.trail.add(record, now.ms()));
    }

    fn judge(&mut self, at: usize, now: EngineTime, fleet: &Fleet, findings: &mut Findings) {
        let share = self.share();
        let lane = &mut self.state.lanes[at];
        let evidence = lane.excess.evidence();
        let due = report::is_due(lane.alarm_ms, now, REPEAT_MS);
        if evidence < self.params.limit || lane.holes < self.params.count_min || !due {
            return;
        }
        lane.alarm_ms = Some(now.ms());
        let value = 100.0 * f64::from(lane.holes) / f64::from(lane.since_records.max(1));
        let baseline = 100.0 * share;
        let threshold = (value * self.params.limit / evidence).max(baseline);
        let since_ms = lane.trail.since_ms().unwrap_or(now.ms());
        let why = format!(
            "{} holes in its last {} records, against {baseline:.3} % in the fleet; evidence e^{evidence:.1}, limit \
             e^{:.1}",
            lane.holes, lane.since_records, self.params.limit
        );
        let sure = report::confidence(evidence, self.params.limit);
        let seen = Seen { value, baseline, threshold, unit: "percent", since_ms, confidence: sure, why };
        let (device, records) = (DeviceIx(at as u32), lane.trail.records());
        findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
    }
}
