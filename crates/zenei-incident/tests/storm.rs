//! A storm of findings about one fault, in virtual time: one incident of bounded size. Must not know what a decision
//! costs: the bench `decide` measures that. Called by cargo's test runner.
use zenei_detect::Findings;
use zenei_incident::event::Event;
use zenei_incident::incident::EVIDENCE_SHOWN;
use zenei_incident::{ApplyError, Casebook};
use zenei_kit::anomaly;

/// So many findings arrive, in calls of this size; a tenth where the test is not optimized.
const FINDINGS: i64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
const CALL: i64 = 2_000;

#[test]
fn any_number_of_findings_of_one_fault_is_one_incident() {
    let mut book = Casebook::default();
    let (mut events, mut decisions, mut opened) = (0, 0, 0);
    for call in 0..FINDINGS / CALL {
        let anomalies = (call * CALL..(call + 1) * CALL).map(|at_s| anomaly("motor_effort", "A", at_s)).collect();
        let findings = Findings { anomalies, ..Findings::default() };
        let mut draft = book.draft();
        let taken = draft.take(&findings, |_| Ok::<bool, ApplyError>(true)).unwrap();
        (events, decisions) = (events + taken.events.len() as i64, decisions + taken.decisions.len() as i64);
        opened += taken.opened().count();
        assert!(taken.events.iter().map(|event: &Event| event.incident).all(|id| Some(id) == first(&draft)));
        let changes = draft.into_changes();
        book.absorb(changes);
    }
    let incident = book.incidents().next().unwrap();
    assert_eq!((book.len(), opened, events, decisions), (1, 1, FINDINGS, FINDINGS - 1));
    assert_eq!((incident.findings, incident.records), (FINDINGS as u64, 2 * FINDINGS as u64));
    assert_eq!(incident.evidence_first.len() + incident.evidence_latest.len(), 2 * EVIDENCE_SHOWN);
    let bytes = serde_json::to_string(incident).unwrap().len();
    assert!(bytes < 32 * 1_024, "{bytes} bytes");
}

fn first(draft: &zenei_incident::Draft<'_>) -> Option<zenei_wire::Id> {
    draft.incidents().next().map(|incident| incident.id)
}
