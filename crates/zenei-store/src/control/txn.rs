//! Transactions that write the control database. A write may be repeated after a crash: it changes nothing the second
//! time. Must not know what a body means; the writes of the tail and of erasures are in their own files. Called by the
//! drivers, the shippers and the commands.
use super::error::{ControlError, signed};
use super::rows::{Checkpoint, Imported, InquiryRow, SealPlan};
use crate::registry::Registration;
use rusqlite::{OptionalExtension as _, Transaction, params};
use std::collections::BTreeSet;
use zenei_detect::{Anomaly, Decision, PartOf};
use zenei_wire::Id;

/// A transaction: all of it is durable after [`Txn::commit`], or nothing.
#[derive(Debug)]
pub struct Txn<'a> {
    pub(super) inner: Transaction<'a>,
}

impl<'a> Txn<'a> {
    pub(super) fn new(inner: Transaction<'a>) -> Self {
        Self { inner }
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`]; then nothing was written.
    pub fn commit(self) -> Result<(), ControlError> {
        Ok(self.inner.commit()?)
    }

    /// Stores the range that is sealed next; replaces the former plan.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`], [`ControlError::Sqlite`].
    pub fn plan_seal(&self, plan: &SealPlan) -> Result<(), ControlError> {
        let (from, to) = (signed("from", plan.from)?, signed("to", plan.to.offset)?);
        let sql = "INSERT OR REPLACE INTO seal_plan VALUES (1, ?1, ?2, ?3)";
        self.inner.prepare_cached(sql)?.execute(params![from, to, plan.to.advanced_to.ms()])?;
        Ok(())
    }

    /// Stores where a restart begins; the plan that led here is done.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`], [`ControlError::Sqlite`].
    pub fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), ControlError> {
        let offset = signed("sealed_offset", checkpoint.sealed.offset)?;
        let ledger = json("checkpoint", &checkpoint.ledger)?;
        let sql = "INSERT OR REPLACE INTO checkpoint VALUES (1, ?1, ?2, ?3, ?4)";
        let row = params![offset, checkpoint.sealed.advanced_to.ms(), checkpoint.snapshot, ledger];
        self.inner.prepare_cached(sql)?.execute(row)?;
        self.inner.prepare_cached("DELETE FROM seal_plan")?.execute([])?;
        Ok(())
    }

    /// Stores an anomaly; false if its id is already stored.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn insert_anomaly(&self, anomaly: &Anomaly) -> Result<bool, ControlError> {
        let body = json("anomaly", anomaly)?;
        let sql = "INSERT OR IGNORE INTO anomaly (id, at_ms, body) VALUES (?1, ?2, ?3)";
        Ok(self.inner.prepare_cached(sql)?.execute(params![anomaly.id.to_string(), anomaly.at.ms(), body])? == 1)
    }

    /// Stores a decision; false if an equal one is already stored. The incident that it names makes no difference: in a
    /// replay another one may be open.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn insert_decision(&self, decision: &Decision) -> Result<bool, ControlError> {
        let body = json("decision", decision)?;
        let id = match &decision.part_of {
            Some(part_of) => {
                let part_of = Some(PartOf { incident: None, ..part_of.clone() });
                Id::of(&[json("decision", &Decision { part_of, ..decision.clone() })?.as_bytes()])
            }
            None => Id::of(&[body.as_bytes()]),
        };
        let id = id.to_string();
        let sql = "INSERT OR IGNORE INTO decision (id, at_ms, body) VALUES (?1, ?2, ?3)";
        Ok(self.inner.prepare_cached(sql)?.execute(params![id, decision.at.ms(), body])? == 1)
    }

    /// Stores an inquiry; false if its id is already stored.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn insert_inquiry(&self, inquiry: &InquiryRow) -> Result<bool, ControlError> {
        let sql = "INSERT OR IGNORE INTO inquiry VALUES (?1, ?2, ?3)";
        let row = params![inquiry.id, inquiry.received_at_ms, inquiry.body];
        Ok(self.inner.prepare_cached(sql)?.execute(row)? == 1)
    }

    /// Stores a number under a name: the progress of a shipper, the end of a shipment that was begun.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`], [`ControlError::Sqlite`].
    pub fn set_cursor(&self, name: &str, value: u64) -> Result<(), ControlError> {
        let value = signed("cursor", value)?;
        let sql = "INSERT OR REPLACE INTO cursor VALUES (?1, ?2)";
        self.inner.prepare_cached(sql)?.execute(params![name, value])?;
        Ok(())
    }

    /// Takes over a registry file as the whole truth from `at_ms` on: lines that changed or are gone stay with their
    /// dates.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn import_registry(&self, lines: &[Registration], at_ms: i64) -> Result<Imported, ControlError> {
        let mut imported = Imported::default();
        let known: BTreeSet<&str> = lines.iter().map(|line| &*line.device_id).collect();
        for line in lines {
            let body = json("registry", line)?;
            let find = "SELECT body FROM registry WHERE device_id = ?1 AND valid_to_ms IS NULL";
            let present: Option<String> =
                self.inner.prepare_cached(find)?.query_row([&line.device_id], |row| row.get(0)).optional()?;
            match present {
                Some(present) if present == body => {
                    imported.unchanged += 1;
                    continue;
                }
                Some(_) => {
                    self.end_registration(&line.device_id, at_ms)?;
                    imported.changed += 1;
                }
                None => imported.added += 1,
            }
            let sql = "INSERT INTO registry (device_id, valid_from_ms, body) VALUES (?1, ?2, ?3)";
            self.inner.prepare_cached(sql)?.execute(params![line.device_id, at_ms, body])?;
        }
        let mut all = self.inner.prepare_cached("SELECT device_id FROM registry WHERE valid_to_ms IS NULL")?;
        let present: Vec<String> = all.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for gone in present.iter().filter(|device| !known.contains(device.as_str())) {
            self.end_registration(gone, at_ms)?;
            imported.ended += 1;
        }
        Ok(imported)
    }

    fn end_registration(&self, device_id: &str, at_ms: i64) -> Result<(), ControlError> {
        let sql = "UPDATE registry SET valid_to_ms = ?2 WHERE device_id = ?1 AND valid_to_ms IS NULL";
        self.inner.prepare_cached(sql)?.execute(params![device_id, at_ms])?;
        Ok(())
    }
}

pub(super) fn json<T: serde::Serialize>(table: &'static str, value: &T) -> Result<String, ControlError> {
    serde_json::to_string(value).map_err(|error| ControlError::BadRow { table, found: error.to_string() })
}
