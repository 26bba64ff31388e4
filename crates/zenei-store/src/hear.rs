//! From messages to what intake takes, or why they can't be read: how `replay`, `record list` and the lab read what a gateway spooled.
//! Knows no file and no time.
use crate::dead_letter::DeadLetter;
use crate::spool::{Source, StoredMessage};
use zenei_detect::{Heard, Keyring, NotHeard};
use zenei_wire::{Heading, Refusal, Topic};

/// As [`hear`], and advertisements with the keys of those who send them; gives false for one of somebody whose key is not known, which becomes neither.
pub fn hear_with_keys<'a>(
    message: &'a StoredMessage,
    keys: &'a Keyring,
    heard: &mut Vec<Heard<'a>>,
    dead: &mut Vec<DeadLetter>,
) -> bool {
    if message.source != Source::Ble {
        hear(message, heard, dead);
        return true;
    }
    match keys.hear(&message.topic, &message.payload, message.heard_at, message.offset) {
        Ok(record) => heard.push(record),
        Err(NotHeard::Refused(refusal)) => {
            dead.push(DeadLetter::of(message, refusal, &message.payload, 0));
        }
        Err(NotHeard::NoKey { .. }) => return false,
    }
    true
}

/// Adds each record of a message to `heard`, and each that can't be read to `dead`. Other people's topics and last wills give neither.
pub fn hear<'a>(message: &'a StoredMessage, heard: &mut Vec<Heard<'a>>, dead: &mut Vec<DeadLetter>) {
    let whole = |refusal: Refusal| DeadLetter::of(message, refusal, &message.payload, 0);
    let topic = match Topic::parse(&message.topic) {
        Ok(Heading::Record(topic)) => topic,
        Ok(Heading::Online | Heading::Foreign) => return,
        Err(refusal) => return dead.push(whole(refusal)),
    };
    let records = match zenei_wire::decode(&topic, &message.payload) {
        Ok(records) => records,
        Err(refusal) => return dead.push(whole(refusal)),
    };
    for (index, decoded) in records.into_iter().enumerate() {
        // At most 1,000 records stand in one message.
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        let record = match decoded.record {
            Ok(record) => record,
            Err(refusal) => {
                dead.push(DeadLetter::of(message, refusal, decoded.raw, index));
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
            index,
            authenticated: message.authenticated,
        });
    }
}
