//! Measures how much a motor current profile differs from the lock's own template: gear wear shows as bumps before the
//! mean moves. It is no detector; the detector `profile_shape` of `drift` watches its result.
//!
//! A profile is read at evenly spaced points of the travel's time and divided by its mean, so that weather, voltage and
//! friction, which scale it, cancel. Two effects of them remain: the contrast (where the bolt's friction falls beside
//! the gear's, all bumps become lower together), and the rest of the inrush at the start (which changes with the run's
//! time). Both are fitted and removed. The first profiles of each direction make the template, the next ones its usual
//! distance; after that, profiles near the usual distance move the template slowly. A profile with another sampling
//! step has a template of its own. The result is a logarithm. Must not know a rule. Called by the engine.
use super::lanes::{forget, lane};
use crate::fleet::DeviceIx;
use crate::lock::{DIRECTIONS, direction};
use serde::{Deserialize, Serialize};
use zenei_wire::{Op, OpResult};

/// Points of a template.
const POINTS: usize = 16;
/// The share of the time at the start that is left out: the inrush decays within one mechanical time constant (tens of
/// ms) and hides the load.
const START: f64 = 0.15;
/// Profiles that make a template.
const FIRST: f32 = 6.0;
/// Profiles that make a template and its usual distance.
const KNOWN: f32 = 10.0;
/// The number of sampling steps with a template of their own: a firmware that fills a fixed number of samples changes
/// it when the lock slows down.
const STEPS: usize = 2;
/// Weight of a new profile in a complete template: seasons and a battery's life are followed, wear of weeks is not.
const FOLLOW: f32 = 0.02;
/// Only profiles within this factor of the usual distance (as a logarithm; about twice) change the template.
const NEAR: f64 = 0.7;
/// The fewest samples of a usable profile.
const SAMPLES_MIN: usize = 8;
/// Least distance: the resolution of a current sense, half a percent.
const DISTANCE_MIN: f64 = 0.005;

/// A template's contrast is moved by so much at most, up or down: seasons change friction by tens of percent. A guess.
const CONTRAST: f64 = 0.6;
/// A template that is flatter than this (root mean square) has no contrast to fit: twice what a current sense scatters
/// in a sample. A guess.
const FLAT: f64 = 0.02;
/// The rest of the inrush after the start, falling by a third from point to point (about 60 ms of a run of 600), less
/// its mean: a slow motor's inrush lasts longer. The rate is a guess; the fit also removes most of a faster or slower
/// decay.
const INRUSH: [f64; POINTS] = {
    let (mut mode, mut sum, mut at) = ([1.0; POINTS], 1.0, 1);
    while at < POINTS {
        mode[at] = mode[at - 1] * DECAY;
        sum += mode[at];
        at += 1;
    }
    while at > 0 {
        at -= 1;
        mode[at] -= sum / POINTS as f64;
    }
    mode
};
const DECAY: f64 = 0.65;

/// The templates of all locks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Profiles {
    lanes: Vec<[[Template; STEPS]; DIRECTIONS]>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Template {
    points: [f32; POINTS],
    count: f32,
    /// Mean logarithm of the distance.
    usual: f32,
    step_ms: u16,
}

impl Profiles {
    /// Takes an operation; gives the logarithm of its distance (root mean square) over the usual one, where it has a
    /// profile and its template is complete.
    pub fn take(&mut self, device: DeviceIx, op: &Op) -> Option<f64> {
        let direction = direction(op.op)?;
        if op.result != OpResult::Ok {
            return None;
        }
        let points = shape(op)?;
        let step_ms = op.sample_ms?;
        let templates = &mut lane(&mut self.lanes, device)[direction];
        let at = templates.iter().position(|template| template.step_ms == step_ms).unwrap_or_else(|| {
            // The one with fewer profiles makes room.
            let at = usize::from(templates[1].count < templates[0].count);
            templates[at] = Template { step_ms, ..Template::default() };
            at
        });
        templates[at].take(points)
    }

    /// Removes the templates: another lock, or another door.
    pub fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.lanes, device);
    }
}

impl Template {
    fn take(&mut self, points: [f32; POINTS]) -> Option<f64> {
        if self.count < FIRST {
            self.count += 1.0;
            for (mean, point) in self.points.iter_mut().zip(points) {
                *mean += (point - *mean) / self.count;
            }
            return None;
        }
        let distance = self.distance(&points);
        let log = libm::log(distance.max(DISTANCE_MIN));
        if self.count < KNOWN {
            self.count += 1.0;
            self.usual += (log as f32 - self.usual) / (self.count - FIRST);
            return None;
        }
        let beyond = log - f64::from(self.usual);
        if beyond < NEAR {
            self.points.iter_mut().zip(points).for_each(|(mean, point)| *mean += FOLLOW * (point - *mean));
        }
        Some(beyond)
    }
}

impl Template {
    /// Root mean square of the residual from the template with the best contrast and inrush.
    fn distance(&self, points: &[f32; POINTS]) -> f64 {
        let (mut own, mut apart, mut inrush) = (0.0, 0.0, 0.0);
        let (mut own_apart, mut inrush_apart, mut own_inrush) = (0.0, 0.0, 0.0);
        for ((&mean, &point), decay) in self.points.iter().zip(points).zip(INRUSH) {
            let (mean, left) = (f64::from(mean - 1.0), f64::from(point - mean));
            own += mean * mean;
            apart += left * left;
            inrush += decay * decay;
            own_apart += mean * left;
            inrush_apart += decay * left;
            own_inrush += mean * decay;
        }
        let drawn = own + POINTS as f64 * FLAT * FLAT;
        let contrast = (own_apart * inrush - inrush_apart * own_inrush) / (drawn * inrush - own_inrush * own_inrush);
        let contrast = contrast.clamp(-CONTRAST, CONTRAST);
        let start = (inrush_apart - contrast * own_inrush) / inrush;
        let explained = 2.0 * (contrast * own_apart + start * inrush_apart - contrast * start * own_inrush)
            - contrast * contrast * own
            - start * start * inrush;
        libm::sqrt((apart - explained).max(0.0) / POINTS as f64)
    }
}

/// The profile at the points, divided by its mean there.
fn shape(op: &Op) -> Option<[f32; POINTS]> {
    let profile = op.current_ma.as_ref()?;
    let samples = profile.samples();
    let step_ms = f64::from(op.sample_ms?);
    if samples.len() < SAMPLES_MIN || step_ms <= 0.0 {
        return None;
    }
    let sampled_ms = step_ms * (samples.len() - 1) as f64;
    // The last sample is within one step of the end; without a run time, half a step is assumed.
    let total_ms = op.duration_ms.map_or(sampled_ms + 0.5 * step_ms, f64::from);
    // A run time that is longer than the profile belongs to several attempts, of which the profile shows one.
    if total_ms < sampled_ms || total_ms > sampled_ms + 2.0 * step_ms {
        return None;
    }
    let mut points = [0.0_f32; POINTS];
    for (at, point) in points.iter_mut().enumerate() {
        let along = START + (1.0 - START) * (at as f64 + 0.5) / POINTS as f64;
        let place = (along * total_ms / step_ms).min((samples.len() - 1) as f64);
        let (below, share) = (place as usize, place.fract());
        let next = (below + 1).min(samples.len() - 1);
        *point = (f64::from(samples[below]) * (1.0 - share) + f64::from(samples[next]) * share) as f32;
    }
    let mean = points.iter().sum::<f32>() / POINTS as f32;
    (mean > 0.0).then(|| points.map(|point| point / mean))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_wire::{OpKind, Profile};

    fn op(scale: f64, bump: f64) -> Op {
        let samples: Vec<u16> = (0..18)
            .map(|at| {
                let at = f64::from(at);
                let load = 280.0 + 300.0 * libm::exp(-at) + if (9.0..11.0).contains(&at) { bump } else { 0.0 };
                (scale * load) as u16
            })
            .collect();
        Op {
            duration_ms: Some(710),
            current_ma: Profile::new(&samples),
            sample_ms: Some(40),
            ..Op::of(OpKind::Lock, OpResult::Ok)
        }
    }

    #[test]
    fn a_profile_that_is_only_larger_is_like_the_template_and_one_with_a_bump_is_not() {
        let mut profiles = Profiles::default();
        for _ in 0..10 {
            assert_eq!(profiles.take(DeviceIx(0), &op(1.0, 0.0)), None);
        }
        let like = profiles.take(DeviceIx(0), &op(1.4, 0.0)).unwrap();
        let worn = profiles.take(DeviceIx(0), &op(1.0, 60.0)).unwrap();
        assert!(libm::exp(like) < 1.5 && libm::exp(worn) > 5.0, "{like} {worn}");
        let other_steps = Op { sample_ms: Some(41), duration_ms: Some(730), ..op(1.0, 60.0) };
        assert_eq!(profiles.take(DeviceIx(0), &other_steps), None);
        assert!(profiles.take(DeviceIx(0), &op(1.0, 60.0)).is_some());
    }

    #[test]
    fn bumps_that_all_become_lower_and_a_longer_start_are_the_weather_and_one_that_moves_is_not() {
        let with = |height: f32, from: usize| -> [f32; POINTS] {
            let bump = |at: usize| if (from..from + 3).contains(&at) { height } else { 0.0 };
            std::array::from_fn(|at| 1.0 - 3.0 * height / POINTS as f32 + bump(at))
        };
        let template = Template { points: with(0.4, 9), ..Template::default() };
        let distance = |height, from| template.distance(&with(height, from));
        assert!(distance(0.3, 9) < 0.005, "{}", distance(0.3, 9));
        let slower: [f32; POINTS] = std::array::from_fn(|at| with(0.4, 9)[at] + 0.2 * libm::expf(-(at as f32) / 3.0));
        let mean = slower.iter().sum::<f32>() / POINTS as f32;
        assert!(template.distance(&slower.map(|point| point / mean)) < 0.01);
        assert!(distance(0.4, 6) > 0.1 && distance(0.05, 9) > 0.02, "{} {}", distance(0.4, 6), distance(0.05, 9));
    }

    #[test]
    fn what_shows_no_shape_is_passed_over() {
        assert!(shape(&Op { current_ma: None, ..op(1.0, 0.0) }).is_none());
        assert!(shape(&Op { current_ma: Profile::new(&[300; 5]), ..op(1.0, 0.0) }).is_none());
        assert!(shape(&Op { duration_ms: Some(1_400), ..op(1.0, 0.0) }).is_none());
        assert!(shape(&Op { current_ma: Profile::new(&[0; 18]), ..op(1.0, 0.0) }).is_none());
    }
}
