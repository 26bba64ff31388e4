//! The product's own intake, engine and casebook in virtual time, without files: which incidents a stream of records
//! leads to. The casebook's rule decides which findings are taken, as on the desk. Called by `fleet` and `backtest`.
use crate::cpu::timed;
use crate::error::LabError;
use crate::opened::Opened;
use std::collections::HashSet;
use zenei_detect::{Batch, Decision, Findings, Pipeline, Portion, Rules};
use zenei_incident::{ApplyError, Casebook};
use zenei_store::Registration;
use zenei_wire::Id;

/// A pipeline and a casebook that run through virtual time.
pub(crate) struct Course {
    pipeline: Pipeline,
    book: Casebook,
    /// Findings taken so far; a store would deduplicate them by their id.
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
        registrations.iter().for_each(|registration| pipeline.register(registration.registered()));
        let (batch, findings, cost) = (Batch::default(), Findings::default(), CourseCost::default());
        Self { pipeline, book: Casebook::default(), taken: HashSet::new(), batch, findings, cost }
    }

    /// Takes a portion of decoded messages. Passes each candidate that opened nothing to `decided`.
    ///
    /// # Errors
    /// Where the casebook breaks a rule of its own log.
    pub(crate) fn take(&mut self, portion: Portion<'_>, decided: impl FnMut(&Decision)) -> Result<(), LabError> {
        self.cost.records += portion.heard.len() as u64;
        let (pipeline, batch, findings) = (&mut self.pipeline, &mut self.batch, &mut self.findings);
        timed(&mut self.cost.detect_s, || pipeline.take(portion, batch, findings));
        self.decide(decided)
    }

    /// Advances time past the end of the records; nothing may follow.
    ///
    /// # Errors
    /// As [`Course::take`].
    pub(crate) fn end(&mut self, decided: impl FnMut(&Decision)) -> Result<(), LabError> {
        let (pipeline, batch, findings) = (&mut self.pipeline, &mut self.batch, &mut self.findings);
        timed(&mut self.cost.detect_s, || pipeline.finish(batch, findings));
        self.decide(decided)
    }

    fn decide(&mut self, mut decided: impl FnMut(&Decision)) -> Result<(), LabError> {
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

    /// Every incident in its current state, in order of opening.
    pub(crate) fn opened(&self) -> Vec<Opened> {
        let mut opened: Vec<Opened> = self.book.incidents().map(Opened::of).collect();
        opened.sort_by_key(|opened| (opened.at_ms, opened.id));
        opened
    }

    /// What it cost so far.
    pub(crate) fn cost(&self) -> CourseCost {
        self.cost
    }

    /// Bytes of the engine's whole state as a snapshot.
    ///
    /// # Errors
    /// None are known.
    pub(crate) fn state_bytes(&self) -> Result<u64, LabError> {
        let state =
            self.pipeline.snapshot().map_err(|error| LabError::failed("the engine's state can't be read", error))?;
        Ok(state.len() as u64)
    }
}
