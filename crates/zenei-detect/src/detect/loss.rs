//! Records of one lock that never came, while its neighbours' did.
//!
//! A hole in the lock's sequence is one loss however wide it is, and an hour holds at most one. The rate is compared with the lock's own and the fleet's; an hour in
//! which several locks of one gateway have holes is the gateway's. A hole counts once a heartbeat has come after it: where heartbeats stop and other records go on, they
//! are not lost but can't be read. Records heard twice say nothing: brokers redeliver, and two gateways may hear one lock. Must not know incidents or stores. Called by
//! the engine.
use super::Glance;
use super::lanes::{forget, lane};
use super::lock::{Lock, RecordRef};
use super::report::{self, Seen};
use super::trail::Trail;
use crate::estimate::excess::Excess;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::line::Findings;
use crate::rules::Rule;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use zenei_wire::{Body, EngineTime};

const DAY_MS: i64 = 86_400_000;
/// Imagined records at the prior share in the fleet's.
const FLEET_WEIGHT: f64 = 20_000.0;
/// Imagined records at the fleet's share in a lock's own.
const OWN_WEIGHT: f64 = 300.0;
/// The least share of holes that is normal: no radio link is better. A guess.
const SHARE_MIN: f64 = 1e-4;
/// So many locks of one gateway with holes in one hour: the gateway's matter.
const TOGETHER: u32 = 3;
/// So long after a record that can't be read its hole may show: until the lock's next record, at the slowest heartbeat (6 h, telemetry contract).
const REFUSED_HOURS: u8 = 7;
/// Holes that wait for a heartbeat at most; of more the rest is not needed.
const WAITS_MAX: usize = 8;
/// An alarm is repeated after so long, while it lasts.
const REPEAT_MS: i64 = 7 * DAY_MS;

/// The detector of one rule.
pub struct Loss {
    rule: Rule,
    prior_share: f64,
    limit: f64,
    count_min: u32,
    state: State,
}

/// What a snapshot keeps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    lanes: Vec<Lane>,
    bad: f64,
    records: f64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    /// This hour.
    records: u16,
    hole: Option<RecordRef>,
    /// Holes that wait for a heartbeat, one an hour.
    waits: SmallVec<[RecordRef; 2]>,
    beaten: bool,
    /// Hours for which holes are still those of records that can't be read.
    refused: u8,
    /// Before.
    own_bad: f32,
    own_records: f32,
    excess: Excess,
    since_records: u32,
    holes: u32,
    trail: Trail,
    alarm_ms: Option<i64>,
}

impl Loss {
    /// The detector of this rule, without history.
    pub fn new(rule: &Rule) -> Self {
        Self {
            rule: rule.clone(),
            prior_share: rule.parameter("prior_share"),
            limit: rule.parameter("limit"),
            count_min: rule.parameter("count_min") as u32,
            state: State::default(),
        }
    }

    /// The rule it runs.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What a snapshot keeps.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Goes on from a snapshot.
    pub fn restore(&mut self, state: State) {
        self.state = state;
    }

    /// Another lock stands behind the id.
    pub fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
    }

    /// Takes a record of any kind that has a sequence; `glance.hole` says whether records before it are missing.
    pub fn row(&mut self, glance: &Glance<'_>) {
        if glance.row.seq.is_none() {
            return;
        }
        let lane = lane(&mut self.state.lanes, glance.device);
        lane.records = lane.records.saturating_add(1);
        if glance.hole {
            lane.hole = Some(glance.record);
        }
        // One that is itself behind a hole shows that not all heartbeats are missing.
        lane.beaten |= matches!(glance.row.body, Body::State(_));
    }

    /// A record came that can't be read: the hole that it leaves is no loss.
    pub fn refused(&mut self, device: DeviceIx) {
        if let Some(lane) = self.state.lanes.get_mut(device.0 as usize) {
            lane.refused = REFUSED_HOURS;
        }
    }

    /// Ends the hour: tells a gateway's trouble from a lock's, then judges.
    pub fn close(&mut self, now: EngineTime, locks: &[Lock], fleet: &Fleet, findings: &mut Findings) {
        let mut behind: BTreeMap<Sym, u32> = BTreeMap::new();
        let count = self.state.lanes.len().min(locks.len());
        for (lane, lock) in self.state.lanes.iter().zip(locks) {
            if lane.hole.is_some() {
                *behind.entry(lock.behind()).or_default() += 1;
            }
        }
        for (at, lock) in locks.iter().enumerate().take(count) {
            let lane = &mut self.state.lanes[at];
            lane.refused = lane.refused.saturating_sub(1);
            if lane.records == 0 {
                continue;
            }
            let together = behind.get(&lock.behind()).copied().unwrap_or(0) >= TOGETHER;
            let refused = lane.refused > 0;
            self.learn(at, now, together || refused || lock.maintenance);
            self.judge(at, now, fleet, findings);
        }
    }

    fn learn(&mut self, at: usize, now: EngineTime, excused: bool) {
        let fleet = (self.state.bad + FLEET_WEIGHT * self.prior_share) / (self.state.records + FLEET_WEIGHT);
        let lane = &mut self.state.lanes[at];
        let hole = lane.hole.take();
        let records = f64::from(core::mem::take(&mut lane.records)).max(1.0);
        if excused {
            lane.waits.clear();
            return;
        }
        if let Some(hole) = hole.filter(|_| lane.waits.len() < WAITS_MAX) {
            lane.waits.push(hole);
        }
        let holes = if core::mem::take(&mut lane.beaten) { core::mem::take(&mut lane.waits) } else { SmallVec::new() };
        let bad = holes.len() as f64;
        let own = (f64::from(lane.own_bad) + OWN_WEIGHT * fleet) / (f64::from(lane.own_records) + OWN_WEIGHT);
        let normal = own.max(fleet).max(SHARE_MIN);
        lane.excess.add(bad, normal * records, [0.03, 0.1, 0.3].map(|share| share * records));
        if lane.excess.evidence() < self.limit {
            lane.own_bad += bad as f32;
            lane.own_records += records as f32;
            self.state.bad += bad;
            self.state.records += records;
        }
        if lane.excess.evidence() <= 0.0 {
            (lane.since_records, lane.holes, lane.alarm_ms) = (0, 0, None);
            lane.trail.clear();
            return;
        }
        lane.since_records += records as u32;
        lane.holes += holes.len() as u32;
        holes.into_iter().for_each(|record| lane.trail.add(record, now.ms()));
    }

    fn judge(&mut self, at: usize, now: EngineTime, fleet: &Fleet, findings: &mut Findings) {
        let share = (self.state.bad + FLEET_WEIGHT * self.prior_share) / (self.state.records + FLEET_WEIGHT);
        let lane = &mut self.state.lanes[at];
        let evidence = lane.excess.evidence();
        let due = lane.alarm_ms.is_none_or(|at_ms| now.ms() - at_ms >= REPEAT_MS);
        if evidence < self.limit || lane.holes < self.count_min || !due {
            return;
        }
        lane.alarm_ms = Some(now.ms());
        let value = 100.0 * f64::from(lane.holes) / f64::from(lane.since_records.max(1));
        let baseline = 100.0 * share;
        let threshold = (value * self.limit / evidence).max(baseline);
        let since_ms = lane.trail.since_ms().unwrap_or(now.ms());
        let why = format!(
            "{} holes in its last {} records, against {baseline:.3} % in the fleet; evidence e^{evidence:.1}, limit e^{:.1}",
            lane.holes, lane.since_records, self.limit
        );
        let sure = report::confidence(evidence, self.limit);
        let seen = Seen { value, baseline, threshold, unit: "percent", since_ms, confidence: sure, why };
        let (device, records) = (DeviceIx(at as u32), lane.trail.records());
        findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
    }
}
