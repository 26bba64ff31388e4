//! The state of one lock that all detectors share: its labels and site, its temperature, and its battery's voltage at
//! rest and under load; and the conditions of each motor operation. Must not know a rule. The engine updates it; the
//! detectors and `attribution` read it.
use crate::batch::{Labels, Row};
use crate::condition::{Condition, RestVoltage};
use crate::fleet::Sym;
use crate::pace::Pace;
use crate::time::HOUR_MS;
use serde::{Deserialize, Serialize};
use zenei_wire::{Adv, Op, OpKind, OpResult, Percent, State};

/// Below this peak current a sag is lost in the resolution of the voltage (1 mV of a few mV): 50 mA over 0.3 ohm are 15
/// mV.
const PEAK_MA_MIN: f64 = 50.0;
/// Weight of a new operation in the running resistance: the last five or so count.
const RESISTANCE_SHARE: f32 = 0.2;
/// Weight of a new operation in the lock's usual current: slow, so that a change of effort does not pass for a change
/// of voltage.
const CURRENT_SHARE: f32 = 0.01;

/// The used share of a battery from which it is spent. A guess: below a tenth the voltage of every chemistry falls
/// steeply.
const SPENT_USED: f64 = 0.9;
/// How many times as long a travel takes from which a battery is spent: a third of the motor's speed is gone, and the
/// torque that it can add at a tight spot with it. A guess.
const SPENT_SLOWNESS: f64 = 1.5;
/// The used share from which the resistance of a cell rises with its use alone. A guess: datasheets of alkaline and of
/// lithium cells show it nearly level over the first three quarters.
const WORN_USED: f64 = 0.75;
/// The share of its charge that a battery loses from one mark to the next but one (two to four weeks) where something
/// empties it early. A guess: sound locks need months for it, and the steps of most gauges are finer.
const EMPTIED_SHARE: f32 = 0.1;
/// The time between two marks of the charge.
const MARK_MS: i64 = 14 * 24 * HOUR_MS;
/// Client versions stored of a lock: the hub's and those of the phones of a household. A guess.
const CLIENTS: usize = 4;
/// How long after an update or a new battery a restart belongs to it. A guess: an update that fails is tried again
/// within the hour.
const VISIT_MS: i64 = 2 * HOUR_MS;
/// Operations whose mean load voltage becomes the lock's fixed reference.
const REFERENCE_COUNT: f32 = 30.0;
/// The share of its voltage that a battery has lost when it is empty. A guess: an alkaline cell falls from 1.5 V to 1.1
/// V, one of lithium from 3.2 V to 2.5 V.
const EMPTY_FALL: f64 = 0.25;
/// The share of its voltage that a loaded motor loses in its own winding: small brushed gear motors are run at a
/// quarter to a third of their stall current, and lose that share.
pub(crate) const WINDING_SHARE: f64 = 0.3;
/// The most that a lock's own share may be: beyond it, a soft start or a blocking door caused the peak. A guess.
const WINDING_SHARE_MAX: f64 = 0.6;

/// The directions in which a motor drives its bolt; each has its own friction.
pub const DIRECTIONS: usize = 2;

/// In which direction an operation drives the bolt: 0 to lock, 1 to unlock; `None` where it drives in both.
pub fn direction(op: OpKind) -> Option<usize> {
    match op {
        OpKind::Lock => Some(0),
        OpKind::Unlock => Some(1),
        OpKind::Calibrate => None,
    }
}

/// The state of a lock that the detectors share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lock {
    /// What describes it, by its newest record.
    pub labels: Labels,
    /// Its site, by its newest record.
    pub site: Sym,
    /// When its last record was released, ms of the engine.
    pub heard_ms: i64,
    /// Whether it is under maintenance.
    pub maintenance: bool,
    /// When its firmware version last changed, ms of the engine.
    pub updated_ms: Option<i64>,
    /// When its last event (update, new battery, maintenance, …) arrived, ms of the engine; an event may explain a
    /// restart.
    visited_ms: Option<i64>,
    /// Life, boot and number of its newest record.
    newest: Option<(u32, u32, u32)>,
    /// The client versions of its last connections, newest first: apps and hubs take turns.
    clients: [Sym; CLIENTS],
    pace: Pace,
    rest: RestVoltage,
    pub(crate) discharged: f64,
    /// The used share at the last mark and at the one before, and the time of the last one, ms of the device.
    marks: [f32; 2],
    marked_ms: Option<i64>,
    temp_c: Condition,
    resistance_ohm: f32,
    current_ma: f32,
    load_v: f32,
    load_ref_v: f32,
    load_ref_count: f32,
    /// Mean over the same operations of mean to peak current, and the number of operations that reported both.
    winding: f32,
    winding_count: f32,
}

/// A reference to the record behind a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordRef {
    /// Restart counter; 0 where there is none.
    pub boot: u32,
    /// Record counter; 0 where there is none.
    pub seq: u32,
    /// The device's clock, ms.
    pub ts: i64,
}

impl RecordRef {
    /// The reference to this row.
    pub fn of(row: &Row) -> Self {
        Self { boot: row.boot.unwrap_or(0), seq: row.seq.unwrap_or(0), ts: row.ts.ms() }
    }
}

/// A completed motor operation with its conditions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operation {
    /// Board temperature, °C.
    pub temp_c: f64,
    /// How far the battery is discharged, squared, 0 to 1: by the firmware's own estimate; 0 where there is none. Pulse
    /// resistance rises with it slowly, then steeply.
    pub discharged: f64,
    /// Logarithm of the speed that the battery gives the motor, relative to the lock's own first operations: what is
    /// left of the voltage under the lock's usual current, less the winding's share. Independent of how hard this
    /// operation went.
    pub log_speed: f64,
    /// Charge that the motor took, mC (mean current × run time); `None` where not measured.
    pub charge_mc: Option<f64>,
    /// The motor's mean current, mA, and run time, ms; `None` where not measured.
    pub mean_ma: Option<f64>,
    /// See `mean_ma`.
    pub run_ms: Option<f64>,
    /// Internal resistance of the battery, ohm (sag / peak current); `None` where not measured.
    pub resistance_ohm: Option<f64>,
    /// Logarithm of the current profile's distance from the lock's own template, over the usual distance; `None` where
    /// there is no profile, or no template yet.
    pub shape: Option<f64>,
    /// In which direction it drove the bolt, below [`DIRECTIONS`].
    pub direction: usize,
}

impl Lock {
    /// Takes any record that is not late: what describes the lock, and its place. Returns how many records before it
    /// are missing.
    pub fn heard(&mut self, row: &Row) -> u32 {
        let now_ms = row.released_at.ms();
        if self.labels.fw != Sym::NONE && row.labels.fw != self.labels.fw {
            self.updated_ms = Some(now_ms);
        }
        self.heard_ms = now_ms;
        self.pace.count(&row.body, now_ms);
        self.labels = row.labels;
        self.site = row.site;
        self.client(row.labels.client_version);
        let (Some(boot), Some(seq)) = (row.boot, row.seq) else { return 0 };
        let before = self.newest.replace((row.life, boot, seq)).filter(|&(life, at, _)| (life, at) == (row.life, boot));
        before.map_or(0, |(_, _, last)| seq.saturating_sub(last).saturating_sub(1))
    }

    /// Whether its battery is so far used up, by gauge or voltage under load, that bolt and radio may stop.
    pub fn is_spent(&self) -> bool {
        self.discharged >= SPENT_USED * SPENT_USED || self.slowness() >= SPENT_SLOWNESS
    }

    /// Whether its battery is mostly used and emptied much faster than in ordinary use: its resistance is high then
    /// without a fault of the battery's own. By the firmware's own estimate.
    pub fn is_emptied(&self) -> bool {
        let lost = self.discharged.sqrt() as f32 - self.marks[1];
        self.discharged >= WORN_USED * WORN_USED && self.marked_ms.is_some() && lost >= EMPTIED_SHARE
    }

    /// How many times as long a travel takes at its battery's voltage under load as at the usual one, 1 to 20.
    pub fn slowness(&self) -> f64 {
        if self.load_ref_count == 0.0 {
            return 1.0;
        }
        // At its start a motor stands still: its voltage alone determines the peak current through the winding, so the
        // mean current over the peak is the share of the voltage that the winding loses. A soft start or a sagging
        // battery lowers the peak and makes the share a little too large.
        let own = f64::from(self.winding).clamp(WINDING_SHARE, WINDING_SHARE_MAX);
        speed(f64::from(self.load_v / self.load_ref_v), own).min(1.0).recip()
    }

    pub(crate) fn client(&mut self, client: Sym) {
        if client != Sym::NONE && self.clients[0] != client {
            let known = self.clients.iter().position(|&known| known == client).unwrap_or(CLIENTS - 1);
            self.clients[..=known].rotate_right(1);
            self.clients[0] = client;
        }
    }

    /// How many motor operations and heartbeats it reports a week.
    pub fn weekly(&self) -> [u32; 2] {
        self.pace.weekly()
    }

    /// The client versions of its last connections.
    pub fn clients(&self) -> impl Iterator<Item = Sym> {
        self.clients.iter().copied().filter(|&client| client != Sym::NONE)
    }

    /// Takes the time of an event, which may restart the lock.
    pub fn visited(&mut self, now_ms: i64) {
        self.visited_ms = Some(now_ms);
    }

    /// Whether an event explains a restart about now.
    pub fn excused(&self, now_ms: i64) -> bool {
        self.visited_ms.is_some_and(|at_ms| (now_ms - at_ms).abs() <= VISIT_MS)
    }

    /// The link that its records come through: its gateway, or its site where the gateway is not known.
    pub fn behind(&self) -> Sym {
        if self.labels.gw == Sym::NONE { self.site } else { self.labels.gw }
    }

    /// Takes a heartbeat.
    pub fn state(&mut self, state: &State, ts: i64) {
        self.rest.heartbeat(state.battery_mv, ts);
        self.charge(state.battery_pct, ts);
        self.temp_c.heartbeat(state.temp_c.map(|temp| temp.celsius() as f32), ts);
    }

    /// Takes an advertisement; `at_ms` by its gateway's clock.
    pub fn advertised(&mut self, adv: &Adv, at_ms: i64) {
        self.rest.advertised(adv.battery_mv, at_ms);
        self.charge(adv.battery_pct, at_ms);
        self.temp_c.advertised(adv.temp_c.map(|temp| temp.celsius() as f32), at_ms);
    }

    fn charge(&mut self, percent: Option<Percent>, ts: i64) {
        if let Some(percent) = percent {
            let used = 1.0 - f64::from(percent.0) / 100.0;
            self.discharged = used * used;
            match self.marked_ms {
                None => (self.marks, self.marked_ms) = ([used as f32; 2], Some(ts)),
                // A clock that was set starts a new stretch too.
                Some(at) if ts.saturating_sub(at).saturating_abs() >= MARK_MS => {
                    (self.marks, self.marked_ms) = ([used as f32, self.marks[0]], Some(ts));
                }
                Some(_) => {}
            }
        }
    }

    /// Resets the state: the id belongs to another lock now, and only the labels stay.
    pub fn installed(&mut self) {
        *self = Self { labels: self.labels, site: self.site, heard_ms: self.heard_ms, ..Self::default() };
    }

    /// Resets what was learned of the battery: it is another one now.
    pub fn battery_replaced(&mut self) {
        self.rest = RestVoltage::default();
        self.resistance_ohm = 0.0;
        self.discharged = 0.0;
        self.marked_ms = None;
        self.load_v = self.load_ref_v;
    }

    /// Takes an operation; returns it with its conditions where it ran to its end. Without a voltage at rest it has no
    /// resistance.
    pub fn operation(&mut self, op: &Op, ts: i64) -> Option<Operation> {
        let direction = direction(op.op)?;
        if op.result != OpResult::Ok {
            return None;
        }
        let rest_mv = self.rest.at(ts).map(|rest| f64::from(rest.0));
        // A lock that never reported a temperature is judged without one. Where heartbeats stop, or can't be read, the
        // last reported one is used: weather changes the effort by a few percent meanwhile.
        let temp_c = self.temp_c.at(ts).or(self.temp_c.last()).unwrap_or(0.0);
        let peak = op.peak_ma.map(|peak| f64::from(peak.0)).filter(|&peak| peak >= PEAK_MA_MIN);
        let low_mv = op.battery_min_mv.map(|low| f64::from(low.0));
        let sag_mv = rest_mv.zip(low_mv).map(|(rest, low)| rest - low).filter(|&sag| sag > 0.0);
        let resistance_ohm = peak.zip(sag_mv).map(|(peak, sag)| sag / peak);
        let (mean, duration) = drive(op);
        let follow = |old: &mut f32, new: Option<f64>, share: f32| {
            if let Some(new) = new {
                *old += (new as f32 - *old) * if *old == 0.0 { 1.0 } else { share };
            }
        };
        follow(&mut self.resistance_ohm, resistance_ohm, RESISTANCE_SHARE);
        follow(&mut self.current_ma, mean, CURRENT_SHARE);
        if let (Some(share), true) =
            (mean.zip(peak).map(|(mean, peak)| mean / peak), self.winding_count < REFERENCE_COUNT)
        {
            self.winding_count += 1.0;
            self.winding += (share as f32 - self.winding) / self.winding_count;
        }
        // A lock that never reported a voltage is judged by its charge.
        let load_mv = self.load_mv(rest_mv, peak.zip(low_mv));
        if load_mv.is_none() && self.load_ref_count > 0.0 {
            return None;
        }
        Some(Operation {
            temp_c,
            discharged: self.discharged,
            log_speed: match load_mv {
                Some(load_mv) => self.log_speed(load_mv / 1000.0),
                None => self.speed_by_charge(),
            },
            charge_mc: mean.zip(duration).map(|(mean, duration)| mean * duration / 1000.0),
            mean_ma: mean,
            run_ms: duration,
            resistance_ohm,
            shape: None,
            direction,
        })
    }
}

impl Lock {
    /// The battery's voltage under the lock's usual current: from its voltage at rest, or from the lowest one of this
    /// operation at its peak current.
    fn load_mv(&self, rest_mv: Option<f64>, peak_and_low: Option<(f64, f64)>) -> Option<f64> {
        let (current, resistance) = (f64::from(self.current_ma), f64::from(self.resistance_ohm));
        let from_low = || peak_and_low.filter(|_| resistance > 0.0).map(|(peak, low)| low + peak * resistance);
        rest_mv.or_else(from_low).map(|rest| rest - current * resistance)
    }

    /// The logarithm of the motor's speed that the firmware's estimate of the charge lets expect, of a lock that tells
    /// no voltage; how far it is so the model's locks teach.
    fn speed_by_charge(&self) -> f64 {
        libm::log(speed(1.0 - EMPTY_FALL * self.discharged.sqrt(), WINDING_SHARE))
    }

    /// The logarithm of the motor's speed at this voltage against its usual one.
    fn log_speed(&mut self, load_v: f64) -> f64 {
        if self.load_ref_count < REFERENCE_COUNT {
            self.load_ref_count += 1.0;
            self.load_ref_v += (load_v as f32 - self.load_ref_v) / self.load_ref_count;
        }
        self.load_v = load_v as f32;
        libm::log(speed(load_v / f64::from(self.load_ref_v), WINDING_SHARE))
    }
}

/// A motor's speed at this share of its usual voltage, relative to its usual one, where it loses so much of that in its
/// winding. Below a twentieth of its speed a motor stands still; the bound keeps the logarithm finite.
fn speed(voltage_share: f64, winding: f64) -> f64 {
    ((voltage_share - winding) / (1.0 - winding)).max(0.05)
}

/// Mean current (mA) and run time (ms) of the motor: as reported, else from the current profile.
fn drive(op: &Op) -> (Option<f64>, Option<f64>) {
    let samples = op.current_ma.as_ref().map_or(&[][..], |profile| profile.samples());
    let count = samples.len() as f64;
    let profile_mean = || (count > 0.0).then(|| samples.iter().map(|&sample| f64::from(sample)).sum::<f64>() / count);
    let profile_ms = || op.sample_ms.filter(|_| count > 0.0).map(|sample| count * f64::from(sample));
    let mean = op.mean_ma.map(|mean| f64::from(mean.0)).or_else(profile_mean);
    let duration = op.duration_ms.map(f64::from).or_else(profile_ms);
    (mean.filter(|&mean| mean > 0.0), duration.filter(|&duration| duration > 0.0))
}

/// A lock that was heard at this time and reported so many operations and heartbeats a week.
#[cfg(test)]
pub(crate) fn test_lock(heard_ms: i64, weekly: u16) -> Lock {
    Lock { heard_ms, pace: Pace::of([weekly; 2]), ..Lock::default() }
}

#[cfg(test)]
mod tests;
