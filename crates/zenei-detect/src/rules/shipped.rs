//! The embedded rules with their cards and cases: the texts below `crates/zenei-detect/rules`, which the build script
//! lists. Must not know what a text contains. Called by [`super::Rules::embedded`] and by `zenei`, which shows cards
//! and runs cases.
use super::folder::{Part, piece};

include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// The rules: path and text, by path.
pub fn rules() -> impl Iterator<Item = (&'static str, &'static str)> {
    holding(Part::Rule)
}

/// The promotion cards: path and text, by path.
pub fn cards() -> impl Iterator<Item = (&'static str, &'static str)> {
    holding(Part::Card)
}

/// The test cases: path and text, by path.
pub fn cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    holding(Part::Case)
}

fn holding(part: Part) -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().copied().filter(move |(path, _)| piece(path).is_some_and(|piece| piece.part == part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{RuleState, Rules, card};

    #[test]
    fn each_folder_is_named_by_the_id_of_its_rule() {
        let rules = Rules::embedded().unwrap();
        let files: Vec<(&str, &str)> =
            rules.iter().map(|rule| (rule.id.as_str(), piece(&rule.origin.file).unwrap().rule)).collect();
        assert!(files.len() >= 13, "{files:?}");
        assert!(files.iter().all(|(id, folder)| id == folder), "{files:?}");
    }

    #[test]
    fn each_file_is_a_rule_a_card_or_a_case() {
        assert_eq!(rules().count() + cards().count() + cases().count(), FILES.len());
    }

    #[test]
    fn every_live_rule_has_a_card_of_this_very_rule_within_its_budget() {
        let rules = Rules::embedded().unwrap();
        assert_eq!(card::judge(&rules, cards(), |_| false), []);
        // Control: without cards there is an error for each live rule.
        let live = rules.iter().filter(|rule| rule.state == RuleState::Live).count();
        assert!(live > 0);
        assert_eq!(card::judge(&rules, [], |_| false).len(), live);
    }
}
