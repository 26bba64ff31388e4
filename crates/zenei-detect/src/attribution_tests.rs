//! Tests of what attribution takes for shared and what it leaves alone, on fleets of locks made here and findings about
//! them.
use crate::anomaly::{Anomaly, DecisionReason, Findings, Scope, ScopeKind};
use crate::attribution::Attribution;
use crate::detect::running::Window;
use crate::fleet::{DeviceIx, Fleet};
use crate::lock::{Lock, test_lock};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};
use std::fmt::Write as _;
use zenei_wire::EngineTime;

/// Locks whose labels a closure gives, and the findings about them.
struct World {
    fleet: Fleet,
    locks: Vec<Lock>,
    attribution: Attribution,
    found: Findings,
}

impl World {
    fn of(count: usize, label: impl Fn(usize, &mut Lock, &mut Fleet)) -> Self {
        let mut fleet = Fleet::new();
        let mut lock = |at: usize| {
            fleet.number(&format!("L{at:03}"));
            let mut lock = test_lock(0, 40);
            label(at, &mut lock, &mut fleet);
            lock
        };
        let locks = (0..count).map(&mut lock).collect();
        Self { fleet, locks, attribution: Attribution::default(), found: Findings::default() }
    }

    /// Goes through these hours; a closure names the findings of each.
    fn go(&mut self, hours: core::ops::Range<i64>, of: impl Fn(i64) -> Vec<(Symptom, u32)>) {
        for hour in hours {
            let now = EngineTime(hour * HOUR_MS);
            self.locks.iter_mut().for_each(|lock| lock.heard_ms = now.ms());
            let found = of(hour).into_iter().map(|(symptom, at)| {
                let id = self.fleet.device_id(DeviceIx(at)).to_owned();
                (symptom, DeviceIx(at), Anomaly { window_ms: DAY_MS, ..Anomaly::of_lock(&id, now.ms()) })
            });
            let window = Window { now, locks: &self.locks, fleet: &self.fleet };
            self.attribution.take(found.collect(), window, &mut self.found);
        }
    }

    /// One hour with a battery that has lost so many percent in so many days; seven are a finding.
    fn falls(&mut self, hour: i64, at: u32, lost: f64, days: f64) {
        let now = EngineTime(hour * HOUR_MS);
        self.locks.iter_mut().for_each(|lock| lock.heard_ms = now.ms());
        let id = self.fleet.device_id(DeviceIx(at)).to_owned();
        let (value, threshold, window_ms) = (80.0 - lost, 73.0, (days * DAY_MS as f64) as i64);
        let fall = Anomaly { value, threshold, baseline: 80.0, window_ms, ..Anomaly::of_lock(&id, now.ms()) };
        let window = Window { now, locks: &self.locks, fleet: &self.fleet };
        self.attribution.take(vec![(Symptom::Drain, DeviceIx(at), fall)], window, &mut self.found);
    }

    /// The scopes of the anomalies, in order of hearing, each once.
    fn scopes(&self) -> String {
        let mut told = String::new();
        for anomaly in &self.found.anomalies {
            let scope = format!("{}:{} ", anomaly.scope.kind, anomaly.scope.value);
            if !told.contains(&scope) {
                write!(told, "{scope}").unwrap();
            }
        }
        told
    }

    fn wide(&self) -> usize {
        self.found.anomalies.iter().filter(|anomaly| anomaly.scope.kind != ScopeKind::Device).count()
    }
}

/// A thirtieth of the locks lack the value `hub-2`.
fn common(at: usize, lock: &mut Lock, fleet: &mut Fleet) {
    lock.labels.model = fleet.intern("mini");
    lock.labels.lot = fleet.intern(if at % 30 == 7 { "hub-1" } else { "hub-2" });
}

#[test]
fn what_nearly_all_locks_have_is_not_blamed_for_the_faults_of_some() {
    let mut world = World::of(300, common);
    // Another lock each eight hours, as chance has it.
    world.go(24..800, |hour| if hour % 8 == 0 { vec![(Symptom::Trouble, (hour * 7 % 300) as u32)] } else { vec![] });
    assert_eq!(world.wide(), 0, "{}", world.scopes());
    assert!(world.found.decisions.is_empty(), "nothing is part of anything");
}

#[test]
fn locks_of_a_lot_that_fails_are_one_finding() {
    let lots = |at: usize, lock: &mut Lock, fleet: &mut Fleet| {
        lock.labels.lot = fleet.intern(if at < 12 { "2024W11" } else { "2024W12" });
    };
    let mut world = World::of(400, lots);
    world.go(24..700, |hour| {
        if (600..640).contains(&hour) && hour % 4 == 0 {
            vec![(Symptom::Effort, (hour / 4 % 10) as u32)]
        } else {
            vec![]
        }
    });
    assert!(world.wide() > 0 && world.scopes().contains("lot:2024W11"), "{}", world.scopes());
    assert!(world.scopes().matches("device:").count() <= 4, "{}", world.scopes());
}

/// A version that leaks in its first days on half of its locks; the other half got it as early.
fn leaky() -> World {
    let versions = |at: usize, lock: &mut Lock, fleet: &mut Fleet| {
        lock.labels.fw = fleet.intern(if at < 60 { "2.0" } else { "1.9" });
        lock.updated_ms = (at < 60).then_some(590 * HOUR_MS);
    };
    let mut world = World::of(400, versions);
    world.go(24..700, |hour| {
        let repeats = |at: i64| (600 + at..700).contains(&hour) && (hour - 600 - at) % 160 == 0;
        (0..30).filter(|at| repeats(*at)).map(|at| (Symptom::Memory, at as u32)).collect()
    });
    assert!(world.scopes().contains("fw:2.0"), "{}", world.scopes());
    world
}

#[test]
fn a_finding_long_after_those_of_the_cause_is_the_locks_own() {
    let mut world = leaky();
    let before = world.found.anomalies.len();
    // The members go on; another lock of the version begins three weeks after all of them.
    world.go(700..1_300, |hour| {
        let repeats = |at: i64| (hour - 600 - at) % 160 == 0;
        let mut found: Vec<_> = (0..30).filter(|at| repeats(*at)).map(|at| (Symptom::Memory, at as u32)).collect();
        if hour == 1_200 {
            found.push((Symptom::Memory, 45));
        }
        found
    });
    let own = world.found.anomalies[before..].iter().filter(|anomaly| anomaly.scope.kind == ScopeKind::Device);
    let own: Vec<&str> = own.map(|anomaly| anomaly.scope.value.as_str()).collect();
    assert_eq!(own, ["L045"], "it stands, and what repeats of the others does not");
}

#[test]
fn a_lock_whose_first_symptom_comes_long_after_those_of_its_lot_has_a_fault_of_its_own() {
    let lots = |at: usize, lock: &mut Lock, fleet: &mut Fleet| {
        lock.labels.lot = fleet.intern(if at < 12 { "2024W11" } else { "2024W12" });
    };
    let mut world = World::of(400, lots);
    // Cells collapse within two days, and show it by their resistance in the two weeks after that.
    world.go(24..1_100, |hour| {
        let drains = ((600..648).contains(&hour) && hour % 5 == 0).then_some((Symptom::Drain, (hour - 600) / 5));
        let resists =
            ((660..960).contains(&hour) && hour % 30 == 0).then_some((Symptom::Resistance, (hour - 660) / 30));
        let ages = (hour == 970).then_some((Symptom::Resistance, 11));
        drains.into_iter().chain(resists).chain(ages).map(|(symptom, at)| (symptom, at as u32)).collect()
    });
    assert!(world.scopes().contains("lot:2024W11"), "{}", world.scopes());
    assert!(world.scopes().contains("device:L011"), "{}", world.scopes());
    assert!(!world.scopes().contains("device:L008"), "it collapsed with the others: {}", world.scopes());
}

#[test]
fn a_cause_that_explains_no_more_is_dissolved_and_what_it_took_stands_again() {
    let mut world = leaky();
    let before = world.found.anomalies.len();
    // Three of its locks go on, and a fourth part of all others begins to.
    world.go(700..1_000, |hour| {
        let others = (31..380).step_by(4).filter(|at| (hour - at) % 24 == 0);
        let members = [28, 29, 27].into_iter().filter(|at| (hour - at) % 24 == 0);
        members.chain(others).map(|at| (Symptom::Memory, at as u32)).collect()
    });
    let after = &world.found.anomalies[before..];
    assert!(world.found.decisions.iter().any(|decision| decision.reason == DecisionReason::Unconfirmed));
    for own in ["L027", "L028", "L029"] {
        assert!(after.iter().any(|anomaly| anomaly.scope.value == own), "{own} stands again");
    }
}

#[test]
fn clocks_that_are_all_seen_through_one_gateway_are_its_own() {
    let behind = |_: usize, lock: &mut Lock, fleet: &mut Fleet| lock.labels.gw = fleet.intern("gw-1");
    let mut world = World::of(24, behind);
    world.go(24..800, |hour| if hour == 790 { (0..24).map(|at| (Symptom::Clock, at)).collect() } else { vec![] });
    assert_eq!(world.scopes(), "gateway:gw-1 ");
    // What a gateway can't do stays with the locks.
    let mut world = World::of(24, behind);
    world.go(24..800, |hour| if hour == 780 { (0..24).map(|at| (Symptom::Memory, at)).collect() } else { vec![] });
    assert_eq!(world.wide(), 0, "{}", world.scopes());
}

#[test]
fn an_app_is_not_blamed_for_what_a_motor_takes() {
    let apps = |at: usize, lock: &mut Lock, fleet: &mut Fleet| {
        lock.client(fleet.intern(if at < 30 { "app-2" } else { "app-1" }));
    };
    let of = |symptom| {
        let mut world = World::of(300, apps);
        world
            .go(24..700, |hour| if (620..644).contains(&hour) { vec![(symptom, (hour - 620) as u32)] } else { vec![] });
        world.wide()
    };
    assert_eq!((of(Symptom::Effort), of(Symptom::Resistance)), (0, 0));
    assert!(of(Symptom::Trouble) > 0, "its requests can fail");
}

#[test]
fn a_value_to_which_everything_is_put_down_is_told() {
    let lots = |at: usize, lock: &mut Lock, fleet: &mut Fleet| {
        lock.labels.lot = fleet.intern(if at < 12 { "2024W11" } else { "2024W12" });
    };
    let mut world = World::of(400, lots);
    let all = [Symptom::Effort, Symptom::Drain, Symptom::Memory, Symptom::Errors];
    world.go(24..700, |hour| {
        let at = u32::try_from(hour - 620).ok().filter(|at| *at < 12);
        at.map_or(vec![], |at| all.iter().map(|symptom| (*symptom, at)).collect())
    });
    assert!(world.found.decisions.iter().any(|decision| decision.why.contains("4 unlike symptoms")));
}

#[test]
fn what_is_part_of_a_cause_says_of_which_and_the_watched_days_are_counted() {
    let world = leaky();
    let parts: Vec<_> = world.found.decisions.iter().filter_map(|decision| decision.part_of.as_ref()).collect();
    assert!(!parts.is_empty(), "some waited for the third");
    for part in parts {
        let scope = Scope { kind: ScopeKind::Fw, value: "2.0".into() };
        let wide = world.found.anomalies.iter().find(|anomaly| anomaly.scope == scope).unwrap();
        assert_eq!(*part, wide.whole());
    }
    // 29 days end from hour 24 up to hour 700.
    assert!((29 * 400 - 400..=29 * 400).contains(&world.attribution.lock_days()), "{}", world.attribution.lock_days());
}

/// Sixty locks, of which the first twenty run a version that a detector found to drain them on the first day.
fn drained() -> World {
    let mut world = World::of(60, |at, lock, fleet| {
        lock.labels.model = fleet.intern("mini");
        lock.labels.fw = fleet.intern(if at < 20 { "2.0" } else { "1.9" });
    });
    let scope = Scope { kind: ScopeKind::Fw, value: "2.0".to_owned() };
    let anomaly = Anomaly { scope, ..Anomaly::of_lock("L000", 0) };
    world.attribution.note(Symptom::Drain, &anomaly, &world.fleet, EngineTime(DAY_MS));
    world
}

#[test]
fn a_cause_that_a_detector_found_goes_on_while_its_locks_show_it_and_ends_weeks_after() {
    // Eight of its locks show it each week, and on day 45 a ninth.
    let weekly = |hour: i64| (0..8).filter(move |at| hour % (7 * 24) == 24 * i64::from(*at) % (7 * 24));
    let ninth = |hour: i64| (hour == 45 * 24).then_some(12);
    let mut lasting = drained();
    lasting.go(24..46 * 24, |hour| weekly(hour).chain(ninth(hour)).map(|at| (Symptom::Drain, at)).collect());
    assert_eq!(lasting.scopes(), "", "each of them is part of it");
    let mut over = drained();
    over.go(24..46 * 24, |hour| {
        weekly(hour).filter(|_| hour < 8 * 24).chain(ninth(hour)).map(|at| (Symptom::Drain, at)).collect()
    });
    assert_eq!(over.scopes(), "device:L012 ");
}

#[test]
fn a_cell_that_collapses_is_no_part_of_what_drains_its_lot_slowly() {
    let lots = |at: usize, lock: &mut Lock, fleet: &mut Fleet| {
        lock.labels.lot = fleet.intern(if at < 20 { "2024W11" } else { "2024W12" });
    };
    let mut world = World::of(400, lots);
    world.go(24..600, |_| vec![]);
    world.falls(600, 0, 9.0, 5.0);
    world.falls(601, 1, 8.0, 4.0);
    world.falls(602, 2, 15.0, 0.3);
    assert_eq!(world.wide(), 0, "it is no third: {}", world.scopes());
    for at in 3..8 {
        world.falls(600 + i64::from(at), at, 8.0, 4.0);
    }
    assert!(world.scopes().contains("lot:2024W11"), "{}", world.scopes());
    world.falls(620, 8, 9.0, 5.0);
    world.falls(621, 9, 15.0, 0.3);
    world.falls(622, 3, 30.0, 0.3);
    let alone = world.scopes();
    assert!(!alone.contains("L008 ") && alone.contains("L009 "), "{alone}");
    assert!(alone.contains("L003 "), "also in a lock that is part of it: {alone}");
}
