//! How a detector describes itself to rules: its word, what it looks at, and which parameters it takes. Must not know a
//! particular detector. Each detector fills it in; `rules::read` checks rule files against it.
use crate::symptom::Symptom;
use std::ops::RangeInclusive;

/// A number that a rule gives its detector.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in a rule file.
    pub name: &'static str,
    /// Its unit; `1` for a pure number.
    pub unit: &'static str,
    /// The values that a rule may give, in `unit`.
    pub range: RangeInclusive<f64>,
    /// What it means, in words for people.
    pub meaning: &'static str,
}

/// A detector as rules see it.
#[derive(Debug)]
pub struct DetectorKind {
    /// The word in a rule file.
    pub word: &'static str,
    /// The symptom that its findings show.
    pub symptom: Symptom,
    /// What it looks at, and when it reports, in words for people.
    pub looks_at: &'static str,
    /// The parameters that a rule gives, each of them once.
    pub parameters: &'static [Parameter],
    /// Whether a rule names the number that it looks at: `field = "state.temp_c"`.
    pub reads_field: bool,
}

impl PartialEq for DetectorKind {
    /// Two kinds are equal where their words are.
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}
