//! A list with one state (lane) for each lock, which grows as locks appear, and a list of the locks that a window has
//! to judge: most locks need no judgement in an hour. Must not know a rule. Called by the detectors and by `profile`.
use crate::fleet::DeviceIx;
use serde::{Deserialize, Serialize};

/// The lane of this lock, made where it is new.
pub fn lane<L: Default>(lanes: &mut Vec<L>, device: DeviceIx) -> &mut L {
    let at = device.0 as usize;
    if lanes.len() <= at {
        lanes.resize_with(at + 1, L::default);
    }
    &mut lanes[at]
}

/// Resets a lock's lane.
pub fn forget<L: Default>(lanes: &mut [L], device: DeviceIx) {
    if let Some(lane) = lanes.get_mut(device.0 as usize) {
        *lane = L::default();
    }
}

/// Locks to look at when the window closes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Suspects {
    listed: Vec<DeviceIx>,
}

impl Suspects {
    /// Lists a lock; one that is already the last of the list is not added again.
    pub fn add(&mut self, device: DeviceIx) {
        if self.listed.last() != Some(&device) {
            self.listed.push(device);
        }
    }

    /// Takes the listed locks, each once, ascending; the list is empty afterwards.
    pub fn take(&mut self) -> Vec<DeviceIx> {
        let mut listed = core::mem::take(&mut self.listed);
        listed.sort_unstable();
        listed.dedup();
        listed
    }
}
