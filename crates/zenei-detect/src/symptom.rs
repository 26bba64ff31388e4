//! The symptom that a finding shows, so that findings of several detectors about one fault count together. Must not
//! know a detector. Each detector names its symptom; the engine and `attribution` read it.

/// A kind of fault. Findings of several detectors with one symptom count together in the search for what the affected
/// locks share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Symptom {
    /// A battery's resistance.
    Resistance,
    /// A battery's charge.
    Drain,
    /// The charge that a motor takes.
    Effort,
    /// The shape of its current profile.
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
    /// Heartbeats, or fields of them, that are missing.
    Schema,
    /// A number that is rare in its stream.
    Stream,
    /// Requests that a client or a service fails.
    Requests,
}

impl Symptom {
    /// The first of the symptoms that one fault of a lock shows together.
    pub const fn system(self) -> Self {
        match self {
            Self::Resistance | Self::Drain => Self::Resistance,
            Self::Effort | Self::Shape | Self::Trouble => Self::Effort,
            Self::Errors | Self::Part => Self::Errors,
            Self::Silence | Self::Loss => Self::Silence,
            Self::Memory | Self::Clock | Self::Schema | Self::Stream | Self::Requests => self,
        }
    }

    /// Whether it is of the battery or the supply.
    pub const fn is_power(self) -> bool {
        matches!(self, Self::Resistance | Self::Drain)
    }

    /// Whether it is of the motor, the gear or the bolt.
    pub const fn is_drive(self) -> bool {
        matches!(self, Self::Effort | Self::Shape | Self::Trouble)
    }
}
