//! Which advertisements pass on to the spool? A lock repeats each one for minutes, and anyone can send under any
//! address: the gate passes repetitions once per interval, and advertisements without a valid key at a bounded rate.
//! Must not know the content of an advertisement. Called by `air` where the options ask for news only.
use super::advertisement::Standing;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use zenei_wire::bthome::Address;

/// How long repetitions of an advertisement are held back. A guess: half of the time that news of one set waits for the
/// other, so that a repetition of the other comes in time; far below the 15 minutes after which an unchanged state is
/// stored again.
pub(super) const REPEAT_EVERY: Duration = Duration::from_secs(30);
/// Advertisements of one sender that are remembered: both of the sets that are on the air, and both of those before.
const REMEMBERED: usize = 4;
/// How many senders are remembered. Beyond it the silent ones, and if that frees nothing all of them, are removed:
/// their repetitions count as new again. As many as may have something waiting.
const SENDERS_MAX: usize = super::place::SENDERS_MAX;
/// How many advertisements without a valid key may pass each second, on average. A guess: a building with a hundred
/// foreign sensors sends ten new advertisements a second, and at this rate a day of forgeries is some 500 MB of spool,
/// of which nothing is stored for long.
const UNVOUCHED_PER_S: u32 = 50;
/// And at once.
const UNVOUCHED_BURST: u32 = 1_000;

/// The decision on an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Passes,
    /// The same was received a short while ago.
    Repeated,
    /// Too many came without a valid key.
    Refused,
}

/// The advertisements that passed lately.
#[derive(Debug)]
pub(super) struct Gate {
    recent: HashMap<Address, Vec<(u64, Duration)>>,
    hashes: RandomState,
    /// Millionths of an advertisement that may pass now.
    credit: u64,
    filled_at: Duration,
}

const ONE: u64 = 1_000_000;

impl Gate {
    pub(super) fn new() -> Self {
        let credit = u64::from(UNVOUCHED_BURST) * ONE;
        Self { recent: HashMap::new(), hashes: RandomState::new(), credit, filled_at: Duration::ZERO }
    }

    /// Judges one that was received at `now`, since the start.
    pub(super) fn pass(&mut self, address: Address, bytes: &[u8], standing: Standing, now: Duration) -> Passage {
        let hash = self.hashes.hash_one(bytes);
        let is_recent = |&(_, at): &(u64, Duration)| now.saturating_sub(at) < REPEAT_EVERY;
        let known = self.recent.get(&address).map_or(&[][..], Vec::as_slice);
        if known.iter().any(|seen| seen.0 == hash && is_recent(seen)) {
            return Passage::Repeated;
        }
        if standing != Standing::Valid && !self.spend(now) {
            return Passage::Refused;
        }
        if self.recent.len() >= SENDERS_MAX && !self.recent.contains_key(&address) {
            self.recent.retain(|_, seen| seen.iter().any(is_recent));
            if self.recent.len() >= SENDERS_MAX {
                self.recent.clear();
            }
        }
        let seen = self.recent.entry(address).or_default();
        seen.retain(|&(other, _)| other != hash);
        if seen.len() >= REMEMBERED {
            seen.remove(0);
        }
        seen.push((hash, now));
        Passage::Passes
    }

    /// Takes one from the number that may pass; false where it is used up.
    fn spend(&mut self, now: Duration) -> bool {
        let passed_us = u64::try_from(now.saturating_sub(self.filled_at).as_micros()).unwrap_or(u64::MAX);
        self.filled_at = now.max(self.filled_at);
        let full = u64::from(UNVOUCHED_BURST) * ONE;
        self.credit = self.credit.saturating_add(passed_us.saturating_mul(u64::from(UNVOUCHED_PER_S))).min(full);
        match self.credit.checked_sub(ONE) {
            Some(left) => {
                self.credit = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: Address = Address([0xc0, 0xff, 0xee, 0, 0, 1]);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn both_sets_pass_once_and_again_after_a_while() {
        let mut gate = Gate::new();
        let mut passed = Vec::new();
        for second in 0..65 {
            for set in [b"a", b"b"] {
                if gate.pass(LOCK, set, Standing::Valid, seconds(second)) == Passage::Passes {
                    passed.push((second, set[0]));
                }
            }
        }
        assert_eq!(passed, [(0, b'a'), (0, b'b'), (30, b'a'), (30, b'b'), (60, b'a'), (60, b'b')]);
    }

    #[test]
    fn a_change_passes_at_once_and_what_it_replaced_is_still_known() {
        let mut gate = Gate::new();
        let mut pass = |bytes: &[u8]| gate.pass(LOCK, bytes, Standing::Valid, seconds(1)) == Passage::Passes;
        assert_eq!([pass(b"a1"), pass(b"b1"), pass(b"a2"), pass(b"a1"), pass(b"b1")], [true, true, true, false, false]);
    }

    #[test]
    fn forgeries_pass_at_a_bounded_rate_and_keep_no_valid_one_out() {
        let mut gate = Gate::new();
        let (mut forged, mut valid, mut refused) = (0, 0, 0);
        for number in 0..100_000_u32 {
            // 10,000 a second for ten seconds.
            let now = Duration::from_micros(u64::from(number) * 100);
            match gate.pass(LOCK, &number.to_be_bytes(), Standing::Doubtful, now) {
                Passage::Passes => forged += 1,
                Passage::Refused => refused += 1,
                Passage::Repeated => {}
            }
            let address = Address([0xc0, 0xff, 0xee, 0, 0, 2]);
            valid += u32::from(gate.pass(address, &number.to_be_bytes(), Standing::Valid, now) == Passage::Passes);
        }
        assert_eq!((forged, forged + refused, valid), (UNVOUCHED_BURST + 10 * UNVOUCHED_PER_S - 1, 100_000, 100_000));
    }

    #[test]
    fn made_up_addresses_fill_no_memory() {
        let mut gate = Gate::new();
        for number in 0..50_000_u64 {
            let [_, _, address @ ..] = number.to_be_bytes();
            gate.pass(Address(address), b"x", Standing::Valid, seconds(1));
            assert!(gate.recent.len() <= SENDERS_MAX);
        }
    }
}
