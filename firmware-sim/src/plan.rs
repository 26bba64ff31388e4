//! Which lock, gateway, version or region has which fault from when: the scenario's faults made concrete by the seed,
//! those listed one by one first, then those of the density, then the controls that are clean rollouts. Every list
//! entry draws from a stream of its own. `world` calls it once; other modules call its look-up of names.
use crate::calendar::DAY_MS;
use crate::fault::{Altered, Alterer, Bug, Cloud, Effect, Harm, Late, Planned, Ramp};
use crate::rng::{Draws, FLEET, Purpose};
use crate::scenario::{Density, Drawn, Drift, ErrorRate, Fault, Growth, Scenario, Single};
use std::collections::BTreeSet;

/// Days of a mean year.
const YEAR_DAYS: f64 = 365.25;
/// A Poisson count is drawn in parts of at most this mean.
const POISSON_PART: f64 = 30.0;

/// Makes the scenario's faults concrete.
pub(crate) fn plan(scenario: &Scenario, seed: u64, start_ms: i64) -> Vec<Planned> {
    let end_ms = start_ms + days_ms(scenario.days);
    let mut planner = Planner { scenario, start_ms, end_ms, locks: BTreeSet::new(), gateways: BTreeSet::new() };
    let mut planned = Vec::new();
    for (number, fault) in scenario.fault.iter().enumerate() {
        let mut draws = Draws::new(seed, FLEET, Purpose::Fault, number as u64);
        match fault.single() {
            Some((kind, growth)) => planned.extend(planner.grown(kind, &growth, &mut draws)),
            None => planned.extend(planner.shared(fault)),
        }
    }
    if let Some(density) = &scenario.faults {
        for (number, drawn) in density.family.iter().enumerate() {
            let mut draws = Draws::new(seed, FLEET, Purpose::Density, number as u64);
            planned.extend(planner.drawn(density, drawn, &mut draws));
        }
    }
    planned.extend(harmless_rollouts(scenario).map(|rollout| Planned {
        onset_ms: planner.at(scenario.rollout[rollout].day),
        until_ms: end_ms,
        effect: Effect::Rollout { rollout },
    }));
    planned
}

struct Planner<'a> {
    scenario: &'a Scenario,
    start_ms: i64,
    end_ms: i64,
    /// The locks, and the gateways, that already have a fault.
    locks: BTreeSet<usize>,
    gateways: BTreeSet<usize>,
}

impl Planner<'_> {
    fn at(&self, day: f64) -> i64 {
        self.start_ms + days_ms(day)
    }

    fn grown(&mut self, kind: Single, growth: &Growth, draws: &mut Draws) -> Vec<Planned> {
        let count = if growth.lock.is_some() { 1 } else { growth.count };
        (0..count)
            .map(|_| {
                let place = growth.lock.unwrap_or_else(|| self.choose(kind == Single::S1 || growth.gateway, draws));
                let onset_day = growth.day + growth.day_spread * draws.uniform();
                self.placed(kind, place, onset_day, growth)
            })
            .collect()
    }

    /// The faults of one family of a density.
    fn drawn(&mut self, density: &Density, drawn: &Drawn, draws: &mut Draws) -> Vec<Planned> {
        let lock_years = self.scenario.locks as f64 * self.scenario.days / YEAR_DAYS;
        let weights: f64 = density.family.iter().filter(|other| other.rate.is_none()).map(|other| other.weight).sum();
        let per_year = drawn.rate.unwrap_or_else(|| density.rate * drawn.weight / weights);
        let count = poisson(per_year * lock_years, draws).max(density.least).min(self.scenario.locks);
        let between = |[low, high]: [f64; 2], draws: &mut Draws| draws.between(low, high);
        (0..count)
            .map(|_| {
                let place = self.choose(drawn.family == Single::S1 || drawn.gateway, draws);
                let onset_day = self.scenario.days * between(density.window, draws);
                let growth = Growth {
                    gateway: drawn.gateway,
                    count: 1,
                    lock: Some(place),
                    day: onset_day,
                    day_spread: 0.0,
                    strength: between(drawn.strength, draws),
                    ramp_days: between(drawn.ramp_days, draws),
                    power: between(drawn.power, draws),
                    lasts_days: drawn.lasts_days.map(|range| between(range, draws)),
                };
                self.placed(drawn.family, place, onset_day, &growth)
            })
            .collect()
    }

    fn placed(&self, kind: Single, place: usize, onset_day: f64, growth: &Growth) -> Planned {
        let onset_ms = self.at(onset_day);
        let lasting = if kind == Single::C2 { Some(0.0) } else { growth.lasts_days };
        let until_ms = lasting.map_or(self.end_ms, |days| onset_ms + days_ms(days)).min(self.end_ms.max(onset_ms));
        let ramp = Ramp {
            onset_ms,
            until_ms,
            ramp_ms: growth.ramp_days * DAY_MS as f64,
            strength: growth.strength,
            power: growth.power,
            holds: !kind.grows_on(),
        };
        let effect = if kind == Single::S1 {
            let (site, number) = self.gateway(place);
            Effect::Gateway { site, number, late_ms: (growth.strength * 60_000.0) as i64 }
        } else if growth.gateway {
            let (site, number) = self.gateway(place);
            Effect::Leaky { site, number, ramp }
        } else {
            Effect::Lock { kind, lock: place, ramp }
        };
        Planned { onset_ms, until_ms, effect }
    }

    /// A lock, or a gateway, without another fault, as long as there are any.
    fn choose(&mut self, is_gateway: bool, draws: &mut Draws) -> usize {
        let gateways = self.scenario.site.iter().map(|site| site.gateways).sum();
        let (all, taken) =
            if is_gateway { (gateways, &mut self.gateways) } else { (self.scenario.locks, &mut self.locks) };
        let mut place = draws.below(all);
        while taken.len() < all && taken.contains(&place) {
            place = draws.below(all);
        }
        taken.insert(place);
        place
    }

    /// Site and number within the site of a gateway counted over all sites.
    fn gateway(&self, mut place: usize) -> (usize, usize) {
        for (at, site) in self.scenario.site.iter().enumerate() {
            if place < site.gateways {
                return (at, place);
            }
            place -= site.gateways;
        }
        (0, 0)
    }

    /// A fault that many locks share; `None` for those of single locks.
    fn shared(&self, fault: &Fault) -> Option<Planned> {
        let scenario = self.scenario;
        let version = fault.version().map_or(0, |version| self.version(version));
        let of_version = |harm| self.versioned(version, harm);
        Some(match fault {
            Fault::F1(drain) => of_version(Harm::Drain { factor: drain.factor }),
            Fault::F2(reboots) => {
                of_version(Harm::Reboots { per_day: reboots.per_day, boot_ms: (reboots.boot_s * 1000.0) as i64 })
            }
            Fault::F3(rate) | Fault::F5(rate) => of_version(self.errors(rate, matches!(fault, Fault::F5(_)))),
            Fault::F4(leak) => of_version(Harm::Leak {
                b_per_day: leak.b_per_day,
                low_b: leak.low_b,
                late: Late { share: leak.late_share, ms: leak.late_ms },
                boot_ms: (leak.boot_s * 1000.0) as i64,
            }),
            Fault::S2(cloud) => {
                let late = Late { share: cloud.share, ms: cloud.late_ms };
                let code = place(scenario.errors.keys(), &cloud.code);
                let effect = Effect::Cloud(Cloud { client: self.client(&cloud.client), code, late });
                self.lasting(cloud.day, cloud.days, effect)
            }
            Fault::S3(drift) => self.drift(drift),
            Fault::H7(snap) => {
                let region = place(scenario.region.iter().map(|region| &region.name), &snap.region);
                self.lasting(snap.day, snap.days, Effect::Cold { region })
            }
            Fault::C1(holiday) => self.lasting(holiday.day, holiday.days, Effect::Holiday { ops: holiday.ops }),
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
            | Fault::C5(_) => return None,
        })
    }

    fn lasting(&self, day: f64, days: f64, effect: Effect) -> Planned {
        let onset_ms = self.at(day);
        Planned { onset_ms, until_ms: self.at(day + days).min(self.end_ms.max(onset_ms)), effect }
    }

    fn versioned(&self, version: usize, harm: Harm) -> Planned {
        let onset_ms = self.at(rollout_day(self.scenario, &self.scenario.firmware[version].version));
        Planned { onset_ms, until_ms: self.end_ms, effect: Effect::Version(Bug { version, harm }) }
    }

    fn errors(&self, rate: &ErrorRate, one_revision: bool) -> Harm {
        let names = self.scenario.hw_rev.iter().map(|hw_rev| &hw_rev.name);
        let hw_rev = rate.hw_rev.as_ref().filter(|_| one_revision).map(|name| place(names, name));
        Harm::Errors {
            hw_rev,
            code: place(self.scenario.errors.keys(), &rate.code),
            factor: rate.factor,
            late: Late { share: rate.late_share, ms: rate.late_ms },
            late_after_ms: days_ms(rate.late_after_days),
        }
    }

    fn drift(&self, drift: &Drift) -> Planned {
        let (by, from_day) = match (&drift.version, &drift.client) {
            (Some(version), _) => {
                (Alterer::Version(self.version(version)), rollout_day(self.scenario, version).max(drift.day))
            }
            (None, client) => (Alterer::Client(client.as_ref().map_or(0, |name| self.client(name))), drift.day),
        };
        let effect = Effect::Drift(Altered { by, field: drift.field, how: drift.how });
        Planned { onset_ms: self.at(from_day), until_ms: self.end_ms, effect }
    }

    fn version(&self, name: &str) -> usize {
        place(self.scenario.firmware.iter().map(|firmware| &firmware.version), name)
    }

    fn client(&self, name: &str) -> usize {
        place(self.scenario.client.iter().map(|client| &client.version), name)
    }
}

fn days_ms(days: f64) -> i64 {
    (days * DAY_MS as f64) as i64
}

fn poisson(mut mean: f64, draws: &mut Draws) -> usize {
    let mut count = 0;
    while mean > 0.0 {
        count += draws.poisson(mean.min(POISSON_PART));
        mean -= POISSON_PART;
    }
    count
}

fn rollout_day(scenario: &Scenario, version: &str) -> f64 {
    let days = scenario.rollout.iter().filter(|rollout| rollout.version == version).map(|rollout| rollout.day);
    days.fold(f64::INFINITY, f64::min)
}

fn harmless_rollouts(scenario: &Scenario) -> impl Iterator<Item = usize> {
    let faulty = |version: &str| scenario.fault.iter().any(|fault| fault.version() == Some(version));
    (0..scenario.rollout.len()).filter(move |&at| !faulty(&scenario.rollout[at].version))
}

/// The index of a name; the scenario's check has found that it exists.
pub(crate) fn place<'a>(mut names: impl Iterator<Item = &'a String>, name: &str) -> usize {
    names.position(|other| other == name).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locks(scenario: &Scenario, seed: u64) -> Vec<usize> {
        let chosen = plan(scenario, seed, 0).into_iter().filter_map(|planned| match planned.effect {
            Effect::Lock { lock, .. } => Some(lock),
            Effect::Gateway { .. }
            | Effect::Leaky { .. }
            | Effect::Version(_)
            | Effect::Cloud(_)
            | Effect::Drift(_)
            | Effect::Cold { .. }
            | Effect::Holiday { .. }
            | Effect::Rollout { .. } => None,
        });
        let mut locks: Vec<usize> = chosen.collect();
        locks.sort_unstable();
        locks
    }

    #[test]
    fn the_seed_chooses_other_locks_but_never_one_twice() {
        let demo = Scenario::demo().unwrap();
        let mut first = locks(&demo, 1);
        assert_ne!(first, locks(&demo, 2));
        let count = first.len();
        first.dedup();
        assert_eq!((count, first.len()), (8, 8));
    }

    #[test]
    fn a_density_gives_as_many_faults_as_it_says_and_some_of_each_family_to_a_small_fleet() {
        let mut fleet = Scenario::fleet().unwrap();
        let density = fleet.faults.as_ref().unwrap().clone();
        let faults = |scenario: &Scenario, seed| {
            let planned = plan(scenario, seed, 0);
            let real = |planned: &&Planned| match planned.effect {
                Effect::Lock { kind, .. } => kind.cause().is_some(),
                Effect::Gateway { .. } | Effect::Leaky { .. } => true,
                Effect::Version(_)
                | Effect::Cloud(_)
                | Effect::Drift(_)
                | Effect::Cold { .. }
                | Effect::Holiday { .. }
                | Effect::Rollout { .. } => false,
            };
            planned.iter().filter(real).count() as f64
        };
        (fleet.locks, fleet.days) = (10_000, 90.0);
        if let Some(density) = &mut fleet.faults {
            density.least = 0;
        }
        let counts: f64 = (1..=20).map(|seed| faults(&fleet, seed)).sum();
        let wanted = density.rate * 20.0 * 10_000.0 * 90.0 / YEAR_DAYS;
        // Five standard deviations of a Poisson count.
        assert!((counts - wanted).abs() < 5.0 * wanted.sqrt(), "{counts} of {wanted}");
        (fleet.locks, fleet.days, fleet.faults) = (500, 30.0, Some(density.clone()));
        let weighted = density.family.iter().filter(|drawn| drawn.rate.is_none()).count();
        assert!(faults(&fleet, 1) >= (weighted * density.least) as f64);
    }
}
