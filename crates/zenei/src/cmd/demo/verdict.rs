//! Did zenei find every seeded fault, in time, and nothing else? Compares incidents with the simulator's truth. Pure.
//! Called by `demo`.
use firmware_sim::Truth;
use serde_json::{Value as Json, json};
use zenei_incident::Incident;
use zenei_wire::EngineTime;

/// One seeded fault and its incidents.
#[derive(Debug)]
pub(crate) struct SeededFault<'a> {
    /// The seeded fault.
    pub(crate) truth: &'a Truth,
    /// The incidents about it, in the order of opening; exactly one where the result is right.
    pub(crate) incidents: Vec<&'a Incident>,
    /// The fault of the result; `None` where it is right.
    pub(crate) wrong: Option<String>,
}

/// All seeded faults, and all other incidents.
#[derive(Debug)]
pub(crate) struct Scorecard<'a> {
    /// One per seeded fault.
    pub(crate) cases: Vec<SeededFault<'a>>,
    /// Incidents about no seeded fault.
    pub(crate) others: Vec<&'a Incident>,
}

impl<'a> Scorecard<'a> {
    /// Compares.
    pub(crate) fn of(truth: &'a [Truth], incidents: impl IntoIterator<Item = &'a Incident>) -> Self {
        let mut cases: Vec<SeededFault<'a>> = truth
            .iter()
            .filter(|truth| !truth.control)
            .map(|truth| SeededFault { truth, incidents: Vec::new(), wrong: None })
            .collect();
        let mut sorted: Vec<&Incident> = incidents.into_iter().collect();
        sorted.sort_by_key(|incident| (incident.opened, incident.id));
        let mut others = Vec::new();
        for incident in sorted {
            match cases.iter_mut().find(|case| is_about(incident, case.truth)) {
                Some(case) => case.incidents.push(incident),
                None => others.push(incident),
            }
        }
        for case in &mut cases {
            case.wrong = wrong(case.truth, &case.incidents);
        }
        Self { cases, others }
    }

    /// Everything that is wrong, one line each; empty where the result is right.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let case = |case: &SeededFault<'_>| {
            let Truth { family, scope, .. } = case.truth;
            case.wrong.as_ref().map(|what| format!("{family} on {} {}: {what}", scope.kind, scope.value))
        };
        let other = |incident: &&Incident| {
            let (scope, title) = (&incident.scope, &incident.title);
            format!(
                "incident {} on {} {} is about nothing that was seeded: {title}",
                incident.id, scope.kind, scope.value
            )
        };
        self.cases.iter().filter_map(case).chain(self.others.iter().map(other)).collect()
    }
}

impl SeededFault<'_> {
    /// How long the incident preceded the customer's notice, ms; `None` without an incident or without a customer who
    /// noticed.
    pub(crate) fn lead_ms(&self) -> Option<i64> {
        Some(self.truth.customer_ms? - self.incidents.first()?.opened.ms())
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Json {
        let first = self.incidents.first();
        json!({
            "family": self.truth.family, "domain": self.truth.domain, "component": self.truth.component,
            "scope": self.truth.scope, "onset_ms": self.truth.onset_ms, "detectable_ms": self.truth.detectable_ms,
            "customer_ms": self.truth.customer_ms, "opened_ms": first.map(|incident| incident.opened),
            "lead_ms": self.lead_ms(), "incident": first.map(|incident| incident.id), "why": first.map(|incident| &incident.why),
            "wrong": self.wrong,
        })
    }
}

/// The demo demands the whole answer: an incident that does not name the fault's own scope and domain is about no
/// seeded fault. A benchmark demands less, because it measures scope and domain separately, and so has another rule for
/// the same two questions.
fn is_about(incident: &Incident, truth: &Truth) -> bool {
    truth.is_scope(incident.scope.kind.as_str(), &incident.scope.value) && truth.is_domain(incident.domain.as_str())
}

fn wrong(truth: &Truth, incidents: &[&Incident]) -> Option<String> {
    let [incident] = incidents else {
        return Some(match incidents.len() {
            0 => "no incident was opened".to_owned(),
            many => format!("{many} incidents were opened; exactly one is right"),
        });
    };
    let opened = incident.opened;
    if opened < EngineTime(truth.onset_ms) {
        return Some("the incident was opened before the fault began".to_owned());
    }
    match truth.customer_ms {
        Some(customer_ms) if opened >= EngineTime(customer_ms) => Some("the customer noticed first".to_owned()),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_detect::{Anomaly, Component, Findings};
    use zenei_incident::{ApplyError, Casebook};

    fn truth(lock: &str) -> Truth {
        Truth {
            family: "H1".into(),
            control: false,
            domain: Some("hardware".into()),
            component: Some("gear".into()),
            scope: firmware_sim::Scope { kind: "device".into(), value: lock.into() },
            devices: vec![lock.into()],
            onset_ms: 1_000_000,
            detectable_ms: Some(2_000_000),
            customer_ms: Some(9_000_000),
            end_ms: 10_000_000,
        }
    }

    fn anomaly(lock: &str, at_s: i64, rule: &str) -> Anomaly {
        let component = if rule == "motor" { Component::Gear } else { Component::Battery };
        Anomaly { component, ..zenei_kit::anomaly(rule, lock, at_s) }
    }

    /// Everything that is wrong where H1 was seeded on lock A and these were found.
    fn wrong(found: &[Anomaly]) -> Vec<String> {
        let mut book = Casebook::default();
        let mut draft = book.draft();
        let findings = Findings { anomalies: found.to_vec(), ..Findings::default() };
        draft.take(&findings, |_| Ok::<bool, ApplyError>(true)).unwrap();
        let changes = draft.into_changes();
        book.absorb(changes);
        let mut control = truth("C");
        control.control = true;
        let truth = [truth("A"), control];
        let verdict = Scorecard::of(&truth, book.incidents());
        verdict.wrong().into_iter().map(|text| text.split(" is about").next().unwrap_or("").to_owned()).collect()
    }

    #[test]
    fn one_incident_in_time_is_what_zenei_is_for() {
        assert_eq!(wrong(&[anomaly("A", 3_000, "motor")]), [""; 0]);
    }

    #[test]
    fn a_fault_without_an_incident_is_told() {
        assert_eq!(wrong(&[]), ["H1 on device A: no incident was opened"]);
    }

    #[test]
    fn two_incidents_about_one_fault_are_one_too_many() {
        let found = [anomaly("A", 3_000, "motor"), anomaly("A", 4_000, "battery")];
        assert_eq!(wrong(&found), ["H1 on device A: 2 incidents were opened; exactly one is right"]);
    }

    #[test]
    fn an_incident_before_the_fault_or_after_the_customer_is_wrong() {
        assert_eq!(
            wrong(&[anomaly("A", 999, "motor")]),
            ["H1 on device A: the incident was opened before the fault began"]
        );
        assert_eq!(wrong(&[anomaly("A", 9_000, "motor")]), ["H1 on device A: the customer noticed first"]);
    }

    #[test]
    fn an_incident_about_a_control_is_false() {
        let wrong = wrong(&[anomaly("A", 3_000, "motor"), anomaly("C", 3_000, "motor")]);
        assert!(wrong.len() == 1 && wrong[0].ends_with("on device C"), "{wrong:?}");
    }
}
