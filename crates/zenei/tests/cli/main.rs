//! The binary as a person or a script uses it. Must not know its internals.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod advertised;
mod backup;
mod broken;
mod broker;
mod canary;
mod config;
mod daemon;
mod doctor;
mod hostile;
mod lock;
mod notify;
mod policy;
mod replay;
mod rules;
mod scan;
mod schema;
mod slack;
mod steps;
mod support;
mod surface;
mod tap;
mod token;
mod top;
mod waroom;
