//! A lane for each lock, grown as locks appear. Called by the detectors.
use crate::fleet::DeviceIx;

/// The lane of this lock, made where it is new.
pub fn lane<L: Default>(lanes: &mut Vec<L>, device: DeviceIx) -> &mut L {
    let at = device.0 as usize;
    if lanes.len() <= at {
        lanes.resize_with(at + 1, L::default);
    }
    &mut lanes[at]
}

/// Forgets a lock's lane.
pub fn forget<L: Default>(lanes: &mut [L], device: DeviceIx) {
    if let Some(lane) = lanes.get_mut(device.0 as usize) {
        *lane = L::default();
    }
}
