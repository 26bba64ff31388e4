//! Does a request pass? The one place that decides who may ask what, and that keeps who changed what. Must not know
//! what a route does. A layer around every route of [`super::Guarded`].
use super::audit::Subject;
use super::caller::{Caller, How};
use super::need::{Need, Route};
use super::origin::{self, From};
use super::place::{Gate, Peer, Shown, network};
use crate::http::problem::problem;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// How long a request may take, its body too, unless its answer is a stream; a guess, ten times the slowest page.
const WITHIN: Duration = Duration::from_secs(30);

/// The gate as one route meets it.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) gate: Gate,
    pub(super) route: Route,
}

/// Lets a request through, or answers in its place.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let number = guard.gate.number_request();
    let (method, path) = (request.method().clone(), guard.route.path);
    let (caller, response) = match guard.admit(&request) {
        Ok(caller) => {
            let response = guard.carry_out(caller.clone(), request, next).await;
            (caller, response)
        }
        Err(refused) => {
            let Refused { caller, answer } = *refused;
            if let (true, Some(caller)) = (guard.route.changes(), &caller) {
                guard.keep_refusal(caller, request.uri().path().to_owned(), answer.status()).await;
            }
            (caller, answer)
        }
    };
    let (status, name) = (response.status().as_u16(), caller.as_ref().map_or("", |caller| caller.name.as_str()));
    if guard.route.changes() {
        tracing::info!(request = number, %method, path, status, name, "a request that changes something is answered");
    } else {
        tracing::debug!(request = number, %method, path, status, name, "a request is answered");
    }
    with_number(response, number)
}

/// Why a request does not pass.
struct Refused {
    /// Who asked, where that is known by a token or a session.
    caller: Option<Caller>,
    answer: Response,
}

impl Guard {
    /// Who asks, if they may; `None` where nobody needs to be known, and is not.
    fn admit(&self, request: &Request) -> Result<Option<Caller>, Box<Refused>> {
        let (headers, public) = (request.headers(), self.gate.public_url());
        let peer = peer(request);
        if self.gate.is_on_loopback() && !origin::is_for_loopback(headers, request.uri(), public) {
            return Err(refuse(
                StatusCode::MISDIRECTED_REQUEST,
                "the host is not one of this server's; [http] public_url names another",
            ));
        }
        let from = origin::origin(headers, public);
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
        if writes && from == From::Elsewhere {
            return Err(refuse(StatusCode::FORBIDDEN, "a page of another site sent this request; it changes nothing"));
        }
        let shown = self.gate.who(headers, peer);
        let Some(least) = self.route.need.role() else {
            // Nobody is refused, and who is known may be shown more.
            return Ok(match shown {
                Shown::Somebody(caller) => Some(caller),
                Shown::Nothing | Shown::Mistake => None,
            });
        };
        let caller = match shown {
            Shown::Somebody(caller) => Some(caller),
            Shown::Nothing => None,
            Shown::Mistake => return Err(self.mistaken(peer)),
        };
        self.count(caller.as_ref(), peer, headers)?;
        let Some(caller) = caller else { return Err(self.unknown(request)) };
        if caller.role < least {
            return Err(match caller.how {
                How::Loopback => self.unknown(request),
                How::Token | How::Session => {
                    let text = format!("{} is a {}; {}", caller.name, caller.role.word(), wants(self.route.need));
                    Box::new(Refused { caller: Some(caller), answer: problem(StatusCode::FORBIDDEN, &text) })
                }
            });
        }
        if writes && caller.how == How::Session && from != From::Here {
            let text = "a request with a cookie must say by Origin that a page of this server sent it";
            return Err(Box::new(Refused { caller: Some(caller), answer: problem(StatusCode::FORBIDDEN, text) }));
        }
        Ok(Some(caller))
    }

    fn count(&self, caller: Option<&Caller>, peer: IpAddr, headers: &HeaderMap) -> Result<(), Box<Refused>> {
        let known = caller.filter(|caller| caller.how != How::Loopback);
        let name =
            known.map_or_else(|| format!("address {}", network(peer)), |caller| format!("token {}", caller.name));
        let is_near = peer.is_loopback() && !origin::is_forwarded(headers);
        let counted = self.gate.count(&name, is_near, self.route.changes());
        counted.map_err(|seconds| Box::new(Refused { caller: known.cloned(), answer: too_many(seconds) }))
    }

    fn mistaken(&self, peer: IpAddr) -> Box<Refused> {
        match self.gate.count_mistake(peer) {
            Ok(()) => {
                tracing::warn!(%peer, "what is no token was presented");
                unauthorized("the token is none of those in the token file; `zenei token list` names all")
            }
            Err(seconds) => Box::new(Refused { caller: None, answer: too_many(seconds) }),
        }
    }

    /// A person is led to the login, a program is told what it needs.
    fn unknown(&self, request: &Request) -> Box<Refused> {
        let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
        if *request.method() == Method::GET && accepts.contains("text/html") {
            let next = request.uri().path_and_query().map_or("/", |both| both.as_str());
            let to = format!("/login?next={}", encoded(next));
            let answer = (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response();
            return Box::new(Refused { caller: None, answer });
        }
        unauthorized(wants(self.route.need))
    }

    async fn carry_out(&self, caller: Option<Caller>, mut request: Request, next: Next) -> Response {
        let row = match (&caller, &self.gate.settings().audit) {
            (Some(caller), Some(audit)) if self.route.changes() => {
                let path = request.uri().path().to_owned();
                let begun = audit.begin(caller, self.route.method.as_str(), (self.route.path, &path));
                match begun.await {
                    Ok(number) => Some((audit, number)),
                    Err(error) => return no_audit(&error),
                }
            }
            (Some(_) | None, _) => None,
        };
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        let mut response = if self.route.is_stream {
            let headers = request.headers().clone();
            let peer = peer(&request);
            self.clone().watched(headers, peer, next.run(request).await)
        } else {
            let answered = tokio::time::timeout(WITHIN, next.run(request)).await;
            answered.unwrap_or_else(|_| problem(StatusCode::SERVICE_UNAVAILABLE, "the request took too long"))
        };
        if let Some((audit, number)) = row {
            let subject = response.extensions_mut().remove::<Subject>();
            if let Err(error) = audit.end(number, response.status().as_u16(), subject).await {
                // The row is there; only its end is not.
                tracing::error!(error = zenei_store::with_causes(&error), number, "an audit row has no end");
            }
        }
        response
    }

    /// A stream that ends with its next piece once who listens may not any more: the token is revoked, or the session
    /// has ended.
    fn watched(self, headers: HeaderMap, peer: IpAddr, response: Response) -> Response {
        let may_listen = move || match (self.route.need.role(), self.gate.who(&headers, peer)) {
            (None, _) => true,
            (Some(least), Shown::Somebody(caller)) => caller.role >= least,
            (Some(_), Shown::Nothing | Shown::Mistake) => false,
        };
        response.map(|body| {
            Body::from_stream(body.into_data_stream().take_while(move |_| std::future::ready(may_listen())))
        })
    }

    /// Keeps that somebody known was refused.
    async fn keep_refusal(&self, caller: &Caller, path: String, status: StatusCode) {
        let Some(audit) = &self.gate.settings().audit else { return };
        let kept = async {
            let number = audit.begin(caller, self.route.method.as_str(), (self.route.path, &path)).await?;
            audit.end(number, status.as_u16(), None).await
        };
        if let Err(error) = kept.await {
            tracing::error!(error = zenei_store::with_causes(&error), "a refusal is not in the audit log");
        }
    }
}

/// The address of the other end; none that is near where it is not known.
fn peer(request: &Request) -> IpAddr {
    request.extensions().get::<Peer>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip())
}

/// The answer to one who asks too often.
pub(super) fn too_many(seconds: u64) -> Response {
    let text = format!("too many requests; the next is answered in {seconds} s");
    let mut answer = problem(StatusCode::TOO_MANY_REQUESTS, &text);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

/// A path with its query, as part of another query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

fn no_audit(error: &zenei_store::ControlError) -> Response {
    tracing::error!(error = zenei_store::with_causes(error), "a request was refused: the audit log can't be written");
    problem(StatusCode::SERVICE_UNAVAILABLE, "who changes what can't be kept, so nothing was changed; the log says why")
}

fn refuse(code: StatusCode, text: &str) -> Box<Refused> {
    Box::new(Refused { caller: None, answer: problem(code, text) })
}

fn unauthorized(text: &str) -> Box<Refused> {
    let mut answer = problem(StatusCode::UNAUTHORIZED, text);
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Box::new(Refused { caller: None, answer })
}

fn with_number(mut response: Response, number: u64) -> Response {
    response.headers_mut().insert("x-request-id", HeaderValue::from(number));
    response
}

fn wants(need: Need) -> &'static str {
    match need {
        Need::Open => "this needs nothing",
        Need::View => "this needs a token: `Authorization: Bearer …`, or a login",
        Need::Operate => "this needs the token of an operator: `Authorization: Bearer …`, or a login",
        Need::Administer => "this needs the token of an admin: `Authorization: Bearer …`, or a login",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_carried_to_the_login_and_no_further_parameter_with_it() {
        assert_eq!(encoded("/locks/BL1?a=1&next=//evil.example"), "/locks/BL1%3Fa%3D1%26next%3D//evil.example");
    }
}
