//! Tools that the tests of several crates share.
//!
//! This crate answers: which random numbers, which MQTT bytes, which finding and which way to run a program do tests
//! use? It must not know what is tested, and no product code may depend on it. Called by tests and fuzz targets alone.
#[cfg(feature = "body")]
mod body;
pub mod bound;
#[cfg(feature = "detect")]
mod desk;
mod dice;
#[cfg(feature = "detect")]
mod finding;
pub mod hostile;
pub mod mqtt;
pub mod program;

#[cfg(feature = "body")]
pub use body::body;
#[cfg(feature = "detect")]
pub use desk::QuietDesk;
pub use dice::{Dice, scattered};
#[cfg(feature = "detect")]
pub use finding::anomaly;
