//! Which incident takes the finding that another one is part of, and which wider one takes a lock's finding. Must not
//! know why one is part of another: the engine says so. Called by `take` and by `correlate`.
use crate::correlate::Draft;
use crate::fingerprint;
use crate::incident::Incident;
use std::borrow::Cow;
use zenei_detect::{Anomaly, Component, Decision, PartOf, ScopeKind};
use zenei_wire::Id;

/// A shared fault whose last finding is older than this takes no more findings of single locks, ms: what lasts is found
/// again each week, and a day may be missed.
const GOES_ON_MS: i64 = 8 * 86_400_000;
/// The same for findings of its own rule: the engine tells a fault that takes more locks each day, and has judged those
/// that begin later to be no part of it.
const TOLD_MS: i64 = 86_400_000;

impl Draft<'_> {
    /// The open wider incident that a finding about one lock is part of. The lock must have evidence there, and both
    /// must be about the same fault: found by the same rule, or of the same domain and part of the lock (not of a
    /// client, which has many faults). The detector itself decides which findings a gateway explains, and for how long.
    /// What began long after the incident's last finding is another fault: what lasts is found again each week. If
    /// several incidents fit, the one that was opened first.
    pub(crate) fn wider(&self, anomaly: &Anomaly) -> Option<&Incident> {
        let lock = anomaly.device_id.as_ref().filter(|_| anomaly.scope.kind == ScopeKind::Device)?;
        let fits = |incident: &&Incident| {
            let is_of_the_lock = !matches!(anomaly.component, Component::App | Component::Cloud | Component::Gateway);
            let is_about_the_same = (incident.rule == anomaly.rule && incident.scope.kind != ScopeKind::Gateway)
                || (is_of_the_lock && incident.domain == anomaly.domain && incident.component == anomaly.component);
            let began_ms = anomaly.at.ms().saturating_sub(anomaly.window_ms);
            let goes_on_ms = if incident.rules.contains(&anomaly.rule) { TOLD_MS } else { GOES_ON_MS };
            let goes_on = began_ms.saturating_sub(incident.evidence_at.ms()) <= goes_on_ms;
            is_about_the_same && goes_on && incident.devices.contains(lock)
        };
        self.open_wide().filter(fits).min_by_key(|incident| (incident.opened, incident.id))
    }

    /// A decision of the engine, with the open incident that its finding is part of.
    pub(crate) fn named<'f>(&self, decision: &'f Decision) -> Cow<'f, Decision> {
        let Some(part_of) = &decision.part_of else { return Cow::Borrowed(decision) };
        let Some(incident) = self.incident_of(part_of) else { return Cow::Borrowed(decision) };
        let part_of = Some(PartOf { incident: Some(incident), ..part_of.clone() });
        Cow::Owned(Decision { part_of, ..decision.clone() })
    }

    /// The incident that is open for the wider finding, or that took it; of several the one that was opened first.
    fn incident_of(&self, part_of: &PartOf) -> Option<Id> {
        let fingerprint = fingerprint::of_whole(part_of)?;
        let into = || self.merged(fingerprint).map(|(_, into)| into);
        self.open_of(fingerprint).or_else(into).or_else(|| self.with_the_lock(part_of))
    }

    /// An open incident about the same part of the same lock among others.
    fn with_the_lock(&self, part_of: &PartOf) -> Option<Id> {
        let lock = Some(&part_of.scope).filter(|scope| scope.kind == ScopeKind::Device)?;
        let of_it = self.open_incidents().filter(|incident| {
            (incident.domain, incident.component) == (part_of.domain, part_of.component)
                && incident.devices.contains(&lock.value)
        });
        of_it.map(|incident| (incident.opened, incident.id)).min().map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::Casebook;
    use crate::incident::ApplyError;
    use zenei_detect::{Domain, Findings, Scope};
    use zenei_kit::anomaly;

    /// The incident that the only decision about a finding names, beside these findings of the same call.
    fn named(anomalies: Vec<Anomaly>, part_of: PartOf) -> (Option<Id>, Vec<Id>) {
        let part = anomaly("memory-leak", "B", 5).part(part_of, "part of it".into());
        let findings = Findings { anomalies, decisions: vec![part], ..Findings::default() };
        let book = Casebook::default();
        let mut draft = book.draft();
        let found = draft.take(&findings, |_| Ok::<bool, ApplyError>(true)).unwrap();
        let part = found.decisions.iter().find_map(|decision| decision.part_of.clone()).unwrap();
        (part.incident, found.opened().collect())
    }

    #[test]
    fn a_finding_names_the_incident_of_the_wider_one_that_was_found_with_it() {
        let scope = Scope { kind: ScopeKind::Fw, value: "2.0".into() };
        let wide = Anomaly {
            device_id: None,
            domain: Domain::Firmware,
            component: Component::FwImage,
            scope,
            ..anomaly("memory-leak", "A", 5)
        };
        let whole = wide.whole();
        let (incident, opened) = named(vec![wide.clone()], whole.clone());
        assert_eq!((incident, opened.len()), (Some(opened[0]), 1));
        assert_eq!(named(vec![anomaly("memory-leak", "A", 5)], whole).0, None, "another one is open");
        // Two rules may find what has no name; then only the rule tells which it is.
        let unknown = Anomaly { component: Component::Unknown, ..wide };
        let whole = PartOf { rule: None, ..unknown.whole() };
        assert_eq!(named(vec![unknown.clone()], whole).0, None);
        assert!(named(vec![unknown.clone()], unknown.whole()).0.is_some());
    }

    #[test]
    fn what_a_battery_explains_names_the_incident_of_the_battery() {
        let battery = Anomaly { component: Component::Battery, ..anomaly("battery-drain", "B", 5) };
        let other = Anomaly { component: Component::Motor, ..anomaly("motor-effort", "B", 5) };
        let (incident, opened) = named(vec![other, battery.clone()], PartOf { rule: None, ..battery.whole() });
        assert_eq!((incident, opened.len()), (Some(opened[1]), 2));
    }

    #[test]
    fn a_wider_incident_takes_no_finding_that_began_weeks_after_its_last() {
        const DAY_S: i64 = 86_400;
        let wide = {
            let found = anomaly("battery-drain", "A", 0);
            let scope = Scope { kind: ScopeKind::Fw, value: "2.0".into() };
            Anomaly { device_id: None, domain: Domain::Firmware, component: Component::FwImage, scope, ..found }
        };
        let joins = |rule: &str, days: i64, since_days: i64| {
            let book = Casebook::default();
            let mut draft = book.draft();
            draft.decide(&wide).unwrap();
            let window_ms = (days - since_days) * DAY_S * 1_000;
            let found = anomaly(rule, "A", days * DAY_S);
            draft.wider(&Anomaly { window_ms, domain: wide.domain, component: wide.component, ..found }).is_some()
        };
        assert!(joins("reboot-loop", 7, 7), "it is repeated weekly");
        assert!(joins("reboot-loop", 12, 3), "it began in time");
        assert!(!joins("reboot-loop", 17, 17), "the version was replaced meanwhile: another cause");
        assert!(joins("battery-drain", 5, 0), "it began with the others");
        assert!(!joins("battery-drain", 5, 4), "the engine judged that this cell collapsed by itself");
    }
}
