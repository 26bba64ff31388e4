//! What is made of the messages that a scan hears: who said what, and what the engine finds. The same keys, the same pipeline and the same rules as the daemon's; no clock, no
//! terminal. Called by `scan`.
use super::seen::{Heard, Seen, Unread};
use crate::daemon::contents::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use zenei_detect::{Batch, Findings, Keyring, NotHeard, Pipeline, Rules};
use zenei_store::{Source, StoredMessage, hear_with_keys};
use zenei_wire::bthome::{Address, Advertisement, Firmware};
use zenei_wire::{Adv, Body, EngineTime, GatewayTime, Reason};

/// The most senders that are shown; of more the one that was heard longest ago goes. A guess: more than any place has, and a screen shows fifty.
pub(super) const MAX_SENDERS: usize = 4_096;

/// One advertisement, as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(super) address: Address,
    pub(super) device: String,
    pub(super) is_trusted: bool,
    pub(super) adv: Adv,
    pub(super) firmware: Option<Firmware>,
}

/// Everything heard so far.
pub(crate) struct Watch {
    keys: Arc<Keyring>,
    pipeline: Pipeline,
    batch: Batch,
    findings: Findings,
    senders: BTreeMap<Address, Seen>,
    /// What the engine found, by lock, newest last.
    anomalies: BTreeMap<String, Vec<String>>,
    unread: Unread,
    now: GatewayTime,
}

impl Watch {
    /// A watch that has seen `before` already.
    pub(super) fn new(rules: Rules, registry: &Registry, before: &[StoredMessage]) -> Self {
        let mut pipeline = Pipeline::new(Some(rules));
        registry.lines.iter().for_each(|registration| pipeline.register(registration));
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

    /// Takes a message; gives what an advertisement says. What is no advertisement goes to the engine alone.
    pub(super) fn take(&mut self, message: &StoredMessage) -> Option<Read> {
        self.now = self.now.max(message.heard_at);
        if message.source == Source::Ble { self.take_advertisement(message) } else { self.take_record(message) }
    }

    fn take_record(&mut self, message: &StoredMessage) -> Option<Read> {
        let (mut heard, mut dead) = (Vec::new(), Vec::new());
        let keys = Arc::clone(&self.keys);
        hear_with_keys(message, &keys, &mut heard, &mut dead);
        self.pipeline.ingest(&heard, EngineTime(self.now.ms()), &mut self.batch, &mut self.findings);
        self.settle();
        None
    }

    fn take_advertisement(&mut self, message: &StoredMessage) -> Option<Read> {
        let keys = Arc::clone(&self.keys);
        let advertisement = Advertisement::read(&message.topic, &message.payload).ok();
        let address = advertisement.map(|advertisement| advertisement.address);
        let heard = match keys.hear(&message.topic, &message.payload, message.heard_at, message.offset) {
            Ok(heard) => heard,
            Err(error) => {
                self.count_unread(&error);
                self.see(address?, message, Heard::Unread(error.to_string()));
                return None;
            }
        };
        let (device, authenticated) = (heard.device.as_str().to_owned(), heard.authenticated);
        let Body::Adv(adv) = heard.record.body else { return None };
        let firmware = heard.record.fw.as_deref().and_then(|fw| fw.parse().ok());
        let before = self.batch.replayed;
        self.pipeline.ingest(&[heard], EngineTime(self.now.ms()), &mut self.batch, &mut self.findings);
        let is_replay = self.batch.replayed > before;
        self.settle();
        self.unread.replayed += u64::from(is_replay);
        let read = Read { address: address?, device, is_trusted: authenticated && !is_replay, adv, firmware };
        self.see(read.address, message, if is_replay { Heard::Replayed } else { Heard::Read(&read) });
        Some(read)
    }

    fn see(&mut self, address: Address, message: &StoredMessage, heard: Heard<'_>) {
        if self.senders.len() >= MAX_SENDERS && !self.senders.contains_key(&address) {
            let oldest = self.senders.iter().min_by_key(|(_, seen)| seen.last).map(|(address, _)| *address);
            oldest.and_then(|oldest| self.senders.remove(&oldest));
        }
        let device = self.keys.find(address).map_or_else(|| message.topic.clone(), |lock| lock.device.to_string());
        let seen = self.senders.entry(address).or_insert_with(|| Seen::new(address, device));
        seen.hear(message, heard);
    }

    fn count_unread(&mut self, error: &NotHeard) {
        match error {
            NotHeard::NoKey { .. } => self.unread.no_key += 1,
            NotHeard::Refused(refusal) if refusal.reason == Reason::Unauthenticated => self.unread.forged += 1,
            NotHeard::Refused(_) => self.unread.broken += 1,
        }
    }

    /// Keeps what the engine found, and no row: a scan stores nothing.
    fn settle(&mut self) {
        self.batch.clear();
        for anomaly in &self.findings.anomalies {
            if let Some(device) = &anomaly.device_id {
                self.anomalies.entry(device.clone()).or_default().push(format!("{}: {}", anomaly.rule, anomaly.why));
            }
        }
        self.findings.clear();
    }

    /// Everybody who was heard.
    pub(super) fn senders(&self) -> impl Iterator<Item = &Seen> {
        self.senders.values()
    }

    /// What the engine found on a lock.
    pub(super) fn anomalies(&self, device: &str) -> &[String] {
        self.anomalies.get(device).map_or(&[], Vec::as_slice)
    }

    /// What could not be read.
    pub(super) fn unread(&self) -> Unread {
        self.unread
    }

    /// When the last message was heard.
    pub(super) fn now(&self) -> GatewayTime {
        self.now
    }
}
