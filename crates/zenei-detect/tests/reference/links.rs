//! A slow version of the part of the detector `loss` that judges gateways, over all hours of one link.
use super::loss::{Like, Past, evidence};
use super::stream::{Found, Stream};
use std::collections::BTreeMap;
use zenei_detect::fleet::{DeviceIx, Sym};
use zenei_detect::lock::{Lock, RecordRef};

const HOUR_MS: i64 = 3_600_000;

#[derive(Default)]
pub(super) struct Link {
    pub(super) value: Sym,
    pub(super) quiet_ms: Option<i64>,
    longest_ms: f64,
    /// Records of this hour, and its holes, by lock.
    pub(super) records: usize,
    pub(super) holes: Vec<(DeviceIx, RecordRef)>,
    pub(super) together: bool,
    heard_ms: Option<i64>,
    interval_ms: f64,
    past: Past,
    hours: Vec<Hour>,
    alarms: Vec<i64>,
}

struct Hour {
    at_ms: i64,
    records: usize,
    holes: Vec<(DeviceIx, RecordRef)>,
    gains: [f64; 3],
}

impl Link {
    pub(super) fn of(lock: &Lock) -> Self {
        Self { value: lock.behind(), ..Self::default() }
    }

    pub(super) fn hear(&mut self, now_ms: i64) {
        self.records += 1;
        if let Some(before) = self.heard_ms {
            let interval = (now_ms - before) as f64;
            let twice = 2.0 * self.longest_ms;
            if interval >= 1_800_000.0 && interval >= 8.0 * self.interval_ms && interval >= twice {
                self.quiet_ms = Some(now_ms);
            }
            if interval > self.longest_ms {
                self.longest_ms = interval.min(if twice < 225_000.0 { 225_000.0 } else { twice });
            }
            self.interval_ms =
                if self.interval_ms == 0.0 { interval } else { 0.98 * self.interval_ms + 0.02 * interval };
        }
        self.heard_ms = Some(now_ms);
    }

    pub(super) fn times(&self, usual: f64) -> f64 {
        let expected = self.records as f64 * (self.past.0 + 1.0) / (self.past.1 + 1.0 / usual);
        self.holes.len() as f64 / expected.max(1e-9)
    }

    pub(super) fn close(
        &mut self,
        like: Like,
        (everywhere, limit, behind): (bool, f64, usize),
        stream: &Stream,
        now_ms: i64,
    ) -> Option<Found> {
        let times = self.times(like.0);
        let (records, holes) = (std::mem::take(&mut self.records), std::mem::take(&mut self.holes));
        if records == 0 {
            return None;
        }
        self.together = holes.len() >= 3 && times >= 10.0;
        if everywhere {
            return None;
        }
        let gains = like.gains(&mut self.past, holes.len() as f64, records as f64, 0.35 * limit);
        self.hours.push(Hour { at_ms: now_ms, records, holes, gains });
        let gains: Vec<[f64; 3]> = self.hours.iter().map(|hour| hour.gains).collect();
        let begin = (0..gains.len()).rfind(|&at| evidence(&gains[..=at]) <= 0.0).map_or(0, |at| at + 1);
        let departure = self.hours.get(begin..).filter(|hours| !hours.is_empty())?;
        let first = departure.iter().find(|hour| !hour.holes.is_empty())?;
        let mut shown = BTreeMap::new();
        departure.iter().flat_map(|hour| &hour.holes).for_each(|(device, record)| {
            shown.entry(*device).or_insert(*record);
        });
        let evidence = evidence(&gains).min(self.of_others(departure, behind, like.0));
        self.together |= evidence >= 0.5 * limit && shown.len() >= 3;
        let is_due = self.alarms.iter().all(|&at_ms| at_ms < departure[0].at_ms || now_ms - at_ms >= 7 * 24 * HOUR_MS);
        let enough = shown.len() >= 3 && shown.len() as f64 >= 0.2 * behind as f64;
        if evidence < limit || !enough || !is_due {
            return None;
        }
        self.alarms.push(now_ms);
        let events = departure.iter().map(|hour| hour.holes.len()).sum::<usize>() as f64;
        let of = departure.iter().map(|hour| hour.records).sum::<usize>() as f64;
        let own = 100.0 * (self.past.0 - events).max(0.0) / (self.past.1 - of).max(1.0);
        let value = 100.0 * events / of;
        let device = *shown.keys().next()?;
        let records: Vec<RecordRef> = shown.values().copied().collect();
        let numbers = [value, own, (value * limit / evidence).max(own)];
        let mut found = Found::of(stream, device, now_ms, first.at_ms - HOUR_MS, numbers, &records);
        found.scope = stream.fleet.word(self.value)?.to_owned();
        let name = |device: &DeviceIx| stream.fleet.device_id(*device).to_owned();
        found.evidence = shown.iter().map(|(device, record)| (name(device), record.boot, record.seq)).collect();
        Some(found)
    }

    /// The evidence of these hours without the lock that has a hole in most of them.
    fn of_others(&self, hours: &[Hour], behind: usize, usual: f64) -> f64 {
        let holes: Vec<DeviceIx> = hours.iter().flat_map(|hour| &hour.holes).map(|hole| hole.0).collect();
        let worst = holes.iter().map(|device| holes.iter().filter(|other| *other == device).count()).max().unwrap_or(0);
        let (all, of) = (holes.len() as f64, hours.iter().map(|hour| hour.records).sum::<usize>() as f64);
        let own = ((self.past.0 - all).max(0.0) + 1.0) / ((self.past.1 - of).max(0.0) + 1.0 / usual);
        let (left, records) = (all - worst as f64, of - of / behind.max(2) as f64);
        [0.03_f64, 0.1, 0.3]
            .into_iter()
            .map(|rate| (left * (rate / own).ln() - (rate - own) * records) / 1.5)
            .fold(0.0, f64::max)
    }
}
