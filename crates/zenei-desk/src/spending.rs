//! What each rule found, what its budget allows in the time for which locks were watched, and what is left. Must not
//! know a store or who is shown it. Called by `/metrics` and by `zenei rules explain`.
use std::collections::BTreeMap;
use zenei_detect::Rules;
use zenei_incident::{Casebook, Verdict};

/// Days of a year.
const YEAR_DAYS: f64 = 365.0;
/// A rule within its budget has more false incidents than its bound with at most this probability. The cards use the
/// same.
const CHANCE: f64 = 0.05;

/// A rule's incidents and its budget, since the state directory was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Spending {
    /// The rule.
    pub rule: String,
    /// Incidents that it opened.
    pub opened: u64,
    /// Of them those that people judged a false positive.
    pub falsely: u64,
    /// Of them those that nobody has judged.
    pub unjudged: u64,
    /// False incidents that the budget allows, a year of one lock.
    pub budget: f64,
    /// False incidents that it allows for the locks' time so far.
    pub allowed: f64,
    /// The most false incidents that a rule within its budget has in that time, but for one case in twenty.
    pub bound: u64,
}

impl Spending {
    /// What is left of what is allowed; below 0 where more incidents were judged false.
    pub fn left(&self) -> f64 {
        self.allowed - self.falsely as f64
    }

    /// Whether chance hardly explains that so many incidents were judged false.
    pub fn is_over(&self) -> bool {
        self.falsely > self.bound
    }
}

/// The spending of each rule in force, by id. `lock_days`: for how long locks were watched, one for each lock and day.
pub fn of(rules: &Rules, book: &Casebook, lock_days: u64) -> Vec<Spending> {
    let mut counts: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for incident in book.incidents() {
        let [opened, falsely, unjudged] = counts.entry(incident.rule.as_str()).or_default();
        *opened += 1;
        *falsely += u64::from(incident.verdict == Some(Verdict::FalsePositive));
        *unjudged += u64::from(incident.verdict.is_none());
    }
    let spending = |rule: &zenei_detect::Rule| {
        let [opened, falsely, unjudged] = counts.get(rule.id.as_str()).copied().unwrap_or_default();
        let budget = rule.budget_per_device_year;
        let allowed = budget * device_years(lock_days);
        Spending { rule: rule.id.clone(), opened, falsely, unjudged, budget, allowed, bound: bound(allowed) }
    };
    rules.iter().map(spending).collect()
}

/// Device-years of so many days of a lock.
pub fn device_years(lock_days: u64) -> f64 {
    lock_days as f64 / YEAR_DAYS
}

/// The least count that a Poisson variable of this mean exceeds with at most [`CHANCE`].
fn bound(mean: f64) -> u64 {
    // Far from 0 the normal quantile is exact enough, and the sum below would underflow.
    if mean > 500.0 {
        return (mean + 1.645 * mean.sqrt()).ceil() as u64;
    }
    let mut term = (-mean).exp();
    let (mut sum, mut count) = (term, 0);
    while sum < 1.0 - CHANCE {
        count += 1;
        term *= mean / count as f64;
        sum += term;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeskDriver;
    use zenei_detect::Findings;
    use zenei_incident::event::Judged;
    use zenei_kit::anomaly;
    use zenei_store::Control;
    use zenei_wire::EngineTime;

    #[test]
    fn a_budget_allows_what_the_watched_time_gives_and_false_positives_spend_it() {
        let mut desk = DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap();
        let rules = Rules::embedded().unwrap();
        let rule = rules.get("motor-effort").unwrap();
        let anomalies = ["A", "B", "C"].map(|lock| anomaly(&rule.id, lock, 1)).to_vec();
        let opened = desk.take(EngineTime(1_000), &Findings { anomalies, ..Findings::default() }).unwrap().opened;
        for id in &opened[..2] {
            let judged = Judged { verdict: Verdict::FalsePositive, by: "sato".into() };
            desk.add(*id, EngineTime(3_000), judged).unwrap();
        }
        let of = |lock_days| {
            let all = of(&rules, &desk.incidents().read(), lock_days);
            all.into_iter().find(|one| one.rule == rule.id).unwrap()
        };
        let young = of(365 * 100);
        assert_eq!((young.opened, young.falsely, young.unjudged), (3, 2, 1));
        assert!((young.allowed - 100.0 * rule.budget_per_device_year).abs() < 1e-9 && young.is_over(), "{young:?}");
        let old = of(365 * 10_000);
        assert!(!old.is_over() && (old.left() - (old.allowed - 2.0)).abs() < 1e-9, "{old:?}");
    }

    #[test]
    fn the_bound_is_the_poisson_quantile() {
        assert_eq!([0.0, 0.05, 0.1, 1.0, 10.0].map(bound), [0, 0, 1, 3, 15]);
        assert!((bound(499.0)..bound(499.0) + 4).contains(&bound(501.0)), "both ways meet");
    }
}
