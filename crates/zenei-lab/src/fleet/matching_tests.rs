//! Tests on hand-made faults and incidents: what must match, and above all what must not.
use super::*;
use zenei_detect::{Domain, Scope};
use zenei_wire::Id;

const DAY_MS: i64 = 86_400_000;

fn truth(family: &str, scope: (&str, &str), devices: &[&str]) -> Truth {
    let domain = match family.as_bytes()[0] {
        b'H' => "hardware",
        b'F' => "firmware",
        _ => "software",
    };
    Truth {
        family: family.into(),
        control: family == "H7" || family.starts_with('C'),
        domain: Some(domain.into()),
        component: Some("gear".into()),
        scope: firmware_sim::Scope { kind: scope.0.into(), value: scope.1.into() },
        devices: devices.iter().map(|&device| device.into()).collect(),
        onset_ms: 10 * DAY_MS,
        detectable_ms: Some(12 * DAY_MS),
        customer_ms: Some(20 * DAY_MS),
        end_ms: 30 * DAY_MS,
    }
}

fn incident(day: f64, kind: ScopeKind, value: &str, domain: Domain, devices: &[&str]) -> Opened {
    Opened {
        id: Id(day.to_bits().into()),
        at_ms: (day * DAY_MS as f64) as i64,
        rule: "rule".into(),
        domain,
        component: Component::Gear,
        scope: Scope { kind, value: value.into() },
        devices: devices.iter().map(|&device| device.into()).collect(),
        why: String::new(),
    }
}

fn on_lock(day: f64, lock: &str, domain: Domain) -> Opened {
    incident(day, ScopeKind::Device, lock, domain, &[lock])
}

/// How many incidents each fault gets, and how many are false.
#[track_caller]
fn check(truth: &[Truth], incidents: &[Opened], about: &[usize], others: usize) {
    let matched = Matched::of(truth, incidents);
    let found: Vec<usize> = matched.cases.iter().map(|case| case.incidents.len()).collect();
    assert_eq!((found.as_slice(), matched.others.len()), (about, others));
}

#[test]
fn an_incident_on_the_faulty_lock_while_it_lasts_is_about_the_fault() {
    let h1 = [truth("H1", ("device", "A"), &["A"])];
    check(&h1, &[on_lock(10.0, "A", Domain::Hardware)], &[1], 0);
    check(&h1, &[on_lock(31.0, "A", Domain::Hardware)], &[1], 0);
}

#[test]
fn before_the_onset_after_the_end_and_elsewhere_it_is_false() {
    let h1 = [truth("H1", ("device", "A"), &["A"])];
    check(&h1, &[on_lock(9.999, "A", Domain::Hardware)], &[0], 1);
    check(&h1, &[on_lock(31.001, "A", Domain::Hardware)], &[0], 1);
    check(&h1, &[on_lock(15.0, "B", Domain::Hardware)], &[0], 1);
}

#[test]
fn a_wrong_domain_on_the_faulty_lock_is_found_wrongly() {
    let h1 = [truth("H1", ("device", "A"), &["A"])];
    let incidents = [on_lock(15.0, "A", Domain::Software)];
    let matched = Matched::of(&h1, &incidents);
    let case = &matched.cases[0];
    assert_eq!((case.opened_ms(), case.is_domain_right(), case.is_scope_right()), (Some(15 * DAY_MS), false, true));
    assert!(case.is_component_right());
}

#[test]
fn a_second_incident_is_one_more_for_the_same_cause_and_changes_no_finding() {
    let h1 = [truth("H1", ("device", "A"), &["A"])];
    let incidents = [on_lock(15.0, "A", Domain::Software), on_lock(16.0, "A", Domain::Hardware)];
    check(&h1, &incidents, &[2], 0);
    assert!(!Matched::of(&h1, &incidents).cases[0].is_domain_right());
}

#[test]
fn controls_excuse_nothing() {
    let controls = [truth("C2", ("device", "A"), &["A"]), truth("H7", ("region", "kanto"), &["A", "B"])];
    check(&controls, &[on_lock(15.0, "A", Domain::Hardware)], &[], 1);
}

#[test]
fn a_wide_incident_is_about_one_locks_fault_only_where_it_has_no_other_lock() {
    let h1 = [truth("H1", ("device", "A"), &["A"])];
    let wide = |devices: &[&str]| incident(15.0, ScopeKind::Site, "tokyo", Domain::Hardware, devices);
    check(&h1, &[wide(&["A"])], &[1], 0);
    check(&h1, &[wide(&["A", "B"])], &[0], 1);
    check(&h1, &[wide(&[])], &[0], 1);
}

#[test]
fn a_shared_fault_is_found_by_its_scope_and_less_well_by_its_locks() {
    let f3 = [truth("F3", ("fw", "3.3.0"), &["A", "B", "C"])];
    let by_scope = [incident(15.0, ScopeKind::Fw, "3.3.0", Domain::Hardware, &["A"])];
    check(&f3, &by_scope, &[1], 0);
    assert!(Matched::of(&f3, &by_scope).cases[0].is_scope_right());
    let by_lock = [on_lock(15.0, "B", Domain::Firmware)];
    check(&f3, &by_lock, &[1], 0);
    assert!(!Matched::of(&f3, &by_lock).cases[0].is_scope_right());
    check(&f3, &[incident(15.0, ScopeKind::FwHw, "3.3.0+C2", Domain::Firmware, &["A", "B", "X"])], &[1], 0);
}

#[test]
fn a_version_is_a_wrong_scope_for_what_one_of_its_revisions_has() {
    let f5 = [truth("F5", ("fw_hw", "3.5.1+D1"), &["A", "B"])];
    let on_version = |version: &str, domain| [incident(15.0, ScopeKind::Fw, version, domain, &["A", "X", "Y"])];
    let right = on_version("3.5.1", Domain::Firmware);
    check(&f5, &right, &[1], 0);
    assert!(!Matched::of(&f5, &right).cases[0].is_scope_right());
    check(&f5, &on_version("3.5", Domain::Firmware), &[0], 1);
    check(&f5, &on_version("3.5.2", Domain::Firmware), &[0], 1);
    check(&f5, &on_version("3.5.1", Domain::Hardware), &[0], 1);
}

#[test]
fn a_shared_fault_excuses_nothing_else_on_its_locks() {
    let f3 = [truth("F3", ("fw", "3.3.0"), &["A", "B", "C"])];
    check(&f3, &[on_lock(15.0, "B", Domain::Hardware)], &[0], 1);
    check(&f3, &[on_lock(15.0, "X", Domain::Firmware)], &[0], 1);
    check(&f3, &[incident(15.0, ScopeKind::Fw, "3.3.1", Domain::Firmware, &["X", "Y"])], &[0], 1);
    check(&f3, &[incident(15.0, ScopeKind::Lot, "2024W31", Domain::Firmware, &["A", "X"])], &[0], 1);
    let f1 = [truth("F1", ("fw", "3.3.0"), &["A", "B"])];
    let drained = Opened { component: Component::Battery, ..on_lock(15.0, "A", Domain::Hardware) };
    check(&f1, std::slice::from_ref(&drained), &[1], 0);
    check(&f3, &[drained], &[0], 1);
}

#[test]
fn an_incident_is_about_the_fault_whose_scope_it_names_before_any_other() {
    let both = [truth("F3", ("fw", "3.3.0"), &["A", "B"]), truth("H1", ("device", "A"), &["A"])];
    check(&both, &[on_lock(15.0, "A", Domain::Firmware)], &[0, 1], 0);
    check(&both, &[on_lock(15.0, "B", Domain::Firmware)], &[1, 0], 0);
    let later = Truth { onset_ms: 14 * DAY_MS, ..truth("H5", ("device", "A"), &["A"]) };
    let two = [truth("S6", ("device", "A"), &["A"]), later];
    check(&two, &[on_lock(15.0, "A", Domain::Software)], &[1, 0], 0);
    check(&two, &[on_lock(15.0, "A", Domain::Firmware)], &[0, 1], 0);
    check(&two, &[on_lock(13.0, "A", Domain::Hardware)], &[1, 0], 0);
}
