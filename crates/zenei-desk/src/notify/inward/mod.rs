//! What remotes send to the desk over HTTP: one file a remote, each with its own check of who sends. Only what is
//! configured has an address. Must not know how a request is carried out ([`crate::request`] does). Made by `run`;
//! served by [`crate::http`].
pub mod alertmanager;
pub mod slack;

use super::Target;
use crate::http::gate::{Need, Route};
use crate::shared::{DeskClock, SharedDesk};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The longest request of a remote, in bytes; a guess: Slack sends a button's whole message along, some 100 kB at most.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// How many requests of one remote are read and answered at a time, so that strangers cost at most so many MiB; further
/// ones are refused. A guess: a remote asks for a person, or for a batch, at a time.
const MAX_AT_A_TIME: usize = 32;
/// How long a request may take, its body too; a guess: Slack gives up after 3 s, Alertmanager after 10 s.
const WITHIN: Duration = Duration::from_secs(10);

/// The addresses at which the configured remotes reach the desk.
#[derive(Clone, Debug, Default)]
pub struct Inward {
    router: Router,
    routes: Vec<Route>,
}

impl Inward {
    /// Those of these targets; none where no target asks for one.
    pub fn new(targets: &[Target], desk: &SharedDesk, clock: &DeskClock) -> Self {
        let app = |target: &Target| {
            let signing_secret = target.signing_secret()?.clone();
            let base_url = target.common.base_url.clone();
            Some(slack::App { signing_secret, http: target.http.clone(), base_url })
        };
        let apps: Vec<_> = targets.iter().filter_map(app).collect();
        let (mut router, mut routes) = (Router::new(), Vec::new());
        let mut listed = |paths: &[&'static str]| {
            routes.extend(paths.iter().map(|path| Route::new(Method::POST, path, Need::Open)));
        };
        if !apps.is_empty() {
            router = router.merge(bounded(slack::routes(slack::SlackInward::new(apps, desk.clone(), clock.clone()))));
            listed(&slack::PATHS);
        }
        let token = |target: &Target| Some((target.name.clone(), target.webhook_token()?.clone()));
        let tokens: Vec<_> = targets.iter().filter_map(token).collect();
        if !tokens.is_empty() {
            let (desk, clock) = (desk.clone(), clock.clone());
            let state = alertmanager::AlertmanagerInward { tokens, desk, clock };
            router = router.merge(alertmanager::with_token(bounded(alertmanager::routes(state.clone())), state));
            listed(&alertmanager::PATHS);
        }
        Self { router, routes }
    }

    /// What it serves; each checks by itself who sends.
    pub(crate) fn routes(&self) -> Vec<Route> {
        self.routes.clone()
    }

    /// Its routes.
    pub(crate) fn into_router(self) -> Router {
        self.router
    }
}

/// These routes within bounds of their own: what comes for others takes none of their places.
fn bounded(router: Router) -> Router {
    let room = Arc::new(Semaphore::new(MAX_AT_A_TIME));
    router.layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)).layer(from_fn_with_state(room, in_bounds))
}

/// Answers within the bounds. Where they are reached the answer is 503, after which a machine tries again: Alertmanager
/// does so after no other.
async fn in_bounds(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(_permit) = room.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time; try again").into_response();
    };
    let answered = tokio::time::timeout(WITHIN, next.run(request)).await;
    answered.unwrap_or_else(|_| (StatusCode::SERVICE_UNAVAILABLE, "the request took too long").into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use axum::routing::post;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use zenei_store::control::Control;

    #[tokio::test]
    async fn requests_that_never_end_are_bounded_in_number_and_time() {
        let done = || post(async |_: Bytes| "done");
        let shared = SharedDesk::new(crate::DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap());
        let state = alertmanager::AlertmanagerInward {
            tokens: vec![("alerts".to_owned(), crate::notify::Secret::from("canary"))],
            desk: shared,
            clock: DeskClock::new(zenei_store::Clock::System),
        };
        let router = bounded(Router::new().route("/x", done()))
            .merge(alertmanager::with_token(bounded(Router::new().route("/token", done())), state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let begin_at = async |path: &str, head: &str, length: usize, body: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}content-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream
        };
        let begin = async |length: usize, body: &str| begin_at("/x", "", length, body).await;
        let end = async |mut stream: TcpStream| {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let (head, text) = answer.split_once("\r\n\r\n").unwrap();
            format!("{} {text}", head.split(' ').nth(1).unwrap())
        };
        assert_eq!(end(begin(1, "a").await).await, "200 done");
        let mut slow = Vec::new();
        for _ in 0..MAX_AT_A_TIME {
            slow.push(begin(9, "a").await);
        }
        // Each is accepted at a time of the server's own choice.
        while end(begin(1, "a").await).await != "503 too many requests at a time; try again" {}
        // Others have their own places, of which a stranger takes none.
        let strangers = "401 the bearer token is missing or none of the configured ones";
        for _ in 0..2 * MAX_AT_A_TIME {
            assert_eq!(end(begin_at("/token", "", 9, "").await).await, strangers);
        }
        let known = "authorization: Bearer canary\r\n";
        assert_eq!(end(begin_at("/token", known, 1, "a").await).await, "200 done");
        let ended = tokio::time::timeout(Duration::from_secs(60), end(slow.remove(0))).await;
        assert_eq!(ended.unwrap(), "503 the request took too long");
    }
}
