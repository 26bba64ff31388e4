//! A received advertisement, its standing (whose it is, and whether it is valid) and the radio's counters: the values
//! that all files of this folder share. Must not know a radio, a queue or a registry.
use std::sync::atomic::AtomicU64;
use zenei_wire::bthome::Address;
use zenei_wire::{DbMilliwatts, GatewayTime};

/// One received advertisement with BTHome service data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// The sender's address, as the radio reports it.
    pub address: Address,
    /// Its received signal strength, where the system reports it.
    pub rssi_dbm: Option<DbMilliwatts>,
    /// The service data under UUID 0xFCD2, at most 252 bytes.
    pub service_data: Vec<u8>,
    /// When it was received.
    pub heard_at: GatewayTime,
}

/// Whether an advertisement is a registered lock's, and whether it is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its sender is not in the registry.
    Stranger,
    /// Its address is a registered lock's, but it can't be decoded, or the lock's key shows that another device sent
    /// it.
    Doubtful,
    /// From a registered lock that has no key, unencrypted: its origin can't be verified.
    Plain,
    /// From a registered lock, and authenticated with its key.
    Valid,
}

impl Standing {
    /// Whether it shows that the radio receives registered locks.
    pub(crate) fn shows_hearing(self) -> bool {
        match self {
            Self::Valid | Self::Plain => true,
            Self::Doubtful | Self::Stranger => false,
        }
    }
}

/// Judges an advertisement at reception, for the watchdog and for its place in the queue; the stored one is judged
/// again.
pub type Judge = Box<dyn Fn(&Advertisement) -> Standing + Send + Sync>;

/// The counters of a radio, since it was first opened.
#[derive(Debug, Default)]
pub struct RadioCounters {
    /// Advertisements with BTHome service data.
    pub heard: AtomicU64,
    /// Of these: from registered locks and authenticated with their keys, or unencrypted from a lock without a key.
    pub valid: AtomicU64,
    /// Of these: held back because the same bytes were received a short while ago.
    pub repeated: AtomicU64,
    /// Of these: dropped because newer ones took their room, or because too many came without a valid key.
    pub dropped: AtomicU64,
    /// Of these: longer than an advertisement can be.
    pub too_long: AtomicU64,
}
