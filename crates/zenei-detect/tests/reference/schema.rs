//! A slow version of the detector `schema`, over all heartbeats: which fields twelve heartbeats in a row had, and what
//! arrived since the last one.
use super::estimators::high_by_list;
use super::stream::{Found, Moment, Said, Stream, agree, shown};
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::batch::Succession;
use zenei_detect::fleet::DeviceIx;
use zenei_detect::lock::{Lock, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::{Body, EventKind, State};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

#[derive(Default)]
struct OneLock {
    beats: Vec<Beat>,
    /// Other records since the next heartbeat became overdue, and the last record of all.
    others: Vec<RecordRef>,
    last: RecordRef,
    /// When it last sent any record, readable or not.
    spoke_ms: i64,
    /// When it was heard again after twelve hours of silence or more.
    resumed_ms: i64,
    /// When the last of `others` came.
    other_ms: i64,
    refused: f64,
    alarm_ms: Option<i64>,
    /// Every record whose numbers are not as expected.
    again: Vec<(i64, RecordRef)>,
    again_told_ms: Option<i64>,
}

struct Beat {
    at_ms: i64,
    has: [bool; 6],
    /// The voltage and the percentage that later ones are compared with.
    stood_mv: Option<u16>,
    pct: Option<u8>,
    record: RecordRef,
}

/// Which fields are there and mean what they meant in the heartbeats before.
fn has(before: &[Beat], state: &State) -> [bool; 6] {
    let last_mv = before.iter().rev().find_map(|beat| beat.stood_mv).map(f64::from);
    let last_pct = before.iter().rev().find_map(|beat| beat.pct).map_or(0.0, f64::from);
    let mv = state.battery_mv.map(|battery| f64::from(battery.0)).filter(|mv| (500.0..=18_000.0).contains(mv));
    let mv = mv.filter(|mv| last_mv.is_none_or(|last| mv / last <= 2.0 && last / mv <= 2.0));
    let is_complement = |pct: f64| {
        let stays = mv.zip(last_mv).is_some_and(|(mv, last)| (mv / last - 1.0).abs() <= 0.03);
        last_pct > 0.0 && stays && (pct + last_pct - 100.0).abs() <= 6.0 && (pct - last_pct).abs() > 12.0
    };
    [
        mv.is_some(),
        state.battery_pct.is_some_and(|pct| !is_complement(f64::from(pct.0))),
        state.temp_c.is_some(),
        state.rssi_dbm.is_some(),
        state.lock_state.is_some(),
        state.free_heap_b.is_some(),
    ]
}

/// The number of latest heartbeats in a row without a field that twelve heartbeats in a row once had.
fn missing(beats: &[Beat], field: usize) -> usize {
    let there: Vec<bool> = beats.iter().map(|beat| beat.has[field]).collect();
    let at_the_end = there.iter().rev().take_while(|is_there| !**is_there).count();
    if there.windows(12).any(|row| row.iter().all(|is_there| *is_there)) { at_the_end } else { 0 }
}

impl OneLock {
    fn speaks(&mut self, rule: &Rule, now_ms: i64) {
        let overdue_ms = rule.parameter("overdue_hours").unwrap() * HOUR_MS as f64;
        if self.spoke_ms > 0 && (now_ms - self.spoke_ms) as f64 >= overdue_ms {
            self.resumed_ms = now_ms;
            self.others.clear();
        }
        self.spoke_ms = self.spoke_ms.max(now_ms);
    }

    fn awaits_ms(&self) -> i64 {
        self.beats.last().map_or(0, |beat| beat.at_ms).max(self.resumed_ms)
    }

    fn said(&mut self, rule: &Rule, said: &Said) {
        self.last = said.record;
        self.speaks(rule, said.now_ms);
        match &said.row.body {
            Body::State(state) => {
                let has = has(&self.beats, state);
                let is_turned = state.battery_pct.is_some() && !has[1];
                let stood_mv = state.battery_mv.map(|mv| mv.0).filter(|_| has[0] && !is_turned);
                let pct = state.battery_pct.map(|pct| pct.0).filter(|_| has[1]);
                self.beats.push(Beat { at_ms: said.now_ms, has, stood_mv, pct, record: said.record });
                self.others.clear();
                (self.refused, self.other_ms) = (0.0, 0);
            }
            Body::Op(_) | Body::Error(_) | Body::Event(_) | Body::Gateway(_) | Body::Adv(_) => {
                let is_overdue = (said.now_ms - self.awaits_ms()) as f64 > self.usual_ms();
                if is_overdue && said.now_ms - self.other_ms >= 60_000 {
                    self.other_ms = said.now_ms;
                    self.others.push(said.record);
                }
            }
        }
    }

    /// The heartbeats up to the last one that each lack an expected field.
    fn lacking(&self) -> Vec<&Beat> {
        let lacks = |newest: &usize| (0..6).any(|field| missing(&self.beats[..*newest], field) > 0);
        let from = (1..=self.beats.len()).rev().take_while(lacks).last().map_or(self.beats.len(), |newest| newest - 1);
        self.beats[from..].iter().collect()
    }

    fn usual_ms(&self) -> f64 {
        let intervals = self.beats.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms);
        let counted: Vec<f64> =
            intervals.filter(|interval| *interval > 60_000).map(|interval| interval as f64).collect();
        high_by_list(&counted)
    }

    /// The start, the days and the records of a finding about numbers: since the last thirty days without one, they
    /// were used again on three days within thirty.
    fn judge_again(&mut self, lock: &Lock, now_ms: i64) -> Option<(i64, f64, Vec<RecordRef>)> {
        let day = |at: &(i64, RecordRef)| at.0 / DAY_MS;
        let breaks = self.again.windows(2).rposition(|pair| day(&pair[1]) - day(&pair[0]) > 30);
        if breaks.is_some_and(|at| self.again_told_ms.is_some_and(|told_ms| told_ms < self.again[at + 1].0)) {
            self.again_told_ms = None;
        }
        let episode = &self.again[breaks.map_or(0, |at| at + 1)..];
        let days: Vec<i64> = episode.iter().map(day).collect::<BTreeSet<_>>().into_iter().collect();
        let again = days.len() >= 3 && days[days.len() - 1] - days[days.len() - 3] <= 30;
        let is_new = |told_ms: i64| episode.iter().any(|at| at.0 > told_ms);
        let is_due = self.again_told_ms.is_none_or(|at_ms| now_ms - at_ms >= 7 * DAY_MS && is_new(at_ms));
        if !again || !is_due || lock.maintenance {
            return None;
        }
        self.again_told_ms = Some(now_ms);
        Some((episode[0].0, days.len() as f64, episode.iter().map(|&(_, record)| record).collect()))
    }

    /// The start, the numbers and the records of a finding.
    fn judge(&mut self, rule: &Rule, lock: &Lock, now_ms: i64) -> Option<(i64, [f64; 3], Vec<RecordRef>)> {
        let missing_min = rule.parameter("missing_min").unwrap().floor();
        let lacks = (0..6).map(|field| missing(&self.beats, field) as f64).find(|missing| *missing >= missing_min);
        let usual_ms = self.usual_ms();
        let limit_ms = (rule.parameter("overdue_hours").unwrap() * HOUR_MS as f64)
            .max((rule.parameter("multiple").unwrap() * usual_ms).floor());
        let beat_ms = self.awaits_ms();
        let silent_ms = (self.spoke_ms - beat_ms) as f64;
        let others = self.others.len() as f64;
        let speaks =
            others >= rule.parameter("others_min").unwrap() || self.refused >= rule.parameter("refused_min").unwrap();
        let is_overdue = self.beats.len() >= 12 && silent_ms >= limit_ms && speaks;
        if lacks.is_none() && !is_overdue {
            self.alarm_ms = None;
            return None;
        }
        let is_due = self.alarm_ms.is_none_or(|at_ms| now_ms - at_ms >= DAY_MS);
        let is_silent = now_ms - lock.heard_ms >= DAY_MS && self.refused == 0.0;
        if !is_due || is_silent || lock.maintenance {
            return None;
        }
        self.alarm_ms = Some(now_ms);
        if let Some(missing) = lacks {
            let lacking = self.lacking();
            let records = lacking.iter().map(|beat| beat.record).collect();
            return Some((lacking[0].at_ms, [missing.min(255.0), 0.0, missing_min], records));
        }
        let records = if self.others.is_empty() { vec![self.last] } else { self.others.clone() };
        Some((beat_ms, [silent_ms, usual_ms, limit_ms].map(|ms| ms / HOUR_MS as f64), records))
    }
}

fn schema(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (mut all, mut found) = (BTreeMap::<DeviceIx, OneLock>::new(), Vec::new());
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) if matches!(said.row.body, Body::Adv(_)) => {}
            Moment::Said(said) => all.entry(said.device).or_default().said(rule, said),
            Moment::Refused(device, now) => {
                let lock = all.entry(*device).or_default();
                lock.refused += 1.0;
                lock.speaks(rule, now.ms());
            }
            Moment::Happened(EventKind::Installed, device) => _ = all.remove(device),
            Moment::Close(now, locks) if now.ms() % (2 * HOUR_MS) == 0 => {
                for (&device, lock) in &mut all {
                    let again = lock.judge_again(&locks[device.0 as usize], now.ms());
                    found.extend(again.map(|(since_ms, days, records)| {
                        Found::of(stream, device, now.ms(), since_ms, [days, 0.0, 3.0], &shown(&records))
                    }));
                    let judged = lock.judge(rule, &locks[device.0 as usize], now.ms());
                    found.extend(judged.map(|(since_ms, numbers, records)| {
                        Found::of(stream, device, now.ms(), since_ms, numbers, &shown(&records))
                    }));
                }
            }
            Moment::Late(late) if late.succession != Succession::Usual => {
                all.entry(late.device).or_default().again.push((late.now_ms, late.record));
            }
            Moment::Close(..) | Moment::Happened(..) | Moment::Late(..) => {}
        }
    }
    found
}

#[test]
fn what_is_no_longer_told_is_judged_as_by_all_heartbeats() {
    agree("schema-drift", schema);
}
