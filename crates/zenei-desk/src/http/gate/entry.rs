//! The secret of a link that logs its first visitor in, until it is used. Must not know a request. Called by the route
//! of the link, and by the demo, which makes one.
use super::tokens::{TokenError, fresh_hex};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// The link, until it is used.
pub struct Entry(Mutex<Option<(blake3::Hash, String)>>);

impl Entry {
    /// A link that opens a session of this token, and its path: `/enter/` and 64 hexadecimal digits.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub fn of(token: String) -> Result<(Self, String), TokenError> {
        let secret = fresh_hex()?;
        let path = format!("/enter/{secret}");
        Ok((Self(Mutex::new(Some((blake3::hash(secret.as_bytes()), token)))), path))
    }

    /// The token, if this is the secret and it was not used; compared in constant time.
    pub(super) fn take(&self, secret: &str) -> Option<String> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (hash, _) = left.as_ref()?;
        if *hash != blake3::hash(secret.as_bytes()) {
            return None;
        }
        left.take().map(|(_, token)| token)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry(secret)")
    }
}
