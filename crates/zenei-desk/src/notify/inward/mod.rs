//! What remotes send to the desk over HTTP: one file a remote, each with its own check of who sends. Must not know how
//! a request is carried out ([`crate::request`] does). No address serves it yet.
pub mod slack;
