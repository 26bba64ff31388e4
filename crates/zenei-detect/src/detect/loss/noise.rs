//! How much more than by chance the bursts of losses of a fleet's locks vary: a link that loses by the weather, or
//! while its neighbours are busy, departs from its past without a fault. Each lock's blocks of days are compared with
//! what its past before them let expect. Must not know incidents or stores. Called by `loss`.
use super::link::LINKS;
use crate::estimate::habit::{Alike, Habit, Nature};
use serde::{Deserialize, Serialize};

/// Days of a block: what lasts for days shows in it. A guess.
pub(super) const BLOCK_DAYS: i64 = 8;
/// Imagined bursts at the dispersion of `LINKS`. A guess: some hundred sound locks have as many in half a year, locks
/// that lose often in a day.
const WEIGHT: f64 = 30.0;
/// The past counts no more than so many expected bursts: beyond it half is forgotten.
const PAST_MAX: f64 = 2_000.0;

/// The variance of the bursts of a block, over what chance would give them, of all locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Noise {
    squares: f64,
    expected: f64,
}

/// The present block of a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Block {
    /// Bursts, and the records outside of them.
    pub(super) of: Habit,
    /// Records at its start that were not weighed yet.
    pub(super) before: u32,
}

impl Noise {
    /// How links differ, with the dispersion that theirs has.
    pub(super) fn nature(&self) -> Nature {
        let dispersion = (self.squares + WEIGHT * LINKS.temper) / (self.expected + WEIGHT);
        Nature { temper: dispersion.max(1.0), ..LINKS }
    }

    /// Takes a block after such a past: the square of its departure, less what is uncertain after that past. A past
    /// that is shorter than the block teaches nothing.
    pub(super) fn add(&mut self, block: Habit, past: Habit, alike: &Alike) {
        let (events, exposure) = (f64::from(block.events), f64::from(block.exposure));
        let (had, over) = (f64::from(past.events), f64::from(past.exposure));
        if exposure <= 0.0 || over < exposure {
            return;
        }
        let is_chronic = alike.is_chronic(past, &LINKS);
        // Mean and mean square of the rate, by the gamma posterior of each kind.
        let (mut rate, mut square) = (0.0, 0.0);
        for (share, (shape, scale)) in [(1.0 - is_chronic, (1.0, 1.0 / alike.usual)), (is_chronic, LINKS.chronic)] {
            let (shape, scale) = (shape + had, scale + over);
            rate += share * shape / scale;
            square += share * shape * (shape + 1.0) / (scale * scale);
        }
        let expected = rate * exposure;
        self.squares += (events - expected) * (events - expected) - exposure * exposure * (square - rate * rate);
        self.expected += expected;
    }

    /// Forgets half of a long past.
    pub(super) fn forget(&mut self) {
        if self.expected > PAST_MAX {
            self.squares *= 0.5;
            self.expected *= 0.5;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;

    const ALIKE: Alike = Alike { usual: 5e-4, chronic: 0.1 };

    /// The dispersion after ten blocks of 200 records of 300 locks, a tenth of which always lose 3 %; in every other
    /// block so many times as much.
    fn dispersion(times: f64) -> f64 {
        let (mut dice, mut noise) = (Dice(7), Noise::default());
        for lock in 0..300 {
            let usual = if lock % 10 == 0 { 0.03 } else { 5e-4 };
            let mut past = Habit::default();
            for block in 0..10 {
                let share = if block % 2 == 0 { usual } else { usual * times };
                let lost = (0..200).filter(|_| dice.is(share)).count() as f64;
                noise.add(Habit::default().with(lost, 200.0), past, &ALIKE);
                past = past.with(lost, 200.0);
            }
        }
        noise.nature().temper
    }

    #[test]
    fn losses_by_chance_have_no_dispersion_and_those_of_bad_weeks_have_some() {
        let [chance, weeks] = [dispersion(1.0), dispersion(4.0)];
        assert!(chance < 1.15, "{chance}");
        assert!(weeks > 2.0, "{weeks}");
    }

    #[test]
    fn few_locks_have_the_dispersion_that_links_have_elsewhere() {
        assert_eq!(Noise::default().nature(), LINKS);
        let mut noise = Noise::default();
        noise.add(Habit { events: 9.0, exposure: 200.0 }, Habit { events: 0.0, exposure: 100.0 }, &ALIKE);
        assert_eq!(noise, Noise::default(), "a short past tells nothing");
    }
}
