//! The battery at rest before an operation: what the lock's last heartbeat or authenticated advertisement said. With the lowest voltage under load it gives sag and resistance, which the
//! server's views can't find out themselves: they see one inserted block. Called while a range is loaded.
use crate::parquet::{ReadError, StoredBatch};
use std::collections::HashMap;
use zenei_detect::Heard;
use zenei_wire::Body;

/// The most locks that are remembered; those beyond have no sag. A guess: one gateway hears some ten thousand; about 100 bytes each.
const MAX_LOCKS: usize = 1 << 20;

/// Each lock's last voltage at rest, mV.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RestVoltages(HashMap<Box<str>, u16>);

impl RestVoltages {
    /// Takes a row in the order of release; of an operation it says the voltage at rest before it.
    pub(super) fn see(&mut self, heard: &Heard<'_>, late: bool) -> Option<u16> {
        let device = heard.device.as_str();
        match &heard.record.body {
            Body::State(state) => {
                self.told(device, state.battery_mv.filter(|_| !late)?.0);
                None
            }
            // Anybody can advertise in a lock's name.
            Body::Adv(adv) if heard.authenticated => {
                self.told(device, adv.battery_mv?.0);
                None
            }
            Body::Op(_) if !late => self.0.get(device).copied(),
            Body::Op(_) | Body::Error(_) | Body::Event(_) | Body::Gateway(_) | Body::Adv(_) => None,
        }
    }

    fn told(&mut self, device: &str, battery_mv: u16) {
        if let Some(known) = self.0.get_mut(device) {
            *known = battery_mv;
        } else if self.0.len() < MAX_LOCKS {
            self.0.insert(device.into(), battery_mv);
        }
    }

    /// What is remembered, as bytes: of each lock the length of its id, the id, the voltage in mV little endian.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (device, battery_mv) in &self.0 {
            // An id has at most 64 bytes; one that had more would be forgotten, not cut.
            if let Ok(length) = u8::try_from(device.len()) {
                bytes.push(length);
                bytes.extend_from_slice(device.as_bytes());
                bytes.extend_from_slice(&battery_mv.to_le_bytes());
            }
        }
        bytes
    }

    /// The other way; `None` where the bytes are no such list.
    pub(super) fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut read = Self::default();
        while let Some((&length, rest)) = bytes.split_first() {
            let (device, rest) = rest.split_at_checked(length.into())?;
            let (battery_mv, rest) = rest.split_first_chunk()?;
            read.0.insert(str::from_utf8(device).ok()?.into(), u16::from_le_bytes(*battery_mv));
            bytes = rest;
        }
        Some(read)
    }

    /// Takes the rows of a batch for what they say of later ones.
    pub(super) fn learn_all(&mut self, batch: &StoredBatch) -> Result<(), ReadError> {
        for at in 0..batch.len() {
            self.see(&batch.heard(at)?, batch.late(at));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_comes_back_and_a_cut_list_is_none() {
        let locks = [("BL1", 2900), ("BL-22", 0), ("x", u16::MAX)];
        let rest = RestVoltages(locks.into_iter().map(|(device, mv)| (device.into(), mv)).collect());
        let bytes = rest.to_bytes();
        assert_eq!(RestVoltages::from_bytes(&bytes), Some(rest));
        assert_eq!(RestVoltages::from_bytes(&[]), Some(RestVoltages::default()));
        for length in 1..bytes.len() {
            assert!(RestVoltages::from_bytes(&bytes[..length]).is_none_or(|read| read.0.len() < locks.len()));
        }
        assert_eq!(RestVoltages::from_bytes(&bytes[..bytes.len() - 1]), None);
    }
}
