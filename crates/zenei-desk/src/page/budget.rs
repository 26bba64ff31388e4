//! How many false alarms may each rule still raise this year? What people judged a false positive within a year,
//! against the rule's budget for the locks that are heard. Must not know a page. Called by the board and the rules'
//! pages.
use serde::Serialize;
use std::collections::BTreeMap;
use zenei_detect::Rules;
use zenei_incident::message::{Lang, in_language};
use zenei_incident::{Casebook, Verdict};
use zenei_wire::EngineTime;

/// The window, ms: a year, as the budgets are given.
const YEAR_MS: i64 = 365 * 24 * 3_600_000;

/// A rule's false alarms within a year.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Budget {
    pub(crate) rule: String,
    pub(crate) title: String,
    /// `shadow`, `canary` or `live`.
    pub(crate) state: &'static str,
    /// Incidents that the rule opened within the year.
    pub(crate) opened: u32,
    /// Those of them that people judged a false positive.
    pub(crate) spent: u32,
    /// Those of them that no one has judged yet.
    pub(crate) unjudged: u32,
    /// False alarms that the rule may raise in a year: its budget for a lock times the locks.
    pub(crate) allowed: f64,
    /// What is left; below 0 where it is overspent.
    pub(crate) left: f64,
}

impl Budget {
    /// Whether more was spent than allowed.
    pub(crate) fn is_overspent(&self) -> bool {
        self.left < 0.0
    }
}

/// The budget of each rule in force, by id; `locks`: how many locks are heard.
pub(crate) fn budgets(book: &Casebook, rules: &Rules, locks: u64, now: EngineTime, lang: Lang) -> Vec<Budget> {
    let from = EngineTime(now.ms().saturating_sub(YEAR_MS));
    let mut counts: BTreeMap<&str, [u32; 3]> = BTreeMap::new();
    for incident in book.incidents().filter(|incident| incident.opened >= from) {
        let [opened, spent, unjudged] = counts.entry(incident.rule.as_str()).or_default();
        *opened += 1;
        *spent += u32::from(incident.verdict == Some(Verdict::FalsePositive));
        *unjudged += u32::from(incident.verdict.is_none());
    }
    let budget = |rule: &zenei_detect::Rule| {
        let [opened, spent, unjudged] = counts.get(rule.id.as_str()).copied().unwrap_or_default();
        let allowed = rule.budget_per_device_year * locks as f64;
        let ja = Some(rule.title_ja.as_str()).filter(|title| !title.is_empty());
        Budget {
            rule: rule.id.clone(),
            title: in_language(&rule.title, ja, lang).to_owned(),
            state: rule.state.as_str(),
            opened,
            spent,
            unjudged,
            allowed,
            left: allowed - f64::from(spent),
        }
    };
    rules.iter().map(budget).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeskDriver;
    use zenei_detect::Findings;
    use zenei_incident::event::Judged;
    use zenei_kit::anomaly;
    use zenei_store::Control;

    #[test]
    fn a_false_positive_is_spent_and_an_incident_older_than_a_year_is_not_counted() {
        let mut desk = DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap();
        let rules = Rules::embedded().unwrap();
        let rule = rules.iter().next().unwrap().id.clone();
        let mut open = |lock: &str, at: i64| {
            let anomalies = vec![anomaly(&rule, lock, at)];
            desk.take(EngineTime(at), &Findings { anomalies, ..Findings::default() }).unwrap().opened[0]
        };
        let (first, second) = (open("A", 1_000), open("B", 2_000));
        for id in [first, second] {
            let judged = Judged { verdict: Verdict::FalsePositive, by: "sato".into() };
            desk.add(id, EngineTime(3_000), judged).unwrap();
        }
        let of = |now: i64| {
            let book = desk.incidents().read();
            budgets(&book, &rules, 1_000, EngineTime(now), Lang::En).into_iter().find(|one| one.rule == rule).unwrap()
        };
        let now = of(4_000);
        let allowed = rules.get(&rule).unwrap().budget_per_device_year * 1_000.0;
        assert_eq!((now.opened, now.spent, now.unjudged, now.allowed), (2, 2, 0, allowed));
        assert_eq!(now.left, allowed - 2.0);
        assert_eq!(now.is_overspent(), allowed < 2.0);
        assert_eq!(of(1_500_000 + YEAR_MS).spent, 1);
    }
}
