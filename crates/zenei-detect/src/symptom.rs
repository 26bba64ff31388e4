//! The symptom that a finding shows, so that findings of several detectors about one fault count together. Must not
//! know a detector. Each detector names its symptom; the engine and `attribution` read it.

/// What several detectors see of one fault: findings of one symptom count together when it is asked what the affected
/// locks share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Symptom {
    /// A battery's resistance.
    Resistance,
    /// A battery's charge.
    Drain,
    /// What a motor takes.
    Effort,
    /// How its current runs.
    Shape,
    /// Operations that fail.
    Trouble,
    /// Errors and restarts.
    Errors,
    /// Errors that name a part.
    Part,
    /// Memory.
    Memory,
    /// Silence.
    Silence,
    /// Clock.
    Clock,
    /// Records that are lost.
    Loss,
    /// What is no longer told.
    Schema,
    /// A number that does what it never did.
    Stream,
}

impl Symptom {
    /// Whether it is of the battery or the supply.
    pub const fn is_power(self) -> bool {
        matches!(self, Self::Resistance | Self::Drain)
    }

    /// Whether it is of the motor, the gear or the bolt.
    pub const fn is_drive(self) -> bool {
        matches!(self, Self::Effort | Self::Shape | Self::Trouble)
    }
}
