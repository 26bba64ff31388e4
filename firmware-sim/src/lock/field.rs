//! What the field adds to a lock's acts: links that lose by burst and strength, habits of reporting, gauges, memory
//! that work takes, errors in clumps and under other names. Every answer is neutral in a scenario without a field.
//! Must not know a detector. Called by `lock::acts`.
use super::Lock;
use super::at::At;
use crate::battery::Pack;
use crate::calendar::{DAY_MS, HOUR_MS};
use crate::message::{Listener, Manner};
use crate::rng::Draws;
use crate::scenario::{BeatHabit, Quantity, Wander};
use crate::told;
use crate::traits::Link;
use crate::wander::{self, Course};
use zenei_wire::{Body, ErrorReport, OpSource};

/// From which local hour on locks that sleep at night report.
const WAKES_H: i64 = 6;

impl Lock {
    /// How a record of now leaves the lock.
    pub(super) fn manner<'a, L: Listener>(&self, at: &At<'a, L>) -> Manner<'a> {
        let loss = match &at.world.scenario.field {
            None => (self.one.loss, self.one.loss),
            Some(field) => {
                let link = Link {
                    seed: at.world.seed,
                    lock: self.number,
                    kinds: self.kinds,
                    rssi_dbm: self.one.rssi_dbm + self.signal_db(at),
                };
                (self.one.loss + self.one.traits.loss_at(field, link, at.at_ms), field.loss.doubled)
            }
        };
        self.ailments.manner(at.world, &self.kinds, self.version, loss, at.at_ms)
    }

    /// A wandering value of now.
    pub(super) fn wander<L: Listener>(&self, at: &At<'_, L>, course: Course, sigma: fn(&Wander) -> f64) -> f64 {
        at.world.scenario.field.as_ref().map_or(0.0, |field| {
            let value = wander::value(at.world.seed, self.number, course, at.at_ms, field.wander.days);
            sigma(&field.wander) * value
        })
    }

    /// Factor of friction by weather and season.
    pub(super) fn weathered<L: Listener>(&self, at: &At<'_, L>) -> f64 {
        self.wander(at, Course::Friction, |wander| wander.friction).exp()
    }

    /// Change of the signal.
    pub(super) fn signal_db<L: Listener>(&self, at: &At<'_, L>) -> f64 {
        self.ailments.signal_db(at.world, at.at_ms) + self.wander(at, Course::Radio, |wander| wander.rssi_db)
    }

    /// Memory that work now holds, bytes.
    pub(super) fn working_b<L: Listener>(&self, at: &At<'_, L>) -> f64 {
        let Some(told) = told::of(&at.world.scenario, &self.kinds) else { return 0.0 };
        let periods = at.at_ms as f64 / HOUR_MS as f64 / told.saw_h.max(0.1) + self.one.traits.phase;
        told.saw_b * (periods - periods.floor())
    }

    /// The interval of heartbeats now.
    pub(super) fn state_every_ms<L: Listener>(&self, at: &At<'_, L>) -> f64 {
        let day = (at.at_ms - at.world.start_ms) as f64 / DAY_MS as f64;
        let retimed =
            self.one.traits.retimed.filter(|(from_day, _)| day >= *from_day).map_or(1.0, |(_, factor)| factor);
        let every_ms = self.one.state_every_ms * retimed;
        match told::of(&at.world.scenario, &self.kinds).map(|told| told.beat) {
            Some(BeatHabit::AfterUse) => DAY_MS as f64,
            Some(BeatHabit::Clock | BeatHabit::Waking) | None => every_ms,
        }
    }

    /// When a heartbeat that is due then is really sent: some locks sleep at night.
    pub(super) fn awake<L: Listener>(&self, at: &At<'_, L>, due_ms: i64) -> i64 {
        let sleeps = told::of(&at.world.scenario, &self.kinds).is_some_and(|told| told.beat == BeatHabit::Waking);
        let into_day_ms = (due_ms - at.world.start_ms).rem_euclid(DAY_MS);
        let wakes_ms = WAKES_H * HOUR_MS;
        if !sleeps || into_day_ms >= wakes_ms {
            return due_ms;
        }
        due_ms - into_day_ms + wakes_ms + (self.one.state_phase * HOUR_MS as f64) as i64
    }

    /// After an operation: phones carry away what was held, and some models report their state.
    pub(super) fn after_use<L: Listener>(&mut self, at: &mut At<'_, L>, source: Option<OpSource>) {
        if self.kinds.phone && source == Some(OpSource::App) {
            self.speech.back(at.identity, at.at_ms, at.listener);
        }
        let told = told::of(&at.world.scenario, &self.kinds);
        let reports = told.is_some_and(|told| told.beat == BeatHabit::AfterUse);
        if reports && (at.at_ms - self.beat_ms) as f64 >= self.one.state_every_ms {
            self.state_ms = at.at_ms + 1;
        }
    }

    /// An error, and those that follow it at once.
    pub(super) fn say_clump<L: Listener>(&mut self, at: &mut At<'_, L>, delay_ms: i64, code: &str, draws: &mut Draws) {
        let Some(told) = told::of(&at.world.scenario, &self.kinds) else {
            return self.say_errors(at, delay_ms, code, 1);
        };
        // Geometric with the mean.
        let more = (draws.exponential() / (1.0 + 1.0 / told.clump.max(1e-6)).ln()) as u32;
        if told.counted {
            return self.say_errors(at, delay_ms, code, 1 + more);
        }
        (0..=more).for_each(|_| self.say_errors(at, delay_ms, code, 1));
    }

    /// An error under the name that the running version gives it.
    pub(super) fn say_errors<L: Listener>(&mut self, at: &mut At<'_, L>, delay_ms: i64, code: &str, count: u32) {
        let scenario = &at.world.scenario;
        let version = &scenario.firmware[self.version].version;
        let mut renames = scenario.field.iter().flat_map(|field| &field.rename);
        let renamed = renames.find(|rename| rename.version == *version && rename.from == code);
        let code = renamed.map_or(code, |rename| rename.to.as_str());
        self.say(at, delay_ms, false, None, Body::Error(ErrorReport { code: code.into(), count, detail: None }));
    }

    /// Noise of one told voltage at rest, mV, where a sound gauge has `noise_mv`: a coarse or sluggish one tells one
    /// value a day, and what wanders is worth one value in half the time for which it holds.
    pub(super) fn rest_noise_mv<L: Listener>(&self, at: &At<'_, L>, noise_mv: f64) -> f64 {
        let scenario = &at.world.scenario;
        let (Some(told), Some(field)) = (told::of(scenario, &self.kinds), &scenario.field) else { return noise_mv };
        let a_day = (DAY_MS as f64 / self.state_every_ms(at)).max(1.0);
        let lasts = (a_day * field.wander.days / 2.0).max(1.0);
        let step_mv = if told.hides(Quantity::BatteryMv) {
            let battery = &scenario.battery[self.kinds.battery];
            let ten_percent = Pack::with_charge((self.pack.charge - 0.1).max(0.0));
            let fall_mv = self.pack.emf_mv(battery, 20.0) - ten_percent.emf_mv(battery, 20.0);
            told.percent_step / 10.0 * fall_mv.max(1.0)
        } else {
            told.dead_mv
        };
        let coarse_mv = step_mv / 12.0_f64.sqrt() * a_day.sqrt();
        noise_mv.hypot(coarse_mv).hypot(field.wander.rest_mv * lasts.sqrt())
    }

    /// Noise of one told heap, bytes: what work takes is known to nobody.
    pub(super) fn heap_noise_b<L: Listener>(&self, at: &At<'_, L>, noise_b: f64) -> f64 {
        match told::of(&at.world.scenario, &self.kinds) {
            Some(told) if told.hides(Quantity::FreeHeapB) => f64::INFINITY,
            Some(told) => noise_b.hypot(told.saw_b / 12.0_f64.sqrt()),
            None => noise_b,
        }
    }
}
