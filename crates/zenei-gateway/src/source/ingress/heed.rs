//! Which clients that are refused does an operator see in the log? The first time of each address and reason, then at
//! most once in ten minutes, with how often it happened since; so that one client that tries again and again neither
//! fills the log nor hides another. Must not know a packet. Called by the ingress.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use zenei_store::clock::Elapsed;

/// How long an address is not named again for the same reason. A guess: a client that tries each few seconds makes six
/// lines an hour.
const AGAIN_AFTER: Duration = Duration::from_secs(600);
/// Addresses and reasons that are told apart; beyond them all are one. A guess: more than a site has hubs that fail,
/// and at most as many lines in ten minutes.
const APART_MAX: usize = 256;

/// What was logged lately.
#[derive(Debug, Default)]
pub(super) struct Heed {
    seen: Mutex<HashMap<Option<(IpAddr, &'static str)>, Seen>>,
}

#[derive(Debug)]
struct Seen {
    logged: Elapsed,
    since: u64,
}

impl Heed {
    /// Notes a refusal; returns how many there were since the last line, this one too, where it is to be logged.
    pub(super) fn note(&self, peer: IpAddr, reason: &'static str) -> Option<u64> {
        self.note_after(peer, reason, AGAIN_AFTER)
    }

    fn note_after(&self, peer: IpAddr, reason: &'static str, again_after: Duration) -> Option<u64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Some((peer.to_canonical(), reason));
        if !seen.contains_key(&key) && seen.len() >= APART_MAX {
            seen.retain(|_, of| of.logged.so_far() < again_after);
            if seen.len() >= APART_MAX {
                key = None;
            }
        }
        match seen.get_mut(&key) {
            Some(of) if of.logged.so_far() < again_after => {
                of.since += 1;
                None
            }
            Some(of) => Some(std::mem::replace(of, Seen { logged: Elapsed::start(), since: 0 }).since + 1),
            None => {
                seen.insert(key, Seen { logged: Elapsed::start(), since: 0 });
                Some(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn peer(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    #[test]
    fn each_address_and_reason_is_logged_once_and_then_with_how_often_it_happened() {
        let heed = Heed::default();
        assert_eq!([heed.note(peer(1), "a"), heed.note(peer(1), "a")], [Some(1), None]);
        assert_eq!([heed.note(peer(1), "b"), heed.note(peer(2), "a")], [Some(1), Some(1)]);
        assert_eq!(heed.note(peer(1), "a"), None);
        assert_eq!(heed.note_after(peer(1), "a", Duration::ZERO), Some(3));
    }

    #[test]
    fn many_addresses_make_no_more_lines_than_can_be_told_apart() {
        let heed = Heed::default();
        let lines = (0..10_000).filter(|&number| heed.note(peer(number), "a").is_some()).count();
        assert_eq!(lines, APART_MAX + 1);
    }
}
