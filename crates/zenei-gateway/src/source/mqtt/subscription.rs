//! Which topic filters has the broker granted? A filter counts as granted once a SUBACK says so, with QoS 1 at least;
//! one that was refused, or whose SUBACK was lost with its connection, is asked for again, also where the broker goes
//! on with a session: the session need not have it. A granted one is not asked for again while the session lasts: it
//! would do no harm, but each SUBSCRIBE makes the broker send all its retained messages anew. Must not know a socket or
//! a clock. Called by the connection and the probe.
use super::packet;
use bytes::BytesMut;

/// The filters of one broker, over all connections of a process.
#[derive(Debug)]
pub(super) struct Subscription {
    filters: Vec<Filter>,
    /// The SUBSCRIBE that has no answer yet: its packet id and the filters in it, by their place.
    asked: Option<(u16, Vec<usize>)>,
    last_id: u16,
    had_session: bool,
}

#[derive(Debug)]
struct Filter {
    text: String,
    is_granted: bool,
}

/// What a SUBACK changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// It answers no SUBSCRIBE of this connection.
    NotAsked,
    /// Each filter is granted.
    Granted,
    /// Not each of them.
    Refused {
        /// Which, with the broker's answer.
        reason: String,
    },
}

impl Subscription {
    /// Of these filters, none granted yet: those of an earlier process may have been others.
    pub(super) fn new(filters: &[String]) -> Self {
        let filters = filters.iter().map(|text| Filter { text: text.clone(), is_granted: false }).collect();
        Self { filters, asked: None, last_id: 0, had_session: false }
    }

    /// A new connection, with or without the earlier session; returns whether the broker has lost it.
    pub(super) fn connected(&mut self, session_present: bool) -> bool {
        self.asked = None;
        if !session_present {
            self.filters.iter_mut().for_each(|filter| filter.is_granted = false);
        }
        std::mem::replace(&mut self.had_session, true) && !session_present
    }

    /// The SUBSCRIBE for the filters that are not granted; `None` where each is.
    pub(super) fn ask(&mut self) -> Option<BytesMut> {
        let missing: Vec<usize> = (0..self.filters.len()).filter(|&at| !self.filters[at].is_granted).collect();
        if missing.is_empty() {
            return None;
        }
        // From 1 on; never 0.
        self.last_id = self.last_id % u16::MAX + 1;
        let mut out = BytesMut::new();
        packet::put_subscribe(&mut out, self.last_id, missing.iter().map(|&at| self.filters[at].text.as_str()));
        self.asked = Some((self.last_id, missing));
        Some(out)
    }

    /// A SUBACK with this packet id and these codes.
    pub(super) fn answered(&mut self, id: u16, codes: &[u8]) -> Answered {
        let Some((_, asked)) = self.asked.take_if(|(asked, _)| *asked == id) else {
            return Answered::NotAsked;
        };
        let mut refused = Vec::new();
        for (nth, at) in asked.into_iter().enumerate() {
            let filter = &mut self.filters[at];
            match refusal(codes.get(nth).copied()) {
                None => filter.is_granted = true,
                Some(what) => refused.push(format!("'{}' {what}", filter.text)),
            }
        }
        if refused.is_empty() { Answered::Granted } else { Answered::Refused { reason: refused.join("; ") } }
    }
}

/// Why a code of a SUBACK grants nothing; `None` where it does.
fn refusal(code: Option<u8>) -> Option<String> {
    match code {
        Some(1 | 2) => None,
        Some(0) => Some(
            "is granted with QoS 0 only, so that a message that is lost on its way is not sent again; the broker must \
             allow QoS 1"
                .to_owned(),
        ),
        Some(0x80) => {
            Some("is refused (0x80); the broker's access rules must let this client subscribe to it".to_owned())
        }
        Some(other) => Some(format!("is answered with {other:#04x}, which MQTT 3.1.1 does not have")),
        None => Some("has no code in the broker's answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(filters: &[&str]) -> Subscription {
        Subscription::new(&filters.iter().map(|&filter| filter.to_owned()).collect::<Vec<_>>())
    }

    /// The id and the filters of the next SUBSCRIBE.
    fn asked(subscription: &mut Subscription) -> Option<(u16, Vec<String>)> {
        let bytes = subscription.ask()?;
        assert_eq!(bytes[0], 0x82);
        let (id, mut rest, mut filters) = (u16::from_be_bytes([bytes[2], bytes[3]]), &bytes[4..], Vec::new());
        while let [high, low, more @ ..] = rest {
            let (text, more) = more.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            filters.push(String::from_utf8(text.to_vec()).unwrap());
            rest = &more[1..];
        }
        Some((id, filters))
    }

    fn filters(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_granted_filter_is_asked_for_once_in_a_session_and_again_without_one() {
        let mut subscription = of(&["a", "b"]);
        assert!(!subscription.connected(true), "the first session of a process is not known");
        assert_eq!(asked(&mut subscription), Some((1, filters(&["a", "b"]))), "the session may have other filters");
        assert_eq!(subscription.answered(1, &[1, 2]), Answered::Granted);
        assert!(!subscription.connected(true));
        assert_eq!(asked(&mut subscription), None);
        assert!(subscription.connected(false), "the broker has lost the session");
        assert_eq!(asked(&mut subscription), Some((2, filters(&["a", "b"]))));
    }

    #[test]
    fn an_answer_that_was_lost_grants_nothing() {
        let mut subscription = of(&["a"]);
        subscription.connected(false);
        assert_eq!(asked(&mut subscription), Some((1, filters(&["a"]))));
        subscription.connected(true);
        assert_eq!(subscription.answered(1, &[1]), Answered::NotAsked, "an answer of the connection before");
        assert_eq!(asked(&mut subscription), Some((2, filters(&["a"]))));
        assert_eq!(subscription.answered(1, &[1]), Answered::NotAsked);
        assert_eq!(subscription.answered(2, &[1]), Answered::Granted);
    }

    #[test]
    fn only_what_was_refused_is_asked_for_again() {
        let mut subscription = of(&["a", "b", "c", "d"]);
        subscription.connected(false);
        asked(&mut subscription);
        let Answered::Refused { reason } = subscription.answered(1, &[0x80, 1, 0]) else { panic!() };
        for what in ["'a' is refused (0x80)", "'c' is granted with QoS 0 only", "'d' has no code"] {
            assert!(reason.contains(what), "{reason}");
        }
        assert!(!reason.contains("'b'"), "{reason}");
        subscription.connected(true);
        assert_eq!(asked(&mut subscription), Some((2, filters(&["a", "c", "d"]))));
        assert_eq!(subscription.answered(2, &[1, 1, 1]), Answered::Granted);
        assert_eq!(asked(&mut subscription), None);
    }

    #[test]
    fn packet_ids_go_round_without_zero() {
        let mut subscription = of(&["a"]);
        subscription.last_id = u16::MAX;
        assert_eq!(asked(&mut subscription), Some((1, filters(&["a"]))));
    }
}
