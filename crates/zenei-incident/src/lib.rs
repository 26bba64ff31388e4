//! Incidents from anomalies: pure and synchronous, in virtual time.
//!
//! This crate answers whether an anomaly opens an incident, joins one or does neither, and why ([`correlate`]); what
//! state an incident has after its events ([`incident`]); and how it is written ([`document`]). It must not know where
//! events are stored, who is notified, or the current time: `at` comes with the anomaly. Called by the desk for `run`,
//! `demo` and `replay` alike; the lab and the commands that show incidents read its types.

mod allowed;
pub mod correlate;
pub mod document;
pub mod event;
pub mod fingerprint;
pub mod flap;
pub mod incident;
pub mod inhibit;
pub mod inquiry;
pub mod kinds;
pub mod message;
pub mod mute;
pub mod opening;
pub mod places;
pub mod policy;
mod refused;
pub mod risk;
pub mod runbook;
mod runbook_follow;
mod runbook_order;
pub mod services;
pub mod silence;
pub mod similar;
pub mod stage;
pub mod step;
mod table;
pub mod take;
pub mod urgency;
pub mod views;
mod whole;
mod wording;

pub use correlate::{Casebook, Changes, Draft};
pub use event::{Event, ReadError, Status, Verdict, What};
pub use incident::{ApplyError, Incident};
pub use inquiry::{Inquiries, Inquiry};
pub use mute::Tell;
pub use policy::Policy;
pub use silence::{Matcher, Silence, SilenceEvent, SilenceKind, Silences};
pub use take::Consequences;
