//! The state that drift keeps of each lock and of each model, and the variances that follow from it. Must not know a
//! rule. Called by `drift`.
use super::evidence::EVIDENCE;
use super::measure::{By, Measure};
use crate::anomaly::DecisionReason;
use crate::estimate::dispersion::{Blocks, Pool};
use crate::estimate::slopes::Slopes;
use crate::lock::{DIRECTIONS, RecordRef};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The weight of a prior slope in observations, at the spread of the covariates within a lock that a temperate week
/// shows (5 K, 5 %). A guess.
const PRIOR_WEIGHT: [f64; 2] = [50.0 * 25.0, 50.0 * 0.0025];
/// Imagined operations at the model's variance in a lock's own.
const VARIANCE_WEIGHT: f64 = 20.0;
/// Standard deviation of one operation before any was seen, natural logarithm: a fifth. A guess that the data replace.
const SPREAD_FIRST: f64 = 0.2;
/// Least standard deviation of a day's mean, natural logarithm: 1 %, the resolution of a few mV and mA.
const DAY_SPREAD_MIN: f64 = 0.01;

/// After so many more operations than not that tell another part of a quantity, that part is watched. A guess: some
/// days of use.
const OTHERWISE: i8 = 20;

/// One lock.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lane {
    pub(super) means: [Mean; DIRECTIONS],
    pub(super) squares: f32,
    pub(super) operations: f32,
    pub(super) started_ms: Option<i64>,
    pub(super) learned: bool,
    /// By what its quantity is told, and how many more of its operations than not tell it otherwise.
    pub(super) by: By,
    pub(super) other: i8,
    pub(super) today: Today,
    /// Evidence of a rise, nat, for each of the shifts.
    pub(super) evidence: [f32; EVIDENCE],
    /// Evidence of a fall, standard deviations.
    pub(super) better: f32,
    pub(super) blocks: Blocks,
    pub(super) level: f32,
    /// The evidence and the level of the newest judgement.
    pub(super) shown: (f32, f32),
    pub(super) since: Option<(i64, RecordRef)>,
    pub(super) recent: SmallVec<[RecordRef; 7]>,
    pub(super) alarm: Option<(i64, f32)>,
    pub(super) noted: Option<DecisionReason>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Mean {
    pub(super) count: f32,
    pub(super) value: f64,
    pub(super) covariates: [f64; 2],
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Today {
    pub(super) count: u32,
    pub(super) sum: f64,
    pub(super) shift: [f64; 2],
    pub(super) first: Option<RecordRef>,
}

/// What the locks of one model share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Model {
    pub(super) slopes: Slopes,
    pub(super) squares: f64,
    pub(super) operations: f64,
    pub(super) excess: f64,
    pub(super) days: f64,
    pub(super) pool: Pool,
}

impl Model {
    /// A model without data: its slopes are those of the rule.
    pub(super) fn new(prior: [f64; 2]) -> Self {
        Self {
            slopes: Slopes::new(prior, PRIOR_WEIGHT),
            squares: 0.0,
            operations: 0.0,
            excess: 0.0,
            days: 0.0,
            pool: Pool::default(),
        }
    }

    pub(super) fn variance(&self) -> f64 {
        let first = SPREAD_FIRST * SPREAD_FIRST;
        (self.squares + VARIANCE_WEIGHT * first) / (self.operations + VARIANCE_WEIGHT)
    }

    /// Variance from day to day that operations don't explain.
    pub(super) fn day_variance(&self) -> f64 {
        (self.excess / self.days.max(1.0)).max(DAY_SPREAD_MIN * DAY_SPREAD_MIN)
    }
}

impl Mean {
    pub(super) fn add(&mut self, value: f64, covariates: [f64; 2]) {
        self.count += 1.0;
        let share = 1.0 / f64::from(self.count);
        self.value += share * (value - self.value);
        self.covariates[0] += share * (covariates[0] - self.covariates[0]);
        self.covariates[1] += share * (covariates[1] - self.covariates[1]);
    }
}

impl Lane {
    pub(super) fn variance(&self, model: &Model) -> f64 {
        let (own, pooled) = (f64::from(self.squares), VARIANCE_WEIGHT * model.variance());
        (own + pooled) / (f64::from(self.operations) + VARIANCE_WEIGHT)
    }

    /// The evidence of the shift that explains most.
    pub(super) fn most_evidence(&self) -> f32 {
        self.evidence.iter().copied().fold(0.0, f32::max)
    }

    /// Whether it takes what is told so. A lock may tell the whole with a few of its operations and a part with each:
    /// what is learned is of one of them, and another one's once most are so.
    pub(super) fn reads(&mut self, by: By) -> bool {
        if self.started_ms.is_none() {
            (self.by, self.other) = (by, 0);
        } else if self.by == by {
            self.other = (self.other - 1).max(-OTHERWISE);
        } else {
            self.other += 1;
            if self.other >= OTHERWISE {
                *self = Self { by, ..Self::default() };
            }
        }
        self.by == by
    }

    /// What is usual for it, the unit, and what people call it.
    pub(super) fn usual(&self, measure: Measure) -> (f64, &'static str, &'static str) {
        match self.by.name() {
            None => (libm::exp(self.main_mean().value), measure.unit(), measure.name()),
            Some(name) => (100.0, "percent", name),
        }
    }

    pub(super) fn main_mean(&self) -> &Mean {
        let [a, b] = &self.means;
        if b.count > a.count { b } else { a }
    }
}
