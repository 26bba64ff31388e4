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
    boot: Option<Boot>,
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

impl Boot {
    fn fallen(&self, rule: &Rule) -> Fallen {
        let readings: Vec<(f64, i64)> = self.heaps.iter().map(|heap| (heap.bytes, heap.at_ms)).collect();
        fall_by_list(&readings, rule.parameter("share_per_day").unwrap() * self.first(), 8.0)
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
    let number = said.row.boot;
    if lock.boot.as_ref().is_none_or(|boot| boot.number != number) {
        let began_ms = said.now_ms - i64::from(said.row.uptime_s.unwrap_or(0)) * 1_000;
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
fn judge(rule: &Rule, lock: &mut OneLock, since_ms: i64, now_ms: i64) -> Option<(i64, [f64; 3], Vec<RecordRef>)> {
    let boot = lock.boot.as_ref()?;
    let (fallen, low) = (boot.fallen(rule), boot.low());
    let least = rule.parameter("share_min").unwrap() * boot.first();
    let limit = least.max(rule.parameter("sigmas").unwrap() * fallen.noise_of_depth());
    let is_suspect = low.iter().any(|heap| heap.at_ms >= since_ms && heap.depth >= least);
    let is_due = lock.alarms.iter().all(|at_ms| now_ms - at_ms >= 7 * DAY_MS);
    let days = ((now_ms - fallen.since_ms) as f64 / DAY_MS as f64).max(0.1);
    let per_day = fallen.depth() / days + rule.parameter("share_per_day").unwrap() * boot.first();
    let is_soon = fallen.value / per_day <= rule.parameter("horizon_days").unwrap();
    if !is_suspect || !is_due || !is_soon || boot.heaps.len() <= 10 || fallen.depth() < limit {
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
    for (&device, lock) in all {
        if locks[device.0 as usize].maintenance {
            continue;
        }
        found.extend(judge(rule, lock, span.0, span.1).map(|(since_ms, numbers, records)| {
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
            Moment::Close(..) | Moment::Happened(..) | Moment::LateError(..) | Moment::Refused(..) => {}
        }
    }
    found
}

#[test]
fn memory_is_judged_as_by_all_heartbeats_of_a_boot() {
    agree("memory-leak", leak);
}
