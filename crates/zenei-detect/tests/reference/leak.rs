//! A slow version of the detector `leak`, over all heartbeats of a boot: the fall is computed again from the whole list
//! each time.
use super::estimators::{Fallen, fall_by_list};
use super::stream::{Found, Moment, Said, Stream, agree, shown};
use std::collections::BTreeMap;
use zenei_detect::fleet::DeviceIx;
use zenei_detect::lock::{Lock, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::{Body, EventKind};

const DAY_MS: i64 = 86_400_000;

#[derive(Default)]
struct OneLock {
    heard_ms: Option<i64>,
    boot: Option<Boot>,
    /// What came back, over all boots.
    back: Back,
    alarms: Vec<i64>,
}

struct Boot {
    number: Option<u32>,
    began_ms: i64,
    heaps: Vec<Heap>,
}

/// Free memory of a heartbeat after the first hours of a boot.
struct Heap {
    at_ms: i64,
    bytes: f64,
    record: RecordRef,
    /// With the readings up to then.
    depth: f64,
    noise_of_depth: f64,
}

/// The largest falls that had come back when a block ended: between any tops, and from third to third.
#[derive(Clone, Copy, Default)]
struct Back {
    swing: f64,
    filled: f64,
}

impl Back {
    fn or(self, other: Self) -> Self {
        Self { swing: self.swing.max(other.swing), filled: self.filled.max(other.filled) }
    }
}

/// The tops of four hours each, thinned to sixteen; and what had come back.
fn tops(boot: &Boot, rule: &Rule) -> (Vec<(u32, f64)>, Back) {
    let (mut tops, mut back): (Vec<(u32, f64)>, Back) = (Vec::new(), Back::default());
    for (at, heap) in boot.heaps.iter().enumerate() {
        let hour = (heap.at_ms / 3_600_000) as u32;
        if tops.last().is_some_and(|last| i64::from(last.0) / 4 >= heap.at_ms / 14_400_000) {
            let last = tops.len() - 1;
            tops[last].1 = tops[last].1.max(heap.bytes);
            continue;
        }
        let falls = tops.iter().enumerate().map(|(to, low)| {
            let high = tops[..=to].iter().map(|top| top.1).fold(f64::MIN, f64::max);
            (high - low.1, low.1)
        });
        let deepest = falls.fold((0.0, 0.0), |most, fall| if fall.0 > most.0 { fall } else { most });
        let noise = Boot::fallen_of(&boot.heaps[..=at], rule, boot.first()).noise;
        if tops.last().is_some_and(|now| now.1 - deepest.1 >= 0.5 * deepest.0) && deepest.0 > 2.0 * noise {
            let (now, before) = (tops[tops.len() - 1].1, &tops[..tops.len() - 1]);
            let (filled, left) = leaked(before, noise);
            let filled = if now >= left + 0.5 * filled { filled } else { 0.0 };
            back = back.or(Back { swing: deepest.0, filled });
        }
        tops.push((hour, heap.bytes));
        if tops.len() == 17 {
            // The seven newest stay; of the others the neighbours that are closest for their age become one.
            let closeness = |at: usize| f64::from(tops[at + 1].0 - tops[at].0) / f64::from(hour - tops[at].0).max(1.0);
            let at = (0..9).fold(0, |best, at| if closeness(at) < closeness(best) { at } else { best });
            let next = tops.remove(at + 1);
            tops[at].1 = tops[at].1.max(next.1);
        }
    }
    (tops, back)
}

/// How far the tops fell from third to third of the time since one of them, at most; and the most in that last third.
fn leaked(tops: &[(u32, f64)], noise: f64) -> (f64, f64) {
    let mut most = (0.0_f64, 0.0);
    for start in 0..tops.len().saturating_sub(5) {
        let of = &tops[start..];
        let span = f64::from(of[of.len() - 1].0 - of[0].0 + 1);
        let third = |top: &(u32, f64)| (3.0 * f64::from(top.0 - of[0].0) / span) as usize;
        let high = |part: usize| of.iter().filter(|top| third(top) == part).map(|top| top.1).reduce(f64::max);
        let (Some(first), Some(second), Some(last)) = (high(0), high(1), high(2)) else { continue };
        if first - second >= 2.0 * noise && second - last >= 2.0 * noise && first - last > most.0 {
            most = (first - last, last);
        }
    }
    most
}

impl OneLock {
    fn back_of_all(&self, rule: &Rule) -> Back {
        self.boot.as_ref().map_or(self.back, |boot| tops(boot, rule).1.or(self.back))
    }
}

impl Boot {
    fn fallen_of(heaps: &[Heap], rule: &Rule, first: f64) -> Fallen {
        let readings: Vec<(f64, i64)> = heaps.iter().map(|heap| (heap.bytes, heap.at_ms)).collect();
        fall_by_list(&readings, rule.parameter("share_per_day").unwrap() * first, 8.0)
    }

    fn fallen(&self, rule: &Rule) -> Fallen {
        Self::fallen_of(&self.heaps, rule, self.first())
    }

    fn first(&self) -> f64 {
        self.heaps.first().map_or(0.0, |heap| heap.bytes)
    }

    /// The clearly low records since the last one that was not low at all.
    fn low(&self) -> Vec<&Heap> {
        let top = self.heaps.iter().rposition(|heap| heap.depth <= 0.0).map_or(0, |at| at + 1);
        self.heaps[top..].iter().filter(|heap| heap.depth > 2.0 * heap.noise_of_depth).collect()
    }
}

fn heartbeat(rule: &Rule, lock: &mut OneLock, said: &Said) {
    let Body::State(state) = &said.row.body else { return };
    let Some(heap) = state.free_heap_b else { return };
    lock.heard_ms.get_or_insert(said.now_ms / 3_600_000 * 3_600_000);
    let number = said.row.boot;
    if lock.boot.as_ref().is_none_or(|boot| boot.number != number) {
        let began_ms = said.now_ms - i64::from(said.row.uptime_s.unwrap_or(0)) * 1_000;
        lock.back = lock.back_of_all(rule);
        lock.boot = Some(Boot { number, began_ms, heaps: Vec::new() });
    }
    let Some(boot) = &mut lock.boot else { return };
    if ((said.now_ms - boot.began_ms) as f64) < rule.parameter("settle_hours").unwrap() * 3_600_000.0 {
        return;
    }
    let (at_ms, bytes) = (said.now_ms, f64::from(heap.0));
    boot.heaps.push(Heap { at_ms, bytes, record: said.record, depth: 0.0, noise_of_depth: 0.0 });
    let fallen = boot.fallen(rule);
    if let Some(newest) = boot.heaps.last_mut() {
        (newest.depth, newest.noise_of_depth) = (fallen.depth(), fallen.noise_of_depth());
    }
}

/// The start, the numbers and the records of a finding.
fn judge(
    rule: &Rule,
    lock: &mut OneLock,
    like: f64,
    (since_ms, now_ms): (i64, i64),
) -> Option<(i64, [f64; 3], Vec<RecordRef>)> {
    let boot = lock.boot.as_ref()?;
    let (fallen, low) = (boot.fallen(rule), boot.low());
    let least = rule.parameter("share_min").unwrap() * boot.first();
    let (tops, back) = tops(boot, rule);
    let before = back.or(lock.back).swing.max(like);
    let limit = least.max(rule.parameter("sigmas").unwrap() * fallen.noise_of_depth()).max(1.5 * before);
    let is_suspect = low.iter().any(|heap| heap.at_ms >= since_ms && heap.depth >= least);
    let is_due = lock.alarms.iter().all(|at_ms| now_ms - at_ms >= 7 * DAY_MS);
    let days = ((now_ms - fallen.since_ms) as f64 / DAY_MS as f64).max(0.1);
    let per_day = fallen.depth() / days + rule.parameter("share_per_day").unwrap() * boot.first();
    let is_soon = tops.last()?.1 / per_day <= rule.parameter("horizon_days").unwrap();
    if !is_suspect || !is_due || !is_soon || fallen.depth() < limit || leaked(&tops, fallen.noise).0 < limit {
        return None;
    }
    let records = low.iter().map(|heap| heap.record).collect();
    lock.alarms.push(now_ms);
    Some((fallen.since_ms, [fallen.value, fallen.reference, fallen.reference - limit], records))
}

fn close(
    rule: &Rule,
    stream: &Stream,
    all: &mut BTreeMap<DeviceIx, OneLock>,
    locks: &[Lock],
    span: (i64, i64),
) -> Vec<Found> {
    let mut found = Vec::new();
    let model = |device: DeviceIx| locks[device.0 as usize].labels.model;
    let filled: Vec<_> = all
        .iter()
        .filter_map(|(&device, lock)| Some((model(device), lock.back_of_all(rule).filled, lock.heard_ms?)))
        .collect();
    // The largest that the tenth part of the model's locks reach, and at least three of them.
    let reached = |device: DeviceIx, fall: f64| {
        let of_model = filled.iter().filter(|of| of.0 == model(device));
        let (count, reach) = (of_model.clone().count(), of_model.filter(|of| of.1 >= fall).count());
        reach >= 3 && reach > count / 10
    };
    for (&device, lock) in all {
        if locks[device.0 as usize].maintenance {
            continue;
        }
        let mut heard: Vec<i64> = filled.iter().filter(|of| of.0 == model(device)).map(|of| of.2).collect();
        heard.sort_unstable();
        // The half that was heard first.
        if heard.get(heard.len().div_ceil(2).max(1) - 1).is_some_and(|&heard_ms| span.1 - heard_ms < 4 * DAY_MS) {
            continue;
        }
        let falls = filled.iter().map(|of| of.1).filter(|&fall| reached(device, fall));
        let like = falls.fold(0.0, f64::max);
        found.extend(judge(rule, lock, like, span).map(|(since_ms, numbers, records)| {
            Found::of(stream, device, span.1, since_ms, numbers, &shown(&records))
        }));
    }
    found
}

fn leak(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (mut all, mut found, mut closed_ms) = (BTreeMap::<DeviceIx, OneLock>::new(), Vec::new(), 0);
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => heartbeat(rule, all.entry(said.device).or_default(), said),
            Moment::Happened(EventKind::Installed, device) => _ = all.remove(device),
            Moment::Close(now, locks) if now.ms() % 7_200_000 == 0 => {
                found.extend(close(rule, stream, &mut all, locks, (closed_ms, now.ms())));
                closed_ms = now.ms();
            }
            Moment::Close(..) | Moment::Happened(..) | Moment::Late(..) | Moment::Refused(..) => {}
        }
    }
    found
}

#[test]
fn memory_is_judged_as_by_all_heartbeats_of_a_boot() {
    agree("memory-leak", leak);
}
