//! A world: a scenario whose structure is drawn at random by a number, so that a detector is asked in fields that
//! nobody made for it. Physics are moved ([`Scenario::jittered`]) and scaled to other packs, drives and travels; models
//! tell other fields; links, users, nuisances, carriers, rollouts and the shared faults' sizes and days are drawn. The
//! ranges are guesses of what fields do, wide on purpose. A world is a function of the scenario and its number; the
//! seed of a run then draws its locks. Must not know any detector. Called by the lab and by `firmware-sim run`.
use crate::rng::{Draws, FLEET, Purpose};
use crate::scenario::{
    BeatHabit, Carriages, Density, Drawn, Fault, Field, Habits, Losses, Nuisances, Quantity, Rename, Scenario,
    ScenarioError, Single, Told, Wander,
};

/// Up to which share a world moves each physical parameter.
const PHYSICS: f64 = 0.25;

impl Scenario {
    /// This scenario's faults and controls in the world of this number.
    ///
    /// # Errors
    /// Where the drawn scenario can't be simulated, which a test checks for the embedded ones.
    pub fn in_world(&self, number: u64) -> Result<Self, ScenarioError> {
        let mut world = self.jittered(PHYSICS, number)?;
        let mut draws = Draws::new(number, FLEET, Purpose::World, 0);
        similar(&mut world, &mut draws);
        let told = (0..world.model.len()).map(|_| told(&mut draws)).collect();
        let field = field(&world, number, told, &mut draws);
        world.field = Some(field);
        for model in &mut world.model {
            // Three usual intervals and the model's own.
            model.state_every_min = [60.0, 180.0, 360.0, model.state_every_min][draws.below(4)];
        }
        rollouts(&mut world, &mut draws);
        renames(&mut world, &mut draws);
        for fault in &mut world.fault {
            resize(fault, &mut draws);
        }
        if let Some(density) = &mut world.faults {
            single_faults(density, &mut draws);
        }
        let gateways = draws.between(0.15, 1.0);
        for site in &mut world.site {
            site.gateways = ((site.gateways as f64 * gateways).round() as usize).max(1);
        }
        for rate in world.errors.values_mut() {
            *rate *= draws.factor(0.8);
        }
        world.report.profile_share = draws.between(0.1, 1.0);
        world.spread.ops = draws.between(0.3, 0.8);
        world.check()?;
        Ok(world)
    }
}

impl Scenario {
    /// This scenario without its faults: controls stay, and each rollout is a harmless one.
    #[must_use]
    pub fn harmless(mut self) -> Self {
        self.fault
            .retain(|fault| matches!(fault, Fault::H7(_) | Fault::C1(_) | Fault::C2(_) | Fault::C3(_) | Fault::C5(_)));
        if let Some(density) = &mut self.faults {
            density.family.retain(|drawn| drawn.rate.is_some());
        }
        self
    }
}

/// Other packs, drives and travels that behave alike: voltages and winding scaled together, then currents, then travel
/// and speed. What the electronics and mechanics fix by ratio stays fixed.
fn similar(world: &mut Scenario, draws: &mut Draws) {
    let (volts, amps, travel) = ([1.0, 1.0, 2.0][draws.below(3)], draws.between(0.6, 2.2), draws.between(0.6, 1.4));
    let ohms = volts / amps;
    for model in &mut world.model {
        model.motor_ohm *= ohms;
        model.driver_ohm *= ohms;
        model.gear_ma *= amps;
        model.bolt_ma *= amps;
        model.back_emf_mv_s *= volts / travel;
        model.travel_deg *= travel;
        model.heap_b *= 1.0 + draws.uniform();
    }
    for battery in &mut world.battery {
        battery.curve.iter_mut().for_each(|point| point[1] *= volts);
        battery.cell_ohm *= ohms;
        battery.contact_ohm *= ohms;
        battery.mv_per_k *= volts;
        battery.polarisation_mv_mah *= ohms;
    }
    world.control.jam_ma *= amps;
    world.control.stall_deg_s *= travel;
    world.control.brownout_mv *= volts;
    world.failure.brush_ohm *= ohms;
    world.failure.cell_mv *= volts;
    world.noise.rest_mv *= volts;
    world.noise.load_mv *= volts;
    world.noise.step_mv *= volts;
    world.noise.current_ma *= amps;
}

fn told(draws: &mut Draws) -> Told {
    let mut hidden: Vec<Quantity> = [
        (Quantity::PeakMa, 0.15),
        (Quantity::CurrentMa, 0.3),
        (Quantity::BatteryMinMv, 0.2),
        (Quantity::AngleErrDeg, 0.3),
        (Quantity::TempC, 0.15),
        (Quantity::RssiDbm, 0.15),
        (Quantity::FreeHeapB, 0.15),
        (Quantity::ResetReason, 0.2),
        (Quantity::ClientOfState, 0.4),
        (Quantity::ClientOfOp, 0.2),
        (Quantity::FwOfOp, 0.4),
    ]
    .into_iter()
    .filter_map(|(quantity, share)| draws.chance(share).then_some(quantity))
    .collect();
    // Effort shows in the mean current or in the motor's time, the charge in the voltage or in percent.
    let (effort, charge) = (draws.uniform(), draws.uniform());
    hidden.extend((effort < 0.15).then_some(Quantity::MeanMa));
    hidden.extend((effort > 0.85).then_some(Quantity::DurationMs));
    hidden.extend((charge < 0.15).then_some(Quantity::BatteryMv));
    hidden.extend((charge > 0.8).then_some(Quantity::BatteryPct));
    Told {
        hidden,
        percent_step: [1.0, 1.0, 5.0, 10.0, 25.0][draws.below(5)],
        beat: [BeatHabit::Clock, BeatHabit::Clock, BeatHabit::Waking, BeatHabit::AfterUse][draws.below(4)],
        dead_c: [0.0, 0.0, 1.0, 2.0][draws.below(4)],
        dead_mv: [0.0, 0.0, 0.0, 20.0, 50.0][draws.below(5)],
        saw_b: [0.0, draws.between(1_000.0, 8_000.0)][draws.below(2)],
        saw_h: draws.between(6.0, 120.0),
        clump: [0.0, 0.3, 1.5][draws.below(3)],
        counted: draws.chance(0.5),
    }
}

fn field(world: &Scenario, number: u64, told: Vec<Told>, draws: &mut Draws) -> Field {
    let mut share = |of: f64, most: f64| if draws.chance(of) { draws.between(0.0, most) } else { 0.0 };
    let doubled = share(0.6, 0.01);
    let carriage = Carriages {
        phone_share: share(0.5, 0.2),
        batch_share: share(0.6, 0.4),
        batch_min: [15.0, 60.0, 240.0][(number % 3) as usize],
        slow_share: share(0.6, 0.4),
        slow_min: [10.0, 45.0, 150.0][(number / 3 % 3) as usize],
        doubling_share: share(0.5, 0.3),
        doubling: share(1.0, 0.2),
    };
    let nuisance = Nuisances {
        stiff_share: share(0.9, 0.06),
        stiff: 1.0 + share(1.0, 0.5),
        jam_share: share(0.9, 0.06),
        jam: share(1.0, 0.04),
        restart_share: share(0.9, 0.06),
        restarts_per_day: share(1.0, 0.6),
        error_share: share(0.9, 0.08),
        errors: 1.0 + share(1.0, 15.0),
    };
    let habits = Habits {
        rental_share: share(0.8, 0.3),
        stay_days: draws.between(2.0, 6.0),
        shifted_share: draws.between(0.0, 0.5),
        idle_share: draws.between(0.0, 0.15),
        idle: draws.between(0.03, 0.3),
        retimed_share: if draws.chance(0.5) { draws.between(0.0, 0.2) } else { 0.0 },
        retimed: [0.33, 0.5, 2.0, 3.0][draws.below(4)],
    };
    let loss = Losses {
        chronic_share: draws.between(0.0, 0.12),
        chronic_loss: draws.between(0.02, 0.3),
        radio_loss: draws.between(0.0002, 0.004),
        per_db: draws.between(4.0, 10.0),
        busy: draws.between(1.0, 8.0),
        bursts_per_day: draws.between(0.002, 0.12),
        burst_h: draws.between(0.5, 8.0),
        burst_loss: draws.between(0.2, 0.9),
        doubled,
    };
    let wander = Wander {
        friction: draws.between(0.005, 0.035),
        rest_mv: world.noise.step_mv * draws.between(0.2, 2.5),
        rssi_db: draws.between(0.5, 4.0),
        days: draws.between(0.5, 6.0),
        tails: draws.between(0.0, 0.06),
    };
    let (ties, eager) = (draws.between(0.0, 0.9), draws.between(0.0, 0.9));
    Field { world: number, ties, told, loss, nuisance, wander, habits, carriage, rename: Vec::new(), eager }
}

/// Rollouts of other sizes, of which some soon cover nearly all locks that they may reach, some stay in one region.
fn rollouts(world: &mut Scenario, draws: &mut Draws) {
    let regions: Vec<String> = world.region.iter().map(|region| region.name.clone()).collect();
    for rollout in &mut world.rollout {
        rollout.share = if draws.chance(0.2) { 0.95 } else { (rollout.share * draws.between(0.4, 2.0)).min(0.95) };
        rollout.day += draws.between(-2.0, 4.0).max(-rollout.day);
        rollout.days = draws.between(0.3, 10.0);
        if draws.chance(0.25) {
            rollout.region = Some(regions[draws.below(regions.len())].clone());
        }
    }
}

/// Some harmless versions report a code under another name.
fn renames(world: &mut Scenario, draws: &mut Draws) {
    let faulty = |version: &str| world.fault.iter().any(|fault| fault.version() == Some(version));
    let harmless = world.rollout.iter().map(|rollout| rollout.version.clone()).filter(|version| !faulty(version));
    let renames: Vec<Rename> = harmless
        .filter_map(|version| {
            let from = ["ble_disconnect", "cloud_timeout", "sync_failed"][draws.below(3)];
            let to = format!("{from}_{}", 2 + draws.below(3));
            let renamed = draws.chance(0.6) && world.errors.contains_key(from);
            renamed.then(|| Rename { version, from: from.to_owned(), to })
        })
        .collect();
    if let Some(field) = &mut world.field {
        field.rename = renames;
    }
}

/// The faults of single locks: how many, how strong, how fast.
fn single_faults(density: &mut Density, draws: &mut Draws) {
    // Enough that precision means something; guess.
    density.rate = draws.between(0.12, 0.4);
    density.window = [0.1, 0.85];
    for drawn in &mut density.family {
        let (strength, ramp) = (draws.factor(0.3), draws.factor(0.5));
        let most = match drawn.family {
            Single::H3 | Single::H6 => 1.0,
            Single::S5 | Single::C3 => 0.5,
            Single::H1
            | Single::H2
            | Single::H4
            | Single::H5
            | Single::H8
            | Single::S1
            | Single::S4
            | Single::S6
            | Single::C2
            | Single::C5 => f64::INFINITY,
        };
        drawn.strength = drawn.strength.map(|bound| (bound * strength).min(most));
        drawn.ramp_days = drawn.ramp_days.map(|days| days * ramp);
    }
    density.family.extend(further());
}

/// Kinds of faults that home's density has not: clocks that drift or stand still, gateways that lose and double.
fn further() -> [Drawn; 3] {
    let drawn = |family: Single, weight: f64| Drawn {
        family,
        weight,
        rate: None,
        strength: [0.0; 2],
        ramp_days: [0.0; 2],
        power: [1.0; 2],
        lasts_days: None,
        gateway: false,
    };
    [
        Drawn { strength: [-6.0, 6.0], ramp_days: [15.0, 60.0], ..drawn(Single::S4, 0.7) },
        // It falls behind by a day each day.
        Drawn {
            strength: [-2_400.0; 2],
            ramp_days: [100.0; 2],
            lasts_days: Some([1.0, 20.0]),
            ..drawn(Single::S4, 0.5)
        },
        Drawn { strength: [0.05, 0.3], lasts_days: Some([3.0, 30.0]), gateway: true, ..drawn(Single::S5, 0.8) },
    ]
}

/// A shared fault of another size and day.
fn resize(fault: &mut Fault, draws: &mut Draws) {
    let mut scale = |value: &mut f64, sigma: f64| *value *= draws.factor(sigma);
    match fault {
        Fault::F1(drain) => {
            let mut more = drain.factor - 1.0;
            scale(&mut more, 0.5);
            drain.factor = 1.0 + more;
        }
        Fault::F2(reboots) => scale(&mut reboots.per_day, 0.6),
        Fault::F3(rate) | Fault::F5(rate) => {
            let mut more = rate.factor - 1.0;
            scale(&mut more, 0.4);
            rate.factor = 1.0 + more;
        }
        Fault::F4(leak) => scale(&mut leak.b_per_day, 0.5),
        Fault::S2(cloud) => {
            scale(&mut cloud.share, 0.6);
            cloud.share = cloud.share.min(0.8);
            scale(&mut cloud.days, 1.0);
            scale(&mut cloud.day, 0.2);
        }
        Fault::S3(drift) => scale(&mut drift.day, 0.1),
        Fault::H7(snap) => scale(&mut snap.day, 0.2),
        Fault::C1(holiday) => scale(&mut holiday.day, 0.2),
        Fault::H1(_)
        | Fault::H2(_)
        | Fault::H3(_)
        | Fault::H4(_)
        | Fault::H5(_)
        | Fault::H6(_)
        | Fault::H8(_)
        | Fault::S1(_)
        | Fault::S4(_)
        | Fault::S5(_)
        | Fault::S6(_)
        | Fault::C2(_)
        | Fault::C3(_)
        | Fault::C5(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fleet;

    #[test]
    fn a_world_is_a_function_of_its_number_and_can_be_simulated() {
        let fleet = Scenario::fleet().unwrap();
        for number in (1..=12).chain(101..=110) {
            let world = fleet.in_world(number).unwrap();
            assert_eq!(world, fleet.in_world(number).unwrap());
            assert_ne!(world, fleet.in_world(number + 1).unwrap());
        }
    }

    #[test]
    fn a_world_sends_records_in_order_and_knows_its_truth() {
        let mut world = Scenario::fleet().unwrap().in_world(3).unwrap();
        (world.locks, world.days) = (150, 25.0);
        let mut fleet = Fleet::new(&world, 5).unwrap();
        let mut sent = Vec::new();
        fleet.advance(fleet.end_ms(), &mut sent);
        assert!(sent.len() > 10_000 && sent.is_sorted_by_key(|message| message.at_ms), "{}", sent.len());
        assert!(fleet.truth().len() > 20);
    }
}
