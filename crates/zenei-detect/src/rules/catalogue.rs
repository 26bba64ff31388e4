//! The closed list of detectors. A new detector needs its file in `detect` and one line here. Must not know a rule.
//! Called by `rules`, which finds a detector by its word, and by `rules::read`, which lists the words in its errors.
use crate::detect::running::Spec;
use crate::detect::{
    clock, drain, drift, firmware_errors, leak, lock_errors, loss, reboots, schema, silence, stream, trouble,
};

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
