//! The detectors, a file each: its parameters, what resets it, how often it judges, its state. `running` holds what
//! they have in common; `rules::catalogue` lists them. They must not know the engine, incidents or stores.
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
