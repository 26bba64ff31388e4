//! Checks each detector in two ways: it agrees with its slow and plain counterpart, and it complies with what all
//! detectors must do.
//!
//! Slow and plain: each estimator and detector is written a second time, by its definition, over its whole input, in
//! lists and in double precision; on random streams the fast one must give the same findings. For tests alone. Errors
//! that both versions share are left to a rule's cases and the fleet benchmark.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod clock;
mod compliance;
mod drain;
mod drift;
mod estimators;
mod firmware;
mod leak;
mod links;
mod lock_errors;
mod locks;
mod loss;
mod presence;
mod profile;
mod reboots;
mod requests;
mod schema;
mod stream;
mod trouble;
