//! Who is logged in? Sessions in memory only, each the stay of one token. Must not know a cookie's form, nor a request.
//! Called by the gate.
use super::tokens::{TokenError, fresh};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a session lasts; a guess: a working day.
pub(super) const LASTS: Duration = Duration::from_secs(12 * 3_600);
/// At most so many sessions; the one that ends first makes room. A guess, far above a support team.
const SESSIONS_MAX: usize = 1_000;

/// The sessions of one server. Only hashes of their secrets are kept.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

struct Session {
    token: [u8; 32],
    until: Duration,
}

impl Sessions {
    /// Opens a session of a token; returns its secret.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub(super) fn open(&self, token: [u8; 32], at: Duration) -> Result<String, TokenError> {
        let secret = fresh()?;
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.until > at);
        if sessions.len() >= SESSIONS_MAX {
            let first = sessions.iter().min_by_key(|(key, session)| (session.until, **key)).map(|(key, _)| *key);
            first.and_then(|key| sessions.remove(&key));
        }
        sessions.insert(key(&secret), Session { token, until: at + LASTS });
        Ok(secret)
    }

    /// The token whose session this is; `None` where there is none, or it has ended.
    pub(super) fn token(&self, secret: &str, at: Duration) -> Option<[u8; 32]> {
        self.lock().get(&key(secret)).filter(|session| session.until > at).map(|session| session.token)
    }

    /// Ends a session.
    pub(super) fn close(&self, secret: &str) {
        self.lock().remove(&key(secret));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_with_its_time_or_when_it_is_closed() {
        let sessions = Sessions::default();
        let [a, b] = [1, 2].map(|token| sessions.open([token; 32], Duration::ZERO).unwrap());
        assert_ne!(a, b);
        let last = LASTS - Duration::from_millis(1);
        assert_eq!((sessions.token(&a, last), sessions.token("", last)), (Some([1; 32]), None));
        assert_eq!(sessions.token(&a, LASTS), None);
        sessions.close(&b);
        assert_eq!(sessions.token(&b, Duration::ZERO), None);
    }

    #[test]
    fn there_are_at_most_so_many_and_the_oldest_makes_room() {
        let sessions = Sessions::default();
        let open = |at: usize| sessions.open([0; 32], Duration::from_secs(at as u64)).unwrap();
        let all: Vec<String> = (0..=SESSIONS_MAX).map(open).collect();
        let now = Duration::from_secs(SESSIONS_MAX as u64);
        assert_eq!(sessions.lock().len(), SESSIONS_MAX);
        assert!(sessions.token(&all[0], now).is_none() && sessions.token(&all[1], now).is_some());
    }
}
