//! From anomalies to incidents and back to people: pure, synchronous, in virtual time.
//!
//! This crate answers: does this anomaly open an incident, join one, or neither, and why ([`correlate`]); how does an
//! incident stand after its events ([`incident`]); and how is that written down ([`document`]). It must not know where
//! events are kept, who is told, or what time it is: `at` comes with the anomaly. The desk calls it for `run`, `demo`
//! and `replay` alike.

pub mod correlate;
pub mod document;
pub mod event;
pub mod fingerprint;
pub mod incident;
pub mod inquiry;
pub mod opening;
pub mod take;
pub mod urgency;
mod wording;

pub use correlate::{Casebook, Changes, Draft};
pub use event::{Event, ReadError, Status, Verdict, What};
pub use incident::{ApplyError, Incident};
pub use inquiry::{Inquiries, Inquiry};
pub use take::Consequences;
