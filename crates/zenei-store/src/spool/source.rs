//! The sources of messages: a closed list, with the word and the number of each; the numbers are stored in the spool's
//! files. Must not know how a source works. Called by the gateway's sources and by the code that counts by source.
use serde::{Deserialize, Serialize};
use std::ops::{Index, IndexMut};

/// By which way a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// From the configured broker.
    Mqtt,
    /// From a hub or bridge that published straight to this gateway.
    Ingress,
    /// Over the air, Bluetooth LE.
    Ble,
    /// From a recording.
    Recording,
}

impl Source {
    /// Every source.
    pub const ALL: &'static [Self] = &[Self::Mqtt, Self::Ingress, Self::Ble, Self::Recording];

    /// The word in `/metrics` and in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Ingress => "ingress",
            Self::Ble => "ble",
            Self::Recording => "recording",
        }
    }

    /// The number in the spool's files.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Mqtt => 0,
            Self::Ingress => 1,
            Self::Ble => 2,
            Self::Recording => 3,
        }
    }

    pub(super) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|source| source.code() == code)
    }
}

/// A number for each source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BySource([u64; Source::ALL.len()]);

impl Index<Source> for BySource {
    type Output = u64;

    fn index(&self, source: Source) -> &u64 {
        &self.0[usize::from(source.code())]
    }
}

impl IndexMut<Source> for BySource {
    fn index_mut(&mut self, source: Source) -> &mut u64 {
        &mut self.0[usize::from(source.code())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_a_number_of_its_own() {
        let mut counts = BySource::default();
        for (&source, count) in Source::ALL.iter().zip(1..) {
            counts[source] = count;
        }
        assert!(Source::ALL.iter().zip(1..).all(|(&source, count)| counts[source] == count));
        assert!(Source::ALL.iter().all(|&source| Source::of_code(source.code()) == Some(source)));
    }
}
