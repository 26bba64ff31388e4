//! How is a stand-in reached, and disturbed? It listens on 127.0.0.1 on a port of the system's choice, and passes each
//! request through the schedule of faults. Must not know any service. Called by tests.
use crate::cut::{CuttableListener, Switch};
use crate::fault::{Fault, Faults};
use crate::http::{Answer, Request, decoded, form};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The largest body that is read, in bytes.
const BODY_MAX: usize = 1024 * 1024;

/// A service's behaviour.
pub trait Remote: Send + 'static {
    /// Carries a request out.
    fn answer(&mut self, request: &Request) -> Answer;
}

/// A stand-in that listens; it ends when this is dropped.
pub struct Server<R> {
    base_url: String,
    shared: Arc<Mutex<Shared<R>>>,
    task: JoinHandle<()>,
}

struct Shared<R> {
    remote: R,
    faults: Faults,
    /// Faults of the next requests, before those of the schedule.
    next: VecDeque<Fault>,
    requests: u64,
}

impl<R: Remote> Server<R> {
    /// Starts it on a port of this machine.
    ///
    /// # Errors
    /// Where no port can be listened on.
    pub async fn start(remote: R, faults: Faults) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Mutex::new(Shared { remote, faults, next: VecDeque::new(), requests: 0 }));
        let router = Router::new().fallback(serve::<R>).with_state(Arc::clone(&shared));
        let service = router.into_make_service_with_connect_info::<Switch>();
        let serving = axum::serve(CuttableListener(listener), service);
        let task = tokio::spawn(async move {
            // It ends with the task only.
            let _ended = serving.await;
        });
        Ok(Self { base_url, shared, task })
    }

    /// Its address, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Reads or changes the stand-in's state.
    pub fn with<T>(&self, look: impl FnOnce(&mut R) -> T) -> T {
        look(&mut locked(&self.shared).remote)
    }

    /// How many requests came, the disturbed ones too.
    pub fn requests(&self) -> u64 {
        locked(&self.shared).requests
    }

    /// From the next request on, these faults.
    pub fn set_faults(&self, faults: Faults) {
        locked(&self.shared).faults = faults;
    }

    /// These faults for the next requests, one each; after them the schedule goes on.
    pub fn then(&self, faults: impl IntoIterator<Item = Fault>) {
        locked(&self.shared).next.extend(faults);
    }
}

impl<R> Drop for Server<R> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A stand-in holds values that are whole after each request, so a panic of a test leaves them readable.
fn locked<R>(shared: &Mutex<Shared<R>>) -> MutexGuard<'_, Shared<R>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve<R: Remote>(
    State(shared): State<Arc<Mutex<Shared<R>>>>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return respond(&Answer::json(413, json!({ "error": "the body is too large" })));
    };
    let request = read(&parts, &body);
    let (fault, answer, slow_for) = {
        let mut shared = locked(&shared);
        let fault = shared.next.pop_front().unwrap_or_else(|| shared.faults.draw(shared.requests));
        shared.requests += 1;
        let answer = match fault {
            Fault::Failed => Answer::json(500, json!({ "error": "internal error" })),
            Fault::Limited => {
                let retry_after = ("retry-after", shared.faults.retry_after_s.to_string());
                Answer { headers: vec![retry_after], ..Answer::json(429, json!({ "error": "rate limited" })) }
            }
            Fault::None | Fault::Slow | Fault::Dropped | Fault::FailedLate => shared.remote.answer(&request),
        };
        (fault, answer, shared.faults.slow_for)
    };
    match fault {
        Fault::None | Fault::Failed | Fault::Limited => respond(&answer),
        Fault::FailedLate => respond(&Answer::json(500, json!({ "error": "internal error" }))),
        Fault::Slow => {
            tokio::time::sleep(slow_for).await;
            respond(&answer)
        }
        Fault::Dropped => {
            switch.cut();
            respond(&answer)
        }
    }
}

fn read(parts: &Parts, body: &Bytes) -> Request {
    let header = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().split('/').filter(|part| !part.is_empty()).map(|part| decoded(part, false)).collect(),
        query: form(parts.uri.query().unwrap_or("")),
        headers: parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), header(value))).collect(),
        body: body.to_vec(),
    }
}

fn respond(answer: &Answer) -> Response {
    let (kind, body) = if let Value::String(text) = &answer.body {
        ("text/plain; charset=utf-8", text.clone())
    } else {
        ("application/json; charset=utf-8", answer.body.to_string())
    };
    let mut response = Response::builder().status(answer.status).header("content-type", kind);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    // Every stand-in's codes and headers are constants that HTTP allows.
    response.body(Body::from(body)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// Counts what it carries out.
    struct Counter(u32);

    impl Remote for Counter {
        fn answer(&mut self, _: &Request) -> Answer {
            self.0 += 1;
            Answer::text(200, "done")
        }
    }

    /// What the server writes for one request; empty if it ends the connection first.
    async fn ask(server: &Server<Counter>) -> String {
        let address = server.base_url().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap_or_default();
        text
    }

    #[tokio::test]
    async fn a_request_is_carried_out_or_not_as_its_fault_says() {
        let server = Server::start(Counter(0), Faults { retry_after_s: 7, ..Faults::none() }).await.unwrap();
        let cases = [
            (Fault::None, "HTTP/1.1 200", 1),
            (Fault::Failed, "HTTP/1.1 500", 1),
            (Fault::FailedLate, "HTTP/1.1 500", 2),
            (Fault::Limited, "HTTP/1.1 429", 2),
            (Fault::Slow, "HTTP/1.1 200", 3),
            (Fault::Dropped, "", 4),
        ];
        for (fault, expected, done) in cases {
            server.then([fault]);
            let text = ask(&server).await;
            assert!(text.starts_with(expected) && text.is_empty() == expected.is_empty(), "{fault:?}: {text:?}");
            assert_eq!(text.contains("retry-after: 7"), fault == Fault::Limited, "{text:?}");
            assert_eq!(server.with(|counter| counter.0), done, "{fault:?}");
        }
        assert_eq!(server.requests(), 6);
    }
}
