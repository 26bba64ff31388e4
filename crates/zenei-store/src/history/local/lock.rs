//! The work on one lock within a range: its row, what is remembered of it, and its buckets. Must not know other locks.
//! Called by the fold.
use super::db::Db;
use super::state::{DueMs, KEEP_MS, KeptProfile, LockState, keep_profile, said};
use crate::history::due::DAY_MS;
use crate::history::error::HistoryError;
use crate::history::packed::{BUCKET_MS, Measured, Packed, Quantity};
use crate::history::types::LockNow;
use std::collections::BTreeMap;
use zenei_detect::Heard;
use zenei_wire::Op;

/// A lock that a range has rows of.
#[derive(Debug)]
pub(super) struct LockWork {
    pub(super) number: i64,
    pub(super) now: LockNow,
    pub(super) state: LockState,
    buckets: BTreeMap<i64, Packed>,
    profiles: Option<Vec<KeptProfile>>,
    firmware: Vec<(i64, String, String)>,
}

impl LockWork {
    /// The lock as it is kept, or a new one; `None` where there are too many.
    pub(super) fn load(db: &Db<'_>, device_id: &str, most: u64) -> Result<Option<Self>, HistoryError> {
        let work = |(number, now, state)| {
            let (buckets, firmware) = (BTreeMap::new(), Vec::new());
            Self { number, now, state, buckets, profiles: None, firmware }
        };
        match db.lock(device_id)? {
            Some(found) => Ok(Some(work(found))),
            None if db.locks()? >= most => Ok(None),
            None => {
                let now = LockNow { device_id: device_id.to_owned(), ..LockNow::default() };
                Ok(Some(work((db.add_lock(device_id)?, now, LockState::default()))))
            }
        }
    }

    /// Takes what a record says of the lock now.
    pub(super) fn see(&mut self, heard: &Heard<'_>, at_ms: i64, values: &Measured) {
        let narrow = |quantity: Quantity| values[quantity as usize];
        if let Some(temp) = narrow(Quantity::Temp) {
            self.state.temp = i16::try_from(temp).ok();
        }
        let pct = narrow(Quantity::BatteryPct).and_then(|pct| u8::try_from(pct).ok());
        if let Some(pct) = pct {
            self.state.track.report(at_ms, pct, self.state.temp);
        }
        let place = (heard.heard_at.ms(), heard.offset, heard.index);
        if place < self.state.newest {
            return;
        }
        self.state.newest = place;
        let (now, record) = (&mut self.now, &heard.record);
        now.heard_ms = place.0;
        now.authenticated = heard.authenticated;
        heard.site.as_str().clone_into(&mut now.site);
        if let Some(fw) = said(record.fw.as_ref())
            && fw != now.fw
        {
            if !now.fw.is_empty() {
                self.firmware.push((place.0, now.fw.clone(), fw.to_owned()));
            }
            fw.clone_into(&mut now.fw);
        }
        let labels = [
            (&mut now.gateway, &record.gw),
            (&mut now.model, &record.model),
            (&mut now.hw_rev, &record.hw_rev),
            (&mut now.lot, &record.lot),
            (&mut now.service, &record.service),
        ];
        for (slot, label) in labels {
            if let Some(label) = said(label.as_ref()) {
                label.clone_into(slot);
            }
        }
        now.battery_pct = pct.or(now.battery_pct);
        let battery_mv = narrow(Quantity::BatteryMv).and_then(|mv| u16::try_from(mv).ok());
        now.battery_mv = battery_mv.or(now.battery_mv);
        now.rssi_dbm = narrow(Quantity::Rssi).and_then(|rssi| i8::try_from(rssi).ok()).or(now.rssi_dbm);
    }

    /// A bucket of the lock, as it is kept or new.
    pub(super) fn bucket(&mut self, db: &Db<'_>, at: i64) -> Result<&mut Packed, HistoryError> {
        match self.buckets.entry(at) {
            std::collections::btree_map::Entry::Occupied(found) => Ok(found.into_mut()),
            std::collections::btree_map::Entry::Vacant(slot) => {
                Ok(slot.insert(db.bucket(self.number, at)?.unwrap_or_default()))
            }
        }
    }

    /// Takes an operation's profile.
    pub(super) fn profile(&mut self, db: &Db<'_>, op: &Op, at_ms: i64, heard: &Heard<'_>) -> Result<(), HistoryError> {
        if op.current_ma.is_none() {
            return Ok(());
        }
        let kept = match &mut self.profiles {
            Some(kept) => kept,
            None => self.profiles.insert(db.profiles(self.number)?),
        };
        keep_profile(kept, op, at_ms, (heard.heard_at.ms(), heard.offset, heard.index));
        Ok(())
    }

    /// Writes what changed.
    pub(super) fn write(mut self, db: &Db<'_>) -> Result<(), HistoryError> {
        self.now.errors_7d = self.state.errors_7d();
        let due = self.due();
        if let Some((&last, _)) = self.buckets.last_key_value()
            && last > self.state.swept
        {
            self.state.swept = last;
            db.sweep_lock(self.number, last - KEEP_MS / BUCKET_MS)?;
        }
        for (at, bucket) in &self.buckets {
            db.put_bucket(self.number, *at, bucket)?;
        }
        for (at_ms, was, became) in &self.firmware {
            db.put_firmware(self.number, *at_ms, was, became)?;
        }
        if let Some(profiles) = &self.profiles {
            db.put_profiles(self.number, profiles)?;
        }
        db.put_lock(self.number, &self.now, due, &self.state)
    }

    fn due(&self) -> Option<DueMs> {
        let (due, end_ms) = (self.state.track.due()?, self.state.track.end_ms()?);
        let at = |days: f64| end_ms.saturating_add((days * DAY_MS as f64) as i64);
        let late = due.late_days.is_finite().then(|| at(due.late_days));
        Some((at(due.early_days), at(due.likely_days), late))
    }
}
