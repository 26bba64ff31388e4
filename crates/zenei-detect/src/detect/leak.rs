//! Free memory that shrinks while the firmware runs, and how soon it is used up.
//!
//! Within one boot the free memory may fall: a firmware fills its caches in the first hours, so these are left out; a
//! connection or an update check takes memory and gives it back. A leak gives nothing back: the most that is free falls
//! from one part of the time to the next, for longer than a day, the cycle of what a lock does by the clock, and by
//! more than came back before in this lock, or in a tenth of its model's: some firmwares fill memory for days and give
//! it back at once. A lock in its first such cycle knows nothing of it, but others of its model are further; of a model
//! that is four days old nothing is known. The finding is not the fall but its consequence: at the present rate the
//! memory is used up before a fix could be rolled out. Must not know incidents or stores. Called by the engine.
use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen};
use super::running::{Detect, Glance, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::Findings;
use crate::estimate::fall::Fall;
use crate::estimate::thin;
use crate::fleet::{DeviceIx, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::Lock;
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_wire::{Body, EngineTime, EventKind};

/// Allocators hand out steps of 8 bytes and more.
const STEP_B: f64 = 8.0;
/// The time of which the most free memory is stored. A guess: what takes memory for a moment gives it back sooner.
const BLOCK_MS: i64 = 4 * HOUR_MS;
/// How many of them are stored of a boot, and how many of the newest are never merged.
const BLOCKS: usize = 16;
const NEWEST: usize = 7;
/// The fewest for a judgement, in three parts: a day, the cycle of what runs by the clock.
const JUDGED_MIN: usize = 6;
/// A fall must be so many times what came back before. A guess.
const OVER_SWING: f64 = 1.5;
/// What memory does in this share of a model's locks, and in so many of them, it may do in each. Guesses: locks of a
/// model run the same firmware, and are at another place of the cycle; two locks may be broken.
const LIKE_SHARE: f64 = 0.1;
const LIKE_MIN: usize = 3;
/// How long half of a model's locks are watched before one is judged: four times the shortest fall that is judged, so
/// that a tenth of them had memory back from a fall nearly as deep, also with few heartbeats a day and in cycles of up
/// to five days. A guess.
const WATCHED_MS: i64 = 4 * JUDGED_MIN as i64 * BLOCK_MS;
/// Standard deviations of a reading by which each part of the time must lie below the one before. A guess: a maximum of
/// several readings scatters less than one.
const PART_SIGMAS: f64 = 2.0;

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
    counts_late: false,
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
    /// Of the first heartbeat of all, hours since 1970.
    heard_hour: u32,
    /// Life and boot.
    boot: (u32, Option<u32>),
    booted_ms: i64,
    first_b: f32,
    heap: Fall,
    /// The most free memory of each time, oldest first.
    tops: Vec<Top>,
    /// The deepest fall of this lock from which memory came back, bytes.
    swing_b: f32,
    /// The same of falls from part to part, as those of a leak, bytes: a single low reading is none.
    filled_b: f32,
    trail: Trail,
    alarm_ms: Option<i64>,
}

/// The most free memory of a time.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Top {
    /// Of the first reading, hours since 1970.
    hour: u32,
    bytes: f32,
}

impl Lane {
    /// Takes a reading into the tops; notes memory that came back.
    fn top(&mut self, bytes: f32, now_ms: i64) {
        let block = |hour: u32| i64::from(hour) * HOUR_MS / BLOCK_MS;
        if let Some(last) = self.tops.last_mut().filter(|last| block(last.hour) >= now_ms / BLOCK_MS) {
            last.bytes = last.bytes.max(bytes);
            return;
        }
        self.came_back();
        self.tops.push(Top { hour: (now_ms / HOUR_MS).max(0) as u32, bytes });
        if self.tops.len() > BLOCKS
            && let Some(at) = thin::pair(&self.tops, |top| top.hour, NEWEST)
        {
            self.tops[at].bytes = self.tops[at].bytes.max(self.tops[at + 1].bytes);
            self.tops.remove(at + 1);
        }
    }

    /// Where the newest top is back above half of the fall before it, that fall was no leak.
    fn came_back(&mut self) {
        let Some((newest, before)) = self.tops.split_last() else { return };
        let least = PART_SIGMAS * self.heap.noise();
        let mut highest = f32::MIN;
        let mut deepest = (0.0_f32, newest.bytes);
        for top in &self.tops {
            highest = highest.max(top.bytes);
            if highest - top.bytes > deepest.0 {
                deepest = (highest - top.bytes, top.bytes);
            }
        }
        let (fall, lowest) = deepest;
        if newest.bytes - lowest < 0.5 * fall || f64::from(fall) <= least {
            return;
        }
        self.swing_b = self.swing_b.max(fall);
        let leaked = Leaked::of(before, least);
        if f64::from(newest.bytes) >= leaked.left_b + 0.5 * leaked.bytes {
            self.filled_b = self.filled_b.max(leaked.bytes as f32);
        }
    }

    /// The least fall that is more than noise, than what a healthy lock may lose and than what came back in this lock.
    fn limit_b(&self, params: &Params) -> f64 {
        let least = (params.share_min * f64::from(self.first_b)).max(params.sigmas * self.heap.noise_of_depth());
        least.max(OVER_SWING * f64::from(self.swing_b))
    }

    /// How far the most free memory has fallen, bytes.
    fn leaked_b(&self) -> f64 {
        Leaked::of(&self.tops, PART_SIGMAS * self.heap.noise()).bytes
    }
}

/// A fall of the most free memory from part to part of some time up to the newest top.
#[derive(Clone, Copy, Default)]
struct Leaked {
    bytes: f64,
    /// What is free in the last part, bytes.
    left_b: f64,
}

impl Leaked {
    /// The deepest of all times that are long enough; each part must lie `least` below the one before.
    fn of(tops: &[Top], least: f64) -> Self {
        let since = |tops: &[Top]| {
            let span = f64::from(tops[tops.len() - 1].hour - tops[0].hour) + 1.0;
            let mut parts = [f32::MIN; 3];
            for top in tops {
                let part = (3.0 * f64::from(top.hour - tops[0].hour) / span) as usize;
                parts[part.min(2)] = parts[part.min(2)].max(top.bytes);
            }
            let [first, second, third] = parts.map(f64::from);
            let falls = first - second >= least && second - third >= least && second > 0.0;
            if falls { Self { bytes: first - third, left_b: third } } else { Self::default() }
        };
        let starts = 0..(tops.len() + 1).saturating_sub(JUDGED_MIN);
        starts
            .map(|at| since(&tops[at..]))
            .fold(Self::default(), |most, one| if one.bytes > most.bytes { one } else { most })
    }
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
        let boot = (glance.row.life, glance.row.boot);
        if !lane.started || lane.boot != boot {
            let up_ms = glance.row.uptime_s.map_or(0, |seconds| i64::from(seconds) * 1_000);
            let Lane { alarm_ms, swing_b, filled_b, .. } = *lane;
            let heard_hour = if lane.started { lane.heard_hour } else { (now_ms / HOUR_MS).max(0) as u32 };
            let booted_ms = now_ms - up_ms;
            let kept = Lane { started: true, heard_hour, swing_b, filled_b, alarm_ms, ..Lane::default() };
            *lane = Lane { boot, booted_ms, ..kept };
        }
        if now_ms - lane.booted_ms < self.params.settle_ms {
            return;
        }
        if lane.heap.count() == 0 {
            lane.first_b = heap.0 as f32;
        }
        let allowed = self.params.share_per_day * f64::from(lane.first_b);
        lane.heap.add(f64::from(heap.0), now_ms, allowed, STEP_B);
        lane.top(heap.0 as f32, now_ms);
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
        let mut like_b: BTreeMap<Sym, f64> = BTreeMap::new();
        for device in self.state.suspects.take() {
            let (lane, lock) = (&self.state.lanes[device.0 as usize], &locks[device.0 as usize]);
            let (depth_b, own_b) = (lane.heap.depth(), lane.limit_b(&self.params));
            let fallen_b = depth_b.min(lane.leaked_b());
            if lock.maintenance || depth_b <= 0.0 || fallen_b < own_b {
                continue;
            }
            let model = lock.labels.model;
            let like_b = *like_b.entry(model).or_insert_with(|| came_back_to(model, &self.state.lanes, locks, now));
            let limit_b = own_b.max(OVER_SWING * like_b);
            if fallen_b < limit_b {
                continue;
            }
            let (value, since_ms) = (lane.heap.value(), lane.heap.since_ms());
            let days = ((now.ms() - since_ms) as f64 / DAY_MS as f64).max(0.1);
            let per_day = depth_b / days + self.params.share_per_day * f64::from(lane.first_b);
            // What is taken for a moment comes back: the most that was free lately is what is left.
            let left_days = lane.tops.last().map_or(value, |top| f64::from(top.bytes)) / per_day;
            if left_days > self.params.horizon_days || !report::is_due(lane.alarm_ms, now, REPEAT_MS) {
                continue;
            }
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
            self.state.lanes[device.0 as usize].alarm_ms = Some(now.ms());
        }
    }
}

/// The fall from part to part from which memory came back in a tenth of a model's locks, bytes; infinite before half of
/// them have been watched for long enough.
fn came_back_to(model: Sym, lanes: &[Lane], locks: &[Lock], now: EngineTime) -> f64 {
    let of_model = lanes.iter().zip(locks).filter(|(lane, lock)| lane.started && lock.labels.model == model);
    let is_watched = |lane: &Lane| now.ms() - i64::from(lane.heard_hour) * HOUR_MS >= WATCHED_MS;
    let watched = of_model.clone().filter(|(lane, _)| is_watched(lane)).count();
    let mut falls: Vec<f32> = of_model.map(|(lane, _)| lane.filled_b).collect();
    if 2 * watched < falls.len() {
        return f64::INFINITY;
    }
    falls.sort_unstable_by(|a, b| b.total_cmp(a));
    let rank = ((LIKE_SHARE * falls.len() as f64) as usize).max(LIKE_MIN - 1);
    falls.get(rank).copied().map_or(0.0, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::world::{self, Said};
    use zenei_wire::{Bytes, State};

    /// A boot's readings, one an hour: whether they are a leak of more than 1,000 bytes, and what came back.
    fn leaks(bytes: impl Fn(i64) -> f64, hours: i64) -> (bool, f32) {
        let mut lane = Lane::default();
        let mut found = false;
        for hour in 0..hours {
            let noise = [-30.0, 10.0, -10.0, 30.0, -20.0, 20.0, 0.0][(hour * 3 % 7) as usize];
            let value = bytes(hour) + noise;
            lane.heap.add(value, hour * HOUR_MS, 80.0, STEP_B);
            lane.top(value as f32, hour * HOUR_MS);
            found |= lane.leaked_b() > f64::max(1_000.0, OVER_SWING * f64::from(lane.swing_b));
        }
        (found, lane.swing_b)
    }

    #[test]
    fn memory_that_comes_back_is_no_leak() {
        assert!(!leaks(|hour| if hour == 100 { 12_000.0 } else { 40_000.0 }, 200).0, "once");
        assert!(!leaks(|hour| if hour % 24 == 5 { 20_000.0 } else { 40_000.0 }, 400).0, "each day");
        let (found, swing_b) = leaks(|hour| 40_000.0 - 800.0 * (hour % 20) as f64, 400);
        assert!(!found && swing_b > 8_000.0, "filled and emptied within a day: {swing_b}");
        assert!(!leaks(|hour| if hour < 100 { 40_000.0 } else { 32_000.0 }, 400).0, "taken once and kept");
    }

    #[test]
    fn memory_that_falls_for_a_day_is_a_leak_also_late_in_a_boot_and_slowly() {
        assert!(leaks(|hour| 40_000.0 - 80.0 * hour as f64, 36).0);
        assert!(leaks(|hour| 40_000.0 - 80.0 * (hour - 700).max(0) as f64, 740).0);
        assert!(leaks(|hour| 40_000.0 - 4.0 * hour as f64, 600).0);
    }

    /// A heartbeat with this much free memory.
    fn with_memory(bytes: f64, hour: i64) -> Vec<Said> {
        let Body::State(state) = world::heartbeat() else { return Vec::new() };
        let body = Body::State(State { free_heap_b: Some(Bytes(bytes as u32)), ..state });
        let ts_ms = hour * HOUR_MS + 60_000;
        vec![Said { ts_ms, heard_ms: vec![ts_ms], body }]
    }

    /// Bytes taken in a cycle of so many hours, each lock at another place of it.
    fn filled_b(lock: usize, hour: i64, period: f64) -> f64 {
        let cycles = hour as f64 / period + (lock * 7 % 24) as f64 / 24.0;
        7_000.0 * (cycles - cycles.floor())
    }

    #[test]
    fn memory_that_fills_for_days_is_no_leak_once_others_of_the_model_had_theirs_back() {
        for (period, every) in [(40.0, 1), (60.0, 1), (90.0, 1), (115.0, 8)] {
            let found = world::found("memory-leak", 30, |lock, hour, dice| {
                if (hour + lock as i64) % every != 0 {
                    return Vec::new();
                }
                with_memory(40_000.0 - filled_b(lock, hour, period) + 60.0 * dice.gauss(), hour)
            });
            assert_eq!(found, [], "{period}");
        }
    }

    #[test]
    fn a_leak_of_all_locks_is_found_within_days_also_where_one_reading_in_thirty_is_low() {
        let found = world::found("memory-leak", 20, |_, hour, dice| {
            if hour % 2 == 1 {
                return Vec::new();
            }
            let leaked = 60.0 * (hour - 240).max(0) as f64;
            let low = if dice.is(0.03) { 6_000.0 } else { 0.0 };
            with_memory(40_000.0 - leaked - low + 60.0 * dice.gauss(), hour)
        });
        assert!(found.iter().all(|found| (240..240 + 132).contains(&found.1)) && !found.is_empty(), "{found:?}");
    }
}
