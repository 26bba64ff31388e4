//! The gate: who may ask what. Roles and needs, the routes with what each needs, and the guard around them. Must not
//! know what a route does. Used by every module with routes and by the server.
mod caller;
mod guard;
mod guarded;
mod need;

pub use caller::{Caller, How, Role};
pub use guard::{Gate, GateSettings};
pub use guarded::Guarded;
pub use need::{Need, Route};
