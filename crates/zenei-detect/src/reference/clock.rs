//! Errors of clocks over all records: moments are found again from the whole list at each record.
use super::stream::{Found, Moment, Said, Stream, agree};
use crate::detect::lock::{Lock, RecordRef};
use crate::fleet::DeviceIx;
use crate::rules::Rule;
use std::collections::BTreeMap;
use zenei_wire::{Body, EventKind};

const DAY_MS: i64 = 86_400_000;

/// A record: when it was heard, by how much its time is behind that.
#[derive(Clone, Copy)]
struct Told {
    heard_ms: i64,
    behind_ms: i64,
    record: RecordRef,
}

#[derive(Default)]
struct OneLock {
    told: Vec<Told>,
    /// In this hour a moment began with which all agreed.
    is_suspect: bool,
    alarm_ms: Option<i64>,
}

/// Of records heard within a minute of the first one the freshest, with the time of the first.
fn moments(told: &[Told]) -> Vec<Told> {
    let mut moments: Vec<Vec<Told>> = Vec::new();
    for of in told {
        match moments.last_mut().filter(|moment| (of.heard_ms - moment[0].heard_ms).abs() < 60_000) {
            Some(moment) => moment.push(*of),
            None => moments.push(vec![*of]),
        }
    }
    let freshest = |moment: &Vec<Told>| moment.iter().min_by_key(|of| of.behind_ms).copied();
    let of = |moment: &Vec<Told>| freshest(moment).map(|of| Told { heard_ms: moment[0].heard_ms, ..of });
    moments.iter().filter_map(of).collect()
}

/// The error that the last eight moments agree upon.
fn error(rule: &Rule, moments: &[Told]) -> Option<i64> {
    let ms = |name: &str| (rule.parameter(name) * 60_000.0) as i64;
    let last = &moments[moments.len().checked_sub(8)?..];
    let behind = || last.iter().map(|moment| moment.behind_ms);
    let (least, most) = (behind().min()?, behind().max()?);
    let is_ahead = -most >= ms("error_minutes");
    let is_behind = least >= ms("error_minutes") && most - least <= ms("spread_minutes");
    (is_ahead || is_behind).then_some(least)
}

fn tell(rule: &Rule, lock: &mut OneLock, said: &Said) {
    let heard_ms = said.row.heard_at.ms();
    let before = moments(&lock.told).len();
    lock.told.push(Told { heard_ms, behind_ms: heard_ms - said.row.ts.ms(), record: said.record });
    let moments = moments(&lock.told);
    if moments.len() == before {
        return;
    }
    if error(rule, &moments).is_some() {
        lock.is_suspect = true;
    } else if moments.len() >= 8 {
        lock.alarm_ms = None;
    }
}

fn judge(rule: &Rule, lock: &mut OneLock, now: &Lock, now_ms: i64) -> Option<(i64, [f64; 3], Vec<RecordRef>)> {
    let moments = moments(&lock.told);
    let error_ms = error(rule, &moments)?;
    let last = &moments[moments.len() - 8..];
    let observed_ms = last[7].heard_ms - last[0].heard_ms;
    let is_due = lock.alarm_ms.is_none_or(|at_ms| now_ms - at_ms >= 7 * DAY_MS);
    let is_long = observed_ms as f64 >= rule.parameter("observed_minutes") * 60_000.0;
    if !lock.is_suspect || !is_due || !is_long || now.maintenance {
        return None;
    }
    lock.alarm_ms = Some(now_ms);
    let numbers = [error_ms.abs() as f64 / 1_000.0, 0.0, rule.parameter("error_minutes") * 60.0];
    Some((last[0].heard_ms, numbers, last.iter().map(|moment| moment.record).collect()))
}

fn clock(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (mut all, mut found) = (BTreeMap::<DeviceIx, OneLock>::new(), Vec::new());
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) if matches!(said.row.body, Body::Adv(_)) => {}
            Moment::Said(said) => tell(rule, all.entry(said.device).or_default(), said),
            Moment::Happened(EventKind::Installed, device) => _ = all.remove(device),
            Moment::Close(now, locks) => {
                for (&device, lock) in &mut all {
                    let judged = judge(rule, lock, &locks[device.0 as usize], now.ms());
                    found.extend(judged.map(|(since_ms, numbers, records)| {
                        Found::of(stream, device, now.ms(), since_ms, numbers, &records)
                    }));
                    lock.is_suspect = false;
                }
            }
            Moment::Happened(..) | Moment::LateError(..) | Moment::Refused(..) => {}
        }
    }
    found
}

#[test]
fn clocks_are_judged_as_by_all_moments() {
    agree("clock-error", clock);
}
