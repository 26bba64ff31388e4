//! The detectors, one file each (two with a folder): parameters, what resets the detector, how often it judges, its
//! state. `ALL` is the one list of them. The other files serve them: `running` holds what all detectors have in common,
//! `lanes`, `trail`, `codes` and `report` are their helpers, and `profile` computes the number that the detector
//! `profile_shape` of `drift` watches. None of them may know the engine, incidents or stores. Called by `rules`, which
//! finds a detector by its word, and by the compliance test.
pub mod clock;
mod codes;
pub mod drain;
pub mod drift;
#[cfg(test)]
mod drive_tests;
pub mod firmware_errors;
mod lanes;
pub mod leak;
pub mod lock_errors;
pub mod loss;
pub mod profile;
pub mod reboots;
mod report;
pub mod requests;
pub mod running;
pub mod schema;
#[cfg(test)]
mod shape_tests;
pub mod silence;
pub mod stream;
mod trail;
pub mod trouble;
#[cfg(test)]
mod world;

use running::Spec;

/// Every detector, in the order in which messages list them.
pub const ALL: &[&Spec] = &[
    &drift::RESISTANCE,
    &drain::SPEC,
    &drift::EFFORT,
    &drift::SHAPE,
    &trouble::SPEC,
    &firmware_errors::SPEC,
    &lock_errors::SPEC,
    &reboots::SPEC,
    &leak::SPEC,
    &silence::SPEC,
    &clock::SPEC,
    &loss::SPEC,
    &schema::SPEC,
    &requests::SPEC,
    &stream::SPEC,
];

/// The detector of this word.
pub fn find(word: &str) -> Option<&'static Spec> {
    ALL.iter().find(|spec| spec.kind.word == word).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rules;
    use std::collections::BTreeSet;

    #[test]
    fn every_detector_describes_itself() {
        let words: BTreeSet<&str> = ALL.iter().map(|spec| spec.kind.word).collect();
        assert_eq!(words.len(), ALL.len(), "a word stands once");
        for spec in ALL {
            assert!(!spec.kind.looks_at.is_empty() && spec.every_ms > 0, "{}", spec.kind.word);
            let names: BTreeSet<&str> = spec.kind.parameters.iter().map(|parameter| parameter.name).collect();
            assert_eq!(names.len(), spec.kind.parameters.len(), "{}: a parameter stands once", spec.kind.word);
            for parameter in spec.kind.parameters {
                let of = format!("{}.{}", spec.kind.word, parameter.name);
                assert!(!parameter.meaning.is_empty() && !parameter.unit.is_empty(), "{of}");
                assert!(parameter.range.start() < parameter.range.end(), "{of}");
            }
        }
    }

    #[test]
    fn a_detector_reads_each_of_its_parameters_and_does_not_start_without_one() {
        for rule in Rules::embedded().unwrap().iter() {
            let spec = find(rule.detector.word).unwrap();
            assert!(spec.start(rule).is_ok(), "{}", rule.id);
            for parameter in spec.kind.parameters {
                let mut lacking = rule.clone();
                lacking.parameters.remove(parameter.name);
                let missing = spec.start(&lacking).err().map(|missing| missing.name);
                assert_eq!(missing, Some(parameter.name), "{}", rule.id);
            }
        }
    }
}
