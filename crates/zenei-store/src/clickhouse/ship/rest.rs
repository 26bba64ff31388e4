//! The battery at rest before an operation: what the lock's last heartbeat said. With the lowest voltage under load it gives sag and resistance, which the
//! server's views can't find out themselves: they see one inserted block. Called while a range is loaded.
use crate::parquet::{ReadError, StoredBatch};
use std::collections::HashMap;
use zenei_detect::Heard;
use zenei_wire::Body;

/// The most locks that are remembered; those beyond have no sag. A guess: one gateway hears some ten thousand; about 100 bytes each.
const MAX_LOCKS: usize = 1 << 20;

/// Each lock's last voltage at rest, mV.
#[derive(Clone, Debug, Default)]
pub(super) struct RestVoltages(HashMap<Box<str>, u16>);

impl RestVoltages {
    /// Takes a row in the order of release; of an operation it says the voltage at rest before it.
    pub(super) fn see(&mut self, heard: &Heard<'_>, late: bool) -> Option<u16> {
        let device = heard.device.as_str();
        match &heard.record.body {
            Body::State(state) => {
                let battery_mv = state.battery_mv.filter(|_| !late)?.0;
                if let Some(known) = self.0.get_mut(device) {
                    *known = battery_mv;
                } else if self.0.len() < MAX_LOCKS {
                    self.0.insert(device.into(), battery_mv);
                }
                None
            }
            Body::Op(_) if !late => self.0.get(device).copied(),
            Body::Op(_) | Body::Error(_) | Body::Event(_) | Body::Gateway(_) => None,
        }
    }

    /// Takes the rows of a batch for what they say of later ones.
    pub(super) fn learn_all(&mut self, batch: &StoredBatch) -> Result<(), ReadError> {
        for at in 0..batch.len() {
            self.see(&batch.heard(at)?, batch.late(at));
        }
        Ok(())
    }
}
