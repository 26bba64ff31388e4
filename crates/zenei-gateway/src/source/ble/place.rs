//! Where received advertisements wait: a bounded queue per sender, from which the oldest is dropped. Putting never
//! waits; taking serves the senders in turn. Must not know the content of an advertisement. Called by `air`.
use super::advertisement::Advertisement;
use std::collections::{HashMap, VecDeque};
use zenei_wire::bthome::Address;

/// How many advertisements of one sender wait; beyond it the oldest is dropped. A lock alternates between two sets of
/// values, so that its newest state is within the last two; the rest is for a slow reader. A guess.
pub(crate) const WAITING_PER_SENDER: usize = 8;
/// How many senders may have something waiting; beyond it strangers are dropped, so that forged addresses fill no
/// memory. A guess: a hundred times the devices in a building. Registered locks always find room.
pub(crate) const SENDERS_MAX: usize = 4_096;

/// The waiting advertisements.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    waiting: HashMap<Address, VecDeque<Advertisement>>,
    /// Senders that have something waiting, in turn.
    turns: VecDeque<Address>,
}

impl Waiting {
    /// Adds an advertisement; returns how many were dropped for it, itself included.
    pub(crate) fn put(&mut self, advertisement: Advertisement, is_registered: bool) -> u64 {
        if let Some(waiting) = self.waiting.get_mut(&advertisement.address) {
            let is_full = waiting.len() >= WAITING_PER_SENDER;
            if is_full {
                waiting.pop_front();
            }
            waiting.push_back(advertisement);
            return u64::from(is_full);
        }
        if self.waiting.len() >= SENDERS_MAX && !is_registered {
            return 1;
        }
        self.turns.push_back(advertisement.address);
        self.waiting.insert(advertisement.address, VecDeque::from([advertisement]));
        0
    }

    /// The oldest advertisement of the sender whose turn it is.
    pub(crate) fn take(&mut self) -> Option<Advertisement> {
        let address = self.turns.pop_front()?;
        let waiting = self.waiting.get_mut(&address)?;
        let taken = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;
    use zenei_wire::GatewayTime;

    fn advertisement(sender: u64, number: u32) -> Advertisement {
        let [_, _, address @ ..] = sender.to_be_bytes();
        let service_data = number.to_le_bytes().to_vec();
        Advertisement { address: Address(address), rssi_dbm: None, service_data, heard_at: GatewayTime(0) }
    }

    fn number(advertisement: &Advertisement) -> u32 {
        u32::from_le_bytes(advertisement.service_data[..4].try_into().unwrap())
    }

    #[test]
    fn of_one_sender_the_newest_win_and_the_others_are_counted() {
        let mut place = Waiting::default();
        let dropped: u64 = (0..20).map(|at| place.put(advertisement(1, at), false)).sum();
        let left: Vec<u32> = std::iter::from_fn(|| place.take()).map(|taken| number(&taken)).collect();
        assert_eq!((dropped, left), (12, (12..20).collect()));
        assert!(place.waiting.is_empty() && place.turns.is_empty(), "what is taken leaves nothing behind");
    }

    #[test]
    fn a_sender_that_floods_takes_no_turn_from_others() {
        let mut place = Waiting::default();
        let dropped: u64 = (0..8).map(|at| place.put(advertisement(1, at), false)).sum();
        assert_eq!(dropped, 0);
        place.put(advertisement(2, 100), false);
        let second = std::iter::from_fn(|| place.take()).nth(1).map(|taken| number(&taken));
        assert_eq!(second, Some(100));
    }

    #[test]
    fn made_up_addresses_fill_no_memory_and_keep_no_registered_lock_out() {
        let mut place = Waiting::default();
        let strangers = u32::try_from(SENDERS_MAX).unwrap() + 50;
        let dropped: u64 = (0..strangers).map(|at| place.put(advertisement(u64::from(at), at), false)).sum();
        assert_eq!((dropped, place.waiting.len()), (50, SENDERS_MAX));
        let ours = 0xff00_0000_0000;
        assert_eq!(place.put(advertisement(ours, 1), true), 0);
        assert!(std::iter::from_fn(|| place.take()).any(|taken| number(&taken) == 1 && taken.address.0[0] == 0xff));
    }

    #[test]
    fn what_is_put_is_taken_or_dropped() {
        let mut place = Waiting::default();
        let mut dice = Dice(1);
        let (mut put, mut dropped, mut taken) = (0, 0, 0);
        for _ in 0..50_000 {
            if dice.below(3) == 0 {
                taken += u64::from(place.take().is_some());
            } else {
                put += 1;
                let number = dice.below(300);
                dropped += place.put(advertisement(number, 0), number < 3);
            }
        }
        taken += std::iter::from_fn(|| place.take()).count() as u64;
        assert_eq!(put, dropped + taken);
    }
}
