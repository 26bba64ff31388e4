//! The policy of a desk: how urgent something is, whether it opens an incident, and why. One judgement (共通化) for the
//! detector's findings and for people who triage an inquiry. Must not know incidents or where its files are. Called by
//! the casebook and by the command `triage`.
use crate::kinds::Ground;
use crate::opening::{Follows, OpenDecision, OpeningTable};
use crate::urgency::{Assessment, Facts, UrgencyTable};
use serde::Serialize;
use std::collections::BTreeSet;
use zenei_detect::Anomaly;
use zenei_detect::toml_place::TomlError;

/// The tables of a desk.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How soon a person must act (緊急度判断).
    pub urgency: UrgencyTable,
    /// When an incident is opened (起票条件).
    pub opening: OpeningTable,
}

/// The files of a policy, as name for people and text; an absent one is the default in the program.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// The urgency table.
    pub urgency: Option<(String, String)>,
    /// The opening conditions.
    pub opening: Option<(String, String)>,
}

/// What follows from facts: the level, and whether an incident is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The level, with the rule that gave it and its ground.
    pub urgency: Assessment,
    /// The version of the urgency table.
    pub table_version: u32,
    /// Whether an incident is opened, and why.
    pub opening: OpenDecision,
}

const URGENCY: (&str, &str) = ("defaults/urgency.toml", include_str!("../defaults/urgency.toml"));
const OPENING: (&str, &str) = ("defaults/opening.toml", include_str!("../defaults/opening.toml"));

impl Default for Policy {
    /// The tables in the program. A test reads each of them without an error.
    fn default() -> Self {
        let urgency = UrgencyTable::read(URGENCY.0, URGENCY.1).unwrap_or_default();
        Self { urgency, opening: OpeningTable::read(OPENING.0, OPENING.1).unwrap_or_default() }
    }
}

impl Policy {
    /// The policy of these files.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn read(texts: &Texts) -> Result<Self, Vec<TomlError>> {
        let urgency = texts.urgency.as_ref().map_or(URGENCY, |(file, text)| (file, text));
        let opening = texts.opening.as_ref().map_or(OPENING, |(file, text)| (file, text));
        match (UrgencyTable::read(urgency.0, urgency.1), OpeningTable::read(opening.0, opening.1)) {
            (Ok(urgency), Ok(opening)) => Ok(Self { urgency, opening }),
            (urgency, opening) => Err([urgency.err(), opening.err()].into_iter().flatten().flatten().collect()),
        }
    }

    /// The level of these facts, and whether they open an incident.
    pub fn triage(&self, facts: &Facts) -> Judged {
        let urgency = self.urgency.assess(facts);
        let opening = self.opening.decide(facts, urgency.level);
        Judged { urgency, table_version: self.urgency.version, opening }
    }
}

impl Judged {
    /// Whether an incident is opened.
    pub fn opens(&self) -> bool {
        self.opening.follows == Follows::Open
    }

    /// What an event keeps of it, so that a later table changes no old decision.
    pub fn ground(&self) -> Ground {
        Ground { table_version: self.table_version, rule: self.urgency.rule.clone() }
    }
}

/// The facts of a finding.
pub fn facts_of(anomaly: &Anomaly) -> Facts {
    let locks = anomaly.evidence.iter().map(|record| &record.device_id).collect::<BTreeSet<_>>().len();
    Facts {
        hint: Some(anomaly.urgency),
        scope: Some(anomaly.scope.kind),
        locks,
        domain: Some(anomaly.domain),
        component: Some(anomaly.component),
        records: anomaly.evidence.len(),
        observed_ms: anomaly.window_ms.max(span_ms(anomaly)),
        ..Facts::default()
    }
}

fn span_ms(anomaly: &Anomaly) -> i64 {
    let times = || anomaly.evidence.iter().map(|record| record.ts_ms);
    match (times().min(), times().max()) {
        (Some(first), Some(last)) => last.saturating_sub(first),
        (None, _) | (_, None) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_detect::Urgency;
    use zenei_kit::anomaly;

    #[test]
    fn the_tables_in_the_program_are_good() {
        assert_eq!(Policy::read(&Texts::default()), Ok(Policy::default()));
        assert_eq!(Policy::default().urgency.label, "zenei default");
    }

    #[test]
    fn a_finding_and_a_report_of_the_same_facts_are_judged_alike() {
        let policy = Policy::default();
        let facts = facts_of(&anomaly("motor_effort", "A", 5));
        let json = serde_json::to_string(&facts).unwrap();
        let judged = policy.triage(&serde_json::from_str(&json).unwrap());
        assert_eq!(judged, policy.triage(&facts));
        assert_eq!((judged.urgency.level, judged.opens()), (Urgency::High, true));
        assert_eq!(judged.ground(), Ground { table_version: 1, rule: "hint".into() });
    }

    #[test]
    fn the_errors_of_all_files_are_told_together() {
        let bad = |name: &str| Some((name.to_owned(), "versoin = 1".to_owned()));
        let errors = Policy::read(&Texts { urgency: bad("u.toml"), opening: bad("o.toml") }).unwrap_err();
        assert_eq!(errors.iter().map(|error| error.file.as_str()).collect::<Vec<_>>(), ["u.toml", "o.toml"]);
    }

    #[test]
    fn a_changed_table_leaves_the_ground_of_an_old_decision() {
        let changed = URGENCY.1.replace("version = 1", "version = 2").replace("level = \"hint\"", "level = \"low\"");
        let urgency = Some(("u.toml".to_owned(), changed));
        let new = Policy::read(&Texts { urgency, opening: None }).unwrap();
        let facts = facts_of(&anomaly("motor_effort", "A", 5));
        let old = Policy::default().triage(&facts);
        let stored = serde_json::to_string(&old.ground()).unwrap();
        let judged = new.triage(&facts);
        assert_eq!((judged.urgency.level, judged.ground().table_version), (Urgency::Low, 2));
        assert_eq!(serde_json::from_str::<Ground>(&stored).unwrap(), Ground { table_version: 1, rule: "hint".into() });
    }
}
