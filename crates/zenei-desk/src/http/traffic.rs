//! How much is this server asked? Requests by kind of route and answer, open connections, listeners of the stream, for
//! `/metrics`. Must not know who asks or what for. Counted by the router's outermost layer, by the server and by the
//! stream.
use super::own_metrics::{Metric, MetricValue};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

zenei_wire::words! {
    /// What a route is for; a path of a request is never a label, because anybody may make one up.
    RouteClass {
        /// The API, but for the stream.
        Api = "api",
        /// The stream of events.
        Stream = "stream",
        /// Pages and forms, and paths at which there is nothing.
        Page = "page",
        /// Scripts, styles, pictures.
        Asset = "asset",
        /// `/metrics`.
        Metrics = "metrics",
        /// `/healthz` and `/readyz`.
        Health = "health",
        /// What remotes send.
        Remote = "remote",
    }
}

/// The hundreds of a status, as labels; this server sends none below 200.
const CODES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
/// How many kinds of routes there are.
const CLASSES: usize = RouteClass::ALL.len();

/// The counts of one server; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    requests: [[AtomicU64; CODES.len()]; CLASSES],
    connections: AtomicI64,
    listeners: AtomicI64,
}

/// Something that is open; counted until this value is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    counts: Arc<Counts>,
    of: fn(&Counts) -> &AtomicI64,
}

impl Open {
    fn new(counts: &Arc<Counts>, of: fn(&Counts) -> &AtomicI64) -> Self {
        of(counts).fetch_add(1, Ordering::Relaxed);
        Self { counts: Arc::clone(counts), of }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        (self.of)(&self.counts).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Traffic {
    /// A connection.
    pub(crate) fn connection(&self) -> Open {
        Open::new(&self.0, |counts| &counts.connections)
    }

    /// A listener of the stream.
    pub(crate) fn listener(&self) -> Open {
        Open::new(&self.0, |counts| &counts.listeners)
    }

    /// Passes a request on and counts its answer. `remotes` are the paths of remotes.
    pub(super) async fn count(self, remotes: Arc<[&'static str]>, request: Request, next: Next) -> Response {
        let class = class(request.uri().path(), &remotes);
        let answer = next.run(request).await;
        let code = usize::from(answer.status().as_u16() / 100).saturating_sub(2).min(CODES.len() - 1);
        self.0.requests[usize::from(class.place())][code].fetch_add(1, Ordering::Relaxed);
        answer
    }

    pub(super) fn metrics(&self, refused: u64) -> Vec<Metric> {
        let counts = &self.0;
        let requests = RouteClass::ALL.iter().flat_map(|class| {
            let by_code = CODES.iter().zip(&counts.requests[usize::from(class.place())]);
            by_code
                .map(|(code, count)| ([class.as_str().to_owned(), (*code).to_owned()], count.load(Ordering::Relaxed)))
        });
        let requests = MetricValue::CountsByTwo { labels: ["route", "code"], counts: requests.collect() };
        let open = |name, help, count: &AtomicI64| Metric {
            name,
            help,
            value: MetricValue::Level(count.load(Ordering::Relaxed)),
        };
        vec![
            Metric {
                name: "zenei_http_requests",
                help: "HTTP requests answered, by the kind of their route and the hundreds of the answer's status",
                value: requests,
            },
            open("zenei_http_connections", "HTTP connections that are open", &counts.connections),
            Metric {
                name: "zenei_http_connections_refused",
                help: "HTTP connections closed at once because there were too many",
                value: MetricValue::Count(refused),
            },
            open("zenei_stream_listeners", "Listeners of the stream of events", &counts.listeners),
        ]
    }
}

fn class(path: &str, remotes: &[&str]) -> RouteClass {
    match path {
        "/metrics" => RouteClass::Metrics,
        "/healthz" | "/readyz" => RouteClass::Health,
        "/api/v1/stream" => RouteClass::Stream,
        _ if path.starts_with("/api/") => RouteClass::Api,
        _ if path.starts_with("/assets/") => RouteClass::Asset,
        _ if remotes.contains(&path) => RouteClass::Remote,
        _ => RouteClass::Page,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_somebody_made_up_is_counted_as_a_page() {
        let remotes = ["/slack/command"];
        for (path, expected) in [
            ("/", RouteClass::Page),
            ("/incidents/1", RouteClass::Page),
            ("/x\"} 1\nzenei_stored_total 9", RouteClass::Page),
            ("/api/v1/locks", RouteClass::Api),
            ("/api/v1/stream", RouteClass::Stream),
            ("/assets/zenei.js", RouteClass::Asset),
            ("/slack/command", RouteClass::Remote),
            ("/readyz", RouteClass::Health),
            ("/metrics", RouteClass::Metrics),
        ] {
            assert_eq!(class(path, &remotes), expected, "{path}");
        }
    }

    #[test]
    fn what_is_open_is_counted_until_it_is_dropped() {
        let traffic = Traffic::default();
        let level = |name: &str| {
            let metrics = traffic.metrics(0);
            metrics.into_iter().find(|metric| metric.name == name).map(|metric| metric.value)
        };
        let (first, second) = (traffic.connection(), traffic.connection());
        assert_eq!(level("zenei_http_connections"), Some(MetricValue::Level(2)));
        assert_eq!(level("zenei_stream_listeners"), Some(MetricValue::Level(0)));
        drop(first);
        drop(second);
        assert_eq!(level("zenei_http_connections"), Some(MetricValue::Level(0)));
    }
}
