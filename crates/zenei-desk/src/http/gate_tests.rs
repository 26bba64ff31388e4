//! The gate as clients meet it, over a socket: every route by every role, foreign pages, foreign names, clients that
//! never end, and what is kept of who changed what.
use super::gate::tokens::{self, Pepper};
use super::gate::{AuditLog, Need, PublicUrl, Role, Route, Tokens};
use super::*;
use crate::{DeskClock, DeskDriver, Incidents, SharedDesk};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zenei_detect::Rules;
use zenei_store::{Clock, Control};

/// A guess, for a machine whose cores are all busy.
pub(super) const WITHIN: Duration = Duration::from_secs(120);
/// The cookie of a session.
pub(super) const COOKIE: &str = "zenei_session=";

/// A server with a token of each role.
pub(super) struct Guarding {
    pub(super) address: SocketAddr,
    pub(super) gate: Gate,
    routes: Vec<Route>,
    folder: TempDir,
    pub(super) tokens: Vec<String>,
}

/// The head and the body of an answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Guarding {
    /// On loopback, as these settings are changed.
    async fn start(change: impl FnOnce(GateSettings) -> GateSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, pepper) = (folder.path().join("tokens"), Pepper::open(&folder.path().join("pepper")).unwrap());
        let made = Role::ALL.map(|role| tokens::add(&path, &pepper, (role.word(), role, false), 0).unwrap());
        let clock = DeskClock::new(Clock::System);
        let audit = AuditLog::new(Control::open(&folder.path().join("control.db")).unwrap(), clock.clone());
        let driver = DeskDriver::open(Control::open(&folder.path().join("control.db")).unwrap(), Vec::new()).unwrap();
        let desk = SharedDesk::new(driver);
        let settings = GateSettings::of(([127, 0, 0, 1], 0).into());
        let settings = GateSettings { tokens: Some(Tokens::new(path, pepper)), audit: Some(audit), ..settings };
        let gate = Gate::new(change(settings));
        let rules = Arc::new(Rules::embedded().unwrap());
        let handles =
            Handles { gate: gate.clone(), desk: Some(desk.clone()), ..Handles::of(desk.incidents(), clock, rules) };
        let routes = routes(&handles, Inward::default()).routes();
        let any = ([127, 0, 0, 1], 0).into();
        let address = serve(any, handles, Inward::default(), std::future::pending()).await.unwrap();
        Self { address, gate, routes, folder, tokens: made.to_vec() }
    }

    pub(super) async fn local() -> Self {
        Self::start(|settings| settings).await
    }

    /// As if it listened on every address.
    pub(super) async fn open_to_all() -> Self {
        Self::start(|settings| GateSettings { listen: ([0, 0, 0, 0], 80).into(), ..settings }).await
    }

    pub(super) fn token_file(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    pub(super) fn bearer(&self, role: Role) -> String {
        let at = Role::ALL.iter().position(|other| *other == role).unwrap();
        format!("authorization: Bearer {}\r\n", self.tokens[at])
    }

    pub(super) async fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        self.send(method, path, headers, "").await
    }

    pub(super) async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let asked = tokio::time::timeout(WITHIN, self.exchange(method, path, headers, body));
        asked.await.unwrap().unwrap()
    }

    async fn exchange(&self, method: &str, path: &str, headers: &str, body: &str) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(self.address).await?;
        let host = if headers.contains("host: ") { "" } else { "host: localhost\r\n" };
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\n{host}connection: close\r\ncontent-length: {length}\r\n");
        stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).await?;
        let is_stream = self.routes.iter().any(|route| route.is_stream && route.path == path);
        let mut bytes = Vec::new();
        while stream.read_buf(&mut bytes).await? > 0 {
            if is_stream && bytes.windows(4).any(|end| end == b"\r\n\r\n") {
                break;
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        Ok(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
    }

    /// Logs in; the header that sends the cookie.
    pub(super) async fn log_in(&self, role: Role) -> String {
        let at = Role::ALL.iter().position(|other| *other == role).unwrap();
        let form = format!("token={}&next=/rules", self.tokens[at]);
        let headers = "content-type: application/x-www-form-urlencoded\r\norigin: http://localhost\r\n";
        let answer = self.send("POST", "/login", headers, &form).await;
        assert!(answer.status == 303 && answer.head.contains("location: /rules"), "{}", answer.head);
        let secret = answer.head.lines().find_map(|line| line.split_once(COOKIE)).unwrap().1;
        // The head was made lower case; the cookie itself is asked for again below.
        assert!(secret.contains("; path=/; max-age=43200; httponly; samesite=strict"), "{secret}");
        let raw = self.raw_cookie(&form, headers).await;
        format!("cookie: {COOKIE}{raw}\r\n")
    }

    /// The secret of a new session, as it was sent.
    async fn raw_cookie(&self, form: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = form.len();
        let head = format!("POST /login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}");
        stream.write_all(format!("{head}content-length: {length}\r\n\r\n{form}").as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let secret = text.split_once(COOKIE).unwrap().1;
        secret.split(';').next().unwrap().to_owned()
    }
}

/// Paths that need nothing. A new one belongs here only if it shows nothing of locks, incidents or people.
const OPEN: [&str; 7] = ["/healthz", "/readyz", "/assets/{name}", "/login", "/login", "/logout", "/api/openapi.json"];
/// What a POST reads, and changes nothing.
const READ_BY_POST: [&str; 3] = ["/api/v1/triage", "/silences/preview", "/api/v1/silences/preview"];
/// What is shown to an admin only.
const ADMIN: [&str; 1] = ["/api/v1/audit"];

/// What is shown only to a caller who may see single operations of residents; no token here may.
const RESIDENTS: [&str; 1] = ["/api/v1/locks/{id}/operations"];

/// What a route should need: kept apart from the declaration, so that a slip there is found here.
fn expected(route: &Route) -> Need {
    if OPEN.contains(&route.path) {
        Need::Open
    } else if ADMIN.contains(&route.path) {
        Need::Administer
    } else if route.method == Method::GET || READ_BY_POST.contains(&route.path) {
        Need::View
    } else {
        Need::Operate
    }
}

fn slips(routes: &[Route]) -> Vec<String> {
    let wrong = routes.iter().filter(|route| expected(route) != route.need);
    wrong.map(|it| format!("{} {} needs {:?}, declared {:?}", it.method, it.path, expected(it), it.need)).collect()
}

#[tokio::test]
async fn every_route_needs_what_the_list_here_says() {
    let guarding = Guarding::local().await;
    assert_eq!(slips(&guarding.routes), Vec::<String>::new());
    assert!(guarding.routes.len() >= 8);
    // The control: a route that was declared open by mistake is found.
    let mut routes = guarding.routes.clone();
    routes.push(Route::new(Method::GET, "/api/v1/locks", Need::Open));
    routes.push(Route::new(Method::POST, "/api/v1/notes", Need::View));
    assert_eq!(slips(&routes).len(), 2);
}

/// How a request shows who asks.
const WAYS: [&str; 7] = ["nobody", "viewer", "operator", "admin", "revoked", "session", "expired session"];

#[tokio::test]
async fn every_route_answers_every_role_as_it_should() {
    let guarding = Guarding::open_to_all().await;
    let old = guarding.log_in(Role::Admin).await;
    guarding.gate.skip(Duration::from_secs(12 * 3_600 + 1));
    let session = guarding.log_in(Role::Operator).await;
    let session = format!("{session}origin: http://localhost\r\n");
    let pepper = Pepper::open(&guarding.folder.path().join("pepper")).unwrap();
    let revoked = tokens::add(&guarding.token_file(), &pepper, ("gone", Role::Admin, true), 0).unwrap();
    assert!(tokens::revoke(&guarding.token_file(), "gone").unwrap());
    guarding.gate.skip(Duration::from_secs(2));
    for route in &guarding.routes {
        let path: String = route
            .path
            .split('/')
            .map(|part| if part.starts_with('{') { "/x" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let path = path.replace("//", "/");
        // A logout would end the session that the next routes are asked with.
        for way in WAYS.into_iter().filter(|way| route.path != "/logout" || *way == "nobody") {
            let (headers, role) = match way {
                "nobody" => (String::new(), None),
                "viewer" => (guarding.bearer(Role::Viewer), Some(Role::Viewer)),
                "operator" => (guarding.bearer(Role::Operator), Some(Role::Operator)),
                "admin" => (guarding.bearer(Role::Admin), Some(Role::Admin)),
                "revoked" => (format!("authorization: Bearer {revoked}\r\n"), None),
                "session" => (session.clone(), Some(Role::Operator)),
                _ => (format!("{old}origin: http://localhost\r\n"), None),
            };
            // What is no token is counted; a minute passes between two.
            guarding.gate.skip(Duration::from_secs(60));
            let answer = guarding.ask(route.method.as_str(), &path, &headers).await;
            let found = answer.status;
            let said = format!("{} {path} as {way}: {found} {}", route.method, answer.body);
            match (route.need.role(), role) {
                (None, _) => assert!(!matches!(found, 401 | 403 | 421), "{said}"),
                (Some(_), None) => assert_eq!(found, 401, "{said}"),
                (Some(least), Some(role)) if role < least => assert_eq!(found, 403, "{said}"),
                (Some(_), Some(_)) if RESIDENTS.contains(&route.path) => assert_eq!(found, 403, "{said}"),
                (Some(_), Some(_)) => assert!(!matches!(found, 0 | 401 | 403 | 421 | 429 | 500), "{said}"),
            }
        }
    }
}

#[tokio::test]
async fn strangers_are_told_whether_zenei_is_ready_and_not_why() {
    let parts = || -> Readiness {
        let why = "broker.example is not connected".to_owned();
        Readiness::new(vec![Box::new(move || Part { name: "broker", is_ready: false, why: why.clone() })])
    };
    let known = shown(true, parts(), true).await;
    let bytes = axum::body::to_bytes(known.into_body(), 1 << 10).await.unwrap();
    let text =
        r#"{"status":"not ready","parts":[{"name":"broker","ready":false,"why":"broker.example is not connected"}]}"#;
    assert_eq!(bytes, text.as_bytes());
    let unknown = shown(true, parts(), false).await;
    assert_eq!(unknown.status(), StatusCode::SERVICE_UNAVAILABLE);
    let bytes = axum::body::to_bytes(unknown.into_body(), 1 << 10).await.unwrap();
    assert_eq!(bytes, r#"{"status":"not ready","parts":[{"name":"broker","ready":false,"why":""}]}"#.as_bytes());
}

#[tokio::test]
async fn from_this_machine_everybody_reads_and_nobody_changes_anything_without_a_token() {
    let guarding = Guarding::local().await;
    assert_eq!(guarding.ask("GET", "/api/v1/incidents", "").await.status, 200);
    assert_eq!(guarding.ask("GET", "/metrics", "").await.status, 200);
    assert_eq!(guarding.ask("GET", "/api/v1/audit", "").await.status, 401);
    assert_eq!(guarding.ask("GET", "/api/v1/incidents", "x-forwarded-for: 10.0.0.1\r\n").await.status, 401);
    for route in guarding.routes.iter().filter(|route| route.changes()) {
        assert_eq!(guarding.ask("POST", &route.path.replace(['{', '}'], ""), "").await.status, 401, "{}", route.path);
    }
    // A wrong token is worse than none.
    assert_eq!(guarding.ask("GET", "/api/v1/incidents", "authorization: Bearer zenei_x\r\n").await.status, 401);
}

#[tokio::test]
async fn a_name_that_was_made_to_lead_here_reads_nothing() {
    let guarding = Guarding::local().await;
    for host in ["evil.example", "evil.example:80", "localhost.evil.example"] {
        let answer = guarding.ask("GET", "/api/v1/incidents", &format!("host: {host}\r\n")).await;
        assert_eq!(answer.status, 421, "{host}");
        let with_token = format!("host: {host}\r\n{}", guarding.bearer(Role::Admin));
        assert_eq!(guarding.ask("GET", "/healthz", &with_token).await.status, 421, "{host}");
    }
    for host in ["127.0.0.1:8080", "localhost:9", "[::1]:8080"] {
        assert_eq!(guarding.ask("GET", "/api/v1/incidents", &format!("host: {host}\r\n")).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_with_a_session() {
    let guarding = Guarding::local().await;
    let session = guarding.log_in(Role::Operator).await;
    let logout = async |headers: &str| guarding.ask("POST", "/logout", headers).await.status;
    assert_eq!(logout(&format!("{session}origin: https://evil.example\r\n")).await, 403);
    assert_eq!(logout(&format!("{session}sec-fetch-site: cross-site\r\n")).await, 403);
    let changes = guarding.routes.iter().find(|route| route.changes());
    if let Some(route) = changes {
        let change =
            async |headers: &str| guarding.ask("POST", &route.path.replace(['{', '}'], ""), headers).await.status;
        assert_eq!(change(&session).await, 403, "a cookie without an origin");
        assert_eq!(change(&format!("{session}origin: null\r\n")).await, 403);
        assert_eq!(change(&format!("{session}origin: http://localhost:81\r\n")).await, 403);
        let ours = change(&format!("{session}origin: http://localhost\r\n")).await;
        assert!(!matches!(ours, 401 | 403), "{ours}");
        // A program sends a token and no origin.
        let program = change(&guarding.bearer(Role::Operator)).await;
        assert!(!matches!(program, 401 | 403), "{program}");
        let foreign = format!("{}origin: https://evil.example\r\n", guarding.bearer(Role::Operator));
        assert_eq!(change(&foreign).await, 403);
    }
    assert_eq!(logout(&format!("{session}origin: http://localhost\r\n")).await, 303);
}

#[tokio::test]
async fn a_session_ends_by_logout_by_time_and_with_its_token() {
    let guarding = Guarding::open_to_all().await;
    let reads = async |session: &str| guarding.ask("GET", "/api/v1/incidents", session).await.status;
    let [first, second, third] = [
        guarding.log_in(Role::Viewer).await,
        guarding.log_in(Role::Viewer).await,
        guarding.log_in(Role::Operator).await,
    ];
    assert_eq!((reads(&first).await, reads(&second).await, reads(&third).await), (200, 200, 200));
    let ours = format!("{first}origin: http://localhost\r\n");
    assert_eq!(guarding.ask("POST", "/logout", &ours).await.status, 303);
    assert_eq!((reads(&first).await, reads(&second).await), (401, 200));
    assert!(tokens::revoke(&guarding.token_file(), "viewer").unwrap());
    guarding.gate.skip(Duration::from_secs(1));
    assert_eq!((reads(&second).await, reads(&third).await), (401, 200));
    guarding.gate.skip(Duration::from_secs(12 * 3_600));
    assert_eq!(reads(&third).await, 401);
}

#[tokio::test]
async fn a_person_without_a_session_is_led_to_the_login_and_back() {
    let guarding = Guarding::open_to_all().await;
    let answer = guarding.ask("GET", "/api/v1/incidents?status=detected", "accept: text/html,*/*\r\n").await;
    assert_eq!(answer.status, 303);
    assert!(answer.head.contains("location: /login?next=/api/v1/incidents%3fstatus%3ddetected"), "{}", answer.head);
    let headers = "content-type: application/x-www-form-urlencoded\r\n";
    let wrong = guarding.send("POST", "/login", headers, "token=zenei_x&next=//evil.example").await;
    assert!(wrong.status == 303 && wrong.head.contains("location: /login?failed=1&next=/"), "{}", wrong.head);
    assert!(!wrong.head.contains("set-cookie"));
}

#[tokio::test]
async fn a_cookie_is_secure_where_people_come_over_tls() {
    let public_url = PublicUrl::parse("https://zenei.example").ok();
    let guarding = Guarding::start(|settings| GateSettings { public_url, ..settings }).await;
    let form = format!("token={}", guarding.tokens[0]);
    let headers =
        "content-type: application/x-www-form-urlencoded\r\nhost: zenei.example\r\norigin: https://zenei.example\r\n";
    let answer = guarding.send("POST", "/login", headers, &form).await;
    assert!(answer.status == 303 && answer.head.contains("samesite=strict; secure"), "{}", answer.head);
    // Behind a proxy nobody is near.
    assert_eq!(guarding.ask("GET", "/api/v1/incidents", "").await.status, 401);
}

#[tokio::test]
async fn who_tries_tokens_is_told_to_wait_and_who_has_one_is_not() {
    let guarding = Guarding::open_to_all().await;
    let wrong = "authorization: Bearer zenei_wrong\r\n";
    for _ in 0..10 {
        assert_eq!(guarding.ask("GET", "/metrics", wrong).await.status, 401);
    }
    let answer = guarding.ask("GET", "/metrics", wrong).await;
    assert!(answer.status == 429 && answer.head.contains("retry-after: "), "{}", answer.head);
    assert_eq!(guarding.ask("GET", "/metrics", &guarding.bearer(Role::Viewer)).await.status, 200);
}

#[tokio::test]
async fn each_change_leaves_one_row_also_one_that_was_refused() {
    let guarding = Guarding::local().await;
    let Some(route) = guarding.routes.iter().find(|route| route.changes() && route.path.contains("/incidents/{"))
    else {
        // The API that changes incidents is another module's.
        return;
    };
    let id = "0".repeat(32);
    let path =
        route.path.split('/').map(|part| if part.starts_with('{') { &id } else { part }).collect::<Vec<_>>().join("/");
    let refused = guarding.ask("POST", &path, &guarding.bearer(Role::Viewer)).await.status;
    let tried = guarding.ask("POST", &path, &guarding.bearer(Role::Operator)).await.status;
    assert_eq!(guarding.ask("POST", &path, "").await.status, 401, "a stranger leaves no row");
    let answer = guarding.ask("GET", "/api/v1/audit", &guarding.bearer(Role::Admin)).await;
    let found: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let rows = found["audit"].as_array().unwrap();
    let shown: Vec<_> =
        rows.iter().map(|row| (row["name"].as_str().unwrap(), row["status"].as_u64().unwrap())).collect();
    assert_eq!(shown, [("operator", u64::from(tried)), ("viewer", u64::from(refused))]);
    assert_eq!(refused, 403);
    assert!(tried >= 400, "there is no such incident");
    assert!(rows.iter().all(|row| row["subject"] == id.as_str() && row["path"] == path.as_str()));
}

#[tokio::test]
async fn every_answer_says_what_a_browser_must_not_do_with_it() {
    let guarding = Guarding::local().await;
    for path in ["/healthz", "/nothing", "/api/v1/incidents", "/metrics"] {
        let head = guarding.ask("GET", path, "").await.head;
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; ",
            "x-content-type-options: nosniff",
            "referrer-policy: same-origin",
            "cache-control: no-store",
        ] {
            assert!(head.contains(header), "{path}: {header} in {head}");
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_an_answer_or_a_file() {
    let guarding = Guarding::local().await;
    let session = guarding.log_in(Role::Admin).await;
    let secret = session.trim().split_once(COOKIE).unwrap().1.to_owned();
    let mut secrets = guarding.tokens.clone();
    secrets.push(secret);
    for path in ["/metrics", "/api/v1/audit", "/healthz", "/readyz", "/nothing"] {
        let answer = guarding.ask("GET", path, &session).await;
        assert!(secrets.iter().all(|secret| !answer.body.contains(secret.as_str())), "{path}");
    }
    for entry in std::fs::read_dir(guarding.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "{}", path.display());
    }
    assert!(secrets.iter().all(|secret| !format!("{:?}", guarding.gate).contains(secret.as_str())));
}

#[tokio::test]
async fn a_head_that_never_ends_and_a_client_that_says_nothing_are_closed() {
    let guarding = Guarding::local().await;
    let whole = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let all = ["", "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ", whole].map(|said| {
        let address = guarding.address;
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            let mut bytes = Vec::new();
            let ended = tokio::time::timeout(WITHIN, stream.read_to_end(&mut bytes)).await;
            assert!(ended.is_ok(), "{said:?} is still open");
        })
    });
    for one in all {
        one.await.unwrap();
    }
}

#[tokio::test]
async fn ten_thousand_connections_take_no_more_places_than_there_are() {
    const MAX: usize = 32;
    let gate = Gate::loopback();
    let rules = Arc::new(Rules::embedded().unwrap());
    let handles = Handles::of(Incidents::default(), DeskClock::new(Clock::System), rules);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(&handles, Inward::default());
    tokio::spawn(server::accept(listener, router, (gate.clone(), Traffic::default(), MAX), std::future::pending()));
    // Each of these was answered, so it has its place.
    let mut held = Vec::new();
    for _ in 0..MAX {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
        held.push(stream);
    }
    let mut refused = 0;
    for _ in 0..10_000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Closed at once, and nothing was said.
        let ended = tokio::time::timeout(WITHIN, stream.read(&mut [0; 1])).await.unwrap();
        refused += usize::from(ended.unwrap_or(0) == 0);
    }
    // A held connection ends where it rests too long; then one more finds a place, and keeps it until it rests too
    // long.
    assert_eq!(refused, 10_000);
    assert!(gate.refused_connections() + MAX as u64 * 2 >= 10_000, "{}", gate.refused_connections());
}
