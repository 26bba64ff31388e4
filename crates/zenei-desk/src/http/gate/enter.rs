//! A link that logs its first visitor in, for a demo on the own machine: who reads the terminal gets a session, and
//! nobody after. Must not know what is shown. Called by the router; a server without such a link has no such route.
use super::guarded::Guarded;
use super::login::set;
use super::need::Need;
use super::place::Gate;
use super::sessions::LASTS;
use axum::extract::{Path, State};
use axum::http::header::{LOCATION, REFERRER_POLICY, SET_COOKIE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

/// The route, where there is such a link.
pub(in crate::http) fn routes(gate: Gate) -> Guarded {
    if gate.settings().entry.is_none() {
        return Guarded::new();
    }
    Guarded::new().get("/enter/{secret}", Need::Open, enter).with_state(gate)
}

/// Leads to the board, with a session for the first who comes with the secret. Who asks for the head only, as what
/// looks at links does, leaves the link unused.
async fn enter(method: Method, State(gate): State<Gate>, Path(secret): Path<String>) -> Response {
    let entry = gate.settings().entry.as_ref().filter(|_| method == Method::GET);
    let token = entry.and_then(|entry| entry.take(&secret));
    let session = token.and_then(|token| gate.token(&token)).map(|token| gate.sessions().open(token.key(), gate.at()));
    let to = [(LOCATION, "/"), (REFERRER_POLICY, "no-referrer")];
    match session {
        Some(Ok(secret)) => {
            (StatusCode::SEE_OTHER, to, [(SET_COOKIE, set(&gate, &secret, LASTS.as_secs()))]).into_response()
        }
        Some(Err(_)) | None => (StatusCode::SEE_OTHER, to).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::{Pepper, Tokens, add};
    use super::super::{Entry, GateSettings, Role};
    use super::*;

    #[tokio::test]
    async fn the_link_logs_in_once_and_a_wrong_one_never() {
        let folder = tempfile::tempdir().unwrap();
        let (path, pepper) = (folder.path().join("tokens"), Pepper::open(&folder.path().join("pepper")).unwrap());
        let token = add(&path, &pepper, ("demo", Role::Admin, true), 0).unwrap();
        let (entry, link) = Entry::of(token).unwrap();
        let secret = link.strip_prefix("/enter/").unwrap().to_owned();
        assert_eq!(secret.len(), 64);
        let gate = Gate::new(GateSettings {
            tokens: Some(Tokens::new(path, pepper)),
            entry: Some(entry),
            ..GateSettings::of(([127, 0, 0, 1], 0).into())
        });
        let ask = async |method: Method, secret: String| {
            let answer = enter(method, State(gate.clone()), Path(secret)).await;
            assert!(answer.status() == StatusCode::SEE_OTHER && answer.headers()[LOCATION] == "/");
            answer.headers().contains_key(SET_COOKIE)
        };
        assert!(!ask(Method::GET, "0".repeat(64)).await);
        assert!(!ask(Method::HEAD, secret.clone()).await, "a look at the link does not use it");
        assert!(ask(Method::GET, secret.clone()).await);
        assert!(!ask(Method::GET, secret).await);
        assert!(routes(Gate::loopback()).routes().is_empty() && routes(gate).routes().len() == 1);
    }
}
