//! Where does a page link to? Addresses made of ids and values that came from outside, percent-encoded. Must not know
//! what stands at an address. Called by the pages.
use std::fmt::Write as _;
use zenei_wire::Id;

/// A part of a path, or a value of a query: everything but letters, digits and `-._~` is percent-encoded (RFC 3986).
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String never fails.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A lock.
pub(super) fn lock(device_id: &str) -> String {
    format!("/locks/{}", encoded(device_id))
}

/// An incident.
pub(super) fn incident(id: Id) -> String {
    format!("/incidents/{id}")
}

/// A rule.
pub(super) fn rule(id: &str) -> String {
    format!("/rules/{}", encoded(id))
}

/// A path with these pairs as its query; pairs without a value are left out.
pub(super) fn with_query<'p>(path: &str, pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_can_not_leave_its_place_in_an_address() {
        assert_eq!(lock("../a?b#c\"<é"), "/locks/..%2Fa%3Fb%23c%22%3C%C3%A9");
        assert_eq!(
            with_query("/fleet", [("fw", "3.2.1+C2"), ("site", ""), ("text", "a&b=c")]),
            "/fleet?fw=3.2.1%2BC2&text=a%26b%3Dc"
        );
        assert_eq!(with_query("/fleet", [("fw", "")]), "/fleet");
    }
}
