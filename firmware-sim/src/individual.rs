//! How one lock differs from others of its model: friction, winding, battery, converters, place, use. Drawn once per
//! lock and constant over a run. Must not know the time within a run. Called by `lock` and `truth`.
use crate::identity::Kinds;
use crate::motor::SEGMENTS;
use crate::rng::{Draws, Purpose};
use crate::scenario::{Model, Scenario};
use crate::traits::Traits;

/// The highest loss of a sound link; above it the fault of lost records begins.
const LOSS_MAX: f64 = 0.01;

/// One lock's constants.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Individual {
    /// Factor of gear and bolt friction.
    pub(crate) friction: f64,
    /// Factor of the bolt's friction when it unlocks.
    pub(crate) unlock: f64,
    /// Friction of the bolt along the travel, mean 1.
    pub(crate) shape: [f64; SEGMENTS],
    /// Winding, Ω at 20 °C.
    pub(crate) motor_ohm: f64,
    /// Factor of the cells' resistance.
    pub(crate) battery_ohm: f64,
    /// Charge at the start of the run.
    pub(crate) charge: f64,
    /// Gain of the voltage converter.
    pub(crate) voltage_gain: f64,
    /// Gain of the current sense.
    pub(crate) current_gain: f64,
    /// Offset of the thermometer, °C.
    pub(crate) temp_offset_c: f64,
    /// Share of the outdoor temperature in the lock's temperature.
    pub(crate) outdoor: f64,
    /// Factor of operations per day.
    pub(crate) ops: f64,
    /// Factor of error rates.
    pub(crate) errors: f64,
    /// Mean signal strength, dBm.
    pub(crate) rssi_dbm: f64,
    /// Offset of the end position, degrees.
    pub(crate) angle_deg: f64,
    /// Mean interval of heartbeats, ms.
    pub(crate) state_every_ms: f64,
    /// Where in its first interval the first heartbeat falls, 0 to 1.
    pub(crate) state_phase: f64,
    /// Restarts before the run.
    pub(crate) boots: u32,
    /// Days since the last restart at the start of the run.
    pub(crate) uptime_days: f64,
    /// Share of records that never arrive, and of those that come twice.
    pub(crate) loss: f64,
    /// What the field made of it.
    pub(crate) traits: Traits,
}

/// Draws one lock's constants.
pub(crate) fn draw(scenario: &Scenario, seed: u64, lock: usize, kinds: &Kinds) -> Individual {
    let spread = &scenario.spread;
    let (model, lot) = (&scenario.model[kinds.model], &scenario.lot[kinds.lot]);
    let mut draws = Draws::new(seed, lock, Purpose::Body, 0);
    let friction = lot.friction * draws.factor(spread.friction);
    // The latch's spring helps in one direction and hinders in the other; guess.
    let unlock = 0.9 * draws.factor(0.06);
    let shape = shape(&mut draws);
    let traits = Traits::draw(scenario, seed, lock);
    Individual {
        friction: traits.friction
            * scenario.drive_reserve.map_or(friction, |reserve| {
                friction.min(friction_max(model, scenario.control.jam_ma / reserve, unlock, &shape))
            }),
        unlock,
        shape,
        motor_ohm: model.motor_ohm * draws.factor(spread.motor_ohm),
        battery_ohm: lot.battery_ohm * draws.factor(spread.battery_ohm),
        charge: draws.between(spread.soc_min, spread.soc_max),
        voltage_gain: 1.0 + spread.voltage_gain * draws.normal(),
        current_gain: 1.0 + spread.current_gain * draws.normal(),
        temp_offset_c: spread.temp_offset_c * draws.normal(),
        outdoor: draws.between(spread.outdoor_min, spread.outdoor_max),
        ops: traits.ops * draws.factor(spread.ops),
        errors: traits.errors * draws.factor(spread.errors),
        rssi_dbm: scenario.radio.rssi_dbm + scenario.radio.rssi_spread_db * draws.normal(),
        angle_deg: scenario.noise.angle_deg * draws.normal(),
        // Crystals and settings differ a little; guess.
        state_every_ms: model.state_every_min * 60_000.0 * draws.factor(0.05),
        state_phase: draws.uniform(),
        boots: 2 + draws.below(40) as u32,
        uptime_days: 60.0 * draws.uniform(),
        loss: (scenario.radio.loss_share * draws.factor(scenario.radio.loss_sigma)).min(LOSS_MAX),
        traits,
    }
}

/// The friction at which neither direction takes more than `current_ma` at 20 °C.
fn friction_max(model: &Model, current_ma: f64, unlock: f64, shape: &[f64; SEGMENTS]) -> f64 {
    let highest = shape.iter().copied().fold(1.0, f64::max);
    current_ma / (model.gear_ma + model.bolt_ma * unlock.max(1.0) * highest)
}

/// Friction along the travel: an even part, a ripple, and the strike that the bolt meets late in its travel. Widths and
/// heights are guesses.
fn shape(draws: &mut Draws) -> [f64; SEGMENTS] {
    let strike_at = draws.between(0.6, 0.85);
    let strike = draws.between(0.2, 0.5);
    let (ripple, phase) = (draws.between(0.02, 0.06), draws.between(0.0, std::f64::consts::TAU));
    let mut shape = [0.0; SEGMENTS];
    for (at, value) in shape.iter_mut().enumerate() {
        let along = (at as f64 + 0.5) / SEGMENTS as f64;
        let bump = strike * (-((along - strike_at) / 0.1).powi(2)).exp();
        *value = 1.0 + bump + ripple * (along * 5.0 * std::f64::consts::TAU + phase).sin();
    }
    let mean = shape.iter().sum::<f64>() / SEGMENTS as f64;
    shape.map(|value| value / mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motor::{self, Load, Outcome};

    /// How many of the demo's locks, over eight seeds, need a second attempt although they are sound: on a day of 12 °C
    /// somebody leans on the door, and the operation is two standard deviations from the mean.
    fn second_attempts(scenario: &Scenario) -> usize {
        let spread = &scenario.spread;
        let locks = (1..=8).flat_map(|seed| (0..scenario.locks).map(move |lock| (seed, lock)));
        let needs_second = |&(seed, lock): &(u64, usize)| {
            let (_, kinds) = crate::identity::draw(scenario, seed, lock);
            let one = draw(scenario, seed, lock, &kinds);
            let load = Load {
                emf_mv: 2900.0,
                battery_ohm: 0.4,
                motor_ohm: one.motor_ohm,
                temp_c: 12.0,
                gear: one.friction,
                bolt: one.friction * (1.0 + spread.lean_friction) * (1.0 + 2.0 * spread.op_friction),
                shape: &one.shape,
                obstacle: None,
            };
            let model = &scenario.model[kinds.model];
            motor::drive(model, &scenario.control, &load).outcome != Outcome::Done
        };
        locks.filter(needs_second).count()
    }

    #[test]
    fn a_lock_of_the_demo_is_sound_as_it_is_installed() {
        let mut demo = Scenario::demo().unwrap();
        assert_eq!(second_attempts(&demo), 0);
        demo.drive_reserve = None;
        assert!(second_attempts(&demo) > 5);
    }
}
