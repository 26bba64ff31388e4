//! A simulated fleet of smart locks that sends what real ones would: physics of battery and motor, firmware, radio,
//! people, weather, and seeded faults with their true times.
//!
//! It answers: what would this fleet have sent, byte for byte, and which faults did it really have. It must not know
//! the detector: it depends on `zenei-wire` alone. [`Scenario::demo`] is a month of 500 locks; [`Scenario::fleet`] has
//! every family of faults and controls at once; [`Scenario::jittered`] changes the physical parameters at random, for
//! tests of robustness. Called by the demo, `zenei scan --sim`, the lab, the benches and tests, and by its own binary.
//!
//! ```
//! use firmware_sim::{Fleet, Scenario};
//! let mut scenario = Scenario::demo()?;
//! (scenario.locks, scenario.days) = (20, 1.0);
//! let mut fleet = Fleet::new(&scenario, 1)?;
//! let mut messages = Vec::new();
//! fleet.advance(fleet.end_ms(), &mut messages);
//! assert!(messages.len() > 100);
//! # Ok::<(), firmware_sim::ScenarioError>(())
//! ```
mod ailment;
mod battery;
mod beacon;
mod calendar;
mod carriage;
mod clock;
mod disturb;
mod drift;
mod fault;
mod fleet;
mod gateway;
mod habit;
mod identity;
mod individual;
mod jitter;
mod lock;
mod message;
mod motor;
mod operation;
mod plan;
pub mod publish;
mod recording;
mod rng;
pub mod scenario;
mod structure;
mod told;
mod traits;
mod truth;
mod wander;
mod weather;
mod world;

pub use beacon::{Beacons, Secrecy, Sent};
pub use disturb::Disturbance;
pub use fleet::Fleet;
pub use identity::Identity;
pub use message::Message;
pub use recording::Recorder;
pub use scenario::{DEMO_TOML, FLEET_TOML, PHYSICS_TOML, Scenario, ScenarioError};
pub use truth::{Scope, Truth};
