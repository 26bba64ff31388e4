//! How does each processed row get into the store exactly once? In steps that a crash may interrupt anywhere: store
//! the plan of the range, write its files, write the snapshot, commit the checkpoint in one transaction. Only then may
//! the spool drop the range. A disk or SQLite error is retried every second until it succeeds or the gateway stops;
//! meanwhile nothing is processed, and the spool still accepts messages. Any other error ends the driver. Must not
//! know what a row contains. Called by the driver.
use super::error::{DriverError, SealError};
use super::{Driver, Open};
use std::time::Duration;
use zenei_store::{Checkpoint, SealPlan, Sealed, snapshot};

/// How long to wait before the same range is retried. A guess: soon after someone has freed room.
const RETRY: Duration = Duration::from_secs(1);

/// The name of the snapshot at this place.
pub(super) fn snapshot_name(at: Sealed) -> String {
    format!("{:020}-{}", at.offset, at.advanced_to.ms())
}

impl Driver {
    /// Seals everything processed so far; does nothing where there is nothing new.
    pub(super) fn seal(&mut self) -> Result<(), DriverError> {
        if self.has_sealed_all() {
            return Ok(());
        }
        let plan = SealPlan { from: self.open.from, to: Sealed { offset: self.next, advanced_to: self.now } };
        // Nothing more is processed meanwhile: neither a planned range nor memory may grow. The spool still accepts
        // messages.
        while let Err(source) = self.seal_range(plan) {
            if !source.may_pass() || self.durable.view().closed {
                return Err(DriverError::Seal { from: plan.from, to: plan.to.offset, source });
            }
            tracing::error!(
                error = zenei_store::with_causes(&source),
                "a range could not be sealed; it is tried again"
            );
            // The messages received meanwhile show as pending.
            self.publish();
            self.durable.pause(RETRY);
        }
        self.inlet.release(plan.to.offset);
        if let Err(error) = snapshot::keep_only(&*self.disk, &self.snapshots, Some(&snapshot_name(plan.to))) {
            tracing::warn!(%error, "older states could not be removed; the next seal tries again");
        }
        Ok(())
    }

    fn seal_range(&mut self, plan: SealPlan) -> Result<(), SealError> {
        let txn = self.control.begin()?;
        txn.plan_seal(&plan)?;
        txn.commit()?;
        let Open { batch, dead, .. } = &self.open;
        self.parquet.seal(&plan, self.pipeline.fleet(), &batch.rows, &batch.gaps, dead, &self.gateway_id)?;
        let name = snapshot_name(plan.to);
        snapshot::write(&*self.disk, &self.snapshots, &name, &self.pipeline.snapshot()?)?;
        let mut ledger = self.ledger.clone();
        ledger.stored += batch.rows.len() as u64;
        ledger.pending = self.pipeline.held();
        ledger.gaps = self.pipeline.missing();
        ledger.lock_days = ledger.lock_days.max(self.pipeline.lock_days());
        let txn = self.control.begin()?;
        txn.checkpoint(&Checkpoint { sealed: plan.to, snapshot: Some(name), ledger: ledger.clone() })?;
        txn.commit()?;
        self.ledger = ledger;
        let mut batch = std::mem::take(&mut self.open.batch);
        batch.clear();
        let Sealed { offset: from, advanced_to: sealed_at } = plan.to;
        self.open = Open { from, sealed_at, batch, ..Open::default() };
        Ok(())
    }
}
