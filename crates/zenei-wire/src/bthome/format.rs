//! The numbers and limits of BTHome v2, and the reasons why service data can't be read. Must not know objects or keys.
//! Called by the files of this folder and by the gateway's radio.
use smallvec::SmallVec;

/// The service's UUID of 16 bits, which the Bluetooth SIG assigned to the BTHome project.
pub const SERVICE_UUID: u16 = 0xFCD2;
/// The most bytes of service data: what one element of an extended advertisement holds (Bluetooth Core 5.4, vol. 3 part
/// C, 11: a length of one byte, less type and UUID). Legacy ones have at most 31 bytes in all.
pub const MAX_SERVICE_DATA_BYTES: usize = 252;
/// The most bytes of a legacy advertisement (Bluetooth Core 5.4, vol. 6 part B, 2.3.1.1).
pub const LEGACY_BYTES: usize = 31;
/// Bits 5 to 7: the version.
pub(super) const VERSION: u8 = 2;

/// The objects of an advertisement in the clear.
pub type Payload = SmallVec<[u8; LEGACY_BYTES]>;

/// Why service data can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Too short for its first byte, or longer than any advertisement.
    #[error("the service data has {found} bytes; {least} to {MAX_SERVICE_DATA_BYTES} are allowed")]
    Length {
        /// How many it has.
        found: usize,
        /// How many it needs.
        least: usize,
    },
    /// Another version of the format.
    #[error("the service data is of BTHome version {found}; version {VERSION} is allowed")]
    Version {
        /// Which one.
        found: u8,
    },
    /// It is encrypted, and no key was given.
    #[error("the advertisement is encrypted, and the lock's bind key is not known")]
    NoKey,
    /// Its MIC does not match the key: forged, damaged, or encrypted with another key.
    #[error("the advertisement's MIC is not that of the lock's bind key")]
    Forged,
    /// An object ends beyond the end of the data.
    #[error("object 0x{id:02x} at byte {at} has {found} bytes; it needs {needed}")]
    Cut {
        /// Its id.
        id: u8,
        /// The position of its id among the objects.
        at: usize,
        /// How many bytes are left for its value.
        found: usize,
        /// How many its value needs.
        needed: usize,
    },
}
