//! What each detector must do: say what its slow and plain counterpart says, and comply with what all detectors
//! promise.
//!
//! Slow and plain: each estimator and detector a second time, by its definition, over all that it ever saw, in lists
//! and in double precision; and random streams on which the fast one must say the same. For tests alone. Where both are
//! wrong alike, a rule's cases and the fleet benchmark must tell.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod clock;
mod compliance;
mod drain;
mod drift;
mod estimators;
mod firmware;
mod leak;
mod lock_errors;
mod locks;
mod loss;
mod presence;
mod profile;
mod reboots;
mod schema;
mod stream;
mod trouble;
