//! How are connections accepted? Bounded in number and in time, so that clients that never end their requests cost a
//! known amount. Must not know a route. Called by [`super::serve`].
use super::gate::{Gate, Peer};
use super::patient::Patient;
use super::traffic::{Open, Traffic};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// At most so many connections; further ones are closed at once and counted. A guess: 256 streams and as many pages.
pub(super) const CONNECTIONS_MAX: usize = 512;
/// How long the head of a request may take, also the wait for it on a connection that is kept. A guess.
pub(super) const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long the other end may take nothing of what is sent to it; a guess: a phone that changes its network.
const TAKES_WITHIN: Duration = Duration::from_secs(60);
/// The longest head of a request, bytes; a guess, several times a browser's.
const HEAD_MAX_BYTES: usize = 32 << 10;
/// How long to wait after the system refused a connection, as it does where the process has too many files open.
const AFTER_ERROR: Duration = Duration::from_millis(200);
/// How long open requests may still take once the server ends; a guess.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Accepts at most `max` connections at a time, and serves them, until `shutdown`; then the requests that are open are
/// answered.
pub(super) async fn accept(
    listener: TcpListener,
    router: Router,
    (gate, traffic, max): (Gate, Traffic, usize),
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let room = Arc::new(Semaphore::new(max));
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(AFTER_ERROR).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            let before = gate.refuse_connection();
            // The first tells; /metrics counts the others.
            if before == 0 {
                tracing::warn!(
                    max = CONNECTIONS_MAX,
                    "there are too many connections; further ones are closed at once"
                );
            }
            drop(stream);
            continue;
        };
        serve_one(&graceful, (stream, peer), router.clone(), (permit, traffic.connection()));
    }
    drop(listener);
    if tokio::time::timeout(END_WITHIN, graceful.shutdown()).await.is_err() {
        tracing::debug!("open requests are cut off");
    }
}

/// Serves a connection in a task of its own, which holds its place until it ends.
fn serve_one(
    graceful: &GracefulShutdown,
    (stream, peer): (TcpStream, SocketAddr),
    router: Router,
    place: (OwnedSemaphorePermit, Open),
) {
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let request: Request = request.map(Body::new);
        inner.call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(HEAD_MAX_BYTES);
    let connection =
        graceful.watch(builder.serve_connection(TokioIo::new(Patient::new(stream, TAKES_WITHIN)), service));
    tokio::spawn(async move {
        // A client that goes away or breaks the protocol is its own matter.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(place);
    });
}
