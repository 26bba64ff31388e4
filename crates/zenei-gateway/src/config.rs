//! What does a gateway receive, where does it store that, and with which limits? Must not know how any of it is done.
//! Filled in by the binary and by end-to-end tests; read by the start and the driver.
use crate::driver::SealLimits;
use crate::source::ble::BleConfig;
use crate::source::ingress::IngressLimits;
use crate::source::mqtt::config::MqttConfig;
use crate::spool::AckPolicy;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use zenei_store::Registration;
use zenei_store::{Clock, PipelineMaker, Source, SpoolOptions};
use zenei_wire::bthome::Keyring;

/// What a gateway receives, where it stores it, and with which limits.
pub struct GatewayConfig {
    /// The state directory; one gateway at a time uses it.
    pub state_dir: PathBuf,
    /// The gateway's id, stamped on every stored row.
    pub gateway_id: String,
    /// The clock.
    pub clock: Clock,
    /// The address on which hubs publish directly; `None` without an ingress.
    pub ingress: Option<SocketAddr>,
    /// The limits of those hubs.
    pub ingress_limits: IngressLimits,
    /// The broker; `None` without one.
    pub mqtt: Option<MqttConfig>,
    /// The radio; `None` without one.
    pub ble: Option<BleConfig>,
    /// The lines of the asset registry.
    pub registry: Vec<Registration>,
    /// The owners of advertising addresses, with their keys.
    pub keys: Arc<Keyring>,
    /// Makes intake and engine, from a snapshot or without history.
    pub pipeline: PipelineMaker,
    /// When processed rows go to the store.
    pub seal: SealLimits,
    /// How large the spool may become.
    pub spool: SpoolOptions,
    /// When a source acknowledges a message.
    pub ack: AckPolicy,
}

impl GatewayConfig {
    /// A gateway without sources, with the machine's clock and the default limits.
    pub fn new(state_dir: impl Into<PathBuf>, gateway_id: impl Into<String>, pipeline: PipelineMaker) -> Self {
        Self {
            state_dir: state_dir.into(),
            gateway_id: gateway_id.into(),
            clock: Clock::System,
            ingress: None,
            ingress_limits: IngressLimits::default(),
            mqtt: None,
            ble: None,
            registry: Vec::new(),
            keys: Arc::default(),
            pipeline,
            seal: SealLimits::default(),
            spool: SpoolOptions::default(),
            ack: AckPolicy::default(),
        }
    }

    /// The source of most messages, by the configuration. Messages that the spool has lost count under this one,
    /// because their own source is unknown.
    pub(crate) fn main_source(&self) -> Source {
        match (self.mqtt.is_some(), self.ingress.is_some()) {
            (true, _) => Source::Mqtt,
            (false, true) => Source::Ingress,
            (false, false) => Source::Ble,
        }
    }
}
