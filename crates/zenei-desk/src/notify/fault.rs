//! What is wrong with a target's configuration, and with which of its keys; and the addresses that need no connection
//! to be known as private. Must not know a remote. Called by the connectors, which read their keys, and by
//! [`super::Target::checked`].
use super::guard::{literal, not_public, refusal};
use reqwest::Url;

/// A fault in a target's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The key; `None` where one is missing, or several contradict each other.
    pub(super) key: Option<String>,
    /// What was found and what is allowed; never a secret.
    pub(super) why: String,
}

impl Fault {
    /// Turns a text into the fault of this key.
    pub(super) fn at(key: impl Into<String>) -> impl FnOnce(String) -> Self {
        let key = Some(key.into());
        |why| Self { key, why }
    }
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self { key: None, why }
    }
}

/// Refuses what is no URL of HTTP, and a host that is a private address, or this machine, by its very letters. Asks no
/// resolver; never shows more than the host.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_url(url: &str, allow_private: bool) -> Result<(), String> {
    let url = Url::parse(url).map_err(|_| "it is no URL; https://HOST[:PORT]/… is allowed".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme {}; http:// or https:// is allowed", url.scheme()));
    }
    let host = url.host_str().unwrap_or("");
    let name = host.strip_suffix('.').unwrap_or(host);
    if allow_private {
        return Ok(());
    }
    if let Some((address, what)) = literal(host).and_then(|address| Some((address, not_public(address)?))) {
        return Err(refusal(host, address, what));
    }
    // This name means loopback everywhere (RFC 6761).
    if name == "localhost" || name.ends_with(".localhost") {
        return Err(format!("{host} is no public address (loopback); `allow_private = true` allows it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_address_is_known_by_its_letters_and_a_name_is_not_resolved() {
        for private in
            ["http://127.0.0.1:9", "http://10.1.2.3/x", "http://[::1]/", "http://0x7f.1/", "http://localhost:80"]
        {
            assert!(check_url(private, false).unwrap_err().contains("allow_private = true"), "{private}");
            assert_eq!(check_url(private, true), Ok(()), "{private}");
        }
        assert_eq!(check_url("https://no-such-host.invalid/x", false), Ok(()));
        assert!(check_url("ftp://canary:canary@h/canary", true).is_err_and(|why| !why.contains("canary")));
        assert!(check_url("canary", true).is_err_and(|why| !why.contains("canary")));
    }
}
