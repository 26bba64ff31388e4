//! AES-128-CCM with a MIC of 4 bytes, as BTHome v2 uses it: the nonce is address, UUID, first byte and counter; there
//! is no additional authenticated data. Must not know objects. Called by `open` and `sealed` alone; the keyring holds
//! the keys.
use super::address::{Address, hex};
use super::format::SERVICE_UUID;
use aes::Aes128;
use ccm::aead::array::Array;
use ccm::consts::{U4, U13};
use ccm::{AeadInOut as _, Ccm, KeyInit as _};
use core::fmt;
use core::str::FromStr;

pub(super) const MIC_BYTES: usize = 4;
const NONCE_BYTES: usize = 13;

/// The key that a lock shares with its gateways: 16 bytes, one per lock. Never displayed.
#[derive(Clone, PartialEq, Eq)]
pub struct BindKey([u8; 16]);

/// A text that is not a bind key. The error does not contain the text: it may be most of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has {digits} hex digits and {others} other characters; a bind key is 32 hex digits")]
pub struct BindKeyError {
    /// How many hex digits it has.
    pub digits: usize,
    /// How many other characters.
    pub others: usize,
}

impl BindKey {
    /// The key of these bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// 8 bytes that distinguish this key from another and reveal nothing of it.
    pub fn mark(&self) -> u64 {
        // Half of a hash of 128 bits.
        (crate::Id::of(&[b"zenei bind key", &self.0]).0 >> 64) as u64
    }
}

impl fmt::Debug for BindKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BindKey(not shown)")
    }
}

impl FromStr for BindKey {
    type Err = BindKeyError;

    /// Reads 32 hex digits; white space around them is no part of them.
    fn from_str(text: &str) -> Result<Self, BindKeyError> {
        let text = text.trim();
        let digits = text.chars().filter(char::is_ascii_hexdigit).count();
        let others = text.chars().count() - digits;
        let bytes = text.as_bytes();
        let mut key = [0; 16];
        let (pairs, _) = bytes.as_chunks::<2>();
        if bytes.len() != 32 {
            return Err(BindKeyError { digits, others });
        }
        for (byte, [high, low]) in key.iter_mut().zip(pairs) {
            let (Some(high), Some(low)) = (hex(*high), hex(*low)) else {
                return Err(BindKeyError { digits, others });
            };
            *byte = high << 4 | low;
        }
        Ok(Self(key))
    }
}

/// Bytes that this key has not encrypted, or that were changed.
#[derive(Debug)]
pub(super) struct NotAuthentic;

pub(super) fn nonce(sender: Address, info: u8, counter: [u8; 4]) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[..6].copy_from_slice(&sender.0);
    nonce[6..8].copy_from_slice(&SERVICE_UUID.to_le_bytes());
    nonce[8] = info;
    nonce[9..].copy_from_slice(&counter);
    nonce
}

/// Decrypts in place.
pub(super) fn open(
    key: &BindKey,
    nonce: &[u8; NONCE_BYTES],
    bytes: &mut [u8],
    mic: [u8; MIC_BYTES],
) -> Result<(), NotAuthentic> {
    ccm(key).decrypt_inout_detached(&Array(*nonce), &[], bytes.into(), &Array(mic)).map_err(|_| NotAuthentic)
}

/// Encrypts in place; gives the MIC.
pub(super) fn seal(key: &BindKey, nonce: &[u8; NONCE_BYTES], bytes: &mut [u8]) -> [u8; MIC_BYTES] {
    let mic = ccm(key).encrypt_inout_detached(&Array(*nonce), &[], bytes.into());
    // Fails only for texts over 64 KiB, which no advertisement has; the result would have a MIC that no receiver
    // accepts.
    mic.map_or([0; MIC_BYTES], |mic| mic.0)
}

fn ccm(key: &BindKey) -> Ccm<Aes128, U4, U13> {
    Ccm::new(&Array(key.0))
}
