//! How does a gateway start? Threads and sources, in the order of their dependencies. Must not know what they do, only
//! how they are connected. Called by the binary's `run`, `demo` and `forget`, and by end-to-end tests.
use crate::config::GatewayConfig;
use crate::processing::Processing;
use crate::running::Running;
use crate::source::ble::{Feed, RadioCounters};
use crate::source::ingress::Ingress;
use crate::source::ingress::sessions::Sessions;
use crate::source::mqtt::{MqttLimits, Subscriber};
use crate::source::{Counters, Stop};
use crate::start_error::StartError;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zenei_detect::Desk;
use zenei_store::Layout;
use zenei_store::disk::{Disk, RealDisk};

/// Starts a gateway; call it within a tokio runtime. On return the ingress listens, and the messages that the last run
/// left are being processed.
///
/// # Errors
/// See [`StartError`].
pub fn start(config: GatewayConfig, desk: impl Desk + 'static) -> Result<Running, StartError> {
    start_on(config, desk, Arc::new(RealDisk))
}

/// Starts a gateway whose state is on this disk.
pub(crate) fn start_on(
    config: GatewayConfig,
    desk: impl Desk + 'static,
    disk: Arc<dyn Disk>,
) -> Result<Running, StartError> {
    Handle::try_current().map_err(|_| StartError::NoRuntime)?;
    if let Some(mqtt) = &config.mqtt {
        mqtt.check()?;
    }
    let layout = Layout::new(&config.state_dir);
    let lock = layout.lock()?;
    let listener = config.ingress.map(listen).transpose()?;
    let path = config.state_dir.join("sessions");
    let sessions = Sessions::open(&path).map_err(|source| StartError::Sessions { path, source })?;
    let (clock, ingress_limits, mqtt) = (config.clock.clone(), config.ingress_limits, config.mqtt.clone());
    let (radio, keys, heard) = (config.ble.clone(), Arc::clone(&config.keys), Arc::<RadioCounters>::default());
    let processing = Processing::start(config, Box::new(desk), disk, layout, lock, Arc::clone(&heard))?;

    let counters = Arc::new(Counters::default());
    let (stop, stopped) = watch::channel(false);
    let stopped = Stop::new(stopped);
    let mut sources = JoinSet::new();
    let mut ingress_addr = None;
    if let Some((listener, address)) = listener {
        let (inlet, sessions, counters) = (processing.inlet.clone(), Arc::new(sessions), Arc::clone(&counters));
        let ingress = Ingress { inlet, sessions, counters, limits: ingress_limits };
        sources.spawn(ingress.listen(listener, stopped.clone()));
        ingress_addr = Some(address);
    }
    if let Some(config) = mqtt {
        let (inlet, counters) = (processing.inlet.clone(), Arc::clone(&counters));
        let subscriber = Subscriber { config, inlet, counters, limits: MqttLimits::default() };
        sources.spawn(subscriber.run(stopped.clone()));
    }
    let radio = radio.map(|config| {
        let (feed, handle) = Feed::start(config, keys, clock.clone(), processing.inlet.clone(), heard);
        sources.spawn(feed.run(stopped));
        handle
    });
    Ok(Running { ingress_addr, processing, counters, radio, clock, stop, sources })
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((TcpListener::from_std(listener)?, address))
    });
    bound.map_err(|source| StartError::Listen { address, source })
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
