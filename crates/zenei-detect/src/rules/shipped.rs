//! What stands beside the embedded rules: their test cases and promotion cards, as they lie in `rules/tests` and `rules/cards`. Knows no more than file
//! names and texts. Read by `zenei rules`.

macro_rules! cases {
    ($($path:literal),* $(,)?) => {
        /// Test cases: path below the folder of cases, and text.
        pub const CASES: &[(&str, &str)] = &[$(($path, include_str!(concat!("../../rules/tests/", $path)))),*];
    };
}

macro_rules! cards {
    ($($path:literal),* $(,)?) => {
        /// Promotion cards: path below the folder of cards, and text.
        pub const CARDS: &[(&str, &str)] = &[$(($path, include_str!(concat!("../../rules/cards/", $path)))),*];
    };
}

cards!(
    "battery-drain.toml",
    "battery-resistance.toml",
    "clock-error.toml",
    "firmware-errors.toml",
    "lock-errors.toml",
    "memory-leak.toml",
    "motor-effort.toml",
    "operation-trouble.toml",
    "profile-shape.toml",
    "reboot-loop.toml",
    "record-loss.toml",
    "schema-drift.toml",
    "silence.toml",
);

cases!(
    "battery-drain/gap.toml",
    "battery-drain/negative.toml",
    "battery-drain/positive.toml",
    "battery-resistance/gap.toml",
    "battery-resistance/negative.toml",
    "battery-resistance/positive.toml",
    "clock-error/gap.toml",
    "clock-error/negative.toml",
    "clock-error/positive.toml",
    "firmware-errors/gap.toml",
    "firmware-errors/negative.toml",
    "firmware-errors/positive.toml",
    "lock-errors/gap.toml",
    "lock-errors/negative.toml",
    "lock-errors/positive.toml",
    "memory-leak/gap.toml",
    "memory-leak/negative.toml",
    "memory-leak/positive.toml",
    "motor-effort/gap.toml",
    "motor-effort/negative.toml",
    "motor-effort/positive.toml",
    "operation-trouble/gap.toml",
    "operation-trouble/negative.toml",
    "operation-trouble/positive.toml",
    "profile-shape/gap.toml",
    "profile-shape/negative.toml",
    "profile-shape/positive.toml",
    "reboot-loop/gap.toml",
    "reboot-loop/negative.toml",
    "reboot-loop/positive.toml",
    "record-loss/gap.toml",
    "record-loss/negative.toml",
    "record-loss/positive.toml",
    "schema-drift/gap.toml",
    "schema-drift/negative.toml",
    "schema-drift/positive.toml",
    "silence/gap.toml",
    "silence/negative.toml",
    "silence/positive-gateway.toml",
    "silence/positive.toml",
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Rules, card};
    use std::path::Path;

    fn files(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<String> = entries
            .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path.display().to_string()] })
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn every_case_file_is_in_the_program() {
        let folder = format!("{}/rules/tests/", env!("CARGO_MANIFEST_DIR"));
        let there: Vec<String> =
            files(Path::new(&folder)).iter().map(|path| path.trim_start_matches(&folder).to_owned()).collect();
        let embedded: Vec<&str> = CASES.iter().map(|(path, _)| *path).collect();
        assert_eq!(embedded, there);
    }

    #[test]
    fn every_live_rule_has_a_card_of_this_very_rule_within_its_budget() {
        let rules = Rules::embedded().unwrap();
        assert_eq!(card::judge(&rules, CARDS.iter().copied(), |_| false), []);
        // And the judgement is one: without cards each of them is told.
        assert_eq!(card::judge(&rules, [], |_| false).len(), rules.iter().count());
    }
}
