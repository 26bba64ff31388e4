//! The usual run time of a lock's motor in one direction, and the runs that were longer than it needs. Must not know a
//! rule. Called by `trouble`.
use serde::{Deserialize, Serialize};

/// Operations that determine the usual run time of a lock's motor in one direction.
const FIRST: f32 = 8.0;
/// Weight of a new operation in the mean and the noise of the run time.
const SHARE: f32 = 0.03;
/// Least relative noise of the run time: the control loop's tick of some milliseconds in several hundred.
const NOISE_MIN: f32 = 0.012;
/// First relative noise. A guess that the lock's own operations replace.
const NOISE_FIRST: f32 = 0.05;
/// A current that is higher by less than this (logarithm) counts as no higher: the resolution of a current sense and
/// the scatter of a mean.
const IDLE_MA: f32 = 0.04;
/// Standard deviations of the run time that are unusual where the current is no higher.
const IDLE_SIGMAS: f32 = 4.0;
/// One operation moves the mean by at most so many times the noise.
const CLIP: f32 = 3.0;
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Drive {
    log_ms: f32,
    /// 0 until an operation has reported a current.
    log_ma: f32,
    noise: f32,
    count: f32,
}

/// The limits beyond which a run time is suspicious.
#[derive(Clone, Copy, Debug)]
pub(super) struct Longer {
    /// Logarithm of how much longer, whatever the current.
    pub(super) far: f32,
    /// The same where the current is no higher.
    pub(super) idle: f32,
    /// The least excess in standard deviations.
    pub(super) sigmas: f32,
}

impl Drive {
    /// Whether the motor ran no longer than usual, or not at all; `false` where the lock tells no run times, or too few
    /// to know its usual one.
    pub(super) fn is_usual(&self, duration_ms: Option<f64>, longer: Longer) -> bool {
        let least = longer.idle.max(IDLE_SIGMAS * self.noise);
        let slower = duration_ms.map(|duration| libm::log(duration.max(1.0)) as f32 - self.log_ms);
        self.count >= FIRST && slower.is_none_or(|slower| slower < least)
    }

    /// Takes the run time and the mean current; returns whether the run was longer than the lock needs.
    pub(super) fn add(&mut self, duration_ms: f64, mean_ma: Option<f64>, longer: Longer) -> bool {
        let log = |value: f64| libm::log(value.max(1.0)) as f32;
        if self.log_ma == 0.0 {
            self.log_ma = mean_ma.map_or(0.0, log);
        }
        let (log_ms, log_ma) = (log(duration_ms), mean_ma.map_or(self.log_ma, log));
        if self.count < FIRST {
            self.count += 1.0;
            self.noise = NOISE_FIRST;
            let first = self.count == 1.0;
            // The first operations may include a troubled one: a median would be better, a mean of bounded steps is
            // enough.
            let toward =
                |mean: f32, value: f32| if first { value } else { mean + (value - mean).clamp(-0.1, 0.1) / self.count };
            (self.log_ms, self.log_ma) = (toward(self.log_ms, log_ms), toward(self.log_ma, log_ma));
            return false;
        }
        let (slower, harder) = (log_ms - self.log_ms, log_ma - self.log_ma);
        let is_far = slower > longer.far.max(longer.sigmas * self.noise);
        let is_idle = mean_ma.is_some() && harder < IDLE_MA && slower > longer.idle.max(IDLE_SIGMAS * self.noise);
        let reach = CLIP * self.noise;
        let bounded = slower.clamp(-reach, reach);
        self.log_ms += SHARE * bounded;
        self.log_ma += SHARE * harder.clamp(-0.1, 0.1);
        if !(is_far || is_idle) {
            // For a Gaussian the mean of |x| is 0.8σ.
            self.noise = (self.noise + SHARE * (1.25 * bounded.abs() - self.noise)).max(NOISE_MIN);
        }
        is_far || is_idle
    }
}
