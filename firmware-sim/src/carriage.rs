//! What becomes of a lock's messages on their way: some gateways pass records on later, or in batches, or send some of
//! them twice. In a scenario without a field every message arrives as it was sent. Must not know records. Called by
//! `fleet` and `truth`.
use crate::calendar::MINUTE_MS;
use crate::identity::Kinds;
use crate::message::Message;
use crate::rng::{Draws, Purpose};
use crate::scenario::{Field, Scenario};
use std::collections::BTreeMap;

/// The way from one gateway to the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Carriage {
    /// How much later everything arrives, ms.
    slow_ms: i64,
    /// The interval of batches, ms, and where in it they go; 0: at once.
    batch_ms: i64,
    phase_ms: i64,
    /// Share of messages that come twice.
    doubled: f64,
}

impl Carriage {
    /// The carriage behind a lock's gateway; phones carry at once.
    pub(crate) fn of(scenario: &Scenario, seed: u64, kinds: &Kinds) -> Self {
        let Some(field) = scenario.field.as_ref().filter(|_| !kinds.phone) else { return Self::default() };
        Self::draw(field, Draws::new(seed, kinds.site, Purpose::Carriage, kinds.gateway as u64))
    }

    fn draw(field: &Field, mut draws: Draws) -> Self {
        let carriage = &field.carriage;
        let minutes = |minutes: f64| (minutes * MINUTE_MS as f64) as i64;
        let (batches, slow, doubles) = (
            draws.chance(carriage.batch_share),
            draws.chance(carriage.slow_share),
            draws.chance(carriage.doubling_share),
        );
        let batch_ms = if batches { minutes(carriage.batch_min).max(1) } else { 0 };
        Self {
            slow_ms: if slow { minutes(carriage.slow_min * draws.between(0.3, 1.0)) } else { 0 },
            batch_ms,
            phase_ms: (draws.uniform() * batch_ms as f64) as i64,
            doubled: if doubles { carriage.doubling * draws.between(0.2, 1.0) } else { 0.0 },
        }
    }

    /// When a message of a time arrives.
    pub(crate) fn arrival(&self, at_ms: i64) -> i64 {
        let passed_ms = at_ms + self.slow_ms;
        if self.batch_ms == 0 {
            return passed_ms;
        }
        passed_ms + self.batch_ms - (passed_ms - self.phase_ms).rem_euclid(self.batch_ms)
    }
}

/// Messages on their way, in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    waiting: BTreeMap<(i64, u64), Message>,
    count: u64,
}

impl Mail {
    /// Takes what a lock has just sent, the messages of `out` from `before` on; leaves there what arrives at once.
    pub(crate) fn post(&mut self, carriage: &Carriage, seed: u64, before: usize, out: &mut Vec<Message>) {
        if *carriage == Carriage::default() {
            return;
        }
        for mut message in out.split_off(before) {
            let mut draws = Draws::new(seed, message.lock, Purpose::Carriage, 1 << 48 | self.count);
            message.at_ms = carriage.arrival(message.at_ms);
            if draws.chance(carriage.doubled) {
                let again_ms = message.at_ms + (draws.exponential() * 2.0 * MINUTE_MS as f64) as i64;
                self.push(Message { at_ms: again_ms, ..message.clone() });
            }
            self.push(message);
        }
    }

    fn push(&mut self, message: Message) {
        self.waiting.insert((message.at_ms, self.count), message);
        self.count += 1;
    }

    /// Adds what arrives up to a time.
    pub(crate) fn deliver(&mut self, to_ms: i64, out: &mut Vec<Message>) {
        while let Some(first) = self.waiting.first_entry().filter(|first| first.key().0 <= to_ms) {
            out.push(first.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(at_ms: i64) -> Message {
        Message { at_ms, topic: String::new(), payload: vec![at_ms as u8], retain: false, lock: 0 }
    }

    #[test]
    fn a_batch_arrives_at_once_in_order_and_a_slow_way_delays_by_a_constant() {
        let batch = Carriage { batch_ms: 1000, phase_ms: 300, ..Carriage::default() };
        assert_eq!([batch.arrival(0), batch.arrival(299), batch.arrival(300)], [300, 300, 1300]);
        assert_eq!(Carriage { slow_ms: 70, ..Carriage::default() }.arrival(5), 75);
        let (mut mail, mut sent, mut out) = (Mail::default(), vec![message(1), message(2), message(3)], Vec::new());
        mail.post(&batch, 1, 0, &mut sent);
        mail.deliver(299, &mut out);
        assert!(sent.is_empty() && out.is_empty());
        mail.deliver(300, &mut out);
        assert_eq!(
            out.iter().map(|message| (message.at_ms, message.payload[0])).collect::<Vec<_>>(),
            [(300, 1), (300, 2), (300, 3)]
        );
    }

    #[test]
    fn a_gateway_that_doubles_sends_equal_messages_and_a_plain_one_leaves_them_where_they_are() {
        let (mut mail, mut sent, mut out) = (Mail::default(), vec![message(1), message(2)], Vec::new());
        mail.post(&Carriage::default(), 1, 0, &mut sent);
        assert_eq!(sent.len(), 2);
        mail.post(&Carriage { doubled: 1.0, ..Carriage::default() }, 1, 0, &mut sent);
        mail.deliver(i64::MAX, &mut out);
        assert_eq!(out.iter().filter(|message| message.payload == [2]).count(), 2);
    }
}
