//! The demo's processes and files: a fleet that publishes, a gateway on a simulated clock that receives it over
//! loopback, a desk with those whom it tells, HTTP, and a temporary folder that is removed at the end. Clock and fleet
//! advance in lock-step: the clock stands until every message of a tick is acknowledged, so that a run does not depend
//! on the machine's speed. Called by `demo`.
use super::audience::Audience;
use crate::daemon::desk::{DeskHere, pipeline_maker};
use crate::daemon::history::Following;
use crate::daemon::signals::Asked;
use crate::exit::Failure;
use firmware_sim::publish::Publisher;
use firmware_sim::{Fleet, Message, Scenario, Truth};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::watch;
use zenei_desk::http::gate::{AuditLog, Entry, Pepper, Role, Tokens, tokens};
use zenei_desk::{DeskClock, Gate, GateSettings, Handles, Incidents, Inward, SharedDesk};
use zenei_detect::Rules;
use zenei_detect::intake::HOLE_WAIT_MS;
use zenei_gateway::{GatewayConfig, Running};
use zenei_store::history::History;
use zenei_store::{Clock, Control, Layout, Ledger};
use zenei_wire::GatewayTime;

/// The step of the clock: a message is received at most a minute after it was sent.
const TICK_MS: i64 = 60_000;

/// The folder in memory on Linux.
const MEMORY: &str = "/dev/shm";
/// Room that a demo needs there, in bytes: its spool, its Parquet files and its database take a third of it.
const MEMORY_BYTES_MIN: u64 = 1 << 30;

/// The tokens of the demo's page: one, for whoever reads the terminal.
const TOKENS_FILE: &str = "tokens";
const VISITOR: &str = "you";

/// By this file commands reach the demo's desk.
const CONFIG_FILE: &str = "zenei.toml";
const CONFIG: &str =
    "state_dir = \".\"\n[gateway]\nid = \"demo\"\n[ingress]\nlisten = \"127.0.0.1:0\"\n[desk]\nenabled = true\n";

/// Everything that a demo needs.
pub(super) struct Stage {
    fleet: Fleet,
    publisher: Publisher,
    gateway: Running,
    desk: SharedDesk,
    incidents: Incidents,
    audience: Audience,
    http: SocketAddr,
    link: String,
    following: Following,
    /// Keeps HTTP ready until the end.
    _ready: watch::Sender<bool>,
    folder: TempDir,
    now_ms: i64,
    tick: Vec<Message>,
    messages: u64,
}

impl Stage {
    /// Sets the stage; within a tokio runtime.
    pub(super) async fn set(seed: u64, asked: &Asked) -> Result<Self, Failure> {
        let broken = |what: &str| {
            let what = format!("the demo can't {what}");
            move |error: Box<dyn std::error::Error + Send + Sync>| Failure::Broken { what, source: error }
        };
        let fleet = Scenario::demo().and_then(|scenario| Fleet::new(&scenario, seed));
        let fleet = fleet.map_err(|error| broken("make its fleet")(error.into()))?;
        let folder = folder().map_err(|error| broken("make its folder")(error.into()))?;
        let registry = zenei_store::registry::read(fleet.registry_csv().as_bytes());
        let rules = Rules::embedded().map_err(|error| broken("read its rules")(error.into()))?;
        let shown_rules = Arc::new(rules.clone());
        let audience = Audience::seat(folder.path()).await?;
        let desk = DeskHere::open(folder.path(), true, audience.routes(), Default::default(), Default::default())
            .map_err(broken("open its desk"))?;
        let incidents = desk.incidents();
        let shared = desk.shared().ok_or_else(|| broken("open its desk")("it is off".into()))?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = GatewayConfig {
            clock: Clock::simulated(GatewayTime(fleet.start_ms())),
            ingress: Some(loopback),
            registry: registry.map_err(|error| broken("read its registry")(error.into()))?,
            ..GatewayConfig::new(folder.path(), "demo", pipeline_maker(Some(rules)))
        };
        let gateway = zenei_gateway::start(config, desk).map_err(|error| broken("start its gateway")(error.into()))?;
        let clock = DeskClock::new(gateway.clock().clone());
        audience.listen(&shared, &clock)?;
        listen(folder.path(), &shared, &clock, asked).map_err(broken("take commands"))?;
        let layout = Layout::new(folder.path());
        let following = Following::start(&layout)?;
        let (gate, link) = gate(loopback, &layout, clock.clone()).map_err(broken("keep who changes what"))?;
        let (ready, is_ready) = watch::channel(true);
        let handles = Handles {
            ledger: gateway.ledger(),
            ready: is_ready,
            desk: Some(shared.clone()),
            history: History::local(&layout.history()),
            gateway: "demo".to_owned(),
            zone: crate::config::Desk::default().zone(),
            gate,
            ..Handles::of(incidents.clone(), clock.clone(), shown_rules)
        };
        let mut end = asked.clone();
        let http = zenei_desk::serve(loopback, handles, Inward::default(), async move { end.wait().await }).await;
        let http = http.map_err(|error| broken("serve HTTP")(error.into()))?;
        let ingress = gateway.ingress_addr().unwrap_or(loopback);
        let publisher = Publisher::connect(&ingress.to_string(), "zenei-demo")
            .map_err(|error| broken("connect its fleet")(error.into()))?;
        let (now_ms, tick) = (fleet.start_ms(), Vec::new());
        let (desk, messages, _ready) = (shared, 0, ready);
        Ok(Self {
            fleet,
            publisher,
            gateway,
            desk,
            incidents,
            audience,
            http,
            link,
            following,
            _ready,
            folder,
            now_ms,
            tick,
            messages,
        })
    }

    /// Runs the fleet until `to_ms`; on return every message that it sent is acknowledged, and time has advanced.
    pub(super) async fn play_to(&mut self, to_ms: i64) -> Result<(), Failure> {
        while self.now_ms < to_ms {
            self.now_ms = (self.now_ms + TICK_MS).min(to_ms);
            self.tick.clear();
            self.fleet.advance(self.now_ms, &mut self.tick);
            if self.tick.is_empty() {
                continue;
            }
            self.gateway.clock().set(GatewayTime(self.now_ms));
            let published = self.publisher.publish_all(&self.tick);
            published.map_err(|error| Failure::broken("the fleet can't publish", error))?;
            self.messages += self.tick.len() as u64;
        }
        self.tick_to(to_ms).await
    }

    /// Advances time past the last message, and waits until everything is processed.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        self.tick_to(self.now_ms + HOLE_WAIT_MS).await?;
        let drained = self.gateway.drain().await;
        drained.map(drop).map_err(|error| Failure::broken("the gateway can't go on", error))
    }

    /// Ends everything cleanly.
    pub(super) async fn strike(self) -> Result<(), Failure> {
        let Self { gateway, publisher, folder, audience, following, .. } = self;
        drop(publisher);
        audience.leave();
        gateway.stop().await.map_err(|error| Failure::broken("the gateway did not stop cleanly", error))?;
        following.stop();
        folder.close().map_err(|error| Failure::broken("can't remove the demo's folder", error))
    }

    /// Where its state is.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A configuration by which commands reach this demo's desk.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join(CONFIG_FILE)
    }

    /// Waits until those who are told have heard everything; false where they did not in time.
    pub(super) async fn told(&self) -> Result<bool, Failure> {
        self.audience.told(&self.desk).await
    }

    /// Those who are told.
    pub(super) fn audience(&mut self) -> &mut Audience {
        &mut self.audience
    }

    pub(super) fn start_ms(&self) -> i64 {
        self.fleet.start_ms()
    }

    pub(super) fn end_ms(&self) -> i64 {
        self.fleet.end_ms()
    }

    pub(super) fn locks(&self) -> usize {
        self.fleet.locks().len()
    }

    /// The page; it logs its first visitor in.
    pub(super) fn link(&self) -> String {
        format!("http://{}{}", self.http, self.link)
    }

    /// Messages acknowledged so far.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Records received so far, as the ledger was last published.
    pub(super) fn records(&self) -> u64 {
        self.gateway.ledger().borrow().received_total()
    }

    pub(super) fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// The seeded faults.
    pub(super) fn truth(&self) -> Vec<Truth> {
        self.fleet.truth()
    }

    /// Whether each record is accounted for, and none was refused: the fleet sends only what the contract allows.
    pub(super) fn balance(&self) -> Result<(), String> {
        let ledger: Ledger = self.gateway.ledger().borrow().clone();
        ledger.balance().map_err(|imbalance| imbalance.to_string())?;
        match (ledger.dead_letter_total(), ledger.dropped_total()) {
            (0, 0) => Ok(()),
            (dead, dropped) => Err(format!("{dead} records were refused and {dropped} dropped; none should be")),
        }
    }

    async fn tick_to(&self, to_ms: i64) -> Result<(), Failure> {
        let ticked = self.gateway.tick(GatewayTime(to_ms)).await;
        ticked.map_err(|error| Failure::broken("the gateway can't go on", error))
    }
}

/// Who may ask the demo over HTTP: everybody on this machine, as an operator, and the first visitor of the link, as an
/// admin. Its locks are simulated, and it ends with the command; `run` lets nobody change anything without a token.
fn gate(
    listen: SocketAddr,
    layout: &Layout,
    clock: DeskClock,
) -> Result<(Gate, String), Box<dyn std::error::Error + Send + Sync>> {
    let created_ms = clock.now().ms();
    let audit = Some(AuditLog::new(Control::open(&layout.control())?, clock));
    let (path, pepper) = (layout.root().join(TOKENS_FILE), Pepper::open(&layout.token_pepper())?);
    let token = tokens::add(&path, &pepper, (VISITOR, Role::Admin, true), created_ms)?;
    let (entry, link) = Entry::of(token)?;
    let (tokens, entry) = (Some(Tokens::new(path, pepper)), Some(entry));
    let gate = GateSettings { loopback: Some(Role::Operator), audit, tokens, entry, ..GateSettings::of(listen) };
    Ok((Gate::new(gate), link))
}

/// Lets commands beside the demo reach its desk.
fn listen(
    folder: &Path,
    desk: &SharedDesk,
    clock: &DeskClock,
    asked: &Asked,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    std::fs::write(folder.join(CONFIG_FILE), CONFIG)?;
    let (socket, mut end) = (Layout::new(folder).desk_socket(), asked.clone());
    zenei_desk::local::serve(&socket, desk.clone(), clock.clone(), async move { end.wait().await })?;
    Ok(())
}

/// A folder for a demo's state: in memory where there is room, because a demo stores nothing for later and would wait
/// for 43,200 fsyncs a month; otherwise, and where `TMPDIR` is set, among the temporary files.
fn folder() -> std::io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("zenei-demo-");
    if std::env::var_os("TMPDIR").is_some() {
        return builder.tempdir();
    }
    let has_room = rustix::fs::statvfs(MEMORY).is_ok_and(|room| room.f_bavail * room.f_frsize >= MEMORY_BYTES_MIN);
    match builder.tempdir_in(MEMORY) {
        Ok(folder) if has_room => Ok(folder),
        Ok(_) | Err(_) => builder.tempdir(),
    }
}
