//! A stand-in for BlueZ on a private D-Bus: what a scanner sees of `org.bluez`, with the faults that real ones have.
//!
//! This crate answers: what does a program hear that scans through BlueZ, when locks advertise, when the service or the
//! whole bus is killed, when scanning dies without a word? It needs no adapter, no kernel module and no rights. It must
//! not know who scans. Called by tests.
mod bus;
mod objects;
mod service;

pub use bus::PrivateBus;
pub use service::{Calls, FakeBlueZ};
