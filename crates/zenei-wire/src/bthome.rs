//! Reads and writes advertisements: BTHome v2 service data (UUID 0xFCD2), plain or encrypted. It skips each object that
//! the telemetry contract does not name by the length that the standard gives it, so that it reads any BTHome sensor,
//! and reads the contract's objects by name.
//!
//! This folder must not know radios, clocks or the registry's files. `keyring` decides who may send for a lock, and
//! `listener` decides whether a counter is new. Called by the store's decoder of messages, by the gateway, by `scan`,
//! by `replay` and by simulators; firmware can use it.
mod address;
mod cipher;
mod format;
mod keyring;
pub mod listener;
mod object;
mod reading;
mod spooled;

pub use address::{Address, AddressError};
pub use cipher::{BindKey, BindKeyError};
pub use format::{LEGACY_BYTES, MAX_SERVICE_DATA_BYTES, OpenError, Payload, SERVICE_UUID};
pub use keyring::{Advertised, Keyring, Lock, NotAdvertised};
pub use listener::{Freshness, Half, Listener, Merged};
pub use object::{Object, Objects, length_of};
pub use reading::{Firmware, Reading, Set};
pub use spooled::{Advertisement, SpooledError};

use alloc::vec::Vec;
use format::VERSION;
use smallvec::SmallVec;

/// Bit 0 of the first byte: the rest is encrypted.
const ENCRYPTED: u8 = 1;
/// Bit 1: the sender's address follows, in reversed order.
const HAS_ADDRESS: u8 = 1 << 1;
/// Length of the counter before the MIC.
const COUNTER_BYTES: usize = 4;

/// An advertisement that could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The counter under which it was encrypted; `None` for a plain one, which anyone could have sent.
    pub counter: Option<u32>,
    /// Its fields.
    pub reading: Reading,
}

/// Reads service data: decrypts it if it is encrypted, then reads its objects. `heard_from` is the address that the
/// radio reports; an address inside the data takes precedence.
///
/// # Errors
/// See [`OpenError`].
pub fn open(service_data: &[u8], heard_from: Address, key: Option<&BindKey>) -> Result<Opened, OpenError> {
    let envelope = Envelope::read(service_data)?;
    if envelope.info & ENCRYPTED == 0 {
        return Ok(Opened { counter: None, reading: Reading::of(envelope.rest)? });
    }
    let sealed = Sealed::split(envelope.rest, service_data.len())?;
    let key = key.ok_or(OpenError::NoKey)?;
    let sender = envelope.sender.unwrap_or(heard_from);
    let nonce = cipher::nonce(sender, envelope.info, sealed.counter);
    let mut payload = Payload::from_slice(sealed.ciphertext);
    cipher::open(key, &nonce, &mut payload, sealed.mic).map_err(|cipher::NotAuthentic| OpenError::Forged)?;
    Ok(Opened { counter: Some(u32::from_le_bytes(sealed.counter)), reading: Reading::of(&payload)? })
}

/// Whether service data is marked as encrypted; false for bytes that are not service data.
pub fn is_encrypted(service_data: &[u8]) -> bool {
    service_data.first().is_some_and(|info| info & ENCRYPTED != 0)
}

/// The sender's address inside the data; `None` if it has none.
pub fn sender(service_data: &[u8]) -> Option<Address> {
    Envelope::read(service_data).ok()?.sender
}

/// Service data with these objects, in the clear.
pub fn plain(objects: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(1 + objects.len());
    data.push(VERSION << 5);
    data.extend_from_slice(objects);
    data
}

/// Service data with these objects, encrypted. A counter must be used once with a key: two texts under one counter
/// reveal each other.
pub fn sealed(objects: &[u8], sender: Address, key: &BindKey, counter: u32) -> Vec<u8> {
    let info = VERSION << 5 | ENCRYPTED;
    let mut data = Vec::with_capacity(1 + objects.len() + COUNTER_BYTES + cipher::MIC_BYTES);
    data.push(info);
    data.extend_from_slice(objects);
    let counter = counter.to_le_bytes();
    let mic = cipher::seal(key, &cipher::nonce(sender, info, counter), &mut data[1..]);
    data.extend_from_slice(&counter);
    data.extend_from_slice(&mic);
    data
}

/// A legacy advertisement with flags (general discoverable, no classic Bluetooth) and this service data; `None` where
/// it has no room.
pub fn advertising_data(service_data: &[u8]) -> Option<SmallVec<[u8; LEGACY_BYTES]>> {
    let mut bytes = SmallVec::from_slice(&[0x02, 0x01, 0x06]);
    let length = u8::try_from(service_data.len() + 3).ok()?;
    bytes.extend_from_slice(&[length, 0x16]);
    bytes.extend_from_slice(&SERVICE_UUID.to_le_bytes());
    bytes.extend_from_slice(service_data);
    (bytes.len() <= LEGACY_BYTES).then_some(bytes)
}

/// Service data without the bytes before its objects.
struct Envelope<'a> {
    info: u8,
    sender: Option<Address>,
    rest: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(service_data: &'a [u8]) -> Result<Self, OpenError> {
        let found = service_data.len();
        let least = |least: usize| OpenError::Length { found, least };
        if found > MAX_SERVICE_DATA_BYTES {
            return Err(least(1));
        }
        let (&info, rest) = service_data.split_first().ok_or(least(1))?;
        if info >> 5 != VERSION {
            return Err(OpenError::Version { found: info >> 5 });
        }
        if info & HAS_ADDRESS == 0 {
            return Ok(Self { info, sender: None, rest });
        }
        let (reversed, rest) = rest.split_first_chunk::<6>().ok_or(least(7))?;
        let mut address = *reversed;
        address.reverse();
        Ok(Self { info, sender: Some(Address(address)), rest })
    }
}

/// An encrypted payload in its parts.
struct Sealed<'a> {
    ciphertext: &'a [u8],
    counter: [u8; COUNTER_BYTES],
    mic: [u8; cipher::MIC_BYTES],
}

impl<'a> Sealed<'a> {
    fn split(rest: &'a [u8], found: usize) -> Result<Self, OpenError> {
        let least = found - rest.len() + COUNTER_BYTES + cipher::MIC_BYTES;
        let short = OpenError::Length { found, least };
        let (rest, &mic) = rest.split_last_chunk::<{ cipher::MIC_BYTES }>().ok_or(short)?;
        let (ciphertext, &counter) = rest.split_last_chunk::<COUNTER_BYTES>().ok_or(short)?;
        Ok(Self { ciphertext, counter, mic })
    }
}

#[cfg(test)]
mod tests;
