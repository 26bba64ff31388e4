//! The parts of a daemon for `/readyz`: what each knows of itself, in a sentence. Must not change anything. Called by
//! `run`; read whenever somebody asks.
use super::broker;
use super::shipping::Shipping;
use crate::config::{self, Config};
use rustix::fs::statvfs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use tokio::sync::watch;
use zenei_desk::{DeskClock, Part, Readiness, SharedDesk};
use zenei_gateway::Running;
use zenei_gateway::source::ble::{BleHandle, Hearing};
use zenei_store::{ControlError, with_causes};

/// Below this much free space the disk is not ready; a guess: SQLite and a segment of the spool still fit.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// A message that has failed for so long makes the sender not ready, ms; a guess: a remote restarts within 5 min.
const FAILING_MS_MAX: i64 = 300_000;

type Ask = Box<dyn Fn() -> Part + Send + Sync>;

/// Those that this configuration asks for.
pub(crate) fn of(
    config: &Config,
    gateway: &Running,
    shipping: Option<&Shipping>,
    desk: Option<&SharedDesk>,
    is_open: watch::Receiver<bool>,
) -> Readiness {
    let mut parts: Vec<Ask> = vec![intake(gateway, is_open), disk(config.state_dir.clone())];
    if let Some(mqtt) = &config.mqtt {
        let (host, port) = config::host_and_port(&mqtt.url, 1883);
        let (counters, address) = (gateway.counters(), format!("{host}:{port}"));
        parts.push(Box::new(move || broker::part(&counters, &address)));
    }
    parts.extend(gateway.radio().map(radio));
    if let Some(answer) = shipping.map(Shipping::answer) {
        parts.push(Box::new(move || {
            let (is_ready, why) = answer.borrow().clone();
            Part { name: "clickhouse", is_ready, why }
        }));
    }
    if let (Some(desk), false) = (desk, config.notify.is_empty()) {
        parts.push(sender(desk.clone(), DeskClock::new(gateway.clock().clone())));
    }
    Readiness::new(parts)
}

fn intake(gateway: &Running, is_open: watch::Receiver<bool>) -> Ask {
    let ledger = gateway.ledger();
    Box::new(move || {
        let (is_ready, pending) = (*is_open.borrow(), ledger.borrow().pending);
        let state = if is_ready { "records are taken" } else { "zenei ends and takes no records" };
        Part { name: "intake", is_ready, why: format!("{state}; {pending} wait to be stored") }
    })
}

/// A failed fsync ends the process, so that what answers here can still write; what it may lack is room.
fn disk(state_dir: PathBuf) -> Ask {
    Box::new(move || match statvfs(&state_dir) {
        Ok(room) => {
            let free = room.f_bavail.saturating_mul(room.f_frsize);
            let (mib, least) = (free >> 20, FREE_BYTES_MIN >> 20);
            let why = format!("{mib} MiB are free where state_dir is; {least} are needed");
            Part { name: "disk", is_ready: free >= FREE_BYTES_MIN, why }
        }
        Err(error) => Part { name: "disk", is_ready: false, why: format!("state_dir can't be looked at: {error}") },
    })
}

fn radio(radio: BleHandle) -> Ask {
    Box::new(move || {
        let heard = radio.counters.heard.load(Ordering::Relaxed);
        let (is_ready, state) = match &radio.status.borrow().hearing {
            Hearing::Scanning => (true, "the scan runs".to_owned()),
            Hearing::Opening => (false, "the adapter is being opened".to_owned()),
            Hearing::Down { reason } => (false, format!("the scan does not run: {reason}")),
            Hearing::GivenUp => (false, "the watchdog has given up; zenei must be started anew".to_owned()),
        };
        Part { name: "radio", is_ready, why: format!("{state}; {heard} advertisements heard") }
    })
}

fn sender(desk: SharedDesk, clock: DeskClock) -> Ask {
    let failing = move || {
        let desk = desk.lock();
        let since = desk.control().failing_since()?;
        let waiting = desk.control().waiting()?;
        Ok::<_, ControlError>((since, waiting))
    };
    Box::new(move || match failing() {
        Ok((since, waiting)) => {
            let failing_ms = since.map_or(0, |since| clock.now().ms().saturating_sub(since));
            let count: u64 = waiting.iter().map(|target| target.waiting).sum();
            let names: Vec<&str> = waiting.iter().filter(|it| it.failing > 0).map(|it| it.target.as_str()).collect();
            let why = match since {
                None => format!("{count} messages wait, and none has failed"),
                Some(_) => format!("{count} messages wait; {} fails for {} s", names.join(", "), failing_ms / 1_000),
            };
            Part { name: "sender", is_ready: failing_ms <= FAILING_MS_MAX, why }
        }
        Err(error) => {
            Part { name: "sender", is_ready: false, why: format!("the outbox can't be read: {}", with_causes(&error)) }
        }
    })
}
