//! Computes the fingerprint that joins findings about one fault, and the id of an incident. Anyone can recompute both
//! from the documented encoding. Must not know the casebook, which calls it.
//!
//! Encoding of both: [`Id::of`], that is the first 16 bytes of SHA-256 over each part's length (4 bytes, big endian)
//! and bytes.
use zenei_detect::{Anomaly, Component, Domain, Evidence, PartOf, Recovery, Scope};
use zenei_wire::Id;

/// The version tag, part of every fingerprint. A new way of grouping gets a new tag, so that it never regroups open
/// incidents.
pub const VERSION: &str = "zenei-fingerprint-1";

/// The symptom class: the component's word, so that two rules about one part of one lock meet in one incident; the
/// rule's id where the component is unknown, because "unknown" would join faults that have nothing in common.
pub fn symptom_class(component: Component, rule: &str) -> &str {
    if component == Component::Unknown { rule } else { component.as_str() }
}

/// The fingerprint of a finding: [`VERSION`], symptom class, domain, scope kind, scope value.
pub fn of(anomaly: &Anomaly) -> Id {
    with(symptom_class(anomaly.component, &anomaly.rule), anomaly.domain, &anomaly.scope)
}

/// The fingerprint of the finding that another one is part of; `None` where it names no part and its rule is not known.
pub(crate) fn of_whole(part_of: &PartOf) -> Option<Id> {
    let rule = part_of.rule.as_deref();
    let rule = if part_of.component == Component::Unknown { rule? } else { rule.unwrap_or_default() };
    Some(with(symptom_class(part_of.component, rule), part_of.domain, &part_of.scope))
}

/// The fingerprint of the findings that a recovery ends.
pub fn of_recovery(recovery: &Recovery) -> Id {
    with(symptom_class(recovery.component, &recovery.rule), recovery.domain, &recovery.scope)
}

fn with(symptom_class: &str, domain: Domain, scope: &Scope) -> Id {
    Id::of(&[
        VERSION.as_bytes(),
        symptom_class.as_bytes(),
        domain.as_str().as_bytes(),
        scope.kind.as_str().as_bytes(),
        scope.value.as_bytes(),
    ])
}

/// The id of an incident: fingerprint (its 32 hex digits), scope kind, scope value, and the first evidence (device id,
/// boot, seq, ts in decimal).
pub fn incident_id(fingerprint: Id, scope: &Scope, first: &Evidence) -> Id {
    Id::of(&[
        fingerprint.to_string().as_bytes(),
        scope.kind.as_str().as_bytes(),
        scope.value.as_bytes(),
        first.device_id.as_bytes(),
        first.boot.to_string().as_bytes(),
        first.seq.to_string().as_bytes(),
        first.ts_ms.to_string().as_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_detect::ScopeKind;
    use zenei_kit::anomaly;

    #[test]
    fn the_encoding_is_the_documented_one() {
        // Frozen: ids that went out to other systems as deduplication keys must stay what they are.
        let finding = anomaly("motor_effort", "BL0000123", 5);
        let fingerprint = of(&finding);
        assert_eq!(fingerprint, Id::of(&[b"zenei-fingerprint-1", b"motor", b"hardware", b"device", b"BL0000123"]));
        assert_eq!(fingerprint.to_string(), "1bd3f266cdb0bd7199b9f9539204f575");
        let id = incident_id(fingerprint, &finding.scope, &finding.evidence[0]);
        assert_eq!(id.to_string(), "9361a8accfa9d51353ef4445cbc0cd11");
    }

    #[test]
    fn the_example_of_the_documentation_is_what_is_computed() {
        let documentation = include_str!("../../../docs/identity.md");
        let finding = anomaly("motor_effort", "BL0000123", 5);
        let fingerprint = of(&finding);
        let incident = incident_id(fingerprint, &finding.scope, &finding.evidence[0]);
        let raw = b"{\"ts\":5000,\"battery_mv\":2900}";
        let device = zenei_wire::Name::new("BL0000123").unwrap();
        let event = Id(zenei_wire::event_identity(device, zenei_wire::DeviceTime(5_000), raw));
        assert_eq!(finding.id.to_string(), "28e693f8713393093d3417cb4b127d7b");
        assert_eq!(event.to_string(), "b658bb654fa1bf8fa29e303d8e8dd7cd");
        for (what, id) in
            [("anomaly    ", finding.id), ("fingerprint", fingerprint), ("incident   ", incident), ("event", event)]
        {
            assert!(documentation.contains(&format!("# {what} {id}\n")), "{what} {id}");
        }
    }

    #[test]
    fn rules_about_one_part_meet_and_those_about_an_unknown_part_do_not() {
        let one = anomaly("motor_effort", "A", 5);
        let mut other = anomaly("motor_duration", "A", 9);
        assert_eq!(of(&one), of(&other));
        other.component = Component::Unknown;
        let mut third = other.clone();
        third.rule = "error_rate".into();
        assert_ne!(of(&other), of(&third));
    }

    #[test]
    fn domain_and_scope_tell_apart() {
        let one = anomaly("motor_effort", "A", 5);
        let mut other = one.clone();
        other.domain = Domain::Firmware;
        assert_ne!(of(&one), of(&other));
        let mut other = one.clone();
        other.scope = Scope { kind: ScopeKind::Site, value: "A".into() };
        assert_ne!(of(&one), of(&other));
    }
}
