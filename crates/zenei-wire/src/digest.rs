//! Computes ids that anyone can recompute: the first 16 bytes of SHA-256 over length-prefixed parts. An id is never
//! random and never depends on a clock. Must not know what the parts mean. Called for the ids of anomalies, decisions,
//! rules, incidents and advertisement records, the fingerprint, and the digests of migrations.
use core::fmt;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A 128-bit id; written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "alloc::string::String", try_from = "alloc::string::String")]
pub struct Id(pub u128);

impl Id {
    /// The id of these parts: the first 16 bytes, big endian, of SHA-256 over each part's length (4 bytes, big endian)
    /// and bytes.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(u128::from_be_bytes(first))
    }

    /// The id that these 32 lower-case hex digits write; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(is_hex) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Id> for alloc::string::String {
    fn from(id: Id) -> Self {
        alloc::format!("{id}")
    }
}

impl TryFrom<alloc::string::String> for Id {
    type Error = &'static str;
    fn try_from(text: alloc::string::String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("an id is 32 lower-case hex digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_one_another() {
        assert_ne!(Id::of(&[b"ab", b"c"]), Id::of(&[b"a", b"bc"]));
    }

    #[test]
    fn an_id_reads_back_what_it_writes() {
        let id = Id::of(&[b"lock"]);
        assert_eq!(Id::parse(&alloc::format!("{id}")), Some(id));
        assert_eq!(Id::parse("ABC"), None);
    }
}
