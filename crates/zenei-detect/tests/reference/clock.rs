//! A slow version of the detector `clock`, over all records: the moments are computed again from the whole list at each
//! record.
use super::estimators::high_by_list;
use super::locks::Plan;
use super::stream::{Found, Moment, SINGLE, Said, Stream, agree, agree_on, embedded};
use std::collections::BTreeMap;
use zenei_detect::fleet::{DeviceIx, Sym};
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
    /// When each record arrived that shows a right clock.
    right_ms: Vec<i64>,
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

/// The error that the last eight moments agree upon, or that grows with time along a line.
fn error(rule: &Rule, right_ms: &[i64], moments: &[Told]) -> Option<i64> {
    let ms = |name: &'static str| (rule.parameter(name).unwrap() * 60_000.0) as i64;
    let last = &moments[moments.len().checked_sub(8)?..];
    let behind = || last.iter().map(|moment| moment.behind_ms);
    let (least, most) = (behind().min()?, behind().max()?);
    if -most >= ms("error_minutes") {
        return Some(least);
    }
    let intervals: Vec<f64> = right_ms.windows(2).map(|two| (two[1] - two[0]) as f64).filter(|ms| *ms >= 6e4).collect();
    let lacks = if intervals.len() < 8 {
        least >= DAY_MS
    } else {
        let waits_ms = (3.0 * high_by_list(&intervals)).max(ms("observed_minutes") as f64);
        (last[7].heard_ms - right_ms.iter().max()?) as f64 >= waits_ms.floor()
    };
    if least < ms("error_minutes") || !lacks {
        return None;
    }
    if most - least <= ms("spread_minutes") {
        return Some(least);
    }
    let slope = (last[7].behind_ms - last[0].behind_ms) as f64 / (last[7].heard_ms - last[0].heard_ms).max(1) as f64;
    let line = |moment: &Told| last[0].behind_ms as f64 + slope * (moment.heard_ms - last[0].heard_ms) as f64;
    let is_line =
        last.iter().all(|moment| (moment.behind_ms as f64 - line(moment)).abs() <= ms("spread_minutes") as f64);
    let grows = last[7].behind_ms - last[0].behind_ms >= ms("error_minutes") && slope <= 1.01;
    (is_line && grows).then_some(last[7].behind_ms)
}

fn tell(rule: &Rule, lock: &mut OneLock, said: &Said) {
    let heard_ms = said.row.heard_at.ms();
    let behind_ms = heard_ms - said.row.ts.ms();
    lock.told.push(Told { heard_ms, behind_ms, record: said.record });
    if (behind_ms.abs() as f64) < rule.parameter("error_minutes").unwrap() * 60_000.0 {
        lock.right_ms.push(heard_ms);
    }
    let moments = moments(rule, &lock.told);
    if core::mem::replace(&mut lock.moments, moments.len()) == moments.len() {
        return;
    }
    if error(rule, &lock.right_ms, &moments).is_some() {
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
    let error_ms = error(rule, &lock.right_ms, &moments)?;
    let last = &moments[moments.len() - 8..];
    let observed_ms = last[7].heard_ms - last[0].heard_ms;
    let is_due = lock.alarm_ms.is_none_or(|at_ms| now_ms - at_ms >= 7 * DAY_MS);
    let is_long = observed_ms as f64 >= rule.parameter("observed_minutes").unwrap() * 60_000.0;
    if !is_due || !is_long || now.maintenance {
        return None;
    }
    let numbers = [error_ms.abs() as f64 / 1_000.0, 0.0, rule.parameter("error_minutes").unwrap() * 60.0];
    Some((last[0].heard_ms, numbers, last.iter().map(|moment| moment.record).collect()))
}

/// The locks of a place whose newest moments are off by the same as the first one's; `None` where they are few.
fn shared(rule: &Rule, newest: &[(DeviceIx, Told)], of: Told) -> Option<Vec<(DeviceIx, Told)>> {
    let spread_ms = (rule.parameter("spread_minutes").unwrap() * 60_000.0) as i64;
    let lately: Vec<_> = newest.iter().filter(|(_, told)| of.heard_ms - told.heard_ms < 7 * 3_600_000).collect();
    let same: Vec<(DeviceIx, Told)> =
        lately.iter().filter(|(_, told)| (told.behind_ms - of.behind_ms).abs() <= spread_ms).map(|of| **of).collect();
    (same.len() >= 3 && 2 * same.len() >= lately.len()).then_some(same)
}

fn clock(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (mut all, mut found) = (BTreeMap::<DeviceIx, OneLock>::new(), Vec::new());
    let mut told: BTreeMap<(bool, Sym), i64> = BTreeMap::new();
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) if matches!(said.row.body, Body::Adv(_)) => {}
            Moment::Said(said) => tell(rule, all.entry(said.device).or_default(), said),
            Moment::Happened(EventKind::Installed, device) => _ = all.remove(device),
            Moment::Close(now, locks) => {
                told.retain(|_, told_ms| now.ms() - *told_ms < 7 * DAY_MS);
                let suspects: Vec<DeviceIx> =
                    all.iter().filter(|(_, lock)| lock.is_suspect).map(|(device, _)| *device).collect();
                if suspects.is_empty() {
                    continue;
                }
                let newest: Vec<(DeviceIx, Told)> = all
                    .iter()
                    .filter_map(|(device, lock)| Some((*device, *moments(rule, &lock.told).last()?)))
                    .collect();
                for device in suspects {
                    let (Some(lock), of) = (all.get_mut(&device), &locks[device.0 as usize]) else { continue };
                    let judged = judge(rule, lock, of, now.ms());
                    lock.is_suspect = false;
                    let Some((since_ms, numbers, records)) = judged else { continue };
                    let own = newest.iter().find(|(other, _)| *other == device).unwrap().1;
                    let place = [true, false].into_iter().find_map(|is_site| {
                        let place = |lock: &Lock| if is_site { lock.site } else { lock.labels.gw };
                        let there: Vec<(DeviceIx, Told)> = newest
                            .iter()
                            .filter(|(other, _)| place(&locks[other.0 as usize]) == place(of))
                            .copied()
                            .collect();
                        let known = place(of) != Sym::NONE;
                        shared(rule, &there, own).filter(|_| known).map(|same| ((is_site, place(of)), same))
                    });
                    match place {
                        None => {
                            lock.alarm_ms = Some(now.ms());
                            found.push(Found::of(stream, device, now.ms(), since_ms, numbers, &records));
                        }
                        Some((key, same)) if !told.contains_key(&key) => {
                            told.insert(key, now.ms());
                            let name = |device: DeviceIx| stream.fleet.device_id(device).to_owned();
                            let mut of_all = Found::of(stream, device, now.ms(), since_ms, numbers, &[]);
                            of_all.scope = stream.fleet.word(key.1).unwrap().to_owned();
                            of_all.evidence =
                                same.iter().map(|(of, told)| (name(*of), told.record.boot, told.record.seq)).collect();
                            found.push(of_all);
                        }
                        Some(_) => {}
                    }
                }
            }
            Moment::Happened(..) | Moment::Late(..) | Moment::Refused(..) => {}
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
