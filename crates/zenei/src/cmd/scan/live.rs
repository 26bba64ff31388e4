//! The radio as a source of a scan. Must not know how the system's Bluetooth service is called; the gateway's crate
//! does that. Called by `source`.
use super::spooled::spooled;
use crate::daemon::contents::Registry;
use crate::exit::Failure;
use std::time::Duration;
use zenei_gateway::source::ble::{self, Hearing, ListenOptions, Listening};
use zenei_store::StoredMessage;
use zenei_store::clock::{Clock, Elapsed};
use zenei_wire::GatewayTime;
use zenei_wire::bthome::Advertisement;

/// How long the system may take to find an adapter and to start a scan.
const OPEN_WITHIN: Duration = Duration::from_secs(15);

/// The remedy where there is no Bluetooth.
const REMEDY: &str = "look with `zenei doctor`, or without an adapter: zenei scan --sim, zenei scan --replay FILE";

/// A radio that listens.
pub(super) struct Live {
    listening: Listening,
    registry: Registry,
    began: Elapsed,
    seconds: Option<Duration>,
    offset: u64,
}

impl Live {
    /// Starts to listen.
    ///
    /// # Errors
    /// [`Failure::Unreachable`], in one line, where there is no adapter, or it does not listen.
    pub(super) async fn open(registry: Registry, seconds: Option<u64>) -> Result<Self, Failure> {
        let unheard = |why: String| Failure::Unreachable(format!("can't hear Bluetooth LE: {why}; {REMEDY}"));
        let late = || unheard(format!("the system has not answered within {} s", OPEN_WITHIN.as_secs()));
        let listening = ble::listen(ListenOptions::onlooker());
        let opened = tokio::time::timeout(OPEN_WITHIN, listening.opened()).await.map_err(|_| late())?;
        opened.map_err(unheard)?;
        let seconds = seconds.map(Duration::from_secs);
        Ok(Self { listening, registry, began: Elapsed::start(), seconds, offset: 0 })
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn now(&self) -> GatewayTime {
        Clock::System.now()
    }

    /// The next advertisement; `None` when the time is over.
    pub(super) async fn next(&mut self) -> Option<StoredMessage> {
        let left = self.seconds.map(|seconds| seconds.saturating_sub(self.began.so_far()));
        let heard = match left {
            Some(left) => tokio::time::timeout(left, self.listening.next()).await.ok()?,
            None => self.listening.next().await,
        };
        self.offset += 1;
        let advertisement =
            Advertisement { address: heard.address, rssi_dbm: heard.rssi_dbm, service_data: &heard.service_data };
        Some(spooled(&advertisement, heard.heard_at, self.offset - 1))
    }

    /// The radio's status, in a few words.
    pub(super) fn state(&self) -> String {
        match &self.listening.status().borrow().hearing {
            Hearing::Opening => "the radio is being opened".to_owned(),
            Hearing::Scanning => "listening".to_owned(),
            Hearing::Down { reason } => format!("NOT listening: {reason}"),
            Hearing::GivenUp => "NOT listening: the radio does not come back".to_owned(),
        }
    }

    pub(super) async fn close(self) {
        self.listening.stop().await;
    }
}
