//! What a bad network does to messages: it duplicates some of them and shuffles their order within a bound. For tests
//! of receivers; the physics does not use it. Called by `firmware-sim run`.
use crate::message::Message;
use crate::rng::{Draws, FLEET, Purpose};
use std::collections::BTreeMap;

/// A network that duplicates and shuffles. The same seed and messages give the same result, whatever the size of the
/// steps.
pub struct Disturbance {
    draws: Draws,
    duplicate_share: f64,
    shuffle_ms: f64,
    held: BTreeMap<(i64, u64), Message>,
    count: u64,
}

impl Disturbance {
    /// Every message is delayed by up to `shuffle_ms`, evenly; a `duplicate_share` (0 to 1) of them come a second time
    /// with a delay of its own.
    pub fn new(seed: u64, duplicate_share: f64, shuffle_ms: i64) -> Self {
        let draws = Draws::new(seed, FLEET, Purpose::Disturbance, 0);
        Self { draws, duplicate_share, shuffle_ms: shuffle_ms.max(0) as f64, held: BTreeMap::new(), count: 0 }
    }

    /// Takes the messages up to `to_ms` and adds those that arrive by then to `out`, in order of `at_ms`.
    pub fn pass(&mut self, messages: Vec<Message>, to_ms: i64, out: &mut Vec<Message>) {
        for message in messages {
            // Drawn for every message, so that the share does not change other draws.
            let (doubled, again) = (self.draws.chance(self.duplicate_share), self.delayed(&message));
            let once = self.delayed(&message);
            if doubled {
                self.hold(again, message.clone());
            }
            self.hold(once, message);
        }
        let later = self.held.split_off(&(to_ms.saturating_add(1), 0));
        out.extend(std::mem::replace(&mut self.held, later).into_values());
    }

    fn delayed(&mut self, message: &Message) -> i64 {
        message.at_ms + (self.draws.uniform() * self.shuffle_ms) as i64
    }

    fn hold(&mut self, at_ms: i64, message: Message) {
        self.count += 1;
        let _ = self.held.insert((at_ms, self.count), Message { at_ms, ..message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> Vec<Message> {
        let one =
            |at: i64| Message { at_ms: at * 500, topic: "t".into(), payload: vec![at as u8], retain: false, lock: 0 };
        (0..200).map(one).collect()
    }

    fn pass(share: f64, shuffle_ms: i64) -> Vec<Message> {
        let (mut network, mut out) = (Disturbance::new(1, share, shuffle_ms), Vec::new());
        for part in messages().chunks(30) {
            network.pass(part.to_vec(), part[part.len() - 1].at_ms, &mut out);
        }
        network.pass(Vec::new(), i64::MAX - 1, &mut out);
        out
    }

    #[test]
    fn nothing_is_changed_when_nothing_is_asked() {
        assert_eq!(pass(0.0, 0), messages());
    }

    #[test]
    fn a_tenth_comes_twice_and_none_later_than_the_bound() {
        let out = pass(0.1, 60_000);
        assert!((205..240).contains(&out.len()), "{}", out.len());
        assert!(out.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
        for message in &out {
            let sent_ms = i64::from(message.payload[0]) * 500;
            assert!((sent_ms..=sent_ms + 60_000).contains(&message.at_ms));
        }
        assert!(out.windows(2).any(|pair| pair[0].payload > pair[1].payload), "in order still");
    }
}
