//! The checked text formats of a configuration: addresses, URLs, names, topic filters, paths. Each text is checked
//! when the configuration is read, so that no later code meets a bad one. Must not open a socket or a file; it tests
//! whether a named file exists. Called by `walk` with the schema's `format`; `doctor` and `daemon::start` split a
//! checked URL with it.
use jiff::tz::TimeZone;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use zenei_desk::http::gate::PublicUrl;
use zenei_wire::Name;

/// The text in the form that later code expects: paths absolute, everything else unchanged.
///
/// # Errors
/// What is wrong with it and what is allowed.
pub(crate) fn checked(format: &str, text: &str, base: &Path) -> Result<String, String> {
    match format {
        "path" => Ok(absolute(text, base)?.to_string_lossy().into_owned()),
        "file" => existing(text, base, "file", Path::is_file),
        "folder" => existing(text, base, "folder", Path::is_dir),
        "name" => Name::new(text).map(|name| name.to_string()).map_err(|error| format!("the name {error}")),
        "socket-address" => {
            let allowed = |_| "an IP address and a port are allowed, such as 127.0.0.1:1884 or [::1]:1884".to_owned();
            // A check must not ask a resolver; this one name means the same everywhere.
            let text =
                text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
            text.parse::<SocketAddr>().map(|_| text).map_err(allowed)
        }
        "mqtt-url" => url(text, &["mqtt", "mqtts"]).map(|()| text.to_owned()),
        "http-url" => url(text, &["http", "https"]).map(|()| text.to_owned()),
        "public-url" => PublicUrl::parse(text).map(|url| url.as_text()),
        "mqtt-filter" => filter(text).map(|()| text.to_owned()),
        "identifier" => identifier(text).map(|()| text.to_owned()),
        "time-zone" => TimeZone::get(text).map(|_| text.to_owned()).map_err(|_| {
            "no time zone of this machine's tables; a name such as Asia/Tokyo or UTC is allowed".to_owned()
        }),
        _ => Ok(text.to_owned()),
    }
}

/// A text as messages may show it: without the credentials of a URL.
pub(crate) fn shown(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://(hidden){}", &text[..scheme], &text[at..]),
        _ => text.to_owned(),
    }
}

/// Host and port of a checked URL, the port from the URL or the usual one. An IPv6 address comes without its brackets.
pub(crate) fn host_and_port(url: &str, usual_port: u16) -> (String, u16) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(usual_port)),
        Some(_) | None => (authority, usual_port),
    };
    (host.trim_start_matches('[').trim_end_matches(']').to_owned(), port)
}

fn absolute(text: &str, base: &Path) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("an empty path; a path is needed".to_owned());
    }
    Ok(base.join(text))
}

fn existing(text: &str, base: &Path, what: &str, is: fn(&Path) -> bool) -> Result<String, String> {
    let path = absolute(text, base)?;
    if is(&path) {
        return Ok(path.to_string_lossy().into_owned());
    }
    let found = if path.exists() { format!("is no {what}") } else { "does not exist".to_owned() };
    Err(format!("the {what} {} {found}", path.display()))
}

fn url(text: &str, schemes: &[&str]) -> Result<(), String> {
    let allowed = || format!("{}://HOST[:PORT] is allowed", schemes.join(":// or "));
    let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("no URL; {}", allowed()))?;
    if !schemes.contains(&scheme) {
        return Err(format!("the scheme {scheme}; {}", allowed()));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    if authority.contains('@') {
        return Err(
            "a URL with credentials would be shown in logs; a user name and a password file have keys of their own"
                .to_owned(),
        );
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err(format!("no host; {}", allowed()));
    }
    match port.map(str::parse::<u16>) {
        None | Some(Ok(1..)) => Ok(()),
        Some(Ok(0) | Err(_)) => Err("the port; 1 to 65535 are allowed".to_owned()),
    }
}

/// Checks an MQTT 3.1.1 topic filter (OASIS standard, section 4.7).
///
/// # Errors
/// What is wrong with it and what is allowed.
pub(crate) fn filter(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > usize::from(u16::MAX) || text.contains('\0') {
        return Err("1 to 65535 bytes without a zero byte are allowed".to_owned());
    }
    let levels: Vec<&str> = text.split('/').collect();
    for (at, level) in levels.iter().enumerate() {
        let wild = level.contains(['#', '+']);
        if wild && level.len() > 1 {
            return Err(format!("the level `{level}`; # and + stand alone in their level"));
        }
        if *level == "#" && at + 1 < levels.len() {
            return Err("# before the last level; it is allowed as the last one only".to_owned());
        }
    }
    Ok(())
}

/// A name that needs no quotes in SQL.
fn identifier(text: &str) -> Result<(), String> {
    let good = |(at, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
    let length = (1..=64).contains(&text.len());
    if length && text.chars().enumerate().all(good) {
        return Ok(());
    }
    Err("1 to 64 of A-Z a-z 0-9 _ are allowed, with no digit first".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_needs_a_known_scheme_a_host_and_a_sensible_port() {
        for good in [
            "mqtt://127.0.0.1:1883",
            "mqtt://broker",
            "mqtts://broker.example:8883",
            "mqtt://[::1]:1883",
            "mqtt://[::1]",
        ] {
            assert_eq!(url(good, &["mqtt", "mqtts"]), Ok(()), "{good}");
        }
        for bad in
            ["broker:1883", "http://broker", "mqtt://", "mqtt://:1883", "mqtt://b:0", "mqtt://b:99999", "mqtt://u:p@b"]
        {
            assert!(url(bad, &["mqtt", "mqtts"]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_port_that_is_not_named_is_the_usual_one() {
        assert_eq!(host_and_port("mqtt://b", 1883), ("b".to_owned(), 1883));
        assert_eq!(host_and_port("mqtt://b:1/x", 1883), ("b".to_owned(), 1));
        assert_eq!(host_and_port("mqtt://[::1]:1", 1883), ("::1".to_owned(), 1));
        assert_eq!(host_and_port("mqtt://[::1]", 1883), ("::1".to_owned(), 1883));
    }

    #[test]
    fn credentials_in_a_url_are_not_shown() {
        assert_eq!(shown("mqtt://user:hunter2@broker"), "mqtt://(hidden)@broker");
        assert_eq!(shown("mqtt://broker"), "mqtt://broker");
    }

    #[test]
    fn wildcards_stand_alone_and_the_hash_last() {
        assert_eq!(filter("bitlock/v1/#"), Ok(()));
        assert_eq!(filter("bitlock/+/x"), Ok(()));
        assert!(filter("bitlock/v#").is_err());
        assert!(filter("bitlock/#/x").is_err());
        assert!(filter("").is_err());
    }

    #[test]
    fn a_relative_path_starts_at_the_file_that_names_it() {
        assert_eq!(checked("path", "state", Path::new("/etc/zenei")).unwrap(), "/etc/zenei/state");
        assert_eq!(checked("path", "/var/lib/zenei", Path::new("/etc/zenei")).unwrap(), "/var/lib/zenei");
    }

    #[test]
    fn a_database_name_can_not_carry_sql() {
        assert_eq!(identifier("zenei_2"), Ok(()));
        assert!(identifier("zenei; DROP TABLE x").is_err());
        assert!(identifier("2zenei").is_err());
        assert!(identifier("").is_err());
    }
}
