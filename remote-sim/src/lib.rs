//! Stand-ins for the services that zenei informs, as their documentation describes them: for tests.
//!
//! This crate answers: what would Waroom, Slack, PagerDuty, Alertmanager or a receiver of webhooks have answered, and
//! what would it have kept? It must not know zenei. Each stand-in is a [`Remote`], which is synchronous and has no
//! clock of its own; [`Server`] puts it on a port of this machine, with [`Faults`] drawn from a seed. What the
//! documentation leaves open is a quirk that the caller sets.
mod alertmanager;
mod cut;
mod fault;
mod http;
mod pagerduty;
mod server;
mod slack;
mod waroom;
mod webhook;

pub use alertmanager::{Alertmanager, Labels as AlertLabels};
pub use fault::{Fault, Faults};
pub use http::{Answer, Request};
pub use pagerduty::{Alert, Change, PagerDuty};
pub use server::{Remote, Server};
pub use slack::{Channel, Posted, Slack, signature as slack_signature};
pub use waroom::{ChangeBy, Deployment, Quirks as WaroomQuirks, RemoteIncident, Waroom};
pub use webhook::{Hook, Receiver};
