//! From messages to what intake takes, or why they can't be read: how `replay`, `record list` and the lab read what a gateway spooled.
//! Knows no file and no time.
use crate::spool::{Source, StoredMessage};
use zenei_detect::{Heard, Keyring, Line, NotHeard};
use zenei_wire::{GatewayTime, Heading, Name, Reason, Topic};

/// A record that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread<'a> {
    /// Why.
    pub reason: Reason,
    /// The lock whose topic it came by, where its source may speak for it.
    device: Option<Name<'a>>,
    heard_at: GatewayTime,
}

impl Unread<'_> {
    /// Tells detection that the lock said something that can't be read.
    pub fn tell(&self, line: &mut Line) {
        if let Some(device) = self.device {
            line.refused(device.as_str(), self.heard_at);
        }
    }
}

/// As [`hear`], and advertisements with the keys of those who send them; gives false for one of somebody whose key is not known, which becomes neither.
pub fn hear_with_keys<'a>(
    message: &'a StoredMessage,
    keys: &'a Keyring,
    heard: &mut Vec<Heard<'a>>,
    dead: &mut Vec<Unread<'a>>,
) -> bool {
    if message.source != Source::Ble {
        hear(message, heard, dead);
        return true;
    }
    match keys.hear(&message.topic, &message.payload, message.heard_at, message.offset) {
        Ok(record) => heard.push(record),
        Err(NotHeard::Refused(refusal)) => {
            dead.push(Unread { reason: refusal.reason, device: None, heard_at: message.heard_at });
        }
        Err(NotHeard::NoKey { .. }) => return false,
    }
    true
}

/// Adds each record of a message to `heard`, and each that can't be read to `dead`. Other people's topics and last wills give neither.
pub fn hear<'a>(message: &'a StoredMessage, heard: &mut Vec<Heard<'a>>, dead: &mut Vec<Unread<'a>>) {
    let heard_at = message.heard_at;
    let unread = |reason: Reason, device: Option<Name<'a>>| Unread { reason, device, heard_at };
    let topic = match Topic::parse(&message.topic) {
        Ok(Heading::Record(topic)) => topic,
        Ok(Heading::Online | Heading::Foreign) => return,
        Err(refusal) => return dead.push(unread(refusal.reason, None)),
    };
    let device = message.authenticated.then_some(topic.device);
    let records = match zenei_wire::decode(&topic, &message.payload) {
        Ok(records) => records,
        Err(refusal) => return dead.push(unread(refusal.reason, device)),
    };
    for (index, decoded) in records.into_iter().enumerate() {
        let record = match decoded.record {
            Ok(record) => record,
            Err(refusal) => {
                dead.push(unread(refusal.reason, device));
                continue;
            }
        };
        let identity = if record.boot.is_some() && record.seq.is_some() {
            0
        } else {
            zenei_wire::event_identity(topic.device, record.ts, decoded.raw)
        };
        heard.push(Heard {
            site: topic.site,
            device: topic.device,
            record,
            identity,
            heard_at: message.heard_at,
            offset: message.offset,
            // At most 1,000 records stand in one message.
            index: u16::try_from(index).unwrap_or(u16::MAX),
            authenticated: message.authenticated,
        });
    }
}
