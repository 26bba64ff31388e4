//! What remotes send to the desk over HTTP: one file a remote, each with its own check of who sends. Only what is
//! configured has an address. Must not know how a request is carried out ([`crate::request`] does). Made by `run`;
//! served by [`crate::http`].
pub mod alertmanager;
pub mod slack;

use super::Target;
use crate::shared::{DeskClock, SharedDesk};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The longest request of a remote, in bytes; a guess: Slack sends a button's whole message along, some 100 kB at most.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// How many requests are read and answered at a time, so that strangers cost at most so many MiB; further ones are
/// refused. A guess: a remote asks for a person, or for a batch, at a time.
const MAX_AT_A_TIME: usize = 32;
/// How long a request may take, its body too; a guess: Slack gives up after 3 s, Alertmanager after 10 s.
const WITHIN: Duration = Duration::from_secs(10);

/// The addresses at which the configured remotes reach the desk.
#[derive(Clone, Debug, Default)]
pub struct Inward(Router);

impl Inward {
    /// Those of these targets; none where no target asks for one.
    pub fn new(targets: &[Target], desk: &SharedDesk, clock: &DeskClock) -> Self {
        let app = |target: &Target| {
            let signing_secret = target.signing_secret()?.clone();
            let base_url = target.common.base_url.clone();
            Some(slack::App { signing_secret, http: target.http.clone(), base_url })
        };
        let apps: Vec<_> = targets.iter().filter_map(app).collect();
        let mut router = Router::new();
        if !apps.is_empty() {
            router = router.merge(slack::routes(slack::SlackInward::new(apps, desk.clone(), clock.clone())));
        }
        let token = |target: &Target| Some((target.name.clone(), target.webhook_token()?.clone()));
        let tokens: Vec<_> = targets.iter().filter_map(token).collect();
        if !tokens.is_empty() {
            let (desk, clock) = (desk.clone(), clock.clone());
            router = router.merge(alertmanager::routes(alertmanager::AlertmanagerInward { tokens, desk, clock }));
        }
        Self::bounded(router)
    }

    fn bounded(router: Router) -> Self {
        let room = Arc::new(Semaphore::new(MAX_AT_A_TIME));
        Self(router.layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)).layer(from_fn_with_state(room, in_bounds)))
    }

    /// Its routes.
    pub(crate) fn into_router(self) -> Router {
        self.0
    }
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

    #[tokio::test]
    async fn requests_that_never_end_are_bounded_in_number_and_time() {
        let Inward(router) = Inward::bounded(Router::new().route("/x", post(async |_: Bytes| "done")));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let begin = async |length: usize, body: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head =
                format!("POST /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream
        };
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
        let ended = tokio::time::timeout(Duration::from_secs(60), end(slow.remove(0))).await;
        assert_eq!(ended.unwrap(), "503 the request took too long");
    }
}
