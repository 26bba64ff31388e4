//! From messages of the spool to what intake takes: records, or dead letters with the reason and the bytes. Each message and each refused record is counted
//! exactly once. Must not know time, detectors or files. Called by the driver.
use zenei_detect::{Heard, Keyring, NotHeard};
use zenei_store::{DeadLetter, DropReason, Ledger, Source, StoredMessage};
use zenei_wire::{Heading, Refusal, Topic};

/// Decodes messages in their order. Records are added to `heard`, what can't be read to `dead`; the ledger counts both.
pub(crate) fn decode_messages<'a>(
    messages: &'a [StoredMessage],
    keys: &'a Keyring,
    heard: &mut Vec<Heard<'a>>,
    dead: &mut Vec<DeadLetter>,
    ledger: &mut Ledger,
) {
    for message in messages {
        if message.source == Source::Ble {
            decode_advertisement(message, keys, heard, dead, ledger);
            continue;
        }
        match Topic::parse(&message.topic) {
            Ok(Heading::Record(topic)) => decode_one(&topic, message, heard, dead, ledger),
            // Not spooled by this version; another one may have done so.
            Ok(Heading::Foreign) => ledger.ignored_foreign += 1,
            Ok(Heading::Online) => ledger.ignored_online += 1,
            Err(refusal) => {
                ledger.receive(message.source, 1);
                bury(message, 0, &message.payload, refusal, dead, ledger);
            }
        }
    }
}

fn decode_advertisement<'a>(
    message: &'a StoredMessage,
    keys: &'a Keyring,
    heard: &mut Vec<Heard<'a>>,
    dead: &mut Vec<DeadLetter>,
    ledger: &mut Ledger,
) {
    ledger.receive(message.source, 1);
    match keys.hear(&message.topic, &message.payload, message.heard_at, message.offset) {
        Ok(record) => heard.push(record),
        Err(NotHeard::NoKey { .. }) => ledger.drop_records(DropReason::NoKey, 1),
        Err(NotHeard::Refused(refusal)) => bury(message, 0, &message.payload, refusal, dead, ledger),
    }
}

fn decode_one<'a>(
    topic: &Topic<'a>,
    message: &'a StoredMessage,
    heard: &mut Vec<Heard<'a>>,
    dead: &mut Vec<DeadLetter>,
    ledger: &mut Ledger,
) {
    let records = match zenei_wire::decode(topic, &message.payload) {
        Ok(records) => records,
        Err(refusal) => {
            ledger.receive(message.source, 1);
            return bury(message, 0, &message.payload, refusal, dead, ledger);
        }
    };
    ledger.receive(message.source, records.len() as u64);
    for (index, decoded) in records.into_iter().enumerate() {
        // At most 1,000 records stand in one message.
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        let record = match decoded.record {
            Ok(record) => record,
            Err(refusal) => {
                bury(message, index, decoded.raw, refusal, dead, ledger);
                continue;
            }
        };
        let identity = match (record.boot, record.seq) {
            (Some(_), Some(_)) => 0,
            (Some(_) | None, _) => zenei_wire::event_identity(topic.device, record.ts, decoded.raw),
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

fn bury(
    message: &StoredMessage,
    index: u16,
    bytes: &[u8],
    refusal: Refusal,
    dead: &mut Vec<DeadLetter>,
    ledger: &mut Ledger,
) {
    ledger.bury(refusal.reason);
    dead.push(DeadLetter::of(message, refusal, bytes, index));
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_wire::{GatewayTime, Reason};

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
        let (mut heard, mut dead, mut ledger) = (Vec::new(), Vec::new(), Ledger::default());
        let keys = Keyring::default();
        decode_messages(&messages, &keys, &mut heard, &mut dead, &mut ledger);
        let places: Vec<_> = heard.iter().map(|heard| (heard.offset, heard.index, heard.identity != 0)).collect();
        assert_eq!(places, [(0, 0, false), (1, 0, false), (1, 2, true)]);
        let reasons: Vec<_> = dead.iter().map(|dead| (dead.offset, dead.index, dead.reason)).collect();
        let expected = [
            (1, 1, Reason::MissingField),
            (2, 0, Reason::BadJson),
            (3, 0, Reason::BadTopic),
            (4, 0, Reason::UnknownKind),
            (5, 0, Reason::TooLarge),
        ];
        assert_eq!(reasons, expected);
        assert_eq!(dead[0].bytes, br#"{"boot":1}"#, "a refused record keeps its own bytes, not its neighbours'");
        assert_eq!(ledger.received_total(), 8);
        assert_eq!(ledger.dead_letter_total(), 5);
    }
}
