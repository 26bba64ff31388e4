//! Which incident takes the finding that another one is part of. Must not know why it is part of it: the engine says
//! so. Called by `take`.
use crate::correlate::Draft;
use crate::fingerprint;
use std::borrow::Cow;
use zenei_detect::{Decision, PartOf, ScopeKind};
use zenei_wire::Id;

impl Draft<'_> {
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
    use zenei_detect::{Anomaly, Component, Domain, Findings, Scope};
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
}
