//! What the field made of one lock: its link, its nuisances, its users, its gauge. Drawn once per lock from a stream of
//! its own; neutral in a scenario without a field. Must not know a detector. Called by `individual`, `lock` and
//! `truth`.
use crate::calendar::{DAY_MS, HOUR_MS};
use crate::identity::Kinds;
use crate::rng::{Draws, Purpose};
use crate::scenario::{Field, Scenario};

/// The highest loss of a link that still carries something.
const LOSS_MAX: f64 = 0.9;

/// One lock's traits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Traits {
    /// What its link loses without cause.
    pub(crate) loss: f64,
    /// Bursts of loss a day.
    pub(crate) bursts_per_day: f64,
    /// Factor of friction.
    pub(crate) friction: f64,
    /// Share of closings that meet something.
    pub(crate) jam: f64,
    /// Restarts a day beyond the version's.
    pub(crate) restarts_per_day: f64,
    /// Factor of error rates.
    pub(crate) errors: f64,
    /// Factor of operations a day.
    pub(crate) ops: f64,
    /// When its heartbeat's interval changes, days of the run, and by which factor.
    pub(crate) retimed: Option<(f64, f64)>,
    /// Where in their periods its memory and its batches stand, 0 to 1.
    pub(crate) phase: f64,
}

impl Traits {
    const NEUTRAL: Self = Self {
        loss: 0.0,
        bursts_per_day: 0.0,
        friction: 1.0,
        jam: 0.0,
        restarts_per_day: 0.0,
        errors: 1.0,
        ops: 1.0,
        retimed: None,
        phase: 0.0,
    };

    pub(crate) fn draw(scenario: &Scenario, seed: u64, lock: usize) -> Self {
        let Some(field) = &scenario.field else { return Self::NEUTRAL };
        let mut draws = Draws::new(seed, lock, Purpose::Trait, 0);
        let (loss, nuisance, habits) = (&field.loss, &field.nuisance, &field.habits);
        // Of each pair both are drawn, so that a share does not move what follows.
        let mut hit = |share: f64| (draws.chance(share), draws.uniform(), draws.factor(0.7));
        let (loses, how_much, _) = hit(loss.chronic_share);
        let (.., bursty) = hit(1.0);
        let (is_stiff, stiff, _) = hit(nuisance.stiff_share);
        let (jams, jam, _) = hit(nuisance.jam_share);
        let (restarts, _, often) = hit(nuisance.restart_share);
        let (errs, err, _) = hit(nuisance.error_share);
        let (idles, idle, _) = hit(habits.idle_share);
        let (is_retimed, when, _) = hit(habits.retimed_share);
        let (_, phase, _) = hit(1.0);
        let or = |is: bool, value: f64, neutral: f64| if is { value } else { neutral };
        Self {
            loss: or(loses, loss.chronic_loss * (0.1 + 0.9 * how_much * how_much), 0.0),
            bursts_per_day: loss.bursts_per_day * bursty,
            friction: or(is_stiff, 1.0 + (nuisance.stiff - 1.0) * (0.4 + 0.6 * stiff), 1.0),
            jam: or(jams, nuisance.jam * (0.3 + 0.7 * jam), 0.0),
            restarts_per_day: or(restarts, nuisance.restarts_per_day * often, 0.0),
            errors: or(errs, 1.0 + (nuisance.errors - 1.0) * (0.2 + 0.8 * err), 1.0),
            ops: or(idles, habits.idle * (0.5 + idle), 1.0),
            retimed: is_retimed.then_some((when * scenario.days, habits.retimed)),
            phase,
        }
    }

    /// The share of its records that a lock's link loses at a time, without a fault.
    pub(crate) fn loss_at(&self, field: &Field, link: Link, at_ms: i64) -> f64 {
        let losses = &field.loss;
        let weak = losses.radio_loss * ((-70.0 - link.rssi_dbm) / losses.per_db).exp();
        let mut draws = Draws::new(link.seed, link.kinds.site, Purpose::Trait, 1 << 32 | link.kinds.gateway as u64);
        let (busy_from, busy_hours) = (draws.below(24) as i64, 2 + draws.below(5) as i64);
        let hour = at_ms.div_euclid(HOUR_MS).rem_euclid(24);
        let busy = if (hour - busy_from).rem_euclid(24) < busy_hours { losses.busy } else { 1.0 };
        let steady = (self.loss + weak * busy).min(LOSS_MAX);
        if self.bursts(losses.burst_h, link, at_ms) { steady.max(losses.burst_loss) } else { steady }
    }

    /// Whether a burst of loss is on: each slot of the mean length begins one by chance, which lasts for one to three.
    fn bursts(&self, burst_h: f64, link: Link, at_ms: i64) -> bool {
        let slot_ms = (burst_h * HOUR_MS as f64 / 2.0).max(60_000.0) as i64;
        let share = self.bursts_per_day * slot_ms as f64 / DAY_MS as f64;
        let slot = at_ms.div_euclid(slot_ms);
        (0..3).any(|back| {
            let mut draws = Draws::new(link.seed, link.lock, Purpose::Burst, (slot - back) as u64);
            draws.chance(share) && draws.below(3) as i64 >= back
        })
    }
}

/// Which link is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) seed: u64,
    pub(crate) lock: usize,
    pub(crate) kinds: Kinds,
    pub(crate) rssi_dbm: f64,
}
