//! The incidents' log in the control database: its events, and the incidents after all of them. Reads only; must not
//! know findings. Called by the desk's driver at start, and by the command `incident`, also while a daemon runs.
use std::sync::Arc;
use zenei_incident::silence::SilenceError;
use zenei_incident::{ApplyError, Casebook, Event, Policy, ReadError, SilenceEvent, Silences};
use zenei_store::control::{Control, ControlError};
use zenei_wire::EngineTime;

/// Why the incidents can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The control database.
    #[error("the incidents can't be loaded")]
    Control(#[from] ControlError),
    /// An event that can't be read.
    #[error("the incidents can't be loaded")]
    Read(#[from] ReadError),
    /// A silence that can't be read, or a log of silences that breaks its order.
    #[error("the silences can't be loaded")]
    Silence(#[from] SilenceError),
    /// A log that breaks its invariants.
    #[error("the incidents' log is damaged")]
    Log(#[from] ApplyError),
}

/// A log that was read to its end.
#[derive(Clone, Debug)]
pub struct IncidentLog {
    /// Every event, in the order of storing.
    pub events: Vec<Event>,
    /// The incidents after these events.
    pub book: Casebook,
}

impl IncidentLog {
    /// The log of a control database; `policy` is the one by which the casebook judges further findings.
    ///
    /// # Errors
    /// Where the log can't be read or breaks its own rules, see [`OpenError`].
    pub fn read(control: &Control, policy: Arc<Policy>) -> Result<Self, OpenError> {
        let mut events = Vec::new();
        for row in control.events()? {
            events.push(Event::read(row.incident, row.seq, EngineTime(row.at_ms), &row.kind, &row.body)?);
        }
        let mut book = Casebook::fold(policy, &events)?;
        let mut silences = Vec::new();
        for row in control.silence_events()? {
            silences.extend(SilenceEvent::read(row.silence, EngineTime(row.at_ms), &row.kind, &row.body)?);
        }
        book.set_silences(Silences::fold(&silences)?);
        Ok(Self { events, book })
    }
}
