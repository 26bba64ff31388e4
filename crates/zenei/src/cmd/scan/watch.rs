//! What a scan derives from its messages: the values per sender, and the engine's anomalies. It decodes with the
//! daemon's decoder and drives the daemon's pipeline, unreadable records included. Must not know clocks or terminals.
//! Called by `scan` and `ongoing`; read by `table`.
use super::seen::{Read, Reception, Seen, Unread};
use crate::daemon::contents::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use zenei_detect::{Batch, Findings, Pipeline, Rules};
use zenei_store::{DeadLetter, Decoded, Source, StoredMessage, decode};
use zenei_wire::bthome::{Address, Advertisement, Keyring, NotAdvertised};
use zenei_wire::{Body, GatewayTime, Reason};

/// The most senders that are shown; beyond it the one received longest ago is removed. A guess: more than any place
/// has, and a screen shows fifty.
pub(super) const MAX_SENDERS: usize = 4_096;

/// Everything received so far.
pub(crate) struct Watch {
    keys: Arc<Keyring>,
    pipeline: Pipeline,
    batch: Batch,
    findings: Findings,
    senders: BTreeMap<Address, Seen>,
    /// The engine's anomalies, by lock, newest last.
    anomalies: BTreeMap<String, Vec<String>>,
    unread: Unread,
    now: GatewayTime,
}

impl Watch {
    /// A watch that has seen `before` already.
    pub(super) fn new(rules: Rules, registry: &Registry, before: &[StoredMessage]) -> Self {
        let mut pipeline = Pipeline::new(Some(rules));
        registry.lines.iter().for_each(|registration| pipeline.register(registration.registered()));
        pipeline.provision(&registry.keys);
        let mut watch = Self {
            keys: Arc::clone(&registry.keys),
            pipeline,
            batch: Batch::default(),
            findings: Findings::default(),
            senders: BTreeMap::new(),
            anomalies: BTreeMap::new(),
            unread: Unread::default(),
            now: GatewayTime(i64::MIN),
        };
        before.iter().for_each(|message| {
            watch.take(message);
        });
        watch
    }

    /// Takes a message; returns the decoded advertisement. Any other message goes to the engine alone.
    pub(super) fn take(&mut self, message: &StoredMessage) -> Option<Read> {
        self.now = self.now.max(message.heard_at);
        let keys = Arc::clone(&self.keys);
        let decoded = decode(std::slice::from_ref(message), &keys);
        let before = self.batch.replayed;
        self.pipeline.take(decoded.portion(), &mut self.batch, &mut self.findings);
        let is_replay = self.batch.replayed > before;
        self.settle();
        if message.source == Source::Ble { self.take_advertisement(message, &decoded, is_replay) } else { None }
    }

    fn take_advertisement(&mut self, message: &StoredMessage, decoded: &Decoded<'_>, is_replay: bool) -> Option<Read> {
        let advertisement = Advertisement::read(&message.topic, &message.payload).ok();
        let address = advertisement.map(|advertisement| advertisement.address);
        if let Some(why) = self.count_unread(decoded) {
            self.see(address?, message, Reception::Unread(why));
            return None;
        }
        let heard = decoded.heard.first()?;
        let Body::Adv(adv) = heard.record.body else { return None };
        let firmware = heard.record.fw.as_deref().and_then(|fw| fw.parse().ok());
        let (device, is_trusted) = (heard.device.as_str().to_owned(), heard.authenticated && !is_replay);
        self.unread.replayed += u64::from(is_replay);
        let read = Read { address: address?, device, is_trusted, adv, firmware };
        self.see(read.address, message, if is_replay { Reception::Replayed } else { Reception::Read(&read) });
        Some(read)
    }

    /// Counts an advertisement that became no record; returns the reason.
    fn count_unread(&mut self, decoded: &Decoded<'_>) -> Option<String> {
        if let Some(&address) = decoded.no_key.first() {
            self.unread.no_key += 1;
            return Some(NotAdvertised::NoKey { address }.to_string());
        }
        let DeadLetter { reason, detail, .. } = decoded.dead.first()?;
        if *reason == Reason::Unauthenticated {
            self.unread.forged += 1;
        } else {
            self.unread.broken += 1;
        }
        Some(detail.clone())
    }

    fn see(&mut self, address: Address, message: &StoredMessage, heard: Reception<'_>) {
        if self.senders.len() >= MAX_SENDERS && !self.senders.contains_key(&address) {
            let oldest = self.senders.iter().min_by_key(|(_, seen)| seen.last).map(|(address, _)| *address);
            oldest.and_then(|oldest| self.senders.remove(&oldest));
        }
        let device = self.keys.find(address).map_or_else(|| message.topic.clone(), |lock| lock.device.to_string());
        let seen = self.senders.entry(address).or_insert_with(|| Seen::new(address, device));
        seen.hear(message, heard);
    }

    /// Stores the engine's anomalies, and no row: a scan stores no records.
    fn settle(&mut self) {
        self.batch.clear();
        for anomaly in &self.findings.anomalies {
            if let Some(device) = &anomaly.device_id {
                self.anomalies.entry(device.clone()).or_default().push(format!("{}: {}", anomaly.rule, anomaly.why));
            }
        }
        self.findings.clear();
    }

    /// All senders that were received.
    pub(super) fn senders(&self) -> impl Iterator<Item = &Seen> {
        self.senders.values()
    }

    /// The engine's anomalies of a lock.
    pub(super) fn anomalies(&self, device: &str) -> &[String] {
        self.anomalies.get(device).map_or(&[], Vec::as_slice)
    }

    /// The number of advertisements that could not be decoded.
    pub(super) fn unread(&self) -> Unread {
        self.unread
    }

    /// When the last message was received.
    pub(super) fn now(&self) -> GatewayTime {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Twenty days of five locks with a heartbeat and an error an hour. From the tenth day on every sixth heartbeat of
    /// one lock arrives as `broken`, or not at all. Returns the engine's anomalies of that lock.
    fn found(broken: Option<&str>) -> Vec<String> {
        let registry = Registry { lines: Vec::new(), keys: Arc::new(Keyring::default()) };
        let mut watch = Watch::new(Rules::embedded().unwrap(), &registry, &[]);
        let mut offset = 0;
        let mut say = |lock: &str, kind: &str, at_ms: i64, payload: String| {
            watch.take(&StoredMessage {
                offset,
                heard_at: GatewayTime(at_ms),
                source: Source::Recording,
                authenticated: true,
                topic: format!("bitlock/v1/s/{lock}/{kind}"),
                payload: payload.into(),
            });
            offset += 1;
        };
        for hour in 0..480_i64 {
            for (at, lock) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
                let (at_ms, seq) = (hour * HOUR_MS + at as i64 * 60_000, 2 * hour);
                let state = format!(r#"{{"ts":{at_ms},"boot":1,"seq":{seq},"battery_mv":2950}}"#);
                match broken {
                    _ if lock != "c" || hour < 240 || hour % 6 > 0 => say(lock, "state", at_ms, state),
                    Some(payload) => say(lock, "state", at_ms, payload.to_owned()),
                    None => {}
                }
                let (at_ms, seq) = (at_ms + 600_000, seq + 1);
                let error = format!(r#"{{"ts":{at_ms},"boot":1,"seq":{seq},"code":"ble_disconnect"}}"#);
                say(lock, "error", at_ms, error);
            }
        }
        watch.anomalies("c").iter().filter(|why| why.starts_with("record-loss")).cloned().collect()
    }

    #[test]
    fn records_that_can_not_be_read_are_told_from_lost_ones() {
        assert_eq!(found(Some("{")), Vec::<String>::new());
        // Control: the same records are missed where they do not arrive at all.
        assert!(!found(None).is_empty());
    }
}
