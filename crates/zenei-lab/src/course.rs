//! The product's own intake, engine and casebook in virtual time, without a file: what records would have led to. The casebook's rule decides
//! which findings are taken, as it does for the desk. Called by `fleet` and `backtest`.
use crate::cpu::timed;
use crate::error::LabError;
use crate::opened::Opened;
use std::collections::HashSet;
use zenei_detect::{Batch, Decision, Findings, Heard, Pipeline, Registration, Rules};
use zenei_incident::{ApplyError, Casebook};
use zenei_store::DeadLetter;
#[cfg(feature = "backtest")]
use zenei_store::clickhouse::Unreadable;
use zenei_wire::{EngineTime, Id};

/// How long time goes on after the last record, as in a replay (interface contract).
pub(crate) const AFTER_MS: i64 = 120_000;

/// A pipeline and a casebook on their way through time.
pub(crate) struct Course {
    pipeline: Pipeline,
    book: Casebook,
    /// Findings taken so far; the store would know them by their id.
    taken: HashSet<Id>,
    batch: Batch,
    findings: Findings,
    cost: CourseCost,
}

/// What a course cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CourseCost {
    /// Records taken, duplicates among them.
    pub(crate) records: u64,
    /// CPU seconds of intake and engine.
    pub(crate) detect_s: f64,
    /// CPU seconds from anomalies to incidents.
    pub(crate) correlate_s: f64,
}

impl Course {
    /// A course without history.
    pub(crate) fn new(rules: &Rules, registrations: &[Registration]) -> Self {
        let mut pipeline = Pipeline::new(Some(rules.clone()));
        registrations.iter().for_each(|registration| pipeline.register(registration));
        let (batch, findings, cost) = (Batch::default(), Findings::default(), CourseCost::default());
        Self { pipeline, book: Casebook::default(), taken: HashSet::new(), batch, findings, cost }
    }

    /// Takes records in order of hearing; then time goes on to `now`. Each candidate that opened nothing is handed to `decided`.
    ///
    /// # Errors
    /// Where the casebook breaks a rule of its own log.
    pub(crate) fn take(
        &mut self,
        heard: &[Heard<'_>],
        now: EngineTime,
        mut decided: impl FnMut(&Decision),
    ) -> Result<(), LabError> {
        self.cost.records += heard.len() as u64;
        let (pipeline, batch, findings) = (&mut self.pipeline, &mut self.batch, &mut self.findings);
        timed(&mut self.cost.detect_s, || pipeline.ingest(heard, now, batch, findings));
        let (book, taken, findings) = (&mut self.book, &mut self.taken, &self.findings);
        let correlated = timed(&mut self.cost.correlate_s, || {
            let mut draft = book.draft();
            let found = draft.take(findings, |anomaly| Ok::<bool, ApplyError>(taken.insert(anomaly.id)));
            let found = found.map_err(|error| LabError::failed("an event does not fit its incident", error))?;
            let changes = draft.into_changes();
            book.absorb(changes);
            Ok(found)
        });
        let correlated = correlated.map(|found| found.decisions.iter().for_each(|decision| decided(decision)));
        self.batch.clear();
        self.findings.clear();
        correlated
    }

    /// Takes note of a record that can't be read, before the records that were heard with it.
    pub(crate) fn refused(&mut self, letter: &DeadLetter) {
        letter.tell(&mut self.pipeline);
    }

    /// As [`Course::refused`], of what ClickHouse keeps.
    #[cfg(feature = "backtest")]
    pub(crate) fn unreadable(&mut self, letter: &Unreadable) {
        self.pipeline.refused(&letter.device_id, letter.heard_at);
    }

    /// Every incident as it stands, in order of opening.
    pub(crate) fn opened(&self) -> Vec<Opened> {
        let mut opened: Vec<Opened> = self.book.incidents().map(Opened::of).collect();
        opened.sort_by_key(|opened| (opened.at_ms, opened.id));
        opened
    }

    /// What it cost so far.
    pub(crate) fn cost(&self) -> CourseCost {
        self.cost
    }

    /// Bytes of the engine's whole state, as a snapshot has it.
    ///
    /// # Errors
    /// None that is known.
    pub(crate) fn state_bytes(&self) -> Result<u64, LabError> {
        let state =
            self.pipeline.snapshot().map_err(|error| LabError::failed("the engine's state can't be read", error))?;
        Ok(state.len() as u64)
    }
}
