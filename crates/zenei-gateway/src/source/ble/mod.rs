//! Which advertisements does the radio receive? Listens for BTHome advertisements through the system's Bluetooth
//! service, keeps the radio listening, and passes on each advertisement: address, strength, bytes and time. Must not
//! know what the bytes mean. Only the feed knows the registry's keys, with which it judges whose an advertisement is;
//! every other file takes that judgement from its caller. Called by the gateway (which spools), and by the binary's
//! `scan` (which shows) and `doctor` (which checks the adapter).
mod advertisement;
mod air;
#[cfg(target_os = "linux")]
mod bluez;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
mod feed;
mod gate;
mod listening;
mod place;
mod radio;
mod service;
mod status;
mod supervisor;
mod tend;

pub use advertisement::{Advertisement, Judge, RadioCounters, Standing};
pub(crate) use feed::Feed;
pub use feed::{BleConfig, BleHandle};
pub use listening::{ListenOptions, Listening, listen, look};
pub use radio::{Adapter, RadioError};
pub use status::{Hearing, Status};
pub use supervisor::{Ladder, Steps};
