//! The three times: device, gateway and engine time. They are three types because mixing them is a classic error in
//! telemetry: a lock's clock may be years off, a gateway's may step, and the engine's never goes back.
//! [`GatewayTime::as_engine`] and [`GatewayTime::as_device`] are the named conversions; `tests/src/tidy.rs`
//! lists the files that may call them. Must not know the machine's clock. Called by every crate that handles records.
use serde::{Deserialize, Serialize};

macro_rules! time {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);
        impl $name {
            /// Milliseconds since 1970-01-01T00:00:00Z.
            pub const fn ms(self) -> i64 {
                self.0
            }
            /// This time and `ms` milliseconds more; stays at the end of the range instead of wrapping.
            pub const fn plus_ms(self, ms: i64) -> Self {
                Self(self.0.saturating_add(ms))
            }
        }
    };
}

time!(
    /// The time of the lock's clock, in ms since 1970. Untrusted: any value.
    DeviceTime);
time!(
    /// When a gateway received the record, in ms since 1970. Never goes back within one gateway's spool.
    GatewayTime);
time!(
    /// The engine's own time, in ms since 1970: the running maximum of the times that it was given. Never goes back.
    EngineTime);

impl GatewayTime {
    /// The engine's time at which the gateway received this: the engine's clock follows the gateway's.
    pub const fn as_engine(self) -> EngineTime {
        EngineTime(self.0)
    }

    /// The substitute for a device clock in a record that has none: the gateway that receives an advertisement dates
    /// it.
    pub const fn as_device(self) -> DeviceTime {
        DeviceTime(self.0)
    }
}
