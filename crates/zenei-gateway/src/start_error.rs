//! Why does a gateway not start? One variant for each step that can fail. Returned by the start; the binary turns it
//! into a message and an exit code.
use crate::driver::RecoverError;
use crate::source::mqtt::config::MqttConfigError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use zenei_store::SpoolError;
use zenei_store::layout::LockError;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Called outside of a tokio runtime.
    #[error("no tokio runtime is there; a gateway is started within one")]
    NoRuntime,
    /// The state directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The broker's configuration.
    #[error(transparent)]
    Mqtt(#[from] MqttConfigError),
    /// The address of the ingress.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The file of the sessions.
    #[error("the sessions at {path} can't be read or written")]
    Sessions {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The spool.
    #[error("the spool can't be opened")]
    Spool(#[from] SpoolError),
    /// The state of the last run.
    #[error("the state of the last run can't be gone on with")]
    Recover(#[from] RecoverError),
    /// A thread.
    #[error("a thread can't be started")]
    Thread(#[source] io::Error),
}
