//! The supervisor in virtual time with a simulated radio: faults go in, the timeline of orders comes out.
use super::*;
use std::fmt::Write as _;
use zenei_kit::Dice;

const WATCHED: Ladder = Ladder { watch: true, power_cycle: true, exit: true };

/// The step that restores a radio that receives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heals {
    Scan,
    Connection,
    Power,
    Nothing,
}

/// Something that happens at a time.
#[derive(Clone, Copy, Debug)]
enum RadioEvent {
    /// The scan goes deaf.
    Deaf(Heals),
    /// Calls fail, this many.
    Fail(u32),
    /// Calls stay without an answer.
    Hang(bool),
    /// The connection is lost.
    Lost,
    Powered(bool),
    /// The locks are carried away, or come back.
    Locks(bool),
}

struct World {
    supervisor: Supervisor,
    now: Duration,
    /// A registered lock advertises this often.
    every: Duration,
    open: bool,
    on: bool,
    deaf: Option<Heals>,
    failing: u32,
    hangs: bool,
    locks: bool,
    timeline: String,
}

/// How long a call takes that is answered.
const CALL: Duration = Duration::from_millis(200);

impl World {
    fn obey(&mut self, order: Order) {
        let _ = writeln!(self.timeline, "{} {order:?}", self.now.as_secs());
        let healing = match order {
            Order::Open => {
                self.open = false;
                &[Heals::Scan, Heals::Connection][..]
            }
            Order::RestartScan => &[Heals::Scan][..],
            Order::PowerCycle => &[Heals::Scan, Heals::Power][..],
            Order::Close => {
                self.open = false;
                return;
            }
            Order::Exit => return,
        };
        if self.hangs {
            return;
        }
        self.now += CALL;
        if self.failing > 0 {
            self.failing -= 1;
            let order = self.supervisor.failed(self.now);
            return self.obey(order);
        }
        if self.deaf.is_some_and(|deaf| healing.contains(&deaf)) {
            self.deaf = None;
        }
        (self.open, self.on) = (true, true);
        self.supervisor.done(self.now);
    }

    fn happen(&mut self, event: RadioEvent) {
        let order = match event {
            RadioEvent::Deaf(heals) => {
                self.deaf = Some(heals);
                None
            }
            RadioEvent::Fail(times) => {
                self.failing = times;
                None
            }
            RadioEvent::Hang(hangs) => {
                self.hangs = hangs;
                None
            }
            RadioEvent::Lost => Some(self.supervisor.lost(self.now)),
            RadioEvent::Powered(on) => {
                // A scan does not outlive the power.
                self.on &= on;
                self.supervisor.powered(on, self.now)
            }
            RadioEvent::Locks(locks) => {
                self.locks = locks;
                None
            }
        };
        if let Some(order) = order {
            self.obey(order);
        }
    }

    /// Advances time to `until`, from deadline to advertisement to deadline.
    fn run(&mut self, until: Duration) {
        loop {
            while let Some(order) = self.supervisor.poll(self.now) {
                self.obey(order);
            }
            let hears = self.open && self.on && self.deaf.is_none() && self.locks;
            let heard = hears.then(|| self.now + self.every);
            let Some(next) = [heard, self.supervisor.next_deadline()].into_iter().flatten().min() else { break };
            if next > until {
                break;
            }
            self.now = next;
            if heard == Some(next) {
                self.supervisor.heard_valid(next);
            }
        }
        self.now = self.now.max(until);
    }
}

/// The orders of two hours in which these things happen at these seconds.
fn world(ladder: Ladder, events: &[(u64, RadioEvent)]) -> World {
    let mut world = World {
        supervisor: Supervisor::new(ladder),
        now: Duration::ZERO,
        every: Duration::from_secs(2),
        open: false,
        on: false,
        deaf: None,
        failing: 0,
        hangs: false,
        locks: true,
        timeline: String::new(),
    };
    for &(at, event) in events {
        if at > 0 {
            world.run(Duration::from_secs(at));
        }
        world.happen(event);
    }
    world.run(Duration::from_secs(7_200));
    world
}

fn check(ladder: Ladder, events: &[(u64, RadioEvent)], expected: &str) -> Steps {
    let world = world(ladder, events);
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let timeline: Vec<&str> = world.timeline.lines().collect();
    assert_eq!(timeline, expected);
    world.supervisor.steps()
}

#[test]
fn a_radio_that_hears_is_left_alone() {
    let steps = check(WATCHED, &[], "0 Open");
    assert_eq!(steps, Steps { opened: 1, ..Steps::default() });
}

#[test]
fn a_scan_that_went_deaf_is_started_again_after_ninety_seconds() {
    let steps = check(WATCHED, &[(1_000, RadioEvent::Deaf(Heals::Scan))], "0 Open\n 1088 RestartScan");
    assert_eq!(steps, Steps { opened: 1, ladders: 1, scan_restarts: 1, recoveries: 1, ..Steps::default() });
}

#[test]
fn without_the_watchdog_the_silence_is_never_noticed() {
    let blind = Ladder { watch: false, ..WATCHED };
    check(blind, &[(1_000, RadioEvent::Deaf(Heals::Scan))], "0 Open");
}

#[test]
fn each_rung_is_climbed_only_when_the_one_below_did_not_help() {
    check(WATCHED, &[(1_000, RadioEvent::Deaf(Heals::Connection))], "0 Open\n 1088 RestartScan\n 1178 Open");
    let steps = check(
        WATCHED,
        &[(1_000, RadioEvent::Deaf(Heals::Power))],
        "0 Open\n 1088 RestartScan\n 1178 Open\n 1268 PowerCycle",
    );
    let expected = Steps {
        opened: 2,
        ladders: 1,
        scan_restarts: 1,
        reconnects: 1,
        power_cycles: 1,
        recoveries: 1,
        ..Steps::default()
    };
    assert_eq!(steps, expected);
    let timeline = "0 Open\n 1088 RestartScan\n 1178 Open\n 1268 PowerCycle\n 1358 Exit";
    let steps = check(WATCHED, &[(1_000, RadioEvent::Deaf(Heals::Nothing))], timeline);
    assert_eq!((steps.exits, steps.recoveries), (1, 0));
}

#[test]
fn the_power_is_switched_only_where_that_is_asked_for() {
    let ladder = Ladder { power_cycle: false, ..WATCHED };
    check(ladder, &[(1_000, RadioEvent::Deaf(Heals::Power))], "0 Open\n 1088 RestartScan\n 1178 Open\n 1268 Exit");
}

#[test]
fn at_most_one_ladder_begins_in_ten_minutes_and_none_once_the_locks_were_not_heard_for_an_hour() {
    let ladder = Ladder { power_cycle: false, exit: false, watch: true };
    let world = world(ladder, &[(1_000, RadioEvent::Deaf(Heals::Nothing))]);
    let begun: Vec<u64> = world
        .timeline
        .lines()
        .filter_map(|line| line.strip_suffix(" RestartScan").and_then(|at| at.parse().ok()))
        .collect();
    assert_eq!(begun, [1088, 1688, 2288, 2888, 3488, 4088]);
    assert_eq!(world.supervisor.steps().ladders, 6);
    assert_eq!(world.supervisor.next_deadline(), None, "nobody is missed any more");
}

#[test]
fn a_second_silence_within_ten_minutes_waits_for_its_ladder() {
    let events = [(1_000, RadioEvent::Deaf(Heals::Scan)), (1_200, RadioEvent::Deaf(Heals::Scan))];
    check(WATCHED, &events, "0 Open\n 1088 RestartScan\n 1688 RestartScan");
}

#[test]
fn locks_that_were_never_heard_arm_nothing() {
    check(WATCHED, &[(0, RadioEvent::Locks(false))], "0 Open");
}

#[test]
fn a_lock_that_comes_back_ends_the_ladder() {
    let events =
        [(1_000, RadioEvent::Locks(false)), (1_100, RadioEvent::Locks(true)), (3_000, RadioEvent::Locks(false))];
    let timeline = "0 Open\n 1088 RestartScan\n 3090 RestartScan\n 3180 Open\n 3270 PowerCycle\n 3360 Exit";
    check(WATCHED, &events, timeline);
}

#[test]
fn failures_are_tried_again_with_doubling_waits_up_to_a_minute() {
    check(
        WATCHED,
        &[(0, RadioEvent::Fail(9))],
        "0 Open
         0 Close
         1 Open
         1 Close
         3 Open
         3 Close
         7 Open
         7 Close
         15 Open
         16 Close
         32 Open
         32 Close
         64 Open
         64 Close
         124 Open
         124 Close
         184 Open
         184 Close
         244 Open",
    );
}

#[test]
fn a_call_without_an_answer_is_given_up_in_time() {
    let events = [(0, RadioEvent::Hang(true)), (25, RadioEvent::Hang(false))];
    let steps = check(WATCHED, &events, "0 Open\n 10 Close\n 11 Open\n 21 Close\n 23 Open\n 33 Close\n 37 Open");
    assert_eq!((steps.timed_out, steps.failed, steps.opened), (3, 3, 1));
}

#[test]
fn a_lost_connection_is_opened_again_after_a_second() {
    let steps = check(WATCHED, &[(500, RadioEvent::Lost)], "0 Open\n 500 Close\n 501 Open");
    assert_eq!((steps.lost, steps.opened, steps.ladders), (1, 2, 0));
}

#[test]
fn a_scan_is_started_again_when_the_power_comes_back() {
    let events = [(500, RadioEvent::Powered(false)), (530, RadioEvent::Powered(true))];
    let steps = check(WATCHED, &events, "0 Open\n 530 RestartScan");
    assert_eq!((steps.powered_on, steps.ladders), (1, 0));
    check(WATCHED, &[(500, RadioEvent::Powered(true))], "0 Open");
}

#[test]
fn a_restart_that_fails_goes_on_with_a_new_connection() {
    let events = [(1_000, RadioEvent::Deaf(Heals::Connection)), (1_001, RadioEvent::Fail(1))];
    let steps = check(WATCHED, &events, "0 Open\n 1088 RestartScan\n 1088 Close\n 1089 Open");
    assert_eq!((steps.recoveries, steps.reconnects), (1, 0));
}

#[test]
fn any_order_of_events_keeps_the_bounds() {
    let mut dice = Dice(1);
    for _ in 0..300 {
        let mut at = 0;
        let events: Vec<(u64, RadioEvent)> = (0..20)
            .map(|_| {
                at += dice.below(400);
                let event = match dice.below(8) {
                    0 => RadioEvent::Deaf(Heals::Scan),
                    1 => RadioEvent::Deaf(Heals::Nothing),
                    2 => RadioEvent::Fail(u32::try_from(dice.below(4)).unwrap()),
                    3 => RadioEvent::Hang(true),
                    4 => RadioEvent::Hang(false),
                    5 => RadioEvent::Lost,
                    6 => RadioEvent::Powered(dice.below(2) == 0),
                    _ => RadioEvent::Locks(dice.below(2) == 0),
                };
                (at, event)
            })
            .collect();
        let world = world(Ladder { exit: false, ..WATCHED }, &events);
        let steps = world.supervisor.steps();
        assert!(steps.ladders <= 7_200 / LADDER_EVERY.as_secs() + 1, "{steps:?} {events:?}");
        assert!(steps.reconnects <= steps.ladders && steps.power_cycles <= steps.ladders, "{steps:?}");
        assert!(steps.recoveries <= steps.ladders && steps.exits == 0, "{steps:?}");
    }
}
