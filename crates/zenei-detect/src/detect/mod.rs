//! The detectors, one file each (two with a folder): parameters, what resets the detector, how often it judges, its
//! state. `rules::catalogue` lists them. The other files serve them: `running` holds what all detectors have in common,
//! `lanes`, `trail` and `report` are their helpers, and `profile` computes the number that the detector `profile_shape`
//! of `drift` watches. None of them may know the engine, incidents or stores. Called by the engine.
pub mod clock;
pub mod drain;
pub mod drift;
pub mod firmware_errors;
mod lanes;
pub mod leak;
pub mod lock_errors;
pub mod loss;
pub mod profile;
pub mod reboots;
mod report;
pub mod running;
pub mod schema;
pub mod silence;
pub mod stream;
mod trail;
pub mod trouble;
