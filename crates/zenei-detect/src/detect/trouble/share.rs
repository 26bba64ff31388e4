//! How often one kind of trouble happens to a lock, against its own past and the locks of its model. Must not know a
//! rule. Called by `trouble`.
use crate::estimate::excess::{ALTERNATIVES, Excess};
use serde::{Deserialize, Serialize};

/// Operations of a lock that are learned, not judged: three days of use. A guess.
pub(super) const LEARNED: f32 = 20.0;
/// Imagined operations at the model's share in a lock's own, where locks differ no more than by chance; a guess: a
/// month of use.
const OWN_WEIGHT: f64 = 200.0;
/// Imagined locks that differ so little, until the model's own have shown how they differ. A guess.
const ALIKE: f64 = 50.0;
/// Imagined operations at the prior share in a model's.
const MODEL_WEIGHT: f64 = 2_000.0;

/// The troubles of one kind of a model's locks.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Common {
    troubled: f64,
    operations: f64,
    /// Locks whose first operations are learned, the mean over them of the troubled share, and of its square, as sums.
    locks: f64,
    shares: f64,
    squares: f64,
}

/// The troubles of one kind of a lock.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Share {
    troubled: f32,
    excess: Excess,
}

impl Common {
    /// The share that is normal for the model, drawn to `prior`.
    pub(super) fn share(&self, prior: f64) -> f64 {
        (self.troubled + MODEL_WEIGHT * prior) / (self.operations + MODEL_WEIGHT)
    }

    /// The same without so many troubles of one lock.
    pub(super) fn share_without(&self, own: f64, prior: f64) -> f64 {
        ((self.troubled - own).max(0.0) + MODEL_WEIGHT * prior) / (self.operations + MODEL_WEIGHT)
    }

    /// Takes a lock's first operations. Of a binomial count k of n, k (k - 1) / (n (n - 1)) is the square of the share
    /// without bias.
    fn learn(&mut self, troubled: f64) {
        let operations = f64::from(LEARNED);
        self.locks += 1.0;
        self.shares += troubled / operations;
        self.squares += troubled * (troubled - 1.0) / (operations * (operations - 1.0));
    }

    /// How many operations at the model's share a lock's own are worth: the sum of a beta distribution's parameters
    /// with the mean and variance that the locks' shares have.
    fn own_weight(&self, share: f64) -> f64 {
        let alike = share * share + share * (1.0 - share) / (OWN_WEIGHT + 1.0);
        let locks = self.locks + ALIKE;
        let mean = (self.shares + ALIKE * share) / locks;
        let variance = (self.squares + ALIKE * alike) / locks - mean * mean;
        let weight = mean * (1.0 - mean) / variance.max(f64::MIN_POSITIVE) - 1.0;
        weight.clamp(1.0, OWN_WEIGHT)
    }
}

impl Share {
    /// Judges an operation after `operations` earlier ones of the lock.
    pub(super) fn judge(&mut self, troubled: bool, operations: f32, common: &Common, prior: f64) {
        let share = common.share(prior);
        let weight = common.own_weight(share);
        let own = (f64::from(self.troubled) + weight * share) / (f64::from(operations) + weight);
        let normal = own.max(share);
        self.excess.add(f64::from(u8::from(troubled)), normal, suspected(normal));
    }

    /// Learns it, as the lock's operation of this number, from 1.
    pub(super) fn learn(&mut self, troubled: bool, number: f32, common: &mut Common) {
        self.troubled += f32::from(u8::from(troubled));
        common.troubled += f64::from(u8::from(troubled));
        common.operations += 1.0;
        if number == LEARNED {
            common.learn(f64::from(self.troubled));
        }
    }

    /// The evidence against the normal share, nat.
    pub(super) fn evidence(&self) -> f64 {
        self.excess.evidence()
    }
}

/// The shares of a faulty lock: five times the normal one, or so often that people notice.
fn suspected(normal: f64) -> [f64; ALTERNATIVES] {
    [(5.0 * normal).min(0.9), 0.1, 0.3]
}
