//! From two runs of a lock, with a fault and without, to the time at which the fault was detectable: likelihood ratios
//! on the scenario's stated noise, altered and missing records; and the first failure that a person noticed. Must not
//! know the detector. Called by `truth`.
use crate::calendar::DAY_MS;
use crate::fault::Ramp;
use crate::message::{Beat, Fate, Listener, Message};
use crate::operation::Observed;

/// Log likelihood ratio from which a fault is detectable: ln(10,000), as the fleet benchmark defines it.
const DETECTABLE: f64 = 9.2;
/// How many records must be missing where none should be: each is worth one unit of the expected log likelihood ratio
/// (a Poisson rate that falls to 0).
const MISSING: usize = 10;

/// The lowest assumed loss of a link: one record in a million.
const LINK_BEST: f64 = 1e-6;

/// Which observation shows a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statistic {
    MeanCurrent,
    /// The current's profile, as far as it is reported.
    Shape,
    /// Attempts that fail.
    Attempts,
    Resistance,
    RestVoltage,
    Heap,
}

/// The true course of one run of a lock.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) operations: Vec<Observed>,
    pub(super) beats: Vec<Beat>,
    pub(super) said: Vec<(i64, Fate)>,
    pub(super) versions: Vec<(i64, usize)>,
}

impl Listener for Trace {
    const MESSAGES: bool = false;
    fn message(&mut self, _: Message) {}
    fn operation(&mut self, observed: &Observed) {
        self.operations.push(*observed);
    }
    fn beat(&mut self, beat: &Beat) {
        self.beats.push(*beat);
    }
    fn said(&mut self, at_ms: i64, fate: Fate) {
        self.said.push((at_ms, fate));
    }
    fn runs_version(&mut self, at_ms: i64, version: usize) {
        self.versions.push((at_ms, version));
    }
}

/// Evidence at a time.
pub(super) type Evidence = (i64, f64);

/// When the sum of this evidence, in order of time, reaches the threshold.
pub(super) fn enough(mut evidence: Vec<Evidence>) -> Option<i64> {
    evidence.sort_by_key(|(at_ms, _)| *at_ms);
    let mut sum = 0.0;
    evidence.into_iter().find_map(|(at_ms, more)| {
        sum += more;
        (sum >= DETECTABLE).then_some(at_ms)
    })
}

/// The evidence of one lock. `healthy` is the probability that an attempt of a sound lock fails.
pub(super) fn of(faulty: &Trace, sound: &Trace, statistic: Statistic, healthy: f64) -> Vec<Evidence> {
    let operations = pairs(faulty, sound).filter(|(faulty, sound)| faulty.measured && sound.measured);
    let each = |one: &dyn Fn(&Observed, &Observed) -> f64| {
        operations.map(|(faulty, sound)| (faulty.at_ms, one(faulty, sound))).collect()
    };
    match statistic {
        Statistic::MeanCurrent => each(&|faulty, sound| shift(faulty.mean_ma, sound.mean_ma)),
        Statistic::Resistance => each(&|faulty, sound| shift(faulty.ohm, sound.ohm)),
        Statistic::Shape => each(&shape),
        Statistic::Attempts => each(&|faulty, sound| {
            if sound.failing < faulty.failing { bernoulli(faulty.failing.max(healthy), healthy) } else { 0.0 }
        }),
        Statistic::RestVoltage => beats(faulty, sound, |beat| beat.rest_mv),
        Statistic::Heap => beats(faulty, sound, |beat| beat.heap_b),
    }
}

/// ½(Δμ/σ)² of one observation.
fn shift([faulty, _]: [f64; 2], [sound, sigma]: [f64; 2]) -> f64 {
    0.5 * ((faulty - sound) / sigma).powi(2)
}

/// The same over a profile, as if it had one sample a segment; the difference common to all samples is removed, since
/// the mean current already counts it.
fn shape(faulty: &Observed, sound: &Observed) -> f64 {
    if !(faulty.profile && sound.profile) {
        return 0.0;
    }
    let apart = faulty.loads_ma.iter().zip(&sound.loads_ma).map(|(faulty, sound)| f64::from(faulty - sound));
    let count = faulty.loads_ma.len() as f64;
    let mean = apart.clone().sum::<f64>() / count;
    apart.map(|apart| 0.5 * ((apart - mean) / sound.load_noise_ma).powi(2)).sum()
}

/// The expected log likelihood ratio of one trial (Kullback-Leibler divergence of two Bernoulli variables).
fn bernoulli(faulty: f64, sound: f64) -> f64 {
    let term = |faulty: f64, sound: f64| if faulty > 0.0 { faulty * (faulty / sound).ln() } else { 0.0 };
    term(faulty, sound) + term(1.0 - faulty, 1.0 - sound)
}

/// The evidence of requests of which this share meets an error, where `sound` of them do without a fault.
pub(super) fn requests(share: f64, sound: f64, at_ms: impl Iterator<Item = i64>) -> Vec<Evidence> {
    let each = bernoulli(share.clamp(sound, 0.999), sound);
    at_ms.map(|at_ms| (at_ms, each)).collect()
}

/// Pairs heartbeats of two runs by number: a dead lock has none.
fn beats(faulty: &Trace, sound: &Trace, value: impl Fn(&Beat) -> [f64; 2]) -> Vec<Evidence> {
    let mut others = sound.beats.iter().peekable();
    let mut evidence = Vec::new();
    for beat in &faulty.beats {
        while others.next_if(|other| other.number < beat.number).is_some() {}
        if let Some(other) = others.next_if(|other| other.number == beat.number) {
            evidence.push((beat.at_ms, shift(value(beat), value(other))));
        }
    }
    evidence
}

/// Pairs the operations of two runs by number.
fn pairs<'a>(faulty: &'a Trace, sound: &'a Trace) -> impl Iterator<Item = (&'a Observed, &'a Observed)> {
    faulty.operations.iter().zip(&sound.operations)
}

/// When a person first notices.
pub(super) fn customer(faulty: &Trace, sound: &Trace) -> Option<i64> {
    let noticed = |(faulty, sound): &(&Observed, &Observed)| faulty.person && !faulty.good && sound.good;
    pairs(faulty, sound).find(noticed).map(|(faulty, _)| faulty.at_ms)
}

/// When the first altered record (a wrong clock, a field that drifted) from a given time on is received; an earlier one
/// belongs to another fault. A held record counts as received when it was made: backlogs are short beside the days that
/// matter here.
pub(super) fn first_altered(trace: &Trace, from_ms: i64) -> Option<i64> {
    trace.said.iter().find(|(at_ms, fate)| *at_ms >= from_ms && *fate == Fate::Altered).map(|(at_ms, _)| *at_ms)
}

/// The evidence of a link's records, where a sound link loses the share `sound`. Duplicates are no evidence: delivery
/// is at least once, so brokers and gateways duplicate records of sound locks too, without a bound.
pub(super) fn link(trace: &Trace, sound: f64, ramp: &Ramp) -> Vec<Evidence> {
    let sound = sound.max(LINK_BEST);
    let sent = trace.said.iter().filter(|(at_ms, _)| ramp.is_on(*at_ms));
    sent.map(|&(at_ms, _)| (at_ms, bernoulli((sound + ramp.value(at_ms)).min(0.999), sound))).collect()
}

/// The times of records that were not received when they were due.
pub(super) fn unheard(trace: &Trace, from_ms: i64, until_ms: i64) -> impl Iterator<Item = i64> {
    let missing = move |(at_ms, fate): &&(i64, Fate)| {
        (from_ms..until_ms).contains(at_ms) && matches!(fate, Fate::Lost | Fate::Held)
    };
    trace.said.iter().filter(missing).map(|(at_ms, _)| *at_ms)
}

/// When so many records are missing that chance does not explain it.
pub(super) fn silent(mut missing: Vec<i64>) -> Option<i64> {
    missing.sort_unstable();
    missing.get(MISSING - 1).copied()
}

/// When the expected log likelihood ratio of the pooled counts reaches the bound: each lock adds `rate · (r ln r - r +
/// 1)` a day from when it has the version, the Poisson counterpart of ½(Δμ/σ)². `since`: when each lock had it, with
/// its factor of the rate.
pub(super) fn rate(since: &[(i64, f64)], per_day: f64, factor: f64) -> Option<i64> {
    let mut since = since.to_vec();
    since.sort_by_key(|(since_ms, _)| *since_ms);
    let per_lock_day = per_day * if factor > 0.0 { factor * factor.ln() - factor + 1.0 } else { 1.0 };
    let (mut evidence, mut slope, mut at_ms) = (0.0, 0.0, since.first()?.0);
    for (next_ms, errors) in since.iter().copied().chain([(i64::MAX, 0.0)]) {
        let days_left: f64 = (DETECTABLE - evidence) / slope;
        let days = (next_ms - at_ms) as f64 / DAY_MS as f64;
        if slope > 0.0 && days_left <= days {
            return Some(at_ms + (days_left * DAY_MS as f64) as i64);
        }
        evidence += slope * days;
        (slope, at_ms) = (slope + per_lock_day * errors, next_ms);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_adds_up_in_order_of_time() {
        assert_eq!(enough(vec![(30, 5.0), (10, 4.0), (20, 1.0)]), Some(30));
        assert_eq!(enough(vec![(10, 9.1)]), None);
    }

    #[test]
    fn a_doubled_probability_is_told_later_than_a_tenfold_one() {
        assert!(bernoulli(0.02, 0.01) < bernoulli(0.1, 0.01) && bernoulli(0.01, 0.01).abs() < 1e-12);
        // 0.1 ln 10 + 0.9 ln(0.9/0.99)
        assert!((bernoulli(0.1, 0.01) - 0.14448).abs() < 1e-4);
    }

    #[test]
    fn a_link_is_told_by_what_it_loses() {
        let ramp = |strength| Ramp { onset_ms: 50, until_ms: 80, ramp_ms: 0.0, strength, power: 1.0, holds: true };
        let trace = Trace { said: (0..100).map(|at_ms| (at_ms, Fate::Sent)).collect(), ..Trace::default() };
        let known = |strength| enough(link(&trace, 3e-4, &ramp(strength)));
        assert_eq!(link(&trace, 3e-4, &ramp(0.1)).len(), 30);
        assert!(known(0.25) < known(0.1) && known(0.1).is_some() && known(0.003).is_none());
    }

    #[test]
    fn pooled_rates_are_told_sooner_the_more_locks_have_them() {
        let locks = |count: usize| vec![(0, 1.0); count];
        let (few, many) = (rate(&locks(10), 0.2, 3.0).unwrap(), rate(&locks(100), 0.2, 3.0).unwrap());
        // 9.2 / (10 · 0.2 · (3 ln 3 - 2)) days
        assert!((few as f64 / DAY_MS as f64 - 3.55).abs() < 0.01 && (few - 10 * many).abs() < 100);
        assert!(rate(&locks(10), 0.2, 1.2).unwrap() > 30 * few);
    }
}
