//! Is a request Slack's, and is it new? Slack signs each (`v0`, HMAC-SHA-256 over time and body); an old or unsigned
//! one changes nothing, and one that came before is not carried out again. Must not know what a request asks for.
//! Called by [`super`].
use crate::notify::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use zenei_wire::EngineTime;

/// How far a request's time may be from ours, in seconds, by Slack's documentation.
const SKEW_MAX_S: u64 = 300;
/// How long a request is remembered, ms: as long as its signature may count, which can be ahead of our time as well.
const REMEMBERED_MS: i64 = 2 * 300 * 1_000;
/// How many requests are remembered; the oldest go first. A guess: one a second for a quarter of an hour.
const REMEMBERED_MAX: usize = 1_024;

/// Whether this is Slack's signature of the body at this time (seconds since 1970), and the time is ours to 5 minutes.
/// The comparison takes the same time wherever it differs.
pub fn verifies(secret: &Secret, at: &str, body: &[u8], signature: &str, now: EngineTime) -> bool {
    let is_number = at.len() <= 12 && at.bytes().all(|byte| byte.is_ascii_digit());
    let Some(seconds) = at.parse::<i64>().ok().filter(|_| is_number) else {
        return false;
    };
    if now.ms().div_euclid(1_000).abs_diff(seconds) > SKEW_MAX_S {
        return false;
    }
    let given = signature.strip_prefix("v0=").and_then(bytes_of_hex);
    let mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes());
    match (given, mac) {
        (Some(given), Ok(mut mac)) => {
            for part in [b"v0:", at.as_bytes(), b":", body] {
                mac.update(part);
            }
            mac.verify_slice(&given).is_ok()
        }
        (Some(_) | None, _) => false,
    }
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pairs = (0..text.len()).step_by(2);
    is_hex.then(|| pairs.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()).flatten()
}

/// The requests of the last minutes that were carried out. In memory: after a restart a request of the last 5 minutes
/// that somebody recorded and sends again would be carried out again.
#[derive(Debug, Default)]
pub struct Remembered(Mutex<VecDeque<([u8; 32], i64)>>);

impl Remembered {
    /// Whether no request with this body came in the last minutes; it is remembered from now on. Slack gives each
    /// command and each press an id of its own (`trigger_id`), so that two bodies are equal only where one is sent
    /// twice.
    pub fn is_new(&self, body: &[u8], now: EngineTime) -> bool {
        let digest: [u8; 32] = Sha256::digest(body).into();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, at_ms)| now.ms().saturating_sub(*at_ms) <= REMEMBERED_MS);
        if known.iter().any(|(other, _)| *other == digest) {
            return false;
        }
        if known.len() >= REMEMBERED_MAX {
            known.pop_front();
        }
        known.push_back((digest, now.ms()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of the example in Slack's documentation.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

    #[test]
    fn the_signature_of_slacks_documentation_verifies_and_any_change_does_not() {
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
                    &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
                    &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554\
                    %2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        let at = 1_531_420_618_i64;
        let check = |secret: &str, at: &str, body: &str, signature: &str, now_s: i64| {
            verifies(&Secret::from(secret), at, body.as_bytes(), signature, EngineTime(now_s * 1_000))
        };
        for (late_s, is_right) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
            assert_eq!(check(SECRET, "1531420618", body, signature, at + late_s), is_right, "{late_s} s late");
        }
        assert!(!check("other", "1531420618", body, signature, at));
        assert!(!check(SECRET, "1531420619", body, signature, at));
        assert!(!check(SECRET, "1531420618", &body.replace("text=", "text=x"), signature, at));
        for wrong in ["", "v0=", "v0=zz", &signature[..66], &signature.replace("v0", "v1"), &format!("{signature}00")] {
            assert!(!check(SECRET, "1531420618", body, wrong, at), "{wrong:?}");
        }
        for odd in ["", "-1", "+1531420618", "1531420618 ", "9999999999999999999"] {
            assert!(!check(SECRET, odd, body, signature, at), "{odd:?}");
        }
    }

    #[test]
    fn a_request_is_new_once_in_ten_minutes_and_the_memory_is_bounded() {
        let remembered = Remembered::default();
        let is_new = |body: &str, now_s: i64| remembered.is_new(body.as_bytes(), EngineTime(now_s * 1_000));
        assert!(is_new("a", 0) && !is_new("a", 600) && is_new("b", 600));
        assert!(is_new("a", 601), "it is forgotten when no signature of it can count");
        for more in 0..2_000 {
            assert!(is_new(&more.to_string(), 700));
        }
        assert_eq!(remembered.0.lock().unwrap().len(), REMEMBERED_MAX);
    }
}
