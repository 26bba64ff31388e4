//! A slow version of the detector `clock`, over all records: the moments are computed again from the whole list at each
//! record.
use super::locks::Plan;
use super::stream::{Found, Moment, SINGLE, Said, Stream, agree, agree_on, embedded};
use std::collections::BTreeMap;
use zenei_detect::fleet::DeviceIx;
use zenei_detect::lock::{Lock, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::{Body, EventKind};

const DAY_MS: i64 = 86_400_000;

/// A record: its time of receipt, and by how much its own time is behind.
#[derive(Clone, Copy)]
struct Told {
    heard_ms: i64,
    behind_ms: i64,
    record: RecordRef,
}

#[derive(Default)]
struct OneLock {
    told: Vec<Told>,
    /// The number of moments that they make.
    moments: usize,
    /// Whether a moment began in this hour with which all moments agreed.
    is_suspect: bool,
    alarm_ms: Option<i64>,
}

/// The freshest of the records received within a minute of the first one, with the time of the first; a moment is
/// longer where eight of them would not cover the observation time of the rule.
fn moments(rule: &Rule, told: &[Told]) -> Vec<Told> {
    let observed_ms = (rule.parameter("observed_minutes").unwrap() * 60_000.0) as i64;
    let mut moments: Vec<Told> = Vec::new();
    for of in told {
        let seventh_last = moments.len().checked_sub(7).filter(|&at| at > 0).map(|at| moments[at]);
        let is_early = seventh_last.is_some_and(|moment| of.heard_ms - moment.heard_ms < observed_ms);
        let apart_ms = if is_early { 60_000.max(observed_ms / 7) } else { 60_000 };
        match moments.last_mut().filter(|first| (of.heard_ms - first.heard_ms).abs() < apart_ms) {
            Some(first) if of.behind_ms < first.behind_ms => *first = Told { heard_ms: first.heard_ms, ..*of },
            Some(_) => {}
            None => moments.push(*of),
        }
    }
    moments
}

/// The error that the last eight moments agree upon.
fn error(rule: &Rule, moments: &[Told]) -> Option<i64> {
    let ms = |name: &'static str| (rule.parameter(name).unwrap() * 60_000.0) as i64;
    let last = &moments[moments.len().checked_sub(8)?..];
    let behind = || last.iter().map(|moment| moment.behind_ms);
    let (least, most) = (behind().min()?, behind().max()?);
    let is_ahead = -most >= ms("error_minutes");
    let is_behind = least >= ms("error_minutes") && most - least <= ms("spread_minutes");
    (is_ahead || is_behind).then_some(least)
}

fn tell(rule: &Rule, lock: &mut OneLock, said: &Said) {
    let heard_ms = said.row.heard_at.ms();
    lock.told.push(Told { heard_ms, behind_ms: heard_ms - said.row.ts.ms(), record: said.record });
    let moments = moments(rule, &lock.told);
    if core::mem::replace(&mut lock.moments, moments.len()) == moments.len() {
        return;
    }
    if error(rule, &moments).is_some() {
        lock.is_suspect = true;
    } else if moments.len() >= 8 {
        lock.alarm_ms = None;
    }
}

fn judge(rule: &Rule, lock: &mut OneLock, now: &Lock, now_ms: i64) -> Option<(i64, [f64; 3], Vec<RecordRef>)> {
    if !lock.is_suspect {
        return None;
    }
    let moments = moments(rule, &lock.told);
    let error_ms = error(rule, &moments)?;
    let last = &moments[moments.len() - 8..];
    let observed_ms = last[7].heard_ms - last[0].heard_ms;
    let is_due = lock.alarm_ms.is_none_or(|at_ms| now_ms - at_ms >= 7 * DAY_MS);
    let is_long = observed_ms as f64 >= rule.parameter("observed_minutes").unwrap() * 60_000.0;
    if !is_due || !is_long || now.maintenance {
        return None;
    }
    lock.alarm_ms = Some(now_ms);
    let numbers = [error_ms.abs() as f64 / 1_000.0, 0.0, rule.parameter("error_minutes").unwrap() * 60.0];
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

/// With a parameter for which eight moments are not always enough.
#[test]
fn clocks_are_judged_as_by_all_moments_where_they_must_be_wrong_for_long() {
    let mut rule = embedded("clock-error");
    rule.parameters.insert("observed_minutes".to_owned(), 600.0);
    agree_on(&rule, Plan::FEW, SINGLE, clock);
}
