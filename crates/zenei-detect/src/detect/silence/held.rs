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
    since_ms: i64,
    usual: High,
    /// The reports in a row that tell of a long queue: when the first and the last came, how many, the longest queue,
    /// the last one.
    first_ms: i64,
    last_ms: i64,
    long: u32,
    most: u32,
    record: RecordRef,
    told_ms: Option<i64>,
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

    /// Ends an hour: the gateways that are to be told.
    pub(super) fn close(&mut self, now: EngineTime, fleet: &Fleet) -> Vec<Holding> {
        let known = self.queues.values().filter(|queue| queue.is_known(now.ms())).count();
        let long: Vec<DeviceIx> =
            self.queues.iter().filter(|(_, queue)| queue.is_long(now.ms())).map(|(&device, _)| device).collect();
        if known >= 3 && 2 * long.len() > known {
            return Vec::new();
        }
        let mut holding = Vec::new();
        for device in long {
            let Some(gateway) = fleet.find_word(fleet.device_id(device)) else { continue };
            let Some(queue) = self.queues.get_mut(&device) else { continue };
            if report::is_due(queue.told_ms, now, REPEAT_MS) {
                queue.told_ms = Some(now.ms());
                holding.push(queue.holding(gateway, device));
            }
        }
        holding
    }
}

impl Queue {
    fn take(&mut self, record: RecordRef, at_ms: i64, depth: u32) {
        if self.is_known(at_ms) && f64::from(depth) >= self.limit() {
            if self.long == 0 {
                (self.first_ms, self.most) = (at_ms, 0);
            }
            (self.last_ms, self.long, self.record) = (at_ms, self.long.saturating_add(1), record);
            self.most = self.most.max(depth);
            return;
        }
        // What was no finding is a habit.
        if self.long > 0 && self.told_ms.is_none_or(|told_ms| told_ms < self.first_ms) {
            self.usual.add(f64::from(self.most));
        }
        self.long = 0;
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

#[cfg(test)]
#[path = "gateway_tests.rs"]
mod tests;
