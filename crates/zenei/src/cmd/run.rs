//! `zenei run`, the daemon: starts gateway, desk, shipping, tail and HTTP as the configuration asks, and stops them
//! when a signal arrives, processing or the tail fails, or the radio's watchdog gives up. Called by `cmd`.
use crate::cli::Run;
use crate::config::{self, Config, StoreKind};
use crate::daemon::access;
use crate::daemon::contents::{self, Contents};
use crate::daemon::history::{self, Following};
use crate::daemon::shipping::Shipping;
use crate::daemon::start::{in_effect, runtime, start};
use crate::daemon::{figures, notify, readiness, service, signals, tailing};
use crate::exit::Failure;
use crate::output::Output;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;
use zenei_desk::notify::Target;
use zenei_desk::{DeskClock, Handles, Incidents, Inward, SharedDesk, Tail};
use zenei_detect::Rules;
use zenei_gateway::source::ble::BleHandle;
use zenei_gateway::{AckPolicy, Running};
use zenei_incident::Policy;
use zenei_store::control::Imported;
use zenei_store::{Clock, Control, ControlError, Layout, Ledger};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Runs `run`.
///
/// # Errors
/// Where the configuration is bad, asks for what this version does not support, or can't be put into effect; and where
/// processing stops by itself.
pub(crate) fn run(arguments: &Run, out: &mut Output<'_>) -> Result<(), Failure> {
    let variables = config::variables();
    let loaded = config::load(&arguments.file.config, &variables).map_err(Failure::Config)?;
    config::usable(&loaded).and_then(|()| config::runnable(&loaded)).map_err(Failure::Config)?;
    let contents = contents::read(&loaded).map_err(Failure::Config)?;
    if let Some(warning) = access::check(&loaded).map_err(Failure::Config)? {
        tracing::warn!("{warning}");
    }
    let clock = if arguments.simulated_time { Clock::follow_records() } else { Clock::System };
    let ack = AckPolicy::asked_by(variables.get(AckPolicy::UNSAFE_VARIABLE).map(String::as_str));
    let runtime = runtime()?;
    let stopped = runtime.block_on(serve(&loaded.config, contents, clock, ack, out));
    // Open requests are cut off; the store has everything that they could have returned.
    runtime.shutdown_background();
    stopped
}

async fn serve(
    config: &Config,
    contents: Contents,
    clock: Clock,
    ack: AckPolicy,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut asked = signals::listen().map_err(|error| Failure::broken("can't listen for signals", error))?;
    let targets = notify::targets(config)?;
    let routes = notify::routes(config);
    let (policy, rules) = (Arc::clone(&contents.policy), Arc::new(contents.rules.clone()));
    let (gateway, desk) = start(config, contents.clone(), clock, ack, routes.clone())?;
    register(config, &contents, gateway.clock())?;
    let shipping = Shipping::wanted(config).map(|clickhouse| Shipping::start(config, clickhouse)).transpose()?;
    let tail = tailing::source(config).map(|clickhouse| tailing::start(config, clickhouse, contents, routes));
    let (tail, desk) = match tail.transpose()? {
        Some((tail, desk)) => (Some(tail), Some(desk)),
        None => (None, desk),
    };
    let following = match config.store.kind {
        StoreKind::Parquet => Some(Following::start(&Layout::new(&config.state_dir))?),
        StoreKind::ClickHouse => None,
    };
    let (over, is_over) = watch::channel(false);
    let inward = desk.as_ref().map(|desk| talk(config, desk, gateway.clock(), targets, (&asked, &is_over)));
    let (ready, is_ready) = watch::channel(true);
    let judged = (policy, rules);
    let handles = handles(config, &gateway, (shipping.as_ref(), tail.as_ref()), desk.as_ref(), is_ready, judged)?;
    let http = show(config, handles, inward.unwrap_or_default(), &asked).await?;
    tell(listening(config, &gateway, http), out);
    tokio::spawn(service::live(gateway.ledger()));
    let mut radio = gateway.radio();
    let mut is_deaf = false;
    let failed: Option<Cause> = tokio::select! {
        () = asked.wait() => None,
        error = gateway.failed() => Some(error.into()),
        error = tail_failed(tail.as_ref()) => Some(error),
        () = deaf(&mut radio) => {
            is_deaf = true;
            None
        }
    };
    service::stopping();
    ready.send_replace(false);
    over.send_replace(true);
    let stopped = gateway.stop().await;
    if let Some(shipping) = shipping {
        // The next start ships the rest.
        shipping.stop();
    }
    if let Some(following) = following {
        following.stop();
    }
    if let Some(tail) = tail {
        // The reason of its failure was reported.
        let _ = tail.stop();
    }
    if let Some(error) = failed {
        return Err(Failure::broken("zenei can't go on; what was acknowledged is kept for the next start", error));
    }
    let ledger = stopped.map_err(|error| Failure::broken("zenei did not stop cleanly", error))?;
    report(&ledger);
    if is_deaf {
        let what = "registered locks that were heard over Bluetooth LE stay silent, whatever was done to the adapter; zenei ends so that its service manager starts \
                    it anew ([ble] exit = false keeps it)";
        return Err(Failure::Unreachable(what.to_owned()));
    }
    Ok(())
}

/// What the HTTP server reads.
fn handles(
    config: &Config,
    gateway: &Running,
    (shipping, tail): (Option<&Shipping>, Option<&Tail>),
    desk: Option<&SharedDesk>,
    is_ready: watch::Receiver<bool>,
    (policy, rules): (Arc<Policy>, Arc<Rules>),
) -> Result<Handles, Failure> {
    let clock = DeskClock::new(gateway.clock().clone());
    let incidents = desk.map_or_else(Incidents::default, SharedDesk::incidents);
    let is_local = config.store.kind == StoreKind::Parquet;
    Ok(Handles {
        ledger: gateway.ledger(),
        shipped: shipping.filter(|_| !is_local).map(Shipping::shipped),
        own: figures::of(config, gateway, is_local),
        tail: tail.map(Tail::progress),
        policy,
        readiness: readiness::of(config, gateway, shipping, desk, is_ready.clone()),
        ready: is_ready,
        desk: desk.cloned(),
        history: history::of(config)?,
        gateway: config.gateway.id.clone(),
        language: config.desk.language,
        zone: config.desk.zone(),
        gate: access::gate(config, clock.clone())?,
        ..Handles::of(incidents, clock, rules)
    })
}

/// Starts HTTP where it is configured; returns its address.
async fn show(
    config: &Config,
    handles: Handles,
    inward: Inward,
    asked: &signals::Asked,
) -> Result<Option<SocketAddr>, Failure> {
    let Some(http) = &config.http else { return Ok(None) };
    let mut end = asked.clone();
    let served = zenei_desk::serve(http.listen, handles, inward, async move { end.wait().await }).await;
    served.map(Some).map_err(|error| in_effect("http", error))
}

/// Starts what speaks with people: the socket for commands, the senders, and the addresses of remotes that answer.
fn talk(
    config: &Config,
    desk: &SharedDesk,
    clock: &Clock,
    targets: Vec<Target>,
    (asked, is_over): (&signals::Asked, &watch::Receiver<bool>),
) -> Inward {
    listen(config, desk, clock, asked);
    let clock = DeskClock::new(clock.clone());
    let inward = Inward::new(&targets, desk, &clock);
    notify::tell(desk, &clock, targets, config.desk.language, is_over);
    inward
}

/// Listens for the requests of commands beside this daemon. A path that can't be listened at keeps no lock unheard.
fn listen(config: &Config, desk: &SharedDesk, clock: &Clock, asked: &signals::Asked) {
    let mut end = asked.clone();
    let path = Layout::new(&config.state_dir).desk_socket();
    let served = zenei_desk::local::serve(&path, desk.clone(), DeskClock::new(clock.clone()), async move {
        end.wait().await;
    });
    if let Err(error) = served {
        tracing::error!(error = zenei_store::with_causes(&error), "commands beside this daemon can't write");
    }
}

/// Imports the registry's file into the control database, which keeps the former versions of its lines.
fn register(config: &Config, contents: &Contents, clock: &Clock) -> Result<(), Failure> {
    if config.registry.is_none() {
        return Ok(());
    }
    let imported = || -> Result<_, ControlError> {
        let mut control = Control::open(&Layout::new(&config.state_dir).control())?;
        let txn = control.begin()?;
        let imported = txn.import_registry(&contents.registry.lines, clock.now().ms())?;
        txn.commit()?;
        Ok(imported)
    };
    let Imported { added, changed, unchanged, ended } =
        imported().map_err(|error| Failure::broken("the registry can't be kept", error))?;
    tracing::info!(added, changed, unchanged, ended, "the registry is read");
    Ok(())
}

/// Waits until the tail fails; for ever where there is none.
async fn tail_failed(tail: Option<&Tail>) -> Cause {
    match tail {
        Some(tail) => match tail.failed().await {
            Some(error) => error.into(),
            None => "the thread that detects on ClickHouse has panicked".into(),
        },
        None => std::future::pending().await,
    }
}

/// Returns when the watchdog of the radio has given up.
async fn deaf(radio: &mut Option<BleHandle>) {
    match radio {
        Some(radio) => radio.given_up().await,
        None => std::future::pending().await,
    }
}

/// Says in the log how a clean stop leaves the records.
fn report(ledger: &Ledger) {
    let (received, stored, pending) = (ledger.received_total(), ledger.stored, ledger.pending);
    tracing::info!(received, stored, pending, "stopped cleanly");
    if pending > 0 {
        let why = "records wait for others that their locks numbered before them, or for the other half of an \
                   advertisement; they are kept, and the next start goes on with them";
        tracing::info!(records = pending, "{why}");
    }
}

/// Tells people and the service manager that zenei listens. A daemon continues whether or not its output is read.
fn tell(listening: String, out: &mut Output<'_>) {
    service::ready(&listening);
    match out.line(listening).and_then(|()| out.flush()) {
        Ok(()) | Err(Failure::OutputClosed) => {}
        Err(failure) => tracing::warn!(error = failure.text(), "where zenei listens can't be told"),
    }
}

/// One line: the sources, the addresses and the state directory.
fn listening(config: &Config, gateway: &Running, http: Option<SocketAddr>) -> String {
    let mut parts = Vec::new();
    if let Some(address) = gateway.ingress_addr() {
        parts.push(format!("ingress mqtt://{address}"));
    }
    if let Some(mqtt) = &config.mqtt {
        parts.push(format!("broker {} ({})", mqtt.url, mqtt.topics.join(", ")));
    }
    if let Some(ble) = &config.ble {
        parts.push(format!("bluetooth {}", ble.adapter));
    }
    if let Some(address) = http {
        parts.push(format!("http://{address}/metrics"));
    }
    if let (StoreKind::ClickHouse, Some(clickhouse)) = (config.store.kind, &config.store.clickhouse) {
        parts.push(format!("ships to {} ({})", clickhouse.url, clickhouse.database));
    }
    if let Some(clickhouse) = tailing::source(config) {
        parts.push(format!("detects on {} ({})", clickhouse.url, clickhouse.database));
    }
    parts.push(format!("state in {}", config.state_dir.display()));
    parts.push(format!("incidents {}", if config.desk.enabled { "on" } else { "off" }));
    format!("zenei {} listening: {}", env!("CARGO_PKG_VERSION"), parts.join(", "))
}
