//! Parses a topic into site, device and kind of record. The device id of the topic is authoritative. Must not know
//! payloads. Called by the store's decoder of messages and its dead letters, by the gateway, by `replay` and by
//! simulators.
use crate::ids::Name;
use crate::record::Kind;
use crate::refusal::{Reason, Refusal};
use alloc::format;
use alloc::string::String;

/// The first two levels of every topic of this contract.
pub const PREFIX: &str = "bitlock/v1/";

/// Where a record came from, by its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic<'a> {
    /// The site.
    pub site: Name<'a>,
    /// The lock, or for kind `gateway` the gateway.
    pub device: Name<'a>,
    /// The kind of record in the payload.
    pub kind: Kind,
}

/// The kinds of topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heading<'a> {
    /// Records.
    Record(Topic<'a>),
    /// A gateway's last will, `online`: no record, counted apart.
    Online,
    /// Not under `bitlock/v1/`: no record, counted apart.
    Foreign,
}

impl<'a> Topic<'a> {
    /// Reads a topic.
    ///
    /// # Errors
    /// `bad_topic` (levels, site or id) or `unknown_kind` (the last level).
    pub fn parse(topic: &'a str) -> Result<Heading<'a>, Refusal> {
        let Some(rest) = topic.strip_prefix(PREFIX) else {
            return Ok(Heading::Foreign);
        };
        let mut levels = rest.split('/');
        let (Some(site), Some(device), Some(last), None) = (levels.next(), levels.next(), levels.next(), levels.next())
        else {
            let found = rest.split('/').count() + 2;
            let detail = format!("the topic has {found} levels; bitlock/v1/{{site}}/{{device_id}}/{{kind}} has 5");
            return Err(Refusal::new(Reason::BadTopic, detail));
        };
        let name = |what: &str, text: &'a str| {
            Name::new(text).map_err(|error| Refusal::new(Reason::BadTopic, format!("the {what} {error}")))
        };
        let (site, device) = (name("site", site)?, name("device id", device)?);
        if last == "online" {
            return Ok(Heading::Online);
        }
        let kind = Kind::parse(last).filter(|kind| kind.has_topic()).ok_or_else(|| {
            let shown: String = last.chars().take(32).flat_map(char::escape_default).collect();
            let detail =
                format!("the topic's last level is '{shown}'; state, op, error, event, gateway or online are allowed");
            Refusal::new(Reason::UnknownKind, detail)
        })?;
        Ok(Heading::Record(Self { site, device, kind }))
    }

    /// The topic as text.
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}/{}/{}", self.site, self.device, self.kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    fn refusal(topic: &str) -> String {
        Topic::parse(topic).unwrap_err().to_string()
    }

    #[test]
    fn a_record_topic_names_site_device_and_kind() {
        for &kind in Kind::ALL.iter().filter(|kind| kind.has_topic()) {
            let text = format!("bitlock/v1/tokyo-01/BL0000123/{}", kind.as_str());
            let Ok(Heading::Record(topic)) = Topic::parse(&text) else {
                panic!("{text} is a record's topic");
            };
            assert_eq!((topic.site.as_str(), topic.device.as_str(), topic.kind), ("tokyo-01", "BL0000123", kind));
            assert_eq!(topic.to_text(), text);
        }
    }

    #[test]
    fn what_is_no_record_is_told_apart() {
        assert_eq!(Topic::parse("bitlock/v1/tokyo-01/gw-1/online"), Ok(Heading::Online));
        for foreign in
            ["", "bitlock", "bitlock/v2/a/b/state", "zigbee2mqtt/x", "/bitlock/v1/a/b/state", "Bitlock/v1/a/b/state"]
        {
            assert_eq!(Topic::parse(foreign), Ok(Heading::Foreign), "{foreign}");
        }
    }

    #[test]
    fn wrong_levels_sites_and_ids_are_bad_topics() {
        for (topic, expected) in [
            ("bitlock/v1/", "bad_topic: the topic has 3 levels; bitlock/v1/{site}/{device_id}/{kind} has 5"),
            ("bitlock/v1/a/state", "bad_topic: the topic has 4 levels; bitlock/v1/{site}/{device_id}/{kind} has 5"),
            ("bitlock/v1/a/b/state/", "bad_topic: the topic has 6 levels; bitlock/v1/{site}/{device_id}/{kind} has 5"),
            ("bitlock/v1//b/state", "bad_topic: the site is empty; 1 to 64 of A-Z a-z 0-9 . _ - are allowed"),
            (
                "bitlock/v1/a/b c/state",
                "bad_topic: the device id has the character ' ' at byte 1; only A-Z a-z 0-9 . _ - are allowed",
            ),
            (
                "bitlock/v1/a/b c/online",
                "bad_topic: the device id has the character ' ' at byte 1; only A-Z a-z 0-9 . _ - are allowed",
            ),
        ] {
            assert_eq!(refusal(topic), expected, "{topic}");
        }
    }

    #[test]
    fn another_last_level_is_an_unknown_kind() {
        for last in ["", "State", "adv", "states", "施錠", "\u{1b}[31m"] {
            let refused = Topic::parse(&format!("bitlock/v1/a/b/{last}")).unwrap_err();
            assert_eq!(refused.reason, Reason::UnknownKind, "{last}");
            assert!(refused.detail.is_ascii() && !refused.detail.contains('\u{1b}'), "the detail is escaped");
        }
    }
}
