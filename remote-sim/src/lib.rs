//! Stand-ins for the services that zenei informs, as their documentation describes them: for the demo and for tests.
//!
//! This crate answers: what would Waroom, Slack, PagerDuty or a receiver of webhooks have answered, and what would it
//! have kept? It must not know zenei.
