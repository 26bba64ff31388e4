//! The tables that rows go to, and the contract's fields for which each has a column. Must not know rows. Called by the
//! code that makes rows, queries and migrations for them.
use zenei_wire::Kind;
use zenei_wire::fields::{Field, Form};

/// A table that rows go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Record,
    Operation,
    MotorProfile,
    DeadLetter,
    Gap,
    Feed,
    Shipment,
}

impl Target {
    /// Every one.
    pub(crate) const ALL: [Self; 7] =
        [Self::Record, Self::Operation, Self::MotorProfile, Self::DeadLetter, Self::Gap, Self::Feed, Self::Shipment];

    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Operation => "operation",
            Self::MotorProfile => "motor_profile",
            Self::DeadLetter => "dead_letter",
            Self::Gap => "gap",
            Self::Feed => "feed",
            Self::Shipment => "shipment",
        }
    }

    /// Whether it has a column for a field. Profiles have a table of their own beside that of operations.
    pub(crate) fn has(self, field: &Field) -> bool {
        let is_profile = matches!(field.form, Form::Samples(_));
        match self {
            Self::Record => Kind::ALL.iter().any(|kind| *kind != Kind::Op && field.is_of(*kind)),
            Self::Operation => field.is_of(Kind::Op) && !is_profile,
            Self::MotorProfile => is_profile || field.name == "sample_ms",
            Self::Feed => true,
            Self::DeadLetter | Self::Gap | Self::Shipment => false,
        }
    }
}
