//! Decides which findings of one call are correlated, in which order, and what follows from them: one rule for the
//! desk and the benchmark. Must not know stores: the caller reports whether an anomaly is new. Called by the desk,
//! which stores the result, and by the lab, which counts it.
//!
//! Findings are taken in the order of their time; at equal times the engine's decisions come first, then recoveries,
//! and last the decisions that name a wider finding: it may be of the same time, and its incident is named. An anomaly
//! with a known id is skipped if an incident for it exists. Otherwise it is decided again: an anomaly that lasts is
//! found again with more evidence, which may now confirm it. A recovery ends findings of its own rule alone, and only
//! those before it: one that was told before finds nothing to end.
use crate::correlate::{Correlated, Draft};
use crate::event::{Event, What};
use crate::incident::ApplyError;
use std::borrow::Cow;
use zenei_detect::{Anomaly, Decision, Findings, Recovery};
use zenei_wire::Id;

/// The events and decisions that follow from the findings of one call. The caller stores all of them in one
/// transaction, together with the new anomalies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Consequences<'f> {
    /// How many anomalies were new.
    pub anomalies: u64,
    /// How many anomalies had an id that was stored before.
    pub repeated: u64,
    /// New events, in order.
    pub events: Vec<Event>,
    /// Why candidates opened nothing, in order: the engine's decisions, and the casebook's on new anomalies.
    pub decisions: Vec<Cow<'f, Decision>>,
}

impl Consequences<'_> {
    /// The incidents that were opened, in order.
    pub fn opened(&self) -> impl Iterator<Item = Id> {
        self.events.iter().filter(|event| matches!(event.what, What::Opened(_))).map(|event| event.incident)
    }
}

enum Candidate<'f> {
    Decision(&'f Decision),
    Recovery(&'f Recovery),
    Anomaly(&'f Anomaly),
}

impl Draft<'_> {
    /// The events and decisions that follow from these findings. The draft then has the state as if they were stored.
    /// `is_new` is called once for each anomaly, in order, and returns whether its id is new; a store inserts the
    /// anomaly in that call.
    ///
    /// # Errors
    /// The error of `is_new`, and [`ApplyError`] if the log would break one of its rules: a fault of this program. The
    /// draft is then void.
    pub fn take<'f, E: From<ApplyError>>(
        &mut self,
        findings: &'f Findings,
        mut is_new: impl FnMut(&Anomaly) -> Result<bool, E>,
    ) -> Result<Consequences<'f>, E> {
        let mut found = Consequences::default();
        for candidate in in_order(findings) {
            match candidate {
                Candidate::Decision(decision) => found.decisions.push(self.named(decision)),
                Candidate::Recovery(recovery) => found.events.extend(self.recover(recovery)?),
                Candidate::Anomaly(anomaly) if is_new(anomaly)? => {
                    found.anomalies += 1;
                    let Correlated { events, decisions } = self.decide(anomaly)?;
                    let following = self.follow(&events)?;
                    found.events.extend(events.into_iter().chain(following));
                    found.decisions.extend(decisions.into_iter().map(Cow::Owned));
                }
                Candidate::Anomaly(anomaly) => {
                    found.repeated += 1;
                    if !self.is_taken(anomaly) {
                        let events = self.decide(anomaly)?.events;
                        let following = self.follow(&events)?;
                        found.events.extend(events.into_iter().chain(following));
                    }
                }
            }
        }
        Ok(found)
    }
}

/// All lists as one. Each of them is nearly in order of time.
fn in_order(findings: &Findings) -> Vec<Candidate<'_>> {
    let mut all: Vec<Candidate<'_>> = findings.decisions.iter().map(Candidate::Decision).collect();
    all.extend(findings.recoveries.iter().map(Candidate::Recovery));
    all.extend(findings.anomalies.iter().map(Candidate::Anomaly));
    all.sort_by_key(|candidate| match candidate {
        Candidate::Decision(decision) => (decision.at, decision.part_of.is_some()),
        Candidate::Recovery(recovery) => (recovery.at, false),
        Candidate::Anomaly(anomaly) => (anomaly.at, false),
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::Casebook;
    use crate::event::{MergedInto, Reopened};
    use std::collections::HashSet;
    use zenei_detect::DecisionReason;
    use zenei_kit::anomaly;
    use zenei_wire::EngineTime;

    /// A casebook, and the ids that a store would know.
    #[derive(Default)]
    struct Desk {
        book: Casebook,
        known: HashSet<Id>,
    }

    impl Desk {
        /// New anomalies, repeated ones, opened incidents, and the times (s) and reasons of the decisions.
        fn take(
            &mut self,
            anomalies: &[Anomaly],
            decisions: &[Decision],
        ) -> (u64, u64, usize, Vec<(i64, DecisionReason)>) {
            let findings =
                Findings { anomalies: anomalies.to_vec(), decisions: decisions.to_vec(), ..Findings::default() };
            let mut draft = self.book.draft();
            let known = &mut self.known;
            let found = draft.take(&findings, |anomaly| Ok::<bool, ApplyError>(known.insert(anomaly.id))).unwrap();
            let changes = draft.into_changes();
            self.book.absorb(changes);
            let decisions = found.decisions.iter().map(|decision| (decision.at.ms() / 1_000, decision.reason));
            (found.anomalies, found.repeated, found.opened().count(), decisions.collect())
        }
    }

    /// Evidence of one record that lasted for nothing: not confirmed for the urgency `high`.
    fn thin(at_s: i64) -> Anomaly {
        let mut thin = anomaly("motor_effort", "A", at_s);
        (thin.window_ms, _) = (0, thin.evidence.truncate(1));
        thin
    }

    #[test]
    fn decisions_and_anomalies_are_taken_by_time_and_decisions_first() {
        let below = |at_s| Decision { at: EngineTime(at_s * 1_000), ..thin(at_s).refused(DecisionReason::BelowEffect) };
        let (first, second) = (anomaly("motor_effort", "A", 5), anomaly("motor_effort", "A", 9));
        assert_eq!(
            Desk::default().take(&[first, second], &[below(2), below(9), below(12)]),
            (
                2,
                0,
                1,
                vec![
                    (2, DecisionReason::BelowEffect),
                    (9, DecisionReason::BelowEffect),
                    (9, DecisionReason::AlreadyOpen),
                    (12, DecisionReason::BelowEffect),
                ]
            )
        );
    }

    #[test]
    fn a_known_anomaly_is_decided_on_again_until_there_is_an_incident_for_it() {
        let mut desk = Desk::default();
        let later = Anomaly { id: thin(5).id, ..anomaly("motor_effort", "A", 5) };
        assert_eq!(desk.take(&[thin(5)], &[]), (1, 0, 0, vec![(5, DecisionReason::Unconfirmed)]));
        assert_eq!(desk.take(&[thin(5)], &[]), (0, 1, 0, vec![]), "the reason was given before");
        assert_eq!(desk.take(std::slice::from_ref(&later), &[]), (0, 1, 1, vec![]));
        assert_eq!(desk.take(&[later, thin(5)], &[]), (0, 2, 0, vec![]));
    }

    #[test]
    fn an_anomaly_that_its_caller_takes_for_new_joins_a_second_time() {
        let mut desk = Desk::default();
        let found = anomaly("motor_effort", "A", 5);
        desk.take(std::slice::from_ref(&found), &[]);
        desk.known.clear();
        assert_eq!(desk.take(&[found], &[]), (1, 0, 0, vec![(5, DecisionReason::AlreadyOpen)]));
    }

    #[test]
    fn a_recovery_ends_what_its_own_rule_alone_found_before_it_and_only_once() {
        let recovery = |rule: &str, at_s: i64| {
            let Anomaly { domain, component, scope, .. } = anomaly(rule, "A", 1);
            let (rule, why) = (rule.to_owned(), "heard again".to_owned());
            Recovery { at: EngineTime(at_s * 1_000), rule, domain, component, scope, why }
        };
        let take = |desk: &mut Desk, found: &[Anomaly], recoveries: &[Recovery]| {
            let findings =
                Findings { anomalies: found.to_vec(), recoveries: recoveries.to_vec(), ..Findings::default() };
            let mut draft = desk.book.draft();
            let known = &mut desk.known;
            let taken = draft.take(&findings, |anomaly| Ok::<bool, ApplyError>(known.insert(anomaly.id))).unwrap();
            let words = taken.events.iter().map(|event| format!("{} {}", event.at.ms() / 1_000, event.kind_word()));
            let words: Vec<String> = words.collect();
            let changes = draft.into_changes();
            desk.book.absorb(changes);
            words
        };
        let mut desk = Desk::default();
        let found = |at_s| anomaly("silence", "A", at_s);
        assert!(take(&mut desk, &[], &[recovery("silence", 3)]).is_empty(), "nothing is open");
        let both = take(&mut desk, &[found(5)], &[recovery("silence", 5), recovery("silence", 9)]);
        assert_eq!(both, ["5 opened", "9 telemetry_recovered"]);
        assert!(take(&mut desk, &[found(5)], &[recovery("silence", 9)]).is_empty(), "told again after a crash");
        assert_eq!(take(&mut desk, &[found(12)], &[recovery("silence", 9)]), ["12 evidence_added"]);
        assert!(take(&mut desk, &[], &[recovery("record-loss", 15)]).is_empty(), "another rule's");
        assert_eq!(take(&mut desk, &[], &[recovery("silence", 15)]), ["15 telemetry_recovered"]);
        assert_eq!(take(&mut desk, &[anomaly("record-loss", "A", 20)], &[]), ["20 evidence_added"]);
        assert!(take(&mut desk, &[], &[recovery("silence", 25)]).is_empty(), "what another rule found has not ended");
        assert!(desk.book.incidents().all(|incident| incident.is_open() && incident.recovered.is_none()));
    }

    #[test]
    fn a_lock_that_is_heard_again_ends_no_incident_that_another_silent_lock_was_merged_into() {
        let mut desk = Desk::default();
        desk.take(&[anomaly("silence", "A", 5), anomaly("silence", "B", 6)], &[]);
        let of = |lock: &str| {
            let incident = desk.book.incidents().find(|incident| incident.scope.value == lock).unwrap();
            incident.id
        };
        let (a, b) = (of("A"), of("B"));
        let heard = |lock: &str| {
            let Anomaly { domain, component, scope, rule, .. } = anomaly("silence", lock, 1);
            Recovery { at: EngineTime(30_000), rule, domain, component, scope, why: "heard again".into() }
        };
        let recovered = |draft: &mut Draft<'_>, lock: &str| draft.recover(&heard(lock)).unwrap().is_some();
        assert!(recovered(&mut desk.book.draft(), "B"), "alone it recovers");
        let mut draft = desk.book.draft();
        let merged = MergedInto { incident: b, by: "sato".into() };
        draft.add(a, EngineTime(7_000), merged).unwrap();
        assert!(!recovered(&mut draft, "B"), "A is still silent");
        assert!(!recovered(&mut draft, "A"), "A's incident is over, and B is still silent");
        draft.decide(&anomaly("silence", "A", 8)).unwrap();
        let again = Reopened { reason: "another fault".into(), by: "sato".into() };
        draft.add(a, EngineTime(9_000), again).unwrap();
        assert!(!recovered(&mut draft, "B"), "it has a finding about A");
        assert!(recovered(&mut draft, "A"));
    }

    #[test]
    fn an_error_of_the_caller_ends_the_call() {
        let book = Casebook::default();
        let error =
            ApplyError { incident: Id(1), seq: 0, kind: "opened".into(), reason: crate::incident::Refused::Unknown };
        let findings = Findings { anomalies: vec![anomaly("motor_effort", "A", 5)], ..Findings::default() };
        assert_eq!(book.draft().take(&findings, |_| Err(error.clone())), Err(error));
    }
}
