//! When is the radio restarted, and how thoroughly? A state machine without a clock, a task or a bus: times and events
//! go in, orders come out. Scans through BlueZ stop silently after hours, and a silent lock cannot be distinguished
//! from a lock that is not received. Therefore a watchdog measures the time since the last valid advertisement of a
//! registered lock and orders steps of increasing force: restart the scan, reconnect, power cycle, end the process.
//! The options allow or forbid the last two. Called by `tend`.
use std::time::Duration;

/// How long registered locks that were received before may stay silent. Home Assistant's watchdog waits as long (its
/// `SCANNER_WATCHDOG_TIMEOUT`); this one starts the next step each time it has passed, since a step needs that long to
/// show whether it helped.
pub const SILENCE: Duration = Duration::from_secs(90);
/// A lock that was received this recently still arms the watchdog; after longer it has moved away or lost its battery.
/// A guess.
pub const LATELY: Duration = Duration::from_secs(3_600);
/// No second ladder starts within this time of the first one's start: locks that are still silent then are not silent
/// because of this radio.
pub const LADDER_EVERY: Duration = Duration::from_secs(600);
/// How long connecting, finding the adapter and starting the scan may take. BlueZ answers within a second; a guess far
/// above.
pub const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// How long stopping and starting the scan may take. A guess as above.
pub const RESTART_WITHIN: Duration = Duration::from_secs(10);
/// How long switching the adapter off and on and starting the scan may take. A guess: firmware is loaded again, which
/// takes seconds.
pub const CYCLE_WITHIN: Duration = Duration::from_secs(30);
/// The first wait after a failure; doubled for each one in a row. A guess.
pub const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// The longest wait between two attempts. A guess: an adapter that is plugged in is found within a minute.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// How far the ladder goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// Whether registered locks are watched at all.
    pub watch: bool,
    /// Whether the adapter may be switched off and on. That disturbs other programs that use it.
    pub power_cycle: bool,
    /// Whether the process ends when no other step has helped, so that its service manager restarts it.
    pub exit: bool,
}

/// An order to `tend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Connect to the system's Bluetooth service, find the adapter, start the scan. A session that was open is dropped
    /// first.
    Open,
    /// Stop the scan and start it.
    RestartScan,
    /// Switch the adapter off and on and start the scan.
    PowerCycle,
    /// Drop the connection and the pending call; the next order follows later.
    Close,
    /// End the process.
    Exit,
}

/// How often each step was taken, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Scans that were started on a new connection.
    pub opened: u64,
    /// Calls that failed, those that took too long included.
    pub failed: u64,
    /// Calls that took too long.
    pub timed_out: u64,
    /// Connections, services or adapters that were lost.
    pub lost: u64,
    /// Scans that were started again because the adapter was switched on.
    pub powered_on: u64,
    /// Times that the watchdog found the locks silent and began a ladder.
    pub ladders: u64,
    /// First rung: the scan was started again.
    pub scan_restarts: u64,
    /// Second rung: a new connection.
    pub reconnects: u64,
    /// Third rung: the adapter was switched off and on.
    pub power_cycles: u64,
    /// Last rung: the process was requested to end.
    pub exits: u64,
    /// Ladders after which a registered lock was received again.
    pub recoveries: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Wait { until: Duration },
    Call { until: Duration, is_open: bool },
    Scan,
    Ended,
}

/// The rungs, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    Scan,
    Connection,
    Power,
    Exit,
}

/// The machine. Times are since the start of the process, and never go back.
#[derive(Debug)]
pub(crate) struct Supervisor {
    ladder: Ladder,
    phase: Phase,
    /// Failures in a row.
    failures: u32,
    powered: bool,
    /// When a registered lock was last received.
    valid_at: Option<Duration>,
    /// Since when silence counts: the last valid advertisement, or the end of the last step.
    quiet_since: Duration,
    /// The last rung of the present ladder.
    rung: Option<Rung>,
    ladder_began: Option<Duration>,
    steps: Steps,
}

impl Supervisor {
    /// A machine that opens at once.
    pub(crate) fn new(ladder: Ladder) -> Self {
        Self {
            ladder,
            phase: Phase::Wait { until: Duration::ZERO },
            failures: 0,
            powered: true,
            valid_at: None,
            quiet_since: Duration::ZERO,
            rung: None,
            ladder_began: None,
            steps: Steps::default(),
        }
    }

    /// The order that is due at `now`; call it until there is none.
    pub(crate) fn poll(&mut self, now: Duration) -> Option<Order> {
        match self.phase {
            Phase::Wait { until } if now >= until => Some(self.call(Order::Open, now)),
            Phase::Call { until, .. } if now >= until => {
                self.steps.timed_out += 1;
                Some(self.failed(now))
            }
            Phase::Scan if self.silence_ends().is_some_and(|at| now >= at) => Some(self.climb(now)),
            Phase::Wait { .. } | Phase::Call { .. } | Phase::Scan | Phase::Ended => None,
        }
    }

    /// When [`Supervisor::poll`] has the next order, if nothing else happens.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Wait { until } | Phase::Call { until, .. } => Some(until),
            Phase::Scan => self.silence_ends(),
            Phase::Ended => None,
        }
    }

    /// The call that was ordered last is done: the scan runs.
    pub(crate) fn done(&mut self, now: Duration) {
        let Phase::Call { is_open, .. } = self.phase else { return };
        if is_open {
            self.steps.opened += 1;
            self.powered = true;
        }
        self.failures = 0;
        self.quiet_since = now;
        self.phase = Phase::Scan;
    }

    /// The call that was ordered last failed.
    pub(crate) fn failed(&mut self, now: Duration) -> Order {
        self.steps.failed += 1;
        self.give_up(now)
    }

    /// The connection, the service or the adapter is gone.
    pub(crate) fn lost(&mut self, now: Duration) -> Order {
        self.steps.lost += 1;
        self.give_up(now)
    }

    /// The adapter was switched off or on. A scan that ran before does not continue after that.
    pub(crate) fn powered(&mut self, on: bool, now: Duration) -> Option<Order> {
        let was_on = std::mem::replace(&mut self.powered, on);
        if !on || was_on || self.phase != Phase::Scan {
            return None;
        }
        self.steps.powered_on += 1;
        Some(self.call(Order::RestartScan, now))
    }

    /// A registered lock was received, at this time.
    pub(crate) fn heard_valid(&mut self, at: Duration) {
        if self.valid_at.is_some_and(|before| before >= at) {
            return;
        }
        self.valid_at = Some(at);
        self.quiet_since = self.quiet_since.max(at);
        if self.rung.take().is_some() {
            self.steps.recoveries += 1;
        }
    }

    /// The steps so far.
    pub(crate) fn steps(&self) -> Steps {
        self.steps
    }

    /// Whether the scan runs, according to the system.
    pub(crate) fn is_scanning(&self) -> bool {
        self.phase == Phase::Scan && self.powered
    }

    /// When the silence has lasted long enough for the next step; `None` while no lock is missed, or no step is left.
    fn silence_ends(&self) -> Option<Duration> {
        let forgotten = self.valid_at? + LATELY;
        if !self.ladder.watch {
            return None;
        }
        let silent = self.quiet_since + SILENCE;
        let at = match (self.next_rung(), self.ladder_began) {
            (Some(Rung::Scan), Some(began)) => silent.max(began + LADDER_EVERY),
            (Some(_), _) => silent,
            (None, _) => return None,
        };
        (at < forgotten).then_some(at)
    }

    /// The rung above the last one; at the top the ladder begins again from below.
    fn next_rung(&self) -> Option<Rung> {
        let above_connection = if self.ladder.power_cycle { Some(Rung::Power) } else { None };
        let top = if self.ladder.exit { Rung::Exit } else { Rung::Scan };
        match self.rung {
            None => Some(Rung::Scan),
            Some(Rung::Scan) => Some(Rung::Connection),
            Some(Rung::Connection) => Some(above_connection.unwrap_or(top)),
            Some(Rung::Power) => Some(top),
            Some(Rung::Exit) => None,
        }
    }

    fn climb(&mut self, now: Duration) -> Order {
        let rung = self.next_rung().unwrap_or(Rung::Exit);
        self.rung = Some(rung);
        match rung {
            Rung::Scan => {
                self.ladder_began = Some(now);
                self.steps.ladders += 1;
                self.steps.scan_restarts += 1;
                self.call(Order::RestartScan, now)
            }
            Rung::Connection => {
                self.steps.reconnects += 1;
                self.call(Order::Open, now)
            }
            Rung::Power => {
                self.steps.power_cycles += 1;
                self.call(Order::PowerCycle, now)
            }
            Rung::Exit => {
                self.steps.exits += 1;
                self.phase = Phase::Ended;
                Order::Exit
            }
        }
    }

    fn call(&mut self, order: Order, now: Duration) -> Order {
        let within = match order {
            Order::Open => OPEN_WITHIN,
            Order::PowerCycle => CYCLE_WITHIN,
            Order::RestartScan | Order::Close | Order::Exit => RESTART_WITHIN,
        };
        self.phase = Phase::Call { until: now + within, is_open: order == Order::Open };
        order
    }

    fn give_up(&mut self, now: Duration) -> Order {
        if self.phase == Phase::Ended {
            return Order::Exit;
        }
        let wait = BACK_OFF_MIN.saturating_mul(1 << self.failures.min(16)).min(BACK_OFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Wait { until: now + wait };
        Order::Close
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
