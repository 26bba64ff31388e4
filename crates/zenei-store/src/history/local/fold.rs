//! Takes the rows of a range into the tables. A range's effect does not depend on how its rows are split: sums are
//! whole numbers, and what is remembered of a lock is in the tables too. Must not know files. Called by the follower,
//! within one transaction.
use super::db::Db;
use super::lock::LockWork;
use super::small;
use super::state::{KEEP_MS, said};
use crate::history::error::HistoryError;
use crate::history::packed::{
    BUCKET_MS, Measured, PackedCohort, Quantity, Values, bucket_of, counted_at, is_failed, measured,
};
use crate::history::types::Dimension;
use std::collections::{BTreeMap, HashMap};
use zenei_detect::Heard;
use zenei_wire::{Body, Record};

/// The most locks; further ones are not taken. A guess: a hundred bytes each in a list, and no local store has more.
const LOCKS_MAX: u64 = 2_000_000;

/// The work on one range.
pub(super) struct Fold<'t> {
    db: &'t Db<'t>,
    words: HashMap<String, u32>,
    locks: HashMap<Box<str>, Option<LockWork>>,
    cohorts: BTreeMap<(u8, u32, i64), PackedCohort>,
    gateways: HashMap<String, small::KeptGateway>,
    receptions: HashMap<(String, String), small::KeptReception>,
    newest_ms: i64,
}

impl<'t> Fold<'t> {
    pub(super) fn new(db: &'t Db<'t>) -> Self {
        let (words, locks, cohorts) = (HashMap::new(), HashMap::new(), BTreeMap::new());
        Self { db, words, locks, cohorts, gateways: HashMap::new(), receptions: HashMap::new(), newest_ms: 0 }
    }

    /// Takes a row, in the order of release.
    pub(super) fn row(&mut self, heard: &Heard<'_>, late: bool) -> Result<(), HistoryError> {
        let heard_ms = heard.heard_at.ms();
        self.newest_ms = self.newest_ms.max(heard_ms);
        let record = &heard.record;
        match &record.body {
            Body::Gateway(report) => {
                let site = heard.site.as_str();
                return small::report(self.db, &mut self.gateways, heard.device.as_str(), site, report, heard_ms);
            }
            Body::Adv(adv) => small::hear(self.db, &mut self.receptions, heard, adv)?,
            Body::State(_) | Body::Op(_) | Body::Error(_) | Body::Event(_) => {}
        }
        if let Some(gateway) = said(record.gw.as_ref()) {
            small::relay(self.db, &mut self.gateways, gateway, heard.site.as_str(), heard_ms)?;
        }
        let device = heard.device.as_str();
        let mut entry = match self.locks.remove(device) {
            Some(entry) => entry,
            None => LockWork::load(self.db, device, LOCKS_MAX)?,
        };
        let taken = entry.as_mut().map_or(Ok(()), |lock| self.take(lock, heard, late));
        self.locks.insert(device.into(), entry);
        taken
    }

    fn take(&mut self, lock: &mut LockWork, heard: &Heard<'_>, late: bool) -> Result<(), HistoryError> {
        let record = &heard.record;
        lock.now.records += 1;
        lock.state.proven |= heard.authenticated;
        if lock.state.proven && !heard.authenticated {
            // It is kept and counted, and changes nothing that the lock itself said.
            return Ok(());
        }
        let rest = lock.state.rest(heard, late);
        let values = measured(&record.body, rest);
        let at_ms = counted_at(record.ts.ms(), heard.heard_at.ms());
        let numbers = self.numbers(heard)?;
        let error = match &record.body {
            Body::Error(error) => Some((self.word(&error.code)?, error.count)),
            Body::State(_) | Body::Op(_) | Body::Event(_) | Body::Gateway(_) | Body::Adv(_) => None,
        };
        lock.see(heard, at_ms, &values);
        let fw = numbers[Dimension::Fw as usize];
        let bucket = lock.bucket(self.db, bucket_of(at_ms))?;
        bucket.records += 1;
        bucket.fw = if fw == 0 { bucket.fw } else { fw };
        bucket.measure(&values);
        if let Body::Op(op) = &record.body {
            bucket.operations += 1;
            bucket.failed += u64::from(is_failed(op.result));
            lock.profile(self.db, op, at_ms, heard)?;
        }
        if let Some((code, count)) = error {
            lock.bucket(self.db, bucket_of(at_ms))?.errors.add(code, count.into());
            lock.state.error(heard.heard_at.ms(), count);
        }
        if let Body::Adv(_) = &record.body {
            // What is heard over the air, also of strangers, is no measure of a cohort: as in ClickHouse.
            return Ok(());
        }
        let bucket = bucket_of(heard.heard_at.ms());
        for (dimension, value) in Dimension::ALL.into_iter().zip(numbers).filter(|(_, value)| *value != 0) {
            let key = (dimension as u8, value, bucket);
            let is_first = lock.state.counts(bucket, key.0, value);
            self.cohort(key, is_first, &record.body, &values, error)?;
        }
        Ok(())
    }

    fn cohort(
        &mut self,
        key: (u8, u32, i64),
        is_first: bool,
        body: &Body<'_>,
        values: &Measured,
        error: Option<(u32, u32)>,
    ) -> Result<(), HistoryError> {
        let cohort = match self.cohorts.entry(key) {
            std::collections::btree_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::btree_map::Entry::Vacant(slot) => slot.insert(self.db.cohort(key)?.unwrap_or_default()),
        };
        cohort.locks += u64::from(is_first);
        cohort.records += 1;
        if let Body::Op(op) = body {
            cohort.operations += 1;
            cohort.failed += u64::from(is_failed(op.result));
            let slots = [(&mut cohort.resistance, Quantity::Resistance), (&mut cohort.peak, Quantity::PeakMa)];
            for (slot, quantity) in slots {
                if let Some(value) = values[quantity as usize] {
                    Values::add(slot, Values::of(value));
                }
            }
        }
        if let Some((code, count)) = error {
            cohort.errors.add(code, count.into());
        }
        Ok(())
    }

    /// The numbers of a record's labels, in the order of [`Dimension::ALL`]; 0 where it has none.
    fn numbers(&mut self, heard: &Heard<'_>) -> Result<[u32; Dimension::ALL.len()], HistoryError> {
        let Record { gw, model, hw_rev, lot, fw, service, .. } = &heard.record;
        let both = match (said(fw.as_ref()), said(hw_rev.as_ref())) {
            (Some(fw), Some(hw_rev)) => Some(format!("{fw}+{hw_rev}")),
            (Some(_), None) | (None, Some(_) | None) => None,
        };
        let mut numbers = [0; Dimension::ALL.len()];
        for dimension in Dimension::ALL {
            let label = match dimension {
                Dimension::Site => Some(heard.site.as_str()),
                Dimension::Gateway => said(gw.as_ref()),
                Dimension::Model => said(model.as_ref()),
                Dimension::HwRev => said(hw_rev.as_ref()),
                Dimension::Lot => said(lot.as_ref()),
                Dimension::Fw => said(fw.as_ref()),
                Dimension::Service => said(service.as_ref()),
                Dimension::FwHw => both.as_deref(),
            };
            numbers[dimension as usize] = label.map_or(Ok(0), |label| self.word(label))?;
        }
        Ok(numbers)
    }

    fn word(&mut self, text: &str) -> Result<u32, HistoryError> {
        if let Some(&number) = self.words.get(text) {
            return Ok(number);
        }
        let number = self.db.number(text)?;
        self.words.insert(text.to_owned(), number);
        Ok(number)
    }

    /// Writes everything that changed.
    pub(super) fn write(self) -> Result<i64, HistoryError> {
        let Self { db, locks, cohorts, gateways, receptions, newest_ms, .. } = self;
        let mut changed: Vec<LockWork> = locks.into_values().flatten().collect();
        changed.sort_by_key(|lock| lock.number);
        for lock in changed {
            lock.write(db)?;
        }
        for (key, cohort) in cohorts {
            db.put_cohort(key, &cohort)?;
            db.sweep_cohort(key, key.2 - KEEP_MS / BUCKET_MS)?;
        }
        small::write(db, gateways, receptions)?;
        Ok(newest_ms)
    }
}
