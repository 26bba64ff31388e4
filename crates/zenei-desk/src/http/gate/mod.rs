//! The gate: who may ask what. Roles and needs, tokens and sessions, the routes with what each needs, and the guard
//! around them. Must not know what a route does. Used by every module with routes and by the server.
mod audit;
mod caller;
pub(super) mod changes;
pub(in crate::http) mod enter;
mod entry;
mod guard;
mod guarded;
pub(super) mod login;
mod need;
mod origin;
mod place;
mod rate;
mod sessions;
pub mod tokens;

pub use audit::{AuditLog, Subject};
pub use caller::{Caller, How, Role};
pub use entry::Entry;
pub use guarded::Guarded;
pub use need::{Need, Route};
pub use origin::PublicUrl;
pub(crate) use place::Peer;
pub use place::{Gate, GateSettings};
pub use tokens::{Pepper, Token, TokenError, Tokens};
