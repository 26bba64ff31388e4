//! One rule: which detector it drives with which parameters, the source of each number, how far its findings may go,
//! and its texts for people. Must not know a particular detector or the format of rule files. Detectors read their
//! parameters here; `rules` reads rules from files.
use crate::anomaly::{Component, Domain, Urgency};
use crate::canary::Canary;
use crate::field::NumericField;
use crate::kind::DetectorKind;
use std::collections::BTreeMap;
use zenei_wire::Id;

/// False alarms per device-year that a rule may have where its file gives no budget: a quarter of the goal for all
/// rules together, 0.004. A guess.
pub const BUDGET_PER_DEVICE_YEAR: f64 = 0.001;

/// How far a rule may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleState {
    /// Its findings are recorded as decisions and open nothing.
    Shadow,
    /// Its findings open incidents in a part of the fleet ([`Rule::canary`]); elsewhere they are recorded as decisions.
    Canary,
    /// Its findings open incidents.
    Live,
}

impl RuleState {
    /// Every state, in the order of promotion.
    pub const ALL: [Self; 3] = [Self::Shadow, Self::Canary, Self::Live];

    /// The word in a rule file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Live => "live",
        }
    }

    /// The state of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its id, unique among the rules in use.
    pub id: String,
    /// Raised with every change that changes findings.
    pub version: u32,
    /// For people.
    pub title: String,
    /// Where the cause is likely to lie.
    pub domain: Domain,
    /// The likely part.
    pub component: Component,
    /// How soon a person must act.
    pub urgency: Urgency,
    /// How far it may go.
    pub state: RuleState,
    /// Who is responsible for it.
    pub owner: String,
    /// What to do first.
    pub runbook: String,
    /// The title in Japanese; empty where the rule has none, and the title stands for it.
    pub title_ja: String,
    /// What to do first in Japanese; empty where the rule has none, and the runbook stands for it.
    pub runbook_ja: String,
    /// Which detector it drives.
    pub detector: &'static DetectorKind,
    /// The number that the detector reads, where the detector reads a field.
    pub field: Option<NumericField>,
    /// The detector's parameters by name, each in the detector's unit.
    pub parameters: BTreeMap<String, f64>,
    /// Where each parameter's number comes from, by name.
    pub sources: BTreeMap<String, String>,
    /// Where it may open incidents while it is a canary; set if and only if that is its state.
    pub canary: Option<Canary>,
    /// False alarms per device-year that it may have ([`BUDGET_PER_DEVICE_YEAR`] where its file gives none).
    pub budget_per_device_year: f64,
    /// Where it was read.
    pub origin: Origin,
}

/// Where a rule was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: String,
    /// The line of its state, from 1.
    pub state_line: usize,
}

impl Rule {
    /// What its detector's state depends on: id, version, detector, field and parameters. Words for people may change.
    pub fn digest(&self) -> Id {
        let mut parts = vec![self.id.clone(), self.version.to_string(), self.detector.word.to_owned()];
        parts.extend(self.field.map(|field| format!("field={field}")));
        parts.extend(self.parameters.iter().map(|(name, value)| format!("{name}={value}")));
        let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
        Id::of(&parts)
    }

    /// The value of a parameter, in the detector's unit. A rule that was loaded has each one that its detector reads.
    ///
    /// # Errors
    /// The rule has no parameter of this name.
    pub fn parameter(&self, name: &'static str) -> Result<f64, MissingParameter> {
        self.parameters.get(name).copied().ok_or(MissingParameter { name })
    }
}

/// A parameter that a detector reads and its rule does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the detector reads the parameter {name}, which its rule does not have")]
pub struct MissingParameter {
    /// The parameter's name.
    pub name: &'static str,
}
