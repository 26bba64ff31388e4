//! The interface that takes the findings of a pipeline. Its implementations are the desk that opens incidents, and
//! recorders in tests. Must not know what an incident is. Called by the code that drives a pipeline: the gateway on its
//! spool, and `zenei-desk` on the records that many gateways shipped.
use crate::{Findings, Pipeline};
use std::error::Error;
use zenei_wire::EngineTime;

/// The error of a desk. The driver of the pipeline stops then, and its next start hands over the same findings again.
pub type DeskError = Box<dyn Error + Send + Sync>;

/// Takes what the engine found.
pub trait Desk: Send {
    /// Called after each step, on the thread that drives the pipeline, with what the step found (often nothing); `now`
    /// is how far time has gone. How records are split into steps differs from run to run: only the content of the
    /// findings is the same. After a crash findings are handed over again, with equal ids; the desk makes durable,
    /// before this returns, what must not happen twice.
    ///
    /// # Errors
    /// Any error after which the desk can't continue.
    fn take(&mut self, now: EngineTime, findings: &Findings, pipeline: &Pipeline) -> Result<(), DeskError>;
}
