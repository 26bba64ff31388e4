//! Writes and reads an advertisement as a message of the spool: the topic has the sender (`ble-` and the address), the
//! payload has the signal strength and the service data. Must not know the spool. Written by the radio's source, by
//! `scan` and by `replay`; read by the keyring and by `scan`.
use super::address::{Address, STRANGER};
use super::format::MAX_SERVICE_DATA_BYTES;
use crate::units::DbMilliwatts;
use alloc::string::String;
use alloc::vec::Vec;

/// The value for an unknown signal strength, as a controller reports it (Bluetooth Core 5.4, vol. 4 part E, 7.7.65.2).
const NO_RSSI: i8 = 127;

/// An advertisement with the service data of BTHome, as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement<'a> {
    /// The sender's address, as the radio reports it.
    pub address: Address,
    /// Its signal strength, if the receiver reported it.
    pub rssi_dbm: Option<DbMilliwatts>,
    /// The service data under UUID 0xFCD2.
    pub service_data: &'a [u8],
}

/// A message that is no advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpooledError {
    /// A topic without an address.
    #[error("the topic is not ble- and an address")]
    Topic,
    /// No byte, or more than an advertisement has.
    #[error("the message has {found} bytes; 1 to {allowed} are allowed", allowed = MAX_SERVICE_DATA_BYTES + 1)]
    Length {
        /// How many it has.
        found: usize,
    },
}

impl<'a> Advertisement<'a> {
    /// Its topic in the spool: the device id that an address in no registry has.
    pub fn topic(&self) -> String {
        self.address.stranger_name()
    }

    /// Its payload in the spool: the strength in dBm (127: not known), then the service data.
    pub fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(1 + self.service_data.len());
        payload.push(self.rssi_dbm.map_or(NO_RSSI, |rssi| rssi.0).cast_unsigned());
        payload.extend_from_slice(self.service_data);
        payload
    }

    /// The advertisement of such a message.
    ///
    /// # Errors
    /// See [`SpooledError`].
    pub fn read(topic: &str, payload: &'a [u8]) -> Result<Self, SpooledError> {
        let digits = topic.strip_prefix(STRANGER).filter(|digits| digits.len() == 12);
        let address: Address = digits.and_then(|digits| digits.parse().ok()).ok_or(SpooledError::Topic)?;
        let length = SpooledError::Length { found: payload.len() };
        let (&rssi, service_data) = payload.split_first().ok_or(length)?;
        if service_data.len() > MAX_SERVICE_DATA_BYTES {
            return Err(length);
        }
        let rssi = rssi.cast_signed();
        Ok(Self { address, rssi_dbm: (rssi != NO_RSSI).then_some(DbMilliwatts(rssi)), service_data })
    }
}
