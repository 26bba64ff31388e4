//! How the engine is queried over HTTP: ClickHouse's interface as far as its clients need it, `/ping` and statements at
//! `/`. Must not know SQL. Called by `main`.
use crate::chdb::{Chdb, Output};
use crate::exception::Exception;
use crate::framing::lz4_frame;
use crate::request::Request;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{self, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// The most bytes of a body; the data of an insert are held whole. A guess, far above the batches of any test.
const MAX_BODY_BYTES: usize = 1 << 30;
/// Statements that run at once; others wait. A server allows more, and this one runs beside other tests. A guess.
const MAX_RUNNING: usize = 16;

struct Front {
    chdb: Chdb,
    running: Semaphore,
    /// The last query id that the front chose.
    last_id: AtomicU64,
}

/// The routes of the interface. The engine is dropped with the last of them.
pub(crate) fn routes(chdb: Chdb) -> Router {
    let front = Front { chdb, running: Semaphore::new(MAX_RUNNING), last_id: AtomicU64::new(0) };
    Router::new().route("/ping", get(async || "Ok.\n")).route("/", any(answer)).with_state(Arc::new(front))
}

async fn answer(State(front): State<Arc<Front>>, request: extract::Request) -> Response {
    let accepts_lz4 = text(request.headers(), header::ACCEPT_ENCODING.as_str())
        .split(',')
        .any(|encoding| encoding.trim().eq_ignore_ascii_case("lz4"));
    let own_id = front.last_id.fetch_add(1, Ordering::Relaxed) + 1;
    let mut query_id = format!("zenei-engine-{own_id}");
    let answered = run(front, request, &mut query_id).await;
    let mut response = packed(answered, accepts_lz4).unwrap_or_else(|exception| said(&exception));
    if let Ok(id) = HeaderValue::from_str(&query_id) {
        response.headers_mut().insert("x-clickhouse-query-id", id);
    }
    response
}

/// Reads a request and runs it. A query id that the client chose replaces `query_id`.
async fn run(front: Arc<Front>, request: extract::Request, query_id: &mut String) -> Result<Output, Exception> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(|error| {
        Exception::network(&format!("the body can't be read: {error}; {MAX_BODY_BYTES} bytes are allowed"))
    })?;
    let pairs: Query<Vec<(String, String)>> =
        Query::try_from_uri(&parts.uri).map_err(|error| Exception::bad_arguments(&error.to_string()))?;
    let is_get = match parts.method {
        Method::GET => true,
        Method::POST => false,
        method => return Err(Exception::bad_arguments(&format!("the method is {method}; GET and POST are allowed"))),
    };
    let read = Request {
        is_get,
        pairs: pairs.0,
        content_type: text(&parts.headers, header::CONTENT_TYPE.as_str()),
        content_encoding: text(&parts.headers, header::CONTENT_ENCODING.as_str()),
        database: text(&parts.headers, "x-clickhouse-database"),
        default_format: text(&parts.headers, "x-clickhouse-format"),
        body: &body,
    };
    let (order, id) = read.read()?;
    if let Some(id) = id {
        *query_id = id;
    }
    let _running = front.running.acquire().await.map_err(|error| Exception::network(&error.to_string()))?;
    let engine = Arc::clone(&front);
    // A statement that has begun runs to its end, also when the client disconnects.
    let ran = tokio::task::spawn_blocking(move || order.run(&engine.chdb)).await;
    ran.unwrap_or_else(|error| Err(Exception::network(&error.to_string())))
}

/// A header as text; a header that is not text counts as absent.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn packed(answered: Result<Output, Exception>, accepts_lz4: bool) -> Result<Response, Exception> {
    let output = answered?;
    let summary = HeaderValue::from_str(&summary(&output)).map_err(|error| Exception::network(&error.to_string()))?;
    let mut response = if accepts_lz4 {
        let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("lz4"))];
        (encoding, Body::from(lz4_frame(&output.bytes)?)).into_response()
    } else {
        Body::from(output.bytes).into_response()
    };
    response.headers_mut().insert("x-clickhouse-summary", summary);
    Ok(response)
}

/// As a server writes it: numbers as texts.
fn summary(output: &Output) -> String {
    let Output { bytes, result_rows, read_rows, read_bytes, written_rows, written_bytes, elapsed_s } = output;
    let elapsed_ns = (elapsed_s * 1e9) as u64;
    format!(
        "{{\"read_rows\":\"{read_rows}\",\"read_bytes\":\"{read_bytes}\",\"written_rows\":\"{written_rows}\",\
         \"written_bytes\":\"{written_bytes}\",\"result_rows\":\"{result_rows}\",\"result_bytes\":\"{}\",\
         \"elapsed_ns\":\"{elapsed_ns}\"}}",
        bytes.len()
    )
}

fn said(exception: &Exception) -> Response {
    let code = [("x-clickhouse-exception-code", HeaderValue::from(exception.code))];
    (exception.status(), code, format!("{}\n", exception.text)).into_response()
}
