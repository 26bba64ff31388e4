//! A received advertisement, its standing (whose it is, and whether it is valid) and the radio's counters: the values
//! that all files of this folder share. Must not know a radio, a queue or a registry.
use std::sync::atomic::AtomicU64;
use zenei_wire::bthome::Address;
use zenei_wire::{DbMilliwatts, GatewayTime};

/// One advertisement with BTHome service data, as it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Who sent it, as the radio names him.
    pub address: Address,
    /// How strong it was, where the system says so.
    pub rssi_dbm: Option<DbMilliwatts>,
    /// What stands under UUID 0xFCD2, at most 252 bytes.
    pub service_data: Vec<u8>,
    /// When it was heard.
    pub heard_at: GatewayTime,
}

/// Says whether an advertisement is a registered lock's, and whether it is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Of nobody in the registry.
    Stranger,
    /// Of a registered lock's address, but it can't be read, or its key says that somebody else sent it.
    Doubtful,
    /// Of a registered lock that has no key, in the clear: good as far as anybody can tell.
    Plain,
    /// Of a registered lock, and made with its key.
    Valid,
}

impl Standing {
    /// Whether it shows that the radio hears what it should.
    pub(crate) fn shows_hearing(self) -> bool {
        match self {
            Self::Valid | Self::Plain => true,
            Self::Doubtful | Self::Stranger => false,
        }
    }
}

/// Judges an advertisement as it is heard, for the watchdog and for the room that it gets; what is stored is judged
/// again.
pub type Judge = Box<dyn Fn(&Advertisement) -> Standing + Send + Sync>;

/// What a radio counts, since it was first opened.
#[derive(Debug, Default)]
pub struct RadioCounters {
    /// Advertisements with BTHome service data.
    pub heard: AtomicU64,
    /// Of these: of registered locks, and made with their keys; of a lock without one: in the clear.
    pub valid: AtomicU64,
    /// Of these: held back because the same was heard a short while ago.
    pub repeated: AtomicU64,
    /// Of these: dropped because newer ones took their room, or because too many are heard that no key vouches for.
    pub dropped: AtomicU64,
    /// Of these: longer than an advertisement can be.
    pub too_long: AtomicU64,
}
