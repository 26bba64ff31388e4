//! The source of a scan: the radio, a recording, or simulated locks. Each gives messages in the form that the spool
//! stores. Must not know what an advertisement contains. Opened by `scan`; read by `ongoing` and `terminal`.
use super::live::Live;
use super::spooled::spooled;
use crate::cli::Scan;
use crate::daemon::contents::Registry;
use crate::exit::Failure;
use crate::replay::{Played, Recording};
use firmware_sim::{Beacons, Fleet, Message, Scenario, Secrecy, Sent};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use zenei_store::StoredMessage;
use zenei_store::clock::Elapsed;
use zenei_wire::bthome::Advertisement;
use zenei_wire::bthome::{Keyring, Lock};
use zenei_wire::{DeviceId, GatewayTime, SiteId};

/// How many locks `--sim` has, and how many days lie behind them when the scan begins: a corridor with a month's past,
/// in which a fault has had time to show.
const SIM_LOCKS: usize = 24;
const SIM_DAYS: f64 = 28.0;
const SIM_SEED: u64 = 1;
/// How often simulated locks are polled. They advertise for ever, but their state does not change after a day.
const SIM_STEP: Duration = Duration::from_millis(100);

/// The source of a scan.
pub(super) enum Source {
    /// The radio.
    Live(Box<Live>),
    /// A recording, as fast as it is read.
    Replay(Box<Replay>),
    /// Simulated locks, at the pace of real ones.
    Sim(Box<Sim>),
}

impl Source {
    /// Opens what the arguments name.
    ///
    /// # Errors
    /// Where it can't be opened; [`Failure::Unreachable`] where there is no Bluetooth.
    pub(super) async fn open(arguments: &Scan, registry: Registry) -> Result<Self, Failure> {
        if arguments.sim {
            return Ok(Self::Sim(Box::new(Sim::new(registry, arguments.seconds)?)));
        }
        if let Some(path) = &arguments.replay {
            let recording = Recording::open(path).map_err(Failure::Failed)?;
            let replay = Replay { recording, registry, seconds: arguments.seconds, until: None };
            return Ok(Self::Replay(Box::new(replay)));
        }
        Ok(Self::Live(Box::new(Live::open(registry, arguments.seconds).await?)))
    }

    /// The next message; `None` at the end. Safe to cancel.
    pub(super) async fn next(&mut self) -> Result<Option<StoredMessage>, Failure> {
        match self {
            Self::Live(live) => Ok(live.next().await),
            Self::Replay(replay) => replay.next(),
            Self::Sim(sim) => Ok(sim.next().await),
        }
    }

    /// Whose the addresses are.
    pub(super) fn registry(&self) -> &Registry {
        match self {
            Self::Live(live) => live.registry(),
            Self::Replay(replay) => &replay.registry,
            Self::Sim(sim) => &sim.registry,
        }
    }

    /// The messages that the engine takes before the scan begins.
    pub(super) fn before(&self) -> &[StoredMessage] {
        match self {
            Self::Live(_) | Self::Replay(_) => &[],
            Self::Sim(sim) => &sim.before,
        }
    }

    /// The source's present time; `None` where it is that of the last message.
    pub(super) fn now(&self) -> Option<GatewayTime> {
        match self {
            Self::Live(live) => Some(live.now()),
            Self::Replay(_) => None,
            Self::Sim(sim) => Some(sim.now()),
        }
    }

    /// A short description.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Live(live) => live.state(),
            Self::Replay(replay) => format!("recording {}", replay.recording.file()),
            Self::Sim(_) => "simulated locks".to_owned(),
        }
    }

    /// Closes it.
    pub(super) async fn close(self) {
        match self {
            Self::Live(live) => live.close().await,
            Self::Replay(_) | Self::Sim(_) => {}
        }
    }
}

/// A recording that is being played.
pub(super) struct Replay {
    recording: Recording,
    registry: Registry,
    /// How much of it, s.
    seconds: Option<u64>,
    until: Option<GatewayTime>,
}

impl Replay {
    fn next(&mut self) -> Result<Option<StoredMessage>, Failure> {
        while let Some(played) = self.recording.next().map_err(Failure::Failed)? {
            match played {
                Played::Message(message) => {
                    if let Some(seconds) = self.seconds {
                        let end = message.heard_at.plus_ms(milliseconds(seconds));
                        if message.heard_at > *self.until.get_or_insert(end) {
                            return Ok(None);
                        }
                    }
                    return Ok(Some(message));
                }
                // A message without its payload is no advertisement.
                Played::Refused { .. } => {}
            }
        }
        Ok(None)
    }
}

/// Simulated locks: two of three encrypt, the others do not; the last two are in no registry.
pub(super) struct Sim {
    fleet: Fleet,
    beacons: Beacons,
    registry: Registry,
    before: Vec<StoredMessage>,
    start_ms: i64,
    began: Elapsed,
    seconds: Option<u64>,
    waiting: VecDeque<StoredMessage>,
    offset: u64,
}

impl Sim {
    fn new(registry: Registry, seconds: Option<u64>) -> Result<Self, Failure> {
        let made = Scenario::demo().and_then(|scenario| {
            Fleet::new(&Scenario { locks: SIM_LOCKS, days: SIM_DAYS + 1.0, ..scenario }, SIM_SEED)
        });
        let mut fleet = made.map_err(|error| Failure::broken("can't make the simulated locks", error))?;
        let start_ms = fleet.start_ms() + (SIM_DAYS * 86_400_000.0) as i64;
        let mut messages = Vec::new();
        fleet.advance(start_ms, &mut messages);
        let secrecy = |lock: usize| if lock % 3 == 2 { Secrecy::Plain } else { Secrecy::Encrypted };
        let mut beacons = Beacons::new(fleet.locks(), SIM_SEED, start_ms, secrecy);
        beacons.hear(&messages);
        let registry = if registry.lines.is_empty() { registry_of(&fleet, &beacons, secrecy)? } else { registry };
        let before = messages.iter().map(message).collect();
        let (began, waiting) = (Elapsed::start(), VecDeque::new());
        Ok(Self { fleet, beacons, registry, before, start_ms, began, seconds, waiting, offset: 0 })
    }

    fn now(&self) -> GatewayTime {
        GatewayTime(self.start_ms + i64::try_from(self.began.so_far().as_millis()).unwrap_or(0))
    }

    async fn next(&mut self) -> Option<StoredMessage> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Some(message);
            }
            let end_ms = self.start_ms.saturating_add(self.seconds.map_or(i64::MAX, milliseconds));
            // However late this is called, nothing before the end is left out.
            let now_ms = self.now().ms().min(end_ms);
            let (mut said, mut sent) = (Vec::new(), Vec::new());
            self.fleet.advance(now_ms, &mut said);
            self.beacons.hear(&said);
            self.beacons.advance(now_ms, &mut sent);
            for sent in sent {
                self.waiting.push_back(advertisement(&sent, self.offset));
                self.offset += 1;
            }
            if self.waiting.is_empty() {
                if now_ms >= end_ms {
                    return None;
                }
                tokio::time::sleep(SIM_STEP).await;
            }
        }
    }
}

/// The simulated locks' registry, with their keys.
fn registry_of(fleet: &Fleet, beacons: &Beacons, secrecy: impl Fn(usize) -> Secrecy) -> Result<Registry, Failure> {
    let broken = |error: zenei_wire::NameError| Failure::broken("can't register the simulated locks", error);
    let read = zenei_store::registry::read(fleet.registry_csv().as_bytes());
    let lines = read.map_err(|error| Failure::broken("can't register the simulated locks", error))?;
    let mut keys = Keyring::default();
    for (number, line) in lines.iter().enumerate().take(SIM_LOCKS - 2) {
        let Some(address) = beacons.address(number) else { continue };
        let (device, site) =
            (DeviceId::new(&line.device_id).map_err(broken)?, SiteId::new(&line.site).map_err(broken)?);
        let key = (secrecy(number) == Secrecy::Encrypted).then(|| beacons.key(number));
        keys.add(address, Lock { device, site, key });
    }
    Ok(Registry { lines, keys: Arc::new(keys) })
}

/// A record of a simulated lock, as a recording gives it.
fn message(said: &Message) -> StoredMessage {
    StoredMessage {
        offset: 0,
        heard_at: GatewayTime(said.at_ms),
        source: zenei_store::Source::Recording,
        authenticated: true,
        topic: said.topic.clone(),
        payload: said.payload.clone().into(),
    }
}

fn advertisement(sent: &Sent, offset: u64) -> StoredMessage {
    let heard =
        Advertisement { address: sent.address, rssi_dbm: Some(sent.rssi_dbm), service_data: &sent.service_data };
    spooled(&heard, GatewayTime(sent.at_ms), offset)
}

/// Seconds of an argument in ms.
pub(super) fn milliseconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000)
}
