//! Does something happen to one of many more often than it always did? Its own past tells how often that is; where the
//! past is short, those like it do.
//!
//! Two kinds are told apart. To most it hardly ever happens: a gamma prior of shape 1 about their common rate. To some
//! it always happened often, from the first day on: a wide gamma prior ([`Nature`]). The share of the second kind is
//! learned from the many. What one's own past and this mixture predict is normal (a Bayesian predictive of counts, by
//! its marginal likelihoods); [`Departure`] sums the logarithm of the likelihood ratio of a raised rate against that
//! prediction, restarting at 0 (Page 1954; Shin, Ramdas and Rinaldo 2022). The prediction keeps learning, so a habit is
//! never evidence, and what is uncertain is little evidence.
//! Must not know locks. Called by the detectors `loss` and `reboots`.
use serde::{Deserialize, Serialize};

/// Shape of the prior of the first kind: sound ones differ by a factor of some 2 to 3 among themselves. A guess.
const SOUND_SHAPE: f64 = 1.0;

/// How habits of one kind of event differ, and which departures matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nature {
    /// Shape and rate of the prior of the second kind.
    pub chronic: (f64, f64),
    /// The past counts no more than so much exposure: beyond it half is forgotten, for habits change with seasons and
    /// furniture.
    pub past_max: f32,
    /// The raised rates that a departure is weighed for: from the least that anyone would go and see for, to the
    /// grossest.
    pub raised: [f64; 3],
    /// How much more than by chance the counts vary, at least 1.
    pub temper: f64,
}

/// What is known of the many.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alike {
    /// The rate of the first kind, events for each unit of exposure, above 0.
    pub usual: f64,
    /// The share of the second kind, above 0 and below 1.
    pub chronic: f64,
}

/// One's own past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Habit {
    /// Events.
    pub events: f32,
    /// Exposure in which they happened.
    pub exposure: f32,
}

/// Sums of evidence for the raised rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Departure {
    sums: [f32; 3],
}

impl Alike {
    /// The probability that one with this past is of the second kind, 0 to 1.
    pub fn is_chronic(&self, of: Habit, nature: &Nature) -> f64 {
        let [sound, chronic] = self.log_kinds(of, nature);
        1.0 / (1.0 + libm::exp((sound - chronic).clamp(-700.0, 700.0)))
    }

    /// The logarithm of the probability of this past, but for a term that any rate has in common.
    fn log_marginal(&self, of: Habit, nature: &Nature) -> f64 {
        let [sound, chronic] = self.log_kinds(of, nature);
        let top = sound.max(chronic);
        top + libm::log(libm::exp(sound - top) + libm::exp(chronic - top))
    }

    fn log_kinds(&self, of: Habit, nature: &Nature) -> [f64; 2] {
        let sound = (SOUND_SHAPE, SOUND_SHAPE / self.usual);
        [(sound, 1.0 - self.chronic), (nature.chronic, self.chronic)]
            .map(|((shape, rate), share)| libm::log(share) + log_gamma_poisson(shape, rate, of))
    }
}

/// The marginal likelihood of a count whose rate has a gamma prior.
fn log_gamma_poisson(shape: f64, rate: f64, of: Habit) -> f64 {
    let (events, exposure) = (f64::from(of.events), f64::from(of.exposure));
    // Most pasts have no event, and gamma functions are expensive.
    let seen = if events == 0.0 { 0.0 } else { libm::lgamma(shape + events) - libm::lgamma(shape) };
    seen + shape * libm::log(rate) - (shape + events) * libm::log(rate + exposure)
}

impl Habit {
    /// The past with more of it.
    #[must_use]
    pub fn with(self, events: f64, exposure: f64) -> Self {
        Self { events: self.events + events as f32, exposure: self.exposure + exposure as f32 }
    }

    /// Forgets half of a long past.
    pub fn forget(&mut self, past_max: f32) {
        if self.exposure > past_max {
            self.events *= 0.5;
            self.exposure *= 0.5;
        }
    }
}

impl Departure {
    /// Adds a step and learns it: `events` in `exposure`. A step is worth at most `most`.
    pub fn add(
        &mut self,
        (events, exposure): (f64, f64),
        habit: &mut Habit,
        alike: &Alike,
        nature: &Nature,
        most: f64,
    ) {
        self.add_after((events, exposure), habit, alike, nature, (0.0, most));
    }

    /// The same of a step close behind an event: `after` is the rate at which others then see further ones, and no rate
    /// below it is a departure. The habit is how often such times begin, so it learns nothing from them.
    pub fn add_after(
        &mut self,
        (events, exposure): (f64, f64),
        habit: &mut Habit,
        alike: &Alike,
        nature: &Nature,
        (after, most): (f64, f64),
    ) {
        let next = habit.with(events, exposure);
        let poisson = |rate: f64| if events == 0.0 { 0.0 } else { events * libm::log(rate) } - rate * exposure;
        let own = alike.log_marginal(next, nature) - alike.log_marginal(*habit, nature);
        let normal = match (after > 0.0, events > 0.0) {
            (false, _) => own,
            (true, true) => own.max(poisson(after)),
            (true, false) => own.min(poisson(after)),
        };
        for (sum, rate) in self.sums.iter_mut().zip(nature.raised) {
            let gain = ((poisson(rate.max(after)) - normal) / nature.temper).min(most);
            *sum = (*sum + gain as f32).max(0.0);
        }
        if after <= 0.0 {
            *habit = next;
            habit.forget(nature.past_max);
        }
    }

    /// The largest sum: natural logarithm of the evidence against the habit.
    pub fn evidence(&self) -> f64 {
        f64::from(self.sums.iter().copied().fold(0.0, f32::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;

    const RECORDS: Nature = Nature { chronic: (0.5, 5.0), past_max: 2_000.0, raised: [0.03, 0.1, 0.3], temper: 1.5 };
    const SOUND: Alike = Alike { usual: 5e-4, chronic: 0.02 };

    /// The largest evidence over so many records, of which the first `sound` are lost at the first share.
    fn evidence(alike: Alike, shares: [f64; 2], sound: u32, records: u32, seed: u64) -> f64 {
        let (mut dice, mut habit, mut departure) = (Dice(seed), Habit::default(), Departure::default());
        let mut most: f64 = 0.0;
        for at in 0..records {
            let lost = f64::from(u8::from(dice.is(shares[usize::from(at >= sound)])));
            departure.add((lost, 1.0), &mut habit, &alike, &RECORDS, f64::INFINITY);
            most = most.max(departure.evidence());
        }
        most
    }

    #[test]
    fn what_always_was_so_is_no_evidence_however_much_it_is() {
        for share in [0.01, 0.03, 0.1, 0.2] {
            let worst = (1..=200).map(|seed| evidence(SOUND, [share; 2], 0, 1_000, seed * 7_919)).fold(0.0, f64::max);
            assert!(worst < 12.5, "{share}: {worst}");
        }
    }

    #[test]
    fn a_tenth_lost_by_one_that_lost_nothing_is_evidence_within_some_hundred_records() {
        let least = (1..=50).map(|seed| evidence(SOUND, [0.0, 0.1], 400, 600, seed * 7_919)).fold(f64::MAX, f64::min);
        assert!(least > 12.5, "{least}");
    }

    #[test]
    fn the_many_tell_what_a_short_past_can_not() {
        let (past, among) = (Habit { events: 3.0, exposure: 20.0 }, |chronic| Alike { usual: 1e-4, chronic });
        let [rare, common] = [among(1e-4).is_chronic(past, &RECORDS), among(0.1).is_chronic(past, &RECORDS)];
        assert!(common > rare && rare > 0.9, "{rare} {common}");
        assert!(among(0.1).is_chronic(Habit { events: 0.0, exposure: 500.0 }, &RECORDS) < 0.02);
    }

    #[test]
    fn a_long_past_is_forgotten_by_halves() {
        let mut habit = Habit { events: 40.0, exposure: 2_001.0 };
        habit.forget(2_000.0);
        assert_eq!(habit, Habit { events: 20.0, exposure: 1_000.5 });
    }
}
