//! Does the radio listen, and what was done to keep it listening? Set by `tend`; read by the listener, by the gateway,
//! by `scan`, and by `run` for `/metrics`, from which `doctor` reads it. Must not know a bus.
use super::supervisor::Steps;

/// Whether the radio listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hearing {
    /// Not opened yet.
    #[default]
    Opening,
    /// The scan runs, according to the system.
    Scanning,
    /// The scan does not run; opening is retried.
    Down {
        /// Why, in one line.
        reason: String,
    },
    /// The watchdog has reached its last rung: the process should end, so that its service manager restarts it.
    GivenUp,
}

/// The radio's state, and the supervisor's steps so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the radio listens.
    pub hearing: Hearing,
    /// The steps so far.
    pub steps: Steps,
}
