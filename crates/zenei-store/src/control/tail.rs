//! How far a desk has taken the gateways' shipments, and its steps: a step is stored before it is taken, so that after
//! a crash the same rows are taken in the same order. Must not know records. Written by the tail alone, except that
//! `forget` renames its snapshot.
use super::{Control, ControlError, Sealed, Txn};
use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_wire::{EngineTime, GatewayTime, Id};

/// A place in the merged records of all gateways: which of them were taken, and which were not yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tailed {
    /// Every record received up to here was taken, if it was shipped by then; `None` before the first.
    pub up_to: Option<EngineTime>,
    /// How far each gateway's shipments are known. Records that it ships later and received before `up_to` are taken
    /// later.
    pub gateways: BTreeMap<String, Sealed>,
}

/// The records that one step takes: those received after [`Tailed::up_to`] and up to `up_to`, and before them the
/// earlier records of newly known shipments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailStep {
    /// Where the step ends; `None` where nothing was taken yet and this step takes nothing.
    pub up_to: Option<EngineTime>,
    /// Which gateways' shipments are newly known, and up to where.
    pub moved: BTreeMap<String, Moved>,
}

/// A gateway's newly known shipments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Up to where.
    pub to: Sealed,
    /// The earliest time at which any record in them was received.
    pub heard_from: GatewayTime,
}

impl Tailed {
    /// The place after a step.
    pub fn take(&mut self, step: &TailStep) {
        self.up_to = self.up_to.max(step.up_to);
        for (gateway, moved) in &step.moved {
            self.gateways.insert(gateway.clone(), moved.to);
        }
    }
}

/// Where a restart of the tail begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailCheckpoint {
    /// The place.
    pub tailed: Tailed,
    /// The number of the first step after it.
    pub next_step: u64,
    /// The file with the state of intake and engine there.
    pub snapshot: Option<String>,
    /// The digest of the rules that the engine ran.
    pub rules: Option<Id>,
    /// Records taken since the state directory was made, duplicates among them.
    pub records: u64,
    /// Of them: those that this or another gateway had received before.
    pub duplicates: u64,
    /// On how many days locks were watched for faults, one for each lock and day.
    #[serde(default)]
    pub lock_days: u64,
}

/// How far a tail has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailProgress {
    /// Every record received up to here was taken, if it was shipped; `None` before the first.
    pub up_to: Option<EngineTime>,
    /// Records taken since the state directory was made, duplicates among them.
    pub records: u64,
    /// Of them: those that this or another gateway had received before.
    pub duplicates: u64,
    /// On how many days locks were watched for faults, one for each lock and day.
    pub lock_days: u64,
}

impl Control {
    /// Where the tail begins again; `None` before its first checkpoint.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn tail(&self) -> Result<Option<TailCheckpoint>, ControlError> {
        let mut statement = self.connection.prepare_cached("SELECT body FROM tail")?;
        let body: Option<String> = statement.query_row([], |row| row.get(0)).optional()?;
        body.map(|body| super::read::parse("tail", &body)).transpose()
    }

    /// The steps begun since that checkpoint, in order.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn tail_steps(&self) -> Result<Vec<TailStep>, ControlError> {
        let mut statement = self.connection.prepare_cached("SELECT body FROM tail_step ORDER BY number")?;
        let bodies = statement.query_and_then([], |row| Ok::<String, ControlError>(row.get(0)?))?;
        bodies.map(|body| super::read::parse("tail_step", &body?)).collect()
    }
}

impl Txn<'_> {
    /// Writes down a step that is about to be taken.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`], [`ControlError::Sqlite`], also where the number is taken: two processes tail into
    /// one state directory.
    pub fn plan_tail_step(&self, number: u64, step: &TailStep) -> Result<(), ControlError> {
        let number = super::error::signed("tail_step", number)?;
        let body = super::txn::json("tail_step", step)?;
        self.inner.prepare_cached("INSERT INTO tail_step VALUES (?1, ?2)")?.execute(params![number, body])?;
        Ok(())
    }

    /// Names another file for the checkpoint's state; the steps begun since stay.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn rename_tail_snapshot(&self, checkpoint: &TailCheckpoint) -> Result<(), ControlError> {
        let body = super::txn::json("tail", checkpoint)?;
        self.inner.prepare_cached("UPDATE tail SET body = ?1")?.execute([body])?;
        Ok(())
    }

    /// Writes down where the tail begins again; the steps that led here are done.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn checkpoint_tail(&self, checkpoint: &TailCheckpoint) -> Result<(), ControlError> {
        let body = super::txn::json("tail", checkpoint)?;
        self.inner.prepare_cached("INSERT OR REPLACE INTO tail VALUES (1, ?1)")?.execute([body])?;
        self.inner.prepare_cached("DELETE FROM tail_step")?.execute([])?;
        Ok(())
    }
}
