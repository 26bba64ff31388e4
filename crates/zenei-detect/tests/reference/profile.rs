//! A slow version of `detect::profile`, over all profiles: the template and the usual distance are computed again from
//! the whole list at each operation.
use super::locks::Plan;
use super::stream::{Moment, Stream, streams};
use std::collections::BTreeMap;
use zenei_detect::fleet::DeviceIx;
use zenei_wire::{Body, EventKind, Op, OpKind, OpResult};

/// The profiles of one direction that were sampled in steps of so many ms.
struct Sampled {
    step_ms: u16,
    shapes: Vec<Vec<f64>>,
}

/// Sixteen evenly spaced points of the travel after the inrush, over their mean.
fn shape(op: &Op) -> Option<Vec<f64>> {
    let samples: Vec<f64> = op.current_ma.as_ref()?.samples().iter().map(|&sample| f64::from(sample)).collect();
    let step_ms = f64::from(op.sample_ms?);
    let sampled_ms = step_ms * (samples.len() as f64 - 1.0);
    let total_ms = op.duration_ms.map_or(sampled_ms + step_ms / 2.0, f64::from);
    if samples.len() < 8 || !(sampled_ms..=sampled_ms + 2.0 * step_ms).contains(&total_ms) {
        return None;
    }
    let last = samples.len() - 1;
    let at = |place: f64| {
        let (below, above) = (samples[place as usize], samples[(place as usize + 1).min(last)]);
        below + (above - below) * place.fract()
    };
    let along = (0..16).map(|at| 0.15 + 0.85 * (f64::from(at) + 0.5) / 16.0);
    let points: Vec<f64> = along.map(|along| at((along * total_ms / step_ms).min(last as f64))).collect();
    let mean = points.iter().sum::<f64>() / 16.0;
    (mean > 0.0).then(|| points.iter().map(|point| point / mean).collect())
}

/// The part that a decay at the start explains is removed from the template and from the shape; then the template's
/// contrast is fitted (drawn to 0 where the template is flat).
fn log_distance(template: &[f64], shape: &[f64]) -> f64 {
    let start: Vec<f64> = (0..16).map(|at| 0.65_f64.powi(at)).collect();
    let without_start = |row: Vec<f64>| -> Vec<f64> {
        let mean = start.iter().sum::<f64>() / 16.0;
        let common: f64 = row.iter().zip(&start).map(|(row, start)| row * (start - mean)).sum();
        let slope = common / start.iter().map(|start| (start - mean).powi(2)).sum::<f64>();
        row.iter().zip(&start).map(|(row, start)| row - slope * (start - mean)).collect()
    };
    let own = without_start(template.iter().map(|point| point - 1.0).collect());
    let apart = without_start(shape.iter().zip(template).map(|(shape, template)| shape - template).collect());
    let common: f64 = own.iter().zip(&apart).map(|(own, apart)| own * apart).sum();
    let squares: f64 = own.iter().map(|own| own * own).sum();
    let contrast = (common / (squares + 16.0 * 0.0004)).clamp(-0.6, 0.6);
    let left: f64 = apart.iter().zip(&own).map(|(apart, own)| (apart - contrast * own).powi(2)).sum();
    (left / 16.0).sqrt().max(0.005).ln()
}

/// How much farther than usual the last profile is from the earlier ones.
fn beyond(shapes: &[Vec<f64>]) -> Option<f64> {
    let (first, rest) = (shapes.get(..6)?, &shapes[6..]);
    let mut mean: Vec<f64> = (0..16).map(|at| first.iter().map(|shape| shape[at]).sum::<f64>() / 6.0).collect();
    let usual = rest.get(..4)?.iter().map(|shape| log_distance(&mean, shape)).sum::<f64>() / 4.0;
    let mut beyond = None;
    for shape in &rest[4..] {
        let by = log_distance(&mean, shape) - usual;
        if by < 0.7 {
            mean.iter_mut().zip(shape).for_each(|(mean, point)| *mean += 0.02 * (point - *mean));
        }
        beyond = Some(by);
    }
    beyond
}

/// Takes an operation; of two sampling steps the one with fewer profiles is replaced by a third; at most ten profiles
/// count.
fn take(sampled: &mut Vec<Sampled>, op: &Op) -> Option<f64> {
    let (shape, step_ms) = (shape(op)?, op.sample_ms?);
    let at = sampled.iter().position(|of| of.step_ms == step_ms).unwrap_or_else(|| {
        let new = Sampled { step_ms, shapes: Vec::new() };
        if sampled.len() < 2 {
            sampled.push(new);
            return sampled.len() - 1;
        }
        let at = usize::from(sampled[1].shapes.len().min(10) < sampled[0].shapes.len().min(10));
        sampled[at] = new;
        at
    });
    sampled[at].shapes.push(shape);
    beyond(&sampled[at].shapes)
}

/// How many operations had a shape to compare.
fn compare(stream: &Stream) -> usize {
    let (mut all, mut compared) = (BTreeMap::<(DeviceIx, OpKind), Vec<Sampled>>::new(), 0);
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => {
                let Body::Op(op) = &said.row.body else { continue };
                if op.op == OpKind::Calibrate || op.result != OpResult::Ok {
                    continue;
                }
                let slow = take(all.entry((said.device, op.op)).or_default(), op);
                let Some(fast) = said.operation.as_ref().map(|operation| operation.shape) else { continue };
                let near = fast.zip(slow).is_some_and(|(fast, slow)| (fast - slow).abs() < 1e-3);
                assert!(near || fast.or(slow).is_none(), "{}: {fast:?} {slow:?}", said.now_ms);
                compared += usize::from(near);
            }
            Moment::Happened(EventKind::Installed | EventKind::Moved, device) => all.retain(|(of, _), _| of != device),
            Moment::Happened(..) | Moment::Late(..) | Moment::Refused(..) | Moment::Close(..) => {}
        }
    }
    compared
}

#[test]
fn shapes_are_compared_as_by_all_profiles() {
    let compared: usize = streams(Plan::FEW).iter().map(compare).sum();
    assert!(compared > 1_000, "{compared}");
}
