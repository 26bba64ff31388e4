//! Which lock, version or region has which fault from when: the scenario's faults made concrete by the seed.
//! A fault acts through physics or rates alone; nothing in a record names it. Knows no record. Called by `fleet` (once) and `lock`.
use crate::calendar::DAY_MS;
use crate::rng::{Draws, FLEET, Purpose};
use crate::scenario::{Fault, Growth, Scenario};

/// A growing factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ramp {
    onset_ms: i64,
    ramp_ms: f64,
    strength: f64,
    power: f64,
}

impl Ramp {
    /// The factor at a time; 1 before the onset. It grows on beyond the end of the ramp.
    pub(crate) fn factor(&self, at_ms: i64) -> f64 {
        if at_ms < self.onset_ms {
            return 1.0;
        }
        let along = if self.ramp_ms > 0.0 { (at_ms - self.onset_ms) as f64 / self.ramp_ms } else { 1.0 };
        1.0 + self.strength * along.powf(self.power)
    }
}

/// A firmware version's bug, by index of version and code.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bug {
    pub(crate) version: usize,
    pub(crate) code: usize,
    pub(crate) factor: f64,
    pub(crate) late_share: f64,
    pub(crate) late_after_ms: i64,
    pub(crate) late_ms: f64,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// H1 on this lock.
    Friction { lock: usize, ramp: Ramp },
    /// H5 on this lock.
    Resistance { lock: usize, ramp: Ramp },
    /// F3.
    Bug(Bug),
    /// H7: in this region; the weather knows the rest.
    Cold { region: usize, until_ms: i64 },
    /// C2 on this lock.
    Replacement { lock: usize },
    /// C4: this rollout.
    Rollout { rollout: usize },
}

/// One concrete fault or control.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planned {
    pub(crate) onset_ms: i64,
    pub(crate) effect: Effect,
}

/// Makes the scenario's faults concrete.
pub(crate) fn plan(scenario: &Scenario, seed: u64, start_ms: i64) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut taken = Vec::new();
    let at = |day: f64| start_ms + (day * DAY_MS as f64) as i64;
    for (number, fault) in scenario.fault.iter().enumerate() {
        let mut draws = Draws::new(seed, FLEET, Purpose::Fault, number as u64);
        match fault {
            Fault::H1(growth) => planned.extend(
                grown(growth, scenario, &mut draws, &mut taken, start_ms)
                    .map(|(lock, ramp)| Planned { onset_ms: ramp.onset_ms, effect: Effect::Friction { lock, ramp } }),
            ),
            Fault::H5(growth) => planned.extend(
                grown(growth, scenario, &mut draws, &mut taken, start_ms)
                    .map(|(lock, ramp)| Planned { onset_ms: ramp.onset_ms, effect: Effect::Resistance { lock, ramp } }),
            ),
            Fault::F3(rate) => planned.push(Planned {
                onset_ms: at(rollout_day(scenario, &rate.version)),
                effect: Effect::Bug(Bug {
                    version: place(scenario.firmware.iter().map(|firmware| &firmware.version), &rate.version),
                    code: place(scenario.errors.keys(), &rate.code),
                    factor: rate.factor,
                    late_share: rate.late_share,
                    late_after_ms: (rate.late_after_days * DAY_MS as f64) as i64,
                    late_ms: rate.late_ms,
                }),
            }),
            Fault::H7(snap) => planned.push(Planned {
                onset_ms: at(snap.day),
                effect: Effect::Cold {
                    region: place(scenario.region.iter().map(|region| &region.name), &snap.region),
                    until_ms: at(snap.day + snap.days),
                },
            }),
            Fault::C2(replacement) => planned.extend((0..replacement.count).map(|_| {
                let lock = choose(scenario.locks, &mut draws, &mut taken);
                let onset_ms = at(replacement.day + replacement.days * draws.uniform());
                Planned { onset_ms, effect: Effect::Replacement { lock } }
            })),
        }
    }
    planned.extend(
        harmless_rollouts(scenario).map(|rollout| Planned {
            onset_ms: at(scenario.rollout[rollout].day),
            effect: Effect::Rollout { rollout },
        }),
    );
    planned
}

fn grown(
    growth: &Growth,
    scenario: &Scenario,
    draws: &mut Draws,
    taken: &mut Vec<usize>,
    start_ms: i64,
) -> impl Iterator<Item = (usize, Ramp)> {
    let count = if growth.lock.is_some() { 1 } else { growth.count };
    let chosen: Vec<(usize, Ramp)> = (0..count)
        .map(|_| {
            let lock = growth.lock.unwrap_or_else(|| choose(scenario.locks, draws, taken));
            let onset_day = growth.day + growth.day_spread * draws.uniform();
            let onset_ms = start_ms + (onset_day * DAY_MS as f64) as i64;
            let ramp_ms = growth.ramp_days * DAY_MS as f64;
            (lock, Ramp { onset_ms, ramp_ms, strength: growth.strength, power: growth.power })
        })
        .collect();
    chosen.into_iter()
}

/// A lock that no other fault has, as long as there are any.
fn choose(locks: usize, draws: &mut Draws, taken: &mut Vec<usize>) -> usize {
    let mut lock = draws.below(locks);
    while taken.len() < locks && taken.contains(&lock) {
        lock = draws.below(locks);
    }
    taken.push(lock);
    lock
}

fn rollout_day(scenario: &Scenario, version: &str) -> f64 {
    let days = scenario.rollout.iter().filter(|rollout| rollout.version == version).map(|rollout| rollout.day);
    days.fold(f64::INFINITY, f64::min)
}

fn harmless_rollouts(scenario: &Scenario) -> impl Iterator<Item = usize> {
    let faulty = |version: &str| {
        scenario.fault.iter().any(|fault| match fault {
            Fault::F3(rate) => rate.version == version,
            Fault::H1(_) | Fault::H5(_) | Fault::H7(_) | Fault::C2(_) => false,
        })
    };
    (0..scenario.rollout.len()).filter(move |&at| !faulty(&scenario.rollout[at].version))
}

/// The place of a name that the scenario's check has found to be there.
pub(crate) fn place<'a>(mut names: impl Iterator<Item = &'a String>, name: &str) -> usize {
    names.position(|other| other == name).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_departs_at_its_onset_and_reaches_its_strength() {
        let ramp = Ramp { onset_ms: 1000, ramp_ms: 100.0, strength: 0.5, power: 2.0 };
        assert_eq!([ramp.factor(0), ramp.factor(1000), ramp.factor(1100)], [1.0, 1.0, 1.5]);
        assert!(ramp.factor(1050) < 1.25 && ramp.factor(1200) > 1.5);
    }

    #[test]
    fn the_seed_chooses_other_locks_but_never_one_twice() {
        let demo = Scenario::demo();
        let locks = |seed| {
            let mut locks: Vec<usize> = plan(&demo, seed, 0)
                .iter()
                .filter_map(|planned| match planned.effect {
                    Effect::Friction { lock, .. } | Effect::Resistance { lock, .. } => Some(lock),
                    Effect::Replacement { lock } => Some(lock),
                    Effect::Bug(_) | Effect::Cold { .. } | Effect::Rollout { .. } => None,
                })
                .collect();
            locks.sort_unstable();
            locks
        };
        let mut first = locks(1);
        assert_ne!(first, locks(2));
        let count = first.len();
        first.dedup();
        assert_eq!((count, first.len()), (8, 8));
    }
}
