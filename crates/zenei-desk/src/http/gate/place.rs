//! The gate of one server: who is it that asks, and how often may they? Must not know a route's work, nor what a layer
//! is. Called by the layer around every route, and by the login.
use super::audit::AuditLog;
use super::caller::{Caller, How, Role};
use super::entry::Entry;
use super::origin::{PublicUrl, is_forwarded};
use super::rate::{Buckets, Rate};
use super::sessions::Sessions;
use super::tokens::{Token, Tokens};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use zenei_store::clock::Elapsed;

/// The cookie of a session.
pub(super) const COOKIE_NAME: &str = "zenei_session";

/// How often anybody may ask; a guess: a page with its pictures is ten requests.
const ASKS: Rate = Rate { per_second: 50.0, burst: 200.0 };
/// The same for a caller on this machine, who could stop it more easily in other ways; a guess.
const ASKS_NEAR: Rate = Rate { per_second: 500.0, burst: 2_000.0 };
/// How often anybody may change something; a guess: no person is as fast.
const CHANGES: Rate = Rate { per_second: 5.0, burst: 50.0 };
/// The same for a caller on this machine; a guess: scripts are.
const CHANGES_NEAR: Rate = Rate { per_second: 50.0, burst: 500.0 };
/// How often an address may present what is no token: ten a minute. A guess; 256 bits can't be guessed at any rate.
const MISTAKES: Rate = Rate { per_second: 10.0 / 60.0, burst: 10.0 };

/// How the gate is set.
#[derive(Debug)]
pub struct GateSettings {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// What callers on this machine may do without a token; `None`: nothing.
    pub loopback: Option<Role>,
    /// The address by which people reach the server from outside, through a proxy.
    pub public_url: Option<PublicUrl>,
    /// The tokens; `None`: there are none, and nobody can log in.
    pub tokens: Option<Tokens>,
    /// Where it is kept who changed what; `None`: nowhere, for tests.
    pub audit: Option<AuditLog>,
    /// A link that logs its first visitor in; `None`: there is no such link.
    pub entry: Option<Entry>,
}

impl GateSettings {
    /// Those of a server that listens here, without tokens: from this machine everybody reads, nobody changes anything.
    pub fn of(listen: SocketAddr) -> Self {
        Self { listen, loopback: Some(Role::Viewer), public_url: None, tokens: None, audit: None, entry: None }
    }
}

/// The gate of one server; clones share one state.
#[derive(Clone)]
pub struct Gate(Arc<State>);

struct State {
    settings: GateSettings,
    sessions: Sessions,
    asks: [Buckets; 2],
    changes: [Buckets; 2],
    mistakes: Buckets,
    began: Elapsed,
    /// Added to the time; tests let it pass so.
    skipped_ms: AtomicU64,
    requests: AtomicU64,
    refused_connections: AtomicU64,
}

/// The address of the other end, an extension of every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What a request shows of who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Somebody.
    Somebody(Caller),
    /// Nothing.
    Nothing,
    /// What is no token.
    Mistake,
}

impl Gate {
    /// A gate with these settings.
    pub fn new(settings: GateSettings) -> Self {
        Self(Arc::new(State {
            settings,
            sessions: Sessions::default(),
            asks: [ASKS, ASKS_NEAR].map(Buckets::new),
            changes: [CHANGES, CHANGES_NEAR].map(Buckets::new),
            mistakes: Buckets::new(MISTAKES),
            began: Elapsed::start(),
            skipped_ms: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            refused_connections: AtomicU64::new(0),
        }))
    }

    /// A gate on loopback, without tokens: everybody on this machine reads, nobody changes anything.
    pub fn loopback() -> Self {
        Self::new(GateSettings::of(([127, 0, 0, 1], 0).into()))
    }

    /// The address by which people reach the server from outside.
    pub fn public_url(&self) -> Option<&PublicUrl> {
        self.0.settings.public_url.as_ref()
    }

    /// Whether anybody could log in.
    pub fn has_tokens(&self) -> bool {
        self.0.settings.tokens.is_some()
    }

    /// How many connections were closed at once because there were too many.
    pub fn refused_connections(&self) -> u64 {
        self.0.refused_connections.load(Ordering::Relaxed)
    }

    pub(crate) fn refuse_connection(&self) -> u64 {
        self.0.refused_connections.fetch_add(1, Ordering::Relaxed)
    }

    /// A number for a request, by which the log and the answer can be put together.
    pub(super) fn number_request(&self) -> u64 {
        self.0.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn settings(&self) -> &GateSettings {
        &self.0.settings
    }

    pub(super) fn is_on_loopback(&self) -> bool {
        self.0.settings.listen.ip().is_loopback()
    }

    /// How long this gate has been there.
    pub(super) fn at(&self) -> Duration {
        self.0.began.so_far() + Duration::from_millis(self.0.skipped_ms.load(Ordering::Relaxed))
    }

    /// Lets time pass.
    #[cfg(test)]
    pub(crate) fn skip(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.0.skipped_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Who asks, by what the request shows: a bearer token, else a session's cookie, else that it came from here.
    pub(super) fn who(&self, headers: &HeaderMap, peer: IpAddr) -> Shown {
        let at = self.at();
        if let Some(value) = headers.get(AUTHORIZATION) {
            let presented = value.to_str().ok().and_then(|value| value.split_once(' '));
            let presented = presented.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
            return match presented.and_then(|(_, token)| self.token(token.trim())) {
                Some(token) => Shown::Somebody(caller(token, How::Token)),
                None => Shown::Mistake,
            };
        }
        let session = cookie(headers).and_then(|secret| self.0.sessions.token(secret, at));
        let tokens = self.0.settings.tokens.as_ref();
        if let Some(token) = session.zip(tokens).and_then(|(key, tokens)| tokens.of_key(&key, at)) {
            return Shown::Somebody(caller(token, How::Session));
        }
        self.near(headers, peer).map_or(Shown::Nothing, Shown::Somebody)
    }

    /// The token that is presented, if it is one.
    pub(super) fn token(&self, presented: &str) -> Option<Token> {
        self.0.settings.tokens.as_ref().and_then(|tokens| tokens.known(presented, self.at()))
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Counts a request; else how many seconds to wait.
    pub(in crate::http) fn count(&self, caller: &str, is_near: bool, changes: bool) -> Result<(), u64> {
        let at = self.at();
        self.0.asks[usize::from(is_near)].take(caller, at)?;
        if changes { self.0.changes[usize::from(is_near)].take(caller, at) } else { Ok(()) }
    }

    /// Counts something that is no token; else how many seconds to wait.
    pub(super) fn count_mistake(&self, peer: IpAddr) -> Result<(), u64> {
        self.0.mistakes.take(&network(peer), self.at())
    }

    /// One who asks from this machine. Through a proxy everybody would: where there is one, nobody does.
    fn near(&self, headers: &HeaderMap, peer: IpAddr) -> Option<Caller> {
        let is_public = self.public_url().is_some_and(|public| !public.is_loopback());
        let is_near = self.is_on_loopback() && peer.is_loopback() && !is_public && !is_forwarded(headers);
        self.0.settings.loopback.filter(|_| is_near).map(Caller::loopback)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({})", self.0.settings.listen)
    }
}

/// The secret in the session's cookie.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, secret)| secret)
}

/// Those who share an address, for counting: one of IPv4, a network of IPv6, of which a customer has 2^64.
pub(super) fn network(peer: IpAddr) -> String {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:x}", address.to_bits() >> 64),
    }
}

fn caller(token: Token, how: How) -> Caller {
    Caller { name: token.name, role: token.role, residents: token.residents, how }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_a_network_of_ipv6_are_one_caller() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn a_session_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "zenei_lang=ja; xzenei_session=no".parse().unwrap());
        assert_eq!(cookie(&headers), None);
        headers.append(COOKIE, "a=b; zenei_session=abc".parse().unwrap());
        assert_eq!(cookie(&headers), Some("abc"));
    }

    #[test]
    fn nobody_is_near_behind_a_proxy() {
        let headers = HeaderMap::new();
        let near: IpAddr = [127, 0, 0, 1].into();
        let who = |settings: GateSettings| Gate::new(settings).who(&headers, near);
        let local = || GateSettings::of(([127, 0, 0, 1], 80).into());
        assert_eq!(who(local()), Shown::Somebody(Caller::loopback(Role::Viewer)));
        let public_url = PublicUrl::parse("https://zenei.example").ok();
        assert_eq!(who(GateSettings { public_url, ..local() }), Shown::Nothing);
        assert_eq!(who(GateSettings::of(([0, 0, 0, 0], 80).into())), Shown::Nothing);
        assert_eq!(who(GateSettings { loopback: None, ..local() }), Shown::Nothing);
        let mut forwarded = HeaderMap::new();
        forwarded.insert("x-forwarded-for", "10.0.0.1".parse().unwrap());
        assert_eq!(Gate::new(local()).who(&forwarded, near), Shown::Nothing);
    }
}
