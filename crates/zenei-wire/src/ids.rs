//! Names that come from outside: sites, devices, gateways. They are checked once, here; all other code may rely on the
//! charset. Must not know which names exist. Called by topics, the keyring, the store, the gateway and the
//! configuration.
use alloc::boxed::Box;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The longest name, in bytes (telemetry contract).
pub const MAX_NAME_BYTES: usize = 64;

/// A checked name that borrows its bytes: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a>(&'a str);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No byte at all.
    #[error("is empty; 1 to 64 of A-Z a-z 0-9 . _ - are allowed")]
    Empty,
    /// More bytes than allowed.
    #[error("has {found} bytes; 1 to 64 are allowed")]
    TooLong {
        /// How many bytes it has.
        found: usize,
    },
    /// A character outside the charset.
    #[error("has the character {found:?} at byte {at}; only A-Z a-z 0-9 . _ - are allowed")]
    BadCharacter {
        /// The character.
        found: char,
        /// Its byte position.
        at: usize,
    },
}

impl Name<'static> {
    /// The name of a device or site that has no name.
    pub const UNKNOWN: Self = Self("unknown");
}

impl<'a> Name<'a> {
    /// Checks a text.
    ///
    /// # Errors
    /// The fault of the text, see [`NameError`].
    pub fn new(text: &'a str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong { found: text.len() });
        }
        let bad = text.char_indices().find(|(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')));
        match bad {
            Some((at, found)) => Err(NameError::BadCharacter { found, at }),
            None => Ok(Self(text)),
        }
    }

    /// The text.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

macro_rules! owned_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);
        impl $name {
            /// Checks a text and stores a copy.
            ///
            /// # Errors
            /// The fault of the text, see [`NameError`].
            pub fn new(text: &str) -> Result<Self, NameError> {
                Name::new(text).map(Self::from)
            }
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<Name<'_>> for $name {
            fn from(name: Name<'_>) -> Self {
                Self(name.as_str().into())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = alloc::borrow::Cow::<str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

owned_name!(
    /// A lock's (or any device's) id: the third level of its topic.
    DeviceId);
owned_name!(
    /// A site's id: the second level of a topic after the version.
    SiteId);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString as _;

    #[test]
    fn names_are_1_to_64_of_the_charset() {
        let longest = "a".repeat(MAX_NAME_BYTES);
        for name in ["a", "BL0000123", "tokyo-01", "A.b_c-9", "..", longest.as_str()] {
            assert_eq!(Name::new(name).map(Name::as_str), Ok(name));
            assert_eq!(DeviceId::new(name).unwrap().as_str(), name);
            assert_eq!(SiteId::from(Name::new(name).unwrap()).to_string(), name);
        }
    }

    #[test]
    fn what_is_no_name_is_told() {
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(Name::new(&"a".repeat(65)), Err(NameError::TooLong { found: 65 }));
        for (text, found, at) in
            [("a b", ' ', 1), ("a/b", '/', 1), ("+", '+', 0), ("ab#", '#', 2), ("錠", '錠', 0), ("a\0", '\0', 1)]
        {
            assert_eq!(Name::new(text), Err(NameError::BadCharacter { found, at }), "{text:?}");
        }
    }

    #[test]
    fn an_owned_name_is_checked_when_it_is_read_back() {
        let id: DeviceId = serde_json::from_str("\"BL1\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"BL1\"");
        let refused = serde_json::from_str::<DeviceId>("\"a b\"").unwrap_err();
        assert!(format!("{refused}").starts_with("has the character ' ' at byte 1"), "{refused}");
    }
}
