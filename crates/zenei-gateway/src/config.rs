//! What does a gateway receive, where does it store that, and with which limits? Must not know how any of it is done.
//! Filled in by the binary and by end-to-end tests; read by the start and the driver.
use crate::driver::SealLimits;
use crate::source::ble::BleConfig;
use crate::source::ingress::IngressLimits;
use crate::source::mqtt::MqttConfig;
use crate::spool::AckPolicy;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use zenei_store::Registration;
use zenei_store::{Clock, PipelineMaker, Source, SpoolOptions};
use zenei_wire::bthome::Keyring;

/// What a gateway hears, where it keeps it, and how.
pub struct GatewayConfig {
    /// The state directory; one gateway at a time uses it.
    pub state_dir: PathBuf,
    /// The gateway's id, stamped on every stored row.
    pub gateway_id: String,
    /// What time it is.
    pub clock: Clock,
    /// Where hubs publish directly; `None`: nowhere.
    pub ingress: Option<SocketAddr>,
    /// What those hubs may take.
    pub ingress_limits: IngressLimits,
    /// The broker; `None`: none.
    pub mqtt: Option<MqttConfig>,
    /// The radio; `None`: none.
    pub ble: Option<BleConfig>,
    /// What the asset registry says.
    pub registry: Vec<Registration>,
    /// Whose the addresses of advertisements are, and with which keys they speak.
    pub keys: Arc<Keyring>,
    /// Makes intake and engine, of a snapshot or without history.
    pub pipeline: PipelineMaker,
    /// When what was processed goes to the store.
    pub seal: SealLimits,
    /// How large the spool may become.
    pub spool: SpoolOptions,
    /// When a source is told that a message is safe.
    pub ack: AckPolicy,
}

impl GatewayConfig {
    /// A gateway that hears nothing yet, by the machine's clock, with the default limits.
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

    /// The source by which most messages come in, by what is configured. Messages that the spool has lost no longer say
    /// theirs, and count as of this one.
    pub(crate) fn main_source(&self) -> Source {
        match (self.mqtt.is_some(), self.ingress.is_some()) {
            (true, _) => Source::Mqtt,
            (false, true) => Source::Ingress,
            (false, false) => Source::Ble,
        }
    }
}
