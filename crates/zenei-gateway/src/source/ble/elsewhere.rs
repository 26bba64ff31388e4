//! The radio on a platform other than Linux: opening it fails. Called through `service`.
use super::air::Air;
use super::radio::{Adapter, RadioError, RadioEvent, Station};
use std::sync::Arc;
use tokio::sync::mpsc;

pub(crate) struct Session;

pub(crate) async fn look(_station: &Station) -> Result<Adapter, RadioError> {
    Err(RadioError::Unsupported)
}

impl Session {
    pub(crate) async fn open(
        _station: Station,
        _air: Arc<Air>,
    ) -> Result<(Self, mpsc::Receiver<RadioEvent>), RadioError> {
        Err(RadioError::Unsupported)
    }

    pub(crate) fn adapter(&self) -> &str {
        ""
    }

    pub(crate) async fn restart_scan(&self) -> Result<(), RadioError> {
        Err(RadioError::Unsupported)
    }

    pub(crate) async fn power_cycle(&self) -> Result<(), RadioError> {
        Err(RadioError::Unsupported)
    }
}
