//! The context in which a lock acts: world, identity, time and listener; and the least free heap with which it can act.
//! Shared by `lock` and `acts`.
use crate::identity::Identity;
use crate::message::Listener;
use crate::world::World;

/// Free heap at which an allocation fails, bytes; guess.
pub(super) const HEAP_LEAST_B: f64 = 1024.0;

/// The time, world, identity and listener of an action.
pub(super) struct At<'a, L: Listener> {
    pub(super) world: &'a World,
    pub(super) identity: &'a Identity,
    pub(super) at_ms: i64,
    pub(super) listener: &'a mut L,
}
