//! The system's Bluetooth service as `tend` sees it: which adapter, the errors, and the events that the service sends
//! by itself. Must not call a bus: `service` names the platform's implementation. Called by all files of this folder
//! that open or tend a radio, and by `doctor`, which shows the errors.
use std::error::Error;

/// Why the radio does not listen. The texts give the finding and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum RadioError {
    /// The system bus.
    #[error("the D-Bus system bus can't be reached; start dbus-daemon, or set DBUS_SYSTEM_BUS_ADDRESS")]
    Bus(#[source] Box<dyn Error + Send + Sync>),
    /// BlueZ.
    #[error("BlueZ is not on the system bus; start bluetoothd (version 5.63 or later)")]
    NoService,
    /// The adapter.
    #[error("there is no Bluetooth adapter {wanted}; {found}")]
    NoAdapter {
        /// The requested adapter.
        wanted: String,
        /// Which ones there are.
        found: String,
    },
    /// The policy of the bus.
    #[error("BlueZ does not let this user {what}; run as root, or as a member of the group bluetooth")]
    Denied {
        /// The refused action.
        what: &'static str,
    },
    /// An answer that is no success.
    #[error("BlueZ refused to {what}: {said}")]
    Refused {
        /// The refused action.
        what: &'static str,
        /// The service's reason.
        said: String,
    },
    /// No answer in time.
    #[error("the Bluetooth service did not answer in time")]
    TimedOut,
    /// The connection ended.
    #[error("the connection to the D-Bus system bus was lost")]
    BusLost,
    /// The service left the bus.
    #[error("BlueZ left the system bus")]
    ServiceLost,
    /// The adapter was taken out.
    #[error("the Bluetooth adapter {adapter} is gone")]
    AdapterLost {
        /// Its name.
        adapter: String,
    },
    /// Not this platform.
    #[error("this build of zenei hears Bluetooth LE on Linux only")]
    Unsupported,
}

/// Which radio.
#[derive(Clone, Debug, Default)]
pub(crate) struct Station {
    /// The adapter's name; `None` means the first one.
    pub(crate) adapter: Option<String>,
    /// The bus; `None` means the system bus.
    pub(crate) bus: Option<String>,
}

/// An event that the radio sends by itself.
#[derive(Debug)]
pub(crate) enum RadioEvent {
    /// It receives nothing any more.
    Lost(RadioError),
    /// Its power was switched.
    Powered(bool),
}

/// How many events wait for the supervisor, which takes each at once.
pub(crate) const EVENTS: usize = 64;

/// An adapter that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Its name, `hci0`.
    pub adapter: String,
    /// Whether it is switched on.
    pub is_powered: bool,
}
