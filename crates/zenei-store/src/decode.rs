//! Decodes messages of a spool or a recording into records, or into dead letters with the reason and the bytes. The
//! only decoder of messages: `run`, `replay`, `record list`, `scan` and the lab all call it. Must not know time, files
//! or detectors.
use crate::dead_letter::DeadLetter;
use crate::spool::{Source, StoredMessage};
use std::collections::BTreeMap;
use zenei_detect::{Heard, Portion, Unreadable};
use zenei_wire::bthome::{Address, Keyring, NotAdvertised};
use zenei_wire::{GatewayTime, Heading, Refusal, Topic};

/// The content of messages, in their order. Each record and each refused record is counted once in `received`; an
/// undecodable message counts as one.
#[derive(Clone, Debug, Default)]
pub struct Decoded<'a> {
    /// The records.
    pub heard: Vec<Heard<'a>>,
    /// The dead letters, with the reason and the bytes.
    pub dead: Vec<DeadLetter>,
    /// The senders of encrypted advertisements without a known key: neither records nor dead letters.
    pub no_key: Vec<Address>,
    /// Records received, by source.
    pub received: BTreeMap<Source, u64>,
    /// Messages on other people's topics; no records.
    pub foreign: u64,
    /// Last wills; no records.
    pub online: u64,
    unreadable: Vec<Unreadable>,
    until: Option<GatewayTime>,
}

impl<'a> Decoded<'a> {
    /// The portion that the pipeline takes.
    pub fn portion(&self) -> Portion<'_> {
        Portion { heard: &self.heard, unreadable: &self.unreadable, until: self.until }
    }

    fn receive(&mut self, source: Source, records: u64) {
        *self.received.entry(source).or_default() += records;
    }

    fn refuse(&mut self, message: &StoredMessage, index: u16, bytes: &[u8], refusal: Refusal) {
        let letter = DeadLetter::of(message, refusal, bytes, index);
        self.unreadable.extend(letter.unreadable());
        self.dead.push(letter);
    }

    fn advertisement(&mut self, message: &'a StoredMessage, keys: &'a Keyring) {
        self.receive(message.source, 1);
        match keys.decode(&message.topic, &message.payload, message.heard_at) {
            // The half of a record: it gets its identity when it is merged with the other half.
            Ok(adv) => self.heard.push(Heard {
                site: adv.site,
                device: adv.device,
                record: adv.record,
                identity: 0,
                heard_at: message.heard_at,
                offset: message.offset,
                index: 0,
                authenticated: adv.authenticated,
            }),
            Err(NotAdvertised::NoKey { address }) => self.no_key.push(address),
            Err(NotAdvertised::Refused(refusal)) => self.refuse(message, 0, &message.payload, refusal),
        }
    }

    fn records(&mut self, topic: &Topic<'a>, message: &'a StoredMessage) {
        let records = match zenei_wire::decode(topic, &message.payload) {
            Ok(records) => records,
            Err(refusal) => {
                self.receive(message.source, 1);
                return self.refuse(message, 0, &message.payload, refusal);
            }
        };
        self.receive(message.source, records.len() as u64);
        for (index, decoded) in records.into_iter().enumerate() {
            // At most 1,000 records are in one message.
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            let record = match decoded.record {
                Ok(record) => record,
                Err(refusal) => {
                    self.refuse(message, index, decoded.raw, refusal);
                    continue;
                }
            };
            let identity = match (record.boot, record.seq) {
                (Some(_), Some(_)) => 0,
                (Some(_) | None, _) => zenei_wire::event_identity(topic.device, record.ts, decoded.raw),
            };
            self.heard.push(Heard {
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
}

/// Decodes messages in their order; advertisements are decrypted with `keys`.
pub fn decode<'a>(messages: &'a [StoredMessage], keys: &'a Keyring) -> Decoded<'a> {
    let mut decoded = Decoded { heard: Vec::with_capacity(messages.len()), ..Decoded::default() };
    for message in messages {
        decoded.until = decoded.until.max(Some(message.heard_at));
        if message.source == Source::Ble {
            decoded.advertisement(message, keys);
            continue;
        }
        match Topic::parse(&message.topic) {
            Ok(Heading::Record(topic)) => decoded.records(&topic, message),
            Ok(Heading::Foreign) => decoded.foreign += 1,
            Ok(Heading::Online) => decoded.online += 1,
            Err(refusal) => {
                decoded.receive(message.source, 1);
                decoded.refuse(message, 0, &message.payload, refusal);
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_wire::Reason;

    fn message(offset: u64, topic: &str, payload: &str) -> StoredMessage {
        StoredMessage {
            offset,
            heard_at: GatewayTime(1_000),
            source: Source::Ingress,
            authenticated: true,
            topic: topic.to_owned(),
            payload: payload.as_bytes().to_vec().into(),
        }
    }

    #[test]
    fn every_message_ends_as_records_or_dead_letters_and_is_counted_once() {
        let messages = [
            message(0, "bitlock/v1/s/d/state", r#"{"ts":1,"boot":1,"seq":0}"#),
            message(1, "bitlock/v1/s/d/state", r#"[{"ts":1,"boot":1,"seq":1},{"boot":1},{"ts":2}]"#),
            message(2, "bitlock/v1/s/d/state", "{"),
            message(3, "bitlock/v1/s/state", r#"{"ts":1}"#),
            message(4, "bitlock/v1/s/d/weather", r#"{"ts":1}"#),
            message(5, "bitlock/v1/s/d/state", &" ".repeat(zenei_wire::MAX_PAYLOAD_BYTES + 1)),
        ];
        let keys = Keyring::default();
        let decoded = decode(&messages, &keys);
        let places: Vec<_> =
            decoded.heard.iter().map(|heard| (heard.offset, heard.index, heard.identity != 0)).collect();
        assert_eq!(places, [(0, 0, false), (1, 0, false), (1, 2, true)]);
        let reasons: Vec<_> = decoded.dead.iter().map(|dead| (dead.offset, dead.index, dead.reason)).collect();
        let expected = [
            (1, 1, Reason::MissingField),
            (2, 0, Reason::BadJson),
            (3, 0, Reason::BadTopic),
            (4, 0, Reason::UnknownKind),
            (5, 0, Reason::TooLarge),
        ];
        assert_eq!(reasons, expected);
        assert_eq!(
            decoded.dead[0].bytes, br#"{"boot":1}"#,
            "a refused record keeps its own bytes, not its neighbours'"
        );
        assert_eq!(decoded.received, BTreeMap::from([(Source::Ingress, 8)]));
        let unreadable: Vec<&str> = decoded.portion().unreadable.iter().map(|record| &*record.device_id).collect();
        assert_eq!(unreadable, ["d", "d", "d"], "what names its lock by its topic tells that the lock is there");
    }

    #[test]
    fn a_source_that_may_not_speak_for_a_lock_proves_nothing_about_it() {
        let stranger = StoredMessage { authenticated: false, ..message(0, "bitlock/v1/s/d/state", "{") };
        let messages = [stranger];
        let keys = Keyring::default();
        let decoded = decode(&messages, &keys);
        assert_eq!((decoded.dead.len(), decoded.portion().unreadable.len()), (1, 0));
    }
}
