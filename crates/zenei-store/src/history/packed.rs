//! A bucket as it is kept: sums in whole numbers, so that any split of the records gives the same bytes. Must not know
//! SQL. Called by the fold and the reader of the local source, and by the other source to make the same buckets.
use super::types::{Bucket, CohortBucket, Span};
use serde::{Deserialize, Serialize};
use zenei_detect::condition::possible;
use zenei_wire::{Body, Millivolts, OpResult};

/// How long a bucket of the local source is, ms: 90 days have 360 of them, half the points of a chart, and a heartbeat
/// comes at least once in each by the contract. A guess.
pub(super) const BUCKET_MS: i64 = 6 * 3_600_000;
/// The most codes that a bucket counts apart; the others are counted together. The contract's catalogue has 23.
const CODES_MAX: usize = 32;
/// How much earlier than it was heard a record's own time may be, ms: a lock that was offline for a month sends its
/// backlog. A guess.
const BACKLOG_MS: i64 = 35 * 86_400_000;
/// How much later than it was heard a record's own time may be, ms. A guess about clocks.
const AHEAD_MS: i64 = 600_000;

/// The quantities of a bucket, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    BatteryMv,
    LoadMv,
    BatteryPct,
    /// Tenths of mΩ.
    Resistance,
    PeakMa,
    /// µC.
    Effort,
    /// Hundredths of °C.
    Temp,
    Rssi,
}

/// How many there are.
pub(super) const QUANTITIES: usize = 8;

impl Quantity {
    /// How many of the kept unit make the shown one.
    pub(super) const fn per_unit(self) -> f64 {
        match self {
            Self::BatteryMv | Self::LoadMv | Self::BatteryPct | Self::PeakMa | Self::Rssi => 1.0,
            Self::Resistance => 10.0,
            Self::Effort => 1_000.0,
            Self::Temp => 100.0,
        }
    }
}

/// Some values of a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Values {
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) sum: i64,
    pub(super) count: u64,
}

impl Values {
    pub(super) const fn of(value: i64) -> Self {
        Self { min: value, max: value, sum: value, count: 1 }
    }

    pub(super) fn add(slot: &mut Option<Self>, more: Self) {
        *slot = Some(slot.map_or(more, |found| Self {
            min: found.min.min(more.min),
            max: found.max.max(more.max),
            sum: found.sum.saturating_add(more.sum),
            count: found.count.saturating_add(more.count),
        }));
    }

    pub(super) fn span(self, quantity: Quantity) -> Span {
        let unit = quantity.per_unit();
        let mean = self.sum as f64 / self.count.max(1) as f64;
        Span { min: self.min as f64 / unit, mean: mean / unit, max: self.max as f64 / unit, count: self.count }
    }
}

/// The measurements of one record.
pub(super) type Measured = [Option<i64>; QUANTITIES];

/// What one record measured; `rest` is the battery at rest before an operation.
pub(super) fn measured(body: &Body<'_>, rest: Option<Millivolts>) -> Measured {
    let mut found = [None; QUANTITIES];
    let mut set = |quantity: Quantity, value: Option<i64>| found[quantity as usize] = value;
    let mv = |battery: Option<Millivolts>| possible(battery).map(|battery| i64::from(battery.0));
    match body {
        Body::State(state) => {
            set(Quantity::BatteryMv, mv(state.battery_mv));
            set(Quantity::BatteryPct, state.battery_pct.map(|pct| pct.0.into()));
            set(Quantity::Temp, state.temp_c.map(|temp| temp.0.into()));
            set(Quantity::Rssi, state.rssi_dbm.map(|rssi| rssi.0.into()));
        }
        Body::Adv(adv) => {
            set(Quantity::BatteryMv, mv(adv.battery_mv));
            set(Quantity::BatteryPct, adv.battery_pct.map(|pct| pct.0.into()));
            set(Quantity::Temp, adv.temp_c.map(|temp| temp.0.into()));
            set(Quantity::Rssi, adv.rssi_dbm.map(|rssi| rssi.0.into()));
        }
        Body::Op(op) => {
            let load_mv = mv(op.battery_min_mv);
            let peak_ma = op.peak_ma.map(|peak| i64::from(peak.0));
            set(Quantity::LoadMv, load_mv);
            set(Quantity::PeakMa, peak_ma);
            set(Quantity::Resistance, rest.and_then(|rest| resistance(rest.0.into(), load_mv?, peak_ma?)));
            let mean_ma = op.mean_ma.map(|mean| i64::from(mean.0));
            set(Quantity::Effort, mean_ma.zip(op.duration_ms).map(|(mean_ma, ms)| mean_ma * i64::from(ms)));
        }
        Body::Error(_) | Body::Event(_) | Body::Gateway(_) => {}
    }
    found
}

/// Sag by peak current, tenths of mΩ; a sag below 0 is no measurement.
fn resistance(rest_mv: i64, load_mv: i64, peak_ma: i64) -> Option<i64> {
    (peak_ma > 0 && rest_mv >= load_mv).then(|| (rest_mv - load_mv) * 10_000 / peak_ma)
}

/// Whether an operation failed by the hardware's fault: what the cohorts of ClickHouse count.
pub(super) const fn is_failed(result: OpResult) -> bool {
    match result {
        OpResult::Jam | OpResult::Stall | OpResult::Timeout => true,
        OpResult::Ok | OpResult::Aborted | OpResult::Rejected => false,
    }
}

/// The time at which a record counts: its own where that can be, else that of hearing. A lock's clock may be anything.
pub(super) fn counted_at(ts_ms: i64, heard_ms: i64) -> i64 {
    let possible = heard_ms.saturating_sub(BACKLOG_MS)..=heard_ms.saturating_add(AHEAD_MS);
    if possible.contains(&ts_ms) { ts_ms } else { heard_ms }
}

/// The bucket that a time is in.
pub(super) fn bucket_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(BUCKET_MS)
}

/// A count by code; codes are numbers of the word list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Codes(pub(super) Vec<(u32, u64)>);

impl Codes {
    /// Adds to a code; beyond [`CODES_MAX`] to code 0, which stands for all others.
    pub(super) fn add(&mut self, code: u32, count: u64) {
        match self.0.binary_search_by_key(&code, |&(code, _)| code) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) if self.0.len() < CODES_MAX || code == 0 => self.0.insert(at, (code, count)),
            Err(_) => self.add(0, count),
        }
    }
}

/// A lock's bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Packed {
    pub(super) records: u64,
    pub(super) operations: u64,
    pub(super) failed: u64,
    /// The number of its firmware's word; 0 if unknown.
    pub(super) fw: u32,
    pub(super) errors: Codes,
    pub(super) values: [Option<Values>; QUANTITIES],
}

impl Packed {
    /// Takes the measurements of a record.
    pub(super) fn measure(&mut self, measured: &Measured) {
        for (slot, value) in self.values.iter_mut().zip(measured) {
            if let Some(value) = value {
                Values::add(slot, Values::of(*value));
            }
        }
    }

    /// Takes a later bucket.
    pub(super) fn merge(&mut self, later: &Self) {
        self.records = self.records.saturating_add(later.records);
        self.operations = self.operations.saturating_add(later.operations);
        self.failed = self.failed.saturating_add(later.failed);
        self.fw = if later.fw == 0 { self.fw } else { later.fw };
        for &(code, count) in &later.errors.0 {
            self.errors.add(code, count);
        }
        for (slot, values) in self.values.iter_mut().zip(&later.values) {
            if let Some(values) = values {
                Values::add(slot, *values);
            }
        }
    }

    /// As it is shown; `word` gives the text of a number.
    pub(super) fn shown(&self, start_ms: i64, length_ms: i64, word: &dyn Fn(u32) -> String) -> Bucket {
        let span = |quantity: Quantity| self.values[quantity as usize].map(|values| values.span(quantity));
        Bucket {
            start_ms,
            length_ms,
            battery_mv: span(Quantity::BatteryMv),
            load_mv: span(Quantity::LoadMv),
            battery_pct: span(Quantity::BatteryPct),
            resistance_mohm: span(Quantity::Resistance),
            peak_ma: span(Quantity::PeakMa),
            effort_mc: span(Quantity::Effort),
            temp_c: span(Quantity::Temp),
            rssi_dbm: span(Quantity::Rssi),
            records: self.records,
            operations: self.operations,
            failed: self.failed,
            errors: self.errors.0.iter().map(|&(code, count)| (code_word(code, word), count)).collect(),
            fw: if self.fw == 0 { String::new() } else { word(self.fw) },
        }
    }
}

/// A cohort's bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PackedCohort {
    pub(super) locks: u64,
    pub(super) records: u64,
    pub(super) operations: u64,
    pub(super) failed: u64,
    pub(super) errors: Codes,
    pub(super) resistance: Option<Values>,
    pub(super) peak: Option<Values>,
}

impl PackedCohort {
    /// Takes a later bucket; of the locks the most that one had.
    pub(super) fn merge(&mut self, later: &Self) {
        self.locks = self.locks.max(later.locks);
        self.records = self.records.saturating_add(later.records);
        self.operations = self.operations.saturating_add(later.operations);
        self.failed = self.failed.saturating_add(later.failed);
        for &(code, count) in &later.errors.0 {
            self.errors.add(code, count);
        }
        for (slot, values) in [(&mut self.resistance, later.resistance), (&mut self.peak, later.peak)] {
            if let Some(values) = values {
                Values::add(slot, values);
            }
        }
    }

    /// As it is shown; `word` gives the text of a number.
    pub(super) fn shown(&self, start_ms: i64, length_ms: i64, word: &dyn Fn(u32) -> String) -> CohortBucket {
        CohortBucket {
            start_ms,
            length_ms,
            locks: self.locks,
            records: self.records,
            operations: self.operations,
            failed: self.failed,
            errors: self.errors.0.iter().map(|&(code, count)| (code_word(code, word), count)).collect(),
            resistance_mohm: self.resistance.map(|values| values.span(Quantity::Resistance)),
            peak_ma: self.peak.map(|values| values.span(Quantity::PeakMa)),
        }
    }
}

fn code_word(code: u32, word: &dyn Fn(u32) -> String) -> String {
    if code == 0 { OTHER_CODES.to_owned() } else { word(code) }
}

/// What codes are called that are counted together. No lock can report it: a code has no space.
pub const OTHER_CODES: &str = "other codes";

/// How wide the buckets of an answer are, in buckets of the source, for at most `points` from `from` to `to` (bucket
/// numbers, `to` exclusive).
pub(super) fn width(from: i64, to: i64, points: usize) -> i64 {
    let points = i64::try_from(points.clamp(1, super::types::POINTS_MAX)).unwrap_or(1);
    (to.saturating_sub(from).max(1) - 1) / points + 1
}
