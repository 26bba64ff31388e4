//! Of which kinds a lock's troubles are, against those of its model: a part that fails does so in one way or another,
//! and three troubles of the usual mix are more likely chance than three of a kind that is rare. Must not know a rule.
//! Called by `trouble`.
use serde::{Deserialize, Serialize};

/// The kinds of trouble whose shares are judged: each of them, a stall, a jam. A part that fails in one way stands out
/// in a share that is nearly nothing, where all kinds together hide it.
pub(super) const KINDS: usize = 3;

/// Troubles by kind: of all others, stalls, jams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Mix {
    counts: [u16; KINDS],
    against: f32,
}

impl Mix {
    /// Takes a trouble: whether it is of any kind, a stall, a jam; `share` of those in the operations of the model's
    /// locks, without so many of this one.
    pub(super) fn add(&mut self, kinds: [bool; KINDS], share: impl Fn(usize, f64) -> f64) {
        let [others, stalls, jams] = self.counts.map(f64::from);
        let (all, stalls, jams) = (share(0, others + stalls + jams), share(1, stalls), share(2, jams));
        let each = [all - stalls - jams, stalls, jams].map(|share| share.max(f64::MIN_POSITIVE));
        let kind = (1..KINDS).find(|&kind| kinds[kind]).unwrap_or(0);
        self.counts[kind] = self.counts[kind].saturating_add(1);
        let total = each.iter().sum::<f64>();
        // Any mix is as likely of a fault as any other: a Dirichlet distribution of parameters 1.
        let (mut gain, mut all) = (libm::lgamma(KINDS as f64), KINDS as f64);
        for (&count, share) in self.counts.iter().zip(each) {
            let count = f64::from(count);
            gain += libm::lgamma(count + 1.0) - count * libm::log(share / total);
            all += count;
        }
        self.against = (libm::lgamma(all) - gain).max(0.0) as f32;
    }

    /// How much less likely a fault makes this mix than chance does, natural logarithm, 0 or more.
    pub(super) fn against(&self) -> f64 {
        f64::from(self.against)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: [f64; KINDS] = [0.000_56, 0.000_01, 0.000_38];

    fn against(troubles: &[usize]) -> f64 {
        let mut mix = Mix::default();
        for &kind in troubles {
            mix.add([true, kind == 1, kind == 2], |kind, _| SHARES[kind]);
        }
        mix.against()
    }

    #[test]
    fn the_usual_mix_speaks_against_a_fault_and_what_is_rare_does_not() {
        let [mixed, jams, others, stalls] = [&[2, 0, 2], &[2, 2, 2], &[0, 0, 0], &[1, 1, 1]].map(|of| against(of));
        assert!(mixed > 1.4 && mixed > jams && jams > 1.0, "{mixed} {jams}");
        assert!(others == 0.0 && stalls == 0.0, "{others} {stalls}");
    }
}
