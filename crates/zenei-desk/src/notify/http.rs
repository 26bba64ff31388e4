//! One HTTP request to a remote and its answer, within bounds: addresses by [`super::guard`], no redirects, 5 s to
//! connect, 15 s in all, an answer of at most 1 MiB. A proxy comes from the environment (`HTTPS_PROXY`, …, `NO_PROXY`);
//! certificates are checked against the system's roots. Errors never show a URL's path: it may hold a secret. A secret
//! of the request that comes back in the answer is hidden there. Must not know a remote. Called by every connector.
use super::delivery::SendError;
use super::guard::{Guard, Resolver, literal, not_public, refusal};
use super::hidden::Hidden;
use super::retry_after::retry_after;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Client, Method, Url};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take; a guess, several round trips around the world.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request may take as a whole: the lower end of what Standard Webhooks recommends (15 to 30 s).
const WHOLE: Duration = Duration::from_secs(15);
/// The most bytes of an answer; a guess, a hundred times the longest that a connector reads.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The most characters of an answer that a remark shows; a guess, one line.
const SHOWN_MAX: usize = 200;

/// A client for one target.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    /// Past the proxy, for addresses of this machine: a proxy would look for them on its own.
    direct: Client,
    guard: Arc<Guard>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    hidden: Hidden,
}

/// A remote's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long the remote asks to wait.
    pub retry_after: Option<Duration>,
    /// The body, at most 1 MiB of it, without the request's secrets.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        Self { method, url: url.into(), headers: Vec::new(), body: Vec::new(), hidden: Hidden::default() }
    }

    /// A POST of this JSON.
    pub fn post(url: impl Into<String>, body: &serde_json::Value) -> Self {
        Self::new("POST", url).json(body)
    }

    /// With this JSON as its body.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.body("application/json; charset=utf-8", body.to_string().into_bytes())
    }

    /// With these bytes as its body.
    #[must_use]
    pub fn body(self, content_type: &str, body: Vec<u8>) -> Self {
        Self { body, ..self.header("content-type", content_type) }
    }

    /// With this header, whose value may be secret.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if name == "authorization" {
            self.hidden.add(&value);
        }
        self.headers.push((name, value));
        self
    }

    /// With a secret in its URL or its body, which must not be read in the answer.
    #[must_use]
    pub fn hiding(mut self, secret: &super::Secret) -> Self {
        self.hidden.add(secret.reveal());
        self
    }

    /// With `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &super::Secret) -> Self {
        self.header("authorization", format!("Bearer {}", token.reveal()))
    }
}

impl Answer {
    /// Whether the status is 200 to 299.
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or(serde_json::Value::Null)
    }

    /// `HTTP 404: not found`, with the start of the body on one line, for people.
    pub fn shown(&self) -> String {
        let body = zenei_incident::message::plain(&String::from_utf8_lossy(&self.body), SHOWN_MAX);
        if body.is_empty() { format!("HTTP {}", self.status) } else { format!("HTTP {}: {body}", self.status) }
    }

    /// The answer, where it is what this remote says of success. Anything may answer 200 in its place (a proxy, a login
    /// page of a network); that passes, so the message is sent again.
    ///
    /// # Errors
    /// [`SendError::Again`] that names what was expected and what came.
    pub fn expecting(self, expected: &str, fits: impl FnOnce(&Self) -> bool) -> Result<Self, SendError> {
        if fits(&self) {
            return Ok(self);
        }
        let why = format!("{expected} was expected; something else answered: {}", self.shown());
        Err(SendError::Again { why, after: self.retry_after, maybe_sent: false })
    }

    /// What a status means to a remote that has no rules of its own: 408, 425, 429 and 5xx may be repeated, any other
    /// that is no success may not.
    ///
    /// # Errors
    /// [`SendError`] unless the status is a success.
    pub fn success(self) -> Result<Self, SendError> {
        match self.status {
            200..=299 => Ok(self),
            408 | 425 | 429 | 500..=599 => {
                Err(SendError::Again { why: self.shown(), after: self.retry_after, maybe_sent: false })
            }
            _ => Err(SendError::never(self.shown())),
        }
    }
}

impl Http {
    /// A client; `allow_private` lifts the check of addresses.
    ///
    /// # Errors
    /// Where the system's certificates can't be read.
    pub fn new(allow_private: bool) -> Result<Self, String> {
        // An error means that the process has chosen one already.
        _ = rustls::crypto::ring::default_provider().install_default();
        let guard = Arc::new(Guard { allow_private, proxies: proxies() });
        let builder = || {
            Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT)
                .timeout(WHOLE)
                .dns_resolver(Resolver(guard.clone()))
                .referer(false)
        };
        let failed = |error: reqwest::Error| format!("no HTTP client can be made: {}", chain(&error));
        let client = builder().build().map_err(failed)?;
        let direct = builder().no_proxy().build().map_err(failed)?;
        Ok(Self { client, direct, guard })
    }

    /// Sends a request and reads its answer, whatever its status.
    ///
    /// # Errors
    /// [`SendError::Never`] for an address that is refused, a URL or header that is none, and a redirect;
    /// [`SendError::Again`] where the remote can't be reached, does not answer in time or answers too much.
    pub async fn send(&self, request: Request) -> Result<Answer, SendError> {
        let url = Url::parse(&request.url).map_err(|_| SendError::never("the target's URL is no URL"))?;
        let host = url.host_str().unwrap_or("").to_owned();
        self.check(&url, &host)?;
        let headers = headers(&request.headers)?;
        let client = if is_here(&host) { &self.direct } else { &self.client };
        let sent = client.request(request.method, url).headers(headers).body(request.body).send().await;
        let mut response = sent.map_err(|error| failed(&host, &error))?;
        let status = response.status().as_u16();
        if (300..400).contains(&status) && status != 304 {
            return Err(SendError::never(format!("{host} answered with a redirect (HTTP {status}); none is followed")));
        }
        let retry_after = retry_after(response.headers());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| failed(&host, &error))? {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                let why = format!("{host} answered with over {ANSWER_BYTES_MAX} bytes");
                return Err(SendError::Again { why, after: None, maybe_sent: true });
            }
            body.extend_from_slice(&part);
        }
        Ok(Answer { status, retry_after, body: request.hidden.hide(body) })
    }

    /// Checks an address as [`Self::send`] does, and resolves its name, without a connection.
    ///
    /// # Errors
    /// Those of [`Self::send`] that concern the address.
    pub async fn reach(&self, url: &str) -> Result<(), SendError> {
        let url = Url::parse(url).map_err(|_| SendError::never("the target's URL is no URL"))?;
        let host = url.host_str().unwrap_or("").to_owned();
        self.check(&url, &host)?;
        if literal(&host).is_some() || (!self.guard.proxies.is_empty() && !is_here(&host)) {
            return Ok(());
        }
        let unknown = |error: &dyn std::fmt::Display| SendError::again(format!("{host} can't be resolved: {error}"));
        let found = tokio::net::lookup_host((host.as_str(), 0)).await.map_err(|error| unknown(&error))?;
        self.guard.checked(&host, found.collect()).map_err(|error| SendError::never(error.to_string()))?;
        Ok(())
    }

    fn check(&self, url: &Url, host: &str) -> Result<(), SendError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SendError::never(format!("{}:// is no http:// or https://", url.scheme())));
        }
        if self.guard.allow_private {
            return Ok(());
        }
        let refused = literal(host).and_then(|address| not_public(address).map(|what| refusal(host, address, what)));
        let proxy = self.guard.proxies.contains(host).then(|| format!("{host} is the proxy itself"));
        refused.or(proxy).map_or(Ok(()), |why| Err(SendError::never(why)))
    }
}

/// Whether a host is this machine, by its address or by the names that mean it everywhere (RFC 6761).
fn is_here(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    literal(host).is_some_and(|address| address.is_loopback()) || name == "localhost" || name.ends_with(".localhost")
}

fn headers(given: &[(&'static str, String)]) -> Result<HeaderMap, SendError> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("zenei/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in given {
        let wrong = || SendError::never(format!("the value of the header {name} has characters that no header has"));
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

fn failed(host: &str, error: &reqwest::Error) -> SendError {
    let text = chain(error);
    if text.contains("allow_private") {
        return SendError::never(text);
    }
    let what = if error.is_timeout() { "does not answer in time" } else { "can't be reached" };
    let maybe_sent = !error.is_connect() && !error.is_builder();
    let what = if maybe_sent && !error.is_timeout() { "dropped the connection" } else { what };
    SendError::Again { why: format!("{host} {what}: {text}"), after: None, maybe_sent }
}

/// An error's innermost cause; reqwest's own text would show the URL.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    match inner.downcast_ref::<reqwest::Error>() {
        Some(own) if own.is_timeout() => "time is up".to_owned(),
        Some(_) => "the request failed".to_owned(),
        None => inner.to_string(),
    }
}

/// The hosts of the proxies that the environment names.
fn proxies() -> BTreeSet<String> {
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
    let host = |value: String| {
        let url = if value.contains("://") { value } else { format!("http://{value}") };
        Url::parse(&url).ok()?.host_str().map(str::to_owned)
    };
    names.iter().filter_map(|name| std::env::var(name).ok()).filter_map(host).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use tokio::net::TcpListener;

    async fn serve(router: Router) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn http(allow_private: bool) -> Http {
        Http::new(allow_private).unwrap()
    }

    #[tokio::test]
    async fn a_private_address_is_refused_however_it_is_written() {
        let base = serve(Router::new().route("/", get(async || "reached"))).await;
        let port = base.rsplit_once(':').unwrap().1;
        for host in ["127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "localhost", "[::1]", "0"] {
            let url = format!("http://{host}:{port}/canary-path");
            let refused = http(false).send(Request::new("GET", url)).await.unwrap_err();
            let SendError::Never { why } = &refused else { panic!("{host}: {refused:?}") };
            assert!(why.contains("allow_private") && !why.contains("canary"), "{why}");
        }
        for host in ["127.0.0.1", "localhost"] {
            let answer = http(true).send(Request::new("GET", format!("http://{host}:{port}/"))).await.unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (200, b"reached".as_slice()));
        }
    }

    #[test]
    fn this_machine_is_never_asked_for_at_a_proxy() {
        let here = ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "localhost.", "a.localhost"];
        let elsewhere = ["10.0.0.1", "localhost.example.com", "notlocalhost", "[2001:4860::1]", ""];
        assert!(here.iter().all(|host| is_here(host)) && !elsewhere.iter().any(|host| is_here(host)));
    }

    #[tokio::test]
    async fn a_redirect_is_refused_and_not_followed() {
        let away = get(async || axum::response::Redirect::temporary("http://169.254.169.254/"));
        let base = serve(Router::new().route("/", away)).await;
        let refused = http(true).send(Request::new("GET", base)).await.unwrap_err();
        assert!(matches!(&refused, SendError::Never { why } if why.contains("redirect")), "{refused:?}");
    }

    #[tokio::test]
    async fn nobody_there_was_not_sent_and_a_dropped_connection_may_have_been() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await;
        });
        let url = format!("http://{address}/canary-path");
        let request = || Request::post(&url, &serde_json::json!({})).header("authorization", "canary-token");
        let dropped = http(true).send(request()).await.unwrap_err();
        assert!(matches!(dropped, SendError::Again { maybe_sent: true, .. }), "{dropped:?}");
        let nobody = http(true).send(request()).await.unwrap_err();
        assert!(matches!(nobody, SendError::Again { maybe_sent: false, .. }), "{nobody:?}");
        assert!(!format!("{dropped:?}{nobody:?}{dropped}{nobody}").contains("canary"));
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut_off() {
        let base = serve(Router::new().route("/", get(async || "x".repeat(ANSWER_BYTES_MAX + 1)))).await;
        assert!(http(true).send(Request::new("GET", base)).await.is_err());
    }

    #[test]
    fn a_status_says_whether_to_try_again() {
        let answer = |status| Answer { status, retry_after: Some(Duration::from_secs(7)), body: b"no\n\tway".to_vec() };
        assert!(answer(202).success().is_ok());
        let again = answer(429).success().unwrap_err();
        let after = Some(Duration::from_secs(7));
        assert_eq!(again, SendError::Again { why: "HTTP 429: no way".into(), after, maybe_sent: false });
        for status in [400, 401, 404, 410, 422] {
            assert!(matches!(answer(status).success(), Err(SendError::Never { .. })));
        }
    }
}
