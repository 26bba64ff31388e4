//! A stand-in for BlueZ on a private D-Bus: what a scanner sees of `org.bluez`, with the faults that real ones have.
//!
//! This crate answers: what does a program that scans through BlueZ receive when locks advertise, when the service or
//! the whole bus is killed, and when scanning stops without an error? It needs no adapter, no kernel module and no
//! rights. It must not know which program scans. Called by tests.
mod bus;
mod objects;
mod service;

pub use bus::PrivateBus;
pub use service::{Calls, FakeBlueZ};
