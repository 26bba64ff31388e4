//! From records to anomalies: pure, synchronous, in virtual time.
//!
//! This crate answers: which records are new and in which order (`intake`), how each lock normally behaves, which locks
//! depart from that, and with what evidence. It must not know where records come from, where they are stored, or what
//! is done about an anomaly. `now` is always an argument: the same input in the same order gives the same output, byte
//! for byte.

mod adverts;
#[cfg(test)]
mod adverts_tests;
pub mod anomaly;
mod attribution;
#[cfg(test)]
mod attribution_tests;
pub mod batch;
mod canary;
pub mod condition;
pub mod desk;
pub mod detect;
pub mod engine;
#[cfg(test)]
mod engine_tests;
pub mod estimate;
pub mod field;
pub mod fleet;
pub mod intake;
#[cfg(test)]
mod intake_tests;
pub mod kind;
#[cfg(test)]
mod lives_properties;
#[cfg(test)]
mod lives_tests;
pub mod lock;
pub mod nearest;
mod pace;
pub mod pipeline;
#[cfg(test)]
mod pipeline_tests;
pub mod rule;
pub mod rules;
pub mod symptom;
mod time;
pub mod toml_place;

pub use anomaly::{
    Anomaly, Component, Decision, DecisionReason, Domain, Evidence, Findings, PartOf, Recovery, Scope, ScopeKind,
    Urgency,
};
pub use batch::{Batch, Gap, Heard, Labels, Portion, Registered, Row, Succession, Unreadable, UnreadableRow};
pub use condition::RestVoltage;
pub use desk::{Desk, DeskError};
pub use field::NumericField;
pub use fleet::{DeviceIx, FORGOTTEN, Fleet, Sym};
pub use kind::{DetectorKind, Parameter};
pub use pipeline::{Deadline, Pipeline, RestoreError};
pub use rules::{Rule, Rules};
pub use toml_place::TomlError;
