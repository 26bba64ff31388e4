//! Records of one lock that never arrived, while those of its neighbours did; and a gateway that loses, or hands over
//! twice, what all its locks say.
//!
//! A hole in the lock's sequence is one loss however wide it is, and an hour counts at most one. Links differ by far
//! more than chance: some lose a tenth of what they carry all their life. What a lock's own past and its like let
//! expect is therefore normal ([`Habit`]), and a lock is a finding when it departs from that. Links lose in bursts: a
//! hole within hours of another is worth no more than how seldom such holes follow in the fleet. A hole that began
//! before its gateway was last quiet is the gateway's, and so is an hour in which several of its locks have holes; what
//! a gateway does is judged in `link`. A record that arrived and can't be read leaves a hole that is no loss. A hole
//! counts only after a later heartbeat: where heartbeats stop and other records go on, the lock no longer sends them,
//! or sends them elsewhere. Must not know incidents or stores. Called by the engine.
mod link;
mod noise;

use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen};
use super::running::{Detect, Glance, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::Findings;
use crate::estimate::habit::{Alike, Departure, Habit};
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::RecordRef;
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};
use link::{LINKS, Links, Shared};
use noise::{BLOCK_DAYS, Block, Noise};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use zenei_wire::{Body, EngineTime, EventKind};

/// Imagined records at the prior share in the fleet's.
const FLEET_WEIGHT: f64 = 20_000.0;
/// The least share of holes that is normal: no radio link is better. A guess.
const SHARE_MIN: f64 = 1e-4;
/// The share of locks that always lose much before the fleet has taught it, and the number of imagined locks behind it.
/// A guess: one in fifty.
const CHRONIC: (f64, f64) = (0.02, 50.0);
/// Links lose in bursts, of an hour or of half a day (a parked van, a radio that is jammed, a busy channel): the first
/// hole begins one, and further holes within so many hours are judged by how often they follow in the fleet. A guess.
const BURST_H: u32 = 12;
/// How often a record within a burst is missing before the fleet has taught it, and the imagined records behind that. A
/// guess: a small fleet has none to learn from, so the first burst must be no finding.
const AFTER: (f64, f64) = (0.2, 10.0);
/// Who more likely than not always loses much, or has a fault, teaches nothing about bursts.
const TEACHES: f64 = 0.5;
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
        looks_at: "holes in a lock's numbers, against its own past and its like, where its gateway's other locks have \
                   none; holes, and records that come twice, of all locks behind one gateway, against its own past and \
                   other gateways",
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
    counts_late: false,
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
    /// What the day's end taught of the locks; `None` before the first.
    alike: Option<Alike>,
    suspects: Suspects,
    links: Links,
    /// Holes in bursts beyond the first, and the records of those times.
    after: [f64; 2],
    /// How bursts vary.
    noise: Noise,
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
    /// When its last record arrived, ms.
    heard_ms: i64,
    /// The number of the link that it came through.
    link: Option<(Sym, u32)>,
    habit: Habit,
    departure: Departure,
    block: Block,
    /// When its last burst began, and when it was last weighed, hours since 1970.
    burst_h: u32,
    weighed_h: u32,
    since_records: u32,
    holes: u32,
    /// Those of the holes that began a burst.
    firsts: u32,
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

    /// How many of the holes that are weighed in this hour begin a burst, 0 or 1, and which share of the records since
    /// the last weighing lies within the burst before.
    fn burst(&mut self, hour: u32) -> (f64, f64) {
        let ends = self.burst_h + BURST_H;
        let before = core::mem::replace(&mut self.weighed_h, hour);
        if self.burst_h > 0 && hour < ends {
            return (0.0, 1.0);
        }
        let within = f64::from(ends.saturating_sub(before)) / f64::from((hour - before.min(hour)).max(1));
        let knows = self.burst_h > 0;
        self.burst_h = hour;
        (1.0, if knows { within.min(1.0) } else { 0.0 })
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
        let link = self.state.links.through(&mut lane.link, glance.lock, glance.now_ms);
        let quiet_ms = link.as_ref().map_or(i64::MIN, |link| link.quiet_ms());
        let began_ms = core::mem::replace(&mut lane.heard_ms, glance.now_ms);
        if lane.lost(glance.missing, glance.now_ms) > 0 && began_ms > quiet_ms && !glance.lock.maintenance {
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

    /// Takes a record that came twice.
    fn repeated(&mut self, device: DeviceIx, record: RecordRef, _now: EngineTime) {
        if let Some(lane) = self.state.lanes.get(device.0 as usize) {
            self.state.links.repeated(lane.link, device, record);
        }
    }

    /// Ends the hour: separates a gateway's holes from a lock's, then judges. Only locks with holes are judged: a sum
    /// of log likelihood ratios that restarts at 0 gives the same result when records without a hole are added
    /// together.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        let suspects = self.state.suspects.take();
        for device in &suspects {
            let lane = &self.state.lanes[device.0 as usize];
            if let Some(hole) = lane.hole {
                self.state.links.hole(lane.link, *device, hole);
            }
        }
        let prior = Alike { usual: self.params.prior_share, chronic: CHRONIC.0 };
        let shared = Shared { limit: self.params.limit, prior, rule: &self.rule };
        self.state.links.close(&shared, window, findings);
        for device in suspects {
            let (at, lock) = (device.0 as usize, &locks[device.0 as usize]);
            let lane = &mut self.state.lanes[at];
            let together = self.state.links.together(lane.link);
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

    /// Learns what is usual among the locks: the share of those that always lose much, and what the others lose.
    fn close_day(&mut self, window: Window<'_>) {
        let alike = self.alike();
        if (window.now.ms() / DAY_MS) % BLOCK_DAYS == 0 {
            self.close_blocks(alike);
        }
        let (mut locks, mut chronic, mut lost, mut records) = (0.0, 0.0, 0.0, 0.0);
        // What is a finding is no habit.
        for lane in self.state.lanes.iter().filter(|lane| lane.habit.exposure > 0.0 && lane.alarm_ms.is_none()) {
            let is_chronic = alike.is_chronic(lane.habit, &LINKS);
            locks += 1.0;
            chronic += is_chronic;
            lost += (1.0 - is_chronic) * f64::from(lane.habit.events);
            records += (1.0 - is_chronic) * f64::from(lane.habit.exposure);
        }
        // Locks without a hole were never weighed; their records count all the same.
        for lane in self.state.lanes.iter().filter(|lane| lane.records > 0) {
            records += f64::from(lane.records);
            locks += f64::from(u8::from(lane.habit.exposure <= 0.0));
        }
        let usual = (lost + FLEET_WEIGHT * self.params.prior_share) / (records + FLEET_WEIGHT);
        let chronic = (chronic + CHRONIC.0 * CHRONIC.1) / (locks + CHRONIC.1);
        self.state.alike = Some(Alike { usual: usual.max(SHARE_MIN), chronic });
        self.state.links.close_day();
    }
}

impl Loss {
    fn alike(&self) -> Alike {
        self.state.alike.unwrap_or(Alike { usual: self.params.prior_share.max(SHARE_MIN), chronic: CHRONIC.0 })
    }

    /// Ends the blocks that show how much holes vary. A lock that departs is no noise.
    fn close_blocks(&mut self, alike: Alike) {
        for lane in &mut self.state.lanes {
            let block = core::mem::replace(&mut lane.block, Block { of: Habit::default(), before: lane.records });
            let exposure = (block.of.exposure + lane.records as f32 - block.before as f32).max(0.0);
            let past = Habit {
                events: (lane.habit.events - block.of.events).max(0.0),
                exposure: (lane.habit.exposure - block.of.exposure).max(0.0) + block.before as f32,
            };
            if lane.departure.evidence() < 0.5 * self.params.limit {
                self.state.noise.add(Habit { exposure, ..block.of }, past, &alike);
            }
        }
        self.state.noise.forget();
    }

    /// How often a record within a burst is missing.
    fn after(&self) -> f64 {
        let [holes, records] = self.state.after;
        (holes + AFTER.0 * AFTER.1) / (records + AFTER.1)
    }

    fn weigh(&mut self, at: usize, now: EngineTime) {
        let (alike, after, nature) = (self.alike(), self.after(), self.state.noise.nature());
        let lane = &mut self.state.lanes[at];
        let teaches = lane.alarm_ms.is_none() && alike.is_chronic(lane.habit, &LINKS) < TEACHES;
        let holes = core::mem::take(&mut lane.waits);
        let records = f64::from(core::mem::take(&mut lane.records).max(1));
        let bad = holes.len() as f64;
        // First the records that arrived, then the holes, each with the record that showed it.
        let well = (records - bad).max(0.0);
        let (first, within) = lane.burst((now.ms() / HOUR_MS).max(0) as u32);
        let (in_burst, more) = (within * well, bad - first);
        lane.block.of = lane.block.of.with(first, well - in_burst + first);
        if in_burst > 0.0 {
            lane.departure.add_after((0.0, in_burst), &mut lane.habit, &alike, &LINKS, (after, f64::INFINITY));
        }
        lane.departure.add((0.0, well - in_burst), &mut lane.habit, &alike, &nature, f64::INFINITY);
        if lane.departure.evidence() <= 0.0 {
            (lane.since_records, lane.holes, lane.firsts, lane.alarm_ms) = (bad as u32, 0, 0, None);
            lane.trail.clear();
        } else {
            lane.since_records += records as u32;
        }
        if first > 0.0 {
            lane.departure.add((first, first), &mut lane.habit, &alike, &nature, f64::INFINITY);
        }
        if more > 0.0 {
            lane.departure.add_after((more, more), &mut lane.habit, &alike, &LINKS, (after, f64::INFINITY));
        }
        lane.holes += holes.len() as u32;
        lane.firsts += first as u32;
        holes.into_iter().for_each(|record| lane.trail.add(record, now.ms()));
        if teaches {
            self.state.after[0] += more;
            self.state.after[1] += more + in_burst;
        }
    }

    fn judge(&mut self, at: usize, now: EngineTime, fleet: &Fleet, findings: &mut Findings) {
        let usual = self.alike().usual;
        let lane = &mut self.state.lanes[at];
        let evidence = lane.departure.evidence();
        let due = report::is_due(lane.alarm_ms, now, REPEAT_MS);
        if evidence < self.params.limit || lane.holes < self.params.count_min || !due {
            return;
        }
        lane.alarm_ms = Some(now.ms());
        let value = 100.0 * f64::from(lane.holes) / f64::from(lane.since_records.max(1));
        let (before, all) = (lane.habit.events - lane.firsts as f32, lane.habit.exposure - lane.since_records as f32);
        let own = f64::from(before.max(0.0)) / f64::from(all.max(1.0));
        let baseline = 100.0 * if before > 0.0 { own } else { usual };
        let threshold = (value * self.params.limit / evidence).max(baseline);
        let since_ms = lane.trail.since_ms().unwrap_or(now.ms());
        let why = format!(
            "{} holes in its last {} records, against {baseline:.3} % before and among its like; evidence \
             e^{evidence:.1}, limit e^{:.1}",
            lane.holes, lane.since_records, self.params.limit
        );
        let sure = report::confidence(evidence, self.params.limit);
        let seen = Seen { value, baseline, threshold, unit: "percent", since_ms, confidence: sure, why };
        let (device, records) = (DeviceIx(at as u32), lane.trail.records());
        findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
    }
}

#[cfg(test)]
#[path = "loss_tests.rs"]
mod tests;
