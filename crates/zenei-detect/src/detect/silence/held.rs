//! Which gateways hold records back? A gateway that reports how many messages wait to be passed on, and whose queue has
//! been far longer than it ever is in each report of the last hour, passes on too little or too late, though it is not
//! away. Where most gateways' queues are so long at once, what they send to is slow, and none of them is told. Must not
//! know locks or rules. Called by `silence`.
use crate::detect::report::{self, REPEAT_MS, Seen};
use crate::estimate::high::High;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::lock::RecordRef;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_wire::EngineTime;

/// A gateway's usual queue is known after so long, ms: a week holds every weekday's habit.
const KNOWN_MS: i64 = 7 * DAY_MS;
/// Reports in a row, over at least so long, ms, that must tell of a long queue. A guess: what waits for minutes, as
/// after a restart, holds nobody up.
const REPORTS: u32 = 4;
const LASTS_MS: i64 = 45 * MINUTE_MS;
/// A queue is long from so many times its usual length (the 99th percentile of the reports) on, and so many messages
/// more. A guess: hours of an evening exceed that percentile together, but hardly by so much.
const TIMES: f64 = 2.0;
const MORE: f64 = 2.0;

/// The queues of all gateways.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Held {
    queues: BTreeMap<DeviceIx, Queue>,
}

/// What one gateway told of its queue.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Queue {
    /// When the first report came, and the last one.
    since_ms: i64,
    reported_ms: i64,
    usual: High,
    /// The reports in a row that tell of a long queue: when the first and the last came, how many, the longest queue,
    /// the last one.
    first_ms: i64,
    last_ms: i64,
    long: u32,
    most: u32,
    record: RecordRef,
    told_ms: Option<i64>,
    /// Whether what was told goes on, and how many reports in a row since tell of no long queue.
    is_open: bool,
    short: u32,
    /// When it was last noted that it is not told.
    noted_ms: Option<i64>,
}

/// What an hour showed of the queues.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The gateways that are to be told.
    pub(super) holding: Vec<Holding>,
    /// Those that would be, were it not that most hold records back.
    pub(super) common: Vec<Holding>,
    /// Those that were told and hold nothing back any more.
    pub(super) ended: Vec<Sym>,
}

/// A gateway that holds records back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holding {
    pub(super) gateway: Sym,
    pub(super) device: DeviceIx,
    pub(super) record: RecordRef,
    most: u32,
    usual: f64,
    since_ms: i64,
    hours: f64,
}

impl Held {
    /// Takes how many messages a gateway says that wait.
    pub(super) fn report(&mut self, device: DeviceIx, record: RecordRef, at_ms: i64, depth: u32) {
        let queue = self.queues.entry(device).or_insert(Queue { since_ms: at_ms, ..Queue::default() });
        queue.take(record, at_ms, depth);
    }

    /// Whether a gateway was told and holds records back still.
    pub(super) fn is_open(&self, gateway: Sym, fleet: &Fleet) -> bool {
        let device = fleet.word(gateway).and_then(|name| fleet.find(name));
        device.and_then(|device| self.queues.get(&device)).is_some_and(|queue| queue.is_open)
    }

    /// Ends an hour.
    pub(super) fn close(&mut self, now: EngineTime, fleet: &Fleet) -> Found {
        // A gateway that has stopped to report says nothing of what others do now.
        let reports = |queue: &&Queue| queue.is_known(now.ms()) && now.ms() - queue.reported_ms <= DAY_MS;
        let known = self.queues.values().filter(reports).count();
        let long = self.queues.values().filter(|queue| queue.is_long(now.ms())).count();
        let is_common = known >= 3 && 2 * long > known;
        let mut found = Found::default();
        for (&device, queue) in &mut self.queues {
            let Some(gateway) = fleet.find_word(fleet.device_id(device)) else { continue };
            if queue.is_open && queue.short >= REPORTS {
                (queue.is_open, queue.told_ms) = (false, None);
                found.ended.push(gateway);
            }
            if !queue.is_long(now.ms()) {
                continue;
            }
            let (last_ms, out) = if is_common {
                (&mut queue.noted_ms, &mut found.common)
            } else {
                (&mut queue.told_ms, &mut found.holding)
            };
            if report::is_due(*last_ms, now, REPEAT_MS) {
                *last_ms = Some(now.ms());
                queue.is_open |= !is_common;
                out.push(queue.holding(gateway, device));
            }
        }
        found
    }
}

impl Queue {
    fn take(&mut self, record: RecordRef, at_ms: i64, depth: u32) {
        // What it told before it was away for a day says nothing of the time between.
        let is_anew = at_ms - self.reported_ms > DAY_MS;
        self.reported_ms = at_ms;
        if self.is_known(at_ms) && f64::from(depth) >= self.limit() {
            if self.long == 0 || is_anew {
                (self.first_ms, self.most, self.long) = (at_ms, 0, 0);
            }
            self.short = 0;
            (self.last_ms, self.long, self.record) = (at_ms, self.long.saturating_add(1), record);
            self.most = self.most.max(depth);
            return;
        }
        // What was no finding is a habit.
        if self.long > 0 && self.told_ms.is_none_or(|told_ms| told_ms < self.first_ms) {
            self.usual.add(f64::from(self.most));
        }
        self.long = 0;
        self.short = self.short.saturating_add(1);
        // An empty queue counts as half a message, for the estimate is of a logarithm.
        self.usual.add(f64::from(depth).max(0.5));
    }

    fn limit(&self) -> f64 {
        TIMES * self.usual.get() + MORE
    }

    fn is_known(&self, now_ms: i64) -> bool {
        now_ms - self.since_ms >= KNOWN_MS
    }

    /// Whether it has been long for long, and was when the gateway spoke last.
    fn is_long(&self, now_ms: i64) -> bool {
        self.long >= REPORTS && self.last_ms - self.first_ms >= LASTS_MS && now_ms - self.last_ms <= DAY_MS
    }

    fn holding(&self, gateway: Sym, device: DeviceIx) -> Holding {
        let (usual, hours) = (self.usual.get(), (self.last_ms - self.first_ms) as f64 / HOUR_MS as f64);
        Holding { gateway, device, record: self.record, most: self.most, usual, since_ms: self.first_ms, hours }
    }
}

impl Holding {
    /// What a finding says of the gateway of this name.
    pub(super) fn seen(&self, name: &str) -> Seen<'static> {
        let (most, limit) = (f64::from(self.most), TIMES * self.usual + MORE);
        Seen {
            value: most,
            baseline: self.usual,
            threshold: limit,
            unit: "messages",
            since_ms: self.since_ms,
            confidence: report::confidence(most, limit),
            why: format!(
                "gateway {name} has held up to {most:.0} messages back in each of its reports for {:.1} h; hardly ever \
                 do more than {:.0} wait",
                self.hours, self.usual,
            ),
        }
    }
}
