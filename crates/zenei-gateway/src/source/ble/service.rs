//! Which Bluetooth service has this platform? One file per platform implements the same two names. Called by the
//! listener and the task that tends it.
#[cfg(target_os = "linux")]
pub(crate) use super::bluez::{Session, look};
#[cfg(not(target_os = "linux"))]
pub(crate) use super::elsewhere::{Session, look};
