//! False incidents: their rate by rule, and whether the rate around controls (harmless changes) exceeds the background
//! rate. Pure. Called by `report` and `cards`.
use super::measure::Run;
use crate::interval::poisson;
use crate::opened::Opened;
use firmware_sim::Truth;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::ScopeKind;

const DAY_MS: i64 = 86_400_000;
const YEAR_MS: f64 = 365.25 * DAY_MS as f64;
/// How long after a control's end its effects are still counted: detection looks back over days. A guess.
const AFTERMATH_MS: i64 = 3 * DAY_MS;
/// How long after a control's begin its effects are counted at least: a new battery or a rehung door is a moment, and
/// the baseline from before it misleads for about so long. A guess.
const AFTERMATH_MIN_MS: i64 = 14 * DAY_MS;

/// Events over a time at risk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// How many.
    pub count: usize,
    /// Over how many device-years.
    pub device_years: f64,
}

impl Rate {
    /// Events a device-year; 0 without a time at risk.
    pub fn value(self) -> f64 {
        self.per(self.count as f64)
    }

    /// The exact two-sided 95 % interval.
    pub fn interval(self) -> (f64, f64) {
        let (low, high) = poisson(self.count, 0.025);
        (self.per(low), self.per(high))
    }

    /// The one-sided 95 % lower bound.
    pub fn lower(self) -> f64 {
        self.per(poisson(self.count, 0.05).0)
    }

    fn per(self, count: f64) -> f64 {
        if self.device_years > 0.0 { count / self.device_years } else { 0.0 }
    }
}

/// False incidents, pooled over all runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Falsely {
    /// All of them.
    pub all: Rate,
    /// By the rule that opened them.
    pub by_rule: BTreeMap<String, Rate>,
    /// In the scopes and windows of each family of controls, and of all of them together (`all`).
    pub controls: BTreeMap<String, Rate>,
    /// Outside of all of them.
    pub background: Rate,
}

impl Falsely {
    /// Counts the false incidents of these runs.
    pub fn of(runs: &[Run<'_>]) -> Self {
        let device_years = runs.iter().map(Run::device_years).sum();
        let mut found = Self { all: Rate { count: 0, device_years }, ..Self::default() };
        found.background.device_years = device_years;
        for run in runs {
            let controls: Vec<&Truth> = run.played.truth.iter().filter(|truth| truth.control).collect();
            let families: BTreeSet<&str> = controls.iter().map(|truth| truth.family.as_str()).collect();
            for family in families {
                let of_family = controls.iter().copied().filter(|truth| truth.family == family);
                let exposed = exposure_ms(of_family, run.played.span_ms.1) / YEAR_MS;
                found.controls.entry(family.to_owned()).or_default().device_years += exposed;
            }
            let exposed = exposure_ms(controls.iter().copied(), run.played.span_ms.1) / YEAR_MS;
            found.controls.entry("all".to_owned()).or_default().device_years += exposed;
            found.background.device_years -= exposed;
            for incident in &run.matched.others {
                found.add(incident, &controls);
            }
        }
        let rules = found.by_rule.values_mut();
        rules.for_each(|rate| rate.device_years = device_years);
        found
    }

    fn add(&mut self, incident: &Opened, controls: &[&Truth]) {
        self.all.count += 1;
        self.by_rule.entry(incident.rule.clone()).or_default().count += 1;
        let inside = controls.iter().filter(|control| is_inside(incident, control));
        let families: BTreeSet<&str> = inside.map(|control| control.family.as_str()).collect();
        for family in &families {
            self.controls.entry((*family).to_owned()).or_default().count += 1;
        }
        let place =
            if families.is_empty() { &mut self.background } else { self.controls.entry("all".to_owned()).or_default() };
        place.count += 1;
    }
}

/// From when to when an incident counts as the control's.
fn window_ms(control: &Truth) -> (i64, i64) {
    (control.onset_ms, (control.end_ms + AFTERMATH_MS).max(control.onset_ms + AFTERMATH_MIN_MS))
}

/// Whether an incident lies in the scope and window of a control; an incident of several locks does where more than
/// half of them do.
pub fn is_inside(incident: &Opened, control: &Truth) -> bool {
    let (from_ms, to_ms) = window_ms(control);
    let among = |device: &String| control.devices.binary_search(device).is_ok();
    let is_of_it = if incident.scope.kind == ScopeKind::Device {
        among(&incident.scope.value)
    } else {
        2 * incident.devices.iter().filter(|device| among(device)).count() > incident.devices.len()
    };
    (from_ms..=to_ms).contains(&incident.at_ms) && is_of_it
}

/// Time of all locks in the windows of these controls, each moment of a lock counted once.
fn exposure_ms<'a>(controls: impl Iterator<Item = &'a Truth>, run_end_ms: i64) -> f64 {
    let mut spans: Vec<(&str, i64, i64)> = Vec::new();
    for control in controls {
        let (from_ms, to_ms) = window_ms(control);
        spans.extend(control.devices.iter().map(|device| (device.as_str(), from_ms, to_ms.min(run_end_ms))));
    }
    spans.sort_unstable();
    let (mut sum_ms, mut last) = (0, ("", i64::MIN));
    for (device, from_ms, to_ms) in spans {
        let from_ms = if last.0 == device { from_ms.max(last.1) } else { from_ms };
        sum_ms += (to_ms - from_ms).max(0);
        last = (device, if last.0 == device { last.1.max(to_ms) } else { to_ms });
    }
    sum_ms as f64
}

#[cfg(test)]
mod tests {
    use super::super::play::Played;
    use super::*;
    use zenei_detect::{Component, Domain, Scope};
    use zenei_wire::Id;

    fn control(family: &str, devices: &[&str], day: i64, end_day: i64) -> Truth {
        Truth {
            family: family.into(),
            control: true,
            domain: None,
            component: None,
            scope: firmware_sim::Scope { kind: "fleet".into(), value: "x".into() },
            devices: devices.iter().map(|&device| device.into()).collect(),
            onset_ms: day * DAY_MS,
            detectable_ms: None,
            customer_ms: None,
            end_ms: end_day * DAY_MS,
        }
    }

    fn opened(lock: &str, day: i64) -> Opened {
        Opened {
            id: Id(0),
            at_ms: day * DAY_MS,
            rule: "rule".into(),
            domain: Domain::Hardware,
            component: Component::Gear,
            scope: Scope { kind: ScopeKind::Device, value: lock.into() },
            devices: [lock.to_owned()].into(),
            why: String::new(),
        }
    }

    #[test]
    fn overlapping_windows_of_a_lock_count_once() {
        let two = [control("C2", &["A", "B"], 0, 0), control("C3", &["A"], 10, 30)];
        // A: 0 to 33, B: 0 to 14; the run ends on day 30.
        assert_eq!(exposure_ms(two.iter(), 30 * DAY_MS), (30 + 14) as f64 * DAY_MS as f64);
    }

    #[test]
    fn a_false_incident_is_the_controls_only_in_its_scope_and_window() {
        let snap = control("H7", &["A", "B"], 20, 30);
        let inside = |lock, day| is_inside(&opened(lock, day), &snap);
        assert_eq!([inside("A", 20), inside("A", 34), inside("B", 25)], [true; 3]);
        assert_eq!([inside("A", 19), inside("A", 35), inside("C", 25)], [false; 3]);
        let wide = |devices: &[&str]| {
            let devices = devices.iter().map(|&device| device.to_owned()).collect();
            Opened { scope: Scope { kind: ScopeKind::Site, value: "s".into() }, devices, ..opened("A", 25) }
        };
        assert!(is_inside(&wide(&["A", "B", "C"]), &snap));
        assert!(!is_inside(&wide(&["A", "C"]), &snap));
    }

    #[test]
    fn what_is_in_no_control_is_background() {
        let played = Played {
            truth: vec![control("H7", &["A"], 0, 10), control("C2", &["A"], 5, 5)],
            incidents: vec![opened("A", 7), opened("A", 50), opened("B", 7)],
            locks: 2,
            span_ms: (0, 100 * DAY_MS),
            ..Played::default()
        };
        let found = Falsely::of(&[Run::of(1, None, &played)]);
        let years = |days: f64| days / 365.25;
        let count = |family: &str| (found.controls[family].count, found.controls[family].device_years);
        assert_eq!((count("H7"), count("C2")), ((1, years(14.0)), (1, years(14.0))));
        assert_eq!(count("all"), (1, years(19.0)));
        assert_eq!(found.background.count, 2);
        assert!((found.background.device_years - years(181.0)).abs() < 1e-12);
        assert_eq!((found.all.count, found.by_rule["rule"].count), (3, 3));
    }

    #[test]
    fn a_rate_has_its_bounds() {
        let rate = Rate { count: 10, device_years: 2_464.0 };
        let (low, high) = rate.interval();
        assert!((rate.value() - 0.00406).abs() < 1e-5 && (low - 0.00195).abs() < 1e-5 && (high - 0.00746).abs() < 1e-5);
        assert!(rate.lower() > low && rate.lower() < rate.value());
    }
}
