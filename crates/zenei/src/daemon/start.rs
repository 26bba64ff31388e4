//! How does a configuration become a running gateway, with the desk where it detects on this gateway's spool? Also
//! makes the async runtime of all commands that need one. Must not know what happens to the gateway afterwards. Called
//! by `run` and `forget`; `demo`, `doctor` and `scan` take the runtime only, `doctor` the
//! broker, too.
use super::contents::Contents;
use super::desk::{DeskHere, pipeline_maker};
use super::tailing;
use crate::config::{self, Ble, Config, Mqtt};
use crate::exit::Failure;
use zenei_desk::{Route, SharedDesk};
use zenei_gateway::source::ble::BleConfig;
use zenei_gateway::{AckPolicy, GatewayConfig, MqttConfig, Running, StartError};
use zenei_store::Clock;
use zenei_store::layout::LockError;

/// The runtime of a command that runs a gateway or a radio.
///
/// # Errors
/// Where the system gives no threads.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| Failure::broken("can't start the runtime", error))
}

/// Starts the gateway of a configuration, with the desk where it detects on this gateway's spool; the desk tells these
/// targets.
///
/// # Errors
/// What can't be put into effect, or the last run's state that can't be recovered.
pub(crate) fn start(
    config: &Config,
    contents: Contents,
    clock: Clock,
    ack: AckPolicy,
    routes: Vec<Route>,
) -> Result<(Running, Option<SharedDesk>), Failure> {
    let Contents { rules, registry, policy } = contents;
    zenei_store::layout::make_private(&config.state_dir)
        .map_err(|error| in_effect(&format!("state_dir: can't make {}", config.state_dir.display()), error))?;
    // Where the desk detects on ClickHouse, this gateway's records reach it from there, with all others.
    let here = config.desk.enabled && tailing::source(config).is_none();
    let rules = here.then_some(rules);
    let desk = DeskHere::open(&config.state_dir, here, routes, policy, registry.places())
        .map_err(|error| Failure::broken("can't open the incidents", error))?;
    let shared = desk.shared();
    let mqtt = config.mqtt.as_ref().map(|mqtt| broker(mqtt, &config.gateway.id)).transpose()?;
    let started = zenei_gateway::start(
        GatewayConfig {
            clock,
            ingress: config.ingress.as_ref().map(|ingress| ingress.listen),
            mqtt,
            ble: config.ble.as_ref().map(radio),
            registry: registry.lines,
            keys: registry.keys,
            ack,
            seal: config.store.seal_limits(),
            ..GatewayConfig::new(&config.state_dir, config.gateway.id.clone(), pipeline_maker(rules))
        },
        desk,
    );
    let gateway = started.map_err(|error| match error {
        StartError::Listen { .. } => in_effect("ingress.listen", error),
        StartError::Lock(LockError::Taken { .. }) => Failure::broken("another zenei runs here", error),
        StartError::Mqtt(_) => in_effect("mqtt", error),
        StartError::NoRuntime
        | StartError::Lock(LockError::Disk { .. })
        | StartError::Sessions { .. }
        | StartError::Spool(_)
        | StartError::Recover(_)
        | StartError::Thread(_) => Failure::broken("the gateway can't start", error),
    })?;
    Ok((gateway, shared))
}

/// The configuration is good, but this machine does not let it take effect.
pub(crate) fn in_effect(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::ConfigInEffect { what: what.to_owned(), source: source.into() }
}

fn radio(ble: &Ble) -> BleConfig {
    BleConfig { adapter: ble.adapter.clone(), power_cycle: ble.power_cycle, exit: ble.exit }
}

/// The broker as the gateway and `doctor` use it, with its password.
///
/// # Errors
/// Where the password's file can't be read.
pub(crate) fn broker(mqtt: &Mqtt, gateway_id: &str) -> Result<MqttConfig, Failure> {
    let (host, port) = config::host_and_port(&mqtt.url, 1883);
    let login = match (&mqtt.username, &mqtt.password_file) {
        (Some(username), Some(file)) => Some((username.clone(), config::secret(file).map_err(Failure::Failed)?)),
        (Some(username), None) => Some((username.clone(), String::new())),
        (None, _) => None,
    };
    let client_id = mqtt.client_id.clone().unwrap_or_else(|| format!("zenei-{gateway_id}"));
    Ok(MqttConfig { host, port, client_id, topics: mqtt.topics.clone(), login })
}
