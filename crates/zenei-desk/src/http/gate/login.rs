//! Logging in and out: a token is exchanged for the cookie of a session. Must not know what the form looks like; the
//! page shows it. Called by the router.
use super::caller::{Caller, How};
use super::guard::{encoded, too_many};
use super::guarded::Guarded;
use super::need::Need;
use super::origin::{PublicUrl, is_forwarded};
use super::place::{COOKIE_NAME, Gate, Peer, cookie};
use super::sessions::LASTS;
use crate::http::problem::problem;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

/// The longest form, bytes: a token and a path.
const FORM_MAX_BYTES: usize = 4 << 10;
/// The longest path to go on to, bytes; a guess.
const NEXT_MAX: usize = 1_024;

/// The routes.
pub(in crate::http) fn routes(gate: Gate) -> Guarded {
    Guarded::new()
        .post("/login", Need::Open, login)
        .post("/logout", Need::Open, logout)
        .body_max(FORM_MAX_BYTES)
        .with_state(gate)
}

/// The form; what else it holds is no matter.
#[derive(Deserialize)]
struct Login {
    token: String,
    /// The path to go on to.
    #[serde(default)]
    next: String,
}

async fn login(
    State(gate): State<Gate>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    form: Result<Form<Login>, FormRejection>,
) -> Response {
    let Login { token, next } = match form {
        Ok(Form(login)) => login,
        Err(error) => return problem(error.status(), &error.body_text()),
    };
    let next = inner(&next);
    let Some(token) = gate.token(token.trim()) else {
        return match gate.count_mistake(peer.ip()) {
            Ok(()) => {
                tracing::warn!(peer = %peer.ip(), "what is no token was presented");
                to(&format!("/login?failed=1&next={}", encoded(next)))
            }
            Err(seconds) => too_many(seconds),
        };
    };
    // Each login takes a place among the sessions, and a row: a token may not take all.
    let is_near = peer.ip().is_loopback() && !is_forwarded(&headers);
    if let Err(seconds) = gate.count(&format!("token {}", token.name), is_near, true) {
        return too_many(seconds);
    }
    let Ok(secret) = gate.sessions().open(token.key(), gate.at()) else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "the system gives no randomness; nobody can log in now");
    };
    if let Some(audit) = &gate.settings().audit {
        let caller = Caller { name: token.name, role: token.role, residents: token.residents, how: How::Session };
        let kept = async {
            let number = audit.begin(&caller, "POST", ("/login", "/login")).await?;
            audit.end(number, StatusCode::SEE_OTHER.as_u16(), None).await
        };
        if let Err(error) = kept.await {
            tracing::error!(error = zenei_store::with_causes(&error), "a login is not in the audit log");
        }
    }
    let cookie = set(&gate, &secret, LASTS.as_secs());
    (StatusCode::SEE_OTHER, [(LOCATION, next.to_owned()), (SET_COOKIE, cookie)]).into_response()
}

async fn logout(State(gate): State<Gate>, headers: HeaderMap) -> Response {
    if let Some(secret) = cookie(&headers) {
        gate.sessions().close(secret);
    }
    (StatusCode::SEE_OTHER, [(LOCATION, "/login".to_owned()), (SET_COOKIE, set(&gate, "", 0))]).into_response()
}

pub(super) fn set(gate: &Gate, secret: &str, seconds: u64) -> String {
    let secure = if gate.public_url().is_some_and(PublicUrl::is_https) { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn to(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, path.to_owned())]).into_response()
}

/// The path, if it is one of this server; else the board's.
fn inner(next: &str) -> &str {
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_ours = next.starts_with('/') && !next.starts_with("//") && next.len() <= NEXT_MAX;
    if is_plain && is_ours { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_a_page_of_this_server_only() {
        for good in ["/", "/locks/BL1?a=1", "/a//b"] {
            assert_eq!(inner(good), good);
        }
        for bad in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nset-cookie: x", "/雪"] {
            assert_eq!(inner(bad), "/", "{bad}");
        }
    }
}
