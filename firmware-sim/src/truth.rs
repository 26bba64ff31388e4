//! What was really wrong, and when it could be known: the four true times of each fault.
//! A faulty lock is simulated twice from the start, with the fault and without, by the same chances; the two runs are compared operation by
//! operation. Knows no detector: "detectable" is a likelihood ratio on the scenario's stated noise. Called by `fleet`.
use crate::calendar::DAY_MS;
use crate::fault::{Bug, Effect, Planned};
use crate::identity::{Identity, Kinds};
use crate::lock::{self, Lock};
use crate::message::{Listener, Message};
use crate::operation::Observed;
use crate::world::World;
use serde::{Deserialize, Serialize};

/// Log likelihood ratio from which a fault is detectable: ln(10,000), as the fleet benchmark defines it.
const DETECTABLE: f64 = 9.2;

/// One fault or control as it really was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// `H1`, `H5`, `F3`, `H7`, `C2`, `C4`.
    pub family: String,
    /// Whether it is harmless: any incident about it is false.
    pub control: bool,
    /// `hardware`, `firmware`, `software`; null for a control.
    pub domain: Option<String>,
    /// The component in the words of the interfaces; null for a control.
    pub component: Option<String>,
    /// What the affected locks share.
    pub scope: Scope,
    /// The affected locks, ascending.
    pub devices: Vec<String>,
    /// When the parameter first departs, ms since 1970.
    pub onset_ms: i64,
    /// When ½ Σ(Δμ/σ)² reaches 9.2; for rates its Poisson counterpart, the expected log likelihood ratio. Null where it never does.
    pub detectable_ms: Option<i64>,
    /// When the first person notices: an operation that a person asked for fails or takes over 3 s, and would not have without this fault.
    pub customer_ms: Option<i64>,
    /// When it ends; for real faults the end of the run, as nobody repairs.
    pub end_ms: i64,
}

/// What affected locks share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// `device`, `fw`, or for a cold snap `region`.
    pub kind: String,
    /// The lock, version or region.
    pub value: String,
}

/// Which observation tells a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statistic {
    MeanCurrent,
    Resistance,
}

/// What one run of a lock really was.
#[derive(Default)]
struct Trace {
    operations: Vec<Observed>,
    versions: Vec<(i64, usize)>,
}

impl Listener for Trace {
    const MESSAGES: bool = false;
    fn message(&mut self, _: Message) {}
    fn operation(&mut self, observed: &Observed) {
        self.operations.push(*observed);
    }
    fn runs_version(&mut self, at_ms: i64, version: usize) {
        self.versions.push((at_ms, version));
    }
}

/// Every fault and control that begins within the run, in order of the plan.
pub(crate) fn of(world: &World, identities: &[Identity], kinds: &[Kinds]) -> Vec<Truth> {
    let trial = Trial { world, identities, kinds };
    let within = |(_, planned): &(usize, &Planned)| planned.onset_ms < world.end_ms;
    world.plan.iter().enumerate().filter(within).map(|(at, planned)| trial.one(at, planned)).collect()
}

struct Trial<'a> {
    world: &'a World,
    identities: &'a [Identity],
    kinds: &'a [Kinds],
}

impl Trial<'_> {
    fn one(&self, at: usize, planned: &Planned) -> Truth {
        match &planned.effect {
            Effect::Friction { lock, .. } => self.single(at, planned, *lock, "H1", "gear", Statistic::MeanCurrent),
            Effect::Resistance { lock, .. } => self.single(at, planned, *lock, "H5", "battery", Statistic::Resistance),
            Effect::Bug(bug) => self.bug(at, planned, bug),
            Effect::Cold { region, until_ms } => {
                let region = &self.world.scenario.region[*region].name;
                let devices = self.devices(|lock| self.identities[lock].region == *region);
                control("H7", ("region", region), devices, planned.onset_ms, (*until_ms).min(self.world.end_ms))
            }
            Effect::Replacement { lock } => {
                let device = &self.identities[*lock].device_id;
                control("C2", ("device", device), vec![device.clone()], planned.onset_ms, planned.onset_ms)
            }
            Effect::Rollout { rollout } => {
                let version = &self.world.scenario.rollout[*rollout].version;
                let number = crate::fault::place(self.world.scenario.firmware.iter().map(|f| &f.version), version);
                let reached: Vec<usize> = self.reached(number, None).into_iter().map(|(lock, _)| lock).collect();
                let devices = self.devices(|lock| reached.contains(&lock));
                control("C4", ("fw", version), devices, planned.onset_ms, self.world.end_ms)
            }
        }
    }

    fn single(
        &self,
        at: usize,
        planned: &Planned,
        lock: usize,
        family: &str,
        component: &str,
        statistic: Statistic,
    ) -> Truth {
        let (faulty, sound) = (self.run(lock, None), self.run(lock, Some(at)));
        let device = &self.identities[lock].device_id;
        Truth {
            family: family.into(),
            control: false,
            domain: Some("hardware".into()),
            component: Some(component.into()),
            scope: Scope { kind: "device".into(), value: device.clone() },
            devices: vec![device.clone()],
            onset_ms: planned.onset_ms,
            detectable_ms: detectable(&faulty, &sound, statistic),
            customer_ms: customer(&faulty, &sound),
            end_ms: self.world.end_ms,
        }
    }

    fn bug(&self, at: usize, planned: &Planned, bug: &Bug) -> Truth {
        let reached = self.reached(bug.version, Some(at));
        let customer_ms = reached.iter().filter_map(|(_, reach)| reach.customer_ms).min();
        let since: Vec<(i64, f64)> = reached.iter().map(|(_, reach)| (reach.since_ms, reach.errors)).collect();
        let per_day = self.world.codes[bug.code].1;
        let locks: Vec<usize> = reached.iter().map(|(lock, _)| *lock).collect();
        Truth {
            family: "F3".into(),
            control: false,
            domain: Some("firmware".into()),
            component: Some("fw_image".into()),
            scope: Scope { kind: "fw".into(), value: self.world.scenario.firmware[bug.version].version.clone() },
            devices: self.devices(|lock| locks.contains(&lock)),
            onset_ms: since.iter().map(|(since_ms, _)| *since_ms).min().unwrap_or(planned.onset_ms),
            detectable_ms: rate_detectable(&since, per_day, bug.factor).filter(|&at_ms| at_ms <= self.world.end_ms),
            customer_ms,
            end_ms: self.world.end_ms,
        }
    }

    /// The locks that came to run a version, since when; with `without` also when their people first noticed that fault.
    fn reached(&self, version: usize, without: Option<usize>) -> Vec<(usize, Reach)> {
        let mut reached = Vec::new();
        for lock in 0..self.kinds.len() {
            if !lock::may_run(self.world, lock, version) {
                continue;
            }
            let faulty = self.run(lock, None);
            let Some(&(since_ms, _)) = faulty.versions.iter().find(|(_, ran)| *ran == version) else { continue };
            let customer_ms = without.and_then(|fault| customer(&faulty, &self.run(lock, Some(fault))));
            let errors = crate::individual::draw(&self.world.scenario, self.world.seed, lock, &self.kinds[lock]).errors;
            reached.push((lock, Reach { since_ms, errors, customer_ms }));
        }
        reached
    }

    fn run(&self, lock: usize, without: Option<usize>) -> Trace {
        let mut trace = Trace::default();
        let mut simulated = Lock::new(self.world, lock, self.kinds[lock], without);
        while simulated.next_ms() <= self.world.end_ms {
            simulated.step(self.world, &self.identities[lock], &mut trace);
        }
        trace
    }

    fn devices(&self, affected: impl Fn(usize) -> bool) -> Vec<String> {
        let locks = (0..self.identities.len()).filter(|&lock| affected(lock));
        locks.map(|lock| self.identities[lock].device_id.clone()).collect()
    }
}

/// How a version reached a lock.
struct Reach {
    since_ms: i64,
    /// The lock's factor of error rates.
    errors: f64,
    customer_ms: Option<i64>,
}

fn control(family: &str, scope: (&str, &str), devices: Vec<String>, onset_ms: i64, end_ms: i64) -> Truth {
    Truth {
        family: family.into(),
        control: true,
        domain: None,
        component: None,
        scope: Scope { kind: scope.0.into(), value: scope.1.into() },
        devices,
        onset_ms,
        detectable_ms: None,
        customer_ms: None,
        end_ms,
    }
}

/// Pairs the operations of two runs by number.
fn pairs<'a>(faulty: &'a Trace, sound: &'a Trace) -> impl Iterator<Item = (&'a Observed, &'a Observed)> {
    faulty.operations.iter().zip(&sound.operations)
}

fn customer(faulty: &Trace, sound: &Trace) -> Option<i64> {
    let noticed = |(faulty, sound): &(&Observed, &Observed)| faulty.person && !faulty.good && sound.good;
    pairs(faulty, sound).find(noticed).map(|(faulty, _)| faulty.at_ms)
}

fn detectable(faulty: &Trace, sound: &Trace, statistic: Statistic) -> Option<i64> {
    let mut evidence = 0.0;
    for (faulty, sound) in pairs(faulty, sound).filter(|(faulty, sound)| faulty.measured && sound.measured) {
        let ([faulty_mean, _], [sound_mean, sigma]) = match statistic {
            Statistic::MeanCurrent => (faulty.mean_ma, sound.mean_ma),
            Statistic::Resistance => (faulty.ohm, sound.ohm),
        };
        evidence += 0.5 * ((faulty_mean - sound_mean) / sigma).powi(2);
        if evidence >= DETECTABLE {
            return Some(faulty.at_ms);
        }
    }
    None
}

/// When the expected log likelihood ratio of the pooled counts reaches the bound: each lock adds `rate · (r ln r - r + 1)` a day from when it
/// has the version, the Poisson counterpart of ½(Δμ/σ)².
fn rate_detectable(since: &[(i64, f64)], per_day: f64, factor: f64) -> Option<i64> {
    let mut since = since.to_vec();
    since.sort_by_key(|(since_ms, _)| *since_ms);
    let per_lock_day = per_day * if factor > 0.0 { factor * factor.ln() - factor + 1.0 } else { 1.0 };
    let (mut evidence, mut slope, mut at_ms) = (0.0, 0.0, since.first()?.0);
    for (next_ms, errors) in since.iter().copied().chain([(i64::MAX, 0.0)]) {
        let days_left: f64 = (DETECTABLE - evidence) / slope;
        let days = (next_ms - at_ms) as f64 / DAY_MS as f64;
        if slope > 0.0 && days_left <= days {
            return Some(at_ms + (days_left * DAY_MS as f64) as i64);
        }
        evidence += slope * days;
        (slope, at_ms) = (slope + per_lock_day * errors, next_ms);
    }
    None
}
