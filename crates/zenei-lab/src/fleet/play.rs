//! One simulated fleet through the product's own decoding, intake, engine and casebook, in virtual time and without
//! files. Returns the incidents, the decisions not to open one, and the true faults. Must not know the measures. Called
//! by `fleet`.
use crate::course::{Course, CourseCost};
use crate::cpu::timed;
use crate::error::LabError;
use crate::kept::stored;
use crate::opened::Opened;
use firmware_sim::{Fleet, Message, Scenario, Truth};
use std::collections::{BTreeMap, HashMap};
use zenei_detect::{Decision, DecisionReason, Portion, Rules};
use zenei_store::{StoredMessage, decode, registry};
use zenei_wire::GatewayTime;
use zenei_wire::bthome::Keyring;

/// Virtual time of one step: the messages of a large fleet in it fit into a few megabytes.
const STEP_MS: i64 = 3_600_000;
/// How many candidates that did not open are kept for each lock or scope with a fault: those nearest to opening.
const KEPT: usize = 8;

/// A candidate that opened nothing, reduced to the fields that a developer needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// When.
    pub at_ms: i64,
    /// The rule.
    pub rule: String,
    /// The reason.
    pub reason: DecisionReason,
    /// The observed value.
    pub value: f64,
    /// The rule's threshold.
    pub threshold: f64,
    /// Unit of both.
    pub unit: String,
}

/// Candidates that opened nothing, of scopes (kind and value) with a true fault.
#[derive(Debug, Default)]
pub struct Rejections {
    of: HashMap<(String, String), Near>,
}

#[derive(Debug, Default)]
struct Near {
    span_ms: (i64, i64),
    kept: Vec<Rejected>,
    /// When a fault of this scope was detectable, and each rule's decision nearest to that time.
    detectable_ms: Vec<i64>,
    at_detectable: BTreeMap<(i64, String), Rejected>,
}

impl Rejections {
    /// An empty collection for these faults.
    fn of(truth: &[Truth]) -> Self {
        let mut of: HashMap<(String, String), Near> = HashMap::new();
        for truth in truth.iter().filter(|truth| !truth.control) {
            let span_ms = (truth.onset_ms, truth.end_ms);
            let near = of.entry((truth.scope.kind.clone(), truth.scope.value.clone()));
            let near = near.or_insert(Near { span_ms, ..Near::default() });
            near.detectable_ms.extend(truth.detectable_ms);
            near.span_ms = (near.span_ms.0.min(span_ms.0), near.span_ms.1.max(span_ms.1));
        }
        Self { of }
    }

    /// Those of this fault's scope that came nearest to opening, the nearest first.
    pub fn nearest(&self, truth: &Truth) -> Vec<&Rejected> {
        let near = self.of.get(&(truth.scope.kind.clone(), truth.scope.value.clone()));
        let mut kept: Vec<&Rejected> = near.map_or(Vec::new(), |near| near.kept.iter().collect());
        kept.sort_by(|one, other| other.nearness().total_cmp(&one.nearness()));
        kept
    }

    /// Each rule's decision not to open that is nearest in time to when this fault was detectable, the nearest first.
    pub fn at_detectable(&self, truth: &Truth) -> Vec<&Rejected> {
        let near = self.of.get(&(truth.scope.kind.clone(), truth.scope.value.clone()));
        let (Some(near), Some(detectable_ms)) = (near, truth.detectable_ms) else { return Vec::new() };
        let of_it = near.at_detectable.iter().filter(|((at_ms, _), _)| *at_ms == detectable_ms);
        let mut kept: Vec<&Rejected> = of_it.map(|(_, rejected)| rejected).collect();
        kept.sort_by_key(|rejected| (rejected.at_ms - detectable_ms).abs());
        kept
    }

    fn keep(&mut self, decision: &Decision) {
        let scope = (decision.scope.kind.as_str().to_owned(), decision.scope.value.clone());
        let Some(near) = self.of.get_mut(&scope) else { return };
        if !(near.span_ms.0..=near.span_ms.1).contains(&decision.at.ms()) {
            return;
        }
        let rejected = Rejected {
            at_ms: decision.at.ms(),
            rule: decision.rule.clone(),
            reason: decision.reason,
            value: decision.value,
            threshold: decision.threshold,
            unit: decision.unit.clone(),
        };
        for &detectable_ms in &near.detectable_ms {
            let place = near.at_detectable.entry((detectable_ms, decision.rule.clone()));
            let place = place.or_insert_with(|| rejected.clone());
            if (rejected.at_ms - detectable_ms).abs() < (place.at_ms - detectable_ms).abs() {
                *place = rejected.clone();
            }
        }
        near.kept.push(rejected);
        if near.kept.len() > KEPT {
            near.kept.sort_by(|one, other| other.nearness().total_cmp(&one.nearness()));
            near.kept.truncate(KEPT);
        }
    }
}

impl Rejected {
    fn nearness(&self) -> f64 {
        (self.value / self.threshold).abs()
    }
}

/// The result of a run of one fleet.
#[derive(Debug, Default)]
pub struct Played {
    /// The true faults and controls.
    pub truth: Vec<Truth>,
    /// Every incident, in order of opening.
    pub incidents: Vec<Opened>,
    /// Candidates that opened nothing while a true fault of the same scope lasted, by that scope.
    pub rejected: Rejections,
    /// How many locks.
    pub locks: usize,
    /// Start and end of the run.
    pub span_ms: (i64, i64),
    /// The cost of the run.
    pub cost: Cost,
}

/// The cost of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Readable records, duplicates among them.
    pub records: u64,
    /// Unreadable records and messages.
    pub dead_letters: u64,
    /// CPU seconds of the simulator, truth included.
    pub simulate_s: f64,
    /// CPU seconds from bytes to records.
    pub decode_s: f64,
    /// CPU seconds of intake and engine.
    pub detect_s: f64,
    /// CPU seconds from anomalies to incidents.
    pub correlate_s: f64,
    /// Bytes of the engine's whole state at the end, as a snapshot.
    pub state_bytes: u64,
}

/// Plays a fleet to its end.
///
/// # Errors
/// Where the scenario can't be simulated, or the product breaks one of its own rules.
pub fn play(scenario: &Scenario, seed: u64, rules: &Rules) -> Result<Played, LabError> {
    let mut run = Run::new(scenario, seed, rules)?;
    let (start_ms, end_ms) = run.played.span_ms;
    let mut at_ms = start_ms;
    while at_ms < end_ms {
        at_ms = (at_ms + STEP_MS).min(end_ms);
        run.step(at_ms)?;
    }
    run.end()
}

struct Run {
    fleet: Fleet,
    course: Course,
    messages: Vec<Message>,
    offset: u64,
    played: Played,
}

impl Run {
    fn new(scenario: &Scenario, seed: u64, rules: &Rules) -> Result<Self, LabError> {
        let mut played = Played { locks: scenario.locks, ..Played::default() };
        let made = timed(&mut played.cost.simulate_s, || {
            Fleet::new(scenario, seed).map(|fleet| {
                let truth = fleet.truth();
                (fleet, truth)
            })
        });
        let (fleet, truth) = made.map_err(|error| LabError::config("the scenario can't be simulated", error))?;
        played.span_ms = (fleet.start_ms(), fleet.end_ms());
        played.rejected = Rejections::of(&truth);
        played.truth = truth;
        let registry = registry::read(fleet.registry_csv().as_bytes());
        let registry = registry.map_err(|error| LabError::failed("the fleet's registry can't be read", error))?;
        Ok(Self { fleet, course: Course::new(rules, &registry), messages: Vec::new(), offset: 0, played })
    }

    fn step(&mut self, to_ms: i64) -> Result<(), LabError> {
        let cost = &mut self.played.cost;
        let (fleet, messages) = (&mut self.fleet, &mut self.messages);
        timed(&mut cost.simulate_s, || fleet.advance(to_ms, messages));
        let stored: Vec<StoredMessage> = self.messages.drain(..).zip(self.offset..).map(stored).collect();
        self.offset += stored.len() as u64;
        let keys = Keyring::default();
        let decoded = timed(&mut cost.decode_s, || decode(&stored, &keys));
        cost.dead_letters += decoded.dead.len() as u64;
        let portion = Portion { until: Some(GatewayTime(to_ms)), ..decoded.portion() };
        let rejected = &mut self.played.rejected;
        self.course.take(portion, |decision| rejected.keep(decision))
    }

    fn end(mut self) -> Result<Played, LabError> {
        let rejected = &mut self.played.rejected;
        self.course.end(|decision| rejected.keep(decision))?;
        let CourseCost { records, detect_s, correlate_s } = self.course.cost();
        let state_bytes = self.course.state_bytes()?;
        self.played.cost = Cost { records, detect_s, correlate_s, state_bytes, ..self.played.cost };
        self.played.incidents = self.course.opened();
        Ok(self.played)
    }
}
