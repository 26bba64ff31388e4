//! One lock through time: what it does next, and what it sends afterwards. A lock reads the shared world and its own
//! state, and must not know other locks; it can be simulated again alone, with or without one of its faults. Called by
//! `fleet` (messages) and `truth` (what really happened).
use crate::ailment::{Ailments, Cut};
use crate::battery::Pack;
use crate::calendar::{DAY_MS, MINUTE_MS};
use crate::clock::Clock;
use crate::habit;
use crate::identity::{Identity, Kinds};
use crate::individual::{self, Individual};
use crate::message::{Listener, Speech};
use crate::rng::{Draws, Purpose};
use crate::told::Gauge;
use crate::world::World;
use zenei_wire::{LockState, ResetReason};

mod acts;
mod at;
mod field;

use at::{At, HEAP_LEAST_B};

/// One lock.
#[derive(Debug)]
pub(crate) struct Lock {
    number: usize,
    kinds: Kinds,
    one: Individual,
    ailments: Ailments,
    pack: Pack,
    settled_ms: i64,
    speech: Speech,
    version: usize,
    version_since_ms: i64,
    reset_reason: ResetReason,
    bolt: LockState,
    client: usize,
    /// Times of the day's operations in falling order.
    plan: Vec<i64>,
    plan_day: i64,
    plan_end_ms: i64,
    ops: u64,
    states: u64,
    state_ms: i64,
    extra: u64,
    /// One for each code, one for resets, the last for those of a bug.
    clocks: Vec<Clock>,
    clock_ms: i64,
    /// Future rollouts, latest first: time and number.
    rollouts: Vec<(i64, usize)>,
    /// A running update: when it ends and to which version.
    ota: Option<(i64, usize)>,
    /// Out of its gateway's reach by itself; and because a fault cuts it off.
    away: bool,
    cut: bool,
    /// When a leak has used up the heap.
    heap_out_ms: i64,
    /// The end of a restart, during which it does not answer.
    deaf_until_ms: i64,
    offline_periods: u64,
    /// Begin and end of the current or next offline period.
    offline_ms: (i64, i64),
    low_battery_day: i64,
    /// The last told temperature and voltage.
    gauges: [Gauge; 2],
    beat_ms: i64,
}

/// What a lock does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Offline,
    Online,
    Visit,
    UpdateDone,
    Update,
    Midnight,
    Operation,
    Heartbeat,
    Clock,
    HeapOut,
    CutOff,
    CutOn,
}

impl Lock {
    /// A lock at the start of the run, without the planned fault `without`.
    pub(crate) fn new(world: &World, number: usize, kinds: Kinds, without: Option<usize>) -> Self {
        let one = individual::draw(&world.scenario, world.seed, number, &kinds);
        let start_ms = world.start_ms;
        let booted_ms = start_ms - (one.uptime_days * DAY_MS as f64) as i64;
        // Some 17 records a day until now; a guess that only sets where `seq` stands.
        let seq = (one.uptime_days * 17.0) as u32;
        let cbor = world.scenario.hw_rev[kinds.hw_rev].cbor;
        let mut lock = Self {
            number,
            ailments: Ailments::of(world, number, &kinds, without),
            pack: Pack::with_charge(one.charge),
            settled_ms: start_ms,
            speech: Speech::new(world.seed, number, cbor, (one.boots, seq), booted_ms),
            version: kinds.firmware,
            version_since_ms: booted_ms,
            reset_reason: ResetReason::PowerOn,
            bolt: LockState::Locked,
            client: kinds.app,
            plan: habit::day(world, number, kinds.service, one.ops, 0),
            plan_day: 0,
            plan_end_ms: start_ms + DAY_MS,
            ops: 0,
            states: 0,
            state_ms: start_ms + (one.state_phase * one.state_every_ms) as i64,
            extra: 0,
            clocks: Vec::new(),
            clock_ms: i64::MAX,
            rollouts: rollouts(world, number, &kinds, one.ops),
            ota: None,
            away: false,
            cut: false,
            heap_out_ms: i64::MAX,
            deaf_until_ms: i64::MIN,
            offline_periods: 0,
            offline_ms: offline_period(world, number, 0, start_ms),
            low_battery_day: -1,
            gauges: [Gauge::default(); 2],
            beat_ms: start_ms,
            kinds,
            one,
        };
        (lock.speech.phone, lock.speech.offline) = (kinds.phone, kinds.phone);
        lock.find_heap_out(world);
        lock.clocks = (0..world.codes.len() + 2)
            .map(|kind| Clock::new(world.seed, number, kind, start_ms, lock.rate(world, kind)))
            .collect();
        lock.find_clock();
        lock
    }

    /// When it acts next, ms.
    pub(crate) fn next_ms(&self) -> i64 {
        self.due().0
    }

    /// Performs its next action.
    pub(crate) fn step<L: Listener>(&mut self, world: &World, identity: &Identity, listener: &mut L) {
        let (at_ms, due) = self.due();
        let mut at = At { world, identity, at_ms, listener };
        match due {
            Due::Offline => (self.away, self.speech.offline) = (true, true),
            Due::Online => {
                self.away = false;
                self.come_back(&mut at);
                self.offline_periods += 1;
                self.offline_ms = offline_period(world, self.number, self.offline_periods, at_ms);
            }
            Due::CutOff => (self.cut, self.speech.offline) = (true, true),
            Due::CutOn => {
                self.cut = false;
                self.ailments.end_cut();
                self.come_back(&mut at);
            }
            Due::HeapOut => self.run_out_of_heap(&mut at),
            Due::Visit => self.visit(&mut at),
            Due::Update => self.start_update(&mut at),
            Due::UpdateDone => self.finish_update(&mut at),
            Due::Midnight => {
                self.plan_day += 1;
                self.plan_end_ms += DAY_MS;
                self.plan = habit::day(world, self.number, self.kinds.service, self.one.ops, self.plan_day);
            }
            Due::Operation => self.operate(&mut at),
            Due::Heartbeat => self.beat(&mut at),
            Due::Clock => self.strike(&mut at),
        }
    }

    fn due(&self) -> (i64, Due) {
        let link = if self.away { (self.offline_ms.1, Due::Online) } else { (self.offline_ms.0, Due::Offline) };
        let cut = |cut: Cut| if self.cut { (cut.until_ms, Due::CutOn) } else { (cut.from_ms, Due::CutOff) };
        let never = i64::MAX;
        [
            (self.ota.map_or(never, |(at_ms, _)| at_ms), Due::UpdateDone),
            (self.rollouts.last().map_or(never, |&(at_ms, _)| at_ms), Due::Update),
            (self.ailments.next_visit_ms(), Due::Visit),
            self.plan.last().map_or((self.plan_end_ms, Due::Midnight), |&at_ms| (at_ms, Due::Operation)),
            (self.state_ms, Due::Heartbeat),
            (self.clock_ms, Due::Clock),
            (self.heap_out_ms, Due::HeapOut),
            self.ailments.next_cut().map_or((never, Due::CutOff), cut),
        ]
        .into_iter()
        .fold(link, Ord::min)
    }

    /// The rate of a clock, per day, under the running version.
    fn rate(&self, world: &World, kind: usize) -> f64 {
        match world.codes.get(kind) {
            Some((_, per_day)) => {
                per_day * self.one.errors * self.ailments.errors(world, &self.kinds, self.version, kind)
            }
            None if kind == world.codes.len() => {
                world.scenario.firmware[self.version].resets_per_day + self.one.traits.restarts_per_day
            }
            None => self.ailments.reboots(world, self.version).0,
        }
    }

    fn find_clock(&mut self) {
        self.clock_ms = self.clocks.iter().map(Clock::due_ms).min().unwrap_or(i64::MAX);
    }

    /// When a leak has used up the heap, from this boot on.
    fn find_heap_out(&mut self, world: &World) {
        let (b_per_day, _) = self.ailments.heap(world, self.version);
        let free_b = self.fresh_heap_b(world) - HEAP_LEAST_B;
        let days = free_b.max(0.0) / b_per_day;
        self.heap_out_ms = if days < 1e6 { self.speech.booted_ms + (days * DAY_MS as f64) as i64 } else { i64::MAX };
    }

    /// Free heap after start, bytes.
    fn fresh_heap_b(&self, world: &World) -> f64 {
        world.scenario.model[self.kinds.model].heap_b - world.scenario.firmware[self.version].heap_used_b
    }
}

/// Whether a rollout may bring the lock to a version; which one it runs, only a simulation shows.
pub(crate) fn may_run(world: &World, lock: usize, kinds: &Kinds, version: usize) -> bool {
    let name = &world.scenario.firmware[version].version;
    rollouts(world, lock, kinds, 1.0).iter().any(|&(_, rollout)| world.scenario.rollout[rollout].version == *name)
}

/// The rollouts that reach a lock if it runs one of the versions they apply to, latest first: time and number.
fn rollouts(world: &World, lock: usize, kinds: &Kinds, ops: f64) -> Vec<(i64, usize)> {
    let (regions, field) = (&world.scenario.region, &world.scenario.field);
    let mut reached: Vec<(i64, usize)> = world
        .scenario
        .rollout
        .iter()
        .enumerate()
        .filter_map(|(number, rollout)| {
            let mut draws = Draws::new(world.seed, lock, Purpose::Rollout, number as u64);
            let chosen = draws.chance(rollout.share);
            let chosen = chosen && rollout.region.as_ref().is_none_or(|only| regions[kinds.region].name == *only);
            let drawn = draws.uniform();
            // The rank of a lock's use among the others', roughly: the distribution function of its logarithm.
            let rank = 1.0 / (1.0 + (ops.ln() / 0.3 * 1.7).exp());
            let along = field.as_ref().map_or(drawn, |field| drawn + field.eager * (rank - drawn));
            let day = rollout.day + rollout.days * along;
            chosen.then_some((world.start_ms + (day * DAY_MS as f64) as i64, number))
        })
        .collect();
    reached.sort_unstable_by(|a, b| b.cmp(a));
    reached
}

/// The offline period of this number that begins after `from_ms`: begin and end.
fn offline_period(world: &World, lock: usize, number: u64, from_ms: i64) -> (i64, i64) {
    let radio = &world.scenario.radio;
    let mut draws = Draws::new(world.seed, lock, Purpose::Offline, number);
    let gap_days = draws.exponential() / radio.offline_per_day;
    let minutes = (radio.offline_min * draws.factor(radio.offline_sigma)).clamp(1.0, radio.offline_min_max.max(1.0));
    if gap_days > 1e6 {
        return (i64::MAX, i64::MAX);
    }
    let begin_ms = from_ms + (gap_days * DAY_MS as f64) as i64;
    (begin_ms, begin_ms + (minutes * MINUTE_MS as f64) as i64)
}
