//! Which Bluetooth service does this platform have? One file per platform implements the same two names. Called by the
//! listener (`look`) and by `tend` (`Session`).
#[cfg(target_os = "linux")]
pub(crate) use super::bluez::{Session, look};
#[cfg(not(target_os = "linux"))]
pub(crate) use super::elsewhere::{Session, look};
