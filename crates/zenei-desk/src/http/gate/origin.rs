//! Does a request come from where it should? Checks `Host` against DNS rebinding and `Origin` against requests that
//! another site makes a browser send. Reads headers only; must not know who asks. Called by the gate.
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};
use std::net::IpAddr;

/// What a proxy adds to a request that came to it from elsewhere.
const FORWARDED: [&str; 6] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// The address by which people reach the server from outside, as `https://zenei.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    is_https: bool,
    authority: String,
}

impl PublicUrl {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (is_https, authority) =
            parts(text).ok_or_else(|| "https://HOST[:PORT] is allowed, without a path".to_owned())?;
        if authority.contains(['/', '?', '#', '@', ' ']) || host_of(&authority).is_empty() {
            return Err("https://HOST[:PORT] is allowed, without a path".to_owned());
        }
        Ok(Self { is_https, authority })
    }

    /// Whether it is reached over TLS.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Whether it names this machine itself.
    pub fn is_loopback(&self) -> bool {
        is_loopback(host_of(&self.authority))
    }

    /// Itself, without a slash at the end.
    pub fn as_text(&self) -> String {
        format!("{}://{}", if self.is_https { "https" } else { "http" }, self.authority)
    }
}

/// Where a request that changes something says that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// A page of this server.
    Here,
    /// It does not say: no browser, or an old one.
    Unsaid,
    /// A page of another site.
    Elsewhere,
}

/// Whether `Host`, and the request's line where that names a host too, name this server, which listens on loopback. A
/// page of another site whose name was made to resolve to 127.0.0.1 sends its own name.
pub(super) fn is_for_loopback(headers: &HeaderMap, target: &Uri, public: Option<&PublicUrl>) -> bool {
    let is_ours = |host: &str| {
        let is_public = public.is_some_and(|public| is_same(public.is_https, host, &public.authority));
        is_public || is_loopback(host_of(host))
    };
    let is_target = target.authority().is_none_or(|authority| is_ours(authority.as_str()));
    is_target && only(headers, HOST.as_str()).is_some_and(is_ours)
}

/// Whether a proxy handed the request on: then it may come from anywhere.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    FORWARDED.iter().any(|name| headers.contains_key(*name))
}

/// Where the request says that it comes from.
pub(super) fn origin(headers: &HeaderMap, public: Option<&PublicUrl>) -> From {
    let site = headers.get("sec-fetch-site").map(|value| value.as_bytes());
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        return From::Elsewhere;
    }
    if !headers.contains_key(ORIGIN) {
        return if site == Some(b"same-origin") { From::Here } else { From::Unsaid };
    }
    let Some((is_https, authority)) = only(headers, ORIGIN.as_str()).and_then(parts) else { return From::Elsewhere };
    let is_public = public.is_some_and(|public| public.is_https == is_https && public.authority == authority);
    let is_host = only(headers, HOST.as_str()).is_some_and(|host| is_same(is_https, host, &authority));
    if is_public || is_host { From::Here } else { From::Elsewhere }
}

/// The one value of a header; `None` where there is none, or there are more, of which each reader might take another.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let (first, None) = (all.next()?, all.next()) else { return None };
    first.to_str().ok()
}

/// Whether it is HTTPS, and the authority, of an address without a path.
fn parts(origin: &str) -> Option<(bool, String)> {
    let (scheme, authority) = origin.split_once("://")?;
    let is_https = match scheme {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    Some((is_https, plain(is_https, authority)))
}

fn is_same(is_https: bool, host: &str, authority: &str) -> bool {
    plain(is_https, host) == authority
}

/// In lower case, without the port that is the scheme's own.
fn plain(is_https: bool, authority: &str) -> String {
    let authority = authority.to_ascii_lowercase();
    let usual = if is_https { ":443" } else { ":80" };
    authority.strip_suffix(usual).map_or(authority.clone(), str::to_owned)
}

/// The host of an authority, without the port and the brackets of IPv6; empty where what follows it is no port.
fn host_of(authority: &str) -> &str {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inner) => inner.split_once(']').unwrap_or_default(),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port) { host } else { "" }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let mut headers = HeaderMap::new();
        all.iter().map(pair).for_each(|(name, value)| _ = headers.append(name, value));
        headers
    }

    #[test]
    fn a_host_on_loopback_is_loopback_or_the_public_one() {
        let public = PublicUrl::parse("https://zenei.example").unwrap();
        let plain = Uri::from_static("/locks");
        let is = |host| is_for_loopback(&headers(&[("host", host)]), &plain, Some(&public));
        for good in [
            "127.0.0.1:8080",
            "localhost",
            "LOCALHOST:1",
            "[::1]:8080",
            "127.9.9.9",
            "zenei.example",
            "zenei.example:443",
        ] {
            assert!(is(good), "{good}");
        }
        for bad in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "zenei.example:8443",
            "",
            "[",
            "10.0.0.1",
            "0.0.0.0",
            "127.0.0.1:8080, evil.example",
            "127.0.0.1:x",
            "localhost:1:2",
            "[::1]evil.example",
            "[::1]:x",
            "::1",
            "127.0.0.1@evil.example",
        ] {
            assert!(!is(bad), "{bad}");
        }
        assert!(
            !is_for_loopback(&headers(&[]), &plain, None)
                && !is_for_loopback(&headers(&[("host", "zenei.example")]), &plain, None)
        );
        let twice = headers(&[("host", "localhost"), ("host", "evil.example")]);
        assert!(!is_for_loopback(&twice, &plain, None));
    }

    #[test]
    fn a_request_whose_line_names_another_host_is_not_for_loopback() {
        let headers = headers(&[("host", "127.0.0.1:8080")]);
        let is = |target| is_for_loopback(&headers, &Uri::from_static(target), None);
        assert!(is("/locks") && is("http://localhost:8080/locks"));
        assert!(!is("http://evil.example/locks") && !is("http://127.0.0.1@evil.example/locks"));
    }

    #[test]
    fn an_origin_is_ours_where_it_is_the_host_or_the_public_address() {
        let public = PublicUrl::parse("https://zenei.example/").unwrap();
        let from = |all: &[(&'static str, &'static str)]| origin(&headers(all), Some(&public));
        let host = ("host", "127.0.0.1:8080");
        assert_eq!(from(&[host]), From::Unsaid);
        assert_eq!(from(&[host, ("origin", "http://127.0.0.1:8080")]), From::Here);
        assert_eq!(from(&[host, ("origin", "https://zenei.example")]), From::Here);
        assert_eq!(from(&[host, ("sec-fetch-site", "same-origin")]), From::Here);
        for bad in [
            "http://127.0.0.1:8081",
            "http://zenei.example",
            "https://zenei.example.evil.example",
            "https://evil.example",
            "null",
            "",
            "file://",
            "http://127.0.0.1:8080/x",
        ] {
            assert_eq!(from(&[host, ("origin", bad)]), From::Elsewhere, "{bad}");
        }
        for site in ["cross-site", "same-site", "wet"] {
            let all = [host, ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", site)];
            assert_eq!(from(&all), From::Elsewhere, "{site}");
        }
        let twice = [host, ("origin", "http://127.0.0.1:8080"), ("origin", "https://evil.example")];
        assert_eq!(from(&twice), From::Elsewhere);
    }

    #[test]
    fn a_public_address_has_a_scheme_and_a_host_and_no_path() {
        let good = PublicUrl::parse("https://Zenei.example:443").unwrap();
        assert_eq!(
            (good.as_text().as_str(), good.is_https(), good.is_loopback()),
            ("https://zenei.example", true, false)
        );
        assert!(PublicUrl::parse("http://localhost:8080").unwrap().is_loopback());
        for bad in [
            "zenei.example",
            "ftp://zenei.example",
            "https://",
            "https://a/b",
            "https://u@a",
            "https://:1",
            "https://a:b",
        ] {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_proxy_hands_on_says_so() {
        assert!(!is_forwarded(&headers(&[("host", "localhost")])));
        assert!(is_forwarded(&headers(&[("x-forwarded-for", "10.0.0.1")])));
    }
}
