//! What all locks of a run share: scenario, seed, weather, the plan of faults.
//! Read-only once made, so that a lock can be simulated again from the start, alone. Called by `fleet`, `lock` and `truth`.
use crate::calendar::DAY_MS;
use crate::fault::{self, Bug, Effect, Planned};
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
}

impl World {
    pub(crate) fn new(scenario: &Scenario, seed: u64) -> Result<Self, ScenarioError> {
        scenario.check()?;
        let start_ms = scenario.first_day() * DAY_MS - (scenario.utc_offset_h * 3_600_000.0) as i64;
        Ok(Self {
            weather: Weather::new(scenario, seed, start_ms),
            plan: fault::plan(scenario, seed, start_ms),
            codes: scenario.errors.iter().map(|(code, &per_day)| (code.clone(), per_day)).collect(),
            start_ms,
            end_ms: start_ms + (scenario.days * DAY_MS as f64) as i64,
            scenario: scenario.clone(),
            seed,
        })
    }

    /// The bugs of a version, but for the planned fault `without`.
    pub(crate) fn bugs(&self, version: usize, without: Option<usize>) -> impl Iterator<Item = &Bug> {
        self.plan.iter().enumerate().filter_map(move |(at, planned)| match &planned.effect {
            Effect::Bug(bug) if bug.version == version && Some(at) != without => Some(bug),
            Effect::Bug(_)
            | Effect::Friction { .. }
            | Effect::Resistance { .. }
            | Effect::Cold { .. }
            | Effect::Replacement { .. }
            | Effect::Rollout { .. } => None,
        })
    }
}
