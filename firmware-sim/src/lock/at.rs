//! When and for whom does a lock do something, and what is the least heap it can do it with? What its life and its acts
//! share.
use crate::identity::Identity;
use crate::message::Listener;
use crate::world::World;

/// Free heap at which an allocation fails, bytes; guess.
pub(super) const HEAP_LEAST_B: f64 = 1024.0;

/// When and for whom something is done.
pub(super) struct At<'a, L: Listener> {
    pub(super) world: &'a World,
    pub(super) identity: &'a Identity,
    pub(super) at_ms: i64,
    pub(super) listener: &'a mut L,
}
