//! Which request goes wrong, and how? The same seed gives the same schedule. Must not know which service it disturbs.
//! Called by the server, once for each request.
use std::time::Duration;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// 500, and nothing was done.
    Failed,
    /// 500, although the request was carried out.
    FailedLate,
    /// 429 with `Retry-After`, and nothing was done.
    Limited,
    /// The answer comes late, by [`Faults::slow_for`].
    Slow,
    /// The request is carried out, and the connection ends without an answer.
    Dropped,
}

/// How often each fault occurs, each in 0..=1000 of 1,000 requests; their sum is at most 1,000, and what is left of it
/// are requests without a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// From which the schedule is drawn.
    pub seed: u64,
    /// Per mille of [`Fault::Failed`].
    pub failed: u16,
    /// Per mille of [`Fault::FailedLate`].
    pub failed_late: u16,
    /// Per mille of [`Fault::Limited`].
    pub limited: u16,
    /// Per mille of [`Fault::Slow`].
    pub slow: u16,
    /// Per mille of [`Fault::Dropped`].
    pub dropped: u16,
    /// The `Retry-After` of a 429, in seconds.
    pub retry_after_s: u32,
    /// How late a slow answer is.
    pub slow_for: Duration,
}

impl Faults {
    /// None at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// The mixture that tests of delivery use: 10 % each of 500, late 500 and 429, 5 % slow by 20 ms, 30 % dropped
    /// after they were carried out.
    pub fn mixed(seed: u64) -> Self {
        Self {
            seed,
            failed: 100,
            failed_late: 100,
            limited: 100,
            slow: 50,
            dropped: 300,
            retry_after_s: 1,
            slow_for: Duration::from_millis(20),
        }
    }

    /// The fault of the request with this number, from 0.
    pub fn draw(&self, number: u64) -> Fault {
        let drawn = scattered(self.seed, number) % 1_000;
        let kinds = [
            (self.failed, Fault::Failed),
            (self.failed_late, Fault::FailedLate),
            (self.limited, Fault::Limited),
            (self.slow, Fault::Slow),
            (self.dropped, Fault::Dropped),
        ];
        let mut below = 0;
        for (per_mille, fault) in kinds {
            below += u64::from(per_mille);
            if drawn < below {
                return fault;
            }
        }
        Fault::None
    }
}

/// A number that appears unrelated to `seed` and `number` (splitmix64; Steele, Lea and Flood 2014).
fn scattered(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_schedule_and_each_fault_has_its_share() {
        let draw = |seed| {
            let faults = Faults::mixed(seed);
            (0..10_000).map(|number| faults.draw(number)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let drawn = draw(7);
        let count = |fault| drawn.iter().filter(|drawn| **drawn == fault).count();
        for (fault, share) in
            [(Fault::Dropped, 3_000), (Fault::Failed, 1_000), (Fault::Slow, 500), (Fault::None, 3_500)]
        {
            assert!(count(fault).abs_diff(share) < 200, "{fault:?} came {} times", count(fault));
        }
        assert!((0..1_000).all(|number| Faults::none().draw(number) == Fault::None));
    }
}
