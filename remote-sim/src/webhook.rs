//! What would a receiver of Standard Webhooks 1.0.0 have answered, and what would it have kept? It verifies each
//! signature with its own code. Must not know who calls. Called through [`crate::Server`].
use crate::http::{Answer, Request};
use crate::server::Remote;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeSet;

/// How many calls it keeps; one more is refused.
const HOOKS_MAX: usize = 50_000;
/// The prefix of a secret.
const PREFIX: &str = "whsec_";

/// A call whose signature was right.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// `webhook-id`, which is the same at each retry.
    pub id: String,
    /// `webhook-timestamp`, in seconds.
    pub timestamp: String,
    /// `content-type`.
    pub content_type: String,
    /// The body.
    pub body: Value,
}

/// The stand-in.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    /// The secret, `whsec_` and base64; `None` takes calls without a signature.
    pub secret: Option<String>,
    /// The status code of a call that is taken; 0 means 204. 410 tells the sender to stop.
    pub taken: u16,
    /// Every call that was taken, the repeated ones too.
    pub calls: Vec<Hook>,
    /// How many calls had a wrong signature or none.
    pub refused: u32,
}

impl Receiver {
    /// One with this secret.
    pub fn new(secret: &str) -> Self {
        Self { secret: Some(secret.to_owned()), ..Self::default() }
    }

    /// The calls without those that repeat an id, as a receiver that deduplicates sees them.
    pub fn distinct(&self) -> Vec<&Hook> {
        let mut seen = BTreeSet::new();
        self.calls.iter().filter(|hook| seen.insert(hook.id.as_str())).collect()
    }

    fn is_signed(&self, request: &Request) -> bool {
        let Some(secret) = &self.secret else {
            return true;
        };
        let Ok(key) = STANDARD.decode(secret.strip_prefix(PREFIX).unwrap_or(secret)) else {
            return false;
        };
        let mut signed =
            format!("{}.{}.", request.header("webhook-id"), request.header("webhook-timestamp")).into_bytes();
        signed.extend_from_slice(&request.body);
        let fits = |signature: &str| {
            let Some(given) = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok()) else {
                return false;
            };
            Hmac::<Sha256>::new_from_slice(&key).is_ok_and(|mut mac| {
                mac.update(&signed);
                mac.verify_slice(&given).is_ok()
            })
        };
        request.header("webhook-signature").split(' ').any(fits)
    }
}

impl Remote for Receiver {
    fn answer(&mut self, request: &Request) -> Answer {
        if request.method != "POST" {
            return Answer::json(405, json!({}));
        }
        let named = !request.header("webhook-id").is_empty() && !request.header("webhook-timestamp").is_empty();
        if self.secret.is_some() && !(named && self.is_signed(request)) {
            self.refused += 1;
            return Answer::json(401, json!({ "error": "the signature does not fit" }));
        }
        if self.calls.len() >= HOOKS_MAX {
            return Answer::json(507, json!({ "error": "full" }));
        }
        self.calls.push(Hook {
            id: request.header("webhook-id").to_owned(),
            timestamp: request.header("webhook-timestamp").to_owned(),
            content_type: request.header("content-type").to_owned(),
            body: request.json(),
        });
        Answer::text(if self.taken == 0 { 204 } else { self.taken }, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn call(receiver: &mut Receiver, id: &str, signature: &str, body: &str) -> u16 {
        let headers = BTreeMap::from([
            ("webhook-id".to_owned(), id.to_owned()),
            ("webhook-timestamp".to_owned(), "1614265330".to_owned()),
            ("webhook-signature".to_owned(), signature.to_owned()),
        ]);
        let body = body.as_bytes().to_vec();
        receiver.answer(&Request { method: "POST".into(), headers, body, ..Request::default() }).status
    }

    #[test]
    fn the_vector_of_the_reference_library_is_taken_and_any_change_is_refused() {
        // The vector of the test of sign() in the reference libraries of Standard Webhooks.
        let mut receiver = Receiver::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        let right = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(call(&mut receiver, id, right, body), 204);
        assert_eq!(call(&mut receiver, id, &format!("v1,bm90aGluZw== {right}"), body), 204, "a rotated key");
        assert_eq!(call(&mut receiver, id, right, r#"{"test": 2432232315}"#), 401);
        assert_eq!(call(&mut receiver, "other", right, body), 401);
        assert_eq!(call(&mut receiver, id, "v1,", body), 401);
        assert_eq!((receiver.calls.len(), receiver.distinct().len(), receiver.refused), (2, 1, 3));
    }
}
