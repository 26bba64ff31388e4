//! An error as a page, for a browser: what the gate or the router refused in JSON is shown with the frame around it,
//! in the reader's language, with the way to the login. Programs, and everything below `/api`, keep the JSON. Must not
//! know who refused what. A layer around every route.
use super::look::Look;
use super::render::Pages;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use minijinja::context;
use serde::Deserialize;

/// The longest error that is read, bytes; ours are far shorter.
const ERROR_MAX_BYTES: usize = 16 << 10;

/// An error as the API writes it.
#[derive(Deserialize)]
struct Problem {
    error: String,
}

/// Shows an error to a browser as a page.
pub(crate) async fn for_browsers(State(pages): State<Option<Pages>>, request: Request, next: Next) -> Response {
    let wants_page = is_browser(request.headers()) && !request.uri().path().starts_with("/api/");
    let look = Look::of(request.uri(), request.headers());
    let response = next.run(request).await;
    let Some(pages) = pages.filter(|_| wants_page) else { return response };
    let (is_error, is_json) =
        (response.status().is_client_error() || response.status().is_server_error(), is_json(&response));
    if is_error && is_json { page(&pages, &look, response).await } else { response }
}

async fn page(pages: &Pages, look: &Look, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, ERROR_MAX_BYTES).await else { return Response::from_parts(parts, Body::empty()) };
    let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    let wants_login = matches!(parts.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let context = context! { code => parts.status.as_u16(), detail => problem.error, wants_login };
    let mut shown = pages.page_with(parts.status, "error.html", look, context);
    // Retry-After, WWW-Authenticate and the like stay; what described the JSON goes.
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    for (name, value) in parts.headers.iter() {
        shown.headers_mut().append(name, value.clone());
    }
    shown
}

fn is_browser(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/html"))
}

fn is_json(response: &Response) -> bool {
    let media = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media.is_some_and(|media| media.starts_with("application/json"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, danger, text};
    use super::*;
    use crate::http::problem::problem;
    use axum::response::IntoResponse as _;
    use jiff::tz::TimeZone;
    use zenei_incident::message::Lang;

    #[tokio::test]
    async fn a_refusal_becomes_a_page_with_the_way_to_the_login_and_keeps_its_headers() {
        let pages = Pages::new(Lang::Ja, TimeZone::UTC, "gw").unwrap();
        let look = Look::of(&"/rules?a=1".parse().unwrap(), &HeaderMap::new());
        let mut refused = problem(StatusCode::FORBIDDEN, HOSTILE);
        refused.headers_mut().insert(header::RETRY_AFTER, "7".parse().unwrap());
        let shown = page(&pages, &look, refused).await;
        assert_eq!(shown.headers()[header::RETRY_AFTER], "7");
        assert_eq!(shown.headers().get_all(header::CONTENT_TYPE).iter().count(), 1);
        let (status, page) = text(shown).await;
        assert_eq!((status, danger(&page)), (StatusCode::FORBIDDEN, None), "{page}");
        assert!(page.contains("/login?next=%2Frules") && page.contains("lang=\"ja\""), "{page}");
    }

    #[tokio::test]
    async fn json_that_is_no_refusal_stays_as_it_is() {
        let pages = Pages::new(Lang::En, TimeZone::UTC, "gw").unwrap();
        let ready = axum::Json(serde_json::json!({"status": "not ready"}));
        let response = (StatusCode::SERVICE_UNAVAILABLE, ready).into_response();
        let (status, body) = text(page(&pages, &Look::default(), response).await).await;
        assert_eq!((status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"not ready"}"#));
    }
}
