//! Intake, engine and desk in virtual time: which anomalies and incidents follow from a recording or a store? It
//! drives the daemon's pipeline and desk, with a control database in memory. Must not know a clock, a spool or a file.
//! Called by `replay`, by `play` and by the test cases of rules.
use crate::daemon::contents::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use zenei_desk::DeskDriver;
use zenei_detect::{Batch, DeviceIx, Findings, Fleet, Heard, Pipeline, Portion, Rules, Unreadable};
use zenei_store::{Control, DeadLetter, Rows, Source, StoredMessage, decode};
use zenei_wire::bthome::Keyring;
use zenei_wire::{GatewayTime, Heading, Kind, Reason, Topic};

/// Why a course stopped.
pub(crate) type CourseError = Box<dyn std::error::Error + Send + Sync>;

/// Counts of the received messages and records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Decoded records, duplicates among them.
    pub(crate) records: u64,
    /// Records received before.
    pub(crate) duplicates: u64,
    /// Records that came after a later one of their lock.
    pub(crate) late: u64,
    /// Of these, records whose numbers were heard before with other content.
    pub(crate) reused: u64,
    /// New lives of locks.
    pub(crate) lives: u64,
    /// Advertisements.
    pub(crate) advertisements: u64,
    /// Old advertisements that were sent again.
    pub(crate) replayed: u64,
    /// Encrypted advertisements without a known key.
    pub(crate) no_key: u64,
    /// Advertisements of unregistered devices beyond the limit.
    pub(crate) strangers: u64,
    /// Dead letters, by reason.
    pub(crate) dead_letters: BTreeMap<Reason, u64>,
}

/// A pipeline and a desk in virtual time.
pub(crate) struct Course {
    pipeline: Pipeline,
    keys: Arc<Keyring>,
    desk: DeskDriver,
    counts: Counts,
    /// Which numbers are locks; others are gateways.
    locks: Vec<bool>,
    /// Unreadable records that the pipeline has not taken yet.
    unreadable: Vec<Unreadable>,
    batch: Batch,
    findings: Findings,
}

impl Course {
    /// A pipeline without history and an empty desk.
    ///
    /// # Errors
    /// Where there is no room for the desk's database in memory.
    pub(crate) fn new(rules: Rules, registry: Registry) -> Result<Self, CourseError> {
        let mut pipeline = Pipeline::new(Some(rules));
        registry.lines.iter().for_each(|registration| pipeline.register(registration.registered()));
        pipeline.provision(&registry.keys);
        let desk = DeskDriver::open(Control::in_memory()?, Vec::new())?.with_places(registry.places());
        Ok(Self {
            pipeline,
            keys: registry.keys,
            desk,
            counts: Counts::default(),
            locks: Vec::new(),
            unreadable: Vec::new(),
            batch: Batch::default(),
            findings: Findings::default(),
        })
    }

    /// Takes messages in the order of receipt.
    ///
    /// # Errors
    /// Where the desk fails.
    pub(crate) fn messages(&mut self, messages: &[StoredMessage]) -> Result<(), CourseError> {
        let keys = Arc::clone(&self.keys);
        let decoded = decode(messages, &keys);
        self.counts.advertisements += decoded.received.get(&Source::Ble).copied().unwrap_or_default();
        self.counts.no_key += decoded.no_key.len() as u64;
        decoded.dead.iter().for_each(|letter| self.dead_letter(letter));
        self.take(&decoded.heard, messages.last().map(|message| message.heard_at))
    }

    /// Takes a message that came without its payload. As with any other message, only one with a topic of the contract
    /// counts.
    pub(crate) fn refused(&mut self, topic: &str, heard_at: GatewayTime, reason: Reason) {
        match Topic::parse(topic) {
            Ok(Heading::Record(topic)) => {
                self.unreadable.push(Unreadable { device_id: topic.device.as_str().to_owned(), heard_at });
                self.dead_letters([reason]);
            }
            Ok(Heading::Online | Heading::Foreign) => {}
            Err(refusal) => self.dead_letters([refusal.reason]),
        }
    }

    /// Counts dead letters.
    pub(crate) fn dead_letters(&mut self, reasons: impl IntoIterator<Item = Reason>) {
        reasons.into_iter().for_each(|reason| *self.counts.dead_letters.entry(reason).or_default() += 1);
    }

    /// Takes a dead letter, before the records that were received with it.
    pub(crate) fn dead_letter(&mut self, letter: &DeadLetter) {
        self.unreadable.extend(letter.unreadable());
        self.dead_letters([letter.reason]);
    }

    /// As [`Course::dead_letter`], for letters that are counted already.
    pub(crate) fn unreadable(&mut self, letters: &[Unreadable]) {
        self.unreadable.extend_from_slice(letters);
    }

    /// Takes records in the order of receipt; then time advances to `until`, never back.
    ///
    /// # Errors
    /// Where the desk fails.
    pub(crate) fn take(&mut self, heard: &[Heard<'_>], until: Option<GatewayTime>) -> Result<(), CourseError> {
        self.counts.records += heard.len() as u64;
        let unreadable = std::mem::take(&mut self.unreadable);
        let portion = Portion { heard, unreadable: &unreadable, until };
        self.pipeline.take(portion, &mut self.batch, &mut self.findings);
        self.hand_over()
    }

    /// As [`Course::take`], for the rows of one step through a store.
    ///
    /// # Errors
    /// Where a row can't be read, or the desk fails.
    pub(crate) fn rows(&mut self, rows: &mut Rows<'_>) -> Result<(), CourseError> {
        let counts = &mut self.counts;
        let next = |fleet: &mut Fleet| {
            let row = rows.next(fleet);
            counts.records += u64::from(matches!(row, Ok(Some(_))));
            row
        };
        let unreadable = std::mem::take(&mut self.unreadable);
        self.pipeline.take_rows(next, &unreadable, &mut self.batch, &mut self.findings)?;
        self.hand_over()
    }

    /// Advances time past the last record; no record may follow.
    ///
    /// # Errors
    /// Where the desk fails.
    pub(crate) fn end(&mut self) -> Result<(), CourseError> {
        self.pipeline.finish(&mut self.batch, &mut self.findings);
        self.hand_over()
    }

    /// The counts so far.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Sequence numbers that are missing between received ones of one boot.
    pub(crate) fn gaps(&self) -> u64 {
        self.pipeline.missing()
    }

    /// How many locks were received.
    pub(crate) fn locks(&self) -> u64 {
        self.locks.iter().filter(|&&is_lock| is_lock).count() as u64
    }

    /// The desk, with the incidents and decisions.
    pub(crate) fn desk(&self) -> &DeskDriver {
        &self.desk
    }

    fn hand_over(&mut self) -> Result<(), CourseError> {
        self.counts.duplicates += self.batch.duplicates;
        self.counts.late += self.batch.late;
        self.counts.reused += self.batch.reused;
        self.counts.lives += self.batch.lives;
        self.counts.replayed += self.batch.replayed;
        self.counts.strangers += self.batch.strangers;
        for row in &self.batch.rows {
            if row.body.kind() != Kind::Gateway {
                mark(&mut self.locks, row.device);
            }
        }
        self.desk.take(self.pipeline.now(), &self.findings)?;
        self.batch.clear();
        self.findings.clear();
        Ok(())
    }
}

fn mark(locks: &mut Vec<bool>, device: DeviceIx) {
    let at = device.0 as usize;
    if locks.len() <= at {
        locks.resize(at + 1, false);
    }
    locks[at] = true;
}
