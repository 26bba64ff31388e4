//! The true record of each fault and control: scope, affected locks, and four times (onset, detectable, customer, end).
//! Most faulty locks are simulated twice from the start with the same random draws, with the fault and without, and the
//! two runs are compared. Detectable is the time at which a likelihood ratio on the scenario's stated noise reaches its
//! threshold; for S3 and S4 it is the first altered record, for S1 and S6 the first time at which enough records are
//! missing. A control has neither a detectable nor a customer time. Must not know the detector. Called by `fleet`.
use crate::calendar::HOUR_MS;
use crate::carriage::Carriage;
use crate::fault::{Alterer, Bug, Cloud, Effect, Harm, Planned, Ramp};
use crate::identity::{self, Identity, Kinds};
use crate::lock::{self, Lock};
use crate::message::Fate;
use crate::scenario::{Quantity, Single};
use crate::told;
use crate::traits::Link;
use crate::world::World;
use evidence::{Evidence, Statistic, Trace};
use serde::{Deserialize, Serialize};

mod evidence;

/// Operations a day by which a code's base rate is converted to a probability per request; the services' habits lie
/// around it.
const REQUESTS_PER_DAY: f64 = 7.0;
/// The share of operations with somebody leaning on the door that fail at first; guess.
const LEANING_FAILS: f64 = 0.1;

/// The true record of one fault or control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// The fleet benchmark's name: `H1` to `H8`, `F1` to `F5`, `S1` to `S6`, `C1` to `C5`.
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
    /// When ½ Σ(Δμ/σ)² reaches 9.2; for rates and probabilities the expected log likelihood ratio; for S3 and S4 the
    /// first altered record; for S1 and S6 when enough records are missing. Null where this never happens, and for a
    /// control.
    pub detectable_ms: Option<i64>,
    /// When the first person notices: an operation that a person requested fails or takes over 3 s, and would not have
    /// without this fault. Null where this never happens, for S3 and for a control.
    pub customer_ms: Option<i64>,
    /// When it ends: repaired, or the end of the run.
    pub end_ms: i64,
}

impl Truth {
    /// Whether a scope of this kind and value is the fault's own.
    pub fn is_scope(&self, kind: &str, value: &str) -> bool {
        self.scope.kind == kind && self.scope.value == value
    }

    /// Whether this is the fault's domain; a control has none.
    pub fn is_domain(&self, domain: &str) -> bool {
        self.domain.as_deref() == Some(domain)
    }
}

/// What affected locks share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// `device`, `gateway`, `fw`, `fw_hw`, `client_version`; for a cold snap `region`, for holidays `fleet`.
    pub kind: String,
    /// The bare name.
    pub value: String,
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

/// The result of a trial.
#[derive(Default)]
struct Found {
    locks: Vec<usize>,
    onset_ms: Option<i64>,
    detectable_ms: Option<i64>,
    customer_ms: Option<i64>,
}

impl Trial<'_> {
    fn one(&self, at: usize, planned: &Planned) -> Truth {
        let scenario = &self.world.scenario;
        match &planned.effect {
            Effect::Lock { kind, lock, ramp } => {
                let device = &self.identities[*lock].device_id;
                let found = self.single(at, *kind, *lock, ramp);
                self.truth(kind.as_str(), kind.cause(), ("device", device), planned, found)
            }
            Effect::Gateway { site, number, .. } => {
                let gateway = identity::gateway_id(&scenario.site[*site].name, *number);
                let found = self.outage(at, planned, (*site, *number));
                self.truth(Single::S1.as_str(), Single::S1.cause(), ("gateway", &gateway), planned, found)
            }
            Effect::Leaky { site, number, ramp } => {
                let gateway = identity::gateway_id(&scenario.site[*site].name, *number);
                let found = self.leaky(at, (*site, *number), ramp);
                self.truth(Single::S5.as_str(), Single::S5.cause(), ("gateway", &gateway), planned, found)
            }
            Effect::Version(bug) => self.bug(at, planned, bug),
            Effect::Cloud(cloud) => {
                let found = self.cloud(at, planned, cloud);
                let scope = ("client_version", scenario.client[cloud.client].version.as_str());
                self.truth("S2", Some(("software", "app")), scope, planned, found)
            }
            Effect::Drift(altered) => {
                let (component, scope) = match altered.by {
                    Alterer::Version(version) => ("fw_image", ("fw", scenario.firmware[version].version.as_str())),
                    Alterer::Client(client) => ("app", ("client_version", scenario.client[client].version.as_str())),
                };
                let found = self.drift(at, altered.by);
                self.truth("S3", Some(("software", component)), scope, planned, found)
            }
            Effect::Cold { region } => {
                let locks = self.locks(|kinds| kinds.region == *region);
                let scope = ("region", scenario.region[*region].name.as_str());
                self.truth("H7", None, scope, planned, Found { locks, ..Found::default() })
            }
            Effect::Holiday { .. } => {
                let locks = self.locks(|_| true);
                let scope = ("fleet", scenario.name.as_str());
                self.truth("C1", None, scope, planned, Found { locks, ..Found::default() })
            }
            Effect::Rollout { rollout } => {
                let version = &scenario.rollout[*rollout].version;
                let number = crate::plan::place(scenario.firmware.iter().map(|f| &f.version), version);
                let locks = self.reached(number, |_, _, _| true);
                self.truth("C4", None, ("fw", version), planned, Found { locks, ..Found::default() })
            }
        }
    }

    fn truth(
        &self,
        family: &str,
        cause: Option<(&str, &str)>,
        scope: (&str, &str),
        planned: &Planned,
        found: Found,
    ) -> Truth {
        let end_ms = planned.until_ms.min(self.world.end_ms);
        Truth {
            family: family.into(),
            control: cause.is_none(),
            domain: cause.map(|(domain, _)| domain.into()),
            component: cause.map(|(_, component)| component.into()),
            scope: Scope { kind: scope.0.into(), value: scope.1.into() },
            devices: found.locks.iter().map(|&lock| self.identities[lock].device_id.clone()).collect(),
            onset_ms: found.onset_ms.unwrap_or(planned.onset_ms),
            detectable_ms: found.detectable_ms.filter(|&at_ms| at_ms <= self.world.end_ms),
            customer_ms: found.customer_ms,
            end_ms,
        }
    }

    fn single(&self, at: usize, kind: Single, lock: usize, ramp: &Ramp) -> Found {
        let locks = vec![lock];
        if kind.cause().is_none() {
            return Found { locks, ..Found::default() };
        }
        let end_ms = self.world.end_ms;
        let (faulty, sound) = (self.run(lock, None, end_ms), self.run(lock, Some(at), end_ms));
        let spread = &self.world.scenario.spread;
        let jam = crate::individual::draw(&self.world.scenario, self.world.seed, lock, &self.kinds[lock]).traits.jam;
        let healthy = spread.ajar_share + jam + LEANING_FAILS * spread.lean_share;
        let of = |statistic| evidence::of(&faulty, &sound, statistic, healthy);
        let detectable_ms = match kind {
            Single::H1 | Single::H2 => evidence::enough(of(Statistic::MeanCurrent)),
            Single::H3 => evidence::enough(of(Statistic::Attempts)),
            Single::H4 => evidence::enough(of(Statistic::Shape)),
            Single::H5 => evidence::enough(of(Statistic::Resistance)),
            Single::H6 => evidence::enough([of(Statistic::Resistance), of(Statistic::RestVoltage)].concat()),
            Single::H8 => evidence::enough(of(Statistic::RestVoltage)),
            Single::S4 => evidence::first_altered(&faulty, ramp.onset_ms),
            Single::S5 => {
                let (sound, dispersion) = self.loss(lock);
                let evidence = evidence::link(&faulty, sound, ramp).into_iter();
                evidence::enough(evidence.map(|(at_ms, more)| (at_ms, more / dispersion)).collect())
            }
            Single::S6 => evidence::silent(evidence::unheard(&faulty, ramp.onset_ms, ramp.until_ms).collect()),
            Single::S1 | Single::C2 | Single::C3 | Single::C5 => None,
        };
        let carriage = Carriage::of(&self.world.scenario, self.world.seed, &self.kinds[lock]);
        let detectable_ms = detectable_ms.map(|at_ms| carriage.arrival(at_ms));
        Found { locks, onset_ms: None, detectable_ms, customer_ms: evidence::customer(&faulty, &sound) }
    }

    /// The share of its records that a lock's link loses over the run without a fault, and by how much the variance of
    /// the count exceeds that of independent losses: what comes in bursts says less.
    fn loss(&self, lock: usize) -> (f64, f64) {
        let (scenario, seed, kinds) = (&self.world.scenario, self.world.seed, self.kinds[lock]);
        let one = crate::individual::draw(scenario, seed, lock, &kinds);
        let Some(field) = &scenario.field else { return (one.loss, 1.0) };
        let link = Link { seed, lock, kinds, rssi_dbm: one.rssi_dbm };
        let hours = (self.world.end_ms - self.world.start_ms) / HOUR_MS;
        let at =
            |hour: i64| (one.loss + one.traits.loss_at(field, link, self.world.start_ms + hour * HOUR_MS)).min(1.0);
        let mean = (0..hours).map(at).sum::<f64>() / hours as f64;
        let variance = (0..hours).map(|hour| (at(hour) - mean).powi(2)).sum::<f64>() / hours as f64;
        let in_burst = field.loss.burst_h * scenario.service[kinds.service].ops_per_day * one.ops / 12.0;
        (mean, 1.0 + in_burst * variance / (mean * (1.0 - mean)).max(1e-9))
    }

    /// S1: the locks behind the gateway.
    fn outage(&self, at: usize, planned: &Planned, gateway: (usize, usize)) -> Found {
        let locks = self.locks(|kinds| (kinds.site, kinds.gateway) == gateway && !kinds.phone);
        let mut found = Found { locks, ..Found::default() };
        let mut missing = Vec::new();
        for &lock in &found.locks {
            let faulty = self.run(lock, None, planned.until_ms);
            missing.extend(evidence::unheard(&faulty, planned.onset_ms, planned.until_ms));
            let sound = self.run(lock, Some(at), planned.until_ms);
            found.customer_ms = earlier(found.customer_ms, evidence::customer(&faulty, &sound));
        }
        found.detectable_ms = evidence::silent(missing);
        found
    }

    /// S5 of a gateway: the locks behind it, their evidence together.
    fn leaky(&self, at: usize, gateway: (usize, usize), ramp: &Ramp) -> Found {
        let locks = self.locks(|kinds| (kinds.site, kinds.gateway) == gateway && !kinds.phone);
        let mut found = Found { locks, ..Found::default() };
        let mut pooled: Vec<Evidence> = Vec::new();
        for &lock in &found.locks {
            let (faulty, sound) =
                (self.run(lock, None, self.world.end_ms), self.run(lock, Some(at), self.world.end_ms));
            let (loss, dispersion) = self.loss(lock);
            let evidence = evidence::link(&faulty, loss, ramp).into_iter();
            pooled.extend(evidence.map(|(at_ms, more)| (at_ms, more / dispersion)));
            found.customer_ms = earlier(found.customer_ms, evidence::customer(&faulty, &sound));
        }
        found.detectable_ms = evidence::enough(pooled);
        found
    }

    fn bug(&self, at: usize, planned: &Planned, bug: &Bug) -> Truth {
        let scenario = &self.world.scenario;
        let version = scenario.firmware[bug.version].version.as_str();
        let mut since: Vec<(i64, f64)> = Vec::new();
        let mut pooled: Vec<Evidence> = Vec::new();
        let mut customer_ms = None;
        let statistic = match bug.harm {
            Harm::Drain { .. } => Some(Statistic::RestVoltage),
            Harm::Leak { .. } => Some(Statistic::Heap),
            Harm::Reboots { .. } | Harm::Errors { .. } => None,
        };
        let locks = self.reached(bug.version, |lock, since_ms, faulty| {
            if !bug.hits(self.kinds[lock].hw_rev) {
                return false;
            }
            let one = crate::individual::draw(scenario, self.world.seed, lock, &self.kinds[lock]);
            since.push((since_ms, one.errors));
            // A cheap comparison ends at the earliest known customer.
            let until_ms = if statistic.is_some() { None } else { customer_ms };
            let sound = self.run(lock, Some(at), until_ms.unwrap_or(self.world.end_ms));
            customer_ms = earlier(customer_ms, evidence::customer(faulty, &sound));
            pooled.extend(statistic.into_iter().flat_map(|statistic| evidence::of(faulty, &sound, statistic, 0.0)));
            true
        });
        let detectable_ms = match bug.harm {
            Harm::Drain { .. } | Harm::Leak { .. } => evidence::enough(pooled),
            Harm::Reboots { per_day, .. } => {
                let base = scenario.firmware[bug.version].resets_per_day.max(1e-6);
                let since: Vec<(i64, f64)> = since.iter().map(|&(since_ms, _)| (since_ms, 1.0)).collect();
                evidence::rate(&since, base, (base + per_day) / base)
            }
            Harm::Errors { code, factor, .. } => evidence::rate(&since, self.world.codes[code].1, factor),
        };
        let onset_ms = since.iter().map(|(since_ms, _)| *since_ms).min();
        let found = Found { locks, onset_ms, detectable_ms, customer_ms };
        let cause = Some(("firmware", "fw_image"));
        match bug.harm {
            Harm::Errors { hw_rev: Some(hw_rev), .. } => {
                let value = format!("{version}+{}", scenario.hw_rev[hw_rev].name);
                self.truth(bug.family(), cause, ("fw_hw", &value), planned, found)
            }
            Harm::Errors { hw_rev: None, .. } | Harm::Drain { .. } | Harm::Reboots { .. } | Harm::Leak { .. } => {
                self.truth(bug.family(), cause, ("fw", version), planned, found)
            }
        }
    }

    /// S2: the locks that the client version speaks with.
    fn cloud(&self, at: usize, planned: &Planned, cloud: &Cloud) -> Found {
        let locks = self.locks(|kinds| kinds.speaks_with(cloud.client));
        let mut found = Found { locks, ..Found::default() };
        let base = (self.world.codes[cloud.code].1 / REQUESTS_PER_DAY).clamp(1e-6, 0.5);
        let mut pooled = Vec::new();
        let mut until_ms = planned.until_ms;
        for &lock in &found.locks {
            let faulty = self.run(lock, None, until_ms);
            let asked = faulty.operations.iter().filter(|one| one.client == Some(cloud.client) && one.measured);
            let times = asked.map(|one| one.at_ms).filter(|&at_ms| planned.is_on(at_ms));
            // Whose client nobody is told counts for nothing.
            let told = told::of(&self.world.scenario, &self.kinds[lock]);
            if !told.is_some_and(|told| told.hides(Quantity::ClientOfOp) && told.hides(Quantity::ClientOfState)) {
                pooled.extend(evidence::requests(cloud.late.share, base, times));
            }
            let sound = self.run(lock, Some(at), until_ms);
            found.customer_ms = earlier(found.customer_ms, evidence::customer(&faulty, &sound));
            // Later events change neither of the two known times.
            if let (Some(known_ms), Some(customer_ms)) = (evidence::enough(pooled.clone()), found.customer_ms) {
                until_ms = until_ms.min(known_ms.max(customer_ms));
            }
        }
        found.detectable_ms = evidence::enough(pooled);
        found
    }

    /// S3: the locks of which an altered record was received. No person notices.
    fn drift(&self, at: usize, by: Alterer) -> Found {
        let speaks = |lock: usize| match by {
            Alterer::Version(version) => {
                self.kinds[lock].firmware == version || lock::may_run(self.world, lock, &self.kinds[lock], version)
            }
            Alterer::Client(client) => self.kinds[lock].speaks_with(client),
        };
        let mut found = Found::default();
        for lock in (0..self.kinds.len()).filter(|&lock| speaks(lock)) {
            let (onset_ms, until_ms) = (self.world.plan[at].onset_ms, self.world.end_ms);
            let faulty = self.run(lock, None, until_ms);
            let mine = |(at_ms, fate): &&(i64, Fate)| *at_ms >= onset_ms && *fate == Fate::Altered;
            if let Some((at_ms, _)) = faulty.said.iter().find(mine) {
                let runs = |(_, ran): &&(i64, usize)| by == Alterer::Version(*ran);
                let since_ms =
                    faulty.versions.iter().find(runs).map_or(onset_ms, |(since_ms, _)| onset_ms.max(*since_ms));
                found.locks.push(lock);
                found.onset_ms = earlier(found.onset_ms, Some(since_ms));
                found.detectable_ms = earlier(found.detectable_ms, Some(*at_ms));
            }
        }
        found
    }

    /// The locks that come to run a version and that `each` accepts; it gets the lock, the time since when, and its
    /// run.
    fn reached(&self, version: usize, mut each: impl FnMut(usize, i64, &Trace) -> bool) -> Vec<usize> {
        let mut locks = Vec::new();
        for lock in 0..self.kinds.len() {
            if !lock::may_run(self.world, lock, &self.kinds[lock], version) {
                continue;
            }
            let faulty = self.run(lock, None, self.world.end_ms);
            let Some(&(since_ms, _)) = faulty.versions.iter().find(|(_, ran)| *ran == version) else { continue };
            if each(lock, since_ms, &faulty) {
                locks.push(lock);
            }
        }
        locks
    }

    fn run(&self, lock: usize, without: Option<usize>, until_ms: i64) -> Trace {
        let mut trace = Trace::default();
        let mut simulated = Lock::new(self.world, lock, self.kinds[lock], without);
        while simulated.next_ms() <= until_ms.min(self.world.end_ms) {
            simulated.step(self.world, &self.identities[lock], &mut trace);
        }
        trace
    }

    fn locks(&self, affected: impl Fn(&Kinds) -> bool) -> Vec<usize> {
        (0..self.kinds.len()).filter(|&lock| affected(&self.kinds[lock])).collect()
    }
}

fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}
