//! What all locks of a run share: scenario, seed, weather, the plan of faults. Immutable after creation, so that a lock
//! can be simulated again from the start, alone. Called by `fleet`, `lock`, `gateway`, `ailment`, `habit`, `operation`
//! and `truth`.
use crate::calendar::DAY_MS;
use crate::fault::{Altered, Bug, Cloud, Effect, Planned};
use crate::plan;
use crate::scenario::{Scenario, ScenarioError};
use crate::weather::Weather;

/// The shared, unchanging part of a run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) weather: Weather,
    pub(crate) plan: Vec<Planned>,
    /// Error codes in order of their index, with their base rates per day.
    pub(crate) codes: Vec<(String, f64)>,
    /// Indices into the plan of the effects that many locks look up: bugs, cloud errors, drifts, holidays.
    shared: Vec<usize>,
}

impl World {
    pub(crate) fn new(scenario: &Scenario, seed: u64) -> Result<Self, ScenarioError> {
        scenario.check()?;
        let start_ms = scenario.first_day() * DAY_MS - (scenario.utc_offset_h * 3_600_000.0) as i64;
        let plan = plan::plan(scenario, seed, start_ms);
        Ok(Self {
            weather: Weather::new(scenario, seed, start_ms),
            shared: (0..plan.len()).filter(|&at| is_looked_up(&plan[at].effect)).collect(),
            plan,
            codes: scenario.errors.iter().map(|(code, &per_day)| (code.clone(), per_day)).collect(),
            start_ms,
            end_ms: start_ms + (scenario.days * DAY_MS as f64) as i64,
            scenario: scenario.clone(),
            seed,
        })
    }

    fn shared(&self, without: Option<usize>) -> impl Iterator<Item = &Planned> {
        self.shared.iter().filter(move |&&at| Some(at) != without).map(|&at| &self.plan[at])
    }

    /// The bugs of a version, except the planned fault `without`.
    pub(crate) fn bugs(&self, version: usize, without: Option<usize>) -> impl Iterator<Item = &Bug> {
        self.shared(without).filter_map(move |planned| match &planned.effect {
            Effect::Version(bug) if bug.version == version => Some(bug),
            Effect::Version(_)
            | Effect::Lock { .. }
            | Effect::Gateway { .. }
            | Effect::Leaky { .. }
            | Effect::Cloud(_)
            | Effect::Drift(_)
            | Effect::Cold { .. }
            | Effect::Holiday { .. }
            | Effect::Rollout { .. } => None,
        })
    }

    /// The cloud errors at a time, except the planned fault `without`.
    pub(crate) fn clouds(&self, at_ms: i64, without: Option<usize>) -> impl Iterator<Item = &Cloud> {
        self.shared(without).filter(move |planned| planned.is_on(at_ms)).filter_map(|planned| match &planned.effect {
            Effect::Cloud(cloud) => Some(cloud),
            Effect::Lock { .. }
            | Effect::Gateway { .. }
            | Effect::Leaky { .. }
            | Effect::Version(_)
            | Effect::Drift(_)
            | Effect::Cold { .. }
            | Effect::Holiday { .. }
            | Effect::Rollout { .. } => None,
        })
    }

    /// The altered fields at a time, except the planned fault `without`.
    pub(crate) fn drifts(&self, at_ms: i64, without: Option<usize>) -> impl Iterator<Item = &Altered> {
        self.shared(without).filter(move |planned| planned.is_on(at_ms)).filter_map(|planned| match &planned.effect {
            Effect::Drift(altered) => Some(altered),
            Effect::Lock { .. }
            | Effect::Gateway { .. }
            | Effect::Leaky { .. }
            | Effect::Version(_)
            | Effect::Cloud(_)
            | Effect::Cold { .. }
            | Effect::Holiday { .. }
            | Effect::Rollout { .. } => None,
        })
    }

    /// The factor of a Sunday's operations, where the day is a holiday.
    pub(crate) fn holiday(&self, noon_ms: i64) -> Option<f64> {
        self.shared(None).filter(|planned| planned.is_on(noon_ms)).find_map(|planned| match &planned.effect {
            Effect::Holiday { ops } => Some(*ops),
            Effect::Lock { .. }
            | Effect::Gateway { .. }
            | Effect::Leaky { .. }
            | Effect::Version(_)
            | Effect::Cloud(_)
            | Effect::Drift(_)
            | Effect::Cold { .. }
            | Effect::Rollout { .. } => None,
        })
    }
}

fn is_looked_up(effect: &Effect) -> bool {
    match effect {
        Effect::Version(_) | Effect::Cloud(_) | Effect::Drift(_) | Effect::Holiday { .. } => true,
        Effect::Lock { .. }
        | Effect::Gateway { .. }
        | Effect::Leaky { .. }
        | Effect::Cold { .. }
        | Effect::Rollout { .. } => false,
    }
}
