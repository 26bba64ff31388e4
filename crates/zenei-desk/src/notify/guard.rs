//! Which addresses a target may have: public ones, unless its configuration allows private ones. A name is resolved
//! here, and only what passes is dialled, so that a name can't lead elsewhere after the check. Must not know a remote.
//! Called by [`super::http`].
//!
//! Behind a proxy the proxy resolves the target's name: then only literal addresses are checked here.
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// IPv4 ranges that are not public, as network and prefix length, with what they are (the special-purpose registry,
/// RFC 6890 and its successors). Link-local has the addresses of clouds' metadata services.
const PRIVATE_V4: &[([u8; 4], u32, &str)] = &[
    ([0, 0, 0, 0], 8, "this network"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "shared by a carrier (CGNAT)"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([169, 254, 0, 0], 16, "link-local"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "of protocols"),
    ([192, 0, 2, 0], 24, "documentation"),
    ([192, 88, 99, 0], 24, "a 6to4 relay"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "benchmarks"),
    ([198, 51, 100, 0], 24, "documentation"),
    ([203, 0, 113, 0], 24, "documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// IPv6 ranges that are not public: only 2000::/3 is given out, less these.
const PRIVATE_V6: &[([u16; 8], u32, &str)] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "of protocols (Teredo and others)"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4, which hides an IPv4 address"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
];

/// What an address is, where it is not public; `None` for a public one.
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    let holds = |&&(network, length, _): &&([u8; 4], u32, &'static str)| {
        (bits ^ Ipv4Addr::from(network).to_bits()) >> (32 - length) == 0
    };
    PRIVATE_V4.iter().find(holds).map(|&(_, _, what)| what)
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    if let Some(inner) = inner_v4(address) {
        return not_public_v4(inner);
    }
    if bits >> 125 != 0b001 {
        let what = match address.segments()[0] {
            0xfe80..=0xfebf => "link-local",
            0xfc00..=0xfdff => "unique local (private)",
            0xff00..=0xffff => "multicast",
            _ if address == Ipv6Addr::LOCALHOST => "loopback",
            _ => "not given out",
        };
        return Some(what);
    }
    let holds = |&&(network, length, _): &&([u16; 8], u32, &'static str)| {
        (bits ^ Ipv6Addr::from(network).to_bits()) >> (128 - length) == 0
    };
    PRIVATE_V6.iter().find(holds).map(|&(_, _, what)| what)
}

/// The IPv4 address that an IPv6 address stands for: mapped (::ffff:0:0/96) or translated (64:ff9b::/96, RFC 6052).
fn inner_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let translated = address.to_bits() >> 32 == 0x0064_ff9b_0000_0000_0000_0000;
    let low = || Ipv4Addr::from_bits((address.to_bits() & u128::from(u32::MAX)) as u32);
    address.to_ipv4_mapped().or_else(|| translated.then(low))
}

/// The address that a URL's host is, where it is one. URL parsing has made `0x7f.1` and `2130706433` dotted already.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// An error that names the host and what its address is.
pub(super) fn refusal(host: &str, address: IpAddr, what: &str) -> String {
    let at = if literal(host).is_some() { String::new() } else { format!(" is at {address}, which") };
    format!("{host}{at} is no public address ({what}); `allow_private = true` allows it")
}

/// Resolves names and refuses those that lead to an address that is not public.
#[derive(Debug)]
pub(super) struct Guard {
    /// Whether any address will do.
    pub(super) allow_private: bool,
    /// Hosts of proxies, which the operator named in the environment and which usually are private.
    pub(super) proxies: BTreeSet<String>,
}

impl Guard {
    /// The addresses of a name that may be dialled. One private address among them refuses the name: it would be
    /// dialled next time.
    pub(super) fn checked(&self, name: &str, found: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        if self.allow_private || self.proxies.contains(name) {
            return Ok(found);
        }
        let refused = found.iter().find_map(|at| not_public(at.ip()).map(|what| refusal(name, at.ip(), what)));
        refused.map_or(Ok(found), |why| Err(io::Error::new(io::ErrorKind::PermissionDenied, why)))
    }
}

/// A [`Guard`] as the client's resolver.
#[derive(Clone, Debug)]
pub(super) struct Resolver(pub(super) std::sync::Arc<Guard>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let checked = guard.checked(name.as_str(), found)?;
            Ok(Box::new(checked.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, is_public: bool) {
        let found = not_public(address.parse().unwrap());
        assert_eq!(found.is_none(), is_public, "{address}: {found:?}");
    }

    #[test]
    fn the_first_and_the_last_address_of_each_private_range_are_refused() {
        for &(network, length, _) in PRIVATE_V4 {
            let first = Ipv4Addr::from(network).to_bits();
            let last = first | (u32::MAX >> length);
            assert!(not_public_v4(Ipv4Addr::from_bits(first)).is_some());
            assert!(not_public_v4(Ipv4Addr::from_bits(last)).is_some());
        }
        for &(network, length, _) in PRIVATE_V6 {
            let first = Ipv6Addr::from(network).to_bits();
            let last = first | (u128::MAX >> length);
            assert!(not_public_v6(Ipv6Addr::from_bits(first)).is_some());
            assert!(not_public_v6(Ipv6Addr::from_bits(last)).is_some());
        }
    }

    #[test]
    fn their_neighbours_are_allowed() {
        for address in ["1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"] {
            check(address, true);
        }
        for address in ["128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.0.1"] {
            check(address, true);
        }
        for address in ["192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2001:200::1", "2606:4700::1"]
        {
            check(address, true);
        }
    }

    #[test]
    fn every_private_kind_of_ipv6_is_refused_also_with_an_ipv4_address_inside() {
        for address in ["::", "::1", "fe80::1", "febf::1", "fc00::1", "fdff::1", "ff02::1", "2001::1", "2002:a00:1::"] {
            check(address, false);
        }
        for address in ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1"] {
            check(address, false);
        }
        for address in ["::127.0.0.1", "fec0::1", "100::1", "64:ff9b:1::1", "2001:db8::1", "fd00:ec2::254"] {
            check(address, false);
        }
        check("::ffff:8.8.8.8", true);
        check("64:ff9b::8.8.8.8", true);
    }

    #[test]
    fn a_name_that_leads_to_one_private_address_is_refused_as_a_whole() {
        let guard = |allow_private| Guard { allow_private, proxies: BTreeSet::from(["proxy.lan".to_owned()]) };
        let found: Vec<SocketAddr> = vec!["8.8.8.8:0".parse().unwrap(), "192.168.0.7:0".parse().unwrap()];
        let error = guard(false).checked("hooks.example.com", found.clone()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "hooks.example.com is at 192.168.0.7, which is no public address (private); `allow_private = true` allows it"
        );
        assert_eq!(guard(false).checked("hooks.example.com", found[..1].to_vec()).unwrap(), found[..1]);
        assert_eq!(guard(true).checked("hooks.example.com", found.clone()).unwrap(), found);
        assert_eq!(guard(false).checked("proxy.lan", found.clone()).unwrap(), found);
    }
}
