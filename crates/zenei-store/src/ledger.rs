//! The ledger: counts where every received record went. Must not know records; it has counters and their names. Called
//! by the gateway's driver, which counts and commits it with the checkpoint, and by `/metrics` and `doctor`, which show
//! it.
use crate::spool::Source;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_wire::Reason;

/// Why a received record is in no store and in no dead letter. A closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// Its segment made room in a full spool.
    SpoolFull,
    /// Its bytes in the spool were damaged after they were durable.
    CorruptSpool,
    /// A bounded queue before the spool was full; only for records without an acknowledgement (advertisements).
    QueueFull,
    /// An old advertisement that was sent again.
    Replayed,
    /// An encrypted advertisement of a device whose bind key is not known.
    NoKey,
    /// An advertisement of a device that is not registered, received when there were too many such devices.
    Strangers,
    /// It waited at a hole when its lock was erased.
    Forgotten,
}

impl DropReason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::SpoolFull,
        Self::CorruptSpool,
        Self::QueueFull,
        Self::Replayed,
        Self::NoKey,
        Self::Strangers,
        Self::Forgotten,
    ];

    /// The word in `/metrics`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SpoolFull => "spool_full",
            Self::CorruptSpool => "corrupt_spool",
            Self::QueueFull => "queue_full",
            Self::Replayed => "replayed",
            Self::NoKey => "no_key",
            Self::Strangers => "strangers",
            Self::Forgotten => "forgotten",
        }
    }
}

/// Counts of records since the state directory was made; an undecodable or dropped message counts as one record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// Received, by source.
    pub received: BTreeMap<Source, u64>,
    /// In the spool, or held by intake, and in no sealed range yet.
    pub pending: u64,
    /// In a store.
    pub stored: u64,
    /// Duplicates: received before.
    pub duplicate: u64,
    /// In the dead letters.
    pub dead_letter: BTreeMap<Reason, u64>,
    /// In no store and in no dead letter.
    pub dropped: BTreeMap<DropReason, u64>,
    /// Of the stored ones: those that came after a later one of their lock.
    pub late: u64,
    /// Of the late ones: those whose numbers were heard before, with another kind or device time.
    pub reused: u64,
    /// How many new lives of locks began.
    pub lives: u64,
    /// Numbers of `seq` that are missing between received ones of one boot.
    pub gaps: u64,
    /// Fields that the contract does not name.
    pub unknown_fields: u64,
    /// Messages on topics of others; no records.
    pub ignored_foreign: u64,
    /// Last wills; no records.
    pub ignored_online: u64,
    /// Size of the spool, bytes.
    pub spool_bytes: u64,
    /// Of the stored ones: those that a remote store has taken. 0 where there is none.
    pub shipped: u64,
    /// Of the dead letters: those that a remote store has refused for their values, and stores.
    pub refused_by_store: u64,
    /// Of the stored ones: those that a remote store still misses. 0 where there is none.
    pub ship_lag_records: u64,
    /// On how many days locks were watched for faults, one for each lock and day; 0 where detection is elsewhere.
    pub lock_days: u64,
}

/// A ledger that does not add up: something was lost or counted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{received} records were received, but {accounted} are accounted for: {pending} pending, {stored} stored, {duplicate} duplicate, \
     {dead_letter} dead-lettered, {dropped} dropped"
)]
#[expect(missing_docs, reason = "the ledger's names")]
pub struct Imbalance {
    pub received: u64,
    pub accounted: u64,
    pub pending: u64,
    pub stored: u64,
    pub duplicate: u64,
    pub dead_letter: u64,
    pub dropped: u64,
}

impl Ledger {
    /// All received records.
    pub fn received_total(&self) -> u64 {
        self.received.values().sum()
    }

    /// All dead letters.
    pub fn dead_letter_total(&self) -> u64 {
        self.dead_letter.values().sum()
    }

    /// All dropped records.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Adds to the records received by a source.
    pub fn receive(&mut self, source: Source, records: u64) {
        *self.received.entry(source).or_default() += records;
    }

    /// Adds a dead letter.
    pub fn dead_letter(&mut self, reason: Reason) {
        *self.dead_letter.entry(reason).or_default() += 1;
    }

    /// Adds to the dropped records.
    pub fn drop_records(&mut self, reason: DropReason, records: u64) {
        *self.dropped.entry(reason).or_default() += records;
    }

    /// Takes over a remote store's counts, by the shipper; for a copy that is displayed, not for the ledger that a
    /// checkpoint stores. A record that the remote store refused was stored here and is a dead letter there now. A
    /// shipper may have counted later than the driver: then the lag is 0.
    pub fn count_shipped(&mut self, shipped: u64, refused: u64) {
        let refused = refused.min(self.stored);
        self.stored -= refused;
        *self.dead_letter.entry(Reason::RefusedByStore).or_default() += refused;
        (self.shipped, self.refused_by_store) = (shipped, refused);
        self.ship_lag_records = self.stored.saturating_sub(shipped);
    }

    /// Checks that received = pending + stored + duplicate + dead-lettered + dropped.
    ///
    /// # Errors
    /// [`Imbalance`], with all six.
    pub fn balance(&self) -> Result<(), Imbalance> {
        let (dead_letter, dropped) = (self.dead_letter_total(), self.dropped_total());
        let Self { pending, stored, duplicate, .. } = *self;
        let (received, accounted) = (self.received_total(), pending + stored + duplicate + dead_letter + dropped);
        if received == accounted {
            return Ok(());
        }
        Err(Imbalance { received, accounted, pending, stored, duplicate, dead_letter, dropped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_balances_when_each_record_went_to_one_place() {
        let mut ledger = Ledger::default();
        ledger.receive(Source::Mqtt, 7);
        ledger.pending = 2;
        ledger.stored = 2;
        ledger.duplicate = 1;
        ledger.dead_letter(Reason::BadJson);
        ledger.drop_records(DropReason::SpoolFull, 1);
        assert_eq!(ledger.balance(), Ok(()));
        ledger.stored += 1;
        let said = ledger.balance().unwrap_err().to_string();
        assert!(said.starts_with("7 records were received, but 8 are accounted for"), "{said}");
    }

    #[test]
    fn what_a_remote_store_has_is_a_share_of_what_is_stored_and_what_it_refused_is_a_dead_letter() {
        let mut kept = Ledger { stored: 10, ..Ledger::default() };
        kept.receive(Source::Mqtt, 10);
        let shown = |shipped, refused| {
            let mut shown = kept.clone();
            shown.count_shipped(shipped, refused);
            assert_eq!(shown.balance(), Ok(()));
            (shown.stored, shown.dead_letter_total(), shown.ship_lag_records)
        };
        assert_eq!(shown(6, 1), (9, 1, 3));
        assert_eq!(shown(9, 1), (9, 1, 0));
        assert_eq!(shown(15, 1), (9, 1, 0), "the shipper may have counted later than the driver");
        assert_eq!(shown(0, 11), (0, 10, 0));
    }

    #[test]
    fn a_ledger_is_kept_as_json_with_the_counters_names() {
        let mut ledger = Ledger::default();
        ledger.receive(Source::Ingress, 3);
        ledger.drop_records(DropReason::CorruptSpool, 3);
        let text = serde_json::to_string(&ledger).unwrap();
        assert!(
            text.contains(r#""received":{"ingress":3}"#) && text.contains(r#""dropped":{"corrupt_spool":3}"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
    }
}
