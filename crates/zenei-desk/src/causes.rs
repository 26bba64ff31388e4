//! Do wider findings take more than one cause can bring about? Looks at what a week's findings were put down to. That
//! a cause takes most of what a rule finds says nothing: a true one does. Must not know how a cause is found. Called
//! by the board, `/metrics` and `zenei doctor`.
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::{Rules, Scope};
use zenei_store::Control;
use zenei_store::control::{ControlError, Taken};
use zenei_wire::EngineTime;

/// What is looked at, ms: a week, for which findings count together.
const WINDOW_MS: i64 = 7 * 86_400_000;
/// The most decisions and findings that are read, the latest. A guess: what is read in some ten milliseconds.
const READ_MAX: u32 = 20_000;
/// So many unlike symptoms one thing brings about at most. A guess: a version that restarts its locks makes errors,
/// failed operations and silence.
const UNLIKE_MAX: usize = 3;
/// A cause that takes more than one thing brings about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What is held to be the cause.
    pub scope: Scope,
    /// Why it is doubted, one sentence for people.
    pub why: String,
}

/// The causes that are doubted by the week before `now`.
///
/// # Errors
/// Where the decisions can't be read.
pub fn doubted(control: &Control, rules: &Rules, now: EngineTime) -> Result<Vec<Doubt>, ControlError> {
    let from_ms = now.ms().saturating_sub(WINDOW_MS);
    Ok(judge(&control.taken_by_wider(READ_MAX, from_ms)?, rules))
}

/// Judges each value by all that was put down to it.
fn judge(taken: &[Taken], rules: &Rules) -> Vec<Doubt> {
    let mut by_scope: BTreeMap<&Scope, Vec<&Taken>> = BTreeMap::new();
    for one in taken {
        by_scope.entry(&one.scope).or_default().push(one);
    }
    let mut doubts = Vec::new();
    for (scope, parts) in by_scope {
        let unlike: BTreeSet<_> =
            parts.iter().filter_map(|part| rules.get(&part.rule)).map(|rule| rule.detector.symptom.system()).collect();
        if unlike.len() > UNLIKE_MAX {
            let locks: u64 = parts.iter().map(|part| part.locks).max().unwrap_or(0);
            let why = format!(
                "{} unlike symptoms of {locks} locks and more were put down to {} {} within a week; one thing brings \
                 about {UNLIKE_MAX} at most: these locks may differ in how they report or are used",
                unlike.len(),
                scope.kind,
                scope.value
            );
            doubts.push(Doubt { scope: scope.clone(), why });
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_detect::ScopeKind;

    fn why(taken: &[(&str, u64)]) -> Vec<String> {
        let scope = Scope { kind: ScopeKind::ClientVersion, value: "5.2".into() };
        let taken: Vec<Taken> =
            taken.iter().map(|&(rule, locks)| Taken { scope: scope.clone(), rule: rule.to_owned(), locks }).collect();
        judge(&taken, &Rules::embedded().unwrap()).into_iter().map(|doubt| doubt.why).collect()
    }

    #[test]
    fn a_value_to_which_many_unlike_symptoms_are_put_down_is_doubted() {
        let four = [("battery-drain", 3), ("motor-effort", 2), ("silence", 5), ("clock-error", 1)];
        let doubts = why(&four);
        assert!(doubts.len() == 1 && doubts[0].starts_with("4 unlike symptoms of 5 locks"), "{doubts:?}");
        // Effort, shape and trouble are one symptom of one drive.
        let one = [("motor-effort", 3), ("profile-shape", 2), ("operation-trouble", 5), ("silence", 1)];
        assert!(why(&one).is_empty());
    }

    #[test]
    fn a_cause_that_takes_most_of_what_a_rule_finds_may_be_true() {
        assert!(why(&[("memory-leak", 118), ("reboot-loop", 60)]).is_empty());
    }
}
